package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// releases are the fixtures of each version of the language, by the digest of all files.
// One is never changed: anyone who must has broken what docs/compatibility.md promises.
var releases = map[string]string{
	"v1": "292ce0117bb0c649f7c192ecb72de9ec29e3b6f024820401129b8ac52f3baa2f",
}

// TestReleases: what an earlier version has written builds without a change, for good.
func TestReleases(t *testing.T) {
	for name, digest := range releases {
		fixture := filepath.Join("../../fixtures", name)
		h, files := sha256.New(), filesOf(t, fixture)
		for _, file := range slices.Sorted(maps.Keys(files)) {
			fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(file), len(files[file]), files[file])
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != digest {
			t.Errorf("%s was changed: its digest is %s", fixture, got)
		}
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
			t.Fatal(err)
		}
		values := filepath.Join(dir, ".secrets.sealed")
		if err := os.Rename(filepath.Join(dir, "secrets.sealed"), values); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(values, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"vet", dir + "/envs/..."},
			{"build", "--check", dir + "/envs/sealed"},
			{"build", "--check", "--offline", dir + "/envs/..."},
			{"build", dir + "/envs/sealed"},
			{"build", "--offline", dir + "/envs/external"},
		} {
			code, out, errs := victorgen(t, args...)
			if code != 0 || errs != "" || args[0] == "build" && !strings.Contains(out, ": unchanged ") {
				t.Errorf("%s, %v: exit %d\n%s%s", name, args, code, out, errs)
			}
		}
		after := filesOf(t, filepath.Join(dir, "deploy"))
		if before := filesOf(t, filepath.Join(fixture, "deploy")); !maps.Equal(before, after) {
			t.Errorf("%s: the trees have changed", name)
		}
	}
}
