// Package trust judges what a contract may do with the rights of anyone who runs
// victorgen. Anyone may propose a contract; so of all that it names, a
// credential goes only to an address that the process environment itself names
// or that is allowed by name, and only files of the repository are read and
// written.
//
// A plan, the process environment and what is allowed come in, diagnostics go
// out. No one is asked and no value is read: of files, it looks at names and
// links, and at what an encrypted file says of its keys.
package trust

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source/sops"
)

// Grant is what someone who answers for an environment allows its contract, by
// name.
type Grant struct {
	Addresses    []string // URLs, to which credentials may go
	Files        []string // absolute, which may be read and written wherever they are
	Certificates []string // the SHA-256 of those that may be sealed for, or vouch for a server
	Commands     []string // that sources of kind exec may run; see [Commanded]
}

// Join returns what either of g and other allows.
func (g Grant) Join(other Grant) Grant {
	return Grant{
		Addresses:    slices.Concat(g.Addresses, other.Addresses),
		Files:        slices.Concat(g.Files, other.Files),
		Certificates: slices.Concat(g.Certificates, other.Certificates),
		Commands:     slices.Concat(g.Commands, other.Commands),
	}
}

// allows reports whether g has an address.
func (g Grant) allows(address string) bool {
	return slices.ContainsFunc(g.Addresses, func(a string) bool { return same(a, address) })
}

// Addresses reports, as VG1408, authorities that no one but the contract says
// vouch for such an address; and the addresses to which a credential of the process
// environment, which lookup knows, would go though no one but the contract, or a
// file that it names, says so: those of the sources that inputs live at. They are
// errors if sources are to be asked, else warnings. Plain http is an error in any
// case, for anyone who is on the way reads along.
func Addresses(p *plan.Plan, g Grant, lookup func(string) (string, bool), asks bool) plan.Diagnostics {
	c := &check{grant: g, lookup: lookup, asks: asks}
	for _, s := range used(p) {
		switch s.Kind {
		case plan.Vault:
			if s.Address != "" {
				c.address(s, "", vaultService, s.Address)
			}
			c.authorities(s)
		case plan.AzureKeyVault:
			if strings.Contains(s.Vault, "/") {
				c.address(s, "", azureService, s.Vault)
			}
		case plan.SOPS:
			c.sops(s)
		case plan.Exec:
			c.command(s)
		default:
			if kind, _ := plan.KindOf(s.Kind); kind.NoAddress {
				continue
			}
			report := c.ds.Errorf
			if !asks {
				report = c.ds.Warnf
			}
			report(plan.CodeAddress, s.Pos, "use a kind of source that this victorgen knows",
				"where a source of kind %s sends credentials is not known", s.Kind)
		}
	}
	c.ds.Sort()
	return c.ds
}

// used returns the sources that an input lives at.
func used(p *plan.Plan) (sources []plan.Source) {
	for _, s := range p.Sources {
		if slices.ContainsFunc(p.Inputs, func(in plan.Input) bool { return in.Source == s.Name && in.Default == nil }) {
			sources = append(sources, s)
		}
	}
	return sources
}

// service is a kind of server that is sent a credential.
type service struct {
	credential string
	variables  []string // of the process environment, that name its address
	own        []string // of hosts that are the service's in any case, where all that is sent is the service's already
}

var (
	vaultService = service{credential: "the token of Vault (VAULT_TOKEN, or what `vault login` has kept)", variables: []string{"VAULT_ADDR", "VAULT_AGENT_ADDR"}}
	// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
	azureService = service{
		credential: "a token of Azure", variables: []string{"AZURE_KEY_VAULT"},
		own: []string{".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net", ".managedhsm.azure.net", ".managedhsm.azure.cn", ".managedhsm.usgovcloudapi.net"},
	}
)

// check is the state of one call of Addresses.
type check struct {
	grant  Grant
	lookup func(string) (string, bool)
	asks   bool
	ds     plan.Diagnostics
}

// address judges an address that source s gives, or the file of s.
func (c *check) address(s plan.Source, file string, to service, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		if file != "" { // of a contract, the compiler has said so
			c.report(s, "correct it with sops rotate", "%s, the file of source %s, names an address that is not a URL", file, s.Name)
		}
		return
	}
	if c.grant.allows(address) {
		return
	}
	where := "the contract"
	if file != "" {
		where = file
	}
	if u.Scheme != "https" && !loopback(u.Hostname()) {
		c.ds.Errorf(plan.CodePlainHTTP, s.Pos, "use https; or, on a private network: --allow "+address,
			"source %s: %s gives the address %s, and over plain http anyone on the network path can read %s and all values", s.Name, where, address, to.credential)
		return
	}
	for _, suffix := range to.own {
		if strings.HasSuffix(strings.ToLower(u.Hostname()), suffix) && u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") {
			return
		}
	}
	var named []string
	for _, v := range to.variables {
		value, _ := c.lookup(v)
		if same(value, address) {
			return
		}
		if value != "" {
			named = append(named, v+" names another")
		}
	}
	what := cmp.Or(strings.Join(named, ", "), to.variables[0]+" is not set")
	c.report(s, "if it is yours: set "+to.variables[0]+" to it, or --allow "+address+", or let a policy allow it",
		"source %s: %s says to send %s to %s; %s, and nothing else allows it", s.Name, where, to.credential, address, what)
}

// sops judges where sops would go for the keys of a file.
func (c *check) sops(s plan.Source) {
	endpoints, err := sops.Endpoints(s)
	if err != nil {
		c.report(s, "encrypt it again, for keys of age, PGP, AWS KMS, GCP KMS, Azure Key Vault or Vault", "source %s: %v", s.Name, err)
		return
	}
	for _, e := range endpoints {
		switch e.Service {
		case sops.Vault:
			c.address(s, s.File, vaultService, e.Address)
		case sops.Azure:
			c.address(s, s.File, azureService, e.Address)
		}
	}
}

// Commanded writes a command as it is allowed: its words with blanks between, and in
// quotes where a word has some itself, or something else that could be taken for another.
func Commanded(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		if words[i] = w; w == "" || w == anyArguments || strconv.Quote(w) != `"`+w+`"` || strings.ContainsFunc(w, unicode.IsSpace) {
			words[i] = strconv.Quote(w)
		}
	}
	return strings.Join(words, " ")
}

// anyArguments at the end of what is allowed stands for any further arguments.
const anyArguments = "..."

// runs reports whether g allows a command.
func (g Grant) runs(command string) bool {
	return slices.ContainsFunc(g.Commands, func(allowed string) bool {
		if begins, ok := strings.CutSuffix(allowed, " "+anyArguments); ok {
			return command == begins || strings.HasPrefix(command, begins+" ")
		}
		return command == allowed
	})
}

// command judges the program that a source of kind exec runs, with the rights of who
// runs this one.
func (c *check) command(s plan.Source) {
	command := Commanded(s.Command)
	if len(s.Command) == 0 || c.grant.runs(command) {
		return
	}
	report := c.ds.Errorf
	if !c.asks {
		report = c.ds.Warnf
	}
	report(plan.CodeCommand, s.Pos, fmt.Sprintf("if it is yours: --allow 'exec:%s', or let a policy allow it: allow: commands: [%q]", command, command),
		"source %s says to run `%s`, and only the contract allows it", s.Name, command)
}

// report adds an error, or a warning if no one is asked.
func (c *check) report(s plan.Source, hint, format string, args ...any) {
	if c.asks {
		c.ds.Errorf(plan.CodeAddress, s.Pos, hint, format, args...)
	} else {
		c.ds.Warnf(plan.CodeAddress, s.Pos, hint, format, args...)
	}
}

// same reports whether two URLs are one address.
func same(a, b string) bool {
	x, errX := url.Parse(strings.TrimSpace(a))
	y, errY := url.Parse(strings.TrimSpace(b))
	return errX == nil && errY == nil && x.Host != "" && normal(x) == normal(y)
}

// normal writes a URL in one way.
func normal(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[strings.ToLower(u.Scheme)]
	}
	n := url.URL{Scheme: strings.ToLower(u.Scheme), Host: net.JoinHostPort(strings.ToLower(u.Hostname()), port), Path: strings.TrimRight(u.Path, "/"), RawQuery: u.RawQuery}
	return n.String()
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
