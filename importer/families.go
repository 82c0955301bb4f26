package importer

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
)

// families finds the values that are made from several others: certificates, and the
// keystores that hold them. Each is looked at as a build would, and is what it is only
// if that says so. It reports whether there are any.
func (d *Draft) families() (found bool) {
	for _, in := range d.Inputs {
		if in.base == nil && in.Known && in.child == nil && bytes.HasPrefix(in.Value.Reveal(), []byte("-----BEGIN CERTIFICATE")) {
			found = d.certificate(in) || found
		}
	}
	for _, in := range d.Inputs {
		if in.base == nil && in.Known && in.child == nil {
			found = d.keystore(in) || found
		}
	}
	return found
}

// parent are the inputs that others can be made from.
func (d *Draft) parent(form string) (all []*Input) {
	for _, in := range d.Inputs {
		if in.secret && in.Known && (in.Class == plan.Required || in.Class == plan.Generated) && strings.Contains(string(in.Value.Reveal()), form) {
			all = append(all, in)
		}
	}
	return all
}

const (
	isKey         = "PRIVATE KEY-----"
	isCertificate = "-----BEGIN CERTIFICATE"
)

// certificate makes in one of its key, if that and its issuer are there.
func (d *Draft) certificate(in *Input) bool {
	c, self, ok := derive.Described(in.Value)
	if !ok {
		return false
	}
	usual := 720 * time.Hour // as the schema has it
	if c.CA {
		usual = 8760 * time.Hour
	}
	c.RenewBefore = usual
	if c.Lifetime <= usual {
		c.RenewBefore = (c.Lifetime / 3).Truncate(time.Hour)
	}
	if c.RenewBefore == 0 {
		return false
	}
	issuers := []plan.Issuer{{}}
	values := map[string]value.Value{}
	if !self {
		issuers = nil
		for _, cert := range d.parent(isCertificate) {
			for _, key := range d.parent(isKey) {
				if cert != in {
					issuers = append(issuers, plan.Issuer{Certificate: cert.Name, Key: key.Name})
					values[cert.Name], values[key.Name] = cert.Value, key.Value
				}
			}
		}
	}
	for _, key := range d.parent(isKey) {
		for _, issuer := range issuers {
			for _, chain := range []bool{false, true} {
				child := c
				child.Of, child.Issuer, child.Chain = key.Name, issuer, chain
				f := derive.Family{Generate: plan.Generate{Kind: plan.X509, Child: &child}, Parents: map[string]value.Value{key.Name: key.Value}, Now: time.Now()}
				for _, name := range []string{issuer.Certificate, issuer.Key} {
					if name != "" {
						f.Parents[name] = values[name]
					}
				}
				if chain && self || len(derive.Flaws(f.Generate)) > 0 || derive.Check(f, in.Value) != nil || issuer.Key != "" && !derive.Pair(values[issuer.Key], values[issuer.Certificate]) {
					continue
				}
				in.becomes(f.Generate, certificateText(child, usual))
				return true
			}
		}
	}
	return false
}

func certificateText(c plan.Child, usual time.Duration) string {
	fields := []string{"of: " + compiler.Quote(c.Of, 0), "subject: " + compiler.Quote(c.Subject, 0)}
	list := func(name string, items []string) {
		var quoted []string
		for _, item := range items {
			quoted = append(quoted, compiler.Quote(item, 0))
		}
		fields = append(fields, name+": ["+strings.Join(quoted, ", ")+"]")
	}
	if len(c.Names) > 0 {
		list("sans", c.Names)
	}
	if c.CA {
		fields = append(fields, "ca: true")
	}
	if !c.CA && strings.Join(c.Usages, " ") != "server" || c.CA && len(c.Usages) > 0 {
		list("usages", c.Usages)
	}
	fields = append(fields, "lifetime: "+compiler.Quote(plan.Period(c.Lifetime), 0))
	if c.RenewBefore != usual {
		fields = append(fields, "renewBefore: "+compiler.Quote(plan.Period(c.RenewBefore), 0))
	}
	if c.Chain {
		fields = append(fields, "chain: true")
	}
	if c.Issuer.Certificate != "" {
		fields = append(fields, fmt.Sprintf("issuer: {certificate: %q, key: %q}", c.Issuer.Certificate, c.Issuer.Key))
	}
	return "{\nkind: \"certificate\"\n" + strings.Join(fields, "\n") + "\n}"
}

// keystore makes in one of what is in it, if its password and all of that are there.
func (d *Draft) keystore(in *Input) bool {
	store, text := in.Value, false
	if b, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSpace(store.Reveal()))); err == nil && len(b) > 0 {
		store, text = value.New(b), true
	}
	kind := ""
	switch b := store.Reveal(); {
	case bytes.HasPrefix(b, []byte{0xfe, 0xed, 0xfe, 0xed}):
		kind = plan.JKS
	case bytes.HasPrefix(b, []byte{0x30, 0x82}): // a long sequence of ASN.1
		kind = plan.PKCS12
	default:
		return false
	}
	encoded := base64.StdEncoding.EncodeToString(store.Reveal())
	if text && encoded != string(in.Value.Reveal()) {
		return false // no template writes it so
	}
	tries := 0
	for _, password := range d.parents(in) {
		if tries++; tries > maxTries {
			return false
		}
		contents, ok := derive.Open(kind, store, password.Value)
		if !ok {
			continue
		}
		child := plan.Child{Of: password.Name}
		f := derive.Family{Parents: map[string]value.Value{password.Name: password.Value}, Now: time.Now()}
		var entries []string
		for _, c := range contents {
			e := plan.KeystoreEntry{Alias: c.Alias}
			if kind == plan.PKCS12 && !c.HasKey() {
				e.Alias = strings.ToLower(c.Name())
			}
			for _, key := range d.parent(isKey) {
				if c.IsKey(key.Value) {
					e.Key, f.Parents[key.Name] = key.Name, key.Value
				}
			}
			for _, cert := range d.parent(isCertificate) {
				if c.IsCertificate(cert.Value) {
					e.Certificate, f.Parents[cert.Name] = cert.Name, cert.Value
				}
			}
			if e.Certificate == "" || c.HasKey() != (e.Key != "") {
				return false // what is in it is nowhere else
			}
			child.Entries = append(child.Entries, e)
			var fields []string
			for _, field := range [][2]string{{"alias", e.Alias}, {"key", e.Key}, {"certificate", e.Certificate}} {
				if field[1] != "" {
					fields = append(fields, field[0]+": "+compiler.Quote(field[1], 0))
				}
			}
			entries = append(entries, "{"+strings.Join(fields, ", ")+"}")
		}
		f.Generate = plan.Generate{Kind: kind, Child: &child}
		if derive.Check(f, store) != nil {
			return false
		}
		in.becomes(f.Generate, fmt.Sprintf("{\nkind: %q\npassword: %q\nentries: [%s]\n}", kind, password.Name, strings.Join(entries, ", ")))
		in.Value, in.Encoding = store, plan.Base64
		if text { // anyone who uses it decodes it once more
			d.printed(in, " | b64enc", "")
		}
		return true
	}
	return false
}

// becomes makes in a child of others.
func (in *Input) becomes(g plan.Generate, text string) {
	in.child, in.secret, in.Generate = &g, true, text
	in.Class, in.Default, in.Why, in.Format, in.Pattern, in.Never, in.OneOf, in.Weak = plan.Generated, nil, "", "", "", false, nil, false
}
