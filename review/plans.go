package review

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// plans compares two plans.
func (c *comparison) plans() {
	old, new := c.old.Plan, c.new.Plan
	environment := environmentFields
	if moved := slices.ContainsFunc(new.Secrets, func(s plan.Secret) bool {
		o, ok := c.secretBefore(s)
		return ok && o.Namespace == old.Namespace && s.Namespace == new.Namespace
	}); moved {
		// Of which each secret tells, below.
		environment = slices.DeleteFunc(slices.Clone(environment), func(f field[*plan.Plan]) bool { return f.kind == "namespace" })
	}
	fields(c, environment, "environment", "", old, new, new.Pos)
	c.sources(old, new)
	c.inputs(old, new)
	c.rules(old, new)
	c.secrets(old, new)
	c.readers(old, new)
	c.alerts(old, new)
	c.argocd(old, new)
	c.workloads(old, new)
}

func (c *comparison) sources(old, new *plan.Plan) {
	for _, s := range new.Sources {
		was, ok := old.Source(s.Name)
		switch {
		case !ok:
			c.event(Trust, "source", "source", s.Name, "new", "", c.new.aboutSource(s), s.Pos)
		case was.Kind != s.Kind:
			c.event(Trust, "kind", "source", s.Name, "another one", c.old.aboutSource(was), c.new.aboutSource(s), s.Pos)
		default:
			fields(c, sourceFields, "source", s.Name, was, s, s.Pos)
			if c.old.external() || c.new.external() {
				fields(c, storeFields, "source", s.Name, was, s, s.Pos)
			}
			c.encrypted(was, s)
		}
	}
	for _, s := range old.Sources {
		if _, ok := new.Source(s.Name); !ok {
			c.event(Other, "source", "source", s.Name, "gone", s.Kind, "", nil)
		}
	}
}

// external reports whether the operator delivers a secret.
func (s *Side) external() bool {
	return s.Plan != nil && slices.ContainsFunc(s.Plan.Secrets, func(t plan.Secret) bool { return t.Delivery.Fetches() })
}

// aboutSource says of a source what it is.
func (s *Side) aboutSource(src plan.Source) string {
	all := sourceFields
	if s.external() {
		all = slices.Concat(sourceFields, storeFields)
	}
	return told(s, all, src)
}

// encrypted compares a file of values that is in Git, encrypted.
func (c *comparison) encrypted(old, new plan.Source) {
	if old.Kind != plan.SOPS || new.Kind != plan.SOPS {
		return
	}
	if was, is := c.old.Digest(old.File), c.new.Digest(new.File); was != is && is != "" {
		c.event(Trust, "encrypted-file", "source", new.Name, "its encrypted file has changed: its values, or who can decrypt them, may have changed", "", "", new.Pos)
	}
}

func (c *comparison) inputs(old, new *plan.Plan) {
	for _, in := range new.Inputs {
		was, ok := old.Input(in.Name)
		if !ok {
			s := Trust // it is read from somewhere
			if in.Default != nil {
				s = Other
			}
			c.event(s, "input", "input", in.Name, "new", "", c.new.aboutInput(in), in.Pos)
			continue
		}
		all := inputFields
		if c.implied(was, in) {
			all = slices.DeleteFunc(slices.Clone(all), func(f field[plan.Input]) bool { return f.kind == "remote" })
		}
		fields(c, all, "input", in.Name, was, in, in.Pos)
		if in.Name == plan.LockKey && c.old.Plan.Seals() && c.new.Plan.Seals() {
			c.lockKey(was, in)
		}
		c.setting(was, in)
		c.generate(was, in)
	}
	for _, in := range old.Inputs {
		if _, ok := new.Input(in.Name); !ok {
			c.event(Other, "input", "input", in.Name, "gone", string(in.Class), "", nil)
		}
	}
}

// lockKey tells of a lock key that is kept at another place: who can read it there
// can test guesses of what is sealed.
func (c *comparison) lockKey(old, new plan.Input) {
	place := func(s *Side, in plan.Input) string {
		src, _ := s.Plan.Source(in.Source)
		return strings.Trim("source "+in.Source+", "+told(s, sourceFields, src)+", "+in.Remote.String(), ", ")
	}
	if was, is := place(&c.old, old), place(&c.new, new); was != is {
		c.add(Trust, Change{Kind: "lock-key", Of: "input", Subjects: []string{new.Name}, What: "kept at another place, where anyone who can read it can test guesses of the sealed values",
			Old: was, New: is, Code: plan.CodeLockKeyMoved, Pos: last(new.Pos), event: true})
	}
}

// implied reports whether an input has the name at its source that follows from its
// own, as before, and another one just because the source, or its prefix, is another.
func (c *comparison) implied(old, new plan.Input) bool {
	was, hadSource := c.old.Plan.Source(old.Source)
	is, hasSource := c.new.Plan.Source(new.Source)
	return hadSource && hasSource && (was.Name != is.Name || was.Kind != is.Kind || was.Prefix != is.Prefix) && ownName(old, was) && ownName(new, is)
}

// ownName reports whether the name of an input at its source follows from its own.
func ownName(in plan.Input, s plan.Source) bool {
	letters := func(name string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, name)
	}
	r := in.Remote
	rest, ok := strings.CutPrefix(r.Name, s.Prefix)
	return r.Name == "" || ok && !strings.Contains(strings.Trim(rest, "/"), "/") && letters(rest) == letters(in.Name) && r.Version == "" && (r.Property == "" || s.Kind == plan.Vault && r.Property == "value")
}

// setting compares what is in Git for a setting.
func (c *comparison) setting(old, new plan.Input) {
	switch was, is := old.Default, new.Default; {
	case was == nil && is == nil, was != nil && is != nil && *was == *is:
	case was == nil:
		c.event(Values, "setting", "input", new.Name, "the contract says its value now", "", quote(*is), new.Pos)
	case is == nil:
		c.event(Trust, "setting", "input", new.Name, "its value is read from source "+new.Source+" now", quote(*was), "", new.Pos)
	default:
		c.add(Values, Change{Kind: "setting", Of: "setting", Subjects: []string{new.Name}, What: "value", Old: *was, New: *is, Pos: last(new.Pos)})
	}
}

// generate compares how an input is generated.
func (c *comparison) generate(old, new plan.Input) {
	var was, is plan.Generate
	var wasChild, isChild plan.Child
	if old.Generate != nil {
		was = *old.Generate
	}
	if new.Generate != nil {
		is = *new.Generate
	}
	if was.Child != nil {
		wasChild = *was.Child
	}
	if is.Child != nil {
		isChild = *is.Child
	}
	switch {
	case old.Generate != nil && new.Generate == nil:
		c.event(Other, "generate", "input", new.Name, "no longer generated", was.Kind, "", new.Pos)
	case old.Generate == nil && new.Generate != nil:
		c.event(Trust, "generate", "input", new.Name, "generated", "", c.new.aboutGenerate(is, isChild), new.Pos)
	case was.Kind != is.Kind:
		c.event(Trust, "generate", "input", new.Name, "generated differently", c.old.aboutGenerate(was, wasChild), c.new.aboutGenerate(is, isChild), new.Pos)
	default:
		fields(c, generateFields, "input", new.Name, was, is, new.Pos)
		fields(c, childFields, "input", new.Name, wasChild, isChild, new.Pos)
	}
}

func (s *Side) aboutGenerate(g plan.Generate, child plan.Child) string {
	parts := []string{told(s, generateFields, g), told(s, childFields, child)}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

// aboutInput says of a new input what it is and where it is read.
func (s *Side) aboutInput(in plan.Input) string {
	parts := []string{string(in.Class)}
	if in.Default != nil {
		return strings.Join(append(parts, "value "+quote(*in.Default)), ", ")
	}
	at := "at source " + in.Source
	if src, ok := s.Plan.Source(in.Source); ok {
		at = "at source " + src.String()
	}
	if in.Remote.Name != "" {
		at = quote(in.Remote.String()) + " " + at
	}
	parts = append(parts, at)
	if from := in.Parents(); len(from) > 0 {
		parts = append(parts, "made from "+plan.And(from))
	}
	return strings.Join(parts, ", ")
}

func (c *comparison) rules(old, new *plan.Plan) {
	was, is := map[string]plan.Rule{}, map[string]plan.Rule{}
	for _, r := range old.Rules {
		was[r.Name] = r
	}
	for _, r := range new.Rules {
		is[r.Name] = r
	}
	about := func(r plan.Rule) string { return fmt.Sprintf("%s of %s", r.Kind, plan.And(r.Inputs)) }
	for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
		o, had := was[name]
		n, has := is[name]
		switch {
		case had && has:
			fields(c, ruleFields, "rule", name, o, n, n.Pos)
		case has:
			c.event(Other, "rule", "rule", name, "new", "", about(n), n.Pos)
		default:
			c.event(Trust, "rule", "rule", name, "gone", about(o), "", nil)
		}
	}
}

// secretBefore returns what a secret of the new plan was in the old one: the one of
// its namespace and name; or one that is not there any more and has its name, or its
// keys.
func (c *comparison) secretBefore(s plan.Secret) (plan.Secret, bool) {
	old, new := c.old.Plan.Secrets, c.new.Plan.Secrets
	has := func(all []plan.Secret, id string) bool {
		return slices.ContainsFunc(all, func(o plan.Secret) bool { return o.ID() == id })
	}
	free := func(of []plan.Secret, in []plan.Secret, fits func(a, b plan.Secret) bool, like plan.Secret) (all []plan.Secret) {
		for _, o := range of {
			if !has(in, o.ID()) && fits(o, like) {
				all = append(all, o)
			}
		}
		return all
	}
	for _, o := range old {
		if o.ID() == s.ID() {
			return o, true
		}
	}
	sameName := func(a, b plan.Secret) bool { return a.Name == b.Name }
	sameKeys := func(a, b plan.Secret) bool {
		return slices.EqualFunc(a.Keys, b.Keys, func(x, y plan.Key) bool { return x.Name == y.Name })
	}
	for _, fits := range []func(a, b plan.Secret) bool{sameName, sameKeys} {
		// One for one, or it is a guess.
		if before := free(old, new, fits, s); len(before) == 1 && len(free(new, old, fits, before[0])) == 1 {
			return before[0], true
		}
	}
	return plan.Secret{}, false
}

func (c *comparison) secrets(old, new *plan.Plan) {
	known := map[string]bool{}
	for _, s := range new.Secrets {
		was, ok := c.secretBefore(s)
		if !ok {
			c.event(Trust, "secret", "secret", s.ID(), "new", "", c.new.aboutSecret(s), s.Pos)
			c.swapped = c.swapped || s.Delivery.Certificate != ""
			continue
		}
		known[was.ID()] = true
		if c.old.aboutCertificate(was) != c.new.aboutCertificate(s) {
			c.swapped = true
		}
		fields(c, fieldsOf(was, s), "secret", s.ID(), was, s, first(s.Delivery.Pos, s.Pos))
		c.tables(Trust, "label", "secret", s.ID(), was.Labels, s.Labels, s.Pos)
		c.tables(Trust, "annotation", "secret", s.ID(), was.Annotations, s.Annotations, s.Pos)
		c.keys(was, s)
	}
	for _, s := range old.Secrets {
		if !known[s.ID()] {
			c.event(Other, "secret", "secret", s.ID(), "gone", s.Type, "", nil)
		}
	}
}

// fieldsOf are the fields of a secret that mean something: if it is delivered
// otherwise, what was said of the delivery before is gone with that.
func fieldsOf(old, new plan.Secret) []field[plan.Secret] {
	if old.Delivery.Kind == new.Delivery.Kind {
		return secretFields
	}
	var leaveOut []string
	if !new.Delivery.Fetches() {
		leaveOut = append(leaveOut, "refresh")
	}
	if !new.Delivery.Seals() {
		leaveOut = append(leaveOut, "certificate", "certificate-file", "scope", "controller")
	}
	return slices.DeleteFunc(slices.Clone(secretFields), func(f field[plan.Secret]) bool { return slices.Contains(leaveOut, f.kind) })
}

// aboutSecret says of a new secret what it is, and what it is made from.
func (s *Side) aboutSecret(secret plan.Secret) string {
	parts := []string{secret.Type, told(s, secretFields, secret, "namespace", "name", "type", "refresh", "certificate-file", "controller")}
	for _, table := range []struct {
		what string
		of   map[string]string
	}{{"label", secret.Labels}, {"annotation", secret.Annotations}} {
		for _, name := range slices.Sorted(maps.Keys(table.of)) {
			parts = append(parts, table.what+" "+name+" "+quote(table.of[name]))
		}
	}
	var keys []string
	for _, k := range secret.Keys {
		keys = append(keys, k.Name+" ("+madeFrom(k)+")")
	}
	return strings.Join(append(parts, "keys "+plan.And(keys)), ", ")
}

// madeFrom says what a key is made from.
func madeFrom(k plan.Key) string {
	switch {
	case k.Value != nil:
		return "the literal " + quote(clip(*k.Value, maxShown))
	case k.Template != nil && len(k.Inputs()) > 0:
		return "a template of " + plan.And(k.Inputs())
	case k.Template != nil:
		return "a template"
	}
	return "input " + k.Input
}

// first returns the positions that there are.
func first(all ...[]plan.Pos) []plan.Pos {
	for _, ps := range all {
		if len(ps) > 0 {
			return ps
		}
	}
	return nil
}

func (c *comparison) keys(old, new plan.Secret) {
	was, is := map[string]plan.Key{}, map[string]plan.Key{}
	for _, k := range old.Keys {
		was[k.Name] = k
	}
	for _, k := range new.Keys {
		is[k.Name] = k
	}
	for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
		o, had := was[name]
		n, has := is[name]
		subject := new.ID() + " " + name
		switch {
		case !has:
			c.event(Other, "key", "key", subject, "gone", "made from "+madeFrom(o), "", nil)
		case !had:
			c.event(Trust, "key", "key", subject, "new", "", "made from "+madeFrom(n), n.Pos)
		default:
			c.key(subject, o, n)
		}
	}
}

func (c *comparison) key(subject string, old, new plan.Key) {
	if old.By() != new.By() || old.Input != new.Input {
		c.event(Trust, "key", "key", subject, "made from "+madeFrom(new), madeFrom(old), "", new.Pos)
		return
	}
	if old.Value != nil && *old.Value != *new.Value {
		c.add(Values, Change{Kind: "literal", Of: "key", Subjects: []string{subject}, What: "literal", Old: *old.Value, New: *new.Value, Pos: last(new.Pos)})
	}
	if old.Template == nil || old.Template.Text == new.Template.Text {
		return
	}
	var more []string
	for _, name := range new.Template.Inputs {
		if !slices.Contains(old.Template.Inputs, name) {
			more = append(more, name)
		}
	}
	if len(more) > 0 {
		c.event(Trust, "template-input", "key", subject, "its template takes in "+plan.And(more)+" now", "", "", new.Pos)
	}
	// Where a template puts a secret may be where it goes: the host of a URL.
	c.add(Trust, Change{Kind: "template", Of: "key", Subjects: []string{subject}, What: "template", Old: old.Template.Text, New: new.Template.Text, Pos: last(new.Pos)})
}

func aboutReader(r plan.Reader) string {
	if r.Namespace != "" {
		return fmt.Sprintf("%s %s of namespace %s", r.Kind, r.Name, r.Namespace)
	}
	return r.Kind + " " + r.Name
}

func (c *comparison) readers(old, new *plan.Plan) {
	for _, r := range new.Readers {
		if !slices.Contains(old.Readers, r) {
			c.event(Trust, "reader", "reader", aboutReader(r), "new: may get the secrets from the cluster", "", "", new.Pos)
		}
	}
	for _, r := range old.Readers {
		if !slices.Contains(new.Readers, r) {
			c.event(Other, "reader", "reader", aboutReader(r), "gone", "", "", nil)
		}
	}
}

func (c *comparison) alerts(old, new *plan.Plan) {
	var was, is plan.Alerts
	if old.Alerts != nil {
		was = *old.Alerts
	}
	if new.Alerts != nil {
		is = *new.Alerts
	}
	switch {
	case old.Alerts != nil && new.Alerts == nil:
		c.event(Trust, "alert", "alerts", "", "all turned off", "", "", new.Pos)
		return
	case old.Alerts == nil && new.Alerts != nil:
		c.event(Other, "alert", "alerts", "", "turned on", "", "", new.Pos)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(union(was.Rules, is.Rules))) {
		o, had := was.Rules[name]
		n, has := is.Rules[name]
		switch {
		case had && has:
			fields(c, alertFields, "alert", name, o, n, new.Pos)
		case has:
			c.event(Other, "alert", "alert", name, "turned on", "", "", new.Pos)
		default:
			c.event(Trust, "alert", "alert", name, "turned off", "", "", new.Pos)
		}
	}
	if old.Alerts != nil && new.Alerts != nil {
		fields(c, alertsFields, "alerts", "", was, is, new.Pos)
		c.tables(Other, "label", "alerts", "", was.Labels, is.Labels, new.Pos)
		c.tables(Trust, "alert-label", "alerts", "", was.AlertLabels, is.AlertLabels, new.Pos)
	}
}

func (c *comparison) argocd(old, new *plan.Plan) {
	switch was, is := old.ArgoCD, new.ArgoCD; {
	case was != nil && is != nil:
		fields(c, argocdFields, "Application", "", *was, *is, new.Pos)
	case is != nil:
		c.event(Trust, "argocd", "Application", is.Name, "new", "", told(&c.new, argocdFields, *is), new.Pos)
	case was != nil:
		c.event(Other, "argocd", "Application", was.Name, "gone", "", "", nil)
	}
}

func (c *comparison) workloads(old, new *plan.Plan) {
	var was, is plan.Workloads
	if old.Workloads != nil {
		was = *old.Workloads
	}
	if new.Workloads != nil {
		is = *new.Workloads
	}
	before := map[string]bool{}
	for _, path := range was.Paths {
		before[c.old.Path(path)] = true
	}
	for _, path := range is.Paths {
		if path = c.new.Path(path); !filepath.IsLocal(path) && !before[path] {
			c.event(Trust, "workloads", "workloads", "", "manifests outside of the module", "", path, is.Pos)
		}
	}
	fields(c, workloadsFields, "workloads", "", was, is, is.Pos)
}

// begun tells of an environment that is new: all that a reviewer has to know of it.
func (c *comparison) begun() {
	p := c.new.Plan
	c.event(Trust, "environment", "environment", "", "new", "", "namespace "+p.Namespace, p.Pos)
	for _, s := range p.Sources {
		c.event(Trust, "source", "source", s.Name, "new", "", c.new.aboutSource(s), s.Pos)
	}
	for _, s := range p.Secrets {
		c.event(Trust, "secret", "secret", s.ID(), "new", "", c.new.aboutSecret(s), s.Pos)
		c.swapped = c.swapped || s.Delivery.Certificate != ""
	}
	c.readers(&plan.Plan{}, p)
	c.argocd(&plan.Plan{}, p)
	for _, in := range p.Inputs {
		s := Other // the keys that are made from it are told
		if in.Default != nil {
			s = Noise
		}
		c.event(s, "input", "input", in.Name, "new", "", c.new.aboutInput(in), in.Pos)
	}
}

// ended tells of an environment that is gone.
func (c *comparison) ended() {
	p := c.old.Plan
	c.event(Trust, "environment", "environment", "", "gone", "namespace "+p.Namespace, "", nil)
	for _, s := range p.Secrets {
		c.event(Other, "secret", "secret", s.ID(), "gone", s.Type, "", nil)
	}
}
