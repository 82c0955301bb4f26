package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-envparse"
)

// externalSecretsVersion is that in external-secrets/go.mod, which builds in
// some minutes.
const externalSecretsVersion = "0.19.2"

// startExternalSecrets starts the External Secrets Operator, with what leads it
// to the AWS of moto. It may be stopped and started again.
func startExternalSecrets(t *testing.T, c *cluster) {
	t.Helper()
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	env := []string{"KUBECONFIG=" + c.kubeconfig(t, c.admin.BearerToken)}
	for _, service := range []string{"SSM", "SECRETSMANAGER", "STS"} { // it does not heed AWS_ENDPOINT_URL
		env = append(env, "AWS_"+service+"_ENDPOINT="+endpoint)
	}
	metrics := c.externalSecrets.metrics
	if metrics == "" {
		metrics = "127.0.0.1:" + freePort(t)
		c.definitions(t, "github.com/external-secrets/external-secrets", "v"+externalSecretsVersion, "config/crds/bases/*_*.yaml")
	}
	program := toolProgram(t, "external-secrets", externalSecretsVersion, "external-secrets")
	_, port, _ := strings.Cut(metrics, ":")
	run := start(t, env, listening(port), program, "--metrics-addr="+metrics, "--enable-leader-election=false")
	c.externalSecrets = controller{server: run, metrics: metrics}
}

// testExternal: a team keeps its values in Parameter Store and lets the operator
// fetch them. What is generated is generated there; nothing else is read by a
// build. A rotated password reaches the Secret, and a password that is born in
// the cluster lives in the store.
func testExternal(t *testing.T, c *cluster) {
	const namespace = "external"
	c.namespace(t, namespace)
	client := ssm.NewFromConfig(awsConfig(t))
	dir := t.TempDir()
	production := filepath.Join(dir, "envs", "production-aws")
	file, err := os.Open("../fixtures/victor/production.env")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	v, err := envparse.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ANTHROPIC_API_KEY", "SENTRY_DSN", "REDIS_PASSWORD"} {
		_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/victor-ai/" + kebab(name)), Value: aws.String(v[name]), Type: types.ParameterTypeSecureString})
		if err != nil {
			t.Fatal(err)
		}
	}
	manager := secretsmanager.NewFromConfig(awsConfig(t))
	for name, text := range map[string]string{"partner": `{"api":{"token":"tok-92jf02kd93"}}`, "partner-key": "AP8BIGJ5dGVz"} {
		if _, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("victor-ai/" + name), SecretString: aws.String(text)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.CopyFS(dir, os.DirFS("../examples/victor")),
		os.RemoveAll(filepath.Join(dir, "deploy")),
		os.WriteFile(filepath.Join(production, "env.cue"), []byte(`package victor

environment: "production-aws"
namespace:   "external"
sources: default: {kind: "aws-ssm", region: "us-east-1", prefix: "/victor-ai"}
sources: manager: {kind: "aws-secretsmanager", region: "us-east-1", prefix: "victor-ai/"}
delivery: {kind: "external", refreshInterval: "1s"}
inputs: ANTHROPIC_API_KEY: class: "required"
inputs: SENTRY_DSN: class:        "required"
inputs: BORN_HERE: {class: "generated", generate: {kind: "password", length: 48, inCluster: true}}
inputs: PARTNER_TOKEN: {class: "required", source: "manager", remote: "partner#api.token"}
inputs: PARTNER_KEY: {class: "required", source: "manager", encoding: "base64"}
secrets: "victor-ai-secrets": keys: {
	"born-here": input: "BORN_HERE"
	"partner-token": input: "PARTNER_TOKEN"
	"partner-key": input: "PARTNER_KEY"
}
`), 0o644)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		if out, errs, code := victorgen(t, dir, nil, args...); code != 0 {
			t.Fatalf("%s: exit %d\n%s%s", args[0], code, out, errs)
		}
	}
	stored := func(name string) string {
		t.Helper()
		out, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/victor-ai/" + name), WithDecryption: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		return *out.Parameter.Value
	}
	run("build", production)
	tree := kustomized(t, filepath.Join(dir, "deploy", "production-aws"))
	c.apply(t, tree)
	for _, o := range tree {
		switch o.GetKind() {
		case "SecretStore", "ExternalSecret", "PushSecret":
			c.condition(t, o, "Ready")
		}
	}
	secret := c.secret(t, namespace, "victor-ai-secrets", "")
	want := map[string]string{
		"database-url":      "postgresql://victor:" + stored("database-password") + "@victor-postgres:5432/victor",
		"redis-url":         "redis://:fake%20p%40ss%2Fword%3Awith%3Fsigns%238d31@victor-redis:6379/0",
		"encryption-key":    stored("encryption-key"),
		"jwt-secret":        stored("jwt-secret"),
		"anthropic-api-key": v["ANTHROPIC_API_KEY"],
		"born-here":         stored("born-here"),
		"partner-token":     "tok-92jf02kd93",
		"partner-key":       "\x00\xff\x01 bytes",
	}
	if diff := cmp.Diff(want, texts(secret)); diff != "" {
		t.Errorf("(-store +cluster)\n%s", diff)
	}
	if n := len(secret.Data["born-here"]); n != 48 {
		t.Errorf("born-here has %d characters", n)
	}
	labels := map[string]string{
		"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "victor",
		"reconcile.external-secrets.io/created-by": secret.Labels["reconcile.external-secrets.io/created-by"],
		"reconcile.external-secrets.io/managed":    "true",
	}
	if diff := cmp.Diff(labels, secret.Labels); diff != "" {
		t.Errorf("labels (-want +cluster)\n%s", diff)
	}

	c.unchanged(t, tree)
	c.diff(t, filepath.Join(dir, "deploy", "production-aws"))
	run("build", production, "--check")
	run("build", production, "--check", "--offline")

	run("rotate", production, "DB_PASSWORD")
	want["database-url"] = "postgresql://victor:" + stored("database-password") + "@victor-postgres:5432/victor"
	await(t, "database-url", func() error {
		if diff := cmp.Diff(want, texts(c.secret(t, namespace, "victor-ai-secrets", ""))); diff != "" {
			return errors.New("the Secret does not follow")
		}
		return nil
	})
	run("build", production, "--check") // which is no business of the tree's
	c.unchanged(t, tree)

	// verify sees what the operator sees.
	kubeconfig := []string{"KUBECONFIG=" + c.kubeconfig(t, c.admin.BearerToken)}
	green := func() error {
		out, errs, code := victorgen(t, dir, kubeconfig, "verify", production)
		if code != 0 || errs != "" || !strings.Contains(out, "ExternalSecret delivered  ok") {
			return fmt.Errorf("exit %d\n%s%s", code, out, errs)
		}
		return nil
	}
	await(t, "verify", green)
	parameter := aws.String("/victor-ai/anthropic-api-key")
	if _, err := client.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: parameter}); err != nil {
		t.Fatal(err)
	}
	await(t, "a parameter that is gone", func() error {
		_, errs, code := victorgen(t, dir, kubeconfig, "verify", production)
		const want = "error VG5107: ExternalSecret external/victor-ai-secrets in e2e is not ready: could not get secret data from provider (SecretSyncedError)"
		if code != 1 || !strings.Contains(errs, want) {
			return fmt.Errorf("exit %d\n%s", code, errs)
		}
		return nil
	})
	_, err = client.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: parameter, Value: aws.String(v["ANTHROPIC_API_KEY"]), Type: types.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the parameter", green)
}
