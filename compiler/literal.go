package compiler

import (
	"math"
	"strings"

	"github.com/victor-ai/victorgen/internal/lazy"
)

// knownSecret matches the fixed parts of well-known credentials. The forms are
// those that their issuers document, as collected by GitHub's list of secret
// scanning patterns
// (https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns).
var knownSecret = lazy.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY` +
	`|\b(?:sk-[A-Za-z0-9_-]{16,}|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}` +
	`|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}` +
	`|npm_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}|xai-[A-Za-z0-9]{30,}|SG\.[\w-]{16,}\.[\w-]{16,})` +
	`|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.` +
	`|https://hooks\.slack\.com/services/\w`)

// secretName matches names that say of themselves that they hold a secret.
var secretName = lazy.MustCompile(`(?i)(?:password|passwd|passphrase|secret|token|private[-_.]?key|api[-_.]?key|credentials?)$`)

// urlPassword matches a URL with a literal password in it.
var urlPassword = lazy.MustCompile(`\b[a-z][a-z0-9+.-]*://[^/\s:@{}]*:([^/\s@{}]+)@`)

// withoutActions is what a template says by itself, without what its actions
// print: a URL keeps a password that stands there in clear.
func withoutActions(text string) string {
	var b strings.Builder
	for {
		before, rest, _ := strings.Cut(text, "{{")
		_, after, ok := strings.Cut(rest, "}}")
		if !ok {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		text = after
	}
}

// looksLikeSecret says why the literal s looks like a secret, or "".
func looksLikeSecret(s string) string {
	if knownSecret.MatchString(s) {
		return "has the form of a well-known credential"
	}
	if urlPassword.MatchString(s) {
		return "is a URL with a password in it"
	}
	return ""
}

// looksRandom reports whether s is a long run of characters that no one would
// choose: more than 20 of them, letters and digits mixed, and at least 3.5
// bits of Shannon entropy a character. English text and host names have
// spaces, dots or few digits; a hash or a key has not.
func looksRandom(s string) bool {
	if len(s) <= 20 || strings.ContainsAny(s, " \t\n./:") {
		return false
	}
	var digits, letters int
	counts := map[rune]int{}
	for _, r := range s {
		counts[r]++
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			letters++
		}
	}
	if digits < 3 || letters < 3 || isUUID.MatchString(s) {
		return false
	}
	var bits float64
	for _, n := range counts {
		p := float64(n) / float64(len(s))
		bits -= p * math.Log2(p)
	}
	return bits >= 3.5
}

// isUUID: tenant, client and project IDs are UUIDs, and no secrets.
var isUUID = lazy.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

var stringLiteral = lazy.MustCompile(`"(?:[^"\\]|\\.)*"`)

// maskLiterals replaces the quoted strings of s that look like secrets. CUE
// quotes the contract's literals in its messages.
func maskLiterals(s string) string {
	return stringLiteral.ReplaceAllStringFunc(s, func(lit string) string {
		if inner := strings.Trim(lit, `"`); looksLikeSecret(inner) != "" || looksRandom(inner) {
			return `"[redacted]"`
		}
		return lit
	})
}

// lineLooksSecret reports whether a source line must not be shown.
func lineLooksSecret(line string) bool {
	return looksLikeSecret(line) != "" || maskLiterals(line) != line
}
