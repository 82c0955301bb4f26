package git

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestIgnored(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("repo/.gitignore", "*.env\n!kept.env\n\\!odd\n/values/\ntracked.env\n")
	write("repo/tracked.env", "")
	write("repo/nested/.git", "is no repository\n")
	write("plain/a.env", "")
	for _, args := range [][]string{{"init", "-q"}, {"add", "-f", "tracked.env"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = filepath.Join(dir, "repo")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	trace := filepath.Join(dir, "trace")
	t.Setenv("GIT_TRACE", trace)
	started := func() int {
		text, _ := os.ReadFile(trace)
		return strings.Count(string(text), "built-in: git check-ignore")
	}

	ctx, end := Together(t.Context())
	defer end()
	tests := []struct {
		file           string
		ignored, known bool
	}{
		{"repo/a.env", true, true},
		{"repo/a b\nc.env", true, true},
		{"repo/пароль.env", true, true},
		{"repo/kept.env", false, true},
		{"repo/!odd", true, true},
		{"repo/values/VALUE", true, true},
		{"repo/tracked.env", false, true},
		{"repo/b.txt", false, true},
		{"repo/deep/er/that/is/not/there.env", true, true},
		{"plain/a.env", false, false},
	}
	var wg sync.WaitGroup
	for n := range 100 {
		test := tests[n%len(tests)]
		wg.Go(func() {
			if ignored, known := Ignored(ctx, filepath.Join(dir, test.file)); ignored != test.ignored || known != test.known {
				t.Errorf("Ignored(%q) = %v, %v; want %v, %v", test.file, ignored, known, test.ignored, test.known)
			}
		})
	}
	wg.Wait()
	if n := started(); n != 1 {
		t.Errorf("%d Gits answered them, want 1", n)
	}

	// What Git can't answer ends it, and nothing but this question.
	if _, known := Ignored(ctx, filepath.Join(dir, "repo/nested/a.env")); known {
		t.Error("Git knows of a directory whose repository is broken")
	}
	if ignored, known := Ignored(ctx, filepath.Join(dir, "repo/a.env")); !ignored || !known {
		t.Error("after a question that it can't answer, it answers none")
	}

	// A context that is over has no Git, and one without a session has its own.
	if _, known := Ignored(func() context.Context { c, stop := context.WithCancel(t.Context()); stop(); return c }(), filepath.Join(dir, "repo/a.env")); known {
		t.Error("an answer for no one")
	}
	before := started()
	if ignored, known := Ignored(t.Context(), filepath.Join(dir, "repo/a.env")); !ignored || !known || started() != before+1 {
		t.Errorf("without a session: %v, %v, %d Gits", ignored, known, started()-before)
	}
}
