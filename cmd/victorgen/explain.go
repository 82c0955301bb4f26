package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/permissions"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
)

func explainCommand() *cobra.Command {
	var format string
	var rights bool
	var workloads workloadOptions
	cmd := &cobra.Command{
		Use:   "explain ENV [INPUT|SECRET...] | --permissions ENV | CODE",
		Short: "Show where a value comes from and goes to, or what a code means",
		Long: `Explain shows where an input is declared, where its value comes from, what
the value must be, and all keys of all secrets that are made from it; of a
secret, what each of its keys is made from. Without a name it lists all inputs;
as JSON, it prints the whole plan of the environment then, which is what policies
are about (#Plan in the schema). It reads no values. With workloads, of the contract
or --workloads, it lists all places that refer to it.

With --permissions it prints the least that each source must allow, in the
language of its service: to read values, to prove by metadata alone that they
are there, and to write those that are generated.

With a code, such as VG1205, it explains the message that has it: what happened, why
it is an error, and an example before and after.`,
		Example: `  victorgen explain envs/production
  victorgen explain envs/production DB_PASSWORD
  victorgen explain envs/production victor-ai-secrets -o json
  victorgen explain --permissions envs/production
  victorgen explain VG1205`,
		Args:              argsOf(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeExplain,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rights && len(args) != 1 {
				return usageError{errors.New("--permissions takes one environment")}
			}
			if strings.HasPrefix(args[0], "VG") && !rights {
				return explainCodes(cmd.OutOrStdout(), args, format)
			}
			r, failed := compileOne(cmd, args[0], compiler.Options{})
			if r == nil || r.plan == nil {
				return failed
			}
			p := r.plan // which anyone who writes a policy wants to see that it is against
			if rights {
				return cmp.Or(explainPermissions(cmd.OutOrStdout(), p, format), failed)
			}
			pr := newPrinter(cmd.ErrOrStderr())
			var used map[string]map[string][]workload.Reference
			if len(args) > 1 {
				set, ds := workloads.Read(cmd.Context(), p)
				if len(ds) > 0 {
					pr.print(findings([]result{{Environment: p.Environment, Diagnostics: ds, plan: p}}), 1)
				}
				if ds.HasErrors() {
					return exitOf([]result{{Diagnostics: ds}})
				}
				if set != nil {
					used = workload.Consumers(p, set)
				}
			}
			return cmp.Or(explain(cmd.OutOrStdout(), pr, r, used, args[1:], format), failed)
		},
	}
	permitFlags(cmd)
	asksNoSource(cmd)
	cmd.Flags().BoolVar(&rights, "permissions", false, "print what the sources must allow")
	workloads.flags(cmd)
	outputFlag(cmd, &format)
	return cmd
}

// uses are what a policy is for, in words.
var uses = map[permissions.Use]string{
	permissions.Read:  ", to read values",
	permissions.Prove: ", to prove by metadata alone that values are there",
	permissions.Write: ", to write generated inputs, in addition to reading",
	permissions.Fetch: ", for the External Secrets Operator to fetch values",
	permissions.Tell:  ", to rotate with a command that tells the other side, in addition to writing",
	permissions.Push:  ", for the External Secrets Operator to push what is generated in the cluster, in addition to fetching",
}

// permissionsDocument is what explain --permissions prints with -o json.
type permissionsDocument struct {
	Version     int                  `json:"version"`
	Environment string               `json:"environment"`
	Permissions []permissions.Policy `json:"permissions"`
}

func explainPermissions(w io.Writer, p *plan.Plan, format string) error {
	policies := permissions.Of(p)
	if format == "json" {
		return encode(w, permissionsDocument{1, p.Environment, policies})
	}
	for i, policy := range policies {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "# %s (%s)%s\n", policy.Source, policy.Kind, uses[policy.Use])
		if policy.Note != "" {
			fmt.Fprintf(w, "# %s\n", policy.Note)
		}
		if text := policy.String(); text != "" {
			fmt.Fprintln(w, text)
		}
	}
	return nil
}

// codesDocument is what explain prints of codes with -o json.
type codesDocument struct {
	Codes   []explanation `json:"codes"`
	Version int           `json:"version"`
}

type explanation struct {
	Code   string `json:"code"`
	Text   string `json:"text"`
	Why    string `json:"why"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func explainCodes(w io.Writer, codes []string, format string) error {
	var all []explanation
	for _, arg := range codes {
		text, ok := plan.Explain(plan.Code(arg))
		if !ok {
			var all []string
			for _, c := range plan.Codes() {
				all = append(all, string(c))
			}
			return usageError{fmt.Errorf("there is no code %q; %s", arg, plan.DidYouMean(arg, all, "codes look like VG1205"))}
		}
		e, _ := plan.ExampleOf(plan.Code(arg))
		all = append(all, explanation{arg, text, e.Why, e.Before, e.After})
	}
	if format == "json" {
		return encode(w, codesDocument{all, 1})
	}
	for i, e := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		indented := func(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
		fmt.Fprintf(w, "%s: %s\n\nWhy: %s\n\nBefore:\n%s\n\nAfter:\n%s\n", e.Code, e.Text, e.Why, indented(e.Before), indented(e.After))
	}
	return nil
}

// storyDocument is what explain prints of inputs and secrets with -o json.
type storyDocument struct {
	Version     int           `json:"version"`
	Environment string        `json:"environment"`
	Inputs      []inputStory  `json:"inputs,omitempty"`
	Secrets     []secretStory `json:"secrets,omitempty"`
}

// inputStory is what there is to say of one input.
type inputStory struct {
	Name        string     `json:"name"`
	Class       plan.Class `json:"class"`
	Description string     `json:"description,omitempty"`
	Declared    []string   `json:"declared"`
	From        string     `json:"from"`
	Present     string     `json:"present,omitempty"`
	Generated   string     `json:"generated,omitempty"`
	MadeFrom    []string   `json:"madeFrom,omitempty"`
	Children    []string   `json:"children,omitempty"`
	MustBe      string     `json:"mustBe,omitempty"`
	MaxAge      string     `json:"maxAge,omitempty"`
	RotateAfter string     `json:"rotateAfter,omitempty"`
	Expires     string     `json:"expires,omitempty"`
	Owner       string     `json:"owner,omitempty"`
	Rotate      string     `json:"rotate,omitempty"`
	Previous    string     `json:"previous,omitempty"`
	Docs        string     `json:"docs,omitempty"`
	Deprecated  string     `json:"deprecated,omitempty"`
	GoesTo      []keyStory `json:"goesTo"`
	Rules       []string   `json:"rules,omitempty"`

	maxAge string // for people
}

// keyStory is what one key is made from.
type keyStory struct {
	Secret string   `json:"secret"` // namespace/name
	Key    string   `json:"key"`
	By     string   `json:"by"` // input, template or value
	Inputs []string `json:"inputs,omitempty"`

	Consumers []consumerStory `json:"consumers,omitempty"`
}

// secretStory is what there is to say of one secret.
type secretStory struct {
	Secret   string     `json:"secret"`
	Type     string     `json:"type"`
	Delivery string     `json:"delivery"`
	Declared []string   `json:"declared"`
	Keys     []keyStory `json:"keys"`
}

// explain tells of what is named; used are the places that ask for each key.
func explain(w io.Writer, pr *printer, r *result, used map[string]map[string][]workload.Reference, names []string, format string) error {
	p := r.plan
	var inputs []inputStory
	var secrets []secretStory
	all := len(names) == 0
	var known []string
	for _, in := range p.Inputs {
		known = append(known, in.Name)
		if all || slices.Contains(names, in.Name) {
			inputs = append(inputs, tellInput(pr, p, in))
		}
	}
	for _, s := range p.Secrets {
		known = append(known, s.Name)
		if slices.Contains(names, s.Name) {
			secrets = append(secrets, tellSecret(pr, s))
		}
	}
	consume := func(keys []keyStory) {
		for i, k := range keys {
			keys[i].Consumers = tellConsumers(p, used[k.Secret][k.Key])
		}
	}
	for _, s := range inputs {
		consume(s.GoesTo)
	}
	for _, s := range secrets {
		consume(s.Keys)
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return usageError{fmt.Errorf("%s has no input or secret %q; %s", p.Environment, n,
				plan.DidYouMean(n, known, "`victorgen explain ENV` lists them"))}
		}
	}
	if format == "json" && all {
		return encode(w, vg.Document(p, r.grant))
	}
	if format == "json" {
		return encode(w, storyDocument{1, p.Environment, inputs, secrets})
	}
	tw := newTable(w)
	defer tw.Flush()
	if all {
		fmt.Fprintln(tw, "INPUT\tCLASS\tFROM\tGOES TO")
		for _, s := range inputs {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Name, s.Class, inLine(s.From), inLine(goesTo(s)))
		}
		return nil
	}
	for _, s := range inputs {
		goes := places(s.GoesTo, "\n  \t")
		if goes == "" && len(s.Children) == 0 {
			goes = "nothing"
		}
		fmt.Fprintf(tw, "%s\t%s\n", s.Name, inLine(strings.TrimSpace(string(s.Class)+"  "+s.Description)))
		for _, row := range [][2]string{
			{"declared", strings.Join(s.Declared, ", ")}, {"comes from", inLine(s.From)}, {"present", s.Present}, {"generated as", s.Generated},
			{"made from", strings.Join(s.MadeFrom, ", ")}, {"children", strings.Join(s.Children, ", ")},
			{"must be", inLine(s.MustBe)}, {"rotation due", s.maxAge}, {"rotation", s.Rotate}, {"previous", inLine(s.Previous)}, {"expires", s.Expires}, {"owner", inLine(s.Owner)}, {"rules", strings.Join(s.Rules, ", ")},
			{"docs", inLine(s.Docs)}, {"deprecated", inLine(s.Deprecated)}, {"goes to", goes},
			{"used by", strings.Join(usedBy(pr, s.GoesTo), "\n  \t")},
		} {
			if row[1] != "" {
				fmt.Fprintf(tw, "  %s\t%s\n", row[0], row[1])
			}
		}
	}
	for _, s := range secrets {
		fmt.Fprintf(tw, "%s\t%s, %s\n", s.Secret, s.Type, s.Delivery)
		fmt.Fprintf(tw, "  declared\t%s\n", strings.Join(s.Declared, ", "))
		for _, k := range s.Keys {
			fmt.Fprintf(tw, "  %s\t%s\n", k.Key, strings.TrimSpace(k.By+" "+strings.Join(k.Inputs, ", ")))
			for _, c := range consumers(pr, k.Consumers) {
				fmt.Fprintf(tw, "  \tused by %s\n", c)
			}
		}
	}
	return nil
}

// usedBy are the places that ask for any of the keys, each once.
func usedBy(pr *printer, keys []keyStory) []string {
	var all []string
	for _, k := range keys {
		for _, c := range consumers(pr, k.Consumers) {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

func places(keys []keyStory, sep string) string {
	var ps []string
	for _, k := range keys {
		ps = append(ps, fmt.Sprintf("%s %s", k.Secret, k.Key))
	}
	return strings.Join(ps, sep)
}

// goesTo is all that is made from an input, in a line: keys, and other inputs.
func goesTo(s inputStory) string {
	var all []string
	if len(s.GoesTo) > 0 {
		all = append(all, places(s.GoesTo, ", "))
	}
	if len(s.Children) > 0 {
		all = append(all, "into "+plan.And(s.Children))
	}
	return cmp.Or(strings.Join(all, "; "), "-")
}

func tellInput(pr *printer, p *plan.Plan, in plan.Input) inputStory {
	s := inputStory{
		Name: in.Name, Class: in.Class, Description: in.Description, Declared: declared(pr, in.Pos),
		MustBe: in.MustBe(), Generated: in.GeneratedAs(), Docs: in.Docs, Deprecated: in.Deprecated, GoesTo: []keyStory{},
	}
	src, _ := p.Source(in.Source)
	switch {
	case in.Default != nil:
		s.From = "the contract"
	case src.Kind == plan.Env:
		s.From = "the process environment or " + pr.rel(src.At())
	case src.Kind == plan.Files:
		s.From = pr.rel(filepath.Join(src.Dir, in.Remote.String())) + " at source " + src.String()
	case in.Remote == plan.Remote{}: // a dotenv file of sops
		s.From = pr.rel(src.File) + " at source " + src.String()
	default:
		s.From = in.Remote.String() + " at source " + src.String()
	}
	if in.Present != nil {
		s.Present = map[bool]string{true: "yes, according to the contract", false: "no, according to the contract"}[*in.Present]
	}
	if in.NeverRotate {
		s.Rotate = "never"
	}
	if in.MaxAge > 0 {
		s.MaxAge, s.maxAge = in.MaxAge.String(), "after "+plan.Age(in.MaxAge)
	}
	if in.RotateAfter > 0 {
		s.RotateAfter, s.maxAge = in.RotateAfter.String(), "after "+plan.Age(in.RotateAfter)+" by `victorgen rotate --due`, and "+s.maxAge+" at the latest"
	}
	s.Expires, s.Owner = plan.Day(in.Expires), in.Owner
	if keep := in.KeepsPrevious(); keep > 0 {
		s.Previous = "counts for " + plan.Age(keep) + " after a rotation; " + previousAt(in, src)
	}
	s.MadeFrom = in.Parents()
	for _, child := range p.Inputs {
		if slices.Contains(child.Parents(), in.Name) {
			s.Children = append(s.Children, child.Name)
		}
	}
	for _, sec := range p.Secrets {
		for _, k := range sec.Keys {
			if slices.Contains(k.Inputs(), in.Name) || slices.Contains(k.Inputs(), in.Name+plan.PreviousSuffix) {
				s.GoesTo = append(s.GoesTo, tellKey(sec, k))
			}
		}
	}
	for _, r := range p.Rules {
		if slices.Contains(r.Inputs, in.Name) {
			s.Rules = append(s.Rules, fmt.Sprintf("%s (%s)", r.Name, r.Kind))
		}
	}
	return s
}

// previousAt says where the previous value of an input is kept.
func previousAt(in plan.Input, src plan.Source) string {
	switch kind, _ := plan.KindOf(src.Kind); {
	case kind.Previous == plan.Beside:
		return "kept next to it as " + plan.PreviousPrefix + cmp.Or(in.Remote.Name, in.Name)
	case kind.PreviousVersion != "":
		return "its source has it as " + kind.PreviousVersion
	}
	return "its source has it as the previous version"
}

func tellSecret(pr *printer, sec plan.Secret) secretStory {
	s := secretStory{
		Secret: sec.Namespace + "/" + sec.Name, Type: sec.Type, Declared: declared(pr, sec.Pos),
		Delivery: fmt.Sprintf("%s %s with %s", sec.Delivery.Kind, sec.Delivery.Scope, filepath.Base(sec.Delivery.Certificate)),
	}
	if d := sec.Delivery; d.Fetches() {
		s.Delivery = fmt.Sprintf("%s %s each %s, creation %s, deletion %s", d.Kind, d.RefreshPolicy, plan.Age(d.RefreshInterval), d.CreationPolicy, d.DeletionPolicy)
	}
	for _, k := range sec.Keys {
		s.Keys = append(s.Keys, tellKey(sec, k))
	}
	return s
}

func tellKey(sec plan.Secret, k plan.Key) keyStory {
	by := "input"
	switch {
	case k.Template != nil:
		by = "template"
	case k.Value != nil:
		by = "value"
	}
	return keyStory{Secret: sec.Namespace + "/" + sec.Name, Key: k.Name, By: by, Inputs: k.Inputs()}
}

func declared(pr *printer, ps []plan.Pos) []string {
	out := []string{}
	for _, p := range ps {
		out = append(out, pr.place(p))
	}
	if len(out) == 0 {
		out = append(out, "the schema")
	}
	return out
}
