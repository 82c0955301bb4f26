package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTellKilled: a rotation that tells the other side is killed at any moment, and taken
// up again: the other side has what is current then, and it is what it had or the new one.
func TestTellKilled(t *testing.T) {
	t.Parallel()
	const kills = 6
	for kind, file := range map[string]string{"env": ".secrets.dev", "files": ".secrets.dev.d/PASSWORD"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{
				"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\n",
				"envs/dev/env.cue": "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\nenvironment: \"dev\"\nnamespace: \"app\"\n" +
					"sources: default: kind: \"" + kind + "\"\ndelivery: certificate: \"cert.pem\"\n" +
					"inputs: PASSWORD: schema.#Generated & {generate: kind: \"password\"}\nsecrets: app: keys: p: input: \"PASSWORD\"\n",
				"envs/dev/cert.pem": string(read(t, "../../fixtures/certificates/good.pem")),
			} {
				at := filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			command := func(args ...string) *exec.Cmd {
				cmd := exec.Command("victorgen", args...)
				cmd.Dir = dir
				return cmd
			}
			must := func(args ...string) {
				t.Helper()
				if out, err := command(args...).CombinedOutput(); err != nil {
					t.Fatalf("%q: %v\n%s", args, err, out)
				}
			}
			current := func() string {
				text := string(read(t, filepath.Join(dir, file)))
				if kind == "env" {
					_, text, _ = strings.Cut(text, "PASSWORD='")
					text, _, _ = strings.Cut(text, "'")
				}
				return strings.TrimSpace(text)
			}
			tell := []string{"--", "sh", "-c", `cat "$VICTORGEN_VALUES/PASSWORD.new" > known.$$ && mv known.$$ known`, dir}
			must("generate", "envs/dev")
			begun := time.Now()
			must(append([]string{"rotate", "envs/dev", "PASSWORD"}, tell...)...)
			took := time.Since(begun)
			for i := range kills {
				before := current()
				cmd := command(append([]string{"rotate", "envs/dev", "PASSWORD"}, tell...)...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(took * time.Duration(i+1) / (kills + 1))
				cmd.Process.Kill()
				cmd.Wait()
				for running(dir) { // the command is killed by no one
					time.Sleep(10 * time.Millisecond)
				}
				end, wants := "--resume", ""
				if i%2 == 1 {
					end, wants = "--abort", before
				}
				finished := current() != before
				must(append([]string{"rotate", "envs/dev", end}, tell...)...)
				now := current()
				if known := string(read(t, filepath.Join(dir, "known"))); known != now {
					t.Errorf("kill %d, %s: the other side has another value than is current", i, end)
				}
				if wants != "" && now != wants && !finished {
					t.Errorf("kill %d, %s: what was taken back is another value", i, end)
				}
				if entries, _ := filepath.Glob(filepath.Join(dir, ".secrets.dev.d/VICTORGEN_PENDING*")); len(entries) > 0 || strings.Contains(string(read(t, filepath.Join(dir, file))), "PENDING") {
					t.Errorf("kill %d, %s: something is pending still", i, end)
				}
			}
		})
	}
}

// running reports whether a process has an argument.
func running(argument string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		if b, err := os.ReadFile(line); err == nil && strings.Contains(string(b), argument) {
			return true
		}
	}
	return false
}
