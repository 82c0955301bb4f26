package value

import (
	"regexp"
	"sync"
	"testing"

	"github.com/victor-ai/victorgen/internal/lazy"
)

var expressions = map[string]*lazy.Regexp{
	"placeholders": placeholders, "invitations": invitations, "commands": commands, "vendors": vendors, "authority": authority,
}

// unguarded are these as they are, whatever they are not shown.
var unguarded = sync.OnceValue(func() map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{}
	for name, e := range expressions {
		all[name] = regexp.MustCompile(e.String())
	}
	return all
})

// seesAll fails if an expression matches s and does not look at it.
func seesAll(t *testing.T, s string) (matched []string) {
	t.Helper()
	for name, e := range expressions {
		if !unguarded()[name].MatchString(s) {
			continue
		}
		matched = append(matched, name)
		if !e.May(s) {
			t.Errorf("%s match %q and see no sign of it", name, s)
		}
	}
	return matched
}

// TestExpressions: what an expression passes by, it would not have matched.
func TestExpressions(t *testing.T) {
	t.Parallel()
	matched := map[string]int{}
	for _, file := range []string{"seen.txt", "manuals.txt", "fetched1.txt", "fetched2.txt", "fetched3.txt"} {
		for _, s := range lines(t, file) {
			for _, name := range seesAll(t, s) {
				matched[name]++
			}
		}
	}
	for _, s := range []string{
		"n/a", "NULL", "xxx", "***", "x-x", "AKIAXXXXXXXX", "sk-ant-...", "re_…", "<a>", "<Ünder>", "${A:-b}", "${ . }", "$ABC", "{{ x\ny }}",
		"TODO: it", "FIXME_now", "tbd", "your-api-key-here", "YOUR_key", "insert_token", "AAEXAMPLEAA", "请修改", "ſample", "a.b-c_d.xxxx", "x/XXXXXX",
		// of which each has one sign, and is longer than what is looked at anyway
		"tbd: by 2027, see #1", "todo: see #1234 now", "fixme: #1234, later", "your-key-123456789", "AKIA1234567EXAMPLE99", "s3.1.xxxx/12.xxxx",
		"12345678901/XXXXXX", "gh-1234567890...", "<api key no. 1 of 9>", "${A_1:-b-1234567}", "xxx.xxx.xxx.xx", "XXX.XXX.XXX.XX", "************", "{{ .A | b 1234 }}",
		"please change it", "cHaNgE-me", "replace_this", "my your api", "$(uuidgen)", "pwgen", "$(date +%s)", "$(whoami -x)", "`cat /etc/x`",
		"openssl rand -hex 24", "php artisan x", "sk_live_x", "AIza.x", "base64:x", "eyJx.y", "GOCSPX-x", "http://a:b@c/d", "x+y://",
	} {
		names := seesAll(t, s)
		for _, name := range names {
			matched[name]++
		}
		if len(names) == 0 {
			t.Errorf("nothing matches %q: it tests nothing", s)
		}
	}
	for name := range expressions {
		if matched[name] < 5 {
			t.Errorf("%s match %d of the samples", name, matched[name])
		}
	}
}

func FuzzExpressions(f *testing.F) {
	for _, s := range []string{"your-api-key-here", "sk-ant-...", "${A:-b}", "{{x}}", "<a b>", "openssl rand", "http://u:p@h/", "eyJx.y", "xxxxxxxx", "请", "cHange_me"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { seesAll(t, s) })
}

// TestLexicon: each word of the long list is found, and what stands beside it is not.
func TestLexicon(t *testing.T) {
	t.Parallel()
	l := vocabulary()
	n := 0
	for start, i := 0, 0; i <= len(l.ordinary); i++ {
		if i < len(l.ordinary) && l.ordinary[i] > ' ' {
			continue
		}
		if word := l.ordinary[start:i]; word != "" {
			n++
			if l.of(word) == unknown || l.of(word+"zzq") != unknown {
				t.Fatalf("%q is %d, and %q is %d", word, l.of(word), word+"zzq", l.of(word+"zzq"))
			}
		}
		start = i + 1
	}
	if n < 5000 {
		t.Errorf("the list has %d words", n)
	}
}
