package value

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Mint makes a new value as g says, from the random bytes of rnd. A build
// passes crypto/rand.Reader. Passwords, bytes and UUIDs depend on rnd alone,
// so the compiler can try a generator on a fixed stream; keys do not.
func Mint(g plan.Generate, rnd io.Reader) (Value, error) {
	switch g.Kind {
	case plan.Password:
		return mintPassword(g, rnd)
	case plan.Bytes:
		b := make([]byte, g.Bits/8)
		if _, err := io.ReadFull(rnd, b); err != nil {
			return Value{}, err
		}
		switch g.Encoding {
		case "base64":
			return New([]byte(base64.StdEncoding.EncodeToString(b))), nil
		case "base64url":
			return New([]byte(base64.RawURLEncoding.EncodeToString(b))), nil
		case "hex":
			return New([]byte(hex.EncodeToString(b))), nil
		}
		return Value{}, fmt.Errorf("unknown encoding %q", g.Encoding)
	case plan.UUID:
		var u [16]byte
		if _, err := io.ReadFull(rnd, u[:]); err != nil {
			return Value{}, err
		}
		// RFC 9562, section 5.4: version 4, variant 10.
		u[6] = u[6]&0x0f | 0x40
		u[8] = u[8]&0x3f | 0x80
		return New(fmt.Appendf(nil, "%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])), nil
	case plan.RSA:
		key, err := rsa.GenerateKey(rand.Reader, g.Bits)
		if err != nil {
			return Value{}, err
		}
		return encodeKey(key, g.Encoding)
	case plan.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return Value{}, err
		}
		return encodeKey(key, g.Encoding)
	}
	return Value{}, fmt.Errorf("unknown kind %q", g.Kind)
}

// mintPassword draws characters by rejection: a random number that is past the
// end of the alphabet is thrown away, so that each character is equally likely.
func mintPassword(g plan.Generate, rnd io.Reader) (Value, error) {
	alphabet := []rune(g.Alphabet)
	if len(alphabet) < 2 || len(alphabet) > 1<<16 {
		return Value{}, fmt.Errorf("an alphabet has 2 to 65536 characters, this one has %d", len(alphabet))
	}
	mask := 1<<bits.Len(uint(len(alphabet)-1)) - 1
	password := make([]rune, 0, g.Length)
	var b [2]byte
	for len(password) < g.Length {
		if _, err := io.ReadFull(rnd, b[:]); err != nil {
			return Value{}, err
		}
		if i := (int(b[0])<<8 | int(b[1])) & mask; i < len(alphabet) {
			password = append(password, alphabet[i])
		}
	}
	return New([]byte(string(password))), nil
}

func encodeKey(key crypto.PrivateKey, encoding string) (Value, error) {
	var block *pem.Block
	switch encoding {
	case "pkcs8":
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return Value{}, err
		}
		block = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	case "openssh":
		var err error
		if block, err = ssh.MarshalPrivateKey(key, ""); err != nil {
			return Value{}, err
		}
	default:
		return Value{}, fmt.Errorf("unknown encoding %q", encoding)
	}
	return New(pem.EncodeToMemory(block)), nil
}
