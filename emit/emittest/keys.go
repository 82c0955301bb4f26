package emittest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bitnami-labs/sealed-secrets/pkg/crypto"
)

// Day is when the tests build; the certificates of the tests are good then.
var Day = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)

// Keys are two sealing keys and their certificates in PEM, made once.
var Keys = [2]func() (*rsa.PrivateKey, []byte){newKey(), newKey()}

func newKey() func() (*rsa.PrivateKey, []byte) {
	return sync.OnceValues(func() (*rsa.PrivateKey, []byte) {
		key, _, err := crypto.GeneratePrivateKeyAndCert(2048, time.Hour, "test")
		if err != nil {
			panic(err)
		}
		cert, err := crypto.SignKeyWithNotBefore(rand.Reader, key, Day.AddDate(0, -1, 0), 365*24*time.Hour, "test")
		if err != nil {
			panic(err)
		}
		return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	})
}

// SHA256 is the fingerprint of the certificate of one of the Keys.
func SHA256(i int) string {
	_, cert := Keys[i]()
	block, _ := pem.Decode(cert)
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// CertFile returns the path of the certificate of one of the Keys.
func CertFile(t testing.TB, i int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cert.pem")
	_, cert := Keys[i]()
	if err := os.WriteFile(file, cert, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
