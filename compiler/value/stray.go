package value

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Stray says the value at the ends of a value of in that hardly belongs to it,
// as a command that prints a line, or a paste, leaves it there: "ends with a line
// break". It is empty if nothing does. Of PEM the last line break is a part, and in
// base64 white space means nothing.
func Stray(in plan.Input, v Value) string {
	if in.Encoding != "" || slices.Contains(in.Constraints.OneOf, string(v.Reveal())) {
		return ""
	}
	b := v.Reveal()
	var found []string
	if first, _ := utf8.DecodeRune(b); unicode.IsSpace(first) {
		found = append(found, "begins with "+blankName(first))
	}
	pem := bytes.HasPrefix(b, []byte("-----BEGIN ")) && bytes.HasSuffix(bytes.TrimRight(b, "\r\n"), []byte("-----"))
	if last, _ := utf8.DecodeLastRune(b); unicode.IsSpace(last) && !(pem && last == '\n') {
		found = append(found, "ends with "+blankName(last))
	}
	if trimmed := bytes.TrimSpace(b); len(trimmed) > 1 && in.Constraints.Format != "json" {
		if c := trimmed[0]; (c == '"' || c == '\'') && c == trimmed[len(trimmed)-1] {
			found = append(found, "is enclosed in quotes")
		}
	}
	return strings.Join(found, " and ")
}

func blankName(r rune) string {
	if r == '\n' || r == '\r' {
		return "a line break"
	}
	return "white space"
}

// Trim returns v without the white space at its ends.
func Trim(v Value) Value { return New(bytes.TrimSpace(v.Reveal())) }
