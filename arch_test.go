package victorgen_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/victor-ai/victorgen"

// arrows are the packages of this module, each with those that it may import.
// A new package takes a place here first.
var arrows = map[string][]string{
	"schema":                            {},
	"compiler/plan":                     {},
	"compiler/value":                    {"compiler/plan"},
	"compiler/value/derive":             {"compiler/plan", "compiler/value"},
	"compiler/permissions":              {"compiler/plan"},
	"compiler":                          {"schema", "compiler/plan", "compiler/value", "compiler/value/derive", "internal/lazy", "internal/limit", "internal/safefile", "internal/shape"},
	"compiler/policy":                   {"schema", "compiler/plan", "internal/limit", "internal/safefile"},
	"compiler/workload":                 {"compiler/plan", "internal/git", "internal/offline", "internal/safefile", "internal/shape"},
	"compiler/trust":                    {"compiler/plan", "compiler/source/sops", "internal/git"},
	"compiler/source/env":               {"compiler/source", "compiler/plan", "compiler/value", "internal/dirlock", "internal/safefile"},
	"compiler/source":                   {"compiler/plan", "compiler/value", "compiler/value/derive", "internal/crash", "internal/git"},
	"compiler/source/files":             {"compiler/source", "compiler/plan", "compiler/value", "internal/dirlock", "internal/safefile"},
	"compiler/source/sops":              {"compiler/source", "compiler/plan", "compiler/value", "internal/dirlock", "internal/program", "internal/safefile"},
	"compiler/source/awsssm":            {"compiler/source", "compiler/source/internal/awsapi", "compiler/plan", "compiler/value"},
	"compiler/source/awssecretsmanager": {"compiler/source", "compiler/source/internal/awsapi", "compiler/plan", "compiler/value"},
	"compiler/source/gcpsecretmanager":  {"compiler/source", "compiler/plan", "compiler/value"},
	"compiler/source/vault":             {"compiler/source", "compiler/plan", "compiler/value", "internal/program"},
	"compiler/source/exec":              {"compiler/source", "compiler/value", "internal/crash", "internal/program"},
	"compiler/source/azurekeyvault":     {"compiler/source", "compiler/plan", "compiler/value"},
	"compiler/source/internal/awsapi":   {"compiler/source"},
	"internal/awstest":                  {},
	"internal/kubetest":                 {},
	"compiler/source/sourcetest":        {"compiler/source", "compiler/plan", "compiler/value", "internal/sample"},
	"internal/dirlock":                  {},
	"internal/safefile":                 {},
	"internal/git":                      {"internal/program"},
	"internal/program":                  {},
	"internal/fifo":                     {},
	"internal/offline":                  {"internal/crash", "internal/git"},
	"internal/crash":                    {},
	"internal/bench":                    {},
	"internal/bench/table":              {"internal/bench"},
	"internal/release":                  {},
	"internal/sample":                   {},
	"internal/shape":                    {},
	"internal/limit":                    {"internal/crash"},
	"internal/buildid":                  {},
	"internal/lazy":                     {},
	"internal/heap":                     {},
	"internal/snapshot":                 {"internal/git"},
	"review":                            {"compiler/plan", "emit/sealing", "emit/tree"},
	"report":                            {"cluster", "compiler/plan", "compiler/workload", "emit/sealing", "emit/tree"},
	"scan":                              {"compiler/plan", "compiler/value", "internal/crash", "internal/git"},
	"fixtures":                          {},
	"examples/gallery":                  {"internal/lazy"},
	"emit/tree":                         {"compiler/plan", "compiler/value", "internal/offline", "internal/safefile", "internal/shape"},
	"emit/sealing":                      {"compiler/plan", "emit/tree", "internal/safefile", "internal/shape"},
	"emit/alerts":                       {"compiler/plan", "emit/sealing", "emit/tree", "internal/shape"},
	"emit":                              {"compiler/plan", "compiler/value", "compiler/value/derive", "emit/alerts", "emit/sealing", "emit/tree", "internal/crash", "internal/git", "internal/offline", "internal/safefile", "internal/shape"},
	"emit/emittest":                     {},
	"cluster":                           {"emit", "emit/sealing", "emit/tree", "compiler/plan", "compiler/value", "compiler/value/derive", "internal/crash", "internal/safefile", "internal/shape"},
	"importer":                          {"compiler", "compiler/plan", "compiler/source", "compiler/source/env", "compiler/value", "compiler/value/derive", "emit", "importer/observe", "internal/safefile"},
	"importer/importertest":             {"compiler/plan", "compiler/source", "compiler/value", "importer", "importer/observe"},
	"importer/observe":                  {"compiler/plan", "compiler/source/env", "compiler/value", "internal/git", "internal/offline", "internal/safefile"},
	".": {"compiler", "compiler/plan", "compiler/value", "compiler/source", "compiler/source/env",
		"compiler/source/awsssm", "compiler/source/awssecretsmanager", "compiler/source/azurekeyvault", "compiler/source/gcpsecretmanager", "compiler/source/vault",
		"compiler/source/sops", "compiler/source/files", "compiler/source/exec", "compiler/trust", "compiler/policy", "compiler/workload", "emit", "emit/sealing", "emit/tree", "cluster", "internal/dirlock", "internal/crash", "internal/git", "internal/program"},
	"cmd/victorgen": {".", "schema", "compiler", "compiler/plan", "compiler/value", "compiler/value/derive", "compiler/source", "compiler/source/env", "compiler/source/exec",
		"compiler/trust", "compiler/policy", "compiler/workload", "emit", "emit/alerts", "emit/sealing", "emit/tree", "cluster", "internal/buildid", "internal/dirlock", "internal/safefile", "internal/git", "internal/program", "internal/snapshot", "internal/crash", "internal/heap", "compiler/permissions", "review", "report", "importer", "importer/observe", "scan", "examples/gallery"},
}

// anybodys are the packages of this module that stand below all, and that each other
// one may import.
var anybodys = []string{"internal/lazy"}

// standardOnly are the packages that anyone may import: they pull in nothing.
var standardOnly = []string{"schema", "compiler/plan"}

// onlyIn are the modules that few packages know.
var onlyIn = map[string][]string{
	"cuelang.org/go": {"compiler", "compiler/policy"},
	// Of these little is needed: a few calls, durations. Code of our own does that, and
	// tests hold it to theirs.
	"github.com/aws/aws-sdk-go-v2/service": {}, "github.com/hashicorp/vault/api": {}, "github.com/prometheus/common": {},
	"k8s.io/client-go/dynamic": {}, "k8s.io/client-go/tools/pager": {},
	// A panic in a bare goroutine would end the process, and print its value.
	"golang.org/x/sync": {"internal/crash"},
	// Nothing of a release is in the program.
	"github.com/google/licensecheck": {"internal/release"},
	"github.com/spdx/tools-golang":   {"internal/release"},
}

// vague are names that say nothing of what a package is for.
var vague = []string{"util", "utils", "common", "helper", "helpers", "lib", "pkg", "misc", "shared"}

// TestImports holds the arrows between the packages.
func TestImports(t *testing.T) {
	t.Parallel()
	packages := importsOf(t, ".")
	for name, imports := range packages {
		allowed, ok := arrows[name]
		if !ok {
			t.Errorf("package %s has no place among the arrows", name)
		}
		for _, element := range strings.Split(name, "/") {
			if slices.Contains(vague, element) {
				t.Errorf("package %s: %q says nothing of what it is for", name, element)
			}
		}
		for _, imported := range imports {
			own, ours := strings.CutPrefix(imported, module+"/")
			if imported == module {
				own, ours = ".", true
			}
			standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
			switch {
			case ours && !slices.Contains(allowed, own) && !slices.Contains(anybodys, own):
				t.Errorf("%s imports %s", name, own)
			case !ours && !standard && slices.Contains(standardOnly, name):
				t.Errorf("%s imports %s: it may import the standard library alone", name, imported)
			}
			for m, owners := range onlyIn {
				if (imported == m || strings.HasPrefix(imported, m+"/")) && !slices.Contains(owners, name) {
					t.Errorf("%s imports %s: only %s may", name, imported, cmp.Or(strings.Join(owners, " and "), "tests"))
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(arrows)) {
		if _, ok := packages[name]; !ok {
			t.Errorf("package %s does not exist: take it out of the arrows", name)
		}
	}
}

// TestArrows holds the table itself to the design, so that no entry above may
// be widened past it.
func TestArrows(t *testing.T) {
	t.Parallel()
	isSource := func(p string) bool { return path.Dir(p) == "compiler/source" && path.Base(p) != "sourcetest" }
	for from, tos := range arrows {
		for _, to := range tos {
			if _, ok := arrows[to]; !ok {
				t.Errorf("%s may import %s, which is no package", from, to)
			}
			switch {
			case slices.Contains(standardOnly, from):
				t.Errorf("%s may import %s, not the standard library alone", from, to)
			case strings.HasPrefix(to, "cmd/"):
				t.Errorf("%s may import a command", from)
			case to == "." && !strings.HasPrefix(from, "cmd/"):
				t.Errorf("%s may import the root, which is made of all others", from)
			case isSource(from) && isSource(to):
				t.Errorf("source %s may import source %s", from, to)
			case strings.HasPrefix(from, "emit") && (to == "compiler" || to == "compiler/source" || isSource(to)):
				t.Errorf("%s may import %s", from, to)
			case strings.HasPrefix(from, "compiler/") && (to == "compiler" || to == "emit"):
				t.Errorf("%s may import %s", from, to)
			}
		}
	}
}

// importsOf returns the packages below root, by path, with what their files
// import, whatever system these are for; tests do not count. It reads the files
// itself, for `go test` would not know that what `go list` says has changed, and
// report the result of an earlier run.
func importsOf(t *testing.T, root string) map[string][]string {
	packages := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root:
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if err == nil || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
				return fs.SkipDir // another module, or nothing that the go command would build
			}
			return nil
		case filepath.Ext(file) != ".go", strings.HasSuffix(file, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		p := filepath.ToSlash(filepath.Dir(file))
		if packages[p] == nil {
			packages[p] = []string{}
		}
		for _, imported := range f.Imports {
			name, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				return err
			}
			packages[p] = append(packages[p], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// TestGoroutines: each goroutine is one of a crash.Group, or catches its panics:
// a panic in any other ends the process and prints what it says, which may be a
// value.
func TestGoroutines(t *testing.T) {
	t.Parallel()
	catches := []string{"cmd/victorgen/main.go", "internal/limit/limit.go"} // by crash.Catch
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "e2e" || strings.HasPrefix(d.Name(), ".") && file != ".") {
			return cmp.Or(err, fs.SkipDir)
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasSuffix(filepath.Dir(file), "test") || slices.Contains(catches, file) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine that catches no panic: use a crash.Group", file)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "sync" && n.Sel.Name == "WaitGroup" {
					t.Errorf("%s: a sync.WaitGroup catches no panic: use a crash.Group", file)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDeliveries: no one compares the kind of a delivery with one of them. What there is
// to know of a kind is a property in plan.Deliveries, and how it is made and judged is a
// method.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && file != "." {
			return cmp.Or(err, fs.SkipDir)
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		name := func(e ast.Expr) string {
			switch e := e.(type) {
			case *ast.Ident:
				return e.Name
			case *ast.SelectorExpr:
				if x, ok := e.X.(*ast.Ident); ok && x.Name == "plan" {
					return e.Sel.Name
				}
			}
			return ""
		}
		kinds := []string{"Sealed", "External", "Direct"}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if inPlan := f.Name.Name == "plan"; n.Op == token.EQL || n.Op == token.NEQ {
					for _, side := range []ast.Expr{n.X, n.Y} {
						if _, qualified := side.(*ast.SelectorExpr); (qualified || inPlan) && slices.Contains(kinds, name(side)) {
							t.Errorf("%s compares the kind of a delivery with %s: ask for a property", file, name(side))
						}
					}
				}
			case *ast.CaseClause:
				for _, e := range n.List {
					if s, ok := e.(*ast.SelectorExpr); ok && slices.Contains(kinds, name(s)) {
						t.Errorf("%s has a case for the delivery %s: make it a method", file, name(s))
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
