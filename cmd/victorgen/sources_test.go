package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/internal/awstest"
)

// parameterStore starts a Parameter Store and leads the SDK to it, by nothing
// but the SDK's own variables.
func parameterStore(t testing.TB) *awstest.ParameterStore {
	t.Helper()
	p := awstest.NewParameterStore(t)
	for _, v := range parameterStoreVariables(p) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	return p
}

// parameterStoreVariables are the variables that lead a client of AWS to a server.
func parameterStoreVariables(p *awstest.ParameterStore) []string {
	return []string{
		"AWS_ENDPOINT_URL_SSM=" + p.URL(), "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PROFILE=",
		"AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}

// dotenv returns what a dotenv file assigns.
func dotenv(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), ".secrets") // Git knows no mode 0600
	if err := os.WriteFile(private, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := env.New(plan.Source{File: private}, func(string) (string, bool) { return "", false })
	listed, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, l := range listed {
		a := s.Read(t.Context(), []source.Ref{{Input: l.Name}})[0]
		if len(a.Warnings) > 0 {
			t.Errorf("%s: %v", file, a.Warnings)
		}
		values[l.Name] = string(a.Value.Reveal())
	}
	return values
}

// TestBuildFromParameterStore: the example's production at AWS, with the values
// from which the committed tree was built, gives that tree.
func TestBuildFromParameterStore(t *testing.T) {
	p := parameterStore(t)
	dir := copyExample(t)
	env := filepath.Join(dir, "envs", "production-aws")
	for name, v := range dotenv(t, "../../fixtures/victor/production.env") {
		remote := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if name == "DB_PASSWORD" {
			remote = "database-password"
		}
		p.Put("/victor-ai/"+remote, v)
	}
	if code, stdout, stderr := victorgen(t, "build", env, "--check"); code != 0 || !strings.Contains(stdout, "unchanged") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	if calls, want := p.Calls("GetParameters"), 4; calls != want { // 28 inputs, and what is pending
		t.Errorf("%d calls, not %d", calls, want)
	}
	if n := p.Calls("PutParameter"); n > 0 {
		t.Errorf("a build with all values wrote %d", n)
	}
}

// TestVerifyParameterStore: what verify says of presence, age and weakness, with
// and without the right to read.
func TestVerifyParameterStore(t *testing.T) {
	p := parameterStore(t)
	dir := copyExample(t)
	env := filepath.Join(dir, "envs", "production-aws")
	p.Put("/victor-ai/anthropic-api-key", "sk-ant-fake-0000-3f9c1e7a2b5d")
	p.Put("/victor-ai/groq-api-key", "changeme")
	if code, stdout, stderr := victorgen(t, "generate", env, "--renew", "DB_PASSWORD,ENCRYPTION_KEY,GRAFANA_ADMIN_PASSWORD,JWT_SECRET,VICTORGEN_LOCK_KEY"); code != 0 || strings.Count(stdout, "generated") != 5 {
		t.Fatalf("generate: exit %d\n%s%s", code, stdout, stderr)
	}
	old := time.Now().Add(-100 * 24 * time.Hour)
	p.Versions["/victor-ai/database-password"][0].Changed = old

	code, stdout, _ := victorgen(t, "verify", "--source", env, "-o", "json")
	var report struct {
		Environments []struct {
			Inputs []struct {
				Name, State string
				Changed     *time.Time
			}
			Diagnostics []struct{ Code, Message string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 1 || len(report.Environments) != 1 {
		t.Fatalf("exit %d, %v\n%s", code, err, stdout)
	}
	got := map[string]string{}
	for _, d := range report.Environments[0].Diagnostics {
		got[d.Code] += d.Message
	}
	want := map[string]string{
		"VG2001": "required input SENTRY_DSN is missing",
		"VG2004": "GROQ_API_KEY is a placeholder (from parameter /victor-ai/groq-api-key)",
		"VG2011": "DB_PASSWORD is 100 days old (parameter /victor-ai/database-password): its rotation is due after 90 days",
		"VG2107": "source default (aws-ssm) does not have OPENAI_API_KEY, REDIS_PASSWORD, SLACK_WEBHOOK_URL, SMTP_FROM, SMTP_HOST, SMTP_PASSWORD and SMTP_USER, and deploy/production-aws/victorgen.lock has values of them",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, in := range report.Environments[0].Inputs {
		if in.Name == "DB_PASSWORD" && (in.State != "present" || in.Changed == nil || in.Changed.Sub(old).Abs() > time.Second) {
			t.Errorf("%+v", in)
		}
	}

	reads := p.Calls("GetParameters")
	for name := range p.Versions {
		p.Denied[name] = true
	}
	code, _, stderr := victorgen(t, "verify", "--source", "--no-values", env)
	if code != 1 || !strings.Contains(stderr, want["VG2001"]) || !strings.Contains(stderr, want["VG2011"]) || p.Calls("GetParameters") > reads {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if code, _, stderr := victorgen(t, "verify", "--source", env); code != 3 || !strings.Contains(stderr, "hint: allow ssm:GetParameters on it") {
		t.Errorf("exit %d\n%s", code, stderr)
	}

	if code, stdout, stderr := victorgen(t, "rotate", env, "--due"); code != 3 { // no one knows what is due
		t.Errorf("rotate: exit %d\n%s%s", code, stdout, stderr)
	}
	clear(p.Denied)
	if code, stdout, stderr := victorgen(t, "rotate", env, "--due"); code != 0 || strings.Count(stdout, "generated") != 1 || len(p.Versions["/victor-ai/database-password"]) != 2 {
		t.Errorf("rotate: exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := victorgen(t, "rotate", env, "--due"); code != 0 || !strings.Contains(stdout, "nothing is due") {
		t.Errorf("rotate again: exit %d\n%s", code, stdout)
	}
}

// TestRotateDueNeedsTheFile: of a dotenv file that is not read, no one knows
// what is due.
func TestRotateDueNeedsTheFile(t *testing.T) {
	for text, mode := range map[string]os.FileMode{"NAME=value\n": 0o644, "no assignment\n": 0o600} {
		dir := copyExample(t)
		file := filepath.Join(dir, ".secrets.dev")
		if err := errors.Join(os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := victorgen(t, "rotate", filepath.Join(dir, "envs", "dev"), "--due")
		if code != 1 || stdout != "" || !strings.Contains(stderr, ".secrets.dev") {
			t.Errorf("%q with mode %o: exit %d\n%s%s", text, mode, code, stdout, stderr)
		}
	}
}

// TestRotateSetting: a setting is changed where it stands, which is no source.
func TestRotateSetting(t *testing.T) {
	code, _, stderr := victorgen(t, "rotate", filepath.Join(copyExample(t), "envs", "dev"), "DB_HOST")
	if code != 1 || !strings.Contains(stderr, "hint: change its default") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

// TestUnreadableIsNotGenerated: whatever keeps a build from reading a store, it
// generates nothing there, keeps the tree, and says why.
func TestUnreadableIsNotGenerated(t *testing.T) {
	for name, trouble := range map[string]func(*awstest.ParameterStore, *testing.T){
		"expired":        func(p *awstest.ParameterStore, _ *testing.T) { p.Expire() },
		"denied":         func(p *awstest.ParameterStore, _ *testing.T) { p.Denied["/victor-ai/database-password"] = true },
		"down":           func(p *awstest.ParameterStore, _ *testing.T) { p.Down() },
		"slow":           func(p *awstest.ParameterStore, _ *testing.T) { p.Hang() },
		"throttled":      func(p *awstest.ParameterStore, _ *testing.T) { p.Throttle(1 << 20) },
		"no region":      func(_ *awstest.ParameterStore, t *testing.T) { t.Setenv("AWS_REGION", "") },
		"no credentials": func(_ *awstest.ParameterStore, t *testing.T) { t.Setenv("AWS_ACCESS_KEY_ID", "") },
	} {
		t.Run(name, func(t *testing.T) {
			p := parameterStore(t)
			dir := copyExample(t)
			env := filepath.Join(dir, "envs", "production-aws")
			if name == "no region" {
				os.WriteFile(filepath.Join(env, "env.cue"), bytes.Replace(read(t, filepath.Join(env, "env.cue")), []byte("\tregion: \"us-east-1\"\n"), nil, 1), 0o644)
			}
			for _, input := range []string{"anthropic-api-key", "sentry-dsn"} {
				p.Put("/victor-ai/"+input, "sk-ant-https://fake3f9c1e7a@sentry.victor.example/1")
			}
			before := filesOf(t, filepath.Join(dir, "deploy"))
			trouble(p, t)
			code, stdout, stderr := victorgen(t, "build", env, "--timeout", "500ms")
			if n := len(p.Versions); n != 2 && name != "denied" {
				t.Errorf("there are %d parameters now", n)
			}
			if _, generated := p.Versions["/victor-ai/database-password"]; generated {
				t.Error("the database password was generated")
			}
			if diff := cmp.Diff(before, filesOf(t, filepath.Join(dir, "deploy"))); diff != "" && name != "denied" {
				t.Errorf("the tree changed:\n%s", diff)
			}
			if !strings.Contains(stderr, "VG2101") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
			os.RemoveAll(filepath.Join(dir, "deploy", "production-aws")) // no sealed copy stands in then
			for _, args := range [][]string{{"verify", "--source", env}, {"generate", env}, {"build", env}} {
				args = append(args, "--timeout", "500ms")
				if code, stdout, stderr := victorgen(t, args...); code != 3 {
					t.Errorf("%s: exit %d\n%s%s", args[0], code, stdout, stderr)
				}
			}
		})
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCanariesAtSources runs every verb against a Parameter Store that works
// and that fails in every way, and looks for its values in all that is printed
// and written.
func TestCanariesAtSources(t *testing.T) {
	const property = "six-8h7g6f5d-9s8a7q6w"
	for name, trouble := range map[string]func(*awstest.ParameterStore){
		"nothing":   func(*awstest.ParameterStore) {},
		"expired":   func(p *awstest.ParameterStore) { p.Expire() },
		"denied":    func(p *awstest.ParameterStore) { p.Denied["/app/token"] = true },
		"no key":    func(p *awstest.ParameterStore) { p.DeniedKey["/app/password"] = true },
		"read-only": func(p *awstest.ParameterStore) { p.ReadOnly = true },
		"slow":      func(p *awstest.ParameterStore) { p.Hang() },
		"throttled": func(p *awstest.ParameterStore) { p.Throttle(1 << 20) },
		"garbage": func(p *awstest.ParameterStore) {
			p.Handle = func(string, json.RawMessage) (any, *awstest.Error) {
				return json.RawMessage(`{"Parameters": "` + canaries["TOKEN"] + `"}`), nil
			}
		},
		"echo": func(p *awstest.ParameterStore) { // a service that quotes what it refuses
			handle := p.Handle
			p.Handle = func(operation string, in json.RawMessage) (any, *awstest.Error) {
				if operation == "PutParameter" {
					var refused struct{ Value string }
					json.Unmarshal(in, &refused)
					p.Put("/refused", refused.Value) // for the search
					return nil, awstest.Errorf("ValidationException", "%s", in)
				}
				return handle(operation, in)
			}
		},
		"not base64": func(p *awstest.ParameterStore) { p.Put("/app/long", canaries["PASSWORD"]) },
		"no JSON":    func(p *awstest.ParameterStore) { p.Put("/app/json", canaries["PASSWORD"]) },
		"weak":       func(p *awstest.ParameterStore) { p.Put("/app/token", canaries["WEAK"]) },
		"holder":     func(p *awstest.ParameterStore) { p.Put("/app/token", canaries["HOLDER"]) },
		"not text":   func(p *awstest.ParameterStore) { p.Put("/app/token", canaries["TOKEN"]+"\x00\x1b[31m") },
	} {
		t.Run(name, func(t *testing.T) {
			p := parameterStore(t)
			dir := canaryModule(t)
			if err := os.Remove(filepath.Join(dir, ".secrets.test")); err != nil {
				t.Fatal(err)
			}
			for file, add := range map[string]string{
				"envs/test/env.cue": "sources: default: {kind: \"aws-ssm\", prefix: \"/app\"}\n",
				"contract.cue":      "inputs: {LONG: {encoding: \"base64\"}, JSON: {remote: \"json#c4nary\"}}\n",
			} {
				path := filepath.Join(dir, file)
				if err := os.WriteFile(path, append(read(t, path), add...), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for input, v := range canaries {
				switch input {
				case "LONG":
					v = forms(v)["base64"]
				case "JSON":
					v = `{"c4nary": "` + property + `"}`
				}
				if input != "HOLDER" {
					p.Put("/app/"+strings.ToLower(input), v)
				}
			}
			trouble(p)
			env := filepath.Join(dir, "envs", "test")
			var out bytes.Buffer
			for _, args := range [][]string{
				{"vet", env}, {"template", env}, {"template", env, "--source", "env"}, {"explain", env, "TOKEN"},
				{"build", env, "--dry-run"}, {"verify", "--source", env}, {"verify", "--source", "--no-values", env, "-o", "json"},
				{"report", env, "--values", "-o", "json"}, {"report", env, "--values", "--html", "-"}, {"docs", env},
				{"generate", env, "--dry-run"}, {"generate", env}, {"build", env, "-o", "json"}, {"build", env},
				{"build", env, "--check"}, {"verify", "--source", env, "-o", "json"}, {"rotate", env, "RANDOM"}, {"rotate", env, "--due"},
				{"build", env}, {"build", env, "--source", "env"},
			} {
				timeout := "30s"
				if name == "slow" || name == "throttled" {
					timeout = "50ms"
				}
				switch args[0] {
				case "build", "verify", "generate", "rotate", "report":
					args = append(args, "--timeout", timeout)
				}
				fmt.Fprintf(&out, "== %v\n", args[0])
				run(t.Context(), args, &out, &out)
			}
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			run(cancelled, []string{"build", env}, &out, &out)

			values := map[string]string{"the property": property}
			for name, v := range canaries {
				values[name] = v
			}
			for name, versions := range p.Versions {
				for i, v := range versions {
					values[fmt.Sprint(name, " ", i)] = v.Value
				}
			}
			places := filesOf(t, dir)
			places["the output"] = out.String()
			for place, content := range places {
				for _, found := range shown(values, content) {
					t.Errorf("%s shows %s", place, found)
				}
			}
			if name == "nothing" && (!strings.Contains(out.String(), "test: wrote") || !strings.Contains(out.String(), "generated RANDOM in parameter /app/random")) {
				t.Errorf("the module that should work does not:\n%s", out.String())
			}
		})
	}
}

// TestTablesOfSources: each kind of source is opened.
func TestTablesOfSources(t *testing.T) {
	for _, kind := range plan.SourceKinds {
		if opened := vg.OpenSources(&plan.Plan{Sources: []plan.Source{{Name: "x", Kind: kind}}}); opened["x"] == nil {
			t.Errorf("a source of kind %s is not opened", kind)
		}
	}
}
