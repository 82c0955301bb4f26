package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const kubeStateMetricsVersion = "2.15.0"

// startKubeStateMetrics starts what has metrics of all Secrets, at address.
func startKubeStateMetrics(t *testing.T, c *cluster, address string) server {
	t.Helper()
	program := toolProgram(t, "kube-state-metrics", kubeStateMetricsVersion, "kube-state-metrics")
	_, port, _ := strings.Cut(address, ":")
	return start(t, nil, listening(port), program, "--kubeconfig="+c.kubeconfig(t, c.admin.BearerToken), "--resources=secrets",
		"--host=127.0.0.1", "--port="+port, "--telemetry-host=127.0.0.1", "--telemetry-port="+freePort(t))
}

// startPrometheus starts Prometheus with a file of rules. It scrapes as the Helm
// charts have it: kube-state-metrics and the sealed-secrets controller with
// honorLabels, the External Secrets Operator without.
func startPrometheus(t *testing.T, c *cluster, rules, kubeStateMetrics string) (address string) {
	t.Helper()
	address = "127.0.0.1:" + freePort(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - {job_name: kube-state-metrics, honor_labels: true, static_configs: [{targets: [%q], labels: {namespace: monitoring}}]}
  - {job_name: sealed-secrets, honor_labels: true, static_configs: [{targets: [%q], labels: {namespace: kube-system}}]}
  - {job_name: external-secrets, static_configs: [{targets: [%q], labels: {namespace: external-secrets}}]}
`, rules, kubeStateMetrics, c.sealedSecrets.metrics, c.externalSecrets.metrics)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ready := func() error {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		return err
	}
	start(t, nil, ready, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	return address
}

// firing returns the alerts that fire, by name and by secret or store.
func firing(t *testing.T, prometheus string) []string {
	t.Helper()
	resp, err := http.Get("http://" + prometheus + "/api/v1/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names = append(names, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["secret"]+a.Labels["store"]))
		}
	}
	slices.Sort(names)
	return names
}

// testBroken: a cluster in which one thing after another breaks and is repaired.
// Prometheus, which scrapes the real metrics, fires the alerts of what is broken
// and no others, and resolves them; verify names the cause.
func testBroken(t *testing.T, c *cluster) {
	const namespace = "broken"
	c.namespace(t, namespace)
	client := ssm.NewFromConfig(awsConfig(t))
	put := func() {
		t.Helper()
		_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/broken/partner-token"), Value: aws.String("tok-7f3k29dk20sk3"), Type: types.ParameterTypeSecureString})
		if err != nil {
			t.Fatal(err)
		}
	}
	put()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/broken@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"cert.pem":           string(c.certificate),
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

environment: "test"
namespace:   "broken"
sources: default: {kind: "aws-ssm", region: "us-east-1", prefix: "/broken"}
delivery: {certificate: "cert.pem", refreshInterval: "1s"}
inputs: DB_PASSWORD:   schema.#Generated & {generate: {kind: "password"}}
inputs: JOBS_TOKEN:    schema.#Generated & {generate: {kind: "bytes"}}
inputs: PARTNER_TOKEN: schema.#Required
secrets: {
	shop: keys: password: input: "DB_PASSWORD"
	jobs: keys: token: input: "JOBS_TOKEN"
	partner: {
		delivery: kind: "external"
		keys: token: input: "PARTNER_TOKEN"
	}
}
alerts: for: "1s"
`,
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	build := func(args ...string) []*unstructured.Unstructured {
		t.Helper()
		if out, errs, code := victorgen(t, dir, nil, append([]string{"build", "."}, args...)...); code != 0 {
			t.Fatalf("build: exit %d\n%s%s", code, out, errs)
		}
		return kustomized(t, filepath.Join(dir, "deploy", "test"))
	}
	tree := build("--rule-tests", filepath.Join(dir, "test.yaml"))
	named := func(kind, name string) *unstructured.Unstructured {
		t.Helper()
		for _, o := range tree {
			if o.GetKind() == kind && o.GetName() == name {
				return o.DeepCopy()
			}
		}
		t.Fatalf("the tree has no %s %s", kind, name)
		return nil
	}
	remove := func(o *unstructured.Unstructured) {
		t.Helper()
		if err := c.resource(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	secret := func(name string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion("v1")
		o.SetKind("Secret")
		o.SetNamespace(namespace)
		o.SetName(name)
		return o
	}

	kubeStateMetrics := "127.0.0.1:" + freePort(t)
	run := startKubeStateMetrics(t, c, kubeStateMetrics)
	prometheus := startPrometheus(t, c, filepath.Join(dir, "test.rules.yaml"), kubeStateMetrics)
	// An error is counted for a quarter of an hour, so its alert stays.
	past := []string{}
	fires := func(want ...string) {
		t.Helper()
		all := slices.Sorted(slices.Values(append(want, past...)))
		steady := 0
		await(t, "Prometheus", func() error {
			got := firing(t, prometheus)
			if diff := cmp.Diff(append([]string{}, all...), got); diff != "" {
				steady = 0
				return fmt.Errorf("firing (-want +got)\n%s", diff)
			}
			if steady++; steady < 20 { // longer than `for`
				return errors.New("not for long enough")
			}
			return nil
		})
	}

	kubeconfig := []string{"KUBECONFIG=" + c.kubeconfig(t, c.admin.BearerToken)}
	verifies := func(want ...string) { // nothing is all that is well
		t.Helper()
		wantCode := min(len(want), 1)
		out, errs, code := victorgen(t, dir, kubeconfig, "verify", ".")
		for _, w := range want {
			if !strings.Contains(errs, w) {
				t.Errorf("verify does not say %q", w)
			}
		}
		if code != wantCode {
			t.Errorf("verify: exit %d, not %d", code, wantCode)
		}
		if t.Failed() {
			t.Logf("verify:\n%s%s", out, errs)
		}
	}

	fires("ExternalSecretNotReconciled partner", "SealedSecretNotReconciled jobs", "SealedSecretNotReconciled shop",
		"SecretMissing jobs", "SecretMissing partner", "SecretMissing shop") // nothing is there yet
	verifies("VG5101: secret broken/jobs", "VG5101: secret broken/partner", "VG5101: secret broken/shop")
	c.apply(t, tree)
	fires()
	verifies()

	// Someone deletes a Secret: the controller makes it again. Someone deletes its SealedSecret: both are gone.
	remove(secret("jobs"))
	fires()
	remove(named("SealedSecret", "jobs"))
	fires("SealedSecretNotReconciled jobs", "SecretMissing jobs")
	verifies("VG5101: secret broken/jobs in e2e does not exist: its SealedSecret does not exist")
	c.apply(t, tree)
	fires()

	// It is sealed for another cluster.
	wrong := named("SealedSecret", "jobs")
	shop, _, _ := unstructured.NestedString(named("SealedSecret", "shop").Object, "spec", "encryptedData", "password")
	if err := unstructured.SetNestedField(wrong.Object, shop, "spec", "encryptedData", "token"); err != nil {
		t.Fatal(err)
	}
	c.apply(t, []*unstructured.Unstructured{wrong}) // of another name, so that it does not unseal
	past = append(past, "SealedSecretUnsealErrors")
	fires("SealedSecretNotSynced jobs")
	verifies("VG5107: SealedSecret broken/jobs in e2e is not synced: no key could decrypt secret")
	c.apply(t, tree)
	fires()

	// A value is gone from its source. The Secret stays.
	if _, err := client.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/broken/partner-token")}); err != nil {
		t.Fatal(err)
	}
	fires("ExternalSecretNotReady partner")
	verifies("VG5107: ExternalSecret broken/partner in e2e is not ready")
	put()
	fires()
	verifies()

	// The ExternalSecret is gone, and with it the Secret.
	remove(named("ExternalSecret", "partner"))
	fires("ExternalSecretNotReconciled partner", "SecretMissing partner")
	verifies("VG5101: secret broken/partner in e2e does not exist: its ExternalSecret does not exist")
	c.apply(t, tree)
	fires()

	// The store is another's.
	store := named("SecretStore", "app-default")
	if err := unstructured.SetNestedField(store.Object, "no-such-account", "spec", "provider", "aws", "auth", "jwt", "serviceAccountRef", "name"); err != nil {
		t.Fatal(err)
	}
	c.apply(t, []*unstructured.Unstructured{store})
	fires("ExternalSecretNotReady partner", "SecretStoreNotReady app-default")
	verifies("VG5107: ExternalSecret broken/partner", "VG5109: SecretStore broken/app-default in e2e is not ready")
	c.apply(t, tree)
	fires()

	c.externalSecrets.stop()
	fires("ExternalSecretMetricsMissing")
	startExternalSecrets(t, c)
	fires()

	run.stop()
	fires("SecretMetricsMissing")
	startKubeStateMetrics(t, c, kubeStateMetrics)
	fires()
}
