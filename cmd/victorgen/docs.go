package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/safefile"
	"github.com/victor-ai/victorgen/report"
)

// docsMark begins each page, so that anyone who replaces one knows that it is one.
const docsMark = "<!-- Written by victorgen docs. -->\n"

func docsCommand() *cobra.Command {
	var output string
	var workloads workloadOptions
	cmd := &cobra.Command{
		Use:   "docs ENV...",
		Short: "Write the contract as a page of Markdown",
		Long: `Docs writes what the contract of environments declares as a page of Markdown: the
inputs of each environment with their classes, what they must be, where to get
them and who consumes them; and the secrets with their keys.

It reads no values and uses no network, and the same contract gives the same
bytes: commit the page, and let CI check whether it is up to date.`,
		Example: `  victorgen docs ./envs/...
  victorgen docs ./envs/... --output SECRETS.md
  victorgen docs ./envs/... --output SECRETS.md && git diff --exit-code SECRETS.md   # in CI`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, patterns []string) error {
			dirs, err := compiler.Find(patterns...)
			if err != nil {
				return usageError{err}
			}
			if output != "" {
				if err := replaceable("output", output, docsMark, "a page of victorgen docs"); err != nil {
					return err
				}
			}
			options := optionsOf(cmd, compiler.Options{})
			options.Output = "" // which is where trees are
			var rs []result
			pages := map[string][]*report.Environment{} // by module
			for r := range results(cmd, dirs, options, func(ctx context.Context, r *result) {
				set, ds := workloads.Read(ctx, r.plan)
				r.Diagnostics = append(r.Diagnostics, ds...)
				r.told = report.Of(report.Subject{Plan: r.plan, Workloads: set})
			}) {
				if r.told != nil {
					module, _ := compiler.ModuleRoot(r.Directory)
					pages[module] = append(pages[module], r.told)
				}
				r.OK = !r.Diagnostics.HasErrors()
				r.env, r.plan = nil, nil
				rs = append(rs, *r)
			}
			newPrinter(cmd.ErrOrStderr()).print(findings(rs), len(dirs))
			if err := exitOf(rs); err != nil {
				return err
			}
			if len(rs) < len(dirs) {
				return errors.New("stopped before the end; nothing is written")
			}
			page := docsMark
			for _, module := range slices.Sorted(maps.Keys(pages)) {
				page += docsOf(pages[module])
			}
			if output == "" {
				_, err = io.WriteString(cmd.OutOrStdout(), page)
				return err
			}
			if err := safefile.Overwrite(output, []byte(page), 0o644); err != nil {
				return cannotWrite(output, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", inLine(output))
			return err
		},
	}
	asksNoSource(cmd)
	permitFlags(cmd)
	workloads.flags(cmd)
	cmd.Flags().StringVar(&output, "output", "", "file to write the page to, instead of standard output")
	cmd.MarkFlagFilename("output", "md")
	noFormat(cmd, "output", &output)
	return cmd
}

// docsPage is a page of Markdown about the environments of one module.
type docsPage struct {
	strings.Builder
	es []*report.Environment
}

// docsOf writes what the contract of environments declares.
func docsOf(es []*report.Environment) string {
	d := &docsPage{es: es}
	var apps []string
	for _, e := range es {
		if !slices.Contains(apps, e.PartOf) {
			apps = append(apps, e.PartOf)
		}
	}
	d.line("# Secrets of %s", prose(plan.And(apps)))
	d.line("")
	d.line("What the contract declares. It holds no values: each input says where its value comes from, and where to ask for it.")
	d.environments()
	d.inputs()
	d.secrets()
	d.rules()
	return d.String()
}

func (d *docsPage) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *docsPage) environments() {
	d.line("\n## Environments\n\n| environment | directory | namespace | delivery | values from | readers |\n|---|---|---|---|---|---|")
	for _, e := range d.es {
		var deliveries, sources, readers []string
		for _, s := range e.Secrets {
			if !slices.Contains(deliveries, s.Delivery) {
				deliveries = append(deliveries, s.Delivery)
			}
		}
		for _, s := range e.Sources {
			if slices.ContainsFunc(e.Inputs, func(in report.Input) bool { return in.Source == s.Name }) {
				sources = append(sources, strings.TrimSpace(prose(s.Kind)+" "+code(s.Place)))
			}
		}
		for _, r := range e.Readers {
			name := r.Name
			if r.Namespace != "" {
				name = r.Namespace + "/" + r.Name
			}
			readers = append(readers, prose(r.Kind)+" "+code(name))
		}
		d.line("| %s | %s | %s | %s | %s | %s |", code(e.Environment), code(e.Directory), code(e.Namespace), strings.Join(deliveries, ", "), strings.Join(sources, ", "), strings.Join(readers, ", "))
	}
}

// maxColumns is how many environments a table has as its columns.
const maxColumns = 8

// inputs writes a table of all inputs, and of each what there is to say of it.
func (d *docsPage) inputs() {
	names := namesOf(d.es, func(e *report.Environment) []report.Input { return e.Inputs }, func(in report.Input) string { return in.Name })
	d.line("\n## Inputs\n")
	columns := len(d.es) <= maxColumns
	head, rule := "| input | what it is |", "|---|---|"
	if columns {
		for _, e := range d.es {
			head, rule = head+" "+code(e.Environment)+" |", rule+"---|"
		}
	} else {
		head, rule = head+" class |", rule+"---|"
	}
	d.line("%s\n%s", head, rule)
	for _, name := range names {
		row := fmt.Sprintf("| %s | %s |", code(name), d.ofInput(name, func(_ *report.Environment, in report.Input) string { return prose(in.Declaration.Description) }))
		if columns {
			for _, e := range d.es {
				in, _ := inputIn(e, name)
				row += " " + string(in.Class) + " |"
			}
		} else {
			row += " " + d.ofInput(name, classOf) + " |"
		}
		d.line("%s", row)
	}
	for _, name := range names {
		d.input(name)
	}
}

// input writes what there is to say of one input.
func (d *docsPage) input(name string) {
	d.line("\n### %s\n", code(name))
	declared := func(f func(*report.Declaration) string) string {
		return d.ofInput(name, func(_ *report.Environment, in report.Input) string { return f(in.Declaration) })
	}
	if text := declared(func(c *report.Declaration) string { return paragraph(c.Description) }); text != "" {
		d.line("%s\n", text)
	}
	for _, fact := range []struct{ what, text string }{
		{"Class", d.ofInput(name, classOf)},
		{"Comes from", d.ofInput(name, func(e *report.Environment, in report.Input) string {
			s, ok := first(e.Sources, func(s report.Source) bool { return s.Name == in.Source })
			if !ok {
				return "the contract"
			}
			return strings.TrimSpace(prose(s.Kind) + " " + code(cmp.Or(in.Remote, s.Place)))
		})},
		{"Where to get it", declared(func(c *report.Declaration) string { return autolink(c.Docs) })},
		{"Generated as", declared(func(c *report.Declaration) string { return prose(c.Generated) })},
		{"Made from", declared(func(c *report.Declaration) string { return codes(c.MadeFrom) })},
		{"Must be", declared(func(c *report.Declaration) string { return prose(c.MustBe) })},
		{"Rotation is due after", declared(func(c *report.Declaration) string { return lasts(c.MaxAge) })},
		{"`victorgen rotate --due` makes a new one after", declared(func(c *report.Declaration) string { return lasts(c.RotateAfter) })},
		{"The previous value counts for", declared(func(c *report.Declaration) string { return lasts(c.KeepPrevious) })},
		{"Rotation", declared(func(c *report.Declaration) string {
			if c.NeverRotate {
				return "never: another value makes what it encrypts unreadable"
			}
			return ""
		})},
		{"Expires", declared(func(c *report.Declaration) string { return c.Expires })},
		{"Owner", declared(func(c *report.Declaration) string { return prose(c.Owner) })},
		{"Deprecated", declared(func(c *report.Declaration) string { return prose(c.Deprecated) })},
		{"Goes to", d.ofInput(name, func(e *report.Environment, _ report.Input) string { return strings.Join(goesToKeys(e, name), ", ") })},
		{"Used by", d.ofInput(name, func(e *report.Environment, _ report.Input) string {
			return strings.Join(usersOf(e, func(k report.Key) bool { return madeFrom(k, name) }, ""), ", ")
		})},
	} {
		if fact.text != "" {
			d.line("- **%s:** %s", fact.what, fact.text)
		}
	}
}

func (d *docsPage) secrets() {
	names := namesOf(d.es, func(e *report.Environment) []report.Secret { return e.Secrets }, func(s report.Secret) string { return s.Name })
	d.line("\n## Secrets")
	for _, name := range names {
		secret := func(e *report.Environment) (report.Secret, bool) {
			return first(e.Secrets, func(s report.Secret) bool { return s.Name == name })
		}
		of := func(f func(*report.Environment, report.Secret) string) string {
			return d.per(func(e *report.Environment) (string, bool) {
				s, ok := secret(e)
				if !ok {
					return "", false
				}
				return f(e, s), true
			})
		}
		d.line("\n### %s\n", code(name))
		d.line("- **Type:** %s", of(func(_ *report.Environment, s report.Secret) string { return code(s.Type) }))
		d.line("- **Namespace:** %s", of(func(_ *report.Environment, s report.Secret) string { return code(s.Namespace) }))
		d.line("- **Delivery:** %s", of(func(_ *report.Environment, s report.Secret) string { return s.Delivery }))
		d.line("\n| key | made from | used by |\n|---|---|---|")
		keys := namesOf(d.es, func(e *report.Environment) []report.Key { s, _ := secret(e); return s.Keys }, func(k report.Key) string { return k.Name })
		for _, key := range keys {
			perKey := func(f func(*report.Environment, report.Secret, report.Key) string) string {
				return d.per(func(e *report.Environment) (string, bool) {
					s, _ := secret(e)
					k, ok := first(s.Keys, func(k report.Key) bool { return k.Name == key })
					if !ok {
						return "", false
					}
					return f(e, s, k), true
				})
			}
			d.line("| %s | %s | %s |", code(key), perKey(func(_ *report.Environment, _ report.Secret, k report.Key) string {
				switch k.By {
				case "value":
					return "a literal"
				case "template":
					return strings.TrimSpace("a template " + codes(k.Inputs))
				}
				return codes(k.Inputs)
			}), perKey(func(e *report.Environment, s report.Secret, k report.Key) string {
				return strings.Join(usersOf(e, func(other report.Key) bool { return other.Name == k.Name }, s.Name), ", ")
			}))
		}
	}
}

func (d *docsPage) rules() {
	names := namesOf(d.es, func(e *report.Environment) []report.Rule { return e.Rules }, func(r report.Rule) string { return r.Name })
	if len(names) == 0 {
		return
	}
	d.line("\n## Rules\n\n| rule | what it demands | of | environments |\n|---|---|---|---|")
	for _, name := range names {
		is := func(r report.Rule) bool { return r.Name == name }
		of := func(f func(report.Rule) string) string {
			return d.per(func(e *report.Environment) (string, bool) {
				r, ok := first(e.Rules, is)
				if !ok {
					return "", false
				}
				return f(r), true
			})
		}
		var in []string
		for _, e := range d.es {
			if slices.ContainsFunc(e.Rules, is) {
				in = append(in, code(e.Environment))
			}
		}
		d.line("| %s | %s | %s | %s |", code(name), of(func(r report.Rule) string {
			return strings.TrimSuffix(ruleWords[r.Kind]+": "+prose(r.Description), ": ")
		}), of(func(r report.Rule) string { return codes(r.Inputs) }), strings.Join(in, ", "))
	}
}

// ruleWords say what a rule demands of its inputs.
var ruleWords = map[plan.RuleKind]string{plan.AtLeastOne: "at least one is there", plan.ExactlyOne: "exactly one is there", plan.AllOrNone: "all are there, or none"}

// per writes what is said of environments, each once: of those that say the same
// together, and without their names if all say so that f holds for.
func (d *docsPage) per(f func(*report.Environment) (string, bool)) string {
	var texts []string
	by := map[string][]string{}
	for _, e := range d.es {
		text, ok := f(e)
		if !ok {
			continue
		}
		if by[text] == nil {
			texts = append(texts, text)
		}
		by[text] = append(by[text], code(e.Environment))
	}
	if len(texts) == 1 {
		return texts[0]
	}
	var parts []string
	for _, text := range texts {
		if text != "" {
			parts = append(parts, fmt.Sprintf("%s (%s)", text, strings.Join(by[text], ", ")))
		}
	}
	return strings.Join(parts, "; ")
}

// ofInput is per, of those environments that have an input.
func (d *docsPage) ofInput(name string, f func(*report.Environment, report.Input) string) string {
	return d.per(func(e *report.Environment) (string, bool) {
		in, ok := inputIn(e, name)
		if !ok {
			return "", false
		}
		return f(e, in), true
	})
}

func classOf(_ *report.Environment, in report.Input) string { return string(in.Class) }

// first returns the first that is what is asked for.
func first[T any](all []T, is func(T) bool) (one T, ok bool) {
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return one, false
	}
	return all[i], true
}

func inputIn(e *report.Environment, name string) (report.Input, bool) {
	i, ok := slices.BinarySearchFunc(e.Inputs, name, func(in report.Input, name string) int { return cmp.Compare(in.Name, name) })
	if !ok {
		return report.Input{}, false
	}
	return e.Inputs[i], true
}

// namesOf are the names of what any of the environments has, sorted.
func namesOf[T any](es []*report.Environment, all func(*report.Environment) []T, name func(T) string) []string {
	names := map[string]bool{}
	for _, e := range es {
		for _, x := range all(e) {
			names[name(x)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// madeFrom reports whether a key is made from an input, or from its value before.
func madeFrom(k report.Key, input string) bool {
	return slices.Contains(k.Inputs, input) || slices.Contains(k.Inputs, input+plan.PreviousSuffix)
}

// goesToKeys are the keys that are made from an input.
func goesToKeys(e *report.Environment, input string) (all []string) {
	for _, s := range e.Secrets {
		for _, k := range s.Keys {
			if madeFrom(k, input) {
				all = append(all, code(s.Name)+" "+code(k.Name))
			}
		}
	}
	return all
}

// usersOf are the places that ask for any of the keys that is wants, of one secret or, if
// that is empty, of all.
func usersOf(e *report.Environment, is func(report.Key) bool, secret string) (all []string) {
	for _, c := range e.Consumers {
		for _, u := range c.Uses {
			for _, s := range e.Secrets {
				if s.Name != u.Secret || s.Namespace != cmp.Or(c.Namespace, e.Namespace) || secret != "" && s.Name != secret {
					continue
				}
				if !slices.ContainsFunc(s.Keys, func(k report.Key) bool { return is(k) && (u.Key == "" || u.Key == k.Name) }) {
					continue
				}
				text := prose(c.Object)
				if u.Where != "" {
					text += " (" + prose(u.Where) + ")"
				}
				if !slices.Contains(all, text) {
					all = append(all, text)
				}
			}
		}
	}
	return all
}

func codes(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, code(n))
	}
	return strings.Join(all, ", ")
}

// lasts writes a duration of a document for people.
func lasts(duration string) string {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return ""
	}
	return plan.Age(d)
}

// prose writes text of others so that Markdown, and what forges make of it, takes it for
// nothing but itself, in a table as well.
func prose(s string) string {
	text := []rune(inLine(strings.Join(strings.Fields(s), " ")))
	var out strings.Builder
	for i, r := range text {
		inWord := r == '_' && i > 0 && i+1 < len(text) && unicode.IsLetter(text[i-1]) && unicode.IsLetter(text[i+1])
		links := r == ':' && i+1 < len(text) && text[i+1] != ' ' || r == 'w' && strings.HasPrefix(string(text[i:min(len(text), i+4)]), "www.")
		if !inWord && (links || strings.ContainsRune("\\`*_{}[]<>#|~&@$", r)) {
			fmt.Fprintf(&out, "&#%d;", r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// paragraph is prose that begins a line, where digits, - and + begin a list, too.
func paragraph(s string) string {
	text := prose(s)
	if text != "" && strings.ContainsRune("0123456789-+=", rune(text[0])) {
		return fmt.Sprintf("&#%d;%s", text[0], text[1:])
	}
	return text
}

// webPage is what is linked as it stands: nothing in it ends a link.
var webPage = lazy.MustCompile(`^https?://[A-Za-z0-9._~:/?#@!$&'*+,;=%-]+$`)

// autolink links to a page.
func autolink(address string) string {
	if webPage.MatchString(address) {
		return "<" + address + ">"
	}
	return code(address)
}
