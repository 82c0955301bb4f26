package emit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// CertificateUse is a certificate that a tree is sealed for.
type CertificateUse struct {
	File     string    `json:"file"`
	SHA256   string    `json:"sha256"`
	Subject  string    `json:"subject,omitempty"`
	NotAfter time.Time `json:"notAfter"`
	New      bool      `json:"new"` // the tree was sealed for another one before, or for none
}

// pins are the certificates that the lock has something sealed for, sorted.
func (l *lock) pins() []string {
	var pins []string
	for _, s := range l.Secrets {
		for _, k := range s.Keys {
			if !k.Omitted && s.Certificate != "" && !slices.Contains(pins, s.Certificate) {
				pins = append(pins, s.Certificate)
			}
		}
	}
	slices.Sort(pins)
	return pins
}

// checkPins reports the certificates that are not those which the lock is sealed
// for: whoever has their key could read all that would be sealed for them.
// accepted are fingerprints that somebody else than the contract vouches for.
func (l *lock) checkPins(p *plan.Plan, certificates map[string]*Certificate, accepted []string) plan.Diagnostics {
	var ds plan.Diagnostics
	pins := l.pins()
	if len(pins) == 0 || l.Environment != p.Environment {
		return ds
	}
	var known []string
	for _, pin := range pins {
		known = append(known, l.about(pin))
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
			"if the controller has renewed it: `victorgen cert fetch ENV` asks the cluster; or compare the fingerprint with somebody who knows it, and `victorgen build ENV --accept-certificate "+cert.SHA256+"`",
			"%s is not the certificate that the tree is sealed for: it has SHA-256 %s (%s), and the tree %s",
			cert.Path, cert.SHA256, cert.note(), plan.And(known))
	}
	return ds
}

// note is what the lock notes of c.
func (c *Certificate) note() lockedCertificate {
	return lockedCertificate{c.Subject, c.NotBefore.UTC().Truncate(time.Second), c.NotAfter.UTC().Truncate(time.Second)}
}

// about tells of a pinned certificate: its SHA-256, and whose it is.
func (l *lock) about(pin string) string {
	if c, ok := l.Certificates[pin]; ok {
		return fmt.Sprintf("SHA-256 %s (%s)", pin, c)
	}
	return fmt.Sprintf("SHA-256 %s (whose it is, this lock of an earlier version does not tell)", pin)
}

// noted returns what the new lock notes of the certificates that it pins. What was
// not noted before is noted when something is sealed: until then the tree stays as
// it is. No entry that keeps a stamp of its own must lose it by that.
func (e *emission) noted(lockKey []byte) map[string]lockedCertificate {
	noted := map[string]lockedCertificate{}
	for _, w := range e.secrets {
		if w.cert == nil || len(w.ciphertexts) == 0 {
			continue
		}
		_, done := noted[w.cert.SHA256]
		if old, had := e.oldLock.Certificates[w.cert.SHA256]; len(w.pending) == 0 {
			if had && !done {
				noted[w.cert.SHA256] = old
			}
		} else {
			noted[w.cert.SHA256] = w.cert.note()
		}
	}
	for _, w := range e.secrets {
		_, had := e.oldLock.Certificates[w.entry.Certificate]
		for name, k := range w.entry.Keys {
			if lockKey == nil && !had && k.Stamp != "" && !w.isPending(name) {
				delete(noted, w.entry.Certificate)
			}
		}
	}
	return noted
}

// fingerprint is a SHA-256 as it stands in a lock, however people write it.
func fingerprint(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }

// AcceptCertificate notes in the lock of the tree in dir that the next build may
// seal for a certificate, for the cluster itself has handed it out. Whoever
// reviews the change sees both. It does nothing if there is no tree, or if the
// tree is sealed for it already.
func AcceptCertificate(p *plan.Plan, dir, sha256 string) plan.Diagnostics {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	l, ds := readLock(root)
	if l == nil || l.Environment != p.Environment {
		return ds
	}
	if pins := l.pins(); len(pins) == 0 || slices.Contains(pins, sha256) || slices.Contains(l.Accepted, sha256) {
		return ds
	}
	l.Accepted = append(l.Accepted, sha256)
	slices.Sort(l.Accepted)
	if err := replace(filepath.Join(dir, LockFile), l.marshal()); err != nil {
		ds.Errorf(plan.CodeTreeWrite, nil, "make it writable, and fetch again", "cannot write %s: %v", filepath.Join(dir, LockFile), safefile.Reason(err))
	}
	return ds
}

// uses tells of the certificates of the plan.
func (e *emission) uses() []CertificateUse {
	var all []CertificateUse
	pins := e.oldLock.pins()
	for _, w := range e.secrets {
		if c := w.cert; c != nil && w.manifest != nil && !slices.ContainsFunc(all, func(u CertificateUse) bool { return u.SHA256 == c.SHA256 }) {
			all = append(all, CertificateUse{c.Path, c.SHA256, c.Subject, c.NotAfter.UTC(), !slices.Contains(pins, c.SHA256)})
		}
	}
	return all
}

// checkExpired tells of certificates that have ended: an error if something must
// be sealed for them, and else a warning.
func (e *emission) checkExpired() plan.Diagnostics {
	var all plan.Diagnostics
	for path, ds := range e.expired {
		needed := slices.ContainsFunc(e.secrets, func(w *work) bool { return w.Delivery.Certificate == path && len(w.pending) > 0 })
		for _, d := range ds {
			if !needed {
				d.Severity = plan.Warning
				d.Message += "; nothing has to be sealed for it, so the tree stays"
			}
			all = append(all, d)
		}
	}
	return all
}

// VetCertificates warns of certificates that have ended or are about to. It says
// nothing of those that cannot be read: a first one is fetched after vet.
func VetCertificates(p *plan.Plan, now time.Time) plan.Diagnostics {
	var all plan.Diagnostics
	_, ds, expired := certificatesOf(p, now)
	for _, more := range expired {
		ds = append(ds, more...)
	}
	for _, d := range ds {
		if d.Code == plan.CodeCertificateExpired || d.Code == plan.CodeCertificateEnds {
			d.Severity = plan.Warning
			all = append(all, d)
		}
	}
	all.Sort()
	return all
}
