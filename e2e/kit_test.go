package e2e

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kitContract is what clients read here. PORT is where they find their server.
const kitContract = `package app

import (
	"github.com/victor-ai/victorgen/schema"
	"github.com/victor-ai/victorgen/schema/kit"
)

schema.#Environment

environment: "kit"
namespace:   "apps"
delivery: certificate: "demo-sealing-cert.pem"

inputs: {
	DB_PASSWORD: schema.#Required & kit.#Line
	TOKEN:       schema.#Required & kit.#Word
	DB_USER: schema.#Setting & {default: "app: user\\"}
	DB_NAME: schema.#Setting & {default: "app/db"}
	DB_PORT: schema.#Setting & {default: "PORT"}
}
secrets: clients: keys: {
	url:    kit.#PostgreSQL & {#user: "DB_USER", #password: "DB_PASSWORD", #host: {value: "127.0.0.1"}, #port: "DB_PORT", #database: "DB_NAME", #query: sslmode: {value: "disable"}}
	pgpass: kit.#Pgpass & {#entries: [{host: {value: "127.0.0.1"}, port: "DB_PORT", user: "DB_USER", password: "DB_PASSWORD"}]}
	netrc:  kit.#Netrc & {#machines: "127.0.0.1": {user: {value: "bot"}, password: "TOKEN"}}
	pip:    kit.#PipConf & {#host: {value: "pypi.example"}, #login: {user: {value: "bot"}, password: "DB_PASSWORD"}}
}
`

// TestKit: libpq, curl, Python and pip read what the kit makes of values with all
// sorts of characters, as they were.
func TestKit(t *testing.T) {
	t.Parallel()
	for program, pkg := range map[string]string{"psql": "postgresql-client", "curl": "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not on the PATH: it is in Debian's package %s", program, pkg)
		}
	}
	python := pythonPrograms(t, "PyJWT", pyJWTVersion, "cryptography=="+cryptographyVersion, "bcrypt=="+bcryptVersion)
	for _, test := range []struct{ password, token string }{
		{`p@ss:/?#[]%+ é"'\`, `p@ss:/?#[]%+é';=&<>$`},
		{`Quartz7 ß; a#b ${HOME} %20%zz {{.DB_NAME}} \: \\`, `{{.DB_NAME}}#Quartz7-lantern`},
		{`'Quartz7-lantern-Brine'`, `'Quartz7-lantern-Brine'`},
	} {
		database, asked := postgres(t)
		_, port, err := net.SplitHostPort(database)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		certificate, err := os.ReadFile("../examples/gallery/demo-sealing-cert.pem")
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"cue.mod/module.cue": "module: \"kit.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
			"env.cue":            strings.ReplaceAll(kitContract, "PORT\"}", port+"\"}"), "demo-sealing-cert.pem": string(certificate),
		} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if out, errs, code := victorgen(t, dir, []string{"DB_PASSWORD=" + test.password, "TOKEN=" + test.token}, "build", "."); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		kit := unsealed(t, filepath.Join(dir, "deploy", "kit"))["clients"]
		file := func(key string) string {
			path := filepath.Join(dir, key)
			if err := os.WriteFile(path, kit[key], 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		run := func(env []string, name string, args ...string) string {
			cmd := exec.Command(name, args...)
			cmd.Env = append(os.Environ(), env...)
			out, _ := cmd.Output() // psql is sent away by its server
			return string(out)
		}
		heard := func() login {
			select {
			case got := <-asked:
				return got
			case <-time.After(time.Minute):
				return login{}
			}
		}
		want := login{`app: user\`, "app/db", test.password}

		run([]string{"PGPASSFILE=" + os.DevNull}, "psql", "-Xw", string(kit["url"]), "-c", "select 1")
		if got := heard(); got != want {
			t.Errorf("%q: libpq reads another URL", test.password)
		}
		run([]string{"PGPASSFILE=" + file("pgpass"), "PGUSER=" + want.user, "PGDATABASE=" + want.database, "PGSSLMODE=disable"}, "psql", "-Xw", "-h", "127.0.0.1", "-p", port, "-c", "select 1")
		if got := heard(); got != want {
			t.Errorf("%q: libpq reads another .pgpass", test.password)
		}

		var user, password string
		web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() }))
		run(nil, "curl", "-sS", "--netrc-file", file("netrc"), web.URL)
		web.Close()
		if user != "bot" || password != test.token {
			t.Errorf("%q: curl reads another .netrc", test.token)
		}
		if got := run(nil, filepath.Join(python, "python3"), "-c", `import netrc, sys; print(*netrc.netrc(sys.argv[1]).authenticators("127.0.0.1")[::2], sep="\n")`, file("netrc")); got != "bot\n"+test.token+"\n" {
			t.Errorf("%q: Python reads another .netrc", test.token)
		}
		_, listed, _ := strings.Cut(run([]string{"PIP_CONFIG_FILE=" + file("pip")}, filepath.Join(python, "python3"), "-m", "pip", "config", "list"), "global.index-url='")
		listed, _, _ = strings.Cut(listed, "'\n")
		index, err := url.Parse(listed)
		if err != nil {
			t.Fatal("pip has no URL")
		}
		if got, _ := index.User.Password(); got != test.password || index.Host != "pypi.example" {
			t.Errorf("%q: pip reads another index", test.password)
		}
	}
}

// login is what a client of PostgreSQL says of itself.
type login struct{ user, database, password string }

// postgres starts a server that asks for a password in plain text, and then ends
// the connection (https://www.postgresql.org/docs/current/protocol-flow.html).
func postgres(t *testing.T) (address string, asked <-chan login) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	said := make(chan login, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			got, _ := hear(c) // of a client that leaves, as far as it came
			c.Close()
			said <- got
		}
	}()
	return l.Addr().String(), said
}

// hear takes a login in.
func hear(c net.Conn) (login, error) {
	message := func(typed bool) ([]byte, error) {
		head := make([]byte, 4)
		if typed {
			head = make([]byte, 5)
		}
		if _, err := io.ReadFull(c, head); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
		_, err := io.ReadFull(c, body)
		return body, err
	}
	var start []byte
	for {
		var err error
		if start, err = message(false); err != nil {
			return login{}, err
		}
		if binary.BigEndian.Uint32(start) == 3<<16 {
			break
		}
		if _, err := c.Write([]byte("N")); err != nil { // no TLS, and no GSSAPI
			return login{}, err
		}
	}
	fields := strings.Split(strings.TrimRight(string(start[4:]), "\x00"), "\x00")
	parameters := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		parameters[fields[i]] = fields[i+1]
	}
	if _, err := c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}); err != nil {
		return login{}, err
	}
	password, err := message(true)
	return login{parameters["user"], parameters["database"], strings.TrimSuffix(string(password), "\x00")}, err
}
