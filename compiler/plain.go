package compiler

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	cuemodule "cuelang.org/go/mod/module"

	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/schema"
)

// Almost every environment is plain: a module.cue with a name and a version of the
// language, files of one package that are CUE, and imports of the schema and of CUE's
// own packages. What CUE's loader makes of such a one is put together here, at a
// tenth of what the loader takes. Of anything else, and of all that is wrong, CUE's
// loader says what it is.

// plainVersion matches the versions of the language that a plain module may name.
var plainVersion = lazy.MustCompile(`^v0\.([1-9][0-9]?)\.(0|[1-9][0-9]{0,2})$`)

// firstVersion is the version of the language from which on module.cue has the form of
// today.
const firstVersion = "v0.9.0"

// plainModule returns the module's name, with its major version, and the version of
// the language, of a module.cue that says nothing else; two empty ones of another.
func (m *module) plainModule() (name, version string) {
	f := m.files["cue.mod/module.cue"]
	if f == nil || f.syntax == nil || !isPlain(f.content) {
		return "", ""
	}
	text := func(d ast.Decl, label string) string {
		field, ok := d.(*ast.Field)
		if !ok || len(field.Attrs) > 0 || field.Constraint != token.ILLEGAL || field.Alias != nil {
			return ""
		}
		if id, ok := field.Label.(*ast.Ident); !ok || id.Name != label {
			return ""
		}
		lit, ok := field.Value.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return ""
		}
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	if decls := f.syntax.Decls; len(decls) == 2 {
		name = text(decls[0], "module")
		if field, ok := decls[1].(*ast.Field); ok && len(field.Attrs) == 0 && field.Constraint == token.ILLEGAL && field.Alias == nil {
			id, ok := field.Label.(*ast.Ident)
			if body, is := field.Value.(*ast.StructLit); ok && is && id.Name == "language" && len(body.Elts) == 1 {
				version = text(body.Elts[0], "version")
			}
		}
	}
	if !strings.Contains(name, "@") {
		name += "@v0"
	}
	base, _, _ := strings.Cut(name, "@")
	number := func(v string) int { // by which versions sort
		n := plainVersion.FindStringSubmatch(v)
		if n == nil {
			return 0
		}
		minor, _ := strconv.Atoi(n[1])
		patch, _ := strconv.Atoi(n[2])
		return minor*1000 + patch
	}
	if v := number(version); v < number(firstVersion) || v > number(cue.LanguageVersion()) ||
		cuemodule.CheckPath(name) != nil || strings.HasPrefix(schema.ImportPath+"/", base+"/") {
		return "", ""
	}
	return name, version
}

// isPlain reports whether content is text as it stands.
func isPlain(content []byte) bool {
	return utf8.Valid(content) && !bytes.HasPrefix(content, []byte("\ufeff"))
}

// plainInstance returns what CUE's loader would make of the environment; nil if it is
// not plain.
func (m *module) plainInstance() *build.Instance {
	name, version := m.plainModule()
	if name == "" || slices.Contains(m.env, "cue.mod") {
		return nil
	}
	env := path.Join(append([]string{"."}, m.env...)...)
	pkg, reads := "", schemaWithoutPlan
	var files []string
	for rel, f := range m.files {
		dir := path.Dir(rel)
		switch {
		case f.schema, rel == "cue.mod/module.cue":
			continue
		case dir != "." && dir != env && !strings.HasPrefix(env, dir+"/"), // which someone imports
			f.err != nil || f.bad != nil || !isPlain(f.content),
			strings.HasSuffix(rel, "_test.cue"), strings.HasSuffix(rel, "_tool.cue"):
			return nil
		case dir == env:
			if p := f.syntax.PackageName(); p == "" || p == "_" || pkg != "" && p != pkg {
				return nil
			} else {
				pkg = p
			}
		}
		files = append(files, rel)
		if bytes.Contains(f.content, []byte("Plan")) { // an identifier can be written in one way only
			reads = schema.ImportPath
		}
	}
	if pkg == "" {
		return nil
	}
	// Those of directories above come first.
	slices.SortFunc(files, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(m.virtual(a), m.virtual(b)))
	})
	inst := build.NewContext().NewInstance(path.Join(append([]string{m.mount}, m.as...)...), importNothing)
	inst.Root, inst.Module, inst.DisplayPath = m.mount, name, "."
	known := knownSchema(version)
	for _, rel := range files {
		f := m.files[rel]
		if f.syntax.PackageName() != pkg {
			continue
		}
		for spec := range f.syntax.ImportSpecs() {
			p, err := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(p, "/")
			own := known[p]
			if p == schema.ImportPath {
				own = known[reads]
			}
			switch {
			case err != nil || p == "" || strings.ContainsAny(p, ":@"):
				return nil
			case own != nil:
				if imported := own(); !slices.Contains(inst.Imports, imported) {
					inst.Imports = append(inst.Imports, imported)
				}
			case strings.Contains(first, "."):
				return nil
			}
		}
		syntax, err := m.parse(filepath.Join(m.dir, filepath.FromSlash(rel)), f.content, parser.NewConfig(parser.Version(version)))
		if err != nil || inst.AddSyntax(syntax) != nil {
			return nil
		}
	}
	imported := ast.ParseImportPath(name)
	if len(m.as) > 0 {
		imported.Path += "/" + path.Join(m.as...)
	}
	imported.Qualifier = pkg
	inst.ImportPath = imported.String()
	if inst.Complete() != nil || inst.Err != nil || inst.ResolutionErr != nil {
		return nil
	}
	return inst
}

func importNothing(token.Pos, string) *build.Instance { return nil }

// schemas are what knownSchema has returned, by the version of the language.
var schemas sync.Map

// schemaWithoutPlan is, for knownSchema, the schema without its description of plans: a
// fifth of it, which contracts have no use for.
const schemaWithoutPlan = ""

// knownSchema returns what parses the schema and its kit, by import path, as CUE's
// loader would load them for a module in a version of the language. No one changes them
// any more.
func knownSchema(version string) map[string]func() *build.Instance {
	if all, ok := schemas.Load(version); ok {
		return all.(map[string]func() *build.Instance)
	}
	names := map[string][]string{}
	files := schema.Files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		p := path.Join(schema.ImportPath, path.Dir(name))
		names[p] = append(names[p], name)
	}
	names[schemaWithoutPlan] = slices.DeleteFunc(slices.Clone(names[schema.ImportPath]), func(name string) bool { return name == "plan.cue" })
	all := map[string]func() *build.Instance{}
	for id, names := range names {
		p := cmp.Or(id, schema.ImportPath)
		all[id] = sync.OnceValue(func() *build.Instance {
			inst := build.NewContext().NewInstance("/"+path.Join(schema.Dir, path.Dir(names[0])), importNothing)
			inst.ImportPath, inst.CanonicalID, inst.DisplayPath = p, p, p
			for _, name := range names {
				f, err := new(module).parse("/"+path.Join(schema.Dir, name), files[name], parser.NewConfig(parser.Version(version)))
				if err != nil || inst.AddSyntax(f) != nil {
					panic(fmt.Sprintf("the embedded schema is not valid CUE: %v", err))
				}
			}
			inst.Complete()
			return inst
		})
	}
	kept, _ := schemas.LoadOrStore(version, all)
	return kept.(map[string]func() *build.Instance)
}
