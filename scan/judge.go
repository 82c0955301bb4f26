package scan

import (
	"bytes"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// What a value must have so that it stands nowhere by chance: in a gigabyte of
// random text that is less than once in a thousand.
const (
	minLength = 8  // bytes
	minBits   = 40 // of entropy, as the value itself lets guess
)

// Reason says why an input is not searched for. What is secret and has no reason is
// searched for.
type Reason string

// The reasons.
const (
	Absent      Reason = "absent"
	Unreadable  Reason = "unreadable"
	Setting     Reason = "a setting, which is not secret"
	Public      Reason = "public: a public key, a certificate or a time"
	InContract  Reason = "in the contract itself"
	Guessable   Reason = "not hard to guess, according to the contract (minStrength: 0, oneOf, or its format)"
	Placeholder Reason = "a placeholder"
	NoSecret    Reason = "a URL without a secret in it"
	Short       Reason = "too short, or too easy to guess, so that it may occur by chance"
)

// Why returns why an input of p is not searched for, of which r was found out; empty
// if it is.
func Why(p *plan.Plan, in plan.Input, r value.Resolved) Reason {
	c := in.Constraints
	switch v := bytes.TrimSpace(r.Value.Reveal()); {
	case in.Class == plan.Setting:
		return Setting
	case isPublicKind(in):
		return Public
	case r.State == value.Absent, r.State == value.Present && len(v) == 0:
		return Absent // or there is none to be had, as of what is generated in the cluster
	case r.State != value.Present:
		return Unreadable
	case in.Class != plan.Generated && in.Encoding != plan.Binary && c.MinStrength == 0, len(c.OneOf) > 0:
		return Guessable
	case isPublic(v):
		return Public
	case inContract(p, string(v)):
		return InContract
	case slices.ContainsFunc(value.Judge(in, r.Value), func(d plan.Diagnostic) bool { return d.Code == plan.CodePlaceholder }):
		return Placeholder
	case len(strip(v)) < minLength || value.Strength(value.New(v)) < minBits:
		return Short
	case !hasSecret(string(v)):
		return NoSecret
	}
	return ""
}

func isPublicKind(in plan.Input) bool {
	return in.Generate != nil && slices.Contains([]string{plan.PublicKey, plan.X509, plan.Time}, in.Generate.Kind)
}

// isPublic reports whether v is nothing but public keys and certificates.
func isPublic(v []byte) bool {
	if slices.ContainsFunc([]string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"}, func(kind string) bool { return bytes.HasPrefix(v, []byte(kind)) }) {
		return bytes.Contains(v, []byte(" AAAA"))
	}
	for len(v) > 0 {
		block, rest := pem.Decode(v)
		if block == nil || !slices.Contains([]string{"CERTIFICATE", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST", "PUBLIC KEY", "RSA PUBLIC KEY"}, block.Type) {
			return false
		}
		v = bytes.TrimSpace(rest)
	}
	return true
}

// inContract reports whether the plan has v, so that it is no secret.
func inContract(p *plan.Plan, v string) bool {
	for _, in := range p.Inputs {
		if in.Example == v || in.Default != nil && *in.Default == v || slices.Contains(in.Constraints.OneOf, v) {
			return true
		}
	}
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			if k.Value != nil && strings.TrimSpace(*k.Value) == v {
				return true
			}
		}
	}
	return false
}

// hasSecret reports whether v, if it is a URL, has more than a host that anyone may
// know.
func hasSecret(v string) bool {
	u, err := url.Parse(v)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return true
	}
	rest := u.Path + u.RawQuery + u.Fragment
	if u.User != nil {
		rest = u.User.String() + rest
	}
	return value.Strength(value.New([]byte(rest))) >= minBits
}
