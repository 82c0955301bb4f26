package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtool runs Prometheus' own tool in dir and returns what it said.
func promtool(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not on the PATH: it comes with Prometheus, as in Debian's package prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mutant is something wrong with the rules, and the file of tests that must
// notice.
type mutant struct{ name, old, new, noticed string }

// TestAlertsSealed: the rules for sealed secrets. In its scenarios, the classical
// rule never fires.
func TestAlertsSealed(t *testing.T) {
	testAlerts(t, "sealed", 14, []mutant{
		{"unguarded against kube-state-metrics", " and on() count(kube_secret_info)", "", "rules.yaml"},
		{"unguarded against the controller", " and on() count(sealed_secrets_controller_build_info)", "", "rules.yaml"},
		{"the classical rule", `absent(kube_secret_info{namespace="shop", secret="shop"})`, `kube_secret_info{namespace="shop", secret="shop"} == 0`, "rules.yaml"},
		{"nobody missed", "expr: absent(kube_secret_info)", "expr: kube_secret_info == 0", "rules.yaml"},
		{"a controller that is taken for down", "expr: absent(sealed_secrets_controller_build_info)", "expr: sealed_secrets_controller_build_info == 0", "rules.yaml"},
		{"another secret", `name="jobs"`, `name="shop"`, "rules.yaml"},
		{"another namespace", `exported_namespace="batch"`, `namespace="batch"`, "rules.yaml"},
		{"only false is wrong", "< 1", "< 0", "scenarios.yaml"},
		{"errors without birth", " or (", " and (", "scenarios.yaml"},
		{"errors of long ago", "[1d] offset 15m", "[1m] offset 15m", "scenarios.yaml"},
		{"a time", "vector(time() - ", "vector(time() - 9", "rules.yaml"},
		{"a previous value that counts for longer", "vector(time() - 2366236800)", "vector(time() - 92366236800)", "rules.yaml"},
		{"at once", "for: 10m", "for: 0s", "scenarios.yaml"},
		{"a severity", "severity: critical", "severity: warning", "rules.yaml"},
	})
}

// TestAlertsExternal: the rules for external secrets.
func TestAlertsExternal(t *testing.T) {
	const operator = `controller_runtime_max_concurrent_reconciles{controller="externalsecret"}`
	testAlerts(t, "external", 13, []mutant{
		{"unguarded against the operator", " and on() count(" + operator + ")", "", "rules.yaml"},
		{"guarded by any operator", operator, "controller_runtime_max_concurrent_reconciles", "scenarios.yaml"},
		{"never ready", `status="False"}) == 1`, `status="True"}) == 0`, "scenarios.yaml"},
		{"what was", `status="False"}) == 1`, `status="False"}) >= 0`, "rules.yaml"},
		{"a store of this namespace", "clustersecretstore_status", "secretstore_status", "rules.yaml"},
		{"another store", `name="shop-default"`, `name="vaults"`, "rules.yaml"},
		{"any store", `namespace="shop", name="shop-default"`, `name="shop-default"`, "scenarios.yaml"},
		{"another secret", `name="jobs", condition="Ready", status="True"`, `name="shop", condition="Ready", status="True"`, "rules.yaml"},
		{"another namespace", `kube_secret_created{exported_namespace="batch"`, `kube_secret_created{namespace="batch"`, "rules.yaml"},
		{"an end that is taken for its notice", "vector(time() - 100800)", "vector(time() - 172800)", "scenarios.yaml"},
		{"too early", "> 90000", "> 86400", "scenarios.yaml"},
		{"at once", "for: 10m", "for: 0s", "scenarios.yaml"},
	})
}

// testAlerts: the rules that are emitted for the contract in testdata/alerts/name
// pass promtool's checks, the tests that are emitted with them, and the scenarios
// next to the contract; and these notice what is wrong with a rule.
func testAlerts(t *testing.T, name string, count int, mutants []mutant) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/alerts/"+name)); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile("../examples/victor/demo-sealing-cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o644); err != nil {
		t.Fatal(err)
	}
	if values, err := os.ReadFile(filepath.Join(dir, "values")); err == nil { // Git ignores the name that it has to have
		if err := os.WriteFile(filepath.Join(dir, ".secrets.test"), values, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code := victorgen(t, dir, nil, "build", "envs/test", "--rule-tests", "rules.yaml"); code != 0 {
		t.Fatalf("build: exit %d\n%s%s", code, out, errs)
	}

	if out, err := promtool(t, dir, "check", "rules", "rules.rules.yaml"); err != nil || !strings.Contains(out, fmt.Sprintf("SUCCESS: %d rules found", count)) {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	for _, file := range []string{"rules.yaml", "scenarios.yaml"} {
		if out, err := promtool(t, dir, "test", "rules", file); err != nil {
			t.Errorf("promtool test rules %s: %v\n%s", file, err, out)
		}
	}

	rules, err := os.ReadFile(filepath.Join(dir, "rules.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range mutants {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(tt.old), " ", `\s+`)) // the encoder breaks lines
			if !old.Match(rules) {
				t.Fatalf("the rules do not have %q", tt.old)
			}
			mutant := t.TempDir()
			if err := os.CopyFS(mutant, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(mutant, "rules.rules.yaml"), old.ReplaceAllLiteral(rules, []byte(tt.new)), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := promtool(t, mutant, "test", "rules", tt.noticed); err == nil || !strings.Contains(out, "got:") {
				t.Errorf("%s does not notice: %v\n%s", tt.noticed, err, out)
			}
		})
	}
}
