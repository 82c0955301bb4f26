package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// canaries are the values of the canary module. No two forms of them may be
// found anywhere but in .secrets.test.
var canaries = map[string]string{
	"TOKEN":    "tok-c4nary/one+9d8f7g6h5j",
	"PASSWORD": "c4nary two: p&ss=w?rd#3k4l",
	"WEAK":     "c4nary3",
	"HOLDER":   "<c4nary-four>",
	"LONG":     "c4nary-five-" + "q7w8e9r0t1y2",
	"JSON":     `{"c4nary": "six-8h7g6f5d"`,
}

const canaryContract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: {
	TOKEN: schema.#Required & {pattern: "^tok-"}
	PASSWORD: schema.#Required
	WEAK: schema.#Optional & {minStrength: *0 | number}
	HOLDER: schema.#Optional
	LONG: schema.#Required & {maxLength: *100 | int}
	JSON: schema.#Optional & {format?: "json"}
	RANDOM: schema.#Generated & {generate: kind: "password"}
}

secrets: app: keys: {
	token:  input: "TOKEN"
	url:    template: "https://app:{{.PASSWORD | urlquery}}@db/{{with .WEAK}}{{.}}{{end}}"
	encoded: template: "{{.TOKEN | b64enc}} {{.PASSWORD | quote}} {{.LONG | toJson}}"
	long:   input: "LONG"
	holder: input: "HOLDER"
	json:   input: "JSON"
	generated: input: "RANDOM"
}
`

// forms returns the ways in which a value may show itself.
func forms(v string) map[string]string {
	return map[string]string{
		"plain": v, "base64": base64.StdEncoding.EncodeToString([]byte(v)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(v)),
		"hex": hex.EncodeToString([]byte(v)), "query-escaped": url.QueryEscape(v), "path-escaped": url.PathEscape(v),
		"quoted": strings.Trim(fmt.Sprintf("%q", v), `"`), "bytes": strings.Trim(fmt.Sprint([]byte(v)), "[]"),
	}
}

// TestCanaries runs every verb on a module that works and on modules that fail
// in every place where values are at hand, and looks for the values in all that
// was printed and in every file but .secrets.test.
func TestCanaries(t *testing.T) {
	replace := func(file, old, new string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(b, []byte(old)) {
				t.Fatalf("%s has no %q", file, old)
			}
			if err := os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(new), 1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const contract, env = "contract.cue", "envs/test/env.cue"
	add := func(line string) func(t *testing.T, dir string) {
		return replace(contract, "secrets: app", line+"\nsecrets: app")
	}
	for name, breakIt := range map[string]func(t *testing.T, dir string){
		"nothing":              func(*testing.T, string) {},
		"pattern":              add(`inputs: PASSWORD: pattern: "^x"`),
		"weak":                 add(`inputs: WEAK: minStrength: 60`),
		"length":               add(`inputs: LONG: maxLength: 3`),
		"one of":               add(`inputs: TOKEN: oneOf: ["a"]`),
		"format":               add(`inputs: JSON: format: "json"`),
		"url":                  add(`inputs: PASSWORD: format: "url"`),
		"email":                add(`inputs: PASSWORD: format: "email"`),
		"pem":                  add(`inputs: PASSWORD: format: "pem"`),
		"rule":                 add(`rules: r: {kind: "exactlyOne", inputs: ["WEAK", "LONG"]}`),
		"deprecated":           add(`inputs: TOKEN: deprecated: "old"`),
		"template index":       replace(contract, "{{.TOKEN | b64enc}}", "{{index .TOKEN 999}}"),
		"template slice":       replace(contract, "{{.TOKEN | b64enc}}", "{{slice .TOKEN 1 999}}"),
		"template fromJson":    replace(contract, "{{.TOKEN | b64enc}}", "{{get (fromJson .TOKEN) \\\"x\\\"}}"),
		"template len of":      replace(contract, "{{.TOKEN | b64enc}}", "{{lt .TOKEN 3}}"),
		"template urlParse":    replace(contract, "{{.TOKEN | b64enc}}", "{{urlParse .PASSWORD}}{{urlParse \\\"%zz\\\"}}"),
		"template regex":       replace(contract, "{{.TOKEN | b64enc}}", "{{regexMatch (printf \\\"(%s\\\" .TOKEN) .LONG}}"),
		"certificate":          replace(env, "good.pem", "expired.pem"),
		"no certificate":       replace(env, "good.pem", ".secrets.test"), // a file with values in the place of a certificate
		"scope":                replace(env, "good.pem\"", "good.pem\"\ndelivery: scope: \"everywhere\""),
		"misspelled":           replace(".secrets.test", "TOKEN=", "TOKN="),
		"no equals sign":       replace(".secrets.test", "TOKEN=", "TOKEN "),
		"open quote":           replace(".secrets.test", "TOKEN=", "TOKEN='"),
		"wrong escape":         replace(".secrets.test", "TOKEN=", `TOKEN="\q`),
		"bad name":             replace(".secrets.test", "TOKEN=", "TO KEN="),
		"not UTF-8":            replace(".secrets.test", "TOKEN=", "TOKEN=\xff"),
		"control character":    replace(".secrets.test", "TOKEN=", "TOKEN=\x01"),
		"CUE that sees values": replace(contract, "package app", "@extern(embed)\n\npackage app\n\n_x: _ @embed(file=.secrets.test,type=text)\ninputs: TOKEN: description: _x\ninputs: TOKEN: minLength: _x"),
		"literal":              replace(contract, `token:  input: "TOKEN"`, `token: value: "`+canaries["TOKEN"]+`"`),
		"literal twice":        replace(contract, `token:  input: "TOKEN"`, `"api-token": value: "sk-c4nary1234567890123456"`+"\n"+`"api-token": value: "sk-other1234567890123456"`),
		"mode":                 func(t *testing.T, dir string) { os.Chmod(filepath.Join(dir, ".secrets.test"), 0o644) },
		"tree in the way": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "deploy"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"lock with values": func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, "deploy/test"), 0o755)
			if err := os.Symlink("../../.secrets.test", filepath.Join(dir, "deploy/test/victorgen.lock")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := canaryModule(t)
			breakIt(t, dir)
			before := canaryModule(t)
			envDir := filepath.Join(dir, "envs", "test")
			kubeconfig := apiServer(t, filepath.Join(dir, "good.pem")).Kubeconfig(t)
			leaks := leakFile(t)
			var out bytes.Buffer
			for _, args := range [][]string{
				{"vet", envDir}, {"vet", envDir, "-o", "json"}, {"template", envDir}, {"explain", envDir},
				{"explain", envDir, "TOKEN"}, {"explain", envDir, "app", "-o", "json"},
				{"build", envDir, "--check"}, {"build", envDir, "--dry-run"}, {"build", envDir, "--offline"},
				{"build", envDir, "--no-generate"}, {"build", envDir, "-o", "json"}, {"build", envDir},
				{"diff", envDir, "--from", before}, {"diff", envDir, "--from", before, "-o", "json"}, {"diff", filepath.Join(before, "envs/test"), "--from", dir, "-o", "markdown"},
				{"report", envDir}, {"report", envDir, "-o", "json", "--values"}, {"report", envDir, "--html", "-"}, {"report", envDir, "--html", filepath.Join(dir, "report.html"), "--live", "--values", "--kubeconfig", kubeconfig},
				{"docs", envDir}, {"docs", envDir, "--output", filepath.Join(dir, "SECRETS.md")},
				{"scan", envDir, "--", dir}, {"scan", envDir, "-o", "json", "--", dir}, {"scan", envDir, "-o", "sarif", "--", leaks}, {"scan", envDir, "-o", "github", "--", leaks}, {"scan", envDir, "--", leaks},
				{"build", dir + "/envs/..."}, {"build", envDir, "--offline", "--check"}, {"init", dir},
				{"cert", "inspect", envDir}, {"cert", "inspect", filepath.Join(dir, ".secrets.test")},
				{"cert", "fetch", envDir, "--kubeconfig", kubeconfig}, {"cert", "fetch", envDir, "--kubeconfig", filepath.Join(dir, ".secrets.test")},
			} {
				fmt.Fprintf(&out, "== %v\n", args[0])
				run(t.Context(), args, &out, &out)
			}
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			run(cancelled, []string{"build", envDir}, &out, &out)
			checkNoCanary(t, dir, out.String())
			if name == "nothing" && !strings.Contains(out.String(), "the value of TOKEN is here, as base64 of it URL-escaped") {
				t.Errorf("scan finds nothing:\n%s", out.String())
			}
			if name == "nothing" && !strings.Contains(out.String(), "test: unchanged") {
				t.Errorf("the module that should work does not:\n%s", out.String())
			}
		})
	}
}

// leakFile is a file that has each value in each form.
func leakFile(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, v := range canaries {
		fmt.Fprintln(&text, base64.StdEncoding.EncodeToString([]byte("https://"+url.QueryEscape(v)+"@host/")))
		for _, s := range forms(v) {
			fmt.Fprintln(&text, s)
		}
	}
	file := filepath.Join(t.TempDir(), "leaks")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func canaryModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var secrets strings.Builder
	for name, v := range canaries {
		if name != "HOLDER" {
			fmt.Fprintf(&secrets, "%s='%s'\n", name, v)
		}
	}
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       canaryContract,
		"envs/test/env.cue":  "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../good.pem\"\n",
		".secrets.test":      secrets.String(),
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, pem := range []string{"good.pem", "expired.pem"} {
		b, err := os.ReadFile("../../fixtures/certificates/" + pem)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, pem), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkNoCanary looks for all values, those that were generated too, in what was
// printed and in all files but .secrets.test and, for the case that puts one there,
// the contract.
func checkNoCanary(t *testing.T, dir, printed string) {
	t.Helper()
	values := map[string]string{"literal": "sk-c4nary1234567890123456"}
	for name, v := range canaries {
		values[name] = v
	}
	all := filesOf(t, dir)
	for line := range strings.Lines(all[".secrets.test"]) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && (name == "RANDOM" || name == "VICTORGEN_LOCK_KEY") {
			values[name] = v
		}
	}
	places := map[string]string{"the output": printed}
	for file, content := range all {
		if file != ".secrets.test" && file != "contract.cue" && file != filepath.Join("deploy", "test", "victorgen.lock") || strings.HasPrefix(content, "# Written by victorgen") {
			places[file] = content
		}
	}
	plans, err := filepath.Glob(filepath.Join(os.Getenv(cacheVariable), "plans", "*"))
	if err != nil || len(plans) == 0 {
		t.Errorf("the cache has no plans: %v", err)
	}
	for _, file := range plans {
		if content, err := os.ReadFile(file); err == nil { // another test may be about to rename it
			places[file] = string(content)
		}
	}
	for place, content := range places {
		for _, found := range shown(values, content) {
			t.Errorf("%s shows %s", place, found)
		}
	}
}

// shown returns which of the values content shows, and how.
func shown(values map[string]string, content string) (found []string) {
	content = strings.ToLower(content)
	for name, v := range values {
		for form, s := range forms(v) {
			if strings.Contains(content, strings.ToLower(s)) {
				found = append(found, name+" ("+form+")")
			}
		}
	}
	return found
}

// TestCanaryIsSeen: the search of TestCanaries finds a value in each form.
func TestCanaryIsSeen(t *testing.T) {
	for name, v := range canaries {
		for form, s := range forms(v) {
			if !slices.Contains(shown(canaries, "level=INFO msg="+strings.ToUpper(s)+"\n"), name+" ("+form+")") {
				t.Errorf("%s in form %s is not found", name, form)
			}
		}
	}
}
