package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
)

type applyOptions struct {
	sourceOptions
	cluster.ApplyOptions
	target         cluster.Target
	format         string
	namespace      string
	noGenerate     bool
	skipValidation bool
}

func applyCommand() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply ENV...",
		Short: "Write Secrets to a cluster, without a tree",
		Long: `Apply resolves the inputs of each environment, generates those that are
missing, and writes the Secrets themselves to the cluster of a kubeconfig, for
teams without GitOps and for local clusters. How the contract delivers them
otherwise does not matter.

It is a server-side apply: fields set by others are kept. A Secret that
belongs to a controller, such as a SealedSecret's, or to another environment, and
fields that others have set, are left alone unless --force-conflicts takes them.
The API server tries all of it first, and if it refuses anything, nothing is
written. A Secret that is already as it should be is not written.

--prune deletes the Secrets that an earlier apply of the same environment has
written, to the same namespaces, and that the contract no longer has. --restart
restarts the Deployments, StatefulSets and DaemonSets whose containers get a
Secret whose data has changed, as kubectl rollout restart does.

A dry run generates and writes nothing. That of the client needs only the right to
read; in that of the server, the API server says what it would refuse.`,
		Example: `  victorgen apply envs/dev
  victorgen apply envs/dev --dry-run                      # what would change?
  victorgen apply envs/staging --context staging --prune --restart
  victorgen apply envs/dev -n feature-42 --create-namespace
  victorgen apply envs/production --source aws-ssm --no-generate -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.Flags().Changed("dry-run") && (args[0] == cluster.DryRunClient || args[0] == cluster.DryRunServer) {
				return usageError{fmt.Errorf("write --dry-run=%s", args[0])}
			}
			return environments(cmd, args)
		},
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.skipValidation {
				fmt.Fprintln(cmd.ErrOrStderr(), "VALIDATION IS SKIPPED: values that are placeholders, weak or against the contract are applied anyway")
			}
			return o.apply(cmd, args)
		},
	}
	f := cmd.Flags()
	clusterFlags(cmd, &o.target)
	namespaceFlag(cmd, &o.namespace)
	f.BoolVar(&o.CreateNamespace, "create-namespace", false, "create the namespaces that are missing")
	f.StringVar(&o.DryRun, "dry-run", "", "generate and write nothing; show what would change: client (the default), or server, which also says what it would refuse")
	f.Lookup("dry-run").NoOptDefVal = cluster.DryRunClient
	dryRuns := []string{cluster.DryRunClient, cluster.DryRunServer}
	completes(cmd, "dry-run", cobra.FixedCompletions(dryRuns, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.ForceConflicts, "force-conflicts", false, "write Secrets and fields that belong to others, too")
	f.BoolVar(&o.Prune, "prune", false, "delete the Secrets of the environment that the contract no longer has")
	f.BoolVar(&o.Restart, "restart", false, "restart the workloads that consume a Secret whose data has changed")
	f.BoolVar(&o.noGenerate, "no-generate", false, "a generated input that is missing, or does not match what it is made from, is an error")
	f.BoolVar(&o.skipValidation, "skip-validation", false, "apply values that are placeholders, weak or against the contract, with a warning")
	check(cmd, func() error {
		if f.Changed("dry-run") && !slices.Contains(dryRuns, o.DryRun) {
			return notOne("--dry-run", "client or server", dryRuns, o.DryRun)
		}
		return nil
	})
	o.sourceOptions.flags(cmd)
	f.Lookup("timeout").Usage = "how long the sources of an environment may take, and then each request to the cluster"
	outputFlag(cmd, &o.format)
	return cmd
}

// apply applies the environments that patterns name.
func (o *applyOptions) apply(cmd *cobra.Command, patterns []string) error {
	dirs, err := compiler.Find(patterns...)
	if err != nil {
		return usageError{err}
	}
	options := vg.ApplyOptions{
		Options: optionsOf(cmd, compiler.Options{Source: o.kind, Namespace: o.namespace}),
		Target:  o.target, Cluster: o.ApplyOptions, NoGenerate: o.noGenerate, SkipValidation: o.skipValidation,
	}
	s := newStream(cmd, dirs, &options.Options, o.format, "applying", o.text)
	for a := range vg.Apply(cmd.Context(), dirs, options) {
		r := resultOf(a.Environment)
		r.Applied, r.Generated = a.Report, a.Generated
		s.show(r)
	}
	return s.end()
}

func (o *applyOptions) text(w io.Writer, _ *printer, r *result) {
	switch {
	case r.Applied == nil && len(r.Generated) > 0, r.Applied != nil && len(r.Applied.Secrets) == 0 && r.Diagnostics.HasErrors():
		fmt.Fprintf(w, "%s: nothing was applied\n", r.name())
	case r.Applied != nil:
		fmt.Fprintf(w, "%s: %s (%s)\n", r.name(), verdict(r.Applied), tally(r.Applied))
	}
	for _, m := range r.Generated { // next to errors, too: it is stored
		fmt.Fprintf(w, "  generated %s\n", m)
	}
	if r.Applied == nil {
		return
	}
	for _, name := range r.Applied.Namespaces {
		fmt.Fprintf(w, "  created namespace %s\n", name)
	}
	for _, s := range r.Applied.Secrets {
		why := ""
		if s.Why != "" {
			why = " (" + s.Why + ")"
		}
		fmt.Fprintf(w, "  %s %s/%s%s\n", s.State, s.Namespace, s.Name, why)
		for _, g := range keysBy(s.Keys) {
			fmt.Fprintf(w, "    %s: %s\n", g.title, strings.Join(g.keys, ", "))
		}
	}
	for _, l := range r.Applied.Restarted {
		fmt.Fprintf(w, "  restarted %s in namespace %s (it consumes %s)\n", l, l.Namespace, strings.Join(l.Secrets, ", "))
	}
}

// verdict says in a word what came of an apply.
func verdict(a *cluster.ApplyReport) string {
	is := func(states ...cluster.Outcome) bool {
		return slices.ContainsFunc(a.Secrets, func(s cluster.AppliedSecret) bool { return slices.Contains(states, s.State) })
	}
	switch {
	case is(cluster.NotApplied):
		return "applied in part to " + a.Cluster
	case !is(cluster.Created, cluster.Changed, cluster.Pruned):
		return "unchanged in " + a.Cluster
	case a.DryRun != "":
		return "would apply to " + a.Cluster
	}
	return "applied to " + a.Cluster
}

// tally counts Secrets by what became of them.
func tally(a *cluster.ApplyReport) string {
	counts := map[cluster.Outcome]int{}
	for _, s := range a.Secrets {
		counts[s.State]++
	}
	text, separator := plural(len(a.Secrets), "secret"), ": "
	for _, state := range outcomes {
		if n := counts[state]; n > 0 {
			text += fmt.Sprint(separator, n, " ", state)
			separator = ", "
		}
	}
	return text
}

// outcomes are in the order in which they are told.
var outcomes = []cluster.Outcome{cluster.Created, cluster.Changed, cluster.Removed, cluster.Unchanged, cluster.LeftOut, cluster.Pruned, cluster.NotApplied}

// keysBy puts together the keys of which the same became.
func keysBy(keys []cluster.AppliedKey) (gs []group) {
	for _, state := range outcomes {
		g := group{title: string(state)}
		for _, k := range keys {
			if k.State == state {
				g.keys = append(g.keys, k.Name)
			}
		}
		if len(g.keys) > 0 {
			gs = append(gs, g)
		}
	}
	return gs
}
