package main

import (
	"os"
	"strings"
	"testing"

	vg "github.com/victor-ai/victorgen"
)

// TestVersion: what is told are the versions that the module is built with.
func TestVersion(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	got := vg.Version()
	for path, version := range map[string]string{
		"github.com/bitnami-labs/sealed-secrets":       got.SealedSecrets,
		"github.com/external-secrets/external-secrets": got.ExternalSecrets,
		"cuelang.org/go": got.CUE,
	} {
		if !strings.Contains(string(text), "\t"+path+" "+version+"\n") {
			t.Errorf("it is told that %s has version %q, and go.mod has another", path, version)
		}
	}
	// The tests of e2e write it: by what they have started.
	tried := string(read(t, "../../docs/versions.md"))
	for part, version := range map[string]string{"sealed-secrets": got.SealedSecrets, "External Secrets Operator": got.ExternalSecrets} {
		if row := "| " + part + " | " + strings.TrimPrefix(version, "v") + " |"; !strings.Contains(tried, row) {
			t.Errorf("it is told that it is made for %s %s, and docs/versions.md has no row %q: see that e2e tries that version, and run it with VICTORGEN_UPDATE=1", part, version, row)
		}
	}
	if got.Version == "" || got.Go == "" {
		t.Errorf("got %+v", got)
	}
}
