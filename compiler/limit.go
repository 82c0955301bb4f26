package compiler

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/crash"
)

// DefaultTimeout is how long compiling an environment may take. A contract of
// ten thousand inputs takes seconds.
const DefaultTimeout = 2 * time.Minute

// maxMemory is what the process may use while it compiles.
const maxMemory = 4 << 30

// deepStack lets a runaway recursion grow past Go's limit of the stack, of which
// a process dies at once: the stack counts as memory, and [within] watches that.
var deepStack = sync.OnceFunc(func() { debug.SetMaxStack(2 * maxMemory) })

// within does work, or says that it reached a limit of time or memory.
func within(timeout time.Duration, memory uint64, dir string, work func() (*plan.Plan, plan.Diagnostics)) (*plan.Plan, plan.Diagnostics) {
	deepStack()
	type outcome struct {
		plan    *plan.Plan
		ds      plan.Diagnostics
		crashed *crash.Error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.crashed = crash.Catch(func() { o.plan, o.ds = work() })
		done <- o
	}()
	timer, watch := time.NewTimer(timeout), time.NewTicker(20*time.Millisecond)
	defer timer.Stop()
	defer watch.Stop()
	const hint = "look for comprehensions and definitions that go on for ever, or over too many elements"
	for {
		var ds plan.Diagnostics
		select {
		case o := <-done:
			if o.crashed != nil {
				panic(o.crashed) // where the caller can see it
			}
			return o.plan, o.ds
		case <-timer.C:
			ds.Errorf(plan.CodeLimit, nil, hint+"; or give it more time with --timeout", "compiling %s takes more than %v", dir, timeout)
			return nil, ds
		case <-watch.C:
			if used() > memory {
				ds.Errorf(plan.CodeLimit, nil, hint, "compiling %s takes more than %d MiB of memory", dir, memory>>20)
				return nil, ds
			}
		}
	}
}

// used is the memory that the process has from the system, in bytes.
func used() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
