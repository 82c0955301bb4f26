package tree

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzForgedLock: whatever a lock says, neither a build nor --prune removes,
// replaces or follows a file that victorgen has not written.
func FuzzForgedLock(f *testing.F) {
	for _, files := range []string{
		`["mine.yaml"]`, `["docs/notes.md", "secrets/app.yaml"]`, `["../beside.txt"]`, `["/etc/passwd"]`, `["docs"]`, `["link"]`, `["link/beside.txt"]`,
		`["docs/../mine.yaml"]`, `["./mine.yaml"]`, `["MINE.YAML"]`, `["docs//notes.md"]`, `["victorgen.lock"]`, `["kustomization.yaml"]`, `["a\\..\\b"]`, `["\0"]`,
	} {
		f.Add([]byte("version: 2\nenvironment: production\nfiles: " + files + "\nsecrets: []\n"))
	}
	f.Add([]byte(goodLock))
	f.Add([]byte("version: 2\nenvironment: production\nfiles: [mine.yaml]\nsecrets:\n- {namespace: a, name: b, file: mine.yaml, keys: {k: {stamp: x}}}\n"))
	f.Add([]byte("version: 2\nenvironment: production\naccepted: [a]\ninputs: {A: {place: x, present: true}}\n"))
	foreign := map[string]string{
		"production/mine.yaml": "mine", "production/docs/notes.md": "# mine\n", "production/secrets/other.yaml": "mine", "production/empty": "", "beside.txt": "beside",
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, do := range map[string]func(dir string){
			"write": func(dir string) {
				Read(dir)
				treeB().Write(t.Context(), dir)
			},
			"remove": func(dir string) { Remove(dir, false) },
		} {
			root := t.TempDir()
			dir := filepath.Join(root, "production")
			for name, text := range foreign {
				put(t, root, name, text)
			}
			put(t, dir, "secrets/app.yaml", Header+"ours")
			if err := os.Symlink("..", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			put(t, dir, LockFile, string(data))
			do(dir)
			got := onDisk(t, root)
			maps.DeleteFunc(got, func(name, _ string) bool { _, ok := foreign[name]; return !ok })
			if diff := cmp.Diff(foreign, got); diff != "" {
				t.Errorf("%s (-was +is)\n%s", name, diff)
			}
			if target, err := os.Readlink(filepath.Join(dir, "link")); err != nil || target != ".." {
				t.Errorf("%s: the link is %q, %v", name, target, err)
			}
		}
	})
}
