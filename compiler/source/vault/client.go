package vault

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/time/rate"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// Calls of the API over HTTP (https://developer.hashicorp.com/vault/api-docs), as
// Vault's own client makes them, which TestLikeVault holds this one to. That client
// has another 28 packages, HCL's among them, which every user would pay for.

// maxAnswer is as much as a server lets a request have, unless it is told otherwise
// (https://developer.hashicorp.com/vault/docs/configuration/listener/tcp#max_request_size).
const maxAnswer = 32 << 20

// What is throttled is tried again up to nine times in about half a minute, at
// first soon: a rate limit quota counts by the second if no one has set it
// otherwise (https://developer.hashicorp.com/vault/api-docs/system/rate-limit-quotas).
const (
	maxRetries = 9
	minWait    = 200 * time.Millisecond
	maxWait    = time.Second
)

// client calls a server.
type client struct {
	http      *http.Client
	address   *url.URL
	service   bool // that the server may have to be looked up, as a service in DNS
	token     string
	namespace string
	headers   map[string]string // of VAULT_HEADERS
	retries   int
	timeout   time.Duration // of a call with all its retries
	limit     *rate.Limiter // may be nil
	redirects bool          // that one is followed
}

// newClient returns a client of the server, namespace and authorities of at, or else
// of VAULT_ADDR, VAULT_NAMESPACE and VAULT_CACERT, and of what else the environment
// says (https://developer.hashicorp.com/vault/docs/commands#environment-variables).
// It makes no call. Its error is a *source.Failure, of all that is wrong at once.
func newClient(at plan.Source) (*client, error) {
	c := &client{retries: maxRetries, timeout: time.Minute}
	var e environment
	var address, agent string
	var ends bool
	e.text("VAULT_ADDR", &address)
	e.text("VAULT_AGENT_ADDR", &agent)
	e.text("VAULT_TOKEN", &c.token)
	e.text("VAULT_NAMESPACE", &c.namespace)
	e.read("VAULT_HEADERS", c.setHeaders)
	e.read("VAULT_MAX_RETRIES", c.setRetries)
	e.read("VAULT_CLIENT_TIMEOUT", c.setTimeout)
	e.read("VAULT_RATE_LIMIT", c.setLimit)
	e.boolean("VAULT_SRV_LOOKUP", &c.service)
	e.boolean("VAULT_DISABLE_REDIRECTS", &ends)
	c.redirects = !ends
	transport := cleanhttp.DefaultPooledTransport()
	transport.TLSClientConfig = e.tls(at.CABundle)
	proxy := func(v string) error {
		u, err := url.Parse(v)
		if err != nil {
			return errNoURL
		}
		transport.Proxy = http.ProxyURL(u)
		return nil
	}
	e.read("VAULT_HTTP_PROXY", proxy)
	e.read("VAULT_PROXY_ADDR", proxy) // which counts if both are set
	c.namespace = cmp.Or(at.Namespace, c.namespace)

	if address = cmp.Or(agent, at.Address, address); address != "" {
		var err error
		if c.address, err = url.Parse(address); err != nil || c.address.Scheme != "unix" && (c.address.Scheme != "http" && c.address.Scheme != "https" || c.address.Host == "") {
			e.wrong = append(e.wrong, "the address of Vault "+errNoURL.Error())
		}
	}
	switch {
	case len(e.wrong) > 0:
		return nil, unusable(e.wrong...)
	case address == "":
		return nil, &source.Failure{
			Reason: "it is not known where Vault is", Remedy: "set VAULT_ADDR, or write address into the contract", Unreadable: true,
		}
	}
	if socket, ok := strings.CutPrefix(address, "unix://"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
		c.address = &url.URL{Scheme: "http", Host: "localhost"}
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// environment reads variables, and collects what is wrong with them: their names, and
// never what they say.
type environment struct{ wrong []string }

// read gives to what a variable says, if it says anything.
func (e *environment) read(name string, to func(v string) error) {
	if v := os.Getenv(name); v != "" {
		if err := to(v); err != nil {
			e.wrong = append(e.wrong, name+" "+source.Line(err.Error()))
		}
	}
}

func (e *environment) text(name string, to *string) {
	e.read(name, func(v string) error { *to = v; return nil })
}

func (e *environment) boolean(name string, to *bool) {
	e.read(name, func(v string) (err error) {
		if *to, err = strconv.ParseBool(v); err != nil {
			return errors.New("is neither true nor false")
		}
		return nil
	})
}

// tls returns whom to trust, which is for bundle to say, if it is not empty, and who we
// are.
func (e *environment) tls(bundle string) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	e.text("VAULT_TLS_SERVER_NAME", &t.ServerName)
	e.boolean("VAULT_SKIP_VERIFY", &t.InsecureSkipVerify)
	authorities := func(add func(pool *x509.CertPool, v string) error) func(string) error {
		return func(v string) error {
			t.RootCAs = x509.NewCertPool()
			return add(t.RootCAs, v)
		}
	}
	switch { // the first counts, and no other is looked at
	case bundle != "":
		if err := authorities(addPEM)(bundle); err != nil {
			e.wrong = append(e.wrong, "caBundle of the contract "+err.Error())
		}
	case os.Getenv("VAULT_CACERT") != "":
		e.read("VAULT_CACERT", authorities(addFile))
	case os.Getenv("VAULT_CACERT_BYTES") != "":
		e.read("VAULT_CACERT_BYTES", authorities(addPEM))
	default:
		e.read("VAULT_CAPATH", authorities(addDirectory))
	}
	var certificate, key string
	e.text("VAULT_CLIENT_CERT", &certificate)
	e.text("VAULT_CLIENT_KEY", &key)
	switch pair, err := tls.LoadX509KeyPair(certificate, key); {
	case certificate == "" && key == "":
	case certificate == "" || key == "":
		e.wrong = append(e.wrong, "of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY, only one is set")
	case err != nil:
		e.wrong = append(e.wrong, "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY are not a pair that can be used: "+source.Line(err.Error()))
	default: // whatever authorities the server says it accepts: those of its method cert need not be among them
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return t
}

var (
	errNoURL = errors.New("is not a valid URL") // what url.Parse says could quote a password
	errNoPEM = errors.New("has no certificate in PEM")
)

// checkToken refuses a token that no header can carry: with a line break in it, say.
func (c *client) checkToken() error {
	if strings.ContainsFunc(c.token, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return unusable("the token has characters that can't be printed")
	}
	return nil
}

// setHeaders takes headers from a JSON object. Those of Vault's own are not for anyone
// to set.
func (c *client) setHeaders(v string) error {
	if json.Unmarshal([]byte(v), &c.headers) != nil {
		return errors.New("is not a JSON object of strings")
	}
	for name := range c.headers {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "X-Vault-") {
			return errors.New("has a header X-Vault-*, which are for Vault's client to set")
		}
	}
	return nil
}

func (c *client) setRetries(v string) error {
	n, err := strconv.ParseUint(v, 10, 31)
	if c.retries = int(n); err != nil {
		return errors.New("is not a number of retries")
	}
	return nil
}

// setTimeout takes seconds, days ("1d"), or a duration as Go writes it. Zero is the
// default.
func (c *client) setTimeout(v string) error {
	d, err := time.ParseDuration(v)
	if seconds, number := strconv.ParseInt(v, 10, 32); number == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	} else if days, ok := strings.CutSuffix(v, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil {
		return errors.New("is not a duration, such as 60 or 1m")
	}
	if d != 0 {
		c.timeout = d
	}
	return nil
}

// setLimit takes calls per second, and after a colon how many of them may come at once.
// Zero is no limit.
func (c *client) setLimit(v string) error {
	var perSecond float64
	var burst int
	if _, err := fmt.Sscanf(v, "%f:%d", &perSecond, &burst); err != nil {
		if perSecond, err = strconv.ParseFloat(v, 64); err != nil {
			return errors.New("is not a number of calls per second, such as 10 or 10:20")
		}
		burst = int(perSecond)
	}
	if perSecond > 0 {
		c.limit = rate.NewLimiter(rate.Limit(perSecond), max(1, burst))
	}
	return nil
}

func addPEM(pool *x509.CertPool, text string) error {
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return errNoPEM
	}
	return nil
}

func addFile(pool *x509.CertPool, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("can't be read: %w", err)
	}
	return addPEM(pool, string(text))
}

// addDirectory adds what all files below a directory have.
func addDirectory(pool *x509.CertPool, dir string) error {
	return filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("can't be read: %w", err)
		}
		if info, err := os.Stat(file); err == nil && info.IsDir() { // a link to one as well, as Kubernetes mounts Secrets
			return nil
		}
		if err := addFile(pool, file); err != nil {
			return fmt.Errorf("has the file %s, which %w", file, err)
		}
		return nil
	})
}

// unusable explains what keeps the client from making any call.
func unusable(wrong ...string) *source.Failure {
	return &source.Failure{
		Reason: "the settings of Vault's client can't be used: " + strings.Join(wrong, "; "),
		Remedy: "check the environment variables VAULT_*", Unreadable: true,
	}
}

// response is what the API answers, whatever is asked.
type response struct {
	Data   json.RawMessage // nil if there is none
	Errors []string
	status int // 200, or 404 of a GET
}

// refusal is an error that the API answers
// (https://developer.hashicorp.com/vault/api-docs#http-status-codes).
type refusal struct {
	of     string // GET or PUT
	status int
	said   string // of a PUT, it may quote what was sent
}

func (r *refusal) Error() string { return fmt.Sprintf("Vault answers %d", r.status) }

// call makes a call of the API, again where that may help: GET if in is nil, else PUT.
// That a GET finds nothing, 404, is an answer. Its error is a *refusal, a
// *source.Failure, or one that source.Network explains.
func (c *client) call(ctx context.Context, at string, query url.Values, in any) (*response, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	method := http.MethodGet
	var body any // []byte, or nothing
	if in != nil {
		method = http.MethodPut
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = text
	}
	target := *c.address
	target.Path, target.RawPath, target.RawQuery = path.Join(c.address.Path, "/v1/"+at), "", query.Encode()
	if c.service && target.Port() == "" {
		if _, found, err := net.DefaultResolver.LookupSRV(ctx, "http", "tcp", target.Hostname()); err == nil && len(found) > 0 {
			target.Host = fmt.Sprintf("%s:%d", found[0].Target, found[0].Port)
		}
	}
	resp, err := c.send(ctx, method, &target, c.address.Host, body)
	if err != nil {
		return nil, err
	}
	// A standby sends its callers on to the active server, and that is where it ends
	// (https://developer.hashicorp.com/vault/docs/concepts/ha).
	if s := resp.StatusCode; c.redirects && (s == http.StatusMovedPermanently || s == http.StatusFound || s == http.StatusTemporaryRedirect) {
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			return nil, strange()
		}
		if target.Scheme == "https" && to.Scheme != "https" {
			return nil, &source.Failure{
				Reason: "Vault sends the call on to an address without TLS", Remedy: "check api_addr in the configuration of the server, or a proxy", Unreadable: true,
			}
		}
		if resp, err = c.send(ctx, method, to, to.Host, body); err != nil {
			return nil, err
		}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	out := &response{status: resp.StatusCode}
	readable := len(text) <= maxAnswer && json.Unmarshal(text, out) == nil
	if string(out.Data) == "null" {
		out.Data = nil
	}
	switch {
	case out.status >= 400 && (out.status != http.StatusNotFound || method != http.MethodGet):
		r := &refusal{of: method, status: out.status}
		if readable { // else it is someone else who says it
			r.said = source.Line(strings.Join(out.Errors, " "))
		}
		return nil, r
	case !readable:
		return nil, strange() // the error of the decoder could quote it
	}
	return out, nil
}

// send sends one request, and again up to so many times.
func (c *client) send(ctx context.Context, method string, to *url.URL, host string, body any) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, strange() // where it sends the call on to
	}
	req.Host = host
	for name, v := range c.headers {
		req.Header.Add(name, v)
	}
	req.Header.Set("X-Vault-Request", "true") // which an agent may insist on
	if c.namespace != "" {
		req.Header.Set("X-Vault-Namespace", c.namespace)
	}
	if c.token != "" {
		req.Header.Set("X-Vault-Token", c.token)
	}
	if c.limit != nil {
		if err := c.limit.Wait(ctx); err != nil {
			return nil, context.DeadlineExceeded // before there would be time for it
		}
	}
	retrying := &retryablehttp.Client{
		HTTPClient:   c.http,
		RetryWaitMin: minWait,
		RetryWaitMax: maxWait,
		RetryMax:     c.retries,
		CheckRetry:   worthwhile,
		Backoff:      retryablehttp.RateLimitLinearJitterBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return retrying.Do(req)
}

// worthwhile is the policy of Vault's client for trying again, but for two cases that
// do not get better in seconds: no one is there, which an address with a slip
// looks like; and 503, by which Vault says that it is sealed or down for
// maintenance (https://developer.hashicorp.com/vault/api-docs#http-status-codes).
func worthwhile(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return false, err
	}
	if err == nil {
		switch resp.StatusCode {
		case http.StatusServiceUnavailable:
			return false, nil
		case http.StatusTooManyRequests:
			source.Delayed(ctx, throttles())
		case http.StatusPreconditionFailed: // it does not yet have what was written elsewhere
			return true, nil
		}
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}
