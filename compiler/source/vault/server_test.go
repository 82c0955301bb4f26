package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const token = "hvs.the-token-of-the-tests"

// server answers as Vault does
// (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2): what it
// says was compared with what Vault 1.14 says.
type server struct {
	*httptest.Server

	mu        sync.Mutex
	mounts    map[string]*mount
	header    http.Header // of the last request
	calls     int         // requests there were
	reads     int         // of these to read values
	throttle  int
	denied    map[string]bool // METHOD path, as of the policies of the token
	forbidden bool            // to write
	revoked   bool            // the token
	explicit  bool            // about that, as Vault is since 1.17
	status    int             // of every answer, if not 0
	body      string          // of that answer
	hang      chan struct{}
	before    func(path string) // every write that is not refused for its token
	lose      int               // answers to writes that get lost on their way
}

// mount is a secrets engine.
type mount struct {
	engine  string // "kv"
	version int
	secrets map[string]*secret
}

// secret has one version alone if its engine keeps none.
type secret struct{ versions []stored }

type stored struct {
	data      string // a JSON object
	created   time.Time
	deleted   time.Time
	destroyed bool
}

func newServer(t testing.TB) *server {
	s := &server{
		mounts: map[string]*mount{
			"kv":        {"kv", 1, map[string]*secret{}},
			"secret":    {"kv", 2, map[string]*secret{}},
			"team/kv":   {"kv", 2, map[string]*secret{}},
			"cubbyhole": {"cubbyhole", 1, map[string]*secret{}},
		},
		denied: map[string]bool{},
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// newTLS returns s at an address that speaks TLS, with a certificate that
// no one trusts.
func newTLS(t testing.TB, s *server) *httptest.Server {
	l := httptest.NewUnstartedServer(s)
	l.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.StartTLS()
	t.Cleanup(l.Close)
	return l
}

// put stores a version, as someone else would.
func (s *server) put(mount, name, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(s.mounts[mount], name, data)
}

func (s *server) store(m *mount, name, data string) *stored {
	if m.secrets[name] == nil || m.version == 1 {
		m.secrets[name] = &secret{}
	}
	have := m.secrets[name]
	have.versions = append(have.versions, stored{data: data, created: time.Now()})
	return &have.versions[len(have.versions)-1]
}

// at returns a version of a secret, which is changed by do.
func (s *server) at(mount, name string, version int, do func(*stored)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(&s.mounts[mount].secrets[name].versions[version-1])
}

// data returns what a secret holds, and in how many versions.
func (s *server) data(mount, name string) (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.mounts[mount].secrets[name]
	return have.versions[len(have.versions)-1].data, len(have.versions)
}

func (s *server) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *server) count(n *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *n
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	where, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	var body map[string]json.RawMessage
	if r.Method == http.MethodPut {
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			refuse(w, http.StatusBadRequest, "failed to parse JSON input")
			return
		}
	}
	s.mu.Lock()
	if hang := s.hang; hang != nil {
		s.mu.Unlock()
		select {
		case hang <- struct{}{}:
		default:
		}
		<-r.Context().Done()
		return
	}
	defer s.mu.Unlock()

	if where == "sys/wrapping/lookup" { // before each first call
		refuse(w, http.StatusBadRequest, "wrapping token is not valid or does not exist")
		return
	}
	s.calls++
	s.header = r.Header
	at, below := s.route(where)
	m := s.mounts[at]
	if r.Method == http.MethodGet && m != nil && m.engine == "kv" && !r.URL.Query().Has("list") &&
		(m.version == 1 || strings.HasPrefix(below, "data/")) {
		s.reads++
	}
	known := r.Header.Get("X-Vault-Token") == token && !s.revoked
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.body)
	case s.throttle > 0:
		s.throttle--
		refuse(w, http.StatusTooManyRequests, fmt.Sprintf("request path %q: rate limit quota exceeded", where))
	case !known && s.explicit:
		refuse(w, http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
	case !known:
		refuse(w, http.StatusForbidden, "permission denied")
	case s.denied[r.Method+" "+where], s.forbidden && r.Method == http.MethodPut:
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	case where == "auth/token/lookup-self":
		answer(w, http.StatusOK, map[string]any{"display_name": "token", "policies": []string{"app", "default"}})
	case strings.HasPrefix(where, "sys/internal/ui/mounts/"):
		s.mountInfo(w, strings.TrimPrefix(where, "sys/internal/ui/mounts/"))
	case m == nil:
		refuse(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", where))
	case r.Method == http.MethodPut && s.before != nil:
		before := s.before
		s.mu.Unlock()
		before(below)
		s.mu.Lock()
		fallthrough
	default:
		if r.Method == http.MethodPut && s.lose > 0 {
			s.lose--
			s.serve(httptest.NewRecorder(), r, m, below, body)
			refuse(w, http.StatusBadGateway, "the proxy has lost it")
			return
		}
		s.serve(w, r, m, below, body)
	}
}

// route splits a path into that of a mount and the rest.
func (s *server) route(where string) (at, below string) {
	for at := where; at != "."; at = path.Dir(at) {
		if s.mounts[at] != nil {
			return at, strings.TrimPrefix(where[len(at):], "/")
		}
	}
	return "", where
}

// mountInfo is what the program vault asks before `vault kv`.
func (s *server) mountInfo(w http.ResponseWriter, where string) {
	at, _ := s.route(where)
	m := s.mounts[at]
	if m == nil {
		refuse(w, http.StatusForbidden, fmt.Sprintf("preflight capability check returned 403, please ensure client's policies grant access to path %q", where+"/"))
		return
	}
	options := map[string]string{}
	if m.version == 2 {
		options["version"] = "2"
	}
	answer(w, http.StatusOK, map[string]any{"path": at + "/", "type": m.engine, "options": options, "config": map[string]any{"default_lease_ttl": 0}})
}

func (s *server) serve(w http.ResponseWriter, r *http.Request, m *mount, below string, body map[string]json.RawMessage) {
	folder, name, _ := strings.Cut(below, "/")
	list := r.URL.Query().Has("list")
	switch {
	case m.version == 1 && list:
		keys := m.list(below)
		if len(keys) == 0 {
			refuse(w, http.StatusNotFound)
			return
		}
		answer(w, http.StatusOK, map[string]any{"keys": keys})
	case m.version == 1 && r.Method == http.MethodPut:
		b, _ := json.Marshal(body)
		s.store(m, below, string(b))
		w.WriteHeader(http.StatusNoContent)
	case m.version == 1 && m.secrets[below] == nil:
		refuse(w, http.StatusNotFound)
	case m.version == 1:
		answer(w, http.StatusOK, json.RawMessage(m.secrets[below].versions[0].data))
	case folder == "data" && name != "" && !list && r.Method == http.MethodPut:
		s.write(w, m, name, body)
	case folder == "data" && name != "" && !list:
		m.read(w, name, r.URL.Query().Get("version"))
	case folder == "metadata" && name != "" && !list && r.Method == http.MethodGet:
		m.metadata(w, name)
	default:
		reply(w, http.StatusNotFound, map[string]any{"data": nil, "warnings": []string{"Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation."}})
	}
}

func (m *mount) list(below string) []string {
	dir := strings.TrimSuffix(below, "/") + "/"
	keys := map[string]bool{}
	for name := range m.secrets {
		if rest, ok := strings.CutPrefix("/"+name, "/"+strings.TrimPrefix(dir, "/")); ok {
			key, _, isDir := strings.Cut(rest, "/")
			if isDir {
				key += "/"
			}
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

func (m *mount) read(w http.ResponseWriter, name, version string) {
	have := m.secrets[name]
	if have == nil {
		refuse(w, http.StatusNotFound)
		return
	}
	n := len(have.versions)
	if version != "" {
		var err error
		if n, err = strconv.Atoi(version); err != nil {
			refuse(w, http.StatusBadRequest, "Field validation failed: error converting input "+version+" for field \"version\"")
			return
		}
	}
	if n < 1 || n > len(have.versions) {
		refuse(w, http.StatusNotFound)
		return
	}
	v := have.versions[n-1]
	metadata := v.metadata()
	metadata["version"], metadata["custom_metadata"] = n, nil
	if v.gone() {
		answer(w, http.StatusNotFound, map[string]any{"data": nil, "metadata": metadata})
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": json.RawMessage(v.data), "metadata": metadata})
}

func (m *mount) metadata(w http.ResponseWriter, name string) {
	have := m.secrets[name]
	if have == nil {
		refuse(w, http.StatusNotFound)
		return
	}
	versions := map[string]any{}
	for i, v := range have.versions {
		versions[strconv.Itoa(i+1)] = v.metadata()
	}
	answer(w, http.StatusOK, map[string]any{
		"cas_required": false, "current_version": len(have.versions), "custom_metadata": nil, "delete_version_after": "0s",
		"max_versions": 0, "oldest_version": 0, "versions": versions,
	})
}

func (s *server) write(w http.ResponseWriter, m *mount, name string, body map[string]json.RawMessage) {
	var options struct{ CAS *int }
	json.Unmarshal(body["options"], &options)
	n := 0
	if have := m.secrets[name]; have != nil {
		n = len(have.versions)
	}
	switch {
	case body["data"] == nil:
		refuse(w, http.StatusBadRequest, "no data provided")
	case options.CAS == nil:
		refuse(w, http.StatusBadRequest, "check-and-set parameter required for this call")
	case *options.CAS != n:
		refuse(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
	default:
		metadata := s.store(m, name, string(body["data"])).metadata()
		metadata["version"], metadata["custom_metadata"] = n+1, nil
		answer(w, http.StatusOK, metadata)
	}
}

func (v stored) gone() bool {
	return v.destroyed || !v.deleted.IsZero() && v.deleted.Before(time.Now())
}

func (v stored) metadata() map[string]any {
	deleted := ""
	if !v.deleted.IsZero() {
		deleted = v.deleted.UTC().Format(time.RFC3339Nano)
	}
	return map[string]any{"created_time": v.created.UTC().Format(time.RFC3339Nano), "deletion_time": deleted, "destroyed": v.destroyed}
}

func answer(w http.ResponseWriter, status int, data any) {
	reply(w, status, map[string]any{"data": data, "warnings": nil})
}

// reply sends what is around the data of every answer.
func reply(w http.ResponseWriter, status int, rest map[string]any) {
	all := map[string]any{
		"request_id": "5c6d9c2f-8f3e-4c0a-9c62-7d7f0f5f7d11", "lease_id": "", "renewable": false, "lease_duration": 0, "wrap_info": nil, "auth": nil,
	}
	maps.Copy(all, rest)
	send(w, status, all)
}

func refuse(w http.ResponseWriter, status int, errors ...string) {
	send(w, status, map[string]any{"errors": append([]string{}, errors...)})
}

func send(w http.ResponseWriter, status int, body any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
