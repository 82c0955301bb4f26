package observe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// storeRef names a store.
type storeRef struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// external is the spec of an ExternalSecret, of v1beta1 and v1, with all fields that
// either has (https://external-secrets.io/latest/api/externalsecret/). What is not
// here is reported by its name.
type external struct {
	StoreRef        storeRef `json:"secretStoreRef"`
	RefreshInterval string   `json:"refreshInterval"`
	RefreshPolicy   string   `json:"refreshPolicy"`
	Target          struct {
		Name           string            `json:"name"`
		CreationPolicy string            `json:"creationPolicy"`
		DeletionPolicy string            `json:"deletionPolicy"`
		Immutable      bool              `json:"immutable"`
		Template       *externalTemplate `json:"template"`
	} `json:"target"`
	Data []struct {
		SecretKey string     `json:"secretKey"`
		RemoteRef remoteRef  `json:"remoteRef"`
		SourceRef *sourceRef `json:"sourceRef"`
	} `json:"data"`
	DataFrom []struct {
		Extract *remoteRef `json:"extract"`
		Find    *struct {
			Path string `json:"path"`
			Name *struct {
				RegExp string `json:"regexp"`
			} `json:"name"`
			Tags               map[string]string `json:"tags"`
			ConversionStrategy string            `json:"conversionStrategy"`
			DecodingStrategy   string            `json:"decodingStrategy"`
		} `json:"find"`
		Rewrite   []rewrite  `json:"rewrite"`
		SourceRef *sourceRef `json:"sourceRef"`
	} `json:"dataFrom"`
}

// rewrite is a rule by which the keys that dataFrom takes get other names.
type rewrite struct {
	Regexp *struct {
		Source string `json:"source"`
		Target string `json:"target"`
	} `json:"regexp"`
	Merge     json.RawMessage `json:"merge"`
	Transform json.RawMessage `json:"transform"`
}

type externalTemplate struct {
	Type          string `json:"type"`
	EngineVersion string `json:"engineVersion"`
	MergePolicy   string `json:"mergePolicy"`
	Metadata      struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Data         map[string]string `json:"data"`
	TemplateFrom []templateFrom    `json:"templateFrom"`
}

type templateFrom struct {
	ConfigMap *templateObject `json:"configMap"`
	Secret    *templateObject `json:"secret"`
	Literal   *string         `json:"literal"`
	Target    string          `json:"target"`
}

type templateObject struct {
	Name  string `json:"name"`
	Items []struct {
		Key        string `json:"key"`
		TemplateAs string `json:"templateAs"`
	} `json:"items"`
}

type remoteRef struct {
	Key                string `json:"key"`
	Property           string `json:"property"`
	Version            string `json:"version"`
	DecodingStrategy   string `json:"decodingStrategy"`
	ConversionStrategy string `json:"conversionStrategy"`
	MetadataPolicy     string `json:"metadataPolicy"`
}

type sourceRef struct {
	StoreRef     *storeRef     `json:"storeRef"`
	GeneratorRef *generatorRef `json:"generatorRef"`
}

type generatorRef struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
}

func (g generatorRef) String() string { return "the generator " + g.Kind + " " + g.Name }

// unknownFields are the fields of a JSON value that t has no place for, by their paths.
func unknownFields(text json.RawMessage, t reflect.Type, path string) (all []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
	case t.Kind() == reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(text, &items) == nil {
			for i, item := range items {
				all = append(all, unknownFields(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case t.Kind() == reflect.Struct:
		var fields map[string]json.RawMessage
		if json.Unmarshal(text, &fields) != nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			at := strings.TrimPrefix(path+"."+name, ".")
			field, ok := t.FieldByNameFunc(func(f string) bool {
				sf, _ := t.FieldByName(f)
				return sf.Tag.Get("json") == name
			})
			if ok {
				all = append(all, unknownFields(fields[name], field.Type, at)...)
			} else if v := string(fields[name]); v != "null" && v != "{}" && v != "[]" && v != `""` {
				all = append(all, at)
			}
		}
	}
	return all
}

// externals reads the ExternalSecrets, now that all stores are known.
func (r *reader) externals() {
	for _, m := range r.external {
		if v := path.Base(m.APIVersion); v != "v1beta1" && v != "v1" {
			r.bad(m, "write it as external-secrets.io/v1: `kubectl get externalsecret "+m.Metadata.Name+" -o yaml` prints what the cluster has", "it is of the version %s, which the operator no longer serves", v)
			continue
		}
		if m.Kind == "ExternalSecret" {
			var one struct {
				Spec json.RawMessage `json:"spec"`
			}
			if json.Unmarshal(m.json, &one) != nil {
				r.bad(m, "`kubectl apply --dry-run=server -f FILE` says more", "it is not a valid ExternalSecret")
				continue
			}
			if e, ok := r.externalSpec(m, one.Spec); ok {
				r.externalSecret(m, m.Metadata.Namespace, m.Metadata.Name, e)
			}
			continue
		}
		var cluster struct {
			Spec struct {
				Name       string   `json:"externalSecretName"`
				Namespaces []string `json:"namespaces"`
				Metadata   struct {
					Labels      map[string]string `json:"labels"`
					Annotations map[string]string `json:"annotations"`
				} `json:"externalSecretMetadata"`
				Spec json.RawMessage `json:"externalSecretSpec"`
			} `json:"spec"`
		}
		if json.Unmarshal(m.json, &cluster) != nil {
			r.bad(m, "`kubectl apply --dry-run=server -f FILE` says more", "it is not a valid ClusterExternalSecret")
			continue
		}
		if len(cluster.Spec.Namespaces) == 0 {
			r.bad(m, "write the names under namespaces, as `kubectl get namespaces -l ...` prints them; or leave it out", "a selector decides in which namespaces it is, and only the cluster knows these")
			continue
		}
		e, ok := r.externalSpec(m, cluster.Spec.Spec)
		if !ok {
			continue
		}
		of := m // the ExternalSecrets that it makes have its own metadata
		of.Metadata.Labels, of.Metadata.Annotations = cluster.Spec.Metadata.Labels, cluster.Spec.Metadata.Annotations
		for _, ns := range cluster.Spec.Namespaces {
			r.externalSecret(of, ns, cmp.Or(cluster.Spec.Name, m.Metadata.Name), e)
		}
	}
}

// externalSpec reads a spec, and tells what in it no contract has a word for.
func (r *reader) externalSpec(m manifest, text json.RawMessage) (e external, ok bool) {
	if json.Unmarshal(text, &e) != nil {
		r.bad(m, "`kubectl apply --dry-run=server -f FILE` says more", "it is not a valid %s", m.Kind)
		return e, false
	}
	ok = true
	for _, field := range unknownFields(text, reflect.TypeFor[external](), "") {
		if strings.HasPrefix(field, "target.manifest") {
			r.bad(m, "leave it out of the import", "it makes an object other than a Secret (target.manifest)")
			ok = false
			continue
		}
		r.left(m, "a contract can't express %s", field)
	}
	return e, ok
}

// source returns the source of a store, which it adds if it is new.
func (r *reader) source(m manifest, ref storeRef, namespace string) (Source, bool) {
	kind := cmp.Or(ref.Kind, "SecretStore")
	for _, s := range r.observed.Sources {
		if s.Store == ref.Name && s.Existing == kind {
			return s, true
		}
	}
	for _, store := range r.stores {
		if store.Kind != kind || store.Metadata.Name != ref.Name || kind == "SecretStore" && store.Metadata.Namespace != "" && namespace != "" && store.Metadata.Namespace != namespace {
			continue
		}
		s, problem := sourceOf(store)
		if problem != "" {
			r.bad(m, "leave it out of the import", "%s %s", store, problem)
			return s, false
		}
		s.Store, s.Existing = ref.Name, kind
		s.Name = ObjectName(ref.Name)
		for i := 2; slices.ContainsFunc(r.observed.Sources, func(o Source) bool { return o.Name == s.Name }); i++ {
			s.Name = fmt.Sprintf("%s-%d", ObjectName(ref.Name), i)
		}
		r.observed.Sources = append(r.observed.Sources, s)
		return s, true
	}
	r.bad(m, "name its manifest as well: kubectl get "+strings.ToLower(kind)+" "+ref.Name+" -o yaml", "it takes values from %s %q, which was not read, so the kind of the source is not known", kind, ref.Name)
	return Source{}, false
}

// sourceOf tells what kind of source a store is
// (https://external-secrets.io/latest/api/secretstore/).
func sourceOf(m manifest) (s Source, problem string) {
	var store struct {
		Spec struct {
			Provider map[string]json.RawMessage `json:"provider"`
		} `json:"spec"`
	}
	if json.Unmarshal(m.json, &store) != nil || len(store.Spec.Provider) != 1 {
		return s, "does not have exactly one provider"
	}
	s.Fields = map[string]string{}
	for _, name := range slices.Collect(maps.Keys(store.Spec.Provider)) {
		var p struct {
			Service, Region, Role, Prefix string
			Server, Path, Namespace       string
			Version                       string
			ProjectID, Location           string
			VaultURL                      string `json:"vaultUrl"`
		}
		if json.Unmarshal(store.Spec.Provider[name], &p) != nil {
			return s, "is not valid"
		}
		set := func(field, v string) {
			if v != "" {
				s.Fields[field] = v
			}
		}
		switch name {
		case "aws":
			s.Kind = plan.AWSSecretsManager
			if p.Service == "ParameterStore" {
				s.Kind = plan.AWSSSM
			}
			set("region", p.Region)
			if p.Prefix != "" {
				return s, "has a prefix"
			}
		case "vault":
			s.Kind = plan.Vault
			set("address", p.Server)
			set("mount", p.Path)
			set("version", cmp.Or(p.Version, "v2"))
			set("namespace", p.Namespace)
		case "gcpsm":
			s.Kind = plan.GCPSecretManager
			set("project", p.ProjectID)
			set("location", p.Location)
		case "azurekv":
			s.Kind = plan.AzureKeyVault
			set("vault", p.VaultURL)
		default:
			return s, "is of the provider " + name + ", for which there is no kind of source"
		}
	}
	return s, ""
}

// externalSecret reads one.
func (r *reader) externalSecret(m manifest, namespace, name string, e external) {
	s := r.of(m, m.Kind)
	s.Kind, s.Namespace, s.Name = External, namespace, cmp.Or(e.Target.Name, name)
	if s.Name != name || m.Kind == "ClusterExternalSecret" {
		r.ds.Warnf(plan.CodeImportLeft, m.at(), "before the new one is applied, remove the old one and keep its Secret: `kubectl delete --cascade=orphan`",
			"%s: it is replaced by ExternalSecret %s/%s, and two can't own one Secret", m, namespace, s.Name)
	}
	s.Immutable, s.Refresh = e.Target.Immutable, e.RefreshInterval
	s.Labels, s.Annotations = map[string]string{}, map[string]string{}
	s.Policies = map[string]string{}
	for field, v := range map[string]string{"refreshPolicy": e.RefreshPolicy, "creationPolicy": e.Target.CreationPolicy, "deletionPolicy": e.Target.DeletionPolicy} {
		if v != "" && v != map[string]string{"refreshPolicy": "Periodic", "creationPolicy": "Owner", "deletionPolicy": "Retain"}[field] {
			s.Policies[field] = v
		}
	}
	if s.Refresh == "1h" || s.Refresh == "1h0m0s" || s.Refresh == "60m" {
		s.Refresh = "" // as it is without a word
	}
	ok := true
	bad := func(hint, format string, args ...any) {
		r.bad(m, hint, format, args...)
		ok = false
	}
	parts := map[string]Remote{}
	for _, d := range e.Data {
		if g := d.SourceRef.generator(); g != nil {
			bad(byGenerator, "key %s is made by %s (sourceRef.generatorRef)", d.SecretKey, g)
			continue
		}
		src, found := r.source(m, d.SourceRef.store(e.StoreRef), namespace)
		if !found {
			ok = false
			continue
		}
		remote, problem := remoteOf(src, d.RemoteRef)
		if problem != "" {
			bad("leave it out of the import, and write it by hand", "key %s %s", d.SecretKey, problem)
			continue
		}
		parts[d.SecretKey] = remote
	}
	merged := true
	texts := map[string]string{}
	if t := e.Target.Template; t != nil {
		s.Type = t.Type
		s.Labels, s.Annotations = written(t.Metadata.Labels), written(t.Metadata.Annotations)
		merged = len(t.Data) == 0 && len(t.TemplateFrom) == 0 || t.MergePolicy == "Merge"
		for i, from := range t.TemplateFrom {
			if problem := r.templateFrom(m, from, namespace, texts); problem != "" {
				bad("write the template under target.template.data", "target.template.templateFrom[%d] %s", i, problem)
			}
		}
		maps.Copy(texts, t.Data) // which the operator executes last
		if t.EngineVersion == "v1" && len(texts) > 0 {
			bad("rewrite them for engineVersion v2", "its templates are for the engine v1")
		}
	}
	ok = r.dataFrom(m, namespace, s, e, merged, texts, parts) && ok
	if !ok {
		return
	}
	if t := e.Target.Template; t != nil {
		for _, k := range slices.Sorted(maps.Keys(texts)) {
			key := Key{Name: k, Template: texts[k], Parts: parts}
			if !strings.Contains(texts[k], "{{") {
				key = Key{Name: k, State: Given, Value: value.New([]byte(texts[k]))}
				if texts[k] == "" {
					key.State = Empty
				}
			}
			s.Keys = append(s.Keys, key)
		}
	} else {
		s.Labels, s.Annotations = written(m.Metadata.Labels), written(m.Metadata.Annotations)
	}
	if merged {
		for _, k := range slices.Sorted(maps.Keys(parts)) {
			if !slices.ContainsFunc(s.Keys, func(o Key) bool { return o.Name == k }) {
				p := parts[k]
				s.Keys = append(s.Keys, Key{Name: k, Remote: &p})
			}
		}
	} else {
		var taken []string
		whole := false
		for _, text := range texts {
			taken, whole = append(taken, named(text)...), whole || goesThroughAll(text)
		}
		for _, d := range e.Data {
			if !whole && !slices.Contains(taken, d.SecretKey) {
				r.left(m, "%s is read, but no template uses it (target.template.data)", d.SecretKey)
			}
		}
	}
	slices.SortFunc(s.Keys, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	r.add(s)
}

// byGenerator is what to do about what a generator of the operator makes.
const byGenerator = "leave it out of the import, and write a schema.#Generated with the same rules: its source keeps the value, and `victorgen recover` copies the current one there"

func (s *sourceRef) generator() *generatorRef {
	if s == nil {
		return nil
	}
	return s.GeneratorRef
}

func (s *sourceRef) store(otherwise storeRef) storeRef {
	if s == nil || s.StoreRef == nil {
		return otherwise
	}
	return *s.StoreRef
}

// located is something at a source.
type located struct {
	src Source
	ref remoteRef
}

// extract is an object of which dataFrom takes all properties.
type extract struct {
	located
	rename func(property string) string // nil if a key has the name of its property
	how    string                       // the field that says so
}

// renames takes in what gives keys other names than properties have
// (https://external-secrets.io/latest/guides/datafrom-rewrite/). Without rules, the
// operator writes another character in the place of what no key of a Secret may have.
func (x *extract) renames(rules []rewrite, conversion string) (problem string) {
	if len(rules) == 0 {
		if conversion == "Unicode" {
			x.how, x.rename = "conversionStrategy: Unicode", func(s string) string {
				return notInKey.ReplaceAllStringFunc(s, func(c string) string { return fmt.Sprintf("_U%04x_", []rune(c)[0]) })
			}
		}
		return ""
	}
	var all []func(string) string
	for _, rule := range rules {
		switch {
		case rule.Merge != nil:
			return "makes one value of several (rewrite.merge)"
		case rule.Regexp == nil:
			return "renames what it takes by a template (rewrite.transform)"
		}
		re, err := regexp.Compile(rule.Regexp.Source)
		if err != nil {
			return "has a rewrite whose source is not a valid regular expression"
		}
		all = append(all, func(s string) string { return re.ReplaceAllString(s, rule.Regexp.Target) })
	}
	x.how, x.rename = "rewrite", func(s string) string {
		for _, one := range all {
			s = one(s)
		}
		return s
	}
	return ""
}

var (
	notInKey = lazy.MustCompile(`[^\pL\pN._-]`)
	inKey    = lazy.MustCompile(`^[-._a-zA-Z0-9]+$`)
)

// asked are the keys that extracts give, as their sources say. Of one name in several,
// the last counts, as the operator has it.
func (r *reader) asked(m manifest, extracts []extract) (keys map[string]located, ok bool) {
	keys, ok = map[string]located{}, true
	for _, x := range extracts {
		properties, answered := r.options.Properties(r.ctx, x.src, placeOf(x.src, x.ref))
		if !answered {
			r.silent, ok = true, false
			continue
		}
		own := map[string]string{}
		for _, property := range properties {
			key := notInKey.ReplaceAllString(property, "_")
			if x.rename != nil {
				key = x.rename(property)
			}
			other, twice := own[key]
			switch {
			case twice:
				r.bad(m, "write each key under data, with its property", "the properties %q and %q of %q become one key", other, property, x.ref.Key)
			case !inKey.MatchString(key):
				r.bad(m, "the operator rejects it; write each key under data, with its property", "property %q of %q becomes a key that is not valid in Kubernetes", property, x.ref.Key)
			case x.ref.Property != "" && strings.Contains(property, "."):
				r.bad(m, "write each key under data, with its property", "property %q of %q is inside another, and has a dot in its name", property, x.ref.Key)
			default:
				own[key] = property
				from := x.located
				from.ref.Property = within(x.ref.Property, property)
				keys[key] = from
				continue
			}
			ok = false
		}
	}
	return keys, ok
}

// within is a property that lies in another one.
func within(outer, property string) string { return strings.TrimPrefix(outer+"."+property, ".") }

var wholeContext = lazy.MustCompile(`[\s({|-](\.|\$)[\s)}|]|\brange\b`)

// goesThroughAll reports whether a template has an action over all keys that are there.
func goesThroughAll(text string) bool {
	return slices.ContainsFunc(actions.FindAllString(text, -1), func(a string) bool {
		return wholeContext.MatchString(references.ReplaceAllString(a, ""))
	})
}

// dataFrom adds to parts what dataFrom takes, as far as anyone says which keys these
// are: the templates of the Secret, or the workloads that use it.
func (r *reader) dataFrom(m manifest, namespace string, s Secret, e external, merged bool, templates map[string]string, parts map[string]Remote) (ok bool) {
	ok = true
	bad := func(hint, format string, args ...any) {
		r.bad(m, hint, format, args...)
		ok = false
	}
	const one = "write each key under data, with its property; or leave it out of the import"
	var extracts []extract
	for i, f := range e.DataFrom {
		var x extract
		if g := f.SourceRef.generator(); g != nil {
			bad(byGenerator, "dataFrom[%d] takes what %s makes (sourceRef.generatorRef)", i, g)
			continue
		}
		if f.Find != nil {
			by := "in " + strconv.Quote(f.Find.Path)
			switch {
			case f.Find.Name != nil:
				by = "by the name " + strconv.Quote(f.Find.Name.RegExp)
			case len(f.Find.Tags) > 0:
				by = "by tags"
			}
			bad(one, "dataFrom[%d] takes everything that a search %s finds (find), which may change", i, by)
			continue
		}
		if f.Extract == nil {
			bad(one, "dataFrom[%d] says neither extract nor find", i)
			continue
		}
		if problem := x.renames(f.Rewrite, f.Extract.ConversionStrategy); problem != "" {
			bad(one, "dataFrom[%d] %s", i, problem)
			continue
		}
		if x.rename != nil && r.options.Properties == nil {
			bad("ask the source which keys these are, with --ask-sources; or "+one, "dataFrom[%d] renames what it takes (%s)", i, x.how)
			continue
		}
		src, found := r.source(m, f.SourceRef.store(e.StoreRef), namespace)
		if !found {
			ok = false
			continue
		}
		x.located = located{src, *f.Extract}
		extracts = append(extracts, x)
	}
	if len(extracts) == 0 || !ok {
		return ok
	}
	names := map[string]bool{}
	for _, text := range templates {
		if goesThroughAll(text) {
			bad(one, "it takes all properties of %q (dataFrom.extract), and a template ranges over all of them", extracts[0].ref.Key)
			return ok
		}
		for _, name := range named(text) {
			names[name] = true
		}
	}
	who := "workloads and templates name"
	var asked map[string]located // what the sources have
	if r.options.Properties != nil {
		who = "the source has now"
		if asked, ok = r.asked(m, extracts); !ok {
			return ok
		}
	}
	if merged {
		var all []string
		if asked != nil {
			all = slices.Collect(maps.Keys(asked))
		} else if r.options.Keys != nil {
			if all = r.options.Keys(namespace, s.Name); len(all) > 0 {
				who = "the Secret of the cluster has"
			}
		}
		use := r.used[s.Name]
		switch {
		case len(all) > 0:
		case use == nil:
			bad(one+"; or name the workloads that use it as well; or ask the source, with --ask-sources", "it takes all properties of %q (dataFrom.extract), and nothing that was read shows which of them are used", extracts[0].ref.Key)
			return ok
		case use.whole != "":
			bad(one+"; or ask the source, with --ask-sources", "it takes all properties of %q (dataFrom.extract), and %s takes all keys of the Secret", extracts[0].ref.Key, use.whole)
			return ok
		default:
			all = slices.Collect(maps.Keys(use.keys))
		}
		for _, name := range all {
			if _, made := templates[name]; !made {
				names[name] = true
			}
		}
	}
	var taken []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, is := parts[name]; is {
			continue
		}
		from := extracts[0].located
		if asked != nil {
			var has bool
			if from, has = asked[name]; !has {
				bad("check whether the operator makes the Secret at all", "a template names %s, which is neither under data nor a property that the source has (dataFrom.extract)", name)
				continue
			}
		} else {
			if len(extracts) > 1 {
				bad("ask the sources, with --ask-sources; or "+one, "key %s comes from one of %d objects (dataFrom.extract), and only the source knows which", name, len(extracts))
				continue
			}
			if strings.Contains(name, ".") && (from.ref.Property != "" || from.src.Kind != plan.Vault) {
				bad("ask the source, with --ask-sources; or "+one, "key %s has a dot in its name, and only the source knows whether that is a property, or one inside another (dataFrom.extract)", name)
				continue
			}
			from.ref.Property = within(from.ref.Property, name)
		}
		remote, problem := remoteOf(from.src, from.ref)
		if problem != "" {
			bad(one, "key %s %s", name, problem)
			continue
		}
		parts[name] = remote
		taken = append(taken, name)
	}
	if ok && merged {
		r.left(m, "from the properties of %q (dataFrom.extract), those that %s are imported: %s", extracts[0].ref.Key, who, strings.Join(taken, ", "))
	}
	return ok
}

// named are the keys that the actions of a template name.
func named(text string) (names []string) {
	for _, a := range actions.FindAllString(text, -1) {
		for _, m := range references.FindAllStringSubmatch(a, -1) {
			names = append(names, cmp.Or(m[1], m[2]))
		}
	}
	return names
}

var (
	actions    = lazy.MustCompile(`(?s)\{\{.*?\}\}`)
	references = lazy.MustCompile(`\bindex\s+\.\s+"([^"]+)"|(?:^\{\{-?|[\s({|])\.([A-Za-z_][A-Za-z0-9_]*)`)
)

// templateFrom adds to texts the templates that an ExternalSecret has from elsewhere.
func (r *reader) templateFrom(m manifest, t templateFrom, namespace string, texts map[string]string) (problem string) {
	if t.Target != "" && t.Target != "Data" {
		return "makes " + strings.ToLower(t.Target) + " of values"
	}
	// A document whose fields are keys: the operator executes it, and reads what comes
	// out. It is read first here, which gives the same unless a value has characters
	// that YAML reads in its own way.
	document := func(text string) string {
		if strings.Contains(text, "{{") {
			r.left(m, "the operator puts values into a document (templateFrom) before it reads its keys, and a build renders each key by itself: a value with a quote, a backslash or a # is then no longer broken or cut off")
		}
		var fields map[string]any
		if yaml.Unmarshal([]byte(text), &fields) != nil || len(fields) == 0 {
			return "is not a list of keys before it is executed (templateAs: KeysAndValues)"
		}
		for name, v := range fields {
			s, ok := v.(string)
			if !ok || strings.Contains(name, "{{") {
				return "is not a list of keys before it is executed (templateAs: KeysAndValues)"
			}
			texts[name] = s
		}
		return ""
	}
	switch {
	case t.Literal != nil:
		return document(*t.Literal)
	case t.Secret != nil:
		return fmt.Sprintf("has a template in Secret %q (templateFrom.secret)", t.Secret.Name)
	case t.ConfigMap == nil:
		return "says neither literal nor configMap"
	}
	data, ok := r.configs[namespace+"/"+t.ConfigMap.Name]
	if !ok {
		if data, ok = r.configs["/"+t.ConfigMap.Name]; !ok {
			return fmt.Sprintf("has a template in ConfigMap %q, which was not read", t.ConfigMap.Name)
		}
	}
	for _, item := range t.ConfigMap.Items {
		text, ok := data[item.Key]
		switch {
		case !ok:
			return fmt.Sprintf("has a template under the key %q of ConfigMap %q, which has none", item.Key, t.ConfigMap.Name)
		case item.TemplateAs == "KeysAndValues":
			if problem := document(text); problem != "" {
				return problem
			}
		default:
			texts[item.Key] = text
		}
	}
	return ""
}

// remoteOf is where a key of an ExternalSecret is.
func remoteOf(src Source, ref remoteRef) (r Remote, problem string) {
	r = placeOf(src, ref)
	switch {
	case ref.DecodingStrategy == "Base64":
	case ref.DecodingStrategy != "" && ref.DecodingStrategy != "None":
		return r, "is decoded by the strategy " + ref.DecodingStrategy + " (decodingStrategy), and a contract only knows Base64"
	case ref.MetadataPolicy == "Fetch":
		return r, "is the metadata of a value (metadataPolicy: Fetch)"
	case src.Kind == plan.AzureKeyVault && (strings.HasPrefix(ref.Key, "key/") || strings.HasPrefix(ref.Key, "cert/")):
		return r, "is a key or a certificate of Key Vault (" + ref.Key + "), not a secret"
	case src.Kind == plan.Vault && ref.Property == "":
		return r, "is a whole object of Vault, not one property of it"
	}
	return r, ""
}

// placeOf is where something is, by the names that the contract has for it.
func placeOf(src Source, ref remoteRef) Remote {
	r := Remote{Source: src.Name, Name: ref.Key, Property: ref.Property, Version: ref.Version, Base64: ref.DecodingStrategy == "Base64"}
	switch src.Kind {
	case plan.AzureKeyVault:
		r.Name = strings.TrimPrefix(r.Name, "secret/")
	case plan.AWSSecretsManager:
		r.Version = strings.TrimPrefix(r.Version, "uuid/") // which a build writes again
	}
	if src.Kind == plan.Vault {
		r.Name = strings.Trim(r.Name, "/")
		if mount := src.Fields["mount"]; mount != "" { // the operator adds both where they are not
			r.Name = strings.TrimPrefix(r.Name, mount+"/")
			if src.Fields["version"] != "v1" {
				r.Name = strings.TrimPrefix(r.Name, "data/")
			}
		} else if first, rest, ok := strings.Cut(r.Name, "/"); ok {
			r.Name = rest
			if src.Fields["version"] != "v1" {
				r.Name = strings.TrimPrefix(r.Name, "data/")
			}
			if src.Fields["mount"] == "" {
				src.Fields["mount"] = first
			}
		}
	}
	return r
}
