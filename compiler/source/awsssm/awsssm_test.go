package awsssm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/awstest"
)

func open(p *awstest.ParameterStore) *Source {
	s := New(plan.Source{})
	s.aws.Options = p.Options()
	return s
}

func remote(input string) plan.Remote {
	return plan.Remote{Name: "/app/" + strings.ToLower(strings.ReplaceAll(input, "_", "-"))}
}

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		p := awstest.NewParameterStore(t)
		return &sourcetest.Store{
			Open:     func() source.Source { return open(p) },
			Put:      func(input string, v []byte) { p.Put(remote(input).Name, string(v)) },
			Remote:   remote,
			Batch:    10,
			Ages:     true,
			MaxValue: 8192,
			Wire: &sourcetest.Wire{
				Calls:    func() int { return p.Calls("GetParameters") },
				Throttle: p.Throttle,
				Deny:     func(input string) { p.Denied[remote(input).Name] = true },
				Forbid:   func() { p.ReadOnly = true },
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
	p := awstest.NewParameterStore(t)
	p.Put("/app/db", "first")
	p.Put("/app/db", "second")
	got := map[string]string{}
	for i, a := range source.Read(t.Context(), open(p), []source.Ref{ref("DB", ""), ref("DB", "1"), ref("DB", "2"), ref("DB", "3")}) {
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

// TestSaysNothing: a parameter is absent only if AWS says so.
func TestSaysNothing(t *testing.T) {
	t.Parallel()
	server := awstest.New(t, func(string, json.RawMessage) (any, *awstest.Error) { return map[string]any{}, nil })
	s := New(plan.Source{})
	s.aws.Options = server.Options()
	if a := s.Read(t.Context(), []source.Ref{ref("A", "")})[0]; !errors.Is(a.Err, source.ErrUnreadable) {
		t.Errorf("%v", a.Err)
	}
}

// TestCalls: N names cost ceil(N/10) calls.
func TestCalls(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 9: 1, 10: 1, 11: 2, 100: 10, 101: 11, 1000: 100} {
		p := awstest.NewParameterStore(t)
		var refs []source.Ref
		for i := range n {
			refs = append(refs, ref(fmt.Sprint("N", i), ""), source.Ref{Input: fmt.Sprint("ALSO", i), Remote: remote(fmt.Sprint("N", i))})
		}
		source.Read(t.Context(), open(p), refs)
		if got := p.Calls("GetParameters"); got != want {
			t.Errorf("%d names cost %d calls, not %d", n, got, want)
		}
	}
}

// TestKMS: a key that may not be used is told from a parameter that may not.
func TestKMS(t *testing.T) {
	t.Parallel()
	p := awstest.NewParameterStore(t)
	p.Put("/app/a", "a")
	p.Put("/app/b", "b")
	p.DeniedKey["/app/b"] = true
	answers := source.Read(t.Context(), open(p), []source.Ref{ref("A", ""), ref("B", "")})
	var f *source.Failure
	if answers[0].Err != nil || !errors.As(answers[1].Err, &f) || !f.Unreadable || !strings.Contains(f.Remedy, "kms:Decrypt") {
		t.Errorf("%v; %v, hint %q", answers[0].Err, answers[1].Err, f.Remedy)
	}
}

// TestWritten: what is written is a SecureString under the key of the contract,
// in the tier that has room for it.
func TestWritten(t *testing.T) {
	t.Parallel()
	p := awstest.NewParameterStore(t)
	s := open(p)
	s.kmsKey = "alias/app"
	for input, size := range map[string]int{"SMALL": 4096, "LARGE": 4097} {
		if _, err := s.Create(t.Context(), ref(input, ""), value.New([]byte(strings.Repeat("x", size)))); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]awstest.Parameter{}
	for name, vs := range p.Versions {
		vs[0].Value, vs[0].Changed = "", time.Time{}
		got[name] = vs[0]
	}
	want := map[string]awstest.Parameter{
		"/app/small": {Key: "alias/app", Type: "SecureString"},
		"/app/large": {Key: "alias/app", Type: "SecureString", Tier: "Advanced"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestShared: a parameter of another account is read by its ARN, and of its
// existence nothing can be told.
func TestShared(t *testing.T) {
	t.Parallel()
	p := awstest.NewParameterStore(t)
	p.Put("/shared/db", "v")
	r := source.Ref{Input: "DB", Remote: plan.Remote{Name: awstest.ParameterARN + "/shared/db"}}
	if a := open(p).Read(t.Context(), []source.Ref{r})[0]; string(a.Value.Reveal()) != "v" {
		t.Errorf("read: %v", a.Err)
	}
	if a := open(p).Prove(t.Context(), []source.Ref{r})[0]; !errors.Is(a.Err, source.ErrUnreadable) || p.Calls("DescribeParameters") > 0 {
		t.Errorf("proved: %v", a.Err)
	}
}
