package compiler

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
)

// child is what a contract says of a value that is made from others; nil if it
// is made from random numbers alone.
func (c *compilation) child(in plan.Input, g *generateSpec) *plan.Child {
	if known, _ := derive.Kinds(g.Kind); !known {
		return nil
	}
	child := &plan.Child{
		Of: cmp.Or(g.Of, g.Password), Cost: g.Cost, User: g.User, Algorithm: g.Algorithm, Claims: canonical(g.Claims),
		Subject: g.Subject, Names: g.SANs, Usages: g.Usages, CA: g.CA, Chain: g.Chain,
	}
	if g.Issuer != nil {
		child.Issuer = plan.Issuer{Certificate: g.Issuer.Certificate, Key: g.Issuer.Key}
	}
	for _, e := range g.Entries {
		child.Entries = append(child.Entries, plan.KeystoreEntry{Alias: e.Alias, Key: e.Key, Certificate: e.Certificate})
	}
	child.Lifetime = c.lasting(in, "lifetime", g.Lifetime)
	child.RenewBefore = c.lasting(in, "renewBefore", g.RenewBefore)
	switch {
	case child.RenewBefore > 0 && child.Lifetime == 0 && g.Lifetime == "":
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "renewBefore"), "set its lifetime, or remove renewBefore",
			"%s has renewBefore, but no end", in.Name)
	case child.RenewBefore >= child.Lifetime && child.RenewBefore > 0 && child.Lifetime > 0:
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "renewBefore", "lifetime"), "give it a longer lifetime, or a shorter renewBefore",
			"%s would be regenerated in each build: it lasts %s, and is renewed %s before its end", in.Name, plan.Age(child.Lifetime), plan.Age(child.RenewBefore))
	}
	return child
}

// lasting reads a duration of generate.
func (c *compilation) lasting(in plan.Input, field, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := parseDuration(text)
	if err != nil || d <= 0 {
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, field), `write it like "90d" or "2160h"`,
			"%s of %s is %q, which is not a positive duration", field, in.Name, text)
	} else if d%time.Second != 0 {
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, field), `write it like "90d" or "2160h"`,
			"%s of %s is %q, but tokens and certificates only have whole seconds", field, in.Name, text)
	}
	return d
}

// generatePos is where a contract says one of the fields of generate, or else
// generate itself.
func (c *compilation) generatePos(in plan.Input, fields ...string) []plan.Pos {
	for _, f := range fields {
		path := []string{"inputs", in.Name, "generate", f}
		if at := last(c.ix.contractFirst(c.ix.values(path))); len(at) > 0 {
			return at
		}
	}
	return last(c.ix.set("inputs", in.Name, "generate"))
}

// canonical writes a JSON object in one way, its numbers as they stand.
func canonical(js json.RawMessage) string {
	if len(js) == 0 {
		return ""
	}
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(js))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return "" // CUE has complained of it
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// checkChildren checks the parents of all inputs that are made from others.
func (c *compilation) checkChildren(p *plan.Plan) {
	for _, in := range p.Inputs {
		if in.Generate == nil || in.Generate.Child == nil {
			continue
		}
		if in.Generate.InCluster {
			c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "inCluster"), "remove inCluster",
				"%s is made from other inputs, and the External Secrets Operator can't do that", in.Name)
		}
		c.checkForm(in)
		for _, r := range roles(in) {
			c.checkParent(in, r)
		}
		c.checkPairs(in)
	}
	c.checkCycles(p)
}

// checkForm checks what a child is by itself.
func (c *compilation) checkForm(in plan.Input) {
	switch in.Generate.Kind {
	case plan.PKCS12, plan.JKS:
		if in.Encoding == "" {
			c.ds.Errorf(plan.CodeGenerate, last(in.Pos), `write encoding: "base64", so that the source holds text and the Secret gets the bytes`,
				"%s is a keystore, which is bytes and not text", in.Name)
		}
		keys := 0
		aliases := map[string]bool{}
		for _, e := range in.Generate.Child.Entries {
			alias, nameless := strings.ToLower(e.Alias), in.Generate.Kind == plan.PKCS12 && e.Key != ""
			switch {
			case nameless && alias != "":
				c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "entries"), "leave out alias; or use jks, where a key has one",
					"keystore %s gives its key the alias %q, but Java would call it \"1\": the PKCS #12 keystores made here have no alias for the key", in.Name, e.Alias)
			case !nameless && alias == "":
				c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "entries"), `write alias: "NAME" next to the certificate`,
					"keystore %s has an entry without an alias, of %s", in.Name, e.Certificate)
			case !nameless && aliases[alias]:
				c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "entries"), "give each entry an alias of its own; case does not count",
					"keystore %s has the alias %q twice", in.Name, e.Alias)
			}
			aliases[alias] = true
			if e.Key != "" {
				keys++
			}
		}
		if in.Generate.Kind == plan.PKCS12 && keys > 0 && len(in.Generate.Child.Entries) > 1 {
			c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "entries"), "make a keystore of the key, and one of what is trusted; or use jks",
				"keystore %s has a key and other entries: a PKCS #12 keystore has either one key or trusted certificates", in.Name)
		}
	default:
		if in.Encoding == plan.Binary {
			c.ds.Errorf(plan.CodeGenerate, last(in.Pos), "leave encoding out", "%s is text, and is not stored as bytes", in.Name)
		}
	}
	for _, f := range derive.Flaws(*in.Generate) {
		c.ds.Errorf(plan.CodeGenerate, c.at(in, role{field: f.Field}), f.Hint, "%s %s", in.Name, f.What)
	}
	child := in.Generate.Child
	if (child.Issuer.Certificate == "") != (child.Issuer.Key == "") {
		return // CUE has complained of it
	}
	if child.Chain && child.Issuer.Certificate == "" {
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "chain"), "name an issuer, or remove chain", "%s has no issuer to follow it in a chain", in.Name)
	}
}

// role is what a parent is for.
type role struct {
	name  string
	field []string // of generate, that names it
	// unfit says what the role needs, if what parent generates can't serve.
	unfit func(parent plan.Input) string
}

// roles are the parents of in, each as often as it is named.
func roles(in plan.Input) []role {
	child := in.Generate.Child
	var all []role
	add := func(name string, unfit func(plan.Input) string, field ...string) {
		if name != "" { // or CUE has complained of it
			all = append(all, role{name, field, unfit})
		}
	}
	switch in.Generate.Kind {
	case plan.PKCS12:
		add(child.Of, text(0, 0, ""), "password")
	case plan.JKS:
		add(child.Of, text(derive.MinJKSPassword, 0, "for keytool"), "password")
	case plan.JWT:
		if least, ok := macs[child.Algorithm]; ok {
			add(child.Of, text(least, 0, "for "+child.Algorithm), "of")
		} else {
			add(child.Of, signer(child.Algorithm), "of")
		}
	case plan.PublicKey:
		add(child.Of, func(parent plan.Input) string {
			if in.Generate.Encoding == "raw" && parent.Generate.Kind == plan.RSA {
				return "an ECDSA or Ed25519 key, for the encoding raw"
			}
			return key(parent)
		}, "of")
	case plan.X509:
		add(child.Of, key, "of")
		add(child.Issuer.Certificate, func(parent plan.Input) string {
			if parent.Generate.Kind == plan.X509 && !parent.Generate.Child.CA {
				return "a certificate with ca: true"
			}
			return certificate(parent)
		}, "issuer", "certificate")
		add(child.Issuer.Key, key, "issuer", "key")
	case plan.Time:
		add(child.Of, nil, "of")
	default:
		longest := 0
		if in.Generate.Kind == plan.Bcrypt || in.Generate.Kind == plan.Htpasswd && child.Algorithm != "sha1" {
			longest = derive.MaxBcrypt
		}
		add(child.Of, text(0, longest, "for bcrypt"), "of")
	}
	for i, e := range child.Entries {
		add(e.Key, key, "entries", strconv.Itoa(i), "key")
		add(e.Certificate, certificate, "entries", strconv.Itoa(i), "certificate")
	}
	return all
}

// at is where a contract names the parent.
func (c *compilation) at(in plan.Input, r role) []plan.Pos {
	return last(c.ix.set(append([]string{"inputs", in.Name, "generate"}, r.field...)...))
}

// checkParent checks one parent of in.
func (c *compilation) checkParent(in plan.Input, r role) {
	name, at := r.name, c.at(in, r)
	parent, ok := c.inputs[name]
	both := append(slices.Clone(at), last(parent.Pos)...)
	switch {
	case !c.knows(name):
		c.ds.Errorf(plan.CodeUnknownInput, at, plan.DidYouMean(name, c.names, "declare it under inputs"),
			"%s is made from unknown input %q", in.Name, name)
	case !ok || parent.Class == "":
	case name == in.Name: // see checkCycles
	case name == plan.LockKey:
		c.ds.Errorf(plan.CodeGenerate, at, "make it from an input of your own", "%s is made from %s, which is only for the lock", in.Name, name)
	case parent.Class == plan.Setting || parent.MayBeAbsent():
		c.ds.Errorf(plan.CodeGenerate, both, "make it required or generated",
			"%s is made from %s, which is %s: what is made from others needs a secret that is always there", in.Name, name, article(parent.Class))
	case parent.Generate != nil && parent.Generate.InCluster:
		c.ds.Errorf(plan.CodeGenerate, both, "remove inCluster there",
			"%s is made from %s, which only the operator in the cluster knows", in.Name, name)
	case in.Generate.Kind == plan.Time: // of a password, a time would tell a little
		is := "is provided"
		if parent.Generate != nil {
			is = "generates " + article2(parent.Generate.Kind)
		}
		if parent.Generate == nil || parent.Generate.Child == nil {
			c.ds.Errorf(plan.CodeGenerate, both, "name an input of that kind",
				"%s is made from %s, which %s: it needs a value that is made from others, as the hash of a password is", in.Name, name, is)
		}
	case parent.Generate == nil: // of one that someone provides, nothing is known before its value is
	default:
		if want := r.unfit(parent); want != "" {
			c.ds.Errorf(plan.CodeGenerate, both, "name an input of that kind, or change what it generates",
				"%s is made from %s, which generates %s: it needs %s", in.Name, name, article2(parent.Generate.Kind), want)
		}
	}
}

// checkPairs checks that certificates stand next to their own keys, and that the
// authority that signs one is there for as long as it.
func (c *compilation) checkPairs(in plan.Input) {
	child := in.Generate.Child
	pair := func(certificate, name string, field ...string) {
		made, ok := c.inputs[certificate]
		own := c.inputs[name].Generate
		if !ok || own != nil && key(c.inputs[name]) != "" || name == "" || made.Generate == nil || made.Generate.Kind != plan.X509 || made.Generate.Child.Of == name {
			return
		}
		at := c.at(in, role{field: field})
		c.ds.Errorf(plan.CodeGenerate, append(at, last(made.Pos)...), "name "+made.Generate.Child.Of+", or another certificate",
			"%s is made from %s and %s, which is not its key: it is made from %s", in.Name, certificate, name, made.Generate.Child.Of)
	}
	pair(child.Issuer.Certificate, child.Issuer.Key, "issuer", "key")
	for i, e := range child.Entries {
		pair(e.Certificate, e.Key, "entries", strconv.Itoa(i), "key")
	}
	issuer, ok := c.inputs[child.Issuer.Certificate]
	if !ok || issuer.Generate == nil || issuer.Generate.Kind != plan.X509 || !issuer.Generate.Child.CA {
		return
	}
	lasts, at := issuer.Generate.Child, append(c.generatePos(in, "lifetime"), last(issuer.Pos)...)
	switch {
	case lasts.Lifetime == 0 || child.Lifetime == 0: // that is told
	case child.Lifetime > lasts.Lifetime:
		c.ds.Errorf(plan.CodeGenerate, at, "let the authority last longer",
			"%s lasts %s, which is longer than %s, the authority that signs it: %s", in.Name, plan.Age(child.Lifetime), issuer.Name, plan.Age(lasts.Lifetime))
	case child.Lifetime > lasts.RenewBefore:
		c.ds.Warnf(plan.CodeGenerate, at, fmt.Sprintf("write renewBefore: %q there", strconv.Itoa(int(math.Ceil(child.Lifetime.Hours())))+"h"),
			"%s lasts %s, and %s, the authority that signs it, is renewed only %s before its end: in between, it can't be made",
			in.Name, plan.Age(child.Lifetime), issuer.Name, plan.Age(lasts.RenewBefore))
	}
}

func article(class plan.Class) string {
	if class == plan.Optional {
		return "an optional input"
	}
	return "a setting"
}

// article2 names a kind of generated value for people.
func article2(kind string) string {
	names := map[string]string{
		plan.Password: "a password", plan.Bytes: "bytes", plan.UUID: "a UUID", plan.RSA: "an RSA key", plan.ECDSA: "an ECDSA key", plan.Ed25519: "an Ed25519 key",
		plan.X509: "a certificate", plan.PublicKey: "a public key", plan.JWT: "a token", plan.PKCS12: "a keystore", plan.JKS: "a keystore",
		plan.Time: "a time",
	}
	return cmp.Or(names[kind], "a hash")
}

// The kinds of parent.
var (
	keyKinds  = []string{plan.RSA, plan.ECDSA, plan.Ed25519}
	textKinds = []string{plan.Password, plan.Bytes, plan.UUID}
)

// macs are the bytes that the key of an HMAC has at least
// (https://www.rfc-editor.org/rfc/rfc7518#section-3.2).
var macs = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// signers are the keys that sign with the algorithms that are not of HMAC
// (https://www.rfc-editor.org/rfc/rfc7518#section-3.1, https://www.rfc-editor.org/rfc/rfc8037).
var signers = map[string]struct{ kind, curve, name string }{
	"RS256": {plan.RSA, "", "an RSA key"}, "RS384": {plan.RSA, "", "an RSA key"}, "RS512": {plan.RSA, "", "an RSA key"},
	"ES256": {plan.ECDSA, "P-256", "an ECDSA key on P-256"}, "ES384": {plan.ECDSA, "P-384", "an ECDSA key on P-384"},
	"ES512": {plan.ECDSA, "P-521", "an ECDSA key on P-521"}, "EdDSA": {plan.Ed25519, "", "an Ed25519 key"},
}

func signer(algorithm string) func(plan.Input) string {
	return func(parent plan.Input) string {
		want := signers[algorithm]
		if parent.Generate.Kind != want.kind || want.curve != "" && parent.Generate.Curve != want.curve {
			return want.name + ", for " + algorithm
		}
		return ""
	}
}

func key(parent plan.Input) string {
	if slices.Contains(keyKinds, parent.Generate.Kind) {
		return ""
	}
	return "a private key: rsa, ecdsa or ed25519"
}

func certificate(parent plan.Input) string {
	if parent.Generate.Kind == plan.X509 {
		return ""
	}
	return "a certificate"
}

// text is a text of so many bytes; 0 is any number.
func text(least, most int, why string) func(plan.Input) string {
	return func(parent plan.Input) string {
		if !slices.Contains(textKinds, parent.Generate.Kind) {
			return "a password, bytes or a UUID"
		}
		switch low, high := sizes(parent); {
		case low < least:
			return fmt.Sprintf("%d bytes or more, %s, and this has %d", least, why, low)
		case most > 0 && high > most:
			return fmt.Sprintf("%d bytes at most, %s, and this has %d", most, why, high)
		}
		return ""
	}
}

// sizes returns how many bytes a text that is generated has, at least and at most.
func sizes(in plan.Input) (low, high int) {
	g := *in.Generate
	if g.Kind == plan.Password {
		low, high = utf8.UTFMax, 0
		if g.Alphabet == "" || g.Length == 0 {
			return math.MaxInt, 0 // that is told
		}
		for _, r := range g.Alphabet {
			low, high = min(low, utf8.RuneLen(r)), max(high, utf8.RuneLen(r))
		}
		return low * g.Length, high * g.Length
	}
	v, err := value.Generate(g, rand.NewChaCha8([32]byte{}))
	if err != nil {
		return math.MaxInt, 0 // that is told
	}
	n := value.Decode(in, v).Len()
	return n, n
}

// checkCycles reports inputs that are made from each other.
func (c *compilation) checkCycles(p *plan.Plan) {
	const (
		open = iota + 1
		done
	)
	state := map[string]int{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		switch state[name] {
		case done:
			return
		case open:
			cycle := path[slices.Index(path, name):]
			in, _ := p.Input(cycle[0])
			next := append(slices.Clone(cycle), name)[1]
			i := slices.IndexFunc(roles(in), func(r role) bool { return r.name == next })
			c.ds.Errorf(plan.CodeGenerate, c.at(in, roles(in)[i]), "let one of them be made from something else",
				"%s is made from itself: %s", cycle[0], strings.Join(append(slices.Clone(cycle), name), " is made from "))
			return
		}
		state[name] = open
		path = append(path, name)
		if in, ok := p.Input(name); ok {
			for _, parent := range in.Parents() {
				visit(parent)
			}
		}
		path = path[:len(path)-1]
		state[name] = done
	}
	for _, in := range p.Inputs {
		visit(in.Name)
	}
}
