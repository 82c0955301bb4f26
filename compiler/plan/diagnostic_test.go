package plan_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"ANTHROPIC_API_KEY", "DB_HOST", "DB_PASSWORD", "DB_PORT", "OPENAI_API_KEY"}
	tests := []struct {
		word string
		from []string
		want string
	}{
		{"DB_PASWORD", names, "DB_PASSWORD"},   // one missing
		{"DB_PASSSWORD", names, "DB_PASSWORD"}, // one too many
		{"DB_PASSWROD", names, "DB_PASSWORD"},  // neighbours swapped
		{"DB_POTR", names, "DB_PORT"},
		{"db_port", names, "DB_PORT"}, // capitals do not count
		{"ANTROPIC_APIKEY", names, "ANTHROPIC_API_KEY"},
		{"DB_PASSWORD", names, "DB_PASSWORD"},
		{"DB_USER", names, ""},                              // three of seven differ
		{"REDIS_URL", names, ""},                            // far from all
		{"", names, ""},                                     // nothing is near to nothing
		{"DB_PORT", nil, ""},                                // no candidates
		{"env", []string{"env1", "enx"}, "env1"},            // three letters may have one mistake; the first wins
		{"env", []string{"xyv"}, ""},                        // but not two
		{"ab", []string{"ac", "ba"}, ""},                    // two letters are near to everything
		{"abcdef", []string{"abcdxyz", "abcdxf"}, "abcdxf"}, // the nearest, not the first
	}
	for _, tt := range tests {
		if got := plan.Nearest(tt.word, tt.from); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
	if got, want := plan.DidYouMean("DB_POTR", names, "else"), `did you mean "DB_PORT"?`; got != want {
		t.Errorf("DidYouMean = %q, want %q", got, want)
	}
	if got := plan.DidYouMean("far away", names, "else"); got != "else" {
		t.Errorf("DidYouMean = %q, want the other hint", got)
	}
}

func TestDiagnosticsSort(t *testing.T) {
	t.Parallel()
	at := func(file string, line, column int) []plan.Pos {
		return []plan.Pos{{File: file, Line: line, Column: column}}
	}
	sorted := plan.Diagnostics{
		{Code: "VG1", Message: "z", Pos: at("/a", 1, 2)},
		{Code: "VG9", Message: "y", Pos: at("/a", 1, 3)},
		{Code: "VG1", Message: "x", Pos: at("/a", 2, 1)},
		{Code: "VG1", Message: "w", Pos: at("/a", 10, 1)},
		{Code: "VG1", Message: "v", Pos: at("/b", 1, 1)},
		{Code: "VG1", Message: "w", Pos: at("/b", 1, 1)},
		{Code: "VG2", Message: "a", Pos: at("/b", 1, 1)},
		{Code: "VG1", Message: "nowhere"},
		{Code: "VG2", Message: "no line", Pos: []plan.Pos{{File: "/a"}}},
	}
	got := slices.Clone(sorted)
	slices.Reverse(got)
	// The same again is told once, whatever it says besides.
	got = append(got, plan.Diagnostic{Code: "VG1", Message: "nowhere"},
		plan.Diagnostic{Code: "VG1", Message: "z", Pos: append(at("/a", 1, 2), at("/b", 1, 1)...)})
	got.Sort()
	for i := range got {
		got[i].Pos = got[i].Pos[:min(1, len(got[i].Pos))]
	}
	if diff := cmp.Diff(sorted, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiagnosticsErr(t *testing.T) {
	t.Parallel()
	var ds plan.Diagnostics
	if ds.HasErrors() || ds.Err() != nil {
		t.Error("nothing is an error")
	}
	ds.Warnf("VG1", nil, "", "a %s", "warning")
	if ds.HasErrors() || ds.Err() != nil {
		t.Error("a warning is an error")
	}
	ds.Errorf("VG2", []plan.Pos{{File: "/f", Line: 3, Column: 4}}, "a hint", "an %s", "error")
	err := ds.Err()
	if !ds.HasErrors() || err == nil {
		t.Fatal("an error is none")
	}
	if want := "warning VG1: a warning\n/f:3:4: error VG2: an error"; err.Error() != want {
		t.Errorf("got %q, want %q", err.Error(), want)
	}
	var back plan.Diagnostics
	if !errors.As(fmt.Errorf("wrapped: %w", err), &back) || len(back) != 2 {
		t.Error("the diagnostics are lost in the error")
	}
}

// TestCodes holds the constants of codes.go to their form, to the explanations
// and to the program: each one is explained, and given out somewhere.
func TestCodes(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]plan.Code{}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil || len(v.Names) != 1 {
				t.Fatalf("%s is not written as the others are", v.Names[0])
			}
			declared[v.Names[0].Name] = plan.Code(code)
		}
	}
	if len(declared) == 0 {
		t.Fatal("codes.go has no codes")
	}

	seen := map[plan.Code]string{}
	for name, code := range declared {
		if !regexp.MustCompile(`^VG[1-6]\d{3}$`).MatchString(string(code)) {
			t.Errorf("%s is %q, not of the form VG1234", name, code)
		}
		if other := seen[code]; other != "" {
			t.Errorf("%s and %s are both %s", name, other, code)
		}
		seen[code] = name
		if text, ok := plan.Explain(code); !ok || text == "" {
			t.Errorf("%s (%s) is not explained", name, code)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(seen)), plan.Codes()); diff != "" {
		t.Errorf("codes of codes.go and codes that are explained (-want +got):\n%s", diff)
	}
	if _, ok := plan.Explain("VG0000"); ok {
		t.Error("a code that does not exist is explained")
	}
	functions, _ := plan.Explain(plan.CodeUnknownFunc)
	for f := range plan.Functions {
		if !regexp.MustCompile(`\b` + f + `\b`).MatchString(functions) {
			t.Errorf("the explanation of %s does not list %s", plan.CodeUnknownFunc, f)
		}
	}

	used := identifiers(t, filepath.Join("..", ".."))
	for name, code := range declared {
		if !used[name] {
			t.Errorf("%s (%s) is never given out: remove it", name, code)
		}
	}
}

// identifiers returns all identifiers in the Go files below root that are
// neither tests nor the tables of the codes themselves.
func identifiers(t *testing.T, root string) map[string]bool {
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return fs.SkipDir
		case filepath.Ext(name) != ".go", strings.HasSuffix(name, "_test.go"):
			return nil
		case filepath.Base(filepath.Dir(path)) == "plan" && (name == "codes.go" || name == "explain.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for n := range ast.Preorder(f) {
			if id, ok := n.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// TestExplanations: of each code there is told what happened, why it is an error, and how
// it looks before and after.
func TestExplanations(t *testing.T) {
	t.Parallel()
	for _, code := range plan.Codes() {
		text, _ := plan.Explain(code)
		title, _, _ := strings.Cut(text, "\n")
		if !strings.HasSuffix(title, ".") && !strings.HasSuffix(title, ":") {
			t.Errorf("%s: what happened is no sentence: %q", code, title)
		}
		e, ok := plan.ExampleOf(code)
		if !ok || e.Why == "" || e.Before == "" || e.After == "" {
			t.Errorf("%s has no reason, or no example before and after: %+v", code, e)
			continue
		}
		if !strings.HasSuffix(e.Why, ".") || e.Before == e.After {
			t.Errorf("%s: %+v", code, e)
		}
	}
	if _, ok := plan.ExampleOf("VG0000"); ok {
		t.Error("there is an example of a code that there is not")
	}
}
