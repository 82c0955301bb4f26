// Package kubetest is a server for tests that speaks the protocol of the
// Kubernetes API server (https://kubernetes.io/docs/reference/using-api/) and
// fails at will. It knows a few kinds of object. Server-side apply is that of
// Kubernetes' own library, so fields have owners, and conflicts are real ones.
package kubetest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kinds are those that the server knows, by their resources.
var kinds = map[string]schema.GroupVersionKind{
	"secrets":      {Version: "v1", Kind: "Secret"},
	"namespaces":   {Version: "v1", Kind: "Namespace"},
	"services":     {Version: "v1", Kind: "Service"},
	"deployments":  {Group: "apps", Version: "v1", Kind: "Deployment"},
	"statefulsets": {Group: "apps", Version: "v1", Kind: "StatefulSet"},
	"daemonsets":   {Group: "apps", Version: "v1", Kind: "DaemonSet"},
}

// Request is what a client asks.
type Request struct {
	Verb      string // as RBAC names it: get, list, create, patch, delete
	Resource  string // secrets
	Namespace string
	Name      string
	DryRun    bool
	Continue  string // of a list: how many objects come before
	Body      []byte
}

// String is the request on one line: "patch secrets apps/app (dry run)".
func (r Request) String() string {
	s := strings.TrimSpace(r.Verb + " " + r.Resource + " " + strings.TrimPrefix(r.Namespace+"/"+r.Name, "/"))
	if r.DryRun {
		s += " (dry run)"
	}
	return s
}

// Forbidden is what a client hears that lacks a permission.
func (r Request) Forbidden(user string) error {
	resource := schema.GroupResource{Group: kinds[r.Resource].Group, Resource: r.Resource}
	why := fmt.Sprintf("User %q cannot %s resource %q in API group %q", user, r.Verb, r.Resource, resource.Group)
	if r.Namespace != "" {
		why += fmt.Sprintf(" in the namespace %q", r.Namespace)
	}
	return apierrors.NewForbidden(resource, r.Name, fmt.Errorf("%s", why))
}

// Server is an API server.
type Server struct {
	// Refuse says what is wrong with a request; nil is nothing. It may take its
	// time. It is set before the first request.
	Refuse func(Request) error
	// Warning is what the server warns of next to an answer, as a webhook may;
	// empty is nothing.
	Warning func(Request) string

	http     *httptest.Server
	mux      *http.ServeMux
	mu       sync.Mutex
	objects  map[string]runtime.Object // by resource, namespace and name
	version  int
	requests []string
}

// New starts a server that runs until the end of the test.
func New(t testing.TB) *Server {
	s := &Server{mux: http.NewServeMux(), objects: map[string]runtime.Object{}}
	s.mux.HandleFunc("/", s.serve)
	s.http = httptest.NewUnstartedServer(s.mux)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	return s
}

// Handle lets h answer what matches pattern, as [http.ServeMux] has it, in the
// place of the server.
func (s *Server) Handle(pattern string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.note(r.Method + " " + r.URL.Path)
		h(w, r)
	})
}

func (s *Server) note(request string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
}

// Close ends the server before the end of the test.
func (s *Server) Close() { s.http.Close() }

// Kubeconfig writes a file that leads to the server, by the context "test".
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: s.http.URL, CertificateAuthorityData: ca}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: "token-of-the-test"}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// Requests are those since the last call, in their order: what Handle took by
// its method and path, all else as [Request.String] writes it.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// Put creates an object, or overwrites it, as the client of that name would.
func (s *Server) Put(t testing.TB, resource, manager string, o runtime.Object) {
	t.Helper()
	accessor, err := meta.Accessor(o)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Request{Resource: resource, Namespace: accessor.GetNamespace(), Name: accessor.GetName()}
	live, _ := s.live(r)
	o.GetObjectKind().SetGroupVersionKind(kinds[resource])
	if accessor, err := meta.Accessor(live); err == nil {
		copied, _ := meta.Accessor(o)
		copied.SetUID(accessor.GetUID())
		copied.SetResourceVersion(accessor.GetResourceVersion())
	}
	updated, err := manage(kinds[resource]).Update(live, o, manager)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.keep(r, live, updated); err != nil {
		t.Fatal(err)
	}
}

// Secret returns a Secret as it is; nil if there is none.
func (s *Server) Secret(namespace, name string) *corev1.Secret {
	o, _ := s.Get("secrets", namespace, name).(*corev1.Secret)
	return o
}

// Get returns an object as it is; nil if there is none.
func (s *Server) Get(resource, namespace, name string) runtime.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[key(Request{Resource: resource, Namespace: namespace, Name: name})]
	if o == nil {
		return nil
	}
	return o.DeepCopyObject()
}

func key(r Request) string { return r.Resource + "/" + r.Namespace + "/" + r.Name }

// parse reads a URL: /api/v1/namespaces/NAMESPACE/RESOURCE/NAME, or /apis/GROUP/VERSION/...
func parse(r *http.Request) (Request, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	prefix := map[string]int{"api": 2, "apis": 3}[parts[0]]
	if prefix == 0 || len(parts) <= prefix {
		return Request{}, false
	}
	parts = parts[prefix:]
	q := Request{DryRun: r.URL.Query().Get("dryRun") == "All", Continue: r.URL.Query().Get("continue")}
	if len(parts) > 2 && parts[0] == "namespaces" {
		q.Namespace, parts = parts[1], parts[2:]
	}
	if q.Resource = parts[0]; len(parts) > 1 {
		q.Name = parts[1]
	}
	q.Verb = map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "patch", http.MethodDelete: "delete"}[r.Method]
	if q.Verb == "get" && q.Name == "" {
		q.Verb = "list"
	}
	q.Body, _ = io.ReadAll(r.Body)
	if q.Verb == "delete" { // whose options are the body, unlike those of all other verbs
		var o metav1.DeleteOptions
		q.DryRun = json.Unmarshal(q.Body, &o) == nil && len(o.DryRun) > 0
	}
	return q, kinds[q.Resource].Kind != "" && q.Verb != "" && len(parts) <= 2
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	q, ok := parse(r)
	if !ok {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	s.note(q.String())
	var o runtime.Object
	var err error
	if s.Refuse != nil {
		err = s.Refuse(q)
	}
	if err == nil {
		o, err = s.answer(q, r)
	}
	if s.Warning != nil {
		if text := s.Warning(q); text != "" {
			w.Header().Set("Warning", fmt.Sprintf("299 - %q", text))
		}
	}
	if err != nil {
		Error(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(o)
}

// Error answers with what package apierrors makes; all else is an internal error.
func Error(w http.ResponseWriter, err error) {
	status := apierrors.APIStatus(apierrors.NewInternalError(err))
	if known, ok := err.(apierrors.APIStatus); ok {
		status = known
	}
	body := status.Status()
	body.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(body.Code))
	json.NewEncoder(w).Encode(body)
}

func (s *Server) answer(q Request, r *http.Request) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource := schema.GroupResource{Group: kinds[q.Resource].Group, Resource: q.Resource}
	live, there := s.live(q)
	if !there && (q.Verb == "get" || q.Verb == "delete" || q.Verb == "patch" && r.Header.Get("Content-Type") != string(types.ApplyYAMLPatchType)) {
		return nil, apierrors.NewNotFound(resource, q.Name)
	}
	switch q.Verb {
	case "get":
		return live, nil
	case "list":
		return s.list(q, r.URL.Query())
	case "delete":
		return s.delete(q, live)
	}
	if q.Namespace != "" && s.objects["namespaces//"+q.Namespace] == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, q.Namespace)
	}
	updated, err := s.update(q, r, live)
	if err != nil {
		return nil, err
	}
	if err := validate(live, updated); err != nil {
		return nil, err
	}
	return s.keep(q, live, updated)
}

// live returns an object, or an empty one of its kind.
func (s *Server) live(q Request) (runtime.Object, bool) {
	if o := s.objects[key(q)]; o != nil {
		return o.DeepCopyObject(), true
	}
	o, err := scheme.Scheme.New(kinds[q.Resource])
	if err != nil {
		panic(err) // all kinds are in the scheme
	}
	o.GetObjectKind().SetGroupVersionKind(kinds[q.Resource])
	return o, false
}

func (s *Server) update(q Request, r *http.Request, live runtime.Object) (runtime.Object, error) {
	manager := r.URL.Query().Get("fieldManager")
	var body map[string]any
	if err := json.Unmarshal(q.Body, &body); err != nil {
		return nil, apierrors.NewBadRequest("the body is not JSON: " + string(q.Body))
	}
	switch {
	case q.Verb == "create":
		sent := &unstructured.Unstructured{Object: body}
		if s.objects["namespaces//"+sent.GetName()] != nil {
			return nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: q.Resource}, sent.GetName())
		}
		o := live.DeepCopyObject()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(body, o); err != nil {
			return nil, err
		}
		return manage(kinds[q.Resource]).Update(live, o, manager)
	case r.Header.Get("Content-Type") == string(types.ApplyYAMLPatchType):
		return manage(kinds[q.Resource]).Apply(live, &unstructured.Unstructured{Object: body}, manager, r.URL.Query().Get("force") == "true")
	}
	now, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return nil, err
	}
	o := live.DeepCopyObject()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(merge(now, body), o); err != nil {
		return nil, err
	}
	return manage(kinds[q.Resource]).Update(live, o, manager)
}

// merge patches an object (RFC 7386).
func merge(o, patch map[string]any) map[string]any {
	for k, v := range patch {
		deeper, ok := v.(map[string]any)
		old, was := o[k].(map[string]any)
		switch {
		case v == nil:
			delete(o, k)
		case ok && was:
			o[k] = merge(old, deeper)
		case ok:
			o[k] = merge(map[string]any{}, deeper)
		default:
			o[k] = v
		}
	}
	return o
}

// validate is what the API server says of updates to Secrets.
func validate(live, updated runtime.Object) error {
	was, ok := live.(*corev1.Secret)
	if !ok || was.UID == "" {
		return nil
	}
	is := updated.(*corev1.Secret)
	var errs field.ErrorList
	if was.Type != is.Type {
		errs = append(errs, field.Invalid(field.NewPath("type"), is.Type, "field is immutable"))
	}
	if was.Immutable != nil && *was.Immutable {
		if is.Immutable == nil || !*is.Immutable {
			errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
		}
		if !reflect.DeepEqual(was.Data, is.Data) {
			errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, is.Name, errs)
}

// keep stores an object, unless it is a dry run or nothing has changed.
func (s *Server) keep(q Request, live, updated runtime.Object) (runtime.Object, error) {
	accessor, err := meta.Accessor(updated)
	if err != nil {
		return nil, err
	}
	if secret, ok := updated.(*corev1.Secret); ok && secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	updated.GetObjectKind().SetGroupVersionKind(kinds[q.Resource])
	if reflect.DeepEqual(live, updated) {
		return live, nil
	}
	s.version++
	if accessor.GetUID() == "" {
		accessor.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
		accessor.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	}
	accessor.SetResourceVersion(fmt.Sprint(s.version))
	if !q.DryRun {
		q.Name = accessor.GetName()
		s.objects[key(q)] = updated.DeepCopyObject()
	}
	return updated, nil
}

func (s *Server) list(q Request, options url.Values) (runtime.Object, error) {
	matching, err := labels.Parse(options.Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{
		"apiVersion": kinds[q.Resource].GroupVersion().String(), "kind": kinds[q.Resource].Kind + "List", "metadata": map[string]any{},
	}}
	for k, o := range s.objects {
		accessor, err := meta.Accessor(o)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(k, q.Resource+"/"+q.Namespace+"/") || !matching.Matches(labels.Set(accessor.GetLabels())) {
			continue
		}
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, unstructured.Unstructured{Object: u})
	}
	slices.SortFunc(list.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	start, _ := strconv.Atoi(q.Continue)
	end := len(list.Items)
	if limit, _ := strconv.Atoi(options.Get("limit")); limit > 0 && start+limit < end {
		end = start + limit
		list.SetContinue(strconv.Itoa(end))
	}
	list.Items = list.Items[min(start, end):end]
	return list, nil
}

func (s *Server) delete(q Request, live runtime.Object) (runtime.Object, error) {
	var o metav1.DeleteOptions
	if err := json.Unmarshal(q.Body, &o); err != nil {
		return nil, apierrors.NewBadRequest("the body is not JSON")
	}
	accessor, err := meta.Accessor(live)
	if err != nil {
		return nil, err
	}
	if o.Preconditions != nil && o.Preconditions.UID != nil && *o.Preconditions.UID != accessor.GetUID() {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: q.Resource}, q.Name, fmt.Errorf("the UID in the precondition does not match the UID in record"))
	}
	if !q.DryRun {
		delete(s.objects, key(q))
	}
	return &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}, nil
}

// manage returns the owner of the fields of objects of a kind.
func manage(kind schema.GroupVersionKind) *managedfields.FieldManager {
	m, err := managedfields.NewDefaultFieldManager(converter(), scheme.Scheme, noDefaults{}, scheme.Scheme, kind, kind.GroupVersion(), "", nil)
	if err != nil {
		panic(err) // all kinds are in the scheme
	}
	return m
}

var converter = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

type noDefaults struct{}

func (noDefaults) Default(runtime.Object) {}

// Replace puts an object in the place of another, fields, owners and all.
func (s *Server) Replace(resource string, o metav1.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key(Request{Resource: resource, Namespace: o.GetNamespace(), Name: o.GetName()})] = o.(runtime.Object)
}
