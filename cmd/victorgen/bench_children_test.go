package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/schema"
)

// BenchmarkChildren builds a contract with values made from values, of which
// nothing changed, in turns with one of as many passwords. x/plain is the ratio
// of their times; the limit is 1.3.
func BenchmarkChildren(b *testing.B) {
	vg := program(b, "victorgen")
	inputs := [...][2]string{
		{"PASSWORD", `{kind: "password", length: 32}`},
		{"BCRYPT", `{kind: "bcrypt", of: "PASSWORD", cost: 12}`},
		{"ARGON", `{kind: "argon2id", of: "PASSWORD"}`},
		{"JWT_SECRET", `{kind: "password", length: 64}`},
		{"ANON_KEY", `{kind: "jwt", of: "JWT_SECRET", algorithm: "HS256", claims: {role: "anon"}, lifetime: "43800h", renewBefore: "720h"}`},
		{"TLS_KEY", `{kind: "ecdsa", curve: "P-256"}`},
		{"TLS_CERT", `{kind: "certificate", of: "TLS_KEY", subject: "app.example", sans: ["app.example"], lifetime: "2160h"}`},
		{"KEYSTORE", `{kind: "pkcs12", password: "PASSWORD", entries: [{key: "TLS_KEY", certificate: "TLS_CERT"}]}`},
	}
	dirs := map[bool]string{}
	for _, plain := range []bool{true, false} {
		var c strings.Builder
		for _, in := range inputs {
			generate, encoding := in[1], ""
			switch {
			case plain:
				generate = inputs[0][1]
			case in[0] == "KEYSTORE":
				encoding = `encoding: "base64", `
			}
			fmt.Fprintf(&c, "inputs: %s: schema.#Generated & {%sgenerate: %s}\nsecrets: app: keys: %q: input: %q\n", in[0], encoding, generate, strings.ToLower(in[0]), in[0])
		}
		cert, err := os.ReadFile(filepath.Join(example, "demo-sealing-cert.pem"))
		if err != nil {
			b.Fatal(err)
		}
		dir := bigContract(b, 0)
		for name, content := range map[string]string{
			"contract.cue":       fmt.Sprintf("package app\n\nimport %q\n\nschema.#Environment\n\n%s", schema.ImportPath, c.String()),
			"envs/test/cert.pem": string(cert),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		spend(b, dir, vg, "build", "envs/test")
		dirs[plain] = dir
	}
	var with, without time.Duration
	for b.Loop() {
		d, _ := spend(b, dirs[false], vg, "build", "envs/test")
		with += d
		d, _ = spend(b, dirs[true], vg, "build", "envs/test")
		without += d
	}
	b.ReportMetric(float64(with.Microseconds())/1000/float64(b.N), "ms")
	b.ReportMetric(with.Seconds()/without.Seconds(), "x/plain")
	b.ReportMetric(0, "ns/op")
}
