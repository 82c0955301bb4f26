//go:build unix

package dirlock

import (
	"context"
	"errors"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, dir, cancel); !errors.Is(err, context.Canceled) {
		t.Fatalf("a second lock of a locked directory: got %v, want it to wait until the context ends", err)
	}

	second := make(chan error)
	go func() {
		unlock2, err := Lock(t.Context(), dir, unlock) // the first lets go once the second waits
		if err == nil {
			unlock2()
		}
		second <- err
	}()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(t.Context(), dir+"/none", nil); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}
