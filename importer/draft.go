package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// slot is a key on its way to an input.
type slot struct {
	secret *Secret
	key    *Key
}

// Infer makes a draft of what was read. app names the Secret that the variables
// of dotenv files go to, where nothing else was read; kind is that of the source that
// the values are for. plain are keys, by SECRET/KEY, that are to be inputs of their
// own, whatever they look like.
//
// base is a contract that is there, compiled for the environment; nil if there is none.
// What it has of what was read, it keeps, and the draft has the rest.
func Infer(o *observe.Observed, app, kind string, plain map[string]bool, base *plan.Plan) *Draft {
	d := &Draft{observed: o, source: kind, base: base, Sources: o.Sources, PartOf: o.PartOf, plain: plain}
	secrets := o.Secrets
	variables := len(secrets) == 0
	if variables {
		secrets = []observe.Secret{ofVariables(o.Variables, app)}
	}
	ids := map[string]int{}
	for i := range secrets {
		ids[secrets[i].Name]++
	}
	var slots []*slot
	for i := range secrets {
		s := &Secret{ID: secrets[i].Name, Secret: &secrets[i]}
		if ids[s.ID] > 1 && s.Namespace != "" {
			s.ID = s.Namespace + "-" + s.ID
		}
		d.adopt(s)
		d.metadata(s)
		d.Secrets = append(d.Secrets, s)
		for j := range s.Secret.Keys {
			k := &Key{Name: s.Secret.Keys[j].Name, observed: &s.Secret.Keys[j]}
			s.Keys = append(s.Keys, k)
			slots = append(slots, &slot{secret: s, key: k})
		}
	}
	d.inputs(slots, variables || slices.ContainsFunc(secrets, func(s observe.Secret) bool { return s.From == "service" }))
	if base != nil {
		d.solve()
		d.unused()
	}
	d.names()
	d.templated()
	d.children()
	d.templates()
	d.finish()
	return d
}

// ofVariables is the Secret whose keys are the names of variables, for envFrom.
func ofVariables(variables []observe.Variable, app string) observe.Secret {
	s := observe.Secret{Name: app, From: "variables"}
	for _, v := range variables {
		s.Keys = append(s.Keys, observe.Key{Name: v.Name, State: v.State, Value: v.Value, Notes: v.Notes, Variable: v.Name})
	}
	return s
}

// metadata takes labels and annotations over, but for those that are no contract's.
func (d *Draft) metadata(s *Secret) {
	keep := func(what string, from map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range from {
			if observe.Secretive(v) {
				d.left(s, "%s %s looks as if it contained a secret", what, k)
				continue
			}
			out[k] = v
		}
		return out
	}
	s.labels, s.annotations = keep("label", s.Labels), keep("annotation", s.Annotations)
	if part, ok := s.labels["app.kubernetes.io/part-of"]; ok {
		delete(s.labels, "app.kubernetes.io/part-of")
		if part != d.PartOf {
			d.left(s, "the label app.kubernetes.io/part-of, which is the same for all Secrets of an environment, is not %q", part)
		}
	}
}

func (d *Draft) left(s *Secret, format string, args ...any) {
	d.Diagnostics.Warnf(plan.CodeImportLeft, nil, "check whether it is needed", "%s %s: %s", cmp.Or(s.From, "secret"), s, fmt.Sprintf(format, args...))
}

// inputs gives each key an input, and those of one value the same.
func (d *Draft) inputs(slots []*slot, variable bool) {
	byVariable := map[string]*Input{}
	given := slices.ContainsFunc(slots, func(s *slot) bool { return s.key.observed.State == observe.Given })
	for _, sl := range slots {
		d.bound(sl.secret, sl.key)
	}
	for _, sl := range slots {
		k := sl.key.observed
		if k.Template != "" || sl.key.fixed {
			continue
		}
		name := cmp.Or(k.Variable, inputName(sl.secret.Secret, k.Name))
		if in := byVariable[k.Variable]; k.Variable != "" && in != nil && same(in, k) {
			sl.bind(in)
			continue
		}
		if k.State == observe.Empty && !variable {
			empty := ""
			sl.key.Literal = &empty
			continue
		}
		in := &Input{Name: name, Known: k.State == observe.Given, Value: k.Value, Notes: k.Notes, Remote: k.Remote}
		if k.Remote != nil {
			in.atSource(k.Name)
			if other := d.remote(k.Remote); other != nil {
				sl.bind(other)
				continue
			}
		} else {
			context := ""
			if !variable {
				context = sl.secret.Name
			}
			if sl.secret.From == "variables" && given && k.State == observe.Unknown {
				in.Optional = true // an example has it, and what runs can do without
			}
			d.classify(in, k, variable, sl.secret.From == "variables" && !given, context)
			if sl.secret.Kind == observe.External && in.Known && in.secret && open(in.Value) && !secretName(k.Name) {
				text := string(in.Value.Reveal()) // which stands in the manifest
				sl.key.Literal = &text
				continue
			}
		}
		if other := d.shared(in); other != nil {
			sl.bind(other)
			if k.Variable != "" {
				byVariable[k.Variable] = other
			}
			continue
		}
		if k.Variable != "" {
			byVariable[k.Variable] = in
		}
		sl.bind(in)
		d.Inputs = append(d.Inputs, in)
	}
	for _, sl := range slots { // whose parts may be keys of their own
		if sl.key.observed.Template != "" && !sl.key.fixed {
			d.external(sl.secret, sl.key)
		}
	}
}

func (s *slot) bind(in *Input) { s.key.in = in }

// atSource makes an input of what a source has and no one has read. It is required,
// whatever it is: a setting that a source has may be absent. But by its name it may be a
// login or a host, which need not be strong.
func (in *Input) atSource(name string) {
	in.secret, in.Class = true, plan.Required
	if in.Remote.Base64 {
		in.Encoding = plan.Base64
	}
	in.Weak, _ = isSetting(name, value.Value{}, false, false, in.Notes)
}

func same(in *Input, k *observe.Key) bool {
	return in.Known == (k.State == observe.Given) && in.Value.Equal(k.Value)
}

// remote returns the input that lives at r, if there is one.
func (d *Draft) remote(r *observe.Remote) *Input {
	for _, in := range d.Inputs {
		if in.Remote != nil && *in.Remote == *r {
			return in
		}
	}
	return nil
}

// shared returns the input that is the same as in: a setting of one name and value,
// or a secret of one value, unless that may be by chance: what is short or made of
// words is the same in many places.
func (d *Draft) shared(in *Input) *Input {
	if !in.Known || in.secret && in.Value.Len() < 8 {
		return nil
	}
	for _, other := range d.Inputs {
		if !other.Known || other.secret != in.secret || !other.Value.Equal(in.Value) || !in.secret && other.Name != in.Name || in.secret && !other.atLeast(40) {
			continue
		}
		if other.Description == "" {
			other.Description = in.Description
		}
		return other
	}
	return nil
}

// classify decides what class an input has.
//
// context is the name of the Secret it is in, if a person gave it. example says that it
// was read from what is no deployment.
func (d *Draft) classify(in *Input, k *observe.Key, variable, example bool, context string) {
	name := cmp.Or(k.Variable, k.Name)
	plain := string(in.Value.Reveal())
	setting, why := isSetting(name, in.Value, in.Known, variable, in.Notes)
	if setting {
		in.Class = plan.Setting
		switch {
		case in.Known:
			in.Default = &plain
		case k.State == observe.Empty:
			in.Default = new(string)
		case in.Sample != "" && !in.Optional && open(value.New([]byte(in.Sample))) && !placeholder(value.New([]byte(in.Sample))):
			in.Default = &in.Sample
		}
		in.Why = why
		d.form(in, name)
		return
	}
	in.secret = true
	spec, guess := generated(name, context, in.Value, in.Known, in.Notes)
	if !in.Known && !example {
		spec = "" // someone has a value of it, and another one would break what uses it
	}
	words := strings.ToLower(in.Description + " " + in.Group)
	switch {
	case in.Optional && (in.Notes.Required == nil || !*in.Notes.Required), in.Notes.Required != nil && !*in.Notes.Required && spec == "",
		!in.Known && in.Notes.Required == nil && strings.Contains(words, "optional"):
		in.Class = plan.Optional
	case k.State == observe.Empty && variable:
		in.Class = plan.Optional
	case spec != "":
		in.Class, in.Generate, in.Why = plan.Generated, spec, guess
		in.Never = keepWord.MatchString(name)
	default:
		in.Class = plan.Required
		in.Why = why
	}
	d.form(in, name)
}

// form says of what form a value is.
func (d *Draft) form(in *Input, name string) {
	s := string(in.Value.Reveal())
	lower := strings.ToLower(name)
	if in.Default != nil {
		s = *in.Default
	}
	is, login := isURL(s)
	switch {
	case in.Format != "" || in.Pattern != "" || len(in.OneOf) > 0 || s == "":
	case in.Class == plan.Setting && (s == "true" || s == "false"):
		in.OneOf = []string{"true", "false"}
	case in.Class == plan.Setting && strings.HasSuffix(lower, "port") && port.MatchString(s):
		in.Format = "port"
	case in.Class == plan.Setting && email.MatchString(s):
		in.Format = "email"
	case in.Class == plan.Setting && is && !login:
		in.Format = "url"
	case in.Class == plan.Setting || in.Generate != "":
	case strings.HasPrefix(s, "-----BEGIN ") && wellFormed("pem", in.Value):
		in.Format = "pem"
	case vendor(s):
		for i, p := range vendorPatterns {
			if p.MatchString(s) {
				in.Pattern = vendors[i].pattern
				in.Docs = cmp.Or(in.Docs, vendors[i].docs)
				break
			}
		}
	case is && wellFormed("url", in.Value):
		in.Format = "url"
	case strings.HasPrefix(s, "{") && wellFormed("json", in.Value):
		in.Format = "json"
	case uuid.MatchString(s):
		in.Format = "uuid"
	}
}

func wellFormed(format string, v value.Value) bool {
	return !value.Judge(plan.Input{Name: "V", Class: plan.Required, Constraints: plan.Constraints{Format: format}}, v).HasErrors()
}

// finish sees to what a build demands of each value, and to what no one has given.
func (d *Draft) finish() {
	for _, in := range d.Inputs {
		if in.base != nil {
			d.fits(in)
			continue
		}
		if !in.Known || !in.secret {
			if in.secret && !in.Known && in.Sample != "" {
				in.Pattern = cmp.Or(in.Pattern, samplePattern(in.Sample))
			}
			continue
		}
		if in.Encoding = d.encoding(in); in.Encoding != "" && utf8.Valid(in.Value.Reveal()) {
			in.Why = strings.TrimSpace(in.Why + " In base64, because a dotenv file can't hold it as text.")
		}
		if in.Encoding != "" {
			in.Format, in.Pattern = "", ""
		}
		v := value.Encode(plan.Input{Encoding: in.Encoding}, in.Value)
		switch {
		case placeholder(v):
			d.Diagnostics.Warnf(plan.CodeImportUnfit, nil, "put the real value in its place", "%s is a placeholder: it is kept, and a build refuses it", in.Name)
		case !strong(v, 60) && in.Format != "email" && len(in.OneOf) == 0:
			in.Weak = true
			if !strings.HasSuffix(strings.ToLower(in.Name), "key_id") && !userWord.MatchString(in.Name) {
				d.Diagnostics.Warnf(plan.CodeImportUnfit, nil, "use a long random one, and remove minStrength: 0", "%s is weak: it is kept, and the contract says minStrength: 0 for it", in.Name)
				in.Why = strings.TrimSpace(in.Why + " Weak: replace it, and remove minStrength.")
			}
		}
	}
}

// encoding is how a source holds a value: base64, where it can't hold it as it is.
func (d *Draft) encoding(in *Input) string {
	if !utf8.Valid(in.Value.Reveal()) || (d.source == "" || d.source == plan.Env) && !env.Holds(in.Value) {
		return plan.Base64
	}
	return ""
}

// samplePattern is the pattern of a vendor whose prefix a sample has.
func samplePattern(sample string) string {
	for i, v := range vendors {
		prefix := strings.TrimPrefix(v.pattern, "^")
		if vendorPatterns[i].MatchString(sample) || !strings.ContainsAny(prefix, `[(\`) && strings.HasPrefix(sample, prefix) {
			return v.pattern
		}
	}
	return ""
}

var (
	notUpper = lazy.MustCompile(`[^A-Z0-9]+`)
	generic  = lazy.MustCompile(`-(credentials|credential|creds|secrets|secret|auth|config|env|keys|tls|cert|certs|certificate)$`)
	envLike  = lazy.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
)

// upper writes a name as that of an environment variable.
func upper(s string) string {
	s = lazy.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(s, "${1}_$2")
	return strings.Trim(notUpper.ReplaceAllString(strings.ToUpper(s), "_"), "_")
}

// inputName is what the input of a key is called.
func inputName(s *observe.Secret, key string) string {
	if envLike.MatchString(key) || s.From == "variables" || s.From == "service" && inputForm.MatchString(key) {
		return key
	}
	base := s.Name
	for generic.MatchString(base) {
		base = generic.ReplaceAllString(base, "")
	}
	k := upper(key)
	switch key {
	case "tls.crt":
		k = "TLS_CERT"
	case "tls.key":
		k = "TLS_KEY"
	case ".dockerconfigjson", ".dockercfg":
		k = "PULL_SECRET"
	}
	prefix := upper(base)
	name := prefix + "_" + k
	if strings.HasPrefix(k, prefix) || prefix == "" {
		name = k
	}
	for i, r := range prefix { // a word that the one ends with and the other begins with stands once
		if r == '_' && strings.HasPrefix(k, prefix[i+1:]+"_") {
			name = prefix[:i] + "_" + k
		}
	}
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "S_" + name
	}
	if len(name) > 120 {
		name = strings.Trim(name[:120], "_")
	}
	return name
}

var inputForm = lazy.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// names has no two inputs of one name.
func (d *Draft) names() {
	taken := map[string]bool{plan.LockKey: true}
	if d.base != nil {
		for _, in := range d.base.Inputs {
			taken[in.Name] = true
		}
	}
	for _, in := range d.Inputs {
		if in.base != nil {
			continue
		}
		if !inputForm.MatchString(in.Name) {
			in.Name = upper(in.Name)
			if in.Name == "" || in.Name[0] >= '0' && in.Name[0] <= '9' {
				in.Name = "S_" + in.Name
			}
		}
		if taken[in.Name] {
			in.Name = d.free(in, taken)
		}
		taken[in.Name] = true
	}
}

// free is a name for in that no one has.
func (d *Draft) free(in *Input, taken map[string]bool) string {
	for _, s := range d.Secrets {
		for _, k := range s.Keys {
			if name := upper(s.ID) + "_" + upper(k.Name); (k.in == in || slices.Contains(k.parts, in)) && !taken[name] && inputForm.MatchString(name) {
				return name
			}
		}
	}
	for i := 2; ; i++ {
		if name := fmt.Sprintf("%s_%d", in.Name, i); !taken[name] {
			return name
		}
	}
}

// Problems are what keeps a draft from being a contract: names that Kubernetes does
// not take, and Secrets that are too big.
func (d *Draft) Problems() (ds plan.Diagnostics) {
	seen := map[string]bool{}
	for _, s := range d.Secrets {
		pos := []plan.Pos{s.Pos}
		if s.Pos == (plan.Pos{}) {
			pos = nil
		}
		if bad := validation.IsDNS1123Subdomain(s.Name); len(bad) > 0 {
			ds.Errorf(plan.CodeImportRead, pos, "give it another name", "%q is not a valid name of a Secret", s.Name)
		}
		if seen[s.String()] {
			ds.Errorf(plan.CodeImportRead, pos, "name files of one environment, and of one kind, at a time", "secret %s is there twice", s.Secret)
		}
		seen[s.String()] = true
		size := 0
		for _, k := range s.Keys {
			if bad := validation.IsConfigMapKey(k.Name); len(bad) > 0 {
				ds.Errorf(plan.CodeImportRead, pos, "keys have letters, digits, -, _ and .", "key %q of secret %s is not a valid key of a Secret", k.Name, s.Secret)
			}
			size += k.observed.Value.Len()
		}
		if size > 1<<20 {
			ds.Errorf(plan.CodeImportRead, pos, "split it", "secret %s has %d bytes, more than the %d that Kubernetes stores", s.Secret, size, 1<<20)
		}
		if len(s.Keys) == 0 {
			d.left(s, "it has no keys, and is left out")
		}
	}
	return ds
}

// Values are the values of the inputs that have one at a source.
func (d *Draft) Values() map[string]value.Value {
	values := map[string]value.Value{}
	for _, in := range d.Inputs {
		if in.Known && (in.secret || in.base != nil && in.Default == nil) {
			values[in.Name] = in.Value
		}
	}
	return values
}

// Missing are the inputs that someone has to provide yet, by name.
func (d *Draft) Missing() (names []string) {
	for _, in := range d.Inputs {
		if !in.Known && in.Class == plan.Required && in.Remote == nil {
			names = append(names, in.Name)
		}
	}
	if d.base != nil {
		for _, in := range d.base.Inputs {
			if in.Class == plan.Required && in.Default == nil && d.input(in.Name) == nil {
				names = append(names, in.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sorted returns the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
