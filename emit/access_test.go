package emit

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestAccess decodes strictly what readers get, and holds it against the
// SealedSecrets of the tree.
func TestAccess(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	cert := p.Secrets[0].Delivery.Certificate
	elsewhere := secret(t, cert, plan.Strict, "elsewhere", "key", "KEY")
	elsewhere.Namespace = "another"
	empty := elsewhere
	empty.Namespace, empty.Keys = "empty", []plan.Key{key(t, "api-key", "API_KEY")}
	p.Secrets = append([]plan.Secret{elsewhere, empty}, append(p.Secrets, secret(t, cert, plan.Strict, "xtra", "api-key", "API_KEY"))...)

	without, _ := mustEmit(t, p, testValues(), nil, at(day))
	if _, ok := without.Files[tree.AccessFile]; ok {
		t.Error("there are rights without readers")
	}
	p.Readers = []plan.Reader{{Kind: "ServiceAccount", Name: "api"}, {Kind: "ServiceAccount", Name: "ci", Namespace: "ops"}, {Kind: "User", Name: "jane"}}
	built, _ := mustEmit(t, p, testValues(), without, at(day))
	for _, change := range tree.Diff(without, built) {
		if strings.HasPrefix(change.Path, "secrets") {
			t.Errorf("%s is %s", change.Path, change.Kind)
		}
	}

	want := map[string][]string{} // the names of the secrets in each namespace
	for _, s := range p.Secrets {
		for name, data := range built.Files {
			var ss v1alpha1.SealedSecret
			if !strings.HasPrefix(name, "secrets") {
				continue
			}
			if err := yaml.UnmarshalStrict(data, &ss); err != nil {
				t.Fatal(err)
			}
			if ss.Name == s.Name && ss.Namespace == s.Namespace {
				want[s.Namespace] = append(want[s.Namespace], s.Name)
			}
		}
	}
	got := map[string][]string{}
	documents := bytes.Split(built.Files[tree.AccessFile], []byte("---\n"))
	if len(documents) != 2*len(want) {
		t.Fatalf("%d documents for %d namespaces", len(documents), len(want))
	}
	for i := 0; i < len(documents); i += 2 {
		var role rbacv1.Role
		var binding rbacv1.RoleBinding
		if err := yaml.UnmarshalStrict(documents[i], &role); err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(documents[i+1], &binding); err != nil {
			t.Fatal(err)
		}
		got[role.Namespace] = role.Rules[0].ResourceNames
		role.Rules[0].ResourceNames = nil
		rules := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}}
		if diff := cmp.Diff(rules, role.Rules); diff != "" {
			t.Errorf("rules in %s (-want +got)\n%s", role.Namespace, diff)
		}
		if diff := cmp.Diff(role.ObjectMeta, binding.ObjectMeta); diff != "" {
			t.Errorf("role and binding (-role +binding)\n%s", diff)
		}
		ref := rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: role.Name}
		if diff := cmp.Diff(ref, binding.RoleRef); diff != "" {
			t.Errorf("reference in %s (-want +got)\n%s", role.Namespace, diff)
		}
		subjects := []rbacv1.Subject{
			{Kind: "ServiceAccount", Name: "api", Namespace: role.Namespace},
			{Kind: "ServiceAccount", Name: "ci", Namespace: "ops"},
			{Kind: "User", Name: "jane", APIGroup: "rbac.authorization.k8s.io"},
		}
		if diff := cmp.Diff(subjects, binding.Subjects); diff != "" {
			t.Errorf("subjects in %s (-want +got)\n%s", role.Namespace, diff)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-in the tree +in the roles)\n%s", diff)
	}
}
