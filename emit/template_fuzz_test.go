package emit

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// FuzzParseTemplate renders what the compiler accepts. Whatever optional inputs
// there are, that must not fail for the lack of one, must not go on without end, must
// not print text/template's own word for nothing, and must depend on no input that
// the template does not list; and whether the key is left out must depend on which
// inputs are there, and not on what is in them.
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
	fns := template.FuncMap(base())

	for _, seed := range []string{
		`{{(fromJson .A).user}}{{with (fromJson .B).x}}{{.}}{{end}}`, `{{if hasKey (fromJson .A) "a"}}x{{end}}`,
		`{{(fromJson .A).a | default "x"}}{{or (fromJson .B).a .A}}`, `{{with fromJson .A}}{{.a.b}}{{range $k, $v := .}}{{$k}}{{$v}}{{end}}{{end}}`,
		`{{with .A}}{{trim .}}{{end}}`, `{{range splitList "," .A}}{{trimPrefix "a" .}}{{end}}`, `{{.B | default ""}}`,
		`{{if regexMatch "a" .A}}x{{end}}`, `{{$x := .A}}{{$x = trunc 1 $x}}{{if $x}}x{{end}}`, `{{.A | trunc 0}}`,
		`{{$a := list .A}}{{$a = list $a $a}}{{$a = list $a $a}}{{toJson $a}}`, `{{range splitList "" .C}}{{range splitList "" $.C}}{{end}}{{end}}x`,
		`{{if $x := .B}}{{$x}}{{else}}{{.A}}{{end}}`, `{{and}}`, `{{index (fromJson .A) "a" | urlquery}}`, `{{(split "," .A)._1}}`,
		`{{(urlParse .A).host}}`, `{{ternary .A "" (empty .B)}}`, `{{print nil}}`, `{{printf "%*d" 9 1}}`,
		`{{range $i, $e := splitList "," .A}}{{if $i}}{{$e}}{{end}}{{end}}`, `{{$x := ""}}{{range fromJson .A}}{{$x = "y"}}{{end}}{{if $x}}z{{end}}`,
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 || strings.Contains(text, "<n") {
			t.Skip()
		}
		checked, problems := plan.ParseTemplate(text, p.Input, names, false)
		if len(problems) > 0 {
			return
		}
		key := plan.Key{Name: "key", Template: checked}
		sameLeftOut(t, key, p)
		_, problems = plan.ParseTemplate(text, p.Input, names, true)
		external := len(problems) == 0
		for presence := range 4 {
			resolved := value.Set{"A": holds("a,1"), "B": {State: value.Absent}, "D": {State: value.Absent}}
			if presence&1 != 0 {
				resolved["B"] = holds("b b")
			}
			if presence&2 != 0 {
				resolved["D"] = holds("d")
			}
			var ds plan.Diagnostics
			c, ok := contentOf(key, "test/secret", p, resolved, &ds)
			if !ok {
				// A template may fail on values that it takes for something else, and on
				// what it makes of them itself.
				made := strings.Contains(text, "dict") || strings.Contains(text, "split") || strings.Contains(text, "urlParse")
				if err := execute(t, checked, p, resolved, fns); err != nil && !made && strings.Contains(err.Error(), "map has no entry") {
					t.Fatalf("%q was accepted with inputs %q, and fails: %v", text, checked.Inputs, err)
				}
				continue
			}
			if bytes.Contains(c.bytes, []byte("<no value>")) || bytes.Contains(c.bytes, []byte("<nil>")) {
				t.Fatalf("%q renders to %q", text, c.bytes)
			}

			// What is not listed may be anything, or unreadable.
			for _, name := range names {
				if name != "C" && !slices.Contains(checked.Inputs, name) {
					resolved[name] = value.Resolved{State: value.Unreadable}
				}
			}
			again, ok := contentOf(key, "test/secret", p, resolved, &ds)
			if !ok || !again.known() || !bytes.Equal(again.bytes, c.bytes) {
				t.Fatalf("%q with inputs %q depends on another", text, checked.Inputs)
			}
			all := map[string]string{"A": "other", "B": "other", "C": "other", "D": "other"}
			for _, name := range checked.Inputs {
				all[name] = textOf(name, p, resolved)
			}
			if got, _, err := render(checked, all); err != nil || !bytes.Equal(got, c.bytes) {
				t.Fatalf("%q with inputs %q renders to %q, or %q (%v) when all others change", text, checked.Inputs, c.bytes, got, err)
			}
			if external {
				sameInlined(t, checked, fns, all)
			}
		}
		if !external {
			return
		}
		sameInlined(t, checked, fns, map[string]string{"A": "{", "B": "{{.A}}", "C": "\"`\n\xff{{", "D": "}}"})
	})
}

// sameLeftOut holds key to what is left out of a tree: where it is left out with
// some values it is left out with all, if the same inputs are there, unless it fails.
func sameLeftOut(t *testing.T, key plan.Key, p *plan.Plan) {
	t.Helper()
	values := []string{"a,1", " ", "b", `{"a":"x","b":[1,null],"user":{"a":""}}`, `{"a":"yy","b":[],"user":{"a":"0"}}`, "YWJj", "0", "null", "[]"}
	for presence := range 4 {
		var left, written string
		for _, a := range values {
			resolved := value.Set{"A": holds(a), "B": {State: value.Absent}, "D": {State: value.Absent}}
			if presence&1 != 0 {
				resolved["B"] = holds(a)
			}
			if presence&2 != 0 {
				resolved["D"] = holds(a)
			}
			var ds plan.Diagnostics
			switch c, ok := contentOf(key, "test/secret", p, resolved, &ds); {
			case !ok:
			case c.leftOut != "":
				left = a
			default:
				written = a
			}
		}
		// What is there of JSON counts as what is there.
		if left != "" && written != "" && !strings.Contains(key.Template.Text, "fromJson") {
			t.Fatalf("%q is left out with %q and not with %q", key.Template.Text, left, written)
		}
	}
}

// sameInlined holds every way to inline some of the values to a rendering of
// the template with all of them, as the operator renders it: without what render
// adds.
func sameInlined(t *testing.T, checked *plan.Template, fns template.FuncMap, data map[string]string) {
	t.Helper()
	want, _, err := render(checked, data)
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
