package emit

import (
	"bytes"
	"errors"
	"fmt"
	"text/template"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"

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
		if v == nil {
			return nil, errors.New("nothing to print")
		}
		return v, nil
	}
	return fns
}

// something is a function that fails for nil. The compiler lets no template
// call it; render appends it to each pipeline that prints. For text/template
// prints "<no value>" for nil, which is what index, first and fromJson return
// where there is nothing, and that is no part of a secret.
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

// render fills in a template that the compiler has checked. The error says
// where the template fails, and no more: what text/template says may quote
// the values.
func render(t *plan.Template, fns template.FuncMap, data map[string]string) ([]byte, error) {
	tmpl, err := template.New("template").Option("missingkey=error").Funcs(fns).Parse(t.Text)
	if err == nil {
		printSomething(tmpl.Root)
		var out bytes.Buffer
		if err = tmpl.Execute(&out, data); err == nil {
			return out.Bytes(), nil
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

type unreadable struct{ input, reason string }

func (c content) known() bool { return len(c.unreadable) == 0 }

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
			c.unreadable = append(c.unreadable, unreadable{name, r.Reason})
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
		if c.bytes, err = render(k.Template, fns, text); err != nil {
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
