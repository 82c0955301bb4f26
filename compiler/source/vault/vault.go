// Package vault is the source of kind "vault": secrets of a KV engine of
// HashiCorp Vault or OpenBao. A secret there is a JSON object at a path, and an
// input is one property of it.
//
// The environment variables that it obeys are those of Vault's own client: VAULT_ADDR,
// VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT and others
// (https://developer.hashicorp.com/vault/docs/commands#environment-variables).
// It knows none of OpenBao's BAO_*. Without VAULT_TOKEN it is the token that
// `vault login` or `bao login` has kept.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

var (
	_ source.Prover = (*kv1)(nil)
	_ source.Prover = (*kv2)(nil)
	_ source.Writer = (*kv2)(nil)
)

// New returns the source that s describes, which connects when it is first
// asked. It is a source.Prover. If s.Version is "v2" it is a source.Writer as
// well: an engine of version v1 can't check and set, so what writes to it may
// undo what others write.
func New(s plan.Source) source.Source {
	e := newEngine(s)
	if s.Version == "v1" {
		return &kv1{e}
	}
	return &kv2{e}
}

// kv1 is an engine of version v1, which knows nothing of a secret but its
// values (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1).
type kv1 struct{ *engine }

// Read implements source.Source. It needs read on MOUNT/PATH.
func (s *kv1) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	return each(ctx, refs, func(ctx context.Context, r plan.Remote) source.Answer {
		data, err := s.secret(ctx, r.Name, nil, "read")
		return source.Answer{Value: value.New(data), Origin: s.origin(r), Err: err}
	})
}

// Prove implements source.Prover. It needs list on what is above each PATH.
func (s *kv1) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	lists := map[string]func(context.Context) ([]string, error){} // by directory
	for _, ref := range refs {
		dir, _ := path.Split(ref.Remote.Name)
		lists[dir] = once(func(ctx context.Context) ([]string, error) {
			data, err := s.secret(ctx, dir, url.Values{"list": {"true"}}, "list")
			var list struct{ Keys []string }
			if err == nil && (json.Unmarshal(data, &list) != nil || list.Keys == nil) {
				err = strange()
			}
			return list.Keys, err
		})
	}
	return each(ctx, refs, func(ctx context.Context, r plan.Remote) source.Answer {
		dir, base := path.Split(r.Name)
		keys, err := lists[dir](ctx)
		if err == nil && !slices.Contains(keys, base) {
			err = source.ErrAbsent
		}
		return source.Answer{Origin: s.origin(r), Err: err}
	})
}

// once returns a function that calls list once, with the context of who comes
// first, and answers all with that.
func once(list func(context.Context) ([]string, error)) func(context.Context) ([]string, error) {
	var do sync.Once
	var keys []string
	var err error
	return func(ctx context.Context) ([]string, error) {
		do.Do(func() { keys, err = list(ctx) })
		return keys, err
	}
}

// kv2 is an engine of version v2, which keeps versions
// (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2).
type kv2 struct{ *engine }

// version is what a kv2 says of one version of a secret.
type version struct {
	Created   string `json:"created_time"`
	Deleted   string `json:"deletion_time"` // empty, or when it was or will be
	Destroyed bool   `json:"destroyed"`
}

func (v version) created() time.Time {
	t, _ := time.Parse(time.RFC3339, v.Created)
	return t
}

func (v version) gone() bool {
	deleted, err := time.Parse(time.RFC3339, v.Deleted)
	return v.Destroyed || err == nil && deleted.Before(time.Now())
}

// retired says that version n of a secret has no values any longer.
func (s *kv2) retired(name string, n int, v version) *source.Failure {
	which := fmt.Sprintf("version %d of %s/%s", n, s.mount, name)
	if v.Destroyed {
		return &source.Failure{
			Reason: which + " is destroyed",
			Remedy: fmt.Sprintf("write a new version, or forget the secret with `vault kv metadata delete -mount=%s %s`", s.mount, name),
		}
	}
	return &source.Failure{
		Reason: which + " is deleted",
		Remedy: fmt.Sprintf("restore it with `vault kv undelete -mount=%s -versions=%d %s`, or write a new version", s.mount, n, name),
	}
}

// Read implements source.Source. It needs read on MOUNT/data/PATH.
func (s *kv2) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	return each(ctx, refs, func(ctx context.Context, r plan.Remote) source.Answer {
		a, _ := s.read(ctx, r)
		return a
	})
}

// read reads one secret and tells the number of its version, 0 if there is none.
func (s *kv2) read(ctx context.Context, r plan.Remote) (source.Answer, int) {
	a := source.Answer{Origin: s.origin(r)}
	var params url.Values
	if r.Version != "" {
		params = url.Values{"version": {r.Version}}
	}
	data, err := s.secret(ctx, "data/"+r.Name, params, "read")
	if err != nil {
		a.Err = err
		return a, 0
	}
	var secret struct {
		Data     json.RawMessage // null if it is deleted
		Metadata struct {
			Version int
			version
		}
	}
	if json.Unmarshal(data, &secret) != nil || secret.Metadata.Version == 0 {
		a.Err = &source.Failure{
			Reason: "what is stored there is not a secret of a KV engine of version v2",
			Remedy: "check mount and version of the source",
		}
		return a, 0
	}
	n := secret.Metadata.Version
	if secret.Data == nil || string(secret.Data) == "null" {
		a.Err = s.retired(r.Name, n, secret.Metadata.version)
		return a, n
	}
	a.Value, a.Changed = value.New(secret.Data), secret.Metadata.created()
	return a, n
}

// Prove implements source.Prover. It needs read on MOUNT/metadata/PATH.
func (s *kv2) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	return each(ctx, refs, func(ctx context.Context, r plan.Remote) source.Answer {
		a := source.Answer{Origin: s.origin(r)}
		data, err := s.secret(ctx, "metadata/"+r.Name, nil, "read")
		if err != nil {
			a.Err = err
			return a
		}
		var metadata struct {
			Current  *int `json:"current_version"`
			Versions map[string]version
		}
		if json.Unmarshal(data, &metadata) != nil || metadata.Current == nil {
			a.Err = strange()
			return a
		}
		n := *metadata.Current
		if r.Version != "" {
			n, _ = strconv.Atoi(r.Version)
		}
		v, ok := metadata.Versions[strconv.Itoa(n)]
		switch {
		case !ok:
			a.Err = source.ErrAbsent
		case v.gone():
			a.Err = s.retired(r.Name, n, v)
		default:
			a.Changed = v.created()
		}
		return a
	})
}

// Create implements source.Writer. It needs create, read and update on
// MOUNT/data/PATH. Other properties of the secret stay as they are. A secret
// of which the current version is deleted is left alone.
func (s *kv2) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.put(ctx, ref, v, false)
}

// Replace implements source.Writer, as Create does.
func (s *kv2) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.put(ctx, ref, v, true)
}

func (s *kv2) put(ctx context.Context, ref source.Ref, v value.Value, replace bool) (source.Answer, error) {
	name, property := ref.Remote.Name, ref.Remote.Property
	for {
		whole, n := s.read(ctx, plan.Remote{Name: name})
		if whole.Err != nil && !errors.Is(whole.Err, source.ErrAbsent) {
			return source.Answer{}, whole.Err
		}
		if old := source.Select(whole, property); !replace && old.Value.Len() > 0 {
			return old, nil
		}
		properties := map[string]any{}
		if whole.Err == nil {
			var others map[string]json.RawMessage // which keeps numbers as they are
			if json.Unmarshal(whole.Value.Reveal(), &others) != nil {
				return source.Answer{}, strange()
			}
			for name, other := range others {
				properties[name] = other
			}
		}
		properties[property] = string(v.Reveal())

		client, err := s.unwrapped(ctx)
		if err != nil {
			return source.Answer{}, err
		}
		written, err := client.call(ctx, s.mount+"/data/"+name, nil, map[string]any{
			"data": properties, "options": map[string]int{"cas": n},
		})
		if err == nil {
			var made struct {
				Version int
				version
			}
			if json.Unmarshal(written.Data, &made) == nil && made.Version > n {
				return source.Answer{Value: v, Origin: whole.Origin, Changed: made.created()}, nil
			}
			return source.Answer{}, source.NotStored("Vault")
		}
		// Someone else was faster. That another version has come into being is
		// progress, so this ends when there are no others left, or no time.
		var refused *refusal
		if errors.As(err, &refused) && refused.status == http.StatusBadRequest &&
			strings.Contains(refused.said, "did not match the current version") {
			continue
		}
		return source.Answer{}, s.failure(ctx, err, "data/"+name, "create", "read", "update")
	}
}

func (e *engine) origin(r plan.Remote) string {
	r.Name = path.Join(e.mount, r.Name)
	return "Vault's " + r.String()
}

// each asks for the refs one by one, as many at a time as source.Batches does.
func each(ctx context.Context, refs []source.Ref, ask func(context.Context, plan.Remote) source.Answer) []source.Answer {
	return source.Batches(ctx, refs, 1, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return []source.Answer{ask(ctx, refs[0].Remote)}
	})
}
