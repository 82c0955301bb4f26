// Package gcpsecretmanager is the source of kind "gcp-secretmanager": secrets
// of Google Secret Manager.
package gcpsecretmanager

import (
	"cmp"
	"context"
	"errors"
	"hash/crc32"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"cloud.google.com/go/auth"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Source reads and writes the latest versions of secrets, and reads others by
// their number or alias. It needs secretmanager.versions.access to read, and
// with secretmanager.versions.get also tells the age of what it reads;
// secretmanager.versions.get alone to prove; secretmanager.secrets.create and
// secretmanager.versions.add to write.
//
// The latest version is the one that was added last, whatever its state
// (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access),
// so what is disabled or destroyed does not fall back to an older one.
type Source struct {
	connect func() (*connection, error)
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Writer = (*Source)(nil)
)

// New returns the source that s describes. It connects when it is first asked.
func New(s plan.Source) *Source { return open(s, service{}) }

// service is what tests replace of the real one; the zero service is that.
type service struct {
	endpoint  string // https://HOST
	transport http.RoundTripper
	creds     *auth.Credentials
}

// open returns the source of a project, or of that of the environment or the
// credentials if s names none.
func open(s plan.Source, at service) *Source {
	return &Source{connect: sync.OnceValues(func() (*connection, error) { return connect(s, at) })}
}

// connection is a client of one project.
type connection struct {
	client
	project  string
	location string // of regional secrets
}

// connect finds the project and the credentials. Nothing is dialled yet.
func connect(s plan.Source, at service) (*connection, error) {
	ctx := context.Background() // the connection outlives who asks for it first
	creds := at.creds
	if creds == nil {
		var err error
		if creds, err = defaultCredentials(); err != nil {
			return nil, noCredentials(err)
		}
	}
	project := cmp.Or(s.Project, os.Getenv("GOOGLE_CLOUD_PROJECT"))
	if project == "" {
		var err error
		if project, err = creds.ProjectID(ctx); err != nil {
			return nil, noCredentials(err)
		}
		if project == "" {
			return nil, &source.Failure{
				Reason:     "no Google Cloud project is set, and the credentials name none",
				Remedy:     "write project into the contract, or set GOOGLE_CLOUD_PROJECT",
				Unreadable: true,
			}
		}
	}
	if at.endpoint == "" {
		universe, err := creds.UniverseDomain(ctx)
		if err != nil {
			return nil, noCredentials(err)
		}
		at.endpoint = "https://secretmanager." + universe
		if s.Location != "" { // https://cloud.google.com/secret-manager/regional-secrets/create-regional-secret
			at.endpoint = "https://secretmanager." + s.Location + ".rep." + universe
		}
	}
	web := &http.Client{
		Transport: at.transport,
		// The service redirects no one; the token is for it alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &connection{client{web, at.endpoint, creds}, project, s.Location}, nil
}

// parent is what secrets are in.
func (c *connection) parent() string {
	if c.location != "" {
		return "projects/" + c.project + "/locations/" + c.location
	}
	return "projects/" + c.project
}

func (c *connection) secret(ref source.Ref) string {
	return c.parent() + "/secrets/" + ref.Remote.Name
}

func (c *connection) version(ref source.Ref, version string) string {
	return c.secret(ref) + "/versions/" + version
}

// current is the version that a ref asks for.
func current(ref source.Ref) string { return cmp.Or(ref.Remote.Version, "latest") }

func (c *connection) origin(ref source.Ref) string {
	r := ref.Remote
	r.Property = ""
	return "secret " + r.String() + " of project " + c.project
}

// absent answers that ref is not there.
func (c *connection) absent(ref source.Ref) source.Answer {
	return source.Answer{Err: source.ErrAbsent, Origin: c.origin(ref)}
}

// Read implements source.Source with one AccessSecretVersion for each ref, for
// the service has no call that reads several, and one GetSecretVersion for its
// age.
func (s *Source) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	return s.each(ctx, refs, (*connection).read)
}

// Prove implements source.Prover with one GetSecretVersion for each ref.
func (s *Source) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	return s.each(ctx, refs, (*connection).prove)
}

// each asks for one ref at a time, source.Parallel of them at once.
func (s *Source) each(ctx context.Context, refs []source.Ref, ask func(*connection, context.Context, source.Ref) source.Answer) []source.Answer {
	c, err := s.connect()
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, 1, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return []source.Answer{ask(c, ctx, refs[0])}
	})
}

func (c *connection) read(ctx context.Context, ref source.Ref) source.Answer {
	v, name, err := c.access(ctx, ref, current(ref))
	if errors.Is(err, source.ErrAbsent) {
		return c.absent(ref)
	}
	if err != nil {
		return source.Answer{Err: err}
	}
	a := source.Answer{Value: v, Origin: c.origin(ref)}
	// The age of a value needs another right than the value and has a quota 150
	// times smaller, so it is told if it can be had at once.
	if meta, err := c.getSecretVersion(ctx, name); err == nil {
		a.Changed = meta.CreateTime
	}
	return a
}

// checksum is the CRC32C of a payload, as the service writes it.
func checksum(data []byte) int64 {
	return int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// access reads one version, and returns its name with its number. Its error is
// source.ErrAbsent or a *source.Failure.
func (c *connection) access(ctx context.Context, ref source.Ref, version string) (value.Value, string, error) {
	out, err := c.accessSecretVersion(ctx, c.version(ref, version))
	if statusOf(err) == notFound {
		return value.Value{}, "", source.ErrAbsent
	}
	if err != nil {
		return value.Value{}, "", c.failure(err, ref, accessVersion)
	}
	if numberOf(out.Name) < 1 {
		return value.Value{}, "", source.Nonsense("Secret Manager")
	}
	if sum := out.Payload.DataCRC32C; sum != nil && *sum != checksum(out.Payload.Data) {
		return value.Value{}, "", &source.Failure{Reason: "it was damaged in transit: its checksum differs", Remedy: "try again", Unreadable: true}
	}
	return value.New(out.Payload.Data), out.Name, nil
}

func (c *connection) prove(ctx context.Context, ref source.Ref) source.Answer {
	meta, err := c.getSecretVersion(ctx, c.version(ref, current(ref)))
	switch {
	case statusOf(err) == notFound:
		return c.absent(ref)
	case err != nil:
		return source.Answer{Err: c.failure(err, ref, getVersion)}
	case numberOf(meta.Name) < 1:
		return source.Answer{Err: source.Nonsense("Secret Manager")}
	case meta.State != enabled:
		return source.Answer{Err: c.retired(ref, "version "+path.Base(meta.Name)+" is "+stateOf(meta))}
	}
	return source.Answer{Origin: c.origin(ref), Changed: meta.CreateTime}
}

// Create implements source.Writer. The service can't add a version on the
// condition that there is none, but it creates a secret once: so of builds that
// race, the one that has created the secret adds the first version, and the
// others wait for it.
//
// A secret without versions may also be there for another reason: someone has
// made it for others to fill, or a build has died before it added a version. So
// no one waits for long. Then it is the number of a version that settles who
// was first, for versions are numbered from 1 in the order in which they are
// added: anyone who is told that another value has a lower number takes that one,
// and adds it once more so that it is also the latest. What is left is that a
// third build reads the latest version just before that, or that one dies just
// before that: the next build then seals what the latest version has.
//
// Versions are read by their numbers here, since for them alone the service
// promises that what has been added is seen
// (https://cloud.google.com/secret-manager/docs/reference/consistency).
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	c, err := s.connect()
	if err != nil {
		return source.Answer{}, err
	}
	if a := c.read(ctx, ref); !nothing(a.Value, a.Err) {
		return a, a.Err
	}
	created := c.createSecret(ctx, ref)
	switch {
	case created == nil:
	case statusOf(created) == alreadyExists:
		if first, err := c.await(ctx, ref); !nothing(first, err) {
			return source.Answer{Value: first, Origin: c.origin(ref)}, err
		}
	case statusOf(created) == permissionDenied: // which does not keep one from filling a secret that is there
	default:
		return source.Answer{}, c.failure(created, ref, createSecret)
	}
	a, number, err := c.add(ctx, ref, v)
	if code := statusOf(err); created != nil && statusOf(created) == permissionDenied && (code == permissionDenied || code == notFound) {
		return source.Answer{}, c.failure(created, ref, createSecret)
	}
	if err != nil {
		return source.Answer{}, c.failure(err, ref, addVersion)
	}
	for n := 1; n < number; n++ {
		first, _, err := c.access(ctx, ref, strconv.Itoa(n))
		if nothing(first, err) {
			continue
		}
		if err == nil {
			a, _, err = c.add(ctx, ref, first)
		}
		if err != nil {
			return source.Answer{}, c.failure(err, ref, addVersion)
		}
		break
	}
	return a, nil
}

// nothing reports whether what was read is absent, as an empty value is.
func nothing(v value.Value, err error) bool {
	return err == nil && v.Len() == 0 || errors.Is(err, source.ErrAbsent)
}

// await waits for the first version that another build is about to add, as long
// as that may take.
func (c *connection) await(ctx context.Context, ref source.Ref) (first value.Value, err error) {
	for pause := 50 * time.Millisecond; pause < time.Second; pause *= 2 {
		if first, _, err = c.access(ctx, ref, "1"); !errors.Is(err, source.ErrAbsent) {
			break
		}
		select {
		case <-ctx.Done():
			return first, source.Network(ctx.Err())
		case <-time.After(pause):
		}
	}
	return first, err
}

// Replace implements source.Writer: it adds a version.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	c, err := s.connect()
	if err != nil {
		return source.Answer{}, err
	}
	a, _, err := c.add(ctx, ref, v)
	if statusOf(err) == notFound {
		if err := c.createSecret(ctx, ref); err != nil && statusOf(err) != alreadyExists {
			return source.Answer{}, c.failure(err, ref, createSecret)
		}
		a, _, err = c.add(ctx, ref, v)
	}
	if err != nil {
		return source.Answer{}, c.failure(err, ref, addVersion)
	}
	return a, nil
}

// createSecret creates a secret without versions. Its error is that of the call.
func (c *connection) createSecret(ctx context.Context, ref source.Ref) error {
	var s secret
	if c.location == "" { // what is regional has no replicas elsewhere
		s.Replication = &replication{}
	}
	return c.client.createSecret(ctx, c.parent(), ref.Remote.Name, s)
}

// add adds a version and returns its number. Its error is that of the call.
func (c *connection) add(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, int, error) {
	sum := checksum(v.Reveal())
	meta, err := c.addSecretVersion(ctx, c.secret(ref), payload{v.Reveal(), &sum})
	if err != nil {
		return source.Answer{}, 0, err
	}
	number := numberOf(meta.Name)
	if number < 1 {
		return source.Answer{}, 0, source.NotStored("Secret Manager")
	}
	return source.Answer{Value: v, Origin: c.origin(ref), Changed: meta.CreateTime}, number, nil
}

// numberOf is the number by which the service names a version, from 1. It is
// 0 for a name that is none of the service's.
func numberOf(version string) int {
	name := path.Base(version)
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return 0
	}
	return n
}

// stateOf is the state of a version, if it is one that the service has
// (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions#State).
func stateOf(meta *version) string {
	if slices.Contains([]string{"DISABLED", "DESTROYED"}, meta.State) {
		return meta.State
	}
	return "not enabled"
}
