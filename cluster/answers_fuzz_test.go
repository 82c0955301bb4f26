package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/tree"
)

// mark is in every text of the answers that FuzzClusterAnswers begins with, and is a
// value, too.
const mark = "c4nary"

// answering answers every request with one body.
type answering struct {
	status int
	body   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}, "Warning": {`299 - "` + mark + `"`}}
	return &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// client returns a client that hears nothing else.
func (a answering) client(t testing.TB) *Client {
	t.Helper()
	quiet()
	config := &rest.Config{Host: "https://cluster.example", Transport: a, QPS: -1, WarningHandler: rest.NoWarnings{}}
	api, err := rest.UnversionedRESTClientFor(inJSON(config))
	if err != nil {
		t.Fatal(err)
	}
	return &Client{Name: "kind", config: config, api: api}
}

// FuzzClusterAnswers: whatever the API server answers, nothing panics, and nothing of
// it is shown.
func FuzzClusterAnswers(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", "[]", `"c4nary"`, "1", `{"items": null}`, `{"items": []}`, `{"items": [{}]}`, `{"items": [null]}`, `{"items": {}}`,
		`{"kind": "Secret", "apiVersion": "v1"}`, `{"kind": "Secret", "apiVersion": "v1", "metadata": null, "data": null}`,
		`{"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": [{"metadata": null}, {"kind": "c4nary", "metadata": {"name": "c4nary", "labels": null}}]}`,
		`{"kind": "List", "apiVersion": "v1", "items": [{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "c4nary", "namespace": "c4nary"},
			"spec": {"paused": true, "template": {"spec": {"containers": [{"envFrom": [{"secretRef": {"name": "app"}}, {}]}, null], "volumes": [{"projected": {"sources": [null, {"secret": null}]}}]}}}}]}`,
		`{"kind": "Secret", "apiVersion": "v1", "type": "example.com/c4nary", "data": {"c4nary-key": "YzRuYXJ5", "token": "YzRuYXJ5"}, "immutable": true,
			"metadata": {"name": "c4nary", "namespace": "c4nary", "uid": "c4nary", "resourceVersion": "c4nary", "creationTimestamp": "2029-01-01T00:00:00Z",
				"labels": {"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "c4nary", "victorgen/environment": "c4nary"},
				"ownerReferences": [{"kind": "c4nary", "name": "c4nary", "controller": true}, {"kind": "SealedSecret", "name": "c4nary"}],
				"managedFields": [{"manager": "victorgen", "operation": "Apply", "fieldsV1": {"f:data": {"f:c4nary-key": {}}}}, {"fieldsV1": null}, {"fieldsV1": {"f:data": null}}]}}`,
		`{"kind": "SealedSecret", "apiVersion": "bitnami.com/v1alpha1", "metadata": {"annotations": {"sealedsecrets.bitnami.com/scope": "c4nary"}, "generation": -1},
			"spec": {"template": null}, "status": {"observedGeneration": 9, "conditions": [{}, {"type": "Synced", "status": "c4nary", "reason": "c4nary", "message": "c4nary no key could decrypt secret"}]}}`,
		`{"kind": "ExternalSecret", "apiVersion": "external-secrets.io/v1", "metadata": {}, "spec": {"secretStoreRef": {"kind": "c4nary", "name": "c4nary"}, "data": [{"sourceRef": {}}, {"sourceRef": {"storeRef": {"kind": "ClusterSecretStore", "name": "c4nary"}}}]},
			"status": {"syncedResourceVersion": "c4nary-", "refreshTime": null, "conditions": [{"type": "Ready", "status": "c4nary", "reason": "c4nary", "message": "c4nary"}]}}`,
		`{"kind": "Service", "apiVersion": "v1", "metadata": {"name": "c4nary"}, "spec": {"ports": [{"name": "c4nary", "port": 1}]}}`,
		`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "c4nary", "message": "User \"c4nary\" cannot get resource \"c4nary\" in API group \"\"", "code": 403,
			"details": {"name": "c4nary", "kind": "namespaces", "causes": [{"reason": "FieldManagerConflict", "field": "c4nary", "message": "conflict with \"c4nary\""}, {"reason": "c4nary"}], "retryAfterSeconds": 0}}`,
		"-----BEGIN CERTIFICATE-----\nYzRuYXJ5\n-----END CERTIFICATE-----\n",
	} {
		for _, status := range []int{200, 201, 403, 404, 409, 422, 500} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == 429 || status >= 500 && status != 500 || status/100 == 3 {
			t.Skip() // what is asked again, after a while
		}
		a := answering{status, body}
		c := a.client(t)
		p := testPlan()
		p.Inputs = append(slices.Clone(p.Inputs), plan.Input{Name: "CANARY"})
		var told []any
		state, ds := c.Read(t.Context(), p, now, tree.Pinned{SHA256: "1", Secret: "apps/sealed", Controller: plan.Controller{Name: "a", Namespace: "b"}, Manifest: []byte("{}")})
		report, more := Verify(p, state, tree.History{}, now)
		var reuse Reuse
		reuse.Add(0, p, state)
		told = append(told, ds, report, more, reuse.Diagnostics())
		for _, cert := range c.Certificates(t.Context(), p, now) {
			told = append(told, cert.Judge("kind"))
		}
		for _, dryRun := range []string{DryRunServer, ""} {
			applied, ds := c.Apply(t.Context(), applied, []emit.Rendered{rendered("app", map[string]string{"token": mark})},
				ApplyOptions{DryRun: dryRun, Prune: true, Restart: true, CreateNamespace: true, ForceConflicts: status == 200})
			told = append(told, applied, ds)
		}
		known, ds := c.KnownInputs(t.Context(), p, p.Inputs, 0)
		found, more := c.Find(t.Context(), p, p.Inputs, 0)
		for _, fs := range found {
			for _, one := range fs {
				told = append(told, one.String(), one.Value)
			}
		}
		told = append(told, known, ds, more)
		text, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{string(text), fmt.Sprint(told...)} {
			if i := strings.Index(strings.ToLower(what), mark); i >= 0 {
				t.Errorf("it shows what was answered: ...%s...", what[max(i-200, 0):min(i+100, len(what))])
			}
		}
	})
}
