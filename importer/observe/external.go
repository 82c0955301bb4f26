package observe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// storeRef names a store.
type storeRef struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// external is the spec of an ExternalSecret, of v1beta1 and v1
// (https://external-secrets.io/latest/api/externalsecret/).
type external struct {
	StoreRef        storeRef `json:"secretStoreRef"`
	RefreshInterval string   `json:"refreshInterval"`
	RefreshPolicy   string   `json:"refreshPolicy"`
	Target          struct {
		Name           string `json:"name"`
		CreationPolicy string `json:"creationPolicy"`
		DeletionPolicy string `json:"deletionPolicy"`
		Immutable      bool   `json:"immutable"`
		Template       *struct {
			Type          string `json:"type"`
			EngineVersion string `json:"engineVersion"`
			MergePolicy   string `json:"mergePolicy"`
			Metadata      struct {
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Data         map[string]string `json:"data"`
			TemplateFrom []json.RawMessage `json:"templateFrom"`
		} `json:"template"`
	} `json:"target"`
	Data []struct {
		SecretKey string    `json:"secretKey"`
		RemoteRef remoteRef `json:"remoteRef"`
		SourceRef *struct {
			StoreRef     *storeRef       `json:"storeRef"`
			GeneratorRef json.RawMessage `json:"generatorRef"`
		} `json:"sourceRef"`
	} `json:"data"`
	DataFrom []struct {
		Extract *remoteRef `json:"extract"`
	} `json:"dataFrom"`
}

type remoteRef struct {
	Key                string `json:"key"`
	Property           string `json:"property"`
	Version            string `json:"version"`
	DecodingStrategy   string `json:"decodingStrategy"`
	ConversionStrategy string `json:"conversionStrategy"`
	MetadataPolicy     string `json:"metadataPolicy"`
}

// externals reads the ExternalSecrets, now that all stores are known.
func (r *reader) externals() {
	for _, m := range r.external {
		var one struct {
			Spec external `json:"spec"`
		}
		if m.Kind == "ExternalSecret" {
			if json.Unmarshal(m.json, &one) != nil {
				r.bad(m, "`kubectl apply --dry-run=server -f FILE` says more", "it is not a valid ExternalSecret")
				continue
			}
			r.externalSecret(m, m.Metadata.Namespace, m.Metadata.Name, one.Spec)
			continue
		}
		var cluster struct {
			Spec struct {
				Name       string   `json:"externalSecretName"`
				Namespaces []string `json:"namespaces"`
				Spec       external `json:"externalSecretSpec"`
			} `json:"spec"`
		}
		if json.Unmarshal(m.json, &cluster) != nil {
			r.bad(m, "`kubectl apply --dry-run=server -f FILE` says more", "it is not a valid ClusterExternalSecret")
			continue
		}
		if len(cluster.Spec.Namespaces) == 0 {
			r.bad(m, "write the names under namespaces, as `kubectl get namespaces -l ...` prints them; or leave it out", "a selector says in which namespaces it is, and only the cluster knows these")
			continue
		}
		for _, ns := range cluster.Spec.Namespaces {
			r.externalSecret(m, ns, cmp.Or(cluster.Spec.Name, m.Metadata.Name), cluster.Spec.Spec)
		}
	}
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
			r.bad(m, "leave it out of the import, and what it is for to its store", "%s %s", store, problem)
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
	r.bad(m, "name its manifest as well: kubectl get "+strings.ToLower(kind)+" "+ref.Name+" -o yaml", "it takes values from %s %q, which is not among what was read, so nobody can tell which kind of source that is", kind, ref.Name)
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
		return s, "has not one provider"
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
			return s, "is of the provider " + name + ", which is no kind of source"
		}
	}
	return s, ""
}

// externalSecret reads one.
func (r *reader) externalSecret(m manifest, namespace, name string, e external) {
	s := r.of(m, m.Kind)
	s.Kind, s.Namespace, s.Name = External, namespace, cmp.Or(e.Target.Name, name)
	if s.Name != name || m.Kind == "ClusterExternalSecret" {
		r.ds.Warnf(plan.CodeImportLeft, []plan.Pos{m.pos}, "before the new one is applied, take the old one away and leave its Secret: `kubectl delete --cascade=orphan`",
			"%s: what is built in its place is ExternalSecret %s/%s, and two can't own one Secret", m, namespace, s.Name)
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
	parts := map[string]Remote{}
	for _, d := range e.Data {
		ref := e.StoreRef
		if d.SourceRef != nil && d.SourceRef.StoreRef != nil {
			ref = *d.SourceRef.StoreRef
		}
		if d.SourceRef != nil && len(d.SourceRef.GeneratorRef) > 0 {
			r.bad(m, "leave it out of the import", "key %s is made by a generator", d.SecretKey)
			ok = false
			continue
		}
		src, found := r.source(m, ref, namespace)
		if !found {
			ok = false
			continue
		}
		remote, problem := remoteOf(src, d.RemoteRef)
		if problem != "" {
			r.bad(m, "leave it out of the import, and write it by hand", "key %s %s", d.SecretKey, problem)
			ok = false
			continue
		}
		parts[d.SecretKey] = remote
	}
	for _, f := range e.DataFrom {
		what := "takes all that a search finds, or what a generator makes"
		if f.Extract != nil {
			what = fmt.Sprintf("takes all properties of %q (dataFrom.extract), and only the source can say which these are", f.Extract.Key)
		}
		r.bad(m, "write each under data, with its property; or leave it out of the import", "it %s", what)
		ok = false
	}
	if !ok {
		return
	}
	merged := true
	if t := e.Target.Template; t != nil {
		s.Type = t.Type
		s.Labels, s.Annotations = written(t.Metadata.Labels), written(t.Metadata.Annotations)
		merged = len(t.Data) == 0 && len(t.TemplateFrom) == 0 || t.MergePolicy == "Merge"
		if len(t.TemplateFrom) > 0 {
			r.bad(m, "write the template under data", "it has templates in other objects (templateFrom)")
			return
		}
		if t.EngineVersion == "v1" && len(t.Data) > 0 {
			r.bad(m, "rewrite them for engineVersion v2", "its templates are for the engine v1")
			return
		}
		for _, k := range slices.Sorted(maps.Keys(t.Data)) {
			key := Key{Name: k, Template: t.Data[k], Parts: parts}
			if !strings.Contains(t.Data[k], "{{") {
				key = Key{Name: k, State: Given, Value: value.New([]byte(t.Data[k]))}
				if t.Data[k] == "" {
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
	}
	slices.SortFunc(s.Keys, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	r.add(s)
}

// remoteOf is where a key of an ExternalSecret is.
func remoteOf(src Source, ref remoteRef) (r Remote, problem string) {
	r = Remote{Source: src.Name, Name: ref.Key, Property: ref.Property, Version: ref.Version}
	switch {
	case ref.DecodingStrategy == "Base64":
		r.Base64 = true
	case ref.DecodingStrategy != "" && ref.DecodingStrategy != "None":
		return r, "is decoded by the strategy " + ref.DecodingStrategy + ", which depends on what the value is"
	case ref.MetadataPolicy == "Fetch":
		return r, "is the metadata of a value"
	case src.Kind == plan.Vault && ref.Property == "":
		return r, "is all of an object of Vault, and not one property of it"
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
	return r, ""
}

// placeholders are what argocd-vault-plugin puts values in the place of
// (https://argocd-vault-plugin.readthedocs.io/en/stable/howitworks/).
var (
	placeholders = lazy.MustCompile(`<path:[^<>]+>|<[A-Za-z0-9_.-]+(?:\s*\|[^<>]+)?>`)
	inline       = lazy.MustCompile(`^<path:([^<>#]+)#([^<>#|]+?)(?:#([^<>#|]+?))?\s*(?:\|\s*([^<>]+?))?\s*>$`)
	named        = lazy.MustCompile(`^<([A-Za-z0-9_.-]+)\s*(?:\|\s*([^<>]+?))?\s*>$`)
)

// vaultPlugin reads a Secret that argocd-vault-plugin would fill, and reports
// whether it was one.
func (r *reader) vaultPlugin(m manifest, s *Secret) bool {
	path := m.Metadata.Annotations["avp.kubernetes.io/path"]
	version := m.Metadata.Annotations["avp.kubernetes.io/secret-version"]
	if m.Metadata.Annotations["avp.kubernetes.io/ignore"] == "true" {
		return false
	}
	text := func(k Key) string { return k.Template + string(k.Value.Reveal()) }
	is := func(k Key) bool {
		for _, p := range placeholders.FindAllString(text(k), -1) {
			if inline.MatchString(p) || path != "" {
				return true
			}
		}
		return false
	}
	if !slices.ContainsFunc(s.Keys, is) {
		for _, k := range s.Keys {
			if k.Template != "" {
				r.bad(m, "`base64 -w0` writes it; or put the text itself under stringData", "key %s of data is not valid base64", k.Name)
				return true
			}
		}
		return false
	}
	out := *s
	out.Kind, out.From, out.Keys = External, "Secret for argocd-vault-plugin", nil
	for _, k := range s.Keys {
		if !is(k) {
			out.Keys = append(out.Keys, k)
			continue
		}
		inData := k.Template != "" // as it stands there: what comes in its place is base64
		parts := map[string]Remote{}
		bad := ""
		template := placeholders.ReplaceAllStringFunc(text(k), func(p string) string {
			at, prop, v, modifier := path, "", version, ""
			if g := inline.FindStringSubmatch(p); g != nil {
				at, prop, v, modifier = g[1], strings.TrimSpace(g[2]), g[3], g[4]
			} else if g := named.FindStringSubmatch(p); g != nil && path != "" {
				prop, modifier = g[1], g[2]
			} else {
				return p
			}
			remote, problem := r.pluginRemote(at, prop, v)
			switch {
			case problem != "":
				bad = problem
			case inData && modifier == "":
				remote.Base64 = true
			case modifier == "base64encode" && inData:
			case modifier != "":
				bad = "has the modifier " + modifier
			}
			name := fmt.Sprintf("part%d", len(parts)+1)
			for other, was := range parts {
				if was == remote {
					name = other
				}
			}
			parts[name] = remote
			return "{{ ." + name + " }}"
		})
		if bad != "" {
			r.bad(m, "write it by hand", "key %s %s", k.Name, bad)
			continue
		}
		if template == "{{ .part1 }}" {
			p := parts["part1"]
			out.Keys = append(out.Keys, Key{Name: k.Name, Remote: &p})
		} else if inData {
			r.bad(m, "write it under stringData", "key %s of data has a placeholder among other text", k.Name)
		} else {
			out.Keys = append(out.Keys, Key{Name: k.Name, Template: template, Parts: parts})
		}
	}
	r.add(out)
	return true
}

// pluginRemote is where argocd-vault-plugin has a value from. Which backend it asks,
// its configuration says, and not the manifest; the form of the path tells.
func (r *reader) pluginRemote(path, property, version string) (Remote, string) {
	s := Source{Fields: map[string]string{}, Existing: "ClusterSecretStore"}
	remote := Remote{Name: path, Property: property, Version: version}
	parts := strings.Split(path, "/")
	switch {
	case strings.HasPrefix(path, "arn:aws:secretsmanager:"):
		s.Kind, s.Store = plan.AWSSecretsManager, "aws-secretsmanager"
		s.Fields["region"] = strings.Split(path, ":")[3]
	case len(parts) == 4 && parts[0] == "projects" && parts[2] == "secrets":
		s.Kind, s.Store = plan.GCPSecretManager, "gcp-secretmanager"
		s.Fields["project"] = parts[1]
		remote.Name = parts[3]
		if property == parts[3] || property == "" {
			remote.Property = "" // the secret itself
		}
	case len(parts) >= 3 && parts[1] == "data":
		s.Kind, s.Store = plan.Vault, "vault"
		s.Fields["mount"], s.Fields["version"] = parts[0], "v2"
		remote.Name = strings.Join(parts[2:], "/")
	case len(parts) >= 2:
		s.Kind, s.Store = plan.Vault, "vault"
		s.Fields["mount"], s.Fields["version"] = parts[0], "v1"
		remote.Name = strings.Join(parts[1:], "/")
	default:
		return remote, fmt.Sprintf("is at %q, by which nobody can tell what backend the plugin asks", path)
	}
	for _, o := range r.observed.Sources {
		if o.Kind == s.Kind && maps.Equal(o.Fields, s.Fields) {
			remote.Source = o.Name
			return remote, ""
		}
	}
	s.Name = s.Store
	for i := 2; slices.ContainsFunc(r.observed.Sources, func(o Source) bool { return o.Name == s.Name }); i++ {
		s.Name = fmt.Sprintf("%s-%d", s.Store, i)
	}
	s.Store = s.Name
	r.observed.Sources = append(r.observed.Sources, s)
	r.ds.Warnf(plan.CodeImportLeft, nil, "make it, with the rights that the plugin has now (https://external-secrets.io/latest/api/clustersecretstore/)",
		"the contract refers to a ClusterSecretStore %q, which argocd-vault-plugin did not need", s.Store)
	remote.Source = s.Name
	return remote, ""
}
