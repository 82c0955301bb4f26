package value

import (
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

func TestStray(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in         plan.Input
		text, want string
	}{
		{plan.Input{}, "tok", ""},
		{plan.Input{}, "", ""},
		{plan.Input{}, "to k", ""},
		{plan.Input{}, `"`, ""},
		{plan.Input{}, `"a" and b`, ""},
		{plan.Input{}, "tok\n", "ends with a line break"},
		{plan.Input{}, "tok\r", "ends with a line break"},
		{plan.Input{}, "tok\r\n", "ends with a line break"},
		{plan.Input{}, " tok\u00a0", "begins with white space and ends with white space"},
		{plan.Input{}, "\ntok\t", "begins with a line break and ends with white space"},
		{plan.Input{}, `"tok"`, "is enclosed in quotes"},
		{plan.Input{}, "'tok'\n", "ends with a line break and is enclosed in quotes"},
		{plan.Input{}, "-----BEGIN X-----\nAA==\n-----END X-----\n", ""},
		{plan.Input{}, "-----BEGIN X-----\nAA==\n-----END X----- ", "ends with white space"},
		{plan.Input{Encoding: plan.Binary}, "tok\n", ""},
		{plan.Input{Constraints: plan.Constraints{Format: "json"}}, `"tok"`, ""},
		{plan.Input{Constraints: plan.Constraints{OneOf: []string{" "}}}, " ", ""},
	} {
		if got := Stray(test.in, New([]byte(test.text))); got != test.want {
			t.Errorf("%q %s, want %q", test.text, got, test.want)
		}
	}
	if got := Trim(New([]byte(" \u00a0a b\r\n"))); string(got.Reveal()) != "a b" {
		t.Errorf("trimmed to %q", got.Reveal())
	}
}
