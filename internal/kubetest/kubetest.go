// Package kubetest is an API server of Kubernetes for tests. It keeps objects
// in memory, speaks the wire format, merges what is applied with the API
// server's own code, and fails at will. It allows everything, and checks no
// more of an object than its name: the tests in e2e have a real one.
package kubetest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// Server answers requests.
type Server struct {
	URL  string
	http *httptest.Server
	mux  *http.ServeMux

	mu       sync.Mutex
	version  int // of the latest change
	objects  map[place]*unstructured.Unstructured
	requests []string
}

// New starts a server that runs until the end of the test. It has the
// namespaces default and kube-system.
func New(t testing.TB) *Server {
	s := &Server{mux: http.NewServeMux(), objects: map[place]*unstructured.Unstructured{}}
	s.mux.HandleFunc("/", s.serve)
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		s.mu.Unlock()
		s.mux.ServeHTTP(w, r)
	}))
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	s.URL = s.http.URL
	for _, name := range []string{"default", "kube-system"} {
		s.Put(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+name+"}}")
	}
	return s
}

// Handle lets h answer what matches pattern, as [http.ServeMux] has it, in the
// place of the server.
func (s *Server) Handle(pattern string, h http.HandlerFunc) { s.mux.HandleFunc(pattern, h) }

// Kubeconfig writes a kubeconfig whose current context is the server and is
// called test, and returns its path.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: ca}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: "token-of-the-test"}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// Put creates or replaces the objects of manifests, as if somebody had updated
// them.
func (s *Server) Put(t testing.TB, manifests string) {
	t.Helper()
	for _, document := range strings.Split(manifests, "\n---\n") {
		o := new(unstructured.Unstructured)
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.version().WithKind(k.name) == o.GroupVersionKind() })
		if i < 0 {
			t.Fatalf("there is no kind %s", o.GroupVersionKind())
		}
		s.mu.Lock()
		_, problem := s.update(place{kinds[i].resource, o.GetNamespace(), o.GetName()}, kinds[i], o, options{manager: "somebody"})
		s.mu.Unlock()
		if problem != nil {
			t.Fatal(problem)
		}
	}
}

// Get returns a copy of an object of a resource such as secrets, or nil.
func (s *Server) Get(resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.objects[place{resource, namespace, name}]; ok {
		return o.DeepCopy()
	}
	return nil
}

// Requests returns the method and the path of each request so far, in order.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}
