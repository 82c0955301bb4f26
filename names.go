package victorgen

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
)

// plainName is how the environment in dir is called, if it compiles; empty if that
// takes compiling it.
func (r *run) plainName(dir string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, ok := r.plain[dir]
	if !ok {
		name, _ = compiler.NameOf(dir)
		r.plain[dir] = name
	}
	return name
}

// compiledName is how the environment in dir is called; empty if it does not compile.
func (r *run) compiledName(dir string) string {
	r.mu.Lock()
	name, ok := r.named[dir]
	r.mu.Unlock()
	if !ok {
		if p := r.compile(dir, true).plan; p != nil {
			name = p.Environment
		}
	}
	return name
}

// siblingsOf returns the directories of the environments of a module, and whether
// these are all.
func (r *run) siblingsOf(module string) (dirs []string, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dirs, ok := r.siblings[module]
	if !ok {
		dirs, _ = compiler.Find(filepath.Join(module, "..."))
		r.siblings[module] = dirs
	}
	return dirs, len(dirs) > 0
}

// has reports whether a module has an environment of that name. One that does not
// compile goes by the name of its directory. Of a thousand environments it compiles
// those alone that may be called so.
func (r *run) has(module, environment string) bool {
	may := r.mayBeCalled(module)
	for _, dir := range slices.Concat(may[environment], may[""]) {
		if name := r.compiledName(dir); name == environment || name == "" && filepath.Base(dir) == environment {
			return true
		}
	}
	return false
}

// mayBeCalled returns the directories of the environments of a module, by what they
// may be called: by their plain names and those of their directories; and, of those
// that have no plain name, as "".
func (r *run) mayBeCalled(module string) map[string][]string {
	dirs, _ := r.siblingsOf(module)
	r.mu.Lock()
	may, ok := r.called[module]
	r.mu.Unlock()
	if ok {
		return may
	}
	all, may := map[string]bool{}, map[string][]string{}
	for _, dir := range dirs {
		all[dir] = true
	}
	for _, dir := range r.dirs {
		if root, _ := compiler.ModuleRoot(dir); root == module {
			all[dir] = true
		}
	}
	for dir := range all {
		name, base := r.plainName(dir), filepath.Base(dir)
		may[name] = append(may[name], dir)
		if name != "" && name != base {
			may[base] = append(may[base], dir)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.called[module] = may
	return may
}

// orphan is the tree of an environment that is gone or was renamed.
type orphan struct {
	first       int    // the number of the environment that tells
	module      string // of that
	environment string
	tree        string
}

// strangers returns the trees next to those of the run whose environments it does not
// have, by the directory of trees, and which environment is the first there.
func (r *run) strangers() (trees map[string]map[string]string, first map[string]int) {
	names := map[string]map[string]bool{}
	first = map[string]int{}
	for i, dir := range r.dirs {
		at := r.trees(dir)
		if names[at] == nil {
			first[at], names[at] = i, map[string]bool{}
		}
		name := r.plainName(dir)
		if name == "" {
			name = r.compiledName(dir)
		}
		names[at][name] = true
	}
	trees = map[string]map[string]string{}
	for at := range names {
		if found := tree.Trees(at, func(name string) bool { return names[at][name] }); len(found) > 0 {
			trees[at] = found
		}
	}
	return trees, first
}

// mayHaveOrphans reports whether there are trees that no environment of their module
// is plainly called after. If there are none, results need not wait for what might be
// told of such trees.
func (r *run) mayHaveOrphans() bool {
	if !r.options.All {
		return false
	}
	trees, first := r.strangers()
	for at, found := range trees {
		module, _ := compiler.ModuleRoot(r.dirs[first[at]])
		dirs, _ := r.siblingsOf(module)
		for name := range found {
			if !slices.ContainsFunc(dirs, func(dir string) bool { return r.plainName(dir) == name }) {
				return true
			}
		}
	}
	return false
}

// tellOrphans tells of the trees of modules whose environments are gone or renamed:
// what applies trees applies them forever. Those of the module that the run does not
// have count, too. While one of them does not compile no one knows what it is called,
// and nothing is an orphan. es are the environments of the run.
func (r *run) tellOrphans(es []*Environment) {
	if !r.options.All || len(es) < len(r.dirs) || slices.ContainsFunc(es, func(e *Environment) bool { return e.Name == "" }) {
		return
	}
	var found []orphan
	trees, first := r.strangers()
	for _, at := range slices.Sorted(maps.Keys(trees)) {
		module, _ := compiler.ModuleRoot(r.dirs[first[at]])
		names := map[string]bool{}
		dirs, all := r.siblingsOf(module)
		for _, dir := range dirs {
			name := r.compiledName(dir)
			names[name], all = true, all && name != ""
		}
		if !all {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(trees[at])) {
			if !names[name] {
				found = append(found, orphan{first[at], module, name, trees[at][name]})
			}
		}
	}
	if r.options.orphans != nil {
		r.options.orphans(es, found)
		return
	}
	for _, o := range found {
		o.tell(es, plan.Warning)
	}
}

// tell reports an orphan.
func (o orphan) tell(es []*Environment, severity plan.Severity) {
	report := es[o.first].Diagnostics.Warnf
	if severity == plan.Error {
		report = es[o.first].Diagnostics.Errorf
	}
	report(plan.CodeOrphan, nil, "`victorgen build ./envs/... --prune` removes it, and what applies trees must prune what it has applied",
		"%s is the tree of environment %q, which the module does not have", o.tree, o.environment)
}

// local writes file as the module has it, if it is in it.
func local(module, file string) string {
	if rel, err := filepath.Rel(module, file); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return file
}
