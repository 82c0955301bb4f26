package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/internal/kubetest"
)

// TestRecover (issue 10, 5): what the source has lost comes back from the cluster,
// and nothing else happens.
func TestRecover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: {
	PASSWORD: schema.#Generated & {generate: kind: "password"}
	BYTES:    schema.#Generated & {generate: {kind: "bytes", encoding: "base64"}, encoding: "base64"}
	ENCODED:  schema.#Generated & {generate: kind: "uuid"}
	INSIDE:   schema.#Generated & {generate: kind: "uuid"}
	TOKEN:    schema.#Optional
}
secrets: app: keys: {
	password: input: "PASSWORD"
	bytes:    input: "BYTES"
	encoded:  template: "{{ .ENCODED | b64enc }}"
	url:      template: "https://x:{{.INSIDE}}@y"
	token:    input: "TOKEN"
}
`,
		"envs/test/env.cue": "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../good.pem\"\n",
		"good.pem":          string(read(t, "../../fixtures/certificates/good.pem")),
	} {
		if err := write(dir, file, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	env := filepath.Join(dir, "envs", "test")
	if code, out, errs := victorgen(t, "build", env); code != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	source := filepath.Join(dir, ".secrets.test")
	before := string(read(t, source))
	values := assignments(before)
	if len(values) != 5 {
		t.Fatalf("%d values", len(values))
	}
	s := kubetest.New(t)
	s.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}})
	raw, err := base64.StdEncoding.DecodeString(values["BYTES"])
	if err != nil {
		t.Fatal(err)
	}
	held := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "apps"}, Type: "Opaque", Data: map[string][]byte{
		"password": []byte(values["PASSWORD"]), "bytes": raw, "encoded": []byte(base64.StdEncoding.EncodeToString([]byte(values["ENCODED"]))),
		"url": []byte("https://x:" + values["INSIDE"] + "@y"),
	}}
	s.Put(t, "secrets", "controller", held)
	kubeconfig := s.Kubeconfig(t)
	recover := func(want int, args ...string) (string, string) {
		t.Helper()
		code, out, errs := victorgen(t, append([]string{"recover", env, "--kubeconfig", kubeconfig}, args...)...)
		if code != want {
			t.Errorf("%v: exit %d, want %d\n%s%s", args, code, want, out, errs)
		}
		for name, v := range values {
			for _, v := range []string{v, base64.StdEncoding.EncodeToString([]byte(v))} {
				if strings.Contains(out+errs, v) {
					t.Errorf("%v shows the value of %s", args, name)
				}
			}
		}
		return out, errs
	}
	lines := func(names ...string) string {
		var kept []string
		for line := range strings.Lines(before) {
			for _, name := range names {
				if strings.HasPrefix(line, name+"=") {
					kept = append(kept, line)
				}
			}
		}
		return strings.Join(kept, "")
	}
	has := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}

	// Nothing is missing.
	out, _ := recover(0, "--yes")
	has(out, "test: nothing is missing that the cluster has")

	// The lock key is there: what comes back is checked.
	setSecrets(t, dir, lines("VICTORGEN_LOCK_KEY"))
	_, errs := recover(2)
	has(errs, "there is no terminal to ask on: write --yes")
	out, errs = recover(0, "--dry-run")
	has(out, "test: would recover PASSWORD, from apps/app password (victorgen.lock confirms it)")
	has(errs, `warning VG2108: INSIDE cannot be recovered: it is only in a template (key "url" of secret apps/app)`)
	if got := string(read(t, source)); got != lines("VICTORGEN_LOCK_KEY") {
		t.Errorf("a dry run writes")
	}
	out, _ = recover(0, "PASSWORD", "--yes", "-o", "json")
	has(out, `"input": "PASSWORD"`, `"state": "recovered"`, `"confirmed": true`)
	out, _ = recover(0, "--yes")
	has(out, "recovered BYTES in .secrets.test:3, from apps/app bytes (victorgen.lock confirms it)", "recovered ENCODED")
	after := assignments(string(read(t, source)))
	for _, name := range []string{"PASSWORD", "BYTES", "ENCODED", "VICTORGEN_LOCK_KEY"} {
		if after[name] != values[name] {
			t.Errorf("%s is not what it was", name)
		}
	}
	if code, out, errs := victorgen(t, "build", env); code != 0 || !strings.Contains(out, "unchanged") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	_, errs = recover(1, "INSIDE", "--yes")
	has(errs, "error VG2108: INSIDE cannot be recovered")
	_, errs = recover(1, "VICTORGEN_LOCK_KEY", "--yes")
	has(errs, "error VG2108: VICTORGEN_LOCK_KEY is in no Secret")
	_, errs = recover(1, "PASSWRD", "--yes")
	has(errs, `did you mean "PASSWORD"?`)
	out, _ = recover(0, "PASSWORD", "--yes")
	has(out, "test: unchanged PASSWORD")

	// Another value at the source stays until it is told to go.
	other := strings.Replace(before, values["PASSWORD"], "another-Passw0rd-than-that-7f3k", 1)
	setSecrets(t, dir, other)
	_, errs = recover(0, "--yes")
	has(errs, "warning VG2109: PASSWORD at .secrets.test:")
	_, errs = recover(1, "PASSWORD", "--yes")
	has(errs, "error VG2109")
	if string(read(t, source)) != other {
		t.Error("it is written over")
	}
	_, errs = recover(2, "--replace", "--yes")
	has(errs, "--replace is for inputs that are named")
	recover(0, "PASSWORD", "--replace", "--yes")
	if !strings.Contains(string(read(t, source)), values["PASSWORD"]) {
		t.Error("it is not replaced")
	}

	// Without the lock key nothing is checked, and it says so.
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	out, errs = recover(0, "PASSWORD", "--yes")
	has(out, "recovered PASSWORD in .secrets.test:1, from apps/app password (not checked")
	has(errs, "warning VG2108: VICTORGEN_LOCK_KEY is absent too")

	// An optional one comes back, too, unless the contract says that it is gone.
	held.Data["token"] = []byte("tok-7f3k29dk20sk3")
	s.Put(t, "secrets", "controller", held)
	gone := filepath.Join("envs", "test", "gone.cue")
	if err := write(dir, gone, []byte("package app\n\ninputs: TOKEN: present: false\n")); err != nil {
		t.Fatal(err)
	}
	setSecrets(t, dir, before)
	out, _ = recover(0, "--yes")
	has(out, "test: nothing is missing that the cluster has")
	_, errs = recover(1, "TOKEN", "--yes")
	has(errs, "error VG2108: the contract says that TOKEN is absent")
	if err := os.Remove(filepath.Join(dir, gone)); err != nil {
		t.Fatal(err)
	}
	out, _ = recover(0, "--yes")
	has(out, "recovered TOKEN in .secrets.test:6, from apps/app token")

	// A Secret that is not what the tree was built with does not come back.
	setSecrets(t, dir, lines("VICTORGEN_LOCK_KEY"))
	held.Data["password"] = []byte("somebody-Else-set-this-4k2m")
	s.Put(t, "secrets", "kubectl", held)
	_, errs = recover(1, "--yes")
	has(errs, "error VG5008: what key apps/app password holds of PASSWORD is not what the tree was built with")
	if got := string(read(t, source)); got != lines("VICTORGEN_LOCK_KEY") {
		t.Error("something is written in spite of an error")
	}
	code, _, errs := victorgen(t, "recover", env, "--kubeconfig", filepath.Join(dir, "none"), "--yes")
	if code != 3 || !strings.Contains(errs, "VG5001") {
		t.Errorf("exit %d\n%s", code, errs)
	}
}

// assignments reads what victorgen itself writes.
func assignments(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[name] = strings.Trim(v, `'"`)
		}
	}
	return values
}
