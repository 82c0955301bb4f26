package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// stream prints the results of environments as they come, and at the end what there is
// to say of them: one finding may be that of many.
type stream struct {
	cmd      *cobra.Command
	dirs     []string
	format   string
	text     func(io.Writer, *printer, *result)
	printer  *printer
	progress *progress

	n        int // of the results so far
	findings found
	code     failure
	held     []*result // as JSON: those that something may be added to, and what follows them
	written  int       // as JSON
	err      error
}

// newStream begins to print. It adds to o what a stream must be told.
func newStream(cmd *cobra.Command, dirs []string, o *vg.Options, format, doing string, text func(io.Writer, *printer, *result)) *stream {
	s := &stream{cmd: cmd, dirs: dirs, format: format, text: text, printer: newPrinter(cmd.ErrOrStderr()), progress: newProgress(cmd.ErrOrStderr(), doing, len(dirs))}
	o.Watch, o.Late = s.progress.watch, s.late
	return s
}

// show prints one result, which is not kept.
func (s *stream) show(r *result) {
	i := s.n
	s.n++
	final := r.env == nil || r.env.Final()
	r.OK = !r.Diagnostics.HasErrors()
	r.env, r.plan = nil, nil
	s.judge(r)
	switch s.format {
	case "json":
		s.held = append(s.held, r)
		if final && len(s.held) == 1 {
			s.flush()
		}
		return
	case "text":
		if s.text != nil {
			s.progress.around(func() { s.text(s.cmd.OutOrStdout(), s.printer, r) })
		}
	}
	s.findings.add(i, r)
}

// judge adds a result to the exit code.
func (s *stream) judge(r *result) {
	if code, ok := exitOf([]result{*r}).(failure); ok {
		s.code = max(s.code, code)
	}
}

// late is told what there is to say of an environment that was shown.
func (s *stream) late(directory string, ds plan.Diagnostics) {
	i := slices.Index(s.dirs, directory)
	r := &result{Directory: directory, Environment: s.findings.name(i), OK: true, Diagnostics: ds}
	s.judge(r)
	if s.format != "json" {
		s.findings.add(i, r)
		return
	}
	for _, r := range s.held {
		if r.Directory == directory {
			r.Diagnostics = append(r.Diagnostics, ds...)
			r.OK = !r.Diagnostics.HasErrors()
		}
	}
}

// flush writes the results that are held as elements of a JSON document.
func (s *stream) flush() {
	for _, r := range s.held {
		b, err := json.MarshalIndent(r, "    ", "  ")
		before := ",\n    "
		if s.written == 0 {
			before = "{\n  \"environments\": [\n    "
		}
		s.written++
		s.err = cmp.Or(s.err, err)
		s.progress.around(func() { io.WriteString(s.cmd.OutOrStdout(), before+string(b)) })
	}
	s.held = nil
}

// end prints what is left, and returns the failure that all results amount to.
func (s *stream) end() error {
	s.progress.clear()
	switch s.format {
	case "json":
		s.flush()
		before := "\n  ]"
		if s.written == 0 {
			before = "{\n  \"environments\": []"
		}
		_, err := io.WriteString(s.cmd.OutOrStdout(), before+",\n  \"version\": 1\n}\n")
		s.err = cmp.Or(s.err, err)
	case "sarif":
		s.err = encode(s.cmd.OutOrStdout(), sarifOf(s.findings.all()))
	case "gitlab":
		s.err = encode(s.cmd.OutOrStdout(), codeQuality(s.findings.all()))
	case "github":
		s.err = annotate(s.cmd.OutOrStdout(), s.findings.all())
	default:
		s.printer.print(s.findings.all(), s.n)
	}
	if s.err != nil {
		return s.err
	}
	if left := len(s.dirs) - s.n; left > 0 {
		why := "compiling one has reached a limit"
		if s.cmd.Context().Err() != nil {
			why = context.Cause(s.cmd.Context()).Error()
		}
		fmt.Fprintf(s.cmd.ErrOrStderr(), "error: %s; %d of %s were not begun\n", why, left, plural(len(s.dirs), "environment"))
		s.code = max(s.code, exitFindings)
	}
	if s.code != 0 {
		return s.code
	}
	return nil
}

// progress shows on a terminal what is under way, on one line.
type progress struct {
	w      io.Writer
	doing  string
	total  int
	begun  time.Time
	mu     sync.Mutex
	done   int
	active []string
}

// newProgress shows nothing of a verb that asks questions, whose doing is empty.
func newProgress(w io.Writer, doing string, total int) *progress {
	if !isTerminal(w) || doing == "" {
		w = nil
	}
	return &progress{w: w, doing: doing, total: total, begun: time.Now()}
}

// watch is told when an environment is begun and when it has ended.
func (p *progress) watch(name string, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ended {
		p.active = append(p.active, name)
	} else if i := slices.Index(p.active, name); i >= 0 {
		p.done++
		p.active = slices.Delete(p.active, i, i+1)
	}
	p.draw()
}

// around prints a result, where the line is.
func (p *progress) around(print func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	print()
	if p.done < p.total {
		p.draw()
	}
}

func (p *progress) draw() {
	if p.w != nil {
		p.wipe()
		fmt.Fprintf(p.w, "%s %d/%d%s %s", p.doing, p.done, p.total, left(p.done, p.total, time.Since(p.begun)), inLine(strings.Join(p.active, ", ")))
	}
}

// left says how long the rest will take, if it takes as long as what is done; nothing
// as long as that is no guide.
func left(done, total int, took time.Duration) string {
	if done < 10 || done == total || took < time.Second {
		return ""
	}
	rest := took / time.Duration(done) * time.Duration(total-done)
	return ", about " + max(rest.Round(time.Second), time.Second).String() + " left:"
}

func (p *progress) wipe() {
	if p.w != nil {
		raw(p.w, "\r\x1b[K")
	}
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}
