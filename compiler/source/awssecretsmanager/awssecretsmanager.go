// Package awssecretsmanager is the source of kind "aws-secretsmanager":
// secrets of AWS Secrets Manager.
package awssecretsmanager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/internal/awsapi"
	"github.com/victor-ai/victorgen/compiler/value"
)

// The limits of the API: names a BatchGetSecretValue
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html)
// and values of a filter of ListSecrets
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html).
const (
	maxNames  = 20
	maxFilter = 10
	maxPage   = 100
)

// Source reads and writes the current versions of secrets, and reads others by
// their ID or staging label. It needs secretsmanager:GetSecretValue to read,
// and reads faster with secretsmanager:BatchGetSecretValue;
// secretsmanager:ListSecrets to prove; secretsmanager:CreateSecret and
// secretsmanager:PutSecretValue to write; with a KMS key of one's own also
// kms:Decrypt, and kms:GenerateDataKey to write.
type Source struct {
	aws    awsapi.Connection
	kmsKey string
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Writer = (*Source)(nil)
)

// New returns the source that s describes. It connects when it is first asked.
func New(s plan.Source) *Source {
	return &Source{aws: awsapi.Connection{Region: s.Region}, kmsKey: s.KMSKey}
}

func (s *Source) client(ctx context.Context) (*awsapi.Client, error) {
	return s.aws.Client(ctx, awsapi.SecretsManager)
}

// Read implements source.Source with one BatchGetSecretValue for each twenty
// secrets, and one GetSecretValue for each ref that selects a version, which
// the former cannot.
func (s *Source) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	client, err := s.client(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	var current, pinned []source.Ref
	for _, ref := range refs {
		if ref.Remote.Version == "" {
			current = append(current, ref)
		} else {
			pinned = append(pinned, ref)
		}
	}
	answers := map[source.Ref]source.Answer{}
	for i, a := range source.Batches(ctx, current, maxNames, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return s.batch(ctx, client, refs)
	}) {
		answers[current[i]] = a
	}
	for i, a := range source.Batches(ctx, pinned, 1, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return []source.Answer{s.get(ctx, client, refs[0])}
	}) {
		answers[pinned[i]] = a
	}
	inOrder := make([]source.Answer, len(refs))
	for i, ref := range refs {
		inOrder[i] = answers[ref]
	}
	return inOrder
}

// batch reads the current versions of up to twenty secrets.
func (s *Source) batch(ctx context.Context, client *awsapi.Client, refs []source.Ref) []source.Answer {
	ids := make([]string, len(refs))
	for i, ref := range refs {
		ids[i] = ref.Remote.Name
	}
	found := map[string]secretValue{} // by name and by ARN
	absent := map[string]bool{}
	in := batchGetSecretValueInput{SecretIdList: ids}
	for more := true; more; more = in.NextToken != "" {
		var page batchGetSecretValueOutput
		err := client.Call(ctx, "BatchGetSecretValue", in, &page)
		if err != nil && awsapi.OfOne(err) {
			// Perhaps the batch is denied, and each secret is not.
			answers := make([]source.Answer, len(refs))
			for i, ref := range refs {
				answers[i] = s.get(ctx, client, ref)
			}
			return answers
		}
		if err != nil {
			return source.Failed(refs, awsapi.Failure(err, "secretsmanager:BatchGetSecretValue", false))
		}
		for _, v := range page.SecretValues {
			if v.SecretString == nil && v.SecretBinary == nil {
				continue
			}
			found[v.Name], found[v.ARN] = v, v
		}
		for _, e := range page.Errors {
			absent[e.SecretId] = e.ErrorCode == notFound
		}
		in.NextToken = page.NextToken
	}
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		switch v, ok := found[ref.Remote.Name]; {
		case ok:
			answers[i] = answer(ref, v)
		case absent[ref.Remote.Name]:
			answers[i] = source.Answer{Err: source.ErrAbsent, Origin: origin(ref)}
		default:
			// A batch may call by its ARN what was asked for by name
			// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_APIErrorType.html),
			// so what it says nothing of, or nothing good, is asked for alone.
			answers[i] = s.get(ctx, client, ref)
		}
	}
	return answers
}

// get reads one version of one secret.
func (s *Source) get(ctx context.Context, client *awsapi.Client, ref source.Ref) source.Answer {
	in := getSecretValueInput{SecretId: ref.Remote.Name}
	switch v := ref.Remote.Version; {
	case isVersionID(v):
		in.VersionId = v
	case v != "":
		in.VersionStage = v
	}
	var out secretValue
	err := client.Call(ctx, "GetSecretValue", in, &out)
	if awsapi.Is(err, notFound) {
		return source.Answer{Err: source.ErrAbsent, Origin: origin(ref)}
	}
	if err != nil {
		return source.Answer{Err: failure(err, ref)}
	}
	if out.SecretString == nil && out.SecretBinary == nil {
		return source.Answer{Err: source.Nonsense("Secrets Manager")}
	}
	return answer(ref, out)
}

// isVersionID tells the ID of a version, which is a UUID unless someone chose
// another, from a staging label. IDs have 32 to 64 characters.
func isVersionID(v string) bool { return len(v) >= 32 && !strings.HasPrefix(v, "AWS") }

// answer is the one of a secret that holds v, as a string or as bytes.
func answer(ref source.Ref, v secretValue) source.Answer {
	held := v.SecretBinary
	if v.SecretString != nil {
		held = []byte(*v.SecretString)
	}
	return source.Answer{Value: value.New(held), Origin: origin(ref), Changed: v.CreatedDate.Time}
}

func origin(ref source.Ref) string {
	r := ref.Remote
	r.Property = ""
	return "secret " + r.String()
}

// What Secrets Manager says of a secret that there is not, that there is, and
// that is about to be deleted.
const (
	notFound = "ResourceNotFoundException"
	exists   = "ResourceExistsException"
	retired  = "InvalidRequestException"
)

// failure explains why a secret can't be read.
func failure(err error, ref source.Ref) error {
	f := awsapi.Failure(err, "secretsmanager:GetSecretValue", false)
	if awsapi.Is(err, retired) {
		f.Remedy = restore(ref)
	}
	return f
}

func restore(ref source.Ref) string {
	return "if it is marked for deletion, `aws secretsmanager restore-secret --secret-id " + ref.Remote.Name + "` brings it back"
}

// Prove implements source.Prover with a ListSecrets for each ten names. It shows
// the versions that have a staging label: a secret without any has no value, as
// Terraform makes them. Of a version by its ID it tells nothing. Changed is when anything about the secret
// changed last: its value, its description, its tags.
func (s *Source) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	client, err := s.client(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, maxFilter, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return s.list(ctx, client, refs)
	})
}

func (s *Source) list(ctx context.Context, client *awsapi.Client, refs []source.Ref) []source.Answer {
	var names []string
	for _, ref := range refs {
		names = append(names, nameOf(ref))
	}
	found := map[string]listedSecret{} // by name and by ARN
	in := listSecretsInput{
		// The filter finds what begins with a name, in any case.
		Filters:                []filter{{Key: "name", Values: names}},
		IncludePlannedDeletion: true,
		MaxResults:             maxPage,
	}
	for more := true; more; more = in.NextToken != "" {
		var page listSecretsOutput
		if err := client.Call(ctx, "ListSecrets", in, &page); err != nil {
			return source.Failed(refs, awsapi.Failure(err, "secretsmanager:ListSecrets", false))
		}
		if page.SecretList == nil { // it lists none as an empty list
			return source.Failed(refs, source.Nonsense("Secrets Manager"))
		}
		for _, e := range page.SecretList {
			if e.Name == "" {
				return source.Failed(refs, source.Nonsense("Secrets Manager"))
			}
			found[e.Name], found[e.ARN] = e, e
		}
		in.NextToken = page.NextToken
	}
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		e, ok := found[ref.Remote.Name]
		switch {
		case ok && !e.DeletedDate.IsZero():
			answers[i].Err = &source.Failure{Reason: "it is marked for deletion", Remedy: restore(ref)}
		case ok && !staged(e, ref.Remote.Version):
			answers[i] = source.Answer{Origin: origin(ref) + ", which has no value yet", Err: source.ErrAbsent}
		case ok:
			answers[i] = source.Answer{Origin: origin(ref), Changed: e.LastChangedDate.Time}
		case isARN(ref):
			answers[i].Err = &source.Failure{
				Reason: "a secret that another account shares can't be checked without reading it",
				Remedy: "allow its value to be read, or give the input a source in that account", Unreadable: true,
			}
		default:
			answers[i] = source.Answer{Origin: origin(ref), Err: source.ErrAbsent}
		}
	}
	return answers
}

// staged reports whether a secret has the version that a ref selects.
func staged(e listedSecret, version string) bool {
	if isVersionID(version) {
		return len(e.SecretVersionsToStages) > 0
	}
	for _, stages := range e.SecretVersionsToStages {
		if slices.Contains(stages, cmp.Or(version, "AWSCURRENT")) {
			return true
		}
	}
	return false
}

func isARN(ref source.Ref) bool { return strings.HasPrefix(ref.Remote.Name, "arn:") }

// nameOf is the name of a secret. In an ARN it stands last, before a hyphen and
// six random characters.
func nameOf(ref source.Ref) string {
	name := ref.Remote.Name
	if isARN(ref) {
		name = name[strings.LastIndex(name, ":")+1:]
		name = name[:max(0, strings.LastIndex(name, "-"))]
	}
	return name
}

// Create implements source.Writer: CreateSecret, which fails if there is one. A
// secret that exists without a value gets its first by PutSecretValue with a
// token that every build gives to the first value of that secret: the service
// takes the token once, and refuses another value under it.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	client, err := s.client(ctx)
	if err != nil {
		return source.Answer{}, err
	}
	if err = s.create(ctx, client, ref, v); !awsapi.Is(err, exists) {
		return s.written(ref, v, err, "secretsmanager:CreateSecret")
	}
	a := s.get(ctx, client, ref)
	if a.Err == nil && a.Value.Len() > 0 || a.Err != nil && !errors.Is(a.Err, source.ErrAbsent) {
		return a, a.Err
	}
	first := sha256.Sum256([]byte("the first value of " + ref.Remote.Name))
	err = s.put(ctx, client, ref, v, hex.EncodeToString(first[:]))
	if err == nil || !awsapi.Is(err, exists) {
		return s.written(ref, v, err, "secretsmanager:PutSecretValue")
	}
	if a = s.get(ctx, client, ref); errors.Is(a.Err, source.ErrAbsent) {
		a.Err = &source.Failure{Reason: "its first value no longer exists", Remedy: "store a value with `aws secretsmanager put-secret-value`"}
	}
	return a, a.Err
}

// Replace implements source.Writer: PutSecretValue, which keeps the old value
// as AWSPREVIOUS.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	client, err := s.client(ctx)
	if err != nil {
		return source.Answer{}, err
	}
	if err = s.put(ctx, client, ref, v, ""); awsapi.Is(err, notFound) {
		return s.written(ref, v, s.create(ctx, client, ref, v), "secretsmanager:CreateSecret")
	}
	return s.written(ref, v, err, "secretsmanager:PutSecretValue")
}

func (s *Source) create(ctx context.Context, client *awsapi.Client, ref source.Ref, v value.Value) error {
	in := createSecretInput{Name: ref.Remote.Name, KmsKeyId: s.kmsKey, ClientRequestToken: uuid.NewString()}
	in.SecretString, in.SecretBinary = kept(v)
	var out writtenVersion
	err := client.Call(ctx, "CreateSecret", in, &out)
	if err == nil && out.VersionId == "" {
		return source.NotStored("Secrets Manager")
	}
	return err
}

// put adds a version, with a token of its own if it is given none.
func (s *Source) put(ctx context.Context, client *awsapi.Client, ref source.Ref, v value.Value, token string) error {
	in := putSecretValueInput{SecretId: ref.Remote.Name, ClientRequestToken: cmp.Or(token, uuid.NewString())}
	in.SecretString, in.SecretBinary = kept(v)
	var out writtenVersion
	err := client.Call(ctx, "PutSecretValue", in, &out)
	if err == nil && out.VersionId == "" {
		return source.NotStored("Secrets Manager")
	}
	return err
}

// kept is how a secret holds v: as a string if it is text.
func kept(v value.Value) (text *string, binary []byte) {
	if b := v.Reveal(); !utf8.Valid(b) {
		return nil, b
	}
	s := string(v.Reveal())
	return &s, nil
}

// written is what to answer after a call that writes.
func (s *Source) written(ref source.Ref, v value.Value, err error, action string) (source.Answer, error) {
	if err == nil {
		return source.Answer{Value: v, Origin: origin(ref)}, nil
	}
	f := awsapi.Failure(err, action, true)
	if awsapi.Is(err, retired) {
		f.Remedy = restore(ref)
	}
	return source.Answer{}, f
}
