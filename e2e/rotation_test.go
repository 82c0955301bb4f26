package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// rotated is a team whose tokens are signed with a key that is rotated now and then.
type rotated struct {
	*testing.T
	*cluster
	namespace string
	dir       string
}

// How long the key before counts: longer than any test takes, and over at once. The time
// ends when the contract says so, however long the machine takes for what comes before.
const (
	forLong  = "24h"
	forShort = "1s"
)

// newRotated writes the contract of the team, which delivers as it is told.
func newRotated(t *testing.T, c *cluster, namespace, environment string) *rotated {
	c.namespace(t, namespace)
	r := &rotated{t, c, namespace, t.TempDir()}
	for name, text := range map[string]string{
		"cue.mod/module.cue":     "module: \"test.example/rotation@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"envs/test/env.cue":      "package tokens\n\nenvironment: \"test\"\nnamespace: \"" + namespace + "\"\n" + environment,
		"cert.pem":               string(c.certificate),
		"k8s/kustomization.yaml": "resources: [api.yaml]\nnamespace: " + namespace + "\n",
		"k8s/api.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 1
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: api
        image: test.example/api:1
        envFrom: [{secretRef: {name: tokens}}]
`,
	} {
		file := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	r.keepFor(forLong)
	return r
}

// keepFor writes the contract, by which the key before counts that long.
func (r *rotated) keepFor(long string) {
	r.Helper()
	text := `package tokens

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: JWT_SECRET: schema.#Generated & {generate: {kind: "bytes", keepPrevious: "` + long + `"}}
secrets: tokens: keys: {
	"jwt": input: "JWT_SECRET"
	"jwt-previous": {input: "JWT_SECRET", previous: true}
	"all": template: "{{.JWT_SECRET}}{{with .JWT_SECRET.previous}},{{.}}{{end}}"
}
`
	if err := os.WriteFile(filepath.Join(r.dir, "contract.cue"), []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// run runs a verb for the environment, and returns what it said.
func (r *rotated) run(verb string, more ...string) string {
	r.Helper()
	out, errs, code := victorgen(r, r.dir, nil, append([]string{verb, "envs/test"}, more...)...)
	if code != 0 {
		r.Fatalf("%s %v: exit %d\n%s%s", verb, more, code, out, errs)
	}
	return out
}

// deploy builds and applies the tree, and what more there is, and waits until the
// Secret has keys of that number.
func (r *rotated) deploy(keys int, more ...string) {
	r.Helper()
	r.run("build")
	for _, dir := range append([]string{"deploy/test"}, more...) {
		r.apply(r.T, kustomized(r.T, filepath.Join(r.dir, dir)))
	}
	await(r, "the Secret", func() error {
		if n := len(r.secret(r.T, r.namespace, "tokens", "").Data); n != keys {
			return fmt.Errorf("it has %d keys, not %d", n, keys)
		}
		return nil
	})
}

// token is a message and its signature by the key that the Secret has now.
func (r *rotated) token(message string) (mac []byte) {
	return sign(r.secret(r.T, r.namespace, "tokens", "").Data["jwt"], message)
}

func sign(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

// verifies reports whether the application would take a token: by its key or the
// one before, one by one and as the template has them.
func (r *rotated) verifies(message string, mac []byte) bool {
	r.Helper()
	data := r.secret(r.T, r.namespace, "tokens", "").Data
	single := hmac.Equal(mac, sign(data["jwt"], message)) || len(data["jwt-previous"]) > 0 && hmac.Equal(mac, sign(data["jwt-previous"], message))
	listed := slices.ContainsFunc(bytes.Split(data["all"], []byte(",")), func(key []byte) bool { return hmac.Equal(mac, sign(key, message)) })
	if single != listed {
		r.Errorf("the keys verify a token: %v; the list does: %v", single, listed)
	}
	return single
}

// over has the time of the key before end, and waits until a build would drop it.
func (r *rotated) over() {
	r.Helper()
	r.keepFor(forShort)
	await(r, "the end of the overlap", func() error {
		out, errs, code := victorgen(r, r.dir, nil, "build", "envs/test", "--check")
		if code != 1 || !strings.Contains(errs, "a build drops the previous value of JWT_SECRET, which has expired") {
			return fmt.Errorf("exit %d\n%s%s", code, out, errs)
		}
		return nil
	})
}

// story rotates the key once, and lets the overlap end. deploy brings what was built
// to the cluster, where a Secret with that many keys is to come of it.
func (r *rotated) story(deploy func(keys int)) {
	deploy(2)
	first := r.token("of the first key")
	r.run("rotate", "JWT_SECRET")
	deploy(3)
	second := r.token("of the second key")
	switch {
	case bytes.Equal(second, sign(nil, "of the second key")) || bytes.Equal(r.token("of the first key"), first):
		r.Fatal("the key was not rotated")
	case !r.verifies("of the first key", first):
		r.Error("what was signed before the rotation is refused at once")
	case !r.verifies("of the second key", second):
		r.Error("what is signed after the rotation is refused")
	}
	r.over()
	if !r.verifies("of the first key", first) {
		r.Error("before a build has dropped it, the key before is gone")
	}
	deploy(2)
	switch {
	case r.verifies("of the first key", first):
		r.Error("what was signed before the rotation is taken after its time")
	case !r.verifies("of the second key", second):
		r.Error("what was signed after the rotation is refused after the overlap")
	}
	r.run("build", "--check")
	r.run("build", "--check", "--offline")
	r.run("verify", "--source")
}

// testOverlapSealed: a key is rotated and the one before counts for a while; the
// workload that uses it is restarted twice, and no more.
func testOverlapSealed(t *testing.T, c *cluster) {
	startDeploymentController(t, c)
	r := newRotated(t, c, "overlap-sealed", `delivery: {kind: "sealed", certificate: "../../cert.pem"}
workloads: {paths: ["../../k8s"], restart: "annotation"}
`)
	overlay := "resources: [../k8s]\nnamespace: " + r.namespace + "\ncomponents: [../deploy/test/restart]\n"
	if err := errors.Join(os.Mkdir(filepath.Join(r.dir, "overlay"), 0o755), os.WriteFile(filepath.Join(r.dir, "overlay/kustomization.yaml"), []byte(overlay), 0o644)); err != nil {
		t.Fatal(err)
	}
	sets := 0
	r.story(func(keys int) {
		t.Helper()
		r.deploy(keys, "overlay")
		r.deploy(keys, "overlay") // to build and to apply once more restarts nothing
		sets++
		await(t, "the ReplicaSets", func() error {
			all, err := c.core.AppsV1().ReplicaSets(r.namespace).List(t.Context(), metav1.ListOptions{})
			if err == nil && len(all.Items) != sets {
				err = fmt.Errorf("there are %d, not %d", len(all.Items), sets)
			}
			return err
		})
	})
	if b, err := os.ReadFile(filepath.Join(r.dir, ".secrets.test")); err != nil || bytes.Contains(b, []byte("PREVIOUS")) {
		t.Errorf("the key before is still at its source: %v", err)
	}
}

// testOverlapExternal: the same by the operator, which fetches the key before by the
// staging label of Secrets Manager, and both together.
func testOverlapExternal(t *testing.T, c *cluster) {
	r := newRotated(t, c, "overlap-external", `sources: default: {kind: "aws-secretsmanager", region: "us-east-1", prefix: "overlap"}
delivery: {kind: "external", refreshPolicy: "OnChange"}
`)
	var states func() []string
	r.story(func(keys int) {
		t.Helper()
		r.deploy(keys)
		r.deploy(keys)
		if states == nil {
			states = r.states()
		}
	})
	// What restarts workloads when a Secret changes has seen two changes.
	if changes := states(); len(changes) != 2 {
		t.Errorf("the data of the Secret has changed %d times", len(changes))
	}

	// Rotated twice within the time, the operator fetches both times.
	r.keepFor(forLong)
	r.run("rotate", "JWT_SECRET")
	r.deploy(3)
	second := r.token("of the second key")
	manifest := filepath.Join(r.dir, "deploy/test/secrets/tokens.yaml")
	before, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if out := r.run("rotate", "JWT_SECRET"); !strings.Contains(out, "generated JWT_SECRET") {
		t.Fatal(out)
	}
	// What has the operator fetch again is the time of the rotation, in seconds; and moto says
	// of each version that it was made when it is asked. On a machine that is fast enough, that
	// is still the second of the build before.
	await(t, "another second", func() error {
		r.run("build")
		after, err := os.ReadFile(manifest)
		if err == nil && bytes.Equal(after, before) {
			err = errors.New("the manifest is as it was")
		}
		return err
	})
	r.apply(t, kustomized(t, filepath.Join(r.dir, "deploy/test")))
	await(t, "the third key", func() error {
		if bytes.Equal(r.token("of the second key"), second) {
			return errors.New("the operator has not fetched it")
		}
		return nil
	})
	if !r.verifies("of the second key", second) {
		t.Error("the second key is gone at once")
	}
}

// states returns a function that returns the data that the Secret has had since, each
// once in a row.
func (r *rotated) states() func() []string {
	r.Helper()
	events := r.record(r.T, corev1.SchemeGroupVersion.WithResource("secrets"), r.namespace, "metadata.name=tokens")
	of := func(o runtime.Object) string {
		data, _, err := unstructured.NestedMap(o.(*unstructured.Unstructured).Object, "data")
		b, bad := json.Marshal(data)
		if err := errors.Join(err, bad); err != nil {
			r.Fatal(err)
		}
		return string(b)
	}
	secret, err := r.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(r.namespace).Get(r.Context(), "tokens", metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	first := of(secret)
	return func() (states []string) {
		last := first
		for _, e := range events() {
			if s := of(e.Object); s != last {
				states, last = append(states, s), s
			}
		}
		return states
	}
}
