package emit

import (
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

// Rendered is a secret with its values, for those who write it themselves.
type Rendered struct {
	plan.Secret
	Labels  map[string]string      // those of the secret, and those that every object of ours carries
	Data    map[string]value.Value // by key
	LeftOut map[string]string      // why, by the keys that are not in Data
}

// String names the Secret: NAMESPACE/NAME.
func (r Rendered) String() string {
	return tree.SecretID{Namespace: r.Namespace, Name: r.Name}.String()
}

// Render makes the Secrets of a plan from values, of which none may be
// Unreadable that a key needs: without a sealed copy nothing could stand in. The
// diagnostics come all at once; with an error among them there are no Secrets.
// One of which all keys are left out has no Data.
func Render(p *plan.Plan, values value.Set) ([]Rendered, plan.Diagnostics) {
	var all []Rendered
	var ds plan.Diagnostics
	for _, s := range p.Secrets {
		r := Rendered{Secret: s, Labels: tree.Labels(p, s.Labels), Data: map[string]value.Value{}, LeftOut: map[string]string{}}
		size := 0
		for _, k := range s.Keys {
			c, ok := contentOf(k, r.String(), p, values, &ds)
			switch {
			case !ok:
			case !c.known():
				names, why := describe(c.unreadable)
				ds.Errorf(plan.CodeCannotSeal, k.Pos, "run it where "+names+" can be read", "key %q of secret %s: %s", k.Name, r, why)
			case c.leftOut != "":
				r.LeftOut[k.Name] = c.leftOut
			default:
				r.Data[k.Name] = value.New(c.bytes)
				size += len(c.bytes)
			}
		}
		checkSize(s, size, &ds)
		ds = append(ds, value.JudgeTyped(s, "secret "+r.String(), r.Data)...)
		all = append(all, r)
	}
	ds.Sort()
	if ds.HasErrors() {
		return nil, ds
	}
	return all, ds
}
