package emit

import (
	"bytes"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/shape"
)

// sealedSecret writes the manifest that kubeseal would make of s around ciphertexts
// (in base64) that were sealed for label(s).
func sealedSecret(s plan.Secret, p *plan.Plan, ciphertexts map[string]string) ([]byte, error) {
	scope := sealingScopes[s.Delivery.Scope]
	ss := shape.SealedSecret{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.SealedSecretVersion, Kind: shape.SealedSecretKind},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: ownLabels(p, s.Labels), Annotations: scope.Annotations(nil)},
		Spec: shape.SealedSecretSpec{
			Template: shape.SecretTemplate{
				ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: ownLabels(p, s.Labels), Annotations: scope.Annotations(s.Annotations)},
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
		ss.Annotations[waveAnnotation] = waveSecrets
	}
	ss.Spec.EncryptedData = shape.EncryptedData{}
	for key := range ciphertexts {
		ss.Spec.EncryptedData[key] = ""
	}
	y, err := marshalYAML(ss)
	if err != nil {
		return nil, err
	}
	return splice(y, ciphertexts), nil
}

// wholeObjects are the annotations in which programs keep all of an object. kubeseal
// takes them out, for that of a Secret would have its values.
var wholeObjects = []string{"kubectl.kubernetes.io/last-applied-configuration", "kubecfg.ksonnet.io/last-applied-configuration"}

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
	return sealingScopes[s.Delivery.Scope].Label(s.Namespace, s.Name)
}

// ciphertextsOf returns the ciphertexts in the manifest of a SealedSecret, but
// for those that are none because somebody has broken them.
func ciphertextsOf(manifest []byte) map[string]string {
	var ss shape.SealedSecret
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
