package victorgen_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/internal/bench"
)

// What the program may be made of. Anyone who makes it less writes the new figure down;
// 5 % more fails.
const (
	packages    = 897        // of all modules and the standard library, without cgo
	binaryBytes = 42_795_170 // stripped, for linux/amd64
	initBytes   = 2_928_848  // allocated before main, by `version`
)

func over(figure int) int { return figure + figure/20 }

func goTool(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func countPackages(t testing.TB) int {
	t.Helper()
	return strings.Count(goTool(t, "list", "-deps", "./cmd/victorgen"), "\n")
}

// release builds the program as it is released, and returns how many bytes it has.
func release(t testing.TB, program string) int64 {
	t.Helper()
	goTool(t, "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./cmd/victorgen")
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestPackages counts what the program imports.
func TestPackages(t *testing.T) {
	t.Parallel()
	importsOf(t, ".") // and go.sum: go test checks whether they are as they were
	if _, err := os.ReadFile("go.sum"); err != nil {
		t.Fatal(err)
	}
	if n := countPackages(t); n > over(packages) {
		t.Errorf("the program is made of %d packages, and was of %d: `go mod why -m MODULE` tells what brings a module in", n, packages)
	}
}

// TestBinary builds the program as it is released, and looks at its size and at what it
// does before it does anything. It takes too long for each run of the tests.
func TestBinary(t *testing.T) {
	if os.Getenv("VICTORGEN_BUDGET") == "" {
		t.Skip("VICTORGEN_BUDGET is not set; .ci/run sets it")
	}
	program := filepath.Join(t.TempDir(), "victorgen")
	size := release(t, program)
	t.Logf("%d bytes", size)
	if int(size) > over(binaryBytes) {
		t.Errorf("the program has %d bytes, and had %d", size, binaryBytes)
	}
	cmd := exec.Command(program, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace strings.Builder
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Skipf("it does not run here: %v", err)
	}
	total, count := 0, 0
	for line := range strings.Lines(trace.String()) {
		// init PACKAGE @1.2 ms, 0.3 ms clock, 4096 bytes, 12 allocs
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != "init" {
			continue
		}
		clock, _ := strconv.ParseFloat(f[4], 64)
		n, err := strconv.Atoi(f[7])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		total += n
		count++
		if clock > 0.3 { // for who looks: the clock of a busy machine fails nothing
			t.Logf("%s takes %v ms and %d bytes", f[1], clock, n)
		}
	}
	t.Logf("%d packages allocate %d bytes", count, total)
	if total == 0 || total > over(initBytes) {
		t.Errorf("before main, version allocates %d bytes, and did %d", total, initBytes)
	}
}

// before is the last commit that had no budget.
const before = "540bb42"

// BenchmarkProgram reports what the program is made of, and what it takes to install it
// where nothing is downloaded and nothing built, as the first hook of someone who
// takes it by pre-commit does; against the commit before.
func BenchmarkProgram(b *testing.B) {
	b.Run("packages", func(b *testing.B) {
		bench.Report(b, bench.Row{What: "the program", Unit: "packages", Now: float64(countPackages(b)), Most: 900})
	})
	b.Run("stripped", func(b *testing.B) {
		bytes := release(b, filepath.Join(b.TempDir(), "victorgen"))
		bench.Report(b, bench.Row{What: "the program, stripped", Unit: "MB", Now: float64(bytes) / 1e6, Most: 55})
	})
	b.Run("install", func(b *testing.B) {
		old := filepath.Join(b.TempDir(), "old")
		if out, err := exec.Command("git", "worktree", "add", "--detach", old, before).CombinedOutput(); err != nil {
			b.Skipf("this clone does not have %s: %s", before, out)
		}
		b.Cleanup(func() { exec.Command("git", "worktree", "remove", "--force", old).Run() })
		install := func(dir string) func() time.Duration {
			return func() time.Duration {
				for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOBIN"} {
					b.Setenv(name, b.TempDir())
				}
				b.Setenv("GOFLAGS", "-modcacherw") // so that it can be removed
				return bench.Run(b, dir, nil, "go", "install", "./cmd/victorgen").Clock
			}
		}
		bench.Turns(b, bench.Row{What: "`go install`, from nothing, by the clock", Peer: "of " + before, Most: 0.5}, install("."), install(old))
	})
}
