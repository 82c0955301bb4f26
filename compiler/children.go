package compiler

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
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
	if child.RenewBefore >= child.Lifetime && child.RenewBefore > 0 {
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "renewBefore", "lifetime"), "renew it later, or let it last longer",
			"%s would be made anew in each build: it lasts %s, and is renewed %s before its end", in.Name, plan.Age(child.Lifetime), plan.Age(child.RenewBefore))
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
	}
	return d
}

// generatePos is where a contract says one of the fields of generate, or else
// generate itself.
func (c *compilation) generatePos(in plan.Input, fields ...string) []plan.Pos {
	for _, f := range fields {
		if at := last(c.ix.set("inputs", in.Name, "generate", f)); len(at) > 0 {
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
			c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "inCluster"), "take inCluster away",
				"%s is made from other inputs, and the External Secrets Operator can't do that", in.Name)
		}
		c.checkForm(in)
		for _, name := range in.Parents() {
			c.checkParent(in, name)
		}
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
				c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "entries"), "leave alias out; or use jks, where a key has one",
					"keystore %s gives its key the alias %q, and Java would call it \"1\": what is made here of PKCS #12 has none", in.Name, e.Alias)
			case !nameless && alias == "":
				c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "entries"), `write alias: "NAME" beside the certificate`,
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
				"keystore %s has a key beside other entries: a PKCS #12 keystore has one key, or trusted certificates", in.Name)
		}
	default:
		if in.Encoding == plan.Binary {
			c.ds.Errorf(plan.CodeGenerate, last(in.Pos), "leave encoding out", "%s is text, and is not kept as bytes", in.Name)
		}
	}
	child := in.Generate.Child
	if (child.Issuer.Certificate == "") != (child.Issuer.Key == "") {
		return // CUE has complained of it
	}
	if child.Chain && child.Issuer.Certificate == "" {
		c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "chain"), "name an issuer, or take chain away", "%s has no issuer that could follow it", in.Name)
	}
}

// checkParent checks one parent of in.
func (c *compilation) checkParent(in plan.Input, name string) {
	at := c.generatePos(in, "of", "password", "issuer", "entries")
	parent, ok := c.inputs[name]
	switch {
	case !c.knows(name):
		c.ds.Errorf(plan.CodeUnknownInput, at, plan.DidYouMean(name, c.names, "declare it under inputs"),
			"%s is made from unknown input %q", in.Name, name)
	case !ok || parent.Class == "":
	case name == in.Name: // see checkCycles
	case name == plan.LockKey:
		c.ds.Errorf(plan.CodeGenerate, at, "make it from an input of your own", "%s is made from %s, which is for the lock alone", in.Name, name)
	case parent.Class == plan.Setting || parent.MayBeAbsent():
		c.ds.Errorf(plan.CodeGenerate, append(slices.Clone(at), last(parent.Pos)...), "make it required or generated",
			"%s is made from %s, which is %s: what is made from others needs a secret that is always there", in.Name, name, article(parent.Class))
	case parent.Generate != nil && parent.Generate.InCluster:
		c.ds.Errorf(plan.CodeGenerate, append(slices.Clone(at), last(parent.Pos)...), "take inCluster away there",
			"%s is made from %s, which nobody but the operator in the cluster knows", in.Name, name)
	default:
		if want := c.unfitParent(in, parent); want != "" {
			is := "somebody provides"
			if parent.Generate != nil {
				is = "generates " + article2(parent.Generate.Kind)
			}
			c.ds.Errorf(plan.CodeGenerate, append(slices.Clone(at), last(parent.Pos)...), "name an input of that kind",
				"%s is made from %s, which %s: it needs %s", in.Name, name, is, want)
		}
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

// signers are the keys that sign with the algorithms that are not of HMAC
// (https://www.rfc-editor.org/rfc/rfc7518#section-3.1, https://www.rfc-editor.org/rfc/rfc8037).
var signers = map[string]struct{ kind, curve, name string }{
	"RS256": {plan.RSA, "", "an RSA key"}, "RS384": {plan.RSA, "", "an RSA key"}, "RS512": {plan.RSA, "", "an RSA key"},
	"ES256": {plan.ECDSA, "P-256", "an ECDSA key on P-256"}, "ES384": {plan.ECDSA, "P-384", "an ECDSA key on P-384"},
	"ES512": {plan.ECDSA, "P-521", "an ECDSA key on P-521"}, "EdDSA": {plan.Ed25519, "", "an Ed25519 key"},
}

// unfitParent says what kind of input in needs in the place of parent, if that
// is generated as another kind. Of one that somebody provides, nothing is known
// before its value is.
func (c *compilation) unfitParent(in, parent plan.Input) string {
	if in.Generate.Kind == plan.Time && (parent.Generate == nil || parent.Generate.Child == nil) {
		return "a value that is made from others, as the hash of a password is" // of a password, a time would tell a little
	}
	if parent.Generate == nil || in.Generate.Kind == plan.Time {
		return ""
	}
	g, child, kind := in.Generate, in.Generate.Child, parent.Generate.Kind
	key := func() string {
		if slices.Contains(keyKinds, kind) {
			return ""
		}
		return "a private key: rsa, ecdsa or ed25519"
	}
	text := func() string {
		if slices.Contains(textKinds, kind) {
			return ""
		}
		return "a password, bytes or a UUID"
	}
	certificate := func() string {
		if kind == plan.X509 {
			return ""
		}
		return "a certificate"
	}
	switch g.Kind {
	case plan.JWT:
		if strings.HasPrefix(child.Algorithm, "HS") {
			return text()
		}
		if want := signers[child.Algorithm]; kind != want.kind || want.curve != "" && parent.Generate.Curve != want.curve {
			return want.name + ", for " + child.Algorithm
		}
		return ""
	case plan.PublicKey:
		if g.Encoding == "raw" && kind == plan.RSA {
			return "an ECDSA or Ed25519 key, for the encoding raw"
		}
		return key()
	case plan.X509:
		if parent.Name == child.Issuer.Certificate {
			if kind == plan.X509 && !parent.Generate.Child.CA {
				return "a certificate with ca: true"
			}
			return certificate()
		}
		return key()
	case plan.PKCS12, plan.JKS:
		for _, e := range child.Entries {
			if parent.Name == e.Certificate {
				return certificate()
			}
			if parent.Name == e.Key {
				return key()
			}
		}
		return text()
	}
	return text()
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
			c.ds.Errorf(plan.CodeGenerate, c.generatePos(in, "of", "password", "issuer", "entries"), "let one of them be made from something else",
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
