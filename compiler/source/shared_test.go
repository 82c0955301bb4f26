package source_test

import (
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

func TestShared(t *testing.T) {
	t.Parallel()
	environment := func(name string, src plan.Source, inputs ...plan.Input) *plan.Plan {
		for i := range inputs {
			inputs[i].Source = "default"
		}
		return &plan.Plan{Environment: name, Sources: []plan.Source{src}, Inputs: inputs}
	}
	set := func(values ...string) value.Set {
		s := value.Set{}
		for i := 0; i < len(values); i += 2 {
			s[values[i]] = value.Resolved{State: value.Present, Value: value.New([]byte(values[i+1]))}
		}
		return s
	}
	file := plan.Source{Name: "default", Kind: plan.Env, File: "/m/.secrets"}
	other := plan.Source{Name: "default", Kind: plan.Env, File: "/m/.secrets.other"}
	service := plan.Source{Name: "default", Kind: plan.AWSSSM, Region: "r"}
	team := func(namespace string) plan.Source {
		return plan.Source{Name: "default", Kind: plan.Vault, Address: "https://vault.example", Namespace: namespace, Mount: "secret"}
	}
	of := func(module string, p *plan.Plan) *plan.Plan {
		p.Module = module
		return p
	}
	a, b, r := generated("A"), generated("B"), required("R")
	remote := generated("A")
	remote.Remote.Name = "/app/a"
	for name, test := range map[string]struct {
		plans []*plan.Plan
		sets  []value.Set
		want  string
	}{
		"one file": {
			[]*plan.Plan{environment("dev", file, a, b, r), environment("prod", file, a, b, r)},
			[]value.Set{set("A", canary, "B", "x"+canary, "R", "r"), set("A", canary, "B", "x"+canary, "R", "r")},
			"environments dev and prod have the same generated value of A, B|they share /m/.secrets",
		},
		"copied": {
			[]*plan.Plan{environment("dev", file, a), nil, environment("prod", other, b)},
			[]value.Set{set("A", canary), nil, set("B", canary)},
			"environments dev and prod have the same generated value of A, B|a source of its own",
		},
		"in two modules": {
			[]*plan.Plan{of("/one", environment("dev", file, a)), of("/two", environment("dev", other, a))},
			[]value.Set{set("A", canary), set("A", canary)},
			"environments dev of /one and dev of /two have the same generated value of A|a source of its own",
		},
		"different": {
			[]*plan.Plan{environment("dev", file, a), environment("prod", other, a)}, []value.Set{set("A", canary), set("A", canary+"2")}, "",
		},
		"unread": {
			[]*plan.Plan{environment("dev", file, a), environment("prod", other, a)}, []value.Set{set("A", canary), nil}, "",
		},
		"in one environment": {
			[]*plan.Plan{environment("dev", file, a, b)}, []value.Set{set("A", canary, "B", canary)}, "",
		},
		"one remote": {
			[]*plan.Plan{environment("dev", service, remote), environment("prod", service, remote)}, []value.Set{set("A", canary), set("A", canary)}, "",
		},
		"one remote in two namespaces of Vault": {
			[]*plan.Plan{environment("dev", team("dev"), remote), environment("prod", team("prod"), remote)}, []value.Set{set("A", canary), set("A", canary)},
			"environments dev and prod have the same generated value of A|a source of its own",
		},
	} {
		var c source.Comparison
		for i := range test.plans { // the order in which they come does not matter
			if n := len(test.plans) - 1 - i; test.plans[n] != nil {
				c.Add(n, test.plans[n], test.sets[n])
			}
		}
		told := c.Diagnostics()
		for i := range test.plans {
			ds := told[i]
			message, hint, wanted := strings.Cut(test.want, "|")
			switch {
			case test.plans[i] == nil || !wanted:
				if len(ds) > 0 {
					t.Errorf("%s: got %v", name, ds)
				}
			case len(ds) != 1 || ds[0].Message != message || !strings.Contains(ds[0].Hint, hint) || ds[0].Severity != plan.Warning:
				t.Errorf("%s: got %v", name, ds)
			}
			if strings.Contains(ds.Error(), canary) {
				t.Errorf("%s: a value is shown", name)
			}
		}
	}
}
