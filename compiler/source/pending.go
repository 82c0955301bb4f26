package source

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
)

// A rotation that tells someone else leaves, whenever it is killed, enough at the
// sources to be finished or taken back. At each source that has one of its inputs there
// are two entries: one that says how far it is, with names and no value (an entry of
// [plan.PendingName]), and one with the old values and the new ones
// ([plan.PendingValues]). The order is
//
//	prepared -> values -> started -> the command -> told -> each input := new -> no values -> nothing
//
// each at all sources before the next. To take it back is
//
//	the command, with old and new swapped -> prepared -> each input := old -> no values -> nothing
//
// So if one source says prepared, the other side has the old values; or else, if one
// says told, it has the new ones; or else it may have either.

// State is how far a rotation is that tells someone else.
type State string

// The states of a rotation that is pending.
const (
	Prepared State = "prepared" // the other side has the old values
	Started  State = "started"  // it may have been told of the new ones
	Told     State = "told"     // it has the new ones
)

// Pending is what a source says of a rotation that has not ended.
type Pending struct {
	State       State     `json:"state"`
	Since       time.Time `json:"since"`
	Environment string    `json:"environment"` // in which it was begun
	Source      string    `json:"source"`
	Inputs      []string  `json:"inputs"` // those at the source, in the order in which they become current

	id string
}

// text is the entry that says so.
func (p Pending) text() value.Value {
	return value.New([]byte(strings.Join([]string{
		string(p.State), p.Since.UTC().Format(time.RFC3339), p.id, cmp.Or(p.Environment, "-"), strings.Join(p.Inputs, ","),
	}, " ")))
}

// nothing is what the entries are where they can't be removed: a service keeps the
// name of what is deleted for a while, so that nothing could be stored under it.
const nothing = "nothing is pending"

// parsePending reads an entry.
func parsePending(text string) (Pending, bool) {
	words := strings.Split(text, " ")
	if len(words) != 5 || !slices.Contains([]State{Prepared, Started, Told}, State(words[0])) {
		return Pending{}, false
	}
	since, err := time.Parse(time.RFC3339, words[1])
	inputs := strings.Split(words[4], ",")
	if err != nil || words[2] == "" || words[3] == "" || slices.Contains(inputs, "") {
		return Pending{}, false
	}
	return Pending{State: State(words[0]), Since: since, Environment: words[3], Inputs: inputs, id: words[2]}, true
}

// change is the old value and the new one of an input, as its source holds them.
type change struct {
	input    plan.Input
	old, new value.Value
}

// valuesText is the entry that holds changes. Any source can hold it: it is one line of
// letters, digits and little else.
func valuesText(id string, changes []change) value.Value {
	b := []byte(id)
	for _, c := range changes {
		b = fmt.Appendf(b, " %s:%s:%s", c.input.Name, base64.StdEncoding.EncodeToString(c.old.Reveal()), base64.StdEncoding.EncodeToString(c.new.Reveal()))
	}
	return value.New(b)
}

// parseValues reads it. The inputs have names alone.
func parseValues(text []byte) (id string, changes []change, ok bool) {
	words := bytes.Split(text, []byte(" "))
	for _, word := range words[1:] {
		parts := bytes.Split(word, []byte(":"))
		if len(parts) != 3 || len(parts[0]) == 0 {
			return "", nil, false
		}
		var both [2]value.Value
		for i, part := range parts[1:] {
			v, err := base64.StdEncoding.DecodeString(string(part))
			if err != nil {
				return "", nil, false
			}
			both[i] = value.New(v)
		}
		if both[1].Len() == 0 {
			return "", nil, false
		}
		changes = append(changes, change{plan.Input{Name: string(parts[0])}, both[0], both[1]})
	}
	return string(words[0]), changes, len(words[0]) > 0 && len(changes) > 0
}

// Changed is an input of which someone else is to be told, with the values as the
// application has them. Old is empty if there was none.
type Changed struct {
	Input    plan.Input
	Old, New value.Value
}

// Tell tells whatever else knows the old values of the new ones. It may be called again
// for what it has done already.
type Tell func(context.Context, []Changed) error

// ErrNotBegun is what the error of a [Tell] wraps that has told no one.
var ErrNotBegun = errors.New("nothing was begun")

// Ended is a rotation that was pending, and is no longer.
type Ended struct {
	Pending
	TakenBack bool `json:"takenBack"` // the old values are current; else the new ones are
}

// settled is how long it takes until a source shows everyone what was written.
func (o Options) settled() time.Duration {
	if o.Settled > 0 {
		return o.Settled
	}
	return time.Second
}

// patience is how long a rotation may say that it is prepared, and say nothing else,
// before it counts as killed.
func (o Options) patience() time.Duration { return 10 * o.settled() }

// telling is a rotation that tells someone else.
type telling struct {
	*resolution
	o       Options
	pending Pending             // what it says; but for the inputs, which are those of each source
	at      []string            // the sources that are concerned, sorted
	changes map[string][]change // by source; parents stand before their children
	names   map[string][]string // what the entry of a source says, if it was there before
	gone    bool                // a source has no values of it any longer
	order   []string            // the names of all inputs, parents before their children
}

// limited bounds what sources are asked, but not what is told.
func (t *telling) limited(ctx context.Context, do func(context.Context)) {
	if t.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.o.Timeout)
		defer cancel()
	}
	do(ctx)
}

// RotateTelling is Rotate, and lets tell know of the old values and the new ones before
// these become current: of all inputs at once, and of all that is made from them. Of
// what fails nothing is lost, for until all is done both values are at the sources, and
// [Resume] and [Abort] go on from there. Without a tell the values are made, and
// written nowhere.
func RotateTelling(ctx context.Context, p *plan.Plan, sources map[string]Source, inputs []plan.Input, tell Tell, o Options) (value.Set, plan.Diagnostics) {
	t := &telling{resolution: newResolution(p, sources, nil), o: o, changes: map[string][]change{}}
	t.replace = true
	if len(inputs) == 0 {
		return t.set, nil
	}
	var made value.Set
	begun := false
	t.limited(ctx, func(ctx context.Context) {
		if made = t.draft(ctx, inputs); made == nil || t.ds.HasErrors() || tell == nil {
			return
		}
		begun = t.begin(ctx)
	})
	if tell == nil && !t.ds.HasErrors() {
		t.ds.Sort()
		return made, t.ds
	}
	if begun && t.tell(ctx, tell, false) {
		t.limited(ctx, func(ctx context.Context) {
			if t.promote(ctx) {
				t.clear(ctx)
			}
		})
	}
	return t.result()
}

// result is what has become of it. The values are as the application has them.
func (t *telling) result() (value.Set, plan.Diagnostics) {
	for name, v := range t.set {
		in, _ := t.plan.Input(name)
		v.Value = value.Decode(in, v.Value)
		t.set[name] = v
	}
	t.ds.Sort()
	return t.set, t.ds
}

// draft makes new values, and reads the old ones.
func (t *telling) draft(ctx context.Context, inputs []plan.Input) value.Set {
	r := toRenew(t.plan, t.sources, inputs)
	r.inputs = slices.Clone(r.anew)
	r.read(ctx)
	old := r.set
	t.ds = append(t.ds, r.ds...)
	named := map[string]bool{}
	for _, in := range inputs {
		named[in.Name] = true
	}
	for _, in := range r.anew {
		src, _ := t.plan.Source(in.Source)
		if _, ok := t.sources[in.Source].(Writer); !ok && !t.ds.HasErrors() {
			t.ds.Errorf(plan.CodeSourceWrite, in.Pos, t.remedy(in), "%s can't be rotated at source %s: it can only be read", in.Name, src)
		}
		if old[in.Name].State != value.Present && named[in.Name] && !t.ds.HasErrors() {
			t.ds.Errorf(plan.CodeMissing, in.Pos, "`victorgen generate` generates a first one; restore it if there was one", "%s has no value at source %s that the other side could know", in.Name, src)
		}
	}
	if t.ds.HasErrors() || ctx.Err() != nil {
		return nil
	}
	dry := map[string]Source{}
	for name, s := range t.sources {
		dry[name] = DryRun(s)
	}
	r = toRenew(t.plan, dry, inputs)
	set, ds := r.run(ctx, t.o, func(ctx context.Context) {
		r.renew(ctx, t.o)
		raw := map[string]value.Value{}
		for _, in := range r.anew {
			raw[in.Name] = r.set[in.Name].Value
		}
		t.arrange(r.anew, func(in plan.Input) change { return change{in, old[in.Name].Value, raw[in.Name]} })
	})
	t.ds = append(t.ds, ds...)
	return set
}

// arrange notes the changes of inputs.
func (t *telling) arrange(inputs []plan.Input, of func(plan.Input) change) {
	children := inOrder(inputs)
	parents := slices.DeleteFunc(slices.Clone(inputs), func(in plan.Input) bool { return len(in.Parents()) > 0 })
	for _, in := range slices.Concat(parents, children) {
		t.changes[in.Source] = append(t.changes[in.Source], of(in))
		t.order = append(t.order, in.Name)
	}
	t.at = slices.Sorted(maps.Keys(t.changes))
}

// all are the changes at all sources, parents first.
func (t *telling) all() (all []change) {
	for _, name := range t.order {
		in, _ := t.plan.Input(name)
		for _, c := range t.changes[in.Source] {
			if c.input.Name == name {
				all = append(all, c)
			}
		}
	}
	return all
}

// The refs of the two entries.

func pendingRef(src plan.Source) Ref { return Ref{Input: plan.PendingName, Remote: src.Pending} }
func valuesRef(src plan.Source) Ref  { return Ref{Input: plan.PendingValues, Remote: src.PendingValues} }

// entry reads what a source says that is pending; nothing is no error. What is not
// what victorgen writes is one.
func entry(ctx context.Context, s Source, src plan.Source) (Pending, bool, error) {
	ref := pendingRef(src)
	if p, ok := s.(Prover); ok && keeps(s) { // to tell names, SOPS needs no key
		if a := Prove(ctx, p, []Ref{ref})[0]; errors.Is(a.Err, ErrAbsent) {
			return Pending{}, false, nil
		}
	}
	a := Read(ctx, s, []Ref{ref})[0]
	switch {
	case errors.Is(a.Err, ErrAbsent):
		return Pending{}, false, nil
	case a.Err != nil:
		return Pending{}, false, a.Err
	case a.Value.Len() == 0 || string(a.Value.Reveal()) == nothing:
		return Pending{}, false, nil
	}
	e, ok := parsePending(string(a.Value.Reveal()))
	if !ok {
		return e, false, &Failure{Code: plan.CodeValueEncoding, Reason: "the content of " + a.Origin + " was not written by victorgen", Remedy: "remove it there, if no rotation is under way"}
	}
	e.Source = src.Name
	return e, true, nil
}

// put writes an entry over whatever is there, and makes sure that it is there.
func (t *telling) put(ctx context.Context, src plan.Source, ref Ref, v value.Value) error {
	w := t.sources[src.Name].(Writer)
	var err error
	explain := patiently(ctx, func(ctx context.Context) { _, err = w.Replace(ctx, ref, v) })
	if err = explain(err); err != nil {
		return err
	}
	return t.stands(ctx, src, ref, v)
}

// stands makes sure that v is what a source has.
func (t *telling) stands(ctx context.Context, src plan.Source, ref Ref, v value.Value) error {
	switch a := Read(ctx, t.sources[src.Name], []Ref{ref})[0]; {
	case a.Err != nil && !errors.Is(a.Err, ErrAbsent):
		return a.Err
	case a.Err != nil || !a.Value.Equal(v):
		return errOvertaken
	}
	return nil
}

var errOvertaken = &Failure{Reason: "another rotation has started there at the same time", Remedy: "see how it ended, then try again"}

// drop removes an entry, or says in its place that there is nothing.
func (t *telling) drop(ctx context.Context, src plan.Source, ref Ref) error {
	s := t.sources[src.Name]
	if k, ok := s.(Keeper); ok {
		return k.Remove(ctx, ref)
	}
	a := Read(ctx, s, []Ref{ref})[0]
	if errors.Is(a.Err, ErrAbsent) || a.Err == nil && string(a.Value.Reveal()) == nothing {
		return nil
	}
	_, err := s.(Writer).Replace(ctx, ref, value.New([]byte(nothing)))
	return err
}

// begin notes at all sources what is about to be told, and reports whether it may be.
func (t *telling) begin(ctx context.Context) bool {
	id := make([]byte, 8)
	rand.Read(id) // it never fails
	t.pending = Pending{State: Prepared, Since: t.began, Environment: t.plan.Environment, id: hex.EncodeToString(id)}
	var ours []string // sources that have an entry of it
	fail := func(src plan.Source, err error) bool {
		t.failed(src, "the other side was not told, and the new values are dropped: what is pending can't be written to", err)
		t.at = ours
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		before := t.ds
		t.takeBack(cleanup)
		t.ds = before // the next one takes it back, too
		return false
	}
	for _, name := range t.at {
		src, _ := t.plan.Source(name)
		if !t.unexposedSource(ctx, name, "kept as pending in") {
			return false
		}
		if size := valuesText(t.pending.id, t.changes[name]).Len(); tooMuch(src, size) {
			t.ds.Errorf(plan.CodeSourceWrite, src.Pos, "rotate fewer of them at a time", "the old and the new values of what is rotated take %d bytes together, more than source %s holds in one value", size, src)
			return false
		}
	}
	for _, name := range t.at {
		src, _ := t.plan.Source(name)
		ok, written, err := t.acquire(ctx, src)
		if written {
			ours = append(ours, name)
		}
		if err != nil {
			return fail(src, err)
		}
		if !ok {
			t.at = ours
			t.takeBack(ctx)
			return false
		}
	}
	for _, name := range t.at {
		src, _ := t.plan.Source(name)
		if err := t.tryOut(ctx, src); err != nil {
			return fail(src, err)
		}
		if err := t.put(ctx, src, valuesRef(src), valuesText(t.pending.id, t.changes[name])); err != nil {
			return fail(src, err)
		}
	}
	if src, err := t.mark(ctx, Started); err != nil {
		return fail(src, err)
	}
	return true
}

func tooMuch(src plan.Source, size int) bool {
	kind, _ := plan.KindOf(src.Kind)
	return kind.MaxValue > 0 && size > kind.MaxValue
}

// tryOut stores where the values will be those that a file might not hold, one by one:
// when they are to become current it is too late to find that out.
func (t *telling) tryOut(ctx context.Context, src plan.Source) error {
	k, ok := t.sources[src.Name].(Keeper)
	if !ok {
		return nil
	}
	for _, c := range t.changes[src.Name] {
		if c.old.Len() > 0 { // what is there already is not written: it may be that it can't be
			if _, err := k.Supersede(ctx, refOf(c.input), c.old, t.began); err != nil {
				return err
			}
		}
		if bytes.ContainsFunc(c.new.Reveal(), func(r rune) bool { return !strings.ContainsRune(harmless, r) }) {
			ref := valuesRef(src)
			ref.Binary = c.input.Encoding == plan.Binary
			if _, err := k.Replace(ctx, ref, c.new); err != nil {
				return err
			}
		}
	}
	return nil
}

const harmless = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_.,:"

// entryFor is the entry of t at a source.
func (t *telling) entryFor(name string, state State) Pending {
	e := t.pending
	e.State, e.Source, e.Inputs = state, name, nil
	for _, c := range t.changes[name] {
		e.Inputs = append(e.Inputs, c.input.Name)
	}
	if names := t.names[name]; names != nil {
		e.Inputs = names
	}
	return e
}

// acquire notes at a source that a rotation is prepared, if none is pending there.
func (t *telling) acquire(ctx context.Context, src plan.Source) (ok, written bool, err error) {
	if !t.freed(ctx, src, nil) {
		return false, false, nil
	}
	w := t.sources[src.Name].(Writer)
	ref, ours := pendingRef(src), t.entryFor(src.Name, Prepared).text()
	a := Read(ctx, w, []Ref{ref})[0]
	if errors.Is(a.Err, ErrAbsent) || a.Err == nil && a.Value.Len() == 0 {
		explain := patiently(ctx, func(ctx context.Context) { a, err = w.Create(ctx, ref, ours) })
		if err = explain(err); err == nil && !a.Value.Equal(ours) {
			return false, false, errOvertaken
		}
		return err == nil, true, err
	}
	if a.Err != nil {
		return false, false, a.Err
	}
	explain := patiently(ctx, func(ctx context.Context) { _, err = w.Replace(ctx, ref, ours) })
	if err = explain(err); err != nil {
		return false, true, err
	}
	// Of two that write at once, the second one wins, and the first one sees it.
	if err := pause(ctx, t.o.settled()); err != nil {
		return false, true, err
	}
	if err := t.stands(ctx, src, ref, ours); err != nil {
		return false, err != error(errOvertaken), err
	}
	return true, true, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return Network(ctx.Err())
	}
}

// freed reports whether nothing is pending at a source that concerns one of names; nil
// is all, and then a source that can't be asked is an error. What is prepared, and was
// left, is taken back.
func (t *telling) freed(ctx context.Context, src plan.Source, names []string) bool {
	var first time.Time
	var seen Pending
	for {
		e, found, err := entry(ctx, t.sources[src.Name], src)
		if err != nil && names == nil {
			t.failed(src, "whether something is pending is not known for", err)
			return false
		}
		concerned := names == nil || slices.ContainsFunc(e.Inputs, func(name string) bool { return slices.Contains(names, name) })
		switch {
		case !found || !concerned:
			return true
		case e.State != Prepared:
			t.occupied(src, e)
			return false
		case e.id != seen.id:
			first, seen = time.Now(), e
		case time.Since(first) >= t.o.patience():
			left := &telling{resolution: t.resolution, o: t.o, changes: map[string][]change{}}
			if left.gather(ctx, []Pending{e}, true); t.ds.HasErrors() {
				return false
			}
			return left.takeBack(ctx)
		}
		if err := pause(ctx, t.o.patience()/20); err != nil {
			t.failed(src, "what was prepared there did not continue, and can't be taken back:", err)
			return false
		}
	}
}

// occupied says what is pending at a source.
func (t *telling) occupied(src plan.Source, e Pending) {
	t.ds.Errorf(plan.CodePending, src.Pos, e.remedy(t.plan), "%s", e.sentence(src))
}

// sentence says what is pending at a source.
func (e Pending) sentence(src plan.Source) string {
	what := "a new value of " + plan.And(e.Inputs) + " is pending"
	if len(e.Inputs) > 1 {
		what = "new values of " + plan.And(e.Inputs) + " are pending"
	}
	how := map[State]string{
		Prepared: "the other side has not been told",
		Started:  "whether the other side has been told is not known",
		Told:     "the other side has been told",
	}[e.State]
	return fmt.Sprintf("%s at source %s since %s: %s", what, src, e.Since.UTC().Format(time.RFC3339), how)
}

// remedy says what to do about it.
func (e Pending) remedy(p *plan.Plan) string {
	env := "ENV"
	if e.Environment != p.Environment {
		env = "ENV (it was begun in environment " + e.Environment + ")"
	}
	switch e.State {
	case Prepared:
		return "if no rotation is under way, `victorgen rotate " + env + " --abort` takes it back"
	case Told:
		return "`victorgen rotate " + env + " --resume` makes it current; `--abort -- COMMAND` tells the other side the old one, and takes the new one back"
	}
	return "`victorgen rotate " + env + " --resume -- COMMAND` tells it (again), and makes the new one current; `--abort -- COMMAND` tells it the old one, and takes the new one back"
}

// failed says why something can't be done at a source.
func (t *telling) failed(src plan.Source, what string, err error) {
	if own, ok := errors.AsType[plan.Diagnostics](err); ok {
		t.ds = append(t.ds, own...)
		return
	}
	code := codeOf(err, plan.CodeSourceWrite)
	if errors.Is(err, error(errOvertaken)) {
		code = plan.CodePending
	}
	t.ds.Errorf(code, src.Pos, remedyOf(err, ""), "%s source %s: %v", what, src, err)
}

// mark notes at all sources how far t is, where no one else has taken its place.
func (t *telling) mark(ctx context.Context, state State) (plan.Source, error) {
	for _, name := range t.at {
		src, _ := t.plan.Source(name)
		e, found, err := entry(ctx, t.sources[name], src)
		if err == nil && (!found || e.id != t.pending.id) {
			err = errOvertaken
		}
		if err == nil && e.State != state {
			err = t.put(ctx, src, pendingRef(src), t.entryFor(name, state).text())
		}
		if err != nil {
			return src, err
		}
	}
	t.pending.State = state
	return plan.Source{}, nil
}

// tell tells the other side, swapped of the old values, and notes that it has been told.
func (t *telling) tell(ctx context.Context, tell Tell, swapped bool) bool {
	var told []Changed
	for _, c := range t.all() {
		old, now := value.Decode(c.input, c.old), value.Decode(c.input, c.new)
		if swapped {
			old, now = now, old
		}
		told = append(told, Changed{c.input, old, now})
	}
	state := Told
	if swapped {
		state = Prepared
	}
	if !t.o.Told {
		err := tell(ctx, told)
		if errors.Is(err, ErrNotBegun) && t.pending.State == Started && !swapped && t.fresh() {
			t.ds.Errorf(plan.CodeNotTold, nil, "", "%v; the other side was not told, and the new values are dropped", err)
			t.limited(context.WithoutCancel(ctx), func(ctx context.Context) {
				if src, err := t.mark(ctx, Prepared); err != nil {
					t.failed(src, "what is pending can't be taken back at", err)
					return
				}
				t.takeBack(ctx)
			})
			return false
		}
		if err != nil {
			e := t.entryFor(t.at[0], t.pending.State)
			e.Inputs = t.order
			t.ds.Errorf(plan.CodeNotTold, nil, e.remedy(t.plan), "%v: whether the other side knows is not known, so the new value of %s stays pending", err, plan.And(t.order))
			return false
		}
	}
	// Someone who interrupts it now does not undo what has been told.
	noted := false
	t.limited(context.WithoutCancel(ctx), func(ctx context.Context) {
		src, err := t.mark(ctx, state)
		if noted = err == nil; !noted {
			t.failed(src, "the other side has been told, which can't be noted at", err)
		}
	})
	return noted
}

// fresh reports whether t was begun by this call, so that no one has been told before.
func (t *telling) fresh() bool { return t.pending.Since.Equal(t.began) }

// promote makes the new values current, and reports whether all are.
func (t *telling) promote(ctx context.Context) bool {
	for _, c := range t.all() {
		src, _ := t.plan.Source(c.input.Source)
		a := Read(ctx, t.sources[src.Name], []Ref{refOf(c.input)})[0]
		stuck := func(err error) bool {
			t.failed(src, "the other side has the new value of "+c.input.Name+", which is pending still (`victorgen rotate ENV --resume` makes it current): it can't be written to", err)
			return false
		}
		switch {
		case a.Err != nil && !errors.Is(a.Err, ErrAbsent):
			return stuck(a.Err)
		case a.Err == nil && a.Value.Equal(c.new):
			t.set[c.input.Name] = value.Resolved{State: value.Present, Value: c.new, Origin: a.Origin, Changed: a.Changed, Generated: true}
			continue
		case a.Err == nil && !a.Value.Equal(c.old) && len(c.input.Parents()) == 0:
			t.ds.Errorf(plan.CodePending, c.input.Pos, "`victorgen rotate ENV --abort -- COMMAND` tells the other side the current one, which is kept",
				"%s has a third value (%s), which is neither the old one nor the pending one that the other side has", c.input.Name, a.Origin)
			return false
		case a.Err == nil:
			t.set[c.input.Name] = value.Resolved{State: value.Present, Value: a.Value, Origin: a.Origin}
		}
		a, err := t.write(ctx, c.input, c.new, true)
		if err != nil {
			return stuck(err)
		}
		t.written(ctx, c.input, c.new, a, nil)
		if len(c.input.Parents()) > 0 {
			made := t.set[c.input.Name]
			made.Why = "was made from what is rotated"
			t.set[c.input.Name] = made
		}
	}
	return true
}

// takeBack makes the old values current where new ones are, and forgets the new ones.
// It reports whether it has. All of it is noted as prepared, or was never more.
func (t *telling) takeBack(ctx context.Context) bool {
	for _, c := range t.all() {
		if c.old.Len() == 0 || t.sources[c.input.Source] == nil {
			continue
		}
		src, _ := t.plan.Source(c.input.Source)
		a := Read(ctx, t.sources[src.Name], []Ref{refOf(c.input)})[0]
		if a.Err != nil && !errors.Is(a.Err, ErrAbsent) {
			t.failed(src, "the old value of "+c.input.Name+" can't be confirmed at", a.Err)
			return false
		}
		if a.Err == nil && !a.Value.Equal(c.new) {
			continue // it is there still, or a third one is
		}
		if _, err := t.write(ctx, c.input, c.old, true); err != nil {
			t.failed(src, "the old value of "+c.input.Name+" can't be written back to", err)
			return false
		}
	}
	return t.clear(ctx)
}

// clear removes what was pending: the values first, for what is said of them tells what
// has become of them.
func (t *telling) clear(ctx context.Context) bool {
	for _, ref := range []func(plan.Source) Ref{valuesRef, pendingRef} {
		for _, name := range t.at {
			src, _ := t.plan.Source(name)
			if err := t.drop(ctx, src, ref(src)); err != nil {
				t.failed(src, "all is done, but what was pending can't be removed (`victorgen rotate ENV --resume` does it) from", err)
				return false
			}
		}
	}
	return true
}

// gather reads the values of a rotation that is pending.
func (t *telling) gather(ctx context.Context, entries []Pending, back bool) {
	t.pending, t.names = entries[0], map[string][]string{}
	for _, e := range entries {
		switch {
		case e.State == Prepared, e.State == Told && t.pending.State == Started:
			t.pending.State = e.State
		}
	}
	var inputs []plan.Input
	found := map[string]change{}
	for _, e := range entries {
		src, _ := t.plan.Source(e.Source)
		t.names[e.Source] = e.Inputs
		a := Read(ctx, t.sources[e.Source], []Ref{valuesRef(src)})[0]
		if a.Err != nil && !errors.Is(a.Err, ErrAbsent) {
			t.failed(src, "what is pending can't be read from", a.Err)
			return
		}
		id, changes, ok := parseValues(a.Value.Reveal())
		if a.Err != nil || !ok || id != e.id {
			// They come after prepared. When they go, all is done but for the entry.
			t.gone = true
			if t.pending.State == Started && !(t.o.Told && back) {
				t.ds.Errorf(plan.CodePending, src.Pos, "find out what the other side has, store it with `victorgen set --replace`, then `victorgen rotate ENV --abort --told`",
					"%s, and they are no longer at the source", e.sentence(src))
			}
			continue
		}
		for _, c := range changes {
			in, ok := t.plan.Input(c.input.Name)
			if !ok || in.Source != e.Source {
				t.ds.Errorf(plan.CodePending, src.Pos, "do it in environment "+e.Environment+", where it was begun", "%s is pending at source %s, and is not an input there in this environment", c.input.Name, src)
				return
			}
			found[in.Name] = change{in, c.old, c.new}
			inputs = append(inputs, in)
		}
	}
	t.arrange(inputs, func(in plan.Input) change { return found[in.Name] })
	for _, e := range entries {
		if _, ok := t.changes[e.Source]; !ok { // its values are gone already
			t.at = append(t.at, e.Source)
		}
	}
	slices.Sort(t.at)
}

// entries returns what is pending at the sources of p. Of a source that can't be asked,
// or is not what victorgen writes, nothing is known; nor of one of whose generated
// inputs all are in unread, because nothing is read there.
func entries(ctx context.Context, p *plan.Plan, sources map[string]Source, unread map[string]bool, o Options) (all []Pending, problems map[string]error) {
	r := newResolution(p, sources, nil)
	t := &telling{resolution: r, o: o}
	var asked []plan.Source
	for _, src := range p.Sources {
		if _, ok := sources[src.Name].(Writer); ok && slices.ContainsFunc(p.Inputs, func(in plan.Input) bool {
			return in.Source == src.Name && in.Class == plan.Generated && !inCluster(in) && in.Name != plan.LockKey && !unread[in.Name]
		}) {
			asked = append(asked, src)
		}
	}
	entries, found, errs := make([]Pending, len(asked)), make([]bool, len(asked)), make([]error, len(asked))
	t.limited(ctx, func(ctx context.Context) {
		var g crash.Group
		for i, src := range asked {
			g.Go(func() { entries[i], found[i], errs[i] = entry(ctx, sources[src.Name], src) })
		}
		g.Wait()
	})
	problems = map[string]error{}
	for i, src := range asked {
		if errs[i] != nil {
			problems[src.Name] = errs[i]
		}
		if found[i] {
			all = append(all, entries[i])
		}
	}
	return all, problems
}

// WarnPending warns of what is pending at the sources of p, if something next to the
// inputs in unread is read there: who may only tell what there is would be refused. A
// source that can't be asked has nothing to say: what needs it says so.
func WarnPending(ctx context.Context, p *plan.Plan, sources map[string]Source, unread map[string]bool, o Options) (ds plan.Diagnostics) {
	all, _ := entries(ctx, p, sources, unread, o)
	for _, e := range all {
		src, _ := p.Source(e.Source)
		ds.Warnf(plan.CodePending, src.Pos, e.remedy(p), "%s", e.sentence(src))
	}
	return ds
}

// free reports whether none of inputs, whose values are to be replaced, is pending. What
// has been left before anyone was told is taken back.
func (r *resolution) free(ctx context.Context, inputs []plan.Input, o Options) bool {
	var names []string
	var at []string
	for _, in := range inputs {
		names = append(names, in.Name)
		if _, ok := r.sources[in.Source].(Writer); ok && !slices.Contains(at, in.Source) {
			at = append(at, in.Source)
		}
	}
	t := &telling{resolution: r, o: o}
	for _, name := range at {
		src, _ := r.plan.Source(name)
		if !t.freed(ctx, src, names) {
			return false
		}
	}
	return true
}

// Resume finishes what is pending at the sources of p: it tells the other side, where
// that may not have been told, and makes the new values current. What no one has been
// told of is taken back.
func Resume(ctx context.Context, p *plan.Plan, sources map[string]Source, tell Tell, o Options) ([]Ended, value.Set, plan.Diagnostics) {
	return end(ctx, p, sources, tell, false, o)
}

// Abort takes back what is pending at the sources of p: it tells the other side the old
// values, where that may have been told the new ones, and makes them current.
func Abort(ctx context.Context, p *plan.Plan, sources map[string]Source, tell Tell, o Options) ([]Ended, value.Set, plan.Diagnostics) {
	return end(ctx, p, sources, tell, true, o)
}

func end(ctx context.Context, p *plan.Plan, sources map[string]Source, tell Tell, back bool, o Options) (ended []Ended, set value.Set, ds plan.Diagnostics) {
	all, problems := entries(ctx, p, sources, nil, o)
	set = value.Set{}
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		src, _ := p.Source(name)
		t := &telling{resolution: newResolution(p, sources, nil)}
		t.failed(src, "whether something is pending is not known for", problems[name])
		ds = append(ds, t.ds...)
	}
	if ds.HasErrors() {
		return nil, set, ds // it might be the other half
	}
	rotations := map[string][]Pending{}
	for _, e := range all {
		rotations[e.id] = append(rotations[e.id], e)
	}
	for _, id := range slices.Sorted(maps.Keys(rotations)) {
		t := &telling{resolution: newResolution(p, sources, nil), o: o, changes: map[string][]change{}}
		t.replace = true
		done, ok := t.end(ctx, rotations[id], tell, back)
		more, said := t.result()
		ds = append(ds, said...)
		if ok {
			ended = append(ended, done)
			maps.Copy(set, more)
		}
	}
	ds.Sort()
	return ended, set, ds
}

// end ends one rotation, and reports whether it has.
func (t *telling) end(ctx context.Context, entries []Pending, tell Tell, back bool) (done Ended, ok bool) {
	t.limited(ctx, func(ctx context.Context) { t.gather(ctx, entries, back) })
	back = back && !(t.gone && t.pending.State == Told) // it is finished
	if t.ds.HasErrors() {
		return done, false
	}
	done = Ended{Pending: t.pending}
	done.Source, done.Inputs = "", nil
	for _, e := range entries {
		done.Inputs = append(done.Inputs, e.Inputs...)
	}
	takeBack := func() (Ended, bool) {
		done.TakenBack = true
		t.limited(ctx, func(ctx context.Context) { ok = t.takeBack(ctx) })
		return done, ok
	}
	src, _ := t.plan.Source(entries[0].Source)
	say := entries[0]
	say.State, say.Inputs = t.pending.State, done.Inputs
	switch {
	case t.pending.State == Prepared:
		if src, err := t.markAll(ctx, Prepared); err != nil { // at those of which the last ones were not yet
			t.failed(src, "what is pending can't be taken back at", err)
			return done, false
		}
		return takeBack()
	case !back && t.pending.State == Told: // no one must be told
	case tell == nil && !t.o.Told:
		t.occupied(src, say)
		return done, false
	}
	if back {
		if !t.current(ctx) {
			return done, false
		}
		if t.pending.State == Told && !t.o.Told { // until the command has ended
			if src, err := t.markAll(ctx, Started); err != nil {
				t.failed(src, "what is pending can't be taken back at", err)
				return done, false
			}
		}
	}
	if (back || t.pending.State != Told) && !t.tell(ctx, tell, back) {
		return done, false
	}
	if back {
		return takeBack()
	}
	t.limited(ctx, func(ctx context.Context) { ok = t.promote(ctx) && t.clear(ctx) })
	return done, ok
}

func (t *telling) markAll(ctx context.Context, state State) (src plan.Source, err error) {
	t.limited(ctx, func(ctx context.Context) { src, err = t.mark(ctx, state) })
	return src, err
}

// current takes a third value, that someone has stored meanwhile, for the old one: it
// is what the other side is to be told.
func (t *telling) current(ctx context.Context) (ok bool) {
	t.limited(ctx, func(ctx context.Context) {
		for name, changes := range t.changes {
			src, _ := t.plan.Source(name)
			for i, c := range changes {
				a := Read(ctx, t.sources[name], []Ref{refOf(c.input)})[0]
				if a.Err != nil && !errors.Is(a.Err, ErrAbsent) {
					t.failed(src, "the current value of "+c.input.Name+" can't be read from", a.Err)
					return
				}
				if a.Err == nil && !a.Value.Equal(c.new) && c.old.Len() > 0 {
					changes[i].old = a.Value
				}
			}
		}
		ok = true
	})
	return ok
}
