package derive

import (
	"maps"
	"slices"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// BenchmarkCheck is what it costs to verify one child of each kind against its
// parents, at the cost that a contract has by default where a hash has one.
func BenchmarkCheck(b *testing.B) {
	costs := map[string]int{plan.Bcrypt: 12, plan.Htpasswd: 10, plan.Argon2id: 3, plan.SHA512Crypt: 100_000}
	for _, name := range slices.Sorted(maps.Keys(children)) {
		b.Run(name, func(b *testing.B) {
			f := children[name].f
			c := *f.Generate.Child
			if cost := costs[f.Generate.Kind]; cost > 0 && c.Cost > 0 {
				c.Cost = cost
			}
			f.Generate.Child = &c
			child, err := Make(f)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				if err := Check(f, child); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(n), "ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
