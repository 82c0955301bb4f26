package importer

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/importer/observe"
)

// Proved is what the proof says of a key, or, if Key is empty, of the rest of a
// Secret.
type Proved struct {
	Secret  string `json:"secret"`
	Key     string `json:"key,omitempty"`
	Verdict string `json:"verdict"` // equal, differs, missing, added, unknown
	Why     string `json:"why,omitempty"`
}

// The verdicts.
const (
	Equal   = "equal"   // byte for byte
	Differs = "differs" // it is another
	Lost    = "missing" // nothing is made of it
	Added   = "added"   // the contract makes it, and it was not there
	Unknown = "unknown" // no one has said what it was
)

// Prove renders p with values, and compares what comes out with what was read.
// Secrets whose values are not read are compared by where each key is from.
func (d *Draft) Prove(p *plan.Plan, values value.Set) (all []Proved, ds plan.Diagnostics) {
	known := *p
	known.Secrets = nil
	for _, s := range p.Secrets {
		s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k plan.Key) bool {
			return slices.ContainsFunc(k.Inputs(), func(name string) bool { return values[name].State != value.Present })
		})
		if d.isExternal(s) { // what stands in for values is of no type
			s.Type = "Opaque"
		}
		known.Secrets = append(known.Secrets, s)
	}
	rendered, ds := emit.Render(&known, values)
	// A Secret that was there as it was is not refused for what it holds.
	ds = slices.DeleteFunc(ds, func(x plan.Diagnostic) bool { return x.Severity == plan.Warning })
	if ds.HasErrors() {
		for i := range ds {
			if c := ds[i].Code; c == plan.CodeTypeContent || c == plan.CodeKeyPair {
				ds[i].Hint = "it already was before, and what uses it fails: fix it, or leave it out"
			}
		}
		return nil, ds
	}
	made := map[string]emit.Rendered{}
	for _, r := range rendered {
		for _, s := range p.Secrets {
			if s.Name == r.Name && s.Namespace == r.Namespace {
				r.Type = s.Type
			}
		}
		made[r.String()] = r
	}
	for _, s := range d.Secrets {
		if len(s.Keys) == 0 {
			continue
		}
		id := s.Secret.String()
		if s.Namespace == "" {
			id = p.Namespace + "/" + s.Name
		}
		r, ok := made[id]
		if !ok {
			all = append(all, Proved{Secret: id, Verdict: Lost})
			continue
		}
		all = append(all, d.proveMeta(s, r, id))
		for _, k := range s.Keys {
			all = append(all, d.proveKey(p, s, k, r, id))
		}
		for name := range r.Data {
			if !slices.ContainsFunc(s.Keys, func(k *Key) bool { return k.Name == name }) {
				verdict := Differs
				if s.base != nil { // what the contract says counts for all environments
					verdict = Added
				}
				all = append(all, Proved{Secret: id, Key: name, Verdict: verdict, Why: "it was not there"})
			}
		}
	}
	for _, one := range all {
		switch one.Verdict {
		case Added:
			ds.Warnf(plan.CodeImportLeft, nil, "move it out of the contract, into the environments that have it, if it should not be there",
				"the contract makes key %s of secret %s, which was not there", one.Key, one.Secret)
		case Differs, Lost:
			what := "secret " + one.Secret
			if one.Key != "" {
				what = "key " + one.Key + " of " + what
			}
			why := one.Why
			if why != "" {
				why = ": " + why
			}
			hint := "report it; or leave it out of the import, and write it by hand"
			if d.base != nil {
				hint = "leave open in the contract what differs: a setting instead of a literal, or an input for the key"
			}
			ds.Errorf(plan.CodeImportDiffers, nil, hint, "%s is %s%s", what, map[string]string{Differs: "not what was read", Lost: "lost"}[one.Verdict], why)
		}
	}
	return all, ds
}

// isExternal reports whether s is an external secret of the draft.
func (d *Draft) isExternal(s plan.Secret) bool {
	return slices.ContainsFunc(d.Secrets, func(o *Secret) bool {
		return o.Name == s.Name && (o.Namespace == s.Namespace || o.Namespace == "") && o.Kind == observe.External
	})
}

// proveMeta compares what is not a key.
func (d *Draft) proveMeta(s *Secret, r emit.Rendered, id string) Proved {
	var why []string
	was := s.Type
	if was == "" {
		was = "Opaque"
	}
	if r.Type != was {
		why = append(why, "its type")
	}
	if r.Immutable != s.Immutable {
		why = append(why, "whether it is immutable")
	}
	lacks := func(what string, want, have map[string]string) {
		for _, k := range sorted(want) {
			if have[k] != want[k] {
				why = append(why, "its "+what+" "+k)
			}
		}
	}
	lacks("label", s.labels, r.Labels)
	lacks("annotation", s.annotations, r.Annotations)
	if len(why) > 0 {
		return Proved{Secret: id, Verdict: Differs, Why: strings.Join(why, ", ")}
	}
	return Proved{Secret: id, Verdict: Equal}
}

func (d *Draft) proveKey(p *plan.Plan, s *Secret, k *Key, r emit.Rendered, id string) Proved {
	one := Proved{Secret: id, Key: k.Name}
	v, ok := r.Data[k.Name]
	o := k.observed
	switch {
	case o.Remote != nil || o.Template != "":
		one.Verdict, one.Why = d.proveRemote(p, k, v)
	case o.State == observe.Given && !ok:
		one.Verdict = Lost
	case o.State == observe.Given && !bytes.Equal(v.Reveal(), o.Value.Reveal()):
		one.Verdict = Differs
		if k.fixed {
			one.Why = "the contract makes it from other inputs, which give something else here"
		}
	case o.State == observe.Given:
		one.Verdict = Equal
	case o.State == observe.Empty && ok && v.Len() == 0:
		one.Verdict = Equal
	case o.State == observe.Empty:
		one.Verdict, one.Why = Unknown, "it was empty, and is left out until it has a value"
	default:
		one.Verdict, one.Why = Unknown, "its value is not known"
	}
	return one
}

// inMemory is the values of a draft as a resolution would have found them.
func (d *Draft) inMemory(p *plan.Plan) value.Set {
	values := d.Values()
	set := value.Set{}
	for _, in := range p.Inputs {
		v, ok := values[in.Name]
		switch {
		case in.Default != nil:
			set[in.Name] = value.Resolved{State: value.Present, Value: value.New([]byte(*in.Default))}
		case ok:
			set[in.Name] = value.Resolved{State: value.Present, Value: v}
		default:
			set[in.Name] = value.Resolved{State: value.Absent}
			for _, own := range d.Inputs {
				if own.Name == in.Name && own.Remote != nil {
					set[in.Name] = value.Resolved{State: value.Present, Value: standIn(*own.Remote)}
				}
			}
		}
	}
	return set
}

// composed are the keys that all come of something else than an input, by
// SECRET/KEY, of those that a proof finds different.
func (d *Draft) composed(proof []Proved) map[string]bool {
	again := maps.Clone(d.plain)
	if again == nil {
		again = map[string]bool{}
	}
	before := len(again)
	for _, one := range proof {
		for _, s := range d.Secrets {
			for _, k := range s.Keys {
				if one.Verdict != Equal && one.Verdict != Unknown && one.Verdict != Added && !k.fixed && k.Name == one.Key && strings.HasSuffix(one.Secret, "/"+s.Name) && (k.Kit != "" || k.Template != "" || s.Kit != "") && k.observed.Template == "" {
					again[s.String()+"/"+k.Name] = true
				}
			}
		}
	}
	if len(again) == before {
		return nil
	}
	return again
}
