package compiler

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	cueliteral "cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/schema"
)

// Find returns the absolute directories of the environments that patterns
// name, sorted and without duplicates. A pattern is a directory, or a
// directory followed by "/...", which stands for every environment in it and
// below: every directory with a CUE file that sets the field environment, and
// every one below a contract that is of its package and has nothing further
// below, since that is an environment that does not say so. Links to directories
// of the module are followed.
func Find(patterns ...string) ([]string, error) {
	var dirs []string
	for _, pattern := range patterns {
		root, deep := strings.CutSuffix(filepath.ToSlash(pattern), "...")
		if root == "" {
			root = "."
		}
		root, err := filepath.Abs(root)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(root)
		if err != nil {
			return nil, absent(pattern + ": no such environment" + near(pattern, root))
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is a file; name the directory of an environment, such as envs/production", pattern)
		}
		if resolved, err := filepath.EvalSymlinks(root); err == nil {
			root = resolved // a link is walked into, and one directory counts once
		}
		if !deep {
			dirs = append(dirs, root)
			continue
		}
		w := walker{seen: map[string]bool{}}
		module, ok := ModuleRoot(root)
		if !ok {
			module = root
		}
		if w.module, err = newModule(module); err != nil {
			return nil, err
		}
		_, err = w.walk(root, w.above(root))
		w.module.root.Close()
		if err != nil {
			return nil, err
		}
		if len(w.dirs) == 0 {
			return nil, absent(pattern + " matches no environment: no CUE file there sets the field environment")
		}
		dirs = append(dirs, w.dirs...)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// near says which directory next to the one that is not there may be meant.
func near(pattern, root string) string {
	entries, err := os.ReadDir(filepath.Dir(root))
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(filepath.Dir(root), e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	pattern, deep := strings.CutSuffix(filepath.ToSlash(pattern), "/...")
	name := plan.Nearest(path.Base(pattern), names)
	if name == "" {
		return ""
	}
	name = path.Dir(pattern) + "/" + name
	if deep {
		name += "/..."
	}
	return fmt.Sprintf("; did you mean %q?", strings.TrimPrefix(name, "./"))
}

// ErrAbsent is what an error of [Find] is if there is just no such environment.
var ErrAbsent = errors.New("no such environment")

// absent says so of a pattern.
type absent string

func (a absent) Error() string        { return string(a) }
func (a absent) Is(target error) bool { return target == ErrAbsent }

// walker looks for environments.
type walker struct {
	module *module
	seen   map[string]bool
	dirs   []string
}

// walk looks in dir and below. contracts are the packages of the contracts
// above. It reports whether there is an environment, or what should be one.
func (w *walker) walk(dir string, contracts []string) (bool, error) {
	if w.seen[dir] {
		return false, nil
	}
	w.seen[dir] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	here := w.look(dir)
	contracts = append(contracts[:len(contracts):len(contracts)], here.contracts...)
	below := false
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.Name() == "cue.mod" || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") {
			continue // as CUE's own patterns do
		}
		if e.Type()&fs.ModeSymlink != 0 {
			target, err := filepath.EvalSymlinks(name)
			if err != nil {
				continue // of a file, which is told when it is read
			}
			if info, err := os.Stat(target); err != nil || !info.IsDir() {
				continue
			}
			if !inside(w.module.dir, target) {
				if isPackage(target) {
					return false, fmt.Errorf("%s is a link that leads out of the module, to %s; name the directory itself if it is an environment", name, target)
				}
				continue
			}
			if inside(target, dir) {
				continue // it leads above itself
			}
			name = target
		} else if !e.IsDir() {
			continue
		}
		under := contracts
		if _, err := os.Lstat(filepath.Join(name, "cue.mod", "module.cue")); err == nil {
			under = nil // another module
		}
		found, err := w.walk(name, under)
		if err != nil {
			return false, err
		}
		below = below || found
	}
	if here.environment || !below && slices.ContainsFunc(here.packages, func(p string) bool { return slices.Contains(contracts, p) }) && len(here.contracts) == 0 {
		w.dirs = append(w.dirs, dir)
		return true, nil
	}
	return below, nil
}

// above returns the packages of the contracts in the directories above dir.
func (w *walker) above(dir string) (contracts []string) {
	for dir != w.module.dir && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		contracts = append(contracts, w.look(dir).contracts...)
	}
	return contracts
}

// found is what the .cue files of one directory are.
type found struct {
	environment bool     // one sets the field environment, or can't be read, so that its errors are seen
	packages    []string // their packages
	contracts   []string // those that embed the schema
}

func (w *walker) look(dir string) (f found) {
	rel, err := filepath.Rel(w.module.dir, dir)
	if err != nil {
		return f
	}
	rel = filepath.ToSlash(rel)
	for _, name := range w.module.list(rel) {
		file := w.module.load(path.Join(rel, name))
		if file.syntax == nil {
			f.environment = true
			continue
		}
		pkg := file.syntax.PackageName()
		f.packages = append(f.packages, pkg)
		for spec := range file.syntax.ImportSpecs() {
			if spec.Path.Value == strconv.Quote(schema.ImportPath) && slices.ContainsFunc(file.syntax.Decls, isEmbedding) {
				f.contracts = append(f.contracts, pkg)
			}
		}
		for _, d := range file.syntax.Decls {
			if field, ok := d.(*ast.Field); ok {
				if name, _, _ := ast.LabelName(field.Label); name == "environment" {
					f.environment = true
				}
			}
		}
	}
	return f
}

// NameOf returns how the environment in dir is called, if its own files say so
// plainly: then it has that name, or does not compile. It compiles nothing.
func NameOf(dir string) (string, bool) {
	m, err := newModule(dir)
	if err != nil {
		return "", false
	}
	defer m.root.Close()
	name, pkg, plain := "", "", true
	for _, file := range m.list(".") {
		f := m.load(file)
		if f.syntax == nil || pkg != "" && f.syntax.PackageName() != pkg {
			return "", false
		}
		pkg = f.syntax.PackageName()
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.Attribute:
				plain = false // it may say when the file counts
			case *ast.Field:
				if label, _, _ := ast.LabelName(d.Label); label != "environment" {
					continue
				}
				said := ""
				if lit, ok := d.Value.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					said, _ = cueliteral.Unquote(lit.Value)
				}
				plain = plain && said != "" && (name == "" || name == said)
				name = said
			}
		}
	}
	return name, plain && name != ""
}

func isEmbedding(d ast.Decl) bool {
	_, ok := d.(*ast.EmbedDecl)
	return ok
}

// isPackage reports whether dir has .cue files.
func isPackage(dir string) bool {
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return isCUE(e.Name()) })
}

// ModuleRoot returns the nearest directory at or above dir that holds
// cue.mod/module.cue.
func ModuleRoot(dir string) (string, bool) {
	for d := dir; ; d = filepath.Dir(d) {
		// One that can't be read counts, so that it is told.
		if _, err := os.Lstat(filepath.Join(d, "cue.mod", "module.cue")); err == nil {
			return d, true
		}
		if d == filepath.Dir(d) {
			return "", false
		}
	}
}

// loadInstance loads the CUE package in the environment's directory, from what
// the module shows of the disk and with no registry: a compilation never
// touches the network.
func (c *compilation) loadInstance() *build.Instance {
	m := c.module
	if _, version := m.plainModule(); version != "" && !c.options.loader {
		if inst := m.plainInstance(); inst != nil {
			return inst
		}
		m.sources = nil
		if inst := m.instance(true); inst.Err == nil && replaceStubs(inst, knownSchema(version), map[*build.Instance]bool{}) {
			return inst
		}
		m.sources = nil
	}
	return m.instance(false)
}

// instance loads it, with stubs in the place of the schema or without.
func (m *module) instance(stubbed bool) *build.Instance {
	return load.Instances([]string{"."}, &load.Config{
		Overlay:    m.overlay(stubbed),
		ModuleRoot: m.mount,
		Dir:        filepath.Join(append([]string{m.mount}, m.as...)...),
		ParseFile: func(name string, src any, cfg parser.Config) (*ast.File, error) {
			return m.parse(m.display(name), src, cfg)
		},
		Env: append(os.Environ(), "CUE_REGISTRY=none"),
	})[0]
}

// forbidden are the attributes with which CUE reads files, takes values from
// outside, or passes over a file: what each one would do.
var forbidden = map[string]string{
	"embed":  "reads a file",
	"extern": "lets a file read others",
	"if":     "leaves the file out unless a tag is given",
	"ignore": "leaves the file out",
	"tag":    "takes a value from the command line of cue",
	"test":   "is a test of cue itself",
}

// placeAttribute says of a field where it stands: in which of the module's sources,
// and at which line and column. CUE tells the attributes of all that makes a field,
// and would evaluate each of it to tell its position.
const placeAttribute = "victorgen_place"

// places returns where the fields stand that v is made of, in files of the user's.
func (m *module) places(v cue.Value) (ps []plan.Pos) {
	for _, a := range v.Attributes(cue.FieldAttr) {
		if a.Name() != placeAttribute {
			continue
		}
		var at [3]int
		for i := range at {
			n, err := a.Int(i)
			if err != nil {
				return nil // no one but parse writes any
			}
			at[i] = int(n)
		}
		ps = append(ps, m.at(m.sources[at[0]], at[1], at[2]))
	}
	return ps
}

// parse parses a file for CUE, which never sees the attributes that
// [compilation.checkFiles] reports.
func (m *module) parse(name string, src any, cfg parser.Config) (*ast.File, error) {
	f, err := parser.ParseFile(name, src, cfg)
	if f == nil || err != nil {
		return f, err
	}
	source, ours := len(m.sources), schema.Contains(name) // of which no one is told where
	if !ours {
		m.sources = append(m.sources, name)
	}
	isForbidden := func(d ast.Decl) bool {
		a, ok := d.(*ast.Attribute)
		return ok && forbidden[a.Name()] != ""
	}
	f.Decls = slices.DeleteFunc(f.Decls, isForbidden)
	imported := imports(f)
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StructLit:
			n.Elts = slices.DeleteFunc(n.Elts, isForbidden)
		case *ast.Field:
			n.Attrs = slices.DeleteFunc(n.Attrs, func(a *ast.Attribute) bool {
				return forbidden[a.Name()] != "" || a.Name() == placeAttribute || a.Name() == parameterAttribute
			})
			if ours {
				if id, ok := n.Label.(*ast.Ident); ok && strings.HasPrefix(id.Name, "#") {
					n.Attrs = append(n.Attrs, &ast.Attribute{Text: "@" + parameterAttribute + "()"})
				}
				break
			}
			n.Attrs = append(n.Attrs, &ast.Attribute{Text: fmt.Sprintf("@%s(%d,%d,%d)", placeAttribute, source, n.Pos().Line(), n.Pos().Column())})
		case *ast.CallExpr:
			boundArguments(n, imported)
		case *ast.BinaryExpr:
			if n.Op == token.MUL {
				// A text times a number is as large as the number says, and whether an
				// operand is a text the syntax can't tell: +x is x if that is a number, and
				// else an error.
				n.X, n.Y = onlyNumber(n.X), onlyNumber(n.Y)
			}
		}
		return true
	}, nil)
	return f, nil
}

// The most that builtins get which put texts together: what they make of that is no
// more than a gigabyte. All of it they ask for at once, from the system, before
// [within] sees anything.
const (
	maxJoined   = 1 << 14 // texts in a list
	maxElement  = 1 << 14 // characters in each
	maxReplaced = 1 << 18 // characters of a text in which something is replaced
	maxPiece    = 1 << 10 // characters of what is put in between, or in its place
)

// joining are the builtins that put texts together, by package and name: whether
// the first argument is a list of them.
var joining = map[string]map[string]bool{"strings": {"Join": true, "Replace": false}, "path": {"Join": true, "Resolve": false}}

// imports are the paths of the packages that a file imports, by their names in it.
func imports(f *ast.File) map[string]string {
	all := map[string]string{}
	for spec := range f.ImportSpecs() {
		text, _ := strconv.Unquote(spec.Path.Value)
		pkg := ast.ParseImportPath(text)
		name := path.Base(pkg.Path)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		all[name] = pkg.Path
	}
	return all
}

func isJoining(pkg, name string) bool {
	_, ok := joining[ast.ParseImportPath(pkg).Path][name]
	return ok
}

// boundArguments bounds what such a builtin is called with. imported are the imports
// of its file.
func boundArguments(n *ast.CallExpr, imported map[string]string) {
	sel, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return
	}
	pkg := imported[x.Name]
	name, _, _ := ast.LabelName(sel.Sel)
	list, ok := joining[pkg][name]
	if !ok {
		return
	}
	for i, arg := range n.Args {
		switch {
		case i == 0 && list:
			n.Args[i] = short(&ast.ListLit{Elts: []ast.Expr{each(arg, short(ast.NewIdent(element), maxElement))}}, maxJoined)
		case i == 0:
			n.Args[i] = short(arg, maxReplaced)
		case i < 3 && pkg != "path":
			n.Args[i] = short(arg, maxPiece)
		}
	}
}

// element is the variable of the comprehensions below. No contract has its name.
const element = "_victorgen_element"

// each returns for element in list {x}.
func each(list, x ast.Expr) *ast.Comprehension {
	return &ast.Comprehension{
		Clauses: []ast.Clause{&ast.ForClause{Value: ast.NewIdent(element), Source: list}},
		Value:   &ast.StructLit{Elts: []ast.Decl{&ast.EmbedDecl{Expr: x}}},
	}
}

// short returns [for e in [x] {[if __len(e) <= most {e}, if __len(e) > most {__len(e) & <=most}][0]}][0]:
// x, if it is no longer, and an error at once if it is. A validator of x would be
// judged too late, and error() is not in every version of the language.
func short(x ast.Expr, most int) ast.Expr {
	length := func() ast.Expr { return ast.NewCall(ast.NewIdent("__len"), ast.NewIdent(element)) }
	limit := func() ast.Expr { return &ast.BasicLit{ValuePos: x.Pos(), Kind: token.INT, Value: strconv.Itoa(most)} }
	when := func(op token.Token, then ast.Expr) ast.Expr {
		return &ast.Comprehension{
			Clauses: []ast.Clause{&ast.IfClause{Condition: ast.NewBinExpr(op, length(), limit())}},
			Value:   &ast.StructLit{Elts: []ast.Decl{&ast.EmbedDecl{Expr: then}}},
		}
	}
	first := func(list ...ast.Expr) ast.Expr {
		return &ast.IndexExpr{X: ast.NewList(list...), Index: ast.NewLit(token.INT, "0")}
	}
	tooLong := ast.NewBinExpr(token.AND, length(), &ast.UnaryExpr{OpPos: x.Pos(), Op: token.LEQ, X: limit()})
	return first(each(ast.NewList(x), first(when(token.LEQ, ast.NewIdent(element)), when(token.GTR, tooLong))))
}

// onlyNumber returns +(x).
func onlyNumber(x ast.Expr) ast.Expr {
	plus := &ast.UnaryExpr{OpPos: x.Pos(), Op: token.ADD, X: x}
	return &ast.ParenExpr{Lparen: x.Pos(), X: plus, Rparen: x.End()}
}

// unbounded are the builtins of CUE that make a value as large as a number says,
// at once, by the package and the name: a process that asks the system for more
// memory than there is dies of it, before [within] sees anything.
var unbounded = map[string][]string{
	"strings":   {"Repeat"},
	"list":      {"Repeat"},
	"math/bits": {"Lsh", "SetBit"},
	"path":      {},
}

// checkUnbounded reports the use of one of them, called or not, of one whose
// arguments are bounded where it is not called, and of a package that has one
// otherwise than in package.Name: under another name it is not found.
func (m *module) checkUnbounded(f *ast.File) (ds plan.Diagnostics) {
	named, called := map[*ast.Ident]bool{}, map[ast.Node]bool{}
	ast.Walk(f, func(n ast.Node) bool {
		name := ""
		if call, ok := n.(*ast.CallExpr); ok {
			called[call.Fun] = true
		}
		x, ok := n.(*ast.Ident)
		if sel, is := n.(*ast.SelectorExpr); is {
			x, ok = sel.X.(*ast.Ident)
			name, _, _ = ast.LabelName(sel.Sel)
		}
		if !ok || named[x] {
			return true
		}
		spec, ok := x.Node.(*ast.ImportSpec)
		if !ok {
			return true
		}
		named[x] = true
		pkg, _ := strconv.Unquote(spec.Path.Value)
		names, ok := unbounded[ast.ParseImportPath(pkg).Path]
		at := []plan.Pos{m.position(n.Pos())}
		switch {
		case ok && name == "":
			ds.Errorf(plan.CodeUnbounded, at, "write the name of a function after it: "+x.Name+".Name", "package %s is used as a value", pkg)
		case ok && !called[n] && isJoining(pkg, name):
			ds.Errorf(plan.CodeUnbounded, at, "call it directly", "%s.%s is used as a value", path.Base(pkg), name)
		case slices.Contains(names, name):
			ds.Errorf(plan.CodeUnbounded, at, "write the value itself into the contract",
				"%s.%s is not available: its result can have any size", path.Base(pkg), name)
		}
		return true
	}, nil)
	return ds
}

// checkFiles reports the files that CUE was not shown, and what the others say
// that would make CUE read more than them.
func (c *compilation) checkFiles(pkg string) {
	m := c.module
	for _, rel := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[rel]
		name := filepath.Join(m.dir, filepath.FromSlash(rel))
		if f.err != nil && !errors.Is(f.err, fs.ErrNotExist) {
			c.ds.Errorf(plan.CodeNotCUE, []plan.Pos{{File: name, Line: 1, Column: 1}},
				"make it a regular file of the module, or give it a name that does not end in .cue", "%s %v", path.Base(rel), f.err)
		}
		if f.syntax == nil || f.schema {
			continue
		}
		if pkg != "" && f.syntax.PackageName() != pkg && rel != "cue.mod/module.cue" && inside(filepath.Dir(name), c.dir) {
			continue // another package next to this one, which CUE passes over
		}
		f.once.checks.Do(func() { f.ds = m.checkFile(f.syntax) })
		c.ds = append(c.ds, f.ds...)
	}
}

// checkFile reports what a file says that would make CUE read more than it is shown.
func (m *module) checkFile(f *ast.File) plan.Diagnostics {
	ds := m.checkUnbounded(f)
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Attribute:
			if does := forbidden[n.Name()]; does != "" {
				ds.Errorf(plan.CodeAttribute, []plan.Pos{m.position(n.Pos())}, "remove it, and write the value into the contract",
					"@%s is not allowed: it %s", n.Name(), does)
			}
		case *ast.ImportSpec:
			if name, err := strconv.Unquote(n.Path.Value); err == nil && strings.HasPrefix(name, "tool/") {
				ds.Errorf(plan.CodeAttribute, []plan.Pos{m.position(n.Pos())}, "remove the import",
					"%q can't be imported: it is for cue's commands, which read files and run programs", name)
			}
		}
		return true
	}, nil)
	return ds
}

// checkLanguage reports a module that says it needs a later language than the embedded one.
func (c *compilation) checkLanguage() bool {
	const name = "cue.mod/module.cue"
	f := c.module.files[name]
	if f == nil || f.syntax == nil {
		return true // which is told elsewhere
	}
	mark := f.syntax.Decls
	var at ast.Node
	for _, label := range []string{"custom", schema.Module, "language"} {
		var field *ast.Field
		for _, d := range mark {
			if d, ok := d.(*ast.Field); ok {
				if l, _, _ := ast.LabelName(d.Label); l == label {
					field = d
				}
			}
		}
		if field == nil {
			return true
		}
		at, mark = field.Value, nil
		if s, ok := field.Value.(*ast.StructLit); ok {
			mark = s.Elts
		}
	}
	p := at.Pos()
	pos := []plan.Pos{c.module.at(filepath.Join(c.module.dir, filepath.FromSlash(name)), p.Line(), p.Column())}
	lit, _ := at.(*ast.BasicLit)
	if lit == nil {
		lit = &ast.BasicLit{}
	}
	switch n, err := strconv.Atoi(lit.Value); {
	case err != nil || n < 1:
		c.ds.Errorf(plan.CodeSchemaStale, pos, fmt.Sprintf("write a whole number, such as language: %d, or nothing", schema.Language), "this is not a version of victorgen's language")
	case n > schema.Language:
		c.ds.Errorf(plan.CodeSchemaStale, pos, "install a later victorgen", "the module needs version %d of victorgen's language, and this victorgen knows version %d", n, schema.Language)
	default:
		return true
	}
	return false
}

// checkSchema reports what the module has next to or instead of the embedded
// schema: CUE and editors would unify it into the language.
func (c *compilation) checkSchema() {
	if root, ok := ModuleRoot(c.root); c.options.Module != nil && (!ok || root != c.root) {
		return // what lies on disk is no module yet, and becomes one
	}
	for _, f := range c.module.strange() {
		c.ds.Errorf(plan.CodeSchemaStale, []plan.Pos{{File: filepath.Join(c.module.dir, filepath.FromSlash(f.Path)), Line: 1, Column: 1}},
			"run `victorgen init` in the module: it renews the schema, and removes what is not part of it", "%s", f.Why)
	}
}

// strange is what [StrangeSchema] says of the module.
func (m *module) strange() []Strange {
	if m.shared != nil {
		return m.shared.strange()
	}
	return StrangeSchema(m.dir)
}

// Strange is a file that stands where only the embedded schema may.
type Strange struct {
	Path string // below the module, slash-separated
	Why  string
	Old  bool // a file of the schema with another content; else there is none like it
}

// StrangeSchema returns the files of the module in root that CUE would take for
// a part of the schema, and that are not the embedded one.
func StrangeSchema(root string) []Strange {
	files := map[string][]byte{}
	for name, content := range schema.Files() {
		files[path.Join(schema.Dir, name)] = content
	}
	var all []Strange
	note := func(rel string, d fs.DirEntry) {
		name := filepath.Join(root, filepath.FromSlash(rel))
		want, ours := files[rel]
		switch {
		case !ours:
			all = append(all, Strange{rel, path.Base(rel) + " is not part of the schema of this victorgen", false})
		case !d.Type().IsRegular():
			all = append(all, Strange{rel, "the module's copy of the schema is not a regular file", true})
		default:
			if info, err := d.Info(); err == nil && info.Size() == int64(len(want)) {
				if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, want) {
					return
				}
			}
			all = append(all, Strange{rel, "the module's copy of the schema is not that of this victorgen", true})
		}
	}
	for _, d := range dependencies {
		dir := path.Join(d, schema.ImportPath)
		// Above it CUE reads the files of the same package.
		for up := path.Dir(dir); up != "cue.mod"; up = path.Dir(up) {
			entries, _ := os.ReadDir(filepath.Join(root, filepath.FromSlash(up)))
			for _, e := range entries {
				if isCUE(e.Name()) && !e.IsDir() {
					note(path.Join(up, e.Name()), e)
				}
			}
		}
		filepath.WalkDir(filepath.Join(root, filepath.FromSlash(dir)), func(name string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, name)
			if rel = filepath.ToSlash(rel); err == nil && !d.IsDir() {
				note(rel, d)
			}
			return nil
		})
	}
	return all
}
