package shape

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	esv1alpha1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1alpha1"
	genv1alpha1 "github.com/external-secrets/external-secrets/apis/generators/v1alpha1"
	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pairs are each object here with that of its operator.
var pairs = []struct{ own, theirs any }{
	{new(SealedSecret), new(v1alpha1.SealedSecret)},
	{new(ExternalSecret), new(esv1.ExternalSecret)},
	{new(SecretStore), new(esv1.SecretStore)},
	{new(SecretStore), new(esv1.ClusterSecretStore)},
	{new(PushSecret), new(esv1alpha1.PushSecret)},
	{new(Password), new(genv1alpha1.Password)},
	{new(UUID), new(genv1alpha1.UUID)},
	{new(PrometheusRule), new(monitoringv1.PrometheusRule)},
	{new(Secret), new(corev1.Secret)},
	{new(ServiceAccount), new(corev1.ServiceAccount)},
	{new(Service), new(corev1.Service)},
	{new(PodTemplate), new(corev1.PodTemplateSpec)},
	{new(Role), new(rbacv1.Role)},
	{new(RoleBinding), new(rbacv1.RoleBinding)},
}

// TestShapes: every field here is one of the operator's, with the same name and form,
// and arrives there and back.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, p := range pairs {
		fill(reflect.ValueOf(p.own).Elem())
		name := reflect.TypeOf(p.theirs).Elem().String()
		js, err := json.Marshal(p.own)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		decoder := json.NewDecoder(bytes.NewReader(js))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(p.theirs); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		theirs, err := json.Marshal(p.theirs)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		back := reflect.New(reflect.TypeOf(p.own).Elem()).Interface()
		if err := json.Unmarshal(theirs, back); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(p.own, back); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// fill gives a value to each field of v that is one of ours.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*metav1.Duration]() {
			v.Set(reflect.ValueOf(&metav1.Duration{Duration: 3600e9}))
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[metav1.ObjectMeta]():
			v.Set(reflect.ValueOf(metav1.ObjectMeta{Name: "n", Namespace: "ns", Labels: map[string]string{"l": "1"}}))
			return
		case reflect.TypeFor[metav1.Time]():
			v.Set(reflect.ValueOf(metav1.Unix(1e9, 0).Rfc3339Copy()))
			return
		}
		for i := range v.NumField() {
			// Of a reference to a store or a generator, others have no such field.
			if v.Type() == reflect.TypeFor[Reference]() && v.Type().Field(i).Name == "APIVersion" {
				continue
			}
			fill(v.Field(i))
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"kind":"x"}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("text").Convert(v.Type().Elem()))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.Set(reflect.ValueOf(7).Convert(v.Type()))
	}
}

// TestNames: kinds and versions are those of the operators.
func TestNames(t *testing.T) {
	t.Parallel()
	for own, theirs := range map[string]string{
		SealedSecretKind + " " + SealedSecretVersion:         "SealedSecret " + v1alpha1.SchemeGroupVersion.String(),
		ExternalSecretKind + " " + ExternalSecretVersion:     esv1.ExtSecretKind + " " + esv1.SchemeGroupVersion.String(),
		SecretStoreKind + " " + ExternalSecretVersion:        esv1.SecretStoreKind + " " + esv1.SchemeGroupVersion.String(),
		ClusterSecretStoreKind + " " + ExternalSecretVersion: esv1.ClusterSecretStoreKind + " " + esv1.SchemeGroupVersion.String(),
		PushSecretKind + " " + PushSecretVersion:             "PushSecret " + esv1alpha1.SchemeGroupVersion.String(),
		PasswordKind + " " + GeneratorVersion:                "Password " + genv1alpha1.SchemeGroupVersion.String(),
		UUIDKind + " " + GeneratorVersion:                    "UUID " + genv1alpha1.SchemeGroupVersion.String(),
		PrometheusRuleKind + " " + PrometheusRuleVersion:     monitoringv1.PrometheusRuleKind + " " + monitoringv1.SchemeGroupVersion.String(),
	} {
		if own != theirs {
			t.Errorf("%q is %q to its operator", own, theirs)
		}
	}
}

// TestScopes: scopes are said and read as kubeseal and the controller do.
func TestScopes(t *testing.T) {
	t.Parallel()
	for _, s := range []SealingScope{StrictScope, NamespaceWideScope, ClusterWideScope, 7} {
		theirs := v1alpha1.SealingScope(s)
		if s.String() != theirs.String() {
			t.Errorf("%q is %q", s, theirs.String())
		}
		for _, name := range []string{"", "a", "a/b"} {
			for _, namespace := range []string{"", "ns"} {
				if own, want := s.Label(namespace, name), v1alpha1.EncryptionLabel(namespace, name, theirs); !bytes.Equal(own, want) {
					t.Errorf("%v %q %q: label %q, not %q", s, namespace, name, own, want)
				}
			}
		}
		for _, text := range []string{"", ClusterWideAnnotation + "=true", NamespaceWideAnnotation + "=true", ClusterWideAnnotation + "=yes," + NamespaceWideAnnotation + "=true", "other=1"} {
			annotations := func() map[string]string {
				m := map[string]string{}
				for pair := range strings.SplitSeq(text, ",") {
					name, v, _ := strings.Cut(pair, "=")
					m[name] = v
				}
				return m
			}
			given := annotations()
			if diff := cmp.Diff(v1alpha1.UpdateScopeAnnotations(annotations(), theirs), s.Annotations(given)); diff != "" {
				t.Errorf("%v %q: %s", s, text, diff)
			}
			if diff := cmp.Diff(annotations(), given); diff != "" {
				t.Errorf("%v %q: the annotations that were given have changed: %s", s, text, diff)
			}
			if own, want := ScopeOf(given), v1alpha1.SecretScope(&metav1.ObjectMeta{Annotations: given}); own != SealingScope(want) {
				t.Errorf("%q is of scope %v, not %v", text, own, want.String())
			}
		}
	}
}

// TestKubernetesNames: what Kubernetes names is called that here.
func TestKubernetesNames(t *testing.T) {
	t.Parallel()
	for own, theirs := range map[string]string{
		CoreVersion: corev1.SchemeGroupVersion.String(),
		RBACGroup:   rbacv1.GroupName,
		RBACVersion: rbacv1.SchemeGroupVersion.String(),
		GroupKind:   rbacv1.GroupKind,

		SecretTypeOpaque:              string(corev1.SecretTypeOpaque),
		SecretTypeServiceAccountToken: string(corev1.SecretTypeServiceAccountToken),
		SecretTypeDockercfg:           string(corev1.SecretTypeDockercfg),
		SecretTypeDockerConfigJSON:    string(corev1.SecretTypeDockerConfigJson),
		SecretTypeBasicAuth:           string(corev1.SecretTypeBasicAuth),
		SecretTypeSSHAuth:             string(corev1.SecretTypeSSHAuth),
		SecretTypeTLS:                 string(corev1.SecretTypeTLS),
		SecretTypeBootstrapToken:      string(corev1.SecretTypeBootstrapToken),

		ServiceAccountKind:         rbacv1.ServiceAccountKind,
		ServiceAccountTokenKey:     corev1.ServiceAccountTokenKey,
		ServiceAccountRootCAKey:    corev1.ServiceAccountRootCAKey,
		ServiceAccountNamespaceKey: corev1.ServiceAccountNamespaceKey,
		DockerConfigKey:            corev1.DockerConfigKey,
		DockerConfigJSONKey:        corev1.DockerConfigJsonKey,
		BasicAuthUsernameKey:       corev1.BasicAuthUsernameKey,
		BasicAuthPasswordKey:       corev1.BasicAuthPasswordKey,
		SSHAuthPrivateKey:          corev1.SSHAuthPrivateKey,
		TLSCertKey:                 corev1.TLSCertKey,
		TLSPrivateKeyKey:           corev1.TLSPrivateKeyKey,

		string(NamespaceTerminatingCause): string(corev1.NamespaceTerminatingCause),
	} {
		if own != theirs {
			t.Errorf("%q is %q at Kubernetes", own, theirs)
		}
	}
	if MaxSecretSize != corev1.MaxSecretSize {
		t.Errorf("%d bytes, not %d", MaxSecretSize, corev1.MaxSecretSize)
	}
}
