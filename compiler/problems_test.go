package compiler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// compileContract compiles one environment whose contract has body besides.
func compileContract(t *testing.T, body string) (*plan.Plan, plan.Diagnostics) {
	t.Helper()
	root := write(t, moduleWith(map[string]string{"more.cue": "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\n_used: schema.#Required\n" + body}))
	return Compile(root+"/envs/dev", Options{})
}

func TestJoinName(t *testing.T) {
	t.Parallel()
	for args, want := range map[[3]string]string{
		{"", "db", "/"}:           "db",
		{"app", "db", "/"}:        "app/db",
		{"/app/", "db", "/"}:      "app/db",
		{"app", "/shared", "/"}:   "shared",
		{"app", "arn:x", "/"}:     "arn:x",
		{"app_", "db", "/"}:       "app_db",
		{"app", "db", "-"}:        "app-db",
		{"app-", "db", "-"}:       "app-db",
		{"app_", "db", "-"}:       "app_db",
		{"a/", "db", "-"}:         "a/-db",
		{"app", "/shared-x", "-"}: "shared-x",
	} {
		if got := joinName(args[0], args[1], args[2]); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

// TestSamePlace: two inputs at one place, one of which is generated, by how names are
// compared there.
func TestSamePlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		source, a, b string
		generated    bool
		same         bool
	}{
		"Key Vault, in another case": {`kind: "azure-keyvault", vault: "kv"`, "DB-Password", "db-password", true, true},
		"Secret Manager, too":        {`kind: "gcp-secretmanager", project: "proj-1"`, "DB-Password", "db-password", true, false},
		"one name":                   {`kind: "gcp-secretmanager", project: "proj-1"`, "db-password", "db-password", true, true},
		"none is generated":          {`kind: "azure-keyvault", vault: "kv"`, "db-password", "db-password", false, false},
		"two names":                  {`kind: "azure-keyvault", vault: "kv"`, "db-password", "db-passwd", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			class := "schema.#Required"
			if test.generated {
				class = `schema.#Generated & {generate: kind: "password"}`
			}
			_, ds := compileContract(t, fmt.Sprintf("sources: s: {%s}\ninputs: A: %s & {source: \"s\", remote: %q}\ninputs: B: schema.#Required & {source: \"s\", remote: %q}\n", test.source, class, test.a, test.b))
			same := slices.ContainsFunc(ds, func(d plan.Diagnostic) bool { return strings.Contains(d.Message, "where one of them is generated") })
			if same != test.same {
				t.Errorf("one place: %v, want %v; %v", same, test.same, ds)
			}
		})
	}
}

// TestGeneratedSize: what is generated must fit into its source, whose limits are
// those of its service.
func TestGeneratedSize(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		source string
		bits   int // in hex, four a character
		fits   bool
	}{
		"SSM, as much as there can be": {`kind: "aws-ssm", region: "eu-west-1"`, 4 * 8 << 10, true},
		"SSM, one byte more":           {`kind: "aws-ssm", region: "eu-west-1"`, 4*8<<10 + 8, false},
		"Secrets Manager":              {`kind: "aws-secretsmanager", region: "eu-west-1"`, 4*8<<10 + 8, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ds := compileContract(t, fmt.Sprintf("sources: s: {%s}\ninputs: A: schema.#Generated & {source: \"s\", generate: {kind: \"bytes\", bits: %d, encoding: \"hex\"}}\nsecrets: app: keys: a: input: \"A\"\n", test.source, test.bits))
			if fits := !strings.Contains(ds.Error(), "holds no more than"); fits != test.fits {
				t.Errorf("it fits: %v, want %v; %v", fits, test.fits, ds)
			}
		})
	}
}

// TestDraws: compiling gives up where resolving would. A constraint that one value in
// twenty satisfies is not satisfied by any of ten, sooner or later; one that most
// satisfy is.
func TestDraws(t *testing.T) {
	t.Parallel()
	const letters = "abcdefghijklmnopqrst"
	var b strings.Builder
	for _, l := range letters {
		fmt.Fprintf(&b, "inputs: RARE_%c: schema.#Generated & {pattern: \"^%c\", generate: {kind: \"password\", length: 32, alphabet: %q}}\nsecrets: app: keys: \"%c\": input: \"RARE_%c\"\n", l-32, l, letters, l, l-32)
	}
	b.WriteString("inputs: COMMON: schema.#Generated & {pattern: \"^[a-p]\", generate: {kind: \"password\", length: 32, alphabet: \"" + letters + "\"}}\nsecrets: app: keys: common: input: \"COMMON\"\n")
	_, ds := compileContract(t, b.String())
	rare, common := 0, 0
	for _, d := range ds {
		if strings.Contains(d.Message, "breaks its own constraints") {
			rare += strings.Count(d.Message, "RARE_")
			common += strings.Count(d.Message, "COMMON")
		}
	}
	if rare < len(letters)-2 || common > 0 {
		t.Errorf("%d of %d that are rare are refused, and %d that are not: %v", rare, len(letters), common, ds)
	}
}

// TestMissingBesideErrors: CUE says nothing of what is missing while something else is
// wrong.
func TestMissingBesideErrors(t *testing.T) {
	t.Parallel()
	const wrong = "inputs: TOKEN: minLength: \"three\"\n"
	for part, body := range map[string]string{
		"access":  `access: readers: [{kind: "User"}]`,
		"sources": `sources: other: {kind: "aws-ssm", region: string}`,
		"inputs":  `inputs: OTHER: {description: "no class"}`,
		"rules":   `rules: one: {kind: "allOrNone"}`,
		"secrets": `secrets: other: keys: key: template: string`,
	} {
		_, alone := compileContract(t, body+"\n")
		_, both := compileContract(t, body+"\n"+wrong)
		if len(alone) == 0 {
			t.Errorf("%s: nothing is wrong with %s", part, body)
		}
		for _, d := range alone {
			if d.Severity == plan.Error && !slices.ContainsFunc(both, func(b plan.Diagnostic) bool { return b.Message == d.Message }) {
				t.Errorf("%s: %q is not said beside another error: %v", part, d.Message, both)
			}
		}
		if !strings.Contains(both.Error(), "minLength") {
			t.Errorf("%s: the other error is not said: %v", part, both)
		}
	}
}

// TestMaskedLine: a line that one diagnostic must not show is shown by no other.
func TestMaskedLine(t *testing.T) {
	t.Parallel()
	here, other := plan.Pos{File: "c.cue", Line: 3, Column: 1, Text: "x: 1"}, plan.Pos{File: "c.cue", Line: 4, Column: 1, Text: "y: 2"}
	secret := plan.Pos{File: "c.cue", Line: 9, Column: 1, Text: `token: "sk_live_51HxQuartz7lanternBrine90zKd"`}
	if !lineLooksSecret(secret.Text) {
		t.Fatal("it does not look like a secret")
	}
	c := &compilation{ds: plan.Diagnostics{
		{Message: "a", Pos: []plan.Pos{here, secret}}, {Message: "b", Pos: []plan.Pos{here}}, {Message: "c", Pos: []plan.Pos{other}}, {Message: "d"},
	}}
	c.finish()
	for _, d := range c.ds {
		if want := d.Message == "a" || d.Message == "b"; d.Mask != want {
			t.Errorf("%s is masked: %v, want %v", d.Message, d.Mask, want)
		}
	}
}

// TestSecretSize counts all that a contract alone says of the size of a secret.
func TestSecretSize(t *testing.T) {
	t.Parallel()
	const half = 1 << 19 // of what Kubernetes stores
	text := strings.Repeat("x", half)
	c := &compilation{inputs: map[string]plan.Input{
		"DEFAULT":   {Class: plan.Setting, Default: &text},
		"GENERATED": {Class: plan.Generated, Generate: &plan.Generate{Kind: plan.Password, Length: half}},
		"LONGER":    {Class: plan.Generated, Generate: &plan.Generate{Kind: plan.Password, Length: 1}, Constraints: plan.Constraints{MinLength: half}},
		"REQUIRED":  {Class: plan.Required, Constraints: plan.Constraints{MinLength: half}},
		"OPTIONAL":  {Class: plan.Optional, Constraints: plan.Constraints{MinLength: half}},
	}}
	tmpl, problems := plan.ParseTemplate(text, func(string) (plan.Input, bool) { return plan.Input{}, false }, nil, false)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	keys := map[string]plan.Key{"value": {Value: &text}, "template": {Template: tmpl}}
	for name := range c.inputs {
		keys[name] = plan.Key{Input: name}
	}
	one := "y"
	for name, k := range keys {
		for _, more := range []bool{false, true} {
			sec := plan.Secret{Name: "s", Keys: []plan.Key{{Value: &text}, k}}
			if more {
				sec.Keys = append(sec.Keys, plan.Key{Value: &one})
			}
			c.ds = nil
			c.checkSize("s", sec)
			if want := more && name != "OPTIONAL"; c.ds.HasErrors() != want {
				t.Errorf("%s, with a byte more: %v: %v", name, more, c.ds)
			}
		}
	}
}
