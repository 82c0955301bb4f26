package gcpsecretmanager

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/proto"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// FuzzAnswers lets the service answer with any bytes that are messages, as
// sourcetest.FuzzAnswers does where messages are JSON.
func FuzzAnswers(f *testing.F) {
	const canary = "c4nary-in-an-answer"
	s := newServer(f)
	var answer []byte
	s.raw = func(m proto.Message) { proto.Unmarshal(answer, m) }
	src := s.open()
	message := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add([]byte{})
	f.Add([]byte(canary))
	f.Add(message(&secretmanagerpb.SecretVersion{Name: canary}))
	f.Add(message(&secretmanagerpb.SecretVersion{Name: "projects/1/secrets/x/versions/0"}))
	f.Add(message(&secretmanagerpb.SecretVersion{Name: "projects/1/secrets/x/versions/-1", State: 77}))
	f.Add(message(&secretmanagerpb.AccessSecretVersionResponse{Payload: &secretmanagerpb.SecretPayload{Data: []byte(canary), DataCrc32C: proto.Int64(1)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		answer = b
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		ref := source.Ref{Input: "AN_INPUT", Remote: plan.Remote{Name: "x"}}
		read, proved := src.Read(ctx, []source.Ref{ref})[0], src.Prove(ctx, []source.Ref{ref})[0]
		_, created := src.Create(ctx, ref, value.New([]byte("ours")))
		_, replaced := src.Replace(ctx, ref, value.New([]byte("ours")))
		var version secretmanagerpb.SecretVersion
		proto.Unmarshal(b, &version) // what of it can be read is what the server answers
		named := strings.ContainsAny(version.GetName(), "123456789")
		for doing, err := range map[string]error{"read": read.Err, "prove": proved.Err, "create": created, "replace": replaced} {
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("%s: the error shows the answer: %v", doing, err)
			}
			if len(b) == 0 && (err == nil || errors.Is(err, source.ErrAbsent)) {
				t.Errorf("%s: nothing is taken for an answer: %v", doing, err)
			}
			if doing == "replace" && err == nil && !named {
				t.Errorf("%s: stored, by %q", doing, b)
			}
		}
	})
}

// Regional secrets are in a location, and have no replicas elsewhere.
func TestRegional(t *testing.T) {
	t.Parallel()
	c := &connection{project: "p", location: "europe-west3"}
	ref := source.Ref{Remote: plan.Remote{Name: "x"}}
	if got, want := c.version(ref, "latest"), "projects/p/locations/europe-west3/secrets/x/versions/latest"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
