package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/trust"
)

// authority makes a root certificate, as PEM and as SHA-256.
func authority(t *testing.T) (text, sha string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), hex.EncodeToString(sum[:])
}

// TestAuthorities: anyone who vouches for an address needs someone else than the
// contract who says so.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	const no = "error VG1408"
	own, sha := authority(t)
	another, _ := authority(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, []byte("both\n"+another+own), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bundle string
		env    map[string]string
		grant  trust.Grant
		want   string
	}{
		"none":                   {},
		"nobody else":            {bundle: own, want: no},
		"the address is allowed": {bundle: own, grant: trust.Grant{Addresses: []string{"https://vault.example"}}, want: no},
		"a file":                 {bundle: own, env: map[string]string{"VAULT_CACERT": file}},
		"a file that is not":     {bundle: own, env: map[string]string{"VAULT_CACERT": file + "x"}, want: no},
		"a directory":            {bundle: own, env: map[string]string{"VAULT_CAPATH": dir}},
		"text":                   {bundle: own, env: map[string]string{"VAULT_CACERT_BYTES": own}},
		"another's text":         {bundle: own, env: map[string]string{"VAULT_CACERT_BYTES": another}, want: no},
		"one more":               {bundle: own + another, env: map[string]string{"VAULT_CACERT_BYTES": another}, want: no},
		"allowed":                {bundle: own, grant: trust.Grant{Certificates: []string{sha}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup := func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }
			p := of(plan.Source{Kind: plan.Vault, CABundle: c.bundle})
			if got := codes(trust.Addresses(p, c.grant, lookup, true)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := codes(trust.Addresses(of(plan.Source{Kind: plan.Vault, CABundle: own}), trust.Grant{}, os.LookupEnv, false)); got != "warning VG1408" {
		t.Errorf("where nobody is asked: %q", got)
	}
}
