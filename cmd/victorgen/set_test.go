package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetVault: at a source where each input is a property of an object, a value is
// judged and stored as elsewhere.
func TestSetVault(t *testing.T) {
	server := httptest.NewServer(vaultWith("kv-3f9c1e7a-Quartz7-lantern"))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "none")
	dir := t.TempDir()
	for file, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

sources: default: {kind: "vault", mount: "secret"}
inputs: {
	SIGNING_KEY: schema.#Required
	OTHER_KEY:   schema.#Required
	PART:        schema.#Required & {remote: "signing-key?version=1#value"}
}
secrets: app: keys: {
	signing: input: "SIGNING_KEY"
	other:   input: "OTHER_KEY"
	part:    input: "PART"
}
`,
		"envs/test/env.cue": "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../good.pem\"\n",
		"good.pem":          string(read(t, "../../fixtures/certificates/good.pem")),
		"weak":              "abc",
		"strong":            "tok-7b2d90c4-Walnut3-cobalt-Sieve\n",
	} {
		writeFile(t, filepath.Join(dir, file), text)
	}
	env := filepath.Join(dir, "envs/test")
	expect := func(want int, text string, args ...string) {
		t.Helper()
		code, out, errs := victorgen(t, args...)
		if code != want || !strings.Contains(out+errs, text) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, code, want, text, out, errs)
		}
	}
	expect(1, "SIGNING_KEY is weak", "set", env, "SIGNING_KEY", "--from-file", filepath.Join(dir, "weak"))
	expect(0, "test: set SIGNING_KEY in Vault's secret/signing-key", "set", env, "SIGNING_KEY", "--from-file", filepath.Join(dir, "strong"))
	expect(0, "test: unchanged SIGNING_KEY", "set", env, "SIGNING_KEY", "--from-file", filepath.Join(dir, "strong"))
	expect(1, "VG2109: OTHER_KEY already has a value", "set", env, "OTHER_KEY", "--from-file", filepath.Join(dir, "strong"))
	expect(1, "VG2126: PART is signing-key?version=1#value at its source", "set", env, "PART", "--from-file", filepath.Join(dir, "strong"), "--replace")
	expect(0, "test: copied SIGNING_KEY", "copy", env, "--from", "vault", "--to", "env", "SIGNING_KEY")
	if got := assignments(string(read(t, filepath.Join(dir, ".secrets.test"))))["SIGNING_KEY"]; got != "tok-7b2d90c4-Walnut3-cobalt-Sieve" {
		t.Error("what was copied is not what was set")
	}
	if err := os.Remove(filepath.Join(dir, ".secrets.test")); err != nil {
		t.Fatal(err)
	}
}
