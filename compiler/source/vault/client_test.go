package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// recorder answers with statuses, the last of them for ever, and notes what it is asked.
type recorder struct {
	mu       sync.Mutex
	statuses []int
	location string // of those that send on
	asked    []string
	peer     string // who the client says it is, by its certificate
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	header := maps.Clone(req.Header)
	for _, own := range []string{"User-Agent", "Accept-Encoding", "Content-Length"} {
		header.Del(own)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprint(req.Method, " ", req.RequestURI, " ", header, " ", string(body)))
	if req.TLS != nil && len(req.TLS.PeerCertificates) > 0 {
		r.peer = req.TLS.PeerCertificates[0].Subject.String()
	}
	status := http.StatusOK
	if len(r.statuses) > 0 {
		status = r.statuses[0]
		if len(r.statuses) > 1 {
			r.statuses = r.statuses[1:]
		}
	}
	if status >= 300 && status < 400 {
		w.Header().Set("Location", r.location)
	}
	w.WriteHeader(status)
	fmt.Fprint(w, `{"data":{"value":"v"}}`)
}

// theirs is Vault's own client, set up as ours is.
func theirs(s plan.Source) (*api.Client, error) {
	config := api.DefaultConfig()
	config.Address, config.MaxRetries, config.MinRetryWait, config.MaxRetryWait, config.CheckRetry = "", maxRetries, minWait, maxWait, theirPolicy
	if err := config.ReadEnvironment(); err != nil {
		return nil, err
	}
	if s.Address != "" {
		config.Address = s.Address
	}
	if s.CABundle != "" {
		if err := config.ConfigureTLS(&api.TLSConfig{CACertBytes: []byte(s.CABundle)}); err != nil {
			return nil, err
		}
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	if s.Namespace != "" {
		client.SetNamespace(s.Namespace)
	}
	return client, nil
}

// theirPolicy is that of Vault's client, but for what ours does not try again.
func theirPolicy(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" || err == nil && resp.StatusCode == http.StatusServiceUnavailable {
		return false, err
	}
	return api.DefaultRetryPolicy(ctx, resp, err)
}

// TestLikeVault: what our client asks of a server, after whatever the environment says,
// is what Vault's own asks.
func TestLikeVault(t *testing.T) {
	r := &recorder{}
	plain := httptest.NewServer(r)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(r)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	secure.StartTLS()
	defer secure.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	key, err := x509.MarshalPKCS8PrivateKey(secure.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pair := map[string]string{
		"VAULT_CLIENT_CERT": file("client.pem", authority), "VAULT_CLIENT_KEY": file("client.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
		"VAULT_CACERT_BYTES": authority,
	}
	socket := filepath.Join(dir, "vault.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: r}
	go local.Serve(l)
	defer local.Close()

	type env = map[string]string
	few := env{"VAULT_MAX_RETRIES": "1"}
	for name, test := range map[string]struct {
		at       plan.Source
		env      env
		statuses []int
		location string
	}{
		"as it is":                      {at: plan.Source{Address: plain.URL}},
		"of the environment":            {env: env{"VAULT_ADDR": plain.URL, "VAULT_NAMESPACE": "team-a"}},
		"namespace of the contract":     {at: plan.Source{Address: plain.URL, Namespace: "team-b/x"}, env: env{"VAULT_NAMESPACE": "team-a"}},
		"an agent":                      {at: plan.Source{Address: "http://127.0.0.1:1"}, env: env{"VAULT_AGENT_ADDR": plain.URL}},
		"a socket":                      {env: env{"VAULT_ADDR": "unix://" + socket}},
		"a proxy":                       {at: plan.Source{Address: "http://vault.invalid:8200"}, env: env{"VAULT_HTTP_PROXY": plain.URL}},
		"two proxies":                   {at: plan.Source{Address: "http://vault.invalid"}, env: env{"VAULT_HTTP_PROXY": "http://127.0.0.1:1", "VAULT_PROXY_ADDR": plain.URL}},
		"below a path":                  {at: plan.Source{Address: plain.URL + "/vault/"}},
		"a user":                        {at: plan.Source{Address: strings.Replace(plain.URL, "//", "//user:c4nary@", 1)}},
		"headers":                       {at: plan.Source{Address: plain.URL}, env: env{"VAULT_HEADERS": `{"x-team":"a","Accept-Language":"de"}`}},
		"headers, no object":            {at: plan.Source{Address: plain.URL}, env: env{"VAULT_HEADERS": `[]`}},
		"headers, no text":              {at: plan.Source{Address: plain.URL}, env: env{"VAULT_HEADERS": `{"x-team":1}`}},
		"headers of its own":            {at: plan.Source{Address: plain.URL}, env: env{"VAULT_HEADERS": `{"X-Vault-Token":"c4nary"}`}},
		"no token":                      {at: plan.Source{Address: plain.URL}, env: env{"VAULT_TOKEN": ""}},
		"rate limit":                    {at: plan.Source{Address: plain.URL}, env: env{"VAULT_RATE_LIMIT": "100:3"}},
		"rate limit, bad":               {at: plan.Source{Address: plain.URL}, env: env{"VAULT_RATE_LIMIT": "often"}},
		"no retries":                    {at: plan.Source{Address: plain.URL}, env: env{"VAULT_MAX_RETRIES": "0"}, statuses: []int{500, 200}},
		"one retry":                     {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{500, 502, 200}},
		"retries, bad":                  {at: plan.Source{Address: plain.URL}, env: env{"VAULT_MAX_RETRIES": "-1"}},
		"throttled":                     {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{429, 200}},
		"not yet there":                 {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{412, 200}},
		"no such method":                {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{501}},
		"sealed":                        {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{503}},
		"standby":                       {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{473}},
		"denied":                        {at: plan.Source{Address: plain.URL}, env: few, statuses: []int{403}},
		"sent on by 301":                {at: plan.Source{Address: plain.URL}, statuses: []int{301, 200}, location: plain.URL + "/v1/active"},
		"sent on by 302":                {at: plan.Source{Address: plain.URL}, statuses: []int{302, 200}, location: plain.URL + "/v1/active"},
		"sent on by 307":                {at: plan.Source{Address: plain.URL}, statuses: []int{307, 200}, location: "/v1/active"},
		"sent on by 308":                {at: plan.Source{Address: plain.URL}, statuses: []int{308, 200}, location: "/v1/active"},
		"sent on twice":                 {at: plan.Source{Address: plain.URL}, statuses: []int{307, 307, 200}, location: "/v1/active"},
		"sent nowhere":                  {at: plan.Source{Address: plain.URL}, statuses: []int{307, 200}},
		"not to be sent on":             {at: plan.Source{Address: plain.URL}, env: env{"VAULT_DISABLE_REDIRECTS": "true"}, statuses: []int{307, 200}, location: "/v1/active"},
		"sent on, bad":                  {at: plan.Source{Address: plain.URL}, env: env{"VAULT_DISABLE_REDIRECTS": "maybe"}},
		"sent on to no TLS":             {at: plan.Source{Address: secure.URL, CABundle: authority}, statuses: []int{307, 200}, location: plain.URL},
		"authority of the contract":     {at: plan.Source{Address: secure.URL, CABundle: authority}},
		"authority, text":               {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CACERT_BYTES": authority}},
		"authority, file":               {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CACERT": pair["VAULT_CLIENT_CERT"], "VAULT_CAPATH": "/none"}},
		"authority, directory":          {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CAPATH": filepath.Dir(filepath.Dir(file("ca/below/ca.pem", authority)))}},
		"authority, no text":            {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CACERT_BYTES": "c4nary"}},
		"authority, no file":            {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CACERT": filepath.Join(dir, "none")}},
		"authority, no directory":       {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CAPATH": filepath.Join(dir, "none")}},
		"authority, bad directory":      {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CAPATH": filepath.Dir(file("bad/ca.pem", "c4nary"))}},
		"no authority":                  {at: plan.Source{Address: secure.URL}, env: few},
		"no check":                      {at: plan.Source{Address: secure.URL}, env: env{"VAULT_SKIP_VERIFY": "1"}},
		"no check, bad":                 {at: plan.Source{Address: secure.URL}, env: env{"VAULT_SKIP_VERIFY": "perhaps"}},
		"name of the server":            {at: plan.Source{Address: secure.URL, CABundle: authority}, env: env{"VAULT_TLS_SERVER_NAME": "example.com"}},
		"another name":                  {at: plan.Source{Address: secure.URL, CABundle: authority}, env: env{"VAULT_TLS_SERVER_NAME": "example.org", "VAULT_MAX_RETRIES": "0"}},
		"certificate of the client":     {at: plan.Source{Address: secure.URL}, env: pair},
		"certificate of the client, 1":  {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CLIENT_CERT": pair["VAULT_CLIENT_CERT"]}},
		"certificate of the client, 2":  {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CLIENT_KEY": pair["VAULT_CLIENT_KEY"]}},
		"certificate of the client, no": {at: plan.Source{Address: secure.URL}, env: env{"VAULT_CLIENT_CERT": dir, "VAULT_CLIENT_KEY": dir}},
		"no TLS there":                  {at: plan.Source{Address: strings.Replace(plain.URL, "http:", "https:", 1)}, env: env{"VAULT_MAX_RETRIES": "0"}},
		"a service, which is not there": {at: plan.Source{Address: plain.URL}, env: env{"VAULT_SRV_LOOKUP": "true"}},
		"a service, bad":                {at: plan.Source{Address: plain.URL}, env: env{"VAULT_SRV_LOOKUP": "c4nary"}},
		"timeout":                       {at: plan.Source{Address: plain.URL}, env: env{"VAULT_CLIENT_TIMEOUT": "30"}},
		"timeout, bad":                  {at: plan.Source{Address: plain.URL}, env: env{"VAULT_CLIENT_TIMEOUT": "long"}},
		"token with a line break":       {at: plan.Source{Address: plain.URL}, env: env{"VAULT_TOKEN": "c4nary\n"}},
		"no URL":                        {at: plan.Source{Address: "http://u:c4nary@host:c4nary"}},
		"no scheme":                     {at: plan.Source{Address: "vault.example"}, env: few},
		"proxy that is no URL":          {at: plan.Source{Address: plain.URL}, env: env{"VAULT_PROXY_ADDR": "http://u:c4nary@host:c4nary"}},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, v := range test.env {
				t.Setenv(variable, v)
			}
			// asked is what a client comes to ask, and whether it got an answer.
			asked := func(do func() (put, get error)) []string {
				r.asked, r.statuses, r.location, r.peer = nil, test.statuses, test.location, ""
				put, get := do()
				r.mu.Lock()
				defer r.mu.Unlock()
				for _, err := range []error{put, get} {
					if err != nil && strings.Contains(err.Error(), "c4nary") {
						r.asked = append(r.asked, "quoted")
					}
				}
				return append(r.asked, fmt.Sprint("put: ", put == nil, ", get: ", get == nil), r.peer)
			}
			const at = "team/kv/data/a b/ü%?#"
			body := map[string]any{"data": map[string]any{"<&>": "v"}, "options": map[string]any{"cas": 3}}
			query := url.Values{"version": {"2"}, "list": {"a b&c"}}
			got := asked(func() (put, get error) {
				c, err := connect(test.at)
				if err != nil {
					return err, err
				}
				_, put = c.call(t.Context(), at, nil, body)
				_, get = c.call(t.Context(), at+"/", query, nil)
				return put, get
			})
			want := asked(func() (put, get error) {
				c, err := theirs(test.at)
				if err == nil {
					_, put = c.Logical().WriteWithContext(t.Context(), at, body)
					_, get = c.Logical().ReadRawWithDataWithContext(t.Context(), at+"/", query)
				} else {
					put, get = err, err
				}
				for _, err := range []*error{&put, &get} { // ours must not quote what theirs does
					if *err != nil {
						*err = io.EOF
					}
				}
				return put, get
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-theirs +ours)\n%s", diff)
			}
		})
	}
}

// TestLikeVaultsNumbers: durations and rates are those that Vault's client reads, and
// what it does not read, ours does not.
func TestLikeVaultsNumbers(t *testing.T) {
	at := plan.Source{Address: "http://127.0.0.1:1"}
	for _, v := range []string{"", "0", "1", "60", "90s", "1m30s", "2h", "1d", "3d", "0s", "1.5h", " 1", "1 m", "d", "-d", "m", "1e3", "0x10", "1w"} {
		t.Setenv("VAULT_CLIENT_TIMEOUT", v)
		ours, err := newClient(at)
		theirs, theirErr := theirs(at)
		if (err == nil) != (theirErr == nil) || err == nil && ours.timeout != theirs.ClientTimeout() {
			t.Errorf("timeout %q: %v, theirs: %v", v, err, theirErr)
		}
	}
	t.Setenv("VAULT_CLIENT_TIMEOUT", "")
	for _, v := range []string{"", "1", "10", "10:20", "2.5", "2.5:7", "1e2", "a", ":", "1:", ":1", "1:a", "1 2"} {
		t.Setenv("VAULT_RATE_LIMIT", v)
		ours, err := newClient(at)
		theirs, theirErr := theirs(at)
		if (err == nil) != (theirErr == nil) {
			t.Errorf("rate %q: %v, theirs: %v", v, err, theirErr)
			continue
		}
		if err != nil {
			continue
		}
		if (ours.limit == nil) != (theirs.Limiter() == nil) || ours.limit != nil && (ours.limit.Limit() != theirs.Limiter().Limit() || ours.limit.Burst() != theirs.Limiter().Burst()) {
			t.Errorf("rate %q: %v, theirs: %v", v, ours.limit, theirs.Limiter())
		}
	}
}

// TestClientTimeout: VAULT_CLIENT_TIMEOUT ends a call, and so does the end of the run.
func TestClientTimeout(t *testing.T) {
	s := newServer(t)
	arrived := make(chan struct{}, 1)
	s.hang = arrived
	t.Setenv("VAULT_CLIENT_TIMEOUT", "200ms")
	kv := New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	if got := read(t.Context(), kv, "db#value"); !strings.Contains(got, "there was no answer in time") {
		t.Error(got)
	}
	t.Setenv("VAULT_CLIENT_TIMEOUT", "-1s") // as for Vault's client: no end
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if got := read(ctx, New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"}), "db#value"); !strings.Contains(got, "interrupted") {
		t.Error(got)
	}
}

// TestRate: calls wait for their turn, and give up where it comes too late.
func TestRate(t *testing.T) {
	s := newServer(t)
	t.Setenv("VAULT_RATE_LIMIT", "0.001:1")
	c, err := newClient(plan.Source{Address: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(plan.Source{Mount: "secret", Version: "v2"})
	if _, err := c.call(t.Context(), "auth/token/lookup-self", nil, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = c.call(ctx, "auth/token/lookup-self", nil, nil)
	if err == nil || !strings.Contains(e.failure(ctx, err, "").Error(), "no answer in time") || s.calls != 1 {
		t.Errorf("%v after %d calls", err, s.calls)
	}
}

// TestAllThatIsWrong: whatever is wrong with the environment is told at once, without
// what it says.
func TestAllThatIsWrong(t *testing.T) {
	names := []string{
		"VAULT_MAX_RETRIES", "VAULT_CLIENT_TIMEOUT", "VAULT_RATE_LIMIT", "VAULT_SRV_LOOKUP", "VAULT_DISABLE_REDIRECTS", "VAULT_SKIP_VERIFY",
		"VAULT_CACERT_BYTES", "VAULT_HEADERS",
	}
	for _, name := range names {
		t.Setenv(name, "c4nary")
	}
	t.Setenv("VAULT_PROXY_ADDR", "http://c4nary:c4nary@:c4nary")
	got := read(t.Context(), New(plan.Source{Address: "http://127.0.0.1:1", Mount: "secret", Version: "v2"}), "db#value")
	for _, name := range append(names, "VAULT_PROXY_ADDR") {
		if !strings.Contains(got, name+" ") {
			t.Errorf("%s is not in %s", name, got)
		}
	}
	if strings.Contains(got, "c4nary") {
		t.Error(got)
	}
}

// helperFiles are shapes of ~/.vault. AT is a program that prints a token.
var helperFiles = []string{
	"", "\n", "# nothing\n", "token_helper = \"AT\"", "token_helper=\"AT\"\n", "\n# a\n// b\n/* c\n d */\ntoken_helper = \"AT\" # e\n", "token_helper = \"AT\" // e",
	"\"token_helper\" = \"AT\"", "token_helper = \"\"", "{\"token_helper\": \"AT\"}", " \n{ }", "{\"token_helper\": \"\"}",
	"token_helper", "= \"AT\"", "token_helper = \"AT", "other = \"AT\"", "token_helper = \"AT\"\nother = \"x\"", "token_helper = \"AT\"\ntoken_helper = \"AT\"",
	"{\"other\": \"AT\"}", "{\"token_helper\": [\"AT\"", "c4nary password", "token_helper = \"/none/at/all\"", "token_helper = \"\\q\"", "$ANSIBLE_VAULT;1.1;AES256\n6162",
	"token_helper = \"${AT}\"", "token_helper : \"AT\"", "\xef\xbb\xbftoken_helper = \"AT\"", "/* token_helper = \"AT\"", "token_helper = 'AT'", "token_helper = `AT`",
}

// TestLikeVaultsLogin: the token of the last login is that which the program vault finds.
func TestLikeVaultsLogin(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program of the test is a shell script")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "helper")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf 'hvs.of-the-helper %s' \"$1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	file, login := filepath.Join(dir, "vault.hcl"), filepath.Join(os.Getenv("HOME"), ".vault-token")
	t.Setenv("VAULT_CONFIG_PATH", file)
	if err := os.WriteFile(login, []byte("hvs.of-the-login\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(login)
	for _, text := range helperFiles {
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "AT", program)), 0o600); err != nil {
			t.Fatal(err)
		}
		var want string
		helper, wantErr := cliconfig.DefaultTokenHelper()
		if wantErr == nil {
			want, wantErr = helper.Get()
		}
		if got, err := kept(); got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: %q, %v, theirs: %q, %v", text, got, err, want, wantErr)
		}
	}
}

// FuzzTokenHelper: what is read of a ~/.vault is what the program vault reads of it.
func FuzzTokenHelper(f *testing.F) {
	for _, text := range helperFiles {
		f.Add([]byte(text))
	}
	file := filepath.Join(f.TempDir(), "vault.hcl")
	f.Setenv("VAULT_CONFIG_PATH", file)
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := tokenHelper(text)
		if err != nil {
			return // there is HCL that ours does not read
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		helper, err := cliconfig.DefaultTokenHelper()
		switch {
		case err != nil && strings.Contains(err.Error(), "external helper path"): // there is no such program
			if got == "" {
				t.Errorf("%q: nothing, theirs is a program", text)
			}
		case err != nil:
			t.Errorf("%q: %q, theirs: %v", text, got, err)
		case (got == "") != strings.HasSuffix(helper.Path(), ".vault-token") && helper.Path() != "":
			t.Errorf("%q: %q, theirs: %q", text, got, helper.Path())
		}
	})
}
