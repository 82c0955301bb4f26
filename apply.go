package victorgen

import (
	"context"
	"iter"

	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/emit"
)

// ApplyOptions say how to apply. The zero value is for use.
type ApplyOptions struct {
	Options
	Target         cluster.Target
	Cluster        cluster.ApplyOptions // but for its Timeout, which is that of Options
	NoGenerate     bool                 // a generated input that is missing is an error
	SkipValidation bool                 // apply values that are wrong, with a warning
}

// Applied is what became of one environment.
type Applied struct {
	*Environment
	Report    *cluster.ApplyReport // nil if there was an error before it
	Generated []string             // what was generated, and where it is now
}

// Apply writes the Secrets of environments to a cluster, without a tree.
func Apply(ctx context.Context, dirs []string, o ApplyOptions) iter.Seq[*Applied] {
	o.Asks, o.Compile.Direct, o.Cluster.Timeout = true, true, o.Timeout
	return func(yield func(*Applied) bool) {
		for e, a := range Each(ctx, dirs, o.Options, o.apply) {
			if a == nil {
				a = &Applied{Environment: e}
			}
			if !yield(a) {
				return
			}
		}
	}
}

// apply applies one environment.
func (o *ApplyOptions) apply(ctx context.Context, e *Environment) *Applied {
	a := &Applied{Environment: e}
	e.Catch(func() { o.into(ctx, a) })
	return a
}

func (o *ApplyOptions) into(ctx context.Context, a *Applied) {
	client, err := cluster.Connect(o.Target)
	if err != nil {
		a.Diagnostics.Errorf(plan.CodeClusterRead, nil, "name one with --kubeconfig and --context", "%v", err)
		return
	}
	sources := a.Sources(o.Cluster.DryRun != "")
	pending := a.pending(ctx, sources, a.Plan.Unread(), o.Timeout)
	values, ds := source.Resolve(ctx, a.Plan, sources, source.Options{
		NoGenerate: o.NoGenerate, Timeout: o.Timeout, MustRead: true, SkipValidation: o.SkipValidation,
		Known: func(ctx context.Context, inputs []plan.Input) (map[string]source.Holder, plan.Diagnostics) {
			live, ds := client.KnownInputs(ctx, a.Plan, inputs, o.Timeout)
			known, more := a.Known(TreeOf(a.Plan))(ctx, inputs)
			for name, by := range live {
				known[name] = source.Holder{By: by}
			}
			return known, append(ds, more...)
		},
	})
	a.Diagnostics = append(append(a.Diagnostics, pending()...), ds...)
	a.Generated = Generated(a.Plan, values)
	a.Compare(values)
	if ds.HasErrors() {
		return
	}
	secrets, ds := emit.Render(a.Plan, values)
	a.Diagnostics = append(a.Diagnostics, ds...)
	if ds.HasErrors() {
		return
	}
	report, ds := client.Apply(ctx, a.Plan, secrets, o.Cluster)
	a.Diagnostics = append(a.Diagnostics, ds...)
	a.Report = &report
}
