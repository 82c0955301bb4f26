// Package compiler turns an environment, written in CUE, into a plan. It reads
// .cue files and nothing else: no values, no network, no cluster. It is the
// only importer of CUE, and it never hands CUE a value, for CUE prints values
// in its errors.
package compiler

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/limit"
	"github.com/victor-ai/victorgen/schema"
)

// secretsFile is what the dotenv file of the env source begins with, at the root
// of the module, where a contract names no other: the name of the environment
// follows. Before, all environments shared the one of this name alone.
const secretsFile = ".secrets"

// Options say how to compile.
type Options struct {
	// Source is one of plan.SourceKinds, or empty. The inputs of the default
	// source live at one of this kind then: the one that the contract declares,
	// or else one with no settings but those of the process environment.
	Source string
	// Direct makes a plan of which victorgen itself writes the Secrets,
	// whatever delivery the contract says: no certificate and no store is needed,
	// all values are read, and what is generated is generated here.
	Direct bool
	// Namespace is where all secrets live, whatever the contract says; empty is
	// where it says. Who gives it has checked that it is a name.
	Namespace string
	// Timeout is how long compiling may take; zero is [DefaultTimeout].
	Timeout time.Duration
	// Review adds warnings of what is allowed, and read over easily in a review:
	// who gets a secret next to those whom it is for. A build does not repeat them.
	Review bool
	// Shared is what this has in common with others of a run; nil is nothing.
	Shared *Shared
	// Module is what CUE sees in the place of the module on disk, whose directory need
	// not be there; nil is that on disk.
	Module *Module
	// Cache keeps plans from one run to the next; nil keeps none.
	Cache *Cache

	loader bool // a test's: everything is loaded by CUE's loader, the schema too
}

// Module is a module in memory.
type Module struct {
	Dir   string            // absolute
	Files map[string][]byte // cue.mod/module.cue and all other CUE, by slash-separated paths
}

// Compile compiles the environment in dir. The plan is nil if there are
// errors; the diagnostics are sorted and may hold warnings next to a plan. It
// may be called concurrently.
//
// CUE can't be told to stop. If it reaches a limit Compile says so and returns,
// while the work goes on behind it: the process should end soon then.
func Compile(dir string, o Options) (*plan.Plan, plan.Diagnostics) {
	e, cached := o.Cache.entry(dir, o)
	if cached {
		if p, ds, ok := o.Cache.load(e, o); ok {
			return p, ds
		}
	}
	return within(cmp.Or(o.Timeout, DefaultTimeout), limit.Memory, dir, func() (*plan.Plan, plan.Diagnostics) {
		c := &compilation{options: o, defaultSource: "default"}
		p := c.compile(dir)
		c.finish()
		if c.ds.HasErrors() {
			return nil, c.ds
		}
		if o.Source != "" {
			own := o
			own.Source = ""
			p.Own, _ = Compile(dir, own) // nil if the contract's own sources are wrong, which this run does not need
		}
		if cached {
			o.Cache.store(e, c.sights(), p, c.ds)
		}
		return p, c.ds
	})
}

// compilation is the state of one call of Compile.
type compilation struct {
	options       Options
	dir           string // absolute
	root          string
	files         []*ast.File
	imports       []*build.Instance
	looked        []sight // next to what the module has read
	ix            *index
	ds            plan.Diagnostics
	module        *module
	names         []string // of all inputs, sorted; those with errors too
	inputs        map[string]plan.Input
	sources       map[string]plan.Source
	partOf        string
	environment   string
	defaultSource string          // the name of the one where inputs live that name none
	cueBroken     map[string]bool // the paths that CUE has complained of
}

func (c *compilation) compile(dir string) *plan.Plan {
	abs, err := filepath.Abs(dir)
	if err == nil && c.options.Module == nil {
		// CUE resolves links in what it reports; agree with it on what is inside what.
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		c.ds.Errorf(plan.CodeNoEnvironment, nil, "name the directory of an environment, such as envs/production", "%v", err)
		return nil
	}
	c.dir = abs
	root, ok := ModuleRoot(abs)
	if m := c.options.Module; m != nil {
		root, ok = m.Dir, true
	}
	if !ok {
		c.ds.Errorf(plan.CodeNotAModule, nil, "run `victorgen init` to start one, or name a directory inside of one",
			"%s is not in a CUE module: there is no cue.mod/module.cue in it or above it", dir)
		return nil
	}
	c.root = root

	if c.module, err = openModule(root, abs, c.options); err != nil {
		c.ds.Errorf(plan.CodeNotAModule, nil, "", "the module can't be opened: %s", reason(err))
		return nil
	}

	if !c.checkLanguage() {
		return nil // what else there is to say would be wrong
	}
	c.checkSchema()
	inst := c.loadInstance()
	c.files, c.imports = inst.Files, inst.Imports
	c.ix = newIndex(inst.Files, abs, c.module)
	c.checkFiles(inst.PkgName)
	if c.module.files["cue.mod/module.cue"].err != nil {
		return nil // what CUE says then is that nothing can be imported
	}
	if inst.Err != nil {
		c.loadError(inst.Err)
		return nil
	}
	lang := c.schemaOf(inst, map[*build.Instance]bool{})
	if c.ds.HasErrors() {
		return nil
	}
	ctx := cuecontext.New()
	v := ctx.BuildInstance(inst)
	c.ix.value = v
	c.cueBroken = c.cueErrors(c.validate(v))
	c.checkParameters(v)
	if lang == nil || !v.LookupPath(cue.MakePath(cue.Str("inputs"), cue.Str(plan.LockKey))).Exists() {
		if !c.ds.HasErrors() {
			c.ds.Errorf(plan.CodeNoEnvironment, c.whereMissing([]string{"schema"}),
				"import the schema and write `schema.#Environment` on a line of its own in the contract",
				"the package does not embed schema.#Environment")
		}
		return nil
	}
	s, err := decode(v, c.ix, c.cueBroken, c.unknownField)
	if err != nil {
		if !c.ds.HasErrors() {
			c.ds.Errorf(plan.CodeConflict, nil, "", "the environment can't be exported: %s", maskLiterals(err.Error()))
		}
		return nil
	}
	if !c.ds.HasErrors() && !embedsSchema(c.files) {
		// What counts is the schema, whatever the contract made of it.
		u := v.Unify(ctx.BuildInstance(lang).LookupPath(cue.MakePath(cue.Def("Environment"))))
		c.cueBroken = c.cueErrors(c.validate(u))
		if !c.ds.HasErrors() {
			if s, err = decode(u, c.ix, c.cueBroken, c.unknownField); err != nil {
				c.ds.Errorf(plan.CodeConflict, nil, "", "the environment does not match the schema: %s", maskLiterals(err.Error()))
				return nil
			}
		}
	}
	return c.plan(s, inst.PkgName)
}

// schemaOf returns the schema among what inst imports. Whatever else is
// imported by its path is an error.
func (c *compilation) schemaOf(inst *build.Instance, seen map[*build.Instance]bool) *build.Instance {
	if seen[inst] {
		return nil
	}
	seen[inst] = true
	var found *build.Instance
	for _, in := range inst.Imports {
		if ast.ParseImportPath(in.ImportPath).Path == schema.ImportPath {
			for _, f := range in.Files {
				if !schema.Contains(f.Filename) {
					c.ds.Errorf(plan.CodeSchemaStale, []plan.Pos{c.module.at(f.Filename, 1, 1)}, "give the module another path in cue.mod/module.cue, or the directory another name",
						"%s is imported instead of the schema", f.Filename)
				}
			}
			found = in
		} else {
			found = cmp.Or(found, c.schemaOf(in, seen))
		}
	}
	return found
}

// embedsSchema reports whether one of a package's files plainly embeds
// schema.#Environment, as most do: then CUE has held it to the schema.
func embedsSchema(files []*ast.File) bool {
	var is func(ast.Expr) bool
	is = func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.BinaryExpr:
			return e.Op == token.AND && (is(e.X) || is(e.Y))
		case *ast.SelectorExpr:
			x, ok := e.X.(*ast.Ident)
			if !ok {
				return false
			}
			spec, ok := x.Node.(*ast.ImportSpec)
			name, _, err := ast.LabelName(e.Sel)
			return ok && err == nil && name == "#Environment" && spec.Path.Value == strconv.Quote(schema.ImportPath)
		}
		return false
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if embed, ok := d.(*ast.EmbedDecl); ok && is(embed.Expr) {
				return true
			}
		}
	}
	return false
}

// loadError reports why the package could not be loaded: CUE's parser gives up
// at one place and then trips over what follows, so only the first error of
// each line is told.
func (c *compilation) loadError(err error) {
	lines := map[string]bool{}
	all := errors.Errors(err)
	for _, rel := range slices.Sorted(maps.Keys(c.module.files)) {
		if bad := c.module.files[rel].bad; bad != nil {
			// What CUE says of no place then may be made of words of this file.
			all = slices.DeleteFunc(all, func(e errors.Error) bool { return !e.Position().IsValid() })
			all = append(all, errors.Errors(bad)...)
		}
	}
	for _, e := range all {
		key := fmt.Sprint(c.module.display(e.Position().Filename()), e.Position().Line())
		if !lines[key] {
			c.cueSyntax(e)
		}
		lines[key] = true
	}
}

// plan checks what CUE cannot and builds the plan.
func (c *compilation) plan(s *spec, pkg string) *plan.Plan {
	p := &plan.Plan{
		Environment: s.Environment,
		PartOf:      cmp.Or(s.PartOf, pkg),
		Namespace:   cmp.Or(c.options.Namespace, s.Namespace),
		Module:      c.root,
		Dir:         c.dir,
		Pos:         last(c.ix.set("environment")),
	}
	for field, value := range map[string]string{"environment": s.Environment, "namespace": s.Namespace} {
		if value == "" && !c.cueBroken[field] {
			c.missing([]string{field})
		}
	}
	c.checkName("environment", s.Environment, dnsLabel, "environment")
	c.checkName("namespace", s.Namespace, dnsLabel, "namespace")
	c.checkName("partOf", p.PartOf, labelValue, "partOf")

	c.names = slices.Sorted(maps.Keys(s.Inputs))
	c.inputs = map[string]plan.Input{}
	p.Inputs = make([]plan.Input, 0, len(c.names)) // a run may keep a thousand plans
	c.sources = map[string]plan.Source{}
	c.environment = s.Environment
	c.partOf = p.PartOf
	c.useKind(s, c.options.Source)
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		src := c.source(name, s.Sources[name])
		src.Pending, src.PendingValues = reserved(plan.PendingName, src, s.Sources[name]), reserved(plan.PendingValues, src, s.Sources[name])
		c.sources[name] = src
		p.Sources = append(p.Sources, c.sources[name])
	}
	for _, name := range c.names {
		in := c.input(name, s)
		c.inputs[name] = in
		c.exposedInput(in, c.sources[in.Source])
		p.Inputs = append(p.Inputs, in)
	}
	c.checkRemotes(p)
	c.checkChildren(p)
	for _, name := range slices.Sorted(maps.Keys(s.Rules)) {
		p.Rules = append(p.Rules, c.rule(name, s.Rules[name]))
	}
	c.checkRules(p.Rules)
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		p.Secrets = append(p.Secrets, c.secret(name, s))
	}
	slices.SortStableFunc(p.Secrets, func(a, b plan.Secret) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	c.checkSecrets(p)
	c.questions(p)
	own := map[string]bool{}
	for _, s := range p.Secrets {
		own[s.Namespace] = true
	}
	for i, r := range s.Access.Readers {
		c.exposedReader(i, r, own)
		p.Readers = append(p.Readers, c.reader(i, r))
	}
	p.Alerts = c.alerts(s.Alerts)
	c.checkExternal(p)
	p.ESOVersion = esoVersion(s.Delivery.ESOVersion)
	c.checkESOVersion(p, s)
	p.ArgoCD = c.argocd(p, s.ArgoCD)
	p.Workloads = c.workloads(s.Workloads, p.Secrets)
	return p
}

// pathIn resolves a path that the contract gives in the field at where,
// relative to the file in which it stands.
func (c *compilation) pathIn(file string, where ...string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	base := c.dir
	// Where the value says that it comes from; the syntax cannot tell which side of a default or a condition holds.
	v, _ := c.ix.value.LookupPath(cuePath(where)).Default()
	if at := c.module.position(v.Pos()); at.IsValid() && !schema.Contains(at.File) {
		return filepath.Join(filepath.Dir(at.File), filepath.FromSlash(file))
	}
	if at := last(c.ix.set(where...)); len(at) > 0 {
		base = filepath.Dir(at[0].File)
	}
	return filepath.Join(base, filepath.FromSlash(file))
}

// finish masks source lines that show something secret, and sorts.
func (c *compilation) finish() {
	if !c.options.Review {
		c.ds = slices.DeleteFunc(c.ds, func(d plan.Diagnostic) bool { return plan.ForReview[d.Code] })
	}
	for i := range c.ds {
		for _, p := range c.ds[i].Pos {
			if lineLooksSecret(p.Text) {
				c.ds[i].Mask = true
			}
		}
	}
	masked := map[string]bool{}
	line := func(d plan.Diagnostic) string {
		if len(d.Pos) == 0 {
			return ""
		}
		return fmt.Sprint(d.Pos[0].File, ":", d.Pos[0].Line)
	}
	for _, d := range c.ds {
		if d.Mask {
			masked[line(d)] = true
		}
	}
	for i := range c.ds {
		c.ds[i].Mask = masked[line(c.ds[i])] && len(c.ds[i].Pos) > 0
	}
	c.ds.Sort()
}

// knows reports whether the contract declares an input of that name. One with
// errors in it counts, even if it could not be read.
func (c *compilation) knows(input string) bool {
	if _, ok := slices.BinarySearch(c.names, input); ok {
		return true
	}
	return c.ds.HasErrors() && c.ix.value.LookupPath(cuePath([]string{"inputs", input})).Exists()
}

// lookup returns the input of that name, or the previous value of one that is kept.
func (c *compilation) lookup(name string) (plan.Input, bool) {
	of, previous := strings.CutSuffix(name, plan.PreviousSuffix)
	in, ok := c.inputs[of]
	if !ok || !previous {
		return in, ok
	}
	p := plan.Plan{Inputs: []plan.Input{in}, Sources: slices.Collect(maps.Values(c.sources))}
	return p.Input(name)
}

// textAt returns the source line from p on.
func (c *compilation) textAt(p plan.Pos) string {
	if p.Column < 1 || p.Column > len(p.Text) {
		return ""
	}
	return p.Text[p.Column-1:]
}

// unquoteSelector takes the quotes off a label as CUE writes it in a path.
func unquoteSelector(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", false
	}
	u, err := strconv.Unquote(s)
	return u, err == nil
}
