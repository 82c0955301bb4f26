package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

// applyModule is a module with an environment, for a cluster that has its
// namespace.
func applyModule(t *testing.T) (s *kubetest.Server, kubeconfig, dir string) {
	t.Helper()
	dir = t.TempDir()
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: {
	TOKEN: schema.#Required & {pattern: "^tok-"}
	DSN:   schema.#Optional
	KEY:   schema.#Generated & {generate: {kind: "bytes"}}
}
secrets: app: keys: {
	token: input: "TOKEN"
	dsn:   input: "DSN"
}
secrets: generated: {
	type: "example.com/generated"
	keys: key: input: "KEY"
}
`,
		"envs/test/env.cue": "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: kind: \"sealed\"\n",
		".secrets.test":     "TOKEN=tok-7f3k29dk20sk3\n",
	} {
		if err := write(dir, file, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, ".secrets.test"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = kubetest.New(t)
	s.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}})
	return s, s.Kubeconfig(t), dir
}

// setSecrets writes the dotenv file of a module.
func setSecrets(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ".secrets.test"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestApply is what a team sees that applies, changes a value, and cleans up.
func TestApply(t *testing.T) {
	s, kubeconfig, dir := applyModule(t)
	env := filepath.Join(dir, "envs", "test")
	expect := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		gotCode, out, errs := victorgen(t, append([]string{"apply", env, "--kubeconfig", kubeconfig}, args...)...)
		if gotCode != code {
			t.Errorf("%v: exit %d, not %d", args, gotCode, code)
		}
		if diff := cmp.Diff(stdout, strings.ReplaceAll(out, dir+"/", "")); diff != "" {
			t.Errorf("%v: stdout (-want +got)\n%s", args, diff)
		}
		if !regexp.MustCompile(`^(?s:` + stderr + `)$`).MatchString(errs) {
			t.Errorf("%v: stderr\n%s", args, errs)
		}
	}
	const created = `test: %s to test (2 secrets: 2 created)
  generated KEY in %s
  created apps/app
    created: token
    left out: dsn
  created apps/generated
    created: key
`
	const dry = "a dry run, which stores nothing"
	before := filesOf(t, dir)
	expect(0, fmt.Sprintf(created, "would apply", dry), "", "--dry-run")
	expect(0, fmt.Sprintf(created, "would apply", dry), "", "--dry-run=server", "--context", "test")
	if diff := cmp.Diff(before, filesOf(t, dir)); diff != "" || s.Secret("apps", "app") != nil {
		t.Error("a dry run has written something")
	}
	expect(0, fmt.Sprintf(created, "applied", ".secrets.test:2"), "")
	if key := s.Secret("apps", "generated"); key == nil || !strings.Contains(filesOf(t, dir)[".secrets.test"], string(key.Data["key"])) || key.Type != "example.com/generated" {
		t.Error("what was generated is not what was applied")
	}
	expect(0, `test: unchanged in test (2 secrets: 2 unchanged)
  unchanged apps/app
    unchanged: token
    left out: dsn
  unchanged apps/generated
    unchanged: key
`, "")

	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "api"}, Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "app"}}}}},
	}}})
	setSecrets(t, dir, "TOKEN=tok-another/29dk20sk3\nDSN=there-now-4h5j6k7l8m\nKEY='"+string(s.Secret("apps", "generated").Data["key"])+"'\n")
	expect(0, `test: applied to test (2 secrets: 1 changed, 1 unchanged)
  changed apps/app
    created: dsn
    changed: token
  unchanged apps/generated
    unchanged: key
  restarted deployment/api in namespace apps (it consumes app)
`, "", "--restart")

	add := filepath.Join(env, "add.cue")
	if err := os.WriteFile(add, []byte("package app\n\nsecrets: extra: keys: token: input: \"TOKEN\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := victorgen(t, "apply", env, "--kubeconfig", kubeconfig); code != 0 {
		t.Fatal(out, errs)
	}
	if err := os.Remove(add); err != nil {
		t.Fatal(err)
	}
	expect(0, `test: applied to test (3 secrets: 2 unchanged, 1 pruned)
  unchanged apps/app
    unchanged: dsn, token
  unchanged apps/generated
    unchanged: key
  pruned apps/extra
`, "", "--prune")

	expect(1, "test: nothing was applied\n", `error VG5006: there is no namespace new in cluster test\n    hint: --create-namespace creates it\n1 error\n`, "-n", "new")
	expect(0, `test: applied to test (2 secrets: 2 created)
  created namespace new
  created new/app
    created: dsn, token
  created new/generated
    created: key
`, "", "-n", "new", "--create-namespace")

	code, out, errs := victorgen(t, "apply", env, "--kubeconfig", kubeconfig, "-o", "json")
	var result struct {
		Environments []struct {
			OK      bool
			Applied cluster.ApplyReport
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 || errs != "" {
		t.Fatal(err, code, errs)
	}
	if e := result.Environments[0]; !e.OK || e.Applied.Cluster != "test" || len(e.Applied.Secrets) != 2 || e.Applied.Secrets[0].State != cluster.Unchanged {
		t.Errorf("%+v", e)
	}
}

// TestApplyFails: what goes wrong, with its exit code, and nothing of it done.
func TestApplyFails(t *testing.T) {
	forbid := func(r kubetest.Request) error { return r.Forbidden("me") }
	for name, test := range map[string]struct {
		args    []string
		secrets string
		refuse  func(kubetest.Request) error
		module  func(t *testing.T, dir string)
		code    int
		stderr  []string
	}{
		"no right":              {refuse: forbid, code: 3, stderr: []string{"error VG5001: you may not get secret app in namespace apps (cluster test)", "secret generated", "2 errors"}},
		"no such context":       {args: []string{"--context", "nowhere"}, code: 3, stderr: []string{`error VG5001: no cluster: context "nowhere" does not exist`, "hint: name one with --kubeconfig and --context"}},
		"no such kubeconfig":    {args: []string{"--kubeconfig", "/nowhere"}, code: 3, stderr: []string{"error VG5001: no cluster: the kubeconfig /nowhere can't be read: it does not exist"}},
		"placeholder":           {secrets: "TOKEN=changeme\n", code: 1, stderr: []string{"error VG2004: TOKEN is a placeholder"}},
		"missing":               {secrets: "DSN=x\n", code: 1, stderr: []string{"error VG2001: required input TOKEN is missing"}},
		"missing, unvalidated":  {secrets: "DSN=x\n", args: []string{"--skip-validation"}, code: 1, stderr: []string{"VALIDATION IS SKIPPED", "error VG2001: required input TOKEN is missing"}},
		"nothing is generated":  {args: []string{"--no-generate"}, code: 1, stderr: []string{"error VG2002: generated input KEY is missing"}},
		"unreadable":            {args: []string{"--source", "vault"}, code: 3, stderr: []string{"error VG2101: cannot read"}},
		"source of no file":     {module: func(t *testing.T, dir string) { os.Chmod(filepath.Join(dir, ".secrets.test"), 0o644) }, code: 1, stderr: []string{"VG2103"}},
		"two in one namespace":  {args: []string{"-n", "one"}, module: twice, code: 1, stderr: []string{"error VG1102: two secrets are both one/app", "or leave each in its own namespace"}},
		"two environments":      {args: []string{"PATTERN"}, module: second, code: 1, stderr: []string{"error VG1102: Secret apps/app is that of test and test2"}},
		"bad dry run":           {args: []string{"--dry-run=all"}, code: 2, stderr: []string{`--dry-run takes client or server, not "all"`}},
		"a dry run of its own":  {args: []string{"server", "--dry-run"}, code: 2, stderr: []string{"write --dry-run=server"}},
		"bad namespace":         {args: []string{"-n", "No"}, code: 2, stderr: []string{`--namespace "No" is not a name that Kubernetes accepts`}},
		"empty namespace":       {args: []string{"-n", ""}, code: 2, stderr: []string{`--namespace "" is not a name that Kubernetes accepts`}},
		"bad timeout":           {args: []string{"--timeout", "0s"}, code: 2, stderr: []string{"--timeout must be positive"}},
		"the cluster hangs":     {args: []string{"--timeout", "50ms"}, refuse: func(kubetest.Request) error { time.Sleep(300 * time.Millisecond); return nil }, code: 3, stderr: []string{"error VG5001: cluster test cannot be asked: there was no answer in time"}},
		"a write is not let in": {refuse: func(r kubetest.Request) error { return onlyReads(r) }, code: 3, stderr: []string{"error VG5002: you may not patch secret app"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, kubeconfig, dir := applyModule(t)
			if test.secrets != "" {
				setSecrets(t, dir, test.secrets)
			}
			if test.module != nil {
				test.module(t, dir)
			}
			s.Refuse = test.refuse
			args := []string{"apply", "--kubeconfig", kubeconfig}
			if len(test.args) == 0 || test.args[0] != "PATTERN" && test.args[0] != "server" {
				args = append(args, filepath.Join(dir, "envs", "test"))
			}
			for _, a := range test.args {
				if a == "PATTERN" {
					a = dir + "/envs/..."
				}
				args = append(args, a)
			}
			code, stdout, stderr := victorgen(t, args...)
			if code != test.code {
				t.Errorf("exit %d, not %d", code, test.code)
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr has no %q\n%s%s", want, stdout, stderr)
				}
			}
			if s.Secret("apps", "app") != nil || s.Secret("apps", "generated") != nil {
				t.Error("something was written")
			}
			if generated := strings.Contains(filesOf(t, dir)[".secrets.test"], "KEY="); generated && len(s.Requests()) == 0 {
				t.Error("a value was generated for nothing")
			}
		})
	}
}

func onlyReads(r kubetest.Request) error {
	if r.Verb == "get" || r.Verb == "list" {
		return nil
	}
	return r.Forbidden("me")
}

// twice declares a Secret of the same name in another namespace.
func twice(t *testing.T, dir string) {
	if err := write(dir, "envs/test/twice.cue", []byte("package app\n\nsecrets: again: {name: \"app\", namespace: \"there\", keys: token: input: \"TOKEN\"}\n")); err != nil {
		t.Fatal(err)
	}
}

// second declares another environment of the same namespace.
func second(t *testing.T, dir string) {
	if err := write(dir, "envs/test2/env.cue", []byte("package app\n\nenvironment: \"test2\"\nnamespace: \"apps\"\n")); err != nil {
		t.Fatal(err)
	}
}

// TestApplySkipsValidation: loudly.
func TestApplySkipsValidation(t *testing.T) {
	s, kubeconfig, dir := applyModule(t)
	setSecrets(t, dir, "TOKEN=hunter2\n")
	code, stdout, stderr := victorgen(t, "apply", filepath.Join(dir, "envs/test"), "--kubeconfig", kubeconfig, "--skip-validation")
	if code != 0 || !strings.HasPrefix(stderr, "VALIDATION IS SKIPPED: ") || !strings.Contains(stderr, "warning VG2006: TOKEN does not match its pattern") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if secret := s.Secret("apps", "app"); secret == nil || string(secret.Data["token"]) != "hunter2" {
		t.Error("it was not applied")
	}
}

// TestApplyCompletes: dry runs and contexts, in a shell.
func TestApplyCompletes(t *testing.T) {
	_, kubeconfig, _ := applyModule(t)
	for flag, want := range map[string]string{"--dry-run=": "client\nserver\n", "--context=": "test\n"} {
		if code, stdout, _ := victorgen(t, "__complete", "apply", "--kubeconfig", kubeconfig, flag); code != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("%s: exit %d\n%s", flag, code, stdout)
		}
	}
}

// TestApplyShowsNoValue: whatever an API server says, and it may say what it was
// sent, in errors and in warnings.
func TestApplyShowsNoValue(t *testing.T) {
	group := schema.GroupResource{Resource: "secrets"}
	echo := func(r kubetest.Request) string {
		text := fmt.Sprintf("%s {\"data\":%q} %v", r.Body, canaries["TOKEN"], canaries)
		return text
	}
	status := func(reason metav1.StatusReason, code int32) func(r kubetest.Request) error {
		return func(r kubetest.Request) error {
			return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Reason: reason, Code: code, Message: echo(r),
				Details: &metav1.StatusDetails{Name: echo(r), Kind: echo(r), Causes: []metav1.StatusCause{{Type: metav1.CauseTypeFieldValueInvalid, Field: "data", Message: echo(r)}}}}}
		}
	}
	for name, refuse := range map[string]func(r kubetest.Request) error{
		"nothing":     nil,
		"forbidden":   func(r kubetest.Request) error { return apierrors.NewForbidden(group, r.Name, errors.New(echo(r))) },
		"invalid":     status(metav1.StatusReasonInvalid, 422),
		"bad request": status(metav1.StatusReasonBadRequest, 400),
		"internal":    status(metav1.StatusReasonInternalError, 500),
		"conflict":    status(metav1.StatusReasonConflict, 409),
		"too large":   status(metav1.StatusReasonRequestEntityTooLarge, 413),
		"timeout":     status(metav1.StatusReasonTimeout, 504),
		"unknown":     status("", 418),
		"not found":   status(metav1.StatusReasonNotFound, 404),
		"of managers": func(r kubetest.Request) error {
			return apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Field: ".data.token", Message: "conflict with \"helm\" using v1: " + echo(r)}}, echo(r))
		},
	} {
		for _, when := range []string{"tried", "written", "read"} {
			t.Run(name+" when "+when, func(t *testing.T) {
				t.Parallel()
				dir := canaryModule(t)
				s := kubetest.New(t)
				s.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}})
				s.Warning = echo
				s.Refuse = func(r kubetest.Request) error {
					read := r.Verb == "get" || r.Verb == "list"
					if refuse == nil || read != (when == "read") || !read && r.DryRun != (when == "tried") {
						return nil
					}
					return refuse(r)
				}
				var out bytes.Buffer
				env, kubeconfig := filepath.Join(dir, "envs", "test"), s.Kubeconfig(t)
				for _, args := range [][]string{{"--dry-run"}, {"--dry-run=server", "--prune", "--restart"}, {"-o", "json"}, {}, {"--skip-validation", "--create-namespace", "-n", "b", "--prune", "--restart"}} {
					run(t.Context(), append([]string{"apply", env, "--kubeconfig", kubeconfig}, args...), &out, &out)
				}
				setSecrets(t, dir, strings.Replace(filesOf(t, dir)[".secrets.test"], "WEAK='"+canaries["WEAK"], "WEAK='"+canaries["LONG"], 1))
				for _, args := range [][]string{{"--restart"}, {"-o", "json"}} {
					run(t.Context(), append([]string{"apply", env, "--kubeconfig", kubeconfig}, args...), &out, &out)
				}
				cancelled, cancel := context.WithCancel(t.Context())
				cancel()
				run(cancelled, []string{"apply", env, "--kubeconfig", kubeconfig}, &out, &out)
				// The libraries, too, print to the process's own stderr.
				process, _ := exec.Command("victorgen", "apply", env, "--kubeconfig", kubeconfig, "--force-conflicts").CombinedOutput()
				out.Write(process)
				checkNoCanary(t, dir, out.String())
				if refuse == nil && (!strings.Contains(out.String(), "test: applied to test") || s.Secret("apps", "app") == nil) {
					t.Errorf("what should work does not\n%s", out.String())
				}
				if refuse != nil && !(name == "not found" && when == "read") && !(name == "bad request" && when == "tried") && !strings.Contains(out.String(), "VG50") {
					t.Errorf("nothing fails\n%s", out.String())
				}
			})
		}
	}
}

// TestApplyGeneratesNothingAnew (issue 10, 5): what a Secret in the cluster or a
// lock has a value of is not generated again where its source has lost it.
func TestApplyGeneratesNothingAnew(t *testing.T) {
	t.Parallel()
	_, kubeconfig, dir := applyModule(t)
	env := filepath.Join(dir, "envs", "test")
	apply := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"apply", env, "--kubeconfig", kubeconfig}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, errs := apply(); code != 0 || !strings.Contains(out, "generated KEY") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	const lost = "TOKEN=tok-7f3k29dk20sk3\n"
	setSecrets(t, dir, lost)
	for _, args := range [][]string{nil, {"--dry-run"}, {"--force-conflicts"}} {
		code, out, errs := apply(args...)
		if want := "error VG2107: source default (env) does not have KEY, and Secret apps/generated of cluster test has a value of it"; code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, ".secrets.test")); err != nil || string(b) != lost {
		t.Errorf("%v: %s", err, b)
	}
	// Another namespace has no such Secret: there it is the first time.
	if code, out, errs := apply("-n", "other", "--create-namespace"); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}
