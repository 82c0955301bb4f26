package source

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Options say how to resolve.
type Options struct {
	NoGenerate bool      // a generated input that is missing is an error, not minted
	Rand       io.Reader // what values are minted from; nil is crypto/rand.Reader
}

// Resolve finds out about every input of p. sources holds the sources by their
// names in the plan. One that is not in it is not asked, and its inputs are
// Unreadable for no reason: so `Resolve(ctx, p, nil, o)` resolves offline.
//
// A setting with a default has that value, and no source is asked for it. All
// else is read, from all sources at once, and judged. Only if nothing is wrong
// so far, generated inputs that are absent are minted, written to their source
// and then used: a build that fails for another reason changes nothing.
//
// The diagnostics are sorted. If they have errors, the set is not to be used.
func Resolve(ctx context.Context, p *plan.Plan, sources map[string]Source, o Options) (value.Set, plan.Diagnostics) {
	r := &resolution{plan: p, sources: sources, set: value.Set{}, places: map[string]string{}}
	r.read(ctx)
	if ctx.Err() != nil {
		// What the sources said of their interruption says no more than this.
		r.ds = nil
		r.ds.Errorf(plan.CodeSourceRead, nil, "", "reading was interrupted: %v", context.Cause(ctx))
		return r.set, r.ds
	}
	for _, in := range p.Inputs {
		r.check(in, o)
	}
	for _, rule := range p.Rules {
		r.rule(rule)
	}
	r.list(ctx)
	if !r.ds.HasErrors() {
		r.mint(ctx, o)
	}
	r.ds.Sort()
	return r.set, r.ds
}

// resolution is one call of Resolve.
type resolution struct {
	plan    *plan.Plan
	sources map[string]Source
	set     value.Set
	places  map[string]string // of an absent input: where to put it, if its source says so
	ds      plan.Diagnostics
}

func refOf(in plan.Input) Ref { return Ref{Input: in.Name, Remote: in.Remote} }

// read fills the set.
func (r *resolution) read(ctx context.Context) {
	refs := map[string][]Ref{}
	for _, in := range r.plan.Inputs {
		switch {
		case in.Default != nil:
			r.set[in.Name] = value.Resolved{State: value.Present, Value: value.New([]byte(*in.Default)), Origin: "the contract"}
		case r.sources[in.Source] == nil:
			r.set[in.Name] = value.Resolved{}
		default:
			refs[in.Source] = append(refs[in.Source], refOf(in))
		}
	}
	names := slices.Sorted(maps.Keys(refs))
	answers := make([][]Answer, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { answers[i] = r.sources[name].Read(ctx, refs[name]) })
	}
	wg.Wait()
	for i, name := range names {
		r.answers(name, refs[name], answers[i])
	}
}

// answers puts into the set what the source called name says. Inputs that fail
// for the same reason share a diagnostic.
func (r *resolution) answers(name string, refs []Ref, answers []Answer) {
	failed := map[string][]string{} // the inputs, by reason
	unreadable := map[string]bool{}
	for i, a := range answers {
		input := refs[i].Input
		var own plan.Diagnostics
		switch {
		case a.Err == nil && a.Value.Len() > 0:
			r.set[input] = value.Resolved{State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed}
			continue
		case a.Err == nil || errors.Is(a.Err, ErrAbsent):
			r.set[input] = value.Resolved{State: value.Absent}
			r.places[input] = a.Origin
			continue
		case errors.As(a.Err, &own):
			r.ds = append(r.ds, own...) // the same for many inputs; sorting drops the duplicates
		default:
			reason := a.Err.Error()
			failed[reason] = append(failed[reason], input)
			unreadable[reason] = errors.Is(a.Err, ErrUnreadable)
		}
		r.set[input] = value.Resolved{Reason: a.Err.Error()}
	}
	src, _ := r.plan.Source(name)
	for reason, inputs := range failed {
		if unreadable[reason] {
			r.ds.Warnf(plan.CodeSourceRead, src.Pos, "what is sealed of them already stays as it is",
				"source %s does not let %s be read: %s", name, and(inputs), reason)
		} else {
			r.ds.Errorf(plan.CodeSourceRead, src.Pos, "", "cannot read %s from source %s: %s", and(inputs), name, reason)
		}
	}
}

// check looks at one input on its own.
func (r *resolution) check(in plan.Input, o Options) {
	if in.Default != nil {
		return // the compiler has judged it
	}
	switch got := r.set[in.Name]; got.State {
	case value.Present:
		for _, d := range value.Judge(in, got.Value) {
			d.Message += " (from " + got.Origin + ")"
			r.ds = append(r.ds, d)
		}
		if in.Deprecated != "" {
			r.ds.Warnf(plan.CodeDeprecated, in.Pos, "remove it from "+got.Origin, "%s is deprecated: %s", in.Name, in.Deprecated)
		}
	case value.Absent:
		switch {
		case in.Class == plan.Required:
			r.ds.Errorf(plan.CodeMissing, in.Pos, r.remedy(in), "required input %s is missing", in.Name)
		case in.Class == plan.Generated && o.NoGenerate:
			r.ds.Errorf(plan.CodeMissingMinted, in.Pos, r.remedy(in)+"; or leave out --no-generate to have it minted",
				"generated input %s is missing", in.Name)
		}
	}
}

// remedy says how to provide an input that is absent.
func (r *resolution) remedy(in plan.Input) string {
	place := r.places[in.Name]
	if place == "" {
		place = "source " + in.Source
	}
	hint := "set it in " + place
	if in.Description != "" {
		hint += ": " + strings.Join(strings.Fields(in.Description), " ")
	}
	if in.Docs != "" {
		hint += "; see " + in.Docs
	}
	return hint
}

// rule checks what is known of its inputs for certain. One that is absent but
// generated counts as present, since it will be.
func (r *resolution) rule(rule plan.Rule) {
	var present, absent []string
	for _, name := range rule.Inputs {
		in, _ := r.plan.Input(name)
		switch state := r.set[name].State; {
		case state == value.Present || state == value.Absent && in.Class == plan.Generated:
			present = append(present, name)
		case state == value.Absent:
			absent = append(absent, name)
		}
	}
	all, none := strings.Join(rule.Inputs, ", "), len(absent) == len(rule.Inputs)
	broken := func(hint, format string, args ...any) {
		if rule.Description != "" {
			hint += ": " + rule.Description
		}
		r.ds.Errorf(plan.CodeRuleBroken, rule.Pos, hint, "rule %s is broken: "+format, append([]any{rule.Name}, args...)...)
	}
	switch {
	case rule.Kind == plan.AtLeastOne && none:
		broken("set one of them or more", "none of %s is set", all)
	case rule.Kind == plan.ExactlyOne && none:
		broken("set one of them", "none of %s is set", all)
	case rule.Kind == plan.ExactlyOne && len(present) > 1:
		broken("keep one of them", "only one of %s may be set, but %s are", all, and(present))
	case rule.Kind == plan.AllOrNone && len(present) > 0 && len(absent) > 0:
		broken("set all of them or none", "all or none of %s must be set, but these are missing: %s", all, strings.Join(absent, ", "))
	}
}

// list warns of names that a source holds and nobody will read.
func (r *resolution) list(ctx context.Context) {
	for _, src := range r.plan.Sources {
		lister, ok := r.sources[src.Name].(Lister)
		if !ok {
			continue
		}
		listed, err := lister.List(ctx)
		if err != nil {
			continue // it is a courtesy: what matters has been read
		}
		var absent []string
		for _, in := range r.plan.Inputs {
			if in.Source == src.Name && r.set[in.Name].State == value.Absent {
				absent = append(absent, in.Name)
			}
		}
		for _, l := range listed {
			in, ok := r.plan.Input(l.Name)
			if ok && in.Default != nil {
				r.ds.Warnf(plan.CodeUnknownName, in.Pos, "to change it, change its default in the environment or the contract",
					"%s in %s is ignored: the contract sets it", l.Name, l.Origin)
			}
			if ok {
				continue
			}
			if meant := plan.Nearest(l.Name, absent); meant != "" {
				in, _ := r.plan.Input(meant)
				r.ds.Warnf(plan.CodeUnknownName, in.Pos, "rename it there, or remove it", "%s in %s is no input; did you mean %s?", l.Name, l.Origin, meant)
			}
		}
	}
}

// mint makes the generated inputs that are absent. All are made and judged
// before the first is written, for what is written stays.
func (r *resolution) mint(ctx context.Context, o Options) {
	rnd := o.Rand
	if rnd == nil {
		rnd = rand.Reader
	}
	minted := value.Set{}
	for _, in := range r.plan.Inputs {
		if in.Class != plan.Generated || r.set[in.Name].State != value.Absent {
			continue
		}
		v, ds := draw(in, rnd)
		r.ds = append(r.ds, ds...)
		minted[in.Name] = value.Resolved{Value: v}
	}
	if r.ds.HasErrors() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(minted)) {
		in, _ := r.plan.Input(name)
		r.create(ctx, in, minted[name].Value)
	}
}

// draw mints a value for in that satisfies its constraints. A password may
// miss them by chance, if its pattern wants a digit, say: then it draws again,
// which leaves all good passwords equally likely.
func draw(in plan.Input, rnd io.Reader) (v value.Value, ds plan.Diagnostics) {
	for range 10 {
		var err error
		if v, err = value.Mint(*in.Generate, rnd); err != nil {
			ds = nil
			ds.Errorf(plan.CodeGenerate, in.Pos, "", "cannot mint %s: %v", in.Name, err)
			return v, ds
		}
		if ds = value.Judge(in, v); len(ds) == 0 {
			break
		}
	}
	return v, ds
}

// create writes v to its source and puts into the set what the source holds
// then, which another build may have written.
func (r *resolution) create(ctx context.Context, in plan.Input, v value.Value) {
	var a Answer
	err := errors.New("it can only be read")
	if w, ok := r.sources[in.Source].(Writer); ok {
		a, err = w.Create(ctx, refOf(in), v)
	}
	if err == nil {
		r.set[in.Name] = value.Resolved{
			State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed, Minted: a.Value.Equal(v),
		}
		if !a.Value.Equal(v) {
			r.ds = append(r.ds, value.Judge(in, a.Value)...)
		}
		return
	}
	var own plan.Diagnostics
	switch {
	case in.Name == plan.LockKey && ctx.Err() == nil:
		r.ds.Warnf(plan.CodeLockKey, in.Pos, "so that unchanged values keep their ciphertext, "+r.remedy(in),
			"%s cannot be written to source %s, so every build seals all values anew: %v", in.Name, in.Source, err)
	case errors.As(err, &own):
		r.ds = append(r.ds, own...)
	default:
		r.ds.Errorf(plan.CodeSourceWrite, in.Pos, r.remedy(in),
			"%s was minted but cannot be written to source %s, so it is not used: %v", in.Name, in.Source, err)
	}
}

// and lists names in a sentence.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
