package gcpsecretmanager

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
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

// server is a Secret Manager: gRPC over TLS on a socket of its own. Its errors
// are those of the service, in code and form.
type server struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
	testing.TB
	grpc    *grpc.Server
	options []option.ClientOption // that lead a client here

	// What happens besides, by the method that is called for the nth time.
	before map[string]func(call int)
	after  map[string]func(call int) error

	mu        sync.Mutex
	secrets   map[string][]*version
	calls     map[string]int      // by method, refused ones included
	denied    map[string]bool     // names whose values nobody may read
	forbidden map[string]bool     // methods that nobody may call
	refuse    error               // what every call is answered
	raw       func(proto.Message) // fills in what every call is answered
	throttle  int
	damage    bool          // of values on their way
	hang      chan struct{} // not nil: no call is answered; it is closed when the first has arrived
	hung      sync.Once
}

// version is one of a secret, numbered by its place.
type version struct {
	data    []byte
	state   secretmanagerpb.SecretVersion_State
	created time.Time
}

func newServer(t testing.TB) *server {
	s := &server{
		TB: t, secrets: map[string][]*version{}, calls: map[string]int{}, denied: map[string]bool{}, forbidden: map[string]bool{},
		before: map[string]func(int){}, after: map[string]func(int) error{},
	}
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	roots := web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(s.intercept), grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	secretmanagerpb.RegisterSecretManagerServiceServer(s.grpc, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.grpc.Serve(l)
	t.Cleanup(s.grpc.Stop)
	s.options = []option.ClientOption{
		option.WithEndpoint(l.Addr().String()),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots}))),
	}
	return s
}

// token is what the clients of a test are logged in with.
type token string

// Token implements auth.TokenProvider.
func (t token) Token(context.Context) (*auth.Token, error) { return &auth.Token{Value: string(t)}, nil }

// open returns a source that is logged in.
func (s *server) open() *Source {
	creds := auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token("good")})
	return open(plan.Source{Project: project}, append(s.options, option.WithAuthCredentials(creds))...)
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
		s.secrets[name] = append(s.secrets[name], &version{data, secretmanagerpb.SecretVersion_ENABLED, time.Now()})
	})
}

// once lets somebody else add a version, at the first call.
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

// forbid lets nobody call some methods.
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

func (s *server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	method, call := path.Base(info.FullMethod), 0
	var hang chan struct{}
	s.set(func() {
		s.calls[method]++
		call, hang = s.calls[method], s.hang
	})
	if hang != nil {
		s.hung.Do(func() { close(hang) })
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if s.raw != nil {
		out := map[string]proto.Message{
			"AccessSecretVersion": &secretmanagerpb.AccessSecretVersionResponse{}, "GetSecretVersion": &secretmanagerpb.SecretVersion{},
			"CreateSecret": &secretmanagerpb.Secret{}, "AddSecretVersion": &secretmanagerpb.SecretVersion{},
		}[method]
		s.raw(out)
		return out, nil
	}
	if before := s.before[method]; before != nil {
		before(call)
	}
	out, err := s.answer(ctx, method, req, handle)
	if after := s.after[method]; after != nil && err == nil {
		err = after(call)
	}
	return out, err
}

func (s *server) answer(ctx context.Context, method string, req any, handle grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	switch auths := md.Get("authorization"); {
	case len(auths) != 1 || auths[0] != "Bearer good" && !strings.HasPrefix(auths[0], "Bearer eyJ"): // a JWT
		return nil, status.Error(codes.Unauthenticated, "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
	case len(md.Get("x-goog-request-params")) != 1:
		return nil, status.Error(codes.InvalidArgument, "there is no routing header")
	case s.refuse != nil:
		return nil, s.refuse
	case s.throttle > 0:
		s.throttle--
		return nil, status.Error(codes.ResourceExhausted, "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute' of service 'secretmanager.googleapis.com' for consumer 'project_number:"+number+"'.")
	case s.forbidden[method]:
		return nil, status.Errorf(codes.PermissionDenied, "Permission 'secretmanager.%s' denied for resource 'projects/%s' (or it may not exist).", method, number)
	}
	return handle(ctx, req)
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
func (s *server) find(name string) (*version, string, string, error) {
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
	v := &version{data, secretmanagerpb.SecretVersion_ENABLED, time.Now()}
	s.secrets[m[1]] = append(s.secrets[m[1]], v)
	return &secretmanagerpb.SecretVersion{
		Name:       fmt.Sprintf("projects/%s/secrets/%s/versions/%d", number, m[1], len(s.secrets[m[1]])),
		CreateTime: timestamppb.New(v.created), State: v.state,
	}, nil
}
