// Package importertest imports into a source, for the tests of each kind.
package importertest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
)

// Run imports a Secret with a text, one of two lines, and what is no text, into a source
// of a kind. It looks that the proof, which reads the source, finds all keys equal, and
// that the same import finds nothing to do.
func Run(t *testing.T, kind string, fields map[string]string, open func(plan.Source) source.Source) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cue.mod"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte("module: \"shop.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	given := func(name, v string) observe.Key {
		return observe.Key{Name: name, State: observe.Given, Value: value.New([]byte(v))}
	}
	observed := &observe.Observed{Secrets: []observe.Secret{{Name: "app", From: "Secret", Keys: []observe.Key{
		given("api-token", "tok-83jd92kf02lsqm $1 # '\"\\"), given("private.txt", "k3y of two lines\nand 92jf83kd02lsqm\n"), given("ring.gpg", "\x99\x00\xff\xfe binary 8d7f6g"),
	}}}}
	o := importer.Options{
		Module: dir, Names: importer.Names{Package: "shop", Environment: "prod"}, Source: importer.Source{Kind: kind, Fields: fields}, Timeout: time.Minute,
		Open: func(p *plan.Plan) map[string]source.Source {
			sources := map[string]source.Source{}
			for _, s := range p.Sources {
				if s.Kind != kind {
					t.Errorf("source %s is of the kind %s", s.Name, s.Kind)
				}
				sources[s.Name] = open(s)
			}
			return sources
		},
	}
	for _, want := range []string{"stored", "unchanged"} {
		r, ds := importer.Run(t.Context(), observed, o)
		if ds.HasErrors() || r.Count(importer.Equal) != 3 || len(r.Inputs) != 3 || slices.ContainsFunc(r.Inputs, func(p importer.Place) bool { return p.State != want }) {
			t.Errorf("%v\n%+v\n%+v", ds, r.Inputs, r.Proof)
		}
	}
	// Another value under a name is told, and nothing is written over.
	observed.Secrets[0].Keys[0] = given("api-token", "tok-of-another-93kd02jf84")
	if r, ds := importer.Run(t.Context(), observed, o); !ds.HasErrors() {
		t.Errorf("another value is no error: %+v", r.Inputs)
	}
}
