package report_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/report"
)

// digest is how a policy names a script or a style.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// fleet is a report of n environments with n inputs, each of which has a namespace, a
// prefix at its source, times and a finding of its own.
func fleet(n int) *report.Report {
	now := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	var es []*report.Environment
	for i := range n {
		name := fmt.Sprintf("customer-%03d", i)
		e := report.NotKnown(name, "/module/envs/"+name, "/module")
		e.Known, e.PartOf, e.Namespace, e.Built = true, "fleet", name, true
		e.Sources = []report.Source{{Name: "default", Kind: plan.AWSSSM, Place: "eu-central-1"}}
		for j := range n {
			changed := now.Add(-time.Duration(i*n+j/8*8) * 7 * time.Minute) // what a build seals has one time
			d := &report.Declaration{Description: fmt.Sprintf("What service number %d is let in by", j), Owner: "team " + string(rune('a'+j%26)), MustBe: "24 characters or more"}
			in := report.Input{
				Name: fmt.Sprintf("SERVICE_%03d_PASSWORD", j), Class: plan.Generated, Source: "default",
				Remote: fmt.Sprintf("/%s/service-%03d-password", name, j), State: report.Present, Changed: &changed, Declaration: d,
			}
			if j%4 == 0 {
				d.MaxAge = "2160h0m0s"
				e.Dates = append(e.Dates, report.Date{At: changed.AddDate(0, 0, 90), Kind: report.RotationDue, Of: in.Name})
			}
			if j%5 == 0 {
				in.Class, in.State, in.Changed = plan.Optional, report.Absent, nil
			}
			e.Inputs = append(e.Inputs, in)
			if j%10 == 0 {
				e.Secrets = append(e.Secrets, report.Secret{Namespace: name, Name: fmt.Sprintf("service-%02d", j/10), Type: "Opaque", Delivery: plan.Sealed, Certificate: "sealing-cert.pem"})
				e.Consumers = append(e.Consumers, report.Consumer{Object: fmt.Sprintf("Deployment service-%02d", j/10)})
			}
			s, c := &e.Secrets[j/10], &e.Consumers[j/10]
			key := report.Key{Name: fmt.Sprintf("password-%d", j%10), By: "input", Inputs: []string{in.Name}, State: in.State, Changed: in.Changed}
			s.Keys = append(s.Keys, key)
			c.Uses = append(c.Uses, report.Use{
				Secret: s.Name, Key: key.Name, How: "variable", Where: fmt.Sprintf("container app, variable PASSWORD_%d", j%10),
				Position: plan.Pos{File: fmt.Sprintf("k8s/service-%02d.yaml", j/10), Line: 20 + j%10, Column: 15},
			})
		}
		e.Judge("vet", plan.Diagnostics{{
			Code: plan.CodeClusterWide, Severity: plan.Warning, Message: "something to look at in " + name, Pos: []plan.Pos{{File: "/module/contract.cue", Line: 1, Column: 1}},
		}})
		es = append(es, e)
	}
	return report.New(now, []string{"vet"}, es)
}

// TestPageSize: a page of 200 environments with 200 inputs has less than 5 MB.
func TestPageSize(t *testing.T) {
	page, err := fleet(200).Page()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(page))
	if file := os.Getenv("VICTORGEN_FLEET"); file != "" { // a test of e2e looks at it
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(page) >= 5e6 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// TestPage: nothing of what others have written is markup, and the policy names the
// script and the style that are in it, and nothing else.
func TestPage(t *testing.T) {
	r := fleet(2)
	const hostile = `</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>" onload="x`
	e := r.Environments[0]
	e.Environment, e.PartOf, e.Directory, e.Namespace = hostile, hostile, hostile, hostile
	e.Inputs[0].Declaration.Description, e.Inputs[0].Declaration.Docs = hostile, "javascript:alert(1)"
	e.Findings[0].Message, e.Findings[0].Hint = hostile, hostile
	b, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	page, policy := string(b), html.UnescapeString(regexp.MustCompile(`Policy" content="(.*?)"`).FindStringSubmatch(string(b))[1])
	if !strings.HasPrefix(page, report.PageMark) {
		t.Error("it does not begin as pages do")
	}
	for tag, want := range map[string]int{"<script": 2, "</script>": 2, "<style": 1, "<img": 0} {
		if n := strings.Count(page, tag); n != want {
			t.Errorf("there are %d of %s", n, tag)
		}
	}
	for name, text := range map[string]string{"script-src": regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindStringSubmatch(page)[1], "style-src": regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)[1]} {
		if !strings.Contains(policy, "; "+name+" '"+digest(text)+"';") {
			t.Errorf("the policy does not have the digest of the %s", name)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "http") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	head, _, _ := strings.Cut(page, "<style>")
	if m := regexp.MustCompile(`(?i)<[a-z][^>]*\s(src|srcset|action|on\w+|href="[^"#d][^"]*")=`).FindString(head); m != "" {
		t.Errorf("the page has %q", m)
	}
}

// TestSummary: what is read without scripts tells each thing once, and by which
// environments as long as these are few.
func TestSummary(t *testing.T) {
	r := fleet(30)
	r.Environments[3].Inputs = r.Environments[3].Inputs[1:]
	b, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)<noscript>(.*)</noscript>`).FindStringSubmatch(string(b))[1]
	for row, want := range map[string]int{
		`<tr><th scope="row">customer-`: 30, `<tr><th scope="row">SERVICE_`: 30, "<td>all 30</td>": 29, "customer-020 and 9 more</td>": 1, "<td>something to look at in ": 30, "<td>rotation due</td>": 48,
	} {
		if n := strings.Count(text, row); n != want {
			t.Errorf("there are %d of %s, not %d", n, row, want)
		}
	}
	days := regexp.MustCompile(`<tr><td>(\d{4}-\d\d-\d\d)</td>`).FindAllStringSubmatch(text, -1)
	if !slices.IsSortedFunc(days, func(a, b []string) int { return strings.Compare(a[1], b[1]) }) {
		t.Error("the dates are not in order")
	}
}

// TestJudge: what two verbs have found is told once, with paths as the module has them.
func TestJudge(t *testing.T) {
	e := report.NotKnown("", "/module/envs/dev", "/module")
	d := plan.Diagnostic{Code: plan.CodeSyntax, Severity: plan.Error, Message: "look at /module/envs/dev/env.cue", Pos: []plan.Pos{{File: "/module/envs/dev/env.cue", Line: 2, Column: 3}, {File: "/elsewhere.cue", Line: 1, Column: 1}, {}}}
	e.Judge("vet", plan.Diagnostics{d})
	e.Judge("verify", plan.Diagnostics{d, {Code: plan.CodeSyntax, Severity: plan.Warning, Message: "another"}})
	want := []report.Finding{
		{By: "vet", Code: plan.CodeSyntax, Severity: plan.Error, Message: "look at envs/dev/env.cue", Positions: []plan.Pos{{File: "envs/dev/env.cue", Line: 2, Column: 3}, {File: "/elsewhere.cue", Line: 1, Column: 1}}},
		{By: "verify", Code: plan.CodeSyntax, Severity: plan.Warning, Message: "another"},
	}
	if !reflect.DeepEqual(e.Findings, want) {
		t.Errorf("%+v", e.Findings)
	}
	if report.New(time.Now(), nil, []*report.Environment{e}); e.OK || e.Environment != "dev" || e.Directory != "envs/dev" {
		t.Errorf("%+v", e)
	}
}

// TestScript: the script of the page is JavaScript. What it does, a browser shows in e2e.
func TestScript(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("page/page.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Parse(parse.NewInputBytes(text), js.Options{}); err != nil {
		t.Error(err)
	}
	if _, err := js.Parse(parse.NewInputString("const f = x ->> x;"), js.Options{}); err == nil {
		t.Error("whatever there is, it is taken for JavaScript")
	}
}
