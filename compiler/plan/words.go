package plan

import (
	"cmp"
	"fmt"
	"strings"
)

// MustBe puts into words what the value of an input must be; empty if it may be
// anything.
func (in Input) MustBe() string {
	c := in.Constraints
	var parts []string
	if in.Encoding != "" {
		parts = append(parts, "in "+in.Encoding)
	}
	if c.Format != "" {
		parts = append(parts, "format "+c.Format)
	}
	if c.Pattern != nil {
		parts = append(parts, "pattern "+c.Pattern.String())
	}
	if c.MinLength > 0 {
		parts = append(parts, fmt.Sprintf("%d characters or more", c.MinLength))
	}
	if c.MaxLength > 0 {
		parts = append(parts, fmt.Sprintf("%d characters at most", c.MaxLength))
	}
	if len(c.OneOf) > 0 {
		parts = append(parts, "one of "+strings.Join(c.OneOf, ", "))
	}
	if c.MinStrength > 0 && in.Class != Generated {
		parts = append(parts, fmt.Sprintf("%v bits of strength or more", c.MinStrength))
	}
	return strings.Join(parts, "; ")
}

// GeneratedAs puts into words what is generated where an input is missing; empty if
// nothing is.
func (in Input) GeneratedAs() string {
	g := in.Generate
	if g == nil {
		return ""
	}
	var s string
	switch g.Kind {
	case Password:
		s = fmt.Sprintf("password of %d characters, out of %d", g.Length, len([]rune(g.Alphabet)))
		if len(g.Require) > 0 {
			s += ", with " + And(g.Require)
		}
	case Bytes:
		s = fmt.Sprintf("%d random bits in %s", g.Bits, g.Encoding)
	case RSA:
		s = fmt.Sprintf("RSA private key of %d bits (%s)", g.Bits, g.Encoding)
	case Ed25519:
		s = fmt.Sprintf("Ed25519 private key (%s)", g.Encoding)
	case ECDSA:
		s = fmt.Sprintf("ECDSA private key on %s (%s)", g.Curve, g.Encoding)
	case JWT:
		s = "JSON Web Token signed with " + g.Child.Algorithm
	case X509:
		s = fmt.Sprintf("certificate of %q", g.Child.Subject)
	default:
		s = cmp.Or(Noun(g.Kind), g.Kind)
	}
	if g.Child != nil && g.Child.Lifetime > 0 {
		s += ", valid for " + Age(g.Child.Lifetime)
		if g.Child.RenewBefore > 0 {
			s += ", regenerated " + Age(g.Child.RenewBefore) + " before its end"
		}
	}
	if g.InCluster {
		s += ", in the cluster"
	}
	return s
}
