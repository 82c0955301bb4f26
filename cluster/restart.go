package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/shape"
)

// restartedAt is the annotation by which kubectl restarts a workload
// (https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-k8s-io-restart-at).
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// rollable are the kinds of workload that `kubectl rollout restart` takes.
var rollable = []struct {
	kind     string
	resource schema.GroupVersionResource
}{{"Deployment", deployments}, {"StatefulSet", statefulSets}, {"DaemonSet", daemonSets}}

// Workload is one that consumes Secrets.
type Workload struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Secrets   []string `json:"secrets"` // that have changed, by name

	name     string // which Name may not show
	resource schema.GroupVersionResource
	paused   bool
}

// String names it as kubectl does: deployment/api.
func (w Workload) String() string { return strings.ToLower(w.Kind) + "/" + w.Name }

// command is what restarts it by hand.
func (w Workload) command() string {
	return fmt.Sprintf("kubectl rollout restart -n %s %s", w.Namespace, w)
}

// consumer makes a Workload of u, with those of the Secrets of those names that
// its Pods get.
func consumer(u unstructured.Unstructured, kind string, resource schema.GroupVersionResource, namespace string, names map[string]bool, values []value.Value) (Workload, error) {
	var typed struct {
		Spec struct {
			Paused   bool              `json:"paused"`
			Template shape.PodTemplate `json:"template"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &typed); err != nil {
		return Workload{}, errNoAnswer
	}
	used := consumed(typed.Spec.Template.Spec)
	maps.DeleteFunc(used, func(name string, _ bool) bool { return !names[name] })
	return Workload{
		Kind: kind, Namespace: namespace, Name: objectName(u.GetName(), values), name: u.GetName(), Secrets: slices.Sorted(maps.Keys(used)),
		resource: resource, paused: typed.Spec.Paused,
	}, nil
}

// consumed returns the names of the Secrets whose keys reach the containers of
// a Pod, as environment variables or as files. Those that the node alone uses,
// to pull an image or to mount a volume, are none of them.
func consumed(pod shape.PodSpec) map[string]bool {
	names := map[string]bool{}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers, pod.EphemeralContainers) {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				names[e.ValueFrom.SecretKeyRef.Name] = true
			}
		}
		for _, e := range c.EnvFrom {
			if e.SecretRef != nil {
				names[e.SecretRef.Name] = true
			}
		}
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			names[v.Secret.SecretName] = true
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				names[s.Secret.Name] = true
			}
		}
	}
	return names
}
