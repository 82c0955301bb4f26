package azurekeyvault

import (
	"context"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/victor-ai/victorgen/compiler/source"
)

var _ source.Historian = (*Source)(nil)

// Previous implements source.Historian, by the versions of a secret. It needs the
// permissions get and list.
func (s *Source) Previous(ctx context.Context, refs []source.Ref, values bool) []source.Answer {
	if !values {
		return source.Unproved(refs)
	}
	return s.each(ctx, refs, func(ctx context.Context, v *vault, ref source.Ref) source.Answer {
		name := ref.Remote.Name
		versions, err := v.versions(ctx, name)
		if err != nil {
			return source.Answer{Origin: v.id(name, nil), Err: err}
		}
		now := v.get(ctx, name, "")
		versions = inForce(versions)
		return source.Before(ref.Remote.Property, now.Answer, func(yield func(source.Answer) bool) {
			for _, p := range slices.Backward(versions) {
				if string(*p.ID) == now.Origin {
					continue
				}
				a := source.Answer{Err: source.ErrAbsent} // what is disabled was withdrawn
				if enabled(p) {
					a = v.get(ctx, name, p.ID.Version()).Answer
				}
				if !yield(a) {
					return
				}
			}
		})
	})
}

// inForce leaves out the claims that have lost: of several in a row, the first
// wins; see [Source.Create].
func inForce(versions []*azsecrets.SecretProperties) (all []*azsecrets.SecretProperties) {
	for i, p := range versions {
		if i == 0 || !isClaim(p.Tags) || !isClaim(versions[i-1].Tags) {
			all = append(all, p)
		}
	}
	return all
}
