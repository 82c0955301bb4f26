package azurekeyvault

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/victor-ai/victorgen/compiler/source"
)

// roles are the narrowest of Azure's own roles for each secret permission:
// https://learn.microsoft.com/azure/key-vault/general/rbac-guide
var roles = map[string]string{
	"get":  "Key Vault Secrets User",
	"list": "Key Vault Reader",
	"set":  "Key Vault Secrets Officer",
}

func disabled() *source.Failure {
	return &source.Failure{Reason: "it is disabled", Remedy: "enable it with `az keyvault secret set-attributes --enabled true`"}
}

func throttles() *source.Failure {
	return &source.Failure{Reason: "Azure throttles the calls", Remedy: "try again in a minute", Unreadable: true}
}

// failure explains the error of a call that needs a secret permission: get,
// list or set. Its codes are those of
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes.
func (v *vault) failure(err error, permission string) error {
	var f *source.Failure
	if errors.As(err, &f) { // of the login
		return f
	}
	var r *azcore.ResponseError
	if !errors.As(err, &r) {
		if f := source.Network(err); f != nil {
			return f
		}
		// Not with the error: it may quote what it can't decode.
		return &source.Failure{Reason: "the response is not from a key vault", Remedy: "is there a vault at " + v.url + "?", Unreadable: true}
	}
	var body struct {
		Error struct {
			Message    string
			InnerError struct{ Code string }
		}
	}
	if b, err := runtime.Payload(r.RawResponse); err == nil {
		json.Unmarshal(b, &body) // what isn't a vault's says nothing
	}
	// Up to the line that names the secret, so that what many inputs fail for is
	// said once.
	message, _, _ := strings.Cut(body.Error.Message, "\r\nResource:")
	code, message := body.Error.InnerError.Code, source.Line(message)
	switch status := r.StatusCode; {
	case status == http.StatusNotFound && r.ErrorCode == "SecretNotFound":
		return source.ErrAbsent
	case code == "SecretDisabled":
		return disabled()
	case code == "ObjectIsDeletedButRecoverable" || code == "ObjectIsBeingDeleted":
		return &source.Failure{
			Reason: "it is deleted, but its name is reserved while it can be recovered",
			Remedy: "recover it with `az keyvault secret recover`, or purge it with `az keyvault secret purge`",
		}
	case status == http.StatusUnauthorized:
		f = &source.Failure{Reason: "the login is refused: " + message, Remedy: "log in again, to the tenant of the vault: `az login --tenant TENANT`"}
	case code == "ForbiddenByFirewall" || code == "ForbiddenByConnection":
		f = &source.Failure{
			Reason: "the network of the vault is closed to this machine: " + message,
			Remedy: "allow its address with `az keyvault network-rule add`, or build where the vault can be reached",
		}
	case code == "ForbiddenByRbac":
		f = &source.Failure{
			Reason: "access is denied: " + message,
			Remedy: "grant the role " + roles[permission] + ", which has secrets/" + permission + ", on the vault or the secret",
		}
	case status == http.StatusForbidden:
		f = &source.Failure{
			Reason: "access is denied: " + message,
			Remedy: "allow secrets/" + permission + " with `az keyvault set-policy --secret-permissions " + permission + "`",
		}
	case status == http.StatusTooManyRequests:
		f = throttles()
	case status >= http.StatusInternalServerError:
		f = &source.Failure{Reason: "the service fails: " + r.RawResponse.Status, Remedy: "try again later"}
	case permission == "set":
		// Not with the message: it may quote what it refuses.
		f = &source.Failure{Reason: "it is refused: " + r.RawResponse.Status + " " + r.ErrorCode, Remedy: "a value there has at most 25,600 bytes"}
	default:
		f = &source.Failure{
			Reason: source.Line("it is refused: " + r.RawResponse.Status + " " + r.ErrorCode + " " + message),
			Remedy: "is there a vault at " + v.url + "?",
		}
	}
	f.Reason, f.Unreadable = strings.TrimRight(f.Reason, ": "), true // if there is no message
	return f
}
