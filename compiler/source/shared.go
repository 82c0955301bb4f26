package source

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// place is where a service keeps inputs: what a source of whatever name says of it.
type place struct{ kind, region, vault, project, location, address, namespace, mount string }

// Shared warns of generated inputs that have one value in several environments,
// for who learns it in one has it in all. sets are what was read for each of
// plans; one may be nil. It returns diagnostics for each of plans, and those that
// concern several stand in each of them. Inputs that name the same remote at the
// same service are one on purpose.
//
// Values are compared by an HMAC whose key is gone when it returns.
func Shared(plans []*plan.Plan, sets []value.Set) []plan.Diagnostics {
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	type holder struct {
		environment int
		input       plan.Input
		place       place
	}
	var order []string
	holders := map[string][]holder{}
	for i, p := range plans {
		if p == nil {
			continue
		}
		for _, in := range p.Inputs {
			got := sets[i][in.Name]
			if in.Class != plan.Generated || got.State != value.Present || got.Value.Len() == 0 || len(in.Constraints.OneOf) > 0 {
				continue
			}
			mac := hmac.New(sha256.New, secret)
			mac.Write(got.Value.Reveal())
			tag := string(mac.Sum(nil))
			src, _ := p.Source(in.Source)
			if holders[tag] == nil {
				order = append(order, tag)
			}
			holders[tag] = append(holders[tag], holder{i, in, place{src.Kind, src.Region, src.Vault, src.Project, src.Location, src.Address, src.Namespace, src.Mount}})
		}
	}
	onPurpose := func(a, b holder) bool {
		return a.place == b.place && PlainPlace(plan.Source{Kind: a.place.kind, File: "f", Dir: "d"}) == "" &&
			a.place.kind != plan.SOPS && a.input.Remote == b.input.Remote
	}
	type finding struct {
		environments []int
		inputs       []string
		pos          []plan.Pos
	}
	var findings []*finding
	for _, tag := range order {
		f := &finding{}
		hs := holders[tag]
		for j, h := range hs {
			if slices.ContainsFunc(hs[:j], func(other holder) bool { return onPurpose(other, h) }) {
				continue
			}
			if !slices.Contains(f.environments, h.environment) {
				f.environments = append(f.environments, h.environment)
			}
			if !slices.Contains(f.inputs, h.input.Name) {
				f.inputs = append(f.inputs, h.input.Name)
			}
			if len(h.input.Pos) > 0 && !slices.Contains(f.pos, h.input.Pos[0]) {
				f.pos = append(f.pos, h.input.Pos[0])
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
	all := make([]plan.Diagnostics, len(plans))
	for _, f := range findings {
		var names, files []string
		for _, i := range f.environments {
			name := plans[i].Environment
			if slices.ContainsFunc(f.environments, func(j int) bool { return j != i && plans[j].Environment == name }) {
				name += " of " + plans[i].Module // another module may have one of that name
			}
			names = append(names, name)
			for _, s := range plans[i].Sources {
				if at := PlainPlace(s); at != "" && !slices.Contains(files, at) {
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
			all[i].Warnf(plan.CodeSameValue, f.pos, hint, "environments %s have the same generated value of %s", plan.And(names), strings.Join(slices.Compact(f.inputs), ", "))
		}
	}
	return all
}
