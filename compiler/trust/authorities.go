package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// authorities judges the certificates of s: anyone who has the key of one, and is on
// the way to the address, is sent the credential.
func (c *check) authorities(s plan.Source) {
	if s.CABundle == "" {
		return
	}
	known := c.vouching()
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, cert := range certificatesIn([]byte(s.CABundle)) {
		sum := sha256.Sum256(cert.Raw)
		sha := hex.EncodeToString(sum[:])
		// What is a root of this machine is a chain of its own.
		chains, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil && slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return len(chain) == 1 }) ||
			slices.Contains(c.grant.Certificates, sha) || slices.ContainsFunc(known, cert.Equal) {
			continue
		}
		report := c.ds.Errorf
		if !c.asks {
			report = c.ds.Warnf
		}
		report(plan.CodeAuthority, s.Pos, "if it is yours: set VAULT_CACERT to a file that has it, or let a policy allow it, under allow: certificates",
			"source %s: the certificate with the SHA-256 %s, which vouches for the server that receives %s, is named only by the contract", s.Name, sha, vaultService.credential)
	}
}

// vouching returns the certificates that the process environment names
// (https://developer.hashicorp.com/vault/docs/commands#environment-variables).
func (c *check) vouching() []*x509.Certificate {
	text, _ := c.lookup("VAULT_CACERT_BYTES")
	all := certificatesIn([]byte(text))
	var files []string
	if file, _ := c.lookup("VAULT_CACERT"); file != "" {
		files = append(files, file)
	}
	if dir, _ := c.lookup("VAULT_CAPATH"); dir != "" {
		in, _ := filepath.Glob(filepath.Join(dir, "*"))
		files = append(files, in...)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() { // no named pipe, which would be waited for
			text, _ := os.ReadFile(file)
			all = append(all, certificatesIn(text)...)
		}
	}
	return all
}

// certificatesIn returns the certificates of a text, as far as there are any.
func certificatesIn(text []byte) (all []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, cert)
		}
	}
	return all
}
