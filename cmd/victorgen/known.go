package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
)

// lockKnows asks of which inputs of an environment there have been values: the lock
// of the tree in dir, that of the tree where it is by default, and those beside them;
// and where it may be the new name of another environment, what that has left.
func lockKnows(r *result, dir string) func(context.Context, []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
	p := r.plan
	return func(ctx context.Context, inputs []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
		gone := func(environment string) bool { return !r.beside.has(p.Module, environment) }
		known, ds := emit.KnownInputs(p, inputs, gone, dir, treeOf(p))
		holders := leftByOthers(ctx, p, inputs, gone, dir)
		for name, k := range known {
			h := source.Holder{By: k.File}
			if rel, err := filepath.Rel(p.Module, k.File); err == nil && filepath.IsLocal(rel) {
				h.By = filepath.ToSlash(rel)
			}
			if k.Environment != "" {
				in, _ := p.Input(name)
				src, _ := p.Source(in.Source)
				to := "source " + src.String()
				if at := localPlace(src); at != "" {
					to = filepath.Base(at)
				}
				h.Remedy = fmt.Sprintf("if %q is called %q now, bring its values along, to %s; if it is gone, remove its tree: git rm -r %s", k.Environment, p.Environment, to, path.Dir(h.By))
				h.By += fmt.Sprintf(" (of environment %q, which the module does not have)", k.Environment)
			}
			if holders[name].By == "" || k.Environment == "" {
				holders[name] = h
			}
		}
		return holders, ds
	}
}

// neighbours knows the environments of modules. Those that a run has compiled are
// not compiled again; the others of a module are only when somebody asks, and once.
type neighbours struct {
	compiled map[string]*plan.Plan // by directory
	here     map[[2]string]bool    // of these: module and environment
	mu       sync.Mutex
	all      map[string]map[string]bool // names by module, where somebody has asked
}

// has reports whether a module has an environment of that name.
func (n *neighbours) has(module, environment string) bool {
	if n.here[[2]string{module, environment}] {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all[module] == nil {
		n.all[module], _ = environmentsOf(module, n.compiled)
	}
	return n.all[module][environment]
}

// environmentsOf returns the names of the environments of a module, those of
// compiled included, and whether these are all: one that does not compile goes by
// the name of its directory, and may be called something else.
func environmentsOf(module string, compiled map[string]*plan.Plan) (names map[string]bool, all bool) {
	names = map[string]bool{}
	dirs, err := compiler.Find(filepath.Join(module, "..."))
	all = err == nil
	for _, dir := range dirs {
		p := compiled[dir]
		if p == nil {
			p, _ = compiler.Compile(dir, compiler.Options{})
		}
		if p != nil {
			names[p.Environment] = true
		} else {
			names[filepath.Base(dir)], all = true, false
		}
	}
	return names, all
}

// localPlace is the file or directory in which src is to keep its values in plain
// text; empty if it is elsewhere. They may still be in what all environments shared.
func localPlace(src plan.Source) string {
	src.FromShared = false
	return source.PlainPlace(src)
}

var environmentName = regexp.MustCompile(`^[a-z0-9-]+$`)

// leftByOthers finds values of inputs in files beside those of p that are called
// after an environment which the module does not have: p may be what that is called
// now. It asks only where p has neither a tree nor such a file yet.
func leftByOthers(ctx context.Context, p *plan.Plan, inputs []plan.Input, gone func(string) bool, trees ...string) map[string]source.Holder {
	holders := map[string]source.Holder{}
	for _, tree := range append(trees, treeOf(p)) {
		if _, err := os.Lstat(filepath.Join(tree, emit.LockFile)); err == nil {
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
		for _, e := range entries {
			name, ok := strings.CutPrefix(e.Name(), before)
			name, ends := strings.CutSuffix(name, after)
			if !ok || !ends || e.Type()&fs.ModeSymlink != 0 || !environmentName.MatchString(name) || !gone(name) {
				continue
			}
			other := *p
			left := src
			left.Shared, left.FromShared = "", false
			if src.Kind == plan.Env {
				left.File = filepath.Join(filepath.Dir(place), e.Name())
			} else {
				left.Dir = filepath.Join(filepath.Dir(place), e.Name())
			}
			other.Sources = []plan.Source{left}
			found, _ := source.Peek(ctx, &other, openSources(&other), absent, source.Options{})
			for _, in := range absent {
				if found[in.Name].State == value.Present && holders[in.Name].By == "" {
					holders[in.Name] = source.Holder{
						By:     fmt.Sprintf("%s (of environment %q, which the module does not have)", e.Name(), name),
						Remedy: fmt.Sprintf("if %q is called %q now, move %s to %s; if it is gone, move that file away", name, p.Environment, e.Name(), filepath.Base(place)),
					}
				}
			}
		}
	}
	return holders
}
