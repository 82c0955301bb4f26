package value

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	passwordvalidator "github.com/wagslane/go-password-validator"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Judge compares v with what its input demands and reports every demand that
// it breaks. It names the input and what the contract says, never a part of v.
func Judge(in plan.Input, v Value) plan.Diagnostics {
	var ds plan.Diagnostics
	c, s := in.Constraints, string(v.Reveal())
	bad := func(code plan.Code, hint, format string, args ...any) {
		ds.Errorf(code, in.Pos, hint, "%s "+format, append([]any{in.Name}, args...)...)
	}
	if in.Secret() && isPlaceholder(s, in.Example) {
		bad(plan.CodePlaceholder, "put the real value in its place", "is a placeholder")
		return ds // whatever else is wrong with it does not matter
	}
	if c.Pattern != nil && !c.Pattern.MatchString(s) {
		bad(plan.CodeValuePattern, "is it the right value, whole and without quotes?", "does not match its pattern %s", c.Pattern)
	}
	if check, ok := formats[c.Format]; ok && !check(s) {
		bad(plan.CodeValueFormat, "", "is not %s", formatNames[c.Format])
	}
	n := utf8.RuneCountInString(s)
	if n < c.MinLength {
		bad(plan.CodeValueLength, "", "has %d characters, at least %d are needed", n, c.MinLength)
	}
	if c.MaxLength > 0 && n > c.MaxLength {
		bad(plan.CodeValueLength, "", "has %d characters, at most %d are allowed", n, c.MaxLength)
	}
	if len(c.OneOf) > 0 && !slices.Contains(c.OneOf, s) {
		bad(plan.CodeValueOneOf, "", "is not one of %s", strings.Join(c.OneOf, ", "))
	}
	if c.MinStrength > 0 {
		hint := "use a longer, random one: `openssl rand -base64 32` makes one"
		if isCommon(s) {
			bad(plan.CodeWeak, hint, "is weak: it is made from a word that every guesser tries first")
		} else if bits := strength(s); bits < c.MinStrength {
			bad(plan.CodeWeak, hint, "is weak: about %.0f bits of strength, %v are needed", math.Floor(bits), c.MinStrength)
		}
	}
	return ds
}

// longEnough is a length from which on a value's strength is not estimated any
// further: the estimator takes time quadratic in it, and only a value of few
// different characters could still be weak.
const longEnough = 256

func strength(s string) float64 {
	if len(s) > longEnough {
		s = s[:longEnough]
	}
	return passwordvalidator.GetEntropy(s)
}

// placeholders matches what people leave where a value should go. A real key
// may hold any of these as a part, so most are anchored at both ends; a run of
// five x is not: random base64 has one in 10^9 places.
var placeholders = regexp.MustCompile(`(?i)^(?:` +
	`change[-_ ]?(?:me|it|this).*` +
	`|(?:(?:put|enter|insert|add|paste|set)[-_ ])?your[-_ ].*` +
	`|.*[-_ ](?:goes[-_ ])?here` +
	`|replace[-_ ]?(?:me|this|with).*` +
	`|x{3,}|\*{3,}|\.{3,}|-{3,}|_{3,}|\?+` +
	`|.*x{5,}.*` +
	`|.*\.\.\.` +
	`|<.*>|\[.*\]|\$\{.*\}|\{\{.*\}\}|%.*%|\$\(.*\)` +
	`|(?:todo|fixme|tbd)(?:[-_: ].*)?` +
	`|placeholder.*|example|sample|dummy|fake|redacted|secret|password|none|null|nil|undefined|n/?a|test|foo|bar` +
	`)$`)

func isPlaceholder(s, example string) bool {
	s = strings.TrimSpace(s)
	if example != "" && s == strings.TrimSpace(example) {
		return true
	}
	// A JSON list or object is none, though it stands in brackets.
	return len(s) <= 200 && placeholders.MatchString(s) && !(strings.HasPrefix(s, "[") && json.Valid([]byte(s)))
}

// common are words that passwords are made of, the most frequent ones of
// public breach statistics (NCSC, "Top 100k passwords", 2019,
// https://www.ncsc.gov.uk/blog-post/passwords-passwords-everywhere) without
// digits, and the names of what the password is for.
var common = func() map[string]bool {
	words := map[string]bool{}
	for w := range strings.FieldsSeq(`password passwort passwd pass secret admin administrator root user guest login welcome
		qwerty qwertz qwertyuiop asdfgh asdfghjkl zxcvbnm abc abcd abcdef abcdefgh letmein iloveyou monkey dragon sunshine
		princess football baseball superman batman master shadow michael jennifer jordan trustno hello freedom whatever
		starwars pokemon computer internet access changeme default temp temporary test testing tester demo example sample
		summer winter spring autumn company database postgres postgresql mysql mariadb redis mongo mongodb rabbitmq
		elasticsearch grafana prometheus kibana jenkins gitlab github docker kubernetes minio keycloak server system
		production staging development prod dev local localhost service backend frontend api app web`) {
		words[w] = true
	}
	return words
}()

var unleet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// isCommon reports whether s is one or two common words with decoration:
// capitals, leet spelling, separators, and digits or punctuation at the ends.
func isCommon(s string) bool {
	if len(s) > 40 {
		return false
	}
	s = strings.ToLower(s)
	for _, spelt := range []string{trim(s), trim(unleet.Replace(strings.TrimRight(s, "0123456789!?.$*#")))} {
		if isWords(strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, spelt)) {
			return true
		}
	}
	return false
}

func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

func isWords(s string) bool {
	if common[s] {
		return true
	}
	for i := range s {
		if common[s[:i]] && common[s[i:]] {
			return true
		}
	}
	return false
}

// formatNames completes "is not".
var formatNames = map[string]string{
	"url":      "a URL with a scheme and a host",
	"hostname": "a host name or IP address",
	"port":     "a port, 1 to 65535",
	"email":    "an e-mail address",
	"uuid":     "a UUID",
	"json":     "JSON",
	"pem":      "PEM",
	"base64":   "base64",
}

var (
	uuidRE = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	// RFC 1123, section 2.1, with the underscore that service names have.
	hostRE = regexp.MustCompile(`^([A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?$`)
	ipv6RE = regexp.MustCompile(`^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$`)
)

var formats = map[string]func(string) bool{
	"url": func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Scheme != "" && u.Host != "" && !strings.ContainsFunc(s, unicode.IsSpace)
	},
	"hostname": func(s string) bool { return len(s) <= 253 && (hostRE.MatchString(s) || ipv6RE.MatchString(s)) },
	"port": func(s string) bool {
		n, err := strconv.ParseUint(s, 10, 16)
		return err == nil && n > 0
	},
	"email": func(s string) bool {
		a, err := mail.ParseAddress(s)
		return err == nil && a.Address == s
	},
	"uuid": uuidRE.MatchString,
	"json": func(s string) bool { return json.Valid([]byte(s)) },
	"pem": func(s string) bool {
		b, rest := pem.Decode([]byte(s))
		for b != nil && len(strings.TrimSpace(string(rest))) > 0 {
			b, rest = pem.Decode(rest)
		}
		return b != nil
	},
	"base64": func(s string) bool {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if _, err := e.DecodeString(s); err == nil {
				return s != ""
			}
		}
		return false
	},
}
