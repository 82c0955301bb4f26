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
	if got.Version == "" || got.Go == "" {
		t.Errorf("got %+v", got)
	}
}
