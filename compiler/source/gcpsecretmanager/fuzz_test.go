package gcpsecretmanager

import (
	"net/http/httptest"
	"testing"

	"cloud.google.com/go/auth"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
)

func FuzzAnswers(f *testing.F) {
	sourcetest.FuzzAnswers(f, true, plan.Remote{Name: "x"}, func(_ *testing.T, s *httptest.Server) source.Source {
		creds := auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token("good")})
		return open(plan.Source{Project: project}, service{endpoint: s.URL, transport: s.Client().Transport, creds: creds})
	})
}

// Regional secrets are in a location, and have no replicas elsewhere.
func TestRegional(t *testing.T) {
	t.Parallel()
	c := &connection{project: "p", location: "europe-west3"}
	ref := source.Ref{Remote: plan.Remote{Name: "x"}}
	if got, want := c.version(ref, "latest"), "projects/p/locations/europe-west3/secrets/x/versions/latest"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
