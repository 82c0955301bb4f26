package source_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// TestLine: a message of a service is one line, and no longer than a reader takes.
func TestLine(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"a\n b.":                       "a b",
		strings.Repeat("x", 300):       strings.Repeat("x", 300),
		strings.Repeat("x", 301):       strings.Repeat("x", 300) + "..",
		strings.Repeat("x", 299) + "é": strings.Repeat("x", 299) + "..",
	} {
		if got := source.Line(message); got != want {
			t.Errorf("%d: got %q, want %q", len(message), got, want)
		}
	}
}

// TestMessagesOfMany: up to three inputs that a source does not allow reading are
// named; where it is all of more, they are counted.
func TestMessagesOfMany(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{3: "cannot read A0, A1 and A2 from", 4: "cannot read any of its 4 inputs from"} {
		var inputs []plan.Input
		errs := map[string]error{}
		for i := range n {
			name := fmt.Sprintf("A%d", i)
			inputs = append(inputs, optional(name))
			errs[name] = errors.New("no network")
		}
		v := &vault{store: store{errs: errs}}
		_, ds := source.Resolve(t.Context(), makePlan(nil, inputs...), map[string]source.Source{"default": v}, source.Options{})
		if len(ds) != 1 || !strings.Contains(ds[0].Message, want) {
			t.Errorf("%d: %v", n, ds)
		}
	}
}
