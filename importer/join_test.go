package importer_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/importer"
)

// TestJoin imports a second environment into the contract that the first import wrote.
// What both have stays in the contract; what differs stands below, in the one, the
// other, or both.
func TestJoin(t *testing.T) {
	t.Parallel()
	for name, a := range cases(t, "testdata/join/*.txtar") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			part := func(prefix string) *txtar.Archive {
				b := &txtar.Archive{}
				for _, f := range a.Files {
					if rest, ok := strings.CutPrefix(f.Name, prefix+"/"); ok {
						b.Files = append(b.Files, txtar.File{Name: rest, Data: f.Data})
					}
				}
				return b
			}
			m := module(t, filepath.Join(dir, "module"))
			o := optionsOf(m)
			o.Environment = "dev"
			first, ds := read(t, filepath.Join(dir, "first"), part("first"))
			if ds.HasErrors() {
				t.Fatal(ds)
			}
			if _, ds := importer.Run(t.Context(), first, o); ds.HasErrors() {
				t.Fatal(ds)
			}
			contract, err := os.ReadFile(filepath.Join(m, "contract.cue"))
			if err != nil {
				t.Fatal(err)
			}
			second, ds := read(t, filepath.Join(dir, "second"), part("second"))
			if ds.HasErrors() {
				t.Fatal(ds)
			}
			o.Environment = "prod"
			r, ds := importer.Run(t.Context(), second, o)
			canaries(t, second, r, ds, m)
			var says strings.Builder
			for _, d := range ds {
				fmt.Fprintf(&says, "%s %s: %s\n", d.Severity, d.Code, strings.ReplaceAll(d.Message, dir, "DIR"))
			}
			want := map[string]string{"says": says.String()}
			after, err := os.ReadFile(filepath.Join(m, "contract.cue"))
			if err != nil || ds.HasErrors() && !bytes.Equal(after, contract) {
				t.Errorf("the contract has changed (%v)", err)
			}
			if !bytes.Equal(after, contract) {
				want["contract.cue"] = string(after)
				text, err := os.ReadFile(filepath.Join(m, "envs", "dev", "env.cue"))
				if err != nil {
					t.Fatal(err)
				}
				want["dev.cue"] = string(text)
			}
			environment := filepath.Join(m, "envs", "prod")
			if text, err := os.ReadFile(filepath.Join(environment, "env.cue")); err == nil {
				want["env.cue"] = string(text)
			} else if !ds.HasErrors() {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", "join", name+".txtar"), a, want)
			if ds.HasErrors() {
				if _, err := os.Stat(filepath.Join(m, ".secrets.prod")); err == nil {
					t.Error("there are values of an environment that is not there")
				}
				return
			}
			again, ds := importer.Run(t.Context(), second, o)
			if ds.HasErrors() || slices.ContainsFunc(again.Files, func(f importer.File) bool { return f.State != "unchanged" }) {
				t.Errorf("once more changes something: %v %+v", ds, again.Files)
			}
			o.Environment = "dev"
			if again, ds := importer.Run(t.Context(), first, o); ds.HasErrors() || again.Files[0].State != "unchanged" {
				t.Errorf("the first once more changes something: %v %+v", ds, again.Files)
			}
			for _, env := range []string{"dev", "prod"} {
				if _, bad := compiler.Compile(filepath.Join(m, "envs", env), compiler.Options{Review: true}); bad.HasErrors() {
					t.Errorf("vet %s: %v", env, bad)
				}
			}
			unseal(t, second, environment)
		})
	}
}

// compare compares files of a case with want, or updates them.
func compare(t *testing.T, file string, a *txtar.Archive, want map[string]string) {
	t.Helper()
	goldens := []string{"contract.cue", "dev.cue", "env.cue", "says"}
	b := *a
	b.Files = slices.DeleteFunc(slices.Clone(a.Files), func(f txtar.File) bool { return slices.Contains(goldens, f.Name) })
	got := map[string]string{}
	for _, f := range a.Files {
		if slices.Contains(goldens, f.Name) {
			got[f.Name] = string(f.Data)
		}
	}
	for _, name := range goldens {
		if want[name] == "" {
			delete(want, name)
			continue
		}
		b.Files = append(b.Files, txtar.File{Name: name, Data: []byte(want[name])})
	}
	if os.Getenv("VICTORGEN_UPDATE") == "" {
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("VICTORGEN_UPDATE=1 rewrites it (-want +got)\n%s", diff)
		}
	} else if text := txtar.Format(&b); !bytes.Equal(text, txtar.Format(a)) {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJoinInterrupted ends an import that changes the contract before its values are
// stored: the environments that are there make what they made, and the same import goes
// on.
func TestJoinInterrupted(t *testing.T) {
	t.Parallel()
	m := module(t, t.TempDir())
	o := optionsOf(m)
	o.Environment = "dev"
	first := variables(t, three+"ONLY_DEV_SECRET=uR7kYp3DuL5cTa9SoM2i\n")
	if _, ds := importer.Run(t.Context(), first, o); ds.HasErrors() {
		t.Fatal(ds)
	}
	second := variables(t, three)
	o.Environment = "prod"
	o.Open = opening(1, nil)
	if r, ds := importer.Run(t.Context(), second, o); !ds.HasErrors() || !slices.ContainsFunc(r.Files, func(f importer.File) bool { return f.State == "changed" }) || r.Files[len(r.Files)-1].State != "not written" {
		t.Fatalf("%v %+v", ds, r.Files)
	}
	same(t, m, "dev", first)
	o.Open = open
	if r, ds := importer.Run(t.Context(), second, o); ds.HasErrors() || r.Count(importer.Equal) != 3 {
		t.Errorf("%v %+v", ds, r.Proof)
	}
	same(t, m, "dev", first)
	same(t, m, "prod", second)
}

// TestUpAndDown: what an environment does not have any more moves down, and what all have
// now moves up, in one import.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	m := module(t, t.TempDir())
	o := optionsOf(m)
	const ours, theirs, all = "A_SECRET=pQ8xLm2ZrT5vNc7WyK3d\n", "D_SECRET=hJ4sGf9BtX6mQw1RnV8e\n", "S_SECRET=zE7kYp3DuL5cTa9SoM2i\n"
	run := func(environment, text string) *importer.Result {
		t.Helper()
		o.Environment = environment
		r, ds := importer.Run(t.Context(), variables(t, text), o)
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		return r
	}
	run("dev", ours+theirs+all)
	run("prod", ours+all)
	o.Force = true
	r := run("prod", theirs+all)
	seen := map[string]bool{}
	for _, f := range r.Files {
		if changed := f.State == "changed"; seen[f.Path] || changed == (f.Path == "envs/prod/env.cue") {
			t.Errorf("%s: %s", f.Path, f.State)
		}
		seen[f.Path] = true
	}
	for file, want := range map[string]map[string]bool{
		"contract.cue":      {"A_SECRET": false, "D_SECRET": true, "S_SECRET": true},
		"envs/dev/env.cue":  {"A_SECRET": true, "D_SECRET": false, "S_SECRET": false},
		"envs/prod/env.cue": {"A_SECRET": false, "D_SECRET": false, "S_SECRET": false},
	} {
		text, err := os.ReadFile(filepath.Join(m, file))
		if err != nil {
			t.Fatal(err)
		}
		for name, is := range want {
			if strings.Contains(string(text), name) != is {
				t.Errorf("%s has %s: %v\n%s", file, name, !is, text)
			}
		}
	}
	same(t, m, "dev", variables(t, ours+theirs+all))
	same(t, m, "prod", variables(t, theirs+all))
}
