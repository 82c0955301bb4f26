package observe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/offline"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Stdin stands for what comes on standard input.
const Stdin = "-"

// Options say how manifests are read.
type Options struct {
	Stdin io.Reader
	// Values returns what a Secret of the cluster holds, for a SealedSecret, whose
	// values no one else can tell; ok is false if there is none. nil knows of none.
	Values func(ctx context.Context, namespace, name string) (data map[string]value.Value, ok bool)
	// Keys returns the keys of the Secret that an ExternalSecret has made in the cluster;
	// none if there is no such Secret. nil knows of none.
	Keys func(namespace, name string) []string
	// Properties asks a source for the names of the properties that an object has, all
	// of those within the property of r if that has one; ok is false if it can't tell,
	// and has been reported. nil asks no source.
	Properties func(ctx context.Context, s Source, r Remote) (names []string, ok bool)
	// Named are Secrets that are asked for by name: it is an error if one is left out.
	Named []string
}

// Manifests reads what paths name: files and directories of manifests, and
// kustomizations, which are rendered without a network; [Stdin] is standard input.
// What is no Secret, and nothing that one is made from, is ignored, but for
// workloads, which say what may be absent.
func Manifests(ctx context.Context, paths []string, o Options) (*Observed, plan.Diagnostics) {
	return read(ctx, o, func(r *reader) { r.paths(paths) })
}

// Objects reads objects of Kubernetes, each of which is JSON, as Manifests does.
func Objects(ctx context.Context, objects [][]byte, o Options) (*Observed, plan.Diagnostics) {
	return read(ctx, o, func(r *reader) {
		for _, js := range objects {
			r.object(js, plan.Pos{})
		}
	})
}

func read(ctx context.Context, o Options, from func(*reader)) (*Observed, plan.Diagnostics) {
	r := &reader{ctx: ctx, options: o, observed: &Observed{}, optional: map[string]bool{}, used: map[string]*use{}, configs: map[string]map[string]string{}}
	from(r)
	r.externals()
	r.finish()
	for i := range r.ds {
		r.ds[i].Mask = true
	}
	r.ds.Sort()
	return r.observed, r.ds
}

func (r *reader) paths(paths []string) {
	for _, path := range paths {
		if path == Stdin {
			text, ds := readAll(r.options.Stdin)
			if r.ds = append(r.ds, ds...); !ds.HasErrors() {
				r.documents("standard input", text)
			}
			continue
		}
		r.path(path)
	}
}

type reader struct {
	ctx      context.Context
	options  Options
	observed *Observed
	ds       plan.Diagnostics
	objects  int
	external []manifest // to be looked at when all stores are known
	stores   []manifest
	optional map[string]bool              // SECRET or SECRET/KEY that a workload can do without
	used     map[string]*use              // what workloads take of a Secret, by its name
	configs  map[string]map[string]string // the ConfigMaps, by NAMESPACE/NAME
	silent   bool                         // a source has no answer, which has been told
	hashed   bool                         // names of what kustomize generates end in a hash
}

// use is what workloads take of a Secret.
type use struct {
	keys  map[string]bool
	whole string // what takes all keys
}

// manifest is an object of Kubernetes.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	json []byte
	pos  plan.Pos
}

// at is where m stands, if it is in a file.
func (m manifest) at() []plan.Pos {
	if m.pos == (plan.Pos{}) {
		return nil
	}
	return []plan.Pos{m.pos}
}

func (m manifest) String() string {
	name := m.Metadata.Name
	if m.Metadata.Namespace != "" {
		name = m.Metadata.Namespace + "/" + name
	}
	return m.Kind + " " + name
}

// path reads a file or a directory.
func (r *reader) path(path string) {
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		reason, hint := safefile.Explain(path, err)
		r.ds.Errorf(plan.CodeImportRead, nil, cmp.Or(hint, "correct the path"), "%s can't be read: %s", path, reason)
		return
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil:
		r.ds.Errorf(plan.CodeImportRead, nil, "", "%s can't be read: %v", path, safefile.Reason(err))
	case !info.IsDir():
		r.file(abs)
	case isKustomization(abs):
		r.kustomization(abs)
	default:
		found := 0
		err := filepath.WalkDir(abs, func(file string, e fs.DirEntry, err error) error {
			name := e.Name()
			switch {
			case err != nil:
				r.ds.Errorf(plan.CodeImportRead, nil, "", "%s can't be read: %v", file, safefile.Reason(err))
			case e.IsDir() && file != abs && strings.HasPrefix(name, "."):
				return fs.SkipDir
			case e.IsDir() && file != abs && isKustomization(file):
				// A component or a base is rendered with what includes it, if that is named.
				found++
				r.kustomization(file)
				return fs.SkipDir
			case e.IsDir() || strings.HasPrefix(name, "."):
			case slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name))):
				found++
				r.file(file)
			}
			return cmp.Or(r.ctx.Err(), error(nil))
		})
		if err != nil {
			r.ds.Errorf(plan.CodeImportRead, nil, "", "reading %s was interrupted: %v", path, context.Cause(r.ctx))
		} else if found == 0 {
			r.ds.Errorf(plan.CodeImportRead, nil, "name a directory of manifests", "there is no manifest in %s", path)
		}
	}
}

func isKustomization(dir string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && !info.IsDir()
	})
}

// kustomization renders one, and takes the hash off the names of what it generates.
func (r *reader) kustomization(dir string) {
	root := git.WorkTree(dir)
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	out := offline.Render(r.ctx, dir, offline.Options{Root: root})
	if out.Failure != "" {
		r.ds.Errorf(plan.CodeImportRead, nil, "`kustomize build` says more; or name the files themselves", "the kustomization in %s can't be rendered: %s", dir, out.Failure)
		return
	}
	for _, what := range out.Left {
		r.ds.Warnf(plan.CodeImportLeft, nil, "render it yourself: kustomize build ... | victorgen import manifests -", "the kustomization in %s: %s is left out", dir, what)
	}
	r.hashed = true
	for _, node := range out.Resources {
		var v any
		if node.Decode(&v) != nil {
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			continue
		}
		r.object(text, plan.Pos{File: dir, Line: 1, Column: 1})
	}
	r.hashed = false
}

func (r *reader) file(file string) {
	text, ds := readFile(file)
	r.ds = append(r.ds, ds...)
	if !ds.HasErrors() {
		r.documents(file, text)
	}
}

// documents reads the documents of a file.
func (r *reader) documents(file string, text []byte) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	line := 1
	for {
		doc, err := docs.Read()
		if err == io.EOF {
			return
		}
		pos := plan.Pos{File: file, Line: line, Column: 1}
		if err != nil {
			r.ds.Errorf(plan.CodeImportRead, []plan.Pos{pos}, "", "%s is not valid YAML", filepath.Base(file))
			return
		}
		for _, l := range bytes.Split(doc, []byte("\n")) { // the first line that says something
			if s := bytes.TrimSpace(l); len(s) > 0 && s[0] != '#' && !bytes.HasPrefix(s, []byte("---")) {
				break
			}
			pos.Line++
		}
		line += bytes.Count(doc, []byte("\n")) + 1
		if bytes.Contains(doc, []byte("{{")) && helmTemplate.Match(doc) && !bytes.Contains(doc, []byte("ExternalSecret")) {
			r.ds.Errorf(plan.CodeImportRead, []plan.Pos{pos}, "render it first: helm template ... | victorgen import manifests -", "%s is a Helm template", filepath.Base(file))
			return
		}
		js, err := yaml.YAMLToJSON(doc)
		if err != nil { // it may quote the file
			r.ds.Errorf(plan.CodeImportRead, []plan.Pos{pos}, "`kubectl apply --dry-run=client -f FILE` says more", "a document in %s is not valid YAML", filepath.Base(file))
			continue
		}
		r.object(js, pos)
	}
}

var helmTemplate = lazy.MustCompile(`\{\{-?\s*(\.Values|\.Release|\.Chart|include|if|range|with|end|tpl|template)\b`)

// object looks at an object, which is JSON.
func (r *reader) object(js []byte, pos plan.Pos) {
	m := manifest{json: js, pos: pos}
	if json.Unmarshal(js, &m) != nil || m.Kind == "" {
		return // nothing, or something that is no Kubernetes object, such as values of Helm
	}
	r.objects++
	group, _, _ := strings.Cut(m.APIVersion, "/")
	switch {
	case strings.HasSuffix(m.Kind, "List") && m.Metadata.Name == "":
		var list struct {
			Items []json.RawMessage `json:"items"`
		}
		if json.Unmarshal(js, &list) == nil {
			for _, item := range list.Items {
				r.object(item, pos)
			}
		}
	case m.Kind == "Secret" && m.APIVersion == "v1":
		r.secret(m)
	case m.Kind == "SealedSecret" && group == "bitnami.com":
		r.sealed(m)
	case group == "external-secrets.io" && (m.Kind == "SecretStore" || m.Kind == "ClusterSecretStore"):
		r.stores = append(r.stores, m)
	case group == "external-secrets.io" && (m.Kind == "ExternalSecret" || m.Kind == "ClusterExternalSecret"):
		r.external = append(r.external, m)
	case group == "external-secrets.io" || group == "generators.external-secrets.io":
		r.left(m, "a %s does not belong in a contract", m.Kind)
	case bytes.Contains(js, []byte(`"sops"`)) && bytes.Contains(js, []byte(`"mac"`)):
		r.ds.Errorf(plan.CodeImportRead, m.at(), "decrypt it into a pipe: sops decrypt FILE | victorgen import manifests -", "%s is encrypted by SOPS", m)
	case m.Kind == "ConfigMap" && m.APIVersion == "v1":
		var c struct {
			Data map[string]string `json:"data"`
		}
		if json.Unmarshal(js, &c) == nil {
			name := m.Metadata.Name
			if plain, ok := unhash(name); ok && r.hashed {
				name = plain
			}
			r.configs[m.Metadata.Namespace+"/"+name] = c.Data
		}
	default:
		var v any
		if json.Unmarshal(js, &v) == nil {
			r.uses(m, v, 0)
		}
	}
}

func (r *reader) left(m manifest, format string, args ...any) {
	r.ds.Warnf(plan.CodeImportLeft, m.at(), "write it by hand, or leave it to what makes it", "%s: %s", m, fmt.Sprintf(format, args...))
}

func (r *reader) bad(m manifest, hint, format string, args ...any) {
	r.ds.Errorf(plan.CodeImportRead, m.at(), hint, "%s: %s", m, fmt.Sprintf(format, args...))
}

// owned are types of Secrets that a controller or a tool makes for itself.
var owned = map[string]string{
	"kubernetes.io/service-account-token": "the token controller fills it",
	"helm.sh/release.v1":                  "Helm keeps a release in it",
	"bootstrap.kubernetes.io/token":       "it lets nodes join the cluster, and expires soon",
}

// Owned says whose a Secret is that a controller or a tool made, and not a person;
// empty if it is no one's. owners are the kinds of its owner references.
func Owned(kind string, labels, annotations map[string]string, owners []string) string {
	switch {
	case owned[kind] != "":
		return owned[kind]
	case annotations["cert-manager.io/certificate-name"] != "":
		return "cert-manager renews it"
	case labels["cert-manager.io/next-private-key"] != "", labels["controller.cert-manager.io/fao"] != "":
		return "cert-manager keeps a key in it"
	case labels["sealedsecrets.bitnami.com/sealed-secrets-key"] != "":
		return "it is a key of the sealed-secrets controller"
	case slices.Contains(owners, "SealedSecret"), slices.Contains(owners, "ExternalSecret"):
		return "it is made from " + strings.Join(owners, ", ") + ": import that"
	case len(owners) > 0:
		return "it belongs to " + strings.Join(owners, ", ")
	case labels["owner"] == "helm":
		return "Helm keeps a release in it"
	}
	return ""
}

// secret reads a v1 Secret, as the API server would take it.
func (r *reader) secret(m manifest) {
	var s struct {
		Type       string                     `json:"type"`
		Immutable  bool                       `json:"immutable"`
		Data       map[string]json.RawMessage `json:"data"`
		StringData map[string]json.RawMessage `json:"stringData"`
		SOPS       json.RawMessage            `json:"sops"`
		Metadata   struct {
			OwnerReferences []struct {
				Kind string `json:"kind"`
			} `json:"ownerReferences"`
		} `json:"metadata"`
	}
	if json.Unmarshal(m.json, &s) != nil {
		r.bad(m, "`kubectl apply --dry-run=client -f FILE` says more", "it is not a valid Secret")
		return
	}
	if s.SOPS != nil {
		r.bad(m, "decrypt it into a pipe: sops decrypt FILE | victorgen import manifests -", "it is encrypted by SOPS")
		return
	}
	var owners []string
	for _, o := range s.Metadata.OwnerReferences {
		owners = append(owners, o.Kind)
	}
	if who := Owned(s.Type, m.Metadata.Labels, m.Metadata.Annotations, owners); who != "" {
		if slices.Contains(r.options.Named, m.Metadata.Name) {
			r.bad(m, "leave out its name; or import what it is made from", "it is not imported, because %s", who)
		} else {
			r.left(m, "%s", who)
		}
		return
	}
	out := r.of(m, "Secret")
	out.Type, out.Immutable = s.Type, s.Immutable
	keys := map[string]Key{}
	add := func(name string, b []byte) {
		k := Key{Name: name, State: Given, Value: value.New(b)}
		if len(b) == 0 {
			k.State = Empty
		}
		keys[name] = k
	}
	for _, name := range slices.Sorted(maps.Keys(s.Data)) {
		var text *string
		if json.Unmarshal(s.Data[name], &text) != nil {
			r.bad(m, "data has base64, in quotes", "key %s of data is not text", name)
			continue
		}
		if text == nil {
			add(name, nil)
			continue
		}
		b, err := base64.StdEncoding.DecodeString(*text)
		switch {
		case err != nil && placeholders.MatchString(*text):
			keys[name] = Key{Name: name, Template: *text}
		case err != nil:
			r.bad(m, "`base64 -w0` writes it; or put the text itself under stringData", "key %s of data is not valid base64", name)
		default:
			add(name, b)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.StringData)) { // it counts over data
		var text *string
		if json.Unmarshal(s.StringData[name], &text) != nil {
			r.bad(m, "put it in quotes", "key %s of stringData is not text", name)
			continue
		}
		if text == nil {
			add(name, nil)
		} else {
			add(name, []byte(*text))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		out.Keys = append(out.Keys, keys[name])
	}
	if r.vaultPlugin(m, &out) {
		return
	}
	r.add(out)
}

// of is what all kinds of Secret have of their object.
func (r *reader) of(m manifest, from string) Secret {
	s := Secret{
		Namespace: m.Metadata.Namespace, Name: m.Metadata.Name, From: from, Pos: m.pos,
		Labels: written(m.Metadata.Labels), Annotations: written(m.Metadata.Annotations),
	}
	if r.hashed {
		if name, ok := unhash(s.Name); ok && m.Kind == "Secret" {
			s.Name = name
			s.From = "secretGenerator"
		}
	}
	return s
}

// written are labels and annotations but for those that tools keep.
func written(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if !kept.MatchString(k) {
			out[k] = v
		}
	}
	return out
}

// hash is what kustomize puts behind the name of what it generates
// (https://github.com/kubernetes-sigs/kustomize/blob/api/v0.21.2/api/hasher/hasher.go).
var hash = lazy.MustCompile(`^(.+)-[bcdfghkmt2456789]{10}$`)

func unhash(name string) (string, bool) {
	m := hash.FindStringSubmatch(name)
	if m == nil {
		return name, false
	}
	return m[1], true
}

func (r *reader) add(s Secret) {
	r.observed.Secrets = append(r.observed.Secrets, s)
}

// sealed reads a SealedSecret: all but its values
// (https://github.com/bitnami-labs/sealed-secrets).
func (r *reader) sealed(m manifest) {
	var s struct {
		Spec struct {
			EncryptedData map[string]string `json:"encryptedData"`
			Data          string            `json:"data"`
			Template      struct {
				Type      string            `json:"type"`
				Immutable bool              `json:"immutable"`
				Data      map[string]string `json:"data"`
				Metadata  struct {
					Labels      map[string]string `json:"labels"`
					Annotations map[string]string `json:"annotations"`
				} `json:"metadata"`
			} `json:"template"`
		} `json:"spec"`
	}
	if json.Unmarshal(m.json, &s) != nil {
		r.bad(m, "`kubectl apply --dry-run=server -f FILE` says more", "it is not a valid SealedSecret")
		return
	}
	if s.Spec.Data != "" && len(s.Spec.EncryptedData) == 0 {
		r.bad(m, "unseal it with the controller's key, or import the Secret of it", "it has the old form, in which all keys are one ciphertext")
		return
	}
	out := r.of(m, "SealedSecret")
	t := s.Spec.Template
	out.Kind, out.Type, out.Immutable = Sealed, t.Type, t.Immutable
	out.Labels, out.Annotations = written(t.Metadata.Labels), written(t.Metadata.Annotations)
	out.Scope = "strict"
	for name, scope := range map[string]string{"sealedsecrets.bitnami.com/cluster-wide": "cluster-wide", "sealedsecrets.bitnami.com/namespace-wide": "namespace-wide"} {
		if m.Metadata.Annotations[name] == "true" || t.Metadata.Annotations[name] == "true" {
			out.Scope = scope
		}
	}
	var data map[string]value.Value
	if r.options.Values != nil {
		data, _ = r.options.Values(r.ctx, m.Metadata.Namespace, m.Metadata.Name)
	}
	names := slices.Collect(maps.Keys(s.Spec.EncryptedData))
	for name := range t.Data {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		k := Key{Name: name}
		if v, ok := data[name]; ok {
			k.State, k.Value = Given, v
			if v.Len() == 0 {
				k.State = Empty
			}
		} else if data != nil {
			r.left(m, "key %s is not in the Secret in the cluster: its value must be filled in", name)
		} else if _, templated := t.Data[name]; templated {
			r.left(m, "key %s is made by a template of its own, from what only the controller knows: its value must be filled in as it is now", name)
		}
		out.Keys = append(out.Keys, k)
	}
	r.add(out)
}

// finish says what may be absent, and what all Secrets have in common.
func (r *reader) finish() {
	o := r.observed
	for i := range o.Secrets {
		s := &o.Secrets[i]
		for j := range s.Keys {
			k := &s.Keys[j]
			k.Optional = k.State == Unknown && (r.optional[s.Name] || r.optional[s.Name+"/"+k.Name])
		}
		part := s.Labels["app.kubernetes.io/part-of"]
		if i == 0 {
			o.PartOf = part
		} else if part != o.PartOf {
			o.PartOf = ""
		}
	}
	if len(o.Secrets) == 0 && !r.ds.HasErrors() && !r.silent {
		what := "there is no Secret, and nothing that one is made from"
		if r.objects == 0 {
			what = "there is no Kubernetes object"
		}
		r.ds.Errorf(plan.CodeImportRead, nil, "name manifests of Secrets, SealedSecrets or ExternalSecrets, or a kustomization", "%s", what)
	}
}

// uses finds the references of a workload to keys of Secrets, and those that can do
// without.
func (r *reader) uses(m manifest, v any, depth int) {
	if depth > 100 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			r.uses(m, item, depth+1)
		}
	case map[string]any:
		for _, field := range []string{"secretKeyRef", "secretRef", "secret"} {
			ref, ok := v[field].(map[string]any)
			if !ok {
				continue
			}
			name, _ := ref["name"].(string)
			if secret, volume := ref["secretName"].(string); volume {
				name = secret
			}
			if plain, ok := unhash(name); ok && r.hashed {
				name = plain
			}
			if name == "" {
				continue
			}
			if r.used[name] == nil {
				r.used[name] = &use{keys: map[string]bool{}}
			}
			items, _ := ref["items"].([]any)
			for _, item := range items {
				if item, ok := item.(map[string]any); ok {
					if key, ok := item["key"].(string); ok {
						r.used[name].keys[key] = true
					}
				}
			}
			if key, ok := ref["key"].(string); ok {
				r.used[name].keys[key] = true
			} else if len(items) == 0 {
				r.used[name].whole = m.String()
			}
			if ref["optional"] != true {
				continue
			}
			if key, ok := ref["key"].(string); ok {
				name += "/" + key
			}
			r.optional[name] = true
		}
		for _, item := range v {
			r.uses(m, item, depth+1)
		}
	}
}
