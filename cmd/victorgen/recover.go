package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

type recoverOptions struct {
	sourceOptions
	target    cluster.Target
	namespace string
	format    string
	output    string
	replace   bool
	dryRun    bool
	yes       bool
}

func recoverCommand() *cobra.Command {
	o := &recoverOptions{}
	cmd := &cobra.Command{
		Use:   "recover ENV [INPUT...]",
		Short: "Restore lost values from the cluster",
		Long: `Recover reads what the Secrets of an environment hold in the cluster, and writes
to its source the inputs that the source does not have, or those that are named.
It asks before it writes, and prints names and places, never a value.

Only a key that is an input byte for byte, or in base64, gives its value; inputs
that are only in templates are listed by name. Where victorgen.lock has a tag of the
key, and the source the lock key, the value must be the one that the tree was
built with. The lock key itself is in no Secret: a colleague or a backup has it.

A value that is there already is kept, unless --replace is given.`,
		Example: `  victorgen recover envs/production --dry-run        # what could be brought back?
  victorgen recover envs/production --context prod-eu
  victorgen recover envs/production DB_PASSWORD --yes -o json
  victorgen recover envs/production DB_PASSWORD --replace`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name an environment, and then the inputs if only some are meant")}
			}
			if o.replace && len(args) < 2 {
				return usageError{errors.New("--replace is for inputs that are named")}
			}
			return nil
		},
		ValidArgsFunction: completeInputs(func(_ *plan.Plan, in plan.Input) bool {
			why, _ := unrecoverable(in)
			return why == ""
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !o.yes && !o.dryRun && !term.IsTerminal(int(os.Stdin.Fd())) {
				return usageError{errors.New("there is no terminal to ask on: write --yes, or --dry-run to see what it would do")}
			}
			if dirs, err := compiler.Find(args[0]); err == nil && len(dirs) > 1 {
				return usageError{errors.New("recover takes one environment")}
			}
			return forEach(cmd, args[:1], compiler.Options{Source: o.kind, Namespace: o.namespace}, o.format, "", func(ctx context.Context, r *result) {
				o.recover(ctx, cmd, r, args[1:])
			}, o.text)
		},
	}
	f := cmd.Flags()
	clusterFlags(cmd, &o.target)
	namespaceFlag(cmd, &o.namespace)
	f.BoolVar(&o.replace, "replace", false, "write over another value that is at the source, of the inputs that are named")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what could be brought back")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	outputDirFlag(cmd, &o.output)
	o.sourceOptions.flags(cmd)
	f.Lookup("timeout").Usage = "how long the sources may take, and then each request to the cluster"
	outputFlag(cmd, &o.format)
	return cmd
}

// recoveredInput is what became of one input.
type recoveredInput struct {
	Input     string `json:"input"`
	State     string `json:"state"`          // recovered, would recover, not recovered, unchanged
	From      string `json:"from,omitempty"` // NAMESPACE/NAME KEY
	Origin    string `json:"origin,omitempty"`
	Confirmed bool   `json:"confirmed"` // by its tag in the lock
}

func (o *recoverOptions) recover(ctx context.Context, cmd *cobra.Command, r *result, names []string) {
	p := r.plan
	client, err := cluster.Connect(o.target)
	if err != nil {
		r.Diagnostics.Errorf(plan.CodeClusterRead, nil, "name one with --kubeconfig and --context", "%v", err)
		return
	}
	inputs := recoverable(r, names)
	if r.Diagnostics.HasErrors() {
		return
	}
	asked := slices.Clone(inputs)
	lockKey, sealed := p.Input(plan.LockKey)
	if sealed {
		asked = append(asked, lockKey)
	}
	sources := r.env.Sources(o.dryRun)
	have, ds := source.Peek(ctx, p, sources, asked, source.Options{Timeout: o.timeout})
	found, more := client.Find(ctx, p, inputs, o.timeout)
	dir, err := vg.TreeIn(p, o.output)
	r.fail(err)
	confirm, problems := tree.Confirmer(p, dir, have[plan.LockKey].Value)
	r.Diagnostics = append(append(append(r.Diagnostics, ds...), more...), problems...)
	if r.Diagnostics.HasErrors() {
		return
	}
	values := map[string]value.Value{}
	for _, in := range inputs {
		if v, story, ok := o.choose(r, in, len(names) > 0, have[in.Name], found[in.Name], confirm); ok {
			r.Recovered = append(r.Recovered, story)
			if story.State != unchanged {
				values[in.Name] = v
			}
		}
	}
	if sealed && have[plan.LockKey].State == value.Absent {
		r.Diagnostics.Warnf(plan.CodeUnrecoverable, lockKey.Pos, "ask a colleague, or look in a backup",
			"%s is absent too, and no Secret holds it, so nothing could be checked against %s", plan.LockKey, tree.LockFile)
	}
	if len(values) == 0 || o.dryRun || r.Diagnostics.HasErrors() {
		return
	}
	written := value.Set{}
	if o.yes || ask(cmd, r, len(values)) {
		written, ds = source.Put(ctx, p, sources, values, o.replace, source.Options{Timeout: o.timeout})
		r.Diagnostics = append(r.Diagnostics, ds...)
	}
	for i := range r.Recovered {
		if s := &r.Recovered[i]; s.State != unchanged {
			s.State = "not recovered"
			if v, ok := written[s.Input]; ok {
				s.State, s.Origin = "recovered", v.Origin
			}
		}
	}
}

// recoverable returns the inputs that are named, or all that a source is asked for.
func recoverable(r *result, names []string) (inputs []plan.Input) {
	var all []string
	for _, in := range r.plan.Inputs {
		if why, _ := unrecoverable(in); why == "" {
			all = append(all, in.Name)
			if len(names) == 0 || slices.Contains(names, in.Name) {
				inputs = append(inputs, in)
			}
		}
	}
	for _, name := range names {
		in, ok := declaredInput(r.plan, name)
		if !ok {
			r.Diagnostics.Errorf(plan.CodeUnknownInput, nil, plan.DidYouMean(name, all, "`victorgen explain ENV` lists them"), "there is no input %q", name)
		} else if why, hint := unrecoverable(in); why != "" {
			r.Diagnostics.Errorf(plan.CodeUnrecoverable, in.Pos, hint, "%s", why)
		}
	}
	return inputs
}

// unrecoverable says why no Secret has a value of in for its source, and what to do.
func unrecoverable(in plan.Input) (why, hint string) {
	switch {
	case in.Name == plan.LockKey:
		return in.Name + " is in no Secret", "ask a colleague, or look in a backup"
	case in.Generate != nil && in.Generate.InCluster: // what the operator has made and its source has lost
		return "", ""
	}
	return unstorable(in)
}

// choose decides about one input, and reports why it is not to be recovered.
func (o *recoverOptions) choose(r *result, in plan.Input, named bool, have value.Resolved, found []cluster.Found,
	confirm func(namespace, name, key string, content value.Value) (bool, bool)) (v value.Value, story recoveredInput, ok bool) {
	report := r.Diagnostics.Warnf
	if named {
		report = r.Diagnostics.Errorf
	}
	var best *cluster.Found
	story = recoveredInput{Input: in.Name, State: "would recover"}
	for i := range found {
		f := &found[i]
		confirmed, differs := confirm(f.Namespace, f.Name, f.Key, f.Content)
		switch {
		case differs:
			if have.State == value.Absent || named {
				r.Diagnostics.Errorf(plan.CodeNotTheLocks, in.Pos, "apply the tree; or, if this one is right, set it at the source",
					"what key %s holds of %s is not what the tree was built with", f, in.Name)
			}
			return v, story, false
		case best != nil && !best.Value.Equal(f.Value):
			r.Diagnostics.Errorf(plan.CodeNotTheLocks, in.Pos, "find out which one is right, and set it at the source",
				"%s has one value in %s and another in %s", in.Name, best, f)
			return v, story, false
		case best == nil || confirmed:
			best, story.From, story.Confirmed = f, f.String(), confirmed
		}
	}
	switch {
	case best == nil && !named && (have.State == value.Present || in.MayBeAbsent()):
		return v, story, false
	case best == nil:
		why := "no Secret in the cluster holds it"
		for _, s := range r.plan.Secrets {
			for _, k := range s.Keys {
				if k.Template != nil && slices.Contains(k.Inputs(), in.Name) {
					why = fmt.Sprintf("it is only in a template (key %q of secret %s/%s)", k.Name, s.Namespace, s.Name)
				}
			}
		}
		report(plan.CodeUnrecoverable, in.Pos, "a colleague or a backup may have it", "%s cannot be recovered: %s", in.Name, why)
		return v, story, false
	case have.State == value.Present && have.Value.Equal(best.Value):
		story.State = unchanged
		return v, story, named
	case have.State == value.Present && !o.replace:
		report(plan.CodeHasAnother, in.Pos, "if the one in the cluster is right: `victorgen recover ENV "+in.Name+" --replace`",
			"%s at %s differs from the one in %s, and is kept", in.Name, have.Origin, best)
		return v, story, false
	}
	if why, hint := partly(r.plan, in); why != "" {
		report(plan.CodeUnrecoverable, in.Pos, hint, "%s", why)
		return v, story, false
	}
	return best.Value, story, true
}

// ask asks whether to write. Only yes is yes.
func ask(cmd *cobra.Command, r *result, n int) bool {
	w := cmd.ErrOrStderr()
	for _, s := range r.Recovered {
		if s.State != unchanged {
			fmt.Fprintf(w, "%s: from %s%s\n", s.Input, s.From, checked(s))
		}
	}
	fmt.Fprintf(w, "Write %s to the sources of %s? [y/N] ", plural(n, "value"), r.name())
	line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

func checked(s recoveredInput) string {
	if s.Confirmed {
		return " (" + tree.LockFile + " confirms it)"
	}
	return " (not checked: " + tree.LockFile + " does not tell)"
}

func (o *recoverOptions) text(w io.Writer, _ *printer, r *result) {
	for _, s := range r.Recovered {
		to := ""
		if s.Origin != "" {
			to = " in " + s.Origin
		}
		fmt.Fprintf(w, "%s: %s %s%s, from %s%s\n", r.name(), s.State, s.Input, to, s.From, checked(s))
	}
	if len(r.Recovered) == 0 && r.OK {
		fmt.Fprintf(w, "%s: nothing is missing that the cluster has\n", r.name())
	}
}
