package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/awssecretsmanager"
	"github.com/victor-ai/victorgen/compiler/source/awsssm"
	"github.com/victor-ai/victorgen/compiler/source/env"
)

// openSources opens the sources of a plan. This is the one table of the kinds
// of source that there are. None of them connects before it is asked.
func openSources(p *plan.Plan) map[string]source.Source {
	sources := map[string]source.Source{}
	for _, s := range p.Sources {
		switch s.Kind {
		case plan.Env:
			sources[s.Name] = env.New(s.File, os.LookupEnv)
		case plan.AWSSSM:
			sources[s.Name] = awsssm.New(s)
		case plan.AWSSecretsManager:
			sources[s.Name] = awssecretsmanager.New(s)
		}
	}
	return sources
}

// openFor opens the sources of a plan, so that they keep nothing in a dry run.
func openFor(p *plan.Plan, dryRun bool) map[string]source.Source {
	sources := openSources(p)
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
	kinds := strings.Join(plan.SourceKinds, ", ")
	f := cmd.Flags()
	f.StringVar(&o.kind, "source", "", "kind of the default source, in the place of the contract's: "+kinds)
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long the sources of an environment may take")
	cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(plan.SourceKinds, cobra.ShellCompDirectiveNoFileComp))
	old := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if o.kind == fromContract {
			o.kind = ""
		}
		if o.kind != "" && !slices.Contains(plan.SourceKinds, o.kind) {
			return usageError{fmt.Errorf("--source takes one of %s, not %q", kinds, o.kind)}
		}
		if o.timeout <= 0 {
			return usageError{fmt.Errorf("--timeout must be more than nothing, as in 30s")}
		}
		if old != nil {
			return old(cmd, args)
		}
		return nil
	}
}
