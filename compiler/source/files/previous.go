package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// beside is where the previous value of ref is: in a file of its own.
func beside(ref source.Ref) source.Ref {
	ref.Remote.Name = plan.PreviousPrefix + name(ref)
	return ref
}

// Previous implements source.Historian.
func (s *Source) Previous(_ context.Context, refs []source.Ref, values bool) []source.Answer {
	answers := s.each(refs, func(root *os.Root, ref source.Ref) source.Answer {
		return source.Kept(s.read(root, beside(ref)), s.read(root, ref))
	})
	for i := range answers {
		if !values {
			answers[i].Value = value.Value{}
		}
	}
	return answers
}

// Supersede implements source.Keeper. There is an instant at which both files
// hold the value that is replaced.
func (s *Source) Supersede(ctx context.Context, ref source.Ref, v value.Value, at time.Time) (a source.Answer, err error) {
	err = s.locked(ctx, func() error {
		old := s.each([]source.Ref{ref}, s.read)[0]
		switch {
		case old.Err != nil && !errors.Is(old.Err, source.ErrAbsent):
			return old.Err
		case old.Err == nil && old.Value.Equal(v):
			a = old
			return nil
		case old.Err == nil:
			if _, err := s.write(beside(ref), source.Keep(old.Value, at)); err != nil {
				return err
			}
		}
		a, err = s.write(ref, v)
		return err
	})
	if err != nil {
		a = source.Answer{}
	}
	return a, err
}

// Forget implements source.Keeper.
func (s *Source) Forget(ctx context.Context, ref source.Ref, at time.Time) error {
	if _, err := os.Lstat(s.file(beside(ref))); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.locked(ctx, func() error {
		a := s.Previous(ctx, []source.Ref{ref}, false)[0]
		if a.Err != nil && !errors.Is(a.Err, source.ErrAbsent) {
			return a.Err
		}
		if a.Err != nil || !a.Changed.Equal(at) {
			return nil
		}
		return s.remove(beside(ref))
	})
}

// Remove implements source.Keeper. A link goes, and what it leads to stays.
func (s *Source) Remove(ctx context.Context, ref source.Ref) error {
	if _, err := os.Lstat(s.file(ref)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.locked(ctx, func() error { return s.remove(ref) })
}

func (s *Source) remove(ref source.Ref) error {
	if err := os.Remove(s.file(ref)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.unwritable(err)
	}
	return nil
}
