package source

import (
	"context"
	"crypto/rand"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
)

// inOrder returns the inputs that are made from others, each behind those of its
// parents that are so too. The compiler has seen that there is no circle.
func inOrder(inputs []plan.Input) (children []plan.Input) {
	byName := map[string]plan.Input{}
	for _, in := range inputs {
		byName[in.Name] = in
	}
	done := map[string]bool{}
	var visit func(in plan.Input)
	visit = func(in plan.Input) {
		if done[in.Name] {
			return
		}
		done[in.Name] = true
		parents := in.Parents()
		for _, name := range parents {
			if parent, ok := byName[name]; ok {
				visit(parent)
			}
		}
		if len(parents) > 0 {
			children = append(children, in)
		}
	}
	for _, in := range inputs {
		visit(in)
	}
	return children
}

// withParents adds to inputs of p the parents that are not among them.
func withParents(p *plan.Plan, inputs []plan.Input) []plan.Input {
	all := slices.Clone(inputs)
	for i := 0; i < len(all); i++ {
		for _, name := range all[i].Parents() {
			if !slices.ContainsFunc(all, func(in plan.Input) bool { return in.Name == name }) {
				parent, _ := p.Input(name)
				all = append(all, parent)
			}
		}
	}
	return all
}

// descendants returns the inputs of p that are made from one of inputs, directly
// or not, and are not among them.
func descendants(p *plan.Plan, inputs []plan.Input) (below []plan.Input) {
	changed := map[string]bool{}
	for _, in := range inputs {
		changed[in.Name] = true
	}
	for _, in := range inOrder(p.Inputs) {
		if !changed[in.Name] && slices.ContainsFunc(in.Parents(), func(name string) bool { return changed[name] }) {
			changed[in.Name] = true
			below = append(below, in)
		}
	}
	return below
}

// family is what a child is made of. missing are the parents of which nothing
// is known.
func (r *resolution) family(in plan.Input, o Options) (f derive.Family, missing []string) {
	f = derive.Family{Generate: *in.Generate, Parents: map[string]value.Value{}, Rand: random(o), Now: r.now(o)}
	for _, name := range in.Parents() {
		parent, _ := r.plan.Input(name)
		got := r.set[name]
		if got.State != value.Present || got.Value.Len() == 0 {
			missing = append(missing, name)
		}
		f.Parents[name] = value.Decode(parent, got.Value)
	}
	return f, missing
}

func random(o Options) io.Reader {
	if o.Rand != nil {
		return o.Rand
	}
	return rand.Reader
}

func (r *resolution) now(o Options) time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// unfit says why a child that is there does not belong to its parents; empty is
// that it does. What o.Belongs vouches for need not be tried again, where that
// takes long.
func (r *resolution) unfit(in plan.Input, f derive.Family, child value.Value, o Options) string {
	child = value.Decode(in, child)
	key, _ := r.plan.Input(plan.LockKey)
	check := derive.Check
	if _, slow := derive.Kinds(in.Generate.Kind); slow && o.Belongs != nil && o.Belongs(value.Decode(key, r.set[plan.LockKey].Value), in, child, f.Parents) {
		check = derive.Ends
	}
	err := check(f, child)
	if err != nil {
		return err.Error()
	}
	return ""
}

// children makes the inputs that are made from others, where they are absent or
// do not belong to their parents any longer. One follows the other, for each has
// to see what the sources hold of its parents.
func (r *resolution) children(ctx context.Context, o Options) {
	for _, in := range inOrder(r.inputs) {
		if r.ds.HasErrors() || inCluster(in) {
			return
		}
		got := r.set[in.Name]
		f, missing := r.family(in, o)
		switch {
		case got.State == value.Unreadable, r.unread[in.Name]:
			continue
		case len(missing) > 0:
			if got.State == value.Absent {
				r.set[in.Name] = value.Resolved{Reason: "it is made from " + plan.And(missing) + ", which cannot be read"}
			}
			continue
		case got.State == value.Present:
			if got.Why = r.unfit(in, f, got.Value, o); got.Why == "" {
				continue
			}
			if o.NoGenerate {
				r.ds.Errorf(plan.CodeUnfit, in.Pos, "leave out --no-generate to have it made anew", "%s (from %s) %s", in.Name, got.Origin, got.Why)
				continue
			}
		}
		v, err := derive.Make(f)
		if err != nil {
			r.ds.Errorf(plan.CodeUnfit, in.Pos, "give it a parent that it can be made from, or change how it is made",
				"%s cannot be made from %s, %v", in.Name, in.Generate.Child.Of, err)
			continue
		}
		v = value.Encode(in, v)
		if ds := value.Judge(in, v); ds.HasErrors() {
			r.ds = append(r.ds, ds...)
			continue
		}
		if got.State == value.Present && !r.unexposedSource(ctx, in.Source) {
			return // of one that is absent, generate has seen to that
		}
		a, err := r.write(ctx, in, v, r.replace || got.State == value.Present)
		r.written(ctx, in, v, a, err)
		if made := r.set[in.Name]; made.State == value.Present {
			made.Why = got.Why
			r.set[in.Name] = made
		}
	}
}

// checkUnread warns of children of which only the age is known.
func (r *resolution) checkUnread(o Options) {
	if !r.ds.HasErrors() && len(r.unread) > 0 {
		inputs := r.inputs
		r.inputs = slices.DeleteFunc(slices.Clone(inputs), func(in plan.Input) bool { return !r.unread[in.Name] })
		r.checkChildren(o)
		r.inputs = inputs
	}
}

// checkChildren judges whether the children that are there belong to their
// parents, and makes none. Where values are not read, a child that is older than
// a parent is worth a warning.
func (r *resolution) checkChildren(o Options) {
	for _, in := range inOrder(r.inputs) {
		got := r.set[in.Name]
		if got.State != value.Present {
			continue
		}
		if f, missing := r.family(in, o); got.Value.Len() > 0 && len(missing) == 0 {
			if why := r.unfit(in, f, got.Value, o); why != "" {
				r.ds.Errorf(plan.CodeUnfit, in.Pos, "`victorgen generate` makes it anew; then build", "%s (from %s) %s", in.Name, got.Origin, why)
			}
			continue
		}
		var younger []string
		for _, name := range in.Parents() {
			if parent := r.set[name]; !got.Changed.IsZero() && parent.Changed.After(got.Changed) {
				younger = append(younger, name)
			}
		}
		if len(younger) > 0 {
			r.ds.Warnf(plan.CodeUnfit, in.Pos, "`victorgen generate` reads both, and makes it anew if it must",
				"%s is older than %s, from which it is made", in.Name, strings.Join(younger, " and "))
		}
	}
}
