package compiler

import (
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/limit"
)

// DefaultTimeout is how long compiling an environment may take. A contract of
// ten thousand inputs takes seconds.
const DefaultTimeout = 2 * time.Minute

// within does work, or says that it reached a limit of time or memory.
func within(timeout time.Duration, memory uint64, dir string, work func() (*plan.Plan, plan.Diagnostics)) (*plan.Plan, plan.Diagnostics) {
	type outcome struct {
		plan *plan.Plan
		ds   plan.Diagnostics
	}
	done := make(chan outcome, 1)
	reached := limit.Run(timeout, memory, func() {
		var o outcome
		o.plan, o.ds = work()
		done <- o
	})
	if reached == "" {
		o := <-done
		return o.plan, o.ds
	}
	hint := "look for comprehensions and definitions that never end, or have too many elements"
	if !strings.Contains(reached, "memory") {
		hint += "; or give it more time with --timeout"
	}
	var ds plan.Diagnostics
	ds.Errorf(plan.CodeLimit, nil, hint, "compiling %s takes %s", dir, reached)
	return nil, ds
}
