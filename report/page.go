package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

// PageMark begins each page, so that anyone who replaces one knows that it is one.
const PageMark = "<!doctype html>\n<!-- Written by victorgen report. -->\n"

// Page returns a page of HTML that needs nothing else, and can ask for nothing else: its
// policy allows no address, and of scripts and styles those alone that are in it.
func (r *Report) Page() ([]byte, error) {
	data, err := pack(r)
	if err != nil {
		return nil, err
	}
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(PageMark)
	err = t.Execute(&b, struct {
		Title   string
		Policy  string
		Style   template.CSS
		Script  template.JS
		Data    template.JS
		Made    string
		Summary *summary
	}{
		r.title(), "default-src 'none'; script-src '" + digest(pageJS) + "'; style-src '" + digest(pageCSS) + "'; img-src data:; base-uri 'none'; form-action 'none'",
		template.CSS(pageCSS), template.JS(pageJS), template.JS(data), r.Made.Format("2006-01-02 15:04 MST"), r.summary(),
	})
	return b.Bytes(), err
}

// digest is a source of a Content-Security-Policy: what has these bytes.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// title names the applications whose environments these are.
func (r *Report) title() string {
	var names []string
	for _, e := range r.Environments {
		if e.PartOf != "" && !slices.Contains(names, e.PartOf) {
			names = append(names, e.PartOf)
		}
	}
	return cmp.Or(plan.And(names), "unknown applications")
}

// summary is what the page says where scripts do not run.
type summary struct {
	Environments []summaryRow
	Inputs       []inputRow
	Dates        []dateRow
	Findings     []findingRow
}

type summaryRow struct {
	*Environment
	Errors, Warnings int
	Next             string
}

type inputRow struct {
	Name, Description, Classes, Environments string
}

type dateRow struct {
	Day, Kind, Of, Environments string
}

type findingRow struct {
	Finding
	Environments string
}

// most is how many rows of a table of dates or findings stand in the page where no
// script can show more.
const most = 200

func (r *Report) summary() *summary {
	s := &summary{}
	inputs, dates, findings := grouped{}, grouped{}, grouped{}
	for _, e := range r.Environments {
		row := summaryRow{Environment: e}
		row.Errors, row.Warnings = e.Counts()
		if d, ok := e.Next(); ok {
			row.Next = d.At.Format(time.DateOnly) + " " + d.Of + ", " + d.Kind
		}
		s.Environments = append(s.Environments, row)
		for _, in := range e.Inputs {
			if inputs.add(in.Name, e.Environment) {
				s.Inputs = append(s.Inputs, inputRow{Name: in.Name, Description: in.Declaration.Description})
			}
			inputs.add(in.Name+" "+string(in.Class), e.Environment)
		}
		for _, d := range e.Dates {
			row := dateRow{Day: d.At.Format(time.DateOnly), Kind: d.Kind, Of: d.Of}
			if dates.add(row.key(), e.Environment) {
				s.Dates = append(s.Dates, row)
			}
		}
		for _, f := range e.Findings {
			row := findingRow{Finding: f}
			if findings.add(row.key(), e.Environment) {
				s.Findings = append(s.Findings, row)
			}
		}
	}
	slices.SortFunc(s.Inputs, func(a, b inputRow) int { return cmp.Compare(a.Name, b.Name) })
	for i := range s.Inputs {
		in := &s.Inputs[i]
		in.Environments = inputs.names(in.Name, len(r.Environments))
		var classes []string
		for _, c := range []plan.Class{plan.Required, plan.Optional, plan.Generated, plan.Setting} {
			if inputs[in.Name+" "+string(c)] != nil {
				classes = append(classes, string(c))
			}
		}
		in.Classes = strings.Join(classes, ", ")
	}
	slices.SortStableFunc(s.Dates, func(a, b dateRow) int { return cmp.Compare(a.Day, b.Day) })
	s.Dates = s.Dates[:min(len(s.Dates), most)]
	for i := range s.Dates {
		s.Dates[i].Environments = dates.names(s.Dates[i].key(), len(r.Environments))
	}
	s.Findings = s.Findings[:min(len(s.Findings), most)]
	for i := range s.Findings {
		s.Findings[i].Environments = findings.names(s.Findings[i].key(), len(r.Environments))
	}
	return s
}

func (d dateRow) key() string    { return d.Day + "\x00" + d.Kind + "\x00" + d.Of }
func (f findingRow) key() string { return string(f.Code) + "\x00" + f.Message }

// grouped are the names of environments by what they have.
type grouped map[string][]string

// add reports whether it is the first that has it.
func (g grouped) add(key, name string) bool {
	names := g[key]
	if !slices.Contains(names, name) {
		g[key] = append(names, name)
	}
	return len(names) == 0
}

// names lists the environments that have it, of which there are so many in all.
func (g grouped) names(key string, all int) string {
	const most = 20
	names := g[key]
	switch {
	case len(names) == all && all > 1:
		return fmt.Sprintf("all %d", all)
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Counts counts the findings.
func (e *Environment) Counts() (errors, warnings int) {
	for _, f := range e.Findings {
		if f.Severity == plan.Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Next returns what is due next, or is overdue already: what comes to pass by itself,
// or only may be done, is not.
func (e *Environment) Next() (Date, bool) {
	for _, d := range e.Dates {
		if d.Kind != RotationBegins {
			return d, true
		}
	}
	return Date{}, false
}
