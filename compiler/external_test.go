package compiler

import "testing"

func TestESOVersion(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][3]int{"": {0, 19, 2}, "v2.4": {2, 4, 1 << 20}, "2.4.1": {2, 4, 1}, "v0.20.0": {0, 20, 0}} {
		if got := esoVersion(s); got != want {
			t.Errorf("%q is %v, not %v", s, got, want)
		}
	}
}
