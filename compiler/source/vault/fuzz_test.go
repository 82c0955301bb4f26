package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
)

func FuzzAnswers(f *testing.F) {
	sourcetest.FuzzAnswers(f, false, plan.Remote{Name: "app/x", Property: "value"}, func(_ *testing.T, s *httptest.Server) source.Source {
		return New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	})
}

// The namespace of the contract is the one that is asked, whatever VAULT_NAMESPACE says.
func TestNamespaceOfTheContract(t *testing.T) {
	t.Setenv("VAULT_NAMESPACE", "another")
	s := newServer(t)
	read(t.Context(), New(plan.Source{Address: s.URL, Namespace: "team/shop", Mount: "secret", Version: "v2"}), "db#value")
	if got := s.header.Get("X-Vault-Namespace"); got != "team/shop" {
		t.Errorf("the namespace is %q", got)
	}
}

// The authorities of the contract are those that vouch for the server, whatever
// VAULT_CACERT says; and no others do.
func TestAuthoritiesOfTheContract(t *testing.T) {
	own := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusTeapot)
	}))
	defer own.Close()
	pemOf := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	other, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_CACERT_BYTES", pemOf(other))
	t.Setenv("VAULT_TOKEN", token)
	for bundle, want := range map[string]string{
		"":                           "TLS certificate is not trusted; name its authority: VAULT_CACERT",
		pemOf(other):                 "TLS certificate is not trusted",
		pemOf(own.Certificate().Raw): "Vault answers 418",
	} {
		got := read(t.Context(), New(plan.Source{Address: own.URL, CABundle: bundle, Mount: "secret", Version: "v2"}), "db#value")
		if !strings.Contains(got, want) {
			t.Errorf("%.40q: %s, want %s", bundle, got, want)
		}
	}
}

// A token that wraps another is told as that, and not as one that has expired.
func TestWrappedToken(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sys/wrapping/lookup" {
			if r.Header.Get("X-Vault-Token") != "" {
				t.Error("to look it up has used it up")
			}
			answer(w, http.StatusOK, map[string]any{"creation_path": "auth/token/create", "creation_ttl": 300})
			return
		}
		t.Errorf("%s %s has used it up", r.Method, r.URL.Path)
		refuse(w, http.StatusForbidden, "permission denied")
	}))
	defer s.Close()
	t.Setenv("VAULT_TOKEN", token)
	got := read(t.Context(), New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"}), "db#value")
	if !strings.HasPrefix(got, "unreadable: the Vault token is wrapped") || !strings.Contains(got, "vault unwrap") {
		t.Error(got)
	}
}
