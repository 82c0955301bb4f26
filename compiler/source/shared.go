package source

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"unique"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// place is where a service keeps inputs: what a source of whatever name says of it.
type place struct{ kind, region, vault, project, location, address, namespace, mount string }

func placeOf(src plan.Source) place {
	return place{src.Kind, src.Region, src.Vault, src.Project, src.Location, src.Address, src.Namespace, src.Mount}
}

// Turns lets one environment of a run alone rotate an input that several have at one
// place. The zero value is ready for use, by several goroutines.
type Turns struct {
	mu    sync.Mutex
	taken map[turn]string // by which environment
}

// turn is where an input is, whatever an environment calls it.
type turn struct {
	at     place
	file   string
	remote plan.Remote
	name   string // where the source has no names of its own
}

// Take returns those of the inputs of p that no one has taken before, and which
// environments have taken the others, by their names in p.
func (t *Turns) Take(p *plan.Plan, inputs []plan.Input) (own []plan.Input, others map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken == nil {
		t.taken = map[turn]string{}
	}
	others = map[string]string{}
	for _, in := range inputs {
		src, _ := p.Source(in.Source)
		is := turn{at: placeOf(src), file: cmp.Or(src.At(), src.File, src.Dir), remote: in.Remote}
		if in.Remote == (plan.Remote{}) {
			is.name = in.Name
		}
		if by, ok := t.taken[is]; ok {
			others[in.Name] = by
			continue
		}
		t.taken[is] = p.Environment
		own = append(own, in)
	}
	return own, others
}

// Comparison finds generated inputs that have one value in several environments,
// for who learns it in one has it in all. Inputs that name the same remote at the
// same service are shared on purpose. The zero value is ready for use, by several
// goroutines.
//
// Values are compared by an HMAC whose key lives as long as the Comparison does, and
// nothing else is kept of them.
type Comparison struct {
	mu           sync.Mutex
	secret       []byte
	holders      map[[sha256.Size]byte][]holder
	environments map[int]compared
}

// holder is an input that has a value.
type holder struct {
	environment, input int // the numbers of both
	name               unique.Handle[string]
	pos                unique.Handle[plan.Pos]
	place              unique.Handle[place]
	remote             unique.Handle[plan.Remote]
}

// compared is what messages say of an environment.
type compared struct {
	name, module string
	files        []string
}

// Add compares what was read for p, the environment of number i, with what was
// added before. p and set are not kept.
func (c *Comparison) Add(i int, p *plan.Plan, set value.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret == nil {
		c.secret = make([]byte, sha256.Size)
		rand.Read(c.secret)
		c.holders, c.environments = map[[sha256.Size]byte][]holder{}, map[int]compared{}
	}
	e := compared{name: strings.Clone(p.Environment), module: unique.Make(p.Module).Value()}
	for _, s := range p.Sources {
		if at := PlainPlace(s); at != "" && !slices.Contains(e.files, at) {
			e.files = append(e.files, unique.Make(at).Value())
		}
	}
	c.environments[i] = e
	for n, in := range p.Inputs {
		got := set[in.Name]
		if in.Class != plan.Generated || got.State != value.Present || got.Value.Len() == 0 || len(in.Constraints.OneOf) > 0 {
			continue
		}
		mac := hmac.New(sha256.New, c.secret)
		mac.Write(got.Value.Reveal())
		tag := [sha256.Size]byte(mac.Sum(nil))
		src, _ := p.Source(in.Source)
		h := holder{i, n, unique.Make(in.Name), unique.Make(plan.Pos{}),
			unique.Make(placeOf(src)), unique.Make(in.Remote)}
		if len(in.Pos) > 0 {
			h.pos = unique.Make(in.Pos[0])
		}
		c.holders[tag] = append(c.holders[tag], h)
	}
}

// Diagnostics returns what there is to say of each environment, by its number. What
// concerns several stands in each of them.
func (c *Comparison) Diagnostics() map[int]plan.Diagnostics {
	c.mu.Lock()
	defer c.mu.Unlock()
	onPurpose := func(a, b holder) bool {
		at := a.place.Value()
		return a.place == b.place && a.remote == b.remote && at.kind != plan.SOPS && PlainPlace(plan.Source{Kind: at.kind, File: "f", Dir: "d"}) == ""
	}
	first := func(a, b holder) int { return cmp.Or(a.environment-b.environment, a.input-b.input) }
	var several [][]holder
	for _, hs := range c.holders {
		if slices.ContainsFunc(hs, func(h holder) bool { return h.environment != hs[0].environment }) {
			slices.SortFunc(hs, first)
			several = append(several, hs)
		}
	}
	slices.SortFunc(several, func(a, b []holder) int { return first(a[0], b[0]) })
	type finding struct {
		environments []int
		inputs       []string
		pos          []plan.Pos
	}
	var findings []*finding
	for _, hs := range several {
		f := &finding{}
		for j, h := range hs {
			if slices.ContainsFunc(hs[:j], func(other holder) bool { return onPurpose(other, h) }) {
				continue
			}
			if !slices.Contains(f.environments, h.environment) {
				f.environments = append(f.environments, h.environment)
			}
			if !slices.Contains(f.inputs, h.name.Value()) {
				f.inputs = append(f.inputs, h.name.Value())
			}
			if pos := h.pos.Value(); pos != (plan.Pos{}) && !slices.Contains(f.pos, pos) {
				f.pos = append(f.pos, pos)
			}
		}
		if len(f.environments) < 2 {
			continue
		}
		same := slices.IndexFunc(findings, func(g *finding) bool { return slices.Equal(g.environments, f.environments) })
		if same < 0 {
			findings = append(findings, f)
			continue
		}
		findings[same].inputs = append(findings[same].inputs, f.inputs...)
		findings[same].pos = append(findings[same].pos, f.pos...)
	}
	all := map[int]plan.Diagnostics{}
	for _, f := range findings {
		var names, files []string
		for _, i := range f.environments {
			e := c.environments[i]
			name := e.name
			if slices.ContainsFunc(f.environments, func(j int) bool { return j != i && c.environments[j].name == name }) {
				name += " of " + e.module // another module may have one of that name
			}
			names = append(names, name)
			for _, at := range e.files {
				if !slices.Contains(files, at) {
					files = append(files, at)
				}
			}
		}
		hint := "give each environment a source of its own, and `victorgen rotate` the inputs in all but one"
		if len(files) == 1 {
			hint = "they share " + files[0] + ": give each a file of its own, as .secrets.ENVIRONMENT at the root of the module is by default; then `victorgen rotate` the inputs in all but one"
		}
		slices.Sort(f.inputs)
		for _, i := range f.environments {
			ds := all[i]
			ds.Warnf(plan.CodeSameValue, f.pos, hint, "environments %s have the same generated value of %s", plan.And(names), strings.Join(slices.Compact(f.inputs), ", "))
			all[i] = ds
		}
	}
	return all
}
