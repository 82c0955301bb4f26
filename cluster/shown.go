package cluster

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/shape"
)

// What an API server sends may hold a value: someone has pasted it into the wrong
// place, or a webhook quotes it. What is shown of it is in a list that is closed, or
// stands in the contract; of all else is said what it is.

// notShown stands for a name that is not shown.
const notShown = "[not shown]"

// keyNames are those of the types of Secret that Kubernetes has, and of the
// certificates next to them.
var keyNames = []string{
	shape.TLSCertKey, shape.TLSPrivateKeyKey, shape.ServiceAccountRootCAKey, shape.DockerConfigJSONKey, shape.DockerConfigKey,
	shape.SSHAuthPrivateKey, shape.BasicAuthUsernameKey, shape.BasicAuthPasswordKey, shape.ServiceAccountTokenKey, shape.ServiceAccountNamespaceKey,
}

// typeNames are the types of Secret that Kubernetes has, next to those of bootstrapping.
var typeNames = []string{
	shape.SecretTypeOpaque, shape.SecretTypeServiceAccountToken, shape.SecretTypeDockercfg, shape.SecretTypeDockerConfigJSON,
	shape.SecretTypeBasicAuth, shape.SecretTypeSSHAuth, shape.SecretTypeTLS, shape.SecretTypeBootstrapToken,
}

// typeOf returns the type of a live Secret, in words if it is neither one of
// Kubernetes nor the one that it should have.
func typeOf(live, want string) string {
	if live == want || slices.Contains(typeNames, live) {
		return live
	}
	return "a type that is not Kubernetes' own"
}

// typed is typeOf for a message.
func typed(live, want string) string {
	if shown := typeOf(live, want); shown != live {
		return shown
	}
	return "type " + live
}

// ownerKinds are the kinds of object that make Secrets and are named as such.
var ownerKinds = []string{
	sealedSecret, externalSecret, "ClusterExternalSecret", "PushSecret", "Certificate", "CertificateRequest", "Issuer", "ClusterIssuer",
	"VaultStaticSecret", "VaultDynamicSecret", "VaultPKISecret", "SecretProviderClassPodStatus", "HelmRelease", "Kustomization", "Application",
	"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ServiceAccount", "Secret",
}

// ownerOf names what a Secret belongs to, with what stands between its kind and its
// name. An object that makes a Secret mostly has its name; another one is not shown.
func ownerOf(kind, between, name, secret string) string {
	switch {
	case !slices.Contains(ownerKinds, kind):
		return "an object of another kind"
	case name != secret:
		return kind + " of another name"
	}
	return kind + between + name
}

// portName returns the name of a port of a Service as it stands in a rule.
func portName(name string) string {
	if slices.Contains([]string{"", "http", "web", "https", "metrics"}, name) {
		return name
	}
	return "PORT"
}

// objectName returns the name of an object that the contract does not name: it must
// be what Kubernetes takes for one, and not be, or hold, a value of values.
func objectName(name string, values []value.Value) string {
	if len(validation.IsDNS1123Subdomain(name)) > 0 || slices.ContainsFunc(values, func(v value.Value) bool { return holds(name, v) }) {
		return notShown
	}
	return name
}

// minHeld is how long a value must be, in bytes, so that it is no accident if a name
// has it in it.
const minHeld = 4

// holds reports whether a name has a value in it, as it is, in small letters or in hex.
func holds(name string, v value.Value) bool {
	content := bytes.TrimSpace(v.Reveal())
	return len(content) >= minHeld &&
		(strings.Contains(name, strings.ToLower(string(content))) || strings.Contains(name, hex.EncodeToString(content)))
}

// stranger stands for the name of a store that the contract does not name.
const stranger = "that the contract does not name"

// shown returns the name of s as far as p has it.
func (s Store) shown(p *plan.Plan) string {
	if slices.ContainsFunc(p.Sources, func(src plan.Source) bool { return src.Store.Name == s.Name }) {
		return s.Name
	}
	return stranger
}

// label names s with its kind, for people.
func (s Store) label(p *plan.Plan) string {
	if s.shown(p) == stranger {
		return "a " + s.Kind + " " + stranger
	}
	return s.Kind + " " + strings.TrimPrefix(s.Namespace+"/"+s.Name, "/")
}
