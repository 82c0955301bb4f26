package safefile

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// pending does what renameio does, which is not for Windows: there, a rename that
// replaces a file is not said to be one step, though NTFS makes it one.
type pending struct {
	*os.File
	file string
	done *bool
}

func newPending(file string, _ fs.FileMode) (pending, error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file))
	return pending{f, file, new(bool)}, err
}

// Cleanup removes the content, unless it is in its place.
func (p pending) Cleanup() error {
	if *p.done {
		return nil
	}
	p.Close() // which it may be
	return os.Remove(p.Name())
}

// CloseAtomicallyReplace puts the content in its place.
func (p pending) CloseAtomicallyReplace() error {
	if err := p.Sync(); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	if err := os.Rename(p.Name(), p.file); err != nil {
		return err
	}
	*p.done = true
	return nil
}

// openToLock opens a file so that it can be moved meanwhile.
func openToLock(name string) (*os.File, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(path, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

// lockFile locks a byte that no file has, for a lock of Windows keeps others from
// reading and writing what it covers.
func lockFile(f *os.File, wait bool) error {
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if !wait {
		flags |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: math.MaxInt32})
}

// SyncDir makes the entries of a directory durable, which NTFS does by itself.
func SyncDir(string) error { return nil }

// ForOthers reports whether a file lets others than its owner do what mode says, which
// no mode tells here: who may do what is in access control lists, and these are
// not looked at.
func ForOthers(fs.FileInfo, fs.FileMode) bool { return false }

// Private reports whether dir is a directory, and no link to one. Whose it is stands in
// access control lists, as for ForOthers.
func Private(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir()
}
