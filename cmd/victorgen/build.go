package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/internal/dirlock"
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
		Long: `Build compiles each environment, resolves its inputs, makes the generated ones
that are missing, and those anew that do not belong to what they are made from,
seals what has changed, and writes the tree to deploy/ENVIRONMENT in the module.

Of external secrets it reads no values: it asks whether they are there, and
writes what the External Secrets Operator needs to copy them.

What has not changed keeps its ciphertext, so a second build changes no file.
Generated values are stored at their source before they are used. A build that
fails leaves the old tree as it was.`,
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
		ValidArgsFunction: completeDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.check && o.dryRun {
				return usageError{errors.New("--check and --dry-run exclude each other")}
			}
			if o.check && o.prune {
				return usageError{errors.New("--check and --prune exclude each other")}
			}
			if o.prune && !slices.ContainsFunc(args, func(p string) bool { return strings.HasSuffix(p, "...") }) {
				return usageError{errors.New("--prune is about all environments: name a pattern, such as ./envs/... for all")}
			}
			if dirs, err := compiler.Find(args...); o.ruleTests != "" && err == nil && len(dirs) > 1 {
				return usageError{errors.New("--rule-tests takes one environment: its file has the tests of one")}
			}
			results, err := collect(cmd, args, compiler.Options{Source: o.kind}, "building", func(ctx context.Context, r *result) { o.build(ctx, cmd.ErrOrStderr(), r) })
			if err != nil {
				return err
			}
			o.orphans(args, results)
			return show(cmd, results, o.format, o.text)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.check, "check", false, "write nothing; exit 1 if a build would change the tree")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what a build would do")
	f.BoolVar(&o.offline, "offline", false, "read no values; what is sealed stays, and what would need a value is an error")
	f.BoolVar(&o.noGenerate, "no-generate", false, "a generated input that is missing, or does not belong to what it is made from, is an error")
	f.BoolVar(&o.prune, "prune", false, "with a pattern: remove the trees of environments that the module does not have any more")
	f.StringSliceVar(&o.accept, "accept-certificate", nil, "SHA-256 of a certificate that may be sealed for, though the tree was sealed for another")
	f.StringVar(&o.ruleTests, "rule-tests", "", "file for promtool's unit tests of the alerting rules; the rules as it reads them come beside it, in *.rules.yaml. Written with --check and --dry-run, too")
	noFormat(cmd, "rule-tests", &o.ruleTests)
	outputDirFlag(cmd, &o.output)
	o.sourceOptions.flags(cmd)
	o.workloads.flags(cmd)
	f.Lookup("timeout").Usage = "how long the sources of an environment may take, and how long to wait for another build of it"
	outputFlag(cmd, &o.format, ciFormats...)
	return cmd
}

// build builds one environment.
func (o *buildOptions) build(ctx context.Context, stderr io.Writer, r *result) {
	p := r.plan
	var err error
	if r.Tree, err = treeIn(p, o.output); err != nil {
		r.fail(err)
		return
	}
	consumers := o.workloads.check(ctx, r)
	if r.Diagnostics.HasErrors() {
		return
	}
	if !(o.offline && (o.check || o.dryRun)) { // which writes nothing, neither to the tree nor to a source
		unlock, err := o.lock(ctx, stderr, p)
		if err != nil {
			r.fail(err)
			return
		}
		defer unlock()
	}

	old, ds := emit.ReadTree(r.Tree)
	r.Diagnostics = append(r.Diagnostics, ds...)
	if ds.HasErrors() {
		return
	}
	options := emit.Options{Accept: slices.Concat(o.accept, r.grant.Certificates), Consumers: consumers}
	ds, expired := emit.CheckCertificates(p, old, options)
	var sources map[string]source.Source // none: nobody is asked
	if !o.offline {
		sources = openFor(p, o.check || o.dryRun || expired || ds.HasErrors()) // a build that fails anyway generates nothing
	}
	r.Diagnostics = append(r.Diagnostics, source.Elsewhere(p, os.LookupEnv)...)
	values, more := source.Resolve(ctx, p, sources, source.Options{NoGenerate: o.noGenerate, Timeout: o.timeout, Known: lockKnows(r, r.Tree), Belongs: emit.Belonging(old)})
	if ds.HasErrors() || more.HasErrors() {
		r.Diagnostics = append(append(r.Diagnostics, ds...), more...)
		return
	}
	r.Diagnostics = append(r.Diagnostics, more...)
	r.values = values
	r.Generated = generated(p, values)
	tree, report, ds := emit.Emit(ctx, p, values, old, options)
	r.Diagnostics = append(r.Diagnostics, ds...)
	if expired && len(r.Generated) > 0 { // it was not: no secret has it yet, but one would
		r.Diagnostics.Errorf(plan.CodeCertificateExpired, nil, "fetch the controller's certificate: victorgen cert fetch ENV", "nothing is generated while the sealing certificate is not valid")
		r.Generated = nil
		return
	}
	if ds.HasErrors() {
		return
	}
	r.Report = &report
	r.Changes = emit.Diff(old, tree)
	switch {
	case o.dryRun:
	case o.check:
		if emit.OnlyRenews(old, tree) {
			r.Diagnostics.Warnf(plan.CodeLockOld, nil, "build once where the values can be read, and commit the result",
				"the tree in %s is what a build would write, but its lock is of an earlier version", r.Tree)
		} else if len(r.Changes) > 0 {
			r.Diagnostics.Errorf(plan.CodeTreeDiffers, nil, "run `victorgen build` and commit the result",
				"the tree in %s is not what a build would write", r.Tree)
		}
	default:
		r.fail(writeTree(ctx, tree, r.Tree))
	}
	if o.ruleTests == "" {
		return
	}
	if report.Alerts == nil {
		r.Diagnostics.Errorf(plan.CodeIncomplete, nil, "write `alerts: {}` in the contract or the environment", "environment %q has no alerts to test", p.Environment)
	} else if err := writeRuleTests(report.Alerts, o.ruleTests); err != nil {
		r.Diagnostics.Errorf(plan.CodeTreeWrite, nil, "name a file in a directory that is there, and none that somebody else wrote", "cannot write the tests of the rules: %v", err)
	}
}

// lock keeps other builds of an environment away. It waits for one that is under
// way, but no longer than the sources may take.
func (o *buildOptions) lock(ctx context.Context, stderr io.Writer, p *plan.Plan) (unlock func(), err error) {
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	unlock, err = dirlock.Lock(limited, p.Dir, func() {
		fmt.Fprintf(stderr, "waiting for another build of %s\n", p.Environment)
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		var late plan.Diagnostics
		late.Errorf(plan.CodeTreeWrite, nil, "wait until it has ended, or give it longer with --timeout; the old tree is as it was",
			"another build of %s has not ended within %v", p.Environment, o.timeout)
		return nil, late
	}
	return unlock, err
}

// writeRuleTests writes the unit tests of the alerting rules to file, and beside
// it the rules: promtool reads those of a rule file, not those of a manifest.
func writeRuleTests(a *emit.Alerts, file string) error {
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
		if err := emit.CheckOurs(name); err != nil {
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

// treeIn is where the tree of an environment is below dir, the value of --output.
func treeIn(p *plan.Plan, dir string) (string, error) {
	tree := treeOf(p)
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		tree = filepath.Join(abs, p.Environment)
	}
	return tree, trust.Tree(p, tree, dir != "").Err()
}

// outputDirFlag adds --output to a verb.
func outputDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "output", "", "directory of the trees; each environment's is below it (default deploy in the module)")
	cmd.RegisterFlagCompletionFunc("output", completeDirs)
	noFormat(cmd, "output", dir)
}

// treeOf is where the tree of an environment is, unless --output says otherwise.
func treeOf(p *plan.Plan) string { return filepath.Join(p.Module, "deploy", p.Environment) }

func writeTree(ctx context.Context, t *emit.Tree, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return t.Write(ctx, dir)
}

// fail adds err, if there is one, to what the environment has to say.
func (r *result) fail(err error) {
	var own plan.Diagnostics
	if err != nil && !errors.As(err, &own) {
		own.Errorf(plan.CodeTreeWrite, nil, "the old tree is as it was", "%v", err)
	}
	r.Diagnostics = append(r.Diagnostics, own...)
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
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	for _, m := range r.Generated {
		fmt.Fprintf(tw, "  generated\t%s\n", m)
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
