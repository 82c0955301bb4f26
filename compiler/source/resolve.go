package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Options say how Resolve works.
type Options struct {
	NoGenerate bool      // a missing generated input is an error
	Rand       io.Reader // what new values are minted from; nil is crypto/rand.Reader
}

// Resolve reads every input of p from its source, judges what it finds, and
// mints what is generated and missing. sources holds the sources of the plan by
// name. A setting that has a default is what the contract says; no source is
// asked. All that is wrong is in the diagnostics at once. Nothing is minted
// unless the rest is fine, and what is minted is at its source when Resolve
// returns.
func Resolve(ctx context.Context, p *plan.Plan, sources map[string]Source, o Options) (value.Set, plan.Diagnostics) {
	r := &resolver{plan: p, sources: sources, values: Settings(p), places: map[string]string{}}
	for name, answers := range r.read(ctx) {
		for i, in := range r.wanted(name) {
			r.take(in, answers[i])
		}
	}
	r.checkRules()
	r.checkNames(ctx)
	if missing := r.missing(o.NoGenerate); !r.ds.HasErrors() {
		rnd := o.Rand
		if rnd == nil {
			rnd = rand.Reader
		}
		for _, in := range missing {
			r.mint(ctx, in, rnd)
		}
	}
	r.ds.Sort()
	return r.values, r.ds
}

// Settings returns what is known of the inputs of p without asking anybody:
// the settings that have a default.
func Settings(p *plan.Plan) value.Set {
	values := value.Set{}
	for _, in := range p.Inputs {
		if in.Default != nil {
			values[in.Name] = value.Resolved{State: value.Present, Value: value.New([]byte(*in.Default)), Origin: "the contract"}
		}
	}
	return values
}

type resolver struct {
	plan    *plan.Plan
	sources map[string]Source
	values  value.Set
	places  map[string]string // where an absent input could be put
	ds      plan.Diagnostics
}

// wanted returns the inputs to ask a source for, in the order of the plan.
func (r *resolver) wanted(source string) []plan.Input {
	var ins []plan.Input
	for _, in := range r.plan.Inputs {
		if in.Source == source && in.Default == nil {
			ins = append(ins, in)
		}
	}
	return ins
}

func refOf(in plan.Input) Ref { return Ref{Input: in.Name, Remote: in.Remote} }

// read asks all sources at once.
func (r *resolver) read(ctx context.Context) map[string][]Answer {
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[string][]Answer{}
	for name, src := range r.sources {
		var refs []Ref
		for _, in := range r.wanted(name) {
			refs = append(refs, refOf(in))
		}
		if len(refs) == 0 {
			continue
		}
		wg.Go(func() {
			a := src.Read(ctx, refs)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = a
		})
	}
	wg.Wait()
	return answers
}

// take files one answer.
func (r *resolver) take(in plan.Input, a Answer) {
	var own plan.Diagnostics
	switch {
	case a.Err == nil && a.Value.Len() > 0:
		r.values[in.Name] = value.Resolved{State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed}
		for _, d := range value.Judge(in, a.Value) {
			d.Message += " (from " + a.Origin + ")"
			r.ds = append(r.ds, d)
		}
		if in.Deprecated != "" {
			r.ds.Warnf(plan.CodeDeprecated, in.Pos, in.Deprecated, "input %s is deprecated and still set in %s", in.Name, a.Origin)
		}
	case a.Err == nil, errors.Is(a.Err, ErrAbsent):
		r.values[in.Name] = value.Resolved{State: value.Absent}
		r.places[in.Name] = a.Origin
		if in.Class == plan.Required {
			r.ds.Errorf(plan.CodeMissing, in.Pos, howToProvide(in, a.Origin), "required input %s is missing", in.Name)
		}
	case errors.Is(a.Err, ErrUnreadable):
		r.values[in.Name] = value.Resolved{State: value.Unreadable, Reason: a.Err.Error()}
		r.ds.Warnf(plan.CodeSourceRead, nil, "what was sealed before stays as it is", "input %s can't be read: %v", in.Name, a.Err)
	case errors.As(a.Err, &own):
		r.ds = append(r.ds, own...)
	default:
		r.ds.Errorf(plan.CodeSourceRead, in.Pos, "", "input %s can't be read: %v", in.Name, a.Err)
	}
}

func howToProvide(in plan.Input, place string) string {
	hint := "put it into " + place
	if in.Description != "" {
		hint += ": " + in.Description
	}
	if in.Docs != "" {
		hint += ", see " + in.Docs
	}
	return hint
}

// checkRules judges the rules by what is present. A generated input counts: it
// will be. A rule with an unreadable input is left undecided.
func (r *resolver) checkRules() {
rules:
	for _, rule := range r.plan.Rules {
		var present, absent []string
		for _, name := range rule.Inputs {
			in, _ := r.plan.Input(name)
			switch v := r.values[name]; {
			case v.State == value.Present || v.State == value.Absent && in.Class == plan.Generated:
				present = append(present, name)
			case v.State == value.Absent:
				absent = append(absent, name)
			default:
				continue rules
			}
		}
		var what string
		switch {
		case rule.Kind == plan.AtLeastOne && len(present) == 0:
			what = "at least one is needed of " + strings.Join(absent, ", ")
		case rule.Kind == plan.ExactlyOne && len(present) == 0:
			what = "exactly one is needed of " + strings.Join(absent, ", ")
		case rule.Kind == plan.ExactlyOne && len(present) > 1:
			what = "only one is allowed of " + strings.Join(present, ", ")
		case rule.Kind == plan.AllOrNone && len(present) > 0 && len(absent) > 0:
			what = fmt.Sprintf("%s present, so %s must be too", are(present), strings.Join(absent, ", "))
		default:
			continue
		}
		r.ds.Errorf(plan.CodeRuleBroken, rule.Pos, rule.Description, "rule %q is broken: %s", rule.Name, what)
	}
}

func are(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// checkNames warns of names at a source that will never be read.
func (r *resolver) checkNames(ctx context.Context) {
	var absent []string
	for name, v := range r.values {
		if v.State == value.Absent {
			absent = append(absent, name)
		}
	}
	slices.Sort(absent)
	for _, s := range r.sources {
		lister, ok := s.(Lister)
		if !ok {
			continue
		}
		listed, err := lister.List(ctx)
		if err != nil {
			continue // reading has told
		}
		for _, l := range listed {
			in, known := r.plan.Input(l.Name)
			near := plan.Nearest(l.Name, absent)
			switch {
			case known && in.Default != nil:
				r.ds.Warnf(plan.CodeUnknownName, in.Pos, "change the setting's default in the environment, or take the line away",
					"%s in %s is not used: the contract sets it", l.Name, l.Origin)
			case !known && near != "":
				r.ds.Warnf(plan.CodeUnknownName, nil, fmt.Sprintf("did you mean %q?", near),
					"%s in %s is no input of %s", l.Name, l.Origin, r.plan.Environment)
			}
		}
	}
}

// missing returns the generated inputs that are absent, or reports them.
func (r *resolver) missing(refuse bool) []plan.Input {
	var missing []plan.Input
	for _, in := range r.plan.Inputs {
		if in.Class != plan.Generated || r.values[in.Name].State != value.Absent {
			continue
		}
		if refuse {
			r.ds.Errorf(plan.CodeMissingMinted, in.Pos, "build once without --no-generate, or put it into "+r.places[in.Name],
				"generated input %s is missing and may not be minted", in.Name)
			continue
		}
		missing = append(missing, in)
	}
	return missing
}

// mint makes a value and takes it home before anybody uses it. Of two builds
// that mint at once, both use what the source keeps.
func (r *resolver) mint(ctx context.Context, in plan.Input, rnd io.Reader) {
	fail := func(err error) {
		if in.Name == plan.LockKey {
			r.ds.Warnf(plan.CodeLockKey, nil, "let the build write to its source, or put a "+in.Name+" there",
				"every value is sealed anew in every build: there is no %s and it can't be kept: %v", in.Name, err)
			return
		}
		r.ds.Errorf(plan.CodeSourceWrite, in.Pos, "make its source writable, or put a value there yourself",
			"generated input %s is missing and a new value can't be kept: %v", in.Name, err)
	}
	w, ok := r.sources[in.Source].(Writer)
	if !ok {
		fail(errors.New("its source can't be written"))
		return
	}
	v, err := value.Mint(*in.Generate, rnd)
	if err != nil {
		fail(err)
		return
	}
	a, err := w.Create(ctx, refOf(in), v)
	if err != nil {
		fail(err)
		return
	}
	r.values[in.Name] = value.Resolved{
		State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed, Minted: a.Value.Equal(v),
	}
	r.ds = append(r.ds, value.Judge(in, a.Value)...)
}
