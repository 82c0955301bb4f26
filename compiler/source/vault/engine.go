package vault

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// What is throttled is tried again up to nine times in about half a minute, at
// first soon: a rate limit quota counts by the second if no one has set it
// otherwise (https://developer.hashicorp.com/vault/api-docs/system/rate-limit-quotas).
const (
	maxRetries = 9
	minWait    = 200 * time.Millisecond
	maxWait    = time.Second
)

// engine is a KV engine at a server.
type engine struct {
	mount     string // "secret"
	version   string // "v1" or "v2"
	namespace string // empty is that of VAULT_NAMESPACE
	client    func() (*api.Client, error)

	found     sync.Once
	foundErr  error // of find
	lookup    sync.Once
	forgotten bool // that Vault does not know the token
	unwrap    sync.Once
	isWrapped bool // that the token is one that wraps another
}

func newEngine(s plan.Source) *engine {
	return &engine{
		mount: s.Mount, version: s.Version, namespace: s.Namespace,
		client: sync.OnceValues(func() (*api.Client, error) { return connect(s) }),
	}
}

// connect returns a client of the server, namespace and authorities of s, or else
// of VAULT_ADDR, VAULT_NAMESPACE and VAULT_CACERT. It makes no call. It may do
// without a token: there are Vault Proxies that add one to what they pass on.
func connect(s plan.Source) (*api.Client, error) {
	config := api.DefaultConfig()
	// The SDK would go to https://127.0.0.1:8200 if no one named a server.
	config.Address, config.MaxRetries, config.MinRetryWait, config.MaxRetryWait = "", maxRetries, minWait, maxWait
	config.CheckRetry = worthwhile
	if err := config.ReadEnvironment(); err != nil {
		return nil, unusable(err)
	}
	if s.Address != "" {
		config.Address = s.Address
	}
	if s.CABundle != "" {
		if err := config.ConfigureTLS(&api.TLSConfig{CACertBytes: []byte(s.CABundle)}); err != nil {
			return nil, unusable(err)
		}
	}
	if config.Address == "" && config.AgentAddress == "" {
		return nil, &source.Failure{
			Reason: "it is not known where Vault is", Remedy: "set VAULT_ADDR, or write address into the contract", Unreadable: true,
		}
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, unusable(err)
	}
	if s.Namespace != "" { // else that of VAULT_NAMESPACE
		client.SetNamespace(s.Namespace)
	}
	client.SetWrappingLookupFunc(func(string, string) string { return "" }) // VAULT_WRAP_TTL would keep the answers from us
	if client.Token() == "" {
		token, err := kept()
		if err != nil {
			return nil, &source.Failure{
				// The error may quote ~/.vault, where Ansible has a password.
				Reason: "the token that `vault login` has kept can't be read", Unreadable: true,
				Remedy: "check ~/.vault-token, and at ~/.vault if there is one; or set VAULT_TOKEN",
			}
		}
		client.SetToken(token)
	}
	return client, nil
}

// kept returns the token of the last `vault login`, or nothing.
func kept() (string, error) {
	helper, err := cliconfig.DefaultTokenHelper()
	if err != nil {
		return "", err
	}
	return helper.Get()
}

// unusable explains an error of the SDK before any call is made.
func unusable(err error) *source.Failure {
	reason := source.Line(err.Error())
	if link := (*url.Error)(nil); errors.As(err, &link) {
		reason = "one of the addresses is not a valid URL" // which may have a password in it
	}
	return &source.Failure{
		Reason: "the settings of Vault's client can't be used: " + reason,
		Remedy: "check the environment variables VAULT_*", Unreadable: true,
	}
}

// worthwhile is the policy of the SDK for trying again, but for two cases that
// do not get better in seconds: no one is there, which an address with a slip
// looks like; and 503, by which Vault says that it is sealed or down for
// maintenance (https://developer.hashicorp.com/vault/api-docs#http-status-codes).
func worthwhile(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return false, err
	}
	if err == nil && resp.StatusCode == http.StatusServiceUnavailable {
		return false, nil
	}
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		source.Delayed(ctx, throttles())
	}
	return api.DefaultRetryPolicy(ctx, resp, err)
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
// for a deleted version, of which it tells that it is. Its error is one of the
// SDK's, or a *source.Failure.
func (e *engine) get(ctx context.Context, path string, params url.Values) (json.RawMessage, error) {
	client, err := e.unwrapped(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := client.Logical().ReadRawWithDataWithContext(ctx, path, params)
	switch {
	case err != nil && resp == nil && source.Network(err) == nil:
		return nil, unusable(err) // the SDK refuses to send it: the token has a line break in it, say
	case err != nil && (resp == nil || resp.StatusCode != http.StatusNotFound):
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data   json.RawMessage
		Errors []string
	}
	if err := resp.DecodeJSON(&answer); err != nil {
		return nil, err
	}
	if len(answer.Errors) > 0 { // with 404: no handler for route
		return nil, &source.Failure{
			Reason: "nothing is mounted at " + e.mount,
			Remedy: "write the mount of a KV engine into the contract: `vault secrets list` shows them; or set VAULT_NAMESPACE",
		}
	}
	if string(answer.Data) == "null" {
		answer.Data = nil
	}
	if answer.Data == nil && resp.StatusCode != http.StatusNotFound {
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
	var refused *api.ResponseError
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
	said := source.Line(strings.Join(refused.Errors, " "))
	client, _ := e.client()
	f := &source.Failure{Unreadable: true}
	switch code := refused.StatusCode; {
	case code == http.StatusForbidden && client.Token() == "":
		f.Reason, f.Remedy = "there is no Vault token", "log in with `vault login`, or set VAULT_TOKEN"
	case code == http.StatusForbidden && e.unknown(ctx, said):
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
		if refused.HTTPMethod == http.MethodGet && said != "" {
			f.Reason += ": " + said
		}
	}
	return f
}

// unwrapped returns the client, unless its token is one that wraps another: that
// is good for one call, and any but the right one would use it up. To look it up
// needs no token, and does not
// (https://developer.hashicorp.com/vault/api-docs/system/wrapping-lookup).
func (e *engine) unwrapped(ctx context.Context) (*api.Client, error) {
	client, err := e.client()
	if err != nil {
		return nil, err
	}
	e.unwrap.Do(func() {
		asker, err := client.Clone()
		if err != nil || client.Token() == "" {
			return
		}
		asker.ClearToken()
		asker.SetMaxRetries(0) // whatever is wrong, the call that matters meets it too
		asker.SetWrappingLookupFunc(func(string, string) string { return "" })
		if e.namespace != "" {
			asker.SetNamespace(e.namespace)
		}
		s, err := asker.Logical().WriteWithContext(ctx, "sys/wrapping/lookup", map[string]any{"token": client.Token()})
		e.isWrapped = err == nil && s != nil && s.Data["creation_path"] != nil
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
			_, err = client.Auth().Token().LookupSelfWithContext(ctx)
		}
		var refused *api.ResponseError
		e.forgotten = errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden
	})
	return e.forgotten
}

// strange explains an answer that Vault would not give.
func strange() *source.Failure {
	return &source.Failure{
		Reason: "the answer is not one of Vault", Remedy: "check the address: see `vault status` whether Vault is there", Unreadable: true,
	}
}
