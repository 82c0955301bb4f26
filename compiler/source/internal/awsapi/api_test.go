package awsapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/internal/awstest"
)

// server is one of AWS. It keeps the requests.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// attempts is how many requests there were since it was called last.
func (s *server) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.requests, s.bodies = nil, nil }()
	return len(s.requests)
}

// impatient makes the next attempt at once.
type impatient struct{ aws.RetryerV2 }

func (impatient) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

// connect makes at most two attempts.
func (s *server) connect(t *testing.T) *Connection {
	t.Helper()
	c := &Connection{Options: append(awstest.OptionsFor(s.URL), config.WithRetryMaxAttempts(2))}
	if _, err := c.Config(t.Context()); err != nil {
		t.Fatal(err)
	}
	retryer := c.config.Retryer
	c.config.Retryer = func() aws.Retryer { return impatient{retryer().(aws.RetryerV2)} }
	return c
}

// both are the same call by the SDK and by the client.
func (s *server) both(t *testing.T, service *Service, out any) (theirs, ours func() error) {
	t.Helper()
	c := s.connect(t)
	cfg, err := c.Config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Client(t.Context(), service)
	if err != nil {
		t.Fatal(err)
	}
	if service == ParameterStore {
		upstream := ssm.NewFromConfig(cfg)
		return func() error {
			_, err := upstream.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("x"), Value: aws.String("v")})
			return err
		}, func() error { return client.Call(t.Context(), "PutParameter", struct{}{}, out) }
	}
	upstream := secretsmanager.NewFromConfig(cfg)
	return func() error {
		_, err := upstream.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")})
		return err
	}, func() error { return client.Call(t.Context(), "GetSecretValue", struct{}{}, out) }
}

// told is what becomes of an error.
type told struct {
	Attempts      int
	Code, Message string
	Server        bool // it is AWS that failed
	Failure       source.Failure
}

func tell(err error, attempts int) told {
	f := told{Attempts: attempts, Failure: *Failure(err, "ssm:PutParameter", false)}
	if api := smithy.APIError(nil); errors.As(err, &api) {
		f.Code, f.Message, f.Server = api.ErrorCode(), api.ErrorMessage(), api.ErrorFault() == smithy.FaultServer
	}
	return f
}

// TestErrors: errors are read, told and tried again as by the SDK, but that there is
// no message where the service gives none, that all that is 500 and above is a failure
// of AWS, and that a page of a proxy is told as that.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, header, body string
		status             int
	}{
		{name: "type", body: `{"__type":"ParameterAlreadyExists","message":"there is one"}`},
		{name: "type with a namespace", body: `{"__type":"com.amazonaws.ssm#ParameterAlreadyExists","message":"there is one"}`},
		{name: "type with a URL", body: `{"__type":"ValidationException:http://internal.amazon.com/x#y/","message":"no"}`},
		{name: "type with both", body: `{"__type":"aws.protocoltests#FooError:http://internal.amazon.com/x","Message":"no"}`},
		{name: "two namespaces", body: `{"__type":"a#b#c"}`},
		{name: "code", body: `{"code":"a#InvalidRequestException","message":"no"}`},
		{name: "a number", body: `{"code":7,"message":"no"}`},
		{name: "type and code", body: `{"__type":"T","code":"C"}`},
		{name: "header", header: "ResourceNotFoundException:http://internal.amazon.com/x", body: `{}`},
		{name: "header and body", header: "x#ResourceNotFoundException", body: `{"__type":"Other","code":"Other","message":"no"}`},
		{name: "header alone", header: "AccessDeniedException"},
		{name: "nothing"},
		{name: "null", body: "null"},
		{name: "no message", body: `{"__type":"AccessDeniedException"}`},
		{name: "a key", body: `{"__type":"AccessDeniedException","Message":"not authorized: KMS"}`},
		{name: "expired", body: `{"__type":"ExpiredTokenException","message":"expired"}`},
		{name: "signature", status: 403, body: `{"__type":"InvalidSignatureException","message":"no"}`},
		{name: "throttled", body: `{"__type":"ThrottlingException","message":"Rate exceeded"}`},
		{name: "throttled, 429", status: 429, body: `{"__type":"TooManyRequestsException"}`},
		{name: "failed, SSM", status: 500, body: `{"__type":"InternalServerError","message":"sorry"}`},
		{name: "failed, Secrets Manager", status: 500, body: `{"__type":"InternalServiceError","message":"sorry"}`},
		{name: "failed, another", status: 503, body: `{"__type":"ServiceUnavailable","message":"sorry"}`},
		{name: "failed, nothing", status: 500},
		{name: "a proxy", status: 502, body: `<html>c4nary</html>`},
		{name: "a proxy refuses", status: 403, body: `<html>c4nary</html>`},
		{name: "other JSON", status: 400, body: `"c4nary"`},
		{name: "moved", status: 302, body: `{}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if test.header != "" {
					w.Header().Set("X-Amzn-ErrorType", test.header)
				}
				status := test.status
				if status == 0 {
					status = http.StatusBadRequest
				}
				w.WriteHeader(status)
				io.WriteString(w, test.body)
			})
			for _, service := range []*Service{ParameterStore, SecretsManager} {
				theirs, ours := s.both(t, service, nil)
				want, got := tell(theirs(), s.attempts()), tell(ours(), s.attempts())
				want.Message = strings.TrimPrefix(want.Message, "UnknownError")
				want.Failure.Reason = strings.TrimSuffix(want.Failure.Reason, ": UnknownError")
				switch {
				case want.Code == "":
					want.Failure = *source.Nonsense(service.title)
				case test.status >= 500:
					want.Server, want.Failure = true, source.Failure{Reason: "AWS failed (" + want.Code + ")", Remedy: "try again later", Unreadable: true}
				}
				if diff := cmp.Diff(want, got); diff != "" || strings.Contains(fmt.Sprint(got), "c4nary") {
					t.Errorf("%s (-the SDK +victorgen)\n%s", service.title, diff)
				}
			}
		})
	}
}

// TestNonsense: of an answer that is none of the API nothing follows, and no error
// quotes it. Nothing at all is an empty answer, as it is for the SDK.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, " \n", `null`, `{}`, `{"Other":{"x":1}}`, `{"SecretString":null,"SecretBinary":null,"CreatedDate":null}`,
		`<html>c4nary</html>`, `[]`, `0`, `"c4nary"`, `{"SecretString":"c4nary`, `{"SecretString":{"c4nary":1}}`, `{"SecretString":7}`,
		`{"SecretBinary":"c4nary!"}`, `{"CreatedDate":"c4nary"}`, `{"CreatedDate":{}}`, `{"CreatedDate":1e999}`,
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		var out struct {
			SecretString *string
			SecretBinary []byte
			CreatedDate  Time
		}
		theirs, ours := s.both(t, SecretsManager, &out)
		want, err := theirs(), ours()
		if (want == nil) != (err == nil) || s.attempts() != 2 {
			t.Errorf("%q: %v, and by the SDK %v", body, err, want)
		}
		if err != nil && (*Failure(err, "x", false) != *source.Nonsense("Secrets Manager") || strings.Contains(err.Error(), "c4nary")) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// TestTooLong: an answer without an end is not read to it.
func TestTooLong(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{maxAnswer - 100: true, maxAnswer + 1: false, 64 * maxAnswer: false} {
		var written atomic.Int64
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"SecretString":"`)
			chunk := strings.Repeat("x", 1<<16)
			for left := size; left > 0; left -= len(chunk) {
				n, err := io.WriteString(w, chunk[:min(left, len(chunk))])
				if written.Add(int64(n)); err != nil {
					return
				}
			}
			io.WriteString(w, `"}`)
		})
		_, ours := s.both(t, SecretsManager, &struct{ SecretString string }{})
		if err := ours(); (err == nil) != ok || s.attempts() != 1 {
			t.Errorf("%d bytes: %v", size, err)
		}
		if n := written.Load(); n > 3*maxAnswer { // of which the system may buffer some
			t.Errorf("%d bytes are read", n)
		}
	}
}

// TestClock: if the clock is wrong, AWS refuses the signature, and says what time it
// is. The next attempt goes by that, and so does the next call.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, wrong := range []time.Duration{-time.Hour, time.Minute, 26 * time.Hour} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			now := time.Now().Add(wrong).UTC()
			w.Header().Set("Date", now.Format(http.TimeFormat))
			signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
			if err != nil || signed.Sub(now).Abs() > 5*time.Minute {
				w.WriteHeader(400)
				io.WriteString(w, `{"__type":"InvalidSignatureException","message":"Signature expired"}`)
				return
			}
			io.WriteString(w, `{}`)
		})
		for _, service := range []*Service{ParameterStore, SecretsManager} {
			theirs, ours := s.both(t, service, &struct{}{})
			var counts [][]int
			for _, call := range []func() error{theirs, ours} {
				var count []int
				for range 2 {
					if err := call(); err != nil {
						t.Errorf("%v: %v", wrong, err)
					}
					count = append(count, s.attempts())
				}
				counts = append(counts, count)
			}
			if diff := cmp.Diff(counts[0], counts[1]); diff != "" {
				t.Errorf("%v: attempts (-the SDK +victorgen)\n%s", wrong, diff)
			}
		}
	}
}

// TestAttempts: a call that is made again is the same one.
func TestAttempts(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1;") {
			w.WriteHeader(503)
		}
	})
	client, err := s.connect(t).Client(t.Context(), SecretsManager)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Call(t.Context(), "X", map[string]string{"ClientRequestToken": "t"}, nil); err != nil {
		t.Fatal(err)
	}
	if len(s.requests) != 2 || s.bodies[0] != s.bodies[1] || s.bodies[0] != `{"ClientRequestToken":"t"}` {
		t.Fatalf("%d: %q", len(s.requests), s.bodies)
	}
	const id = "Amz-Sdk-Invocation-Id"
	if a, b := s.requests[0].Header.Get(id), s.requests[1].Header.Get(id); a == "" || a != b {
		t.Errorf("%q, %q", a, b)
	}
}

// early answers a request before net/http is done with its body.
type early struct {
	*http.Request
	err error
}

func (e *early) Do(r *http.Request) (*http.Response, error) {
	e.Request = r
	return &http.Response{StatusCode: 200, Body: io.NopCloser(e)}, nil
}

// Read does what net/http does after the last byte of a body, to see that there is no
// other.
func (e *early) Read([]byte) (int, error) {
	_, e.err = io.Copy(io.Discard, e.Body)
	return 0, io.EOF
}

// TestEarlyAnswer: an answer may begin before the request has ended. What of its body is
// read then fails in no way, or net/http would close the connection.
func TestEarlyAnswer(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "") // which is for a client of net/http
	server := &early{}
	c := &Connection{Options: append(awstest.OptionsFor("http://localhost"), config.WithHTTPClient(server))}
	client, err := c.Client(t.Context(), ParameterStore)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Call(t.Context(), "X", struct{}{}, nil); err != nil || server.err != nil || server.Request == nil {
		t.Errorf("%v; %v", err, server.err)
	}
}

// TestDefaultsMode: the timeouts of AWS_DEFAULTS_MODE are those of the client.
func TestDefaultsMode(t *testing.T) {
	for mode, want := range map[string]time.Duration{"legacy": 30 * time.Second, "standard": 3100 * time.Millisecond, "in-region": 1100 * time.Millisecond} {
		c := profile(t, "echo")
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
		t.Setenv("AWS_DEFAULTS_MODE", mode)
		cfg, err := c.Config(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.HTTPClient.(*awshttp.BuildableClient).GetDialer().Timeout; got != want {
			t.Errorf("%s: %v, not %v", mode, got, want)
		}
	}
}
