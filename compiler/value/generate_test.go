package value

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
	"encoding/pem"
	"errors"
	"io"
	"math"
	mathrand "math/rand/v2"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// seeded is a reproducible reader.
func seeded(seed byte) io.Reader { return mathrand.NewChaCha8([32]byte{seed}) }

func generate(t *testing.T, g plan.Generate, rnd io.Reader) string {
	t.Helper()
	v, err := Generate(g, rnd)
	if err != nil {
		t.Fatal(err)
	}
	return string(v.Reveal())
}

func TestGenerateEncodes(t *testing.T) {
	t.Parallel()
	raw := []byte{0xfb, 0xff, 0xfe, 0, 1, 2, 3, 0xff, 0xff, 0xff, 10, 11, 12, 13, 14, 0xff}
	for _, test := range []struct {
		g    plan.Generate
		want string
	}{
		{plan.Generate{Kind: plan.Bytes, Bits: 32, Encoding: "base64"}, "+//+AA=="},
		{plan.Generate{Kind: plan.Bytes, Bits: 32, Encoding: "base64url"}, "-__-AA"},
		{plan.Generate{Kind: plan.Bytes, Bits: 32, Encoding: "hex"}, "fbfffe00"},
		{plan.Generate{Kind: plan.UUID}, "fbfffe00-0102-43ff-bfff-0a0b0c0d0eff"},
		// three bits a draw, of which 5 to 7 are discarded: 3, -, -, 0, 1, 2, 3
		{plan.Generate{Kind: plan.Password, Length: 5, Alphabet: "abcdé"}, "dabcd"},
		{plan.Generate{Kind: plan.Password, Length: 3, Alphabet: "é"}, "ééé"},
	} {
		if got := generate(t, test.g, bytes.NewReader(raw)); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.g, got, test.want)
		}
	}
}

func TestGenerateIsReproducible(t *testing.T) {
	t.Parallel()
	for _, g := range []plan.Generate{
		{Kind: plan.Password, Length: 40, Alphabet: "abcdefghijklmnopqrstuvwxyz0123456789"},
		{Kind: plan.Bytes, Bits: 256, Encoding: "base64"},
		{Kind: plan.UUID},
	} {
		a, b, c := generate(t, g, seeded(1)), generate(t, g, seeded(1)), generate(t, g, seeded(2))
		if a != b || a == c {
			t.Errorf("%s is no function of its reader: %s, %s, %s", g.Kind, a, b, c)
		}
	}
}

// Every character must come up about equally often: within five standard
// deviations, which a fair draw leaves once in two million characters.
func TestGenerateIsUniform(t *testing.T) {
	t.Parallel()
	const length = 200_000
	for _, alphabet := range []string{"ab", "abc", "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "aéß€😀"} {
		got := generate(t, plan.Generate{Kind: plan.Password, Length: length, Alphabet: alphabet}, seeded(7))
		counts := map[rune]int{}
		for _, r := range got {
			counts[r]++
		}
		n := utf8.RuneCountInString(alphabet)
		if len(counts) != n || utf8.RuneCountInString(got) != length {
			t.Errorf("%s: %d characters came up", alphabet, len(counts))
		}
		p := 1 / float64(n)
		for r, c := range counts {
			if off := math.Abs(float64(c) - length*p); off > 5*math.Sqrt(length*p*(1-p)) {
				t.Errorf("%s: %c came up %d times, expected about %.0f", alphabet, r, c, length*p)
			}
		}
	}
}

func TestGenerateKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		g     plan.Generate
		block string
	}{
		{plan.Generate{Kind: plan.RSA, Bits: 2048, Encoding: "pkcs8"}, "PRIVATE KEY"},
		{plan.Generate{Kind: plan.RSA, Bits: 2048, Encoding: "openssh"}, "OPENSSH PRIVATE KEY"},
		{plan.Generate{Kind: plan.Ed25519, Encoding: "pkcs8"}, "PRIVATE KEY"},
		{plan.Generate{Kind: plan.Ed25519, Encoding: "openssh"}, "OPENSSH PRIVATE KEY"},
		{plan.Generate{Kind: plan.ECDSA, Curve: "P-256", Encoding: "pkcs8"}, "PRIVATE KEY"},
		{plan.Generate{Kind: plan.ECDSA, Curve: "P-384", Encoding: "openssh"}, "OPENSSH PRIVATE KEY"},
		{plan.Generate{Kind: plan.ECDSA, Curve: "P-521", Encoding: "pkcs8"}, "PRIVATE KEY"},
	} {
		text := []byte(generate(t, test.g, rand.Reader))
		block, rest := pem.Decode(text)
		if block == nil || len(rest) > 0 || block.Type != test.block {
			t.Errorf("%+v: not one block %s", test.g, test.block)
			continue
		}
		var key any
		var err error
		if test.g.Encoding == "pkcs8" {
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		} else {
			key, err = ssh.ParseRawPrivateKey(text)
		}
		if err != nil {
			t.Errorf("%+v: %v", test.g, err)
			continue
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			if test.g.Kind != plan.RSA || key.N.BitLen() != test.g.Bits || key.Validate() != nil {
				t.Errorf("%+v: an RSA key of %d bits", test.g, key.N.BitLen())
			}
		case *ecdsa.PrivateKey:
			if test.g.Kind != plan.ECDSA || key.Curve.Params().Name != test.g.Curve {
				t.Errorf("%+v: an ECDSA key on %s", test.g, key.Curve.Params().Name)
			}
		case ed25519.PrivateKey, *ed25519.PrivateKey:
			if test.g.Kind != plan.Ed25519 {
				t.Errorf("%+v: an Ed25519 key", test.g)
			}
		default:
			t.Errorf("%+v: a key of type %T", test.g, key)
		}
		if ds := Judge(plan.Input{Name: "KEY", Class: plan.Generated, Constraints: plan.Constraints{Format: "pem", MinStrength: 60}}, New(text)); len(ds) > 0 {
			t.Errorf("%+v: %v", test.g, ds)
		}
	}
}

// TestGenerateRaw: a raw key is the number of its curve's size, in base64url.
func TestGenerateRaw(t *testing.T) {
	t.Parallel()
	raw, err := base64.RawURLEncoding.DecodeString(generate(t, plan.Generate{Kind: plan.ECDSA, Curve: "P-256", Encoding: "raw"}, rand.Reader))
	if err != nil || len(raw) != 32 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if _, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw); err != nil {
		t.Error(err)
	}
}

// TestGenerateRequire: each password has what is required, and one that has is as
// likely as another: the first character is of each kind as often as among all
// passwords that have what is required.
func TestGenerateRequire(t *testing.T) {
	t.Parallel()
	g := plan.Generate{Kind: plan.Password, Length: 3, Alphabet: "aA0-", Require: []string{"lower", "upper", "digit"}}
	const rounds = 60_000
	counts := map[string]int{}
	rnd := seeded(5)
	for range rounds {
		counts[generate(t, g, rnd)]++
	}
	if len(counts) != 6 {
		t.Errorf("%d passwords, not the six orders of a, A and 0", len(counts))
	}
	for p, n := range counts {
		if off := math.Abs(float64(n) - rounds/6); off > 5*math.Sqrt(rounds*5/36.0) {
			t.Errorf("%s came up %d times of %d", p, n, rounds)
		}
	}
	for _, g := range []plan.Generate{
		{Kind: plan.Password, Length: 2, Alphabet: "aA0", Require: []string{"lower", "upper", "digit"}},
		{Kind: plan.Password, Length: 9, Alphabet: "aA0", Require: []string{"symbol"}},
		{Kind: plan.Password, Length: 9, Alphabet: "aA0", Require: []string{"emoji"}},
	} {
		if _, err := Generate(g, rnd); err == nil {
			t.Errorf("%+v: generated", g)
		}
	}
}

// TestShare: the share is that of all passwords, counted one by one.
func TestShare(t *testing.T) {
	t.Parallel()
	for _, g := range []plan.Generate{
		{Length: 1, Alphabet: "aA0-"}, {Length: 1, Alphabet: "aA0-", Require: []string{"digit"}}, {Length: 4, Alphabet: "aA0-", Require: []string{"lower", "upper", "digit", "symbol"}},
		{Length: 5, Alphabet: "abcA0 -", Require: []string{"lower", "digit", "symbol"}}, {Length: 6, Alphabet: "abc0", Require: []string{"lower", "digit", "digit"}},
		{Length: 3, Alphabet: "abc", Require: []string{"lower"}}, {Length: 2, Alphabet: "aA0", Require: []string{"lower", "upper", "digit"}}, {Length: 3, Alphabet: "ab é", Require: []string{"symbol"}},
		{Length: 3, Alphabet: "é0", Require: []string{"lower", "digit"}},
	} {
		alphabet, have, all := []rune(g.Alphabet), 0, 1
		for range g.Length {
			all *= len(alphabet)
		}
		for i := range all {
			password := make([]rune, g.Length)
			for j := range password {
				password[j], i = alphabet[i%len(alphabet)], i/len(alphabet)
			}
			if hasRequired(password, g.Require) {
				have++
			}
		}
		if got, want := Share(g), float64(have)/float64(all); math.Abs(got-want) > 1e-12 {
			t.Errorf("%+v: %g, not %g", g, got, want)
		}
	}
	if got := Share(plan.Generate{Length: 4096, Alphabet: "ab0", Require: []string{"lower", "digit"}}); math.Abs(got-1) > 1e-12 {
		t.Errorf("of long ones, %g", got)
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	for _, g := range []plan.Generate{
		{},
		{Kind: "diceware"},
		{Kind: plan.Password, Length: 8},
		{Kind: plan.Password, Alphabet: "abc"},
		{Kind: plan.Password, Length: -1, Alphabet: "abc"},
		{Kind: plan.Bytes, Encoding: "hex"},
		{Kind: plan.Bytes, Bits: 12, Encoding: "hex"},
		{Kind: plan.Bytes, Bits: 16, Encoding: "base32"},
		{Kind: plan.RSA, Bits: 0, Encoding: "pkcs8"},
		{Kind: plan.Ed25519, Encoding: "der"},
		{Kind: plan.Ed25519, Encoding: "raw"},
		{Kind: plan.ECDSA, Curve: "P-224", Encoding: "pkcs8"},
	} {
		if v, err := Generate(g, rand.Reader); err == nil || v.Len() > 0 {
			t.Errorf("%+v was generated", g)
		}
	}
	broken := errors.New("no entropy")
	for _, g := range []plan.Generate{
		{Kind: plan.Password, Length: 8, Alphabet: "abc"}, {Kind: plan.Bytes, Bits: 128, Encoding: "hex"}, {Kind: plan.UUID},
	} {
		if v, err := Generate(g, iotest.ErrReader(broken)); !errors.Is(err, broken) || v.Len() > 0 {
			t.Errorf("%s of a broken reader: %v", g.Kind, err)
		}
	}
}

// What is generated at random must never look like a placeholder.
func TestRandomIsNoPlaceholder(t *testing.T) {
	t.Parallel()
	const rounds = 2_000
	rnd := seeded(3)
	b := make([]byte, 32)
	printable := make([]byte, 16)
	for range rounds {
		io.ReadFull(rnd, b)
		for i := range printable {
			printable[i] = '!' + b[i]%94
		}
		for _, s := range []string{
			base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), hex.EncodeToString(b), string(printable),
		} {
			if isPlaceholder(s, "your-key-here") {
				t.Errorf("%s is taken for a placeholder", s)
			}
		}
	}
}

// TestGeneratePadding: Fernet takes 32 bytes in base64url with its padding alone.
func TestGeneratePadding(t *testing.T) {
	t.Parallel()
	for _, padding := range []bool{false, true} {
		v, err := Generate(plan.Generate{Kind: plan.Bytes, Bits: 256, Encoding: "base64url", Padding: padding}, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.HasSuffix(v.Reveal(), []byte("=")); got != padding || padding && v.Len() != 44 {
			t.Errorf("padding %v: %d characters, padded %v", padding, v.Len(), got)
		}
	}
}
