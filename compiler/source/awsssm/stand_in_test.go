package awsssm

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/internal/awstest"
)

// Moto and LocalStack do not repeat the selector of what they answer.
func TestAnswerWithoutSelector(t *testing.T) {
	t.Parallel()
	s := awstest.New(t, func(_ string, in json.RawMessage) (any, *awstest.Error) {
		var request struct{ Names []string }
		if err := json.Unmarshal(in, &request); err != nil {
			t.Error(err)
		}
		var parameters []map[string]any
		for _, name := range request.Names {
			parameters = append(parameters, map[string]any{"Name": "/app/x", "Value": "the one called " + name})
		}
		return map[string]any{"Parameters": parameters}, nil
	})
	src := New(plan.Source{})
	src.aws.Options = s.Options()
	pinned := func(version string) source.Ref {
		return source.Ref{Input: "X", Remote: plan.Remote{Name: "/app/x", Version: version}}
	}
	if a := src.Read(t.Context(), []source.Ref{pinned("prod")})[0]; a.Err != nil || a.Value.Len() == 0 {
		t.Errorf("one version: %v", a.Err)
	}
	versions := []string{"prod", "2", ""}
	refs := make([]source.Ref, len(versions))
	for i, v := range versions {
		refs[i] = pinned(v)
	}
	for i, a := range src.Read(t.Context(), refs) {
		want := strings.TrimSuffix("the one called /app/x:"+versions[i], ":")
		if a.Err != nil || string(a.Value.Reveal()) != want {
			t.Errorf("%q of several: %v", versions[i], a.Err)
		}
	}
}

// Throttling that lasts is told as that, and AWS_MAX_ATTEMPTS is obeyed.
func TestThrottledForLong(t *testing.T) {
	calls := 0
	s := awstest.New(t, func(string, json.RawMessage) (any, *awstest.Error) {
		calls++
		return nil, awstest.Errorf("ThrottlingException", "Rate exceeded")
	})
	resolve := func(within time.Duration) plan.Diagnostics {
		src := New(plan.Source{})
		src.aws.Options = s.Options()
		p := plan.Plan{
			Sources: []plan.Source{{Name: "default", Kind: plan.AWSSSM}},
			Inputs:  []plan.Input{{Name: "X", Class: plan.Required, Source: "default", Remote: plan.Remote{Name: "/app/x"}}},
		}
		_, ds := source.Resolve(t.Context(), &p, map[string]source.Source{"default": src}, source.Options{Timeout: within})
		return ds
	}
	told := func(ds plan.Diagnostics) bool {
		return len(ds) > 0 && strings.Contains(ds[0].Message, "AWS throttles the calls (ThrottlingException)")
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	if ds := resolve(time.Minute); !told(ds) || calls != 1 {
		t.Errorf("AWS_MAX_ATTEMPTS=1: %v after %d calls", ds, calls)
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "")
	sourcetest.Patiently(func(within time.Duration) bool { return told(resolve(within)) }, func() { t.Error("it is not told that AWS throttles the calls") })
}

// A parameter that is not encrypted is in plain text for all who may read any.
func TestPlainText(t *testing.T) {
	t.Parallel()
	s := awstest.New(t, func(operation string, _ json.RawMessage) (any, *awstest.Error) {
		return map[string]any{"Parameters": []map[string]any{
			{"Name": "/app/x", "Value": "c4nary-3f9c1e7a5b2d90c4", "Type": "String"}, {"Name": "/app/y", "Value": "c4nary-3f9c1e7a5b2d90c4", "Type": "SecureString"},
			{"Name": "/app/z", "Value": "postgres", "Type": "String"},
		}}, nil
	})
	for _, prove := range []bool{false, true} {
		src := New(plan.Source{})
		src.aws.Options = s.Options()
		p := plan.Plan{Sources: []plan.Source{{Name: "default", Kind: plan.AWSSSM}}}
		for name, class := range map[string]plan.Class{"X": plan.Required, "Y": plan.Required, "Z": plan.Setting} {
			p.Inputs = append(p.Inputs, plan.Input{Name: name, Class: class, Source: "default", Remote: plan.Remote{Name: "/app/" + strings.ToLower(name)}})
		}
		_, ds := source.Verify(t.Context(), &p, map[string]source.Source{"default": src}, prove, time.Now(), source.Options{})
		var found []string
		for _, d := range ds {
			if d.Code == "VG2113" {
				found = append(found, d.Message)
			}
		}
		if len(found) != 1 || !strings.HasPrefix(found[0], "X is in plain text") || !strings.Contains(found[0], "as a String") {
			t.Errorf("prove: %v: %q", prove, found)
		}
	}
}
