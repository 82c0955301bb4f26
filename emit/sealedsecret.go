package emit

import (
	"bytes"
	"maps"
	"slices"
	"strings"

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
func sealedSecret(s plan.Secret, p *plan.Plan, ciphertexts map[string]string) ([]byte, error) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:        s.Name,
			Namespace:   s.Namespace,
			Labels:      ownLabels(p, s.Labels),
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
	ss.Labels = ownLabels(p, s.Labels)
	if p.ArgoCD != nil {
		ss.Annotations = maps.Clone(ss.Annotations) // it may be that of the template
		if ss.Annotations == nil {
			ss.Annotations = map[string]string{}
		}
		ss.Annotations[waveAnnotation] = waveSecrets
	}
	ss.Spec.EncryptedData = map[string]string{}
	for key := range ciphertexts {
		ss.Spec.EncryptedData[key] = ""
	}
	y, err := marshalYAML(ss)
	if err != nil {
		return nil, err
	}
	return splice(y, ciphertexts), nil
}

// splice puts the ciphertexts into a manifest that has empty ones, below the
// header. They are nearly all of its bytes, and there is nothing to quote in
// them: to let the encoder look would take a tenth of the time of sealing.
func splice(manifest []byte, ciphertexts map[string]string) []byte {
	const field, empty = "\n  encryptedData:\n", `: ""`
	before, rest, _ := bytes.Cut(manifest, []byte(field)) // only labels come before
	out := slices.Concat([]byte(header), before, []byte(field))
	for range ciphertexts {
		key, after, _ := bytes.Cut(rest, []byte(empty))
		// The encoder quotes a key like "true", and writes one of over 128
		// characters as "? key"; no key has any of these characters in it.
		name := bytes.Trim(key, " ?\n\"'")
		out = append(append(append(out, key...), ": "...), ciphertexts[string(name)]...)
		rest = after
	}
	return append(out, rest...)
}

// label is what the ciphertexts of s are bound to.
func label(s plan.Secret) []byte {
	return v1alpha1.EncryptionLabel(s.Namespace, s.Name, sealingScopes[s.Delivery.Scope])
}

// ciphertextsOf returns the ciphertexts in the manifest of a SealedSecret, but
// for those that are none because somebody has broken them.
func ciphertextsOf(manifest []byte) map[string]string {
	var ss v1alpha1.SealedSecret
	if err := yaml.Unmarshal(manifest, &ss); err != nil {
		return nil
	}
	for key, text := range ss.Spec.EncryptedData {
		if strings.Trim(text, base64Alphabet) != "" {
			delete(ss.Spec.EncryptedData, key)
		}
	}
	return ss.Spec.EncryptedData
}

// base64Alphabet is that of RFC 4648, section 4.
const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
