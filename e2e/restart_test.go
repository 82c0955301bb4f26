package e2e

import (
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startDeploymentController starts what makes a ReplicaSet of each template of a
// Deployment.
func startDeploymentController(t *testing.T, c *cluster) {
	t.Helper()
	program := toolProgram(t, "kubernetes", kubernetesVersion, "kube-controller-manager")
	ready := func() error { return nil } // the test waits for what it does
	start(t, nil, ready, program, "--kubeconfig="+c.kubeconfig(t, c.admin.BearerToken),
		"--controllers=deployment-controller", "--leader-elect=false", "--secure-port=0")
}

// testRestart: a value is rotated, and the workloads that use it get new pods, and no
// others; with a new certificate no one does.
func testRestart(t *testing.T, c *cluster) {
	const namespace = "restart"
	c.namespace(t, namespace)
	startDeploymentController(t, c)
	dir := t.TempDir()
	production := filepath.Join(dir, "envs", "production")
	source, err := os.ReadFile("../fixtures/victor/production.env")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.CopyFS(dir, os.DirFS("../examples/victor")), os.RemoveAll(filepath.Join(dir, "deploy"))); err != nil {
		t.Fatal(err)
	}
	write("demo-sealing-cert.pem", string(c.certificate))
	write(".secrets.production", string(source))
	write("overlay/kustomization.yaml", "resources: [../k8s]\nnamespace: "+namespace+"\ncomponents: [../deploy/production/restart]\n")
	// The namespace of the example's production is taken.
	env, err := os.ReadFile(filepath.Join(production, "env.cue"))
	if err != nil {
		t.Fatal(err)
	}
	write("envs/production/env.cue", strings.Replace(string(env), `"victor-ai"`, strconv.Quote(namespace), 1))
	write("envs/production/restart.cue", "package victor\n\nworkloads: restart: \"annotation\"\n")
	run := func(args ...string) {
		t.Helper()
		if out, errs, code := victorgen(t, dir, nil, args...); code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	// sets waits until each Deployment has the ReplicaSet of its template, and returns
	// how many there are of each.
	sets := func() map[string]int {
		t.Helper()
		c.apply(t, kustomized(t, filepath.Join(dir, "overlay")))
		count := map[string]int{}
		await(t, "the ReplicaSets", func() error {
			deployments, err := c.core.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return err
			}
			all, err := c.core.AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return err
			}
			clear(count)
			for _, d := range deployments.Items {
				current := false
				for _, rs := range all.Items {
					if rs.OwnerReferences[0].Name == d.Name {
						count[d.Name]++
						current = current || rs.Spec.Template.Annotations["victorgen/secrets"] == d.Spec.Template.Annotations["victorgen/secrets"]
					}
				}
				if !current || d.Status.ObservedGeneration != d.Generation {
					return fmt.Errorf("%s has no ReplicaSet of its template yet", d.Name)
				}
			}
			return nil
		})
		return count
	}

	run("build", production)
	if diff := cmp.Diff(map[string]int{"api": 1, "grafana": 1, "worker": 1}, sets()); diff != "" {
		t.Fatalf("at first (-want +got)\n%s", diff)
	}
	run("build", production)
	if diff := cmp.Diff(map[string]int{"api": 1, "grafana": 1, "worker": 1}, sets()); diff != "" {
		t.Errorf("a second build restarts (-want +got)\n%s", diff)
	}

	run("rotate", production, "GRAFANA_ADMIN_PASSWORD")
	run("build", production)
	if diff := cmp.Diff(map[string]int{"api": 1, "grafana": 2, "worker": 1}, sets()); diff != "" {
		t.Errorf("after Grafana's password is rotated (-want +got)\n%s", diff)
	}

	// Another certificate seals everything again.
	other, err := os.ReadFile("../fixtures/certificates/good.pem")
	if err != nil {
		t.Fatal(err)
	}
	write("demo-sealing-cert.pem", string(other))
	sealed := func() string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, "deploy/production/secrets/grafana-credentials.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := sealed()
	block, _ := pem.Decode(other)
	accept := fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
	out, errs, code := victorgen(t, dir, nil, "build", production)
	if code != 1 {
		t.Fatalf("another certificate is taken without a word: exit %d\n%s%s", code, out, errs)
	}
	run("build", production, "--accept-certificate", accept)
	if sealed() == before {
		t.Error("nothing is sealed anew")
	}
	if diff := cmp.Diff(map[string]int{"api": 1, "grafana": 2, "worker": 1}, sets()); diff != "" {
		t.Errorf("a new certificate restarts (-want +got)\n%s", diff)
	}

	run("rotate", production, "JWT_SECRET")
	run("build", production, "--accept-certificate", accept)
	if diff := cmp.Diff(map[string]int{"api": 2, "grafana": 2, "worker": 2}, sets()); diff != "" {
		t.Errorf("after the key of tokens is rotated (-want +got)\n%s", diff)
	}
}
