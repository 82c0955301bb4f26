package source

import (
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestTables: of each kind of source it is known whether it keeps values in plain
// text, and one of which nothing is known is taken to.
func TestTables(t *testing.T) {
	t.Parallel()
	known := map[string]string{
		plan.Env: "file", plan.Files: "dir", plan.SOPS: "",
		plan.AWSSSM: "", plan.AWSSecretsManager: "", plan.AzureKeyVault: "", plan.GCPSecretManager: "", plan.Vault: "", plan.Exec: "",
	}
	for _, kind := range plan.SourceKinds {
		want, ok := known[kind]
		src := plan.Source{Kind: kind, File: "file"}
		if kind == plan.Files {
			src = plan.Source{Kind: kind, Dir: "dir"}
		}
		if got := PlainPlace(src); !ok || got != want {
			t.Errorf("a source of kind %s keeps plain text in %q, want %q (%v)", kind, got, want, ok)
		}
	}
	if PlainPlace(plan.Source{Kind: "new", File: "file"}) == "" || PlainPlace(plan.Source{Kind: "new", Dir: "dir"}) == "" {
		t.Error("a source of a kind of which nothing is known is taken to keep no plain text")
	}
}
