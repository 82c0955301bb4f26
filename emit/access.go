package emit

import (
	"bytes"
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// accessManifest writes, for each namespace, the Role that may get its secrets
// and the RoleBinding that gives it to the readers. secrets are those in
// the tree, in the order of the plan. It also returns how many objects that is:
// none without readers.
//
// The Role allows nothing but get: a request to list or watch names no secret,
// so to allow it is to hand out all of them
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources).
func accessManifest(p *plan.Plan, secrets []tree.SecretID) (manifest []byte, objects int, err error) {
	if len(p.Readers) == 0 {
		return nil, 0, nil
	}
	names := map[string][]string{} // by namespace
	var order []string
	for _, s := range secrets {
		if names[s.Namespace] == nil {
			order = append(order, s.Namespace)
		}
		names[s.Namespace] = append(names[s.Namespace], s.Name)
	}
	var documents [][]byte
	for _, namespace := range order {
		role, binding := accessOf(p, namespace, names[namespace])
		for _, object := range []any{role, binding} {
			y, err := tree.MarshalYAML(object)
			if err != nil {
				return nil, 0, err
			}
			documents = append(documents, y)
		}
	}
	return slices.Concat([]byte(tree.Header), bytes.Join(documents, []byte("---\n"))), len(documents), nil
}

// accessOf returns the Role and the RoleBinding of one namespace. They are named
// after the application and its environment, for others may share the namespace.
func accessOf(p *plan.Plan, namespace string, names []string) (*shape.Role, *shape.RoleBinding) {
	meta := metav1.ObjectMeta{
		Name: p.PartOf + "-" + p.Environment + "-secret-reader", Namespace: namespace,
		Labels: map[string]string{tree.LabelManagedBy: tree.ManagedBy, tree.LabelPartOf: p.PartOf},
	}
	role := &shape.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.RBACVersion, Kind: shape.RoleKind},
		ObjectMeta: meta,
		Rules: []shape.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{"get"},
		}},
	}
	binding := &shape.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.RBACVersion, Kind: shape.RoleBindingKind},
		ObjectMeta: meta,
		RoleRef:    shape.RoleRef{APIGroup: shape.RBACGroup, Kind: shape.RoleKind, Name: meta.Name},
	}
	for _, r := range p.Readers {
		subject := shape.Subject{Kind: r.Kind, Name: r.Name}
		if r.Kind == shape.ServiceAccountKind {
			subject.Namespace = cmp.Or(r.Namespace, namespace)
		} else {
			subject.APIGroup = shape.RBACGroup
		}
		binding.Subjects = append(binding.Subjects, subject)
	}
	return role, binding
}
