package source

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Historian is a Source that has the value which was there before the current
// one: a service that keeps versions, or a [Keeper].
type Historian interface {
	Source
	// Previous answers for each ref, which selects no version, with the value
	// before the current one: the last that is another. Changed is when it was
	// replaced, and never zero. One that was disabled, deleted or destroyed is
	// absent, and so is all before it. So is what is younger than the current one:
	// someone has gone back behind it.
	//
	// Without values it answers as a Prover does, and is unreadable where that
	// can't be.
	Previous(ctx context.Context, refs []Ref, values bool) []Answer
}

// Keeper is a Historian that has no versions, and keeps the value before the
// current one next to it.
type Keeper interface {
	Writer
	Historian
	// Supersede stores v in the place of what is there, as Replace does, and keeps
	// that as the previous value, replaced at that time. It loses nothing however it
	// is interrupted: the new value comes last. A value that is v already stays, as
	// does its previous one.
	Supersede(ctx context.Context, ref Ref, v value.Value, at time.Time) (Answer, error)
	// Forget removes the previous value that was replaced at that time. One that
	// was replaced at another stays, and none is no error.
	Forget(ctx context.Context, ref Ref, at time.Time) error
	// Remove removes the value that ref names, as if it had never been there. None is
	// no error.
	Remove(ctx context.Context, ref Ref) error
}

// maxBack is how many versions [Before] looks back behind those that have the
// current value, too.
const maxBack = 20

// Before returns the previous value where a source keeps versions: that of the
// first one of older, the newest first, in which property differs from the one in the
// current one. The Changed of all of them is when they were made.
func Before(property string, current Answer, older iter.Seq[Answer]) Answer {
	none := Answer{Err: ErrAbsent, Origin: current.Origin}
	now := Select(current, property)
	switch {
	case now.Err != nil:
		return now
	case now.Value.Len() == 0:
		return none
	}
	replaced, back := current.Changed, 0
	for old := range older {
		if back++; back > maxBack || errors.Is(old.Err, ErrAbsent) {
			return none
		}
		if old.Err != nil {
			return old
		}
		if replaced.IsZero() || old.Changed.IsZero() {
			return Answer{Err: &Failure{
				Reason: "the service does not say when the previous value was replaced", Remedy: "allow the metadata of versions to be read", Unreadable: true,
			}}
		}
		if old.Changed.After(replaced) {
			return none
		}
		was := Select(old, property)
		switch {
		case was.Err != nil && !errors.Is(was.Err, ErrAbsent):
			return was
		case was.Err != nil || was.Value.Len() == 0:
			return none
		case !was.Value.Equal(now.Value):
			was.Changed = replaced
			return was
		}
		replaced = old.Changed
	}
	return none
}

// Keep writes a previous value as a [Keeper] keeps it: behind the time at which
// it was replaced, and a space.
func Keep(v value.Value, at time.Time) value.Value {
	return value.New(append([]byte(at.UTC().Format(time.RFC3339)+" "), v.Reveal()...))
}

// Kept reads what Keep has written and a source has answered. One that is as the
// current value is absent: anyone who was to replace that has kept it and gone no
// further.
func Kept(beside, current Answer) Answer {
	switch {
	case beside.Err != nil:
		return beside
	case current.Err != nil:
		return Answer{Err: current.Err, Origin: current.Origin}
	}
	at, v, ok := bytes.Cut(beside.Value.Reveal(), []byte(" "))
	replaced, err := time.Parse(time.RFC3339, string(at))
	if !ok || err != nil || len(v) == 0 {
		return Answer{Err: &Failure{
			Code: plan.CodeValueEncoding, Reason: "what is kept of it in " + beside.Origin + " is not a time and a value", Remedy: "remove it there",
		}}
	}
	a := Answer{Value: value.New(v), Origin: beside.Origin, Changed: replaced, Warnings: beside.Warnings}
	if a.Value.Equal(current.Value) {
		return Answer{Err: ErrAbsent, Origin: beside.Origin}
	}
	return a
}

// Unproved answers refs for a Historian that can't tell of a previous value
// without reading it.
func Unproved(refs []Ref) []Answer {
	return Failed(refs, &Failure{
		Reason: "whether there is a previous value can't be found out without reading it", Remedy: "allow values to be read", Unreadable: true,
	})
}

// Previous asks s for the previous values of refs. One that keeps none is
// unreadable.
func Previous(ctx context.Context, s Source, refs []Ref, values bool) []Answer {
	h, ok := s.(Historian)
	switch {
	case len(refs) == 0:
		return nil
	case !ok:
		return Failed(refs, &Failure{Reason: "it keeps no previous values", Remedy: "remove keepPrevious, or give the input another source", Unreadable: true})
	}
	return h.Previous(ctx, refs, values)
}
