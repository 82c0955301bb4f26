package vault

import (
	"context"
	"strconv"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

var _ source.Historian = (*kv2)(nil)

// Previous implements source.Historian, by the numbers of versions. A version in
// which another property has changed is none of this one. It needs what Read
// needs.
func (s *kv2) Previous(ctx context.Context, refs []source.Ref, values bool) []source.Answer {
	if !values {
		return source.Unproved(refs)
	}
	return each(ctx, refs, func(ctx context.Context, r plan.Remote) source.Answer {
		version := func(n string) (source.Answer, int) {
			a, number := s.read(ctx, plan.Remote{Name: r.Name, Version: n})
			if a.Err != nil && number > 0 && n != "" {
				a.Err = source.ErrAbsent // it is deleted
			}
			return a, number
		}
		now, number := version("")
		return source.Before(r.Property, now, func(yield func(source.Answer) bool) {
			for n := number - 1; n > 0; n-- {
				if a, _ := version(strconv.Itoa(n)); !yield(a) {
					return
				}
			}
		})
	})
}
