package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// schemaDir is where the schemas of what -o json prints are.
const schemaDir = "../../docs/schemas"

// environmentsDocument is what stream prints.
type environmentsDocument struct {
	Environments []result `json:"environments"`
	Version      int      `json:"version"`
}

// documents are what verbs print with -o json, by the names of their schemas, but for that of
// report, which says more than its types do.
var documents = map[string]struct {
	of    reflect.Type
	title string
}{
	"environments": {reflect.TypeFor[environmentsDocument](), "What a verb has done or found, of each environment"},
	"list":         {reflect.TypeFor[[]listed](), "victorgen list -o json"},
	"version":      {reflect.TypeFor[vg.Release](), "victorgen version -o json"},
	"import":       {reflect.TypeFor[importReport](), "victorgen import -o json"},
	"source-test":  {reflect.TypeFor[sourceReport](), "victorgen source test -o json"},
	"certificates": {reflect.TypeFor[certificatesDocument](), "victorgen cert inspect FILE -o json"},
	"codes":        {reflect.TypeFor[codesDocument](), "victorgen explain CODE -o json"},
	"explain":      {reflect.TypeFor[storyDocument](), "victorgen explain ENV NAME -o json"},
	"permissions":  {reflect.TypeFor[permissionsDocument](), "victorgen explain --permissions ENV -o json"},
	"plan":         {reflect.TypeFor[plan.Document](), "victorgen explain ENV -o json: the plan, as policies see it"},
}

// printedBy are the schemas of the verbs that have others than that of environments.
var printedBy = map[string][]string{
	"list": {"list"}, "version": {"version"}, "import": {"import"}, "source": {"source-test"}, "report": {"report"},
	"cert": {"environments", "certificates"}, "explain": {"codes", "explain", "permissions", "plan", "environments"},
}

func schemaOf(name string) (*jsonschema.Schema, error) {
	s, err := jsonschema.ForType(documents[name].of, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Types: []string{"string"}, Format: "date-time"},
		reflect.TypeFor[json.RawMessage](): {},
	}})
	if err != nil {
		return nil, err
	}
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", documents[name].title
	return s, nil
}

// compiled are the schemas as types say them, and that of report as it is there.
var compiled = sync.OnceValues(func() (map[string]*validator.Schema, error) {
	all := map[string]*validator.Schema{}
	var errs []error
	for name := range documents {
		s, err := schemaOf(name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
		c := validator.NewCompiler()
		c.AssertFormat()
		errs = append(errs, err, c.AddResource(name, doc))
		all[name], err = c.Compile(name)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
})

// conforms returns an error if what a verb has printed with -o json has not the form that
// its schema says. (TestReportSchema judges report.)
func conforms(args []string, printed []byte) error {
	if len(printed) == 0 || !asksJSON(args) || args[0] == "report" {
		return nil
	}
	schemas, err := compiled()
	if err != nil {
		return err
	}
	names := printedBy[args[0]]
	if names == nil {
		names = []string{"environments"}
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(printed))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := schemas[name].Validate(doc)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("%s has printed what its schema does not know: %w", strings.Join(args, " "), errors.Join(errs...))
}

func asksJSON(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "-o" || arg == "--format":
			return len(args) > i+1 && args[i+1] == "json"
		case arg == "-ojson" || arg == "-o=json" || arg == "--format=json":
			return true
		}
	}
	return false
}

// victorgenOfScripts is main, which judges what is printed with -o json, too.
func victorgenOfScripts() {
	args := commandLine(os.Args)
	if !asksJSON(args) {
		main()
	}
	var printed bytes.Buffer
	code := interruptible(func(ctx context.Context) int {
		return run(ctx, args, io.MultiWriter(os.Stdout, &printed), os.Stderr)
	})
	if err := conforms(args, printed.Bytes()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 99
	}
	os.Exit(code)
}

// TestSchemas: docs/schemas says what the types do, and what their comments say of each
// field. VICTORGEN_UPDATE=1 writes it.
func TestSchemas(t *testing.T) {
	const report = "report.schema.json" // TestReportSchema has it
	pages := map[string]string{report: string(read(t, filepath.Join(schemaDir, report)))}
	said := comments(t)
	for name, d := range documents {
		s, err := schemaOf(name)
		if err != nil {
			t.Fatal(err)
		}
		said.describe(s, d.of)
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		pages[name+".schema.json"] = string(text) + "\n"
	}
	goldens(t, schemaDir, pages)
}

// TestConforms: what has another form is noticed.
func TestConforms(t *testing.T) {
	for printed, bad := range map[string]bool{
		`{"environments": [], "version": 1}`:                                              false,
		`{"environments": [], "version": 1, "more": 1}`:                                   true,
		`{"environments": [{"directory": "envs/dev", "ok": true}], "version": 1}`:         false,
		`{"environments": [{"directory": "envs/dev", "ok": true, "x": 1}], "version": 1}`: true,
		`{"environments": [{"directory": "envs/dev"}], "version": 1}`:                     true,
		`{"environments": []}`: true,
		`{"environments": [`:   true,
	} {
		if err := conforms([]string{"vet", "envs/dev", "-o", "json"}, []byte(printed)); (err != nil) != bad {
			t.Errorf("%s: got %v", printed, err)
		}
	}
	if err := conforms([]string{"vet", "envs/dev"}, []byte("dev: ok")); err != nil {
		t.Error(err)
	}
}

// fieldComments is what comments say of the fields of this module's types, by
// PACKAGE.TYPE.FIELD.
type fieldComments map[string]string

// comments reads those of the packages whose types are printed.
func comments(t *testing.T) fieldComments {
	t.Helper()
	p := fieldComments{}
	err := filepath.WalkDir(repository, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name := e.Name(); name == "e2e" || name == "testdata" || name == "bin" || strings.HasPrefix(name, ".git") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		p.read(parsed)
		return nil
	})
	if err != nil || len(p) == 0 {
		t.Fatal("no comments: ", err)
	}
	return p
}

func (p fieldComments) read(file *ast.File) {
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			spec, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range st.Fields.List {
				text := f.Doc.Text()
				if text == "" {
					text = f.Comment.Text()
				}
				for _, name := range f.Names {
					p[file.Name.Name+"."+spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
				}
			}
		}
	}
}

// describe puts the comments of fields into the schema of t.
func (p fieldComments) describe(s *jsonschema.Schema, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		p.describe(s, t.Elem())
	case reflect.Slice, reflect.Array:
		if s.Items != nil {
			p.describe(s.Items, t.Elem())
		}
	case reflect.Map:
		if s.AdditionalProperties != nil {
			p.describe(s.AdditionalProperties, t.Elem())
		}
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			property := s.Properties[name]
			if f.Anonymous || property == nil {
				continue
			}
			in := t
			for _, i := range f.Index[:len(f.Index)-1] { // what is embedded
				in = in.Field(i).Type
				if in.Kind() == reflect.Pointer {
					in = in.Elem()
				}
			}
			property.Description = p[in.String()+"."+f.Name]
			p.describe(property, f.Type)
		}
	}
}

// TestSchemasAreOfVerbs: each verb that has -o json has a schema, and each schema a verb.
func TestSchemasAreOfVerbs(t *testing.T) {
	root, named := newRoot(io.Discard, io.Discard), map[string]bool{"environments": true}
	for verb, names := range printedBy {
		if cmd, _, err := root.Find([]string{verb}); err != nil || cmd == root {
			t.Errorf("there is no verb %s", verb)
		}
		for _, name := range names {
			named[name] = true
		}
	}
	delete(named, "report")
	if got, want := slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(documents)); !slices.Equal(got, want) {
		t.Errorf("verbs print %v, and schemas are %v", got, want)
	}
}
