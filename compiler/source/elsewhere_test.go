package source_test

import (
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// TestElsewhere: what leads a build to another place than the operator is told.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	of := func(s plan.Source, deliveries ...string) *plan.Plan {
		s.Name = "default"
		p := &plan.Plan{Sources: []plan.Source{s}, Inputs: []plan.Input{{Name: "A", Source: "default"}}}
		for _, kind := range deliveries {
			p.Secrets = append(p.Secrets, plan.Secret{Keys: []plan.Key{{Name: "a", Input: "A"}}, Delivery: plan.Delivery{Kind: kind}})
		}
		return p
	}
	own := plan.Store{Name: "own"}
	theirs := plan.Store{Name: "platform", Existing: "ClusterSecretStore"}
	vault := plan.Source{Kind: plan.Vault, Address: "https://vault.example", Store: own}
	settled := vault
	settled.Namespace, settled.CABundle = "team", "PEM"
	for name, test := range map[string]struct {
		plan *plan.Plan
		env  map[string]string
		want string
	}{
		"a namespace":             {of(vault, plan.External), map[string]string{"VAULT_NAMESPACE": "team"}, "source default (vault) uses VAULT_NAMESPACE here: the operator has no such variable, and its store does not set it"},
		"the contract's":          {of(settled, plan.External), map[string]string{"VAULT_NAMESPACE": "other", "VAULT_CACERT": "ca.pem"}, ""},
		"one of two is external":  {of(vault, plan.Sealed, plan.External), map[string]string{"VAULT_NAMESPACE": "team"}, "source default (vault) uses VAULT_NAMESPACE here: the operator has no such variable, and its store does not set it"},
		"nothing is external":     {of(vault, plan.Sealed), map[string]string{"VAULT_NAMESPACE": "team"}, ""},
		"authorities":             {of(vault, plan.External), map[string]string{"VAULT_CACERT": "ca.pem", "VAULT_SKIP_VERIFY": "1"}, "source default (vault) uses VAULT_CACERT and VAULT_SKIP_VERIFY here: the operator has no such variable, and its store does not set it"},
		"a variable that says no": {of(vault, plan.External), map[string]string{"VAULT_SKIP_VERIFY": "false"}, ""},
		"an agent":                {of(settled, plan.External), map[string]string{"VAULT_AGENT_ADDR": "http://127.0.0.1:8100"}, "source default (vault) uses VAULT_AGENT_ADDR here: the operator has no such variable, and its store does not set it"},
		"the address":             {of(vault, plan.External), map[string]string{"VAULT_ADDR": "https://other.example"}, ""},
		"a store of others":       {of(plan.Source{Kind: plan.Vault, Store: theirs}, plan.External), map[string]string{"VAULT_ADDR": "https://vault.example", "VAULT_CACERT": "ca.pem"}, "source default (vault) uses VAULT_ADDR here: whether the store platform leads there too is not known"},
		"another kind":            {of(vault, plan.External), map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}, ""},
		"the region":              {of(plan.Source{Kind: plan.AWSSSM, Region: "us-east-1", Store: own}, plan.External), map[string]string{"AWS_REGION": "eu-west-2"}, ""},
		"a region of others":      {of(plan.Source{Kind: plan.AWSSSM, Store: theirs}, plan.External), map[string]string{"AWS_REGION": "eu-west-2", "AWS_PROFILE": "shop"}, "source default (aws-ssm) uses AWS_REGION and AWS_PROFILE here: whether the store platform leads there too is not known"},
		"an endpoint":             {of(plan.Source{Kind: plan.AWSSSM, Region: "us-east-1", Store: own}, plan.External), map[string]string{"AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:5000", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "x"}, "source default (aws-ssm) uses AWS_ENDPOINT_URL_SSM here: the operator has no such variable, and its store does not set it"},
		"a project of others":     {of(plan.Source{Kind: plan.GCPSecretManager, Store: theirs}, plan.External), map[string]string{"GOOGLE_CLOUD_PROJECT": "shop"}, "source default (gcp-secretmanager) uses GOOGLE_CLOUD_PROJECT here: whether the store platform leads there too is not known"},
		"another Google":          {of(plan.Source{Kind: plan.GCPSecretManager, Project: "shop", Store: own}, plan.External), map[string]string{"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "example.test"}, "source default (gcp-secretmanager) uses GOOGLE_CLOUD_UNIVERSE_DOMAIN here: the operator has no such variable, and its store does not set it"},
		"a vault of others":       {of(plan.Source{Kind: plan.AzureKeyVault, Store: theirs}, plan.External), map[string]string{"AZURE_KEY_VAULT": "shop"}, "source default (azure-keyvault) uses AZURE_KEY_VAULT here: whether the store platform leads there too is not known"},
	} {
		ds := source.Elsewhere(test.plan, func(name string) (string, bool) { v, ok := test.env[name]; return v, ok })
		if len(ds) == 0 && test.want == "" {
			continue
		}
		if len(ds) != 1 || ds[0].Message != test.want || ds[0].Severity != plan.Warning || ds[0].Code != plan.CodeElsewhere {
			t.Errorf("%s: got %v, want %s", name, ds, test.want)
		}
	}
}

// TestElsewhereTable: each kind that the operator asks has a row.
func TestElsewhereTable(t *testing.T) {
	t.Parallel()
	for _, kind := range plan.SourceKinds {
		p := &plan.Plan{
			Sources: []plan.Source{{Name: "default", Kind: kind}}, Inputs: []plan.Input{{Name: "A", Source: "default"}},
			Secrets: []plan.Secret{{Keys: []plan.Key{{Name: "a", Input: "A"}}, Delivery: plan.Delivery{Kind: plan.External}}},
		}
		out := kind == plan.Env || kind == plan.Files || kind == plan.SOPS || kind == plan.Exec // which the operator does not ask
		if ds := source.Elsewhere(p, func(string) (string, bool) { return "x", true }); (len(ds) == 0) != out {
			t.Errorf("%s: %v", kind, ds)
		}
	}
}
