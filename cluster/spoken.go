package cluster

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// quoting are parts of messages behind which upstream may quote what it failed
// on: text/template the value that it was given, the API server a field of the
// Secret that it refused, an admission webhook whatever it likes.
//
// The sealed-secrets controller puts the error of unsealing, of its templates
// and of the API server into the condition (updateSealedSecretStatus in
// https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/controller/controller.go).
// The External Secrets Operator has fixed texts for an ExternalSecret, and the
// provider's error for a store (validateStore in
// https://github.com/external-secrets/external-secrets/blob/v0.19.2/pkg/controllers/secretstore/common.go).
var quoting = []string{"template:", "Invalid value:", "invalid character", "cannot unmarshal", "denied the request"}

// minHidden is how long a value must be, in bytes, to be looked for in a
// message: shorter ones are parts of many words.
const minHidden = 4

// spoken returns what a controller says, without what could be a value: parts
// that quote, and all of hidden.
func spoken(c Condition, hidden []value.Value) string {
	message := c.Message
	for _, v := range hidden {
		if v.Len() < minHidden {
			continue
		}
		for _, form := range []string{string(v.Reveal()), base64.StdEncoding.EncodeToString(v.Reveal())} {
			message = strings.ReplaceAll(message, form, v.String())
		}
	}
	for _, part := range quoting {
		if before, _, ok := strings.Cut(message, part); ok {
			message = before + part + " (the rest is not shown, for it could quote a value)"
		}
	}
	message = oneLine(message)
	switch {
	case message == "" && c.Reason == "":
		return "the controller does not say why"
	case message == "":
		return c.Reason
	case c.Reason != "":
		return message + " (" + c.Reason + ")"
	}
	return message
}

// whyUnknown says why a controller could not be asked for its newest
// certificate, and what to do.
func whyUnknown(c Certificate) (reason, hint string) {
	var own plan.Diagnostics
	if errors.As(c.Unknown, &own) && len(own) > 0 {
		return own[0].Message, own[0].Hint
	}
	return c.Unknown.Error(), "look at the controller"
}
