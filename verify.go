package victorgen

import (
	"context"
	"iter"
	"time"

	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/dirlock"
)

// VerifyOptions say what to judge. The zero value judges the current cluster.
type VerifyOptions struct {
	Options
	Target   cluster.Target
	Detailed bool // keep what there is to tell of each key
	// FromSources judges what the sources hold, and no cluster; NoValues asks them for
	// metadata alone.
	FromSources, NoValues bool
	Now                   time.Time // zero is the time of the call
}

// Verified is what was found out about one environment.
type Verified struct {
	*Environment
	Report *cluster.Report // of a cluster; nil if there was an error before it
	Inputs []InputState    // of the sources
}

// InputState is what was found out about one input.
type InputState struct {
	Name    string     `json:"name"`
	Class   plan.Class `json:"class"`
	Source  string     `json:"source,omitempty"` // of none, if the contract has the value
	Remote  string     `json:"remote,omitempty"`
	State   string     `json:"state"` // present, absent or unreadable
	Origin  string     `json:"origin,omitempty"`
	Changed *time.Time `json:"changed,omitempty"`
	Age     string     `json:"age,omitempty"`
	MaxAge  string     `json:"maxAge,omitempty"`
	Expires string     `json:"expires,omitempty"` // a day, by the contract
	Owner   string     `json:"owner,omitempty"`
}

// Verify judges what a cluster holds of environments, or what their sources hold. It
// writes nothing. Whether two environments have the same value in a cluster is known
// when all have been read, so then the results come, and without plans.
func Verify(ctx context.Context, dirs []string, o VerifyOptions) iter.Seq[*Verified] {
	o.Asks = o.FromSources
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	do := o.sources
	if !o.FromSources {
		client, err := cluster.Connect(o.Target)
		var reuse cluster.Reuse
		do = func(ctx context.Context, v *Verified) {
			if err != nil {
				v.Diagnostics.Errorf(plan.CodeClusterRead, nil, "name one with --context or --kubeconfig", "%v", err)
				return
			}
			o.cluster(ctx, v, client, &reuse)
		}
		o.end = func(es []*Environment) {
			for i, ds := range reuse.Diagnostics() {
				es[i].Diagnostics = append(es[i].Diagnostics, ds...)
			}
		}
	}
	return func(yield func(*Verified) bool) {
		for e, v := range Each(ctx, dirs, o.Options, func(ctx context.Context, e *Environment) *Verified {
			v := &Verified{Environment: e}
			e.Catch(func() { do(ctx, v) })
			return v
		}) {
			if v == nil {
				v = &Verified{Environment: e}
			}
			if !yield(v) {
				return
			}
		}
	}
}

// sources judges what the sources of one environment hold.
func (o *VerifyOptions) sources(ctx context.Context, v *Verified) {
	v.Diagnostics = append(v.Diagnostics, source.Elsewhere(v.Plan, o.lookup())...)
	sources := v.Sources(false)
	pending := func() plan.Diagnostics { return nil }
	if !o.NoValues { // what is pending takes a right to read, too
		pending = v.pending(ctx, sources, nil, o.Timeout)
	}
	values, ds := source.Verify(ctx, v.Plan, sources, o.NoValues, o.Now, source.Options{Timeout: o.Timeout, Known: v.Known(TreeOf(v.Plan))})
	v.Diagnostics = append(append(v.Diagnostics, pending()...), ds...)
	v.Inputs = inputStates(v.Plan, values, o.Now)
	v.Compare(values)
}

// cluster judges what a cluster holds of one environment.
func (o *VerifyOptions) cluster(ctx context.Context, v *Verified, client *cluster.Client, reuse *cluster.Reuse) {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	history, pinned, ds := historyOf(ctx, v.Plan)
	v.Diagnostics = append(v.Diagnostics, ds...)
	state, ds := client.Read(ctx, v.Plan, o.Now, pinned...)
	report, more := cluster.Verify(v.Plan, state, history, o.Now)
	v.Diagnostics = append(append(v.Diagnostics, ds...), more...)
	if !o.Detailed {
		report = report.Brief()
	}
	v.Report = &report
	reuse.Add(v.number, v.Plan, state)
}

// historyOf reads what the lock of the tree knows, and what it is sealed for, while
// no one builds it.
func historyOf(ctx context.Context, p *plan.Plan) (tree.History, []tree.Pinned, plan.Diagnostics) {
	if unlock, err := dirlock.Lock(ctx, p.Dir); err == nil {
		defer unlock()
	}
	built, ds := tree.Read(TreeOf(p))
	history, more := built.History(p)
	return history, built.Pinned(p), append(ds, more...)
}

// states are how the states of a value are told.
var states = map[value.State]string{value.Present: "present", value.Absent: "absent", value.Unreadable: "unreadable"}

func inputStates(p *plan.Plan, values value.Set, now time.Time) []InputState {
	var all []InputState
	for _, in := range p.Inputs {
		if in.Default != nil {
			continue // no source is asked for it
		}
		v := values[in.Name]
		s := InputState{
			Name: in.Name, Class: in.Class, Source: in.Source, Remote: in.Remote.String(), State: states[v.State], Origin: v.Origin,
			Expires: plan.Day(in.Expires), Owner: in.Owner,
		}
		if !v.Changed.IsZero() {
			changed := v.Changed.UTC()
			s.Changed, s.Age = &changed, plan.Age(now.Sub(changed))
		}
		if in.MaxAge > 0 {
			s.MaxAge = plan.Age(in.MaxAge)
		}
		all = append(all, s)
	}
	return all
}
