package plan

import (
	"slices"
	"strings"
	"time"
)

// PreviousSuffix ends the name by which a plan knows the previous value of an
// input, JWT_SECRET.previous: what a template writes, and no input can be called.
const PreviousSuffix = ".previous"

// KeepsPrevious is how long the value that another replaces counts; 0 is not at
// all.
func (in Input) KeepsPrevious() time.Duration {
	if in.Generate == nil {
		return 0
	}
	return in.Generate.KeepPrevious
}

// PreviousOf is the input whose previous value in is, empty if it is none.
func (in Input) PreviousOf() string {
	of, ok := strings.CutSuffix(in.Name, PreviousSuffix)
	if !ok {
		return ""
	}
	return of
}

// previous is the previous value of in as an input of its own: one that may be
// absent, as it is before the first rotation and when its time is over.
func (in Input) previous(src Source) Input {
	was := Input{
		Name: in.Name + PreviousSuffix, Class: Optional, Description: "the previous value of " + in.Name,
		Source: in.Source, Remote: in.Remote, Encoding: in.Encoding, Pos: in.Pos,
	}
	kind, _ := KindOf(src.Kind)
	was.Remote.Version = kind.PreviousVersion
	return was
}

// Previous returns the previous values that count for a while, as inputs, sorted
// by name. They are not among p.Inputs, which has what a contract declares.
func (p *Plan) Previous() (all []Input) {
	for _, in := range p.Inputs {
		if in.KeepsPrevious() > 0 {
			src, _ := p.Source(in.Source)
			all = append(all, in.previous(src))
		}
	}
	return all
}

// TakesPrevious reports whether a key is made from the previous value of an input.
func (p *Plan) TakesPrevious(input string) bool {
	return slices.ContainsFunc(p.Secrets, func(s Secret) bool {
		return slices.ContainsFunc(s.Keys, func(k Key) bool { return slices.Contains(k.Inputs(), input+PreviousSuffix) })
	})
}

// What victorgen keeps next to the value of an input stands under a name that no
// input may have: it is a name to all that read dotenv files, too.
const (
	// PreviousPrefix and the name of an input are the value before, and when it was
	// replaced, at a source without versions.
	PreviousPrefix = "VICTORGEN_PREVIOUS_"
	// PendingName says what is pending at a source, how far and since when, and no
	// value: a rotation that tells someone else. PendingValues are the values.
	PendingName   = "VICTORGEN_PENDING"
	PendingValues = PendingName + "_VALUES"
)

// Reserved reports whether name, or its last part, is for what is kept next to an
// input.
func Reserved(name string) bool {
	name = strings.ToUpper(name[strings.LastIndexAny(name, "./")+1:])
	return strings.HasPrefix(name, PreviousPrefix) || IsPending(name)
}

// IsPending reports whether name is for what is said and kept of a rotation that is
// pending.
func IsPending(name string) bool {
	return name == PendingName || strings.HasPrefix(name, PendingName+"_")
}
