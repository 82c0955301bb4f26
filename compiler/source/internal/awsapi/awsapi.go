// Package awsapi is what the sources at AWS have in common: how they connect, how
// they call, and how they explain what AWS refuses.
package awsapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/defaults"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/victor-ai/victorgen/compiler/source"
)

// attempts is how often a call is made that is throttled, unless AWS_MAX_ATTEMPTS
// or max_attempts of the profile says otherwise. Between them the SDK waits up to 20 s, so
// that it is rather the deadline that ends them.
const attempts = 10

// Connection is what a source needs to call AWS: it connects on first use.
type Connection struct {
	// Region is empty for that of AWS_REGION or the profile.
	Region string
	// Options are for tests.
	Options []func(*config.LoadOptions) error

	once   sync.Once
	config aws.Config
	err    error
}

// Config returns the configuration of the SDK's default chain, with credentials
// that have been found. Its error is a *source.Failure.
func (c *Connection) Config(ctx context.Context) (aws.Config, error) {
	c.once.Do(func() {
		c.config, c.err = config.LoadDefaultConfig(ctx, append([]func(*config.LoadOptions) error{
			config.WithRegion(c.Region),
			config.WithLogger(logging.Nop{}), // it would warn on the standard error
		}, c.Options...)...)
		if c.err != nil {
			c.err = &source.Failure{
				Reason: "the AWS configuration can't be loaded: " + source.Line(c.err.Error()),
				Remedy: "check AWS_PROFILE and ~/.aws/config", Unreadable: true,
			}
			return
		}
		// Not an option above, with which the SDK reads no number of attempts.
		c.config.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = cmp.Or(c.config.RetryMaxAttempts, attempts)
				o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(hopeless)}, o.Retryables...)
				o.RateLimiter = ratelimit.None // which would give up early: this process ends soon
			})
		}
		c.config.APIOptions = append(c.config.APIOptions, noteThrottling)
		c.config.HTTPClient = withTimeouts(c.config)
		if c.config.Region == "" {
			c.err = &source.Failure{
				Reason: "no AWS region is set", Remedy: "write region into the contract, or set AWS_REGION", Unreadable: true,
			}
		}
	})
	if c.err != nil {
		return aws.Config{}, c.err
	}
	if err := ctx.Err(); err != nil {
		return aws.Config{}, source.Network(err)
	}
	if c.config.Credentials == nil {
		return aws.Config{}, noCredentials(nil)
	}
	if _, err := c.config.Credentials.Retrieve(ctx); err != nil { // which keeps them for the calls
		if ctx.Err() != nil {
			return aws.Config{}, source.Network(ctx.Err())
		}
		return aws.Config{}, noCredentials(err)
	}
	return c.config, nil
}

// withTimeouts returns the client of cfg, with the timeouts of AWS_DEFAULTS_MODE or the
// profile. The legacy mode, which is the default, has none.
func withTimeouts(cfg aws.Config) aws.HTTPClient {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	mode := cfg.DefaultsMode
	if mode == aws.DefaultsModeAuto {
		mode = defaults.ResolveDefaultsModeAuto(cfg.Region, cfg.RuntimeEnvironment)
	}
	client, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	timeouts, err := defaults.GetModeConfiguration(mode)
	if !ok || err != nil {
		return cfg.HTTPClient
	}
	return client.WithDialerOptions(func(d *net.Dialer) {
		d.Timeout = *timeouts.ConnectTimeout
	}).WithTransportOptions(func(t *http.Transport) {
		t.TLSHandshakeTimeout = *timeouts.TLSNegotiationTimeout
	})
}

// noteThrottling tells [source.Delayed] of each attempt that is throttled.
func noteThrottling(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("NoteThrottling",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleFinalize(ctx, in)
			var api smithy.APIError
			if errors.As(err, &api) && throttled(err) {
				source.Delayed(ctx, throttles(api.ErrorCode()))
			}
			return out, metadata, err
		}), "Retry", middleware.After)
}

func throttles(code string) *source.Failure {
	return &source.Failure{
		Reason: "AWS throttles the calls (" + code + ")", Unreadable: true,
		Remedy: "try again later, or raise --timeout, or more attempts with AWS_MAX_ATTEMPTS",
	}
}

// hopeless says not to try again where no one listens, no such host is, or who
// answers is not trusted or speaks no TLS.
func hopeless(err error) aws.Ternary {
	var (
		dns       *net.DNSError
		untrusted *tls.CertificateVerificationError
		header    tls.RecordHeaderError
	)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns) && dns.IsNotFound ||
		errors.As(err, &untrusted) || errors.As(err, &header) || errors.Is(err, http.ErrSchemeMismatch) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

func noCredentials(err error) *source.Failure {
	f := &source.Failure{
		Reason: "there are no AWS credentials", Unreadable: true,
		Remedy: "log in with `aws sso login`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
	}
	var sso *ssocreds.InvalidTokenError
	var process *processcreds.ProviderError
	switch {
	case errors.As(err, &sso):
		f.Reason, f.Remedy = "the AWS login has expired", "log in again: `aws sso login`"
	case errors.As(err, &process): // which quotes what the process has printed: credentials
		f.Reason, f.Remedy = "the credential_process of the AWS profile has failed", "run it by hand; ~/.aws/config names it"
	case err != nil && !strings.Contains(err.Error(), "no EC2 IMDS role found"): // the last resort, which says nothing
		f.Reason += ": " + source.Line(err.Error())
	}
	return f
}

// The codes by which AWS says what concerns all calls of a client
// (https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html).
var (
	expired = map[string]bool{"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true}
	invalid = map[string]bool{
		"UnrecognizedClientException": true, "InvalidClientTokenId": true, "InvalidSignatureException": true,
		"SignatureDoesNotMatch": true, "IncompleteSignature": true, "MissingAuthenticationToken": true,
		"MissingAuthenticationTokenException": true, "NotAuthorized": true, "OptInRequired": true,
	}
	denied = map[string]bool{"AccessDeniedException": true, "AccessDenied": true}
)

// Failure explains err, which a call of the API has come to; a *source.Failure explains
// itself. action is the IAM
// action that the call needs. What AWS says of a request to write is left out,
// but where it is about rights, because it may quote the value.
func Failure(err error, action string, write bool) *source.Failure {
	if own, ok := errors.AsType[*source.Failure](err); ok {
		return own
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		if f := source.Network(err); f != nil {
			return f
		}
		return &source.Failure{Reason: "the call " + action + " failed", Remedy: "try again", Unreadable: true}
	}
	code, message := api.ErrorCode(), source.Line(api.ErrorMessage())
	f := &source.Failure{Unreadable: true}
	switch {
	case denied[code]:
		f.Reason, f.Remedy = strings.TrimSuffix("access is denied: "+message, ": "), "allow "+action+" on it"
		if strings.Contains(strings.ToLower(message), "kms") {
			f.Remedy = "allow the use of its KMS key: kms:Decrypt to read, kms:Encrypt and kms:GenerateDataKey to write"
		}
	case expired[code]:
		f.Reason, f.Remedy = "the AWS login has expired", "log in again, as with `aws sso login`, or renew the credentials"
	case invalid[code]:
		f.Reason, f.Remedy = "the AWS credentials are not valid ("+code+")", "check AWS_PROFILE or AWS_ACCESS_KEY_ID, and the clock"
	case throttled(err):
		return throttles(code)
	case api.ErrorFault() == smithy.FaultServer:
		f.Reason, f.Remedy = "AWS failed ("+code+")", "try again later"
	default:
		f.Reason, f.Remedy, f.Unreadable = "AWS refuses it ("+code+")", "check the remote name, the size of the value and the settings of the source", false
		if !write && message != "" {
			f.Reason += ": " + message
		}
	}
	return f
}

func throttled(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// OfOne reports whether err may come of a single one of the names that a call
// was about, so that it helps to ask for each alone.
func OfOne(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorFault() != smithy.FaultServer &&
		!expired[api.ErrorCode()] && !invalid[api.ErrorCode()] && !throttled(err)
}

// Is reports whether err is an error of the API with that code.
func Is(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}
