package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// A contract asks something of a value wherever it constrains it, or does
// something to it of which the result shows. Anyone who can propose a change to a
// contract could read a value out by many such questions, all in one build; so of
// one value there are few. See compiler/plan/flow.go for what templates may do.

var (
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
	// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
	arn         = lazy.MustCompile(`^arn:[^:]*:[^:]*:[^:]*:[^:]*:(?:parameter|secret:)(.*)$`)
	arnOfSecret = lazy.MustCompile(`-[A-Za-z0-9]{6}$`)
)

// valueOf names the value that in is, whatever the contract calls it and its
// source. A name is taken for the same in every region, vault and version: that
// two places hold one value, a contract can't rule out.
func (c *compilation) valueOf(in plan.Input) string {
	src := c.sources[in.Source]
	name := in.Remote.Name
	if name == "" {
		return in.Source + "\x00" + in.Name
	}
	if m := arn.FindStringSubmatch(name); m != nil {
		name = m[1]
		if src.Kind == plan.AWSSecretsManager {
			name = arnOfSecret.ReplaceAllString(name, "")
		}
	}
	name = strings.Trim(name, "/")
	if src.Kind == plan.AzureKeyVault {
		name = strings.ToLower(name)
	}
	return src.Kind + "\x00" + src.File + "\x00" + name + "\x00" + in.Remote.Property
}

// questions reports values of which a contract asks too much.
func (c *compilation) questions(p *plan.Plan) {
	constraints := func(in plan.Input) string {
		k, pattern := in.Constraints, ""
		if k.Pattern != nil {
			pattern = k.Pattern.String()
		}
		return fmt.Sprintf("%q %q %d %d %g %q %q %q", pattern, k.Format, k.MinLength, k.MaxLength, k.MinStrength, k.OneOf, in.Encoding, in.Example)
	}
	values := map[string][]plan.Input{}
	var names []string
	for _, in := range p.Inputs {
		if in.Default != nil {
			continue
		}
		v := c.valueOf(in)
		if values[v] == nil {
			names = append(names, v)
		}
		values[v] = append(values[v], in)
	}
	var templates []*plan.Template // which ask anything
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			if k.Template != nil && len(k.Template.Questions) > 0 {
				templates = append(templates, k.Template)
			}
		}
	}
	for _, v := range names {
		first := values[v][0]
		for _, in := range values[v][1:] {
			if constraints(in) != constraints(first) {
				c.ds.Errorf(plan.CodeSamePlace, append(slices.Clone(last(in.Pos)), last(first.Pos)...),
					"give both the same pattern, format, lengths, minStrength, oneOf, encoding and example, or make one input of them",
					"inputs %s and %s are the same value, %q, with different constraints", first.Name, in.Name, cmp.Or(in.Remote.String(), in.Name))
				break
			}
		}
		asked := map[string]bool{}
		for _, t := range templates {
			for _, in := range values[v] {
				for _, name := range []string{in.Name, in.Name + plan.PreviousSuffix} { // which is the same value, later
					for _, q := range t.Questions[name] {
						asked[q] = true
					}
				}
			}
		}
		if len(asked) > plan.MaxQuestions {
			c.ds.Errorf(plan.CodeQuestions, last(first.Pos), "split it in the application, or let its source hold the parts",
				"templates cut, replace or decode the value of input %s in %d different ways, and the results reveal something about it; %d are allowed",
				first.Name, len(asked), plan.MaxQuestions)
		}
	}
}
