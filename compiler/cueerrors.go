package compiler

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/schema"
)

// cueErrors turns what CUE has to say into one diagnostic a mistake. CUE
// reports a wrong word where an enumeration is expected as one error a member
// of the enumeration, and it points into the schema as readily as into the
// contract. It returns the paths that are broken.
func (c *compilation) cueErrors(all []errors.Error) map[string]bool {
	broken := map[string]bool{}
	groups := map[string][]errors.Error{}
	var order []string
	for _, e := range all {
		key := pathKey(e.Path())
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], e)
		broken[key] = true
	}
	for _, key := range order {
		var path []string
		for _, sel := range strings.Split(key, "\x00") {
			if u, ok := unquoteSelector(sel); ok {
				path = append(path, u)
			} else if sel != "" {
				path = append(path, sel)
			}
		}
		broken[pathKey(path)] = true
		if n := len(path); n > 0 && path[n-1] != "kind" &&
			broken[pathKey(append(path[:n-1:n-1], "kind"))] && strings.HasPrefix(messageOf(groups[key][0]), "field not allowed") {
			continue // which fields are allowed depends on the kind, and that is wrong itself
		}
		c.cueError(path, groups[key], slices.ContainsFunc(order, func(other string) bool { return strings.HasPrefix(other, key+"\x00") }))
	}
	return broken
}

// validate returns all that CUE has against v. CUE is silent on what is missing
// while anything else is wrong, so then each part is asked by itself.
func (c *compilation) validate(v cue.Value) []errors.Error {
	all := errors.Errors(v.Validate(cue.Concrete(true), cue.All()))
	if len(all) == 0 {
		return nil
	}
	told := map[string]bool{}
	for _, e := range all {
		told[pathKey(e.Path())] = true
	}
	for _, part := range []string{"access", "sources", "inputs", "rules", "secrets"} {
		for _, name := range c.ix.names([]string{part}) {
			sub := v.LookupPath(cuePath([]string{part, name}))
			if !sub.Exists() {
				continue // it is as broken as told
			}
			for _, e := range errors.Errors(sub.Validate(cue.Concrete(true))) {
				if !told[pathKey(e.Path())] {
					all = append(all, e)
				}
			}
		}
	}
	return all
}

var conflictRE = lazy.MustCompile(`(?s)^conflicting values (.*?) and (.*?)(?: \(mismatched types .*\))?$`)

// tooLongRE is what CUE says where [short] refuses.
var tooLongRE = lazy.MustCompile(fmt.Sprintf(`^invalid value ([0-9]+) \(out of bound <=(%d|%d|%d|%d)\)$`, maxJoined, maxElement, maxReplaced, maxPiece))

// cueError reports what CUE says of the field at a path; deeper is whether it says
// something of a field below, too.
func (c *compilation) cueError(path []string, group []errors.Error, deeper bool) {
	// Errors behind "N errors in empty disjunction" are about one member each.
	var direct, members [][2]string
	disjunction, rest := false, ""
	for _, e := range group {
		msg := messageOf(e)
		if strings.Contains(msg, "empty disjunction") {
			disjunction = true
			continue
		}
		m := conflictRE.FindStringSubmatch(msg)
		switch {
		case m == nil:
			if rest == "" {
				rest = msg
			}
		case disjunction:
			members = append(members, [2]string{m[1], m[2]})
		default:
			direct = append(direct, [2]string{m[1], m[2]})
		}
	}

	if rest == "field not allowed" && len(direct)+len(members) > 0 && len(fieldsAt(path)) == 0 {
		rest = "" // by some of the structs that a definition allows; others have it, and not with that value
	}
	name := dotted(path)
	set := c.ix.set(path...)
	at := last(set)
	switch {
	case len(path) == 0 || strings.Contains(rest, " not found") || strings.Contains(rest, "undefined field"):
		c.cueSyntax(group[0])

	case tooLongRE.MatchString(rest) && path[len(path)-1] == "0":
		m := tooLongRE.FindStringSubmatch(rest)
		var where []plan.Pos
		for _, pos := range errors.Positions(group[0]) {
			where = append(where, c.module.position(pos))
		}
		c.ds.Errorf(plan.CodeUnbounded, last(where), "write the value itself into the contract",
			"the text to insert is %s long; %s are allowed", m[1], m[2])

	case rest == "field not allowed":
		c.unknownField(path, fieldsAt(path))

	case rest == "field is required but not present":
		c.missing(path)

	case strings.HasPrefix(rest, "incomplete value"):
		c.ds.Errorf(plan.CodeIncomplete, c.whereMissing(path), "set it to one value in the environment",
			"%s is not concrete: it is only known to be %s", name, maskLiterals(strings.TrimPrefix(rest, "incomplete value ")))

	case len(direct) == 0 && len(members) > 0 && !strings.Contains(rest, "(out of bound ") && !c.against(at, c.contractSays(path, false)):
		given, allowed := "", []string{}
		for _, m := range members {
			switch a, b := m[0], m[1]; {
			case count(members, a) > count(members, b):
				given, allowed = a, append(allowed, b)
			case count(members, a) < count(members, b):
				given, allowed = b, append(allowed, a)
			default:
				var other string
				given, other, _ = c.sides([][2]string{m}, at)
				allowed = append(allowed, other)
			}
		}
		if deeper && isStruct(given) {
			return // of the structs that are allowed, what does not fit in is said below
		}
		c.notOneOf(name, at, given, allowed)

	default:
		if rest == "" {
			rest = "conflict"
			if given, other, ok := c.sides(append(direct, members...), at); ok {
				rest = inShort(given) + " here, " + inShort(other) + " elsewhere"
			}
		}
		word := len(direct) > 0 && isWord(direct[0][0]) && isWord(direct[0][1])
		contract := c.contractSays(path, word)
		if c.against(at, contract) {
			c.ds.Errorf(plan.CodeLoosened, append(slices.Clone(at), contract...),
				"an environment may narrow what the contract leaves open, never loosen or contradict it",
				"the environment contradicts the contract on %s: %s", name, maskLiterals(rest))
			return
		}
		if given, allowed, ok := c.sides(direct, at); ok && len(set) == 1 {
			c.notOneOf(name, at, given, []string{allowed}) // the schema allows just this here
			return
		}
		c.ds.Errorf(plan.CodeConflict, latestFirst(set), "", "%s: %s", name, maskLiterals(rest))
	}
}

// cueSyntax reports an error of loading, parsing or resolving references,
// which CUE itself places well.
func (c *compilation) cueSyntax(e errors.Error) {
	pos := []plan.Pos{c.module.position(e.Position())}
	for _, p := range e.InputPositions() {
		if q := c.module.position(p); !schema.Contains(q.File) {
			pos = append(pos, q)
		}
	}
	pos = slices.DeleteFunc(pos, func(p plan.Pos) bool { return !p.IsValid() })
	pos = slices.Compact(pos)
	msg := c.module.words(maskLiterals(messageOf(e)))
	if len(pos) > 0 && !c.module.parsed(pos[0].File) {
		msg = withoutText(e)
	}
	code, hint := plan.CodeSyntax, ""
	if len(pos) > 0 && msg == "import failed" {
		msg = "can't import " + stringLiteral.FindString(c.textAt(pos[0]))
	}
	switch {
	case strings.Contains(msg, "not found") && strings.Contains(msg, "reference"):
		code, hint = plan.CodeReference, "declare it, or import the package that it comes from"
		for name, p := range map[string]string{"schema": schema.ImportPath, "kit": schema.ImportPath + "/kit"} {
			if strings.Contains(msg, strconv.Quote(name)) {
				hint = fmt.Sprintf("add `import %q` at the top of the file", p)
			}
		}
	case strings.Contains(msg, "undefined field"):
		code, hint = plan.CodeReference, c.definitionsHint(e.Position())
	case strings.Contains(msg, "import") || strings.Contains(msg, "cannot find package"):
		code, hint = plan.CodeReference, "registries are not used: keep packages that a contract imports under cue.mod/pkg"
	case strings.Contains(msg, "expected label or ':', found 'STRING'"):
		hint = "imports belong at the top of a file, right after the package clause"
	}
	c.ds.Errorf(code, pos, hint, "%s", msg)
}

// definitionsHint says what a package has instead of the definition that a contract
// selects from it at a place.
func (c *compilation) definitionsHint(at token.Pos) (hint string) {
	hint = "see the definitions in " + schema.Dir
	for _, f := range c.files {
		if f.Filename != at.Filename() {
			continue
		}
		ast.Walk(f, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok || selector.Sel.Pos().Offset() != at.Offset() {
				return true
			}
			name, _, err := ast.LabelName(selector.Sel)
			from, ok := selector.X.(*ast.Ident)
			if !ok || err != nil {
				return true
			}
			if in := c.importedAs(from.Name, f); in != nil {
				where := ast.ParseImportPath(in.ImportPath).Path
				if below, ok := strings.CutPrefix(where, schema.ImportPath); ok {
					where = schema.Dir + below
				}
				hint = plan.DidYouMean(name, definitionsOf(in.Files), "see the definitions in "+where)
			}
			return true
		}, nil)
	}
	return hint
}

// importedAs returns the package that a file calls by that name, or nil.
func (c *compilation) importedAs(name string, f *ast.File) *build.Instance {
	for spec := range f.ImportSpecs() {
		text, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		imported := ast.ParseImportPath(text)
		if called := imported.Qualifier; called != name && (spec.Name == nil || spec.Name.Name != name) {
			continue
		}
		for _, in := range c.imports {
			if ast.ParseImportPath(in.ImportPath).Path == imported.Path {
				return in
			}
		}
	}
	return nil
}

// definitionsOf returns the names of the definitions of a package.
func definitionsOf(files []*ast.File) (names []string) {
	for _, f := range files {
		for _, d := range f.Decls {
			if field, ok := d.(*ast.Field); ok {
				if name, _, err := ast.LabelName(field.Label); err == nil && isDefinition(name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// withoutText is what CUE says of a file that it can't parse, which may be
// anything: words of CUE's own, and none of the file's.
func withoutText(e errors.Error) string {
	format, args := e.Msg()
	said := slices.Clone(args)
	switch {
	case format == "expected %s, found '%s' %s": // the last is the file's
		format, said = strings.TrimSuffix(format, " %s"), said[:2]
	case strings.HasPrefix(format, "expected "), strings.HasPrefix(format, "missing ','"):
	default:
		for i, a := range said {
			if _, ok := a.(token.Token); !ok {
				said[i] = "[not shown]"
			}
		}
		format = verb.ReplaceAllString(format, "%v")
	}
	return fmt.Sprintf(format, said...)
}

var verb = lazy.MustCompile(`%[#+]?[a-zA-Z]`)

func (c *compilation) unknownField(path, known []string) {
	n := len(path)
	where := "an environment"
	if n > 1 {
		where = dotted(path[:n-1])
	}
	if slices.Contains(known, path[n-1]) {
		// The schema has it; a definition of the contract's own does not.
		c.ds.Errorf(plan.CodeConflict, last(c.ix.declared(path...)),
			"build the definition on one of the schema's, as in #TLS: schema.#Secret & {...}",
			"%s is closed by a definition that has no field %q", where, path[n-1])
		return
	}
	hint := fmt.Sprintf("the fields are %s", strings.Join(known, ", "))
	switch {
	case len(known) == 0: // a definition has them, such as one of the kit
		hint = "see the definitions in " + schema.Dir
	case n == 1:
		hint = fmt.Sprintf("a field of your own must be hidden (_%s) or a definition (#%s)", path[0], path[0])
	}
	c.ds.Errorf(plan.CodeUnknownField, last(c.ix.declared(path...)),
		plan.DidYouMean(path[n-1], known, hint), "%s has no field %q", where, path[n-1])
}

func (c *compilation) notOneOf(name string, at []plan.Pos, given string, allowed []string) {
	if types := slices.DeleteFunc(slices.Clone(allowed), func(a string) bool { return !isType.MatchString(a) }); len(types) > 0 {
		for i, t := range types {
			types[i] = inShort(t)
		}
		c.ds.Errorf(plan.CodeConflict, at, "", "%s is %s, but must be %s", name, maskLiterals(inShort(given)), strings.Join(slices.Compact(types), " or "))
		return
	}
	plain := make([]string, len(allowed))
	for i, a := range allowed {
		plain[i] = strings.Trim(a, `"`)
	}
	c.ds.Errorf(plan.CodeNotOneOf, at,
		plan.DidYouMean(strings.Trim(given, `"`), plain, ""),
		"%s is %s, which is not one of %s", name, maskLiterals(inShort(given)), strings.Join(allowed, ", "))
}

func (c *compilation) missing(path []string) {
	what := "every environment has it"
	if len(path) > 1 {
		what = "the schema requires it of " + dotted(path[:len(path)-1])
	}
	c.ds.Errorf(plan.CodeIncomplete, c.whereMissing(path), "add it: "+what, "%s is missing", dotted(path))
}

// whereMissing places what is not written anywhere: at the field that should
// hold it, or at the environment's first file.
func (c *compilation) whereMissing(path []string) []plan.Pos {
	if ps := last(c.ix.declared(path...)); len(ps) > 0 {
		return ps
	}
	for _, f := range c.files {
		if filepath.Dir(f.Filename) == c.dir {
			return []plan.Pos{c.module.at(f.Filename, max(1, c.module.position(f.Pos()).Line), 1)}
		}
	}
	return nil
}

// alertName finds the alerts in the schema.
var alertName = lazy.MustCompile(`(?m)^\t([A-Z]\w+): #Alert\b`)

// alertNames returns the names of the alerts that the schema has.
func alertNames() (names []string) {
	for _, m := range alertName.FindAllSubmatch(schema.Files()["alerts.cue"], -1) {
		names = append(names, string(m[1]))
	}
	return names
}

// fieldsAt returns the names that the schema knows at the struct that holds
// path.
func fieldsAt(path []string) []string {
	t := reflect.TypeFor[spec]()
	for _, name := range path[:len(path)-1] {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Map, reflect.Slice:
			t = t.Elem()
		case reflect.Struct:
			field, found := fieldsOf(t)[name]
			if !found {
				return nil
			}
			t = field
		default:
			return nil
		}
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var names []string
	switch {
	case t == reflect.TypeFor[map[string]alertSpec](): // whose names are those of the schema alone
		names = alertNames()
	case t.Kind() == reflect.Struct:
		names = slices.Collect(maps.Keys(fieldsOf(t)))
	}
	slices.Sort(names)
	return names
}

// against reports whether the environment stands at a place where the contract
// has spoken too.
func (c *compilation) against(at, contract []plan.Pos) bool {
	return len(contract) > 0 && len(at) > 0 && filepath.Dir(at[0].File) == c.dir
}

// contractSays returns where the contract, not the environment, sets the field
// at path. A word that a definition sets (schema.#Required) counts as set where
// the contract declares the field's owner.
func (c *compilation) contractSays(path []string, word bool) []plan.Pos {
	ps := c.ix.values(path)
	if word {
		ps = append(ps, c.ix.labels(path[:len(path)-1])...)
	}
	return c.inContract(ps)
}

// inContract returns the first of the places that is not in the environment's
// own files.
func (c *compilation) inContract(ps []plan.Pos) []plan.Pos {
	for _, p := range ps {
		if filepath.Dir(p.File) != c.dir {
			return []plan.Pos{p}
		}
	}
	return nil
}

func messageOf(e errors.Error) string {
	format, args := e.Msg()
	return fmt.Sprintf(format, args...)
}

// sides returns the first pair of conflicting values, the one that stands at
// the given place first.
func (c *compilation) sides(pairs [][2]string, at []plan.Pos) (given, other string, ok bool) {
	if len(pairs) == 0 {
		return "", "", false
	}
	given, other = pairs[0][0], pairs[0][1]
	if len(at) > 0 && !writes(c.textAt(at[0]), given) {
		given, other = other, given
	}
	return given, other, true
}

// writes reports whether text, of a contract, may begin with what CUE prints as v: a struct
// it prints in a way of its own, and in the text it may stand as the first of its fields.
func writes(text, v string) bool {
	if isStruct(v) {
		return isStruct(text) || fieldRE.MatchString(text)
	}
	return strings.HasPrefix(text, v)
}

var fieldRE = lazy.MustCompile(`^([\pL_#$][\pL0-9_#$]*|"[^"]*")[?!]?:`)

// inShort is v, as CUE prints it, but for what it says of a struct, which may be long and
// all that a contract has of it.
func inShort(v string) string {
	if isStruct(v) {
		return "a struct"
	}
	return v
}

func isStruct(v string) bool { return strings.HasPrefix(v, "{") }

func count(pairs [][2]string, s string) (n int) {
	for _, p := range pairs {
		if p[0] == s || p[1] == s {
			n++
		}
	}
	return n
}

var wordRE = lazy.MustCompile(`^"[^"]*"$`)

// isType matches what is left of a disjunction when its literals are set aside.
var isType = lazy.MustCompile(`^(string|bytes|int|float|number|bool|null|[<>!=].*|\[\.\.\..*|\{.*)$`)

func isWord(s string) bool { return wordRE.MatchString(s) }

func last(ps []plan.Pos) []plan.Pos {
	if len(ps) == 0 {
		return nil
	}
	return ps[len(ps)-1:]
}

// latestFirst puts what the environment says before what the contract says.
func latestFirst(ps []plan.Pos) []plan.Pos {
	ps = slices.Clone(ps)
	slices.Reverse(ps)
	return ps
}
