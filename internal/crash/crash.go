// Package crash is the net below the program: it makes of a panic an error that
// tells where it was. What the panic says is thrown away, unread: it may hold a
// value, as that of a conversion or of a library's own check does.
//
// It is no way to report anything. A panic that someone can bring about is a
// fault, and is mended where it comes from.
package crash

import (
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Error is a panic that was caught.
type Error struct {
	// Place is the innermost line of this module on the way to the panic:
	// "compiler/sources.go:245".
	Place string
}

func (e *Error) Error() string { return "panic at " + e.Place }

// Catch calls f and returns how it has panicked, or nil.
func Catch(f func()) (caught *Error) {
	defer func() {
		switch said := recover().(type) {
		case nil:
		case *Error: // of a Group
			caught = said
		default:
			caught = &Error{Place: place()}
		}
	}()
	f()
	return nil
}

// module is the path of this module, which those of its functions begin with.
const module = "github.com/victor-ai/victorgen"

// place is called while a panic unwinds the stack.
func place() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for panicked, more := false, true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		panicked = panicked || frame.Function == "runtime.gopanic"
		// The paths of files depend on where the program was built.
		dir, ours := strings.CutPrefix(frame.Function, module+"/")
		if name, root := strings.CutPrefix(frame.Function, module+"."); root {
			dir, ours = "."+name, true
		}
		if name, isMain := strings.CutPrefix(frame.Function, "main."); isMain {
			dir, ours = "cmd/victorgen."+name, true
		}
		if !panicked || !ours || strings.HasPrefix(dir, "internal/crash.") {
			continue
		}
		parent, last := path.Split(dir)
		last, _, _ = strings.Cut(last, ".")
		return path.Join(parent, last, filepath.Base(frame.File)) + ":" + strconv.Itoa(frame.Line)
	}
	return "an unknown place"
}

// Group runs functions in goroutines, as an errgroup.Group does. A panic in one
// of them does not end the process, which would print it: [Group.Wait] panics
// in its place, with an *Error, in the goroutine of who waits.
type Group struct {
	group errgroup.Group
	first atomic.Pointer[Error]
}

// SetLimit limits how many run at a time.
func (g *Group) SetLimit(n int) { g.group.SetLimit(n) }

// Go runs f. It waits until it can without exceeding the limit.
func (g *Group) Go(f func()) {
	g.group.Go(func() error {
		if err := Catch(f); err != nil {
			g.first.CompareAndSwap(nil, err)
		}
		return nil
	})
}

// Wait waits for all functions, and panics if one of them has.
func (g *Group) Wait() {
	g.group.Wait()
	if err := g.first.Load(); err != nil {
		panic(err)
	}
}
