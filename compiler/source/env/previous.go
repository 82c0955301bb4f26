package env

import (
	"context"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Previous implements source.Historian.
func (s *Source) Previous(_ context.Context, refs []source.Ref, values bool) []source.Answer {
	answers := make([]source.Answer, len(refs))
	d, err := s.read()
	for i, ref := range refs {
		if answers[i].Err = err; err == nil {
			answers[i] = s.previous(d, ref)
		}
		if !values {
			answers[i].Value = value.Value{}
		}
	}
	return answers
}

func (s *Source) previous(d *dotenv, ref source.Ref) source.Answer {
	return source.Kept(s.find(d, plan.PreviousPrefix+ref.Input), s.find(d, ref.Input))
}

// Supersede implements source.Keeper: both values are written at once.
func (s *Source) Supersede(ctx context.Context, ref source.Ref, v value.Value, at time.Time) (source.Answer, error) {
	if err := s.overruled(ref); err != nil {
		return source.Answer{}, err
	}
	return s.edit(ctx, func(d *dotenv) (*dotenv, source.Answer, error) {
		old := s.find(d, ref.Input)
		if old.Err == nil && old.Value.Equal(v) {
			return nil, old, nil
		}
		if old.Err == nil {
			kept, _, err := s.assign(d, plan.PreviousPrefix+ref.Input, source.Keep(old.Value, at))
			if err != nil {
				return nil, source.Answer{}, &source.Failure{
					Reason: "the current value can't be kept next to the new one: there is no way to write it that all readers of dotenv files read the same",
					Remedy: "remove keepPrevious, or keep the input at another source, such as one of kind files",
				}
			}
			d = kept
		}
		return s.assign(d, ref.Input, v)
	})
}

// Forget implements source.Keeper.
func (s *Source) Forget(ctx context.Context, ref source.Ref, at time.Time) error {
	_, err := s.edit(ctx, func(d *dotenv) (*dotenv, source.Answer, error) {
		name := plan.PreviousPrefix + ref.Input
		a, ok := d.values[name]
		kept, _, _ := strings.Cut(a.value, " ")
		if !ok || kept != at.UTC().Format(time.RFC3339) {
			return nil, source.Answer{}, nil
		}
		return d.unset(name), source.Answer{}, nil
	})
	return err
}

// Remove implements source.Keeper.
func (s *Source) Remove(ctx context.Context, ref source.Ref) error {
	_, err := s.edit(ctx, func(d *dotenv) (*dotenv, source.Answer, error) {
		if _, ok := d.values[ref.Input]; !ok {
			return nil, source.Answer{}, nil
		}
		return d.unset(ref.Input), source.Answer{}, nil
	})
	return err
}
