// Package tree is the files of an environment as they lie on disk: their names, how
// they are written, and the lock, which tells what was sealed, when and for whom.
// [Read] reads a tree, and [Tree.Write] puts one in the place of another. What is in
// a tree is public: nothing here opens a value, but to authenticate with the lock key
// what the lock says of it.
package tree

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Tree is the files of an emitted directory, all of them ours: the lock, and
// what it lists.
type Tree struct {
	Files map[string][]byte // by slash-separated path, relative to the directory
}

// Read reads the tree in dir: of the files there, those that the lock
// lists. A directory that is not there, or that has no lock, is the empty
// tree; so is a listed file that is gone just not in it. If a write was
// interrupted between its two renames, the directory is put back first.
//
// The diagnostics have the codes [plan.CodeLockRead] and [plan.CodeTreeRead];
// with an error among them the tree is nil.
func Read(dir string) (*Tree, plan.Diagnostics) {
	var ds plan.Diagnostics
	failed := func(err error) (*Tree, plan.Diagnostics) {
		reason, hint := safefile.Explain(dir, err)
		ds.Errorf(plan.CodeTreeRead, nil, cmp.Or(hint, "make it readable, or build into another directory"), "cannot read the tree in %s: %s", dir, reason)
		return nil, ds
	}
	at, err := locate(dir)
	if errors.Is(err, fs.ErrNotExist) { // nor is the directory above
		return &Tree{}, nil
	} else if err != nil {
		return failed(err)
	}
	if err := at.recover(); err != nil {
		return failed(err)
	}
	root, err := os.OpenRoot(at.dir())
	if errors.Is(err, fs.ErrNotExist) {
		return &Tree{}, nil
	} else if err != nil {
		return failed(err)
	}
	defer root.Close()

	l, ds := ReadLock(root)
	if ds.HasErrors() {
		return nil, ds
	}
	t := &Tree{Files: map[string][]byte{}}
	if l == nil {
		return t, nil
	}
	for _, name := range append(l.Files, LockFile) {
		data, err := ReadRegular(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return failed(fmt.Errorf("%s: %w", name, safefile.Reason(err)))
		}
		if name == LockFile || IsOurs(data) {
			t.Files[name] = data
		}
	}
	return t, ds
}

// IsOurs reports whether victorgen has written a file of a tree. That the lock
// lists it is not enough: anyone who edits the lock could have any file removed.
func IsOurs(data []byte) bool { return bytes.HasPrefix(data, []byte(Header)) }

// ReadLock reads the lock of a tree; nil if there is none.
func ReadLock(root *os.Root) (*Lock, plan.Diagnostics) {
	file := filepath.Join(root.Name(), LockFile)
	var ds plan.Diagnostics
	if info, err := root.Lstat(LockFile); err == nil && info.Size() > maxLockFile {
		ds.Errorf(plan.CodeLockRead, []plan.Pos{{File: file, Line: 1, Column: 1}}, hintLock, "%s: it is larger than %d MiB", LockFile, maxLockFile>>20)
		return nil, ds
	}
	data, err := ReadRegular(root, LockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		ds.Errorf(plan.CodeLockRead, nil, hintLock, "cannot read %s: %v", file, safefile.Reason(err))
		return nil, ds
	}
	return parseLock(data, file)
}

// notRegular says what a file is that is not regular. A link is not followed, not
// even to see whether there is anything.
func notRegular(root *os.Root, name string, info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular():
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := root.Readlink(name)
		return errors.Join(err, fmt.Errorf("it is a link, to %s, and not a regular file", target))
	case info.IsDir():
		return errors.New("it is a directory, and not a regular file")
	}
	return errors.New("it is not a regular file")
}

// ReadRegular reads a file that is no link, pipe or device.
func ReadRegular(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := notRegular(root, name, info); err != nil {
		return nil, err
	}
	return root.ReadFile(name)
}

// Kind says how a file differs between two trees.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Changed Kind = "changed"
	Removed Kind = "removed"
)

// Change is a file that differs between two trees.
type Change struct {
	Path string `json:"path"`
	Kind Kind   `json:"kind"`
}

// Diff returns what leads from old to new, sorted by path. A nil tree is
// empty.
func Diff(old, new *Tree) []Change {
	var changes []Change
	was, is := old.files(), new.files()
	for name, data := range is {
		if before, ok := was[name]; !ok {
			changes = append(changes, Change{name, Added})
		} else if !bytes.Equal(before, data) {
			changes = append(changes, Change{name, Changed})
		}
	}
	for name := range maps.Keys(was) {
		if _, ok := is[name]; !ok {
			changes = append(changes, Change{name, Removed})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes
}

// OnlyRenews reports whether all that leads from old to new is that the lock is
// written in a later version.
func OnlyRenews(old, new *Tree) bool {
	changes := Diff(old, new)
	if len(changes) != 1 || changes[0] != (Change{LockFile, Changed}) {
		return false
	}
	was, _ := old.Lock()
	is, _ := new.Lock()
	return was != nil && is != nil && was.Version < is.Version
}

// Lock reads the lock of t; nil if there is none, or none that can be read.
func (t *Tree) Lock() (*Lock, plan.Diagnostics) {
	data, ok := t.files()[LockFile]
	if !ok {
		return nil, nil
	}
	return parseLock(data, "")
}

func (t *Tree) files() map[string][]byte {
	if t == nil {
		return nil
	}
	return t.Files
}
