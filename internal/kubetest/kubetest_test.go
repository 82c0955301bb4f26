package kubetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

var secretResource = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// TestServer: the real clients find in it what they expect of an API server.
func TestServer(t *testing.T) {
	t.Parallel()
	s := New(t)
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	core, objects, ctx := kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config), t.Context()
	secret := func(namespace, key, value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
			"metadata": map[string]any{"name": "app", "namespace": namespace, "labels": map[string]any{"of": "test"}},
			"data":     map[string]any{key: value}}}
	}
	apply := func(namespace, key, value string, o metav1.ApplyOptions) (*unstructured.Unstructured, error) {
		return objects.Resource(secretResource).Namespace(namespace).Apply(ctx, "app", secret(namespace, key, value), o)
	}
	me, other := metav1.ApplyOptions{FieldManager: "me"}, metav1.ApplyOptions{FieldManager: "other"}

	if _, err := apply("none", "a", "YQ==", me); !apierrors.IsNotFound(err) {
		t.Errorf("without its namespace: %v", err)
	}
	dry, err := apply("default", "a", "YQ==", metav1.ApplyOptions{FieldManager: "me", DryRun: []string{metav1.DryRunAll}})
	if err != nil || dry.GetResourceVersion() != "" || s.Get("secrets", "default", "app") != nil {
		t.Errorf("a dry run: %v %v", dry, err)
	}
	first, err := apply("default", "a", "YQ==", me)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := apply("default", "a", "YQ==", me); err != nil || again.GetResourceVersion() != first.GetResourceVersion() {
		t.Errorf("the same again: %v %v", again, err)
	}
	if _, err := apply("default", "a", "Yg==", other); !apierrors.IsConflict(err) {
		t.Errorf("what another manager has: %v", err)
	}
	other.Force = true
	if _, err := apply("default", "a", "Yg==", other); err != nil {
		t.Error(err)
	}
	if _, err := apply("default", "b", "YQ==", other); err != nil { // which no longer has a, but me has not either
		t.Error(err)
	}
	live, err := core.CoreV1().Secrets("default").Get(ctx, "app", metav1.GetOptions{})
	if err != nil || string(live.Data["b"]) != "a" || len(live.Data) != 1 || live.Type != "Opaque" {
		t.Errorf("%v %v", live, err)
	}

	list, err := objects.Resource(secretResource).List(ctx, metav1.ListOptions{LabelSelector: "of=test"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("%v %v", list, err)
	}
	if list, err := core.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{LabelSelector: "of=nothing"}); err != nil || len(list.Items) != 0 {
		t.Errorf("%v %v", list, err)
	}
	if err := core.CoreV1().Secrets("default").Delete(ctx, "app", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := core.CoreV1().Secrets("default").Get(ctx, "app", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is deleted: %v", err)
	}

	s.Put(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: default}\nspec: {template: {spec: {containers: [{name: a, image: x}, {name: b, image: x}]}}}")
	for patchType, patch := range map[types.PatchType]string{
		types.MergePatchType:          `{"spec":{"template":{"metadata":{"annotations":{"now":"1"}}}}}`,
		types.StrategicMergePatchType: `{"spec":{"template":{"spec":{"containers":[{"name":"b","image":"y"}]}}}}`,
	} {
		if _, err := core.AppsV1().Deployments("default").Patch(ctx, "api", patchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}
	api, err := core.AppsV1().Deployments("default").Get(ctx, "api", metav1.GetOptions{})
	if err != nil || api.Spec.Template.Annotations["now"] != "1" || len(api.Spec.Template.Spec.Containers) != 2 ||
		api.Spec.Template.Spec.Containers[0].Image != "x" || api.Spec.Template.Spec.Containers[1].Image != "y" {
		t.Errorf("%v %v", api.Spec.Template, err)
	}

	s.Handle("GET /api/v1/namespaces/default/secrets/{name}", func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, apierrors.NewForbidden(secretResource.GroupResource(), r.PathValue("name"), nil))
	})
	if _, err := core.CoreV1().Secrets("default").Get(ctx, "app", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("what is refused: %v", err)
	}
	if _, err := core.BatchV1().Jobs("default").List(ctx, metav1.ListOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what there is not: %v", err)
	}
	if !slices.Contains(s.Requests(), "DELETE /api/v1/namespaces/default/secrets/app") {
		b, _ := json.Marshal(s.Requests())
		t.Errorf("requests: %s", b)
	}
}
