package tree

import (
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// History is what the lock of a tree knows of the sealed secrets of a plan:
// which keys they have, and when the values of these last changed.
// The zero History knows nothing.
type History struct {
	plan     *plan.Plan
	lock     *Lock
	previous []plan.Input
	inputs   []plan.Input
	of       []plan.Secret
	secrets  []LockedSecret
}

// History reads the lock of t. Without one, or with that of another
// environment, nothing is known.
func (t *Tree) History(p *plan.Plan) (History, plan.Diagnostics) {
	var h History
	l, ds := t.Lock()
	if l != nil && l.Environment == p.Environment {
		h = HistoryOf(p, l)
	}
	return h, ds
}

func HistoryOf(p *plan.Plan, l *Lock) History {
	return History{p, l, p.Previous(), p.Inputs, p.Secrets, l.Secrets}
}

// Key returns when the value of a key last changed, and whether it was sealed
// at all: what is left out is not. It is not known of a key that the lock does
// not have.
func (h History) Key(s plan.Secret, key string) (changed time.Time, sealed, known bool) {
	locked, ok := h.secret(s)
	if !ok {
		return time.Time{}, false, false
	}
	entry, known := locked.Keys[key]
	return entry.Changed, known && !entry.Omitted, known
}

// LastChange returns when in changed last, as far as the lock knows, and the
// secrets that have it. A key changes with each of its inputs, so the key that
// has been the same for the longest tells best. Of an input that is in none, a
// password of which they have the hash, what is made from it tells.
func (h History) LastChange(in plan.Input) (changed time.Time, secrets []string) {
	for _, s := range h.of {
		locked, ok := h.secret(s)
		if !ok {
			continue // it is external
		}
		had := len(secrets)
		for _, k := range s.Keys {
			entry, known := locked.Keys[k.Name]
			// Whether a template had an input that may be absent, the lock does not tell.
			if !known || entry.Omitted || !slices.Contains(k.Inputs(), in.Name) || in.MayBeAbsent() && k.Template != nil {
				continue
			}
			if len(secrets) == 0 || entry.Changed.Before(changed) {
				changed = entry.Changed
			}
			if len(secrets) == had {
				secrets = append(secrets, SecretID{s.Namespace, s.Name}.String())
			}
		}
	}
	if len(secrets) > 0 {
		return changed, secrets
	}
	for _, child := range h.inputs {
		if !slices.Contains(child.Parents(), in.Name) {
			continue
		}
		at, have := h.LastChange(child)
		if len(have) > 0 && (len(secrets) == 0 || at.Before(changed)) {
			changed = at
		}
		secrets = append(secrets, have...)
	}
	slices.Sort(secrets)
	return changed, slices.Compact(secrets)
}

func (h History) secret(s plan.Secret) (LockedSecret, bool) {
	i := slices.IndexFunc(h.secrets, func(l LockedSecret) bool { return l.Namespace == s.Namespace && l.Name == s.Name })
	if i < 0 {
		return LockedSecret{}, false
	}
	return h.secrets[i], true
}

// End is when a previous value counts no longer, if the lock has one of was.
func (l *Lock) End(was plan.Input, p *plan.Plan) (end time.Time, known bool) {
	in, _ := p.Input(was.PreviousOf())
	locked := l.Inputs[was.Name]
	return locked.Replaced.Add(in.KeepsPrevious()), locked.Present && !locked.Replaced.IsZero()
}

// PreviousEnd returns when a previous value counts no longer, if the tree has one of
// was.
func (h History) PreviousEnd(was plan.Input) (end time.Time, known bool) {
	if h.lock == nil {
		return time.Time{}, false
	}
	return h.lock.End(was, h.plan)
}

// Overdue returns the inputs of which the tree has a previous value that counts no
// longer, and since when.
func (h History) Overdue(now time.Time) map[string]time.Time {
	over := map[string]time.Time{}
	for _, was := range h.previous {
		if end, known := h.PreviousEnd(was); known && !now.Before(end) {
			over[was.PreviousOf()] = end
		}
	}
	return over
}
