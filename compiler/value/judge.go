package value

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// Judge compares v with what in demands and returns all that is wrong with it.
// A placeholder is only called that: it is no value, so nothing else about it
// matters. What Judge says names the input and may quote the contract, but no
// part of the value.
func Judge(in plan.Input, v Value) plan.Diagnostics {
	var ds plan.Diagnostics
	s, c := string(v.Reveal()), in.Constraints
	if in.Secret() && !slices.Contains(c.OneOf, s) && isPlaceholder(s, in.Example) {
		ds.Errorf(plan.CodePlaceholder, in.Pos, "put the real value in its place", "%s is a placeholder", in.Name)
		return ds
	}
	if in.Secret() && c.MinStrength > 0 && !slices.Contains(c.OneOf, s) {
		judge := published
		if in.Name == plan.LockKey {
			judge = asWritten // victorgen's own: no one takes it from a sample
		}
		if why := judge(s); why != "" {
			ds.Errorf(plan.CodePlaceholder, in.Pos, "put the real value in its place; `openssl rand -hex 24` makes a random one; a login, a host or a flag is not secret: make it a schema.#Setting",
				"%s is a placeholder: %s", in.Name, why)
			return ds
		}
	}
	switch {
	case in.Encoding == plan.Base64 && (unwrap(s) == "" || !isBase64(unwrap(s))):
		ds.Errorf(plan.CodeValueEncoding, in.Pos, "store it as `base64` prints it, or remove encoding from the contract",
			"%s is not valid base64", in.Name)
		return ds
	case in.Encoding != "" && in.Encoding != plan.Base64 && in.Encoding != plan.Binary:
		// A contract can't ask for it unless this is behind the schema.
		ds.Errorf(plan.CodeValueEncoding, in.Pos, "use an encoding that this victorgen knows", "%s has the encoding %s, which this victorgen can't read", in.Name, in.Encoding)
		return ds
	case in.Encoding == "" && !utf8.ValidString(s):
		ds.Errorf(plan.CodeValueEncoding, in.Pos, `write in the contract how it is encoded, as with encoding: "base64"`,
			"%s is not text in UTF-8", in.Name)
		return ds
	}
	if c.Pattern != nil && !c.Pattern.MatchString(s) {
		ds.Errorf(plan.CodeValuePattern, in.Pos, "it must match "+c.Pattern.String(),
			"%s does not match its pattern", in.Name)
	}
	if f, ok := formats[c.Format]; c.Format != "" && !ok {
		// A contract can't ask for it unless the table is behind the schema.
		ds.Errorf(plan.CodeValueFormat, in.Pos, "use a format that this victorgen knows", "%s has the format %s, which this victorgen can't check", in.Name, c.Format)
	} else if problem, hint := pemProblem([]byte(s)); c.Format == "pem" && problem != "" {
		ds.Errorf(plan.CodeValueFormat, in.Pos, hint, "%s is not in the format pem: it %s", in.Name, problem)
	} else if ok && !f.match(s) {
		ds.Errorf(plan.CodeValueFormat, in.Pos, "it must be "+f.what, "%s is not in the format %s", in.Name, c.Format)
	}
	if n := utf8.RuneCountInString(s); n < c.MinLength {
		ds.Errorf(plan.CodeValueLength, in.Pos, "use a longer one",
			"%s is too short: it has %d characters, at least %d are needed", in.Name, n, c.MinLength)
	} else if c.MaxLength > 0 && n > c.MaxLength {
		ds.Errorf(plan.CodeValueLength, in.Pos, "use a shorter one",
			"%s is too long: it has %d characters, at most %d are allowed", in.Name, n, c.MaxLength)
	}
	if len(c.OneOf) > 0 && !slices.Contains(c.OneOf, s) {
		ds.Errorf(plan.CodeValueOneOf, in.Pos, "use one of: "+strings.Join(c.OneOf, ", "),
			"%s is not one of the allowed values", in.Name)
	}
	if c.MinStrength > 0 && len(ds) == 0 { // of a value that is wrong, its strength does not matter
		if bits := strength(s); bits < c.MinStrength {
			ds.Errorf(plan.CodeWeak, in.Pos, "use a long random one, as from `openssl rand -hex 24`; a login, a host or a flag is not secret: make it a schema.#Setting",
				"%s is weak: about %d bits of strength, %g are needed", in.Name, int(bits), c.MinStrength)
		}
	}
	return ds
}

// Encode returns v as the source of in holds it: the opposite of [Decode].
func Encode(in plan.Input, v Value) Value {
	if in.Encoding != plan.Base64 {
		return v
	}
	return New(base64.StdEncoding.AppendEncode(nil, v.Reveal()))
}

// Decode returns the value of in that a source holds as v: the bytes, if the
// input is encoded. What is not valid base64, of which Judge tells, it returns as is.
func Decode(in plan.Input, v Value) Value {
	if in.Encoding == plan.Base64 {
		if b, err := base64.StdEncoding.Strict().DecodeString(unwrap(string(v.Reveal()))); err == nil {
			return New(b)
		}
	}
	return v
}

// unwrap takes the line breaks away that base64 has in files.
func unwrap(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }

// formats are the formats of plan.Constraints.
var formats = map[string]struct {
	what  string
	match func(string) bool
}{
	"url":      {"an absolute URL with a host, like https://example.com/path", isURL},
	"hostname": {"letters, digits and hyphens, in parts that dots separate", isHostname},
	"port":     {"a number from 1 to 65535", isPort},
	"email":    {"one address, like someone@example.com", isEmail},
	"uuid":     {"a UUID, like 123e4567-e89b-12d3-a456-426614174000", uuid.MatchString},
	"json":     {"valid JSON", func(s string) bool { return json.Valid([]byte(s)) }},
	"pem":      {"whole PEM blocks, from -----BEGIN to -----END, with their line breaks", isPEM},
	"base64":   {"base64 with the standard alphabet and padding, on one line", isBase64},
}

var (
	label = lazy.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)
	port  = lazy.MustCompile(`^[1-9][0-9]*$`)
	uuid  = lazy.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// isHostname follows https://www.rfc-editor.org/rfc/rfc1123#section-2.1, and
// allows the final dot of a fully qualified name.
func isHostname(s string) bool {
	for part := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if len(part) > 63 || !label.MatchString(part) {
			return false
		}
	}
	return len(s) <= 253
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n <= 65535 && port.MatchString(s)
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func isPEM(s string) bool {
	block, rest := pem.Decode([]byte(s))
	if block == nil {
		return false
	}
	for len(bytes.TrimSpace(rest)) > 0 {
		if block, rest = pem.Decode(rest); block == nil {
			return false
		}
	}
	return true
}

func isBase64(s string) bool {
	_, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && !strings.ContainsAny(s, "\r\n") // which the decoder skips
}

// Strength estimates how many bits of entropy v has, as what Judge says of a weak
// value goes by.
func Strength(v Value) float64 { return strength(string(v.Reveal())) }

// strength estimates how many bits of entropy s has, from the characters in
// use and the length. A common word counts for nothing, whatever its spelling:
// of Password1! only the last two characters count. Of one or two ordinary
// words, no one has to guess the letters.
func strength(s string) float64 {
	s = s[:min(len(s), 4096)] // plenty
	noLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	right := strings.TrimRightFunc(s, noLetter)
	both := strings.TrimLeftFunc(right, noLetter)
	bits := drawn(s)
	// A digit at an end may stand for a letter, or not: try each reading.
	for _, w := range []struct{ word, rest string }{
		{s, ""},
		{right, s[len(right):]},
		{both, s[:len(right)-len(both)] + s[len(right):]},
	} {
		if len(w.word)*3 >= len(s) && common()[plainSpelling(w.word)] {
			bits = min(bits, drawn(w.rest))
		}
	}
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && strings.HasSuffix(s, "=") {
		bits = min(bits, 8*float64(len(b)))
	}
	if w, ok := twoWords(s); ok {
		bits = min(bits, w)
	}
	return bits
}

// drawn returns how many bits s has if its characters are drawn from the
// smallest of the usual alphabets that has them. What chance does not do, as
// five in a row of the keyboard, counts as two characters.
func drawn(s string) float64 {
	var alphabet, length int
	var digits, lower, upper, other bool
	others := map[rune]bool{}
	classes := map[string]bool{}
	for _, r := range s {
		length++
		switch {
		case r >= '0' && r <= '9':
			digits = true
		case r >= 'a' && r <= 'z':
			lower = true
		case r >= 'A' && r <= 'Z':
			upper = true
		case r > '~' || r < ' ':
			others[r] = true
		default:
			other = true
			for _, class := range [...]string{"_-., ", "!@$&*", "\"#%'()+/:;<=>?[\\]^`{|}~"} {
				if strings.ContainsRune(class, r) {
					classes[class] = true
				}
			}
		}
	}
	alphabet = len(others)
	for class := range classes {
		alphabet += len(class)
	}
	if lower {
		alphabet += 26
	}
	if upper {
		alphabet += 26
	}
	if digits {
		alphabet += 10
	}
	// By chance, a value has no character of a part of its alphabet: twelve
	// letters of one case are one in fifty of twelve letters and digits.
	switch {
	case len(others) > 0 || length < 12:
	case !lower && !upper && !other && length >= 15:
		alphabet = 16
	case (lower || upper) && alphabet < 36 && !spelt(s):
		alphabet = 36
	}
	if n := repeated(s); n*3 > length { // less may be chance
		length -= n
	}
	return float64(length) * math.Log2(float64(max(alphabet, 1)))
}

// repeated counts the characters of s that follow from those before them: from
// the third on in runs of five or more characters as they are on the keyboard
// or in the alphabet, and of four or more of one character.
func repeated(s string) int {
	s = strings.ToLower(s)
	n := 0
	for i := 0; i < len(s); {
		j := i + 1
		for j < len(s) && s[j] == s[i] {
			j++
		}
		if j-i < 4 {
			for j = i + 4; j < len(s) && fives()[s[j-4:j+1]]; j++ {
			}
			if j-i < 5 {
				i++
				continue
			}
		}
		n += j - i - 2
		i = j
	}
	return n
}

// spelt reports whether the letters of s may be words and names: they are alike,
// and half of them are in words of four letters and more, or some in ours.
func spelt(s string) bool {
	in, all := 0, 0
	parts, _ := split(s)
	if slices.ContainsFunc(parts, func(p part) bool { return p.sort == unknown && !wordlike(p.text) }) {
		return false
	}
	for _, p := range parts {
		if p.digit {
			continue
		}
		all += len(p.text)
		if p.sort > ordinary && len(p.text) >= 4 {
			return true
		}
		if p.sort != unknown && len(p.text) >= 4 {
			in += len(p.text)
		}
	}
	return in*2 >= all
}

// twoWords returns how many bits s has as one or two ordinary words, with signs
// and digits about them, if it is that.
func twoWords(s string) (bits float64, ok bool) {
	words, short, letters, others := 0, 0, 0, utf8.RuneCountInString(s)
	for p := range pieces(s) {
		others -= len(p.text)
		switch {
		case p.digit && sequence(p.text):
			bits += 4
		case p.digit:
			bits += math.Log2(10) * float64(len(p.text))
		case p.sort == unknown:
			return 0, false
		case len(p.text) >= 3:
			words++
			bits += 15
			letters += len(p.text)
		default:
			short++
			bits += 8
		}
	}
	return bits + 5*float64(others), words > 0 && words <= 2 && short <= 1 && letters*10 >= len(s)*6
}

// spelling maps what people write for a letter to that letter. It takes l for
// i as well, since 1 and ! stand for both.
var spelling = strings.NewReplacer(
	"0", "o", "1", "i", "!", "i", "|", "i", "l", "i", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t", "8", "b",
	"-", "", "_", "", ".", "", " ", "")

func plainSpelling(s string) string { return spelling.Replace(strings.ToLower(s)) }

// common holds, in plain spelling, the heads of the well-known lists of leaked
// passwords, and what the documentation of popular servers sets as a password.
var common = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for w := range strings.FieldsSeq(`
		1q2w3e 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz2wsx3edc abc123 access account admin administrator adminadmin
		adminpassword airflow amazon ansible apple asdf asdfasdf asdfgh asdfghjkl azerty azure baseball batman
		cassandra changeit changeme charlie cheese cisco clickhouse computer correcthorsebatterystaple couchdb
		database databasepassword dbpassword default demo dev developer development docker donald dragon elastic
		elasticsearch flower football freedom fuckyou gitlab god google grafana guest harbor hello helloworld hunter
		iloveyou influxdb internet jenkins jesus jordan kafka keycloak kibana kubernetes letmein login loveme
		lovely mariadb master michael minio minioadmin mongo mongodb monkey mustang mypassword mysecret
		mysecretpassword mysql mysqlpassword nagios neo4j newpassword nextcloud ninja nopassword opensesame oracle
		pass passord passphrase passwd password passwordpassword passwort pokemon postgres postgresadmin
		postgrespassword postgresql princess prod production prometheus qazwsx qazwsxedc qwer qwert qwerty
		qwertyuiop qwertz rabbitmq redis redispassword root rootpassword rootroot samsung sapassword secret
		secretkey secretpassword server service shadow solr staging starwars strongpassword sunshine superman
		superpassword supersecret supersecretkey supersecretpassword support sysadmin system temp temporary
		temppassword test tester testing testpassword testtest tomcat toor trustno1 user username vagrant vault
		victor victorai welcome whatever yourstrongpassword zabbix zaq12wsx zaq1zaq1 zxcvbn zxcvbnm`) {
		words[plainSpelling(w)] = true
	}
	return words
})

// placeholders matches what stands for a value that someone still has to
// fill in. Each pattern demands so much that a random key matches by accident
// less than once in a million, in whatever encoding: it fixes the whole value,
// or seven letters, or a few at one end behind a separator.
//
// Each is here for a sign of it in mayBePlaceholder.
var placeholders = lazy.MustCompileIf(mayBePlaceholder, "(?:"+strings.Join([]string{
	// your-api-key-here, insert_token, dummy, my-example-password: nothing but such words, one of them telling
	`(?i)^(` + fillerPart + `)*(` + tellingPart + `)(` + fillerPart + `|` + tellingPart + `)*$`,
	`(?i)^your([-_ ][a-z0-9]+){1,3}$`,
	`^[A-Za-z0-9/+]*EXAMPLE[A-Za-z0-9/+]*$`, // as the AWS documentation ends its keys; one word among others may be a passphrase's
	`(?i)^(todo|fixme|tbd)\s*(:.*)?$`,
	`^(TODO|FIXME|TBD)[-_: ]+[A-Za-z_ -]*$`,
	`(?i)^(none|null|nil|undefined|n/a)$`,
	// xxx, xxx-xxx, ***; sk-xxxxx; AKIAXXXXXXXX
	`^([xX]{3,}|\*{3,}|[xX]+([-_. ][xX]+)+)$`,
	`^.{0,12}[-_.:/ ](x{4,}|X{4,})$`,
	`[-_.:/ ](x{6,}|X{6,})$`,
	`x{8}|X{8}`,
	`^([A-Za-z0-9_.-]{0,7}|[a-z0-9_.-]{0,40}|[A-Za-z0-9_.-]{16,40})(\.{3,}|…)$`, // ..., sk-ant-...
	`^(sk|pk|rk|whsec|gh[opsu]|xox[abp]|hf|re)[-_][A-Za-z0-9_-]{0,40}(\.{3,}|…)$`,
	`^<[\pL0-9 _.-]{0,8}>$`,
	`^<([a-z]+([ _.—-][a-z0-9]*)*|[A-Z]+([ _.—-][A-Z0-9]*)*)>$`,
	// your, please, key, password, replace, change: in scripts in which random values are not
	`你的|请|請|密钥|密鑰|密码|密碼|替换|修改|您的|示例|パスワード|秘密|あなたの|비밀번호|시크릿|여기`,
	`^\$\{[A-Za-z_][A-Za-z0-9_]*(:?[-+=?][^{}]*)?\}$`,
	`^\$\{[ .]*\}$`,
	`^\$([A-Z]+(_[A-Z]+)+|[A-Z]{1,10})$`,
	`(?s)^\{\{.*\}\}$`,
}, ")|(?:")+")")

func mayBePlaceholder(s string) bool {
	words := true
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return true
		}
		words = words && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-_ ", c) >= 0)
	}
	if words || len(s) <= len("undefined") || strings.IndexByte("<${", s[0]) >= 0 || strings.Trim(s, "xX*-_. ") == "" {
		return true
	}
	for _, sign := range [...]string{"EXAMPLE", "xxxx", "XXXX", "..."} {
		if strings.Contains(s, sign) {
			return true
		}
	}
	begin := strings.ToLower(s[:len("fixme")])
	for _, sign := range [...]string{"your", "todo", "fixme", "tbd"} {
		if strings.HasPrefix(begin, sign) {
			return true
		}
	}
	return false
}

// invitations matches words that ask for a value, in a value of few words: of
// the five of a passphrase, two may be these.
var invitations = lazy.MustCompileIf(mayInvite,
	`(?i)(^|[^a-z])(your[-_ ]?(api|key|token|secret|password)|(change|replace)[-_ ]?(me|it|this)([^a-z]|$))`)

func mayInvite(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "your") || strings.Contains(s, "change") || strings.Contains(s, "replace")
}

const (
	tellingPart = `(?:your|here|examples?|placeholder|dummy|fake|insert|sample|lorem|ipsum)[-_ ]*`
	fillerPart  = `(?:my|the|an?|some|api|access|auth|client|db|database|secret|private|key|token|pass|passwd|password|value|string|text|id|enter|put|add|goes)[-_ ]*`
)

// isPlaceholder reports whether s stands for a value that is not there yet.
func isPlaceholder(s, example string) bool {
	s = strings.Trim(s, " \t\r\n\"'`")
	if example != "" && s == strings.TrimSpace(example) {
		return true
	}
	// No placeholder is long, and keys can be.
	if len(s) > 200 || placeholders.MatchString(s) {
		return len(s) <= 200
	}
	if !invitations.MatchString(s) {
		return false
	}
	why, words := judgeWords(s, chance(s), 0)
	return words < 5 || why != ""
}
