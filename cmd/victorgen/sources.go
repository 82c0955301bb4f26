package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// openFor opens the sources of a plan, so that they keep nothing in a dry run.
func openFor(p *plan.Plan, dryRun bool) map[string]source.Source {
	sources := vg.OpenSources(p)
	if dryRun {
		for name, s := range sources {
			sources[name] = source.DryRun(s)
		}
	}
	return sources
}

// sourceOptions are the flags of the verbs that ask sources.
type sourceOptions struct {
	kind    string
	timeout time.Duration
}

func (o *sourceOptions) flags(cmd *cobra.Command) {
	kindFlag(cmd, &o.kind)
	permitFlags(cmd)
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "how long the sources of an environment may take")
	check(cmd, func() error {
		if o.timeout <= 0 {
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
}

// kindFlag adds --source to a verb.
func kindFlag(cmd *cobra.Command, kind *string) {
	kinds := strings.Join(plan.SourceKinds, ", ")
	cmd.Flags().StringVar(kind, "source", "", "kind of the default source, instead of the contract's: "+kinds)
	completes(cmd, "source", cobra.FixedCompletions(plan.SourceKinds, cobra.ShellCompDirectiveNoFileComp))
	check(cmd, func() error {
		if *kind == fromContract {
			*kind = ""
		}
		if *kind != "" && !slices.Contains(plan.SourceKinds, *kind) {
			return notOne("--source", "one of "+kinds, plan.SourceKinds, *kind)
		}
		return nil
	})
}

// check adds a check of flags to a verb.
func check(cmd *cobra.Command, flags func() error) {
	old := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := flags(); err != nil {
			return usageError{err}
		}
		if old != nil {
			return old(cmd, args)
		}
		return nil
	}
}
