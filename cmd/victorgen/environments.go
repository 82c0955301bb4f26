package main

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/report"
)

// result is what one environment came to. It is also what -o json prints.
type result struct {
	Environment string               `json:"environment,omitempty"`
	Directory   string               `json:"directory"`
	OK          bool                 `json:"ok"`
	Tree        string               `json:"tree,omitempty"`
	Generated   []string             `json:"generated,omitempty"`
	Dropped     []string             `json:"dropped,omitempty"`   // inputs whose previous value has had its time
	RotatedBy   map[string]string    `json:"rotatedBy,omitempty"` // inputs that another environment has at the same place
	Told        []string             `json:"told,omitempty"`      // inputs of which a command was told
	WouldRun    []string             `json:"wouldRun,omitempty"`  // that command, of a dry run
	Ended       []source.Ended       `json:"ended,omitempty"`     // what was pending
	Inputs      []vg.InputState      `json:"inputs,omitempty"`
	Changes     []tree.Change        `json:"changes,omitempty"`
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
	Scan         *scanStory         `json:"scan,omitempty"`

	env             *vg.Environment
	plan            *plan.Plan  // nil if it does not compile, and once its result is printed
	grant           trust.Grant // what its contract is allowed by name
	values          value.Set   // what was read, if anything was; nil once do has returned
	inputs, secrets int         // of the plan
	told            *report.Environment
}

func (r *result) name() string {
	if r.Environment != "" {
		return r.Environment
	}
	return filepath.Base(r.Directory)
}

// resultOf is the result of an environment before anything was done.
func resultOf(e *vg.Environment) *result {
	r := &result{Environment: e.Name, Directory: e.Directory, Diagnostics: e.Diagnostics, env: e, plan: e.Plan, grant: e.Grant}
	if e.Plan != nil {
		r.inputs, r.secrets = len(e.Plan.Inputs), len(e.Plan.Secrets)
	}
	return r
}

// fail adds err, if there is one, to what the environment has to say.
func (r *result) fail(err error) {
	r.Diagnostics = append(r.Diagnostics, vg.TreeProblem(err)...)
}

// optionsOf are those of a verb, by its flags.
func optionsOf(cmd *cobra.Command, o compiler.Options) vg.Options {
	all := vg.Options{Compile: o, Allow: allowedBy(cmd), Policies: policiesOf(cmd), Asks: asks(cmd)}
	all.Compile.Cache = plans()
	if d, err := cmd.Flags().GetDuration("timeout"); err == nil {
		all.Timeout = d
		if o.Timeout == 0 {
			all.Compile.Timeout = max(d, compiler.DefaultTimeout) // that of the sources is often shorter
		}
	}
	if f := cmd.Flag("output"); f != nil && f.Changed {
		all.Output = f.Value.String()
	}
	return all
}

// isPattern reports whether patterns are about all environments below a directory.
func isPattern(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, "...") })
}

// forEach compiles the environments that patterns name and does something with
// each, on all cores. One that fails does not stop the rest. It prints the
// diagnostics and, through text, the results, as they come.
func forEach(cmd *cobra.Command, patterns []string, o compiler.Options, format, doing string,
	do func(context.Context, *result), text func(io.Writer, *printer, *result)) error {
	dirs, err := compiler.Find(patterns...)
	if err != nil {
		return usageError{err}
	}
	return each(cmd, dirs, optionsOf(cmd, o), format, doing, do, text)
}

// each is forEach of directories.
func each(cmd *cobra.Command, dirs []string, o vg.Options, format, doing string,
	do func(context.Context, *result), text func(io.Writer, *printer, *result)) error {
	s := newStream(cmd, dirs, &o, format, doing, text)
	for r := range results(cmd, dirs, o, do) {
		s.show(r)
	}
	return s.end()
}

// results does something with each environment, and yields what comes of it.
func results(cmd *cobra.Command, dirs []string, o vg.Options, do func(context.Context, *result)) iter.Seq[*result] {
	return func(yield func(*result) bool) {
		for e, r := range vg.Each(cmd.Context(), dirs, o, func(ctx context.Context, e *vg.Environment) *result {
			r := resultOf(e)
			if do == nil {
				return r
			}
			if err := crash.Catch(func() { do(ctx, r) }); err != nil {
				r.Diagnostics = append(r.Diagnostics, vg.Crashed(err))
			}
			e.Compare(r.values)
			r.values = nil
			e.Diagnostics = r.Diagnostics
			return r
		}) {
			if r == nil {
				r = resultOf(e)
			}
			r.Diagnostics = e.Diagnostics // what there is to say of all is among them
			if !yield(r) {
				return
			}
		}
	}
}

// collect does something with the environments in dirs, and keeps what comes of it,
// with the plans.
func collect(cmd *cobra.Command, dirs []string, o compiler.Options, doing string, do func(context.Context, *result)) []result {
	options := optionsOf(cmd, o)
	pr := newProgress(cmd.ErrOrStderr(), doing, len(dirs))
	options.Watch = pr.watch
	var all []result
	options.Late = func(directory string, ds plan.Diagnostics) {
		i := slices.IndexFunc(all, func(r result) bool { return r.Directory == directory })
		all[i].Diagnostics = append(all[i].Diagnostics, ds...)
	}
	for r := range results(cmd, dirs, options, do) {
		all = append(all, *r)
	}
	pr.clear()
	return all
}

// show prints results that are all there.
func show(cmd *cobra.Command, all []result, format string, text func(io.Writer, *printer, *result)) error {
	dirs := make([]string, len(all))
	for i := range all {
		dirs[i] = all[i].Directory
	}
	s := newStream(cmd, dirs, &vg.Options{}, format, "", text)
	for i := range all {
		s.show(&all[i])
	}
	return s.end()
}

// encode prints JSON.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// exitOf is the failure that the results amount to.
func exitOf(results []result) error {
	code := 0
	for _, r := range results {
		unread := slices.ContainsFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeSourceRead })
		for _, d := range r.Diagnostics {
			switch {
			case d.Severity != plan.Error:
			case d.Code == plan.CodeSourceRead || d.Code == plan.CodeSourceWrite || d.Code == plan.CodeClusterRead || d.Code == plan.CodeClusterWrite || d.Code == plan.CodeNotTold,
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
