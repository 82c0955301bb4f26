package report

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// Subject is what there is to tell of an environment.
type Subject struct {
	Plan         *plan.Plan
	Lock         *tree.Lock                      // nil if its tree has none
	Certificates map[string]*sealing.Certificate // by their files; those that can't be read are nil
	Workloads    *workload.Set                   // nil if no one has named manifests
}

// Of tells of an environment.
func Of(s Subject) *Environment {
	p, l := s.Plan, s.Lock
	var history tree.History
	if l != nil && l.Environment != p.Environment {
		l = nil
	}
	if l != nil {
		history = tree.HistoryOf(p, l)
	}
	e := NotKnown(p.Environment, p.Dir, p.Module)
	e.Known, e.PartOf, e.Namespace, e.Built = true, p.PartOf, p.Namespace, l != nil
	for _, src := range p.Sources {
		e.Sources = append(e.Sources, Source{Name: src.Name, Kind: src.Kind, Place: e.placeOf(src)})
	}
	for _, in := range p.Inputs {
		e.Inputs = append(e.Inputs, inputOf(in, p, l, history))
	}
	for _, r := range p.Rules {
		e.Rules = append(e.Rules, Rule{Name: r.Name, Kind: r.Kind, Description: r.Description, Inputs: r.Inputs})
	}
	for _, sec := range p.Secrets {
		e.Secrets = append(e.Secrets, e.secretOf(sec, history))
	}
	for _, r := range p.Readers {
		e.Readers = append(e.Readers, plan.ReaderDocument(r))
	}
	if s.Workloads != nil {
		e.Consumers = e.consumersOf(p, s.Workloads)
	}
	e.certificatesOf(s.Certificates, l)
	for _, was := range p.Previous() {
		if end, known := history.PreviousEnd(was); known {
			e.date(end, PreviousEnds, was.PreviousOf())
		}
	}
	return e
}

// placeOf is what tells a source from others of its kind.
func (e *Environment) placeOf(src plan.Source) string {
	address := src.Address
	if u, err := url.Parse(address); err == nil && u.User != nil { // it may well be a credential
		u.User = nil
		address = u.String()
	}
	place := cmp.Or(e.local(src.At()), e.local(src.Dir), src.Region, src.Vault, src.Project, address)
	if len(src.Command) > 0 {
		place = src.Command[0]
	}
	return place
}

// inputOf tells of an input what its contract and the lock of the tree do.
func inputOf(in plan.Input, p *plan.Plan, l *tree.Lock, history tree.History) Input {
	d := &Declaration{
		Description: in.Description, Docs: in.Docs, Owner: in.Owner, Deprecated: in.Deprecated, MustBe: in.MustBe(), Generated: in.GeneratedAs(), MadeFrom: in.Parents(),
		MaxAge: duration(in.MaxAge), RotateAfter: duration(in.RotateAfter), KeepPrevious: duration(in.KeepsPrevious()), NeverRotate: in.NeverRotate, Expires: plan.Day(in.Expires),
	}
	i := Input{
		Name: in.Name, Class: in.Class, Source: in.Source, Remote: in.Remote.String(), State: Unknown, Declaration: d,
		maxAge: in.MaxAge, rotateAfter: in.RotateAfter, expires: in.Expires,
	}
	if in.Generate != nil && in.Generate.Child != nil {
		i.lifetime = in.Generate.Child.Lifetime
	}
	if in.Default != nil {
		i.Source, i.Remote, i.State, i.value = "", "", Contract, in.Default
		return i
	}
	changed, secrets := history.LastChange(in)
	var known bool
	var locked tree.LockedInput
	if l != nil {
		locked, known = l.Inputs[in.Name]
	}
	switch {
	case in.Present != nil:
		i.State = map[bool]string{true: Present, false: Absent}[*in.Present]
	case len(secrets) > 0 || known && locked.Present:
		i.State = Present
	case known || leftOut(in, p, history):
		i.State = Absent
	}
	if len(secrets) > 0 && i.State == Present {
		i.Changed = utc(&changed)
	}
	return i
}

// leftOut reports whether a key that is the input is not in the tree.
func leftOut(in plan.Input, p *plan.Plan, history tree.History) bool {
	return slices.ContainsFunc(p.Secrets, func(s plan.Secret) bool {
		return slices.ContainsFunc(s.Keys, func(k plan.Key) bool {
			_, sealed, known := history.Key(s, k.Name)
			return k.Input == in.Name && known && !sealed
		})
	})
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// secretOf tells of a secret what its contract and the lock of the tree do.
func (e *Environment) secretOf(sec plan.Secret, history tree.History) Secret {
	s := Secret{Namespace: sec.Namespace, Name: sec.Name, Type: sec.Type, Delivery: sec.Delivery.Kind, Certificate: e.local(sec.Delivery.Certificate), Keys: []Key{}}
	for _, k := range sec.Keys {
		key := Key{Name: k.Name, By: k.By(), Inputs: k.Inputs(), State: Unknown}
		if changed, sealed, known := history.Key(sec, k.Name); known {
			key.State = map[bool]string{true: Present, false: Absent}[sealed]
			if sealed {
				key.Changed = utc(&changed)
			}
		}
		s.Keys = append(s.Keys, key)
	}
	return s
}

// consumersOf are those of the objects in manifests that ask for a secret of the plan,
// in the order of their namespaces and names.
func (e *Environment) consumersOf(p *plan.Plan, set *workload.Set) []Consumer {
	by := map[[2]string]*Consumer{}
	seen := map[workload.Reference]bool{} // one that asks for all keys is among those of each
	consumers := workload.Consumers(p, set)
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			for _, ref := range consumers[s.ID()][k.Name] {
				if seen[ref] {
					continue
				}
				seen[ref] = true
				at := [2]string{ref.Namespace, ref.Object}
				if by[at] == nil {
					by[at] = &Consumer{Object: ref.Object, Namespace: ref.Namespace}
				}
				by[at].Uses = append(by[at].Uses, Use{Secret: ref.Secret, Key: ref.Key, How: ref.Use, Where: ref.Where, Optional: ref.Optional, Position: e.position(ref.Pos)})
			}
		}
	}
	all := []Consumer{}
	for _, at := range slices.SortedFunc(maps.Keys(by), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		all = append(all, *by[at])
	}
	return all
}

// certificatesOf notes when the certificates end that secrets are sealed for: those of
// the contract, and others that the lock knows.
func (e *Environment) certificatesOf(certificates map[string]*sealing.Certificate, l *tree.Lock) {
	known := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(certificates)) {
		if c := certificates[file]; c != nil && !known[c.SHA256] {
			known[c.SHA256] = true
			e.date(c.NotAfter, CertificateEnds, e.local(file))
		}
	}
	if l == nil {
		return
	}
	for _, sha := range slices.Sorted(maps.Keys(l.Certificates)) {
		if c := l.Certificates[sha]; !known[sha] && !c.NotAfter.IsZero() && slices.ContainsFunc(l.Secrets, func(s tree.LockedSecret) bool { return s.Certificate == sha }) {
			e.date(c.NotAfter, CertificateEnds, "SHA-256 "+sha[:min(16, len(sha))])
		}
	}
}
