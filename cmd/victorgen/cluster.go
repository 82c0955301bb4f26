package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/victor-ai/victorgen/cluster"
)

// clusterFlags adds the flags that name a cluster, as kubectl has them.
func clusterFlags(cmd *cobra.Command, t *cluster.Target) {
	f := cmd.Flags()
	f.StringVar(&t.Kubeconfig, "kubeconfig", "", "kubeconfig file (default: that of KUBECONFIG, or ~/.kube/config)")
	f.StringVar(&t.Context, "context", "", "context of the kubeconfig (default: its current one)")
	completes(cmd, "context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return cluster.Contexts(*t), cobra.ShellCompDirectiveNoFileComp
	})
}

// namespaceFlag adds the flag that puts all Secrets into one namespace.
func namespaceFlag(cmd *cobra.Command, namespace *string) {
	cmd.Flags().StringVarP(namespace, "namespace", "n", "", "namespace of all Secrets, instead of the contract's")
	check(cmd, func() error {
		if problems := validation.IsDNS1123Label(*namespace); cmd.Flags().Changed("namespace") && len(problems) > 0 {
			return fmt.Errorf("--namespace %q is not a name that Kubernetes accepts", *namespace)
		}
		return nil
	})
}
