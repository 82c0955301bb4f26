package emit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crashDir and crashExchange make the test binary the child of TestKill.
const (
	crashDir      = "VICTORGEN_CRASH_DIR"
	crashExchange = "VICTORGEN_CRASH_EXCHANGE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeForever(dir, exchanges[os.Getenv(crashExchange)])
	}
	os.Exit(m.Run())
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
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
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
				killWriter(t, self, dir, name)
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
				tree, ds := ReadTree(dir)
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
func killWriter(t *testing.T, self, dir, exchange string) {
	t.Helper()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashExchange+"="+exchange)
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
