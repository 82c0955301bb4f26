package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
)

// became is what became of the value of a key.
type became string

const (
	created  became = "created"
	changed  became = "changed" // what it is made from is another thing
	rotated  became = "rotated" // it has another value
	gone     became = "gone"
	renamed  became = "sealed again under another name: whether the value is the same is not known from the lock"
	sealed   became = "sealed again with the same value"
	resealed became = "sealed again, though nothing that it is sealed for has changed: the value may have changed"
)

// fate is what became of one key.
type fate struct {
	became
	secret, key string
	inputs      []string // that it is made from, and that are not settings with a value
	on          time.Time
	why         string // it was sealed again
}

// records compares what the trees record.
func (c *comparison) records() {
	old, new := c.old.Record, c.new.Record
	switch {
	case old == nil && new == nil:
		if c.new.Plan != nil {
			c.notes = append(c.notes, "there is no tree yet on either side: `victorgen build ENV`")
		}
		return
	case new == nil && c.new.Plan != nil:
		c.notes = append(c.notes, "the tree is gone: everything that was sealed counts as gone; `victorgen build ENV` writes it again")
	case old == nil && c.old.Plan != nil:
		c.notes = append(c.notes, "there was no tree, or no lock in it: everything that is sealed counts as created")
	}
	if old == nil {
		old = &tree.Record{}
	}
	if new == nil {
		new = &tree.Record{}
	}
	c.pins(old, new)
	fates := c.fates(old, new)
	c.told(fates)
	c.restarts(old, new)
	c.presence(old, new)
	c.files(old, new, fates)
}

// restarts tells of the workloads that restart, by the component of the trees.
func (c *comparison) restarts(old, new *tree.Record) {
	for _, name := range slices.Sorted(maps.Keys(union(old.Restarts, new.Restarts))) {
		was, is := old.Restarts[name], new.Restarts[name]
		switch {
		case was == is:
		case was == "":
			c.event(Consumers, "restart", "workload", name, "restarts: what it uses is recorded from now on", "", "", nil)
		case is == "":
			c.event(Consumers, "restart", "workload", name, "restarts: what it uses is no longer recorded", "", "", nil)
		default:
			c.event(Consumers, "restart", "workload", name, "restarts: a value that it uses, or what it uses, has changed", "", "", nil)
		}
	}
}

// pins tells of the certificates that the lock has something sealed for, or lets
// the next build seal for, where the contract does not tell.
func (c *comparison) pins(old, new *tree.Record) {
	for _, sha := range new.Accepted {
		if !slices.Contains(old.Accepted, sha) {
			c.event(Trust, "accepted", "lock", "", "lets the next build seal for another certificate", "", "SHA-256 "+sha, nil)
			c.swapped = true
		}
	}
	if c.new.Plan == nil {
		return
	}
	for _, s := range new.Secrets {
		before := ""
		for _, o := range old.Secrets {
			if o.ID() == s.ID() {
				before = o.Certificate
			}
		}
		i := slices.IndexFunc(c.new.Plan.Secrets, func(p plan.Secret) bool { return p.ID() == s.ID() })
		if i < 0 || before == s.Certificate || s.File == "" {
			continue
		}
		if cert := c.new.Certificate(c.new.Plan.Secrets[i].Delivery.Certificate); cert == nil || cert.SHA256 != s.Certificate {
			c.event(Trust, "edited", "secret", s.ID(), "the lock says that it is sealed for a certificate that is not the contract's", "", pin(new, s.Certificate), nil)
			c.swapped = true
		}
	}
}

// pin says whose a certificate of a lock is.
func pin(r *tree.Record, sha string) string {
	if about := r.Certificates[sha]; about != "" {
		return fmt.Sprintf("SHA-256 %s (%s)", sha, about)
	}
	return "SHA-256 " + sha
}

// fates returns what became of each key.
func (c *comparison) fates(old, new *tree.Record) (all []fate) {
	moved := map[string]string{} // by what it is called now: what a secret was called
	if c.old.Plan != nil && c.new.Plan != nil {
		for _, s := range c.new.Plan.Secrets {
			if was, ok := c.secretBefore(s); ok {
				moved[s.ID()] = was.ID()
			}
		}
	}
	was := map[string]tree.RecordedSecret{}
	for _, s := range old.Secrets {
		was[s.ID()] = s
	}
	for _, s := range new.Secrets {
		before := s.ID()
		if m, ok := moved[before]; ok {
			before = m
		}
		o := was[before]
		delete(was, before)
		all = append(all, c.fatesOf(o, s)...)
		for _, key := range s.Strange {
			if !slices.Contains(o.Strange, key) {
				c.event(Trust, "edited", "key", s.ID()+" "+key, "it was put into "+s.File+" by hand: the lock does not know it", "", "", nil)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		s := was[id]
		all = append(all, c.fatesOf(s, tree.RecordedSecret{Namespace: s.Namespace, Name: s.Name})...)
	}
	return all
}

func (c *comparison) fatesOf(old, new tree.RecordedSecret) (all []fate) {
	for _, name := range slices.Sorted(maps.Keys(union(old.Keys, new.Keys))) {
		o, had := old.Keys[name]
		n, has := new.Keys[name]
		had, has = had && !o.LeftOut, has && !n.LeftOut
		f := fate{secret: new.ID(), key: name, inputs: inputsOf(c.new.Plan, new.ID(), name), on: n.Changed}
		if has && n.Edited && !(had && o.Edited && o.Ciphertext == n.Ciphertext) {
			c.event(Trust, "edited", "key", f.secret+" "+name, "its ciphertext was edited by hand: it is not the one that the lock says", "", "", nil)
		}
		switch {
		case !had && !has:
			continue
		case !had:
			f.became = created
		case !has:
			f.became, f.inputs = gone, inputsOf(c.old.Plan, old.ID(), name)
		case old.ID() != new.ID() || c.renamed():
			f.became = renamed
		case o.Ciphertext == n.Ciphertext && o.Changed.Equal(n.Changed):
			continue
		case o.Ciphertext == n.Ciphertext:
			c.event(Trust, "edited", "key", f.secret+" "+name, "the lock has a different time of its last change, though its ciphertext is the same", "", "", nil)
			continue
		case !o.Changed.Equal(n.Changed) && o.Definition != n.Definition:
			f.became = changed
		case !o.Changed.Equal(n.Changed):
			f.became = rotated
		default:
			f.became, f.why = sealed, why(old, new, o, n)
			if f.why == "" {
				f.became = resealed
			}
		}
		all = append(all, f)
	}
	return all
}

// renamed reports whether the environment has another name, and so another tree.
func (c *comparison) renamed() bool {
	return c.old.Record != nil && c.new.Record != nil && c.old.Record.Environment != c.new.Record.Environment
}

// why says what a key was sealed again for.
func why(old, new tree.RecordedSecret, o, n tree.RecordedKey) string {
	var all []string
	for _, reason := range []struct {
		is   bool
		text string
	}{
		{old.Certificate != new.Certificate, "the certificate"},
		{old.Scope != new.Scope, "the scope"},
		{o.Definition != n.Definition, "what the key is made from"},
		{o.Edited, "its ciphertext, which had been edited by hand"},
	} {
		if reason.is {
			all = append(all, reason.text)
		}
	}
	return plan.And(all)
}

// inputsOf returns the inputs that a key is made from, but for settings that the
// contract has.
func inputsOf(p *plan.Plan, secret, key string) (names []string) {
	if p == nil {
		return nil
	}
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			if s.ID() != secret || k.Name != key {
				continue
			}
			for _, name := range k.Inputs() {
				if in, ok := p.Input(name); !ok || in.Default == nil {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// told adds what became of the keys, by the inputs that they are made from.
func (c *comparison) told(fates []fate) {
	// An input is to blame for what became of a key that is made from it alone.
	blamed := map[string]map[became]bool{}
	same := map[string]bool{} // the inputs of which a key of their own stayed as it was
	for _, f := range fates {
		if len(f.inputs) == 1 {
			if blamed[f.inputs[0]] == nil {
				blamed[f.inputs[0]] = map[became]bool{}
			}
			blamed[f.inputs[0]][f.became] = true
		}
	}
	if p := c.new.Plan; p != nil {
		for _, s := range p.Secrets {
			for _, k := range s.Keys {
				had := slices.ContainsFunc(fates, func(f fate) bool { return f.secret == s.ID() && f.key == k.Name && f.became != sealed })
				if names := inputsOf(p, s.ID(), k.Name); len(names) == 1 && !had {
					same[names[0]] = true
				}
			}
		}
	}
	type group struct {
		became
		of, subject, why string
		keys             []string
		on               time.Time
	}
	var groups []*group
	for _, f := range fates {
		g := group{became: f.became, why: f.why, of: "input", on: f.on}
		switch f.became {
		case sealed, resealed, changed, renamed:
			g.of, g.subject = "", ""
		default:
			guilty := slices.DeleteFunc(slices.Clone(f.inputs), func(name string) bool {
				return same[name] || f.became == rotated && len(f.inputs) > 1 && !blamed[name][rotated]
			})
			if len(guilty) == 0 {
				guilty = slices.DeleteFunc(slices.Clone(f.inputs), func(name string) bool { return same[name] && len(f.inputs) > 1 })
			}
			switch {
			case len(f.inputs) == 0:
				g.of = ""
			case len(guilty) == 1:
				g.subject = guilty[0]
			case len(guilty) == 0:
				g.subject = plan.And(f.inputs)
			case f.became == rotated && blamed[guilty[0]][rotated]:
				g.subject = plan.And(guilty)
			default:
				g.subject = "one of " + plan.And(guilty)
				if f.became == created || f.became == gone {
					g.subject = plan.And(f.inputs)
				}
			}
		}
		i := slices.IndexFunc(groups, func(o *group) bool {
			return o.became == g.became && o.of == g.of && o.subject == g.subject && o.why == g.why && o.on.Equal(g.on)
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, &g)
		}
		groups[i].keys = append(groups[i].keys, f.secret+" "+f.key)
	}
	for _, g := range groups {
		change := Change{Kind: string(g.became), Of: g.of, Subjects: []string{g.subject}, What: string(g.became), New: keysOf(g.keys, 12), event: true}
		section := Values
		switch g.became {
		case sealed:
			section, change.Kind, change.What = Noise, "sealed", "sealed again with the same value, for "+g.why+" changed"
			change.Of, change.Subjects, change.New = "key", g.keys, ""
			c.sealed = true
		case resealed:
			section, change.Kind = Trust, "resealed"
			change.Of, change.Subjects, change.New = "key", g.keys, ""
			c.sealed = true
		case changed, rotated:
			c.sealed = true
			change.What += " on " + g.on.Format(time.DateOnly)
			if g.became == changed {
				change.What += ", with what it is made from"
			}
		case renamed:
			change.Kind = "renamed"
		}
		if change.Of == "" {
			change.Of, change.Subjects, change.New = "key", g.keys, ""
		}
		c.add(section, change)
	}
}

// keysOf lists keys, which are NAMESPACE/NAME KEY, by their secrets. More than limit
// are counted.
func keysOf(keys []string, limit int) string {
	text, before := "keys of ", ""
	for i, key := range keys {
		if i == limit-1 && len(keys) > limit {
			return text + fmt.Sprintf(" and %d more", len(keys)-i)
		}
		secret, name, _ := strings.Cut(key, " ")
		switch {
		case i == 0:
			text += secret + ": "
		case secret != before:
			text += "; " + secret + ": "
		default:
			text += ", "
		}
		text, before = text+name, secret
	}
	return text
}

// presence tells of inputs of which the lock says whether they were there, where no
// key tells: those of external secrets, and generated ones.
func (c *comparison) presence(old, new *tree.Record) {
	if c.new.Plan == nil {
		return
	}
	told := func(name string) bool {
		return slices.ContainsFunc(c.all[Values], func(ch Change) bool { return ch.Of == "input" && slices.Contains(ch.Subjects, name) })
	}
	for _, name := range slices.Sorted(maps.Keys(union(old.Inputs, new.Inputs))) {
		in, ok := c.new.Plan.Input(name)
		if was, is := old.Inputs[name], new.Inputs[name]; was == is || told(name) || !ok && !was {
			continue
		} else if is {
			c.event(Values, "created", "input", name, "created", "", "at source "+in.Source, in.Pos)
		} else {
			c.event(Values, "gone", "input", name, "gone", "", "", in.Pos)
		}
	}
}

// alertsFile is a file of a tree that has the times of values in it.
const alertsFile = "alerts/secrets.yaml"

// files tells of the files of the tree that have changed though nothing of the
// contract or the lock explains it.
func (c *comparison) files(old, new *tree.Record, fates []fate) {
	explained := map[string]bool{alertsFile: len(fates) > 0, tree.RestartFile: len(fates) > 0 || !maps.Equal(old.Restarts, new.Restarts)}
	for _, s := range new.Secrets {
		for _, f := range fates {
			explained[s.File] = explained[s.File] || f.secret == s.ID()
		}
		for _, k := range s.Keys { // of which more is told
			explained[s.File] = explained[s.File] || k.Edited || len(s.Strange) > 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(union(old.Files, new.Files))) {
		o, had := old.Files[name]
		n, has := new.Files[name]
		switch {
		case had == has && o.SHA256 == n.SHA256:
		case has && !n.Listed:
			c.event(Trust, "file", "file", name, "in the tree, but not victorgen's", "", "", nil)
		case !c.planned && !explained[name] && old.Environment != "" && new.Environment != "":
			c.event(Trust, "edited", "file", name,
				"changed, though the contract has not: it was edited by hand, or built by another victorgen; `victorgen build ENV --offline --check` shows whether it is what the contract makes", "", "", nil)
		}
	}
}
