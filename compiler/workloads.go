package compiler

import (
	"cmp"
	"path"
	"slices"
	"strconv"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// workloads returns what the contract says of workloads.
func (c *compilation) workloads(s *workloadsSpec, secrets []plan.Secret) *plan.Workloads {
	if s == nil {
		return nil
	}
	w := &plan.Workloads{Pos: last(c.ix.set("workloads")), Other: s.OtherSecrets, Restart: s.Restart, Watched: s.Watched}
	for i, p := range s.Paths {
		w.Paths = append(w.Paths, c.pathIn(p, "workloads", "paths", strconv.Itoa(i)))
	}
	for i, pattern := range s.OtherSecrets {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			c.ds.Errorf(plan.CodeWorkloads, last(c.ix.set("workloads", "otherSecrets", strconv.Itoa(i))), "write a name, or a pattern such as regcred-*",
				"%q is not a valid name of a Secret", pattern)
		}
	}
	for _, r := range s.References {
		w.References = append(w.References, plan.SecretPath{Kind: r.Kind, Path: r.Path})
	}
	for i, name := range s.Watched {
		if !slices.ContainsFunc(secrets, func(s plan.Secret) bool { return s.Name == name }) {
			c.ds.Errorf(plan.CodeWorkloads, last(c.ix.set("workloads", "watched", strconv.Itoa(i))), plan.DidYouMean(name, names(secrets), "name a secret of the contract"),
				"there is no secret %q", name)
		}
	}
	external := func(s plan.Secret) bool { return s.Delivery.Fetches() }
	switch at := last(c.ix.set("workloads", "restart")); {
	case s.Restart != "" && len(s.Paths) == 0:
		c.ds.Errorf(plan.CodeWorkloads, at, `write workloads: paths: ["k8s"]`, "restart is set, but the contract names no workloads")
	case s.Restart == plan.RestartAnnotation && slices.ContainsFunc(secrets, external):
		c.ds.Warnf(plan.CodeWorkloads, at, `write restart: "reloader", which watches the Secrets themselves`,
			"a build does not see when the value of an external secret changes, so what uses one is not restarted")
	}
	slices.SortFunc(w.References, func(a, b plan.SecretPath) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	return w
}

func names(secrets []plan.Secret) []string {
	var all []string
	for _, s := range secrets {
		all = append(all, s.Name)
	}
	return all
}
