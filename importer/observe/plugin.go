package observe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// placeholders are what argocd-vault-plugin puts values in the place of
// (https://argocd-vault-plugin.readthedocs.io/en/stable/howitworks/).
var (
	placeholders = lazy.MustCompile(`<path:[^<>]+>|<[A-Za-z0-9_.-]+(?:\s*\|[^<>]+)?>`)
	inline       = lazy.MustCompile(`^<path:([^<>#]+)#([^<>#|]+?)(?:#([^<>#|]+?))?\s*(?:\|\s*([^<>]+?))?\s*>$`)
	byName       = lazy.MustCompile(`^<([A-Za-z0-9_.-]+)\s*(?:\|\s*([^<>]+?))?\s*>$`)
)

// vaultPlugin reads a Secret that argocd-vault-plugin would fill, and reports
// whether it was one.
func (r *reader) vaultPlugin(m manifest, s *Secret) bool {
	path := m.Metadata.Annotations["avp.kubernetes.io/path"]
	version := m.Metadata.Annotations["avp.kubernetes.io/secret-version"]
	kv := m.Metadata.Annotations["avp.kubernetes.io/kv-version"]
	removes := m.Metadata.Annotations["avp.kubernetes.io/remove-missing"] == "true"
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
			} else if g := byName.FindStringSubmatch(p); g != nil && path != "" {
				prop, modifier = g[1], g[2]
			} else {
				return p
			}
			remote, problem := r.pluginRemote(at, prop, v, kv)
			if problem != "" {
				bad = problem
				return p
			}
			// How often what the source has is decoded and encoded again until it is in the
			// Secret; data of a Secret is decoded by the API server.
			level := 0
			if inData {
				level--
			}
			for _, one := range strings.Split(modifier, "|") {
				switch one = strings.TrimSpace(one); one {
				case "":
				case "base64encode":
					level++
				case "base64decode":
					level--
				default:
					bad = "has the modifier " + one
				}
			}
			action := ""
			switch level {
			case 0:
			case -1:
				remote.Base64 = true
			case 1:
				action = " | b64enc"
			default:
				bad = "is decoded twice"
			}
			name := fmt.Sprintf("part%d", len(parts)+1)
			for other, was := range parts {
				if was == remote {
					name = other
				}
			}
			parts[name] = remote
			return "{{ ." + name + action + " }}"
		})
		if bad != "" {
			r.bad(m, "write it by hand", "key %s %s", k.Name, bad)
			continue
		}
		if template == "{{ .part1 }}" {
			p := parts["part1"]
			out.Keys = append(out.Keys, Key{Name: k.Name, Remote: &p})
		} else if inData && template == "{{ .part1 | b64enc }}" {
			out.Keys = append(out.Keys, Key{Name: k.Name, Template: template, Parts: parts})
		} else if inData {
			r.bad(m, "write it under stringData", "key %s of data has a placeholder among other text", k.Name)
		} else {
			out.Keys = append(out.Keys, Key{Name: k.Name, Template: template, Parts: parts})
		}
	}
	if removes {
		r.left(m, "avp.kubernetes.io/remove-missing leaves out a key whose value is absent; a schema.#Optional in the contract does so")
	}
	r.add(out)
	return true
}

// backends are the paths of the plugin's backends for which there is no kind of source
// (https://argocd-vault-plugin.readthedocs.io/en/stable/backends/).
var backends = []struct {
	name string
	path *lazy.Regexp
}{
	{"IBM Cloud Secrets Manager", lazy.MustCompile(`^ibmcloud/`)},
	{"1Password Connect", lazy.MustCompile(`^vaults/[^/]+/items/`)},
	{"Delinea Secret Server", lazy.MustCompile(`^[0-9]+$`)},
	{"Yandex Cloud Lockbox", lazy.MustCompile(`^e6q[a-z0-9]{17}$`)},
	{"SOPS", lazy.MustCompile(`\.(ya?ml|json)$`)},
}

// pluginRemote is where argocd-vault-plugin has a value from. Which backend it asks,
// its configuration says, and not the manifest; the form of the path tells. kv is the
// version of Vault's engine, if an annotation says it.
func (r *reader) pluginRemote(path, property, version, kv string) (Remote, string) {
	s := Source{Fields: map[string]string{}, Existing: "ClusterSecretStore"}
	remote := Remote{Name: path, Property: property, Version: version}
	parts := strings.Split(path, "/")
	for _, b := range backends {
		if b.path.MatchString(path) {
			return remote, fmt.Sprintf("is at %q, in %s, for which there is no kind of source", path, b.name)
		}
	}
	switch {
	case strings.HasPrefix(path, "arn:aws:secretsmanager:") && len(strings.Split(path, ":")) >= 7:
		s.Kind, s.Store = plan.AWSSecretsManager, "aws-secretsmanager"
		s.Fields["region"] = strings.Split(path, ":")[3]
	case len(parts) == 4 && parts[0] == "projects" && parts[2] == "secrets":
		s.Kind, s.Store = plan.GCPSecretManager, "gcp-secretmanager"
		s.Fields["project"] = parts[1]
		remote.Name = parts[3]
		if property == parts[3] || property == "" {
			remote.Property = "" // the secret itself
		}
	case len(parts) >= 3 && parts[1] == "data" && kv != "1":
		s.Kind, s.Store = plan.Vault, "vault"
		s.Fields["mount"], s.Fields["version"] = parts[0], "v2"
		remote.Name = strings.Join(parts[2:], "/")
	case len(parts) >= 2 && kv == "2":
		return remote, fmt.Sprintf("is at %q, which has no data/ after its mount, as version 2 of Vault's engine requires", path)
	case len(parts) >= 2:
		s.Kind, s.Store = plan.Vault, "vault"
		s.Fields["mount"], s.Fields["version"] = parts[0], "v1"
		remote.Name = strings.Join(parts[1:], "/")
		if version != "" {
			return remote, fmt.Sprintf("is version %s of %q, and version 1 of Vault's engine keeps none", version, path)
		}
	default:
		return remote, fmt.Sprintf("is at %q, from which the plugin's backend is not known", path)
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
	r.ds.Warnf(plan.CodeImportLeft, nil, "create it, with the rights that the plugin has now (https://external-secrets.io/latest/api/clustersecretstore/)",
		"the contract refers to a ClusterSecretStore %q, which argocd-vault-plugin did not need", s.Store)
	if s.Fields["version"] == "v1" && kv != "1" {
		r.ds.Warnf(plan.CodeImportLeft, nil, "write avp.kubernetes.io/kv-version: \"1\" if it is; leave it out of the import if the plugin asks AWS or Azure",
			"%q is read as a path of version 1 of Vault's engine, because it has no data/ in it", path)
	}
	remote.Source = s.Name
	return remote, ""
}
