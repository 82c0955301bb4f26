package importer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
)

func variables(t *testing.T, text string) *observe.Observed {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	write(t, file, []byte(text))
	o, ds := observe.EnvFiles([]string{file}, nil)
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	return o
}

const three = "A_SECRET=pQ8xLm2ZrT5vNc7WyK3d\nB_SECRET=hJ4sGf9BtX6mQw1RnV8e\nC_SECRET=zE7kYp3DuL5cTa9SoM2i\n"

// failing is a source that keeps so many values, and then fails.
type failing struct {
	source.Source
	left *int
	with func(value.Value) value.Value
}

func (f failing) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	if *f.left--; *f.left < 0 {
		return source.Answer{}, errors.New("connection refused by 127.0.0.1:1")
	}
	if f.with != nil {
		if _, err := f.Source.(source.Writer).Create(ctx, ref, f.with(v)); err != nil {
			return source.Answer{}, err
		}
		return source.Answer{Value: v}, nil
	}
	return f.Source.(source.Writer).Create(ctx, ref, v)
}

func (f failing) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return f.Source.(source.Writer).Replace(ctx, ref, v)
}

func opening(left int, with func(value.Value) value.Value) func(*plan.Plan) map[string]source.Source {
	return func(p *plan.Plan) map[string]source.Source {
		sources := open(p)
		for name, s := range sources {
			sources[name] = failing{s, &left, with}
		}
		return sources
	}
}

// TestInterrupted ends an import after each value. There is no environment then that
// someone could build, and the same import goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	observed := variables(t, three)
	for stored := range 3 {
		m := module(t, t.TempDir())
		o := optionsOf(m)
		o.Open = opening(stored, nil)
		_, ds := importer.Run(t.Context(), observed, o)
		if !ds.HasErrors() {
			t.Fatalf("after %d: no error", stored)
		}
		if _, err := os.Stat(filepath.Join(m, "envs", "prod", "env.cue")); err == nil {
			t.Errorf("after %d values there is an environment", stored)
		}
		o.Open = open
		r, ds := importer.Run(t.Context(), observed, o)
		if ds.HasErrors() || r.Count(importer.Equal) != 3 {
			t.Errorf("after %d: %v %+v", stored, ds, r.Proof)
		}
		states := []string{}
		for _, in := range r.Inputs {
			states = append(states, in.State)
		}
		slices.Sort(states)
		if want := slices.Concat(slices.Repeat([]string{"stored"}, 3-stored), slices.Repeat([]string{"unchanged"}, stored)); !slices.Equal(states, want) {
			t.Errorf("after %d: %v", stored, states)
		}
	}
}

// TestCancelled: a signal ends it before anything is written, or leaves what can be
// taken up.
func TestCancelled(t *testing.T) {
	t.Parallel()
	m := module(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	importer.Run(ctx, variables(t, three), optionsOf(m))
	if _, err := os.Stat(filepath.Join(m, "envs", "prod", "env.cue")); err == nil {
		t.Error("there is an environment")
	}
	if r, ds := importer.Run(t.Context(), variables(t, three), optionsOf(m)); ds.HasErrors() || r.Count(importer.Equal) != 3 {
		t.Errorf("%v %+v", ds, r.Proof)
	}
}

// TestDiffers has a source keep something else than it was given: the proof is of
// what is there in the end.
func TestDiffers(t *testing.T) {
	t.Parallel()
	o := optionsOf(module(t, t.TempDir()))
	o.Open = opening(9, func(v value.Value) value.Value { return value.New(append([]byte("x"), v.Reveal()...)) })
	r, ds := importer.Run(t.Context(), variables(t, three), o)
	n := 0
	for _, d := range ds {
		if d.Code == plan.CodeImportDiffers {
			n++
		}
	}
	if n != 3 || r.Count(importer.Differs) != 3 {
		t.Errorf("%v %+v", ds, r.Proof)
	}
}

// TestDryRun writes nothing at all.
func TestDryRun(t *testing.T) {
	t.Parallel()
	m := module(t, t.TempDir())
	o := optionsOf(m)
	o.DryRun = true
	r, ds := importer.Run(t.Context(), variables(t, three), o)
	entries, _ := os.ReadDir(m)
	if ds.HasErrors() || len(entries) != 2 || r.Count(importer.Equal) != 3 || !strings.HasPrefix(r.Files[0].State, "would be") {
		t.Errorf("%v %v %+v", ds, entries, r.Files)
	}
}

// readOnly is a source that can't be written.
type readOnly struct{ source.Source }

// TestReadOnly: a source that can't be written is told before anything is.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	m := module(t, t.TempDir())
	o := optionsOf(m)
	o.Open = func(p *plan.Plan) map[string]source.Source {
		sources := open(p)
		for name, s := range sources {
			sources[name] = readOnly{s}
		}
		return sources
	}
	for _, o.DryRun = range []bool{true, false} {
		_, ds := importer.Run(t.Context(), variables(t, three), o)
		if len(ds) != 1 || !strings.Contains(ds[0].Message, "can only be read, and A_SECRET would be stored there") {
			t.Errorf("%v", ds)
		}
	}
	if entries, _ := os.ReadDir(m); len(entries) != 2 {
		t.Errorf("it has written: %v", entries)
	}
}
