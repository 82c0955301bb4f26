package emit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// lockKey returns the key that authenticates the lock, nil if there is none.
// It reports false if that is not known. An empty one is none: a tag made
// with it would be a bare hash of a value.
func (e *emission) lockKey() (key []byte, known bool) {
	r := e.values[plan.LockKey]
	if r.State == value.Present && r.Value.Len() > 0 {
		return r.Value.Reveal(), true
	}
	return nil, r.State != value.Unreadable
}

// sealedDelivery is by a SealedSecret: the values are in the tree, encrypted for the
// controller of the cluster.
type sealedDelivery struct{}

func (sealedDelivery) knows(d plan.Delivery) bool {
	_, known := sealing.Scopes[d.Scope]
	return known
}

// manifest says in the lock what was sealed now.
func (sealedDelivery) manifest(e *emission, w *work) ([]byte, error) {
	lockKey, _ := e.lockKey()
	for _, k := range w.pending {
		k.entry.Ciphertext = tree.CiphertextDigest(k.ciphertext)
		if lockKey != nil {
			k.entry.Tag = tree.TagOf(lockKey, w.entry, k.name, k.entry, k.content)
		}
		w.entry.Keys[k.name] = k.entry
		w.ciphertexts[k.name] = k.ciphertext
	}
	if len(w.ciphertexts) == 0 {
		return nil, nil
	}
	return sealing.Manifest(w.Secret, e.plan, w.ciphertexts)
}

// decide judges each key: left out, kept, or to be sealed.
func (sealedDelivery) decide(e *emission, w *work) {
	if w.previous.File != "" {
		w.inFile = tree.Ciphertexts(e.old.Files[w.previous.File])
	}
	size := 0
	data := map[string]value.Value{}
	for _, k := range w.Keys {
		c, ok := contentOf(k, w.id(), e.plan, e.values, &w.diagnostics)
		if !ok {
			continue
		}
		size += len(c.bytes)
		if c.known() && c.leftOut == "" {
			data[k.Name] = value.New(c.bytes)
		}
		e.decideKey(w, k, c)
	}
	checkSize(w.Secret, size, &w.diagnostics)
	w.diagnostics = append(w.diagnostics, value.JudgeTyped(w.Secret, "secret "+w.id(), data)...)
	if len(w.edited) > 0 {
		w.diagnostics.Warnf(plan.CodeEdited, w.Pos, "change the value at its source, and build",
			"%s: the ciphertext of %s is not the one that was written; it was edited by hand and is sealed again",
			w.previous.File, strings.Join(w.edited, ", "))
	}
}

func (e *emission) decideKey(w *work, k plan.Key, c content) {
	var (
		entry    = tree.LockedKey{Definition: tree.Definition(k, e.plan)}
		old, had = w.previous.Keys[k.Name]
		report   = func(s State, why string) {
			w.keys = append(w.keys, KeyReport{Name: k.Name, State: s, Why: why, Inputs: k.Inputs()})
		}
	)
	switch {
	case c.leftOut != "":
		entry.Omitted = true
		w.entry.Keys[k.Name] = entry
		report(LeftOut, c.leftOut)
		return
	case !c.known() && old.Omitted && old.Definition == entry.Definition && e.mayBeOmitted(k):
		w.entry.Keys[k.Name] = old
		report(LeftOut, "it was left out before, and cannot be read")
		return
	}

	stale := w.stale(k.Name, entry.Definition)
	sealed := had && !old.Omitted
	edited := sealed && tree.CiphertextDigest(w.inFile[k.Name]) != old.Ciphertext
	keep := func(why string) {
		w.entry.Keys[k.Name] = old
		w.ciphertexts[k.Name] = w.inFile[k.Name]
		report(Kept, why)
	}
	lockKey, lockKeyKnown := e.lockKey()
	if !c.known() || !lockKeyKnown {
		hidden := c.unreadable
		if c.known() {
			r := e.values[plan.LockKey]
			hidden = []unreadable{{plan.LockKey, r.Reason, r.Remedy}}
		}
		if len(stale) > 0 {
			names, text := describe(hidden)
			hint := "build where " + names + " can be read"
			if i := slices.IndexFunc(hidden, func(h unreadable) bool { return h.remedy != "" }); i >= 0 {
				hint = hidden[i].remedy
			}
			if edited {
				hint += ", or restore " + w.previous.File + " from Git"
			}
			w.diagnostics.Errorf(plan.CodeCannotSeal, k.Pos, hint,
				"key %q of secret %s: %s, and there is no sealed copy to keep: %s", k.Name, w.id(), text, strings.Join(stale, ", "))
			return
		}
		if lockKeyKnown && lockKey != nil && !e.stamped(w, k.Name) && !e.rekeyed {
			e.forged(w, k)
			return
		}
		keep("it cannot be read, and nothing else has changed")
		for _, h := range hidden {
			if h.reason != "" { // being offline was asked for; all else is news
				w.unread = append(w.unread, k.Name)
				w.unreadFor = append(w.unreadFor, h)
			}
		}
		w.unread = slices.Compact(w.unread)
		return
	}

	entry.Sealed, entry.Changed = e.now, e.now
	switch {
	case lockKey == nil:
		stale = append(stale, "without "+plan.LockKey+" it is sealed again each time")
	case !sealed:
	case old.Tag == "":
		stale = append(stale, "it was sealed without "+plan.LockKey)
	case tree.VerifyTag(lockKey, w.previous, k.Name, old, c.bytes):
		if !e.stamped(w, k.Name) {
			e.forged(w, k)
			return
		}
		if len(stale) == 0 {
			keep("unchanged")
			return
		}
		entry.Changed = old.Changed
	case e.rekeyed:
		stale = append(stale, plan.LockKey+" changed")
	default:
		stale = append(stale, "the value changed")
		if !entry.Changed.After(old.Changed) { // two builds in one second: what goes by the time must see it
			entry.Changed = old.Changed.Add(time.Second)
			entry.Sealed = entry.Changed
		}
	}
	if edited {
		w.edited = append(w.edited, k.Name)
	}
	w.pending = append(w.pending, &pendingKey{name: k.Name, content: c.bytes, entry: entry})
	report(Sealed, strings.Join(stale, ", "))
}

// stamped reports whether the old entry of a key is one that was written: those
// of version 1 had no stamps, and are believed once.
func (e *emission) stamped(w *work, key string) bool {
	lockKey, _ := e.lockKey()
	old := w.previous.Keys[key]
	return e.oldLock.Version < 2 || old.Tag == "" && old.Stamp == "" || tree.VerifyStamp(lockKey, w.previous, key, old)
}

// forged reports an entry of which the value is as it was, and something else is not.
func (e *emission) forged(w *work, k plan.Key) {
	w.diagnostics.Errorf(plan.CodeLockTimes, k.Pos, "restore "+tree.LockFile+" from Git; if that is not possible, `victorgen rotate` generates a new value",
		"%s: its entry for key %q of secret %s is not what was written, for example the time when its value last changed", tree.LockFile, k.Name, w.id())
}

// stamp stamps the entries of a secret. What was made with another lock key, and
// could not be compared, keeps what it has.
func (w *work) stamp(lockKey []byte) {
	for name, k := range w.entry.Keys {
		if sealed := w.isPending(name); lockKey != nil && k.Tag != "" && (sealed || !w.rekeyed) {
			k.Stamp = tree.StampOf(lockKey, w.entry, name, k)
			w.entry.Keys[name] = k
		}
	}
}

func (w *work) isPending(key string) bool {
	return slices.ContainsFunc(w.pending, func(p *pendingKey) bool { return p.name == key })
}

// mayBeOmitted reports whether the contract still allows that k is left out: an
// environment may have made its input required since.
func (e *emission) mayBeOmitted(k plan.Key) bool {
	in, ok := e.plan.Input(k.Input)
	return !ok || in.MayBeAbsent()
}

// stale says why the copy that was sealed earlier cannot stand for a key of
// that definition, whatever its value is now. It says nothing if it can.
func (w *work) stale(key, definition string) []string {
	old, had := w.previous.Keys[key]
	switch {
	case !had:
		return []string{"it was not sealed before"}
	case old.Omitted:
		return []string{"it was left out before"}
	}
	var why []string
	if w.cert != nil && w.previous.Certificate != w.cert.SHA256 {
		why = append(why, "the certificate changed")
	}
	if w.previous.Scope != w.entry.Scope {
		why = append(why, fmt.Sprintf("the scope changed from %s to %s", w.previous.Scope, w.entry.Scope))
	}
	if old.Definition != definition {
		why = append(why, "its definition changed")
	}
	if text, ok := w.inFile[key]; !ok {
		why = append(why, "its ciphertext is missing from "+w.previous.File)
	} else if tree.CiphertextDigest(text) != old.Ciphertext {
		why = append(why, "its ciphertext was edited by hand")
	}
	return why
}

// describe names inputs, alone and with the reasons why they are hidden.
func describe(hidden []unreadable) (names, text string) {
	var ns, ts []string
	for _, h := range hidden {
		ns = append(ns, h.input)
		if h.reason != "" {
			h.input += " (" + h.reason + ")"
		}
		ts = append(ts, h.input)
	}
	return strings.Join(ns, ", "), strings.Join(ts, ", ") + " cannot be read"
}

// warnUnread warns, once for all, of what was kept because of trouble.
func (e *emission) warnUnread(ds *plan.Diagnostics) {
	var keys []string
	inputs := map[string][]string{} // by reason
	for _, w := range e.secrets {
		if len(w.unread) > 0 {
			keys = append(keys, w.id()+" "+strings.Join(w.unread, ", "))
		}
		for _, h := range w.unreadFor {
			inputs[h.reason] = append(inputs[h.reason], h.input)
		}
	}
	if len(keys) == 0 {
		return
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(inputs)) {
		names := slices.Compact(slices.Sorted(slices.Values(inputs[reason])))
		reasons = append(reasons, fmt.Sprintf("%s cannot be read (%s)", plan.And(names), reason))
	}
	ds.Warnf(plan.CodeKept, nil, "what changed there in the meantime is not in this tree: build again where they can be read",
		"kept the sealed copies of %s, because %s", strings.Join(keys, "; "), strings.Join(reasons, ", and "))
}
