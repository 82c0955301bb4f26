package derive

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// clockSkew is how long before its making a certificate is valid already, for
// clocks that are behind.
const clockSkew = 5 * time.Minute

// makeCertificate signs a certificate for the parent, a private key
// (https://www.rfc-editor.org/rfc/rfc5280).
func makeCertificate(f *Family) ([]byte, error) {
	key, err := privateKeyOf(f, f.Generate.Child.Of)
	if err != nil {
		return nil, err
	}
	c := f.Generate.Child
	serial := make([]byte, 16)
	if _, err := f.Rand.Read(serial); err != nil {
		return nil, errRandom
	}
	serial[0] &= 0x7f // positive, and 16 bytes at most
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: c.Subject},
		NotBefore: f.Now.Add(-clockSkew).UTC().Truncate(time.Second), NotAfter: f.Now.Add(c.Lifetime).UTC().Truncate(time.Second),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: c.CA, ExtKeyUsage: extUsages(c.Usages),
	}
	template.DNSNames, template.IPAddresses, template.EmailAddresses, template.URIs = subjectNames(c.Names)
	if c.CA {
		template.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	parent, signer, tail := template, key, []byte(nil)
	if c.Issuer.Certificate != "" {
		if parent, err = issuerOf(f); err != nil {
			return nil, err
		}
		if signer, err = privateKeyOf(f, c.Issuer.Key); err != nil {
			return nil, err
		}
		if !samePublic(parent.PublicKey, signer.Public()) {
			return nil, fmt.Errorf("and from %s, which is not the key of %s", c.Issuer.Key, c.Issuer.Certificate)
		}
		if !parent.IsCA {
			return nil, fmt.Errorf("and from %s, which is not a certificate authority", c.Issuer.Certificate)
		}
		if template.NotAfter.After(parent.NotAfter) {
			return nil, fmt.Errorf("and from %s, which ends earlier, on %s", c.Issuer.Certificate, parent.NotAfter.UTC().Format(time.DateOnly))
		}
		if c.Chain {
			tail = f.Parents[c.Issuer.Certificate].Reveal()
		}
	}
	der, err := x509.CreateCertificate(f.Rand, template, parent, key.Public(), signer)
	if err != nil {
		return nil, errors.New("which can't be used for a certificate")
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), tail...), nil
}

// maxSubject is what a common name may have: ub-common-name, to which OpenSSL
// holds (https://www.rfc-editor.org/rfc/rfc5280#appendix-A.1).
const maxSubject = 64

// A host name, perhaps with * for its first part; as ASCII has it.
var hostName = lazy.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`)

func flawsCertificate(g plan.Generate) (flaws []Flaw) {
	if n := utf8.RuneCountInString(g.Child.Subject); n > maxSubject {
		flaws = append(flaws, Flaw{[]string{"subject"}, fmt.Sprintf("has a subject of %d characters, and a certificate has room for %d", n, maxSubject), "shorten it; put host names into sans"})
	}
	for i, name := range g.Child.Names {
		dns, _, emails, uris := subjectNames([]string{name})
		bad := len(dns) > 0 && (len(name) > 253 || !hostName.MatchString(name))
		for _, e := range emails {
			a, err := mail.ParseAddress(e)
			bad = err != nil || a.Address != e || strings.ContainsFunc(e, func(r rune) bool { return r > unicode.MaxASCII })
		}
		for _, u := range uris {
			bad = u.Host == "" || strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII })
		}
		if bad {
			flaws = append(flaws, Flaw{[]string{"sans", strconv.Itoa(i)}, fmt.Sprintf("is for %q, which is not a name that a certificate can have", name),
				"write a host name in ASCII (xn-- for others), an IP address, an e-mail address or a URL"})
		}
	}
	return flaws
}

func issuerOf(f *Family) (*x509.Certificate, error) {
	name := f.Generate.Child.Issuer.Certificate
	chain, err := certificates(f.Parents[name].Reveal())
	if err != nil {
		return nil, fmt.Errorf("and from %s, which is not a certificate", name)
	}
	return chain[0], nil
}

// certificates reads PEM certificates, at least one.
func certificates(b []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := b; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("not a certificate")
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("not a certificate")
	}
	return all, nil
}

func checkCertificate(f *Family, child []byte) error {
	chain, err := certificates(child)
	if err != nil {
		return errForm(f)
	}
	key, err := privateKeyOf(f, f.Generate.Child.Of)
	if err != nil {
		return fmt.Errorf("is made from %s, %w", f.Generate.Child.Of, err)
	}
	c, leaf := f.Generate.Child, chain[0]
	other := func(what string) error { return fmt.Errorf("has a different %s than the contract says", what) }
	dns, ips, emails, uris := subjectNames(c.Names)
	switch {
	case !samePublic(leaf.PublicKey, key.Public()):
		return unfit(f)
	case leaf.Subject.CommonName != c.Subject:
		return other("subject")
	case !slices.Equal(leaf.DNSNames, dns) || !slices.EqualFunc(leaf.IPAddresses, ips, net.IP.Equal) || !slices.Equal(leaf.EmailAddresses, emails) ||
		!slices.EqualFunc(leaf.URIs, uris, func(a, b *url.URL) bool { return a.String() == b.String() }):
		return other("list of names")
	case leaf.IsCA != c.CA:
		return other("right to sign others")
	case !slices.Equal(leaf.ExtKeyUsage, extUsages(c.Usages)):
		return other("list of usages")
	case leaf.NotAfter.Sub(leaf.NotBefore) != c.Lifetime.Truncate(time.Second)+clockSkew:
		return other("lifetime")
	}
	_, rest := pem.Decode(child)
	if c.Issuer.Certificate == "" {
		// CheckSignatureFrom asks for a certificate authority, which one for a
		// server need not be.
		if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
			return unfit(f)
		}
		if len(rest) > 0 {
			return other("chain")
		}
		return nil
	}
	issuer, err := issuerOf(f)
	if err != nil {
		return fmt.Errorf("is made from %s %w", f.Generate.Child.Of, err)
	}
	if leaf.CheckSignatureFrom(issuer) != nil {
		return fmt.Errorf("is not signed by %s", c.Issuer.Certificate)
	}
	if tail := f.Parents[c.Issuer.Certificate].Reveal(); c.Chain && !bytes.Equal(rest, tail) || !c.Chain && len(rest) > 0 {
		return other("chain")
	}
	return nil
}

func endsCertificate(_ *Family, child []byte) (time.Time, bool) {
	chain, err := certificates(child)
	if err != nil {
		return time.Time{}, false
	}
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end, true
}

// samePublic reports whether two public keys are one.
func samePublic(a, b any) bool {
	k, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// extUsages are what a certificate is for, in the order of the contract.
func extUsages(names []string) []x509.ExtKeyUsage {
	var usages []x509.ExtKeyUsage
	for _, name := range names {
		usages = append(usages, certificateUsages[name])
	}
	return usages
}

var certificateUsages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth, "code": x509.ExtKeyUsageCodeSigning, "email": x509.ExtKeyUsageEmailProtection,
}

// subjectNames sorts subject alternative names by what they look like.
func subjectNames(names []string) (dns []string, ips []net.IP, emails []string, uris []*url.URL) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else if u, err := url.Parse(name); err == nil && u.Scheme != "" && strings.Contains(name, "://") {
			uris = append(uris, u)
		} else if strings.Contains(name, "@") {
			emails = append(emails, name)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips, emails, uris
}

// Pair reports whether a certificate is that of a private key.
func Pair(key, certificate value.Value) bool {
	own, err := privateKey(key.Reveal())
	chain, bad := certificates(certificate.Reveal())
	return err == nil && bad == nil && samePublic(chain[0].PublicKey, own.Public())
}

// Described is how a certificate would have been made of its key: all but whose key that
// is, and who signed it. ok is false if it says what no definition of one can, and a new
// one would lack. self says that it is signed by itself.
func Described(v value.Value) (c plan.Child, self, ok bool) {
	chain, err := certificates(v.Reveal())
	if err != nil {
		return c, false, false
	}
	leaf := chain[0]
	c = plan.Child{Subject: leaf.Subject.CommonName, CA: leaf.IsCA, Lifetime: leaf.NotAfter.Sub(leaf.NotBefore) - clockSkew}
	for _, u := range leaf.ExtKeyUsage {
		for _, name := range []string{"server", "client", "code", "email"} {
			if certificateUsages[name] == u {
				c.Usages = append(c.Usages, name)
			}
		}
	}
	c.Names = append(c.Names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	c.Names = append(c.Names, leaf.EmailAddresses...)
	for _, u := range leaf.URIs {
		c.Names = append(c.Names, u.String())
	}
	constrained := len(leaf.PermittedDNSDomains)+len(leaf.ExcludedDNSDomains)+len(leaf.PermittedIPRanges)+len(leaf.UnknownExtKeyUsage)+len(leaf.UnhandledCriticalExtensions) > 0
	ok = c.Subject != "" && len(leaf.Subject.Names) == 1 && len(c.Usages) == len(leaf.ExtKeyUsage) && !constrained && c.Lifetime > 0
	return c, bytes.Equal(leaf.RawIssuer, leaf.RawSubject), ok
}
