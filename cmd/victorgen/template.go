package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
)

func templateCommand() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "template ENV",
		Short: "Print a commented dotenv template of an environment",
		Long: `Template prints a dotenv file with a line for each input that the environment
reads from its environment variables or its .secrets file: what is required, what
is optional, and what victorgen mints by itself. Fill it in and keep it out of
Git. Inputs that live elsewhere are left out, unless --source env says otherwise.`,
		Example: `  # start a .secrets file that nobody else can read
  (umask 077; victorgen template envs/production > .secrets)

  # the same for an environment whose inputs live in a cloud
  (umask 077; victorgen template envs/production-aws --source env > .secrets)`,
		Args:              argsOf(cobra.ExactArgs(1)),
		ValidArgsFunction: completeDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := compileOne(cmd, args[0], compiler.Options{Source: kind})
			if err != nil {
				return err
			}
			writeTemplate(cmd.OutOrStdout(), p)
			return nil
		},
	}
	kindFlag(cmd, &kind)
	return cmd
}

// compileOne compiles a single environment and prints its diagnostics.
func compileOne(cmd *cobra.Command, dir string, o compiler.Options) (*plan.Plan, error) {
	if strings.HasSuffix(dir, "...") {
		return nil, usageError{fmt.Errorf("%s takes one environment, not a pattern", cmd.Name())}
	}
	r := result{Directory: dir}
	r.plan, r.Diagnostics = compiler.Compile(dir, o)
	r.OK = !r.Diagnostics.HasErrors()
	newPrinter(cmd.ErrOrStderr()).print(findings([]result{r}), 1)
	return r.plan, exitOf([]result{r})
}

func writeTemplate(w io.Writer, p *plan.Plan) {
	fmt.Fprintf(w, "# The inputs of %s in %s. Keep this file out of Git, with mode 0600.\n", p.PartOf, p.Environment)
	fmt.Fprintf(w, "# An environment variable of the same name wins over a line of this file.\n")
	elsewhere := map[string]int{}
	for _, in := range p.Inputs {
		if src, _ := p.Source(in.Source); in.Default == nil && src.Kind != plan.Env {
			elsewhere[src.String()]++
		}
	}
	for _, src := range slices.Sorted(maps.Keys(elsewhere)) {
		fmt.Fprintf(w, "# %s at source %s: not in this file.\n", plural(elsewhere[src], "input"), src)
	}
	for _, part := range []struct {
		title   string
		comment string // before the name
		has     func(plan.Input) bool
	}{
		{"Required", "", func(in plan.Input) bool { return in.Class == plan.Required }},
		{"Settings without a default", "# ", func(in plan.Input) bool { return in.Class == plan.Setting && in.Default == nil }},
		{"Optional", "# ", func(in plan.Input) bool { return in.Class == plan.Optional }},
		{"Generated: leave empty, the first build mints and keeps them here", "", func(in plan.Input) bool { return in.Class == plan.Generated }},
		{"Settings: change these in the contract, not here", "# ", func(in plan.Input) bool { return in.Default != nil }},
	} {
		first := true
		for _, in := range p.Inputs {
			if src, _ := p.Source(in.Source); !part.has(in) || in.Default == nil && src.Kind != plan.Env {
				continue
			}
			if first {
				fmt.Fprintf(w, "\n# --- %s ---\n", part.title)
				first = false
			}
			writeInput(w, p, in, part.comment)
		}
	}
	for _, r := range p.Rules {
		fmt.Fprintf(w, "\n# Rule %s (%s): %s", r.Name, r.Kind, strings.Join(r.Inputs, ", "))
	}
	if len(p.Rules) > 0 {
		fmt.Fprintln(w)
	}
}

func writeInput(w io.Writer, p *plan.Plan, in plan.Input, comment string) {
	fmt.Fprintln(w)
	note := func(format string, args ...any) {
		// A line break in a description must not end the comment.
		for line := range strings.Lines(fmt.Sprintf(format, args...)) {
			fmt.Fprintf(w, "# %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if in.Description != "" {
		note("%s", in.Description)
	}
	if in.Docs != "" {
		note("See %s", in.Docs)
	}
	if in.Deprecated != "" {
		note("Deprecated: %s", in.Deprecated)
	}
	if c := constraints(in); c != "" && in.Default == nil {
		note("Must be: %s", c)
	}
	if in.Example != "" {
		note("Example: %s", in.Example)
	}
	if s, ok := p.Source(in.Source); ok && s.Name != "default" && in.Default == nil {
		note("Belongs into %s", filepath.Base(s.File))
	}
	value := ""
	if in.Default != nil {
		value = *in.Default
	}
	for i, line := range strings.Split(value, "\n") {
		if i == 0 {
			fmt.Fprintf(w, "%s%s=%s\n", comment, in.Name, line)
		} else {
			fmt.Fprintf(w, "# %s\n", line)
		}
	}
}

// constraints puts into words what a value must be.
func constraints(in plan.Input) string {
	c := in.Constraints
	var parts []string
	if in.Encoding != "" {
		parts = append(parts, "in "+string(in.Encoding))
	}
	if c.Format != "" {
		parts = append(parts, "format "+c.Format)
	}
	if c.Pattern != nil {
		parts = append(parts, "pattern "+c.Pattern.String())
	}
	if c.MinLength > 0 {
		parts = append(parts, fmt.Sprintf("%d characters or more", c.MinLength))
	}
	if c.MaxLength > 0 {
		parts = append(parts, fmt.Sprintf("%d characters at most", c.MaxLength))
	}
	if len(c.OneOf) > 0 {
		parts = append(parts, "one of "+strings.Join(c.OneOf, ", "))
	}
	if c.MinStrength > 0 && in.Class != plan.Generated {
		parts = append(parts, fmt.Sprintf("%v bits of strength or more", c.MinStrength))
	}
	return strings.Join(parts, "; ")
}
