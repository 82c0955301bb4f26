package awsapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/victor-ai/victorgen/compiler/source"
)

// A call is one of AWS JSON 1.1
// (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html), made by the core of
// the SDK: its credentials, its signer, its attempts. The SDK's clients of the services
// would add thousands of types that nothing here is asked for, and that every user
// would pay for.

// maxAnswer is more than any answer has: BatchGetSecretValue gives twenty values of
// 64 KiB, of which JSON may make six times as much.
const maxAnswer = 16 << 20

// Client calls one service.
type Client struct {
	service *Service
	config  aws.Config
	url     *url.URL
	region  string
	retryer aws.Retryer
	signer  *v4.Signer   // which keeps the keys that it has derived
	skew    atomic.Int64 // how far the clock of AWS is ahead of ours, as its last answer shows
}

// Client returns one of a service. Its error is a *source.Failure.
func (c *Connection) Client(ctx context.Context, s *Service) (*Client, error) {
	cfg, err := c.Config(ctx)
	if err != nil {
		return nil, err
	}
	u, region, err := s.address(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Client{service: s, config: cfg, url: u, region: region, retryer: cfg.Retryer(), signer: v4.NewSigner()}, nil
}

// Call makes one call, again if need be, and reads its answer into out, which stays as
// it is if that is empty. Its error is a smithy.APIError if the service refuses it, and
// otherwise one that [Failure] explains. It never quotes an answer of another kind: the
// values of secrets are in there.
func (c *Client) Call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	agent := awsmiddleware.NewRequestUserAgent()
	agent.AddSDKAgentKey(awsmiddleware.APIMetadata, c.service.name)
	if c.config.AppID != "" {
		agent.AddSDKAgentKey(awsmiddleware.ApplicationIdentifier, c.config.AppID)
	}
	attempts := retry.NewAttemptMiddleware(c.retryer, smithyhttp.RequestCloner, func(a *retry.Attempt) {
		a.ClientSkew, a.DisableClockSkewCorrection = &c.skew, c.config.DisableClockSkewCorrection
	})
	stack := middleware.NewStack(operation, smithyhttp.NewStackRequest)
	err = errors.Join(
		stack.Serialize.Add(c.serialize(operation, body), middleware.After),
		stack.Build.Add(&awsmiddleware.ClientRequestID{}, middleware.After),
		stack.Build.Add(agent, middleware.After),
		stack.Build.Add(&awsmiddleware.RecursionDetection{}, middleware.After),
		stack.Finalize.Add(attempts, middleware.After),
		stack.Finalize.Add(c.sign(body), middleware.After),
		stack.Deserialize.Add(c.deserialize(out), middleware.After),
		stack.Deserialize.Add(&awsmiddleware.RecordResponseTiming{
			DisableClockSkewCorrection: c.config.DisableClockSkewCorrection,
		}, middleware.After),
	)
	for _, option := range c.config.APIOptions {
		err = errors.Join(err, option(stack))
	}
	if err != nil {
		return err
	}
	_, _, err = middleware.DecorateHandler(smithyhttp.NewClientHandlerWithOptions(c.config.HTTPClient), stack).Handle(ctx, in)
	return err
}

// serialize makes the request.
func (c *Client) serialize(operation string, body []byte) middleware.SerializeMiddleware {
	return middleware.SerializeMiddlewareFunc("OperationSerializer",
		func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
			// A bytes.Reader alone is an io.WriterTo. Smithy closes the body when the answer
			// begins, and its WriteTo fails then, which net/http may call once more: it
			// would close the connection while the answer is read.
			req, err := in.Request.(*smithyhttp.Request).SetStream(struct{ io.ReadSeeker }{bytes.NewReader(body)})
			if err != nil {
				return out, metadata, err
			}
			u := *c.url
			req.Method, req.URL = "POST", &u
			req.Header.Set("Content-Type", "application/x-amz-json-1.1")
			req.Header.Set("X-Amz-Target", c.service.target+"."+operation)
			in.Request = req
			return next.HandleSerialize(ctx, in)
		})
}

// sign signs each attempt by the clock of AWS, which the attempt before may have shown
// to be another one.
func (c *Client) sign(body []byte) middleware.FinalizeMiddleware {
	hash := sha256.Sum256(body)
	skew := time.Duration(c.skew.Load())
	return middleware.FinalizeMiddlewareFunc("Signing",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
			creds, err := c.config.Credentials.Retrieve(ctx)
			if err != nil {
				return out, metadata, err
			}
			req := in.Request.(*smithyhttp.Request)
			err = c.signer.SignHTTP(ctx, creds, req.Request, hex.EncodeToString(hash[:]), c.service.name, c.region, time.Now().Add(skew))
			if err != nil {
				return out, metadata, err
			}
			out, metadata, err = next.HandleFinalize(ctx, in)
			skew, _ = awsmiddleware.GetAttemptSkew(metadata)
			return out, metadata, err
		})
}

// deserialize reads the answer.
func (c *Client) deserialize(out any) middleware.DeserializeMiddleware {
	return middleware.DeserializeMiddlewareFunc("OperationDeserializer",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			answer, metadata, err := next.HandleDeserialize(ctx, in)
			resp, ok := answer.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok {
				return answer, metadata, err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // where it is cut off, it is no JSON
			text = bytes.TrimSpace(text)
			switch {
			case err != nil:
			case resp.StatusCode < 200 || resp.StatusCode >= 300:
				err = c.errorOf(resp, text)
			case len(text) > 0 && json.Unmarshal(text, out) != nil:
				err = source.Nonsense(c.service.title) // the error of the decoder could quote it
			}
			if err != nil {
				err = &smithyhttp.ResponseError{Response: resp, Err: err} // by whose status it is tried again, or not
			}
			return answer, metadata, err
		})
}

// errorOf reads an error of the API: its code is in a header, or in the body, with a
// namespace before it or a URL after it
// (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization).
func (c *Client) errorOf(resp *smithyhttp.Response, text []byte) error {
	var said struct {
		Type    string `json:"__type"`
		Code    any
		Message string
	}
	if len(text) > 0 && json.Unmarshal(text, &said) != nil {
		return source.Nonsense(c.service.title) // a page of a proxy, say
	}
	e := &smithy.GenericAPIError{Code: "UnknownError", Message: said.Message, Fault: smithy.FaultClient} // a code of the SDK
	code, _ := said.Code.(string)
	for _, code := range []string{code, said.Type, resp.Header.Get("X-Amzn-ErrorType")} {
		if code != "" {
			e.Code, _, _ = strings.Cut(code, ":")
			if _, bare, ok := strings.Cut(e.Code, "#"); ok {
				e.Code = bare
			}
		}
	}
	if resp.StatusCode >= 500 {
		e.Fault = smithy.FaultServer
	}
	return e
}

// Time is a time as AWS JSON has it: seconds since 1970, and parts of one. It is zero
// if there is none.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(text []byte) error {
	var seconds *float64
	if err := json.Unmarshal(text, &seconds); err != nil || seconds == nil {
		return err
	}
	t.Time = smithytime.ParseEpochSeconds(*seconds)
	return nil
}
