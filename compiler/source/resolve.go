package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
)

// Options say how to resolve.
type Options struct {
	NoGenerate bool          // a generated input that is missing is an error
	Timeout    time.Duration // for all that the sources are asked, together; 0 is no limit
	Rand       io.Reader     // what values are generated from; nil is crypto/rand.Reader
	Now        time.Time     // by which tokens and certificates begin and end; zero is the time of each
	// MustRead says that no sealed copy can stand in for a value: a source that
	// cannot be asked is an error.
	MustRead bool
	// SkipValidation says that a value is used even if it is wrong: what Resolve
	// has to say of values, but for one that cannot be decoded, are warnings.
	SkipValidation bool
	// Known tells of which of some inputs, which are absent at their sources, a
	// value is known anyway, by name: what knows it. Of these none is generated or left out, for absent now is not the
	// same as never there. nil knows of none. It is asked only if there are such inputs.
	Known func(context.Context, []plan.Input) (map[string]Holder, plan.Diagnostics)
	// Renew are the names of inputs of which a value that is known is given up.
	Renew []string
	// Told says that whatever else knows a value that is pending has been told, by
	// other means than a [Tell].
	Told bool
	// Settled is how long it takes until a source shows everyone what was written; 0
	// is a second.
	Settled time.Duration
	// Belongs vouches that a child, as it is now, was found to belong to its
	// parents, as they are now. nil vouches for none.
	Belongs func(lockKey value.Value, in plan.Input, child value.Value, parents map[string]value.Value) bool
}

// Holder is what knows a value of an input that is absent at its source.
type Holder struct {
	By string // in words
	// Remedy says how the value comes back, if that is not as usual. Then it is an
	// error in any case: no sealed copy can stand in for the value.
	Remedy string
}

// Resolve finds out about every input of p. sources holds the sources by their
// names in the plan. One that is not in it is not asked, and its inputs are
// Unreadable for no reason: so `Resolve(ctx, p, nil, o)` resolves offline.
//
// A setting with a default has that value, and no source is asked for it. All
// else is read, from all sources at once, and judged. Inputs that external
// secrets alone are made from are not read but proved to be there, unless the
// contract itself says whether they are, or they are generated in the cluster:
// being Present they have no value. Only if nothing is wrong so far, generated
// inputs that are absent are generated, written to their source and then used: a
// build that fails for another reason changes nothing. One of which o.Known
// knows a value is never generated: it is Unreadable, so that a sealed copy of it
// stays. So does one that may be absent, unless the contract says that it is.
//
// The diagnostics are sorted. If they have errors, the set is not to be used.
func Resolve(ctx context.Context, p *plan.Plan, sources map[string]Source, o Options) (value.Set, plan.Diagnostics) {
	r := newResolution(p, sources, slices.Concat(p.Inputs, p.Previous()))
	r.unread, r.lenient = p.Unread(), o.SkipValidation
	if o.MustRead {
		r.unreadable = plan.Error
	}
	return r.run(ctx, o, func(ctx context.Context) {
		r.read(ctx)
		r.lose(ctx, o)
		r.previous(ctx, o)
		for _, in := range p.Inputs {
			r.check(in, o)
		}
		for _, rule := range p.Rules {
			r.rule(rule)
		}
		r.list(ctx)
		r.generate(ctx, o)
		r.checkUnread(o)
		if !o.NoGenerate {
			r.forget(ctx)
		}
	})
}

// Generate makes the generated inputs of p that are absent, but for those that
// are generated in the cluster, writes them to their sources, and leaves all other inputs alone: they may be missing still.
// It returns what it found and made of the generated ones.
func Generate(ctx context.Context, p *plan.Plan, sources map[string]Source, o Options) (value.Set, plan.Diagnostics) {
	inputs := slices.DeleteFunc(slices.Clone(p.Inputs), func(in plan.Input) bool { return in.Class != plan.Generated || inCluster(in) })
	r := newResolution(p, sources, withParents(p, inputs))
	r.unreadable = plan.Error
	return r.run(ctx, o, func(ctx context.Context) {
		r.read(ctx)
		r.lose(ctx, o)
		r.judgeParents(plan.Warning)
		r.generate(ctx, o)
	})
}

// Rotate makes new values for inputs, which are generated ones of p, and for all
// that are made from them, and writes them to their sources in the place of what
// is there. Where that fails for one, the others are rotated anyway, but for
// those that are made from what it is made from, or from it.
func Rotate(ctx context.Context, p *plan.Plan, sources map[string]Source, inputs []plan.Input, o Options) (value.Set, plan.Diagnostics) {
	groups := apart(p, inputs)
	sets, found := make([]value.Set, len(groups)), make([]plan.Diagnostics, len(groups))
	var files, services crash.Group // as generate has them
	files.SetLimit(1)
	services.SetLimit(Parallel)
	for i, group := range groups {
		g := &services
		if slices.ContainsFunc(group, func(in plan.Input) bool { src, _ := p.Source(in.Source); return src.File != "" }) {
			g = &files
		}
		g.Go(func() { sets[i], found[i] = rotate(ctx, p, sources, group, o) })
	}
	files.Wait()
	services.Wait()
	set, ds := value.Set{}, plan.Diagnostics{}
	for i := range groups {
		maps.Copy(set, sets[i])
		for _, d := range found[i] {
			if !slices.ContainsFunc(ds, func(other plan.Diagnostic) bool { return reflect.DeepEqual(other, d) }) {
				ds = append(ds, d) // what concerns a source is said by each
			}
		}
	}
	ds.Sort()
	return set, ds
}

// apart groups inputs so that nothing is made from those of two groups.
func apart(p *plan.Plan, inputs []plan.Input) [][]plan.Input {
	type family struct {
		inputs []plan.Input
		names  map[string]bool // of them and of all that is made from them
	}
	var families []family
	for _, in := range inputs {
		joined := family{[]plan.Input{in}, map[string]bool{in.Name: true}}
		for _, child := range descendants(p, joined.inputs) {
			joined.names[child.Name] = true
		}
		families = slices.DeleteFunc(families, func(f family) bool {
			for name := range f.names {
				if joined.names[name] {
					joined.inputs = append(f.inputs, joined.inputs...)
					maps.Copy(joined.names, f.names)
					return true
				}
			}
			return false
		})
		families = append(families, joined)
	}
	groups := make([][]plan.Input, len(families))
	for i, f := range families {
		groups[i] = f.inputs
	}
	return groups
}

// rotate rotates inputs that belong together, or none of them.
func rotate(ctx context.Context, p *plan.Plan, sources map[string]Source, inputs []plan.Input, o Options) (value.Set, plan.Diagnostics) {
	r := toRenew(p, sources, inputs)
	return r.run(ctx, o, func(ctx context.Context) {
		if r.free(ctx, r.anew, o) {
			r.renew(ctx, o)
		}
	})
}

// renewal is a resolution that makes inputs again, and all that is made from them.
type renewal struct {
	*resolution
	anew  []plan.Input // all of them
	below []plan.Input // those that are made from the others
}

func toRenew(p *plan.Plan, sources map[string]Source, inputs []plan.Input) *renewal {
	below := descendants(p, inputs)
	anew := slices.Concat(inputs, below)
	r := newResolution(p, sources, withParents(p, anew))
	r.replace, r.unreadable = true, plan.Error
	return &renewal{r, anew, below}
}

// renew makes the values and writes them.
func (r *renewal) renew(ctx context.Context, o Options) {
	concerned := r.inputs
	r.inputs = r.inputs[len(r.anew):] // the other parents
	r.read(ctx)
	for _, in := range r.inputs {
		if r.set[in.Name].State == value.Absent {
			r.ds.Errorf(plan.CodeMissing, in.Pos, r.remedy(in), "%s is missing, and what is rotated is made from it", in.Name)
		}
	}
	r.inputs = concerned
	r.judgeParents(plan.Error)
	for _, in := range r.anew {
		r.set[in.Name] = value.Resolved{State: value.Absent}
	}
	if r.ds.HasErrors() {
		return
	}
	r.again(ctx, r.anew, o)
	r.generate(ctx, o)
	for _, in := range r.below {
		if made := r.set[in.Name]; made.Generated {
			made.Why = "was made from what is rotated"
			r.set[in.Name] = made
		}
	}
}

// Ages finds out about the inputs of p that are generated and have a maxAge, so
// that [Due] tells which are to be rotated, and judges none of them. A source
// that cannot be asked is an error.
func Ages(ctx context.Context, p *plan.Plan, sources map[string]Source, o Options) (value.Set, plan.Diagnostics) {
	inputs := slices.DeleteFunc(slices.Clone(p.Inputs), func(in plan.Input) bool { return in.Class != plan.Generated || in.MaxAge == 0 })
	r := newResolution(p, sources, inputs)
	r.unreadable = plan.Error
	return r.run(ctx, o, r.read)
}

// Verify judges what the sources hold, and changes nothing: what is missing,
// weak, a placeholder or against the contract, and what is older than its
// maxAge at the time now. With prove it judges presence and age alone, for
// which no right to read a value is needed. A source that cannot be asked is an
// error.
func Verify(ctx context.Context, p *plan.Plan, sources map[string]Source, prove bool, now time.Time, o Options) (value.Set, plan.Diagnostics) {
	r := newResolution(p, sources, slices.Concat(p.Inputs, p.Previous()))
	r.unreadable, r.prove, r.verifies, r.generatedBy = plan.Error, prove, true, "`victorgen generate` makes it"
	o.NoGenerate = true
	return r.run(ctx, o, func(ctx context.Context) {
		r.read(ctx)
		r.lose(ctx, o)
		for _, in := range p.Inputs {
			r.check(in, o)
		}
		o.Now = now
		r.previous(ctx, o)
		r.overdue(o)
		r.checkChildren(o)
		for _, in := range Stale(p, r.set, now) {
			r.ds.Errorf(plan.CodeStale, in.Pos, rotation(in), "%s is %s old (%s): its rotation is due after %s",
				in.Name, plan.Age(now.Sub(r.set[in.Name].Changed)), r.set[in.Name].Origin, plan.Age(in.MaxAge))
		}
		r.ds = append(r.ds, p.Expiring(now, func(in plan.Input) bool { return r.set[in.Name].State == value.Present })...)
		for _, rule := range p.Rules {
			r.rule(rule)
		}
	})
}

// Stale returns the inputs whose values are older than their maxAge. One of
// which the source cannot say when it changed is none of them.
func Stale(p *plan.Plan, set value.Set, now time.Time) []plan.Input {
	return outdated(p, set, now, func(in plan.Input) time.Duration { return in.MaxAge })
}

// Due returns the generated inputs of which it is time to make a new value: those
// that are older than their rotateAfter, or maxAge. One of which the source cannot
// say when it changed is none of them.
func Due(p *plan.Plan, set value.Set, now time.Time) []plan.Input {
	return slices.DeleteFunc(outdated(p, set, now, plan.Input.RotationAge), func(in plan.Input) bool { return in.Class != plan.Generated })
}

func outdated(p *plan.Plan, set value.Set, now time.Time, than func(plan.Input) time.Duration) []plan.Input {
	var found []plan.Input
	for _, in := range p.Inputs {
		changed := set[in.Name].Changed
		if age := than(in); age > 0 && !changed.IsZero() && now.Sub(changed) > age {
			found = append(found, in)
		}
	}
	return found
}

func rotation(in plan.Input) string {
	if in.Class == plan.Generated {
		return "`victorgen rotate` replaces it; then build"
	}
	return "ask " + in.Ask() + " for a new one, and replace it"
}

// resolution is one call of Resolve, Generate, Rotate, Ages or Verify.
type resolution struct {
	plan        *plan.Plan
	inputs      []plan.Input // those concerned
	sources     map[string]Source
	unreadable  plan.Severity   // of a source that cannot be asked
	prove       bool            // ask for metadata alone
	unread      map[string]bool // the inputs of which only metadata is asked, whatever prove says
	replace     bool            // write over what is there
	generatedBy string          // what would generate a missing input
	lenient     bool            // what is wrong with a value is a warning
	verifies    bool            // nothing is made of what is found
	set         value.Set
	places      map[string]string    // of an absent input: where to put it, if its source says so
	left        map[string]string    // absent inputs of which a value is left where it does not count: where
	lost        map[string]Holder    // absent inputs of which a value is known: what knows it
	over        map[string]time.Time // inputs whose previous value has had its time, and is still at its source: when it was replaced
	began       time.Time
	ds          plan.Diagnostics
}

func newResolution(p *plan.Plan, sources map[string]Source, inputs []plan.Input) *resolution {
	return &resolution{
		plan: p, inputs: inputs, sources: sources, unreadable: plan.Warning, generatedBy: "leave out --no-generate to have it generated",
		began: time.Now(), set: value.Set{}, places: map[string]string{}, left: map[string]string{}, lost: map[string]Holder{},
		over: map[string]time.Time{},
	}
}

// run does the work under one deadline.
func (r *resolution) run(ctx context.Context, o Options, work func(context.Context)) (value.Set, plan.Diagnostics) {
	limited := ctx
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	work(limited)
	for _, in := range r.inputs {
		if v := r.set[in.Name]; v.State == value.Present {
			v.Value = value.Decode(in, v.Value)
			r.set[in.Name] = v
		}
	}
	r.ds.Sort()
	return r.set, r.ds
}

// inCluster reports whether no one but the operator in the cluster generates in.
func inCluster(in plan.Input) bool { return in.Generate != nil && in.Generate.InCluster }

// assumed is what is known of an input without asking: that it is absent, or of an
// unread one that it is there.
func (r *resolution) assumed(in plan.Input) (value.Resolved, bool) {
	switch {
	case saidAbsent(in):
		return value.Resolved{State: value.Absent}, true
	case r.unread[in.Name] && (in.Present != nil || inCluster(in)):
		return value.Resolved{State: value.Present, Origin: "the contract"}, true
	}
	return value.Resolved{}, false
}

// saidAbsent reports whether the contract says that in is absent.
func saidAbsent(in plan.Input) bool { return in.Present != nil && !*in.Present }

func refOf(in plan.Input) Ref {
	return Ref{Input: in.Name, Remote: in.Remote, Binary: in.Encoding == plan.Binary}
}

// batch is what one source is asked at once.
type batch struct {
	source string
	prove  bool
}

// read fills the set.
func (r *resolution) read(ctx context.Context) { r.readThose(ctx, r.inputs) }

// readThose fills the set with what there is of some inputs.
func (r *resolution) readThose(ctx context.Context, those []plan.Input) {
	inputs := map[batch][]plan.Input{}
	for _, in := range those {
		assumed, ok := r.assumed(in)
		switch {
		case in.PreviousOf() != "": // see previous
		case in.Default != nil:
			r.set[in.Name] = value.Resolved{State: value.Present, Value: value.New([]byte(*in.Default)), Origin: "the contract"}
		case ok:
			r.set[in.Name] = assumed
		case r.sources[in.Source] == nil:
			r.set[in.Name] = value.Resolved{}
		default:
			b := batch{in.Source, r.prove || r.unread[in.Name]}
			inputs[b] = append(inputs[b], in)
		}
	}
	batches := slices.SortedFunc(maps.Keys(inputs), func(a, b batch) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(fmt.Sprint(a.prove), fmt.Sprint(b.prove)))
	})
	answers := make([][]Answer, len(batches))
	var wg crash.Group
	for i, b := range batches {
		refs := make([]Ref, len(inputs[b]))
		for j, in := range inputs[b] {
			refs[j] = refOf(in)
		}
		wg.Go(func() { answers[i] = ask(ctx, r.sources[b.source], refs, b.prove) })
	}
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		// What the sources said of their interruption says no more than this.
		r.ds = nil
		r.ds.Errorf(plan.CodeSourceRead, nil, "", "reading was interrupted: %v", context.Cause(ctx))
		return
	}
	for i, b := range batches {
		r.answers(b, inputs[b], answers[i])
		src, _ := r.plan.Source(b.source)
		if !holdsPlain(src) {
			continue // there is nothing to be taken yet
		}
		if how := Exposed(ctx, src); how != "" {
			r.ds.Warnf(plan.CodeInGit, src.Pos, gitHint, "%s, where source %s keeps its values in plain text, %s", PlainPlace(src), src.Name, how)
		}
	}
}

// ask reads refs, or has them proved.
func ask(ctx context.Context, s Source, refs []Ref, prove bool) []Answer {
	p, ok := s.(Prover)
	switch {
	case !prove:
		return Read(ctx, s, refs)
	case ok:
		return Prove(ctx, p, refs)
	}
	return Failed(refs, errNoProver)
}

// answers puts into the set what a source says to b. Inputs that fail for the
// same reason share a diagnostic.
func (r *resolution) answers(b batch, inputs []plan.Input, answers []Answer) {
	type trouble struct {
		code           plan.Code
		reason, remedy string
		unreadable     bool
	}
	failed := map[trouble][]string{}
	for i, a := range answers {
		in := inputs[i]
		r.ds = append(r.ds, a.Warnings...)
		if in.Trim {
			a.Value = value.Trim(a.Value)
		}
		if a.Err == nil && a.Plain != "" && in.Secret() {
			r.ds.Warnf(plan.CodePlainText, in.Pos, "encrypt it there, and replace the value: others may have read it",
				"%s is in plain text at source %s: %s is kept %s", in.Name, b.source, a.Origin, a.Plain)
		}
		var own plan.Diagnostics
		var f *Failure
		switch {
		case a.Err == nil && (b.prove || a.Value.Len() > 0):
			r.set[in.Name] = value.Resolved{State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed}
			continue
		case a.Err == nil || errors.Is(a.Err, ErrAbsent):
			r.set[in.Name] = value.Resolved{State: value.Absent}
			r.places[in.Name] = a.Origin
			if a.Known != "" {
				r.left[in.Name] = a.Known
			}
			if a.Known != "" && in.MayBeAbsent() {
				r.ds.Warnf(plan.CodeSharedFile, in.Pos, "move the line, or remove it", "%s is absent, and %s, which is no longer used, has a value of it", in.Name, a.Known)
			}
			continue
		case errors.As(a.Err, &own):
			r.ds = append(r.ds, own...) // the same for many inputs; sorting drops the duplicates
		default:
			t := trouble{reason: a.Err.Error(), unreadable: errors.Is(a.Err, ErrUnreadable)}
			if errors.As(a.Err, &f) {
				t.code, t.remedy = f.Code, f.Remedy
			}
			failed[t] = append(failed[t], refOf(in).String())
		}
		r.set[in.Name] = value.Resolved{Reason: a.Err.Error()}
	}
	src, _ := r.plan.Source(b.source)
	for t, refs := range failed {
		what := plan.And(refs)
		if len(refs) == len(inputs) && len(refs) > 3 {
			what = fmt.Sprintf("any of its %d inputs", len(refs))
		}
		code := cmp.Or(t.code, plan.CodeSourceRead)
		if t.unreadable && r.unreadable == plan.Warning {
			hint, asked := "their sealed copies are kept", "does not allow reading %s"
			if b.prove {
				hint, asked = "what the lock knows about them is used", "does not report whether it has %s"
			}
			if t.remedy != "" {
				hint = t.remedy + "; " + hint
			}
			r.ds.Warnf(code, src.Pos, hint, "source %s "+asked+": %s", src, what, t.reason)
		} else {
			r.ds.Errorf(code, src.Pos, t.remedy, "cannot read %s from source %s: %s", what, src, t.reason)
		}
	}
}

// lose finds out which absent inputs have been there before.
func (r *resolution) lose(ctx context.Context, o Options) {
	var absent []plan.Input
	for _, in := range r.inputs {
		if !inCluster(in) && !saidAbsent(in) && in.PreviousOf() == "" && r.set[in.Name].State == value.Absent {
			absent = append(absent, in)
		}
	}
	absent = slices.DeleteFunc(absent, func(in plan.Input) bool { return slices.Contains(o.Renew, in.Name) })
	if len(absent) == 0 || r.ds.HasErrors() && ctx.Err() != nil {
		return
	}
	known := map[string]Holder{}
	if o.Known != nil {
		var ds plan.Diagnostics
		known, ds = o.Known(ctx, absent)
		r.ds = append(r.ds, ds...)
	}
	// Another build may have generated one since it was read here: the value is at its
	// source before a lock knows of it.
	if again := slices.DeleteFunc(slices.Clone(absent), func(in plan.Input) bool { return known[in.Name].By == "" }); len(again) > 0 {
		r.readThose(ctx, again)
		if r.ds.HasErrors() && ctx.Err() != nil {
			return
		}
		absent = slices.DeleteFunc(absent, func(in plan.Input) bool { return r.set[in.Name].State != value.Absent })
	}
	type lot struct {
		source    string
		holder    Holder
		generated bool
	}
	lots := map[lot][]string{}
	fresh := false // something is to be generated
	for _, in := range absent {
		generated := in.Class == plan.Generated
		holder := known[in.Name]
		if left := r.left[in.Name]; left != "" && generated {
			holder = Holder{By: left}
		}
		if holder.By == "" {
			fresh = fresh || generated
			continue
		}
		r.lost[in.Name] = holder
		if in.Class == plan.Required {
			continue // that is an error in any case
		}
		if l := (lot{in.Source, holder, generated}); !generated || !o.NoGenerate { // else each is an error of its own
			lots[l] = append(lots[l], in.Name)
		}
	}
	for l, names := range lots {
		src, _ := r.plan.Source(l.source)
		for _, name := range names {
			if r.verifies {
				continue // it is absent, and said to be
			}
			r.set[name] = value.Resolved{Reason: "absent at source " + src.String(), Remedy: r.broughtBack([]string{name}, src)}
		}
		report := r.ds.Warnf
		if r.unreadable == plan.Error || l.holder.Remedy != "" || fresh && slices.Contains(names, plan.LockKey) {
			report = r.ds.Errorf // without the lock key nothing new can be sealed, and it may be the wrong place
		}
		what := "nothing is generated in its place"
		if !l.generated {
			what = "it is not left out"
			if len(names) > 1 {
				what = "they are not left out"
			}
		}
		has := "has a value of it"
		if len(names) > 1 {
			has = "has values of them"
		}
		if what = ": " + what; r.verifies {
			what = ""
		}
		report(plan.CodeLost, r.declared(names, src), r.broughtBack(names, src), "source %s does not have %s, and %s %s%s",
			src, plan.And(names), l.holder.By, has, what)
	}
}

// declared is where a contract says that inputs of src are.
func (r *resolution) declared(names []string, src plan.Source) []plan.Pos {
	if len(src.Pos) > 0 || len(names) == 0 {
		return src.Pos
	}
	in, _ := r.plan.Input(names[0])
	return in.Pos
}

// broughtBack says what to do about inputs that are lost.
func (r *resolution) broughtBack(names []string, src plan.Source) string {
	first, _ := r.plan.Input(names[0])
	renewable := slices.DeleteFunc(slices.Clone(names), func(name string) bool { in, _ := r.plan.Input(name); return in.NeverRotate })
	renew := ""
	switch {
	case first.MayBeAbsent():
		renew = "; if it was removed on purpose, write present: false at the input in the environment"
	case len(renewable) > 0:
		renew = "; `victorgen generate ENV --renew " + strings.Join(renewable, ",") + "` generates a new one on purpose"
	}
	if remedy := r.lost[names[0]].Remedy; remedy != "" {
		return remedy + renew
	}
	if left := r.left[names[0]]; left != "" {
		return "move what is for this environment from " + left + " to " + filepath.Base(src.At()) + renew
	}
	where := "is it the right account, region and prefix?"
	switch {
	case src.File != "":
		where = "is it the right file?"
	case src.Dir != "":
		where = "is it the right directory?"
	}
	cluster := "`victorgen recover ENV` reads it from the cluster, or a colleague or a backup may have it"
	if slices.Equal(names, []string{plan.LockKey}) {
		cluster = "a colleague or a backup may have it"
	}
	return "restore it: " + where + " " + cluster + renew
}

// check looks at one input on its own.
func (r *resolution) check(in plan.Input, o Options) {
	if in.Default != nil || r.set[in.Name].State == value.Present && r.prove {
		return // the compiler has judged it, or there is nothing to judge
	}
	switch got := r.set[in.Name]; got.State {
	case value.Present:
		if !r.unread[in.Name] {
			ds := value.Judge(in, got.Value)
			if stray := value.Stray(in, got.Value); stray != "" {
				if value.Stray(in, value.Trim(got.Value)) == "" && len(value.Judge(in, value.Trim(got.Value))) == 0 {
					for i := range ds {
						ds[i].Hint = "it " + stray + ", and is valid without: remove that at the source, or write trim: true at the input; " + ds[i].Hint
					}
				}
				r.ds.Warnf(plan.CodeStrayEnds, in.Pos, "remove that at the source, if it is not part of the value; trim: true at the input removes white space",
					"%s %s (from %s)", in.Name, stray, got.Origin)
			}
			for i := range ds {
				ds[i].Message += " (from " + got.Origin + ")"
			}
			r.judged(ds)
		}
		if in.Deprecated != "" {
			r.ds.Warnf(plan.CodeDeprecated, in.Pos, "remove it from "+got.Origin, "%s is deprecated: %s", in.Name, in.Deprecated)
		}
	case value.Absent:
		switch {
		case in.Class == plan.Required:
			hint := r.remedy(in)
			if had := r.lost[in.Name]; had.By != "" {
				hint += "; " + had.By + " has a value of it: " + cmp.Or(had.Remedy, "`victorgen recover ENV` reads it from the cluster, or a colleague or a backup may have it")
			}
			r.ds.Errorf(plan.CodeMissing, in.Pos, hint, "required input %s is missing", in.Name)
		case in.Class == plan.Generated && r.lost[in.Name].By != "":
			src, _ := r.plan.Source(in.Source)
			r.ds.Errorf(plan.CodeMissingGenerated, in.Pos, r.broughtBack([]string{in.Name}, src), "generated input %s is missing, and %s has a value of it", in.Name, r.lost[in.Name].By)
		case in.Class == plan.Generated && o.NoGenerate && !inCluster(in):
			r.ds.Errorf(plan.CodeMissingGenerated, in.Pos, r.remedy(in)+"; or "+r.generatedBy,
				"generated input %s is missing", in.Name)
		}
	}
}

// judged takes note of what is wrong with values.
func (r *resolution) judged(ds plan.Diagnostics) {
	for _, d := range ds {
		if r.lenient && d.Code != plan.CodeValueEncoding {
			d.Severity = plan.Warning
		}
		r.ds = append(r.ds, d)
	}
}

// remedy says how to provide an input that is absent.
func (r *resolution) remedy(in plan.Input) string {
	place := r.places[in.Name]
	if place == "" {
		place = "source " + in.Source
	}
	hint := "set it in " + place
	if left := r.left[in.Name]; left != "" {
		hint += ", or move it there from " + left + ", which is no longer used"
	}
	if in.Remote.Property != "" {
		hint += ", as property " + in.Remote.Property
	}
	if in.Description != "" {
		hint += ": " + strings.Join(strings.Fields(in.Description), " ")
	}
	if in.Docs != "" {
		hint += "; see " + in.Docs
	}
	return hint
}

// rule checks what is known of its inputs for certain. One that is absent but
// generated counts as present, since it will be; so does one of which a value is
// known, since what is sealed of it stays.
func (r *resolution) rule(rule plan.Rule) {
	var present, absent []string
	for _, name := range rule.Inputs {
		in, _ := r.plan.Input(name)
		switch state := r.set[name].State; {
		case state == value.Present || state == value.Absent && in.Class == plan.Generated || r.lost[name].By != "":
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
		var ds plan.Diagnostics
		ds.Errorf(plan.CodeRuleBroken, rule.Pos, hint, "rule %s is broken: "+format, append([]any{rule.Name}, args...)...)
		r.judged(ds)
	}
	switch {
	case rule.Kind == plan.AtLeastOne && none:
		broken("set one of them or more", "none of %s is set", all)
	case rule.Kind == plan.ExactlyOne && none:
		broken("set one of them", "none of %s is set", all)
	case rule.Kind == plan.ExactlyOne && len(present) > 1:
		broken("keep one of them", "only one of %s may be set, but %s are", all, plan.And(present))
	case rule.Kind == plan.AllOrNone && len(present) > 0 && len(absent) > 0:
		broken("set all of them or none", "all or none of %s must be set, but these are missing: %s", all, strings.Join(absent, ", "))
	case !slices.Contains([]plan.RuleKind{plan.AtLeastOne, plan.ExactlyOne, plan.AllOrNone}, rule.Kind):
		// A contract can't ask for it unless this is behind the schema.
		broken("use a kind of rule that this victorgen knows", "it is of kind %s, which this victorgen can't check", rule.Kind)
	}
}

// list warns of names that a source holds and no one will read.
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
			if in.Source == src.Name && (r.set[in.Name].State == value.Absent || r.lost[in.Name].By != "") {
				absent = append(absent, in.Name)
			}
		}
		for _, l := range listed {
			if plan.IsPending(l.Name) || l.Name == src.Pending.Name || l.Name == src.PendingValues.Name {
				continue // see WarnPending
			}
			if plan.Reserved(l.Name) {
				r.listedBeside(src, l)
				continue
			}
			in, ok := r.plan.Input(l.Name)
			if ok && saidAbsent(in) {
				r.ds.Warnf(plan.CodeUnknownName, in.Pos, "remove present: false, or the value",
					"%s in %s is ignored: the contract says that it is absent", l.Name, l.Origin)
			}
			if ok && in.Default != nil {
				r.ds.Warnf(plan.CodeUnknownName, in.Pos, "to change it, change its default in the environment or the contract",
					"%s in %s is ignored: the contract sets it", l.Name, l.Origin)
			}
			if ok {
				continue
			}
			if meant := plan.Nearest(l.Name, absent); meant != "" {
				in, _ := r.plan.Input(meant)
				r.ds.Warnf(plan.CodeUnknownName, in.Pos, "rename it there, or remove it", "%s in %s is not an input; did you mean %s?", l.Name, l.Origin, meant)
			}
		}
	}
}

// generate makes the generated inputs that are absent, and again those that do not
// belong to what they are made from. All are made and judged before the first is
// written, for what is written stays.
func (r *resolution) generate(ctx context.Context, o Options) {
	rnd, anew := random(o), map[string]value.Value{}
	if !r.ds.HasErrors() {
		r.unexposed(ctx)
		for _, in := range r.inputs {
			if in.Class != plan.Generated || r.set[in.Name].State != value.Absent || len(in.Parents()) > 0 {
				continue
			}
			v, ds := draw(in, rnd)
			r.ds = append(r.ds, ds...)
			anew[in.Name] = v
		}
	}
	names := slices.Sorted(maps.Keys(anew))
	children := r.children(ctx, anew, o)
	if r.ds.HasErrors() {
		return
	}
	type outcome struct {
		answer Answer
		err    error
	}
	outcomes := make([]outcome, len(names))
	// Some services take seconds to be sure that no other build has won. A file
	// is written by one at a time, and so in order.
	var files, services crash.Group
	files.SetLimit(1)
	services.SetLimit(Parallel)
	for i, name := range names {
		in, _ := r.plan.Input(name)
		g := &services
		if src, _ := r.plan.Source(in.Source); src.File != "" {
			g = &files
		}
		g.Go(func() { outcomes[i].answer, outcomes[i].err = r.write(ctx, in, anew[name], r.replace) })
	}
	files.Wait()
	services.Wait()
	for i, name := range names {
		in, _ := r.plan.Input(name)
		r.written(ctx, in, anew[name], outcomes[i].answer, outcomes[i].err)
	}
	r.keep(ctx, children, o)
}

// unexposed reports an error if a value would be written where Git takes it.
func (r *resolution) unexposed(ctx context.Context) {
	asked := map[string]bool{}
	for _, in := range r.inputs {
		if in.Class == plan.Generated && r.set[in.Name].State == value.Absent && !asked[in.Source] {
			asked[in.Source] = true
			r.unexposedSource(ctx, in.Source, "generated into")
		}
	}
}

// unexposedSource is unexposed for one source, into which values are to come as
// doing says.
func (r *resolution) unexposedSource(ctx context.Context, name, doing string) bool {
	src, _ := r.plan.Source(name)
	how := Exposed(ctx, src)
	if how != "" {
		r.ds.Errorf(plan.CodeInGit, src.Pos, gitHint, "values would be %s %s, which %s: none is written", doing, PlainPlace(src), how)
	}
	return how == ""
}

// draw generates a value for in that satisfies its constraints. A password may
// miss them by chance, if its pattern wants a digit, say: then it draws again,
// which leaves all good passwords equally likely.
func draw(in plan.Input, rnd io.Reader) (v value.Value, ds plan.Diagnostics) {
	for range 10 {
		var err error
		if v, err = value.Generate(*in.Generate, rnd); err != nil {
			ds = nil
			ds.Errorf(plan.CodeGenerate, in.Pos, "", "cannot generate %s: %v", in.Name, err)
			return v, ds
		}
		if ds = value.Judge(in, v); len(ds) == 0 {
			break
		}
	}
	return v, ds
}

// write writes v to the source of in, over what is there if it is to replace that,
// and returns what the source holds then.
func (r *resolution) write(ctx context.Context, in plan.Input, v value.Value, replace bool) (a Answer, err error) {
	w, ok := r.sources[in.Source].(Writer)
	if !ok {
		return Answer{}, errors.New("it can only be read")
	}
	put := w.Create
	if replace {
		put = w.Replace
	}
	if k, ok := w.(Keeper); ok && replace && in.KeepsPrevious() > 0 {
		put = func(ctx context.Context, ref Ref, v value.Value) (Answer, error) {
			return k.Supersede(ctx, ref, v, r.began.Truncate(time.Second))
		}
	}
	explain := patiently(ctx, func(ctx context.Context) { a, err = put(ctx, refOf(in), v) })
	return a, explain(err)
}

// written puts into the set what came of writing v: what the source holds then,
// which another build may have written.
func (r *resolution) written(ctx context.Context, in plan.Input, v value.Value, a Answer, err error) {
	if old := r.set[in.Name]; err == nil {
		if old.State == value.Present && in.KeepsPrevious() > 0 && !a.Value.Equal(old.Value) {
			old.Changed = r.began.Truncate(time.Second) // when it was replaced
			r.set[in.Name+plan.PreviousSuffix] = old
		}
		r.set[in.Name] = value.Resolved{
			State: value.Present, Value: a.Value, Origin: a.Origin, Changed: a.Changed, Generated: a.Value.Equal(v),
		}
		if !a.Value.Equal(v) {
			r.judged(value.Judge(in, a.Value))
		}
		return
	}
	src, _ := r.plan.Source(in.Source)
	hint := remedyOf(err, r.remedy(in))
	f, _ := errors.AsType[*Failure](err)
	var own plan.Diagnostics
	switch {
	case in.Name == plan.LockKey && ctx.Err() == nil && !r.replace:
		r.ds.Warnf(plan.CodeLockKey, in.Pos, "so that unchanged values keep their ciphertext, "+hint,
			"%s cannot be written to source %s, so every build seals all values again: %v", in.Name, src, err)
	case errors.As(err, &own):
		r.ds = append(r.ds, own...)
	case ctx.Err() != nil || f != nil && f.Unsure:
		// The source may have kept what it did not acknowledge.
		if hint = "the next build uses what is there"; f != nil && f.Remedy != "" {
			hint += "; " + f.Remedy
		}
		r.ds.Errorf(plan.CodeSourceWrite, in.Pos, hint,
			"%s was generated, and whether source %s has stored it is not known: %v", refOf(in), src, err)
	default:
		r.ds.Errorf(plan.CodeSourceWrite, in.Pos, hint,
			"%s was generated but cannot be written to source %s, so it is not used: %v", refOf(in), src, err)
	}
}
