package awstest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/go-cmp/cmp"
)

// Request is what a client has sent, without what differs from call to call.
type Request struct {
	Method, Path string
	Header       map[string]string
	Body         any
}

// varies are the headers whose values differ from call to call, or from client to client.
var varies = []string{"Amz-Sdk-Invocation-Id", "User-Agent", "X-Amz-Date"}

// token is a ClientRequestToken that no one has chosen.
var token = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// Record starts a server that gives the answers one after the other, and of the last
// one no end. It returns the options that connect the SDK to it, and a function
// that returns the requests since it was called last.
func Record(t testing.TB, answers ...string) (options []func(*config.LoadOptions) error, requests func() []Request) {
	var mu sync.Mutex
	var sent []Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		req := Request{Method: r.Method, Path: r.URL.Path, Header: map[string]string{}}
		if err != nil || json.Unmarshal(text, &req.Body) != nil {
			t.Errorf("a body that is not JSON: %q", text)
		}
		if body, ok := req.Body.(map[string]any); ok {
			if s, ok := body["ClientRequestToken"].(string); ok && token.MatchString(s) {
				body["ClientRequestToken"] = "of its own"
			}
		}
		for name, v := range r.Header {
			req.Header[name] = strings.Join(v, ", ")
			if slices.Contains(varies, name) {
				req.Header[name] = "some"
			}
		}
		// How many bytes the same JSON has is for each client to say, and what is signed.
		delete(req.Header, "Content-Length")
		req.Header["Authorization"], _, _ = strings.Cut(req.Header["Authorization"], "Signature=")
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, req)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, answers[min(len(sent), len(answers))-1])
	}))
	t.Cleanup(s.Close)
	return OptionsFor(s.URL), func() []Request {
		mu.Lock()
		defer mu.Unlock()
		defer func() { sent = nil }()
		return sent
	}
}

// Same holds a client to that of the SDK, with the requests that [Record] returns: both
// make so many calls, and the same ones, and what is read of an answer is the same.
func Same(t *testing.T, requests func() []Request, calls int, theirs func() (any, error), ours func(), read func() (any, error)) {
	t.Helper()
	want, err := theirs()
	if err != nil {
		t.Fatal(err)
	}
	sent := requests()
	ours()
	if diff := cmp.Diff(sent, requests()); diff != "" || len(sent) != calls {
		t.Errorf("sent (-the SDK +victorgen)\n%s", diff)
	}
	got, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fields(t, want), fields(t, got)); diff != "" {
		t.Errorf("read (-the SDK +victorgen)\n%s", diff)
	}
}

// Pages reads all pages of a paginator of the SDK, and returns the first.
func Pages(more func() bool, next func() (any, error)) (first any, err error) {
	for more() {
		page, err := next()
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = page
		}
	}
	return first, nil
}

// fields is what v, an answer that a client has read, holds: its fields that are
// not empty, as JSON has them.
func fields(t testing.TB, v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var all any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a float64 has not room for all
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return filled(all)
}

func filled(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if v[name] = filled(field); v[name] == nil {
				delete(v, name)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = filled(v[i])
		}
	case string:
		if v == "" || v == "0001-01-01T00:00:00Z" {
			return nil
		}
	case json.Number:
		if v == "0" {
			return nil
		}
	}
	return v
}
