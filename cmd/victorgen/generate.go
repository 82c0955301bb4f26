package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

func generateCommand() *cobra.Command {
	var o struct {
		sourceOptions
		format string
		dryRun bool
		renew  []string
	}
	cmd := &cobra.Command{
		Use:   "generate ENV...",
		Short: "Generate the inputs that are missing, at their source",
		Long: `Generate makes each generated input that its source does not have, and stores it
there. A value that is there stays as it is, and of two that generate at once one
wins. Nothing else is asked for, so the required inputs may be missing still.

What is made from other inputs, such as the hash of a password, is checked against
them, and made anew if it does not belong to them any longer or ends soon: generate
says so, and why. Of external secrets, which a build does not read, this is the way.

An input that is missing at its source though victorgen.lock has a value of it is
not generated anew: that would take the place of what is in use. Bring it back,
with victorgen recover for one; --renew INPUT makes a new one on purpose.

A build does the same for itself; generate is for a job that may write to a
source, beside builds that may only read it.`,
		Example: `  victorgen generate envs/production
  victorgen generate ./envs/... --dry-run
  victorgen generate envs/dev --renew DB_PASSWORD         # the old one is lost for good
  victorgen generate envs/production --source aws-ssm -o json`,
		Args:              environments,
		ValidArgsFunction: completeDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forEach(cmd, args, compiler.Options{Source: o.kind}, o.format, "generating", func(ctx context.Context, r *result) {
				named(r, o.renew)
				if r.Diagnostics.HasErrors() {
					return
				}
				values, ds := source.Generate(ctx, r.plan, r.env.Sources(o.dryRun), source.Options{
					Timeout: o.timeout, Known: r.env.Known(vg.TreeOf(r.plan)), Renew: o.renew,
				})
				r.Diagnostics = append(r.Diagnostics, ds...)
				r.Generated, r.values = vg.Generated(r.plan, values), values
			}, generatedText("nothing is missing"))
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "store nothing; show what would be generated")
	cmd.Flags().StringSliceVar(&o.renew, "renew", nil, "inputs to generate anew if they are missing, though the lock knows a value of them")
	outputFlag(cmd, &o.format)
	return cmd
}

func rotateCommand() *cobra.Command {
	var o struct {
		sourceOptions
		format string
		due    bool
		dryRun bool
	}
	cmd := &cobra.Command{
		Use:   "rotate ENV INPUT... | ENV... --due",
		Short: "Generate new values for generated inputs, at their source",
		Long: `Rotate makes a new value for each generated input that is named, or with --due for
all whose value is older than rotateAfter, or else maxAge, and stores it at its
source in the place of the old one; and so for all that is made from it, such as
its hash. The next build seals them. What fails for one input stops no other.

With --due it takes any number of environments. An input that several have at one
place is rotated once. -o markdown says what was rotated and what was not, as the
text of a pull request. --due also drops the previous values that have had
their time (keepPrevious), where it is victorgen that keeps them.

Whatever else knows the old value, such as the database whose password it is, has
to learn the new one too: victorgen does not tell it.`,
		Example: `  victorgen rotate envs/production DB_PASSWORD
  victorgen rotate envs/production --due --dry-run
  victorgen rotate ./envs/... --due -o markdown > summary.md
  victorgen rotate envs/production --due && victorgen build envs/production`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && !o.due {
				return usageError{errors.New("name an environment, and then either inputs or --due")}
			}
			return nil
		},
		ValidArgsFunction: completeInputs(func(_ *plan.Plan, in plan.Input) bool { return in.Class == plan.Generated && !in.NeverRotate }),
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			if !o.due {
				args, names = args[:1], args[1:]
			}
			var turns source.Turns
			rotate := func(ctx context.Context, r *result) {
				sources := r.env.Sources(o.dryRun)
				options := source.Options{Timeout: o.timeout}
				inputs := named(r, names)
				if r.Diagnostics.HasErrors() {
					return
				}
				if o.due {
					dropped, ds := source.Forget(ctx, r.plan, sources, options)
					r.Dropped = dropped
					r.Diagnostics = append(r.Diagnostics, ds...)
				}
				if o.due { // what one source does not tell is no reason to leave the rest
					inputs, r.RotatedBy = turns.Take(r.plan, due(ctx, r, sources, options))
				}
				values, ds := source.Rotate(ctx, r.plan, sources, inputs, options)
				r.Diagnostics = append(r.Diagnostics, ds...)
				r.Generated, r.values = vg.Generated(r.plan, values), values
			}
			if o.format != "markdown" {
				return forEach(cmd, args, compiler.Options{Source: o.kind}, o.format, "rotating", rotate, generatedText("nothing is due"))
			}
			dirs, err := compiler.Find(args...)
			if err != nil {
				return usageError{err}
			}
			return showRotation(cmd, collect(cmd, dirs, compiler.Options{Source: o.kind}, "rotating", rotate), o.dryRun)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.due, "due", false, "rotate all generated inputs that are older than their rotateAfter, or maxAge")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "store nothing; show what would be generated")
	outputFlag(cmd, &o.format, "markdown")
	return cmd
}

// named returns the generated inputs of those names, and says of each other
// name why it is none.
func named(r *result, names []string) (inputs []plan.Input) {
	var generated []string
	for _, in := range r.plan.Inputs {
		if in.Class == plan.Generated {
			generated = append(generated, in.Name)
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		in, ok := declaredInput(r.plan, name)
		switch {
		case !ok:
			r.Diagnostics.Errorf(plan.CodeUnknownInput, nil, plan.DidYouMean(name, generated, "`victorgen explain ENV` lists them"),
				"there is no input %q", name)
		case in.Default != nil:
			r.Diagnostics.Errorf(plan.CodeGenerate, in.Pos, "change its default in the environment or the contract",
				"input %s is a setting: it is not generated", name)
		case in.Class != plan.Generated:
			r.Diagnostics.Errorf(plan.CodeGenerate, in.Pos, "replace it at its source, source "+in.Source,
				"input %s is %s: it is not generated", name, in.Class)
		case in.NeverRotate:
			r.Diagnostics.Errorf(plan.CodeNeverRotate, in.Pos,
				"add an input for the new key, let the application encrypt all anew with it, and then take "+name+" out of the contract; or take rotate: \"never\" away on purpose",
				"input %s says rotate: \"never\": what was encrypted with it could not be read any more", name)
		default:
			inputs = append(inputs, in)
		}
	}
	return inputs
}

// declaredInput returns an input of the contract: what has no place of its own at a source, as
// a previous value has none, is not for people to name.
func declaredInput(p *plan.Plan, name string) (plan.Input, bool) {
	in, ok := p.Input(name)
	return in, ok && in.PreviousOf() == ""
}

// due returns the generated inputs whose rotation is due.
func due(ctx context.Context, r *result, sources map[string]source.Source, o source.Options) []plan.Input {
	values, ds := source.Ages(ctx, r.plan, sources, o)
	r.Diagnostics = append(r.Diagnostics, ds...)
	return source.Due(r.plan, values, time.Now())
}

// generatedText prints what was generated, also beside errors: it is stored.
func generatedText(none string) func(io.Writer, *printer, *result) {
	return func(w io.Writer, _ *printer, r *result) {
		for _, m := range r.Generated {
			fmt.Fprintf(w, "%s: generated %s\n", r.name(), m)
		}
		for _, name := range slices.Sorted(maps.Keys(r.RotatedBy)) {
			fmt.Fprintf(w, "%s: %s is rotated by %s, which has the same\n", r.name(), name, r.RotatedBy[name])
		}
		for _, name := range r.Dropped {
			fmt.Fprintf(w, "%s: dropped the previous value of %s, whose time is over\n", r.name(), name)
		}
		if len(r.Generated)+len(r.RotatedBy)+len(r.Dropped) == 0 && r.OK {
			fmt.Fprintf(w, "%s: %s\n", r.name(), none)
		}
	}
}

// showRotation prints what was rotated as Markdown.
func showRotation(cmd *cobra.Command, results []result, dryRun bool) error {
	for i := range results {
		results[i].OK = !results[i].Diagnostics.HasErrors()
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), rotationMarkdown(results, dryRun)); err != nil {
		return err
	}
	newPrinter(cmd.ErrOrStderr()).print(findings(results), len(results))
	return exitOf(results)
}

// rotationMarkdown says what was rotated, and what was not, as the text of a pull
// request, which may be as long as a comment.
func rotationMarkdown(results []result, dryRun bool) string {
	var out strings.Builder
	rotated, failed := 0, 0
	for _, r := range results {
		rotated += len(r.Generated)
		if !r.OK {
			failed++
		}
	}
	would := ""
	if dryRun {
		would = "would be "
	}
	fmt.Fprintf(&out, "**%s %srotated in %s**", plural(rotated, "value"), would, plural(len(results), "environment"))
	if failed > 0 {
		fmt.Fprintf(&out, "; %s with errors", plural(failed, "environment"))
	}
	out.WriteString(".\n")
	for _, r := range results {
		if len(r.Generated)+len(r.RotatedBy)+len(r.Dropped)+len(r.Diagnostics) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n### %s\n\n", code(r.name()))
		for _, m := range r.Generated {
			fmt.Fprintf(&out, "- %s\n", code(clipped(strings.ReplaceAll(m, repositoryOf(r.Directory), ""), 600)))
		}
		for _, name := range slices.Sorted(maps.Keys(r.RotatedBy)) {
			fmt.Fprintf(&out, "- %s, with %s, which has the same\n", code(name), code(r.RotatedBy[name]))
		}
		for _, name := range r.Dropped {
			fmt.Fprintf(&out, "- the previous value of %s is dropped: its time is over\n", code(name))
		}
		for _, d := range r.Diagnostics {
			fmt.Fprintf(&out, "- %s %s\n", d.Severity, code(inRepository(d, r.Directory)))
		}
	}
	const end = "\nMore is left out.\n"
	text := out.String()
	if runes := []rune(text); len(runes) > maxComment {
		text = string(runes[:maxComment-len(end)])
		text = text[:strings.LastIndexByte(text, '\n')+1] + end
	}
	return text
}
