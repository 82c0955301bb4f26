package source_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// slow is a source that takes a while to write, and notes how many it wrote at a time.
type slow struct {
	store
	mu        sync.Mutex
	now, most int
	order     []string
}

func (s *slow) Create(_ context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.order = append(s.order, ref.Input)
	s.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	return source.Answer{Value: v}, nil
}

func (s *slow) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.Create(ctx, ref, v)
}

// TestWritingAtOnce: what is generated is written to a service at once, for some take
// seconds, but no more at a time than the others bear; and to a file one by one, in
// the order of the names.
func TestWritingAtOnce(t *testing.T) {
	t.Parallel()
	const n = 2*source.Parallel + 5
	for file, most := range map[string]int{"": source.Parallel, "/secrets": 1} {
		var inputs []plan.Input
		for i := range n {
			inputs = append(inputs, generated(fmt.Sprintf("KEY_%02d", i)))
		}
		p := makePlan(nil, inputs...)
		p.Sources[0].File = file
		s := &slow{store: store{name: "default", values: map[string]string{}}}
		if _, ds := source.Generate(t.Context(), p, map[string]source.Source{"default": s}, source.Options{}); len(ds) > 0 {
			t.Fatal(ds)
		}
		if s.most != most || len(s.order) != n {
			t.Errorf("file %q: %d were written, %d at a time, want %d at %d", file, len(s.order), s.most, n, most)
		}
		for i, name := range s.order {
			if want := fmt.Sprintf("KEY_%02d", i); file != "" && name != want {
				t.Errorf("%d: %s, want %s", i, name, want)
			}
		}
	}
}

// TestLockKeyNotWritten: a build goes on without a lock key that it cannot write, and
// warns; who rotates one has asked for nothing else.
func TestLockKeyNotWritten(t *testing.T) {
	t.Parallel()
	p := makePlan(nil, generated(plan.LockKey))
	v := &vault{store: store{name: "default", values: map[string]string{}}, refuse: errors.New("it is sealed")}
	sources := map[string]source.Source{"default": v}
	for name, test := range map[string]struct {
		run  func() plan.Diagnostics
		want plan.Severity
		code plan.Code
	}{
		"build": {func() plan.Diagnostics { _, ds := source.Resolve(t.Context(), p, sources, source.Options{}); return ds }, plan.Warning, plan.CodeLockKey},
		"rotate": {func() plan.Diagnostics {
			_, ds := source.Rotate(t.Context(), p, sources, p.Inputs, source.Options{})
			return ds
		}, plan.Error, plan.CodeSourceWrite},
	} {
		if ds := test.run(); len(ds) != 1 || ds[0].Severity != test.want || ds[0].Code != test.code {
			t.Errorf("%s: %v, want %s %s", name, ds, test.want, test.code)
		}
	}
}
