package value

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"iter"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/victor-ai/victorgen/internal/lazy"
)

// published returns why s, a secret, must be one that someone made up for a
// sample file, a manual or a development machine, or nothing. What it returns
// names the rule and no part of s.
//
// Each rule is so narrow that a random value, of whatever shape, meets it less
// than once in 10^8: the rules look at the whole of s, or at so many letters that
// chance does not spell them. A passphrase of five random words may well have one
// that samples use; so a few such words prove nothing there. What s says is judged,
// and what it says as base64, hex or in a URL. published_test.go measures both.
func published(s string) string {
	if why := asWritten(s); why != "" {
		return why
	}
	for form, plain := range decodings(strings.TrimSpace(s)) {
		if isPlaceholder(plain, "") || common()[plainSpelling(plain)] || asWritten(plain) != "" || isText(plain) && strength(plain) < 60 {
			return "it is " + form + " of a placeholder"
		}
	}
	return ""
}

// decodings yields what s stands for if it is base64, hex or percent-encoded,
// by the name of the encoding, as far as it is text.
func decodings(s string) iter.Seq2[string, string] {
	return func(yield func(form, plain string) bool) {
		if len(s) < 8 || len(s) > 500 {
			return
		}
		text := func(b []byte, err error) bool {
			return err == nil && len(b) >= 4 && !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' })
		}
		if b, err := hex.DecodeString(s); text(b, err) && !yield("the hex", string(b)) {
			return
		}
		sextets := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
		if b, err := base64.RawStdEncoding.DecodeString(sextets); text(b, err) && !yield("the base64", string(b)) {
			return
		}
		if u, err := url.PathUnescape(s); err == nil && u != s {
			yield("a percent-encoding", u)
		}
	}
}

// isText reports whether s, which was decoded, can't be random bytes: they are
// nothing but lower-case letters, say, less than once in 10^9.
func isText(s string) bool {
	const lower = "abcdefghijklmnopqrstuvwxyz"
	return len(s) >= 9 && strings.Trim(s, lower) == "" ||
		len(s) >= 12 && strings.Trim(s, lower+"0123456789-_. ") == "" ||
		len(s) >= 16 && strings.Trim(strings.ToLower(s), lower+"0123456789-_. ") == ""
}

// asWritten is published of what s says without decoding it.
func asWritten(s string) string {
	s = strings.Trim(s, " \t\r\n\"'`")
	if s == "" || len(s) > 500 {
		return "" // no sample is long but a token or a key, of which some are known
	}
	if sum := sha256.Sum256([]byte(s)); known()[[knownSize]byte(sum[:])] {
		return "it is published in a manual or sample"
	}
	if strings.HasPrefix(s, "django-insecure-") { // https://docs.djangoproject.com/en/5.2/ref/checks/#security W009
		return "it is the key that Django writes into a new project"
	}
	if commands.MatchString(s) {
		return "it is a command that generates one"
	}
	if why := sampleToken(s); why != "" {
		return why
	}
	if u := authority.FindStringSubmatch(s); u != nil {
		return sampleLogin(u[1], u[2], u[3], s[len(u[0]):])
	}
	if unit := period(s); unit < len(s) && strength(s[:unit]) < 60 {
		return "it repeats itself"
	}
	if patterned(s) {
		return "it is a sequence of the alphabet, the digits or the keyboard"
	}
	return wordy(vendors.ReplaceAllString(s, ""))
}

// vendors matches what the keys of services begin with.
var vendors = lazy.MustCompileIf(func(s string) bool {
	return s != "" && strings.IndexByte("sprxghwnSGAdbe", s[0]) >= 0 && strings.ContainsAny(s, "-_.:")
},
	`^(sk|pk|rk)[-_](live|test|ant|proj|or|lf)[-_]|^(sk|pk|xapp|xox[abps]|gh[opsu]|glpat|whsec|re|hf|gsk|npm|SG|GOCSPX|AIza|github_pat|dop_v1|glsa|hvs|shpat)[-_.]|^base64:|^eyJ[A-Za-z0-9_-]+\.`)

// knownSize is how much of a digest is kept: chance meets 80 bits never.
const knownSize = 10

// known holds the SHA-256, cut, of values that look random and are public.
var known = sync.OnceValue(func() map[[knownSize]byte]bool {
	m := map[[knownSize]byte]bool{}
	for digest := range strings.FieldsSeq(knownDigests) {
		if b, err := hex.DecodeString(digest); err == nil && len(b) == knownSize {
			m[[knownSize]byte(b)] = true
		}
	}
	return m
})

// commands matches what people write, or forget to run, to generate a value.
var commands = lazy.MustCompileIf(func(s string) bool {
	return strings.Contains(s, " ") || strings.Contains(s, "gen")
},
	"openssl rand|^[$(`]*(openssl gen|uuidgen|pwgen|(python3?|node|ruby|php|head|date) -|date \\+|(rails|rake) secret|php artisan|cat /)|^\\$\\([a-z]+ [^)]*\\)$")

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

// authority matches the beginning of a URL, and in it the user and the password.
var authority = lazy.MustCompileIf(func(s string) bool { return strings.Contains(s, "://") },
	`^[A-Za-z][A-Za-z0-9+.-]*://(?:([^/:]*)(?:(:)(.*))?@)?[^/@]*`)

// sampleLogin judges what is secret in a URL: the password in it, else the user
// and the path, as they are tokens then.
func sampleLogin(user, colon, password, path string) string {
	if colon == "" || password == "" {
		if why := wordy(user); why != "" {
			return why
		}
		return wordy(path)
	}
	if p, err := url.PathUnescape(password); err == nil {
		password = p
	}
	if isPlaceholder(password, "") {
		return "its password is a placeholder"
	}
	if password == user && len(user) >= 3 || strength(password) < 20 && common()[plainSpelling(password)] || wordy(password) != "" {
		return "its password is a common sample"
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
	if strings.Trim(lower, "asdfghjkl;") == "" && (len(s) >= 20 || len(s) >= 14 && strings.Count(lower, "asd")+strings.Count(lower, "sdf")+strings.Count(lower, "jkl") >= 2) {
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
	share := 6
	if strings.Trim(s, "0123456789") == "" {
		share = 8 // of ten digits, chance makes a run more easily
	}
	return in >= 6 && in*10 >= total*share && total-in <= 10
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
type sort uint8

const (
	unknown  sort = iota
	ordinary      // any other word
	context       // what secrets are for: database, admin, jwt
	glue          // what sentences have and random words have not: the, your, in
	telling       // what only samples have: password, insecure, example
)

// vocabulary holds the words of samples.
var vocabulary = sync.OnceValue(func() *lexicon {
	l := &lexicon{ordinary: ordinaryWords, few: make(map[string]sort, 1500)}
	for strings.HasPrefix(l.ordinary, "#") {
		_, l.ordinary, _ = strings.Cut(l.ordinary, "\n")
	}
	for s, words := range []string{context: contextWords, glue: glueWords, telling: tellingWords} { // a word in two lists is of the later one
		for word := range strings.FieldsSeq(words) {
			l.few[word] = sort(s)
		}
	}
	return l
})

// lexicon has the sort of each word of some lists. The long one is searched as it is, in
// its order: to make a map of it is a part of what the start of a process takes.
type lexicon struct {
	ordinary string
	begin    [26*26 + 1]atomic.Int32 // of those asked for, what from returns and 1
	few      map[string]sort
}

// pairOf is the place of the first two letters of a word among all pairs; ok is false if
// they are none of a to z.
func pairOf(word string) (pair int, ok bool) {
	if len(word) < 2 {
		return 0, false
	}
	a, b := word[0]-'a', word[1]-'a'
	return int(a)*26 + int(b), a < 26 && b < 26
}

// of is the sort of a word; unknown if it is in no list.
func (l *lexicon) of(word string) sort {
	if s, ok := l.few[word]; ok {
		return s
	}
	pair, ok := pairOf(word)
	if !ok {
		return unknown
	}
	if _, found := l.search(word, l.from(pair), l.from(pair+1)); found {
		return ordinary
	}
	return unknown
}

// from returns where in ordinary the words are that begin with a pair of letters, or after
// it.
func (l *lexicon) from(pair int) int {
	if at := l.begin[pair].Load(); at > 0 {
		return int(at) - 1
	}
	at, _ := l.search(string([]byte{'a' + byte(pair/26), 'a' + byte(pair%26)}), 0, len(l.ordinary))
	l.begin[pair].Store(int32(at) + 1)
	return at
}

// search returns where in ordinary, between the beginnings of two words, a word begins or
// would begin.
func (l *lexicon) search(word string, from, to int) (at int, found bool) {
	for from < to {
		start := from + (to-from)/2
		for start > from && l.ordinary[start-1] > ' ' {
			start--
		}
		end := start
		for end < len(l.ordinary) && l.ordinary[end] > ' ' {
			end++
		}
		switch cmp.Compare(l.ordinary[start:end], word) {
		case 0:
			return start, true
		case -1:
			from = min(end+1, len(l.ordinary))
		case 1:
			to = start
		}
	}
	return from, false
}

//go:embed ordinary.txt
var ordinaryWords string

// part is a piece of a value: a word or a number.
type part struct {
	text  string // in lower case
	sort  sort
	digit bool
	run   int  // of which run of letters it is a piece
	whole bool // that run has nothing but words
}

// wordy judges s by the words that it is made from. Of JSON only the strings are
// words of the value: the names in it say what they are for, as database,
// password and null do in a real one.
func wordy(s string) string {
	if len(s) > 200 || strings.Contains(s, "\n") {
		return ""
	}
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
		var doc any
		if json.Unmarshal([]byte(s), &doc) == nil {
			s = strings.Join(leaves(doc), " ")
		}
	}
	room := chance(s)
	why, words := judgeWords(s, room, 0)
	if low := strings.ToLower(s); why == "" && low != s && longRun(low) { // thisIsAVERYsecretKEY
		why, _ = judgeWords(low, min(room, chance(low)), words)
	}
	if as, changed := leet(s); why == "" && changed > 0 {
		why, _ = judgeWords(as, min(room, chance(as))-3*float64(changed), words)
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

// longRun reports whether twelve of a to z stand together in s.
func longRun(s string) bool {
	n := 0
	for i := range len(s) {
		if n++; s[i] < 'a' || s[i] > 'z' {
			n = 0
		}
		if n == 12 {
			return true
		}
	}
	return false
}

// judgeWords judges the words of s, which are at least so many, and counts them.
// Room is how many bits s has if it is random.
func judgeWords(s string, room float64, least int) (why string, words int) {
	parts, separated := split(s)
	length := map[int]int{} // of each run of letters
	glued := map[int]int{}  // how many words are in it
	strange := 0            // words that are none of ours
	for _, p := range parts {
		if !p.digit {
			length[p.run] += len(p.text)
		}
	}
	var count, letters [telling + 1]int
	var other float64 // the bits of what is no word of ours
	spells := 5.0     // the bits of s if it is made from words: which, and how
	var proof float64 // the bits that chance needs to draw our words from a list
	for i, p := range parts {
		if p.digit {
			bits := math.Log2(10) * float64(len(p.text))
			if sequence(p.text) || strings.HasPrefix(p.text, "20") && len(p.text) == 4 {
				bits = 3
			}
			other, spells = other+bits, spells+bits+2.5
			continue
		}
		count[p.sort]++
		letters[p.sort] += len(p.text)
		switch {
		case p.sort == ordinary:
			other += 14
			spells += 16
		case p.sort == unknown && len(p.text) > 2 && len(p.text) <= 12 && wordlike(p.text):
			other += 20
			spells += 2 + 4*float64(len(p.text))
		case p.sort == unknown && len(p.text) <= 2:
			other += 8
			spells += 3 + 4.7*float64(len(p.text))
		case p.sort == unknown:
			other += max(20, 4.7*float64(len(p.text)))
			spells += 3 + 4.7*float64(len(p.text))
		default:
			spells += 11.5
		}
		switch {
		case p.sort <= ordinary:
		case len(p.text) == length[p.run] && len(p.text) >= 3:
			proof += proofs[p.sort]
		case len(p.text) == length[p.run]:
			proof += 5
		case length[p.run] < 20:
			// Letters of another word, or two words as one.
		case len(p.text) >= 4:
			proof += proofs[p.sort]
		case len(p.text) == 3:
			proof += 2
		}
		if p.sort <= ordinary && len(p.text) >= 3 {
			strange++
		}
		if p.sort == unknown && len(p.text) == 2 && length[p.run] == 2 {
			glued[p.run] = -1 // as in yo-yo
		} else if p.sort == unknown && length[p.run] >= 20 {
			glued[p.run] += (len(p.text) + 4) / 5
		} else if len(p.text) >= 3 {
			glued[p.run]++
		}
		switch {
		case i == 0 && strings.HasPrefix(p.text, "your") && p.sort == glue: // of a list of words, one at a certain place
			proof += 5
		case i > 0 && phrases()[parts[i-1].text][p.text]:
			proof += 8
		case i > 0 && parts[i-1].digit && sizes[p.text]: // at least 32 characters
			proof += 8
		}
	}
	for run, n := range length {
		switch {
		case n >= 20 && strange > 0:
			words += max(glued[run], n/4)
		case n >= 20:
			words += glued[run]
		case n >= 3, n == 2 && glued[run] < 0:
			words++
		}
	}
	words = max(words, least)
	// How much longer s is than a word's worth of bits for each word tells
	// whether chance spelt them.
	if spare := room - spells; spare < 24 || strange > 0 && spare < 27 {
		return "", words
	}
	ours := letters[context] + letters[glue] + letters[telling]
	all := ours + letters[ordinary] + letters[unknown]
	if words >= 5 { // it may be a passphrase, of which one or two words are ours by chance
		enough := 28.0
		if strange == 0 {
			enough = 22
		}
		if proof >= enough && ours*10 >= all*4 && (other < 60 || proof >= 40 && ours*10 >= all*7) {
			return "it is a sentence of words that samples use", words
		}
		return "", words
	}
	enough := 7
	switch {
	case strange <= 1 && len(length) > 1:
		enough = 4
	case separated:
		enough = 6
	}
	if ours < enough || other >= 60 {
		return "", words
	}
	if phrase(parts) && ours*10 >= all*3 {
		return "it says what to put there", words
	}
	for i, p := range parts[:max(len(parts)-1, 0)] {
		if p.text == "your" && p.whole && parts[i+1].sort != glue && (separated || strange <= 2) {
			return "it says what to put there", words
		}
	}
	if len(length) == 1 && strange > 0 && ours*10 < all*7 {
		// Letters without a sign between them may be random.
		if strange > 1 || all > 19 || letters[telling] < 6 && letters[context] < 8 || !wordlike(parts[0].text) || !wordlike(parts[len(parts)-1].text) {
			return "", words
		}
		return "it is a name and a word that samples use", words
	}
	bits := other + 7*float64(count[context]) + 3*float64(count[glue]) + 4*float64(count[telling])
	switch {
	case count[telling] > 0 && bits < 60 && ours*10 >= all*3, count[glue] >= 2 && strange == 0 && bits < 60,
		strange == 0 && count[context] > 0 && count[context] <= 4 && bits < 40:
		return "it is made from words that samples and development machines use", words
	case strange == 1 && count[context] > 0 && bits < 40 && ours*10 >= all*3:
		return "it is a name and a word that samples use", words
	}
	return "", words
}

// sizes are what samples count.
var sizes = map[string]bool{"bit": true, "bits": true, "byte": true, "bytes": true, "char": true, "chars": true, "character": true, "characters": true, "digit": true, "digits": true}

// chance returns the bits that random characters as those of s have, less what
// it takes to put signs between words.
func chance(s string) float64 {
	var letters, signs, odd, digits int
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			letters++
		case strings.ContainsRune("-_ .:/", r):
			signs++
		default:
			odd++
		}
	}
	low, up := strings.ToLower(s) != s, strings.ToUpper(s) != s
	per := 4.7
	switch {
	case strings.Trim(strings.ToLower(s), "0123456789abcdef") == "":
		per = 4
	case odd > 0:
		per = 6.3
	case low && up, digits == 0 && signs > 0: // nothing random has letters of one case and signs alone
		per = 5.95
	case digits > 0:
		per = 5.17
	}
	return per*float64(letters+signs+odd+digits) - 2.5*float64(signs) - 5.5*float64(odd)
}

// proofs are the bits that a word of each sort is worth where five words may be
// drawn: one in 100 words of a list for passphrases is a telling one, and so on.
var proofs = [...]float64{context: 3.5, glue: 6, telling: 6.5}

// wordlike reports whether the letters s can be a word or a name: of the pairs
// of letters that follow each other, at most one is rare in words. Of ten
// random letters, one in seventy is like that.
func wordlike(s string) bool {
	rare, common := 0, pairs()
	for i := 2; i <= len(s); i++ {
		if a, b := s[i-2], s[i-1]; max(a, b) > 'z' || !common[a][b] {
			rare++
		}
	}
	return rare <= 1
}

// pairs are the pairs of letters that are common in words, letter by letter.
var pairs = sync.OnceValue(func() *['z' + 1]['z' + 1]bool {
	m := new(['z' + 1]['z' + 1]bool)
	for pair := range strings.FieldsSeq(commonPairs) {
		m[pair[0]][pair[1]] = true
	}
	return m
})

// sequence reports whether the digits s count up or down, or are anyway.
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
// people write them for, and counts them.
func leet(s string) (as string, changed int) {
	b := []rune(s)
	letter := func(i int) bool { return i >= 0 && i < len(b) && unicode.IsLetter(b[i]) }
	for i, r := range b {
		at := strings.IndexRune("01!345@$7", r)
		if at >= 0 && (letter(i+1) || letter(i-1) && letter(i+2)) {
			b[i] = rune("oiieasast"[at])
			changed++
		}
	}
	return string(b), changed
}

// split takes s apart, as pieces does, and reports whether signs separate.
func split(s string) (parts []part, separated bool) {
	for i, r := range s {
		if strings.ContainsRune("-_ .:/", r) && i > 0 && i+1 < len(s) {
			separated = true
			break
		}
	}
	return slices.Collect(pieces(s)), separated
}

// pieces yields the parts of s: it is taken apart where letters, digits and other
// characters meet, where a capital letter begins a word, and where words of the
// vocabulary stand together without a sign between them.
func pieces(s string) iter.Seq[part] {
	return func(yield func(part) bool) {
		rs := []rune(s)
		for i := 0; i < len(rs); {
			j := i + 1
			switch {
			case unicode.IsDigit(rs[i]):
				for j < len(rs) && unicode.IsDigit(rs[j]) {
					j++
				}
				if !yield(part{text: string(rs[i:j]), digit: true}) {
					return
				}
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
				words := segment(strings.ToLower(string(rs[i:j])))
				whole := !slices.ContainsFunc(words, func(p part) bool { return p.sort == unknown })
				for _, p := range words {
					p.run, p.whole = i, whole
					if !yield(p) {
						return
					}
				}
			}
			i = j
		}
	}
}

// segment takes a run of letters apart into words of the vocabulary, with as
// few letters left over as can be, and of those the fewest pieces.
func segment(s string) []part {
	v := vocabulary()
	if sort := v.of(s); sort != unknown {
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
			if v.of(s[i-n:i]) == unknown || n == 1 && len(s) < 12 { // along is not "a long"
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
			parts = append(parts, part{text: text, sort: v.of(text)})
		} else if n := len(parts); n > 0 && parts[n-1].sort == unknown {
			parts[n-1].text = text + parts[n-1].text
		} else {
			parts = append(parts, part{text: text})
		}
	}
	// Where letters are left over, short words among them are chance, and
	// ordinary ones are part of a name.
	if at[len(s)].left > 0 {
		var kept []part
		for i := len(parts) - 1; i >= 0; i-- {
			p := parts[i]
			if p.sort == ordinary || len(p.text) < 4 && !(len(p.text) == 3 && (i == 0 || i == len(parts)-1) && at[len(s)].left*2 < len(s)) {
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
