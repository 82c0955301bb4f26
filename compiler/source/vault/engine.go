package vault

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// engine is a KV engine at a server.
type engine struct {
	mount   string // "secret"
	version string // "v1" or "v2"
	client  func() (*client, error)

	found     sync.Once
	foundErr  error // of find
	lookup    sync.Once
	forgotten bool // that Vault does not know the token
	unwrap    sync.Once
	isWrapped bool // that the token is one that wraps another
}

func newEngine(s plan.Source) *engine {
	return &engine{
		mount: s.Mount, version: s.Version,
		client: sync.OnceValues(func() (*client, error) { return connect(s) }),
	}
}

// connect returns a client with the token of VAULT_TOKEN, or else of the last login. It
// may do without: there are Vault Proxies that add one to what they pass on.
func connect(s plan.Source) (*client, error) {
	c, err := newClient(s)
	if err != nil {
		return nil, err
	}
	if c.token == "" {
		if c.token, err = kept(); err != nil {
			return nil, &source.Failure{
				// The error may quote ~/.vault, where Ansible has a password.
				Reason: "the token that `vault login` has kept can't be read", Unreadable: true,
				Remedy: "check ~/.vault-token, and at ~/.vault if there is one; or set VAULT_TOKEN",
			}
		}
	}
	if err := c.checkToken(); err != nil {
		return nil, err
	}
	return c, nil
}

// secret returns the data of Vault's answer to GET at a path below the mount,
// which needs capability. Its error is source.ErrAbsent only if Vault has
// nothing there and the engine is what the contract says it is.
func (e *engine) secret(ctx context.Context, below string, params url.Values, capability string) (json.RawMessage, error) {
	data, err := e.get(ctx, e.mount+"/"+below, params)
	switch {
	case err != nil:
		return nil, e.failure(ctx, err, below, capability)
	case data != nil:
		return data, nil
	}
	e.found.Do(func() { e.foundErr = e.find(ctx) })
	if e.foundErr != nil {
		return nil, e.foundErr
	}
	return nil, source.ErrAbsent
}

// get returns the data of Vault's answer to GET path: nil if that is 404, but
// for a deleted version, of which it tells that it is. Its error is one of
// [client.call].
func (e *engine) get(ctx context.Context, path string, params url.Values) (json.RawMessage, error) {
	client, err := e.unwrapped(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := client.call(ctx, path, params, nil)
	if err != nil {
		return nil, err
	}
	if len(answer.Errors) > 0 { // with 404: no handler for route
		return nil, &source.Failure{
			Reason: "nothing is mounted at " + e.mount,
			Remedy: "write the mount of a KV engine into the contract: `vault secrets list` shows them; or set VAULT_NAMESPACE",
		}
	}
	if answer.Data == nil && answer.status != http.StatusNotFound {
		return nil, strange()
	}
	return answer.Data, nil
}

// find returns nil if the engine is mounted where, and has the version that,
// the contract says. Else Vault says 404 of everything: an engine of version v1
// has no secret called data/PATH, and one of version v2 knows no other. The
// program vault asks the same before each `vault kv`; anyone who may read any
// secret of the engine may ask.
func (e *engine) find(ctx context.Context) error {
	data, err := e.get(ctx, "sys/internal/ui/mounts/"+e.mount, nil)
	if err != nil {
		return e.failure(ctx, err, "", "list")
	}
	var mount struct {
		Path, Type string
		Options    map[string]string
	}
	if json.Unmarshal(data, &mount) != nil {
		return strange()
	}
	version := "v1"
	if mount.Options["version"] == "2" {
		version = "v2"
	}
	at := strings.TrimSuffix(mount.Path, "/")
	switch {
	case mount.Type != "kv" && mount.Type != "generic": // the name of kv before Vault 0.9
		return &source.Failure{
			Reason: fmt.Sprintf("the secrets engine at %s is not a KV engine", e.mount),
			Remedy: "write the mount of a KV engine into the contract: `vault secrets list` shows them",
		}
	case at != e.mount:
		return &source.Failure{
			Reason: fmt.Sprintf("the KV engine is mounted at %s, not at %s", at, e.mount),
			Remedy: fmt.Sprintf("write mount: %q into the contract, and the rest as prefix or into each remote", at),
		}
	case version != e.version:
		return &source.Failure{
			Reason: fmt.Sprintf("the KV engine at %s is of version %s, not %s", e.mount, version, e.version),
			Remedy: fmt.Sprintf("write version: %q into the contract", version),
		}
	}
	return nil
}

// failure explains err, which a call has come to that needs capabilities at a
// path below the mount. What Vault says of a request to write is left out, for
// it may quote the value.
func (e *engine) failure(ctx context.Context, err error, below string, capabilities ...string) error {
	var own *source.Failure
	var refused *refusal
	switch {
	case errors.As(err, &own):
		return own
	case !errors.As(err, &refused):
		if f := source.Network(err); f != nil {
			if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
				f.Remedy = "name its authority: VAULT_CACERT for this machine, and caBundle in the contract for the operator too"
			}
			return f
		}
		return strange()
	}
	client, _ := e.client()
	f := &source.Failure{Unreadable: true}
	switch code := refused.status; {
	case code == http.StatusForbidden && client.token == "":
		f.Reason, f.Remedy = "there is no Vault token", "log in with `vault login`, or set VAULT_TOKEN"
	case code == http.StatusForbidden && e.unknown(ctx, refused.said):
		f.Reason = "the Vault token is not valid: it has expired, or was revoked"
		f.Remedy = "log in with `vault login`, or renew VAULT_TOKEN; if it is good, it lacks the policy default"
	case code == http.StatusForbidden:
		f.Reason = "access is denied"
		f.Remedy = fmt.Sprintf("let a policy of the token say: path %q { capabilities = [\"%s\"] }",
			e.mount+"/"+below, strings.Join(capabilities, `", "`))
	case code == http.StatusTooManyRequests:
		return throttles()
	case code == http.StatusServiceUnavailable:
		f.Reason, f.Remedy = "Vault is sealed, or down for maintenance", "unseal it with `vault operator unseal`: see `vault status`"
	default:
		f.Reason = fmt.Sprintf("Vault answers %d", code)
		f.Remedy = "check the remote name and the settings of the source, or try again later"
		if refused.of == http.MethodGet && refused.said != "" {
			f.Reason += ": " + refused.said
		}
	}
	return f
}

// unwrapped returns the client, unless its token is one that wraps another: that
// is good for one call, and any but the right one would use it up. To look it up
// needs no token, and does not
// (https://developer.hashicorp.com/vault/api-docs/system/wrapping-lookup).
func (e *engine) unwrapped(ctx context.Context) (*client, error) {
	client, err := e.client()
	if err != nil {
		return nil, err
	}
	e.unwrap.Do(func() {
		if client.token == "" {
			return
		}
		asker := *client
		asker.token, asker.retries = "", 0 // whatever is wrong, the call that matters meets it too
		answer, err := asker.call(ctx, "sys/wrapping/lookup", nil, map[string]string{"token": client.token})
		var wrapped struct {
			Path string `json:"creation_path"`
		}
		e.isWrapped = err == nil && json.Unmarshal(answer.Data, &wrapped) == nil && wrapped.Path != ""
	})
	if e.isWrapped {
		return nil, &source.Failure{
			Reason: "the Vault token is wrapped: it can only be unwrapped, once", Unreadable: true,
			Remedy: "unwrap it first: VAULT_TOKEN=\"$(vault unwrap -field=token)\", with the wrapping token in VAULT_TOKEN",
		}
	}
	return client, nil
}

func throttles() *source.Failure {
	return &source.Failure{Reason: "Vault throttles the calls", Remedy: "try again later, or raise its rate limit quota", Unreadable: true}
}

// unknown reports whether Vault does not know the token, which it does not tell
// from a missing permission before version 1.17, as OpenBao does not
// (https://developer.hashicorp.com/vault/docs/concepts/tokens#error-responses).
// But the policy default lets each token that is valid look itself up.
func (e *engine) unknown(ctx context.Context, said string) bool {
	if strings.Contains(said, "invalid token") {
		return true
	}
	e.lookup.Do(func() {
		client, err := e.client()
		if err == nil {
			_, err = client.call(ctx, "auth/token/lookup-self", nil, nil)
		}
		var refused *refusal
		e.forgotten = errors.As(err, &refused) && refused.status == http.StatusForbidden
	})
	return e.forgotten
}

// strange explains an answer that Vault would not give.
func strange() *source.Failure {
	return &source.Failure{
		Reason: "the answer is not one of Vault", Remedy: "check the address: see `vault status` whether Vault is there", Unreadable: true,
	}
}
