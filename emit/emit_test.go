package emit

import (
	"bytes"
	"context"
	"crypto/rsa"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
	_ "github.com/victor-ai/victorgen/internal/heap" // collecting garbage is a third of what the tests take
)

var day = emittest.Day

// at builds at that time, and takes the certificate of each of the emittest.Keys.
func at(now time.Time) Options {
	return Options{Now: func() time.Time { return now }, Accept: []string{emittest.SHA256(0), emittest.SHA256(1)}}
}

func inputs() []plan.Input {
	eu := "eu-west-1"
	return []plan.Input{
		{Name: "API_KEY", Class: plan.Optional},
		{Name: "DB_PASSWORD", Class: plan.Required},
		{Name: "DB_USER", Class: plan.Required},
		{Name: "KEY", Class: plan.Generated},
		{Name: "LEVEL", Class: plan.Setting},
		{Name: "REGION", Class: plan.Setting, Default: &eu},
		{Name: plan.LockKey, Class: plan.Generated},
	}
}

// key makes a key from "=literal", "INPUT" or "{{template}}".
func key(t testing.TB, name, from string) plan.Key {
	t.Helper()
	k := plan.Key{Name: name, Pos: []plan.Pos{{File: "/contract.cue", Line: len(name), Column: 1}}}
	switch lit, ok := strings.CutPrefix(from, "="); {
	case ok:
		k.Value = &lit
	case strings.Contains(from, "{{"):
		p := &plan.Plan{Inputs: inputs()}
		tmpl, problems := plan.ParseTemplate(from, p.Input, nil, false)
		if len(problems) > 0 {
			t.Fatalf("template %s: %+v", from, problems)
		}
		k.Template = tmpl
	default:
		k.Input = from
	}
	return k
}

func secret(t testing.TB, cert, scope, name string, keys ...string) plan.Secret {
	s := plan.Secret{
		Name: name, Namespace: "victor", Type: "Opaque",
		Delivery: plan.Delivery{Kind: plan.Sealed, Certificate: cert, Scope: scope},
		Pos:      []plan.Pos{{File: "/contract.cue", Line: 1, Column: 1}},
	}
	for i := 0; i < len(keys); i += 2 {
		s.Keys = append(s.Keys, key(t, keys[i], keys[i+1]))
	}
	return s
}

// testPlan has a secret of each scope, and keys of each kind.
func testPlan(t testing.TB, cert string) *plan.Plan {
	wide := secret(t, cert, plan.NamespaceWide, "wide", "tls.crt", "DB_USER", "tls.key", "KEY")
	wide.Type, wide.Immutable = "example.com/tls", true
	wide.Labels = map[string]string{"team": "data"}
	wide.Annotations = map[string]string{"reloader": "true"}
	return &plan.Plan{
		Environment: "production", PartOf: "victor-ai", Namespace: "victor", Inputs: inputs(),
		Secrets: []plan.Secret{
			secret(t, cert, plan.Strict, "app",
				"api-key", "API_KEY",
				"database-url", "postgresql://{{.DB_USER | urlquery}}:{{.DB_PASSWORD | urlquery}}@{{.REGION}}/db",
				"literal", "=verbatim",
				"password", "DB_PASSWORD",
				"region", "REGION"),
			secret(t, cert, plan.ClusterWide, "cluster", "key", "KEY"),
			wide,
		},
	}
}

func present(v string) value.Resolved {
	return value.Resolved{State: value.Present, Value: value.New([]byte(v))}
}

func testValues() value.Set {
	return value.Set{
		"API_KEY":     {State: value.Absent},
		"DB_PASSWORD": present("p@ss word"),
		"DB_USER":     present("victor"),
		"KEY":         present("\x00\xff binary"),
		"LEVEL":       {State: value.Absent},
		plan.LockKey:  present("0123456789abcdef0123456789abcdef"),
	}
}

func mustEmit(t testing.TB, p *plan.Plan, values value.Set, old *tree.Tree, o Options) (*tree.Tree, Report) {
	t.Helper()
	built, report, ds := Emit(context.Background(), p, values, old, o)
	if len(ds) > 0 {
		t.Fatalf("diagnostics: %v", ds)
	}
	return built, report
}

// states lists what became of each key: "app/password: kept (unchanged)".
func states(r Report) []string {
	var list []string
	for _, s := range r.Secrets {
		for _, k := range s.Keys {
			list = append(list, fmt.Sprintf("%s/%s: %s (%s)", s.Name, k.Name, k.State, k.Why))
		}
	}
	return list
}

func readLockOf(t testing.TB, built *tree.Tree) *tree.Lock {
	t.Helper()
	l, ds := built.Lock()
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	return l
}

func entryOf(t testing.TB, built *tree.Tree, secret, key string) tree.LockedKey {
	t.Helper()
	for _, s := range readLockOf(t, built).Secrets {
		if k, ok := s.Keys[key]; ok && s.Name == secret {
			return k
		}
	}
	t.Fatalf("the lock has no %s/%s", secret, key)
	return tree.LockedKey{}
}

// edit returns a copy of the tree in which old is replaced in one file.
func edit(t testing.TB, built *tree.Tree, file, old, new string) *tree.Tree {
	t.Helper()
	if !bytes.Contains(built.Files[file], []byte(old)) {
		t.Fatalf("%s does not contain %q:\n%s", file, old, built.Files[file])
	}
	c := &tree.Tree{Files: maps.Clone(built.Files)}
	c.Files[file] = bytes.Replace(c.Files[file], []byte(old), []byte(new), 1)
	return c
}

// changedLines returns, for each file, the lines of new that old has not.
func changedLines(old, new *tree.Tree) map[string][]string {
	changed := map[string][]string{}
	for _, c := range tree.Diff(old, new) {
		before := strings.Split(string(old.Files[c.Path]), "\n")
		after := strings.Split(string(new.Files[c.Path]), "\n")
		for i, line := range after {
			if i >= len(before) || before[i] != line {
				changed[c.Path] = append(changed[c.Path], strings.TrimSpace(line))
			}
		}
	}
	return changed
}

// TestGolden shows a whole tree. VICTORGEN_UPDATE=1 rewrites it.
func TestGolden(t *testing.T) {
	t.Parallel()
	p := testPlan(t, "testdata/cert.pem")
	other := p.Secrets[0]
	other.Namespace = "another"
	p.Secrets = slices.Insert(p.Secrets, 0, other)
	o := at(day)
	o.Sealer = emittest.Sealer{}
	built, _ := mustEmit(t, p, testValues(), nil, o)

	var got txtar.Archive
	for _, name := range slices.Sorted(maps.Keys(built.Files)) {
		got.Files = append(got.Files, txtar.File{Name: name, Data: built.Files[name]})
	}
	const golden = "testdata/tree.txtar"
	if os.Getenv("VICTORGEN_UPDATE") != "" {
		if err := os.WriteFile(golden, txtar.Format(&got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(&got))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Secrets = append(p.Secrets, secret(t, p.Secrets[0].Delivery.Certificate, plan.Strict, "xtra", "api-key", "API_KEY"))
	built, got := mustEmit(t, p, testValues(), nil, at(day))
	want := Report{Secrets: []SecretReport{
		{Namespace: "victor", Name: "app", File: "secrets/app.yaml", Keys: []KeyReport{
			{Name: "api-key", State: LeftOut, Why: "API_KEY is absent", Inputs: []string{"API_KEY"}},
			{Name: "database-url", State: Sealed, Why: "it was not sealed before", Inputs: []string{"DB_PASSWORD", "DB_USER", "REGION"}},
			{Name: "literal", State: Sealed, Why: "it was not sealed before"},
			{Name: "password", State: Sealed, Why: "it was not sealed before", Inputs: []string{"DB_PASSWORD"}},
			{Name: "region", State: Sealed, Why: "it was not sealed before", Inputs: []string{"REGION"}},
		}},
		{Namespace: "victor", Name: "cluster", File: "secrets/cluster.yaml", Keys: []KeyReport{
			{Name: "key", State: Sealed, Why: "it was not sealed before", Inputs: []string{"KEY"}},
		}},
		{Namespace: "victor", Name: "wide", File: "secrets/wide.yaml", Keys: []KeyReport{
			{Name: "tls.crt", State: Sealed, Why: "it was not sealed before", Inputs: []string{"DB_USER"}},
			{Name: "tls.key", State: Sealed, Why: "it was not sealed before", Inputs: []string{"KEY"}},
		}},
		{Namespace: "victor", Name: "xtra", LeftOut: true, Keys: []KeyReport{
			{Name: "api-key", State: LeftOut, Why: "API_KEY is absent", Inputs: []string{"API_KEY"}},
		}},
	}}
	got.Certificates = nil // see TestSwappedCertificate
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok := built.Files["secrets/xtra.yaml"]; ok {
		t.Error("a secret without keys has a file")
	}
	if !entryOf(t, built, "xtra", "api-key").Omitted {
		t.Error("the lock does not say that the key is left out")
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	p, values := testPlan(t, emittest.CertFile(t, 0)), testValues()
	first, _ := mustEmit(t, p, values, nil, at(day))

	later := day.AddDate(0, 0, 5)
	second, report := mustEmit(t, p, values, first, at(later))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("second build differs:\n%s", diff)
	}
	for _, s := range states(report) {
		if !strings.HasSuffix(s, ": kept (unchanged)") && !strings.Contains(s, ": left out") {
			t.Error(s)
		}
	}

	values["DB_PASSWORD"] = present("another")
	p.Secrets[0].Keys = slices.DeleteFunc(p.Secrets[0].Keys, func(k plan.Key) bool { return k.Name == "database-url" })
	first, _ = mustEmit(t, p, testValues(), nil, at(day))
	third, _ := mustEmit(t, p, values, first, at(later))
	changed := changedLines(first, third)
	e := entryOf(t, third, "app", "password")
	ciphertext, _, _ := strings.Cut(strings.SplitAfter(string(third.Files["secrets/app.yaml"]), "password: ")[1], "\n")
	want := map[string][]string{
		"secrets/app.yaml": {"password: " + ciphertext},
		tree.LockFile: {
			fmt.Sprintf("ciphertext: %q", e.Ciphertext), fmt.Sprintf("tag: %q", e.Tag), fmt.Sprintf("stamp: %q", e.Stamp),
			"sealed: 2026-02-08T04:05:06Z", "changed: 2026-02-08T04:05:06Z",
		},
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("a new value changes (-want +got)\n%s", diff)
	}
}

// TestReseal changes one thing between two builds.
func TestReseal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		change  func(t *testing.T, p *plan.Plan, values value.Set, old *tree.Tree) *tree.Tree
		why     string // of app/password
		others  bool   // are the others sealed again too?
		changed bool   // is the value taken for a new one?
		code    plan.Code
	}{{
		name: "value", why: "the value changed", changed: true,
		change: func(_ *testing.T, p *plan.Plan, values value.Set, old *tree.Tree) *tree.Tree {
			values["DB_PASSWORD"] = present("new")
			return old
		},
	}, {
		name: "certificate", why: "the certificate changed", others: true,
		change: func(t *testing.T, p *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Delivery.Certificate = emittest.CertFile(t, 1)
			return old
		},
	}, {
		name: "certificate and value", why: "the certificate changed, the value changed", others: true, changed: true,
		change: func(t *testing.T, p *plan.Plan, values value.Set, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Delivery.Certificate = emittest.CertFile(t, 1)
			values["DB_PASSWORD"] = present("new")
			return old
		},
	}, {
		name: "scope", why: "the scope changed from strict to namespace-wide", others: true,
		change: func(_ *testing.T, p *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Delivery.Scope = plan.NamespaceWide
			return old
		},
	}, {
		name: "namespace", why: "it was not sealed before", others: true, changed: true,
		change: func(_ *testing.T, p *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Namespace = "other"
			return old
		},
	}, {
		name: "name", why: "it was not sealed before", others: true, changed: true,
		change: func(_ *testing.T, p *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Name = "apple"
			return old
		},
	}, {
		name: "definition", why: "its definition changed",
		change: func(t *testing.T, p *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Keys[3] = key(t, "password", "{{.DB_PASSWORD}}")
			return old
		},
	}, {
		name: "ciphertext edited", why: "its ciphertext was edited by hand", code: plan.CodeEdited,
		change: func(t *testing.T, _ *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			return edit(t, old, "secrets/app.yaml", "\n    password: A", "\n    password: B")
		},
	}, {
		name: "ciphertext of another key", why: "its ciphertext was edited by hand", code: plan.CodeEdited,
		change: func(t *testing.T, _ *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			swapped := tree.Ciphertexts(old.Files["secrets/app.yaml"])
			return edit(t, old, "secrets/app.yaml", swapped["password"], swapped["region"])
		},
	}, {
		name: "ciphertext removed", why: "its ciphertext is missing from secrets/app.yaml", code: plan.CodeEdited,
		change: func(t *testing.T, _ *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			return edit(t, old, "secrets/app.yaml", "\n    password:", "\n    passwort:")
		},
	}, {
		name: "ciphertext and its digest edited", why: "the value changed", changed: true,
		change: func(t *testing.T, _ *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			text := tree.Ciphertexts(old.Files["secrets/app.yaml"])["password"]
			old = edit(t, old, "secrets/app.yaml", text, "AAAA")
			return edit(t, old, tree.LockFile, tree.CiphertextDigest(text), tree.CiphertextDigest("AAAA"))
		},
	}, {
		name: "lock key", why: "VICTORGEN_LOCK_KEY changed", others: true, changed: true,
		change: func(_ *testing.T, _ *plan.Plan, values value.Set, old *tree.Tree) *tree.Tree {
			values[plan.LockKey] = present("another")
			return old
		},
	}, {
		name: "no lock", why: "it was not sealed before", others: true, changed: true,
		change: func(_ *testing.T, _ *plan.Plan, _ value.Set, old *tree.Tree) *tree.Tree {
			c := &tree.Tree{Files: maps.Clone(old.Files)}
			delete(c.Files, tree.LockFile)
			return c
		},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, values := testPlan(t, emittest.CertFile(t, 0)), testValues()
			p.Secrets = p.Secrets[:1]
			p.Secrets[0].Keys = slices.DeleteFunc(p.Secrets[0].Keys, func(k plan.Key) bool { return k.Name == "database-url" })
			p.Secrets[0].Keys = slices.Insert(p.Secrets[0].Keys, 1, key(t, "literal-2", "=again")) // keeps the index of password
			first, _ := mustEmit(t, p, values, nil, at(day))
			old := test.change(t, p, values, first)

			later := day.AddDate(0, 0, 5)
			second, report, ds := Emit(context.Background(), p, values, old, at(later))
			if test.code == "" && len(ds) > 0 || test.code != "" && (len(ds) != 1 || ds[0].Code != test.code) {
				t.Errorf("diagnostics: %v, want code %q", ds, test.code)
			}
			name := p.Secrets[0].Name
			for _, s := range states(report) {
				switch {
				case strings.HasPrefix(s, name+"/password:"):
					if want := name + "/password: sealed (" + test.why + ")"; s != want {
						t.Errorf("got  %s\nwant %s", s, want)
					}
				case strings.Contains(s, "left out"):
				case strings.Contains(s, ": sealed (") != test.others:
					t.Errorf("%s, while %s changed", s, test.name)
				}
			}
			e := entryOf(t, second, name, "password")
			if want := later.Truncate(time.Second); !e.Sealed.Equal(want) {
				t.Errorf("sealed at %s, want %s", e.Sealed, want)
			}
			if changed := e.Changed.Equal(e.Sealed); changed != test.changed || !changed && !e.Changed.Equal(day.Truncate(time.Second)) {
				t.Errorf("changed at %s, sealed at %s", e.Changed, e.Sealed)
			}
			third, _ := mustEmit(t, p, values, second, at(later.AddDate(0, 0, 1)))
			if diff := cmp.Diff(second, third); diff != "" {
				t.Errorf("the build after that differs:\n%s", diff)
			}
		})
	}
}

func TestChangedSurvivesKeeping(t *testing.T) {
	t.Parallel()
	p, values := testPlan(t, emittest.CertFile(t, 0)), testValues()
	built, _ := mustEmit(t, p, values, nil, at(day))
	p.Secrets[0].Delivery.Certificate = emittest.CertFile(t, 1)
	built, _ = mustEmit(t, p, values, built, at(day.AddDate(0, 0, 1)))
	built, _ = mustEmit(t, p, values, built, at(day.AddDate(0, 0, 2)))
	e := entryOf(t, built, "app", "password")
	if got, want := e.Changed.Format(time.DateOnly)+" "+e.Sealed.Format(time.DateOnly), "2026-02-03 2026-02-04"; got != want {
		t.Errorf("changed and sealed on %s, want %s", got, want)
	}
}

func TestWithoutLockKey(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]value.Resolved{"absent": {State: value.Absent}, "empty": present("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, values := testPlan(t, emittest.CertFile(t, 0)), testValues()
			values[plan.LockKey] = r
			first, _ := mustEmit(t, p, values, nil, at(day))
			if bytes.Contains(first.Files[tree.LockFile], []byte("tag:")) {
				t.Errorf("tags without a key:\n%s", first.Files[tree.LockFile])
			}
			_, report := mustEmit(t, p, values, first, at(day))
			if got, want := states(report)[3], "app/password: sealed (without VICTORGEN_LOCK_KEY it is sealed again each time)"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			values = testValues()
			second, report := mustEmit(t, p, values, first, at(day))
			if got, want := states(report)[3], "app/password: sealed (it was sealed without VICTORGEN_LOCK_KEY)"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			mustEmit(t, p, values, second, at(day))
		})
	}
}

// TestOffline builds without values, after a build with them.
func TestOffline(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	first, _ := mustEmit(t, p, testValues(), nil, at(day))

	second, report := mustEmit(t, p, nil, first, at(day.AddDate(0, 0, 5)))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the tree differs:\n%s", diff)
	}
	want := []string{
		"app/api-key: left out (it was left out before, and cannot be read)",
		"app/database-url: kept (it cannot be read, and nothing else has changed)",
		"app/literal: kept (it cannot be read, and nothing else has changed)",
	}
	if diff := cmp.Diff(want, states(report)[:3]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	tests := []struct {
		name   string
		change func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree
		want   []string
	}{{
		name:   "nothing sealed before",
		change: func(*testing.T, *plan.Plan, *tree.Tree) *tree.Tree { return nil },
		want:   []string{`key "password" of secret victor/app: DB_PASSWORD cannot be read, and there is no sealed copy to keep: it was not sealed before`},
	}, {
		name: "definition",
		change: func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Keys[3] = key(t, "password", "{{.DB_PASSWORD}}")
			return old
		},
		want: []string{`key "password" of secret victor/app: DB_PASSWORD cannot be read, and there is no sealed copy to keep: its definition changed`},
	}, {
		name: "literal",
		change: func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Keys[2] = key(t, "literal", "=other")
			return old
		},
		want: []string{`key "literal" of secret victor/app: VICTORGEN_LOCK_KEY cannot be read, and there is no sealed copy to keep: its definition changed`},
	}, {
		name: "default of a setting",
		change: func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree {
			us := "us"
			p.Inputs[5].Default = &us
			return old
		},
		want: []string{
			`key "region" of secret victor/app: VICTORGEN_LOCK_KEY cannot be read, and there is no sealed copy to keep: its definition changed`,
			`key "database-url" of secret victor/app: DB_PASSWORD, DB_USER cannot be read, and there is no sealed copy to keep: its definition changed`,
		},
	}, {
		name: "certificate",
		change: func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree {
			p.Secrets[1].Delivery.Certificate = emittest.CertFile(t, 1)
			return old
		},
		want: []string{`key "key" of secret victor/cluster: KEY cannot be read, and there is no sealed copy to keep: the certificate changed`},
	}, {
		name: "edited",
		change: func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree {
			return edit(t, old, "secrets/cluster.yaml", "    key: A", "    key: B")
		},
		want: []string{`key "key" of secret victor/cluster: KEY cannot be read, and there is no sealed copy to keep: its ciphertext was edited by hand`},
	}, {
		name: "left out before",
		change: func(t *testing.T, p *plan.Plan, old *tree.Tree) *tree.Tree {
			p.Secrets[0].Keys[0] = key(t, "api-key", "{{with .API_KEY}}{{.}}{{end}}")
			return old
		},
		want: []string{`key "api-key" of secret victor/app: API_KEY cannot be read, and there is no sealed copy to keep: it was left out before`},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := testPlan(t, p.Secrets[0].Delivery.Certificate)
			built, _, ds := Emit(context.Background(), p, nil, test.change(t, p, first), at(day))
			var got []string
			for _, d := range ds {
				if d.Code != plan.CodeCannotSeal || d.Severity != plan.Error || len(d.Pos) == 0 || d.Hint == "" {
					t.Errorf("%+v", d)
				}
				if restore := strings.HasSuffix(d.Hint, ", or restore secrets/cluster.yaml from Git"); restore != (test.name == "edited") {
					t.Errorf("hint %q", d.Hint)
				}
				got = append(got, d.Message)
			}
			if test.name == "nothing sealed before" {
				got = slices.DeleteFunc(got, func(s string) bool { return s != test.want[0] })
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if built != nil {
				t.Error("there is a tree in spite of errors")
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	p, values := testPlan(t, emittest.CertFile(t, 0)), testValues()
	first, _ := mustEmit(t, p, values, nil, at(day))
	values["DB_PASSWORD"] = value.Resolved{Reason: "access denied"}
	values["DB_USER"] = value.Resolved{Reason: "access denied"}
	second, _, ds := Emit(context.Background(), p, values, first, at(day))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the tree differs:\n%s", diff)
	}
	const want = "warning VG3106: kept the sealed copies of victor/app database-url, password; victor/wide tls.crt, " +
		"because DB_PASSWORD and DB_USER cannot be read (access denied)"
	if got := ds.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	values = testValues()
	values[plan.LockKey] = value.Resolved{Reason: "expired login"}
	values["DB_PASSWORD"] = present("nobody can tell that it was not sealed before")
	if second, _, ds = Emit(context.Background(), p, values, first, at(day)); len(ds) != 1 || ds[0].Code != plan.CodeKept {
		t.Errorf("diagnostics: %v", ds)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the tree differs:\n%s", diff)
	}
}

// TestErrors wants all of them at once.
func TestErrors(t *testing.T) {
	t.Parallel()
	cert := emittest.CertFile(t, 0)
	p, values := testPlan(t, cert), testValues()
	big := strings.Repeat("x", 600<<10)
	values["KEY"] = present(big)
	p.Secrets[1].Keys = append(p.Secrets[1].Keys, key(t, "key2", "KEY"))
	p.Secrets[2].Keys = append(p.Secrets[2].Keys, key(t, "url", "{{.DB_USER}}\n{{index .DB_PASSWORD 99}}"))
	values["DB_PASSWORD"] = value.Resolved{State: value.Absent}
	for i := range p.Secrets {
		p.Secrets[i].Delivery.Certificate = "/none.pem"
		p.Secrets[i].Delivery.Pos = []plan.Pos{{File: "/contract.cue", Line: 1, Column: 1}}
	}
	built, _, ds := Emit(context.Background(), p, values, nil, at(day))
	if built != nil {
		t.Error("there is a tree in spite of errors")
	}
	var got []string
	for _, d := range ds {
		got = append(got, string(d.Code)+" "+d.Message)
	}
	want := []string{
		`VG3001 cannot read the certificate /none.pem: it does not exist`,
		`VG3102 the values of secret victor/cluster are 1228800 bytes together; Kubernetes allows 1048576`,
		`VG2001 key "url" of secret victor/wide: its required input DB_PASSWORD is absent`,
		`VG2001 key "password" of secret victor/app: its required input DB_PASSWORD is absent`,
		`VG2001 key "database-url" of secret victor/app: its required input DB_PASSWORD is absent`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNothingLeft(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Secrets = []plan.Secret{secret(t, p.Secrets[0].Delivery.Certificate, plan.Strict, "app", "api-key", "API_KEY")}
	if built, _, ds := Emit(context.Background(), p, testValues(), nil, at(day)); built != nil || len(ds) != 1 || ds[0].Code != plan.CodeLeftOut {
		t.Errorf("diagnostics: %v", ds)
	}
}

func TestBadOldLock(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	old := &tree.Tree{Files: map[string][]byte{tree.LockFile: []byte("version: 7\n")}}
	if built, _, ds := Emit(context.Background(), p, testValues(), old, at(day)); built != nil || len(ds) != 1 || ds[0].Code != plan.CodeLockRead {
		t.Errorf("diagnostics: %v", ds)
	}
}

type brokenSealer struct{}

func (brokenSealer) Seal(*rsa.PublicKey, []byte, []byte) ([]byte, error) {
	return nil, fmt.Errorf("no entropy")
}

func TestSealerFails(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	o := at(day)
	o.Sealer = brokenSealer{}
	built, _, ds := Emit(context.Background(), p, testValues(), nil, o)
	if built != nil || len(ds) != 7 || ds[0].Code != plan.CodeCannotSeal {
		t.Errorf("diagnostics: %v", ds)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p := testPlan(t, emittest.CertFile(t, 0))
	if built, _, ds := Emit(ctx, p, testValues(), nil, at(day)); built != nil || !ds.HasErrors() {
		t.Errorf("diagnostics: %v", ds)
	}
}

// TestKustomize breaks trees that kustomize must refuse.
func TestKustomize(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	if ds := built.Kustomize(3); len(ds) > 0 {
		t.Errorf("a good tree: %v", ds)
	}
	for name, bad := range map[string]*tree.Tree{
		"two fewer":    edit(t, built, tree.KustomizationFile, "- secrets/app.yaml\n", ""),
		"missing file": edit(t, built, tree.KustomizationFile, "secrets/app.yaml", "secrets/none.yaml"),
		"not YAML":     edit(t, built, "secrets/app.yaml", "metadata:", "metadata"),
		"twice":        {Files: map[string][]byte{tree.KustomizationFile: []byte("resources: [a.yaml, b.yaml, c.yaml]"), "a.yaml": built.Files["secrets/app.yaml"], "b.yaml": built.Files["secrets/app.yaml"], "c.yaml": built.Files["secrets/wide.yaml"]}},
	} {
		if ds := bad.Kustomize(3); len(ds) != 1 || ds[0].Code != plan.CodeKustomize {
			t.Errorf("%s: %v", name, ds)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{Namespace: "main", Secrets: []plan.Secret{
		{Namespace: "a", Name: "app"}, {Namespace: "a", Name: "lone"}, {Namespace: "b", Name: "app"}, {Namespace: "main", Name: "app"},
	}}
	want := []string{"secrets/a/app.yaml", "secrets/lone.yaml", "secrets/b/app.yaml", "secrets/app.yaml"}
	if diff := cmp.Diff(want, tree.FileNames(p)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestUnknownDelivery: what only a plan that is ahead of this can ask for is an
// error, not something near it.
func TestUnknownDelivery(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*plan.Delivery){
		func(d *plan.Delivery) { d.Kind = "new" }, func(d *plan.Delivery) { d.Scope = "new" }, func(d *plan.Delivery) { d.Kind = "" },
	} {
		p := testPlan(t, emittest.CertFile(t, 0))
		change(&p.Secrets[0].Delivery)
		built, _, ds := Emit(t.Context(), p, testValues(), nil, at(day))
		if built != nil || len(ds) != 1 || ds[0].Code != plan.CodeCannotSeal || !strings.Contains(ds[0].Message, "victor/app has delivery") {
			t.Errorf("%v", ds)
		}
	}
	if _, err := secretStores(plan.Source{Name: "a", Kind: "new"}, &plan.Plan{}, []string{"n"}); err == nil {
		t.Error("a source that the operator has no provider for gets a store")
	}
}
