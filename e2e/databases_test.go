package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// databasesPage are the blocks of docs/databases.md.
type databasesPage struct {
	contracts []string            // in their order
	scripts   map[string]string   // by the names of the files
	commands  map[string][]string // by the last script that is named before
}

func readDatabasesPage(t *testing.T) databasesPage {
	t.Helper()
	b, err := os.ReadFile("../docs/databases.md")
	if err != nil {
		t.Fatal(err)
	}
	page := databasesPage{scripts: map[string]string{}, commands: map[string][]string{}}
	name := ""
	for _, m := range regexp.MustCompile("(?ms)^`(tell-[a-z-]+\\.sh)`|(?:`(tell-[a-z-]+\\.sh)`; )|^```(cue|sh)\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		switch {
		case m[1]+m[2] != "":
			name = m[1] + m[2]
		case m[3] == "cue":
			page.contracts = append(page.contracts, m[4])
		case strings.HasPrefix(m[4], "#!"):
			page.scripts[name] = m[4]
		default:
			page.commands[name] = append(page.commands[name], m[4])
		}
	}
	if len(page.contracts) != 2 || len(page.scripts) != 3 || len(page.commands[""]) != 1 || len(page.commands["tell-postgres.sh"]) != 1 ||
		len(page.commands["tell-postgres-roles.sh"]) != 1 || len(page.commands["tell-redis.sh"]) != 1 {
		t.Fatalf("the page has %d contracts, %d scripts and commands %q", len(page.contracts), len(page.scripts), page.commands)
	}
	return page
}

// told is a module whose values someone else knows, too.
type told struct {
	*testing.T
	dir string
	env []string // of the commands
}

// newTold writes a module with inputs and what its secret has, and all the scripts.
func newTold(t *testing.T, page databasesPage, inputs, secrets, environment string, env []string) *told {
	t.Helper()
	r := &told{t, t.TempDir(), env}
	bin := t.TempDir()
	if err := os.Symlink(built(t), filepath.Join(bin, "victorgen")); err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	certificate, err := os.ReadFile("../fixtures/certificates/good.pem")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"cert.pem":                string(certificate),
		"cue.mod/module.cue":      "module: \"test.example/shop@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":            "package shop\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\n" + inputs + "\n" + secrets,
		"envs/production/env.cue": "package shop\n\nenvironment: \"production\"\n" + environment,
	}
	for name, text := range page.scripts {
		files[name] = text
	}
	for name, text := range files {
		file := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// sh runs commands as people do, and returns what they printed.
func (r *told) sh(script string) (string, error) {
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), r.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is sh of what can't fail.
func (r *told) must(script string) string {
	r.Helper()
	out, err := r.sh(script)
	if err != nil {
		r.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// fails is sh of what must.
func (r *told) fails(script, want string) {
	r.Helper()
	if out, err := r.sh(script); err == nil || !strings.Contains(out, want) {
		r.Errorf("%s: %v, want %q\n%s", script, err, want, out)
	}
}

// value is the current value of an input.
func (r *told) value(input string) string {
	r.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, ".secrets.production"))
	if err != nil {
		r.Fatal(err)
	}
	m := regexp.MustCompile("(?m)^" + input + "='?([^'\n]*)").FindStringSubmatch(string(b))
	if m == nil {
		r.Fatalf("%s has no value", input)
	}
	return m[1]
}

// startPostgres starts Debian's server, and returns the variables by which psql comes
// to it as its administrator, and its log.
func startPostgres(t *testing.T) (env []string, log func() string) {
	t.Helper()
	bin, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // which Debian has not in PATH
	if len(bin) == 0 {
		t.Fatal("there is no PostgreSQL server: install Debian's package postgresql")
	}
	program := func(name string) string { return filepath.Join(bin[len(bin)-1], name) }
	var as []string
	dir, err := os.MkdirTemp("", "postgres") // whose path has no directory that others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 { // as whom the server does not run
		as = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	password := filepath.Join(dir, "password")
	const admin = "of-the-administrator-4f9a"
	if err := errors.Join(os.WriteFile(password, []byte(admin), 0o644)); err != nil {
		t.Fatal(err)
	}
	data, port := filepath.Join(dir, "data"), freePort(t)
	initdb := append(as, program("initdb"), "--auth=scram-sha-256", "--username=postgres", "--pwfile="+password, "--no-sync", "--encoding=UTF8", "--locale=C", data)
	if err := command(dir, nil, initdb[0], initdb[1:]...); err != nil {
		t.Fatal(err)
	}
	serve := append(as, program("postgres"), "-D", data, "-p", port, "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
		"-c", "log_statement=all", "-c", "logging_collector=on", "-c", "log_directory="+dir, "-c", "log_filename=log")
	env = []string{"PGHOST=127.0.0.1", "PGPORT=" + port, "PGUSER=postgres", "PGPASSWORD=" + admin, "PGDATABASE=postgres", "PGCONNECT_TIMEOUT=10"}
	start(t, nil, func() error { return command(dir, env, "psql", "-X", "-q", "-c", "SELECT 1") }, serve[0], serve[1:]...)
	return env, func() string {
		b, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// login reports whether a user of PostgreSQL is let in.
func (r *told) login(user, password string) error {
	return command(r.dir, append(r.env, "PGUSER="+user, "PGPASSWORD="+password), "psql", "-X", "-q", "-c", "SELECT 1")
}

const sealedShop = "namespace: \"shop\"\ndelivery: {kind: \"sealed\", certificate: \"../../cert.pem\"}\n"

const secretOfPassword = `secrets: shop: keys: "password": input: "DB_PASSWORD"
`

// TestTellPostgres runs the recipe of docs/databases.md for a role: whatever is
// interrupted, the server has what is current in the end, and never a password in its log.
func TestTellPostgres(t *testing.T) {
	t.Parallel()
	page := readDatabasesPage(t)
	env, log := startPostgres(t)
	r := newTold(t, page, page.contracts[0], secretOfPassword, sealedShop, env)
	r.must("victorgen generate envs/production")
	r.must("psql -X -q <<'SQL'\nCREATE ROLE app LOGIN PASSWORD '" + r.value("DB_VERIFIER") + "';\nSQL")
	fits := func(doing string, passwords ...string) {
		t.Helper()
		if err := r.login("app", r.value("DB_PASSWORD")); err != nil {
			t.Errorf("%s: the current password is refused: %v", doing, err)
		}
		for _, old := range passwords {
			if old != r.value("DB_PASSWORD") && r.login("app", old) == nil {
				t.Errorf("%s: an old password is taken", doing)
			}
		}
	}
	fits("at first")
	all := []string{r.value("DB_PASSWORD")}
	r.must(page.commands[""][0])
	all = append(all, r.value("DB_PASSWORD"))
	fits("rotated", all...)

	// The server does as it is told, and no one hears of it.
	half := "sh -c './tell-postgres.sh; exit 1'"
	r.fails("victorgen rotate envs/production DB_PASSWORD -- "+half, "VG2131")
	if r.login("app", r.value("DB_PASSWORD")) == nil {
		t.Error("the server was not told")
	}
	r.fails("victorgen rotate envs/production DB_PASSWORD -- ./tell-postgres.sh", "VG2130")
	r.must("victorgen rotate envs/production --abort -- ./tell-postgres.sh")
	fits("taken back", all...)
	if r.value("DB_PASSWORD") != all[1] {
		t.Error("what was taken back is another value")
	}
	killed := "sh -c './tell-postgres.sh; kill -9 $PPID; sleep 60'"
	r.fails("victorgen rotate envs/production DB_PASSWORD -- "+killed, "")
	r.must("victorgen rotate envs/production --resume -- ./tell-postgres.sh")
	all = append(all, r.value("DB_PASSWORD"))
	fits("killed, and resumed", all...)
	r.fails("victorgen rotate envs/production DB_PASSWORD -- "+killed, "")
	r.must("victorgen rotate envs/production --abort -- ./tell-postgres.sh")
	fits("killed, and taken back", all...)
	// What cannot come to the server tells no one, and can be taken back without it.
	r.fails("PGPORT=1 victorgen rotate envs/production DB_PASSWORD -- ./tell-postgres.sh", "VG2131")
	r.must("victorgen rotate envs/production --abort --told")
	fits("after the server was away", all...)
	if len(all) != 3 || all[0] == all[1] || all[1] == all[2] {
		t.Error("it was not rotated")
	}
	text := log()
	for _, password := range all {
		if strings.Contains(text, password) || !strings.Contains(text, "ALTER ROLE app PASSWORD") {
			t.Error("the log of the server has a password, or no statements")
		}
	}
}

// TestTellRedis runs the recipe for Redis: the password before counts until the next
// rotation.
func TestTellRedis(t *testing.T) {
	t.Parallel()
	page := readDatabasesPage(t)
	dir, port := t.TempDir(), freePort(t)
	const admin = "of-the-administrator-4f9a"
	acl := filepath.Join(dir, "users.acl")
	if err := os.WriteFile(acl, []byte("user default on >"+admin+" ~* &* +@all\nuser app on ~* +@all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"REDISCLI_AUTH=" + admin}
	r := newTold(t, page, `inputs: REDIS_PASSWORD: schema.#Generated & {generate: {kind: "password", length: 32}}
`, `secrets: shop: keys: "password": input: "REDIS_PASSWORD"
`, sealedShop, env)
	// redis-cli takes no port from its environment.
	script := strings.ReplaceAll(page.scripts["tell-redis.sh"], "redis-cli -e", "redis-cli -e -p "+port)
	if err := os.WriteFile(filepath.Join(r.dir, "tell-redis.sh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, nil, listening(port), "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--aclfile", acl)
	login := func(password string) bool {
		out, err := r.sh("printf 'AUTH app " + password + "\\nPING\\n' | REDISCLI_AUTH= redis-cli -p " + port)
		return err == nil && strings.Contains(out, "PONG")
	}
	r.must("victorgen generate envs/production")
	first := r.value("REDIS_PASSWORD")
	r.must(page.commands["tell-redis.sh"][0][:strings.Index(page.commands["tell-redis.sh"][0], "\n")])
	second := r.value("REDIS_PASSWORD")
	if first == second || !login(first) || !login(second) || login("something-else") {
		t.Error("after a rotation, not both passwords are good")
	}
	r.fails("victorgen rotate envs/production REDIS_PASSWORD -- sh -c './tell-redis.sh; exit 1'", "VG2131")
	r.must("victorgen rotate envs/production --resume -- ./tell-redis.sh")
	third := r.value("REDIS_PASSWORD")
	if login(first) || !login(second) || !login(third) {
		t.Error("after the second rotation, others than the last two passwords are good")
	}
	r.fails("victorgen rotate envs/production REDIS_PASSWORD -- sh -c './tell-redis.sh; exit 1'", "VG2131")
	r.must("victorgen rotate envs/production --abort -- ./tell-redis.sh")
	if r.value("REDIS_PASSWORD") != third || !login(third) {
		t.Error("what was taken back is not good")
	}
	if b, err := os.ReadFile(acl); err != nil || strings.Contains(string(b), third) || !strings.Contains(string(b), "#") {
		t.Errorf("what Redis keeps: %v", err)
	}
}

// client is an application that opens a connection again and again. It is started with
// what its Secret has then.
type client struct {
	*told
	mu       sync.Mutex
	refused  []string
	let      int
	stop     func()
	username string
}

// start starts it, with a user and a password.
func (c *client) start(user, password string) {
	done, ended := make(chan struct{}), make(chan struct{})
	c.username = user
	go func() {
		defer close(ended)
		for {
			err := c.login(user, password)
			c.mu.Lock()
			if c.let++; err != nil {
				c.let--
				c.refused = append(c.refused, err.Error())
			}
			c.mu.Unlock()
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	c.stop = func() { close(done); <-ended }
}

// TestTellPostgresRoles runs the recipe for a role for each rotation: a client that
// connects once a second is never refused, whenever it is restarted.
func TestTellPostgresRoles(t *testing.T) {
	t.Parallel()
	page := readDatabasesPage(t)
	env, log := startPostgres(t)
	r := newTold(t, page, page.contracts[1], secretOfPassword+"secrets: shop: keys: \"user\": input: \"DB_USER\"\n", sealedShop, env)
	r.must(`psql -X -q -c 'CREATE ROLE app'`)
	r.must("victorgen generate envs/production")
	rotate, build, _ := strings.Cut(strings.TrimSpace(page.commands["tell-postgres-roles.sh"][0]), "\n")
	r.must(rotate)
	r.must(build)
	app := &client{told: r}
	app.start(r.value("DB_USER"), r.value("DB_PASSWORD"))
	for range 3 {
		r.must(rotate)
		r.must(build)
		app.stop() // which connects at its start, and so with what was current before
		app.start(r.value("DB_USER"), r.value("DB_PASSWORD"))
	}
	r.fails("victorgen rotate envs/production DB_USER DB_PASSWORD -- sh -c './tell-postgres-roles.sh; exit 1'", "VG2131")
	r.must("victorgen rotate envs/production --abort -- ./tell-postgres-roles.sh")
	if err := r.login(r.value("DB_USER"), r.value("DB_PASSWORD")); err != nil {
		t.Errorf("after what was taken back: %v", err)
	}
	app.stop()
	if len(app.refused) > 0 || app.let < 4 {
		t.Errorf("the client was let in %d times, and refused %d times: %v", app.let, len(app.refused), app.refused)
	}
	if n := strings.TrimSpace(r.must(`psql -X -A -t -c "SELECT count(*) FROM pg_roles WHERE rolname ~ '^[a-z]{16}\$'"`)); n != "2" {
		t.Errorf("there are %s roles to log in with, not 2", n)
	}
	if strings.Contains(log(), r.value("DB_PASSWORD")) {
		t.Error("the log of the server has a password")
	}
}

// testRotatedLogin: a client of PostgreSQL connects once a second, through rotations that
// tell the server, builds, what is applied, and the restarts that follow from it. While
// it runs it is never refused: without a connection it is no longer than it takes to
// restart.
func testRotatedLogin(t *testing.T, c *cluster) {
	const namespace = "rotated-login"
	c.namespace(t, namespace)
	startDeploymentController(t, c)
	page := readDatabasesPage(t)
	env, log := startPostgres(t)
	r := newTold(t, page, page.contracts[1], `secrets: shop: keys: {
	"user":     input: "DB_USER"
	"password": input: "DB_PASSWORD"
}
`, `namespace: "`+namespace+`"
delivery: {kind: "sealed", certificate: "../../cert.pem"}
workloads: {paths: ["../../k8s"], restart: "annotation"}
`, env)
	for name, text := range map[string]string{
		"cert.pem":                   string(c.certificate),
		"k8s/kustomization.yaml":     "resources: [api.yaml]\nnamespace: " + namespace + "\n",
		"overlay/kustomization.yaml": "resources: [../k8s]\nnamespace: " + namespace + "\ncomponents: [../deploy/production/restart]\n",
		"k8s/api.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers: [{name: api, image: "test.example/api:1", envFrom: [{secretRef: {name: shop}}]}]
`,
	} {
		file := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	r.must(`psql -X -q -c 'CREATE ROLE app' -c 'CREATE TABLE t ()' -c 'ALTER TABLE t OWNER TO app'`)
	r.must("victorgen generate envs/production")
	rotate, build, _ := strings.Cut(strings.TrimSpace(page.commands["tell-postgres-roles.sh"][0]), "\n")
	sets := 0
	app := &client{told: r}
	// deploy applies what was built, and restarts the client when its Deployment does.
	deploy := func() {
		t.Helper()
		c.apply(t, kustomized(t, filepath.Join(r.dir, "deploy/production")))
		await(t, "the Secret", func() error {
			if string(c.secret(t, namespace, "shop", "").Data["user"]) != r.value("DB_USER") {
				return errors.New("it is the one before")
			}
			return nil
		})
		c.apply(t, kustomized(t, filepath.Join(r.dir, "overlay")))
		sets++
		await(t, "the ReplicaSets", func() error {
			all, err := c.core.AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
			if err == nil && len(all.Items) != sets {
				err = fmt.Errorf("there are %d, not %d: %v", len(all.Items), sets, templates(all.Items))
			}
			return err
		})
		if app.stop != nil {
			app.stop()
		}
		data := c.secret(t, namespace, "shop", "").Data
		app.start(string(data["user"]), string(data["password"]))
	}
	r.must(rotate) // which makes the first role
	r.must(build)
	deploy()
	users := map[string]bool{app.username: true}
	for range 3 {
		r.must(rotate)
		r.must(build)
		deploy()
		users[app.username] = true
	}
	// As long as the next rotation comes before the restart, the one before must do.
	app.mu.Lock()
	let := app.let
	app.mu.Unlock()
	await(t, "another connection", func() error {
		app.mu.Lock()
		defer app.mu.Unlock()
		if app.let == let {
			return errors.New("there was none")
		}
		return nil
	})
	app.stop()
	if len(app.refused) > 0 || app.let < 4 || len(users) != 4 {
		t.Errorf("the client was let in %d times as %d users, and refused %d times: %v", app.let, len(users), len(app.refused), app.refused)
	}
	// Of those before the last one none is left, and all that they had made is there.
	if n := strings.TrimSpace(r.must(`psql -X -A -t -c "SELECT count(*) FROM pg_roles WHERE rolname ~ '^[a-z]{16}\$'"`)); n != "2" {
		t.Errorf("there are %s roles to log in with, not 2", n)
	}
	if strings.Contains(log(), r.value("DB_PASSWORD")) {
		t.Error("the log of the server has a password")
	}
}

// templates are the annotations of pods, for what a test says.
func templates(sets []appsv1.ReplicaSet) (all []map[string]string) {
	for _, s := range sets {
		all = append(all, s.Spec.Template.Annotations)
	}
	return all
}
