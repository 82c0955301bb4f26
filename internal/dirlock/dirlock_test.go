package dirlock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLockExcludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	var held, n atomic.Int32 // atomic because the race detector does not see the kernel's locks
	for range 8 {
		wg.Go(func() {
			unlock, err := Lock(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if h := held.Add(1); h != 1 {
				t.Errorf("%d hold the lock", h)
			}
			n.Add(1)
			held.Add(-1)
		})
	}
	wg.Wait()
	if n.Load() != 8 {
		t.Errorf("lock was held %d times, want 8", n.Load())
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLockWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := Lock(t.Context(), dir, func() { t.Error("said to wait for a free lock") })
	if err != nil {
		t.Fatal(err)
	}
	waits := 0
	second, err := Lock(t.Context(), dir, func() { waits++; unlock() })
	if err != nil {
		t.Fatal(err)
	}
	defer second()
	if waits != 1 {
		t.Errorf("told %d times that it waits, want once", waits)
	}
}

func TestLockEndsWithContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := Lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	if _, err := Lock(ctx, dir, func() { cancel(why) }); !errors.Is(err, why) {
		t.Errorf("got error %v, want %v", err, why)
	}
}

// A directory may be replaced by its holder: the next one must lock the new one.
func TestLockFollowsReplacedDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tree")
	mkdir := func() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mkdir()
	unlock, err := Lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Lock(t.Context(), dir, func() {
		if err := os.Rename(dir, dir+".old"); err != nil {
			t.Fatal(err)
		}
		mkdir()
		unlock()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer second()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, dir, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("locked a second time: %v", err)
	}
}

func TestLockRefuses(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	if _, err := Lock(t.Context(), none); err == nil {
		t.Errorf("%s was locked", none)
	}
}

// A file that its owner replaces under the lock is locked in its new form.
func TestLockFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unlock, err := Lock(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error)
	waiting := make(chan struct{})
	go func() {
		second, err := Lock(context.Background(), file, func() { close(waiting) })
		if err == nil {
			defer second()
		}
		locked <- err
	}()
	<-waiting
	if err := os.WriteFile(file+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
}
