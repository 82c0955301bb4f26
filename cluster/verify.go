package cluster

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

// Report says what Verify found of each secret. It holds no values. Its form in
// JSON is described in docs/verify.md.
type Report struct {
	Cluster string         `json:"cluster"`
	Secrets []SecretReport `json:"secrets"` // in the order of the plan
}

// Brief returns the report without what only --detailed shows: lengths, owners
// and times.
func (r Report) Brief() Report {
	r.Secrets = slices.Clone(r.Secrets)
	for i := range r.Secrets {
		s := &r.Secrets[i]
		s.Owners, s.Created, s.Changed, s.Keys = nil, nil, nil, slices.Clone(s.Keys)
		for j := range s.Keys {
			s.Keys[j].Bytes, s.Keys[j].Changed = nil, nil
		}
	}
	return r
}

// SecretReport is one secret of a [Report].
type SecretReport struct {
	Namespace     string      `json:"namespace"`
	Name          string      `json:"name"`
	Verdict       Verdict     `json:"verdict"`
	Type          string      `json:"type"`               // as it is in the cluster, or else as it is to be
	Delivery      string      `json:"delivery,omitempty"` // SealedSecret or ExternalSecret; empty if victorgen itself has applied it
	DeliveryState string      `json:"deliveryState,omitempty"`
	Owners        []string    `json:"owners,omitempty"` // KIND/NAME, as far as they are shown
	Created       *time.Time  `json:"created,omitempty"`
	Changed       *time.Time  `json:"changed,omitempty"` // no earlier than its data; see docs/verify.md
	Keys          []KeyReport `json:"keys"`              // those of the contract, then those that are not declared
}

// KeyReport is one key of a [SecretReport].
type KeyReport struct {
	Name     string     `json:"name"` // "[not shown]" if neither the contract nor the lock has it: it could be a value
	State    KeyState   `json:"state"`
	Bytes    *int       `json:"bytes,omitempty"` // the length of a value that is there
	MadeFrom string     `json:"madeFrom,omitempty"`
	Changed  *time.Time `json:"changed,omitempty"` // of the value, as far as it is known
}

// Verdict is what Verify thinks of a secret.
type Verdict string

// The verdicts.
const (
	VerdictOK      Verdict = "ok"
	VerdictNotOK   Verdict = "not ok"
	VerdictLeftOut Verdict = "left out" // it is not there, and need not be
	VerdictUnknown Verdict = "unknown"  // it could not be read
)

// KeyState says whether a key is there.
type KeyState string

// The states of a key.
const (
	KeyPresent    KeyState = "present"
	KeyAbsent     KeyState = "absent"
	KeyUndeclared KeyState = "undeclared" // it is there, and the contract does not have it
	KeyUnknown    KeyState = "unknown"
)

// The states of what delivers a secret, as a [SecretReport] has them.
const (
	delivered     = "delivered"
	notDelivered  = "not delivered"
	notReconciled = "not reconciled"
	absent        = "absent"
	unknown       = "unknown"
)

// Verify judges what the cluster holds of p at the time now: whether each
// Secret is there, with the keys, the type and the labels of the contract,
// whether the values satisfy their inputs and are not too old, and what the
// controllers say that make them. h is the history of the tree; the zero one
// knows nothing.
//
// What it says names keys and inputs, and holds no value.
func Verify(p *plan.Plan, s *State, h tree.History, now time.Time) (Report, plan.Diagnostics) {
	v := &verification{plan: p, state: s, history: h, now: now, stale: map[string]bool{}, misfits: map[int]bool{}}
	v.ages()
	v.families()
	r := Report{Cluster: s.Cluster}
	for i, secret := range p.Secrets {
		j := &judgement{verification: v, Secret: secret, live: s.Secrets[i], misfit: v.misfits[i]}
		r.Secrets = append(r.Secrets, j.report())
	}
	v.stores()
	for _, c := range s.Certificates {
		v.ds = append(v.ds, c.Judge(s.Cluster)...)
	}
	v.ds.Sort()
	return r, v.ds
}

// verification is one call of Verify.
type verification struct {
	plan    *plan.Plan
	state   *State
	history tree.History
	now     time.Time
	stale   map[string]bool // the inputs that are older than they may be
	misfits map[int]bool    // the secrets with a key that does not belong to what it is made from
	ds      plan.Diagnostics
}

// judgement is one secret under judgement.
type judgement struct {
	*verification
	plan.Secret
	live   Live
	misfit bool // a key does not belong to what it is made from
}

// String names the secret in messages.
func (j *judgement) String() string {
	return fmt.Sprintf("secret %s/%s in %s", j.Namespace, j.Name, j.state.Cluster)
}

// problem is what is wrong with the object that delivers a secret, of which
// what goes on to tell.
type problem struct {
	code       plan.Code
	state      string
	what, hint string
}

func (j *judgement) report() SecretReport {
	r := SecretReport{
		Namespace: j.Namespace, Name: j.Name, Verdict: VerdictOK, Type: typeOf(cmp.Or(j.live.Type, j.Type), j.Type), Delivery: j.live.Delivery.Kind, Keys: j.keys(),
	}
	before := len(j.ds)
	trouble := j.delivery()
	switch {
	case r.Delivery == "":
	case trouble != nil:
		r.DeliveryState = trouble.state
	case j.live.Delivery.State == value.Unreadable:
		r.DeliveryState = unknown
	default:
		r.DeliveryState = delivered
	}
	switch j.live.State {
	case value.Unreadable:
		r.Verdict = VerdictUnknown
		j.tell(trouble)
	case value.Absent:
		if j.mayBeAbsent() {
			r.Verdict = VerdictLeftOut
			break
		}
		j.missing(trouble)
	case value.Present:
		r.Owners, r.Created, r.Changed = j.live.Owners, &j.live.Created, &j.live.Changed
		j.tell(trouble)
		j.metadata()
		j.data()
	}
	if j.ds[before:].HasErrors() || j.hasStale() || j.misfit {
		r.Verdict = VerdictNotOK
	}
	return r
}

// delivery returns what is wrong with the object that delivers the secret; nil
// if nothing is, or if it could not be read.
func (j *judgement) delivery() *problem {
	d := j.live.Delivery
	how := deliveredBy(d.Kind)
	if how == nil || d.State == value.Unreadable {
		return nil
	}
	controller, of, done := how.controller()
	unseen := "check whether " + controller + " runs, and watches namespace " + j.Namespace
	c, ok := condition(d.Conditions, of)
	switch {
	case d.State == value.Absent:
		return &problem{plan.CodeNotDelivered, absent, "does not exist", "apply the tree; what `victorgen apply` has written, verify with --direct"}
	case !ok:
		return &problem{plan.CodeNotReconciled, notReconciled, "was never reconciled", unseen}
	}
	if why := how.behind(j); why != "" {
		return &problem{plan.CodeNotReconciled, notReconciled, why, unseen}
	}
	if c.Status != "True" {
		hint := fmt.Sprintf("`kubectl describe -n %s %s %s` shows its events, which say more", j.Namespace, strings.ToLower(d.Kind), j.Name)
		for part, remedy := range remedies {
			if strings.Contains(c.Message, part) {
				hint = remedy
			}
		}
		return &problem{plan.CodeNotDelivered, notDelivered, fmt.Sprintf("is not %s: %s", done, spoken(c)), hint}
	}
	if why := how.late(j); why != "" {
		return &problem{plan.CodeNotReconciled, notReconciled, why, unseen}
	}
	return nil
}

// remedies say what to do about what a controller says, by a part of that.
var remedies = map[string]string{
	"no key could decrypt": "it was sealed for another certificate, or for another name, namespace or scope: put the controller's " +
		"certificate in place, let nothing rename or move the SealedSecret, and build and deploy",
	"already exists and is not managed by SealedSecret": "delete the Secret, or give it the annotation sealedsecrets.bitnami.com/managed: \"true\"",
	"could not get secret data from provider":           "check whether the source has all that it refers to, as with `victorgen verify --source`, and what its store and its events say",
}

// tell reports what is wrong with the delivery of a secret that is there.
func (j *judgement) tell(p *problem) {
	d := j.live.Delivery
	if p != nil {
		j.ds.Errorf(p.code, j.Pos, p.hint, "%s %s/%s in %s %s", d.Kind, j.Namespace, j.Name, j.state.Cluster, p.what)
	}
	if how := deliveredBy(d.Kind); how != nil {
		how.differs(j)
	}
}

// missing reports a Secret that is not there, and why if that is known.
func (j *judgement) missing(p *problem) {
	d := j.live.Delivery
	why, hint := "", "apply the tree"
	switch {
	case p != nil:
		why = fmt.Sprintf(": its %s %s", d.Kind, p.what)
		if d.State == value.Present {
			hint = p.hint
		}
	case d.Kind == "":
		hint = "`victorgen apply` writes it"
	case d.State == value.Present:
		why = fmt.Sprintf(", though its %s is ready: it was deleted", d.Kind)
		hint = fmt.Sprintf("the controller recreates it by itself if it owned the Secret; if not, delete the %s and apply it again", d.Kind)
	}
	j.ds.Errorf(plan.CodeSecretAbsent, j.Pos, hint, "%s does not exist%s", j, why)
	j.tell(nil)
}

// mayBeAbsent reports whether the Secret need not be there: all of its keys are
// left out, and so is the object that would deliver it.
func (j *judgement) mayBeAbsent() bool {
	return j.live.Delivery.State != value.Present && !slices.ContainsFunc(j.Keys, func(k plan.Key) bool { return !j.optional(k) })
}

// optional reports whether a key may be absent. The contract says so; but what
// was sealed must be there, and what was left out of the tree need not be.
func (j *judgement) optional(k plan.Key) bool {
	in, _ := j.plan.Input(k.Input)
	if j.Delivery.Seals() {
		_, sealed, known := j.history.Key(j.Secret, k.Name)
		if sealed {
			return false
		}
		if known && k.Template != nil { // it has rendered to nothing
			return true
		}
	}
	switch {
	case k.Value != nil:
		return false
	case k.Template != nil:
		return k.Template.MayBeEmpty
	}
	return in.MayBeAbsent() || in.Default != nil && *in.Default == ""
}

// metadata judges the type, the labels and the annotations.
func (j *judgement) metadata() {
	if j.live.Type != j.Type && !j.merged() {
		j.ds.Errorf(plan.CodeTypeDiffers, j.Pos, "delete the Secret, because its type cannot change; it is then recreated",
			"%s is of %s, not %s", j, typed(j.live.Type, j.Type), j.Type)
	}
	var lacks []string
	lacking := func(what string, want, got map[string]string) {
		for name, text := range want {
			if live, ok := got[name]; !ok || live != text {
				lacks = append(lacks, what+" "+name)
			}
		}
	}
	lacking("label", tree.Labels(j.plan, j.Secret.Labels), j.live.Labels)
	lacking("annotation", j.Annotations, j.live.Annotations)
	if len(lacks) > 0 {
		slices.Sort(lacks)
		j.ds.Errorf(plan.CodeMetadataDiffers, j.Pos, "apply the tree, and find out what removes them", "%s lacks what the contract says: %s", j, plan.And(lacks))
	}
	if j.Immutable && !j.live.Immutable {
		j.ds.Errorf(plan.CodeMetadataDiffers, j.Pos, "delete the Secret, so that it is recreated", "%s is not immutable, and the contract says so", j)
	}
}

// merged reports whether the Secret is that of someone else, who may have
// other keys in it.
func (j *judgement) merged() bool { return j.Delivery.CreationPolicy == "Merge" }

// data judges the keys and their values.
func (j *judgement) data() {
	there := map[string]value.Value{}
	for _, k := range j.Keys {
		v, ok := j.live.Data[k.Name]
		if !ok {
			if !j.optional(k) {
				j.ds.Errorf(plan.CodeKeyAbsent, k.Pos, "check whether the tree that is deployed has it", "key %q of %s is missing", k.Name, j)
			}
			continue
		}
		j.value(k, v)
		if v.Len() > 0 { // of an empty one that is said
			there[k.Name] = v
		}
	}
	j.ds = append(j.ds, value.JudgeTyped(j.Secret, j.String(), there)...)
	if j.merged() {
		return
	}
	hidden := 0
	for _, name := range j.undeclared() {
		if shown := j.keyName(name); shown == notShown {
			hidden++
		} else {
			j.ds.Errorf(plan.CodeKeyUndeclared, j.Pos, "declare it in the contract, or take it out of the Secret", "key %q of %s is not declared in the contract", shown, j)
		}
	}
	if hidden > 0 {
		what := "a key"
		if hidden > 1 {
			what = fmt.Sprint(hidden, " keys")
		}
		j.ds.Errorf(plan.CodeKeyUndeclared, j.Pos, fmt.Sprintf("declare it in the contract, or take it out of the Secret; `kubectl describe secret -n %s %s` shows the names, which could be values", j.Namespace, j.Name),
			"%s has %s that the contract does not declare", j, what)
	}
}

// keyName returns the name of a key that the contract does not have, if the lock has
// it or everyone knows it.
func (j *judgement) keyName(name string) string {
	if _, _, known := j.history.Key(j.Secret, name); known || slices.Contains(keyNames, name) {
		return name
	}
	return notShown
}

// undeclared returns the names of the keys that the contract does not have.
func (j *judgement) undeclared() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(j.live.Data)) {
		if !slices.ContainsFunc(j.Keys, func(k plan.Key) bool { return k.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}

// value judges the value of a key.
func (j *judgement) value(k plan.Key, v value.Value) {
	in, _ := j.plan.Input(k.Input)
	literal := k.Value
	if in.Default != nil {
		literal = in.Default
	}
	switch {
	case literal != nil:
		if !v.Equal(value.New([]byte(*literal))) {
			j.ds.Errorf(plan.CodeKeyDiffers, k.Pos, "apply the tree", "key %q of %s is not what the contract says", k.Name, j)
		}
	case v.Len() == 0:
		if !j.optional(k) {
			j.ds.Errorf(plan.CodeKeyAbsent, k.Pos, "give it a value at its source, build and deploy", "key %q of %s is empty", k.Name, j)
		}
	case k.Input != "":
		for _, d := range value.Judge(in, asHeld(in, v)) {
			d.Message += fmt.Sprintf(" (key %q of %s)", k.Name, j)
			j.ds = append(j.ds, d)
		}
	}
}

// asHeld returns v as a source holds it, which is what constraints are about.
func asHeld(in plan.Input, v value.Value) value.Value {
	if in.Encoding == plan.Base64 {
		return value.New([]byte(base64.StdEncoding.EncodeToString(v.Reveal())))
	}
	return v
}

// keys reports on the keys.
func (j *judgement) keys() []KeyReport {
	all := []KeyReport{}
	for _, k := range j.Keys {
		r := KeyReport{Name: k.Name, State: KeyAbsent, MadeFrom: madeFrom(k)}
		v, ok := j.live.Data[k.Name]
		switch {
		case ok:
			length := v.Len()
			r.State, r.Bytes, r.Changed = KeyPresent, &length, j.changed(k.Name)
		case j.live.State == value.Unreadable:
			r.State = KeyUnknown
		}
		all = append(all, r)
	}
	for _, name := range j.undeclared() {
		length := j.live.Data[name].Len()
		all = append(all, KeyReport{Name: j.keyName(name), State: KeyUndeclared, Bytes: &length, Changed: j.changed(name)})
	}
	return all
}

// changed returns when a key that is there last changed: what was sealed by the
// lock, all else by the Secret.
func (j *judgement) changed(key string) *time.Time {
	changed := j.live.Changed
	if at, sealed, _ := j.history.Key(j.Secret, key); sealed && j.Delivery.Seals() {
		changed = at.UTC()
	}
	return &changed
}

func madeFrom(k plan.Key) string {
	switch {
	case k.Value != nil:
		return "a literal"
	case k.Template == nil:
		return k.Input
	case len(k.Template.Inputs) == 0:
		return "a template"
	}
	return "a template over " + plan.And(k.Template.Inputs)
}

// ages reports the inputs whose values are older than their maxAge, or end. What was
// sealed changed when the lock says so; of all else the Secret tells, whose data
// is at least as old as it seems.
func (v *verification) ages() {
	for _, in := range v.plan.Inputs {
		if in.MaxAge == 0 {
			continue
		}
		changed, from := v.lastChange(in)
		if changed.IsZero() || v.now.Sub(changed) <= in.MaxAge {
			continue
		}
		v.stale[in.Name] = true
		hint := "ask " + in.Ask() + " for a new one, replace it at its source, and deploy"
		if in.Class == plan.Generated {
			hint = "`victorgen rotate` replaces it; then build and deploy"
		}
		v.ds.Errorf(plan.CodeStale, in.Pos, hint, "%s is %s old (%s in %s): its rotation is due after %s",
			in.Name, plan.Age(v.now.Sub(changed)), from, v.state.Cluster, plan.Age(in.MaxAge))
	}
	over := v.history.Overdue(v.now)
	for _, name := range slices.Sorted(maps.Keys(over)) {
		in, _ := v.plan.Input(name)
		v.ds.Errorf(plan.CodePreviousOver, in.Pos, "build and deploy to remove it",
			"the previous value of %s counted until %s, and is still in the tree", name, over[name].UTC().Format(time.RFC3339))
	}
	v.ds = append(v.ds, v.plan.Expiring(v.now, func(in plan.Input) bool {
		changed, _ := v.lastChange(in)
		if ended := !changed.IsZero() && !in.Expires.After(v.now); ended {
			v.stale[in.Name] = true
		}
		return !changed.IsZero()
	})...)
}

// lastChange returns when in last changed, and what tells so: of all that do,
// what has been the same for the longest.
func (v *verification) lastChange(in plan.Input) (changed time.Time, from string) {
	changed, locked := v.history.LastChange(in)
	if len(locked) > 0 {
		from = tree.LockFile + ", of secret " + plan.And(locked)
	}
	for i, s := range v.plan.Secrets {
		live := v.state.Secrets[i]
		if slices.Contains(locked, s.Namespace+"/"+s.Name) && s.Delivery.Seals() {
			continue
		}
		has := slices.ContainsFunc(s.Keys, func(k plan.Key) bool {
			_, there := live.Data[k.Name]
			return there && slices.Contains(k.Inputs(), in.Name) && !(in.MayBeAbsent() && k.Template != nil)
		})
		if has && (from == "" || live.Changed.Before(changed)) {
			changed, from = live.Changed, fmt.Sprintf("secret %s/%s", s.Namespace, s.Name)
		}
	}
	return changed, from
}

// hasStale reports whether a key of the secret is made from what is too old.
func (j *judgement) hasStale() bool {
	return slices.ContainsFunc(j.Keys, func(k plan.Key) bool {
		_, there := j.live.Data[k.Name]
		return there && slices.ContainsFunc(k.Inputs(), func(in string) bool { return j.stale[in] })
	})
}

// stores judges the stores that ExternalSecrets refer to.
func (v *verification) stores() {
	for _, s := range v.state.Stores {
		var pos []plan.Pos
		for _, src := range v.plan.Sources {
			if src.Store.Name == s.Name {
				pos = src.Pos
			}
		}
		name := s.label(v.plan)
		c, ok := condition(s.Conditions, "Ready")
		switch {
		case s.State == value.Unreadable || ok && c.Status == "True":
		case s.State == value.Absent:
			v.ds.Errorf(plan.CodeStoreNotReady, pos, "apply the tree, or what else makes it", "%s in %s does not exist", name, v.state.Cluster)
		case !ok:
			v.ds.Errorf(plan.CodeStoreNotReady, pos, "check whether the External Secrets Operator runs", "%s in %s was never reconciled", name, v.state.Cluster)
		default:
			v.ds.Errorf(plan.CodeStoreNotReady, pos, "check whether the operator may log in at the source; the events of the store say more",
				"%s in %s is not ready: %s", name, v.state.Cluster, spoken(c))
		}
	}
}
