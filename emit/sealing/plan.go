package sealing

import (
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Certificates reads each certificate of p once, by path. What is to be said of
// those that have ended stands apart, by path.
func Certificates(p *plan.Plan, now time.Time) (map[string]*Certificate, plan.Diagnostics, map[string]plan.Diagnostics) {
	uses := map[string][]plan.Pos{}
	for _, s := range p.Secrets {
		c := s.Delivery.Certificate // none if it is not sealed
		for _, pos := range s.Delivery.Pos {
			if !slices.Contains(uses[c], pos) {
				uses[c] = append(uses[c], pos)
			}
		}
	}
	var ds plan.Diagnostics
	certificates := map[string]*Certificate{}
	expired := map[string]plan.Diagnostics{}
	for _, s := range p.Secrets {
		path := s.Delivery.Certificate
		if _, ok := certificates[path]; ok || !s.Delivery.Seals() {
			continue
		}
		cert, problems := Inspect(path, uses[path], now)
		fatal := false
		for _, d := range problems {
			if d.Code == plan.CodeCertificateExpired {
				expired[path] = append(expired[path], d)
				continue
			}
			fatal = fatal || d.Severity == plan.Error
			ds = append(ds, d)
		}
		certificates[path] = unless(fatal, cert)
	}
	return certificates, ds, expired
}

// Vet warns of certificates that have ended or are about to, or are for trying. It says
// nothing of those that cannot be read: a first one is fetched after vet.
func Vet(p *plan.Plan, now time.Time) plan.Diagnostics {
	var all plan.Diagnostics
	_, ds, expired := Certificates(p, now)
	for _, more := range expired {
		ds = append(ds, more...)
	}
	for _, d := range ds {
		switch d.Code {
		case plan.CodeCertificateExpired, plan.CodeCertificateEnds, plan.CodeCertificateDemo:
			d.Severity = plan.Warning
			all = append(all, d)
		}
	}
	all.Sort()
	return all
}

func unless(bad bool, cert *Certificate) *Certificate {
	if bad {
		return nil
	}
	return cert
}
