package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestDocumentKeys: an input has the keys that it goes into, and no others.
func TestDocumentKeys(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{
		Environment: "test",
		Inputs:      []plan.Input{{Name: "A", Class: plan.Required}, {Name: "B", Class: plan.Required}, {Name: "C", Class: plan.Optional}},
		Secrets: []plan.Secret{{
			Name: "app", Namespace: "apps",
			Keys: []plan.Key{{Name: "a", Input: "A"}, {Name: "b", Input: "B"}, {Name: "both", Template: &plan.Template{Text: "{{.A}}{{.B}}", Inputs: []string{"A", "B"}}}},
		}},
	}
	got := map[string][]string{}
	for name, in := range p.Document(func(string) string { return "" }).Inputs {
		for _, k := range in.Keys {
			got[name] = append(got[name], k.Key)
		}
	}
	if diff := cmp.Diff(map[string][]string{"A": {"a", "both"}, "B": {"b", "both"}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
