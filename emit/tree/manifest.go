package tree

import (
	"encoding/json"
	"maps"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Document is one object as JSON has it.
type Document map[string]any

// NewDocument returns the document of an object of an upstream type, without
// what upstream's types write though no one has set it: the status, and fields
// that are null or empty structs. No field that we set is one of these.
func NewDocument(object any) (Document, error) {
	js, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var d Document
	if err := json.Unmarshal(js, &d); err != nil {
		return nil, err
	}
	delete(d, "status")
	prune(d)
	return d, nil
}

func prune(d map[string]any) {
	maps.DeleteFunc(d, func(_ string, v any) bool {
		switch v := v.(type) {
		case nil:
			return true
		case map[string]any:
			prune(v)
			return len(v) == 0
		case []any:
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					prune(m)
				}
			}
		}
		return false
	})
}

// At returns the objects of d at path, whose lists it walks through: several
// for spec, data, remoteRef.
func (d Document) At(path ...string) []map[string]any {
	objects := []map[string]any{d}
	for _, field := range path {
		var below []map[string]any
		for _, o := range objects {
			switch v := o[field].(type) {
			case map[string]any:
				below = append(below, v)
			case []any:
				for _, item := range v {
					if m, ok := item.(map[string]any); ok {
						below = append(below, m)
					}
				}
			}
		}
		objects = below
	}
	return objects
}

// Manifest writes documents into one file.
func Manifest(documents ...Document) ([]byte, error) {
	out := []byte(Header)
	for i, d := range documents {
		y, err := MarshalYAML(d)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, "---\n"...)
		}
		out = append(out, y...)
	}
	return out, nil
}

// ManifestOf is manifest for what may have failed.
func ManifestOf(d Document, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return Manifest(d)
}

// Labels are those of every object of a tree, over labels.
func Labels(p *plan.Plan, labels map[string]string) map[string]string {
	l := map[string]string{}
	maps.Copy(l, labels)
	l[LabelManagedBy], l[LabelPartOf] = ManagedBy, p.PartOf
	return l
}

// The sync waves of a tree, in which Argo CD applies one after another and
// waits until all of it is healthy; what has none is in wave 0
// (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/).
const (
	WaveAnnotation = "argocd.argoproj.io/sync-wave"

	WaveStores     = "-3"
	WaveGenerators = "-2"
	WaveSecrets    = "-1"
)

func Wave(w string) map[string]string { return map[string]string{WaveAnnotation: w} }
