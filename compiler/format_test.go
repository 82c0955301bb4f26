package compiler

import (
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
)

// TestQuote: what is written reads back, wherever it stands.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "a", "a\nb\n", "a\n\"\"\"\n\\(x)", "tab\tx", "a\r\nb", "a\n\x00", "\ta\n\n b\n", "\\(no)", `"`, `{{"{{"}}`, "é\u2028x", "_#a", `{"a": "b"}`, `a"#b"`, `"\"`, `"\n"`,
	} {
		text, err := Format([]byte("a: b: " + Label(s) + ": " + Quote(s, 2)))
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		v := cuecontext.New().CompileBytes(text)
		fields, err := v.LookupPath(cue.ParsePath("a.b")).Fields()
		if err != nil || !fields.Next() {
			t.Fatalf("%q: %v in\n%s", s, err, text)
		}
		if got, err := fields.Value().String(); err != nil || got != s || fields.Selector().Unquoted() != s {
			t.Errorf("%q reads back as %q (%v) in\n%s", s, got, err, text)
		}
	}
}
