package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/fixtures"
	"github.com/victor-ai/victorgen/internal/shape"
)

const externalContract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

environment: "test"
namespace:   "apps"
sources: default: {kind: "aws-ssm", region: "us-east-1", prefix: "/app"}
delivery: {kind: *"external" | _, certificate: "good.pem"}

inputs: {
	API_TOKEN:   schema.#Required
	DB_PASSWORD: schema.#Generated & {generate: {kind: "password", length: 32}}
	SENTRY_DSN:  schema.#Optional & {format: "url"}
	SMTP_HOST:   schema.#Optional
	DB_HOST:     schema.#Setting & {default: "db"}
}

secrets: app: {
	type: "example.com/app"
	labels: tier: "backend"
	keys: {
		"token":  input:    "API_TOKEN"
		"url":    template: "pg://{{.DB_PASSWORD | urlquery}}@{{.DB_HOST}}{{with .SMTP_HOST}}?{{.}}{{end}}"
		"sentry": input:    "SENTRY_DSN"
		"smtp":   template: "{{with .SMTP_HOST}}smtp://{{.}}{{end}}"
		"port":   value:    "5432"
	}
}
`

// externalModule writes a module whose root is its one environment.
func externalModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	certificate, err := os.ReadFile("../../fixtures/certificates/good.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       externalContract,
		"good.pem":           string(certificate),
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	return dir
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBuildExternal: a build of external secrets reads no value, and once the
// lock knows what is there it needs no right at all.
func TestBuildExternal(t *testing.T) {
	p := parameterStore(t)
	dir := externalModule(t)
	build := func(wantCode int, want string, flags ...string) string {
		t.Helper()
		code, stdout, stderr := victorgen(t, append([]string{"build", dir}, flags...)...)
		if code != wantCode || !strings.Contains(stdout+stderr, want) {
			t.Fatalf("build %v: exit %d without %q\n%s%s", flags, code, want, stdout, stderr)
		}
		return stdout + stderr
	}
	build(1, "VG3107", "--offline")
	build(1, "VG2001: required input API_TOKEN is missing")
	p.Put("/app/api-token", "changeme") // no one looks
	p.Put("/app/sentry-dsn", "not a url")
	build(0, "0 keys sealed, 0 kept, 4 referenced, 1 left out", "--dry-run")
	build(1, "VG2002", "--no-generate")
	if n := p.Calls("PutParameter"); n > 0 {
		t.Fatalf("a dry run wrote %d", n)
	}
	build(0, "generated  DB_PASSWORD in parameter /app/db-password")
	build(0, "unchanged", "--check")
	build(0, "unchanged", "--offline", "--check")
	if n := p.Calls("GetParameters"); n > 0 {
		t.Errorf("values were read %d times", n)
	}
	if _, ok := p.Versions["/app/victorgen-lock-key"]; ok {
		t.Error("a lock key was generated, which nothing needs")
	}

	// What was there and is no longer is not left out, until the contract says so.
	delete(p.Versions, "/app/sentry-dsn")
	build(0, "source default (aws-ssm) does not have SENTRY_DSN, and deploy/test/victorgen.lock has a value of it: it is not left out", "--check")
	writeFile(t, filepath.Join(dir, "contract.cue"), strings.Replace(externalContract, `SENTRY_DSN:  schema.#Optional & {`, `SENTRY_DSN:  schema.#Optional & {present: false, `, 1))
	build(0, "left out  app: sentry, smtp", "--dry-run", "--offline")
	writeFile(t, filepath.Join(dir, "contract.cue"), externalContract)
	p.Put("/app/sentry-dsn", "not a url")

	// The source does not answer.
	t.Setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	build(0, "what the lock knows about them is used", "--check")
	contract := strings.Replace(externalContract, `SENTRY_DSN:  schema.#Optional & {`, `SENTRY_DSN:  schema.#Optional & {remote: "other", `, 1)
	writeFile(t, filepath.Join(dir, "contract.cue"), contract)
	build(exitSource, "VG3107: whether optional input SENTRY_DSN is at its source is not known", "--check")
	writeFile(t, filepath.Join(dir, "contract.cue"), strings.Replace(contract, `{remote: "other", `, `{remote: "other", present: false, `, 1))
	if out := build(1, "VG4006", "--check"); strings.Contains(out, "VG3107") {
		t.Errorf("what the contract says of presence does not count:\n%s", out)
	}
	writeFile(t, filepath.Join(dir, "contract.cue"), externalContract)

	// Nothing that is there is known to have been.
	if err := os.Remove(filepath.Join(dir, "deploy", "test", "victorgen.lock")); err != nil {
		t.Fatal(err)
	}
	build(1, "VG3107", "--offline", "--check")
}

// visible is what a workload can see of a Secret but for the values.
type visible struct {
	Name, Namespace, Type string
	Keys                  []string
	Labels, Annotations   map[string]string
}

// switching is what docs/switching.md adds to a secret in its first step.
const switching = `package app

secrets: app: {
	annotations: {
		"sealedsecrets.bitnami.com/managed":                   "true"
		"sealedsecrets.bitnami.com/skip-set-owner-references": "true"
	}
	delivery: creationPolicy: "Orphan"
}
`

// TestSwitch: whichever way a secret is delivered, the Secret is the same; and
// in the steps of docs/switching.md no one owns it.
func TestSwitch(t *testing.T) {
	p := parameterStore(t)
	dir := externalModule(t)
	p.Put("/app/api-token", "tok-7f3k29dk20sk3")
	p.Put("/app/sentry-dsn", "https://3f9c1e7a5b2d4860@sentry.example/1")
	file := filepath.Join(dir, "deploy", "test", "secrets", "app.yaml")
	page := string(read(t, "../../docs/switching.md"))
	for line := range strings.Lines(switching) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "\"sealedsecrets") && !strings.Contains(page, line) {
			t.Errorf("docs/switching.md does not say %s", line)
		}
	}
	tree := func(kind, more string, into any) {
		t.Helper()
		writeFile(t, filepath.Join(dir, "kind.cue"), more+"\ndelivery: kind: \""+kind+"\"\n")
		if code, stdout, stderr := victorgen(t, "build", dir); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
		}
		if err := yaml.UnmarshalStrict(read(t, file), into); err != nil {
			t.Fatal(err)
		}
	}
	for _, more := range []string{"package app\n", switching} { // there, back, and there again
		var es shape.ExternalSecret
		tree("external", more, &es)
		template := es.Spec.Target.Template
		external := visible{es.Name, es.Namespace, template.Type, slices.Sorted(maps.Keys(template.Data)), template.Metadata.Labels, template.Metadata.Annotations}

		var ss v1alpha1.SealedSecret
		tree("sealed", more, &ss)
		of := ss.Spec.Template
		sealed := visible{of.Name, of.Namespace, string(of.Type), slices.Sorted(maps.Keys(ss.Spec.EncryptedData)), of.Labels, of.Annotations}
		if diff := cmp.Diff(sealed, external); diff != "" || len(sealed.Keys) != 4 {
			t.Errorf("the Secret (-sealed +external):\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(dir, "deploy", "test", "stores")); !os.IsNotExist(err) {
			t.Error("the stores are still there")
		}
		wantPolicy, wantOwners := "Owner", 1
		if more == switching {
			wantPolicy, wantOwners = "Orphan", 0
		}
		if got := es.Spec.Target.CreationPolicy; got != wantPolicy {
			t.Errorf("creationPolicy is %s", got)
		}
		if got := ownersOf(t, &ss); got != wantOwners {
			t.Errorf("the unsealed Secret has %d owners, not %d", got, wantOwners)
		}
	}
}

// ownersOf unseals ss as the controller does, and counts the owners of the
// Secret.
func ownersOf(t *testing.T, ss *v1alpha1.SealedSecret) int {
	t.Helper()
	block, _ := pem.Decode(fixtures.Key)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := ss.Unseal(scheme.Codecs, map[string]*rsa.PrivateKey{"": key.(*rsa.PrivateKey)})
	if err != nil {
		t.Fatal(err)
	}
	return len(secret.OwnerReferences)
}

// TestExplainExternal: what explain says of external secrets.
func TestExplainExternal(t *testing.T) {
	dir := externalModule(t)
	contract := strings.Replace(externalContract, "API_TOKEN:   schema.#Required", "API_TOKEN:   schema.#Required & {present: true}", 1)
	contract = strings.Replace(contract, `{kind: "password", length: 32}`, `{kind: "password", inCluster: true}`, 1)
	writeFile(t, filepath.Join(dir, "contract.cue"), contract)
	for args, want := range map[string]string{
		"app":         "apps/app    example.com/app, external Periodic each 1h, creation Owner, deletion Retain",
		"API_TOKEN":   "present     yes, according to the contract",
		"DB_PASSWORD": "password of 32 characters, out of 62, in the cluster",
		"":            "/app/db-password at source default (aws-ssm)",
	} {
		code, stdout, stderr := victorgen(t, append([]string{"explain", dir}, strings.Fields(args)...)...)
		if code != 0 || !strings.Contains(stdout, want) || strings.Contains(stdout, "LOCK_KEY") {
			t.Errorf("explain %s: exit %d without %q\n%s%s", args, code, want, stdout, stderr)
		}
	}
}
