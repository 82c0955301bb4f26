package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/trust"
)

// permitFlags adds the flags by which who runs a verb allows a contract more
// than it may do by itself.
func permitFlags(cmd *cobra.Command) {
	cmd.Flags().StringArray("allow", nil, "an address that the contract may send credentials to, or a file outside the repository that it may name; may be repeated")
}

// asksNoSource marks a verb that never asks a source: there a contract that names
// an address nobody has allowed is warned of, and no error.
func asksNoSource(cmd *cobra.Command) { cmd.Annotations = map[string]string{noSource: "yes"} }

const noSource = "asks no source"

// asks reports whether a verb is about to ask sources.
func asks(cmd *cobra.Command) bool {
	offline, _ := cmd.Flags().GetBool("offline")
	return !offline && cmd.Annotations[noSource] == "" && (cmd.Name() != "verify" || cmd.Flags().Changed("source"))
}

// permit reports what the contract of an environment may not do. It comes
// before any source, cluster or program is asked.
func permit(cmd *cobra.Command, p *plan.Plan) plan.Diagnostics {
	grant := grantOf(cmd)
	ds := trust.Files(p, grant, asks(cmd))
	if !ds.HasErrors() { // or else a file that nobody may read would be read for its addresses
		ds = append(ds, trust.Addresses(p, grant, os.LookupEnv, asks(cmd))...)
	}
	return ds
}

// grantOf is what --allow says.
func grantOf(cmd *cobra.Command) (g trust.Grant) {
	allowed, _ := cmd.Flags().GetStringArray("allow")
	for _, what := range allowed {
		if strings.Contains(what, "://") {
			g.Addresses = append(g.Addresses, what)
		} else if file, err := filepath.Abs(what); err == nil {
			g.Files = append(g.Files, file)
		}
	}
	return g
}
