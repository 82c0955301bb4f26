package victorgen

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/policy"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/emit"
)

// permission is what contracts may do in one run.
type permission struct {
	asks     bool
	lookup   func(string) (string, bool)
	grant    trust.Grant // by name
	policies []*policy.Policy
	unread   plan.Diagnostics // of policies, which stops everything
}

// permissionOf reads what o allows.
func permissionOf(o Options) *permission {
	p := &permission{asks: o.Asks, lookup: o.lookup(), grant: GrantOf(o.Allow)}
	for _, path := range o.Policies {
		loaded, ds := policy.Load(path)
		p.unread = append(p.unread, ds...)
		if loaded != nil {
			p.policies = append(p.policies, loaded)
		}
	}
	return p
}

// Permit reports what the contract of p may not do, by what o allows and by its
// policies. It is for who makes a plan by other ways than those of this package, before
// any source of it is asked.
func Permit(p *plan.Plan, o Options) plan.Diagnostics {
	return permissionOf(o).check(&Environment{Plan: p})
}

// GrantOf is what is allowed by name: what has :// in it is an address, all else a file.
func GrantOf(allowed []string) (g trust.Grant) {
	for _, what := range allowed {
		if strings.Contains(what, "://") {
			g.Addresses = append(g.Addresses, what)
		} else if file, err := filepath.Abs(what); err == nil {
			g.Files = append(g.Files, file)
		}
	}
	return g
}

// check reports what the contract of e may not do, and keeps what it is granted.
// It comes before any source, cluster or program is asked.
func (p *permission) check(e *Environment) plan.Diagnostics {
	if p.unread.HasErrors() {
		return slices.Clone(p.unread)
	}
	e.Grant = p.grant
	ds := p.policy(e)
	if len(e.Grant.Files) > len(p.grant.Files) && !ds.HasErrors() {
		ds = p.policy(e) // which knows the certificates now that it lets be read
	}
	ds = append(ds, trust.Files(e.Plan, e.Grant, p.asks)...)
	if !ds.HasErrors() { // or else a file that nobody may read would be read for its addresses
		ds = append(ds, trust.Addresses(e.Plan, e.Grant, p.lookup, p.asks)...)
	}
	return ds
}

// policy holds e to the policies, and adds what they allow to what it is granted.
func (p *permission) policy(e *Environment) (ds plan.Diagnostics) {
	if len(p.policies) == 0 {
		return nil
	}
	doc := Document(e.Plan, e.Grant)
	grant := p.grant
	for _, one := range p.policies {
		allow, problems := one.Check(e.Plan, doc)
		ds = append(ds, problems...)
		grant = grant.Join(trust.Grant(allow))
	}
	e.Grant = grant
	return ds
}

// Document is p as policies see it, with the SHA-256 of its certificates. One that may
// not be read has none.
func Document(p *plan.Plan, grant trust.Grant) plan.Document {
	return p.Document(func(file string) string {
		if !trust.MayRead(p, file, grant) {
			return ""
		}
		c, _ := emit.InspectCertificate(file, nil, time.Now())
		if c == nil {
			return ""
		}
		return c.SHA256
	})
}
