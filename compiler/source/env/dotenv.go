package env

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-envparse"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// dotenv is a dotenv file: its lines, and what they assign. What a line means
// is for go-envparse to say, line by line, so that each name has its line and
// each bad line its own error.
type dotenv struct {
	lines  []string // each with its line break
	values map[string]assignment
}

// assignment is the last one of a name: as in a shell, the last one wins.
type assignment struct {
	value string
	line  int // starts at 1
}

// parse reads text, the content of the file called name. Bad lines after a
// quote that is not closed are reported as one: mostly they are one value over
// several lines.
func parse(name, text string) (*dotenv, plan.Diagnostics) {
	type row struct {
		first, more int
		problem     *lineError
	}
	var bad []row
	d := &dotenv{values: map[string]assignment{}}
	for line := range strings.Lines(text) {
		d.lines = append(d.lines, line)
		n := len(d.lines)
		key, val, problem := parseLine(line)
		if n == 1 && strings.HasPrefix(line, "\ufeff") {
			problem = badMark
		}
		last := len(bad) - 1
		switch {
		case problem == nil && key != "":
			d.values[key] = assignment{val, n}
		case problem == nil:
		case last >= 0 && bad[last].problem == badQuote && bad[last].first+bad[last].more+1 == n:
			bad[last].more++
		default:
			bad = append(bad, row{first: n, problem: problem})
		}
	}
	var ds plan.Diagnostics
	for _, b := range bad {
		message := b.problem.what
		if b.more > 0 {
			message += fmt.Sprintf(" (bad lines that follow: %d)", b.more)
		}
		ds = append(ds, plan.Diagnostic{
			Code: plan.CodeFileSyntax, Severity: plan.Error, Message: message, Hint: b.problem.hint,
			Pos: []plan.Pos{{File: name, Line: b.first, Column: 1}}, Mask: true,
		})
	}
	return d, ds
}

// lineError is what is wrong with a line. It takes the place of what
// go-envparse says, which quotes the line.
type lineError struct{ what, hint string }

const oneLine = `write NAME=VALUE on one line; inside double quotes, \n is a line break`

var (
	badText    = &lineError{"the line is not UTF-8 text", "save the file as UTF-8"}
	badMark    = &lineError{"the file starts with a byte order mark", "save it as UTF-8 without one"}
	badNUL     = &lineError{"the value holds a NUL character", "keep binary values in base64"}
	badLong    = &lineError{"the line has more than 64 KiB", "keep a value of this length elsewhere"}
	badHash    = &lineError{"a # follows the value without a space", "if it belongs to the value, put the value in single quotes; if it starts a comment, put a space before it"}
	badEquals  = &lineError{"the line has no =", oneLine}
	badQuote   = &lineError{"a quote is not closed", oneLine}
	badEscape  = &lineError{"a backslash inside double quotes does not start a JSON escape", `write \\ for a backslash, or use single quotes, where it means itself`}
	badInvalid = &lineError{"the line is not of the form NAME=VALUE", "a name has letters, digits and _ only; a value has control characters only as escapes in double quotes"}
)

// parseLine returns what line assigns. It returns no name for a line that
// assigns nothing.
func parseLine(line string) (name, val string, problem *lineError) {
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return "", "", badText
	}
	// The comment goes first: go-envparse v0.1.0 takes the last byte off a
	// value before a comment if it belongs to a multibyte character. And it
	// finds a comment in NAME=a#b, where a shell finds none: that is refused.
	end := comment(line)
	if end < len(line) && end > 0 && !strings.ContainsRune(" \t", rune(line[end-1])) {
		return "", "", badHash
	}
	assigned, err := envparse.Parse(strings.NewReader(line[:end]))
	if err != nil {
		return "", "", explain(err)
	}
	for name, val = range assigned { // one at most
	}
	if strings.ContainsRune(val, 0) {
		return "", "", badNUL
	}
	return name, val, nil
}

func explain(err error) *lineError {
	var parseError *envparse.ParseError
	if !errors.As(err, &parseError) {
		return badInvalid
	}
	switch err := parseError.Err; err {
	case bufio.ErrTooLong:
		return badLong
	case envparse.ErrMissingSeparator:
		return badEquals
	case envparse.ErrUnmatchedDouble, envparse.ErrUnmatchedSingle:
		return badQuote
	case envparse.ErrIncompleteEscape, envparse.ErrIncompleteHex, envparse.ErrIncompleteSur, envparse.ErrMultibyteEscape:
		return badEscape
	default:
		if strings.HasPrefix(err.Error(), "invalid escape") || strings.HasPrefix(err.Error(), "invalid hex") {
			return badEscape
		}
		return badInvalid
	}
}

// comment returns where the comment of line starts, or the length of line.
func comment(line string) int {
	if start := strings.TrimLeft(line, " \t"); strings.HasPrefix(start, "#") {
		return len(line) - len(start)
	}
	equals := strings.IndexByte(line, '=')
	if equals < 0 {
		return len(line)
	}
	var quote byte
	for i := equals + 1; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '"' && c == '\\':
			i++
		case c == quote:
			quote = 0
		case quote == 0 && c == '#':
			return i
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return len(line)
}

// set assigns val to name and returns the line where it does: the one that
// assigns to name already, of which it keeps all but the value, or a new one
// at the end. All other lines stay as they are.
func (d *dotenv) set(name, val string) (line int, err error) {
	before, after := name+"=", "\n"
	if a, ok := d.values[name]; ok {
		line = a.line
		old := d.lines[line-1]
		before = old[:strings.IndexByte(old, '=')+1]
		assigned := strings.TrimRight(old[len(before):comment(old)], " \t\r\n")
		after = old[len(before)+len(assigned):]
	} else {
		if n := len(d.lines); n > 0 && !strings.HasSuffix(d.lines[n-1], "\n") {
			d.lines[n-1] += "\n"
		}
		d.lines = append(d.lines, "")
		line = len(d.lines)
	}
	text := before + quote(val) + after
	if key, got, problem := parseLine(text); problem != nil || key != name || got != val {
		return 0, errors.New("it cannot stand in a dotenv file: it is not text, or longer than 64 KiB")
	}
	d.lines[line-1] = text
	d.values[name] = assignment{val, line}
	return line, nil
}

// text returns the content of the file.
func (d *dotenv) text() string { return strings.Join(d.lines, "") }

// quote writes val so that a shell that sources the file reads the same as
// go-envparse does. Only with control characters that cannot be, as no line
// has room for them in a shell's quotes. They take JSON's escapes, as do $ and
// `, so that sourcing never runs a part of a value.
func quote(val string) string {
	if !strings.ContainsFunc(val, func(r rune) bool { return r < ' ' }) {
		return "'" + strings.ReplaceAll(val, "'", `'"'"'`) + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(val) {
		switch c := val[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ' || c == '$' || c == '`':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
