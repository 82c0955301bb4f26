package compiler

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/schema"
)

// index knows where the fields of a package are written. It is made from the
// syntax trees, which is much cheaper than asking each value for its
// conjuncts; fields that only evaluation brings forth (those of a
// comprehension) are looked up in the value.
type index struct {
	fields map[string]written // by pathKey
	value  cue.Value
	dir    string // of the environment
	module *module
}

// written is where a field is written, each time that it is. Most are never asked for,
// so they are not yet positions for people.
type written struct {
	labels []token.Pos // its name; none for an element of a list
	values []token.Pos // what it is set to
}

func pathKey(path []string) string { return strings.Join(path, "\x00") }

func newIndex(files []*ast.File, dir string, m *module) *index {
	ix := &index{fields: map[string]written{}, dir: dir, module: m}
	for _, f := range files {
		ix.decls(nil, f.Decls)
	}
	return ix
}

func (ix *index) decls(path []string, decls []ast.Decl) {
	for _, d := range decls {
		switch d := d.(type) {
		case *ast.Field:
			name, _, err := ast.LabelName(d.Label)
			if err != nil {
				continue // a pattern or an interpolation
			}
			p := append(path[:len(path):len(path)], name)
			key := pathKey(p)
			w := ix.fields[key]
			ix.fields[key] = written{append(w.labels, d.Label.Pos()), append(w.values, d.Value.Pos())}
			ix.expr(p, d.Value)
		case *ast.EmbedDecl:
			ix.expr(path, d.Expr)
		case *ast.Comprehension:
			ix.expr(path, d.Value)
		}
	}
}

func (ix *index) expr(path []string, e ast.Expr) {
	switch e := e.(type) {
	case *ast.StructLit:
		ix.decls(path, e.Elts)
	case *ast.BinaryExpr:
		if e.Op == token.AND {
			ix.expr(path, e.X)
			ix.expr(path, e.Y)
		}
	case *ast.ParenExpr:
		ix.expr(path, e.X)
	case *ast.Comprehension:
		ix.expr(path, e.Value)
	case *ast.ListLit:
		for i, elt := range e.Elts {
			p := append(path[:len(path):len(path)], strconv.Itoa(i))
			w := ix.fields[pathKey(p)]
			ix.fields[pathKey(p)] = written{w.labels, append(w.values, elt.Pos())}
			ix.expr(p, elt)
		}
	}
}

// names returns the names of the fields of the struct at path, sorted.
func (ix *index) names(path []string) []string {
	prefix := pathKey(path)
	if len(path) > 0 {
		prefix += "\x00"
	}
	var names []string
	for key, w := range ix.fields {
		if rest, ok := strings.CutPrefix(key, prefix); ok && len(w.labels) > 0 && !strings.Contains(rest, "\x00") {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// declared returns the places where the field at path is declared in the
// user's own files, contract first. If there are none, it returns those of the
// nearest field above.
func (ix *index) declared(path ...string) []plan.Pos {
	return ix.find(ix.labels, path, ix.module.places)
}

// set returns where the field at path is set to what it is, the environment's
// own word last.
func (ix *index) set(path ...string) []plan.Pos {
	return ix.find(ix.values, path, func(v cue.Value) []plan.Pos {
		return []plan.Pos{ix.module.position(v.Pos())}
	})
}

// labels returns where the name of the field at path stands, and values where what it is
// set to does.
func (ix *index) labels(path []string) []plan.Pos {
	return ix.positions(ix.fields[pathKey(path)].labels)
}
func (ix *index) values(path []string) []plan.Pos {
	return ix.positions(ix.fields[pathKey(path)].values)
}

func (ix *index) positions(at []token.Pos) []plan.Pos {
	ps := make([]plan.Pos, len(at))
	for i, p := range at {
		ps[i] = ix.module.position(p)
	}
	return ps
}

func (ix *index) find(known func(path []string) []plan.Pos, path []string, ask func(cue.Value) []plan.Pos) []plan.Pos {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if ps := ix.contractFirst(known(path)); len(ps) > 0 {
			return ps
		}
		if v := ix.value.LookupPath(cuePath(path)); v.Exists() {
			if ps := ix.contractFirst(ask(v)); len(ps) > 0 {
				return ps
			}
		}
	}
	return nil
}

// contractFirst drops what is not in a file of the user's, and puts what the
// environment's own files say after what the contract says.
func (ix *index) contractFirst(ps []plan.Pos) []plan.Pos {
	var contract, own []plan.Pos
	for _, p := range ps {
		switch {
		case !p.IsValid() || schema.Contains(p.File):
		case filepath.Dir(p.File) == ix.dir:
			own = append(own, p)
		default:
			contract = append(contract, p)
		}
	}
	return append(contract, own...)
}

func cuePath(path []string) cue.Path {
	sels := make([]cue.Selector, len(path))
	for i, s := range path {
		sels[i] = cue.Str(s)
	}
	return cue.MakePath(sels...)
}
