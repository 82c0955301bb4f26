package plan

import (
	"math"
	"strings"
)

// OperatorPassword is what the Password generator of the External Secrets
// Operator is told: it gives each kind of character a fixed share
// (https://external-secrets.io/latest/api/generator/password/).
type OperatorPassword struct {
	Length  int
	Digits  int    // how many of them are digits
	Symbols int    // how many are none of letters and digits
	Charset string // the symbols to draw from
	NoUpper bool   // letters are in lower case
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)

// OperatorPassword returns how the operator makes a password of g's alphabet:
// with each kind of character in the share that it has of the alphabet. It
// reports false if the operator can't keep to the alphabet.
func (g Generate) OperatorPassword() (OperatorPassword, bool) {
	rest := g.Alphabet
	// all takes the characters of set out of rest: all of them are there, or none.
	all := func(set string) (there, ok bool) {
		before := len(rest)
		rest = strings.Map(func(r rune) rune {
			if strings.ContainsRune(set, r) {
				return -1
			}
			return r
		}, rest)
		n := before - len(rest)
		return n > 0, n == 0 || n == len(set)
	}
	hasLower, lowerOK := all(lower)
	hasUpper, upperOK := all(strings.ToUpper(lower))
	hasDigits, digitsOK := all(digits)
	if !lowerOK || !upperOK || !digitsOK || hasUpper && !hasLower {
		return OperatorPassword{}, false
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return OperatorPassword{}, false
	}
	share := func(n int) int { return int(math.Round(float64(g.Length) * float64(n) / float64(len(g.Alphabet)))) }
	p := OperatorPassword{Length: g.Length, Symbols: share(len(rest)), Charset: rest, NoUpper: !hasUpper}
	if hasDigits {
		p.Digits = share(len(digits))
	}
	if !hasLower { // the remainder would be letters
		p.Digits = g.Length - p.Symbols
		if !hasDigits {
			p.Digits, p.Symbols = 0, g.Length
		}
	}
	return p, true
}
