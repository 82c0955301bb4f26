package gcpsecretmanager

import (
	"context"
	"strconv"

	"github.com/victor-ai/victorgen/compiler/source"
)

var _ source.Historian = (*Source)(nil)

// Previous implements source.Historian, by the numbers of versions. It needs
// secretmanager.versions.access, and secretmanager.versions.get for their times.
func (s *Source) Previous(ctx context.Context, refs []source.Ref, values bool) []source.Answer {
	if !values {
		return source.Unproved(refs)
	}
	return s.each(ctx, refs, func(c *connection, ctx context.Context, ref source.Ref) source.Answer {
		now, number := c.at(ctx, ref, "latest")
		return source.Before(ref.Remote.Property, now, func(yield func(source.Answer) bool) {
			for n := number - 1; n > 0; n-- {
				a, _ := c.at(ctx, ref, strconv.Itoa(n))
				if !yield(a) {
					return
				}
			}
		})
	})
}

// at reads one version, with its time and its number. One that is not enabled is
// absent.
func (c *connection) at(ctx context.Context, ref source.Ref, version string) (source.Answer, int) {
	meta, err := c.getSecretVersion(ctx, c.version(ref, version))
	switch {
	case statusOf(err) == notFound:
		return c.absent(ref), 0
	case err != nil:
		return source.Answer{Err: c.failure(err, ref, getVersion)}, 0
	case numberOf(meta.Name) < 1:
		return source.Answer{Err: source.Nonsense("Secret Manager")}, 0
	case meta.State != enabled:
		return c.absent(ref), 0
	}
	ref.Remote.Version = strconv.Itoa(numberOf(meta.Name))
	a := source.Answer{Origin: c.origin(ref), Changed: meta.CreateTime}
	a.Value, _, a.Err = c.access(ctx, ref, ref.Remote.Version)
	return a, numberOf(meta.Name)
}
