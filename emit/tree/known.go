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
	look := func(dir string, own bool) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		of := others
		if own {
			of = nil
		}
		l, problems := of.of(dir)
		ds = append(ds, problems...)
		if l == nil {
			return
		}
		own = own && l.Environment == p.Environment
		first = first && !own
		stranger := sync.OnceValue(func() bool { return l.Environment != p.Environment && gone(l.Environment) })
		for _, in := range inputs {
			switch k := (Known{File: filepath.Join(dir, LockFile)}); {
			case known[in.Name] != Known{}:
			case own && l.Knows(in, p), in.Class == plan.Generated && l.hasFrom(in, p):
				known[in.Name] = k
			case first && in.Name != plan.LockKey && l.Knows(in, p) && stranger(): // a new tree may well have a new lock key
				k.Environment = l.Environment
				known[in.Name] = k
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
	byDir sync.Map // *Lock, with as much as KnownInputs asks
}

// of returns the lock of the tree in dir; nil if there is none.
func (ls *Locks) of(dir string) (*Lock, plan.Diagnostics) {
	if ls != nil {
		if l, ok := ls.byDir.Load(dir); ok {
			return l.(*Lock), nil
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil // there is none
	}
	defer root.Close()
	l, ds := ReadLock(root)
	if ls != nil && l != nil && len(ds) == 0 {
		ls.byDir.Store(dir, l.bare())
	}
	return l, ds
}

// bare is what of the lock [Lock.Knows] and [Lock.hasFrom] ask, with texts that the
// locks of other environments have, too, in memory once.
func (l *Lock) bare() *Lock {
	once := func(s string) string { return unique.Make(s).Value() }
	bare := &Lock{Version: l.Version, Environment: once(l.Environment), Inputs: map[string]LockedInput{}}
	for name, in := range l.Inputs {
		bare.Inputs[once(name)] = LockedInput{Place: once(in.Place), Present: in.Present}
	}
	for _, file := range l.Files {
		bare.Files = append(bare.Files, once(file))
	}
	for _, s := range l.Secrets {
		keys := map[string]LockedKey{}
		for name, k := range s.Keys {
			key := LockedKey{Definition: once(k.Definition), Omitted: k.Omitted}
			if k.Tag != "" {
				key.Tag = "some"
			}
			keys[once(name)] = key
		}
		bare.Secrets = append(bare.Secrets, LockedSecret{Namespace: once(s.Namespace), Name: once(s.Name), Keys: keys})
	}
	return bare
}

// hasFrom reports whether the lock has a value of in from the place where p has it.
func (l *Lock) hasFrom(in plan.Input, p *plan.Plan) bool {
	had, ok := l.Inputs[in.Name]
	place := PlaceOf(in, p)
	return ok && had.Present && place != "" && had.Place == place
}

// Knows reports whether the lock of p knows that in had a value: by its name, or
// because something is sealed that is made from it. Names of keys and secrets may
// have changed since, and so may that of an input.
func (l *Lock) Knows(in plan.Input, p *plan.Plan) bool {
	if l.Inputs[in.Name].Present {
		return true
	}
	had := map[string]bool{}        // definitions
	keys := map[[3]string]string{}  // definition, by namespace, secret and key
	tagged, renamed := false, false // some input that had a value is gone from the contract
	for _, s := range l.Secrets {
		for name, k := range s.Keys {
			if !k.Omitted {
				had[k.Definition] = true
				keys[[3]string{s.Namespace, s.Name, name}] = k.Definition
				tagged = tagged || k.Tag != ""
			}
		}
	}
	for name, input := range l.Inputs {
		if _, ok := p.Input(name); input.Present && !ok && !strings.HasSuffix(name, plan.PreviousSuffix) {
			renamed = true
		}
	}
	if in.Name == plan.LockKey {
		return tagged
	}
	if had[Definition(plan.Key{Input: in.Name}, p)] {
		return true
	}
	files := FileNames(p)
	for i, s := range p.Secrets {
		for _, k := range s.Keys {
			if !slices.Contains(k.Inputs(), in.Name) || in.MayBeAbsent() && k.Template != nil {
				continue // a template may have been sealed without what may be absent
			}
			_, sealed := keys[[3]string{s.Namespace, s.Name, k.Name}]
			switch {
			case had[Definition(k, p)]:
				return true
			case sealed && (renamed || l.Version == 1): // version 1 does not say what the key was made from
				return true
			case l.Version == 1 && !in.MayBeAbsent() && s.Delivery.Fetches() && slices.Contains(l.Files, files[i]):
				return true
			}
		}
	}
	return false
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
