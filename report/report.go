// Package report tells what there is to know of environments without a value: which
// inputs each needs, where they come from, who consumes them, how old they are, when they
// are due, and what is wrong. Plans, locks, consumers and findings come in; out comes one
// document, as JSON, as a page of HTML, or, of the contract alone, as Markdown.
//
// No value goes in: not that of a secret, and neither the default of a setting nor a
// literal of a key.
package report

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
)

// Version is that of the form of a [Report], which docs/schemas/report.schema.json
// describes.
const Version = 1

// Report is what there is to tell of environments.
type Report struct {
	Version      int                  `json:"version"`
	Made         time.Time            `json:"made"`   // ages are those at this time
	Judges       []string             `json:"judges"` // the verbs whose findings are told
	Environments []*Environment       `json:"environments"`
	Codes        map[plan.Code]string `json:"codes"` // what there is to know of the codes of the findings
}

// Environment is one environment of a [Report].
type Environment struct {
	Environment string                `json:"environment"`
	Directory   string                `json:"directory"` // in its module
	OK          bool                  `json:"ok"`        // no finding is an error
	Known       bool                  `json:"known"`     // false if nothing but the findings is: it does not compile, or is against a policy
	PartOf      string                `json:"partOf"`
	Namespace   string                `json:"namespace"`
	Built       bool                  `json:"built"`             // its tree has a lock
	Cluster     string                `json:"cluster,omitempty"` // that was judged
	Sources     []Source              `json:"sources"`
	Inputs      []Input               `json:"inputs"` // sorted by name
	Rules       []Rule                `json:"rules"`
	Secrets     []Secret              `json:"secrets"`   // sorted by namespace, then name
	Consumers   []Consumer            `json:"consumers"` // null if no manifests are named
	Readers     []plan.ReaderDocument `json:"readers"`
	Dates       []Date                `json:"dates"` // sorted
	Findings    []Finding             `json:"findings"`

	module string
	told   map[told]bool
}

// told is what makes two findings one.
type told struct {
	code    plan.Code
	message string
	at      plan.Pos
}

// Source is where inputs live.
type Source struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Place string `json:"place,omitempty"` // a file, a directory, a region, an address: what tells it from others of its kind
}

// The states of an input.
const (
	Present    = "present"
	Absent     = "absent"
	Unreadable = "unreadable"
	Unknown    = "unknown"  // neither a lock nor the contract tells
	Contract   = "contract" // of a setting: the contract has the value
)

// Input is an input of an [Environment].
type Input struct {
	Name    string     `json:"name"`
	Class   plan.Class `json:"class"`
	Source  string     `json:"source,omitempty"` // its name; none of a setting that the contract has the value of
	Remote  string     `json:"remote,omitempty"` // its name there, if the source has names of its own
	State   string     `json:"state"`
	Changed *time.Time `json:"changed,omitempty"` // when its value last changed, as far as that is known
	// Variant of a setting that the contract has the value of is the same number in all
	// environments of the report that have the same value.
	Variant     int          `json:"variant,omitempty"`
	Declaration *Declaration `json:"declaration"`

	value                         *string
	maxAge, rotateAfter, lifetime time.Duration
	expires                       time.Time
}

// Declaration is what a contract says of an input.
type Declaration struct {
	Description  string   `json:"description,omitempty"`
	Docs         string   `json:"docs,omitempty"` // the URL of a page that tells how to get one
	Owner        string   `json:"owner,omitempty"`
	Deprecated   string   `json:"deprecated,omitempty"`
	MustBe       string   `json:"mustBe,omitempty"`
	Generated    string   `json:"generated,omitempty"`
	MadeFrom     []string `json:"madeFrom,omitempty"`
	MaxAge       string   `json:"maxAge,omitempty"`
	RotateAfter  string   `json:"rotateAfter,omitempty"`
	KeepPrevious string   `json:"keepPrevious,omitempty"`
	NeverRotate  bool     `json:"neverRotate,omitempty"`
	Expires      string   `json:"expires,omitempty"` // a day
}

// Rule is a demand on several inputs together.
type Rule struct {
	Name        string        `json:"name"`
	Kind        plan.RuleKind `json:"kind"`
	Description string        `json:"description,omitempty"`
	Inputs      []string      `json:"inputs"`
}

// Secret is a Kubernetes Secret of an [Environment].
type Secret struct {
	Namespace   string          `json:"namespace"`
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Delivery    string          `json:"delivery"`
	Certificate string          `json:"certificate,omitempty"` // the file of what it is sealed for, in the module
	Verdict     cluster.Verdict `json:"verdict,omitempty"`     // of verify, if it has judged a cluster
	Keys        []Key           `json:"keys"`                  // sorted by name
}

// Key is a key of a [Secret].
type Key struct {
	Name    string     `json:"name"`
	By      string     `json:"by"`               // what it is made from: input, template or value
	Inputs  []string   `json:"inputs,omitempty"` // with the suffix .previous for the value before
	State   string     `json:"state"`
	Changed *time.Time `json:"changed,omitempty"`
}

// Consumer is a workload, or another object, that asks for secrets.
type Consumer struct {
	Object    string `json:"object"`              // Deployment api
	Namespace string `json:"namespace,omitempty"` // if its manifest says one; else it is that of the environment
	Uses      []Use  `json:"uses"`
}

// Use is a place in a consumer that asks for a secret in its namespace.
type Use struct {
	Secret   string       `json:"secret"`
	Key      string       `json:"key,omitempty"` // none is all keys
	How      workload.Use `json:"how"`
	Where    string       `json:"where,omitempty"`
	Optional bool         `json:"optional,omitempty"`
	Position plan.Pos     `json:"position"`
}

// The kinds of date.
const (
	RotationDue     = "rotation due"     // of an input, by its maxAge
	RotationBegins  = "rotation begins"  // victorgen rotate --due makes a new value from then, by rotateAfter
	Expires         = "expires"          // of an input, according to the contract
	Ends            = "ends"             // of a token or a certificate that was generated
	CertificateEnds = "certificate ends" // of a sealing certificate
	PreviousEnds    = "previous is over" // of the value before, by keepPrevious
)

// Date is a day on which something is due.
type Date struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Of   string    `json:"of"` // an input, or the file of a certificate
}

// Finding is what a verb has found.
type Finding struct {
	By        string        `json:"by"`
	Code      plan.Code     `json:"code"`
	Severity  plan.Severity `json:"severity"`
	Message   string        `json:"message"`
	Hint      string        `json:"hint,omitempty"`
	Positions []plan.Pos    `json:"positions,omitempty"` // files in the module as it has them
}

// New makes a report of environments as they are at the time made.
func New(made time.Time, judges []string, es []*Environment) *Report {
	r := &Report{Version: Version, Made: made.UTC().Truncate(time.Second), Judges: judges, Environments: es, Codes: map[plan.Code]string{}}
	variants := map[string]map[string]int{}
	for _, e := range es {
		e.OK = true
		for _, f := range e.Findings {
			e.OK = e.OK && f.Severity != plan.Error
			if text, ok := plan.Explain(f.Code); ok {
				r.Codes[f.Code] = text
			}
		}
		for i := range e.Inputs {
			in := &e.Inputs[i]
			if in.value != nil {
				if variants[in.Name] == nil {
					variants[in.Name] = map[string]int{}
				}
				n, ok := variants[in.Name][*in.value]
				if !ok {
					n = len(variants[in.Name]) + 1
					variants[in.Name][*in.value] = n
				}
				in.Variant = n
			}
			e.datesOf(in)
		}
		slices.SortFunc(e.Dates, func(a, b Date) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Of, b.Of))
		})
	}
	return r
}

// datesOf adds the days on which something of an input is due.
func (e *Environment) datesOf(in *Input) {
	if !in.expires.IsZero() && in.State != Absent {
		e.date(in.expires, Expires, in.Name)
	}
	if in.Changed == nil || in.State == Absent {
		return
	}
	for _, d := range []struct {
		after time.Duration
		kind  string
	}{{in.maxAge, RotationDue}, {in.rotateAfter, RotationBegins}, {in.lifetime, Ends}} {
		if d.after > 0 {
			e.date(in.Changed.Add(d.after), d.kind, in.Name)
		}
	}
}

func (e *Environment) date(at time.Time, kind, of string) {
	e.Dates = append(e.Dates, Date{At: at.UTC().Truncate(time.Second), Kind: kind, Of: of})
}

// NotKnown is an environment of which there are findings alone; its directory is
// absolute, and so is that of its module.
func NotKnown(name, directory, module string) *Environment {
	e := &Environment{
		Environment: cmp.Or(name, filepath.Base(directory)), module: module,
		Sources: []Source{}, Inputs: []Input{}, Rules: []Rule{}, Secrets: []Secret{}, Readers: []plan.ReaderDocument{}, Dates: []Date{}, Findings: []Finding{},
	}
	e.Directory = e.local(directory)
	return e
}

// Judge adds what a verb has found, once.
func (e *Environment) Judge(by string, ds plan.Diagnostics) {
	for _, d := range ds {
		t := told{code: d.Code, message: d.Message}
		if len(d.Pos) > 0 {
			t.at = d.Pos[0]
		}
		if e.told[t] {
			continue
		}
		if e.told == nil {
			e.told = map[told]bool{}
		}
		e.told[t] = true
		f := Finding{By: by, Code: d.Code, Severity: d.Severity, Message: e.say(d.Message), Hint: e.say(d.Hint)}
		for _, pos := range d.Pos {
			if pos.IsValid() {
				f.Positions = append(f.Positions, e.position(pos))
			}
		}
		e.Findings = append(e.Findings, f)
	}
}

// Held notes what the source of an input holds.
func (e *Environment) Held(input, state string, changed *time.Time) {
	for i := range e.Inputs {
		if in := &e.Inputs[i]; in.Name == input {
			in.State = state
			if changed != nil || state == Absent { // or else the lock tells still, if it does
				in.Changed = utc(changed)
			}
		}
	}
}

// Live notes what a cluster holds. Of an input that nothing else tells of, the keys that
// are that input tell.
func (e *Environment) Live(r *cluster.Report) {
	e.Cluster = r.Cluster
	for _, live := range r.Secrets {
		i := slices.IndexFunc(e.Secrets, func(s Secret) bool { return s.Namespace == live.Namespace && s.Name == live.Name })
		if i < 0 {
			continue
		}
		s := &e.Secrets[i]
		s.Verdict = live.Verdict
		for j := range s.Keys {
			k := &s.Keys[j]
			n := slices.IndexFunc(live.Keys, func(l cluster.KeyReport) bool { return l.Name == k.Name })
			if n < 0 || live.Verdict == cluster.VerdictUnknown {
				continue
			}
			k.State = string(live.Keys[n].State)
			if k.Changed == nil {
				k.Changed = utc(live.Keys[n].Changed)
			}
			if k.By != "input" {
				continue
			}
			for m := range e.Inputs {
				if in := &e.Inputs[m]; in.Name == k.Inputs[0] && in.State == Unknown {
					in.State, in.Changed = k.State, k.Changed
				}
			}
		}
	}
}

// utc is t as a document has it.
func utc(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	u := t.UTC().Truncate(time.Second)
	return &u
}

// local writes a path as the module has it, if it is there.
func (e *Environment) local(path string) string {
	if rel, err := filepath.Rel(e.module, path); err == nil && path != "" && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return path
}

// say writes the paths in a message as the module has them: anyone who reads a report is
// not at the machine that made it.
func (e *Environment) say(message string) string {
	return strings.ReplaceAll(message, e.module+string(filepath.Separator), "")
}

func (e *Environment) position(pos plan.Pos) plan.Pos {
	return plan.Pos{File: e.local(pos.File), Line: pos.Line, Column: pos.Column}
}
