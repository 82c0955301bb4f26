package emit

import (
	"bytes"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
)

const (
	// maxLastApplied is how much client-side apply can store of an object: it keeps
	// all of it in an annotation, and all annotations together have 256 KiB
	// (https://github.com/kubernetes/apimachinery/blob/v0.35.1/pkg/api/validation/objectmeta.go).
	maxLastApplied = plan.MaxAnnotations
	// maxRequest is what etcd takes in one request by default
	// (https://etcd.io/docs/v3.6/dev-guide/limit/). Objects of CRDs are JSON there.
	maxRequest = 1536 << 10
	// escaped is how many times as long as YAML JSON is at most, where all of it is
	// characters like <. A file that can't be too large is not looked at.
	escaped = 6
)

// checkObjects reports the objects of a tree that no cluster stores, and those that
// only server-side apply can write; large reports whether there are any of these.
func (e *emission) checkObjects(t *tree.Tree) (large bool, ds plan.Diagnostics) {
	places := map[string][]plan.Pos{}
	same := map[string]int{} // the bytes of ciphertexts, which are as long in JSON
	for _, w := range e.secrets {
		places[w.file] = w.Pos
		for _, c := range w.ciphertexts {
			same[w.file] += len(c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Files)) {
		if len(t.Files[name])-same[name] < (maxLastApplied-same[name])/escaped || name == tree.KustomizationFile {
			continue
		}
		for _, text := range bytes.Split(t.Files[name], []byte("\n---\n")) {
			js, err := yaml.YAMLToJSON(text)
			switch {
			case err != nil: // kustomize says so
			case len(js) > maxRequest:
				ds.Errorf(plan.CodeSecretTooBig, places[name], "split it into several secrets",
					"an object in %s is %d bytes as sent to the API server; etcd accepts %d in a request", name, len(js), maxRequest)
			case len(js) > maxLastApplied:
				large = true
				hint := "apply it with `kubectl apply --server-side`, and give other tools that apply it the same option; or split the secret"
				if e.plan.ArgoCD != nil {
					hint = tree.ApplicationFile + " has ServerSideApply=true for that; or split the secret"
				}
				ds.Warnf(plan.CodeLargeObject, places[name], hint,
					"an object in %s is %d bytes; client-side apply stores it in an annotation, which holds %d, and fails", name, len(js), maxLastApplied)
			}
		}
	}
	return large, ds
}
