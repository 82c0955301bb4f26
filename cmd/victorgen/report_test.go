package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// reportContract declares something of each kind that a report tells of.
const reportContract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: {
	PASSWORD: schema.#Generated & {generate: {kind: "password"}, maxAge: "2160h", rotateAfter: "1440h", owner: "team db"}
	SESSION:  schema.#Generated & {generate: {kind: "bytes", bits: 512, keepPrevious: "24h"}}
	TOKEN:    schema.#Generated & {generate: {kind: "jwt", of: "SESSION", claims: role: "app", lifetime: "8760h", renewBefore: "720h"}}
	KEY:      schema.#Generated & {generate: {kind: "bytes", bits: 256}, rotate: "never"}
	STRIPE:   schema.#Required & {
		description: "Key of <Stripe> & |Co|", docs: "https://dashboard.stripe.com/apikeys?a=1&b=2", pattern: "^sk_live_", expires: "2030-01-02", owner: "payments@shop.example"
		deprecated:  "use *restricted* keys"
	}
	SENTRY: schema.#Optional & {format: "url"}
	HOST:   schema.#Setting & {default: *"db" | string}
}
rules: reports: {kind: "atLeastOne", description: "somebody must be told", inputs: ["SENTRY", "STRIPE"]}
access: readers: [{kind: "Group", name: "oidc:sre"}]
secrets: app: keys: {
	"url":     template: "postgresql://app:{{.PASSWORD | urlquery}}@{{.HOST}}/app"
	"session": input:    "SESSION"
	"before":  {input: "SESSION", previous: true}
	"token":   input: "TOKEN"
	"key":     input: "KEY"
	"stripe":  input: "STRIPE"
	"sentry":  input: "SENTRY"
	"user":    value: "admin"
}
workloads: paths: ["k8s"]
`

// reportModule is a module with that contract, of which production is built.
func reportModule(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cue.mod/module.cue":      "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":            reportContract,
		"envs/production/env.cue": "package app\n\nenvironment: \"production\"\nnamespace: \"app\"\ndelivery: {kind: \"sealed\", certificate: \"../../good.pem\"}\n",
		"envs/dev/env.cue":        "package app\n\nenvironment: \"dev\"\nnamespace: \"app-dev\"\ndelivery: {kind: \"sealed\", scope: \"cluster-wide\", certificate: \"../../good.pem\"}\ninputs: HOST: default: \"localhost\"\n",
		"envs/cloud/env.cue":      "package app\n\nenvironment: \"cloud\"\nnamespace: \"app\"\ndelivery: kind: \"external\"\nsources: default: {kind: \"aws-secretsmanager\", region: \"us-east-1\", prefix: \"app\"}\ninputs: STRIPE: remote: \"shared/stripe\"\n",
		"k8s/api.yaml": `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {template: {spec: {containers: [
  {name: api, env: [{name: DATABASE_URL, valueFrom: {secretKeyRef: {name: app, key: url}}}, {name: SENTRY, valueFrom: {secretKeyRef: {name: app, key: sentry, optional: true}}}]}]}}}}
`,
		"k8s/worker.yaml": "{apiVersion: v1, kind: Pod, metadata: {name: worker, namespace: app}, spec: {containers: [{name: worker, volumeMounts: [{name: all, mountPath: /secrets}]}], volumes: [{name: all, secret: {secretName: app}}]}}\n",
		"good.pem":        string(read(t, "../../fixtures/certificates/good.pem")),
		".gitignore":      ".secrets*\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	for _, env := range []string{"production", "dev"} {
		if err := os.WriteFile(filepath.Join(dir, ".secrets."+env), []byte("STRIPE=sk_live_c4nary9d8f7g6h5jQ"+env+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"build"}, {"rotate", "SESSION"}, {"build"}} {
		line := append([]string{args[0], filepath.Join(dir, "envs/production")}, args[1:]...)
		if code, stdout, stderr := victorgen(t, line...); code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
	return dir
}

// TestReportSchema holds -o json to its schema, and the schema to what there is: each of
// its fields occurs.
func TestReportSchema(t *testing.T) {
	dir := reportModule(t)
	const file = "../../docs/schemas/report.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, kubeconfig := startCluster(t, dir)
	occurs := map[string]bool{}
	var fields func(v any)
	fields = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				occurs[name] = true
				fields(v)
			}
		case []any:
			for _, v := range v {
				fields(v)
			}
		}
	}
	for _, args := range [][]string{
		{dir + "/envs/..."},
		{dir + "/envs/...", "--policy", filepath.Join(dir, "none")},
		{dir + "/envs/production", "--live", "--kubeconfig", kubeconfig},
		{dir + "/envs/production", "--values"},
		{dir + "/envs/dev", "--live", "--values", "--kubeconfig", kubeconfig},
	} {
		_, stdout, stderr := victorgen(t, append([]string{"report", "-o", "json"}, args...)...)
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(stdout))
		if err != nil {
			t.Fatalf("%v: %v\n%s%s", args, err, stdout, stderr)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		fields(document)
		if strings.Contains(stdout, "c4nary") || strings.Contains(stdout, "localhost") || strings.Contains(stdout, dir) {
			t.Errorf("%v: a value, the default of a setting, or a path of this machine is in it:\n%s", args, stdout)
		}
	}
	var own struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(read(t, file), &own); err != nil {
		t.Fatal(err)
	}
	declared := slices.Collect(maps.Keys(own.Properties))
	for _, d := range own.Defs {
		declared = slices.AppendSeq(declared, maps.Keys(d.Properties))
	}
	for _, name := range declared {
		if !occurs[name] {
			t.Errorf("nothing has the field %s, so the test shows nothing of it", name)
		}
	}
	more, _ := jsonschema.UnmarshalJSON(strings.NewReader(`{"version": 1, "made": "2026-01-02T03:04:05Z", "judges": [], "environments": [], "codes": {}, "more": 1}`))
	if schema.Validate(more) == nil {
		t.Error("the schema lets everything pass")
	}
}

// TestReport: what a report says of states, ages and dates.
func TestReport(t *testing.T) {
	dir := reportModule(t)
	_, kubeconfig := startCluster(t, dir)
	type input struct {
		Name, State, Source string
		Changed             *string
		Variant             int
	}
	type said struct {
		Judges       []string
		Environments []struct {
			Environment  string
			Known, Built bool
			Cluster      string
			Inputs       []input
			Secrets      []struct {
				Verdict string
				Keys    []struct{ Name, State string }
			}
			Consumers []struct {
				Object, Namespace string
				Uses              []struct{ Secret, Key, Where string }
			}
			Dates    []struct{ At, Kind, Of string }
			Findings []struct{ By, Code, Message string }
		}
	}
	ask := func(args ...string) (r said) {
		t.Helper()
		_, stdout, stderr := victorgen(t, append([]string{"report", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v\n%s%s", err, stdout, stderr)
		}
		return r
	}
	states := func(inputs []input) string {
		var all []string
		for _, in := range inputs {
			s := in.Name + "=" + in.State
			if in.Changed != nil {
				s += "+"
			}
			all = append(all, s)
		}
		return strings.Join(all, " ")
	}
	r := ask(dir + "/envs/...")
	for i, want := range []string{
		"HOST=contract KEY=unknown PASSWORD=unknown SENTRY=unknown SESSION=unknown STRIPE=unknown TOKEN=unknown",
		"HOST=contract KEY=unknown PASSWORD=unknown SENTRY=unknown SESSION=unknown STRIPE=unknown TOKEN=unknown VICTORGEN_LOCK_KEY=unknown",
		"HOST=contract KEY=present+ PASSWORD=present+ SENTRY=absent SESSION=present+ STRIPE=present+ TOKEN=present+ VICTORGEN_LOCK_KEY=present",
	} {
		if got := states(r.Environments[i].Inputs); got != want {
			t.Errorf("%s:\n%s, not\n%s", r.Environments[i].Environment, got, want)
		}
	}
	cloud, dev, production := r.Environments[0], r.Environments[1], r.Environments[2]
	if cloud.Inputs[0].Variant != production.Inputs[0].Variant || dev.Inputs[0].Variant == production.Inputs[0].Variant {
		t.Errorf("the variants of HOST are %d, %d and %d", cloud.Inputs[0].Variant, dev.Inputs[0].Variant, production.Inputs[0].Variant)
	}
	kinds := map[string]bool{}
	for _, d := range production.Dates {
		kinds[d.Kind+" "+d.Of] = true
	}
	for _, want := range []string{"rotation due PASSWORD", "rotation begins PASSWORD", "ends TOKEN", "expires STRIPE", "certificate ends good.pem", "previous is over SESSION"} {
		if !kinds[want] {
			t.Errorf("there is no date of %q: %v", want, kinds)
		}
	}
	if len(dev.Dates) != 2 { // what is not there has no age
		t.Errorf("dev has the dates %v", dev.Dates)
	}
	consumers := map[string]int{}
	for _, c := range production.Consumers {
		consumers[c.Namespace+"/"+c.Object] = len(c.Uses)
	}
	if want := map[string]int{"/Deployment api": 2, "app/Pod worker": 1}; !maps.Equal(consumers, want) {
		t.Errorf("the consumers are %v, not %v", consumers, want)
	}

	r = ask(dir+"/envs/production", "--live", "--kubeconfig", kubeconfig)
	if e := r.Environments[0]; e.Cluster != "kind" || e.Secrets[0].Verdict != "ok" || !slices.Equal(r.Judges, []string{"vet", "verify"}) {
		t.Errorf("%+v", e)
	}
	// A source that was asked tells more than the lock, but for ages that it has not.
	if got := states(ask(dir+"/envs/production", "--values").Environments[0].Inputs); !strings.Contains(got, "PASSWORD=present+ SENTRY=absent SESSION=present+ STRIPE=present+") {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(dir, ".secrets.production"), []byte("STRIPE=changeme\nSENTRY=https://a1b2c3d4e5f60718@sentry.example/1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = ask(dir+"/envs/production", "--values")
	e := r.Environments[0]
	if got := states(e.Inputs); !strings.Contains(got, "PASSWORD=absent SENTRY=present SESSION=absent STRIPE=present") {
		t.Error(got)
	}
	found := map[string]string{}
	for _, f := range e.Findings {
		found[f.Code] = f.By
	}
	if found["VG2004"] != "verify --source" {
		t.Errorf("nobody says that STRIPE is a placeholder: %v", found)
	}
}

// TestReportPage: the page on standard output is that in a file, byte for byte; its
// policy names what is in it; and no one else's file is written over.
func TestReportPage(t *testing.T) {
	dir := reportModule(t)
	out := filepath.Join(t.TempDir(), "report.html")
	env := filepath.Join(dir, "envs/production")
	var file string
	for tries := 0; ; tries++ { // until two pages have the same time, which is of a second
		second := time.Now().Unix()
		code, stdout, stderr := victorgen(t, "report", env, "--html", out)
		if code != 0 || !strings.Contains(stdout, "wrote "+out) || !strings.Contains(stdout, "production") {
			t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
		}
		file = string(read(t, out))
		code, stdout, stderr = victorgen(t, "report", env, "--html", "-")
		if time.Now().Unix() != second && tries < 100 {
			continue
		}
		if code != 0 || stdout != file {
			at := 0
			for at < min(len(file), len(stdout)) && file[at] == stdout[at] {
				at++
			}
			t.Errorf("exit %d: standard output gets another page, from byte %d on: %.200q, not %.200q\n%s", code, at, stdout[at:], file[at:], stderr)
		}
		break
	}
	if strings.Contains(file, "c4nary") || strings.Contains(file, dir) || strings.Contains(file, "<Stripe>") {
		t.Error("the page has a value, a path of this machine, or markup of others")
	}
	if code, _, _ := victorgen(t, "report", env, "--html", out); code != 0 {
		t.Error("its own page is not replaced")
	}
	other := filepath.Join(t.TempDir(), "notes.html")
	writeFile(t, other, "<!doctype html>\n<p>mine\n")
	pipe := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(os.DevNull, pipe); err != nil {
		t.Fatal(err)
	}
	for file, why := range map[string]string{
		other: "is there, and is not a page of victorgen report", env + "/env.cue": "is there, and is not", dir: "it is a directory",
		filepath.Join(dir, "nowhere/x.html"): "there is no directory", pipe: "not a regular file", "json": "names a file", "": "takes a file",
	} {
		before := filesOf(t, dir)
		code, _, stderr := victorgen(t, "report", env, "--html", file)
		if code != exitUsage || !strings.Contains(stderr, why) || !maps.Equal(before, filesOf(t, dir)) {
			t.Errorf("%q: exit %d\n%s", file, code, stderr)
		}
	}
	// What does not compile is told, and the rest is there; if there is no rest, there is
	// no page.
	writeFile(t, filepath.Join(dir, "envs/dev/env.cue"), "package app\n\nenvironment: 7\n")
	code, stdout, stderr := victorgen(t, "report", filepath.Join(dir, "envs")+"/...", "--html", out)
	if code != exitFindings || !regexp.MustCompile(`dev +- +- +- +- +\d error`).MatchString(stdout) || !strings.Contains(stderr, "env.cue:3:14: error") || !strings.Contains(stdout, "wrote ") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	none := filepath.Join(t.TempDir(), "none.html")
	code, stdout, stderr = victorgen(t, "report", filepath.Join(dir, "envs/dev"), "--html", none)
	if _, err := os.Stat(none); code != exitFindings || err == nil || !strings.Contains(stderr, "no page is written") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestDocsVerb: the page is stable, says where each input comes from and who uses it, and
// nothing in it is markup of others.
func TestDocsVerb(t *testing.T) {
	dir := reportModule(t)
	envs := filepath.Join(dir, "envs") + "/..."
	code, page, stderr := victorgen(t, "docs", envs)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	for _, want := range []string{
		"# Secrets of app\n", "| `PASSWORD` |  | generated | generated | generated |\n",
		"\nKey of &#60;Stripe&#62; &#38; &#124;Co&#124;\n", "- **Where to get it:** <https://dashboard.stripe.com/apikeys?a=1&b=2>\n", "- **Owner:** payments&#64;shop.example\n",
		"- **Comes from:** aws-secretsmanager `app/shared/stripe` (`cloud`); env `.secrets.dev` (`dev`); env `.secrets.production` (`production`)\n",
		"- **Deprecated:** use &#42;restricted&#42; keys\n", "- **Expires:** 2030-01-02\n", "- **Rotation is due after:** 90 days\n", "- **Made from:** `SESSION`\n",
		"- **Goes to:** `app` `before`, `app` `session`\n", "- **Used by:** Deployment api (container api, variable DATABASE_URL), Pod worker (volume all) (`cloud`, `production`)",
		"| `user` | a literal |", "| `url` | a template `HOST`, `PASSWORD` |", "| `reports` | at least one is there: somebody must be told | `SENTRY`, `STRIPE` |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(page, "localhost") || strings.Contains(page, "admin") {
		t.Error("the default of a setting, or a literal, is in it")
	}
	if t.Failed() {
		t.Log(page)
	}
	out := filepath.Join(t.TempDir(), "SECRETS.md")
	for range 2 {
		if code, stdout, stderr := victorgen(t, "docs", envs, "--output", out); code != 0 || stdout != "wrote "+out+"\n" {
			t.Errorf("exit %d\n%s%s", code, stdout, stderr)
		}
		if string(read(t, out)) != page {
			t.Error("another run gives another page")
		}
	}
	writeFile(t, out, "# mine\n")
	if code, _, stderr := victorgen(t, "docs", envs, "--output", out); code != exitUsage || !strings.Contains(stderr, "is not a page of victorgen docs") || string(read(t, out)) != "# mine\n" {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	os.Remove(out)
	writeFile(t, filepath.Join(dir, "envs/dev/env.cue"), "package app\n\nenvironment: 7\n")
	if code, stdout, _ := victorgen(t, "docs", envs, "--output", out); code != exitFindings || stdout != "" {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a page without all environments is written")
	}
}

// TestProse: nothing of a text is markup.
func TestProse(t *testing.T) {
	for text, want := range map[string]string{
		"a_b DB_PASSWORD _x_ 1_2": "a_b DB_PASSWORD &#95;x&#95; 1&#95;2", "see https://x.example, www.x.example or a: b": "see https&#58;//x.example, &#119;ww.x.example or a: b",
		"a\nb\n\n# c": "a b &#35; c", "[x](y) ![z]": "&#91;x&#93;(y) !&#91;z&#93;", "$a$ ~~b~~ @c \\d `e`": "&#36;a&#36; &#126;&#126;b&#126;&#126; &#64;c &#92;d &#96;e&#96;", "a\u202eb": "a&#92;u202eb",
	} {
		if got := prose(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"1. a": "&#49;. a", "- a": "&#45; a", "": "", "a": "a"} {
		if got := paragraph(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
	if got := autolink("javascript:alert(1)"); strings.Contains(got, "<j") {
		t.Error(got)
	}
}
