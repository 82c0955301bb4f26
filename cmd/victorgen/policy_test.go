package main

import (
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// verbLines are the command lines by which a policy meets each verb, by the verb. ENV is
// an environment. Those that begin with ? would ask a source, a cluster or a program.
var verbLines = map[string][]string{
	"apply":            {"?apply ENV", "?apply ENV --dry-run", "?apply ENV --prune --restart"},
	"build":            {"?build ENV", "?build ENV --check", "?build ENV --dry-run", "build ENV --offline", "build ENV --offline --check"},
	"cert fetch":       {"?cert fetch ENV", "?cert fetch ENV --dry-run"},
	"cert inspect":     {"cert inspect ENV", "?cert inspect ENV --kubeconfig KUBECONFIG"},
	"copy":             {"?copy ENV --from env", "?copy ENV --from env --dry-run", "?copy ENV --from default --to env"},
	"diff":             {"diff ENV --from HERE", "diff ENV --from HERE -o json"},
	"explain":          {"explain ENV", "explain ENV -o json", "explain ENV TOKEN", "explain --permissions ENV"},
	"generate":         {"?generate ENV", "?generate ENV --dry-run", "?generate ENV --renew PASSWORD"},
	"import cluster":   {"?import cluster -n shop --kubeconfig KUBECONFIG --into FRESH --force --source aws-ssm,region=us-east-1"},
	"import env":       {"?import env VALUES --into FRESH --force --source aws-ssm,region=us-east-1", "import env VALUES --into FRESH --force --dry-run"},
	"import manifests": {"?import manifests MANIFEST --into FRESH --force --source aws-ssm,region=us-east-1"},
	"list":             {"list ENV"},
	"recover":          {"?recover ENV --yes", "?recover ENV --dry-run"},
	"rotate":           {"?rotate ENV PASSWORD", "?rotate ENV --due"},
	"docs":             {"docs ENV", "docs ENV --output NEW"},
	"report":           {"report ENV", "report ENV -o json", "report ENV --html NEW", "?report ENV --live", "?report ENV --values --html NEW"},
	"scan":             {"?scan ENV"},
	"set":              {"?set ENV TOKEN --from-file VALUES", "?set ENV TOKEN --from-file VALUES --dry-run"},
	"template":         {"template ENV", "template ENV --output NEW"},
	"verify":           {"?verify ENV", "?verify ENV --detailed", "?verify ENV --source", "?verify ENV --source --no-values"},
	"vet":              {"vet ENV", "vet ENV -o json"},
}

// readFirst are the verbs that read what a contract is made of before there is one that a
// policy could judge; TestImportClusterPolicy has them meet one.
var readFirst = []string{"import cluster"}

// withoutPolicy are the verbs that no policy is for, and why.
var withoutPolicy = map[string]string{
	"init": "it takes no environment", "version": "it takes no environment", "help": "it takes no environment", "source test": "it takes no environment, and its user names the program",
}

// verbs returns the names of all verbs that do something.
func verbs(cmd *cobra.Command) (all []string) {
	for _, c := range cmd.Commands() {
		switch {
		case c.Name() == "completion" || strings.HasPrefix(c.Name(), "__"): // cobra's
		case c.HasSubCommands():
			all = append(all, verbs(c)...)
		default:
			all = append(all, strings.TrimPrefix(c.CommandPath(), "victorgen "))
		}
	}
	return all
}

// TestPolicyMeetsEachVerb: no verb asks a source, a cluster or a program, or writes
// anything, for an environment that is against a policy, or where one can't be read.
func TestPolicyMeetsEachVerb(t *testing.T) {
	for _, verb := range verbs(newRoot(io.Discard, io.Discard)) {
		if len(verbLines[verb]) == 0 && withoutPolicy[verb] == "" {
			t.Errorf("nobody looks how %s meets a policy: add it to verbLines", verb)
		}
	}
	asked := &recorder{}
	server := httptest.NewServer(asked)
	t.Cleanup(server.Close)
	dir, bin := t.TempDir(), t.TempDir()
	kubeconfig := filepath.Join(bin, "kubeconfig")
	writeFile(t, kubeconfig, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "`+server.URL+`"}}], users: [{name: u, user: {token: token-of-the-cluster}}]}`)
	writeFile(t, filepath.Join(bin, "app.env"), "TOKEN=tok-92jf02kd93-Quartz7\n")
	writeFile(t, filepath.Join(bin, "app.yaml"), "apiVersion: v1\nkind: Secret\nmetadata: {name: app, namespace: apps}\nstringData: {token: tok-92jf02kd93-Quartz7}\n")
	// sops tells by a file that it was run.
	ran := filepath.Join(bin, "ran")
	writeFile(t, filepath.Join(bin, "sops"), "#!/bin/sh\necho \"$@\" >> "+ran+"\nexit 1\n")
	if err := os.Chmod(filepath.Join(bin, "sops"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test", "AWS_PROFILE": "", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true", "KUBECONFIG": kubeconfig,
		"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"), "VICTORGEN_POLICY": "",
	} {
		t.Setenv(name, v)
	}
	for name, text := range map[string]string{
		"cue.mod/module.cue":       "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"fresh/cue.mod/module.cue": "module: \"test.example/fresh@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"good.pem":                 string(read(t, "../../fixtures/certificates/good.pem")),
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

namespace: "apps"
delivery: certificate: "good.pem"
inputs: {
	TOKEN:    schema.#Required
	PASSWORD: schema.#Generated & {generate: {kind: "password"}, maxAge: "1h"}
}
secrets: app: keys: {token: input: "TOKEN", password: input: "PASSWORD"}
`,
		"envs/ssm/env.cue":            "package app\n\nenvironment: \"ssm\"\nsources: default: {kind: \"aws-ssm\", region: \"us-east-1\"}\n",
		"envs/sops/env.cue":           "package app\n\nenvironment: \"sops\"\nsources: default: {kind: \"sops\", file: \"secrets.enc.yaml\"}\n",
		"envs/sops/secrets.enc.yaml":  "TOKEN: ENC[AES256_GCM,data:b25l,iv:x,tag:x,type:str]\nsops:\n  age:\n    - recipient: age1x\n      enc: x\n  mac: x\n  version: 3.11.0\n",
		"policies/against/policy.cue": "package policy\n\nenvironment: \"another\" | error(\"ask the platform team\")\n",
		"policies/broken/policy.cue":  "package policy\n\nenvironment: {\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	here := filepath.Join(t.TempDir(), "here")
	if err := os.CopyFS(here, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	// It returns whether anyone was asked.
	meet := func(t *testing.T, line, environment string, more ...string) (code int, out string, told bool) {
		t.Helper()
		asked.mu.Lock()
		asked.got.Reset()
		asked.mu.Unlock()
		os.Remove(ran)
		line = strings.NewReplacer("ENV", filepath.Join(dir, "envs", environment), "HERE", here, "KUBECONFIG", kubeconfig, "NEW", filepath.Join(dir, ".secrets.new"),
			"FRESH", filepath.Join(dir, "fresh/envs/dev"), "VALUES", filepath.Join(bin, "app.env"), "MANIFEST", filepath.Join(bin, "app.yaml")).Replace(strings.TrimPrefix(line, "?"))
		code, stdout, stderr := victorgen(t, append(strings.Fields(line), more...)...)
		_, err := os.Stat(ran)
		return code, stdout + stderr, asked.String() != "" || err == nil
	}
	for verb, lines := range verbLines {
		for _, line := range lines {
			for _, environment := range []string{"ssm", "sops"} {
				t.Run(line+" "+environment, func(t *testing.T) {
					for policy, want := range map[string]string{"against": "VG1406", "broken": "VG1407", "none": "VG1407"} {
						if policy == "against" && slices.Contains(readFirst, verb) {
							continue
						}
						path := filepath.Join(dir, "policies", policy)
						for _, by := range []string{"flag", "variable"} {
							var flags []string
							if by == "flag" {
								flags = []string{"--policy", path}
							} else {
								t.Setenv("VICTORGEN_POLICY", path)
							}
							code, out, told := meet(t, line, environment, flags...)
							t.Setenv("VICTORGEN_POLICY", "")
							if code != exitFindings || !strings.Contains(out, want) {
								t.Errorf("policy %s, by %s: exit %d without %s:\n%s", policy, by, code, want, out)
							}
							if policy == "against" && !strings.Contains(out, "ask the platform team") {
								t.Errorf("policy %s: its own message is missing:\n%s", policy, out)
							}
							if policy != "against" && strings.Contains(out, "TOKEN") && !strings.Contains(line, " TOKEN ") {
								t.Errorf("policy %s: something is done:\n%s", policy, out)
							}
							if told {
								t.Errorf("policy %s, by %s: somebody was asked:\n%s", policy, by, asked)
							}
							if !maps.Equal(before, filesOf(t, dir)) {
								t.Fatalf("policy %s: something was written", policy)
							}
						}
					}
				})
			}
			// Or else no one listens where they would ask.
			_, out, told := meet(t, line, "ssm")
			if would := strings.HasPrefix(line, "?"); would != told {
				t.Errorf("without a policy, %s asks somebody: %v\n%s", verb, told, out)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(dir, os.DirFS(here)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStartPolicy: the policy that init writes holds for what init writes; and each of
// those that it shows as a comment says something that can be said.
func TestStartPolicy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	if code, _, stderr := victorgen(t, "init", dir); code != 0 {
		t.Fatal(stderr)
	}
	writeFile(t, filepath.Join(dir, "envs/dev/sealing-cert.pem"), string(read(t, "../../fixtures/certificates/good.pem")))
	vet := func(policy string) (int, string) {
		code, stdout, stderr := victorgen(t, "vet", filepath.Join(dir, "envs/dev"), "--policy", policy)
		return code, stdout + stderr
	}
	file := filepath.Join(dir, "policy/policy.cue")
	if code, out := vet(file); code != 0 || strings.Contains(out, "VG") {
		t.Errorf("exit %d\n%s", code, out)
	}
	// A paragraph of code below a comment that says what it is for.
	text := string(read(t, file))
	code := regexp.MustCompile(`(?m)^//\t(.*)$`)
	var shown []string
	for _, paragraph := range regexp.MustCompile(`\n//\n|\n\n`).Split(text[strings.Index(text, "schema.#Plan"):], -1) {
		lines := code.FindAllStringSubmatch(paragraph, -1)
		var part []string
		for _, l := range lines {
			part = append(part, l[1])
		}
		if len(part) > 0 {
			shown = append(shown, strings.Join(part, "\n"))
		}
	}
	if len(shown) < 4 {
		t.Fatalf("it shows %q", shown)
	}
	kinds := map[string]bool{}
	for _, part := range shown {
		other := filepath.Join(t.TempDir(), "policy.cue")
		head := "package policy\n\nimport \"list\"\n\n_l: list.Contains([environment], environment)\n"
		writeFile(t, other, head+part+"\n")
		code, out := vet(other)
		if strings.Contains(out, "VG1407") {
			t.Errorf("exit %d\n%s\n%s", code, part, out)
		}
		for kind, mark := range map[string]string{"a loop": "for ", "a condition": "if ", "a pattern": "[string]", "a message": "error(", "an address": "addresses", "a file": "files", "a certificate": "certificates"} {
			kinds[kind] = kinds[kind] || strings.Contains(part, mark)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if !kinds[kind] {
			t.Errorf("it does not show %s", kind)
		}
	}
}
