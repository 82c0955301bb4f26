package tree

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/fifo"
)

// fakeTree is a tree of an environment with the given files and their lock.
func fakeTree(environment string, files map[string]string) *Tree {
	t := &Tree{Files: map[string][]byte{}}
	l := &Lock{Version: LockVersion, Environment: environment}
	for name, data := range files {
		t.Files[name] = []byte(Header + data)
	}
	l.Files = slices.Sorted(maps.Keys(files))
	t.Files[LockFile] = l.Marshal()
	return t
}

func treeA() *Tree {
	return fakeTree("production", map[string]string{"kustomization.yaml": "A", "secrets/a.yaml": "A", "secrets/same.yaml": "same", "secrets/deep/er.yaml": "A"})
}

func treeB() *Tree {
	return fakeTree("production", map[string]string{"kustomization.yaml": "B", "secrets/b.yaml": "B", "secrets/same.yaml": "same", "other/b.yaml": "B"})
}

// onDisk describes all below dir: content of files, targets of links, "dir".
func onDisk(t testing.TB, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir():
			got[name] = "dir"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			got[name] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(p)
			got[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// asFiles is what onDisk should say of a tree, with more next to it.
func asFiles(tree *Tree, more map[string]string) map[string]string {
	want := map[string]string{}
	for name, data := range tree.Files {
		want[name] = string(data)
	}
	maps.Copy(want, more)
	for name := range maps.Clone(want) {
		for d := filepath.Dir(name); d != "."; d = filepath.Dir(d) {
			want[d] = "dir"
		}
	}
	return want
}

func expect(t testing.TB, dir string, tree *Tree, more map[string]string) {
	t.Helper()
	if diff := cmp.Diff(asFiles(tree, more), onDisk(t, dir)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", dir, diff)
	}
}

// expectAlone wants nothing next to dir.
func expectAlone(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(dir) {
			t.Errorf("%s is left beside %s", e.Name(), dir)
		}
	}
}

func mustWrite(t testing.TB, tree *Tree, dir string) {
	t.Helper()
	if err := tree.Write(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, dir, name, data string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(data), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// unsupported stands for a system that cannot exchange directories.
func unsupported(string, string) error { return errors.ErrUnsupported }

// exchanges are the two ways to put a directory in place.
var exchanges = map[string]func(a, b string) error{"exchange": exchange, "two renames": unsupported}

func TestWrite(t *testing.T) {
	t.Parallel()
	for name, exchange := range exchanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "production")
			write := func(tree *Tree) {
				t.Helper()
				if err := tree.write(context.Background(), dir, exchange); err != nil {
					t.Fatal(err)
				}
				expectAlone(t, dir)
			}
			write(treeA())
			expect(t, dir, treeA(), nil)
			if got, ds := Read(dir); len(ds) > 0 || cmp.Diff(treeA(), got) != "" {
				t.Errorf("read back: %v\n%s", ds, cmp.Diff(treeA(), got))
			}

			put(t, dir, "README.md", "mine")
			put(t, dir, "secrets/run.sh", "mine too")
			put(t, dir, "patches/x/p.yaml", "and mine")
			if err := errors.Join(
				os.Chmod(filepath.Join(dir, "secrets/run.sh"), 0o750),
				os.Chmod(filepath.Join(dir, "patches"), 0o700),
				os.Mkdir(filepath.Join(dir, "empty"), 0o755),
				os.Symlink("../elsewhere", filepath.Join(dir, "link")),
				os.Symlink("secrets", filepath.Join(dir, "link-to-dir")),
			); err != nil {
				t.Fatal(err)
			}
			mine := map[string]string{
				"README.md": "mine", "secrets/run.sh": "mine too", "patches/x/p.yaml": "and mine",
				"empty": "dir", "link": "-> ../elsewhere", "link-to-dir": "-> secrets",
			}
			before, err := os.Stat(filepath.Join(dir, "secrets/same.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			write(treeB())
			expect(t, dir, treeB(), mine)
			for name, mode := range map[string]fs.FileMode{"secrets/run.sh": 0o750, "patches": 0o700} {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, %v", name, info.Mode(), err)
				}
			}
			if after, err := os.Stat(filepath.Join(dir, "secrets/same.yaml")); err != nil || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("a file that stays the same was touched: %v", err)
			}
			write(treeA())
			expect(t, dir, treeA(), mine)
		})
	}
}

func TestWriteNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "production")
	mustWrite(t, treeA(), dir)
	old := time.Unix(1e9, 0)
	for _, name := range []string{".", "kustomization.yaml", "secrets", "secrets/a.yaml"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	was, _ := os.Stat(dir)
	mustWrite(t, treeA(), dir)
	for _, name := range []string{".", "kustomization.yaml", "secrets", "secrets/a.yaml"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.ModTime().Equal(old) {
			t.Errorf("%s was touched: %v", name, err)
		}
	}
	if is, _ := os.Stat(dir); !os.SameFile(was, is) {
		t.Error("the directory is another one")
	}

	put(t, dir, "secrets/a.yaml", Header+"edited")
	put(t, dir, "."+LockFile+"1234", "of a killed process")
	mustWrite(t, treeA(), dir)
	expect(t, dir, treeA(), nil)
	if err := os.Remove(filepath.Join(dir, "secrets/a.yaml")); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, treeA(), dir)
	expect(t, dir, treeA(), nil)
}

func TestWriteThroughLinks(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	put(t, tmp, "real/deploy/x", "")
	if err := errors.Join(
		os.Symlink("real", filepath.Join(tmp, "parent")),
		os.Symlink("deploy/production", filepath.Join(tmp, "real", "link")),
		os.Symlink("loop", filepath.Join(tmp, "loop")),
	); err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(tmp, "real/deploy/production")
	through := filepath.Join(tmp, "parent", "link")
	for _, tree := range []*Tree{treeA(), treeB()} { // dangling first, then not
		mustWrite(t, tree, through)
		expect(t, real, tree, nil)
		if got, ds := Read(through); len(ds) > 0 || cmp.Diff(tree, got) != "" {
			t.Errorf("read back: %v", ds)
		}
	}
	if target, err := os.Readlink(through); err != nil || target != "deploy/production" {
		t.Errorf("the link is gone: %q, %v", target, err)
	}
	if err := treeA().Write(context.Background(), filepath.Join(tmp, "loop")); err == nil {
		t.Error("wrote to a link to itself")
	}
}

// TestWriteRefused wants errors that leave all as it is.
func TestWriteRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    []string // DIR for the directory
	}{{
		name: "foreign files in the way",
		prepare: func(t *testing.T, dir string) {
			mustWrite(t, treeA(), dir)
			put(t, dir, "secrets/b.yaml", "B") // as ours would be, but the lock has the say
			put(t, dir, "other", "a file")
		},
		want: []string{
			"VG4004 DIR/other is in the way of the tree, and victorgen.lock does not list it",
			"VG4004 DIR/secrets/b.yaml is in the way of the tree, and victorgen.lock does not list it",
		},
	}, {
		name:    "no lock",
		prepare: func(t *testing.T, dir string) { put(t, dir, "kustomization.yaml", "mine") },
		want:    []string{"VG4004 DIR/kustomization.yaml is in the way of the tree, and victorgen.lock does not list it"},
	}, {
		name: "a directory that is a link",
		prepare: func(t *testing.T, dir string) {
			put(t, dir, "elsewhere/x", "")
			if err := os.Symlink("elsewhere", filepath.Join(dir, "secrets")); err != nil {
				t.Fatal(err)
			}
		},
		want: []string{"VG4004 DIR/secrets is in the way of the tree, and victorgen.lock does not list it"},
	}, {
		name: "a file that became a directory",
		prepare: func(t *testing.T, dir string) {
			mustWrite(t, treeA(), dir)
			if err := os.Remove(filepath.Join(dir, "kustomization.yaml")); err != nil {
				t.Fatal(err)
			}
			put(t, dir, "kustomization.yaml/x", "")
		},
		want: []string{"VG4004 DIR/kustomization.yaml is in the way of the tree, and victorgen.lock does not list it"},
	}, {
		name: "another environment",
		prepare: func(t *testing.T, dir string) {
			mustWrite(t, fakeTree("staging", map[string]string{"kustomization.yaml": ""}), dir)
		},
		want: []string{`VG4004 DIR holds the tree of environment "staging", not of "production"`},
	}, {
		name:    "broken lock",
		prepare: func(t *testing.T, dir string) { put(t, dir, LockFile, "version: 1\nx: y\n") },
		want:    []string{`VG4001 victorgen.lock: unknown field "x"`},
	}, {
		name: "lock that is a link",
		prepare: func(t *testing.T, dir string) {
			put(t, dir, "x", goodLock)
			if err := os.Symlink("x", filepath.Join(dir, LockFile)); err != nil {
				t.Fatal(err)
			}
		},
		want: []string{`VG4001 cannot read DIR/victorgen.lock: it is a link, to x, and not a regular file`},
	}, {
		name:    "a file",
		prepare: func(t *testing.T, dir string) { put(t, filepath.Dir(dir), filepath.Base(dir), "") },
		want:    []string{"VG4003 cannot write a tree to DIR: not a directory"},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			dir := filepath.Join(tmp, "production")
			test.prepare(t, dir)
			before := onDisk(t, tmp)
			ds, ok := errors.AsType[plan.Diagnostics](treeB().Write(context.Background(), dir))
			if !ok {
				t.Fatal("no diagnostics")
			}
			var got []string
			for _, d := range ds {
				got = append(got, string(d.Code)+" "+strings.ReplaceAll(d.Message, dir, "DIR"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(before, onDisk(t, tmp)); diff != "" {
				t.Errorf("something was touched:\n%s", diff)
			}
		})
	}
}

// TestWriteFails makes steps of the writing fail.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	isWriteError := func(t *testing.T, err error) {
		t.Helper()
		if ds, ok := errors.AsType[plan.Diagnostics](err); !ok || len(ds) != 1 || ds[0].Code != plan.CodeTreeWrite || ds[0].Hint == "" {
			t.Errorf("error %v", err)
		}
	}
	t.Run("no parent", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "none", "production")
		isWriteError(t, treeA().Write(context.Background(), dir))
		if tree, ds := Read(dir); len(ds) > 0 || len(tree.Files) > 0 {
			t.Errorf("reads %v, %v", tree, ds)
		}
	})
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.ENOSPC, syscall.EBUSY} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "production")
			mustWrite(t, treeA(), dir)
			err := treeB().write(context.Background(), dir, func(string, string) error { return errno })
			isWriteError(t, err)
			if !strings.Contains(err.Error(), errno.Error()) {
				t.Errorf("error %v", err)
			}
			expect(t, dir, treeA(), nil)
			expectAlone(t, dir)
		})
	}
	t.Run("name too long", func(t *testing.T) { // fails half-way through the staging
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "production")
		mustWrite(t, treeA(), dir)
		isWriteError(t, fakeTree("production", map[string]string{"a.yaml": "", strings.Repeat("z", 300): ""}).Write(context.Background(), dir))
		expect(t, dir, treeA(), nil)
		expectAlone(t, dir)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "production")
		mustWrite(t, treeA(), dir)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := treeB().Write(ctx, dir); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		expect(t, dir, treeA(), nil)
		expectAlone(t, dir)
	})
}

// TestInterrupted builds by hand what kills leave behind.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	mine := map[string]string{"README.md": "mine"}
	tests := []struct {
		name    string
		prepare func(at place) error // from tree A in place
		want    *Tree                // what Read finds
	}{{
		name:    "half a stage",
		prepare: func(at place) error { return os.MkdirAll(filepath.Join(at.stage(), "secrets"), 0o755) },
		want:    treeA(),
	}, {
		name:    "before the second rename",
		prepare: func(at place) error { return errors.Join(treeB().stageForTest(at), os.Rename(at.dir(), at.old())) },
		want:    treeA(),
	}, {
		name: "after the second rename",
		prepare: func(at place) error {
			return errors.Join(treeB().stageForTest(at), os.Rename(at.dir(), at.old()), os.Rename(at.stage(), at.dir()))
		},
		want: treeB(),
	}, {
		name:    "after the exchange",
		prepare: func(at place) error { return errors.Join(treeB().stageForTest(at), exchange(at.stage(), at.dir())) },
		want:    treeB(),
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "production")
			mustWrite(t, treeA(), dir)
			put(t, dir, "README.md", "mine")
			at, err := locate(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(at); err != nil {
				t.Fatal(err)
			}
			if got, ds := Read(dir); len(ds) > 0 || cmp.Diff(test.want, got) != "" {
				t.Errorf("%v\n%s", ds, cmp.Diff(test.want, got))
			}
			expect(t, dir, test.want, mine)
			next := fakeTree("production", map[string]string{"c": "C"})
			mustWrite(t, next, dir)
			expect(t, dir, next, mine)
			expectAlone(t, dir)
		})
	}
}

// stageForTest stages t next to the tree A.
func (t *Tree) stageForTest(at place) error {
	owned := map[string]bool{}
	for name := range treeA().Files {
		owned[name] = true
	}
	return t.stage(context.Background(), at, owned)
}

func TestCopiesWhereItCannotLink(t *testing.T) {
	t.Parallel()
	other, err := os.MkdirTemp("/dev/shm", "victorgen") // another file system, on most systems
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(other) })
	put(t, other, "from", "data")
	from, to := filepath.Join(other, "from"), filepath.Join(t.TempDir(), "to")
	old := time.Unix(1e9, 0)
	if err := errors.Join(os.Chmod(from, 0o751), os.Chtimes(from, old, old), carry(from, to, 0)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode().Perm() != 0o751 || !info.ModTime().Equal(old) || info.Size() != 4 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestReadTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if tree, ds := Read(dir); len(ds) > 0 || len(tree.Files) > 0 {
		t.Errorf("an empty directory: %v, %v", tree, ds)
	}
	if tree, ds := Read(filepath.Join(dir, "none")); len(ds) > 0 || len(tree.Files) > 0 {
		t.Errorf("no directory: %v, %v", tree, ds)
	}
	put(t, dir, "file", "")
	if _, ds := Read(filepath.Join(dir, "file")); len(ds) != 1 || ds[0].Code != plan.CodeTreeRead {
		t.Errorf("a file: %v", ds)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, filepath.Dir(outside), "outside/a.yaml", "not ours")
	for name, prepare := range map[string]func(dir string) error{
		"link": func(dir string) error { return os.Symlink(outside+"/a.yaml", filepath.Join(dir, "secrets/a.yaml")) },
		"pipe": func(dir string) error { return fifo.Make(filepath.Join(dir, "secrets/a.yaml")) },
		"linked away": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "secrets")), os.Symlink(outside, filepath.Join(dir, "secrets")))
		},
	} {
		dir := filepath.Join(t.TempDir(), "production")
		mustWrite(t, treeA(), dir)
		if err := errors.Join(os.Remove(filepath.Join(dir, "secrets/a.yaml")), prepare(dir)); err != nil {
			t.Fatal(err)
		}
		if tree, ds := Read(dir); tree != nil || len(ds) != 1 || ds[0].Code != plan.CodeTreeRead {
			t.Errorf("%s: %v", name, ds)
		}
	}

	dir = filepath.Join(t.TempDir(), "production")
	mustWrite(t, treeA(), dir)
	if err := os.Remove(filepath.Join(dir, "secrets/a.yaml")); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "README.md", "mine")
	want := treeA()
	delete(want.Files, "secrets/a.yaml")
	if got, ds := Read(dir); len(ds) > 0 || cmp.Diff(want, got) != "" {
		t.Errorf("%v\n%s", ds, cmp.Diff(want, got))
	}
	if err := os.Truncate(filepath.Join(dir, LockFile), maxLockFile+1); err != nil {
		t.Fatal(err)
	}
	if _, ds := Read(dir); len(ds) != 1 || ds[0].Code != plan.CodeLockRead {
		t.Errorf("a huge lock: %v", ds)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	want := []Change{
		{"kustomization.yaml", Changed}, {"other/b.yaml", Added}, {"secrets/a.yaml", Removed},
		{"secrets/b.yaml", Added}, {"secrets/deep/er.yaml", Removed}, {LockFile, Changed},
	}
	if diff := cmp.Diff(want, Diff(treeA(), treeB())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Change(nil), Diff(treeA(), treeA()), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if got := Diff(nil, treeA()); len(got) != 5 || got[0].Kind != Added {
		t.Errorf("from nothing: %v", got)
	}
}

// TestForgedFiles (issue 18, 14): a lock that lists the files of someone else gets
// none of them removed or replaced.
func TestForgedFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "production")
	tree := treeA()
	mustWrite(t, tree, dir)
	for name, text := range map[string]string{"mine.yaml": "mine", "deep/notes.md": "# mine\n", "secrets/b.yaml": "mine"} {
		put(t, dir, name, text)
	}
	lock := string(tree.Files[LockFile])
	forged := strings.Replace(lock, "files:\n", "files:\n  - \"mine.yaml\"\n  - \"deep/notes.md\"\n  - \"secrets/b.yaml\"\n", 1)
	put(t, dir, LockFile, forged)
	if old, ds := Read(dir); len(ds) > 0 || old.Files["mine.yaml"] != nil {
		t.Errorf("it is taken for ours: %v", ds)
	}
	mustWrite(t, fakeTree("production", map[string]string{"kustomization.yaml": "C"}), dir)
	for name, want := range map[string]string{"mine.yaml": "mine", "deep/notes.md": "# mine\n", "secrets/b.yaml": "mine"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "secrets/a.yaml")); err == nil {
		t.Error("a file of ours stays")
	}
	put(t, dir, LockFile, forged)
	if err := treeB().Write(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "VG4004") {
		t.Errorf("it is replaced: %v", err)
	}
}
