package emit

import (
	"maps"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// sealedSecret writes the manifest that kubeseal would make of s, with
// upstream's own code, around ciphertexts (in base64) that were sealed for
// label(s).
func sealedSecret(s plan.Secret, partOf string, ciphertexts map[string]string) ([]byte, error) {
	labels := func() map[string]string {
		l := map[string]string{}
		maps.Copy(l, s.Labels)
		l[LabelManagedBy], l[LabelPartOf] = ManagedBy, partOf
		return l
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:        s.Name,
			Namespace:   s.Namespace,
			Labels:      labels(),
			Annotations: v1alpha1.UpdateScopeAnnotations(maps.Clone(s.Annotations), sealingScopes[s.Delivery.Scope]),
		},
		Type: corev1.SecretType(s.Type),
	}
	if s.Immutable {
		secret.Immutable = &s.Immutable
	}
	// Without data it needs neither codecs nor a key.
	ss, err := v1alpha1.NewSealedSecret(serializer.CodecFactory{}, nil, secret)
	if err != nil {
		return nil, err
	}
	ss.TypeMeta = metav1.TypeMeta{APIVersion: sealedSecretVersion, Kind: sealedSecretKind}
	ss.Labels = labels()
	ss.Spec.EncryptedData = ciphertexts
	y, err := yaml.Marshal(ss)
	return append([]byte(header), y...), err
}

// label is what the ciphertexts of s are bound to.
func label(s plan.Secret) []byte {
	return v1alpha1.EncryptionLabel(s.Namespace, s.Name, sealingScopes[s.Delivery.Scope])
}

// ciphertextsOf returns the ciphertexts in the manifest of a SealedSecret;
// none of one that somebody has broken.
func ciphertextsOf(manifest []byte) map[string]string {
	var ss v1alpha1.SealedSecret
	if err := yaml.Unmarshal(manifest, &ss); err != nil {
		return nil
	}
	return ss.Spec.EncryptedData
}
