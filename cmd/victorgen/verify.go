package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// fromContract is the value of a --source without one.
const fromContract = "contract"

func verifyCommand() *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify ENV...",
		Short: "Check a live cluster, or the sources",
		Long: `Verify checks a live cluster against the contract: whether each Secret is there,
with the keys, the type and the labels that it should have; whether its values
satisfy their inputs, and are not placeholders, not weak and not older than their
maxAge; whether derived values match the inputs they are made from; what the
controllers report; and whether two inputs have the same value, in one environment
or across those that are named.

It writes nothing, and prints names, lengths, ages and verdicts, never a value.
The right to get the Secrets by name is enough; the right to get what delivers
them, and to ask the controller for its certificate, lets it report more: whether
the certificates of the environment and its lock are the controller's own.

With --source it asks the sources of each environment instead of the cluster, for
all inputs, and checks these. With --no-values it asks them for metadata only, and
checks presence and age: this needs no right to read or decrypt values.`,
		Example: `  victorgen verify envs/production                        # the cluster of the current context
  victorgen verify envs/production envs/staging --context kind-victor --detailed
  victorgen verify envs/production -o sarif > verify.sarif
  victorgen verify envs/dev --direct                      # what victorgen apply has written

  victorgen verify --source envs/production
  victorgen verify --source ./envs/... -o json
  victorgen verify --source --no-values envs/production   # in a job that may not read secrets
  victorgen verify --source=env envs/production           # the dotenv file, whatever the contract says`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && o.kind == fromContract && slices.Contains(plan.SourceKinds, args[0]) {
				return usageError{fmt.Errorf("write --source=%s, to check a source of that kind", args[0])}
			}
			return environments(cmd, args)
		},
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.verify(cmd, args)
		},
	}
	o.sourceOptions.flags(cmd)
	f := cmd.Flags()
	f.Lookup("source").NoOptDefVal = fromContract
	f.Lookup("source").Usage = "check the sources; with KIND, the default source is of that kind, whatever the contract says"
	f.Lookup("timeout").Usage = "how long the cluster or the sources of an environment may take"
	f.BoolVar(&o.noValues, "no-values", false, "with --source: ask for metadata only: presence and age")
	f.BoolVar(&o.detailed, "detailed", false, "also show the keys with their lengths, what they are made from and their age, and the owner of each secret")
	f.BoolVar(&o.direct, "direct", false, "check what victorgen apply has written: no SealedSecret and no ExternalSecret")
	clusterFlags(cmd, &o.target)
	namespaceFlag(cmd, &o.namespace)
	f.Lookup("namespace").Usage = "with --direct: namespace of all Secrets, as victorgen apply has it"
	outputFlag(cmd, &o.format, ciFormats...)
	check(cmd, func() error {
		other, why := []string{"no-values"}, "checks sources: write --source"
		if f.Changed("source") {
			other, why = []string{"kubeconfig", "context", "detailed", "direct", "namespace"}, "is about a cluster: leave out --source"
		}
		for _, flag := range other {
			if f.Changed(flag) {
				return fmt.Errorf("--%s %s", flag, why)
			}
		}
		if f.Changed("namespace") && !o.direct {
			return errors.New("--namespace is for what victorgen apply has written: write --direct")
		}
		return nil
	})
	return cmd
}

type verifyOptions struct {
	sourceOptions
	target   cluster.Target
	format   string
	noValues bool
	detailed bool
	direct   bool

	namespace string
}

// verify judges the environments that patterns name.
func (o *verifyOptions) verify(cmd *cobra.Command, patterns []string) error {
	dirs, err := compiler.Find(patterns...)
	if err != nil {
		return usageError{err}
	}
	now := time.Now()
	compile, text := compiler.Options{Direct: o.direct, Namespace: o.namespace}, func(w io.Writer, _ *printer, r *result) { o.text(w, r, now) }
	sources := cmd.Flags().Changed("source")
	if sources {
		compile, text = compiler.Options{Source: o.kind}, verifyText
	}
	options := vg.VerifyOptions{
		Options: optionsOf(cmd, compile), Target: o.target, Detailed: o.detailed, FromSources: sources, NoValues: o.noValues, Now: now,
	}
	s := newStream(cmd, dirs, &options.Options, o.format, "verifying", text)
	for v := range vg.Verify(cmd.Context(), dirs, options) {
		r := resultOf(v.Environment)
		r.Verified, r.Inputs = v.Report, v.Inputs
		s.show(r)
	}
	return s.end()
}

// text shows a table of the secrets, or one of the keys of each.
func (o *verifyOptions) text(w io.Writer, r *result, now time.Time) {
	if r.Verified == nil {
		return
	}
	counts := map[cluster.Verdict]int{}
	for _, s := range r.Verified.Secrets {
		counts[s.Verdict]++
	}
	var parts []string
	for _, v := range []cluster.Verdict{cluster.VerdictOK, cluster.VerdictNotOK, cluster.VerdictLeftOut, cluster.VerdictUnknown} {
		if n := counts[v]; n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", v))
		}
	}
	fmt.Fprintf(w, "%s: %s in %s (%s: %s)\n", r.name(), verdictOn(r), r.Verified.Cluster, plural(len(r.Verified.Secrets), "secret"), strings.Join(parts, ", "))
	tw := newTable(w)
	defer tw.Flush()
	if !o.detailed {
		fmt.Fprintln(tw, "  SECRET\tTYPE\tKEYS\tDELIVERY\tVERDICT")
	}
	for _, s := range r.Verified.Secrets {
		there, declared := 0, 0
		for _, k := range s.Keys {
			if k.State == cluster.KeyPresent {
				there++
			}
			if k.State != cluster.KeyUndeclared {
				declared++
			}
		}
		delivery := cmp.Or(strings.TrimSpace(s.Delivery+" "+s.DeliveryState), "direct")
		if !o.detailed {
			fmt.Fprintf(tw, "  %s/%s\t%s\t%d/%d\t%s\t%s\n", s.Namespace, s.Name, s.Type, there, declared, delivery, s.Verdict)
			continue
		}
		fmt.Fprintf(tw, "  %s/%s: %s, %s, %s\n", s.Namespace, s.Name, s.Verdict, s.Type, delivery)
		if s.Created != nil {
			fmt.Fprintf(tw, "    owner %s, created %s ago, changed %s ago\n", cmp.Or(strings.Join(s.Owners, ", "), "none"), age(s.Created, now), age(s.Changed, now))
		}
		fmt.Fprintln(tw, "    KEY\tSTATE\tBYTES\tAGE\tMADE FROM")
		for _, k := range s.Keys {
			bytes := "-"
			if k.Bytes != nil {
				bytes = fmt.Sprint(*k.Bytes)
			}
			fmt.Fprintf(tw, "    %s\t%s\t%s\t%s\t%s\n", k.Name, k.State, bytes, age(k.Changed, now), cmp.Or(k.MadeFrom, "-"))
		}
		tw.Flush() // each has a table of its own
	}
}

// age writes how long ago something was.
func age(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return plan.Age(now.Sub(*t))
}

func verdictOn(r *result) string {
	if r.OK {
		return "ok"
	}
	return "not ok"
}

func verifyText(w io.Writer, _ *printer, r *result) {
	if len(r.Inputs) == 0 {
		return
	}
	counts := map[string]int{}
	for _, in := range r.Inputs {
		counts[in.State]++
	}
	var parts []string
	for _, state := range []string{"present", "absent", "unreadable"} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", state))
		}
	}
	fmt.Fprintf(w, "%s: %s (%s: %s)\n", r.name(), verdictOn(r), plural(len(r.Inputs), "input"), strings.Join(parts, ", "))
	tw := newTable(w)
	defer tw.Flush()
	fmt.Fprintln(tw, "  INPUT\tCLASS\tSTATE\tAGE\tMAX AGE\tFROM")
	for _, in := range r.Inputs {
		from := in.Origin
		if from == "" {
			from = strings.TrimSpace(in.Remote + " at " + in.Source)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%s\n", in.Name, in.Class, in.State, cmp.Or(in.Age, "-"), cmp.Or(in.MaxAge, "-"), from)
	}
}
