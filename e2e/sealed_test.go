package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-envparse"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The versions with whose types the trees are made.
const (
	sealedSecretsVersion      = "v0.36.0"
	prometheusOperatorVersion = "v0.89.0"
)

// startSealedSecrets starts the controller.
func startSealedSecrets(t *testing.T, c *cluster) {
	t.Helper()
	c.definitions(t, "github.com/bitnami-labs/sealed-secrets", sealedSecretsVersion, "helm/sealed-secrets/crds/*.yaml")
	const namespace = "sealed-secrets"
	c.namespace(t, namespace)
	ca, err := os.ReadFile(c.admin.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	account := t.TempDir()
	for name, b := range map[string][]byte{"token": []byte(c.admin.BearerToken), "ca.crt": ca, "namespace": []byte(namespace)} {
		if err := os.WriteFile(filepath.Join(account, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It finds the API server as a Pod does, by files at a fixed path
	// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
	// They are there in a mount namespace of its own, and nowhere else.
	const place = `mount -t tmpfs tmpfs /var/run && mkdir -p /var/run/secrets/kubernetes.io && ln -s "$0" /var/run/secrets/kubernetes.io/serviceaccount`
	private := []string{"--mount"}
	if err := command("", nil, "unshare", append(private, "sh", "-c", place, account)...); err != nil {
		private = append(private, "--map-root-user") // for all but root
		if err := command("", nil, "unshare", append(private, "sh", "-c", place, account)...); err != nil {
			t.Fatalf("the controller needs a mount namespace; be root, or let users have them (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0): %v", err)
		}
	}
	program := goProgram(t, "github.com/bitnami-labs/sealed-secrets/cmd/controller", sealedSecretsVersion)
	host, port, _ := strings.Cut(strings.TrimPrefix(c.admin.Host, "https://"), ":")
	address, metrics := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	ready := func() error {
		resp, err := http.Get("http://" + address + "/v1/cert.pem")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		c.certificate, err = io.ReadAll(resp.Body)
		return err
	}
	run := start(t, []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port, "POD_NAMESPACE=" + namespace}, ready,
		"unshare", append(private, "sh", "-c", place+` && exec "$@"`, account, program,
			"--listen-addr="+address, "--listen-metrics-addr="+metrics)...)
	c.sealedSecrets = controller{run, address, metrics}
}

// victorSecrets returns what production of the example makes of values, and
// victor-postgres, which the stories add.
func victorSecrets(v map[string]string) map[string]map[string]string {
	return map[string]map[string]string{
		"victor-ai-secrets": {
			"database-url":   "postgresql://victor:" + v["DB_PASSWORD"] + "@victor-postgres:5432/victor",
			"redis-url":      "redis://:fake%20p%40ss%2Fword%3Awith%3Fsigns%238d31@victor-redis:6379/0",
			"encryption-key": v["ENCRYPTION_KEY"], "jwt-secret": v["JWT_SECRET"],
			"anthropic-api-key": v["ANTHROPIC_API_KEY"], "openai-api-key": v["OPENAI_API_KEY"], "groq-api-key": v["GROQ_API_KEY"],
		},
		"grafana-credentials": {"admin-user": "admin", "admin-password": v["GRAFANA_ADMIN_PASSWORD"]},
		"alerting-credentials": {
			"smtp-host": v["SMTP_HOST"], "smtp-port": "587", "smtp-user": v["SMTP_USER"], "smtp-from": v["SMTP_FROM"],
			"smtp-password": v["SMTP_PASSWORD"], "slack-webhook-url": v["SLACK_WEBHOOK_URL"],
		},
		"monitoring-credentials": {"sentry-dsn": v["SENTRY_DSN"]},
		"victor-postgres":        {"username": "victor", "password": v["DB_PASSWORD"]},
	}
}

// testSealed: a team seals its secrets for the controller of its cluster,
// applies the tree, and the application gets what it needs and no more. Then
// one value is rotated.
func testSealed(t *testing.T, c *cluster) {
	const namespace = "victor-ai"
	c.namespace(t, namespace)
	c.namespace(t, "another")

	dir := t.TempDir()
	production := filepath.Join(dir, "envs", "production")
	source, err := os.ReadFile("../fixtures/victor/production.env")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.CopyFS(dir, os.DirFS("../examples/victor")),
		os.RemoveAll(filepath.Join(dir, "deploy")),
		os.WriteFile(filepath.Join(dir, "demo-sealing-cert.pem"), c.certificate, 0o644),
		os.WriteFile(filepath.Join(dir, ".secrets.production"), source, 0o600),
		os.WriteFile(filepath.Join(production, "cluster.cue"), []byte(`package victor

access: readers: [{kind: "ServiceAccount", name: "victor-api"}]

secrets: "victor-postgres": {
	type: "kubernetes.io/basic-auth"
	keys: {username: input: "DB_USER", password: input: "DB_PASSWORD"}
}
`), 0o644)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(built(t), args...)
		cmd.Env = []string{"GOCOVERDIR=" + os.Getenv("GOCOVERDIR")} // values of anyone who runs the test do not belong here
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	run("build", production)
	tree := kustomized(t, filepath.Join(dir, "deploy", "production"))

	c.apply(t, tree)
	v, err := envparse.Parse(strings.NewReader(string(source)))
	if err != nil {
		t.Fatal(err)
	}
	want := victorSecrets(v)
	versions := map[string]string{}
	for name, data := range want {
		secret := c.secret(t, namespace, name, "")
		versions[name] = secret.ResourceVersion
		if diff := cmp.Diff(data, texts(secret)); diff != "" {
			t.Errorf("%s (-source +cluster)\n%s", name, diff)
		}
		labels := map[string]string{"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "victor"}
		if diff := cmp.Diff(labels, secret.Labels); diff != "" {
			t.Errorf("labels of %s (-want +cluster)\n%s", name, diff)
		}
		kind := corev1.SecretTypeOpaque
		if name == "victor-postgres" {
			kind = corev1.SecretTypeBasicAuth
		}
		if secret.Type != kind {
			t.Errorf("%s is of type %s", name, secret.Type)
		}
	}

	for _, o := range tree {
		if o.GetKind() == "SealedSecret" {
			c.condition(t, o, "Synced")
		}
	}
	c.unchanged(t, tree)

	t.Run("readers", func(t *testing.T) {
		for in, name := range map[string]string{namespace: "victor-other", "another": "victor-ai-secrets"} {
			other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
			if _, err := c.core.CoreV1().Secrets(in).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		api := c.as(t, namespace, "victor-api").CoreV1()
		for name, data := range want {
			secret, err := api.Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Error(err)
			} else if diff := cmp.Diff(data, texts(secret)); diff != "" {
				t.Errorf("%s (-source +read)\n%s", name, diff)
			}
		}
		const name = "victor-ai-secrets"
		for what, try := range map[string]func() error{
			"get another": func() error {
				_, err := api.Secrets(namespace).Get(t.Context(), "victor-other", metav1.GetOptions{})
				return err
			},
			"get in another namespace": func() error { _, err := api.Secrets("another").Get(t.Context(), name, metav1.GetOptions{}); return err },
			"list":                     func() error { _, err := api.Secrets(namespace).List(t.Context(), metav1.ListOptions{}); return err },
			"list one": func() error {
				_, err := api.Secrets(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
				return err
			},
			"watch": func() error { _, err := api.Secrets(namespace).Watch(t.Context(), metav1.ListOptions{}); return err },
			"patch": func() error {
				_, err := api.Secrets(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"data":null}`), metav1.PatchOptions{})
				return err
			},
			"delete": func() error { return api.Secrets(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}) },
			"be another account": func() error {
				_, err := c.as(t, namespace, "victor-worker").CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
				return err
			},
			"be of another namespace": func() error {
				_, err := c.as(t, "another", "victor-api").CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
				return err
			},
		} {
			if err := try(); !apierrors.IsForbidden(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})

	t.Run("rotation", func(t *testing.T) {
		run("rotate", production, "GRAFANA_ADMIN_PASSWORD")
		run("build", production)
		c.apply(t, kustomized(t, filepath.Join(dir, "deploy", "production")))
		const rotated = "grafana-credentials"
		if data := texts(c.secret(t, namespace, rotated, versions[rotated])); data["admin-password"] == v["GRAFANA_ADMIN_PASSWORD"] || data["admin-user"] != "admin" {
			t.Errorf("rotated to %v", data)
		}
		for name, version := range versions {
			if name != rotated && c.secret(t, namespace, name, "").ResourceVersion != version {
				t.Errorf("%s has changed, too", name)
			}
		}
	})
}
