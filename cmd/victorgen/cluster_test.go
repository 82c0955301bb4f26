package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/bitnami-labs/sealed-secrets/pkg/crypto"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/fixtures"
)

// fakeCluster is an API server that has the trees below a directory, and what
// the sealed-secrets controller makes of them, with upstream's own code: the
// Secrets, and its certificate.
type fakeCluster struct {
	t    *testing.T
	dir  string
	keys map[string]*rsa.PrivateKey

	mu       sync.Mutex
	instead  map[string]func() (status int, body any) // of what it would answer, by path
	secret   func(*corev1.Secret)                     // changes a Secret
	requests []string
}

// startCluster starts one that has the trees below dir, and returns its
// kubeconfig.
func startCluster(t *testing.T, dir string) (c *fakeCluster, kubeconfig string) {
	t.Helper()
	block, _ := pem.Decode(fixtures.Key)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*rsa.PrivateKey)
	fingerprint, err := crypto.PublicKeyFingerprint(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	c = &fakeCluster{t: t, dir: dir, keys: map[string]*rsa.PrivateKey{fingerprint: key}, instead: map[string]func() (int, any){}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, kubeconfigOf(t, server.URL)
}

func kubeconfigOf(t *testing.T, address string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: kind, contexts: [{name: kind, context: {cluster: kind, user: me}}],
		clusters: [{name: kind, cluster: {server: %q}}], users: [{name: me, user: {token: t}}]}`, address)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "\t", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// answer lets it answer a path in another way.
func (c *fakeCluster) answer(path string, status int, body any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead[path] = func() (int, any) { return status, body }
}

func (c *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r.Method+" "+r.URL.Path)
	status, body := c.get(r.URL.Path)
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/proxy/v1/verify") {
		var sealed v1alpha1.SealedSecret
		text, _ := io.ReadAll(r.Body)
		status, body = http.StatusOK, ""
		if err := yaml.Unmarshal(text, &sealed); err != nil {
			c.t.Error(err)
		} else if _, err := sealed.Unseal(scheme.Codecs, c.keys); err != nil {
			status = http.StatusConflict
		}
	}
	if f, ok := c.instead[r.URL.Path]; ok {
		status, body = f()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, ok := body.(string); ok {
		fmt.Fprint(w, text)
	} else if err := json.NewEncoder(w).Encode(body); err != nil {
		c.t.Error(err)
	}
}

// statusOf is what an API server says of a failure.
func statusOf(code int, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: reason, Code: int32(code), Message: "it is " + string(reason)}
}

var clusterPath = regexp.MustCompile(`^/apis?/.*/namespaces/([^/]+)/(secrets|sealedsecrets|services)/([^/]+)(/proxy/v1/cert.pem)?$`)

func (c *fakeCluster) get(path string) (status int, body any) {
	m := clusterPath.FindStringSubmatch(path)
	if m == nil {
		return http.StatusNotFound, statusOf(404, metav1.StatusReasonNotFound)
	}
	if m[2] == "services" && m[4] == "" {
		return http.StatusOK, corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Namespace: m[1], Name: m[3]}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}}
	}
	if m[2] == "services" {
		b, err := os.ReadFile("../../examples/victor/demo-sealing-cert.pem")
		if err != nil {
			c.t.Error(err)
		}
		return http.StatusOK, string(b)
	}
	manifests, _ := filepath.Glob(filepath.Join(c.dir, "deploy", "*", "secrets", "*.yaml"))
	for _, file := range manifests {
		if strings.Contains(file, "production-") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			c.t.Error(err)
		}
		var sealed v1alpha1.SealedSecret
		if err := yaml.Unmarshal(b, &sealed); err != nil {
			c.t.Error(err)
		}
		if sealed.Namespace != m[1] || sealed.Name != m[3] {
			continue
		}
		secret, err := sealed.Unseal(scheme.Codecs, c.keys)
		if err != nil {
			c.t.Error(err)
		}
		secret.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
		secret.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
		if c.secret != nil {
			c.secret(secret)
		}
		sealed.Generation = 1
		sealed.Status = &v1alpha1.SealedSecretStatus{ObservedGeneration: 1, Conditions: []v1alpha1.SealedSecretCondition{{Type: "Synced", Status: "True"}}}
		if m[2] == "secrets" {
			return http.StatusOK, secret
		}
		return http.StatusOK, sealed
	}
	return http.StatusNotFound, statusOf(404, metav1.StatusReasonNotFound)
}

// readOnly checks that nothing but GET was asked for.
func (c *fakeCluster) readOnly() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) == 0 {
		c.t.Error("it was not asked")
	}
	for _, r := range c.requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasSuffix(r, "/proxy/v1/verify") {
			c.t.Errorf("it was asked to %s", r)
		}
	}
}

// builtExample is a copy of the example whose trees are built today, so that
// nothing in them is old.
func builtExample(t *testing.T) string {
	t.Helper()
	dir := copyExample(t)
	if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := victorgen(t, "build", dir+"/envs/production", dir+"/envs/dev"); code != 0 {
		t.Fatal(stderr)
	}
	return dir
}

// TestVerifyCluster verifies the example, as it is and with one thing broken.
func TestVerifyCluster(t *testing.T) {
	dir := builtExample(t)
	const secrets, app = "/api/v1/namespaces/victor-ai/secrets/", "victor-ai-secrets"
	forbidden := statusOf(403, metav1.StatusReasonForbidden)
	denied := forbidden
	denied.Message = `services "x" is forbidden: User "ci" cannot get resource "services/proxy" in API group "" in the namespace "kube-system"`
	set := func(name, key, v string) func(*corev1.Secret) {
		return func(s *corev1.Secret) {
			if s.Namespace == "victor-ai" && s.Name == name {
				s.Data[key] = []byte(v)
			}
		}
	}
	for name, test := range map[string]struct {
		change func(c *fakeCluster)
		args   []string
		code   int
		stdout []string
		stderr []string // none: it is empty
	}{
		"as it is": {
			stdout: []string{
				"production: ok in kind (4 secrets: 4 ok)\n",
				"  SECRET                            TYPE    KEYS  DELIVERY                VERDICT\n",
				"  victor-ai/victor-ai-secrets       Opaque  7/17  SealedSecret delivered  ok\n",
			},
		},
		"detailed": {
			args: []string{"--detailed"},
			stdout: []string{
				"  victor-ai/grafana-credentials: ok, Opaque, SealedSecret delivered\n    owner SealedSecret/grafana-credentials, created 1h ago, changed 1h ago\n",
				"    KEY             STATE    BYTES  AGE  MADE FROM\n    admin-password  present  24     0m   GRAFANA_ADMIN_PASSWORD\n    admin-user      present  5      0m   ",
			},
		},
		"JSON": {
			args: []string{"-o", "json"},
			stdout: []string{
				`"version": 1`, `"cluster": "kind"`, `"verdict": "ok"`, `"madeFrom": "GRAFANA_ADMIN_PASSWORD"`, `"ok": true`,
			},
		},
		"two environments": {
			args:   []string{dir + "/envs/dev"},
			stdout: []string{"dev: ok in kind", "production: ok in kind"},
		},
		"a value of another environment": {
			args: []string{dir + "/envs/dev"},
			change: func(c *fakeCluster) {
				c.secret = func(s *corev1.Secret) {
					if s.Name == "grafana-credentials" {
						s.Data["admin-password"] = []byte("9d8f7g6h5j4k3l2m1n0b")
					}
				}
			},
			code:   1,
			stdout: []string{"dev: not ok in kind", "production: not ok in kind"},
			stderr: []string{
				`error VG5113: the same value in kind: GRAFANA_ADMIN_PASSWORD of dev (key "admin-password" of secret victor-ai-dev/grafana-credentials) and GRAFANA_ADMIN_PASSWORD of production (key "admin-password" of secret victor-ai/grafana-credentials) [dev, production]`,
				"1 error\n",
			},
		},
		"weak": {
			change: func(c *fakeCluster) { c.secret = set("grafana-credentials", "admin-password", "hunter2") },
			code:   1,
			stdout: []string{"not ok in kind (4 secrets: 3 ok, 1 not ok)", "SealedSecret delivered  not ok"},
			stderr: []string{"VG2005: GRAFANA_ADMIN_PASSWORD is weak", `(key "admin-password" of secret victor-ai/grafana-credentials in kind)`},
		},
		"gone": {
			change: func(c *fakeCluster) { c.answer(secrets+app, 404, statusOf(404, metav1.StatusReasonNotFound)) },
			code:   1,
			stderr: []string{"error VG5101: secret victor-ai/victor-ai-secrets in kind does not exist, though its SealedSecret is ready"},
		},
		"forbidden": {
			change: func(c *fakeCluster) {
				c.answer(secrets+app, 403, forbidden)
				c.secret = set("grafana-credentials", "extra", "x")
			},
			code:   3,
			stdout: []string{"SealedSecret delivered  unknown"},
			stderr: []string{
				"error VG5001: not allowed in cluster kind: to get secrets victor-ai-secrets in namespace victor-ai", "`access: readers`",
				`error VG5103: secret victor-ai/grafana-credentials in kind has a key that the contract does not declare`, // is judged all the same
			},
		},
		"another certificate": {
			change: func(c *fakeCluster) {
				b, err := os.ReadFile("../../fixtures/certificates/good.pem")
				if err != nil {
					t.Fatal(err)
				}
				c.answer("/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:/proxy/v1/cert.pem", 200, string(b))
			},
			stderr: []string{"warning VG5111: the certificate is not the newest of controller kube-system/sealed-secrets-controller in kind", "1 warning\n"},
		},
		"only the secrets are allowed": {
			change: func(c *fakeCluster) {
				for _, name := range []string{"alerting-credentials", "grafana-credentials", "monitoring-credentials", app} {
					c.answer("/apis/bitnami.com/v1alpha1/namespaces/victor-ai/sealedsecrets/"+name, 403, forbidden)
				}
				c.answer("/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:/proxy/v1/cert.pem", 403, denied)
			},
			stdout: []string{"SealedSecret unknown  ok"},
			stderr: []string{
				"warning VG5001: not allowed in cluster kind: to get sealedsecrets.bitnami.com alerting-credentials, grafana-credentials, monitoring-credentials and victor-ai-secrets in namespace victor-ai",
				"warning VG5112: whether the certificate is the newest of controller kube-system/sealed-secrets-controller in kind is not known: you may not get services/proxy http:sealed-secrets-controller: in namespace kube-system",
				"2 warnings\n",
			},
		},
		"applied by victorgen": {
			args:   []string{"--direct"},
			stdout: []string{"  victor-ai/victor-ai-secrets       Opaque  7/17  direct    ok\n"},
		},
		"SARIF": {
			args:   []string{"-o", "sarif"},
			change: func(c *fakeCluster) { c.secret = set(app, "extra", "x") },
			code:   1,
			stdout: []string{`"ruleId": "VG5103"`, `contract.cue"`},
		},
		"GitHub": {
			args:   []string{"-o", "github"},
			change: func(c *fakeCluster) { c.secret = set(app, "extra", "x") },
			code:   1,
			stdout: []string{"::error file=", "contract.cue,line=", ",title=VG5103::secret victor-ai/victor-ai-secrets in kind has a key that the contract does not declare [production]%0Ahint: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, kubeconfig := startCluster(t, dir)
			if test.change != nil {
				test.change(c)
			}
			code, stdout, stderr := victorgen(t, append([]string{"verify", dir + "/envs/production", "--kubeconfig", kubeconfig}, test.args...)...)
			if code != test.code {
				t.Errorf("exit %d, not %d", code, test.code)
			}
			for _, want := range test.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("stdout has no %q", want)
				}
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr has no %q", want)
				}
			}
			if len(test.stderr) == 0 && stderr != "" {
				t.Error("stderr is not empty")
			}
			if t.Failed() {
				t.Logf("%s\n%s", stdout, stderr)
			}
			c.readOnly()
		})
	}
}

// TestVerifyNobody: that no cluster answers is said once, whatever the number
// of secrets and environments.
func TestVerifyNobody(t *testing.T) {
	dir := copyExample(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nobody listens":  {[]string{"--kubeconfig", kubeconfigOf(t, gone.URL)}, "error VG5001: cannot read cluster kind: connection refused by "},
		"no such context": {[]string{"--kubeconfig", kubeconfigOf(t, gone.URL), "--context", "none"}, `error VG5001: no cluster: context "none" does not exist`},
		"no kubeconfig":   {[]string{"--kubeconfig", "none"}, "none can't be read: it does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := victorgen(t, append([]string{"verify", dir + "/envs/production", dir + "/envs/dev"}, test.args...)...)
			if code != 3 || !strings.Contains(stderr, test.want) || !strings.HasSuffix(stderr, "\n1 error\n") || strings.Count(stderr, "VG") != 1 {
				t.Errorf("exit %d\n%s", code, stderr)
			}
		})
	}
}

// TestVerifyJSON holds -o json to the form that docs/verify.md gives it.
func TestVerifyJSON(t *testing.T) {
	dir := builtExample(t)
	page, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```cue\n(.*?)^```$").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/verify.md has no cue block")
	}
	ctx := cuecontext.New()
	form := ctx.CompileBytes(block[1]).LookupPath(cue.ParsePath("#Verified"))
	if form.Err() != nil {
		t.Fatal(form.Err())
	}
	c, kubeconfig := startCluster(t, dir)
	c.secret = func(s *corev1.Secret) { s.Data["extra"] = []byte("x") }
	c.answer("/api/v1/namespaces/victor-ai/secrets/grafana-credentials", 403, statusOf(403, metav1.StatusReasonForbidden))
	c.answer("/api/v1/namespaces/victor-ai/secrets/victor-ai-secrets", 404, statusOf(404, metav1.StatusReasonNotFound))
	fields := map[string]bool{}
	for _, args := range [][]string{nil, {"--detailed"}, {"--direct"}} {
		_, stdout, _ := victorgen(t, append([]string{"verify", dir + "/envs/production", dir + "/envs/dev", "--kubeconfig", kubeconfig, "-o", "json"}, args...)...)
		if err := form.Unify(ctx.CompileString(stdout)).Validate(cue.Concrete(true), cue.Final()); err != nil {
			t.Errorf("%v: %s\n%s", args, cueerrors.Details(err, nil), stdout)
		}
		for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(stdout, -1) {
			fields[m[1]] = true
		}
	}
	for _, field := range []string{"bytes", "madeFrom", "owners", "created", "changed", "deliveryState", "hint", "positions"} {
		if !fields[field] {
			t.Errorf("nothing has the field %s, so the test shows nothing of it", field)
		}
	}
	if form.Unify(ctx.CompileString(`{version: 1, environments: [{directory: "/x", ok: true, more: 1}]}`)).Validate(cue.Concrete(true)) == nil {
		t.Error("the form lets everything pass")
	}
}

// TestVerifyCanaries: values that are in the cluster are in nothing that is
// printed, in whatever form, and however the cluster fails.
func TestVerifyCanaries(t *testing.T) {
	dir := canaryModule(t)
	env := filepath.Join(dir, "envs", "test")
	data := map[string]string{}
	for key, input := range map[string]string{"token": "TOKEN", "url": "PASSWORD", "encoded": "WEAK", "long": "LONG", "holder": "HOLDER", "json": "JSON", "generated": "TOKEN", "extra": "PASSWORD"} {
		data[key] = base64.StdEncoding.EncodeToString([]byte(canaries[input]))
	}
	secret := map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "theirs", "data": data, "metadata": map[string]any{
		"name": "app", "namespace": "apps", "labels": map[string]string{"app.kubernetes.io/part-of": "c4nary"},
		"annotations": map[string]string{"kubectl.kubernetes.io/last-applied-configuration": fmt.Sprint(data, canaries)},
	}}
	sealed := func(message string) map[string]any {
		return map[string]any{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": map[string]any{"name": "app", "namespace": "apps"},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Synced", "status": "False", "message": message}}}}
	}
	// In all that an API server may say, in forms that its API accepts.
	everywhere := map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "example.com/" + canaries["TOKEN"],
		"data": map[string]string{"token": data["token"], canaries["LONG"]: "YQ==", "c4nary-key": "YQ=="}, "metadata": map[string]any{
			"name": canaries["TOKEN"], "namespace": canaries["TOKEN"], "uid": canaries["TOKEN"], "resourceVersion": canaries["TOKEN"],
			"labels":      map[string]string{"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": canaries["TOKEN"], "victorgen/environment": canaries["TOKEN"]},
			"annotations": map[string]string{canaries["TOKEN"]: canaries["TOKEN"]},
			"ownerReferences": []any{map[string]any{"apiVersion": canaries["TOKEN"], "kind": canaries["TOKEN"], "name": canaries["TOKEN"], "uid": canaries["TOKEN"], "controller": true},
				map[string]any{"apiVersion": "v1", "kind": "SealedSecret", "name": "c4nary-owner", "uid": "1"}},
			"managedFields": []any{map[string]any{"manager": canaries["TOKEN"], "operation": canaries["TOKEN"], "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:data": map[string]any{"f:" + canaries["TOKEN"]: map[string]any{}}}}}}}
	strange := map[string]any{"apiVersion": canaries["TOKEN"], "kind": "SealedSecret", "metadata": map[string]any{"name": canaries["TOKEN"], "annotations": map[string]string{"sealedsecrets.bitnami.com/scope": canaries["TOKEN"]}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Synced", "status": canaries["TOKEN"], "reason": canaries["TOKEN"], "message": canaries["TOKEN"]}}}}
	service := map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": canaries["TOKEN"]}, "spec": map[string]any{"ports": []any{map[string]any{"name": "c4nary", "port": 8080}}}}
	template := `template: x:1:2: executing "x" at <fromJson>: ` + canaries["LONG"]
	invalid := `Secret "app" is invalid: data[x]: Invalid value: "` + canaries["LONG"] + `": ` + template
	const servicePath = "/api/v1/namespaces/kube-system/services/sealed-secrets-controller"
	const secretPath, sealedPath = "/api/v1/namespaces/apps/secrets/app", "/apis/bitnami.com/v1alpha1/namespaces/apps/sealedsecrets/app"
	values := map[string]string{}
	for name, v := range canaries {
		values[name] = v
	}
	for name, answers := range map[string]map[string]any{
		"as it is":         {secretPath: secret, sealedPath: sealed("bad " + canaries["TOKEN"] + ", and " + template)},
		"not unsealed":     {sealedPath: sealed(template)},
		"not accepted":     {sealedPath: sealed(invalid)},
		"no JSON":          {secretPath: fmt.Sprint(canaries), sealedPath: sealed(invalid)},
		"another form":     {secretPath: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "app"}, "data": canaries}},
		"another form too": {secretPath: map[string]any{"apiVersion": "v1", "kind": "Secret", "data": canaries, "metadata": canaries}},
		"everywhere":       {secretPath: everywhere, sealedPath: strange, servicePath: service},
		"no object":        {secretPath: []any{canaries}},
	} {
		t.Run(name, func(t *testing.T) {
			c, kubeconfig := startCluster(t, dir)
			for path, body := range answers {
				c.answer(path, 200, body)
			}
			var out strings.Builder
			for _, args := range [][]string{{}, {"--detailed"}, {"-o", "json", "--detailed"}, {"-o", "sarif"}, {"-o", "github"}, {"--direct", "--detailed"}} {
				fmt.Fprintf(&out, "== %v\n", args)
				if code := run(t.Context(), append([]string{"verify", env, "--kubeconfig", kubeconfig}, args...), &out, &out); code == 0 {
					t.Errorf("%v: exit 0", args)
				}
			}
			for _, found := range shown(values, out.String()) {
				t.Errorf("the output shows %s", found)
			}
			if strings.Contains(strings.ToLower(out.String()), "c4nary") {
				t.Error("the output shows a part of a value")
			}
			if name == "as it is" && (!strings.Contains(out.String(), "a template cannot be rendered") || !strings.Contains(out.String(), "VG5103")) {
				t.Error("the values were not judged")
			}
			if t.Failed() {
				t.Log(out.String())
			}
			c.readOnly()
		})
	}
}

// TestVerifyDocs: the page names each code that verify gives, and no other.
func TestVerifyDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bVG51\d\d\b`).FindAllString(string(page), -1)
	slices.Sort(named)
	explained := regexp.MustCompile(`"(VG51\d\d)"`).FindAllStringSubmatch(string(read(t, "../../compiler/plan/codes.go")), -1)
	var want []string
	for _, m := range explained {
		want = append(want, m[1])
	}
	if diff := cmp.Diff(want, slices.Compact(named)); diff != "" {
		t.Errorf("(-codes +page)\n%s", diff)
	}
}
