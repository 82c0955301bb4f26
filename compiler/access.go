package compiler

import (
	"strconv"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/shape"
)

// reader checks the ith of the readers. The names of groups and users are the
// business of the cluster's authentication: any are good.
func (c *compilation) reader(i int, r readerSpec) plan.Reader {
	field := func(name string) []string { return []string{"access", "readers", strconv.Itoa(i), name} }
	switch {
	case r.Kind == shape.ServiceAccountKind:
		c.checkName("service account", r.Name, dnsSubdomain, field("name")...)
		c.checkName("namespace", r.Namespace, dnsLabel, field("namespace")...)
	case r.Kind != "" && r.Namespace != "":
		c.ds.Errorf(plan.CodeMisplaced, last(c.ix.set(field("namespace")...)), "leave it out",
			"%s %q has a namespace, which only a ServiceAccount has", r.Kind, r.Name)
	}
	return plan.Reader(r)
}
