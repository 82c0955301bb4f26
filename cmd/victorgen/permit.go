package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/policy"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/emit"
)

// policyVariable names policies as --policy does, beside it.
const policyVariable = "VICTORGEN_POLICY"

// permitFlags adds the flags by which those who answer for an environment say
// what its contract may do.
func permitFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArray("allow", nil, "an address that the contract may send credentials to, or a file outside the repository that it may name; may be repeated")
	f.StringArray("policy", nil, "a .cue file, or a directory of them, that each environment must satisfy, beside those of "+policyVariable+"; may be repeated")
}

// asksNoSource marks a verb that never asks a source: there a contract that names
// an address nobody has allowed is warned of, and no error.
func asksNoSource(cmd *cobra.Command) { cmd.Annotations = map[string]string{noSource: "yes"} }

const noSource = "asks no source"

// asks reports whether a verb is about to ask sources.
func asks(cmd *cobra.Command) bool {
	offline, _ := cmd.Flags().GetBool("offline")
	return !offline && cmd.Annotations[noSource] == "" && (cmd.Name() != "verify" || cmd.Flags().Changed("source"))
}

// permission is what contracts may do in one run of a verb.
type permission struct {
	asks     bool
	grant    trust.Grant // by --allow
	policies []*policy.Policy
	unread   plan.Diagnostics // of policies, which stops everything
}

// permissionOf reads what the command line and the process environment say.
func permissionOf(cmd *cobra.Command) *permission {
	p := &permission{asks: asks(cmd), grant: grantOf(cmd)}
	paths, _ := cmd.Flags().GetStringArray("policy")
	for _, path := range append(paths, filepath.SplitList(os.Getenv(policyVariable))...) {
		loaded, ds := policy.Load(path)
		p.unread = append(p.unread, ds...)
		if loaded != nil {
			p.policies = append(p.policies, loaded)
		}
	}
	return p
}

// grantOf is what --allow says.
func grantOf(cmd *cobra.Command) (g trust.Grant) {
	allowed, _ := cmd.Flags().GetStringArray("allow")
	for _, what := range allowed {
		if strings.Contains(what, "://") {
			g.Addresses = append(g.Addresses, what)
		} else if file, err := filepath.Abs(what); err == nil {
			g.Files = append(g.Files, file)
		}
	}
	return g
}

// check reports what the contract of r may not do, and keeps what it is granted.
// It comes before any source, cluster or program is asked.
func (p *permission) check(r *result) plan.Diagnostics {
	if p.unread.HasErrors() {
		return slices.Clone(p.unread)
	}
	r.grant = p.grant
	ds := p.policy(r)
	if len(r.grant.Files) > len(p.grant.Files) && !ds.HasErrors() {
		ds = p.policy(r) // which knows the certificates now that it lets be read
	}
	ds = append(ds, trust.Files(r.plan, r.grant, p.asks)...)
	if !ds.HasErrors() { // or else a file that nobody may read would be read for its addresses
		ds = append(ds, trust.Addresses(r.plan, r.grant, os.LookupEnv, p.asks)...)
	}
	return ds
}

// policy holds r to the policies, and adds what they allow to what it is granted.
func (p *permission) policy(r *result) (ds plan.Diagnostics) {
	if len(p.policies) == 0 {
		return nil
	}
	doc := r.plan.Document(fingerprintOf(r.plan, r.grant))
	grant := p.grant
	for _, one := range p.policies {
		allow, problems := one.Check(r.plan, doc)
		ds = append(ds, problems...)
		grant = grant.Join(trust.Grant(allow))
	}
	r.grant = grant
	return ds
}

// fingerprintOf returns what tells the SHA-256 of a certificate of p. One that
// may not be read has none.
func fingerprintOf(p *plan.Plan, grant trust.Grant) func(string) string {
	return func(file string) string {
		if !trust.MayRead(p, file, grant) {
			return ""
		}
		c, _ := emit.InspectCertificate(file, nil, time.Now())
		if c == nil {
			return ""
		}
		return c.SHA256
	}
}
