package emit

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

// replacedAnnotation is on an ExternalSecret that takes previous values: when the
// last of these was replaced. A rotation of what has one already changes nothing
// else of the manifest, and the operator fetches again when that changes.
const replacedAnnotation = "victorgen/replaced"

// settle decides by the lock and the clock what becomes of previous values that
// could not be read, or that their sources have no longer. What the lock knows
// nothing of was not in the tree. What it has counts until its time is over, and
// in a sealed secret a copy of it stands until then: it takes another rotation to
// drop it before.
func (e *emission) settle() {
	unread := e.plan.Unread()
	e.values = maps.Clone(e.values)
	for _, was := range e.plan.Previous() {
		r := e.values[was.Name]
		end, had := e.oldLock.End(was, e.plan)
		switch known := had && e.now.Before(end); {
		case r.State == value.Present, r.State == value.Absent && !r.Changed.IsZero(): // its source has told
		case had && !known && r.State == value.Unreadable && e.inTemplate(was.Name):
			e.values[was.Name] = value.Resolved{Reason: "it has expired, and what is made with it can't be made again without reading the rest"}
		case !known:
			e.values[was.Name] = value.Resolved{State: value.Absent}
		case r.State == value.Absent && !unread[was.Name]: // the operator could not fetch it
			e.values[was.Name] = value.Resolved{Reason: fmt.Sprintf("it is not at its source, and counts until %s by %s", end.UTC().Format(time.RFC3339), tree.LockFile)}
		}
	}
}

// inTemplate reports whether the template of a sealed key takes an input.
func (e *emission) inTemplate(input string) bool {
	return slices.ContainsFunc(e.plan.Secrets, func(s plan.Secret) bool {
		return s.Delivery.Seals() && slices.ContainsFunc(s.Keys, func(k plan.Key) bool {
			return k.Template != nil && slices.Contains(k.Template.Inputs, input)
		})
	})
}

// dropped are the inputs whose previous values were in the old tree, and have had
// their time.
func (e *emission) dropped() (names []string) {
	for _, was := range e.plan.Previous() {
		if end, known := e.oldLock.End(was, e.plan); known && !e.now.Before(end) && e.values[was.Name].State != value.Unreadable {
			names = append(names, was.PreviousOf())
		}
	}
	return names
}

// registerPrevious adds to what the new lock says of inputs the previous values that
// are in the tree, with the times at which they were replaced.
func (e *emission) registerPrevious(known map[string]tree.LockedInput) {
	for _, was := range e.plan.Previous() {
		if !e.plan.TakesPrevious(was.PreviousOf()) {
			continue
		}
		switch r := e.values[was.Name]; r.State {
		case value.Present:
			known[was.Name] = tree.LockedInput{Place: e.oldLock.OwnPlace(was.Name, e.plan), Present: true, Replaced: r.Changed.UTC().Truncate(time.Second)}
		case value.Unreadable:
			known[was.Name] = e.oldLock.Inputs[was.Name]
		}
	}
}

// replaced is when the last of the previous values was replaced that an external
// secret takes; zero if it takes none.
func (e *emission) replaced(w *work) (last time.Time) {
	for name := range w.references.inputs {
		at := e.values[name].Changed
		if e.values[name].State == value.Unreadable {
			at = e.oldLock.Inputs[name].Replaced
		}
		if in, _ := e.plan.Input(name); in.PreviousOf() != "" && at.After(last) {
			last = at.UTC().Truncate(time.Second)
		}
	}
	return last
}
