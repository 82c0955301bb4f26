package sops

import (
	"maps"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// The services that keep the keys of a file and that a file itself gives the
// address of.
const (
	Vault = "vault" // hc_vault: sops sends VAULT_TOKEN there
	Azure = "azure" // azure_kv: sops sends a token of Azure there
)

// Endpoint is an address that an encrypted file names, to which sops sends a
// credential when it is to decrypt the file.
type Endpoint struct {
	Service string // Vault or Azure
	Address string // as it stands in the file
}

// keyKinds are the lists of keys that the metadata of a file may have, each
// with the fields of a key. See
// https://github.com/getsops/sops/blob/v3.13.3/stores/stores.go.
var keyKinds = map[string][]string{
	"kms":        {"arn", "context", "role", "aws_profile", "created_at", "enc"},
	"gcp_kms":    {"resource_id", "created_at", "enc"},
	"hckms":      {"key_id", "created_at", "enc"},
	"azure_kv":   {"vault_url", "name", "version", "created_at", "enc"},
	"hc_vault":   {"vault_address", "engine_path", "key_name", "created_at", "enc"},
	"age":        {"recipient", "enc"},
	"pgp":        {"created_at", "enc", "fp"},
	"key_groups": nil, // lists of the others
}

// safeName are the names of keys of which sops makes a part of the host that it
// asks, and what they are where that can be only the service's own. sops itself
// takes anything for a region.
var safeName = map[string]*lazy.Regexp{
	"arn":         lazy.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]+:(key|alias)/[A-Za-z0-9/_-]+$`),
	"role":        lazy.MustCompile(`^(arn:aws[a-z-]*:iam::[0-9]+:role/[A-Za-z0-9+=,.@_/-]+)?$`),
	"resource_id": lazy.MustCompile(`^projects/[A-Za-z0-9.:_-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_/-]+$`),
	"key_id":      lazy.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9-]+$`),
}

// Endpoints returns the addresses that the file of s names itself, of all keys
// that sops may try. It reads the file and runs nothing. A file that does not
// exist, or that is no encrypted one, names none: no sops is run on it. The
// error is a *[source.Failure], for a file with keys of a kind that is not known
// here: where sops would go for these no one can tell.
func Endpoints(s plan.Source) ([]Endpoint, error) {
	f, err := New(s, "").load()
	if err != nil || f.text == nil {
		return nil, nil // which anyone who reads the file will tell
	}
	k := keys{file: s.File}
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		// sops reads JSON by a parser for which SOPS is sops.
		if name != "sops" && strings.EqualFold(name, "sops") {
			k.unknown = append(k.unknown, name)
		}
	}
	k.walk(f.metadata)
	if len(k.unknown) > 0 {
		slices.Sort(k.unknown)
		return nil, &source.Failure{
			Reason: s.File + " names keys in a way that cannot be checked: " + strings.Join(slices.Compact(k.unknown), ", "),
			Remedy: "encrypt it again, for keys of age, PGP, AWS KMS, GCP KMS, Azure Key Vault or Vault",
		}
	}
	return slices.Compact(k.found), nil
}

// keys collects what the metadata of a file says of keys.
type keys struct {
	file    string
	found   []Endpoint
	unknown []string // names of fields
}

// walk looks at metadata, or at a part of it.
func (k *keys) walk(at map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(at)) {
		// A dotenv file has sops_hc_vault__list_0__map_vault_address=...
		flat := strings.Split(strings.TrimPrefix(name, "sops_"), "__")
		path := []string{}
		for _, part := range flat {
			if !strings.HasPrefix(part, "list_") {
				path = append(path, strings.TrimPrefix(part, "map_"))
			}
		}
		k.field(path, at[name])
	}
}

// field looks at one field of the metadata, at a path of which the elements of
// lists are no part.
func (k *keys) field(path []string, v any) {
	name := path[len(path)-1]
	switch v := v.(type) {
	case []any:
		if _, known := keyKinds[name]; !known {
			k.unknown = append(k.unknown, source.Line(name))
			return
		}
		for _, element := range v {
			fields, ok := element.(map[string]any)
			if !ok { // also that of which a field has no string for a name
				k.unknown = append(k.unknown, source.Line(name))
			}
			for _, field := range slices.Sorted(maps.Keys(fields)) {
				k.field(append(path[:len(path):len(path)], field), fields[field])
			}
		}
	case map[string]any:
		if name != "context" { // of a key of AWS KMS: names and values that it was encrypted with
			k.unknown = append(k.unknown, source.Line(name))
		}
	default:
		k.scalar(path, v)
	}
}

func (k *keys) scalar(path []string, v any) {
	name := path[len(path)-1]
	text, isText := v.(string)
	for known := range keyKinds {
		if len(path) == 1 && v != nil && strings.EqualFold(name, known) {
			k.unknown = append(k.unknown, source.Line(name))
		}
	}
	if len(path) == 1 {
		return // the MAC, the version and the like
	}
	kind := path[len(path)-2]
	if kind == "context" && len(path) > 2 {
		return
	}
	fields, known := keyKinds[kind]
	switch {
	case !known || !slices.Contains(fields, name):
		k.unknown = append(k.unknown, source.Line(kind+"."+name))
	case name == "vault_address", name == "vault_url":
		service := Vault
		if name == "vault_url" {
			service = Azure
		}
		if !isText {
			k.unknown = append(k.unknown, name)
		}
		k.found = append(k.found, Endpoint{service, text})
	case safeName[name] != nil && v != nil && (!isText || !safeName[name].MatchString(text)):
		k.unknown = append(k.unknown, kind+"."+name)
	}
}
