package emit

import (
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// CertificateUse is a certificate that a tree is sealed for.
type CertificateUse struct {
	File     string    `json:"file"`
	SHA256   string    `json:"sha256"`
	Subject  string    `json:"subject,omitempty"`
	NotAfter time.Time `json:"notAfter"`
	New      bool      `json:"new"` // the tree was sealed for another one before, or for none
}

// noted returns what the new lock notes of the certificates that it pins. What was
// not noted before is noted when something is sealed: until then the tree stays as
// it is. No entry that keeps a stamp of its own must lose it by that.
func (e *emission) noted(lockKey []byte) map[string]tree.LockedCertificate {
	noted := map[string]tree.LockedCertificate{}
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
			noted[w.cert.SHA256] = w.cert.Note()
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

// uses tells of the certificates of the plan.
func (e *emission) uses() []CertificateUse {
	var all []CertificateUse
	pins := e.oldLock.Pins()
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
				d.Message += "; nothing needs to be sealed for it, so the tree is kept"
			}
			all = append(all, d)
		}
	}
	return all
}

// CheckCertificates reports what is wrong with the certificates of p, as Emit
// would, so that a caller can know before it does anything that cannot be undone.
// Of one that has ended (expired) Emit may say after all that nothing needs it.
func CheckCertificates(p *plan.Plan, old *tree.Tree, o Options) (ds plan.Diagnostics, expired bool) {
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	certificates, ds, ended := sealing.Certificates(p, now())
	if l, _ := old.Lock(); l != nil {
		ds = append(ds, sealing.CheckPins(l, p, certificates, o.Accept)...)
	}
	return ds, len(ended) > 0
}
