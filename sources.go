package victorgen

import (
	"os"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/awssecretsmanager"
	"github.com/victor-ai/victorgen/compiler/source/awsssm"
	"github.com/victor-ai/victorgen/compiler/source/azurekeyvault"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/compiler/source/exec"
	"github.com/victor-ai/victorgen/compiler/source/files"
	"github.com/victor-ai/victorgen/compiler/source/gcpsecretmanager"
	"github.com/victor-ai/victorgen/compiler/source/sops"
	"github.com/victor-ai/victorgen/compiler/source/vault"
	"github.com/victor-ai/victorgen/internal/git"
)

// kinds is the one table of the kinds of source that there are: how one of a module is
// opened. None of them connects before it is asked.
var kinds = map[string]func(s plan.Source, module string) source.Source{
	plan.Env:               func(s plan.Source, module string) source.Source { return env.New(s, os.LookupEnv).Within(module) },
	plan.AWSSSM:            func(s plan.Source, _ string) source.Source { return awsssm.New(s) },
	plan.AWSSecretsManager: func(s plan.Source, _ string) source.Source { return awssecretsmanager.New(s) },
	plan.AzureKeyVault:     func(s plan.Source, _ string) source.Source { return azurekeyvault.New(s) },
	plan.GCPSecretManager:  func(s plan.Source, _ string) source.Source { return gcpsecretmanager.New(s) },
	plan.Vault:             func(s plan.Source, _ string) source.Source { return vault.New(s) },
	plan.SOPS:              func(s plan.Source, module string) source.Source { return sops.New(s, git.WorkTree(module)) },
	plan.Exec:              func(s plan.Source, module string) source.Source { return exec.New(s.Command, git.WorkTree(module)) },
	plan.Files:             func(s plan.Source, module string) source.Source { return files.New(s).Within(module) },
}

// OpenSources opens the sources of a plan, by their names in it.
func OpenSources(p *plan.Plan) map[string]source.Source {
	sources := map[string]source.Source{}
	for _, s := range p.Sources {
		if open, ok := kinds[s.Kind]; ok {
			sources[s.Name] = open(s, p.Module)
		}
	}
	return sources
}
