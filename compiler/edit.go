package compiler

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/format"
	cueliteral "cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// Taken is a field that was taken out of the text of a CUE file.
type Taken struct {
	Text    string            // with its comments, from its name on
	Imports map[string]string // what it refers to, by name
}

// Take takes the field at path, as often as it is there, out of the text of a CUE file,
// and leaves the rest as it is, laid out or not. It finds what is there by its name:
// nothing that a comprehension, a pattern or an alias makes. What is left of a struct
// that has nothing else goes with it. It finds nothing if the text is no CUE.
func Take(text []byte, path ...string) (rest []byte, taken []Taken) {
	laidOut := isLaidOut(text)
	for range 100 {
		f, err := parser.ParseFile("", text, parser.ParseComments)
		if err != nil {
			return text, taken
		}
		field, cut := find(f.Decls, path)
		if field == nil {
			break
		}
		start, end := span(cut)
		from, to := span(field)
		taken = append(taken, Taken{Text: string(text[from:to]), Imports: importsOf(f, field)})
		for end < len(text) && (text[end] == ' ' || text[end] == '\t' || text[end] == ',') {
			end++
		}
		if lineStart := bytes.LastIndexByte(text[:start], '\n') + 1; len(bytes.TrimSpace(text[lineStart:start])) == 0 && end < len(text) && text[end] == '\n' {
			start, end = lineStart, end+1
		}
		if bytes.HasSuffix(bytes.TrimRight(text[:start], " \t\n"), []byte("{")) {
			for end < len(text) && text[end] == '\n' { // no empty line begins a struct
				end++
			}
		}
		before, after := bytes.TrimRight(text[:start], " \t\n"), bytes.TrimLeft(text[end:], " \t\n")
		if bytes.HasSuffix(before, []byte("& {")) && bytes.HasPrefix(after, []byte("}")) { // of A & {} A is left
			text = slices.Concat(bytes.TrimRight(before[:len(before)-len("& {")], " "), after[1:])
			continue
		}
		text = slices.Concat(text[:start], text[end:])
	}
	if len(taken) > 0 {
		text = withoutUnused(text)
		if laidOut {
			if again, err := Format(text); err == nil {
				text = again
			}
		}
	}
	return text, taken
}

func isLaidOut(text []byte) bool {
	again, err := Format(text)
	return err == nil && bytes.Equal(again, text)
}

// find returns the field at path, and what has nothing else in it than that field.
func find(decls []ast.Decl, path []string) (field, cut *ast.Field) {
	for _, d := range decls {
		f, ok := d.(*ast.Field)
		if !ok || labelOf(f) != path[0] {
			continue
		}
		if len(path) == 1 {
			return f, f
		}
		for _, s := range structsOf(f.Value) {
			if inner, cut := find(s.Elts, path[1:]); inner != nil {
				if s == f.Value && len(s.Elts) == 1 && s.Elts[0] == cut {
					cut = f
				}
				return inner, cut
			}
		}
	}
	return nil, nil
}

// structsOf are the struct literals that a value is the unification of.
func structsOf(e ast.Expr) []*ast.StructLit {
	switch e := e.(type) {
	case *ast.StructLit:
		return []*ast.StructLit{e}
	case *ast.ParenExpr:
		return structsOf(e.X)
	case *ast.BinaryExpr:
		if e.Op == token.AND {
			return append(structsOf(e.X), structsOf(e.Y)...)
		}
	}
	return nil
}

func labelOf(f *ast.Field) string {
	if f.Alias != nil {
		return ""
	}
	switch l := f.Label.(type) {
	case *ast.Ident:
		return l.Name
	case *ast.BasicLit:
		if s, err := cueliteral.Unquote(l.Value); err == nil {
			return s
		}
	}
	return ""
}

// span is where a field stands, with the comments that belong to it.
func span(f *ast.Field) (start, end int) {
	start, end = f.Pos().Offset(), f.End().Offset()
	ast.Walk(f, func(n ast.Node) bool {
		for _, c := range ast.Comments(n) {
			start = min(start, c.Pos().Offset())
			end = max(end, c.End().Offset())
		}
		return true
	}, nil)
	return start, end
}

// importsOf are the imports of f that n refers to.
func importsOf(f *ast.File, n ast.Node) map[string]string {
	names := map[string]string{}
	for spec := range f.ImportSpecs() {
		info, err := astutil.ParseImportSpec(spec)
		if err != nil {
			continue
		}
		names[info.Ident] = info.ID
	}
	used := map[string]string{}
	ast.Walk(n, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok && names[id.Name] != "" {
				used[id.Name] = names[id.Name]
			}
		}
		return true
	}, nil)
	return used
}

// withoutUnused takes imports away that nothing refers to any more.
func withoutUnused(text []byte) []byte {
	f, err := parser.ParseFile("", text, parser.ParseComments)
	if err != nil {
		return text
	}
	var gone []string
	for spec := range f.ImportSpecs() {
		info, err := astutil.ParseImportSpec(spec)
		if err == nil && importsOf(f, f)[info.Ident] == "" {
			gone = append(gone, info.ID)
		}
	}
	if len(gone) == 0 {
		return text
	}
	for i, d := range f.Decls {
		imp, ok := d.(*ast.ImportDecl)
		if !ok {
			continue
		}
		imp.Specs = slices.DeleteFunc(imp.Specs, func(s *ast.ImportSpec) bool {
			info, err := astutil.ParseImportSpec(s)
			return err == nil && slices.Contains(gone, info.ID)
		})
		switch len(imp.Specs) {
		case 0:
			f.Decls = slices.Delete(f.Decls, i, i+1)
		case 1:
			imp.Lparen, imp.Rparen = token.NoPos, token.NoPos
			ast.SetRelPos(imp.Specs[0], token.Blank)
		}
		break
	}
	if out, err := format.Node(f); err == nil {
		return out
	}
	return text
}

// Put puts a field that was taken into the text of another file, at path less its last
// name: into the struct that is there, or else at the end.
func Put(text []byte, t Taken, path ...string) ([]byte, error) {
	laidOut := isLaidOut(text)
	f, err := parser.ParseFile("", text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	from, to, rest := innermost(f.Decls, path[:len(path)-1])
	field := t.Text
	for _, name := range slices.Backward(rest) {
		field = Label(name) + ": {\n" + field + "\n}"
	}
	switch {
	case from < 0:
		text = slices.Concat(bytes.TrimRight(text, "\n"), []byte("\n\n"+field+"\n"))
	case from == to:
		text = slices.Concat(text[:from], []byte("\n"+field+"\n"), text[to:])
	default:
		text = slices.Concat(text[:from], []byte("{\n"), text[from:to], []byte("\n"+field+"\n}"), text[to:])
	}
	for _, name := range slices.Sorted(maps.Keys(t.Imports)) {
		if text, err = importing(text, name, t.Imports[name]); err != nil {
			return nil, err
		}
	}
	if laidOut {
		return Format(text)
	}
	return text, nil
}

// innermost is where the last struct on the path ends: its closing brace, or, if it has
// none, from where to where its field stands. rest is what of the path is below it; from
// is negative if nothing of the path is there.
func innermost(decls []ast.Decl, path []string) (from, to int, rest []string) {
	from, to, rest = -1, -1, path
	if len(path) == 0 {
		return from, to, rest
	}
	for _, d := range decls {
		f, ok := d.(*ast.Field)
		if !ok || labelOf(f) != path[0] {
			continue
		}
		for _, s := range structsOf(f.Value) {
			start, end, below := innermost(s.Elts, path[1:])
			switch {
			case start >= 0:
			case s.Rbrace.IsValid() && s.Rbrace.HasAbsPos():
				start, below = s.Rbrace.Offset(), path[1:]
				end = start
			case s == f.Value && len(s.Elts) == 1:
				if only, ok := s.Elts[0].(*ast.Field); ok {
					start, end = span(only)
					below = path[1:]
				}
			}
			if start >= 0 && len(below) < len(rest) {
				from, to, rest = start, end, below
			}
		}
	}
	return from, to, rest
}

// importing adds an import, if it is not there.
func importing(text []byte, name, path string) ([]byte, error) {
	f, err := parser.ParseFile("", text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	at := 0
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Package:
			at = d.End().Offset()
		case *ast.ImportDecl:
			for _, s := range d.Specs {
				if info, err := astutil.ParseImportSpec(s); err == nil && info.Ident == name {
					return text, nil
				}
			}
			if d.Rparen.IsValid() {
				at = d.Rparen.Offset()
				return slices.Concat(text[:at], []byte("\n"+importSpec(name, path)+"\n"), text[at:]), nil
			}
			// One without parentheses gets them.
			from, to := d.Specs[0].Pos().Offset(), d.Specs[0].End().Offset()
			return slices.Concat(text[:from], []byte("(\n"), text[from:to], []byte("\n"+importSpec(name, path)+"\n)"), text[to:]), nil
		}
	}
	return slices.Concat(text[:at], []byte("\n\nimport "+importSpec(name, path)+"\n"), text[at:]), nil
}

func importSpec(name, path string) string {
	if path == name || strings.HasSuffix(path, "/"+name) {
		return cueliteral.String.Quote(path)
	}
	return name + " " + cueliteral.String.Quote(path)
}
