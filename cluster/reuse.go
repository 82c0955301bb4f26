package cluster

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"unique"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// minReused is how long values must be, in bytes, so that it is no accident if
// two are the same.
const minReused = 8

// holder is an input that a value was found for.
type holder struct {
	environment, key int // the numbers of both
	input            unique.Handle[string]
	pos              unique.Handle[plan.Pos]
	origin           unique.Handle[origin]
	what             string // for people
}

// origin is where the contract says that a value lives: two inputs of one
// origin have one value on purpose.
type origin struct {
	kind, file, region, vault, project, address, mount string
	remote                                             plan.Remote
}

// Reuse finds the secret inputs that have the same value in a cluster, in one
// environment or across several. The zero value is ready for use, by several
// goroutines.
//
// Values are compared by an HMAC whose key lives as long as the Reuse does, and
// nothing else is kept of them.
type Reuse struct {
	mu       sync.Mutex
	secret   []byte
	holders  map[[sha256.Size]byte][]holder
	clusters map[int]string // by the number of the environment
}

// Add compares what the cluster holds of p, the environment of number i, with what
// was added before. p and state are not kept.
func (r *Reuse) Add(i int, p *plan.Plan, state *State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.secret == nil {
		r.secret = make([]byte, sha256.Size)
		rand.Read(r.secret)
		r.holders, r.clusters = map[[sha256.Size]byte][]holder{}, map[int]string{}
	}
	r.clusters[i] = state.Cluster
	n := 0
	for j, s := range p.Secrets {
		for _, k := range s.Keys {
			n++
			in, ok := p.Input(k.Input)
			v := state.Secrets[j].Data[k.Name]
			if !ok || !in.Secret() || v.Len() < minReused || len(in.Constraints.OneOf) > 0 {
				continue
			}
			mac := hmac.New(sha256.New, r.secret)
			mac.Write(v.Reveal())
			h := holder{i, n, unique.Make(in.Name), unique.Make(plan.Pos{}), unique.Make(originOf(in, p)),
				fmt.Sprintf("%s of %s (key %q of secret %s/%s)", in.Name, p.Environment, k.Name, s.Namespace, s.Name)}
			if len(in.Pos) > 0 {
				h.pos = unique.Make(in.Pos[0])
			}
			tag := [sha256.Size]byte(mac.Sum(nil))
			r.holders[tag] = append(r.holders[tag], h)
		}
	}
}

// Diagnostics returns what there is to say of each environment, by its number. What
// concerns several stands in each of them.
func (r *Reuse) Diagnostics() map[int]plan.Diagnostics {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[int]plan.Diagnostics{}
	for _, found := range r.holders {
		slices.SortFunc(found, func(a, b holder) int { return cmp.Or(a.environment-b.environment, a.key-b.key) })
		var hs []holder
		for _, h := range found {
			if !slices.ContainsFunc(hs, h.same) {
				hs = append(hs, h)
			}
		}
		if len(hs) < 2 {
			continue
		}
		var names []string
		var pos []plan.Pos
		var concerned []int
		for _, h := range hs {
			names = append(names, h.what)
			if at := h.pos.Value(); at != (plan.Pos{}) && !slices.Contains(pos, at) {
				pos = append(pos, at)
			}
			if !slices.Contains(concerned, h.environment) {
				concerned = append(concerned, h.environment)
			}
		}
		for _, i := range concerned {
			ds := all[i]
			ds.Errorf(plan.CodeReused, pos, "give each a value of its own; if they are to be one, let them name the same remote",
				"the same value in %s: %s", r.clusters[i], plan.And(names))
			all[i] = ds
		}
	}
	for _, ds := range all {
		ds.Sort()
	}
	return all
}

// same reports whether two are one input, or one value on purpose.
func (h holder) same(other holder) bool {
	return h.environment == other.environment && h.input == other.input ||
		h.origin == other.origin && h.origin.Value().remote.Name != ""
}

func originOf(in plan.Input, p *plan.Plan) origin {
	s, _ := p.Source(in.Source)
	return origin{s.Kind, s.At(), s.Region, s.Vault, s.Project, s.Address, s.Mount, in.Remote}
}
