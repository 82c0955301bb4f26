package value

import "github.com/victor-ai/victorgen/internal/lazy"

// expression is a regular expression for values, most of which it does not match: those
// in which may sees no sign of a match are not looked at further, and where all are such
// it is never compiled, which takes longer than all else about a value.
type expression struct {
	may func(s string) bool // false only if the expression can't match
	is  *lazy.Regexp
}

func (e expression) MatchString(s string) bool { return e.may(s) && e.is.MatchString(s) }

func (e expression) FindStringSubmatch(s string) []string {
	if !e.may(s) {
		return nil
	}
	return e.is.FindStringSubmatch(s)
}

func (e expression) ReplaceAllString(s, with string) string {
	if !e.may(s) {
		return s
	}
	return e.is.ReplaceAllString(s, with)
}
