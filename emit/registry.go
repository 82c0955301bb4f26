package emit

import (
	"os"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// registry is what the new lock says of inputs.
func (e *emission) registry(version int) map[string]tree.LockedInput {
	known := e.presence()
	e.registerPrevious(known)
	if version == 1 {
		return known
	}
	for _, in := range e.plan.Inputs {
		_, noted := known[in.Name]
		if noted || in.Class != plan.Generated && !in.MayBeAbsent() || in.Generate != nil && in.Generate.InCluster {
			continue
		}
		entry, had := e.oldLock.Inputs[in.Name]
		switch r := e.values[in.Name]; {
		case r.State == value.Present:
			entry = tree.LockedInput{Place: e.oldLock.OwnPlace(in.Name, e.plan), Present: true}
		case in.MayBeAbsent() && (r.State == value.Absent || !had):
			continue // it has none, or no one has said
		case !had && !e.oldLock.Knows(in, e.plan):
			continue
		default:
			entry.Present = true
		}
		entry.Family = e.family(in)
		known[in.Name] = entry
	}
	return known
}

// version is that of the new lock. One of version 1 stays what it is as long as
// its entries cannot be stamped, so that a build without values changes nothing.
func (e *emission) version() int {
	if _, known := e.lockKey(); e.oldLock.Version == 1 && e.plan.Seals() && !known {
		return 1
	}
	if e.oldLock.Version == 1 && !e.plan.Seals() && len(e.unreadInputs()) > 0 {
		return 1
	}
	return tree.LockVersion
}

// unreadInputs are those of which nothing could be found out.
func (e *emission) unreadInputs() (names []string) {
	for _, in := range e.plan.Inputs {
		if in.Default == nil && in.Name != plan.LockKey && e.values[in.Name].State == value.Unreadable {
			names = append(names, in.Name)
		}
	}
	return names
}

// CheckLock says what the lock of the tree in dir shows of a contract before a
// build: that the lock key has another place, or that the certificate is not the
// one that the tree is sealed for. It reads no values. A lock that
// cannot be read is the business of a build. accepted are the fingerprints of
// certificates that a policy vouches for.
func CheckLock(p *plan.Plan, dir string, accepted []string) plan.Diagnostics {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	l, _ := tree.ReadLock(root)
	if l == nil || l.Environment != p.Environment {
		return nil
	}
	certificates, _, _ := sealing.Certificates(p, time.Now())
	return append(l.CheckPlace(p), sealing.CheckPins(l, p, certificates, accepted)...)
}

// family is the tag of in for the new lock: none if there is nothing that is slow
// to check, or nothing to check it with. Resolution has checked it.
func (e *emission) family(in plan.Input) string {
	parents := in.Parents()
	if len(parents) == 0 {
		return ""
	}
	if _, slow := derive.Kinds(in.Generate.Kind); !slow {
		return ""
	}
	lockKey, _ := e.lockKey()
	child := e.values[in.Name]
	if lockKey == nil || child.Value.Len() == 0 {
		return e.oldLock.Inputs[in.Name].Family
	}
	values := map[string]value.Value{}
	for _, name := range parents {
		if values[name] = e.values[name].Value; values[name].Len() == 0 {
			return e.oldLock.Inputs[in.Name].Family
		}
	}
	return tree.FamilyTag(lockKey, in, child.Value, values)
}
