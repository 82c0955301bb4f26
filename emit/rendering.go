package emit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/offline"
	"github.com/victor-ai/victorgen/internal/shape"
)

// render has kustomize render the kustomization in dir, once.
func (o *Overlays) render(ctx context.Context, dir string) {
	k := o.byDir[dir]
	if k.done {
		return
	}
	r := offline.Render(ctx, dir, offline.Options{Root: o.root, Edit: func(text []byte) ([]byte, error) {
		if !tree.IsOurs(text) {
			return text, nil
		}
		return marked(text)
	}})
	k.done, k.left, k.failure = true, r.Left, r.Failure
	for _, n := range r.Resources {
		var doc map[string]any
		if err := n.Decode(&doc); err != nil {
			k.failure = "it renders to something that is not an object"
			return
		}
		x := objectOf(doc)
		for _, annotations := range x.doc.At("metadata", "annotations") {
			text, _ := annotations[originAnnotation].(string)
			if parts := strings.Split(text, "/"); len(parts) == 3 {
				x.origin = objectID{parts[0], parts[1], parts[2]}
			}
		}
		k.rendered = append(k.rendered, x)
	}
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
		y, err := tree.MarshalYAML(x.doc)
		if err != nil {
			return nil, err
		}
		out = append(append(out, "---\n"...), y...)
	}
	return out, nil
}

// objectID names an object.
type objectID struct{ kind, namespace, name string }

// String is what messages say.
func (id objectID) String() string {
	return tree.SecretID{Namespace: id.namespace, Name: id.name}.String()
}

// object is a Kubernetes object of a tree, or of what is rendered of it.
type object struct {
	objectID
	doc    tree.Document
	line   int      // in its file
	origin objectID // what it was called before kustomize changed it
}

func objectOf(doc map[string]any) object {
	d := tree.Document(doc)
	kind, _ := d["kind"].(string)
	x := object{doc: d, objectID: objectID{kind: kind}}
	for _, m := range d.At("metadata") {
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
	l, _ := tree.ReadLock(root)
	if l == nil {
		return nil
	}
	var all []object
	for _, name := range l.Files {
		if name == tree.KustomizationFile || name == tree.ApplicationFile || name == tree.RestartFile {
			continue
		}
		if text, err := tree.ReadRegular(root, name); err == nil && tree.IsOurs(text) {
			all = append(all, objectsOf(text)...)
		}
	}
	return all
}

// secret is the Secret that x is or has made of it.
func (x object) secret() (tree.SecretID, bool) {
	switch x.kind {
	case "Secret", shape.SealedSecretKind:
		return tree.SecretID{Namespace: x.namespace, Name: x.name}, true
	case shape.ExternalSecretKind:
		for _, target := range x.doc.At("spec", "target") {
			if name, ok := target["name"].(string); ok && name != "" {
				return tree.SecretID{Namespace: x.namespace, Name: name}, true
			}
		}
		return tree.SecretID{Namespace: x.namespace, Name: x.name}, true
	}
	return tree.SecretID{}, false
}

// scope is that of a SealedSecret, as its controller reads it.
func (x object) scope() shape.SealingScope {
	annotations := map[string]string{}
	for _, a := range x.doc.At("metadata", "annotations") {
		for name, v := range a {
			annotations[name], _ = v.(string)
		}
	}
	return shape.ScopeOf(annotations)
}

// ciphertexts are those of a SealedSecret.
func (x object) ciphertexts() []string {
	var all []string
	if x.kind == shape.SealedSecretKind {
		for _, data := range x.doc.At("spec", "encryptedData") {
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
// rendered. Objects that it leaves out are no one's mistake.
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
		is  tree.SecretID
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
		if x.kind == shape.SealedSecretKind {
			scope := base.scope()
			label := scope.Label(base.namespace, base.name)
			if broken = !bytes.Equal(label, x.scope().Label(x.namespace, x.name)); broken {
				if x.scope() != scope {
					all = append(all, change{rescoped, base.objectID, fmt.Sprint(x.scope())})
				}
				if x.name != base.name && scope == shape.StrictScope {
					all = append(all, change{renamed, base.objectID, x.name})
				}
				if x.namespace != base.namespace && scope != shape.ClusterWideScope {
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
			if id.Name == s.is.Name && (id.Namespace == "" || id.Namespace == s.is.Namespace) {
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
			case x.kind == shape.RoleKind && x.namespace == was.Namespace && x.names(was.Name) && !(r.namespace == s.is.Namespace && r.names(s.is.Name)):
				all = append(all, change{unread, s.was, s.is.String()})
			case x.kind == shape.PrometheusRuleKind && x.watches(was) && !r.watches(s.is):
				all = append(all, change{unwatched, s.was, s.is.String()})
			}
		}
		if x.kind == shape.RoleBindingKind {
			for _, ref := range r.doc.At("roleRef") {
				name, _ := ref["name"].(string)
				role, deployed := from[objectID{shape.RoleKind, x.namespace, x.name}]
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
	for _, rule := range x.doc.At("rules") {
		if names, ok := rule["resourceNames"].([]any); ok && slices.Contains(names, any(secret)) {
			return true
		}
	}
	return false
}

// watches reports whether an expression of a PrometheusRule selects a Secret.
func (x object) watches(id tree.SecretID) bool {
	for _, rule := range x.doc.At("spec", "groups", "rules") {
		expr, _ := rule["expr"].(string)
		if strings.Contains(expr, "="+strconv.Quote(id.Namespace)) && strings.Contains(expr, "="+strconv.Quote(id.Name)) {
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
	case shape.ExternalSecretKind, shape.SecretStoreKind, shape.PushSecretKind:
		look(map[string]any(x.doc))
	}
	return all
}
