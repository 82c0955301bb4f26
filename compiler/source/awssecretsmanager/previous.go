package awssecretsmanager

import (
	"context"
	"slices"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/internal/awsapi"
)

// The staging labels that the service moves by itself: to the version that is put,
// and to the one before
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version).
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// Previous implements source.Historian, by the staging label that the service
// keeps at the version before. It needs secretsmanager:GetSecretValue; without
// values, secretsmanager:ListSecretVersionIds.
func (s *Source) Previous(ctx context.Context, refs []source.Ref, values bool) []source.Answer {
	client, err := s.client(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, 1, func(ctx context.Context, refs []source.Ref) []source.Answer {
		ref := refs[0]
		if !values {
			return []source.Answer{s.listed(ctx, client, ref)}
		}
		now := s.get(ctx, client, ref)
		return []source.Answer{source.Before(ref.Remote.Property, now, func(yield func(source.Answer) bool) {
			before := ref
			before.Remote.Version = previous
			yield(s.get(ctx, client, before))
		})}
	})
}

// listed tells by the versions of a secret when the current one took the place of
// the one before.
func (s *Source) listed(ctx context.Context, client *awsapi.Client, ref source.Ref) source.Answer {
	before := ref
	before.Remote.Version = previous
	a := source.Answer{Origin: origin(before)}
	made := map[string]source.Answer{} // by label
	in := listSecretVersionIdsInput{SecretId: ref.Remote.Name, MaxResults: maxPage}
	for more := true; more; more = in.NextToken != "" {
		var page listSecretVersionIdsOutput
		err := client.Call(ctx, "ListSecretVersionIds", in, &page)
		if awsapi.Is(err, notFound) {
			a.Err = source.ErrAbsent
			return a
		}
		if err != nil {
			a.Err = awsapi.Failure(err, "secretsmanager:ListSecretVersionIds", false)
			return a
		}
		if page.Versions == nil { // it lists none as an empty list
			a.Err = source.Nonsense("Secrets Manager")
			return a
		}
		for _, v := range page.Versions {
			for _, label := range []string{current, previous} {
				if slices.Contains(v.VersionStages, label) {
					made[label] = source.Answer{Changed: v.CreatedDate.Time}
				}
			}
		}
		in.NextToken = page.NextToken
	}
	now, ok := made[current]
	was, had := made[previous]
	switch {
	case !ok || !had || was.Changed.After(now.Changed):
		a.Err = source.ErrAbsent
	case now.Changed.IsZero():
		a.Err = source.Nonsense("Secrets Manager")
	default:
		a.Changed = now.Changed
	}
	return a
}

var _ source.Historian = (*Source)(nil)
