package shape

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The kinds of the External Secrets Operator (https://external-secrets.io/latest/api/spec/).
const (
	ExternalSecretKind     = "ExternalSecret"
	SecretStoreKind        = "SecretStore"
	ClusterSecretStoreKind = "ClusterSecretStore"
	ExternalSecretVersion  = "external-secrets.io/v1" // of the three

	PushSecretKind    = "PushSecret"
	PushSecretVersion = "external-secrets.io/v1alpha1"

	PasswordKind     = "Password"
	UUIDKind         = "UUID"
	GeneratorVersion = "generators.external-secrets.io/v1alpha1" // of the two
)

// ExternalSecret is a Secret that the operator makes of what it fetches.
type ExternalSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              ExternalSecretSpec   `json:"spec"`
	Status            ExternalSecretStatus `json:"status,omitzero"`
}

// ExternalSecretSpec is the spec of an [ExternalSecret].
type ExternalSecretSpec struct {
	SecretStoreRef  Reference            `json:"secretStoreRef,omitzero"`
	Target          ExternalSecretTarget `json:"target,omitzero"`
	RefreshPolicy   string               `json:"refreshPolicy,omitempty"`
	RefreshInterval *metav1.Duration     `json:"refreshInterval,omitempty"`
	Data            []ExternalSecretData `json:"data,omitempty"`
}

// ExternalSecretTarget is the Secret that becomes of it.
type ExternalSecretTarget struct {
	CreationPolicy string                  `json:"creationPolicy,omitempty"`
	DeletionPolicy string                  `json:"deletionPolicy,omitempty"`
	Template       *ExternalSecretTemplate `json:"template,omitempty"`
	Immutable      bool                    `json:"immutable,omitempty"`
}

// ExternalSecretTemplate is what is made of what is fetched.
type ExternalSecretTemplate struct {
	Type          string            `json:"type,omitempty"`
	EngineVersion string            `json:"engineVersion,omitempty"`
	MergePolicy   string            `json:"mergePolicy,omitempty"`
	Metadata      TemplateMetadata  `json:"metadata,omitzero"`
	Data          map[string]string `json:"data,omitempty"`
}

// TemplateMetadata are the labels and annotations of the Secret.
type TemplateMetadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// ExternalSecretData is one thing that is fetched.
type ExternalSecretData struct {
	SecretKey string    `json:"secretKey"`
	RemoteRef RemoteRef `json:"remoteRef"`
	SourceRef *StoreRef `json:"sourceRef,omitempty"`
}

// StoreRef names a store that is not that of the whole [ExternalSecret].
type StoreRef struct {
	SecretStoreRef Reference `json:"storeRef,omitzero"`
}

// RemoteRef is where it is fetched from.
type RemoteRef struct {
	Key                string `json:"key"`
	MetadataPolicy     string `json:"metadataPolicy,omitempty"`
	Property           string `json:"property,omitempty"`
	Version            string `json:"version,omitempty"`
	ConversionStrategy string `json:"conversionStrategy,omitempty"`
	DecodingStrategy   string `json:"decodingStrategy,omitempty"`
}

// ExternalSecretStatus is what the operator says of an [ExternalSecret].
type ExternalSecretStatus struct {
	RefreshTime           metav1.Time `json:"refreshTime,omitzero"`
	SyncedResourceVersion string      `json:"syncedResourceVersion,omitempty"`
	Conditions            []Condition `json:"conditions,omitempty"`
}

// SecretStore is where and as whom the operator fetches. A ClusterSecretStore has
// the same form.
type SecretStore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              SecretStoreSpec   `json:"spec"`
	Status            SecretStoreStatus `json:"status,omitzero"`
}

// SecretStoreSpec is the spec of a [SecretStore].
type SecretStoreSpec struct {
	Provider *Provider `json:"provider"`
}

// SecretStoreStatus is what the operator says of a [SecretStore].
type SecretStoreStatus struct {
	Conditions []Condition `json:"conditions,omitempty"`
}

// Provider is the one of its fields that is set.
type Provider struct {
	AWS     *AWSProvider   `json:"aws,omitempty"`
	AzureKV *AzureProvider `json:"azurekv,omitempty"`
	GCPSM   *GCPProvider   `json:"gcpsm,omitempty"`
	Vault   *VaultProvider `json:"vault,omitempty"`
}

// ServiceAccountRef names a ServiceAccount.
type ServiceAccountRef struct {
	Name string `json:"name"`
}

// AWSProvider is Parameter Store or Secrets Manager.
type AWSProvider struct {
	Service string  `json:"service"`
	Region  string  `json:"region"`
	Auth    AWSAuth `json:"auth,omitzero"`
}

// AWSAuth is how to log in to AWS.
type AWSAuth struct {
	JWT *AWSJWTAuth `json:"jwt,omitempty"`
}

// AWSJWTAuth is the role of a ServiceAccount.
type AWSJWTAuth struct {
	ServiceAccountRef *ServiceAccountRef `json:"serviceAccountRef,omitempty"`
}

// AzureProvider is a Key Vault.
type AzureProvider struct {
	AuthType          string             `json:"authType,omitempty"`
	VaultURL          string             `json:"vaultUrl"`
	EnvironmentType   string             `json:"environmentType,omitempty"`
	ServiceAccountRef *ServiceAccountRef `json:"serviceAccountRef,omitempty"`
}

// GCPProvider is Secret Manager.
type GCPProvider struct {
	Auth      GCPAuth `json:"auth,omitzero"`
	ProjectID string  `json:"projectID,omitempty"`
	Location  string  `json:"location,omitempty"`
}

// GCPAuth is how to log in to Google Cloud.
type GCPAuth struct {
	WorkloadIdentity *GCPWorkloadIdentity `json:"workloadIdentity,omitempty"`
}

// GCPWorkloadIdentity is the identity of a ServiceAccount of a cluster.
type GCPWorkloadIdentity struct {
	ServiceAccountRef ServiceAccountRef `json:"serviceAccountRef"`
	ClusterLocation   string            `json:"clusterLocation,omitempty"`
	ClusterName       string            `json:"clusterName,omitempty"`
	ClusterProjectID  string            `json:"clusterProjectID,omitempty"`
}

// VaultProvider is a mount of Vault.
type VaultProvider struct {
	Auth      VaultAuth `json:"auth,omitzero"`
	Server    string    `json:"server"`
	Path      string    `json:"path,omitempty"`
	Version   string    `json:"version"`
	Namespace string    `json:"namespace,omitempty"`
	CABundle  []byte    `json:"caBundle,omitempty"`
}

// VaultAuth is how to log in to Vault.
type VaultAuth struct {
	Kubernetes VaultKubernetesAuth `json:"kubernetes,omitzero"`
}

// VaultKubernetesAuth is a role for a ServiceAccount.
type VaultKubernetesAuth struct {
	Path              string             `json:"mountPath"`
	Role              string             `json:"role"`
	ServiceAccountRef *ServiceAccountRef `json:"serviceAccountRef,omitempty"`
}

// PushSecret is what the operator writes to a store.
type PushSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              PushSecretSpec `json:"spec"`
}

// PushSecretSpec is the spec of a [PushSecret].
type PushSecretSpec struct {
	RefreshInterval *metav1.Duration   `json:"refreshInterval,omitempty"`
	SecretStoreRefs []Reference        `json:"secretStoreRefs"`
	UpdatePolicy    string             `json:"updatePolicy,omitempty"`
	DeletionPolicy  string             `json:"deletionPolicy,omitempty"`
	Selector        PushSecretSelector `json:"selector"`
	Data            []PushSecretData   `json:"data,omitempty"`
}

// PushSecretSelector is where the value comes from.
type PushSecretSelector struct {
	GeneratorRef *Reference `json:"generatorRef,omitempty"`
}

// PushSecretData is one key that is written.
type PushSecretData struct {
	Match              PushSecretMatch `json:"match"`
	Metadata           json.RawMessage `json:"metadata,omitempty"`
	ConversionStrategy string          `json:"conversionStrategy,omitempty"`
}

// PushSecretMatch is a key and where it is written to.
type PushSecretMatch struct {
	SecretKey string     `json:"secretKey,omitempty"`
	RemoteRef PushRemote `json:"remoteRef"`
}

// PushRemote is where a key is written to.
type PushRemote struct {
	RemoteKey string `json:"remoteKey"`
	Property  string `json:"property,omitempty"`
}

// Password is a generator of passwords.
type Password struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              PasswordSpec `json:"spec"`
}

// PasswordSpec is the spec of a [Password].
type PasswordSpec struct {
	Length           int    `json:"length"`
	Digits           int    `json:"digits"`
	Symbols          int    `json:"symbols"`
	SymbolCharacters string `json:"symbolCharacters,omitempty"`
	NoUpper          bool   `json:"noUpper"`
	AllowRepeat      bool   `json:"allowRepeat"`
}

// UUID is a generator of UUIDs.
type UUID struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}
