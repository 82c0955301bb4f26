// Package source resolves the inputs of a plan: it reads each one from the
// place where it lives, generates what is generated and missing, and judges what
// it found. A sub-package implements each kind of source; none of them knows
// another, and none registers itself.
package source

import (
	"context"
	"errors"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// ErrAbsent is what a source answers for an input that it does not have. It
// asked, and the answer was no. Resolution goes on: an optional input stays
// absent, a generated one is generated.
var ErrAbsent = errors.New("absent")

// ErrUnreadable is what a source's error wraps when it could not ask, or was
// not allowed to: no network, no permission, an expired login. Nothing is
// known of the input then, so nothing is ever generated in its place; a sealed
// copy of it is kept if there is one. Every error that wraps neither this nor
// ErrAbsent stops the build. See [Failure].
var ErrUnreadable = errors.New("unreadable")

// Ref is what a source is asked for.
type Ref struct {
	Input  string      // the name of the input
	Remote plan.Remote // where it is at the source, if that has names of its own
	Binary bool        // its bytes are the value, which need not be text
}

// String names the ref for people.
func (r Ref) String() string {
	if r.Remote == (plan.Remote{}) {
		return r.Input
	}
	return r.Input + " (" + r.Remote.String() + ")"
}

// Answer is what a source says of one Ref. Err is nil, or wraps ErrAbsent or
// ErrUnreadable, or stops the build. No error holds a value.
type Answer struct {
	Value   value.Value // as the source holds it, bytes for bytes
	Origin  string      // where it was found, for people: ".secrets:12"; of an absent one, where to put it
	Known   string      // of an absent one: where a value of it is anyway, which does not count
	Changed time.Time   // when the value last changed; zero if the source cannot say
	// Plain says how the source itself holds the value in plain text, if it does:
	// "as a String". A Prover tells it, too.
	Plain string
	Err   error
	// Warnings are what else there is to say of where the value was found, or of
	// the place itself: what is the same in many answers is said once.
	Warnings plan.Diagnostics
}

// Source is a place where inputs live. Its methods may be called concurrently,
// and return soon after ctx is done.
type Source interface {
	// Read returns one answer for each ref, in their order. A failure that
	// concerns all of them stands in each answer. An empty value is absent.
	//
	// No two refs have the same Name and Version, and none has a Property: who
	// calls Read selects it. See [Read].
	Read(ctx context.Context, refs []Ref) []Answer
}

// Prover is a Source that can tell whether it has a value without reading it,
// so that no right to read or decrypt is needed.
type Prover interface {
	Source
	// Prove answers as Read does, but without values. It says nothing of the
	// property of a ref, and of its version only if the source can do so by
	// metadata. Changed may be later than the value's own last change, where the
	// source counts changes of metadata too.
	Prove(ctx context.Context, refs []Ref) []Answer
}

// errNoProver is what a Source that is no Prover answers.
var errNoProver = &Failure{Reason: "it can't prove what it has without reading it", Remedy: "allow values to be read"}

// Writer is a Source that can also keep a value. Its methods return only when
// the value would survive a crash. The Remote of their refs selects no version.
type Writer interface {
	Source
	// Create stores v unless the source already has a value, and returns the
	// one that the source holds afterwards: of two builds that race, both use
	// the same. It never changes a value that is there.
	Create(ctx context.Context, ref Ref, v value.Value) (Answer, error)
	// Replace stores v in the place of a value that is there, too. Older
	// versions are kept where the source keeps versions.
	Replace(ctx context.Context, ref Ref, v value.Value) (Answer, error)
}

// Lister is a Source that can tell all names it holds, cheaply. Resolution
// warns of those that look like a misspelled input.
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
// written there is forgotten.
func DryRun(s Source) Source { return dryRun{s} }

type dryRun struct{ Source }

func (dryRun) Create(_ context.Context, _ Ref, v value.Value) (Answer, error) {
	return Answer{Value: v, Origin: "a dry run, which stores nothing"}, nil
}

func (d dryRun) Replace(ctx context.Context, ref Ref, v value.Value) (Answer, error) {
	return d.Create(ctx, ref, v)
}

// Supersede implements Keeper.
func (d dryRun) Supersede(ctx context.Context, ref Ref, v value.Value, _ time.Time) (Answer, error) {
	return d.Create(ctx, ref, v)
}

// Forget implements Keeper.
func (dryRun) Forget(context.Context, Ref, time.Time) error { return nil }

// Remove implements Keeper.
func (dryRun) Remove(context.Context, Ref) error { return nil }

func (d dryRun) Previous(ctx context.Context, refs []Ref, values bool) []Answer {
	return Previous(ctx, d.Source, refs, values)
}

func (d dryRun) Prove(ctx context.Context, refs []Ref) []Answer {
	if p, ok := d.Source.(Prover); ok {
		return p.Prove(ctx, refs)
	}
	return Failed(refs, errNoProver)
}

func (d dryRun) List(ctx context.Context) ([]Listed, error) {
	if l, ok := d.Source.(Lister); ok {
		return l.List(ctx)
	}
	return nil, nil
}
