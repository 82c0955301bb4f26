// Package exec is the source of kind "exec": a program that the contract names, and that
// speaks JSON lines on its standard input and output. It lets a team keep its values
// where no kind of source reaches. docs/exec.md is the manual for those who write one.
//
// Each call runs the program once: it greets, gets one request and the end of its input,
// answers on one line, and ends. So nothing outlives a call, and a program that hangs,
// floods or dies harms that call alone.
package exec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/program"
)

// Protocol is the version of the protocol that this package speaks.
const Protocol = 1

// The methods of the protocol. What a program can do of them, it says in its greeting.
const (
	MethodRead    = "read"
	MethodProve   = "prove"
	MethodCreate  = "create"
	MethodReplace = "replace"
	MethodList    = "list"
)

// Methods are all of them.
var Methods = []string{MethodRead, MethodProve, MethodCreate, MethodReplace, MethodList}

// Greeting is the first line that a program prints.
type Greeting struct {
	Protocol int      `json:"protocol"`
	Can      []string `json:"can"` // the methods that it has
}

// Request is the line that it gets.
type Request struct {
	ID     int    `json:"id"`
	Method string `json:"method"`
	// Refs are the values that it is about; of create and replace, there is one.
	Refs []Ref `json:"refs,omitempty"`
	// Value of create and replace is what to store, in base64.
	Value *string `json:"value,omitempty"`
}

// Ref is a value that is asked for.
type Ref struct {
	Input   string `json:"input"`             // the name of the input in the contract
	Name    string `json:"name"`              // that at the source, with its prefix
	Version string `json:"version,omitempty"` // empty is the current one
	Binary  bool   `json:"binary,omitempty"`  // the value need not be text
}

// The states of an [Answer].
const (
	Present    = "present"
	Absent     = "absent"     // it asked, and there is none
	Unreadable = "unreadable" // it could not ask, or may not: nothing is known of the value
	Failed     = "failed"     // what is asked for can't be done, no matter who asks
)

// Answer is what a program says of one Ref.
type Answer struct {
	State string `json:"state"`
	// Value is in base64: of read what is there, of create what is there now; prove
	// and replace have none.
	Value   *string   `json:"value,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
	Origin  string    `json:"origin,omitempty"` // where it is, for people; of an absent one, where to put it
	Reason  string    `json:"reason,omitempty"` // of unreadable and failed: what is wrong
	Remedy  string    `json:"remedy,omitempty"` // and what to do
}

// Response is the line with which a program answers a Request. Answers are in the order
// of its Refs.
type Response struct {
	ID      int      `json:"id"`
	Answers []Answer `json:"answers,omitempty"`
	Names   []Listed `json:"names,omitempty"` // of list
}

// Listed is one name that a program holds.
type Listed struct {
	Name   string `json:"name"`
	Origin string `json:"origin,omitempty"`
}

// The bounds of what a program may print, and of how long it may take to end.
const (
	maxOutput = 64 << 20
	maxErrors = 64 << 10
	grace     = 2 * time.Second
)

// Source asks a program.
type Source struct {
	command []string
	find    func() (string, error)             // where the program is; looked for once
	answers func(context.Context, Request) Run // what a run of it comes to
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Writer = (*Source)(nil)
	_ source.Lister = (*Source)(nil)
)

// New returns the source that a command is, its program first. Nothing is run before it
// is asked; and nothing is that lies in the working tree of who proposes the command,
// whatever PATH says.
func New(command []string, tree string) *Source {
	s := &Source{command: command, find: sync.OnceValues(func() (string, error) { return program.Find(command[0], tree) })}
	s.answers = s.Run
	return s
}

// Read implements source.Source, by one run for all refs.
func (s *Source) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	return s.ask(ctx, MethodRead, refs, nil)
}

// Prove implements source.Prover, if the program can prove.
func (s *Source) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	return s.ask(ctx, MethodProve, refs, nil)
}

// Create implements source.Writer, if the program can create.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	a := s.ask(ctx, MethodCreate, []source.Ref{ref}, &v)[0]
	return a, a.Err
}

// Replace implements source.Writer, if the program can replace.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	a := s.ask(ctx, MethodReplace, []source.Ref{ref}, &v)[0]
	return a, a.Err
}

// List implements source.Lister. A program that can't list has no names to warn of.
func (s *Source) List(ctx context.Context) ([]source.Listed, error) {
	run := s.Run(ctx, Request{Method: MethodList})
	switch {
	case run.Err == nil:
	case run.Lacks:
		return nil, nil
	default:
		return nil, run.Err
	}
	var all []source.Listed
	for _, n := range run.Response.Names {
		all = append(all, source.Listed{Name: n.Name, Origin: plain(cmp.Or(n.Origin, n.Name+" at "+s.name()))})
	}
	return all, nil
}

// name is the program, for people.
func (s *Source) name() string { return filepath.Base(s.command[0]) }

// ask makes one request about refs.
func (s *Source) ask(ctx context.Context, method string, refs []source.Ref, v *value.Value) []source.Answer {
	if len(refs) == 0 {
		return nil
	}
	request := Request{Method: method}
	for _, r := range refs {
		request.Refs = append(request.Refs, Ref{Input: r.Input, Name: r.Remote.Name, Version: r.Remote.Version, Binary: r.Binary})
	}
	if v != nil {
		text := base64.StdEncoding.EncodeToString(v.Reveal())
		request.Value = &text
	}
	run := s.answers(ctx, request)
	if run.Err != nil {
		return source.Failed(refs, run.Err)
	}
	answers := make([]source.Answer, len(refs))
	for i, a := range run.Response.Answers {
		answers[i] = s.answer(method, refs[i], a, v, run)
	}
	return answers
}

// answer is what the program said of one ref.
func (s *Source) answer(method string, ref source.Ref, said Answer, v *value.Value, run Run) source.Answer {
	a := source.Answer{Origin: plain(cmp.Or(said.Origin, ref.Remote.Name+" at "+s.name())), Changed: said.Changed}
	switch said.State {
	case Absent:
		a.Err = source.ErrAbsent
		if v != nil {
			a.Err = s.wrong("it says that what it was to store is absent", method)
		}
	case Unreadable, Failed:
		a.Err = &source.Failure{
			Reason: cmp.Or(run.safe(said.Reason), s.name()+" does not say why"), Remedy: cmp.Or(run.safe(said.Remedy), "ask the author of "+s.name()), Unreadable: said.State == Unreadable,
		}
	default: // Present: Run has seen to that
		switch {
		case method == MethodProve:
		case method == MethodReplace && said.Value == nil:
			a.Value = *v
		case said.Value == nil:
			a.Err = s.wrong("it says that a value is present, but gives none", method)
		default:
			b, err := base64.StdEncoding.DecodeString(*said.Value)
			if a.Value = value.New(b); err != nil {
				a.Err = s.wrong("a value that it gives is not valid base64", method)
			}
		}
	}
	return a
}

// wrong is what to say of a program that does not follow the protocol.
func (s *Source) wrong(what, method string) *source.Failure {
	return &source.Failure{
		Reason: s.name() + " does not follow the protocol: " + what + " (" + method + ")", Remedy: "`victorgen source test -- " + strings.Join(s.command, " ") + "` shows what is wrong with it",
		Unreadable: method != MethodCreate && method != MethodReplace,
	}
}

// Run is what came of one run of a program.
type Run struct {
	Greeting Greeting
	Response Response
	Stderr   string        // what it said, without what is known to be a value
	Err      error         // a *source.Failure, if it gave no answer that counts
	Lacks    bool          // because it does not have the method
	Lasted   time.Duration // after its answer, until it ended
	Hung     bool          // it did not end, and was killed

	secrets [][]byte
}

// Run runs the program for one request, whose ID it sets.
func (s *Source) Run(ctx context.Context, request Request) Run {
	request.ID = 1
	var run Run
	if request.Value != nil {
		run.keep(*request.Value)
	}
	line, err := json.Marshal(request)
	if err != nil {
		run.Err = s.wrong("the request can't be written", request.Method)
		return run
	}
	line = append(line, '\n')
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path, err := s.find()
	if err != nil {
		run.Err = s.missing(err)
		return run
	}
	cmd := osexec.CommandContext(ctx, path, s.command[1:]...)
	cmd.Args[0] = s.command[0]
	var out output
	var errs capped
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = "/" // or else it might take settings from a working tree that someone proposes
	stdin, err := cmd.StdinPipe()
	if err != nil {
		run.Err = s.wrong("it can't have a standard input", request.Method)
		return run
	}
	// A program gets no request that it has not said it can do, and so no value.
	var writing crash.Group
	out.greeted = sync.OnceFunc(func() {
		var g Greeting
		begin, _, _ := bytes.Cut(out.b.Bytes(), []byte("\n"))
		can := strict(begin, &g) == nil && g.Protocol == Protocol && slices.Contains(g.Can, request.Method)
		writing.Go(func() {
			if can {
				stdin.Write(line)
			}
			stdin.Close()
		})
	})
	out.answered = sync.OnceFunc(func() { time.AfterFunc(grace, cancel) })
	cmd.WaitDelay = grace
	err = program.Run(cmd)
	stdin.Close()
	writing.Wait()
	if !out.at.IsZero() {
		run.Lasted = time.Since(out.at)
		run.Hung = run.Lasted >= grace
	}
	run.read(s, request, out.b.Bytes())
	run.Stderr = run.safe(errs.String())
	switch {
	case run.Err == nil || run.Lacks:
	case out.full:
		run.Err = s.wrong(fmt.Sprintf("it prints more than %d MiB", maxOutput>>20), request.Method)
	case len(out.lines()) >= 2: // it did answer
	case ctx.Err() != nil:
		run.Err = source.Network(context.Cause(ctx))
	case err != nil && cmd.ProcessState == nil:
		run.Err = &source.Failure{Reason: s.command[0] + " can't be started: " + reasonOf(err), Remedy: "see whether it is a program that you may run", Unreadable: true}
	case err != nil:
		run.Err = &source.Failure{Reason: s.name() + " ended (" + err.Error() + ") before it answered" + run.said(), Remedy: cmp.Or(run.hint(), "run it by hand, or `victorgen source test -- "+strings.Join(s.command, " ")+"`"), Unreadable: true}
	}
	return run
}

// missing is what to say where there is no program to be run.
func (s *Source) missing(err error) *source.Failure {
	if refused, ok := errors.AsType[*program.Refused](err); ok {
		return &source.Failure{Reason: refused.Error(), Remedy: program.Remedy, Unreadable: true}
	}
	return &source.Failure{Reason: "there is no program " + s.command[0] + " in PATH", Remedy: "install it, or correct command in the contract", Unreadable: true}
}

// reasonOf is why a program can't be started, without its path.
func reasonOf(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return "it is not one"
}

// said is what it said on its standard error, behind a colon.
func (r *Run) said() string {
	if r.Stderr == "" {
		return ""
	}
	return ": " + r.Stderr
}

func (r *Run) hint() string {
	if r.Stderr != "" {
		return "do what it says"
	}
	return ""
}

// read takes the greeting and the answer from what a program has printed.
func (r *Run) read(s *Source, request Request, printed []byte) {
	lines := bytes.SplitAfter(printed, []byte("\n"))
	line := func(i int) ([]byte, bool) {
		return lines[min(i, len(lines)-1)], i < len(lines) && bytes.HasSuffix(lines[i], []byte("\n"))
	}
	greeting, whole := line(0)
	if !whole || strict(greeting, &r.Greeting) != nil || r.Greeting.Protocol == 0 {
		r.Err = s.wrong(`it does not begin with a greeting: {"protocol":1,"can":["read"]}`, request.Method)
		return
	}
	if r.Greeting.Protocol != Protocol {
		r.Err = &source.Failure{
			Reason: fmt.Sprintf("%s speaks version %d of the protocol, and this victorgen version %d", s.name(), r.Greeting.Protocol, Protocol),
			Remedy: "use a matching version of it", Unreadable: true,
		}
		return
	}
	if !slices.Contains(r.Greeting.Can, request.Method) {
		r.Lacks, r.Err = true, s.lacks(request.Method)
		return
	}
	answer, whole := line(1)
	if !whole {
		r.Err = s.wrong("it ended before it answered", request.Method)
		return
	}
	if strict(answer, &r.Response) != nil {
		r.Err = s.wrong("its answer is not one line of JSON with the fields that an answer has", request.Method)
		return
	}
	for _, a := range r.Response.Answers {
		if a.Value != nil {
			r.keep(*a.Value)
		}
	}
	switch {
	case r.Response.ID != request.ID:
		r.Err = s.wrong(fmt.Sprintf("it answers request %d, and request %d was made", r.Response.ID, request.ID), request.Method)
	case request.Method != MethodList && len(r.Response.Answers) != len(request.Refs):
		r.Err = s.wrong(fmt.Sprintf("it gives %d answers for %d values", len(r.Response.Answers), len(request.Refs)), request.Method)
	case len(bytes.TrimSpace(bytes.Join(lines[2:], nil))) > 0:
		r.Err = s.wrong("it prints more than its answer", request.Method)
	}
	for _, a := range r.Response.Answers {
		if !slices.Contains([]string{Present, Absent, Unreadable, Failed}, a.State) && r.Err == nil {
			r.Err = s.wrong("an answer has a state other than present, absent, unreadable and failed", request.Method)
		}
	}
}

// lacks is what to say of a method that a program does not have.
func (s *Source) lacks(method string) *source.Failure {
	switch method {
	case MethodProve:
		return &source.Failure{Reason: s.name() + " can't prove what it has without reading it", Remedy: "allow values to be read"}
	case MethodCreate, MethodReplace:
		return &source.Failure{Reason: s.name() + " can't " + method + " a value", Remedy: "store it with a tool of its own, or use a program that can"}
	}
	return &source.Failure{Reason: s.name() + " can't " + method, Remedy: "use a program that can", Unreadable: true}
}

// strict decodes one value of JSON that has no unknown fields, and nothing behind it.
func strict(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more on the line")
	}
	return nil
}

// keep remembers a value, in base64, that is to be shown nowhere.
func (r *Run) keep(text string) {
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) > 0 {
		r.secrets = append(r.secrets, b, []byte(text), []byte(base64.URLEncoding.EncodeToString(b)), []byte(base64.RawStdEncoding.EncodeToString(b)))
	}
}

// random is a word that may be a value of which nothing is known.
var random = lazy.MustCompile(`[A-Za-z0-9+/_=-]{16,}`)

// safe is what a program says, as people may see it: on one line, short, and without the
// values of this run, nor words that look like one.
func (r *Run) safe(text string) string {
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, string(secret), "[...]")
		for _, line := range bytes.Split(secret, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) >= 6 {
				text = strings.ReplaceAll(text, string(line), "[...]")
			}
		}
	}
	text = random.ReplaceAllStringFunc(text, func(w string) string {
		if strings.ContainsFunc(w, unicode.IsDigit) && strings.ContainsFunc(w, unicode.IsLetter) || strings.ContainsAny(w, "+=") {
			return "[...]"
		}
		return w
	})
	return plain(source.Line(text))
}

// plain takes out what could command a terminal.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Cf) {
			return -1
		}
		return c
	}, text)
}

// output keeps what a program prints, and notices when its second line is complete.
type output struct {
	b        bytes.Buffer
	full     bool
	n        int // of complete lines
	at       time.Time
	greeted  func() // its first line is there
	answered func() // and its second
}

var errFull = errors.New("it prints too much")

func (o *output) Write(p []byte) (int, error) {
	if o.b.Len()+len(p) > maxOutput {
		o.full = true
		return 0, errFull
	}
	o.b.Write(p)
	if o.n += bytes.Count(p, []byte("\n")); o.n >= 1 {
		o.greeted()
	}
	if o.n >= 2 && o.at.IsZero() {
		o.at = time.Now()
		o.answered()
	}
	return len(p), nil
}

func (o *output) lines() [][]byte { return bytes.SplitAfter(o.b.Bytes(), []byte("\n"))[:o.n] }

// capped keeps the end of what is written to it.
type capped struct{ b []byte }

func (c *capped) Write(p []byte) (int, error) {
	c.b = append(c.b, p...)
	if len(c.b) > maxErrors {
		c.b = slices.Clone(c.b[len(c.b)-maxErrors:])
	}
	return len(p), nil
}

func (c *capped) String() string { return strings.ToValidUTF8(string(c.b), "?") }
