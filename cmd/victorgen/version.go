package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
)

func versionCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  victorgen version\n  victorgen version -o json",
		Args:    argsOf(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := thisVersion()
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

type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

func thisVersion() versionInfo {
	version, commit := vg.Version()
	return versionInfo{Version: version, Commit: commit, Go: runtime.Version()}
}
