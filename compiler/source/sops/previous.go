package sops

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// beside is where the previous value is of what lies at path: in the same
// mapping, so that the same rules encrypt it.
func beside(path []string) []string {
	path = slices.Clone(path)
	path[len(path)-1] = plan.PreviousPrefix + path[len(path)-1]
	return path
}

// at answers with what lies at path in the JSON of a file.
func (s *Source) at(values map[string]json.RawMessage, path []string) source.Answer {
	a := source.Answer{Origin: s.origin(source.Ref{Input: path[len(path)-1]})}
	raw := values[path[0]]
	for _, name := range path[1:] {
		var fields map[string]json.RawMessage
		if raw == nil || json.Unmarshal(raw, &fields) != nil {
			raw = nil
			break
		}
		raw = fields[name]
	}
	a.Value, a.Err = text(raw)
	return a
}

// Previous implements source.Historian. Without a key that opens the file it can
// tell nothing: when the value was replaced is encrypted, too.
func (s *Source) Previous(ctx context.Context, refs []source.Ref, values bool) []source.Answer {
	if !values {
		return source.Unproved(refs)
	}
	f, all, err := s.decrypt(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		answers[i] = s.previous(f, all, ref)
	}
	return answers
}

func (s *Source) previous(f encrypted, all map[string]json.RawMessage, ref source.Ref) source.Answer {
	path, err := f.path(ref)
	if err != nil {
		return source.Answer{Err: err}
	}
	return source.Kept(s.at(all, beside(path)), s.at(all, path))
}

// Supersede implements source.Keeper: both values are written at once.
func (s *Source) Supersede(ctx context.Context, ref source.Ref, v value.Value, at time.Time) (a source.Answer, err error) {
	err = s.locked(ctx, func(file string, f encrypted) error {
		path, err := f.path(ref)
		if err != nil {
			return err
		}
		_, all, err := s.decrypt(ctx)
		if err != nil {
			return err
		}
		old := s.at(all, path)
		a = source.Answer{Value: v, Origin: s.origin(ref)}
		switch {
		case old.Err != nil && !errors.Is(old.Err, source.ErrAbsent):
			return old.Err
		case old.Err != nil:
			return s.write(ctx, file, f, change{path, v})
		case old.Value.Equal(v):
			return nil
		}
		return s.write(ctx, file, f, change{beside(path), source.Keep(old.Value, at)}, change{path, v})
	})
	if err != nil {
		a = source.Answer{}
	}
	return a, err
}

// Forget implements source.Keeper.
func (s *Source) Forget(ctx context.Context, ref source.Ref, at time.Time) error {
	return s.locked(ctx, func(file string, f encrypted) error {
		path, err := f.path(ref)
		if err != nil {
			return err
		}
		_, all, err := s.decrypt(ctx)
		if err != nil {
			return err
		}
		a := s.previous(f, all, ref)
		switch {
		case a.Err != nil && !errors.Is(a.Err, source.ErrAbsent):
			return a.Err
		case a.Err != nil || !a.Changed.Equal(at):
			return nil
		}
		return s.write(ctx, file, f, change{beside(path), value.Value{}})
	})
}

// Remove implements source.Keeper.
func (s *Source) Remove(ctx context.Context, ref source.Ref) error {
	return s.locked(ctx, func(file string, f encrypted) error {
		path, err := f.path(ref)
		if err != nil {
			return err
		}
		if _, ok := f.values[path[0]]; !ok && len(path) == 1 {
			return nil
		}
		_, all, err := s.decrypt(ctx)
		if err != nil {
			return err
		}
		if errors.Is(s.at(all, path).Err, source.ErrAbsent) {
			return nil
		}
		return s.write(ctx, file, f, change{path, value.Value{}})
	})
}
