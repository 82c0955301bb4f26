package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/policy"
)

// shop is an environment with a secret in its own namespace, and one elsewhere.
func shop() *plan.Plan {
	at := func(line int) []plan.Pos { return []plan.Pos{{File: "/contract.cue", Line: line, Column: 1}} }
	return &plan.Plan{
		Environment: "production", Namespace: "shop", Module: "/m", Dir: "/m/envs/production",
		Sources: []plan.Source{{Name: "default", Kind: plan.Vault, Address: "https://vault.example", Pos: at(1)}},
		Inputs:  []plan.Input{{Name: "PASSWORD", Class: plan.Required, Source: "default", Pos: at(2)}, {Name: "TOKEN", Class: plan.Optional, Source: "default", Pos: at(3)}},
		Secrets: []plan.Secret{
			{Name: "other", Namespace: "elsewhere", Type: "Opaque", Pos: at(4), Keys: []plan.Key{{Name: "token", Input: "TOKEN", Pos: at(5)}},
				Delivery: plan.Delivery{Kind: plan.Sealed, Scope: plan.ClusterWide, Certificate: "/m/cert.pem"}},
			{Name: "shop", Namespace: "shop", Type: "Opaque", Pos: at(6), Keys: []plan.Key{{Name: "password", Input: "PASSWORD", Pos: at(7)}},
				Delivery: plan.Delivery{Kind: plan.Sealed, Scope: plan.Strict, Certificate: "/m/cert.pem"}},
		},
	}
}

func document(p *plan.Plan) plan.Document { return p.Document(func(string) string { return "abcd" }) }

// told writes diagnostics with their lines.
func told(ds plan.Diagnostics) string {
	var all []string
	for _, d := range ds {
		line := fmt.Sprintf("%s %s", d.Code, d.Message)
		for _, p := range d.Pos {
			line += fmt.Sprintf(" %s:%d", filepath.Base(p.File), p.Line)
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// TestCheck: what a policy says holds for the plan.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		want   []string // that the message has; none if the plan satisfies it
	}{
		"nothing":                            {policy: ``},
		"what is so":                         {policy: `environment: "production"`},
		"a pattern":                          {policy: `secrets: [string]: namespace: "shop"`, want: []string{"VG1406", `secrets.elsewhere/other.namespace`, `"shop"`, "contract.cue:4", "policy.cue:3"}},
		"of some":                            {policy: `secrets: [=~"^shop/"]: delivery: scope: "strict"`},
		"its message":                        {policy: `secrets: [string]: namespace: "shop" | error("ask the platform team")`, want: []string{"ask the platform team", "contract.cue:4", "policy.cue:3"}},
		"a loop":                             {policy: `_checks: {for id, s in secrets if s.delivery.scope == "cluster-wide" {(id): error("\(id) opens anywhere")}}`, want: []string{"elsewhere/other opens anywhere", "contract.cue:4"}},
		"a definition":                       {policy: `#checks: {for id, s in secrets if s.delivery.scope == "cluster-wide" {(id): error("\(id) opens anywhere")}}`, want: []string{"elsewhere/other opens anywhere"}},
		"a condition":                        {policy: `if environment == "production" {sources: default: kind: "aws-ssm"}`, want: []string{"sources.default.kind", "contract.cue:1"}},
		"of another":                         {policy: `if environment == "staging" {sources: default: kind: "aws-ssm"}`},
		"a list":                             {policy: `readers: []`},
		"a builtin":                          {policy: `sources: [string]: address: "" | strings.HasSuffix(".example")`, want: []string{}},
		"a pin":                              {policy: `secrets: [string]: delivery: sha256: "0000" | error("not the certificate of production")`, want: []string{"not the certificate of production"}},
		"what is not there does not satisfy": {policy: `sources: [string]: region: "eu-central-1"`, want: []string{"sources.default.region"}},
		"an input that is not there":         {policy: `inputs: AUDIT_KEY: class: "required"`, want: []string{"inputs.AUDIT_KEY"}},
		"a typing error":                     {policy: `secrets: [string]: delivry: kind: "sealed"`, want: []string{"not allowed"}},
		"a check of what is not there":       {policy: `_checks: {if sources.other.kind == "env" {x: error("no")}}`, want: []string{"_checks"}},
		"another check of it":                {policy: `_kind: sources.other.kind`, want: []string{"_kind"}},
		"a name for a constraint":            {policy: `_mine: "shop" | "elsewhere"` + "\n" + `secrets: [string]: namespace: _mine`},
		"a template":                         {policy: `#Mine: {namespace: string, if namespace == "x" {type: "y"}, ...}` + "\n" + `secrets: [string]: #Mine`},
		"a number of secrets":                {policy: `_n: len(secrets)` + "\n" + `_n: <2 | error("one secret is enough")`, want: []string{"one secret is enough"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "package policy\n\n" + c.policy + "\n"
			if strings.Contains(text, "strings.") {
				text = "package policy\nimport \"strings\"\n_s: strings.MinRunes(1) & \"x\"\nsources: [string]: address: =~\".example$\"\n"
			}
			file := filepath.Join(t.TempDir(), "policy.cue")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, ds := policy.Load(file)
			if ds.HasErrors() {
				t.Fatal(ds)
			}
			_, ds = p.Check(shop(), document(shop()))
			if ds.HasErrors() != (len(c.want) > 0) {
				t.Fatalf("got %q", told(ds))
			}
			for _, want := range c.want {
				if !strings.Contains(told(ds), want) {
					t.Errorf("no %q in\n%s", want, told(ds))
				}
			}
		})
	}
}

// TestAllow: what a policy allows can depend on the plan.
func TestAllow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(dir, "a.cue"), []byte(`package policy

import "github.com/victor-ai/victorgen/schema"

schema.#Plan
allow: files: ["/run/secrets/app.env"]
`), 0o600), os.WriteFile(filepath.Join(dir, "b.cue"), []byte(`package policy

if environment == "production" {allow: {addresses: ["https://vault.example"], certificates: ["abcd"]}}
`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	p, ds := policy.Load(dir)
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	allow, ds := p.Check(shop(), document(shop()))
	if ds.HasErrors() || !slices.Equal(allow.Addresses, []string{"https://vault.example"}) || !slices.Equal(allow.Certificates, []string{"abcd"}) || !slices.Equal(allow.Files, []string{"/run/secrets/app.env"}) {
		t.Errorf("%v %v", allow, ds)
	}
	staging := shop()
	staging.Environment = "staging"
	if allow, ds := p.Check(staging, document(staging)); ds.HasErrors() || len(allow.Addresses) > 0 {
		t.Errorf("%v %v", allow, ds)
	}
}

// TestLoad: what is no policy is an error with a place.
func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.txt"), []byte("c4nary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ds := policy.Load(filepath.Join(dir, "none")); !strings.Contains(told(ds), "VG1407") {
		t.Error(ds)
	}
	if _, ds := policy.Load(dir); !strings.Contains(told(ds), "has no .cue file") {
		t.Error(ds)
	}
	if _, ds := policy.Load(filepath.Join(dir, "secret.txt")); !strings.Contains(told(ds), "is not a .cue file") {
		t.Error(ds)
	}
	for i, c := range []struct{ text, want string }{
		{"x: {", "policy.cue:1"},
		{"environment: \"x\"\n", "begin it with `package policy`"},
		{"@extern(embed)\npackage policy\n_x: _ @embed(file=secret.txt,type=text)\n", "attribute"},
		{"package policy\nimport \"example.com/x\"\n_x: x.y\n", "imports \"example.com/x\""},
		{"package policy\n_x: nowhere\n", "nowhere"},
		{"package policy\nsecret: [string]: namespace: \"shop\"\n", "secret: field not allowed policy.cue:2"},
		{"package policy\nenvironment: \"a\" & \"b\"\n", "VG1407"},
	} {
		file := filepath.Join(t.TempDir(), "policy.cue")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, ds := policy.Load(file); p != nil || !strings.Contains(told(ds), c.want) || !strings.Contains(told(ds), "VG1407") {
			t.Errorf("%d: got %q, want %q", i, told(ds), c.want)
		}
	}
}
