package emit

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// version1 makes the tree what the victorgen before stamps wrote.
func version1(t *testing.T, built *tree.Tree) *tree.Tree {
	t.Helper()
	old := &tree.Tree{Files: map[string][]byte{}}
	for name, data := range built.Files {
		old.Files[name] = data
	}
	text := string(built.Files[tree.LockFile])
	text = strings.Replace(text, "version: 2", "version: 1", 1)
	text = regexp.MustCompile(`(?m)^ +stamp: .*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`(?s)inputs:\n.*secrets:\n`).ReplaceAllString(text, "secrets:\n")
	old.Files[tree.LockFile] = []byte(text)
	return old
}

// TestVersion1: an unchanged tree of the version before is not sealed again, and
// not changed at all by those who have no values.
func TestVersion1(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	first, _ := mustEmit(t, p, testValues(), nil, at(day))
	old := version1(t, first)
	again, report := mustEmit(t, p, testValues(), old, at(day.AddDate(0, 0, 1)))
	if !bytes.Equal(again.Files[tree.LockFile], first.Files[tree.LockFile]) {
		t.Errorf("the lock is not what it would be:\n%s", again.Files[tree.LockFile])
	}
	if !tree.OnlyRenews(old, again) || tree.OnlyRenews(first, again) || tree.OnlyRenews(again, old) {
		t.Error("it is not seen that the lock alone is renewed")
	}
	for _, s := range states(report) {
		if strings.Contains(s, ": sealed") {
			t.Error(s)
		}
	}
	offline, _ := mustEmit(t, p, value.Set{}, old, at(day))
	if changes := tree.Diff(old, offline); len(changes) > 0 {
		t.Errorf("offline, it changes %v", changes)
	}
}

// TestForgedTimes (issue 18, 14): who moves a time in the lock hides that a
// rotation is due.
func TestForgedTimes(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	first, _ := mustEmit(t, p, testValues(), nil, at(day))
	later := day.AddDate(0, 0, 5)
	unread := testValues()
	unread["DB_PASSWORD"] = value.Resolved{Reason: "no network"}
	for name, test := range map[string]struct {
		old, new string
		values   value.Set
		want     string
	}{
		"changed":          {"changed: 2026-02-03T04:05:06Z", "changed: 2026-02-04T04:05:06Z", testValues(), "is not what was written"},
		"sealed":           {"sealed: 2026-02-03T04:05:06Z", "sealed: 2026-02-04T04:05:06Z", testValues(), "is not what was written"},
		"unread":           {"changed: 2026-02-03T04:05:06Z", "changed: 2026-02-04T04:05:06Z", unread, "is not what was written"},
		"to come":          {"changed: 2026-02-03T04:05:06Z", "changed: 2099-02-04T04:05:06Z", testValues(), "is in the future: 2099-02-04T04:05:06Z"},
		"offline, to come": {"sealed: 2026-02-03T04:05:06Z", "sealed: 2099-02-04T04:05:06Z", value.Set{}, "is in the future"},
		"no stamp":         {`stamp: "`, `# "`, testValues(), "is not what was written"},
	} {
		t.Run(name, func(t *testing.T) {
			forged := &tree.Tree{Files: map[string][]byte{}}
			for file, data := range first.Files {
				forged.Files[file] = data
			}
			lock := string(first.Files[tree.LockFile])
			at0 := strings.Index(lock, `"password":`)
			if at0 < 0 || !strings.Contains(lock[at0:], test.old) {
				t.Fatalf("no %q in the lock", test.old)
			}
			forged.Files[tree.LockFile] = []byte(lock[:at0] + strings.Replace(lock[at0:], test.old, test.new, 1))
			built, _, ds := Emit(context.Background(), p, test.values, forged, at(later))
			i := slices.IndexFunc(ds, func(d plan.Diagnostic) bool { return d.Code == plan.CodeLockTimes })
			if built != nil || i < 0 || !strings.Contains(ds[i].Message, test.want) {
				t.Errorf("%v", ds)
			}
		})
	}
}

// TestKnownInputs: a lock knows the inputs that it has values of, whatever has
// been renamed since.
func TestKnownInputs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(dir string, built *tree.Tree) string {
		dir = filepath.Join(root, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, tree.LockFile), built.Files[tree.LockFile], 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	sources := []plan.Source{{Name: "default", Kind: plan.Env, File: filepath.Join(root, ".secrets")}}
	cert := emittest.CertFile(t, 0)
	makePlan := func() *plan.Plan {
		p := testPlan(t, cert)
		p.Module, p.Sources = root, sources
		for i := range p.Inputs {
			p.Inputs[i].Source = "default"
		}
		return p
	}
	p := makePlan()
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	v2, v1 := write("one/v2", built), write("two/v1", version1(t, built))
	other := makePlan()
	other.Environment = "staging"
	elsewhere := makePlan()
	elsewhere.Environment = "staging"
	elsewhere.Sources = []plan.Source{{Name: "default", Kind: plan.Env, File: filepath.Join(root, ".secrets.staging")}}
	moved := makePlan()
	moved.Sources = elsewhere.Sources
	renamedKey := makePlan()
	renamedKey.Secrets = []plan.Secret{secret(t, cert, plan.Strict, "other", "new-name", "KEY")}
	renamedInput := makePlan()
	renamedInput.Inputs[3].Name = "KEY2"
	renamedInput.Secrets = []plan.Secret{secret(t, cert, plan.ClusterWide, "cluster", "key", "KEY2")}
	bare := makePlan()
	bare.Environment, bare.Secrets = "staging", []plan.Secret{secret(t, cert, plan.Strict, "other", "user", "DB_USER")}
	without := testValues()
	delete(without, "KEY")
	bareTree, _ := mustEmit(t, bare, without, nil, at(day))
	own := write("one/staging", bareTree)
	added := makePlan()
	added.Inputs = slices.Insert(added.Inputs, 4, plan.Input{Name: "KEY2", Class: plan.Generated, Source: "default"})
	added.Secrets = append(added.Secrets, secret(t, cert, plan.Strict, "zebra", "key", "KEY2"))
	gone := func(environment string) bool { return environment == "production" }
	stays := func(string) bool { return false }
	for name, test := range map[string]struct {
		p    *plan.Plan
		dir  string
		ask  string
		know bool
		gone func(string) bool
	}{
		"its own":                              {p, v2, "KEY", true, nil},
		"its own, version 1":                   {p, v1, "KEY", true, nil},
		"the lock key":                         {p, v2, plan.LockKey, true, nil},
		"the lock key, version 1":              {p, v1, plan.LockKey, true, nil},
		"another place":                        {moved, v2, "KEY", true, nil},
		"a renamed key and secret":             {renamedKey, v2, "KEY", true, nil},
		"a renamed key and secret, version 1":  {renamedKey, v1, "KEY", true, nil},
		"a renamed input":                      {renamedInput, v2, "KEY2", true, nil},
		"a renamed input, version 1":           {renamedInput, v1, "KEY2", true, nil},
		"a new input":                          {added, v2, "KEY2", false, nil},
		"a new input, version 1":               {added, v1, "KEY2", false, nil},
		"no lock":                              {p, filepath.Join(root, "three", "none"), "KEY", false, nil},
		"another environment, the same place":  {other, filepath.Join(root, "one", "none"), "KEY", true, nil},
		"another environment, another place":   {elsewhere, filepath.Join(root, "one", "none"), "KEY", false, nil},
		"another environment's lock in itself": {elsewhere, v2, "KEY", false, nil},
		"an environment that is gone":          {elsewhere, filepath.Join(root, "one", "none"), "KEY", true, gone},
		"a tree of its own beside that":        {elsewhere, own, "KEY", false, gone},
	} {
		t.Run(name, func(t *testing.T) {
			in, ok := test.p.Input(test.ask)
			if !ok {
				t.Fatalf("no input %s", test.ask)
			}
			if test.gone == nil {
				test.gone = stays
			}
			others := new(tree.Locks)
			for _, others := range []*tree.Locks{nil, others, others} { // read once and for all
				known, ds := tree.KnownInputs(test.p, []plan.Input{in}, test.gone, others, test.dir)
				if got := known[test.ask].File != ""; got != test.know || len(ds) > 0 {
					t.Errorf("known: %v, want %v; %v", got, test.know, ds)
				}
			}
		})
	}
	broken := write("one/broken", &tree.Tree{Files: map[string][]byte{tree.LockFile: []byte("<<<<<<< HEAD\n")}})
	if _, ds := tree.KnownInputs(p, p.Inputs, stays, nil, broken); !ds.HasErrors() {
		t.Error("a lock that cannot be read knows nothing")
	}
}

// TestKnownOptional (issue 10, 5): a lock knows whether an input that may be absent
// was there, though a template is sealed either way.
func TestKnownOptional(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Module = t.TempDir()
	p.Secrets = []plan.Secret{secret(t, p.Secrets[0].Delivery.Certificate, plan.Strict, "app",
		"config", "{{with .API_KEY}}token={{.}}{{end}} {{with .LEVEL}}level={{.}}{{end}} {{.DB_USER}}", "level", "LEVEL")}
	both := testValues()
	both["API_KEY"], both["LEVEL"] = present("tok-7f3k29dk20sk3"), present("warn")
	neither := testValues()
	with, _ := mustEmit(t, p, both, nil, at(day))
	without, _ := mustEmit(t, p, neither, nil, at(day))
	kept, _ := mustEmit(t, p, value.Set{}, with, at(day))
	gone, _ := mustEmit(t, p, neither, with, at(day))
	renamed := *p
	renamed.Inputs = slices.Clone(p.Inputs)
	renamed.Inputs[4].Name = "LOG_LEVEL"
	renamed.Secrets = []plan.Secret{p.Secrets[0]}
	renamed.Secrets[0].Keys = []plan.Key{p.Secrets[0].Keys[0], {Name: "level", Input: "LOG_LEVEL"}}
	for name, test := range map[string]struct {
		tree *tree.Tree
		want string
		p    *plan.Plan
	}{
		"one has another name":                    {with, "API_KEY LOG_LEVEL", &renamed},
		"one has another name, and was not there": {without, "", &renamed},
		"both were there":                         {with, "API_KEY LEVEL", p}, "neither was": {without, "", p}, "both were, and nobody knows now": {kept, "API_KEY LEVEL", p},
		"both are gone for good": {gone, "", p}, "both were, and version 1 knows keys alone": {version1(t, with), "LEVEL", p},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "production")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, tree.LockFile), test.tree.Files[tree.LockFile], 0o644); err != nil {
				t.Fatal(err)
			}
			known, ds := tree.KnownInputs(test.p, slices.DeleteFunc(slices.Clone(test.p.Inputs), func(in plan.Input) bool { return !in.MayBeAbsent() }), func(string) bool { return false }, nil, dir)
			if got := strings.Join(slices.Sorted(maps.Keys(known)), " "); got != test.want || len(ds) > 0 {
				t.Errorf("known are %q, want %q; %v", got, test.want, ds)
			}
		})
	}
}

// TestLockKeyMoved (issue 18, 16).
func TestLockKeyMoved(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Sources = []plan.Source{{Name: "default", Kind: plan.AWSSSM, Region: "eu-west-1"}}
	for i := range p.Inputs {
		p.Inputs[i].Source = "default"
	}
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	dir := filepath.Join(root, "production")
	if err := built.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if ds := CheckLock(p, dir, nil); len(ds) > 0 {
		t.Errorf("nothing moved: %v", ds)
	}
	own := *p
	p.Own = &own
	p.Sources = []plan.Source{{Name: "default", Kind: plan.Vault, Address: "https://vault.elsewhere.example"}}
	again, _ := mustEmit(t, p, testValues(), built, at(day))
	if changes := tree.Diff(built, again); len(changes) > 0 {
		t.Errorf("--source changes %v", changes)
	}
	p.Own = nil
	_, _, ds := Emit(t.Context(), p, testValues(), built, at(day))
	for _, ds := range []plan.Diagnostics{ds, CheckLock(p, dir, nil)} {
		if len(ds) != 1 || ds[0].Code != plan.CodeLockKeyMoved || ds[0].Severity != plan.Warning {
			t.Errorf("%v", ds)
		}
	}
}

// TestOtherLocks: what an environment that has a tree lacks, and does not generate, is
// nothing to ask others for. Of a thousand, each would read a thousand locks.
func TestOtherLocks(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	trees := t.TempDir()
	own := filepath.Join(trees, p.Environment)
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	if err := built.Write(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, trees, map[string]string{"other/" + tree.LockFile: "no lock\n"})
	gone := func(string) bool { t.Error("somebody asks which environments there are"); return false }
	ask := func(class plan.Class, dir string) bool {
		_, ds := tree.KnownInputs(p, []plan.Input{{Name: "NEW", Class: class}}, gone, nil, dir)
		return ds.HasErrors()
	}
	if ask(plan.Optional, own) {
		t.Error("the lock of another environment is read")
	}
	if !ask(plan.Generated, own) || !ask(plan.Optional, filepath.Join(trees, "new")) {
		t.Error("the lock of another environment is not read")
	}
	// Next to it, another build is writing a tree just now: its lock may be empty still.
	if err := os.RemoveAll(filepath.Join(trees, "other")); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, trees, map[string]string{filepath.Base(filepath.Join(trees, ".other.victorgen-new")) + "/" + tree.LockFile: ""})
	if ask(plan.Generated, own) || ask(plan.Optional, filepath.Join(trees, "new")) {
		t.Error("a tree that is being written is read")
	}
	// What a run has read of another it does not read again.
	others := new(tree.Locks)
	elsewhere := *p
	elsewhere.Environment = "other"
	for i, content := range []string{string(built.Files[tree.LockFile]), "no lock\n"} {
		writeFiles(t, trees, map[string]string{"other/" + tree.LockFile: content})
		_, ds := tree.KnownInputs(&elsewhere, []plan.Input{{Name: "NEW", Class: plan.Generated}}, func(string) bool { return false }, others, filepath.Join(trees, "new"))
		if ds.HasErrors() {
			t.Errorf("the lock is read %d times: %v", i+1, ds)
		}
	}
}
