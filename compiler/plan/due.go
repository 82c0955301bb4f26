package plan

import (
	"cmp"
	"time"
)

// expiryNotice is how long before an input expires it is worth a word where the
// contract, which has no alerts, does not say.
const expiryNotice = 30 * 24 * time.Hour

// RotationAge is the age from which a run of rotate --due makes a new value; 0 is
// never.
func (in Input) RotationAge() time.Duration { return cmp.Or(in.RotateAfter, in.MaxAge) }

// Ask says who can provide the value of an input, for a hint.
func (in Input) Ask() string { return cmp.Or(in.Owner, "its owner") }

// Expiring says which of the inputs that there are ends soon, or has ended, at the
// time now, by the day that the contract says.
func (p *Plan) Expiring(now time.Time, there func(Input) bool) Diagnostics {
	notice := expiryNotice
	if p.Alerts != nil {
		notice = p.Alerts.ExpiryNotice
	}
	var ds Diagnostics
	for _, in := range p.Inputs {
		if in.Expires.IsZero() || in.Expires.After(now.Add(notice)) || !there(in) {
			continue
		}
		hint := "get a new one from " + in.Ask() + ", replace it at its source, and write the new date as expires"
		if in.Expires.After(now) {
			ds.Warnf(CodeExpires, in.Pos, hint, "%s expires on %s, in %s", in.Name, Day(in.Expires), Age(in.Expires.Sub(now)))
		} else {
			ds.Errorf(CodeExpires, in.Pos, hint, "%s has expired on %s, according to the contract", in.Name, Day(in.Expires))
		}
	}
	return ds
}
