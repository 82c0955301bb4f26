package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	_ "github.com/victor-ai/victorgen/internal/heap" // collecting garbage is a third of what the tests take
)

// write puts files, path to content, into a new directory and returns it, free
// of links.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	t.Parallel()
	const environment = "package x\n\nenvironment: \"e\"\n"
	root := write(t, map[string]string{
		"contract.cue":                "package x\n\ninputs: A: environment: 1\n", // not at the top
		"envs/dev/env.cue":            environment,
		"envs/dev/more.cue":           environment,
		"envs/production/eu/env.cue":  "package x\n\n\"environment\": \"quoted\"\n",
		"envs/production/us/env.cue":  environment,
		"envs/broken/env.cue":         "package x\n\nenvironment: {\n",
		"envs/_draft/env.cue":         environment,
		"envs/.hidden/env.cue":        environment,
		"envs/cue.mod/pkg/env.cue":    environment,
		"envs/text/env.txt":           environment,
		"envs/other/env.cue":          "package x\n\n_environment: \"hidden\"\n#environment: 1\n",
		"_all/env.cue":                environment,
		"none/contract.cue":           "package x\n",
		"none/deeper/still/notes.txt": "",
	})
	tests := []struct {
		patterns []string
		want     []string
		err      string // a part of it
	}{
		{patterns: []string{"envs/dev"}, want: []string{"envs/dev"}},
		{patterns: []string{"envs/dev/"}, want: []string{"envs/dev"}},
		{patterns: []string{"none"}, want: []string{"none"}}, // named outright: Compile says what is wrong with it
		{patterns: []string{"envs/..."}, want: []string{"envs/broken", "envs/dev", "envs/production/eu", "envs/production/us"}},
		{patterns: []string{"envs/production/..."}, want: []string{"envs/production/eu", "envs/production/us"}},
		{patterns: []string{"envs/dev/..."}, want: []string{"envs/dev"}},
		{patterns: []string{"..."}, want: []string{"envs/broken", "envs/dev", "envs/production/eu", "envs/production/us"}},
		{patterns: []string{"_all/..."}, want: []string{"_all"}}, // named outright
		{patterns: []string{"envs/production/us", "envs/dev", "envs/production/..."}, want: []string{"envs/dev", "envs/production/eu", "envs/production/us"}},
		{patterns: []string{"envs/dev", "envs/../envs/dev", "envs/dev/..."}, want: []string{"envs/dev"}},
		{patterns: nil, want: nil},

		{patterns: []string{"envs/prod"}, err: "envs/prod: no such environment"},
		{patterns: []string{"envs/prod/..."}, err: "no such environment"},
		{patterns: []string{"envs/dev", "envs/prod"}, err: "no such environment"},
		{patterns: []string{"envs/dev/env.cue"}, err: "env.cue is a file; name the directory"},
		{patterns: []string{"none/..."}, err: "none/... matches no environment"},
		{patterns: []string{"envs/dev", "none/..."}, err: "matches no environment"},
	}
	for _, tt := range tests {
		var patterns, want []string
		for _, p := range tt.patterns {
			patterns = append(patterns, root+"/"+p)
		}
		for _, w := range tt.want {
			want = append(want, filepath.Join(root, filepath.FromSlash(w)))
		}
		got, err := Find(patterns...)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Find(%q): got error %v, want %q in it", tt.patterns, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Find(%q): %v", tt.patterns, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Find(%q) (-want +got):\n%s", tt.patterns, diff)
		}
	}
}

// TestFindHere: a pattern is relative to the working directory.
func TestFindHere(t *testing.T) {
	root := write(t, map[string]string{"dev/env.cue": "package x\n\nenvironment: \"e\"\n"})
	t.Chdir(root)
	for _, pattern := range []string{"...", "./...", "dev", "./dev", "dev/..."} {
		got, err := Find(pattern)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{filepath.Join(root, "dev")}, got); diff != "" {
			t.Errorf("Find(%q) (-want +got):\n%s", pattern, diff)
		}
	}
}

func TestSatisfiable(t *testing.T) {
	t.Parallel()
	rules := func(rs ...plan.Rule) [][]literal {
		var clauses [][]literal
		for _, r := range rs {
			clauses = append(clauses, clausesOf(r)...)
		}
		return clauses
	}
	rule := func(kind plan.RuleKind, inputs string) plan.Rule {
		return plan.Rule{Kind: kind, Inputs: strings.Fields(inputs)}
	}
	some := func(inputs string) plan.Rule { return rule(plan.AtLeastOne, inputs) }
	one := func(inputs string) plan.Rule { return rule(plan.ExactlyOne, inputs) }
	all := func(inputs string) plan.Rule { return rule(plan.AllOrNone, inputs) }
	tests := []struct {
		name    string
		clauses [][]literal
		want    bool
	}{
		{"nothing is demanded", nil, true},
		{"one of none", rules(some("")), false},
		{"exactly one of none", rules(one("")), false},
		{"all of none", rules(all("")), true},
		{"all of one", rules(all("A")), true},
		{"at least one", rules(some("A B")), true},
		{"exactly one", rules(one("A B C")), true},
		{"exactly one of two that go together", rules(one("A B"), all("A B")), false},
		{"exactly one of three, two of which go together", rules(one("A B C"), all("A B")), true},
		{"two groups that share all", rules(one("A B"), one("B C"), one("A C")), false},
		{"a ring of four", rules(one("A B"), one("B C"), one("C D"), one("D A")), true},
		{"a ring of five", rules(one("A B"), one("B C"), one("C D"), one("D E"), one("E A")), false},
		{"together with what is certain", append(rules(one("A B")), []literal{{"A", true}}), true},
		{"two that are certain", append(rules(one("A B")), []literal{{"A", true}}, []literal{{"B", true}}), false},
		{"a chain from what is certain", append(rules(all("A B"), all("B C"), one("C D")), []literal{{"A", true}}, []literal{{"D", true}}), false},
		{"the first guess is wrong", rules(some("A B"), one("A C"), one("A D"), all("C B"), one("C D E")), true},
		{"both guesses are wrong", rules(one("A B"), one("C D"), all("A C"), all("B C")), false},
	}
	for _, tt := range tests {
		if got := satisfiable(tt.clauses, new(1<<20)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if got := satisfiableByTrial(tt.clauses); got != tt.want {
			t.Errorf("%s: all assignments tried give %v, want %v", tt.name, got, tt.want)
		}
	}
}

// satisfiableByTrial tries every assignment.
func satisfiableByTrial(clauses [][]literal) bool {
	number := map[string]int{}
	for _, c := range clauses {
		for _, l := range c {
			if _, ok := number[l.input]; !ok {
				number[l.input] = len(number)
			}
		}
	}
	for assignment := range 1 << len(number) {
		holds := true
		for _, c := range clauses {
			clause := false
			for _, l := range c {
				clause = clause || (assignment>>number[l.input]&1 == 1) == l.present
			}
			holds = holds && clause
		}
		if holds {
			return true
		}
	}
	return false
}

// The literals of the tests below are made up, and put together here lest
// scanners of this repository take them for real.
var knownForms = []string{
	"-----BEGIN " + "RSA PRIVATE KEY-----\nMIIE",
	"-----BEGIN " + "PRIVATE KEY-----",
	"-----BEGIN " + "OPENSSH PRIVATE KEY-----",
	"sk-" + "ant-api03-abcdefghijklmnop",
	"sk-" + "abcdefghijklmnopqrstuvwx",
	"sk_" + "live_abcdefghij1234567890",
	"rk_" + "test_abcdefghij1234567890",
	"ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
	"github_pat_" + "11ABCDEFG0abcdefghij_klmnop",
	"glpat-" + "abcdefghij1234567890",
	"xoxb-" + "123456789012-abcdefghij",
	"AKIA" + "IOSFODNN7ABCDEFG",
	"ASIA" + "IOSFODNN7ABCDEFG",
	"AIza" + "SyA-abcdefghijklmnopqrstuvwxyz012345",
	"hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
	"npm_" + "abcdefghijklmnopqrstuvwxyz0123456789",
	"r8_" + "abcdefghijklmnopqrstuvwxyz0123456789",
	"gsk_" + "abcdefghijklmnopqrstuvwxyz0123456789",
	"xai-" + "abcdefghijklmnopqrstuvwxyz0123456789",
	"SG." + "abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz",
	"eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0.c2lnbmF0dXJl",
	"https://hooks.slack.com/" + "services/T000/B000/XXXX",
	"token=" + "sk-" + "abcdefghijklmnopqrstuvwx; path=/",
}

func TestLooksLikeSecret(t *testing.T) {
	t.Parallel()
	for _, s := range knownForms {
		if looksLikeSecret(s) == "" {
			t.Errorf("%q does not look like a secret", s)
		}
	}
	for _, s := range []string{
		"postgres://user:hunter2@db/app",
		"redis://:hunter2@redis:6379",
		"see amqp://u:p%40ss@mq/ for more",
	} {
		if got := looksLikeSecret(s); got != "is a URL with a password in it" {
			t.Errorf("%q: got %q", s, got)
		}
	}
	for _, s := range []string{
		"", "victor-postgres", "5432", "true", "info",
		"https://example.com/path?q=1#sk-short",
		"postgres://user@db:5432/app",
		"postgres://db:5432/app@tag",
		"postgresql://{{.DB_USER | urlquery}}:{{.DB_PASSWORD | urlquery}}@{{.DB_HOST}}:{{.DB_PORT}}/{{.DB_NAME}}",
		"redis://:{{.REDIS_PASSWORD}}@redis",
		"-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----",
		"sk-", "sk-ant-", "task-management-for-everybody", "risk_live_abcdefghijk", "AKIAshort", "^sk-ant-",
		"eyJust text. eyJust more.",
		"https://hooks.example.com/services/T000",
	} {
		if got := looksLikeSecret(s); got != "" {
			t.Errorf("%q %s", s, got)
		}
	}
}

func TestLooksRandom(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"9f86d081884c7d659a2feaa0c55ad015",   // hex
		"x7Kq2Lm9Pz4Rt6Wv8Yb3N",              // 21 characters
		"c2VjcmV0LXZhbHVlLW5vYm9keS1rbm93cw", // base64
		"Zk3+Qm8sV1xT7pR2yW5uB9nL4hJ6gF0d=",
		"0123456789-abcdef-ghijkl",
	} {
		if !looksRandom(s) {
			t.Errorf("%q does not look random", s)
		}
	}
	for _, s := range []string{
		"",
		"x7Kq2Lm9Pz4Rt6Wv8Yb3",                 // 20 characters
		"victor-postgres-read-replica",         // no digits
		"victor-postgres-replica-01",           // few digits
		"12345678901234567890123456",           // no letters
		"aaaaaaaaaaaaaaaaaaaaaaaaa111",         // too even
		"3f2504e0-4f89-11d3-9a0c-0305e82c3301", // a UUID
		"x7Kq2Lm9 Pz4Rt6Wv8 Yb3N",              // words
		"db-01.eu-west-1.rds.amazonaws.com",    // a host
		"https://x7Kq2Lm9Pz4Rt6Wv8Yb3N",        // a URL
		"/var/lib/x7Kq2Lm9Pz4Rt6Wv8Yb3N",       // a path
	} {
		if looksRandom(s) {
			t.Errorf("%q looks random", s)
		}
	}
}

func TestMaskLiterals(t *testing.T) {
	t.Parallel()
	random := "x7Kq2Lm9Pz4Rt6Wv8Yb3N"
	tests := []struct{ in, want string }{
		{``, ``},
		{`conflicting values "a" and "b"`, `conflicting values "a" and "b"`},
		{`conflicting values "` + random + `" and "b"`, `conflicting values "[redacted]" and "b"`},
		{`"b" and "` + knownForms[4] + `"`, `"b" and "[redacted]"`},
		{`"` + random + `""` + random + `"`, `"[redacted]""[redacted]"`},
		{`x: "say \"` + knownForms[4] + `\"" & "b"`, `x: "[redacted]" & "b"`},
		{`"postgres://u:hunter2@db" unterminated "`, `"[redacted]" unterminated "`},
		{random, random}, // only what is quoted is the contract's
	}
	for _, tt := range tests {
		if got := maskLiterals(tt.in); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
		}
	}

	lines := map[string]bool{
		`default: "victor-postgres"`:                   false,
		`default: "` + random + `"`:                    true,
		`// was ` + knownForms[4]:                      true,
		`url: "postgres://u:hunter2@db"`:               true,
		`template: "postgres://u:{{.DB_PASSWORD}}@db"`: false,
		``: false,
	}
	for line, want := range lines {
		if got := lineLooksSecret(line); got != want {
			t.Errorf("line %s: looks secret is %v, want %v", line, got, want)
		}
	}
}

const contract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

delivery: {kind: "sealed", certificate: "cert.pem"}
inputs: {
	DB_PASSWORD: schema.#Generated & {generate: {kind: "password"}}
	API_KEY:     schema.#Optional & {pattern: "^k-"}
	DB_HOST:     schema.#Setting & {default: *"postgres" | string}
}
rules: some: {kind: "atLeastOne", inputs: ["API_KEY", "DB_PASSWORD"]}
secrets: app: keys: {
	"api-key": input: "API_KEY"
	"dsn": template:  "postgres://app:{{.DB_PASSWORD | urlquery}}@{{.DB_HOST}}/"
}
`

// TestCompileConcurrently: environments of one module, good and broken, are
// compiled at once, and each compilation is as if it were alone.
func TestCompileConcurrently(t *testing.T) {
	t.Parallel()
	const environments = 8
	files := map[string]string{"cue.mod/module.cue": "module: \"example.com/app@v0\"\nlanguage: version: \"v0.14.0\"\n", "contract.cue": contract}
	for i := range environments {
		env := fmt.Sprintf("package app\n\nenvironment: \"env-%d\"\nnamespace: \"ns-%d\"\ninputs: DB_HOST: default: \"host-%d\"\n", i, i, i)
		if i%4 == 3 {
			env += fmt.Sprintf("secrets: app: keys: broken: input: \"NOPE_%d\"\n", i)
		}
		files[fmt.Sprintf("envs/%d/env.cue", i)] = env
	}
	root := write(t, files)
	var wg sync.WaitGroup
	for i := range environments {
		wg.Go(func() {
			p, ds := Compile(filepath.Join(root, "envs", fmt.Sprint(i)), Options{})
			if i%4 == 3 {
				want := fmt.Sprintf("NOPE_%d", i)
				if p != nil || len(ds) != 1 || ds[0].Code != plan.CodeUnknownInput || !strings.Contains(ds[0].Message, want) {
					t.Errorf("environment %d: got %v and diagnostics %v, want one of %s", i, p, ds, want)
				}
				return
			}
			if p == nil || len(ds) != 0 {
				t.Errorf("environment %d: %v", i, ds)
				return
			}
			host, _ := p.Input("DB_HOST")
			got := []string{p.Environment, p.Namespace, *host.Default, p.Secrets[0].Namespace}
			want := []string{fmt.Sprintf("env-%d", i), fmt.Sprintf("ns-%d", i), fmt.Sprintf("host-%d", i), fmt.Sprintf("ns-%d", i)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("environment %d (-want +got):\n%s", i, diff)
			}
		})
	}
	wg.Wait()
}

// TestCompileDirect: what victorgen itself is to write needs neither certificate
// nor store, and lives in one namespace if that is said.
func TestCompileDirect(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{
		"cue.mod/module.cue": "module: \"example.com/app@v0\"\nlanguage: version: \"v0.14.0\"\n",
		"env.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

environment: "test"
namespace: "here"
delivery: kind: "sealed"
inputs: {
	TOKEN: schema.#Required & {present: true}
	BORN: schema.#Generated & {generate: {kind: "password", inCluster: true}}
}
secrets: app: {delivery: kind: "external", keys: {token: input: "TOKEN", born: input: "BORN"}}
secrets: there: {name: "app2", namespace: "elsewhere", keys: token: input: "TOKEN"}
`,
	})
	p, ds := Compile(root, Options{Direct: true})
	if p == nil || len(ds) != 0 {
		t.Fatal(ds)
	}
	var got []string
	for _, s := range p.Secrets {
		got = append(got, s.Namespace+"/"+s.Name+" "+s.Delivery.Kind)
	}
	if diff := cmp.Diff([]string{"elsewhere/app2 direct", "here/app direct"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if in, _ := p.Input("BORN"); in.Generate.InCluster || len(p.Unread()) > 0 {
		t.Error("something is left to an operator")
	}
	if in, _ := p.Input("TOKEN"); in.Present != nil {
		t.Error("a value that is needed is assumed to be there")
	}
	if _, ok := p.Input(plan.LockKey); ok {
		t.Error("there is a lock key, and no lock")
	}
	if p, ds = Compile(root, Options{Direct: true, Namespace: "one"}); p == nil || p.Namespace != "one" || p.Secrets[0].Namespace != "one" || p.Secrets[1].Namespace != "one" {
		t.Errorf("in one namespace: %v %v", p, ds)
	}
}

// TestCompileSameNamespace: secrets of one name may be in two namespaces, and
// not in one.
func TestCompileSameNamespace(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{
		"cue.mod/module.cue": "module: \"example.com/app@v0\"\nlanguage: version: \"v0.14.0\"\n",
		"contract.cue":       contract,
		"env/env.cue":        "package app\n\nenvironment: \"test\"\nnamespace: \"here\"\nsecrets: other: {name: \"app\", namespace: \"there\", keys: host: input: \"DB_HOST\"}\n",
	})
	if p, ds := Compile(filepath.Join(root, "env"), Options{Direct: true}); p == nil {
		t.Fatal(ds)
	}
	p, ds := Compile(filepath.Join(root, "env"), Options{Direct: true, Namespace: "one"})
	if p != nil || len(ds) != 1 || ds[0].Code != plan.CodeSameSecret || !strings.Contains(ds[0].Message, "one/app") || !strings.Contains(ds[0].Hint, "own namespace") {
		t.Errorf("in one namespace: %v", ds)
	}
}
