package derive

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/xdg-go/scram"
	"golang.org/x/crypto/bcrypt"
)

// MaxBcrypt is how much of a password bcrypt looks at; the library refuses more
// (https://pkg.go.dev/golang.org/x/crypto/bcrypt#GenerateFromPassword).
const MaxBcrypt = 72

// bcryptSize is the length of a hash: version, cost, 22 characters of salt, 31
// of the hash itself.
const bcryptSize = 60

func makeBcrypt(f *Family) ([]byte, error) {
	if len(f.of()) > MaxBcrypt {
		return nil, fmt.Errorf("which is longer than the %d bytes that bcrypt takes", MaxBcrypt)
	}
	if bytes.IndexByte(f.of(), 0) >= 0 {
		return nil, errors.New("which holds a zero byte, where C programs end the string")
	}
	hash, err := bcrypt.GenerateFromPassword(f.of(), f.Generate.Child.Cost)
	if err != nil {
		return nil, errRandom
	}
	return hash, nil
}

func checkBcrypt(f *Family, child []byte) error {
	cost, err := bcrypt.Cost(child)
	switch {
	case err != nil || len(child) != bcryptSize: // the library passes over what follows
		return errForm(f)
	case cost != f.Generate.Child.Cost:
		return fmt.Errorf("has the cost %d, and the contract says %d", cost, f.Generate.Child.Cost)
	case bcrypt.CompareHashAndPassword(child, f.of()) != nil:
		return unfit(f)
	}
	return nil
}

// Argon2id has the memory of the second recommendation of RFC 9106, section 4:
// 64 MiB and four lanes; the contract says how many passes.
const (
	argon2Memory = 64 << 10 // KiB
	argon2Lanes  = 4
)

func makeArgon2id(f *Family) ([]byte, error) {
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithT(f.Generate.Child.Cost), argon2.WithM(argon2Memory), argon2.WithP(argon2Lanes))
	return hashed(f, hasher, err)
}

func checkArgon2id(f *Family, child []byte) error {
	want := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", argon2Memory, f.Generate.Child.Cost, argon2Lanes)
	return matches(f, child, argon2.Decode, "$argon2id$", want)
}

func makeSHA512Crypt(f *Family) ([]byte, error) {
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithRounds(f.Generate.Child.Cost))
	return hashed(f, hasher, err)
}

func checkSHA512Crypt(f *Family, child []byte) error {
	parameters := fmt.Sprintf("$6$rounds=%d$", f.Generate.Child.Cost)
	if f.Generate.Child.Cost == CryptRounds && !bytes.HasPrefix(child, []byte("$6$rounds=")) {
		parameters = "$6$"
	}
	return matches(f, child, shacrypt.Decode, "$6$", parameters)
}

// CryptRounds are those of a SHA-512 crypt hash that does not say how many
// (https://man7.org/linux/man-pages/man5/crypt.5.html).
const CryptRounds = 5000

func hashed(f *Family, hasher algorithm.Hash, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("with %d rounds, which its kind does not allow", f.Generate.Child.Cost)
	}
	digest, err := hasher.Hash(string(f.of()))
	if err != nil {
		return nil, errRandom
	}
	return []byte(digest.Encode()), nil
}

// matches checks a hash of which the beginning tells all parameters.
func matches(f *Family, child []byte, decode func(string) (algorithm.Digest, error), kind, parameters string) error {
	if !bytes.HasPrefix(child, []byte(kind)) {
		return errForm(f)
	}
	if !bytes.HasPrefix(child, []byte(parameters)) {
		return errors.New("has other parameters than the contract says")
	}
	digest, err := decode(string(child))
	if err != nil {
		return errForm(f)
	}
	if !digest.Match(string(f.of())) {
		return unfit(f)
	}
	return nil
}

const saltSize = 16

// makeSCRAM writes what PostgreSQL keeps of a password
// (https://www.postgresql.org/docs/current/catalog-pg-authid.html):
// SCRAM-SHA-256$ROUNDS:SALT$STORED:SERVER.
func makeSCRAM(f *Family) ([]byte, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(f.Rand, salt); err != nil {
		return nil, errRandom
	}
	return verifier(f, string(salt), f.Generate.Child.Cost)
}

func verifier(f *Family, salt string, rounds int) ([]byte, error) {
	password := string(f.of())
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		// PostgreSQL takes a password as it is that SASLprep refuses
		// (https://www.postgresql.org/docs/current/sasl-authentication.html).
		if client, err = scram.SHA256.NewClientUnprepped("", password, ""); err != nil {
			return nil, errors.New("which can't be used for a verifier")
		}
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: salt, Iters: rounds})
	if err != nil {
		return nil, fmt.Errorf("with %d rounds, which its kind does not allow", rounds)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64([]byte(salt)), b64(c.StoredKey), b64(c.ServerKey)), nil
}

func checkSCRAM(f *Family, child []byte) error {
	rest, ok := strings.CutPrefix(string(child), "SCRAM-SHA-256$")
	rounds, rest, ok2 := strings.Cut(rest, ":")
	salt, _, ok3 := strings.Cut(rest, "$")
	n, err := strconv.Atoi(rounds)
	raw, err2 := base64.StdEncoding.DecodeString(salt)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil {
		return errForm(f)
	}
	if n != f.Generate.Child.Cost {
		return fmt.Errorf("has %d rounds, and the contract says %d", n, f.Generate.Child.Cost)
	}
	want, err := verifier(f, string(raw), n)
	if err != nil || !hmac.Equal(want, child) {
		return unfit(f)
	}
	return nil
}

// rabbitSalt is the size of the salt in a hash of RabbitMQ
// (https://www.rabbitmq.com/docs/passwords#this-is-the-algorithm).
const rabbitSalt = 4

func makeRabbitMQ(f *Family) ([]byte, error) {
	salt := make([]byte, rabbitSalt)
	if _, err := io.ReadFull(f.Rand, salt); err != nil {
		return nil, errRandom
	}
	return rabbit(f, salt), nil
}

func rabbit(f *Family, salt []byte) []byte {
	sum := sha256.Sum256(append(bytes.Clone(salt), f.of()...))
	return base64.StdEncoding.AppendEncode(nil, append(bytes.Clone(salt), sum[:]...))
}

func checkRabbitMQ(f *Family, child []byte) error {
	raw, err := base64.StdEncoding.DecodeString(string(child))
	if err != nil || len(raw) != rabbitSalt+sha256.Size {
		return errForm(f)
	}
	if !hmac.Equal(rabbit(f, raw[:rabbitSalt]), child) {
		return unfit(f)
	}
	return nil
}

func makeHtpasswd(f *Family) ([]byte, error) {
	user := f.Generate.Child.User + ":"
	if f.Generate.Child.Algorithm == "sha1" {
		return append([]byte(user), htpasswdSHA1(f)...), nil
	}
	hash, err := makeBcrypt(f)
	if err != nil {
		return nil, err
	}
	// Apache knows the version as 2y, and reads this one too; nginx's crypt may
	// not (https://httpd.apache.org/docs/2.4/misc/password_encryptions.html).
	return append([]byte(user+"$2y"), bytes.TrimPrefix(hash, []byte("$2a"))...), nil
}

func checkHtpasswd(f *Family, child []byte) error {
	user, hash, ok := bytes.Cut(child, []byte(":"))
	if !ok {
		return errForm(f)
	}
	if string(user) != f.Generate.Child.User {
		return errors.New("is for a different user than the contract says")
	}
	if f.Generate.Child.Algorithm == "sha1" {
		if !bytes.HasPrefix(hash, []byte("{SHA}")) {
			return errors.New("is not a hash of SHA-1, as the contract says")
		}
		if subtle.ConstantTimeCompare(hash, htpasswdSHA1(f)) != 1 {
			return unfit(f)
		}
		return nil
	}
	if bytes.HasPrefix(hash, []byte("{SHA}")) {
		return errors.New("is a hash of SHA-1, and not of bcrypt, as the contract says")
	}
	return checkBcrypt(f, hash)
}

func htpasswdSHA1(f *Family) []byte {
	sum := sha1.Sum(f.of())
	return base64.StdEncoding.AppendEncode([]byte("{SHA}"), sum[:])
}
