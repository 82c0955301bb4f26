package victorgen

import (
	"cmp"
	"path/filepath"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/policy"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/program"
)

// Permission is what contracts may do in one run.
type Permission struct {
	// Unread is what is wrong with policies that can't be read, which stops everything.
	Unread plan.Diagnostics

	asks     bool
	lookup   func(string) (string, bool)
	grant    trust.Grant // by name
	policies []*policy.Policy
}

// PermissionOf reads what o allows.
func PermissionOf(o Options) *Permission {
	p := &Permission{asks: o.Asks, lookup: o.lookup(), grant: GrantOf(o.Allow)}
	for _, path := range o.Policies {
		loaded, ds := policy.Load(path, cmp.Or(o.Compile.Timeout, compiler.DefaultTimeout))
		p.Unread = append(p.Unread, ds...)
		if loaded != nil {
			p.policies = append(p.policies, loaded)
		}
	}
	return p
}

// GrantOf is what is allowed by name: what begins with exec: is a command, what has ://
// in it is an address, all else a file.
func GrantOf(allowed []string) (g trust.Grant) {
	for _, what := range allowed {
		if command, ok := strings.CutPrefix(what, "exec:"); ok {
			g.Commands = append(g.Commands, command)
		} else if strings.Contains(what, "://") {
			g.Addresses = append(g.Addresses, what)
		} else if file, err := filepath.Abs(what); err == nil {
			g.Files = append(g.Files, file)
		}
	}
	return g
}

// Check reports what the contract of e may not do, and keeps what it is granted.
// It comes before any source, cluster or program is asked. From then on, no entry of PATH
// leads into the working tree that e is in.
func (p *Permission) Check(e *Environment) plan.Diagnostics {
	program.Guard(git.WorkTree(e.Plan.Module))
	ds := p.Policy(e)
	ds = append(ds, trust.Files(e.Plan, e.Grant, p.asks)...)
	if !ds.HasErrors() { // or else a file that no one may read would be read for its addresses
		ds = append(ds, trust.Addresses(e.Plan, e.Grant, p.lookup, p.asks)...)
	}
	return ds
}

// Policy holds e to the policies, and adds what they allow to what it is granted.
func (p *Permission) Policy(e *Environment) (ds plan.Diagnostics) {
	e.Grant = p.grant
	if len(p.policies) == 0 {
		return nil
	}
	judge := func() (ds plan.Diagnostics) {
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
	ds = judge()
	if len(e.Grant.Files) > len(p.grant.Files) && !ds.HasErrors() {
		ds = judge() // which knows the certificates now that it lets be read
	}
	return ds
}

// Document is p as policies see it, with the SHA-256 of its certificates. One that may
// not be read has none.
func Document(p *plan.Plan, grant trust.Grant) plan.Document {
	return p.Document(func(file string) string {
		if !trust.MayRead(p, file, grant) {
			return ""
		}
		c, _ := sealing.Inspect(file, nil, time.Now())
		if c == nil {
			return ""
		}
		return c.SHA256
	})
}
