// Package limit bounds work that someone else's text makes, and that can't be
// interrupted: what CUE makes of a contract or of a policy.
package limit

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/victor-ai/victorgen/internal/crash"
)

// Memory is what the process may use while such work is done.
const Memory = 4 << 30

// deepStack lets a runaway recursion grow past Go's limit of the stack, of which
// a process dies at once: the stack counts as memory, and [Run] watches that.
var deepStack = sync.OnceFunc(func() { debug.SetMaxStack(2 * Memory) })

// Run does work. Where that takes more time or memory than it may, Run says so,
// as in "more than 2m0s", and leaves it to itself: who goes on must end soon.
func Run(timeout time.Duration, memory uint64, work func()) (reached string) {
	deepStack()
	done := make(chan *crash.Error, 1)
	go func() {
		grow(len(done))
		done <- crash.Catch(work)
	}()
	timer, watch := time.NewTimer(timeout), time.NewTicker(20*time.Millisecond)
	defer timer.Stop()
	defer watch.Stop()
	for {
		select {
		case crashed := <-done:
			if crashed != nil {
				panic(crashed) // where the caller can see it
			}
			return ""
		case <-timer.C:
			return fmt.Sprintf("more than %v", timeout)
		case <-watch.C:
			if used() > memory {
				return fmt.Sprintf("more than %d MiB of memory", memory>>20)
			}
		}
	}
}

// grow has the stack of a goroutine grow at once to what CUE takes for most contracts.
// Else it doubles while it is deep, and each time all frames on it are gone through.
//
//go:noinline
func grow(i int) byte {
	var room [32 << 10]byte
	return room[i]
}

// used is the memory that the process has from the system, in bytes.
func used() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
