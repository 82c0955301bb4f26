package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/importer/observe"
)

// Names are what a contract is called by.
type Names struct {
	Package     string // of the CUE files
	Environment string
	Namespace   string
}

// Contract is the text of the contract's file, laid out as `cue fmt` does.
func (d *Draft) Contract(n Names) ([]byte, error) {
	for _, in := range d.Inputs {
		if in.Remote != nil {
			in.source = d.sourceName(in.Remote.Source)
		}
	}
	var body strings.Builder
	body.WriteString("inputs: {\n")
	group := ""
	for i, in := range d.Inputs {
		if in.Group != group {
			if group = in.Group; group != "" {
				if i > 0 {
					body.WriteString("\n")
				}
				fmt.Fprintf(&body, "// %s\n\n", group)
			} else {
				body.WriteString("\n")
			}
		} else if i > 0 && in.Why != "" {
			body.WriteString("\n")
		}
		if in.Why != "" {
			fmt.Fprintf(&body, "// %s\n", in.Why)
		}
		fmt.Fprintf(&body, "%s: %s\n", compiler.Label(in.Name), in.cue())
	}
	body.WriteString("}\n\n")
	body.WriteString(d.secretsText(n))

	var b strings.Builder
	fmt.Fprintf(&b, "// The contract: which secrets %s needs, in every environment.\npackage %s\n\n", n.Package, n.Package)
	if strings.Contains(body.String(), "kit.#") {
		b.WriteString("import (\n\"github.com/victor-ai/victorgen/schema\"\n\"github.com/victor-ai/victorgen/schema/kit\"\n)")
	} else {
		b.WriteString("import \"github.com/victor-ai/victorgen/schema\"")
	}
	b.WriteString("\n\nschema.#Environment\n\n")
	if d.PartOf != "" && d.PartOf != n.Package {
		fmt.Fprintf(&b, "partOf: %s\n\n", compiler.Quote(d.PartOf, 0))
	}
	b.WriteString(body.String())
	return compiler.Format([]byte(b.String()))
}

// cue writes the definition of an input.
func (in *Input) cue() string {
	var fields []string
	add := func(name, text string) { fields = append(fields, name+": "+text) }
	text := func(name, s string) {
		if s != "" {
			add(name, compiler.Quote(s, 1))
		}
	}
	text("description", in.Description)
	text("docs", in.Docs)
	if in.Default == nil && in.Sample != "" {
		text("example", in.Sample)
	}
	if in.Default != nil {
		add("default", "*"+compiler.Quote(*in.Default, 1)+" | string")
	}
	if in.Generate != "" {
		add("generate", in.Generate)
	}
	text("pattern", in.Pattern)
	text("format", in.Format)
	if len(in.OneOf) > 0 {
		var all []string
		for _, s := range in.OneOf {
			all = append(all, compiler.Quote(s, 0))
		}
		add("oneOf", "["+strings.Join(all, ", ")+"]")
	}
	if in.MinLength > 0 {
		add("minLength", fmt.Sprint(in.MinLength))
	}
	if in.MaxLength > 0 {
		add("maxLength", fmt.Sprint(in.MaxLength))
	}
	if in.Weak {
		add("minStrength", "0")
	}
	text("encoding", in.Encoding)
	if in.Never {
		add("rotate", `"never"`)
	}
	if in.Remote != nil {
		if in.source != "default" {
			text("source", in.source)
		}
		text("remote", remoteText(in.Remote))
	}
	definition := map[plan.Class]string{
		plan.Required: "schema.#Required", plan.Optional: "schema.#Optional", plan.Generated: "schema.#Generated", plan.Setting: "schema.#Setting",
	}[in.Class]
	line := strings.Join(fields, ", ")
	switch {
	case len(fields) == 0:
		return definition
	case len(line) <= 80 && !strings.Contains(line, "\n"):
		return definition + " & {" + line + "}"
	}
	return definition + " & {\n" + strings.Join(fields, "\n") + "\n}"
}

// secretsText writes the secrets. Where each input is a key of one secret by its own
// name, a comprehension says so.
func (d *Draft) secretsText(n Names) string {
	var b strings.Builder
	if s, ok := d.everyInput(); ok {
		fmt.Fprintf(&b, "// For envFrom: the keys are the names of the variables.\nsecrets: %s: keys: {\nfor name, _ in inputs if name != %q {\n(name): input: name\n}\n}\n", compiler.Label(s.ID), plan.LockKey)
		return b.String()
	}
	b.WriteString("secrets: {\n")
	for _, s := range d.Secrets {
		b.WriteString(d.secretText(s, n))
	}
	b.WriteString("}\n")
	return b.String()
}

// secretText writes a secret; nothing if it has no keys.
func (d *Draft) secretText(s *Secret, n Names) string {
	if len(s.Keys) == 0 {
		return ""
	}
	if s.base != nil {
		if d.otherDelivery(s) {
			return s.addedText(d.delivery(s))
		}
		return s.addedText("")
	}
	var fields []string
	add := func(name, text string) {
		if text != "" {
			fields = append(fields, name+": "+text)
		}
	}
	if s.ID != s.Name {
		add("name", compiler.Quote(s.Name, 0))
	}
	if s.Namespace != "" && s.Namespace != n.Namespace {
		add("namespace", compiler.Quote(s.Namespace, 0))
	}
	if s.Type != "" && s.Type != "Opaque" && s.Kit == "" {
		add("type", compiler.Quote(s.Type, 0))
	}
	add("labels", texts(s.labels))
	add("annotations", texts(s.annotations))
	if s.Immutable {
		add("immutable", "true")
	}
	add("delivery", d.delivery(s))
	if s.Kit == "" {
		var keys []string
		for _, k := range s.Keys {
			keys = append(keys, k.cue())
		}
		if len(keys) == 1 {
			fields = append(fields, "keys: "+keys[0])
		} else {
			fields = append(fields, "keys: {\n"+strings.Join(keys, "\n")+"\n}")
		}
	}
	switch {
	case s.Kit != "" && len(fields) == 0:
		return fmt.Sprintf("%s: %s\n", compiler.Label(s.ID), s.Kit)
	case s.Kit != "":
		return fmt.Sprintf("%s: %s & {\n%s\n}\n", compiler.Label(s.ID), s.Kit, strings.Join(fields, "\n"))
	case len(fields) == 1:
		return fmt.Sprintf("%s: %s\n", compiler.Label(s.ID), fields[0])
	default:
		return fmt.Sprintf("%s: {\n%s\n}\n", compiler.Label(s.ID), strings.Join(fields, "\n"))
	}
}

// everyInput is the one secret whose keys are all inputs, by their own names.
func (d *Draft) everyInput() (*Secret, bool) {
	if len(d.Secrets) != 1 || len(d.Secrets[0].Keys) != len(d.Inputs) || len(d.Inputs) < 4 {
		return nil, false
	}
	s := d.Secrets[0]
	if s.ID != s.Name || s.Type != "" && s.Type != "Opaque" || s.Namespace != "" || len(s.labels)+len(s.annotations) > 0 || s.Immutable || s.Kind != observe.Plain {
		return nil, false
	}
	return s, !slices.ContainsFunc(s.Keys, func(k *Key) bool { return k.in == nil || k.in.Name != k.Name })
}

func (k *Key) cue() string {
	label := compiler.Label(k.Name)
	switch {
	case k.Kit != "":
		return label + ": " + k.Kit
	case k.Template != "":
		return label + ": template: " + compiler.Quote(k.Template, 3)
	case k.Literal != nil:
		return label + ": value: " + compiler.Quote(*k.Literal, 0)
	}
	return fmt.Sprintf("%s: input: %q", label, k.in.Name)
}

// texts writes labels or annotations.
func texts(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	var list []string
	for _, k := range sorted(m) {
		list = append(list, compiler.Label(k)+": "+compiler.Quote(m[k], 3))
	}
	if len(list) == 1 {
		return list[0]
	}
	return "{\n" + strings.Join(list, "\n") + "\n}"
}

// text writes a place at a source as a contract does.
func remoteText(r *observe.Remote) string {
	s := r.Name
	if r.Version != "" {
		s += "?version=" + r.Version
	}
	if r.Property != "" {
		s += "#" + r.Property
	}
	return s
}

// delivery is what a secret says of its delivery next to what the environment does.
func (d *Draft) delivery(s *Secret) string {
	var fields []string
	add := func(name, v string) {
		if v != "" {
			fields = append(fields, name+": "+compiler.Quote(v, 0))
		}
	}
	if s.Kind == observe.External && d.kind() != observe.External {
		add("kind", "external")
	} else if s.Kind != observe.External && d.kind() == observe.External {
		add("kind", "sealed")
		add("certificate", "sealing-cert.pem")
	}
	if s.Scope != "" && s.Scope != "strict" {
		add("scope", s.Scope)
	}
	add("refreshInterval", s.Refresh)
	for _, name := range sorted(s.Policies) {
		add(name, s.Policies[name])
	}
	if len(fields) == 0 {
		return ""
	}
	if len(fields) == 1 {
		return fields[0]
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// kind is how most secrets are delivered.
func (d *Draft) kind() observe.Kind {
	for _, s := range d.Secrets {
		if s.Kind != observe.External {
			return observe.Plain
		}
	}
	return observe.External
}

// Environment is the text of the environment's file. Where a contract is there, it has
// what the contract has not.
func (d *Draft) Environment(n Names, sources string) ([]byte, error) {
	var b strings.Builder
	added := d.added(n)
	fmt.Fprintf(&b, "// The %s environment: what it adds to the contract.\npackage %s\n\n", n.Environment, n.Package)
	var imports []string
	for name, path := range map[string]string{"schema.#": "github.com/victor-ai/victorgen/schema", "kit.#": "github.com/victor-ai/victorgen/schema/kit"} {
		if strings.Contains(added, name) {
			imports = append(imports, fmt.Sprintf("%q", path))
		}
	}
	slices.Sort(imports)
	switch len(imports) {
	case 0:
	case 1:
		b.WriteString("import " + imports[0] + "\n\n")
	default:
		b.WriteString("import (\n" + strings.Join(imports, "\n") + "\n)\n\n")
	}
	fmt.Fprintf(&b, "environment: %s\nnamespace: %s\n\n%s", compiler.Quote(n.Environment, 0), compiler.Quote(n.Namespace, 0), sources)
	if len(d.Secrets) > 0 && d.kind() == observe.External {
		b.WriteString("delivery: kind: \"external\"\n")
	} else {
		fmt.Fprintf(&b, "delivery: {\nkind: \"sealed\"\n// The cluster's own: victorgen cert fetch envs/%s\ncertificate: \"sealing-cert.pem\"\n}\n", n.Environment)
	}
	b.WriteString(added)
	return compiler.Format([]byte(b.String()))
}

// Namespace is the one that most Secrets are in, or else the other.
func (d *Draft) Namespace(otherwise string) string {
	counts := map[string]int{}
	best := ""
	for _, s := range d.Secrets {
		if s.Namespace != "" {
			counts[s.Namespace]++
			if counts[s.Namespace] > counts[best] || best == "" {
				best = s.Namespace
			}
		}
	}
	return cmp.Or(best, otherwise)
}
