// Package dirlock keeps two processes from writing to one directory, or one
// file, at once.
//
// The lock is an advisory one (flock(2)) on the directory itself, so nothing
// is left behind in it, and the kernel releases the lock of a process that
// dies. Windows has no lock of a directory: there it is a file, in the directory for temporary
// files of the user, that goes with who holds it. It holds between goroutines too: each
// [Lock] has its own descriptor. So a goroutine that locks a directory twice waits for itself.
package dirlock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// interval is how long Lock waits before it tries again. flock can wait by
// itself, but then no context could end the wait.
const interval = 20 * time.Millisecond

// Lock takes the lock of dir, a directory or a file, and returns what releases it. While
// someone else holds the lock it waits until ctx ends, and then returns the
// cause. If it has to wait it first calls each of waiting, once.
//
// The error is also that of a directory which cannot be opened, or of a file
// system that has no such locks.
func Lock(ctx context.Context, dir string, waiting ...func()) (unlock func(), err error) {
	for {
		d, err := try(dir)
		if err == nil {
			return func() { d.Close() }, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, fmt.Errorf("cannot lock %s: %w", dir, err)
		}
		for _, f := range waiting {
			f()
		}
		waiting = nil
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is locked by another process: %w", dir, context.Cause(ctx))
		case <-time.After(interval):
		}
	}
}

// errHeld says that it is worth to try again.
var errHeld = errors.New("held")
