package cluster

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// secret is a Secret as it is in the cluster, or as it is to be. The zero
// secret is one that is not there.
type secret struct {
	uid         types.UID // empty if it is not there
	kind        string    // its type
	labels      map[string]string
	annotations map[string]string
	immutable   bool
	data        map[string]value.Value
	owners      []metav1.OwnerReference
	// ours are the fields that victorgen has applied, others those that someone
	// else has set; a field may be in both.
	ours, others map[string]bool
}

// parse takes in what the API server says.
func parse(u *unstructured.Unstructured) (secret, error) {
	var typed shape.Secret
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &typed); err != nil {
		return secret{}, errNoAnswer // it may quote a value
	}
	s := secret{
		uid: typed.UID, kind: typed.Type, labels: typed.Labels, annotations: typed.Annotations, owners: typed.OwnerReferences,
		immutable: typed.Immutable != nil && *typed.Immutable, data: map[string]value.Value{},
		ours: map[string]bool{}, others: map[string]bool{},
	}
	for k, b := range typed.Data {
		s.data[k] = value.New(b)
	}
	for _, entry := range typed.ManagedFields {
		if entry.Manager == tree.ManagedBy && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			managed(entry, s.ours)
		} else {
			managed(entry, s.others)
		}
	}
	return s, nil
}

// managed adds to fields those of an entry
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
func managed(entry metav1.ManagedFieldsEntry, fields map[string]bool) {
	var set struct {
		Data      map[string]json.RawMessage `json:"f:data"`
		Immutable json.RawMessage            `json:"f:immutable"`
		Type      json.RawMessage            `json:"f:type"`
		Metadata  struct {
			Labels      map[string]json.RawMessage `json:"f:labels"`
			Annotations map[string]json.RawMessage `json:"f:annotations"`
		} `json:"f:metadata"`
	}
	if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.Raw, &set) != nil {
		return
	}
	for kind, names := range map[string]map[string]json.RawMessage{"data": set.Data, "label": set.Metadata.Labels, "annotation": set.Metadata.Annotations} {
		for name := range names {
			if name, ok := strings.CutPrefix(name, "f:"); ok {
				fields[kind+" "+name] = true
			}
		}
	}
	for name, set := range map[string]json.RawMessage{"immutable": set.Immutable, "type": set.Type} {
		if set != nil {
			fields[name] = true
		}
	}
}

// wanted is the Secret that r is to be.
func wanted(p *plan.Plan, r emit.Rendered) secret {
	labels := maps.Clone(r.Labels)
	labels[tree.LabelEnvironment] = p.Environment
	s := secret{kind: r.Type, labels: labels, annotations: r.Annotations, immutable: r.Immutable, data: r.Data}
	s.ours = s.fields()
	return s
}

// fields names all that s sets.
func (s secret) fields() map[string]bool {
	fields := map[string]bool{"type": true}
	if s.immutable {
		fields["immutable"] = true
	}
	for k := range s.data {
		fields["data "+k] = true
	}
	for k := range s.labels {
		fields["label "+k] = true
	}
	for k := range s.annotations {
		fields["annotation "+k] = true
	}
	return fields
}

// object is what is applied. It holds the values.
func (s secret) object(namespace, name string) *unstructured.Unstructured {
	metadata := map[string]any{"namespace": namespace, "name": name, "labels": texts(s.labels)}
	if len(s.annotations) > 0 {
		metadata["annotations"] = texts(s.annotations)
	}
	data := map[string]any{}
	for k, v := range s.data {
		data[k] = base64.StdEncoding.EncodeToString(v.Reveal())
	}
	o := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": s.kind, "data": data}
	if s.immutable {
		o["immutable"] = true
	}
	return &unstructured.Unstructured{Object: o}
}

func texts(m map[string]string) map[string]any {
	a := map[string]any{}
	for k, v := range m {
		a[k] = v
	}
	return a
}

// owner returns the controller that s belongs to.
func (s secret) owner() (metav1.OwnerReference, bool) {
	i := slices.IndexFunc(s.owners, func(o metav1.OwnerReference) bool {
		return o.Controller != nil && *o.Controller || deliveredBy(o.Kind) != nil
	})
	if i < 0 {
		return metav1.OwnerReference{}, false
	}
	return s.owners[i], true
}

// elsewhere says whose s is, if it is victorgen's and not that of p.
func (s secret) elsewhere(p *plan.Plan) string {
	environment, part := s.labels[tree.LabelEnvironment], s.labels[tree.LabelPartOf]
	switch {
	case s.labels[tree.LabelManagedBy] != tree.ManagedBy, part == p.PartOf && (environment == "" || environment == p.Environment):
		return ""
	case part == p.PartOf:
		return "another environment of " + part
	}
	return "another contract"
}

func (s secret) there() bool { return s.uid != "" }

// has reports whether s is all that want is already, and holds nothing that
// victorgen has applied earlier and want has no more.
func (s secret) has(want secret) bool {
	return s.there() && s.kind == want.kind && s.immutable == want.immutable && maps.Equal(s.ours, want.ours) &&
		contains(s.labels, want.labels) && contains(s.annotations, want.annotations) && !s.changes(want)
}

func contains(m, part map[string]string) bool {
	for k, v := range part {
		if have, ok := m[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// changes reports whether applying want changes the data of s.
func (s secret) changes(want secret) bool {
	for k, v := range want.data {
		if have, ok := s.data[k]; !ok || !have.Equal(v) {
			return true
		}
	}
	return slices.ContainsFunc(slices.Collect(maps.Keys(s.data)), func(k string) bool { return s.drops(k, want) })
}

// drops reports whether key is gone when want is applied: only victorgen has
// set it, and want has it no more.
func (s secret) drops(key string, want secret) bool {
	_, stays := want.data[key]
	return !stays && s.ours["data "+key] && !s.others["data "+key]
}

// with is s after want is applied, as far as its data goes: what the API server
// will make of it.
func (s secret) with(want secret) secret {
	data := maps.Clone(s.data)
	maps.DeleteFunc(data, func(k string, _ value.Value) bool { return s.drops(k, want) })
	if data == nil {
		data = map[string]value.Value{}
	}
	maps.Copy(data, want.data)
	return secret{data: data}
}

// Outcome is what became of a Secret, or of one key of it.
type Outcome string

// The outcomes. A Secret is changed if anything of it is, a label too; it is unchanged
// if nothing but victorgen's own labels are added.
const (
	Created    Outcome = "created"
	Changed    Outcome = "changed"
	Unchanged  Outcome = "unchanged"
	Removed    Outcome = "removed"  // a key that victorgen had applied and the contract has no more
	Pruned     Outcome = "pruned"   // a Secret of this environment that the contract no longer has
	LeftOut    Outcome = "left out" // for what it is made from is absent
	NotApplied Outcome = "not applied"
)

// AppliedKey is one key of an [AppliedSecret].
type AppliedKey struct {
	Name  string  `json:"name"`
	State Outcome `json:"state"`
	Why   string  `json:"why,omitempty"`
}

// keys tells of each key of r what became of it between before and after.
func keys(r emit.Rendered, before, after secret) []AppliedKey {
	var all []AppliedKey
	names := maps.Clone(before.data)
	if names == nil {
		names = map[string]value.Value{}
	}
	maps.Copy(names, after.data)
	for k := range names {
		old, was := before.data[k]
		now, is := after.data[k]
		_, ours := r.Data[k]
		switch {
		case was && !is:
			all = append(all, AppliedKey{Name: removedName(r, k), State: Removed, Why: r.LeftOut[k]})
		case !ours: // someone else has set it
		case !was:
			all = append(all, AppliedKey{Name: k, State: Created})
		case !old.Equal(now):
			all = append(all, AppliedKey{Name: k, State: Changed})
		default:
			all = append(all, AppliedKey{Name: k, State: Unchanged})
		}
	}
	for k, why := range r.LeftOut {
		_, was := before.data[k]
		if _, is := after.data[k]; is || !was {
			all = append(all, AppliedKey{Name: k, State: LeftOut, Why: why})
		}
	}
	slices.SortFunc(all, func(a, b AppliedKey) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// removedName returns the name of a key that is removed, if the contract has it or
// everyone knows it.
func removedName(r emit.Rendered, key string) string {
	declared := slices.ContainsFunc(r.Keys, func(k plan.Key) bool { return k.Name == key })
	if _, leftOut := r.LeftOut[key]; declared || leftOut || slices.Contains(keyNames, key) {
		return key
	}
	return notShown
}
