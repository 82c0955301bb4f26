package tree

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Trees returns the trees in dir, by the name of their environment: directories of
// that name with a lock of it. It does not look at those that are known.
func Trees(dir string, known func(environment string) bool) map[string]string {
	trees := map[string]string{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() || known(e.Name()) {
			continue // nothing is removed through a link either
		}
		root, err := os.OpenRoot(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if l, _ := ReadLock(root); l != nil && l.Environment == e.Name() {
			trees[l.Environment] = root.Name()
		}
		root.Close()
	}
	return trees
}

// Remove removes the tree in dir: the files that its lock lists and that victorgen
// has written, the lock, and the directories that are empty then. It returns what
// it has removed, or would in a dry run, and what of all that is listed it has not.
// The diagnostics have the codes [plan.CodeLockRead] and [plan.CodeTreeWrite].
func Remove(dir string, dryRun bool) (removed, kept []string, ds plan.Diagnostics) {
	failed := func(err error) ([]string, []string, plan.Diagnostics) {
		ds.Errorf(plan.CodeTreeWrite, nil, "give the right to write there, and build again", "cannot remove the tree in %s: %v", dir, safefile.Reason(err))
		return removed, kept, ds
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return failed(err)
	}
	defer root.Close()
	l, ds := ReadLock(root)
	if l == nil {
		return nil, nil, ds
	}
	dirs := map[string]bool{}
	for _, name := range append(l.Files, LockFile) { // the lock last: after a crash one can go on
		data, err := ReadRegular(root, name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil || name != LockFile && !IsOurs(data) {
			kept = append(kept, name)
			continue
		}
		if !dryRun {
			if err := root.Remove(name); err != nil {
				return failed(err)
			}
		}
		removed = append(removed, name)
		for at := path.Dir(name); at != "."; at = path.Dir(at) {
			dirs[at] = true
		}
	}
	if dryRun {
		return removed, kept, ds
	}
	names := make([]string, 0, len(dirs))
	for name := range dirs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, name := range names {
		root.Remove(name) // which fails if something of someone else is in it
	}
	os.Remove(dir)
	return removed, kept, ds
}
