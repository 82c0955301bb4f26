package importer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// What all environments have stands in the contract, and what they differ in below. An
// environment that joins and lacks what the contract has, or has it in another way,
// moves that down: out of the contract, into each of the other environments. What it
// has as all others do, and the contract does not, moves up. Neither changes what
// another environment compiles to, which is looked at before anything is written.

// move takes one thing down. It is the first of its ways that can be gone: each is
// fields, by their paths, that go together.
type move [][][]string

// field is the name of a secret's field in the contract, as far as it can be told.
func (d *Draft) field(s plan.Secret) []string {
	return []string{s.Name, s.Namespace + "-" + s.Name}
}

func (d *Draft) moveSecret(s plan.Secret) (m move) {
	for _, name := range d.field(s) {
		m = append(m, [][]string{{"secrets", name}})
	}
	return m
}

// moveKey takes a key down, or, where no field of its name makes it, the input that it
// is the value of, or the secret.
func (d *Draft) moveKey(s plan.Secret, k plan.Key) (m move) {
	for _, name := range d.field(s) {
		m = append(m, [][]string{{"secrets", name, "keys", k.Name}})
	}
	if k.Input != "" {
		m = append(m, [][]string{{"inputs", k.Input}})
	}
	return append(m, d.moveSecret(s)...)
}

// moveInput takes an input down, with the keys that it stands in, or with their secrets,
// where a type demands the keys.
func (d *Draft) moveInput(name string) move {
	var ways move
	for i := range 4 {
		whole, named := i/2 == 1, i%2 // field gives two names
		way := [][]string{{"inputs", name}}
		for _, s := range d.base.Secrets {
			for _, k := range s.Keys {
				if slices.Contains(k.Inputs(), name) {
					path := []string{"secrets", d.field(s)[named], "keys", k.Name}
					if whole {
						path = path[:2]
					}
					if !slices.ContainsFunc(way, func(p []string) bool { return slices.Equal(p, path) }) {
						way = append(way, path)
					}
				}
			}
		}
		if i == 2 { // a comprehension makes the keys of what inputs there are
			ways = append(ways, [][]string{{"inputs", name}})
		}
		ways = append(ways, way)
	}
	return ways
}

// apart is what the contract has and this environment has not, or in another way.
func (d *Draft) apart(proof []Proved) (moves []move) {
	if len(d.split) > 0 {
		return d.split
	}
	verdicts := map[string]string{}
	for _, one := range proof {
		verdicts[one.Secret+" "+one.Key] = one.Verdict
	}
	used, empty := map[string]bool{}, map[string]bool{}
	for _, b := range d.base.Secrets {
		for _, k := range b.Keys {
			for _, name := range k.Inputs() {
				used[name] = true
			}
		}
		i := slices.IndexFunc(d.Secrets, func(s *Secret) bool { return s.base != nil && s.base.Name == b.Name && s.base.Namespace == b.Namespace })
		if i < 0 {
			moves = append(moves, d.moveSecret(b))
			continue
		}
		s := d.Secrets[i]
		for _, bk := range b.Keys {
			j := slices.IndexFunc(s.Keys, func(k *Key) bool { return k.Name == bk.Name })
			verdict := verdicts[b.Namespace+"/"+b.Name+" "+bk.Name]
			switch {
			case j < 0 && (verdict == Added || slices.ContainsFunc(bk.Inputs(), d.demanded)):
				moves = append(moves, d.moveKey(b, bk))
			case j >= 0 && s.Keys[j].fixed && (verdict == Differs || verdict == Lost):
				moves = append(moves, d.moveKey(b, bk))
			case j >= 0 && s.Keys[j].observed.State == observe.Empty && bk.Input != "" && d.demanded(bk.Input):
				empty[bk.Input] = true
			}
		}
		moves = append(moves, d.apartMeta(s)...)
	}
	for name := range empty {
		moves = append(moves, d.moveInput(name))
	}
	for _, in := range d.base.Inputs {
		for _, name := range in.Parents() {
			used[name] = true
		}
	}
	for _, b := range d.base.Inputs {
		in := d.input(b.Name)
		switch {
		case b.Name == plan.LockKey || empty[b.Name]:
		case !used[b.Name] && (in == nil || !in.Known):
			moves = append(moves, move{{{"inputs", b.Name}}})
		case in != nil && in.Remote != nil && in.base != nil && in.movedRemote():
			moves = append(moves, move{{{"inputs", b.Name, "remote"}, {"inputs", b.Name, "source"}}, {{"inputs", b.Name, "remote"}}})
		case in != nil && in.Known && d.unrelated(in): // or a build would make it again
			moves = append(moves, d.moveInput(b.Name))
		case in != nil && in.Known && in.Weak: // which an environment may say of its own inputs alone
			moves = append(moves, d.moveInput(b.Name))
		case in != nil && in.Known && in.Default == nil:
			for _, c := range d.unfit(in) {
				moves = append(moves, move{{{"inputs", b.Name, c}}})
			}
		}
	}
	return moves
}

// demanded reports whether a build makes or asks for an input of the contract that this
// environment has no value of.
func (d *Draft) demanded(name string) bool {
	b, ok := d.base.Input(name)
	in := d.input(name)
	return ok && b.Default == nil && (b.Class == plan.Required || b.Class == plan.Generated) && (in == nil || !in.Known && in.Remote == nil)
}

// apartMeta is what a secret has next to its keys.
func (d *Draft) apartMeta(s *Secret) (moves []move) {
	if len(s.Keys) == 0 {
		return nil
	}
	add := func(path ...string) {
		var m move
		for _, name := range d.field(*s.base) {
			m = append(m, [][]string{append([]string{"secrets", name}, path...)})
		}
		moves = append(moves, m)
	}
	if s.base.Type != "Opaque" && s.base.Type != s.Type {
		add("type")
	}
	if s.base.Immutable && !s.Immutable {
		add("immutable")
	}
	if d.otherDelivery(s) {
		add("delivery")
	}
	for name, m := range map[string][2]map[string]string{"labels": {s.labels, s.base.Labels}, "annotations": {s.annotations, s.base.Annotations}} {
		for _, k := range sorted(m[1]) {
			if m[0][k] != m[1][k] {
				add(name, k)
			}
		}
	}
	return moves
}

// otherDelivery reports whether a secret came to the cluster in another way than the
// contract says; whether it is sealed or external, the environment says.
func (d *Draft) otherDelivery(s *Secret) bool {
	b := s.base.Delivery
	if s.Kind == observe.External {
		every, err := time.ParseDuration(cmp.Or(s.Refresh, "1h"))
		return b.Fetches() && (err == nil && cmp.Or(b.RefreshInterval, time.Hour) != every && !(every == 0 && s.Refresh == "0" && b.RefreshInterval == 0) ||
			cmp.Or(b.RefreshPolicy, "Periodic") != cmp.Or(s.Policies["refreshPolicy"], "Periodic") ||
			cmp.Or(b.CreationPolicy, "Owner") != cmp.Or(s.Policies["creationPolicy"], "Owner") ||
			cmp.Or(b.DeletionPolicy, "Retain") != cmp.Or(s.Policies["deletionPolicy"], "Retain"))
	}
	return s.Kind == observe.Sealed && b.Seals() && cmp.Or(b.Scope, "strict") != cmp.Or(s.Scope, "strict")
}

// unrelated reports whether a value is not what the contract makes of others, such as a
// certificate of another name.
func (d *Draft) unrelated(in *Input) bool {
	if in.base.Generate == nil || in.base.Generate.Child == nil {
		return false
	}
	f := derive.FamilyOf(*in.base, func(name string) value.Value {
		if of := d.input(name); of != nil {
			return of.Value
		}
		return value.Value{}
	}, time.Now())
	return len(f.Unknown) == 0 && derive.Check(f, in.Value) != nil
}

// movedRemote reports whether an external secret has an input from another place than
// the contract says.
func (in *Input) movedRemote() bool {
	r := in.base.Remote
	return r.Name != in.Remote.Name || r.Property != in.Remote.Property || r.Version != in.Remote.Version
}

// unfit are the constraints of the contract that a value breaks, by their fields.
func (d *Draft) unfit(in *Input) (fields []string) {
	c := in.base.Constraints
	for _, one := range []struct {
		field string
		plan.Constraints
	}{
		{"pattern", plan.Constraints{Pattern: c.Pattern}}, {"format", plan.Constraints{Format: c.Format}}, {"oneOf", plan.Constraints{OneOf: c.OneOf}},
		{"minLength", plan.Constraints{MinLength: c.MinLength}}, {"maxLength", plan.Constraints{MaxLength: c.MaxLength}},
	} {
		of := *in.base
		of.Constraints = one.Constraints
		bare := of
		bare.Constraints = plan.Constraints{}
		v := value.Encode(*in.base, in.Value)
		if len(onlyErrors(value.Judge(of, v))) > len(onlyErrors(value.Judge(bare, v))) {
			fields = append(fields, one.field)
		}
	}
	return fields
}

// modules are the CUE files of a module: those of the contract, and those of the other
// environments.
type modules struct {
	contract, below []File
	environments    []string // the others, by name
}

func (m modules) clone() modules {
	m.contract, m.below = slices.Clone(m.contract), slices.Clone(m.below)
	return m
}

// root reports whether a file is one of the contract, and not of its module alone.
func root(f File) bool { return !strings.Contains(f.Path, "/") }

// down goes the first way of a move that can be gone.
func (m modules) down(way [][]string) (modules, bool) {
	m = m.clone()
	for _, path := range way {
		found := false
		for i, f := range m.contract {
			if !root(f) {
				continue
			}
			rest, taken := compiler.Take(f.text, path...)
			m.contract[i].text = rest
			for _, t := range taken {
				found = true
				for j, b := range m.below {
					if filepath.Base(b.Path) != "env.cue" || strings.Count(b.Path, "/") != 2 {
						continue
					}
					_, there := compiler.Take(b.text, path...)
					if slices.ContainsFunc(there, func(f compiler.Taken) bool { return sameField(f, t) }) {
						continue // an import that was interrupted has put it there
					}
					text, err := compiler.Put(b.text, t, path...)
					if err != nil {
						return m, false
					}
					m.below[j].text = text
				}
			}
		}
		if !found {
			return m, false
		}
	}
	return m, true
}

// documents are what the other environments compile to; ok is false if one does not.
func (m modules) documents(o Options, d *Draft) (all map[string]string, ok bool) {
	all = map[string]string{}
	for _, name := range m.environments {
		of := o
		of.Environment = name
		p, ds := inModule(slices.Concat(m.contract, m.below), of, &Draft{Sources: d.Sources})
		if p == nil || ds.HasErrors() {
			return nil, false
		}
		text, err := json.Marshal(p.Document(func(file string) string { return file }))
		if err != nil {
			return nil, false
		}
		all[name] = string(text)
	}
	return all, true
}

// changed are the files that are not what they were, in m's order.
func changed(was, is []File) (all []File) {
	for i, f := range is {
		if !bytes.Equal(was[i].text, f.text) {
			f.old = was[i].text
			all = append(all, f)
		}
	}
	return all
}

// joined makes a draft that joins the contract of m, of which stub, the environment of
// bare, makes the base, and moves down and up what has to.
func joined(ctx context.Context, observed *observe.Observed, o Options, m modules, bare *Draft, stub File) (*Draft, *Result, *plan.Plan, plan.Diagnostics) {
	base := func(m modules) (*plan.Plan, plan.Diagnostics) {
		return inModule(append(slices.Clone(m.contract), stub), o, bare)
	}
	stands := func(m modules) bool {
		p, bad := base(m)
		return p != nil && !bad.HasErrors()
	}
	p, bad := base(m)
	if p == nil {
		return &Draft{}, &Result{}, nil, bad
	}
	d, r, final, ds := drafted(ctx, observed, o, p, m.contract)
	if len(m.environments) == 0 || ctx.Err() != nil {
		return d, r, final, ds
	}
	now := m
	var moved []string
	nd, nr, np, nds := d, r, final, ds
	for range 12 {
		moves := nd.apart(nr.Proof)
		progress := false
		for _, one := range moves {
			for _, way := range one {
				next, ok := now.down(way)
				if !ok || !stands(next) {
					continue
				}
				now, progress = next, true
				for _, path := range way {
					moved = append(moved, strings.Join(path, "."))
				}
				break
			}
		}
		if !progress {
			break
		}
		compiled, _ := base(now)
		nd, nr, np, nds = drafted(ctx, observed, o, compiled, now.contract)
	}
	if len(moved) > 0 && !nds.HasErrors() {
		was, ok := m.documents(o, d)
		is, still := now.documents(o, d)
		if ok && still && maps.Equal(was, is) {
			slices.Sort(moved)
			nds.Warnf(plan.CodeImportLeft, nil, "review the changes with git diff; if something was left out, add it and import again",
				"%s differs from the contract in %s, which has moved from there to %s", o.Environment, strings.Join(slices.Compact(moved), ", "), strings.Join(m.environments, ", "))
			nr.Files = slices.Concat(changed(m.below, now.below), changed(m.contract, now.contract), nr.Files)
			return raised(nd, nr, np, nds, o, now, stands, moved)
		}
	}
	if ds.HasErrors() {
		return d, r, final, ds
	}
	return raised(d, r, final, ds, o, m, stands, nil)
}

var comment = lazy.MustCompile(`(?m)^\s*//.*$|\s+`)

// sameField reports whether two fields are the same but for comments and spaces.
func sameField(a, b compiler.Taken) bool {
	return comment.ReplaceAllString(a.Text, "") == comment.ReplaceAllString(b.Text, "")
}

// raised moves up what this environment adds to the contract, where all others have
// the same, but for what has just moved down. m is the module as it is once all other
// files of r are written; it has to stand without any of the environments.
func raised(d *Draft, r *Result, p *plan.Plan, ds plan.Diagnostics, o Options, m modules, stands func(modules) bool, moved []string) (*Draft, *Result, *plan.Plan, plan.Diagnostics) {
	var paths [][]string
	for _, in := range d.Inputs {
		if in.base == nil {
			paths = append(paths, []string{"inputs", in.Name})
		}
	}
	for _, s := range d.Secrets {
		if s.base == nil {
			paths = append(paths, []string{"secrets", s.ID})
			continue
		}
		for _, k := range s.Keys {
			if !k.fixed {
				paths = append(paths, []string{"secrets", s.ID, "keys", k.Name})
			}
		}
	}
	before, own := r.Files[:len(r.Files)-1], r.Files[len(r.Files)-1]
	now := m.clone()
	to := slices.IndexFunc(now.contract, func(f File) bool { return f.Path == contractFile })
	if to < 0 {
		to = slices.IndexFunc(now.contract, root)
	}
	var up []string
	for _, path := range paths {
		rest, taken := compiler.Take(own.text, path...)
		if len(taken) != 1 || slices.Contains(moved, strings.Join(path, ".")) {
			continue
		}
		below, have := slices.Clone(now.below), 0
		for i, f := range below {
			text, same := compiler.Take(f.text, path...)
			if len(same) == 0 {
				continue
			}
			if len(same) != 1 || !sameField(same[0], taken[0]) {
				have = -len(m.environments)
				break
			}
			below[i].text, have = text, have+1
		}
		if have != len(m.environments) {
			continue
		}
		text, err := compiler.Put(now.contract[to].text, taken[0], path...)
		if err != nil {
			continue
		}
		next := now.clone()
		next.contract[to].text, next.below = text, below
		if !stands(next) {
			continue
		}
		now, own.text = next, rest
		up = append(up, strings.Join(path, "."))
	}
	if len(up) == 0 {
		return d, r, p, ds
	}
	was, ok := m.documents(o, d)
	is, still := now.documents(o, d)
	final, bad := inModule(append(slices.Clone(now.contract), own), o, d)
	if !ok || !still || !maps.Equal(was, is) || final == nil || bad.HasErrors() {
		return d, r, p, ds
	}
	proof, unequal := d.Prove(final, d.inMemory(final))
	if unequal.HasErrors() {
		return d, r, p, ds
	}
	r.Proof = proof
	r.Files = slices.Concat(before, changed(m.contract, now.contract), changed(m.below, now.below), []File{own})
	ds.Warnf(plan.CodeImportLeft, nil, "review the changes with git diff", "all environments have the same, so it is now in the contract: %s", strings.Join(up, ", "))
	return d, r, final, ds
}

// asItIs is the environment that is there, if it makes what was read already.
func asItIs(ctx context.Context, observed *observe.Observed, o Options) (*Draft, *Result, *plan.Plan, bool) {
	if o.Source.Kind != "" || o.Source.Name != "" || ctx.Err() != nil {
		return nil, nil, nil, false
	}
	path := "envs/" + o.Environment + "/env.cue"
	text, err := os.ReadFile(filepath.Join(o.Module, filepath.FromSlash(path)))
	p, bad := compiler.Compile(filepath.Join(o.Module, "envs", o.Environment), compiler.Options{Direct: true})
	if err != nil || p == nil || bad.HasErrors() {
		return nil, nil, nil, false
	}
	d := Infer(observed, observe.ObjectName(o.Package), "", nil, p)
	if d.Problems().HasErrors() || d.Diagnostics.HasErrors() || d.added(o.Names) != "" {
		return nil, nil, nil, false
	}
	r := &Result{Files: []File{{Path: path, text: text}}, Missing: d.Missing()}
	proof, bad := d.Prove(p, d.inMemory(p))
	if r.Proof = proof; bad.HasErrors() || slices.ContainsFunc(proof, func(one Proved) bool { return one.Verdict == Added }) {
		return nil, nil, nil, false
	}
	return d, r, p, true
}
