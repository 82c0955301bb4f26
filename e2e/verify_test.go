package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const verifyContract = `package shop

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

environment: "production"
namespace:   "verify"
sources: default: file: ".secrets"
delivery: {
	kind: "sealed", certificate: "cert.pem", scope: "strict"
	controller: {name: "controller", namespace: "sealed-secrets"}
}
access: readers: [{kind: "ServiceAccount", name: "ci"}]

inputs: {
	TOKEN:    schema.#Required & {pattern: "^tok-"}
	KEY:      schema.#Required & {encoding: "base64", minLength: 8}
	PASSWORD: schema.#Generated & {generate: {kind: "password", length: 32}, maxAge: "2160h"}
	HASH:     schema.#Generated & {generate: {kind: "bcrypt", of: "PASSWORD", cost: 4}}
	DSN:      schema.#Optional
}

secrets: app: {
	labels: team: "shop"
	keys: {
		token: input: "TOKEN"
		key:   input: "KEY"
		dsn:   input: "DSN"
		hash:  input: "HASH"
		url:   template: "postgres://shop:{{.PASSWORD | urlquery}}@db/shop"
	}
}
secrets: db: {
	type: "kubernetes.io/basic-auth"
	keys: {username: value: "shop", password: input: "PASSWORD"}
}
`

// testVerify: a tree is applied, the controller unseals it, and verify finds
// nothing wrong. Then one thing after another is broken, as people break things;
// each time verify says what, and all is well again when it is repaired.
func testVerify(t *testing.T, c *cluster) {
	const namespace, token = "verify", "tok-c4nary-9d8f7g6h5j"
	c.namespace(t, namespace)
	dir := t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("cue.mod/module.cue", []byte("module: \"shop.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n"))
	write("env.cue", []byte(verifyContract))
	write("cert.pem", c.certificate)
	write(".secrets", []byte("TOKEN="+token+"\nKEY="+base64.StdEncoding.EncodeToString([]byte("\x00c4nary\xff"))+"\n"))
	admin := c.kubeconfig(t, c.admin.BearerToken)

	secrets := c.core.CoreV1().Secrets(namespace)
	get := func(name string) *corev1.Secret {
		t.Helper()
		secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	tree := func() map[string]*unstructured.Unstructured { // the SealedSecrets, by name
		sealed := map[string]*unstructured.Unstructured{}
		for _, o := range kustomized(t, filepath.Join(dir, "deploy", "production")) {
			if o.GetKind() == "SealedSecret" {
				sealed[o.GetName()] = o
			}
		}
		return sealed
	}
	deploy := func() {
		t.Helper()
		certificate, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(certificate)
		if out, errs, code := victorgen(t, dir, nil, "build", ".", "--accept-certificate", fmt.Sprintf("%x", sha256.Sum256(block.Bytes))); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		c.apply(t, kustomized(t, filepath.Join(dir, "deploy", "production")))
	}
	var hidden []string
	verify := func(kubeconfig string, args ...string) (stdout, stderr string, code int) {
		t.Helper()
		stdout, stderr, code = victorgen(t, dir, []string{"KUBECONFIG=" + kubeconfig}, append([]string{"verify", "."}, args...)...)
		for _, v := range hidden {
			for _, form := range []string{v, base64.StdEncoding.EncodeToString([]byte(v))} {
				if strings.Contains(stdout+stderr, form) {
					t.Errorf("it shows a value:\n%s%s", stdout, stderr)
				}
			}
		}
		return stdout, stderr, code
	}
	// green waits until nothing is wrong: the controller takes a moment.
	green := func(what string) {
		t.Helper()
		await(t, what, func() error {
			if stdout, stderr, code := verify(admin); code != 0 {
				return errors.New(stdout + stderr)
			}
			return nil
		})
	}
	// red waits until these are wrong, and nothing else.
	red := func(t *testing.T, wants ...string) {
		t.Helper()
		await(t, strings.Join(wants, ", "), func() error {
			stdout, stderr, code := verify(admin)
			for _, want := range wants {
				if code != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "error VG") != len(wants) {
					return errors.New(stdout + stderr)
				}
			}
			return nil
		})
	}
	// remade makes the Secret of a SealedSecret again, in the way that verify hints
	// at. No one collects garbage here: so it does, and tries again if the
	// controller has made a Secret of the old one meanwhile.
	remade := func(name string) {
		t.Helper()
		o := tree()[name]
		sealed := c.resource(t, o)
		await(t, name+", made anew", func() error {
			sealed.Delete(t.Context(), name, metav1.DeleteOptions{})
			secrets.Delete(t.Context(), name, metav1.DeleteOptions{})
			uid := c.apply(t, []*unstructured.Unstructured{o})[0].GetUID()
			var err error
			for range 20 {
				var secret *corev1.Secret
				secret, err = secrets.Get(t.Context(), name, metav1.GetOptions{})
				if err == nil && len(secret.OwnerReferences) == 1 && secret.OwnerReferences[0].UID == uid {
					return nil
				}
				time.Sleep(100 * time.Millisecond)
			}
			return fmt.Errorf("it is not the controller's: %v", err)
		})
	}
	patch := func(name, key, v string) {
		t.Helper()
		data, err := json.Marshal(map[string]any{"data": map[string][]byte{key: []byte(v)}})
		if v == "" {
			data, err = []byte(`{"data": {"`+key+`": null}}`), nil
		}
		if err == nil {
			_, err = secrets.Patch(t.Context(), name, types.MergePatchType, data, metav1.PatchOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	red(t, "error VG5101: secret verify/app in e2e does not exist: its SealedSecret does not exist", "error VG5101: secret verify/db")
	deploy()
	green("the tree")
	for _, v := range get("db").Data {
		if string(v) != "shop" {
			hidden = append(hidden, string(v))
		}
	}
	for _, v := range get("app").Data {
		hidden = append(hidden, string(v))
	}

	app, db := get("app").ResourceVersion, get("db").ResourceVersion
	stdout, stderr, code := verify(admin, "--detailed")
	for _, want := range []string{
		"production: ok in e2e (2 secrets: 2 ok)", "verify/db: ok, kubernetes.io/basic-auth, SealedSecret delivered",
		"owner SealedSecret/db", "password  present  32     0m   PASSWORD", "dsn    absent", "key    present  8 ",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, and no %q in\n%s%s", code, want, stdout, stderr)
		}
	}
	// The API server reaches no controller on this machine, and says so.
	if !strings.Contains(stderr, "warning VG5112: whether the certificate is the newest of controller sealed-secrets/controller in e2e is not known: cluster e2e has no Service") {
		t.Errorf("of the certificate it says\n%s", stderr)
	}
	if get("app").ResourceVersion != app || get("db").ResourceVersion != db {
		t.Error("verify has changed a Secret")
	}

	t.Run("a Secret is deleted", func(t *testing.T) {
		// The controller makes its own again at once.
		disown := []byte(`{"metadata": {"ownerReferences": null}}`)
		if _, err := secrets.Patch(t.Context(), "db", types.MergePatchType, disown, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := secrets.Delete(t.Context(), "db", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		red(t, "error VG5101: secret verify/db in e2e does not exist, though its SealedSecret is ready: it was deleted")
	})
	remade("db")
	green("db, made anew")

	t.Run("a key is added", func(t *testing.T) {
		patch("app", "extra", token)
		red(t, `error VG5103: secret verify/app in e2e has a key that the contract does not declare`)
		patch("app", "extra", "")
	})
	green("app without the key")

	t.Run("a key is removed", func(t *testing.T) {
		patch("app", "url", "")
		red(t, `error VG5102: key "url" of secret verify/app in e2e is missing`)
	})
	remade("app")
	green("app with the key")

	t.Run("a value is put by hand", func(t *testing.T) {
		patch("db", "password", "hunter2")
		red(t, `error VG2005: PASSWORD is weak: about 3 bits of strength, 60 are needed (key "password" of secret verify/db in e2e)`,
			`error VG2025: HASH (key "hash" of secret verify/app in e2e, with PASSWORD of secret verify/db) does not fit PASSWORD`)
	})
	remade("db")
	green("db with its own value")

	t.Run("the type is another", func(t *testing.T) {
		secret := get("db")
		if err := secrets.Delete(t.Context(), "db", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db", Labels: secret.Labels}, Data: secret.Data}
		if _, err := secrets.Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		red(t, "error VG5105: secret verify/db in e2e is of type Opaque, not kubernetes.io/basic-auth",
			`error VG5107: SealedSecret verify/db in e2e is not synced: the Secret already exists and is not managed by SealedSecret`)
	})
	remade("db")
	green("db with its own type")

	t.Run("another certificate", func(t *testing.T) {
		other, err := os.ReadFile("../fixtures/certificates/good.pem")
		if err != nil {
			t.Fatal(err)
		}
		write("cert.pem", other)
		deploy()
		red(t, "error VG5107: SealedSecret verify/app in e2e is not synced: no key could decrypt secret",
			"error VG5107: SealedSecret verify/db in e2e is not synced: no key could decrypt secret")
	})
	write("cert.pem", c.certificate)
	deploy()
	green("sealed for the right certificate")

	t.Run("another scope", func(t *testing.T) {
		o := tree()["db"]
		o.SetAnnotations(map[string]string{"sealedsecrets.bitnami.com/cluster-wide": "true"})
		template, _, err := unstructured.NestedMap(o.Object, "spec", "template", "metadata")
		if err != nil {
			t.Fatal(err)
		}
		template["annotations"] = map[string]any{"sealedsecrets.bitnami.com/cluster-wide": "true"}
		if err := unstructured.SetNestedMap(o.Object, template, "spec", "template", "metadata"); err != nil {
			t.Fatal(err)
		}
		c.apply(t, []*unstructured.Unstructured{o})
		red(t, "error VG5110: SealedSecret verify/db in e2e is of scope cluster-wide, not strict",
			"error VG5107: SealedSecret verify/db in e2e is not synced: no key could decrypt secret")
	})
	remade("db")
	green("sealed for the right scope")

	t.Run("renamed", func(t *testing.T) { // as namePrefix of a kustomization does it
		write("env.cue", []byte(verifyContract+"secrets: db: name: \"eu-db\"\n"))
		o := tree()["db"]
		o.SetName("eu-db")
		c.apply(t, []*unstructured.Unstructured{o})
		red(t, "error VG5101: secret verify/eu-db in e2e does not exist: its SealedSecret is not synced: no key could decrypt secret")
	})
	write("env.cue", []byte(verifyContract))
	green("named as it was")

	t.Run("who may do little", func(t *testing.T) {
		kubeconfig := func(account string) string {
			t.Helper()
			accounts := c.core.CoreV1().ServiceAccounts(namespace)
			if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			request, err := accounts.CreateToken(t.Context(), account, new(authenticationv1.TokenRequest), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return c.kubeconfig(t, request.Status.Token)
		}
		for _, test := range []struct {
			account string
			code    int
			stdout  string
			stderr  []string
		}{
			{"ci", 0, "production: ok in e2e (2 secrets: 2 ok)", []string{
				"warning VG5001: not allowed in cluster e2e: to get sealedsecrets.bitnami.com app and db in namespace verify",
				"warning VG5112: whether the certificate is the newest of controller sealed-secrets/controller in e2e is not known: you may not get service controller in namespace sealed-secrets",
				"\n2 warnings\n",
			}},
			{"nobody", 3, "production: not ok in e2e (2 secrets: 2 unknown)", []string{
				"error VG5001: not allowed in cluster e2e: to get secrets app and db in namespace verify", "\n1 error, 2 warnings\n",
			}},
		} {
			stdout, stderr, code := verify(kubeconfig(test.account))
			for _, want := range test.stderr {
				if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, want) {
					t.Errorf("%s: exit %d, and no %q in\n%s%s", test.account, code, want, stdout, stderr)
				}
			}
		}
		if _, stderr, code := verify(c.kubeconfig(t, "no-token")); code != 3 || !strings.HasPrefix(stderr, "error VG5001: cannot read cluster e2e: not authenticated (401 Unauthorized)") || strings.Count(stderr, "VG") != 1 {
			t.Errorf("without a token: exit %d\n%s", code, stderr)
		}
	})
}
