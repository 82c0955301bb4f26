package value_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

const canary = "canary-5ecret-Ü9"

// TestValueHides prints a value in every way that Go code prints things.
func TestValueHides(t *testing.T) {
	v := value.New([]byte(canary))
	type inside struct {
		Public value.Value
		hidden value.Value
		ptr    *value.Value
		list   []value.Value
		dict   map[string]value.Value
		iface  any
	}
	in := inside{v, v, &v, []value.Value{v}, map[string]value.Value{"k": v}, v}
	var out bytes.Buffer
	for _, x := range []any{v, &v, in, &in, []any{v}, map[string]any{"k": &v}, value.Set{"K": {State: value.Present, Value: v}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%20v", "%t"} {
			fmt.Fprintf(&out, verb+"\n", x)
		}
		fmt.Fprintln(&out, x)
		fmt.Fprintln(&out, fmt.Errorf("wrapped: %w %v", errors.New("e"), x))
		if js, err := json.Marshal(x); err == nil {
			out.Write(js)
		}
		if y, err := yaml.Marshal(x); err == nil {
			out.Write(y)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "x", x)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "x", x)
	}
	if err := gob.NewEncoder(&out).Encode(v); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(v)
	}()
	mustNotShow(t, out.String(), canary)
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing was printed at all")
	}
	if got := string(v.Reveal()); got != canary {
		t.Error("Reveal does not give the value back")
	}
}

// mustNotShow fails if out holds secret in one of the forms that programs
// print things in.
func mustNotShow(t *testing.T, out, secret string) {
	t.Helper()
	decimal := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
	for form, s := range map[string]string{
		"plain": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)),
		"hex": hex.EncodeToString([]byte(secret)), "decimal bytes": decimal, "quoted": strings.Trim(fmt.Sprintf("%+q", secret), `"`),
	} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(s)) {
			t.Errorf("the value is shown (%s)", form)
		}
	}
}

func TestNewCopies(t *testing.T) {
	b := []byte("abc")
	v := value.New(b)
	b[0] = 'x'
	if string(v.Reveal()) != "abc" {
		t.Error("the value shares the caller's bytes")
	}
	if !v.Equal(value.New([]byte("abc"))) || v.Equal(value.New([]byte("abd"))) || v.Equal(value.Value{}) {
		t.Error("Equal is wrong")
	}
}

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func TestMint(t *testing.T) {
	for _, tc := range []struct {
		g    plan.Generate
		want string // pattern
	}{
		{plan.Generate{Kind: plan.Password, Length: 32, Alphabet: alnum}, `^[A-Za-z0-9]{32}$`},
		{plan.Generate{Kind: plan.Password, Length: 5, Alphabet: "äö€"}, `^[äö€]{5}$`},
		{plan.Generate{Kind: plan.Bytes, Bits: 256, Encoding: "base64"}, `^[A-Za-z0-9+/]{43}=$`},
		{plan.Generate{Kind: plan.Bytes, Bits: 512, Encoding: "base64url"}, `^[A-Za-z0-9_-]{86}$`},
		{plan.Generate{Kind: plan.Bytes, Bits: 128, Encoding: "hex"}, `^[0-9a-f]{32}$`},
		{plan.Generate{Kind: plan.UUID}, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
	} {
		mint := func(seed byte) string {
			v, err := value.Mint(tc.g, mathrand.NewChaCha8([32]byte{seed}))
			if err != nil {
				t.Fatal(tc.g, err)
			}
			return string(v.Reveal())
		}
		a, b, c := mint(1), mint(1), mint(2)
		if !regexp.MustCompile(tc.want).MatchString(a) {
			t.Errorf("%+v: does not match %s", tc.g, tc.want)
		}
		if a != b {
			t.Errorf("%+v: not a function of the random bytes", tc.g)
		}
		if a == c && tc.g.Kind != plan.Password {
			t.Errorf("%+v: does not depend on the random bytes", tc.g)
		}
	}
}

func TestMintKeys(t *testing.T) {
	for _, kind := range []string{plan.RSA, plan.Ed25519} {
		for _, encoding := range []string{"pkcs8", "openssh"} {
			v, err := value.Mint(plan.Generate{Kind: kind, Bits: 2048, Encoding: encoding}, rand.Reader)
			if err != nil {
				t.Fatal(kind, encoding, err)
			}
			if _, err := ssh.ParseRawPrivateKey(v.Reveal()); err != nil {
				t.Errorf("%s %s: %v", kind, encoding, err)
			}
			if encoding == "pkcs8" {
				block, _ := pem.Decode(v.Reveal())
				if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
			}
		}
	}
}

// TestMintUniform draws 64,000 characters of 62. The counts have a standard
// deviation of 32 about 1,032; the generator is seeded, so this never flakes.
func TestMintUniform(t *testing.T) {
	counts := map[rune]int{}
	v, err := value.Mint(plan.Generate{Kind: plan.Password, Length: 64000, Alphabet: alnum}, mathrand.NewChaCha8([32]byte{7}))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range string(v.Reveal()) {
		counts[r]++
	}
	for _, r := range alnum {
		if n := counts[r]; n < 1032-4*32 || n > 1032+4*32 {
			t.Errorf("%q: %d times", r, n)
		}
	}
}

func TestMintRefuses(t *testing.T) {
	for _, g := range []plan.Generate{
		{Kind: "nonce"}, {Kind: plan.Password, Length: 3, Alphabet: "a"}, {Kind: plan.Bytes, Bits: 8, Encoding: "rot13"},
		{Kind: plan.Ed25519, Encoding: "der"},
	} {
		if _, err := value.Mint(g, rand.Reader); err == nil {
			t.Errorf("%+v: no error", g)
		}
	}
	for _, g := range []plan.Generate{
		{Kind: plan.Bytes, Bits: 64, Encoding: "hex"}, {Kind: plan.UUID}, {Kind: plan.Password, Length: 9, Alphabet: "ab"},
	} {
		if _, err := value.Mint(g, strings.NewReader("abc")); err == nil {
			t.Errorf("%+v: no error for a short stream", g)
		}
	}
}

func TestJudge(t *testing.T) {
	secret := func(c plan.Constraints) plan.Input {
		return plan.Input{Name: "IN", Class: plan.Required, Constraints: c, Example: "sk-the-example-of-the-contract"}
	}
	strong := plan.Constraints{MinStrength: 60}
	re := func(s string) *regexp.Regexp { return regexp.MustCompile(s) }
	for _, tc := range []struct {
		in    plan.Input
		value string
		want  string // code and message
	}{
		{secret(strong), "kX93mPq0vLw72RtY", ""},
		{secret(strong), "0f3a9c1e77b24d5088aa61c2de90f317", ""},
		{secret(strong), "correct horse battery staple", ""},
		{secret(strong), "aB3$", "VG2005 IN is weak: about 24 bits of strength, 60 are needed"},
		{secret(strong), "11111111111111111111", "VG2005 IN is weak: about 6 bits of strength, 60 are needed"},
		{secret(strong), "Password1!", "VG2005 IN is weak: it is made from a word that every guesser tries first"},
		{secret(strong), "p@ssw0rd2024", "VG2005 IN is weak: it is made from a word that every guesser tries first"},
		{secret(strong), "postgres-password-123", "VG2005 IN is weak: it is made from a word that every guesser tries first"},
		{secret(strong), "Admin123!", "VG2005 IN is weak: it is made from a word that every guesser tries first"},
		{secret(plan.Constraints{}), "Admin123!", ""},
		{secret(strong), "changeme", "VG2004 IN is a placeholder"},
		{secret(strong), "CHANGE_ME_NOW", "VG2004 IN is a placeholder"},
		{secret(strong), "your-key-here", "VG2004 IN is a placeholder"},
		{secret(strong), "your_openai_api_key", "VG2004 IN is a placeholder"},
		{secret(strong), "xxx", "VG2004 IN is a placeholder"},
		{secret(strong), "sk-ant-xxxxxxxxxxxx", "VG2004 IN is a placeholder"},
		{secret(strong), "<your key>", "VG2004 IN is a placeholder"},
		{secret(strong), "${API_KEY}", "VG2004 IN is a placeholder"},
		{secret(strong), "TODO", "VG2004 IN is a placeholder"},
		{secret(strong), "todo: ask for it", "VG2004 IN is a placeholder"},
		{secret(strong), "sk-ant-...", "VG2004 IN is a placeholder"},
		{secret(strong), "sk-the-example-of-the-contract", "VG2004 IN is a placeholder"},
		{secret(plan.Constraints{Format: "json"}), `["a"]`, ""},
		{plan.Input{Name: "IN", Class: plan.Setting}, "example", ""},
		{secret(plan.Constraints{Pattern: re("^sk-")}), "pk-1", "VG2006 IN does not match its pattern ^sk-"},
		{secret(plan.Constraints{MinLength: 4}), "äöü", "VG2008 IN has 3 characters, at least 4 are needed"},
		{secret(plan.Constraints{MaxLength: 3}), "äöü", ""},
		{secret(plan.Constraints{MaxLength: 3}), "abcd", "VG2008 IN has 4 characters, at most 3 are allowed"},
		{secret(plan.Constraints{OneOf: []string{"debug", "info"}}), "warn", "VG2009 IN is not one of debug, info"},
		{secret(plan.Constraints{OneOf: []string{"debug", "info"}}), "info", ""},
		{secret(plan.Constraints{Format: "url"}), "https://x.example/a", ""},
		{secret(plan.Constraints{Format: "url"}), "x.example/a", "VG2007 IN is not a URL with a scheme and a host"},
		{secret(plan.Constraints{Format: "hostname"}), "a.b-c.example", ""},
		{secret(plan.Constraints{Format: "hostname"}), "::1", ""},
		{secret(plan.Constraints{Format: "hostname"}), "a b", "VG2007 IN is not a host name or IP address"},
		{secret(plan.Constraints{Format: "port"}), "65535", ""},
		{secret(plan.Constraints{Format: "port"}), "65536", "VG2007 IN is not a port, 1 to 65535"},
		{secret(plan.Constraints{Format: "port"}), "0", "VG2007 IN is not a port, 1 to 65535"},
		{secret(plan.Constraints{Format: "email"}), "ops@victor.example", ""},
		{secret(plan.Constraints{Format: "email"}), "Ops <ops@victor.example>", "VG2007 IN is not an e-mail address"},
		{secret(plan.Constraints{Format: "uuid"}), "123e4567-e89b-12d3-a456-426614174000", ""},
		{secret(plan.Constraints{Format: "uuid"}), "123e4567", "VG2007 IN is not a UUID"},
		{secret(plan.Constraints{Format: "json"}), `{"a":`, "VG2007 IN is not JSON"},
		{secret(plan.Constraints{Format: "pem"}), "-----BEGIN X-----\nAAAA\n-----END X-----\n", ""},
		{secret(plan.Constraints{Format: "pem"}), "-----BEGIN X-----\nAAAA", "VG2007 IN is not PEM"},
		{secret(plan.Constraints{Format: "base64"}), "aGVsbG8=", ""},
		{secret(plan.Constraints{Format: "base64"}), "a!", "VG2007 IN is not base64"},
	} {
		var got string
		for _, d := range value.Judge(tc.in, value.New([]byte(tc.value))) {
			got += fmt.Sprintf("%s %s", d.Code, d.Message)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.value, diff)
		}
	}
}

// TestJudgeAcceptsRandom: what a random generator makes is neither placeholder
// nor weak.
func TestJudgeAcceptsRandom(t *testing.T) {
	rnd := mathrand.NewChaCha8([32]byte{3})
	in := plan.Input{Name: "IN", Class: plan.Generated, Constraints: plan.Constraints{MinStrength: 60}}
	for _, g := range []plan.Generate{
		{Kind: plan.Password, Length: 16, Alphabet: alnum}, {Kind: plan.Bytes, Bits: 256, Encoding: "base64"},
		{Kind: plan.Bytes, Bits: 128, Encoding: "hex"}, {Kind: plan.UUID},
	} {
		for range 5000 {
			v, err := value.Mint(g, rnd)
			if err != nil {
				t.Fatal(err)
			}
			if ds := value.Judge(in, v); len(ds) > 0 {
				t.Fatalf("%+v: %v", g, ds)
			}
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("sk-ant-canary", "^sk-", "url")
	f.Add("-----BEGIN X-----\n", ".", "pem")
	f.Add("\xff\x00", "", "email")
	f.Fuzz(func(t *testing.T, s, pattern, format string) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		const mark = "\x01canary\x02"
		in := plan.Input{Name: "IN", Class: plan.Required, Constraints: plan.Constraints{
			Pattern: re, Format: format, MinLength: 5, MaxLength: 9, MinStrength: 60, OneOf: []string{"a"}}}
		for _, d := range value.Judge(in, value.New([]byte(s+mark))) {
			if strings.Contains(d.Message+d.Hint, mark) && !strings.Contains(pattern, mark) {
				t.Fatalf("the message shows the value: %q", d.Message)
			}
		}
	})
}
