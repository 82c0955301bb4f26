package source

import (
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Ageless warns of the generated inputs that are to be replaced at some age, and of which
// the source has not told when they changed: [Due] leaves them out.
func Ageless(p *plan.Plan, set value.Set) (ds plan.Diagnostics) {
	for _, src := range p.Sources {
		var names []string
		for _, in := range p.Inputs {
			if r := set[in.Name]; in.Source == src.Name && in.Class == plan.Generated && in.RotationAge() > 0 && r.State == value.Present && r.Changed.IsZero() {
				names = append(names, in.Name)
			}
		}
		if len(names) > 0 {
			ds.Warnf(plan.CodeAgeless, src.Pos, "rotate them by their names: victorgen rotate ENV "+strings.Join(names, " "),
				"source %s does not report when its values changed, so %s never come due: rotate --due leaves them unchanged", src, plan.And(names))
		}
	}
	return ds
}
