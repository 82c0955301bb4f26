package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignalOfMany: a signal ends a build of many environments at once. Those that are
// not begun stay so and are counted, each tree is the old one or the new one, and what
// was printed of the others is a whole document.
func TestSignalOfMany(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const contract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment
namespace: "apps"
delivery: certificate: "sealing-cert.pem"
inputs: TOKEN: schema.#Required
secrets: app: keys: token: input: "TOKEN"
`
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "cue.mod/module.cue"), "module: \"app.example\"\nlanguage: version: \"v0.15.0\"\n")
			writeFile(t, filepath.Join(dir, "contract.cue"), contract)
			writeFile(t, filepath.Join(dir, "sealing-cert.pem"), string(read(t, "../../fixtures/certificates/good.pem")))
			name := func(i int) string { return fmt.Sprintf("e%02d", i) }
			for i := range 24 {
				writeFile(t, filepath.Join(dir, "envs", name(i), "env.cue"), fmt.Sprintf("package app\n\nenvironment: %q\n", name(i)))
				secrets := filepath.Join(dir, ".secrets."+name(i))
				writeFile(t, secrets, fmt.Sprintf("TOKEN=tok-7f3k29dk20sk3-%d\n", i))
				if err := os.Chmod(secrets, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tree := func(i int) map[string]string { return regularFiles(t, filepath.Join(dir, "deploy", name(i))) }
			if code, stdout, stderr := victorgen(t, "build", filepath.Join(dir, "envs")+"/..."); code != 0 {
				t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
			}
			var old []map[string]string
			for i := range 24 {
				old = append(old, tree(i))
			}
			writeFile(t, filepath.Join(dir, "change.cue"), "package app\n\nsecrets: app: labels: team: \"b\"\n")
			// From the tenth on, all wait for a server, two at a time.
			asked := make(chan struct{})
			address := silent(t, asked)
			for i := 10; i < 14; i++ {
				writeFile(t, filepath.Join(dir, "envs", name(i), "source.cue"), "package app\n\nsources: default: {kind: \"vault\", mount: \"kv\"}\n")
			}
			var stdout, stderr bytes.Buffer
			cmd := exec.Cmd{Path: program, Args: []string{"victorgen", "build", "./envs/...", "-o", format}, Dir: dir, Stdout: &stdout, Stderr: &stderr,
				Env: append(os.Environ(), "GOMAXPROCS=2", "VAULT_ADDR="+address, "VAULT_TOKEN=none", "TMPDIR="+t.TempDir())}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-asked:
			case <-ended:
				t.Fatalf("did not wait\n%s%s", &stdout, &stderr)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(time.Minute): // no longer than the server may take, which is a minute as well
				cmd.Process.Kill()
				t.Fatal("goes on")
			}
			if got := cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGINT) {
				t.Errorf("exit %d\n%s%s", got, &stdout, &stderr)
			}
			if !strings.Contains(stderr.String(), "error: ended by a signal: interrupt; ") || !strings.Contains(stderr.String(), " of 24 environments were not begun") {
				t.Errorf("it does not tell what was not begun:\n%s", &stderr)
			}
			if format == "json" {
				var document struct{ Environments []result }
				if err := json.Unmarshal(stdout.Bytes(), &document); err != nil || len(document.Environments) < 10 || len(document.Environments) > 14 {
					t.Errorf("%d environments, %v:\n%.300s", len(document.Environments), err, &stdout)
				}
			}
			news := 0
			for i := range 24 {
				if maps.Equal(old[i], tree(i)) {
					continue
				}
				if code, out, told := victorgen(t, "build", "--check", "--offline", filepath.Join(dir, "envs", name(i))); code != 0 || i >= 10 {
					t.Errorf("the tree of %s is neither old nor new:\n%s%s", name(i), out, told)
				}
				news++
			}
			if news < 8 { // two are under way when the tenth is
				t.Errorf("%d trees are new", news)
			}
		})
	}
}
