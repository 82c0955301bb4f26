package e2e

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	gitleaksVersion      = "v8.30.0"
	detectSecretsVersion = "1.5.0"
)

// scanned is a Git repository that is a copy of examples/victor.
func scanned(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/victor")); err != nil {
		t.Fatal(err)
	}
	gitIn(t, dir, "init", "-q")
	gitIn(t, dir, "add", ".")
	return dir
}

// gitIn runs Git, and returns what it prints.
func gitIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@x.test", "-c", "commit.gpgSign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// gitleaks returns the places of what gitleaks finds in a directory, FILE RULE.
func gitleaks(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.Command(goProgram(t, "github.com/zricethezav/gitleaks/v8", gitleaksVersion),
		append(args, ".", "--no-banner", "--redact", "--exit-code", "9", "--report-format", "json", "--report-path", report)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 9 {
		t.Fatalf("gitleaks: %v\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	var leaks []struct{ File, RuleID string }
	if err == nil {
		err = json.Unmarshal(text, &leaks)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range leaks {
		all = append(all, filepath.ToSlash(l.File)+" "+l.RuleID)
	}
	return all
}

// detectSecrets returns the places of what the hook of detect-secrets finds, FILE TYPE.
func detectSecrets(t *testing.T, dir string) []string {
	t.Helper()
	files := strings.Fields(gitIn(t, dir, "ls-files"))
	cmd := exec.Command(filepath.Join(pythonPrograms(t, "detect-secrets", detectSecretsVersion), "detect-secrets-hook"),
		append([]string{"--json", "--no-verify", "--baseline", ".detect-secrets.baseline"}, files...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() == 0 {
		return nil
	}
	var report struct {
		Results map[string][]struct{ Type string }
	}
	if cmd.ProcessState.ExitCode() != 1 || json.Unmarshal(out, &report) != nil {
		t.Fatalf("detect-secrets: %v\n%s", err, out)
	}
	var all []string
	for file, found := range report.Results {
		for _, f := range found {
			all = append(all, file+" "+f.Type)
		}
	}
	return all
}

// TestScanners: gitleaks and detect-secrets find nothing in the example, with the
// allow-lists that init writes, and still find what someone leaves in a contract, a
// manifest of the tree or its lock.
func TestScanners(t *testing.T) {
	// What they find is made here: no file of this repository may have it.
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	const upper, lower, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
	aws := "AKIA" + letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
	github := "ghp_" + letters(upper+lower+digits, 36)
	password := letters(upper+lower+digits, 40)

	dir := scanned(t)
	if found := gitleaks(t, dir, "dir"); len(found) > 0 {
		t.Errorf("gitleaks finds in the example:\n%s", strings.Join(found, "\n"))
	}
	if found := gitleaks(t, dir, "git", "--staged"); len(found) > 0 {
		t.Errorf("gitleaks finds in what is staged:\n%s", strings.Join(found, "\n"))
	}
	if found := detectSecrets(t, dir); len(found) > 0 {
		t.Errorf("detect-secrets finds in the example:\n%s", strings.Join(found, "\n"))
	}
	// Without the allow-lists they do.
	if err := os.Rename(filepath.Join(dir, ".gitleaks.toml"), filepath.Join(dir, "..", "aside")); err != nil {
		t.Fatal(err)
	}
	if found := gitleaks(t, dir, "dir"); len(found) < 20 {
		t.Errorf("without its allow-list, gitleaks finds %d in the example: does it look at all?", len(found))
	}
	if err := os.Rename(filepath.Join(dir, "..", "aside"), filepath.Join(dir, ".gitleaks.toml")); err != nil {
		t.Fatal(err)
	}

	for name, leak := range map[string]struct {
		file, line, rule, kind string
	}{
		"AWS in a contract":    {"contract.cue", "\n// use " + aws + "\n", "aws-access-token", "AWS Access Key"},
		"GitHub in a contract": {"envs/dev/env.cue", "\n_token: \"" + github + "\"\n", "github-pat", "GitHub Token"},
		"AWS in a manifest":    {"deploy/dev/secrets/victor-ai-secrets.yaml", "    aws-key: " + aws + "\n", "aws-access-token", "AWS Access Key"},
		"GitHub in a manifest": {"deploy/production/secrets/grafana-credentials.yaml", "    admin-token: " + github + "\n", "github-pat", "GitHub Token"},
		"plain in a manifest":  {"deploy/dev/secrets/victor-ai-secrets.yaml", "    api-key: " + password + "\n", "generic-api-key", "Base64 High Entropy String"},
		"base64 in a manifest": {"deploy/dev/secrets/victor-ai-secrets.yaml", "    api-key: " + base64.StdEncoding.EncodeToString([]byte(password)) + "\n", "generic-api-key", "Base64 High Entropy String"},
		"a key of an operator": {"deploy/production-external/secrets/victor-ai-secrets.yaml", "    secretKey: " + password + "\n", "generic-api-key", "Secret Keyword"},
		"GitHub in a lock":     {"deploy/production/victorgen.lock", "# " + github + "\n", "github-pat", ""}, // detect-secrets passes over locks by itself
	} {
		t.Run(name, func(t *testing.T) {
			dir := scanned(t)
			f, err := os.OpenFile(filepath.Join(dir, leak.file), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString(leak.line)
			f.Close()
			gitIn(t, dir, "add", ".")
			if found := gitleaks(t, dir, "dir"); !slices.Contains(found, leak.file+" "+leak.rule) {
				t.Errorf("gitleaks finds %q", found)
			}
			if found := gitleaks(t, dir, "git", "--staged"); !slices.Contains(found, leak.file+" "+leak.rule) {
				t.Errorf("gitleaks finds in what is staged %q", found)
			}
			if found := detectSecrets(t, dir); leak.kind != "" && !slices.Contains(found, leak.file+" "+leak.kind) {
				t.Errorf("detect-secrets finds %q", found)
			}
		})
	}
}
