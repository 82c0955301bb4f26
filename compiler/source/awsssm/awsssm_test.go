package awsssm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/internal/awstest"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
)

// arn is what the ARNs of parameters begin with.
const arn = "arn:aws:ssm:us-east-1:111122223333:parameter"

// parameters is a Parameter Store.
type parameters struct {
	*awstest.Server
	versions map[string][]version
	denied   map[string]bool
	kms      map[string]bool // names whose KMS key is denied
	readOnly bool
}

type version struct {
	value   string
	changed time.Time
	key     string
	kind    string
	tier    string
}

func newParameters(t testing.TB) *parameters {
	p := &parameters{versions: map[string][]version{}, denied: map[string]bool{}, kms: map[string]bool{}}
	p.Server = awstest.New(t, p.handle)
	return p
}

func (p *parameters) open() *Source {
	s := New(plan.Source{})
	s.aws.Options = p.Options()
	return s
}

func (p *parameters) put(name string, v []byte) {
	p.versions[name] = append(p.versions[name], version{value: string(v), changed: time.Now(), kind: "SecureString"})
}

func (p *parameters) handle(operation string, body json.RawMessage) (any, *awstest.Error) {
	var in struct {
		Names            []string
		WithDecryption   bool
		Name, Value      string
		Type, KeyId      string
		Tier             string
		Overwrite        bool
		MaxResults       int
		NextToken        string
		ParameterFilters []struct {
			Key, Option string
			Values      []string
		}
	}
	if json.Unmarshal(body, &in) != nil {
		return nil, awstest.Errorf("SerializationException", "")
	}
	switch operation {
	case "GetParameters":
		if len(in.Names) < 1 || len(in.Names) > 10 {
			return nil, awstest.Errorf("ValidationException", "1 validation error detected: Value at 'names' failed to satisfy constraint")
		}
		out, invalid := []map[string]any{}, []string{}
		for _, asked := range in.Names {
			name, selector, _ := strings.Cut(strings.TrimPrefix(asked, arn), ":")
			if p.denied[name] {
				return nil, awstest.Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1:111122223333:parameter%s", name)
			}
			if p.kms[name] {
				return nil, awstest.Errorf("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. (Service: AWSKMS)")
			}
			vs := p.versions[name]
			i := len(vs) - 1
			if selector != "" {
				i = -1
				fmt.Sscan(selector, &i)
				i--
			}
			if i < 0 || i >= len(vs) {
				invalid = append(invalid, asked)
				continue
			}
			param := map[string]any{"Name": name, "Value": vs[i].value, "LastModifiedDate": float64(vs[i].changed.UnixMilli()) / 1000, "Version": i + 1}
			if strings.HasPrefix(asked, arn) {
				param["Name"], param["ARN"] = strings.TrimPrefix(name, "/"), arn+name
			}
			if selector != "" {
				param["Selector"] = ":" + selector
			}
			if !in.WithDecryption {
				param["Value"] = "AQICAH"
			}
			out = append(out, param)
		}
		slices.Reverse(out) // no order is promised
		return map[string]any{"Parameters": out, "InvalidParameters": invalid}, nil
	case "DescribeParameters":
		f := in.ParameterFilters
		if len(f) != 1 || f[0].Key != "Name" || f[0].Option != "Equals" || len(f[0].Values) < 1 || len(f[0].Values) > 50 || in.MaxResults > 50 {
			return nil, awstest.Errorf("ValidationException", "")
		}
		out := []map[string]any{}
		for _, name := range f[0].Values {
			if vs := p.versions[name]; len(vs) > 0 {
				out = append(out, map[string]any{"Name": name, "LastModifiedDate": float64(vs[len(vs)-1].changed.UnixMilli()) / 1000})
			}
		}
		// In two pages, the first of them short, as the API may.
		if n := len(out) / 3; in.NextToken == "" && n > 0 {
			return map[string]any{"Parameters": out[:n], "NextToken": "more"}, nil
		} else if in.NextToken == "more" {
			return map[string]any{"Parameters": out[n:]}, nil
		}
		return map[string]any{"Parameters": out}, nil
	case "PutParameter":
		switch {
		case p.readOnly || p.denied[in.Name] && in.Overwrite:
			return nil, awstest.Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: ssm:PutParameter on resource: %s", in.Name)
		case len(in.Value) > 8192 || len(in.Value) > 4096 && in.Tier != "Advanced":
			// The real service does not quote a value here; one day it may.
			return nil, awstest.Errorf("ValidationException", "1 validation error detected: Value '%s' at 'value' failed to satisfy constraint", in.Value)
		case in.Value == "":
			return nil, awstest.Errorf("ValidationException", "")
		case len(p.versions[in.Name]) > 0 && !in.Overwrite:
			return nil, awstest.Errorf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		}
		p.versions[in.Name] = append(p.versions[in.Name], version{in.Value, time.Now(), in.KeyId, in.Type, in.Tier})
		return map[string]any{"Version": len(p.versions[in.Name]), "Tier": "Standard"}, nil
	}
	return nil, awstest.Errorf("UnknownOperationException", "")
}

func remote(input string) plan.Remote {
	return plan.Remote{Name: "/app/" + strings.ToLower(strings.ReplaceAll(input, "_", "-"))}
}

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		p := newParameters(t)
		return &sourcetest.Store{
			Open:     func() source.Source { return p.open() },
			Put:      func(input string, v []byte) { p.put(remote(input).Name, v) },
			Remote:   remote,
			Batch:    10,
			Ages:     true,
			MaxValue: 8192,
			Wire: &sourcetest.Wire{
				Calls:    func() int { return p.Calls("GetParameters") },
				Throttle: p.Throttle,
				Deny:     func(input string) { p.denied[remote(input).Name] = true },
				Forbid:   func() { p.readOnly = true },
				Expire:   p.Expire,
				Hang:     p.Hang,
				Down:     p.Down,
			},
		}
	})
}

func ref(input, version string) source.Ref {
	r := remote(input)
	r.Version = version
	return source.Ref{Input: input, Remote: r}
}

// TestVersions: versions of one parameter are different values, read in one
// call; one that there never was is absent.
func TestVersions(t *testing.T) {
	t.Parallel()
	p := newParameters(t)
	p.put("/app/db", []byte("first"))
	p.put("/app/db", []byte("second"))
	got := map[string]string{}
	for i, a := range source.Read(t.Context(), p.open(), []source.Ref{ref("DB", ""), ref("DB", "1"), ref("DB", "2"), ref("DB", "3")}) {
		got[fmt.Sprint(i)] = string(a.Value.Reveal())
		if a.Err != nil {
			got[fmt.Sprint(i)] = a.Err.Error()
		}
	}
	if diff := cmp.Diff(map[string]string{"0": "second", "1": "first", "2": "second", "3": "absent"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := p.Calls("GetParameters"); n != 1 {
		t.Errorf("%d calls, not 1", n)
	}
}

// TestCalls: N names cost ceil(N/10) calls.
func TestCalls(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 9: 1, 10: 1, 11: 2, 100: 10, 101: 11, 1000: 100} {
		p := newParameters(t)
		var refs []source.Ref
		for i := range n {
			refs = append(refs, ref(fmt.Sprint("N", i), ""), source.Ref{Input: fmt.Sprint("ALSO", i), Remote: remote(fmt.Sprint("N", i))})
		}
		source.Read(t.Context(), p.open(), refs)
		if got := p.Calls("GetParameters"); got != want {
			t.Errorf("%d names cost %d calls, not %d", n, got, want)
		}
	}
}

// TestKMS: a key that may not be used is told from a parameter that may not.
func TestKMS(t *testing.T) {
	t.Parallel()
	p := newParameters(t)
	p.put("/app/a", []byte("a"))
	p.put("/app/b", []byte("b"))
	p.kms["/app/b"] = true
	answers := source.Read(t.Context(), p.open(), []source.Ref{ref("A", ""), ref("B", "")})
	var f *source.Failure
	if answers[0].Err != nil || !errors.As(answers[1].Err, &f) || !f.Unreadable || !strings.Contains(f.Remedy, "kms:Decrypt") {
		t.Errorf("%v; %v, hint %q", answers[0].Err, answers[1].Err, f.Remedy)
	}
}

// TestWritten: what is written is a SecureString under the key of the contract,
// in the tier that has room for it.
func TestWritten(t *testing.T) {
	t.Parallel()
	p := newParameters(t)
	s := p.open()
	s.kmsKey = "alias/app"
	for input, size := range map[string]int{"SMALL": 4096, "LARGE": 4097} {
		if _, err := s.Create(t.Context(), ref(input, ""), value.New([]byte(strings.Repeat("x", size)))); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]version{}
	for name, vs := range p.versions {
		vs[0].value, vs[0].changed = "", time.Time{}
		got[name] = vs[0]
	}
	want := map[string]version{
		"/app/small": {key: "alias/app", kind: "SecureString"},
		"/app/large": {key: "alias/app", kind: "SecureString", tier: "Advanced"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(version{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestShared: a parameter of another account is read by its ARN, and of its
// existence nothing can be told.
func TestShared(t *testing.T) {
	t.Parallel()
	p := newParameters(t)
	p.put("/shared/db", []byte("v"))
	r := source.Ref{Input: "DB", Remote: plan.Remote{Name: arn + "/shared/db"}}
	if a := p.open().Read(t.Context(), []source.Ref{r})[0]; string(a.Value.Reveal()) != "v" {
		t.Errorf("read: %v", a.Err)
	}
	if a := p.open().Prove(t.Context(), []source.Ref{r})[0]; !errors.Is(a.Err, source.ErrUnreadable) || p.Calls("DescribeParameters") > 0 {
		t.Errorf("proved: %v", a.Err)
	}
}
