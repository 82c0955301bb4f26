package source

import (
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// steering are variables of the process environment by which a client of one of
// kinds asks another place than the contract names, and the operator does not.
type steering struct {
	kinds     []string
	variables []string
	// field of the contract says the same to the client and to the operator, and
	// the client uses it first; empty is none.
	field string
	said  func(plan.Source) string // what the contract says there
	// place says that it decides where is asked, so that it counts where someone
	// else makes the store, too; not only whether there is an answer.
	place bool
}

// steerings are what the documentation of each client says:
//   - https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
//   - https://developer.hashicorp.com/vault/docs/commands#environment-variables
//   - https://cloud.google.com/docs/authentication/application-default-credentials
//
// AZURE_KEY_VAULT is victorgen's own. The credentials themselves are always
// others than the operator's.
var steerings = []steering{
	{[]string{plan.AWSSSM, plan.AWSSecretsManager}, []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"}, "region", func(s plan.Source) string { return s.Region }, true},
	{[]string{plan.AWSSSM, plan.AWSSecretsManager}, []string{"AWS_ENDPOINT_URL"}, "", nil, true},
	{[]string{plan.AWSSSM}, []string{"AWS_ENDPOINT_URL_SSM"}, "", nil, true},
	{[]string{plan.AWSSecretsManager}, []string{"AWS_ENDPOINT_URL_SECRETS_MANAGER"}, "", nil, true},
	{[]string{plan.AzureKeyVault}, []string{"AZURE_KEY_VAULT"}, "vault", func(s plan.Source) string { return s.Vault }, true},
	{[]string{plan.GCPSecretManager}, []string{"GOOGLE_CLOUD_PROJECT"}, "project", func(s plan.Source) string { return s.Project }, true},
	{[]string{plan.GCPSecretManager}, []string{"GOOGLE_CLOUD_UNIVERSE_DOMAIN"}, "", nil, true},
	{[]string{plan.Vault}, []string{"VAULT_ADDR"}, "address", func(s plan.Source) string { return s.Address }, true},
	{[]string{plan.Vault}, []string{"VAULT_AGENT_ADDR"}, "", nil, true}, // goes before the contract's address
	{[]string{plan.Vault}, []string{"VAULT_NAMESPACE"}, "namespace", func(s plan.Source) string { return s.Namespace }, true},
	{[]string{plan.Vault}, []string{"VAULT_CACERT", "VAULT_CACERT_BYTES", "VAULT_CAPATH", "VAULT_SKIP_VERIFY"}, "caBundle", func(s plan.Source) string { return s.CABundle }, false},
}

// Elsewhere warns of variables of the process environment, which lookup knows, that
// lead to another place than that which the External Secrets Operator, which does
// not have them, asks for the external secrets of p.
func Elsewhere(p *plan.Plan, lookup func(string) (string, bool)) plan.Diagnostics {
	asked := map[string]bool{} // by the operator, by source
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			for _, name := range k.Inputs() {
				in, ok := p.Input(name)
				asked[in.Source] = asked[in.Source] || ok && in.Default == nil && s.Delivery.Fetches()
			}
		}
	}
	set := func(name string) bool {
		v, _ := lookup(name)
		off, err := strconv.ParseBool(v)
		return v != "" && (err != nil || off)
	}
	var ds plan.Diagnostics
	for _, src := range p.Sources {
		for _, s := range steerings {
			theirs := src.Store.Existing != ""
			if !asked[src.Name] || !slices.Contains(s.kinds, src.Kind) || theirs && !s.place || s.field != "" && s.said(src) != "" {
				continue
			}
			variables := slices.DeleteFunc(slices.Clone(s.variables), func(name string) bool { return !set(name) })
			if len(variables) == 0 {
				continue
			}
			hint := "unset it, or make it point to the place that the operator reads"
			if s.field != "" {
				hint = "write " + s.field + " into the contract"
			}
			what := "the operator has no such variable, and its store does not set it"
			if theirs {
				what = "whether the store " + src.Store.Name + " leads there too is not known"
			}
			ds.Warnf(plan.CodeElsewhere, src.Pos, hint, "source %s uses %s here: %s", src, strings.Join(variables, " and "), what)
		}
	}
	return ds
}
