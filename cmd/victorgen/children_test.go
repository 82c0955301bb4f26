package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/internal/awstest"
)

const externalFamily = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

environment: "test"
namespace:   "apps"
sources: default: {kind: "aws-ssm", region: "us-east-1", prefix: "/app"}
delivery: kind: "external"

inputs: {
	PASSWORD: schema.#Generated & {generate: kind: "password"}
	HASH:     schema.#Generated & {generate: {kind: "bcrypt", of: "PASSWORD", cost: 4}}
	TOKEN:    schema.#Generated & {generate: {kind: "jwt", of: "PASSWORD", claims: {}, lifetime: "720h", renewBefore: "240h"}}
}
secrets: app: keys: {
	hash:  input: "HASH"
	token: input: "TOKEN"
}
`

// TestExternalFamily: of external secrets a build reads no values, so of what is
// made from others it tells by the dates; generate, rotate and verify read.
func TestExternalFamily(t *testing.T) {
	p := parameterStore(t)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "cue.mod/module.cue"), "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n")
	writeFile(t, filepath.Join(dir, "contract.cue"), externalFamily)
	// expect runs a verb, which reads so often (once what is pending, where it reads at
	// all), writes so many values, and says this and no more of families.
	expect := func(verb string, code, reads, writes int, wants ...string) {
		t.Helper()
		read, wrote := p.Calls("GetParameters"), p.Calls("PutParameter")
		args := strings.Fields(verb)
		got, stdout, stderr := victorgen(t, append([]string{args[0], dir}, args[1:]...)...)
		if got != code {
			t.Errorf("%s: exit %d, not %d", verb, got, code)
		}
		if r, w := p.Calls("GetParameters")-read, p.Calls("PutParameter")-wrote; r != reads || w != writes {
			t.Errorf("%s: read %d and wrote %d times", verb, r, w)
		}
		for _, want := range wants {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s does not say %q", verb, want)
			}
		}
		if n := strings.Count(stdout+stderr, "HASH") + strings.Count(stdout+stderr, "TOKEN"); len(wants) == 0 && n > 0 && !strings.HasPrefix(verb, "verify") {
			t.Errorf("%s speaks of what is made from others", verb)
		}
		if t.Failed() {
			t.Fatalf("%s\n%s%s", verb, stdout, stderr)
		}
	}
	age := func(name string, d time.Duration) {
		v := p.Versions["/app/"+name]
		v[len(v)-1].Changed = time.Now().Add(-d)
	}
	remove := func(name string) awstest.Parameter {
		v := p.Versions["/app/"+name]
		delete(p.Versions, "/app/"+name)
		return v[len(v)-1]
	}
	const day = 24 * time.Hour

	// Someone has stored the password, and no one has made anything from it.
	p.Put("/app/password", "Quartz7-lantern-Brine-and-on-to-32-bytes")
	age("password", day)
	expect("build", 1, 0, 0, "VG2002: generated input HASH is missing, and for external secrets a build does not read PASSWORD, from which it is made",
		"VG2002: generated input TOKEN is missing", "`victorgen generate` reads that, and makes it")
	expect("generate", 0, 2, 2, "generated HASH in parameter /app/hash", "generated TOKEN in")
	expect("build", 0, 0, 0)
	expect("verify --source", 0, 2, 0)

	// All of it is generated in one build, which reads nothing.
	for _, name := range []string{"password", "hash", "token"} {
		remove(name)
	}
	if code, stdout, stderr := victorgen(t, "build", dir, "--output", filepath.Join(t.TempDir(), "other")); code != 0 || !strings.Contains(stderr, "VG2107") {
		t.Fatalf("what the lock knows is generated anew: exit %d\n%s%s", code, stdout, stderr)
	}
	expect("generate --renew HASH,PASSWORD,TOKEN", 0, 2, 3, "generated HASH in", "generated PASSWORD in", "generated TOKEN in")
	expect("verify --source", 0, 2, 0)

	// Another password.
	age("hash", day)
	age("token", day)
	p.Put("/app/password", "Tundra4-pillow-Gaffe-and-on-to-32-bytes")
	expect("build", 0, 0, 0, "warning VG2025: HASH is older than PASSWORD, from which it is made", "warning VG2025: TOKEN is older")
	expect("verify --source --no-values", 0, 0, 0, "warning VG2025: HASH is older than PASSWORD")
	expect("verify --source", 1, 2, 0, "error VG2025: HASH (from parameter /app/hash) does not fit PASSWORD", "error VG2025: TOKEN")
	expect("generate --dry-run", 0, 2, 0, "regenerated: the old one does not fit PASSWORD")
	expect("generate", 0, 2, 2, "generated HASH in parameter /app/hash, regenerated: the old one does not fit PASSWORD")
	expect("build", 0, 0, 0)

	// Rotated: all in one run.
	expect("rotate PASSWORD", 0, 1, 3, "generated PASSWORD in", "generated HASH in parameter /app/hash, regenerated: the old one was made from what is rotated", "generated TOKEN in")
	expect("build", 0, 0, 0)
	expect("verify --source", 0, 2, 0)

	// The time is up, by the date at the source.
	age("password", 100*day)
	age("token", 20*day)
	expect("build", 0, 0, 0, "warning VG2025: TOKEN is 20 days old: it lasts 30 days, and is renewed 10 days before its end")
	age("token", 19*day)
	expect("build", 0, 0, 0)

	// What the source has lost, and the lock knows, is not made again by itself. It is
	// asked for twice, for another build could have made it meanwhile.
	hash := remove("hash")
	expect("build", 0, 0, 0, "warning VG2107: source default (aws-ssm) does not have HASH")
	expect("generate", 1, 3, 0, "error VG2107: source default (aws-ssm) does not have HASH")
	p.Put("/app/hash", hash.Value)
	expect("verify --source", 0, 2, 0)
}

// TestVerifyFamily: verify judges what is made from others by what the cluster
// holds, whatever the source does.
func TestVerifyFamily(t *testing.T) {
	s, kubeconfig, dir := applyModule(t)
	writeFile(t, filepath.Join(dir, "more.cue"), `package app

import "github.com/victor-ai/victorgen/schema"

inputs: HASH: schema.#Generated & {generate: {kind: "bcrypt", of: "KEY", cost: 4}}
secrets: hashes: keys: hash: input: "HASH"
`)
	env := filepath.Join(dir, "envs", "test")
	verify := func(code int, wants ...string) string {
		t.Helper()
		got, stdout, stderr := victorgen(t, "verify", env, "--direct", "--kubeconfig", kubeconfig)
		for _, want := range wants {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("no %q", want)
			}
		}
		if got != code || t.Failed() {
			t.Fatalf("exit %d, not %d\n%s%s", got, code, stdout, stderr)
		}
		return stdout + stderr
	}
	if code, stdout, stderr := victorgen(t, "apply", env, "--kubeconfig", kubeconfig); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	verify(0, "3 secrets: 3 ok")
	const other = "T3VhcnR6Ny1sYW50ZXJuLUJyaW5lLWFuZC1tb3JlMTI="
	secret := s.Secret("apps", "generated")
	secret.Data["key"] = []byte(other)
	s.Put(t, "secrets", "somebody", secret)
	said := verify(1, `error VG2025: HASH (key "hash" of secret apps/hashes in test, with KEY of secret apps/generated) does not fit KEY`,
		"apps/hashes     Opaque                 1/1   direct    not ok", "`victorgen generate` regenerates it")
	if strings.Contains(said, other) {
		t.Error("a value is shown")
	}
	if code, stdout, stderr := victorgen(t, "apply", env, "--kubeconfig", kubeconfig, "--force-conflicts"); code != 0 || strings.Contains(stdout, "generated HASH") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	verify(0, "3 secrets: 3 ok")
}
