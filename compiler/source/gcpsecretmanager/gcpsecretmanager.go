// Package gcpsecretmanager is the source of kind "gcp-secretmanager": secrets
// of Google Secret Manager.
package gcpsecretmanager

import (
	"cmp"
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"os"
	"path"
	"strconv"
	"sync"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/api/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
func New(s plan.Source) *Source { return open(s) }

// open returns the source of a project, or of that of the environment or the
// credentials if s names none. The options are for tests.
func open(s plan.Source, options ...option.ClientOption) *Source {
	return &Source{connect: sync.OnceValues(func() (*connection, error) { return connect(s, options) })}
}

// connection is a client of one project.
type connection struct {
	client   *secretmanager.Client
	project  string
	location string // of regional secrets
}

// connect finds the project and the credentials. Nothing is dialled yet.
func connect(s plan.Source, options []option.ClientOption) (*connection, error) {
	ctx := context.Background() // the connection outlives who asks for it first
	// With GOOGLE_SDK_GO_LOGGING_LEVEL=debug the SDK would write all values to the standard error.
	options = append([]option.ClientOption{option.WithLogger(slog.New(slog.DiscardHandler))}, options...)
	if s.Location != "" { // https://cloud.google.com/secret-manager/regional-secrets/create-regional-secret
		options = append([]option.ClientOption{option.WithEndpoint("secretmanager." + s.Location + ".rep.googleapis.com:443")}, options...)
	}
	project := cmp.Or(s.Project, os.Getenv("GOOGLE_CLOUD_PROJECT"))
	if project == "" {
		creds, err := transport.Creds(ctx, append([]option.ClientOption{option.WithScopes(secretmanager.DefaultAuthScopes()...)}, options...)...)
		if err != nil {
			return nil, noCredentials(err)
		}
		if project = creds.ProjectID; project == "" {
			return nil, &source.Failure{
				Reason:     "no Google Cloud project is set, and the credentials name none",
				Remedy:     "write project into the contract, or set GOOGLE_CLOUD_PROJECT",
				Unreadable: true,
			}
		}
	}
	client, err := secretmanager.NewClient(ctx, options...)
	if err != nil {
		return nil, noCredentials(err)
	}
	return &connection{client, project, s.Location}, nil
}

// retry makes a call again that is throttled, or finds nobody: up to so many
// times, with pauses that grow and are drawn by lot. What is throttled has a
// quota a minute (https://cloud.google.com/secret-manager/quotas), and may wait
// for 30 s; where nobody listens, there will be nobody soon.
func retry(ctx context.Context) gax.CallOption {
	return gax.WithRetry(func() gax.Retryer {
		return &retryer{
			ctx:     ctx,
			left:    map[codes.Code]int{codes.ResourceExhausted: 8, codes.Unavailable: 3},
			backoff: gax.Backoff{Initial: 200 * time.Millisecond, Max: 8 * time.Second, Multiplier: 2},
		}
	})
}

// retryer is the retrying of one call.
type retryer struct {
	ctx     context.Context    // of the call
	left    map[codes.Code]int // how often to try again after an error
	backoff gax.Backoff
}

// Retry implements gax.Retryer.
func (r *retryer) Retry(err error) (time.Duration, bool) {
	code := status.Code(err)
	if code == codes.ResourceExhausted {
		source.Delayed(r.ctx, throttles())
	}
	r.left[code]--
	return r.backoff.Pause(), r.left[code] >= 0
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
	if meta, err := c.client.GetSecretVersion(ctx, &secretmanagerpb.GetSecretVersionRequest{Name: name}); err == nil {
		a.Changed = created(meta)
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
	out, err := c.client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: c.version(ref, version)}, retry(ctx))
	if status.Code(err) == codes.NotFound {
		return value.Value{}, "", source.ErrAbsent
	}
	if err != nil {
		return value.Value{}, "", c.failure(err, ref, accessVersion)
	}
	payload := out.GetPayload()
	if out.GetName() == "" {
		return value.Value{}, "", source.Nonsense("Secret Manager")
	}
	if payload != nil && payload.DataCrc32C != nil && *payload.DataCrc32C != checksum(payload.Data) {
		return value.Value{}, "", &source.Failure{Reason: "it was damaged on its way: its checksum is another", Remedy: "try again", Unreadable: true}
	}
	return value.New(payload.GetData()), out.GetName(), nil
}

func (c *connection) prove(ctx context.Context, ref source.Ref) source.Answer {
	meta, err := c.client.GetSecretVersion(ctx, &secretmanagerpb.GetSecretVersionRequest{Name: c.version(ref, current(ref))}, retry(ctx))
	switch {
	case status.Code(err) == codes.NotFound:
		return c.absent(ref)
	case err != nil:
		return source.Answer{Err: c.failure(err, ref, getVersion)}
	case numberOf(meta) < 1:
		return source.Answer{Err: source.Nonsense("Secret Manager")}
	case meta.GetState() != secretmanagerpb.SecretVersion_ENABLED:
		return source.Answer{Err: c.retired(ref, "version "+path.Base(meta.GetName())+" is "+meta.GetState().String())}
	}
	return source.Answer{Origin: c.origin(ref), Changed: created(meta)}
}

// Create implements source.Writer. The service can't add a version on the
// condition that there is none, but it creates a secret once: so of builds that
// race, the one that has created the secret adds the first version, and the
// others wait for it.
//
// A secret without versions may also be there for another reason: somebody has
// made it for others to fill, or a build has died before it added a version. So
// nobody waits for long. Then it is the number of a version that settles who
// was first, for versions are numbered from 1 in the order in which they are
// added: whoever is told that another value has a lower number takes that one,
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
	switch status.Code(created) {
	case codes.OK:
	case codes.AlreadyExists:
		if first, err := c.await(ctx, ref); !nothing(first, err) {
			return source.Answer{Value: first, Origin: c.origin(ref)}, err
		}
	case codes.PermissionDenied: // which does not keep one from filling a secret that is there
	default:
		return source.Answer{}, c.failure(created, ref, createSecret)
	}
	a, number, err := c.add(ctx, ref, v)
	if code := status.Code(err); status.Code(created) == codes.PermissionDenied && (code == codes.PermissionDenied || code == codes.NotFound) {
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
		if err := gax.Sleep(ctx, pause); err != nil {
			return first, source.Network(err)
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
	if status.Code(err) == codes.NotFound {
		if err := c.createSecret(ctx, ref); err != nil && status.Code(err) != codes.AlreadyExists {
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
	secret := &secretmanagerpb.Secret{}
	if c.location == "" { // what is regional has no replicas elsewhere
		secret.Replication = &secretmanagerpb.Replication{
			Replication: &secretmanagerpb.Replication_Automatic_{Automatic: &secretmanagerpb.Replication_Automatic{}},
		}
	}
	_, err := c.client.CreateSecret(ctx, &secretmanagerpb.CreateSecretRequest{
		Parent: c.parent(), SecretId: ref.Remote.Name, Secret: secret,
	}, retry(ctx))
	return err
}

// add adds a version and returns its number. Its error is that of the call.
func (c *connection) add(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, int, error) {
	sum := checksum(v.Reveal())
	meta, err := c.client.AddSecretVersion(ctx, &secretmanagerpb.AddSecretVersionRequest{
		Parent:  c.secret(ref),
		Payload: &secretmanagerpb.SecretPayload{Data: v.Reveal(), DataCrc32C: &sum},
	}, retry(ctx))
	if err != nil {
		return source.Answer{}, 0, err
	}
	number := numberOf(meta)
	if number < 1 {
		return source.Answer{}, 0, source.NotStored("Secret Manager")
	}
	return source.Answer{Value: v, Origin: c.origin(ref), Changed: created(meta)}, number, nil
}

// numberOf is the number of a version, from 1; the service names each by it. It is
// 0 for a name that is none of the service's.
func numberOf(meta *secretmanagerpb.SecretVersion) int {
	name := path.Base(meta.GetName())
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return 0
	}
	return n
}

// created is when a version was made, or zero if the service does not say.
func created(meta *secretmanagerpb.SecretVersion) time.Time {
	if meta.GetCreateTime() == nil {
		return time.Time{} // not 1970
	}
	return meta.GetCreateTime().AsTime()
}
