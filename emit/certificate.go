package emit

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
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
	hintFetchCert = "fetch the certificate of the cluster's controller: kubeseal --fetch-cert > FILE"
	dateLayout    = "2006-01-02"
)

// Certificate is the public half of a controller's sealing key.
type Certificate struct {
	Public    *rsa.PublicKey
	SHA256    string // of the DER form, in lower-case hex
	NotBefore time.Time
	NotAfter  time.Time
	Subject   string
	Path      string // the file that it was read from
}

// ReadCertificate reads the PEM file at path, which must hold exactly one
// certificate that one can seal with at now. The diagnostics point at pos and
// have the codes [plan.CodeCertificateRead], [plan.CodeCertificateMany],
// [plan.CodeCertificateKey] and [plan.CodeCertificateExpired], and as a
// warning [plan.CodeCertificateEnds]. With an error among them the
// certificate is nil.
func ReadCertificate(path string, pos []plan.Pos, now time.Time) (*Certificate, plan.Diagnostics) {
	var ds plan.Diagnostics
	data, err := readLimited(path, maxCertificateFile)
	if err != nil {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "cannot read the certificate %s: %v", path, reason(err))
		return nil, ds
	}
	return parseCertificate(data, path, pos, now)
}

func parseCertificate(data []byte, path string, pos []plan.Pos, now time.Time) (*Certificate, plan.Diagnostics) {
	var ds plan.Diagnostics
	// Looked for before anything is decoded, so that a broken key is noticed too.
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		ds.Errorf(plan.CodeCertificateRead, pos,
			"delete the file, take it out of the Git history and renew the sealing key; then "+hintFetchCert,
			"%s holds a PRIVATE KEY: whoever has it can read every secret sealed for it", path)
		return nil, ds
	}
	begins := bytes.Count(data, []byte("-----BEGIN "))
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
			"keep the newest one alone; the controller still unseals what was sealed for its older ones",
			"%s holds %d PEM blocks, and which one to seal for cannot be told", path, len(blocks))
		return nil, ds
	}
	if blocks[0].Type != "CERTIFICATE" {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is a PEM file, but not of a certificate", path)
		return nil, ds
	}
	x, err := x509.ParseCertificate(blocks[0].Bytes)
	if err != nil {
		ds.Errorf(plan.CodeCertificateRead, pos, hintFetchCert, "%s is truncated or damaged: it does not parse as an X.509 certificate", path)
		return nil, ds
	}
	public, ok := x.PublicKey.(*rsa.PublicKey)
	if !ok {
		ds.Errorf(plan.CodeCertificateKey, pos, hintFetchCert,
			"the certificate %s is for an %s key; sealing needs RSA", path, x.PublicKeyAlgorithm)
		return nil, ds
	}
	if bits := public.N.BitLen(); bits < minRSABits {
		ds.Errorf(plan.CodeCertificateKey, pos, "renew the sealing key with the controller's flag --key-size=4096, then "+hintFetchCert,
			"the certificate %s is for an RSA key of %d bits; at least %d are needed", path, bits, minRSABits)
	}
	switch {
	case now.After(x.NotAfter):
		ds.Errorf(plan.CodeCertificateExpired, pos, hintFetchCert,
			"the certificate %s expired on %s", path, x.NotAfter.UTC().Format(dateLayout))
	case now.Before(x.NotBefore):
		ds.Errorf(plan.CodeCertificateExpired, pos, "check the clock of this machine, or "+hintFetchCert,
			"the certificate %s is not valid before %s", path, x.NotBefore.UTC().Format(time.RFC3339))
	case x.NotAfter.Sub(now) <= certificateEnds:
		ds.Warnf(plan.CodeCertificateEnds, pos, hintFetchCert,
			"the certificate %s ends on %s", path, x.NotAfter.UTC().Format(dateLayout))
	}
	if ds.HasErrors() {
		return nil, ds
	}
	sum := sha256.Sum256(x.Raw)
	return &Certificate{
		Public:    public,
		SHA256:    hex.EncodeToString(sum[:]),
		NotBefore: x.NotBefore,
		NotAfter:  x.NotAfter,
		Subject:   x.Subject.String(),
		Path:      path,
	}, ds
}

// errTooLarge is what readLimited says of a file over its limit.
var errTooLarge = errors.New("the file is too large")

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
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

// reason strips the operation and the path from the error of a file
// operation, for messages that name the path themselves.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}
