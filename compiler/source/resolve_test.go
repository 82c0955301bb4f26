package source_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

const canary = "canary-7f3d"

// store is a source in memory that can only be read.
type store struct {
	name   string
	values map[string]string
	errs   map[string]error // of single inputs
	err    error            // of all of them
	onRead func()

	mu    sync.Mutex
	reads [][]source.Ref
}

func (s *store) Read(_ context.Context, refs []source.Ref) []source.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, refs)
	if s.onRead != nil {
		s.onRead()
	}
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		v, ok := s.values[ref.Input]
		switch {
		case s.err != nil:
			answers[i].Err = s.err
		case s.errs[ref.Input] != nil:
			answers[i].Err = s.errs[ref.Input]
		case !ok:
			answers[i] = source.Answer{Err: fmt.Errorf("%s: %w", ref.Remote, source.ErrAbsent), Origin: "the store " + s.name}
		default:
			answers[i] = source.Answer{Value: value.New([]byte(v)), Origin: s.name + ":" + ref.Input, Changed: time.Unix(1, 0)}
		}
	}
	return answers
}

// vault is a store that can be written and listed.
type vault struct {
	store
	created  []string          // names, in order
	others   map[string]string // what another build writes just before
	refuse   error
	onCreate func()
	listErr  error
}

func (v *vault) Create(_ context.Context, ref source.Ref, val value.Value) (source.Answer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.onCreate != nil {
		v.onCreate()
	}
	if v.refuse != nil {
		return source.Answer{}, v.refuse
	}
	v.created = append(v.created, ref.Input)
	if theirs, ok := v.others[ref.Input]; ok {
		val = value.New([]byte(theirs))
	}
	return source.Answer{Value: val, Origin: v.name + ":" + ref.Input}, nil
}

func (v *vault) Replace(ctx context.Context, ref source.Ref, val value.Value) (source.Answer, error) {
	v.mu.Lock()
	v.others = nil
	v.mu.Unlock()
	return v.Create(ctx, ref, val)
}

func (v *vault) List(context.Context) ([]source.Listed, error) {
	var names []source.Listed
	for name := range v.values {
		names = append(names, source.Listed{Name: name, Origin: v.name + ":" + name})
	}
	return names, v.listErr
}

func at(line int) []plan.Pos { return []plan.Pos{{File: "/c.cue", Line: line, Column: 1}} }

// makePlan returns a plan whose inputs stand in the lines of a contract.
func makePlan(rules []plan.Rule, inputs ...plan.Input) *plan.Plan {
	sources := map[string]bool{}
	p := &plan.Plan{Environment: "test", Rules: rules}
	for i, in := range inputs {
		in.Pos = at(i + 1)
		if in.Source == "" {
			in.Source = "default"
		}
		if !sources[in.Source] {
			sources[in.Source] = true
			p.Sources = append(p.Sources, plan.Source{Name: in.Source, Kind: "test", Pos: at(100)})
		}
		p.Inputs = append(p.Inputs, in)
	}
	slices.SortFunc(p.Inputs, func(a, b plan.Input) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Sources, func(a, b plan.Source) int { return strings.Compare(a.Name, b.Name) })
	return p
}

func required(name string) plan.Input { return plan.Input{Name: name, Class: plan.Required} }
func optional(name string) plan.Input { return plan.Input{Name: name, Class: plan.Optional} }
func generated(name string) plan.Input {
	return plan.Input{Name: name, Class: plan.Generated, Generate: &plan.Generate{Kind: plan.Bytes, Bits: 128, Encoding: "hex"}}
}
func setting(name string, def *string) plan.Input {
	return plan.Input{Name: name, Class: plan.Setting, Default: def}
}

// say is all that diagnostics say, one line each.
func say(ds plan.Diagnostics) (lines []string) {
	for _, d := range ds {
		line := 0
		if len(d.Pos) > 0 {
			line = d.Pos[0].Line
		}
		lines = append(lines, fmt.Sprintf("%d %s %s: %s; %s", line, d.Severity, d.Code, d.Message, d.Hint))
	}
	return lines
}

// find is what a set holds, in short.
func find(set value.Set) map[string]string {
	found := map[string]string{}
	for name, r := range set {
		switch r.State {
		case value.Present:
			found[name] = fmt.Sprintf("%s from %s", r.Value.Reveal(), r.Origin)
			if r.Generated {
				found[name] = "generated, " + r.Origin
			}
		case value.Absent:
			found[name] = "absent"
		default:
			found[name] = "unreadable: " + r.Reason
		}
	}
	return found
}

func seeded() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func TestResolve(t *testing.T) {
	t.Parallel()
	host, weird := "db", plan.Input{Name: "API_KEY", Class: plan.Required, Description: "Key of the API", Docs: "https://example.com/keys"}
	deprecated := optional("OLD")
	deprecated.Deprecated = "use NEW"
	pattern := required("PATTERN")
	pattern.Constraints.Pattern = regexp.MustCompile("^sk-")
	base64 := required("ENCODED")
	base64.Encoding = plan.Base64
	impossible := generated("IMPOSSIBLE")
	impossible.Constraints.MaxLength = 3
	group := func(kind plan.RuleKind) []plan.Rule {
		return []plan.Rule{{Name: "r", Kind: kind, Inputs: []string{"A", "B", "C"}, Pos: at(50), Description: "why"}}
	}
	abc := []plan.Input{optional("A"), optional("B"), optional("C")}
	offline := fmt.Errorf("no network: %w", source.ErrUnreadable)
	sourceOwn := plan.Diagnostics{{Code: plan.CodeFileMode, Severity: plan.Error, Message: "bad mode", Hint: "chmod"}}

	for name, test := range map[string]struct {
		plan    *plan.Plan
		vault   *vault
		options source.Options
		want    map[string]string
		say     []string
		created []string
	}{
		"all there": {
			plan:  makePlan(nil, required("A"), optional("B"), generated("C"), setting("D", nil)),
			vault: &vault{store: store{values: map[string]string{"A": "a", "B": "b", "C": "c", "D": "d"}}},
			want:  map[string]string{"A": "a from v:A", "B": "b from v:B", "C": "c from v:C", "D": "d from v:D"},
		},
		"nothing there": {
			plan:    makePlan(nil, optional("B"), generated("C"), setting("D", nil), setting("HOST", &host)),
			vault:   &vault{},
			want:    map[string]string{"B": "absent", "C": "generated, v:C", "D": "absent", "HOST": "db from the contract"},
			created: []string{"C"},
		},
		"a rule of a kind not known": {
			plan:  makePlan(group("new"), abc...),
			vault: &vault{store: store{values: map[string]string{"A": "a", "B": "b", "C": "c"}}},
			want:  map[string]string{"A": "a from v:A", "B": "b from v:B", "C": "c from v:C"},
			say:   []string{"50 error VG2003: rule r is broken: it is of kind new, which this victorgen can't check; use a kind of rule that this victorgen knows: why"},
		},
		"validation is skipped": {
			plan:    makePlan(group(plan.AtLeastOne), pattern, base64, required("HERE"), optional("A"), optional("B"), optional("C"), generated("RANDOM")),
			vault:   &vault{store: store{values: map[string]string{"PATTERN": canary, "ENCODED": "!" + canary, "HERE": "x"}}},
			options: source.Options{SkipValidation: true},
			want: map[string]string{"PATTERN": canary + " from v:PATTERN", "ENCODED": "!" + canary + " from v:ENCODED", "HERE": "x from v:HERE",
				"A": "absent", "B": "absent", "C": "absent", "RANDOM": "absent"},
			say: []string{
				"1 warning VG2006: PATTERN does not match its pattern (from v:PATTERN); it must match ^sk-",
				"2 error VG2010: ENCODED is not valid base64 (from v:ENCODED); store it as `base64` prints it, or remove encoding from the contract",
				"50 warning VG2003: rule r is broken: none of A, B, C is set; set one of them or more: why",
			},
		},
		"validation is skipped, and a value is missing": {
			plan:    makePlan(nil, pattern, required("GONE")),
			vault:   &vault{store: store{values: map[string]string{"PATTERN": canary}}},
			options: source.Options{SkipValidation: true},
			want:    map[string]string{"PATTERN": canary + " from v:PATTERN", "GONE": "absent"},
			say: []string{
				"1 warning VG2006: PATTERN does not match its pattern (from v:PATTERN); it must match ^sk-",
				"2 error VG2001: required input GONE is missing; set it in the store v",
			},
		},
		"must be read": {
			plan:    makePlan(nil, required("A"), generated("C")),
			vault:   &vault{store: store{errs: map[string]error{"A": offline}}},
			options: source.Options{MustRead: true},
			want:    map[string]string{"A": "unreadable: no network: unreadable", "C": "absent"},
			say:     []string{"100 error VG2101: cannot read A from source default (test): no network: unreadable; "},
		},
		"empty is absent": {
			plan:  makePlan(nil, optional("B")),
			vault: &vault{store: store{values: map[string]string{"B": ""}}},
			want:  map[string]string{"B": "absent"},
		},
		"everything wrong at once, and nothing generated": {
			plan:    makePlan(group(plan.AtLeastOne), append(abc, weird, required("NEXT"), generated("GEN"), pattern)...),
			vault:   &vault{store: store{values: map[string]string{"PATTERN": canary}}},
			options: source.Options{Rand: iotest.ErrReader(errors.New("nobody must ask"))},
			want:    map[string]string{"A": "absent", "B": "absent", "C": "absent", "API_KEY": "absent", "NEXT": "absent", "GEN": "absent", "PATTERN": canary + " from v:PATTERN"},
			say: []string{
				"4 error VG2001: required input API_KEY is missing; set it in the store v: Key of the API; see https://example.com/keys",
				"5 error VG2001: required input NEXT is missing; set it in the store v",
				"7 error VG2006: PATTERN does not match its pattern (from v:PATTERN); it must match ^sk-",
				"50 error VG2003: rule r is broken: none of A, B, C is set; set one of them or more: why",
			},
		},
		"no generate": {
			plan:    makePlan(nil, generated("C")),
			vault:   &vault{},
			options: source.Options{NoGenerate: true},
			want:    map[string]string{"C": "absent"},
			say:     []string{"1 error VG2002: generated input C is missing; set it in the store v; or leave out --no-generate to have it generated"},
		},
		"no generate, and nothing to generate": {
			plan:    makePlan(nil, generated("C")),
			vault:   &vault{store: store{values: map[string]string{"C": "c"}}},
			options: source.Options{NoGenerate: true},
			want:    map[string]string{"C": "c from v:C"},
		},
		"another build wins": {
			plan:    makePlan(nil, generated("C"), generated("D")),
			vault:   &vault{others: map[string]string{"C": "theirs"}},
			want:    map[string]string{"C": "theirs from v:C", "D": "generated, v:D"},
			created: []string{"C", "D"},
		},
		"another build writes a placeholder": {
			plan:    makePlan(nil, generated("C")),
			vault:   &vault{others: map[string]string{"C": "changeme"}},
			want:    map[string]string{"C": "changeme from v:C"},
			say:     []string{"1 error VG2004: C is a placeholder; put the real value in its place"},
			created: []string{"C"},
		},
		"cannot write": {
			plan:  makePlan(nil, generated("C"), generated(plan.LockKey)),
			vault: &vault{refuse: errors.New("read-only")},
			want:  map[string]string{"C": "absent", plan.LockKey: "absent"},
			say: []string{
				"1 error VG2102: C was generated but cannot be written to source default (test), so it is not used: read-only; set it in the store v",
				"2 warning VG2106: VICTORGEN_LOCK_KEY cannot be written to source default (test), so every build seals all values again: read-only; so that unchanged values keep their ciphertext, set it in the store v",
			},
		},
		"cannot write, in the source's own words": {
			plan:  makePlan(nil, generated("C"), generated("D")),
			vault: &vault{refuse: sourceOwn},
			want:  map[string]string{"C": "absent", "D": "absent"},
			say:   []string{"0 error VG2103: bad mode; chmod"},
		},
		"generated value that breaks its constraints, and nothing written": {
			plan:  makePlan(nil, generated("C"), impossible),
			vault: &vault{},
			want:  map[string]string{"C": "absent", "IMPOSSIBLE": "absent"},
			say:   []string{"2 error VG2008: IMPOSSIBLE is too long: it has 32 characters, at most 3 are allowed; use a shorter one"},
		},
		"cannot generate": {
			plan:    makePlan(nil, generated("C")),
			vault:   &vault{},
			options: source.Options{Rand: iotest.ErrReader(errors.New("no entropy"))},
			want:    map[string]string{"C": "absent"},
			say:     []string{"1 error VG1303: cannot generate C: no entropy; "},
		},
		"unreadable": {
			plan: makePlan(nil, required("A"), generated("B"), optional("C")),
			vault: &vault{store: store{values: map[string]string{"C": "c"}, errs: map[string]error{
				"A": offline, "B": offline,
			}}},
			want: map[string]string{"A": "unreadable: no network: unreadable", "B": "unreadable: no network: unreadable", "C": "c from v:C"},
			say:  []string{"100 warning VG2101: source default (test) does not allow reading A and B: no network: unreadable; their sealed copies are kept"},
		},
		"failed": {
			plan: makePlan(nil, optional("A"), optional("B"), optional("C"), generated("D")),
			vault: &vault{store: store{errs: map[string]error{
				"A": errors.New("on fire"), "B": errors.New("under water"), "C": errors.New("on fire"),
			}}},
			want: map[string]string{"A": "unreadable: on fire", "B": "unreadable: under water", "C": "unreadable: on fire", "D": "absent"},
			say: []string{
				"100 error VG2101: cannot read A and C from source default (test): on fire; ",
				"100 error VG2101: cannot read B from source default (test): under water; ",
			},
		},
		"failed, in the source's own words": {
			plan:  makePlan(nil, optional("A"), required("B"), generated("C")),
			vault: &vault{store: store{err: sourceOwn}},
			want:  map[string]string{"A": "unreadable: error VG2103: bad mode", "B": "unreadable: error VG2103: bad mode", "C": "unreadable: error VG2103: bad mode"},
			say:   []string{"0 error VG2103: bad mode; chmod"},
		},
		"deprecated": {
			plan:  makePlan(nil, deprecated, optional("NEW")),
			vault: &vault{store: store{values: map[string]string{"OLD": "x1"}}},
			want:  map[string]string{"OLD": "x1 from v:OLD", "NEW": "absent"},
			say:   []string{"1 warning VG1207: OLD is deprecated: use NEW; remove it from v:OLD"},
		},
		"deprecated and absent": {
			plan:  makePlan(nil, deprecated),
			vault: &vault{},
			want:  map[string]string{"OLD": "absent"},
		},
		"at least one is there": {
			plan:  makePlan(group(plan.AtLeastOne), abc...),
			vault: &vault{store: store{values: map[string]string{"B": "b"}}},
			want:  map[string]string{"A": "absent", "B": "b from v:B", "C": "absent"},
		},
		"at least one may be there": {
			plan:  makePlan(group(plan.AtLeastOne), abc...),
			vault: &vault{store: store{errs: map[string]error{"B": offline}}},
			want:  map[string]string{"A": "absent", "B": "unreadable: no network: unreadable", "C": "absent"},
			say:   []string{"100 warning VG2101: source default (test) does not allow reading B: no network: unreadable; their sealed copies are kept"},
		},
		"exactly one, and none is there": {
			plan:  makePlan(group(plan.ExactlyOne), abc...),
			vault: &vault{},
			want:  map[string]string{"A": "absent", "B": "absent", "C": "absent"},
			say:   []string{"50 error VG2003: rule r is broken: none of A, B, C is set; set one of them: why"},
		},
		"exactly one, and two are there": {
			plan:  makePlan(group(plan.ExactlyOne), abc...),
			vault: &vault{store: store{values: map[string]string{"A": "a", "C": "c"}}},
			want:  map[string]string{"A": "a from v:A", "B": "absent", "C": "c from v:C"},
			say:   []string{"50 error VG2003: rule r is broken: only one of A, B, C may be set, but A and C are; keep one of them: why"},
		},
		"exactly one is there, and one may be": {
			plan:  makePlan(group(plan.ExactlyOne), abc...),
			vault: &vault{store: store{values: map[string]string{"A": "a"}, errs: map[string]error{"B": offline}}},
			want:  map[string]string{"A": "a from v:A", "B": "unreadable: no network: unreadable", "C": "absent"},
			say:   []string{"100 warning VG2101: source default (test) does not allow reading B: no network: unreadable; their sealed copies are kept"},
		},
		"all or none, and some are there": {
			plan:  makePlan(group(plan.AllOrNone), abc...),
			vault: &vault{store: store{values: map[string]string{"B": "b"}}},
			want:  map[string]string{"A": "absent", "B": "b from v:B", "C": "absent"},
			say:   []string{"50 error VG2003: rule r is broken: all or none of A, B, C must be set, but these are missing: A, C; set all of them or none: why"},
		},
		"all or none, and none is there": {
			plan:  makePlan(group(plan.AllOrNone), abc...),
			vault: &vault{},
			want:  map[string]string{"A": "absent", "B": "absent", "C": "absent"},
		},
		"all or none, and one may be there": {
			plan:  makePlan(group(plan.AllOrNone), abc...),
			vault: &vault{store: store{values: map[string]string{"A": "a", "C": "c"}, errs: map[string]error{"B": offline}}},
			want:  map[string]string{"A": "a from v:A", "B": "unreadable: no network: unreadable", "C": "c from v:C"},
			say:   []string{"100 warning VG2101: source default (test) does not allow reading B: no network: unreadable; their sealed copies are kept"},
		},
		"all or none, one of them to be generated": {
			plan:    makePlan(group(plan.AllOrNone), optional("A"), generated("B"), setting("C", &host)),
			vault:   &vault{store: store{values: map[string]string{"A": "a"}}},
			want:    map[string]string{"A": "a from v:A", "B": "generated, v:B", "C": "db from the contract"},
			created: []string{"B"},
		},
		"misspelled": {
			plan:  makePlan(nil, optional("ANTHROPIC_API_KEY"), optional("OPENAI_API_KEY"), setting("DB_HOST", &host)),
			vault: &vault{store: store{values: map[string]string{"ANTROPIC_API_KEY": canary, "OPENAI_API_KEY": "o", "OPENAI_APIKEY": "o", "DB_HOST": canary, "SOMETHING_ELSE": "x"}}},
			want:  map[string]string{"ANTHROPIC_API_KEY": "absent", "OPENAI_API_KEY": "o from v:OPENAI_API_KEY", "DB_HOST": "db from the contract"},
			say: []string{
				"1 warning VG2105: ANTROPIC_API_KEY in v:ANTROPIC_API_KEY is not an input; did you mean ANTHROPIC_API_KEY?; rename it there, or remove it",
				"3 warning VG2105: DB_HOST in v:DB_HOST is ignored: the contract sets it; to change it, change its default in the environment or the contract",
			},
		},
		"cannot list": {
			plan:  makePlan(nil, optional("ANTHROPIC_API_KEY")),
			vault: &vault{store: store{values: map[string]string{"ANTROPIC_API_KEY": "x"}}, listErr: errors.New("forbidden")},
			want:  map[string]string{"ANTHROPIC_API_KEY": "absent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.vault.name = "v"
			if test.options.Rand == nil {
				test.options.Rand = seeded()
			}
			set, ds := source.Resolve(t.Context(), test.plan, map[string]source.Source{"default": test.vault}, test.options)
			if diff := cmp.Diff(test.want, find(set)); diff != "" {
				t.Errorf("set (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.say, say(ds)); diff != "" {
				t.Errorf("diagnostics (-want +got)\n%s", diff)
			}
			slices.Sort(test.vault.created) // they are written at once
			if diff := cmp.Diff(test.created, test.vault.created); diff != "" {
				t.Errorf("created (-want +got)\n%s", diff)
			}
			if strings.Contains(fmt.Sprintf("%+v", ds), canary) {
				t.Error("diagnostics show a value")
			}
		})
	}
}

func TestResolveReadsOnceASource(t *testing.T) {
	t.Parallel()
	host, elsewhere := "db", optional("B")
	elsewhere.Source, elsewhere.Remote = "other", plan.Remote{Name: "b-remote"}
	p := makePlan(nil, required("A"), elsewhere, generated("C"), setting("HOST", &host))
	// Each read waits for the other: one after the other they would never end.
	var both sync.WaitGroup
	both.Add(2)
	meet := func() { both.Done(); both.Wait() }
	one := &vault{store: store{name: "one", values: map[string]string{"A": "a", "C": "c"}, onRead: meet}}
	two := &store{name: "two", values: map[string]string{"B": "b"}, onRead: meet}
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": one, "other": two}, source.Options{})
	if len(ds) > 0 {
		t.Error(ds)
	}
	want := map[string]string{"A": "a from one:A", "B": "b from two:B", "C": "c from one:C", "HOST": "db from the contract"}
	if diff := cmp.Diff(want, find(set)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !set["B"].Changed.Equal(time.Unix(1, 0)) {
		t.Error("the time of the change is lost")
	}
	if diff := cmp.Diff([][]source.Ref{{{Input: "A"}, {Input: "C"}}}, one.reads); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([][]source.Ref{{{Input: "B", Remote: plan.Remote{Name: "b-remote"}}}}, two.reads); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestResolveOffline(t *testing.T) {
	t.Parallel()
	host := "db"
	p := makePlan([]plan.Rule{{Name: "r", Kind: plan.AtLeastOne, Inputs: []string{"A", "B"}}}, required("A"), generated("B"), setting("HOST", &host))
	set, ds := source.Resolve(t.Context(), p, nil, source.Options{})
	if len(ds) > 0 {
		t.Error(ds)
	}
	want := map[string]string{"A": "unreadable: ", "B": "unreadable: ", "HOST": "db from the contract"}
	if diff := cmp.Diff(want, find(set)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestResolveFromSourceThatCannotWrite(t *testing.T) {
	t.Parallel()
	p := makePlan(nil, generated("C"), generated(plan.LockKey))
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": &store{name: "s"}}, source.Options{})
	want := []string{
		"1 error VG2102: C was generated but cannot be written to source default (test), so it is not used: it can only be read; set it in the store s",
		"2 warning VG2106: VICTORGEN_LOCK_KEY cannot be written to source default (test), so every build seals all values again: it can only be read; so that unchanged values keep their ciphertext, set it in the store s",
	}
	if diff := cmp.Diff(want, say(ds)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if set["C"].State != value.Absent || set[plan.LockKey].State != value.Absent {
		t.Errorf("got %v", find(set))
	}
}

func TestResolveInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	v := &vault{store: store{name: "v", onRead: cancel}}
	_, ds := source.Resolve(ctx, makePlan(nil, required("A"), generated("C")), map[string]source.Source{"default": v}, source.Options{})
	want := []string{"0 error VG2101: reading was interrupted: context canceled; "}
	if diff := cmp.Diff(want, say(ds)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(v.created) > 0 {
		t.Error("wrote all the same")
	}
}

// An end in the middle of writing is an error, also for the input that the
// build could do without.
func TestResolveInterruptedWriting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	v := &vault{store: store{name: "v"}, refuse: context.Canceled, onCreate: cancel}
	_, ds := source.Resolve(ctx, makePlan(nil, generated(plan.LockKey)), map[string]source.Source{"default": v}, source.Options{})
	if len(ds) != 1 || ds[0].Code != plan.CodeSourceWrite || ds[0].Severity != plan.Error {
		t.Errorf("got %v", ds)
	}

	// What was sent may have arrived.
	a := generated("A")
	ctx, cancel = context.WithCancel(t.Context())
	v = &vault{store: store{name: "v"}, refuse: source.Network(context.DeadlineExceeded), onCreate: cancel}
	_, ds = source.Rotate(ctx, makePlan(nil, a), map[string]source.Source{"default": v}, []plan.Input{a}, source.Options{})
	want := []string{"1 error VG2102: A was generated, and whether source default (test) has stored it is not known: there was no answer in time; " +
		"the next build uses what is there; check the network, a proxy, or the address; raise --timeout"}
	if diff := cmp.Diff(want, say(ds)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A name is only taken for a misspelling of an input that its source has.
func TestResolveListsForEachSource(t *testing.T) {
	t.Parallel()
	elsewhere := optional("ANTHROPIC_API_KEY")
	elsewhere.Source = "other"
	p := makePlan(nil, optional("A"), elsewhere)
	v := &vault{store: store{name: "v", values: map[string]string{"ANTROPIC_API_KEY": "x"}}}
	if _, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": v, "other": &store{}}, source.Options{}); len(ds) > 0 {
		t.Errorf("got %v", ds)
	}
}

// Half of all passwords of these two characters lack one of the two.
func TestResolveDrawsAgain(t *testing.T) {
	t.Parallel()
	in := plan.Input{Name: "PIN", Class: plan.Generated, Generate: &plan.Generate{Kind: plan.Password, Length: 2, Alphabet: "a1"}}
	in.Constraints.Pattern = regexp.MustCompile("a1|1a")
	for seed := range 20 {
		o := source.Options{Rand: rand.NewChaCha8([32]byte{byte(seed)})}
		if _, ds := source.Resolve(t.Context(), makePlan(nil, in), map[string]source.Source{"default": &vault{}}, o); len(ds) > 0 {
			t.Errorf("seed %d: %v", seed, ds)
		}
	}
}
