package compiler

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestESOVersion(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][3]int{"": {0, 19, 2}, "v2.4": {2, 4, 1 << 20}, "2.4.1": {2, 4, 1}, "v0.20.0": {0, 20, 0}} {
		if got := esoVersion(s); got != want {
			t.Errorf("%q is %v, not %v", s, got, want)
		}
	}
}

// TestCheckESOVersion: of a version that is missing where it matters, not known or
// too old, something is said.
func TestCheckESOVersion(t *testing.T) {
	t.Parallel()
	const bootstrap = "secrets: shop: type: \"bootstrap.kubernetes.io/token\"\n"
	const argocd = "argocd: repoURL: \"https://git.example/shop\"\n"
	for environment, want := range map[string]string{
		`delivery: kind: "external"` + "\n":                                   "",
		`delivery: kind: "external"` + "\n" + argocd:                          "warning VG1432: external secrets are written for v0.19",
		`delivery: {kind: "external", esoVersion: "v2.9"}` + "\n" + argocd:    "",
		`delivery: {kind: "external", esoVersion: "0.20.4"}` + "\n" + argocd:  "",
		`delivery: {kind: "external", esoVersion: "v0.18"}` + "\n":            "error VG1432: esoVersion v0.18 is too old",
		`delivery: {kind: "external", esoVersion: "v0.21"}` + "\n":            "warning VG1432: esoVersion v0.21 is not known to victorgen",
		`delivery: {kind: "external", esoVersion: "v1.4"}` + "\n":             "warning VG1432: esoVersion v1.4 is not known to victorgen",
		`delivery: {kind: "external", esoVersion: "v2.5"}` + "\n" + bootstrap: "error VG1307: external secret shop has type bootstrap.kubernetes.io/token, which the operator refuses since v2.5",
		`delivery: {kind: "external", esoVersion: "v2.4"}` + "\n" + bootstrap: "",
		`delivery: {kind: "external", esoVersion: "v3.0"}` + "\n":             "warning VG1432: esoVersion v3.0 is not known to victorgen",
	} {
		root := write(t, map[string]string{
			"cue.mod/module.cue": "module: \"shop.example\"\nlanguage: version: \"v0.9.0\"\n",
			"contract.cue": "package shop\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\n" +
				"sources: default: {kind: \"aws-ssm\", region: \"us-east-1\"}\ninputs: TOKEN: schema.#Required\nsecrets: shop: keys: token: input: \"TOKEN\"\n",
			"envs/test/env.cue": "package shop\n\nenvironment: \"test\"\nnamespace: \"apps\"\n" + environment,
		})
		_, ds := Compile(filepath.Join(root, "envs/test"), Options{})
		got := ""
		if len(ds) > 0 {
			got = string(ds[0].Severity) + " " + string(ds[0].Code) + ": " + ds[0].Message
		}
		if len(ds) > 1 || want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %v, want %s", environment, ds, want)
		}
	}
}
