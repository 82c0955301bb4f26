package gcpsecretmanager

import (
	"context"
	"errors"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// failure explains err, which a call for ref has come to. What the service says
// of a call that writes is left out, but where it is about rights, for it may
// quote the value.
func (c *connection) failure(err error, ref source.Ref, of call) *source.Failure {
	var own *source.Failure
	if errors.As(err, &own) {
		return own
	}
	if f := source.Network(err); f != nil {
		return f
	}
	s := status.Convert(err)
	code, said := s.Code(), ": "+source.Line(s.Message())
	f := &source.Failure{Unreadable: true}
	switch api, ok := apierror.FromError(err); {
	case code == codes.DeadlineExceeded:
		return source.Network(context.DeadlineExceeded)
	case code == codes.Canceled:
		return source.Network(context.Canceled)
	case ok && api.Reason() == "SERVICE_DISABLED":
		f.Reason = "the API of Secret Manager is not enabled" + said
		f.Remedy = "`gcloud services enable secretmanager.googleapis.com --project=" + c.project + "`"
	case code == codes.PermissionDenied:
		// To those who may not know what is there, the service says so as well
		// of what is not.
		f.Reason, f.Remedy = "access is denied"+said, of.remedy
	case code == codes.Unauthenticated:
		f.Reason, f.Remedy = "the login to Google Cloud has expired or is not valid"+said, login
	case code == codes.ResourceExhausted:
		return throttles()
	case code == codes.FailedPrecondition && !of.write:
		return c.retired(ref, source.Line(s.Message()))
	case code == codes.Unavailable, code == codes.Internal, code == codes.Unknown, code == codes.Aborted:
		f.Reason, f.Remedy = "Secret Manager is down or can't be reached ("+code.String()+")", "look at the network or a proxy, or try again later"
		if !of.write {
			f.Reason += said
		}
	default:
		f.Reason, f.Remedy, f.Unreadable = "Secret Manager refuses it ("+code.String()+")", "look at the project, the remote name, and the size of the value, which may be 64 KiB", false
		if !of.write {
			f.Reason += said
		}
	}
	return f
}

func throttles() *source.Failure {
	return &source.Failure{
		Reason: "Google throttles the calls", Remedy: "try again later, or give it longer with --timeout; or raise the quotas of the API", Unreadable: true,
	}
}

// retired says of a version that somebody has switched it off.
func (c *connection) retired(ref source.Ref, said string) *source.Failure {
	return &source.Failure{
		Reason: said,
		Remedy: "`gcloud secrets versions enable VERSION --secret=" + ref.Remote.Name + "` brings back one that is disabled; " +
			"`gcloud secrets versions add " + ref.Remote.Name + " --data-file=-` adds another",
	}
}
