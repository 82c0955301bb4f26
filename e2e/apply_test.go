package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-envparse"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testApply: a team without GitOps applies its secrets directly. They equal the
// source, byte for byte; a password is rotated, and what consumes it, and
// nothing else, is restarted; what is not needed any more goes; and nothing that
// belongs to others is touched.
func testApply(t *testing.T, c *cluster) {
	const namespace = "direct"
	c.namespace(t, namespace)
	dir := t.TempDir()
	production := filepath.Join(dir, "envs", "production")
	fixture, err := os.ReadFile("../fixtures/victor/production.env")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile(`(?m)^GRAFANA_ADMIN_PASSWORD=.*\n`).ReplaceAll(fixture, nil) // to be generated
	secretsFile := filepath.Join(dir, ".secrets.production")
	if err := errors.Join(
		os.CopyFS(dir, os.DirFS("../examples/victor")),
		os.RemoveAll(filepath.Join(dir, "deploy")),
		os.Remove(filepath.Join(dir, "demo-sealing-cert.pem")), // nothing is sealed
		os.WriteFile(secretsFile, source, 0o600),
		os.WriteFile(filepath.Join(production, "cluster.cue"), []byte(`package victor

secrets: "victor-postgres": {
	type: "kubernetes.io/basic-auth"
	annotations: "example.com/owner": "data"
	labels: tier: "db"
	keys: {username: input: "DB_USER", password: input: "DB_PASSWORD"}
}
`), 0o644)); err != nil {
		t.Fatal(err)
	}
	values := func() map[string]string {
		t.Helper()
		b, err := os.ReadFile(secretsFile)
		if err != nil {
			t.Fatal(err)
		}
		v, err := envparse.Parse(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	run := func(kubeconfig string, args ...string) (stdout, stderr string, code int) {
		t.Helper()
		var out, errs bytes.Buffer
		cmd := exec.Command(built(t), args...)
		cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")} // values of anyone who runs the test do not belong here
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		for name, v := range values() {
			if len(v) > 5 && strings.Contains(out.String()+errs.String(), v) {
				t.Errorf("%v shows the value of %s", args, name)
			}
		}
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	admin := c.kubeconfig(t, c.admin.BearerToken)
	apply := func(args ...string) string {
		t.Helper()
		args = append([]string{"apply", production, "-n", namespace}, args...)
		out, errs, code := run(admin, args...)
		if code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
		}
		return out + errs
	}
	refused := func(want string, args ...string) {
		t.Helper()
		args = append([]string{"apply", production, "-n", namespace}, args...)
		if out, errs, code := run(admin, args...); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	verify := func(wantCode int, want string) {
		t.Helper()
		out, errs, code := run(admin, "verify", production, "--direct", "-n", namespace)
		if code != wantCode || !strings.Contains(out+errs, want) {
			t.Errorf("verify: exit %d without %q\n%s%s", code, want, out, errs)
		}
	}
	secrets := c.core.CoreV1().Secrets(namespace)
	versions := func() map[string]string {
		t.Helper()
		list, err := secrets.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, s := range list.Items {
			m[s.Name] = s.ResourceVersion
		}
		return m
	}

	for _, how := range []string{"--dry-run", "--dry-run=server"} {
		if out := apply(how, "--restart", "--prune"); !strings.Contains(out, "production: would apply to e2e (5 secrets: 5 created)") {
			t.Errorf("%s\n%s", how, out)
		}
		if v := versions(); len(v) > 0 || values()["GRAFANA_ADMIN_PASSWORD"] != "" {
			t.Fatalf("%s has written %v", how, v)
		}
	}

	apply()
	v := values()
	want := victorSecrets(v)
	for name, data := range want {
		secret := c.secret(t, namespace, name, "")
		if diff := cmp.Diff(data, texts(secret)); diff != "" {
			t.Errorf("%s (-source +cluster)\n%s", name, diff)
		}
		labels := map[string]string{
			"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "victor", "victorgen/environment": "production",
		}
		kind, annotations := corev1.SecretTypeOpaque, map[string]string(nil)
		if name == "victor-postgres" {
			kind, annotations = corev1.SecretTypeBasicAuth, map[string]string{"example.com/owner": "data"}
			labels["tier"] = "db"
		}
		if diff := cmp.Diff(labels, secret.Labels) + cmp.Diff(annotations, secret.Annotations); diff != "" || secret.Type != kind {
			t.Errorf("%s is of type %s; labels and annotations (-want +cluster)\n%s", name, secret.Type, diff)
		}
		if f := secret.ManagedFields; len(f) != 1 || f[0].Manager != "victorgen" || f[0].Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("fields of %s are managed by %v", name, f)
		}
	}
	verify(0, "production: ok in e2e (5 secrets: 5 ok)")
	first := versions()
	if out := apply("--restart", "--prune"); !strings.Contains(out, "production: unchanged in e2e (5 secrets: 5 unchanged)") || !cmp.Equal(first, versions()) {
		t.Errorf("a second time changes something\n%s", out)
	}

	workload := func(name string, consume corev1.PodSpec) {
		t.Helper()
		consume.Containers = append(consume.Containers, corev1.Container{Name: "app", Image: "app"})
		labels := map[string]string{"app": name}
		_, err := c.core.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels}, Paused: name == "paused",
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: consume},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	environment := func(secret string) corev1.PodSpec {
		return corev1.PodSpec{Containers: []corev1.Container{{Name: "env", Image: "app", EnvFrom: []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}},
		}}}}
	}
	workload("api", environment("victor-ai-secrets"))
	workload("alertmanager", environment("alerting-credentials"))
	workload("none", corev1.PodSpec{})
	workload("paused", environment("grafana-credentials"))
	workload("grafana", corev1.PodSpec{Volumes: []corev1.Volume{{Name: "credentials", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "grafana-credentials"}}}},
	}}}}})
	restarted := func() (names []string) {
		t.Helper()
		list, err := c.core.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list.Items {
			if d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != "" {
				names = append(names, d.Name)
			}
		}
		return names
	}
	if out, errs, code := run(admin, "rotate", production, "GRAFANA_ADMIN_PASSWORD"); code != 0 {
		t.Fatal(out, errs)
	}
	apply("--restart", "--dry-run")
	apply("--restart", "--dry-run=server")
	if names := restarted(); len(names) > 0 || !cmp.Equal(first, versions()) {
		t.Errorf("a dry run changes something, or restarts %v", names)
	}
	out := apply("--restart")
	for _, line := range []string{
		"production: applied to e2e (5 secrets: 1 changed, 4 unchanged)", "restarted deployment/grafana in namespace direct (it consumes grafana-credentials)",
		"warning VG5007: deployment/paused in namespace direct is paused, so it is not restarted",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q\n%s", line, out)
		}
	}
	if diff := cmp.Diff([]string{"grafana"}, restarted()); diff != "" {
		t.Errorf("restarted (-want +got)\n%s", diff)
	}
	for name, version := range versions() {
		if changed := version != first[name]; changed != (name == "grafana-credentials") {
			t.Errorf("%s has changed: %v", name, changed)
		}
	}
	if data := texts(c.secret(t, namespace, "grafana-credentials", "")); data["admin-password"] != values()["GRAFANA_ADMIN_PASSWORD"] || data["admin-password"] == v["GRAFANA_ADMIN_PASSWORD"] {
		t.Error("the rotated password is not in the cluster")
	}

	t.Run("prune", func(t *testing.T) {
		foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "foreign", Labels: map[string]string{
			"app.kubernetes.io/managed-by": "victorgen", "app.kubernetes.io/part-of": "victor", "victorgen/environment": "staging",
		}}}
		if _, err := secrets.Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(production, "cluster.cue")); err != nil { // that declares victor-postgres
			t.Fatal(err)
		}
		b, err := os.ReadFile(secretsFile)
		if err != nil {
			t.Fatal(err)
		}
		b = regexp.MustCompile(`(?m)^(SMTP|SLACK)_.*\n`).ReplaceAll(b, nil) // all of which alerting-credentials is made
		if err := os.WriteFile(secretsFile, b, 0o600); err != nil {
			t.Fatal(err)
		}
		before := versions()
		// What the cluster has is not left out silently.
		if out, errs, code := run(admin, "apply", production, "-n", namespace); code != 1 || strings.Count(errs, "VG2107") != 1 {
			t.Errorf("values that are gone are left out without a word: exit %d\n%s%s", code, out, errs)
		}
		gone := "package victor\n\n"
		for _, name := range []string{"SMTP_FROM", "SMTP_HOST", "SMTP_PASSWORD", "SMTP_USER", "SLACK_WEBHOOK_URL"} {
			gone += "inputs: " + name + ": present: false\n"
		}
		if err := os.WriteFile(filepath.Join(production, "gone.cue"), []byte(gone), 0o644); err != nil {
			t.Fatal(err)
		}
		apply()
		apply("--prune", "--dry-run")
		apply("--prune", "--dry-run=server")
		if diff := cmp.Diff(before, versions()); diff != "" {
			t.Errorf("nothing was to be pruned yet (-before +after)\n%s", diff)
		}
		out := apply("--prune")
		delete(before, "victor-postgres")
		delete(before, "alerting-credentials")
		if diff := cmp.Diff(before, versions()); diff != "" || strings.Count(out, "  pruned direct/") != 2 {
			t.Errorf("pruned (-want +got)\n%s%s", diff, out)
		}
	})

	t.Run("others", func(t *testing.T) {
		const name = "monitoring-credentials"
		replace := func(change func(*corev1.Secret)) {
			t.Helper()
			if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"sentry-dsn": []byte("theirs"), "other": []byte("x")}}
			change(s)
			if _, err := secrets.Create(t.Context(), s, metav1.CreateOptions{FieldManager: "their-controller"}); err != nil {
				t.Fatal(err)
			}
		}
		dsn := func() string { return texts(c.secret(t, namespace, name, ""))["sentry-dsn"] }
		yes := true
		owner := c.apply(t, objects(t, `{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: `+name+`, namespace: `+namespace+`},
			spec: {encryptedData: {sentry-dsn: AAAA}}}`))[0] // which does not unseal
		replace(func(s *corev1.Secret) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "bitnami.com/v1alpha1", Kind: "SealedSecret", Name: name, UID: owner.GetUID(), Controller: &yes}}
		})
		refused("error VG5003: Secret direct/monitoring-credentials belongs to SealedSecret monitoring-credentials")
		refused("error VG5003", "--dry-run")
		if dsn() != "theirs" {
			t.Error("it was written all the same")
		}
		if out := apply("--force-conflicts"); dsn() != v["SENTRY_DSN"] || !strings.Contains(out, "warning VG5003") {
			t.Errorf("it was not taken\n%s", out)
		}
		if data := texts(c.secret(t, namespace, name, "")); data["other"] != "x" {
			t.Error("what is none of ours is gone")
		}

		replace(func(*corev1.Secret) {})
		refused("error VG5004: Secret direct/monitoring-credentials: another field manager has set data")
		refused("error VG5004", "--dry-run=server")
		if apply("--force-conflicts"); dsn() != v["SENTRY_DSN"] {
			t.Error("it was not taken")
		}

		replace(func(s *corev1.Secret) { s.Immutable = &yes })
		refused("error VG5005: Secret direct/monitoring-credentials is immutable", "--force-conflicts")
		replace(func(s *corev1.Secret) { s.Type = "example.com/other" })
		refused("error VG5005: Secret direct/monitoring-credentials is of a type that is not Kubernetes' own, which can't be changed to Opaque", "--force-conflicts")
		if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		apply()
	})

	t.Run("namespace", func(t *testing.T) {
		out, errs, code := run(admin, "apply", production, "-n", "direct-new")
		if code != 1 || !strings.Contains(errs, "error VG5006: there is no namespace direct-new in cluster e2e") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
		for _, how := range []string{"--dry-run=client", "--dry-run=server", "--create-namespace"} {
			out, errs, code = run(admin, "apply", production, "-n", "direct-new", "--create-namespace", how)
			if code != 0 || !strings.Contains(out, "  created namespace direct-new\n") || !strings.Contains(out, "  created direct-new/grafana-credentials\n") {
				t.Errorf("%s: exit %d\n%s%s", how, code, out, errs)
			}
			_, err := c.core.CoreV1().Namespaces().Get(t.Context(), "direct-new", metav1.GetOptions{})
			if there := err == nil; there != (how == "--create-namespace") {
				t.Errorf("%s: the namespace is there: %v", how, there)
			}
		}
		if secret := c.secret(t, "direct-new", "grafana-credentials", ""); texts(secret)["admin-user"] != "admin" {
			t.Error("it is not as in the other namespace")
		}
	})

	t.Run("rights", func(t *testing.T) {
		before := versions()
		out, errs, code := run(c.kubeconfig(t, c.account(t, namespace, "nobody")), "apply", production, "-n", namespace)
		if code != 3 || !strings.Contains(errs, "error VG5001: you may not get secret victor-ai-secrets in namespace direct (cluster e2e)") ||
			!strings.Contains(errs, `a Role in direct with the rule {apiGroups: [""], resources: ["secrets"], verbs: ["get"], resourceNames: ["victor-ai-secrets"]} allows it`) {
			t.Errorf("without rights: exit %d\n%s%s", code, out, errs)
		}
		if out, errs, code = run(c.kubeconfig(t, "wrong"), "apply", production, "-n", namespace); code != 3 || strings.Count(errs, "error VG") != 1 || !strings.Contains(errs, "401") {
			t.Errorf("with a wrong token: exit %d\n%s%s", code, out, errs)
		}
		names := []string{"grafana-credentials", "monitoring-credentials", "victor-ai-secrets", "alerting-credentials"}
		grant := func(account string, rules ...rbacv1.PolicyRule) string {
			t.Helper()
			meta := metav1.ObjectMeta{Name: account}
			_, err := c.core.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.core.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
				ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account},
				Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return c.kubeconfig(t, c.account(t, namespace, account))
		}
		reader := grant("reader", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{"get"}})
		writer := grant("writer", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{"get", "patch"}})
		if out, errs, code := run(admin, "rotate", production, "GRAFANA_ADMIN_PASSWORD"); code != 0 {
			t.Fatal(out, errs)
		}
		await(t, "the role", func() error { // the authorizer learns of it by a watch
			if out, errs, code = run(reader, "apply", production, "-n", namespace, "--dry-run"); code != 0 {
				return errors.New(errs)
			}
			return nil
		})
		if out, errs, code = run(reader, "apply", production, "-n", namespace); code != 3 || !strings.Contains(errs, "error VG5002: you may not patch secret grafana-credentials in namespace direct") {
			t.Errorf("with the right to read: exit %d\n%s%s", code, out, errs)
		}
		if !cmp.Equal(before, versions()) {
			t.Error("somebody without rights has written something")
		}
		if out, errs, code = run(writer, "apply", production, "-n", namespace); code != 0 || !strings.Contains(out, "1 changed") {
			t.Errorf("with the right to write: exit %d\n%s%s", code, out, errs)
		}
		if out, errs, code = run(writer, "apply", production, "-n", namespace, "--prune"); code != 3 || !strings.Contains(errs, "may not list secrets in namespace direct") {
			t.Errorf("with no right to prune: exit %d\n%s%s", code, out, errs)
		}
	})
}
