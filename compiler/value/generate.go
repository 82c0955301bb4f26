package value

import (
	"crypto"
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
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Generate makes a new value as g says. The randomness comes from rnd, which is
// [crypto/rand.Reader] wherever the value will be used.
//
// A password, bytes and a uuid depend on rnd alone, so that the compiler can
// try with a reproducible reader whether such values satisfy the constraints
// of their own input. Keys do not: the standard library takes their randomness
// from the system, whatever reader it is given.
//
// The errors are those of rnd, and of a g that the compiler would not accept.
func Generate(g plan.Generate, rnd io.Reader) (Value, error) {
	var b []byte
	var err error
	switch g.Kind {
	case plan.Password:
		b, err = generatePassword(g, rnd)
	case plan.Bytes:
		b, err = generateBytes(g, rnd)
	case plan.UUID:
		b, err = generateUUID(rnd)
	case plan.RSA:
		var key *rsa.PrivateKey
		if key, err = rsa.GenerateKey(rnd, g.Bits); err == nil {
			b, err = encodeKey(key, g.Encoding)
		}
	case plan.Ed25519:
		var key ed25519.PrivateKey
		if _, key, err = ed25519.GenerateKey(rnd); err == nil {
			b, err = encodeKey(key, g.Encoding)
		}
	case plan.ECDSA:
		var key *ecdsa.PrivateKey
		if key, err = newECDSA(g.Curve, rnd); err == nil {
			b, err = encodeKey(key, g.Encoding)
		}
	default:
		err = fmt.Errorf("cannot generate a value of kind %q", g.Kind)
	}
	if err != nil {
		return Value{}, err
	}
	return New(b), nil
}

// generatePassword draws each character on its own. rand.Int discards what it
// reads beyond the alphabet instead of taking a remainder, so no character is
// likelier than another.
func generatePassword(g plan.Generate, rnd io.Reader) ([]byte, error) {
	alphabet := []rune(g.Alphabet)
	if len(alphabet) == 0 || g.Length <= 0 {
		return nil, errors.New("a password needs a length and an alphabet")
	}
	size := big.NewInt(int64(len(alphabet)))
	password := make([]rune, g.Length)
	// To draw all of it again leaves those that have what is required equally
	// likely. A contract whose passwords nearly never have it fails when it is
	// compiled.
	for range maxDraws {
		for i := range password {
			n, err := rand.Int(rnd, size)
			if err != nil {
				return nil, err
			}
			password[i] = alphabet[n.Int64()]
		}
		if hasRequired(password, g.Require) {
			return []byte(string(password)), nil
		}
	}
	return nil, errors.New("a password of that length and alphabet nearly never has the characters that are required")
}

// maxDraws makes it next to impossible that a password fails of which one in a
// hundred would do.
const maxDraws = 10_000

// hasRequired reports whether a password has a character of each kind.
func hasRequired(password []rune, require []string) bool {
	for _, kind := range require {
		is, ok := charKinds[kind]
		if !ok || !slices.ContainsFunc(password, is) {
			return false
		}
	}
	return true
}

// charKinds are the kinds of character that a password may have to have. No
// character is of two.
var charKinds = map[string]func(rune) bool{
	"lower": unicode.IsLower, "upper": unicode.IsUpper, "digit": unicode.IsDigit,
	"symbol": func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) },
}

// Lacks returns the kinds of character that g requires of a password, and of which
// its alphabet has none.
func Lacks(g plan.Generate) (kinds []string) {
	for _, kind := range g.Require {
		if is := charKinds[kind]; is == nil || !strings.ContainsFunc(g.Alphabet, is) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Share returns how many of all passwords of g's length and alphabet have what g
// requires, out of 1. By as much the chance is smaller that someone guesses one.
func Share(g plan.Generate) float64 {
	require := slices.Compact(slices.Sorted(slices.Values(g.Require)))
	if len(require) > g.Length || len(Lacks(g)) > 0 {
		return 0
	}
	var sizes []float64 // of each kind, out of 1
	for _, kind := range require {
		n := 0
		for _, r := range g.Alphabet {
			if charKinds[kind](r) {
				n++
			}
		}
		sizes = append(sizes, float64(n)/float64(utf8.RuneCountInString(g.Alphabet)))
	}
	// By inclusion and exclusion: of all, take away those that have none of one
	// kind; those that have none of two were taken away twice; and so on.
	share := 0.0
	for set := range 1 << len(sizes) {
		left, sign := 1.0, 1.0
		for i, size := range sizes {
			if set>>i&1 == 1 {
				left, sign = left-size, -sign
			}
		}
		share += sign * math.Pow(max(left, 0), float64(g.Length))
	}
	return share
}

func generateBytes(g plan.Generate, rnd io.Reader) ([]byte, error) {
	if g.Bits <= 0 || g.Bits%8 != 0 {
		return nil, fmt.Errorf("cannot generate %d bits: not a positive multiple of 8", g.Bits)
	}
	b := make([]byte, g.Bits/8)
	if _, err := io.ReadFull(rnd, b); err != nil {
		return nil, err
	}
	switch g.Encoding {
	case "base64":
		return base64.StdEncoding.AppendEncode(nil, b), nil
	case "base64url":
		if g.Padding {
			return base64.URLEncoding.AppendEncode(nil, b), nil
		}
		return base64.RawURLEncoding.AppendEncode(nil, b), nil
	case "hex":
		return hex.AppendEncode(nil, b), nil
	}
	return nil, fmt.Errorf("cannot encode bytes as %q", g.Encoding)
}

// generateUUID makes a random UUID: https://www.rfc-editor.org/rfc/rfc9562#section-5.4
func generateUUID(rnd io.Reader) ([]byte, error) {
	var u [16]byte
	if _, err := io.ReadFull(rnd, u[:]); err != nil {
		return nil, err
	}
	u[6] = u[6]&0x0f | 0x40 // version 4
	u[8] = u[8]&0x3f | 0x80 // variant 10
	return fmt.Appendf(nil, "%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]), nil
}

// curves are those of NIST that a contract may name.
var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func newECDSA(curve string, rnd io.Reader) (*ecdsa.PrivateKey, error) {
	c, ok := curves[curve]
	if !ok {
		return nil, fmt.Errorf("there is no curve %q", curve)
	}
	return ecdsa.GenerateKey(c, rnd)
}

func encodeKey(key crypto.PrivateKey, encoding string) ([]byte, error) {
	switch encoding {
	case "pkcs8":
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	case "openssh":
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(block), nil
	case "raw": // as Web Push has it: https://www.rfc-editor.org/rfc/rfc8292#section-3.2
		if key, ok := key.(*ecdsa.PrivateKey); ok {
			b, err := key.Bytes()
			if err != nil {
				return nil, err
			}
			return base64.RawURLEncoding.AppendEncode(nil, b), nil
		}
	}
	return nil, fmt.Errorf("cannot encode a key as %q", encoding)
}
