package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

type copyOptions struct {
	sourceOptions
	format  string
	from    string
	to      string
	replace bool
	dryRun  bool
}

func copyCommand() *cobra.Command {
	o := &copyOptions{}
	cmd := &cobra.Command{
		Use:   "copy ENV --from SOURCE|KIND|ENV2 [INPUT...]",
		Short: "Copy values between sources or environments",
		Long: `Copy reads inputs of an environment at one place and stores them where the contract
says that they live: all that are there, or those that are named. It reads them back
and compares before it says that they are copied.

--from is a source of the contract by its name, a kind of source instead of the default
one (as --source has it), or the directory of another environment. Of
another environment what is required or optional is copied; what is generated is
each environment's own, so it must be named.

A value that is there already is kept, unless --replace is given. Nothing is
removed where it came from.`,
		Example: `  # the contract has moved to SSM: copy what .secrets.production has
  victorgen copy envs/production --from env --dry-run
  victorgen copy envs/production --from env

  # fill a source that the contract does not name yet, then switch
  victorgen copy envs/production --from default --to aws-ssm

  victorgen copy envs/staging --from envs/production ANTHROPIC_API_KEY`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError{errors.New("name an environment, and then the inputs if only some are meant")}
			case o.from == "":
				return usageError{errors.New("--from names a source, a kind of source, or another environment")}
			}
			return nil
		},
		ValidArgsFunction: completeInputs(isWritable),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dirs, err := compiler.Find(args[0]); err == nil && len(dirs) > 1 {
				return usageError{errors.New("copy takes one environment")}
			}
			return forEach(cmd, args[:1], compiler.Options{Source: o.kind}, o.format, "copying", func(ctx context.Context, r *result) {
				o.copy(ctx, cmd, r, args[1:])
			}, o.text)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "where the values are: a source of the contract, a kind of source, or another environment")
	f.StringVar(&o.to, "to", "", "where to store them, if that is not where the contract says: a source of it, or a kind")
	f.BoolVar(&o.replace, "replace", false, "write over another value that is there")
	f.BoolVar(&o.dryRun, "dry-run", false, "store nothing; show what would be copied")
	completes(cmd, "from", completeFrom)
	completes(cmd, "to", completeTo)
	o.sourceOptions.flags(cmd)
	outputFlag(cmd, &o.format)
	return cmd
}

// copiedInput is what became of one input.
type copiedInput struct {
	Input string `json:"input"`
	State string `json:"state"` // copied, replaced, unchanged, would copy, would replace, not copied
	From  string `json:"from"`
	To    string `json:"to,omitempty"`
}

func (o *copyOptions) copy(ctx context.Context, cmd *cobra.Command, r *result, names []string) {
	from, ours := o.place(cmd, r, o.from)
	to := r.plan
	if o.to != "" && from != nil {
		if to, _ = o.place(cmd, r, o.to); to != nil && (to.Environment != r.plan.Environment || to.Module != r.plan.Module) {
			r.Diagnostics.Errorf(plan.CodeNotSet, nil, "name the environment to copy to first, and this one by --from", "--to %s is another environment", o.to)
		}
	}
	if r.Diagnostics.HasErrors() {
		return
	}
	inputs := o.copied(r, from, to, names, ours)
	if r.Diagnostics.HasErrors() {
		return
	}
	options := source.Options{Timeout: o.timeout}
	found, ds := source.Peek(ctx, from, openFor(from, true), pick(from, inputs), options)
	sources := openFor(to, o.dryRun)
	have, more := source.Peek(ctx, to, sources, pick(to, inputs), options)
	r.Diagnostics = append(append(r.Diagnostics, ds...), more...)
	if r.Diagnostics.HasErrors() {
		return
	}
	values := map[string]value.Value{}
	for _, name := range inputs {
		in, _ := to.Input(name)
		got, had := found[name], have[name]
		story := copiedInput{Input: name, From: got.Origin, State: "copied"}
		switch {
		case got.State != value.Present:
			if len(names) > 0 {
				r.Diagnostics.Errorf(plan.CodeMissing, in.Pos, "", "%s is not at %s", name, o.from)
			}
			continue
		case had.State == value.Present && had.Value.Equal(got.Value):
			story.State, story.To = unchanged, had.Origin
		case had.State == value.Present && !o.replace:
			r.Diagnostics.Errorf(plan.CodeHasAnother, in.Pos, "--replace overwrites it, of the inputs that are named", "%s has another value (%s) than %s, which is kept", name, had.Origin, got.Origin)
			continue
		case had.State == value.Present:
			story.State = "replaced"
		}
		if story.State != unchanged {
			values[name] = got.Value
		}
		ds := value.Judge(in, value.Encode(in, got.Value))
		for _, d := range ds {
			d.Message += " (from " + got.Origin + ")"
			r.Diagnostics = append(r.Diagnostics, d)
		}
		r.Copied = append(r.Copied, story)
	}
	if r.Diagnostics.HasErrors() {
		for i := range r.Copied {
			if s := &r.Copied[i]; s.State != unchanged {
				s.State = "not copied"
			}
		}
		return
	}
	written, ds := source.Put(ctx, to, sources, values, o.replace, options)
	r.Diagnostics = append(r.Diagnostics, ds...)
	back := written
	if !o.dryRun && len(written) > 0 {
		back, ds = source.Peek(ctx, to, openFor(to, true), pick(to, inputs), options)
		r.Diagnostics = append(r.Diagnostics, ds...)
	}
	for i := range r.Copied {
		s := &r.Copied[i]
		if s.State == unchanged {
			continue
		}
		in, _ := to.Input(s.Input)
		src, _ := to.Source(in.Source)
		v, ok := written[s.Input]
		if s.To = v.Origin; o.dryRun {
			s.To = "source " + src.String()
		}
		switch {
		case !ok:
			s.State = "not copied"
		case !back[s.Input].Value.Equal(values[s.Input]):
			s.State = "not copied"
			r.Diagnostics.Errorf(plan.CodeSourceWrite, in.Pos, "find out what else writes there, and copy it again", "%s was stored, but source %s now has a different value", s.Input, src)
		case o.dryRun:
			s.State = map[string]string{"copied": "would copy", "replaced": "would replace"}[s.State]
		}
	}
}

// place compiles the plan of where --from or --to leads, and tells whether it is
// of the same environment; nil, if it can't.
func (o *copyOptions) place(cmd *cobra.Command, r *result, where string) (p *plan.Plan, ours bool) {
	if src, ok := r.plan.Source(where); ok {
		return elsewhere(r.plan, src), true
	}
	if slices.Contains(plan.SourceKinds, where) {
		other := o.compiled(cmd, r, r.Directory, compiler.Options{Source: where})
		if other == nil {
			return nil, true
		}
		src, _ := other.Source(defaultSource)
		if src.Kind != where { // the contract declares one of the kind, by another name
			src = other.Sources[slices.IndexFunc(other.Sources, func(s plan.Source) bool { return s.Kind == where })]
		}
		return elsewhere(other, src), true
	}
	if info, err := os.Stat(where); err != nil || !info.IsDir() {
		var known []string
		for _, src := range r.plan.Sources {
			known = append(known, src.Name)
		}
		r.Diagnostics.Errorf(plan.CodeNotSet, nil, plan.DidYouMean(where, slices.Concat(known, plan.SourceKinds, environmentsBelow(where)), "the sources are "+plan.And(known)+"; the kinds are "+strings.Join(plan.SourceKinds, ", ")),
			"%s is neither a source of the contract, nor a kind of source, nor an environment", where)
		return nil, false
	}
	return o.compiled(cmd, r, where, compiler.Options{}), false
}

// compiled compiles an environment under the same rules as that of r.
func (o *copyOptions) compiled(cmd *cobra.Command, r *result, dir string, options compiler.Options) *plan.Plan {
	for other := range vg.Each(cmd.Context(), []string{dir}, optionsOf(cmd, options), func(context.Context, *vg.Environment) any { return nil }) {
		if !other.Diagnostics.HasErrors() {
			return other.Plan
		}
		r.Diagnostics = append(r.Diagnostics, other.Diagnostics...)
	}
	return nil
}

// defaultSource is the name of the source that --source replaces.
const defaultSource = "default"

// elsewhere is p with all inputs at src, by the names that they have there: those
// of p, if src is where they are, or else their own.
func elsewhere(p *plan.Plan, src plan.Source) *plan.Plan {
	moved := *p
	moved.Inputs = slices.Clone(p.Inputs)
	for i := range moved.Inputs {
		if in := &moved.Inputs[i]; in.Source != src.Name {
			in.Source, in.Remote = src.Name, plan.Remote{}
		}
	}
	return &moved
}

// copied returns the names of the inputs to be copied.
func (o *copyOptions) copied(r *result, from, to *plan.Plan, names []string, ours bool) (inputs []string) {
	has := func(name string) bool {
		in, ok := from.Input(name)
		return ok && in.Default == nil
	}
	var all []string
	for _, in := range to.Inputs {
		if why, _ := unstorable(in); why == "" && has(in.Name) {
			all = append(all, in.Name)
			if len(names) == 0 && (ours || in.Class != plan.Generated) {
				inputs = append(inputs, in.Name)
			}
		}
	}
	for _, name := range names {
		in, ok := declaredInput(to, name)
		why, hint := unstorable(in)
		switch {
		case !ok:
			r.Diagnostics.Errorf(plan.CodeUnknownInput, nil, plan.DidYouMean(name, all, "`victorgen explain ENV` lists them"), "there is no input %q", name)
		case why != "":
			r.Diagnostics.Errorf(plan.CodeNotSet, in.Pos, hint, "%s", why)
		case !has(name):
			r.Diagnostics.Errorf(plan.CodeNotSet, in.Pos, "`victorgen set` stores a value of it", "%s has no value of %s", o.from, name)
		case !slices.Contains(inputs, name):
			inputs = append(inputs, name)
		}
	}
	for _, name := range inputs {
		in, _ := to.Input(name)
		if why, hint := unwritable(to, in); why != "" {
			r.Diagnostics.Errorf(plan.CodeNotSet, in.Pos, hint, "%s", why)
		}
		if in.NeverRotate && o.replace {
			r.Diagnostics.Errorf(plan.CodeNeverRotate, in.Pos, "name the inputs to be replaced, without it", "input %s has rotate: \"never\": what was encrypted with it could no longer be read", name)
		}
	}
	return inputs
}

// completeFrom completes what --from takes: sources, kinds, and the other environments.
func completeFrom(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	names, directive := completeTo(cmd, args, word)
	if len(args) == 0 {
		return names, directive
	}
	own := filepath.Clean(args[0])
	above := filepath.Dir(own)
	for _, name := range environmentsBelow(above + "/") {
		if name = filepath.Clean(name); name != own && filepath.Dir(name) == above {
			names = append(names, name+"\tenvironment")
		}
	}
	return names, directive
}

// completeTo completes sources and their kinds.
func completeTo(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	names := []string{defaultSource}
	if len(args) > 0 {
		names = append(names, sourceNames(args[0])...)
	}
	return append(names, plan.SourceKinds...), cobra.ShellCompDirectiveNoFileComp
}

// pick returns the inputs of p that are named.
func pick(p *plan.Plan, names []string) (inputs []plan.Input) {
	for _, name := range names {
		in, _ := p.Input(name)
		inputs = append(inputs, in)
	}
	return inputs
}

func (o *copyOptions) text(w io.Writer, _ *printer, r *result) {
	for _, c := range r.Copied {
		to := ""
		if c.To != "" {
			to = " to " + c.To
		}
		fmt.Fprintf(w, "%s: %s %s from %s%s\n", r.name(), c.State, c.Input, c.From, to)
	}
	if len(r.Copied) == 0 && r.OK {
		fmt.Fprintf(w, "%s: nothing of it is at %s\n", r.name(), o.from)
	}
}
