package gcpsecretmanager

import (
	"context"
	"errors"

	"github.com/victor-ai/victorgen/compiler/source"
)

// call is a method of the API.
type call struct {
	// remedy is what allows it: the permission, and the smallest role of the
	// service's own that has it
	// (https://cloud.google.com/iam/docs/roles-permissions/secretmanager).
	remedy string
	write  bool
}

var (
	accessVersion = call{remedy: "allow secretmanager.versions.access on it, as roles/secretmanager.secretAccessor does"}
	getVersion    = call{remedy: "allow secretmanager.versions.get on it, as roles/secretmanager.viewer does"}
	addVersion    = call{remedy: "allow secretmanager.versions.add on it, as roles/secretmanager.secretVersionAdder does", write: true}
	createSecret  = call{
		remedy: "allow secretmanager.secrets.create on the project, as roles/secretmanager.admin does; " +
			"or create the secret, and allow secretmanager.versions.add on it, as roles/secretmanager.secretVersionAdder does",
		write: true,
	}
)

// login is what to do without credentials, or with some that are not accepted.
const login = "log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"

func noCredentials(err error) *source.Failure {
	return &source.Failure{
		Reason: "there are no Google Cloud credentials: " + source.Line(err.Error()), Remedy: login, Unreadable: true,
	}
}

// loginFailed says of credentials that they are not accepted.
func loginFailed(said string) *source.Failure {
	reason := "the login to Google Cloud has expired or is not valid"
	if said != "" {
		reason += ": " + said
	}
	return &source.Failure{Reason: reason, Remedy: login, Unreadable: true}
}

// failure explains err, which a call for ref has come to. What the service says
// of a call that writes is left out, but where it is about rights, because it may
// quote the value.
func (c *connection) failure(err error, ref source.Ref, of call) *source.Failure {
	var own *source.Failure
	if errors.As(err, &own) {
		return own
	}
	if f := source.Network(err); f != nil {
		return f
	}
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		return source.Nonsense("Secret Manager")
	}
	said := ""
	if e.message != "" {
		said = ": " + source.Line(e.message)
	}
	f := &source.Failure{Unreadable: true}
	switch {
	case e.status == "DEADLINE_EXCEEDED":
		return source.Network(context.DeadlineExceeded)
	case e.status == "CANCELLED":
		return source.Network(context.Canceled)
	case e.reason == "SERVICE_DISABLED":
		f.Reason = "the API of Secret Manager is not enabled" + said
		f.Remedy = "`gcloud services enable secretmanager.googleapis.com --project=" + c.project + "`"
	case e.status == permissionDenied:
		// To those who may not know what is there, the service says so as well
		// of what is not.
		f.Reason, f.Remedy = "access is denied"+said, of.remedy
	case e.status == unauthenticated:
		return loginFailed(source.Line(e.message))
	case e.status == resourceExhausted:
		return throttles()
	case e.status == failedPrecondition && !of.write:
		return c.retired(ref, source.Line(e.message))
	case e.status == unavailable, e.status == "INTERNAL", e.status == "UNKNOWN", e.status == "ABORTED":
		f.Reason, f.Remedy = "Secret Manager is down or can't be reached ("+e.status+")", "check the network or a proxy, or try again later"
		if !of.write {
			f.Reason += said
		}
	default:
		f.Reason, f.Remedy, f.Unreadable = "Secret Manager refuses it ("+source.Line(e.status)+")", "check the project, the remote name, and the size of the value, which may be 64 KiB", false
		if !of.write {
			f.Reason += said
		}
	}
	return f
}

func throttles() *source.Failure {
	return &source.Failure{
		Reason: "Google throttles the calls", Remedy: "try again later, or raise --timeout; or raise the quotas of the API", Unreadable: true,
	}
}

// retired says of a version that someone has switched it off.
func (c *connection) retired(ref source.Ref, said string) *source.Failure {
	return &source.Failure{
		Reason: said,
		Remedy: "`gcloud secrets versions enable VERSION --secret=" + ref.Remote.Name + "` brings back one that is disabled; " +
			"`gcloud secrets versions add " + ref.Remote.Name + " --data-file=-` adds another",
	}
}
