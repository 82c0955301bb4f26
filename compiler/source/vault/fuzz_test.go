package vault

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

// A token that wraps another is told as that, and not as one that has expired.
func TestWrappedToken(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sys/wrapping/lookup" {
			answer(w, http.StatusOK, map[string]any{"creation_path": "auth/token/create", "creation_ttl": 300})
			return
		}
		refuse(w, http.StatusForbidden, "permission denied")
	}))
	defer s.Close()
	got := read(t.Context(), New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"}), "db#value")
	if !strings.HasPrefix(got, "unreadable: the Vault token is wrapped") || !strings.Contains(got, "vault unwrap") {
		t.Error(got)
	}
}
