package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	if err := Replace(file, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), ".f1234"), []byte("of a killed process"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Replace(file, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	info, err := os.Stat(file)
	if err != nil || string(text) != "two" || info.Mode() != 0o400 {
		t.Errorf("got %q, %v, %v", text, info.Mode(), err)
	}
	if err := Replace(filepath.Join(file, "below"), nil, 0o600); err == nil || errors.Is(err, ErrUnsure) {
		t.Errorf("got %v", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(file)); len(names) != 1 {
		t.Errorf("left: %v", names)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".secrets")
	stays := []string{".secrets", ".secrets1", "..secrets", "..secrets1x", "..secrets.dev1", "..secrets-1"}
	for _, name := range append([]string{"..secrets1", "..secrets1234567890"}, stays...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writing, err := Create(filepath.Join(dir, ".secrets"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(dir); len(names) != len(stays)+1 {
		t.Errorf("left by who writes: %v", names)
	}
	Sweep(file, filepath.Join(dir, "none", "f"))
	if _, err := os.Stat(writing.Name()); err != nil {
		t.Errorf("what somebody writes is gone: %v", err)
	}
	if err := writing.Commit(file); err != nil {
		t.Error(err)
	}
	abandoned, err := Create(file, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	abandoned.lock.Close() // as the kernel does for a process that dies
	Sweep(filepath.Join(dir, "other"), file)
	if names, _ := os.ReadDir(dir); len(names) != len(stays) {
		t.Errorf("left: %v", names)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, link := filepath.Join(dir, "f"), filepath.Join(dir, "l")
	if got, err := Follow(file); err != nil || got != file {
		t.Errorf("of none: %s, %v", got, err)
	}
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	if _, err := Follow(link); !errors.As(err, new(Dangling)) {
		t.Errorf("of a dangling link: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Follow(link); err != nil || got != file {
		t.Errorf("of a link: %s, %v", got, err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	links := map[string]string{"dangling": "nowhere", "chain": "dangling", "circle": "circle", "absolute": "/nowhere/at/all", "to-file": "file", "to-dir": "dir"}
	for name, target := range links {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(at("file"), nil, 0o600), os.Mkdir(at("dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none":         "it does not exist",
		"no/such/file": "it does not exist, nor does the directory DIR/no; make the directory, or correct the path",
		"dir/no/file":  "it does not exist, nor does the directory DIR/dir/no; make the directory, or correct the path",
		"to-dir/none":  "it does not exist",
		"file/below":   "it does not exist, because DIR/file is not a directory",
		"to-file/x":    "it does not exist, because DIR/to-file is not a directory",
		"dangling":     "it is a dangling link: DIR/nowhere, to which it leads, does not exist; fix the link, or remove it",
		"chain":        "it is a dangling link: DIR/nowhere, to which it leads, does not exist; fix the link, or remove it",
		"absolute":     "it is a dangling link: /nowhere/at/all, to which it leads, does not exist; fix the link, or remove it",
		"dangling/x":   "it does not exist, because DIR/dangling is a dangling link: DIR/nowhere, to which it leads, does not exist; fix the link, or remove it",
		"circle":       "it is a circular link; fix the link, or remove it",
		"circle/x":     "it is a circular link; fix the link, or remove it",
		"dir":          "it is a directory",
	} {
		_, err := os.ReadFile(at(name))
		if err == nil {
			t.Fatalf("%s can be read", name)
		}
		reason, hint := Explain(at(name), err)
		if got := strings.ReplaceAll(strings.TrimSuffix(reason+"; "+hint, "; "), dir, "DIR"); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if reason, _ := Explain(at("file"), &os.PathError{Op: "open", Path: at("file"), Err: os.ErrPermission}); reason != "permission denied" {
		t.Errorf("got %s", reason)
	}
}

// TestReplaceWhileSwept: who sweeps takes nothing away from who writes.
func TestReplaceWhileSwept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	done := make(chan struct{})
	var sweeping sync.WaitGroup
	for range 3 {
		sweeping.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					Sweep(file)
				}
			}
		})
	}
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for range 25 {
				if err := Replace(file, []byte("whole"), 0o600); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	sweeping.Wait()
	if names, _ := os.ReadDir(filepath.Dir(file)); len(names) != 1 {
		t.Errorf("left: %v", names)
	}
}
