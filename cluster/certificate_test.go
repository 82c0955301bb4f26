package cluster

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

// day is a day on which the certificates of the fixtures are what their names say.
var day = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// fixture returns a certificate of the fixtures.
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../fixtures/certificates/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var controller = plan.Controller{Name: "sealed-secrets", Namespace: "security"}

const (
	servicePath = "/api/v1/namespaces/security/services/sealed-secrets"
	proxyPath   = "/api/v1/namespaces/security/services/http:sealed-secrets:web/proxy/v1/cert.pem"
)

// withController starts an API server that has the Service of a controller.
func withController(t *testing.T) *kubetest.Server {
	s := kubetest.New(t)
	s.Put(t, "namespaces", "kubectl", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "security"}})
	putService(t, s, "sealed-secrets", corev1.ServicePort{Name: "web", Port: 8080}, corev1.ServicePort{Name: "metrics", Port: 8081})
	return s
}

func putService(t *testing.T, s *kubetest.Server, name string, ports ...corev1.ServicePort) {
	t.Helper()
	s.Put(t, "services", "helm", &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "security"}, Spec: corev1.ServiceSpec{Ports: ports}})
}

func connect(t *testing.T, s *kubetest.Server) *Client {
	t.Helper()
	c, err := Connect(Target{Kubeconfig: s.Kubeconfig(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// respond answers with a status and a body.
func respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// refuse answers as the API server does.
func refuse(err error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { kubetest.Error(w, err) }
}

// TestSealingCertificate: whatever an API server, or what stands behind it, may
// say.
func TestSealingCertificate(t *testing.T) {
	t.Parallel()
	var lured bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured = true }))
	t.Cleanup(elsewhere.Close)
	services := schema.GroupResource{Resource: "services"}
	for name, test := range map[string]struct {
		pattern string
		answer  http.HandlerFunc
		want    string
	}{
		"200": {"GET " + proxyPath, respond(200, "whatever it is"), ""},
		"service forbidden": {"GET " + servicePath, refuse(kubetest.Request{Verb: "get", Resource: "services", Namespace: "security", Name: "sealed-secrets"}.Forbidden("ci")),
			`error VG5001: you may not get service sealed-secrets in namespace security (cluster test)`},
		"proxy forbidden": {"GET " + proxyPath, refuse(kubetest.Request{Verb: "get", Resource: "services/proxy", Namespace: "security", Name: "http:sealed-secrets:web"}.Forbidden("ci")),
			`error VG5001: you may not get services/proxy http:sealed-secrets:web in namespace security (cluster test)`},
		"no service": {"GET " + servicePath, refuse(apierrors.NewNotFound(services, "sealed-secrets")),
			"error VG5201: cluster test has no Service sealed-secrets in security"},
		"no port": {"GET " + servicePath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sealed-secrets"}}`))
		},
			"error VG5201: Service sealed-secrets in security has no port"},
		"no endpoints": {"GET " + proxyPath, refuse(apierrors.NewServiceUnavailable(`no endpoints available for service "http:sealed-secrets:web"`)),
			"error VG5201: Service sealed-secrets in security does not answer, is a Pod of the controller ready?"},
		"never had endpoints": {"GET " + proxyPath, refuse(apierrors.NewNotFound(schema.GroupResource{Resource: "endpoints"}, "sealed-secrets")),
			"error VG5201: Service sealed-secrets in security has no endpoints, is there a Pod of the controller?"},
		"another service": {"GET " + proxyPath, respond(404, "404 page not found"),
			"error VG5201: Service sealed-secrets in security is not a sealed-secrets controller: it has no /v1/cert.pem"},
		"another service that forbids": {"GET " + proxyPath, respond(403, "<html>c4nary</html>"),
			"error VG5201: Service sealed-secrets in security answers with status 403"},
		"a Pod that is going": {"GET " + proxyPath, respond(503, "<html>c4nary</html>"),
			"error VG5201: Service sealed-secrets in security answers with status 503"},
		"a broken controller": {"GET " + proxyPath, respond(500, "c4nary"),
			"error VG5201: Service sealed-secrets in security answers with status 500"},
		"a redirect": {"GET " + proxyPath, http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP,
			"error VG5201: Service sealed-secrets in security answers with status 302"},
		"huge": {"GET " + proxyPath, respond(200, strings.Repeat("a", maxCertificate+1)),
			"error VG5202: the certificate from Service sealed-secrets in security cannot be used for sealing: /v1/cert.pem is larger than 1 MiB"},
		"logged out": {"GET " + servicePath, refuse(apierrors.NewUnauthorized("no")),
			"error VG5001: not authenticated at cluster test (401 Unauthorized)"},
		"no API server": {"GET " + servicePath, respond(502, "<html>c4nary</html>"),
			"error VG5001: the API server does not get Service security/sealed-secrets: InternalError (502)"},
		"an API server in trouble": {"GET " + servicePath, refuse(apierrors.NewInternalError(errors.New("etcd \x1b[2J is gone"))),
			"error VG5001: the API server does not get Service security/sealed-secrets: InternalError (500)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withController(t)
			s.Handle(test.pattern, test.answer)
			data, err := connect(t, s).SealingCertificate(t.Context(), controller)
			checkFailure(t, err, test.want)
			if test.want == "" && string(data) != "whatever it is" {
				t.Errorf("%q", data)
			}
			if lured {
				t.Error("it went elsewhere")
			}
		})
	}
}

// checkFailure checks that an error is diagnostics, and says what it should.
func checkFailure(t *testing.T, err error, want string) {
	t.Helper()
	var ds plan.Diagnostics
	switch {
	case err == nil && want == "":
	case err == nil || want == "" || !errors.As(err, &ds):
		t.Errorf("%v, not %q", err, want)
	case !strings.HasPrefix(ds.Error(), want) || strings.Contains(ds.Error(), "c4nary"):
		t.Errorf("%v, not %q", ds, want)
	}
}

// TestSealingCertificateTrouble: no network, an unknown authority, and someone
// who does not want to wait.
func TestSealingCertificateTrouble(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // no one listens there
	s := withController(t)
	dead := connect(t, s)
	dead.config.Host = "https://" + l.Addr().String()
	_, err = dead.SealingCertificate(t.Context(), controller)
	checkFailure(t, err, "error VG5001: cluster test cannot be asked: connection refused by "+l.Addr().String())

	stranger := connect(t, s)
	stranger.config.CAData = nil
	_, err = stranger.SealingCertificate(t.Context(), controller)
	checkFailure(t, err, "error VG5001: cluster test cannot be asked: its TLS certificate is not trusted")

	arrived, release := make(chan struct{}), make(chan struct{})
	s.Handle("GET "+proxyPath, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err = connect(t, s).SealingCertificate(ctx, controller)
	checkFailure(t, err, "error VG5001: interrupted before anything was written")

	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	go func() { <-arrived }()
	_, err = connect(t, s).SealingCertificate(ctx, controller)
	checkFailure(t, err, "error VG5001: cluster test cannot be asked: there was no answer in time")
}

// sealingPlan returns the plan of an environment with a secret for each delivery.
func sealingPlan(environment string, deliveries ...plan.Delivery) *plan.Plan {
	p := &plan.Plan{Environment: environment}
	for _, d := range deliveries {
		p.Secrets = append(p.Secrets, plan.Secret{Name: "app", Namespace: "apps", Delivery: d})
	}
	return p
}

func sealed(file string, c plan.Controller) plan.Delivery {
	return plan.Delivery{Kind: plan.Sealed, Certificate: file, Controller: c, Pos: []plan.Pos{{File: file, Line: 1, Column: 1}}}
}

// TestFetch: what a controller provides is looked at before a file is touched.
func TestFetch(t *testing.T) {
	t.Parallel()
	good, two, expired := fixture(t, "good"), fixture(t, "two"), fixture(t, "expired")
	key, err := os.ReadFile("../fixtures/demo-sealing-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	const useless = "error VG5202: the certificate from Service sealed-secrets in security cannot be used for sealing: "
	for name, test := range map[string]struct {
		answer  []byte
		old     []byte // of the file
		dryRun  bool
		want    string
		written bool
	}{
		"a first one":           {good, nil, false, "", true},
		"another":               {good, expired, false, "", true},
		"the same":              {good, append([]byte("note to self\n"), good...), false, "", false},
		"dry run":               {good, expired, true, "", false},
		"dry run, a wrong file": {good, []byte("TOKEN=tok-c4nary\n"), true, "error VG5203: FILE is not a certificate, so it is not replaced", false},
		"soon at its end":       {fixture(t, "ends-soon"), expired, false, "warning VG3005: Service sealed-secrets in security: the certificate /v1/cert.pem ends on", true},
		"HTML":                  {[]byte("<html>c4nary</html>"), expired, false, useless + "/v1/cert.pem is not a PEM file", false},
		"nothing":               {nil, expired, false, useless + "/v1/cert.pem is empty", false},
		"expired":               {expired, good, false, useless + "the certificate /v1/cert.pem expired on 2024-01-01", false},
		"not yet valid":         {fixture(t, "future"), good, false, useless + "the certificate /v1/cert.pem is not valid before", false},
		"EC key":                {fixture(t, "elliptic"), good, false, useless + "the certificate /v1/cert.pem is for an ECDSA key", false},
		"short key":             {fixture(t, "short-key"), good, false, useless + "the certificate /v1/cert.pem is for an RSA key of 1024 bits", false},
		"two":                   {two, good, false, useless + "/v1/cert.pem holds 2 PEM blocks", false},
		"truncated":             {fixture(t, "truncated"), good, false, useless + "/v1/cert.pem is truncated or damaged", false},
		"a private key":         {key, good, false, useless + "/v1/cert.pem holds a PRIVATE KEY", false},
		"where no file can be":  {good, []byte("TOKEN=tok-c4nary\n"), false, "error VG5203: FILE is not a certificate, so it is not replaced", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withController(t)
			s.Handle("GET "+proxyPath, respond(200, string(test.answer)))
			file := filepath.Join(t.TempDir(), "cert.pem")
			if test.old != nil {
				if err := os.WriteFile(file, test.old, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			f := &CertificateFetch{Client: connect(t, s), DryRun: test.dryRun, Now: day}
			fetched, ds := f.Fetch(t.Context(), sealingPlan("test", sealed(file, controller), plan.Delivery{Kind: plan.External}, sealed(file, controller)))
			got := strings.ReplaceAll(strings.ReplaceAll(ds.Error(), file+":1:1: ", ""), file, "FILE")
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" || len(ds) > 1 || strings.Contains(got, "c4nary") {
				t.Errorf("%q, not %q", got, test.want)
			}
			if ok := !ds.HasErrors(); ok != (len(fetched) == 1) {
				t.Errorf("%v with %v", fetched, ds)
			}
			want := test.old
			if test.written {
				want = test.answer
			}
			if b, _ := os.ReadFile(file); !bytes.Equal(b, want) {
				t.Errorf("the file has %q", b)
			}
		})
	}
}

// TestFetchMany: environments that share a controller and a file are served at
// once, by one request and one write; what they cannot share is said.
func TestFetchMany(t *testing.T) {
	t.Parallel()
	s := withController(t)
	s.Handle("GET "+proxyPath, respond(200, string(fixture(t, "good"))))
	putService(t, s, "other", corev1.ServicePort{Port: 8080})
	s.Handle("GET /api/v1/namespaces/security/services/http:other:/proxy/v1/cert.pem", respond(200, string(fixture(t, "good"))))
	other := plan.Controller{Name: "other", Namespace: "security"}

	dir := t.TempDir()
	file, link, own := filepath.Join(dir, "shared.pem"), filepath.Join(dir, "link.pem"), filepath.Join(dir, "own.pem")
	if err := errors.Join(os.WriteFile(file, fixture(t, "expired"), 0o644), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	f := &CertificateFetch{Client: connect(t, s), Now: day}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			fetched, ds := f.Fetch(t.Context(), sealingPlan("test", sealed(file, controller), sealed(link, controller), sealed(own, controller)))
			if len(ds) > 0 || len(fetched) != 2 || !fetched[0].Changed() || fetched[0].Old == nil || !fetched[1].Changed() || fetched[1].Old != nil {
				t.Errorf("%+v %v", fetched, ds)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"get services security/sealed-secrets", "GET " + proxyPath}, s.Requests()); diff != "" {
		t.Error(diff)
	}

	_, ds := f.Fetch(t.Context(), sealingPlan("other", sealed(file, other)))
	if len(ds) != 1 || ds[0].Code != plan.CodeTwoControllers || len(ds[0].Pos) != 1 {
		t.Error(ds)
	}
	again := &CertificateFetch{Client: f.Client, Now: day}
	if _, ds = again.Fetch(t.Context(), sealingPlan("both", sealed(file, controller), sealed(link, other))); len(ds) != 1 || ds[0].Code != plan.CodeTwoControllers {
		t.Error(ds)
	}
	// Two files, of which one cannot be written: neither is.
	fresh := filepath.Join(dir, "fresh.pem")
	fetched, ds := f.Fetch(t.Context(), sealingPlan("half", sealed(fresh, controller), sealed(dir, controller)))
	if _, err := os.Stat(fresh); !os.IsNotExist(err) || len(fetched) > 0 || len(ds) != 1 || ds[0].Code != plan.CodeCertificateWrite {
		t.Errorf("%v %v %v", fetched, ds, err)
	}
}
