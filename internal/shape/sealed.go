package shape

import (
	"encoding/json"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The SealedSecret of sealed-secrets
// (https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/apis/sealedsecrets/v1alpha1/types.go).
const (
	SealedSecretKind    = "SealedSecret"
	SealedSecretVersion = "bitnami.com/v1alpha1"
)

// SealedSecret is the ciphertexts of a Secret.
type SealedSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              SealedSecretSpec    `json:"spec"`
	Status            *SealedSecretStatus `json:"status,omitempty"`
}

// SealedSecretSpec is the spec of a [SealedSecret].
type SealedSecretSpec struct {
	Template      SecretTemplate `json:"template"`
	EncryptedData EncryptedData  `json:"encryptedData"`
}

// SecretTemplate is what the Secret has next to its data.
type SecretTemplate struct {
	metav1.ObjectMeta `json:"metadata"`
	Type              string `json:"type,omitempty"`
	Immutable         *bool  `json:"immutable,omitempty"`
}

// EncryptedData are ciphertexts by key, in base64.
type EncryptedData map[string]string

// UnmarshalJSON implements [json.Unmarshaler] as the controller does, which leaves
// out what is no text.
func (d *EncryptedData) UnmarshalJSON(data []byte) error {
	read := map[string]string{}
	_ = json.Unmarshal(data, &read)
	*d = read
	return nil
}

// SealedSecretStatus is what the controller says of a [SealedSecret].
type SealedSecretStatus struct {
	ObservedGeneration int64       `json:"observedGeneration,omitempty"`
	Conditions         []Condition `json:"conditions,omitempty"`
}

// SealingScope is where a SealedSecret may be unsealed.
type SealingScope int

// The scopes.
const (
	StrictScope        SealingScope = iota // under its name, in its namespace
	NamespaceWideScope                     // under any name
	ClusterWideScope                       // anywhere
)

// The annotations that say the scope.
const (
	NamespaceWideAnnotation = "sealedsecrets.bitnami.com/namespace-wide"
	ClusterWideAnnotation   = "sealedsecrets.bitnami.com/cluster-wide"
)

// String is the name of a scope as kubeseal takes it.
func (s SealingScope) String() string {
	switch s {
	case StrictScope:
		return "strict"
	case NamespaceWideScope:
		return "namespace-wide"
	case ClusterWideScope:
		return "cluster-wide"
	}
	return fmt.Sprintf("undefined-%d", int(s))
}

// Label is what the ciphertexts of a Secret are bound to.
func (s SealingScope) Label(namespace, name string) []byte {
	switch s {
	case ClusterWideScope:
		return []byte{}
	case NamespaceWideScope:
		return []byte(namespace)
	}
	return []byte(namespace + "/" + name)
}

// Annotations returns annotations that say the scope, and otherwise are those given.
func (s SealingScope) Annotations(annotations map[string]string) map[string]string {
	annotations = maps.Clone(annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	delete(annotations, NamespaceWideAnnotation)
	delete(annotations, ClusterWideAnnotation)
	switch s {
	case NamespaceWideScope:
		annotations[NamespaceWideAnnotation] = "true"
	case ClusterWideScope:
		annotations[ClusterWideAnnotation] = "true"
	}
	return annotations
}

// ScopeOf returns the scope that annotations say.
func ScopeOf(annotations map[string]string) SealingScope {
	switch {
	case annotations[ClusterWideAnnotation] == "true":
		return ClusterWideScope
	case annotations[NamespaceWideAnnotation] == "true":
		return NamespaceWideScope
	}
	return StrictScope
}
