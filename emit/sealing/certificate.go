package sealing

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/safefile"
)

const (
	// minRSABits is what NIST SP 800-57 part 1, table 2 asks for at least; the
	// controller itself makes 4096.
	minRSABits = 2048
	// certificateEnds is how long before its end a certificate is worth a
	// warning: the controller makes a new one every 30 days
	// (https://github.com/bitnami-labs/sealed-secrets#sealing-key-renewal).
	certificateEnds = 30 * 24 * time.Hour
	// maxCertificateFile is far more than a chain of certificates needs.
	maxCertificateFile = 1 << 20
)

const (
	hintFetchCert = "fetch the certificate of the cluster's controller: victorgen cert fetch ENV, or kubeseal --fetch-cert > FILE"
)

// Certificate is the public half of a controller's sealing key.
type Certificate struct {
	Public    *rsa.PublicKey // nil if it is for a key of another kind
	Algorithm string         // of the key: RSA
	Bits      int            // of the key; 0 if the algorithm is not known
	SHA256    string         // of the DER form, in lower-case hex
	NotBefore time.Time
	NotAfter  time.Time
	Subject   string
	Issuer    string // empty if it is the subject
	PEM       []byte // the certificate and nothing else
	Path      string // the file that it was read from
}

// Read reads the PEM file at path, which must hold exactly one
// certificate that one can seal with at now. The diagnostics point at pos and
// have the codes [plan.CodeCertificateRead], [plan.CodeCertificateMany],
// [plan.CodeCertificateKey] and [plan.CodeCertificateExpired], and as a
// warning [plan.CodeCertificateEnds] or [plan.CodeCertificateDemo]. With an error among them the
// certificate is nil.
func Read(path string, pos []plan.Pos, now time.Time) (*Certificate, plan.Diagnostics) {
	cert, ds := Inspect(path, pos, now)
	return unless(ds.HasErrors(), cert), ds
}

// Parse is [Read] for what is not in a file; name stands
// for it in messages.
func Parse(data []byte, name string, pos []plan.Pos, now time.Time) (*Certificate, plan.Diagnostics) {
	cert, ds := inspect(data, name, pos, now)
	return unless(ds.HasErrors(), cert), ds
}

// Inspect is [Read] for those who want to know what it is
// even if no one should seal with it: an error leaves the certificate nil only
// if the file does not hold just one.
func Inspect(path string, pos []plan.Pos, now time.Time) (*Certificate, plan.Diagnostics) {
	var ds plan.Diagnostics
	data, err := readLimited(path, maxCertificateFile)
	if err != nil {
		reason, hint := safefile.Explain(path, err)
		ds.Errorf(plan.CodeCertificateRead, pos, cmp.Or(hint, hintFetchCert), "cannot read the certificate %s: %s", path, reason)
		return nil, ds
	}
	return inspect(data, path, pos, now)
}

func inspect(data []byte, path string, pos []plan.Pos, now time.Time) (*Certificate, plan.Diagnostics) {
	x, ds := parseCertificate(data, path, pos)
	if x == nil {
		return nil, ds
	}
	sum := sha256.Sum256(x.Raw)
	cert := &Certificate{
		Algorithm: x.PublicKeyAlgorithm.String(),
		SHA256:    hex.EncodeToString(sum[:]),
		NotBefore: x.NotBefore,
		NotAfter:  x.NotAfter,
		Subject:   tree.Printable(x.Subject.String()),
		PEM:       pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: x.Raw}),
		Path:      path,
	}
	if !bytes.Equal(x.RawIssuer, x.RawSubject) {
		cert.Issuer = tree.Printable(x.Issuer.String())
	}
	switch public := x.PublicKey.(type) {
	case *rsa.PublicKey:
		cert.Public, cert.Bits = public, public.N.BitLen()
	case *ecdsa.PublicKey:
		cert.Bits = public.Params().BitSize
	case ed25519.PublicKey:
		cert.Bits = 8 * len(public)
	}
	return cert, cert.judge(pos, now)
}

// certificateBlock is the type of a PEM block that holds a certificate (RFC 7468,
// section 5).
const certificateBlock = "CERTIFICATE"

// parseCertificate returns the one certificate that data holds, or nil and what
// is wrong.
func parseCertificate(data []byte, path string, pos []plan.Pos) (*x509.Certificate, plan.Diagnostics) {
	var ds plan.Diagnostics
	if holdsPrivateKey(data) { // looked for before anything is decoded, so that a broken key is noticed too
		ds.Errorf(plan.CodeCertificateRead, pos,
			"delete the file, take it out of the Git history and renew the sealing key; then "+hintFetchCert,
			"%s holds a PRIVATE KEY: anyone who has it can read every secret sealed for it", path)
		return nil, ds
	}
	begins := bytes.Count(data, []byte("-----BEGIN "))
	if len(bytes.TrimSpace(data)) == 0 {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is empty", path)
		return nil, ds
	}
	if begins == 0 {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is not a PEM file", path)
		return nil, ds
	}
	var blocks []*pem.Block
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	if len(blocks) != begins { // pem.Decode passes over what it cannot decode
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is truncated or damaged: its PEM does not decode", path)
		return nil, ds
	}
	if len(blocks) > 1 {
		ds.Errorf(plan.CodeCertificateMany, pos,
			"keep only the newest one; the controller still unseals what was sealed for its older ones",
			"%s holds %d PEM blocks, and it is not clear which one to seal for", path, len(blocks))
		return nil, ds
	}
	if blocks[0].Type != certificateBlock {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is a PEM file, but not of a certificate", path)
		return nil, ds
	}
	x, err := x509.ParseCertificate(blocks[0].Bytes)
	if err != nil {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is truncated or damaged: it does not parse as an X.509 certificate", path)
		return nil, ds
	}
	return x, ds
}

func holdsPrivateKey(data []byte) bool { return bytes.Contains(data, []byte("PRIVATE KEY-----")) }

const (
	demoName    = "victorgen demo certificate"
	demoSubject = "CN=" + demoName
	demoLasts   = 10 * 365 * 24 * time.Hour
)

// Demo makes a certificate for trying, which is marked as such in its subject, and in a
// comment. No one has its private key: what is sealed for it stays closed for good.
func Demo(now time.Time) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: demoName}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(demoLasts)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	const note = "# A DEMONSTRATION certificate, to try a build without a cluster. Its private key was\n" +
		"# thrown away, so no cluster can open what is sealed for it. Replace it: victorgen cert fetch ENV\n"
	return append([]byte(note), pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})...), nil
}

// judge says why no one should seal with c at now, or soon.
func (c *Certificate) judge(pos []plan.Pos, now time.Time) plan.Diagnostics {
	var ds plan.Diagnostics
	switch {
	case c.Public == nil:
		ds.Errorf(plan.CodeCertificateKey, pos, hintFetchCert,
			"the certificate %s is for an %s key; sealing needs RSA", c.Path, c.Algorithm)
		return ds
	case c.Bits < minRSABits:
		ds.Errorf(plan.CodeCertificateKey, pos, "renew the sealing key with the controller's flag --key-size=4096, then "+hintFetchCert,
			"the certificate %s is for an RSA key of %d bits; at least %d are needed", c.Path, c.Bits, minRSABits)
	}
	switch {
	case now.After(c.NotAfter):
		ds.Errorf(plan.CodeCertificateExpired, pos, hintFetchCert,
			"the certificate %s expired on %s", c.Path, c.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(c.NotBefore):
		ds.Errorf(plan.CodeCertificateExpired, pos, "check the clock of this machine, or "+hintFetchCert,
			"the certificate %s is not valid before %s", c.Path, c.NotBefore.UTC().Format(time.RFC3339))
	case c.Subject == demoSubject:
		ds.Warnf(plan.CodeCertificateDemo, pos, hintFetchCert,
			"the certificate %s is for demonstration: no cluster can open what is sealed for it", c.Path)
	case c.NotAfter.Sub(now) <= certificateEnds:
		ds.Warnf(plan.CodeCertificateEnds, pos, hintFetchCert,
			"the certificate %s ends on %s", c.Path, c.NotAfter.UTC().Format(time.DateOnly))
	}
	return ds
}

// SameFile names the file at path, whatever links lead to it, so that two paths
// to one file have one name. The file need not be there.
func SameFile(path string) string {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// Write puts the certificate into the file at path, in the place of the one that
// is there. After a crash there is either the old one or the new one. The file
// keeps its mode; a symbolic link stays and what it leads to is written. A file
// that holds anything but certificates is left alone, for path may well be a
// mistake. The diagnostics point at pos and have the code
// [plan.CodeCertificateWrite].
func (c *Certificate) Write(path string, pos []plan.Pos) plan.Diagnostics {
	ds := CheckReplaceable(path, pos)
	if ds.HasErrors() {
		return ds
	}
	if err := safefile.Overwrite(SameFile(path), c.PEM, 0o644); err != nil {
		reason, _ := safefile.Explain(path, err)
		ds.Errorf(plan.CodeCertificateWrite, pos, "give the right to write to it and to its directory, which must be there",
			"cannot write the certificate to %s: %s", path, reason)
	}
	return ds
}

// CheckReplaceable reports what forbids to put a certificate into the file at
// path, as Write would.
func CheckReplaceable(path string, pos []plan.Pos) plan.Diagnostics {
	const hint = "correct delivery.certificate, or move the file away"
	var ds plan.Diagnostics
	data, err := readLimited(path, maxCertificateFile)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = safefile.Follow(path)
	}
	switch {
	case err != nil:
		reason, mend := safefile.Explain(path, err)
		ds.Errorf(plan.CodeCertificateWrite, pos, cmp.Or(mend, hint), "the content of %s cannot be read, so it is not replaced: %s", path, reason)
	case holdsPrivateKey(data):
		ds.Errorf(plan.CodeCertificateWrite, pos, "keep the key elsewhere, and not in Git: anyone who has it can read every secret sealed for it",
			"%s holds a PRIVATE KEY, so it is not replaced", path)
	case len(bytes.TrimSpace(data)) > 0 && !bytes.Contains(data, []byte("-----BEGIN "+certificateBlock+"-----")):
		ds.Errorf(plan.CodeCertificateWrite, pos, hint, "%s is not a certificate, so it is not replaced", path)
	}
	return ds
}

// errTooLarge is what readLimited says of a file over its limit.
var errTooLarge = errors.New("the file is too large")

// readLimited reads a file. It does not wait for who would write to a named pipe;
// one that has a writer, as <(command) of a shell, is read to its end.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLarge
	}
	return data, err
}
