// Package source resolves the inputs of a plan: it reads each one from the
// place where it lives, mints what is generated and missing, and judges what
// it found. A sub-package implements each kind of source; none of them knows
// another, and none registers itself.
package source

import (
	"context"
	"errors"
	"time"

	"github.com/victor-ai/victorgen/compiler/value"
)

// ErrAbsent is what a source answers for an input that it does not have. It
// asked, and the answer was no. Resolution goes on: an optional input stays
// absent, a generated one is minted.
var ErrAbsent = errors.New("absent")

// ErrUnreadable is what a source's error wraps when it could not ask, or was
// not allowed to: no network, no permission, an expired login. Nothing is
// known of the input then, so nothing is ever minted in its place; a sealed
// copy of it is kept if there is one. Every error that wraps neither this nor
// ErrAbsent stops the build.
var ErrUnreadable = errors.New("unreadable")

// Ref is what a source is asked for.
type Ref struct {
	Input  string // the name of the input
	Remote string // its name at the source, for sources that have names of their own
}

// Answer is what a source says of one Ref. Err is nil, or wraps ErrAbsent or
// ErrUnreadable, or stops the build. No error holds a value.
type Answer struct {
	Value   value.Value
	Origin  string    // where it was found, for people: ".secrets:12"; of an absent one, where to put it
	Changed time.Time // when the value last changed; zero if the source cannot say
	Err     error
}

// Source is a place where inputs live.
type Source interface {
	// Read returns one answer for each ref, in their order. A failure that
	// concerns all of them stands in each answer. An empty value is absent.
	Read(ctx context.Context, refs []Ref) []Answer
}

// Writer is a Source that can also keep a value.
type Writer interface {
	Source
	// Create stores v unless the source has a value already, and returns the
	// one that the source holds afterwards: of two builds that race, both use
	// the same. It returns only when the value would survive a crash.
	Create(ctx context.Context, ref Ref, v value.Value) (Answer, error)
}

// Lister is a Source that can tell all names it holds, cheaply. Resolution
// warns of those that look like a misspelt input.
type Lister interface {
	Source
	List(ctx context.Context) ([]Listed, error)
}

// Listed is one name that a source holds.
type Listed struct {
	Name   string
	Origin string // for people: ".secrets:12"
}

// DryRun returns a source that answers as s does and keeps nothing: what is
// created there is forgotten.
func DryRun(s Source) Source { return dryRun{s} }

type dryRun struct{ Source }

func (dryRun) Create(_ context.Context, _ Ref, v value.Value) (Answer, error) {
	return Answer{Value: v, Origin: "a dry run, which keeps nothing"}, nil
}

func (d dryRun) List(ctx context.Context) ([]Listed, error) {
	if l, ok := d.Source.(Lister); ok {
		return l.List(ctx)
	}
	return nil, nil
}
