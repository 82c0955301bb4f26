package value

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// published returns why s, a secret, must be one that somebody made up for a
// sample file, a manual or a development machine, or nothing. What it returns
// names the rule and no part of s.
//
// Each rule is so narrow that a random value, of whatever shape, meets it less
// than once in a million: the rules look at the whole of s, or at so many
// letters that chance does not spell them. A passphrase of five random words
// may well have one that samples use; so a few such words prove nothing there.
// published_test.go measures both.
func published(s string) string {
	s = strings.Trim(s, " \t\r\n\"'`")
	if s == "" || len(s) > 500 {
		return "" // no sample is long but a token or a key, of which some are known
	}
	if known()[sha256.Sum256([]byte(s))] {
		return "it stands in a public manual or sample"
	}
	if strings.HasPrefix(s, "django-insecure-") { // https://docs.djangoproject.com/en/5.2/ref/checks/#security W009
		return "it is the key that Django writes into a new project"
	}
	if commands().MatchString(s) {
		return "it is the command that makes one"
	}
	if why := sampleToken(s); why != "" {
		return why
	}
	if why := sampleLogin(s); why != "" {
		return why
	}
	if unit := period(s); unit < len(s) && strength(s[:unit]) < 60 {
		return "it repeats itself"
	}
	if patterned(s) {
		return "it is a sequence of characters as the alphabet, the digits or the keyboard have them"
	}
	return wordy(s)
}

// known holds the SHA-256 of values that look random and are public.
var known = sync.OnceValue(func() map[[sha256.Size]byte]bool {
	m := map[[sha256.Size]byte]bool{}
	for line := range strings.Lines(knownDigests) {
		var sum [sha256.Size]byte
		if b, err := hex.DecodeString(strings.TrimSpace(line)); err == nil && copy(sum[:], b) == len(sum) {
			m[sum] = true
		}
	}
	return m
})

var commands = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("openssl rand|^[$(`]*(openssl gen|uuidgen|pwgen|(python3?|node|ruby|php|head|date) -|date \\+|(rails|rake) secret|php artisan|cat /)|^\\$\\([a-z]+ [^)]*\\)$")
})

// sampleToken judges a JSON Web Token by what it says: the samples of jwt.io
// and of Supabase name themselves.
func sampleToken(s string) string {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || !strings.HasPrefix(s, "eyJ") {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	for _, telling := range []string{`"supabase-demo"`, `"John Doe"`, `"1234567890"`} {
		if strings.Contains(string(payload), telling) {
			return "it is a sample token"
		}
	}
	return ""
}

// sampleLogin judges the password of a URL.
func sampleLogin(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || strings.ContainsAny(scheme, " /@:") {
		return ""
	}
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return ""
	}
	user, password, ok := strings.Cut(authority[:at], ":")
	if !ok || password == "" {
		return ""
	}
	if p, err := url.PathUnescape(password); err == nil {
		password = p
	}
	if why := isPlaceholder(password, ""); why {
		return "its password is a placeholder"
	}
	if password == user && len(user) >= 3 || strength(password) < 20 && common()[plainSpelling(password)] || wordy(password) != "" {
		return "its password is one of samples"
	}
	return ""
}

// period returns the length of the shortest beginning of s of which all of s
// consists, as abc of abcabcab; that is len(s) if it is not there twice.
func period(s string) int {
	// The failure function of Knuth, Morris and Pratt.
	border := make([]int, len(s))
	for i, k := 1, 0; i < len(s); i++ {
		for k > 0 && s[i] != s[k] {
			k = border[k-1]
		}
		if s[i] == s[k] {
			k++
		}
		border[i] = k
	}
	if p := len(s) - border[len(s)-1]; len(s) >= 6 && p*2 <= len(s) {
		return p
	}
	return len(s)
}

// rows are characters as people run over them.
var rows = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890", "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiopasdfghjklyxcvbnm",
	"azertyuiopqsdfghjklmwxcvbn", "qwertyuiopasdfghjklzxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "1q2w3e4r5t6y7u8i9o0p", "!@#$%^&*()_+", "q1w2e3r4t5y6",
	"a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0", "0123456789abcdef0123456789abcdef", "abc123def456ghi789jkl012mno345pqr678stu901vwx234yz", "zaq12wsxcde34rfv",
}

// patterned reports whether most of s are runs of five and more characters as
// rows has them, forwards or backwards, or of one character.
func patterned(s string) bool {
	lower := strings.ToLower(s)
	if len(s) >= 14 && strings.Trim(lower, "asdfghjkl;") == "" {
		return true
	}
	in, total := 0, 0
	for i, until := 0, 0; i < len(lower); i++ {
		if i+5 <= len(lower) && fives()[lower[i:i+5]] || i+5 <= len(lower) && strings.Count(lower[i:i+5], lower[i:i+1]) == 5 {
			until = i + 5
		}
		switch {
		case i < until:
			in++
			total++
		case isAlnum(rune(lower[i])) || lower[i] >= 0x80:
			total++
		}
	}
	return in >= 6 && in*10 >= total*6 && total-in <= 10
}

// fives are all runs of five characters of rows, both ways.
var fives = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, row := range rows {
		b := []byte(row)
		slices.Reverse(b)
		for _, row := range [2]string{row, string(b)} {
			for i := 5; i <= len(row); i++ {
				m[row[i-5:i]] = true
			}
		}
	}
	return m
})

func isAlnum(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// sort is what a word proves of the value that it stands in.
type sort int

const (
	unknown sort = iota
	context      // what secrets are for: database, admin, jwt
	glue         // what sentences have and random words have not: the, your, in
	telling      // what only samples have: password, insecure, example
)

// vocabulary holds the words of samples.
var vocabulary = sync.OnceValue(func() map[string]sort {
	m := map[string]sort{}
	for _, list := range []struct {
		sort  sort
		words string
	}{{context, contextWords}, {glue, glueWords}, {telling, tellingWords}} {
		for w := range strings.FieldsSeq(list.words) {
			m[w] = list.sort
		}
	}
	return m
})

// part is a piece of a value: a word or a number.
type part struct {
	text  string // in lower case
	sort  sort
	digit bool
	run   int  // of which run of letters it is a piece
	whole bool // that run has nothing but words
}

// wordy judges s by the words that it is made of. Of JSON only the strings are
// words of the value: the names in it say what they are for, as database,
// password and null do in a real one.
func wordy(s string) string {
	if len(s) > 200 {
		return ""
	}
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
		var doc any
		if json.Unmarshal([]byte(s), &doc) == nil {
			s = strings.Join(leaves(doc), " ")
		}
	}
	why := judgeWords(split(s))
	if low := strings.ToLower(s); why == "" && low != s && longRun.MatchString(low) { // thisIsAVERYsecretKEY
		why = judgeWords(split(low))
	}
	if as := leet(s); why == "" && as != s {
		why = judgeWords(split(as))
	}
	return why
}

// leaves returns the strings in doc, those of an object in the order of its names.
func leaves(doc any) []string {
	switch doc := doc.(type) {
	case string:
		return []string{doc}
	case []any:
		var all []string
		for _, v := range doc {
			all = append(all, leaves(v)...)
		}
		return all
	case map[string]any:
		var all []string
		for _, name := range slices.Sorted(maps.Keys(doc)) {
			all = append(all, leaves(doc[name])...)
		}
		return all
	}
	return nil // a number, true, false and null have no words
}

var longRun = regexp.MustCompile(`[a-z]{12}`)

func judgeWords(parts []part, separated bool) string {
	runs := map[int]bool{}
	var count [telling + 1]int
	var letters [telling + 1]int
	digits := 0.0
	for _, p := range parts {
		if p.digit {
			if sequence(p.text) || strings.HasPrefix(p.text, "20") && len(p.text) == 4 {
				digits += 3
			} else {
				digits += math.Log2(10) * float64(len(p.text))
			}
			continue
		}
		if len(p.text) >= 3 || p.sort != unknown {
			runs[p.run] = true
		}
		count[p.sort]++
		letters[p.sort] += len(p.text)
	}
	if len(runs) == 5 && count[unknown] > 1 {
		return "" // a passphrase, for all that can be told
	}
	ours := letters[context] + letters[glue] + letters[telling]
	all := ours + letters[unknown]
	if phrase(parts) && digits <= 30 && ours*10 >= all*3 {
		return "it says what to put there"
	}
	enough := 7
	if separated {
		enough = 6
	}
	if ours < enough {
		return ""
	}
	// Of random words, one or two can be ours, but not nearly all of five.
	yours := false
	for i, p := range parts[:max(len(parts)-1, 0)] {
		yours = yours || p.text == "your" && p.whole && parts[i+1].sort != glue
	}
	if yours && digits <= 30 && (len(runs) < 5 || count[unknown] == 0 && (count[telling] > 0 || count[context] >= 2)) && (separated || count[unknown] <= 2) {
		return "it says what to put there"
	}
	if len(runs) >= 5 && (count[telling] == 0 || count[telling] < 3 && count[glue] < 2 && (count[unknown] > 0 || count[glue] == 0)) {
		return ""
	}
	if len(runs) == 1 && count[unknown] > 0 && (letters[telling] < 6 || ours*10 < all*7) {
		return ""
	}
	bits := 25*float64(count[unknown]) + 7*float64(count[context]) + 3*float64(count[glue]) + 4*float64(count[telling]) + digits
	switch {
	case count[unknown] > 1 && letters[unknown] > 4*count[unknown], ours*10 < all*4:
		return "" // most of it, nobody can judge by words
	case count[telling] > 0 && bits < 60, count[glue] >= 2 && count[unknown] == 0 && bits < 60,
		count[unknown] == 0 && count[context] > 0 && count[context] <= 4 && bits < 40:
		return "it is made of words that samples and development machines use"
	}
	return ""
}

// sequence reports whether the digits s count up or down, or are all the same.
func sequence(s string) bool {
	same, counts := 0, 0
	for i := 1; i < len(s); i++ {
		switch d := (int(s[i]) - int(s[i-1]) + 10) % 10; d {
		case 0:
			same++
		case 1, 9:
			counts++
		}
	}
	return same >= len(s)-2 || counts >= len(s)-2
}

// phrase reports whether two words that follow each other tell that the value
// is still to come, or not for use.
func phrase(parts []part) bool {
	for i := 1; i < len(parts); i++ {
		p, q := parts[i-1], parts[i]
		n := len(p.text) + len(q.text)
		if phrases()[p.text][q.text] && (p.whole && q.whole && n >= 6 || p.run == q.run && n >= 10) {
			return true
		}
	}
	return false
}

var phrases = sync.OnceValue(func() map[string]map[string]bool {
	m := map[string]map[string]bool{}
	for line := range strings.Lines(phraseWords) {
		first, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for f := range strings.FieldsSeq(first) {
			if m[f] == nil {
				m[f] = map[string]bool{}
			}
			for next := range strings.FieldsSeq(rest) {
				m[f][next] = true
			}
		}
	}
	return m
})

// leet reads the digits and signs that stand among letters as the letters that
// people write them for.
func leet(s string) string {
	b := []rune(s)
	letter := func(i int) bool { return i >= 0 && i < len(b) && unicode.IsLetter(b[i]) }
	for i, r := range b {
		at := strings.IndexRune("01!345@$7", r)
		if at >= 0 && (letter(i+1) || letter(i-1) && letter(i+2)) {
			b[i] = rune("oiieasast"[at])
		}
	}
	return string(b)
}

// split takes s apart: where letters, digits and other characters meet, where a
// capital letter begins a word, and where words of the vocabulary stand
// together without a sign between them. It reports whether signs separate.
func split(s string) (parts []part, separated bool) {
	rs := []rune(s)
	for i := 0; i < len(rs); {
		j := i + 1
		switch {
		case unicode.IsDigit(rs[i]):
			for j < len(rs) && unicode.IsDigit(rs[j]) {
				j++
			}
			parts = append(parts, part{text: string(rs[i:j]), digit: true})
		case unicode.IsLetter(rs[i]):
			for j < len(rs) && unicode.IsLetter(rs[j]) {
				if unicode.IsUpper(rs[j]) && !unicode.IsUpper(rs[j-1]) {
					break // fooBar
				}
				if unicode.IsUpper(rs[j]) && j+1 < len(rs) && unicode.IsLower(rs[j+1]) {
					break // HTTPServer
				}
				j++
			}
			pieces := segment(strings.ToLower(string(rs[i:j])))
			whole := !slices.ContainsFunc(pieces, func(p part) bool { return p.sort == unknown })
			for _, p := range pieces {
				p.run, p.whole = i, whole
				parts = append(parts, p)
			}
		default:
			separated = separated || i > 0 && j < len(rs) && strings.ContainsRune("-_ .:/", rs[i])
		}
		i = j
	}
	return parts, separated
}

// segment takes a run of letters apart into words of the vocabulary, with as
// few letters left over as can be, and of those the fewest pieces.
func segment(s string) []part {
	v := vocabulary()
	if sort, ok := v[s]; ok {
		return []part{{text: s, sort: sort}}
	}
	type best struct {
		left, pieces, from int
		known              bool
	}
	at := make([]best, len(s)+1)
	for i := 1; i <= len(s); i++ {
		at[i] = best{left: at[i-1].left + 1, pieces: at[i-1].pieces, from: i - 1}
		if at[i-1].known || i == 1 {
			at[i].pieces++
		}
		for n := 1; n <= min(i, 16); n++ {
			if v[s[i-n:i]] == unknown || n == 1 && len(s) < 12 { // along is not "a long"
				continue
			}
			if b := (best{at[i-n].left, at[i-n].pieces + 1, i - n, true}); b.left < at[i].left || b.left == at[i].left && b.pieces < at[i].pieces {
				at[i] = b
			}
		}
	}
	var parts []part
	for i := len(s); i > 0; i = at[i].from {
		text := s[at[i].from:i]
		if at[i].known {
			parts = append(parts, part{text: text, sort: v[text]})
		} else if n := len(parts); n > 0 && parts[n-1].sort == unknown {
			parts[n-1].text = text + parts[n-1].text
		} else {
			parts = append(parts, part{text: text})
		}
	}
	// Where letters are left over, short words among them are chance.
	if at[len(s)].left > 0 {
		var kept []part
		for i := len(parts) - 1; i >= 0; i-- {
			p := parts[i]
			if len(p.text) < 4 && !(len(p.text) == 3 && (i == 0 || i == len(parts)-1) && at[len(s)].left*2 < len(s)) {
				p.sort = unknown
			}
			if n := len(kept); n > 0 && p.sort == unknown && kept[n-1].sort == unknown {
				kept[n-1].text += p.text
			} else {
				kept = append(kept, p)
			}
		}
		return kept
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}
