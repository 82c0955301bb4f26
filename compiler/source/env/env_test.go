package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
)

const canary = "canary-7f3d"

// environ is a process environment.
type environ map[string]string

func (e environ) lookup(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// secrets writes a dotenv file and returns its name.
func secrets(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".secrets")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return file
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRead(t *testing.T) {
	t.Parallel()
	file := secrets(t, strings.Join([]string{
		`# a comment with 'quotes" and = signs`,
		``,
		`PLAIN=one`,
		`export EXPORTED = two words   # and a comment`,
		`SINGLE='$HOME #\n"' # comment`,
		`DOUBLE="a\nb\t\"\\ \u00e9 \ud83d\ude00"`,
		`DOLLAR=pa$$w0rd$HOME`,
		`EMPTY=`,
		`QUOTED_EMPTY=''`,
		`BOTH=file`,
		`UNSET=file`,
		`TWICE=first`,
		"CRLF=windows\r",
		`TWICE=second`,
		`MULTIBYTE=grün # the last byte must stay: ü`,
		`MULTIBYTE_END=grü # comment`,
		`MULTIBYTE_QUOTED='grü' # comment`,
		`LAST=no line break`,
	}, "\n"), 0o600)
	s := New(file, environ{"BOTH": "process", "UNSET": "", "HOST_ONLY": "process"}.lookup)
	type answer struct{ Value, Origin string }
	want := map[string]answer{
		"PLAIN":            {"one", ".secrets:3"},
		"EXPORTED":         {"two words", ".secrets:4"},
		"SINGLE":           {`$HOME #\n"`, ".secrets:5"},
		"DOUBLE":           {"a\nb\t\"\\ é 😀", ".secrets:6"},
		"DOLLAR":           {"pa$$w0rd$HOME", ".secrets:7"},
		"BOTH":             {"process", "the process environment"},
		"HOST_ONLY":        {"process", "the process environment"},
		"UNSET":            {"file", ".secrets:11"},
		"TWICE":            {"second", ".secrets:14"},
		"CRLF":             {"windows", ".secrets:13"},
		"MULTIBYTE":        {"grün", ".secrets:15"},
		"MULTIBYTE_END":    {"grü", ".secrets:16"},
		"MULTIBYTE_QUOTED": {"grü", ".secrets:17"},
		"LAST":             {"no line break", ".secrets:18"},
		"EMPTY":            {"absent", ".secrets or the process environment"},
		"QUOTED_EMPTY":     {"absent", ".secrets or the process environment"},
		"NOWHERE":          {"absent", ".secrets or the process environment"},
	}
	var refs []source.Ref
	for name := range want {
		refs = append(refs, source.Ref{Input: name, Remote: plan.Remote{Name: "not-looked-at"}})
	}
	got := map[string]answer{}
	for i, a := range s.Read(t.Context(), refs) {
		v := string(a.Value.Reveal())
		if a.Err != nil {
			if v = a.Err.Error(); a.Err != source.ErrAbsent || a.Value.Len() > 0 {
				t.Errorf("%s: %v", refs[i].Input, a.Err)
			}
		}
		if !a.Changed.IsZero() {
			t.Errorf("%s claims to know when it changed", refs[i].Input)
		}
		got[refs[i].Input] = answer{v, a.Origin}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	names, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 15 || names[0] != (source.Listed{Name: "PLAIN", Origin: ".secrets:3"}) || names[14].Name != "LAST" {
		t.Errorf("listed %v", names)
	}
}

func TestReadMissingFile(t *testing.T) {
	t.Parallel()
	s := New(filepath.Join(t.TempDir(), ".secrets"), environ{"A": "x"}.lookup)
	got := s.Read(t.Context(), []source.Ref{{Input: "A"}, {Input: "B"}})
	if got[0].Err != nil || got[1].Err != source.ErrAbsent {
		t.Errorf("got %v", got)
	}
	if names, err := s.List(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("listed %v, %v", names, err)
	}
}

// problems are what Read, List and Create say of a file, which must be the same.
func problems(t *testing.T, file string) plan.Diagnostics {
	t.Helper()
	s := New(file, environ{"A": "in the process"}.lookup)
	var all []error
	for _, a := range s.Read(t.Context(), []source.Ref{{Input: "A"}, {Input: "B"}}) {
		all = append(all, a.Err)
	}
	_, err := s.List(t.Context())
	all = append(all, err)
	_, err = s.Create(t.Context(), source.Ref{Input: "A"}, value.New([]byte(canary)))
	all = append(all, err)
	var first plan.Diagnostics
	for i, err := range all {
		var ds plan.Diagnostics
		if !errors.As(err, &ds) {
			t.Fatalf("got %v, want diagnostics", err)
		}
		if i == 0 {
			first = ds
		} else if diff := cmp.Diff(first, ds); diff != "" {
			t.Errorf("not the same everywhere: %s", diff)
		}
	}
	if strings.Contains(fmt.Sprintf("%+v", first), canary) {
		t.Errorf("diagnostics show the value: %v", first)
	}
	return first
}

func TestReadBadLines(t *testing.T) {
	t.Parallel()
	type problem struct {
		Line    int
		Message string
	}
	for name, test := range map[string]struct {
		text string
		want []problem
	}{
		"no equals":      {"A=1\n" + canary + "\n", []problem{{2, badEquals.what}}},
		"bad name":       {"A-B=" + canary, []problem{{1, badInvalid.what}}},
		"no name":        {"=" + canary, []problem{{1, badInvalid.what}}},
		"mark":           {"\ufeffA=" + canary, []problem{{1, badMark.what}}},
		"two causes":     {"=1\nA=a#" + canary + "\n", []problem{{1, badInvalid.what}, {2, badHash.what}}},
		"control":        {"A=" + canary + "\x07", []problem{{1, badInvalid.what}}},
		"open double":    {`A="` + canary, []problem{{1, badQuote.what}}},
		"open single":    {`A='` + canary, []problem{{1, badQuote.what}}},
		"open escape":    {`A="\`, []problem{{1, badEscape.what}}},
		"bad escape":     {`A="\$` + canary + `"`, []problem{{1, badEscape.what}}},
		"bad hex":        {`A="\u00zz"`, []problem{{1, badEscape.what}}},
		"short hex":      {`A="\u00`, []problem{{1, badEscape.what}}},
		"half surrogate": {`A="\ud83d"`, []problem{{1, badEscape.what}}},
		"NUL":            {"A=1\nB=\x00" + canary, []problem{{2, badText.what}}},
		"escaped NUL":    {`A="` + canary + `\u0000"`, []problem{{1, badNUL.what}}},
		"not UTF-8":      {"A=" + canary + "\xff", []problem{{1, badText.what}}},
		"too long":       {"B=1\nA=" + canary + strings.Repeat("x", 1<<16), []problem{{2, badLong.what}}},
		"hash":           {"A=" + canary + "#rest", []problem{{1, badHash.what}}},
		"hash at once":   {"A=#rest", []problem{{1, badHash.what}}},
		"hash and quote": {"A='x'#rest", []problem{{1, badHash.what}}},
		"several":        {canary + "\nA=1\n\nB=2\n=\n", []problem{{1, badEquals.what}, {5, badInvalid.what}}},
		"over several lines": {
			"A=1\nB=\"-----BEGIN\nabc\n-----END\"\nC=3\n",
			[]problem{{2, badQuote.what + " (bad lines that follow: 2)"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := secrets(t, test.text, 0o600)
			var got []problem
			for _, d := range problems(t, file) {
				if d.Code != plan.CodeFileSyntax || d.Severity != plan.Error || !d.Mask || d.Hint == "" || len(d.Pos) != 1 || d.Pos[0].File != file || d.Pos[0].Column != 1 {
					t.Errorf("incomplete: %+v", d)
				}
				got = append(got, problem{d.Pos[0].Line, d.Message})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if content(t, file) != test.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestReadBadFiles(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), ".secrets")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(secrets(t, "", 0o600), ".secrets")
	for name, test := range map[string]struct {
		file string
		code plan.Code
		say  string
	}{
		"others read":   {secrets(t, "A="+canary, 0o644), plan.CodeFileMode, "mode 0644"},
		"group writes":  {secrets(t, "A="+canary, 0o620), plan.CodeFileMode, "mode 0620"},
		"others search": {secrets(t, "A="+canary, 0o601), plan.CodeFileMode, "mode 0601"},
		"directory":     {t.TempDir(), plan.CodeSourceRead, "is not a regular file"},
		"pipe":          {pipe, plan.CodeSourceRead, "is not a regular file"},
		"below a file":  {below, plan.CodeSourceRead, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(test.file, environ{"A": "x"}.lookup)
			for _, a := range s.Read(t.Context(), []source.Ref{{Input: "A"}, {Input: "B"}}) {
				var ds plan.Diagnostics
				if !errors.As(a.Err, &ds) || len(ds) != 1 || ds[0].Code != test.code || !strings.Contains(ds[0].Message, test.say) || !strings.Contains(ds[0].Message, test.file) {
					t.Errorf("got %v", a.Err)
				}
				if test.code == plan.CodeFileMode && ds[0].Hint != "chmod 600 "+test.file {
					t.Errorf("hint is %q", ds[0].Hint)
				}
			}
			if _, err := s.Create(t.Context(), source.Ref{Input: "B"}, value.New([]byte("x"))); err == nil {
				t.Error("wrote there")
			}
		})
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		if ds := New(secrets(t, "A=1", mode), environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "A"}}); ds[0].Err != nil {
			t.Errorf("mode %o: %v", mode, ds[0].Err)
		}
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ before, value, after, origin string }{
		"new file":               {"", "v", "NAME='v'\n", ".secrets:1"},
		"at the end":             {"# top\nA=1\n", "v", "# top\nA=1\nNAME='v'\n", ".secrets:3"},
		"no final line break":    {"A=1", "v", "A=1\nNAME='v'\n", ".secrets:2"},
		"empty assignment":       {"A=1\nNAME=\nB=2\n", "v", "A=1\nNAME='v'\nB=2\n", ".secrets:2"},
		"empty at the end":       {"A=1\nNAME=", "v", "A=1\nNAME='v'", ".secrets:2"},
		"empty and exported":     {"  export NAME=\n", "v", "  export NAME='v'\n", ".secrets:1"},
		"empty and comment":      {"NAME=  # why, it's \"=\"\n", "v", "NAME='v'  # why, it's \"=\"\n", ".secrets:1"},
		"empty quotes, comment":  {"NAME= '' # why\n", "v", "NAME='v' # why\n", ".secrets:1"},
		"empty, CRLF":            {"A=1\r\nNAME=\r\nB=2\r\n", "v", "A=1\r\nNAME='v'\r\nB=2\r\n", ".secrets:2"},
		"empty twice":            {"NAME=old\nNAME=\n", "v", "NAME=old\nNAME='v'\n", ".secrets:2"},
		"commented out":          {"# NAME=\n", "v", "# NAME=\nNAME='v'\n", ".secrets:2"},
		"shell characters":       {"", "a $HOME `id` \\ \" # é", "NAME='a $HOME `id` \\ \" # é'\n", ".secrets:1"},
		"single quote":           {"", "it's", `NAME='it'"'"'s'` + "\n", ".secrets:1"},
		"line breaks":            {"", "a\nb\r\n\t\"\\'", `NAME="a\nb\u000d\n\u0009\"\\'"` + "\n", ".secrets:1"},
		"line break and command": {"", "$(id)\n`id`", `NAME="\u0024(id)\n\u0060id\u0060"` + "\n", ".secrets:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), ".secrets")
			if test.before != "" {
				file = secrets(t, test.before, 0o600)
			}
			s := New(file, environ{}.lookup)
			v := value.New([]byte(test.value))
			a, err := s.Create(t.Context(), source.Ref{Input: "NAME"}, v)
			if err != nil {
				t.Fatal(err)
			}
			if !a.Value.Equal(v) || a.Origin != test.origin {
				t.Errorf("got %+v, want origin %s", a, test.origin)
			}
			if diff := cmp.Diff(test.after, content(t, file)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := s.Read(t.Context(), []source.Ref{{Input: "NAME"}})[0]; got.Err != nil || !got.Value.Equal(v) || got.Origin != test.origin {
				t.Errorf("reads back as %+v", got)
			}
			if info, _ := os.Stat(file); info.Mode() != 0o600 {
				t.Errorf("mode is %v", info.Mode())
			}
			if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		environ environ
		want    string
		origin  string
	}{
		"in the file":        {"NAME=theirs\n", nil, "theirs", ".secrets:1"},
		"in the environment": {"A=1\n", environ{"NAME": "theirs"}, "theirs", "the process environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := secrets(t, test.text, 0o600)
			a, err := New(file, test.environ.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("ours")))
			if err != nil || string(a.Value.Reveal()) != test.want || a.Origin != test.origin {
				t.Errorf("got %+v, %v", a, err)
			}
			if content(t, file) != test.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range []string{canary + "\x00", canary + "\xff", canary + strings.Repeat("x", 1<<16)} {
		file := secrets(t, "A=1\n", 0o600)
		_, err := New(file, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte(v)))
		if err == nil || strings.Contains(err.Error(), canary) || content(t, file) != "A=1\n" {
			t.Errorf("%q: got %v", v[len(canary):len(canary)+1], err)
		}
	}
	if _, err := New(filepath.Join(t.TempDir(), "none", ".secrets"), environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v"))); err == nil {
		t.Error("wrote to a directory that does not exist")
	}
}

func TestCreateFollowsLinks(t *testing.T) {
	t.Parallel()
	target := secrets(t, "A=1\n", 0o600)
	link := filepath.Join(t.TempDir(), ".env")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	a, err := New(link, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v")))
	if err != nil || a.Origin != ".env:2" {
		t.Fatalf("got %+v, %v", a, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v, %v", info.Mode(), err)
	}
	if got := content(t, target); got != "A=1\nNAME='v'\n" {
		t.Errorf("the file is now\n%s", got)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if _, err := New(link, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v"))); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("wrote through a dangling link: %v", err)
	}
}

func TestCreateKeepsStricterMode(t *testing.T) {
	t.Parallel()
	file := secrets(t, "", 0o400)
	if _, err := New(file, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v"))); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(file); info.Mode() != 0o400 {
		t.Errorf("mode is %v", info.Mode())
	}
}

// Builds that race use one value each, and none loses what another wrote.
func TestCreateConcurrently(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".secrets")
	const builds, names = 12, 4
	var got [builds][names]string
	var wg sync.WaitGroup
	for b := range builds {
		wg.Go(func() {
			s := New(file, environ{}.lookup)
			for n := range names {
				a, err := s.Create(t.Context(), source.Ref{Input: fmt.Sprintf("NAME_%d", (n+b)%names)}, value.New(fmt.Appendf(nil, "build %d", b)))
				if err != nil {
					t.Error(err)
				}
				got[b][(n+b)%names] = string(a.Value.Reveal())
			}
		})
	}
	wg.Wait()
	for b := range builds {
		if got[b] != got[0] {
			t.Errorf("build %d has %q, build 0 has %q", b, got[b], got[0])
		}
	}
	for n, a := range New(file, environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "NAME_0"}, {Input: "NAME_1"}, {Input: "NAME_2"}, {Input: "NAME_3"}}) {
		if a.Err != nil || string(a.Value.Reveal()) != got[0][n] {
			t.Errorf("NAME_%d is %s in the file, was %s", n, a.Value.Reveal(), got[0][n])
		}
	}
	if lines := strings.Count(content(t, file), "\n"); lines != names {
		t.Errorf("the file has %d lines, want %d", lines, names)
	}
}

func TestCreateWaitsUntilContextEnds(t *testing.T) {
	t.Parallel()
	file := secrets(t, "", 0o600)
	unlock, err := dirlock.Lock(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(file, environ{}.lookup).Create(ctx, source.Ref{Input: "NAME"}, value.New([]byte("v"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A shell that sources the file must read what go-envparse reads, and never
// run any of it.
func TestShellReadsTheSame(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	for _, v := range []string{
		"plain", " spaces ", "it's", "''", `'"'"'`, "$HOME ${HOME} $(echo hi) `echo hi`", `back\slash\n\\`, `"double"`, "#hash", "a=b", "grün €", "~/x", "*", "!x", "-n",
	} {
		line := "NAME=" + quote(v) + "\n"
		out, err := exec.Command(sh, "-c", ". "+secrets(t, line, 0o600)+`; printf %s "$NAME"`).Output()
		if err != nil || string(out) != v {
			t.Errorf("%q: sh reads %q, %v", v, out, err)
		}
		if _, got, problem := parseLine(line); problem != nil || got != v {
			t.Errorf("%q: go-envparse reads %q, %v", v, got, problem)
		}
	}
	trap := filepath.Join(t.TempDir(), "trap")
	line := "NAME=" + quote("\n$(touch "+trap+")`touch "+trap+"`") + "\n"
	if err := exec.Command(sh, "-c", ". "+secrets(t, line, 0o600)).Run(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("sourcing the file ran a part of a value")
	}
}

// FuzzDotenv sets a name in any file that parses: it must read back, and
// nothing else may change.
func FuzzDotenv(f *testing.F) {
	f.Add("", "v")
	f.Add("# top\nA=1 # one\n\nexport NAME= # why\nB='it'\"'\"'s'\r\n", "it's $HOME")
	f.Add("NAME=''", "a\nb")
	f.Add("NAME=\u00a0# not a comment\nNAME= \"\" '' # a comment", "\\\"`$\x01\x7f")
	f.Add("A=\"\\u00e9\\ud83d\\ude00 \\\\\" # é\n A.b/C = x y \t", "é\u2028\u0085")
	f.Add("NAME = #\n=", "\x00\xff")
	f.Add("NAME\t=\r\nexport=1\nexport export =2", " # ")
	f.Fuzz(func(t *testing.T, text, val string) {
		const name = "NAME"
		before, ds := parse("f", text)
		if before.text() != text {
			t.Fatalf("%q reads as %q", text, before.text())
		}
		if ds.HasErrors() || before.values[name].value != "" || val == "" {
			return
		}
		d, _ := parse("f", text)
		line, err := d.set(name, val)
		if err != nil {
			if strings.ContainsRune(val, 0) || strings.ToValidUTF8(val, "") != val || len(val) > 10_000 {
				return
			}
			t.Fatalf("%q cannot be set in %q: %v", val, text, err)
		}
		after, ds := parse("f", d.text())
		if ds.HasErrors() {
			t.Fatalf("%q is no dotenv file: %v", d.text(), ds)
		}
		if got := after.values[name]; got.value != val || got.line != line {
			t.Fatalf("%q in %q reads back as %q in line %d, want line %d", val, text, got.value, got.line, line)
		}
		delete(before.values, name)
		delete(after.values, name)
		if diff := cmp.Diff(before.values, after.values, cmp.AllowUnexported(assignment{})); diff != "" {
			t.Fatalf("other names changed: (-before +after)\n%s", diff)
		}
		for i, l := range before.lines {
			switch got := after.lines[i]; {
			case i+1 != line && got != l && got != l+"\n":
				t.Fatalf("line %q became %q", l, got)
			case i+1 == line && l[comment(l):] != got[comment(got):]:
				t.Fatalf("line %q lost its comment: %q", l, got)
			}
		}
		if got, want := len(after.lines), max(len(before.lines), line); got != want {
			t.Fatalf("there are %d lines, want %d", got, want)
		}
	})
}

// However many inputs a bad file concerns, it is one error; and a source that
// works resolves.
func TestResolve(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{
		Sources: []plan.Source{{Name: "default", Kind: "env"}},
		Inputs: []plan.Input{
			{Name: "API_KEY", Class: plan.Required, Source: "default"},
			{Name: "MINTED", Class: plan.Generated, Source: "default", Generate: &plan.Generate{Kind: plan.UUID}},
			{Name: "OTHER", Class: plan.Optional, Source: "default"},
		},
	}
	resolve := func(file string) (value.Set, plan.Diagnostics) {
		return source.Resolve(t.Context(), p, map[string]source.Source{"default": New(file, environ{"API_KEY": "k9"}.lookup)}, source.Options{})
	}
	if _, ds := resolve(secrets(t, "", 0o644)); len(ds) != 1 || ds[0].Code != plan.CodeFileMode {
		t.Errorf("got %v", ds)
	}
	if _, ds := resolve(secrets(t, "A\n\nB\n", 0o600)); len(ds) != 2 || ds[0].Code != plan.CodeFileSyntax || ds[1].Pos[0].Line != 3 {
		t.Errorf("got %v", ds)
	}
	file := secrets(t, "MINTD=x\n", 0o600)
	set, ds := resolve(file)
	if len(ds) != 1 || ds[0].Message != "MINTD in .secrets:1 is no input; did you mean MINTED?" {
		t.Errorf("got %v", ds)
	}
	if got := set["MINTED"]; !got.Minted || got.Origin != ".secrets:2" || content(t, file) != "MINTD=x\nMINTED='"+string(got.Value.Reveal())+"'\n" {
		t.Errorf("got %+v", got)
	}
	again, _ := resolve(file)
	if got := again["MINTED"]; got.Minted || !got.Value.Equal(set["MINTED"].Value) {
		t.Errorf("minted again: %+v", got)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		file := filepath.Join(t.TempDir(), ".secrets")
		nothing := func(string) (string, bool) { return "", false }
		return &sourcetest.Store{
			Open: func() source.Source { return New(file, nothing) },
			Put: func(input string, v []byte) {
				s := New(file, nothing)
				if _, err := s.Replace(t.Context(), source.Ref{Input: input}, value.New(v)); err != nil {
					t.Fatal(err)
				}
			},
			Remote:    func(string) plan.Remote { return plan.Remote{} },
			Empty:     true,
			MaxValue:  32 << 10, // quoted, on a line of 64 KiB at most
			Unlimited: true,
		}
	})
}
