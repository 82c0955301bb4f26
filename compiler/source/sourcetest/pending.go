package sourcetest

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/sample"
)

// killings are how many times at least a rotation that tells someone else is killed,
// and where only some of the points of its end are tried.
const killings, killingsOfSome = 200, 100

// errKilled ends whatever is under way.
var errKilled = errors.New("killed")

// mortal is what can be killed at one of its points: before and after whatever a source
// or the other side is asked.
type mortal struct {
	mu     sync.Mutex
	points int // so far
	at     int // the point at which it is killed; 0 is none
}

func (m *mortal) point() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.points++; m.points == m.at || m.at > 0 && m.points > m.at {
		panic(errKilled)
	}
}

// lives runs do until it is killed, and reports whether it was not.
func (m *mortal) lives(do func()) (lived bool) {
	defer func() {
		if err := recover(); err != nil && (m.at == 0 || m.points < m.at) {
			panic(err)
		}
	}()
	do()
	return true
}

// killable is a source that is asked until it is killed.
type killable struct {
	source.Writer
	*mortal
}

func (k killable) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	k.point()
	return k.Writer.Read(ctx, refs)
}

func (k killable) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	k.point()
	defer k.point()
	return k.Writer.Create(ctx, ref, v)
}

func (k killable) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	k.point()
	defer k.point()
	return k.Writer.Replace(ctx, ref, v)
}

// killableKeeper is one that keeps previous values itself.
type killableKeeper struct {
	killable
	source.Keeper
}

func (k killableKeeper) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	return k.killable.Read(ctx, refs)
}

func (k killableKeeper) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return k.killable.Create(ctx, ref, v)
}

func (k killableKeeper) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return k.killable.Replace(ctx, ref, v)
}

func (k killableKeeper) Supersede(ctx context.Context, ref source.Ref, v value.Value, at time.Time) (source.Answer, error) {
	k.point()
	defer k.point()
	return k.Keeper.Supersede(ctx, ref, v, at)
}

func (k killableKeeper) Remove(ctx context.Context, ref source.Ref) error {
	k.point()
	defer k.point()
	return k.Keeper.Remove(ctx, ref)
}

// otherSide is what knows the values of a plan, too.
type otherSide struct {
	*checker
	plan  *plan.Plan
	knows map[string]string
	runs  int
	store source.Writer // what is there, no matter who is killed
}

// rotated is a plan with a key, what is made from it, and a password that keeps the one
// before where that is so done.
func (c *checker) rotated() *otherSide {
	p := &plan.Plan{Environment: "test", Sources: []plan.Source{{
		Name: "default", Kind: "test", Pending: c.Remote(plan.PendingName), PendingValues: c.Remote(plan.PendingValues),
	}}}
	keep := time.Duration(0)
	if _, ok := c.Open().(source.Keeper); ok {
		keep = time.Hour
	}
	for _, in := range []plan.Input{
		{Name: "A_PUBLIC_HALF", Generate: &plan.Generate{Kind: plan.PublicKey, Encoding: "pem", Child: &plan.Child{Of: "KEY"}}},
		{Name: "KEY", Generate: &plan.Generate{Kind: plan.Ed25519, Encoding: "pkcs8"}},
		{Name: "PASSWORD", Generate: &plan.Generate{Kind: plan.Bytes, Bits: 128, Encoding: "hex", KeepPrevious: keep}},
	} {
		in.Class, in.Source, in.Remote = plan.Generated, "default", c.Remote(in.Name)
		p.Inputs = append(p.Inputs, in)
	}
	return &otherSide{checker: c, plan: p, knows: map[string]string{}, store: c.Open().(source.Writer)}
}

// sources are those that m asks.
func (o *otherSide) sources(m *mortal) map[string]source.Source {
	w := o.store
	var s source.Source = killable{w, m}
	if k, ok := w.(source.Keeper); ok {
		s = killableKeeper{killable{w, m}, k}
	}
	return map[string]source.Source{"default": s}
}

// tell is the command that m runs: it may be killed between two of its steps.
func (o *otherSide) tell(m *mortal) source.Tell {
	return func(_ context.Context, changed []source.Changed) error {
		o.runs++
		if len(changed) != len(o.plan.Inputs) {
			o.Errorf("it is told of %d inputs", len(changed))
		}
		for _, c := range changed {
			m.point()
			if old := string(c.Old.Reveal()); o.knows[c.Input.Name] != old && o.knows[c.Input.Name] != string(c.New.Reveal()) {
				o.Errorf("%s: the other side has neither what it is told to be the old value nor the new one", c.Input.Name)
			}
			o.knows[c.Input.Name] = string(c.New.Reveal())
		}
		m.point()
		return nil
	}
}

// now are the current values, and what the entries of what is pending hold.
func (o *otherSide) now() (values map[string]string, entries [2]string) {
	values = map[string]string{}
	for _, in := range o.plan.Inputs {
		values[in.Name] = o.stored(source.Ref{Input: in.Name, Remote: in.Remote})
	}
	src := o.plan.Sources[0]
	return values, [2]string{
		o.stored(source.Ref{Input: plan.PendingName, Remote: src.Pending}), o.stored(source.Ref{Input: plan.PendingValues, Remote: src.PendingValues}),
	}
}

func (o *otherSide) stored(ref source.Ref) string {
	a := source.Read(o.Context(), o.store, []source.Ref{ref})[0]
	if a.Err != nil && !errors.Is(a.Err, source.ErrAbsent) {
		o.Fatalf("%s: %v%s", ref, a.Err, remedy(a.Err))
	}
	return string(a.Value.Reveal())
}

// fine fails the test if ds has errors.
func (o *otherSide) fine(doing string, ds plan.Diagnostics) {
	o.Helper()
	for _, d := range ds {
		if d.Severity == plan.Error {
			o.Fatalf("%s: %s; %s", doing, d.Message, d.Hint)
		}
	}
}

// killedTelling: whenever a rotation that tells someone else is killed, and whenever
// what ends it is killed, both values are known wherever the other side may have either,
// and it can be finished and taken back.
func (c *checker) killedTelling() {
	if c.ReadOnly {
		c.Skip("the source is no source.Writer")
	}
	if c.Quick != nil {
		c.Open = c.Quick
	}
	o := c.rotated()
	options := source.Options{Settled: time.Millisecond}
	_, ds := source.Generate(c.Context(), o.plan, o.sources(&mortal{}), options)
	o.fine("generate", ds)
	o.knows, _ = o.now()
	named := slices.DeleteFunc(slices.Clone(o.plan.Inputs), func(in plan.Input) bool { return len(in.Parents()) > 0 })
	killed, after := 0, map[string]int{}
	// rotate rotates until it is killed at a point, and says how far that came; it is
	// not, if there is no such point.
	rotate := func(at int) (old map[string]string, state string, lived bool) {
		old, _ = o.now()
		m, runs := &mortal{at: at}, o.runs
		if m.lives(func() {
			_, ds := source.RotateTelling(c.Context(), o.plan, o.sources(m), named, o.tell(m), options)
			o.fine("rotate", ds)
		}) {
			o.ended("rotate", old, o.runs == runs)
			return old, "", true
		}
		killed++
		o.known(old)
		_, entries := o.now()
		state, _, _ = strings.Cut(entries[0], " ")
		return old, state, false
	}
	// end ends what is pending, unless it is killed as well.
	end := func(abort bool, at int, old map[string]string, state string) (lived bool) {
		verb, doing := source.Resume, "resume"
		if abort {
			verb, doing = source.Abort, "abort"
		}
		before, entries := o.now()
		m := &mortal{at: at}
		var done []source.Ended
		if !m.lives(func() {
			var ds plan.Diagnostics
			done, _, ds = verb(c.Context(), o.plan, o.sources(m), o.tell(m), options)
			o.fine(doing+" of "+entries[0], ds)
		}) {
			killed++
			o.known(old)
			return false
		}
		after[doing+" of "+state]++
		o.ended(doing, old, len(done) == 0 && maps.Equal(before, old) || len(done) > 0 && done[0].TakenBack)
		return true
	}
	step := 1
	if c.Slow {
		step = 9
	}
	// Killed at each point, it can be ended in both ways.
	at := map[string][]int{} // the points, by the state that they lead to
	for _, abort := range []bool{false, true} {
		for point := 1; ; point += step {
			old, state, lived := rotate(point)
			if lived {
				break
			}
			if !abort {
				at[state] = append(at[state], point)
			}
			end(abort, 0, old, state)
			if c.Failed() {
				c.Fatalf("killed at point %d (%s), abort: %v", point, state, abort)
			}
		}
	}
	if c.Slow {
		c.Logf("killed %d times; %v", killed, after)
		return
	}
	ends, least := 1, killings
	if !c.Exhaustive {
		ends = sample.Every(7)
	}
	if ends > 1 {
		least = killingsOfSome
	}
	// So can what was killed at each point of its end: in the same way or in the other.
	for _, state := range []string{string(source.Prepared), string(source.Started), string(source.Told)} {
		points := at[state]
		if len(points) == 0 {
			c.Errorf("nothing was killed when it was %s", state)
			continue
		}
		for _, point := range []int{points[len(points)/2], points[len(points)-1]} {
			for _, abort := range []bool{false, true} {
				if point != points[len(points)-1] && state != string(source.Told) {
					continue // there is but one way from there
				}
				for until := 1; ; until += ends {
					old, state, _ := rotate(point)
					if end(abort, until, old, state) {
						break
					}
					end(abort == (until%3 == 0), 0, old, state)
					if c.Failed() {
						c.Fatalf("killed at point %d (%s), then at point %d, abort: %v", point, state, until, abort)
					}
				}
			}
		}
	}
	c.Logf("killed %d times; %v", killed, after)
	if killed < least {
		c.Errorf("it was killed %d times, not %d", killed, least)
	}
}

// known fails if the other side has something that is not known.
func (o *otherSide) known(old map[string]string) {
	o.Helper()
	values, entries := o.now()
	for name, v := range o.knows {
		kept := strings.Contains(entries[1], ":"+base64.StdEncoding.EncodeToString([]byte(v)))
		if v != values[name] && (!kept || entries[0] == "") {
			o.Errorf("%s: the other side has a value that is neither current nor pending; %q", name, entries[0])
		}
		if values[name] != old[name] && !strings.Contains(entries[1], ":"+base64.StdEncoding.EncodeToString([]byte(old[name]))) && v == old[name] {
			o.Errorf("%s: the old value is lost, which the other side has", name)
		}
	}
	if strings.Contains(entries[0], base64.StdEncoding.EncodeToString([]byte(values["PASSWORD"]))) || strings.Contains(entries[0], values["PASSWORD"]) {
		o.Error("there is a value in what says how far it is")
	}
}

// ended fails if the other side has not what is current, or that is neither all of the
// old values nor all of the new ones, or something is pending still.
func (o *otherSide) ended(doing string, old map[string]string, back bool) {
	o.Helper()
	values, entries := o.now()
	for name, v := range values {
		switch {
		case v != o.knows[name]:
			o.Errorf("after %s, the other side has another value of %s than is current", doing, name)
		case (v == old[name]) != back:
			o.Errorf("after %s, %s has the old value: %v, and was taken back: %v", doing, name, v == old[name], back)
		}
	}
	_, keeper := o.store.(source.Keeper)
	for _, entry := range entries {
		if keeper && entry != "" || entry != "" && entry != "nothing is pending" {
			o.Errorf("after %s, something is left of what was pending", doing)
		}
	}
}
