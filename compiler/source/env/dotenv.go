package env

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// A value is what four readers agree that it is: POSIX sh (S), Docker Compose
// (C), Node's dotenv (N) and python-dotenv (P). Their rules, by these letters
// wherever one of them decides:
//
//	S  https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html (2.2, 2.3 and 2.6)
//	C  https://github.com/compose-spec/compose-go/blob/v2.16.2/dotenv/parser.go
//	N  https://github.com/motdotla/dotenv (the regular expression in parse)
//	P  https://github.com/theskumar/python-dotenv/blob/v1.2.4/src/dotenv/parser.py and variables.py
//
// Where they differ it is an error, or a warning where there is one reading
// that keeps every character. A byte order mark and CR LF at the end of a line
// belong to the file and to no value. No library has this rule, so the reader is
// written here; a test in e2e holds it to the four.

// dotenv is a dotenv file: its text, and what it assigns.
type dotenv struct {
	text    string
	missing bool // there is no such file
	values  map[string]assignment
	// differ is what the readers read otherwise, one warning for the file.
	differ plan.Diagnostics
}

// assignment is where a name gets its value.
type assignment struct {
	value      string
	line       int // starts at 1
	start, end int // of the value in the text, with its quotes
}

// maxValue is the size up to which a value is taken for one.
const maxValue = 1 << 20

// lineError is what is wrong with a line.
type lineError struct{ what, hint string }

const (
	oneLine     = "write NAME='VALUE'; inside the quotes a value may go over several lines"
	singleQuote = "put the whole value in single quotes, and no other text after them"
	noQuotes    = "it can't be quoted: write it in double quotes without \\, $ and `, or keep the value at another source, such as one of kind files"
)

var (
	badText    = &lineError{"the line is not UTF-8 text", "save the file as UTF-8"}
	badUTF16   = &lineError{"the file is in UTF-16", "save it as UTF-8"}
	badNUL     = &lineError{"the line holds a NUL character", "keep binary values in base64"}
	badReturn  = &lineError{"the line has a carriage return, which some readers take for its end", "let lines end with LF or CR LF"}
	badBreak   = &lineError{"a Unicode line separator is outside of quotes, which some readers take for the end of the line", "remove it, or put the value in single quotes"}
	badLong    = &lineError{"the value has more than 1 MiB", "keep a value of this size at another source, such as one of kind files"}
	badHash    = &lineError{"a # follows without a space or the value, and readers disagree whether it starts a comment", "if it belongs to the value, put the value in single quotes; if it starts a comment, put it on a line of its own"}
	badEquals  = &lineError{"the line has no =", oneLine}
	badInvalid = &lineError{"the line is not of the form NAME=VALUE", "a name has letters, digits and _ only, and does not start with a digit; " + oneLine}
	badOpen    = &lineError{"the quote that opens here is not closed", "close it, or, if it belongs to the value, put the value in quotes of the other kind"}
	badAfter   = &lineError{"text follows the closing quote", "put all of the value within one pair of quotes, and a space before a #"}
	badInside  = &lineError{"an unquoted value has quotes inside, and readers disagree whether they belong to it", "put the whole value in single quotes, or in double quotes if it has an apostrophe"}
	badDollar  = &lineError{"$ before a quote is bash's own, and other readers take it for a part of the value", "write the value itself in single quotes, with real line breaks"}
	badTilde   = &lineError{"a ~ at the start of a path is expanded by a shell and by no other reader", "write the path in full, or put the value in single quotes if ~ belongs to it"}
	badEscape  = &lineError{"a backslash in double quotes starts what readers read differently", "put the value in single quotes, where it is literal; for a line break use a real one"}
	badSingle  = &lineError{"two backslashes in a row, or one before the closing quote, are read differently in single quotes", noQuotes}
	badSpace   = &lineError{"the unquoted value has a control character or a non-ASCII space, which some readers remove", singleQuote}
)

// The ways in which readers differ on a value that is kept as it stands.
const (
	expands = "a $, ` or \\ that some readers expand, and victorgen does not: use single quotes"
	blanks  = "blanks, or one of ;&|<>()*?[, outside of quotes, which a shell splits at: use single quotes, and no blanks around the ="
	escapes = `a \n or \r in double quotes, which is a line break to all readers but a shell: use a real line break within the quotes`
	braces  = "a ${ in single quotes, which python-dotenv alone expands: victorgen does not"
	returns = "line breaks CR LF within quotes, which are LF here and in Node and Python, and CR LF in Docker Compose and a shell: end lines with LF"
)

// parse reads text, the content of the file called name. All bad lines are
// reported.
func parse(name, text string) (*dotenv, plan.Diagnostics) {
	p := &parser{text: text, line: 1, d: &dotenv{text: text, values: map[string]assignment{}}, differ: map[string][]string{}}
	var ds plan.Diagnostics
	diagnostic := func(line int, severity plan.Severity, code plan.Code, hint, message string) plan.Diagnostic {
		return plan.Diagnostic{
			Code: code, Severity: severity, Message: message, Hint: hint, Pos: []plan.Pos{{File: name, Line: line, Column: 1}}, Mask: true,
		}
	}
	p.report = func(line int, input string, problem *lineError) {
		message := problem.what
		if input != "" {
			message = input + ": " + message
		}
		ds = append(ds, diagnostic(line, plan.Error, plan.CodeFileSyntax, problem.hint, message))
	}
	if len(text) > 1 && (text[0] == 0xff && text[1] == 0xfe || text[0] == 0xfe && text[1] == 0xff || (text[0] == 0) != (text[1] == 0)) {
		p.report(1, "", badUTF16)
		return p.d, ds
	}
	if strings.HasPrefix(text, "\ufeff") {
		p.at = len("\ufeff")
	}
	for p.at < len(text) {
		p.statement()
	}
	if len(p.differ) > 0 {
		var whys []string
		for _, why := range slices.Sorted(maps.Keys(p.differ)) {
			names := p.differ[why]
			if len(names) > 4 {
				names = append(names[:3:3], fmt.Sprintf("%d others", len(names)-3))
			}
			verb := " has "
			if len(names) > 1 {
				verb = " have "
			}
			whys = append(whys, plan.And(names)+verb+why)
		}
		p.d.differ = plan.Diagnostics{diagnostic(p.first, plan.Warning, plan.CodeDotenvDiffers, strings.Join(whys, ". "),
			"readers of dotenv files differ on this line; it is taken literally")}
	}
	return p.d, ds
}

// parser is the state of parse.
type parser struct {
	text   string
	at     int // the next byte
	line   int // its line
	d      *dotenv
	differ map[string][]string // by the way: the names that do, with their lines
	first  int                 // the line of the first of them
	report func(line int, input string, problem *lineError)
}

// rest returns what is left of the line, without its line break.
func (p *parser) rest() string {
	line, _, found := strings.Cut(p.text[p.at:], "\n")
	if found {
		line = strings.TrimSuffix(line, "\r")
	}
	return line
}

// next goes to the next line.
func (p *parser) next() {
	i := strings.IndexByte(p.text[p.at:], '\n')
	if i < 0 {
		p.at = len(p.text)
		return
	}
	p.at += i + 1
	p.line++
}

func (p *parser) skipBlanks() (skipped bool) {
	start := p.at
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	return p.at > start
}

// word skips a name and returns it.
func (p *parser) word() string {
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && p.at > start:
			p.at++
			continue
		}
		break
	}
	return p.text[start:p.at]
}

// plainText reports what no line may hold.
func plainText(s string) *lineError {
	switch {
	case strings.ContainsRune(s, 0):
		return badNUL
	case !utf8.ValidString(s):
		return badText
	case strings.ContainsRune(s, '\r'):
		return badReturn // N and P take it for a line break
	}
	return nil
}

// statement reads one line, or as many as its value has, and goes behind it.
func (p *parser) statement() {
	defer p.next()
	p.skipBlanks()
	line, text := p.line, p.rest()
	if text == "" {
		return
	}
	if text[0] == '#' {
		if problem := plainText(text); problem != nil {
			p.report(line, "", problem)
		} else if strings.ContainsAny(text, "\u2028\u2029") {
			p.report(line, "", badBreak) // N: a line begins after it
		}
		return
	}
	begin := p.at
	name := p.word()
	exported := false
	if blank := p.skipBlanks(); name == "export" && blank && p.at < len(p.text) && p.text[p.at] != '=' {
		exported = true
		begin = p.at
		name = p.word()
		p.skipBlanks()
	}
	spaced := p.at > begin+len(name) // S: a command
	if name == "" || p.at == len(p.text) || p.text[p.at] != '=' {
		problem := badInvalid
		if bad := plainText(text); bad != nil {
			problem = bad
		} else if !strings.Contains(text, "=") {
			problem = badEquals
		}
		p.report(line, "", problem)
		return
	}
	p.at++
	a := assignment{line: line, start: p.at, end: p.at}
	if p.skipBlanks() && p.rest() != "" {
		spaced = true
	}
	var problem *lineError
	if rest := p.rest(); rest != "" {
		a.start = p.at
		if rest[0] == '"' || rest[0] == '\'' {
			problem = p.quoted(name, &a, rest[0])
		} else {
			problem = p.unquoted(name, &a, rest, exported)
		}
	}
	if first, ok := p.d.values[name]; ok && first.value != "" { // where nothing is given yet, all take the last
		p.report(line, "", &lineError{
			fmt.Sprintf("%s is given twice, on lines %d and %d", name, first.line, line), "remove one of the lines",
		})
		return
	}
	switch {
	case problem == nil && len(a.value) > maxValue:
		problem = badLong
	case problem == nil && spaced:
		p.differs(name, line, blanks)
	}
	if problem != nil {
		p.report(line, name, problem)
		a.value = ""
	}
	p.d.values[name] = a
}

func (p *parser) differs(name string, line int, why string) {
	if p.first == 0 {
		p.first = line
	}
	p.differ[why] = append(p.differ[why], fmt.Sprintf("%s (line %d)", name, line))
}

// unquoted reads a value without quotes, to the end of the line.
func (p *parser) unquoted(name string, a *assignment, rest string, exported bool) *lineError {
	val := rest
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		// S and P want white space before it, C a space, N nothing; at the start
		// of the value it is a comment to N, and after a blank to S and P.
		if i == 0 || rest[i-1] != ' ' {
			return badHash
		}
		val = rest[:i]
	}
	if problem := plainText(rest); problem != nil {
		return problem
	}
	if strings.ContainsAny(rest, "\u2028\u2029") {
		return badBreak // N: the end of a comment
	}
	val = strings.TrimRight(val, " \t")
	a.value, a.end = val, a.start+len(val)
	switch {
	case strings.HasPrefix(val, "$'") || strings.HasPrefix(val, `$"`):
		return badDollar
	case strings.ContainsAny(val, `'"`):
		return badInside
	case strings.HasPrefix(val, "~") || strings.Contains(val, ":~"): // S 2.6.1
		return badTilde
	case strings.ContainsFunc(val, func(r rune) bool {
		return r != ' ' && r != '\t' && (unicode.IsControl(r) || unicode.IsSpace(r) || r == '\ufeff')
	}):
		return badSpace
	}
	if strings.ContainsAny(val, "$`\\") {
		p.differs(name, a.line, expands)
	}
	if strings.ContainsAny(val, " \t;&|<>()") || exported && strings.ContainsAny(val, "*?[") {
		p.differs(name, a.line, blanks)
	}
	return nil
}

// quoted reads a value in quotes and what stands behind them.
func (p *parser) quoted(name string, a *assignment, quote byte) (problem *lineError) {
	var b strings.Builder
	why := map[string]bool{}
	i := p.at + 1
	for ; ; i++ {
		if i == len(p.text) {
			p.at = i
			return badOpen
		}
		c := p.text[i]
		if c == quote {
			break
		}
		after := byte(0)
		if i+1 < len(p.text) {
			after = p.text[i+1]
		}
		switch {
		case c == '\n':
			p.line++
		case c == '\r' && after == '\n':
			why[returns] = true
			continue
		case c == '$' && quote == '\'' && after == '{':
			why[braces] = true
		case (c == '$' || c == '`') && quote == '"':
			why[expands] = true
		case c == '\\' && quote == '\'':
			// C takes \' for a quote, and so does N if another follows; P takes \\ for \.
			if after == '\\' || after == '\'' {
				problem = badSingle
			}
		case c == '\\' && (after == 'n' || after == 'r'):
			why[escapes] = true
			b.WriteByte(map[byte]byte{'n': '\n', 'r': '\r'}[after])
			i++
			continue
		case c == '\\':
			// S: $ ` " \ and a line break; C: abcfnrtv$"\ and 0; P: \'"abfnrtv.
			if strings.IndexByte("$`\"\\\n\r'abcftv0", after) >= 0 {
				problem = badEscape
			}
			if after == '"' || after == '\\' { // it is no closing quote
				i++
			}
		}
		b.WriteByte(c)
	}
	a.value, a.end = b.String(), i+1
	p.at = i + 1
	if bad := plainText(strings.ReplaceAll(p.text[a.start:a.end], "\r\n", "\n")); bad != nil {
		return bad
	}
	rest := p.rest()
	behind := strings.TrimLeft(rest, " \t")
	switch {
	case problem != nil:
		return problem
	case behind != "" && behind[0] == '#' && len(behind) == len(rest):
		return badHash
	case behind != "" && behind[0] != '#':
		return badAfter
	case strings.ContainsAny(behind, "\u2028\u2029"):
		return badBreak
	}
	if bad := plainText(behind); bad != nil {
		return bad
	}
	for _, w := range slices.Sorted(maps.Keys(why)) {
		p.differs(name, a.line, w)
	}
	return nil
}

// set assigns val to name and returns the line where it does: the one that
// assigns to name already, of which it keeps all but the value, or a new one
// at the end. All else stays as it is.
func (d *dotenv) set(name, val string) (*dotenv, int, bool) {
	quoted, ok := quote(val)
	if !ok {
		return d, 0, false
	}
	text := d.text
	if a, ok := d.values[name]; ok {
		text = text[:a.start] + quoted + text[a.end:]
	} else {
		if text != "" && text != "\ufeff" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += name + "=" + quoted + "\n"
	}
	after, ds := parse("", text)
	got, ok := after.values[name]
	if ds.HasErrors() || !ok || got.value != val {
		return d, 0, false
	}
	return after, got.line, true
}

// unset takes the line, or the lines, that assign to name out. All else stays as
// it is.
func (d *dotenv) unset(name string) *dotenv {
	a := d.values[name]
	start := strings.LastIndexByte(d.text[:a.start], '\n') + 1
	if start == 0 && strings.HasPrefix(d.text, "\ufeff") {
		start = len("\ufeff")
	}
	end := len(d.text)
	if i := strings.IndexByte(d.text[a.end:], '\n'); i >= 0 {
		end = a.end + i + 1
	}
	without, _ := parse("", d.text[:start]+d.text[end:])
	return without
}

// quote writes val so that all four readers read it back, if they can: in
// single quotes, or in double quotes where it has an apostrophe.
func quote(val string) (quoted string, ok bool) {
	single := !strings.ContainsAny(val, "'") && !strings.Contains(val, `\\`) && !strings.HasSuffix(val, `\`)
	double := !strings.ContainsAny(val, "\"\\$`")
	switch {
	case plainText(val) != nil || strings.Contains(val, "${") || len(val) > maxValue:
		return "", false
	case single:
		return "'" + val + "'", true
	case double:
		return `"` + val + `"`, true
	}
	return "", false
}
