package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
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
		Long: `Generate generates each input that its source does not have, and stores it there.
A value that exists is kept, and if two generate at the same time, one wins.
Nothing else is read, so required inputs may still be missing.

What is made from other inputs, such as the hash of a password, is checked against
them, and regenerated if it no longer matches them or ends soon: generate says so,
and why. For external secrets, which a build does not read, this is the way.

An input that is missing at its source though victorgen.lock has a value of it is
not generated again: that would replace what is in use. Restore it, for example
with victorgen recover; --renew INPUT generates a new one on purpose.

A build does the same; generate is for a job that may write to a source, next
to builds that may only read it.`,
		Example: `  victorgen generate envs/production
  victorgen generate ./envs/... --dry-run
  victorgen generate envs/dev --renew DB_PASSWORD         # the old one is lost for good
  victorgen generate envs/production --source aws-ssm -o json`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forEach(cmd, args, compiler.Options{Source: o.kind}, o.format, "generating", func(ctx context.Context, r *result) {
				named(r, o.renew)
				if r.Diagnostics.HasErrors() {
					return
				}
				sources := r.env.Sources(o.dryRun)
				values, ds := source.Generate(ctx, r.plan, sources, source.Options{
					Timeout: o.timeout, Known: r.env.Known(vg.TreeOf(r.plan)), Renew: o.renew,
				})
				r.Diagnostics = append(append(r.Diagnostics, ds...), source.WarnPending(ctx, r.plan, sources, nil, source.Options{Timeout: o.timeout})...)
				r.Generated, r.values = vg.Generated(r.plan, values), values
			}, generatedText("nothing is missing"))
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "store nothing; show what would be generated")
	cmd.Flags().StringSliceVar(&o.renew, "renew", nil, "inputs to generate again if they are missing, though the lock knows a value of them")
	completes(cmd, "renew", completeRenew)
	outputFlag(cmd, &o.format)
	return cmd
}

// isRotatable tells whether a new value of an input can be generated on purpose.
func isRotatable(in plan.Input) bool { return in.Class == plan.Generated && !in.NeverRotate }

// rotateOptions are the flags of rotate.
type rotateOptions struct {
	sourceOptions
	format    string
	due       bool
	dryRun    bool
	resume    bool
	abort     bool
	told      bool
	variables bool
	limit     time.Duration // of the command
}

func rotateCommand() *cobra.Command {
	o := &rotateOptions{}
	cmd := &cobra.Command{
		Use:   "rotate ENV INPUT... [-- COMMAND...] | ENV... --due [-- COMMAND...] | ENV... --resume|--abort [-- COMMAND...]",
		Short: "Generate new values for generated inputs, at their source",
		Long: `Rotate generates a new value for each generated input that is named, or with --due
for all whose value is older than rotateAfter, or else maxAge, and stores it at
its source, where it replaces the old one; and so for everything that is made from
it, such as its hash. The next build seals them. A failure for one input does not
stop the others.

With --due it takes any number of environments. An input that several of them share
is rotated once. -o markdown says what was rotated and what was not, as the
text of a pull request. --due also drops the previous values that have expired
(keepPrevious), where victorgen keeps them.

Anything else that knows the old value, such as the database whose password it is,
needs the new one too: that is what COMMAND is for. The new values are stored as
pending, next to the current ones; the command runs; only when it exits with 0 do
they become current, all of the call together. It finds the values in files that
only its user can open, INPUT.old and INPUT.new in the directory VICTORGEN_VALUES,
which is removed afterwards; VICTORGEN_INPUTS has the names, and
VICTORGEN_ENVIRONMENT that of the environment. What it prints goes to standard
error, without the values. It must be safe to run twice.

If the command fails, or everything is killed, both values are at the source, and
the next rotate and each build report what is pending. --resume runs the command
(again) and makes the new values current; where it is known to have ended, no
command is needed. --abort runs it with the old and the new values swapped, and
takes the new ones back. --told says that the other side has been told by other
means, and runs nothing. A value that was not passed on yet is taken back by the
next rotate.`,
		Example: `  victorgen rotate envs/production DB_PASSWORD
  victorgen rotate envs/production DB_PASSWORD -- ./tell-postgres.sh
  victorgen rotate envs/production --resume -- ./tell-postgres.sh
  victorgen rotate envs/production --abort --told         # the database has the old one
  victorgen rotate envs/production --due --dry-run
  victorgen rotate ./envs/... --due -o markdown > summary.md
  victorgen rotate envs/production --due && victorgen build envs/production`,
		Args: func(cmd *cobra.Command, args []string) error {
			args, command, dash := behindDash(cmd, args)
			ends := o.resume || o.abort
			switch {
			case dash && len(command) == 0:
				return usageError{errors.New("name the command after --, as in victorgen rotate envs/production DB_PASSWORD -- ./tell-postgres.sh")}
			case ends && len(args) == 0:
				return usageError{errors.New("name an environment")}
			case !ends && (len(args) == 0 || len(args) == 1 && !o.due):
				return usageError{errors.New("name an environment, and then either inputs or --due")}
			case o.resume && o.abort:
				return usageError{errors.New("write --resume or --abort, not both")}
			case ends && (o.due || o.dryRun):
				return usageError{errors.New("--resume and --abort are about what is pending: leave out --due and --dry-run")}
			case o.told && !ends:
				return usageError{errors.New("--told is for --resume and --abort")}
			case o.told && dash:
				return usageError{errors.New("with --told no command is run: leave out one of the two")}
			case !dash && (o.variables || cmd.Flag("command-timeout").Changed):
				return usageError{errors.New("--values-in-env and --command-timeout are about a command, which comes after --")}
			case o.limit <= 0:
				return usageError{errors.New("--command-timeout must be positive, as in 30s")}
			}
			if dash {
				if _, err := exec.LookPath(command[0]); err != nil {
					return usageError{fmt.Errorf("%s can't be run: %w", command[0], errors.Unwrap(err))}
				}
			}
			return nil
		},
		ValidArgsFunction: completeInputs(func(_ *plan.Plan, in plan.Input) bool { return isRotatable(in) }),
		RunE: func(cmd *cobra.Command, args []string) error {
			sweepPrivate()
			args, command, _ := behindDash(cmd, args)
			var names []string
			if !o.due && !o.resume && !o.abort {
				args, names = args[:1], args[1:]
			}
			var turns source.Turns
			var alone sync.Mutex // two environments may have one place, where one rotation is pending at a time
			rotate := func(ctx context.Context, r *result) {
				var tell source.Tell
				if len(command) > 0 {
					run := &teller{command: command, environment: r.name(), variables: o.variables, timeout: o.limit, stderr: cmd.ErrOrStderr()}
					tell = func(ctx context.Context, changed []source.Changed) error {
						err := run.Tell(ctx, changed)
						if err == nil {
							r.Told = append(r.Told, told(changed)...)
						}
						return err
					}
					alone.Lock()
					defer alone.Unlock()
				}
				if o.resume || o.abort {
					o.end(ctx, r, tell)
					return
				}
				sources := r.env.Sources(o.dryRun && tell == nil)
				options := source.Options{Timeout: o.timeout}
				inputs := named(r, names)
				if r.Diagnostics.HasErrors() {
					return
				}
				if o.due {
					dropped, ds := source.Forget(ctx, r.plan, r.env.Sources(o.dryRun), options)
					r.Dropped = dropped
					r.Diagnostics = append(r.Diagnostics, ds...)
					// What one source does not tell is no reason to leave the rest.
					inputs, r.RotatedBy = turns.Take(r.plan, due(ctx, r, sources, options))
				}
				var values value.Set
				var ds plan.Diagnostics
				switch {
				case tell == nil:
					values, ds = source.Rotate(ctx, r.plan, sources, inputs, options)
				case o.dryRun:
					values, ds = source.RotateTelling(ctx, r.plan, sources, inputs, nil, options)
					if len(inputs) > 0 && !ds.HasErrors() {
						r.WouldRun = command
					}
				default:
					values, ds = source.RotateTelling(ctx, r.plan, sources, inputs, tell, options)
				}
				r.Diagnostics = append(r.Diagnostics, ds...)
				r.Generated, r.values = vg.Generated(r.plan, values), values
			}
			none := "nothing is due"
			if o.resume || o.abort {
				none = "nothing is pending"
			}
			if o.format != "markdown" {
				return forEach(cmd, args, compiler.Options{Source: o.kind}, o.format, "rotating", rotate, generatedText(none))
			}
			dirs, err := compiler.Find(args...)
			if err != nil {
				return usageError{err}
			}
			return showRotation(cmd, collect(cmd, dirs, compiler.Options{Source: o.kind}, "rotating", rotate), o.dryRun)
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.due, "due", false, "rotate all generated inputs that are older than their rotateAfter, or maxAge")
	f.BoolVar(&o.dryRun, "dry-run", false, "store nothing and run nothing; show what would be generated, and run")
	f.BoolVar(&o.resume, "resume", false, "finish what is pending: tell the other side the new values, and make them current")
	f.BoolVar(&o.abort, "abort", false, "take back what is pending: tell the other side the old values, and drop the new ones")
	f.BoolVar(&o.told, "told", false, "the other side already knows: with --resume the new values, with --abort the old ones")
	f.BoolVar(&o.variables, "values-in-env", false, "the command has the values in its environment, too, as VICTORGEN_OLD_INPUT and VICTORGEN_NEW_INPUT: others may see them there")
	f.DurationVar(&o.limit, "command-timeout", 5*time.Minute, "how long the command may take")
	outputFlag(cmd, &o.format, "markdown")
	return cmd
}

// behindDash splits what stands before -- from what stands behind it.
func behindDash(cmd *cobra.Command, args []string) (before, behind []string, dash bool) {
	if i := cmd.ArgsLenAtDash(); i >= 0 {
		return args[:i], args[i:], true
	}
	return args, nil, false
}

// end ends what is pending in an environment.
func (o *rotateOptions) end(ctx context.Context, r *result, tell source.Tell) {
	end := source.Resume
	if o.abort {
		end = source.Abort
	}
	ended, values, ds := end(ctx, r.plan, r.env.Sources(false), tell, source.Options{Timeout: o.timeout, Told: o.told})
	r.Ended, r.values = ended, values
	r.Diagnostics = append(r.Diagnostics, ds...)
}

// told are the names of what a command was told of.
func told(changed []source.Changed) (names []string) {
	for _, c := range changed {
		names = append(names, c.Input.Name)
	}
	return names
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
				"add an input for the new key, let the application re-encrypt everything with it, and then remove "+name+" from the contract; or remove rotate: \"never\" on purpose",
				"input %s has rotate: \"never\": what was encrypted with it could no longer be read", name)
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
	r.Diagnostics = append(r.Diagnostics, append(ds, source.Ageless(r.plan, values)...)...)
	return source.Due(r.plan, values, time.Now())
}

// generatedText prints what was generated, also next to errors: it is stored.
func generatedText(none string) func(io.Writer, *printer, *result) {
	return func(w io.Writer, _ *printer, r *result) {
		if len(r.Told) > 0 {
			fmt.Fprintf(w, "%s: the command was told of %s\n", r.name(), plan.And(r.Told))
		}
		if len(r.WouldRun) > 0 {
			fmt.Fprintf(w, "%s: would run %s\n", r.name(), strings.Join(r.WouldRun, " "))
		}
		for _, e := range r.Ended {
			fmt.Fprintf(w, "%s: %s\n", r.name(), endedText(e))
		}
		for _, m := range r.Generated {
			fmt.Fprintf(w, "%s: generated %s\n", r.name(), m)
		}
		for _, name := range slices.Sorted(maps.Keys(r.RotatedBy)) {
			fmt.Fprintf(w, "%s: %s is rotated by %s, which shares it\n", r.name(), name, r.RotatedBy[name])
		}
		for _, name := range r.Dropped {
			fmt.Fprintf(w, "%s: dropped the previous value of %s, which has expired\n", r.name(), name)
		}
		if len(r.Generated)+len(r.RotatedBy)+len(r.Dropped)+len(r.Ended) == 0 && r.OK {
			fmt.Fprintf(w, "%s: %s\n", r.name(), none)
		}
	}
}

// endedText says what has become of a rotation that was pending.
func endedText(e source.Ended) string {
	since := e.Since.UTC().Format(time.RFC3339)
	if e.TakenBack {
		return fmt.Sprintf("took back what was pending for %s since %s: the old value is current", plan.And(e.Inputs), since)
	}
	return fmt.Sprintf("finished what was pending for %s since %s: the new value is current", plan.And(e.Inputs), since)
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
		if len(r.Generated)+len(r.RotatedBy)+len(r.Dropped)+len(r.Ended)+len(r.Diagnostics) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n### %s\n\n", code(r.name()))
		for _, m := range r.Generated {
			fmt.Fprintf(&out, "- %s\n", code(clipped(strings.ReplaceAll(m, repositoryOf(r.Directory), ""), 600)))
		}
		if len(r.Told) > 0 {
			fmt.Fprintf(&out, "- the command was told of %s\n", code(plan.And(r.Told)))
		}
		for _, e := range r.Ended {
			fmt.Fprintf(&out, "- %s\n", endedText(e))
		}
		for _, name := range slices.Sorted(maps.Keys(r.RotatedBy)) {
			fmt.Fprintf(&out, "- %s, with %s, which shares it\n", code(name), code(r.RotatedBy[name]))
		}
		for _, name := range r.Dropped {
			fmt.Fprintf(&out, "- the previous value of %s is dropped: it has expired\n", code(name))
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
