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
			test.o.Known = func(_ context.Context, inputs []plan.Input) (map[string]string, plan.Diagnostics) {
				var ds plan.Diagnostics
				if len(inputs) != 3 {
					t.Errorf("asked for %v", inputs)
				}
				if _, ok := test.known[cannotSay]; ok {
					ds.Errorf(plan.CodeLockRead, nil, "", "it cannot be read")
				}
				return test.known, ds
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

// TestLostAsksOnce: who knows is asked only where something is absent.
func TestLostAsksOnce(t *testing.T) {
	t.Parallel()
	in := plan.Input{Name: "KEY", Class: plan.Generated, Generate: &plan.Generate{Kind: plan.UUID}}
	v := &vault{store: store{name: "default", values: map[string]string{"KEY": "0b1a3f6c-6d2e-4d64-9d53-0d9a35d3a7c1"}}}
	_, ds := source.Resolve(t.Context(), makePlan(nil, in), map[string]source.Source{"default": v}, source.Options{
		Known: func(context.Context, []plan.Input) (map[string]string, plan.Diagnostics) {
			t.Error("asked, and nothing is absent")
			return nil, nil
		},
	})
	if len(ds) > 0 {
		t.Error(ds)
	}
}
