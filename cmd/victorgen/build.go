package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/alerts"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/safefile"
)

type buildOptions struct {
	sourceOptions
	format     string
	output     string
	check      bool
	dryRun     bool
	offline    bool
	noGenerate bool
	ruleTests  string
	accept     []string
	prune      bool
	workloads  workloadOptions
}

func buildCommand() *cobra.Command {
	o := &buildOptions{}
	cmd := &cobra.Command{
		Use:   "build ENV...",
		Short: "Compile environments into kustomize trees",
		Long: `Build compiles each environment, resolves its inputs, generates those that are
missing, regenerates those that do not match what they are made from,
seals what has changed, and writes the tree to deploy/ENVIRONMENT in the module.

Of external secrets it reads no values: it asks whether they are there, and
writes what the External Secrets Operator needs to copy them.

What has not changed keeps its ciphertext, so a second build changes no file.
Generated values are stored at their source before they are used. A build that
fails leaves the old tree unchanged.`,
		Example: `  # the tree of production
  victorgen build envs/production

  # all environments
  victorgen build ./envs/...

  # in CI, with no values at all: is the committed tree what the contract says?
  victorgen build ./envs/... --offline --check

  # from a dotenv file, whatever the contract says
  victorgen build envs/production --source env

  # remove the trees of environments that are gone
  victorgen build ./envs/... --prune

  # what would change?
  victorgen build envs/production --dry-run

  # test the alerting rules of the tree
  victorgen build envs/production --rule-tests rules.test.yaml
  promtool test rules rules.test.yaml`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.check && o.dryRun {
				return usageError{errors.New("--check and --dry-run exclude each other")}
			}
			if o.check && o.prune {
				return usageError{errors.New("--check and --prune exclude each other")}
			}
			if o.prune && !isPattern(args) {
				return usageError{errors.New("--prune is about all environments: name a pattern, such as ./envs/... for all")}
			}
			dirs, err := compiler.Find(args...)
			if err != nil {
				return usageError{err}
			}
			if o.ruleTests != "" && len(dirs) > 1 {
				return usageError{errors.New("--rule-tests takes one environment: its file has the tests of one")}
			}
			return o.build(cmd, dirs, isPattern(args))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.check, "check", false, "write nothing; exit 1 if a build would change the tree")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what a build would do")
	f.BoolVar(&o.offline, "offline", false, "read no values; what is sealed stays, and what would need a value is an error")
	f.BoolVar(&o.noGenerate, "no-generate", false, "a generated input that is missing, or does not match what it is made from, is an error")
	f.BoolVar(&o.prune, "prune", false, "with a pattern: remove the trees of environments that the module no longer has")
	f.StringSliceVar(&o.accept, "accept-certificate", nil, "SHA-256 of a certificate to seal for, though the tree was sealed for another")
	f.StringVar(&o.ruleTests, "rule-tests", "", "file for promtool's unit tests of the alerting rules; the rules as it reads them are written next to it, in *.rules.yaml. Written with --check and --dry-run, too")
	noFormat(cmd, "rule-tests", &o.ruleTests)
	outputDirFlag(cmd, &o.output)
	o.sourceOptions.flags(cmd)
	o.workloads.flags(cmd)
	f.Lookup("timeout").Usage = "how long the sources of an environment may take, and how long to wait for another build of it"
	outputFlag(cmd, &o.format, ciFormats...)
	return cmd
}

// build builds the environments in dirs; all says that these are all of a pattern.
func (o *buildOptions) build(cmd *cobra.Command, dirs []string, all bool) error {
	options := vg.BuildOptions{
		Options: optionsOf(cmd, compiler.Options{Source: o.kind}),
		Check:   o.check, DryRun: o.dryRun, Offline: o.offline, NoGenerate: o.noGenerate, Prune: o.prune,
		AcceptCertificates: o.accept, Workloads: o.workloads.Workloads,
		Waiting: func(environment string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "waiting for another build of %s\n", environment)
		},
	}
	options.All = all
	s := newStream(cmd, dirs, &options.Options, o.format, "building", o.text)
	for b := range vg.Build(cmd.Context(), dirs, options) {
		r := resultOf(b.Environment)
		r.Tree, r.Report, r.Changes, r.Generated, r.Pruned = b.Tree, b.Report, b.Changes, b.Generated, b.Pruned
		if b.Report != nil {
			if o.ruleTests != "" {
				r.Diagnostics = append(r.Diagnostics, o.test(r)...)
			}
			r.Report.Alerts = nil
		}
		s.show(r)
	}
	return s.end()
}

// test writes the unit tests of the alerting rules of an environment.
func (o *buildOptions) test(r *result) (ds plan.Diagnostics) {
	if r.Report.Alerts == nil {
		ds.Errorf(plan.CodeIncomplete, nil, "write `alerts: {}` in the contract or the environment", "environment %q has no alerts to test", r.Environment)
	} else if err := writeRuleTests(r.Report.Alerts, o.ruleTests); err != nil {
		ds.Errorf(plan.CodeTreeWrite, nil, "name a file in an existing directory, and not one that victorgen did not write", "cannot write the tests of the rules: %v", err)
	}
	return ds
}

// writeRuleTests writes the unit tests of the alerting rules to file, and next to
// it the rules: promtool reads those of a rule file, not those of a manifest.
func writeRuleTests(a *alerts.Set, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	rulesFile := strings.TrimSuffix(file, filepath.Ext(file)) + ".rules.yaml"
	rules, err := a.Rules()
	if err != nil {
		return err
	}
	tests, err := a.Tests(filepath.Base(rulesFile))
	if err != nil {
		return err
	}
	for _, name := range []string{rulesFile, file} { // both before one is written
		if err := tree.CheckOurs(name); err != nil {
			return err
		}
	}
	for name, data := range map[string][]byte{rulesFile: rules, file: tests} {
		if err := safefile.Replace(name, data, 0o644); err != nil {
			reason, _ := safefile.Explain(name, err)
			return fmt.Errorf("%s: %s", name, reason)
		}
	}
	return nil
}

// outputDirFlag adds --output to a verb.
func outputDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "output", "", "directory of the trees; each environment's is below it (default deploy in the module)")
	completes(cmd, "output", completeDirs)
	noFormat(cmd, "output", dir)
}

func (o *buildOptions) text(w io.Writer, p *printer, r *result) {
	for _, file := range r.Pruned {
		verb := "removed"
		if o.dryRun {
			verb = "would remove"
		}
		fmt.Fprintf(w, "%s %s\n", verb, p.rel(file))
	}
	if r.Report == nil || r.Diagnostics.HasErrors() && !o.check { // with --check the error is that it differs
		return
	}
	counts := map[emit.State]int{}
	secrets := 0
	for _, s := range r.Report.Secrets {
		if !s.LeftOut {
			secrets++
		}
		for _, k := range s.Keys {
			counts[k.State]++
		}
	}
	verb := "wrote"
	switch {
	case len(r.Changes) == 0:
		verb = "unchanged"
	case o.check || o.dryRun:
		verb = "would write"
	}
	referenced := ""
	if n := counts[emit.Referenced]; n > 0 {
		referenced = fmt.Sprintf(", %d referenced", n)
	}
	fmt.Fprintf(w, "%s: %s %s (%s: %s sealed, %d kept%s, %d left out)\n", r.name(), verb, p.rel(r.Tree),
		plural(secrets, "secret"), plural(counts[emit.Sealed], "key"), counts[emit.Kept], referenced, counts[emit.LeftOut])
	tw := newTable(w)
	defer tw.Flush()
	for _, m := range r.Generated {
		fmt.Fprintf(tw, "  generated\t%s\n", m)
	}
	for _, name := range r.Report.Dropped {
		fmt.Fprintf(tw, "  dropped\tthe previous value of %s, which has expired\n", name)
	}
	for _, c := range r.Report.Certificates {
		if c.New {
			fmt.Fprintf(tw, "  sealed for\tSHA-256 %s, ends %s (%s)\n", c.SHA256, c.NotAfter.Format(time.DateOnly), p.rel(c.File))
		}
	}
	for _, s := range r.Report.Secrets {
		for _, g := range groups(s.Keys) {
			fmt.Fprintf(tw, "  %s\t%s: %s\n", g.title, s.Name, strings.Join(g.keys, ", "))
		}
	}
	for _, c := range r.Changes {
		fmt.Fprintf(tw, "  %s\t%s\n", c.Kind, c.Path)
	}
}

// group is some keys of one secret that the same became of.
type group struct {
	title string
	keys  []string
}

// groups puts together the keys that were sealed for the same reason, and
// those that were left out, for which each has a reason of its own: -o json
// tells it.
func groups(keys []emit.KeyReport) []group {
	var gs []group
	for _, k := range keys {
		title := string(k.State)
		switch k.State {
		case emit.Kept, emit.Referenced:
			continue
		case emit.Sealed:
			title += " (" + k.Why + ")"
		}
		i := slices.IndexFunc(gs, func(g group) bool { return g.title == title })
		if i < 0 {
			i = len(gs)
			gs = append(gs, group{title: title})
		}
		gs[i].keys = append(gs[i].keys, k.Name)
	}
	return gs
}
