package cluster

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestVerifyFamilies: what the cluster holds is judged against what it is made
// from, where that can be read back.
func TestVerifyFamilies(t *testing.T) {
	t.Parallel()
	child := func(name, kind string, c plan.Child) plan.Input {
		return plan.Input{Name: name, Class: plan.Generated, Generate: &plan.Generate{Kind: kind, Encoding: "pem", Child: &c}}
	}
	secretText := func(name string) plan.Input { return plan.Input{Name: name, Class: plan.Required} }
	key := func(name, input string, line int) plan.Key { return plan.Key{Name: name, Input: input, Pos: at(line)} }
	newPlan := func() *plan.Plan {
		return &plan.Plan{
			Environment: "production", PartOf: "shop", Namespace: "apps",
			Inputs: []plan.Input{
				child("CERT", plan.X509, plan.Child{Of: "KEY", Subject: "app", Lifetime: 48 * time.Hour, RenewBefore: 24 * time.Hour}),
				child("HASH", plan.Bcrypt, plan.Child{Of: "PASSWORD", Cost: 4}),
				secretText("KEY"), secretText("PASSWORD"),
				func() plan.Input {
					in := child("STORE", plan.PKCS12, plan.Child{Of: "PASSWORD", Entries: []plan.KeystoreEntry{{Alias: "a", Key: "KEY", Certificate: "CERT"}}})
					in.Encoding = plan.Base64
					return in
				}(),
				child("TOKEN", plan.JWT, plan.Child{Of: "PASSWORD", Algorithm: "HS256", Claims: "{}", Lifetime: 48 * time.Hour}),
			},
			Secrets: []plan.Secret{
				{Namespace: "apps", Name: "app", Type: "Opaque", Pos: at(10), Keys: []plan.Key{
					key("hash", "HASH", 11), key("password", "PASSWORD", 12), key("store", "STORE", 13),
					{Name: "token", Template: &plan.Template{Text: "Bearer {{.TOKEN}}", Inputs: []string{"TOKEN"}}, Pos: at(14)},
				}},
				{Namespace: "apps", Name: "tls", Type: "Opaque", Pos: at(20), Keys: []plan.Key{
					key("cert", "CERT", 21), {Name: "key", Template: &plan.Template{Text: "{{ .KEY | b64enc }}", Inputs: []string{"KEY"}}, Pos: at(22)},
				}},
				{Namespace: "db", Name: "copy", Type: "Opaque", Pos: at(30), Keys: []plan.Key{key("password", "PASSWORD", 31)}},
			},
		}
	}
	values := map[string]value.Value{"PASSWORD": value.New([]byte("c4nary two: p&ss=w?rd#3k4l, and on to 32 bytes"))}
	made := func(g plan.Generate) value.Value {
		t.Helper()
		v, err := value.Generate(g, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	values["KEY"] = made(plan.Generate{Kind: plan.Ed25519, Encoding: "pkcs8"})
	for _, name := range []string{"CERT", "HASH", "STORE", "TOKEN"} {
		in, _ := newPlan().Input(name)
		f := derive.FamilyOf(in, func(name string) value.Value { return values[name] }, now)
		f.Rand = rand.Reader
		v, err := derive.Make(f)
		if err != nil {
			t.Fatal(err)
		}
		values[name] = v
	}
	other := value.New([]byte("c4nary three: another, of 32 bytes and more"))
	for what, test := range map[string]struct {
		change func(p *plan.Plan, app, tls, db map[string]value.Value)
		later  time.Duration
		want   string // what is said of families, a line each
		bad    string // the secrets that are not ok for it
	}{
		"all is well": {},
		"another password": {change: func(_ *plan.Plan, app, _, db map[string]value.Value) { app["password"], db["password"] = other, other },
			want: "11, 12: HASH (key \"hash\" of secret apps/app in kind) does not fit PASSWORD\n" +
				"13, 21, 22, 12: STORE (key \"store\" of secret apps/app in kind, with CERT of secret apps/tls and KEY of secret apps/tls) does not fit PASSWORD\n", bad: "app"},
		"another password in one of two": {change: func(_ *plan.Plan, _, _, db map[string]value.Value) { db["password"] = other },
			want: "11, 31: HASH (key \"hash\" of secret apps/app in kind, with PASSWORD of secret db/copy) does not fit PASSWORD\n" +
				"13, 21, 22, 31: STORE (key \"store\" of secret apps/app in kind, with CERT of secret apps/tls, KEY of secret apps/tls and PASSWORD of secret db/copy) does not fit PASSWORD\n", bad: "app"},
		"another key": {change: func(_ *plan.Plan, _, tls, _ map[string]value.Value) {
			tls["key"] = value.New([]byte("c4nary"))
		}, want: ""}, // it is not valid base64, and cannot be taken back
		"a password that is not there": {change: func(_ *plan.Plan, app, _, db map[string]value.Value) {
			delete(app, "password")
			delete(db, "password")
			app["hash"] = values["CERT"]
		}},
		"a definition that has changed": {change: func(p *plan.Plan, _, _, _ map[string]value.Value) { p.Inputs[1].Generate.Child.Cost = 5 },
			want: "11, 12: HASH (key \"hash\" of secret apps/app in kind) has the cost 4, and the contract says 5\n", bad: "app"},
		"no hash at all": {change: func(_ *plan.Plan, app, _, _ map[string]value.Value) { app["hash"] = other },
			want: "11, 12: HASH (key \"hash\" of secret apps/app in kind) is not a bcrypt hash\n", bad: "app"},
		"a certificate that ends soon": {later: 24 * time.Hour, want: "21, 22: CERT (key \"cert\" of secret apps/tls in kind) ends on 2030-01-04, and is renewed 24h before that\n", bad: "tls"},
		"the same, without its key": {later: 49 * time.Hour, change: func(_ *plan.Plan, _, tls, _ map[string]value.Value) { delete(tls, "key") },
			want: "21: CERT (key \"cert\" of secret apps/tls in kind) ended on 2030-01-04\n", bad: "tls"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := newPlan()
			live := func(i int, keys map[string]value.Value) Live {
				return Live{State: value.Present, Type: "Opaque", Labels: tree.Labels(p, p.Secrets[i].Labels), Created: now, Changed: now, Data: keys}
			}
			app := map[string]value.Value{"hash": values["HASH"], "password": values["PASSWORD"], "store": values["STORE"], "token": values["TOKEN"]}
			tls := map[string]value.Value{"cert": values["CERT"], "key": value.New(base64.StdEncoding.AppendEncode(nil, values["KEY"].Reveal()))}
			db := map[string]value.Value{"password": values["PASSWORD"]}
			if test.change != nil {
				test.change(p, app, tls, db)
			}
			s := &State{Cluster: "kind", Secrets: []Live{live(0, app), live(1, tls), live(2, db)}}
			h := history(t, p, "{}")
			r, ds := Verify(p, s, h, now.Add(test.later))
			checkHidden(t, ds)
			got := ""
			for _, d := range ds {
				if d.Code != plan.CodeUnfit {
					continue
				}
				var lines []string
				for _, pos := range d.Pos {
					lines = append(lines, strconv.Itoa(pos.Line))
				}
				got += strings.Join(lines, ", ") + ": " + d.Message + "\n"
				if d.Severity != plan.Error || !strings.Contains(d.Hint, "victorgen generate") {
					t.Errorf("it is a %s with the hint %q", d.Severity, d.Hint)
				}
			}
			if got != test.want {
				t.Errorf("said\n%swant\n%s", got, test.want)
			}
			for _, s := range r.Secrets {
				missing := slices.ContainsFunc(s.Keys, func(k KeyReport) bool { return k.State == KeyAbsent })
				if bad := slices.Contains(strings.Fields(test.bad), s.Name); !missing && bad != (s.Verdict == VerdictNotOK) {
					t.Errorf("secret %s is %s", s.Name, s.Verdict)
				}
			}
		})
	}
}
