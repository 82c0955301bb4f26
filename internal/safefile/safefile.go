//go:build unix

// Package safefile replaces a file so that at every moment, also after a crash,
// there is either all of the old content or all of the new.
//
// The new content is written to a file beside it, whose name begins with a dot
// and ends in digits; it is never readable by others before it is in its place.
// A process that is killed in between leaves that file behind: [Sweep] removes
// such files, for what they hold may be secret.
package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// ErrUnsure is what an error wraps if the new content is in place, but the disk
// did not confirm that it would be after a crash.
var ErrUnsure = errors.New("it is in place, but the disk does not confirm that it is kept")

// Pending is the new content of a file, which is not in its place yet.
type Pending struct{ *renameio.PendingFile }

// Create starts a new content for file. One that is there keeps its mode;
// otherwise the mode is perm, without what the umask takes away.
func Create(file string, perm fs.FileMode) (Pending, error) {
	// In the same directory: not in the temporary one, which others can see.
	p, err := renameio.NewPendingFile(file, renameio.WithTempDir(filepath.Dir(file)),
		renameio.WithPermissions(perm), renameio.WithExistingPermissions())
	return Pending{p}, err
}

// Commit puts the content in its place.
func (p Pending) Commit(file string) error {
	if err := p.CloseAtomicallyReplace(); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(file)); err != nil { // the rename itself must be durable, too
		return fmt.Errorf("%w: %w", ErrUnsure, Reason(err))
	}
	return nil
}

// Replace puts data in the place of file, as Create and Commit do.
func Replace(file string, data []byte, perm fs.FileMode) error {
	p, err := Create(file, perm)
	if err != nil {
		return err
	}
	defer p.Cleanup()
	if _, err := p.Write(data); err != nil {
		return err
	}
	return p.Commit(file)
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

// Sweep removes what killed processes have left of new contents of file. The
// caller holds whatever lock those who replace the file hold, so that none of
// them is at work.
func Sweep(file string) error {
	dir, base := filepath.Split(file)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Type().IsRegular() && isPending(e.Name(), base) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// Stale reports whether there is anything for Sweep to do.
func Stale(file string) bool {
	dir, base := filepath.Split(file)
	entries, _ := os.ReadDir(filepath.Clean(dir))
	for _, e := range entries {
		if e.Type().IsRegular() && isPending(e.Name(), base) {
			return true
		}
	}
	return false
}

// isPending reports whether name is one that [os.CreateTemp] makes for a new
// content of base, as renameio calls it: a dot, base, and digits.
func isPending(name, base string) bool {
	digits, ok := strings.CutPrefix(name, "."+base)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// Follow returns the file itself where file is a symbolic link, or file if
// there is none. The error of a link to nothing says so.
func Follow(file string) (string, error) {
	for range 3 { // another process may make the file meanwhile
		target, err := filepath.EvalSymlinks(file)
		if err == nil {
			return target, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", Reason(err)
		}
		info, err := os.Lstat(file)
		switch {
		case err != nil:
			return file, nil
		case info.Mode()&fs.ModeSymlink != 0:
			if to, err := os.Readlink(file); err == nil {
				return "", Dangling{to}
			}
		}
	}
	return file, nil
}

// Dangling is the error of a symbolic link to a file that does not exist.
type Dangling struct{ Target string }

// Error implements error.
func (d Dangling) Error() string {
	return "it is a dangling link: " + d.Target + ", to which it points, does not exist"
}

// Reason is what err says but for the name of the file.
func Reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}

// HintClose says how to close a file to others than its owner, by the command that
// does it: mode is "600", or what else chmod takes. Whoever wrote a contract that
// names a file outside of the module, also by way of a link, is nobody to have its
// mode changed; then it is a sentence. An empty module is none.
func HintClose(mode, file, module string) string {
	if module != "" {
		real, err := filepath.EvalSymlinks(file)
		root, failed := filepath.EvalSymlinks(module)
		rel, apart := filepath.Rel(root, real)
		if err != nil || failed != nil || apart != nil || !filepath.IsLocal(rel) {
			return "it lies outside the module: see whose it is, and who needs it, before anybody changes its mode; or let the contract name another one"
		}
	}
	return "chmod " + mode + " " + file
}
