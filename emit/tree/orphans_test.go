package tree

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRemove: of a tree goes what victorgen has written, and the directories that are
// empty then, however deep they lie; what is someone's own stays.
func TestRemove(t *testing.T) {
	t.Parallel()
	tree := fakeTree("production", map[string]string{"kustomization.yaml": "A", "secrets/a.yaml": "A", "secrets/there/a.yaml": "A", "x/y/z/deep.yaml": "A", "kept/ours.yaml": "A"})
	ours := []string{"kept/ours.yaml", "kustomization.yaml", "secrets/a.yaml", "secrets/there/a.yaml", "victorgen.lock", "x/y/z/deep.yaml"}
	for name, foreign := range map[string]map[string]string{"alone": nil, "with somebody's own": {"kept/mine.yaml": "mine\n"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "production")
			mustWrite(t, tree, dir)
			for file, data := range foreign {
				put(t, dir, file, data)
			}
			before := onDisk(t, dir)
			removed, kept, ds := Remove(dir, true)
			slices.Sort(removed)
			if diff := cmp.Diff(ours, removed); diff != "" || len(kept) > 0 || len(ds) > 0 || !cmp.Equal(before, onDisk(t, dir)) {
				t.Errorf("a dry run: %v, kept %v, %v", diff, kept, ds)
			}
			removed, kept, ds = Remove(dir, false)
			slices.Sort(removed)
			if diff := cmp.Diff(ours, removed); diff != "" || len(kept) > 0 || len(ds) > 0 {
				t.Errorf("%v, kept %v, %v", diff, kept, ds)
			}
			if foreign == nil {
				if _, err := os.Lstat(dir); !os.IsNotExist(err) {
					t.Errorf("there is still %v", onDisk(t, dir))
				}
				return
			}
			if diff := cmp.Diff(map[string]string{"kept": "dir", "kept/mine.yaml": "mine\n"}, onDisk(t, dir)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}

	// What the lock lists and someone has put in its place is not ours.
	dir := filepath.Join(t.TempDir(), "production")
	mustWrite(t, tree, dir)
	put(t, dir, "secrets/a.yaml", "mine\n")
	if _, kept, ds := Remove(dir, false); !slices.Equal(kept, []string{"secrets/a.yaml"}) || len(ds) > 0 {
		t.Errorf("kept %v, %v", kept, ds)
	}
	if removed, kept, ds := Remove(dir, false); len(removed)+len(kept)+len(ds) > 0 {
		t.Errorf("without a lock it removes %v, keeps %v, %v", removed, kept, ds)
	}
}
