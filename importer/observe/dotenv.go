package observe

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// IsExample reports whether a dotenv file of that name is one that people commit:
// it holds samples, and nothing in it is a value.
func IsExample(name string) bool {
	name = strings.ToLower(filepath.Base(name))
	return exampleName.MatchString(name)
}

var exampleName = lazy.MustCompile(`(^|[._-])(example|sample|template|tmpl|dist|defaults?|schema)([._-]|$)`)

// Dotenv reads text, the content of a dotenv file. Comments become notes:
// headings, descriptions, links, and the decorators of @env-spec
// (https://varlock.dev/reference/item-decorators). Of a file that is an example,
// what assigns becomes samples, and a line that readers of dotenv files do not
// agree on loses its sample alone.
func Dotenv(name string, text []byte) ([]Variable, plan.Diagnostics) {
	example := IsExample(name)
	assignments, ds := env.Parse(name, text)
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	if example {
		ds = soften(ds)
	} else {
		ds = slices.DeleteFunc(ds, func(d plan.Diagnostic) bool { return d.Severity == plan.Warning })
	}
	r := &comments{name: name, example: example, first: true, schema: strings.Contains(strings.ToLower(filepath.Base(name)), "schema")}
	at := map[int]env.Assignment{}
	for _, a := range assignments {
		at[a.Line] = a
	}
	seen := map[string]bool{}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		a, ok := at[i+1]
		switch {
		case ok && plan.Reserved(a.Name): // what victorgen itself keeps next to an input
			r.pending = nil
			i = max(i, a.End-1)
		case ok:
			v := Variable{Name: a.Name, Pos: plan.Pos{File: name, Line: a.Line, Column: 1}}
			v.Notes = r.take(a.Comment, r.alone(lines, i, at))
			plain := string(a.Value.Reveal())
			switch {
			case !example && plain != "":
				v.State, v.Value = Given, a.Value
			case !example:
				v.State = Empty
			case plain == "" || r.schema && isCall(plain):
			case Secretive(plain) || strings.Contains(plain, "\n"):
				ds.Warnf(plan.CodeImportLeft, nil, "put a made-up value in its place; if it is a real one, replace it where it is used",
					"the sample of %s in %s:%d looks like a real secret, and is not imported", a.Name, filepath.Base(name), a.Line)
			default:
				v.Sample = plain
			}
			if r.schema && v.Required == nil && (r.required == "" || r.required == "infer") {
				has := plain != ""
				v.Required = &has
			} else if r.schema && v.Required == nil {
				yes := r.required == "true"
				v.Required = &yes
			}
			if r.schema && v.Sensitive == nil && (r.sensitive == "true" || r.sensitive == "false") {
				yes := r.sensitive == "true"
				v.Sensitive = &yes
			}
			if !seen[v.Name] || plain != "" { // where nothing is given yet, the last counts
				r.all = slices.DeleteFunc(r.all, func(w Variable) bool { return w.Name == v.Name })
				r.all = append(r.all, v)
			}
			seen[v.Name] = true
			i = max(i, a.End-1)
		case line == "":
			r.blank()
		case strings.HasPrefix(line, "#"):
			if m := commentedOut.FindStringSubmatch(line); m != nil && example {
				if !seen[m[1]] {
					seen[m[1]] = true
					v := Variable{Name: m[1], Pos: plan.Pos{File: name, Line: i + 1, Column: 1}}
					v.Notes = r.take("", false)
					v.Optional = true
					if s := unquote(m[2]); s != "" && !Secretive(s) {
						v.Sample = s
					}
					r.all = append(r.all, v)
				}
				continue
			} else if m != nil {
				continue // a value that counts no more
			}
			r.first = i == 0 || len(r.pending) > 0 && r.first || strings.TrimSpace(lines[i-1]) == "" || strings.HasPrefix(strings.TrimSpace(lines[i-1]), "#") && len(r.pending) == 0
			r.line(line, next(lines, i))
		default:
			r.pending = nil
		}
	}
	return r.all, ds
}

var commentedOut = lazy.MustCompile(`^#\s?(?:export )?([A-Z][A-Z0-9_]*)=(\S*|"[^"]*"|'[^']*')(?:\s+#.*)?$`)

// soften has what is wrong with a line of an example be no error: but its sample,
// nothing is lost.
func soften(ds plan.Diagnostics) (out plan.Diagnostics) {
	for _, d := range ds {
		if d.Severity == plan.Error && !strings.Contains(d.Message, "given twice") && len(d.Pos) > 0 {
			name, _, ok := strings.Cut(d.Message, ":")
			if !ok {
				out = append(out, d) // the line has no name: it can't be told what it was to be
				continue
			}
			// An empty value with a comment behind it is what everyone writes there.
			if !strings.Contains(d.Message, "a # follows") {
				out.Warnf(plan.CodeImportLeft, nil, d.Hint, "the sample of %s in %s:%d is not imported: %s", name, filepath.Base(d.Pos[0].File), d.Pos[0].Line, strings.TrimSpace(strings.TrimPrefix(d.Message, name+":")))
			}
		}
	}
	return out
}

// comments turns comments into notes.
type comments struct {
	name                string
	example, schema     bool
	all                 []Variable
	group               string
	pending             []string // the comment that stands right before
	first               bool     // it begins a paragraph
	headed              bool     // a heading between signs stands in this paragraph
	required, sensitive string   // the defaults of a schema
	decorators          []decorator
}

var (
	rule    = lazy.MustCompile(`^[-=#*~_+\s]*$`)
	ruled   = lazy.MustCompile(`^[-=#*~_+]{2,}\s*(.*?)\s*[-=#*~_+]*$`)
	trailed = lazy.MustCompile(`^(.*?)\s*[-=#*~]{3,}$`)
)

// line takes a line of comment; next is the one behind it.
func (r *comments) line(line, next string) {
	text := strings.TrimSpace(strings.TrimPrefix(line, "#"))
	switch {
	case rule.MatchString(text) || strings.Trim(text, "#") == "":
		// A line of nothing but signs: the header of a schema ends here, or what stood
		// before it is a heading.
		if r.schema && len(r.all) == 0 {
			r.header()
		}
		if heading := r.heading(); heading != "" {
			r.group, r.headed = heading, true
		}
		r.pending = nil
		r.decorators = nil
	case ruled.MatchString(text):
		r.group, r.pending, r.headed = ruled.FindStringSubmatch(text)[1], nil, true
	case trailed.MatchString(text):
		r.group, r.pending, r.headed = trailed.FindStringSubmatch(text)[1], nil, true
	case rule.MatchString(strings.TrimPrefix(next, "#")) && strings.HasPrefix(next, "#") && len(r.pending) == 0 && isShort(text):
		r.group = text
	case strings.HasPrefix(text, "@") && r.decorated(text):
	default:
		r.pending = append(r.pending, text)
	}
}

func next(lines []string, i int) string {
	if i+1 < len(lines) {
		return strings.TrimSpace(lines[i+1])
	}
	return ""
}

// heading is what pending says if it is a heading.
func (r *comments) heading() string {
	if len(r.pending) == 1 && isShort(r.pending[0]) {
		return r.pending[0]
	}
	return ""
}

func isShort(text string) bool {
	return len(text) <= 48 && len(strings.Fields(text)) <= 6 && !strings.ContainsAny(text, "=") && !strings.HasSuffix(text, ".") && !strings.Contains(text, "://")
}

// blank ends a comment: one that stands alone is a heading if it is short.
func (r *comments) blank() {
	if r.schema && len(r.all) == 0 {
		r.header()
	}
	if h := r.heading(); h != "" {
		r.group = h
	}
	r.pending, r.decorators, r.headed = nil, nil, false
}

func (r *comments) header() {
	for _, d := range r.decorators {
		switch d.name {
		case "defaultRequired":
			r.required = d.value
		case "defaultSensitive":
			r.sensitive = d.value
		}
	}
}

// alone reports whether the comment before line i is about its assignment, and
// not about all that follow without a blank line and a comment of their own.
func (r *comments) alone(lines []string, i int, at map[int]env.Assignment) bool {
	if len(r.pending) == 0 || !r.first || r.headed || r.heading() == "" {
		return true
	}
	more := 0
	for j := i + 1; j < len(lines) && strings.TrimSpace(lines[j]) != ""; j++ {
		if strings.HasPrefix(strings.TrimSpace(lines[j]), "#") && !commentedOut.MatchString(strings.TrimSpace(lines[j])) {
			return true
		}
		if _, ok := at[j+1]; ok {
			more++
		}
	}
	return more == 0
}

// take makes notes of what was said right before an assignment, and behind it.
func (r *comments) take(behind string, alone bool) Notes {
	pending := r.pending
	if !alone && len(pending) > 0 {
		r.group, pending = pending[0], nil
	}
	n := Notes{Group: clean(r.group)}
	r.pending = nil
	var words []string
	for _, line := range append(slices.Clone(pending), behind) {
		if u := link.FindString(line); u != "" && n.Docs == "" {
			if u = strings.TrimRight(u, ".,;:)>"); !Secretive(u) {
				n.Docs = u
			}
			line = strings.TrimRight(lead.ReplaceAllString(strings.TrimRight(strings.Replace(line, u, "", 1), " ."), ""), " ()<>[]")
		}
		if line = clean(line); line != "" {
			words = append(words, line)
		}
	}
	n.Description = strings.Join(words, " ")
	if len(n.Description) > 300 {
		n.Description = n.Description[:strings.LastIndexByte(n.Description[:300], ' ')+1] + "..."
	}
	for _, d := range r.decorators {
		d.apply(&n)
	}
	r.decorators = nil
	return n
}

var (
	link = lazy.MustCompile(`https?://[^\s"'<>]+`)
	lead = lazy.MustCompile(`(?i)[\s,;:(-]*\b(see|get (it|one|yours)( at| from)?|docs?|more( info)?|(available|found) at|at|from|cf\.?)?[\s:(<]*$`)
)

// clean is a comment as a contract may have it: without control characters, and
// without what looks like a secret.
func clean(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	if Secretive(text) {
		return ""
	}
	return strings.TrimSpace(strings.Trim(text, "#*"))
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// isCall reports whether a value of a schema is a function or a reference.
func isCall(s string) bool { return call.MatchString(s) }

var call = lazy.MustCompile(`^[A-Za-z][A-Za-z0-9_]*\(|\$\{|\$[A-Z]`)

// decorator is one of @env-spec.
type decorator struct{ name, value, args string }

var decoration = lazy.MustCompile(`@([A-Za-z][A-Za-z0-9]*)(?:=("[^"]*"|'[^']*'|[A-Za-z][A-Za-z0-9]*\([^)]*\)|[^\s(]+))?(\([^)]*\))?`)

// decorated takes a line of decorators, and reports whether it was one.
func (r *comments) decorated(text string) bool {
	found := decoration.FindAllStringSubmatch(text, -1)
	for _, m := range found {
		r.decorators = append(r.decorators, decorator{m[1], unquote(m[2]), strings.Trim(m[3], "()")})
	}
	return len(found) > 0
}

func (d decorator) apply(n *Notes) {
	yes := d.value == "" || d.value == "true"
	no := !yes
	plain := d.value == "" || d.value == "true" || d.value == "false"
	switch d.name {
	case "required":
		if plain {
			n.Required = &yes
		}
	case "optional":
		n.Required = &no
	case "sensitive":
		if plain {
			n.Sensitive = &yes
		}
	case "public":
		n.Sensitive = &no
	case "docsUrl":
		n.Docs = d.value
	case "docs":
		parts := strings.Split(d.args, ",")
		n.Docs = unquote(strings.TrimSpace(parts[len(parts)-1]))
	case "example":
		if !Secretive(d.value) {
			n.Sample = d.value
		}
	case "deprecated":
		n.Optional = true
	case "type":
		kind, args, _ := strings.Cut(strings.TrimSuffix(d.value, ")"), "(")
		switch kind {
		case "url", "email", "port", "uuid":
			n.Format = kind
		case "boolean":
			n.OneOf = []string{"true", "false"}
		case "enum":
			for _, a := range strings.Split(args, ",") {
				n.OneOf = append(n.OneOf, unquote(strings.TrimSpace(a)))
			}
		case "string":
			for _, a := range strings.Split(args, ",") {
				name, val, _ := strings.Cut(strings.TrimSpace(a), "=")
				val = unquote(val)
				switch name {
				case "startsWith":
					n.Pattern = "^" + regexp.QuoteMeta(val)
				case "matches":
					if p := strings.Trim(val, "/"); p != "" {
						if _, err := regexp.Compile(p); err == nil {
							n.Pattern = p
						}
					}
				case "minLength":
					n.MinLength, _ = strconv.Atoi(val)
				case "maxLength":
					n.MaxLength, _ = strconv.Atoi(val)
				}
			}
		}
	}
	if n.Docs != "" && !strings.HasPrefix(n.Docs, "https://") && !strings.HasPrefix(n.Docs, "http://") {
		n.Docs = ""
	}
}
