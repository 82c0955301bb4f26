package plan

import (
	"fmt"
	"testing"
)

func TestOperatorPassword(t *testing.T) {
	t.Parallel()
	upper := "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, test := range []struct {
		length   int
		alphabet string
		want     string
	}{
		{32, upper + lower + digits, "{32 5 0  false}"},
		{64, lower + digits, "{64 18 0  true}"},
		{64, lower, "{64 0 0  true}"},
		{6, digits, "{6 6 0  true}"},
		{4, "-_!", "{4 0 4 -_! true}"},
		{10, digits + "-_", "{10 8 2 -_ true}"},
		{40, upper + lower + digits + "-_~", "{40 6 2 -_~ false}"},
		{1, upper + lower + digits, "{1 0 0  false}"},
		{8, upper, "no"},
		{8, upper + digits, "no"},
		{8, "0123456789abcdef", "no"},
		{8, lower + "01", "no"},
		{8, lower + "é", "no"},
		{8, lower + " ", "no"},
	} {
		p, ok := Generate{Length: test.length, Alphabet: test.alphabet}.OperatorPassword()
		got := "no"
		if ok {
			got = fmt.Sprint(p)
		}
		if got != test.want {
			t.Errorf("%d of %q: %s, not %s", test.length, test.alphabet, got, test.want)
		}
		if ok && (p.Digits+p.Symbols > p.Length || p.Digits < 0) {
			t.Errorf("%d of %q: %d digits and %d symbols", test.length, test.alphabet, p.Digits, p.Symbols)
		}
	}
}
