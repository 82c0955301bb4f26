package shape

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CoreVersion is the apiVersion of a [Secret], a [ServiceAccount] and a [Service].
const CoreVersion = "v1"

// The types of a [Secret], the keys that they have, and how many bytes of values one
// may hold: https://kubernetes.io/docs/concepts/configuration/secret/.
const (
	SecretTypeOpaque              = "Opaque"
	SecretTypeServiceAccountToken = "kubernetes.io/service-account-token"
	SecretTypeDockercfg           = "kubernetes.io/dockercfg"
	SecretTypeDockerConfigJSON    = "kubernetes.io/dockerconfigjson"
	SecretTypeBasicAuth           = "kubernetes.io/basic-auth"
	SecretTypeSSHAuth             = "kubernetes.io/ssh-auth"
	SecretTypeTLS                 = "kubernetes.io/tls"
	SecretTypeBootstrapToken      = "bootstrap.kubernetes.io/token"

	ServiceAccountTokenKey     = "token"
	ServiceAccountRootCAKey    = "ca.crt"
	ServiceAccountNamespaceKey = "namespace"
	DockerConfigKey            = ".dockercfg"
	DockerConfigJSONKey        = ".dockerconfigjson"
	BasicAuthUsernameKey       = "username"
	BasicAuthPasswordKey       = "password"
	SSHAuthPrivateKey          = "ssh-privatekey"
	TLSCertKey                 = "tls.crt"
	TLSPrivateKeyKey           = "tls.key"

	MaxSecretSize = 1 << 20
)

// Secret holds values.
type Secret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Type              string            `json:"type,omitempty"`
	Immutable         *bool             `json:"immutable,omitempty"`
	Data              map[string][]byte `json:"data,omitempty"`
}

// ServiceAccount is who runs in the cluster.
type ServiceAccount struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

// Service is the ports of one.
type Service struct {
	Spec ServiceSpec `json:"spec"`
}

// ServiceSpec is the spec of a [Service].
type ServiceSpec struct {
	Ports []ServicePort `json:"ports,omitempty"`
}

// ServicePort is a port of a [Service]; the name may be empty if it is the only one.
type ServicePort struct {
	Name string `json:"name,omitempty"`
}

// NamespaceTerminatingCause is why an API server creates nothing in a namespace that
// is being deleted.
const NamespaceTerminatingCause = metav1.CauseType("NamespaceTerminating")

// PodTemplate is what a Pod is made from, as far as Secrets reach its containers:
// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/.
type PodTemplate struct {
	Spec PodSpec `json:"spec,omitzero"`
}

// PodSpec is the spec of a [PodTemplate].
type PodSpec struct {
	Volumes             []Volume    `json:"volumes,omitempty"`
	InitContainers      []Container `json:"initContainers,omitempty"`
	Containers          []Container `json:"containers,omitempty"`
	EphemeralContainers []Container `json:"ephemeralContainers,omitempty"`
}

// Container is what a container gets as environment variables.
type Container struct {
	Env     []EnvVar  `json:"env,omitempty"`
	EnvFrom []EnvFrom `json:"envFrom,omitempty"`
}

// EnvVar is one variable.
type EnvVar struct {
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is where its value is from.
type EnvVarSource struct {
	SecretKeyRef *Named `json:"secretKeyRef,omitempty"`
}

// EnvFrom is a variable for each key.
type EnvFrom struct {
	SecretRef *Named `json:"secretRef,omitempty"`
}

// Named is a reference to an object in the same namespace.
type Named struct {
	Name string `json:"name,omitempty"`
}

// Volume is what a container gets as files.
type Volume struct {
	Secret    *SecretVolume    `json:"secret,omitempty"`
	Projected *ProjectedVolume `json:"projected,omitempty"`
}

// SecretVolume has the keys of one Secret.
type SecretVolume struct {
	SecretName string `json:"secretName,omitempty"`
}

// ProjectedVolume has those of several objects.
type ProjectedVolume struct {
	Sources []Projection `json:"sources,omitempty"`
}

// Projection is one of them.
type Projection struct {
	Secret *Named `json:"secret,omitempty"`
}

// The kinds of RBAC (https://kubernetes.io/docs/reference/access-authn-authz/rbac/).
const (
	RBACGroup       = "rbac.authorization.k8s.io"
	RBACVersion     = RBACGroup + "/v1"
	RoleKind        = "Role"
	RoleBindingKind = "RoleBinding"

	// The kinds of a [Subject]; the third is User.
	ServiceAccountKind = "ServiceAccount"
	GroupKind          = "Group"
)

// Role is rights in a namespace.
type Role struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Rules             []PolicyRule `json:"rules"`
}

// PolicyRule is some of them.
type PolicyRule struct {
	Verbs         []string `json:"verbs"`
	APIGroups     []string `json:"apiGroups,omitempty"`
	Resources     []string `json:"resources,omitempty"`
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// RoleBinding says who has a [Role].
type RoleBinding struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Subjects          []Subject `json:"subjects,omitempty"`
	RoleRef           RoleRef   `json:"roleRef"`
}

// Subject is a ServiceAccount, a user or a group.
type Subject struct {
	Kind      string `json:"kind"`
	APIGroup  string `json:"apiGroup,omitempty"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// RoleRef names a [Role].
type RoleRef struct {
	APIGroup string `json:"apiGroup"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
}
