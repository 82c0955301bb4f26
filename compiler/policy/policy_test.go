package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/policy"
	"github.com/victor-ai/victorgen/internal/fifo"
)

// shop is an environment with a secret in its own namespace, and one elsewhere.
func shop() *plan.Plan {
	at := func(line int) []plan.Pos { return []plan.Pos{{File: "/contract.cue", Line: line, Column: 1}} }
	return &plan.Plan{
		Pos: at(9), Environment: "production", Namespace: "shop", Module: "/m", Dir: "/m/envs/production",
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
		"a builtin":                          {policy: `sources: [string]: address: strings.MinRunes(40)`, want: []string{"sources.default.address"}},
		"a pin":                              {policy: `secrets: [string]: delivery: sha256: "0000" | error("not the certificate of production")`, want: []string{"not the certificate of production"}},
		"what is not there does not satisfy": {policy: `sources: [string]: region: "eu-central-1"`, want: []string{"sources.default.region"}},
		"an input that is not there":         {policy: `inputs: AUDIT_KEY: {class: "required", maxAge: !=""}`, want: []string{"at inputs.AUDIT_KEY: the policy requires it, but it does not exist contract.cue:9 policy.cue:3"}},
		"another that is not there":          {policy: `inputs: AUDIT_KEY: class: "required" | error("write one")`, want: []string{"at inputs.AUDIT_KEY: the policy requires it, but it does not exist contract.cue:9 policy.cue:3"}},
		"the message of what is not there":   {policy: `_checks: {if inputs.AUDIT_KEY == _|_ {audit: error("each environment has an AUDIT_KEY")}}`, want: []string{"each environment has an AUDIT_KEY", "contract.cue:9", "policy.cue:3"}},
		"what may be there":                  {policy: `inputs: {AUDIT_KEY?: class: "required", TOKEN?: class: "required"}`, want: []string{"inputs.TOKEN.class"}},
		"what may not be there":              {policy: `secrets: "elsewhere/other"?: _|_`, want: []string{"explicit error", "policy.cue:3"}},
		"what is not there may not be":       {policy: `secrets: "shop/admin"?: _|_`},
		"the name of what a pattern matches": {policy: `secrets: [ID=string]: {name: string, if ID == "elsewhere/other" {namespace: "shop" | error("\(ID) is elsewhere")}}`, want: []string{"elsewhere/other is elsewhere"}},
		"workloads":                          {policy: `if workloads != null {environment: "none"}`},
		"every field":                        {policy: `_all: [version, environment, partOf, namespace, directory, sources, inputs, rules, secrets, readers, alerts, argocd, workloads]`},
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
				text = "package policy\nimport \"strings\"\n" + c.policy + "\n"
			}
			file := filepath.Join(t.TempDir(), "policy.cue")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, ds := policy.Load(file, time.Minute)
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
	p, ds := policy.Load(dir, time.Minute)
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
	if _, ds := policy.Load(filepath.Join(dir, "none"), time.Minute); !strings.Contains(told(ds), "VG1407") {
		t.Error(ds)
	}
	if _, ds := policy.Load(dir, time.Minute); !strings.Contains(told(ds), "has no .cue file") {
		t.Error(ds)
	}
	if _, ds := policy.Load("", time.Minute); !strings.Contains(told(ds), "VG1407 --policy or VICTORGEN_POLICY names an empty path") {
		t.Error(ds)
	}
	if _, ds := policy.Load(filepath.Join(dir, "secret.txt"), time.Minute); !strings.Contains(told(ds), "is not a .cue file") {
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
		// What would demand nothing, and looks as if it did.
		{"package policy\nsecret?: [string]: namespace: \"shop\"\n", "secret: field not allowed policy.cue:2"},
		{"package policy\nsecrets: [string]: delivry: kind: \"sealed\"\n", "secrets.[string].delivry: field not allowed policy.cue:2"},
		{"package policy\nsecrets: [=~\"^shoop/\"]: delivery: scop: \"strict\"\n", "delivery.scop: field not allowed policy.cue:2"},
		{"package policy\nsecrets: [string]: delivery: scop?: \"strict\"\n", "delivery.scop: field not allowed policy.cue:2"},
		{"package policy\nreaders: [...{nme?: \"x\"}]\n", "nme: field not allowed policy.cue:2"},
		{"package policy\nallow: adresses?: [\"https://x\"]\n", "adresses: field not allowed policy.cue:2"},
		{"package policy\n#Plan: secrets: [string]: namespace: \"shop\"\n", "#Plan demands nothing"},
		{"package policy\n_secrets: [string]: namespace: \"shop\"\n", "_secrets demands nothing"},
	} {
		file := filepath.Join(t.TempDir(), "policy.cue")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, ds := policy.Load(file, time.Minute); p != nil || !strings.Contains(told(ds), c.want) || !strings.Contains(told(ds), "VG1407") {
			t.Errorf("%d: got %q, want %q", i, told(ds), c.want)
		}
	}
}

// TestPolicyLinks: a link may lead to CUE, as those of a ConfigMap that is mounted do, and to
// nothing else, of which a message would quote a line.
func TestPolicyLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.Symlink(to, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	write("mount/..2026/policy.cue", "package policy\nenvironment: \"production\"\n")
	link("mount/..data", "..2026")
	link("mount/policy.cue", "..data/policy.cue")
	link("to-mount", "mount")
	write(".secrets", "package policy\nx: c4nary\n")
	link("secrets/a.cue", "../.secrets")
	link("file.cue", ".secrets")
	link("gone/a.cue", "nowhere.cue")
	link("loop.cue", "loop.cue")
	link("device/a.cue", "/dev/zero")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "pipe"), 0o700), fifo.Make(filepath.Join(dir, "pipe/a.cue")), os.MkdirAll(filepath.Join(dir, "dir/a.cue"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"mount": "", "mount/policy.cue": "", "to-mount": "", "secrets": "is a link to what is not a .cue file", "file.cue": "is a link to what is not a .cue file",
		"gone": "can't be read", "loop.cue": "can't be read", "device": "is a link to what is not a .cue file", "pipe": "is not a regular file", "dir": "is not a regular file",
	} {
		p, ds := policy.Load(filepath.Join(dir, name), time.Minute)
		if got := told(ds); (p != nil) != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "c4nary") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestPolicyBounded: a policy that goes on forever ends with an error, when it is read and
// when it is used.
func TestPolicyBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"read": "package policy\nimport \"list\"\n_n: version\n_x: [for i in list.Range(0, 100000000, 1) {i + _n}]\n",
		"used": "package policy\nimport \"list\"\nif environment == \"production\" {_x: [for i in list.Range(0, 100000000, 1) {i}]}\n",
	} {
		file := filepath.Join(t.TempDir(), "policy.cue")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, ds := policy.Load(file, time.Second/2)
		if (p == nil) != (name == "read") {
			t.Fatalf("%s: %v", name, ds)
		}
		if p != nil {
			_, ds = p.Check(shop(), document(shop()))
		}
		if !strings.Contains(told(ds), "VG1013") {
			t.Errorf("%s: %v", name, ds)
		}
	}
}
