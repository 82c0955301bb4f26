package alerts

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// TestDuration: Prometheus' own library writes each duration so.
func TestDuration(t *testing.T) {
	t.Parallel()
	same := func(d time.Duration) {
		for _, d := range []time.Duration{d, -d} {
			if got, want := duration(d), model.Duration(d).String(); got != want {
				t.Errorf("%v is written %s, and by Prometheus %s", d, got, want)
			}
		}
	}
	const day = 24 * time.Hour
	for _, d := range []time.Duration{0, 1, time.Microsecond, time.Millisecond - 1, math.MaxInt64, math.MinInt64, 400 * day, 90 * day, 52 * 7 * day} {
		same(d)
	}
	for _, unit := range []time.Duration{365 * day, 7 * day, day, time.Hour, time.Minute, time.Second, time.Millisecond} {
		for n := range time.Duration(100) {
			same(n * unit)
			same(n*unit + time.Millisecond)
			same(n*unit + day)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		same(time.Duration(r.Int64() >> r.IntN(63)))
	}
}
