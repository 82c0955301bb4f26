package derive

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/bench"
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
			bench.Alone(b, bench.Row{What: "verifying a value of kind " + name + " against what it is made from, by the clock"}, func() time.Duration {
				return bench.Clock(func() {
					if err := Check(f, child); err != nil {
						b.Fatal(err)
					}
				})
			})
		})
	}
}
