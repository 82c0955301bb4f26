package emit

import (
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
)

func TestDefinition(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{Inputs: inputs()}
	seen := map[string]string{}
	for _, from := range []string{"=DB_USER", "DB_USER", "{{.DB_USER}}", "={{.DB_USER}}", "REGION", "LEVEL", "={{.REGION}}", "{{.REGION}}"} {
		d := tree.Definition(key(t, "k", from), p)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one definition", from, other)
		}
		seen[d] = from
	}
	us := "us"
	p.Inputs[5].Default = &us
	for _, from := range []string{"REGION", "{{.REGION}}"} {
		if d := tree.Definition(key(t, "k", from), p); seen[d] != "" {
			t.Errorf("the definition of %s does not depend on the setting", from)
		}
	}
}
