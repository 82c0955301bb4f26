package exec

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/internal/crash"
)

// Verdict is what came of one check of a program.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "ok"
	Wrong   Verdict = "FAIL"
	Skipped Verdict = "not supported" // the program does not say that it can do it
)

// Check is one check of a program, with what came of it.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`
	Remedy  string  `json:"remedy,omitempty"`
}

// CheckOptions say what may be checked.
type CheckOptions struct {
	// Tree is the working tree that no program of PATH may lie in.
	Tree string
	// Prefix stands before the names that are made up.
	Prefix string
	// Present is a name that has a value; empty is not known. What can't create is
	// read by it.
	Present string
	// Timeout bounds each run.
	Timeout time.Duration
	// Tell is called with each check as it ends; nil is not.
	Tell func(Check)
}

// Conform checks whether a program keeps to the protocol. What it stores stays there,
// under names that begin with the prefix and end with a random part: left are these.
func Conform(ctx context.Context, command []string, o CheckOptions) (checks []Check, left []string) {
	c := &conformance{Source: New(command, o.Tree), ctx: ctx, options: o, run: random12()}
	for _, check := range []struct {
		name string
		// needs are the methods without which it is not supported.
		needs []string
		do    func() (why, remedy string)
	}{
		{"greets", nil, c.greets},
		{"exits when its input ends", nil, c.ends},
		{"a value that does not exist is absent", []string{MethodRead}, c.absent},
		{"answers in the order of the request", []string{MethodRead}, c.order},
		{"reads what is there", []string{MethodRead}, c.present},
		{"creates, and answers with what is there", []string{MethodRead, MethodCreate}, c.create},
		{"creates nothing over what is there", []string{MethodRead, MethodCreate}, c.createOver},
		{"if two create at once, both get the same value", []string{MethodRead, MethodCreate}, c.race},
		{"replaces", []string{MethodRead, MethodReplace}, c.replace},
		{"keeps lines, quotes and letters of all scripts", []string{MethodRead, MethodReplace}, c.texts},
		{"keeps bytes that are not text, or refuses them", []string{MethodRead, MethodReplace}, c.bytes},
		{"keeps a value of 64 KiB, or refuses it", []string{MethodRead, MethodReplace}, c.large},
		{"proves without a value", []string{MethodProve, MethodCreate}, c.prove},
		{"lists what it has", []string{MethodList, MethodCreate}, c.list},
		{"shows no value on its standard error", []string{MethodRead}, c.quiet},
	} {
		if ctx.Err() != nil {
			break
		}
		result := Check{Name: check.name, Verdict: Passed}
		lacks := slices.DeleteFunc(slices.Clone(check.needs), func(m string) bool { return slices.Contains(c.can, m) })
		if c.broken != "" {
			result.Verdict, result.Why = Skipped, c.broken
		} else if len(lacks) > 0 {
			result.Verdict, result.Why = Skipped, "it can't "+strings.Join(lacks, ", nor ")
		} else if result.Why, result.Remedy = check.do(); result.Remedy == skip {
			result.Verdict, result.Remedy = Skipped, ""
		} else if result.Why != "" {
			result.Verdict = Wrong
		} else {
			result.Remedy = ""
		}
		checks = append(checks, result)
		if o.Tell != nil {
			o.Tell(result)
		}
	}
	return checks, c.left
}

// skip is the remedy of what is not supported.
const skip = "\x00"

// conformance is one call of Conform.
type conformance struct {
	*Source
	ctx     context.Context
	options CheckOptions
	run     string // in the names of this call
	can     []string
	broken  string // why nothing else is tried
	left    []string
	slow    string // what did not end in time
	loud    string // what said a value
}

func random12() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// text is a value that is found again wherever it shows up.
func (c *conformance) text(what string) []byte { return []byte("value-" + c.run + "-" + what) }

// name is a name that only this call knows.
func (c *conformance) name(what string) string { return c.options.Prefix + what + "-" + c.run }

// ask makes one request, and notes what it says of values and how it ends.
func (c *conformance) ask(method string, v []byte, names ...string) Run {
	ctx := c.ctx
	if c.options.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.options.Timeout)
		defer cancel()
	}
	request := Request{Method: method}
	for _, n := range names {
		request.Refs = append(request.Refs, Ref{Input: "TEST", Name: n, Binary: !isText(v)})
	}
	if v != nil {
		text := base64.StdEncoding.EncodeToString(v)
		request.Value = &text
	}
	run := c.Run(ctx, request)
	if run.Err == nil && run.Hung {
		c.slow = method
	}
	if strings.Contains(run.Stderr, "[...]") {
		c.loud = method
	}
	return run
}

func isText(b []byte) bool { return strings.ToValidUTF8(string(b), "\x00") == string(b) }

// stored makes a write, and notes the name.
func (c *conformance) stored(method string, v []byte, name string) (got []byte, run Run, why string) {
	run = c.ask(method, v, name)
	if run.Err == nil && !slices.Contains(c.left, name) {
		c.left = append(c.left, name)
	}
	got, why = c.value(run)
	if why == "" && method == MethodReplace && run.Response.Answers[0].Value == nil {
		got = v
	}
	return got, run, why
}

// value is that of the only answer.
func (c *conformance) value(run Run) (v []byte, why string) {
	if run.Err != nil {
		return nil, run.Err.Error()
	}
	a := run.Response.Answers[0]
	if a.State != Present {
		return nil, strings.TrimSuffix("it is "+a.State+": "+run.safe(a.Reason), ": ")
	}
	if a.Value == nil {
		return nil, ""
	}
	v, err := base64.StdEncoding.DecodeString(*a.Value)
	if err != nil {
		return nil, "the value is not valid base64"
	}
	return v, ""
}

func (c *conformance) greets() (why, remedy string) {
	run := c.ask(MethodRead, nil, c.name("none"))
	c.can = run.Greeting.Can
	if run.Greeting.Protocol == Protocol {
		for _, m := range c.can {
			if !slices.Contains(Methods, m) {
				return fmt.Sprintf("it says that it can %s, which is not a method", plain(m)), "name some of " + strings.Join(Methods, ", ")
			}
		}
		if len(c.can) == 0 {
			return "it says that it can do nothing", `name what it can, as in "can":["read"]`
		}
		return "", ""
	}
	c.broken = "it prints no greeting"
	return run.Err.Error(), `print {"protocol":1,"can":["read"]} and a line break before anything else, and flush it`
}

func (c *conformance) ends() (why, remedy string) {
	run := c.ask("no-such-method", nil) // it gets no request, but the end of its input
	if run.Hung || run.Err != nil && !run.Lacks {
		return "it does not exit: " + run.Err.Error(), "exit when standard input has no more lines"
	}
	c.ask(MethodRead, nil, c.name("none"))
	if c.slow != "" {
		c.broken = "it does not exit"
		return fmt.Sprintf("it was still running %v after its answer, and was killed", grace), "exit when standard input has no more lines, and leave nothing running"
	}
	return "", ""
}

func (c *conformance) absent() (why, remedy string) {
	run := c.ask(MethodRead, nil, c.name("none"))
	if run.Err != nil {
		return run.Err.Error(), ""
	}
	if a := run.Response.Answers[0]; a.State != Absent {
		return "for a name that was never used it answers " + a.State, `answer {"state":"absent"} if the service says that it does not exist; unreadable is for what could not be asked`
	}
	return "", ""
}

// known is a name that has a value, which may must be made.
func (c *conformance) known() (name string, why, remedy string) {
	if c.options.Present != "" {
		return c.options.Present, "", ""
	}
	if !slices.Contains(c.can, MethodCreate) {
		return "", "no name with a value is known: use --present NAME", skip
	}
	name = c.name("known")
	_, _, why = c.stored(MethodCreate, c.text("known"), name)
	return name, why, "answer create with the value that is there afterwards"
}

func (c *conformance) order() (why, remedy string) {
	name, why, remedy := c.known()
	if why != "" {
		return why, remedy
	}
	names := []string{c.name("none"), name, c.name("none-2"), name}
	for i := range 20 {
		names = append(names, c.name(fmt.Sprint("many-", i)))
	}
	run := c.ask(MethodRead, nil, names...)
	if run.Err != nil {
		return run.Err.Error(), "give one answer for each of refs"
	}
	for i, n := range names {
		if a := run.Response.Answers[i]; (a.State == Present) != (n == name) {
			return fmt.Sprintf("answer %d of %d is %s", i+1, len(names), a.State), "answer in the order of refs, and each name as often as it is asked for"
		}
	}
	return "", ""
}

func (c *conformance) present() (why, remedy string) {
	name, why, remedy := c.known()
	if why != "" {
		return why, remedy
	}
	v, why := c.value(c.ask(MethodRead, nil, name))
	switch {
	case why != "":
		return why, ""
	case len(v) == 0:
		return "it gives no value", "put it into value, in base64"
	case c.options.Present == "" && !bytes.Equal(v, c.text("known")):
		return c.other(v, c.text("known")), "give the bytes as they were stored"
	}
	return "", ""
}

// other says how a value differs from what was stored.
func (c *conformance) other(got, want []byte) string {
	switch {
	case len(got) == 0:
		return "it gives no value"
	case bytes.Equal(bytes.TrimRight(got, "\r\n"), bytes.TrimRight(want, "\r\n")):
		return "a line break at the end is added or lost"
	case bytes.Equal(got, []byte(base64.StdEncoding.EncodeToString(want))):
		return "the value is in base64 twice"
	}
	return fmt.Sprintf("%d bytes of another value come back, of %d", len(got), len(want))
}

func (c *conformance) create() (why, remedy string) {
	v := c.text("created")
	return c.holds(MethodCreate, c.name("created"), v, v)
}

// holds writes v, and demands that want is there then.
func (c *conformance) holds(method, name string, v, want []byte) (why, remedy string) {
	got, _, why := c.stored(method, v, name)
	switch {
	case why != "":
		return why, ""
	case !bytes.Equal(got, want):
		return method + " answers wrongly: " + c.other(got, want), "answer with the value that is there afterwards"
	}
	got, why = c.value(c.ask(MethodRead, nil, name))
	if why == "" && !bytes.Equal(got, want) {
		why = "read after " + method + ": " + c.other(got, want)
	}
	return why, "store the bytes as they are, and return when they would survive a crash"
}

func (c *conformance) createOver() (why, remedy string) {
	name := c.name("created")
	if why, remedy := c.holds(MethodCreate, name, c.text("created"), c.text("created")); why != "" {
		return why, remedy
	}
	why, _ = c.holds(MethodCreate, name, c.text("another"), c.text("created"))
	return why, "create keeps a value that is there, and answers with it"
}

func (c *conformance) race() (why, remedy string) {
	name := c.name("race")
	var g crash.Group
	got, whys := make([][]byte, 4), make([]string, 4)
	for i := range got {
		g.Go(func() {
			other := *c // what it notes is not shared
			other.left = nil
			got[i], _, whys[i] = other.stored(MethodCreate, c.text(fmt.Sprint("race-", i)), name)
		})
	}
	g.Wait()
	c.left = append(c.left, name)
	for i := range got {
		if whys[i] != "" {
			return whys[i], "if several create at once, let one win, and answer all with its value"
		}
		if !bytes.Equal(got[i], got[0]) {
			return "they get different values", "create on the condition that it does not exist, and then read what is there; or take a lock"
		}
	}
	return "", ""
}

func (c *conformance) replace() (why, remedy string) {
	name := c.name("replaced")
	if why, remedy := c.holds(MethodReplace, name, c.text("first"), c.text("first")); why != "" {
		return why, cmp.Or(remedy, "replace stores a value that is new, too")
	}
	return c.holds(MethodReplace, name, c.text("second"), c.text("second"))
}

func (c *conformance) texts() (why, remedy string) {
	v := []byte("  " + c.run + " 'single' \"double\" $HOME `id` \\n {{.X}} äöü 東京\nsecond line\n\nlast, with a line break\n")
	return c.holds(MethodReplace, c.name("text"), v, v)
}

func (c *conformance) bytes() (why, remedy string) {
	v := append([]byte{0, 0xff, 0xfe, '\n', 0}, c.text("bytes")...)
	return c.heldOrRefused(c.name("bytes"), v)
}

func (c *conformance) large() (why, remedy string) {
	return c.heldOrRefused(c.name("large"), bytes.Repeat([]byte("0123456789abcdef"), 4096))
}

// heldOrRefused accepts that what can't be stored is refused, if it is not stored then.
func (c *conformance) heldOrRefused(name string, v []byte) (why, remedy string) {
	run := c.ask(MethodReplace, v, name)
	if run.Err != nil {
		return run.Err.Error(), "refuse what can't be stored by an answer: failed, with a reason"
	}
	if a := run.Response.Answers[0]; a.State == Failed {
		if got, _ := c.value(c.ask(MethodRead, nil, name)); len(got) > 0 {
			return "it refuses the value, and has stored something", "store nothing that is not complete"
		}
		return "", ""
	}
	c.left = append(c.left, name)
	return c.holds(MethodReplace, name, v, v)
}

func (c *conformance) prove() (why, remedy string) {
	name, why, remedy := c.known()
	if why != "" {
		return why, remedy
	}
	run := c.ask(MethodProve, nil, name, c.name("none"))
	if run.Err != nil {
		return run.Err.Error(), ""
	}
	a, none := run.Response.Answers[0], run.Response.Answers[1]
	switch {
	case a.State != Present:
		return "what is there is " + a.State, ""
	case a.Value != nil:
		return "it gives the value", "leave out value: a caller that proves may have no right to it"
	case none.State != Absent:
		return "what is not there is " + none.State, ""
	}
	return "", ""
}

func (c *conformance) list() (why, remedy string) {
	name, why, remedy := c.known()
	if why != "" {
		return why, remedy
	}
	run := c.ask(MethodList, nil)
	if run.Err != nil {
		return run.Err.Error(), ""
	}
	if !slices.ContainsFunc(run.Response.Names, func(l Listed) bool { return l.Name == name }) {
		return "a name that has a value is not among those that it lists", "list names as refs have them"
	}
	return "", ""
}

func (c *conformance) quiet() (why, remedy string) {
	if c.loud != "" {
		return "it prints a value, or what looks like one, on its standard error (" + c.loud + ")", "print none there: it may be shown and logged"
	}
	return "", ""
}
