package tree

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Write puts the tree in place of the one in dir, all of it at once: anyone who
// looks, and be it after a crash, finds the old tree or the new one. The new
// one is built in a directory next to dir, then the two are exchanged. Files in
// dir that the lock there does not list are not ours: they go along as they
// are. If no file differs, nothing is touched.
//
// The directory above dir must be there. dir may be a symbolic link. The
// caller sees to it that no one else writes to dir meanwhile.
//
// The error is ctx's, or [plan.Diagnostics] of the codes [plan.CodeTreeWrite],
// [plan.CodeTreeForeign] (a file that is not ours is in the way, or the tree
// of another environment is there) and [plan.CodeLockRead]. After an error the
// old tree is intact.
func (t *Tree) Write(ctx context.Context, dir string) error {
	return t.write(ctx, dir, exchange)
}

// write is Write with a choice of how to exchange two directories.
func (t *Tree) write(ctx context.Context, dir string, exchange func(a, b string) error) error {
	var ds plan.Diagnostics
	failed := func(err error) error {
		ds.Errorf(plan.CodeTreeWrite, nil, "the old tree is unchanged; make room or give permission, and build again",
			"cannot write the tree to %s: %v", dir, err)
		return ds
	}
	at, err := locate(dir)
	if err != nil {
		return failed(err)
	}
	if err := errors.Join(at.recover(), at.clean()); err != nil {
		return failed(err)
	}
	safefile.Sweep(filepath.Join(at.dir(), LockFile)) // of Accept
	owned, problems := t.ownedIn(at.dir())
	if problems.HasErrors() {
		return problems
	}
	if same, err := t.isIn(at.dir(), owned); err != nil {
		return failed(err)
	} else if same {
		return nil
	}
	err = t.stage(ctx, at, owned)
	if err == nil {
		err = at.swap(exchange)
	}
	if err != nil {
		at.clean() // if that fails too, the next Write tries again
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return failed(err)
	}
	return nil
}

// ownedIn returns the files in dir that are ours. It is an error if any other
// is in the way of a file of t.
func (t *Tree) ownedIn(dir string) (map[string]bool, plan.Diagnostics) {
	var ds plan.Diagnostics
	owned := map[string]bool{}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return owned, nil
	} else if err != nil {
		reason, hint := safefile.Explain(dir, err)
		ds.Errorf(plan.CodeTreeWrite, nil, cmp.Or(hint, "name a directory"), "cannot write a tree to %s: %s", dir, reason)
		return nil, ds
	}
	defer root.Close()

	old, ds := ReadLock(root)
	if ds.HasErrors() {
		return nil, ds
	}
	if old != nil {
		owned[LockFile] = true
		for _, name := range old.Files {
			if data, err := ReadRegular(root, name); err == nil && IsOurs(data) {
				owned[name] = true
			}
		}
		if own, problems := parseLock(t.Files[LockFile], ""); problems.HasErrors() {
			return nil, problems
		} else if own.Environment != old.Environment {
			ds.Errorf(plan.CodeTreeForeign, nil, "build into another directory, or remove this one",
				"%s holds the tree of environment %q, not of %q", dir, old.Environment, own.Environment)
			return nil, ds
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Files)) {
		for at := name; at != "."; at = path.Dir(at) {
			info, err := root.Lstat(at)
			if err != nil { // not there, or below what is not a directory, which comes next
				continue
			}
			if at == name && owned[name] && !info.IsDir() || at != name && info.IsDir() {
				continue
			}
			why := LockFile + " does not list it"
			if at == name && !info.IsDir() && old != nil && slices.Contains(old.Files, name) {
				why = "it was not written by victorgen, although " + LockFile + " says"
			}
			ds.Errorf(plan.CodeTreeForeign, nil,
				"move it away; or restore "+LockFile+" if victorgen wrote it",
				"%s is in the way of the tree, and %s", filepath.Join(dir, at), why)
		}
	}
	ds.Sort()
	return owned, ds
}

// isIn reports whether dir has the files of t, and no others that are owned.
func (t *Tree) isIn(dir string, owned map[string]bool) (bool, error) {
	for name := range owned {
		if _, ok := t.Files[name]; !ok {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				return false, nil
			}
		}
	}
	for name, data := range t.Files {
		if same, err := isFile(filepath.Join(dir, name), data); !same {
			return false, err
		}
	}
	return true, nil
}

// isFile reports whether a regular file holds just data.
func isFile(file string, data []byte) (bool, error) {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(data)) {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			err = nil
		}
		return false, err
	}
	got, err := os.ReadFile(file)
	return bytes.Equal(got, data), err
}

// CheckOurs returns an error if there is something called file that victorgen
// has not written, a link too.
func CheckOurs(file string) error {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s exists and is a link: nothing is written through a link", file)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s exists and is not a regular file", file)
	case info.Size() == 0: // and has nothing to lose
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	begins := make([]byte, len(Header))
	if _, err := io.ReadFull(f, begins); err != nil || string(begins) != Header {
		return fmt.Errorf("%s exists and was not written by victorgen", file)
	}
	return nil
}

// stage builds next to the directory what is to take its place.
func (t *Tree) stage(ctx context.Context, at place, owned map[string]bool) error {
	if err := os.Mkdir(at.stage(), 0o755); err != nil {
		return err
	}
	modes, err := at.stageForeign(ctx, owned)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(t.Files)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := at.stageFile(name, t.Files[name]); err != nil {
			return err
		}
	}
	return at.finishStage(modes)
}

// stageForeign takes along all that is not ours. It returns the modes that the
// directories have, by their names on the stage.
func (at place) stageForeign(ctx context.Context, owned map[string]bool) (map[string]fs.FileMode, error) {
	modes := map[string]fs.FileMode{}
	err := filepath.WalkDir(at.dir(), func(from string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && from == at.dir() {
			return nil // the first tree
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name, err := filepath.Rel(at.dir(), from)
		if err != nil {
			return err
		}
		to := filepath.Join(at.stage(), name)
		switch {
		case d.IsDir():
			info, err := d.Info()
			if err != nil {
				return err
			}
			modes[to] = info.Mode()
			if entries, err := os.ReadDir(from); err != nil || len(entries) > 0 {
				return err // made for the first file that needs it: what held our files alone may go
			}
			return os.MkdirAll(to, 0o755)
		case owned[filepath.ToSlash(name)]:
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return carry(from, to, d.Type())
	})
	return modes, err
}

// stageFile writes a file of ours, or takes it along if it stays as it is.
func (at place) stageFile(name string, data []byte) error {
	from, to := filepath.Join(at.dir(), name), filepath.Join(at.stage(), name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	same, err := isFile(from, data)
	if err != nil {
		return err
	}
	if same {
		return carry(from, to, 0)
	}
	return writeFile(to, bytes.NewReader(data), 0o644)
}

// finishStage makes the stage durable, and gives directories their modes.
func (at place) finishStage(modes map[string]fs.FileMode) error {
	var dirs []string
	err := filepath.WalkDir(at.stage(), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) { // deepest first: a mode may forbid to go below
		if err := safefile.SyncDir(dir); err != nil {
			return err
		}
		if mode, ok := modes[dir]; ok {
			if err := os.Chmod(dir, mode); err != nil {
				return err
			}
		}
	}
	return nil
}

// carry takes a file along as it is: as a second link, which shares all that
// the file has, or as a copy where there can be none.
func carry(from, to string, typ fs.FileMode) error {
	if typ&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	linkErr := os.Link(from, to)
	if linkErr == nil || !typ.IsRegular() {
		return linkErr
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := writeFile(to, in, 0o600); err != nil {
		return err
	}
	return errors.Join(os.Chmod(to, info.Mode()), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

func writeFile(name string, r io.Reader, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// place is where a tree lies: the directory base in parent. Next to it there
// may be two more: the stage, where the next tree is built and the one before
// is taken apart, and the old one, which is there only between the two renames
// that stand in for an exchange.
type place struct{ parent, base string }

func (at place) dir() string   { return filepath.Join(at.parent, at.base) }
func (at place) stage() string { return filepath.Join(at.parent, "."+at.base+stageSuffix) }
func (at place) old() string   { return filepath.Join(at.parent, "."+at.base+".victorgen-old") }

// stageSuffix ends the name of a stage, which another build may be writing just now.
const stageSuffix = ".victorgen-new"

// locate follows dir, if it is a symbolic link, to where the tree lies. The
// directory need not be there, the one above must.
func locate(dir string) (place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return place{}, err
	}
	for range 40 { // as many links as Linux follows: path_resolution(7)
		parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
		if err != nil {
			return place{}, err
		}
		at := place{parent, filepath.Base(dir)}
		link, err := os.Readlink(at.dir())
		if err != nil {
			return at, nil
		}
		if dir = link; !filepath.IsAbs(link) {
			dir = filepath.Join(parent, link)
		}
	}
	return place{}, fmt.Errorf("%s: too many symbolic links", dir)
}

// recover ends a swap that was interrupted between its two renames, by taking
// the first one back.
func (at place) recover() error {
	_, dirErr := os.Lstat(at.dir())
	_, oldErr := os.Lstat(at.old())
	if errors.Is(dirErr, fs.ErrNotExist) && oldErr == nil {
		return os.Rename(at.old(), at.dir())
	}
	return nil
}

// clean removes what an interrupted Write has left next to the directory.
func (at place) clean() error {
	var errs []error
	for _, dir := range []string{at.stage(), at.old()} {
		// On a read-only disk, it fails to remove even what is not there.
		if _, err := os.Lstat(dir); err == nil {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// swap puts the stage in place of the directory.
func (at place) swap(exchange func(a, b string) error) error {
	err := exchange(at.stage(), at.dir())
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		// The kernel or the file system cannot do it in one step.
		err = os.Rename(at.dir(), at.old())
	}
	if _, missing := os.Lstat(at.dir()); errors.Is(missing, fs.ErrNotExist) {
		// After the first of two renames, or because this is the first tree.
		if err = os.Rename(at.stage(), at.dir()); err != nil {
			err = errors.Join(err, at.recover())
		}
	}
	if err != nil {
		return err
	}
	// The new tree is in place, and nothing below is a reason to say that it is
	// not: the next Write cleans up what is left.
	safefile.SyncDir(at.parent)
	at.clean()
	return nil
}
