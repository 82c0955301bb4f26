package compiler

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// sameDuration compares parseDuration with what Prometheus' own library makes of it.
func sameDuration(t *testing.T, text string) {
	t.Helper()
	got, err := parseDuration(text)
	d, wanted := model.ParseDuration(text)
	want := time.Duration(d)
	if wanted != nil {
		want, wanted = time.ParseDuration(text)
	}
	if got != want || (err == nil) != (wanted == nil) {
		t.Errorf("%q is %v (%v), and to Prometheus or Go %v (%v)", text, got, err, want, wanted)
	}
}

// TestParseDuration: what is a duration, and which, is for Prometheus to say, and then
// for Go.
func TestParseDuration(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "0", "00", "0s", "1", "90s", "15m", "1h30m", "30d", "1y2w3d4h5m6s7ms", "1d1d", "1m1d", "1ms1s", "1s1ms", "d", "1dd", "1D", "1 d", " 1d", "1d ", "-1d", "+1d",
		"1.5d", "1.5h", "-1h", "1h1.5m", "1us", "1µs", "1d1us", "1m1h", "1mo", "1d\n", "1\x00d", "１d",
		"292y", "293y", "292y24w3d23h47m16s854ms", "292y24w3d23h47m16s855ms", "9223372036854ms", "9223372036855ms", "18446744073709551615ms", "18446744073709551616ms",
		"106751d", "106752d", "15250w", "15251w", "9223372036s", "9223372037s", "99999999999999999999d", "000000000000000000000000001d",
	} {
		sameDuration(t, text)
	}
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"y", "w", "d", "h", "m", "s", "ms", "us", "0", "1", "07", "12", "365", "106751", "9223372036854", ".", "-", " "}
	for range 200_000 {
		var b strings.Builder
		for range 1 + r.IntN(8) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		sameDuration(t, b.String())
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"", "0", "1h30m", "1y2w3d4h5m6s7ms", "292y24w3d23h47m16s855ms", "1.5h", "-1d"} {
		f.Add(text)
	}
	f.Fuzz(sameDuration)
}

// TestLabelName: each name of up to three of some characters is one to us if it is to
// Prometheus, which all versions of it accept.
func TestLabelName(t *testing.T) {
	t.Parallel()
	alphabet := []string{"a", "z", "A", "Z", "_", "0", "9", "-", ".", ":", " ", "\n", "é", "\xff", "`", "{", "@", "[", "/"}
	names := []string{""}
	for range 3 {
		for _, name := range names {
			for _, c := range alphabet {
				names = append(names, name+c)
			}
		}
	}
	for _, name := range names {
		if got, want := labelName.MatchString(name), model.LegacyValidation.IsValidLabelName(name); got != want {
			t.Errorf("%q is a name: %v, and to Prometheus: %v", name, got, want)
		}
	}
	if model.ReservedLabelPrefix != "__" {
		t.Error("other names are Prometheus' own")
	}
}
