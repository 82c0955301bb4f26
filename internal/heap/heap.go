// Package heap lets a process use memory rather than collect garbage. A command lives
// for a moment, and most end before the first collection; the default of the runtime,
// which is made for servers, begins at 4 MiB, and so before main does. It is there to
// be imported by a main package, and does nothing where GOGC or GOMEMLIMIT is set.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// From freeMemory on the process may use a few times what lives, because there may be a
// thousand environments after this one; and no more than spareMemory next to it, for a
// contract of a size that no one has.
const (
	freeMemory  = 96 << 20
	spareMemory = 512 << 20
)

// free is freeMemory, or what [Use] has said; 0 where the environment says.
var free atomic.Int64

// Use lets the process use n bytes before it collects anything, and not freeMemory: a
// test that runs a thousand commands is no command.
func Use(n int64) {
	if free.Load() != 0 {
		free.Store(n)
		debug.SetMemoryLimit(n)
	}
}

// This is an init, for other packages allocate in theirs.
func init() {
	runtime.MemProfileRate = 0 // else the stack of each half megabyte is noted, for a profile that no command writes
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(800)
	debug.SetMemoryLimit(freeMemory)
	free.Store(freeMemory)
	type collection struct{ _ [16]byte } // one that nothing refers to: it is found at each collection
	var next func(*collection)
	next = func(c *collection) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		n := int64(live[0].Value.Uint64())
		debug.SetMemoryLimit(max(free.Load(), min(3*n, n+spareMemory)))
		runtime.SetFinalizer(c, next)
	}
	runtime.SetFinalizer(&collection{}, next)
}
