package report

import (
	"encoding/json"
	"fmt"
	"html"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// unpack is what the page does with what pack returns.
func unpack(t *testing.T, text []byte) any {
	t.Helper()
	var p struct {
		Shapes [][]string
		Values []any
		Root   int
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var all []any
	for _, v := range p.Values {
		list, ok := v.([]any)
		if !ok {
			all = append(all, v)
			continue
		}
		at := func(i int) any {
			if n := int(list[i].(float64)); n >= 0 {
				return all[n]
			} else {
				return all[len(all)+n]
			}
		}
		if shape := int(list[0].(float64)); shape >= 0 {
			object := map[string]any{}
			for i, name := range p.Shapes[shape] {
				object[name] = at(i + 1)
			}
			all = append(all, object)
		} else {
			elements := []any{}
			for i := range list[1:] {
				elements = append(elements, at(i+1))
			}
			all = append(all, elements)
		}
	}
	return all[p.Root]
}

// TestPack: what is packed is what comes out, and what is there twice is packed once.
func TestPack(t *testing.T) {
	for _, text := range []string{
		`null`, `-1`, `"</script><!--"`, `[]`, `{}`, `[[],{},[[]]]`, `{"a":[1,1.5,1e3,-1],"b":{"a":[1,1.5,1e3,-1]}}`, `[true,"true",1,"1",null,"null"]`, `[{"a":1,"b":2},{"b":2,"a":1},{"a":1}]`, `["\u2028<&>é"]`,
	} {
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		packed, err := pack(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := unpack(t, packed); !reflect.DeepEqual(got, want) {
			t.Errorf("%s becomes %v by %s", text, got, packed)
		}
		if strings.ContainsAny(string(packed), "<>&\u2028") {
			t.Errorf("%s could end the element that it is in", packed)
		}
	}
	packed, _ := pack([]any{map[string]any{"a": "x"}, map[string]any{"a": "x"}})
	if want := `{"shapes":[["a"]],"values":["x",[0,0],[-1,1,1]],"root":2}`; string(packed) != want {
		t.Errorf("%s, not %s", packed, want)
	}
}

// fleet is a report of n environments with n inputs, in which environments have less in
// common than they have as a rule.
func fleet(n int) *Report {
	now := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	var es []*Environment
	for i := range n {
		e := NotKnown(fmt.Sprintf("customer-%03d", i), fmt.Sprintf("/work/envs/customer-%03d", i), "/work")
		e.Known, e.PartOf, e.Namespace, e.Built = true, "fleet", fmt.Sprintf("customer-%03d", i), true
		e.Sources = []Source{{Name: "default", Kind: plan.AWSSSM, Place: "eu-central-1"}}
		secrets := map[int]*Secret{}
		for j := range n {
			changed := now.Add(-time.Duration(i*n+j/8*8) * 7 * time.Minute) // what a build seals has one time
			d := &Declaration{Description: fmt.Sprintf("What service number %d is let in by", j), Owner: "team " + string(rune('a'+j%26)), MustBe: "24 characters or more"}
			in := Input{Name: fmt.Sprintf("SERVICE_%03d_PASSWORD", j), Class: plan.Generated, Source: "default", Remote: fmt.Sprintf("/customer-%03d/service-%03d-password", i, j), State: Present, Changed: utc(&changed), Declaration: d}
			if j%4 == 0 {
				in.maxAge = 90 * 24 * time.Hour
				d.MaxAge = in.maxAge.String()
			}
			if j%5 == 0 {
				in.Class, in.State, in.Changed = plan.Optional, Absent, nil
			}
			e.Inputs = append(e.Inputs, in)
			if secrets[j/10] == nil {
				secrets[j/10] = &Secret{Namespace: e.Namespace, Name: fmt.Sprintf("service-%02d", j/10), Type: "Opaque", Delivery: plan.Sealed, Certificate: "sealing-cert.pem"}
			}
			secrets[j/10].Keys = append(secrets[j/10].Keys, Key{Name: fmt.Sprintf("password-%d", j%10), By: "input", Inputs: []string{in.Name}, State: in.State, Changed: in.Changed})
		}
		for j := range len(secrets) {
			e.Secrets = append(e.Secrets, *secrets[j])
			c := Consumer{Object: fmt.Sprintf("Deployment service-%02d", j)}
			for k := range 10 {
				c.Uses = append(c.Uses, Use{Secret: secrets[j].Name, Key: fmt.Sprintf("password-%d", k), How: "variable", Where: fmt.Sprintf("container app, variable PASSWORD_%d", k), Position: plan.Pos{File: fmt.Sprintf("k8s/service-%02d.yaml", j), Line: 20 + k, Column: 15}})
			}
			e.Consumers = append(e.Consumers, c)
		}
		e.Judge("vet", plan.Diagnostics{{Code: plan.CodeClusterWide, Severity: plan.Warning, Message: "something to look at in " + e.Environment, Pos: []plan.Pos{{File: "/work/contract.cue", Line: 1, Column: 1}}}})
		es = append(es, e)
	}
	return New(now, []string{"vet"}, es)
}

// TestPageSize: a page of 200 environments with 200 inputs has less than 5 MB.
func TestPageSize(t *testing.T) {
	page, err := fleet(200).Page()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(page))
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
	if !strings.HasPrefix(page, PageMark) {
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

// TestSummary: what is read without scripts tells each thing once.
func TestSummary(t *testing.T) {
	r := fleet(30)
	s := r.summary()
	if len(s.Environments) != 30 || len(s.Inputs) != 30 || s.Inputs[0].Environments != "all 30" || len(s.Findings) != 30 || len(s.Dates) == 0 || len(s.Dates) > most {
		t.Errorf("%d environments, %d inputs of %q, %d dates, %d findings", len(s.Environments), len(s.Inputs), s.Inputs[0].Environments, len(s.Dates), len(s.Findings))
	}
	if !slices.IsSortedFunc(s.Dates, func(a, b dateRow) int { return strings.Compare(a.Day, b.Day) }) {
		t.Error("the dates are not in order")
	}
	r.Environments[3].Inputs = nil
	if got := r.summary().Inputs[0].Environments; !strings.HasSuffix(got, " and 9 more") {
		t.Error(got)
	}
}

// TestJudge: what two verbs have found is told once, with paths as the module has them.
func TestJudge(t *testing.T) {
	e := NotKnown("", "/work/envs/dev", "/work")
	d := plan.Diagnostic{Code: plan.CodeSyntax, Severity: plan.Error, Message: "look at /work/envs/dev/env.cue", Pos: []plan.Pos{{File: "/work/envs/dev/env.cue", Line: 2, Column: 3}, {File: "/elsewhere.cue", Line: 1, Column: 1}, {}}}
	e.Judge("vet", plan.Diagnostics{d})
	e.Judge("verify", plan.Diagnostics{d, {Code: plan.CodeSyntax, Severity: plan.Warning, Message: "another"}})
	want := []Finding{
		{By: "vet", Code: plan.CodeSyntax, Severity: plan.Error, Message: "look at envs/dev/env.cue", Positions: []plan.Pos{{File: "envs/dev/env.cue", Line: 2, Column: 3}, {File: "/elsewhere.cue", Line: 1, Column: 1}}},
		{By: "verify", Code: plan.CodeSyntax, Severity: plan.Warning, Message: "another"},
	}
	if !reflect.DeepEqual(e.Findings, want) {
		t.Errorf("%+v", e.Findings)
	}
	if New(time.Now(), nil, []*Environment{e}); e.OK || e.Environment != "dev" || e.Directory != "envs/dev" {
		t.Errorf("%+v", e)
	}
}
