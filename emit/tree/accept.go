package tree

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Accept notes in the lock of the tree in dir that the next build may
// seal for a certificate, for the cluster itself has handed it out. Anyone who
// reviews the change sees both. It does nothing if there is no tree, or if the
// tree is sealed for it already.
func Accept(p *plan.Plan, dir, sha256 string) plan.Diagnostics {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	l, ds := ReadLock(root)
	if l == nil || l.Environment != p.Environment {
		return ds
	}
	if pins := l.Pins(); len(pins) == 0 || slices.Contains(pins, sha256) || slices.Contains(l.Accepted, sha256) {
		return ds
	}
	l.Accepted = append(l.Accepted, sha256)
	slices.Sort(l.Accepted)
	if err := safefile.Overwrite(filepath.Join(dir, LockFile), l.Marshal(), 0o644); err != nil {
		ds.Errorf(plan.CodeTreeWrite, nil, "make it writable, and fetch again", "cannot write %s: %v", filepath.Join(dir, LockFile), safefile.Reason(err))
	}
	return ds
}
