package victorgen

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// Known asks of which inputs of e there have been values: the lock of the tree in dir,
// that of the tree where it is by default, and those next to them; and where it may be
// the new name of another environment, what that has left. It is what
// [source.Options] want to have.
func (e *Environment) Known(dir string) func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
	p := e.Plan
	return func(ctx context.Context, inputs []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
		gone := func(environment string) bool { return !e.run.has(p.Module, environment) }
		known, ds := tree.KnownInputs(p, inputs, gone, &e.run.locks, dir, TreeOf(p))
		holders := e.leftByOthers(ctx, inputs, gone, dir)
		for name, k := range known {
			h := source.Holder{By: local(p.Module, k.File)}
			if k.Environment != "" {
				in, _ := p.Input(name)
				src, _ := p.Source(in.Source)
				to := "source " + src.String()
				if at := localPlace(src); at != "" {
					to = filepath.Base(at)
				}
				h.Remedy = fmt.Sprintf("if %q is called %q now, bring its values along, to %s; if it was removed, remove its tree: git rm -r %s", k.Environment, p.Environment, to, path.Dir(h.By))
				h.By += fmt.Sprintf(" (of environment %q, which the module does not have)", k.Environment)
			}
			if holders[name].By == "" || k.Environment == "" {
				holders[name] = h
			}
		}
		return holders, ds
	}
}

// localPlace is the file or directory in which src is to keep its values in plain
// text; empty if it is elsewhere. They may still be in what all environments shared.
func localPlace(src plan.Source) string {
	src.FromShared = false
	return source.PlainPlace(src)
}

var environmentName = lazy.MustCompile(`^[a-z0-9-]+$`)

// leftByOthers finds values of inputs in files next to those of e that are called
// after an environment which the module does not have: e may be what that is called
// now. It asks only where e has neither a tree nor such a file yet.
func (e *Environment) leftByOthers(ctx context.Context, inputs []plan.Input, gone func(string) bool, trees ...string) map[string]source.Holder {
	p := e.Plan
	holders := map[string]source.Holder{}
	for _, dir := range append(trees, TreeOf(p)) {
		if _, err := os.Lstat(filepath.Join(dir, tree.LockFile)); err == nil {
			return holders
		}
	}
	for _, src := range p.Sources {
		place := localPlace(src)
		if rel, err := filepath.Rel(p.Module, place); place == "" || err != nil || !filepath.IsLocal(rel) {
			continue // what is outside is not looked at unasked
		}
		before, after, named := strings.Cut(filepath.Base(place), p.Environment)
		if _, err := os.Lstat(place); !named || err == nil {
			continue
		}
		absent := slices.DeleteFunc(slices.Clone(inputs), func(in plan.Input) bool { return in.Source != src.Name || in.Name == plan.LockKey })
		entries, _ := os.ReadDir(filepath.Dir(place))
		for _, entry := range entries {
			name, ok := strings.CutPrefix(entry.Name(), before)
			name, ends := strings.CutSuffix(name, after)
			if !ok || !ends || entry.Type()&fs.ModeSymlink != 0 || !environmentName.MatchString(name) || !gone(name) {
				continue
			}
			other := *p
			left := src
			left.Shared, left.FromShared = "", false
			if src.Kind == plan.Env {
				left.File = filepath.Join(filepath.Dir(place), entry.Name())
			} else {
				left.Dir = filepath.Join(filepath.Dir(place), entry.Name())
			}
			other.Sources = []plan.Source{left}
			found, _ := source.Peek(ctx, &other, e.run.open(&other), absent, source.Options{})
			for _, in := range absent {
				if found[in.Name].State == value.Present && holders[in.Name].By == "" {
					holders[in.Name] = source.Holder{
						By:     fmt.Sprintf("%s (of environment %q, which the module does not have)", entry.Name(), name),
						Remedy: fmt.Sprintf("if %q is called %q now, move %s to %s; if it is gone, move that file away", name, p.Environment, entry.Name(), filepath.Base(place)),
					}
				}
			}
		}
	}
	return holders
}
