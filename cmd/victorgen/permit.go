package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// policyVariable names policies as --policy does, next to it.
const policyVariable = "VICTORGEN_POLICY"

// permitFlags adds the flags by which those who answer for an environment say
// what its contract may do.
func permitFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArray("allow", nil, "an address that the contract may send credentials to, a file outside the repository that it may name, or exec:COMMAND that it may run; may be repeated")
	f.StringArray("policy", nil, "a .cue file, or a directory of them, that each environment must satisfy, in addition to those of "+policyVariable+"; may be repeated")
}

// asksNoSource marks a verb that never asks a source: there a contract that names
// an address no one has allowed is warned of, and no error.
func asksNoSource(cmd *cobra.Command) { cmd.Annotations = map[string]string{noSource: "yes"} }

const noSource = "asks no source"

// asks reports whether a verb is about to ask sources.
func asks(cmd *cobra.Command) bool {
	offline, _ := cmd.Flags().GetBool("offline")
	return !offline && cmd.Annotations[noSource] == "" && (cmd.Name() != "verify" || cmd.Flags().Changed("source"))
}

// policiesOf are those that the command line and the process environment name.
func policiesOf(cmd *cobra.Command) []string {
	paths, _ := cmd.Flags().GetStringArray("policy")
	return append(paths, filepath.SplitList(os.Getenv(policyVariable))...)
}

// allowedBy is what --allow says.
func allowedBy(cmd *cobra.Command) []string {
	allowed, _ := cmd.Flags().GetStringArray("allow")
	return allowed
}
