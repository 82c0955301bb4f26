package heap

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// TestMain is a process of its own when it is asked for what a child does.
func TestMain(m *testing.M) {
	if os.Getenv("VICTORGEN_HEAP") == "" {
		os.Exit(m.Run())
	}
	var few runtime.MemStats
	allocate(16 << 20)
	runtime.ReadMemStats(&few)
	print("early ", few.NumGC > 0)
	held := make([]byte, 400<<20)
	for range 100 { // the finalizer runs at the same time
		runtime.GC()
		if debug.SetMemoryLimit(-1) > 800<<20 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	limit := debug.SetMemoryLimit(-1)
	print(" limit ", limit == 400<<20+spareMemory || limit > 800<<20 && limit < 1<<30)
	runtime.KeepAlive(held)
}

var sink []byte

func allocate(n int) {
	for range n >> 16 {
		sink = make([]byte, 1<<16)
	}
}

// TestHeap: there is no collection before there is much to collect, and the limit grows
// with what lives; what the environment says of either counts instead.
func TestHeap(t *testing.T) {
	for env, want := range map[string]string{"X=": "early false limit true", "GOGC=10": "early true limit false", "GOMEMLIMIT=1GiB": "early true limit false"} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "VICTORGEN_HEAP=1", env)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || env != "GOMEMLIMIT=1GiB" && got != want || !strings.HasPrefix(got, want[:10]) {
			t.Errorf("%s: %v, %q, want %q", env, err, out, want)
		}
	}
}
