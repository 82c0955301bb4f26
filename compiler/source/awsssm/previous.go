package awsssm

import (
	"context"
	"strconv"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/internal/awsapi"
)

var _ source.Historian = (*Source)(nil)

// Previous implements source.Historian, by the numbers of versions, of which the
// service keeps a hundred. It needs what Read needs.
func (s *Source) Previous(ctx context.Context, refs []source.Ref, values bool) []source.Answer {
	if !values {
		return source.Unproved(refs)
	}
	client, err := s.client(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, 1, func(ctx context.Context, refs []source.Ref) []source.Answer {
		ref := refs[0]
		number, err := s.number(ctx, client, ref)
		if err != nil {
			return source.Failed(refs, err)
		}
		if number == 0 {
			return []source.Answer{{Origin: s.origin(ref), Err: source.ErrAbsent}}
		}
		version := func(n int64) source.Answer {
			r := ref
			r.Remote.Version = strconv.FormatInt(n, 10)
			return s.get(ctx, client, []source.Ref{r})[0]
		}
		return []source.Answer{source.Before(ref.Remote.Property, version(number), func(yield func(source.Answer) bool) {
			for n := number - 1; n > 0 && yield(version(n)); n-- {
			}
		})}
	})
}

// number is that of the current version of a parameter, 0 if there is none.
func (s *Source) number(ctx context.Context, client *awsapi.Client, ref source.Ref) (int64, error) {
	var out getParametersOutput
	err := client.Call(ctx, "GetParameters", getParametersInput{Names: []string{ref.Remote.Name}}, &out)
	switch {
	case err != nil:
		return 0, awsapi.Failure(err, "ssm:GetParameters", false)
	case len(out.Parameters) == 1 && out.Parameters[0].Version > 0:
		return out.Parameters[0].Version, nil
	case len(out.InvalidParameters) == 1 && out.InvalidParameters[0] == ref.Remote.Name:
		return 0, nil
	}
	return 0, source.Nonsense("Parameter Store")
}
