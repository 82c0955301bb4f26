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
	}, inputNames, false)
}

func TestTemplateAccepted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		inputs string // that it mentions, separated by spaces
	}{
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
		{"{{if and .OPTIONAL (eq .PORT \"x\")}}{{.OPTIONAL}}{{end}}", "OPTIONAL PORT"},
		{"{{if not .OPTIONAL}}-{{else}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if ((not .OPTIONAL))}}-{{else}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if not (not .OPTIONAL)}}{{.OPTIONAL}}{{end}}", "OPTIONAL"},
		{"{{if or (not .OPTIONAL) (not .ANOTHER)}}-{{else}}{{.OPTIONAL}}{{.ANOTHER}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if or .OPTIONAL (and .OPTIONAL .ANOTHER)}}{{.OPTIONAL}}{{end}}", "ANOTHER OPTIONAL"},
		{"{{if not (and .DB_USER .OPTIONAL)}}-{{else}}{{.OPTIONAL}}{{end}}", "DB_USER OPTIONAL"},
		{`{{if eq .OPTIONAL ""}}-{{else}}{{.OPTIONAL}}{{end}}`, "OPTIONAL"},
		{`{{if ne .OPTIONAL ""}}{{.OPTIONAL}}{{end}}`, "OPTIONAL"},
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
		{`{{.OPTIONAL | b64enc | upper | default "x"}}`, "OPTIONAL"},
		{`{{with .OPTIONAL | urlquery}}{{.}}{{end}}`, "OPTIONAL"},
		{`{{if hasPrefix "x" .PORT}}y{{end}}`, "PORT"},
		{"{{or .OPTIONAL .ANOTHER .DB_USER}}", "ANOTHER DB_USER OPTIONAL"},
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
		want.MayBeEmpty, want.Content, want.Questions = got.MayBeEmpty, got.Content, got.Questions // see the tests of these
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

// TestContentAllowed: what may be done with a value, and asked of it.
func TestContentAllowed(t *testing.T) {
	t.Parallel()
	for text, questions := range map[string]int{
		`{{.DB_PASS | urlquery}}`:                                                                      0,
		`{{.DB_PASS | urlquery | replace "+" "%20"}}`:                                                  1,
		`{{.DB_PASS | replace "\\n" "\n"}}`:                                                            1,
		`{{index (splitList ":" .DB_PASS) 0}}`:                                                         2,
		`{{(fromJson .DB_PASS).user}}{{(fromJson .DB_PASS).a.b}}`:                                      0,
		`{{with fromJson .DB_PASS}}{{.user}}{{end}}`:                                                   0,
		`{{$j := fromJson .DB_PASS}}{{$j.user}}{{get $j "b"}}`:                                         0,
		`{{if hasKey (fromJson .DB_PASS) "a"}}{{(fromJson .DB_PASS).a}}{{end}}`:                        0,
		`{{(fromJson .DB_PASS).port | default "5432"}}`:                                                0,
		`{{with (.DB_PASS | fromJson).a}}{{.}}{{end}}`:                                                 0,
		`{{index (fromJson .DB_PASS) "hosts" 0 | quote}}`:                                              1,
		`{{get (fromJson .DB_PASS) (print "a" "b")}}`:                                                  0,
		`{{(dict "a" .DB_USER).a}}{{(get (dict "a" (dict "b" "c")) "a").b}}`:                           0,
		`{{(fromJson "{\"a\": 1}").a}}{{(urlParse "x://y").host}}{{(split "," "a,b")._0}}`:             0,
		`{{(first (list (dict "a" 1))).a}}{{(last (list (dict "a" 1))).a}}`:                            0,
		`{{(index (list (dict "a" 1)) 0).a}}{{(or (dict "a" 1) (dict "a" 2)).a}}`:                      0,
		`{{.DB_PASS | b64dec | fromJson | toJson}}`:                                                    2,
		`{{(urlParse .DB_PASS).host}}`:                                                                 1,
		`{{(split "," .DB_PASS)._0}}`:                                                                  1,
		`{{range $i, $e := splitList "," .DB_PASS}}{{if $i}};{{end}}{{trim $e}}{{end}}`:                2,
		`{{toJson (dict "a" .DB_PASS "b" (list .DB_USER))}}`:                                           1,
		`{{printf "%s:%-8q" .DB_PASS .DB_PASS}}`:                                                       1,
		`{{if and .OPTIONAL (eq .PORT "1")}}{{.OPTIONAL | b64enc}}{{else}}-{{end}}`:                    0,
		`{{$x := .DB_PASS}}{{$x = print $x $x}}{{$x = print $x $x}}{{$x | urlquery}}{{$x | urlquery}}`: 2,
	} {
		got, problems := parseTemplate(text)
		if len(problems) > 0 {
			t.Errorf("%s: %+v", text, problems)
		}
		if n := len(got.Questions["DB_PASS"]); n != questions {
			t.Errorf("%s: %d questions, want %d: %q", text, n, questions, got.Questions["DB_PASS"])
		}
	}
}

// TestExternalTemplate: what the operator would do otherwise is said at compile time.
func TestExternalTemplate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{{.DB_PASS | urlquery}}`: false, `{{index (splitList "," .DB_PASS) 0}}`: false, `{{first (splitList "," .DB_PASS)}}`: false,
		`{{(fromJson .DB_PASS).a}}`: true, `{{.DB_PASS | b64dec}}`: true, `{{.DB_PASS | b32dec}}`: true, `{{.DB_PASS | atoi}}`: true,
		`{{(urlParse .DB_PASS).userinfo}}`: true, `{{(split "," .DB_PASS)._9}}`: true, `{{index (dict "a" .DB_PASS) "b"}}`: true,
		`{{get (dict "a" .DB_PASS) "b"}}`: true, `{{$j := urlParse .DB_PASS}}{{$j.userinfo}}`: true, `{{b64dec "eA=="}}{{.DB_PASS}}`: false,
	} {
		_, problems := plan.ParseTemplate(text, func(name string) (plan.Input, bool) {
			in, ok := inputs[name]
			return in, ok
		}, inputNames, true)
		if got := len(problems) > 0; got != want {
			t.Errorf("%s: %+v", text, problems)
		}
		for _, p := range problems {
			if p.Code != plan.CodeExternalTemplate {
				t.Errorf("%s: %+v", text, p)
			}
		}
	}
}

// TestTemplateBombs: what would take the compiler long or its stack does not compile, or compiles at once.
func TestTemplateBombs(t *testing.T) {
	t.Parallel()
	doubled := "{{$a := .DB_PASS}}"
	for range 60 {
		doubled += "{{$a = print $a $a}}"
	}
	nested := ""
	for range 3000 {
		nested += "{{range list 1 2}}"
	}
	for text, code := range map[string]plan.Code{
		doubled + "{{$a}}": "",
		nested + "x" + strings.Repeat("{{end}}", 3000):                           "",
		"{{" + strings.Repeat("(", 20000) + strings.Repeat(")", 20000) + "}}":    plan.CodeTemplateBig,
		strings.Repeat("{{if .PORT}}", 20000) + strings.Repeat("{{end}}", 20000): plan.CodeTemplateBig,
		strings.Repeat("x", 1<<20+1):                                             plan.CodeTemplateBig,
	} {
		switch _, problems := parseTemplate(text); {
		case code == "" && len(problems) > 0:
			t.Errorf("%.40s: %+v", text, problems[0])
		case code != "" && (len(problems) != 1 || problems[0].Code != code):
			t.Errorf("%.40s: want %s", text, code)
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
		unguarded = "without testing whether it is there"
		noFields  = "values have no fields"
		whole     = "is all inputs at once"
	)
	// A ^ in a text marks the place of each problem.
	type problem struct {
		code                 plan.Code
		token, message, hint string // parts of the message and the hint
	}
	content := func(token string) problem { return problem{plan.CodeContent, token, "the value of", ""} }
	tests := []struct {
		text string
		want []problem
	}{
		// Never anything.
		{"^", []problem{{plan.CodePrintsNothing, "", "never prints", ""}}},
		{"^{{/* c */}}{{$x := .DB_USER}}{{if .OPTIONAL}}{{end}}", []problem{{plan.CodePrintsNothing, "", "never prints", ""}}},

		// The content of a secret decides nothing.
		{`{{if ^regexMatch ".{3}[A-M]" .DB_PASS}}x{{end}}`, []problem{content("regexMatch")}},
		{`{{if ^eq .DB_PASS "x"}}x{{end}}`, []problem{content("eq")}},
		{`{{if ^eq (.DB_PASS | trim) ""}}x{{end}}`, []problem{content("eq")}},
		{`{{^len .DB_PASS}}`, []problem{content("len")}},
		{`{{if .HOST}}{{^eq .HOST "m"}}{{end}}`, []problem{content("eq")}}, // a setting without a default
		{`{{^lt .DB_PASS "m"}}`, []problem{content("lt")}},
		{`{{^contains "a" .DB_PASS | ternary "a" "bb"}}`, []problem{content("contains")}},
		{`{{with .DB_PASS | ^trimPrefix "a"}}x{{end}}`, []problem{content("trimPrefix")}},
		{`{{if .DB_PASS | ^trunc 4}}x{{end}}`, []problem{content("trunc")}},
		{`{{$x := .DB_PASS | trimPrefix "a"}}{{if ^$x}}x{{end}}`, []problem{{plan.CodeContent, "", "the value of", ""}}},
		{`{{^regexReplaceAll "[a-m].*" .DB_PASS ""}}`, []problem{content("regexReplaceAll")}},
		{`{{^index (dict "a" 1 "b" 22) (trunc 1 .DB_PASS)}}`, []problem{content("index")}},
		{`{{^index (splitList ":" .DB_PASS) (len "a")}}`, []problem{{plan.CodeContent, "index", "other than a literal", ""}}},
		{`{{^indent (atoi .DB_PASS) "x"}}`, []problem{content("indent")}},
		{`{{^printf .DB_PASS 1}}`, []problem{content("printf")}},
		{`{{^replace "a" "aa" .DB_PASS}}`, []problem{{plan.CodeContent, "replace", "would reveal letters and digits", ""}}},
		{`{{^splitList "" .DB_PASS | join ","}}`, []problem{{plan.CodeContent, "splitList", "would reveal letters and digits", ""}}},
		{`{{^replace (upper "-") "" .DB_PASS}}`, []problem{{plan.CodeContent, "replace", "would reveal letters and digits", ""}}},
		{`{{range $i := list 1 2}}{{^trunc $i $.DB_PASS}}{{end}}`, []problem{{plan.CodeContent, "trunc", "other than a literal", ""}}},
		{`{{$x := .DB_PASS}}{{range list 1 2}}{{^$x = substr 1 -1 $x}}{{$x}}{{end}}`, []problem{{plan.CodeContent, "$x", "repeatedly", ""}}},
		{`{{^printf "%d" .DB_PASS}}`, []problem{{plan.CodeContent, "printf", "a verb", ""}}},
		{`{{^printf "% x" .DB_PASS}}`, []problem{{plan.CodeContent, "printf", "a verb", ""}}},
		{`{{if ^hasKey (fromJson (printf "{%q:1}" .DB_PASS)) "a"}}x{{end}}`, []problem{content("hasKey")}},
		{`{{if ^eq (fromJson .DB_PASS).a "x"}}x{{end}}`, []problem{content("eq")}},
		{`{{range (splitList "," .DB_PASS)}}{{if ^.}}x{{end}}{{end}}`, []problem{{plan.CodeContent, "", "the value of", ""}}},
		{`{{range $k, $v := fromJson .DB_PASS}}{{if ^$k}}x{{end}}{{end}}`, []problem{{plan.CodeContent, "", "the value of", ""}}},

		// Arguments.
		{"{{^and}}", []problem{{plan.CodeTemplate, "and", "takes at least 1 argument, and gets 0", ""}}},
		{"{{if ^or}}x{{end}}", []problem{{plan.CodeTemplate, "or", "takes at least 1 argument", ""}}},
		{"{{^upper .DB_USER .PORT}}", []problem{{plan.CodeTemplate, "upper", "takes 1 argument, and gets 2", ""}}},
		{`{{.PORT | ^replace "a"}}`, []problem{{plan.CodeTemplate, "replace", "takes 3 arguments, and gets 2", ""}}},
		{`{{^dict "a" | toJson}}`, []problem{{plan.CodeTemplate, "dict", "keys and values", ""}}},
		{`{{^.PORT "x"}}`, []problem{{plan.CodeTemplate, "", "takes no arguments", ""}}},
		{`{{print (^quote)}}`, []problem{{plan.CodeTemplate, "quote", "takes at least 1", ""}}},
		{`{{$d := dict}}{{$_ := ^set $d "a" $d}}{{$d}}`, []problem{{plan.CodeUnknownFunc, "set", `"set"`, "all its keys"}}},

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
		{`{{range list 1}}{{$.^OPTIONAL}}{{end}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{or .OPTIONAL .^ANOTHER}}", []problem{{plan.CodeUnguarded, "ANOTHER", unguarded, ""}}},
		{"{{if $x := .OPTIONAL}}{{$x}}{{else}}{{^$x}}{{end}}", []problem{{plan.CodeUnguarded, "$x", "where OPTIONAL is absent", ""}}},
		{"{{with $x := or .OPTIONAL .ANOTHER}}{{$x}}{{else}}{{^$x}}{{end}}", []problem{{plan.CodeUnguarded, "$x", "is absent", ""}}},
		{"{{if $x := .OPTIONAL}}{{else}}{{$x := .PORT}}{{$x}}{{end}}{{if $x := .OPTIONAL}}a{{else if .ANOTHER}}{{upper ^$x}}{{end}}",
			[]problem{{plan.CodeUnguarded, "$x", "where OPTIONAL is absent", ""}}},
		// What is made from nothing would pass for a value.
		{`{{with ^printf "x%s" .^OPTIONAL}}{{.}}{{end}}`, []problem{content("printf"), {plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{"{{range list .^OPTIONAL}}{{.}}{{end}}", []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}}},
		{`{{printf "x%s" .^OPTIONAL | ^default "y"}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}, content("default")}},
		{`{{.^OPTIONAL | quote | ^default "y"}}`, []problem{{plan.CodeUnguarded, "OPTIONAL", unguarded, ""}, content("default")}},
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
		{"{{0 | ^.DB_USER}}", []problem{{plan.CodeTemplate, "", ".DB_USER comes after | and is not a function", "function"}}},
		{"{{0 | ^$.DB_USER}}", []problem{{plan.CodeTemplate, "", "$.DB_USER comes after | and is not a function", "function"}}},
		{"{{range ^.DB_USER}}x{{end}}", []problem{{plan.CodeTemplate, "", "range over .DB_USER, which is not a list", "splitList"}}},
		{"{{range ^$i := 99999}}x{{end}}", []problem{{plan.CodeTemplate, "", "range over $i := 99999, which is not a list", ""}}},
		{"{{range ^len .PORT}}x{{end}}", []problem{{plan.CodeTemplate, "", "which is not a list", ""}}},
		{"{{.DB_USER | indent ^99999999}}", []problem{{plan.CodeTemplate, "99999999", "number 99999999 is too large", ""}}},
		{"{{.DB_USER | indent ^-99999999}}", []problem{{plan.CodeTemplate, "-99999999", "number -99999999 is too large", ""}}},
		{"{{\"x\" | indent ^1.5e9}}{{.DB_USER}}", []problem{{plan.CodeTemplate, "1.5e9", "number 1.5e9 is too large", ""}}},
		{"{{\"x\" | indent ^1e300}}{{.DB_USER}}", []problem{{plan.CodeTemplate, "1e300", "number 1e300 is too large", ""}}},
		{"{{\"x\" | indent ^-1e300}}{{.DB_USER}}", []problem{{plan.CodeTemplate, "-1e300", "number -1e300 is too large", ""}}},
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

// TestInline: what is known stands in the text, and the rest is as it was.
func TestInline(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a{{.A}}b{{.B}}":                  `ax"yb{{.B}}`,
		"{{if .A}}{{.B | b64enc}}{{end}}": `{{if "x\"y"}}{{.B | b64enc}}{{end}}`,
		"plain":                           "plain",
		"{{with .B}}{{$.A}}{{else}}{{.A}}{{end}}": `{{with .B}}x"y{{else}}x"y{{end}}`,
		"{{ broken": "{{ broken",
	} {
		tmpl := &plan.Template{Text: text}
		if got := tmpl.Inline(map[string]string{"A": `x"y`}); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
