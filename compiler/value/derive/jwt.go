package derive

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// makeJWT signs the claims of the contract with the parent
// (https://www.rfc-editor.org/rfc/rfc7519). It adds iat, and exp if the token
// has a lifetime.
func makeJWT(f *Family) ([]byte, error) {
	key, err := signingKey(f)
	if err != nil {
		return nil, err
	}
	c := f.Generate.Child
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(c.Algorithm), Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("which does not sign with %s", c.Algorithm)
	}
	claims, err := claimsOf(f)
	if err != nil {
		return nil, err
	}
	claims["iat"] = f.Now.Unix()
	if c.Lifetime > 0 {
		claims["exp"] = f.Now.Add(c.Lifetime).Unix()
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, errors.New("with claims that can't be written as JSON")
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("which does not sign with %s: HS256 needs 32 bytes or more, HS384 48, HS512 64", c.Algorithm)
	}
	text, err := signed.CompactSerialize()
	return []byte(text), err
}

func claimsOf(f *Family) (map[string]any, error) {
	claims := map[string]any{}
	d := json.NewDecoder(strings.NewReader(f.Generate.Child.Claims))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		return nil, errors.New("with claims that are not a JSON object")
	}
	return claims, nil
}

// flawsJWT: what makeJWT adds is not for the contract to say.
func flawsJWT(g plan.Generate) (flaws []Flaw) {
	claims, err := claimsOf(&Family{Generate: g})
	if err != nil {
		return nil // CUE has complained of it
	}
	for name, hint := range map[string]string{"iat": "remove it", "exp": `use lifetime instead, as in lifetime: "8760h"`} {
		if _, ok := claims[name]; ok {
			flaws = append(flaws, Flaw{[]string{"claims", name}, "has the claim " + name + ", which is set when the token is made", hint})
		}
	}
	return flaws
}

// signingKey is what signs: for an HMAC the bytes of the parent, as they are,
// else the private key that it is.
func signingKey(f *Family) (any, error) {
	if strings.HasPrefix(f.Generate.Child.Algorithm, "HS") {
		return f.of(), nil
	}
	return privateKeyOf(f, f.Generate.Child.Of)
}

func checkJWT(f *Family, child []byte) error {
	key, err := signingKey(f)
	if err != nil {
		return fmt.Errorf("is made from %s, %w", f.Generate.Child.Of, err)
	}
	if private, ok := key.(crypto.Signer); ok {
		key = private.Public()
	}
	claims, err := parseJWT(f, child, func(s *jose.JSONWebSignature) ([]byte, error) { return s.Verify(key) })
	if err != nil {
		return err
	}
	want, err := claimsOf(f)
	if err != nil {
		return err
	}
	if _, has := claims["exp"]; has != (f.Generate.Child.Lifetime > 0) {
		return errors.New("has a different lifetime than the contract says")
	}
	if issued, end := number(claims["iat"]), number(claims["exp"]); f.Generate.Child.Lifetime > 0 && end-issued != int64(f.Generate.Child.Lifetime/time.Second) {
		return errors.New("has a different lifetime than the contract says")
	}
	delete(claims, "iat")
	delete(claims, "exp")
	if !reflect.DeepEqual(claims, want) {
		return errors.New("has other claims than the contract says")
	}
	return nil
}

// endsJWT trusts the signature, which checkJWT has verified.
func endsJWT(f *Family, child []byte) (time.Time, bool) {
	claims, err := parseJWT(f, child, func(s *jose.JSONWebSignature) ([]byte, error) { return s.UnsafePayloadWithoutVerification(), nil })
	if err != nil || claims["exp"] == nil {
		return time.Time{}, false
	}
	return time.Unix(number(claims["exp"]), 0), true
}

func parseJWT(f *Family, child []byte, payload func(*jose.JSONWebSignature) ([]byte, error)) (map[string]any, error) {
	s, err := jose.ParseSignedCompact(string(child), allAlgorithms)
	if err != nil || len(s.Signatures) != 1 {
		return nil, errForm(f)
	}
	if s.Signatures[0].Header.Algorithm != f.Generate.Child.Algorithm {
		return nil, errors.New("is signed with a different algorithm than the contract says")
	}
	b, err := payload(s)
	if err != nil {
		return nil, unfit(f)
	}
	claims := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&claims) != nil {
		return nil, errForm(f)
	}
	return claims, nil
}

func number(v any) int64 {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return i
}

// allAlgorithms are those that a token may be signed with
// (https://www.rfc-editor.org/rfc/rfc7518#section-3.1, https://www.rfc-editor.org/rfc/rfc8037).
var allAlgorithms = []jose.SignatureAlgorithm{
	jose.HS256, jose.HS384, jose.HS512, jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}
