package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// texts are what a screen is told, and what it shows.
var texts = map[string]string{
	"plain\ttext\nnext":                    "plain\ttext\nnext",
	"umlaut ä, 日本, 🙂":                      "umlaut ä, 日本, 🙂",
	"\x1b[2J\x07\x00\x7f":                  `\u001b[2J\u0007\u0000\u007f`,
	"a\rb\vc\fd":                           `a\u000db\u000bc\u000cd`,
	"\u0085\u009b31m":                      `\u0085\u009b31m`,
	"\u202eevil\u2066\u200b\ufeff\u00ad":   `\u202eevil\u2066\u200b\ufeff\u00ad`,
	"\u2028\u2029":                         `\u2028\u2029`,
	"\U000e0041":                           `\udb40\udc41`,
	"bad \xff\xfe utf8":                    `bad \ufffd\ufffd utf8`,
	"cut off \xe6\x97":                     `cut off \ufffd\ufffd`,
	"::stop-commands::x":                   `:\u003astop-commands::x`,
	"ok\n \t\u00a0::error::x":              "ok\n \t\u00a0:\\u003aerror::x",
	"ok\r\n::error::x":                     "ok\\u000d\n:\\u003aerror::x",
	"https://[::1]:8 a::b":                 "https://[::1]:8 a::b",
	"##[command]x ##vso[task.setvariable]": `##\u005bcommand]x ##\u0076so[task.setvariable]`,
	"###[x ##teamcity[x ## Title #[x":      `###\u005bx ##\u0074eamcity[x ## Title #[x`,
	`{"a": "\\##[x"}` + "\n":               `{"a": "\\##\u005bx"}` + "\n",
}

// TestScreen: nothing that is printed commands a terminal or a service for CI,
// whatever way it is cut into writes.
func TestScreen(t *testing.T) {
	for text, want := range texts {
		for cut := range min(len(text), 8) {
			var b bytes.Buffer
			s := newScreen(&b)
			var from io.Reader = strings.NewReader(text)
			if cut > 0 {
				from = io.MultiReader(strings.NewReader(text[:cut]), iotest.OneByteReader(strings.NewReader(text[cut:])))
			}
			io.Copy(struct{ io.Writer }{s}, from)
			if err := s.close(); err != nil || b.String() != want {
				t.Errorf("%q, cut at %d, comes out as %q, not %q (%v)", text, cut, b.String(), want, err)
			}
		}
	}
}

// TestScreenJSON: JSON means the same after it.
func TestScreenJSON(t *testing.T) {
	var all []string
	for text := range texts {
		all = append(all, text)
	}
	var plain, shown bytes.Buffer
	s := newScreen(&shown)
	if err := errors.Join(encode(&plain, all), encode(s, all), s.close()); err != nil {
		t.Fatal(err)
	}
	var a, b []string
	if err := errors.Join(json.Unmarshal(plain.Bytes(), &a), json.Unmarshal(shown.Bytes(), &b)); err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("%q is %q now", a[i], b[i])
		}
	}
	checkHarmless(t, "encode", shown.String())
}

// TestScreenColors: what the program itself tells a terminal is not escaped.
func TestScreenColors(t *testing.T) {
	var b bytes.Buffer
	p := newPrinter(&b)
	p.color = true
	p.paint("1", "a\x1b[0m")
	if b.String() != "\x1b[1ma\\u001b[0m\x1b[0m" {
		t.Errorf("%q", b.String())
	}
}

// TestCompletionScripts: the scripts for shells come out as cobra writes them.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var direct, got bytes.Buffer
		root := newRoot(&direct, io.Discard)
		root.SetArgs([]string{"completion", shell})
		if err := root.Execute(); err != nil || direct.Len() == 0 {
			t.Fatal(err)
		}
		if run(t.Context(), []string{"completion", shell}, &got, io.Discard) != 0 || got.String() != direct.String() {
			t.Errorf("the script for %s is not what it is to be", shell)
		}
	}
}

// broken fails to write.
type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

// TestOutputFails: every verb that prints a result fails if that cannot be
// written, and says so, but not to someone who has closed a pipe.
func TestOutputFails(t *testing.T) {
	dir := copyExample(t)
	env := filepath.Join(dir, "envs", "dev")
	for _, args := range [][]string{
		{"version"}, {"version", "-o", "json"}, {"--help"}, {"help", "build"}, {"completion", "bash"}, {"template", env}, {"template", env, "--output", filepath.Join(dir, "x.env")},
		{"explain", env}, {"explain", env, "-o", "json"}, {"explain", env, "DB_PASSWORD"}, {"explain", "--permissions", env}, {"explain", "VG1205"},
		{"explain", "VG1205", "-o", "json"}, {"vet", env}, {"vet", env, "-o", "json"}, {"vet", env, "-o", "sarif"}, {"vet", env, "-o", "gitlab"},
		{"build", env}, {"build", env, "-o", "json"}, {"build", env, "--check"}, {"generate", env}, {"verify", env, "--source"}, {"cert", "inspect", env}, {"init", t.TempDir()},
	} {
		var stderr bytes.Buffer
		wrapped := &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
		if code := run(t.Context(), args, broken{wrapped}, &stderr); code == 0 || strings.Count(stderr.String(), "error: cannot write to standard output: no space left on device\n") != 1 {
			t.Errorf("%v: exit %d\n%s", args, code, &stderr)
		}
		stderr.Reset()
		if code := run(t.Context(), args, broken{syscall.EPIPE}, &stderr); code == 0 || strings.Contains(stderr.String(), "pipe") || strings.Contains(stderr.String(), "output") {
			t.Errorf("%v: with a closed pipe, exit %d\n%s", args, code, &stderr)
		}
	}
}

// TestClosedPipe: `| head` is no reason to say anything.
func TestClosedPipe(t *testing.T) {
	program := os.Args[0]
	link := filepath.Join(t.TempDir(), "victorgen") // testscript's name for it
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", link+" completion bash | head -1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		text                  string
		column, indent, width int
		want                  string
	}{
		{": a word and another", 0, 4, 0, ": a word and another"},  // no terminal
		{": a word and another", 0, 4, 10, ": a word and another"}, // or one that is too small for it
		{strings.Repeat("word ", 9) + "end", 5, 4, 40, "word word word word word word word\n    word word end"},
		{"to " + strings.Repeat("x", 60) + " be", 0, 4, 40, "to " + strings.Repeat("x", 60) + "\n    be"}, // what has no space stays whole
		{strings.Repeat("ü", 30) + " " + strings.Repeat("ü", 9), 0, 4, 40, strings.Repeat("ü", 30) + " " + strings.Repeat("ü", 9)},
		{"", 3, 4, 40, ""},
	} {
		if got := fold(tt.text, tt.column, tt.indent, tt.width); got != tt.want {
			t.Errorf("fold(%q, %d, %d, %d) = %q, want %q", tt.text, tt.column, tt.indent, tt.width, got, tt.want)
		}
	}
}

// TestVerbGroups: each verb stands in a group, so that the help lists it by what one is
// doing, and is told in few words.
func TestVerbGroups(t *testing.T) {
	for _, verb := range newRoot(io.Discard, io.Discard).Commands() {
		if !verb.Hidden && verb.GroupID == "" {
			t.Errorf("%s is in no group of verbGroups", verb.Name())
		}
		if len(verb.Short) > 72 {
			t.Errorf("%s is told in %d characters", verb.Name(), len(verb.Short))
		}
	}
}
