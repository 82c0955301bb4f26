package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// testImport: a namespace that grew by hand is imported, and so are the ExternalSecrets
// that an operator reconciles. What comes of the contract is what was there.
func testImport(t *testing.T, c *cluster) {
	t.Run("live", func(t *testing.T) { testImportLive(t, c) })
	t.Run("external", func(t *testing.T) { testImportExternal(t, c) })
}

// importing runs the program, and holds it to show none of values.
func importing(t *testing.T, c *cluster, dir string, values map[string]bool) func(want int, args ...string) string {
	kubeconfig := c.kubeconfig(t, c.admin.BearerToken)
	return func(want int, args ...string) string {
		t.Helper()
		out, errs, code := victorgen(t, dir, []string{"KUBECONFIG=" + kubeconfig}, args...)
		if code != want {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
		}
		for v := range values {
			if len(v) > 7 && (strings.Contains(out+errs, v) || strings.Contains(out+errs, base64.StdEncoding.EncodeToString([]byte(v)))) {
				t.Errorf("%v shows a value", args)
			}
		}
		return out + errs
	}
}

func testImportLive(t *testing.T, c *cluster) {
	const namespace = "legacy"
	c.namespace(t, namespace)
	secrets := c.core.CoreV1().Secrets(namespace)
	yes := true
	values := map[string]bool{}
	put := func(name string, kind corev1.SecretType, data map[string]string, change func(*corev1.Secret)) {
		t.Helper()
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, Data: map[string][]byte{}}
		for k, v := range data {
			s.Data[k] = []byte(v)
			values[v] = true
		}
		if change != nil {
			change(s)
		}
		if _, err := secrets.Create(t.Context(), s, metav1.CreateOptions{FieldManager: "kubectl-create"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.core.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	certificate, tlsKey := pair(t)
	docker := `{"auths":{"registry.test.example":{"username":"ci","password":"reg-93kd02jf84","auth":"` + base64.StdEncoding.EncodeToString([]byte("ci:reg-93kd02jf84")) + `"}}}`
	// Twelve that people have made, or asked a controller for.
	put("text", corev1.SecretTypeOpaque, map[string]string{"DB_PASSWORD": "p4ss-83jd92kf02ls", "DB_HOST": "db.internal", "EMPTY": ""}, func(s *corev1.Secret) {
		s.Labels, s.Annotations = map[string]string{"team": "shop"}, map[string]string{"example.com/owner": "data"}
	})
	put("binary", corev1.SecretTypeOpaque, map[string]string{"keyring.gpg": "\x99\x00\xff\xfe binary keyring 8d7f6g"}, nil)
	put("basic", corev1.SecretTypeBasicAuth, map[string]string{"username": "admin", "password": "bas1c-92jd83kf02"}, nil)
	put("ssh", corev1.SecretTypeSSHAuth, map[string]string{"ssh-privatekey": sshKey(t)}, nil)
	put("tls", corev1.SecretTypeTLS, map[string]string{"tls.crt": certificate, "tls.key": tlsKey}, nil)
	put("pull", corev1.SecretTypeDockerConfigJson, map[string]string{".dockerconfigjson": docker}, nil)
	put("pull-old", corev1.SecretTypeDockercfg, map[string]string{".dockercfg": `{"registry.test.example":{"username":"ci","password":"reg-93kd02jf84","auth":"` + base64.StdEncoding.EncodeToString([]byte("ci:reg-93kd02jf84")) + `"}}`}, nil)
	put("custom", "example.com/widget", map[string]string{"widget.key": "w1dget-83jf92kd01sl"}, nil)
	put("fixed", corev1.SecretTypeOpaque, map[string]string{"token": "f1xed-02kd83jf92ls7"}, func(s *corev1.Secret) { s.Immutable = &yes })
	put("json", corev1.SecretTypeOpaque, map[string]string{"config.json": `{"db":{"password":"p4ss-83jd92kf02ls","port":5432}}` + "\n"}, nil)
	put("many", corev1.SecretTypeOpaque, map[string]string{"a.b-c_d": "m1-83jd92kf02lsq", "UPPER": "m2-92kf02ls83jdq", "url": "postgresql://shop:p4ss-83jd92kf02ls@db.internal:5432/shop?sslmode=require"}, nil)
	put("large", corev1.SecretTypeOpaque, map[string]string{"blob": strings.Repeat("0123456789abcdef\n", 30_000)}, nil)
	sealed := seal(t, c, namespace, "sealed", map[string]string{"SMTP_PASSWORD": "smtp-72jd93kf01lsq", "SMTP_USER": "mailer"}, values)
	client := ssm.NewFromConfig(awsConfig(t))
	if _, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/legacy/api-token"), Value: aws.String("tok-fetched-92jf83kd"), Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	values["tok-fetched-92jf83kd"], values["whole-83kd92jf01ls"], values["tok-83kd92jf01lsqm"] = true, true, true
	if _, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/legacy/whole"), Value: aws.String(`{"token":"tok-83kd92jf01lsqm","password":"whole-83kd92jf01ls"}`), Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	fetched := objects(t, `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: parameters, namespace: legacy}
spec: {provider: {aws: {service: ParameterStore, region: us-east-1}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: fetched, namespace: legacy}
spec:
  refreshInterval: 1m0s
  secretStoreRef: {name: parameters, kind: SecretStore}
  data: [{secretKey: API_TOKEN, remoteRef: {key: /legacy/api-token}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: whole, namespace: legacy}
spec:
  refreshInterval: 1m0s
  secretStoreRef: {name: parameters, kind: SecretStore}
  dataFrom: [{extract: {key: /legacy/whole}}]
`)
	c.apply(t, fetched)
	c.condition(t, fetched[1], "Ready")
	c.condition(t, fetched[2], "Ready")
	// And what controllers and tools keep for themselves.
	put("robot-token", corev1.SecretTypeServiceAccountToken, map[string]string{"token": "sa-token-82jd93kf02"}, func(s *corev1.Secret) {
		s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "robot"}
	})
	put("bootstrap-token-abcdef", corev1.SecretTypeBootstrapToken, map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef"}, nil)
	put("sh.helm.release.v1.shop.v1", "helm.sh/release.v1", map[string]string{"release": "H4sIAAAAAAAA-release"}, nil)
	put("renewed", corev1.SecretTypeTLS, map[string]string{"tls.crt": certificate, "tls.key": tlsKey}, func(s *corev1.Secret) {
		s.Annotations = map[string]string{"cert-manager.io/certificate-name": "web"}
	})

	dir := t.TempDir()
	run := importing(t, c, dir, values)
	out := run(0, "import", "cluster", "-n", namespace, "--into", "envs/live")
	for _, want := range []string{
		"Secret legacy/robot-token: the token controller fills it", "Secret legacy/bootstrap-token-abcdef: it lets nodes join", "Helm keeps a release in it", "cert-manager renews it",
		", 0 unknown, 0 not",
		"(dataFrom.extract), those that the Secret of the cluster has are imported: password, token",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("import does not say %q\n%s", want, out)
		}
	}
	before, err := secrets.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Those that a controller makes are not to be written by anyone else.
	out = run(1, "apply", filepath.Join(dir, "envs/live"), "--dry-run=server")
	for _, want := range []string{"Secret legacy/sealed belongs to SealedSecret sealed", "Secret legacy/fetched belongs to ExternalSecret fetched"} {
		if !strings.Contains(out, want) {
			t.Errorf("apply does not say %q\n%s", want, out)
		}
	}
	dir = t.TempDir()
	run = importing(t, c, dir, values)
	plain := []string{"text", "binary", "basic", "ssh", "tls", "pull", "pull-old", "custom", "fixed", "json", "many", "large"}
	run(0, append([]string{"import", "cluster", "-n", namespace, "--into", "envs/live"}, plain...)...)
	out = run(0, "apply", filepath.Join(dir, "envs/live"), "--dry-run=server")
	takenOver := func(out string) {
		t.Helper()
		for _, name := range plain {
			if want := "  unchanged legacy/" + name + " (it becomes the contract's, by app.kubernetes.io/managed-by, app.kubernetes.io/part-of and victorgen"; !strings.Contains(out, want) {
				t.Errorf("apply does not say %q\n%s", want, out)
			}
		}
		if strings.Contains(out, "created") || strings.Contains(out, "  changed ") || strings.Contains(out, "    changed: ") || strings.Count(out, "    unchanged: ") != len(plain) {
			t.Errorf("something would change\n%s", out)
		}
	}
	takenOver(out)
	after, err := secrets.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(dataOf(before), dataOf(after)) {
		t.Errorf("a dry run has changed something")
	}
	// Once they are taken over, nothing is left to change, and they are what they were.
	takenOver(run(0, "apply", filepath.Join(dir, "envs/live")))
	out = run(0, "apply", filepath.Join(dir, "envs/live"), "--dry-run=server")
	for _, name := range plain {
		if !strings.Contains(out, "  unchanged legacy/"+name+"\n") {
			t.Errorf("apply does not say that %s is unchanged\n%s", name, out)
		}
	}
	if after, err = secrets.List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(dataOf(before), dataOf(after)) {
		t.Errorf("apply has changed a Secret")
	}
	run(0, "verify", filepath.Join(dir, "envs/live"), "--direct")

	// Sealed, they come out of the controller as they were.
	if err := os.WriteFile(filepath.Join(dir, "envs/live/sealing-cert.pem"), c.certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "build", filepath.Join(dir, "envs/live"))
	for _, name := range plain {
		if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.apply(t, kustomized(t, filepath.Join(dir, "deploy/live")))
	for _, was := range before.Items {
		if !slices.Contains(plain, was.Name) {
			continue
		}
		var is *corev1.Secret
		await(t, "the Secret of "+was.Name, func() (err error) {
			is, err = secrets.Get(t.Context(), was.Name, metav1.GetOptions{})
			return err
		})
		if is.UID == was.UID || is.Type != was.Type || !cmp.Equal(texts(is), texts(&was)) || (was.Immutable != nil) != (is.Immutable != nil) {
			t.Errorf("Secret %s is another when it was sealed", was.Name)
		}
		for field, pair := range map[string][2]map[string]string{"label": {was.Labels, is.Labels}, "annotation": {was.Annotations, is.Annotations}} {
			for k, v := range pair[0] {
				if pair[1][k] != v {
					t.Errorf("Secret %s has lost its %s %s", was.Name, field, k)
				}
			}
		}
	}

	// Of a SealedSecret in Git no one can tell the values but the controller, and who may
	// read what that has made of it.
	dir = t.TempDir()
	run = importing(t, c, dir, values)
	if err := os.WriteFile(filepath.Join(dir, "sealed.yaml"), sealed, 0o644); err != nil {
		t.Fatal(err)
	}
	if out = run(0, "import", "manifests", "sealed.yaml", "--from-cluster", "--into", "envs/live"); !strings.Contains(out, "proved: 2 keys equal to what was read, 0 unknown, 0 not") {
		t.Errorf("import --from-cluster says\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(dir, "envs/live/sealing-cert.pem"), c.certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "build", filepath.Join(dir, "envs/live"))
	was, err := secrets.Get(t.Context(), "sealed", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old := objects(t, string(sealed))[0]
	if err := errors.Join(c.resource(t, old).Delete(t.Context(), old.GetName(), metav1.DeleteOptions{}), secrets.Delete(t.Context(), "sealed", metav1.DeleteOptions{})); err != nil {
		t.Fatal(err)
	}
	c.apply(t, kustomized(t, filepath.Join(dir, "deploy/live")))
	await(t, "the Secret that is sealed anew", func() error {
		is, err := secrets.Get(t.Context(), "sealed", metav1.GetOptions{})
		if err == nil && (is.UID == was.UID || is.Type != was.Type || !cmp.Equal(texts(is), texts(was))) {
			err = errors.New("it is another, or still the old one")
		}
		return err
	})
}

// dataOf is what Secrets hold, by name, with what tells that they are the same objects.
func dataOf(list *corev1.SecretList) map[string][]string {
	all := map[string][]string{}
	for _, s := range list.Items {
		all[s.Name] = append(all[s.Name], string(s.UID), string(s.Type))
		for k, v := range texts(&s) {
			all[s.Name] = append(all[s.Name], k+"="+v)
		}
		slices.Sort(all[s.Name])
	}
	return all
}

// seal lets kubeseal seal a Secret, applies it, and waits for the controller. It returns
// the manifest.
func seal(t *testing.T, c *cluster, namespace, name string, data map[string]string, values map[string]bool) []byte {
	t.Helper()
	s := corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, StringData: data}
	for _, v := range data {
		values[v] = true
	}
	manifest, err := yaml.Marshal(s)
	cert := filepath.Join(t.TempDir(), "cert.pem")
	if err := errors.Join(err, os.WriteFile(cert, c.certificate, 0o644)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(goProgram(t, "github.com/bitnami-labs/sealed-secrets/cmd/kubeseal", sealedSecretsVersion), "--cert", cert, "--format", "yaml")
	cmd.Stdin = bytes.NewReader(manifest)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	c.apply(t, objects(t, string(out)))
	await(t, "the Secret of "+name, func() error {
		_, err := c.core.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
		return err
	})
	return out
}

// pair is a certificate with its key, in PEM.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{"shop.test.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func sshKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// testImportExternal: a tree of ExternalSecrets that someone wrote is imported, built and
// applied over the old one. No Secret is another then, nor has other data, at any moment.
func testImportExternal(t *testing.T, c *cluster) {
	const namespace = "fetched"
	c.namespace(t, namespace)
	client, manager := ssm.NewFromConfig(awsConfig(t)), secretsmanager.NewFromConfig(awsConfig(t))
	values := map[string]bool{"db-92kd83jf02lsqm": true, "smtp-83jf92kd01lsqn": true}
	if _, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/fetched/db-password"), Value: aws.String("db-92kd83jf02lsqm"), Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("fetched/smtp"), SecretString: aws.String(`{"user":"mailer","password":"smtp-83jf92kd01lsqn"}`)}); err != nil {
		t.Fatal(err)
	}
	const tree = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: parameters, namespace: fetched}
spec: {provider: {aws: {service: ParameterStore, region: us-east-1}}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: manager, namespace: fetched}
spec: {provider: {aws: {service: SecretsManager, region: us-east-1}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: fetched}
spec:
  refreshInterval: 1m0s
  secretStoreRef: {name: parameters, kind: SecretStore}
  target:
    name: db
    template:
      engineVersion: v2
      data: {DATABASE_URL: "postgresql://shop:{{ .password }}@db:5432/shop", PASSWORD: "{{ .password }}"}
  data: [{secretKey: password, remoteRef: {key: /fetched/db-password}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: smtp, namespace: fetched}
spec:
  refreshInterval: 1m0s
  secretStoreRef: {name: manager, kind: SecretStore}
  target: {name: smtp}
  data:
  - {secretKey: SMTP_USER, remoteRef: {key: fetched/smtp, property: user}}
  - {secretKey: SMTP_PASSWORD, remoteRef: {key: fetched/smtp, property: password}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: extracted, namespace: fetched}
spec:
  refreshInterval: 1m0s
  secretStoreRef: {name: manager, kind: SecretStore}
  target: {name: extracted}
  dataFrom:
  - extract: {key: fetched/smtp}
  - extract: {key: fetched/smtp}
    rewrite: [{regexp: {source: "^", target: "mail."}}]
`
	old := objects(t, tree)
	c.apply(t, old)
	for _, o := range old {
		c.condition(t, o, "Ready")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tree.yaml"), []byte(tree), 0o644); err != nil {
		t.Fatal(err)
	}
	run := importing(t, c, dir, values)
	run(1, "import", "manifests", "tree.yaml", "--into", "envs/live") // no one says what there is to extract
	run(0, "import", "manifests", "tree.yaml", "--into", "envs/live", "--ask-sources")
	run(0, "build", filepath.Join(dir, "envs/live"))

	secrets := c.core.CoreV1().Secrets(namespace)
	before, err := secrets.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(before.Items) != 3 {
		t.Fatalf("there are %d Secrets", len(before.Items))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch, err := secrets.Watch(ctx, metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	made := kustomized(t, filepath.Join(dir, "deploy", "live"))
	c.apply(t, made)
	for _, o := range made {
		if o.GetKind() == "ExternalSecret" {
			c.condition(t, o, "Ready")
		}
	}
	time.Sleep(3 * time.Second) // for what may come late
	watch.Stop()
	same := dataOf(before)
	for event := range watch.ResultChan() {
		s, ok := event.Object.(*corev1.Secret)
		if !ok || event.Type == "DELETED" {
			t.Errorf("%s of %T", event.Type, event.Object)
			continue
		}
		if got := dataOf(&corev1.SecretList{Items: []corev1.Secret{*s}}); !cmp.Equal(got[s.Name], same[s.Name]) {
			t.Errorf("Secret %s was another for a moment", s.Name)
		}
	}
	after, err := secrets.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range after.Items {
		if s.Labels["app.kubernetes.io/managed-by"] != "victorgen" {
			t.Errorf("Secret %s is not of the new tree: %v", s.Name, s.Labels)
		}
		if got := dataOf(&corev1.SecretList{Items: []corev1.Secret{s}}); !cmp.Equal(got[s.Name], same[s.Name]) {
			t.Errorf("Secret %s is another", s.Name)
		}
	}
}
