// Package review says in words what differs between two states of an environment,
// by weight: what gives a secret to others comes first. It compares two plans and
// what two trees record, and knows no value.
package review

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// Side is an environment at one time.
type Side struct {
	Plan   *plan.Plan   // nil if it was not there, or is not known
	Record *tree.Record // of its tree; nil if there is none
	// Warnings are those of what is allowed, and read over easily in a review.
	Warnings plan.Diagnostics
	// Path writes an absolute path so that it is the same on both sides.
	Path func(string) string
	// Certificate returns what is in a file, nil if that is no certificate.
	Certificate func(file string) *sealing.Certificate
	// Digest returns the SHA-256 of an encrypted file that is in Git, and nothing if
	// it is not there.
	Digest func(file string) string
	// Policies are the files, by name, of the policies that are in the repository, each
	// with the SHA-256 of what it says.
	Policies map[string]string
}

// Section says how much a change weighs.
type Section string

// The sections, most important first.
const (
	Trust  Section = "trust"  // who gets a value, where values and credentials go, what is demanded of them
	Values Section = "values" // what is sealed
	// Consumers are the workloads that restart where this is deployed.
	Consumers Section = "consumers"
	Other     Section = "other" // what else the contract says
	Noise     Section = "noise" // what means the same as before
)

// Sections are all of them, in order.
var Sections = []Section{Trust, Values, Consumers, Other, Noise}

// Changes are what differs.
type Changes struct {
	Trust     []Change `json:"trust"`
	Values    []Change `json:"values"`
	Consumers []Change `json:"consumers"`
	Other     []Change `json:"other"`
	Noise     []Change `json:"noise"`
	// Notes say what to know of the above: what it rests on, and what tells more.
	Notes []string `json:"notes"`
}

// Of returns the changes of a section.
func (c *Changes) Of(s Section) []Change { return *c.list(s) }

func (c *Changes) list(s Section) *[]Change {
	switch s {
	case Trust:
		return &c.Trust
	case Values:
		return &c.Values
	case Consumers:
		return &c.Consumers
	case Other:
		return &c.Other
	}
	return &c.Noise
}

// Any reports whether there is a change.
func (c *Changes) Any() bool {
	return slices.ContainsFunc(Sections, func(s Section) bool { return len(c.Of(s)) > 0 })
}

// Change is one thing that differs, of one or more things of a kind.
type Change struct {
	Kind     string    `json:"kind"`     // a word for programs, such as certificate
	Of       string    `json:"of"`       // what the subjects are: input, secret, key, source, ...
	Subjects []string  `json:"subjects"` // their names; one that has none is ""
	What     string    `json:"what"`     // in words: certificate, or new
	Old      string    `json:"old,omitempty"`
	New      string    `json:"new,omitempty"`
	Code     plan.Code `json:"code,omitempty"` // of a warning
	// Pos is where the contract says it now, if it does.
	Pos []plan.Pos `json:"positions,omitempty"`

	event bool // What says all, and New is about it
}

// Text says it in a sentence.
func (c Change) Text() string {
	if subject := c.Subject(12); subject != "" {
		return subject + ": " + c.Rest()
	}
	return c.Rest()
}

// Subject names what the change is about. More than limit are counted.
func (c Change) Subject(limit int) string {
	if c.Of == "key" && len(c.Subjects) > 1 {
		return keysOf(c.Subjects, limit)
	}
	of := c.Of
	if len(c.Subjects) > 1 {
		of += "s"
	}
	names := c.Subjects
	if len(names) > limit {
		names = append(slices.Clone(names[:limit-2]), fmt.Sprintf("%d more", len(names)-limit+2))
	}
	return strings.TrimSpace(of + " " + plan.And(names))
}

// Rest is what there is to say of the subjects.
func (c Change) Rest() string {
	switch {
	case c.event && c.New != "" && c.Old != "":
		return c.What + ", " + c.New + "; it was " + c.Old
	case c.event && c.New != "":
		return c.What + ", " + c.New
	case c.event && c.Old != "":
		return c.What + "; it was " + c.Old
	case c.event:
		return c.What
	case c.Old == "":
		return c.What + " is " + quote(c.New) + ", there was none"
	case c.New == "":
		return "no " + c.What + " any more, it was " + quote(c.Old)
	}
	return c.What + " is " + quote(c.New) + ", was " + quote(c.Old)
}

// quote writes a text so that it can't be taken for more of the sentence.
func quote(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("._/:@+=-", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 || isSentence(s) {
		return s
	}
	return strconv.Quote(s)
}

// isSentence reports whether s is one of this package's own.
func isSentence(s string) bool {
	number, days := strings.CutSuffix(s, " days")
	return strings.HasPrefix(s, "SHA-256 ") || s == notThere || days && strings.Trim(number, "0123456789") == ""
}

// How much is shown of a text of a contract, and of what is new, in characters.
const (
	maxShown = 240
	maxTold  = 2000
)

func clip(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}

// Compare returns what leads from old to new.
func Compare(old, new Side) Changes {
	c := &comparison{old: old, new: new}
	switch {
	case old.Plan == nil && new.Plan == nil:
	case old.Plan == nil:
		c.begun()
	case new.Plan == nil:
		c.ended()
	default:
		c.plans()
	}
	c.policies()
	c.planned = len(c.all) > 0 || c.old.Plan == nil || c.new.Plan == nil
	c.warnings()
	c.records()
	return c.result()
}

// policies tells of those by which a change is judged, and that it changes, too.
func (c *comparison) policies() {
	for _, name := range slices.Sorted(maps.Keys(c.new.Policies)) {
		switch old, ok := c.old.Policies[name]; {
		case !ok:
			c.event(Trust, "policy", "policy", name, "new: see what it allows", "", "", nil)
		case old != c.new.Policies[name]:
			c.event(Trust, "policy", "policy", name, "it has changed: it may require less, or allow more", "", "", nil)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.old.Policies)) {
		if _, ok := c.new.Policies[name]; !ok {
			c.event(Trust, "policy", "policy", name, "gone: what it required is no longer required", "", "", nil)
		}
	}
}

// comparison is the state of one call of Compare.
type comparison struct {
	old, new Side
	all      map[Section][]Change
	notes    []string
	planned  bool // the contract says something else than before
	swapped  bool // a certificate is another one, or new
	sealed   bool // something is said that rests on the times of the lock
}

func (c *comparison) add(s Section, change Change) {
	if c.all == nil {
		c.all = map[Section][]Change{}
	}
	limit := maxShown
	if change.event {
		limit = maxTold
	}
	change.Old, change.New = clip(change.Old, limit), clip(change.New, limit)
	// What differs alike is said once.
	i := slices.IndexFunc(c.all[s], func(o Change) bool {
		return o.Kind == change.Kind && o.Of == change.Of && o.What == change.What && o.Old == change.Old && o.New == change.New && o.Code == change.Code && change.Code == ""
	})
	if i >= 0 {
		c.all[s][i].Subjects = append(c.all[s][i].Subjects, change.Subjects...)
		return
	}
	c.all[s] = append(c.all[s], change)
}

// event adds that something happened to a thing.
func (c *comparison) event(s Section, kind, of, subject, what, old, new string, pos []plan.Pos) {
	c.add(s, Change{Kind: kind, Of: of, Subjects: []string{subject}, What: what, Old: old, New: new, Pos: last(pos), event: true})
}

func (c *comparison) result() Changes {
	r := Changes{Trust: []Change{}, Values: []Change{}, Consumers: []Change{}, Other: []Change{}, Noise: []Change{}, Notes: append([]string{}, c.notes...)}
	for _, s := range Sections {
		list := r.list(s)
		*list = append(*list, c.all[s]...)
		slices.SortStableFunc(*list, func(a, b Change) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	}
	if c.swapped {
		r.Notes = append(r.Notes, "`victorgen cert inspect ENV --context NAME` asks the cluster whether a certificate is its own")
	}
	if c.sealed {
		r.Notes = append(r.Notes, "what was sealed again and what has a new value is read from the times in the lock, which diff can't verify: "+
			"`victorgen build ENV --check` proves them where VICTORGEN_LOCK_KEY can be read")
	}
	return r
}

// ranks order the changes of a section; what is not here comes after it.
var ranks = []string{"environment", "policy", "conflict", "edited", "resealed", "delivery", "certificate", "accepted", "controller", "scope", "namespace", "name", "warning", "source", "address", "kind"}

func rank(kind string) int {
	if i := slices.Index(ranks, kind); i >= 0 {
		return i
	}
	return len(ranks)
}

func last(ps []plan.Pos) []plan.Pos { return ps[max(0, len(ps)-1):] }

// warnings adds the warnings that are new.
func (c *comparison) warnings() {
	for _, d := range c.new.Warnings {
		known := slices.ContainsFunc(c.old.Warnings, func(o plan.Diagnostic) bool { return o.Code == d.Code && o.Message == d.Message })
		if plan.ForReview[d.Code] && !known {
			c.add(Trust, Change{Kind: "warning", What: d.Message, Subjects: []string{string(d.Code)}, Of: "warning", Code: d.Code, Pos: last(d.Pos), event: true})
		}
	}
}
