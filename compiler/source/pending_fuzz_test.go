package source

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// FuzzPending: what is read of an entry says the same when it is written, and nothing
// that anyone has stored there ends the program.
func FuzzPending(f *testing.F) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	f.Add(string(Pending{State: Started, Since: at, Environment: "dev", Inputs: []string{"A", "B"}, id: "0a1b"}.text().Reveal()))
	f.Add(nothing)
	f.Add("told 2026-02-03T04:05:06+01:00 id dev A")
	f.Add("told 2026-02-03T04:05:06Z  dev A,")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parsePending(text)
		if !ok {
			return
		}
		again, ok := parsePending(string(p.text().Reveal()))
		if !ok || !again.Since.Equal(p.Since) {
			t.Fatalf("%q is read as %+v, and that is not", text, p)
		}
		again.Since = p.Since
		if !reflect.DeepEqual(again, p) {
			t.Fatalf("%q is read as %+v and then as %+v", text, p, again)
		}
	})
}

// FuzzPendingValues is FuzzPending for the entry with values.
func FuzzPendingValues(f *testing.F) {
	in := plan.Input{Name: "A"}
	f.Add(valuesText("0a1b", []change{{in, value.New([]byte("old")), value.New([]byte("new"))}, {in, value.Value{}, value.New([]byte{0, 255})}}).Reveal())
	f.Add([]byte("0a1b A::"))
	f.Add([]byte(" A:bmV3:bmV3"))
	f.Add([]byte("0a1b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, changes, ok := parseValues(text)
		if !ok {
			return
		}
		again, same, ok := parseValues(valuesText(id, changes).Reveal())
		if !ok || again != id || len(same) != len(changes) {
			t.Fatal("what was read is not read again")
		}
		for i, c := range changes {
			if same[i].input.Name != c.input.Name || !bytes.Equal(same[i].old.Reveal(), c.old.Reveal()) || !bytes.Equal(same[i].new.Reveal(), c.new.Reveal()) {
				t.Fatal("what was read is another when it is read again")
			}
		}
	})
}
