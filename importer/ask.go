package importer

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
)

// Properties asks a source, with the rights of anyone who runs this, which properties the
// JSON object at r has: all of it, or what lies within the property of r. It takes in
// no value, but each must be one that a contract can select.
func Properties(ctx context.Context, o Options, s observe.Source, r observe.Remote) (names []string, ds plan.Diagnostics) {
	defer func() { // they speak of a contract that no one has, and mean the store
		for i := range ds {
			ds[i].Pos, ds[i].Message = nil, strings.ReplaceAll(ds[i].Message, "source default", s.Existing+" "+s.Store)
		}
	}()
	p, in, ds := asking(ctx, o, s, r)
	if ds.HasErrors() {
		return nil, ds
	}
	if o.Permit != nil {
		if ds = o.Permit(p); ds.HasErrors() {
			return nil, ds
		}
	}
	found, ds := source.Peek(ctx, p, o.Open(p), []plan.Input{in}, source.Options{Timeout: o.Timeout})
	if ds = onlyErrors(ds); ds.HasErrors() {
		return nil, ds
	}
	where := in.Remote.String()
	object := found[in.Name]
	if object.State != value.Present {
		ds.Errorf(plan.CodeImportRead, nil, "check its name there, and at the region, the project or the mount of its store", "there is nothing at %s of %s %s", where, s.Existing, s.Store)
		return nil, ds
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(object.Value.Reveal(), &fields) != nil || fields == nil { // its error may quote the object
		ds.Errorf(plan.CodeImportRead, nil, "write the key under data, without extract", "the value at %s of %s %s is not a JSON object, so nothing can be taken from it (dataFrom.extract)", where, s.Existing, s.Store)
		return nil, ds
	}
	for _, name := range sorted(fields) {
		answer := source.Select(source.Answer{Value: object.Value}, name)
		if answer.Err == nil {
			names = append(names, name)
			continue
		}
		why := "it is null"
		if answer.Err != source.ErrAbsent {
			why = answer.Err.Error()
		}
		ds.Errorf(plan.CodeImportRead, nil, "fix it at the source; or write those that are needed under data", "property %q at %s of %s %s can't be taken: %s", name, where, s.Existing, s.Store, why)
	}
	return names, ds
}

// asking makes the plan of a contract that has nothing but the value at r, as a whole.
func asking(ctx context.Context, o Options, s observe.Source, r observe.Remote) (*plan.Plan, plan.Input, plan.Diagnostics) {
	property := r.Property
	if r.Base64 = false; property == "" && s.Kind == plan.Vault {
		r.Property = "value" // or else the contract would have to name one
	}
	one := &observe.Observed{Sources: []observe.Source{s}, Secrets: []observe.Secret{
		{Name: "asked", Kind: observe.External, From: "ExternalSecret", Keys: []observe.Key{{Name: "asked", Variable: upper(r.Name), Remote: &r}}},
	}}
	o.Source = Source{}
	_, _, p, ds := drafted(ctx, one, o, nil, nil)
	if p == nil || ds.HasErrors() {
		return nil, plan.Input{}, ds
	}
	in := p.Inputs[slices.IndexFunc(p.Inputs, func(in plan.Input) bool { return in.Name != plan.LockKey })]
	in.Remote.Property = property
	return p, in, nil
}
