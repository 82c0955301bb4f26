package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Failure is why a source did not answer, or what is wrong with its answer, in
// words for the one who must act. Neither field ever holds a value, so what a
// service says of a request to write is not for Reason: services quote what
// they refuse.
type Failure struct {
	Code   plan.Code // CodeSourceRead or CodeSourceWrite if empty
	Reason string    // what is wrong: "access is denied"
	Remedy string    // what to do: "allow ssm:GetParameters on it"
	// Unreadable says that nothing is known of the input, so that errors.Is
	// reports ErrUnreadable.
	Unreadable bool
	// Unsure says that what was written is there, and may not be after a crash.
	Unsure bool
}

// tooLate is the Reason that Network gives when time is up.
const tooLate = "there was no answer in time"

// Error implements error: it is the reason.
func (f *Failure) Error() string { return f.Reason }

// Is implements the contract of errors.Is.
func (f *Failure) Is(target error) bool { return target == ErrUnreadable && f.Unreadable }

// remedyOf is what a failure says to do; otherwise, if it does not, or err is none.
func remedyOf(err error, otherwise string) string {
	if f, ok := errors.AsType[*Failure](err); ok {
		return cmp.Or(f.Remedy, otherwise)
	}
	return otherwise
}

// codeOf is the code of a failure; otherwise, if it has none, or err is none.
func codeOf(err error, otherwise plan.Code) plan.Code {
	if f, ok := errors.AsType[*Failure](err); ok {
		return cmp.Or(f.Code, otherwise)
	}
	return otherwise
}

// Network explains err if no answer came from the service at all: no such
// host, no one who listens, no trust in a certificate, no time left. It returns
// nil for every other error.
func Network(err error) *Failure {
	reason, remedy := "", "check the network, a proxy, or the address"
	var (
		dns       *net.DNSError
		op        *net.OpError
		link      *url.Error
		untrusted *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		header    tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled):
		reason, remedy = "it was interrupted", ""
	case errors.Is(err, context.DeadlineExceeded):
		reason, remedy = tooLate, remedy+"; raise --timeout"
	case errors.As(err, &dns):
		reason = "the name " + dns.Name + " cannot be resolved"
	case errors.As(err, &untrusted), errors.As(err, &unknown):
		reason, remedy = "its TLS certificate is not trusted", "trust its authority, as with SSL_CERT_FILE"
	case errors.As(err, &header):
		reason, remedy = "it does not speak TLS", "check the address"
	case errors.Is(err, syscall.ECONNREFUSED):
		reason = "connection refused"
	case errors.As(err, &op):
		reason = "the network failed: " + op.Err.Error()
	case errors.As(err, &link):
		reason = "the network failed: " + link.Err.Error()
	default:
		return nil
	}
	return &Failure{Reason: reason, Remedy: remedy, Unreadable: true}
}

// NotStored says of a service that its answer to a write, though no error,
// does not name what it has stored: an empty one, of a proxy that swallowed the
// request, say. Nothing counts as stored then.
func NotStored(service string) *Failure {
	return &Failure{
		Reason: service + " answers without an error, but does not say what it has stored",
		Remedy: "check whether the value is there, and whether the address is that of the service and not of a proxy; then try again",
	}
}

// Nonsense says of a service that it answers as it never would. What it
// answered is not told, and nothing follows from it: not that an input is absent.
func Nonsense(service string) *Failure {
	return &Failure{
		Reason: "the answer is not one of " + service, Remedy: "check the address of the service, and a proxy on the way there", Unreadable: true,
	}
}

// delay is what the calls below a context were tried again for last.
type delay struct{ why atomic.Pointer[Failure] }

type delayKey struct{}

// Delayed notes why a call is tried again, or waits: the service throttles it.
// If time is up before it succeeds, that is what its answer says, rather than
// that there was none in time. A source calls it with the context of the call.
func Delayed(ctx context.Context, why *Failure) {
	if d, ok := ctx.Value(delayKey{}).(*delay); ok {
		d.why.Store(why)
	}
}

// patiently makes calls by ask, below a context that notes why they are delayed,
// and returns what to say of an error that they have come to.
func patiently(ctx context.Context, ask func(context.Context)) (explain func(error) error) {
	var d delay
	ask(context.WithValue(ctx, delayKey{}, &d))
	return func(err error) error {
		var f *Failure
		if why := d.why.Load(); why != nil && errors.As(err, &f) && f.Reason == tooLate {
			return why
		}
		return err
	}
}

// Line makes a message of a service fit for a Reason: one line, and not long.
func Line(message string) string {
	s := strings.Join(strings.Fields(message), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return strings.TrimSuffix(s, ".")
}
