package compiler

import (
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	cueliteral "cuelang.org/go/cue/literal"
)

// Format lays out the text of a CUE file as `cue fmt -s` does.
func Format(text []byte) ([]byte, error) { return format.Source(text, format.Simplify()) }

// Quote writes s as a string of CUE, over several lines if it has some and then for
// a field that is indented by so many tabs.
func Quote(s string, tabs int) string {
	if strings.Contains(strings.TrimSuffix(s, "\n"), "\n") && !strings.ContainsAny(s, "\r\x00") {
		return cueliteral.String.WithTabIndent(tabs + 1).WithOptionalTabIndent(tabs + 1).Quote(s)
	}
	return cueliteral.String.Quote(s)
}

// Label writes s as the name of a field, in quotes where it must be.
func Label(s string) string {
	if ast.StringLabelNeedsQuoting(s) {
		return cueliteral.String.Quote(s)
	}
	return s
}
