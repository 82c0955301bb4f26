package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSwap: the new tree takes the place of the old one, or an error says why not
// and the old one is there.
func TestSwap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exchange error
		first    bool // there is no old tree
		want     error
		text     string
	}{
		"at once":                {nil, false, nil, "new"},
		"by two renames":         {errors.ErrUnsupported, false, nil, "new"},
		"by two, too":            {syscall.EINVAL, false, nil, "new"},
		"the first":              {fs.ErrNotExist, true, nil, "new"},
		"not for a failing disk": {syscall.EIO, false, syscall.EIO, "old"},
	} {
		at := place{t.TempDir(), "tree"}
		write := func(dir, text string) {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(at.stage(), "new")
		if !c.first {
			write(at.dir(), "old")
		}
		err := at.swap(func(a, b string) error {
			if c.exchange == nil {
				between := filepath.Join(at.parent, "between")
				return errors.Join(os.Rename(a, between), os.Rename(b, a), os.Rename(between, b))
			}
			return c.exchange
		})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(filepath.Join(at.dir(), "f")); string(text) != c.text {
			t.Errorf("%s: the tree is %q, %v", name, text, err)
		}
		if _, err := os.Lstat(at.old()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the old tree is left over", name)
		}
	}
}
