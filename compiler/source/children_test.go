package source_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// keeper is a source that keeps what is written, and dates it.
type keeper struct {
	vault
	dates map[string]time.Time
}

func (k *keeper) keep(name string, a source.Answer, err error) (source.Answer, error) {
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.values[name] = string(a.Value.Reveal())
	}
	return a, err
}

func (k *keeper) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	a, err := k.vault.Create(ctx, ref, v)
	return k.keep(ref.Input, a, err)
}

func (k *keeper) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	a, err := k.vault.Replace(ctx, ref, v)
	return k.keep(ref.Input, a, err)
}

func (k *keeper) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	answers := k.Read(ctx, refs)
	for i := range answers {
		answers[i].Value, answers[i].Changed = value.Value{}, k.dates[refs[i].Input]
	}
	return answers
}

func child(name, kind string, c plan.Child) plan.Input {
	return plan.Input{Name: name, Class: plan.Generated, Generate: &plan.Generate{Kind: kind, Encoding: "pem", Child: &c}}
}

// family is a plan of a password with its hashes, and of a key with a token of
// it, the public half, and a keystore of a certificate.
func familyPlan() *plan.Plan {
	return makePlan(nil,
		plan.Input{Name: "PASSWORD", Class: plan.Required},
		plan.Input{Name: "SECRET", Class: plan.Generated, Generate: &plan.Generate{Kind: plan.Bytes, Bits: 256, Encoding: "hex"}},
		plan.Input{Name: "KEY", Class: plan.Generated, Generate: &plan.Generate{Kind: plan.ECDSA, Curve: "P-256", Encoding: "pkcs8"}},
		plan.Input{Name: plan.LockKey, Class: plan.Generated, Generate: &plan.Generate{Kind: plan.Bytes, Bits: 256, Encoding: "base64"}},
		child("HASH", plan.Bcrypt, plan.Child{Of: "PASSWORD", Cost: 4}),
		child("TOKEN", plan.JWT, plan.Child{Of: "SECRET", Algorithm: "HS256", Claims: `{"role":"anon"}`, Lifetime: 48 * time.Hour, RenewBefore: 24 * time.Hour}),
		child("PUBLIC", plan.PublicKey, plan.Child{Of: "KEY"}),
		child("A_CERT", plan.X509, plan.Child{Of: "KEY", Subject: "a", Lifetime: 48 * time.Hour, RenewBefore: time.Hour}), // before its parent by name
		func() plan.Input {
			in := child("STORE", plan.PKCS12, plan.Child{Of: "PASSWORD", Entries: []plan.KeystoreEntry{{Alias: "a", Key: "KEY", Certificate: "A_CERT"}}})
			in.Encoding = plan.Base64
			return in
		}(),
	)
}

var all = []string{"A_CERT", "HASH", "KEY", "PUBLIC", "SECRET", "STORE", "TOKEN", plan.LockKey}

func sorted(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), " ") }

// TestChildren follows a family: all are made once, nothing changes until a
// parent, a definition or the time does, and then exactly its own do.
func TestChildren(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"PASSWORD": "correct-Horse7battery"}}}}
	sources := map[string]source.Source{"default": k}
	p := familyPlan()
	step := func(what, want string, verb func() (value.Set, plan.Diagnostics)) value.Set {
		t.Helper()
		k.created = nil
		set, ds := verb()
		for _, d := range ds {
			t.Errorf("%s: %v", what, d)
		}
		if got := sorted(k.created); got != want {
			t.Errorf("%s: wrote %q, want %q", what, got, want)
		}
		if out := sprint(ds); strings.Contains(out, "Horse") {
			t.Errorf("%s shows a value", what)
		}
		return set
	}
	build := func(now time.Time) func() (value.Set, plan.Diagnostics) {
		return func() (value.Set, plan.Diagnostics) {
			return source.Resolve(t.Context(), p, sources, source.Options{Now: now})
		}
	}
	set := step("the first build", sorted(all), build(start))
	if b := set["STORE"].Value.Reveal(); len(b) == 0 || b[0] != 0x30 {
		t.Error("the keystore is not in its bytes")
	}
	step("a second build", "", build(start.Add(time.Hour)))

	k.values["PASSWORD"] = "another-Horse8battery"
	set = step("another password", "HASH STORE", build(start))
	if got, want := set["HASH"].Why, "does not fit PASSWORD"; got != want {
		t.Errorf("the hash was made anew for it %q, want %q", got, want)
	}
	step("a token that ends soon", "TOKEN", build(start.Add(24*time.Hour)))
	set = step("a certificate that ends soon", "A_CERT STORE TOKEN", build(start.Add(72*time.Hour)))
	if got := set["A_CERT"].Why; !strings.HasPrefix(got, "ended on 2026-03-06") {
		t.Errorf("the certificate was made anew for it %q", got)
	}
	start = start.Add(72 * time.Hour)

	in, _ := p.Input("TOKEN")
	in.Generate.Child.Claims = `{"role":"admin"}`
	step("other claims", "TOKEN", build(start))

	in, _ = p.Input("KEY")
	step("a rotated key", "A_CERT KEY PUBLIC STORE", func() (value.Set, plan.Diagnostics) {
		return source.Rotate(t.Context(), p, sources, []plan.Input{in}, source.Options{Now: start})
	})
	step("a build after that", "", build(start))
	step("verify after that", "", func() (value.Set, plan.Diagnostics) {
		return source.Verify(t.Context(), p, sources, false, start, source.Options{})
	})

	in, _ = p.Input("HASH")
	step("a rotated child", "HASH", func() (value.Set, plan.Diagnostics) {
		return source.Rotate(t.Context(), p, sources, []plan.Input{in}, source.Options{Now: start})
	})
	delete(k.values, "PUBLIC")
	step("generate makes what is missing", "PUBLIC", func() (value.Set, plan.Diagnostics) {
		return source.Generate(t.Context(), p, sources, source.Options{Now: start})
	})
}

func sprint(ds plan.Diagnostics) string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(string(d.Severity) + " " + string(d.Code) + ": " + d.Message + "\n")
	}
	return b.String()
}

// TestChildrenFail: what cannot be made again says so, and writes nothing.
func TestChildrenFail(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	good := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"PASSWORD": "correct-Horse7battery"}}}}
	if _, ds := source.Resolve(t.Context(), familyPlan(), map[string]source.Source{"default": good}, source.Options{Now: now}); len(ds) > 0 {
		t.Fatal(ds)
	}
	for name, test := range map[string]struct {
		change  func(k *keeper, p *plan.Plan, o *source.Options)
		verify  bool
		want    string // the beginning of the diagnostics
		created string
		state   map[string]value.State
	}{
		"no generate": {change: func(k *keeper, _ *plan.Plan, o *source.Options) {
			k.values["PASSWORD"], o.NoGenerate = "another-Horse8battery", true
		}, want: "error VG2025: HASH (from default:HASH) does not fit PASSWORD\nerror VG2025: STORE (from default:STORE) does not fit PASSWORD\n"},
		"no generate, and something else is wrong": {change: func(k *keeper, p *plan.Plan, o *source.Options) {
			k.values["PASSWORD"], o.NoGenerate = "another-Horse8battery", true
			p.Inputs = append(p.Inputs, plan.Input{Name: "OTHER", Class: plan.Required, Source: "default", Pos: at(200)})
		}, want: "error VG2025: HASH (from default:HASH) does not fit PASSWORD\nerror VG2025: STORE (from default:STORE) does not fit PASSWORD\nerror VG2001: required input OTHER is missing\n"},
		"something else is wrong": {change: func(k *keeper, p *plan.Plan, o *source.Options) {
			k.values["PASSWORD"] = "another-Horse8battery"
			p.Inputs = append(p.Inputs, plan.Input{Name: "OTHER", Class: plan.Required, Source: "default", Pos: at(200)})
		}, want: "error VG2001: required input OTHER is missing\n"},
		"a certificate that ends, and nobody can read its key": {change: func(k *keeper, _ *plan.Plan, o *source.Options) {
			k.errs = map[string]error{"KEY": source.ErrUnreadable, "SECRET": source.ErrUnreadable}
			o.Now = now.Add(47 * time.Hour)
		}, want: "warning VG2025: TOKEN (from default:TOKEN) ends on 2026-03-06, and is renewed 24h before that\nwarning VG2025: A_CERT (from default:A_CERT) ends on 2026-03-06, and is renewed 1h before that\nwarning VG2101: "},
		"verify": {verify: true, change: func(k *keeper, _ *plan.Plan, _ *source.Options) { k.values["PASSWORD"] = "another-Horse8battery" },
			want: "error VG2025: HASH (from default:HASH) does not fit PASSWORD\nerror VG2025: STORE (from default:STORE) does not fit PASSWORD\n"},
		"a parent that cannot be read": {change: func(k *keeper, _ *plan.Plan, _ *source.Options) {
			k.errs = map[string]error{"PASSWORD": source.ErrUnreadable}
			delete(k.values, "HASH")
		}, want: "warning VG2101: ", state: map[string]value.State{"HASH": value.Unreadable, "STORE": value.Present, "TOKEN": value.Present}},
		"a parent that cannot serve": {change: func(k *keeper, _ *plan.Plan, _ *source.Options) {
			k.values["PASSWORD"] = strings.Repeat("correct-Horse7battery", 4)
			delete(k.values, "SECRET") // nothing of what could be made is kept, either
			delete(k.values, "PUBLIC")
		}, want: "error VG2025: HASH cannot be made from PASSWORD, which is longer than the 72 bytes that bcrypt takes\n"},
		"a source that cannot be written": {change: func(k *keeper, _ *plan.Plan, _ *source.Options) {
			k.values["PASSWORD"], k.refuse = "another-Horse8battery", errors.New("it is sealed")
		}, want: "error VG2102: HASH was generated but cannot be written to source default (test), so it is not used: it is sealed\n"},
		"a child that is lost": {change: func(k *keeper, _ *plan.Plan, o *source.Options) {
			delete(k.values, "HASH")
			o.Known = func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
				return map[string]source.Holder{"HASH": {By: "the lock"}}, nil
			}
		}, want: "warning VG2107: ", state: map[string]value.State{"HASH": value.Unreadable}},
		"what is vouched for is not tried": {change: func(k *keeper, _ *plan.Plan, o *source.Options) {
			k.values["PASSWORD"] = "another-Horse8battery"
			o.Belongs = func(key value.Value, in plan.Input, child value.Value, parents map[string]value.Value) bool {
				return key.Len() > 0 && child.Len() > 0 && string(parents["PASSWORD"].Reveal()) == "another-Horse8battery"
			}
		}},
		"what ends is not vouched for": {change: func(k *keeper, _ *plan.Plan, o *source.Options) {
			o.Now = now.Add(1000 * time.Hour)
			o.Belongs = func(value.Value, plan.Input, value.Value, map[string]value.Value) bool { return true }
		}, created: "A_CERT TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &keeper{vault: vault{store: store{name: "default", values: maps.Clone(good.values)}}}
			p, o := familyPlan(), source.Options{Now: now}
			test.change(k, p, &o)
			resolve := source.Resolve
			if test.verify {
				resolve = func(ctx context.Context, p *plan.Plan, s map[string]source.Source, o source.Options) (value.Set, plan.Diagnostics) {
					return source.Verify(ctx, p, s, false, now, o)
				}
			}
			set, ds := resolve(t.Context(), p, map[string]source.Source{"default": k}, o)
			if got := sprint(ds); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if strings.Contains(sprint(ds), "Horse") {
				t.Error("a value is shown")
			}
			if got := sorted(k.created); got != test.created {
				t.Errorf("wrote %q, want %q", got, test.created)
			}
			for name, state := range test.state {
				if set[name].State != state {
					t.Errorf("%s is in state %v, want %v", name, set[name].State, state)
				}
			}
		})
	}
}

// TestChildrenUnread: of external secrets only dates are known.
func TestChildrenUnread(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	p := familyPlan()
	p.Secrets = []plan.Secret{{Name: "app", Namespace: "apps", Delivery: plan.Delivery{Kind: plan.External}, Keys: []plan.Key{{Name: "hash", Input: "HASH"}, {Name: "public", Input: "PUBLIC"}}}}
	p.Inputs = slices.DeleteFunc(p.Inputs, func(in plan.Input) bool {
		return !slices.Contains([]string{"HASH", "PASSWORD", "KEY", "PUBLIC"}, in.Name)
	})
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"HASH": "h", "PASSWORD": "p", "KEY": "k", "PUBLIC": "u"}}},
		dates: map[string]time.Time{"HASH": now, "PASSWORD": now.Add(time.Hour), "KEY": now, "PUBLIC": now.Add(time.Second)}}
	_, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": k}, source.Options{})
	if got, want := sprint(ds), "warning VG2025: HASH is older than PASSWORD, from which it is made\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(k.created) > 0 {
		t.Errorf("wrote %v", k.created)
	}
}

// TestChildrenOfAnotherBuild: what is made belongs to what the source holds of its
// parents then, not to what this build would have made them.
func TestChildrenOfAnotherBuild(t *testing.T) {
	t.Parallel()
	const theirs = "another build's secret, which has come first"
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"PASSWORD": "correct-Horse7battery"}}, others: map[string]string{"SECRET": theirs}}}
	sources := map[string]source.Source{"default": k}
	if _, ds := source.Resolve(t.Context(), familyPlan(), sources, source.Options{}); len(ds) > 0 {
		t.Fatal(sprint(ds))
	}
	if k.values["SECRET"] != theirs {
		t.Fatal("the other build was not first")
	}
	if _, ds := source.Verify(t.Context(), familyPlan(), sources, false, time.Now(), source.Options{}); len(ds) > 0 {
		t.Error(sprint(ds))
	}
}

// TestChildrenInterrupted: a rotation that ends between a parent and what is made
// from it is completed by the next build, which says so.
func TestChildrenInterrupted(t *testing.T) {
	t.Parallel()
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"PASSWORD": "correct-Horse7battery"}}}}
	p, sources := familyPlan(), map[string]source.Source{"default": k}
	if _, ds := source.Resolve(t.Context(), p, sources, source.Options{}); len(ds) > 0 {
		t.Fatal(sprint(ds))
	}
	ctx, cancel := context.WithCancel(t.Context())
	k.created = nil
	k.onCreate = func() {
		if len(k.created) > 0 { // the parent is kept
			cancel()
			k.refuse = ctx.Err()
		}
	}
	in, _ := p.Input("KEY")
	_, ds := source.Rotate(ctx, p, sources, []plan.Input{in}, source.Options{})
	if !ds.HasErrors() || sorted(k.created) != "KEY" {
		t.Fatalf("wrote %v, and said %s", k.created, sprint(ds))
	}
	k.created, k.onCreate, k.refuse = nil, nil, nil
	set, ds := source.Resolve(t.Context(), p, sources, source.Options{})
	if len(ds) > 0 || sorted(k.created) != "A_CERT PUBLIC STORE" {
		t.Errorf("wrote %v, and said %s", k.created, sprint(ds))
	}
	for _, name := range []string{"A_CERT", "PUBLIC"} {
		if set[name].Why != "does not fit KEY" {
			t.Errorf("%s was made anew for it %q", name, set[name].Why)
		}
	}
}

// TestChildrenWithoutParents: generate leaves out what it can't make, and says so.
func TestChildrenWithoutParents(t *testing.T) {
	t.Parallel()
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{}}}}
	_, ds := source.Generate(t.Context(), familyPlan(), map[string]source.Source{"default": k}, source.Options{})
	want := "warning VG2001: HASH is not made, because PASSWORD, from which it is made, is missing\nwarning VG2001: STORE is not made, because PASSWORD, from which it is made, is missing\n"
	if got := sprint(ds); got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if got, want := sorted(k.created), "A_CERT KEY PUBLIC SECRET TOKEN "+plan.LockKey; got != want {
		t.Errorf("wrote %s, want %s", got, want)
	}
}

// TestChildrenWithNewParents: a parent that is generated in a build which does not
// read what is made from it has its children made again.
func TestChildrenWithNewParents(t *testing.T) {
	t.Parallel()
	p := familyPlan()
	p.Secrets = []plan.Secret{{Name: "app", Namespace: "apps", Delivery: plan.Delivery{Kind: plan.External}, Keys: []plan.Key{{Name: "token", Input: "TOKEN"}, {Name: "cert", Input: "A_CERT"}}}}
	p.Inputs = slices.DeleteFunc(p.Inputs, func(in plan.Input) bool {
		return !slices.Contains([]string{"TOKEN", "SECRET", "A_CERT", "KEY"}, in.Name)
	})
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"TOKEN": "t", "KEY": "k", "A_CERT": "c"}}}, dates: map[string]time.Time{}}
	set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": k}, source.Options{})
	if got := sorted(k.created); len(ds) > 0 || got != "SECRET TOKEN" || set["TOKEN"].Why != "is older than SECRET" {
		t.Errorf("wrote %s for it %q, and said %q", got, set["TOKEN"].Why, sprint(ds))
	}
}

// TestChildrenOfPlaceholders: generate and rotate, which judge nothing else, make
// nothing from what is no value.
func TestChildrenOfPlaceholders(t *testing.T) {
	t.Parallel()
	k := &keeper{vault: vault{store: store{name: "default", values: map[string]string{"PASSWORD": "changeme"}}}}
	p, sources := familyPlan(), map[string]source.Source{"default": k}
	const said = " VG2004: PASSWORD is a placeholder (from default:PASSWORD), and nothing is made from it\n"
	_, ds := source.Generate(t.Context(), p, sources, source.Options{})
	if got, want := sorted(k.created), "A_CERT KEY PUBLIC SECRET TOKEN "+plan.LockKey; sprint(ds) != "warning"+said || got != want {
		t.Errorf("wrote %s, and said %q", got, sprint(ds))
	}
	k.created = nil
	in, _ := p.Input("HASH")
	_, ds = source.Rotate(t.Context(), p, sources, []plan.Input{in}, source.Options{})
	if got := sorted(k.created); sprint(ds) != "error"+said || got != "" {
		t.Errorf("wrote %s, and said %q", got, sprint(ds))
	}
}
