package derive

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

const password = "c4nary pass/word é"

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// parents are inputs of each sort.
var parents = func() map[string]value.Value {
	all := map[string]value.Value{"PASSWORD": value.New([]byte(password)), "OTHER": value.New([]byte("another password")),
		"ASCII":  value.New([]byte("c4nary-in-ascii")),
		"SECRET": value.New([]byte(strings.Repeat("c4nary-32", 8)))}
	for name, g := range map[string]plan.Generate{
		"RSA":     {Kind: plan.RSA, Bits: 2048, Encoding: "pkcs8"},
		"ED":      {Kind: plan.Ed25519, Encoding: "openssh"},
		"EC":      {Kind: plan.ECDSA, Curve: "P-256", Encoding: "pkcs8"},
		"EC384":   {Kind: plan.ECDSA, Curve: "P-384", Encoding: "pkcs8"},
		"WEBPUSH": {Kind: plan.ECDSA, Curve: "P-256", Encoding: "raw"},
		"CA_KEY":  {Kind: plan.ECDSA, Curve: "P-384", Encoding: "pkcs8"},
		"KEY2":    {Kind: plan.ECDSA, Curve: "P-256", Encoding: "pkcs8"},
	} {
		v, err := value.Generate(g, rand.Reader)
		if err != nil {
			panic(err)
		}
		all[name] = v
	}
	add := func(name string, c plan.Child) {
		v, err := Make(Family{Generate: plan.Generate{Kind: plan.X509, Child: &c}, Parents: all, Rand: rand.Reader, Now: now})
		if err != nil {
			panic(err)
		}
		all[name] = v
	}
	add("CA", plan.Child{Of: "CA_KEY", Subject: "test CA", CA: true, Lifetime: 8760 * time.Hour})
	add("CERT", plan.Child{Of: "EC", Subject: "app", Names: []string{"app.example"}, Lifetime: 720 * time.Hour, Issuer: plan.Issuer{Certificate: "CA", Key: "CA_KEY"}, Chain: true})
	hash, err := Make(Family{Generate: plan.Generate{Kind: plan.RabbitMQ, Child: &plan.Child{Of: "PASSWORD"}}, Parents: all, Rand: rand.Reader, Now: now})
	if err != nil {
		panic(err)
	}
	all["HASH"] = hash
	return all
}()

func entry(alias, key, certificate string) plan.KeystoreEntry {
	return plan.KeystoreEntry{Alias: alias, Key: key, Certificate: certificate}
}

func family(kind, encoding string, c plan.Child) Family {
	return Family{Generate: plan.Generate{Kind: kind, Encoding: encoding, Child: &c}, Parents: parents, Rand: rand.Reader, Now: now}
}

// children are one of each kind and form, by name, with what another parent
// stands for the first one with.
var children = map[string]struct {
	f     Family
	other string // an input that could be the parent, and is not
}{
	"bcrypt":        {family(plan.Bcrypt, "", plan.Child{Of: "PASSWORD", Cost: 5}), "OTHER"},
	"argon2id":      {family(plan.Argon2id, "", plan.Child{Of: "PASSWORD", Cost: 1}), "OTHER"},
	"sha512crypt":   {family(plan.SHA512Crypt, "", plan.Child{Of: "PASSWORD", Cost: 1000}), "OTHER"},
	"scram":         {family(plan.SCRAM, "", plan.Child{Of: "PASSWORD", Cost: 4096}), "OTHER"},
	"rabbitmq":      {family(plan.RabbitMQ, "", plan.Child{Of: "PASSWORD"}), "OTHER"},
	"htpasswd":      {family(plan.Htpasswd, "", plan.Child{Of: "PASSWORD", User: "app", Algorithm: "bcrypt", Cost: 5}), "OTHER"},
	"htpasswd sha1": {family(plan.Htpasswd, "", plan.Child{Of: "PASSWORD", User: "app", Algorithm: "sha1"}), "OTHER"},
	"jwt HS256":     {family(plan.JWT, "", plan.Child{Of: "SECRET", Algorithm: "HS256", Claims: `{"big":12345678901234567890,"role":"anon"}`, Lifetime: 48 * time.Hour, RenewBefore: time.Hour}), "RSA"},
	"jwt HS512":     {family(plan.JWT, "", plan.Child{Of: "SECRET", Algorithm: "HS512", Claims: `{}`}), "RSA"},
	"jwt RS256":     {family(plan.JWT, "", plan.Child{Of: "RSA", Algorithm: "RS256", Claims: `{"role":"anon"}`, Lifetime: time.Hour}), ""},
	"jwt ES256":     {family(plan.JWT, "", plan.Child{Of: "EC", Algorithm: "ES256", Claims: `{"role":"anon"}`, Lifetime: time.Hour}), "KEY2"},
	"jwt EdDSA":     {family(plan.JWT, "", plan.Child{Of: "ED", Algorithm: "EdDSA", Claims: `{"role":"anon"}`, Lifetime: time.Hour}), ""},
	"public pem":    {family(plan.PublicKey, "pem", plan.Child{Of: "RSA"}), "EC"},
	"public ssh":    {family(plan.PublicKey, "openssh", plan.Child{Of: "ED"}), "EC"},
	"public jwk":    {family(plan.PublicKey, "jwk", plan.Child{Of: "EC384"}), "EC"},
	"public raw":    {family(plan.PublicKey, "raw", plan.Child{Of: "WEBPUSH"}), "EC"},
	"self-signed":   {family(plan.X509, "", plan.Child{Of: "RSA", Subject: "self", Names: []string{"10.0.0.1", "a@b.example", "https://x.example/y", "*.x.example"}, Lifetime: 24 * time.Hour, Usages: []string{"server"}}), "EC"},
	"certificate":   {family(plan.X509, "", plan.Child{Of: "EC", Subject: "app", Names: []string{"app.example"}, Lifetime: 720 * time.Hour, Issuer: plan.Issuer{Certificate: "CA", Key: "CA_KEY"}}), "KEY2"},
	"chain":         {family(plan.X509, "", plan.Child{Of: "ED", Subject: "app", Lifetime: 720 * time.Hour, Issuer: plan.Issuer{Certificate: "CA", Key: "CA_KEY"}, Chain: true}), "KEY2"},
	"pkcs12":        {family(plan.PKCS12, "", plan.Child{Of: "PASSWORD", Entries: []plan.KeystoreEntry{entry("app", "EC", "CERT")}}), "OTHER"},
	"pkcs12 trust":  {family(plan.PKCS12, "", plan.Child{Of: "PASSWORD", Entries: []plan.KeystoreEntry{entry("ca", "", "CA")}}), "OTHER"},
	"time":          {family(plan.Time, "", plan.Child{Of: "HASH"}), "CERT"},
	"jks":           {family(plan.JKS, "", plan.Child{Of: "ASCII", Entries: []plan.KeystoreEntry{entry("App", "EC", "CERT"), entry("ca", "", "CA")}}), "OTHER"},
}

// hides fails if the error holds a part of a value.
func hides(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "c4nary") {
		t.Errorf("the error shows a value: %v", err)
	}
}

func TestChildren(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for name, c := range children {
		seen[c.f.Generate.Kind] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child, err := Make(c.f)
			if err != nil {
				t.Fatal(err)
			}
			if err := Check(c.f, child); err != nil {
				t.Fatalf("what was made is refused: %v", err)
			}
			text := child.Reveal()
			if bytes.Contains(text, []byte(password)) {
				t.Error("the child holds its parent")
			}
			if c.other != "" {
				f := c.f
				f.Parents = maps.Clone(parents)
				f.Parents[f.Generate.Child.Of] = parents[c.other]
				err := Check(f, child)
				if err == nil {
					t.Error("it still belongs to a parent that has changed")
				}
				hides(t, err)
			}
			for what, broken := range map[string][]byte{
				"nothing": nil, "no child": []byte("c4nary"), "half": text[:len(text)/2], "the parent": c.f.of(),
				"more": append(bytes.Clone(text), "c4nary"...), "changed": flip(text, len(text)/3),
			} {
				err := Check(c.f, value.New(broken))
				if err == nil {
					t.Errorf("%s is taken for a child", what)
				}
				hides(t, err)
			}
		})
	}
	for kind := range kinds {
		if !seen[kind] {
			t.Errorf("no child of kind %s is tried", kind)
		}
		if plan.Noun(kind) == "" {
			t.Errorf("kind %s has no noun", kind)
		}
	}
}

func flip(b []byte, i int) []byte {
	c := bytes.Clone(b)
	c[i] ^= 1
	return c
}

// TestDefinitionChanges: a child that is not what the definition says any more
// is made again, whatever it was that changed.
func TestDefinitionChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		child string
		to    func(g *plan.Generate, c *plan.Child)
	}{
		"bcrypt's cost":    {"bcrypt", func(_ *plan.Generate, c *plan.Child) { c.Cost = 6 }},
		"argon2's rounds":  {"argon2id", func(_ *plan.Generate, c *plan.Child) { c.Cost = 2 }},
		"crypt's rounds":   {"sha512crypt", func(_ *plan.Generate, c *plan.Child) { c.Cost = 2000 }},
		"scram's rounds":   {"scram", func(_ *plan.Generate, c *plan.Child) { c.Cost = 8192 }},
		"the user":         {"htpasswd", func(_ *plan.Generate, c *plan.Child) { c.User = "other" }},
		"htpasswd's kind":  {"htpasswd", func(_ *plan.Generate, c *plan.Child) { c.Algorithm = "sha1" }},
		"htpasswd's other": {"htpasswd sha1", func(_ *plan.Generate, c *plan.Child) { c.Algorithm = "bcrypt"; c.Cost = 5 }},
		"htpasswd's cost":  {"htpasswd", func(_ *plan.Generate, c *plan.Child) { c.Cost = 7 }},
		"a claim":          {"jwt HS256", func(_ *plan.Generate, c *plan.Child) { c.Claims = `{"big":12345678901234567891,"role":"anon"}` }},
		"one more claim":   {"jwt HS512", func(_ *plan.Generate, c *plan.Child) { c.Claims = `{"a":1}` }},
		"the lifetime":     {"jwt HS256", func(_ *plan.Generate, c *plan.Child) { c.Lifetime = 49 * time.Hour }},
		"no lifetime":      {"jwt HS256", func(_ *plan.Generate, c *plan.Child) { c.Lifetime = 0 }},
		"a lifetime":       {"jwt HS512", func(_ *plan.Generate, c *plan.Child) { c.Lifetime = time.Hour }},
		"the algorithm":    {"jwt HS256", func(_ *plan.Generate, c *plan.Child) { c.Algorithm = "HS384" }},
		"the encoding":     {"public pem", func(g *plan.Generate, _ *plan.Child) { g.Encoding = "openssh" }},
		"the subject":      {"certificate", func(_ *plan.Generate, c *plan.Child) { c.Subject = "b" }},
		"a name":           {"self-signed", func(_ *plan.Generate, c *plan.Child) { c.Names = c.Names[1:] }},
		"a usage":          {"self-signed", func(_ *plan.Generate, c *plan.Child) { c.Usages = []string{"client"} }},
		"ca":               {"self-signed", func(_ *plan.Generate, c *plan.Child) { c.CA = true }},
		"a longer life":    {"certificate", func(_ *plan.Generate, c *plan.Child) { c.Lifetime += time.Hour }},
		"the chain":        {"certificate", func(_ *plan.Generate, c *plan.Child) { c.Chain = true }},
		"no chain":         {"chain", func(_ *plan.Generate, c *plan.Child) { c.Chain = false }},
		"the issuer":       {"self-signed", func(_ *plan.Generate, c *plan.Child) { c.Issuer = plan.Issuer{Certificate: "CA", Key: "CA_KEY"} }},
		"an alias": {"jks", func(_ *plan.Generate, c *plan.Child) {
			c.Entries = []plan.KeystoreEntry{entry("b", "EC", "CERT"), entry("ca", "", "CA")}
		}},
		"an entry less":      {"jks", func(_ *plan.Generate, c *plan.Child) { c.Entries = c.Entries[:1] }},
		"other certificates": {"pkcs12 trust", func(_ *plan.Generate, c *plan.Child) { c.Entries = []plan.KeystoreEntry{entry("ca", "", "CERT")} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := children[change.child].f
			child, err := Make(f)
			if err != nil {
				t.Fatal(err)
			}
			c := *f.Generate.Child
			c.Entries = slices.Clone(c.Entries)
			f.Generate.Child = &c
			change.to(&f.Generate, &c)
			if err := Check(f, child); err == nil {
				t.Error("it passes for what the definition says now")
			} else if strings.Contains(err.Error(), "does not fit") {
				t.Errorf("a definition has changed, and no parent: %v", err)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for name, life := range map[string]struct{ lifetime, renew time.Duration }{
		"jwt HS256": {48 * time.Hour, time.Hour}, "self-signed": {24 * time.Hour, 0}, "chain": {720 * time.Hour, 0},
	} {
		f := children[name].f
		child, err := Make(f)
		if err != nil {
			t.Fatal(err)
		}
		for after, fine := range map[time.Duration]bool{
			0: true, life.lifetime - life.renew - time.Second: true, life.lifetime - life.renew: false, life.lifetime: false, 2 * life.lifetime: false,
		} {
			f.Now = now.Add(after)
			if err := Ends(f, child); (err == nil) != fine {
				t.Errorf("%s, after %s: %v", name, after, err)
			}
			if err := Check(f, child); (err == nil) != fine {
				t.Errorf("%s, checked after %s: %v", name, after, err)
			}
		}
	}
}

// TestTime: a time is a time, of the second before it was made, and one to come
// is not believed.
func TestTime(t *testing.T) {
	t.Parallel()
	f := children["time"].f
	for range 100 {
		f.Parents = map[string]value.Value{"HASH": value.New([]byte(rand.Text()))}
		child, err := Make(f)
		if err != nil {
			t.Fatal(err)
		}
		if at, err := time.Parse(time.RFC3339, string(child.Reveal())); err != nil || now.Sub(at) <= 0 || now.Sub(at) > time.Second {
			t.Fatalf("made at %s: %s, %v", now, child.Reveal(), err)
		}
		late, early := f, f
		late.Now, early.Now = now.Add(87600*time.Hour), now.Add(-time.Hour)
		if err := Check(late, child); err != nil {
			t.Error(err)
		}
		if err := Check(early, child); err == nil {
			t.Error("a time to come is believed")
		}
	}
}

// TestMakeRefuses: what cannot be made says which parent is at fault.
func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	long := maps.Clone(parents)
	long["PASSWORD"] = value.New([]byte(strings.Repeat("c4nary!", 11)))
	short := maps.Clone(parents)
	short["ASCII"], short["SECRET"] = value.New([]byte("c4nar")), value.New([]byte("c4nary"))
	for name, test := range map[string]struct {
		f    Family
		with map[string]value.Value
		want string
	}{
		"bcrypt of 77 bytes":       {children["bcrypt"].f, long, "which is longer than the 72 bytes that bcrypt takes"},
		"token with a short key":   {children["jwt HS256"].f, short, "which does not sign with HS256: HS256 needs 32 bytes or more, HS384 48, HS512 64"},
		"token with no key":        {family(plan.JWT, "", plan.Child{Of: "SECRET", Algorithm: "RS256", Claims: "{}"}), nil, "which is not a private key"},
		"token with another key":   {family(plan.JWT, "", plan.Child{Of: "EC", Algorithm: "RS256", Claims: "{}"}), nil, "which does not sign with RS256"},
		"public half of no key":    {family(plan.PublicKey, "pem", plan.Child{Of: "PASSWORD"}), nil, "which is not a private key"},
		"raw RSA":                  {family(plan.PublicKey, "raw", plan.Child{Of: "RSA"}), nil, "which is an RSA key, and these have no raw form"},
		"issuer that is none":      {family(plan.X509, "", plan.Child{Of: "EC", Lifetime: 1, Issuer: plan.Issuer{Certificate: "PASSWORD", Key: "CA_KEY"}}), nil, "and from PASSWORD, which is not a certificate"},
		"issuer that may not sign": {family(plan.X509, "", plan.Child{Of: "EC", Lifetime: 1, Issuer: plan.Issuer{Certificate: "CERT", Key: "EC"}}), nil, "and from CERT, which is not a certificate authority"},
		"issuer with another key":  {family(plan.X509, "", plan.Child{Of: "EC", Lifetime: 1, Issuer: plan.Issuer{Certificate: "CA", Key: "RSA"}}), nil, "and from RSA, which is not the key of CA"},
		"issuer that ends first":   {family(plan.X509, "", plan.Child{Of: "EC", Lifetime: 9000 * time.Hour, Issuer: plan.Issuer{Certificate: "CA", Key: "CA_KEY"}}), nil, "and from CA, which ends earlier, on 2027-03-04"},
		"key of another":           {family(plan.JKS, "", plan.Child{Of: "PASSWORD", Entries: []plan.KeystoreEntry{entry("a", "RSA", "CERT")}}), nil, "and from RSA, which is not the key of CERT"},
		"foreign store password":   {family(plan.JKS, "", plan.Child{Of: "PASSWORD", Entries: []plan.KeystoreEntry{entry("ca", "", "CA")}}), nil, "which has characters beyond ASCII, which Java keystores made here can't have"},
		"short store password":     {children["jks"].f, short, "which is shorter than the 6 characters that keytool asks for"},
	} {
		if test.with != nil {
			test.f.Parents = test.with
		}
		_, err := Make(test.f)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		hides(t, err)
	}
	if _, err := Make(Family{Generate: plan.Generate{Kind: "diceware"}}); err == nil {
		t.Error("an unknown kind is made")
	}
	if Check(Family{Generate: plan.Generate{Kind: "diceware"}}, value.Value{}) == nil {
		t.Error("an unknown kind passes")
	}
}

// TestFlaws: names that a certificate can have are told from others, and claims
// from those that are set when a token is made.
func TestFlaws(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"app.example": true, "*.app.example": true, "localhost": true, "_dmarc.app.example": true, "xn--bcher-kva.example": true, "app.example.": true, "10.0.0.1": true, "::1": true,
		"a@app.example": true, "https://app.example/y": true, "spiffe://cluster.local/ns/a": true,
		"": false, "a b": false, "bücher.example": false, "a..b": false, "-a.example": false, "*": false, "a.*.b": false, "a b@c.example": false, "A <a@b.example>": false, "http:///x": false,
		strings.Repeat("a", 64) + ".example": false, strings.Repeat("a.", 127) + "aa": false,
	} {
		flaws := Flaws(plan.Generate{Kind: plan.X509, Child: &plan.Child{Subject: "a", Names: []string{"first.example", name}}})
		if (len(flaws) == 0) != good {
			t.Errorf("%q: %v", name, flaws)
		}
		if !good && len(flaws) == 1 && strings.Join(flaws[0].Field, ".") != "sans.1" {
			t.Errorf("%q is at %v", name, flaws[0].Field)
		}
		if good {
			if _, err := Make(family(plan.X509, "", plan.Child{Of: "EC", Subject: "a", Names: []string{name}, Lifetime: time.Hour})); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	for subject, good := range map[string]bool{strings.Repeat("é", 64): true, strings.Repeat("é", 65): false} {
		if flaws := Flaws(plan.Generate{Kind: plan.X509, Child: &plan.Child{Subject: subject}}); (len(flaws) == 0) != good {
			t.Errorf("a subject of %d bytes: %v", len(subject), flaws)
		}
	}
	for claims, want := range map[string]int{`{}`: 0, `{"nbf":1}`: 0, `{"exp":1}`: 1, `{"exp":1,"iat":2}`: 2} {
		if flaws := Flaws(plan.Generate{Kind: plan.JWT, Child: &plan.Child{Claims: claims}}); len(flaws) != want {
			t.Errorf("%s: %v", claims, flaws)
		}
	}
}

// TestCertificateVerifies: what a client checks of a chain holds.
func TestCertificateVerifies(t *testing.T) {
	t.Parallel()
	f := children["certificate"].f
	child, err := Make(f)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(child.Reveal())
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(parents["CA"].Reveal())
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "app.example", CurrentTime: now}); err != nil {
		t.Error(err)
	}
}

// FuzzCheck: no child, whatever it is, breaks a check, passes for one that was
// made, or shows in an error.
func FuzzCheck(f *testing.F) {
	names := slices.Sorted(maps.Keys(children))
	for i, name := range names {
		child, err := Make(children[name].f)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, child.Reveal())
	}
	f.Add(0, []byte("$2a$05$"))
	f.Add(1, []byte("$argon2id$v=19$m=65536,t=1,p=4$"))
	f.Add(9, []byte("eyJhbGciOiJub25lIn0.e30."))
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		c := children[names[((i%len(names))+len(names))%len(names)]]
		if c.f.Generate.Kind == plan.Argon2id && bytes.Contains(b, []byte("m=")) && !bytes.Contains(b, []byte("m=65536,t=1,p=4$")) {
			return
		}
		marked := append(bytes.Clone(b), "c4nary"...)
		for _, v := range [][]byte{b, marked} {
			err := Check(c.f, value.New(v))
			hides(t, err)
			if err != nil && strings.Contains(fmt.Sprint(err), string(b)) && len(b) > 32 { // a shorter one may stand in the message of itself
				t.Errorf("the error shows the child: %v", err)
			}
		}
	})
}

// TestCryptWithoutRounds: a hash that does not say its rounds has those that crypt(3)
// takes then. OpenSSL has made it.
func TestCryptWithoutRounds(t *testing.T) {
	t.Parallel()
	const hash = "$6$abcdefgh$fmpt0x6Z/UXY48xOi6bNefR7V2dqSzMWwP2GTHPEvT2vJJ4V6cs6yG28fd8RSPss5ptM/UgeI4Q7PzvhDkW9n/"
	for rounds, want := range map[int]string{CryptRounds: "", 10000: "has other parameters than the contract says"} {
		for password, fits := range map[string]bool{"Pq8xLm2ZrT5vNc7WyK3d": true, "another": false} {
			f := family(plan.SHA512Crypt, "", plan.Child{Of: "PASSWORD", Cost: rounds})
			f.Parents = map[string]value.Value{"PASSWORD": value.New([]byte(password))}
			expect := want
			if want == "" && !fits {
				expect = "does not fit PASSWORD"
			}
			got := ""
			if err := Check(f, value.New([]byte(hash))); err != nil {
				got = err.Error()
			}
			if got != expect {
				t.Errorf("%d rounds: %q, want %q", rounds, got, expect)
			}
		}
	}
}
