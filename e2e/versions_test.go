package e2e

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parts are those of which docs/versions.md tells, by the Go module or the PyPI
// package that they are. What tests need beside them is none of it.
var parts = map[string]string{
	"filippo.io/age":                               "age",
	"github.com/argoproj/argo-cd/v3":               "Argo CD",
	"detect-secrets":                               "detect-secrets",
	"github.com/external-secrets/external-secrets": "External Secrets Operator",
	"github.com/zricethezav/gitleaks/v8":           "gitleaks",
	"k8s.io/kube-state-metrics/v2":                 "kube-state-metrics",
	"k8s.io/kubernetes":                            "Kubernetes",
	"sigs.k8s.io/kustomize/kustomize/v5":           "kustomize",
	"moto":                                         "moto, for AWS",
	"github.com/openbao/openbao/v2":                "OpenBao",
	"pre-commit":                                   "pre-commit",
	"github.com/bitnami-labs/sealed-secrets":       "sealed-secrets",
	"github.com/getsops/sops/v3":                   "SOPS",
	"github.com/helmfile/vals":                     "vals",
	"github.com/hashicorp/vault":                   "Vault",
}

// rows are those of the table: the tests by a part and its version.
type rows map[[2]string]map[string]bool

var (
	triedHere = rows{}
	trying    sync.Mutex
)

// tried notes that a test runs a program: the version is what the program itself
// says of what it was built from, whatever was asked for.
func tried(t testing.TB, program string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range madeOf(info) {
		note(t, m.Path, m.Version)
	}
}

// madeOf returns the module that has a program, which may be the tool of another
// one; or, for a program of this repository, all that are in it.
func madeOf(info *debug.BuildInfo) []*debug.Module {
	modules := append([]*debug.Module{&info.Main}, info.Deps...)
	if strings.HasPrefix(info.Path, "github.com/victor-ai/") {
		return modules
	}
	return slices.DeleteFunc(modules, func(m *debug.Module) bool {
		return info.Path != m.Path && !strings.HasPrefix(info.Path, m.Path+"/")
	})
}

// triedPackage notes that a test runs what a virtual environment has of a PyPI
// package, as tried does.
func triedPackage(t testing.TB, venv, name string) {
	t.Helper()
	if parts[name] == "" {
		return
	}
	pattern := filepath.Join(venv, "lib", "python*", "site-packages", strings.ReplaceAll(name, "-", "_")+"-*.dist-info")
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	_, version, _ := strings.Cut(strings.TrimSuffix(filepath.Base(found[0]), ".dist-info"), "-")
	note(t, name, version)
}

func note(t testing.TB, module, version string) {
	part := parts[module]
	if part == "" {
		return
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	trying.Lock()
	defer trying.Unlock()
	triedHere.add(part, strings.TrimPrefix(version, "v"), test)
}

func (r rows) add(part, version, test string) {
	row := [2]string{part, version}
	if r[row] == nil {
		r[row] = map[string]bool{}
	}
	r[row][test] = true
}

// table is what docs/versions.md says, for people and for readRows.
func (r rows) table() string {
	var b strings.Builder
	b.WriteString("| part | version | tried by |\n|---|---|---|\n")
	for _, row := range slices.SortedFunc(maps.Keys(r), func(a, b [2]string) int {
		return strings.Compare(strings.ToLower(a[0]+"\x00"+a[1]), strings.ToLower(b[0]+"\x00"+b[1]))
	}) {
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", row[0], row[1], strings.Join(slices.Sorted(maps.Keys(r[row])), "`, `"))
	}
	return b.String()
}

// readRows returns the table in a page, and where it is there.
func readRows(page string) (r rows, from, to int) {
	from = strings.Index(page, "| part |")
	if from < 0 {
		return rows{}, len(page), len(page)
	}
	r, to = rows{}, from
	for n, line := range slices.Collect(strings.Lines(page[from:])) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		to += len(line)
		if cells := strings.Split(strings.Trim(line, "|\n "), " | "); n > 1 && len(cells) == 3 {
			for _, test := range strings.Split(strings.ReplaceAll(cells[2], "`", ""), ", ") {
				r.add(cells[0], cells[1], test)
			}
		}
	}
	return r, from, to
}

// with returns what the table is after a run: after one of all tests, what they
// have tried, and nothing else. After one of some, a part that they tried has the
// versions that they tried, and the tests that did not run stay.
func (r rows) with(run rows, whole bool) rows {
	if whole {
		return run
	}
	now := rows{}
	for row, tests := range run {
		for test := range tests {
			now.add(row[0], row[1], test)
		}
	}
	for row, tests := range r {
		again := slices.ContainsFunc(slices.Collect(maps.Keys(run)), func(other [2]string) bool { return other[0] == row[0] })
		if again && run[row] == nil {
			continue
		}
		for test := range tests {
			now.add(row[0], row[1], test)
		}
	}
	return now
}

// compareVersions holds a page to what was tried in this run, or writes it anew if
// update is set.
func compareVersions(file string, run rows, whole, update bool) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	page := string(b)
	before, from, to := readRows(page)
	want := page[:from] + before.with(run, whole).table() + page[to:]
	switch {
	case want == page:
		return nil
	case update:
		return os.WriteFile(file, []byte(want), 0o644)
	}
	return fmt.Errorf("%s is not what was tried (-page +tried): run the test with VICTORGEN_UPDATE=1, read the diff and commit it\n%s", file, cmp.Diff(page, want))
}

func TestMain(m *testing.M) {
	cache, err := os.MkdirTemp("", "victorgen-cache-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("VICTORGEN_CACHE", cache) // and not that of who runs the tests
	code := m.Run()
	os.RemoveAll(cache)
	whole := true
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		whole = whole && flag.Lookup(name).Value.String() == ""
	}
	if code == 0 {
		err := compareVersions("../docs/versions.md", triedHere, whole && !testing.Short(), os.Getenv("VICTORGEN_UPDATE") != "")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// TestVersions: a page that is not what was tried fails or is written anew, and a run
// of some tests leaves what others have tried.
func TestVersions(t *testing.T) {
	page := "# Page\n\n| part | version | tried by |\n|---|---|---|\n| A | 1.0 | `TestX`, `TestY` |\n| B | 2.0 | `TestX` |\n\nMore.\n"
	for name, c := range map[string]struct {
		run   rows
		whole bool
		want  string // of the table; empty is the same page
	}{
		"the same":                  {rows{{"A", "1.0"}: {"TestX": true, "TestY": true}, {"B", "2.0"}: {"TestX": true}}, true, ""},
		"some of it":                {rows{{"A", "1.0"}: {"TestY": true}}, false, ""},
		"nothing":                   {rows{}, false, ""},
		"another version":           {rows{{"A", "1.1"}: {"TestY": true}}, false, "| A | 1.1 | `TestY` |\n| B | 2.0 | `TestX` |\n"},
		"one more test":             {rows{{"B", "2.0"}: {"TestZ": true}}, false, "| A | 1.0 | `TestX`, `TestY` |\n| B | 2.0 | `TestX`, `TestZ` |\n"},
		"one more part":             {rows{{"a", "3"}: {"TestX": true}}, false, "| A | 1.0 | `TestX`, `TestY` |\n| a | 3 | `TestX` |\n| B | 2.0 | `TestX` |\n"},
		"two versions":              {rows{{"A", "1.0"}: {"TestX": true}, {"A", "1.1"}: {"TestX": true}}, false, "| A | 1.0 | `TestX`, `TestY` |\n| A | 1.1 | `TestX` |\n| B | 2.0 | `TestX` |\n"},
		"all, and less than before": {rows{{"A", "1.0"}: {"TestX": true}}, true, "| A | 1.0 | `TestX` |\n"},
	} {
		file := filepath.Join(t.TempDir(), "page.md")
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := compareVersions(file, c.run, c.whole, false); (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", name, err)
		}
		err := compareVersions(file, c.run, c.whole, true)
		got, readErr := os.ReadFile(file)
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		want := page
		if c.want != "" {
			want = "# Page\n\n| part | version | tried by |\n|---|---|---|\n" + c.want + "\nMore.\n"
		}
		if !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s: (-want +got)\n%s", name, cmp.Diff(want, string(got)))
		}
	}
}
