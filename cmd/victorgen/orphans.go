package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit"
)

// orphans finds the trees of modules whose environments are gone or renamed: what
// applies trees applies them for ever. It reports them, or removes them with
// --prune. Only a pattern asks for it, for that is about all environments; but
// those of the module that the pattern does not name count, too. While one of them
// does not compile nobody knows what it is called, and nothing is an orphan.
func (o *buildOptions) orphans(patterns []string, results []result) {
	if !slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, "...") }) {
		return
	}
	first := map[string]*result{} // by directory of trees: who tells
	names := map[string]map[string]bool{}
	for i := range results {
		r := &results[i]
		if r.plan == nil {
			return
		}
		tree := r.Tree
		if tree == "" {
			tree = treeOf(r.plan)
		}
		dir := filepath.Dir(tree)
		if first[dir] == nil {
			first[dir], names[dir] = r, map[string]bool{}
		}
		names[dir][r.plan.Environment] = true
	}
	for dir, r := range first {
		trees := emit.Trees(dir)
		maps.DeleteFunc(trees, func(name, _ string) bool { return names[dir][name] })
		if len(trees) == 0 {
			continue
		}
		others, err := compiler.Find(filepath.Join(r.plan.Module, "..."))
		if err != nil {
			continue
		}
		known := true
		for _, other := range others {
			if slices.ContainsFunc(results, func(r result) bool { return r.Directory == other }) {
				continue
			}
			p, _ := compiler.Compile(other, compiler.Options{})
			if known = known && p != nil; p != nil {
				delete(trees, p.Environment)
			}
		}
		if !known {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(trees)) {
			o.orphan(r, name, trees[name])
		}
	}
}

// orphan reports or removes one.
func (o *buildOptions) orphan(r *result, name, tree string) {
	if o.prune {
		removed, kept, ds := emit.Remove(tree, o.dryRun)
		r.Diagnostics = append(r.Diagnostics, ds...)
		for _, file := range removed {
			r.Pruned = append(r.Pruned, filepath.Join(tree, file))
		}
		if len(kept) > 0 {
			r.Diagnostics.Warnf(plan.CodeOrphan, nil, "look at it, and remove it yourself", "%s in %s is not removed, for victorgen has not written it", plan.And(kept), tree)
		}
		return
	}
	report := r.Diagnostics.Warnf
	if o.check {
		report = r.Diagnostics.Errorf
	}
	report(plan.CodeOrphan, nil, "`victorgen build ./envs/... --prune` removes it, and what applies trees must prune what it has applied",
		"%s is the tree of environment %q, which the module does not have", tree, name)
}
