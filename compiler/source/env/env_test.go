package env

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/fifo"
	"github.com/victor-ai/victorgen/internal/safefile"
)

const canary = "canary-7f3d"

// environ is a process environment.
type environ map[string]string

func (e environ) lookup(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// open returns the source of a file.
func open(file string, lookup func(string) (string, bool)) *Source {
	return New(plan.Source{File: file}, lookup)
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
		`export EXPORTED='two words'   # and a comment`,
		`SINGLE='$HOME #\n"' # comment`,
		`DOUBLE="a`,
		``,
		`# b' \d"`,
		`BOTH=file`,
		`UNSET=file`,
		"CRLF=windows\r",
		`MULTIBYTE=grün # the last byte must stay: ü`,
		`MULTIBYTE_QUOTED='grü' # comment`,
		`EMPTY=`,
		`QUOTED_EMPTY=''`,
		`LAST=no-line-break`,
	}, "\n"), 0o600)
	s := open(file, environ{"BOTH": "process", "UNSET": "", "HOST_ONLY": "process"}.lookup)
	type answer struct{ Value, Origin string }
	want := map[string]answer{
		"PLAIN":            {"one", ".secrets:3"},
		"EXPORTED":         {"two words", ".secrets:4"},
		"SINGLE":           {`$HOME #\n"`, ".secrets:5"},
		"DOUBLE":           {"a\n\n# b' \\d", ".secrets:6"},
		"BOTH":             {"process", "the process environment"},
		"HOST_ONLY":        {"process", "the process environment"},
		"UNSET":            {"file", ".secrets:10"},
		"CRLF":             {"windows", ".secrets:11"},
		"MULTIBYTE":        {"grün", ".secrets:12"},
		"MULTIBYTE_QUOTED": {"grü", ".secrets:13"},
		"LAST":             {"no-line-break", ".secrets:16"},
		"EMPTY":            {"absent", ".secrets:14, where it is empty, or the process environment"},
		"QUOTED_EMPTY":     {"absent", ".secrets:15, where it is empty, or the process environment"},
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
		if want := refs[i].Input == "BOTH"; want != (len(a.Warnings) > 0) {
			t.Errorf("%s has the warnings %v", refs[i].Input, a.Warnings)
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
	if len(names) != 12 || names[0] != (source.Listed{Name: "PLAIN", Origin: ".secrets:3"}) || names[11].Name != "LAST" {
		t.Errorf("listed %v", names)
	}
}

// The corpus: what each file means, or why it means nothing.
func TestCorpus(t *testing.T) {
	t.Parallel()
	js, err := os.ReadFile("testdata/dotenv.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, File string
		Value      *string
		Error      string
		Warning    bool
	}
	if err := json.Unmarshal(js, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		d, ds := parse(".secrets", c.File)
		switch {
		case c.Error != "":
			if !ds.HasErrors() || len(ds) != 1 || ds[0].Hint == "" || !strings.Contains(ds[0].Message, "V") {
				t.Errorf("%s: got %v", c.Name, ds)
			}
		case ds.HasErrors() || d.values["V"].value != *c.Value || c.Warning && len(d.differ) == 0:
			t.Errorf("%s: got %q, %v, %v", c.Name, d.values["V"].value, ds, d.differ)
		}
	}
}

// What is kept as it stands though readers differ is one warning a file, which
// names the lines.
func TestReadersDiffer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, value, why string }{
		"dollar":            {"V=pa$word", "pa$word", expands},
		"braces":            {"V=${HOME}", "${HOME}", expands},
		"backtick":          {"V=a`id`", "a`id`", expands},
		"backslash":         {`V=a\b`, `a\b`, expands},
		"dollar in double":  {`V="a$b"`, "a$b", expands},
		"braces in single":  {"V='a${b}'", "a${b}", braces},
		"words":             {"V=two words", "two words", blanks},
		"tab":               {"V=two\twords", "two\twords", blanks},
		"ampersand":         {"V=http://h/?a=1&b=2", "http://h/?a=1&b=2", blanks},
		"around =":          {"V = x", "x", blanks},
		"after =":           {"V= x", "x", blanks},
		"after = and quote": {"V= 'x'", "x", blanks},
		"pattern, exported": {"export V=*", "*", blanks},
		"escape":            {`V="a\nb\r"`, "a\nb\r", escapes},
		"CRLF in quotes":    {"V='a\r\nb'\r\n", "a\nb", returns},
	} {
		d, ds := parse(".secrets", test.text)
		if ds.HasErrors() || d.values["V"].value != test.value || len(d.differ) != 1 || d.differ[0].Hint != "V (line 1) has "+test.why {
			t.Errorf("%s: %q, %v, %v", name, d.values["V"].value, ds, d.differ)
		}
	}
	d, ds := parse(".secrets", "A=1\nB=$x\nC='ok'\nD=$y\nE=a b\n")
	if len(ds) > 0 || len(d.differ) != 1 || d.differ[0].Pos[0].Line != 2 || d.differ[0].Severity != plan.Warning || !d.differ[0].Mask {
		t.Fatalf("got %v, %v", ds, d.differ)
	}
	if got, want := d.differ[0].Hint, "B (line 2) and D (line 4) have "+expands+". E (line 5) has "+blanks; got != want {
		t.Errorf("the hint is\n%s, want\n%s", got, want)
	}
}

func TestReadMissingFile(t *testing.T) {
	t.Parallel()
	s := open(filepath.Join(t.TempDir(), ".secrets"), environ{"A": "x"}.lookup)
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
	s := open(file, environ{"A": "in the process"}.lookup)
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
		"no equals":       {"A=1\n" + canary + "\n", []problem{{2, badEquals.what}}},
		"bad name":        {"A-B=" + canary, []problem{{1, badInvalid.what}}},
		"no name":         {"=" + canary, []problem{{1, badInvalid.what}}},
		"digit":           {"1A=" + canary, []problem{{1, badInvalid.what}}},
		"YAML":            {"A: " + canary, []problem{{1, badEquals.what}}},
		"two causes":      {"=1\nA=a#" + canary + "\n", []problem{{1, badInvalid.what}, {2, "A: " + badHash.what}}},
		"control":         {"A=" + canary + "\x07", []problem{{1, "A: " + badSpace.what}}},
		"no-break space":  {"A=" + canary + "\u00a0", []problem{{1, "A: " + badSpace.what}}},
		"separator":       {"A=1 # " + canary + "\u2028B=1", []problem{{1, "A: " + badBreak.what}}},
		"in a comment":    {"# " + canary + "\u2028B=1", []problem{{1, badBreak.what}}},
		"open double":     {"B=1\nA=\"" + canary + "\nC=1\n", []problem{{2, "A: " + badOpen.what}}},
		"open single":     {`A='` + canary, []problem{{1, "A: " + badOpen.what}}},
		"open escape":     {`A="\`, []problem{{1, "A: " + badOpen.what}}},
		"escaped dollar":  {`A="\$` + canary + `"`, []problem{{1, "A: " + badEscape.what}}},
		"escaped quote":   {`A="\"` + canary + `"`, []problem{{1, "A: " + badEscape.what}}},
		"backslashes":     {`A="\\` + canary + `"`, []problem{{1, "A: " + badEscape.what}}},
		"continued":       {"A=\"\\\n" + canary + `"`, []problem{{1, "A: " + badEscape.what}}},
		"tab escape":      {`A="\t` + canary + `"`, []problem{{1, "A: " + badEscape.what}}},
		"octal":           {`A="\012` + canary + `"`, []problem{{1, "A: " + badEscape.what}}},
		"two in single":   {`A='\\` + canary + `'`, []problem{{1, "A: " + badSingle.what}}},
		"last in single":  {`A='` + canary + `\'`, []problem{{1, "A: " + badSingle.what}}},
		"bash quotes":     {`A=$'` + canary + `'`, []problem{{1, "A: " + badDollar.what}}},
		"tilde":           {`A=~/` + canary, []problem{{1, "A: " + badTilde.what}}},
		"second tilde":    {`A=/x:~/` + canary, []problem{{1, "A: " + badTilde.what}}},
		"JSON":            {`A={"a": "` + canary + `"}`, []problem{{1, "A: " + badInside.what}}},
		"after":           {`A="a"` + canary, []problem{{1, "A: " + badAfter.what}}},
		"two quotes":      {`A='it'"'"'s` + canary + `'`, []problem{{1, "A: " + badAfter.what}}},
		"twice":           {"A=1\nB=1\nA=" + canary, []problem{{3, "A is given twice, on lines 1 and 3"}}},
		"return":          {"A=1\rB=" + canary, []problem{{1, "A: " + badReturn.what}}},
		"return in quote": {"A='1\rB=" + canary + "'", []problem{{1, "A: " + badReturn.what}}},
		"UTF-16 LE":       {"\xff\xfeA\x00=\x001\x00", []problem{{1, badUTF16.what}}},
		"UTF-16 BE":       {"\xfe\xff\x00A\x00=\x001", []problem{{1, badUTF16.what}}},
		"UTF-16, no mark": {"A\x00=\x001\x00", []problem{{1, badUTF16.what}}},
		"NUL":             {"A=1\nB=\x00" + canary, []problem{{2, "B: " + badNUL.what}}},
		"not UTF-8":       {"A=" + canary + "\xff", []problem{{1, "A: " + badText.what}}},
		"too long":        {"B=1\nA=" + canary + strings.Repeat("x", 1<<20), []problem{{2, "A: " + badLong.what}}},
		"hash":            {"A=" + canary + "#rest", []problem{{1, "A: " + badHash.what}}},
		"hash at once":    {"A=#rest", []problem{{1, "A: " + badHash.what}}},
		"hash after tab":  {"A=x\t#rest", []problem{{1, "A: " + badHash.what}}},
		"no value, hash":  {"A= # " + canary, []problem{{1, "A: " + badHash.what}}},
		"hash and quote":  {"A='x'#rest", []problem{{1, "A: " + badHash.what}}},
		"several":         {canary + "\nA=1\n\nB=2\n=\n", []problem{{1, badEquals.what}, {5, badInvalid.what}}},
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
	if err := fifo.Make(pipe); err != nil {
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
		"below a file":  {below, plan.CodeSourceRead, "is not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(test.file, environ{"A": "x"}.lookup)
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
		if ds := open(secrets(t, "A=1", mode), environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "A"}}); ds[0].Err != nil {
			t.Errorf("mode %o: %v", mode, ds[0].Err)
		}
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ before, value, after, origin string }{
		"new file":             {"", "v", "NAME='v'\n", ".secrets:1"},
		"at the end":           {"# top\nA=1\n", "v", "# top\nA=1\nNAME='v'\n", ".secrets:3"},
		"no final line break":  {"A=1", "v", "A=1\nNAME='v'\n", ".secrets:2"},
		"after several lines":  {"A='1\n2\n'\n", "v", "A='1\n2\n'\nNAME='v'\n", ".secrets:4"},
		"empty assignment":     {"A=1\nNAME=\nB=2\n", "v", "A=1\nNAME='v'\nB=2\n", ".secrets:2"},
		"empty at the end":     {"A=1\nNAME=", "v", "A=1\nNAME='v'", ".secrets:2"},
		"empty and exported":   {"  export NAME=\n", "v", "  export NAME='v'\n", ".secrets:1"},
		"empty quotes":         {"NAME='' # why\n", "v", "NAME='v' # why\n", ".secrets:1"},
		"empty, CRLF":          {"A=1\r\nNAME=\r\nB=2\r\n", "v", "A=1\r\nNAME='v'\r\nB=2\r\n", ".secrets:2"},
		"mark":                 {"\ufeffNAME=\n", "v", "\ufeffNAME='v'\n", ".secrets:1"},
		"commented out":        {"# NAME=\n", "v", "# NAME=\nNAME='v'\n", ".secrets:2"},
		"shell characters":     {"", "a $HOME `id` \\ \" # é", "NAME='a $HOME `id` \\ \" # é'\n", ".secrets:1"},
		"single quote":         {"", "it's", "NAME=\"it's\"\n", ".secrets:1"},
		"line breaks":          {"", "a\nb\n\t\"", "NAME='a\nb\n\t\"'\n", ".secrets:1"},
		"over several lines":   {"NAME=''\nB=1\n", "a\nb", "NAME='a\nb'\nB=1\n", ".secrets:1"},
		"white space":          {"", " \n", "NAME=' \n'\n", ".secrets:1"},
		"separators in quotes": {"", "\u2028\u0085\v", "NAME='\u2028\u0085\v'\n", ".secrets:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), ".secrets")
			if test.before != "" {
				file = secrets(t, test.before, 0o600)
			}
			s := open(file, environ{}.lookup)
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
			a, err := open(file, test.environ.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("ours")))
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
	for _, v := range []string{canary + "\x00", canary + "\xff", canary + strings.Repeat("x", 1<<20), canary + "'\"", canary + "'\\", canary + "\\", canary + "\\\\x", canary + "${x}", canary + "\r"} {
		file := secrets(t, "A=1\n", 0o600)
		_, err := open(file, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte(v)))
		if err == nil || strings.Contains(err.Error(), canary) || content(t, file) != "A=1\n" {
			t.Errorf("%q: got %v", v[len(canary):len(canary)+1], err)
		}
	}
	if _, err := open(filepath.Join(t.TempDir(), "none", ".secrets"), environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v"))); err == nil {
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
	a, err := open(link, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v")))
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
	if _, err := open(link, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v"))); err == nil || !strings.Contains(err.Error(), "dangling link") {
		t.Errorf("wrote through a dangling link: %v", err)
	}
}

func TestReadDanglingLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, ".secrets")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	a := open(link, environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "A"}})[0]
	if a.Err == nil || errors.Is(a.Err, source.ErrAbsent) || !strings.Contains(a.Err.Error(), "dangling link: "+dir+"/nowhere") {
		t.Errorf("got %v", a.Err)
	}
}

// What a killed process has left is removed by the next that reads, unless
// someone writes.
func TestStale(t *testing.T) {
	t.Parallel()
	file := secrets(t, "A=1\n", 0o600)
	stale := filepath.Join(filepath.Dir(file), "..secrets1234")
	ours := filepath.Join(filepath.Dir(file), "..secrets12.bak")
	for _, name := range []string{stale, ours} {
		if err := os.WriteFile(name, []byte(canary), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() { open(file, environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "A"}}) }
	writing, err := safefile.Create(filepath.Join(filepath.Dir(file), ".secrets"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer writing.Cleanup()
	if err := os.WriteFile(stale, []byte(canary), 0o600); err != nil { // who writes has removed it, too
		t.Fatal(err)
	}
	read()
	if _, err := os.Stat(writing.Name()); err != nil {
		t.Error("a new content was removed while it was written")
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("what was left is still there")
	}
	if _, err := os.Stat(ours); err != nil {
		t.Error("a file of somebody else is gone")
	}
}

// TestKilled kills a process that writes, at any moment: what it leaves is gone
// after the next run, and no value is lost.
func TestKilled(t *testing.T) {
	if file := os.Getenv("VICTORGEN_TEST_KILLED"); file != "" {
		for i := 0; ; i++ {
			open(file, environ{}.lookup).Replace(t.Context(), source.Ref{Input: "B"}, value.New([]byte(strings.Repeat(canary, 50_000))))
		}
	}
	t.Parallel()
	file := secrets(t, "A=1\n", 0o600)
	left := 0
	for i := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "VICTORGEN_TEST_KILLED="+file)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+13*i) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if names, _ := os.ReadDir(filepath.Dir(file)); len(names) > 1 {
			left++
		}
		if a := open(file, environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "A"}})[0]; a.Err != nil || string(a.Value.Reveal()) != "1" {
			t.Fatal(a.Err)
		}
		if names, _ := os.ReadDir(filepath.Dir(file)); len(names) != 1 {
			t.Fatalf("left: %v", names)
		}
	}
	t.Logf("%d of 12 kills left something to remove", left)
}

// Names that every shell sets are not taken from there unless the contract says so.
func TestProcessEnvironment(t *testing.T) {
	t.Parallel()
	file := secrets(t, "A=file\nHOME=file\n", 0o600)
	yes, no := true, false
	process := environ{"A": "process", "HOME": "process", "USER": "process"}
	for _, test := range []struct {
		always     *bool
		a, home, u string
	}{
		{nil, "process", "file", ""},
		{&yes, "process", "process", "process"},
		{&no, "file", "file", ""},
	} {
		s := New(plan.Source{File: file, ProcessEnv: test.always}, process.lookup)
		got := s.Read(t.Context(), []source.Ref{{Input: "A"}, {Input: "HOME"}, {Input: "USER"}})
		for i, want := range []string{test.a, test.home, test.u} {
			a := got[i]
			if string(a.Value.Reveal()) != want {
				t.Errorf("%v: got %q, want %q", test.always, a.Value.Reveal(), want)
			}
			if differ := want == "process" && i < 2; differ != (len(a.Warnings) == 1 && a.Warnings[0].Code == plan.CodeTwoPlaces) {
				t.Errorf("%v: warnings of %d: %v", test.always, i, a.Warnings)
			}
		}
		if test.always == nil && !strings.Contains(got[2].Origin, "environment: true") {
			t.Errorf("of USER: %s", got[2].Origin)
		}
	}
}

func TestCreateKeepsStricterMode(t *testing.T) {
	t.Parallel()
	file := secrets(t, "", 0o400)
	if _, err := open(file, environ{}.lookup).Create(t.Context(), source.Ref{Input: "NAME"}, value.New([]byte("v"))); err != nil {
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
			s := open(file, environ{}.lookup)
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
	for n, a := range open(file, environ{}.lookup).Read(t.Context(), []source.Ref{{Input: "NAME_0"}, {Input: "NAME_1"}, {Input: "NAME_2"}, {Input: "NAME_3"}}) {
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
	if _, err := open(file, environ{}.lookup).Create(ctx, source.Ref{Input: "NAME"}, value.New([]byte("v"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// FuzzDotenv sets a name in any file that parses: it must read back, and
// nothing else may change.
func FuzzDotenv(f *testing.F) {
	f.Add("", "v")
	f.Add("# top\nA=1 # one\n\nexport NAME=\nB='it$\nx'\r\n", "it's")
	f.Add("NAME=''", "a\nb")
	f.Add("NAME=\u00a0# not a comment\nNAME= \"\" '' # a comment", "\\\"`$\x01\x7f")
	f.Add("A=\"\\d\n\" # é\n A.b/C = x y \t", "é\u2028\u0085")
	f.Add("NAME = #\n=", "\x00\xff")
	f.Add("\ufeffNAME\t=\r\nexport=1\nexport export ='2", " # ")
	f.Add("NAME=~", "${x}")
	f.Fuzz(func(t *testing.T, text, val string) {
		const name = "NAME"
		before, ds := parse("f", text)
		if ds.HasErrors() {
			for _, d := range ds {
				if d.Hint == "" || d.Pos[0].Line < 1 || d.Pos[0].Line > strings.Count(text, "\n")+1 {
					t.Fatalf("incomplete: %+v", d)
				}
			}
			return
		}
		if before.values[name].value != "" || val == "" {
			return
		}
		after, line, ok := before.set(name, val)
		if !ok {
			if _, ok := quote(val); ok {
				t.Fatalf("%q cannot be set in %q", val, text)
			}
			return
		}
		if got := after.values[name]; got.value != val || got.line != line {
			t.Fatalf("%q in %q reads back as %q in line %d, want line %d", val, text, got.value, got.line, line)
		}
		quoted, _ := quote(val)
		want := strings.TrimSuffix(text, "\n") + "\n" + name + "=" + quoted + "\n"
		if a, ok := before.values[name]; ok {
			want = text[:a.start] + quoted + text[a.end:]
		}
		if after.text != want && strings.Trim(text, "\ufeff\n") != "" {
			t.Fatalf("%q became %q, want %q", text, after.text, want)
		}
		for other, a := range before.values {
			if other != name && after.values[other].value != a.value {
				t.Fatalf("%s changed from %q to %q", other, a.value, after.values[other].value)
			}
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
			{Name: "RANDOM", Class: plan.Generated, Source: "default", Generate: &plan.Generate{Kind: plan.UUID}},
			{Name: "OTHER", Class: plan.Optional, Source: "default"},
		},
	}
	resolve := func(file string) (value.Set, plan.Diagnostics) {
		return source.Resolve(t.Context(), p, map[string]source.Source{"default": open(file, environ{"API_KEY": "k9"}.lookup)}, source.Options{})
	}
	if _, ds := resolve(secrets(t, "", 0o644)); len(ds) != 1 || ds[0].Code != plan.CodeFileMode {
		t.Errorf("got %v", ds)
	}
	if _, ds := resolve(secrets(t, "A\n\nB\n", 0o600)); len(ds) != 2 || ds[0].Code != plan.CodeFileSyntax || ds[1].Pos[0].Line != 3 {
		t.Errorf("got %v", ds)
	}
	file := secrets(t, "RANDM=x\n", 0o600)
	set, ds := resolve(file)
	if len(ds) != 1 || ds[0].Message != "RANDM in .secrets:1 is not an input; did you mean RANDOM?" {
		t.Errorf("got %v", ds)
	}
	if got := set["RANDOM"]; !got.Generated || got.Origin != ".secrets:2" || content(t, file) != "RANDM=x\nRANDOM='"+string(got.Value.Reveal())+"'\n" {
		t.Errorf("got %+v", got)
	}
	again, _ := resolve(file)
	if got := again["RANDOM"]; got.Generated || !got.Value.Equal(set["RANDOM"].Value) {
		t.Errorf("generated again: %+v", got)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		file := filepath.Join(t.TempDir(), ".secrets")
		nothing := func(string) (string, bool) { return "", false }
		return &sourcetest.Store{
			Open: func() source.Source { return open(file, nothing) },
			Put: func(input string, v []byte) {
				s := open(file, nothing)
				if _, err := s.Replace(t.Context(), source.Ref{Input: input}, value.New(v)); err != nil {
					t.Fatal(err)
				}
			},
			Remote:   func(string) plan.Remote { return plan.Remote{} },
			Empty:    true,
			MaxValue: maxValue,
			Refuses: func(v []byte) bool {
				_, ok := quote(string(v))
				return !ok
			},
		}
	})
}
