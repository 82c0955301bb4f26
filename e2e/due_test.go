package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRotateDue: one run over three environments rotates what is due in two, though the
// source of the third is down; and that one loses nothing.
func TestRotateDue(t *testing.T) {
	port := freePort(t)
	parameters := start(t, nil, listening(port), filepath.Join(pythonPrograms(t, "moto[server]", motoVersion), "moto_server"), "-H", "127.0.0.1", "-p", port)
	moto(t) // after it, because its variables are no good to another one
	env := []string{"AWS_ENDPOINT_URL_SSM=http://127.0.0.1:" + port}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/due@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package due

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

namespace: "due"
delivery: certificate: "cert.pem"
inputs: {
	SIGNING_KEY: schema.#Generated & {generate: kind: "bytes", rotateAfter: "1s", maxAge: "90d", owner: "team identity"}
	API_KEY:     schema.#Generated & {generate: kind: "bytes", maxAge: "90d"}
}
secrets: app: keys: {"signing-key": input: "SIGNING_KEY", "api-key": input: "API_KEY"}
`,
		"envs/files/env.cue":      "package due\n\nenvironment: \"files\"\nsources: default: kind: \"files\"\n",
		"envs/manager/env.cue":    "package due\n\nenvironment: \"manager\"\nsources: default: {kind: \"aws-secretsmanager\", region: \"us-east-1\", prefix: \"due\"}\n",
		"envs/parameters/env.cue": "package due\n\nenvironment: \"parameters\"\nsources: default: {kind: \"aws-ssm\", region: \"us-east-1\", prefix: \"/due\"}\n",
		".gitignore":              ".secrets*\n",
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := os.ReadFile("../fixtures/certificates/good.pem")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cert.pem"), certificate, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) (out, errs string) {
		t.Helper()
		out, errs, code := victorgen(t, dir, env, args...)
		if code != want {
			t.Fatalf("%v: exit %d, not %d\n%s%s", args, code, want, out, errs)
		}
		return out, errs
	}
	run(0, "build", "./envs/...")
	trees := regularFiles(t, filepath.Join(dir, "deploy/parameters"))
	due := func(code int, environments ...string) {
		t.Helper()
		await(t, "what is due", func() error {
			out, errs, got := victorgen(t, dir, env, "rotate", "./envs/...", "--due", "--dry-run")
			for _, e := range environments {
				if got != code || !strings.Contains(out, e+": generated SIGNING_KEY") {
					return fmt.Errorf("exit %d\n%s%s", got, out, errs)
				}
			}
			return nil
		})
	}
	due(0, "files", "manager", "parameters")
	parameters.stop()

	// As text: each environment on its lines, and what is wrong with the third.
	out, errs := run(3, "rotate", "./envs/...", "--due", "--timeout", "20s")
	for _, want := range []string{"files: generated SIGNING_KEY in ", "manager: generated SIGNING_KEY in "} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q\n%s", want, out)
		}
	}
	if strings.Contains(out, "API_KEY") || strings.Contains(out, "parameters:") || strings.Count(errs, "VG2101") != 1 || !strings.Contains(errs, "source default (aws-ssm)") {
		t.Errorf("of the third, or of what is not due:\n%s%s", out, errs)
	}
	run(0, "build", "envs/files", "envs/manager")

	// As JSON.
	due(3, "files", "manager")
	out, _ = run(3, "rotate", "./envs/...", "--due", "-o", "json", "--timeout", "20s")
	var report struct {
		Environments []struct {
			Environment string
			OK          bool
			Generated   []string
			Diagnostics []struct{ Code, Severity string }
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Environments) != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, r := range report.Environments {
		down := r.Environment == "parameters"
		if r.OK == down || len(r.Generated) == 0 != down || down && (len(r.Diagnostics) != 1 || r.Diagnostics[0].Code != "VG2101" || r.Diagnostics[0].Severity != "error") {
			t.Errorf("%+v", r)
		}
	}
	run(0, "build", "envs/files", "envs/manager")

	// As the text of a pull request.
	due(3, "files", "manager")
	out, errs = run(3, "rotate", "./envs/...", "--due", "-o", "markdown", "--timeout", "20s")
	for _, want := range []string{
		"**2 values rotated in 3 environments**; 1 environment with errors.\n", "\n### `files`\n\n- `SIGNING_KEY in ", "\n### `manager`\n\n- `SIGNING_KEY in ", "\n### `parameters`\n\n- error `",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "VG2101") {
		t.Errorf("it tells the terminal nothing\n%s", errs)
	}

	// The tree of the third is as it was, and a build without its source leaves it so.
	run(0, "build", "envs/parameters", "--timeout", "20s")
	if after := regularFiles(t, filepath.Join(dir, "deploy/parameters")); !maps.Equal(trees, after) {
		t.Error("the tree of the environment whose source is down has changed")
	}
}

// regularFiles are the contents of the files below dir, by their paths.
func regularFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var b []byte
			b, err = os.ReadFile(path)
			files[path] = string(b)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files in %s", err, len(files), dir)
	}
	return files
}
