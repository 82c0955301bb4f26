package env

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-envparse"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

var noEnv = func(string) (string, bool) { return "", false }

func file(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".secrets")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(s *Source, names ...string) []string {
	refs := make([]source.Ref, len(names))
	for i, n := range names {
		refs[i].Input = n
	}
	var got []string
	for _, a := range s.Read(context.Background(), refs) {
		switch {
		case errors.Is(a.Err, source.ErrAbsent):
			got = append(got, "absent, belongs into "+a.Origin)
		case a.Err != nil:
			got = append(got, a.Err.Error())
		default:
			got = append(got, string(a.Value.Reveal())+" from "+a.Origin)
		}
	}
	return got
}

func TestRead(t *testing.T) {
	path := file(t, "\ufeffA=1\n# comment\nexport B='two $words'\n\nC=\nD=\"a\\nb\" # tail\nA=3\r\nE=from file\n", 0o600)
	environ := map[string]string{"E": "from process", "F": ""}
	s := New(path, func(n string) (string, bool) { v, ok := environ[n]; return v, ok })
	want := []string{
		"3 from .secrets:7", "two $words from .secrets:3", "absent, belongs into .secrets or the process environment",
		"a\nb from .secrets:6", "from process from the process environment", "absent, belongs into .secrets or the process environment",
	}
	if diff := cmp.Diff(want, read(s, "A", "B", "C", "D", "E", "F")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"absent, belongs into .none or the process environment"}, read(New(path+"/../.none", noEnv), "A")); diff == "" {
		t.Error("a path through a file is not an absent file")
	}
	if diff := cmp.Diff([]string{"absent, belongs into .none or the process environment"}, read(New(filepath.Join(t.TempDir(), ".none"), noEnv), "A")); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefuses(t *testing.T) {
	const canary = "c4nary-v4lue"
	dir := t.TempDir()
	for _, tc := range []struct {
		content string
		mode    os.FileMode
		code    plan.Code
		want    string
	}{
		{"A=" + canary + "\n", 0o644, plan.CodeFileMode, "mode 0644"},
		{"A=" + canary + "\n", 0o620, plan.CodeFileMode, "mode 0620"},
		{"A=1\n" + canary + "\n", 0o600, plan.CodeFileSyntax, "has no ="},
		{"A='" + canary + "\n", 0o600, plan.CodeFileSyntax, "a ' without"},
		{"A=\"" + canary + "\n", 0o600, plan.CodeFileSyntax, `a " without`},
		{"=" + canary + "\n", 0o600, plan.CodeFileSyntax, "no name"},
		{"A B=" + canary + "\n", 0o600, plan.CodeFileSyntax, "a name that is not"},
		{"A=\"\\q" + canary + "\"\n", 0o600, plan.CodeFileSyntax, "wrong escape"},
		{"A=" + canary + "\x00\n", 0o600, plan.CodeFileSyntax, "control character"},
		{"A=" + canary + "\xff\n", 0o600, plan.CodeFileSyntax, "not UTF-8"},
		{"A=" + canary + "ü # note\n", 0o600, plan.CodeFileSyntax, "ends in a non-ASCII character"},
		{"A=" + strings.Repeat(canary, 6000) + "\n", 0o600, plan.CodeFileSyntax, "longer than 64 KiB"},
	} {
		s := New(file(t, tc.content, tc.mode), noEnv)
		_, err := s.List(t.Context())
		var ds plan.Diagnostics
		if !errors.As(err, &ds) || len(ds) != 1 {
			t.Errorf("%s: got %v, want one diagnostic", tc.want, err)
			continue
		}
		if ds[0].Code != tc.code || !strings.Contains(ds[0].Message, tc.want) {
			t.Errorf("got %s, want %s ... %s", err, tc.code, tc.want)
		}
		if strings.Contains(fmt.Sprintf("%+v", ds), canary) {
			t.Errorf("%s: the message shows the value", tc.want)
		}
		if ds[0].Code == plan.CodeFileSyntax && (!ds[0].Mask || ds[0].Pos[0].Line == 0) {
			t.Errorf("%s: the line is not placed and masked", tc.want)
		}
		if _, err := s.Create(t.Context(), source.Ref{Input: "NEW"}, value.New([]byte("v"))); err == nil {
			t.Errorf("%s: the file is written all the same", tc.want)
		}
	}
	if _, err := New(dir, noEnv).List(t.Context()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestCreate(t *testing.T) {
	for _, tc := range []struct {
		name, before, value, after string
	}{
		{"new file", "", "abc", "NEW=abc\n"},
		{"append", "# mine\nA=1\n", "a b$c", "# mine\nA=1\nNEW='a b$c'\n"},
		{"no newline at the end", "A=1", "abc", "A=1\nNEW=abc\n"},
		{"fill in", "A=1\nexport NEW= # get it from ops\nB=2\n", "abc", "A=1\nexport NEW=abc # get it from ops\nB=2\n"},
		{"fill in quotes", "NEW=\"\"\r\nB=2\r\n", "abc", "NEW=abc\r\nB=2\r\n"},
		{"lines", "", "a\nb\tc\"\\'", `NEW="a\nb\u0009c\"\\'"` + "\n"},
		{"present", "NEW=old\n", "abc", "NEW=old\n"},
	} {
		path := file(t, tc.before, 0o600)
		if tc.before == "" {
			os.Remove(path)
		}
		s := New(path, noEnv)
		a, err := s.Create(t.Context(), source.Ref{Input: "NEW"}, value.New([]byte(tc.value)))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		b, _ := os.ReadFile(path)
		if diff := cmp.Diff(tc.after, string(b)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o", tc.name, info.Mode())
		}
		if got := read(s, "NEW")[0]; got != string(a.Value.Reveal())+" from "+a.Origin {
			t.Errorf("%s: Create's answer is not what the file holds", tc.name)
		}
		left, _ := filepath.Glob(filepath.Dir(path) + "/.*[0-9]")
		if len(left) > 0 {
			t.Errorf("%s: left behind %v", tc.name, left)
		}
	}
	for _, v := range []string{"", "\xff", "a\x00b", strings.Repeat("x", 70000)} {
		if _, err := New(file(t, "", 0o600), noEnv).Create(t.Context(), source.Ref{Input: "NEW"}, value.New([]byte(v))); err == nil {
			t.Errorf("a value of %d bytes that no line can hold is written", len(v))
		}
	}
}

func TestCreateKeepsLink(t *testing.T) {
	target := file(t, "A=1\n", 0o600)
	link := filepath.Join(t.TempDir(), ".secrets")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := New(link, noEnv).Create(t.Context(), source.Ref{Input: "B"}, value.New([]byte("2"))); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Lstat(link); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}
	if b, _ := os.ReadFile(target); string(b) != "A=1\nB=2\n" {
		t.Error("the link's target was not written")
	}
}

// TestCreateRace: of many writers one wins, and all use its value. Writers of
// other names lose nothing.
func TestCreateRace(t *testing.T) {
	path := file(t, "", 0o600)
	const n = 16
	var wg sync.WaitGroup
	got := make([]string, n)
	for i := range n {
		wg.Go(func() {
			s := New(path, noEnv)
			a, err := s.Create(context.Background(), source.Ref{Input: "SHARED"}, value.New(fmt.Appendf(nil, "shared-%d", i)))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(a.Value.Reveal())
			if _, err := s.Create(context.Background(), source.Ref{Input: fmt.Sprintf("OWN_%d", i)}, value.New([]byte("own"))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	winner := read(New(path, noEnv), "SHARED")[0]
	for _, g := range got {
		if !strings.HasPrefix(winner, g+" ") {
			t.Errorf("one writer uses %q, the file holds %q", g, winner)
		}
	}
	for i := range n {
		if a := read(New(path, noEnv), fmt.Sprintf("OWN_%d", i))[0]; !strings.HasPrefix(a, "own ") {
			t.Errorf("OWN_%d is lost: %s", i, a)
		}
	}
}

// FuzzDotenv: after a name is set in any file that can be read, the name reads
// back, every other name reads as before, and every other line is untouched.
func FuzzDotenv(f *testing.F) {
	f.Add([]byte("# c\nA=1\nexport B='x y'\nNEW=\n"), "value with $ and ' and \"")
	f.Add([]byte("NEW= # comment\r\nC=\"a\\u00fcb\""), "ü")
	f.Add([]byte("\ufeffNEW=''"), "line\nline\ttab\\")
	f.Fuzz(func(t *testing.T, content []byte, v string) {
		before, ds := parse(content, "f")
		if ds.HasErrors() {
			return
		}
		if a, ok := before.get("NEW"); ok && a.value.Len() > 0 {
			return // Create does not get here
		}
		d, _ := parse(content, "f")
		line, err := d.set("NEW", value.New([]byte(v)))
		if err != nil {
			return
		}
		after, ds := parse(d.bytes(), "f")
		if ds.HasErrors() {
			t.Fatalf("the file can't be read any more: %v", ds)
		}
		if a, ok := after.get("NEW"); !ok || string(a.value.Reveal()) != v || a.line != line {
			t.Fatalf("NEW reads back wrong")
		}
		if whole, err := envparse.Parse(bytes.NewReader(bytes.TrimPrefix(d.bytes(), []byte("\ufeff")))); err == nil && whole["NEW"] != v {
			t.Fatalf("go-envparse reads the whole file differently")
		}
		for _, a := range before.assignments {
			if a.name == "NEW" {
				continue
			}
			if b, ok := after.get(a.name); !ok || b.line < a.line {
				t.Fatalf("%s is lost", a.name)
			}
		}
		for i, l := range before.lines {
			if i+1 != line && !bytes.Equal(bytes.TrimSuffix(after.lines[i], []byte("\n")), bytes.TrimSuffix(l, []byte("\n"))) {
				t.Fatalf("line %d was changed", i+1)
			}
		}
	})
}
