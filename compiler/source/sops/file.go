package sops

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// encrypted is the content of a file, encrypted. The zero value is that of a
// file which does not exist.
type encrypted struct {
	text       []byte
	format     format
	values     map[string]any // by the keys of the root, but for those of sops itself
	metadata   map[string]any // what sops itself keeps there
	recipients []string       // who can open the file, as far as it tells
	groups     []string       // who can open it together, if there is more than one group
	threshold  string         // how many of the groups are needed
}

// format is one of the formats of SOPS.
type format struct {
	name  string // as sops calls it
	shape string // for people
	// parse returns the content of a file. What sops itself keeps there is the
	// value of the key "sops".
	parse func(text []byte) (map[string]any, error)
}

// formats are the formats by the extension that a file's name has.
var formats = map[string]format{
	".env":  {"dotenv", "lines of the form NAME=VALUE", parseDotenv},
	".yaml": {"yaml", "one YAML document that is a mapping", parseYAML},
	".yml":  {"yaml", "one YAML document that is a mapping", parseYAML},
	".json": {"json", "one JSON object", parseJSON},
}

// maxFile is the size up to which a file is taken for one with secrets, and
// what sops prints for those.
const maxFile = 16 << 20

// load reads the file.
func (s *Source) load() (encrypted, error) {
	// O_NONBLOCK: opening a named pipe must not wait for a writer.
	r, err := os.OpenFile(s.file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		_, link := safefile.Follow(s.file)
		if link == nil {
			return encrypted{}, nil
		}
		err = link
	}
	if err != nil {
		return encrypted{}, s.trouble("open", err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return encrypted{}, s.trouble("read", err) // also if it is a directory
	}
	broken := func(remedy, format string, args ...any) (encrypted, error) {
		return encrypted{}, &source.Failure{
			Code: plan.CodeFileSyntax, Reason: s.file + " " + fmt.Sprintf(format, args...), Remedy: remedy,
		}
	}
	if len(text) > maxFile {
		return broken("keep only secrets in it", "is larger than %d MiB", maxFile>>20)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return broken("encrypt something into it, as with sops edit, or remove it", "is empty")
	}
	f := encrypted{text: text, format: formats[filepath.Ext(s.file)]}
	// What is wrong is not told: the parsers quote what they read.
	if f.values, err = f.format.parse(text); err != nil {
		return broken("put it back as sops has written it, as with git restore; then edit it with sops edit",
			"is not what sops writes: %s, without duplicate keys", f.format.shape)
	}
	ours, ok := f.values["sops"].(map[string]any)
	if !ok {
		return broken("if its content is right: sops encrypt --in-place "+s.file, "is not encrypted")
	}
	f.metadata, f.recipients = ours, recipients(ours)
	// https://getsops.io/docs/#214-key-groups
	if groups, _ := ours["key_groups"].([]any); len(groups) > 1 {
		for _, group := range groups {
			f.groups = append(f.groups, strings.Join(recipients(group), " or "))
		}
		f.threshold = "all"
		switch n := ours["shamir_threshold"].(type) {
		case int, int64, float64:
			f.threshold = fmt.Sprint(n)
		}
	}
	delete(f.values, "sops")
	return f, nil
}

// trouble explains an error of the operating system, of an attempt to do something
// with the file.
func (s *Source) trouble(do string, err error) *source.Failure {
	reason, hint := safefile.Explain(s.file, err)
	return &source.Failure{Reason: "cannot " + do + " " + s.file + ": " + reason, Remedy: cmp.Or(hint, "it must be a file that you may read"), Unreadable: true}
}

// parseDotenv reads lines as sops does, which knows neither quotes nor spaces.
// See https://github.com/getsops/sops/blob/v3.13.3/stores/dotenv/store.go.
func parseDotenv(text []byte) (map[string]any, error) {
	values, ours := map[string]any{}, map[string]any{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		name, val, ok := strings.Cut(line, "=")
		into := values
		if strings.HasPrefix(name, "sops_") {
			into = ours
		}
		if _, twice := into[name]; !ok || twice {
			return nil, errors.New("a line is wrong")
		}
		into[name] = val
	}
	if len(ours) > 0 {
		values["sops"] = ours
	}
	return values, nil
}

func parseYAML(text []byte) (map[string]any, error) {
	var values map[string]any
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&values); err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return nil, errors.New("another document") // which sops would not print
	}
	return values, nil
}

func parseJSON(text []byte) (map[string]any, error) {
	var values map[string]any
	strict, err := kjson.UnmarshalStrict(text, &values)
	return values, errors.Join(append(strict, err)...)
}

// recipientFields are the fields that name a key: those of age, PGP, AWS KMS,
// GCP KMS, Azure Key Vault, Vault and Huawei Cloud KMS, in this order. See
// https://github.com/getsops/sops/blob/v3.13.3/stores/stores.go.
var recipientFields = []string{"recipient", "fp", "arn", "resource_id", "vault_url", "vault_address", "key_id"}

// recipients returns the keys that can open a file with this metadata.
func recipients(metadata any) (names []string) {
	switch at := metadata.(type) {
	case []any:
		for _, element := range at {
			names = append(names, recipients(element)...)
		}
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(at)) {
			name, ok := at[field].(string)
			flat := strings.Split(field, "__map_") // dotenv has sops_age__list_0__map_recipient
			if ok && slices.Contains(recipientFields, flat[len(flat)-1]) {
				names = append(names, source.Line(name))
			}
			names = append(names, recipients(at[field])...)
		}
	}
	return names
}

// empty reports whether v, as it stands in an encrypted file, is no value.
func empty(v any) bool { return v == nil || v == "" }

// plain reports whether v, as it stands in an encrypted file, is a value that
// sops has left in plain text, by unencrypted_suffix and the like; or an object
// or a list of nothing else.
func plain(v any) bool {
	switch v := v.(type) {
	case string:
		return v != "" && !strings.HasPrefix(v, "ENC[")
	case map[string]any:
		for _, field := range v {
			if !empty(field) && !plain(field) {
				return false
			}
		}
		return len(v) > 0
	case []any:
		return len(v) > 0 && !slices.ContainsFunc(v, func(element any) bool { return !empty(element) && !plain(element) })
	}
	return v != nil
}

// path returns the keys that lead to what ref selects. As with source.Select, a
// property a.b is that of that name or, if there is none, b in a.
func (f encrypted) path(ref source.Ref) ([]string, error) {
	path := []string{key(ref)}
	at := f.values[key(ref)]
	for property := ref.Remote.Property; property != ""; {
		fields, ok := at.(map[string]any)
		if !ok && !empty(at) {
			// sops would put an object in its place.
			return nil, &source.Failure{
				Code: plan.CodeValueEncoding, Reason: path[len(path)-1] + " is not an object there, so it has no property " + property,
				Remedy: "give the input another remote, or make that an object with sops edit",
			}
		}
		head, rest, _ := strings.Cut(property, ".")
		if _, ok := fields[property]; ok {
			head, rest = property, ""
		}
		path, at, property = append(path, head), fields[head], rest
	}
	if strings.Contains(strings.Join(path, ""), "[") {
		return nil, &source.Failure{Reason: "sops set can't name a key with [ in it", Remedy: "give the input another remote, or set it with sops edit"}
	}
	return path, nil
}

// encrypts reports whether text, a file of the format, has a value at path that
// sops has encrypted.
func (f format) encrypts(text []byte, path []string) bool {
	values, err := f.parse(text)
	var at any = values
	for _, key := range path {
		fields, _ := at.(map[string]any)
		at = fields[key]
	}
	s, _ := at.(string)
	return err == nil && strings.HasPrefix(s, "ENC[")
}
