package emit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// selfSigned makes a certificate that is valid from a day before day.
func selfSigned(t *testing.T, key crypto.Signer, from, to time.Time) []byte {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestReadCertificate(t *testing.T) {
	t.Parallel()
	private, good := testKeys[0]()
	_, second := testKeys[1]()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	encode := func(typ string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}) }
	keyPEM := encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private))
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	yesterday, nextYear := day.AddDate(0, 0, -1), day.AddDate(1, 0, 0)

	tests := []struct {
		name string
		data []byte
		want string // the diagnostics, with FILE for the path
	}{
		{"good", good, ""},
		{"with text around it", concat([]byte("Subject: me\n"), good, []byte("\nthat is all\n")), ""},
		{"CRLF", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), ""},
		{"empty", nil, "error VG3001: FILE is not a PEM file"},
		{"DER", block.Bytes, "error VG3001: FILE is not a PEM file"},
		{"private key", keyPEM, "error VG3001: FILE holds a PRIVATE KEY: whoever has it can read every secret sealed for it"},
		{"certificate and private key", concat(good, keyPEM), "error VG3001: FILE holds a PRIVATE KEY: whoever has it can read every secret sealed for it"},
		{"truncated private key", keyPEM[:100], "error VG3001: FILE holds a PRIVATE KEY: whoever has it can read every secret sealed for it"},
		{"public key", encode("PUBLIC KEY", public), "error VG3001: FILE is a PEM file, but not of a certificate"},
		{"truncated", good[:len(good)/2], "error VG3001: FILE is truncated or damaged: its PEM does not decode"},
		{"one good, one truncated", concat(good, second[:100]), "error VG3001: FILE is truncated or damaged: its PEM does not decode"},
		{"truncated DER", encode("CERTIFICATE", block.Bytes[:200]), "error VG3001: FILE is truncated or damaged: it does not parse as an X.509 certificate"},
		{"something after the DER", encode("CERTIFICATE", append(block.Bytes[:len(block.Bytes):len(block.Bytes)], 0)), "error VG3001: FILE is truncated or damaged: it does not parse as an X.509 certificate"},
		{"two", concat(good, second), "error VG3004: FILE holds 2 PEM blocks, and which one to seal for cannot be told"},
		{"huge", bytes.Repeat([]byte{'a'}, maxCertificateFile+1), "error VG3001: cannot read the certificate FILE: the file is too large"},
		{"ECDSA", selfSigned(t, ec, yesterday, nextYear), "error VG3003: the certificate FILE is for an ECDSA key; sealing needs RSA"},
		{"1024 bits", selfSigned(t, weak, yesterday, nextYear), "error VG3003: the certificate FILE is for an RSA key of 1024 bits; at least 2048 are needed"},
		{"1024 bits and expired", selfSigned(t, weak, yesterday, yesterday), "error VG3003: the certificate FILE is for an RSA key of 1024 bits; at least 2048 are needed\nerror VG3002: the certificate FILE expired on 2026-02-02"},
		{"expired", selfSigned(t, private, yesterday, yesterday), "error VG3002: the certificate FILE expired on 2026-02-02"},
		{"not yet valid", selfSigned(t, private, nextYear, nextYear), "error VG3002: the certificate FILE is not valid before 2027-02-03T04:05:06Z"},
		{"ends in 30 days", selfSigned(t, private, yesterday, day.AddDate(0, 0, 30)), "warning VG3005: the certificate FILE ends on 2026-03-05"},
		{"ends in 31 days", selfSigned(t, private, yesterday, day.AddDate(0, 0, 31)), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "cert.pem")
			if err := os.WriteFile(file, test.data, 0o644); err != nil {
				t.Fatal(err)
			}
			pos := []plan.Pos{{File: "/env.cue", Line: 2, Column: 3}}
			cert, ds := ReadCertificate(file, pos, day)
			got := strings.ReplaceAll(strings.ReplaceAll(ds.Error(), file, "FILE"), "/env.cue:2:3: ", "")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (cert == nil) != ds.HasErrors() {
				t.Errorf("certificate %v with %v", cert, ds)
			}
			for _, d := range ds {
				if d.Hint == "" || !cmp.Equal(d.Pos, pos) {
					t.Errorf("%+v", d)
				}
			}
		})
	}

	cert, _ := ReadCertificate(certFile(t, 0), nil, day)
	if !cert.Public.Equal(&private.PublicKey) || cert.Subject != "CN=test" || len(cert.SHA256) != 64 || !cert.NotAfter.After(day) {
		t.Errorf("%+v", cert)
	}
	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none.pem"), "directory": t.TempDir()} {
		if _, ds := ReadCertificate(path, nil, day); len(ds) != 1 || ds[0].Code != plan.CodeCertificateRead || strings.Count(ds[0].Message, path) != 1 {
			t.Errorf("%s: %v", name, ds)
		}
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func FuzzCertificate(f *testing.F) {
	good, err := os.ReadFile("testdata/cert.pem")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(good, good...))
	f.Add(good[:200])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cert, ds := parseCertificate(data, "cert.pem", nil, day)
		if (cert == nil) != ds.HasErrors() {
			t.Errorf("certificate %v with %v", cert, ds)
		}
		if cert != nil && (cert.Public.N.BitLen() < minRSABits || day.After(cert.NotAfter) || day.Before(cert.NotBefore)) {
			t.Errorf("nobody should seal for %+v", cert)
		}
	})
}
