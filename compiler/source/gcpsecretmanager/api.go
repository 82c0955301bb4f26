package gcpsecretmanager

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/victor-ai/victorgen/compiler/source"
)

// The five methods of the API that the source needs, over HTTP
// (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets).
// Google's client for them has another 190 packages, most of them of gRPC, which
// every user would pay for.

// scope is the one of the API.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// maxAnswer is more than any answer has: a value of 64 KiB in base64.
const maxAnswer = 1 << 20

// client calls the API.
type client struct {
	http     *http.Client
	endpoint string // https://HOST, without a slash at its end
	creds    *auth.Credentials
}

// version is a SecretVersion.
type version struct {
	Name       string    `json:"name"`
	CreateTime time.Time `json:"createTime"`
	State      string    `json:"state"`
}

const enabled = "ENABLED"

// accessed is an AccessSecretVersionResponse.
type accessed struct {
	Name    string  `json:"name"`
	Payload payload `json:"payload"`
}

// payload is a SecretPayload. The checksum is a CRC32C; as int64 it is a string.
type payload struct {
	Data       []byte `json:"data"`
	DataCRC32C *int64 `json:"dataCrc32c,string,omitempty"`
}

// secret is a Secret. One that is regional has no replication.
type secret struct {
	Name        string       `json:"name,omitempty"`
	Replication *replication `json:"replication,omitempty"`
}

type replication struct {
	Automatic struct{} `json:"automatic"`
}

// apiError is what the service answers instead
// (https://cloud.google.com/apis/design/errors#http_mapping).
type apiError struct {
	status  string // a name out of google.rpc.Code, such as NOT_FOUND
	reason  string // of ErrorInfo; may be empty
	message string
}

func (e *apiError) Error() string { return e.status + ": " + e.message }

// The statuses that make a difference
// (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
const (
	alreadyExists      = "ALREADY_EXISTS"
	failedPrecondition = "FAILED_PRECONDITION"
	notFound           = "NOT_FOUND"
	permissionDenied   = "PERMISSION_DENIED"
	resourceExhausted  = "RESOURCE_EXHAUSTED"
	unauthenticated    = "UNAUTHENTICATED"
	unavailable        = "UNAVAILABLE"
)

// statusOf is the status of an error of the API, and empty for every other one.
func statusOf(err error) string {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.status
	}
	return ""
}

// defaultCredentials are those of the environment. Nothing is dialled for them but
// where the machine itself has some.
func defaultCredentials() (*auth.Credentials, error) {
	return credentials.DetectDefault(&credentials.DetectOptions{
		Scopes:           []string{scope},
		UseSelfSignedJWT: true, // of a service account: no service is asked for a token
		// With GOOGLE_SDK_GO_LOGGING_LEVEL=debug the SDK would write tokens to the standard error.
		Logger: slog.New(slog.DiscardHandler),
	})
}

func (c *client) accessSecretVersion(ctx context.Context, name string) (*accessed, error) {
	out := new(accessed)
	return out, c.call(ctx, http.MethodGet, name+":access", nil, nil, out)
}

func (c *client) getSecretVersion(ctx context.Context, name string) (*version, error) {
	out := new(version)
	return out, c.call(ctx, http.MethodGet, name, nil, nil, out)
}

func (c *client) createSecret(ctx context.Context, parent, id string, s secret) error {
	out := new(secret)
	err := c.call(ctx, http.MethodPost, parent+"/secrets", url.Values{"secretId": {id}}, s, out)
	if err == nil && out.Name == "" {
		return source.NotStored("Secret Manager")
	}
	return err
}

func (c *client) addSecretVersion(ctx context.Context, parent string, p payload) (*version, error) {
	out := new(version)
	return out, c.call(ctx, http.MethodPost, parent+":addVersion", nil, struct {
		Payload payload `json:"payload"`
	}{p}, out)
}

// call makes one call, again if need be. Its error is an *apiError, a
// *source.Failure, or one that source.Network explains.
func (c *client) call(ctx context.Context, method, name string, query url.Values, in, out any) error {
	token, err := c.creds.Token(ctx)
	if err != nil {
		return noToken(err)
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	// A name has slashes of its own, and nothing else that a path would not have: the
	// compiler has seen to that, and what it lets through is escaped.
	u := c.endpoint + "/v1/" + (&url.URL{Path: name}).EscapedPath()
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return &source.Failure{Reason: "it has no address", Remedy: "check the project, the location and the remote name"}
	}
	req.Header.Set("Authorization", cmp.Or(token.Type, "Bearer")+" "+token.Value)
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	// Whose quota it counts against, where the credentials are of a person
	// (https://cloud.google.com/docs/quotas/set-quota-project).
	if project, err := c.creds.QuotaProjectID(ctx); err == nil && project != "" {
		req.Header.Set("X-Goog-User-Project", project)
	}
	resp, err := c.retrying().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errorOf(resp.StatusCode, text)
	}
	if len(text) > maxAnswer || json.Unmarshal(text, out) != nil || bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
		return source.Nonsense("Secret Manager") // the error of the decoder could quote it
	}
	return nil
}

// noToken explains why the credentials give none. Of the answer of a service that
// gives tokens, only what OAuth defines is told.
func noToken(err error) error {
	if f := source.Network(err); f != nil {
		return f
	}
	said := source.Line(err.Error())
	if e, ok := errors.AsType[*auth.Error](err); ok {
		var answer struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		json.Unmarshal(e.Body, &answer)
		said = source.Line(strings.TrimSuffix(answer.Error+": "+answer.Description, ": "))
		if answer.Error == "" && e.Response != nil {
			said = fmt.Sprintf("status %d of the service that gives tokens", e.Response.StatusCode)
		}
	}
	return loginFailed(said)
}

// errorOf reads an error of the API. What is no error of the API, a page of a proxy,
// say, has a status after its code of HTTP, and never NOT_FOUND.
func errorOf(code int, text []byte) *apiError {
	var answer struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
			Details []struct {
				Type   string `json:"@type"`
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	json.Unmarshal(text, &answer)
	e := &apiError{status: answer.Error.Status, message: answer.Error.Message}
	for _, d := range answer.Error.Details {
		if d.Type == "type.googleapis.com/google.rpc.ErrorInfo" {
			e.reason = d.Reason
		}
	}
	if e.status == "" {
		e.message = ""
		switch {
		case code == http.StatusUnauthorized:
			e.status = unauthenticated
		case code == http.StatusForbidden:
			e.status = permissionDenied
		case code == http.StatusTooManyRequests:
			e.status = resourceExhausted
		default:
			e.status, e.message = unavailable, fmt.Sprintf("an answer of status %d that is not one of Secret Manager", code)
		}
	}
	return e
}

// retrying makes a call again that is throttled, or finds no one: up to so many
// times, with pauses that grow and are drawn by lot. What is throttled has a
// quota a minute (https://cloud.google.com/secret-manager/quotas), and may wait
// for 30 s; where the connection is refused, it will be soon after, too.
func (c *client) retrying() *retryablehttp.Client {
	throttled, unanswered := 8, 3
	return &retryablehttp.Client{
		HTTPClient: c.http,
		RetryMax:   throttled + unanswered,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			switch {
			case ctx.Err() != nil:
				return false, context.Cause(ctx)
			case err != nil || resp.StatusCode == http.StatusServiceUnavailable:
				unanswered--
				return unanswered >= 0, err
			case resp.StatusCode == http.StatusTooManyRequests:
				source.Delayed(ctx, throttles())
				throttled--
				return throttled >= 0, nil
			}
			return false, nil
		},
		Backoff: func(_, _ time.Duration, attempt int, _ *http.Response) time.Duration {
			return 1 + rand.N(min(200*time.Millisecond<<attempt, 8*time.Second))
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}
