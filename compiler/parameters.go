package compiler

import (
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/schema"
)

// parameterAttribute marks the definitions in the schema and its kit, such as the
// parameters of kit.#Redis, so that a value tells which of its definitions are theirs.
const parameterAttribute = "victorgen_parameter"

// checkParameters reports what is given to a definition, of the kit, of the contract or of
// what the contract imports, and is no parameter of it. CUE lets it be: a closed struct may
// get definitions of any name. But a #pasword that nothing reads is a URL without a password.
func (c *compilation) checkParameters(v cue.Value) {
	own := map[string]bool{} // parameters of definitions that are not the kit's
	var all [][]string       // what is given, and where
	for key := range c.ix.fields {
		if !isDefinition(key[strings.LastIndexByte(key, 0)+1:]) { // as most are
			continue
		}
		path := strings.Split(key, "\x00")
		switch n := len(path) - 1; {
		case isDefinition(path[0]):
			own[path[n]] = own[path[n]] || n > 0
		case path[0] == "secrets" && !slices.ContainsFunc(path[:n], isDefinition):
			all = append(all, path)
		}
	}
	if len(all) == 0 {
		return
	}
	others := imported(c.imports, map[*build.Instance]bool{})
	for _, f := range others {
		nested(f, func(definition string) { own[definition] = true })
	}
	slices.SortFunc(all, slices.Compare[[]string])
	for _, path := range all {
		n := len(path) - 1
		of := v.LookupPath(cuePath(path[:n]))
		given := of.LookupPath(cue.MakePath(cue.Def(path[n])))
		if !given.Exists() || isParameter(given) || own[path[n]] {
			continue
		}
		var known []string
		for fields, err := of.Fields(cue.Definitions(true), cue.Optional(true)); err == nil && fields.Next(); {
			name := strings.TrimRight(fields.Selector().String(), "?!")
			if fields.Selector().IsDefinition() && (own[name] || isParameter(fields.Value())) {
				known = append(known, name)
			}
		}
		if len(known) > 0 && !reads(slices.Concat(c.files, others), path[n]) {
			slices.Sort(known)
			c.ds.Errorf(plan.CodeUnknownField, last(c.ix.declared(path...)),
				plan.DidYouMean(path[n], known, "the parameters are "+strings.Join(known, ", ")), "%s has no parameter %s", dotted(path[:n]), path[n])
		}
	}
}

func isParameter(v cue.Value) bool {
	return slices.ContainsFunc(v.Attributes(cue.FieldAttr), func(a cue.Attribute) bool { return a.Name() == parameterAttribute })
}

func isDefinition(name string) bool { return strings.HasPrefix(name, "#") }

// imported returns the files of the packages, and of those that they import in turn, but
// for the schema and its kit.
func imported(packages []*build.Instance, seen map[*build.Instance]bool) (files []*ast.File) {
	for _, in := range packages {
		if p := ast.ParseImportPath(in.ImportPath).Path; seen[in] || p == schema.ImportPath || strings.HasPrefix(p, schema.ImportPath+"/") {
			continue
		}
		seen[in] = true
		files = append(append(files, in.Files...), imported(in.Imports, seen)...)
	}
	return files
}

// nested calls each with the definitions of a file that are in something else.
func nested(f *ast.File, each func(definition string)) {
	depth := 0
	ast.Walk(f, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok {
			if name, _, err := ast.LabelName(field.Label); err == nil && depth > 0 && isDefinition(name) {
				each(name)
			}
			depth++
		}
		return true
	}, func(n ast.Node) {
		if _, ok := n.(*ast.Field); ok {
			depth--
		}
	})
}

// reads reports whether one of the files reads the definition of that name.
func reads(files []*ast.File, definition string) (found bool) {
	for _, f := range files {
		labels := map[ast.Node]bool{}
		ast.Walk(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				labels[n.Label] = true
			case *ast.Ident:
				found = found || n.Name == definition && !labels[n]
			}
			return !found
		}, nil)
	}
	return found
}
