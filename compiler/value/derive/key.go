package derive

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/ssh"
)

// privateKey reads a private key: PEM of PKCS #8, PKCS #1, SEC 1 or OpenSSH, or
// the 32 bytes of a key on P-256 in base64url, as Web Push has them.
func privateKey(b []byte) (crypto.Signer, error) {
	errKey := errors.New("which is not a private key")
	if block, _ := pem.Decode(b); block == nil {
		raw, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimRight(bytes.TrimSpace(b), "=")))
		if err != nil {
			return nil, errKey
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			return nil, errKey
		}
		return key, nil
	}
	parsed, err := ssh.ParseRawPrivateKey(b)
	if _, missing := errors.AsType[*ssh.PassphraseMissingError](err); missing {
		return nil, errors.New("which is encrypted with a passphrase")
	} else if err != nil {
		return nil, errKey
	}
	switch key := parsed.(type) {
	case *ed25519.PrivateKey:
		return *key, nil
	case crypto.Signer:
		return key, nil
	}
	return nil, errKey
}

// privateKeyOf is the private key that an input holds; the error names it.
func privateKeyOf(f *Family, input string) (crypto.Signer, error) {
	key, err := privateKey(f.Parents[input].Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s", named(f, input, err))
	}
	return key, nil
}

// named puts the name of an input before what is wrong with it, unless it is
// the parent that every message names.
func named(f *Family, input string, err error) string {
	if input == f.Generate.Child.Of {
		return err.Error()
	}
	return "and from " + input + ", " + err.Error()
}

func makePublicKey(f *Family) ([]byte, error) {
	key, err := privateKeyOf(f, f.Generate.Child.Of)
	if err != nil {
		return nil, err
	}
	return encodePublic(key.Public(), f.Generate.Encoding)
}

func checkPublicKey(f *Family, child []byte) error {
	want, err := makePublicKey(f)
	if err != nil {
		return fmt.Errorf("is made from %s, %w", f.Generate.Child.Of, err)
	}
	if bytes.Equal(want, child) {
		return nil
	}
	for _, encoding := range []string{"pem", "openssh", "jwk", "raw"} {
		other := *f
		other.Generate.Encoding = encoding
		if b, err := makePublicKey(&other); err == nil && bytes.Equal(b, child) {
			return fmt.Errorf("has the encoding %s, and the contract says %s", encoding, f.Generate.Encoding)
		}
	}
	return unfit(f)
}

func encodePublic(public crypto.PublicKey, encoding string) ([]byte, error) {
	switch encoding {
	case "pem":
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, errors.New("which has no form as a public key")
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
	case "openssh":
		key, err := ssh.NewPublicKey(public)
		if err != nil {
			return nil, errors.New("which has no OpenSSH form")
		}
		return bytes.TrimSuffix(ssh.MarshalAuthorizedKey(key), []byte("\n")), nil
	case "jwk":
		b, err := json.Marshal(jose.JSONWebKey{Key: public})
		if err != nil {
			return nil, errors.New("which has no form as a JSON Web Key")
		}
		return b, nil
	case "raw": // https://www.rfc-editor.org/rfc/rfc8292#section-3.2
		switch key := public.(type) {
		case *ecdsa.PublicKey:
			b, err := key.Bytes()
			if err != nil {
				return nil, errors.New("which is on no curve that has a raw form")
			}
			return base64.RawURLEncoding.AppendEncode(nil, b), nil
		case ed25519.PublicKey:
			return base64.RawURLEncoding.AppendEncode(nil, key), nil
		case *rsa.PublicKey:
			return nil, errors.New("which is an RSA key, and these have no raw form")
		}
	}
	return nil, fmt.Errorf("which can't be read in the encoding %q", encoding)
}
