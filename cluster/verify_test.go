package cluster

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

const days = 24 * time.Hour

// canaries are the values that the Secrets hold; none may be found in what is
// said.
var canaries = map[string]string{
	"token": "tok-c4nary/one+9d8f7g6h5j", "password": "c4nary two: p&ss=w?rd#3k4l", "certificate": "\x00c4nary-three\xff8h7g", "url": "postgres://c4nary-four@db",
}

// at is a place in the contract.
func at(line int) []plan.Pos { return []plan.Pos{{File: "/contract.cue", Line: line, Column: 1}} }

// testPlan has a sealed secret, an external one and one that victorgen writes.
func testPlan() *plan.Plan {
	literal, host := "1", "db.internal"
	return &plan.Plan{
		Environment: "production", PartOf: "shop", Namespace: "apps",
		Inputs: []plan.Input{
			{Name: "CERTIFICATE", Class: plan.Required, Encoding: plan.Base64, Pos: at(1), Constraints: plan.Constraints{MaxLength: 28}},
			{Name: "HOST", Class: plan.Setting, Default: &host, Pos: at(2)},
			{Name: "OPTIONAL", Class: plan.Optional, Pos: at(3)},
			{Name: "PASSWORD", Class: plan.Generated, MaxAge: 90 * days, Pos: at(4), Constraints: plan.Constraints{MinStrength: 60}},
			{Name: "TOKEN", Class: plan.Required, Pos: at(5), Constraints: plan.Constraints{Pattern: regexp.MustCompile("^tok-")}},
		},
		Sources: []plan.Source{{Name: "default", Kind: plan.AWSSSM, Store: plan.Store{Name: "shop"}, Pos: at(30)}},
		Secrets: []plan.Secret{
			{
				Namespace: "apps", Name: "sealed", Type: "Opaque", Pos: at(10), Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"note": "a"},
				Delivery: plan.Delivery{Kind: plan.Sealed, Scope: plan.Strict},
				Keys: []plan.Key{
					{Name: "certificate", Input: "CERTIFICATE", Pos: at(11)},
					{Name: "host", Input: "HOST", Pos: at(12)},
					{Name: "literal", Value: &literal, Pos: at(13)},
					{Name: "optional", Input: "OPTIONAL", Pos: at(14)},
					{Name: "password", Input: "PASSWORD", Pos: at(15)},
					{Name: "url", Template: &plan.Template{Text: "{{.PASSWORD}}", Inputs: []string{"PASSWORD"}}, Pos: at(16)},
					{Name: "with", Template: &plan.Template{Text: "{{with .OPTIONAL}}{{.}}{{end}}", Inputs: []string{"OPTIONAL"}, MayBeEmpty: true}, Pos: at(17)},
				},
			},
			{
				Namespace: "apps", Name: "tokens", Type: "Opaque", Pos: at(20),
				Delivery: plan.Delivery{Kind: plan.External, RefreshPolicy: periodic, RefreshInterval: time.Hour, CreationPolicy: "Owner"},
				Keys:     []plan.Key{{Name: "token", Input: "TOKEN", Pos: at(21)}},
			},
		},
	}
}

// testState is what the cluster holds when all is well.
func testState() *State {
	labels := func(more ...string) map[string]string {
		l := map[string]string{"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "shop", "others": "may add"}
		for i := 0; i < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	data := func(keys ...string) map[string]value.Value {
		d := map[string]value.Value{}
		for _, k := range keys {
			name, text, ok := strings.Cut(k, "=")
			if !ok {
				text = canaries[name]
			}
			d[name] = value.New([]byte(text))
		}
		return d
	}
	return &State{
		Cluster: "kind",
		Secrets: []Live{
			{
				State: value.Present, Type: "Opaque", Labels: labels("team", "shop"), Annotations: map[string]string{"note": "a", "other": "b"},
				Owners: []string{"SealedSecret/sealed"}, Created: now.Add(-30 * days), Changed: now.Add(-10 * days),
				Data:     data("certificate", "host=db.internal", "literal=1", "password", "url"),
				Delivery: Delivery{Kind: sealedSecret, State: value.Present, Scope: plan.Strict, Conditions: []Condition{{Type: "Synced", Status: "True"}}},
			},
			{
				State: value.Present, Type: "Opaque", Labels: labels(), Created: now.Add(-30 * days), Changed: now.Add(-10 * days), Data: data("token"),
				Delivery: Delivery{
					Kind: externalSecret, State: value.Present, Refreshed: now.Add(-30 * time.Minute),
					Conditions: []Condition{{Type: "Ready", Status: "True", Reason: "SecretSynced", Message: "secret synced"}},
				},
			},
		},
		Stores:       []Store{{Kind: "SecretStore", Namespace: "apps", Name: "shop", State: value.Present, Conditions: []Condition{{Type: "Ready", Status: "True"}}}},
		Certificates: []Certificate{{Controller: plan.Controller{Name: "controller", Namespace: "sealed"}, SHA256: "ab", Newest: "ab", Pos: at(40)}},
	}
}

// history is that of a lock that has these keys of the secret "sealed".
func history(t *testing.T, p *plan.Plan, keys string) tree.History {
	t.Helper()
	lock := "version: 1\nenvironment: production\nfiles: [s.yaml]\nsecrets:\n  - {namespace: apps, name: sealed, file: s.yaml, keys: " + keys + "}\n"
	h, ds := (&tree.Tree{Files: map[string][]byte{tree.LockFile: []byte(lock)}}).History(p)
	if ds != nil {
		t.Fatal(ds)
	}
	return h
}

// checkHidden looks for the canaries in what was said.
func checkHidden(t *testing.T, said ...any) {
	t.Helper()
	js, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(string(js) + fmt.Sprint(said...))
	for name, v := range canaries {
		for _, form := range []string{v, base64.StdEncoding.EncodeToString([]byte(v)), hex.EncodeToString([]byte(v)), url.QueryEscape(v)} {
			if strings.Contains(text, strings.ToLower(form)) {
				t.Errorf("%s is shown: %s", name, text)
			}
		}
	}
}

// TestVerify breaks one thing at a time.
func TestVerify(t *testing.T) {
	t.Parallel()
	sealed, tokens := func(s *State) *Live { return &s.Secrets[0] }, func(s *State) *Live { return &s.Secrets[1] }
	set := func(l *Live, key, text string) { l.Data[key] = value.New([]byte(text)) }
	synced := func(status, message string) []Condition {
		return []Condition{{Type: "Synced", Status: status, Message: message}}
	}
	ready := func(status, reason, message string) []Condition {
		return []Condition{{Type: "Ready", Status: status, Reason: reason, Message: message}}
	}
	const recent = "{password: {changed: 2029-12-30T00:00:00Z}, url: {changed: 2029-12-30T00:00:00Z}"
	for name, test := range map[string]struct {
		plan  func(p *plan.Plan)
		state func(s *State)
		lock  string
		want  string // the diagnostics, without where they are
		line  int    // where the first is
	}{
		"all is well": {},
		"an optional key is there": {
			state: func(s *State) { set(sealed(s), "optional", "opt-9d8f7g6h5j4k"); set(sealed(s), "with", "x") },
		},

		// The Secret.
		"nothing is there": {
			state: func(s *State) {
				*sealed(s) = Live{State: value.Absent, Delivery: Delivery{Kind: sealedSecret, State: value.Absent}}
			},
			want: "error VG5101: secret apps/sealed in kind does not exist: its SealedSecret does not exist", line: 10,
		},
		"the Secret was deleted": {
			state: func(s *State) { sealed(s).State, sealed(s).Data = value.Absent, nil },
			want:  "error VG5101: secret apps/sealed in kind does not exist, though its SealedSecret is ready: it was deleted", line: 10,
		},
		"it does not unseal": {
			state: func(s *State) {
				sealed(s).State, sealed(s).Data = value.Absent, nil
				sealed(s).Delivery.Conditions = synced("False", "no key could decrypt secret (password, url)")
			},
			want: "error VG5101: secret apps/sealed in kind does not exist: its SealedSecret is not synced: no key could decrypt secret", line: 10,
		},
		"victorgen has not applied it": {
			plan:  func(p *plan.Plan) { p.Secrets[0].Delivery = plan.Delivery{Kind: plan.Direct} },
			state: func(s *State) { *sealed(s) = Live{State: value.Absent} },
			want:  "error VG5101: secret apps/sealed in kind does not exist", line: 10,
		},
		"all keys are left out": {
			plan: func(p *plan.Plan) { p.Secrets[0].Keys = p.Secrets[0].Keys[3:4] },
			state: func(s *State) {
				*sealed(s) = Live{State: value.Absent, Delivery: Delivery{Kind: sealedSecret, State: value.Absent}}
			},
		},
		"all keys were left out, and one is in the tree": {
			plan: func(p *plan.Plan) { p.Secrets[0].Keys = p.Secrets[0].Keys[3:4] },
			state: func(s *State) {
				*sealed(s) = Live{State: value.Absent, Delivery: Delivery{Kind: sealedSecret, State: value.Absent}}
			},
			lock: "{optional: {changed: 2029-12-30T00:00:00Z}}",
			want: "error VG5101: secret apps/sealed in kind does not exist: its SealedSecret does not exist", line: 10,
		},
		"all keys may be left out, and something delivers them": {
			plan:  func(p *plan.Plan) { p.Secrets[0].Keys = p.Secrets[0].Keys[3:4] },
			state: func(s *State) { sealed(s).State, sealed(s).Data = value.Absent, nil },
			want:  "error VG5101: secret apps/sealed in kind does not exist, though its SealedSecret is ready: it was deleted", line: 10,
		},
		"it may not be read": {
			state: func(s *State) { *sealed(s) = Live{} },
		},
		"it may not be read, and does not unseal": {
			state: func(s *State) {
				sealed(s).State, sealed(s).Data = value.Unreadable, nil
				sealed(s).Delivery.Conditions = synced("False", "no key could decrypt secret")
			},
			want: "error VG5107: SealedSecret apps/sealed in kind is not synced: no key could decrypt secret", line: 10,
		},

		// Its keys.
		"key missing": {
			state: func(s *State) { delete(sealed(s).Data, "password") },
			want:  `error VG5102: key "password" of secret apps/sealed in kind is missing`, line: 15,
		},
		"template missing": {
			state: func(s *State) { delete(sealed(s).Data, "url") },
			want:  `error VG5102: key "url" of secret apps/sealed in kind is missing`, line: 16,
		},
		"literal missing": {
			state: func(s *State) { delete(sealed(s).Data, "literal") },
			want:  `error VG5102: key "literal" of secret apps/sealed in kind is missing`, line: 13,
		},
		"a setting that is empty may be missing": {
			plan:  func(p *plan.Plan) { p.Inputs[1].Default = new(string) },
			state: func(s *State) { delete(sealed(s).Data, "host") },
		},
		"optional key missing that the tree has": {
			lock: recent + ", optional: {changed: 2029-12-30T00:00:00Z}}",
			want: `error VG5102: key "optional" of secret apps/sealed in kind is missing`, line: 14,
		},
		"template missing that rendered to nothing": {
			state: func(s *State) { delete(sealed(s).Data, "url") },
			lock:  recent[:strings.Index(recent, ", url")] + ", url: {omitted: true}}",
		},
		"key empty": {
			state: func(s *State) { set(tokens(s), "token", "") },
			want:  `error VG5102: key "token" of secret apps/tokens in kind is empty`, line: 21,
		},
		"template empty": {
			state: func(s *State) { set(sealed(s), "url", "") },
			want:  `error VG5102: key "url" of secret apps/sealed in kind is empty`, line: 16,
		},
		"optional keys empty": {
			state: func(s *State) { set(sealed(s), "optional", ""); set(sealed(s), "with", "") },
		},
		"key undeclared": {
			state: func(s *State) { set(sealed(s), "extra", canaries["token"]); set(sealed(s), "more", "x") },
			want:  `error VG5103: secret apps/sealed in kind has 2 keys that the contract does not declare`, line: 10,
		},
		"others have keys in it": {
			plan:  func(p *plan.Plan) { p.Secrets[1].Delivery.CreationPolicy = "Merge" },
			state: func(s *State) { set(tokens(s), "extra", "x"); tokens(s).Type = "theirs" },
		},
		"literal differs": {
			state: func(s *State) { set(sealed(s), "literal", canaries["token"]) },
			want:  `error VG5104: key "literal" of secret apps/sealed in kind is not what the contract says`, line: 13,
		},
		"setting differs": {
			state: func(s *State) { set(sealed(s), "host", "db.other") },
			want:  `error VG5104: key "host" of secret apps/sealed in kind is not what the contract says`, line: 12,
		},

		// Its values.
		"pattern": {
			state: func(s *State) { set(tokens(s), "token", canaries["password"]) },
			want:  `error VG2006: TOKEN does not match its pattern (key "token" of secret apps/tokens in kind)`, line: 5,
		},
		"placeholder": {
			state: func(s *State) { set(tokens(s), "token", "changeme") },
			want:  `error VG2004: TOKEN is a placeholder (key "token" of secret apps/tokens in kind)`, line: 5,
		},
		"weak": {
			state: func(s *State) { set(sealed(s), "password", "hunter2") },
			want:  `error VG2005: PASSWORD is weak: about 3 bits of strength, 60 are needed (key "password" of secret apps/sealed in kind)`, line: 4,
		},
		"encoded": { // 29 characters of base64
			state: func(s *State) { set(sealed(s), "certificate", canaries["certificate"]+"0123") },
			want:  `error VG2008: CERTIFICATE is too long: it has 32 characters, at most 28 are allowed (key "certificate" of secret apps/sealed in kind)`, line: 1,
		},
		"content that its type does not allow": {
			plan: func(p *plan.Plan) { p.Secrets[0].Type = "kubernetes.io/basic-auth" },
			state: func(s *State) {
				sealed(s).Type = "kubernetes.io/basic-auth"
				set(sealed(s), "password", canaries["password"]+"\n")
			},
			want: `error VG2013: key "password" of secret apps/sealed in kind, which is of type kubernetes.io/basic-auth, has a line break, another control character or something that is not text, which basic authentication can't carry`, line: 15,
		},
		"old, by the lock": {
			lock: "{password: {changed: 2029-12-30T00:00:00Z}, url: {changed: 2029-09-01T00:00:00Z}}",
			want: "error VG2011: PASSWORD is 123 days old (victorgen.lock, of secret apps/sealed in kind): its rotation is due after 90 days", line: 4,
		},
		"young, by the lock": {
			state: func(s *State) { sealed(s).Changed = now.Add(-100 * days) },
			lock:  recent + "}",
		},
		"old, by the Secret": {
			state: func(s *State) { sealed(s).Changed = now.Add(-100 * days) },
			want:  "error VG2011: PASSWORD is 100 days old (secret apps/sealed in kind): its rotation is due after 90 days", line: 4,
		},
		"old, in the Secret of the operator": {
			plan:  func(p *plan.Plan) { p.Inputs[4].MaxAge = days },
			state: func(s *State) { sealed(s).Changed = now },
			want:  "error VG2011: TOKEN is 10 days old (secret apps/tokens in kind): its rotation is due after 24h", line: 5,
		},
		"old, in one of two Secrets": {
			plan: func(p *plan.Plan) {
				p.Secrets[1].Keys[0].Input, p.Inputs[3].Constraints = "PASSWORD", plan.Constraints{}
			},
			state: func(s *State) {
				sealed(s).Changed, tokens(s).Changed = now.Add(-days), now.Add(-100*days)
			},
			want: "error VG2011: PASSWORD is 100 days old (secret apps/tokens in kind): its rotation is due after 90 days", line: 4,
		},
		"old, in the other of two Secrets": {
			plan: func(p *plan.Plan) {
				p.Secrets[1].Keys[0].Input, p.Inputs[3].Constraints = "PASSWORD", plan.Constraints{}
			},
			state: func(s *State) {
				sealed(s).Changed, tokens(s).Changed = now.Add(-100*days), now.Add(-days)
			},
			want: "error VG2011: PASSWORD is 100 days old (secret apps/sealed in kind): its rotation is due after 90 days", line: 4,
		},
		"old, in a template that may have none of it": {
			plan:  func(p *plan.Plan) { p.Inputs[2].MaxAge = days },
			state: func(s *State) { set(sealed(s), "with", "x") },
		},
		"old, and absent": {
			plan: func(p *plan.Plan) { p.Inputs[2].MaxAge = days },
		},

		// Its type, labels and annotations.
		"type": {
			state: func(s *State) { sealed(s).Type = "kubernetes.io/tls" },
			want:  "error VG5105: secret apps/sealed in kind is of type kubernetes.io/tls, not Opaque", line: 10,
		},
		"labels": {
			state: func(s *State) {
				delete(sealed(s).Labels, "app.kubernetes.io/managed-by")
				sealed(s).Labels["team"], sealed(s).Annotations["note"] = canaries["token"], canaries["password"]
			},
			want: "error VG5106: secret apps/sealed in kind lacks what the contract says: annotation note, label app.kubernetes.io/managed-by and label team", line: 10,
		},
		"immutable": {
			plan: func(p *plan.Plan) { p.Secrets[0].Immutable = true },
			want: "error VG5106: secret apps/sealed in kind is not immutable, and the contract says so", line: 10,
		},

		// What delivers it.
		"SealedSecret gone": {
			state: func(s *State) { sealed(s).Delivery = Delivery{Kind: sealedSecret, State: value.Absent} },
			want:  "error VG5107: SealedSecret apps/sealed in kind does not exist", line: 10,
		},
		"SealedSecret not seen": {
			state: func(s *State) { sealed(s).Delivery.Conditions = nil },
			want:  "error VG5108: SealedSecret apps/sealed in kind was never reconciled", line: 10,
		},
		"SealedSecret not seen since": {
			state: func(s *State) { sealed(s).Delivery.Behind = true },
			want:  "error VG5108: SealedSecret apps/sealed in kind was not reconciled since its last change", line: 10,
		},
		"not managed": {
			state: func(s *State) {
				sealed(s).Delivery.Conditions = synced("False", `failed update: Resource "sealed" already exists and is not managed by SealedSecret`)
			},
			want: `error VG5107: SealedSecret apps/sealed in kind is not synced: the Secret already exists and is not managed by SealedSecret`, line: 10,
		},
		"a message that quotes": {
			state: func(s *State) {
				sealed(s).Delivery.Conditions = synced("False", `template: url:1:2: executing "url" at <fromJson>: error: invalid character 'c' in `+canaries["url"]+"-new")
			},
			want: `error VG5107: SealedSecret apps/sealed in kind is not synced: a template cannot be rendered`, line: 10,
		},
		"a message that quotes what was refused": {
			state: func(s *State) {
				sealed(s).Delivery.Conditions = synced("False", `Secret "sealed" is invalid: data[token]: Invalid value: "c4nary-new"`)
			},
			want: `error VG5107: SealedSecret apps/sealed in kind is not synced: the API server refuses a value`, line: 10,
		},
		"a message that shows a value": {
			state: func(s *State) {
				sealed(s).Delivery.Conditions = synced("False", "bad "+canaries["password"]+" and\n"+base64.StdEncoding.EncodeToString([]byte(canaries["url"]))+", not db.internal")
			},
			want: `error VG5107: SealedSecret apps/sealed in kind is not synced: its message is not shown, because it could quote a value`, line: 10,
		},
		"no message": {
			state: func(s *State) { sealed(s).Delivery.Conditions = synced("Unknown", "") },
			want:  `error VG5107: SealedSecret apps/sealed in kind is not synced: the controller does not say why`, line: 10,
		},
		"scope": {
			state: func(s *State) { sealed(s).Delivery.Scope = plan.ClusterWide },
			want:  "error VG5110: SealedSecret apps/sealed in kind is of scope cluster-wide, not strict", line: 10,
		},
		"ExternalSecret fails": {
			state: func(s *State) {
				tokens(s).Delivery.Conditions = ready("False", "SecretSyncedError", "could not get secret data from provider")
				tokens(s).Delivery.Behind = true // it counts what has succeeded
			},
			want: "error VG5107: ExternalSecret apps/tokens in kind is not ready: could not get secret data from provider (SecretSyncedError)", line: 20,
		},
		"ExternalSecret not seen": {
			state: func(s *State) { tokens(s).Delivery.Conditions = nil },
			want:  "error VG5108: ExternalSecret apps/tokens in kind was never reconciled", line: 20,
		},
		"ExternalSecret not seen since": {
			state: func(s *State) { tokens(s).Delivery.Behind = true },
			want:  "error VG5108: ExternalSecret apps/tokens in kind was not reconciled since its last change", line: 20,
		},
		"operator stopped": {
			state: func(s *State) { tokens(s).Delivery.Refreshed = now.Add(-5 * time.Hour) },
			want:  "error VG5108: ExternalSecret apps/tokens in kind was refreshed 5h ago, and is to be every 1h", line: 20,
		},
		"operator a little late": {
			state: func(s *State) { tokens(s).Delivery.Refreshed = now.Add(-2*time.Hour - refreshSlack) },
		},
		"operator later than that": {
			state: func(s *State) { tokens(s).Delivery.Refreshed = now.Add(-2*time.Hour - refreshSlack - time.Second) },
			want:  "error VG5108: ExternalSecret apps/tokens in kind was refreshed 2h1m ago, and is to be every 1h", line: 20,
		},
		"refreshed once": {
			plan:  func(p *plan.Plan) { p.Secrets[1].Delivery.RefreshPolicy = createdOnce },
			state: func(s *State) { tokens(s).Delivery.Refreshed, tokens(s).Delivery.Behind = now.Add(-5*time.Hour), true },
		},
		"delivery may not be read": {
			state: func(s *State) { tokens(s).Delivery = Delivery{Kind: externalSecret} },
		},
		"store fails": {
			state: func(s *State) {
				s.Stores[0].Conditions = ready("False", "InvalidProviderConfig", "unable to create client")
			},
			want: "error VG5109: SecretStore apps/shop in kind is not ready: unable to create client (InvalidProviderConfig)", line: 30,
		},
		"store gone": {
			state: func(s *State) { s.Stores[0] = Store{Kind: "ClusterSecretStore", Name: "shop", State: value.Absent} },
			want:  "error VG5109: ClusterSecretStore shop in kind does not exist", line: 30,
		},
		"store not seen": {
			state: func(s *State) { s.Stores[0].Conditions = nil },
			want:  "error VG5109: SecretStore apps/shop in kind was never reconciled", line: 30,
		},
		"store may not be read": {
			state: func(s *State) { s.Stores[0] = Store{Kind: "SecretStore", Namespace: "apps", Name: "shop"} },
		},

		// The certificate.
		"another is newer": {
			state: func(s *State) { s.Certificates[0].Newest = "cd" },
			want:  "warning VG5111: the certificate is not the newest of controller sealed/controller in kind", line: 40,
		},
		"the newest is not known": {
			state: func(s *State) {
				s.Certificates[0].Newest, s.Certificates[0].Unknown = "", noController("cluster kind has no Service x")
			},
			want: "warning VG5112: whether the certificate is the newest of controller sealed/controller in kind is not known: cluster kind has no Service x", line: 40,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := testPlan(), testState()
			if test.plan != nil {
				test.plan(p)
			}
			if test.state != nil {
				test.state(s)
			}
			var h tree.History
			if test.lock != "" {
				h = history(t, p, test.lock)
			}
			r, ds := Verify(p, s, h, now)
			var got []string
			for i, d := range ds {
				got = append(got, fmt.Sprintf("%s %s: %s", d.Severity, d.Code, d.Message))
				if d.Hint == "" || i == 0 && (len(d.Pos) == 0 || d.Pos[0].Line != test.line) {
					t.Errorf("at %v, with the hint %q: %s", d.Pos, d.Hint, d.Message)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			checkHidden(t, r, ds)
		})
	}
}

// TestReport: what is told of each secret and key.
func TestReport(t *testing.T) {
	t.Parallel()
	p, s := testPlan(), testState()
	s.Secrets[0].Data["extra"] = value.New([]byte(canaries["token"]))
	s.Secrets[1] = Live{Delivery: Delivery{Kind: externalSecret}}
	p.Secrets = append(p.Secrets, plan.Secret{Namespace: "apps", Name: "z", Keys: p.Secrets[0].Keys[3:4], Delivery: plan.Delivery{Kind: plan.Direct}})
	s.Secrets = append(s.Secrets, Live{State: value.Absent})
	r, _ := Verify(p, s, history(t, p, "{password: {changed: 2029-12-30T00:00:00Z}, url: {changed: 2029-09-01T00:00:00Z}}"), now)
	checkHidden(t, r)
	if r.Cluster != "kind" {
		t.Errorf("cluster %q", r.Cluster)
	}
	var got []string
	for _, s := range r.Secrets {
		got = append(got, fmt.Sprintf("%s/%s: %s, %s %q %v", s.Namespace, s.Name, s.Verdict, s.Delivery, s.DeliveryState, s.Owners))
		for _, k := range s.Keys {
			bytes, changed := "-", "-"
			if k.Bytes != nil {
				bytes = fmt.Sprint(*k.Bytes)
			}
			if k.Changed != nil {
				changed = k.Changed.Format(time.DateOnly)
			}
			got = append(got, fmt.Sprintf("  %s: %s, %s bytes, of %q, %s", k.Name, k.State, bytes, k.MadeFrom, changed))
		}
	}
	want := []string{
		`apps/sealed: not ok, SealedSecret "delivered" [SealedSecret/sealed]`,
		`  certificate: present, 18 bytes, of "CERTIFICATE", 2029-12-23`,
		`  host: present, 11 bytes, of "HOST", 2029-12-23`,
		`  literal: present, 1 bytes, of "a literal", 2029-12-23`,
		`  optional: absent, - bytes, of "OPTIONAL", -`,
		`  password: present, 26 bytes, of "PASSWORD", 2029-12-30`,
		`  url: present, 25 bytes, of "a template over PASSWORD", 2029-09-01`,
		`  with: absent, - bytes, of "a template over OPTIONAL", -`,
		`  [not shown]: undeclared, 25 bytes, of "", 2029-12-23`,
		`apps/tokens: unknown, ExternalSecret "unknown" []`,
		`  token: unknown, - bytes, of "TOKEN", -`,
		`apps/z: left out,  "" []`,
		`  optional: absent, - bytes, of "OPTIONAL", -`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	brief, err := json.Marshal(r.Brief())
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"bytes", "changed", "created", "owners"} {
		if strings.Contains(string(brief), field) {
			t.Errorf("the brief report has %s", field)
		}
	}
	if r.Secrets[0].Owners == nil || r.Secrets[0].Keys[0].Bytes == nil {
		t.Error("the report is brief itself")
	}
}

// TestStaleIsNotOK: a secret with a value that is too old is not ok, though the
// diagnostic is about the input.
func TestStaleIsNotOK(t *testing.T) {
	t.Parallel()
	p, s := testPlan(), testState()
	s.Secrets[0].Changed = now.Add(-100 * days)
	if r, _ := Verify(p, s, tree.History{}, now); r.Secrets[0].Verdict != VerdictNotOK || r.Secrets[1].Verdict != VerdictOK {
		t.Errorf("%s, %s", r.Secrets[0].Verdict, r.Secrets[1].Verdict)
	}
}

func TestReuse(t *testing.T) {
	t.Parallel()
	base := func(environment string) (*plan.Plan, *State) {
		p, s := testPlan(), testState()
		p.Environment = environment
		for _, live := range s.Secrets {
			for key, v := range live.Data {
				if key != "literal" && key != "host" {
					live.Data[key] = value.New([]byte(environment + string(v.Reveal())))
				}
			}
		}
		return p, s
	}
	same := func(s *State, secret int, key, text string) { s.Secrets[secret].Data[key] = value.New([]byte(text)) }
	shared := plan.Remote{Name: "/shared/dsn"}
	both := func(p *plan.Plan, f func(in *plan.Input)) {
		for i := range p.Inputs {
			f(&p.Inputs[i])
		}
	}
	for name, test := range map[string]struct {
		change         func(p, q *plan.Plan, s, r *State)
		first, another string
	}{
		"nothing": {},
		"in one environment": {
			change: func(_, _ *plan.Plan, s, _ *State) {
				same(s, 0, "password", canaries["token"])
				same(s, 1, "token", canaries["token"])
			},
			first: `the same value in kind: PASSWORD of production (key "password" of secret apps/sealed) and TOKEN of production (key "token" of secret apps/tokens)`,
		},
		"in both": {
			change: func(_, _ *plan.Plan, s, r *State) {
				same(s, 0, "password", canaries["token"])
				same(r, 0, "password", canaries["token"])
			},
			first:   `the same value in kind: PASSWORD of production (key "password" of secret apps/sealed) and PASSWORD of staging (key "password" of secret apps/sealed)`,
			another: `the same value in kind: PASSWORD of production (key "password" of secret apps/sealed) and PASSWORD of staging (key "password" of secret apps/sealed)`,
		},
		"short": {
			change: func(_, _ *plan.Plan, s, r *State) {
				same(s, 0, "password", "1234567")
				same(r, 0, "password", "1234567")
			},
		},
		"one input in two keys": {
			change: func(p, _ *plan.Plan, s, _ *State) {
				p.Secrets[1].Keys[0].Input = "PASSWORD"
				same(s, 0, "password", canaries["token"])
				same(s, 1, "token", canaries["token"])
			},
		},
		"settings": {
			change: func(p, q *plan.Plan, _, _ *State) {
				*p.Inputs[1].Default = "db.internal"
				q.Inputs[1].Default = p.Inputs[1].Default
			},
		},
		"of a list": {
			change: func(p, q *plan.Plan, s, r *State) {
				for _, p := range []*plan.Plan{p, q} {
					both(p, func(in *plan.Input) { in.Constraints.OneOf = []string{canaries["token"]} })
				}
				same(s, 0, "password", canaries["token"])
				same(r, 0, "password", canaries["token"])
			},
		},
		"one remote": {
			change: func(p, q *plan.Plan, s, r *State) {
				for _, p := range []*plan.Plan{p, q} {
					both(p, func(in *plan.Input) { in.Source, in.Remote = "default", shared })
				}
				same(s, 0, "password", canaries["token"])
				same(s, 1, "token", canaries["token"])
				same(r, 0, "password", canaries["token"])
			},
		},
		"one remote of two sources": {
			change: func(p, q *plan.Plan, s, r *State) {
				for _, p := range []*plan.Plan{p, q} {
					both(p, func(in *plan.Input) { in.Source, in.Remote = "default", shared })
				}
				q.Sources[0].Region = "elsewhere"
				same(s, 0, "password", canaries["token"])
				same(r, 1, "token", canaries["token"])
			},
			first:   `the same value in kind: PASSWORD of production (key "password" of secret apps/sealed) and TOKEN of staging (key "token" of secret apps/tokens)`,
			another: `the same value in kind: PASSWORD of production (key "password" of secret apps/sealed) and TOKEN of staging (key "token" of secret apps/tokens)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := base("production")
			q, r := base("staging")
			if test.change != nil {
				test.change(p, q, s, r)
			}
			var reuse Reuse
			reuse.Add(2, q, r)
			reuse.Add(0, p, s)
			all := reuse.Diagnostics()
			for i, want := range []string{test.first, "", test.another} {
				got := ""
				for _, d := range all[i] {
					got += d.Message
					if d.Code != plan.CodeReused || d.Severity != plan.Error || len(d.Pos) == 0 {
						t.Errorf("%+v", d)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%d (-want +got)\n%s", i, diff)
				}
				checkHidden(t, all[i])
			}
		})
	}
}

// TestPreviousOverdue: what has had its time and is still in the tree is told, and is no
// drift.
func TestPreviousOverdue(t *testing.T) {
	t.Parallel()
	p, s := testPlan(), testState()
	i := slices.IndexFunc(p.Inputs, func(in plan.Input) bool { return in.Name == "PASSWORD" })
	p.Inputs[i].Generate = &plan.Generate{Kind: plan.Password, Length: 32, KeepPrevious: 24 * time.Hour}
	p.Secrets[0].Keys = slices.Insert(p.Secrets[0].Keys, 5, plan.Key{Name: "previous", Input: "PASSWORD.previous", Pos: at(18)})
	lock := func(replaced time.Time) tree.History {
		t.Helper()
		text := "version: 2\nenvironment: production\nfiles: [s.yaml]\ninputs:\n  PASSWORD.previous: {place: x, present: true, replaced: " + replaced.Format(time.RFC3339) + "}\n" +
			"secrets:\n  - {namespace: apps, name: sealed, file: s.yaml, keys: {previous: {changed: 2029-12-30T00:00:00Z}}}\n"
		h, ds := (&tree.Tree{Files: map[string][]byte{tree.LockFile: []byte(text)}}).History(p)
		if ds != nil {
			t.Fatal(ds)
		}
		return h
	}
	s.Secrets[0].Data["previous"] = value.New([]byte(canaries["token"] + "-before"))
	if _, ds := Verify(p, s, lock(now.Add(-23*time.Hour)), now); strings.Contains(fmt.Sprint(ds), "previous") {
		t.Errorf("while it counts: %v", ds)
	}
	_, ds := Verify(p, s, lock(now.Add(-25*time.Hour)), now)
	var said []string
	for _, d := range ds {
		if strings.Contains(d.Message, "previous") {
			said = append(said, fmt.Sprint(d.Code, " ", d.Message))
		}
	}
	want := "VG2128 the previous value of PASSWORD counted until " + now.Add(-time.Hour).UTC().Format(time.RFC3339) + ", and is still in the tree"
	if len(said) != 1 || said[0] != want {
		t.Errorf("after its time: %v", said)
	}
}
