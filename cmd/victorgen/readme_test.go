package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/internal/kubetest"
)

// blocks returns the code blocks of a page that start with ```KIND.
func blocks(t *testing.T, page, kind string) []string {
	t.Helper()
	var all []string
	for _, b := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(string(read(t, page)), -1) {
		all = append(all, b[1])
	}
	return all
}

// runPage runs a script of the commands of a page, in one shell that stops at the
// first that fails, and returns what they print. Below the working directory
// there is a copy of the example; dev has no values there yet. The cluster is a
// stand-in, and so is kubectl; another, by the kubeconfig TREES, has what the
// trees say at the time, unsealed.
func runPage(t *testing.T, script string, prepare ...func(*kubetest.Server)) (work, out string) {
	t.Helper()
	dir := copyExample(t)
	work = t.TempDir()
	if err := errors.Join(
		os.Mkdir(filepath.Join(work, "examples"), 0o755),
		os.Rename(dir, filepath.Join(work, "examples", "victor")),
		os.Remove(filepath.Join(work, "examples", "victor", ".secrets.dev")),
	); err != nil {
		t.Fatal(err)
	}
	cluster := apiServer(t, filepath.Join(work, "examples/victor/demo-sealing-cert.pem"))
	for _, p := range prepare {
		p(cluster)
	}
	trees, kubeconfig := startCluster(t, filepath.Join(work, "examples", "victor"))
	cmd := exec.Command("sh", "-xc", "set -eu\nhome=$PWD\n"+script)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig(t), "TREES="+kubeconfig, "EDITOR=true")
	b, err := cmd.CombinedOutput()
	if strings.Contains(script, "$TREES") {
		trees.readOnly()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return work, string(b)
}

// TestReadme runs the README: every sh block, in order.
func TestReadme(t *testing.T) {
	script, all := "", blocks(t, "../../README.md", "sh")
	if len(all) < 4 {
		t.Fatalf("the README has %d sh blocks", len(all))
	}
	for _, b := range all {
		if strings.HasPrefix(b, "cd examples") {
			script += "cd \"$home\"\n"
		}
		if strings.Contains(b, "victorgen verify envs/") { // of what the trees have come to
			b = "(export KUBECONFIG=\"$TREES\"\n" + b + ")\n"
		}
		if strings.Contains(b, "--staged") {
			script += "git init -q .; git add contract.cue deploy envs\n"
		}
		script += b
	}
	// The test's own victorgen is on the PATH already.
	script = strings.Replace(script, "go install ./cmd/victorgen", ": go install ./cmd/victorgen", 1)
	_, out := runPage(t, script)
	for _, want := range []string{"dev: ok", "rotation due", `"secret": "victor-ai/victor-ai-secrets"`, "dev: unchanged", "production: unchanged",
		"dev: wrote envs/dev/sealing-cert.pem", "dev: unchanged demo-sealing-cert.pem", "sealed for it  victor-ai-dev/",
		"dev: would apply to test", "dev: applied to test", "created namespace victor-ai-dev", "dev: unchanged in test",
		"dev: ok in kind (4 secrets: 2 ok, 2 left out)", "owner SealedSecret/grafana-credentials", `"version": "2.1.0"`, "inputs searched for in "} {
		if !strings.Contains(out, want) {
			t.Errorf("the README's commands do not print %q:\n%s", want, out)
		}
	}
}

// fromScripts is the page for those who have scripts. Its block
// `sh sops` is run in e2e.
const fromScripts = "../../docs/from-scripts.md"

// TestFromScripts runs docs/from-scripts.md, in order, in the example.
func TestFromScripts(t *testing.T) {
	all := blocks(t, fromScripts, "sh")
	if len(all) < 6 {
		t.Fatalf("%s has %d sh blocks", fromScripts, len(all))
	}
	const lost = "c4nary-lost-and-found-7h3k9d2m"
	work, out := runPage(t, "cd examples/victor\n"+strings.Join(all, ""), func(cluster *kubetest.Server) {
		cluster.Put(t, "namespaces", "kubectl", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "victor-ai-dev"}})
		cluster.Put(t, "secrets", "kubectl-client-side-apply", &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "grafana-credentials", Namespace: "victor-ai-dev",
				Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
			Data: map[string][]byte{"admin-user": []byte("admin"), "admin-password": []byte(lost)}, Type: corev1.SecretTypeOpaque,
		})
	})
	source := string(read(t, filepath.Join(work, "examples/victor/.secrets.dev")))
	if !strings.Contains(source, "\nGRAFANA_ADMIN_PASSWORD=") || strings.Contains(source, lost) { // it is rotated in the end
		t.Error("the password is not in the source, or still that of the cluster")
	}
	for _, want := range []string{"dev: generated DB_PASSWORD", "dev: ok (", "production: unchanged", "dev: nothing is due", "input GRAFANA_ADMIN_PASSWORD"} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not print %q:\n%s", want, out)
		}
	}
}

// TestPageCommands: what the pages mention in passing are commands, with flags
// that there are.
func TestPageCommands(t *testing.T) {
	n := 0
	for _, page := range []string{"../../README.md", "../../docs/switching.md", fromScripts} {
		text := string(read(t, page))
		var commands []string
		for _, m := range regexp.MustCompile("`(victorgen [a-z][^`]*)`").FindAllStringSubmatch(text, -1) {
			commands = append(commands, m[1])
		}
		for _, b := range blocks(t, page, "(?:sh|crontab)") {
			commands = append(commands, regexp.MustCompile(`\bvictorgen [a-z][^|&>#)\n]*`).FindAllString(b, -1)...)
		}
		for _, c := range commands {
			root := newRoot()
			root.InitDefaultCompletionCmd() // which it has when it is run
			cmd, args, err := root.Find(strings.Fields(strings.TrimSuffix(c, " --help"))[1:])
			if err == nil {
				err = cmd.ParseFlags(args)
			}
			if err != nil || !cmd.HasParent() {
				t.Errorf("%s: %s: %v", page, c, err)
			}
			n++
		}
	}
	if n < 40 {
		t.Errorf("there are but %d commands", n)
	}
}

// TestReadmeContract: the contract of the README compiles.
func TestReadmeContract(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```cue\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatalf("the README has %d cue blocks, not a contract, an environment and sources", len(blocks))
	}
	t.Setenv("VAULT_ADDR", "https://vault.example") // or a contract that names it is warned of
	for i, sources := range blocks[1:] {
		dir, more := t.TempDir(), ""
		if i > 0 { // what may stand in an environment
			more = sources[1]
		}
		file := "envs/production/more.cue"
		head := "package shop\n\n"
		if strings.Contains(more, "schema.#") {
			head += "import \"github.com/victor-ai/victorgen/schema\"\n\n"
		}
		for file, content := range map[string]string{
			"cue.mod/module.cue":      "module: \"shop.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
			"contract.cue":            blocks[0][1],
			"envs/production/env.cue": blocks[1][1],
			file:                      head + more,

			"envs/production/k8s/base/api.yaml":      "{apiVersion: v1, kind: Pod, metadata: {name: api}, spec: {containers: [{name: api, envFrom: [{secretRef: {name: shop}}]}]}}\n",
			"envs/production/k8s/production/sa.yaml": "{apiVersion: v1, kind: ServiceAccount, metadata: {name: api}, imagePullSecrets: [{name: regcred}]}\n",
		} {
			if err := write(dir, file, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		if code, stdout, stderr := victorgen(t, "vet", filepath.Join(dir, "envs/production")); code != 0 || stderr != "" {
			t.Errorf("exit %d\n%s\n%s%s", code, more, stdout, stderr)
		}
	}
}

// TestReadmeFirstCommands: the first two commands are make's, and CI runs both.
func TestReadmeFirstCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^    (make \w+)$`).FindAllStringSubmatch(string(readme), -1)
	if len(commands) != 2 {
		t.Fatalf("the README starts with %d commands, not two", len(commands))
	}
	for _, c := range commands {
		if !regexp.MustCompile(`(?m)^` + c[1] + `\b`).Match(ci) {
			t.Errorf(".ci/run does not run %q", c[1])
		}
	}
}
