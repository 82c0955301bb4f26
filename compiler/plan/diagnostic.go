package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a diagnostic stops the work.
type Severity string

// The severities of a diagnostic.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is one thing that the reader must act on. Neither Message nor
// Hint may ever hold the value of an input.
type Diagnostic struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`        // what is wrong
	Hint     string   `json:"hint,omitempty"` // what to do about it
	// Pos is where it is wrong, then other places that have to do with it.
	Pos []Pos `json:"positions,omitempty"`
	// Mask says that the line at Pos may show a secret and must not be printed.
	Mask bool `json:"-"`
}

// Diagnostics is what one piece of work has to say. As an error it reads as
// the plain list of its members, without source lines.
type Diagnostics []Diagnostic

// Errorf adds an error.
func (ds *Diagnostics) Errorf(code Code, pos []Pos, hint, format string, args ...any) {
	*ds = append(*ds, Diagnostic{Code: code, Severity: Error, Pos: pos, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// Warnf adds a warning.
func (ds *Diagnostics) Warnf(code Code, pos []Pos, hint, format string, args ...any) {
	*ds = append(*ds, Diagnostic{Code: code, Severity: Warning, Pos: pos, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// HasErrors reports whether any member is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err returns ds if it has errors, else nil.
func (ds Diagnostics) Err() error {
	if ds.HasErrors() {
		return ds
	}
	return nil
}

// Error implements error.
func (ds Diagnostics) Error() string {
	var b strings.Builder
	for i, d := range ds {
		if i > 0 {
			b.WriteByte('\n')
		}
		if len(d.Pos) > 0 && d.Pos[0].IsValid() {
			fmt.Fprintf(&b, "%s:%d:%d: ", d.Pos[0].File, d.Pos[0].Line, d.Pos[0].Column)
		}
		fmt.Fprintf(&b, "%s %s: %s", d.Severity, d.Code, d.Message)
	}
	return b.String()
}

// Sort orders ds by file, line, column, code and message, and drops
// duplicates. What has no position comes last.
func (ds *Diagnostics) Sort() {
	first := func(d Diagnostic) Pos {
		if len(d.Pos) > 0 && d.Pos[0].IsValid() {
			return d.Pos[0]
		}
		return Pos{File: "\U0010FFFF"}
	}
	slices.SortStableFunc(*ds, func(a, b Diagnostic) int {
		p, q := first(a), first(b)
		return cmp.Or(
			cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message))
	})
	*ds = slices.CompactFunc(*ds, func(a, b Diagnostic) bool {
		return a.Code == b.Code && a.Message == b.Message && first(a) == first(b)
	})
}

// Nearest returns the candidate that word is most likely a misspelling of, or
// "" if none is near. Near is an edit distance (insert, delete, replace, swap
// of neighbours) of at most a third of the word's length; nothing is near to a
// word of one or two letters, for everything is.
func Nearest(word string, candidates []string) string {
	if len(word) < 3 {
		return ""
	}
	best, bestDist := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c), bestDist); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// DidYouMean returns the hint `did you mean "x"?` for the candidate nearest to
// word, or otherwise if none is near.
func DidYouMean(word string, candidates []string, otherwise string) string {
	if c := Nearest(word, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return otherwise
}

// And lists words in a sentence: "a, b and c".
func And(words []string) string { return sentence(words, " and ") }

// Or lists words in a sentence: "a, b or c".
func Or(words []string) string { return sentence(words, " or ") }

func sentence(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + last + words[len(words)-1]
}

// distance is the optimal string alignment distance between a and b, or limit
// if it is at least that.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit)
}
