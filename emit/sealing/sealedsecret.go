package sealing

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// Manifest writes the manifest that kubeseal would make of s around ciphertexts
// (in base64) that were sealed for label(s).
func Manifest(s plan.Secret, p *plan.Plan, ciphertexts map[string]string) ([]byte, error) {
	scope := Scopes[s.Delivery.Scope]
	ss := shape.SealedSecret{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.SealedSecretVersion, Kind: shape.SealedSecretKind},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: tree.Labels(p, s.Labels), Annotations: scope.Annotations(nil)},
		Spec: shape.SealedSecretSpec{
			Template: shape.SecretTemplate{
				ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: tree.Labels(p, s.Labels), Annotations: scope.Annotations(s.Annotations)},
				Type:       s.Type,
			},
		},
	}
	for _, whole := range wholeObjects {
		delete(ss.Spec.Template.Annotations, whole)
	}
	if s.Immutable {
		ss.Spec.Template.Immutable = &s.Immutable
	}
	if p.ArgoCD != nil {
		ss.Annotations[tree.WaveAnnotation] = tree.WaveSecrets
	}
	ss.Spec.EncryptedData = shape.EncryptedData{}
	for key := range ciphertexts {
		ss.Spec.EncryptedData[key] = ""
	}
	y, err := tree.MarshalYAML(ss)
	if err != nil {
		return nil, err
	}
	return tree.Splice(y, ciphertexts), nil
}

// wholeObjects are the annotations in which programs keep all of an object. kubeseal
// takes them out, because that of a Secret would have its values.
var wholeObjects = []string{"kubectl.kubernetes.io/last-applied-configuration", "kubecfg.ksonnet.io/last-applied-configuration"}

// Label is what the ciphertexts of s are bound to.
func Label(s plan.Secret) []byte {
	return Scopes[s.Delivery.Scope].Label(s.Namespace, s.Name)
}
