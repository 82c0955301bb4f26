package importer

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// maxTries is how many values a hash is compared with, each of which takes what a
// login takes; maxCost is the cost of bcrypt up to which one does.
const (
	maxTries = 16
	maxCost  = 13
)

var (
	bcryptHash = lazy.MustCompile(`^\$2[aby]\$(\d\d)\$.{53}$`)
	argonHash  = lazy.MustCompile(`^\$argon2id\$v=19\$m=\d+,t=(\d+),p=\d+\$`)
	cryptHash  = lazy.MustCompile(`^\$6\$(?:rounds=(\d+)\$)?[^$]{1,16}\$[./A-Za-z0-9]{86}$`)
	scram      = lazy.MustCompile(`^SCRAM-SHA-256\$(\d+):`)
	htpasswd   = lazy.MustCompile(`^([^:\s]+):(?:\$2[aby]\$(\d\d)\$|(\{SHA\}))`)
	sshKey     = lazy.MustCompile(`^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp\d+)$`)
	token      = lazy.MustCompile(`^(eyJ[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$`)
)

// children finds the values that are made from others: hashes of passwords, tokens,
// public keys.
func (d *Draft) children() {
	for _, in := range d.Inputs {
		if in.base != nil {
			continue
		}
		if !in.Known {
			d.publicHalf(in)
			continue
		}
		core, after := body(in.Value)
		kinds := d.candidates(core)
		if len(kinds) == 0 {
			continue
		}
		tries := 0
	parents:
		for _, p := range d.parents(in) {
			for _, g := range kinds {
				if _, slow := derive.Kinds(g.spec.Kind); slow {
					if tries++; tries > maxTries {
						break parents
					}
				}
				child := *g.spec.Child
				child.Of = p.Name
				g.spec.Child = &child
				f := derive.Family{Generate: g.spec, Parents: map[string]value.Value{p.Name: p.Value}, Now: time.Now()}
				if derive.Check(f, core) != nil {
					continue
				}
				if after != "" {
					in.Value = core
					d.printed(in, "", after)
				}
				in.becomes(g.spec, fmt.Sprintf("{kind: %q, of: %q%s}", g.spec.Kind, p.Name, g.fields))
				break parents
			}
		}
	}
	d.tied()
}

// tied finds the values that belong to another one in a way that no contract says: its
// digest, or the half of a key of WireGuard. Neither is generated: a new one would not
// fit what stays.
func (d *Draft) tied() {
	made := map[string][]tie{}
	for _, in := range d.Inputs {
		if in.Known && in.child == nil && in.Value.Len() >= 8 {
			for what, text := range others(in.Value) {
				made[text] = append(made[text], tie{in, what})
			}
		}
	}
	for _, in := range d.Inputs {
		if !in.Known || in.child != nil {
			continue
		}
		s := strings.TrimSpace(string(in.Value.Reveal()))
		if hexText.MatchString(s) {
			s = strings.ToLower(s)
		}
		for _, t := range made[s] {
			if t.of != in && t.of.secret {
				in.isTied(fmt.Sprintf("The %s of %s: replace them together.", t.what, t.of.Name))
				t.of.isTied(fmt.Sprintf("%s is its %s: replace them together.", in.Name, t.what))
			}
		}
	}
}

// tie is what a value is to another one.
type tie struct {
	of   *Input
	what string
}

// others are the values that are made from v without a secret of their own.
func others(v value.Value) map[string]string {
	all := map[string]string{}
	for name, sum := range map[string][]byte{"MD5": sum(md5.New(), v), "SHA-1": sum(sha1.New(), v), "SHA-256": sum(sha256.New(), v), "SHA-512": sum(sha512.New(), v)} {
		all[name+" in hex"] = hex.EncodeToString(sum)
		all[name+" in base64"] = base64.StdEncoding.EncodeToString(sum)
	}
	if b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(string(v.Reveal()))); err == nil && len(b) == 32 {
		if key, err := ecdh.X25519().NewPrivateKey(b); err == nil {
			all["public key (X25519)"] = base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())
		}
	}
	return all
}

func sum(h hash.Hash, v value.Value) []byte {
	h.Write(v.Reveal())
	return h.Sum(nil)
}

// isTied makes an input required if it was to be generated.
func (in *Input) isTied(why string) {
	if in.Generate != "" && in.base == nil {
		in.Generate, in.Class, in.Why, in.Never = "", plan.Required, why, false
	}
}

// body is a value without what programs write behind one that is made from another: a
// line break, and the comment of a public key.
func body(v value.Value) (core value.Value, after string) {
	s := string(v.Reveal())
	end := len(strings.TrimRight(s, "\n"))
	if strings.HasPrefix(s, "-----BEGIN ") {
		return v, ""
	}
	if fields := strings.SplitN(s[:end], " ", 3); len(fields) == 3 && sshKey.MatchString(fields[0]) {
		end = len(fields[0]) + 1 + len(fields[1])
	}
	if after = s[end:]; observe.Leaks(after) {
		return v, ""
	}
	return value.New([]byte(s[:end])), after
}

// printed has the keys that are an input print it with text around it.
func (d *Draft) printed(in *Input, pipe, after string) {
	for _, s := range d.Secrets {
		for _, k := range s.Keys {
			if k.in == in {
				k.in, k.Template = nil, "{{."+in.Name+pipe+"}}"+verbatim(after)
			}
		}
	}
}

// publicHalf makes a public key without a value, as an example has it, of the
// private one next to it.
func (d *Draft) publicHalf(in *Input) {
	private := strings.Replace(in.Name, "PUBLIC", "PRIVATE", 1)
	for _, p := range d.Inputs {
		if p.Name == private && private != in.Name && strings.Contains(p.Generate, `kind: "ecdsa"`) {
			in.secret, in.Class, in.Default, in.Why = true, plan.Generated, nil, ""
			in.Generate = fmt.Sprintf(`{kind: "publicKey", of: %q, encoding: "raw"}`, private)
			in.child = &plan.Generate{}
		}
	}
}

// candidate is what a value may be, but for what it is made from.
type candidate struct {
	spec   plan.Generate
	fields string // of generate in the contract, as CUE
}

func (d *Draft) candidates(v value.Value) (all []candidate) {
	s := string(v.Reveal())
	add := func(kind string, c plan.Child, encoding, format string, args ...any) {
		all = append(all, candidate{plan.Generate{Kind: kind, Encoding: encoding, Child: &c}, fmt.Sprintf(format, args...)})
	}
	cost := func(text string) int { n, _ := strconv.Atoi(text); return n }
	if m := bcryptHash.FindStringSubmatch(s); m != nil && cost(m[1]) <= maxCost {
		add(plan.Bcrypt, plan.Child{Cost: cost(m[1])}, "", ", cost: %d", cost(m[1]))
	}
	if m := argonHash.FindStringSubmatch(s); m != nil {
		add(plan.Argon2id, plan.Child{Cost: cost(m[1])}, "", ", cost: %d", cost(m[1]))
	}
	if m := cryptHash.FindStringSubmatch(s); m != nil && cost(m[1]) <= 1e6 {
		rounds := cmp.Or(cost(m[1]), derive.CryptRounds)
		add(plan.SHA512Crypt, plan.Child{Cost: rounds}, "", ", cost: %d", rounds)
	}
	if m := scram.FindStringSubmatch(s); m != nil && cost(m[1]) <= 1e6 {
		add(plan.SCRAM, plan.Child{Cost: cost(m[1])}, "", ", cost: %d", cost(m[1]))
	}
	if m := htpasswd.FindStringSubmatch(s); m != nil && cost(m[2]) <= maxCost {
		if m[3] != "" {
			add(plan.Htpasswd, plan.Child{User: m[1], Algorithm: "sha1"}, "", ", user: %s, algorithm: \"sha1\"", compiler.Quote(m[1], 0))
		} else {
			add(plan.Htpasswd, plan.Child{User: m[1], Algorithm: "bcrypt", Cost: cost(m[2])}, "", ", user: %s, cost: %d", compiler.Quote(m[1], 0), cost(m[2]))
		}
	}
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) == 36 {
		add(plan.RabbitMQ, plan.Child{}, "", "")
	}
	if m := token.FindStringSubmatch(s); m != nil {
		if c, fields, ok := claimsOf(m[1], m[2]); ok {
			add(plan.JWT, c, "", "%s", fields)
		}
	}
	switch {
	case strings.HasPrefix(s, "-----BEGIN PUBLIC KEY"):
		add(plan.PublicKey, plan.Child{}, "pem", "")
	case strings.HasPrefix(s, "ssh-"), strings.HasPrefix(s, "ecdsa-"):
		add(plan.PublicKey, plan.Child{}, "openssh", `, encoding: "openssh"`)
	case strings.HasPrefix(s, `{"`) && strings.Contains(s, `"kty"`):
		add(plan.PublicKey, plan.Child{}, "jwk", `, encoding: "jwk"`)
	case len(s) == 43 || len(s) == 87:
		if _, err := base64.RawURLEncoding.DecodeString(s); err == nil {
			add(plan.PublicKey, plan.Child{}, "raw", `, encoding: "raw"`)
		}
	}
	return all
}

// claimsOf reads a token, so far as a contract may have what it says.
func claimsOf(header, payload string) (c plan.Child, fields string, ok bool) {
	var h struct {
		Alg string `json:"alg"`
	}
	head, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil || json.Unmarshal(head, &h) != nil || !slices.Contains([]string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}, h.Alg) {
		return c, "", false
	}
	body, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return c, "", false
	}
	claims := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&claims) != nil {
		return c, "", false
	}
	at := func(name string) int64 {
		n, _ := claims[name].(json.Number)
		i, _ := n.Int64()
		return i
	}
	c.Algorithm = h.Alg
	if h.Alg != "HS256" {
		fields += fmt.Sprintf(", algorithm: %q", h.Alg)
	}
	if _, ends := claims["exp"]; ends {
		if at("iat") == 0 || at("exp") <= at("iat") {
			return c, "", false
		}
		c.Lifetime = time.Duration(at("exp")-at("iat")) * time.Second
	}
	delete(claims, "iat")
	delete(claims, "exp")
	var list []string
	for _, name := range sorted(claims) {
		text := ""
		switch v := claims[name].(type) {
		case string:
			text = compiler.Quote(v, 0)
			if observe.Secretive(v) || len(v) > 100 {
				return c, "", false
			}
		case json.Number:
			text = v.String()
		case bool:
			text = strconv.FormatBool(v)
		default:
			return c, "", false
		}
		list = append(list, compiler.Label(name)+": "+text)
	}
	canonical, err := json.Marshal(claims)
	if err != nil {
		return c, "", false
	}
	c.Claims = string(canonical)
	fields += ", claims: {" + strings.Join(list, ", ") + "}"
	if c.Lifetime > 0 {
		fields += fmt.Sprintf(", lifetime: %q", plan.Period(c.Lifetime))
	}
	return c, fields, true
}

// parents are what in may be made from, those first that have most of its name.
func (d *Draft) parents(in *Input) (all []*Input) {
	for _, p := range d.Inputs {
		if p != in && p.secret && p.Known && p.child == nil && (p.Class == plan.Required || p.Class == plan.Generated) && !p.Value.Equal(in.Value) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *Input) int { return kinship(b.Name, in.Name) - kinship(a.Name, in.Name) })
	return all
}

// kinship is how many words two names have in common.
func kinship(a, b string) (n int) {
	words := strings.Split(b, "_")
	for _, w := range strings.Split(a, "_") {
		if slices.Contains(words, w) {
			n++
		}
	}
	return n
}
