package source

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Try judges values of inputs of p, by name, as a build would if they stood at
// their sources, and writes nothing. What a build says of something else is not
// told: what it says now already of what the sources hold is a warning at most,
// where it concerns finish. finish is what a build does with what it resolved, as
// far as that can be wrong.
//
// A rule that the values break is a warning: it may take another value to keep it,
// and that one has its turn too.
func Try(ctx context.Context, p *plan.Plan, sources map[string]Source, values map[string]value.Value, finish func(value.Set) plan.Diagnostics, o Options) plan.Diagnostics {
	var ds plan.Diagnostics
	tried := map[string]map[spot]parts{}
	for _, in := range p.Inputs {
		if v, ok := values[in.Name]; ok {
			v = value.Encode(in, v)
			at := spotOf(refOf(in))
			if tried[in.Source] == nil {
				tried[in.Source] = map[spot]parts{}
			}
			if tried[in.Source][at] == nil {
				tried[in.Source][at] = parts{}
			}
			tried[in.Source][at][in.Remote.Property] = v
			ds = append(ds, value.Judge(in, v)...)
		}
	}
	if ds.HasErrors() {
		return ds
	}
	trial := map[string]Source{}
	for name, s := range sources {
		trial[name] = DryRun(&trying{Source: s, answers: map[Ref]Answer{}})
	}
	say := func() (resolved, finished plan.Diagnostics) {
		set, ds := Resolve(ctx, p, trial, o)
		return ds, finish(set)
	}
	resolvedBefore, finishedBefore := say()
	for name, s := range trial {
		s.(dryRun).Source.(*trying).given = tried[name]
	}
	resolved, finished := say()
	for _, d := range resolved {
		if d.Code == plan.CodeRuleBroken {
			d.Severity = plan.Warning
		}
		if !told(resolvedBefore, d) {
			ds = append(ds, d)
		}
	}
	for _, d := range finished {
		if told(finishedBefore, d) {
			d.Severity = plan.Warning
		}
		if d.Code != plan.CodeMissing { // what else is missing has its turn
			ds = append(ds, d)
		}
	}
	ds.Sort()
	return ds
}

// given is where a value is found that is tried.
const given = "what is given"

// told reports whether ds has d.
func told(ds plan.Diagnostics, d plan.Diagnostic) bool {
	return slices.ContainsFunc(ds, func(other plan.Diagnostic) bool { return other.Code == d.Code && other.Message == d.Message })
}

// trying is a source that is read once, in which other values stand in for what
// it holds.
type trying struct {
	Source
	given map[spot]parts

	mu      sync.Mutex
	answers map[Ref]Answer
}

// spot is what a source uses to find what a ref asks for.
type spot struct{ input, name string }

func spotOf(ref Ref) spot {
	if ref.Remote.Name != "" {
		return spot{name: ref.Remote.Name}
	}
	return spot{input: ref.Input}
}

// parts are values that stand in, by their properties; the whole is that of none.
type parts map[string]value.Value

// in returns what a source would answer with the parts in the place of what it has.
func (ps parts) in(a Answer) Answer {
	if whole, ok := ps[""]; ok {
		return Answer{Value: whole, Origin: given}
	}
	object := map[string]json.RawMessage{}
	if a.Err == nil && json.Unmarshal(a.Value.Reveal(), &object) != nil || a.Err != nil && !errors.Is(a.Err, ErrAbsent) {
		return a // there is no object to put them into, of which reading tells
	}
	if object == nil { // what is there is null
		object = map[string]json.RawMessage{}
	}
	for property, v := range ps {
		object[property], _ = json.Marshal(string(v.Reveal()))
	}
	text, err := json.Marshal(object)
	if err != nil {
		return a
	}
	return Answer{Value: value.New(text), Origin: given}
}

// Read implements Source.
func (t *trying) Read(ctx context.Context, refs []Ref) []Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	unknown := slices.DeleteFunc(slices.Clone(refs), func(ref Ref) bool { _, ok := t.answers[ref]; return ok })
	if len(unknown) > 0 {
		for i, a := range t.Source.Read(ctx, unknown) {
			t.answers[unknown[i]] = a
		}
	}
	answers := make([]Answer, len(refs))
	for i, ref := range refs {
		answers[i] = t.answers[ref]
		if ps, ok := t.given[spotOf(ref)]; ok {
			answers[i] = ps.in(answers[i])
		}
	}
	return answers
}

// Prove implements Prover, of what is proved when it is.
func (t *trying) Prove(ctx context.Context, refs []Ref) []Answer {
	p, ok := t.Source.(Prover)
	if !ok {
		return Failed(refs, errNoProver)
	}
	answers := p.Prove(ctx, refs)
	for i, ref := range refs {
		if _, ok := t.given[spotOf(ref)]; ok {
			answers[i] = Answer{Origin: given}
		}
	}
	return answers
}

// Previous implements Historian.
func (t *trying) Previous(ctx context.Context, refs []Ref, values bool) []Answer {
	return Previous(ctx, t.Source, refs, values)
}
