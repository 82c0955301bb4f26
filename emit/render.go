package emit

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// functions returns those of [plan.Functions] that text/template lacks.
func functions() template.FuncMap {
	fns := sprig.TxtFuncMap()
	for name := range fns {
		if !plan.Functions[name] {
			delete(fns, name)
		}
	}
	fns[something] = func(v any) (any, error) {
		switch reflect.ValueOf(v).Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
			return v, nil
		}
		return nil, errors.New("nothing to print, or a list")
	}
	// Sprig returns the text of an error, or 0, in place of one.
	fns["b64dec"] = func(s string) (string, error) {
		b, err := base64.StdEncoding.DecodeString(s)
		return string(b), err
	}
	fns["b32dec"] = func(s string) (string, error) {
		b, err := base32.StdEncoding.DecodeString(s)
		return string(b), err
	}
	fns["atoi"] = strconv.Atoi
	fns["printf"] = func(format string, args ...any) (string, error) {
		s := fmt.Sprintf(format, args...)
		if mistakes(s) > mistakes(append(args, format)...) {
			return "", errors.New("a verb that does not fit its value")
		}
		return s, nil
	}
	return fns
}

// mistakes counts what package fmt writes for a verb that does not fit.
func mistakes(vs ...any) (n int) {
	for _, v := range vs {
		n += strings.Count(fmt.Sprint(v), "%!")
	}
	return n
}

// something is a function that fails for what has no text of its own. The
// compiler lets no template call it; render appends it to each pipeline that
// prints. For text/template prints "<no value>" for nil, which is what index,
// first and fromJson return where there is nothing, and "map[...]" for what
// urlParse returns, and these are no part of a secret.
const something = "something"

func printSomething(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				f := parse.NewIdentifier(something).SetPos(n.Pos)
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{f}})
			}
		case *parse.IfNode:
			printSomething(n.List)
			printSomething(n.ElseList)
		case *parse.WithNode:
			printSomething(n.List)
			printSomething(n.ElseList)
		case *parse.RangeNode:
			printSomething(n.List)
			printSomething(n.ElseList)
		}
	}
}

// capped is a buffer that holds as much as a Secret may.
type capped struct{ bytes.Buffer }

var errTooLong = fmt.Errorf("the template renders to more than the %d bytes that Kubernetes allows", corev1.MaxSecretSize)

func (c *capped) Write(b []byte) (int, error) {
	if c.Len()+len(b) > corev1.MaxSecretSize {
		return 0, errTooLong
	}
	return c.Buffer.Write(b)
}

// render fills in a template that the compiler has checked. The error says
// where the template fails, and no more: what text/template says may quote
// the values.
func render(t *plan.Template, fns template.FuncMap, data map[string]string) ([]byte, error) {
	tmpl, err := template.New("template").Option("missingkey=error").Funcs(fns).Parse(t.Text)
	if err == nil {
		printSomething(tmpl.Root)
		var out capped
		if err = tmpl.Execute(&out, data); err == nil {
			return out.Bytes(), nil
		}
		if errors.Is(err, errTooLong) {
			return nil, errTooLong
		}
	}
	// "template: NAME:LINE:COLUMN: ...", the column counted from 0; a parse error has none.
	var line, column int
	switch n, _ := fmt.Sscanf(err.Error(), "template: template:%d:%d:", &line, &column); n {
	case 2:
		return nil, fmt.Errorf("the template fails at its line %d, column %d", line, column+1)
	case 1:
		return nil, fmt.Errorf("the template fails at its line %d", line)
	}
	return nil, fmt.Errorf("the template fails")
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
	if size > corev1.MaxSecretSize {
		ds.Errorf(plan.CodeSecretTooBig, s.Pos, "split it into several secrets",
			"the values of secret %s are %d bytes together; Kubernetes allows %d", secretID{s.Namespace, s.Name}, size, corev1.MaxSecretSize)
	}
}

// contentOf makes the content of k from the values. It reports false if that
// fails, with the error in ds.
func contentOf(k plan.Key, of string, p *plan.Plan, values value.Set, fns template.FuncMap, ds *plan.Diagnostics) (content, bool) {
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
		}
	default:
		text := make(map[string]string, len(data))
		for name, b := range data {
			text[name] = string(b)
		}
		var err error
		if c.bytes, err = render(k.Template, fns, text); errors.Is(err, errTooLong) {
			ds.Errorf(plan.CodeSecretTooBig, k.Pos, "split it into several secrets", "key %q of secret %s: %v", k.Name, of, err)
			return content{}, false
		} else if err != nil {
			ds.Errorf(plan.CodeRender, k.Pos, "look for an input whose value is not what the template takes it for",
				"key %q of secret %s: %v", k.Name, of, err)
			return content{}, false
		}
		if len(c.bytes) == 0 {
			c.leftOut = "its template renders to nothing"
		}
	}
	return c, true
}
