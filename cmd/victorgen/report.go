package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/safefile"
	"github.com/victor-ai/victorgen/report"
)

func reportCommand() *cobra.Command {
	o := &reportOptions{}
	cmd := &cobra.Command{
		Use:   "report ENV...",
		Short: "Write an inventory of all secrets, as one HTML page",
		Long: `Report writes an inventory of environments: a matrix of inputs by environments, a
map from sources over inputs and secrets to the workloads that use them, a
calendar of rotations and of certificates that end, the findings of vet, and what
differs between two environments.

With --html it writes one page that needs nothing else: open it, publish it, print
it. It loads nothing from elsewhere. It is made from contracts, trees and
manifests alone, without values or network, and never contains a value. The age of
values is read from the locks of the trees.

With --live it asks the cluster as verify does, and with --values the sources as
verify --source does: both only check, and their findings, states and ages are in
the report.

The exit code is that of the findings: 1 if one is an error. The page is written
anyway, unless nothing is known about any environment.`,
		Example: `  victorgen report ./envs/... --html report.html
  victorgen report ./envs/...                                # a line for each environment
  victorgen report ./envs/... -o json > report.json
  victorgen report envs/production --html report.html --live --context prod-eu
  victorgen report ./envs/... --html - --values > report.html`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE:              o.run,
	}
	asksNoSource(cmd)
	permitFlags(cmd)
	o.vetting.workloads.flags(cmd)
	clusterFlags(cmd, &o.target)
	f := cmd.Flags()
	f.StringVar(&o.html, "html", "", "file to write the page to, or - for standard output")
	f.BoolVar(&o.live, "live", false, "also check the cluster, as verify does")
	f.BoolVar(&o.values, "values", false, "also check what the sources hold, as verify --source does; no value is shown")
	f.DurationVar(&o.timeout, "timeout", compiler.DefaultTimeout, "how long compiling an environment may take, and how long its cluster or its sources may take")
	cmd.MarkFlagFilename("html", "html", "htm")
	noFormat(cmd, "html", &o.html)
	outputFlag(cmd, &o.format)
	check(cmd, func() error {
		switch {
		case f.Changed("html") && o.html == "":
			return errors.New("--html takes a file, or - for standard output")
		case o.html == "-" && o.format == "json":
			return errors.New("--html - and -o json both write to standard output: name a file for the page")
		case !o.live && (f.Changed("kubeconfig") || f.Changed("context")):
			return errors.New("--kubeconfig and --context name a cluster: write --live to check it")
		case o.timeout <= 0:
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	return cmd
}

type reportOptions struct {
	vetting      vetting
	target       cluster.Target
	html, format string
	live, values bool
	timeout      time.Duration
}

func (o *reportOptions) run(cmd *cobra.Command, patterns []string) error {
	dirs, err := compiler.Find(patterns...)
	if err != nil {
		return usageError{err}
	}
	if o.html != "" && o.html != "-" {
		if err := replaceable("html", o.html, report.PageMark, "a page of victorgen report"); err != nil {
			return err
		}
	}
	now := time.Now()
	results, told := o.vet(cmd, dirs, isPattern(patterns), now)
	judges := []string{"vet"}
	judge := func(by string, options vg.VerifyOptions) {
		judges = append(judges, by)
		o.verify(cmd, dirs, by, options, results, told)
	}
	if o.live {
		judge("verify", vg.VerifyOptions{Target: o.target, Detailed: true, Now: now})
	}
	if o.values {
		judge("verify --source", vg.VerifyOptions{FromSources: true, Now: now})
	}
	r := report.New(now, judges, told)
	for i := range results {
		results[i].OK = !results[i].Diagnostics.HasErrors()
	}
	failed := exitOf(results)
	if left := len(dirs) - len(results); left > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "error: stopped before the end; %d of %s were not begun\n", left, plural(len(dirs), "environment"))
		newPrinter(cmd.ErrOrStderr()).print(findings(results), len(dirs))
		return failure(exitFindings)
	}
	known := slices.ContainsFunc(told, func(e *report.Environment) bool { return e.Known })
	wrote := ""
	if o.html != "" && known {
		page, err := r.Page()
		if err != nil {
			return err
		}
		if o.html == "-" {
			_, err = cmd.OutOrStdout().Write(page)
		} else if err = safefile.Overwrite(o.html, page, 0o644); err == nil {
			wrote = fmt.Sprintf("wrote %s (%d kB)\n", inLine(o.html), (len(page)+999)/1000)
		}
		if err != nil {
			return cannotWrite(o.html, err)
		}
	}
	switch {
	case o.format == "json":
		err = encode(cmd.OutOrStdout(), r)
	case o.html != "-":
		err = reportText(cmd.OutOrStdout(), r, wrote)
	}
	newPrinter(cmd.ErrOrStderr()).print(findings(results), len(dirs))
	if o.html != "" && !known {
		fmt.Fprintln(cmd.ErrOrStderr(), "error: nothing is known about any environment, so no page is written")
	}
	if err != nil {
		return err
	}
	return failed
}

// vet judges environments as vet does, and tells what there is to know of them without
// values and network.
func (o *reportOptions) vet(cmd *cobra.Command, dirs []string, all bool, now time.Time) (rs []result, told []*report.Environment) {
	options := optionsOf(cmd, compiler.Options{Timeout: o.timeout, Review: true})
	options.All = all
	pr := newProgress(cmd.ErrOrStderr(), "reporting", len(dirs))
	defer pr.clear()
	options.Watch = pr.watch
	for r := range results(cmd, dirs, options, func(ctx context.Context, r *result) {
		o.vetting.check(ctx, r)
		r.told = o.tell(ctx, r, now)
	}) {
		e := r.told
		if e == nil {
			module, ok := compiler.ModuleRoot(r.Directory)
			if !ok {
				module = r.Directory
			}
			e = report.NotKnown(r.Environment, r.Directory, module)
		}
		e.Judge("vet", r.Diagnostics)
		r.env, r.plan = nil, nil
		rs, told = append(rs, *r), append(told, e)
	}
	return rs, told
}

// tell tells what there is to know of an environment.
func (o *reportOptions) tell(ctx context.Context, r *result, now time.Time) *report.Environment {
	s := report.Subject{Plan: r.plan}
	if dir, err := vg.TreeIn(r.plan, ""); err != nil {
		r.fail(err)
	} else {
		var ds plan.Diagnostics
		s.Lock, ds = tree.LockOf(dir)
		r.Diagnostics = append(r.Diagnostics, ds...)
	}
	s.Certificates, _, _ = sealing.Certificates(r.plan, now)
	s.Workloads, _ = o.vetting.workloads.Read(ctx, r.plan) // of which vet has told what is wrong
	return report.Of(s)
}

// verify judges environments by a cluster or by their sources, and adds that to what is
// told of them.
func (o *reportOptions) verify(cmd *cobra.Command, dirs []string, by string, options vg.VerifyOptions, rs []result, told []*report.Environment) {
	options.Options = optionsOf(cmd, compiler.Options{})
	pr := newProgress(cmd.ErrOrStderr(), "verifying", len(dirs))
	defer pr.clear()
	options.Watch = pr.watch
	number := map[string]int{}
	for i, r := range rs {
		number[r.Directory] = i
	}
	add := func(directory string, ds plan.Diagnostics) {
		if i, ok := number[directory]; ok {
			rs[i].Diagnostics = append(rs[i].Diagnostics, ds...)
			told[i].Judge(by, ds)
		}
	}
	options.Late = add
	for v := range vg.Verify(cmd.Context(), dirs, options) {
		add(v.Directory, v.Diagnostics)
		i, ok := number[v.Directory]
		if !ok {
			continue
		}
		if v.Report != nil {
			told[i].Live(v.Report)
		}
		for _, in := range v.Inputs {
			told[i].Held(in.Name, in.State, in.Changed)
		}
	}
}

// reportText prints a line for each environment.
func reportText(w io.Writer, r *report.Report, wrote string) error {
	tw := newTable(w)
	fmt.Fprintln(tw, "ENVIRONMENT\tINPUTS\tSECRETS\tWORKLOADS\tNEXT DUE\tFINDINGS")
	for _, e := range r.Environments {
		found := "none"
		if errors, warnings := e.Counts(); errors+warnings > 0 {
			found = strings.TrimPrefix(strings.TrimSuffix(plural(errors, "error")+", "+plural(warnings, "warning"), ", 0 warnings"), "0 errors, ")
		}
		if !e.Known {
			fmt.Fprintf(tw, "%s\t-\t-\t-\t-\t%s\n", inLine(e.Environment), found)
			continue
		}
		workloads, next := "-", "-"
		if e.Consumers != nil {
			workloads = fmt.Sprint(len(e.Consumers))
		}
		if d, ok := e.Next(); ok {
			next = fmt.Sprintf("%s %s, %s", d.At.Format(time.DateOnly), d.Of, d.Kind)
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\n", inLine(e.Environment), len(e.Inputs), len(e.Secrets), workloads, inLine(next), found)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, wrote)
	return err
}

// replaceable says why the file that a flag names is not to be written: it is another one
// than what it is to become, so someone has mistaken its name, or it can't be.
func replaceable(flag, file, mark, what string) error {
	wrong := func(why string) error { return usageError{fmt.Errorf("--%s %s: %s", flag, inLine(file), why)} }
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir, err := os.Stat(filepath.Dir(file)); err != nil || !dir.IsDir() {
			return wrong("there is no directory " + filepath.Dir(file))
		}
		return nil
	case err != nil:
		return cannotWrite(file, err)
	case info.IsDir():
		return wrong("it is a directory: name a file in it")
	case !info.Mode().IsRegular():
		return wrong("it is not a regular file")
	case info.Size() == 0:
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return cannotWrite(file, err)
	}
	defer f.Close()
	head := make([]byte, len(mark))
	if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, []byte(mark)) {
		return wrong("it is there, and is not " + what + ": name another file, or remove it")
	}
	return nil
}

func cannotWrite(file string, err error) error {
	return fmt.Errorf("cannot write %s: %w", inLine(file), safefile.Reason(err))
}
