package scan

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/compiler/value"
)

// search returns what is found of values in text, which arrives in pieces.
func search(t testing.TB, text []byte, piece int, values ...string) (all []Match) {
	t.Helper()
	held := make([]value.Value, len(values))
	for i, v := range values {
		held[i] = value.New([]byte(v))
	}
	s, err := New(held)
	if err != nil {
		t.Fatal(err)
	}
	s.window = 1 + piece%100 // so that there are many
	stream := s.Stream(func(m Match) { all = append(all, m) })
	for chunk := range slices.Chunk(text, max(piece, 1)) {
		stream.Write(chunk)
	}
	stream.Close()
	return all
}

// naive is search in the simplest way: each form is looked for at each byte.
func naive(text []byte, values ...string) (all []Match) {
	var stripped []byte
	var places []Place
	at := Place{1, 1}
	for _, b := range text {
		if !passed[b] {
			stripped, places = append(stripped, b), append(places, at)
		}
		at.Column++
		if b == '\n' {
			at = Place{at.Line + 1, 1}
		}
	}
	for i, v := range values {
		for _, f := range formsOf([]byte(v)) {
			for start := 0; ; start++ {
				next := bytes.Index(stripped[start:], f.text)
				if next < 0 {
					break
				}
				start += next
				all = append(all, Match{i, f.name, places[start], places[start+len(f.text)-1]})
			}
		}
	}
	return all
}

func sorted(all []Match) []string {
	var lines []string
	for _, m := range all {
		lines = append(lines, fmt.Sprint(m))
	}
	slices.Sort(lines)
	return lines
}

// TestForms: each way of writing a value is found, wherever the value stands in what
// was encoded, and by its name; and in pieces of any size.
func TestForms(t *testing.T) {
	const v = "p/Ss wörd+\"é<7>&~'x%\\\U0001F511q"
	esc := url.QueryEscape(v)
	js, _ := json.Marshal(v)
	lit := strings.Trim(string(js), `"`)
	wide := utf16.Encode([]rune("Kq7/vXw2 Zt9"))
	var little []byte
	for _, u := range wide {
		little = append(little, byte(u), byte(u>>8))
	}
	wrapped := base64.StdEncoding.EncodeToString([]byte("user:" + v + "@host and so on and on and on"))
	var lines strings.Builder
	for chunk := range slices.Chunk([]byte(wrapped), 20) {
		fmt.Fprintf(&lines, "        %s\r\n", chunk)
	}
	for name, c := range map[string]struct{ value, text, form string }{
		"plain":           {v, "a: '" + v + "'", Plain},
		"ends":            {"  " + v + "\n", v, Plain},
		"UTF-16":          {"Kq7/vXw2 Zt9", string(little), Plain},
		"form":            {v, "x=" + esc, URL},
		"lower form":      {v, strings.ToLower(esc[:1]) + strings.NewReplacer("%2F", "%2f", "%C3%B6", "%c3%b6", "%2B", "%2b", "%C3%A9", "%c3%a9", "%3C", "%3c", "%3E", "%3e", "%5C", "%5c", "%7E", "~", "%F0%9F%94%91", "%f0%9f%94%91").Replace(esc[1:]), URL},
		"path":            {v, "/" + url.PathEscape(v) + "/", URL},
		"userinfo":        {v, "pg://" + url.UserPassword("u", v).String() + "@h", URL},
		"encodeURI":       {v, "p%2FSs%20w%C3%B6rd%2B%22%C3%A9%3C7%3E%26~'x%25%5C%F0%9F%94%91q", URL},
		"json":            {v, `{"a":"` + lit + `"}`, JSON},
		"json without":    {v, `"p/Ss wörd+\"é<7>&~'x%\\` + "\U0001F511q\"", JSON},
		"json slash":      {v, `"p\/Ss wörd+\"é<7>&~'x%\\` + "\U0001F511q\"", JSON},
		"json ascii":      {v, `"p/Ss w\u00f6rd+\"\u00e9<7>&~'x%\\\ud83d\udd11q"`, JSON},
		"json ASCII":      {v, `"p/Ss w\u00F6rd+\"\u00E9<7>&~'x%\\\uD83D\uDD11q"`, JSON},
		"hex":             {v, hex.EncodeToString([]byte(v)), Hex},
		"HEX":             {v, strings.ToUpper(hex.EncodeToString([]byte(v))), Hex},
		"base64":          {v, base64.StdEncoding.EncodeToString([]byte(v)), Base64},
		"base64 unpadded": {v, base64.RawStdEncoding.EncodeToString([]byte(v)), Base64},
		"base64 of URL":   {v, base64.StdEncoding.EncodeToString([]byte("pg://u:" + esc + "@h/db")), ofURL},
		"base64 of JSON":  {v, base64.StdEncoding.EncodeToString([]byte(`{"a":"` + lit + `"}`)), ofJSON},
		"base64 in lines": {v, lines.String(), Base64},
	} {
		t.Run(name, func(t *testing.T) {
			for piece := 1; piece < len(c.text)+2; piece += 1 + piece/3 {
				found := search(t, []byte(c.text), piece, "another one that is not there", c.value)
				if !slices.ContainsFunc(found, func(m Match) bool { return m.Value == 1 && m.Form == c.form }) || slices.ContainsFunc(found, func(m Match) bool { return m.Value != 1 }) {
					t.Fatalf("pieces of %d: %v", piece, found)
				}
			}
		})
	}
}

// TestBase64Alignments: whatever stands before and after a value, it is found in the
// base64 of both alphabets, and not in that of a value that differs in a bit.
func TestBase64Alignments(t *testing.T) {
	for n := 8; n < 40; n++ {
		v := make([]byte, n)
		rand.Read(v)
		v[0], v[n-1] = 0xfb|1, 0xff // none of what is trimmed
		other := slices.Clone(v)
		other[n/2] ^= 0x10
		for before := range 7 {
			for after := range 4 {
				whole := func(v []byte) []byte {
					return slices.Concat(bytes.Repeat([]byte{0x5a}, before), v, bytes.Repeat([]byte{0xa5}, after))
				}
				for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
					if found := search(t, []byte(enc.EncodeToString(whole(v))), 7, string(v)); len(found) != 1 || found[0].Form != Base64 {
						t.Fatalf("%d bytes, %d before, %d after: %v", n, before, after, found)
					}
					if found := search(t, []byte(enc.EncodeToString(whole(other))), 7, string(v)); len(found) != 0 {
						t.Fatalf("what differs is found: %v", found)
					}
				}
			}
		}
	}
}

// TestPlaces: lines and columns are those of the file, whatever the size of the
// pieces and however far the value is from the begin.
func TestPlaces(t *testing.T) {
	const v = "Zk4-qwT/99pLm"
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for range 30 {
		var text []byte
		var want []Match
		at := Place{1, 1}
		put := func(s string) {
			for _, b := range []byte(s) {
				text = append(text, b)
				if at.Column++; b == '\n' {
					at = Place{at.Line + 1, 1}
				}
			}
		}
		for range random.IntN(200) {
			for range random.IntN(300) {
				put([]string{"word", " ", "\n", "\x00", "\xff\xfe", "\t", "Zk4-qw", "\r\n"}[random.IntN(8)])
			}
			if random.IntN(4) == 0 {
				put("#")
				begin := at
				put(v[:5])
				put(strings.Repeat("\n  ", random.IntN(3)))
				put(v[5:])
				want = append(want, Match{0, Plain, begin, Place{at.Line, at.Column - 1}})
			}
		}
		for _, piece := range []int{1, 100, 4096, 1 << 20} {
			if found := search(t, text, piece, v); !slices.Equal(found, want) {
				t.Fatalf("pieces of %d: %d found, not %d", piece, len(found), len(want))
			}
		}
	}
	// Far away.
	text := slices.Concat(bytes.Repeat([]byte("0123456789abcde \n"), 100_000), []byte("\n   "+v))
	if found := search(t, text, 1<<16, v); len(found) != 1 || found[0].Start != (Place{100_002, 4}) {
		t.Errorf("%v", found)
	}
}

// keys are private keys in each form, by what they are, with what is public of them.
func keys(t testing.TB) map[string][2][]byte {
	t.Helper()
	all := map[string][2][]byte{}
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	e, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, d, _ := ed25519.GenerateKey(rand.Reader)
	block := func(kind string, der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	add := func(name string, key, public any, more ...[]byte) {
		pub, err := x509.MarshalPKIXPublicKey(public)
		open := block("PUBLIC KEY", pub, err)
		sshPub, err := ssh.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, ssh.MarshalAuthorizedKey(sshPub)...)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		all[name+" PKCS8"] = [2][]byte{block("PRIVATE KEY", der, err), open}
		b, err := ssh.MarshalPrivateKey(key, "me@host")
		if err != nil {
			t.Fatal(err)
		}
		all[name+" OpenSSH"] = [2][]byte{pem.EncodeToMemory(b), open}
		for _, text := range more {
			all[name+" SEC1, PKCS1"] = [2][]byte{text, open}
		}
	}
	add("RSA", r, &r.PublicKey, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil))
	der, err := x509.MarshalECPrivateKey(e)
	add("ECDSA", e, &e.PublicKey, block("EC PRIVATE KEY", der, err))
	add("Ed25519", d, d.Public())
	return all
}

// TestKeys: a private key is found however it is indented, quoted, escaped, and line
// by line in a program; what is public of it is not.
func TestKeys(t *testing.T) {
	all := keys(t)
	for name, key := range all {
		t.Run(name, func(t *testing.T) {
			text := string(key[0])
			lines := strings.Split(strings.TrimSpace(text), "\n")
			var program strings.Builder
			for _, line := range lines {
				fmt.Fprintf(&program, "\t\"%s\\n\" +\n", line)
			}
			for how, written := range map[string]struct{ text, form string }{
				"as it is":  {text, Plain},
				"indented":  {"key: |\n    " + strings.Join(lines, "\n    "), Plain},
				"Windows":   {strings.Join(lines, "\r\n"), Plain},
				"one line":  {strings.Join(lines, " "), Plain},
				"escaped":   {`"` + strings.Join(lines, `\n`) + `\n"`, JSON},
				"base64":    {base64.StdEncoding.EncodeToString(key[0]), Base64},
				"commented": {"# " + strings.Join(lines, "\n# "), Partly},
				"program":   {program.String(), Partly},
				"in base64": {base64.StdEncoding.EncodeToString([]byte("// " + strings.Join(lines, "\n// "))), Partly},
			} {
				found := search(t, []byte(written.text), 1000, text)
				if !slices.ContainsFunc(found, func(m Match) bool { return m.Form == written.form }) {
					t.Errorf("%s is not found: %v", how, found)
				}
			}
			for how, public := range map[string][]byte{"public": key[1], "base64": []byte(base64.StdEncoding.EncodeToString(key[1])),
				"hex": []byte(hex.EncodeToString(key[1]))} {
				if found := search(t, public, 1000, text); len(found) > 0 {
					t.Errorf("what is public is found, %s: %v", how, found)
				}
			}
			for other, key := range all {
				if found := search(t, key[0], 1000, text); other != name && strings.Fields(other)[0] != strings.Fields(name)[0] && len(found) > 0 {
					t.Errorf("%s is found: %v", other, found)
				}
			}
			account, _ := json.Marshal(map[string]string{"private_key": text, "auth_uri": "https://accounts.example/o/oauth2/auth", "client_email": "svc@project.iam.example"})
			if found := search(t, []byte("# "+strings.Join(lines, "\n# ")), 1000, string(account)); len(found) == 0 {
				t.Error("the lines of a key in JSON are not found")
			}
			if found := search(t, []byte(`"auth_uri": "https://accounts.example/o/oauth2/auth"`), 1000, string(account)); len(found) > 0 {
				t.Errorf("another line of JSON is found: %v", found)
			}
		})
	}
	// Two keys that are made alike have lines in common that tell nothing.
	_, one, _ := ed25519.GenerateKey(rand.Reader)
	_, two, _ := ed25519.GenerateKey(rand.Reader)
	a, _ := ssh.MarshalPrivateKey(one, "")
	b, _ := ssh.MarshalPrivateKey(two, "")
	if found := search(t, pem.EncodeToMemory(a), 1000, string(pem.EncodeToMemory(b))); len(found) > 0 {
		t.Errorf("another key is found: %v", found)
	}
}

// TestStream: a jump ends what was before.
func TestStream(t *testing.T) {
	const v = "Zk4-qwT/99pLm"
	s, err := New([]value.Value{value.New([]byte(v)), {}})
	if err != nil {
		t.Fatal(err)
	}
	var found []Match
	stream := s.Stream(func(m Match) { found = append(found, m) })
	stream.Write([]byte(v[:6]))
	stream.Jump(10)
	stream.Write([]byte(v[6:]))
	stream.Jump(20)
	stream.Write([]byte("\n" + v[:6]))
	stream.Write([]byte(v[6:]))
	stream.Close()
	if want := []Match{{0, Plain, Place{21, 1}, Place{21, 13}}}; !slices.Equal(found, want) {
		t.Errorf("%v", found)
	}
	none, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stream = none.Stream(func(Match) { t.Error("found without values") })
	stream.Write([]byte("text"))
	stream.Close()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, s); strings.Contains(text, v[:8]) {
			t.Errorf("%s shows the value", verb)
		}
	}
}

// FuzzScan: what is found is what the simplest search finds, whatever the values, the
// text and the size of its pieces.
func FuzzScan(f *testing.F) {
	f.Add([]byte("a Zk4-qwT/99pLm\n Zk4-qwT/99pLm"), []byte("Zk4-qwT/99pLm"), []byte("T/99"), 3)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), []byte("aaaaaaaaaaaaaab"), []byte("aa"), 1)
	f.Add([]byte("%2f\\u00e9\xff\x00"), []byte("/\xc3\xa9"), []byte("\xff"), 2)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----"), []byte("-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----"), []byte("MC4C"), 5)
	for i, key := range slices.Collect(func(yield func([]byte) bool) {
		for _, k := range keys(f) {
			yield(k[0])
		}
	}) {
		f.Add(key, key, key[30:60], i+1)
	}
	f.Fuzz(func(t *testing.T, text, one, two []byte, piece int) {
		if len(text) > 2<<10 || len(one) > 2<<10 || len(two) > 100 {
			t.Skip()
		}
		values := []string{string(one), string(two)}
		// Plant each form of both.
		for _, v := range values {
			for _, f := range formsOf([]byte(v)) {
				if len(text) < 6<<10 {
					text = append(append(text, ' '), f.text...)
				}
			}
		}
		got, want := sorted(search(t, text, piece%500, values...)), sorted(naive(text, values...))
		if !slices.Equal(got, want) {
			t.Fatalf("found\n%v\nnot\n%v", got, want)
		}
	})
}
