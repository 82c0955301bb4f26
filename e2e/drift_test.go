package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// diff checks that `kubectl diff -k` has nothing to say of a tree. It asks for each object
// twice, and a controller may write its status in between; what differs in earnest stays.
func (c *cluster) diff(t *testing.T, tree string) {
	t.Helper()
	kubectl, kubeconfig := toolProgram(t, "kubernetes", kubernetesVersion, "kubectl"), c.kubeconfig(t, c.admin.BearerToken)
	await(t, "kubectl diff -k "+tree, func() error {
		return command("", []string{"KUBECONFIG=" + kubeconfig}, kubectl, "diff", "--server-side", "--field-manager=e2e", "-k", tree)
	})
}

// testDrift: each environment of the example is built, committed and applied.
// When the controllers have done their work, nothing differs between the tree and
// the cluster, and another build changes no file.
func testDrift(t *testing.T, c *cluster) {
	dir := t.TempDir()
	source, err := os.ReadFile("../fixtures/victor/production.env")
	if err := errors.Join(err,
		os.CopyFS(dir, os.DirFS("../examples/victor")),
		os.RemoveAll(filepath.Join(dir, "deploy")),
		os.RemoveAll(filepath.Join(dir, "envs", "production-external")), // whose like testExternal has
		os.WriteFile(filepath.Join(dir, "demo-sealing-cert.pem"), c.certificate, 0o644),
		os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(".secrets*\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "envs", "*", "env.cue"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the example has no environments: %v", err)
	}
	namespace := regexp.MustCompile(`namespace: +"[^"]*"`)
	var environments []string
	for _, file := range files {
		environment := filepath.Base(filepath.Dir(file))
		environments = append(environments, environment)
		c.namespace(t, "drift-"+environment) // some share one, and would share their Secrets
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = namespace.ReplaceAll(text, []byte(`namespace: "drift-`+environment+`"`))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, environment := range environments {
		if err := os.WriteFile(filepath.Join(dir, ".secrets."+environment), source, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := func() {
		t.Helper()
		if out, errs, code := victorgen(t, dir, nil, "build", "./envs/...", "--source", "env"); code != 0 {
			t.Fatalf("build: exit %d\n%s%s", code, out, errs)
		}
	}
	build()
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "-q", "-m", "trees"}} {
		if err := command(dir, nil, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, environment := range environments {
		tree := kustomized(t, filepath.Join(dir, "deploy", environment))
		c.apply(t, tree)
		for _, o := range tree {
			if o.GetKind() == "SealedSecret" {
				c.condition(t, o, "Synced")
			}
		}
		c.diff(t, filepath.Join(dir, "deploy", environment))
	}
	build()
	cmd := exec.Command("git", "status", "--porcelain")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("a second build changed files: %v\n%s", err, out)
	}
}
