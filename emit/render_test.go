package emit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// rendered renders text with J as the value of an input, and O absent.
func rendered(t *testing.T, text, j string) (string, error) {
	t.Helper()
	p := &plan.Plan{Inputs: []plan.Input{{Name: "J", Class: plan.Required}, {Name: "O", Class: plan.Optional}}}
	checked, problems := plan.ParseTemplate(text, p.Input, nil, false)
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", text, problems)
	}
	out, _, err := render(checked, map[string]string{"J": j, "O": ""})
	return string(out), err
}

func TestRenderJSON(t *testing.T) {
	t.Parallel()
	const j = `{"user": "us er", "a": {"b": "p&w", "c.d": 1}, "big": 12345678901234567890, "decimal": 1.10, "exp": 1e3,
		"list": [1, 2e3, "x", null], "no": false, "zero": 0, "null": null, "empty": "", "html": "<&>"}`
	for text, want := range map[string]string{
		`{{(fromJson .J).user}}`:                              "us er",
		`{{(.J | fromJson).user | urlquery}}`:                 "us+er",
		`{{(fromJson .J).a.b}}`:                               "p&w",
		`{{index (fromJson .J) "a" "c.d"}}`:                   "1",
		`{{(fromJson .J).big}}`:                               "12345678901234567890",
		`{{(fromJson .J).big | toString | quote}}`:            `"12345678901234567890"`,
		`{{get (fromJson .J) "decimal"}}`:                     "1.10",
		`{{(fromJson .J).exp | urlquery}}`:                    "1e3",
		`{{index (fromJson .J).list 1}}`:                      "2e3",
		`{{index (fromJson .J) "list" 2}}`:                    "x",
		`{{(fromJson .J).no}}{{(fromJson .J).zero}}`:          "false0",
		`{{if (fromJson .J).no}}yes{{end}}`:                   "yes", // it is there
		`{{with (fromJson .J).zero}}{{.}}{{end}}`:             "0",
		`{{(fromJson .J).no | default "x"}}`:                  "false",
		`{{(fromJson .J).gone | default "5432"}}`:             "5432",
		`{{(fromJson .J).null | default "5432"}}`:             "5432",
		`{{(fromJson .J).gone.more | default "5432"}}`:        "5432",
		`{{or (fromJson .J).gone (fromJson .J).user}}`:        "us er",
		`{{coalesce (fromJson .J).empty (fromJson .J).user}}`: "us er",
		`{{if hasKey (fromJson .J) "gone"}}y{{else}}n{{end}}{{if hasKey (fromJson .J) "zero"}}y{{end}}`: "ny",
		`{{with fromJson .J}}{{.user}}{{.a.b}}{{end}}`:                                                  "us erp&w",
		`{{$j := fromJson .J}}{{$j.user}}{{$j.a.b | js}}`:                                               `us erp\u0026w`,
		`{{$l := (fromJson .J).list}}{{index $l 0}}`:                                                    "1",
		`{{(fromJson .J).a | toJson}}`:                                                                  `{"b":"p\u0026w","c.d":1}`,
		`{{toJson (list (fromJson .J).no (fromJson .J).decimal (fromJson .J).list)}}`:                   `[false,1.10,[1,2e3,"x",null]]`,
		`{{range $k, $v := (fromJson .J).a}}{{$k}}={{$v}};{{end}}`:                                      "b=p&w;c.d=1;",
		`{{.O | default "x"}}{{or .O "y"}}`:                                                             "xy",
	} {
		if got, err := rendered(t, text, j); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		`{{(fromJson .J).gone}}`, `{{(fromJson .J).gone | urlquery}}`, `{{index (fromJson .J) "gone" | urlquery}}`, `{{get (fromJson .J) "gone"}}`,
		`{{(fromJson .J).null}}`, `{{print (fromJson .J).null}}`, `{{printf "%v" (fromJson .J).null}}`, `{{(fromJson .J).null | quote}}`,
		`{{(fromJson .J).a}}`, `{{print (fromJson .J).a}}`, `{{(fromJson .J).a | quote}}`, `{{cat (fromJson .J).gone "x"}}`,
		`{{index (fromJson .J) "list" 3}}`, `{{index (fromJson .J) "list" 9}}`, `{{join "," (fromJson .J).list}}`, `{{(fromJson .J).user.x}}`,
		`{{range (fromJson .J).list}}{{.}}{{end}}`, `{{range (fromJson .J).gone}}x{{end}}`, `{{toJson (fromJson .J).gone}}`,
		`{{list (fromJson .J).gone | toJson}}`, `{{dict "a" (fromJson .J).null | toJson}}`, `{{(fromJson .J).gone | b64enc}}`,
		`{{(fromJson "no JSON").a}}`, `{{(fromJson "{} {}").a}}`, `{{(fromJson "{\"a\":1,\"a\":1}").a}}`, `{{(fromJson "{\"a\":\"\\ud800\"}").a}}`,
		`{{first (list) | default .J | print (index (list) 0)}}`,
	} {
		if got, err := rendered(t, text, j); err == nil {
			t.Errorf("%s: %q, want an error", text, got)
		} else if strings.Contains(err.Error(), "us er") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestRenderLimits: no template fills the memory, or goes on without end.
func TestRenderLimits(t *testing.T) {
	t.Parallel()
	digits := `{{$l := splitList "" (printf "%01000d" 1)}}`
	for _, text := range []string{
		"{{$a := list 1}}" + strings.Repeat("{{$a = list $a $a}}", 60) + "{{toJson $a}}",
		"{{$a := dict}}" + strings.Repeat(`{{$a = dict "a" $a "b" $a}}`, 60) + "{{toJson $a}}",
		"{{$a := .J}}" + strings.Repeat("{{$a = print $a $a}}", 60) + "{{$a}}",
		"{{$a := .J}}" + strings.Repeat("{{$a = urlquery $a $a}}", 60) + "{{$a}}",
		digits + strings.Repeat("{{range $l}}", 8) + strings.Repeat("{{end}}", 8) + "x",
		digits + strings.Repeat("{{range $l}}", 8) + "{{if .}}{{end}}" + strings.Repeat("{{end}}", 8) + "x",
		digits + strings.Repeat("{{range $l}}", 8) + strings.Repeat("{{$x := and 1 2 3}}", 900) + strings.Repeat("{{end}}", 8) + "x",
		digits + "{{range $l}}{{range $l}}{{$x := printf \"%01000000d\" 1}}{{end}}{{end}}x",
		`{{$s := printf "%0900000d" 1}}` + digits + "{{range $l}}{{range $l}}{{if eq $s $s}}{{end}}{{end}}{{end}}x",
		`{{printf "%999999999d" 1}}`, `{{$n := int "999999999"}}{{printf "%*d" $n 1}}`, `{{printf "` + strings.Repeat("%1000000d", 50) + `" 1}}`,
		`{{$s := printf "%01000000d" 1}}{{replace "" $s $s}}`, `{{$s := printf "%01000000d" 1}}{{replace "0" $s $s}}`,
		`{{$s := printf "%01000000d" 1}}{{splitList "" $s | join $s}}`, `{{$s := printf "%01000000d" 1}}{{replace "0" "\n" $s | indent 1000000}}`,
		`{{indent (int "99999999999999") "x"}}`, `{{regexReplaceAll "" (printf "%01000000d" 1) (printf "%01000000d" 1)}}`,
		`{{regexReplaceAll "(.*)" (printf "%01000000d" 1) "` + strings.Repeat("$0", 5000) + `"}}`,
		`{{regexMatch (printf "%s" (printf "%05000d" 1)) "x"}}`, `{{range 1048576 | list}}{{end}}{{range dict "a" 1}}{{end}}{{indent -1 "x"}}`,
		strings.Repeat(`{{printf "%0100000d" 1}}`, 20),
		`{{$s := printf "%01000000d" 1}}{{regexReplaceAll "` + strings.Repeat("()", 490) + `" $s "x" | len}}`,
		`{{$s := printf "%01000000d" 1}}{{regexMatch "` + strings.Repeat(".{0,999}", 120) + `x" $s}}`,
		`{{$s := printf "%01000000d" 1}}{{printf "` + strings.Repeat("%[1]s", 20000) + `" $s | len}}`,
		`{{range splitList "" (printf "%01000d" 1)}}{{$x := regexMatch "` + strings.Repeat(".{0,999}", 120) + `x" .}}{{end}}x`,
		`{{$s := printf "%01000000d" 1}}{{split "" $s | len}}`, `{{$s := printf "%01000000d" 1}}{{splitList "" $s | len}}`,
	} {
		start := time.Now()
		got, err := rendered(t, text, "value")
		if err == nil {
			t.Errorf("%.60s: %d bytes", text, len(got))
		} else if !errors.Is(err, errLimit) && !errors.Is(err, errTooLong) && !strings.Contains(text, "-1") {
			t.Errorf("%.60s: %v", text, err)
		}
		if d := time.Since(start); d > time.Minute { // a second or so; under the race detector on a busy machine, ten
			t.Errorf("%.60s: took %s", text, d)
		}
	}
}

// TestRenderComparisons: each comparison, below, at and above.
func TestRenderComparisons(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"eq": "010", "ne": "101", "lt": "100", "le": "110", "gt": "001", "ge": "011",
	} {
		got := ""
		for _, a := range []string{"1", "2", "3"} {
			out, err := rendered(t, "{{if "+name+" "+a+" 2}}1{{else}}0{{end}}", "{}")
			if err != nil {
				t.Fatal(err)
			}
			got += out
		}
		if got != want {
			t.Errorf("1, 2, 3 %s 2: got %s, want %s", name, got, want)
		}
	}
}
