package compiler

import (
	"bytes"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	cueliteral "cuelang.org/go/cue/literal"
)

// Format lays out the text of a CUE file as `cue fmt -s` does, so often that it has
// nothing more to do.
func Format(text []byte) ([]byte, error) {
	for range 4 {
		out, err := format.Source(text, format.Simplify())
		if err != nil || bytes.Equal(out, text) {
			return out, err
		}
		text = out
	}
	return text, nil
}

// Quote writes s as a string of CUE, over several lines if it has some and then for
// a field that is indented by so many tabs.
func Quote(s string, tabs int) string {
	if strings.Contains(strings.TrimSuffix(s, "\n"), "\n") && !strings.ContainsAny(s, "\r\x00") {
		return cueliteral.String.WithTabIndent(tabs + 1).WithOptionalTabIndent(tabs + 1).Quote(s)
	}
	quoted := cueliteral.String.Quote(s)
	if strings.Contains(s, `"`) && len(quoted) == len(s)+2+strings.Count(s, `"`) && !strings.Contains(s, `"#`) {
		return `#"` + s + `"#` // nothing else in it is escaped
	}
	return quoted
}

// Label writes s as the name of a field, in quotes where it must be.
func Label(s string) string {
	if ast.StringLabelNeedsQuoting(s) {
		return cueliteral.String.Quote(s)
	}
	return s
}

// Selector writes s as what selects the field of that name: .s, or ["s"].
func Selector(s string) string {
	if ast.StringLabelNeedsQuoting(s) {
		return "[" + cueliteral.String.Quote(s) + "]"
	}
	return "." + s
}
