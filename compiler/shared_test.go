package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestShared compiles all environments of the examples at once, with what they have
// in common shared and without, again when all of it is, and as CUE's loader loads them:
// it comes to the same.
// One with mistakes in the contract, in the environment and against the schema is
// among them.
func TestShared(t *testing.T) {
	t.Parallel()
	broken, err := filepath.EvalSymlinks(t.TempDir())
	if err == nil {
		err = os.CopyFS(broken, os.DirFS("../examples/victor"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"wrong.cue":                       "package victor\n\nimport \"strings\"\n\ninputs: X: default: strings.Repeat(\"x\", 3)\ninputs: DB_HOST: colour: \"red\"\n",
		"envs/dev/wrong.cue":              "package victor\n\nnamespace: 3\ndelivery: scope: \"wide\"\n",
		"envs/staging/wrong.cue":          "package victor\n\ninputs: JWT_SECRET: class: \"optional\"\nrules: x: kind: \"none\"\n",
		"envs/production/wrong.cue":       "package victor\n\n@extern(embed)\nimport \"a.test/none\"\n",
		"envs/production-aws/wrong.cue":   "package victor\n\ninputs: {\n",
		"envs/production-azure/wrong.cue": "package victor\n\ninputs: DB_PASSWORD: generate: length: 3\n",
	} {
		if err := os.WriteFile(filepath.Join(broken, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	repaired, err := filepath.EvalSymlinks(t.TempDir())
	if err == nil {
		err = os.CopyFS(repaired, os.DirFS(broken))
	}
	if err == nil {
		err = os.Remove(filepath.Join(repaired, "wrong.cue"))
	}
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := Find("../examples/victor/...", "../examples/gallery/...", broken+"/...", repaired+"/...")
	if err != nil || len(dirs) < 20 {
		t.Fatalf("%d environments, %v", len(dirs), err)
	}
	compile := func(dir string, o Options) string {
		o.Review = true
		p, ds := Compile(dir, o)
		return describe(p) + fmt.Sprintf("%+v", ds)
	}
	shared := NewShared()
	for range 2 {
		var wg sync.WaitGroup
		for _, dir := range dirs {
			wg.Go(func() {
				want := compile(dir, Options{loader: true})
				if got := compile(dir, Options{Shared: shared}); got != want {
					t.Errorf("%s: shared it comes to\n%s\nand alone to\n%s", dir, got, want)
				}
				if got := compile(dir, Options{}); got != want {
					t.Errorf("%s: put together it comes to\n%s\nand loaded by CUE to\n%s", dir, got, want)
				}
			})
		}
		wg.Wait()
	}
}

// describe writes all that a plan has, with its places.
func describe(p *plan.Plan) string {
	if p == nil {
		return "none\n"
	}
	var b strings.Builder
	var write func(name string, v reflect.Value)
	write = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if s, ok := v.Interface().(fmt.Stringer); ok && !v.IsNil() && v.Type().Elem().PkgPath() == "regexp" {
				fmt.Fprintln(&b, name, s)
			} else if !v.IsNil() {
				write(name, v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					write(name+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				write(fmt.Sprint(name, i), v.Index(i))
			}
		case reflect.Func:
		default:
			fmt.Fprintln(&b, name, v)
		}
	}
	write("", reflect.ValueOf(p))
	return b.String()
}
