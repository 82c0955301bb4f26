//go:build unix

package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// childDir and childMode make the test binary a child of TestKill, if the mode
// is one of exchanges, or of TestFullDisk.
const (
	childDir  = "VICTORGEN_CHILD_DIR"
	childMode = "VICTORGEN_CHILD_MODE"
	fullDisk  = "full disk"
)

func TestMain(m *testing.M) {
	switch dir, mode := os.Getenv(childDir), os.Getenv(childMode); {
	case dir == "":
		os.Exit(m.Run())
	case mode == fullDisk:
		writeLittle(dir)
	default:
		writeForever(dir, exchanges[mode])
	}
}

func child(t *testing.T, dir, mode string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	return cmd
}

// fullDiskTree has a file that does not fit into the limit of writeLittle.
func fullDiskTree() *Tree {
	return fakeTree("production", map[string]string{"a.yaml": "a", "b.yaml": strings.Repeat("b", 1<<20)})
}

// writeLittle writes a tree in a process that may not write files as large.
func writeLittle(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 10, Max: 1 << 10}); err != nil {
		panic(err)
	}
	fmt.Println(fullDiskTree().Write(context.Background(), dir))
	os.Exit(0)
}

// TestFullDisk stands for a disk that is full: a write that fails half-way.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "production")
	mustWrite(t, treeA(), dir)
	out, err := child(t, dir, fullDisk).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "error VG4003: cannot write the tree to ") || !strings.Contains(string(out), "b.yaml: file too large") {
		t.Errorf("%v, says %s", err, out)
	}
	expect(t, dir, treeA(), nil)
	expectAlone(t, dir)
}

// writeForever writes the trees A and B in turn until it is killed.
func writeForever(dir string, exchange func(a, b string) error) {
	os.Stdout.WriteString("!")
	for {
		for _, tree := range []*Tree{treeA(), treeB()} {
			if err := tree.write(context.Background(), dir, exchange); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

// TestKill kills writers at random points, and wants the old tree or the new
// one each time, with the files that are not ours.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 100
	if testing.Short() {
		kills = 10
	}
	for name, exchange := range exchanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "production")
			mustWrite(t, treeA(), dir)
			mine := map[string]string{"README.md": "mine", "secrets/run.sh": "mine too", "empty": "dir", "link": "-> README.md"}
			put(t, dir, "README.md", "mine")
			put(t, dir, "secrets/run.sh", "mine too")
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "empty"), 0o755), os.Symlink("README.md", filepath.Join(dir, "link"))); err != nil {
				t.Fatal(err)
			}
			var foundA, foundB, leftovers, between int
			for range kills {
				killWriter(t, dir, name)
				if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) > 1 {
					leftovers++
				}
				_, err := os.Lstat(dir)
				if errors.Is(err, os.ErrNotExist) {
					between++
					if name == "exchange" {
						t.Fatal("there is no tree at all")
					}
				}
				tree, ds := Read(dir)
				if len(ds) > 0 {
					t.Fatal(ds)
				}
				switch {
				case cmp.Equal(tree, treeA()):
					foundA++
				case cmp.Equal(tree, treeB()):
					foundB++
				default:
					t.Fatalf("neither tree, but\n%v", onDisk(t, dir))
				}
				expect(t, dir, tree, mine)
				if t.Failed() {
					t.FailNow()
				}
				if rand.N(4) == 0 { // else the next writer starts from what this one has left
					if err := treeA().write(context.Background(), dir, exchange); err != nil {
						t.Fatal(err)
					}
					expect(t, dir, treeA(), mine)
					expectAlone(t, dir)
				}
			}
			t.Logf("%d kills: %d found tree A, %d B; %d left something beside it, %d were between two renames", kills, foundA, foundB, leftovers, between)
			if kills >= 100 && (foundA == 0 || foundB == 0 || leftovers == 0) {
				t.Error("the kills hit nothing of interest")
			}
		})
	}
}

// killWriter runs a writer, and kills it at a random point of its work.
func killWriter(t *testing.T, dir, exchange string) {
	t.Helper()
	cmd := child(t, dir, exchange)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// A random point in time is the test, not a wait for something: a few
	// writes take this long.
	time.Sleep(rand.N(20 * time.Millisecond))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v", err)
	}
}
