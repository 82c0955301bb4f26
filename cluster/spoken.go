package cluster

import (
	"slices"
	"strings"
)

// phrases are parts of what controllers say of an object. They and the reasons
// are all that is shown of it, for the rest may quote what they failed on: the
// sealed-secrets controller puts the error of unsealing, of its templates and of
// the API server into its condition (updateSealedSecretStatus in
// https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/controller/controller.go),
// the External Secrets Operator what the provider says of a store (validateStore in
// https://github.com/external-secrets/external-secrets/blob/v0.19.2/pkg/controllers/secretstore/common.go).
var phrases = []struct{ part, words string }{
	{"no key could decrypt secret", "no key could decrypt secret"},
	{"already exists and is not managed by SealedSecret", "the Secret already exists and is not managed by SealedSecret"},
	{"could not get secret data from provider", "could not get secret data from provider"},
	{"unable to create client", "unable to create client"},
	{"unable to validate store", "unable to validate store"},
	{"template:", "a template cannot be rendered"},
	{"Invalid value:", "the API server refuses a value"},
	{"denied the request", "an admission webhook denied the request"},
	{"is forbidden", "it is forbidden"},
	{"context deadline exceeded", "there was no answer in time"},
	{"connection refused", "the connection was refused"},
}

// conditionReasons are those that the two controllers give.
var conditionReasons = []string{
	"SecretSynced", "SecretSyncedError", "SecretDeleted", "SecretMissing", "UpdateFailed", "ProviderError",
	"Valid", "ValidationFailed", "ValidationUnknown", "InvalidProviderConfig", "InvalidStoreConfiguration", "StoreUnavailable",
}

// spoken returns what a controller says, as far as it says one of phrases.
func spoken(c Condition) string {
	var said []string
	for _, p := range phrases {
		if strings.Contains(c.Message, p.part) {
			said = append(said, p.words)
		}
	}
	why := strings.Join(said, ", ")
	switch {
	case c.Message == "":
		why = "the controller does not say why"
	case why == "":
		why = "its message is not shown, because it could quote a value"
	}
	if slices.Contains(conditionReasons, c.Reason) {
		why += " (" + c.Reason + ")"
	}
	return why
}
