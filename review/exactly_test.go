package review

import (
	"testing"
	"time"
)

// TestExactly: two durations that differ never read the same, or a change of one
// into the other would be none.
func TestExactly(t *testing.T) {
	seen := map[string]time.Duration{}
	for _, unit := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		for n := range time.Duration(200) {
			d := n * unit
			text := exactly(d)
			if other, ok := seen[text]; ok && other != d {
				t.Errorf("%v and %v both read %q", d, other, text)
			}
			seen[text] = d
		}
	}
	for d, want := range map[time.Duration]string{720 * time.Hour: "30 days", 730 * time.Hour: "730h", 90 * time.Second: "1m30s", 36 * time.Hour: "36h", time.Hour: "1h"} {
		if got := exactly(d); got != want {
			t.Errorf("%v reads %q, want %q", d, got, want)
		}
	}
}
