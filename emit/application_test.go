package emit

import (
	"crypto/rsa"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestWaveBesideScope: the sync wave of a SealedSecret stands next to the annotation
// of its scope, which it needs to unseal, and is not handed on to the Secret.
func TestWaveBesideScope(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.ArgoCD = &plan.ArgoCD{Name: "a", Namespace: "argocd"}
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	private, _ := emittest.Keys[0]()
	for _, s := range p.Secrets {
		var ss v1alpha1.SealedSecret
		if err := yaml.UnmarshalStrict(built.Files["secrets/"+s.Name+".yaml"], &ss); err != nil {
			t.Fatal(err)
		}
		if ss.Annotations[tree.WaveAnnotation] != tree.WaveSecrets || ss.Spec.Template.Annotations[tree.WaveAnnotation] != "" {
			t.Errorf("%s: %v, and the Secret has %v", s.Name, ss.Annotations, ss.Spec.Template.Annotations)
		}
		if _, err := ss.Unseal(serializer.CodecFactory{}, map[string]*rsa.PrivateKey{"": private}); err != nil {
			t.Errorf("%s does not unseal: %v", s.Name, err)
		}
	}
}
