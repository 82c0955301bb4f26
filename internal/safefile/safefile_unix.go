//go:build unix

package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

type pending struct{ *renameio.PendingFile }

func newPending(file string, perm fs.FileMode) (pending, error) {
	p, err := renameio.NewPendingFile(file, renameio.WithTempDir(filepath.Dir(file)),
		renameio.WithPermissions(perm), renameio.WithExistingPermissions())
	return pending{p}, err
}

func openToLock(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
}

func lockFile(f *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	return syscall.Flock(int(f.Fd()), how)
}

// SyncDir makes the entries of a directory durable, where the file system
// knows how to.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// ForOthers reports whether a file lets others than its owner do what mode says: 0o022 is
// to write, 0o077 is anything.
func ForOthers(info fs.FileInfo, mode fs.FileMode) bool { return info.Mode().Perm()&mode != 0 }

// Private reports whether dir is a directory, and no link to one, of the user's that
// only the user may look into.
func Private(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || ForOthers(info, 0o077) {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
