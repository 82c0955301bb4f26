package gcpsecretmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// project is the only one of the server. In what the service answers, projects
// have numbers.
const (
	project = "acme-prod"
	number  = "123456789012"
)

// server is a Secret Manager: JSON over HTTPS, as the service makes it of its own
// messages. Its errors are those of the service, in code and form.
type server struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
	testing.TB
	web *httptest.Server

	// What happens besides, by the method that is called for the nth time.
	before map[string]func(call int)
	after  map[string]func(call int) error

	mu        sync.Mutex
	secrets   map[string][]*stored
	calls     map[string]int  // by method, refused ones included
	denied    map[string]bool // names whose values no one may read
	forbidden map[string]bool // methods that no one may call
	refuse    error           // what every call is answered
	throttle  int
	damage    bool          // of values on their way
	hang      chan struct{} // not nil: no call is answered; it is closed when the first has arrived
	hung      sync.Once
}

// stored is a version of a secret, numbered by its place.
type stored struct {
	data    []byte
	state   secretmanagerpb.SecretVersion_State
	created time.Time
}

func newServer(t testing.TB) *server {
	s := &server{
		TB: t, secrets: map[string][]*stored{}, calls: map[string]int{}, denied: map[string]bool{}, forbidden: map[string]bool{},
		before: map[string]func(int){}, after: map[string]func(int) error{},
	}
	s.web = httptest.NewUnstartedServer(s)
	s.web.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that a test has closed
	s.web.StartTLS()
	t.Cleanup(s.web.Close)
	return s
}

// at leads a client here, which is logged in with creds; nil is with those of the
// environment.
func (s *server) at(creds *auth.Credentials) service {
	return service{endpoint: s.web.URL, transport: s.web.Client().Transport, creds: creds}
}

// token is what the clients of a test are logged in with.
type token string

// Token implements auth.TokenProvider.
func (t token) Token(context.Context) (*auth.Token, error) { return &auth.Token{Value: string(t)}, nil }

// open returns a source that is logged in.
func (s *server) open() *Source {
	return open(plan.Source{Project: project}, s.at(auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token("good")})))
}

// set changes what the server does.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// create creates a secret without versions.
func (s *server) create(name string) { s.set(func() { s.secrets[name] = nil }) }

// put adds a version, and the secret if need be.
func (s *server) put(name string, data []byte) {
	s.set(func() {
		s.secrets[name] = append(s.secrets[name], &stored{data, secretmanagerpb.SecretVersion_ENABLED, time.Now()})
	})
}

// once lets someone else add a version, at the first call.
func (s *server) once(data string) func(int) {
	return func(call int) {
		if call == 1 {
			s.put("db", []byte(data))
		}
	}
}

// retire changes the state of the latest version.
func (s *server) retire(name string, state secretmanagerpb.SecretVersion_State) {
	s.set(func() { s.secrets[name][len(s.secrets[name])-1].state = state })
}

// forbid lets no one call some methods.
func (s *server) forbid(methods ...string) {
	s.set(func() {
		for _, m := range methods {
			s.forbidden[m] = true
		}
	})
}

// count returns how many calls of a method there were.
func (s *server) count(method string) (n int) {
	s.set(func() { n = s.calls[method] })
	return n
}

// values returns those of the versions of a secret.
func (s *server) values(name string) (values []string) {
	s.set(func() {
		for _, v := range s.secrets[name] {
			values = append(values, string(v.data))
		}
	})
	return values
}

// paths are those of the methods
// (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets).
var paths = map[string]*regexp.Regexp{
	"AccessSecretVersion": regexp.MustCompile(`^GET /v1/(projects/[^/]+/secrets/[^/]+/versions/[^/:]+):access$`),
	"GetSecretVersion":    regexp.MustCompile(`^GET /v1/(projects/[^/]+/secrets/[^/]+/versions/[^/:]+)$`),
	"CreateSecret":        regexp.MustCompile(`^POST /v1/(projects/[^/]+)/secrets$`),
	"AddSecretVersion":    regexp.MustCompile(`^POST /v1/(projects/[^/]+/secrets/[^/:]+):addVersion$`),
}

// ServeHTTP maps a call to the message of its method, and back, as the service does:
// in proto3's JSON.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.Error(err)
	}
	var out proto.Message
	err = status.Error(codes.Unimplemented, "Method not found.")
	for method, path := range paths {
		m := path.FindStringSubmatch(r.Method + " " + r.URL.Path)
		if m == nil {
			continue
		}
		decode := func(into proto.Message) {
			if r.Header.Get("Content-Type") != "application/json" || protojson.Unmarshal(body, into) != nil {
				s.Errorf("%s: %s is not what the API takes", method, r.Header.Get("Content-Type"))
			}
		}
		out, err = s.intercept(r, method, func() (proto.Message, error) {
			switch method {
			case "AccessSecretVersion":
				return s.AccessSecretVersion(r.Context(), &secretmanagerpb.AccessSecretVersionRequest{Name: m[1]})
			case "GetSecretVersion":
				return s.GetSecretVersion(r.Context(), &secretmanagerpb.GetSecretVersionRequest{Name: m[1]})
			case "CreateSecret":
				in := &secretmanagerpb.CreateSecretRequest{Parent: m[1], SecretId: r.URL.Query().Get("secretId"), Secret: &secretmanagerpb.Secret{}}
				decode(in.Secret)
				return s.CreateSecret(r.Context(), in)
			default:
				in := &secretmanagerpb.AddSecretVersionRequest{}
				decode(in)
				in.Parent = m[1]
				return s.AddSecretVersion(r.Context(), in)
			}
		})
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if err != nil {
		st := status.Convert(err)
		w.WriteHeader(httpOf[st.Code()])
		details := []json.RawMessage{}
		for _, d := range st.Proto().GetDetails() {
			b, err := protojson.Marshal(d)
			if err != nil {
				s.Error(err)
			}
			details = append(details, b)
		}
		json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
			"code": httpOf[st.Code()], "message": st.Message(), "status": code.Code(st.Code()).String(), "details": details,
		}})
		return
	}
	b, err := protojson.Marshal(out)
	if err != nil {
		s.Error(err)
	}
	w.Write(b)
}

// httpOf is what the codes are over HTTP
// (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
var httpOf = map[codes.Code]int{
	codes.InvalidArgument: 400, codes.FailedPrecondition: 400, codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.NotFound: 404,
	codes.AlreadyExists: 409, codes.Aborted: 409, codes.ResourceExhausted: 429, codes.Canceled: 499, codes.Internal: 500, codes.Unknown: 500,
	codes.Unimplemented: 501, codes.Unavailable: 503, codes.DeadlineExceeded: 504,
}

func (s *server) intercept(r *http.Request, method string, handle func() (proto.Message, error)) (proto.Message, error) {
	call := 0
	var hang chan struct{}
	s.set(func() {
		s.calls[method]++
		call, hang = s.calls[method], s.hang
	})
	if hang != nil {
		s.hung.Do(func() { close(hang) })
		<-r.Context().Done()
		return nil, status.FromContextError(r.Context().Err()).Err()
	}
	if before := s.before[method]; before != nil {
		before(call)
	}
	out, err := s.answer(r, method, handle)
	if after := s.after[method]; after != nil && err == nil {
		err = after(call)
	}
	return out, err
}

func (s *server) answer(r *http.Request, method string, handle func() (proto.Message, error)) (proto.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch auths := r.Header.Values("Authorization"); {
	case len(auths) != 1 || auths[0] != "Bearer good" && !strings.HasPrefix(auths[0], "Bearer eyJ"): // a JWT
		return nil, status.Error(codes.Unauthenticated, "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
	case s.refuse != nil:
		return nil, s.refuse
	case s.throttle > 0:
		s.throttle--
		return nil, status.Error(codes.ResourceExhausted, "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute' of service 'secretmanager.googleapis.com' for consumer 'project_number:"+number+"'.")
	case s.forbidden[method]:
		return nil, status.Errorf(codes.PermissionDenied, "Permission 'secretmanager.%s' denied for resource 'projects/%s' (or it may not exist).", method, number)
	}
	return handle()
}

// expired is how the service refuses a login that has expired.
func expired(t *testing.T) error {
	return detailed(t, codes.Unauthenticated, "ACCESS_TOKEN_EXPIRED",
		"Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
}

func detailed(t testing.TB, code codes.Code, reason, message string) error {
	st, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "googleapis.com"})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

var (
	secretName  = regexp.MustCompile(`^projects/(?:` + project + `|` + number + `)/secrets/([A-Za-z0-9_-]{1,255})$`)
	versionName = regexp.MustCompile(`^(projects/[^/]+/secrets/[^/]+)/versions/(latest|[0-9]+)$`)
)

// find returns a version and its name with its number.
func (s *server) find(name string) (*stored, string, string, error) {
	m := versionName.FindStringSubmatch(name)
	if m == nil {
		return nil, "", "", status.Errorf(codes.InvalidArgument, "The provided Secret Version ID [%s] does not match the expected format", name)
	}
	n := secretName.FindStringSubmatch(m[1])
	if n == nil {
		return nil, "", "", status.Errorf(codes.InvalidArgument, "The provided Secret ID [%s] does not match the expected format", m[1])
	}
	secret := "projects/" + number + "/secrets/" + n[1]
	versions := s.secrets[n[1]]
	i, _ := strconv.Atoi(m[2])
	if m[2] == "latest" {
		i = len(versions)
	}
	switch {
	case len(versions) == 0:
		return nil, "", "", status.Errorf(codes.NotFound, "Secret [%s] not found or has no versions.", secret)
	case i < 1 || i > len(versions):
		return nil, "", "", status.Errorf(codes.NotFound, "Secret Version [%s/versions/%s] not found.", secret, m[2])
	}
	return versions[i-1], n[1], fmt.Sprintf("%s/versions/%d", secret, i), nil
}

func (s *server) AccessSecretVersion(_ context.Context, in *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	v, secret, name, err := s.find(in.GetName())
	if err != nil {
		return nil, err
	}
	if s.denied[secret] {
		return nil, status.Errorf(codes.PermissionDenied, "Permission 'secretmanager.versions.access' denied for resource '%s' (or it may not exist).", in.GetName())
	}
	if v.state != secretmanagerpb.SecretVersion_ENABLED {
		return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %s state.", name, v.state)
	}
	if v.data == nil {
		return &secretmanagerpb.AccessSecretVersionResponse{Name: name}, nil
	}
	payload := &secretmanagerpb.SecretPayload{Data: v.data, DataCrc32C: proto.Int64(checksum(v.data))}
	if s.damage {
		*payload.DataCrc32C ^= 1
	}
	return &secretmanagerpb.AccessSecretVersionResponse{Name: name, Payload: payload}, nil
}

func (s *server) GetSecretVersion(_ context.Context, in *secretmanagerpb.GetSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	v, _, name, err := s.find(in.GetName())
	if err != nil {
		return nil, err
	}
	return &secretmanagerpb.SecretVersion{Name: name, CreateTime: timestamppb.New(v.created), State: v.state}, nil
}

func (s *server) CreateSecret(_ context.Context, in *secretmanagerpb.CreateSecretRequest) (*secretmanagerpb.Secret, error) {
	name := "projects/" + number + "/secrets/" + in.GetSecretId()
	switch _, exists := s.secrets[in.GetSecretId()]; {
	case in.GetParent() != "projects/"+project || !secretName.MatchString(name):
		return nil, status.Error(codes.InvalidArgument, "The provided Secret ID does not match the expected format")
	case in.GetSecret().GetReplication().GetReplication() == nil:
		return nil, status.Error(codes.InvalidArgument, "Field [secret.replication] is required.")
	case exists:
		return nil, status.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", name)
	}
	s.secrets[in.GetSecretId()] = nil
	return &secretmanagerpb.Secret{Name: name}, nil
}

func (s *server) AddSecretVersion(_ context.Context, in *secretmanagerpb.AddSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	m := secretName.FindStringSubmatch(in.GetParent())
	if m == nil {
		return nil, status.Error(codes.InvalidArgument, "The provided Secret ID does not match the expected format")
	}
	data := in.GetPayload().GetData()
	switch _, exists := s.secrets[m[1]]; {
	case !exists:
		return nil, status.Errorf(codes.NotFound, "Secret [projects/%s/secrets/%s] not found.", number, m[1])
	case len(data) == 0 || len(data) > 64<<10:
		// The service does not quote a value here; one day it may.
		return nil, status.Errorf(codes.InvalidArgument, "The payload %q has not 1 to 65536 bytes.", data)
	case in.GetPayload().DataCrc32C == nil || in.GetPayload().GetDataCrc32C() != checksum(data):
		return nil, status.Error(codes.InvalidArgument, "The payload does not have its checksum.")
	}
	v := &stored{data, secretmanagerpb.SecretVersion_ENABLED, time.Now()}
	s.secrets[m[1]] = append(s.secrets[m[1]], v)
	return &secretmanagerpb.SecretVersion{
		Name:       fmt.Sprintf("projects/%s/secrets/%s/versions/%d", number, m[1], len(s.secrets[m[1]])),
		CreateTime: timestamppb.New(v.created), State: v.state,
	}, nil
}
