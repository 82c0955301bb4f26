package importer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// sourceName is what a source of an ExternalSecret is called in the contract: the
// default one, where all is external and there is but one.
func (d *Draft) sourceName(name string) string {
	if d.kind() == observe.External && len(d.Sources) > 0 && d.Sources[0].Name == name {
		return "default"
	}
	return name
}

// sourcesText writes the sources of external secrets. Their stores are there, and
// stay.
func (d *Draft) sourcesText() string {
	var b strings.Builder
	for _, s := range d.Sources {
		fmt.Fprintf(&b, "sources: %s: {\nkind: %s\n", compiler.Label(d.sourceName(s.Name)), compiler.Quote(s.Kind, 0))
		for _, f := range sorted(s.Fields) {
			fmt.Fprintf(&b, "%s: %s\n", f, compiler.Quote(s.Fields[f], 0))
		}
		fmt.Fprintf(&b, "store: {existing: %s, name: %s}\n}\n\n", compiler.Quote(s.Existing, 0), compiler.Quote(s.Store, 0))
	}
	return b.String()
}

// external makes inputs of the parts of a template, and has it name them.
func (d *Draft) external(s *Secret, k *Key) {
	names := map[string]string{}
	for _, part := range sorted(k.observed.Parts) {
		remote := k.observed.Parts[part]
		if !refers(k.observed.Template, part) {
			continue
		}
		in := d.remote(&remote)
		if in == nil {
			in = &Input{Name: partName(s, part, remote), Remote: &remote}
			in.atSource(in.Name)
			d.Inputs = append(d.Inputs, in)
		}
		names[part] = in.Name
		k.parts = append(k.parts, in)
	}
}

// partName is what the input of a part is called: by its property, where the part has
// no name of its own.
func partName(s *Secret, part string, r observe.Remote) string {
	if !madeUp.MatchString(part) {
		return inputName(s.Secret, part)
	}
	if r.Property != "" {
		return inputName(s.Secret, r.Property)
	}
	return upper(r.Name)
}

var (
	madeUp = lazy.MustCompile(`^part\d+$`)
	action = lazy.MustCompile(`(?s)\{\{.*?\}\}`)
	index  = lazy.MustCompile(`\(\s*index\s+\.\s+"([^"]+)"\s*\)|\bindex\s+\.\s+"([^"]+)"`)
	field  = lazy.MustCompile(`(^|[\s({|])\.([A-Za-z_][A-Za-z0-9_]*)`)
)

// rewrite has the actions of a template of the operator name inputs.
func rewrite(text string, name func(part string) string) string {
	return action.ReplaceAllStringFunc(text, func(a string) string {
		a = index.ReplaceAllStringFunc(a, func(m string) string {
			g := index.FindStringSubmatch(m)
			part := cmp.Or(g[1], g[2])
			if to := name(part); to != "" {
				return "." + to
			}
			return m
		})
		return field.ReplaceAllStringFunc(a, func(m string) string {
			g := field.FindStringSubmatch(m)
			if to := name(g[2]); to != "" {
				return g[1] + "." + to
			}
			return m
		})
	})
}

func refers(text, part string) (found bool) {
	rewrite(text, func(p string) string {
		found = found || p == part
		return ""
	})
	return found
}

// templated has templates of external secrets name their inputs, which have their
// names by now.
func (d *Draft) templated() {
	for _, s := range d.Secrets {
		for _, k := range s.Keys {
			if k.observed.Template == "" {
				continue
			}
			k.Template = rewrite(k.observed.Template, func(part string) string {
				if r, ok := k.observed.Parts[part]; ok {
					if in := d.remote(&r); in != nil {
						return in.Name
					}
				}
				return ""
			})
		}
	}
}

// standIn is what the proof takes for a value that is not read: another for each
// place.
func standIn(r observe.Remote) value.Value {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%+v", r)))
	return value.New([]byte("stand in/ for+" + hex.EncodeToString(sum[:8])))
}

// proveRemote compares a key of an external secret: by where it is from, and, of a
// template, by what both print of stand-ins.
func (d *Draft) proveRemote(p *plan.Plan, k *Key, got value.Value) (verdict, why string) {
	parts := k.observed.Parts
	if k.observed.Remote != nil {
		parts = map[string]observe.Remote{"": *k.observed.Remote}
	}
	for _, part := range sorted(parts) {
		r := parts[part]
		if part != "" && !refers(k.observed.Template, part) {
			continue
		}
		in := d.remote(&r)
		if in == nil {
			return Lost, ""
		}
		pi, _ := p.Input(in.Name)
		src, _ := p.Source(pi.Source)
		name := r.Name
		if src.Kind == plan.Vault {
			name = strings.Trim(name, "/")
		}
		switch {
		case pi.Remote.Name != name:
			return Differs, "it is from another place"
		case pi.Remote.Property != r.Property || pi.Remote.Version != r.Version:
			return Differs, "it is another property or version"
		case src.Name != d.sourceName(r.Source):
			return Differs, "it is from another source"
		case (pi.Encoding == plan.Base64) != r.Base64:
			return Differs, "it is decoded in another way"
		}
	}
	if k.observed.Remote != nil {
		if !got.Equal(standIn(*k.observed.Remote)) {
			return Differs, ""
		}
		return Equal, ""
	}
	data := map[string]string{}
	for part, r := range parts {
		data[part] = string(standIn(r).Reveal())
	}
	t, err := template.New("").Funcs(sprig.TxtFuncMap()).Parse(k.observed.Template)
	var was strings.Builder
	if err != nil || t.Execute(&was, data) != nil {
		return Differs, "its template can't be executed with stand-ins"
	}
	if was.String() != string(got.Reveal()) {
		return Differs, "its template prints something else"
	}
	return Equal, ""
}
