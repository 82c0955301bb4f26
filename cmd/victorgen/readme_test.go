package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs the README: every sh block, in order, in one shell. The
// certificate comes from a program that stands in for kubeseal, and in the place
// of a cluster there is an API server that has what the trees say at that time,
// unsealed.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := copyExample(t)
	work, bin := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(work, "examples"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, filepath.Join(work, "examples", "victor")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(work, "examples", "victor", ".secrets.dev")); err != nil {
		t.Fatal(err)
	}
	kubeseal := "#!/bin/sh\ncat '" + filepath.Join(work, "examples/victor/demo-sealing-cert.pem") + "'\n"
	if err := os.WriteFile(filepath.Join(bin, "kubeseal"), []byte(kubeseal), 0o755); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 4 {
		t.Fatalf("the README has %d sh blocks", len(blocks))
	}
	script := "set -eu\nhome=$PWD\n"
	for _, b := range blocks {
		if strings.HasPrefix(b[1], "cd examples") {
			script += "cd \"$home\"\n"
		}
		script += b[1]
	}
	// The test's own victorgen is on the PATH already.
	script = strings.Replace(script, "go install ./cmd/victorgen", ": go install ./cmd/victorgen", 1)
	cmd := exec.Command("sh", "-xc", script)
	cmd.Dir = work
	cluster, kubeconfig := startCluster(t, filepath.Join(work, "examples", "victor"))
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"dev: ok", "rotation due", `"secret": "victor-ai/victor-ai-secrets"`, "dev: unchanged", "production: unchanged",
		"dev: ok in kind (4 secrets: 2 ok, 2 left out)", "owner SealedSecret/grafana-credentials", `"results": []`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the README's commands do not print %q:\n%s", want, out)
		}
	}
	cluster.readOnly()
}

// TestReadmeContract: the contract of the README compiles.
func TestReadmeContract(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```cue\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatalf("the README has %d cue blocks, not a contract, an environment and sources", len(blocks))
	}
	for i, sources := range blocks[1:] {
		dir, more := t.TempDir(), ""
		if i > 0 { // what may stand in an environment
			more = sources[1]
		}
		for file, content := range map[string]string{
			"cue.mod/module.cue":      "module: \"shop.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
			"contract.cue":            blocks[0][1],
			"envs/production/env.cue": blocks[1][1] + more,
		} {
			if err := write(dir, file, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		if code, stdout, stderr := victorgen(t, "vet", filepath.Join(dir, "envs/production")); code != 0 || stderr != "" {
			t.Errorf("exit %d\n%s\n%s%s", code, more, stdout, stderr)
		}
	}
}

// TestReadmeFirstCommands: the first two commands are make's, and CI runs both.
func TestReadmeFirstCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^    (make \w+)$`).FindAllStringSubmatch(string(readme), -1)
	if len(commands) != 2 {
		t.Fatalf("the README starts with %d commands, not two", len(commands))
	}
	for _, c := range commands {
		if !regexp.MustCompile(`(?m)^` + c[1] + `\b`).Match(ci) {
			t.Errorf(".ci/run does not run %q", c[1])
		}
	}
}
