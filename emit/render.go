package emit

import (
	"bytes"
	"cmp"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/shape"
)

// The limits of one rendering. A contract may come from anyone, and must not be
// able to fill the memory or to go on without end. Nothing on the way may be
// bigger than maxValue, all functions together may handle maxWork bytes, and a
// step costs as much as stepWork of them, so a template ends after a second or so.
const (
	maxValue = 4 * shape.MaxSecretSize
	maxWork  = 64 << 20
	stepWork = 256
)

var errLimit = errors.New("the template does more than is allowed")

// absent stands for a property or a part that is not there. It is false to if,
// with, default and the like, and an error to all else.
type absent []struct{}

// cause is why a function of a template fails, in words that hold nothing of a
// value: those alone are shown.
type cause string

func (c cause) Error() string { return string(c) }

const (
	errAbsent     cause = "a property or a part is missing"
	errNotBase64  cause = "a value is not valid base64"
	errNotBase32  cause = "a value is not valid base32"
	errNotInteger cause = "a value is not an integer"
	errNoText     cause = "a value is a list or an object, not text: use toJson"
)

// rendering is one execution of a template.
type rendering struct {
	work    int
	printed map[string]bool // the inputs whose content was printed, empty or not
}

// spend takes n bytes off what is left to be handled.
func (r *rendering) spend(n int) error {
	if r.work -= n; r.work < 0 || n < 0 {
		return errLimit
	}
	return nil
}

// sizeOf is how much v comes to when it is written out. It stops at maxValue:
// lists of lists of themselves have no end that anyone lives to see.
func sizeOf(v any) int {
	n := 0
	add(reflect.ValueOf(v), &n)
	return n
}

func add(v reflect.Value, n *int) {
	if *n++; *n > maxValue {
		return
	}
	switch v.Kind() {
	case reflect.String:
		*n += v.Len()
	case reflect.Interface, reflect.Pointer:
		add(v.Elem(), n)
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && *n <= maxValue; i++ {
			add(v.Index(i), n)
		}
	case reflect.Map:
		for it := v.MapRange(); *n <= maxValue && it.Next(); {
			add(it.Key(), n)
			add(it.Value(), n)
		}
	default:
		*n += 8
	}
}

// lenient are the functions that take what is not there.
var lenient = map[string]bool{"default": true, "coalesce": true, "empty": true, "ternary": true}

// containers are the functions that take lists and objects. The others would
// print them as Go does.
var containers = map[string]bool{
	"default": true, "coalesce": true, "empty": true, "ternary": true, "dict": true, "first": true, "get": true, "hasKey": true,
	"index": true, "join": true, "last": true, "len": true, "list": true, "toJson": true, "urlJoin": true, property: true,
	something: true, ranged: true,
}

// base are the functions of a template, without limits: those of sprig, and in
// the place of some of its own and of text/template's such as fail where these
// return the text of an error, 0 or "", and such as know beforehand how much
// they are going to make.
var base = sync.OnceValue(func() map[string]any {
	fns := map[string]any{}
	for name, fn := range sprig.TxtFuncMap() {
		if plan.Functions[name] {
			fns[name] = fn
		}
	}
	maps.Copy(fns, map[string]any{
		"b64dec": func(s string) (string, error) {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return "", errNotBase64
			}
			return string(b), nil
		},
		"b32dec": func(s string) (string, error) {
			b, err := base32.StdEncoding.DecodeString(s)
			if err != nil {
				return "", errNotBase32
			}
			return string(b), nil
		},
		"atoi": atoi,
		"int": func(v any) (int, error) {
			switch v := v.(type) {
			case int:
				return v, nil
			case float64:
				if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
					return 0, errNotInteger
				}
				return int(v), nil
			case string:
				return atoi(v)
			case json.Number:
				return atoi(string(v))
			}
			return 0, cause("a value is not a number")
		},
		"fromJson": func(s string) (any, error) { return value.ParseJSON([]byte(s)) },
		"toJson": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"get": func(d any, key string) (any, error) { return part(d, key) },
		"hasKey": func(d any, key string) (bool, error) {
			v, err := part(d, key)
			_, not := v.(absent)
			return !not, err
		},
		"index": func(v any, keys ...any) (any, error) {
			var err error
			for _, key := range keys {
				if v, err = part(v, key); err != nil {
					return nil, err
				}
			}
			return v, nil
		},
		"len": func(v any) (int, error) {
			switch v := reflect.ValueOf(v); v.Kind() {
			case reflect.String, reflect.Slice, reflect.Map:
				return v.Len(), nil
			}
			return 0, cause("a value has no length")
		},
		"eq": func(v any, others ...any) (bool, error) {
			for _, o := range others {
				if c, err := compare(v, o); err != nil || c == 0 {
					return err == nil, err
				}
			}
			return false, nil
		},
		"ne":     comparison(func(c int) bool { return c != 0 }),
		"lt":     comparison(func(c int) bool { return c < 0 }),
		"le":     comparison(func(c int) bool { return c <= 0 }),
		"gt":     comparison(func(c int) bool { return c > 0 }),
		"ge":     comparison(func(c int) bool { return c >= 0 }),
		"printf": printf,
		"print":  fmt.Sprint, "println": fmt.Sprintln,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
		"replace": func(old, new, s string) (string, error) {
			if err := growth(len(s), strings.Count(s, old), len(new)); err != nil {
				return "", err
			}
			return strings.ReplaceAll(s, old, new), nil
		},
		"join": func(sep string, v any) (string, error) {
			list := reflect.ValueOf(v)
			if list.Kind() != reflect.Slice {
				return "", cause("a value is not a list")
			}
			if err := growth(sizeOf(v), list.Len(), len(sep)); err != nil {
				return "", err
			}
			var parts []string
			for i := range list.Len() {
				e := list.Index(i).Interface()
				if !hasText(e) {
					return "", errAbsent
				}
				parts = append(parts, fmt.Sprint(e))
			}
			return strings.Join(parts, sep), nil
		},
		"split": func(sep, s string) (map[string]string, error) {
			if err := tooMany(sep, s); err != nil {
				return nil, err
			}
			m := map[string]string{}
			for i, part := range strings.Split(s, sep) {
				m["_"+strconv.Itoa(i)] = part
			}
			return m, nil
		},
		"splitList": func(sep, s string) ([]string, error) {
			if err := tooMany(sep, s); err != nil {
				return nil, err
			}
			return strings.Split(s, sep), nil
		},
		"indent": indent,
		"nindent": func(spaces int, s string) (string, error) {
			s, err := indent(spaces, s)
			return "\n" + s, err
		},
		"regexMatch": func(pattern, s string) (bool, error) {
			re, err := expression(pattern)
			return err == nil && re.MatchString(s), err
		},
		"regexReplaceAll": func(pattern, s, repl string) (string, error) {
			re, err := expression(pattern)
			if err != nil {
				return "", err
			}
			var out []byte
			at := 0
			most := maxWork / (16 * (1 + re.NumSubexp())) // two numbers for each group of each match
			matches := re.FindAllStringSubmatchIndex(s, most)
			if len(matches) == most {
				return "", errLimit
			}
			for _, m := range matches {
				out = append(out, s[at:m[0]]...)
				if err := growth(len(out)+len(repl), strings.Count(repl, "$"), m[1]-m[0]); err != nil {
					return "", err
				}
				out = re.ExpandString(out, repl, s, m)
				at = m[1]
				if len(out) > maxValue {
					return "", errLimit
				}
			}
			return string(append(out, s[at:]...)), nil
		},
		property: func(v any, names ...string) (any, error) {
			var err error
			for _, name := range names {
				if v, err = part(v, name); err != nil {
					return nil, err
				}
			}
			return v, nil
		},
	})
	return fns
})

func comparison(holds func(int) bool) func(a, b any) (bool, error) {
	return func(a, b any) (bool, error) {
		c, err := compare(a, b)
		return err == nil && holds(c), err
	}
}

// compare orders two values of one type, as text/template does.
func compare(a, b any) (int, error) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), nil
		}
	case int:
		if b, ok := b.(int); ok {
			return cmp.Compare(a, b), nil
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b), nil
		}
	case bool:
		if b, ok := b.(bool); ok && a == b {
			return 0, nil
		} else if ok {
			return 1, nil
		}
	}
	return 0, cause("values of two types are compared")
}

func atoi(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errNotInteger
	}
	return n, nil
}

// part returns what v has under key, or absent. null is absent too.
func part(v, key any) (any, error) {
	if _, ok := v.(absent); ok {
		return v, nil
	}
	var found reflect.Value
	switch c := reflect.ValueOf(v); c.Kind() {
	case reflect.Map:
		name, ok := key.(string)
		if !ok {
			return nil, cause("a key is not text")
		}
		found = c.MapIndex(reflect.ValueOf(name))
	case reflect.Slice:
		i, ok := key.(int)
		if !ok {
			return nil, cause("an index is not a number")
		}
		if i >= 0 && i < c.Len() {
			found = c.Index(i)
		}
	default:
		return nil, cause("a value is neither a list nor an object")
	}
	if !found.IsValid() || found.Kind() == reflect.Interface && found.IsNil() {
		return absent(nil), nil
	}
	return found.Interface(), nil
}

// maxParts is how many parts a text may be split into: each takes a hundred bytes.
const maxParts = maxWork / 256

// tooMany reports whether a text would be split into too many.
func tooMany(sep, s string) error {
	if strings.Count(s, sep) > maxParts {
		return errLimit
	}
	return nil
}

// growth checks what a text of size bytes comes to when something of length n is
// put into it so many times.
func growth(size, times, n int) error {
	if n > 0 && times > maxValue/n || size+times*n > maxValue {
		return errLimit
	}
	return nil
}

func indent(spaces int, s string) (string, error) {
	if spaces < 0 {
		return "", cause("the number of spaces is negative")
	}
	if err := growth(len(s), 1+strings.Count(s, "\n"), spaces); err != nil {
		return "", err
	}
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
}

// expression compiles a pattern. A long one is none.
func expression(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > 1000 {
		return nil, errLimit
	}
	return regexp.Compile(pattern)
}

// matching is the work of compiling a pattern and of matching it with a text of size
// bytes, of which little makes a lot, as in x{1000}: the time goes by the product of
// both. One that does not compile takes none.
func matching(pattern string, size int) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || len(pattern) > 1000 {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst) * (size + stepWork) / 4
}

var width = lazy.MustCompile(`[0-9]+`)

// printf is that of text/template, but it fails for a verb that does not fit.
func printf(format string, args ...any) (string, error) {
	size := 0
	for _, digits := range width.FindAllString(format, -1) {
		n, err := strconv.Atoi(digits)
		if err != nil || n > maxValue {
			return "", errLimit
		}
		size += n
	}
	// One argument may be printed many times, as %[1]s is.
	longest, verbs := 0, strings.Count(format, "%")
	for _, arg := range args {
		longest = max(longest, sizeOf(arg))
	}
	if err := growth(len(format), verbs, longest); err != nil {
		return "", err
	}
	stars := strings.Count(format, "*")
	for _, arg := range args {
		if n, ok := arg.(int); ok && stars > 0 {
			size += min(max(n, -n, 0), maxValue) * stars
		}
	}
	if size > maxValue {
		return "", errLimit
	}
	s := fmt.Sprintf(format, args...)
	if mistakes(s) > mistakes(append(args, format)...) {
		return "", cause("a verb does not fit its value")
	}
	return s, nil
}

// mistakes counts what package fmt writes for a verb that does not fit.
func mistakes(vs ...any) (n int) {
	for _, v := range vs {
		n += strings.Count(fmt.Sprint(v), "%!")
	}
	return n
}

// hasText reports whether v is a text, a number or true or false.
func hasText(v any) bool {
	switch reflect.ValueOf(v).Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return false
}

// functions returns the functions for one rendering of a template with that text: of
// base those that it may name, for few name more than three, and to limit all of them
// takes longer than to render it.
func (r *rendering) functions(text string) template.FuncMap {
	fns := template.FuncMap{}
	for name, fn := range base() {
		if name == property || strings.Contains(text, name) {
			fns[name] = r.limited(name, fn)
		}
	}
	fns[something] = r.limited(something, func(inputs string, v any) (any, error) {
		if kind := reflect.ValueOf(v).Kind(); (kind == reflect.Map || kind == reflect.Slice) && reflect.TypeOf(v) != reflect.TypeFor[absent]() {
			return nil, errNoText
		}
		if !hasText(v) {
			return nil, errAbsent
		}
		return v, r.print(inputs)
	})
	fns[ranged] = r.limited(ranged, func(inputs string, v any) (any, error) { return v, r.print(inputs) })
	fns[step] = func(n int) (string, error) { return "", r.spend(n * stepWork) }
	return fns
}

func (r *rendering) print(inputs string) error {
	for _, name := range strings.Fields(inputs) {
		r.printed[name] = true
	}
	return nil
}

var errorType = reflect.TypeFor[error]()

// limited returns fn with what holds of all functions: it takes nothing that is
// not there, and neither takes nor makes more than may be.
func (r *rendering) limited(name string, fn any) any {
	f := reflect.ValueOf(fn)
	t := f.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	check := func(args []reflect.Value) error {
		size := 0
		one := func(v reflect.Value) error {
			for v.Kind() == reflect.Interface {
				v = v.Elem()
			}
			switch {
			case !v.IsValid() || v.Type() == reflect.TypeFor[absent]():
				if !lenient[name] {
					return errAbsent
				}
			case !containers[name] && (v.Kind() == reflect.Map || v.Kind() == reflect.Slice):
				return errNoText
			}
			add(v, &size)
			return nil
		}
		for i, arg := range args {
			if t.IsVariadic() && i == len(args)-1 {
				for j := range arg.Len() {
					if err := one(arg.Index(j)); err != nil {
						return err
					}
				}
				continue
			}
			if err := one(arg); err != nil {
				return err
			}
		}
		if size > maxValue {
			return errLimit
		}
		if strings.HasPrefix(name, "regex") {
			if err := r.spend(matching(args[0].String(), args[1].Len())); err != nil {
				return err
			}
		}
		return r.spend(size + stepWork)
	}
	return reflect.MakeFunc(reflect.FuncOf(in, []reflect.Type{t.Out(0), errorType}, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		failed := func(err error) []reflect.Value {
			return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(err)}
		}
		if err := check(args); err != nil {
			return failed(err)
		}
		var out []reflect.Value
		if t.IsVariadic() {
			out = f.CallSlice(args)
		} else {
			out = f.Call(args)
		}
		if len(out) == 2 && !out[1].IsNil() {
			return []reflect.Value{reflect.Zero(t.Out(0)), out[1]}
		}
		size := 0
		if add(out[0], &size); size > maxValue {
			return failed(errLimit)
		}
		if err := r.spend(size); err != nil {
			return failed(err)
		}
		return []reflect.Value{out[0], reflect.Zero(errorType)}
	}).Interface()
}

// The functions that no template may call. prepare puts them where they belong.
const (
	// something fails for what has no text of its own, and notes which inputs
	// have been printed. It stands behind each pipeline that prints. For
	// text/template prints "<no value>" for nil and "map[...]" for what urlParse
	// returns, and these are no part of a secret.
	something = "something"
	ranged    = "ranged"   // stands behind what is ranged over, and notes its inputs
	step      = "step"     // stands before each list, and counts what is in it
	property  = "property" // stands in the place of a field
)

// prepare adds to a template that the compiler has checked what its rendering
// has to know. root says that dot is the set of all inputs.
func prepare(l *parse.ListNode, t *plan.Template, root bool) {
	if l == nil {
		return
	}
	call := func(pos parse.Pos, name string, args ...parse.Node) *parse.CommandNode {
		f := parse.NewIdentifier(name).SetPos(pos)
		return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: append([]parse.Node{f}, args...)}
	}
	inputs := func(p *parse.PipeNode) parse.Node {
		return stringNode(p.Pos, strings.Join(t.Content[p.Pos], " "))
	}
	count := len(l.Nodes) + 1
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			count += len(n.Pipe.String()) / 8
			preparePipe(n.Pipe, root)
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, call(n.Pos, something, inputs(n.Pipe)))
			}
		case *parse.IfNode:
			count += len(n.Pipe.String()) / 8
			preparePipe(n.Pipe, root)
			prepare(n.List, t, root)
			prepare(n.ElseList, t, root)
		case *parse.WithNode:
			count += len(n.Pipe.String()) / 8
			preparePipe(n.Pipe, root)
			prepare(n.List, t, false)
			prepare(n.ElseList, t, root)
		case *parse.RangeNode:
			preparePipe(n.Pipe, root)
			n.Pipe.Cmds = append(n.Pipe.Cmds, call(n.Pos, ranged, inputs(n.Pipe)))
			prepare(n.List, t, false)
			prepare(n.ElseList, t, root)
		}
	}
	number := &parse.NumberNode{NodeType: parse.NodeNumber, Pos: l.Pos, IsInt: true, Int64: int64(count), Text: strconv.Itoa(count)}
	l.Nodes = slices.Insert(l.Nodes, 0, parse.Node(&parse.ActionNode{NodeType: parse.NodeAction, Pos: l.Pos, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: l.Pos, Cmds: []*parse.CommandNode{call(l.Pos, step, number)},
	}}))
}

func stringNode(pos parse.Pos, text string) parse.Node {
	return &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(text), Text: text}
}

// preparePipe puts a call of property in the place of each field of a value, for
// text/template prints nothing of its own choice for one that is not there.
func preparePipe(p *parse.PipeNode, root bool) {
	for _, c := range p.Cmds {
		for i, arg := range c.Args {
			c.Args[i] = prepareArg(arg, root)
		}
		if inner, ok := c.Args[0].(*parse.PipeNode); ok && len(c.Args) == 1 && len(p.Cmds) == 1 && len(inner.Cmds) == 1 && len(inner.Decl) == 0 {
			c.Args = inner.Cmds[0].Args
		}
	}
}

func prepareArg(n parse.Node, root bool) parse.Node {
	var of parse.Node
	var path []string
	switch n := n.(type) {
	case *parse.PipeNode:
		preparePipe(n, root)
		return n
	case *parse.FieldNode:
		if name, ok := plan.Named(n.Ident); root && ok {
			return &parse.FieldNode{NodeType: parse.NodeField, Pos: n.Pos, Ident: []string{name}}
		} else if root {
			return n
		}
		of, path = &parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident
	case *parse.VariableNode:
		if name, ok := plan.Named(n.Ident[1:]); ok && n.Ident[0] == "$" {
			return &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: []string{"$", name}}
		}
		if n.Ident[0] == "$" || len(n.Ident) == 1 {
			return n
		}
		of, path = &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}, n.Ident[1:]
	case *parse.ChainNode:
		of, path = prepareArg(n.Node, root), n.Field
	default:
		return n
	}
	args := []parse.Node{parse.NewIdentifier(property).SetPos(n.Position()), of}
	for _, name := range path {
		args = append(args, stringNode(n.Position(), name))
	}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Position(), Cmds: []*parse.CommandNode{
		{NodeType: parse.NodeCommand, Pos: n.Position(), Args: args},
	}}
}

// capped is a buffer that holds as much as a Secret may.
type capped struct{ bytes.Buffer }

var errTooLong = fmt.Errorf("the template renders to more than the %d bytes that Kubernetes allows", shape.MaxSecretSize)

func (c *capped) Write(b []byte) (int, error) {
	if c.Len()+len(b) > shape.MaxSecretSize {
		return 0, errTooLong
	}
	return c.Buffer.Write(b)
}

// render fills in a template that the compiler has checked, and returns the
// inputs whose content it has printed, if only as nothing. The error says where
// the template fails, and why where that is a [cause]: what text/template says
// otherwise may quote the values.
func render(t *plan.Template, data map[string]string) (out []byte, printed map[string]bool, err error) {
	r := &rendering{work: maxWork, printed: map[string]bool{}}
	tmpl, err := template.New("template").Option("missingkey=error").Funcs(r.functions(t.Text)).Parse(t.Text)
	if err == nil {
		prepare(tmpl.Root, t, true)
		var out capped
		if err = tmpl.Execute(&out, data); err == nil {
			return out.Bytes(), r.printed, nil
		}
		for _, limit := range []error{errTooLong, errLimit} {
			if errors.Is(err, limit) {
				return nil, nil, limit
			}
		}
	}
	// "template: NAME:LINE:COLUMN: ...", the column counted from 0; a parse error has none.
	var line, column int
	message := "the template fails"
	switch n, _ := fmt.Sscanf(err.Error(), "template: template:%d:%d:", &line, &column); n {
	case 2:
		message += fmt.Sprintf(" at its line %d, column %d", line, column+1)
	case 1:
		message += fmt.Sprintf(" at its line %d", line)
	}
	return nil, nil, errors.New(message + said(err))
}

// said is what may be shown of the error of a template.
func said(err error) string {
	if c, ok := errors.AsType[cause](err); ok {
		return ": " + c.Error()
	}
	for _, known := range []error{value.ErrNotJSON, value.ErrDuplicate, value.ErrNotText, value.ErrTooNested} {
		if errors.Is(err, known) {
			return ": " + known.Error()
		}
	}
	return ""
}

// content is what a key holds, as far as it is known.
type content struct {
	bytes   []byte // if known
	leftOut string // if known: why the key is left out; empty if it is not
	// unreadable are the inputs that hide the content, with the reasons that
	// resolution gave. The content is known if there are none.
	unreadable []unreadable
}

type unreadable struct {
	input, reason string
	remedy        string // if it is lost
}

func (c content) known() bool { return len(c.unreadable) == 0 }

// checkSize reports a secret that is bigger than Kubernetes allows.
func checkSize(s plan.Secret, size int, ds *plan.Diagnostics) {
	if size > shape.MaxSecretSize {
		ds.Errorf(plan.CodeSecretTooBig, s.Pos, "split it into several secrets",
			"the values of secret %s are %d bytes together; Kubernetes allows %d", tree.SecretID{Namespace: s.Namespace, Name: s.Name}, size, shape.MaxSecretSize)
	}
}

// contentOf makes the content of k from the values. It reports false if that
// fails, with the error in ds.
func contentOf(k plan.Key, of string, p *plan.Plan, values value.Set, ds *plan.Diagnostics) (content, bool) {
	if k.Value != nil {
		return content{bytes: []byte(*k.Value)}, true
	}
	var c content
	data := map[string][]byte{}
	for _, name := range k.Inputs() {
		in, _ := p.Input(name)
		r := values[name]
		switch {
		case in.Class == plan.Setting && in.Default != nil:
			data[name] = []byte(*in.Default)
		case r.State == value.Present:
			data[name] = r.Value.Reveal()
		case r.State == value.Absent && in.MayBeAbsent():
			data[name] = nil
		case r.State == value.Absent:
			// Resolution says so too, and first; a caller that went on all
			// the same must not get a tree without the key.
			ds.Errorf(plan.CodeMissing, k.Pos, "give it a value", "key %q of secret %s: its %s input %s is absent", k.Name, of, in.Class, name)
			return content{}, false
		default:
			c.unreadable = append(c.unreadable, unreadable{name, r.Reason, r.Remedy})
		}
	}
	switch {
	case !c.known():
	case k.Input != "":
		c.bytes = data[k.Input]
		if len(c.bytes) == 0 {
			c.leftOut = k.Input + " is absent"
			if in, _ := p.Input(k.Input); in.PreviousOf() != "" {
				c.leftOut = in.PreviousOf() + " has no previous value that counts"
			}
		}
	default:
		text := make(map[string]string, len(data))
		for name, b := range data {
			text[name] = string(b)
		}
		out, printed, err := render(k.Template, text)
		switch {
		case errors.Is(err, errTooLong):
			ds.Errorf(plan.CodeSecretTooBig, k.Pos, "split it into several secrets", "key %q of secret %s: %v", k.Name, of, err)
			return content{}, false
		case errors.Is(err, errLimit):
			ds.Errorf(plan.CodeRenderLimit, k.Pos, "produce less in the template", "key %q of secret %s: %v", k.Name, of, err)
			return content{}, false
		case err != nil:
			ds.Errorf(plan.CodeRender, k.Pos, "check the value of the input, or let the template allow a missing part, with hasKey or default",
				"key %q of secret %s: %v", k.Name, of, err)
			return content{}, false
		}
		if c.bytes = out; len(out) > 0 {
			break
		}
		// Whether a key is left out goes by which inputs are there, and the contract
		// says so: never by what is in them.
		var empty, gone []string
		for _, name := range k.Inputs() {
			if len(data[name]) == 0 {
				gone = append(gone, name)
			} else if printed[name] {
				empty = append(empty, name)
			}
		}
		if len(empty) > 0 || len(gone) == 0 && !k.Template.MayBeEmpty {
			what := "what it prints is empty"
			if len(empty) > 0 {
				what = plan.And(empty) + " is there"
			}
			ds.Errorf(plan.CodeRendersNothing, k.Pos, "put an if, with or default around it if it may be left out, or check the value",
				"key %q of secret %s: its template renders to nothing although %s", k.Name, of, what)
			return content{}, false
		}
		c.leftOut = "its template renders to nothing"
	}
	return c, true
}
