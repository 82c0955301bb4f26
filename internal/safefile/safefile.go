// Package safefile replaces a file so that at every moment, also after a crash,
// there is either all of the old content or all of the new.
//
// The new content is written to a file next to it, whose name begins with a dot
// and ends in digits; it is never readable by others before it is in its place.
// A process that is killed in between leaves that file behind: [Sweep] removes
// such files, for what they hold may be secret. Anyone who replaces the file or reads
// it sweeps: who writes holds a lock of what is written (flock(2), LockFileEx), which the kernel
// releases for a process that dies, so that no one takes away what is not done.
package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrUnsure is what an error wraps if the new content is in place, but the disk
// did not confirm that it would be after a crash.
var ErrUnsure = errors.New("it is written, but the disk does not confirm it")

// Pending is the new content of a file, which is not in its place yet.
type Pending struct {
	pending
	lock *os.File // open and locked; nil where there are no such locks
}

// Create starts a new content for file, and sweeps. One that is there keeps its mode;
// otherwise the mode is perm, without what the umask takes away.
func Create(file string, perm fs.FileMode) (Pending, error) {
	Sweep(file) // what is left of others is no reason not to write
	for {
		// In the same directory: not in the temporary one, which others can see.
		p, err := newPending(file, perm)
		if err != nil {
			return Pending{}, err
		}
		lock, swept := hold(p.Name(), true)
		if !swept {
			return Pending{p, lock}, nil
		}
		p.Cleanup() // another process has just swept it
	}
}

// hold locks a new content by a descriptor of its own, which lasts until it is in
// its place, and tells whether it is gone. The descriptor is nil if it can't be
// locked, or if someone holds it who is not to be waited for.
func hold(name string, wait bool) (lock *os.File, gone bool) {
	f, err := openToLock(name)
	if err != nil {
		return nil, errors.Is(err, fs.ErrNotExist)
	}
	if lockFile(f, wait) != nil {
		f.Close()
		return nil, false
	}
	locked, err := f.Stat()
	now, missing := os.Lstat(name)
	if err != nil || missing != nil || !os.SameFile(locked, now) {
		f.Close()
		return nil, true
	}
	return f, false
}

// Cleanup removes the content, unless it is in its place.
func (p Pending) Cleanup() error {
	defer p.lock.Close() // of a nil file, that is an error and no more
	return p.pending.Cleanup()
}

// Commit puts the content in its place.
func (p Pending) Commit(file string) error {
	defer p.lock.Close()
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

// Overwrite is Replace of a file that may be written, if it is there: one that may
// not be is not replaced either, which its directory alone decides.
func Overwrite(file string, data []byte, perm fs.FileMode) error {
	if w, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
		w.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return Replace(file, data, perm)
}

// Sweep removes what killed processes have left of new contents of files. What
// someone is writing stays.
func Sweep(files ...string) {
	wanted := map[string][]string{} // by directory
	for _, file := range files {
		dir, base := filepath.Split(file)
		wanted[filepath.Clean(dir)] = append(wanted[filepath.Clean(dir)], base)
	}
	for dir, bases := range wanted {
		for _, name := range hidden(dir) {
			if !slices.ContainsFunc(bases, func(base string) bool { return isPending(name, base) }) {
				continue
			}
			if lock, _ := hold(filepath.Join(dir, name), false); lock != nil {
				os.Remove(filepath.Join(dir, name))
				lock.Close()
			}
		}
	}
}

// listing is what hidden has found in a directory that changed last at a time.
type listing struct {
	changed time.Time
	names   []string
}

// listings are those of directories, which a thousand environments may have in common.
var listings sync.Map

// hidden are the regular files of a directory that may be new contents: those whose
// names begin with a dot and end in a digit. Of a directory that can't be read there
// are none.
func hidden(dir string) (names []string) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	if l, ok := listings.Load(dir); ok && l.(listing).changed.Equal(info.ModTime()) {
		return l.(listing).names
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && name[0] == '.' && '0' <= name[len(name)-1] && name[len(name)-1] <= '9' {
			names = append(names, name)
		}
	}
	if time.Since(info.ModTime()) > time.Second { // a change now would be seen by its time
		listings.Store(dir, listing{info.ModTime(), names})
	}
	return names
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
			return "", Dangling{leads(file)}
		}
	}
	return file, nil
}

// Dangling is the error of a symbolic link to a file that does not exist.
type Dangling struct{ Target string }

// Error implements error.
func (d Dangling) Error() string {
	return "it is a dangling link: " + d.Target + ", to which it leads, does not exist"
}

// leads returns where a link leads in the end, also if nothing is there.
func leads(file string) string {
	for range 40 { // as many links as Linux follows: path_resolution(7)
		target, err := os.Readlink(file)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(file), target)
		}
		file = target
	}
	return file
}

// hintMend is what to do about a link that leads to nothing.
const hintMend = "fix the link, or remove it"

// Explain says what there is in the place of a file that can't be opened or read,
// by the error of that, and what to do about it; nothing, if that depends on what
// the file is for.
func Explain(file string, err error) (reason, hint string) {
	if d, ok := errors.AsType[Dangling](err); ok {
		return d.Error(), hintMend
	}
	switch {
	case errors.Is(err, syscall.ELOOP):
		return "it is a circular link", hintMend
	case errors.Is(err, syscall.EISDIR):
		return "it is a directory", ""
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return Reason(err).Error(), ""
	}
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	missing := ""
	for at := file; at != filepath.Dir(at); at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			missing = at
			continue
		}
		link := info.Mode()&fs.ModeSymlink != 0
		info, err = os.Stat(at)
		switch {
		case link && err != nil && at == file:
			return Dangling{leads(at)}.Error(), hintMend
		case link && err != nil:
			return "it does not exist, because " + at + " is a dangling link: " + leads(at) + ", to which it leads, does not exist", hintMend
		case err == nil && !info.IsDir() && at != file:
			return "it does not exist, because " + at + " is not a directory", ""
		}
		break
	}
	if missing != file && missing != "" {
		return "it does not exist, nor does the directory " + missing, "make the directory, or correct the path"
	}
	return "it does not exist", ""
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
// does it: mode is "600", or what else chmod takes. That a contract
// names a file outside of the module, also by way of a link, is no reason to change
// its mode; then it is a sentence. An empty module is none.
func HintClose(mode, file, module string) string {
	if module != "" {
		real, err := filepath.EvalSymlinks(file)
		root, failed := filepath.EvalSymlinks(module)
		rel, apart := filepath.Rel(root, real)
		if err != nil || failed != nil || apart != nil || !filepath.IsLocal(rel) {
			return "it is outside the module: check who owns and uses it before changing its mode; or name another one in the contract"
		}
	}
	return "chmod " + mode + " " + file
}
