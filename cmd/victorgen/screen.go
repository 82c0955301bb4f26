package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is what all output goes through, because it has names and texts in it that
// others wrote: those who propose a contract, an API server, a file system. It
// writes as \uXXXX, which is the same in JSON,
//
//   - what commands a terminal, or shows text other than it is: control
//     characters but for tab and line break, format characters such as those
//     that turn the direction of text, and what is not UTF-8;
//   - what commands a service for CI that reads the log: the second colon of a
//     line that begins with ::, and what follows ## without a space
//     (https://github.com/actions/runner/blob/v2.320.0/src/Runner.Common/ActionCommand.cs
//     finds ##[ anywhere in a line, as Azure Pipelines finds ##vso[).
//
// What victorgen itself has to tell a terminal goes through raw. A screen may be
// used concurrently. It keeps the first error of a write.
type screen struct {
	mu      sync.Mutex
	w       io.Writer
	blank   bool   // nothing but white space in this line so far
	colon   bool   // nothing but white space and a colon
	hashes  int    // that the line ends in
	partial []byte // the beginning of a character
	err     error
	color   *colorMode // nil is auto
}

func newScreen(w io.Writer) *screen { return &screen{w: w, blank: true} }

// Write implements io.Writer. After an error it writes nothing, and fails.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := append(s.partial, b...)
	s.partial = nil
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 && !utf8.FullRune(text) {
			s.partial = text
			break
		}
		switch {
		case unprintable(r) && r != '\t' && r != '\n', s.colon && r == ':', s.hashes > 1 && (r == '[' || unicode.IsLetter(r)):
			out = appendEscape(out, r)
		default:
			out = append(out, text[:size]...)
		}
		s.colon = s.blank && r == ':'
		s.blank = r == '\n' || s.blank && unicode.IsSpace(r)
		if s.hashes++; r != '#' {
			s.hashes = 0
		}
		text = text[size:]
	}
	return len(b), s.put(out)
}

// raw writes a text of this program unchanged.
func (s *screen) raw(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blank, s.colon, s.hashes = strings.HasSuffix(text, "\n") || s.blank && text == "", false, 0
	return s.put([]byte(text))
}

// close writes what is left, and returns the first error of all writes.
func (s *screen) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []byte
	for range s.partial {
		out = appendEscape(out, utf8.RuneError)
	}
	s.partial = nil
	s.put(out)
	return s.err
}

// failed reports whether a write to a screen has failed.
func failed(w io.Writer) bool {
	s, ok := w.(*screen)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

func (s *screen) put(b []byte) error {
	if s.err == nil && len(b) > 0 {
		_, s.err = s.w.Write(b)
	}
	return s.err
}

// unprintable reports whether r does something else than to show itself.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}

// appendEscape appends the escape that JSON has for r.
func appendEscape(b []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		return fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// inLine returns text as it can stand in the middle of a line or a cell of a
// table: nothing in it ends either.
func inLine(text string) string {
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var out []byte
	for _, r := range text {
		switch {
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\t':
			out = append(out, `\t`...)
		case unprintable(r):
			out = appendEscape(out, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

// raw writes text as it stands to a screen, or to what stands for one.
func raw(w io.Writer, text string) error {
	if s, ok := w.(*screen); ok {
		return s.raw(text)
	}
	_, err := io.WriteString(w, text)
	return err
}

// colored reports whether what is written to s may have colours.
func (s *screen) colored() bool {
	if s.color != nil && s.color.mode != "auto" {
		return s.color.mode == "always"
	}
	return isTerminal(s) && os.Getenv("NO_COLOR") == ""
}

// widthOf is the width of the terminal that w is, in characters, or 0.
func widthOf(w io.Writer) int {
	f, ok := terminal(w)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// fold breaks text at spaces so that no line is wider than width, as far as words
// allow. The first line begins at a column, and the others are indented. A width of less
// than 40 is none that one can fold for.
func fold(text string, column, indent, width int) string {
	if width < 40 {
		return text
	}
	var b strings.Builder
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width && column > indent:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// table aligns cells, which have tabs between them, in columns, and folds the last
// column where the terminal ends. It is written by Flush.
type table struct {
	*tabwriter.Writer
	w     io.Writer
	lines bytes.Buffer
}

func newTable(w io.Writer) *table {
	t := &table{w: w}
	t.Writer = tabwriter.NewWriter(&t.lines, 0, 0, 2, ' ', 0)
	return t
}

// Flush writes the table.
func (t *table) Flush() error {
	t.Writer.Flush()
	width := widthOf(t.w)
	for line := range strings.Lines(t.lines.String()) {
		line := strings.TrimSuffix(line, "\n")
		if width > 0 && utf8.RuneCountInString(line) > width {
			last := strings.LastIndex(strings.TrimRight(line, " "), "  ") + 2 // where the last column begins
			if column := utf8.RuneCountInString(line[:last]); column < width/2 {
				line = line[:last] + fold(line[last:], column, column, width)
			}
		}
		if _, err := io.WriteString(t.w, line+"\n"); err != nil {
			return err
		}
	}
	t.lines.Reset()
	return nil
}

// isTerminal reports whether someone looks at what is written to w.
func isTerminal(w io.Writer) bool {
	_, ok := terminal(w)
	return ok
}

// terminal is the terminal that w is, if it is one.
func terminal(w io.Writer) (*os.File, bool) {
	if s, ok := w.(*screen); ok {
		w = s.w
	}
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
