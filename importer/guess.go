package importer

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// strong reports whether v is no placeholder and has so many bits of strength.
func strong(v value.Value, bits float64) bool {
	in := plan.Input{Name: "V", Class: plan.Required, Constraints: plan.Constraints{MinStrength: bits}}
	if !utf8.Valid(v.Reveal()) {
		return v.Len() >= 16
	}
	return !value.Judge(in, v).HasErrors()
}

// atLeast is strong for the value of an input, which is judged once for each strength.
func (in *Input) atLeast(bits float64) bool {
	known, ok := in.strong[bits]
	if !ok {
		if in.strong == nil {
			in.strong = map[float64]bool{}
		}
		known = strong(in.Value, bits)
		in.strong[bits] = known
	}
	return known
}

// placeholder reports whether a build takes v for a value that is not there yet,
// whatever strength is asked for.
func placeholder(v value.Value) bool {
	for _, d := range value.Judge(plan.Input{Name: "V", Class: plan.Required}, v) {
		if d.Code == plan.CodePlaceholder {
			return true
		}
	}
	return false
}

var (
	flag     = lazy.MustCompile(`(?i)^(true|false|yes|no|on|off|enabled?|disabled?)$`)
	number   = lazy.MustCompile(`^-?[0-9]{1,7}([.][0-9]{1,4})?([smhdwkKMG]|ms|MB|GB|Mi|Gi|KB)?$`)
	port     = lazy.MustCompile(`^[1-9][0-9]{1,4}$`)
	email    = lazy.MustCompile(`^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
	dotted   = lazy.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}(:[0-9]{1,5})?$|^[0-9]{1,3}(\.[0-9]{1,3}){3}(:[0-9]{1,5})?$`)
	uuid     = lazy.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	hexText  = lazy.MustCompile(`^([0-9a-f]+|[0-9A-F]+)$`)
	alphanum = lazy.MustCompile(`^[A-Za-z0-9]+$`)
	urlText  = lazy.MustCompile(`^[a-z][a-z0-9+.-]*://[^\s]+$`)
	params   = lazy.MustCompile(`(?i)(key|token|secret|sig|signature|password|pass|auth|code)=`)
)

// isURL reports whether s is a URL, and whether it has a login or the like in it.
func isURL(s string) (is, login bool) {
	if !urlText.MatchString(s) {
		return false, false
	}
	u, err := url.Parse(s)
	if err != nil {
		return true, true // no one can tell
	}
	return true, u.User != nil || params.MatchString(u.RawQuery) || params.MatchString(u.Fragment) || observe.Secretive(s)
}

// open reports whether a value may stand in Git, as far as it shows: nothing of it
// looks like a secret.
func open(v value.Value) bool {
	s := string(v.Reveal())
	switch is, login := isURL(s); {
	case is:
		return !login
	case !utf8.ValidString(s) || len(s) > 400 || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) }):
		return false
	case flag.MatchString(s) || number.MatchString(s) || dotted.MatchString(s) || email.MatchString(s):
		return true
	}
	return !observe.Secretive(s) && !vendor(s)
}

func vendor(s string) bool {
	for _, p := range vendorPatterns {
		if p.MatchString(s) {
			return true
		}
	}
	return false
}

// secretName reports whether the name says that its value is a secret.
func secretName(name string) bool {
	return secretWord.MatchString(name) && !publicWord.MatchString(name) && (!pathWord.MatchString(name) || strings.HasSuffix(strings.ToLower(name), "key_id"))
}

// isSetting decides whether what stands under a name is no secret. variable says
// that it is one of a dotenv file or of Compose, where most is not; of a Secret,
// most is. why says what was a guess.
func isSetting(name string, v value.Value, known, variable bool, n observe.Notes) (setting bool, why string) {
	s := string(v.Reveal())
	switch {
	case n.Sensitive != nil:
		return !*n.Sensitive && (!known || open(v)), ""
	case n.Format == "port" || n.Format == "email":
		return true, ""
	case publicWord.MatchString(name) && variable && known && !observe.Credential(s) && !strings.ContainsAny(s, "\n"):
		return true, ""
	case known && !open(v):
		return false, ""
	case secretName(name):
		return false, ""
	case known && (flag.MatchString(s) || number.MatchString(s)):
		return true, ""
	case known && variable:
		if alphanum.MatchString(s) && len(s) >= 16 && !settingWord.MatchString(name) && strong(v, 60) && !strings.ContainsFunc(s, unicode.IsLower) {
			return false, "A secret, because it looks random."
		}
		return true, ""
	case variable:
		return true, ""
	case publicWord.MatchString(name):
		return true, "Public, by its name."
	case settingWord.MatchString(name) && (known && len(s) < 200 || !known && !strings.HasSuffix(upper(name), "SERVICE_ACCOUNT")):
		return true, "Not secret, by its name."
	case known && (email.MatchString(s) || dotted.MatchString(s)):
		return true, "Not secret, by its form."
	}
	if is, _ := isURL(s); is {
		return true, "A URL without a login."
	}
	return false, ""
}

// houseWord is what an example leaves to anyone who sets the application up.
var houseWord = lazy.MustCompile(`(?i)(password|passwd|pass|secret[_.-]?key|enc[_.-]?key)$`)

var tokenWord = lazy.MustCompile(`(?i)token$|api[_.-]?(key|token)$`)

var rand = lazy.MustCompile(`openssl rand -(hex|base64) (\d+)`)

// generated says how a value may have been generated, as CUE; empty if it does not
// look as if it had been, or if someone else has made it, by its name or that of the
// Secret it is in, the context.
func generated(name, context string, v value.Value, known bool, n observe.Notes) (spec, why string) {
	if m := rand.FindStringSubmatch(n.Description + " " + n.Sample); m != nil && !known {
		if bytes, err := strconv.Atoi(m[2]); err == nil && bytes >= 1 && bytes <= 1024 {
			return fmt.Sprintf("{kind: \"bytes\", bits: %d, encoding: %q}", bytes*8, m[1]), ""
		}
	}
	if tokenWord.MatchString(name) && !ownWord.MatchString(name) || context != "" && foreignWord.MatchString(context) {
		return "", ""
	}
	foreign := foreignWord.MatchString(name) && !(ownWord.MatchString(name) && !foreignWord.MatchString(ownWord.ReplaceAllString(name, "")) || strings.Contains(strings.ToLower(name), "webhook") && !stripeHook.MatchString(name))
	if foreign || publicWord.MatchString(name) {
		return "", ""
	}
	s := string(v.Reveal())
	if !known {
		lower := strings.ToLower(name)
		switch {
		case !ownWord.MatchString(name) && !houseWord.MatchString(name):
			return "", ""
		case strings.Contains(lower, "vapid"):
			if strings.Contains(lower, "private") {
				return `{kind: "ecdsa", curve: "P-256", encoding: "raw"}`, ""
			}
			return "", ""
		case strings.Contains(lower, "secret_key_base"):
			return `{kind: "bytes", bits: 512, encoding: "hex"}`, "The form is a guess."
		case strings.Contains(lower, "fernet"):
			return `{kind: "bytes", bits: 256, encoding: "base64url", padding: true}`, ""
		}
		return `{kind: "password", length: 32}`, "The form is a guess."
	}
	if !ownWord.MatchString(name) && !secretName(name) || vendor(s) || !strong(v, 60) {
		return "", ""
	}
	const guess = "Looks generated; the value is kept."
	switch n := len(s); {
	case uuid.MatchString(s):
		return `{kind: "uuid"}`, guess
	case hexText.MatchString(s) && n%2 == 0 && n >= 32 && n <= 256:
		return fmt.Sprintf("{kind: \"bytes\", bits: %d, encoding: \"hex\"}", n*4), guess
	case alphanum.MatchString(s) && n >= 16 && n <= 128:
		alphabet := ""
		switch {
		case !strings.ContainsFunc(s, unicode.IsUpper):
			alphabet = `, alphabet: "abcdefghijklmnopqrstuvwxyz0123456789"`
		case !strings.ContainsFunc(s, unicode.IsLower):
			alphabet = `, alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"`
		}
		if !strings.ContainsFunc(s, unicode.IsDigit) && n < 24 {
			return "", ""
		}
		return fmt.Sprintf("{kind: \"password\", length: %d%s}", n, alphabet), guess
	case n >= 22 && n <= 700:
		for _, e := range []struct {
			name string
			enc  *base64.Encoding
			more string
		}{
			{"base64", base64.StdEncoding, ""}, {"base64url", base64.RawURLEncoding, ""}, {"base64url", base64.URLEncoding, ", padding: true"},
		} {
			if b, err := e.enc.Strict().DecodeString(s); err == nil && len(b)%4 == 0 && len(b) >= 16 && !printable(b) {
				return fmt.Sprintf("{kind: \"bytes\", bits: %d, encoding: %q%s}", len(b)*8, e.name, e.more), guess
			}
		}
	}
	return "", ""
}

// printable reports whether b is text, and so nothing that was drawn by chance.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}
