package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Known is a lock that knows a value of an input.
type Known struct {
	File        string // the lock
	Environment string // whose it is, if that is one that there is no more
}

// KnownInputs tells of which of inputs a lock knows that they have a value, and
// which one: absent now is not the same as never there. trees are the directories
// where the tree of p may be. A tree next to them counts where it has taken a
// generated input from the same place; or, where p has no tree yet, if its
// environment is gone: p may be what that is called now. gone is asked only of one
// that knows something. others are what the plans of a run have read already. The
// diagnostics have the code [plan.CodeLockRead].
func KnownInputs(p *plan.Plan, inputs []plan.Input, gone func(environment string) bool, others *Locks, trees ...string) (map[string]Known, plan.Diagnostics) {
	var ds plan.Diagnostics
	known := map[string]Known{}
	first := true // p has no tree
	seen := map[string]bool{}
	traces := make([]trace, len(inputs))
	for i, files := 0, FileNames(p); i < len(inputs); i++ {
		traces[i] = traceOf(inputs[i], p, files)
	}
	look := func(dir string, own bool) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		of := others
		if own {
			of = nil
		}
		m, problems := of.of(dir)
		ds = append(ds, problems...)
		if m == nil {
			return
		}
		own = own && m.environment == p.Environment
		first = first && !own
		stranger := sync.OnceValue(func() bool { return gone(m.environment) })
		may := first && m.environment != p.Environment // be one
		for i, in := range inputs {
			switch {
			case known[in.Name] != Known{}:
			case own && m.knows(traces[i], p), in.Class == plan.Generated && m.hasFrom(traces[i]):
				known[in.Name] = Known{File: filepath.Join(dir, LockFile)}
			case may && in.Name != plan.LockKey && m.knows(traces[i], p): // a new tree may well have a new lock key
				if may = stranger(); may {
					known[in.Name] = Known{File: filepath.Join(dir, LockFile), Environment: m.environment}
				}
			}
		}
	}
	for _, dir := range trees {
		look(dir, true)
	}
	// Of other environments nothing is asked but of what is generated, or of a tree
	// that is new: there may be a thousand of them.
	if !first && !slices.ContainsFunc(inputs, func(in plan.Input) bool { return in.Class == plan.Generated && known[in.Name] == Known{} }) {
		return known, ds
	}
	for _, dir := range trees {
		entries, _ := os.ReadDir(filepath.Dir(dir))
		for _, e := range entries {
			if e.IsDir() && !strings.HasSuffix(e.Name(), stageSuffix) { // a stage is no tree yet, or no longer
				look(filepath.Join(filepath.Dir(dir), e.Name()), false)
			}
		}
	}
	return known, ds
}

// Locks keep what a run has read of the locks of others, of which each of a thousand new
// environments would read a thousand. What the run itself writes meanwhile does not
// matter: what it generates is there, and no one asks a lock for it. The zero value is
// for use; a nil one keeps nothing.
type Locks struct {
	byDir sync.Map // *memory
}

// of returns what the lock of the tree in dir knows; nil if there is none.
func (ls *Locks) of(dir string) (*memory, plan.Diagnostics) {
	if ls != nil {
		if m, ok := ls.byDir.Load(dir); ok {
			return m.(*memory), nil
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil // there is none
	}
	defer root.Close()
	l, ds := ReadLock(root)
	if l == nil {
		return nil, ds
	}
	m := l.memory()
	if ls != nil && len(ds) == 0 {
		ls.byDir.Store(dir, m)
	}
	return m, ds
}

// memory is what a lock is asked of inputs: each of a thousand environments may be asked
// of those of all others. Texts that the locks of other environments have, too, are in
// memory once.
type memory struct {
	version     int
	environment string
	inputs      map[string]string  // the places of those that had a value
	had         map[string]bool    // the definitions of the keys that are sealed
	sealed      map[[3]string]bool // these, by namespace, secret and key
	tagged      bool
	files       []string
}

func (l *Lock) memory() *memory {
	once := func(s string) string { return unique.Make(s).Value() }
	m := &memory{
		version: l.Version, environment: once(l.Environment),
		inputs: map[string]string{}, had: map[string]bool{}, sealed: map[[3]string]bool{},
	}
	for name, in := range l.Inputs {
		if in.Present {
			m.inputs[once(name)] = once(in.Place)
		}
	}
	if l.Version == 1 { // of which alone they are asked
		m.files = l.Files
	}
	for _, s := range l.Secrets {
		for name, k := range s.Keys {
			if !k.Omitted {
				m.had[once(k.Definition)] = true
				m.sealed[[3]string{once(s.Namespace), once(s.Name), once(name)}] = true
				m.tagged = m.tagged || k.Tag != ""
			}
		}
	}
	return m
}

// trace is what a lock has of an input that had a value.
type trace struct {
	in          plan.Input
	place       string
	definitions []string    // of the keys that are made from it
	keys        [][3]string // these, by namespace, secret and key
	files       []string    // in which they are fetched
}

// traceOf returns the trace of in in the locks of p, whose secrets are in files.
func traceOf(in plan.Input, p *plan.Plan, files []string) trace {
	t := trace{in: in, place: PlaceOf(in, p), definitions: []string{Definition(plan.Key{Input: in.Name}, p)}}
	for i, s := range p.Secrets {
		for _, k := range s.Keys {
			if !slices.Contains(k.Inputs(), in.Name) || in.MayBeAbsent() && k.Template != nil {
				continue // a template may have been sealed without what may be absent
			}
			t.definitions = append(t.definitions, Definition(k, p))
			t.keys = append(t.keys, [3]string{s.Namespace, s.Name, k.Name})
			if s.Delivery.Fetches() && !in.MayBeAbsent() {
				t.files = append(t.files, files[i])
			}
		}
	}
	return t
}

// hasFrom reports whether the lock has a value of an input from the place where it is.
func (m *memory) hasFrom(t trace) bool {
	had, ok := m.inputs[t.in.Name]
	return ok && t.place != "" && had == t.place
}

// knows is [Lock.Knows].
func (m *memory) knows(t trace, p *plan.Plan) bool {
	if _, ok := m.inputs[t.in.Name]; ok {
		return true
	}
	if t.in.Name == plan.LockKey {
		return m.tagged
	}
	if slices.ContainsFunc(t.definitions, func(d string) bool { return m.had[d] }) {
		return true
	}
	if slices.ContainsFunc(t.keys, func(k [3]string) bool { return m.sealed[k] }) && (m.version == 1 || m.renamed(p)) {
		return true // version 1 does not say what the key was made from
	}
	return m.version == 1 && slices.ContainsFunc(t.files, func(f string) bool { return slices.Contains(m.files, f) })
}

// renamed reports whether some input that had a value is gone from the contract.
func (m *memory) renamed(p *plan.Plan) bool {
	for name := range m.inputs {
		if _, ok := p.Input(name); !ok && !strings.HasSuffix(name, plan.PreviousSuffix) {
			return true
		}
	}
	return false
}

// Knows reports whether the lock of p knows that in had a value: by its name, or
// because something is sealed that is made from it. Names of keys and secrets may
// have changed since, and so may that of an input.
func (l *Lock) Knows(in plan.Input, p *plan.Plan) bool {
	return l.memory().knows(traceOf(in, p, FileNames(p)), p)
}

// OwnPlace is where the contract has an input, whatever stands in for that place
// in this run: what the lock says already, as long as that is the same place.
func (l *Lock) OwnPlace(name string, p *plan.Plan) string {
	if p.Own != nil {
		p = p.Own
	}
	in, ok := p.Input(name)
	if !ok {
		return ""
	}
	if had := l.Inputs[name].Place; had != "" && SamePlace(had, in, p) {
		return had
	}
	return PlaceOf(in, p)
}

// clockSkew is how far the clocks of two machines may be apart: more than any
// that asks for the time, and nothing next to a maxAge.
const clockSkew = time.Hour

// CheckTimes says which times of the lock are yet to come.
func (l *Lock) CheckTimes(now time.Time) plan.Diagnostics {
	var ds plan.Diagnostics
	for name, in := range l.Inputs {
		if in.Replaced.After(now.Add(clockSkew)) {
			ds.Errorf(plan.CodeLockTimes, nil, "restore "+LockFile+" from Git, and check the clock of this machine",
				"%s: the time at which %s was replaced is in the future: %s", LockFile, name, in.Replaced.UTC().Format(time.RFC3339))
		}
	}
	for _, s := range l.Secrets {
		for name, k := range s.Keys {
			for _, at := range []time.Time{k.Sealed, k.Changed} {
				if at.After(now.Add(clockSkew)) {
					ds.Errorf(plan.CodeLockTimes, nil, "restore "+LockFile+" from Git, and check the clock of this machine",
						"%s: a time of key %q of secret %s is in the future: %s", LockFile, name, SecretID{s.Namespace, s.Name}, at.UTC().Format(time.RFC3339))
					break
				}
			}
		}
	}
	ds.Sort()
	return ds
}

// StampsFail reports whether the lock has stamps and none is of this lock key:
// it was made with another.
func (l *Lock) StampsFail(lockKey []byte) bool {
	if l.Version < 2 {
		return false
	}
	stamps := 0
	for _, s := range l.Secrets {
		for name, k := range s.Keys {
			if k.Stamp == "" {
				continue
			}
			if stamps++; VerifyStamp(lockKey, s, name, k) {
				return false
			}
		}
	}
	return stamps > 0
}

// CheckPlace warns of a lock key that has another place than when the lock was made.
func (l *Lock) CheckPlace(p *plan.Plan) plan.Diagnostics {
	var ds plan.Diagnostics
	if p.Own != nil {
		p = p.Own
	}
	in, ok := p.Input(plan.LockKey)
	had := l.Inputs[plan.LockKey]
	if ok && had.Place != "" && PlaceOf(in, p) != "" && !SamePlace(had.Place, in, p) {
		src, _ := p.Source(in.Source)
		ds.Warnf(plan.CodeLockKeyMoved, src.Pos, "make sure that everyone who can read that source may know the values; then copy the key there and build",
			"%s is not where the tree was built with it: now it is at source %s, and anyone who has it can test guesses of the sealed values", plan.LockKey, src)
	}
	return ds
}

// Confirmer returns what tells whether content is what a key of the tree in dir
// was sealed from: confirmed, or, where that is known for certain, differs. Without
// a lock, a lock key or a tag nothing is known.
func Confirmer(p *plan.Plan, dir string, lockKey value.Value) (func(namespace, name, key string, content value.Value) (confirmed, differs bool), plan.Diagnostics) {
	unknown := func(string, string, string, value.Value) (bool, bool) { return false, false }
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unknown, nil
	}
	defer root.Close()
	l, ds := ReadLock(root)
	if l == nil || l.Environment != p.Environment || lockKey.Len() == 0 || l.StampsFail(lockKey.Reveal()) {
		return unknown, ds
	}
	return func(namespace, name, key string, content value.Value) (bool, bool) {
		for _, s := range l.Secrets {
			if k, ok := s.Keys[key]; ok && s.Namespace == namespace && s.Name == name && k.Tag != "" {
				same := VerifyTag(lockKey.Reveal(), s, key, k, content.Reveal())
				return same, !same
			}
		}
		return false, false
	}, ds
}
