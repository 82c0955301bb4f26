//go:build unix

// Package dirlock locks a directory against other processes that do the same.
package dirlock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// poll is how often a waiting Lock tries again. flock cannot wait and listen to
// a context at once.
const poll = 50 * time.Millisecond

// Lock takes an advisory lock on dir and returns a function that releases it.
// While somebody else holds the lock it waits until ctx ends; waiting, if not
// nil, is called once before the first wait. The lock is on the directory's
// own inode, so no file is left behind, and the system releases it when the
// process dies. Two Locks of one process exclude each other too.
func Lock(ctx context.Context, dir string, waiting func()) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("%s is locked by another victorgen: %w", dir, context.Cause(ctx))
		case <-time.After(poll):
		}
	}
}
