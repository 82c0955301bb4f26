package main

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kitContract = `package app

import (
	"github.com/victor-ai/victorgen/schema"
	"github.com/victor-ai/victorgen/schema/kit"
)

schema.#Environment

inputs: {
	DB_PASSWORD: schema.#Required
	MAYBE:       schema.#Optional
	DB_USER: schema.#Setting & {default: "app user"}
	DB_HOST: schema.#Setting & {default: "db.internal", format: "hostname"}
	DB_PORT: schema.#Setting & {default: "6543", format: "port"}
	DB_NAME: schema.#Setting & {default: "app/db"}
}

secrets: app: keys: {
	postgres: kit.#PostgreSQL & {#user: "DB_USER", #password: "DB_PASSWORD", #host: "DB_HOST", #port: "DB_PORT", #database: "DB_NAME", #query: sslmode: {value: "verify full"}}
	mysql:    kit.#MySQL & {#user: {value: "root"}, #password: "DB_PASSWORD", #host: "DB_HOST", #database: {value: "a b"}}
	redis:    kit.#Redis & {#password: {optional: "MAYBE"}, #host: "DB_HOST", #scheme: "rediss"}
	amqp:     kit.#AMQP & {#user: "DB_USER", #password: "DB_PASSWORD", #host: "DB_HOST", #vhost: {value: "/"}}
	mongo:    kit.#MongoDB & {#user: "DB_USER", #password: "DB_PASSWORD", #hosts: [{host: "DB_HOST", port: "DB_PORT"}, {host: {value: "b.example"}}], #database: "DB_NAME"}
	smtp:     kit.#SMTP & {#user: "DB_USER", #password: "DB_PASSWORD", #host: "DB_HOST"}
	netrc:    kit.#Netrc & {#machines: "git.example": {user: {value: "bot"}, password: "MAYBE_NOT"}}
	pgpass:   kit.#Pgpass & {#entries: [{host: "DB_HOST", user: "DB_USER", password: "DB_PASSWORD"}]}
	npmrc:    kit.#Npmrc & {#registries: {"registry.npmjs.org/": {token: "MAYBE_NOT"}, "npm.example/": {user: {value: "bot"}, password: "DB_PASSWORD"}}, #scopes: "@app": "https://npm.example/"}
	pip:      kit.#PipConf & {#host: {value: "pypi.example"}, #login: {user: {value: "bot"}, password: "DB_PASSWORD"}}
}
inputs: MAYBE_NOT: schema.#Required
secrets: pull: kit.#DockerConfigJSON & {#registries: {"ghcr.io": {user: "DB_USER", password: "DB_PASSWORD"}, "https://index.docker.io/v1/": {user: {value: "bo\"t"}, password: "DB_PASSWORD"}}}
secrets: basic: kit.#BasicAuth & {#login: {user: {value: "admin"}, password: "DB_PASSWORD"}, namespace: "other", labels: team: "a", keys: host: input: "DB_HOST"}
secrets: spring: keys: kit.#SpringDataSource & {#host: "DB_HOST", #port: "DB_PORT", #database: {value: "app"}, #login: {user: "DB_USER", password: "DB_PASSWORD"}}
secrets: rails: keys: kit.#Rails & {#host: "DB_HOST", #database: {value: "app"}, #login: {user: {value: "rails"}, password: "DB_PASSWORD"}, #secretKeyBase: "MAYBE_NOT"}
`

// TestKit: what the kit expands to is sealed, and read by those who know each
// form: the values come out as they went in, whatever characters they have.
func TestKit(t *testing.T) {
	const password, token = `7:f@9/k?2#d%20 &+=x"q{{.}}`, "tok-7f3k29dk20sk3"
	dir := t.TempDir()
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       kitContract,
		"envs/test/env.cue":  "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../cert.pem\"\n",
		".secrets.test":      "DB_PASSWORD='" + password + "'\nMAYBE_NOT=" + token + "\n",
	} {
		writeFile(t, filepath.Join(dir, file), content)
	}
	pem, err := os.ReadFile("../../examples/victor/demo-sealing-cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "cert.pem"), string(pem))
	if err := os.Chmod(filepath.Join(dir, ".secrets.test"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := victorgen(t, "build", filepath.Join(dir, "envs/test")); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	secrets := unseal(t, filepath.Join(dir, "deploy/test"))
	app := secrets["app"]
	for key, want := range map[string]struct{ scheme, user, password, host, path, query string }{
		"postgres": {"postgresql", "app user", password, "db.internal:6543", "/app/db", "verify full"},
		"mysql":    {"mysql", "root", password, "db.internal:3306", "/a b", ""},
		"redis":    {"rediss", "", "", "db.internal:6379", "/0", ""},
		"amqp":     {"amqp", "app user", password, "db.internal:5672", "//", ""},
		"smtp":     {"smtp", "app user", password, "db.internal:587", "", ""},
	} {
		u, err := url.Parse(app[key])
		if err != nil {
			t.Errorf("%s is not a URL", key)
			continue
		}
		got, _ := u.User.Password()
		if u.Scheme != want.scheme || u.User.Username() != want.user || got != want.password || u.Host != want.host || u.Path != want.path || u.Query().Get("sslmode") != want.query {
			t.Errorf("%s is read as %s, %s, %s, %s", key, u.Scheme, u.Host, u.Path, u.Query())
		}
	}
	if _, after, _ := strings.Cut(app["mongo"], "@"); after != "db.internal:6543,b.example/app%2Fdb" {
		t.Errorf("the hosts of mongo are %s", after)
	}
	basic := func(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":" + password)) }
	for key, want := range map[string]string{
		"netrc":  "machine git.example login bot password " + token + "\n",
		"pgpass": "db.internal:*:*:app user:" + strings.ReplaceAll(password, ":", `\:`) + "\n",
		"npmrc":  "@app:registry=https://npm.example/\n//registry.npmjs.org/:_authToken=" + token + "\n//npm.example/:_auth=" + basic("bot") + "\n",
		"pip":    "[global]\nindex-url = https://bot:" + strings.ReplaceAll(url.QueryEscape(password), "+", "%20") + "@pypi.example/simple\n",
	} {
		if app[key] != want {
			t.Errorf("%s is not what was expected", key)
		}
	}
	var docker struct {
		Auths map[string]struct{ Username, Password, Auth string }
	}
	if err := json.Unmarshal([]byte(secrets["pull"][".dockerconfigjson"]), &docker); err != nil {
		t.Fatal("the pull secret is not JSON")
	}
	for host, user := range map[string]string{"ghcr.io": "app user", "https://index.docker.io/v1/": `bo"t`} {
		if got := docker.Auths[host]; got.Username != user || got.Password != password || got.Auth != basic(user) {
			t.Errorf("the login of %s is another", host)
		}
	}
	if b := secrets["basic"]; b["username"] != "admin" || b["password"] != password || b["host"] != "db.internal" {
		t.Error("basic-auth is another")
	}
	if s := secrets["spring"]; s["spring.datasource.url"] != "jdbc:postgresql://db.internal:6543/app" || s["spring.datasource.username"] != "app user" {
		t.Error("the data source is another")
	}
	if u, err := url.Parse(secrets["rails"]["DATABASE_URL"]); err != nil || u.User.Username() != "rails" || secrets["rails"]["SECRET_KEY_BASE"] != token {
		t.Error("what Rails takes is another")
	}
}
