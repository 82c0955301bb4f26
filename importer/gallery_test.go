package importer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
)

// TestGallery infers the contracts of the gallery's applications from examples of
// their dotenv files, and compares classes with those that the gallery's own contracts
// have. At most a fifth of an application's may differ. What is made from others and
// lives in files (certificates, keystores, hashes) has no line in such an example, so
// it is not compared; that is all of Kafka's.
func TestGallery(t *testing.T) {
	t.Parallel()
	examples, _ := filepath.Glob("testdata/gallery/*.env.example")
	if len(examples) < 6 {
		t.Fatalf("there are %d examples", len(examples))
	}
	all, differ := 0, 0
	for _, file := range examples {
		app := strings.TrimSuffix(filepath.Base(file), ".env.example")
		own, ds := compiler.Compile(filepath.Join("..", "examples", "gallery", "envs", app), compiler.Options{Direct: true})
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		variables, ds := observe.Dotenv(file, text)
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		d := importer.Infer(&observe.Observed{Variables: variables}, app, "", nil, nil)
		n, wrong := 0, 0
		for _, in := range d.Inputs {
			if want, ok := own.Input(in.Name); ok {
				if n++; want.Class != in.Class {
					wrong++
					t.Logf("%s: %s is %s, and %s in the gallery", app, in.Name, in.Class, want.Class)
				}
			}
		}
		t.Logf("%s: %d of %d classes differ", app, wrong, n)
		if n == 0 || wrong*5 > n {
			t.Errorf("%s: %d of %d classes differ", app, wrong, n)
		}
		all, differ = all+n, differ+wrong
	}
	t.Logf("all: %d of %d classes differ", differ, all)
}
