package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/victor-ai/victorgen/internal/lazy"
)

// MaxQuestions is how many different things the templates of one environment may
// do to one value of which the length of the result, or whether it fails, tells
// something about the value. See [Template.Questions].
const MaxQuestions = 8

// This file says what a template may do with the content of an input, which is
// all that a source holds: anyone who may change a contract sees much of what a
// build makes of it. The report and the lock show which keys are left out, an
// error shows its template, and a ciphertext shows the length of what it hides.
// One such bit a key, and a contract with some hundred keys reads a password out.
// So
//
//   - what decides may depend on the contract and on presence alone: that an input
//     is there, or a property of the JSON object that it is. A condition on
//     content does not compile. An input that is there is never empty, so
//     whether it is empty and whether it is there are the same.
//   - what selects (how long, where, which key, which separator) is written in the
//     contract, and what is replaced or split at has no letters or digits.
//   - what else tells something by its length or by failing is counted, and
//     there may be MaxQuestions of them for one value.
//
// What remains: the length of a value and of a part of it, how often punctuation
// stands in it, whether it is JSON, base64 or a number, and MaxQuestions bits a
// build, each in the diff of a contract. A Secret cannot hide the length of what
// is in it.

// kind says what a function does to the content of an input.
type kind int

const (
	makes   kind = iota // something new, whose length tells the length of what went in
	keeps               // as makes, and it is empty if and only if what went in is
	alters              // what becomes of it tells something: one question
	asks                // the result is about the content: never
	chooses             // one of its arguments, by whether others are there
	opens               // a part of it
)

// function is what there is to know of a function: how many arguments it takes,
// what it does, and which arguments select rather than give. A max of -1 is any number.
type function struct {
	min, max  int
	kind      kind
	selectors func(i int) bool
}

func none(int) bool    { return false }
func at0(i int) bool   { return i == 0 }
func upTo1(i int) bool { return i <= 1 }
func from1(i int) bool { return i >= 1 }
func even(i int) bool  { return i%2 == 0 }

var functions = map[string]function{
	"and": {1, -1, chooses, none}, "or": {1, -1, chooses, none}, "not": {1, 1, chooses, none},
	"default": {2, 2, chooses, none}, "coalesce": {1, -1, chooses, none}, "empty": {1, 1, chooses, none},
	"ternary": {3, 3, chooses, none},

	"eq": {2, -1, asks, none}, "ne": {2, 2, asks, none}, "lt": {2, 2, asks, none}, "le": {2, 2, asks, none},
	"gt": {2, 2, asks, none}, "ge": {2, 2, asks, none}, "len": {1, 1, asks, none}, "contains": {2, 2, asks, none},
	"hasPrefix": {2, 2, asks, none}, "hasSuffix": {2, 2, asks, none}, "regexMatch": {2, 2, asks, none},
	"regexReplaceAll": {3, 3, asks, none}, "hasKey": {2, 2, asks, from1},

	"fromJson": {1, 1, opens, none}, "index": {2, -1, opens, from1}, "get": {2, 2, opens, from1},

	"lower": {1, 1, keeps, none}, "upper": {1, 1, keeps, none}, "title": {1, 1, keeps, none}, "toString": {1, 1, keeps, none},
	"b32enc": {1, 1, keeps, none}, "b64enc": {1, 1, keeps, none}, "html": {1, -1, keeps, none}, "js": {1, -1, keeps, none},
	"urlquery": {1, -1, keeps, none},

	"b32dec": {1, 1, makes, none}, "b64dec": {1, 1, makes, none}, "cat": {1, -1, makes, none}, "dict": {0, -1, makes, even},
	"join": {2, 2, makes, at0}, "list": {0, -1, makes, none}, "print": {0, -1, makes, none}, "println": {0, -1, makes, none},
	"printf": {1, -1, makes, at0}, "quote": {1, -1, makes, none}, "squote": {1, -1, makes, none}, "sha1sum": {1, 1, makes, none},
	"sha256sum": {1, 1, makes, none}, "toJson": {1, 1, makes, none}, "urlJoin": {1, 1, makes, none},

	"atoi": {1, 1, alters, none}, "int": {1, 1, alters, none}, "first": {1, 1, alters, none}, "last": {1, 1, alters, none},
	"indent": {2, 2, alters, at0}, "nindent": {2, 2, alters, at0}, "replace": {3, 3, alters, at0}, "slice": {2, 4, alters, from1},
	"split": {2, 2, alters, at0}, "splitList": {2, 2, alters, at0}, "substr": {3, 3, alters, upTo1}, "trim": {1, 1, alters, none},
	"trimAll": {2, 2, alters, at0}, "trimPrefix": {2, 2, alters, at0}, "trimSuffix": {2, 2, alters, at0},
	"trunc": {2, 2, alters, at0}, "urlParse": {1, 1, alters, none},
}

// lengthOnly are the functions whose result tells of what goes in its length alone.
var lengthOnly = []string{
	"b32enc", "b64enc", "cat", "dict", "join", "list", "lower", "print", "printf", "println", "sha1sum", "sha256sum", "squote",
	"title", "toString", "upper",
}

// neutral is what may be replaced or split at in a value: punctuation and white
// space, the escapes of line breaks, and what urlquery writes for a character.
var neutral = lazy.MustCompile(`^([^A-Za-z0-9]|\\[nrt]|%[0-9A-F]{2})+$`)

// plainVerbs are the verbs of printf for a value.
var plainVerbs = lazy.MustCompile(`%[-+# 0]*[0-9]*(\.[0-9]+)?[%sqv]`)

// what is known of a value in a template.
type what struct {
	content map[string]bool // the inputs that it is made from and that a source holds
	asked   bool            // whether it is empty depends on presence and on the contract alone
	whole   bool            // it is an input as it stands, or one of several
	doc     bool            // it is JSON that such an input is, or a part of it
	fields  bool            // it may have fields
	number  bool            // a list of it counts from 0
	text    string          // how it is made
	literal *string         // what it is, if the contract says so
}

func public(text string) what { return what{asked: true, whole: true, text: text} }

// join returns what holds of a value that is either.
func (w what) join(o what) what {
	j := what{
		content: map[string]bool{}, asked: w.asked && o.asked, whole: w.whole && o.whole, fields: w.fields || o.fields,
		doc: (w.doc || len(w.content) == 0) && (o.doc || len(o.content) == 0) && (w.doc || o.doc), number: w.number && o.number, text: w.text,
	}
	maps.Copy(j.content, w.content)
	maps.Copy(j.content, o.content)
	if w.text != o.text {
		j.text = "?"
	}
	return j
}

func (w what) same(o what) bool {
	return maps.Equal(w.content, o.content) && w.asked == o.asked && w.whole == o.whole && w.doc == o.doc && w.fields == o.fields && w.text == o.text
}

// variable is a variable of a template, by the place where it is declared.
type variable struct {
	name string
	pos  parse.Pos
}

// flow follows the content of inputs through a template.
type flow struct {
	a         *analysis
	external  bool
	vars      map[parse.Pos]what
	changed   bool
	scope     []variable
	dot       []what // of with and range, the innermost last; none is the set of all inputs
	loops     int
	content   map[parse.Pos][]string // of what prints, by the position of its pipeline
	questions map[string]map[string]bool
	problems  []TemplateProblem
}

// follow reports what the template in root must not do.
func (a *analysis) follow(root *parse.ListNode, external bool) *flow {
	f := &flow{a: a, external: external, vars: map[parse.Pos]what{}}
	for range 100 { // until nothing more is known of a variable
		f.changed, f.problems, f.scope = false, nil, nil
		f.content, f.questions = map[parse.Pos][]string{}, map[string]map[string]bool{}
		f.list(root)
		if !f.changed {
			break
		}
	}
	if f.changed {
		f.problem(0, "", CodeTemplateBig, "use more variables", "template sets its variables in a way that cannot be analyzed")
	}
	return f
}

func (f *flow) problem(offset int, token string, code Code, hint, format string, args ...any) {
	f.problems = append(f.problems, TemplateProblem{
		Offset: offset, Token: token, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func names(set map[string]bool) string { return And(slices.Sorted(maps.Keys(set))) }

const hintAsk = "test whether it is there, with if, with or default on the input itself; or whether a JSON property is, with hasKey"

func (f *flow) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		depth := len(f.scope)
		switch n := n.(type) {
		case *parse.ActionNode:
			w := f.pipe(n.Pipe)
			if len(n.Pipe.Decl) == 0 && len(w.content) > 0 {
				f.content[n.Pipe.Pos] = slices.Sorted(maps.Keys(w.content))
			}
			continue // what it declares lasts
		case *parse.IfNode:
			f.condition("if", f.pipe(n.Pipe), n.Pipe)
			f.list(n.List)
			f.list(n.ElseList)
		case *parse.WithNode:
			w := f.pipe(n.Pipe)
			f.condition("with", w, n.Pipe)
			f.dot = append(f.dot, w)
			f.list(n.List)
			f.dot = f.dot[:len(f.dot)-1]
			f.list(n.ElseList)
		case *parse.RangeNode:
			f.rangeOver(n)
		}
		f.scope = f.scope[:depth]
	}
}

func (f *flow) rangeOver(n *parse.RangeNode) {
	decl := n.Pipe.Decl
	over := f.pipeOf(n.Pipe)
	if c := n.Pipe.Cmds[len(n.Pipe.Cmds)-1]; !isFunc(c, lists...) && !over.number && !over.fields {
		f.problem(int(n.Pipe.Position()), "", CodeTemplate, "make a list of it: "+strings.Join(lists, ", "),
			"range over %s, which is not a list", n.Pipe)
	}
	if len(over.content) > 0 {
		f.content[n.Pipe.Pos] = slices.Sorted(maps.Keys(over.content))
		if n.ElseList != nil && !over.asked && !over.number { // what is split is never empty
			f.condition("range", over, n.Pipe)
		}
	}
	element, index := over, over
	element.literal, element.number, element.whole, element.asked = nil, false, false, over.doc || len(over.content) == 0
	element.text, index.text = "each of "+over.text, "index of "+over.text
	element.fields = element.doc || element.fields && !over.number
	index.fields, index.doc, index.literal, index.asked = false, false, nil, len(over.content) == 0
	if over.number {
		index = public(index.text)
		index.whole = false
	}
	for i, v := range decl {
		w := element
		if len(decl) == 2 && i == 0 {
			w = index
		}
		f.declare(v, w)
	}
	f.dot = append(f.dot, element)
	f.loops++
	f.list(n.List)
	f.loops--
	f.dot = f.dot[:len(f.dot)-1]
	f.list(n.ElseList)
}

// condition checks what if and with depend on.
func (f *flow) condition(word string, w what, n parse.Node) {
	if len(w.content) > 0 && !w.asked {
		at, token := firstToken(n)
		f.problem(at, token, CodeContent, hintAsk, "%s depends on the value of %s", word, names(w.content))
	}
}

// firstToken returns a name in n that can be shown.
func firstToken(n parse.Node) (offset int, token string) {
	switch n := n.(type) {
	case *parse.PipeNode:
		return firstToken(n.Cmds[len(n.Cmds)-1].Args[0])
	case *parse.IdentifierNode:
		return int(n.Position()), n.Ident
	}
	return int(n.Position()), ""
}

func (f *flow) declare(v *parse.VariableNode, w what) {
	f.scope = append(f.scope, variable{v.Ident[0], v.Pos})
	f.set(v.Pos, w)
}

func (f *flow) set(pos parse.Pos, w what) {
	w.literal = nil
	if old, ok := f.vars[pos]; ok {
		w = old.join(w)
		if w.same(old) {
			return
		}
	}
	f.vars[pos], f.changed = w, true
}

func (f *flow) pipe(p *parse.PipeNode) what {
	w := f.pipeOf(p)
	for _, v := range p.Decl {
		if !p.IsAssign {
			f.declare(v, w)
			continue
		}
		if f.loops > 0 && len(w.content) > 0 {
			f.problem(int(v.Position()), v.Ident[0], CodeContent, "give each value a variable of its own, with :=",
				"a range repeatedly sets %s to something made of %s", v.Ident[0], names(w.content))
		}
		for i := len(f.scope) - 1; i >= 0; i-- {
			if f.scope[i].name == v.Ident[0] {
				f.set(f.scope[i].pos, w)
				break
			}
		}
	}
	return w
}

func (f *flow) pipeOf(p *parse.PipeNode) what {
	var w *what
	for _, c := range p.Cmds {
		next := f.command(c, w)
		w = &next
	}
	if w == nil {
		return public("")
	}
	return *w
}

func (f *flow) command(c *parse.CommandNode, piped *what) what {
	id, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok {
		if len(c.Args) > 1 {
			f.problem(int(c.Args[0].Position()), "", CodeTemplate, "write a function before them", "%s is not a function and takes no arguments", c.Args[0])
		}
		return f.node(c.Args[0])
	}
	var args []what
	for _, n := range c.Args[1:] {
		args = append(args, f.node(n))
	}
	if piped != nil {
		args = append(args, *piped)
	}
	return f.call(id, c.Args[1:], args)
}

func (f *flow) node(n parse.Node) what {
	switch n := n.(type) {
	case *parse.IdentifierNode:
		return f.call(n, nil, nil)
	case *parse.StringNode:
		return what{asked: true, whole: true, text: n.Quoted, literal: &n.Text}
	case *parse.FieldNode:
		if len(f.dot) == 0 {
			return f.input(n.Ident, n)
		}
		return f.fieldsOf(f.dot[len(f.dot)-1], n.Ident, n, fieldOffset(n))
	case *parse.DotNode:
		if len(f.dot) > 0 {
			return f.dot[len(f.dot)-1]
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			if len(n.Ident) > 1 {
				return f.input(n.Ident[1:], n)
			}
			break
		}
		for i := len(f.scope) - 1; i >= 0; i-- {
			if v := f.scope[i]; v.name == n.Ident[0] {
				w := f.vars[v.pos]
				if strings.Contains(w.text, "?") {
					w.text = brief(fmt.Sprintf("%s %d %s", v.name, n.Pos, f.a.text)) // it may be something else in each place
				}
				if len(n.Ident) == 1 {
					return w
				}
				return f.fieldsOf(w, n.Ident[1:], n, int(n.Position())-len(n.Ident[0]))
			}
		}
	case *parse.ChainNode:
		return f.fieldsOf(f.node(n.Node), n.Field, n, int(n.Position()))
	case *parse.PipeNode:
		return f.pipeOf(n) // one in parentheses declares nothing
	}
	return what{asked: true, whole: true, text: n.String()}
}

// input is what is known of an input, alone or with fields that it has not.
func (f *flow) input(path []string, n parse.Node) what {
	in, ok := f.a.input(path[0])
	name, alone := Named(path)
	switch {
	case !ok || !alone || name != in.Name && in.KeepsPrevious() == 0: // analysis has complained of it
		return public(n.String())
	case in.Default != nil:
		return what{asked: true, whole: true, text: "." + path[0], literal: in.Default}
	}
	return what{content: map[string]bool{name: true}, asked: true, whole: true, text: "." + name}
}

// fieldsOf is path in w.
func (f *flow) fieldsOf(w what, path []string, n parse.Node, at int) what {
	if !w.fields {
		token, hint := n.String(), "use the value alone"
		switch n := n.(type) {
		case *parse.FieldNode:
			hint = "inside with and range write $" + n.String()
			if "."+n.Ident[0] == PreviousSuffix {
				hint = "name the input, as in $.JWT_SECRET.previous"
			}
			f.problem(at, token, CodeTemplate, hint,
				"%s is a field of the value that with or range has selected, and values have no fields", n)
			return public(token)
		case *parse.VariableNode:
			hint = "use " + n.Ident[0] + " alone"
		case *parse.ChainNode:
			token = "." + n.Field[0]
		}
		f.problem(at, token, CodeTemplate, hint, "%s: values have no fields", n)
		return public(token)
	}
	for _, name := range path {
		f.cannotHold(at, "", w)
		w.text += "." + name
		w.literal, w.whole = nil, false
		w.asked = w.doc || len(w.content) == 0
	}
	return w
}

// fieldOffset is where n begins: the parser says where the second of its fields stands, if there is one.
func fieldOffset(n *parse.FieldNode) int {
	at := int(n.Position())
	if len(n.Ident) > 1 {
		at -= len("." + n.Ident[0])
	}
	return at
}

// cannotHold reports what the operator does otherwise: it prints "<no value>" for
// what is not there.
func (f *flow) cannotHold(at int, token string, w what) {
	if f.external && !w.number {
		f.problem(at, token, CodeExternalTemplate, hintExternal, "template takes a part of a value, and the operator prints <no value> if the part is missing")
	}
}

const hintExternal = `give the property an input of its own, as with remote: "NAME#PROPERTY"; or write delivery: kind: "sealed"`

// decoders are functions of which the operator's print an error's text, or 0, in
// place of failing (https://masterminds.github.io/sprig/encoding.html).
var decoders = map[string]string{
	"b64dec": `write encoding: "base64" at the input, which decodes it`,
	"b32dec": `write delivery: kind: "sealed"`,
	"atoi":   "print it as it is",
	"int":    "print it as it is",
}

// call is what a function makes of args. nodes are the arguments that stand
// behind its name, without the one that is piped.
func (f *flow) call(id *parse.IdentifierNode, nodes []parse.Node, args []what) what {
	name, at := id.Ident, int(id.Position())
	fn, ok := functions[name]
	if !ok {
		return public(name) // analysis has complained of it
	}
	if len(args) < fn.min || fn.max >= 0 && len(args) > fn.max || name == "dict" && len(args)%2 == 1 {
		f.problem(at, name, CodeTemplate, "see https://pkg.go.dev/text/template#hdr-Functions and https://masterminds.github.io/sprig/",
			"%s takes %s, and gets %d", name, fn.takes(name), len(args))
		return public(name)
	}
	text := name
	w := what{content: map[string]bool{}}
	for i, arg := range args {
		text += " (" + arg.text + ")"
		if !fn.selectors(i) {
			maps.Copy(w.content, arg.content)
		} else if len(arg.content) > 0 {
			f.problem(at, name, CodeContent, "write in the contract what "+name+" should take",
				"%s depends on the value of %s", name, names(arg.content))
		}
	}
	text = brief(text)
	w.text = text
	last := args[max(0, len(args)-1):]
	f.holds(name, at, args, w)
	if len(w.content) == 0 {
		w.asked, w.whole = true, name == "default" || name == "coalesce" || name == "or" || name == "and"
		w.fields = name == "fromJson" || name == "dict" || name == "split" || name == "urlParse" || name == "index" || name == "get" ||
			fn.kind == chooses && slices.ContainsFunc(args, func(a what) bool { return a.fields }) || name == "first" || name == "last"
		w.number = name == "list" || name == "splitList"
		return w
	}
	inner := last[0]
	switch fn.kind {
	case asks:
		switch {
		case name == "hasKey" && args[0].doc:
			return what{asked: true, text: text}
		case (name == "eq" || name == "ne") && len(args) == 2 && (emptyText(args[1]) && asksPresence(args[0]) || emptyText(args[0]) && asksPresence(args[1])):
			return what{asked: true, text: text}
		}
		f.problem(at, name, CodeContent, hintAsk, "%s reveals something about the value of %s", name, names(w.content))
		return public(text)
	case chooses:
		return f.choose(name, at, args, w)
	case opens:
		return f.open(name, at, args, w)
	case keeps:
		w.asked = inner.asked && len(args) == 1 && !inner.doc
	case makes:
		w.fields = name == "dict"
		w.number = name == "list"
		w.whole = name == "b64dec" && inner.whole
		if name == "printf" {
			f.format(at, args)
		}
	case alters:
		w.fields = name == "split" || name == "urlParse" || (name == "first" || name == "last") && inner.doc
		w.number = name == "splitList"
		f.constant(name, at, fn, args)
	}
	if fn.kind == alters || !slices.Contains(lengthOnly, name) && slices.ContainsFunc(args, func(a what) bool { return len(a.content) > 0 && !a.whole }) {
		f.question(w)
	}
	return w
}

// brief keeps what stands for a value from growing without end: a variable that
// is twice in the next, forty times over, would.
func brief(text string) string {
	if len(text) <= 256 {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (fn function) takes(name string) string {
	switch {
	case name == "dict":
		return "keys and values in turn"
	case fn.max < 0:
		return fmt.Sprintf("at least %s", count(fn.min))
	case fn.min != fn.max:
		return fmt.Sprintf("%d to %s", fn.min, count(fn.max))
	}
	return count(fn.min)
}

func count(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

func emptyText(w what) bool { return w.literal != nil && *w.literal == "" }

// asksPresence reports whether comparing w with nothing asks for presence.
func asksPresence(w what) bool { return w.asked && !w.doc }

func (f *flow) question(w what) {
	for name := range w.content {
		if f.questions[name] == nil {
			f.questions[name] = map[string]bool{}
		}
		f.questions[name][w.text] = true
	}
}

// choose is what and, or, not, default, coalesce, empty and ternary make: they
// choose by whether what they test is there.
func (f *flow) choose(name string, at int, args []what, w what) what {
	tested := args
	switch name {
	case "default":
		tested = args[1:]
	case "ternary":
		tested = args[2:]
	}
	for _, t := range tested {
		if len(t.content) > 0 && !t.asked {
			f.problem(at, name, CodeContent, hintAsk, "%s depends on the value of %s", name, names(t.content))
			break
		}
		if len(t.content) > 0 && t.doc {
			f.cannotHold(at, name, t)
		}
	}
	if name == "not" || name == "empty" {
		return what{asked: true, text: w.text}
	}
	given := args
	if name == "ternary" {
		given = args[:2]
	}
	r := given[0]
	for _, g := range given[1:] {
		r = r.join(g)
	}
	// What is empty of them was ignored, but for the last.
	r.text, r.literal, r.asked = w.text, nil, true
	for _, g := range given {
		r.asked = r.asked && (g.asked || len(g.content) == 0)
	}
	return r
}

// open is what fromJson, index and get make.
func (f *flow) open(name string, at int, args []what, w what) what {
	w.doc = args[0].doc
	if name == "fromJson" {
		w.doc = args[0].whole
	}
	w.asked = w.doc
	w.fields = true
	if !args[0].doc && name == "index" {
		w.fields = args[0].fields
	}
	if !w.doc || name == "fromJson" && !args[0].asked {
		f.question(w)
	}
	if name != "fromJson" && !args[0].doc {
		f.constant(name, at, functions[name], args)
	}
	return w
}

// constant checks that the contract says what name selects of a value.
func (f *flow) constant(name string, at int, fn function, args []what) {
	for i, arg := range args {
		if !fn.selectors(i) || len(arg.content) > 0 {
			continue
		}
		switch name {
		case "replace", "split", "splitList", "trimAll":
			if arg.literal == nil || !neutral.MatchString(*arg.literal) {
				f.problem(at, name, CodeContent, "replace, split at and trim only punctuation, white space or an escape such as \\n or %20",
					"%s of a value that would reveal letters and digits", name)
			}
			continue
		}
		if arg.literal == nil && !isConstant(arg.text) {
			f.problem(at, name, CodeContent, "write it as a literal", "%s of a value uses something other than a literal", name)
		}
	}
}

var number = lazy.MustCompile(`^[-+]?[0-9]+$`)

func isConstant(text string) bool { return number.MatchString(text) }

// format checks the format of a printf that prints content.
func (f *flow) format(at int, args []what) {
	if args[0].literal == nil {
		f.problem(at, "printf", CodeContent, "write it as a literal", "the format of printf is not a literal")
		return
	}
	rest := plainVerbs.ReplaceAllString(*args[0].literal, "")
	if strings.Contains(rest, "%") {
		f.problem(at, "printf", CodeContent, "use %s, %q or %v", "printf of a value with a verb that is not %%s, %%q or %%v")
	}
	for _, verb := range plainVerbs.FindAllString(*args[0].literal, -1) {
		if strings.ContainsAny(verb, ".123456789") {
			w := what{content: map[string]bool{}, text: *args[0].literal}
			for _, arg := range args[1:] {
				maps.Copy(w.content, arg.content)
				w.text += " " + arg.text
			}
			f.question(w)
		}
	}
}

// holds reports what the operator would do otherwise.
func (f *flow) holds(name string, at int, args []what, w what) {
	if !f.external {
		return
	}
	switch name {
	case "fromJson":
		f.problem(at, name, CodeExternalTemplate, hintExternal,
			"fromJson: the operator rounds large numbers, and prints <no value> for a missing property and for what is not JSON")
	case "get", "split":
		f.cannotHold(at, name, what{})
	case "index", "first", "last":
		f.cannotHold(at, name, args[0])
	}
	if hint := decoders[name]; hint != "" && len(w.content) > 0 {
		f.problem(at, name, CodeExternalTemplate, hint, "%s: the operator continues with something else where it fails", name)
	}
}
