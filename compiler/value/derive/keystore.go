package derive

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// keystoreEntry is an entry of a keystore, with what its inputs hold.
type keystoreEntry struct {
	alias string
	key   crypto.Signer // nil if the certificate is only trusted
	chain []*x509.Certificate
}

// entriesOf reads the parents of a keystore.
func entriesOf(f *Family) ([]keystoreEntry, error) {
	var entries []keystoreEntry
	for _, e := range f.Generate.Child.Entries {
		entry := keystoreEntry{alias: e.Alias}
		var err error
		if entry.chain, err = certificates(f.Parents[e.Certificate].Reveal()); err != nil {
			return nil, fmt.Errorf("and from %s, which is not a certificate", e.Certificate)
		}
		if e.Key != "" {
			if entry.key, err = privateKeyOf(f, e.Key); err != nil {
				return nil, err
			}
			if !samePublic(entry.chain[0].PublicKey, entry.key.Public()) {
				return nil, fmt.Errorf("and from %s, which is not the key of %s", e.Key, e.Certificate)
			}
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// makePKCS12 writes a keystore in the form of OpenSSL 3 and Java 20: one key
// with its chain, or certificates that are trusted, for one file holds either.
func makePKCS12(f *Family) ([]byte, error) {
	entries, err := entriesOf(f)
	if err != nil {
		return nil, err
	}
	encoder := pkcs12.Modern2023.WithRand(f.Rand)
	password := string(f.of())
	var b []byte
	switch first := entries[0]; {
	case first.key != nil && len(entries) == 1:
		b, err = encoder.Encode(first.key, first.chain[0], first.chain[1:], password)
	case first.key == nil:
		var trusted []pkcs12.TrustStoreEntry
		for _, e := range entries {
			trusted = append(trusted, pkcs12.TrustStoreEntry{Cert: e.chain[0], FriendlyName: e.alias})
		}
		b, err = encoder.EncodeTrustStoreEntries(trusted, password)
	default:
		return nil, errors.New("with several entries of which one has a key: a PKCS #12 keystore has one, or trusted certificates alone")
	}
	if err != nil {
		return nil, errors.New("which can't be the password of a keystore")
	}
	return b, nil
}

func checkPKCS12(f *Family, child []byte) error {
	entries, err := entriesOf(f)
	if err != nil {
		return fmt.Errorf("is made from %s %w", f.Generate.Child.Of, err)
	}
	password := string(f.of())
	if entries[0].key != nil {
		key, leaf, chain, err := pkcs12.DecodeChain(child, password)
		if err != nil {
			return openErr(f, err)
		}
		own, ok := key.(crypto.Signer)
		if !ok || !samePublic(own.Public(), entries[0].key.Public()) {
			return fmt.Errorf("holds a different key than %s", f.Generate.Child.Entries[0].Key)
		}
		if !sameChain(append([]*x509.Certificate{leaf}, chain...), entries[0].chain) {
			return fmt.Errorf("holds a different certificate than %s", f.Generate.Child.Entries[0].Certificate)
		}
		return nil
	}
	trusted, err := pkcs12.DecodeTrustStore(child, password)
	if err != nil {
		return openErr(f, err)
	}
	var want []*x509.Certificate
	for _, e := range entries {
		want = append(want, e.chain[0])
	}
	if !sameChain(trusted, want) {
		return errors.New("holds other certificates than the contract says")
	}
	return nil
}

func openErr(f *Family, err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		return unfit(f)
	}
	return errForm(f)
}

func sameChain(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, func(x, y *x509.Certificate) bool { return x.Equal(y) })
}

// MinJKSPassword is what keytool asks for at least
// (https://docs.oracle.com/en/java/javase/21/docs/specs/man/keytool.html).
const MinJKSPassword = 6

func makeJKS(f *Family) ([]byte, error) {
	entries, err := entriesOf(f)
	if err != nil {
		return nil, err
	}
	if len(f.of()) < MinJKSPassword {
		return nil, fmt.Errorf("which is shorter than the %d characters that keytool asks for", MinJKSPassword)
	}
	if bytes.ContainsFunc(f.of(), func(r rune) bool { return r > unicode.MaxASCII }) {
		return nil, errors.New("which has characters beyond ASCII, which Java keystores made here can't have")
	}
	store := keystore.New(keystore.WithOrderedAliases(), keystore.WithCustomRandomNumberGenerator(f.Rand))
	for _, e := range entries {
		if e.key == nil {
			err = store.SetTrustedCertificateEntry(e.alias, keystore.TrustedCertificateEntry{CreationTime: f.Now, Certificate: jksCertificates(e.chain)[0]})
		} else {
			var der []byte
			if der, err = x509.MarshalPKCS8PrivateKey(e.key); err == nil {
				err = store.SetPrivateKeyEntry(e.alias, keystore.PrivateKeyEntry{CreationTime: f.Now, PrivateKey: der, CertificateChain: jksCertificates(e.chain)}, bytes.Clone(f.of()))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("which can't be kept under the alias %q", e.alias)
		}
	}
	var b bytes.Buffer
	if err := store.Store(&b, bytes.Clone(f.of())); err != nil {
		return nil, errors.New("which can't be used for a keystore")
	}
	return b.Bytes(), nil
}

func jksCertificates(chain []*x509.Certificate) []keystore.Certificate {
	var all []keystore.Certificate
	for _, c := range chain {
		all = append(all, keystore.Certificate{Type: "X509", Content: c.Raw})
	}
	return all
}

// jksWhole reports whether a keystore ends in the digest of its password and of
// all before (sun.security.provider.JavaKeyStore, getPreKeyedHash). The library
// compares it after it has believed each length in the file, up to 4 GiB.
func jksWhole(b []byte, password string) bool {
	if len(b) < sha1.Size {
		return false
	}
	body, sum := b[:len(b)-sha1.Size], b[len(b)-sha1.Size:]
	h := sha1.New()
	for _, c := range []byte(password) { // UTF-16 of ASCII
		h.Write([]byte{0, c})
	}
	io.WriteString(h, "Mighty Aphrodite")
	h.Write(body)
	return hmac.Equal(h.Sum(nil), sum)
}

func checkJKS(f *Family, child []byte) error {
	entries, err := entriesOf(f)
	if err != nil {
		return fmt.Errorf("is made from %s %w", f.Generate.Child.Of, err)
	}
	if !bytes.HasPrefix(child, []byte{0xfe, 0xed, 0xfe, 0xed}) {
		return errForm(f)
	}
	store := keystore.New()
	if !jksWhole(child, string(f.of())) || store.Load(bytes.NewReader(child), bytes.Clone(f.of())) != nil {
		return unfit(f)
	}
	if len(store.Aliases()) != len(entries) {
		return errors.New("holds other entries than the contract says")
	}
	same := func(got []keystore.Certificate, want []*x509.Certificate) bool {
		return slices.EqualFunc(got, want, func(a keystore.Certificate, b *x509.Certificate) bool { return bytes.Equal(a.Content, b.Raw) })
	}
	for i, e := range entries {
		alias := strings.ToLower(e.alias)
		if e.key == nil {
			if !store.IsTrustedCertificateEntry(alias) {
				return fmt.Errorf("has no certificate under the alias %q", e.alias)
			}
			got, err := store.GetTrustedCertificateEntry(alias)
			if err != nil || !same([]keystore.Certificate{got.Certificate}, e.chain[:1]) {
				return fmt.Errorf("holds a different certificate than %s", f.Generate.Child.Entries[i].Certificate)
			}
			continue
		}
		if !store.IsPrivateKeyEntry(alias) {
			return fmt.Errorf("has no key under the alias %q", e.alias)
		}
		got, err := store.GetPrivateKeyEntry(alias, bytes.Clone(f.of()))
		if err != nil {
			return unfit(f)
		}
		key, err := x509.ParsePKCS8PrivateKey(got.PrivateKey)
		if own, ok := key.(crypto.Signer); err != nil || !ok || !samePublic(own.Public(), e.key.Public()) {
			return fmt.Errorf("holds a different key than %s", f.Generate.Child.Entries[i].Key)
		}
		if !same(got.CertificateChain, e.chain) {
			return fmt.Errorf("holds a different certificate than %s", f.Generate.Child.Entries[i].Certificate)
		}
	}
	return nil
}

// Content is an entry of a keystore that was opened.
type Content struct {
	Alias string // empty in PKCS #12, of which it is not read
	keystoreEntry
}

// HasKey reports whether there is a private key in it.
func (c Content) HasKey() bool { return c.key != nil }

// IsKey reports whether v is the private key in it.
func (c Content) IsKey(v value.Value) bool {
	key, err := privateKey(v.Reveal())
	return err == nil && c.key != nil && samePublic(key.Public(), c.key.Public())
}

// IsCertificate reports whether v is the certificate in it, with what follows it there.
func (c Content) IsCertificate(v value.Value) bool {
	chain, err := certificates(v.Reveal())
	return err == nil && sameChain(chain, c.chain)
}

// Name is the common name of the certificate in it.
func (c Content) Name() string { return c.chain[0].Subject.CommonName }

// Open opens a keystore of a kind, and tells what is in it; ok is false if the password
// does not open it, or it has what no definition of one says.
func Open(kind string, store, password value.Value) (contents []Content, ok bool) {
	switch kind {
	case plan.PKCS12:
		if key, leaf, chain, err := pkcs12.DecodeChain(store.Reveal(), string(password.Reveal())); err == nil {
			signer, ok := key.(crypto.Signer)
			return []Content{{keystoreEntry: keystoreEntry{key: signer, chain: append([]*x509.Certificate{leaf}, chain...)}}}, ok
		}
		trusted, err := pkcs12.DecodeTrustStore(store.Reveal(), string(password.Reveal()))
		for _, c := range trusted {
			contents = append(contents, Content{keystoreEntry: keystoreEntry{chain: []*x509.Certificate{c}}})
		}
		return contents, err == nil && len(contents) > 0
	case plan.JKS:
		b := store.Reveal()
		ks := keystore.New()
		if !bytes.HasPrefix(b, []byte{0xfe, 0xed, 0xfe, 0xed}) || !jksWhole(b, string(password.Reveal())) || ks.Load(bytes.NewReader(b), bytes.Clone(password.Reveal())) != nil {
			return nil, false
		}
		aliases := ks.Aliases()
		slices.Sort(aliases)
		for _, alias := range aliases {
			c := Content{Alias: alias}
			var certs []keystore.Certificate
			if ks.IsTrustedCertificateEntry(alias) {
				e, err := ks.GetTrustedCertificateEntry(alias)
				if err != nil {
					return nil, false
				}
				certs = []keystore.Certificate{e.Certificate}
			} else {
				e, err := ks.GetPrivateKeyEntry(alias, bytes.Clone(password.Reveal()))
				if err != nil {
					return nil, false
				}
				key, err := x509.ParsePKCS8PrivateKey(e.PrivateKey)
				if c.key, ok = key.(crypto.Signer); err != nil || !ok {
					return nil, false
				}
				certs = e.CertificateChain
			}
			for _, raw := range certs {
				cert, err := x509.ParseCertificate(raw.Content)
				if err != nil {
					return nil, false
				}
				c.chain = append(c.chain, cert)
			}
			if len(c.chain) == 0 {
				return nil, false
			}
			contents = append(contents, c)
		}
		return contents, len(contents) > 0
	}
	return nil, false
}
