package compiler

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// TestMissed: what is judged backwards, and in part, comes to what judging one value
// after the other comes to.
func TestMissed(t *testing.T) {
	rnd := rand.New(rand.NewChaCha8([32]byte{}))
	found := 0
	for range 20_000 {
		const run = 4
		share := rnd.Float64()
		bad := make([]bool, rnd.IntN(16))
		var values []value.Value
		want, row := -1, 0
		for i := range bad {
			bad[i] = rnd.Float64() < share
			values = append(values, value.New([]byte{byte(i)}))
			if row++; !bad[i] {
				row = 0
			}
			if row == run && want < 0 {
				want = i
				found++
			}
		}
		got := -1
		if why := missed(values, run, func(v value.Value) (ds plan.Diagnostics) {
			if i := int(v.Reveal()[0]); bad[i] {
				ds.Errorf(plan.CodeWeak, []plan.Pos{{Line: i}}, "", "bad")
			}
			return ds
		}); why != nil {
			got = why[0].Pos[0].Line
		}
		if got != want {
			t.Fatalf("%v: %d, want %d", bad, got, want)
		}
	}
	if found < 1000 {
		t.Errorf("only %d rows of bad values were tried", found)
	}
}

// TestWithoutActions: it leaves out what the pattern matches, without a pattern's work.
func TestWithoutActions(t *testing.T) {
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	rnd := rand.New(rand.NewChaCha8([32]byte{}))
	pieces := []string{"{", "{{", "}", "}}", "a", "\n", "{{.A}}"}
	for range 20_000 {
		text := ""
		for range rnd.IntN(9) {
			text += pieces[rnd.IntN(len(pieces))]
		}
		if got, want := withoutActions(text), action.ReplaceAllString(text, ""); got != want {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	}
}
