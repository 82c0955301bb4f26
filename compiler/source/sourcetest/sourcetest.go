// Package sourcetest is the suite of tests that every source passes, whatever
// its kind and whatever answers for it: a server in the test process that speaks
// the real protocol and fails at will, or a real program.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Store is the place where the source under test keeps its values, seen from
// behind. It is empty at first, and belongs to one test.
type Store struct {
	// Open returns a new source on the store, as another process would have.
	Open func() source.Source
	// Put lets the store hold v, as someone else would have put it there. It
	// ends the test if it can't.
	Put func(input string, v []byte)
	// Remote says where the input of that name is.
	Remote func(input string) plan.Remote
	// Batch is how many values a call reads, 0 if there are no calls to count.
	Batch int
	// Ages says that the source knows when a value changed.
	Ages bool
	// Bytes says that values need not be text.
	Bytes bool
	// Empty says that the store can hold an empty value.
	Empty bool
	// MaxValue is the size of the largest value that the store takes, in bytes,
	// or of the largest to try if it is Unlimited.
	MaxValue  int
	Unlimited bool
	// Refuses reports whether the store has no way to hold a value, so that
	// writing it is an error. Nil is none but those above MaxValue.
	Refuses func(v []byte) bool
	// ReadOnly says that the source is no source.Writer.
	ReadOnly bool
	// Forgetful says that the source is no source.Historian.
	Forgetful bool
	// OneBack says that the source looks back no further than one version.
	OneBack bool
	// Second is how long a second takes by the store's clock, if that tells which of
	// two versions is the older one.
	Second time.Duration
	// Quick opens a source that makes no process for each call, where Open does; nil is
	// Open.
	Quick func() source.Source
	// Slow says that it shall not be killed as often as others are.
	Slow bool
	// Exhaustive says that what ends a rotation is killed at each of its points, and
	// not at some. What is asked of a source then is the same for all that have
	// versions, and for all that keep previous values themselves: one of each is
	// enough, the quickest.
	Exhaustive bool
	// Wire is what can be made to go wrong, nil if nothing can.
	Wire *Wire
}

// Wire makes calls go wrong. A nil function is of what cannot happen there.
type Wire struct {
	// Calls is how many calls there were to read values. One that is tried again
	// counts once.
	Calls func() int
	// Throttle lets the next calls be refused as too many.
	Throttle func(calls int)
	// Deny lets no one read the value of an input. Its metadata can be read.
	Deny func(input string)
	// Forbid lets no one write.
	Forbid func()
	// Expire lets every call be refused because the login has expired.
	Expire func()
	// Hang lets no call be answered before its client goes away. What it
	// returns is closed when the first call has arrived.
	Hang func() (arrived <-chan struct{})
	// Down lets no one listen any longer.
	Down func()
	// Retire deletes the input's value so that it could be restored, or disables
	// it, whichever the service has.
	Retire func(input string)
}

// Run runs the suite. open makes a new store for a test.
func Run(t *testing.T, open func(t *testing.T) *Store) {
	for _, test := range []struct {
		name string
		run  func(*checker)
	}{
		{"read", (*checker).read},
		{"batches", (*checker).batches},
		{"values", (*checker).values},
		{"empty", (*checker).empty},
		{"prove", (*checker).prove},
		{"create", (*checker).create},
		{"replace", (*checker).replace},
		{"race", (*checker).race},
		{"too big", (*checker).tooBig},
		{"throttled", (*checker).throttled},
		{"throttled for long", (*checker).throttledForLong},
		{"partly denied", (*checker).partlyDenied},
		{"forbidden", (*checker).forbidden},
		{"expired", (*checker).expired},
		{"cancelled", (*checker).cancelled},
		{"deadline", (*checker).deadline},
		{"down", (*checker).down},
		{"retired", (*checker).retired},
		{"previous", (*checker).previous},
		{"previous, unread", (*checker).previousUnread},
		{"previous, denied", (*checker).previousDenied},
		{"kept", (*checker).kept},
		{"kept, in a race", (*checker).keptInRace},
		{"killed while it tells", (*checker).killedTelling},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&checker{T: t, Store: open(t)})
		})
	}
}

// checker is one test.
type checker struct {
	*testing.T
	*Store
	put []string // the values that errors must not show
}

// secret returns a value that is found again wherever it shows up.
func secret(input string) []byte { return []byte("c4nary-" + input + "-5f1d8e") }

func name(i int) string { return fmt.Sprintf("NAME_%03d", i) }

func (c *checker) ref(input string) source.Ref {
	return source.Ref{Input: input, Remote: c.Remote(input), Binary: strings.HasSuffix(input, Binary)}
}

// Binary is the input, and the end of the name of another, that is no text where
// the source holds bytes.
const Binary = "BYTES"

func (c *checker) refs(inputs ...string) []source.Ref {
	refs := make([]source.Ref, len(inputs))
	for i, input := range inputs {
		refs[i] = c.ref(input)
	}
	return refs
}

// fill puts n values into the store and returns their names.
func (c *checker) fill(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = name(i)
		c.hold(names[i], secret(names[i]))
	}
	return names
}

func (c *checker) hold(input string, v []byte) {
	c.Helper()
	c.put = append(c.put, string(v))
	c.Put(input, v)
}

// present checks that an answer is the value want.
func (c *checker) present(input string, a source.Answer, want []byte) {
	c.Helper()
	switch {
	case a.Err != nil:
		c.Errorf("%s: %v%s", input, a.Err, remedy(a.Err))
	case !bytes.Equal(a.Value.Reveal(), want):
		c.Errorf("%s: the answer is %d bytes of another value", input, a.Value.Len())
	case a.Origin == "":
		c.Errorf("%s: no origin", input)
	}
}

func (c *checker) absent(input string, a source.Answer) {
	c.Helper()
	if a.Err != nil && !errors.Is(a.Err, source.ErrAbsent) || a.Value.Len() > 0 {
		c.Errorf("%s is not absent: %v%s", input, a.Err, remedy(a.Err))
	}
}

// failed checks that err tells people what is wrong and what to do, and shows
// no value.
func (c *checker) failed(input string, err error) {
	c.Helper()
	var f *source.Failure
	switch {
	case err == nil || errors.Is(err, source.ErrAbsent):
		c.Errorf("%s: the answer is %v, no failure", input, err)
		return
	case !errors.As(err, &f):
		c.Errorf("%s: %v is no source.Failure", input, err)
		return
	case f.Reason == "" || f.Remedy == "":
		c.Errorf("%s: reason %q, remedy %q", input, f.Reason, f.Remedy)
	}
	said := fmt.Sprintf("%+v %#v", err, f)
	for _, v := range c.put {
		if len(v) > 4 && strings.Contains(said, v) {
			c.Errorf("%s: the error shows a value", input)
		}
	}
	c.Logf("%s: %s; hint: %s", input, f.Reason, f.Remedy)
}

// unreadable checks that nothing is known of an input, and why.
func (c *checker) unreadable(input string, a source.Answer) {
	c.Helper()
	c.failed(input, a.Err)
	if !errors.Is(a.Err, source.ErrUnreadable) || a.Value.Len() > 0 {
		c.Errorf("%s is not unreadable: %v", input, a.Err)
	}
}

func remedy(err error) string {
	var f *source.Failure
	if errors.As(err, &f) {
		return "; hint: " + f.Remedy
	}
	return ""
}

func (c *checker) writer() source.Writer {
	c.Helper()
	w, ok := c.Open().(source.Writer)
	if ok == c.ReadOnly {
		c.Fatalf("is it a source.Writer? %v", ok)
	}
	if !ok {
		c.Skip("the source can't be written, by its nature")
	}
	return w
}

// needs skips the test if what it needs cannot happen at this store.
func (c *checker) needs(wire func(*Wire) bool) *Wire {
	c.Helper()
	if c.Wire == nil || !wire(c.Wire) {
		c.Skip("nothing of the kind can go wrong with this store")
	}
	return c.Wire
}

// read: present and absent, in the order of the question, and once however
// often they are asked for.
func (c *checker) read() {
	names := c.fill(3)
	asked := []string{names[2], "NOT_THERE", names[0], names[2], names[1], names[0]}
	answers := source.Read(c.Context(), c.Open(), c.refs(asked...))
	if len(answers) != len(asked) {
		c.Fatalf("%d answers to %d refs", len(answers), len(asked))
	}
	for i, a := range answers {
		if asked[i] == "NOT_THERE" {
			c.absent(asked[i], a)
			continue
		}
		c.present(asked[i], a, secret(asked[i]))
		if age := time.Since(a.Changed); c.Ages && (age > time.Hour || age < -time.Hour) || !c.Ages && !a.Changed.IsZero() {
			c.Errorf("%s changed %v", asked[i], a.Changed)
		}
	}
	if w := c.Wire; w != nil && w.Calls != nil && c.Batch > 0 {
		if got, want := w.Calls(), (4+c.Batch-1)/c.Batch; got != want {
			c.Errorf("4 different names cost %d calls, not %d", got, want)
		}
	}
	if got := source.Read(c.Context(), c.Open(), nil); len(got) > 0 {
		c.Errorf("no refs have %d answers", len(got))
	}
}

// batches: more values than a call, or all calls that run at a time, can read.
func (c *checker) batches() {
	n := 2*max(c.Batch, 1)*source.Parallel + 1
	if c.Wire == nil {
		n = 2*c.Batch + 1 // a real program is slow to fill
	}
	names := c.fill(n)
	for i, a := range source.Read(c.Context(), c.Open(), c.refs(names...)) {
		c.present(names[i], a, secret(names[i]))
	}
	if w := c.Wire; w != nil && w.Calls != nil && c.Batch > 0 {
		if got, want := w.Calls(), (n+c.Batch-1)/c.Batch; got != want {
			c.Errorf("%d names cost %d calls, not %d", n, got, want)
		}
	}
}

// values: every byte of a value arrives, both ways.
func (c *checker) values() {
	values := map[string][]byte{
		"NEWLINES": []byte("one\ntwo\n\nthree\n"),
		"SPACES":   []byte("  spaces around\t"),
		"QUOTES":   []byte(`a"b'c\d$e${F}` + "`g` #h !i %j @k"),
		"UNICODE":  []byte("pässwörd ☃ 🔑"),
		"JSON":     []byte(`{"user": "u", "password": "p\"q", "n": 1.50}`),
		"NUMBER":   []byte("0123"),
		"BOOLEAN":  []byte("yes"),
		"NULL":     []byte("null"),
		"PEM":      []byte("-----BEGIN X-----\nAAAA\n-----END X-----\n"),
		"BIG":      bytes.Repeat([]byte("0123456789abcdef"), c.MaxValue/16),
	}
	if c.Bytes {
		values[Binary] = []byte{0xff, 0x00, 0xfe, '\n', 0x80, 0x01}
	}
	refused := map[string][]byte{}
	for input, v := range values {
		if c.Refuses != nil && c.Refuses(v) {
			refused[input] = v
			delete(values, input)
			continue
		}
		c.hold(input, v)
	}
	for input, v := range values {
		c.present(input, source.Read(c.Context(), c.Open(), c.refs(input))[0], v)
	}
	w := c.writer()
	for input, v := range refused {
		c.put = append(c.put, string(v))
		_, err := w.Create(c.Context(), c.ref("OUR_"+input), value.New(v))
		c.failed("OUR_"+input, err)
		c.absent("OUR_"+input, source.Read(c.Context(), c.Open(), c.refs("OUR_"+input))[0])
	}
	for input, v := range values {
		a, err := w.Create(c.Context(), c.ref("OUR_"+input), value.New(v))
		if err != nil {
			c.failed(input, err)
			c.Errorf("create %s: %v", input, err)
			continue
		}
		c.present("OUR_"+input, a, v)
		c.present("OUR_"+input, source.Read(c.Context(), c.Open(), c.refs("OUR_"+input))[0], v)
	}
}

// empty: an empty value is none, and is filled as such.
func (c *checker) empty() {
	if !c.Empty {
		c.Skip("the store can't hold an empty value")
	}
	c.Put("EMPTY", nil)
	c.absent("EMPTY", source.Read(c.Context(), c.Open(), c.refs("EMPTY"))[0])
	a, err := c.writer().Create(c.Context(), c.ref("EMPTY"), value.New(secret("EMPTY")))
	if err != nil {
		c.Fatal(err)
	}
	c.present("EMPTY", a, secret("EMPTY"))
	c.present("EMPTY", source.Read(c.Context(), c.Open(), c.refs("EMPTY"))[0], secret("EMPTY"))
}

// prove: what is there is told from what is not, without a right to read it.
func (c *checker) prove() {
	names := c.fill(2*c.Batch + 3)
	if w := c.Wire; w != nil && w.Deny != nil {
		w.Deny(names[1])
	}
	p, ok := c.Open().(source.Prover)
	if !ok {
		c.Fatal("the source is no source.Prover")
	}
	answers := source.Prove(c.Context(), p, c.refs(append([]string{"NOT_THERE", "NAME"}, names...)...))
	c.absent("NOT_THERE", answers[0])
	c.absent("NAME", answers[1]) // the beginning of the others
	for i, a := range answers[2:] {
		if a.Err != nil || a.Value.Len() > 0 || a.Origin == "" {
			c.Errorf("%s: %d bytes, origin %q, %v%s", names[i], a.Value.Len(), a.Origin, a.Err, remedy(a.Err))
		}
		if age := time.Since(a.Changed); c.Ages && (age > time.Hour || age < -time.Hour) || !c.Ages && !a.Changed.IsZero() {
			c.Errorf("%s changed %v", names[i], a.Changed)
		}
	}
	if w := c.Wire; w != nil && w.Calls != nil && w.Calls() > 0 {
		c.Errorf("%d calls have read values", w.Calls())
	}
}

// create: a value that is there stays.
func (c *checker) create() {
	w := c.writer()
	c.fill(1)
	ours := value.New([]byte("c4nary-ours-0a1b2c"))
	a, err := w.Create(c.Context(), c.ref(name(0)), ours)
	if err != nil {
		c.Fatalf("%v%s", err, remedy(err))
	}
	c.present(name(0), a, secret(name(0)))
	c.present(name(0), source.Read(c.Context(), c.Open(), c.refs(name(0)))[0], secret(name(0)))

	if a, err = w.Create(c.Context(), c.ref("NEW"), ours); err != nil {
		c.Fatalf("%v%s", err, remedy(err))
	}
	c.present("NEW", a, ours.Reveal())
	c.present("NEW", source.Read(c.Context(), c.Open(), c.refs("NEW"))[0], ours.Reveal())
}

// replace: a value that is there goes, and a missing one comes.
func (c *checker) replace() {
	w := c.writer()
	c.fill(2)
	for _, input := range []string{name(0), "NEW"} {
		for i := range 2 {
			v := []byte(fmt.Sprint("c4nary-", input, "-", i))
			a, err := w.Replace(c.Context(), c.ref(input), value.New(v))
			if err != nil {
				c.Fatalf("%v%s", err, remedy(err))
			}
			c.present(input, a, v)
			c.present(input, source.Read(c.Context(), c.Open(), c.refs(input))[0], v)
		}
	}
	c.present(name(1), source.Read(c.Context(), c.Open(), c.refs(name(1)))[0], secret(name(1)))
}

// race: of many that create the same at once, all use the value of one.
func (c *checker) race() {
	c.writer()
	const builds = 8
	inputs := []string{"RACE_A", "RACE_B"}
	answers := make([][]source.Answer, builds)
	var wg sync.WaitGroup
	for i := range builds {
		w := c.Open().(source.Writer)
		wg.Go(func() {
			for _, input := range inputs {
				a, err := w.Create(c.Context(), c.ref(input), value.New([]byte(fmt.Sprint("c4nary-", input, "-", i))))
				if err != nil {
					c.Errorf("build %d: %v%s", i, err, remedy(err))
				}
				answers[i] = append(answers[i], a)
			}
		})
	}
	wg.Wait()
	final := source.Read(c.Context(), c.Open(), c.refs(inputs...))
	for j, input := range inputs {
		if final[j].Value.Len() == 0 {
			c.Fatalf("%s: none has won: %v", input, final[j].Err)
		}
		for i := range answers {
			if !answers[i][j].Value.Equal(final[j].Value) {
				c.Errorf("build %d uses another %s than the source holds", i, input)
			}
		}
	}
}

// tooBig: what the store does not take is an error, and changes nothing.
func (c *checker) tooBig() {
	if c.Unlimited {
		c.Skip("the store has no limit that matters")
	}
	v := bytes.Repeat([]byte("c4nary-big-"), c.MaxValue/11+1)
	c.put = append(c.put, "c4nary-big-")
	_, err := c.writer().Create(c.Context(), c.ref("BIG"), value.New(v))
	c.failed("BIG", err)
	c.absent("BIG", source.Read(c.Context(), c.Open(), c.refs("BIG"))[0])
}

// throttled: calls that are too many are made again.
func (c *checker) throttled() {
	w := c.needs(func(w *Wire) bool { return w.Throttle != nil })
	names := c.fill(c.Batch + 1)
	w.Throttle(2)
	for i, a := range source.Read(c.Context(), c.Open(), c.refs(names...)) {
		c.present(names[i], a, secret(names[i]))
	}
	if c.ReadOnly {
		return
	}
	w.Throttle(1)
	if _, err := c.writer().Create(c.Context(), c.ref("NEW"), value.New(secret("NEW"))); err != nil {
		c.Errorf("create: %v", err)
	}
}

// throttledForLong: there is an end to that, and what is said of it is that, not
// that there was no answer.
func (c *checker) throttledForLong() {
	w := c.needs(func(w *Wire) bool { return w.Throttle != nil })
	names := c.fill(2)
	w.Throttle(1 << 20)
	asks := map[string]func(context.Context, []source.Ref) []source.Answer{
		"read": func(ctx context.Context, refs []source.Ref) []source.Answer { return source.Read(ctx, c.Open(), refs) },
	}
	if p, ok := c.Open().(source.Prover); ok {
		asks["prove"] = p.Prove
	}
	for how, ask := range asks {
		Patiently(func(within time.Duration) bool {
			ctx, cancel := context.WithTimeout(c.Context(), within)
			defer cancel()
			answers := ask(ctx, c.refs(names...))
			for _, a := range answers {
				if f, ok := errors.AsType[*source.Failure](a.Err); !ok || !strings.Contains(f.Reason, " throttles the calls") {
					return false
				}
			}
			for i, a := range answers {
				c.unreadable(names[i], a)
			}
			return true
		}, func() { c.Errorf("%s: it is not told that the service throttles the calls", how) })
	}
}

// Patiently calls try with a time that it takes to see that there is no end to
// something, and with more as long as it returns false: a machine with much to do
// answers nothing soon. Where no time is enough, it calls failed.
func Patiently(try func(within time.Duration) bool, failed func()) {
	for within := 300 * time.Millisecond; within < time.Minute; within *= 4 {
		if try(within) {
			return
		}
	}
	failed()
}

// partlyDenied: anyone who may not read one of many reads the others.
func (c *checker) partlyDenied() {
	w := c.needs(func(w *Wire) bool { return w.Deny != nil })
	names := c.fill(c.Batch + 2)
	denied := names[1]
	w.Deny(denied)
	for i, a := range source.Read(c.Context(), c.Open(), c.refs(names...)) {
		if names[i] == denied {
			c.unreadable(denied, a)
		} else {
			c.present(names[i], a, secret(names[i]))
		}
	}
	if c.ReadOnly {
		return
	}
	// What can't be read is not taken for absent by one who writes.
	_, err := c.writer().Create(c.Context(), c.ref(denied), value.New([]byte("c4nary-ours")))
	c.failed(denied, err)
}

// forbidden: one who may not write is told so.
func (c *checker) forbidden() {
	w := c.needs(func(w *Wire) bool { return w.Forbid != nil })
	s := c.writer()
	w.Forbid()
	for _, write := range []func(context.Context, source.Ref, value.Value) (source.Answer, error){s.Create, s.Replace} {
		c.put = []string{"c4nary-ours-3d4e5f"}
		_, err := write(c.Context(), c.ref("NEW"), value.New([]byte("c4nary-ours-3d4e5f")))
		c.failed("NEW", err)
	}
	c.absent("NEW", source.Read(c.Context(), c.Open(), c.refs("NEW"))[0])
}

// expired: anyone who is not logged in any longer is told so, of all inputs.
func (c *checker) expired() {
	w := c.needs(func(w *Wire) bool { return w.Expire != nil })
	names := c.fill(c.Batch + 2)
	w.Expire()
	for i, a := range source.Read(c.Context(), c.Open(), c.refs(append(names, "NOT_THERE")...)) {
		c.unreadable(append(names, "NOT_THERE")[i], a)
	}
	if p, ok := c.Open().(source.Prover); ok {
		c.unreadable(names[0], source.Prove(c.Context(), p, c.refs(names[0]))[0])
	}
	if c.ReadOnly {
		return
	}
	_, err := c.writer().Create(c.Context(), c.ref("NEW"), value.New(secret("NEW")))
	c.failed("NEW", err)
}

// cancelled: a read that no one waits for any longer ends.
func (c *checker) cancelled() {
	w := c.needs(func(w *Wire) bool { return w.Hang != nil })
	names := c.fill(2*max(c.Batch, 1)*source.Parallel + 1)
	arrived := w.Hang()
	ctx, cancel := context.WithCancel(c.Context())
	go func() {
		<-arrived
		cancel()
	}()
	for i, a := range source.Read(ctx, c.Open(), c.refs(names...)) {
		if !errors.Is(a.Err, source.ErrUnreadable) {
			c.Errorf("%s: %v", names[i], a.Err)
		}
	}
}

// deadline: a call that takes too long ends.
func (c *checker) deadline() {
	w := c.needs(func(w *Wire) bool { return w.Hang != nil })
	names := c.fill(3)
	w.Hang()
	ctx, cancel := context.WithTimeout(c.Context(), 100*time.Millisecond)
	defer cancel()
	for i, a := range source.Read(ctx, c.Open(), c.refs(names...)) {
		c.unreadable(names[i], a)
	}
	if !c.ReadOnly {
		_, err := c.writer().Create(ctx, c.ref("NEW"), value.New(secret("NEW")))
		c.failed("NEW", err)
	}
}

// down: a server that is not there is not the same as a value that is not.
func (c *checker) down() {
	w := c.needs(func(w *Wire) bool { return w.Down != nil })
	names := c.fill(2)
	s := c.Open()
	w.Down()
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	defer cancel()
	for i, a := range source.Read(ctx, s, c.refs(names...)) {
		c.unreadable(names[i], a)
	}
	if ctx.Err() != nil {
		c.Error("it was tried again and again until there was no time left")
	}
}

// retired: what was switched off on purpose is neither absent nor replaced.
func (c *checker) retired() {
	w := c.needs(func(w *Wire) bool { return w.Retire != nil })
	names := c.fill(3)
	w.Retire(names[1])
	for i, a := range source.Read(c.Context(), c.Open(), c.refs(names...)) {
		if i == 1 {
			c.failed(names[i], a.Err)
			if errors.Is(a.Err, source.ErrUnreadable) {
				c.Errorf("%s is unreadable, which a build would go on without: %v", names[i], a.Err)
			}
		} else {
			c.present(names[i], a, secret(names[i]))
		}
	}
	if c.ReadOnly {
		return
	}
	_, err := c.writer().Create(c.Context(), c.ref(names[1]), value.New([]byte("c4nary-ours")))
	c.failed(names[1], err)
}
