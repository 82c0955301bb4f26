package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/awssecretsmanager"
	"github.com/victor-ai/victorgen/compiler/source/awsssm"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
)

const motoVersion = "5.2.5"

// moto starts a server that stands for AWS, and returns the variables that lead
// the SDKs and their users there. It sets them for this process, too.
func moto(t *testing.T) []string {
	t.Helper()
	port := freePort(t)
	start(t, nil, listening(port), filepath.Join(pythonPrograms(t, "moto[server]", motoVersion), "moto_server"), "-H", "127.0.0.1", "-p", port)
	var env []string
	for name, v := range map[string]string{
		"AWS_ENDPOINT_URL": "http://127.0.0.1:" + port, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "test", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, v)
		env = append(env, name+"="+v)
	}
	return env
}

func awsConfig(t *testing.T) aws.Config {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// prefix gives each test of a suite names of its own on a server they share.
func prefix(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' || r == '_' {
			return '-'
		}
		return r
	}, t.Name())
}

func kebab(input string) string { return strings.ToLower(strings.ReplaceAll(input, "_", "-")) }

func TestParameterStore(t *testing.T) {
	moto(t)
	client := ssm.NewFromConfig(awsConfig(t))
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		remote := func(input string) plan.Remote { return plan.Remote{Name: "/" + prefix(t) + "/" + kebab(input)} }
		return &sourcetest.Store{
			Open: func() source.Source { return awsssm.New(plan.Source{}) },
			Slow: true,
			Put: func(input string, v []byte) {
				in := &ssm.PutParameterInput{Name: aws.String(remote(input).Name), Value: aws.String(string(v)), Type: types.ParameterTypeSecureString}
				if len(v) > 4096 {
					in.Tier = types.ParameterTierAdvanced
				}
				if _, err := client.PutParameter(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			},
			Remote: remote, Batch: 10, Ages: true, MaxValue: 8192, Unlimited: true, // moto knows no limit
		}
	})
}

func TestSecretsManager(t *testing.T) {
	moto(t)
	client := secretsmanager.NewFromConfig(awsConfig(t))
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		remote := func(input string) plan.Remote { return plan.Remote{Name: prefix(t) + "/" + kebab(input)} }
		return &sourcetest.Store{
			Open: func() source.Source { return awssecretsmanager.New(plan.Source{}) },
			Slow: true,
			Put: func(input string, v []byte) {
				in := &secretsmanager.CreateSecretInput{Name: aws.String(remote(input).Name)}
				if strings.Contains(input, "BYTES") {
					in.SecretBinary = v
				} else if len(v) > 0 {
					in.SecretString = aws.String(string(v))
				}
				if _, err := client.CreateSecret(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			},
			Remote: remote, Batch: 20, Ages: true, Bytes: true, Empty: true, MaxValue: 65536, Unlimited: true, OneBack: true,
		}
	})
}

// TestBuildFromParameterStore: a team starts with nothing in the store: what is
// generated is generated there, what is required is put there by hand, and the
// tree is built from it, twice the same.
func TestBuildFromParameterStore(t *testing.T) {
	env := moto(t)
	client := ssm.NewFromConfig(awsConfig(t))
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/victor")); err != nil {
		t.Fatal(err)
	}
	production := filepath.Join(dir, "envs", "production-aws")
	if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil { // its locks know of values
		t.Fatal(err)
	}

	if out, errs, code := victorgen(t, dir, env, "generate", production); code != 0 || !strings.Contains(out, "DB_PASSWORD in parameter /victor-ai/database-password") {
		t.Fatalf("generate: exit %d\n%s%s", code, out, errs)
	}
	out, errs, code := victorgen(t, dir, env, "verify", "--source", production)
	if code != 1 || !strings.Contains(errs, "required input ANTHROPIC_API_KEY is missing") {
		t.Fatalf("verify: exit %d\n%s%s", code, out, errs)
	}
	for name, v := range map[string]string{"anthropic-api-key": "sk-ant-fake-e2e-3f9c1e7a2b", "sentry-dsn": "https://fake3f9c1e7a@sentry.victor.example/1"} {
		if _, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/victor-ai/" + name), Value: aws.String(v), Type: types.ParameterTypeSecureString}); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code = victorgen(t, dir, env, "verify", "--source", production, "-o", "json"); code != 0 {
		t.Fatalf("verify: exit %d\n%s%s", code, out, errs)
	}
	var report map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if out, errs, code = victorgen(t, dir, env, "build", production); code != 0 || strings.Contains(out, "generated") {
		t.Fatalf("build: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = victorgen(t, dir, env, "build", production, "--check"); code != 0 || !strings.Contains(out, "unchanged") {
		t.Fatalf("second build: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = victorgen(t, dir, env, "rotate", production, "DB_PASSWORD"); code != 0 {
		t.Fatalf("rotate: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = victorgen(t, dir, env, "build", production); code != 0 || !strings.Contains(out, "database-url") || !strings.Contains(out, "1 key sealed") {
		t.Fatalf("build after rotation: exit %d\n%s%s", code, out, errs)
	}
	// No value of the store stands in what is to be committed.
	list, err := client.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/victor-ai"), WithDecryption: aws.Bool(true)})
	if err != nil || len(list.Parameters) < 6 {
		t.Fatal(len(list.Parameters), err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, p := range list.Parameters {
			if bytes.Contains(b, []byte(*p.Value)) {
				t.Errorf("%s shows %s", path, *p.Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// A store that is gone changes nothing.
	gone := append(env, "AWS_ENDPOINT_URL=http://127.0.0.1:"+freePort(t))
	out, errs, code = victorgen(t, dir, gone, "build", production)
	if code != 0 || !strings.Contains(out, "unchanged") || !strings.Contains(errs, "connection refused") {
		t.Errorf("build without a store: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = victorgen(t, dir, gone, "verify", "--source", production); code != 3 {
		t.Errorf("verify without a store: exit %d\n%s%s", code, out, errs)
	}
}
