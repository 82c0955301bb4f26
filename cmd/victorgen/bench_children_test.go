package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/internal/bench"
	"github.com/victor-ai/victorgen/schema"
)

// BenchmarkChildren builds a contract with values made from values, of which
// nothing changed, in turns with one of as many passwords.
func BenchmarkChildren(b *testing.B) {
	vg := bench.Program(b, "victorgen")
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
		bench.Run(b, dir, nil, vg, "build", "envs/test")
		dirs[plain] = dir
	}
	bench.Turns(b, bench.Row{What: "`build` of values that are made from values, in which nothing has changed", Peer: "of as many passwords", Most: 1.3},
		func() time.Duration { return bench.Run(b, dirs[false], nil, vg, "build", "envs/test").CPU },
		func() time.Duration { return bench.Run(b, dirs[true], nil, vg, "build", "envs/test").CPU })
}

// BenchmarkChildrenGallery builds the gallery, of which nothing changed, in turns
// with a copy in which all that is made from others has the same values, and is
// what someone provides; and then with a build that has to verify everything, for no
// lock vouches for it.
func BenchmarkChildrenGallery(b *testing.B) {
	vg := bench.Program(b, "victorgen")
	children, plain := copyGallery(b), copyGallery(b)
	bench.Run(b, children, nil, vg, "build", "./envs/...")
	made := 0
	for app := range galleryApps {
		values, err := os.ReadFile(filepath.Join(children, ".secrets."+app))
		if err == nil {
			err = os.WriteFile(filepath.Join(plain, ".secrets."+app), values, 0o600)
		}
		file := filepath.Join(plain, "envs", app, app+".cue")
		var contract []byte
		if err == nil {
			contract, err = os.ReadFile(file)
		}
		if err != nil {
			b.Fatal(err)
		}
		contract, n := withoutChildren(b, filepath.Dir(file), contract)
		made += n
		if err := os.WriteFile(file, contract, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if made < 20 {
		b.Fatalf("the gallery has but %d values that are made from others", made)
	}
	bench.Run(b, plain, nil, vg, "build", "./envs/...")
	bench.Turns(b, bench.Row{What: "`build` of the gallery, in which nothing has changed", Peer: "with nothing made from values", Most: 1.3},
		func() time.Duration { return bench.Run(b, children, nil, vg, "build", "./envs/...").CPU },
		func() time.Duration { return bench.Run(b, plain, nil, vg, "build", "./envs/...").CPU })
	// Without the vouching of the lock.
	locks, err := filepath.Glob(filepath.Join(children, "deploy", "*", "victorgen.lock"))
	if err != nil || len(locks) != len(galleryApps) {
		b.Fatalf("%d locks: %v", len(locks), err)
	}
	for _, l := range locks {
		text, err := os.ReadFile(l)
		if err == nil {
			err = os.WriteFile(l, regexp.MustCompile(`(?m)^ *family: .*\n`).ReplaceAll(text, nil), 0o644)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	bench.Report(b, bench.Row{What: "`build` of the gallery that no lock vouches for", Unit: "ms",
		Now: bench.Run(b, children, nil, vg, "build", "./envs/...").CPU.Seconds() * 1000})
}

// withoutChildren returns a contract of the gallery in which the inputs that are
// made from others are required ones, and how many these are.
func withoutChildren(b *testing.B, env string, contract []byte) ([]byte, int) {
	b.Helper()
	p, ds := compiler.Compile(env, compiler.Options{})
	if ds.HasErrors() {
		b.Fatal(ds)
	}
	n := 0
	for _, in := range p.Inputs {
		if len(in.Parents()) == 0 {
			continue
		}
		n++
		at := regexp.MustCompile(`(?m)^\t` + in.Name + `: `).FindIndex(contract)
		if at == nil {
			b.Fatalf("%s does not declare %s as expected", env, in.Name)
		}
		end, depth := at[1], 0
		for ; contract[end] != '\n' || depth > 0; end++ {
			switch contract[end] {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
		}
		required := "schema.#Required"
		if in.Encoding != "" {
			required = fmt.Sprintf("schema.#Required & {encoding: %q}", in.Encoding)
		}
		contract = slices.Concat(contract[:at[1]], []byte(required), contract[end:])
	}
	return contract, n
}
