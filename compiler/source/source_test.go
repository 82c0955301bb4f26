package source_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// refusing has nothing, and fails the test if anyone writes to it.
type refusing struct{ t *testing.T }

func (refusing) Read(_ context.Context, refs []source.Ref) []source.Answer {
	answers := make([]source.Answer, len(refs))
	for i := range answers {
		answers[i].Err = source.ErrAbsent
	}
	return answers
}

func (s refusing) Create(context.Context, source.Ref, value.Value) (source.Answer, error) {
	s.t.Error("a dry run wrote")
	return source.Answer{}, nil
}

func (s refusing) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.Create(ctx, ref, v)
}

// listing is a refusing that lists.
type listing struct{ refusing }

func (listing) List(context.Context) ([]source.Listed, error) {
	return []source.Listed{{Name: "KEYS", Origin: "here"}}, nil
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{
		Sources: []plan.Source{{Name: "default"}},
		Inputs: []plan.Input{{
			Name: "KEY", Class: plan.Generated, Source: "default",
			Generate: &plan.Generate{Kind: plan.Bytes, Bits: 128, Encoding: "hex"},
		}},
	}
	for _, tt := range []struct {
		source source.Source
		want   []plan.Code // of the diagnostics
	}{
		{refusing{t}, nil},
		{listing{refusing{t}}, []plan.Code{plan.CodeUnknownName}}, // its names are listed still
	} {
		generate := func() value.Resolved {
			set, ds := source.Resolve(t.Context(), p, map[string]source.Source{"default": source.DryRun(tt.source)}, source.Options{})
			var got []plan.Code
			for _, d := range ds {
				got = append(got, d.Code)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%T: diagnostics (-want +got):\n%s", tt.source, diff)
			}
			return set["KEY"]
		}
		first, second := generate(), generate()
		if first.State != value.Present || !first.Generated || first.Value.Len() != 32 {
			t.Errorf("%T: nothing was generated", tt.source)
		}
		if first.Value.Equal(second.Value) {
			t.Errorf("%T: a dry run remembers", tt.source)
		}
	}
}
