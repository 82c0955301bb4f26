package main

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
	DB_PASSWORD: schema.#Required & kit.#Line
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
inputs: MAYBE_NOT: schema.#Required & kit.#Word
secrets: pull: kit.#DockerConfigJSON & {#registries: {"ghcr.io": {user: "DB_USER", password: "DB_PASSWORD"}, "https://index.docker.io/v1/": {user: {value: "bo\"t"}, password: "DB_PASSWORD"}}}
secrets: basic: kit.#BasicAuth & {#login: {user: {value: "admin"}, password: "DB_PASSWORD"}, namespace: "other", labels: team: "a", keys: host: input: "DB_HOST"}
secrets: spring: keys: kit.#SpringDataSource & {#host: "DB_HOST", #port: "DB_PORT", #database: {value: "app"}, #login: {user: "DB_USER", password: "DB_PASSWORD"}}
secrets: "mysql-spring": keys: kit.#SpringDataSource & {#driver: "mysql", #host: "DB_HOST", #database: {value: "app"}, #login: {user: {value: "a{{b"}, password: "DB_PASSWORD"}}
secrets: "mysql-rails": keys: kit.#Rails & {#adapter: "trilogy", #host: "DB_HOST", #database: {value: "app"}, #login: {user: {value: "rails"}, password: "DB_PASSWORD"}, #secretKeyBase: "MAYBE_NOT"}
secrets: literals: keys: {
	pgpass: kit.#Pgpass & {#entries: [{database: {value: "a{{b:c"}, user: {value: "d\\e"}, password: "DB_PASSWORD"}]}
	netrc:  kit.#Netrc & {#machines: "git.example": {user: {value: "a{{b"}, password: "MAYBE_NOT"}}
}
secrets: login: kit.#DockerConfigJSON & {#registries: "ghcr.io": {user: {value: "a{{b"}, password: "DB_PASSWORD"}}
secrets: rails: keys: kit.#Rails & {#host: "DB_HOST", #database: {value: "app"}, #login: {user: {value: "rails"}, password: "DB_PASSWORD"}, #secretKeyBase: "MAYBE_NOT"}
`

// buildKit builds the contract of the kit and returns what its Secrets hold, by
// their names.
func buildKit(t *testing.T, values string) map[string]map[string]string {
	t.Helper()
	dir := writeKit(t, values)
	if code, stdout, stderr := victorgen(t, "build", filepath.Join(dir, "envs/test")); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	return unseal(t, filepath.Join(dir, "deploy/test"))
}

// writeKit writes a module with the contract of the kit, and its dotenv file.
func writeKit(t *testing.T, values string) string {
	t.Helper()
	dir := t.TempDir()
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       kitContract,
		"envs/test/env.cue":  "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../cert.pem\"\n",
		".secrets.test":      values,
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
	return dir
}

// TestKit: what the kit expands to is sealed, and read by those who know each
// form: the values come out as they went in, whatever characters they have.
func TestKit(t *testing.T) {
	const password, token = `7:f@9/k?2#d%20 &+=x"q{{.}}`, "tok-7f3k29dk20sk3"
	secrets := buildKit(t, "DB_PASSWORD='"+password+"'\nMAYBE_NOT="+token+"\n")
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
		"npmrc":  "@app:registry=https://npm.example/\n//registry.npmjs.org/:_authToken=\"" + token + "\"\n//npm.example/:_auth=" + basic("bot") + "\n",
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

// TestKitNasty: whatever characters a value has, each client reads it as it was.
// What a format can't hold, the patterns of the kit refuse.
func TestKitNasty(t *testing.T) {
	for _, test := range []struct{ password, token string }{
		{`p@ss:/?#[]%+ é"'\` + "`", `p@ss:/?#[]%+é';=&<>$`},
		{"Quartz7 ß🙂\u00a0\u2028 a;b#c=d&e<f>${HOME}$(id)%20%zz+", "Quartz7;lantern#${HOME}-{{.DB_HOST}}"},
		{`{{.DB_HOST}}{{"{{"}}}} \n\t\u0041 \\`, `{{end}}-Quartz7-lantern`},
		{`"Quartz7-lantern-Brine"`, `'Quartz7-lantern-Brine'`},
	} {
		t.Setenv("DB_PASSWORD", test.password)
		t.Setenv("MAYBE_NOT", test.token)
		t.Setenv("MAYBE", test.password)
		secrets := buildKit(t, "")
		app := secrets["app"]
		for key, text := range map[string]string{
			"postgres": app["postgres"], "mysql": app["mysql"], "amqp": app["amqp"], "mongo": strings.ReplaceAll(app["mongo"], ",b.example", ""), "smtp": app["smtp"], "redis": app["redis"],
			"rails": secrets["rails"]["DATABASE_URL"], "mysql-rails": secrets["mysql-rails"]["DATABASE_URL"],
			"pip": strings.TrimSuffix(strings.TrimPrefix(app["pip"], "[global]\nindex-url = "), "\n"),
		} {
			u, err := url.Parse(text)
			if err != nil {
				t.Errorf("%q: %s is not a URL", test.password, key)
			} else if got, _ := u.User.Password(); got != test.password || u.RawQuery != map[string]string{"postgres": "sslmode=verify%20full"}[key] || u.Fragment != "" || strings.ContainsAny(text, " +\n") {
				t.Errorf("%q: %s has another password, or more than that", test.password, key)
			}
		}
		if got := pgpassFields(t, app["pgpass"]); len(got) != 5 || got[4] != test.password || got[3] != "app user" {
			t.Errorf("%q: .pgpass has %d fields, or others", test.password, len(got))
		}
		if got := strings.Fields(app["netrc"]); len(got) != 6 || got[5] != test.token {
			t.Errorf("%q: .netrc has %d words, or others", test.token, len(got))
		}
		lines := strings.Split(app["npmrc"], "\n")
		_, quoted, _ := strings.Cut(lines[1], ":_authToken=")
		var token string
		if err := json.Unmarshal([]byte(quoted), &token); err != nil || token != test.token || len(lines) != 4 {
			t.Errorf("%q: .npmrc has another token", test.token)
		}
		_, encoded, _ := strings.Cut(lines[2], ":_auth=")
		if login, err := base64.StdEncoding.DecodeString(encoded); err != nil || string(login) != "bot:"+test.password {
			t.Errorf("%q: .npmrc has another login", test.password)
		}
		for name, user := range map[string]string{"pull": "app user", "login": "a{{b"} {
			var docker struct {
				Auths map[string]struct{ Username, Password, Auth string }
			}
			if err := json.Unmarshal([]byte(secrets[name][".dockerconfigjson"]), &docker); err != nil {
				t.Errorf("%q: a pull secret is not JSON", test.password)
			}
			if got := docker.Auths["ghcr.io"]; got.Username != user || got.Password != test.password || got.Auth != base64.StdEncoding.EncodeToString([]byte(user+":"+test.password)) {
				t.Errorf("%q: a pull secret has another login", test.password)
			}
		}
		for key, got := range map[string]string{"basic": secrets["basic"]["password"], "spring": secrets["spring"]["spring.datasource.password"]} {
			if got != test.password {
				t.Errorf("%q: %s has another password", test.password, key)
			}
		}
		for what, got := range map[string]bool{
			"pgpass": slices.Equal(pgpassFields(t, secrets["literals"]["pgpass"]), []string{"*", "*", "a{{b:c", `d\e`, test.password}),
			"netrc":  secrets["literals"]["netrc"] == "machine git.example login a{{b password "+test.token+"\n",
			"spring": secrets["mysql-spring"]["spring.datasource.url"] == "jdbc:mysql://db.internal:3306/app" && secrets["mysql-spring"]["spring.datasource.username"] == "a{{b",
			"rails":  strings.HasPrefix(secrets["mysql-rails"]["DATABASE_URL"], "trilogy://rails:") && strings.HasSuffix(secrets["mysql-rails"]["DATABASE_URL"], "@db.internal:3306/app"),
		} {
			if !got {
				t.Errorf("the literals of %s are others", what)
			}
		}
	}
	for _, test := range []struct{ password, token, want string }{
		{"Quartz7\nlantern-Brine", "tok-7f3k29dk20sk3", "VG2006: DB_PASSWORD does not match its pattern"},
		{"Quartz7\rlantern-Brine", "tok-7f3k29dk20sk3", "VG2006: DB_PASSWORD does not match its pattern"},
		{"Quartz7-lantern-Brine", "tok-7f3k 29dk20sk3", "VG2006: MAYBE_NOT does not match its pattern"},
		{"Quartz7-lantern-Brine", `tok-7f3k\29dk20sk3`, "VG2006: MAYBE_NOT does not match its pattern"},
	} {
		t.Setenv("DB_PASSWORD", test.password)
		t.Setenv("MAYBE_NOT", test.token)
		if code, stdout, stderr := victorgen(t, "build", filepath.Join(writeKit(t, ""), "envs/test")); code != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("exit %d without %q\n%s%s", code, test.want, stdout, stderr)
		}
	}
}

// pgpassFields reads the one line of a .pgpass as libpq does
// (https://www.postgresql.org/docs/current/libpq-pgpass.html).
func pgpassFields(t *testing.T, text string) []string {
	t.Helper()
	line, rest, _ := strings.Cut(text, "\n")
	if rest != "" {
		t.Error(".pgpass has more than one line")
	}
	fields := []string{""}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == ':':
			fields = append(fields, "")
			continue
		case c == '\\' && i+1 < len(line):
			i++
		}
		fields[len(fields)-1] += string(line[i : i+1])
	}
	return fields
}
