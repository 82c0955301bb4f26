package env

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-envparse"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// dotenv is a dotenv file that can be changed without losing what people wrote
// into it. go-envparse says what a line means.
type dotenv struct {
	lines       [][]byte // with their line ends
	assignments []assignment
}

type assignment struct {
	name  string
	value value.Value
	line  int // from 1
}

// maxLine is the longest line that go-envparse reads (bufio.MaxScanTokenSize).
const maxLine = 64<<10 - 1

// parse reads b. The file's name is for messages, which never quote a line.
func parse(b []byte, file string) (*dotenv, plan.Diagnostics) {
	d := &dotenv{lines: bytes.SplitAfter(b, []byte("\n"))}
	if n := len(d.lines); len(d.lines[n-1]) == 0 {
		d.lines = d.lines[:n-1]
	}
	var ds plan.Diagnostics
	for i, line := range d.lines {
		bad := func(hint, format string, args ...any) {
			ds = append(ds, plan.Diagnostic{
				Code: plan.CodeFileSyntax, Severity: plan.Error, Message: fmt.Sprintf(format, args...), Hint: hint,
				Pos: []plan.Pos{{File: file, Line: i + 1, Column: 1}}, Mask: true,
			})
		}
		if i == 0 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // some editors put a byte order mark there
		}
		switch {
		case len(line) > maxLine:
			bad("keep large values elsewhere", "the line is longer than 64 KiB")
			continue
		case !utf8.Valid(line):
			bad("save the file as UTF-8; encode binary values in base64", "the line is not UTF-8 text")
			continue
		}
		got, err := envparse.Parse(bytes.NewReader(line))
		if err != nil {
			bad("write NAME=value; put values with spaces, quotes or # into single quotes", "the line %s", reason(err))
			continue
		}
		for name, v := range got {
			if !utf8.ValidString(v) {
				// go-envparse v0.1.0 cuts the last byte of such a value.
				bad("put the comment on a line of its own", "the line has a comment after a value that ends in a non-ASCII character")
				continue
			}
			d.assignments = append(d.assignments, assignment{name, value.New([]byte(v)), i + 1})
		}
	}
	return d, ds
}

// reason says what go-envparse has against a line, without its words: some of
// them quote characters of the value.
func reason(err error) string {
	switch {
	case errors.Is(unwrap(err), envparse.ErrMissingSeparator):
		return "has no ="
	case errors.Is(unwrap(err), envparse.ErrEmptyKey):
		return "has no name before the ="
	case errors.Is(unwrap(err), envparse.ErrUnmatchedDouble):
		return `has a " without its partner`
	case errors.Is(unwrap(err), envparse.ErrUnmatchedSingle):
		return "has a ' without its partner"
	case strings.HasPrefix(unwrap(err).Error(), "key "):
		return "has a name that is not made of letters, digits and underscores"
	}
	return "has a value with a control character or a wrong escape"
}

func unwrap(err error) error {
	var pe *envparse.ParseError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// get returns the assignment that counts: the last one, as in a shell.
func (d *dotenv) get(name string) (assignment, bool) {
	for i := len(d.assignments) - 1; i >= 0; i-- {
		if d.assignments[i].name == name {
			return d.assignments[i], true
		}
	}
	return assignment{}, false
}

// set writes name=v over the last assignment to name, or at the end, and
// returns its line number.
func (d *dotenv) set(name string, v value.Value) (int, error) {
	text, err := quote(v)
	if err != nil {
		return 0, err
	}
	if len(name)+len(text) > maxLine-len("export =\r\n") {
		return 0, errors.New("the value is too long for a line of a dotenv file")
	}
	if a, ok := d.get(name); ok {
		line := d.lines[a.line-1]
		before, after, _ := bytes.Cut(line, []byte("="))
		end := line[len(bytes.TrimRight(line, "\r\n")):]
		comment := ""
		// The old value is empty, so the first # starts a comment.
		if _, c, ok := bytes.Cut(bytes.TrimSpace(after), []byte("#")); ok && len(line)+len(text) < maxLine && v.Reveal()[v.Len()-1] < utf8.RuneSelf {
			comment = " #" + string(c)
		}
		d.lines[a.line-1] = append(fmt.Appendf(nil, "%s=%s%s", before, text, comment), end...)
		return a.line, nil
	}
	if n := len(d.lines); n > 0 && !bytes.HasSuffix(d.lines[n-1], []byte("\n")) {
		d.lines[n-1] = append(bytes.Clone(d.lines[n-1]), '\n')
	}
	d.lines = append(d.lines, fmt.Appendf(nil, "%s=%s\n", name, text))
	return len(d.lines), nil
}

func (d *dotenv) bytes() []byte { return bytes.Join(d.lines, nil) }

const bare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=/.,:@%"

// quote writes v so that go-envparse reads it back. A shell that sources the
// file reads the same, unless v holds a single quote or a control character.
func quote(v value.Value) (string, error) {
	s := string(v.Reveal())
	switch {
	case s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "", errors.New("the value can't stand in a dotenv file: it is empty, or no UTF-8 text")
	case strings.Trim(s, bare) == "":
		return s, nil
	case !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '\'' }):
		return "'" + s + "'", nil
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}
