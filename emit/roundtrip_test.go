package emit

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/bitnami-labs/sealed-secrets/pkg/kubeseal"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestUnseal seals for real and unseals with the code of the controller, and
// with that of kubeseal --recovery-unseal.
func TestUnseal(t *testing.T) {
	t.Parallel()
	built, _ := mustEmit(t, testPlan(t, emittest.CertFile(t, 0)), testValues(), nil, at(day))
	private, _ := emittest.Keys[0]()
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	codecs := serializer.NewCodecFactory(s)

	labels := map[string]string{tree.LabelManagedBy: "victorgen", tree.LabelPartOf: "victor-ai"}
	yes := true
	want := map[string]*corev1.Secret{
		"secrets/app.yaml": {
			ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "victor", Labels: labels},
			Type:       "Opaque",
			Data: map[string][]byte{
				"database-url": []byte("postgresql://victor:p%40ss+word@eu-west-1/db"),
				"literal":      []byte("verbatim"),
				"password":     []byte("p@ss word"),
				"region":       []byte("eu-west-1"),
			},
		},
		"secrets/cluster.yaml": {
			ObjectMeta: metav1.ObjectMeta{Name: "cluster", Namespace: "victor", Labels: labels,
				Annotations: map[string]string{"sealedsecrets.bitnami.com/cluster-wide": "true"}},
			Type: "Opaque",
			Data: map[string][]byte{"key": []byte("\x00\xff binary")},
		},
		"secrets/wide.yaml": {
			ObjectMeta: metav1.ObjectMeta{Name: "wide", Namespace: "victor",
				Labels:      map[string]string{tree.LabelManagedBy: "victorgen", tree.LabelPartOf: "victor-ai", "team": "data"},
				Annotations: map[string]string{"sealedsecrets.bitnami.com/namespace-wide": "true", "reloader": "true"}},
			Type:      "example.com/tls",
			Immutable: &yes,
			Data:      map[string][]byte{"tls.crt": []byte("victor"), "tls.key": []byte("\x00\xff binary")},
		},
	}
	ignore := []cmp.Option{
		cmpopts.IgnoreFields(metav1.ObjectMeta{}, "OwnerReferences"),
		cmpopts.IgnoreTypes(metav1.TypeMeta{}),
	}
	var files []string
	for _, file := range slices.Sorted(maps.Keys(built.Files)) {
		if !strings.HasPrefix(file, "secrets/") {
			continue
		}
		files = append(files, file)
		var ss v1alpha1.SealedSecret
		if err := yaml.UnmarshalStrict(built.Files[file], &ss); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		got, err := ss.Unseal(codecs, map[string]*rsa.PrivateKey{"": private})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if diff := cmp.Diff(want[file], got, ignore...); diff != "" {
			t.Errorf("%s by the controller (-want +got)\n%s", file, diff)
		}

		var out bytes.Buffer
		if err := kubeseal.UnsealSealedSecret(&out, bytes.NewReader(built.Files[file]), []string{keyFile}, "yaml", codecs); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var recovered corev1.Secret
		if err := yaml.Unmarshal(out.Bytes(), &recovered); err != nil {
			t.Fatalf("%s: what kubeseal prints does not parse", file)
		}
		if diff := cmp.Diff(want[file], &recovered, ignore...); diff != "" {
			t.Errorf("%s by kubeseal --recovery-unseal (-want +got)\n%s", file, diff)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), files); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
}

// TestScopes moves each SealedSecret to other names and namespaces, and sees
// whether it unseals there.
func TestScopes(t *testing.T) {
	t.Parallel()
	built, _ := mustEmit(t, testPlan(t, emittest.CertFile(t, 0)), testValues(), nil, at(day))
	private, _ := emittest.Keys[0]()
	for _, test := range []struct {
		file, namespace, name string
		want                  bool
	}{
		{"app", "victor", "app", true},
		{"app", "victor", "other", false},
		{"app", "other", "app", false},
		{"wide", "victor", "other", true},
		{"wide", "other", "wide", false},
		{"cluster", "other", "other", true},
	} {
		var ss v1alpha1.SealedSecret
		if err := yaml.Unmarshal(built.Files["secrets/"+test.file+".yaml"], &ss); err != nil {
			t.Fatal(err)
		}
		ss.Namespace, ss.Name = test.namespace, test.name
		_, err := ss.Unseal(serializer.CodecFactory{}, map[string]*rsa.PrivateKey{"": private})
		if got := err == nil; got != test.want {
			t.Errorf("%+v unseals: %v", test, got)
		}
	}
}

// TestSplice compares manifests with what the encoder makes of the same
// object, for keys that YAML does not take as they are.
func TestSplice(t *testing.T) {
	t.Parallel()
	s := plan.Secret{
		Name: "app", Namespace: "victor", Type: "Opaque", Delivery: plan.Delivery{Scope: plan.Strict},
		Annotations: map[string]string{"note": "\n  encryptedData:\n    a: \"\"\n"},
	}
	ciphertexts := map[string]string{}
	for _, key := range []string{
		"plain", "database-url", "true", "null", "no", "Y", "1", "1e3", "0x1f", "1_000", "2026-01-01", "12.30.45", "-", "--", "-a", ".", "..a", "_",
		"a10", "a9", "A", strings.Repeat("k", 128), strings.Repeat("k", 129), strings.Repeat("7", 253), ".inf", ".nan",
	} {
		ciphertexts[key] = tree.CiphertextDigest(key)[:40] + "/+="
	}
	got, err := sealing.Manifest(s, &plan.Plan{PartOf: "victor-ai"}, ciphertexts)
	if err != nil {
		t.Fatal(err)
	}
	var ss v1alpha1.SealedSecret
	if err := yaml.UnmarshalStrict(got, &ss); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ciphertexts, map[string]string(ss.Spec.EncryptedData)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want, err := yaml.Marshal(&ss)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree.Header+string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, word := range []string{"status", "creationTimestamp"} {
		if bytes.Contains(got, []byte(word)) {
			t.Errorf("the manifest has a %s", word)
		}
	}
	if diff := cmp.Diff(ciphertexts, tree.Ciphertexts(got)); diff != "" {
		t.Errorf("read back (-want +got)\n%s", diff)
	}
}

// TestCiphertextsOf reads manifests that someone has broken.
func TestCiphertextsOf(t *testing.T) {
	t.Parallel()
	for manifest, want := range map[string]map[string]string{
		"":                                       nil,
		"}":                                      nil,
		"spec: {encryptedData: []}":              {},
		"spec: {encryptedData: {a: AA==, b: 1}}": {"a": "AA==", "b": ""},
		"spec: {encryptedData: {a: \"AA==\\n\", b: \"A B\", c: AAAA}}": {"c": "AAAA"},
	} {
		if diff := cmp.Diff(want, tree.Ciphertexts([]byte(manifest)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-want +got)\n%s", manifest, diff)
		}
	}
}
