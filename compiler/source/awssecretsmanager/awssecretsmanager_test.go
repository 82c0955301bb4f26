package awssecretsmanager

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/importertest"
	"github.com/victor-ai/victorgen/internal/awstest"
)

// manager is a Secrets Manager.
type manager struct {
	*awstest.Server
	secrets  map[string]*secret
	denied   map[string]bool
	noBatch  bool
	paged    bool // a batch comes in two pages, as a large answer may
	byARN    bool // a batch calls what has failed by its ARN
	readOnly bool
}

type secret struct {
	versions []version // the last is current
	deleted  bool
	key      string
}

type version struct {
	id      string
	text    *string
	binary  []byte
	created time.Time
}

func newManager(t testing.TB) *manager {
	m := &manager{secrets: map[string]*secret{}, denied: map[string]bool{}}
	m.Server = awstest.New(t, m.handle)
	return m
}

func (m *manager) open() *Source {
	s := New(plan.Source{})
	s.aws.Options = m.Options()
	return s
}

// put lets a secret hold v: as text, as bytes, or no value at all.
func (m *manager) put(name string, v []byte, binary bool) {
	if m.secrets[name] == nil {
		m.secrets[name] = &secret{}
	}
	ver := version{id: fmt.Sprintf("00000000-0000-4000-8000-%012d", len(m.secrets[name].versions)+1), created: time.Now()}
	if binary {
		ver.binary = v
	} else {
		text := string(v)
		ver.text = &text
	}
	if len(v) > 0 {
		m.secrets[name].versions = append(m.secrets[name].versions, ver)
	}
}

func arn(name string) string {
	return "arn:aws:secretsmanager:us-east-1:111122223333:secret:" + name + "-AbCdEf"
}

func (v version) entry(name string) map[string]any {
	e := map[string]any{"Name": name, "ARN": arn(name), "VersionId": v.id, "CreatedDate": float64(v.created.UnixMilli()) / 1000}
	if v.text != nil {
		e["SecretString"] = *v.text
	} else {
		e["SecretBinary"] = v.binary
	}
	return e
}

// get answers for one secret, as GetSecretValue and a batch do.
func (m *manager) get(id, versionID, stage string) (map[string]any, *awstest.Error) {
	name := strings.TrimSuffix(strings.TrimPrefix(id, arn("")[:len(arn(""))-7]), "-AbCdEf")
	s := m.secrets[name]
	switch {
	case m.denied[name]:
		return nil, awstest.Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: secretsmanager:GetSecretValue on resource: %s", name)
	case s == nil:
		return nil, awstest.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	case s.deleted:
		return nil, awstest.Errorf("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	}
	for i, v := range s.versions {
		current, previous := i == len(s.versions)-1, i == len(s.versions)-2
		if versionID == v.id || versionID == "" && (current && (stage == "" || stage == "AWSCURRENT") || previous && stage == "AWSPREVIOUS") {
			return v.entry(name), nil
		}
	}
	return nil, awstest.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
}

func (m *manager) handle(operation string, body json.RawMessage) (any, *awstest.Error) {
	var in struct {
		SecretIdList                      []string
		SecretId, VersionId, VersionStage string
		Name, KmsKeyId                    string
		ClientRequestToken                string
		SecretString                      *string
		SecretBinary                      []byte
		Filters                           []struct {
			Key    string
			Values []string
		}
		IncludePlannedDeletion bool
		MaxResults             int
		NextToken              string
	}
	if json.Unmarshal(body, &in) != nil {
		return nil, awstest.Errorf("SerializationException", "")
	}
	size := len(in.SecretBinary)
	if in.SecretString != nil {
		size = len(*in.SecretString)
	}
	writes := operation == "CreateSecret" || operation == "PutSecretValue"
	switch {
	case writes && m.readOnly:
		return nil, awstest.Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: secretsmanager:%s", operation)
	case writes && (size == 0 || size > 65536 || len(in.ClientRequestToken) < 32 || len(in.ClientRequestToken) > 64):
		return nil, awstest.Errorf("ValidationException", "1 validation error detected: Value '%v' at 'secretString'", in.SecretString)
	}
	switch operation {
	case "BatchGetSecretValue":
		if m.noBatch {
			return nil, awstest.Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: secretsmanager:BatchGetSecretValue")
		}
		if len(in.SecretIdList) < 1 || len(in.SecretIdList) > 20 {
			return nil, awstest.Errorf("ValidationException", "")
		}
		values, failed := []any{}, []any{}
		for _, id := range in.SecretIdList {
			if e, err := m.get(id, "", ""); err != nil {
				if m.byARN && m.secrets[id] != nil {
					id = arn(id)
				}
				failed = append(failed, map[string]any{"SecretId": id, "ErrorCode": err.Code, "Message": err.Message})
			} else {
				values = append(values, e)
			}
		}
		slices.Reverse(values) // no order is promised
		if n := len(values) / 2; m.paged && in.NextToken == "" {
			return map[string]any{"SecretValues": values[:n], "Errors": failed, "NextToken": "more"}, nil
		} else if in.NextToken == "more" {
			return map[string]any{"SecretValues": values[n:]}, nil
		}
		return map[string]any{"SecretValues": values, "Errors": failed}, nil
	case "GetSecretValue":
		e, err := m.get(in.SecretId, in.VersionId, in.VersionStage)
		if err != nil {
			return nil, err
		}
		return e, nil
	case "ListSecrets":
		if len(in.Filters) != 1 || in.Filters[0].Key != "name" || len(in.Filters[0].Values) > 10 || in.MaxResults > 100 {
			return nil, awstest.Errorf("ValidationException", "")
		}
		list := []any{}
		var names []string
		for name := range m.secrets {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			if !slices.ContainsFunc(in.Filters[0].Values, func(v string) bool { return strings.HasPrefix(strings.ToLower(name), strings.ToLower(v)) }) {
				continue
			}
			e := map[string]any{"Name": name, "ARN": arn(name), "LastChangedDate": float64(time.Now().UnixMilli()) / 1000}
			stages := map[string][]string{}
			for i, v := range m.secrets[name].versions {
				switch n := len(m.secrets[name].versions); i {
				case n - 1:
					stages[v.id] = []string{"AWSCURRENT"}
				case n - 2:
					stages[v.id] = []string{"AWSPREVIOUS"}
				}
			}
			if len(stages) > 0 {
				e["SecretVersionsToStages"] = stages
			}
			if m.secrets[name].deleted {
				if !in.IncludePlannedDeletion {
					continue
				}
				e["DeletedDate"] = float64(time.Now().Unix())
			}
			list = append(list, e)
		}
		if n := len(list) / 2; in.NextToken == "" && n > 0 {
			return map[string]any{"SecretList": list[:n], "NextToken": "more"}, nil
		} else if in.NextToken == "more" {
			return map[string]any{"SecretList": list[n:]}, nil
		}
		return map[string]any{"SecretList": list}, nil
	case "ListSecretVersionIds":
		s := m.secrets[in.SecretId]
		if s == nil {
			return nil, awstest.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		}
		list := []any{}
		for i, v := range s.versions {
			stages := map[int][]string{len(s.versions) - 1: {"AWSCURRENT"}, len(s.versions) - 2: {"AWSPREVIOUS"}}[i]
			if len(stages) > 0 {
				list = append(list, map[string]any{"VersionId": v.id, "VersionStages": stages, "CreatedDate": float64(v.created.UnixMilli()) / 1000})
			}
		}
		if n := len(list) / 2; in.NextToken == "" && n > 0 {
			return map[string]any{"Versions": list[:n], "NextToken": "more"}, nil
		} else if in.NextToken == "more" {
			return map[string]any{"Versions": list[n:]}, nil
		}
		return map[string]any{"Versions": list}, nil
	case "CreateSecret":
		if s := m.secrets[in.Name]; s != nil && s.deleted {
			return nil, awstest.Errorf("InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
		} else if s != nil {
			return nil, awstest.Errorf("ResourceExistsException", "The operation failed because the secret %s already exists.", in.Name)
		}
		m.secrets[in.Name] = &secret{key: in.KmsKeyId}
		m.secrets[in.Name].versions = []version{{in.ClientRequestToken, in.SecretString, in.SecretBinary, time.Now()}}
		return map[string]any{"Name": in.Name, "ARN": arn(in.Name), "VersionId": in.ClientRequestToken}, nil
	case "PutSecretValue":
		s := m.secrets[in.SecretId]
		if m.denied[in.SecretId] {
			return nil, awstest.Errorf("AccessDeniedException", "")
		}
		if s == nil {
			return nil, awstest.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		}
		for _, v := range s.versions {
			if v.id == in.ClientRequestToken && cmp.Equal(v.text, in.SecretString) && cmp.Equal(v.binary, in.SecretBinary) {
				return map[string]any{"VersionId": in.ClientRequestToken}, nil
			} else if v.id == in.ClientRequestToken {
				return nil, awstest.Errorf("ResourceExistsException", "A resource with the ID you requested already exists.")
			}
		}
		s.versions = append(s.versions, version{in.ClientRequestToken, in.SecretString, in.SecretBinary, time.Now()})
		return map[string]any{"Name": in.SecretId, "VersionId": in.ClientRequestToken}, nil
	}
	return nil, awstest.Errorf("UnknownOperationException", "")
}

func remote(input string) plan.Remote {
	return plan.Remote{Name: "app/" + strings.ToLower(strings.ReplaceAll(input, "_", "-"))}
}

func TestSource(t *testing.T) {
	t.Parallel()
	// Secrets hold text or bytes: the suite passes with either.
	for _, binary := range []bool{false, true} {
		t.Run(fmt.Sprint("binary ", binary), func(t *testing.T) {
			t.Parallel()
			sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
				m := newManager(t)
				return &sourcetest.Store{
					Open:     func() source.Source { return m.open() },
					Put:      func(input string, v []byte) { m.put(remote(input).Name, v, binary || strings.Contains(input, "BYTES")) },
					Remote:   remote,
					Batch:    20,
					Ages:     true,
					Bytes:    true,
					Empty:    true, // a secret without a value
					MaxValue: 65536,
					OneBack:  true,
					Slow:     binary, // once more
					Wire: &sourcetest.Wire{
						Calls:    func() int { return m.Calls("BatchGetSecretValue", "GetSecretValue") },
						Throttle: m.Throttle,
						Deny:     func(input string) { m.denied[remote(input).Name] = true },
						Forbid:   func() { m.readOnly = true },
						Expire:   m.Expire,
						Hang:     m.Hang,
						Down:     m.Down,
						Retire:   func(input string) { m.secrets[remote(input).Name].deleted = true },
					},
				}
			})
		})
	}
}

func ref(input, version string) source.Ref {
	r := remote(input)
	r.Version = version
	return source.Ref{Input: input, Remote: r}
}

// TestVersions: a version is selected by its ID or by a staging label.
func TestVersions(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	for _, v := range []string{"first", "second", "third"} {
		m.put("app/db", []byte(v), false)
	}
	versions := []string{"", "AWSPREVIOUS", "AWSCURRENT", m.secrets["app/db"].versions[0].id, "NOSUCHLABEL"}
	var got []string
	for _, v := range versions {
		a := m.open().Read(t.Context(), []source.Ref{ref("DB", v)})[0]
		if a.Err != nil {
			got = append(got, a.Err.Error())
		} else {
			got = append(got, string(a.Value.Reveal()))
		}
	}
	if diff := cmp.Diff([]string{"third", "second", "third", "first", "absent"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// As far as it can be told without reading. A secret without a value has no version.
	m.put("app/none", nil, false)
	refs := []source.Ref{{Input: "NONE", Remote: plan.Remote{Name: "app/none"}}}
	for _, v := range versions {
		refs = append(refs, ref("DB", v))
	}
	got = nil
	for _, a := range m.open().Prove(t.Context(), refs) {
		got = append(got, fmt.Sprint(a.Err))
	}
	if diff := cmp.Diff([]string{"absent", "<nil>", "<nil>", "<nil>", "<nil>", "absent"}, got); diff != "" {
		t.Errorf("prove: (-want +got)\n%s", diff)
	}
}

// TestARN: a secret is found by its ARN too, which ends in random characters.
func TestARN(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.put("app/db", []byte("v"), false)
	there := source.Ref{Input: "A", Remote: plan.Remote{Name: arn("app/db")}}
	elsewhere := source.Ref{Input: "B", Remote: plan.Remote{Name: "arn:aws:secretsmanager:us-east-1:444455556666:secret:other/db-XyZabc"}}
	if a := m.open().Read(t.Context(), []source.Ref{there})[0]; string(a.Value.Reveal()) != "v" {
		t.Errorf("read: %v", a.Err)
	}
	answers := m.open().Prove(t.Context(), []source.Ref{there, elsewhere})
	if answers[0].Err != nil || !errors.Is(answers[1].Err, source.ErrUnreadable) {
		t.Errorf("proved: %v; %v", answers[0].Err, answers[1].Err)
	}
}

// TestWithoutBatch: who may not read in batches reads one by one.
func TestWithoutBatch(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.noBatch = true
	m.put("app/a", []byte("a"), false)
	m.put("app/b", []byte("b"), false)
	m.denied["app/b"] = true
	answers := m.open().Read(t.Context(), []source.Ref{ref("A", ""), ref("B", ""), ref("C", "")})
	if string(answers[0].Value.Reveal()) != "a" || !errors.Is(answers[1].Err, source.ErrUnreadable) || !errors.Is(answers[2].Err, source.ErrAbsent) {
		t.Errorf("%v; %v; %v", answers[0].Err, answers[1].Err, answers[2].Err)
	}
}

// TestFailedByARN: a secret that a batch was denied, and that it calls by its
// ARN, is not taken for absent.
func TestFailedByARN(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.byARN = true
	m.put("app/a", []byte("a"), false)
	m.put("app/b", []byte("b"), false)
	m.denied["app/b"] = true
	answers := m.open().Read(t.Context(), []source.Ref{ref("A", ""), ref("B", ""), ref("C", "")})
	if string(answers[0].Value.Reveal()) != "a" || !errors.Is(answers[1].Err, source.ErrUnreadable) || !errors.Is(answers[2].Err, source.ErrAbsent) {
		t.Errorf("%v; %v; %v", answers[0].Err, answers[1].Err, answers[2].Err)
	}
}

// TestPages: all pages of a batch are read.
func TestPages(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.paged = true
	m.put("app/a", []byte("a"), false)
	m.put("app/b", []byte("b"), false)
	for i, a := range m.open().Read(t.Context(), []source.Ref{ref("A", ""), ref("B", ""), ref("C", "")}) {
		if absent := errors.Is(a.Err, source.ErrAbsent); absent != (i == 2) {
			t.Errorf("%d: %v", i, a.Err)
		}
	}
}

// TestProveRetired: metadata tell that a secret is marked for deletion.
func TestProveRetired(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.put("app/a", []byte("a"), false)
	m.secrets["app/a"].deleted = true
	a := m.open().Prove(t.Context(), []source.Ref{ref("A", "")})[0]
	var f *source.Failure
	if !errors.As(a.Err, &f) || f.Unreadable || !strings.Contains(f.Remedy, "restore-secret") {
		t.Errorf("%v", a.Err)
	}
}

// TestKey: a new secret is under the key of the contract.
func TestKey(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	s := m.open()
	s.kmsKey = "alias/app"
	if _, err := s.Create(t.Context(), ref("A", ""), value.New([]byte("a"))); err != nil {
		t.Fatal(err)
	}
	if got := m.secrets["app/a"].key; got != "alias/app" {
		t.Errorf("key %q", got)
	}
}

// TestFirstValue: of builds that fill a secret without a value, one wins.
func TestFirstValue(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.put("app/a", nil, false)
	one, err := m.open().Create(t.Context(), ref("A", ""), value.New([]byte("one")))
	if err != nil {
		t.Fatal(err)
	}
	// The second build has seen the secret empty, too.
	s := m.open()
	client, err := s.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := m.secrets["app/a"].versions[0].id
	if err := s.put(t.Context(), client, ref("A", ""), value.New([]byte("two")), first); err == nil {
		t.Error("a second first value is taken")
	}
	two, err := s.Create(t.Context(), ref("A", ""), value.New([]byte("two")))
	if err != nil || !two.Value.Equal(one.Value) {
		t.Errorf("the builds do not agree: %v", err)
	}
}

// TestRolledBack: anyone who makes an older version current again has not rotated to
// it.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.put("app/db", []byte("rolled back"), false)
	m.put("app/db", []byte("current"), false)
	refs := []source.Ref{ref("DB", "")}
	for _, values := range []bool{true, false} {
		if a := m.open().Previous(t.Context(), refs, values)[0]; a.Err != nil {
			t.Errorf("before, values %v: %v", values, a.Err)
		}
	}
	m.secrets["app/db"].versions[0].created = time.Now().Add(time.Minute)
	for _, values := range []bool{true, false} {
		if a := m.open().Previous(t.Context(), refs, values)[0]; !errors.Is(a.Err, source.ErrAbsent) {
			t.Errorf("values %v: %v", values, a.Err)
		}
	}
}

// TestImport brings what a team has to Secrets Manager.
func TestImport(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	importertest.Run(t, plan.AWSSecretsManager, map[string]string{"region": "us-east-1", "prefix": "shop/"}, func(plan.Source) source.Source { return m.open() })
}
