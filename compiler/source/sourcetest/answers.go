package sourcetest

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// secretOfAnswers stands in the answers of [FuzzAnswers], as a value would.
const secretOfAnswers = "c4nary-in-an-answer"

// nonsense are answers that no service gives. {{SECRET}} is what no one shows.
var nonsense = []string{
	``, `{}`, `null`, `[]`, `0`, `"{{SECRET}}"`, `<html>{{SECRET}}</html>`, `{"data":{}}`, `{"data":null}`, `{"data":{"data":null,"metadata":null}}`,
	`{"data":{"metadata":{"version":"{{SECRET}}"}}}`, `{"data":{"keys":null}}`, `{"data":{"versions":{"1":null}}}`, `{"data":"{{SECRET}}"}`,
	`{"Parameters":null}`, `{"Parameters":[{}]}`, `{"Parameters":[null]}`, `{"Parameters":"{{SECRET}}"}`,
	`{"SecretValues":[{}],"Errors":[{}]}`, `{"SecretList":null}`, `{"SecretList":[{}]}`, `{"Name":"x"}`, `{"Version":"{{SECRET}}"}`, `{"Version":0}`,
	`{"value":null,"id":null}`, `{"id":"{{SECRET}}"}`, `{"value":["{{SECRET}}"]}`, `{"value":[null]}`, `{"value":[{}]}`, `{"value":[{"id":"x"}]}`,
	`{"id":"https://host/secrets","value":"x"}`, `{"attributes":{"created":"{{SECRET}}"}}`,
}

// FuzzAnswers lets a service answer each call with the same bytes, of which few
// are ones that it would give. Whatever comes: no panic, no error that quotes
// an answer of status 200, and nothing counts as stored, or as absent, by an
// answer that does not say so. The seeds, which are run as tests, are nonsense.
//
// open connects to the service at an address; secure is whether that speaks TLS.
func FuzzAnswers(f *testing.F, secure bool, remote plan.Remote, open func(t *testing.T, s *httptest.Server) source.Source) {
	for _, body := range nonsense {
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body string, ok bool) {
		seed := slices.Contains(nonsense, body)
		body = strings.ReplaceAll(body, "{{SECRET}}", secretOfAnswers)
		status := http.StatusOK
		if !ok {
			status = http.StatusBadRequest
		}
		var calls atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		if secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		src := open(t, s)
		ref := source.Ref{Input: "AN_INPUT", Remote: remote}
		check := func(doing string, a source.Answer, err error) {
			switch {
			case err == nil && seed:
				t.Errorf("%s: %q is taken for an answer", doing, body)
			case errors.Is(err, source.ErrAbsent) && seed:
				t.Errorf("%s: by %q the input is absent", doing, body)
			case err != nil && ok && strings.Contains(err.Error(), secretOfAnswers), strings.Contains(a.Origin, secretOfAnswers):
				t.Errorf("%s: the error shows the answer: %v", doing, err)
			}
			var f *source.Failure
			if errors.As(err, &f) && ok && strings.Contains(f.Remedy, secretOfAnswers) {
				t.Errorf("%s: the remedy shows the answer: %s", doing, f.Remedy)
			}
		}
		a := source.Read(ctx, src, []source.Ref{ref})[0]
		check("read", a, a.Err)
		if p, ok := src.(source.Prover); ok {
			a = source.Prove(ctx, p, []source.Ref{ref})[0]
			check("prove", a, a.Err)
		}
		if h, ok := src.(source.Historian); ok {
			for _, values := range []bool{true, false} {
				a = h.Previous(ctx, []source.Ref{ref}, values)[0]
				check("previous", a, a.Err)
			}
		}
		if w, ok := src.(source.Writer); ok {
			ref.Remote.Version = ""
			v := value.New([]byte("what is to be stored"))
			a, err := w.Create(ctx, ref, v)
			check("create", a, err)
			a, err = w.Replace(ctx, ref, v)
			check("replace", a, err)
		}
		if calls.Load() == 0 {
			t.Error("the service was not asked")
		}
	})
}
