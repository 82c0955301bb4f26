package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"
	"sigs.k8s.io/yaml"
	"software.sslmate.com/src/go-pkcs12"
)

const galleryDir = "../../examples/gallery"

// galleryApps are the environments of the gallery. e2e checks their values with
// programs of others; here they are checked with what Go has.
var galleryApps = map[string]struct {
	given string // what someone has to provide, as a dotenv file

	// rotations are what becomes new when one input is rotated, and nothing else
	// does: inputs, and keys.
	rotations map[string]struct{ inputs, keys []string }
	check     func(t *testing.T, in map[string]string, secrets map[string]map[string]string)
}{
	"supabase": {rotations: map[string]struct{ inputs, keys []string }{
		"JWT_SECRET": {[]string{"ANON_KEY", "JWT_SECRET", "SERVICE_ROLE_KEY"},
			[]string{"supabase ANON_KEY", "supabase JWT_SECRET", "supabase SERVICE_ROLE_KEY"}},
		"POSTGRES_PASSWORD": {[]string{"POSTGRES_PASSWORD"},
			[]string{"supabase POSTGRES_PASSWORD", "supabase-databases GOTRUE_DB_DATABASE_URL", "supabase-databases PGRST_DB_URI", "supabase-databases STORAGE_DATABASE_URL"}},
	}, check: checkSupabase},
	"mastodon": {rotations: map[string]struct{ inputs, keys []string }{
		"VAPID_PRIVATE_KEY": {[]string{"VAPID_PRIVATE_KEY", "VAPID_PUBLIC_KEY"}, []string{"mastodon VAPID_PRIVATE_KEY", "mastodon VAPID_PUBLIC_KEY"}},
		"SECRET_KEY_BASE":   {[]string{"SECRET_KEY_BASE"}, []string{"mastodon SECRET_KEY_BASE"}},
	}, check: checkMastodon},
	"argocd": {rotations: map[string]struct{ inputs, keys []string }{
		"ADMIN_PASSWORD": {[]string{"ADMIN_HASH", "ADMIN_PASSWORD", "ADMIN_TIME"}, []string{"argocd-secret admin.password", "argocd-secret admin.passwordMtime"}},
		"TLS_KEY":        {[]string{"TLS_CERT", "TLS_KEY"}, []string{"argocd-server-tls tls.crt", "argocd-server-tls tls.key"}},
		"DEPLOY_KEY":     {[]string{"DEPLOY_KEY", "DEPLOY_KEY_PUBLIC"}, []string{"repo-deployments sshPrivateKey", "repo-deployments sshPublicKey"}},
	}, check: checkArgoCD},
	"registry": {rotations: map[string]struct{ inputs, keys []string }{
		"PULL_PASSWORD": {[]string{"PULL_LINE", "PULL_PASSWORD"}, []string{"registry htpasswd", "registry-pull .dockerconfigjson"}},
	}, check: checkRegistry},
	"postgres": {rotations: map[string]struct{ inputs, keys []string }{
		"APP_PASSWORD": {[]string{"APP_PASSWORD", "APP_VERIFIER"}, []string{"app-database DATABASE_URL", "postgres-roles roles.sql"}},
		"CA_KEY": {[]string{"CA_CERT", "CA_KEY", "REPLICATION_CERT", "SERVER_CERT"},
			[]string{"app-database ca.crt", "postgres-replication ca.crt", "postgres-replication tls.crt", "postgres-tls ca.crt", "postgres-tls tls.crt", "reports-database ca.crt"}},
	}, check: checkPostgres},
	"airflow": {
		given: "WAREHOUSE_PASSWORD='Quartz7 lantern/Brine:@%'\nLAKE_ACCESS_KEY_ID=AKIAQ3EGZ7TJWX2R5M4N\nLAKE_SECRET_ACCESS_KEY=k7Vt2pQx/9RbZ+Lm4Yc8Wn1Hs6Df3Gj5TaEu0oX\n",
		rotations: map[string]struct{ inputs, keys []string }{
			"DB_PASSWORD":    {[]string{"DB_PASSWORD"}, []string{"airflow-metadata connection", "airflow-result-backend connection"}},
			"REDIS_PASSWORD": {[]string{"REDIS_PASSWORD"}, []string{"airflow-broker-url connection", "airflow-redis-password password"}},
		}, check: checkAirflow},
	"kafka": {rotations: map[string]struct{ inputs, keys []string }{
		"CA_KEY": {[]string{"BROKER_CERT", "BROKER_KEYSTORE", "CA_CERT", "CA_KEY", "ORDERS_CERT", "ORDERS_KEYSTORE", "TRUSTSTORE"},
			[]string{"kafka-broker keystore.p12", "kafka-broker truststore.p12", "kafka-client client.jks"}},
		"KEYSTORE_PASSWORD": {[]string{"BROKER_KEYSTORE", "KEYSTORE_PASSWORD"}, []string{"kafka-broker keystore.p12", "kafka-broker ssl.properties"}},
	}, check: checkKafka},
}

// copyGallery copies the gallery, without what someone may have built there.
func copyGallery(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.cue", "*.pem", "cue.mod/*.cue", "envs/*/*.cue", "k8s/*/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(galleryDir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s in the gallery", pattern)
		}
		for _, file := range files {
			rel, err := filepath.Rel(galleryDir, file)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.MkdirAll(filepath.Dir(filepath.Join(dir, rel)), 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, rel), b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for app, a := range galleryApps {
		if a.given == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, ".secrets."+app), []byte(a.given), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGallery builds each application of the gallery, unseals it and checks its
// values; builds it again, which changes nothing; and rotates parents, of which
// all that is made becomes new, and nothing else.
func TestGallery(t *testing.T) {
	dirs, err := os.ReadDir(filepath.Join(galleryDir, "envs"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range dirs {
		names = append(names, d.Name())
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(galleryApps)), names); diff != "" {
		t.Errorf("the test does not know the environments of the gallery (-test +gallery):\n%s", diff)
	}
	dir := copyGallery(t)
	for name, app := range galleryApps {
		t.Run(name, func(t *testing.T) {
			env, tree, source := filepath.Join(dir, "envs", name), filepath.Join(dir, "deploy", name), filepath.Join(dir, ".secrets."+name)
			// No run has anything to warn of.
			run := func(args ...string) string {
				t.Helper()
				code, stdout, stderr := victorgen(t, args...)
				if code != 0 || stderr != "" {
					t.Fatalf("%s: exit %d\n%s%s", args[0], code, stdout, stderr)
				}
				return stdout
			}
			quiet := func() {
				t.Helper()
				files, values := filesOf(t, tree), readFile(t, source)
				if out := run("build", env); !strings.Contains(out, "unchanged") {
					t.Errorf("a second build:\n%s", out)
				}
				if diff := cmp.Diff(files, filesOf(t, tree)); diff != "" {
					t.Errorf("a second build changes the tree:\n%s", diff)
				}
				if readFile(t, source) != values {
					t.Error("a second build changes the source")
				}
				run("verify", "--source", env)
			}

			run("build", env)
			app.check(t, dotenv(t, source), unseal(t, tree))
			quiet()
			for _, input := range slices.Sorted(maps.Keys(app.rotations)) {
				want := app.rotations[input]
				inputs, keys := dotenv(t, source), ciphertexts(t, tree)
				run("rotate", env, input)
				run("build", env)
				after := dotenv(t, source)
				if got := differing(inputs, after); !slices.Equal(got, want.inputs) {
					t.Errorf("rotating %s makes inputs %v anew, not %v", input, got, want.inputs)
				}
				if got := differing(keys, ciphertexts(t, tree)); !slices.Equal(got, want.keys) {
					t.Errorf("rotating %s makes keys %v anew, not %v", input, got, want.keys)
				}
				app.check(t, after, unseal(t, tree))
				quiet()
			}
		})
	}
}

// TestGalleryWorkloads: the workloads of each application find what they ask for, and
// use all that there is; one that asks for something else is found.
func TestGalleryWorkloads(t *testing.T) {
	dir := copyGallery(t)
	for app, c := range map[string]struct{ file, old, new, code string }{
		"airflow":  {"k8s/airflow/airflow.yaml", "key: fernet-key}", "key: fernetkey}", "VG1602"},
		"argocd":   {"k8s/argocd/argocd.yaml", "secretName: argocd-server-tls", "secretName: argocd-tls", "VG1601"},
		"kafka":    {"k8s/kafka/orders.yaml", "{key: client.jks,", "{key: orders.jks,", "VG1602"},
		"mastodon": {"k8s/mastodon/mastodon.yaml", "key: DB_PASS}", "key: DB_PASSWORD}", "VG1602"},
		"postgres": {"k8s/postgres/clients.yaml", "[{key: ca.crt,", "[{key: ca.pem,", "VG1602"},
		"registry": {"k8s/registry/clients.yaml", "  namespace: apps", "  namespace: app", "VG1605"},
		"supabase": {"k8s/supabase/supabase.yaml", "key: SERVICE_ROLE_KEY}", "key: SERVICE_KEY}", "VG1602"},
	} {
		t.Run(app, func(t *testing.T) {
			env := filepath.Join(dir, "envs", app)
			said := func() string {
				t.Helper()
				_, _, stderr := victorgen(t, "vet", env)
				var codes []string
				for _, m := range regexp.MustCompile(`(error|warning) (VG[0-9]+):`).FindAllStringSubmatch(stderr, -1) {
					if code := m[2]; code != "VG1415" { // a Secret that Argo CD finds by its label
						codes = append(codes, code)
					}
				}
				return strings.Join(codes, " ")
			}
			if got := said(); got != "" {
				t.Fatalf("vet says %s", got)
			}
			text := readFile(t, filepath.Join(dir, c.file))
			changed := strings.Replace(text, c.old, c.new, 1)
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := said(); changed == text || !strings.Contains(got, c.code) {
				t.Errorf("with %q, vet says %q", c.new, got)
			}
		})
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// differing are the names by which two maps differ, sorted.
func differing(a, b map[string]string) (names []string) {
	for name := range a {
		if b[name] != a[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sealedSecrets are those of a tree, by name.
func sealedSecrets(t *testing.T, tree string) map[string]v1alpha1.SealedSecret {
	t.Helper()
	all := map[string]v1alpha1.SealedSecret{}
	for name, content := range filesOf(t, filepath.Join(tree, "secrets")) {
		var s v1alpha1.SealedSecret
		if err := yaml.UnmarshalStrict([]byte(content), &s); err != nil {
			t.Fatal(name, err)
		}
		all[s.Name] = s
	}
	return all
}

// ciphertexts are what is sealed in a tree, by secret and key.
func ciphertexts(t *testing.T, tree string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, s := range sealedSecrets(t, tree) {
		for key, c := range s.Spec.EncryptedData {
			all[name+" "+key] = c
		}
	}
	return all
}

func checkSupabase(t *testing.T, in map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	got := secrets["supabase"]
	for key, role := range map[string]string{"ANON_KEY": "anon", "SERVICE_ROLE_KEY": "service_role"} {
		token, err := jose.ParseSigned(got[key], []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatalf("%s is no token", key)
		}
		payload, err := token.Verify([]byte(got["JWT_SECRET"]))
		if err != nil {
			t.Errorf("%s is not signed with JWT_SECRET", key)
		}
		var claims struct {
			Role, Iss string
			Iat, Exp  int64
		}
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Role != role || claims.Iss != "supabase" || claims.Exp-claims.Iat != 5*365*24*3600 {
			t.Errorf("%s claims %+v", key, claims)
		}
	}
	hasForm(t, got, map[string]string{
		"JWT_SECRET": `^\w{40}$`, "VAULT_ENC_KEY": "^[0-9a-f]{32}$", "REALTIME_DB_ENC_KEY": "^[0-9a-f]{16}$", "SECRET_KEY_BASE": `^[\w+/]{64}$`,
		"PG_META_CRYPTO_KEY": `^[\w+/]{32}$`, "DASHBOARD_USERNAME": "^supabase$",
	})
	for key, user := range map[string]string{"GOTRUE_DB_DATABASE_URL": "supabase_auth_admin", "PGRST_DB_URI": "authenticator", "STORAGE_DATABASE_URL": "supabase_storage_admin"} {
		isURL(t, key, secrets["supabase-databases"][key], "postgres", user, in["POSTGRES_PASSWORD"], "db:5432", "/postgres", "")
	}
}

func checkMastodon(t *testing.T, _ map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	got := secrets["mastodon"]
	private, err := base64.RawURLEncoding.DecodeString(got["VAPID_PRIVATE_KEY"])
	if err != nil {
		t.Fatal("VAPID_PRIVATE_KEY is not base64url")
	}
	key, err := ecdh.P256().NewPrivateKey(private)
	if err != nil {
		t.Fatal("VAPID_PRIVATE_KEY is no key on P-256")
	}
	if public, err := base64.RawURLEncoding.DecodeString(got["VAPID_PUBLIC_KEY"]); err != nil || !bytes.Equal(public, key.PublicKey().Bytes()) {
		t.Error("VAPID_PUBLIC_KEY is not that of VAPID_PRIVATE_KEY")
	}
	hasForm(t, got, map[string]string{
		"SECRET_KEY_BASE": "^[0-9a-f]{128}$", "ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY": "^[0-9A-Za-z]{32}$",
		"ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY": "^[0-9A-Za-z]{32}$", "ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT": "^[0-9A-Za-z]{32}$",
	})
	for key := range got {
		if strings.HasPrefix(key, "SMTP_") || strings.HasPrefix(key, "AWS_") {
			t.Errorf("there is a key %s, and nobody has provided it", key)
		}
	}
}

func checkArgoCD(t *testing.T, in map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	got := secrets["argocd-secret"]
	if bcrypt.CompareHashAndPassword([]byte(got["admin.password"]), []byte(in["ADMIN_PASSWORD"])) != nil {
		t.Error("admin.password is not the hash of ADMIN_PASSWORD")
	}
	// As its settings parse it; and a time to come would let no one log in.
	if at, err := time.Parse(time.RFC3339, got["admin.passwordMtime"]); err != nil || time.Since(at) < 0 || time.Since(at) > time.Minute {
		t.Errorf("admin.passwordMtime is %s: %v", got["admin.passwordMtime"], err)
	}
	if key, err := base64.StdEncoding.DecodeString(got["server.secretkey"]); err != nil || len(key) != 32 {
		t.Error("server.secretkey is not 32 bytes in base64")
	}
	pair, err := tls.X509KeyPair([]byte(secrets["argocd-server-tls"]["tls.crt"]), []byte(secrets["argocd-server-tls"]["tls.key"]))
	if err != nil {
		t.Fatal("argocd-server-tls is no pair")
	}
	if err := pair.Leaf.VerifyHostname("argocd-server.argocd.svc"); err != nil {
		t.Error(err)
	}
	repo := secrets["repo-deployments"]
	private, err := ssh.ParsePrivateKey([]byte(repo["sshPrivateKey"]))
	if err != nil {
		t.Fatal("sshPrivateKey is not OpenSSH's")
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(repo["sshPublicKey"])); err != nil || !bytes.Equal(public.Marshal(), private.PublicKey().Marshal()) {
		t.Error("sshPublicKey is not that of sshPrivateKey")
	}
	if repo["type"] != "git" || repo["url"] != "git@git.example:platform/deployments.git" {
		t.Errorf("the repository is %s %s", repo["type"], repo["url"])
	}
}

// TestGalleryChangedByHand: an administrator who is given another password gets
// its hash, and the time of that, from the next build.
func TestGalleryChangedByHand(t *testing.T) {
	dir := copyGallery(t)
	build := func() string {
		t.Helper()
		code, stdout, stderr := victorgen(t, "build", dir+"/envs/argocd")
		if code != 0 || stderr != "" {
			t.Fatal(stderr)
		}
		return stdout
	}
	build()
	source := dir + "/.secrets.argocd"
	before, keys := dotenv(t, source), ciphertexts(t, dir+"/deploy/argocd")
	changed := regexp.MustCompile(`(?m)^ADMIN_PASSWORD=.*$`).ReplaceAllString(readFile(t, source), "ADMIN_PASSWORD=Tundra4-pillow-Gaffe")
	if err := os.WriteFile(source, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	out := build()
	for _, want := range []string{"the old one does not fit ADMIN_PASSWORD", "the old one does not fit ADMIN_HASH"} {
		if !strings.Contains(out, want) {
			t.Errorf("the build does not say %q:\n%s", want, out)
		}
	}
	after := dotenv(t, source)
	if got := differing(before, after); !slices.Equal(got, []string{"ADMIN_HASH", "ADMIN_PASSWORD", "ADMIN_TIME"}) {
		t.Errorf("%v are other values", got)
	}
	if got := differing(keys, ciphertexts(t, dir+"/deploy/argocd")); !slices.Equal(got, []string{"argocd-secret admin.password", "argocd-secret admin.passwordMtime"}) {
		t.Errorf("%v are sealed anew", got)
	}
	checkArgoCD(t, after, unseal(t, dir+"/deploy/argocd"))
}

// TestGalleryReadme runs the commands of the gallery's README.
func TestGalleryReadme(t *testing.T) {
	all := blocks(t, galleryDir+"/README.md", "sh")
	if len(all) != 1 {
		t.Fatalf("the README has %d sh blocks", len(all))
	}
	cmd := exec.Command("sh", "-ec", all[0])
	cmd.Dir = copyGallery(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"supabase: ok", "children      ANON_KEY, SERVICE_ROLE_KEY", "supabase: generated ANON_KEY in .secrets.supabase", "changed)  supabase: ANON_KEY"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the commands do not print %q:\n%s", want, out)
		}
	}
}

// TestGalleryArgoCDFinds: the Secrets of Argo CD have the labels by which it
// finds them.
func TestGalleryArgoCDFinds(t *testing.T) {
	dir := copyGallery(t)
	if code, _, stderr := victorgen(t, "build", dir+"/envs/argocd"); code != 0 {
		t.Fatal(stderr)
	}
	sealed := sealedSecrets(t, dir+"/deploy/argocd")
	for _, name := range []string{"argocd-secret", "argocd-server-tls", "repo-deployments"} {
		if s := sealed[name]; s.Namespace != "argocd" || s.Spec.Template.Labels["app.kubernetes.io/part-of"] != "argocd" {
			t.Errorf("%s is in %s, with labels %v", name, s.Namespace, s.Spec.Template.Labels)
		}
	}
	if got := sealed["repo-deployments"].Spec.Template.Labels["argocd.argoproj.io/secret-type"]; got != "repository" {
		t.Errorf("the repository is a %q", got)
	}
	// The password itself is in no Secret, and its age matters anyway.
	if alerts := readFile(t, dir+"/deploy/argocd/alerts/secrets.yaml"); !strings.Contains(alerts, "summary: Input ADMIN_PASSWORD is due for rotation") {
		t.Error("nobody is told that the admin's password is due for rotation")
	}
}

func checkRegistry(t *testing.T, in map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	lines := strings.Split(secrets["registry"]["htpasswd"], "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("htpasswd has %d lines", len(lines))
	}
	for i, user := range []string{"pull", "push"} {
		password := in[strings.ToUpper(user)+"_PASSWORD"]
		name, hash, _ := strings.Cut(lines[i], ":")
		if name != user || bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
			t.Errorf("line %d of htpasswd does not let %s in", i+1, user)
		}
		var config struct {
			Auths map[string]struct{ Username, Password, Auth string }
		}
		if err := json.Unmarshal([]byte(secrets["registry-"+user][".dockerconfigjson"]), &config); err != nil {
			t.Fatalf("the pull secret of %s is no JSON", user)
		}
		login := config.Auths["registry.example"]
		if login.Username != user || login.Password != password || login.Auth != base64.StdEncoding.EncodeToString([]byte(user+":"+password)) {
			t.Errorf("the pull secret of %s has another login", user)
		}
	}
}

func checkPostgres(t *testing.T, in map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	for role, password := range map[string]string{"app": in["APP_PASSWORD"], "reports": in["REPORTS_PASSWORD"]} {
		m := regexp.MustCompile(`(?m)^ALTER ROLE ` + role + ` PASSWORD 'SCRAM-SHA-256\$(\d+):([^$']+)\$([^:']+):([^']+)';$`).FindStringSubmatch(secrets["postgres-roles"]["roles.sql"])
		if m == nil {
			t.Fatalf("there is no verifier of %s", role)
		}
		// https://www.rfc-editor.org/rfc/rfc5802#section-3
		rounds, _ := strconv.Atoi(m[1])
		salt, err := base64.StdEncoding.DecodeString(m[2])
		if err != nil {
			t.Fatal(err)
		}
		salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
		if err != nil {
			t.Fatal(err)
		}
		sign := func(what string) []byte {
			h := hmac.New(sha256.New, salted)
			h.Write([]byte(what))
			return h.Sum(nil)
		}
		stored := sha256.Sum256(sign("Client Key"))
		if m[3] != base64.StdEncoding.EncodeToString(stored[:]) || m[4] != base64.StdEncoding.EncodeToString(sign("Server Key")) {
			t.Errorf("the verifier of %s is of another password", role)
		}
	}
	isURL(t, "DATABASE_URL", secrets["app-database"]["DATABASE_URL"], "postgresql", "app", in["APP_PASSWORD"], "postgres.postgres.svc:5432", "/app",
		"sslmode=verify-full&sslrootcert=%2Fetc%2Fpostgres%2Fca.crt")
	if want := "postgres.postgres.svc:*:*:reports:" + in["REPORTS_PASSWORD"] + "\n"; secrets["reports-database"][".pgpass"] != want {
		t.Error(".pgpass has another line")
	}
	ca := secrets["app-database"]["ca.crt"]
	signed(t, secrets["postgres-tls"], ca, "postgres.postgres.svc", x509.ExtKeyUsageServerAuth)
	if leaf := signed(t, secrets["postgres-replication"], ca, "", x509.ExtKeyUsageClientAuth); leaf.Subject.CommonName != "replication" {
		t.Errorf("the certificate is of %s", leaf.Subject.CommonName)
	}
	for name, s := range secrets {
		for key, v := range s {
			if strings.Contains(v, in["CA_KEY"]) {
				t.Errorf("%s %s has the key of the authority", name, key)
			}
		}
	}
}

// signed checks a secret of type kubernetes.io/tls: a pair that the authority
// has signed for the host and the usage.
func signed(t *testing.T, secret map[string]string, ca, host string, usage x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(secret["tls.crt"]), []byte(secret["tls.key"]))
	if err != nil {
		t.Fatal("tls.crt and tls.key are no pair")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		t.Fatal("ca.crt is no certificate")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		t.Error(err)
	}
	return pair.Leaf
}

func checkAirflow(t *testing.T, in map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	// With the padding that Fernet insists on.
	if key, err := base64.URLEncoding.Strict().DecodeString(secrets["airflow-fernet-key"]["fernet-key"]); err != nil || len(key) != 32 {
		t.Error("fernet-key is not 32 bytes in padded base64url")
	}
	hasForm(t, secrets["airflow-jwt-secret"], map[string]string{"jwt-secret": `^\w{128}$`})
	hasForm(t, secrets["airflow-api-secret-key"], map[string]string{"api-secret-key": "^[0-9a-f]{64}$"})
	isURL(t, "metadata", secrets["airflow-metadata"]["connection"], "postgresql", "airflow", in["DB_PASSWORD"], "airflow-db:5432", "/airflow", "")
	isURL(t, "results", secrets["airflow-result-backend"]["connection"], "db+postgresql", "airflow", in["DB_PASSWORD"], "airflow-db:5432", "/airflow", "")
	isURL(t, "broker", secrets["airflow-broker-url"]["connection"], "redis", "", secrets["airflow-redis-password"]["password"], "airflow-redis:6379", "/0", "")
	connections := secrets["airflow-connections"]
	isURL(t, "warehouse", connections["AIRFLOW_CONN_WAREHOUSE"], "postgres", "airflow", in["WAREHOUSE_PASSWORD"], "warehouse.example:5432", "/events", "sslmode=require")
	isURL(t, "lake", connections["AIRFLOW_CONN_LAKE"], "aws", in["LAKE_ACCESS_KEY_ID"], in["LAKE_SECRET_ACCESS_KEY"], "", "/", "region_name=eu-central-1")
	isURL(t, "mail", connections["AIRFLOW_CONN_SMTP_DEFAULT"], "smtp", "airflow@example.com", "", "mail.example.com:587", "", "")
}

func checkKafka(t *testing.T, in map[string]string, secrets map[string]map[string]string) {
	t.Helper()
	block, _ := pem.Decode([]byte(in["CA_CERT"]))
	if block == nil {
		t.Fatal("CA_CERT is not PEM")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	trusts := func(leaf *x509.Certificate, host string, usages ...x509.ExtKeyUsage) {
		t.Helper()
		for _, usage := range usages {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Error(err)
			}
		}
	}
	broker, client := secrets["kafka-broker"], secrets["kafka-client"]
	key, leaf, chain, err := pkcs12.DecodeChain([]byte(broker["keystore.p12"]), property(broker["ssl.properties"], "ssl.keystore.password"))
	if err != nil {
		t.Fatalf("keystore.p12: %v", err)
	}
	if k, ok := key.(interface{ Public() any }); ok && !leaf.PublicKey.(interface{ Equal(any) bool }).Equal(k.Public()) {
		t.Error("the key of the broker is not that of its certificate")
	}
	if len(chain) != 1 || !chain[0].Equal(ca) {
		t.Error("the authority does not follow the broker's certificate")
	}
	trusts(leaf, "kafka-0.kafka-headless.kafka.svc.cluster.local", x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	trusted, err := pkcs12.DecodeTrustStore([]byte(broker["truststore.p12"]), property(broker["ssl.properties"], "ssl.truststore.password"))
	if err != nil || len(trusted) != 1 || !trusted[0].Equal(ca) {
		t.Errorf("truststore.p12 is not that of the authority: %v", err)
	}

	password := []byte(property(client["client.properties"], "ssl.keystore.password"))
	store := keystore.New()
	if err := store.Load(strings.NewReader(client["client.jks"]), password); err != nil {
		t.Fatal("client.jks does not open")
	}
	entry, err := store.GetPrivateKeyEntry("orders", password)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(entry.CertificateChain[0].Content); err != nil {
		t.Fatal(err)
	}
	trusts(leaf, "", x509.ExtKeyUsageClientAuth)
	if root, err := store.GetTrustedCertificateEntry("ca"); err != nil || !bytes.Equal(root.Certificate.Content, ca.Raw) {
		t.Error("client.jks does not trust the authority")
	}
}

// property is one of a Java properties file.
func property(file, name string) string {
	for line := range strings.Lines(file) {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSuffix(v, "\n")
		}
	}
	return ""
}

func hasForm(t *testing.T, got map[string]string, forms map[string]string) {
	t.Helper()
	for key, form := range forms {
		if !regexp.MustCompile(form).MatchString(got[key]) {
			t.Errorf("%s is not of the form %s", key, form)
		}
	}
}

func isURL(t *testing.T, name, got, scheme, user, password, host, path, query string) {
	t.Helper()
	u, err := url.Parse(got)
	if err != nil {
		t.Fatalf("%s is not a URL", name)
	}
	if p, _ := u.User.Password(); u.Scheme != scheme || u.User.Username() != user || p != password || u.Host != host || u.Path != path || u.RawQuery != query {
		t.Errorf("%s is read as %s://%s:...@%s%s?%s", name, u.Scheme, u.User.Username(), u.Host, u.Path, u.RawQuery)
	}
}
