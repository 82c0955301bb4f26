package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/bitnami-labs/sealed-secrets/pkg/crypto"
	"github.com/bitnami-labs/sealed-secrets/pkg/kubeseal"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/fixtures"
)

const example = "../../examples/victor"

// valuesOf are the fixtures with the values of the example's environments that are
// sealed.
var valuesOf = map[string]string{
	"dev": "dev.env", "staging": "staging.env",
	"production": "production.env", "production-aws": "production.env", "production-azure": "production.env",
}

// sealedEnvironments are their directories, in envs.
func sealedEnvironments(envs string) (dirs []string) {
	for _, env := range slices.Sorted(maps.Keys(valuesOf)) {
		dirs = append(dirs, envs+"/"+env)
	}
	return dirs
}

// writeValues writes their dotenv files, in dir.
func writeValues(t testing.TB, dir string) {
	t.Helper()
	for env, file := range valuesOf {
		b, err := os.ReadFile("../../fixtures/victor/" + file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, ".secrets."+env), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copyExample copies the example, its committed trees included, and the fake
// values that these were made from.
func copyExample(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	writeValues(t, dir)
	return dir
}

// files returns all files below dir.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		m[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// victorgen runs the command in process.
func victorgen(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	if err := conforms(args, out.Bytes()); err != nil {
		t.Error(err)
	}
	return code, out.String(), errs.String()
}

// TestExampleIsCommitted: a build of the example changes nothing of the
// committed trees. VICTORGEN_UPDATE=1 commits what it does change.
func TestExampleIsCommitted(t *testing.T) {
	dir := copyExample(t)
	before := filesOf(t, filepath.Join(dir, "deploy"))
	// The variants at a cloud are built from the dotenv file of production, and
	// what is external from nothing.
	if code, _, stderr := victorgen(t, append([]string{"build", "--source", "env"}, sealedEnvironments(dir+"/envs")...)...); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := victorgen(t, "build", "--offline", dir+"/envs/production-external"); code != 0 {
		t.Fatal(stderr)
	}
	after := filesOf(t, filepath.Join(dir, "deploy"))
	if os.Getenv("VICTORGEN_UPDATE") != "" {
		if err := os.RemoveAll(filepath.Join(example, "deploy")); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(example, "deploy"), os.DirFS(filepath.Join(dir, "deploy"))); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("examples/victor/deploy is not what a build writes (-committed +built):\n%s", diff)
	}
	if code, stdout, stderr := victorgen(t, "build", dir+"/envs/...", "--offline", "--check"); code != 0 || strings.Count(stdout, "unchanged") != 6 {
		t.Errorf("offline check: exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestExampleHasAllowLists: the example has the files for scanners that init writes.
func TestExampleHasAllowLists(t *testing.T) {
	dir := t.TempDir()
	if code, _, stderr := victorgen(t, "init", dir); code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range []string{".gitleaks.toml", ".detect-secrets.baseline"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(example, name)
		if os.Getenv("VICTORGEN_UPDATE") != "" {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what init writes (%v)", file, err)
		}
	}
}

// unseal returns the Secrets of a tree, by name, as upstream's own code unseals
// them: the controller's, and that of kubeseal --recovery-unseal.
func unseal(t *testing.T, tree string) map[string]map[string]string {
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
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(keyFile, pkcs1, 0o600); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(tree, "secrets", "*.yaml"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no secrets in %s", tree)
	}
	secrets := map[string]map[string]string{}
	for _, m := range manifests {
		b, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		var sealed v1alpha1.SealedSecret
		if err := yaml.UnmarshalStrict(b, &sealed); err != nil {
			t.Fatal(m, err)
		}
		secret, err := sealed.Unseal(scheme.Codecs, map[string]*rsa.PrivateKey{fingerprint: key})
		if err != nil {
			t.Fatalf("%s does not unseal: %v", m, err)
		}
		var recovered bytes.Buffer
		if err := kubeseal.UnsealSealedSecret(&recovered, bytes.NewReader(b), []string{keyFile}, "json", scheme.Codecs); err != nil {
			t.Fatalf("kubeseal --recovery-unseal of %s: %v", m, err)
		}
		var again corev1.Secret
		if err := json.Unmarshal(recovered.Bytes(), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(secret.Data, again.Data); diff != "" {
			t.Errorf("%s: the controller's code and kubeseal's do not agree", m)
		}
		data := map[string]string{}
		for k, v := range secret.Data {
			data[k] = string(v)
		}
		secrets[secret.Name] = data
	}
	return secrets
}

// TestExampleUnseals: what is sealed in the committed trees of the example is
// what its inputs say, value for value and nothing else.
func TestExampleUnseals(t *testing.T) {
	for env, host := range map[string]string{"production": "victor-postgres", "staging": "victor-postgres", "dev": "localhost"} {
		t.Run(env, func(t *testing.T) {
			in := dotenv(t, "../../fixtures/victor/"+env+".env")
			got := unseal(t, filepath.Join(example, "deploy", env))

			db, err := url.Parse(got["victor-ai-secrets"]["database-url"])
			if err != nil {
				t.Fatal("database-url does not parse")
			}
			if p, _ := db.User.Password(); p != in["DB_PASSWORD"] || db.User.Username() != "victor" || db.Host != host+":5432" || db.Path != "/victor" {
				t.Error("database-url is wrong")
			}
			redis, err := url.Parse(got["victor-ai-secrets"]["redis-url"])
			if err != nil {
				t.Fatal("redis-url does not parse")
			}
			if p, set := redis.User.Password(); p != in["REDIS_PASSWORD"] || set != (in["REDIS_PASSWORD"] != "") {
				t.Error("redis-url has not the password")
			}
			delete(got["victor-ai-secrets"], "database-url")
			delete(got["victor-ai-secrets"], "redis-url")

			want := map[string]map[string]string{
				"victor-ai-secrets":   {"encryption-key": in["ENCRYPTION_KEY"], "jwt-secret": in["JWT_SECRET"]},
				"grafana-credentials": {"admin-user": "admin", "admin-password": in["GRAFANA_ADMIN_PASSWORD"]},
			}
			place := func(secret, name string) {
				if in[name] == "" {
					return
				}
				if want[secret] == nil {
					want[secret] = map[string]string{}
				}
				want[secret][strings.ReplaceAll(strings.ToLower(name), "_", "-")] = in[name]
			}
			for name := range in {
				switch {
				case strings.HasSuffix(name, "_API_KEY") && name != "DATADOG_API_KEY":
					place("victor-ai-secrets", name)
				case strings.HasPrefix(name, "SMTP_"), strings.HasPrefix(name, "SLACK_"), strings.HasPrefix(name, "PAGERDUTY_"):
					place("alerting-credentials", name)
				case name == "SENTRY_DSN", name == "DATADOG_API_KEY":
					place("monitoring-credentials", name)
				}
			}
			if in["SMTP_HOST"] != "" {
				want["alerting-credentials"]["smtp-port"] = "587"
			}
			if !cmp.Equal(want, got) {
				t.Error("the unsealed values are not those of the inputs") // no diff: it would show them
			}
		})
	}
}
