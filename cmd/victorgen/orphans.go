package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit"
)

// orphan is the tree of an environment that is gone or was renamed.
type orphan struct {
	result      *result // who tells
	environment string
	tree        string
}

// orphans finds the trees of modules whose environments are gone or renamed: what
// applies trees applies them for ever. Only a pattern asks for it, for that is
// about all environments; but those of the module that the pattern does not name
// count, too. While one of them does not compile nobody knows what it is called,
// and nothing is an orphan.
func orphans(patterns []string, results []result) (found []orphan) {
	if !slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, "...") }) {
		return nil
	}
	first := map[string]*result{} // by directory of trees: who tells
	named := map[string]map[string]bool{}
	compiled := map[string]*plan.Plan{}
	for i := range results {
		r := &results[i]
		if r.plan == nil {
			return nil
		}
		tree := r.Tree
		if tree == "" {
			tree = treeOf(r.plan)
		}
		dir := filepath.Dir(tree)
		if first[dir] == nil {
			first[dir], named[dir] = r, map[string]bool{}
		}
		named[dir][r.plan.Environment] = true
		compiled[r.Directory] = r.plan
	}
	for dir, r := range first {
		trees := emit.Trees(dir)
		maps.DeleteFunc(trees, func(name, _ string) bool { return named[dir][name] })
		if len(trees) == 0 {
			continue
		}
		names, all := environmentsOf(r.plan.Module, compiled)
		if !all {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(trees)) {
			if !names[name] {
				found = append(found, orphan{r, name, trees[name]})
			}
		}
	}
	return found
}

// tell reports an orphan.
func (o orphan) tell(severity plan.Severity) {
	report := o.result.Diagnostics.Warnf
	if severity == plan.Error {
		report = o.result.Diagnostics.Errorf
	}
	report(plan.CodeOrphan, nil, "`victorgen build ./envs/... --prune` removes it, and what applies trees must prune what it has applied",
		"%s is the tree of environment %q, which the module does not have", o.tree, o.environment)
}

// lost reports whether an environment of module lacks values that something else has.
func lost(results []result, module string) bool {
	return slices.ContainsFunc(results, func(r result) bool {
		return r.plan != nil && r.plan.Module == module && slices.ContainsFunc(r.Diagnostics, func(d plan.Diagnostic) bool {
			return d.Code == plan.CodeLost && d.Severity == plan.Error
		})
	})
}

// orphans reports orphans, or removes them with --prune.
func (o *buildOptions) orphans(patterns []string, results []result) {
	for _, found := range orphans(patterns, results) {
		r := found.result
		switch {
		case o.check:
			found.tell(plan.Error)
		case !o.prune:
			found.tell(plan.Warning)
		case lost(results, r.plan.Module):
			r.Diagnostics.Warnf(plan.CodeOrphan, nil, "bring the values along first; if environment "+found.environment+" is gone for good, git rm -r its tree",
				"%s is not removed, for an environment lacks values that it may have", found.tree)
		default:
			removed, kept, ds := emit.Remove(found.tree, o.dryRun)
			r.Diagnostics = append(r.Diagnostics, ds...)
			for _, file := range removed {
				r.Pruned = append(r.Pruned, filepath.Join(found.tree, file))
			}
			if len(kept) > 0 {
				r.Diagnostics.Warnf(plan.CodeOrphan, nil, "look at it, and remove it yourself", "%s in %s is not removed, for victorgen has not written it", plan.And(kept), found.tree)
			}
		}
	}
}
