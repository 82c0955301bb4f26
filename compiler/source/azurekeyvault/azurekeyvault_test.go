package azurekeyvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/importertest"
)

// open returns a source on s.
func (s *server) open() *Source {
	src := New(plan.Source{Name: "default", Kind: plan.AzureKeyVault, Vault: s.http.URL})
	src.second = second
	return src
}

// change changes the server's state.
func (s *server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// put adds a version as someone else would.
func (s *server) put(name, value string) (v *version) {
	s.change(func() { v = s.add(name, value, nil) })
	return v
}

// claim adds a version as another build's Create would.
func (s *server) claim(name, value string) {
	s.change(func() { s.add(name, value, map[string]string{"generated-by": "victorgen"}) })
}

// current is the value that everyone reads from now on.
func (s *server) current(name string) (value string) {
	s.change(func() {
		versions := s.secrets[name].versions
		value = versions[len(versions)-1].value
	})
	return value
}

func ref(name string) source.Ref {
	return source.Ref{Input: "AN_INPUT", Remote: plan.Remote{Name: name}}
}

func pinned(name, version string) source.Ref {
	return source.Ref{Input: "AN_INPUT", Remote: plan.Remote{Name: name, Version: version}}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		t.Parallel()
		s := newServer(t)
		name := func(input string) string { return strings.ReplaceAll(strings.ToLower(input), "_", "-") }
		return &sourcetest.Store{
			Open:   func() source.Source { return s.open() },
			Put:    func(input string, v []byte) { s.put(name(input), string(v)) },
			Remote: func(input string) plan.Remote { return plan.Remote{Name: name(input)} },
			Batch:  1, Ages: true, Empty: true, MaxValue: maxValue, Second: second,
			Wire: &sourcetest.Wire{
				Calls: func() (n int) {
					s.change(func() { n = s.calls })
					return n
				},
				Throttle: func(n int) { s.change(func() { s.throttle = n }) },
				Deny:     func(input string) { s.change(func() { s.denied[name(input)] = true }) },
				Forbid:   func() { s.refusing(noPolicy, "set") },
				Expire:   func() { s.refusing(expired, "get list set") },
				Hang: func() <-chan struct{} {
					arrived := make(chan struct{})
					s.change(func() { s.hang = arrived })
					return arrived
				},
				Down: s.http.Close,
				Retire: func(input string) {
					s.change(func() {
						for _, v := range s.secrets[name(input)].versions {
							v.enabled = false
						}
					})
				},
			},
		}
	})
}

// refusing lets the server refuse calls that need one of the permissions.
func (s *server) refusing(f *fault, permissions string) {
	s.change(func() {
		s.refuse = func(permission string) *fault {
			if strings.Contains(permissions, permission) {
				return f
			}
			return nil
		}
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first := s.put("db", "one")
	off := s.put("db", "two")
	for range 2 * pageSize {
		s.put("db", "three")
	}
	last := s.put("db", "four")
	s.change(func() {
		off.enabled = false
		first.created -= 500
		first.updated += 500 // someone has tagged it
		last.created += 500
	})
	const unknown = "00000000000000000000000000000000"
	refs := []source.Ref{ref("db"), pinned("db", first.id), pinned("db", off.id), pinned("db", unknown), pinned("none", unknown)}
	type answer struct {
		Value, Origin string
		Changed       int64
		Err           string
	}
	id := s.http.URL + "/secrets/db"
	want := []answer{
		{Value: "four", Origin: id + "/" + last.id, Changed: last.created},
		{Value: "one", Origin: id + "/" + first.id, Changed: first.created},
		{Origin: id + "/" + off.id, Changed: off.created, Err: "it is disabled"},
		{Origin: id, Err: "absent"},
		{Origin: s.http.URL + "/secrets/none", Err: "absent"},
	}
	told := func(answers []source.Answer) (told []answer) {
		for _, a := range answers {
			got := answer{Value: string(a.Value.Reveal()), Origin: a.Origin}
			if a.Err != nil {
				got.Err = a.Err.Error()
			}
			if !a.Changed.IsZero() {
				got.Changed = a.Changed.Unix()
			}
			told = append(told, got)
		}
		return told
	}
	proved := told(source.Prove(t.Context(), s.open(), refs))
	for i := range want {
		v := want[i].Value
		want[i].Value = ""
		if diff := cmp.Diff(want[i], proved[i]); diff != "" {
			t.Errorf("prove %s: %s", refs[i], diff)
		}
		want[i].Value = v
	}
	want[2].Origin, want[2].Changed = id, 0 // nothing but that is said of a disabled one
	for i, got := range told(source.Read(t.Context(), s.open(), refs)) {
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("read %s: %s", refs[i], diff)
		}
	}
}

// TestAgree plays through how builds that race come to one value.
func TestAgree(t *testing.T) {
	t.Parallel()
	// once runs f before the first call that needs the permission.
	once := func(s *server, permission string, f func()) {
		s.before = func(p string) {
			if p == permission {
				s.change(func() { s.before = nil })
				f()
			}
		}
	}
	create := func(t *testing.T, s *server, v string) {
		if _, err := s.open().Create(t.Context(), ref("db"), value.New([]byte(v))); err != nil {
			t.Error(err)
		}
	}
	for _, test := range []struct {
		name  string
		setup func(*testing.T, *server)
		want  string
	}{
		{"nobody else", func(*testing.T, *server) {}, "ours"},
		{"a build that is done when our late value arrives", func(t *testing.T, s *server) {
			once(s, "set", func() { create(t, s, "theirs") })
		}, "theirs"},
		{"a build that came first and died", func(t *testing.T, s *server) {
			once(s, "set", func() {
				s.claim("db", "theirs")
				s.change(func() { s.secrets["db"].versions[0].created-- })
			})
		}, "theirs"},
		{"a build that came second", func(t *testing.T, s *server) {
			once(s, "list", func() { s.claim("db", "theirs") })
		}, "ours"},
		{"a build that has claimed it before we look", func(t *testing.T, s *server) { s.claim("db", "theirs") }, "theirs"},
		{"a build that came second and has claimed it before we look", func(t *testing.T, s *server) {
			s.claim("db", "first")
			s.change(func() { s.secrets["db"].versions[0].created-- })
			s.claim("db", "second")
		}, "first"},
		{"a person who comes later", func(t *testing.T, s *server) {
			once(s, "list", func() { s.put("db", "theirs") })
		}, "theirs"},
		{"a person who came before a late build", func(t *testing.T, s *server) {
			once(s, "list", func() {
				s.put("db", "theirs")
				s.claim("db", "late")
			})
		}, "theirs"},
		{"a person who empties it", func(t *testing.T, s *server) {
			once(s, "list", func() { s.put("db", "") })
		}, ""},
		{"a person who has set it", func(t *testing.T, s *server) { s.put("db", "theirs") }, "theirs"},
		{"a value that was emptied", func(t *testing.T, s *server) {
			s.claim("db", "oldest")
			s.put("db", "old")
			s.put("db", "")
			s.change(func() {
				for i, v := range s.secrets["db"].versions {
					v.created -= int64(100 - i)
				}
			})
		}, "ours"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			test.setup(t, s)
			a, err := s.open().Create(t.Context(), ref("db"), value.New([]byte("ours")))
			if got := string(a.Value.Reveal()); got != test.want || (err == nil) != (got != "") {
				t.Errorf("create returns %q, %v", got, err)
			}
			if got := s.current("db"); got != test.want {
				t.Errorf("the vault holds %q", got)
			}
		})
	}
}

// TestReadClaim: a reader does not take a value that may lose.
func TestReadClaim(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.claim("db", "loser")
	var reads int
	s.change(func() {
		s.secrets["db"].versions[0].created += 60 // so that the test may be slow
		s.before = func(string) {
			if reads++; reads == 2 {
				s.put("db", "winner")
			}
		}
	})
	if a := s.open().Read(t.Context(), []source.Ref{ref("db")})[0]; string(a.Value.Reveal()) != "winner" {
		t.Errorf("read returns %q, %v", a.Value.Reveal(), a.Err)
	}

	// One that is a second old may still lose.
	s.claim("young", "loser")
	young := 0
	s.change(func() {
		s.secrets["young"].versions[0].created--
		s.before = func(string) {
			if young++; young == 2 {
				s.put("young", "winner")
			}
		}
	})
	if a := s.open().Read(t.Context(), []source.Ref{ref("young")})[0]; string(a.Value.Reveal()) != "winner" {
		t.Errorf("read of a young claim returns %q, %v", a.Value.Reveal(), a.Err)
	}

	s.change(func() { s.before = func(string) { reads++ } })
	s.claim("old", "stands")
	s.change(func() { s.secrets["old"].versions[0].created -= 60 })
	reads = 10
	if a := s.open().Read(t.Context(), []source.Ref{ref("old")})[0]; string(a.Value.Reveal()) != "stands" || reads != 11 {
		t.Errorf("%d reads return %q, %v", reads-10, a.Value.Reveal(), a.Err)
	}
}

// TestCancelledClaim: a build that is interrupted while it waits says so.
func TestCancelledClaim(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	src := s.open()
	src.second = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := src.Create(ctx, ref("db"), value.New([]byte("ours"))); !errors.Is(err, source.ErrUnreadable) {
		t.Error(err)
	}
}

func (s *server) versionsOf(name string) (versions []*version) {
	s.change(func() {
		if sec := s.secrets[name]; sec != nil {
			versions = sec.versions
		}
	})
	return versions
}

// TestDeleted: what is deleted, but not for good, is absent, and can't be
// created.
func TestDeleted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("db", "old")
	s.change(func() { s.secrets["db"].deleted = true })
	src := s.open()
	for _, a := range []source.Answer{src.Read(t.Context(), []source.Ref{ref("db")})[0], src.Prove(t.Context(), []source.Ref{ref("db")})[0]} {
		if !errors.Is(a.Err, source.ErrAbsent) {
			t.Error(a.Err)
		}
	}
	want := &source.Failure{
		Reason: "it is deleted, but its name is reserved while it can be recovered",
		Remedy: "recover it with `az keyvault secret recover`, or purge it with `az keyvault secret purge`",
	}
	for _, write := range []func(context.Context, source.Ref, value.Value) (source.Answer, error){src.Create, src.Replace} {
		_, err := write(t.Context(), ref("db"), value.New([]byte("ours")))
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		fault      *fault
		permission string
		want       source.Failure
	}{
		{"no role to read", noRole, "get", source.Failure{
			Reason: "access is denied: Caller is not authorized to perform action on resource. If role assignments, deny assignments or role definitions were changed recently, please observe propagation time. Caller: appid=a;oid=b;iss=c Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'",
			Remedy: "grant the role Key Vault Secrets User, which has secrets/get, on the vault or the secret",
		}},
		{"no role to list", &fault{http.StatusForbidden, "Forbidden", "No.", "ForbiddenByRbac"}, "list", source.Failure{
			Reason: "access is denied: No", Remedy: "grant the role Key Vault Reader, which has secrets/list, on the vault or the secret",
		}},
		{"no role to write", &fault{http.StatusForbidden, "Forbidden", "No.", "ForbiddenByRbac"}, "set", source.Failure{
			Reason: "access is denied: No", Remedy: "grant the role Key Vault Secrets Officer, which has secrets/set, on the vault or the secret",
		}},
		{"no access policy", noPolicy, "set", source.Failure{
			Reason: "access is denied: The user, group or application 'appid=a;oid=b' does not have secrets set permission on key vault 'c;location=d'",
			Remedy: "allow secrets/set with `az keyvault set-policy --secret-permissions set`",
		}},
		{"a login that is refused without a word", &fault{http.StatusUnauthorized, "", "", ""}, "get", source.Failure{
			Reason: "the login is refused", Remedy: "log in again, to the tenant of the vault: `az login --tenant TENANT`",
		}},
		{"firewall", firewall, "get", source.Failure{
			Reason: "the network of the vault is closed to this machine: Client address is not authorized and caller is not a trusted service. Client address: 192.0.2.1",
			Remedy: "allow its address with `az keyvault network-rule add`, or build where the vault can be reached",
		}},
		{"throttled to the end", isThrottled, "get", source.Failure{
			Reason: "Azure throttles the calls", Remedy: "try again in a minute",
		}},
		{"unavailable to the end", &fault{http.StatusServiceUnavailable, "ServiceUnavailable", "", ""}, "list", source.Failure{
			Reason: "the service fails: 503 Service Unavailable", Remedy: "try again later",
		}},
		{"another resource", &fault{http.StatusNotFound, "NotFound", "No such page.", ""}, "get", source.Failure{
			Reason: "it is refused: 404 Not Found NotFound No such page", Remedy: "is there a vault at URL?",
		}},
		{"a bad value", &fault{http.StatusBadRequest, "BadParameter", "It can't be c4nary.", ""}, "set", source.Failure{
			Reason: "it is refused: 400 Bad Request BadParameter", Remedy: "a value there has at most 25,600 bytes",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.refusing(test.fault, test.permission)
			src := s.open()
			var err error
			switch test.permission {
			case "get":
				err = src.Read(t.Context(), []source.Ref{ref("db")})[0].Err
			case "list":
				err = src.Prove(t.Context(), []source.Ref{ref("db")})[0].Err
			case "set":
				_, err = src.Create(t.Context(), ref("db"), value.New([]byte("ours")))
			}
			test.want.Unreadable = true
			test.want.Remedy = strings.ReplaceAll(test.want.Remedy, "URL", s.http.URL)
			if diff := cmp.Diff(error(&test.want), err); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNoVault: what isn't a vault holds nothing, which is not to say that
// something is absent; and what it says is not repeated.
func TestNoVault(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"no page": http.NotFound,
		"a page":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>c4nary") },
		"another object": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"attributes": {"created": 5081503.7}}`) // package json quotes numbers
		},
		"another challenge": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="c4nary"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewTLSServer(answer)
			t.Cleanup(s.Close)
			a := New(plan.Source{Vault: s.URL}).Read(t.Context(), []source.Ref{ref("db")})[0]
			if !errors.Is(a.Err, source.ErrUnreadable) || strings.Contains(a.Err.Error(), "c4nary") || strings.Contains(a.Err.Error(), "5081503") {
				t.Error(a.Err)
			}
		})
	}
}

func TestNotText(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.open().Create(t.Context(), ref("db"), value.New([]byte{0xff})); err == nil || len(s.versionsOf("db")) > 0 {
		t.Errorf("%v, %d versions", err, len(s.versionsOf("db")))
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"acme-production":                      "https://acme-production.vault.azure.net",
		"Acme":                                 "https://acme.vault.azure.net",
		"https://acme.vault.azure.cn":          "https://acme.vault.azure.cn",
		"https://acme.vault.azure.cn/":         "https://acme.vault.azure.cn",
		"https://127.0.0.1:8443":               "https://127.0.0.1:8443",
		"http://acme.vault.azure.net":          "",
		"https://u:p@acme.vault.azure.net":     "",
		"https://acme.vault.azure.net/secrets": "",
		"https://acme.vault.azure.net?a=b":     "",
		"https://:8443":                        "",
		"acme.vault.azure.net":                 "",
		"a":                                    "",
		"acme_production":                      "",
		"":                                     "",
	} {
		got := ""
		u, err := address(name)
		if err == nil {
			got = u.String()
		} else if !errors.Is(err, source.ErrUnreadable) {
			t.Errorf("%q: %v", name, err)
		}
		if got != want {
			t.Errorf("%q is %q, not %q", name, got, want)
		}
	}
}

// TestLoopback: the check that protects tokens is off on this machine alone.
func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true,
		"acme.vault.azure.net": false, "localhost.example": false, "127.0.0.1.example": false, "0.0.0.0": false, "10.0.0.1": false, "": false,
	} {
		if loopback(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	s := newServer(t)
	s.put("db", "v")
	src := New(plan.Source{})
	if a := src.Read(t.Context(), []source.Ref{ref("db")})[0]; !errors.Is(a.Err, source.ErrUnreadable) {
		t.Error(a.Err)
	}
	if _, err := src.Create(t.Context(), ref("db"), value.New([]byte("ours"))); err == nil {
		t.Error("created nowhere")
	}
	t.Setenv("AZURE_KEY_VAULT", s.http.URL)
	if a := New(plan.Source{}).Read(t.Context(), []source.Ref{ref("db")})[0]; a.Err != nil {
		t.Error(a.Err)
	}
}

// TestLogin: whatever is wrong with the login is said in a line, and found out
// once for all inputs.
func TestLogin(t *testing.T) {
	const remedy = "run `az login`; elsewhere use a managed or a workload identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
	for _, test := range []struct {
		name, credentials, az string
		resource              string
		want                  source.Failure
	}{
		{"none", "dev", "", "", source.Failure{Reason: "not logged in to Azure", Remedy: remedy}},
		{"logged out", "dev", "Please run 'az login' to setup account.", "", source.Failure{Reason: "not logged in to Azure", Remedy: remedy}},
		{"expired", "dev", "ERROR: AADSTS700082: The refresh token has expired due to inactivity. Trace ID: 1\nCorrelation ID: 2", "", source.Failure{
			Reason: "the login to Azure is refused: AADSTS700082: The refresh token has expired due to inactivity", Remedy: remedy,
		}},
		{"no such identity", "ManagedIdentityCredential", "", "https://refused.example", source.Failure{
			Reason: "the login to Azure failed: ManagedIdentityCredential authentication failed", Remedy: remedy,
		}},
		{"no such credential", "MyOwn", "", "", source.Failure{
			Reason: `invalid AZURE_TOKEN_CREDENTIALS value "MyOwn". Valid values are "dev", "prod", or the name of any credential type in the default chain. See https://aka.ms/azsdk/go/identity/docs#DefaultAzureCredential for more information`,
			Remedy: "check AZURE_TOKEN_CREDENTIALS",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			if test.resource != "" {
				s.resource = test.resource
			}
			dir := t.TempDir()
			tries := filepath.Join(dir, "tries")
			if test.az != "" {
				script := "#!/bin/sh\necho >> '" + tries + "'\necho \"" + test.az + "\" >&2\nexit 1\n"
				if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir)
			t.Setenv("AZURE_TOKEN_CREDENTIALS", test.credentials)
			src := s.open()
			test.want.Unreadable = true
			for range 2 {
				for _, a := range src.Read(t.Context(), []source.Ref{ref("a"), ref("b"), ref("c")}) {
					if diff := cmp.Diff(error(&test.want), a.Err); diff != "" {
						t.Error(diff)
					}
				}
			}
			if b, _ := os.ReadFile(tries); test.az != "" && len(b) != 1 {
				t.Errorf("az ran %d times", len(b))
			}
		})
	}
}

// TestPreviousOfClaims: a claim that has lost was never in force, and what was
// disabled is no longer.
func TestPreviousOfClaims(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	previous := func() source.Answer { return s.open().Previous(t.Context(), []source.Ref{ref("db")}, true)[0] }
	s.claim("db", "won")
	time.Sleep(second)
	s.claim("db", "lost")
	time.Sleep(second)
	s.put("db", "won")
	if a := previous(); !errors.Is(a.Err, source.ErrAbsent) {
		t.Errorf("after a race: %v", a.Err)
	}
	time.Sleep(second)
	s.put("db", "rotated")
	if a := previous(); string(a.Value.Reveal()) != "won" {
		t.Errorf("rotated: %v", a.Err)
	}
	s.change(func() { s.secrets["db"].versions[2].enabled = false })
	if a := previous(); !errors.Is(a.Err, source.ErrAbsent) {
		t.Errorf("disabled: %v", a.Err)
	}
}

// TestImport brings what a team has to Key Vault.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	importertest.Run(t, plan.AzureKeyVault, map[string]string{"vault": s.http.URL, "prefix": "shop-"}, func(plan.Source) source.Source { return s.open() })
}
