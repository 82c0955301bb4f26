package victorgen

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// writeModule writes a module with environments of those names, in directories of those
// names but for what stands after a colon.
func writeModule(t *testing.T, names ...string) (dir string, dirs []string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\ninputs: HOST: schema.#Setting & {default: \"db\"}\n" +
			"secrets: app: keys: host: input: \"HOST\"\nnamespace: \"apps\"\ndelivery: certificate: \"cert.pem\"\n",
	}
	for _, name := range names {
		at, called, ok := strings.Cut(name, ":")
		if !ok {
			called = fmt.Sprintf("%q", at)
		}
		files["envs/"+at+"/env.cue"] = "package app\n\nenvironment: " + called + "\n"
		dirs = append(dirs, filepath.Join(dir, "envs", at))
	}
	pem, err := os.ReadFile("fixtures/certificates/good.pem")
	if err != nil {
		t.Fatal(err)
	}
	files["cert.pem"] = string(pem)
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, dirs
}

// TestHas: of the environments of a module, those that may be called so are compiled
// when someone asks, and no others.
func TestHas(t *testing.T) {
	t.Parallel()
	module, dirs := writeModule(t, "a", "b:\"c\"", "d:\"d\" & \"d\"", "e:1", "f", "g")
	r := newRun(dirs[:2], Options{})
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true, "e": true, "z": false} {
		if r.has(module, name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for _, dir := range dirs[4:] {
		if _, ok := r.named[dir]; ok {
			t.Errorf("%s is compiled, and is plainly called otherwise", dir)
		}
	}
	if r.has(t.TempDir(), "a") {
		t.Error("an environment of one module is taken for one of another")
	}
}

// TestInOrder: what is done is yielded in order, is never far ahead, and ends with the
// context, with who consumes it, and with what says that there is to be no more.
func TestInOrder(t *testing.T) {
	t.Parallel()
	ahead := 2 * runtime.GOMAXPROCS(0)
	var mu sync.Mutex
	begun := 0
	f := func(_ context.Context, i int) (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		begun++
		return i, i != 150
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return begun
	}
	next := 0
	for i := range inOrder(t.Context(), 1000, f) {
		if i != next {
			t.Fatalf("%d comes after %d", i, next-1)
		}
		if n := count(); n > i+ahead {
			t.Fatalf("%d are begun while %d is consumed", n, i)
		}
		next++
	}
	if n := count(); next != n || n < 151 || n > 151+ahead {
		t.Errorf("%d came of %d that were begun before the end that 150 said", next, n)
	}
	begun = 0
	for range inOrder(t.Context(), 1000, f) {
		break
	}
	if n := count(); n > ahead+1 {
		t.Errorf("%d are begun for one", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, next = 0, 0
	for i := range inOrder(ctx, 1000, f) {
		if next++; i == 20 {
			cancel()
		}
	}
	if n := count(); next != n || n > 21+ahead {
		t.Errorf("%d came of %d that were begun before the context ended at 20", next, n)
	}
}

// TestEach: results come in order; what is to be said of environments together is said
// of each of them before any is begun.
func TestEach(t *testing.T) {
	t.Parallel()
	_, dirs := writeModule(t, "a", "b:\"a\"", "c:1", "d", "e:\"d\" & \"d\"")
	did := map[string]bool{}
	var mu sync.Mutex
	var order, failed []string
	for e, done := range Each(t.Context(), dirs, Options{}, func(_ context.Context, e *Environment) string {
		mu.Lock()
		defer mu.Unlock()
		did[e.Directory] = true
		return e.Name
	}) {
		order = append(order, filepath.Base(e.Directory))
		if e.Err() != nil {
			failed = append(failed, filepath.Base(e.Directory))
		}
		if done != "" {
			t.Errorf("%s was done", done)
		}
		if e.Plan != nil && !slices.ContainsFunc(e.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeTreeForeign }) {
			t.Errorf("%s: %v", e.Directory, e.Diagnostics)
		}
	}
	if got := strings.Join(order, ""); got != "abcde" || strings.Join(failed, "") != "abcde" || len(did) > 0 {
		t.Errorf("%s came, %s failed, %v were done", got, failed, did)
	}
	// A panic is that of its environment.
	_, dirs = writeModule(t, "a", "b", "c")
	var came []string
	for e := range Each(t.Context(), dirs, Options{}, func(_ context.Context, e *Environment) int {
		if e.Name == "b" {
			panic("canary")
		}
		return 0
	}) {
		came = append(came, fmt.Sprint(e.Name, e.Err() != nil))
		if err := e.Err(); err != nil && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "./each_test.go") && !strings.Contains(err.Error(), "at each_test.go")) {
			t.Errorf("%v", err)
		}
	}
	if got := strings.Join(came, " "); got != "afalse btrue cfalse" {
		t.Error(got)
	}
}

// TestSameSecret: two environments that would write one Secret are told so before
// one is begun, however many there are.
func TestSameSecret(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range maxEarly + 3 {
		names = append(names, fmt.Sprintf("e%02d", i))
	}
	_, dirs := writeModule(t, names...)
	n := 0
	for e := range Each(t.Context(), dirs, Options{Compile: compiler.Options{Direct: true}}, func(_ context.Context, e *Environment) int {
		t.Errorf("%s is begun", e.Name)
		return 0
	}) {
		if err := e.Err(); err == nil || !strings.Contains(err.Error(), "Secret apps/app is that of e00, e01") {
			t.Errorf("%s: %v", e.Name, err)
		}
		n++
	}
	if n != len(names) {
		t.Errorf("%d results", n)
	}
}
