package sops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/fifo"
)

// fixture is a directory with a file of the stand-in.
type fixture struct {
	testing.TB
	dir, file string
	values    map[string]any // what Put has put there
}

func newFixture(t testing.TB, name string, values map[string]any) *fixture {
	dir := t.TempDir()
	f := &fixture{TB: t, dir: dir, file: filepath.Join(dir, name), values: values}
	f.write(seal(f.format(), values))
	return f
}

func (f *fixture) format() string { return strings.TrimPrefix(filepath.Ext(f.file), ".") }

func (f *fixture) write(text []byte) {
	f.Helper()
	if err := os.WriteFile(f.file, text, 0o640); err != nil {
		f.Fatal(err)
	}
}

// edit changes the file by hand.
func (f *fixture) edit(old, new string) {
	f.Helper()
	text := f.text()
	if !strings.Contains(text, old) {
		f.Fatalf("there is no %s in the file", old)
	}
	f.write([]byte(strings.Replace(text, old, new, 1)))
}

func (f *fixture) text() string {
	f.Helper()
	text, err := os.ReadFile(f.file)
	if err != nil {
		f.Fatal(err)
	}
	return string(text)
}

func (f *fixture) fault(what string) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, faultFile), []byte(what), 0o600); err != nil {
		f.Fatal(err)
	}
}

// calls returns the calls of sops, with their arguments.
func (f *fixture) calls() []string {
	text, _ := os.ReadFile(filepath.Join(f.dir, callsFile))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// hang lets the next calls hang. The first channel is closed when one does, the
// second when it is dead, and its child too.
func (f *fixture) hang() (arrived, dead <-chan struct{}) {
	f.Helper()
	pipe := filepath.Join(f.dir, hangFile)
	if err := fifo.Make(pipe); err != nil {
		f.Fatal(err)
	}
	a, d := make(chan struct{}), make(chan struct{})
	go func() {
		r, err := os.Open(pipe) // waits for one who writes
		if err != nil {
			return // the test did not call
		}
		defer r.Close()
		r.Read(make([]byte, 1))
		close(a)
		for {
			if _, err := r.Read(make([]byte, 1)); err != nil {
				close(d)
				return
			}
		}
	}()
	return a, d
}

func (f *fixture) source() *Source { return New(plan.Source{File: f.file}, "") }

// quick is source, with the stand-in as a function and no program.
func (f *fixture) quick() source.Source {
	s := f.source()
	s.sops = func(_ context.Context, stdin []byte, args ...string) ([]byte, error) {
		var out bytes.Buffer
		if code := standIn(args, bytes.NewReader(stdin), &out); code != 0 {
			return nil, fmt.Errorf("exit status %d", code)
		}
		return out.Bytes(), nil
	}
	return s
}

func (f *fixture) ref(remote string) source.Ref {
	name, property, _ := strings.Cut(remote, "#")
	return source.Ref{Input: "INPUT", Remote: plan.Remote{Name: name, Property: property}}
}

func (f *fixture) read(remote string) source.Answer {
	return source.Read(f.Context(), f.source(), []source.Ref{f.ref(remote)})[0]
}

// clean checks that nothing but the file and those of the stand-in are left,
// and that secret stands in none of them.
func (f *fixture) clean(secret string) {
	f.Helper()
	filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		switch d.Name() {
		case filepath.Base(f.dir), filepath.Base(f.file), faultFile, callsFile:
		case hangFile:
			return nil // no one writes to the pipe
		default:
			f.Errorf("%s is left", path)
		}
		if text, _ := os.ReadFile(path); strings.Contains(string(text), secret) {
			f.Errorf("%s shows the value", path)
		}
		return nil
	})
}

func TestSource(t *testing.T) {
	t.Parallel()
	kebab := func(input string) string { return strings.ReplaceAll(strings.ToLower(input), "_", "-") }
	for _, test := range []struct {
		name, file string
		remote     func(input string) plan.Remote
	}{
		{"dotenv", "secrets.env", func(string) plan.Remote { return plan.Remote{} }},
		{"yaml", "secrets.enc.yaml", func(input string) plan.Remote { return plan.Remote{Name: kebab(input)} }},
		{"json", "secrets.json", func(input string) plan.Remote { return plan.Remote{Name: kebab(input)} }},
		{"property", "secrets.yml", func(input string) plan.Remote { return plan.Remote{Name: kebab(input), Property: "a.b"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
				f := newFixture(t, test.file, map[string]any{})
				return &sourcetest.Store{
					Open:   func() source.Source { return f.source() },
					Quick:  f.quick,
					Slow:   test.name == "json" || test.name == "property", // once more
					Remote: test.remote,
					Put: func(input string, v []byte) {
						ref := source.Ref{Input: input, Remote: test.remote(input)}
						f.values[key(ref)] = string(v)
						if ref.Remote.Property != "" {
							f.values[key(ref)] = map[string]any{"a": map[string]any{"b": string(v)}}
						}
						f.write(seal(f.format(), f.values))
					},
					Empty: true, MaxValue: 64 << 10, Unlimited: true,
					Wire: &sourcetest.Wire{
						Calls:  func() int { return strings.Count(strings.Join(f.calls(), ""), `"decrypt"`) },
						Forbid: func() { f.fault("readonly") },
						Hang: func() <-chan struct{} {
							arrived, _ := f.hang()
							return arrived
						},
					},
				}
			})
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "secrets.yaml", map[string]any{
		"text": "a <b> & \"c\"", "number": 1.5, "large": 9007199254740993, "yes": true, "null": nil, "empty": "",
		"object":  map[string]any{"user": "u", "db": map[string]any{"password": "p"}, "x.y": "z"},
		"list":    []any{1, "two"},
		"latin":   "p\xe4ssword",
		"in json": `{"password": "q"}`,
	})
	for remote, want := range map[string]string{
		"text":               "a <b> & \"c\"",
		"number":             "1.5",
		"large":              "9007199254740993",
		"yes":                "true",
		"null":               "absent",
		"empty":              "absent",
		"not there":          "absent",
		"sops":               "absent",
		"object":             `{"db":{"password":"p"},"user":"u","x.y":"z"}`,
		"object#user":        "u",
		"object#db.password": "p",
		"object#x.y":         "z",
		"object#db.user":     "absent",
		"list":               `[1,"two"]`,
		"in json#password":   "q",
		"latin":              "the value there is not UTF-8 text, which sops cannot print",
	} {
		a := f.read(remote)
		got := string(a.Value.Reveal())
		if a.Err != nil {
			got = a.Err.Error()
		}
		if got != want {
			t.Errorf("%s is %q, want %q", remote, got, want)
		}
		if proof := f.source().Prove(t.Context(), []source.Ref{f.ref(remote)})[0]; !strings.Contains(remote, "#") && errors.Is(proof.Err, source.ErrAbsent) != (want == "absent") {
			t.Errorf("%s: proof says %v", remote, proof.Err)
		}
	}
}

// One run of sops reads all refs, and none is needed to prove them.
func TestCalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "secrets.yaml", map[string]any{"a": "1", "b": "2"})
	refs := []source.Ref{f.ref("a"), f.ref("b"), f.ref("c")}
	source.Prove(t.Context(), f.source(), refs)
	source.Read(t.Context(), f.source(), refs)
	if want := []string{fmt.Sprintf("%q", []string{"decrypt", "--output-type", "json", f.file})}; !cmp.Equal(f.calls(), want) {
		t.Error(cmp.Diff(want, f.calls()))
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const byHand = "sops decrypt --output /dev/null FILE"
	notOurs := func(shape string) *source.Failure {
		return &source.Failure{
			Code: plan.CodeFileSyntax, Reason: "FILE is not what sops writes: " + shape + ", without duplicate keys",
			Remedy: "put it back as sops has written it, as with git restore; then edit it with sops edit",
		}
	}
	edited := &source.Failure{
		Reason: "FILE was changed by something else than sops: the content of it does not belong together",
		Remedy: "put it back as sops has written it, as with git restore; or, if it is right: sops edit --ignore-mac FILE",
	}
	for _, test := range []struct {
		name, file string
		breaks     func(f *fixture)
		want       *source.Failure
	}{
		{"no key", "s.yaml", func(f *fixture) { f.fault("nokey") }, &source.Failure{
			Reason: "sops has no keys that open FILE: it takes those of all of its 2 key groups together", Unreadable: true,
			Remedy: "provide one key of all of these: age1standin; and arn:aws:kms:us-east-1:111122223333:key/k; to see what is wrong with each: " + byHand,
		}},
		{"no key for dotenv", "s.env", func(f *fixture) { f.fault("nokey") }, &source.Failure{
			Reason: "sops has no key that opens FILE", Unreadable: true,
			Remedy: "provide age1standin, as with SOPS_AGE_KEY_FILE or a login; to see what is wrong with each: " + byHand,
		}},
		{"another failure", "s.yaml", func(f *fixture) { f.fault("odd") }, &source.Failure{
			Reason: "sops has failed: exit status 99", Remedy: "to see why: " + byHand, Unreadable: true,
		}},
		{"no JSON", "s.yaml", func(f *fixture) { f.fault("garbage") }, &source.Failure{
			Reason: "sops did not print a JSON object", Remedy: "check which sops is in PATH, and: " + byHand, Unreadable: true,
		}},
		{"too much", "s.yaml", func(f *fixture) { f.fault("flood") }, &source.Failure{
			Reason: "sops has failed: it prints more than 16 MiB", Remedy: "to see why: " + byHand, Unreadable: true,
		}},
		{"edited value", "s.yaml", func(f *fixture) { f.edit("key: ENC", "key: hunter2") }, edited},
		{"added value", "s.json", func(f *fixture) { f.edit("{", `{"other": "hunter2",`) }, edited},
		{"removed value", "s.env", func(f *fixture) { f.edit("key=ENC", "#") }, edited},
		{"plain", "s.yaml", func(f *fixture) { f.write([]byte("key: hunter2\n")) }, &source.Failure{
			Code: plan.CodeFileSyntax, Reason: "FILE is not encrypted", Remedy: "if its content is right: sops encrypt --in-place FILE",
		}},
		{"plain dotenv", "s.env", func(f *fixture) { f.write([]byte("key=hunter2\n")) }, &source.Failure{
			Code: plan.CodeFileSyntax, Reason: "FILE is not encrypted", Remedy: "if its content is right: sops encrypt --in-place FILE",
		}},
		{"two documents", "s.yaml", func(f *fixture) { f.write([]byte(f.text() + "---\nhunter2: x\n")) }, notOurs("one YAML document that is a mapping")},
		{"a list", "s.yml", func(f *fixture) { f.write([]byte("- hunter2\n")) }, notOurs("one YAML document that is a mapping")},
		{"twice", "s.yaml", func(f *fixture) { f.write([]byte("key: hunter2\n" + f.text())) }, notOurs("one YAML document that is a mapping")},
		{"twice in dotenv", "s.env", func(f *fixture) { f.write([]byte("key=hunter2\n" + f.text())) }, notOurs("lines of the form NAME=VALUE")},
		{"no dotenv", "s.env", func(f *fixture) { f.write([]byte("hunter2\n" + f.text())) }, notOurs("lines of the form NAME=VALUE")},
		{"twice in JSON", "s.json", func(f *fixture) { f.edit("{", `{"key": "hunter2",`) }, notOurs("one JSON object")},
		{"no JSON object", "s.json", func(f *fixture) { f.write([]byte(`["hunter2"]`)) }, notOurs("one JSON object")},
		{"large", "s.yaml", func(f *fixture) { f.write(bytes.Repeat([]byte("#"), maxFile+1)) }, &source.Failure{
			Code: plan.CodeFileSyntax, Reason: "FILE is larger than 16 MiB", Remedy: "keep only secrets in it",
		}},
		{"a directory", "s.yaml", func(f *fixture) {
			os.Remove(f.file)
			os.Mkdir(f.file, 0o700)
		}, &source.Failure{Reason: "cannot read FILE: it is a directory", Remedy: "it must be a file that you may read", Unreadable: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, test.file, map[string]any{"key": "hunter2"})
			test.breaks(f)
			_, err := f.source().Replace(t.Context(), f.ref("new"), value.New([]byte("hunter2")))
			for what, err := range map[string]error{"read": f.read("key").Err, "read of another": f.read("no").Err, "write": err} {
				var got *source.Failure
				if !errors.As(err, &got) {
					if what == "write" && (test.name == "no JSON" || test.name == "too much") {
						continue // sops prints nothing then
					}
					t.Fatalf("%s: %v is no source.Failure", what, err)
				}
				got = &source.Failure{
					Code: got.Code, Unreadable: got.Unreadable,
					Reason: strings.ReplaceAll(got.Reason, f.file, "FILE"), Remedy: strings.ReplaceAll(got.Remedy, f.file, "FILE"),
				}
				if d := cmp.Diff(test.want, got); d != "" {
					t.Errorf("%s: %s", what, d)
				}
			}
		})
	}
}

// A file that does not exist has no values, and it is not made: no one has said
// which keys shall open it.
func TestNoFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "secrets.yaml", nil)
	os.Remove(f.file)
	if a := f.read("key"); !errors.Is(a.Err, source.ErrAbsent) || a.Origin != "key key of "+f.file+", which does not exist" {
		t.Errorf("read: %v, origin %s", a.Err, a.Origin)
	}
	if a := f.source().Prove(t.Context(), []source.Ref{f.ref("key")})[0]; !errors.Is(a.Err, source.ErrAbsent) {
		t.Errorf("prove: %v", a.Err)
	}
	_, err := f.source().Create(t.Context(), f.ref("key"), value.New([]byte("hunter2")))
	var failure *source.Failure
	if !errors.As(err, &failure) || !strings.HasSuffix(failure.Remedy, "create it: sops edit "+f.file) {
		t.Errorf("create: %v", err)
	}
	if err := os.Symlink("nowhere", f.file); err != nil {
		t.Fatal(err)
	}
	for how, a := range map[string]source.Answer{"read": f.read("key"), "prove": f.source().Prove(t.Context(), []source.Ref{f.ref("key")})[0]} {
		if !errors.As(a.Err, &failure) || !failure.Unreadable || !strings.Contains(failure.Reason, "it is a dangling link: "+f.dir+"/nowhere") {
			t.Errorf("%s through a dangling link: %v", how, a.Err)
		}
	}
	if _, err := f.source().Create(t.Context(), f.ref("key"), value.New([]byte("hunter2"))); err == nil || !strings.Contains(err.Error(), "dangling link") {
		t.Errorf("create through a dangling link: %v", err)
	}
	f.clean("hunter2")
}

// Not parallel: these change the environment of the process.
func TestProgram(t *testing.T) {
	f := newFixture(t, "secrets.yaml", map[string]any{"key": "v"})
	create := func() error {
		_, err := f.source().Create(f.Context(), f.ref("new"), value.New([]byte("hunter2")))
		return err
	}
	read := func() error { return f.read("key").Err }
	for _, test := range []struct {
		name, variable, value string
		do                    func() error
		want                  *source.Failure
	}{
		{"none", "PATH", t.TempDir(), read, &source.Failure{
			Reason: "there is no program sops in PATH", Remedy: "install sops 3.11 or later: https://getsops.io", Unreadable: true,
		}},
		{"none to write", "PATH", t.TempDir(), create, &source.Failure{
			Reason: "there is no program sops in PATH", Remedy: "install sops 3.11 or later: https://getsops.io", Unreadable: true,
		}},
		{"very old", "STANDIN_VERSION", "3.8.1", read, &source.Failure{
			Reason: "sops is too old: 3.8", Remedy: "install sops 3.11 or later: https://getsops.io", Unreadable: true,
		}},
		{"very old to write", "STANDIN_VERSION", "3.8.1", create, &source.Failure{
			Reason: "sops is too old: 3.8", Remedy: "install sops 3.11 or later: https://getsops.io", Unreadable: true,
		}},
		{"old to write", "STANDIN_VERSION", "3.10.2", create, &source.Failure{
			Reason: "sops is too old: 3.10", Remedy: "install sops 3.11 or later: https://getsops.io", Unreadable: true,
		}},
		{"old to read", "STANDIN_VERSION", "3.10.2", read, nil},
		{"oldest", "STANDIN_VERSION", "3.11.0", create, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			t.Setenv("EDITOR", "true") // which must not be run
			var got *source.Failure
			if err := test.do(); err != nil && !errors.As(err, &got) {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What hangs is killed with all that it has started, and leaves no copy.
func TestCancel(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "secrets.yaml", map[string]any{"key": "v"})
	before := f.text()
	arrived, dead := f.hang()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := f.source().Create(ctx, f.ref("new"), value.New([]byte("hunter2"))); !errors.Is(err, source.ErrUnreadable) {
		t.Errorf("create: %v", err)
	}
	<-dead
	if f.text() != before {
		t.Error("the file has changed")
	}
	f.clean("hunter2")
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, remote string
		fault        string
		want         string // of the value, or the reason of the failure
		kept         bool   // the file is as it was
	}{
		{"new", "new", "", "hunter2", false},
		{"there", "text", "", "there", true},
		{"null", "null", "", "hunter2", false},
		{"empty", "empty", "", "hunter2", false},
		{"new object", "new#a.b", "", "hunter2", false},
		{"in null", "null#a.b", "", "hunter2", false},
		{"new property", "object#c", "", "hunter2", false},
		{"property there", "object#a", "", "there", true},
		{"dotted property", "object#d.e", "", "there", true},
		{"empty property", "object#x.y", "", "hunter2", false},
		{"number", "number", "", "1", true},
		{"quotes", `a"b\c`, "", "hunter2", false},
		{"in JSON", "json#a", "", "there", true},
		{"new in JSON", "json#b", "", "json is not an object there, so it has no property b", true},
		{"in text", "text#a", "", "what is stored there is not a JSON object, so it has no property a", true},
		{"in a list", "object#list.a", "", "list is not an object there, so it has no property a", true},
		{"bracket", "a[b", "", "sops set can't name a key with [ in it", true},
		{"not encrypted", "new_unencrypted", "", "sops would leave it in plain text, by the rules that FILE was encrypted with", true},
		{"not encrypted below", "object#p_unencrypted", "", "sops would leave it in plain text, by the rules that FILE was encrypted with", true},
		{"readonly", "new", "readonly", "sops has failed: exit status 3", true},
		{"half", "new", "half", "sops has failed: exit status 2", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "secrets.yaml", map[string]any{
				"text": "there", "null": nil, "empty": "", "number": 1, "json": `{"a": "there"}`,
				"object": map[string]any{"a": "there", "d.e": "there", "d": "", "x.y": "", "list": []any{1}},
			})
			link := filepath.Join(t.TempDir(), "link.yaml")
			if err := os.Symlink(f.file, link); err != nil {
				t.Fatal(err)
			}
			f.fault(test.fault)
			before := f.text()
			a, err := New(plan.Source{File: link}, "").Create(t.Context(), f.ref(test.remote), value.New([]byte("hunter2")))
			got := string(a.Value.Reveal())
			if err != nil {
				got = strings.ReplaceAll(err.Error(), link, "FILE")
			}
			if got != test.want {
				t.Errorf("created %q, want %q", got, test.want)
			}
			if kept := f.text() == before; kept != test.kept {
				t.Errorf("the file was kept: %v", kept)
			}
			f.fault("")
			if !test.kept {
				if a := f.read(test.remote); string(a.Value.Reveal()) != "hunter2" {
					t.Errorf("it is %d other bytes: %v", a.Value.Len(), a.Err)
				}
				if a := f.read("object#a"); string(a.Value.Reveal()) != "there" {
					t.Errorf("another value has changed: %v", a.Err)
				}
			}
			info, err := os.Stat(f.file)
			if err != nil || info.Mode() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			f.clean("hunter2")
		})
	}
}

func TestWriteNoText(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "secrets.yaml", map[string]any{"key": "v"})
	_, err := f.source().Replace(t.Context(), f.ref("new"), value.New([]byte("\xff\xfe")))
	var failure *source.Failure
	if !errors.As(err, &failure) || failure.Code != plan.CodeValueEncoding {
		t.Errorf("replace: %v", err)
	}
}

// A file that may not be written is not replaced, though its directory would
// allow that.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write to every file")
	}
	f := newFixture(t, "secrets.yaml", map[string]any{"key": "v"})
	if err := os.Chmod(f.file, 0o400); err != nil {
		t.Fatal(err)
	}
	_, err := f.source().Replace(t.Context(), f.ref("new"), value.New([]byte("hunter2")))
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("replace: %v", err)
	}
}
