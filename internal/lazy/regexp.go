// Package lazy has regular expressions that are compiled when they are used first:
// most runs of the command use few of them, and each would take its time at every
// start.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression that is compiled at its first use. It may be used
// concurrently. Its methods are those of [regexp.Regexp].
type Regexp struct {
	compiled func() *regexp.Regexp
	may      func(s string) bool // may be nil
}

// MustCompile is [regexp.MustCompile], which panics at the first use if text is no
// regular expression.
func MustCompile(text string) *Regexp { return MustCompileIf(nil, text) }

// MustCompileIf is [MustCompile] for an expression that most texts do not match: for those
// of which may, which is quick, says so, there is no match, and if all are such it is never
// compiled. MatchString, FindStringSubmatch and ReplaceAllString ask it.
func MustCompileIf(may func(s string) bool, text string) *Regexp {
	return &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) }), may}
}

// May reports whether s is shown to the expression.
func (r *Regexp) May(s string) bool { return r.may == nil || r.may(s) }

func (r *Regexp) String() string            { return r.compiled().String() }
func (r *Regexp) MatchString(s string) bool { return r.May(s) && r.compiled().MatchString(s) }
func (r *Regexp) FindStringSubmatch(s string) []string {
	if !r.May(s) {
		return nil
	}
	return r.compiled().FindStringSubmatch(s)
}
func (r *Regexp) Match(b []byte) bool                    { return r.compiled().Match(b) }
func (r *Regexp) FindString(s string) string             { return r.compiled().FindString(s) }
func (r *Regexp) FindAllString(s string, n int) []string { return r.compiled().FindAllString(s, n) }
func (r *Regexp) FindAllStringIndex(s string, n int) [][]int {
	return r.compiled().FindAllStringIndex(s, n)
}
func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.compiled().FindAllStringSubmatch(s, n)
}
func (r *Regexp) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return r.compiled().FindAllStringSubmatchIndex(s, n)
}
func (r *Regexp) ReplaceAllString(s, with string) string {
	if !r.May(s) {
		return s
	}
	return r.compiled().ReplaceAllString(s, with)
}
func (r *Regexp) ReplaceAllStringFunc(s string, f func(string) string) string {
	return r.compiled().ReplaceAllStringFunc(s, f)
}
func (r *Regexp) FindAllIndex(b []byte, n int) [][]int { return r.compiled().FindAllIndex(b, n) }
func (r *Regexp) FindAllSubmatch(b []byte, n int) [][][]byte {
	return r.compiled().FindAllSubmatch(b, n)
}
func (r *Regexp) ReplaceAllFunc(b []byte, f func([]byte) []byte) []byte {
	return r.compiled().ReplaceAllFunc(b, f)
}
func (r *Regexp) Split(s string, n int) []string { return r.compiled().Split(s, n) }
