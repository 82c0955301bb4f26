package safefile

import (
	"errors"
	"os"
	"path/filepath"
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
