package snapshot_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/snapshot"
)

// TestSnapshot: what is copied stays in the copy, whatever the links of a revision or
// a directory say; and the copy goes, also if the work is ended.
func TestSnapshot(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git")
	}
	repo, temp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	beside := filepath.Join(t.TempDir(), "beside")
	if err := os.WriteFile(beside, []byte("c4nary"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"a/good.cue": "good", "a/b/c/deep.cue": "deep", "other.txt": "other", "a b/\"q\"\n.cue": "odd"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(repo, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"in.cue": "a/good.cue", "dir": "a/b", "absolute.cue": beside, "climbs.cue": "../../../../../../../../../../" + beside,
		"up": "..", "a/b/c/over": "../../../../..", "chain": "a/b/c/over/../..", "itself": "itself",
	} {
		if err := os.Symlink(target, filepath.Join(repo, name)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=x", "-c", "user.email=x@x.test"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q")
	run("add", ".")
	run("commit", "-q", "-m", "x")
	revision, err := git.FindRevision(t.Context(), repo, "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(context.Context) (*snapshot.Snapshot, error){
		"revision":  func(ctx context.Context) (*snapshot.Snapshot, error) { return snapshot.OfRevision(ctx, revision) },
		"directory": func(ctx context.Context) (*snapshot.Snapshot, error) { return snapshot.OfDirectory(ctx, repo, ".") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Add(ctx, ".", func(path string) bool { return strings.HasSuffix(path, ".cue") }); err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string]string{
				"a/good.cue": "good", "in.cue": "good", "dir/c/deep.cue": "deep", "a b/\"q\"\n.cue": "odd",
				"other.txt": "", "absolute.cue": "", "climbs.cue": "", "up": "", "a/b/c/over": "", "chain": "",
			} {
				got, _ := os.ReadFile(filepath.Join(s.Root, file))
				if string(got) != want {
					t.Errorf("%s is %q, not %q", file, got, want)
				}
				if real, err := filepath.EvalSymlinks(filepath.Join(s.Root, file)); err == nil && !s.Has(real) {
					t.Errorf("%s leads out of the copy, to %s", file, real)
				}
			}
			if err := s.Add(ctx, "other.txt", func(string) bool { return true }); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(filepath.Join(s.Root, "other.txt")); string(got) != "other" {
				t.Errorf("other.txt is %q", got)
			}
			entries, _ := os.ReadDir(temp)
			if len(entries) != 1 {
				t.Fatalf("there are %d directories", len(entries))
			}
			if info, _ := entries[0].Info(); info.Mode().Perm() != 0o700 {
				t.Errorf("others can read the copy: %v", info.Mode())
			}
			// What climbs out of the copy is told from what is absolute.
			if at, ok := s.Place(filepath.Join(s.Root, "a", "..", "..", "x"), "/repo"); !ok || at != "/x" {
				t.Errorf("Place = %s, %v", at, ok)
			}
			if _, ok := s.Place("/etc/shadow", "/repo"); ok {
				t.Error("an absolute path is one of the copy")
			}
			cancel()
			for range 1000 {
				if entries, _ := os.ReadDir(temp); len(entries) == 0 {
					break
				}
			}
			s.Close()
			if entries, _ := os.ReadDir(temp); len(entries) != 0 {
				t.Error("the copy is left behind")
			}
			if err := s.Add(context.Background(), "a", func(string) bool { return true }); err == nil && len(entries) > 0 {
				if entries, _ := os.ReadDir(temp); len(entries) != 0 {
					t.Error("the copy is made anew")
				}
			}
		})
	}
}
