package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// historian returns the source, if it has what was there before.
func (c *checker) historian() source.Historian {
	c.Helper()
	h, ok := c.Open().(source.Historian)
	if ok == c.Forgetful {
		c.Fatalf("is it a source.Historian? %v", ok)
	}
	if !ok {
		c.Skip("the source has no previous values, by its nature")
	}
	return h
}

// replaceBy replaces a value, so that a source that keeps no versions keeps it.
func (c *checker) replaceBy(input, v string) {
	c.Helper()
	w := c.writer()
	put := w.Replace
	if k, ok := w.(source.Keeper); ok {
		put = func(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
			return k.Supersede(ctx, ref, v, time.Now().Truncate(time.Second))
		}
	}
	c.put = append(c.put, v)
	time.Sleep(c.Second)
	a, err := put(c.Context(), c.ref(input), value.New([]byte(v)))
	if err != nil {
		c.Fatalf("%v%s", err, remedy(err))
	}
	c.present(input, a, []byte(v))
	c.present(input, source.Read(c.Context(), c.Open(), c.refs(input))[0], []byte(v))
}

// before checks that want was there before the current value, or nothing.
func (c *checker) before(input, want string) source.Answer {
	c.Helper()
	a := c.Open().(source.Historian).Previous(c.Context(), c.refs(input), true)[0]
	if want == "" {
		if !errors.Is(a.Err, source.ErrAbsent) || a.Value.Len() > 0 {
			c.Errorf("the previous value of %s is not absent: %v%s", input, a.Err, remedy(a.Err))
		}
		return a
	}
	c.present(input+" before", a, []byte(want))
	if age := time.Since(a.Changed); age > time.Hour || age < -time.Hour {
		c.Errorf("%s was replaced %v", input, a.Changed)
	}
	return a
}

// previous: the last value that was another, and none before there was one.
func (c *checker) previous() {
	h := c.historian()
	names := c.fill(3)
	if got := h.Previous(c.Context(), nil, true); len(got) > 0 {
		c.Errorf("no refs have %d answers", len(got))
	}
	for _, input := range append(names, "NOT_THERE") {
		c.before(input, "")
	}
	if c.ReadOnly {
		return
	}
	c.replaceBy(names[1], "c4nary-second")
	c.before(names[1], string(secret(names[1])))
	c.replaceBy(names[1], "c4nary-third")
	c.before(names[1], "c4nary-second")
	if !c.OneBack { // the same again is no rotation
		c.replaceBy(names[1], "c4nary-third")
		c.before(names[1], "c4nary-second")
	}
	c.before(names[0], "")
	// In the order of the question, whatever else is asked.
	for i, a := range c.Open().(source.Historian).Previous(c.Context(), c.refs(names[2], names[1], "NOT_THERE", names[0]), true) {
		if i == 1 {
			c.present(names[1]+" before", a, []byte("c4nary-second"))
		} else if !errors.Is(a.Err, source.ErrAbsent) {
			c.Errorf("answer %d: %v", i, a.Err)
		}
	}
	// One that is created has none before it, and then one.
	if _, err := c.writer().Create(c.Context(), c.ref("NEW"), value.New([]byte("c4nary-new-1"))); err != nil {
		c.Fatalf("%v%s", err, remedy(err))
	}
	c.before("NEW", "")
	c.replaceBy("NEW", "c4nary-new-2")
	c.before("NEW", "c4nary-new-1")
}

// previousUnread: without values the same is told, or that it can't be; and no
// value is read.
func (c *checker) previousUnread() {
	c.historian()
	names := c.fill(2)
	if !c.ReadOnly {
		c.replaceBy(names[1], "c4nary-second")
	}
	before := 0
	if w := c.Wire; w != nil && w.Calls != nil {
		before = w.Calls()
	}
	answers := c.Open().(source.Historian).Previous(c.Context(), c.refs(names...), false)
	for i, a := range answers {
		switch {
		case a.Value.Len() > 0:
			c.Errorf("%s: a value", names[i])
		case errors.Is(a.Err, source.ErrUnreadable):
			c.failed(names[i], a.Err)
		case i == 0 || c.ReadOnly:
			c.absent(names[i], a)
			if a.Err == nil {
				c.Errorf("%s: a previous value", names[i])
			}
		case a.Err != nil || a.Changed.IsZero():
			c.Errorf("%s: %v, replaced %v", names[i], a.Err, a.Changed)
		}
	}
	if w := c.Wire; w != nil && w.Calls != nil && w.Calls() > before {
		c.Errorf("%d calls have read values", w.Calls()-before)
	}
}

// previousDenied: what can't be read is not taken for absent.
func (c *checker) previousDenied() {
	c.historian()
	w := c.needs(func(w *Wire) bool { return w.Deny != nil })
	names := c.fill(2)
	if !c.ReadOnly {
		c.replaceBy(names[0], "c4nary-second")
		c.replaceBy(names[1], "c4nary-second")
	}
	w.Deny(names[0])
	answers := c.Open().(source.Historian).Previous(c.Context(), c.refs(names...), true)
	c.unreadable(names[0], answers[0])
	if !c.ReadOnly {
		c.present(names[1], answers[1], secret(names[1]))
	}
}

// keeper returns the source, if it keeps previous values itself.
func (c *checker) keeper() source.Keeper {
	c.Helper()
	c.historian()
	k, ok := c.Open().(source.Keeper)
	if !ok {
		c.Skip("the source keeps versions, which are never removed")
	}
	return k
}

// kept: what is kept goes when it is asked to, alone, and only what is meant.
func (c *checker) kept() {
	k := c.keeper()
	names := c.fill(3)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, input := range names[:2] {
		if _, err := k.Supersede(c.Context(), c.ref(input), value.New([]byte("c4nary-second-"+input)), at); err != nil {
			c.Fatalf("%v%s", err, remedy(err))
		}
		a := k.Previous(c.Context(), c.refs(input), true)[0]
		c.present(input, a, secret(input))
		if !a.Changed.Equal(at) {
			c.Errorf("%s was replaced at %v, not %v", input, a.Changed, at)
		}
	}
	for _, forget := range []struct {
		input string
		at    time.Time
		left  string
	}{
		{names[0], at.Add(time.Second), string(secret(names[0]))}, // someone has rotated it since
		{names[2], at, ""}, // there is none
		{"NOT_THERE", at, ""},
		{names[0], at, ""},
		{names[0], at, ""},
	} {
		if err := k.Forget(c.Context(), c.ref(forget.input), forget.at); err != nil {
			c.Errorf("forget %s: %v%s", forget.input, err, remedy(err))
		}
		if a := k.Previous(c.Context(), c.refs(forget.input), true)[0]; forget.left == "" && !errors.Is(a.Err, source.ErrAbsent) || string(a.Value.Reveal()) != forget.left {
			c.Errorf("forget %s at %v: %v", forget.input, forget.at, a.Err)
		}
	}
	c.present(names[0], source.Read(c.Context(), c.Open(), c.refs(names[0]))[0], []byte("c4nary-second-"+names[0]))
	c.present(names[1], k.Previous(c.Context(), c.refs(names[1]), true)[0], secret(names[1]))
	c.present(names[2], source.Read(c.Context(), c.Open(), c.refs(names[2]))[0], secret(names[2]))
	// What is not what was written is no value.
	stands := func(text string) {
		c.Helper()
		if _, err := k.Replace(c.Context(), beside(c.ref(names[1])), value.New([]byte(text))); err != nil {
			c.Fatal(err)
		}
	}
	stands("c4nary-nonsense")
	c.failed(names[1], k.Previous(c.Context(), c.refs(names[1]), true)[0].Err)
	// Neither is what an interrupted rotation has kept, and not replaced.
	stands("2026-03-04T05:06:07Z c4nary-second-" + names[1])
	c.before(names[1], "")
	c.replaceBy(names[1], "c4nary-third")
	c.before(names[1], "c4nary-second-"+names[1])
	// Values of any shape survive it.
	for i, v := range []string{"two\nlines\n", " at the ends ", `{"a": "b"}`, "0123", "2026-01-01T00:00:00Z x"} {
		if c.Refuses != nil && c.Refuses([]byte(v)) {
			continue
		}
		input := fmt.Sprint("SHAPE_", i)
		c.hold(input, []byte(v))
		c.replaceBy(input, "c4nary-other")
		c.before(input, v)
	}
}

// keptInRace: of many rotations at once, each keeps what it has replaced.
func (c *checker) keptInRace() {
	c.keeper()
	c.hold("RACE", []byte("c4nary-race-first"))
	const rotations = 6
	var wg sync.WaitGroup
	for i := range rotations {
		k := c.Open().(source.Keeper)
		wg.Go(func() {
			if _, err := k.Supersede(c.Context(), c.ref("RACE"), value.New([]byte(fmt.Sprint("c4nary-race-", i))), time.Now()); err != nil {
				c.Errorf("%v%s", err, remedy(err))
			}
		})
	}
	wg.Wait()
	now := source.Read(c.Context(), c.Open(), c.refs("RACE"))[0]
	before := c.Open().(source.Historian).Previous(c.Context(), c.refs("RACE"), true)[0]
	if before.Err != nil || before.Value.Equal(now.Value) || string(before.Value.Reveal()) == "c4nary-race-first" {
		c.Errorf("after %d rotations: %v", rotations, before.Err)
	}
}

// beside is where a source.Keeper keeps the previous value of a ref.
func beside(ref source.Ref) source.Ref {
	r := &ref.Remote
	switch i := strings.LastIndex(r.Property, ".") + 1; {
	case r.Property != "":
		r.Property = r.Property[:i] + plan.PreviousPrefix + r.Property[i:]
	case r.Name != "":
		r.Name = plan.PreviousPrefix + r.Name
	}
	ref.Input = plan.PreviousPrefix + ref.Input
	return ref
}
