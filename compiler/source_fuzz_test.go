package compiler_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/fixtures"
)

const module = "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n"

// compile compiles an environment of the two files with --source KIND.
func compile(t *testing.T, contract, environment, kind string) (*plan.Plan, plan.Diagnostics) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cue.mod/module.cue": module, "contract.cue": contract, "envs/test/env.cue": environment} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return compiler.Compile(filepath.Join(dir, "envs", "test"), compiler.Options{Source: kind, Direct: kind == plan.Vault})
}

const plainContract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: DB_PASSWORD: schema.#Generated & {generate: kind: "password"}
secrets: app: keys: password: input: "DB_PASSWORD"
`

const plainEnvironment = "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../cert.pem\"\n"

// --source works over any contract that has a mistake, and says so (issue 18).
// CUE fills in no sources then.
func TestSourceOverMistakes(t *testing.T) {
	t.Parallel()
	for name, mistake := range map[string]string{
		"a conflict":           "namespace: \"other\"\n",
		"a field too many":     "inputs: DB_PASSWORD: nothing: true\n",
		"a wrong input":        "inputs: X: 1\n",
		"inputs of no kind":    "inputs: X: class: \"none\"\n",
		"wrong sources":        "sources: 1\n",
		"a wrong source":       "sources: default: \"env\"\n",
		"a source of no kind":  "sources: default: kind: \"none\"\n",
		"another wrong source": "sources: other: kind: 7\n",
		"a wrong secret":       "secrets: app: 2\n",
		"wrong alerts":         "alerts: 3\n",
		"a wrong delivery":     "delivery: \"sealed\"\n",
	} {
		for _, kind := range append([]string{""}, plan.SourceKinds...) {
			if p, ds := compile(t, plainContract, plainEnvironment+mistake, kind); p != nil || !ds.HasErrors() {
				t.Errorf("%s, --source %q: no error", name, kind)
			}
		}
	}
}

// FuzzSource compiles contracts with --source: what is wrong with them is a
// diagnostic, never a panic.
func FuzzSource(f *testing.F) {
	all, err := fixtures.Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plainContract, plainEnvironment+"namespace: \"other\"\n", byte(1))
	for i, c := range all {
		var contract, environment string
		for name, text := range c.Files {
			switch {
			case strings.HasPrefix(name, "envs/") && strings.HasSuffix(name, ".cue"):
				environment = string(text)
			case strings.HasSuffix(name, ".cue") && !strings.Contains(name, "/"):
				contract = string(text)
			}
		}
		if contract != "" && environment != "" && len(contract) < 4096 {
			f.Add(contract, environment, byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, contract, environment string, kind byte) {
		p, ds := compile(t, contract, environment, plan.SourceKinds[int(kind)%len(plan.SourceKinds)])
		if p == nil && !ds.HasErrors() {
			t.Error("neither a plan nor an error")
		}
	})
}
