package kubetest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// kind is a kind of object.
type kind struct {
	group, v, resource, name string
	cluster                  bool // it is in no namespace
}

func (k kind) version() schema.GroupVersion { return schema.GroupVersion{Group: k.group, Version: k.v} }

// kinds are those that there are.
var kinds = []kind{
	{"", "v1", "namespaces", "Namespace", true},
	{"", "v1", "secrets", "Secret", false},
	{"", "v1", "services", "Service", false},
	{"", "v1", "pods", "Pod", false},
	{"apps", "v1", "deployments", "Deployment", false},
	{"apps", "v1", "statefulsets", "StatefulSet", false},
	{"apps", "v1", "daemonsets", "DaemonSet", false},
	{"bitnami.com", "v1alpha1", "sealedsecrets", "SealedSecret", false},
	{"external-secrets.io", "v1", "externalsecrets", "ExternalSecret", false},
	{"external-secrets.io", "v1", "secretstores", "SecretStore", false},
	{"external-secrets.io", "v1", "clustersecretstores", "ClusterSecretStore", true},
}

// place is where an object is.
type place struct{ resource, namespace, name string }

// options are those of a write.
type options struct {
	manager string
	force   bool
	dryRun  bool
}

// Refuse answers as the API server does when it refuses a request, such as with
// [apierrors.NewForbidden].
func Refuse(w http.ResponseWriter, problem error) {
	status, ok := errors.AsType[*apierrors.StatusError](problem)
	if !ok {
		status = apierrors.NewInternalError(problem)
	}
	s := status.Status()
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(s.Code), s)
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}

// serve answers a request for objects
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris).
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, k, ok := locate(r.URL.Path)
	if !ok {
		http.Error(w, "404 page not found", http.StatusNotFound) // as the API server does
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		Refuse(w, err)
		return
	}
	code := http.StatusOK
	if _, exists := s.objects[p]; r.Method == http.MethodPost || r.Method == http.MethodPatch && !exists {
		code = http.StatusCreated
	}
	result, err := s.do(r, p, k, body)
	if err != nil {
		Refuse(w, err)
		return
	}
	answer(w, code, result)
}

// locate reads a path: /api/v1/... or /apis/GROUP/VERSION/..., and then
// namespaces/NAMESPACE if it is in one, the resource, and a name if it is one.
func locate(path string) (place, kind, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	version := schema.GroupVersion{}
	switch {
	case len(parts) > 2 && parts[0] == "api":
		version.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		version.Group, version.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return place{}, kind{}, false
	}
	p := place{}
	if len(parts) > 2 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	p.resource = parts[0]
	if len(parts) == 2 {
		p.name = parts[1]
	}
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.resource == p.resource && k.version() == version })
	return p, kinds[max(i, 0)], i >= 0 && len(parts) <= 2
}

func (s *Server) do(r *http.Request, p place, k kind, body []byte) (any, error) {
	q := r.URL.Query()
	// The name of a program is its manager where it gives none.
	agent, _, _ := strings.Cut(r.UserAgent(), "/")
	o := options{manager: cmp.Or(q.Get("fieldManager"), agent), force: q.Get("force") == "true", dryRun: q.Get("dryRun") == metav1.DryRunAll}
	resource := k.version().WithResource(k.resource).GroupResource()
	old, exists := s.objects[p]
	switch {
	case r.Method == http.MethodGet && p.name == "":
		return s.list(p, k, q.Get("labelSelector"))
	case r.Method == http.MethodPost && p.name == "":
		created := new(unstructured.Unstructured)
		if err := json.Unmarshal(body, &created.Object); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		p.name = created.GetName()
		if _, exists := s.objects[p]; exists {
			return nil, apierrors.NewAlreadyExists(resource, p.name)
		}
		return s.update(p, k, created, o)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == string(types.ApplyPatchType):
		return s.apply(p, k, body, o)
	case !exists:
		return nil, apierrors.NewNotFound(resource, p.name)
	}
	switch r.Method {
	case http.MethodGet:
		return old, nil
	case http.MethodPut:
		updated := new(unstructured.Unstructured)
		if err := json.Unmarshal(body, &updated.Object); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if v := updated.GetResourceVersion(); v != "" && v != old.GetResourceVersion() {
			return nil, apierrors.NewConflict(resource, p.name, errors.New("the object has been modified"))
		}
		return s.update(p, k, updated, o)
	case http.MethodPatch:
		return s.patch(p, k, types.PatchType(r.Header.Get("Content-Type")), body, o)
	case http.MethodDelete:
		if !o.dryRun {
			delete(s.objects, p)
		}
		return metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}, nil
	}
	return nil, apierrors.NewMethodNotSupported(resource, r.Method)
}

func (s *Server) list(p place, k kind, selector string) (any, error) {
	selected, err := labels.Parse(selector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	items := []any{}
	for _, at := range slices.SortedFunc(maps.Keys(s.objects), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	}) {
		o := s.objects[at]
		if at.resource == p.resource && (p.namespace == "" || p.namespace == at.namespace) && selected.Matches(labels.Set(o.GetLabels())) {
			items = append(items, o.Object)
		}
	}
	return map[string]any{
		"apiVersion": k.version().String(), "kind": k.name + "List",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	}, nil
}

// live returns a copy of the object at p, or an empty one.
func (s *Server) live(p place, k kind) *unstructured.Unstructured {
	if o, ok := s.objects[p]; ok {
		return o.DeepCopy()
	}
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(k.version().WithKind(k.name))
	return o
}

// apply is a server-side apply.
func (s *Server) apply(p place, k kind, body []byte, o options) (any, error) {
	applied := new(unstructured.Unstructured)
	if err := yaml.Unmarshal(body, &applied.Object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if o.manager == "" {
		return nil, apierrors.NewBadRequest("fieldManager is required for apply patch")
	}
	manager, err := fieldManager(k)
	if err != nil {
		return nil, err
	}
	merged, err := manager.Apply(s.live(p, k), applied, o.manager, o.force)
	if err != nil {
		return nil, err
	}
	return s.store(p, k, merged.(*unstructured.Unstructured), o)
}

// update replaces an object or makes it.
func (s *Server) update(p place, k kind, updated *unstructured.Unstructured, o options) (any, error) {
	updated.SetGroupVersionKind(k.version().WithKind(k.name))
	manager, err := fieldManager(k)
	if err != nil {
		return nil, err
	}
	managed, err := manager.Update(s.live(p, k), updated, o.manager)
	if err != nil {
		return nil, err
	}
	return s.store(p, k, managed.(*unstructured.Unstructured), o)
}

func (s *Server) patch(p place, k kind, patchType types.PatchType, body []byte, o options) (any, error) {
	old, err := json.Marshal(s.live(p, k))
	if err != nil {
		return nil, err
	}
	updated := new(unstructured.Unstructured)
	switch patchType {
	case types.MergePatchType:
		var patch map[string]any
		if err := errors.Join(json.Unmarshal(body, &patch), json.Unmarshal(old, &updated.Object)); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		merge(updated.Object, patch)
	case types.StrategicMergePatchType:
		typed, err := scheme.Scheme.New(k.version().WithKind(k.name))
		if err != nil {
			return nil, &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusUnsupportedMediaType, Message: err.Error()}}
		}
		b, err := strategicpatch.StrategicMergePatch(old, body, typed)
		if err := errors.Join(err, json.Unmarshal(b, &updated.Object)); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("no patch of type %s", patchType))
	}
	return s.update(p, k, updated, o)
}

// merge is a JSON merge patch (RFC 7386).
func merge(target, patch map[string]any) {
	for name, v := range patch {
		below, isObject := v.(map[string]any)
		switch {
		case v == nil:
			delete(target, name)
		case isObject:
			old, ok := target[name].(map[string]any)
			if !ok {
				old = map[string]any{}
			}
			merge(old, below)
			target[name] = old
		default:
			target[name] = v
		}
	}
}

// store keeps an object as it is to be from now on, and returns it. One that
// has not changed keeps its version.
func (s *Server) store(p place, k kind, o *unstructured.Unstructured, how options) (any, error) {
	if o.GetName() != p.name || !k.cluster && o.GetNamespace() != p.namespace && o.GetNamespace() != "" {
		return nil, apierrors.NewBadRequest("the name or the namespace of the object is not that of the request")
	}
	if !k.cluster {
		if s.objects[place{"namespaces", "", p.namespace}] == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, p.namespace)
		}
		o.SetNamespace(p.namespace)
	}
	if k.name == "Secret" {
		if err := asStored(o); err != nil {
			return nil, err
		}
	}
	old, exists := s.objects[p]
	if exists {
		o.SetUID(old.GetUID())
		o.SetCreationTimestamp(old.GetCreationTimestamp())
		o.SetResourceVersion(old.GetResourceVersion())
		if same(old, o) {
			return old, nil
		}
	} else {
		o.SetUID(uuid.NewUUID())
		o.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	}
	if how.dryRun {
		return o, nil
	}
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[p] = o
	return o, nil
}

// asStored gives a Secret the form in which it is kept.
func asStored(o *unstructured.Unstructured) error {
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	text, _, err := unstructured.NestedStringMap(o.Object, "stringData")
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if data == nil {
		data = map[string]string{}
	}
	for key, v := range text {
		data[key] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	delete(o.Object, "stringData")
	if len(data) > 0 {
		unstructured.SetNestedStringMap(o.Object, data, "data")
	}
	if o.Object["type"] == nil {
		o.Object["type"] = "Opaque"
	}
	return nil
}

// same reports whether two objects differ in nothing but in when a manager has
// last managed them.
func same(a, b *unstructured.Unstructured) bool {
	timeless := func(o *unstructured.Unstructured) any {
		o = o.DeepCopy()
		entries := o.GetManagedFields()
		for i := range entries {
			entries[i].Time = nil
		}
		o.SetManagedFields(entries)
		return o.Object
	}
	return reflect.DeepEqual(timeless(a), timeless(b))
}

// fieldManager returns the API server's own code that keeps track of who manages
// which field. It takes the types of fields as they look, as lists of which
// somebody owns all.
func fieldManager(k kind) (*managedfields.FieldManager, error) {
	return managedfields.NewDefaultCRDFieldManager(managedfields.NewDeducedTypeConverter(),
		asIs{}, asIs{}, asIs{}, k.version().WithKind(k.name), k.version(), "", nil)
}

// asIs makes, converts and defaults objects of which there is one version.
type asIs struct{}

func (asIs) New(k schema.GroupVersionKind) (runtime.Object, error) {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(k)
	return o, nil
}
func (asIs) Default(runtime.Object)    {}
func (asIs) Convert(_, _, _ any) error { return errors.New("nothing to convert") }
func (asIs) ConvertToVersion(o runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return o, nil
}
func (asIs) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
