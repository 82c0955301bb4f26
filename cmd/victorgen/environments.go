package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit"
)

// result is what one environment came to. It is also what -o json prints.
type result struct {
	Environment string           `json:"environment,omitempty"`
	Directory   string           `json:"directory"`
	OK          bool             `json:"ok"`
	Tree        string           `json:"tree,omitempty"`
	Minted      []string         `json:"minted,omitempty"`
	Changes     []emit.Change    `json:"changes,omitempty"`
	Report      *emit.Report     `json:"report,omitempty"`
	Diagnostics plan.Diagnostics `json:"diagnostics,omitempty"`

	plan *plan.Plan
}

func (r *result) name() string {
	if r.Environment != "" {
		return r.Environment
	}
	return filepath.Base(r.Directory)
}

// forEach compiles the environments that patterns name and does something with
// each, on all cores. One that fails does not stop the rest. It prints the
// diagnostics and, through text, the results.
func forEach(cmd *cobra.Command, patterns []string, format, doing string,
	do func(context.Context, *result), text func(io.Writer, *printer, *result)) error {
	dirs, err := compiler.Find(patterns...)
	if err != nil {
		return usageError{err}
	}
	results := make([]result, len(dirs))
	pr := newProgress(cmd.ErrOrStderr(), doing, len(dirs))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, dir := range dirs {
		g.Go(func() error {
			r := &results[i]
			r.Directory = dir
			pr.start(r.name())
			defer pr.end(r.name())
			r.plan, r.Diagnostics = compiler.Compile(dir)
			if r.plan != nil {
				r.Environment = r.plan.Environment
				if do != nil {
					do(cmd.Context(), r)
				}
			}
			r.OK = !r.Diagnostics.HasErrors()
			return nil
		})
	}
	g.Wait()
	pr.clear()

	p := newPrinter(cmd.ErrOrStderr())
	if format == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"version": 1, "environments": results}); err != nil {
			return err
		}
	} else {
		for i := range results {
			if text != nil {
				text(cmd.OutOrStdout(), p, &results[i])
			}
		}
		p.print(findings(results), len(results))
	}
	return exitOf(results)
}

// exitOf is the failure that the results amount to.
func exitOf(results []result) error {
	code := 0
	for _, r := range results {
		for _, d := range r.Diagnostics {
			switch {
			case d.Severity != plan.Error:
			case d.Code == plan.CodeSourceRead || d.Code == plan.CodeSourceWrite:
				code = exitSource
			default:
				code = max(code, exitFindings)
			}
		}
		if !r.OK {
			code = max(code, exitFindings)
		}
	}
	if code != 0 {
		return failure(code)
	}
	return nil
}

// progress shows on a terminal what is under way, on one line.
type progress struct {
	w      io.Writer
	doing  string
	total  int
	mu     sync.Mutex
	done   int
	active []string
}

func newProgress(w io.Writer, doing string, total int) *progress {
	if !isTerminal(w) {
		w = nil
	}
	return &progress{w: w, doing: doing, total: total}
}

func (p *progress) start(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = append(p.active, name)
	p.draw()
}

func (p *progress) end(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	for i, a := range p.active {
		if a == name {
			p.active = append(p.active[:i], p.active[i+1:]...)
			break
		}
	}
	p.draw()
}

func (p *progress) draw() {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%s %d/%d %s", p.doing, p.done, p.total, strings.Join(p.active, ", "))
	}
}

func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
