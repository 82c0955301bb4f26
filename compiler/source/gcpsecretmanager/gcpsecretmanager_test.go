package gcpsecretmanager

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/importertest"
)

func remote(input string) plan.Remote {
	return plan.Remote{Name: "app-" + strings.ToLower(strings.ReplaceAll(input, "_", "-"))}
}

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		s := newServer(t)
		return &sourcetest.Store{
			Open:     func() source.Source { return s.open() },
			Put:      func(input string, v []byte) { s.put(remote(input).Name, v) },
			Remote:   remote,
			Batch:    1,
			Ages:     true,
			Bytes:    true,
			MaxValue: 64 << 10,
			Wire: &sourcetest.Wire{
				Calls:    func() int { return s.count("AccessSecretVersion") },
				Throttle: func(calls int) { s.set(func() { s.throttle = calls }) },
				Deny:     func(input string) { s.set(func() { s.denied[remote(input).Name] = true }) },
				Forbid:   func() { s.forbid("CreateSecret", "AddSecretVersion") },
				Expire:   func() { s.set(func() { s.refuse = expired(t) }) },
				Hang: func() <-chan struct{} {
					arrived := make(chan struct{})
					s.set(func() { s.hang = arrived })
					return arrived
				},
				Down:   s.web.Close,
				Retire: func(input string) { s.retire(remote(input).Name, secretmanagerpb.SecretVersion_DISABLED) },
			},
		}
	})
}

func ref(version string) source.Ref {
	return source.Ref{Input: "DB", Remote: plan.Remote{Name: "db", Version: version}}
}

// say is an answer in a few words.
func say(a source.Answer) string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return string(a.Value.Reveal())
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("db", []byte("first"))
	s.put("db", []byte("second"))
	s.put("db", []byte("third"))
	s.retire("db", secretmanagerpb.SecretVersion_DESTROYED)
	s.put("db", []byte("fourth"))
	got := map[string][2]string{}
	for _, version := range []string{"", "1", "2", "3", "5"} {
		read := source.Read(t.Context(), s.open(), []source.Ref{ref(version)})[0]
		proved := source.Prove(t.Context(), s.open(), []source.Ref{ref(version)})[0]
		got[version] = [2]string{say(read), say(proved)}
		if origin := "secret " + ref(version).Remote.String() + " of project " + project; version != "3" && (read.Origin != origin || proved.Origin != origin) {
			t.Errorf("version %q is in %q and %q", version, read.Origin, proved.Origin)
		}
	}
	want := map[string][2]string{
		"":  {"fourth", ""},
		"1": {"first", ""},
		"2": {"second", ""},
		"3": {"Secret Version [projects/" + number + "/secrets/db/versions/3] is in DESTROYED state", "version 3 is DESTROYED"},
		"5": {"absent", "absent"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestOneRight: roles/secretmanager.secretAccessor is enough to read, which
// then tells no age, and roles/secretmanager.viewer to prove.
func TestOneRight(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("db", []byte("v"))
	s.forbid("GetSecretVersion")
	if a := source.Read(t.Context(), s.open(), []source.Ref{ref("")})[0]; say(a) != "v" || !a.Changed.IsZero() {
		t.Errorf("read %q of %v", say(a), a.Changed)
	}
	a := source.Prove(t.Context(), s.open(), []source.Ref{ref("")})[0]
	if f := failed(t, a.Err); !f.Unreadable || f.Remedy != "allow secretmanager.versions.get on it, as roles/secretmanager.viewer does" {
		t.Errorf("prove: %+v", f)
	}

	s = newServer(t)
	s.put("db", []byte("v"))
	s.forbid("AccessSecretVersion")
	if a := source.Prove(t.Context(), s.open(), []source.Ref{ref("")})[0]; a.Err != nil || time.Since(a.Changed) > time.Minute {
		t.Errorf("prove: %v, changed %v", a.Err, a.Changed)
	}
}

func failed(t *testing.T, err error) *source.Failure {
	t.Helper()
	var f *source.Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v is no failure", err)
	}
	return f
}

// TestCreate: what happens besides, and which versions there are then.
func TestCreate(t *testing.T) {
	t.Parallel()
	const ours, theirs = "ours", "theirs"
	for name, test := range map[string]struct {
		prepare  func(*server)
		want     string   // the answer
		versions []string // afterwards
	}{
		"no secret": {func(*server) {}, ours, []string{ours}},
		"a secret without versions": {
			// As Terraform makes them, or a build that has died.
			func(s *server) { s.create("db") }, ours, []string{ours},
		},
		"a secret without versions and no right to create one": {
			func(s *server) { s.create("db"); s.forbid("CreateSecret") }, ours, []string{ours},
		},
		"an empty version": {
			func(s *server) { s.put("db", nil) }, ours, []string{"", ours},
		},
		"somebody creates it and is slow to add": {
			func(s *server) {
				s.create("db")
				s.before["AccessSecretVersion"] = func(call int) {
					if call == 4 { // the latest, and the first three times
						s.put("db", []byte(theirs))
					}
				}
			},
			theirs, []string{theirs},
		},
		"somebody adds before us": {
			func(s *server) { s.before["AddSecretVersion"] = s.once(theirs) }, theirs, []string{theirs, ours, theirs},
		},
		"somebody adds before us to an empty version": {
			func(s *server) { s.put("db", nil); s.before["AddSecretVersion"] = s.once(theirs) }, theirs, []string{"", theirs, ours, theirs},
		},
		"the answer gets lost": {
			func(s *server) {
				s.after["AddSecretVersion"] = func(call int) error {
					if call == 1 {
						return status.Error(codes.Unavailable, "The service is currently unavailable.")
					}
					return nil
				}
			},
			ours, []string{ours, ours, ours},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			test.prepare(s)
			a, err := s.open().Create(t.Context(), ref(""), value.New([]byte(ours)))
			if err != nil {
				t.Fatalf("%v; %s", err, failed(t, err).Remedy)
			}
			if say(a) != test.want || a.Origin == "" {
				t.Errorf("got %q in %q", say(a), a.Origin)
			}
			if diff := cmp.Diff(test.versions, s.values("db")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if a := source.Read(t.Context(), s.open(), []source.Ref{ref("")})[0]; say(a) != test.want {
				t.Errorf("reads as %q", say(a))
			}
		})
	}
}

// TestCreateWaits: builds that race for a secret that only one can create leave
// one version.
func TestCreateWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	errs := make(chan error)
	for i := range 8 {
		go func() {
			_, err := s.open().Create(t.Context(), ref(""), value.New([]byte{byte('a' + i)}))
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := s.values("db"); len(got) != 1 {
		t.Errorf("there are %d versions", len(got))
	}
}

// TestReplaceMeets: someone creates the secret at the same time.
func TestReplaceMeets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.before["CreateSecret"] = func(int) { s.put("db", []byte("theirs")) }
	a, err := s.open().Replace(t.Context(), ref(""), value.New([]byte("ours")))
	if err != nil || say(a) != "ours" || a.Changed.IsZero() {
		t.Errorf("got %+v, %v", a, err)
	}
	if diff := cmp.Diff([]string{"theirs", "ours"}, s.values("db")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFailures: what is said to those who can do something about it.
func TestFailures(t *testing.T) {
	t.Parallel()
	const (
		quoting = "c4nary-5f1d8e is no such thing"
		admin   = "allow secretmanager.secrets.create on the project, as roles/secretmanager.admin does; " +
			"or create the secret, and allow secretmanager.versions.add on it, as roles/secretmanager.secretVersionAdder does"
		adder = "allow secretmanager.versions.add on it, as roles/secretmanager.secretVersionAdder does"
		size  = "check the project, the remote name, and the size of the value, which may be 64 KiB"
		down  = "check the network or a proxy, or try again later"
	)
	read := func(ctx context.Context, s *Source) error { return s.Read(ctx, []source.Ref{ref("")})[0].Err }
	create := func(ctx context.Context, s *Source) error {
		_, err := s.Create(ctx, ref(""), value.New([]byte("v")))
		return err
	}
	replace := func(ctx context.Context, s *Source) error {
		_, err := s.Replace(ctx, ref(""), value.New([]byte("v")))
		return err
	}
	for name, test := range map[string]struct {
		prepare func(*server)
		do      func(context.Context, *Source) error
		want    source.Failure
	}{
		"API not enabled": {
			func(s *server) {
				s.refuse = detailed(s.TB, codes.PermissionDenied, "SERVICE_DISABLED", "Secret Manager API has not been used in project "+number+" before or it is disabled.")
			},
			read,
			source.Failure{
				Reason: "the API of Secret Manager is not enabled: Secret Manager API has not been used in project " + number + " before or it is disabled",
				Remedy: "`gcloud services enable secretmanager.googleapis.com --project=acme-prod`", Unreadable: true,
			},
		},
		"damaged": {
			func(s *server) { s.put("db", []byte("v")); s.damage = true }, read,
			source.Failure{Reason: "it was damaged in transit: its checksum differs", Remedy: "try again", Unreadable: true},
		},
		"broken": {
			func(s *server) { s.refuse = status.Error(codes.Internal, "An internal error\noccurred.") }, read,
			source.Failure{Reason: "Secret Manager is down or can't be reached (INTERNAL): An internal error occurred", Remedy: down, Unreadable: true},
		},
		"down": {
			func(s *server) { s.refuse = status.Error(codes.Unavailable, "unavailable") }, read,
			source.Failure{Reason: "Secret Manager is down or can't be reached (UNAVAILABLE): unavailable", Remedy: down, Unreadable: true},
		},
		"refused": {
			func(s *server) { s.refuse = status.Error(codes.InvalidArgument, "no such project") }, read,
			source.Failure{Reason: "Secret Manager refuses it (INVALID_ARGUMENT): no such project", Remedy: size},
		},
		"write refused": {
			func(s *server) { s.refuse = status.Error(codes.InvalidArgument, quoting) }, replace,
			source.Failure{Reason: "Secret Manager refuses it (INVALID_ARGUMENT)", Remedy: size},
		},
		"write broken": {
			func(s *server) { s.refuse = status.Error(codes.Internal, quoting) }, replace,
			source.Failure{Reason: "Secret Manager is down or can't be reached (INTERNAL)", Remedy: down, Unreadable: true},
		},
		"write to a secret that a policy forbids": {
			func(s *server) {
				s.before["CreateSecret"] = func(int) {
					s.set(func() { s.refuse = status.Error(codes.FailedPrecondition, quoting) })
				}
			},
			create,
			source.Failure{Reason: "Secret Manager refuses it (FAILED_PRECONDITION)", Remedy: size},
		},
		"no right to create a secret": {
			func(s *server) { s.forbid("CreateSecret") }, create,
			source.Failure{Reason: denial("CreateSecret"), Remedy: admin, Unreadable: true},
		},
		"no right to create the secret of a new value": {
			func(s *server) { s.forbid("CreateSecret") }, replace,
			source.Failure{Reason: denial("CreateSecret"), Remedy: admin, Unreadable: true},
		},
		"no right to add": {
			func(s *server) { s.forbid("AddSecretVersion") }, create,
			source.Failure{Reason: denial("AddSecretVersion"), Remedy: adder, Unreadable: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			test.prepare(s)
			if diff := cmp.Diff(test.want, *failed(t, test.do(t.Context(), s.open()))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func denial(method string) string {
	return "access is denied: Permission 'secretmanager." + method + "' denied for resource 'projects/" + number + "' (or it may not exist)"
}

// TestDown: a service that is down is asked a few times, not until the end.
func TestDown(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.refuse = status.Error(codes.Unavailable, "unavailable")
	source.Read(t.Context(), s.open(), []source.Ref{ref("")})
	if got := s.count("AccessSecretVersion"); got != 4 {
		t.Errorf("%d calls, not 4", got)
	}
}

// TestProject: the contract's comes before that of the environment, and that
// before the one of the default credentials.
func TestProject(t *testing.T) {
	s := newServer(t)
	s.put("db", []byte("v"))
	dir := t.TempDir()
	file := func(name string, content map[string]string) string {
		b, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	service := map[string]string{
		"type": "service_account", "client_email": "ci@acme-prod.iam.gserviceaccount.com", "private_key_id": "1", "private_key": privateKey(t),
	}
	anonymous := file("anonymous.json", service)
	service["project_id"] = project
	named := file("named.json", service)
	user := file("user.json", map[string]string{"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "r"})
	const unset = "no Google Cloud project is set, and the credentials name none"
	for name, test := range map[string]struct{ contract, environment, credentials, want string }{
		"contract":       {project, "other", anonymous, "v"},
		"environment":    {"", project, anonymous, "v"},
		"credentials":    {"", "", named, "v"},
		"none":           {"", "", anonymous, unset},
		"none of a user": {"", "", user, unset},
		"no credentials": {"", "", filepath.Join(dir, "none"), "there are no Google Cloud credentials: "},
		"and a project":  {project, "", filepath.Join(dir, "none"), "there are no Google Cloud credentials: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOOGLE_CLOUD_PROJECT", test.environment)
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", test.credentials)
			src := open(plan.Source{Project: test.contract}, s.at(nil))
			a := source.Read(t.Context(), src, []source.Ref{ref("")})[0]
			if got := say(a); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q", got)
			}
			if a.Err == nil {
				return
			}
			if f := failed(t, a.Err); !f.Unreadable || f.Remedy == "" {
				t.Errorf("failed with %+v", f)
			}
			if _, err := src.Create(t.Context(), ref(""), value.New([]byte("ours"))); err == nil {
				t.Error("created it")
			}
			if _, err := src.Replace(t.Context(), ref(""), value.New([]byte("ours"))); err == nil {
				t.Error("replaced it")
			}
			if a := src.Prove(t.Context(), []source.Ref{ref("")})[0]; a.Err == nil {
				t.Error("proved it")
			}
		})
	}
}

// privateKey makes the key of a service account.
func privateKey(t *testing.T) string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestLoginExpired: the login of a user who has to give the password again.
func TestLoginExpired(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("db", []byte("v"))
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)", "error_subtype": "invalid_rapt"}`))
	}))
	defer tokens.Close()
	creds, err := credentials.NewCredentialsFromJSON(credentials.AuthorizedUser,
		[]byte(`{"type": "authorized_user", "client_id": "id", "client_secret": "c4nary-secret", "refresh_token": "c4nary-token"}`),
		&credentials.DetectOptions{Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}, TokenURL: tokens.URL})
	if err != nil {
		t.Fatal(err)
	}
	src := open(plan.Source{Project: project}, s.at(creds))
	f := failed(t, src.Read(t.Context(), []source.Ref{ref("")})[0].Err)
	if !f.Unreadable || !strings.Contains(f.Reason, "invalid_grant") || strings.Contains(f.Reason, "c4nary") || !strings.Contains(f.Remedy, "`gcloud auth application-default login`") {
		t.Errorf("got %+v", f)
	}
	if n := s.count("AccessSecretVersion"); n > 0 {
		t.Errorf("%d calls without a token", n)
	}
}

// TestLogs: the SDK logs no values, also if it is asked to log everything.
func TestLogs(t *testing.T) {
	t.Setenv("GOOGLE_SDK_GO_LOGGING_LEVEL", "debug")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	old := os.Stderr
	defer func() { os.Stderr = old }()
	os.Stderr = log
	if _, err := newServer(t).open().Create(t.Context(), ref(""), value.New([]byte("v"))); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(log.Name()); err != nil || len(text) > 0 {
		t.Errorf("%v: %d bytes are logged", err, len(text))
	}
}

// TestChecksum: by the check value of CRC-32C
// (https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-32-iscsi),
// since the server of these tests computes it as the source does.
func TestChecksum(t *testing.T) {
	t.Parallel()
	if got := checksum([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("got %#x", got)
	}
}

// TestPreviousDisabled: what was disabled is withdrawn, and so is all before it.
func TestPreviousDisabled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, v := range []string{"first", "second", "third"} {
		s.put("db", []byte(v))
	}
	refs := []source.Ref{ref("")}
	if a := s.open().Previous(t.Context(), refs, true)[0]; say(a) != "second" {
		t.Errorf("%v", a.Err)
	}
	s.set(func() { s.secrets["db"][1].state = secretmanagerpb.SecretVersion_DISABLED })
	if a := s.open().Previous(t.Context(), refs, true)[0]; !errors.Is(a.Err, source.ErrAbsent) {
		t.Errorf("%v", a.Err)
	}
}

// TestImport brings what a team has to Secret Manager.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	importertest.Run(t, plan.GCPSecretManager, map[string]string{"project": project, "prefix": "shop-"}, func(plan.Source) source.Source { return s.open() })
}
