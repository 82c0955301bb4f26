package source_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// TestLost (issue 10, 5): absent now is not the same as never there.
func TestLost(t *testing.T) {
	t.Parallel()
	generated := func(name string) plan.Input {
		return plan.Input{Name: name, Class: plan.Generated, Generate: &plan.Generate{Kind: plan.UUID}}
	}
	p := makePlan(nil, generated("KEY"), generated("NEW"), generated(plan.LockKey))
	const cannotSay = "nobody can say"
	for name, test := range map[string]struct {
		known   map[string]string
		verb    string
		o       source.Options
		created string
		want    string // the diagnostics, by their beginnings
		lost    string
	}{
		"nothing is known": {created: "KEY NEW " + plan.LockKey},
		"one is known":     {known: map[string]string{"KEY": "the lock"}, created: "NEW " + plan.LockKey, want: "warning VG2107: source default (test) does not have KEY, and the lock has a value of it", lost: "KEY"},
		"the lock key is known: nothing new can be sealed": {known: map[string]string{"KEY": "the lock", plan.LockKey: "the lock"},
			want: "error VG2107: source default (test) does not have KEY and VICTORGEN_LOCK_KEY, and the lock has values of them", lost: "KEY VICTORGEN_LOCK_KEY"},
		"nothing is new":     {known: map[string]string{"KEY": "the lock", "NEW": "the lock", plan.LockKey: "the lock"}, want: "warning VG2107", lost: "KEY NEW VICTORGEN_LOCK_KEY"},
		"apply":              {known: map[string]string{"KEY": "Secret a/b"}, o: source.Options{MustRead: true}, want: "error VG2107", lost: "KEY"},
		"generate":           {known: map[string]string{"KEY": "the lock"}, verb: "generate", want: "error VG2107", lost: "KEY"},
		"no generate":        {known: map[string]string{"KEY": "the lock"}, o: source.Options{NoGenerate: true}, want: "error VG2002: generated input KEY is missing, and the lock has a value of it"},
		"it cannot be known": {known: map[string]string{cannotSay: ""}, want: "error VG4001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vault{store: store{name: "default", values: map[string]string{}}}
			test.o.Known = func(_ context.Context, inputs []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
				var ds plan.Diagnostics
				if len(inputs) != 3 {
					t.Errorf("asked for %v", inputs)
				}
				if _, ok := test.known[cannotSay]; ok {
					ds.Errorf(plan.CodeLockRead, nil, "", "it cannot be read")
				}
				holders := map[string]source.Holder{}
				for name, by := range test.known {
					holders[name] = source.Holder{By: by}
				}
				return holders, ds
			}
			resolve := source.Resolve
			if test.verb == "generate" {
				resolve = source.Generate
			}
			set, ds := resolve(t.Context(), p, map[string]source.Source{"default": v}, test.o)
			if got := strings.Join(slices.Sorted(slices.Values(v.created)), " "); got != test.created {
				t.Errorf("generated %q, want %q", got, test.created)
			}
			if got := ds.Error(); !strings.Contains(got, test.want) || test.want == "" && len(ds) > 0 {
				t.Errorf("%s\nwant %s", got, test.want)
			}
			for _, name := range strings.Fields(test.lost) {
				if r := set[name]; r.State != value.Unreadable || !strings.Contains(r.Remedy, "--renew "+name) {
					t.Errorf("%s: %+v", name, r)
				}
			}
		})
	}
}

// TestLostOptional: an input that may be absent and is known to have been there is not
// left out, but where the contract says so. For a rule it counts as present.
func TestLostOptional(t *testing.T) {
	t.Parallel()
	no := false
	rule := plan.Rule{Name: "one", Kind: plan.ExactlyOne, Inputs: []string{"A", "B"}}
	for name, test := range map[string]struct {
		a      plan.Input
		known  source.Holder
		o      source.Options
		values map[string]string
		rules  []plan.Rule
		want   string
		state  value.State
	}{
		"it was there":                          {a: plan.Input{Class: plan.Optional}, known: source.Holder{By: "the lock"}, state: value.Unreadable, want: "warning VG2107: source default (test) does not have A, and the lock has a value of it: it is not left out"},
		"a setting was":                         {a: plan.Input{Class: plan.Setting}, known: source.Holder{By: "the lock"}, state: value.Unreadable, want: "warning VG2107: source default (test) does not have A, and the lock has a value of it: it is not left out"},
		"it never was":                          {a: plan.Input{Class: plan.Optional}, state: value.Absent},
		"apply":                                 {a: plan.Input{Class: plan.Optional}, known: source.Holder{By: "Secret a/b"}, o: source.Options{MustRead: true}, state: value.Unreadable, want: "error VG2107"},
		"no generate":                           {a: plan.Input{Class: plan.Optional}, known: source.Holder{By: "the lock"}, o: source.Options{NoGenerate: true}, state: value.Unreadable, want: "warning VG2107"},
		"no copy can stand in":                  {a: plan.Input{Class: plan.Optional}, known: source.Holder{By: "the lock", Remedy: "bring it along"}, state: value.Unreadable, want: "error VG2107"},
		"it is gone, according to the contract": {a: plan.Input{Class: plan.Optional, Present: &no}, known: source.Holder{By: "the lock"}, state: value.Absent},
		"it is there, and the contract says it is gone": {a: plan.Input{Class: plan.Optional, Present: &no}, values: map[string]string{"A": "a-7f3k29dk20sk3"}, state: value.Absent, want: "warning VG2105: A in default:A is ignored"},
		"a rule":            {a: plan.Input{Class: plan.Optional}, known: source.Holder{By: "the lock"}, values: map[string]string{"B": "b-7f3k29dk20sk3"}, rules: []plan.Rule{rule}, state: value.Unreadable, want: "only one of A, B may be set, but A and B are"},
		"a rule, satisfied": {a: plan.Input{Class: plan.Optional}, known: source.Holder{By: "the lock"}, rules: []plan.Rule{rule}, state: value.Unreadable, want: "warning VG2107"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.a.Name = "A"
			p := makePlan(test.rules, test.a, plan.Input{Name: "B", Class: plan.Optional})
			test.o.Known = func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
				return map[string]source.Holder{"A": test.known}, nil
			}
			v := &vault{store: store{name: "default", values: test.values}}
			set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": v}, test.o)
			if got := ds.Error(); !strings.Contains(got, test.want) || test.want == "" && len(ds) > 0 {
				t.Errorf("%s\nwant %s", got, test.want)
			}
			r := set["A"]
			if r.State != test.state || r.State == value.Unreadable && !strings.Contains(r.Remedy, "write present: false at the input") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestLostAsksOnce: who knows is asked only where something is absent.
func TestLostAsksOnce(t *testing.T) {
	t.Parallel()
	in := plan.Input{Name: "KEY", Class: plan.Generated, Generate: &plan.Generate{Kind: plan.UUID}}
	v := &vault{store: store{name: "default", values: map[string]string{"KEY": "0b1a3f6c-6d2e-4d64-9d53-0d9a35d3a7c1"}}}
	_, ds := source.Resolve(t.Context(), makePlan(nil, in), map[string]source.Source{"default": v}, source.Options{
		Known: func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
			t.Error("asked, and nothing is absent")
			return nil, nil
		},
	})
	if len(ds) > 0 {
		t.Error(ds)
	}
}

// TestGeneratedMeanwhile: what another build has generated, and a lock knows of, after
// it was found to be absent is not lost.
func TestGeneratedMeanwhile(t *testing.T) {
	t.Parallel()
	const theirs = "0b1a3f6c-6d2e-4d64-9d53-0d9a35d3a7c1"
	in := plan.Input{Name: "KEY", Class: plan.Generated, Generate: &plan.Generate{Kind: plan.UUID}}
	v := &vault{store: store{name: "default", values: map[string]string{}}}
	set, ds := source.Resolve(t.Context(), makePlan(nil, in), map[string]source.Source{"default": v}, source.Options{
		Known: func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
			v.values["KEY"] = theirs
			return map[string]source.Holder{"KEY": {By: "the lock of another"}}, nil
		},
	})
	if got := string(set["KEY"].Value.Reveal()); len(ds) > 0 || got != theirs {
		t.Errorf("%q is not their value; %s", got, ds.Error())
	}
}
