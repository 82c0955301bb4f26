package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/importertest"
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		for _, variable := range os.Environ() {
			if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "VAULT_") {
				os.Unsetenv(name)
			}
		}
		home, err := os.MkdirTemp("", "home")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(home)
		os.Setenv("HOME", home) // where ~/.vault-token would be
		os.Setenv("VAULT_TOKEN", token)
		return m.Run()
	}())
}

func TestSource(t *testing.T) {
	t.Parallel()
	for mount, version := range map[string]string{"kv": "v1", "secret": "v2", "team/kv": "v2"} {
		t.Run(mount, func(t *testing.T) {
			t.Parallel()
			sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
				t.Parallel()
				s := newServer(t)
				name := func(input string) string { return "app/" + strings.ToLower(input) }
				store := &sourcetest.Store{
					Open: func() source.Source {
						return New(plan.Source{Address: s.URL, Mount: mount, Version: version})
					},
					Put: func(input string, v []byte) {
						b, err := json.Marshal(map[string]string{"value": string(v), "user": "somebody"})
						if err != nil {
							t.Fatal(err)
						}
						s.put(mount, name(input), string(b))
					},
					Remote: func(input string) plan.Remote { return plan.Remote{Name: name(input), Property: "value"} },
					Batch:  1, Ages: version == "v2", Empty: true, MaxValue: 1 << 20, Unlimited: true, ReadOnly: version == "v1", Forgetful: version == "v1",
					Exhaustive: mount == "secret", // of those that have versions
				}
				data := mount + "/"
				if version == "v2" {
					data += "data/"
				}
				store.Wire = &sourcetest.Wire{
					Calls:    func() int { return s.count(&s.reads) },
					Throttle: func(calls int) { s.set(func() { s.throttle = calls }) },
					Deny:     func(input string) { s.set(func() { s.denied["GET "+data+name(input)] = true }) },
					Forbid:   func() { s.set(func() { s.forbidden = true }) },
					Expire:   func() { s.set(func() { s.revoked = true }) },
					Hang: func() <-chan struct{} {
						arrived := make(chan struct{}, 1)
						s.set(func() { s.hang = arrived })
						return arrived
					},
					Down: s.Close,
				}
				if version == "v2" {
					store.Wire.Retire = func(input string) {
						s.at(mount, name(input), 1, func(v *stored) { v.deleted = time.Now() })
					}
				}
				return store
			})
		})
	}
}

// ref writes a ref as a contract does: NAME?version=VERSION#PROPERTY.
func ref(remote string) source.Ref {
	var r plan.Remote
	remote, r.Property, _ = strings.Cut(remote, "#")
	r.Name, r.Version, _ = strings.Cut(remote, "?version=")
	return source.Ref{Input: "INPUT", Remote: r}
}

// said is what an answer comes to: its value, or its error with the remedy.
func said(a source.Answer, err error) string {
	var f *source.Failure
	switch {
	case err == nil && a.Err == nil:
		return string(a.Value.Reveal())
	case errors.As(errors.Join(err, a.Err), &f):
		kind := "stop"
		if f.Unreadable {
			kind = "unreadable"
		}
		return kind + ": " + f.Reason + "; " + f.Remedy
	}
	return errors.Join(err, a.Err).Error()
}

func read(ctx context.Context, s source.Source, remote string) string {
	return said(source.Read(ctx, s, []source.Ref{ref(remote)})[0], nil)
}

func prove(ctx context.Context, s source.Source, remote string) string {
	return said(source.Prove(ctx, s.(source.Prover), []source.Ref{ref(remote)})[0], nil)
}

func create(ctx context.Context, s source.Source, remote, v string) string {
	return said(s.(source.Writer).Create(ctx, ref(remote), value.New([]byte(v))))
}

func replace(ctx context.Context, s source.Source, remote, v string) string {
	return said(s.(source.Writer).Replace(ctx, ref(remote), value.New([]byte(v))))
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 5 {
		s.put("secret", "db", fmt.Sprintf(`{"value":"v%d"}`, i+1))
	}
	s.at("secret", "db", 2, func(v *stored) { v.deleted = time.Now() })
	s.at("secret", "db", 3, func(v *stored) { v.destroyed = true })
	s.at("secret", "db", 4, func(v *stored) { v.deleted = time.Now().Add(time.Hour) }) // delete_version_after
	s.at("secret", "db", 5, func(v *stored) { v.created = time.Now().Add(-90 * 24 * time.Hour) })
	const (
		deleted   = "stop: version 2 of secret/db is deleted; restore it with `vault kv undelete -mount=secret -versions=2 db`, or write a new version"
		destroyed = "stop: version 3 of secret/db is destroyed; write a new version, or forget the secret with `vault kv metadata delete -mount=secret db`"
	)
	kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	for remote, want := range map[string]string{
		"db#value": "v5", "db?version=1#value": "v1", "db?version=4#value": "v4", "db?version=6#value": "absent",
		"db?version=2#value": deleted, "db?version=3#value": destroyed, "db#other": "absent", "none#value": "absent",
	} {
		if got := read(t.Context(), kv, remote); got != want {
			t.Errorf("read %s: %s", remote, got)
		}
		if strings.HasPrefix(want, "v") || remote == "db#other" {
			want = "" // nothing is proved of properties
		}
		if got := prove(t.Context(), kv, remote); got != want {
			t.Errorf("prove %s: %s", remote, got)
		}
	}
	for _, a := range append(kv.Read(t.Context(), []source.Ref{ref("db")}), kv.(source.Prover).Prove(t.Context(), []source.Ref{ref("db")})...) {
		if days := time.Since(a.Changed).Hours() / 24; days < 89 || days > 91 || a.Origin != "Vault's secret/db" {
			t.Errorf("%s changed %.1f days ago", a.Origin, days)
		}
	}
	// That it was destroyed as the current version does not make it a new one.
	s.at("secret", "db", 5, func(v *stored) { v.destroyed = true })
	for _, got := range []string{create(t.Context(), kv, "db#value", "ours"), replace(t.Context(), kv, "db#value", "ours")} {
		if want := strings.ReplaceAll(destroyed, "3", "5"); got != want {
			t.Errorf("write: %s", got)
		}
	}
	if _, n := s.data("secret", "db"); n != 5 {
		t.Errorf("there are %d versions", n)
	}
}

// A contract that names the wrong engine must not make everything look absent,
// for absent values are generated.
func TestWrongEngine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ mount, version, want string }{
		"v1, not v2":  {"kv", "v2", `stop: the KV engine at kv is of version v1, not v2; write version: "v1" into the contract`},
		"v2, not v1":  {"secret", "v1", `stop: the KV engine at secret is of version v2, not v1; write version: "v2" into the contract`},
		"nothing":     {"none", "v2", "stop: nothing is mounted at none; write the mount of a KV engine into the contract: `vault secrets list` shows them; or set VAULT_NAMESPACE"},
		"no KV":       {"cubbyhole", "v1", "stop: the secrets engine at cubbyhole is not a KV engine; write the mount of a KV engine into the contract: `vault secrets list` shows them"},
		"too deep":    {"secret/app", "v2", `stop: the KV engine is mounted at secret, not at secret/app; write mount: "secret" into the contract, and the rest as prefix or into each remote`},
		"not so deep": {"team", "v2", "stop: nothing is mounted at team; write the mount of a KV engine into the contract: `vault secrets list` shows them; or set VAULT_NAMESPACE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			kv := New(plan.Source{Address: s.URL, Mount: test.mount, Version: test.version})
			got := map[string]string{"read": read(t.Context(), kv, "app/db#value"), "prove": prove(t.Context(), kv, "app/db#value")}
			want := map[string]string{"read": test.want, "prove": test.want}
			if test.version == "v2" {
				got["create"], want["create"] = create(t.Context(), kv, "app/db#value", "ours"), test.want
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for at, m := range s.mounts {
				if len(m.secrets) > 0 {
					t.Errorf("something was written to %s", at)
				}
			}
		})
	}
	t.Run("what v1 has looks like it", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		s.put("kv", "data/db", `{"data":{"value":"c4nary"}}`)
		kv := New(plan.Source{Address: s.URL, Mount: "kv", Version: "v2"})
		want := "stop: what is stored there is not a secret of a KV engine of version v2; check mount and version of the source"
		if got := read(t.Context(), kv, "db#value"); got != want {
			t.Error(got)
		}
	})
}

// Whether the engine is the right one is asked once, and only if it matters.
func TestCalls(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	refs := []source.Ref{ref("a/x"), ref("a/y"), ref("b/x"), ref("b/y"), ref("z")}
	for _, r := range refs {
		s.put("kv", r.Remote.Name, `{"value":"v"}`)
	}
	calls := func(kv source.Source, refs []source.Ref) int {
		before := s.count(&s.calls)
		source.Prove(t.Context(), kv.(source.Prover), refs)
		return s.count(&s.calls) - before
	}
	got := map[string]int{
		"v1, present": calls(New(plan.Source{Address: s.URL, Mount: "kv", Version: "v1"}), refs),
		"v2, absent":  calls(New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"}), refs),
	}
	want := map[string]int{"v1, present": 3, "v2, absent": 6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDenied(t *testing.T) {
	t.Parallel()
	const (
		v1 = `unreadable: access is denied; let a policy of the token say: path "kv/%s" { capabilities = [%s] }`
		v2 = `unreadable: access is denied; let a policy of the token say: path "secret/%s" { capabilities = [%s] }`
	)
	for name, test := range map[string]struct {
		denied, version, want string
		do                    func(context.Context, source.Source) string
	}{
		"read v1":              {"GET kv/app/db", "v1", fmt.Sprintf(v1, "app/db", `"read"`), func(ctx context.Context, s source.Source) string { return read(ctx, s, "app/db#value") }},
		"prove v1":             {"GET kv/app", "v1", fmt.Sprintf(v1, "app/", `"list"`), func(ctx context.Context, s source.Source) string { return prove(ctx, s, "app/db#value") }},
		"prove v1, at the top": {"GET kv", "v1", fmt.Sprintf(v1, "", `"list"`), func(ctx context.Context, s source.Source) string { return prove(ctx, s, "db#value") }},
		"read v2":              {"GET secret/data/app/db", "v2", fmt.Sprintf(v2, "data/app/db", `"read"`), func(ctx context.Context, s source.Source) string { return read(ctx, s, "app/db#value") }},
		"prove v2":             {"GET secret/metadata/app/db", "v2", fmt.Sprintf(v2, "metadata/app/db", `"read"`), func(ctx context.Context, s source.Source) string { return prove(ctx, s, "app/db#value") }},
		"create":               {"PUT secret/data/app/db", "v2", fmt.Sprintf(v2, "data/app/db", `"create", "read", "update"`), func(ctx context.Context, s source.Source) string { return create(ctx, s, "app/db#value", "ours") }},
		"replace":              {"PUT secret/data/app/db", "v2", fmt.Sprintf(v2, "data/app/db", `"create", "read", "update"`), func(ctx context.Context, s source.Source) string { return replace(ctx, s, "app/db#value", "ours") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.denied[test.denied] = true
			mount := map[string]string{"v1": "kv", "v2": "secret"}[test.version]
			if got := test.do(t.Context(), New(plan.Source{Address: s.URL, Mount: mount, Version: test.version})); got != test.want {
				t.Error(got)
			}
		})
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	for _, explicit := range []bool{true, false} {
		s := newServer(t)
		s.revoked, s.explicit = true, explicit
		kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
		for _, got := range []string{read(t.Context(), kv, "db#value"), prove(t.Context(), kv, "db#value"), create(t.Context(), kv, "db#value", "ours")} {
			if want := "unreadable: the Vault token is not valid: it has expired, or was revoked; log in with `vault login`, or renew VAULT_TOKEN; if it is good, it lacks the policy default"; got != want {
				t.Error(got)
			}
		}
		if got, want := s.count(&s.calls), map[bool]int{true: 3, false: 4}[explicit]; got != want {
			t.Errorf("%d calls, not %d: the token is looked up once, if at all", got, want)
		}
	}
}

// Answers that say nothing of the secret must not make it absent; and what is
// hopeless is not tried again.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	const strange = "unreadable: the answer is not one of Vault; check the address: see `vault status` whether Vault is there"
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"sealed":          {503, `{"errors":["Vault is sealed"]}`, "unreadable: Vault is sealed, or down for maintenance; unseal it with `vault operator unseal`: see `vault status`"},
		"upgrading":       {400, `{"errors":["Upgrading from non-versioned to versioned data."]}`, "unreadable: Vault answers 400: Upgrading from non-versioned to versioned data; check the remote name and the settings of the source, or try again later"},
		"a page":          {200, "<html>c4nary</html>", strange},
		"no such page":    {404, "<html>c4nary</html>", strange},
		"another service": {404, `{"message":"c4nary"}`, strange},
		"nothing":         {200, "", strange},
		"no object":       {200, `{"data":["c4nary"]}`, "stop: what is stored there is not a secret of a KV engine of version v2; check mount and version of the source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.status, s.body = test.status, test.body
			kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
			if got := read(t.Context(), kv, "db#value"); got != test.want {
				t.Errorf("read: %s", got)
			}
			if n := s.count(&s.calls); n > 2 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// Anyone who refuses a write may quote it.
func TestWriteErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.before = func(string) { s.set(func() { s.status, s.body = 400, `{"errors":["c4nary is not good"]}` }) }
	s.lose = 1 // so that the next try gets the answer above
	kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	want := "unreadable: Vault answers 400; check the remote name and the settings of the source, or try again later"
	if got := create(t.Context(), kv, "db#value", "c4nary"); got != want {
		t.Error(got)
	}
}

// What others have at the same path stays as it is, number for number.
func TestOtherProperties(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	s.put("secret", "db", `{"a":"<&>","big":12345678901234567890,"empty":"","m":1.50,"n":150,"null":null,"o":{"x":[1,{}]},"on":true}`)
	for remote, want := range map[string]string{"db#big": "12345678901234567890", "db#n": "150", "db#o": `{"x":[1,{}]}`, "db#on": "true", "db#o.x": "[1,{}]", "db#null": "absent"} {
		if got := read(t.Context(), kv, remote); got != want {
			t.Errorf("%s is %s", remote, got)
		}
		if want == "absent" {
			continue
		}
		if got := create(t.Context(), kv, remote, "ours"); got != want {
			t.Errorf("create %s: %s", remote, got)
		}
	}
	if _, n := s.data("secret", "db"); n != 1 {
		t.Errorf("what is there was written again: %d versions", n)
	}
	for _, do := range []func(context.Context, source.Source, string, string) string{create, replace} {
		for _, property := range []string{"empty", "null", "new", "o.y"} {
			if got := do(t.Context(), kv, "db#"+property, "ours"); got != "ours" {
				t.Errorf("%s: %s", property, got)
			}
		}
	}
	got, n := s.data("secret", "db")
	if want := `{"a":"\u003c\u0026\u003e","big":12345678901234567890,"empty":"ours","m":1.50,"n":150,"new":"ours","null":"ours","o":{"x":[1,{}]},"o.y":"ours","on":true}`; got != want || n != 9 {
		t.Errorf("version %d is %s", n, got)
	}
}

// Someone writes between our reading and writing.
func TestCheckAndSet(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		theirs string
		do     func(context.Context, source.Source, string, string) string
		want   string // of what was done
		left   string
	}{
		"create, same property":   {`{"value":"theirs"}`, create, "theirs", `{"value":"theirs"}`},
		"create, other property":  {`{"other":"theirs"}`, create, "ours", `{"other":"theirs","value":"ours"}`},
		"replace, same property":  {`{"value":"theirs"}`, replace, "ours", `{"value":"ours"}`},
		"replace, other property": {`{"other":"theirs"}`, replace, "ours", `{"other":"theirs","value":"ours"}`},
	} {
		for _, there := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", there was one: ", there), func(t *testing.T) {
				t.Parallel()
				s := newServer(t)
				if there {
					s.put("secret", "db", `{"old":"x"}`)
				}
				var once sync.Once
				s.before = func(name string) { once.Do(func() { s.put("secret", "db", test.theirs) }) }
				kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
				if got := test.do(t.Context(), kv, "db#value", "ours"); got != test.want {
					t.Error(got)
				}
				if got, _ := s.data("secret", "db"); got != test.left {
					t.Errorf("left is %s", got)
				}
			})
		}
	}
}

// A write of which the answer got lost is found to have been done.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.lose = 1
	kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	if got := create(t.Context(), kv, "db#value", "ours"); got != "ours" {
		t.Error(got)
	}
	if _, n := s.data("secret", "db"); n != 1 {
		t.Errorf("there are %d versions", n)
	}
}

// Builds that race over the properties of one path use one value of each.
func TestRaceOverOnePath(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const builds, properties = 6, 4
	var got [builds][properties]string
	var wg sync.WaitGroup
	for b := range builds {
		kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
		for p := range properties {
			wg.Go(func() { got[b][p] = create(t.Context(), kv, fmt.Sprintf("db#p%d", p), fmt.Sprintf("build %d", b)) })
		}
	}
	wg.Wait()
	want := map[string]string{}
	data, n := s.data("secret", "db")
	if err := json.Unmarshal([]byte(data), &want); err != nil || len(want) != properties || n != properties {
		t.Fatalf("version %d is %s, %v", n, data, err)
	}
	for b := range builds {
		for p := range properties {
			if got[b][p] != want[fmt.Sprintf("p%d", p)] {
				t.Errorf("build %d uses %s as p%d", b, got[b][p], p)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	s := newServer(t)
	s.put("secret", "db", `{"value":"v"}`)
	const (
		address = "unreadable: it is not known where Vault is; set VAULT_ADDR, or write address into the contract"
		login   = "unreadable: there is no Vault token; log in with `vault login`, or set VAULT_TOKEN"
		unused  = "unreadable: the settings of Vault's client can't be used: %s; check the environment variables VAULT_*"
		kept    = "unreadable: the token that `vault login` has kept can't be read; check ~/.vault-token, and at ~/.vault if there is one; or set VAULT_TOKEN"
	)
	file, ansible := filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), ".vault")
	if err := os.WriteFile(ansible, []byte("c4nary password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		address string
		env     map[string]string
		kept    string // by `vault login`
		want    string
	}{
		"no address":             {"", nil, "", address},
		"of the contract":        {s.URL, map[string]string{"VAULT_ADDR": "http://127.0.0.1:1"}, "", "v"},
		"of the environment":     {"", map[string]string{"VAULT_ADDR": s.URL}, "", "v"},
		"of an agent":            {"", map[string]string{"VAULT_AGENT_ADDR": s.URL}, "", "v"},
		"no URL":                 {"", map[string]string{"VAULT_ADDR": "http://u:c4nary@host:c4nary"}, "", fmt.Sprintf(unused, "the address of Vault is not a valid URL")},
		"bad number":             {s.URL, map[string]string{"VAULT_MAX_RETRIES": "many"}, "", fmt.Sprintf(unused, "VAULT_MAX_RETRIES is not a number of retries")},
		"no such file":           {s.URL, map[string]string{"VAULT_CACERT": file}, "", fmt.Sprintf(unused, "VAULT_CACERT can't be read: open "+file+": no such file or directory")},
		"no token":               {s.URL, map[string]string{"VAULT_TOKEN": ""}, "", login},
		"token of a login":       {s.URL, map[string]string{"VAULT_TOKEN": ""}, token + "\n", "v"},
		"that of VAULT_TOKEN":    {s.URL, nil, "another", "v"},
		"token that is no token": {s.URL, map[string]string{"VAULT_TOKEN": "c4nary\x01"}, "", fmt.Sprintf(unused, "the token has characters that can't be printed")},
		"settings of a login":    {s.URL, map[string]string{"VAULT_TOKEN": "", "VAULT_CONFIG_PATH": filepath.Dir(file)}, "", kept},
		"those of Ansible":       {s.URL, map[string]string{"VAULT_TOKEN": "", "VAULT_CONFIG_PATH": ansible}, "", kept},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, v := range test.env {
				t.Setenv(variable, v)
			}
			if kept := filepath.Join(os.Getenv("HOME"), ".vault-token"); test.kept != "" {
				if err := os.WriteFile(kept, []byte(test.kept), 0o600); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(kept)
			}
			kv := New(plan.Source{Address: test.address, Mount: "secret", Version: "v2"})
			if got := read(t.Context(), kv, "db#value"); got != test.want {
				t.Error(got)
			}
		})
	}
	t.Run("wrapped", func(t *testing.T) {
		t.Setenv("VAULT_WRAP_TTL", "5m")
		read(t.Context(), New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"}), "db#value")
		if got := s.header.Get("X-Vault-Wrap-Ttl"); got != "" {
			t.Errorf("the answer is to be wrapped for %s", got)
		}
	})
	t.Run("namespace", func(t *testing.T) {
		t.Setenv("VAULT_NAMESPACE", "team-a")
		read(t.Context(), New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"}), "db#value")
		if got := s.header.Get("X-Vault-Namespace"); got != "team-a" {
			t.Errorf("the namespace is %q", got)
		}
	})
}

func TestUntrusted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	tls := newTLS(t, s)
	kv := New(plan.Source{Address: tls.URL, Mount: "secret", Version: "v2"})
	want := "unreadable: its TLS certificate is not trusted; name its authority: VAULT_CACERT for this machine, and caBundle in the contract for the operator too"
	if got := read(t.Context(), kv, "db#value"); got != want {
		t.Error(got)
	}
}

// TestPreviousOfProperty: a version in which another property has changed is not
// the one before, and none that is deleted is.
func TestPreviousOfProperty(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, v := range []string{`{"a":"1","b":"x"}`, `{"a":"2","b":"x"}`, `{"a":"2","b":"y"}`, `{"a":"2","b":"z"}`} {
		s.put("secret", "app/db", v)
	}
	s.at("secret", "app/db", 2, func(v *stored) { v.created = v.created.Add(-time.Hour) })
	s.at("secret", "app/db", 1, func(v *stored) { v.created = v.created.Add(-2 * time.Hour) })
	previous := func(remote string) source.Answer {
		src := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
		return source.Previous(t.Context(), src, []source.Ref{ref(remote)}, true)[0]
	}
	a := previous("app/db#a")
	if said(a, nil) != "1" || time.Since(a.Changed) < 50*time.Minute {
		t.Errorf("a: %s, replaced %v", said(a, nil), a.Changed)
	}
	if a := previous("app/db#b"); said(a, nil) != "y" || time.Since(a.Changed) > time.Minute {
		t.Errorf("b: %s, replaced %v", said(a, nil), a.Changed)
	}
	s.at("secret", "app/db", 1, func(v *stored) { v.deleted = time.Now() })
	if a := previous("app/db#a"); !errors.Is(a.Err, source.ErrAbsent) {
		t.Errorf("deleted: %v", a.Err)
	}
}

// TestImport brings what a team has to Vault.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	importertest.Run(t, plan.Vault, map[string]string{"address": s.URL, "mount": "secret", "prefix": "shop/"}, func(at plan.Source) source.Source { return New(at) })
}
