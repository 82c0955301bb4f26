package emit

//lint:file-ignore SA1019 Kustomizations that people have use what is deprecated.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/git"
)

// The bounds of one rendering.
const (
	maxRendering     = 20 * time.Second
	maxRenderedReads = 5_000
	maxRenderedBytes = 64 << 20
)

// render has kustomize render the kustomization in dir, once.
func (o *Overlays) render(ctx context.Context, dir string) {
	k := o.byDir[dir]
	if k.done {
		return
	}
	k.done = true
	ctx, cancel := context.WithTimeout(ctx, maxRendering)
	defer cancel()
	fenced := &fence{FileSystem: filesys.MakeFsOnDisk(), ctx: ctx, root: o.root, reads: maxRenderedReads, bytes: maxRenderedBytes}
	options := krusty.MakeDefaultOptions()                // which run no plugin, no function and no helm
	options.LoadRestrictions = types.LoadRestrictionsNone // the fence restricts, as far as is needed
	type outcome struct {
		rendered []object
		err      error
	}
	finished := make(chan outcome, 1)
	var g crash.Group // nobody waits for it after the deadline: kustomize takes no context, and ends at its next file
	g.Go(func() {
		var out outcome
		if crashed := crash.Catch(func() {
			built, err := krusty.MakeKustomizer(options).Run(fenced, dir)
			if out.err = err; err != nil {
				return
			}
			for _, r := range built.Resources() {
				var doc map[string]any
				if doc, out.err = r.Map(); out.err != nil {
					return
				}
				x := objectOf(doc)
				for _, annotations := range x.doc.at("metadata", "annotations") {
					text, _ := annotations[originAnnotation].(string)
					if parts := strings.Split(text, "/"); len(parts) == 3 {
						x.origin = objectID{parts[0], parts[1], parts[2]}
					}
				}
				out.rendered = append(out.rendered, x)
			}
		}); crashed != nil {
			out.err = crashed
		}
		finished <- out
	})
	select {
	case <-ctx.Done():
		k.failure = "to render it takes longer than " + maxRendering.String()
	case out := <-finished:
		k.rendered, k.left = out.rendered, fenced.left
		k.failure = why(out.err, fenced)
	}
}

// registered is what kustomize says of two objects of one name.
var registered = regexp.MustCompile(`may not add resource with an already registered id: [A-Za-z0-9.-]+/[a-zA-Z0-9.\[\]-]+`)

// why words an error of kustomize, which may quote files, patches and so values.
func why(err error, f *fence) string {
	switch {
	case err == nil:
		return ""
	case f.denied != "":
		return f.denied
	}
	if m := registered.FindString(err.Error()); m != "" {
		return "kustomize refuses two objects " + m[strings.LastIndex(m, " ")+1:]
	}
	if f.missing != "" && strings.Contains(err.Error(), f.missing) {
		return fmt.Sprintf("it needs %s, which is not there", f.missing)
	}
	return "kustomize can't render it"
}

// fence is the file system that kustomize gets to see: what is below root, links
// followed, to read, and so much of it. It takes from kustomizations what
// kustomize would fetch or run something for.
type fence struct {
	filesys.FileSystem
	ctx     context.Context
	root    string
	reads   int
	bytes   int
	denied  string   // the first that was
	missing string   // the last that was not there
	left    []string // what was taken out of kustomizations
}

var errFence = errors.New("not here")

func (f *fence) deny(format string, args ...any) error {
	if f.denied == "" {
		f.denied = fmt.Sprintf(format, args...)
	}
	return errFence
}

// at resolves a path, which must be within the root.
func (f *fence) at(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		if name := filepath.Base(path); !slices.Contains(konfig.RecognizedKustomizationFileNames(), name) {
			f.missing = name
		}
		return "", err
	}
	if rel, err := filepath.Rel(f.root, resolved); err != nil || !filepath.IsLocal(rel) || rel == git.Dir || strings.HasPrefix(rel, git.Dir+string(filepath.Separator)) {
		return "", f.deny("it reads %s, which is outside of the repository", filepath.Base(path))
	}
	return resolved, nil
}

func (f *fence) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	if _, err := f.at(path); err != nil {
		return "", "", err
	}
	return f.FileSystem.CleanedAbs(path)
}

func (f *fence) IsDir(path string) bool {
	resolved, err := f.at(path)
	return err == nil && f.FileSystem.IsDir(resolved)
}

func (f *fence) Exists(path string) bool {
	_, err := f.at(path)
	return err == nil
}

func (f *fence) ReadFile(path string) ([]byte, error) {
	if f.ctx.Err() != nil {
		return nil, f.deny("to render it takes longer than %s", maxRendering)
	}
	resolved, err := f.at(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(resolved)
	if err != nil || info.IsDir() {
		return nil, errFence // kustomize asks, and takes it for a directory then
	}
	text, err := readBounded(resolved)
	if err != nil {
		return nil, f.deny("%s can't be read, or has more than %d MiB", filepath.Base(path), maxManifest>>20)
	}
	if f.reads, f.bytes = f.reads-1, f.bytes-len(text); f.reads < 0 || f.bytes < 0 {
		return nil, f.deny("it has more than %d files or %d MiB", maxRenderedReads, maxRenderedBytes>>20)
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		return f.withoutRemotes(text, filepath.Dir(resolved))
	}
	if fetches(text) {
		return nil, f.deny("%s configures a transformer or generator that fetches something", filepath.Base(path))
	}
	if isOurs(text) {
		return marked(text)
	}
	return text, nil
}

// originAnnotation is on the objects of trees while they are rendered, for kustomize
// does not tell which of those that come out is which.
const originAnnotation = "victorgen/origin"

// marked returns a file of a tree with that annotation on its objects.
func marked(text []byte) ([]byte, error) {
	var out []byte
	for _, x := range objectsOf(text) {
		meta, _ := x.doc["metadata"].(map[string]any)
		if meta == nil {
			continue
		}
		annotations, _ := meta["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
			meta["annotations"] = annotations
		}
		annotations[originAnnotation] = x.kind + "/" + x.namespace + "/" + x.name
		y, err := marshalYAML(x.doc)
		if err != nil {
			return nil, err
		}
		out = append(append(out, "---\n"...), y...)
	}
	return out, nil
}

func (f *fence) refuse() error { return f.deny("it writes files, or lists directories") }

// None of these is needed to render.
func (f *fence) Open(string) (filesys.File, error)    { return nil, f.refuse() }
func (f *fence) Create(string) (filesys.File, error)  { return nil, f.refuse() }
func (f *fence) Mkdir(string) error                   { return f.refuse() }
func (f *fence) MkdirAll(string) error                { return f.refuse() }
func (f *fence) RemoveAll(string) error               { return f.refuse() }
func (f *fence) WriteFile(string, []byte) error       { return f.refuse() }
func (f *fence) ReadDir(string) ([]string, error)     { return nil, f.refuse() }
func (f *fence) Glob(string) ([]string, error)        { return nil, f.refuse() }
func (f *fence) Walk(string, filepath.WalkFunc) error { return f.refuse() }

var remotePath = regexp.MustCompile(`(?i)^\s*(https?:|git::|github\.com[/:]|[a-z][a-z0-9-]*@)|://`)

// plainFields are those of a kustomization in which nothing is a path, whatever it
// looks like.
var plainFields = []string{"commonannotations", "commonlabels", "labels", "annotations", "images", "metadata", "patch", "literals", "options", "target", "targets", "vars", "replicas", "nameprefix", "namesuffix", "namespace", "inline"}

// programs are the fields for which kustomize would run one, and openapi, which is
// kept for the process as a whole. crds and configurations stay.
var programs = []string{"helmcharts", "helmchartinflationgenerator", "helmglobals"}

// withoutRemotes takes out of a kustomization what is not in the repository, and
// directories of transformers, which could make of anything something that fetches.
func (f *fence) withoutRemotes(text []byte, dir string) ([]byte, error) {
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return text, nil // kustomize says so, too
	}
	drop := func(what string) {
		if !slices.Contains(f.left, what) {
			f.left = append(f.left, what)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		v := fields[name]
		lower := strings.ToLower(name)
		switch {
		case lower == "openapi":
			delete(fields, name)
		case slices.Contains(programs, lower):
			delete(fields, name)
			drop(name)
		case slices.Contains(plainFields, lower):
		default:
			list, ok := v.([]any)
			if !ok {
				if isRemote(v) {
					delete(fields, name)
					drop("something remote in " + name)
				}
				continue
			}
			fields[name] = slices.DeleteFunc(list, func(item any) bool {
				s, isText := item.(string)
				switch plugin := lower == "transformers" || lower == "generators" || lower == "validators"; {
				case plugin && isText && strings.ContainsAny(s, "\n{"):
					if fetches([]byte(s)) {
						drop("something remote in " + name)
						return true
					}
					return false
				case isRemote(item):
					if isText {
						drop("remote " + strconv.Quote(withoutUser(s)))
					} else {
						drop("something remote in " + name)
					}
					return true
				case plugin && isText:
					info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(s)))
					if err == nil && info.IsDir() {
						drop("the directory " + strconv.Quote(s) + " in " + name)
						return true
					}
				}
				return false
			})
		}
	}
	rest, err := yaml.Marshal(fields)
	if err != nil {
		return text, nil
	}
	var k types.Kustomization
	if k.Unmarshal(rest) != nil {
		return text, nil
	}
	k.FixKustomization()
	// Kustomize prints a warning of each field that is out of date.
	var patches []types.Patch
	for _, p := range k.PatchesStrategicMerge {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(string(p)))); err == nil {
			patches = append(patches, types.Patch{Path: string(p)})
		} else {
			patches = append(patches, types.Patch{Patch: string(p)})
		}
	}
	k.Patches = slices.Concat(patches, k.Patches, k.PatchesJson6902)
	k.PatchesStrategicMerge, k.PatchesJson6902 = nil, nil
	k.CommonLabels, k.Vars = nil, nil // which change no name
	return marshalYAML(k)
}

// withoutUser is a URL without what may be a password in it.
func withoutUser(s string) string {
	if before, rest, ok := strings.Cut(s, "://"); ok {
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			rest = rest[at+1:]
		}
		s = before + "://" + rest
	}
	s, _, _ = strings.Cut(s, "?")
	return s
}

// isRemote reports whether kustomize might take something in v for a place that is
// not a file.
func isRemote(v any) bool {
	switch v := v.(type) {
	case string:
		return !strings.Contains(v, "\n") && remotePath.MatchString(v)
	case []any:
		return slices.ContainsFunc(v, isRemote)
	case map[string]any:
		for name, item := range v {
			if !slices.Contains(plainFields, strings.ToLower(name)) && isRemote(item) {
				return true
			}
		}
	}
	return false
}

// fetches reports whether a file might configure one of kustomize's own plugins
// with something that is not in the repository.
func fetches(text []byte) bool {
	if !bytes.Contains(text, []byte("builtin")) && !bytes.ContainsAny(text, `\*`) { // it may be written with escapes
		return false
	}
	builtin, remote := false, false
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case string:
			builtin = builtin || v == konfig.BuiltinPluginApiVersion
			remote = remote || remotePath.MatchString(v)
		case []any:
			for _, item := range v {
				look(item)
			}
		case map[string]any:
			for _, item := range v {
				look(item)
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var v any
		if err := decoder.Decode(&v); err != nil {
			break // at the end, or kustomize does not read it either
		}
		look(v)
	}
	return builtin && remote
}

// readBounded reads a regular file that is not larger than a manifest may be.
func readBounded(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() > maxManifest:
		return nil, errors.New("too large")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxManifest))
}

// objectID names an object.
type objectID struct{ kind, namespace, name string }

// String is what messages say.
func (id objectID) String() string { return secretID{id.namespace, id.name}.String() }

// object is a Kubernetes object of a tree, or of what is rendered of it.
type object struct {
	objectID
	doc    document
	line   int      // in its file
	origin objectID // what it was called before kustomize changed it
}

func objectOf(doc map[string]any) object {
	d := document(doc)
	kind, _ := d["kind"].(string)
	x := object{doc: d, objectID: objectID{kind: kind}}
	for _, m := range d.at("metadata") {
		x.name, _ = m["name"].(string)
		x.namespace, _ = m["namespace"].(string)
	}
	x.origin = x.objectID
	return x
}

// objectsOf reads the objects of a file. What cannot be read is none.
func objectsOf(text []byte) []object {
	var all []object
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		if decoder.Decode(&n) != nil {
			return all
		}
		var doc map[string]any
		if n.Decode(&doc) == nil && doc != nil {
			x := objectOf(doc)
			x.line = n.Content[0].Line
			all = append(all, x)
		}
	}
}

// treeObjects are the objects of the tree in dir, as its files have them.
func treeObjects(dir string) []object {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	l, _ := readLock(root)
	if l == nil {
		return nil
	}
	var all []object
	for _, name := range l.Files {
		if name == KustomizationFile || name == ApplicationFile {
			continue
		}
		if text, err := readRegular(root, name); err == nil && isOurs(text) {
			all = append(all, objectsOf(text)...)
		}
	}
	return all
}

// secret is the Secret that x is or has made of it.
func (x object) secret() (secretID, bool) {
	switch x.kind {
	case "Secret", sealedSecretKind:
		return secretID{x.namespace, x.name}, true
	case esv1.ExtSecretKind:
		for _, target := range x.doc.at("spec", "target") {
			if name, ok := target["name"].(string); ok && name != "" {
				return secretID{x.namespace, name}, true
			}
		}
		return secretID{x.namespace, x.name}, true
	}
	return secretID{}, false
}

// scope is that of a SealedSecret, as its controller reads it.
func (x object) scope() v1alpha1.SealingScope {
	annotations := map[string]string{}
	for _, a := range x.doc.at("metadata", "annotations") {
		for name, v := range a {
			annotations[name], _ = v.(string)
		}
	}
	return v1alpha1.SecretScope(&metav1.ObjectMeta{Annotations: annotations})
}

// ciphertexts are those of a SealedSecret.
func (x object) ciphertexts() []string {
	var all []string
	if x.kind == sealedSecretKind {
		for _, data := range x.doc.at("spec", "encryptedData") {
			for _, v := range data {
				if text, ok := v.(string); ok && text != "" {
					all = append(all, text)
				}
			}
		}
	}
	return all
}

// aspect is what of an object a kustomization breaks.
type aspect int

const (
	renamed   aspect = iota // a sealed secret has another name
	moved                   // another namespace
	rescoped                // another scope
	storeless               // an external secret refers to what is not there
	unread                  // the Role does not name a Secret
	unbound                 // the RoleBinding does not name the Role
	unwatched               // no alert watches a Secret
	twice                   // something else makes a Secret
)

// change is what a kustomization breaks.
type change struct {
	aspect aspect
	of     objectID
	to     string
}

// changes returns what is broken of the objects of a tree in what kustomize has
// rendered. Objects that it leaves out are nobody's mistake.
func changes(own, rendered []object) []change {
	sealedIn := map[string]object{} // by ciphertext
	byID := map[objectID]object{}
	for _, x := range own {
		byID[x.objectID] = x
		for _, c := range x.ciphertexts() {
			sealedIn[c] = x
		}
	}
	has := map[objectID]bool{}
	for _, x := range rendered {
		has[x.objectID] = true
	}
	var all []change
	type delivered struct {
		was objectID
		is  secretID
	}
	var secrets []delivered       // those that arrive
	var others []object           // that make a Secret and are none of the tree
	from := map[objectID]object{} // of the rendered, by what they were
	for _, x := range rendered {
		base, ours := byID[x.origin]
		for _, c := range x.ciphertexts() {
			if found, ok := sealedIn[c]; ok {
				base, ours = found, true
				break
			}
		}
		id, makes := x.secret()
		if !ours {
			if makes {
				others = append(others, x)
			}
			continue
		}
		from[base.objectID] = x
		broken := false
		if x.kind == sealedSecretKind {
			scope := base.scope()
			label := v1alpha1.EncryptionLabel(base.namespace, base.name, scope)
			if broken = !bytes.Equal(label, v1alpha1.EncryptionLabel(x.namespace, x.name, x.scope())); broken {
				if x.scope() != scope {
					all = append(all, change{rescoped, base.objectID, fmt.Sprint(x.scope())})
				}
				if x.name != base.name && scope == v1alpha1.StrictScope {
					all = append(all, change{renamed, base.objectID, x.name})
				}
				if x.namespace != base.namespace && scope != v1alpha1.ClusterWideScope {
					all = append(all, change{moved, base.objectID, x.namespace})
				}
			}
		}
		for _, ref := range refersTo(x) {
			was := ref
			was.namespace = base.namespace
			if _, own := byID[was]; own && !has[ref] && ref.kind != "" {
				all = append(all, change{storeless, base.objectID, ref.name})
			}
		}
		if makes && !broken {
			secrets = append(secrets, delivered{base.objectID, id})
		}
	}
	for _, o := range others {
		id, _ := o.secret()
		for _, s := range secrets {
			if id.name == s.is.name && (id.namespace == "" || id.namespace == s.is.namespace) {
				all = append(all, change{twice, s.was, s.is.String()})
			}
		}
	}
	for _, x := range own {
		r, ok := from[x.objectID]
		if !ok {
			continue
		}
		for _, s := range secrets {
			was, _ := byID[s.was].secret()
			switch {
			case x.kind == roleKind && x.namespace == was.namespace && x.names(was.name) && !(r.namespace == s.is.namespace && r.names(s.is.name)):
				all = append(all, change{unread, s.was, s.is.String()})
			case x.kind == monitoringv1.PrometheusRuleKind && x.watches(was) && !r.watches(s.is):
				all = append(all, change{unwatched, s.was, s.is.String()})
			}
		}
		if x.kind == roleBindingKind {
			for _, ref := range r.doc.at("roleRef") {
				name, _ := ref["name"].(string)
				role, deployed := from[objectID{roleKind, x.namespace, x.name}]
				if deployed && (role.name != name || role.namespace != r.namespace) {
					all = append(all, change{unbound, x.objectID, name})
				}
			}
		}
	}
	return all
}

// names reports whether a Role names a Secret.
func (x object) names(secret string) bool {
	for _, rule := range x.doc.at("rules") {
		if names, ok := rule["resourceNames"].([]any); ok && slices.Contains(names, any(secret)) {
			return true
		}
	}
	return false
}

// watches reports whether an expression of a PrometheusRule selects a Secret.
func (x object) watches(id secretID) bool {
	for _, rule := range x.doc.at("spec", "groups", "rules") {
		expr, _ := rule["expr"].(string)
		if strings.Contains(expr, "="+strconv.Quote(id.namespace)) && strings.Contains(expr, "="+strconv.Quote(id.name)) {
			return true
		}
	}
	return false
}

// refersTo are the objects in its own namespace that one of the operator's
// refers to.
func refersTo(x object) []objectID {
	var all []objectID
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				look(item)
			}
		case map[string]any:
			for field, item := range v {
				refs, _ := item.([]any)
				if one, ok := item.(map[string]any); ok {
					refs = []any{one}
				}
				switch field {
				case "secretStoreRef", "secretStoreRefs", "generatorRef", "serviceAccountRef":
					for _, ref := range refs {
						if m, ok := ref.(map[string]any); ok {
							kind, _ := m["kind"].(string)
							name, _ := m["name"].(string)
							if field == "serviceAccountRef" {
								kind = "ServiceAccount"
							}
							all = append(all, objectID{kind, x.namespace, name})
						}
					}
				}
				look(item)
			}
		}
	}
	switch x.kind {
	case esv1.ExtSecretKind, esv1.SecretStoreKind, pushSecretKind:
		look(map[string]any(x.doc))
	}
	return all
}
