package source

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// previous finds out which previous values count still, of those that are among
// the inputs concerned, when all else is known of them. The Changed of each is
// when it was replaced, also of one that is Absent for its time is over. One of an input that can't be read is Unreadable; where
// the input itself can, that is an error, for without it what was signed with it
// would be refused.
func (r *resolution) previous(ctx context.Context, o Options) {
	type question struct {
		of, was plan.Input
		answer  Answer
		values  bool
	}
	asked := map[batch][]*question{}
	for _, was := range r.inputs {
		name := was.PreviousOf()
		if name == "" {
			continue
		}
		in, _ := r.plan.Input(name)
		s := r.sources[in.Source]
		own := keeps(s)
		switch got := r.set[name]; {
		case s == nil || got.State == value.Unreadable:
			r.set[was.Name] = value.Resolved{Reason: got.Reason, Remedy: got.Remedy}
		case got.State == value.Absent,
			!own && !r.plan.TakesPrevious(name),
			!own && !got.Changed.IsZero() && r.ended(in, got.Changed, o): // it was replaced no later than that
			r.set[was.Name] = value.Resolved{State: value.Absent}
		default:
			b := batch{in.Source, r.prove || r.unread[was.Name]}
			asked[b] = append(asked[b], &question{of: in, was: was})
		}
	}
	for b, questions := range asked {
		refs := make([]Ref, len(questions))
		for i, q := range questions {
			refs[i] = refOf(q.of)
		}
		for i, a := range Previous(ctx, r.sources[b.source], refs, !b.prove) {
			questions[i].answer, questions[i].values = a, !b.prove
		}
		slices.SortFunc(questions, func(a, b *question) int { return strings.Compare(a.was.Name, b.was.Name) })
	}
	for b, questions := range asked {
		for _, q := range questions {
			a := q.answer
			own := keeps(r.sources[b.source])
			switch {
			case a.Err == nil && !r.ended(q.of, a.Changed, o):
				r.set[q.was.Name] = value.Resolved{State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed}
			case a.Err == nil:
				r.set[q.was.Name] = value.Resolved{State: value.Absent, Changed: a.Changed}
				if own {
					r.over[q.of.Name] = a.Changed
				}
			case errors.Is(a.Err, ErrAbsent):
				r.set[q.was.Name] = value.Resolved{State: value.Absent}
			default:
				r.set[q.was.Name] = value.Resolved{Reason: a.Err.Error()}
				if r.prove && errors.Is(a.Err, ErrUnreadable) {
					continue // what can be told without a right to read is not this
				}
				src, _ := r.plan.Source(b.source)
				if own, ok := errors.AsType[plan.Diagnostics](a.Err); ok {
					r.ds = append(r.ds, own...)
					continue
				}
				r.ds.Errorf(codeOf(a.Err, plan.CodeSourceRead), q.of.Pos, remedyOf(a.Err, ""), "cannot read the previous value of %s from source %s: %v", refOf(q.of), src, a.Err)
			}
		}
	}
}

// keeps reports whether s keeps previous values next to the current ones.
func keeps(s Source) bool {
	switch s := s.(type) {
	case dryRun:
		return keeps(s.Source)
	case *trying:
		return keeps(s.Source)
	}
	_, own := s.(Keeper)
	return own
}

// ended reports whether what was replaced at a time counts no longer.
func (r *resolution) ended(in plan.Input, replaced time.Time, o Options) bool {
	return !r.now(o).Before(replaced.Add(in.KeepsPrevious()))
}

// forget drops from their sources the previous values that have had their time.
// One that stays is no reason not to go on.
func (r *resolution) forget(ctx context.Context) (dropped []string) {
	for _, in := range r.plan.Inputs {
		at, ok := r.over[in.Name]
		if !ok || r.ds.HasErrors() {
			continue
		}
		if err := r.sources[in.Source].(Keeper).Forget(ctx, refOf(in), at); err != nil {
			src, _ := r.plan.Source(in.Source)
			hint := remedyOf(err, "it no longer counts, and anyone who can read the source has it")
			r.ds.Warnf(plan.CodePreviousOver, in.Pos, hint, "the previous value of %s has expired and can't be removed from source %s: %v", in.Name, src, err)
			continue
		}
		dropped = append(dropped, in.Name)
	}
	return dropped
}

// overdue reports the previous values that a build is due to drop.
func (r *resolution) overdue(o Options) {
	for _, in := range r.plan.Inputs {
		if at, ok := r.over[in.Name]; ok {
			r.ds.Errorf(plan.CodePreviousOver, in.Pos, "a build drops it, and so does `victorgen rotate --due`",
				"the previous value of %s was replaced %s ago, and is still at its source: it is kept for %s", in.Name, plan.Age(r.now(o).Sub(at)), plan.Age(in.KeepsPrevious()))
		}
	}
}

// listedBeside warns of a previous value that nothing keeps any longer.
func (r *resolution) listedBeside(src plan.Source, l Listed) {
	of := strings.TrimPrefix(l.Name, plan.PreviousPrefix)
	for _, in := range r.plan.Inputs {
		if in.Source == src.Name && in.KeepsPrevious() > 0 && (in.Name == of || in.Remote.Name == of) {
			return
		}
	}
	r.ds.Warnf(plan.CodePreviousOver, src.Pos, "remove it: anyone who can read the source has it", "%s in %s is the previous value of an input that does not keep one", l.Name, l.Origin)
}

// Forget drops from the sources of p the previous values that have had their time,
// where it is victorgen that keeps them, and returns the names of their inputs.
func Forget(ctx context.Context, p *plan.Plan, sources map[string]Source, o Options) (dropped []string, ds plan.Diagnostics) {
	inputs := slices.DeleteFunc(slices.Clone(p.Inputs), func(in plan.Input) bool {
		return in.KeepsPrevious() == 0 || !keeps(sources[in.Source])
	})
	for _, in := range inputs {
		was, _ := p.Input(in.Name + plan.PreviousSuffix)
		inputs = append(inputs, was)
	}
	r := newResolution(p, sources, inputs)
	r.unreadable = plan.Error
	_, ds = r.run(ctx, o, func(ctx context.Context) {
		r.read(ctx)
		r.previous(ctx, o)
		dropped = r.forget(ctx)
	})
	return dropped, ds
}

// again warns of inputs that are rotated while the value that they had before
// counts still: the one before that is kept no longer.
func (r *resolution) again(ctx context.Context, inputs []plan.Input, o Options) {
	at := map[string][]plan.Input{}
	for _, in := range inputs {
		if in.KeepsPrevious() > 0 && r.sources[in.Source] != nil {
			at[in.Source] = append(at[in.Source], in)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		var refs []Ref
		for _, in := range at[name] {
			refs = append(refs, refOf(in))
		}
		for i, a := range Previous(ctx, r.sources[name], refs, true) {
			if in := at[name][i]; a.Err == nil && !r.ended(in, a.Changed, o) {
				r.ds.Warnf(plan.CodePreviousDropped, in.Pos, "what was made with it is refused from the next build on; if it was leaked, that is intended",
					"%s is rotated again while its previous value still counts: that one is dropped, %s early", in.Name, plan.Age(a.Changed.Add(in.KeepsPrevious()).Sub(r.now(o))))
			}
		}
	}
}
