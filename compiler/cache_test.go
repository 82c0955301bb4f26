package compiler

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/schema"
)

// testCache is a cache in a directory of its own.
func testCache(t *testing.T) *Cache {
	t.Helper()
	return NewCache(filepath.Join(t.TempDir(), "plans"), "a build")
}

// outcome is what Compile returns.
type outcome struct {
	Plan        *plan.Plan
	Diagnostics plan.Diagnostics
}

func compiledWith(dir string, o Options) outcome {
	p, ds := Compile(dir, o)
	return outcome{p, ds}
}

var byText = cmp.Comparer(func(a, b *regexp.Regexp) bool {
	return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
})

// keeps reports whether the plan of dir is in the cache and counts.
func (c *Cache) keeps(dir string, o Options) bool {
	e, ok := c.entry(dir, o)
	if !ok {
		return false
	}
	_, _, ok = c.load(e, o)
	return ok
}

// TestCache compiles all environments of the examples without a cache, with an empty
// one, and with one that has the plans: it comes to the same, to the last nil.
func TestCache(t *testing.T) {
	t.Parallel()
	dirs, err := Find("../examples/victor/...", "../examples/gallery/...")
	if err != nil || len(dirs) < 10 {
		t.Fatalf("%d environments, %v", len(dirs), err)
	}
	c := testCache(t)
	for _, o := range []Options{{}, {Review: true}, {Direct: true, Namespace: "apps"}} {
		var g sync.WaitGroup
		shared := NewShared()
		for _, dir := range dirs {
			g.Go(func() {
				o := o
				want := compiledWith(dir, o)
				for _, o.Cache = range []*Cache{c, c, c} { // which is empty, has what was seen, has the plan
					for _, o.Shared = range []*Shared{nil, shared} {
						if diff := cmp.Diff(want, compiledWith(dir, o), byText); diff != "" {
							t.Errorf("%s, %+v: the cache makes a difference (-without +with):\n%s", dir, o, diff)
						}
					}
				}
				masked := slices.ContainsFunc(want.Diagnostics, func(d plan.Diagnostic) bool { return d.Mask })
				if kept := c.keeps(dir, o); kept != (want.Plan != nil && !masked) {
					t.Errorf("%s, %+v: in the cache: %v, of a plan %v", dir, o, kept, want.Plan != nil)
				}
			})
		}
		g.Wait()
	}
}

// TestCacheChanges changes what a plan goes by, in each way that there is, and sees
// that the plan in the cache counts no more.
func TestCacheChanges(t *testing.T) {
	if os.Getenv("CUE_OF_TESTS") != "" {
		t.Fatal("CUE_OF_TESTS is set")
	}
	put := func(file, text string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			file := filepath.Join(root, file)
			before, _ := os.Stat(file)
			err := os.MkdirAll(filepath.Dir(file), 0o755)
			if err == nil {
				err = os.WriteFile(file, []byte(text), 0o644)
			}
			if err == nil && before != nil { // as the tools do that restore times
				err = os.Chtimes(file, before.ModTime(), before.ModTime())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(file string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			if err := os.RemoveAll(filepath.Join(root, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := func(old, file string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			os.Remove(filepath.Join(root, file))
			if err := os.Symlink(old, filepath.Join(root, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const env = "package app\n\nimport \"test.example/app/common\"\n\nenvironment: \"test\"\nnamespace: common.namespace\n"
	files := map[string]string{
		"cue.mod/module.cue":      "module: \"test.example/app\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":            "package app\n\nimport \"" + schema.ImportPath + "\"\n\nschema.#Environment\n\ninputs: TOKEN: schema.#Required & {pattern: \"^x\"}\nsecrets: app: keys: token: input: \"TOKEN\"\ndelivery: certificate: \"cert.pem\"\n",
		"envs/test/env.cue":       env,
		"common/common.cue":       "package common\n\nnamespace: \"apps\"\n",
		".secrets":                "",
		"other/x.cue":             "package other\n",
		"cue.mod/pkg/x.test/x.go": "package x\n",
	}
	build := "a build"
	var o Options
	for name, change := range map[string]func(*testing.T, string){
		"the environment":                     put("envs/test/env.cue", strings.Replace(env, `"test"`, `"tost"`, 1)),
		"the environment, to a wrong one":     put("envs/test/env.cue", strings.Replace(env, `"test"`, `"t st"`, 1)),
		"the environment, to no CUE":          put("envs/test/env.cue", env+"{"),
		"a comment":                           put("envs/test/env.cue", "// A comment moves what follows.\n"+env),
		"the contract":                        put("contract.cue", strings.Replace(files["contract.cue"], "^x", "^y", 1)),
		"the module":                          put("cue.mod/module.cue", "module: \"test.example/app\"\nlanguage: version: \"v0.14.0\"\n"),
		"a package":                           put("common/common.cue", "package common\n\nnamespace: \"apples\"\n"),
		"another file of the environment":     put("envs/test/more.cue", "package app\n\npartOf: \"x\"\n"),
		"another file above":                  put("envs/more.cue", "package app\n\npartOf: \"x\"\n"),
		"another file of the contract":        put("more.cue", "package app\n\npartOf: \"x\"\n"),
		"another file of a package":           put("common/more.cue", "package common\n\nnamespace: \"apples\"\n"),
		"a file less":                         remove("common/common.cue"),
		"no module":                           remove("cue.mod/module.cue"),
		"a package that is a module":          put("common/cue.mod/module.cue", "module: \"test.example/common\"\n"),
		"an environment that is a module":     put("envs/test/cue.mod/module.cue", "module: \"test.example/common\"\nlanguage: version: \"v0.15.0\"\n"),
		"a package of others":                 put("cue.mod/pkg/test.example/app/common/common.cue", "package common\n\nnamespace: \"apples\"\n"),
		"a file of the schema":                put("cue.mod/pkg/"+schema.ImportPath+"/more.cue", "package schema\n"),
		"a file of values":                    put(".secrets.test", ""),
		"no shared file of values":            remove(".secrets"),
		"a directory in its place":            func(t *testing.T, root string) { remove(".secrets")(t, root); put(".secrets/x", "")(t, root) },
		"a link to nothing in its place":      link("nothing", ".secrets"),
		"a file of values that leads nowhere": link("nothing", ".secrets.test"),
		"a link in the place of a file":       link("../../other/x.cue", "envs/test/env.cue"),
		"a link out of the module":            link("/etc/passwd", "envs/test/more.cue"),
		"a directory that can't be read":      func(t *testing.T, root string) { remove("common")(t, root); put("common", "")(t, root) },
		"another build":                       func(*testing.T, string) { build = "another build" },
		"a variable of CUE":                   func(*testing.T, string) { os.Setenv("CUE_OF_TESTS", "1") },
		"another namespace":                   func(*testing.T, string) { o.Namespace = "others" },
		"direct delivery":                     func(*testing.T, string) { o.Direct = true },
		"for a review":                        func(*testing.T, string) { o.Review = true },
		"another source":                      func(*testing.T, string) { o.Source = plan.Files },
		"the entry, cut off":                  nil,
		"the entry, one bit of it":            nil,
		"the entry, for everybody to look at": nil,
		"the entry, which is that of another": nil,
	} {
		t.Run(name, func(t *testing.T) {
			root := write(t, files)
			dir := filepath.Join(root, "envs/test")
			build, o = "a build", Options{}
			defer os.Unsetenv("CUE_OF_TESTS")
			place := filepath.Join(t.TempDir(), "plans")
			o.Cache = NewCache(place, build)
			compiledWith(dir, o)
			if o.Cache.keeps(dir, o) {
				t.Error("what was compiled once is kept")
			}
			if first := compiledWith(dir, o); first.Plan == nil || !o.Cache.keeps(dir, o) {
				t.Fatalf("what is to be changed is not kept: %v", first.Diagnostics)
			}
			e, _ := o.Cache.entry(dir, o)
			content, err := os.ReadFile(e.file)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case change != nil:
				change(t, root)
			case strings.HasSuffix(name, "cut off"):
				content = content[:len(content)/2]
			case strings.HasSuffix(name, "bit of it"):
				content[len(content)/2] ^= 1
			case strings.HasSuffix(name, "look at"):
				err = os.Chmod(place, 0o755)
			case strings.HasSuffix(name, "another"): // it was moved, say
				root = write(t, files)
				dir = filepath.Join(root, "envs/test")
				e, _ = o.Cache.entry(dir, o)
			}
			if err == nil && change == nil {
				err = os.WriteFile(e.file, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			o.Cache = NewCache(place, build)
			if o.Cache.keeps(dir, o) {
				t.Error("what was kept before still counts")
			}
			without := o
			without.Cache = nil
			for range 3 {
				if diff := cmp.Diff(compiledWith(dir, without), compiledWith(dir, o), byText); diff != "" {
					t.Errorf("the cache makes a difference (-without +with):\n%s", diff)
				}
			}
		})
	}
}

// TestCacheKeepsAll looks for anything in a plan that an entry would lose: it is JSON,
// and leaves out what is not exported, and what a tag says.
func TestCacheKeepsAll(t *testing.T) {
	t.Parallel()
	restored := map[string]bool{
		"Pos.Text": true, "Diagnostic.Mask": true, // quoted again; never true
		"Diagnostic.Hint": true, "Diagnostic.Pos": true, "Generate.KeepPrevious": true, // left out if they are empty
	}
	seen := map[reflect.Type]bool{reflect.TypeFor[plan.Source](): true, reflect.TypeFor[regexp.Regexp](): true, reflect.TypeFor[time.Time](): true}
	var look func(v reflect.Type, at string, key bool)
	look = func(v reflect.Type, at string, inMap bool) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice:
			look(v.Elem(), at, inMap)
		case reflect.Map:
			look(v.Elem(), at, true)
		case reflect.Struct:
			if inMap && v == reflect.TypeFor[plan.Pos]() {
				t.Errorf("%s is a position in a map, which eachPos does not reach", at)
			}
			if seen[v] {
				return
			}
			seen[v] = true
			for f := range v.Fields() {
				name := v.Name() + "." + f.Name
				if tag := f.Tag.Get("json"); !f.IsExported() || (tag == "-" || strings.Contains(tag, ",")) && !restored[name] {
					t.Errorf("%s is not kept", name)
				}
				look(f.Type, name, inMap)
			}
		case reflect.Interface, reflect.Func, reflect.Chan, reflect.Array:
			if v != reflect.TypeFor[[3]int]() {
				t.Errorf("%s is a %v, which is not kept", at, v)
			}
		}
	}
	look(reflect.TypeFor[result](), "result", false)
	if !seen[reflect.TypeFor[plan.Plan]()] || !seen[reflect.TypeFor[plan.Pos]()] {
		t.Error("not all was looked at")
	}
}

// TestCacheKeepsLittle: no plan is kept of a contract that shows what looks secret, and
// none that is not all text.
func TestCacheKeepsLittle(t *testing.T) {
	t.Parallel()
	c := testCache(t)
	e := entry{file: filepath.Join(c.dir, "entry")}
	p := &plan.Plan{Environment: "test"}
	there := func() bool { _, err := os.Stat(e.file); return err == nil }
	store := func(p *plan.Plan, ds plan.Diagnostics) {
		e.kept = c.read(e)
		c.store(e, nil, p, ds)
	}
	warning := plan.Diagnostic{Severity: plan.Warning}
	masked, wrong := warning, warning
	masked.Mask, wrong.Severity = true, plan.Error
	store(nil, nil)
	store(p, plan.Diagnostics{warning, masked})
	store(p, plan.Diagnostics{wrong})
	if there() {
		t.Error("it is kept")
	}
	store(p, plan.Diagnostics{warning})
	store(&plan.Plan{Environment: "t\xffst"}, nil)
	if k := c.read(e); k == nil || len(k.Result) > 0 {
		t.Errorf("it is kept: %v", k)
	}
	store(p, plan.Diagnostics{warning})
	if k := c.read(e); k == nil || len(k.Result) == 0 {
		t.Error("the second time it is not kept")
	}
	if !there() {
		t.Error("nothing is kept")
	}
	if info, err := os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(e.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the entry: %v, %v", info.Mode(), err)
	}
	if NewCache("/x", "") != nil || NewCache("x", "a build") != nil {
		t.Error("a cache of no build, or in no place")
	}
}

// TestCacheTrim: what is not used for a month goes, once a day, and what is used stays.
func TestCacheTrim(t *testing.T) {
	t.Parallel()
	c := testCache(t)
	p := &plan.Plan{Environment: "test"}
	at := func(name string) string { return filepath.Join(c.dir, name) }
	c.store(entry{file: at("unused")}, nil, p, nil)
	c.store(entry{file: at("recent")}, nil, p, nil)
	age := func(d time.Duration, names ...string) {
		for _, name := range names {
			if err := os.Chtimes(at(name), time.Time{}, time.Now().Add(-d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	names := func() (all []string) {
		entries, _ := os.ReadDir(c.dir)
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	age(keptUnused+time.Hour, "unused")
	age(keptUnused-time.Hour, "recent")
	c.store(entry{file: at("new")}, nil, p, nil)
	if got, want := names(), []string{"new", "recent", trimmed, "unused"}; !slices.Equal(got, want) {
		t.Errorf("on the same day there are %v, want %v", got, want)
	}
	age(trimEvery+time.Hour, trimmed)
	c.store(entry{file: at("newer")}, nil, p, nil)
	if got, want := names(), []string{"new", "newer", "recent", trimmed}; !slices.Equal(got, want) {
		t.Errorf("a day later there are %v, want %v", got, want)
	}
}

// FuzzCache reads entries that are anything: none is a reason to panic.
func FuzzCache(f *testing.F) {
	f.Add("{}")
	const head = `{"Build":"a build"}` + "\n"
	f.Add(head + `{"Plan":{"Pos":[{"file":"/x","line":-1,"column":1}]}}`)
	f.Add(`{"Build":"a build","Sights":[{"What":"list","Path":"../.."},{"What":"file","Path":"/"},{"What":"path","Path":"\u0000"}]}` + "\n" + `{"Plan":{}}`)
	f.Add(head + `{"Plan":{"Inputs":[{"Constraints":{"Pattern":"("}}]}}`)
	f.Add(head + `{"Plan":null,"Diagnostics":[{"positions":[{}]}]}`)
	root, err := filepath.EvalSymlinks(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	c := NewCache(filepath.Join(root, "plans"), "a build")
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		e := entry{file: filepath.Join(c.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(body)))), root: root, dir: root}
		if err := os.WriteFile(e.file, fmt.Appendf(nil, "%x\n%s", sha256.Sum256([]byte(body)), body), 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(e.file)
		e.kept = c.read(e)
		c.load(e, Options{})
	})
}
