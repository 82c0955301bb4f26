package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/victor-ai/victorgen/internal/kubetest"
)

// liveShop is an API server with a namespace of Secrets: some of people, some of
// controllers, and one that a SealedSecret has made.
func liveShop(t *testing.T) *kubetest.Server {
	s := kubetest.New(t)
	liveSecrets(t, s)
	return s
}

func liveSecrets(t *testing.T, s *kubetest.Server) {
	put := func(name, kind string, data map[string]string, change func(*corev1.Secret)) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Type: corev1.SecretType(kind), Data: map[string][]byte{}}
		for k, v := range data {
			secret.Data[k] = []byte(v)
		}
		if change != nil {
			change(secret)
		}
		s.Put(t, "secrets", "kubectl", secret)
	}
	s.Put(t, "namespaces", "kubectl", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	s.Put(t, "namespaces", "kubectl", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bare"}})
	put("db", "", map[string]string{"DB_PASSWORD": "c4nary-db-83hd02kd7f", "DB_HOST": "db.internal"}, func(s *corev1.Secret) {
		s.Labels = map[string]string{"team": "shop"}
		s.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"stringData":{"DB_PASSWORD":"c4nary-db-83hd02kd7f"}}`}
	})
	yes := true
	put("fixed", "", map[string]string{"token": "c4nary-fixed-55fk20dk3l"}, func(s *corev1.Secret) { s.Immutable = &yes })
	put("empty", "", nil, nil)
	put("default-token-x7", "kubernetes.io/service-account-token", map[string]string{"token": "c4nary-sa-token"}, nil)
	put("sh.helm.release.v1.shop.v3", "helm.sh/release.v1", map[string]string{"release": "c4nary-release"}, nil)
	put("web-tls", "kubernetes.io/tls", map[string]string{"tls.crt": "c", "tls.key": "k"}, func(s *corev1.Secret) {
		s.Annotations = map[string]string{"cert-manager.io/certificate-name": "web"}
	})
	owned := func(kind, uid string) func(*corev1.Secret) {
		return func(s *corev1.Secret) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "x/v1", Kind: kind, Name: s.Name, UID: types.UID("uid-" + uid), Controller: &yes}}
		}
	}
	put("smtp", "", map[string]string{"SMTP_PASSWORD": "c4nary-smtp-1k2d9f0s3m"}, owned("SealedSecret", "smtp"))
	put("queue", "", map[string]string{"token": "c4nary-queue-of-an-operator"}, owned("RabbitmqCluster", "queue"))
	s.Put(t, "deployments", "kubectl", &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", EnvFrom: []corev1.EnvFromSource{{
			SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "smtp"}, Optional: &yes},
		}}}}}},
	}})
	s.Handle("GET /apis/bitnami.com/v1alpha1/namespaces/shop/sealedsecrets", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecretList", "metadata": {}, "items": [{
			"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "smtp", "namespace": "shop", "uid": "uid-smtp"},
			"spec": {"encryptedData": {"SMTP_PASSWORD": "AgB", "SMTP_USER": "AgC"}, "template": {"metadata": {"name": "smtp", "namespace": "shop"}}}}]}`)
	})
}

// inShell runs the program in a directory of its own, as a user does.
func inShell(t *testing.T, dir string, s *kubetest.Server, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command("victorgen", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(t))
	b, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "c4nary") || strings.Contains(string(b), base64.StdEncoding.EncodeToString([]byte("c4nary-"))[:9]) {
		t.Errorf("a value is printed:\n%s", b)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestImportCluster: what people have made is imported, with what the SealedSecret has
// made, and all else is named; nothing is asked for but to get and to list.
func TestImportCluster(t *testing.T) {
	t.Parallel()
	s := liveShop(t)
	dir := t.TempDir()
	code, out := inShell(t, dir, s, "import", "cluster", "-n", "shop", "--into", "envs/production")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	for _, want := range []string{
		"Secret shop/default-token-x7: the token controller fills it", "Secret shop/sh.helm.release.v1.shop.v3: Helm keeps a release in it",
		"Secret shop/web-tls: cert-manager renews it", "Secret shop/queue: it belongs to RabbitmqCluster",
		"key SMTP_USER is not in the Secret in the cluster: its value must be filled in", "Secret shop/empty: it has no keys, and is left out",
		"proved: 4 keys equal to what was read, 1 unknown, 0 not",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q\n%s", want, out)
		}
	}
	files := filesOf(t, dir)
	for _, want := range []string{"c4nary-db-83hd02kd7f", "c4nary-fixed-55fk20dk3l", "c4nary-smtp-1k2d9f0s3m"} {
		if !strings.Contains(files[".secrets.production"], want) {
			t.Errorf("a value is not stored")
		}
	}
	for name, text := range files {
		if name != ".secrets.production" && strings.Contains(text, "c4nary") {
			t.Errorf("%s has a value", name)
		}
	}
	contract := files["contract.cue"] + files["envs/production/env.cue"]
	for _, want := range []string{"immutable: true", `team: "shop"`, `namespace:   "shop"`, "SMTP_USER"} {
		if !strings.Contains(strings.Join(strings.Fields(contract), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the contract has no %s\n%s", want, contract)
		}
	}
	if strings.Contains(contract, "SMTP_PASSWORD: schema.#Optional") {
		t.Errorf("what has a value is optional\n%s", contract)
	}
	for _, r := range s.Requests() {
		if verb, _, _ := strings.Cut(r, " "); !slices.Contains([]string{"get", "list", "GET"}, verb) {
			t.Errorf("asked to %s", r)
		}
	}
	if code, out := inShell(t, dir, s, "vet", "./envs/..."); strings.Contains(out, "error VG1") && !strings.Contains(out, "VG1107") {
		t.Errorf("vet: exit %d\n%s", code, out)
	}
}

// TestImportClusterNamed: only what is named, and one that is not imported is an error.
func TestImportClusterNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"one":                  {[]string{"db"}, 0, []string{"proved: 2 keys equal"}},
		"of a SealedSecret":    {[]string{"smtp"}, 0, []string{"proved: 1 key equal to what was read, 1 unknown"}},
		"one that is not":      {[]string{"db", "nonesuch"}, 1, []string{"error VG6001: there is no Secret shop/nonesuch in cluster test", "`kubectl get secrets --namespace shop` lists them"}},
		"of a controller":      {[]string{"queue", "db"}, 1, []string{"error VG6001: Secret shop/queue: it is not imported, because it belongs to RabbitmqCluster"}},
		"a token":              {[]string{"default-token-x7"}, 1, []string{"error VG6001: Secret shop/default-token-x7: it is not imported, because the token controller fills it"}},
		"no such namespace":    {[]string{"-n", "nowhere"}, 1, []string{"error VG6001: there is no namespace nowhere in cluster test"}},
		"an empty one":         {[]string{"-n", "bare"}, 1, []string{"error VG6001: there is no Kubernetes object"}},
		"no name of one":       {[]string{"-n", "No"}, 2, []string{`--namespace "No" is not a name that Kubernetes accepts`}},
		"no such context":      {[]string{"--context", "gone"}, 3, []string{`no cluster: context "gone" does not exist`, "hint: name one with --context or --kubeconfig"}},
		"no such kubeconfig":   {[]string{"--kubeconfig", "/nowhere"}, 3, []string{"the kubeconfig /nowhere can't be read"}},
		"an empty Secret":      {[]string{"db", "empty"}, 0, []string{"Secret shop/empty: it has no keys, and is left out"}},
		"a dry run writes not": {[]string{"db", "--dry-run"}, 0, []string{"proved: 2 keys equal"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := liveShop(t)
			dir := t.TempDir()
			args := append([]string{"import", "cluster", "--into", "envs/dev"}, tt.args...)
			if !slices.Contains(args, "-n") {
				args = append(args, "-n", "shop")
			}
			code, out := inShell(t, dir, s, args...)
			if code != tt.code {
				t.Errorf("exit %d, not %d\n%s", code, tt.code, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q\n%s", want, out)
				}
			}
			if files := filesOf(t, dir); (code != 0 || slices.Contains(args, "--dry-run")) && len(files) > 0 {
				t.Errorf("it left %d files", len(files))
			}
		})
	}
}

// TestImportClusterRights: without the right to list what makes and uses Secrets it
// says what it can't tell, and without that to read Secrets it is an error.
func TestImportClusterRights(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refuse func(kubetest.Request) error
		args   []string
		code   int
		want   string
	}{
		"no workloads": {func(r kubetest.Request) error {
			if r.Resource == "deployments" {
				return r.Forbidden("me")
			}
			return nil
		}, nil, 0, "deployments in namespace shop can't be listed: which Secrets a workload can do without is not known"},
		"no Secrets": {func(r kubetest.Request) error {
			if r.Resource == "secrets" {
				return r.Forbidden("me")
			}
			return nil
		}, nil, 3, "error VG5001: you may not list secrets in namespace shop (cluster test)"},
		"not one": {func(r kubetest.Request) error {
			if r.Name == "db" {
				return r.Forbidden("me")
			}
			return nil
		}, []string{"db"}, 3, "error VG5001: you may not get secret db in namespace shop (cluster test)"},
		"a login that has ended": {func(kubetest.Request) error { return apierrors.NewUnauthorized("Unauthorized") }, nil, 3, "error VG5001: not authenticated at cluster test (401 Unauthorized)"},
		"a cluster that hangs":   {func(kubetest.Request) error { time.Sleep(500 * time.Millisecond); return nil }, []string{"--timeout", "50ms"}, 3, "cluster test cannot be asked: there was no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := liveShop(t)
			s.Refuse = tt.refuse
			dir := t.TempDir()
			code, out := inShell(t, dir, s, append([]string{"import", "cluster", "-n", "shop", "--into", "envs/dev"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit %d, not %d, or it does not say %q\n%s", code, tt.code, tt.want, out)
			}
			if files := filesOf(t, dir); code != 0 && len(files) > 0 {
				t.Errorf("it left %d files", len(files))
			}
		})
	}
}

// TestImportClusterPages: a long list comes a page at a time.
func TestImportClusterPages(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	pages := 0
	s.Handle("GET /api/v1/namespaces/shop/secrets", func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		if limit < 1 || limit > 500 {
			http.Error(w, "no limit", http.StatusBadRequest)
			return
		}
		pages++
		list := map[string]any{"apiVersion": "v1", "kind": "SecretList", "metadata": map[string]any{}}
		var items []any
		for n := from; n < min(from+limit, 250); n++ {
			items = append(items, map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": fmt.Sprintf("s%03d", n), "namespace": "shop"},
				"type": "Opaque", "data": map[string]any{"token": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "c4nary-%03d-k3j4h5g6f7", n))}})
		}
		list["items"] = items
		if from+limit < 250 {
			list["metadata"] = map[string]any{"continue": strconv.Itoa(from + limit)}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(list)
	})
	code, out := inShell(t, t.TempDir(), s, "import", "cluster", "-n", "shop", "--dry-run")
	if code != 0 || pages != 3 || !strings.Contains(out, "proved: 250 keys equal to what was read, 0 unknown, 0 not") {
		t.Errorf("exit %d after %d pages\n%s", code, pages, out)
	}
}

// sealedManifest is a SealedSecret of the namespace shop.
func sealedManifest(name string) []byte {
	return []byte("apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: " + name + ", namespace: shop}\nspec: {encryptedData: {SMTP_PASSWORD: AgB}}\n")
}

// TestImportFromCluster: a SealedSecret of a file takes its values from the Secret
// that the controller has made, and from no other.
func TestImportFromCluster(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		secret string
		args   []string
		code   int
		want   string
	}{
		"its own":        {"smtp", nil, 0, "proved: 1 key equal to what was read, 0 unknown, 0 not"},
		"none":           {"gone", nil, 1, "error VG6001: there is no Secret shop/gone in cluster test"},
		"one of another": {"db", nil, 1, "error VG6001: Secret shop/db in cluster test is not made by the SealedSecret: its values may differ"},
		"no cluster":     {"smtp", []string{"--context", "gone"}, 3, `context "gone" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := liveShop(t), t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "sealed.yaml"), sealedManifest(tt.secret), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out := inShell(t, dir, s, append([]string{"import", "manifests", "sealed.yaml", "--from-cluster", "--into", "envs/dev"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit %d, not %d, or it does not say %q\n%s", code, tt.code, tt.want, out)
			}
			if stored := strings.Contains(filesOf(t, dir)[".secrets.dev"], "c4nary-smtp-1k2d9f0s3m"); stored != (tt.code == 0) {
				t.Errorf("the value is stored: %v", stored)
			}
		})
	}
	code, out := inShell(t, t.TempDir(), kubetest.New(t), "import", "manifests", "x", "--context", "test")
	if code != 2 || !strings.Contains(out, "--context and --kubeconfig name the cluster of --from-cluster") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestImportClusterPolicy: a contract that a policy forbids is not written, and no value
// is stored.
func TestImportClusterPolicy(t *testing.T) {
	t.Parallel()
	s, dir := liveShop(t), t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.cue")
	if err := os.WriteFile(policy, []byte("package policy\n\nenvironment: \"another\" | error(\"ask the platform team\")\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := inShell(t, dir, s, "import", "cluster", "-n", "shop", "--into", "envs/dev", "--policy", policy)
	if code != 1 || !strings.Contains(out, "VG1406") || !strings.Contains(out, "ask the platform team") || len(filesOf(t, dir)) > 0 {
		t.Errorf("exit %d, %d files\n%s", code, len(filesOf(t, dir)), out)
	}
}

// TestImportMixed: Secrets next to ExternalSecrets have a certificate, which is in the
// module though the contract is compiled elsewhere before it is written.
func TestImportMixed(t *testing.T) {
	t.Parallel()
	const manifests = `apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: parameters, namespace: shop}
spec: {provider: {aws: {service: ParameterStore, region: us-east-1}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: fetched, namespace: shop}
spec:
  secretStoreRef: {name: parameters, kind: SecretStore}
  data: [{secretKey: API_TOKEN, remoteRef: {key: /shop/api-token}}]
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData: {DB_PASSWORD: c4nary-db-83hd02kd7f}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := inShell(t, dir, kubetest.New(t), "import", "manifests", "all.yaml", "--into", "envs/production")
	if code != 0 || !strings.Contains(out, "0 not") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
