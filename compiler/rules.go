package compiler

import (
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
)

func (c *compilation) rule(name string, s ruleSpec) plan.Rule {
	r := plan.Rule{Name: name, Description: s.Description, Kind: s.Kind, Inputs: s.Inputs, Pos: c.ix.declared("rules", name)}
	c.checkHandle("rule", name, "rules", name)
	for i, input := range s.Inputs {
		if !c.knows(input) {
			c.ds.Errorf(plan.CodeUnknownInput, last(c.ix.set("rules", name, "inputs", strconv.Itoa(i))),
				plan.DidYouMean(input, c.names, "declare it under inputs"),
				"rule %q names unknown input %q", name, input)
		} else if slices.Index(s.Inputs, input) < i {
			c.ds.Errorf(plan.CodeRule, last(c.ix.set("rules", name, "inputs", strconv.Itoa(i))), "name it once",
				"rule %q names %s twice", name, input)
		}
	}
	return r
}

// checkRules reports each rule that nothing can satisfy: by itself, or
// together with the rules before it.
func (c *compilation) checkRules(rules []plan.Rule) {
	// A rule may look broken only because one of its inputs is.
	rules = slices.DeleteFunc(slices.Clone(rules), func(r plan.Rule) bool {
		return r.Kind == "" || slices.ContainsFunc(r.Inputs, func(in string) bool { return c.inputs[in].Class == "" })
	})
	budget := maxSteps
	var clauses [][]literal
	for _, name := range c.names {
		if !c.inputs[name].MayBeAbsent() {
			clauses = append(clauses, []literal{{name, true}})
		}
	}
	certain := len(clauses)
	for _, r := range rules {
		if len(r.Inputs) > maxRule {
			c.ds.Errorf(plan.CodeLimit, last(r.Pos), "", "rule %q names more than %d inputs", r.Name, maxRule)
			continue
		}
		own := clausesOf(r)
		alone := satisfiable(append(clauses[:certain:certain], own...), &budget)
		together := alone && satisfiable(append(clauses, own...), &budget)
		switch {
		case budget < 0:
			c.ds.Errorf(plan.CodeLimit, last(r.Pos), "use fewer rules: this one and those before it are too many, or too entangled",
				"whether rule %q can be met together with those before it could not be determined in %d steps", r.Name, maxSteps)
			return
		case !alone:
			var always []string
			for _, in := range r.Inputs {
				if !c.inputs[in].MayBeAbsent() {
					always = append(always, in)
				}
			}
			why := "it names no input"
			if len(always) > 0 {
				why = strings.Join(always, " and ") + " are always present"
			}
			c.ds.Errorf(plan.CodeRule, last(r.Pos), "change the rule, or the class of its inputs",
				"rule %q (%s) can't be met: %s", r.Name, r.Kind, why)
			continue
		case !together:
			c.ds.Errorf(plan.CodeRule, last(r.Pos), "change one of the rules, or the class of their inputs",
				"rule %q (%s) can't be met together with the rules before it", r.Name, r.Kind)
			continue
		}
		clauses = append(clauses, own...)
	}
}

// The bounds of what is found out of rules. A step looks at one clause; the
// rules of a contract of a hundred take thousands.
const (
	maxSteps = 2_000_000
	maxRule  = 1000 // inputs, for a pair of them each is a clause
)

// literal says that an input is present, or that it is absent.
type literal struct {
	input   string
	present bool
}

// clausesOf writes a rule in conjunctive normal form.
func clausesOf(r plan.Rule) [][]literal {
	var clauses [][]literal
	atLeastOne := make([]literal, len(r.Inputs))
	for i, in := range r.Inputs {
		atLeastOne[i] = literal{in, true}
	}
	switch r.Kind {
	case plan.AtLeastOne:
		return [][]literal{atLeastOne}
	case plan.ExactlyOne:
		clauses = append(clauses, atLeastOne)
		for i, a := range r.Inputs {
			for _, b := range r.Inputs[i+1:] {
				clauses = append(clauses, []literal{{a, false}, {b, false}})
			}
		}
	case plan.AllOrNone:
		for i := range r.Inputs { // each implies the next, around a ring
			clauses = append(clauses, []literal{{r.Inputs[i], false}, {r.Inputs[(i+1)%len(r.Inputs)], true}})
		}
	default: // a rule that no one can judge is met by nothing
		return [][]literal{{}}
	}
	return clauses
}

// satisfiable is the algorithm of Davis, Putnam, Logemann and Loveland
// (https://doi.org/10.1145/368273.368557): follow what is certain, else guess
// and come back. Its steps are taken from budget; without one left it gives up.
func satisfiable(clauses [][]literal, budget *int) bool {
	known := map[string]bool{}
	for {
		if *budget -= len(clauses); *budget < 0 {
			return false
		}
		var unit *literal
		var open [][]literal
		for _, clause := range clauses {
			var left []literal
			done := false
			for _, l := range clause {
				if v, ok := known[l.input]; !ok {
					left = append(left, l)
				} else if v == l.present {
					done = true
				}
			}
			switch {
			case done:
				continue
			case len(left) == 0:
				return false
			case len(left) == 1 && unit == nil:
				unit = &left[0]
			}
			open = append(open, left)
		}
		if len(open) == 0 {
			return true
		}
		clauses = open
		if unit != nil {
			known[unit.input] = unit.present
			continue
		}
		guess := open[0][0]
		return satisfiable(append(slices.Clone(open), []literal{guess}), budget) ||
			satisfiable(append(slices.Clone(open), []literal{{guess.input, !guess.present}}), budget)
	}
}
