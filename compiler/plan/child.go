package plan

import (
	"slices"
	"time"
)

// The kinds of generated input that are made from other inputs, their parents.
const (
	Bcrypt      = "bcrypt"        // a hash of a password, in the form of crypt(3)
	Argon2id    = "argon2id"      // a hash of a password, in the form of PHC strings
	SHA512Crypt = "sha512crypt"   // a hash of a password, in the form of crypt(3)
	SCRAM       = "scram-sha-256" // PostgreSQL's verifier of a password
	RabbitMQ    = "rabbitmq"      // RabbitMQ's salted SHA-256 of a password
	Htpasswd    = "htpasswd"      // a line of a file for HTTP basic authentication
	JWT         = "jwt"           // a signed token
	PublicKey   = "publicKey"     // the public half of a private key
	X509        = "certificate"   // a certificate of a private key
	PKCS12      = "pkcs12"        // a keystore of keys and certificates
	JKS         = "jks"           // Java's own form of such a keystore
	Time        = "time"          // when another child was made
)

// Noun is what a value of a kind is called: "bcrypt hash"; empty for a kind that
// is made from nothing.
func Noun(kind string) string { return nouns[kind] }

// nouns name the kinds for people.
var nouns = map[string]string{
	Bcrypt: "bcrypt hash", Argon2id: "hash of Argon2id", SHA512Crypt: "SHA-512 crypt hash",
	SCRAM: "SCRAM-SHA-256 verifier", RabbitMQ: "RabbitMQ password hash", Htpasswd: "line of an htpasswd file",
	JWT: "signed JSON Web Token", PublicKey: "public key", X509: "certificate",
	PKCS12: "PKCS #12 keystore", JKS: "Java keystore",
	Time: "time",
}

// Child says how an input is made from others. Which fields count depends on
// the kind.
type Child struct {
	Of          string          // the parent; of a keystore, the input that is its password
	Cost        int             // bcrypt: log2 of the rounds; argon2id, sha512crypt and scram-sha-256: the rounds
	User        string          // htpasswd
	Algorithm   string          // htpasswd: bcrypt or sha1; jwt: HS256 and so on
	Claims      string          // jwt: a JSON object, keys sorted
	Lifetime    time.Duration   // jwt, certificate; 0 is a token without an end
	RenewBefore time.Duration   // jwt, certificate: made again so long before its end
	Subject     string          // certificate: the common name
	Names       []string        // certificate: DNS names, IP addresses, e-mail addresses and URIs
	Usages      []string        // certificate: server, client
	CA          bool            // certificate: it may sign others
	Chain       bool            // certificate: the issuer's follows its own
	Issuer      Issuer          // certificate; the zero Issuer is the key itself
	Entries     []KeystoreEntry // pkcs12, jks; in the order of the contract
}

// Issuer is who signs a certificate.
type Issuer struct {
	Certificate string // an input
	Key         string // an input
}

// KeystoreEntry is a key with its certificate, or a certificate that is
// trusted, if there is no key. The fields but Alias are inputs.
type KeystoreEntry struct {
	Alias       string
	Key         string
	Certificate string
}

// Parents are the inputs that the input is made from, sorted; none if it is
// made from nothing but random numbers.
func (in Input) Parents() []string {
	if in.Generate == nil || in.Generate.Child == nil {
		return nil
	}
	c := in.Generate.Child
	names := []string{c.Of, c.Issuer.Certificate, c.Issuer.Key}
	for _, e := range c.Entries {
		names = append(names, e.Key, e.Certificate)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if names[0] == "" {
		names = names[1:]
	}
	return names
}
