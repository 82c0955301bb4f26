package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/internal/dirlock"
)

// TestSweepPrivate: what a killed process has left of values is gone with the next
// rotation, and what another one is using is not.
func TestSweepPrivate(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", base)
	dirs := map[string]string{}
	for _, name := range []string{"left", "used", "new"} {
		dirs[name] = filepath.Join(base, privatePrefix+name)
		writeFile(t, filepath.Join(dirs[name], "KEY.new"), "x")
		if name == "new" {
			continue
		}
		hour := time.Now().Add(-time.Hour)
		if err := os.Chtimes(dirs[name], hour, hour); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := dirlock.Lock(t.Context(), dirs["used"])
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if code, _, stderr := victorgen(t, "rotate", filepath.Join(copyExample(t), "envs", "dev"), "--due", "--dry-run"); code == exitUsage {
		t.Fatal(stderr)
	}
	for name, dir := range dirs {
		if _, err := os.Stat(dir); os.IsNotExist(err) != (name == "left") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
