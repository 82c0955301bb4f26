package source

import (
	"context"
	"crypto/rand"
	"io"
	"maps"
	"slices"
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

// family is what a child is made of. New values stand in for what the sources
// hold.
func (r *resolution) family(in plan.Input, anew map[string]value.Value, o Options) derive.Family {
	f := derive.FamilyOf(in, func(name string) value.Value {
		parent, _ := r.plan.Input(name)
		v, ok := anew[name]
		if !ok {
			v = r.set[name].Value
		}
		return value.Decode(parent, v)
	}, r.now(o))
	f.Rand = random(o)
	return f
}

func random(o Options) io.Reader {
	if o.Rand != nil {
		return o.Rand
	}
	return rand.Reader
}

// now is one time for all that a resolution makes: a certificate must not end
// after that of its issuer, made a moment before.
func (r *resolution) now(o Options) time.Time {
	if o.Now.IsZero() {
		return r.began
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

// child is a new value of an input that is made from others.
type child struct {
	input  plan.Input
	family derive.Family // what it was made from
	value  value.Value   // as its source is to hold it
	why    string        // what is wrong with the one that is there
}

// children makes the inputs that are made from others, where they are absent or
// do not belong to their parents any longer, next to those that are made again, to
// which it adds them. It writes none.
func (r *resolution) children(ctx context.Context, anew map[string]value.Value, o Options) (made []child) {
	for _, in := range inOrder(r.inputs) {
		got, f := r.set[in.Name], r.family(in, anew, o)
		why := ""
		switch {
		case inCluster(in), got.State == value.Unreadable, got.State == value.Absent && o.NoGenerate:
			continue
		case got.State == value.Absent && len(f.Unknown) > 0:
			r.notMade(in, f.Unknown)
			continue
		case got.State == value.Absent:
		case r.unread[in.Name]:
			if why = older(in, anew); why == "" || len(f.Unknown) > 0 {
				continue // it is judged by its age
			}
		default:
			if why = r.unfit(in, f, got.Value, o); why == "" {
				continue
			}
		}
		switch {
		case got.State == value.Present && len(f.Unknown) > 0:
			r.ds.Warnf(plan.CodeUnfit, in.Pos, "let "+plan.And(f.Unknown)+" be read: it is regenerated from that", "%s (from %s) %s", in.Name, got.Origin, why)
			continue
		case got.State == value.Present && o.NoGenerate:
			r.ds.Errorf(plan.CodeUnfit, in.Pos, "leave out --no-generate to have it regenerated", "%s (from %s) %s", in.Name, got.Origin, why)
			continue
		}
		if v, ok := r.child(in, f); ok && (got.State == value.Absent || r.unexposedSource(ctx, in.Source, "generated into")) { // of what is absent, generate has seen to that
			anew[in.Name] = v
			made = append(made, child{in, f, v, why})
		}
	}
	return made
}

// judgeParents judges what others are made from. Of a placeholder or whatever else
// is wrong, nothing is made.
func (r *resolution) judgeParents(severity plan.Severity) {
	told := map[string]bool{}
	for _, child := range inOrder(r.inputs) {
		for _, name := range child.Parents() {
			in, _ := r.plan.Input(name)
			got := r.set[name]
			if got.State != value.Present || told[name] {
				continue
			}
			told[name] = true
			for _, d := range value.Judge(in, got.Value) {
				d.Severity = severity
				d.Message += " (from " + got.Origin + "), and nothing is made from it"
				r.ds = append(r.ds, d)
				r.set[name] = value.Resolved{Reason: "it is not valid"}
			}
		}
	}
}

// notMade tells why an input that is absent is not made.
func (r *resolution) notMade(in plan.Input, unknown []string) {
	names := plan.And(unknown)
	r.set[in.Name] = value.Resolved{Reason: "it is made from " + names + ", which cannot be read"}
	var unread, missing []string
	for _, name := range unknown {
		switch r.set[name].State {
		case value.Present:
			unread = append(unread, name)
		case value.Absent:
			missing = append(missing, name)
		}
	}
	switch {
	case len(unread) == len(unknown):
		r.ds.Errorf(plan.CodeMissingGenerated, in.Pos, "`victorgen generate` reads that, and makes it",
			"generated input %s is missing, and for external secrets a build does not read %s, from which it is made", in.Name, names)
	case len(missing) > 0 && !r.ds.HasErrors():
		parent, _ := r.plan.Input(missing[0])
		r.ds.Warnf(plan.CodeMissing, in.Pos, r.remedy(parent), "%s is not made, because %s, from which it is made, is missing", in.Name, plan.And(missing))
	}
}

// older says of a child whose value is not read that it cannot belong to the
// parents that are made again.
func older(in plan.Input, anew map[string]value.Value) string {
	for _, name := range in.Parents() {
		if _, ok := anew[name]; ok {
			return "is older than " + name
		}
	}
	return ""
}

// child makes a value for in, and judges it.
func (r *resolution) child(in plan.Input, f derive.Family) (value.Value, bool) {
	v, err := derive.Make(f)
	if err != nil {
		r.ds.Errorf(plan.CodeUnfit, in.Pos, "give it a parent that it can be made from, or change how it is made; `victorgen rotate` regenerates a generated parent",
			"%s cannot be made from %s, %v", in.Name, in.Generate.Child.Of, err)
		return v, false
	}
	v = value.Encode(in, v)
	ds := value.Judge(in, v)
	r.ds = append(r.ds, ds...)
	return v, !ds.HasErrors()
}

// keep writes the children to their sources, each behind its parents. Of these,
// another build may have written others meanwhile; then it is made from those.
func (r *resolution) keep(ctx context.Context, made []child, o Options) {
	for _, c := range made {
		if r.ds.HasErrors() {
			return
		}
		in := c.input
		if f := r.family(in, nil, o); !maps.EqualFunc(f.Parents, c.family.Parents, value.Value.Equal) {
			var ok bool
			if c.value, ok = r.child(in, f); !ok {
				return
			}
		}
		a, err := r.write(ctx, in, c.value, r.replace || r.set[in.Name].State == value.Present)
		r.written(ctx, in, c.value, a, err)
		if got := r.set[in.Name]; got.State == value.Present {
			got.Why = c.why
			r.set[in.Name] = got
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
// a parent, or than it lasts, is worth a warning.
func (r *resolution) checkChildren(o Options) {
	for _, in := range inOrder(r.inputs) {
		got, f := r.set[in.Name], r.family(in, nil, o)
		if got.State != value.Present {
			continue
		}
		if got.Value.Len() > 0 {
			if why := r.unfit(in, f, got.Value, o); why != "" {
				r.ds.Errorf(plan.CodeUnfit, in.Pos, "`victorgen generate` regenerates it; then build", "%s (from %s) %s", in.Name, got.Origin, why)
				continue
			}
		}
		var younger []string
		for _, name := range in.Parents() {
			if parent := r.set[name]; !got.Changed.IsZero() && parent.Changed.After(got.Changed) && (got.Value.Len() == 0 || slices.Contains(f.Unknown, name)) {
				younger = append(younger, name)
			}
		}
		if len(younger) > 0 {
			r.ds.Warnf(plan.CodeUnfit, in.Pos, "`victorgen generate` reads both, and regenerates it if needed; if it is not needed, something else changed the date, and `victorgen rotate` of "+in.Name+" settles it",
				"%s is older than %s, from which it is made", in.Name, plan.And(younger))
		}
		c := in.Generate.Child
		if age := r.now(o).Sub(got.Changed); got.Value.Len() == 0 && !got.Changed.IsZero() && c.Lifetime > 0 && age >= c.Lifetime-c.RenewBefore {
			renewal := ""
			if c.RenewBefore > 0 {
				renewal = ", and is renewed " + plan.Age(c.RenewBefore) + " before its end"
			}
			r.ds.Warnf(plan.CodeUnfit, in.Pos, "`victorgen generate` reads it, and regenerates it if needed", "%s is %s old: it lasts %s%s", in.Name, plan.Age(age), plan.Age(c.Lifetime), renewal)
		}
	}
}
