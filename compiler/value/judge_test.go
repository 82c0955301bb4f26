package value

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	const pemText = "-----BEGIN TEST-----\nYWJj\n-----END TEST-----\n"
	format := func(f string) plan.Constraints { return plan.Constraints{Format: f} }
	short, long := plan.Constraints{MinLength: 3}, plan.Constraints{MaxLength: 3}
	for _, test := range []struct {
		c     plan.Constraints
		value string
		want  []plan.Code
	}{
		{plan.Constraints{}, "anything", nil},
		{plan.Constraints{}, "", nil},
		{plan.Constraints{Pattern: regexp.MustCompile("^sk-")}, "sk-9f", nil},
		{plan.Constraints{Pattern: regexp.MustCompile("^sk-")}, "pk-9f", []plan.Code{plan.CodeValuePattern}},

		{format("url"), "https://example.com/a?b=c", nil},
		{format("url"), "postgres://u:p%40@db:5432/x", nil},
		{format("url"), "example.com", []plan.Code{plan.CodeValueFormat}},
		{format("url"), "mailto:a@b.c", []plan.Code{plan.CodeValueFormat}},
		{format("url"), "https://", []plan.Code{plan.CodeValueFormat}},
		{format("url"), "https://a b/", []plan.Code{plan.CodeValueFormat}},
		{format("url"), "https://a/\n", []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), "db", nil},
		{format("hostname"), "db-0.internal.example.com.", nil},
		{format("hostname"), "10.0.0.1", nil},
		{format("hostname"), "-db", []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), "db-.x", []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), "a..b", []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), "db:5432", []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), "db\n", []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), strings.Repeat("a", 63), nil},
		{format("hostname"), strings.Repeat("a", 64), []plan.Code{plan.CodeValueFormat}},
		{format("hostname"), strings.Repeat("a.", 127), []plan.Code{plan.CodeValueFormat}},
		{format("port"), "1", nil},
		{format("port"), "65535", nil},
		{format("port"), "65536", []plan.Code{plan.CodeValueFormat}},
		{format("port"), "0", []plan.Code{plan.CodeValueFormat}},
		{format("port"), "+80", []plan.Code{plan.CodeValueFormat}},
		{format("port"), "080", []plan.Code{plan.CodeValueFormat}},
		{format("port"), "http", []plan.Code{plan.CodeValueFormat}},
		{format("email"), "a.b+c@example.com", nil},
		{format("email"), "A <a@example.com>", []plan.Code{plan.CodeValueFormat}},
		{format("email"), "a@", []plan.Code{plan.CodeValueFormat}},
		{format("uuid"), "123e4567-e89b-12d3-A456-426614174000", nil},
		{format("uuid"), "123e4567e89b12d3a456426614174000", []plan.Code{plan.CodeValueFormat}},
		{format("json"), `{"a": [1, null]}`, nil},
		{format("json"), `{"a": 1,}`, []plan.Code{plan.CodeValueFormat}},
		{format("pem"), pemText, nil},
		{format("pem"), pemText + "\n" + pemText, nil},
		{format("pem"), strings.ReplaceAll(pemText, "\n", " "), []plan.Code{plan.CodeValueFormat}},
		{format("pem"), pemText + pemText[:30], []plan.Code{plan.CodeValueFormat}},
		{format("base64"), "YWI=", nil},
		{format("base64"), "YWI", []plan.Code{plan.CodeValueFormat}},
		{format("base64"), "YW\nI=", []plan.Code{plan.CodeValueFormat}},
		{format("base64"), "-_-_", []plan.Code{plan.CodeValueFormat}},
		{format("base64"), "YWJ=", []plan.Code{plan.CodeValueFormat}}, // bits left over

		{short, "äöü", nil},
		{short, "äö", []plan.Code{plan.CodeValueLength}},
		{long, "äöü", nil},
		{long, "abcd", []plan.Code{plan.CodeValueLength}},
		{plan.Constraints{OneOf: []string{"debug", "info"}}, "info", nil},
		{plan.Constraints{OneOf: []string{"debug", "info"}}, "Info", []plan.Code{plan.CodeValueOneOf}},

		{plan.Constraints{MinStrength: 60}, "hunter2", []plan.Code{plan.CodeWeak}},
		{plan.Constraints{MinStrength: 60}, "Kq8vTz2mWx4bNc7r", nil},
		{plan.Constraints{MinStrength: 0}, "hunter2", nil},

		{plan.Constraints{Pattern: regexp.MustCompile("^sk-"), Format: "uuid", MinLength: 20, OneOf: []string{"x"}, MinStrength: 60}, "short",
			[]plan.Code{plan.CodeValuePattern, plan.CodeValueFormat, plan.CodeValueLength, plan.CodeValueOneOf}},
		{plan.Constraints{Pattern: regexp.MustCompile("^sk-"), MinLength: 20, MinStrength: 60}, "changeme", []plan.Code{plan.CodePlaceholder}},
	} {
		pos := []plan.Pos{{File: "/c.cue", Line: 3, Column: 1}}
		in := plan.Input{Name: "API_KEY", Class: plan.Required, Constraints: test.c, Pos: pos}
		var got []plan.Code
		for _, d := range Judge(in, New([]byte(test.value))) {
			got = append(got, d.Code)
			if d.Severity != plan.Error || !strings.Contains(d.Message, "API_KEY") || d.Hint == "" || !cmp.Equal(d.Pos, pos) {
				t.Errorf("incomplete: %+v", d)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v with %q: (-want +got)\n%s", test.c, test.value, diff)
		}
	}
}

func TestJudgeSays(t *testing.T) {
	t.Parallel()
	in := plan.Input{Name: "DB_PASSWORD", Class: plan.Required, Constraints: plan.Constraints{
		Pattern: regexp.MustCompile("^[a-f]+$"), MinLength: 12, MinStrength: 60, OneOf: []string{"one", "two"},
	}}
	var got []string
	for _, d := range Judge(in, New([]byte("hunter2"))) {
		got = append(got, d.Message+"; "+d.Hint)
	}
	want := []string{
		"DB_PASSWORD does not match its pattern; it must match ^[a-f]+$",
		"DB_PASSWORD is too short: it has 7 characters, at least 12 are needed; use a longer one",
		"DB_PASSWORD is not one of the allowed values; use one of: one, two",
	}
	in.Constraints = plan.Constraints{MinStrength: 60} // judged of a value that is right otherwise
	want = append(want, "DB_PASSWORD is weak: about 5 bits of strength, 60 are needed; use a long random one, as from `openssl rand -hex 24`; a login, a host or a flag is not secret: make it a schema.#Setting")
	for _, d := range Judge(in, New([]byte("hunter2"))) {
		got = append(got, d.Message+"; "+d.Hint)
	}
	// The estimate of the library is not ours to pin.
	for i := range got {
		got[i] = regexp.MustCompile(`about \d+ bits`).ReplaceAllString(got[i], "about 5 bits")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	const example = "sk-ant-api03-R2D2"
	for _, s := range []string{
		"changeme", "ChangeMe", "change-me", "CHANGE_ME", "changeme123", "changeme!", "please-change-me-now", "replace-this", "change it",
		"your-key-here", "your_api_key", "YOUR_SECRET", "yourpassword", "sk-your-api-key", "insert-token-here", "put your key here", "my-example-password",
		"xxx", "XXXXXXXX", "xxx-xxx-xxx", "sk-xxxxx", "sk-ant-xxxxxxxx", "AKIAXXXXXXXXXXXXXXXX", "***", "********",
		"<...>", "<key>", "<your api key>", "<INSERT_TOKEN>", "${...}", "${DB_PASSWORD}", "${DB_PASSWORD:-none}", "$DB_PASSWORD", "{{...}}", "{{ .Values.password }}",
		"TODO", "todo", "TODO: ask Ann", "TODO ask Ann", "FIXME", "TBD",
		"example", "Example", "example-key", "placeholder", "dummy", "dummy_token", "fake-secret", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"none", "null", "NULL", "undefined", "nil", "N/A", "...", "sk-...", "sk-ant-…", " changeme ", `"changeme"`, "'TODO'", example, " " + example + "\n",
	} {
		if !isPlaceholder(s, example) {
			t.Errorf("%q is not taken for a placeholder", s)
		}
	}
	for _, s := range []string{
		"", "x", "xx", "-", "a", "sk-ant-api03-R2D3", "password", "hunter2", "correct horse battery staple", "nonesuch", "todos-los-dias", "exchange-member",
		"yourself", "hereafter", "https://example.com", "postgres://u:p@example.com/db", "user@example.com", "dummyload7-kW", "interchange-item7",
		"$2a$10$N9qo8uLOickgx2ZMRZoMye", "{\"a\":{}}", "<a href=x>b</a>", "nullpointer-42", "maxxx-verstappen", "a.xxx", "TODOxQ==", "annexxx",
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\n-----END PRIVATE KEY-----\n",
	} {
		if isPlaceholder(s, "") {
			t.Errorf("%q is taken for a placeholder", s)
		}
	}
	setting := plan.Input{Name: "LOG_LEVEL", Class: plan.Setting, Example: "none"}
	if ds := Judge(setting, New([]byte("none"))); len(ds) > 0 {
		t.Errorf("a setting was judged as a placeholder: %v", ds)
	}
}

func TestStrength(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "password", "Password1!", "p@ssw0rd", "P@$$w0rd2024!", "passw0rd123!!", "123Password", "l3tme1n", "LetMeIn2024!", "@dmin123!", "Admin@123",
		"welcom3", "my-secret-password1", "Sup3r_S3cret!", "CorrectHorseBatteryStaple1", "trustno1", "qwerty12345!", "postgres_password", "mysecretpassword",
		"aaaaaaaaaaaaaaaaaaaaaaaa", "12345678901234567890", "abcdefghijklmnopqrstuvwxyz", "\xff\xfe", "éééééééééé",
	} {
		if bits := strength(s); bits >= 60 {
			t.Errorf("%q has strength %.0f, want less than 60", s, bits)
		}
	}
	for _, s := range []string{
		"Kq8vTz2mWx4bNc7r", "48291048291047731902835testing", "2f1b9c0de4857a63d1f0b5c2", "gravel-omelet-tundra-kiosk", "passwordless-gravel-omelet",
		strings.Repeat("q9X!abcd", 1<<17),
	} {
		if bits := strength(s); bits < 60 {
			t.Errorf("%.40q has strength %.0f, want 60 and more", s, bits)
		}
	}
}

// FuzzJudge looks for panics, and for values in messages.
func FuzzJudge(f *testing.F) {
	f.Add("changeme", "url", "^x", 60.0)
	f.Add("https://user:pw@host/%zz", "url", "", 60.0)
	f.Add("-----BEGIN X-----\n", "pem", "", 0.0)
	f.Add("{\"a\":", "json", "", 0.0)
	f.Add("a@b <", "email", "", 1.0)
	f.Add("\xff\x00é", "base64", "[", 500.0)
	f.Fuzz(func(t *testing.T, s, format, pattern string, strength float64) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			re = nil
		}
		// The canary makes the value unmistakable wherever it comes through.
		for _, v := range []string{canary + s, s + canary, s} {
			in := plan.Input{Name: "NAME", Class: plan.Required, Constraints: plan.Constraints{
				Pattern: re, Format: format, MinLength: 1000, MinStrength: strength, OneOf: []string{"one", "two"},
			}}
			said := fmt.Sprintf("%+v", Judge(in, New([]byte(v))))
			if !strings.Contains(pattern, canary) { // a hint shows the pattern
				hidesCanary(t, "diagnostics", said)
			}
		}
	})
}
