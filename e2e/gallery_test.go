package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/env"
)

const (
	pyJWTVersion        = "2.15.1"
	cryptographyVersion = "50.0.2"
	bcryptVersion       = "5.0.0"
)

// galleryApps are the applications of the gallery, by the environment.
var galleryApps = map[string]struct {
	given  string // what someone has to provide, as a dotenv file
	rotate string // a parent of much
	check  func(g *galleryApp)
}{
	"airflow": {
		given:  "WAREHOUSE_PASSWORD='Quartz7 lantern/Brine:@%'\nLAKE_ACCESS_KEY_ID=AKIAQ3EGZ7TJWX2R5M4N\nLAKE_SECRET_ACCESS_KEY=k7Vt2pQx/9RbZ+Lm4Yc8Wn1Hs6Df3Gj5TaEu0oX\n",
		rotate: "DB_PASSWORD",
	},
	"argocd": {rotate: "ADMIN_PASSWORD", check: func(g *galleryApp) {
		file := g.file("admin", "admin:"+g.secrets["argocd-secret"]["admin.password"]+"\n")
		g.run(g.inputs["ADMIN_PASSWORD"], "htpasswd", "-vi", file, "admin")
		g.fails("another password", "htpasswd", "-vi", file, "admin")
		g.pair("argocd-server-tls")
		g.says("does match certificate", "", "openssl", "x509", "-noout", "-checkhost", "argocd-server.argocd.svc", "-in", g.key("argocd-server-tls", "tls.crt"))

		public := g.run("", "ssh-keygen", "-y", "-f", g.key("repo-deployments", "sshPrivateKey"))
		if strings.TrimSpace(public) != g.secrets["repo-deployments"]["sshPublicKey"] {
			g.t.Error("ssh-keygen makes another public key of the deploy key")
		}
		g.says("(ED25519)", "", "ssh-keygen", "-l", "-f", g.key("repo-deployments", "sshPublicKey"))
	}},
	"kafka": {rotate: "CA_KEY", check: func(g *galleryApp) {
		ca := g.file("ca.pem", g.inputs["CA_CERT"])
		keystore := g.key("kafka-broker", "keystore.p12")
		// What Java is, Kafka finds.
		g.says("PrivateKeyEntry", g.inputs["KEYSTORE_PASSWORD"]+"\n", "keytool", "-list", "-storetype", "PKCS12", "-keystore", keystore)
		g.says("Certificate chain length: 2", g.inputs["KEYSTORE_PASSWORD"]+"\n", "keytool", "-list", "-v", "-storetype", "PKCS12", "-keystore", keystore)
		g.says("ca, ", g.inputs["TRUSTSTORE_PASSWORD"]+"\n", "keytool", "-list", "-storetype", "PKCS12", "-keystore", g.key("kafka-broker", "truststore.p12"))
		client := g.key("kafka-client", "client.jks")
		g.says("orders, ", g.inputs["ORDERS_PASSWORD"]+"\n", "keytool", "-list", "-storetype", "JKS", "-keystore", client)
		g.says("trustedCertEntry", g.inputs["ORDERS_PASSWORD"]+"\n", "keytool", "-list", "-storetype", "JKS", "-keystore", client)
		g.fails("another-password\n", "keytool", "-list", "-storetype", "JKS", "-keystore", client)
		// Java reads the key itself, too.
		both := filepath.Join(g.t.TempDir(), "client.p12")
		g.run(strings.Repeat(g.inputs["ORDERS_PASSWORD"]+"\n", 3), "keytool", "-importkeystore", "-srckeystore", client, "-srcstoretype", "JKS", "-destkeystore", both, "-deststoretype", "PKCS12", "-srcalias", "orders")

		for file, password := range map[string]string{keystore: "KEYSTORE_PASSWORD", both: "ORDERS_PASSWORD"} {
			pem := g.run(g.inputs[password]+"\n", "openssl", "pkcs12", "-in", file, "-passin", "stdin", "-nodes")
			leaf := g.file("leaf.pem", pem)
			purpose := "sslclient"
			if file == keystore {
				g.says("does match certificate", "", "openssl", "x509", "-noout", "-checkhost", "kafka-0.kafka-headless.kafka.svc.cluster.local", "-in", leaf)
				g.run("", "openssl", "verify", "-CAfile", ca, "-purpose", "sslserver", leaf)
			}
			g.run("", "openssl", "verify", "-CAfile", ca, "-purpose", purpose, leaf)
			if g.run("", "openssl", "x509", "-noout", "-pubkey", "-in", leaf) != g.run("", "openssl", "pkey", "-pubout", "-in", leaf) {
				g.t.Errorf("the key in %s is not that of its certificate", filepath.Base(file))
			}
		}
	}},
	"mastodon": {rotate: "VAPID_PRIVATE_KEY"},
	"postgres": {rotate: "CA_KEY", check: func(g *galleryApp) {
		ca := g.key("app-database", "ca.crt")
		g.pair("postgres-tls")
		g.pair("postgres-replication")
		g.run("", "openssl", "verify", "-CAfile", ca, "-purpose", "sslserver", "-verify_hostname", "postgres.postgres.svc", g.key("postgres-tls", "tls.crt"))
		g.run("", "openssl", "verify", "-CAfile", ca, "-purpose", "sslclient", g.key("postgres-replication", "tls.crt"))
		g.fails("", "openssl", "verify", "-CAfile", ca, "-purpose", "sslserver", g.key("postgres-replication", "tls.crt"))
		g.says("CN = replication", "", "openssl", "x509", "-noout", "-subject", "-in", g.key("postgres-replication", "tls.crt"))
	}},
	"registry": {rotate: "PULL_PASSWORD", check: func(g *galleryApp) {
		file := g.key("registry", "htpasswd")
		g.run(g.inputs["PULL_PASSWORD"], "htpasswd", "-vi", file, "pull")
		g.run(g.inputs["PUSH_PASSWORD"], "htpasswd", "-vi", file, "push")
		g.fails(g.inputs["PUSH_PASSWORD"], "htpasswd", "-vi", file, "pull")
	}},
	"supabase": {rotate: "JWT_SECRET"},
}

// programs are what the gallery is checked with, and the packages of Debian that
// have them.
var galleryPrograms = map[string]string{
	"htpasswd": "apache2-utils", "openssl": "openssl", "ssh-keygen": "openssh-client", "keytool": "default-jre-headless",
}

// galleryApp is an application as it is built.
type galleryApp struct {
	t       *testing.T
	inputs  map[string]string
	secrets map[string]map[string]string
}

// TestGallery builds each application of the gallery, has kubeseal unseal it, and
// has programs that others wrote say what the values are; and once more after a
// parent has been rotated.
func TestGallery(t *testing.T) {
	t.Parallel()
	for program, pkg := range galleryPrograms {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not on the PATH: it is in Debian's package %s", program, pkg)
		}
	}
	python := filepath.Join(pythonPrograms(t, "PyJWT", pyJWTVersion, "cryptography=="+cryptographyVersion, "bcrypt=="+bcryptVersion), "python3")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/gallery")); err != nil {
		t.Fatal(err)
	}
	// What someone may have built there.
	if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "envs", "*"))
	if err != nil || len(found) != len(galleryApps) {
		t.Errorf("the gallery has %d applications, and %d are tried: %v", len(found), len(galleryApps), err)
	}
	for _, name := range slices.Sorted(maps.Keys(galleryApps)) {
		app := galleryApps[name]
		t.Run(name, func(t *testing.T) {
			secretsFile := filepath.Join(dir, ".secrets."+name)
			if err := os.WriteFile(secretsFile, []byte(app.given), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) {
				t.Helper()
				if stdout, stderr, code := victorgen(t, dir, nil, args...); code != 0 {
					t.Fatalf("victorgen %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
				}
			}
			check := func() {
				t.Helper()
				run("build", "envs/"+name)
				g := &galleryApp{t, galleryInputs(t, secretsFile), map[string]map[string]string{}}
				binary := unsealed(t, filepath.Join(dir, "deploy", name)) // which JSON has in base64
				for secret, data := range binary {
					g.secrets[secret] = map[string]string{}
					for key, v := range data {
						g.secrets[secret][key] = string(v)
					}
				}
				if app.check != nil {
					app.check(g)
				}
				input, err := json.Marshal(map[string]any{"app": name, "inputs": g.inputs, "secrets": binary})
				if err != nil {
					t.Fatal(err)
				}
				g.run(string(input), python, "testdata/gallery/check.py")
			}
			check()
			run("build", "--check", "envs/"+name)
			run("rotate", "envs/"+name, app.rotate)
			check()
			run("verify", "--source", "envs/"+name)
		})
	}
}

// unsealed is what the Secrets of a tree hold that is sealed for the demo's key,
// by their names: kubeseal unseals them.
func unsealed(t *testing.T, tree string) map[string]map[string][]byte {
	t.Helper()
	kubeseal := goProgram(t, "github.com/bitnami-labs/sealed-secrets/cmd/kubeseal", sealedSecretsVersion)
	private, err := filepath.Abs("../fixtures/demo-sealing-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(tree, "secrets", "*.yaml"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no secrets in the tree: %v", err)
	}
	secrets := map[string]map[string][]byte{}
	for _, m := range manifests {
		sealed, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := program(string(sealed), kubeseal, "--recovery-unseal", "--recovery-private-key", private, "-o", "json")
		if err != nil {
			t.Fatalf("kubeseal: %v\n%s", err, out)
		}
		var s corev1.Secret
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal("kubeseal prints no Secret")
		}
		secrets[s.Name] = s.Data
	}
	return secrets
}

// galleryInputs are the values in a dotenv file.
func galleryInputs(t *testing.T, file string) map[string]string {
	t.Helper()
	s := env.New(plan.Source{File: file}, nothing)
	listed, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, l := range listed {
		values[l.Name] = string(s.Read(t.Context(), []source.Ref{{Input: l.Name}})[0].Value.Reveal())
	}
	return values
}

// file writes a file that no one else may read, as ssh-keygen wants it.
func (g *galleryApp) file(name, content string) string {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// key writes a key of a secret to a file.
func (g *galleryApp) key(secret, key string) string {
	g.t.Helper()
	content, ok := g.secrets[secret][key]
	if !ok {
		g.t.Fatalf("there is no key %s in secret %s", key, secret)
	}
	return g.file(key, content)
}

// run runs a program, and returns what it prints to stdout. Values go in by
// stdin, for others see arguments.
func (g *galleryApp) run(stdin, name string, args ...string) string {
	g.t.Helper()
	out, err := program(stdin, name, args...)
	if err != nil {
		g.t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs a program that must not succeed.
func (g *galleryApp) fails(stdin, name string, args ...string) {
	g.t.Helper()
	if _, err := program(stdin, name, args...); err == nil {
		g.t.Errorf("%s %s succeeds", name, strings.Join(args, " "))
	}
}

// says runs a program that must print some text.
func (g *galleryApp) says(text, stdin, name string, args ...string) {
	g.t.Helper()
	if out := g.run(stdin, name, args...); !strings.Contains(out, text) {
		g.t.Errorf("%s %s does not say %q:\n%s", name, strings.Join(args, " "), text, out)
	}
}

func program(stdin, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if err := cmd.Run(); err != nil {
		return errs.String(), err // stdout may hold values
	}
	return out.String(), nil
}

// pair checks with openssl that tls.key of a secret is the key of tls.crt.
func (g *galleryApp) pair(secret string) {
	g.t.Helper()
	if g.run("", "openssl", "x509", "-noout", "-pubkey", "-in", g.key(secret, "tls.crt")) != g.run("", "openssl", "pkey", "-pubout", "-in", g.key(secret, "tls.key")) {
		g.t.Errorf("tls.key of %s is not the key of tls.crt", secret)
	}
}
