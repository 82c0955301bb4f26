package source_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// prover is a store that can prove.
type prover struct {
	vault
	proved []source.Ref
}

func (p *prover) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	p.proved = append(p.proved, refs...)
	answers := p.Read(ctx, refs)
	for i := range answers {
		answers[i].Value = value.Value{}
	}
	p.reads = nil
	return answers
}

// epoch is when each value of a store changed.
var epoch = time.Unix(1, 0)

func TestVerify(t *testing.T) {
	t.Parallel()
	aged := func(in plan.Input, d time.Duration) plan.Input {
		in.MaxAge = d
		return in
	}
	weak := required("WEAK")
	weak.Constraints.MinStrength = 60
	p := makePlan([]plan.Rule{{Name: "both", Kind: plan.AllOrNone, Inputs: []string{"GONE", "OLD"}, Pos: at(50)}},
		aged(generated("OLD"), 24*time.Hour), aged(required("OLDER"), 30*24*time.Hour), aged(required("YOUNG"), 100*24*time.Hour),
		generated("UNMADE"), required("MISSING"), weak, optional("GONE"))
	for i, in := range p.Inputs {
		switch in.Name {
		case "OLDER":
			p.Inputs[i].Expires, p.Inputs[i].Owner = epoch.Add(119*24*time.Hour), "team payments"
		case "YOUNG":
			p.Inputs[i].Expires = epoch.Add(89 * 24 * time.Hour)
		case "WEAK":
			p.Inputs[i].Expires = epoch.Add(121 * 24 * time.Hour) // in more than a month
		case "GONE":
			p.Inputs[i].Expires = epoch // and there is none
		}
	}
	s := &prover{vault: vault{store: store{name: "s", values: map[string]string{
		"OLD": "0123456789", "OLDER": canary, "YOUNG": canary, "WEAK": "hunter2"}}}}
	now := epoch.Add(90 * 24 * time.Hour)

	_, ds := source.Verify(t.Context(), p, map[string]source.Source{"default": s}, false, now, source.Options{})
	want := []string{
		"1 error VG2011: OLD is 90 days old (s:OLD): its rotation is due after 24h; `victorgen rotate` replaces it; then build",
		"2 error VG2011: OLDER is 90 days old (s:OLDER): its rotation is due after 30 days; ask team payments for a new one, and replace it",
		"2 warning VG2026: OLDER expires on 1970-04-30, in 29 days; get a new one from team payments, replace it at its source, and write the new date as expires",
		"3 error VG2026: YOUNG has expired on 1970-03-31, according to the contract; get a new one from its owner, replace it at its source, and write the new date as expires",
		"4 error VG2002: generated input UNMADE is missing; set it in the store s; or `victorgen generate` makes it",
		"5 error VG2001: required input MISSING is missing; set it in the store s",
		"6 error VG2005: WEAK is weak: about 3 bits of strength, 60 are needed (from s:WEAK); use a long random one, as from `openssl rand -hex 24`; a login, a host or a flag is not secret: make it a schema.#Setting",
		"50 error VG2003: rule both is broken: all or none of GONE, OLD must be set, but these are missing: GONE; set all of them or none",
	}
	if diff := cmp.Diff(want, say(ds)); diff != "" {
		t.Errorf("with values (-want +got)\n%s", diff)
	}
	if len(s.created) > 0 {
		t.Errorf("verify wrote %v", s.created)
	}

	s.reads = nil
	_, ds = source.Verify(t.Context(), p, map[string]source.Source{"default": s}, true, now, source.Options{})
	if diff := cmp.Diff(append(want[:6:6], want[7]), say(ds)); diff != "" {
		t.Errorf("by metadata (-want +got)\n%s", diff)
	}
	if len(s.reads) > 0 || len(s.proved) != len(p.Inputs) {
		t.Errorf("by metadata, values were read: %v; proved: %v", s.reads, s.proved)
	}
}

// TestVerifyUnreadable: what a build can go on without is an error here.
func TestVerifyUnreadable(t *testing.T) {
	t.Parallel()
	p := makePlan(nil, required("A"))
	out := &source.Failure{Reason: "no network", Remedy: "plug it in", Unreadable: true}
	for _, prove := range []bool{false, true} {
		_, ds := source.Verify(t.Context(), p, map[string]source.Source{"default": &prover{vault: vault{store: store{err: out}}}}, prove, epoch, source.Options{})
		if diff := cmp.Diff([]string{"100 error VG2101: cannot read A from source default (test): no network; plug it in"}, say(ds)); diff != "" {
			t.Errorf("prove %v (-want +got)\n%s", prove, diff)
		}
	}
	_, ds := source.Verify(t.Context(), p, map[string]source.Source{"default": &store{}}, true, epoch, source.Options{})
	want := []string{"100 error VG2101: cannot read A from source default (test): it can't prove what it has without reading it; allow values to be read"}
	if diff := cmp.Diff(want, say(ds)); diff != "" {
		t.Errorf("no prover (-want +got)\n%s", diff)
	}
}

// TestGenerate: what is missing and generated is generated, whatever else is
// missing; nothing else is asked for.
func TestGenerate(t *testing.T) {
	t.Parallel()
	p := makePlan(nil, generated("A"), required("B"), generated("C"))
	v := &vault{store: store{name: "v", values: map[string]string{"A": "there"}}}
	set, ds := source.Generate(t.Context(), p, map[string]source.Source{"default": v}, source.Options{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	if set["A"].Generated || !set["C"].Generated || len(set) != 2 {
		t.Errorf("found %v", find(set))
	}
	if diff := cmp.Diff([]string{"C"}, v.created); diff != "" {
		t.Errorf("created (-want +got)\n%s", diff)
	}
	if got := fmt.Sprint(v.reads); got != "[[A C]]" {
		t.Errorf("read %v", got)
	}

	v = &vault{store: store{name: "v", err: fmt.Errorf("no network: %w", source.ErrUnreadable)}}
	_, ds = source.Generate(t.Context(), p, map[string]source.Source{"default": v}, source.Options{})
	if !ds.HasErrors() || len(v.created) > 0 {
		t.Errorf("a source that can't be read: %v, created %v", ds, v.created)
	}
}

// TestRotate: what is named gets a new value, and is not read before: only whether one
// is pending is.
func TestRotate(t *testing.T) {
	t.Parallel()
	p := makePlan(nil, generated("A"), generated("B"))
	v := &vault{store: store{name: "v", values: map[string]string{"A": "there", "B": "there"}}, others: map[string]string{"A": "kept"}}
	a, _ := p.Input("A")
	set, ds := source.Rotate(t.Context(), p, map[string]source.Source{"default": v}, []plan.Input{a}, source.Options{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	if !set["A"].Generated || fmt.Sprint(v.reads) != "[[VICTORGEN_PENDING]]" || fmt.Sprint(v.created) != "[A]" {
		t.Errorf("found %v, read %v, wrote %v", find(set), v.reads, v.created)
	}
	v.refuse = &source.Failure{Reason: "refused", Remedy: "ask"}
	_, ds = source.Rotate(t.Context(), p, map[string]source.Source{"default": v}, []plan.Input{a}, source.Options{})
	want := []string{"1 error VG2102: A was generated but cannot be written to source default (test), so it is not used: refused; ask"}
	if diff := cmp.Diff(want, say(ds)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRotateApart: what can't be rotated stops nothing that has nothing to do with it.
func TestRotateApart(t *testing.T) {
	t.Parallel()
	hash := generated("HASH")
	hash.Generate = &plan.Generate{Kind: plan.Htpasswd, Child: &plan.Child{Of: "PASSWORD", Cost: 4, User: "anna"}}
	down := generated("DOWN")
	down.Source = "down"
	p := makePlan(nil, generated("PASSWORD"), hash, generated("KEY"), down)
	v := &vault{store: store{name: "v", values: map[string]string{"PASSWORD": "there", "HASH": "there", "KEY": "there"}}}
	sources := map[string]source.Source{"default": v, "down": &vault{store: store{name: "d"}, refuse: &source.Failure{Reason: "refused", Remedy: "ask"}}}
	set, ds := source.Rotate(t.Context(), p, sources, pick(p, "DOWN", "PASSWORD", "KEY"), source.Options{})
	if diff := cmp.Diff([]string{"4 error VG2102: DOWN was generated but cannot be written to source down (test), so it is not used: refused; ask"}, say(ds)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, want := range map[string]bool{"PASSWORD": true, "HASH": true, "KEY": true, "DOWN": false} {
		if set[name].Generated != want {
			t.Errorf("%s was rotated: %v", name, !want)
		}
	}
}

// TestTurns: what several environments have at one place is rotated by one.
func TestTurns(t *testing.T) {
	t.Parallel()
	in := func(name, remote string) plan.Input {
		in := generated(name)
		in.Remote.Name = remote
		return in
	}
	a := makePlan(nil, in("KEY", "/shared/key"), in("OWN", "/a/own"))
	b := makePlan(nil, in("SAME", "/shared/key"), in("OWN", "/b/own"))
	a.Environment, b.Environment = "a", "b"
	var turns source.Turns
	if own, others := turns.Take(a, a.Inputs); len(own) != 2 || len(others) != 0 {
		t.Errorf("the first has %v, and %v is for others", own, others)
	}
	own, others := turns.Take(b, b.Inputs)
	if len(own) != 1 || own[0].Name != "OWN" || others["SAME"] != "a" {
		t.Errorf("the second has %v, and %v is for others", own, others)
	}
}

// TestDue: rotation is due before a value is stale, where the contract says so; and
// of what victorgen generates alone.
func TestDue(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	early := func(in plan.Input) plan.Input {
		in.RotateAfter, in.MaxAge = 60*day, 90*day
		return in
	}
	late, theirs := generated("LATE"), required("THEIRS")
	late.MaxAge, theirs.MaxAge = 90*day, 90*day
	p := makePlan(nil, early(generated("EARLY")), late, theirs, generated("NEVER"))
	for days, want := range map[int][2]string{59: {"[]", "[]"}, 61: {"[EARLY]", "[]"}, 91: {"[EARLY LATE]", "[EARLY LATE THEIRS]"}} {
		set := value.Set{}
		for _, in := range p.Inputs {
			set[in.Name] = value.Resolved{State: value.Present, Changed: epoch}
		}
		now := epoch.Add(time.Duration(days) * day)
		if got := [2]string{fmt.Sprint(names(source.Due(p, set, now))), fmt.Sprint(names(source.Stale(p, set, now)))}; got != want {
			t.Errorf("after %d days due and stale are %v, want %v", days, got, want)
		}
	}
}

func pick(p *plan.Plan, names ...string) (inputs []plan.Input) {
	for _, name := range names {
		in, _ := p.Input(name)
		inputs = append(inputs, in)
	}
	return inputs
}

func names(inputs []plan.Input) (names []string) {
	for _, in := range inputs {
		names = append(names, in.Name)
	}
	return names
}

// hanging never answers before its context is done.
type hanging struct{}

func (hanging) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	<-ctx.Done()
	return source.Failed(refs, source.Network(ctx.Err()))
}

// TestDeadline: a source that is too slow is unreadable, the others are read.
func TestDeadline(t *testing.T) {
	t.Parallel()
	slow := required("SLOW")
	slow.Source = "slow"
	p := makePlan(nil, required("A"), slow)
	sources := map[string]source.Source{"default": &store{values: map[string]string{"A": "a"}}, "slow": hanging{}}
	set, ds := source.Resolve(t.Context(), p, sources, source.Options{Timeout: 100 * time.Millisecond})
	if set["A"].State != value.Present || set["SLOW"].State != value.Unreadable {
		t.Errorf("found %v", find(set))
	}
	if ds.HasErrors() || len(ds) != 1 || !strings.Contains(ds[0].Message, "no answer in time") {
		t.Errorf("said %v", say(ds))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	_, ds = source.Resolve(ctx, p, sources, source.Options{Timeout: time.Minute})
	if diff := cmp.Diff([]string{"0 error VG2101: reading was interrupted: Ctrl-C; "}, say(ds)); diff != "" {
		t.Errorf("interrupted (-want +got)\n%s", diff)
	}
}

// TestEncoding: what the source has encoded arrives decoded, and is generated
// encoded.
func TestEncoding(t *testing.T) {
	t.Parallel()
	encoded := func(in plan.Input, encoding string) plan.Input {
		in.Encoding = encoding
		return in
	}
	generated := encoded(generated("RANDOM"), plan.Base64)
	generated.Generate.Encoding = "base64"
	p := makePlan(nil, encoded(required("B"), plan.Base64), encoded(required("RAW"), plan.Binary), generated)
	v := &vault{store: store{name: "v", values: map[string]string{"B": "/wABAgM=\n", "RAW": "\xff\x00\x01"}}}
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": v}, source.Options{})
	if len(ds) > 0 {
		t.Fatal(say(ds))
	}
	for name, want := range map[string]string{"B": "\xff\x00\x01\x02\x03", "RAW": "\xff\x00\x01"} {
		if !set[name].Value.Equal(value.New([]byte(want))) {
			t.Errorf("%s is not decoded", name)
		}
	}
	if n := set["RANDOM"].Value.Len(); n != 16 {
		t.Errorf("RANDOM has %d bytes, not 16", n)
	}
}

// TestEncodesNothing: the base64 of no bytes at all is no value.
func TestEncodesNothing(t *testing.T) {
	t.Parallel()
	in := required("B")
	in.Encoding = plan.Base64
	v := &vault{store: store{name: "v", values: map[string]string{"B": "\r\n"}}}
	_, ds := source.Resolve(t.Context(), makePlan(nil, in), map[string]source.Source{"default": v}, source.Options{})
	if len(ds) != 1 || ds[0].Code != plan.CodeValueEncoding {
		t.Errorf("%q", say(ds))
	}
}
