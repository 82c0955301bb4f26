package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

// apiServer answers GET with what it has, as an API server does, and nothing else.
type apiServer struct {
	*httptest.Server
	objects map[string]string // JSON, by path; a status that is not 200 stands in front

	mu       sync.Mutex
	requests []string
}

func newServer(t *testing.T, objects map[string]string) *apiServer {
	s := &apiServer{objects: objects}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// asked returns the requests so far.
func (s *apiServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	said, ok := s.objects[r.URL.Path]
	status := http.StatusOK
	if !ok {
		status, said = http.StatusNotFound, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "x", "code": 404}`
	}
	fmt.Sscanf(said, "%d", &status)
	said = strings.TrimLeft(said, "0123456789 ")
	w.Header().Set("Content-Type", "application/json")
	if !json.Valid([]byte(said)) {
		w.Header().Set("Content-Type", "text/plain")
	}
	w.WriteHeader(status)
	fmt.Fprint(w, said)
}

// clientOf returns a client of an address.
func clientOf(t *testing.T, address string) *Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "kind",
		"contexts": [{"name": "kind", "context": {"cluster": "kind", "user": "me"}}],
		"clusters": [{"name": "kind", "cluster": {"server": %q}}], "users": [{"name": "me", "user": {"token": "t"}}]}`, address)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(Target{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	sealedPath   = "/apis/bitnami.com/v1alpha1/namespaces/apps/sealedsecrets/sealed"
	externalPath = "/apis/external-secrets.io/v1/namespaces/apps/externalsecrets/tokens"
	storePath    = "/apis/external-secrets.io/v1/namespaces/apps/secretstores/shop"
	clusterPath  = "/apis/external-secrets.io/v1/clustersecretstores/shared"
	certPath     = "/api/v1/namespaces/sealed-secrets/services/http:controller:/proxy/v1/cert.pem"
	serviceAt    = "/api/v1/namespaces/sealed-secrets/services/controller"
	secretPath   = "/api/v1/namespaces/apps/secrets/sealed"
	tokensPath   = "/api/v1/namespaces/apps/secrets/tokens"
)

const good = "../fixtures/certificates/good.pem"

// objectsOf are those of testPlan in a cluster where all is well.
func objectsOf(t *testing.T) map[string]string {
	t.Helper()
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	certificate, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	const labels = `"labels": {"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "shop", "team": "shop"}`
	return map[string]string{
		secretPath: fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
			"metadata": {"name": "sealed", "namespace": "apps", "annotations": {"note": "a"}, %s, "creationTimestamp": "2029-01-01T00:00:00Z",
				"ownerReferences": [{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "sealed", "uid": "1"}],
				"managedFields": [
					{"manager": "controller", "operation": "Update", "time": "2029-12-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:password": {}}}},
					{"manager": "kubectl", "operation": "Update", "time": "2029-12-24T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {}}},
					{"manager": "hand", "operation": "Update", "time": "2029-11-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:url": {}}}}]},
			"data": {"certificate": %q, "host": %q, "literal": %q, "password": %q, "url": %q}}`,
			labels, b64(canaries["certificate"]), b64("db.internal"), b64("1"), b64(canaries["password"]), b64(canaries["url"])),
		tokensPath: fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
			"metadata": {"name": "tokens", "namespace": "apps", %s, "creationTimestamp": "2029-12-20T00:00:00Z"}, "data": {"token": %q}}`, labels, b64(canaries["token"])),
		sealedPath: `{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "sealed", "namespace": "apps", "generation": 3},
			"spec": {"encryptedData": {"a": "b"}, "template": {}}, "status": {"observedGeneration": 3, "conditions": [{"type": "Synced", "status": "True"}]}}`,
		externalPath: `{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "tokens", "namespace": "apps", "generation": 2},
			"spec": {"refreshInterval": "1h0m0s", "secretStoreRef": {"name": "shop", "kind": "SecretStore"}, "target": {"creationPolicy": "Owner"},
				"data": [{"secretKey": "token", "remoteRef": {"key": "a"}}, {"secretKey": "b", "remoteRef": {"key": "b"}, "sourceRef": {"storeRef": {"name": "shared", "kind": "ClusterSecretStore"}}}]},
			"status": {"refreshTime": "2030-01-02T03:00:00Z", "syncedResourceVersion": "2-abc", "conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced"}]}}`,
		storePath: `{"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "shop", "namespace": "apps"},
			"spec": {"provider": {"aws": {"service": "ParameterStore", "region": "us-east-1"}}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}`,
		clusterPath: `{"apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": "shared"},
			"spec": {"provider": {"fake": {"data": []}}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}`,
		certPath:  string(certificate),
		serviceAt: `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "controller", "namespace": "sealed-secrets"}, "spec": {"ports": [{"port": 8080}]}}`,
	}
}

// readPlan is testPlan with a certificate that is there.
func readPlan() *plan.Plan {
	p := testPlan()
	d := &p.Secrets[0].Delivery
	d.Certificate, d.Controller, d.Pos = good, plan.Controller{Name: "controller", Namespace: "sealed-secrets"}, at(40)
	return p
}

// read is Read and what it says, one a line.
func read(t *testing.T, ctx context.Context, c *Client, p *plan.Plan) (*State, string) {
	t.Helper()
	s, ds := c.Read(ctx, p, now)
	var said []string
	for _, d := range ds {
		said = append(said, fmt.Sprintf("%s %s: %s", d.Severity, d.Code, strings.ReplaceAll(d.Message, c.config.Host, "ADDRESS")))
	}
	checkHidden(t, s, ds)
	return s, strings.Join(said, "\n")
}

// TestRead: what an API server says of objects is what the state has of them,
// and all that it is asked is to get them by name.
func TestRead(t *testing.T) {
	t.Parallel()
	server := newServer(t, objectsOf(t))
	s, said := read(t, t.Context(), clientOf(t, server.URL), readPlan())
	if said != "" {
		t.Fatal(said)
	}
	want := testState()
	sealed, tokens := &want.Secrets[0], &want.Secrets[1]
	sealed.Labels = map[string]string{"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "shop", "team": "shop"}
	tokens.Labels, sealed.Annotations, sealed.Immutable = sealed.Labels, map[string]string{"note": "a"}, true
	sealed.Created, sealed.Changed = time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2029, 12, 1, 0, 0, 0, 0, time.UTC)
	tokens.Created, tokens.Changed = time.Date(2029, 12, 20, 0, 0, 0, 0, time.UTC), time.Date(2029, 12, 20, 0, 0, 0, 0, time.UTC)
	tokens.Delivery.Refreshed = time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	tokens.Delivery.stores = []storeRef{{"SecretStore", "apps", "shop"}, {"ClusterSecretStore", "", "shared"}}
	synced := []Condition{{Type: "Ready", Status: "True"}}
	want.Stores = []Store{{"ClusterSecretStore", "", "shared", value.Present, synced}, {"SecretStore", "apps", "shop", value.Present, synced}}
	c := want.Certificates[0]
	c.Controller, c.Path = plan.Controller{Name: "controller", Namespace: "sealed-secrets"}, good
	c.SHA256 = s.Certificates[0].SHA256
	c.Newest, c.Own, c.Subject = c.SHA256, OwnNewest, "CN=victorgen test"
	want.Certificates[0] = c
	if len(c.SHA256) != 64 {
		t.Errorf("certificate %q", c.SHA256)
	}
	equal := cmp.Comparer(func(a, b value.Value) bool { return a.Equal(b) })
	times := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(want, s, equal, times, cmp.AllowUnexported(Delivery{}, storeRef{}), cmpopts.IgnoreUnexported(Certificate{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ds := Verify(readPlan(), s, tree.History{}, now); ds != nil {
		t.Error(ds)
	}

	delete(server.objects, serviceAt) // who asks for the certificate may look at it first
	requests := slices.DeleteFunc(slices.Sorted(slices.Values(server.asked())), func(r string) bool { return strings.HasSuffix(r, serviceAt) })
	var asked []string
	for path := range maps.Keys(server.objects) {
		asked = append(asked, "GET "+path)
	}
	slices.Sort(asked)
	if diff := cmp.Diff(asked, requests); diff != "" {
		t.Errorf("requests (-want +got)\n%s", diff)
	}
}

// TestReadTrouble: what does not exist is absent, what cannot be read is named,
// and the rest is read anyway.
func TestReadTrouble(t *testing.T) {
	t.Parallel()
	status := func(code int, reason metav1.StatusReason, message string) string {
		return fmt.Sprintf(`%d {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": %q, "message": %q, "code": %d}`, code, reason, message, code)
	}
	forbidden := status(403, metav1.StatusReasonForbidden, `secrets "x" is forbidden: User "me" cannot get resource`)
	for name, test := range map[string]struct {
		change func(objects map[string]string)
		want   string
		check  func(s *State) bool
	}{
		"nothing is there": {
			change: func(objects map[string]string) { clear(objects) },
			check: func(s *State) bool {
				return s.Secrets[0].State == value.Absent && s.Secrets[0].Delivery.State == value.Absent && s.Certificates[0].Unknown != nil && s.Stores == nil
			},
		},
		"secrets are forbidden": {
			change: func(objects map[string]string) { objects[secretPath], objects[tokensPath] = forbidden, forbidden },
			want:   "error VG5001: not allowed in cluster kind: to get secrets sealed and tokens in namespace apps",
			check: func(s *State) bool {
				return s.Secrets[0].State == value.Unreadable && s.Secrets[0].Delivery.State == value.Present && s.Stores[0].State == value.Present
			},
		},
		"all but the secrets are forbidden": {
			change: func(objects map[string]string) {
				for _, path := range []string{sealedPath, externalPath, storePath, clusterPath, certPath} {
					objects[path] = forbidden
				}
			},
			want: `warning VG5001: not allowed in cluster kind: to get externalsecrets.external-secrets.io tokens in namespace apps
warning VG5001: not allowed in cluster kind: to get sealedsecrets.bitnami.com sealed in namespace apps`,
			check: func(s *State) bool {
				return s.Secrets[0].State == value.Present && s.Secrets[0].Delivery.State == value.Unreadable && s.Certificates[0].Unknown != nil
			},
		},
		"stores are forbidden": {
			change: func(objects map[string]string) { objects[storePath], objects[clusterPath] = forbidden, forbidden },
			want: `warning VG5001: not allowed in cluster kind: to get clustersecretstores.external-secrets.io that the contract does not name
warning VG5001: not allowed in cluster kind: to get secretstores.external-secrets.io shop in namespace apps`,
			check: func(s *State) bool {
				return s.Stores[0].State == value.Unreadable && s.Secrets[1].Delivery.State == value.Present
			},
		},
		"the kind is unknown": {
			change: func(objects map[string]string) { objects[sealedPath] = "404 page not found" },
			want:   "error VG5114: cluster kind does not know sealedsecrets.bitnami.com of version v1alpha1, so no controller makes a Secret of sealed",
			check:  func(s *State) bool { return s.Secrets[0].Delivery.State == value.Unreadable },
		},
		"the API server fails": {
			change: func(objects map[string]string) {
				objects[tokensPath] = status(500, metav1.StatusReasonInternalError, "etcdserver:\n no leader.")
			},
			want: "error VG5001: cannot get secrets tokens in namespace apps from cluster kind: InternalError (500)",
			check: func(s *State) bool {
				return s.Secrets[1].State == value.Unreadable && s.Secrets[0].State == value.Present
			},
		},
		"another form": {
			change: func(objects map[string]string) {
				objects[tokensPath] = `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tokens"}, "data": {"token": {"c4nary": "` + canaries["token"] + `"}}}`
			},
			want: "error VG5001: cannot get secrets tokens in namespace apps from cluster kind: the response does not match the API of this kind",
		},
		"no JSON": {
			change: func(objects map[string]string) { objects[tokensPath] = canaries["token"] },
			want:   "error VG5001: cannot read cluster kind: the response is not from an API server",
		},
		"no API server": {
			change: func(objects map[string]string) { objects[tokensPath] = "404 page not found" },
			want:   "error VG5001: cannot read cluster kind: what answers there is not a Kubernetes API server",
		},
		"not logged in": {
			change: func(objects map[string]string) {
				for path := range objects {
					objects[path] = status(401, metav1.StatusReasonUnauthorized, "Unauthorized")
				}
			},
			want: "error VG5001: cannot read cluster kind: not authenticated (401 Unauthorized)",
		},
		"no certificate": {
			change: func(objects map[string]string) { objects[certPath] = "hello" },
			check: func(s *State) bool {
				return s.Certificates[0].Unknown.Error() == "its answer is not a certificate" && s.Certificates[0].Newest == ""
			},
		},
		"another certificate": {
			change: func(objects map[string]string) {
				objects[certPath] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
			},
			check: func(s *State) bool {
				return s.Certificates[0].Newest == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
			},
		},
		"SealedSecret behind": {
			change: func(objects map[string]string) {
				objects[sealedPath] = strings.Replace(objects[sealedPath], `"generation": 3`, `"generation": 4, "annotations": {"sealedsecrets.bitnami.com/cluster-wide": "true"}`, 1)
			},
			check: func(s *State) bool {
				return s.Secrets[0].Delivery.Behind && s.Secrets[0].Delivery.Scope == plan.ClusterWide
			},
		},
		"ExternalSecret behind": {
			change: func(objects map[string]string) {
				objects[externalPath] = strings.Replace(objects[externalPath], "2-abc", "1-abc", 1)
			},
			check: func(s *State) bool { return s.Secrets[1].Delivery.Behind },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := objectsOf(t)
			test.change(objects)
			server := newServer(t, objects)
			s, said := read(t, t.Context(), clientOf(t, server.URL), readPlan())
			if diff := cmp.Diff(test.want, said); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if test.check != nil && !test.check(s) {
				t.Errorf("the state is another: %+v", s)
			}
			for _, r := range server.asked() {
				if asksOfKey := strings.HasPrefix(r, "POST ") && strings.HasSuffix(r, "/proxy/v1/verify"); !asksOfKey && !strings.HasPrefix(r, "GET ") || strings.Contains(r, "?") {
					t.Errorf("a request that is no get: %s", r)
				}
			}
			// What could not be read is judged by no one.
			_, ds := Verify(readPlan(), s, tree.History{}, now)
			checkHidden(t, ds)
		})
	}
}

// TestReadOnce: that no one answers is said once, and soon.
func TestReadOnce(t *testing.T) {
	t.Parallel()
	p := readPlan()
	for i := range 50 {
		s := p.Secrets[0]
		s.Name = fmt.Sprint("more-", i)
		p.Secrets = append(p.Secrets, s)
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	untrusted := httptest.NewUnstartedServer(nil)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for name, test := range map[string]struct {
		ctx     context.Context
		address string
		want    string
	}{
		"nobody listens": {t.Context(), gone.URL, "connection refused by " + gone.Listener.Addr().String()},
		"no answer":      {short, silent.URL, "there was no answer in time"},
		"interrupted":    {interrupted, silent.URL, "it was interrupted"},
		"not trusted":    {t.Context(), untrusted.URL, "its TLS certificate is not trusted: x509: certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			s, said := read(t, test.ctx, clientOf(t, test.address), p)
			if !strings.HasPrefix(said, "error VG5001: cannot read cluster kind: ") || !strings.HasSuffix(said, test.want) || strings.Contains(said, "\n") {
				t.Errorf("it says:\n%s", said)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it takes %v", took)
			}
			if r, ds := Verify(p, s, tree.History{}, now); ds != nil || r.Secrets[0].Verdict != VerdictUnknown {
				t.Errorf("%s: %v", r.Secrets[0].Verdict, ds)
			}
		})
	}
}

// TestReadCertificate: what is wrong with the environment's own certificate.
func TestReadCertificate(t *testing.T) {
	t.Parallel()
	p := readPlan()
	p.Secrets[0].Delivery.Certificate = "../fixtures/certificates/none.pem"
	s, said := read(t, t.Context(), clientOf(t, newServer(t, objectsOf(t)).URL), p)
	if want := "error VG3001: cannot read the certificate ../fixtures/certificates/none.pem: it does not exist"; said != want {
		t.Errorf("it says %s", said)
	}
	if _, ds := Verify(p, s, tree.History{}, now); ds != nil {
		t.Error(ds)
	}
}

// TestReadEachDelivery: of each kind of delivery it is known what delivers, and of
// one of which nothing is known, that is an error.
func TestReadEachDelivery(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, kind := range append([]string{plan.Direct, "new"}, plan.DeliveryKinds...) {
		p := &plan.Plan{Secrets: []plan.Secret{{Namespace: "apps", Name: "a", Delivery: plan.Delivery{Kind: kind}}}}
		state, ds := clientOf(t, s.URL).Read(t.Context(), p, time.Now())
		d := state.Secrets[0].Delivery
		switch kind {
		case plan.Direct:
			if d.Kind != "" || len(ds) > 0 {
				t.Errorf("%s: %+v, %v", kind, d, ds)
			}
		case "new":
			if d.State != value.Unreadable || !ds.HasErrors() || !strings.Contains(ds.Error(), `its delivery is of kind "new"`) {
				t.Errorf("%s: %+v, %v", kind, d, ds)
			}
		default:
			if d.Kind == "" || d.State != value.Absent {
				t.Errorf("%s: %+v, %v", kind, d, ds)
			}
		}
	}
}
