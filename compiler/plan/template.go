package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// Template is a template that has been checked: it parses, it uses only
// [Functions] and inputs that exist, and nothing in it prints an input that
// may be absent. An absent input is the empty string to it.
type Template struct {
	Text   string
	Inputs []string // the inputs that it mentions, sorted
	// MayBeEmpty says that it may render to nothing: all that it prints depends
	// on something.
	MayBeEmpty bool
	// Content are, by the position of a pipeline that prints or ranges, the inputs
	// whose content that does it with. If one of them is there, then something
	// must come of it.
	Content map[parse.Pos][]string
	// Questions are, by input, the things that it does with the input's content
	// of which the result tells something by its length or by failing.
	Questions map[string][]string
}

// The limits of a template's text. They keep all that walks through it from
// running out of stack: each parenthesis and each action may lie in the one before.
const (
	maxText  = 1 << 20
	maxNodes = 10000
)

// Functions are the functions that a template may use: the pure ones among
// those of text/template, and of sprig (https://masterminds.github.io/sprig/)
// as far as the External Secrets Operator has them too, so that a template
// means the same under every delivery. Left out is whatever is random, tells
// the time, or reads the machine, and set: what can be changed can be put into
// itself, and can be changed where no one looks.
var Functions = map[string]bool{
	"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"len": true, "index": true, "slice": true, "print": true, "printf": true, "println": true,
	"html": true, "js": true, "urlquery": true,

	"atoi": true, "b32dec": true, "b32enc": true, "b64dec": true, "b64enc": true, "cat": true, "coalesce": true,
	"contains": true, "default": true, "dict": true, "empty": true, "first": true, "fromJson": true, "get": true,
	"hasKey": true, "hasPrefix": true, "hasSuffix": true, "indent": true, "int": true, "join": true, "last": true,
	"list": true, "lower": true, "nindent": true, "quote": true, "regexMatch": true, "regexReplaceAll": true,
	"replace": true, "sha1sum": true, "sha256sum": true, "split": true, "splitList": true,
	"squote": true, "substr": true, "ternary": true, "title": true, "toJson": true, "toString": true, "trim": true,
	"trimAll": true, "trimPrefix": true, "trimSuffix": true, "trunc": true, "upper": true, "urlJoin": true,
	"urlParse": true,
}

// TemplateProblem is one thing wrong with a template. Offset is where in its
// text, in bytes; Token is what is there.
type TemplateProblem struct {
	Offset  int
	Token   string
	Code    Code
	Message string
	Hint    string
}

// ParseTemplate checks text against the inputs of a plan; external says that the
// External Secrets Operator is to render it. With problems, the template that it
// returns still names the inputs that were found.
func ParseTemplate(text string, input func(name string) (Input, bool), names []string, external bool) (*Template, []TemplateProblem) {
	a := &analysis{input: input, names: names, used: map[string]bool{}, text: text}
	if len(text) > maxText || strings.Count(text, "{{") > maxNodes || strings.Count(text, "(") > maxNodes {
		a.problem(0, "", CodeTemplateBig, "split it into several keys",
			"template is too big: it may have %d bytes, %d actions and %d parentheses", maxText, maxNodes, maxNodes)
		return &Template{Text: text}, a.problems
	}
	tree := parse.New("template")
	tree.Mode = parse.SkipFuncCheck // all unknown functions at once, with a position
	trees := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		line, message := parseErrorOf(err)
		a.problem(lineOffset(text, line), "", CodeTemplate, "see https://pkg.go.dev/text/template for the syntax",
			"template does not parse: %s", message)
		return &Template{Text: text}, a.problems
	}
	if len(trees) > 1 || trees["template"] != tree { // a define may take this very name
		a.problem(0, "", CodeTemplate, "write the text where it is needed", "template uses define or block, which are not available")
		return &Template{Text: text}, a.problems
	}
	t := &Template{Text: text, MayBeEmpty: !prints(tree.Root, false)}
	if tree.Root != nil {
		a.list(tree.Root, scope{root: true})
		f := a.follow(tree.Root, external)
		a.problems = append(a.problems, f.problems...)
		t.Content, t.Questions = f.content, map[string][]string{}
		for name, asked := range f.questions {
			t.Questions[name] = slices.Sorted(maps.Keys(asked))
		}
	}
	if len(a.problems) == 0 && !prints(tree.Root, true) {
		a.problem(0, "", CodePrintsNothing, "write what the key should hold, or remove the key", "template never prints anything")
	}
	t.Inputs = slices.Sorted(maps.Keys(a.used))
	slices.SortStableFunc(a.problems, func(x, y TemplateProblem) int { return x.Offset - y.Offset })
	return t, a.problems
}

// prints reports whether l prints something in any case; with ever, whether it
// does in some.
func prints(l *parse.ListNode, ever bool) bool {
	if l == nil {
		return false
	}
	either := func(n *parse.BranchNode) bool {
		yes, no := prints(n.List, ever), prints(n.ElseList, ever)
		return yes && no || ever && (yes || no)
	}
	return slices.ContainsFunc(l.Nodes, func(n parse.Node) bool {
		switch n := n.(type) {
		case *parse.TextNode:
			return len(n.Text) > 0
		case *parse.ActionNode:
			return len(n.Pipe.Decl) == 0
		case *parse.IfNode:
			return either(&n.BranchNode)
		case *parse.WithNode:
			return either(&n.BranchNode)
		case *parse.RangeNode:
			return ever && either(&n.BranchNode)
		case *parse.TemplateNode:
			return ever
		}
		return false
	})
}

// parseErrorOf takes "template: template:LINE: MESSAGE" apart.
func parseErrorOf(err error) (line int, message string) {
	message = err.Error()
	if rest, ok := strings.CutPrefix(message, "template: template:"); ok {
		var n int
		if _, e := fmt.Sscanf(rest, "%d:", &n); e == nil {
			if _, m, ok := strings.Cut(rest, ": "); ok {
				return n, m
			}
		}
	}
	return 1, strings.TrimPrefix(message, "template: ")
}

func lineOffset(text string, line int) int {
	off := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[off:], '\n')
		if i < 0 {
			break
		}
		off += i + 1
	}
	return off
}

// scope is what holds at a place of a template.
type scope struct {
	root    bool            // dot is the set of all inputs
	present map[string]bool // inputs that are known to be there
	// vars has the inputs without which a variable may be nothing, of those that
	// a condition has set and that have turned out to be false.
	vars map[string]map[string]bool
}

// set returns s with a variable that needs the inputs in needs.
func (s scope) set(name string, needs map[string]bool) scope {
	if len(needs) == 0 && s.vars[name] == nil {
		return s
	}
	vars := maps.Clone(s.vars)
	if vars == nil {
		vars = map[string]map[string]bool{}
	}
	vars[name] = needs
	s.vars = vars
	return s
}

func (s scope) with(names map[string]bool) scope {
	p := maps.Clone(s.present)
	if p == nil {
		p = map[string]bool{}
	}
	maps.Copy(p, names)
	return scope{root: s.root, present: p, vars: s.vars}
}

func (s scope) inner() scope { return scope{root: false, present: s.present, vars: s.vars} }

type analysis struct {
	input    func(string) (Input, bool)
	names    []string
	used     map[string]bool
	text     string
	missed   map[string]bool // the inputs that were used though they may be absent, for a condition has asked
	problems []TemplateProblem
}

func (a *analysis) problem(offset int, token string, code Code, hint, format string, args ...any) {
	a.problems = append(a.problems, TemplateProblem{
		Offset: offset, Token: token, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func (a *analysis) list(l *parse.ListNode, s scope) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			a.pipe(n.Pipe, s, false)
			for _, v := range n.Pipe.Decl {
				s = s.set(v.Ident[0], nil)
			}
		case *parse.IfNode:
			a.branch(&n.BranchNode, s, s)
		case *parse.WithNode:
			a.branch(&n.BranchNode, s, s.inner())
		case *parse.RangeNode:
			a.pipe(n.Pipe, s, true)
			body := s.inner()
			for _, v := range n.Pipe.Decl {
				body = body.set(v.Ident[0], nil)
			}
			a.list(n.List, body)
			a.list(n.ElseList, s)
		case *parse.TemplateNode:
			a.problem(int(n.Position())+len(`"`), n.Name, CodeTemplate, "write the text where it is needed",
				"template calls another template, which is not available")
		}
	}
}

// branch walks if and with: body is the scope of the first list but for what
// the condition proves.
func (a *analysis) branch(n *parse.BranchNode, s, body scope) {
	a.missed = map[string]bool{}
	a.pipe(n.Pipe, s, true)
	missed := a.missed
	a.missed = nil
	yes, no := a.proves(n.Pipe, s)
	for _, v := range n.Pipe.Decl {
		body, s = body.set(v.Ident[0], nil), s.set(v.Ident[0], missed)
	}
	a.list(n.List, body.with(yes))
	a.list(n.ElseList, s.with(no))
}

// pipe checks every use of an input in p. In a condition, an absent input is
// just false, so it needs no guard.
func (a *analysis) pipe(p *parse.PipeNode, s scope, guarded bool) {
	if p == nil {
		return
	}
	for i, c := range slices.Backward(p.Cmds) {
		switch n := c.Args[0].(type) {
		case *parse.FieldNode, *parse.VariableNode:
			if i > 0 {
				a.problem(int(c.Position()), "", CodeTemplate, "write a function after |", "%s comes after | and is not a function", n)
			}
		}
		a.command(c, s, guarded)
		guarded = isFunc(c, "default", "coalesce", "or", "empty") || guarded && passesOn(c)
	}
}

// asking are the functions that tell an absent input from one that is there,
// or pass it on as the empty string that it is. Behind any other, if, with and
// default would take something made from nothing for a value.
var asking = map[string]bool{
	"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"len": true, "empty": true, "default": true, "coalesce": true, "ternary": true,
	"contains": true, "hasPrefix": true, "hasSuffix": true, "regexMatch": true,
	"b32dec": true, "b32enc": true, "b64dec": true, "b64enc": true, "html": true, "js": true, "lower": true,
	"replace": true, "substr": true, "title": true, "toString": true, "trim": true, "trimAll": true, "trimPrefix": true,
	"trimSuffix": true, "trunc": true, "upper": true, "urlquery": true,
}

// passesOn reports whether a command is a value alone, or a call of a function
// that asks.
func passesOn(c *parse.CommandNode) bool {
	id, ok := c.Args[0].(*parse.IdentifierNode)
	return !ok || asking[id.Ident]
}

// lists are the functions over whose results a template may range. A number is
// none: to count to it could take forever.
var lists = []string{"dict", "fromJson", "list", "split", "splitList"}

// maxNumber bounds the numbers of a template: indent would fill the memory with
// a greater one, and no Secret is longer.
const maxNumber = 1 << 20

func isFunc(c *parse.CommandNode, names ...string) bool {
	id, ok := c.Args[0].(*parse.IdentifierNode)
	return ok && slices.Contains(names, id.Ident)
}

func (a *analysis) command(c *parse.CommandNode, s scope, guarded bool) {
	last := len(c.Args) - 1
	guarded = guarded && passesOn(c)
	switch {
	case guarded:
	case isFunc(c, "empty"):
		guarded = true
	case isFunc(c, "default", "coalesce", "or") && last > 0:
		// What they fall back on, the first argument of default and the last of the others, must be there itself.
		fallback := 1
		if !isFunc(c, "default") {
			fallback = last
		}
		for i, arg := range c.Args {
			a.node(arg, s, i != fallback)
		}
		return
	}
	for _, arg := range c.Args {
		a.node(arg, s, guarded)
	}
}

func (a *analysis) node(n parse.Node, s scope, guarded bool) {
	switch n := n.(type) {
	case *parse.IdentifierNode:
		if n.Ident == "set" {
			a.problem(int(n.Position()), n.Ident, CodeUnknownFunc, `make the dict with all its keys: dict "a" 1 "b" 2`, "unknown function %q", n.Ident)
		} else if !Functions[n.Ident] {
			a.problem(int(n.Position()), n.Ident, CodeUnknownFunc,
				DidYouMean(n.Ident, slices.Sorted(maps.Keys(Functions)), "`victorgen explain VG1204` lists the functions"),
				"unknown function %q", n.Ident)
		}
	case *parse.NumberNode:
		if n.IsInt && (n.Int64 > maxNumber || n.Int64 < -maxNumber) || !n.IsInt && n.IsFloat && math.Abs(n.Float64) > maxNumber {
			a.problem(int(n.Position()), n.Text, CodeTemplate, "no secret is that long", "number %s is too large", n.Text)
		}
	case *parse.FieldNode:
		if s.root {
			a.use(n.Ident, n, fieldOffset(n)+len("."), guarded, s)
		}
	case *parse.VariableNode:
		at := int(n.Position()) // of the first field, if there is one
		switch {
		case n.Ident[0] == "$" && len(n.Ident) == 1:
			a.whole(n)
		case n.Ident[0] == "$":
			a.use(n.Ident[1:], n, at+len("."), guarded, s)
		default:
			a.variable(n, guarded, s)
		}
	case *parse.DotNode:
		if s.root {
			a.whole(n)
		}
	case *parse.ChainNode:
		a.node(n.Node, s, guarded)
	case *parse.PipeNode:
		a.pipe(n, s, guarded)
	}
}

func (a *analysis) whole(n parse.Node) {
	a.problem(int(n.Position()), n.String(), CodeTemplate, "name one input, as in {{.DB_HOST}}", "%s is all inputs at once", n)
}

// variable checks that a variable which a condition has set is not printed where
// that was false.
func (a *analysis) variable(n *parse.VariableNode, guarded bool, s scope) {
	for _, name := range slices.Sorted(maps.Keys(s.vars[n.Ident[0]])) {
		switch {
		case s.present[name]:
		case guarded:
			if a.missed != nil {
				a.missed[name] = true
			}
		default:
			a.problem(int(n.Position()), n.Ident[0], CodeUnguarded, "print something else there, or nothing",
				"template prints %s where %s is absent", n.Ident[0], name)
			return
		}
	}
}

// use checks the input path[0], whose name stands at offset at.
func (a *analysis) use(path []string, n parse.Node, at int, guarded bool, s scope) {
	name := path[0]
	in, ok := a.input(name)
	if ok && len(path) == 2 && "."+path[1] == PreviousSuffix {
		if in.KeepsPrevious() == 0 {
			a.problem(at, name, CodePrevious, HintKeep(in), "template uses the previous value of %s, which does not keep one", name)
			return
		}
		name, path = name+PreviousSuffix, path[:1]
		in = in.previous(Source{})
	}
	if !ok {
		a.problem(at, name, CodeUnknownInput,
			DidYouMean(name, a.names, "declare it under inputs"), "template uses unknown input %q", name)
		return
	}
	a.used[name] = true
	if len(path) > 1 {
		a.problem(at, name, CodeTemplate, "use ."+name+" alone", "%s: values have no fields", n)
		return
	}
	if in.MayBeAbsent() && guarded && !s.present[name] && a.missed != nil {
		a.missed[name] = true
	}
	if in.MayBeAbsent() && !guarded && !s.present[name] {
		of := cmp.Or(in.PreviousOf(), name)
		what := fmt.Sprintf("%s input %s", in.Class, name)
		if in.PreviousOf() != "" {
			what = "the previous value of " + of
		}
		a.problem(at, of, CodeUnguarded,
			fmt.Sprintf("write {{with .%s}}...{{end}}, or give it a default: {{.%s | default \"...\"}}", name, name),
			"template prints %s without testing whether it is there", what)
	}
}

// field returns the input that n is, if it is just that.
func (a *analysis) field(n parse.Node, s scope) (string, bool) {
	switch n := n.(type) {
	case *parse.FieldNode:
		if s.root {
			return Named(n.Ident)
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return Named(n.Ident[1:])
		}
	case *parse.PipeNode:
		if len(n.Cmds) == 1 && len(n.Cmds[0].Args) == 1 {
			return a.field(n.Cmds[0].Args[0], s)
		}
	}
	return "", false
}

// Named returns the name of the input that a field of the set of all inputs is:
// one alone, or .previous of one.
func Named(path []string) (string, bool) {
	switch {
	case len(path) == 1:
		return path[0], true
	case len(path) == 2 && "."+path[1] == PreviousSuffix:
		return path[0] + PreviousSuffix, true
	}
	return "", false
}

// HintKeep says how an input keeps its previous value.
func HintKeep(in Input) string {
	if in.Class != Generated {
		return "only generated inputs have one; make it a schema.#Generated"
	}
	return "set in its generate how long it counts, as in keepPrevious: \"24h\""
}

// proves returns the inputs that must be present where a condition is true,
// and where it is false.
func (a *analysis) proves(n parse.Node, s scope) (yes, no map[string]bool) {
	if name, ok := a.field(n, s); ok {
		return map[string]bool{name: true}, nil
	}
	p, ok := n.(*parse.PipeNode)
	if !ok || len(p.Cmds) != 1 || len(p.Cmds[0].Args) == 0 {
		return nil, nil
	}
	args := p.Cmds[0].Args
	if len(args) == 1 {
		return a.proves(args[0], s)
	}
	f, ok := args[0].(*parse.IdentifierNode)
	if !ok {
		return nil, nil
	}
	args = args[1:]
	switch f.Ident {
	case "not":
		yes, no := a.proves(args[0], s)
		return no, yes
	case "and", "or":
		for i, arg := range args {
			y, n := a.proves(arg, s)
			if f.Ident == "or" {
				y, n = n, y
			}
			// y: each must hold, so the proofs add up. n: any one may hold, so only what all prove.
			if i == 0 {
				yes, no = maps.Clone(y), maps.Clone(n)
				continue
			}
			if yes == nil {
				yes = map[string]bool{}
			}
			maps.Copy(yes, y)
			maps.DeleteFunc(no, func(name string, _ bool) bool { return !n[name] })
		}
		if f.Ident == "or" {
			return no, yes
		}
		return yes, no
	case "eq", "ne":
		if len(args) != 2 {
			return nil, nil
		}
		name, ok := a.field(args[0], s)
		str, isStr := args[1].(*parse.StringNode)
		if !ok || !isStr {
			return nil, nil
		}
		proved := map[string]bool{name: true}
		switch equal := f.Ident == "eq"; {
		case equal && str.Text != "":
			return proved, nil // equal to something
		case equal:
			return nil, proved // not equal to ""
		case str.Text == "":
			return proved, nil
		default:
			return nil, proved // not (not equal to something)
		}
	}
	return nil, nil
}

// Verbatim writes text as a template that renders to it, whatever follows.
func Verbatim(text string) string {
	text = strings.ReplaceAll(text, "{{", `{{"{{"}}`)
	if rest, ok := strings.CutSuffix(text, "{"); ok {
		text = rest + `{{"{"}}`
	}
	return text
}

// Inline returns the text of t with each input in known replaced by its value.
// Comments and trimmed spaces are gone from it.
func (t *Template) Inline(known map[string]string) string {
	tree := parse.New("template")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(t.Text, "", "", map[string]*parse.Tree{}); err != nil || tree.Root == nil {
		return t.Text // ParseTemplate has complained of it
	}
	inlineList(tree.Root, known)
	return tree.Root.String()
}

func inlineList(l *parse.ListNode, known map[string]string) {
	if l == nil {
		return
	}
	for i, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			n.Text = []byte(Verbatim(string(n.Text))) // without what was trimmed it may end where an action begins
		case *parse.ActionNode:
			inlinePipe(n.Pipe, known)
			if text, ok := constant(n.Pipe); ok {
				l.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(Verbatim(text))}
			}
		case *parse.IfNode:
			inlineBranch(&n.BranchNode, known)
		case *parse.WithNode:
			inlineBranch(&n.BranchNode, known)
		case *parse.RangeNode:
			inlineBranch(&n.BranchNode, known)
		}
	}
}

// Reference is a template that prints an input, for the operator to render.
func Reference(input string) string { return "{{ " + field(input) + " }}" }

// field is how a template of the operator names an input: what it knows them by
// need not be a word.
func field(input string) string {
	if strings.HasSuffix(input, PreviousSuffix) {
		return "(index $ " + strconv.Quote(input) + ")"
	}
	return "." + input
}

// constant returns the text that p prints, if it is just that.
func constant(p *parse.PipeNode) (string, bool) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return "", false
	}
	s, ok := p.Cmds[0].Args[0].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return s.Text, true
}

func inlineBranch(n *parse.BranchNode, known map[string]string) {
	inlinePipe(n.Pipe, known)
	inlineList(n.List, known)
	inlineList(n.ElseList, known)
}

// inlinePipe needs no scope: where dot is not the set of all inputs, a template
// that is checked for external delivery has no field of it.
func inlinePipe(p *parse.PipeNode, known map[string]string) {
	for _, c := range p.Cmds {
		for i, arg := range c.Args {
			var name string
			switch arg := arg.(type) {
			case *parse.FieldNode:
				name, _ = Named(arg.Ident)
			case *parse.VariableNode:
				if arg.Ident[0] == "$" {
					name, _ = Named(arg.Ident[1:])
				}
			case *parse.PipeNode:
				inlinePipe(arg, known)
			}
			if text, ok := known[name]; ok {
				c.Args[i] = &parse.StringNode{NodeType: parse.NodeString, Pos: arg.Position(), Quoted: strconv.Quote(text), Text: text}
			} else if strings.HasSuffix(name, PreviousSuffix) {
				c.Args[i] = parse.NewIdentifier(field(name)).SetPos(arg.Position())
			}
		}
	}
}
