package source

import (
	"context"
	"errors"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Peek finds out about inputs of p and judges none of them. A source that cannot
// be asked is an error.
func Peek(ctx context.Context, p *plan.Plan, sources map[string]Source, inputs []plan.Input, o Options) (value.Set, plan.Diagnostics) {
	r := newResolution(p, sources, inputs)
	r.unreadable = plan.Error
	return r.run(ctx, o, func(ctx context.Context) {
		r.read(ctx)
		r.previous(ctx, o)
	})
}

// Put writes values of inputs of p, by name, to their sources: those that are
// absent there, and with replace also over what is there. What someone else has
// written meanwhile stays, and is an error of the code [plan.CodeHasAnother].
// Nothing is replaced of which another value is pending, or written in plain text where Git takes it. It returns what was written.
func Put(ctx context.Context, p *plan.Plan, sources map[string]Source, values map[string]value.Value, replace bool, o Options) (value.Set, plan.Diagnostics) {
	var inputs []plan.Input
	for _, in := range p.Inputs {
		if _, ok := values[in.Name]; ok {
			inputs = append(inputs, in)
		}
	}
	r := newResolution(p, sources, inputs)
	r.replace = replace
	return r.run(ctx, o, func(ctx context.Context) {
		if replace && !r.free(ctx, inputs, o) {
			return
		}
		exposed := map[string]bool{}
		for _, in := range inputs {
			if _, asked := exposed[in.Source]; !asked {
				exposed[in.Source] = !r.unexposedSource(ctx, in.Source, "written to")
			}
			if exposed[in.Source] {
				continue
			}
			v := value.Encode(in, values[in.Name])
			a, err := r.write(ctx, in, v, replace)
			src, _ := p.Source(in.Source)
			var own plan.Diagnostics
			switch {
			case errors.As(err, &own):
				r.ds = append(r.ds, own...)
			case err != nil:
				r.ds.Errorf(plan.CodeSourceWrite, in.Pos, remedyOf(err, r.remedy(in)), "%s cannot be written to source %s: %v", refOf(in), src, err)
			case !a.Value.Equal(v):
				r.ds.Errorf(plan.CodeHasAnother, in.Pos, "find out what has written it", "source %s has another value of %s by now, which is kept", src, in.Name)
			default:
				r.set[in.Name] = value.Resolved{State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed}
			}
		}
	})
}
