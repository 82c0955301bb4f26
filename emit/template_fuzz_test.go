package emit

import (
	"bytes"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// costly matches what makes a template run for long or print much: a contract
// may do that to its own author, but a fuzzer finds nothing else then.
var costly = regexp.MustCompile(`(?i)[0-9]{4}|[0-9][xobep_]|range[^}]*'`)

// FuzzParseTemplate renders what the compiler accepts. Whatever optional inputs
// there are, that must not fail for the lack of one, must not print text/template's
// own word for nothing, and must depend on no input that the template does not list.
func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{
		"", "{{/* nothing */}}",
		"postgres://{{.A | urlquery}}@{{.C}}/{{/* comment */}}{{- \"x\" -}}",
		"{{if .B}}{{.B}}{{else if .D}}{{.D}}{{else}}{{.A}}{{end}}",
		"{{with .B}}{{.}}{{$.A}}{{else with $.D}}{{. | b64enc}}{{else}}-{{end}}",
		`{{.B | default "x"}}{{default .C .D}}{{coalesce .B .D "y"}}`,
		"{{coalesce .B .D}}{{default .B .D}}",
		"{{if and .B (not (or (not .D) (eq .A .C)))}}{{.B}}{{.D}}{{end}}",
		`{{if ne .B ""}}{{.B}}{{end}}{{if eq .D "d"}}{{.D}}{{else}}{{.A}}{{end}}`,
		`{{$x := .A}}{{range $i, $w := splitList "," $x}}{{$i}}{{$w}}{{break}}{{else}}{{$.C}}{{end}}`,
		`{{range list .A .C}}{{if $.B}}{{.}}{{$.B}}{{continue}}{{end}}{{end}}`,
		`{{first (list)}}{{index (dict "a" .A) "b"}}{{fromJson "null"}}`,
		`{{index (fromJson "{\"a\": 1}") "b"}}{{get (dict) "a"}}`,
		`{{define "template"}}{{.B}}{{.NOPE}}{{end}}`,
		`{{printf "%s %q" .A (upper .C) | html | trunc 9}}{{ternary .A .C (empty .B)}}`,
		`{{toJson (dict "a" .A "b" (list .C 1))}}`,
		"{{with .D}}{{0 | $.A}}{{end}}",
		"{ {{- .A}}{{.C}}{{/* gone */}}{{.B | default .C}}{ {{- /* gone */ -}} {{$x := .C}}{{$x}}",
	} {
		f.Add(seed)
	}

	port := "5432"
	p := &plan.Plan{Inputs: []plan.Input{
		{Name: "A", Class: plan.Required},
		{Name: "B", Class: plan.Optional},
		{Name: "C", Class: plan.Setting, Default: &port},
		{Name: "D", Class: plan.Optional},
	}}
	names := []string{"A", "B", "C", "D"}
	fns := functions()

	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 || costly.MatchString(text) || strings.Contains(text, "<no") {
			t.Skip()
		}
		checked, problems := plan.ParseTemplate(text, p.Input, names)
		if len(problems) > 0 {
			return
		}
		key := plan.Key{Name: "key", Template: checked}
		for presence := range 4 {
			resolved := value.Set{"A": holds("a,1"), "B": {State: value.Absent}, "D": {State: value.Absent}}
			if presence&1 != 0 {
				resolved["B"] = holds("b b")
			}
			if presence&2 != 0 {
				resolved["D"] = holds("d")
			}
			var ds plan.Diagnostics
			c, ok := contentOf(key, "test/secret", p, resolved, fns, &ds)
			if !ok {
				// A template may fail on values that it takes for something else.
				if err := execute(t, checked, p, resolved, fns); err != nil && strings.Contains(err.Error(), "map has no entry") {
					t.Fatalf("%q was accepted with inputs %q, and fails: %v", text, checked.Inputs, err)
				}
				continue
			}
			if bytes.Contains(c.bytes, []byte("<no value>")) {
				t.Fatalf("%q renders to %q", text, c.bytes)
			}

			// What is not listed may be anything, or unreadable.
			for _, name := range names {
				if name != "C" && !slices.Contains(checked.Inputs, name) {
					resolved[name] = value.Resolved{State: value.Unreadable}
				}
			}
			again, ok := contentOf(key, "test/secret", p, resolved, fns, &ds)
			if !ok || !again.known() || !bytes.Equal(again.bytes, c.bytes) {
				t.Fatalf("%q with inputs %q depends on another", text, checked.Inputs)
			}
			all := map[string]string{"A": "other", "B": "other", "C": "other", "D": "other"}
			for _, name := range checked.Inputs {
				all[name] = textOf(name, p, resolved)
			}
			if got, err := render(checked, fns, all); err != nil || !bytes.Equal(got, c.bytes) {
				t.Fatalf("%q with inputs %q renders to %q, or %q (%v) when all others change", text, checked.Inputs, c.bytes, got, err)
			}
			sameInlined(t, checked, fns, all)
		}
		sameInlined(t, checked, fns, map[string]string{"A": "{", "B": "{{.A}}", "C": "\"`\n\xff{{", "D": "}}"})
	})
}

// sameInlined holds every way to inline some of the values to a rendering of
// the template with all of them, as the operator renders it: without what render
// adds.
func sameInlined(t *testing.T, checked *plan.Template, fns template.FuncMap, data map[string]string) {
	t.Helper()
	want, err := render(checked, fns, data)
	if err != nil {
		return
	}
	for which := range 1 << len(checked.Inputs) {
		known, rest := map[string]string{}, map[string]string{}
		for i, name := range checked.Inputs {
			if which&(1<<i) != 0 {
				known[name] = data[name]
			} else {
				rest[name] = data[name]
			}
		}
		inlined := checked.Inline(known)
		var got bytes.Buffer
		tmpl, err := template.New("key").Option("missingkey=error").Funcs(fns).Parse(inlined)
		if err == nil {
			err = tmpl.Execute(&got, rest)
		}
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("%q renders to %q, but %q, with %v inlined, to %q (%v)", checked.Text, want, inlined, slices.Sorted(maps.Keys(known)), got.Bytes(), err)
		}
	}
}

func holds(s string) value.Resolved {
	return value.Resolved{State: value.Present, Value: value.New([]byte(s))}
}

func textOf(name string, p *plan.Plan, values value.Set) string {
	if in, _ := p.Input(name); in.Default != nil {
		return *in.Default
	}
	return string(values[name].Value.Reveal())
}

// execute is render with the error of text/template itself.
func execute(t *testing.T, checked *plan.Template, p *plan.Plan, values value.Set, fns template.FuncMap) error {
	tmpl, err := template.New("template").Option("missingkey=error").Funcs(fns).Parse(checked.Text)
	if err != nil {
		t.Fatalf("%q was accepted and does not parse: %v", checked.Text, err)
	}
	data := map[string]string{}
	for _, name := range checked.Inputs {
		data[name] = textOf(name, p, values)
	}
	return tmpl.Execute(io.Discard, data)
}
