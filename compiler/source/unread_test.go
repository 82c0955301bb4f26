package source_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// teller is a vault that can tell what it has.
type teller struct {
	vault
	proved   []string
	unproved error
}

func (p *teller) Prove(_ context.Context, refs []source.Ref) []source.Answer {
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		p.proved = append(p.proved, ref.Input)
		if _, ok := p.values[ref.Input]; !ok {
			answers[i].Err = source.ErrAbsent
		}
		if p.unproved != nil {
			answers[i].Err = p.unproved
		}
	}
	return answers
}

// deliver makes one secret of each kind from inputs.
func deliver(p *plan.Plan, sealed, external []string) *plan.Plan {
	for kind, inputs := range map[string][]string{plan.Sealed: sealed, plan.External: external} {
		s := plan.Secret{Name: kind, Delivery: plan.Delivery{Kind: kind}}
		for _, in := range inputs {
			s.Keys = append(s.Keys, plan.Key{Name: in, Input: in})
		}
		p.Secrets = append(p.Secrets, s)
	}
	return p
}

// TestUnread: what external secrets alone are made from is proved, not read and
// not judged, unless that is known already.
func TestUnread(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	there, gone, born, weak := optional("THERE"), optional("GONE"), generated("BORN"), required("WEAK")
	there.Present, gone.Present, born.Generate.InCluster = &yes, &no, true
	there.Deprecated = "use another"
	weak.Constraints.MinLength = 100
	p := deliver(makePlan(nil, there, gone, born, weak, required("BOTH"), optional("MAYBE"), generated("RANDOM"), required("UNUSED")),
		[]string{"BOTH"}, []string{"THERE", "GONE", "BORN", "WEAK", "BOTH", "MAYBE", "RANDOM"})
	s := &teller{vault: vault{store: store{name: "v", values: map[string]string{"BOTH": "b", "WEAK": "w", "UNUSED": "u"}}}}
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": s}, source.Options{Rand: seeded()})
	want := map[string]string{
		"THERE": " from the contract", "GONE": "absent", "BORN": " from the contract", "WEAK": " from ", "BOTH": "b from v:BOTH",
		"MAYBE": "absent", "RANDOM": "generated, v:RANDOM", "UNUSED": "u from v:UNUSED",
	}
	if diff := cmp.Diff(want, find(set)); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 warning VG1207: THERE is deprecated: use another; remove it from the contract"}, say(ds)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	slices.Sort(s.proved)
	if diff := cmp.Diff([]string{"MAYBE", "RANDOM", "WEAK"}, s.proved); diff != "" {
		t.Errorf("proved (-want +got):\n%s", diff)
	}
	var read []string
	for _, refs := range s.reads {
		for _, ref := range refs {
			read = append(read, ref.Input)
		}
	}
	if diff := cmp.Diff([]string{"BOTH", "UNUSED"}, read); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}

	// Generate leaves to the cluster what is generated there.
	set, ds = source.Generate(t.Context(), p, map[string]source.Source{"default": s}, source.Options{Rand: seeded()})
	if _, ok := set["BORN"]; ok || ds.HasErrors() {
		t.Errorf("generate generated BORN: %v", ds)
	}
	if _, ds := source.Verify(t.Context(), p, map[string]source.Source{"default": s}, true, epoch, source.Options{}); slices.ContainsFunc(ds, func(d plan.Diagnostic) bool {
		return d.Code == plan.CodeMissingGenerated && d.Pos[0] == mustInput(p, "BORN").Pos[0]
	}) {
		t.Error("verify misses what is generated in the cluster")
	}
}

func mustInput(p *plan.Plan, name string) plan.Input {
	in, ok := p.Input(name)
	if !ok {
		panic(name)
	}
	return in
}

// TestUnproved: a source that does not tell is a warning, for the lock may know;
// one that cannot tell without reading is an error.
func TestUnproved(t *testing.T) {
	t.Parallel()
	p := deliver(makePlan(nil, required("A"), optional("B")), nil, []string{"A", "B"})
	s := &teller{unproved: fmt.Errorf("no rights: %w", source.ErrUnreadable)}
	for name, s := range map[string]source.Source{"itself": s, "dry run": source.DryRun(s)} {
		set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": s}, source.Options{})
		want := []string{"100 warning VG2101: source default (test) does not report whether it has A and B: no rights: unreadable; what the lock knows about them is used"}
		if diff := cmp.Diff(want, say(ds)); diff != "" || set["A"].State != value.Unreadable {
			t.Errorf("%s: %v (-want +got):\n%s", name, set["A"].State, diff)
		}
	}
	for name, s := range map[string]source.Source{"itself": &vault{}, "dry run": source.DryRun(&vault{})} {
		_, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": s}, source.Options{})
		if !ds.HasErrors() || errors.Is(ds.Err(), source.ErrUnreadable) {
			t.Errorf("%s: a source that is no prover: %v", name, ds)
		}
	}
}
