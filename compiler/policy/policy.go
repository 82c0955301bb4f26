// Package policy holds an environment to what those say who answer for it: CUE
// that its plan, written as schema.#Plan, must unify with. A policy and a plan
// come in, diagnostics and what the policy allows go out.
//
// Next to the compiler it is the only package that knows CUE. A policy is read
// from the files that the command line names; it imports the schema and the
// builtin packages of CUE, and reads nothing else. A plan has no values, so no
// message has any.
package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/limit"
	"github.com/victor-ai/victorgen/internal/safefile"
	"github.com/victor-ai/victorgen/schema"
)

// Policy is a package of CUE, as it stands in a file or in those of a directory.
type Policy struct {
	path    string
	pkg     string
	files   map[string][]byte // by absolute path
	timeout time.Duration     // that CUE has for it and one plan
}

// maxSize is that of a file of a policy, in bytes.
const maxSize = 16 << 20

// Allow is what a policy allows: its field allow.
type Allow struct {
	Addresses    []string `json:"addresses"`
	Files        []string `json:"files"`
	Certificates []string `json:"certificates"`
	Commands     []string `json:"commands"`
}

// Load reads the policy at path, a .cue file or a directory with such files. What
// can't be read, what is no policy, and what would demand nothing, is an error of the
// code [plan.CodePolicyRead]. Timeout bounds what CUE makes of it, here and in each
// call of [Policy.Check].
func Load(path string, timeout time.Duration) (*Policy, plan.Diagnostics) {
	p := &Policy{path: path, files: map[string][]byte{}, timeout: timeout}
	var ds plan.Diagnostics
	unreadable := func(pos token.Pos, format string, args ...any) {
		ds.Errorf(plan.CodePolicyRead, at(pos), "nothing is done without it: correct --policy or VICTORGEN_POLICY, or the policy",
			"the policy %s %s", path, fmt.Sprintf(format, args...))
	}
	if path == "" { // of a variable that is not set, as in --policy "$X" or $X:b, and not the directory in which this runs
		ds.Errorf(plan.CodePolicyRead, nil, "name a .cue file or a directory, or leave it out", "--policy or VICTORGEN_POLICY names an empty path")
		return nil, ds
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		unreadable(token.NoPos, "can't be read: %v", err)
		return nil, ds
	}
	names := Files(abs)
	if len(names) == 0 {
		unreadable(token.NoPos, "has no .cue file")
	}
	for _, name := range names {
		text, problem := read(name)
		if problem != "" {
			unreadable(token.NoPos, "%s", problem)
			continue
		}
		f, err := parser.ParseFile(name, text)
		if err != nil {
			for _, e := range errors.Errors(err) {
				unreadable(e.Position(), "is not valid CUE: %s", message(e))
				break
			}
			continue
		}
		for _, e := range forbidden(f) {
			unreadable(e.Position(), "%s", message(e))
		}
		switch pkg := f.PackageName(); {
		case pkg == "":
			unreadable(f.Pos(), "has no package clause: begin it with `package policy`")
		case p.pkg != "" && p.pkg != pkg:
			unreadable(f.Pos(), "is two packages, %s and %s", p.pkg, pkg)
		default:
			p.pkg = pkg
		}
		p.files[name] = text
	}
	if ds.HasErrors() {
		return nil, ds
	}
	// What is wrong with it in any case is told before an environment is looked at.
	var reached string
	if reached = limit.Run(timeout, limit.Memory, func() {
		var v cue.Value
		if v, err = p.build(cuecontext.New(), nil); err == nil {
			err = p.unconditional(v.Validate()) // which what depends on the plan does not trouble
		}
		if err == nil {
			err = p.idle()
		}
	}); reached != "" {
		return nil, p.tooMuch(reached)
	}
	if err != nil {
		for _, e := range errors.Errors(err) {
			what := message(e)
			if path := pathOf(e); len(path) > 0 {
				what = strings.Join(path, ".") + ": " + what
			}
			unreadable(p.position(e), "can't be understood: %s", what)
		}
		return nil, ds
	}
	return p, nil
}

// Files returns the files that the policy at an absolute path has.
func Files(path string) []string {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}
	}
	names, _ := filepath.Glob(filepath.Join(escape(path), "*.cue"))
	return names
}

// read returns the text of a file of a policy, or says what is wrong with it. A link
// leads to another .cue file, as those of a ConfigMap do: what is no CUE may be
// anything, and messages would quote it.
func read(name string) (text []byte, problem string) {
	at := filepath.Base(name)
	real, err := filepath.EvalSymlinks(name)
	var info os.FileInfo
	if err == nil {
		info, err = os.Stat(real)
	}
	switch {
	case err == nil && filepath.Ext(real) != ".cue" && real != name:
		return nil, fmt.Sprintf("can't be read: %s is a link to what is not a .cue file", at)
	case err == nil && filepath.Ext(real) != ".cue":
		return nil, "is not a .cue file"
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Sprintf("can't be read: %s is not a regular file", at)
	case err == nil && info.Size() > maxSize:
		return nil, fmt.Sprintf("can't be read: %s is larger than %d MiB", at, maxSize>>20)
	case err == nil:
		text, err = os.ReadFile(real)
	}
	if err != nil {
		reason, _ := safefile.Explain(name, err)
		return nil, fmt.Sprintf("can't be read: %s: %s", name, reason)
	}
	return text, ""
}

// tooMuch says that CUE has reached a limit.
func (p *Policy) tooMuch(reached string) (ds plan.Diagnostics) {
	ds.Errorf(plan.CodeLimit, nil, "look for comprehensions that never end, or have too many elements", "the policy %s takes %s", p.path, reached)
	return ds
}

// escape writes a directory so that Glob takes it by its name.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// forbidden returns errors for what would make a policy depend on anything but
// itself and the plan.
func forbidden(f *ast.File) (all []errors.Error) {
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Attribute:
			all = append(all, errors.Newf(n.Pos(), "has an attribute, which is not allowed in a policy"))
		case *ast.ImportSpec:
			if path := strings.Trim(n.Path.Value, `"`); path != schema.ImportPath && !builtin(path) {
				all = append(all, errors.Newf(n.Pos(), "imports %q: it may only import %q and CUE's own packages", path, schema.ImportPath))
			}
		}
		return true
	}, nil)
	return all
}

// builtin reports whether an import path is that of a package of CUE itself.
func builtin(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// fields are the names of the fields of a plan, by which a policy can name them.
var fields = sync.OnceValue(func() (names []string) {
	it, err := planOf(cuecontext.New()).Fields(cue.Optional(true))
	for err == nil && it.Next() {
		names = append(names, it.Selector().Unquoted())
	}
	return names
})

// planOf returns #Plan of the schema.
func planOf(ctx *cue.Context) cue.Value {
	return ctx.BuildInstance(language(build.NewContext())).LookupPath(cue.ParsePath("#Plan"))
}

// language returns the embedded schema, for bc.
func language(bc *build.Context) *build.Instance {
	inst := bc.NewInstance("", func(token.Pos, string) *build.Instance { return nil })
	inst.ImportPath, inst.PkgName = schema.ImportPath, "schema"
	for name, text := range schema.Files() {
		if strings.Contains(name, "/") {
			continue // of another package
		}
		if err := add(inst, name, text, nil); err != nil {
			inst.ReportError(errors.Promote(err, "schema"))
		}
	}
	inst.Complete()
	return inst
}

// add adds a file to a package, after change, if there is one, has changed it.
func add(inst *build.Instance, name string, text []byte, change func(*ast.File)) error {
	f, err := parser.ParseFile(name, text)
	if err != nil {
		return err
	}
	if change != nil {
		change(f)
	}
	if err := inst.AddSyntax(f); err != nil { // which is no error where it is nil
		return err
	}
	return nil
}

// allowField is what a policy allows.
const allowField = "allow"

// build makes a value of the policy, closed as a plan is: what no plan has would
// demand nothing. Change, if there is one, changes its files first.
func (p *Policy) build(ctx *cue.Context, change func(*ast.File)) (cue.Value, error) {
	bc := build.NewContext()
	inst := bc.NewInstance("", func(_ token.Pos, path string) *build.Instance {
		if path, _, _ = strings.Cut(path, ":"); builtin(path) {
			return nil
		}
		return language(bc)
	})
	inst.PkgName = p.pkg
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if err := add(inst, name, p.files[name], change); err != nil {
			return cue.Value{}, err
		}
	}
	// By this the policy can name the fields of a plan.
	scope := "package " + p.pkg + "\n\n"
	for _, field := range fields() {
		if field != allowField { // which no plan has
			scope += field + ": _\n"
		}
	}
	if err := add(inst, "plan.cue", []byte(scope), nil); err != nil {
		return cue.Value{}, err
	}
	if err := inst.Complete(); err != nil {
		return cue.Value{}, err
	}
	return ctx.BuildInstance(inst).Unify(planOf(ctx)), nil
}

// unconditional returns err without what a policy says itself where a condition holds:
// no plan is there yet, and a condition may be that something is missing.
func (p *Policy) unconditional(err error) error {
	said := map[string]bool{} // by place
	for name, text := range p.files {
		f, _ := parser.ParseFile(name, text)
		ast.Walk(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.Comprehension); ok {
				ast.Walk(c.Value, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "error" {
							said[call.Pos().String()] = true
						}
					}
					return true
				}, nil)
			}
			return true
		}, nil)
	}
	var all errors.Error
	for _, e := range errors.Errors(err) {
		if !slices.ContainsFunc(p.positions(e), func(pos token.Pos) bool { return said[pos.String()] }) {
			all = errors.Append(all, e)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// idle returns errors for what is in the policy and would demand nothing of any
// plan, as a misspelled name does: a field that no plan has where CUE does not ask, for
// it is optional or of what a pattern or a list matches; and a definition, or a hidden
// field, that neither is used nor looks at the plan.
func (p *Policy) idle() error {
	uses := map[string]int{}          // of a name, anywhere but in what has it
	named := map[string][]token.Pos{} // definitions and hidden fields at the top
	look := func(f *ast.File) {
		for _, decl := range f.Decls {
			own := ""
			if field, ok := decl.(*ast.Field); ok {
				if label, ok := field.Label.(*ast.Ident); ok && strings.ContainsAny(label.Name[:1], "_#") {
					own = label.Name
					named[own] = append(named[own], field.Pos())
				}
			}
			labels := map[ast.Node]bool{}
			ast.Walk(decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Field:
					labels[n.Label] = true
				case *ast.Ident:
					if labels[n] {
						break
					}
					if n.Name != own {
						uses[n.Name]++
					}
					if slices.Contains(fields(), n.Name) {
						uses[own]++ // it looks at the plan
					}
				}
				return true
			}, nil)
		}
		// Each optional field, each pattern and each rest of a list is one that is there, in
		// what CUE judges now.
		astutil.Apply(f, func(c astutil.Cursor) bool {
			switch n := c.Node().(type) {
			case *ast.Field:
				n.Constraint = token.ILLEGAL
				if list, ok := n.Label.(*ast.ListLit); ok {
					text, _ := format.Node(list)
					label := ast.NewString(string(text))
					ast.SetPos(label, list.Pos())
					n.Label = label
				}
			case *ast.ListLit:
				for i, e := range n.Elts {
					if rest, ok := e.(*ast.Ellipsis); ok && rest.Type != nil {
						n.Elts[i] = rest.Type
					}
				}
			}
			return true
		}, nil)
	}
	v, err := p.build(cuecontext.New(), look)
	var all errors.Error
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if uses[name] == 0 {
			all = errors.Append(all, errors.Newf(named[name][0], "%s demands nothing: it is not used, and does not refer to the plan", name))
		}
	}
	if err == nil { // what else is wrong now is the fault of this alone
		for _, e := range errors.Errors(v.Validate()) {
			if strings.Contains(message(e), "not allowed") {
				all = errors.Append(all, e)
			}
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// Check unifies the plan, of which doc is the document, with the policy. The
// errors have the code [plan.CodePolicy], with the place in the contract and
// that in the policy. What the policy allows counts only if there is none.
func (p *Policy) Check(pl *plan.Plan, doc plan.Document) (Allow, plan.Diagnostics) {
	var ds plan.Diagnostics
	var allow Allow
	if reached := limit.Run(p.timeout, limit.Memory, func() { allow, ds = p.check(pl, doc) }); reached != "" {
		return Allow{}, p.tooMuch(reached)
	}
	return allow, ds
}

func (p *Policy) check(pl *plan.Plan, doc plan.Document) (allow Allow, ds plan.Diagnostics) {
	ctx := cuecontext.New()
	v, err := p.build(ctx, nil)
	js, jsErr := json.Marshal(doc)
	var has map[string]any
	if err != nil || jsErr != nil || json.Unmarshal(js, &has) != nil {
		ds.Errorf(plan.CodePolicyRead, nil, "", "the policy %s can't be understood", p.path)
		return allow, ds
	}
	js = bytes.ReplaceAll(js, []byte("\ufeff"), []byte(`\ufeff`)) // which CUE takes nowhere
	v = v.Unify(ctx.CompileBytes(js, cue.Filename("plan")))
	all := errors.Errors(v.Validate(cue.Concrete(true), cue.All()))
	if len(all) == 0 {
		all = undecided(v)
	}
	if len(all) > 0 {
		told := map[string]bool{}
		for _, e := range all {
			path := pathOf(e)
			absent := false
			if len(path) > 1 {
				if table, ok := has[path[0]].(map[string]any); ok && table[path[1]] == nil {
					path, absent = path[:2], true // all its fields are missing, and that is one thing
				}
			}
			where := strings.Join(path, ".")
			if told[where] {
				continue // one thing is wrong, and CUE says it in several ways
			}
			told[where] = true
			said, at := message(e), p.positions(e)
			if absent {
				said = "the policy requires it, but it does not exist"
				if len(at) == 0 {
					at = p.says(path)
				}
			}
			p.disagrees(&ds, pl, path, said, at)
		}
		ds.Sort()
		return allow, ds
	}
	if a := v.LookupPath(cue.ParsePath(allowField)); a.Exists() {
		if err := a.Decode(&allow); err != nil {
			ds.Errorf(plan.CodePolicyRead, at(a.Pos()), "", "the policy %s: what it allows can't be understood: %s", p.path, message(errors.Promote(err, "")))
		}
	}
	return allow, ds
}

// undecided returns errors for hidden fields that no one can tell the value of,
// such as a check of a source that is not there: CUE lets them be.
func undecided(v cue.Value) (all []errors.Error) {
	fields, err := v.Fields(cue.Hidden(true), cue.Optional(false))
	for err == nil && fields.Next() {
		if sel := fields.Selector(); sel.IsString() || sel.IsDefinition() {
			continue
		}
		fields.Value().Walk(func(v cue.Value) bool {
			if err := v.Err(); err != nil {
				all = append(all, errors.Errors(err)...)
				return false
			}
			return true
		}, nil)
	}
	return all
}

// positions returns where in the policy an error is.
func (p *Policy) positions(e errors.Error) (all []token.Pos) {
	for _, pos := range errors.Positions(e) {
		if _, ours := p.files[pos.Filename()]; ours {
			all = append(all, pos)
		}
	}
	return all
}

// says returns where the policy has the field at a path, as far as that is written out.
func (p *Policy) says(path []string) (all []token.Pos) {
	var find func(n ast.Node, path []string)
	find = func(n ast.Node, path []string) {
		ast.Walk(n, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok {
				return true
			}
			name, _, err := ast.LabelName(field.Label)
			switch {
			case err != nil || name != path[0]:
			case len(path) == 1:
				all = append(all, field.Pos())
			default:
				find(field.Value, path[1:])
			}
			return false
		}, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if f, err := parser.ParseFile(name, p.files[name]); err == nil {
			find(f, path)
		}
	}
	return all
}

// position returns the first place in the policy where an error is.
func (p *Policy) position(e errors.Error) token.Pos {
	if all := p.positions(e); len(all) > 0 {
		return all[0]
	}
	return token.NoPos
}

// disagrees reports one thing that does not unify.
func (p *Policy) disagrees(ds *plan.Diagnostics, pl *plan.Plan, path []string, said string, where []token.Pos) {
	pos := slices.Clone(pl.Place(path))
	for _, one := range where {
		pos = append(pos, at(one)...)
	}
	what := cmp.Or(strings.Join(path, "."), "the environment")
	ds.Errorf(plan.CodePolicy, pos, "change the contract; or ask the owners of the policy",
		"environment %q is against the policy %s, at %s: %s", pl.Environment, p.path, what, said)
}

// pathOf returns the path at which an error is, without the quotes of CUE.
func pathOf(e errors.Error) (path []string) {
	for _, sel := range e.Path() {
		if s := cue.ParsePath(sel).Selectors(); len(s) == 1 && s[0].IsString() {
			sel = s[0].Unquoted()
		}
		path = append(path, sel)
	}
	return path
}

// message returns what an error says, on one line and without where.
func message(e errors.Error) string {
	format, args := e.Msg()
	return strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}

func at(pos token.Pos) []plan.Pos {
	if !pos.IsValid() {
		return nil
	}
	return []plan.Pos{{File: pos.Filename(), Line: pos.Line(), Column: pos.Column()}}
}
