package sealing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/internal/fifo"
)

// selfSigned makes a certificate that is valid from a day before Day.
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
	private, good := emittest.Keys[0]()
	_, second := emittest.Keys[1]()
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
	yesterday, nextYear := emittest.Day.AddDate(0, 0, -1), emittest.Day.AddDate(1, 0, 0)

	tests := []struct {
		name string
		data []byte
		want string // the diagnostics, with FILE for the path
	}{
		{"good", good, ""},
		{"with text around it", concat([]byte("Subject: me\n"), good, []byte("\nthat is all\n")), ""},
		{"CRLF", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), ""},
		{"empty", nil, "error VG3001: FILE is empty"},
		{"DER", block.Bytes, "error VG3001: FILE is not a PEM file"},
		{"private key", keyPEM, "error VG3001: FILE holds a PRIVATE KEY: anyone who has it can read every secret sealed for it"},
		{"certificate and private key", concat(good, keyPEM), "error VG3001: FILE holds a PRIVATE KEY: anyone who has it can read every secret sealed for it"},
		{"truncated private key", keyPEM[:100], "error VG3001: FILE holds a PRIVATE KEY: anyone who has it can read every secret sealed for it"},
		{"public key", encode("PUBLIC KEY", public), "error VG3001: FILE is a PEM file, but not of a certificate"},
		{"truncated", good[:len(good)/2], "error VG3001: FILE is truncated or damaged: its PEM does not decode"},
		{"one good, one truncated", concat(good, second[:100]), "error VG3001: FILE is truncated or damaged: its PEM does not decode"},
		{"truncated DER", encode("CERTIFICATE", block.Bytes[:200]), "error VG3001: FILE is truncated or damaged: it does not parse as an X.509 certificate"},
		{"something after the DER", encode("CERTIFICATE", append(block.Bytes[:len(block.Bytes):len(block.Bytes)], 0)), "error VG3001: FILE is truncated or damaged: it does not parse as an X.509 certificate"},
		{"two", concat(good, second), "error VG3004: FILE holds 2 PEM blocks, and it is not clear which one to seal for"},
		{"huge", bytes.Repeat([]byte{'a'}, maxCertificateFile+1), "error VG3001: cannot read the certificate FILE: the file is too large"},
		{"ECDSA", selfSigned(t, ec, yesterday, nextYear), "error VG3003: the certificate FILE is for an ECDSA key; sealing needs RSA"},
		{"1024 bits", selfSigned(t, weak, yesterday, nextYear), "error VG3003: the certificate FILE is for an RSA key of 1024 bits; at least 2048 are needed"},
		{"1024 bits and expired", selfSigned(t, weak, yesterday, yesterday), "error VG3003: the certificate FILE is for an RSA key of 1024 bits; at least 2048 are needed\nerror VG3002: the certificate FILE expired on 2026-02-02"},
		{"expired", selfSigned(t, private, yesterday, yesterday), "error VG3002: the certificate FILE expired on 2026-02-02"},
		{"not yet valid", selfSigned(t, private, nextYear, nextYear), "error VG3002: the certificate FILE is not valid before 2027-02-03T04:05:06Z"},
		{"ends in 30 days", selfSigned(t, private, yesterday, emittest.Day.AddDate(0, 0, 30)), "warning VG3005: the certificate FILE ends on 2026-03-05"},
		{"ends in 31 days", selfSigned(t, private, yesterday, emittest.Day.AddDate(0, 0, 31)), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "cert.pem")
			if err := os.WriteFile(file, test.data, 0o644); err != nil {
				t.Fatal(err)
			}
			pos := []plan.Pos{{File: "/env.cue", Line: 2, Column: 3}}
			cert, ds := Read(file, pos, emittest.Day)
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

	cert, _ := Read(emittest.CertFile(t, 0), nil, emittest.Day)
	if !cert.Public.Equal(&private.PublicKey) || cert.Subject != "CN=test" || len(cert.SHA256) != 64 || !cert.NotAfter.After(emittest.Day) {
		t.Errorf("%+v", cert)
	}
	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none.pem"), "directory": t.TempDir()} {
		if _, ds := Read(path, nil, emittest.Day); len(ds) != 1 || ds[0].Code != plan.CodeCertificateRead || strings.Count(ds[0].Message, path) != 1 {
			t.Errorf("%s: %v", name, ds)
		}
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func FuzzCertificate(f *testing.F) {
	good, err := os.ReadFile("../testdata/cert.pem")
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
		cert, ds := Parse(data, "cert.pem", nil, emittest.Day)
		if (cert == nil) != ds.HasErrors() {
			t.Errorf("certificate %v with %v", cert, ds)
		}
		if cert != nil && (cert.Public.N.BitLen() < minRSABits || emittest.Day.After(cert.NotAfter) || emittest.Day.Before(cert.NotBefore)) {
			t.Errorf("nobody should seal for %+v", cert)
		}
	})
}

// TestInspectCertificate: what no one should seal with can still be looked at.
func TestInspectCertificate(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := emittest.Keys[0]()
	yesterday := emittest.Day.AddDate(0, 0, -1)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: yesterday, NotAfter: yesterday}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf \x1b[2J"}, NotBefore: yesterday, NotAfter: yesterday}
	issued, err := x509.CreateCertificate(rand.Reader, leaf, root, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"ECDSA":   {selfSigned(t, ec, yesterday, emittest.Day), "ECDSA 256"},
		"Ed25519": {selfSigned(t, edwards, yesterday, emittest.Day), "Ed25519 256"},
		"issued and expired": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued}),
			"RSA 2048 CN=leaf \uFFFD[2J CN=root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "cert.pem")
			if err := os.WriteFile(file, concat([]byte("around it\n"), test.data), 0o644); err != nil {
				t.Fatal(err)
			}
			got, ds := Inspect(file, nil, emittest.Day)
			if got == nil || !ds.HasErrors() {
				t.Fatalf("%v %v", got, ds)
			}
			if c, _ := Read(file, nil, emittest.Day); c != nil {
				t.Error("one can seal with it")
			}
			if !bytes.Equal(got.PEM, test.data) || got.Path != file || len(got.SHA256) != 64 {
				t.Errorf("%+v", got)
			}
			if is := strings.TrimSpace(fmt.Sprint(got.Algorithm, " ", got.Bits, " ", got.Subject, " ", got.Issuer)); is != test.want {
				t.Errorf("it is %s, not %s", is, test.want)
			}
		})
	}
}

// TestWriteCertificate: a certificate replaces one, or nothing, and no file that
// a mistaken contract names.
func TestWriteCertificate(t *testing.T) {
	t.Parallel()
	private, first := emittest.Keys[0]()
	_, second := emittest.Keys[1]()
	cert, ds := Parse(second, "second", nil, emittest.Day)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	pos := []plan.Pos{{File: "/env.cue", Line: 2, Column: 3}}
	for name, test := range map[string]struct {
		old  []byte // nil is no file
		want string // "" is that it is written
	}{
		"none":                        {nil, ""},
		"another":                     {first, ""},
		"two":                         {concat(first, second), ""},
		"a truncated one":             {first[:100], ""},
		"empty":                       {[]byte("\n"), ""},
		"dotenv":                      {[]byte("TOKEN=tok-c4nary\n"), "FILE is not a certificate, so it is not replaced"},
		"key":                         {keyPEM, "FILE holds a PRIVATE KEY, so it is not replaced"},
		"certificate and private key": {concat(first, keyPEM), "FILE holds a PRIVATE KEY, so it is not replaced"},
		"huge":                        {bytes.Repeat([]byte{'a'}, maxCertificateFile+1), "the content of FILE cannot be read, so it is not replaced: the file is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "cert.pem")
			if test.old != nil {
				if err := os.WriteFile(file, test.old, 0o640); err != nil {
					t.Fatal(err)
				}
			}
			ds := cert.Write(file, pos)
			want := test.old
			if test.want == "" {
				want = second
			}
			if got, _ := os.ReadFile(file); !bytes.Equal(got, want) {
				t.Errorf("the file has %q", got)
			}
			if info, err := os.Stat(file); err != nil || test.old != nil && info.Mode() != 0o640 || test.old == nil && info.Mode()&0o600 != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("left in the directory: %v", entries)
			}
			if test.want == "" && len(ds) == 0 {
				return
			}
			if len(ds) != 1 || ds[0].Code != plan.CodeCertificateWrite || !cmp.Equal(ds[0].Pos, pos) || ds[0].Hint == "" ||
				strings.ReplaceAll(ds[0].Message, file, "FILE") != test.want {
				t.Error(ds)
			}
		})
	}

	t.Run("links", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		file, link, dangling := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "link.pem"), filepath.Join(dir, "dangling.pem")
		for _, err := range []error{os.WriteFile(file, first, 0o644), os.Symlink("cert.pem", link), os.Symlink("none.pem", dangling)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if ds := cert.Write(link, nil); len(ds) > 0 {
			t.Error(ds)
		}
		got, err := os.ReadFile(file)
		if info, e := os.Lstat(link); err != nil || e != nil || !bytes.Equal(got, second) || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the file has %q; the link %v; %v %v", got, info, err, e)
		}
		if ds := cert.Write(dangling, nil); len(ds) != 1 || !strings.HasSuffix(ds[0].Message, "none.pem, to which it leads, does not exist") {
			t.Error(ds)
		}
	})

	t.Run("where nobody writes", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		files := map[string]string{"no directory": filepath.Join(dir, "none", "cert.pem"), "a directory": dir}
		if os.Geteuid() != 0 { // who may write anyway
			closed := filepath.Join(dir, "closed")
			file := filepath.Join(dir, "read-only.pem")
			for _, err := range []error{os.Mkdir(closed, 0o755), os.WriteFile(filepath.Join(closed, "cert.pem"), first, 0o644),
				os.Chmod(closed, 0o555), os.WriteFile(file, first, 0o444)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() { os.Chmod(closed, 0o755) })
			files["read-only directory"], files["read-only file"] = filepath.Join(closed, "cert.pem"), file
		}
		for name, file := range files {
			before, _ := os.ReadFile(file)
			if ds := cert.Write(file, nil); len(ds) != 1 || ds[0].Code != plan.CodeCertificateWrite {
				t.Errorf("%s: %v", name, ds)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Errorf("%s: it is written", name)
			}
		}
	})
}

// A named pipe to which no one writes is not waited for; what a command writes
// into one is read.
func TestCertificateFromPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "fifo")
	if err := fifo.Make(pipe); err != nil {
		t.Fatal(err)
	}
	if _, ds := Read(pipe, nil, time.Now()); !ds.HasErrors() {
		t.Error("an empty pipe is a certificate")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pem, err := os.ReadFile("../../fixtures/certificates/good.pem")
	if err != nil {
		t.Fatal(err)
	}
	go func() { time.Sleep(50 * time.Millisecond); w.Write(pem); w.Close() }()
	if got, err := readLimited(fmt.Sprintf("/dev/fd/%d", r.Fd()), 1<<20); err != nil || !bytes.Equal(got, pem) {
		t.Errorf("read %d of %d bytes: %v", len(got), len(pem), err)
	}
}
