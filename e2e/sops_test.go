package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sops"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
)

const (
	sopsVersion = "v3.13.3"
	ageVersion  = "v1.3.2"
)

// withSOPS puts sops into PATH, and a key of age where sops looks for it. It
// returns the key's recipient, and what tells the arguments of all calls.
func withSOPS(t *testing.T) (recipient string, calls func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	// Its home is where no other key is.
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >> '%s'\nHOME='%s' exec '%s' \"$@\"\n",
		log, dir, goProgram(t, "github.com/getsops/sops/v3/cmd/sops", sopsVersion))
	if err := os.WriteFile(filepath.Join(dir, "sops"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	key := filepath.Join(dir, "key.txt")
	if err := command("", nil, goProgram(t, "filippo.io/age/cmd/age-keygen", ageVersion), "-o", key); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	_, recipient, _ = strings.Cut(string(text), "# public key: ")
	recipient, _, _ = strings.Cut(recipient, "\n")
	t.Setenv("SOPS_AGE_KEY_FILE", key)
	return recipient, func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// runSOPS runs sops as people do.
func runSOPS(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command("sops", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sops %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// encryptedFile makes a file of the plain text.
func encryptedFile(t *testing.T, recipient, name, text string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runSOPS(t, "", append(append([]string{"encrypt", "--in-place", "--age", recipient}, args...), file)...)
	return file
}

// noneShows checks that no file in dir has text in it.
func noneShows(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			t.Errorf("%s shows a value", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sopsAnswer(t *testing.T, file, remote string) source.Answer {
	t.Helper()
	name, property, _ := strings.Cut(remote, "#")
	ref := source.Ref{Input: "INPUT", Remote: plan.Remote{Name: name, Property: property}}
	return source.Read(t.Context(), sops.New(plan.Source{File: file}, ""), []source.Ref{ref})[0]
}

func TestSOPS(t *testing.T) {
	recipient, calls := withSOPS(t)
	named := func(input string) plan.Remote { return plan.Remote{Name: kebab(input)} }
	for _, test := range []struct {
		file, empty string
		remote      func(input string) plan.Remote
		index       func(input string) string
	}{
		{"secrets.env", "# nothing\n", func(string) plan.Remote { return plan.Remote{} }, func(input string) string { return `["` + input + `"]` }},
		{"secrets.enc.yaml", "{}\n", named, func(input string) string { return `["` + kebab(input) + `"]` }},
		{"secrets.json", "{}\n", named, func(input string) string { return `["` + kebab(input) + `"]` }},
		{"properties.yml", "{}\n",
			func(input string) plan.Remote { return plan.Remote{Name: kebab(input), Property: "db.password"} },
			func(input string) string { return `["` + kebab(input) + `"]["db"]["password"]` }},
	} {
		t.Run(test.file, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
				file := encryptedFile(t, recipient, test.file, test.empty)
				t.Cleanup(func() { noneShows(t, filepath.Dir(file), "c4nary") })
				return &sourcetest.Store{
					Open: func() source.Source { return sops.New(plan.Source{File: file}, "") },
					Slow: true,
					Put: func(input string, v []byte) {
						quoted, err := json.Marshal(string(v))
						if err != nil {
							t.Fatal(err)
						}
						runSOPS(t, string(quoted), "set", "--value-stdin", file, test.index(input))
					},
					Remote: test.remote, Empty: true, MaxValue: 256 << 10, Unlimited: true,
				}
			})
		})
	}
	if strings.Contains(calls(), "c4nary") {
		t.Error("a command line had a value in it")
	}
}

// What people write into a file is read as they mean it.
func TestSOPSValues(t *testing.T) {
	recipient, _ := withSOPS(t)
	yaml := encryptedFile(t, recipient, "s.yaml", `
text: <a> & "b" # comment
number: 1.50
large: 9007199254740993
date: 2026-01-02
on: yes
"null": null
empty: ""
# comment
object: {user: u, db: {password: p}, x.y: z}
list: [1, two]
block: |
  one
  two
binary: !!binary /wD+
`)
	dotenv := encryptedFile(t, recipient, "s.env", "# comment\nQUOTED=\"q\"\nBREAK=a\\nb\nEMPTY=\nSPACE= a \n")
	for _, test := range []struct{ file, remote, want string }{
		{yaml, "text", `<a> & "b"`},
		{yaml, "number", "1.5"},
		{yaml, "large", "9007199254740993"},
		{yaml, "date", "2026-01-02T00:00:00Z"},
		{yaml, "on", "yes"},
		{yaml, "null", "absent"},
		{yaml, "empty", "absent"},
		{yaml, "object", `{"user":"u","db":{"password":"p"},"x.y":"z"}`},
		{yaml, "object#db.password", "p"},
		{yaml, "object#x.y", "z"},
		{yaml, "list", `[1,"two"]`},
		{yaml, "block", "one\ntwo\n"},
		{yaml, "binary", "the value there is not UTF-8 text, which sops cannot print"},
		{yaml, "sops", "absent"},
		{dotenv, "QUOTED", `"q"`}, // the quotes are part of it
		{dotenv, "BREAK", "a\nb"},
		{dotenv, "EMPTY", "absent"},
		{dotenv, "SPACE", " a "},
		{dotenv, "sops_version", "absent"},
	} {
		a := sopsAnswer(t, test.file, test.remote)
		got := string(a.Value.Reveal())
		if a.Err != nil {
			got = a.Err.Error()
		}
		if got != test.want {
			t.Errorf("%s is %q, want %q", test.remote, got, test.want)
		}
		if absent := errors.Is(a.Err, source.ErrAbsent); !strings.Contains(test.remote, "#") {
			proof := sops.New(plan.Source{File: test.file}, "").Prove(t.Context(), []source.Ref{{Input: test.remote}})[0]
			if errors.Is(proof.Err, source.ErrAbsent) != absent {
				t.Errorf("%s: proof says %v", test.remote, proof.Err)
			}
		}
	}
}

// What sops says of its failures quotes what it reads, and is not shown.
func TestSOPSFailures(t *testing.T) {
	recipient, _ := withSOPS(t)
	t.Setenv("EDITOR", "false")
	for _, test := range []struct {
		name, file, text string
		breaks           func(t *testing.T, file string)
		reason, remedy   string
		unreadable       bool
	}{
		{"no key", "s.yaml", "key: c4nary\n", func(t *testing.T, _ string) { t.Setenv("SOPS_AGE_KEY_FILE", "") },
			"sops has no key that opens", "provide " + recipient + ", as with SOPS_AGE_KEY_FILE", true},
		{"no key for dotenv", "s.env", "key=c4nary\n", func(t *testing.T, _ string) { t.Setenv("SOPS_AGE_KEY_FILE", "") },
			"sops has no key that opens", "provide " + recipient + ", as with SOPS_AGE_KEY_FILE", true},
		{"removed", "s.yaml", "key: c4nary\nother: v\n", func(t *testing.T, file string) { rewrite(t, file, "other: ENC", "#") },
			"was changed by something else than sops", "sops edit --ignore-mac", false},
		{"removed from dotenv", "s.env", "key=c4nary\nother=v\n", func(t *testing.T, file string) { rewrite(t, file, "other=ENC", "#") },
			"was changed by something else than sops", "sops edit --ignore-mac", false},
		{"pasted", "s.json", `{"key": "v"}`, func(t *testing.T, file string) { rewrite(t, file, "{", `{"other": "c4nary",`) },
			"was changed by something else than sops", "git restore", false},
		{"plain", "s.yaml", "key: v\n", func(t *testing.T, file string) { os.WriteFile(file, []byte("key: c4nary\n"), 0o600) },
			"is not encrypted", "sops encrypt --in-place", false},
		{"two documents", "s.yaml", "key: c4nary\n---\nother: v\n", func(*testing.T, string) {}, "one YAML document", "git restore", false},
		{"bad configuration", "s.yaml", "key: c4nary\n", func(t *testing.T, file string) {
			config := filepath.Join(filepath.Dir(file), ".sops.yaml")
			os.WriteFile(config, []byte("c4nary: ["), 0o600)
			t.Setenv("SOPS_CONFIG", config)
		}, "sops has failed: exit status 1", "sops decrypt --output /dev/null", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := encryptedFile(t, recipient, test.file, test.text)
			test.breaks(t, file)
			_, err := sops.New(plan.Source{File: file}, "").Replace(t.Context(), source.Ref{Input: "new"}, value.New([]byte("c4nary")))
			for what, err := range map[string]error{"read": sopsAnswer(t, file, "key").Err, "write": err} {
				var f *source.Failure
				if !errors.As(err, &f) {
					t.Fatalf("%s: %v is no source.Failure", what, err)
				}
				if !strings.Contains(f.Reason, test.reason) || !strings.Contains(f.Remedy, test.remedy) || f.Unreadable != test.unreadable {
					t.Errorf("%s: %+v", what, *f)
				}
				if strings.Contains(f.Reason+f.Remedy, "c4nary") {
					t.Errorf("%s shows a value: %+v", what, *f)
				}
			}
		})
	}
}

// rewrite changes a file by hand.
func rewrite(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s is not in the file, %v", old, err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A write changes nothing but what it is about.
func TestSOPSKeeps(t *testing.T) {
	recipient, _ := withSOPS(t)
	for name, text := range map[string]string{
		"s.yaml": "# of the file\nfirst: 1 # inline\nobject:\n    # below\n    a: x\n# last\nlist:\n    - 1\n    - null\n",
		"s.env":  "# of the file\nfirst=1\n# last\nempty=\n",
		"s.json": "{\n\t\"first\": 1,\n\t\"object\": {\n\t\t\"a\": \"x\"\n\t},\n\t\"list\": [\n\t\t1,\n\t\tnull\n\t]\n}\n",
	} {
		file := encryptedFile(t, recipient, name, text)
		decrypted := func() string {
			text, err := exec.Command("sops", "decrypt", file).Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		before := decrypted() // sops itself moves comments
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		w := sops.New(plan.Source{File: file}, "")
		for range 2 { // the second one finds it
			a, err := w.Create(t.Context(), source.Ref{Input: "NEW"}, value.New([]byte("c4nary")))
			if err != nil || string(a.Value.Reveal()) != "c4nary" {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		noneShows(t, filepath.Dir(file), "c4nary")
		runSOPS(t, "", "unset", file, `["NEW"]`)
		if after := decrypted(); after != before || strings.Count(text, "#") != strings.Count(after, "#") {
			t.Errorf("%s is now\n%s\nand was\n%s", name, after, before)
		}
		if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	}
}

// A value that a file's rules would leave in plain text is not given to sops.
func TestSOPSRules(t *testing.T) {
	recipient, calls := withSOPS(t)
	for _, rule := range []string{"--encrypted-regex=^first$", "--unencrypted-regex=^new$", "--encrypted-suffix=st", "--unencrypted-suffix=ew"} {
		file := encryptedFile(t, recipient, "s.yaml", "first: 1\n", rule)
		before, _ := os.ReadFile(file)
		n := strings.Count(calls(), "--value-stdin")
		_, err := sops.New(plan.Source{File: file}, "").Create(t.Context(), source.Ref{Input: "new"}, value.New([]byte("c4nary")))
		if err == nil || !strings.Contains(err.Error(), "sops would leave it in plain text") {
			t.Errorf("%s: %v", rule, err)
		}
		if got := strings.Count(calls(), "--value-stdin") - n; got != 1 {
			t.Errorf("%s: %d values were given to sops, not the first alone, which is no secret", rule, got)
		}
		if after, _ := os.ReadFile(file); !bytes.Equal(after, before) {
			t.Errorf("%s: the file has changed", rule)
		}
	}
}

// Keys are named to sops without escapes.
func TestSOPSNames(t *testing.T) {
	recipient, _ := withSOPS(t)
	file := encryptedFile(t, recipient, "s.yaml", "first: 1\n")
	for _, name := range []string{`a"b`, `a\b`, `a'b`, "a]b", "a b", "ü", "-x", "a.b", "1"} {
		w := sops.New(plan.Source{File: file}, "")
		if _, err := w.Create(t.Context(), source.Ref{Input: "X", Remote: plan.Remote{Name: name}}, value.New([]byte("c4nary"+name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if a := sopsAnswer(t, file, name); string(a.Value.Reveal()) != "c4nary"+name {
			t.Errorf("%s is %d other bytes: %v", name, a.Value.Len(), a.Err)
		}
	}
}

// TestBuildFromSOPS: a team makes an encrypted file, has it filled, commits it,
// and builds from it.
func TestBuildFromSOPS(t *testing.T) {
	recipient, calls := withSOPS(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/victor")); err != nil {
		t.Fatal(err)
	}
	production := filepath.Join(dir, "envs", "production")
	file := filepath.Join(production, "secrets.enc.yaml")
	add := "package victor\n\nsources: default: {kind: \"sops\", file: \"secrets.enc.yaml\"}\n"
	if err := os.WriteFile(filepath.Join(production, "sops.cue"), []byte(add), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil { // its locks know of values
		t.Fatal(err)
	}
	out, errs, code := victorgen(t, dir, nil, "generate", production)
	if code == 0 || !strings.Contains(errs, "create it: sops edit "+file) {
		t.Fatalf("generate without a file: exit %d\n%s%s", code, out, errs)
	}
	if err := os.WriteFile(file, []byte("anthropic-api-key: sk-ant-fake-e2e-3f9c1e7a2b\nsentry-dsn: https://fake3f9c1e7a@sentry.victor.example/1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code = victorgen(t, dir, nil, "build", production); code != 1 || !strings.Contains(errs, "is not encrypted") {
		t.Fatalf("build from plain text: exit %d\n%s%s", code, out, errs)
	}
	runSOPS(t, "", "encrypt", "--in-place", "--age", recipient, file)
	if out, errs, code = victorgen(t, dir, nil, "build", production); code != 0 || !strings.Contains(out, "generated") {
		t.Fatalf("build: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = victorgen(t, dir, nil, "build", production, "--check"); code != 0 || !strings.Contains(out, "unchanged") {
		t.Fatalf("second build: exit %d\n%s%s", code, out, errs)
	}
	noKey := []string{"SOPS_AGE_KEY_FILE="}
	if out, errs, code = victorgen(t, dir, noKey, "build", production, "--check"); code != 0 || !strings.Contains(errs, "provide "+recipient) {
		t.Fatalf("build without a key: exit %d\n%s%s", code, out, errs)
	}
	plain, err := exec.Command("sops", "decrypt", "--output-type", "json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]string
	if err := json.Unmarshal(plain, &values); err != nil || len(values) < 6 {
		t.Fatalf("%d values, %v", len(values), err)
	}
	for name, v := range values {
		noneShows(t, dir, v)
		if strings.Contains(calls(), v) {
			t.Errorf("a command line shows %s", name)
		}
	}
}

// TestFromScriptsSOPS runs the block ```sh sops of docs/from-scripts.md: what
// comes back of the backup is what went in, and the backup shows nothing.
func TestFromScriptsSOPS(t *testing.T) {
	recipient, _ := withSOPS(t)
	page, err := os.ReadFile("../docs/from-scripts.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```sh sops\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(block) != 1 {
		t.Fatalf("the page has %d such blocks", len(block))
	}
	dir := t.TempDir()
	const source = "# mine\nTOKEN='c4nary $x \"quoted\"'\n\nEMPTY=\n"
	for file, text := range map[string]string{".secrets.production": source, ".sops.yaml": "creation_rules: [{age: " + recipient + "}]\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := command(dir, nil, "sh", "-euxc", string(block[0][1])); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(dir, ".secrets.restored")
	text, err := os.ReadFile(restored)
	if info, statErr := os.Stat(restored); err != nil || statErr != nil || string(text) != source || info.Mode() != 0o600 {
		t.Errorf("%v %v: %q", err, statErr, text)
	}
	for _, file := range []string{".secrets.production", ".secrets.restored"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	noneShows(t, dir, "c4nary")
}

// TestSourcesSOPS runs the block ```sh sops of docs/sources.md: a file from nothing, with a
// key of its own, into which values are generated.
func TestSourcesSOPS(t *testing.T) {
	withSOPS(t)
	page, err := os.ReadFile("../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```sh sops\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(block) != 1 {
		t.Fatalf("the page has %d such blocks", len(block))
	}
	dir, bin := t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/victor")); err != nil {
		t.Fatal(err)
	}
	for program, path := range map[string]string{
		"victorgen": built(t), "age-keygen": goProgram(t, "filippo.io/age/cmd/age-keygen", ageVersion),
		// As it is, for withSOPS gives it another home.
		"sops": goProgram(t, "github.com/getsops/sops/v3/cmd/sops", sopsVersion),
	} {
		if err := os.Symlink(path, filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	env := filepath.Join(dir, "envs", "production", "sops.cue")
	if err := os.WriteFile(env, []byte("package victor\n\nsources: default: {kind: \"sops\", file: \"secrets.enc.yaml\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Of the committed tree no one has the values.
	if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	home := []string{"HOME=" + dir, "XDG_CONFIG_HOME=", "SOPS_AGE_KEY_FILE=", "EDITOR=true", "PATH=" + bin + ":" + os.Getenv("PATH")}
	// sops edit ends with 200 where the editor has changed nothing.
	script := "set -eu\nsops() { command sops \"$@\" || test $? = 200; }\n" + string(block[0][1])
	if err := command(dir, home, "sh", "-xc", script); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "envs", "production", "secrets.enc.yaml"))
	if err != nil || !strings.Contains(string(text), "database-password: ENC[") && !strings.Contains(string(text), "DB_PASSWORD: ENC[") {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestAdoptingSOPS runs the page of docs/adopting.md for SOPS files: nothing of it lies
// anywhere in plain text.
func TestAdoptingSOPS(t *testing.T) {
	recipient, _ := withSOPS(t)
	page, err := os.ReadFile("../docs/adopting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## From SOPS files\n")
	commands := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindStringSubmatch(section)
	if commands == nil {
		t.Fatal("the page has no commands")
	}
	const password = "hV7mQz2Kx9Wt4LrB8nYd"
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "k8s"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		".sops.yaml":           "creation_rules: [{age: " + recipient + "}]\n",
		"k8s/secrets.enc.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: shop, namespace: shop}\nstringData:\n  password: " + password + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runSOPS(t, "", "encrypt", "--in-place", "--age", recipient, "--encrypted-regex", "^(data|stringData)$", filepath.Join(dir, "k8s/secrets.enc.yaml"))
	bin := t.TempDir()
	if err := os.Symlink(built(t), filepath.Join(bin, "victorgen")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-xc", "set -eu\n"+commands[1])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "proved: 1 key equal to what was read, 0 unknown, 0 not") || strings.Contains(string(out), password) {
		t.Errorf("%v\n%s", err, out)
	}
	noneShows(t, dir, password)
}
