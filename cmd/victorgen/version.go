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
		Long: `Print the version. As JSON, also its commit and date, the version of Go that built
it, and what it is made for: the version of sealed-secrets whose code seals, of
the External Secrets Operator that external delivery is tested against, and of
CUE.`,
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
