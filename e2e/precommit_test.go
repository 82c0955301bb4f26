package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const preCommitVersion = "4.7.0"

// preCommit runs pre-commit in a directory, with victorgen in PATH as someone has it
// who has installed it.
func preCommit(t *testing.T, dir string, args ...string) (out string, ok bool) {
	t.Helper()
	cmd := exec.Command(filepath.Join(pythonPrograms(t, "pre-commit", preCommitVersion), "pre-commit"), args...)
	cmd.Dir = dir
	bin := filepath.Join(t.TempDir(), "victorgen")
	if err := os.Symlink(built(t), bin); err != nil {
		t.Fatal(err)
	}
	goCache := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+string(os.PathListSeparator)+os.Getenv("PATH"), "PRE_COMMIT_HOME="+preCommitHome(t),
		// What a hook in Go is built from is there already.
		"GOMODCACHE="+goCache("GOMODCACHE"), "GOCACHE="+goCache("GOCACHE"), "GOFLAGS=-modcacherw")
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), err == nil
}

// preCommitHome is where pre-commit keeps its copies of repositories: one for all
// calls of a test.
func preCommitHome(t *testing.T) string {
	t.Helper()
	if home := os.Getenv("VICTORGEN_E2E_PRE_COMMIT"); home != "" {
		return home
	}
	home := t.TempDir()
	t.Setenv("VICTORGEN_E2E_PRE_COMMIT", home)
	return home
}

// newModule makes a module by init, with a certificate, and builds it.
func newModule(t *testing.T, dir string) {
	t.Helper()
	if _, stderr, code := victorgen(t, filepath.Dir(dir), nil, "init", dir); code != 0 {
		t.Fatal(stderr)
	}
	certificate, err := os.ReadFile("../fixtures/certificates/good.pem")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "envs", "dev", "sealing-cert.pem"), certificate, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := victorgen(t, dir, nil, "build", "envs/dev"); code != 0 {
		t.Fatal(stderr)
	}
}

// valueOf returns the value of an input that a module has generated.
func valueOf(t *testing.T, module, input string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, ".secrets.dev"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == input {
			return strings.Trim(v, "'")
		}
	}
	t.Fatalf("%s has no %s", module, input)
	return ""
}

// edit replaces a text in a file, or appends it if there is nothing to replace.
func edit(t *testing.T, file, old, text string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && old != "" {
		t.Fatal(err)
	}
	after := string(b) + text
	if old != "" {
		if after = strings.Replace(string(b), old, text, 1); after == string(b) {
			t.Fatalf("%s has no %q", file, old)
		}
	}
	if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hooksRepo is a repository of Git that has this one's files as they are now, so that
// pre-commit can take its hooks from there. It returns its revision, too.
func hooksRepo(t *testing.T) (dir, revision string) {
	t.Helper()
	dir = t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(strings.TrimSuffix(gitIn(t, root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00"), "\x00")
	for _, file := range files {
		if strings.HasPrefix(file, "e2e/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, file))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	gitIn(t, dir, "init", "-q")
	gitIn(t, dir, "add", "-A", "-f")
	gitIn(t, dir, "commit", "-q", "-m", "hooks")
	return dir, strings.TrimSpace(gitIn(t, dir, "rev-parse", "HEAD"))
}

// TestPreCommit: the hooks, as the real pre-commit runs them when something is
// committed, pass what is well and stop what is not; in a repository that is one
// module, with what init has written, and in one of several, built by Go and installed.
func TestPreCommit(t *testing.T) {
	preCommitHome(t)
	t.Run("init", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "shop")
		newModule(t, dir)
		gitIn(t, dir, "init", "-q")
		stages(t, dir, dir, func() (string, bool) { return preCommit(t, dir, "run") }, "victorgen vet", "victorgen scan")
	})
	repo, revision := hooksRepo(t)
	for _, variant := range []string{"", "-system"} {
		t.Run("monorepo"+variant, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "services"), 0o755); err != nil {
				t.Fatal(err)
			}
			gitIn(t, dir, "init", "-q")
			newModule(t, filepath.Join(dir, "services", "shop"))
			newModule(t, filepath.Join(dir, "services", "billing"))
			config := fmt.Sprintf("repos:\n  - repo: %s\n    rev: %s\n    hooks:\n", repo, revision)
			for _, hook := range []string{"vet", "check", "scan"} {
				config += "      - id: victorgen-" + hook + variant + "\n"
			}
			edit(t, filepath.Join(dir, ".pre-commit-config.yaml"), "", config)
			stages(t, dir, filepath.Join(dir, "services", "billing"), func() (string, bool) { return preCommit(t, dir, "run") },
				"victorgen vet", "victorgen build --check --offline", "victorgen scan --staged")

			// With args, of one module alone.
			edit(t, filepath.Join(dir, ".pre-commit-config.yaml"), "id: victorgen-vet"+variant, "id: victorgen-vet"+variant+"\n        args: [./services/shop/...]")
			edit(t, filepath.Join(dir, "services/billing/envs/dev/env.cue"), "", "\nnonsense: true\n")
			edit(t, filepath.Join(dir, "services/shop/envs/dev/env.cue"), "", "\n// more\n")
			gitIn(t, dir, "add", ".")
			if out, ok := preCommit(t, dir, "run", "victorgen-vet"+variant); !ok {
				t.Errorf("of another module:\n%s", out)
			}
		})
	}
	t.Run("manifest", func(t *testing.T) {
		if out, ok := preCommit(t, "..", "validate-manifest", ".pre-commit-hooks.yaml"); !ok {
			t.Error(out)
		}
	})
}

// stages commits what is well, and tries what is not, in a module of a repository.
func stages(t *testing.T, repo, module string, run func() (string, bool), hooks ...string) {
	t.Helper()
	gitIn(t, repo, "add", ".")
	out, ok := run()
	if !ok {
		t.Fatalf("what is well does not pass:\n%s", out)
	}
	for _, hook := range hooks {
		if !strings.Contains(out, hook) || strings.Contains(out, "Skipped") {
			t.Errorf("%s has not run:\n%s", hook, out)
		}
	}
	gitIn(t, repo, "commit", "-q", "-m", "well")
	// A file that is of no concern.
	edit(t, filepath.Join(module, "README.md"), "", "Hello\n")
	gitIn(t, repo, "add", ".")
	if out, ok := run(); !ok {
		t.Errorf("a README does not pass:\n%s", out)
	}
	wrong := func(what, want string, do func()) {
		do()
		gitIn(t, repo, "add", ".")
		out, ok := run()
		if ok || !strings.Contains(out, want) {
			t.Errorf("%s passes, or for another reason (%v):\n%s", what, ok, out)
		}
		gitIn(t, repo, "reset", "-q", "--hard", "HEAD")
	}
	wrong("a mistake in a contract", "error VG1007", func() { edit(t, filepath.Join(module, "envs/dev/env.cue"), "", "\nnonsense: true\n") })
	wrong("a value in a manifest", "error VG6201: the value of DB_PASSWORD is here, as plain text", func() {
		edit(t, filepath.Join(module, "values.yaml"), "", "db: "+valueOf(t, module, "DB_PASSWORD")+"\n")
	})
	if len(hooks) > 2 {
		wrong("a tree that is edited", "error VG4006", func() { edit(t, filepath.Join(module, "deploy/dev/kustomization.yaml"), "", "# mine\n") })
	}
}
