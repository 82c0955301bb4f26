package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// podOfAll asks for a Secret in each place of a pod where that can be done, and for
// another one in each.
const podOfAll = `apiVersion: v1
kind: Pod
metadata: {name: all, namespace: references}
spec:
  automountServiceAccountToken: false
  imagePullSecrets: [{name: pull}]
  initContainers:
    - name: first
      image: registry.example/first:1.0.0
      env: [{name: A, valueFrom: {secretKeyRef: {name: init-env, key: key}}}]
      envFrom: [{secretRef: {name: init-env-from}}]
    - name: beside
      image: registry.example/beside:1.0.0
      restartPolicy: Always
      env: [{name: A, valueFrom: {secretKeyRef: {name: sidecar-env, key: key}}}]
  containers:
    - name: app
      image: registry.example/app:1.0.0
      env: [{name: A, valueFrom: {secretKeyRef: {name: env, key: key, optional: false}}}]
      envFrom: [{prefix: B_, secretRef: {name: env-from}}]
      volumeMounts:
        - {name: secret, mountPath: /secret}
        - {name: items, mountPath: /items}
        - {name: projected, mountPath: /projected}
  ephemeralContainers:
    - name: debug
      image: registry.example/debug:1.0.0
      env: [{name: A, valueFrom: {secretKeyRef: {name: debug-env, key: key}}}]
      envFrom: [{secretRef: {name: debug-env-from}}]
  volumes:
    - {name: secret, secret: {secretName: volume}}
    - {name: items, secret: {secretName: volume-items, items: [{key: key, path: a}]}}
    - name: projected
      projected:
        sources:
          - secret: {name: projected}
          - secret: {name: projected-items, items: [{key: key, path: a}]}
    - {name: csi, csi: {driver: csi.example, nodePublishSecretRef: {name: csi}}}
    - {name: azure, azureFile: {secretName: azure-file, shareName: share}}
    - {name: ceph, cephfs: {monitors: ["192.0.2.1:6789"], secretRef: {name: cephfs}}}
    - {name: cinder, cinder: {volumeID: a, secretRef: {name: cinder}}}
    - {name: flex, flexVolume: {driver: example/flex, secretRef: {name: flex}}}
    - {name: iscsi, iscsi: {targetPortal: "192.0.2.1:3260", iqn: "iqn.2001-04.com.example:storage", lun: 0, chapAuthSession: true, secretRef: {name: iscsi}}}
    - {name: rbd, rbd: {monitors: ["192.0.2.1:6789"], image: a, secretRef: {name: rbd}}}
    - {name: scale, scaleIO: {gateway: "https://scaleio.example", system: a, volumeName: a, secretRef: {name: scale-io}}}
    - {name: storage, storageos: {volumeName: a, secretRef: {name: storage-os}}}
`

// TestPodReferences: the API server takes a pod with each kind of reference to a Secret
// that its API has, and vet finds the Secrets in it that Kubernetes finds, and no others.
func TestPodReferences(t *testing.T) {
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(podOfAll), &pod); err != nil {
		t.Fatal(err)
	}
	if missing := without(reflect.ValueOf(pod.Spec)); len(missing) > 0 {
		t.Errorf("the pod does not ask for a Secret in %v", missing)
	}

	c := startCluster(t)
	c.namespace(t, pod.Namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := c.core.CoreV1().ServiceAccounts(pod.Namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := c.core.CoreV1().Pods(pod.Namespace)
	created := pod.DeepCopy()
	created.Spec.EphemeralContainers = nil // come later
	created, err := pods.Create(t.Context(), created, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	created.Spec.EphemeralContainers = pod.Spec.EphemeralContainers
	created, err = pods.UpdateEphemeralContainers(t.Context(), created.Name, created, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}

	// What the server has is what a kubelet gets.
	created.TypeMeta = pod.TypeMeta
	manifest, err := json.Marshal(created)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ownProgram(t, "kubernetes/podsecrets", kubernetesVersion))
	cmd.Stdin = bytes.NewReader(manifest)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(out))
	slices.Sort(names)
	if len(names) < 21 || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Fatalf("Kubernetes finds %v", names)
	}

	if problems := vetPod(t, manifest, names); problems != "" {
		t.Errorf("with the Secrets that Kubernetes finds, vet says:\n%s", problems)
	}
	unknown := []string{"pull"}
	for _, m := range regexp.MustCompile(`refers to secret references/([a-z-]+), which nothing creates`).FindAllStringSubmatch(vetPod(t, manifest, unknown), -1) {
		unknown = append(unknown, m[1])
	}
	slices.Sort(unknown)
	if diff := cmp.Diff(names, unknown); diff != "" {
		t.Errorf("vet finds other Secrets than Kubernetes (-Kubernetes +vet)\n%s", diff)
	}
}

// vetPod returns what vet says of a pod where a contract makes the named Secrets, each
// with one key, and a warning for each of which no one asks for it.
func vetPod(t *testing.T, manifest []byte, names []string) string {
	t.Helper()
	dir := t.TempDir()
	var contract strings.Builder
	contract.WriteString(`package pod

import (
	"github.com/victor-ai/victorgen/schema"
	"github.com/victor-ai/victorgen/schema/kit"
)

schema.#Environment

environment: "test"
namespace:   "references"
inputs: PASSWORD: schema.#Generated & {generate: {kind: "password", length: 32}}
delivery: certificate: "demo-sealing-cert.pem"
`)
	for _, name := range names {
		if name == "pull" {
			contract.WriteString("secrets: pull: kit.#DockerConfigJSON & {#registries: \"registry.example\": {user: value: \"pull\", password: \"PASSWORD\"}}\n")
		} else {
			fmt.Fprintf(&contract, "secrets: %q: keys: key: input: \"PASSWORD\"\n", name)
		}
	}
	certificate, err := os.ReadFile("../examples/gallery/demo-sealing-cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"pod.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"env.cue":            contract.String(), "demo-sealing-cert.pem": string(certificate), "pod.json": string(manifest),
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	_, problems, _ := victorgen(t, dir, nil, "vet", ".", "--workloads", "pod.json")
	return problems
}

// without returns the fields of a value's type with a Secret in their names that no
// part of the value has, by the type and the field.
func without(v reflect.Value) []string {
	fields := map[string]bool{}
	var types func(reflect.Type)
	seen := map[reflect.Type]bool{}
	types = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for f := range t.NumField() {
			if strings.Contains(t.Field(f).Name, "Secret") && t.Field(f).Name != "SecretFile" { // a file of the node
				fields[t.Name()+"."+t.Field(f).Name] = true
			}
			types(t.Field(f).Type)
		}
	}
	types(v.Type())
	var values func(reflect.Value)
	values = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				values(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				values(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if !v.Field(i).IsZero() {
					delete(fields, v.Type().Name()+"."+v.Type().Field(i).Name)
				}
				values(v.Field(i))
			}
		}
	}
	values(v)
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
