package compiler

import (
	"cmp"
	"path"
	"slices"
	"strconv"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// workloads returns what the contract says of workloads.
func (c *compilation) workloads(s *workloadsSpec) *plan.Workloads {
	if s == nil {
		return nil
	}
	w := &plan.Workloads{Pos: last(c.ix.set("workloads")), Other: s.OtherSecrets}
	for i, p := range s.Paths {
		w.Paths = append(w.Paths, c.pathIn(p, "workloads", "paths", strconv.Itoa(i)))
	}
	for i, pattern := range s.OtherSecrets {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			c.ds.Errorf(plan.CodeWorkloads, last(c.ix.set("workloads", "otherSecrets", strconv.Itoa(i))), "write a name, or a pattern such as regcred-*",
				"%q is no name of a Secret", pattern)
		}
	}
	for _, r := range s.References {
		w.References = append(w.References, plan.SecretPath{Kind: r.Kind, Path: r.Path})
	}
	slices.SortFunc(w.References, func(a, b plan.SecretPath) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	return w
}
