package azurekeyvault

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// login is the SDK's default chain of credentials. It fails once for all: the
// chain would look for a login again for each call that waits for one, and take
// a second each time where there is none, because it knocks at the address where a
// virtual machine has its identity.
type login struct {
	chain  azcore.TokenCredential
	mu     sync.Mutex // the SDK asks for one token at a time anyway
	failed error
}

func newLogin() (*login, error) {
	chain, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, &source.Failure{Reason: source.Line(err.Error()), Remedy: "check AZURE_TOKEN_CREDENTIALS", Unreadable: true}
	}
	return &login{chain: chain}, nil
}

// GetToken implements azcore.TokenCredential.
func (l *login) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return azcore.AccessToken{}, l.failed
	}
	token, err := l.chain.GetToken(ctx, o)
	switch {
	case err == nil:
		return token, nil
	case ctx.Err() != nil:
		return token, ctx.Err()
	}
	l.failed = noLogin(err)
	return token, l.failed
}

// refusal is what Microsoft Entra ID says when it refuses a login:
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
var refusal = lazy.MustCompile(`AADSTS\d+: [^"\\\r\n]*`)

// noLogin makes one line of what the chain says, which is one or many of each
// credential that it has tried.
func noLogin(err error) *source.Failure {
	f := &source.Failure{
		Reason: "not logged in to Azure", Unreadable: true,
		Remedy: "run `az login`; elsewhere use a managed or a workload identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
	}
	var failed *azidentity.AuthenticationFailedError
	if said := refusal.FindString(err.Error()); said != "" {
		said, _, _ = strings.Cut(said, " Trace ID")
		f.Reason = "the login to Azure is refused: " + source.Line(said)
	} else if errors.As(err, &failed) { // there is one, the last that was tried
		lines := strings.Split(err.Error(), "\n\t")
		for len(lines) > 1 && strings.HasPrefix(lines[len(lines)-1], "\t") {
			lines = lines[:len(lines)-1]
		}
		f.Reason = "the login to Azure failed: " + source.Line(lines[len(lines)-1])
	}
	return f
}
