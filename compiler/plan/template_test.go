package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// inputs of the tests below: one of each kind that templates tell apart.
var (
	fallback = "5432"
	inputs   = map[string]plan.Input{
		"DB_USER":  {Name: "DB_USER", Class: plan.Required},
		"DB_PASS":  {Name: "DB_PASS", Class: plan.Generated},
		"OPTIONAL": {Name: "OPTIONAL", Class: plan.Optional},
		"ANOTHER":  {Name: "ANOTHER", Class: plan.Optional},
		"PORT":     {Name: "PORT", Class: plan.Setting, Default: &fallback},
		"HOST":     {Name: "HOST", Class: plan.Setting},
	}
	inputNames = []string{"ANOTHER", "DB_PASS", "DB_USER", "HOST", "OPTIONAL", "PORT"}
)

func parseTemplate(text string) (*plan.Template, []plan.TemplateProblem) {
	return plan.ParseTemplate(text, func(name string) (plan.Input, bool) {
		in, ok := inputs[name]
		return in, ok
	}, inputNames)
}

func TestTemplateAccepted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		inputs string // that it mentions, separated by spaces
	}{
		{"", ""},
		{"only text, {/* no */} action", ""},
		{"{{/* a comment */}}{{- print \"x\" -}}", ""},
		{"{{.DB_USER}}:{{.DB_PASS | urlquery}}@{{.PORT}}", "DB_PASS DB_USER PORT"},
		{`{{printf "%s-%s" .DB_USER (.DB_PASS | b64enc)}}`, "DB_PASS DB_USER"},
		{"{{$u := .DB_USER}}{{$u}}{{$u = .PORT}}{{$u}}", "DB_USER PORT"},
		{"{{$.DB_USER}}", "DB_USER"},

		// Guards.
		{"{{if .OPTIONAL}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if .HOST}}{{.HOST}}{{end}}", "HOST"},
		{"{{if $.OPTIONAL}}{{.OPTIONAL}}{{$.OPTIONAL | upper}}{{end}}", "OPTIONAL"},
		{"{{if (.OPTIONAL)}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{with .OPTIONAL}}{{.}}{{end}}", "OPTIONAL"},
		{"{{with .OPTIONAL}}{{$.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{with $x := .OPTIONAL}}{{$x}}{{end}}", "OPTIONAL"},
		{"{{with .OPTIONAL}}{{.}}{{else with .ANOTHER}}{{.}}{{else}}{{.DB_USER}}{{end}}", "ANOTHER DB_USER OPTIONAL"},
		{"{{if .OPTIONAL}}a{{else if .ANOTHER}}{{.ANOTHER}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if and .OPTIONAL .ANOTHER}}{{.OPTIONAL}}{{.ANOTHER}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if and .OPTIONAL (eq .DB_USER \"x\")}}{{.OPTIONAL}}{{end}}", "DB_USER OPTIONAL"},
		{"{{if not .OPTIONAL}}-{{else}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if ((not .OPTIONAL))}}-{{else}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if not (not .OPTIONAL)}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if or (not .OPTIONAL) (not .ANOTHER)}}-{{else}}{{.OPTIONAL}}{{.ANOTHER}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if or .OPTIONAL (and .OPTIONAL .ANOTHER)}}{{.OPTIONAL}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if not (and .DB_USER .OPTIONAL)}}-{{else}}{{.OPTIONAL}}{{end}}", "DB_USER OPTIONAL"},
		{`{{if eq .OPTIONAL "x"}}{{.OPTIONAL}}{{end}}`, "OPTIONAL"},
		{`{{if eq .OPTIONAL ""}}-{{else}}{{.OPTIONAL}}{{end}}`, "OPTIONAL"},
		{`{{if ne .OPTIONAL ""}}{{.OPTIONAL}}{{end}}`, "OPTIONAL"},
		{`{{if ne .OPTIONAL "x"}}-{{else}}{{.OPTIONAL}}{{end}}`, "OPTIONAL"},
		{"{{if .OPTIONAL}}{{if .ANOTHER}}{{.OPTIONAL}}{{.ANOTHER}}{{end}}{{.OPTIONAL}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if .OPTIONAL}}{{with .ANOTHER}}{{.}}{{$.OPTIONAL}}{{end}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if .OPTIONAL}}{{range list 1 2}}{{.}}{{$.OPTIONAL}}{{end}}{{end}}", "OPTIONAL"},
		{"{{range splitList \",\" .DB_USER}}{{.}}{{break}}{{else}}{{.PORT}}{{end}}", "DB_USER PORT"},

		// Defaults.
		{`{{.OPTIONAL | default "x"}}`, "OPTIONAL"},
		{`{{default "x" .OPTIONAL}}`, "OPTIONAL"},
		{`{{.OPTIONAL | default .PORT | urlquery}}`, "OPTIONAL PORT"},
		{`{{.OPTIONAL | default .ANOTHER | default "x"}}`, "ANOTHER OPTIONAL"},
		{`{{coalesce .OPTIONAL .ANOTHER "x"}}`, "ANOTHER OPTIONAL"},
		{`{{.OPTIONAL | coalesce .ANOTHER .PORT}}`, "ANOTHER OPTIONAL PORT"},
		{`{{with coalesce .OPTIONAL .ANOTHER}}{{.}}{{end}}`, "ANOTHER OPTIONAL"},
		{`{{.OPTIONAL | trim | upper | default "x"}}`, "OPTIONAL"},
		{`{{with .OPTIONAL | urlquery}}{{.}}{{end}}`, "OPTIONAL"},
		{`{{if hasPrefix "x" .OPTIONAL}}y{{end}}`, "OPTIONAL"},
		{`{{if .ANOTHER}}{{coalesce .OPTIONAL .ANOTHER}}{{end}}`, "ANOTHER OPTIONAL"},
		{`{{printf "%v" (empty .OPTIONAL)}}{{.ANOTHER | empty}}`, "ANOTHER OPTIONAL"},
		{`{{$x := .OPTIONAL | default "x"}}{{$x}}`, "OPTIONAL"},
	}
	for _, tt := range tests {
		got, problems := parseTemplate(tt.text)
		if len(problems) > 0 {
			t.Errorf("%s: %+v", tt.text, problems)
		}
		want := &plan.Template{Text: tt.text, Inputs: strings.Fields(tt.inputs)}
		if len(want.Inputs) == 0 {
			want.Inputs = nil
		}
		want.MayBeEmpty = got.MayBeEmpty // see TestMayBeEmpty
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestMayBeEmpty(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true, "x": false, "{{.DB_USER}}": false, "{{/* c */}}": true, "{{$x := .DB_USER}}": true,
		"{{with .OPTIONAL}}{{.}}{{end}}":                         true,
		"{{with .OPTIONAL}}{{.}}{{else}}none{{end}}":             false,
		"{{with .OPTIONAL}}{{else}}none{{end}}":                  true,
		"{{if .OPTIONAL}}a{{else if .ANOTHER}}b{{end}}":          true,
		"{{if .OPTIONAL}}a{{else if .ANOTHER}}b{{else}}c{{end}}": false,
		"{{range list 1}}x{{end}}":                               true,
		"{{if .OPTIONAL}}{{end}} ":                               false,
	} {
		if got, _ := parseTemplate(text); got.MayBeEmpty != want {
			t.Errorf("%s: %v, want %v", text, got.MayBeEmpty, want)
		}
	}
}

func TestTemplateProblems(t *testing.T) {
	t.Parallel()
	const (
		unguarded = "without asking whether it is there"
		noFields  = "values have no fields"
		whole     = "is all inputs at once"
	)
	// A ^ in a text marks the place of each problem.
	type problem struct {
		code                 plan.Code
		token, message, hint string // parts of the message and the hint
	}
	tests := []struct {
		text string
		want []problem
	}{
		// Unknown inputs and functions, all at once.
		{"{{.^DB_USR}}", []problem{{plan.CodeUnknownInput, "DB_USR", `unknown input "DB_USR"`, `did you mean "DB_USER"?`}}},
		{"{{$.^db_user}}", []problem{{plan.CodeUnknownInput, "db_user", `unknown input "db_user"`, `did you mean "DB_USER"?`}}},
		{"{{.^ENTIRELY_ELSE}}", []problem{{plan.CodeUnknownInput, "ENTIRELY_ELSE", `"ENTIRELY_ELSE"`, "declare it under inputs"}}},
		{"{{.DB_USER}}\n{{ .^DB_PAS }}{{.^PORTS | ^uper}}", []problem{
			{plan.CodeUnknownInput, "DB_PAS", `"DB_PAS"`, `"DB_PASS"`},
			{plan.CodeUnknownInput, "PORTS", `"PORTS"`, `"PORT"`},
			{plan.CodeUnknownFunc, "uper", `unknown function "uper"`, `did you mean "upper"?`},
		}},
		{"{{if .^NOPE}}{{end}}", []problem{{plan.CodeUnknownInput, "NOPE", "NOPE", ""}}},
		{"{{.^NOPE.MORE}}", []problem{{plan.CodeUnknownInput, "NOPE", "NOPE", ""}}},
		{`{{^env "HOME"}}`, []problem{{plan.CodeUnknownFunc, "env", `unknown function "env"`, ""}}},
		{"{{^now}}{{^randAlphaNum 3}}", []problem{
			{plan.CodeUnknownFunc, "now", `"now"`, ""},
			{plan.CodeUnknownFunc, "randAlphaNum", `"randAlphaNum"`, "victorgen explain VG1204"},
		}},
		{"{{if (^call .DB_USER)}}{{end}}", []problem{{plan.CodeUnknownFunc, "call", `"call"`, ""}}},

		// Unguarded.
		{"{{.^OPTIONAL}}", []problem{{plan.CodeUnguarded, "OPTIONAL", "prints optional input OPTIONAL " + unguarded, "{{with .OPTIONAL}}"}}},
		{"{{$.^HOST}}", []problem{{plan.CodeUnguarded, "HOST", "prints setting input HOST " + unguarded, ""}}},
		{"{{.^OPTIONAL | urlquery}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{printf "%s" (.^OPTIONAL | trim)}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{$x := .^OPTIONAL}}{{$x}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{if .OPTIONAL}}{{.^ANOTHER}}{{end}}", []problem{{plan.CodeUnguarded, "ANOTHER", unguarded, ""}}},
		{"{{if .OPTIONAL}}{{else}}{{.^OPTIONAL}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{if .OPTIONAL}}{{end}}{{.^OPTIONAL}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{with .OPTIONAL}}{{else}}{{.^OPTIONAL}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{if not .OPTIONAL}}{{.^OPTIONAL}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{if or .OPTIONAL .ANOTHER}}{{.^OPTIONAL}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{if and .OPTIONAL .ANOTHER}}{{else}}{{.^OPTIONAL}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{if eq .OPTIONAL ""}}{{.^OPTIONAL}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{if ne .OPTIONAL "x"}}{{.^OPTIONAL}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{if eq .OPTIONAL .ANOTHER}}{{.^OPTIONAL}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{if eq .OPTIONAL "x" ""}}{{.^OPTIONAL}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{range list 1}}{{$.^OPTIONAL}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{or .^OPTIONAL .^ANOTHER}}", []problem{
			{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}, {plan.CodeUnguarded, "ANOTHER", unguarded, ""},
		}},
		// What is made from nothing would pass for a value.
		{`{{with printf "x%s" .^OPTIONAL}}{{.}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{range list .^OPTIONAL}}{{.}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{printf "x%s" .^OPTIONAL | default "y"}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{.^OPTIONAL | quote | default "y"}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		// A fallback that may itself be absent is none: coalesce would print <no value>.
		{"{{coalesce .OPTIONAL .^ANOTHER}}", []problem{{plan.CodeUnguarded, "ANOTHER", unguarded, ""}}},
		{"{{.OPTIONAL | coalesce .^ANOTHER}}", []problem{{plan.CodeUnguarded, "ANOTHER", unguarded, ""}}},
		{"{{default .^OPTIONAL .ANOTHER}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{.OPTIONAL | default .^ANOTHER}}", []problem{{plan.CodeUnguarded, "ANOTHER", unguarded, ""}}},
		{"{{.OPTIONAL | default (.^ANOTHER | upper)}}", []problem{{plan.CodeUnguarded, "ANOTHER", unguarded, ""}}},

		// What is not available.
		{"{{^.}}", []problem{{plan.CodeTemplate, ".", ". " + whole, "name one input"}}},
		{"{{^$}}", []problem{{plan.CodeTemplate, "$", "$ " + whole, "name one input"}}},
		{"{{toJson ^.}}", []problem{{plan.CodeTemplate, ".", whole, ""}}},
		{"{{0 | ^.DB_USER}}", []problem{{plan.CodeTemplate, "", ".DB_USER stands behind | and is no function", "function"}}},
		{"{{0 | ^$.DB_USER}}", []problem{{plan.CodeTemplate, "", "$.DB_USER stands behind | and is no function", "function"}}},
		{"{{range ^.DB_USER}}x{{end}}", []problem{{plan.CodeTemplate, "", "range over .DB_USER, which is no list", "splitList"}}},
		{"{{range ^$i := 99999}}x{{end}}", []problem{{plan.CodeTemplate, "", "range over $i := 99999, which is no list", ""}}},
		{"{{range ^len .DB_USER}}x{{end}}", []problem{{plan.CodeTemplate, "", "which is no list", ""}}},
		{"{{.DB_USER | indent ^99999999}}", []problem{{plan.CodeTemplate, "99999999", "number 99999999 is too great", ""}}},
		{"{{with .DB_USER}}{{^$}}{{end}}", []problem{{plan.CodeTemplate, "$", whole, ""}}},
		{"{{with .DB_USER}}{{else}}{{^.}}{{end}}", []problem{{plan.CodeTemplate, ".", whole, ""}}},
		{"{{.^DB_USER.NAME}}", []problem{{plan.CodeTemplate, "DB_USER", ".DB_USER.NAME: " + noFields, "use .DB_USER alone"}}},
		{"{{$.^DB_USER.NAME.MORE}}", []problem{{plan.CodeTemplate, "DB_USER", noFields, "use .DB_USER alone"}}},
		{"{{$x := .DB_USER}}{{^$x.NAME}}", []problem{{plan.CodeTemplate, "$x.NAME", noFields, "use $x alone"}}},
		{"{{(.DB_USER)^.NAME}}", []problem{{plan.CodeTemplate, ".NAME", noFields, "use the value alone"}}},
		{"{{with .DB_USER}}{{^.PORT}}{{end}}", []problem{{plan.CodeTemplate, ".PORT", "selected", "write $.PORT"}}},
		{"{{range list 1}}{{^.DB_USER.NAME}}{{end}}", []problem{{plan.CodeTemplate, ".DB_USER.NAME", "selected", "write $.DB_USER"}}},
		{`^{{define "x"}}{{end}}`, []problem{{plan.CodeTemplate, "", "define or block", ""}}},
		{`^{{define "x"}}{{.NOPE}}{{end}}text`, []problem{{plan.CodeTemplate, "", "define or block", ""}}},
		{`^{{define "template"}}{{.NOPE}}{{end}}`, []problem{{plan.CodeTemplate, "", "define or block", ""}}},
		{`^{{block "x" .DB_USER}}{{.}}{{end}}`, []problem{{plan.CodeTemplate, "", "define or block", ""}}},
		{`{{template "^x" .}}`, []problem{{plan.CodeTemplate, "x", "calls another template", ""}}},

		// Parse errors: the offset is that of the line.
		{"^{{.DB_USER", []problem{{plan.CodeTemplate, "", "template does not parse: unclosed action", "text/template"}}},
		{"one\ntwo\n^three {{if}}\nfour", []problem{{plan.CodeTemplate, "", "template does not parse: missing value for if", ""}}},
		{"one\n^{{end}}", []problem{{plan.CodeTemplate, "", "template does not parse: unexpected {{end}}", ""}}},
		{"^{{$x}}", []problem{{plan.CodeTemplate, "", `undefined variable "$x"`, ""}}},
		{"^{{break}}", []problem{{plan.CodeTemplate, "", "{{break}} outside {{range}}", ""}}},
	}
	for _, tt := range tests {
		var offsets []int
		text := tt.text
		for i := strings.IndexByte(text, '^'); i >= 0; i = strings.IndexByte(text, '^') {
			offsets = append(offsets, i)
			text = text[:i] + text[i+1:]
		}
		_, got := parseTemplate(text)
		if len(got) != len(tt.want) || len(offsets) != len(tt.want) {
			t.Errorf("%s: got %d problems, want %d: %+v", tt.text, len(got), len(tt.want), got)
			continue
		}
		for i, w := range tt.want {
			g := got[i]
			if g.Code != w.code || g.Offset != offsets[i] || g.Token != w.token ||
				!strings.Contains(g.Message, w.message) || !strings.Contains(g.Hint, w.hint) || g.Hint == "" {
				t.Errorf("%s: problem %d: got %+v\nwant %+v at %d", tt.text, i, g, w, offsets[i])
			}
			if !strings.HasPrefix(text[g.Offset:], g.Token) {
				t.Errorf("%s: %q does not stand at %d", tt.text, g.Token, g.Offset)
			}
		}
	}
}

// TestTemplateInputsDespiteProblems: what a broken template mentions is not to
// be reported as unused on top.
func TestTemplateInputsDespiteProblems(t *testing.T) {
	t.Parallel()
	got, problems := parseTemplate("{{.OPTIONAL}}{{.NOPE}}{{.DB_USER.X}}{{nope .PORT}}")
	if len(problems) != 4 {
		t.Errorf("got %d problems, want 4: %+v", len(problems), problems)
	}
	if want := []string{"DB_USER", "OPTIONAL", "PORT"}; !slices.Equal(got.Inputs, want) {
		t.Errorf("got %v, want %v", got.Inputs, want)
	}
}
