package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/schema"
)

// TestReference: the pages of docs/reference are what the commands, the schema and the
// codes say of themselves. VICTORGEN_UPDATE=1 writes them.
func TestReference(t *testing.T) {
	const dir = repository + "docs/reference"
	index, definitions := schemaPages(t)
	pages := map[string]string{"schema.md": index, "codes.md": codePage()}
	for name, text := range commandPages(t) {
		pages["commands/"+name] = text
	}
	for name, text := range definitions {
		pages["schema/"+name] = text
	}
	goldens(t, dir, pages)
}

// commandPages are a page for each command, by cobra's own generator, with headings
// that begin at the first level.
func commandPages(t *testing.T) map[string]string {
	root := newRoot(io.Discard, io.Discard)
	root.InitDefaultCompletionCmd()
	pages := map[string]string{}
	headings := strings.NewReplacer("### SEE ALSO", "## See also", "\n### ", "\n## ", "\t - ", ": ")
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.IsAvailableCommand() && cmd.HasParent() || cmd.Name() == "help" {
			return
		}
		cmd.DisableAutoGenTag = true
		var b bytes.Buffer
		if err := doc.GenMarkdownCustom(cmd, &b, func(s string) string { return s }); err != nil {
			t.Fatal(err)
		}
		text := headings.Replace(strings.TrimPrefix(b.String(), "#"))
		text = regexp.MustCompile(`(?s)(## Synopsis\n\n)(.*?)\n\n`+"```").ReplaceAllStringFunc(text, func(s string) string {
			return strings.NewReplacer("<", "&lt;", "*", "\\*").Replace(s)
		})
		pages[strings.ReplaceAll(cmd.CommandPath(), " ", "_")+".md"] = strings.TrimRight(text, "\n") + "\n"
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
	if len(pages) < 20 {
		t.Fatalf("there are but %d commands", len(pages))
	}
	return pages
}

// schemaPages are a page for each file of the schema, and one for the kit, with each
// definition and field, and what its comment says; and the index of the definitions.
func schemaPages(t *testing.T) (index string, pages map[string]string) {
	pages = map[string]string{}
	titles := map[string]string{
		"environment": "Environments", "input": "Inputs", "secret": "Secrets", "alerts": "Alerts", "plan": "The plan, as policies see it", "kit": "The kit",
	}
	order := []string{"environment", "input", "secret", "alerts", "kit", "plan"}
	lists := map[string]string{}
	definitions := 0
	files := schema.Files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".cue" {
			continue
		}
		file, err := parser.ParseFile(name, files[name], parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		page := strings.TrimSuffix(path.Base(name), ".cue")
		if strings.HasPrefix(name, "kit/") {
			page = "kit"
		}
		if titles[page] == "" {
			t.Fatalf("%s has no title here", name)
		}
		if pages[page+".md"] == "" {
			pages[page+".md"] = "# " + titles[page] + "\n\nMade from the comments of the schema. What begins with # is a definition; ? marks a field that may be left out, ! one that may not.\n"
		}
		var b strings.Builder
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.Field)
			if !ok || !strings.HasPrefix(labelOf(f), "#") {
				continue
			}
			definitions++
			fmt.Fprintf(&b, "\n## %s\n\n%s", labelOf(f), commentOf(f))
			if kind := typeOf(t, f.Value); kind != "" {
				fmt.Fprintf(&b, "Is%s.\n\n", kind)
			}
			writeFields(t, &b, "", f.Value)
			first, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(commentOf(f)), "\n", " "), ". ")
			first = strings.TrimPrefix(first, labelOf(f)+" ")
			lists[page] += fmt.Sprintf("| [%s](schema/%s.md#%s) | %s |\n", labelOf(f), page, slug(labelOf(f)), strings.TrimSuffix(strings.ReplaceAll(first, "|", "\\|"), "."))
		}
		pages[page+".md"] += b.String()
	}
	if definitions < 30 {
		t.Fatalf("there are but %d definitions", definitions)
	}
	index = "# Fields\n\nEach definition of the schema, with what its comment says first.\n"
	for _, page := range order {
		index += fmt.Sprintf("\n## %s\n\n| | |\n|---|---|\n%s", titles[page], lists[page])
	}
	return index, pages
}

// writeFields writes the fields of a definition, those of structs within it by their
// paths.
func writeFields(t *testing.T, b *strings.Builder, prefix string, value ast.Expr) {
	for _, st := range structsOf(value) {
		for _, decl := range st.Elts {
			if f, ok := decl.(*ast.Field); ok && !strings.HasPrefix(labelOf(f), "_") {
				writeField(t, b, prefix, f)
			}
		}
	}
}

// computed is a type that is a calculation, of which a reader has nothing.
var computed = lazy.MustCompile(`\\\(|\w\(|_\w`)

func writeField(t *testing.T, b *strings.Builder, prefix string, f *ast.Field) {
	name, comment, mark := prefix+labelOf(f), commentOf(f), ""
	for { // a: b: c
		st, ok := f.Value.(*ast.StructLit)
		if !ok || st.Lbrace.IsValid() || len(st.Elts) != 1 {
			break
		}
		inner, ok := st.Elts[0].(*ast.Field)
		if !ok {
			break
		}
		f, name = inner, name+"."+labelOf(inner)
		comment = cmp.Or(comment, commentOf(f))
	}
	if f.Constraint != token.ILLEGAL {
		mark = f.Constraint.String()
	}
	nested := structsOf(f.Value)
	kind := typeOf(t, f.Value)
	if comment != "" || kind != "" && !computed.MatchString(kind) {
		fmt.Fprintf(b, "**`%s%s`**%s\n\n%s", name, mark, kind, comment)
	}
	if len(nested) > 0 {
		writeFields(t, b, name+".", f.Value)
	}
}

// structsOf are the structs that an expression is, or is made from, and that have fields
// to tell of.
func structsOf(e ast.Expr) []*ast.StructLit {
	switch e := e.(type) {
	case *ast.StructLit:
		return []*ast.StructLit{e}
	case *ast.BinaryExpr:
		return append(structsOf(e.X), structsOf(e.Y)...)
	case *ast.ListLit:
		if len(e.Elts) == 1 {
			if rest, ok := e.Elts[0].(*ast.Ellipsis); ok {
				return structsOf(rest.Type)
			}
		}
	}
	return nil
}

func labelOf(f *ast.Field) string {
	switch l := f.Label.(type) {
	case *ast.Ident:
		return l.Name
	case *ast.BasicLit:
		return strings.Trim(l.Value, `"`)
	}
	return "NAME" // a pattern
}

// typeOf is what an expression of CUE says besides the fields of its structs, on one
// line, as code.
func typeOf(t *testing.T, e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StructLit:
		return ""
	case *ast.ListLit:
		if len(structsOf(x)) > 0 {
			return " `[...]`"
		}
	case *ast.BinaryExpr:
		if len(structsOf(x)) > 0 {
			return cmp.Or(typeOf(t, x.X), typeOf(t, x.Y))
		}
	}
	ast.SetComments(e, nil)
	b, err := format.Node(e, format.Simplify())
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(string(b)), " "); text != "_" {
		return " `" + text + "`"
	}
	return ""
}

// commentOf is the comment of a field as Markdown: lists and examples, which are
// indented, stay as they are.
func commentOf(f *ast.Field) string {
	var b strings.Builder
	code := false
	for _, group := range ast.Comments(f) {
		if !group.Doc {
			continue
		}
		for _, line := range strings.Split(strings.TrimRight(group.Text(), "\n"), "\n") {
			indented := strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "\t")
			switch {
			case indented && !code:
				b.WriteString("\n```text\n")
				code = true
			case !indented && code && line != "":
				b.WriteString("```\n\n")
				code = false
			}
			if !code {
				line = plain(line)
			}
			b.WriteString(line + "\n")
		}
	}
	if code {
		b.WriteString("```\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return b.String() + "\n"
}

// codePage is one page of all codes.
func codePage() string {
	var b strings.Builder
	b.WriteString("# Codes\n\nEach message of victorgen has a code that stays the same. `victorgen explain CODE` prints what is here.\n")
	for _, code := range plan.Codes() {
		text, _ := plan.Explain(code)
		title, body, _ := strings.Cut(text, "\n")
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", code, plain(title))
		if body != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(plain(body), "\n"))
		}
		e, _ := plan.ExampleOf(code)
		fmt.Fprintf(&b, "\nWhy: %s\n\n```text\n%s\n```\n\nbecomes\n\n```text\n%s\n```\n", plain(e.Why), e.Before, e.After)
	}
	return b.String()
}

// plain is a text as Markdown that shows it as it is, but for what is in backticks.
func plain(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("<", "&lt;", "*", "\\*", "_", "\\_", "#", "\\#").Replace(parts[i])
	}
	return strings.Join(parts, "`")
}
