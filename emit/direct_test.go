package emit

import (
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// TestRenderTyped: who writes the Secrets itself is told, too, that their
// content is not what their type demands.
func TestRenderTyped(t *testing.T) {
	t.Parallel()
	name := "a:b"
	p := &plan.Plan{Secrets: []plan.Secret{{
		Namespace: "apps", Name: "login", Type: "kubernetes.io/basic-auth", Keys: []plan.Key{{Name: "username", Value: &name}},
	}}}
	all, ds := Render(p, value.Set{})
	if all != nil || len(ds) != 1 || ds[0].Code != plan.CodeTypeContent || !strings.Contains(ds[0].Message, "secret apps/login") {
		t.Errorf("it renders %d Secrets and says %v", len(all), ds)
	}
}
