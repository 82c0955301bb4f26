package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// replaced are the days on which something was, in a dotenv file and a lock.
var replaced = regexp.MustCompile(`(VICTORGEN_PREVIOUS_\w+='|replaced: )\d{4}-\d\d-\d\dT`)

// TestRotationPage runs docs/rotation.md, in order, over the contract that it shows. A
// day passes before what is due is rotated.
func TestRotationPage(t *testing.T) {
	const page = "../../docs/rotation.md"
	// A block in a list is indented.
	text := strings.ReplaceAll(string(read(t, page)), "\n   ", "\n")
	flat := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(flat, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	contracts, commands := blocks(t, flat, "cue"), blocks(t, flat, "sh")
	if len(contracts) != 2 || len(commands) < 3 {
		t.Fatalf("%s has %d cue blocks and %d sh blocks", page, len(contracts), len(commands))
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\n" + contracts[0],
		"envs/production/env.cue": "package app\n\nenvironment: \"production\"\nnamespace: \"app\"\n" +
			"delivery: {kind: \"sealed\", certificate: \"../../cert.pem\"}\nalerts: {}\n",
		// The operator fetches it from where it can.
		"envs/fetched/env.cue": "package app\n\nenvironment: \"fetched\"\nnamespace: \"app\"\n" +
			"sources: default: {kind: \"aws-secretsmanager\", region: \"us-east-1\"}\n" + contracts[1],
		"cert.pem":            string(read(t, "../../fixtures/certificates/good.pem")),
		".secrets.production": "",
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-euc", script)
		cmd.Dir = dir
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, b)
		}
		return string(b)
	}
	lacks := func(out string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(out, want) {
				t.Errorf("it is not printed: %s\n%s", want, out)
			}
		}
	}
	run("victorgen vet ./envs/...\nvictorgen build envs/production")
	secrets := filepath.Join(dir, ".secrets.production")
	lacks(run(commands[0]), "app: session-key-previous", "sealed (the value changed)")
	if n := strings.Count(string(read(t, secrets)), plan.PreviousPrefix); n != 2 {
		t.Fatalf("%d previous values are kept", n)
	}
	// A day later, but for the environment whose source is not here.
	if err := os.RemoveAll(filepath.Join(dir, "envs/fetched")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{secrets, filepath.Join(dir, "deploy/production/victorgen.lock")} {
		aged := replaced.ReplaceAllString(string(read(t, file)), "${1}"+time.Now().UTC().AddDate(0, 0, -2).Format(time.DateOnly)+"T")
		if err := os.WriteFile(file, []byte(aged), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lacks(run(commands[1]), "dropped the previous value of SESSION_KEY", "dropped  ", "left out")
	if b := read(t, secrets); strings.Contains(string(b), plan.PreviousPrefix) {
		t.Error("what is over is still kept")
	}
	lacks(run(commands[2]), "VG2129: SESSION_KEY is rotated again")
}
