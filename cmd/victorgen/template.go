package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/internal/lazy"
)

func templateCommand() *cobra.Command {
	var kind, output string
	cmd := &cobra.Command{
		Use:   "template ENV",
		Short: "Print a commented dotenv file to fill in",
		Long: `Template prints a dotenv file with a line for each input that the environment
reads from its environment variables or its dotenv file: what is required, what
is optional, and what is generated where it is missing. Inputs that live elsewhere
are left out, unless --source env says otherwise.

With --output it goes to a file that only you can read; fill it in and keep it out
of Git. In an existing file, every line is kept: inputs that it does not name yet
are added at the end, as comments.`,
		Example: `  # start a dotenv file, or add what it lacks
  victorgen template envs/production --output .secrets.production

  # the same for an environment whose inputs live in a cloud
  victorgen template envs/production-aws --source env --output .secrets.production-aws`,
		Args:              argsOf(cobra.ExactArgs(1)),
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := compileOne(cmd, args[0], compiler.Options{Source: kind})
			if err != nil {
				return err
			}
			p := r.plan
			if output != "" {
				return extendTemplate(cmd, p, output)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), dotenvTemplate(p))
			return err
		},
	}
	permitFlags(cmd)
	asksNoSource(cmd)
	kindFlag(cmd, &kind)
	cmd.Flags().StringVar(&output, "output", "", "dotenv file to write, or to add to: no line is lost")
	noFormat(cmd, "output", &output)
	return cmd
}

// compileOne compiles a single environment, holds it to the policies and prints its
// diagnostics. With the error of one that is against a policy comes its plan.
func compileOne(cmd *cobra.Command, dir string, o compiler.Options) (*result, error) {
	if strings.HasSuffix(dir, "...") {
		return nil, usageError{fmt.Errorf("%s takes one environment, not a pattern", cmd.Name())}
	}
	allowed := vg.PermissionOf(optionsOf(cmd, o))
	r := &result{Directory: dir, Diagnostics: allowed.Unread}
	if !allowed.Unread.HasErrors() {
		if r.plan, r.Diagnostics = compiler.Compile(dir, o); r.plan != nil {
			e := &vg.Environment{Plan: r.plan}
			r.Diagnostics = append(r.Diagnostics, allowed.Policy(e)...)
			r.grant = e.Grant
		}
	}
	r.OK = !r.Diagnostics.HasErrors()
	newPrinter(cmd.ErrOrStderr()).print(findings([]result{*r}), 1)
	return r, exitOf([]result{*r})
}

// extendTemplate writes the template of p to file, or adds to it what it lacks.
func extendTemplate(cmd *cobra.Command, p *plan.Plan, file string) error {
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	var added []string
	created := false
	err = env.New(plan.Source{File: abs}, func(string) (string, bool) { return "", false }).Within(p.Module).Extend(cmd.Context(), func(content string, has func(string) bool) string {
		if created = strings.TrimSpace(content) == ""; created {
			return dotenvTemplate(p)
		}
		t := &template{plan: p, all: true, skip: func(name string) bool { return has(name) || commented(content, name) }}
		t.inputs()
		added = t.names
		return t.b.String()
	})
	var own plan.Diagnostics
	switch {
	case errors.As(err, &own):
		r := result{Directory: file, Diagnostics: own}
		newPrinter(cmd.ErrOrStderr()).print(findings([]result{r}), 1)
		return exitOf([]result{r})
	case err != nil:
		return err
	case created:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "created %s\n", inLine(file))
	case len(added) == 0:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s names all inputs already\n", inLine(file))
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "added to %s: %s\n", inLine(file), strings.Join(added, ", "))
	}
	return err
}

// commented reports whether an earlier template has left a comment for name.
func commented(content, name string) bool {
	for line := range strings.Lines(content) {
		if line, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok && strings.HasPrefix(strings.TrimSpace(line), name+"=") {
			return true
		}
	}
	return false
}

// template is a dotenv template as it is written.
type template struct {
	plan  *plan.Plan
	all   bool                   // everything is a comment
	skip  func(name string) bool // what is left out
	names []string               // of the inputs that are in it
	b     strings.Builder
}

// dotenvTemplate is the template of p for a file of its own.
func dotenvTemplate(p *plan.Plan) string {
	t := &template{plan: p, skip: func(string) bool { return false }}
	t.note("The inputs of %s in %s. Keep this file out of Git, with mode 0600.", p.PartOf, p.Environment)
	t.note("An environment variable of the same name wins over a line of this file.")
	elsewhere := map[string]int{}
	for _, in := range p.Inputs {
		if src, _ := p.Source(in.Source); in.Default == nil && src.Kind != plan.Env {
			elsewhere[src.String()]++
		}
	}
	for _, src := range slices.Sorted(maps.Keys(elsewhere)) {
		t.note("%s at source %s: not in this file.", plural(elsewhere[src], "input"), src)
	}
	t.inputs()
	for _, r := range p.Rules {
		t.b.WriteByte('\n')
		t.note("Rule %s (%s): %s", r.Name, r.Kind, strings.Join(r.Inputs, ", "))
	}
	return t.b.String()
}

// lineBreaks are all that some reader takes for the end of a line: a shell \n,
// Node's dotenv \r, Python's splitlines the others.
var lineBreaks = lazy.MustCompile("\r\n|[\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029]")

// note writes a comment. No text ends it: what follows a line break is a
// comment, too, and so is what a terminal would be told.
func (t *template) note(format string, args ...any) {
	for _, line := range lineBreaks.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), -1) {
		fmt.Fprintf(&t.b, "# %s\n", inLine(line))
	}
}

// inputs writes the inputs that live in a dotenv file.
func (t *template) inputs() {
	for _, part := range []struct {
		title   string
		comment bool
		has     func(plan.Input) bool
	}{
		{"Required", false, func(in plan.Input) bool { return in.Class == plan.Required }},
		{"Settings without a default", true, func(in plan.Input) bool { return in.Class == plan.Setting && in.Default == nil }},
		{"Optional", true, func(in plan.Input) bool { return in.Class == plan.Optional }},
		{"Generated: leave empty, the first build generates and keeps them here", false, func(in plan.Input) bool { return in.Class == plan.Generated }},
		{"Settings: change these in the contract, not here", true, func(in plan.Input) bool { return in.Default != nil }},
	} {
		first := true
		for _, in := range t.plan.Inputs {
			if src, _ := t.plan.Source(in.Source); !part.has(in) || in.Default == nil && src.Kind != plan.Env || t.skip(in.Name) {
				continue
			}
			if first {
				fmt.Fprintf(&t.b, "\n# --- %s ---\n", part.title)
				first = false
			}
			t.input(in, part.comment || t.all)
		}
	}
}

func (t *template) input(in plan.Input, comment bool) {
	t.names = append(t.names, in.Name)
	t.b.WriteByte('\n')
	if in.Description != "" {
		t.note("%s", in.Description)
	}
	if in.Docs != "" {
		t.note("See %s", in.Docs)
	}
	if in.Deprecated != "" {
		t.note("Deprecated: %s", in.Deprecated)
	}
	if c := in.MustBe(); c != "" && in.Default == nil {
		t.note("Must be: %s", c)
	}
	if parents := in.Parents(); len(parents) > 0 {
		t.note("Made from %s", plan.And(parents))
	}
	if in.Example != "" {
		t.note("Example: %s", in.Example)
	}
	if s, ok := t.plan.Source(in.Source); ok && s.Name != "default" && in.Default == nil {
		t.note("Goes to %s", filepath.Base(s.At()))
	}
	switch {
	case in.Default != nil:
		t.note("%s=%s", in.Name, *in.Default)
	case comment:
		t.note("%s=", in.Name)
	default:
		fmt.Fprintf(&t.b, "%s=\n", in.Name)
	}
}
