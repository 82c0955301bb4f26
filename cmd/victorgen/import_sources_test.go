package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/internal/awstest"
)

// askedTree takes all properties of objects at Parameter Store, in the ways that
// ExternalSecrets have for it.
const askedTree = `apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: parameters, namespace: shop}
spec: {provider: {aws: {service: ParameterStore, region: us-east-1}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: whole, namespace: shop}
spec:
  secretStoreRef: {name: parameters}
  dataFrom:
  - extract: {key: /shop/first}
  - extract: {key: /shop/second}
  data: [{secretKey: mine, remoteRef: {key: /shop/mine}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: renamed, namespace: shop}
spec:
  secretStoreRef: {name: parameters}
  dataFrom:
  - extract: {key: /shop/second, property: inner}
    rewrite: [{regexp: {source: "^(.*)$", target: "SMTP_$1"}}, {regexp: {source: "user", target: "USER"}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: unicode, namespace: shop}
spec:
  secretStoreRef: {name: parameters}
  dataFrom: [{extract: {key: /shop/odd, conversionStrategy: Unicode}}]
`

// putAsked stores the objects that askedTree takes from.
func putAsked(p *awstest.ParameterStore) {
	p.Put("/shop/first", `{"user":"c4nary-u","password":"c4nary-p1","both":"c4nary-b1","a.b":"c4nary-d","port":5432,"mine":"c4nary-m"}`)
	p.Put("/shop/second", `{"both":"c4nary-b2","inner":{"user":"c4nary-i","pass":"c4nary-j"}}`)
	p.Put("/shop/odd", `{"a b":"c4nary-o"}`)
}

// imported runs import, and returns what it says, which contains no value.
func imported(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, stdout, stderr := victorgen(t, append([]string{"import"}, args...)...)
	if code != want || strings.Contains(stdout+stderr, "c4nary") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	return stdout + stderr
}

// TestImportAsks: what dataFrom.extract takes is what the source has, if it may be
// asked: of one name in several objects the last counts, rules give other names, and no
// value is shown or kept.
func TestImportAsks(t *testing.T) {
	p := parameterStore(t)
	putAsked(p)
	dir := t.TempDir()
	manifest := filepath.Join(dir, "tree.yaml")
	writeFile(t, manifest, askedTree)
	t.Chdir(dir)
	do := func(want int, args ...string) string {
		t.Helper()
		return imported(t, want, append([]string{"manifests", manifest, "--into", "envs/prod"}, args...)...)
	}
	out := do(1, "--dry-run")
	if strings.Count(out, "--ask-sources") < 3 || p.Calls("GetParameters") > 0 {
		t.Errorf("nothing says that the source can be asked, or it was\n%s", out)
	}
	out = do(0, "--ask-sources")
	for _, want := range []string{"that the source has now are imported: a.b, both, inner, password, port, user", "proved: 10 keys equal", "SMTP_USER, SMTP_pass"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q\n%s", want, out)
		}
	}
	files := filesOf(t, dir)
	for _, want := range []string{
		`"/shop/first#a.b"`, `"/shop/second#both"`, `"/shop/first#port"`, `"/shop/second#inner.user"`, `SMTP_pass:`, `"/shop/odd#a b"`, `keys: a_U0020_b: input:`, `"/shop/mine"`,
	} {
		if !strings.Contains(files["contract.cue"]+files["envs/prod/env.cue"], want) {
			t.Errorf("the contract has no %s\n%s", want, files["contract.cue"])
		}
	}
	for name, text := range files {
		if name != "tree.yaml" && (strings.Contains(text, "c4nary") || strings.Contains(text, "first#mine") || strings.Contains(text, "first#both")) {
			t.Errorf("%s has a value, or what does not count\n%s", name, text)
		}
	}
	if code, stdout, stderr := victorgen(t, "vet", "./envs/..."); code != 0 {
		t.Errorf("vet: exit %d\n%s%s", code, stdout, stderr)
	}

	// A token goes nowhere that the manifests alone name.
	t.Setenv("VAULT_TOKEN", "c4nary-token")
	t.Setenv("VAULT_ADDR", "")
	evil := filepath.Join(dir, "evil.yaml")
	writeFile(t, evil, strings.ReplaceAll(askedTree, "aws: {service: ParameterStore, region: us-east-1}", `vault: {server: "https://vault.evil.test", path: secret}`))
	code, stdout, stderr := victorgen(t, "import", "manifests", evil, "--ask-sources", "--dry-run")
	if code != 1 || !strings.Contains(stderr, "VG1401: SecretStore parameters: the contract says to send the token of Vault") || strings.Contains(stderr, "there is no Secret") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}

	for name, test := range map[string]struct {
		change func()
		code   int
		want   string
	}{
		"gone":     {func() { delete(p.Versions, "/shop/odd") }, 1, "there is nothing at /shop/odd of SecretStore parameters"},
		"no JSON":  {func() { p.Put("/shop/odd", "c4nary: yaml") }, 1, "the value at /shop/odd of SecretStore parameters is not a JSON object"},
		"null":     {func() { p.Put("/shop/odd", `{"a":null,"b":"c4nary"}`) }, 1, `property "a" at /shop/odd of SecretStore parameters can't be taken: it is null`},
		"a number": {func() { p.Put("/shop/odd", `{"a":1.50}`) }, 1, "is a number that is not a plain integer"},
		"one key":  {func() { p.Put("/shop/odd", `{}`); p.Put("/shop/second", `{"inner":{"user":"a","USER":"b"}}`) }, 1, `the properties "USER" and "user" of "/shop/second" become one key`},
		"refused":  {func() { p.Denied["/shop/first"] = true }, 3, "/shop/first"},
	} {
		t.Run(name, func(t *testing.T) {
			p.Put("/shop/odd", `{"a":"c4nary-o"}`)
			p.Put("/shop/second", `{"inner":{"user":"c4nary"}}`)
			p.Denied = map[string]bool{}
			test.change()
			if out := do(test.code, "--ask-sources", "--dry-run"); !strings.Contains(out, test.want) {
				t.Errorf("it does not say %q\n%s", test.want, out)
			}
		})
	}
}

// TestImportInto: the values come to the source that --source names, by a kind or by the
// name that it has in the contract; they are read back, and the same import changes
// nothing.
func TestImportInto(t *testing.T) {
	p := parameterStore(t)
	dir := t.TempDir()
	t.Chdir(dir)
	stored := func(name string) string {
		if versions := p.Versions[name]; len(versions) > 0 {
			return versions[len(versions)-1].Value
		}
		return ""
	}
	writeFile(t, ".env", "API_TOKEN=c4nary-83jd92kf02lsqm\nDB_HOST=db.internal\nSMTP_PASSWORD=\"c4nary = $1 # 'x'\"\n")
	writeFile(t, "binary.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\ndata: {keyring.gpg: mQD//mJpbmFyeSBrZXlyaW5nIDhkN2Y2Zw==, text: YzRuYXJ5Cm9mIHR3byBsaW5lcwo=}\n")
	const aws = "aws-ssm,region=us-east-1,prefix=/shop"
	if out := imported(t, 0, "env", ".env", "--into", "envs/dev", "--source", aws); !strings.Contains(out, "2 values stored (parameter /shop/") {
		t.Errorf("it does not say where\n%s", out)
	}
	if stored("/shop/api-token") != "c4nary-83jd92kf02lsqm" {
		t.Error("a value is not stored as it was")
	}
	if out := imported(t, 0, "env", ".env", "--into", "envs/dev", "--source", aws); !strings.Contains(out, "2 values unchanged") || strings.Contains(out, " stored") {
		t.Errorf("once more changes something\n%s", out)
	}
	// What someone has put there is another value, and stays.
	p.Put("/shop/api-token", "c4nary-another")
	if out := imported(t, 1, "env", ".env", "--into", "envs/dev", "--source", aws); !strings.Contains(out, "API_TOKEN has another value already, in parameter /shop/api-token") || stored("/shop/api-token") != "c4nary-another" {
		t.Errorf("it is not told, or written over\n%s", out)
	}
	// A source of the contract, by its name, and values that no text holds.
	contract, err := os.ReadFile("contract.cue")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "contract.cue", string(contract)+"\nsources: params: {kind: \"aws-ssm\", region: \"us-east-1\", prefix: \"/params\"}\n")
	imported(t, 0, "manifests", "binary.yaml", "--into", "envs/prod", "--source", "params")
	found := ""
	for name := range p.Versions {
		if strings.HasPrefix(name, "/params/") {
			found += stored(name) + "\n"
		}
	}
	if !strings.Contains(found, "mQD//mJpbmFyeSBrZXlyaW5nIDhkN2Y2Zw==") || !strings.Contains(found, "c4nary\nof two lines\n") {
		t.Error("the values are not at the source of that name")
	}
	if out := imported(t, 1, "env", ".env", "--into", "envs/third", "--source", "parms", "--dry-run"); !strings.Contains(out, `the contract has no source "parms"`) {
		t.Errorf("a name that is not there\n%s", out)
	}
	for _, name := range []string{".secrets.dev", ".secrets.prod"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("there is a %s", name)
		}
	}
}
