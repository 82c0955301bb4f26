package source_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// now is when the tests of previous values resolve.
var now = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// historian is a service that keeps versions. Groups of inputs are rotated at the
// same time: what it notes, the lock of its store guards.
type historian struct {
	vault
	before map[string]source.Answer // by input; none is absent
	asked  []string                 // what was asked for, and whether with values
}

func (h *historian) Previous(_ context.Context, refs []source.Ref, values bool) []source.Answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		h.asked = append(h.asked, fmt.Sprint(ref.Input, " ", values))
		a, ok := h.before[ref.Input]
		if !ok {
			a.Err = source.ErrAbsent
		}
		if !values {
			a.Value = value.Value{}
		}
		answers[i] = a
	}
	return answers
}

func (h *historian) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	answers := h.Read(ctx, refs)
	for i := range answers {
		answers[i].Value = value.Value{}
	}
	return answers
}

// beside is a file that keeps what was before next to it.
type beside struct {
	historian
	superseded []string
	forgotten  []string
	stays      error // what can't be forgotten
}

func (b *beside) Supersede(ctx context.Context, ref source.Ref, v value.Value, _ time.Time) (source.Answer, error) {
	b.mu.Lock()
	b.superseded = append(b.superseded, ref.Input)
	b.mu.Unlock()
	return b.Replace(ctx, ref, v)
}

func (b *beside) Forget(_ context.Context, ref source.Ref, at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgotten = append(b.forgotten, fmt.Sprint(ref.Input, " ", now.Sub(at)))
	return b.stays
}

func (b *beside) Remove(context.Context, source.Ref) error { return nil }

// replacedBefore is a previous value that was replaced so long ago.
func replacedBefore(age time.Duration) source.Answer {
	return source.Answer{Value: value.New([]byte("c4nary-previous-7f3d")), Origin: "before", Changed: now.Add(-age)}
}

// keptPlan has inputs that keep their previous value for a day, and a key that takes
// that of each.
func keptPlan(delivery string, inputs ...plan.Input) *plan.Plan {
	p := makePlan(nil, inputs...)
	s := plan.Secret{Name: "app", Namespace: "apps", Delivery: plan.Delivery{Kind: delivery}}
	for i := range p.Inputs {
		if p.Inputs[i].Generate != nil {
			p.Inputs[i].Generate.KeepPrevious = 24 * time.Hour
		}
		s.Keys = append(s.Keys, plan.Key{Name: p.Inputs[i].Name, Input: p.Inputs[i].Name}, plan.Key{Name: p.Inputs[i].Name + "-previous", Input: p.Inputs[i].Name + ".previous"})
	}
	p.Secrets = []plan.Secret{s}
	return p
}

const keyValue = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

func TestPrevious(t *testing.T) {
	t.Parallel()
	denied := &source.Failure{Reason: "access is denied", Remedy: "allow it", Unreadable: true}
	for _, test := range []struct {
		name      string
		own       bool // victorgen keeps it
		before    source.Answer
		changed   time.Duration // ago, of the current value
		untaken   bool          // by any key
		delivery  string
		dry       bool
		stays     error
		options   source.Options
		state     value.State
		asked     string
		forgotten string
		said      string
	}{
		{name: "it counts", before: replacedBefore(time.Hour), state: value.Present, asked: "KEY true"},
		{name: "until a moment before its end", before: replacedBefore(24*time.Hour - time.Second), state: value.Present, asked: "KEY true"},
		{name: "its time is over", before: replacedBefore(24 * time.Hour), state: value.Absent, asked: "KEY true"},
		{name: "there is none", before: source.Answer{Err: source.ErrAbsent}, state: value.Absent, asked: "KEY true"},
		{name: "it can't have been replaced since", before: replacedBefore(time.Hour), changed: 25 * time.Hour, state: value.Absent},
		{name: "no key takes it", before: replacedBefore(time.Hour), untaken: true, state: value.Absent},
		{name: "it can't be read", before: source.Answer{Err: denied}, state: value.Unreadable, asked: "KEY true",
			said: "error VG2101: cannot read the previous value of KEY from source default (test): access is denied; allow it"},
		{name: "nobody reads it", before: replacedBefore(time.Hour), delivery: plan.External, state: value.Present, asked: "KEY false"},

		{name: "own: it counts", own: true, before: replacedBefore(time.Hour), state: value.Present, asked: "KEY true"},
		{name: "own: it has expired", own: true, before: replacedBefore(25 * time.Hour), state: value.Absent, asked: "KEY true", forgotten: "KEY 25h0m0s"},
		{name: "own: its file is old", own: true, before: replacedBefore(25 * time.Hour), changed: 25 * time.Hour, state: value.Absent, asked: "KEY true", forgotten: "KEY 25h0m0s"},
		{name: "own: no key takes it", own: true, before: replacedBefore(25 * time.Hour), untaken: true, state: value.Absent, asked: "KEY true", forgotten: "KEY 25h0m0s"},
		{name: "own: nothing is written", own: true, before: replacedBefore(25 * time.Hour), options: source.Options{NoGenerate: true}, state: value.Absent, asked: "KEY true"},
		{name: "own: a dry run", own: true, before: replacedBefore(25 * time.Hour), dry: true, state: value.Absent, asked: "KEY true"},
		{name: "own: it can't be removed", own: true, before: replacedBefore(25 * time.Hour), stays: errors.New("read-only file system"), state: value.Absent, asked: "KEY true", forgotten: "KEY 25h0m0s",
			said: "warning VG2128: the previous value of KEY has expired and can't be removed from source default (test): read-only file system"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := keptPlan(test.delivery, generated("KEY"))
			if test.untaken {
				p.Secrets[0].Keys = p.Secrets[0].Keys[:1]
			}
			b := &beside{historian: historian{vault: vault{store: store{values: map[string]string{"KEY": keyValue}}}, before: map[string]source.Answer{"KEY": test.before}}, stays: test.stays}
			var s source.Source = &aged{b, now.Add(-test.changed)}
			if !test.own {
				s = &versioned{&aged{b, now.Add(-test.changed)}}
			}
			if test.dry {
				s = source.DryRun(s)
			}
			o := test.options
			o.Now = now
			set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": s}, o)
			got := set["KEY.previous"]
			if got.State != test.state {
				t.Errorf("it is %v: %v", got.State, say(ds))
			}
			if want := test.state == value.Present && test.delivery == ""; want != (got.Value.Len() > 0) {
				t.Errorf("%d bytes of it are known", got.Value.Len())
			}
			if got.State == value.Present && !got.Changed.Equal(test.before.Changed) {
				t.Errorf("it was replaced at %v", got.Changed)
			}
			if asked := strings.Join(b.asked, ", "); asked != test.asked {
				t.Errorf("asked for %q, not %q", asked, test.asked)
			}
			if forgotten := strings.Join(b.forgotten, ", "); forgotten != test.forgotten {
				t.Errorf("forgotten: %q, not %q", forgotten, test.forgotten)
			}
			if said := strings.Join(say(ds), "\n"); (said == "") != (test.said == "") || !strings.Contains(said, test.said) {
				t.Errorf("it is said: %s", said)
			}
		})
	}
}

// aged is a source whose values changed at one time.
type aged struct {
	*beside
	changed time.Time
}

func (a *aged) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	answers := a.beside.Read(ctx, refs)
	for i := range answers {
		answers[i].Changed = a.changed
	}
	return answers
}

func (a *aged) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	answers := a.Read(ctx, refs)
	for i := range answers {
		answers[i].Value = value.Value{}
	}
	return answers
}

// versioned is one that is no source.Keeper.
type versioned struct{ source.Historian }

func (v *versioned) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	return v.Historian.(source.Prover).Prove(ctx, refs)
}

// What is lost is not over: as long as no one knows the value, no one knows the one before.
func TestPreviousOfLost(t *testing.T) {
	t.Parallel()
	p := keptPlan("", generated("KEY"))
	b := &beside{historian: historian{vault: vault{store: store{values: map[string]string{}}}, before: map[string]source.Answer{"KEY": replacedBefore(25 * time.Hour)}}}
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": b}, source.Options{Now: now,
		Known: func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
			return map[string]source.Holder{"KEY": {By: "victorgen.lock"}}, nil
		}})
	if got := set["KEY.previous"]; got.State != value.Unreadable || len(b.forgotten) > 0 {
		t.Errorf("%v; forgotten: %v; %v", got.State, b.forgotten, say(ds))
	}
}

// What is made again, because it does not belong to its parents any more, is replaced, and
// the same build has the one before.
func TestPreviousOfChild(t *testing.T) {
	t.Parallel()
	p := keptPlan("", generated("KEY"), child("TOKEN", plan.JWT, plan.Child{Of: "KEY", Algorithm: "HS256", Claims: "{}"}))
	b := &beside{historian: historian{vault: vault{store: store{values: map[string]string{"KEY": keyValue, "TOKEN": "of.another.key"}}}}}
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": b}, source.Options{Now: now})
	got := set["TOKEN.previous"]
	if got.State != value.Present || string(got.Value.Reveal()) != "of.another.key" || got.Changed.IsZero() || strings.Join(b.superseded, " ") != "TOKEN" {
		t.Errorf("%v, replaced %v; superseded: %v; %v", got.State, got.Changed, b.superseded, say(ds))
	}
}

// A rotation keeps what it replaces, and tells of what it cuts short.
func TestRotateKeeps(t *testing.T) {
	t.Parallel()
	p := keptPlan("", generated("KEY"), generated("OTHER"))
	b := &beside{historian: historian{vault: vault{store: store{values: map[string]string{"KEY": keyValue, "OTHER": keyValue}}}, before: map[string]source.Answer{"OTHER": replacedBefore(time.Hour)}}}
	_, ds := source.Rotate(t.Context(), p, map[string]source.Source{"default": b}, p.Inputs, source.Options{Now: now})
	if said := strings.Join(say(ds), "\n"); ds.HasErrors() || !strings.Contains(said, "VG2129: OTHER is rotated again while its previous value still counts: that one is dropped, 23h early") || strings.Contains(said, "KEY is") {
		t.Errorf("%s", said)
	}
	if len(b.superseded) != 2 {
		t.Errorf("superseded: %v", b.superseded)
	}
	_, ds = source.Put(t.Context(), p, map[string]source.Source{"default": b}, map[string]value.Value{"KEY": value.New([]byte("another"))}, true, source.Options{Now: now})
	if ds.HasErrors() || len(b.superseded) != 3 {
		t.Errorf("put: %v, superseded: %v", say(ds), b.superseded)
	}
}

// Verify tells of what is over and drops nothing; Forget drops it, and judges nothing.
func TestForget(t *testing.T) {
	t.Parallel()
	p := keptPlan("", generated("KEY"), generated("COUNTS"), required("MISSING"))
	b := &beside{historian: historian{vault: vault{store: store{values: map[string]string{"KEY": keyValue, "COUNTS": keyValue}}},
		before: map[string]source.Answer{"KEY": replacedBefore(25 * time.Hour), "COUNTS": replacedBefore(time.Hour)}}}
	sources := map[string]source.Source{"default": b}
	_, ds := source.Verify(t.Context(), p, sources, false, now, source.Options{})
	if said := strings.Join(say(ds), "\n"); !strings.Contains(said, "error VG2128: the previous value of KEY was replaced 25h ago, and is still at its source: it is kept for 24h") || strings.Contains(said, "COUNTS") {
		t.Errorf("verify: %s", said)
	}
	if len(b.forgotten) > 0 {
		t.Errorf("verify has dropped %v", b.forgotten)
	}
	dropped, ds := source.Forget(t.Context(), p, sources, source.Options{Now: now})
	if strings.Join(dropped, " ") != "KEY" || strings.Join(b.forgotten, ", ") != "KEY 25h0m0s" || len(ds) > 0 {
		t.Errorf("dropped %v, %v; %v", dropped, b.forgotten, say(ds))
	}
}
