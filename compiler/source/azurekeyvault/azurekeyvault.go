// Package azurekeyvault is the source of kind "azure-keyvault": the secrets of
// an Azure Key Vault, read and written by Azure's own SDK with the login that
// its DefaultAzureCredential finds.
package azurekeyvault

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// Source reads inputs from the secrets of a vault. There a secret is a list of
// versions, each of which has a value, attributes and tags; the one created
// last is the current one.
//
// A value is as old as its version: attributes.created, for attributes.updated
// moves with the tags and the expiry date as well. The expiry date itself
// (exp, nbf) changes nothing: the service calls it informational and hands the
// value out before and after
// (https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations).
type Source struct {
	open   func() (*vault, error)
	second time.Duration // of the vault's clock; less than a real one in tests
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Writer = (*Source)(nil)
)

// New returns the source of the vault that s names, or else AZURE_KEY_VAULT:
// by its name, or by its URL if it is in another cloud than the public one.
func New(s plan.Source) *Source {
	return &Source{second: time.Second, open: sync.OnceValues(func() (*vault, error) { return open(s.Vault) })}
}

// Read implements source.Source. There is no call that reads more than one.
func (s *Source) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	return s.each(ctx, refs, s.read)
}

// read reads one secret. A claim that may not stand yet is read again when it
// does; see [Source.Create].
func (s *Source) read(ctx context.Context, v *vault, ref source.Ref) source.Answer {
	for {
		got := v.get(ctx, ref.Remote.Name, ref.Remote.Version)
		if got.Err != nil || ref.Remote.Version != "" || !got.claim || got.age > claimStands {
			return got.Answer
		}
		if err := sleep(ctx, s.second); err != nil {
			return source.Answer{Origin: got.Origin, Err: err}
		}
	}
}

// Prove implements source.Prover, by the properties of the secret's versions.
// It knows of pinned ones, too, and asks for each name alone, so that a right
// to list the whole vault is not needed.
func (s *Source) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	return s.each(ctx, refs, func(ctx context.Context, v *vault, ref source.Ref) source.Answer {
		versions, err := v.versions(ctx, ref.Remote.Name)
		if pinned := ref.Remote.Version; pinned != "" {
			versions = slices.DeleteFunc(versions, func(p *azsecrets.SecretProperties) bool { return p.ID.Version() != pinned })
		}
		switch {
		case err != nil:
			return source.Answer{Origin: v.id(ref.Remote.Name, nil), Err: err}
		case len(versions) == 0:
			return source.Answer{Origin: v.id(ref.Remote.Name, nil), Err: source.ErrAbsent}
		}
		current := versions[len(versions)-1]
		a := source.Answer{Origin: v.id(ref.Remote.Name, current.ID), Changed: created(current.Attributes)}
		if !enabled(current) {
			a.Err = disabled()
		}
		return a
	})
}

// each asks for each of refs on its own.
func (s *Source) each(ctx context.Context, refs []source.Ref, ask func(context.Context, *vault, source.Ref) source.Answer) []source.Answer {
	v, err := s.open()
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, 1, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return []source.Answer{ask(ctx, v, refs[0])}
	})
}

// claim tags a version that Create has made of its own accord.
var claim = map[string]*string{"generated-by": new("victorgen")}

// claimStands is the age, by the vault's clock, from which a claim is taken for
// what the builds that raced have agreed on: twice what they take for it.
const claimStands = 4 * time.Second

// Create implements source.Writer. It takes about two seconds.
//
// The service has no check-and-set: of two builds that find nothing and set a
// value, each adds a version, and the later one is current. So what a build
// sets here is a claim, a version with a tag. It waits until no other version
// can be as old as its own, for which the clock's whole seconds count, and
// then lists all versions: the first of the claims wins. Each build has all
// claims in its list that are older than its own, so all find the same winner.
// If that isn't current, they make it so, by setting its value once more
// without the tag.
//
// A version without the tag is what someone has set in earnest: a person, a
// rotation, or a build that has seen who wins. It decides, unless it is empty:
// then it counts as absent, as do all versions before it.
//
// Those who only read may see a claim that will lose, so they read one again
// that is not [claimStands] old. A build that dies between its claim and the
// end of its wait leaves a claim like any other.
func (s *Source) Create(ctx context.Context, ref source.Ref, val value.Value) (source.Answer, error) {
	v, err := s.open()
	if err != nil {
		return source.Answer{}, err
	}
	name := ref.Remote.Name
	got := v.get(ctx, name, "")
	switch absent := errors.Is(got.Err, source.ErrAbsent) || got.Err == nil && got.Value.Len() == 0; {
	case absent:
		if _, err := v.set(ctx, name, val, claim); err != nil {
			return source.Answer{}, err
		}
	case got.Err != nil || !got.claim:
		return got.Answer, got.Err
	}
	// One second of the clock, and one for clocks that differ within the service.
	if err := sleep(ctx, 2*s.second); err != nil {
		return source.Answer{}, err
	}
	return v.decide(ctx, name)
}

// decide finds the version that wins, and makes it the current one.
func (v *vault) decide(ctx context.Context, name string) (source.Answer, error) {
	versions, err := v.versions(ctx, name)
	if err != nil {
		return source.Answer{}, err
	}
	versions = slices.DeleteFunc(versions, func(p *azsecrets.SecretProperties) bool { return !enabled(p) })
	first := 0 // of the claims since someone set one in earnest
	for i, p := range versions {
		if !isClaim(p.Tags) {
			first = i + 1
		}
	}
	var winner found
	if first > 0 {
		winner = v.get(ctx, name, versions[first-1].ID.Version())
	}
	if first < len(versions) && winner.Err == nil && winner.Value.Len() == 0 {
		winner = v.get(ctx, name, versions[first].ID.Version())
	}
	current := v.get(ctx, name, "")
	switch err := cmp.Or(winner.Err, current.Err); {
	case errors.Is(err, source.ErrAbsent) || err == nil && winner.Value.Len() == 0:
		return source.Answer{}, &source.Failure{Reason: "it was deleted or emptied at the same time", Remedy: "try again"}
	case err != nil:
		return source.Answer{}, err
	case winner.Origin == current.Origin:
		return current.Answer, nil
	}
	return v.set(ctx, name, winner.Value, nil)
}

// Replace implements source.Writer. It adds a version.
func (s *Source) Replace(ctx context.Context, ref source.Ref, val value.Value) (source.Answer, error) {
	v, err := s.open()
	if err != nil {
		return source.Answer{}, err
	}
	return v.set(ctx, ref.Remote.Name, val, nil)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return source.Network(ctx.Err())
	}
}

// vault is a vault at the service.
type vault struct {
	client *azsecrets.Client
	url    string
}

// open makes a client. It does not connect.
func open(name string) (*vault, error) {
	u, err := address(cmp.Or(name, os.Getenv("AZURE_KEY_VAULT")))
	if err != nil {
		return nil, err
	}
	credential, err := newLogin()
	if err != nil {
		return nil, err
	}
	client, err := azsecrets.NewClient(u.String(), credential, &azsecrets.ClientOptions{
		ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 7, ShouldRetry: passes}},
		// The server says of what resource it wants a token. The SDK checks that
		// the server is below that resource, so that one which a contract names
		// by its URL gets no token that is good elsewhere; see
		// https://aka.ms/azsdk/blog/vault-uri. An emulator on this machine can't
		// be below a resource, and no one else hears of what it gets.
		DisableChallengeResourceVerification: loopback(u.Hostname()),
	})
	if err != nil {
		return nil, &source.Failure{Reason: source.Line(err.Error()), Remedy: "check the address of the vault", Unreadable: true}
	}
	return &vault{client, u.String()}, nil
}

// vaultName is what a vault can be called:
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
var vaultName = lazy.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$`)

// address returns the URL of a vault that is named by its name or URL.
func address(name string) (*url.URL, error) {
	if vaultName.MatchString(name) {
		return &url.URL{Scheme: "https", Host: strings.ToLower(name) + ".vault.azure.net"}, nil
	}
	u, err := url.Parse(strings.TrimRight(name, "/"))
	switch {
	case name == "":
		return nil, &source.Failure{
			Reason: "no vault is named", Remedy: `write vault: "NAME" in the source, or set AZURE_KEY_VAULT`, Unreadable: true,
		}
	case err != nil || u.Scheme != "https" || *u != url.URL{Scheme: u.Scheme, Host: u.Host} || u.Hostname() == "":
		return nil, &source.Failure{
			Reason: "the vault is neither a name nor a URL", Unreadable: true,
			Remedy: "write 3 to 24 letters, digits and hyphens, or https://HOST, in the source or in AZURE_KEY_VAULT",
		}
	}
	return u, nil
}

func loopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

// passes reports whether a call may succeed when it is made again: after what
// the SDK retries by default, and a connection that broke. It would retry an
// address that leads nowhere as well, until the deadline.
func passes(r *http.Response, err error) bool {
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	if runtime.HasStatusCode(r, http.StatusTooManyRequests) {
		source.Delayed(r.Request.Context(), throttles())
	}
	return runtime.HasStatusCode(r, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
}

// id is the identifier of a secret: that of a version, if there is one.
func (v *vault) id(name string, version *azsecrets.ID) string {
	if version == nil {
		return v.url + "/secrets/" + name
	}
	return string(*version)
}

// named reports whether id is that of a version of a secret, as the service
// gives one to each. The SDK hands on whatever it is sent.
func named(id *azsecrets.ID) bool {
	if id == nil {
		return false
	}
	u, err := url.Parse(string(*id))
	if err != nil {
		return false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	return u.Host != "" && len(parts) == 3 && parts[0] == "secrets" && parts[1] != "" && parts[2] != ""
}

// found is a version of a secret.
type found struct {
	source.Answer
	claim bool
	age   time.Duration // by the vault's clock
}

// get reads a version of a secret, or the current one.
func (v *vault) get(ctx context.Context, name, version string) found {
	var r *http.Response
	got, err := v.client.GetSecret(policy.WithCaptureResponse(ctx, &r), name, version, nil)
	if err != nil {
		return found{Answer: source.Answer{Origin: v.id(name, nil), Err: v.failure(err, "get")}}
	}
	if got.Value == nil || !named(got.ID) {
		return found{Answer: source.Answer{Origin: v.id(name, nil), Err: source.Nonsense("a key vault")}}
	}
	a := source.Answer{Origin: v.id(name, got.ID), Changed: created(got.Attributes), Value: value.New([]byte(*got.Value))}
	now, _ := http.ParseTime(r.Header.Get("Date"))
	return found{a, isClaim(got.Tags), now.Sub(a.Changed)}
}

// set adds a version to a secret.
func (v *vault) set(ctx context.Context, name string, val value.Value, tags map[string]*string) (source.Answer, error) {
	if !utf8.Valid(val.Reveal()) { // JSON would make it another one
		return source.Answer{}, &source.Failure{Reason: "it is not text in UTF-8", Remedy: "store it as base64 there"}
	}
	text := string(val.Reveal())
	got, err := v.client.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: &text, Tags: tags}, nil)
	if err != nil {
		return source.Answer{}, v.failure(err, "set")
	}
	if !named(got.ID) {
		return source.Answer{}, source.NotStored("the key vault")
	}
	return source.Answer{Value: val, Origin: v.id(name, got.ID), Changed: created(got.Attributes)}, nil
}

// versions returns the properties of all versions of a secret: first by age in
// the seconds that the clock counts, then those without the tag of a claim,
// then by their identifiers. There are none of a secret that isn't there.
func (v *vault) versions(ctx context.Context, name string) ([]*azsecrets.SecretProperties, error) {
	var all []*azsecrets.SecretProperties
	for pages := v.client.NewListSecretPropertiesVersionsPager(name, nil); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			if err := v.failure(err, "list"); !errors.Is(err, source.ErrAbsent) {
				return nil, err
			}
			return nil, nil // the service itself answers with an empty list
		}
		if page.Value == nil { // it lists none as an empty list
			return nil, source.Nonsense("a key vault")
		}
		for _, p := range page.Value {
			if p == nil || !named(p.ID) {
				return nil, source.Nonsense("a key vault")
			}
			all = append(all, p)
		}
	}
	claims := func(p *azsecrets.SecretProperties) int {
		if isClaim(p.Tags) {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b *azsecrets.SecretProperties) int {
		return cmp.Or(created(a.Attributes).Compare(created(b.Attributes)), claims(a)-claims(b), cmp.Compare(a.ID.Version(), b.ID.Version()))
	})
	return all, nil
}

// created is when a version was made. The service does not say so of ones that
// are older than the attribute.
func created(a *azsecrets.SecretAttributes) time.Time {
	if a == nil || a.Created == nil {
		return time.Time{}
	}
	return *a.Created
}

func enabled(p *azsecrets.SecretProperties) bool {
	return p.Attributes == nil || p.Attributes.Enabled == nil || *p.Attributes.Enabled
}

func isClaim(tags map[string]*string) bool {
	for name, v := range claim {
		if tags[name] == nil || *tags[name] != *v {
			return false
		}
	}
	return true
}
