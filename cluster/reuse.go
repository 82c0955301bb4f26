package cluster

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// minReused is how long values must be, in bytes, so that it is no accident if
// two are the same.
const minReused = 8

// holder is an input that a value was found for.
type holder struct {
	environment int
	input       plan.Input
	origin      origin
	what        string // for people
}

// origin is where the contract says that a value lives: two inputs of one
// origin have one value on purpose.
type origin struct {
	kind, file, region, vault, project, address, mount string
	remote                                             plan.Remote
}

// Reuse reports the secret inputs that have the same value in a cluster, in one
// of plans or across them. states are what the cluster holds of each; one may be
// nil. It returns diagnostics for each of plans, and those that concern several
// stand in each of them.
//
// Values are compared by an HMAC whose key is gone when it returns.
func Reuse(plans []*plan.Plan, states []*State) []plan.Diagnostics {
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	holders := map[string][]holder{}
	for i, p := range plans {
		if p == nil || states[i] == nil {
			continue
		}
		for j, s := range p.Secrets {
			for _, k := range s.Keys {
				in, ok := p.Input(k.Input)
				v := states[i].Secrets[j].Data[k.Name]
				if !ok || !in.Secret() || v.Len() < minReused || len(in.Constraints.OneOf) > 0 {
					continue
				}
				mac := hmac.New(sha256.New, secret)
				mac.Write(v.Reveal())
				h := holder{i, in, originOf(in, p), fmt.Sprintf("%s of %s (key %q of secret %s/%s)", in.Name, p.Environment, k.Name, s.Namespace, s.Name)}
				tag := string(mac.Sum(nil))
				if !slices.ContainsFunc(holders[tag], h.same) {
					holders[tag] = append(holders[tag], h)
				}
			}
		}
	}
	all := make([]plan.Diagnostics, len(plans))
	for _, hs := range holders {
		if len(hs) < 2 {
			continue
		}
		var names []string
		var pos []plan.Pos
		var concerned []int
		for _, h := range hs {
			names = append(names, h.what)
			if len(h.input.Pos) > 0 && !slices.Contains(pos, h.input.Pos[0]) {
				pos = append(pos, h.input.Pos[0])
			}
			if !slices.Contains(concerned, h.environment) {
				concerned = append(concerned, h.environment)
			}
		}
		for _, i := range concerned {
			all[i].Errorf(plan.CodeReused, pos, "give each a value of its own; if they are to be one, let them name the same remote",
				"the same value in %s: %s", states[i].Cluster, plan.And(names))
		}
	}
	for i := range all {
		all[i].Sort()
	}
	return all
}

// same reports whether two are one input, or one value on purpose.
func (h holder) same(other holder) bool {
	return h.environment == other.environment && h.input.Name == other.input.Name ||
		h.origin == other.origin && h.origin.remote.Name != ""
}

func originOf(in plan.Input, p *plan.Plan) origin {
	s, _ := p.Source(in.Source)
	return origin{s.Kind, s.At(), s.Region, s.Vault, s.Project, s.Address, s.Mount, in.Remote}
}
