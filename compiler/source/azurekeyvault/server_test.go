//go:debug x509usefallbackroots=1

package azurekeyvault

import (
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets the SDK trust the servers of the tests, and find its login at
// one: an App Service's endpoint for managed identities. Nothing but what
// these variables say is asked for one.
func TestMain(m *testing.M) {
	https := httptest.NewTLSServer(nil) // all have the same certificate
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())
	https.Close()
	x509.SetFallbackRoots(roots)

	identity := httptest.NewServer(http.HandlerFunc(serveIdentity))
	for name := range strings.SplitSeq("AZURE_KEY_VAULT AZURE_CLIENT_ID MSI_ENDPOINT IDENTITY_SERVER_THUMBPRINT IMDS_ENDPOINT", " ") {
		os.Unsetenv(name)
	}
	os.Setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
	os.Setenv("IDENTITY_ENDPOINT", identity.URL)
	os.Setenv("IDENTITY_HEADER", identityHeader)
	os.Exit(m.Run())
}

const identityHeader = "an-identity-header"

// serveIdentity speaks the protocol of
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference.
// It gives tokens for any resource but https://refused.example.
func serveIdentity(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	resource := r.FormValue("resource")
	switch {
	case r.Header.Get("X-IDENTITY-HEADER") != identityHeader || r.FormValue("api-version") != "2019-08-01" || resource == "":
		w.WriteHeader(http.StatusBadRequest)
	case resource == "https://refused.example":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."}`)
	default:
		fmt.Fprintf(w, `{"access_token":%q,"expires_on":"%d","resource":%q,"token_type":"Bearer"}`,
			token(resource), time.Now().Add(time.Hour).Unix(), resource)
	}
}

func token(resource string) string { return "a-token-for-" + resource }

// second is what a second of a server's clock takes.
const second = 10 * time.Millisecond

// server is a key vault: the part of its REST API that is about secrets,
// https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups.
type server struct {
	t        *testing.T
	http     *httptest.Server
	began    time.Time
	resource string // of which it wants a token

	mu       sync.Mutex
	secrets  map[string]*secret // by lower-case name
	calls    int                // to read values
	throttle int                // calls to refuse
	denied   map[string]bool    // names not to be read
	refuse   func(permission string) *fault
	before   func(permission string) // called before a call is carried out
	hang     chan struct{}           // closed when the first call has arrived
	hung     sync.Once
}

type secret struct {
	versions []*version // by age
	deleted  bool
}

type version struct {
	id      string
	value   string
	enabled bool
	created int64 // seconds
	updated int64
	tags    map[string]string
}

// fault is an error as the service gives it.
type fault struct {
	status               int
	code, message, inner string
}

func newServer(t *testing.T) *server {
	s := &server{t: t, began: time.Now(), resource: "https://vault.azure.net", secrets: map[string]*secret{}, denied: map[string]bool{}}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that hang up
	s.http.StartTLS()
	t.Cleanup(func() {
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// now is the time on the server's clock, which runs fast.
func (s *server) now() time.Time { return s.began.Add(time.Since(s.began) * (time.Second / second)) }

var (
	secretName  = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)
	apiVersion  = regexp.MustCompile(`^(7\.\d|20\d\d-\d\d-\d\d)$`)
	maxValue    = 25600
	pageSize    = 25 // https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions
	notFound    = &fault{http.StatusNotFound, "SecretNotFound", "A secret with (name/id) %s was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command.", ""}
	isDisabled  = &fault{http.StatusForbidden, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"}
	isDeleted   = &fault{http.StatusConflict, "Conflict", "Secret %s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.", "ObjectIsDeletedButRecoverable"}
	isThrottled = &fault{http.StatusTooManyRequests, "Throttled", "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached", ""}
	noRole      = &fault{http.StatusForbidden, "Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=a;oid=b;iss=c\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: '/subscriptions/d/secrets/%s'\r\n", "ForbiddenByRbac"}
	noPolicy    = &fault{http.StatusForbidden, "Forbidden", "The user, group or application 'appid=a;oid=b' does not have secrets set permission on key vault 'c;location=d'.", "AccessDenied"}
	firewall    = &fault{http.StatusForbidden, "Forbidden", "Client address is not authorized and caller is not a trusted service.\r\nClient address: 192.0.2.1\r\n", "ForbiddenByFirewall"}
	expired     = &fault{http.StatusUnauthorized, "Unauthorized", "[TokenExpired] Error validating token: 'S2S12005: Token is expired'.", "TokenExpired"}
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	if got := r.Header.Get("Authorization"); got != "Bearer "+token(s.resource) {
		if got != "" {
			s.t.Errorf("%s %s with another token than is wanted", r.Method, r.URL.Path)
		}
		s.challenge(w)
		fail(w, &fault{http.StatusUnauthorized, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", ""}, "")
		return
	}
	s.mu.Lock()
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		s.hung.Do(func() { close(hang) })
		<-r.Context().Done()
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/secrets/"), "/")
	if !strings.HasPrefix(r.URL.Path, "/secrets/") || !secretName.MatchString(name) || !apiVersion.MatchString(r.FormValue("api-version")) {
		s.t.Errorf("%s %s?%s", r.Method, r.URL.Path, r.URL.RawQuery)
		fail(w, &fault{http.StatusBadRequest, "BadParameter", "", ""}, "")
		return
	}
	permission := "get"
	switch {
	case r.Method == http.MethodPut && rest == "":
		permission = "set"
	case rest == "versions":
		permission = "list"
	}
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(permission)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.throttle > 0 {
		s.throttle--
		if s.throttle > 1000 { // it lasts longer than who asks has time
			w.Header().Set("x-ms-retry-after-ms", "500")
		}
		fail(w, isThrottled, "")
		return
	}
	if permission == "get" {
		s.calls++
	}
	if s.refuse != nil {
		if f := s.refuse(permission); f != nil {
			if f.status == http.StatusUnauthorized {
				s.challenge(w)
			}
			fail(w, f, name)
			return
		}
	}
	if permission == "get" && s.denied[strings.ToLower(name)] {
		fail(w, noRole, name)
		return
	}
	switch sec := s.secrets[strings.ToLower(name)]; permission {
	case "set":
		s.set(w, r, name, sec)
	case "list":
		s.list(w, r, name, sec)
	default:
		s.get(w, name, strings.Trim(rest, "/"), sec)
	}
}

func (s *server) challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate",
		`Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001", resource="`+s.resource+`"`)
}

func fail(w http.ResponseWriter, f *fault, name string) {
	if f.status == http.StatusTooManyRequests || f.status >= http.StatusInternalServerError {
		// Another service's Retry-After, which the SDK knows: tests are quick so.
		w.Header().Set("x-ms-retry-after-ms", cmp.Or(w.Header().Get("x-ms-retry-after-ms"), "5"))
	}
	e := map[string]any{"code": f.code, "message": strings.ReplaceAll(f.message, "%s", name)}
	if f.inner != "" {
		e["innererror"] = map[string]string{"code": f.inner}
	}
	reply(w, f.status, map[string]any{"error": e})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// bundle is a version as the API gives it, with its value if that is to be seen.
func (s *server) bundle(name string, v *version, value bool) map[string]any {
	b := map[string]any{
		"id": s.http.URL + "/secrets/" + name + "/" + v.id,
		"attributes": map[string]any{
			"enabled": v.enabled, "created": v.created, "updated": v.updated, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
		},
		"tags": v.tags,
	}
	if value {
		b["value"] = v.value
	}
	return b
}

func (s *server) get(w http.ResponseWriter, name, id string, sec *secret) {
	if sec != nil && !sec.deleted {
		for i := len(sec.versions) - 1; i >= 0; i-- {
			switch v := sec.versions[i]; {
			case id != "" && v.id != id:
			case !v.enabled:
				fail(w, isDisabled, name)
				return
			default:
				reply(w, http.StatusOK, s.bundle(name, v, true))
				return
			}
		}
	}
	if id != "" {
		name += "/" + id
	}
	fail(w, notFound, name)
}

func (s *server) set(w http.ResponseWriter, r *http.Request, name string, sec *secret) {
	var body struct {
		Value *string
		Tags  map[string]string
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	switch {
	case err != nil || body.Value == nil:
		fail(w, &fault{http.StatusBadRequest, "BadParameter", "Property value is required.", ""}, name)
	case len(*body.Value) > maxValue:
		// It may quote what it refuses, so here it does.
		fail(w, &fault{http.StatusBadRequest, "BadParameter", "Property value has invalid value " + *body.Value, ""}, name)
	case sec != nil && sec.deleted:
		fail(w, isDeleted, name)
	default:
		reply(w, http.StatusOK, s.bundle(name, s.add(name, *body.Value, body.Tags), true))
	}
}

// add makes a version current.
func (s *server) add(name, value string, tags map[string]string) *version {
	now := s.now().Unix()
	id := make([]byte, 16)
	rand.Read(id)
	v := &version{hex.EncodeToString(id), value, true, now, now, tags}
	sec := s.secrets[strings.ToLower(name)]
	if sec == nil {
		sec = &secret{}
		s.secrets[strings.ToLower(name)] = sec
	}
	sec.versions = append(sec.versions, v)
	return v
}

func (s *server) list(w http.ResponseWriter, r *http.Request, name string, sec *secret) {
	page := map[string]any{"value": []any{}, "nextLink": nil}
	if sec != nil && !sec.deleted {
		at := 0
		fmt.Sscan(r.FormValue("$skiptoken"), &at)
		var value []any
		for i := at; i < len(sec.versions) && i < at+pageSize; i++ {
			value = append(value, s.bundle(name, sec.versions[i], false))
		}
		page["value"] = value
		if at += pageSize; at < len(sec.versions) {
			page["nextLink"] = fmt.Sprintf("%s/secrets/%s/versions?api-version=%s&$skiptoken=%d", s.http.URL, name, r.FormValue("api-version"), at)
		}
	}
	reply(w, http.StatusOK, page)
}
