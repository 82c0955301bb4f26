package sealing

import (
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
)

// CheckPins reports the certificates that are not those which the lock is sealed
// for: anyone who has their key could read all that would be sealed for them.
// accepted are fingerprints that someone else than the contract vouches for.
func CheckPins(l *tree.Lock, p *plan.Plan, certificates map[string]*Certificate, accepted []string) plan.Diagnostics {
	var ds plan.Diagnostics
	pins := l.Pins()
	if len(pins) == 0 || l.Environment != p.Environment {
		return ds
	}
	var known []string
	for _, pin := range pins {
		known = append(known, l.About(pin))
	}
	seen := map[string]bool{}
	for _, s := range p.Secrets {
		cert := certificates[s.Delivery.Certificate]
		if cert == nil || seen[cert.Path] || slices.Contains(pins, cert.SHA256) || slices.Contains(l.Accepted, cert.SHA256) ||
			slices.ContainsFunc(accepted, func(a string) bool { return fingerprint(a) == cert.SHA256 }) {
			continue
		}
		seen[cert.Path] = true
		ds.Errorf(plan.CodeCertificateSwapped, s.Delivery.Pos,
			"if the controller has renewed it: `victorgen cert fetch ENV` asks the cluster; or compare the fingerprint with a colleague who knows it, and `victorgen build ENV --accept-certificate "+cert.SHA256+"`",
			"%s is not the certificate that the tree is sealed for: it has SHA-256 %s (%s), and the tree %s",
			cert.Path, cert.SHA256, cert.Note(), plan.And(known))
	}
	return ds
}

// Note is what the lock notes of c.
func (c *Certificate) Note() tree.LockedCertificate {
	return tree.LockedCertificate{Subject: c.Subject, NotBefore: c.NotBefore.UTC().Truncate(time.Second), NotAfter: c.NotAfter.UTC().Truncate(time.Second)}
}

// fingerprint is a SHA-256 as it stands in a lock, however people write it.
func fingerprint(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }
