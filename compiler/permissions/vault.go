package permissions

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// vault writes a policy of HashiCorp Vault and OpenBao
// (https://developer.hashicorp.com/vault/docs/concepts/policies). The paths are
// those of the KV engine's API: version v2 has values below data/ and the rest
// below metadata/ (https://developer.hashicorp.com/vault/api-docs/secret/kv).
func vault(s plan.Source, use Use, names []string) Policy {
	below, capabilities := "", `"read"`
	switch {
	case s.Version == "v1" && use == Prove:
		// It has no metadata: what is there is what a list of the directory shows.
		for i, name := range names {
			names[i], _ = path.Split(name)
		}
		slices.Sort(names)
		names, capabilities = slices.Compact(names), `"list"`
	case s.Version == "v1":
	case use == Prove:
		below = "metadata/"
	case use == Write:
		below, capabilities = "data/", `"create", "read", "update"`
	case use == Push: // it notes in the metadata whose it is
		var both []string
		for _, name := range names {
			both = append(both, "data/"+name, "metadata/"+name)
		}
		names, capabilities = both, `"create", "read", "update"`
	default:
		below = "data/"
	}
	var p Policy
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("path " + strconv.Quote(s.Mount+"/"+below+name) + " {\n  capabilities = [" + capabilities + "]\n}\n")
		if strings.HasSuffix(name, "*") || slices.Contains(strings.Split(name, "/"), "+") {
			p.Note = "A path that ends in * or has + as a part is a pattern to Vault, and allows more than the name."
		}
	}
	if s.Namespace != "" {
		p.Note = strings.TrimSpace(p.Note + " It belongs in the namespace: vault policy write -namespace=" + quote(s.Namespace) + " NAME FILE.")
	}
	p.HCL = strings.TrimSuffix(b.String(), "\n")
	return p
}
