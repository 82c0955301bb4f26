package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
)

func versionCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print which victorgen this is. As JSON, also its commit and the date of it, the Go that
it was built with, and what it is made for: the sealed-secrets whose code seals, the
External Secrets Operator that external delivery is held to, and the CUE that compiles.`,
		Example: "  victorgen version\n  victorgen version -o json",
		Args:    argsOf(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := vg.Version()
			if format == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "victorgen %s\n", v.Version)
			return err
		},
	}
	outputFlag(cmd, &format)
	return cmd
}
