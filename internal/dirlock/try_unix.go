//go:build unix

package dirlock

import (
	"errors"
	"os"
	"syscall"
)

// try returns dir, open and locked.
func try(dir string) (*os.File, error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller names the directory
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.Close()
		if err == syscall.EWOULDBLOCK || err == syscall.EINTR {
			return nil, errHeld
		}
		return nil, err
	}
	// Anyone who held the lock may have put another directory in this place.
	locked, err := d.Stat()
	if err != nil {
		d.Close()
		return nil, err
	}
	if now, err := os.Stat(dir); err != nil || !os.SameFile(locked, now) {
		d.Close()
		return nil, errHeld
	}
	return d, nil
}
