package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// fromContract is the value of a --source without one.
const fromContract = "contract"

func verifyCommand() *cobra.Command {
	var o struct {
		sourceOptions
		format   string
		noValues bool
	}
	cmd := &cobra.Command{
		Use:   "verify --source[=KIND] ENV...",
		Short: "Judge what the sources hold",
		Long: `Verify asks the sources of each environment for all inputs and judges them: what
is missing, a placeholder, weak, against the contract, or older than its maxAge.
It writes nothing, and prints names, ages and verdicts, never a value.

With --no-values it asks for metadata alone, and judges presence and age: no
right to read or decrypt a value is needed then.`,
		Example: `  victorgen verify --source envs/production
  victorgen verify --source ./envs/... -o json
  victorgen verify --source --no-values envs/production   # in a job that may not read secrets
  victorgen verify --source=env envs/production           # the dotenv file, whatever the contract says`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("source") {
				return usageError{errors.New("write --source, to judge what the sources hold")}
			}
			if len(args) > 0 && o.kind == fromContract && slices.Contains(plan.SourceKinds, args[0]) {
				return usageError{fmt.Errorf("write --source=%s, to judge a source of that kind", args[0])}
			}
			return environments(cmd, args)
		},
		ValidArgsFunction: completeDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forEach(cmd, args, compiler.Options{Source: o.kind}, o.format, "verifying", func(ctx context.Context, r *result) {
				now := time.Now()
				values, ds := source.Verify(ctx, r.plan, openSources(r.plan), o.noValues, now, source.Options{Timeout: o.timeout})
				r.Diagnostics = append(r.Diagnostics, ds...)
				r.Inputs = tellValues(r.plan, values, now)
			}, verifyText)
		},
	}
	o.flags(cmd)
	cmd.Flags().Lookup("source").NoOptDefVal = fromContract
	cmd.Flags().Lookup("source").Usage = "judge the sources; with a KIND, the default one is of that kind in the place of the contract's"
	cmd.Flags().BoolVar(&o.noValues, "no-values", false, "ask for metadata alone: presence and age")
	outputFlag(cmd, &o.format)
	return cmd
}

// inputState is what verify has found out about one input.
type inputState struct {
	Name    string     `json:"name"`
	Class   plan.Class `json:"class"`
	Source  string     `json:"source,omitempty"` // of none, if the contract has the value
	Remote  string     `json:"remote,omitempty"`
	State   string     `json:"state"` // present, absent or unreadable
	Origin  string     `json:"origin,omitempty"`
	Changed *time.Time `json:"changed,omitempty"`
	Age     string     `json:"age,omitempty"`
	MaxAge  string     `json:"maxAge,omitempty"`
}

var states = map[value.State]string{value.Present: "present", value.Absent: "absent", value.Unreadable: "unreadable"}

func tellValues(p *plan.Plan, values value.Set, now time.Time) []inputState {
	var all []inputState
	for _, in := range p.Inputs {
		if in.Default != nil {
			continue // no source is asked for it
		}
		v := values[in.Name]
		s := inputState{
			Name: in.Name, Class: in.Class, Source: in.Source, Remote: in.Remote.String(), State: states[v.State], Origin: v.Origin,
		}
		if !v.Changed.IsZero() {
			changed := v.Changed.UTC()
			s.Changed, s.Age = &changed, plan.Age(now.Sub(changed))
		}
		if in.MaxAge > 0 {
			s.MaxAge = plan.Age(in.MaxAge)
		}
		all = append(all, s)
	}
	return all
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
	for _, state := range []value.State{value.Present, value.Absent, value.Unreadable} {
		if n := counts[states[state]]; n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", states[state]))
		}
	}
	verdict := "ok"
	if !r.OK {
		verdict = "not ok"
	}
	fmt.Fprintf(w, "%s: %s (%s: %s)\n", r.name(), verdict, plural(len(r.Inputs), "input"), strings.Join(parts, ", "))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
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
