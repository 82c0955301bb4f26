// Package awstest is a server for tests that speaks the protocol of AWS's JSON
// services (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html) and
// fails at will.
package awstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Error is what a service refuses a call with.
type Error struct {
	Code    string
	Message string
	Status  int // 400 if zero
}

// Errorf returns an Error with status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Server answers calls. Its fields may be set before the first one.
type Server struct {
	// Handle answers an operation, such as GetParameters. It is not called
	// concurrently.
	Handle func(operation string, in json.RawMessage) (any, *Error)
	// Delay is how long each answer takes.
	Delay time.Duration

	http     *httptest.Server
	mu       sync.Mutex
	calls    []string // the operations of all calls, in order
	throttle int
	expired  bool
	hang     bool
	arrived  chan struct{}
}

// New starts a server that runs until the end of the test.
func New(t testing.TB, handle func(operation string, in json.RawMessage) (any, *Error)) *Server {
	s := &Server{Handle: handle, arrived: make(chan struct{})}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// URL is the address of the server.
func (s *Server) URL() string { return s.http.URL }

// Options connect the SDK to the server, with its own retries but no waiting.
func (s *Server) Options() []func(*config.LoadOptions) error { return OptionsFor(s.http.URL) }

// OptionsFor connect the SDK to the server at an address.
func OptionsFor(url string) []func(*config.LoadOptions) error {
	return []func(*config.LoadOptions) error{
		config.WithBaseEndpoint(url), config.WithRegion("us-east-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", "")),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil),
	}
}

// Calls returns how many calls of the operations there were, retries left out.
func (s *Server) Calls(operations ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		if slices.Contains(operations, c) {
			n++
		}
	}
	return n
}

// Throttle lets the next calls be refused.
func (s *Server) Throttle(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.throttle = calls
}

// Expire lets every call be refused.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = true
}

// Hang lets no call be answered, and tells when the first one has arrived.
func (s *Server) Hang() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = true
	return s.arrived
}

// Down lets no one listen any longer.
func (s *Server) Down() { s.http.Close() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	_, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if err != nil || !ok || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		refuse(w, Errorf("UnknownOperationException", ""))
		return
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDTEST/") {
		refuse(w, Errorf("UnrecognizedClientException", "The security token included in the request is invalid."))
		return
	}
	s.mu.Lock()
	if strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1;") {
		s.calls = append(s.calls, operation)
	}
	hang := s.hang
	if hang {
		s.hangs()
	}
	s.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return
	}
	if s.Delay > 0 {
		select {
		case <-time.After(s.Delay):
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.throttle > 0:
		s.throttle--
		refuse(w, Errorf("ThrottlingException", "Rate exceeded"))
		return
	case s.expired:
		refuse(w, Errorf("ExpiredTokenException", "The security token included in the request is expired"))
		return
	}
	out, refused := s.Handle(operation, body)
	if refused != nil {
		refuse(w, refused)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(out)
}

// hangs tells that the first call has arrived.
func (s *Server) hangs() {
	select {
	case <-s.arrived:
	default:
		close(s.arrived)
	}
}

func refuse(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(max(e.Status, http.StatusBadRequest))
	json.NewEncoder(w).Encode(map[string]string{"__type": e.Code, "message": e.Message})
}
