package compiler_test

import (
	"testing"
	"time"
)

// TestAuthority: by default an authority outlives what it signs, and allows it any
// usage.
func TestAuthority(t *testing.T) {
	t.Parallel()
	p, ds := compile(t, `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment
inputs: {
	CA_KEY: schema.#Generated & {generate: kind: "ecdsa"}
	CA:     schema.#Generated & {generate: {kind: "certificate", of: "CA_KEY", subject: "CA", ca: true}}
	KEY:    schema.#Generated & {generate: kind: "ecdsa"}
	CERT:   schema.#Generated & {generate: {kind: "certificate", of: "KEY", subject: "app", issuer: {certificate: "CA", key: "CA_KEY"}}}
}
secrets: app: keys: {cert: input: "CERT", ca: input: "CA", key: input: "KEY"}
`, "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: kind: \"external\"\nsources: default: {kind: \"aws-ssm\", region: \"us-east-1\"}\n", "")
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	ca, _ := p.Input("CA")
	cert, _ := p.Input("CERT")
	if c := ca.Generate.Child; len(c.Usages) > 0 || c.RenewBefore < cert.Generate.Child.Lifetime || c.Lifetime-c.RenewBefore < 365*24*time.Hour {
		t.Errorf("the authority has the usages %v, lasts %v and is renewed %v before its end", c.Usages, c.Lifetime, c.RenewBefore)
	}
	if c := cert.Generate.Child; len(c.Usages) != 1 || c.Usages[0] != "server" || c.CA {
		t.Errorf("what it signs has the usages %v", c.Usages)
	}
}
