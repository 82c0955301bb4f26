// Package policy holds an environment to what those say who answer for it: CUE
// that its plan, written as schema.#Plan, must unify with. A policy and a plan
// come in, diagnostics and what the policy allows go out.
//
// Beside the compiler it is the only package that knows CUE. A policy is read
// from the files that the command line names; it imports the schema and the
// builtin packages of CUE, and reads nothing else. A plan has no values, so no
// message has any.
package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
	"github.com/victor-ai/victorgen/schema"
)

// Policy is a package of CUE, as it stands in a file or in those of a directory.
type Policy struct {
	path  string
	pkg   string
	files map[string][]byte // by absolute path
}

// Allow is what a policy allows: what stands in it under allow.
type Allow struct {
	Addresses    []string `json:"addresses"`
	Files        []string `json:"files"`
	Certificates []string `json:"certificates"`
}

// Load reads the policy at path, a .cue file or a directory with such files.
// What can't be read, and what is no policy, is an error of the code
// [plan.CodePolicyRead].
func Load(path string) (*Policy, plan.Diagnostics) {
	p := &Policy{path: path, files: map[string][]byte{}}
	var ds plan.Diagnostics
	unreadable := func(pos token.Pos, format string, args ...any) {
		ds.Errorf(plan.CodePolicyRead, at(pos), "nothing is done without it: correct --policy or VICTORGEN_POLICY, or the policy",
			"the policy %s %s", path, fmt.Sprintf(format, args...))
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		unreadable(token.NoPos, "can't be read: %v", err)
		return nil, ds
	}
	names := []string{abs}
	if info, err := os.Stat(abs); err == nil && info.IsDir() {
		names, _ = filepath.Glob(filepath.Join(escape(abs), "*.cue"))
		if len(names) == 0 {
			unreadable(token.NoPos, "has no .cue file")
		}
	} else if err == nil && filepath.Ext(abs) != ".cue" {
		unreadable(token.NoPos, "is not a .cue file")
		return nil, ds
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			reason, _ := safefile.Explain(name, err)
			unreadable(token.NoPos, "can't be read: %s: %s", name, reason)
			continue
		}
		f, err := parser.ParseFile(name, text)
		if err != nil {
			for _, e := range errors.Errors(err) {
				unreadable(e.Position(), "is no CUE: %s", message(e))
				break
			}
			continue
		}
		for _, e := range forbidden(f) {
			unreadable(e.Position(), "%s", message(e))
		}
		switch pkg := f.PackageName(); {
		case pkg == "":
			unreadable(f.Pos(), "is no package: begin it with `package policy`")
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
	v, err := p.build(cuecontext.New())
	if err == nil {
		err = v.Validate() // which what depends on the plan does not trouble
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
			all = append(all, errors.Newf(n.Pos(), "has an attribute, which a policy can't have"))
		case *ast.ImportSpec:
			if path := strings.Trim(n.Path.Value, `"`); path != schema.ImportPath && !builtin(path) {
				all = append(all, errors.Newf(n.Pos(), "imports %q: it may import %q and the packages of CUE", path, schema.ImportPath))
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

// scope is a file of the package, by which a policy can name the fields of a
// plan.
const scope = `package %s

version:     _
environment: _
partOf:      _
namespace:   _
directory:   _
sources:     _
inputs:      _
rules:       _
secrets:     _
readers:     _
alerts:      _
argocd:      _
`

// language returns the embedded schema, for bc.
func language(bc *build.Context) *build.Instance {
	inst := bc.NewInstance("", func(token.Pos, string) *build.Instance { return nil })
	inst.ImportPath, inst.PkgName = schema.ImportPath, "schema"
	for name, text := range schema.Files() {
		if strings.Contains(name, "/") {
			continue // of another package
		}
		if err := add(inst, name, text); err != nil {
			inst.ReportError(errors.Promote(err, "schema"))
		}
	}
	inst.Complete()
	return inst
}

// add adds a file to a package.
func add(inst *build.Instance, name string, text []byte) error {
	f, err := parser.ParseFile(name, text)
	if err != nil {
		return err
	}
	if err := inst.AddSyntax(f); err != nil { // which is no error where it is nil
		return err
	}
	return nil
}

// build makes a value of the policy, closed as a plan is: what no plan has would
// demand nothing.
func (p *Policy) build(ctx *cue.Context) (cue.Value, error) {
	bc := build.NewContext()
	inst := bc.NewInstance("", func(_ token.Pos, path string) *build.Instance {
		if path, _, _ = strings.Cut(path, ":"); builtin(path) {
			return nil
		}
		return language(bc)
	})
	inst.PkgName = p.pkg
	names := make([]string, 0, len(p.files))
	for name := range p.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := add(inst, name, p.files[name]); err != nil {
			return cue.Value{}, err
		}
	}
	if err := add(inst, "plan.cue", fmt.Appendf(nil, scope, p.pkg)); err != nil {
		return cue.Value{}, err
	}
	if err := inst.Complete(); err != nil {
		return cue.Value{}, err
	}
	plan := ctx.BuildInstance(language(build.NewContext())).LookupPath(cue.ParsePath("#Plan"))
	return ctx.BuildInstance(inst).Unify(plan), nil
}

// Check unifies the plan, of which doc is the document, with the policy. The
// errors have the code [plan.CodePolicy], with the place in the contract and
// that in the policy. What the policy allows counts only if there is none.
func (p *Policy) Check(pl *plan.Plan, doc plan.Document) (Allow, plan.Diagnostics) {
	var ds plan.Diagnostics
	var allow Allow
	ctx := cuecontext.New()
	v, err := p.build(ctx)
	js, jsErr := json.Marshal(doc)
	if err != nil || jsErr != nil {
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
			where := strings.Join(path, ".")
			if told[where] {
				continue // one thing is wrong, and CUE says it in several ways
			}
			told[where] = true
			p.disagrees(&ds, pl, path, e)
		}
		ds.Sort()
		return allow, ds
	}
	if a := v.LookupPath(cue.ParsePath("allow")); a.Exists() {
		if err := a.Decode(&allow); err != nil {
			ds.Errorf(plan.CodePolicyRead, at(a.Pos()), "", "the policy %s: what it allows can't be understood: %s", p.path, message(errors.Promote(err, "")))
		}
	}
	return allow, ds
}

// undecided returns errors for hidden fields that nobody can tell the value of,
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

// position returns where in the policy an error is.
func (p *Policy) position(e errors.Error) token.Pos {
	for _, pos := range errors.Positions(e) {
		if _, ours := p.files[pos.Filename()]; ours {
			return pos
		}
	}
	return token.NoPos
}

// disagrees reports one thing that does not unify.
func (p *Policy) disagrees(ds *plan.Diagnostics, pl *plan.Plan, path []string, e errors.Error) {
	var pos []plan.Pos
	for _, at := range errors.Positions(e) {
		if _, ours := p.files[at.Filename()]; ours {
			pos = append(pos, plan.Pos{File: at.Filename(), Line: at.Line(), Column: at.Column()})
		}
	}
	pos = append(slices.Clone(pl.Place(path)), pos...)
	said := message(e)
	what := cmp.Or(strings.Join(path, "."), "the environment")
	ds.Errorf(plan.CodePolicy, pos, "change the contract; or ask those who answer for the policy",
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
