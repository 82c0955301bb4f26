package main

import (
	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/cluster"
)

// clusterFlags adds the flags that name a cluster, as kubectl has them.
func clusterFlags(cmd *cobra.Command, t *cluster.Target) {
	f := cmd.Flags()
	f.StringVar(&t.Kubeconfig, "kubeconfig", "", "kubeconfig file (default: that of KUBECONFIG, or ~/.kube/config)")
	f.StringVar(&t.Context, "context", "", "context of the kubeconfig (default: its current one)")
	cmd.RegisterFlagCompletionFunc("context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return cluster.Contexts(*t), cobra.ShellCompDirectiveNoFileComp
	})
}
