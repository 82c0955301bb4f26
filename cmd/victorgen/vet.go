package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
)

func vetCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "vet ENV...",
		Short: "Check contracts and environments, without values and without network",
		Long: `Vet compiles environments and reports everything that is wrong with them. It
reads CUE files and nothing else, so it can run anywhere: before a commit, or on
a pull request from a fork.`,
		Example: `  victorgen vet envs/production
  victorgen vet ./envs/...
  victorgen vet ./envs/... -o json`,
		Args:              environments,
		ValidArgsFunction: completeDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forEach(cmd, args, compiler.Options{}, format, "checking", nil, func(w io.Writer, _ *printer, r *result) {
				if r.OK {
					fmt.Fprintf(w, "%s: ok (%s, %s)\n", r.name(), plural(len(r.plan.Inputs), "input"), plural(len(r.plan.Secrets), "secret"))
				}
			})
		},
	}
	outputFlag(cmd, &format)
	return cmd
}
