package cluster

import (
	"fmt"
	"slices"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
)

// place is a key of a Secret that an input can be read back from.
type place struct {
	secret int // in the order of the plan
	key    plan.Key
	value  value.Value
}

// places returns where the cluster holds each input as it is, or encoded in a way
// that can be taken back.
func (v *verification) places() map[string][]place {
	found := map[string][]place{}
	for i, s := range v.plan.Secrets {
		for _, k := range s.Keys {
			content := v.state.Secrets[i].Data[k.Name]
			for _, name := range k.Inputs() {
				in, _ := v.plan.Input(name)
				if b, ok := original(k, in, content.Reveal()); ok && len(b) > 0 {
					found[name] = append(found[name], place{i, k, value.New(b)})
				}
			}
		}
	}
	return found
}

// families judges whether the inputs that are made from others belong to them, as
// the cluster holds both, and whether they end soon. Of one whose parents are not
// all there, only the time is judged.
func (v *verification) families() {
	found := v.places()
	for _, in := range v.plan.Inputs {
		if len(in.Parents()) == 0 {
			continue
		}
		for _, child := range found[in.Name] {
			v.family(in, child, found)
		}
	}
}

// family judges one key that is made from others. Where Secrets hold different
// values of a parent, it has to belong to each.
func (v *verification) family(in plan.Input, child place, found map[string][]place) {
	parents := map[string]place{}
	for _, name := range in.Parents() {
		ps := found[name]
		if i := slices.IndexFunc(ps, func(p place) bool { return p.secret == child.secret }); i >= 0 {
			parents[name] = ps[i]
		} else if len(ps) > 0 {
			parents[name] = ps[0]
		}
	}
	if v.unfit(in, child, parents) {
		return
	}
	for _, name := range in.Parents() {
		usual := parents[name]
		for _, p := range found[name] {
			if parents[name] = p; !p.value.Equal(usual.value) && v.unfit(in, child, parents) {
				return
			}
		}
		parents[name] = usual
	}
}

// unfit reports a child that does not belong to its parents.
func (v *verification) unfit(in plan.Input, child place, parents map[string]place) bool {
	err := derive.Check(derive.FamilyOf(in, func(name string) value.Value { return parents[name].value }, v.now), child.value)
	if err == nil {
		return false
	}
	s := v.plan.Secrets[child.secret]
	pos := slices.Clone(child.key.Pos)
	var from []string
	for _, name := range in.Parents() {
		p, ok := parents[name]
		if !ok {
			continue
		}
		pos = append(pos, p.key.Pos...)
		if p.secret != child.secret {
			of := v.plan.Secrets[p.secret]
			from = append(from, fmt.Sprintf("%s of secret %s/%s", name, of.Namespace, of.Name))
		}
	}
	where := ""
	if len(from) > 0 {
		where = ", with " + plan.And(from)
	}
	v.ds.Errorf(plan.CodeUnfit, pos, "`victorgen generate` regenerates it, if it does not match what the source holds either; then deploy that",
		"%s (key %q of secret %s/%s in %s%s) %s", in.Name, child.key.Name, s.Namespace, s.Name, v.state.Cluster, where, err)
	v.misfits[child.secret] = true
	return true
}
