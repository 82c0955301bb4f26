package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/internal/crash"
)

// result is what one environment came to. It is also what -o json prints.
type result struct {
	Environment string               `json:"environment,omitempty"`
	Directory   string               `json:"directory"`
	OK          bool                 `json:"ok"`
	Tree        string               `json:"tree,omitempty"`
	Generated   []string             `json:"generated,omitempty"`
	Inputs      []inputState         `json:"inputs,omitempty"`
	Changes     []emit.Change        `json:"changes,omitempty"`
	Report      *emit.Report         `json:"report,omitempty"`
	Applied     *cluster.ApplyReport `json:"applied,omitempty"`
	Verified    *cluster.Report      `json:"verified,omitempty"`
	Pruned      []string             `json:"pruned,omitempty"`
	Recovered   []recoveredInput     `json:"recovered,omitempty"`
	Set         []setInput           `json:"set,omitempty"`
	Copied      []copiedInput        `json:"copied,omitempty"`
	Diagnostics plan.Diagnostics     `json:"diagnostics,omitempty"`

	Fetched      []fetchedStory     `json:"fetched,omitempty"`
	Certificates []certificateStory `json:"certificates,omitempty"`
	Diff         *diffStory         `json:"diff,omitempty"`

	plan   *plan.Plan
	beside *neighbours // the environments of its module, shared by a run
	grant  trust.Grant // what its contract is allowed by name
	values value.Set   // what was read, if anything was
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
func forEach(cmd *cobra.Command, patterns []string, o compiler.Options, format, doing string,
	do func(context.Context, *result), text func(io.Writer, *printer, *result)) error {
	results, err := collect(cmd, patterns, o, doing, do)
	if err != nil {
		return err
	}
	return show(cmd, results, format, text)
}

// collect is forEach up to what it prints.
func collect(cmd *cobra.Command, patterns []string, o compiler.Options, doing string, do func(context.Context, *result)) ([]result, error) {
	dirs, err := compiler.Find(patterns...)
	if err != nil {
		return nil, usageError{err}
	}
	return collectFrom(cmd, dirs, o, doing, do), nil
}

// collectFrom is collect of directories.
func collectFrom(cmd *cobra.Command, dirs []string, o compiler.Options, doing string, do func(context.Context, *result)) []result {
	if d, err := cmd.Flags().GetDuration("timeout"); err == nil && o.Timeout == 0 {
		o.Timeout = max(d, compiler.DefaultTimeout) // that of the sources is often shorter
	}
	o.Shared = compiler.NewShared()
	results := make([]result, len(dirs))
	parallel := func(f func(r *result)) {
		var g crash.Group
		g.SetLimit(runtime.GOMAXPROCS(0))
		for i := range results {
			g.Go(func() {
				if err := crash.Catch(func() { f(&results[i]) }); err != nil {
					results[i].Diagnostics = append(results[i].Diagnostics, crashed(err))
				}
			})
		}
		g.Wait()
	}
	for i, dir := range dirs {
		results[i].Directory = dir
	}
	allowed := permissionOf(cmd)
	parallel(func(r *result) {
		if r.plan, r.Diagnostics = compiler.Compile(r.Directory, o); r.plan != nil {
			r.Environment = r.plan.Environment
			r.Diagnostics = append(r.Diagnostics, allowed.check(r)...)
		}
	})
	if slices.ContainsFunc(results, func(r result) bool {
		return slices.ContainsFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeLimit })
	}) {
		return results // what reached a limit still goes on, and may take all memory: end before anything is begun
	}
	apart := cmd.Flag("output") == nil || !cmd.Flag("output").Changed
	refuseSameName(results, apart)
	if o.Direct {
		refuseSameSecret(results)
	}
	beside := &neighbours{compiled: map[string]*plan.Plan{}, here: map[[2]string]bool{}, all: map[string]map[string]bool{}}
	for i := range results {
		r := &results[i]
		if r.beside = beside; r.plan != nil {
			beside.compiled[r.Directory], beside.here[[2]string{r.plan.Module, r.plan.Environment}] = r.plan, true
		}
	}
	pr := newProgress(cmd.ErrOrStderr(), doing, len(dirs))
	parallel(func(r *result) {
		pr.start(r.name())
		defer pr.end(r.name())
		if do != nil && !r.Diagnostics.HasErrors() {
			do(cmd.Context(), r)
		}
	})
	pr.clear()
	compareValues(results)
	return results
}

// compareValues adds to results what there is to say of the values of all of them
// together.
func compareValues(results []result) {
	plans, sets := make([]*plan.Plan, len(results)), make([]value.Set, len(results))
	for i, r := range results {
		plans[i], sets[i] = r.plan, r.values
	}
	for i, ds := range source.Shared(plans, sets) {
		results[i].Diagnostics = append(results[i].Diagnostics, ds...)
	}
}

// show is forEach from what it prints on.
func show(cmd *cobra.Command, results []result, format string, text func(io.Writer, *printer, *result)) error {
	for i := range results {
		results[i].OK = !results[i].Diagnostics.HasErrors()
	}
	p := newPrinter(cmd.ErrOrStderr())
	var err error
	switch format {
	case "json":
		err = encode(cmd.OutOrStdout(), map[string]any{"version": 1, "environments": results})
	case "sarif":
		err = encode(cmd.OutOrStdout(), sarifOf(findings(results)))
	case "github":
		err = annotate(cmd.OutOrStdout(), findings(results))
	default:
		for i := range results {
			if text != nil {
				text(cmd.OutOrStdout(), p, &results[i])
			}
		}
		p.print(findings(results), len(results))
	}
	if err != nil {
		return err
	}
	return exitOf(results)
}

// encode prints JSON.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// refuseSameName adds an error to each of the environments that share a name,
// before any of them is built: their trees would overwrite each other. Those of
// two modules are apart, unless --output puts them into one directory.
func refuseSameName(results []result, apart bool) {
	dirs := map[string][]string{}
	tree := func(r *result) string {
		if apart && r.plan != nil {
			return treeOf(r.plan)
		}
		return r.Environment
	}
	for i := range results {
		dirs[tree(&results[i])] = append(dirs[tree(&results[i])], results[i].Directory)
	}
	for i := range results {
		r := &results[i]
		for _, other := range dirs[tree(r)] {
			if r.plan != nil && other != r.Directory {
				r.Diagnostics.Errorf(plan.CodeTreeForeign, nil, "give one of them another name",
					"environment %q is also that of %s, and both would write the same tree", r.Environment, other)
			}
		}
	}
}

// refuseSameSecret adds an error to each of the environments that would write
// the same Secret of one cluster.
func refuseSameSecret(results []result) {
	in := map[string][]string{}
	for _, r := range results {
		if r.plan == nil {
			continue
		}
		for _, s := range r.plan.Secrets {
			id := s.Namespace + "/" + s.Name
			in[id] = append(in[id], r.name())
		}
	}
	for i := range results {
		r := &results[i]
		if r.plan == nil {
			continue
		}
		for _, s := range r.plan.Secrets {
			if names := in[s.Namespace+"/"+s.Name]; len(names) > 1 {
				r.Diagnostics.Errorf(plan.CodeSameSecret, s.Pos, "apply them one at a time, to a namespace or a cluster each",
					"Secret %s/%s is that of %s", s.Namespace, s.Name, plan.And(names))
			}
		}
	}
}

// exitOf is the failure that the results amount to.
func exitOf(results []result) error {
	code := 0
	for _, r := range results {
		unread := slices.ContainsFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeSourceRead })
		for _, d := range r.Diagnostics {
			switch {
			case d.Severity != plan.Error:
			case d.Code == plan.CodeSourceRead || d.Code == plan.CodeSourceWrite || d.Code == plan.CodeClusterRead || d.Code == plan.CodeClusterWrite,
				d.Code == plan.CodeNoController || d.Code == plan.CodeCrash || d.Code == plan.CodeRevision:
				code = exitSource
			case (d.Code == plan.CodeCannotSeal || d.Code == plan.CodePresence) && unread: // for nothing known of before could stand in
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

// newProgress shows nothing of a verb that asks questions, whose doing is empty.
func newProgress(w io.Writer, doing string, total int) *progress {
	if !isTerminal(w) || doing == "" {
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
		raw(p.w, "\r\x1b[K")
		fmt.Fprintf(p.w, "%s %d/%d %s", p.doing, p.done, p.total, inLine(strings.Join(p.active, ", ")))
	}
}

func (p *progress) clear() {
	if p.w != nil {
		raw(p.w, "\r\x1b[K")
	}
}
