package value

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// secretInput is an input of which the contract says nothing.
var secretInput = plan.Input{Name: "API_KEY", Class: plan.Required, Constraints: plan.Constraints{MinStrength: 60}}

// lines reads a list of values.
func lines(tb testing.TB, file string) []string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		tb.Fatal(err)
	}
	var all []string
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSuffix(l, "\n"); l != "" && !strings.HasPrefix(l, "# ") {
			all = append(all, l)
		}
	}
	if len(all) < 50 {
		tb.Fatalf("%s has %d values", file, len(all))
	}
	return all
}

// TestPublished judges values that public sample files print. What counts is
// the first look at values that no rule was made with: the lists say what it
// was. Only fetched3.txt is still unseen, but for test-key-123, which was looked at
// when a threshold was chosen. A value of it that passes is no reason to change a
// rule, else a new list must be fetched.
func TestPublished(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file string
		seen bool
		min  float64
	}{
		{"seen.txt", true, 1},
		{"manuals.txt", true, 0.97},
		{"fetched1.txt", true, 0.96},
		{"fetched2.txt", true, 0.96},
		{"fetched3.txt", false, 0.95},
	} {
		all := lines(t, test.file)
		var passed []string
		for _, s := range all {
			ds := Judge(secretInput, New([]byte(s)))
			if !slices.ContainsFunc(ds, func(d plan.Diagnostic) bool { return d.Code == plan.CodePlaceholder || d.Code == plan.CodeWeak }) {
				passed = append(passed, s)
			}
		}
		rate := 1 - float64(len(passed))/float64(len(all))
		sort := "that the rules were widened with"
		if !test.seen {
			sort = "that no rule was widened with"
		}
		t.Logf("%s: %.1f %% of %d published values %s refused", test.file, 100*rate, len(all), sort)
		if rate < test.min {
			t.Errorf("%s: %.1f %% refused, want %.0f %%; these pass: %q", test.file, 100*rate, 100*test.min, passed)
		}
	}
}

// TestPublishedEncoded refuses what samples have as base64, hex or in URLs.
func TestPublishedEncoded(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"Y2hhbmdlbWU=":                     true, // changeme
		"Y2hhbmdlbWU":                      true,
		"c3VwZXItc2VjcmV0LWp3dC1rZXk":      true, // super-secret-jwt-key
		"c3VwZXItc2VjcmV0LWp3dC1rZXk=":     true,
		"eW91ci1zZWNyZXQta2V5LWhlcmU_":     true, // your-secret-key-here?
		"70617373776f7264":                 true, // password
		"6d792d7365637265742d6b6579":       true, // my-secret-key
		"change%2Dme%2Din%2Dproduction":    true,
		"cXVhcnR6LWxhbnRlcm4tYnJpbmU3NzE1": false, // quartz-lantern-brine7715
	} {
		ds := Judge(secretInput, New([]byte(s)))
		if got := len(ds) > 0; got != want {
			t.Errorf("%s: %v, want refused: %v", s, ds, want)
		}
	}
}

// TestSettled: a contract that demands no strength, or lists the values, has them
// judged by no rule of these.
func TestSettled(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"super-secret-jwt-key", "Y2hhbmdlbWU=", "qwertyuiopasdfgh", "harbor-lantern"} {
		for _, c := range []plan.Constraints{{}, {MinStrength: 60, OneOf: []string{s}}} {
			in := plan.Input{Name: "API_KEY", Class: plan.Required, Constraints: c}
			if ds := Judge(in, New([]byte(s))); c.OneOf == nil && len(ds) > 0 || slices.ContainsFunc(ds, func(d plan.Diagnostic) bool { return d.Code == plan.CodePlaceholder }) {
				t.Errorf("%s with %+v: %v", s, c, ds)
			}
		}
		if len(Judge(secretInput, New([]byte(s)))) == 0 {
			t.Errorf("%s passes", s)
		}
	}
}

// TestStartPaysNothing: the tables are built when a value is judged, and the
// initialisation of the package makes next to nothing.
func TestStartPaysNothing(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	trace := regexp.MustCompile(`(?m)^init github\.com/victor-ai/victorgen/compiler/value @.* ms clock, (\d+) bytes, (\d+) allocs$`).FindStringSubmatch(string(out))
	if trace == nil {
		t.Skip("this Go does not trace initialisation") // or the package has nothing to initialise
	}
	if n, err := strconv.Atoi(trace[1]); err != nil || n > 64<<10 {
		t.Errorf("the initialisation allocates %s bytes", trace[1])
	}
}

// TestPublishedJSON judges JSON by its strings, not by the names in it.
func TestPublishedJSON(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		`{"null": null, "a": {}, "list": [null]}`:                                   false,
		`{"username": "default", "password": "kT9vQ2mXbL7w"}`:                       false,
		`{"database": {"password": "kT9vQ2mX"}, "test": true, "token": "b7Lw0pZr"}`: false,
		`{"username": "admin", "password": "changeme-in-production"}`:               true,
		`["your-secret", "your-password"]`:                                          true,
	} {
		if why := published(s); (why != "") != want {
			t.Errorf("%s: refused because %q, want refused: %v", s, why, want)
		}
	}
}

// TestExampleInCapitals refuses keys as manuals print them, and no passphrase
// in capitals that has the word.
func TestExampleInCapitals(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"AKIAIOSFODNN7EXAMPLE":                     true,
		"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": true,
		"VIOLET-EXAMPLE-TURNIP-GRAVEL-OCTOPUS":     false,
		"VIOLET-TURNIP-GRAVEL-OCTOPUS-EXAMPLE":     false,
		"EXAMPLES_VIOLET_TURNIP_GRAVEL_OCTOPUS42":  false,
	} {
		if got := isPlaceholder(s, ""); got != want {
			t.Errorf("%s: placeholder is %v, want %v", s, got, want)
		}
	}
}

// TestRandomValuesPass judges random values of real shapes, of each as many, as
// a build does. VICTORGEN_RANDOM says how many in all; `make bench` asks for a
// million.
func TestRandomValuesPass(t *testing.T) {
	t.Parallel()
	n, err := strconv.Atoi(os.Getenv("VICTORGEN_RANDOM"))
	if err != nil {
		n = 10_000
	}
	rnd := rand.New(rand.NewChaCha8([32]byte{7}))
	shapes := shapes(t, rnd)
	each := n/len(shapes) + 1
	refused := 0
	for _, name := range slices.Sorted(maps.Keys(shapes)) { // the same values in each run
		make, bad := shapes[name], 0
		for range each {
			if ds := Judge(secretInput, New([]byte(make()))); len(ds) > 0 {
				if bad++; bad <= 5 {
					t.Errorf("%s: %s", name, ds[0].Message)
				}
			}
		}
		refused += bad
	}
	t.Logf("%d of %d random values of %d shapes refused", refused, each*len(shapes), len(shapes))
}

// TestWordsPass judges passphrases as the last test does, but draws them where
// the danger is: of each word, seven in ten are of those that samples have, and
// what is refused counts for as little as it is rarer without that.
func TestWordsPass(t *testing.T) {
	t.Parallel()
	all := words(t)
	var ours []string
	for _, w := range all {
		if vocabulary().of(w) > ordinary {
			ours = append(ours, w)
		}
	}
	const draws, often = 4_000, 0.7
	rnd := rand.New(rand.NewChaCha8([32]byte{8}))
	for _, sep := range []string{"-", ""} {
		chance := 0.0
		for range draws {
			phrase, weight := make([]string, 5), 1.0
			for i := range phrase {
				if rnd.Float64() < often {
					phrase[i] = ours[rnd.IntN(len(ours))]
				} else {
					phrase[i] = all[rnd.IntN(len(all))]
				}
				as := 1 / float64(len(all))
				drawn := (1 - often) * as
				if vocabulary().of(phrase[i]) > ordinary {
					drawn += often / float64(len(ours))
				}
				weight *= as / drawn
			}
			if len(Judge(secretInput, New([]byte(strings.Join(phrase, sep))))) > 0 {
				chance += weight / draws
			}
		}
		t.Logf("of five words of %d, joined by %q, one in %.1g is refused", len(all), sep, 1/chance)
		if chance > 2e-7 {
			t.Errorf("joined by %q, %.2g are refused", sep, chance)
		}
	}
}

// shapes make random values as vendors, programs and people do.
func shapes(tb testing.TB, rnd *rand.Rand) map[string]func() string {
	const (
		lower, upper, digit = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
		base62              = upper + lower + digit
		symbols             = "!#$%&()*+,-./:;<=>?@[]^_{|}~"
	)
	of := func(alphabet string, length int) string {
		b := make([]byte, length)
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(b)
	}
	raw := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	b64url := base64.RawURLEncoding.EncodeToString
	uuid := func() string {
		h := hex.EncodeToString(raw(16))
		return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
	}
	m := map[string]func() string{
		"AWS key ID":     func() string { return "AKIA" + of(upper+"234567", 16) },
		"AWS secret key": func() string { return of(base62+"+/", 40) },
		"GitHub":         func() string { return "ghp_" + of(base62, 36) },
		"GitHub fine":    func() string { return "github_pat_" + of(base62, 22) + "_" + of(base62, 59) },
		"GitLab":         func() string { return "glpat-" + of(base62+"-_", 20) },
		"Stripe":         func() string { return "sk_live_" + of(base62, 24) },
		"Stripe long":    func() string { return "rk_live_51" + of(base62, 97) },
		"Stripe test":    func() string { return "sk_test_" + of(base62, 24) },
		"Stripe webhook": func() string { return "whsec_" + of(base62, 32) },
		"Slack bot":      func() string { return "xoxb-" + of(digit, 12) + "-" + of(digit, 13) + "-" + of(base62, 24) },
		"Slack app": func() string {
			return "xapp-1-" + of(upper+digit, 11) + "-" + of(digit, 13) + "-" + of("0123456789abcdef", 64)
		},
		"Slack hook": func() string {
			return "https://hooks.slack.com/services/T" + of(upper+digit, 10) + "/B" + of(upper+digit, 10) + "/" + of(base62, 24)
		},
		"OpenAI":          func() string { return "sk-" + of(base62, 48) },
		"OpenAI project":  func() string { return "sk-proj-" + of(base62+"-_", 74) + "T3BlbkFJ" + of(base62+"-_", 74) },
		"OpenAI service":  func() string { return "sk-svcacct-" + of(base62+"-_", 74) },
		"Anthropic":       func() string { return "sk-ant-api03-" + of(base62+"-_", 93) + "AA" },
		"Anthropic admin": func() string { return "sk-ant-admin01-" + of(base62+"-_", 93) + "AA" },
		"SendGrid":        func() string { return "SG." + of(base62+"-_", 22) + "." + of(base62+"-_", 43) },
		"Twilio SID":      func() string { return "AC" + hex.EncodeToString(raw(16)) },
		"Twilio token":    func() string { return hex.EncodeToString(raw(16)) },
		"Twilio key":      func() string { return "SK" + hex.EncodeToString(raw(16)) },
		"Google":          func() string { return "AIza" + of(base62+"-_", 35) },
		"Google OAuth":    func() string { return "GOCSPX-" + of(base62+"-_", 28) },
		"npm":             func() string { return "npm_" + of(base62, 36) },
		"PyPI":            func() string { return "pypi-AgEIcHlwaS5vcmc" + of(base62+"-_", 120) },
		"Docker Hub":      func() string { return "dckr_pat_" + of(base62+"-_", 27) },
		"Azure storage":   func() string { return base64.StdEncoding.EncodeToString(raw(64)) },
		"Azure client":    func() string { return of(base62, 3) + "8Q~" + of(base62+"-_.~", 34) },
		"Azure connection": func() string {
			return "DefaultEndpointsProtocol=https;AccountName=" + of(lower, 12) + ";AccountKey=" + base64.StdEncoding.EncodeToString(raw(64)) + ";EndpointSuffix=core.windows.net"
		},
		"Mailgun":        func() string { return "key-" + hex.EncodeToString(raw(16)) },
		"Mailchimp":      func() string { return hex.EncodeToString(raw(16)) + "-us" + of("123456789", 1) },
		"Hugging Face":   func() string { return "hf_" + of(base62, 34) },
		"DigitalOcean":   func() string { return "dop_v1_" + hex.EncodeToString(raw(32)) },
		"Heroku":         func() string { return "HRKU-" + uuid() },
		"Cloudflare":     func() string { return of(base62+"-_", 40) },
		"Cloudflare key": func() string { return hex.EncodeToString(raw(19))[:37] },
		"Datadog":        func() string { return hex.EncodeToString(raw(20)) },
		"Telegram":       func() string { return of(digit, 10) + ":AA" + of(base62+"-_", 33) },
		"Discord":        func() string { return of(base62, 24) + "." + of(base62, 6) + "." + of(base62+"-_", 38) },
		"Grafana":        func() string { return "glsa_" + of(base62, 32) + "_" + hex.EncodeToString(raw(4)) },
		"Vault":          func() string { return "hvs." + of(base62+"-_", 90) },
		"Shopify":        func() string { return "shpat_" + hex.EncodeToString(raw(16)) },
		"Resend":         func() string { return "re_" + of(base62, 8) + "_" + of(base62, 24) },
		"Supabase":       func() string { return "sb_secret_" + of(base62+"-_", 22) + "_" + of(base62+"-_", 8) },
		"Langfuse":       func() string { return "sk-lf-" + uuid() },
		"Square":         func() string { return "sq0csp-" + of(base62+"-_", 43) },
		"Linear":         func() string { return "lin_api_" + of(base62, 40) },
		"Groq":           func() string { return "gsk_" + of(base62, 52) },
		"Postmark":       uuid,
		"Laravel":        func() string { return "base64:" + base64.StdEncoding.EncodeToString(raw(32)) },
		"Fernet":         func() string { return base64.URLEncoding.EncodeToString(raw(32)) },
		"Sentry": func() string {
			return "https://" + hex.EncodeToString(raw(16)) + "@o" + of(digit, 6) + ".ingest.sentry.io/" + of(digit, 7)
		},
		"hex 128":       func() string { return hex.EncodeToString(raw(16)) },
		"hex 192":       func() string { return hex.EncodeToString(raw(24)) },
		"hex 256 upper": func() string { return strings.ToUpper(hex.EncodeToString(raw(32))) },
		"hex 512":       func() string { return hex.EncodeToString(raw(64)) },
		"base64 128":    func() string { return base64.StdEncoding.EncodeToString(raw(16)) },
		"base64 256":    func() string { return base64.StdEncoding.EncodeToString(raw(32)) },
		"base64 384":    func() string { return base64.StdEncoding.EncodeToString(raw(48)) },
		"base64url 192": func() string { return b64url(raw(24)) },
		"base64url 256": func() string { return b64url(raw(32)) },
		"UUID":          uuid,
		"UUID upper":    func() string { return strings.ToUpper(uuid()) },
		"PostgreSQL":    func() string { return "postgresql://shop:" + of(base62, 24) + "@db.internal:5432/shop" },
		"MySQL":         func() string { return "mysql://root:" + url.QueryEscape(of(base62+symbols, 20)) + "@mysql/app" },
		"Redis":         func() string { return "redis://:" + hex.EncodeToString(raw(16)) + "@redis:6379/0" },
		"AMQP":          func() string { return "amqps://user:" + of(base62+"-_", 16) + "@rabbitmq:5671/vhost" },
		"MongoDB":       func() string { return "mongodb+srv://admin:" + of(base62, 16) + "@cluster0.mongodb.net/test" },
		"SMTP": func() string {
			return "smtp://apikey:SG." + of(base62+"-_", 22) + "." + of(base62+"-_", 43) + "@smtp.sendgrid.net:587"
		},
		"password 16":        func() string { return of(base62, 16) },
		"password 32":        func() string { return of(base62, 32) },
		"password lower":     func() string { return of(lower, 16) },
		"password upper":     func() string { return of(upper, 20) },
		"password digits":    func() string { return of(digit, 24) },
		"password simple":    func() string { return of("abcdefghjkmnpqrstuvwxyz23456789", 14) },
		"password simple20":  func() string { return of("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789", 20) },
		"password symbols":   func() string { return of(base62+symbols, 14) },
		"password symbols32": func() string { return of(base62+symbols, 32) },
		"password dashes":    func() string { return of(lower+digit, 6) + "-" + of(lower+digit, 6) + "-" + of(lower+digit, 6) },
		"password iCloud":    func() string { return of(base62, 6) + "-" + of(base62, 6) + "-" + of(base62, 6) },
		"recovery key": func() string {
			return strings.ToUpper(of(lower+digit, 5) + "-" + of(lower+digit, 5) + "-" + of(lower+digit, 5) + "-" + of(lower+digit, 5))
		},
		"Django":    func() string { return of("abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)", 50) },
		"WordPress": func() string { return of(base62+symbols+"`", 64) },
		"bcrypt":    func() string { return "$2y$10$" + of(base62+"./", 53) },
		"age":       func() string { return "AGE-SECRET-KEY-1" + of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58) },
		"WireGuard": func() string { return base64.StdEncoding.EncodeToString(raw(32)) },
		"JWT": func() string {
			return b64url([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64url(fmt.Appendf(nil, `{"sub":%q,"iat":17%s}`, uuid(), of(digit, 8))) + "." + b64url(raw(32))
		},
		"JWT anon": func() string {
			return b64url([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64url(fmt.Appendf(nil, `{"iss":"supabase","ref":%q,"role":"anon","iat":17%s}`, of(lower, 20), of(digit, 8))) + "." + b64url(raw(32))
		},
		"PEM": func() string { return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw(48)})) },
		"PEM long": func() string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: raw(1190)}))
		},
		"OpenSSH": func() string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), raw(380)...)}))
		},
	}
	// Passwords of each usual alphabet, from the first length at which what is
	// drawn has the strength that a contract demands by default. From twelve
	// characters on: of eleven, too many show but half of their alphabet.
	for name, alphabet := range map[string]string{
		"digits": digit, "hex": "0123456789abcdef", "HEX": "0123456789ABCDEF", "lower": lower, "upper": upper,
		"lower and digits": lower + digit, "upper and digits": upper + digit, "letters": lower + upper, "base62": base62,
		"base58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", "base32": upper + "234567",
		"Crockford": "0123456789ABCDEFGHJKMNPQRSTVWXYZ", "base64url": base62 + "-_", "base64": base62 + "+/",
		"printable": base62 + symbols + "`\"'\\", "keyboard": base62 + "!@#$%^&*",
	} {
		least := max(12, int(math.Ceil(secretInput.Constraints.MinStrength/math.Log2(float64(len(alphabet))))))
		for _, n := range []int{least, least + 1, least + 3, 16, 20, 24, 32, 40, 64} {
			if n >= least {
				m[fmt.Sprintf("%d of %s", n, name)] = func() string { return of(alphabet, n) }
			}
		}
	}
	words := words(tb)
	five := func() []string {
		w := make([]string, 5)
		for i := range w {
			w[i] = words[rnd.IntN(len(words))]
		}
		return w
	}
	for name, sep := range map[string]string{"spaces": " ", "hyphens": "-", "dots": ".", "underscores": "_"} {
		m["passphrase with "+name] = func() string { return strings.Join(five(), sep) }
	}
	title := func(w []string) []string {
		for i, s := range w {
			w[i] = strings.ToUpper(s[:1]) + s[1:]
		}
		return w
	}
	m["passphrase in camel case"] = func() string { return strings.Join(title(five()), "") }
	m["passphrase in title case"] = func() string { return strings.Join(title(five()), "-") }
	m["passphrase glued"] = func() string { return strings.Join(five(), "") }
	m["passphrase and digits"] = func() string { return strings.Join(five(), "-") + of(digit, 2) }
	m["passphrase in capitals"] = func() string { return strings.ToUpper(strings.Join(five(), "-")) }
	return m
}

// words are those of the file VICTORGEN_WORDS, as a list for passphrases has
// them, or else ordinary words and those that samples use and a list may have.
func words(tb testing.TB) []string {
	tb.Helper()
	text := ordinaryWords
	if f := os.Getenv("VICTORGEN_WORDS"); f != "" {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		text = string(b)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for w := range strings.FieldsSeq(line) {
			if len(w) >= 3 && len(w) <= 9 {
				seen[w] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// TestVocabulary holds the lexicon to the lists, and the pairs of letters to what is
// common in these.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	all := map[string]sort{}
	for s, list := range []string{ordinary: ordinaryWords, context: contextWords, glue: glueWords, telling: tellingWords} {
		for line := range strings.Lines(list) {
			if !strings.HasPrefix(line, "#") {
				for w := range strings.FieldsSeq(line) {
					all[w] = sort(s)
				}
			}
		}
	}
	if len(all) < 10_000 {
		t.Errorf("%d words", len(all))
	}
	count, pairsOf := map[string]int{}, 0
	for w, s := range all {
		if got := vocabulary().of(w); got != s {
			t.Errorf("%s is of sort %d, want %d", w, got, s)
		}
		for _, other := range []string{w + "q", "q" + w, w[1:], w[:len(w)-1]} {
			if got := vocabulary().of(other); got != all[other] {
				t.Errorf("%s is of sort %d, want %d", other, got, all[other])
			}
		}
		for i := 2; i <= len(w); i++ {
			count[w[i-2:i]]++
			pairsOf++
		}
	}
	var want []string
	for pair, n := range count {
		if n*2000 >= pairsOf {
			want = append(want, pair)
		}
	}
	slices.Sort(want)
	if got := strings.Fields(commonPairs); !slices.Equal(got, want) {
		t.Errorf("the common pairs are\n%s", strings.Join(want, " "))
	}
}
