package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	cuejson "cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/jsonschema"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// sarifFile is the official schema of SARIF, from
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json.
const sarifFile = "testdata/sarif-schema-2.1.0.json"

// schemaErrors holds a document to a JSON schema.
func schemaErrors(t *testing.T, schema, document []byte) error {
	t.Helper()
	ctx := cuecontext.New()
	expr, err := cuejson.Extract("schema.json", schema)
	if err != nil {
		t.Fatal(err)
	}
	file, err := jsonschema.Extract(ctx.BuildExpr(expr), &jsonschema.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rules := ctx.BuildFile(file)
	if rules.Err() != nil {
		t.Fatal(cueerrors.Details(rules.Err(), nil))
	}
	return rules.Unify(ctx.CompileBytes(document)).Validate(cue.Concrete(true))
}

// ciModule returns the root of a Git repository, and a module in it.
func ciModule(t *testing.T) (repository, module string) {
	t.Helper()
	repository, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	module = filepath.Join(repository, "a b,c%")
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: TOKEN: schema.#Required
inputs: UNUSED: schema.#Optional
secrets: app: keys: {
	a: input: "TOKEN"
	b: value: "1"
}
`,
		"envs/test/env.cue": "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"none.pem\"\n",
	} {
		if err := write(module, file, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(repository, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	return repository, module
}

// TestSARIF holds what -o sarif prints to the official schema.
func TestSARIF(t *testing.T) {
	schema, err := os.ReadFile(sarifFile)
	if err != nil {
		t.Fatal(err)
	}
	repository, module := ciModule(t)
	t.Chdir(filepath.Join(module, "envs"))
	code, stdout, stderr := victorgen(t, "build", "test", "-o", "sarif", "--no-generate")
	if code != 1 || stderr != "" {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if err := schemaErrors(t, schema, []byte(stdout)); err != nil {
		t.Error(cueerrors.Details(err, nil))
	}
	var log sarifLog
	if err := json.Unmarshal([]byte(stdout), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if uri := run.Bases[sourceRoot].URI; uri != "file://"+repository+"/" {
		t.Errorf("root %s", uri)
	}
	var got []string
	for _, r := range run.Results {
		at := r.Locations[0].Physical
		got = append(got, fmt.Sprintf("%s %s at %s:%d:%d: %s", r.Level, r.Rule, at.Artifact.URI, at.Region.Line, at.Region.Column, r.Message.Text))
		if at.Artifact.Base != sourceRoot || run.Tool.Driver.Rules[r.Index].ID != r.Rule {
			t.Errorf("%+v", r)
		}
	}
	want := []string{
		`warning VG1206 at a%20b,c%25/contract.cue:8:9: no secret uses input UNUSED [test]
hint: use it in a key, or remove it from the contract`,
		`error VG3001 at a%20b,c%25/envs/test/env.cue:5:24: cannot read the certificate ` + module + `/envs/test/none.pem: it does not exist [test]
hint: fetch the certificate of the cluster's controller: victorgen cert fetch ENV, or kubeseal --fetch-cert > FILE`,
		`error VG2001 at a%20b,c%25/contract.cue:7:9: required input TOKEN is missing [test]
hint: set it in ` + module + `/.secrets.test, which does not exist, or the process environment`,
		`error VG2002 at a%20b,c%25/envs/test/env.cue:1:1: generated input VICTORGEN_LOCK_KEY is missing [test]
hint: set it in ` + module + `/.secrets.test, which does not exist, or the process environment: Authenticates the entries of victorgen.lock; or leave out --no-generate to have it generated`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// The schema would notice.
	for _, broken := range [][2]string{{`"ruleId"`, `"rule"`}, {`"error"`, `"fatal"`}, {`"startLine": 8`, `"startLine": 0`}} {
		if !strings.Contains(stdout, broken[0]) || schemaErrors(t, schema, []byte(strings.Replace(stdout, broken[0], broken[1], 1))) == nil {
			t.Errorf("%s in the place of %s is not noticed", broken[1], broken[0])
		}
	}
}

// TestSARIFOfNothing: an array that is null would be refused.
func TestSARIFOfNothing(t *testing.T) {
	dir := copyExample(t)
	code, stdout, stderr := victorgen(t, "vet", dir+"/envs/production", "-o", "sarif")
	if code != 0 || stderr != "" || !strings.Contains(stdout, `"results": []`) || !strings.Contains(stdout, `"rules": []`) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestSARIFElsewhere: what is not below the root has the whole path, and other
// places that have to do with it stand next to it.
func TestSARIFElsewhere(t *testing.T) {
	repository, module := ciModule(t)
	t.Chdir(module)
	in := filepath.Join(repository, "x.cue")
	var ds plan.Diagnostics
	ds.Warnf(plan.CodeOverlay, []plan.Pos{{File: "/else where/y.yaml", Line: 3, Column: 1}, {File: in, Line: 4, Column: 5}, {}}, "", "elsewhere")
	ds.Errorf(plan.CodeTreeWrite, nil, "", "nowhere")
	results := sarifOf(findings([]result{{Environment: "test", Directory: module + "/none", Diagnostics: ds}})).Runs[0].Results
	at := func(uri, base string, line, column int) sarifLocation {
		return sarifLocation{sarifPhysical{sarifArtifact{uri, base}, sarifRegion{line, column}}}
	}
	want := []sarifResult{
		{"VG4007", 1, plan.Warning, sarifText{"elsewhere [test]"}, []sarifLocation{at("file:///else%20where/y.yaml", "", 3, 1)}, []sarifLocation{at("x.cue", sourceRoot, 4, 5)}},
		{"VG4003", 0, plan.Error, sarifText{"nowhere [test]"}, []sarifLocation{}, []sarifLocation{}},
	}
	if diff := cmp.Diff(want, results, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestGitHub(t *testing.T) {
	_, module := ciModule(t)
	t.Chdir(module)
	code, stdout, stderr := victorgen(t, "build", "envs/test", "-o", "github", "--no-generate")
	if code != 1 || stderr != "" {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	want := `::warning file=a b%2Cc%25/contract.cue,line=8,col=9,title=VG1206::no secret uses input UNUSED [test]%0Ahint: use it in a key, or remove it from the contract
::error file=a b%2Cc%25/envs/test/env.cue,line=5,col=24,title=VG3001::cannot read the certificate ` + strings.ReplaceAll(module, "%", "%25") + `/envs/test/none.pem: it does not exist [test]%0Ahint: fetch the certificate of the cluster's controller: victorgen cert fetch ENV, or kubeseal --fetch-cert > FILE
::error file=a b%2Cc%25/contract.cue,line=7,col=9,title=VG2001::required input TOKEN is missing [test]%0Ahint: set it in ` + strings.ReplaceAll(module, "%", "%25") + `/.secrets.test, which does not exist, or the process environment
::error file=a b%2Cc%25/envs/test/env.cue,line=1,col=1,title=VG2002::generated input VICTORGEN_LOCK_KEY is missing [test]%0Ahint: set it in ` + strings.ReplaceAll(module, "%", "%25") + `/.secrets.test, which does not exist, or the process environment: Authenticates the entries of victorgen.lock; or leave out --no-generate to have it generated
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	var out bytes.Buffer
	f := finding{Diagnostic: plan.Diagnostic{Code: "VG1", Severity: plan.Error, Message: "50%:\r\n::x, y"}, environments: []string{"a", "b"}, directory: "/none"}
	if err := annotate(&out, []finding{f}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "::error title=VG1::50%25:%0D%0A::x, y [a, b]\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// TestGitLab: each finding has a place in the repository and a fingerprint of its
// own, which is the same wherever the repository lies.
func TestGitLab(t *testing.T) {
	report := func() (got []qualityIssue) {
		root, module := ciModule(t)
		t.Chdir(module)
		code, stdout, stderr := victorgen(t, "build", "envs/test", "-o", "gitlab", "--no-generate")
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 || stderr != "" {
			t.Fatalf("exit %d: %v\n%s", code, err, stderr)
		}
		for i := range got {
			got[i].Description = strings.ReplaceAll(got[i].Description, root, "ROOT")
		}
		return got
	}
	got, again := report(), report()
	if len(got) != 4 || got[0].Severity != "minor" || got[0].Check != "VG1206" || got[0].Location.Path != "a b,c%/contract.cue" || got[0].Location.Lines.Begin != 8 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("of another copy of the repository (-first +second)\n%s", diff)
	}
	prints := map[string]bool{}
	for _, q := range got {
		prints[q.Fingerprint] = true
	}
	if len(prints) != len(got) {
		t.Errorf("%d fingerprints of %d findings", len(prints), len(got))
	}
}

// TestCIFormats: who has no diagnostics of a contract does not offer the formats.
func TestCIFormats(t *testing.T) {
	if code, _, stderr := victorgen(t, "generate", "x", "-o", "sarif"); code != 2 || !strings.Contains(stderr, `-o takes text or json, not "sarif"`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if code, _, stderr := victorgen(t, "vet", "x", "-o", "xml"); code != 2 || !strings.Contains(stderr, `-o takes text, json, sarif, github or gitlab, not "xml"`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
