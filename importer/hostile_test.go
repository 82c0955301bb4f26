package importer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/internal/fifo"
)

// TestPermit: a contract that is there may be anyone's, and says where values go. No
// source is opened before someone has permitted it.
func TestPermit(t *testing.T) {
	t.Parallel()
	m := module(t, t.TempDir())
	write(t, filepath.Join(m, "theirs.cue"), []byte(`package shop

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

sources: default: {kind: "vault", address: "https://vault.evil.test"}
`))
	o := optionsOf(m)
	o.Open = func(*plan.Plan) map[string]source.Source {
		t.Error("it opens the source")
		return nil
	}
	asked := ""
	o.Permit = func(p *plan.Plan) (ds plan.Diagnostics) {
		asked = p.Sources[0].Address
		ds.Errorf(plan.CodeAddress, nil, "", "no")
		return ds
	}
	if _, ds := importer.Run(t.Context(), variables(t, three), o); !ds.HasErrors() || asked != "https://vault.evil.test" {
		t.Errorf("%v, asked for %q", ds, asked)
	}
	if _, err := os.Stat(filepath.Join(m, "envs")); err == nil {
		t.Error("it has written an environment")
	}
}

// TestOutside: a link of a contract leads nowhere else, and nothing that is no file is
// waited for.
func TestOutside(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "key")
	write(t, outside, []byte("c4n4ry: of somebody else\n"))
	for name, make := range map[string]func(string) error{
		"a link": func(f string) error { return os.Symlink(outside, f) },
		"a pipe": fifo.Make,
	} {
		m := module(t, t.TempDir())
		if err := make(filepath.Join(m, "other.cue")); err != nil {
			t.Fatal(err)
		}
		r, ds := importer.Run(t.Context(), variables(t, three), optionsOf(m))
		if !ds.HasErrors() || strings.Contains(fmt.Sprintf("%+v %+v", r, ds), "c4n4ry") {
			t.Errorf("%s: %v", name, ds)
		}
	}
}
