// Package permissions derives from a plan the least that each of its sources
// must allow: one policy to read values, one to prove that they are there by
// metadata alone, one to write those that are generated, and what the External
// Secrets Operator needs. It knows names and
// asks no one.
//
// What a policy allows is what the packages below compiler/source call, as
// their comments say, and what the providers of the External Secrets Operator do
// (https://github.com/external-secrets/external-secrets/tree/v0.19.2/pkg/provider).
package permissions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Use is what someone wants of a source.
type Use string

// The uses of a source.
const (
	Read  Use = "read"  // values: build, verify --source
	Prove Use = "prove" // existence and age: verify --source --no-values
	Write Use = "write" // the generated inputs: build, generate, rotate. It comes on top of Read.
	Tell  Use = "tell"  // what is pending of a rotation that tells the other side: rotate -- COMMAND. It comes on top of Write.
	// The two of the External Secrets Operator: to fetch what external secrets are
	// made from, and to push what is generated in the cluster, on top of that.
	Fetch Use = "fetch"
	Push  Use = "push"
)

// Policy is what one source must allow for one use. It has one of IAM, HCL and
// Commands, in the language of the source's service. A source of kind env,
// sops or files is no service: it has one policy, for no use in particular, which is but
// a note.
type Policy struct {
	Source   string   `json:"source"` // its name in the contract
	Kind     string   `json:"kind"`
	Use      Use      `json:"use,omitempty"`
	IAM      *IAM     `json:"iam,omitempty"`      // of kinds aws-*
	HCL      string   `json:"hcl,omitempty"`      // of kind vault
	Commands []string `json:"commands,omitempty"` // of azure-keyvault for az, of gcp-secretmanager for gcloud
	Note     string   `json:"note,omitempty"`     // what the policy itself can't say
}

// String returns the policy in the language of its service.
func (p Policy) String() string {
	if p.IAM == nil {
		return p.HCL + strings.Join(p.Commands, "\n")
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	enc.Encode(p.IAM) // of strings alone, so it does not fail
	return strings.TrimSuffix(b.String(), "\n")
}

// Of returns the policies of all sources of p that hold an input, in the order
// of the sources and for each in the order Read, Prove, Write, Tell. There is none to
// write at a source where nothing is generated, or which can't be written.
func Of(p *plan.Plan) []Policy {
	var all []Policy
	for _, s := range p.Sources {
		uses := []Use{Read, Prove, Write, Tell, Fetch, Push}
		if kind, _ := plan.KindOf(s.Kind); kind.Note != "" {
			uses = []Use{""}
		}
		for _, use := range uses {
			if names := namesOf(p, s, use); len(names) > 0 {
				kept := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !keepsPrevious(p, s, name) })
				policy := policyOf(s, use, names, kept)
				if use == Tell {
					policy = tell(s, names)
				}
				policy.Source, policy.Kind, policy.Use = s.Name, s.Kind, use
				all = append(all, policy)
			}
		}
	}
	return all
}

// namesOf returns the remote names of the inputs of s that use is about, sorted.
// Those of inputs that the source knows by their own names are empty.
func namesOf(p *plan.Plan, s plan.Source, use Use) []string {
	var names []string
	external := inExternal(p)
	for _, in := range p.Inputs {
		inCluster := in.Generate != nil && in.Generate.InCluster
		concerned := true
		switch use {
		case Write, Tell: // of version v1, where the lock key may be nonetheless, nothing is
			concerned = in.Class == plan.Generated && !inCluster && s.Version != "v1"
		case Fetch:
			concerned = external[in.Name]
		case Push:
			concerned = external[in.Name] && inCluster
		}
		if concerned && in.Source == s.Name && in.Default == nil {
			names = append(names, in.Remote.Name)
		}
	}
	if use == Tell && slices.ContainsFunc(p.Inputs, func(in plan.Input) bool {
		return in.Source == s.Name && in.Class == plan.Generated && in.Name != plan.LockKey && slices.Contains(names, in.Remote.Name)
	}) {
		names = []string{s.Pending.Name, s.PendingValues.Name}
	} else if use == Tell {
		names = nil // there is nothing that someone could rotate
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// keepsPrevious reports whether an input of that name at s has a previous value that
// a key takes.
func keepsPrevious(p *plan.Plan, s plan.Source, name string) bool {
	return slices.ContainsFunc(p.Inputs, func(in plan.Input) bool {
		return in.Source == s.Name && in.Remote.Name == name && in.KeepsPrevious() > 0 && p.TakesPrevious(in.Name)
	})
}

// inExternal returns the inputs that external secrets are made from.
func inExternal(p *plan.Plan) map[string]bool {
	external := map[string]bool{}
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			for _, in := range k.Inputs() {
				external[in] = external[in] || s.Delivery.Fetches()
			}
		}
	}
	return external
}

// policyOf returns the policy for names, of which those that are kept have a
// previous value.
func policyOf(s plan.Source, use Use, names, kept []string) Policy {
	switch s.Kind {
	case plan.AWSSSM:
		return parameterStore(s, use, names)
	case plan.AWSSecretsManager:
		return secretsManager(s, use, names, kept)
	case plan.AzureKeyVault:
		return withVersions(keyVault(s, use, names), use, kept)
	case plan.GCPSecretManager:
		return withVersions(secretManager(s, use, names), use, kept)
	case plan.Vault:
		return vault(s, use, names)
	}
	if kind, _ := plan.KindOf(s.Kind); kind.Note != "" {
		return Policy{Note: kind.Note}
	}
	return Policy{Note: fmt.Sprintf("What a source of kind %s must allow is not known.", s.Kind)}
}

// tell returns the policy to read and to write what is pending.
func tell(s plan.Source, names []string) Policy {
	p, write := policyOf(s, Read, names, nil), policyOf(s, Write, names, nil)
	switch {
	case p.IAM != nil:
		for _, statement := range write.IAM.Statement {
			if statement.Sid == "UseKey" && slices.ContainsFunc(p.IAM.Statement, func(other Statement) bool { return other.Sid == statement.Sid }) {
				i := slices.IndexFunc(p.IAM.Statement, func(other Statement) bool { return other.Sid == statement.Sid })
				p.IAM.Statement[i].Action = slices.Compact(slices.Sorted(slices.Values(append(p.IAM.Statement[i].Action, statement.Action...))))
				continue
			}
			p.IAM.Statement = append(p.IAM.Statement, statement)
		}
	case s.Kind == plan.GCPSecretManager:
		p.Commands = append(p.Commands, write.Commands...)
		p.Note = write.Note
	default: // anyone who may write there may read, too
		p = write
	}
	p.Note = strings.TrimSpace(p.Note + " What builds report about a pending rotation, they read in " + s.Pending.Name + ", which contains no value.")
	return p
}

// withVersions says what it takes besides to find previous values, where versions
// are metadata.
func withVersions(p Policy, use Use, kept []string) Policy {
	if use == Read && len(kept) > 0 {
		p.Note = strings.TrimSpace(p.Note + " Previous values that still count are found by their versions, which needs the role to prove as well: for " + plan.And(kept) + ".")
	}
	return p
}

// quote makes a word of a command for a shell out of s.
func quote(s string) string {
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
