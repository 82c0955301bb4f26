package scan

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/internal/lazy"
)

// The forms in which a value is searched for.
const (
	Plain  = "plain text"
	Base64 = "base64"
	Hex    = "hex"
	URL    = "URL-escaped"
	JSON   = "JSON-escaped"
	Partly = "in part" // lines of a private key
	ofURL  = "base64 of it URL-escaped"
	ofJSON = "base64 of it JSON-escaped"

	// minSecret is how many bytes of a line must be private in a key, so that it is
	// searched for alone: no one guesses 96 bits.
	minSecret = 12
)

// form is one way to write a value.
type form struct {
	name string
	text []byte
}

// formsOf returns the ways to write a value, without white space; what is the
// same in several ways is so in the first one.
func formsOf(v []byte) []form {
	v = bytes.TrimSpace(v)
	var all []form
	seen := map[string]bool{}
	add := func(name string, text []byte) {
		if text = strip(text); !seen[string(text)] && len(text) > 0 {
			seen[string(text)] = true
			all = append(all, form{name, text})
		}
	}
	add(Plain, v)
	inURL, inJSON := urlEscapes(v), jsonEscapes(v)
	for _, text := range inURL {
		add(URL, text)
	}
	for _, text := range inJSON {
		add(JSON, text)
	}
	addBase64 := func(name string, text []byte) {
		for _, encoded := range base64s(text) {
			add(name, encoded)
		}
	}
	addBase64(Base64, v)
	for _, text := range inURL {
		addBase64(ofURL, text)
	}
	for _, text := range inJSON {
		addBase64(ofJSON, text)
	}
	digits := hex.AppendEncode(nil, v)
	add(Hex, digits)
	add(Hex, bytes.ToUpper(digits))
	for _, line := range keyLines(v) {
		add(Partly, line)
		addBase64(Partly, line)
	}
	return all
}

// base64s returns what is in any base64 of a text that has v somewhere: it may
// begin at each of the three places of a group, and what stands before and after
// it is in the characters at its ends, which are left out. So it does not matter
// whether there is padding. Both alphabets count.
func base64s(v []byte) (all [][]byte) {
	for before := range 3 {
		padded := append(make([]byte, before), v...)
		first := (before*8 + 5) / 6 // the first character that has no bit of what is before
		last := len(padded) * 8 / 6 // the first that has one of what comes after
		if last <= first {
			continue
		}
		text := base64.RawStdEncoding.AppendEncode(nil, padded)[first:last]
		all = append(all, text, []byte(strings.NewReplacer("+", "-", "/", "_").Replace(string(text))))
	}
	return all
}

// urlEscapes returns the ways to write v in a URL: as a form, as a path, and as
// JavaScript's encodeURIComponent does; in both cases of hex.
func urlEscapes(v []byte) (all [][]byte) {
	form := url.QueryEscape(string(v))
	component := strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(form)
	for _, text := range []string{form, strings.ReplaceAll(form, "+", "%20"), component, url.PathEscape(string(v)), url.UserPassword("", string(v)).String()[1:]} {
		all = append(all, []byte(text), escapes.ReplaceAllFunc([]byte(text), bytes.ToLower))
	}
	return all
}

var (
	escapes = lazy.MustCompile(`%[0-9A-F]{2}`)
	units   = lazy.MustCompile(`\\u[0-9a-f]{4}`)
)

// jsonEscapes returns the ways to write v in a JSON string. What is no text has
// none.
func jsonEscapes(v []byte) (all [][]byte) {
	if !utf8.Valid(v) {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(string(v))
	shortest := bytes.TrimSpace(b.Bytes())
	shortest = shortest[1 : len(shortest)-1]
	html, _ := json.Marshal(string(v))
	html = html[1 : len(html)-1]
	for _, text := range [][]byte{shortest, html, bytes.ReplaceAll(shortest, []byte("/"), []byte(`\/`))} {
		for _, text := range [][]byte{text, ascii(text)} {
			all = append(all, text, units.ReplaceAllFunc(text, func(u []byte) []byte { return append([]byte(`\u`), bytes.ToUpper(u[2:])...) }))
		}
	}
	return all
}

// ascii writes the characters of JSON that are not in ASCII as \uXXXX.
func ascii(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

// keyBlock is a private key in PEM, without headers.
var keyBlock = lazy.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----([^-:]+)-----END [A-Z ]*PRIVATE KEY-----`)

// keyLines returns the lines of the private keys in v, which may be written with \n
// for their line breaks: someone who comments a key out, or puts it together in a
// program, leaves them alone. A line that is not mostly of what is private in the
// key is left out, for what is public is in a certificate, too.
func keyLines(v []byte) (all [][]byte) {
	v = bytes.ReplaceAll(v, []byte(`\n`), []byte("\n"))
	for _, found := range keyBlock.FindAllSubmatch(v, -1) {
		block, _ := pem.Decode(found[0])
		if block == nil {
			continue
		}
		secret := make([]bool, len(block.Bytes))
		key, _ := ssh.ParseRawPrivateKey(found[0])
		for _, part := range privateParts(key) {
			for from := 0; len(part) > 0; {
				i := bytes.Index(block.Bytes[from:], part)
				if i < 0 {
					break
				}
				for j := range part {
					secret[from+i+j] = true
				}
				from += i + len(part)
			}
		}
		at := 0 // in characters of the base64
		for line := range bytes.FieldsSeq(found[1]) {
			from, to := (at*6+7)/8, min((at+len(line))*6/8, len(secret))
			at += len(line)
			n := 0
			for i := from; i < to; i++ {
				if secret[i] {
					n++
				}
			}
			if n >= minSecret {
				all = append(all, line)
			}
		}
	}
	return all
}

// privateParts returns the numbers in a key that no one but its owner knows.
func privateParts(key any) (parts [][]byte) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		numbers := append([]*big.Int{key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}, key.Primes...)
		for _, n := range numbers {
			if n != nil {
				parts = append(parts, n.Bytes())
			}
		}
	case *ecdsa.PrivateKey:
		if d, err := key.Bytes(); err == nil {
			parts = append(parts, d)
		}
	case *ed25519.PrivateKey:
		parts = append(parts, key.Seed())
	case ed25519.PrivateKey:
		parts = append(parts, key.Seed())
	}
	return parts
}
