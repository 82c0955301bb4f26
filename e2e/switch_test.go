package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// testSwitch: a team moves a secret from sealed to external delivery, and back,
// by the steps of docs/switching.md. The Secret is there all the time, with all
// its keys, in whatever order its tree is applied and pruned. Who takes one step
// instead of three loses it.
func testSwitch(t *testing.T, c *cluster) {
	const namespace = "switching"
	c.namespace(t, namespace)
	client := ssm.NewFromConfig(awsConfig(t))
	_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/switching/api-token"), Value: aws.String("tok-7f3k29dk20sk3"), Type: types.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	s := &switching{cluster: c, dir: t.TempDir(), namespace: namespace}
	for name, text := range s.module(c.certificate, "") {
		s.write(t, name, text)
	}

	s.deliver(t, "sealed", "", applyFirst)
	before := c.secret(t, namespace, "app", "")
	seen := s.watch(t)
	for _, order := range []order{applyFirst, pruneFirst} {
		for _, kinds := range [][2]string{{"sealed", "external"}, {"external", "sealed"}} {
			from, to := kinds[0], kinds[1]
			s.deliver(t, from, nobodys, order)
			s.owner(t, "")
			s.deliver(t, to, nobodys, order)
			s.owner(t, "")
			s.deliver(t, to, "", order)
			s.owner(t, map[string]string{"sealed": "SealedSecret", "external": "ExternalSecret"}[to])
			// What the page has the reader remove.
			c.removeAnnotations(t, namespace, "app", "sealedsecrets.bitnami.com/managed", "sealedsecrets.bitnami.com/skip-set-owner-references")
		}
	}
	events := seen()
	if len(events) < 9 { // it was there, and found and lost an owner four times
		t.Errorf("the Secret changed %d times", len(events))
	}
	for _, e := range events {
		if e.Type == watch.Deleted {
			t.Error("the Secret was deleted")
		} else if diff := cmp.Diff(texts(before), texts(e.Object.(*corev1.Secret))); diff != "" {
			t.Errorf("keys or values were others (-before +then)\n%s", diff)
		}
	}
	after := c.secret(t, namespace, "app", "")
	if after.UID != before.UID || after.Type != before.Type || after.Labels["tier"] != "backend" {
		t.Errorf("it is another Secret now: %v", after.ObjectMeta)
	}

	seen = s.watch(t)
	s.deliver(t, "external", "", applyFirst)
	await(t, "the garbage collector", func() error {
		if !slices.ContainsFunc(seen(), func(e watch.Event) bool { return e.Type == watch.Deleted }) {
			return errors.New("has not deleted the Secret of the SealedSecret")
		}
		return nil
	})
}

// nobodys is what the first step adds to the contract.
const nobodys = `
secrets: app: {
	annotations: {
		"sealedsecrets.bitnami.com/managed":                   "true"
		"sealedsecrets.bitnami.com/skip-set-owner-references": "true"
	}
	delivery: creationPolicy: "Orphan"
}
`

// order is that in which a tree reaches the cluster.
type order string

const (
	applyFirst order = "what is new is applied, then what is old is pruned"
	pruneFirst order = "what is old is pruned, then what is new is applied"
)

// switching is one secret on its way from one kind of delivery to another.
type switching struct {
	*cluster
	dir, namespace string
	tree           []*unstructured.Unstructured // in the cluster
}

// module returns the files of the module, of which kind.cue says the kind of delivery.
func (s *switching) module(certificate []byte, more string) map[string]string {
	return map[string]string{
		"cue.mod/module.cue": "module: \"test.example/switching@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"cert.pem":           string(certificate),
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

environment: "test"
namespace:   "switching"
sources: default: {kind: "aws-ssm", region: "us-east-1", prefix: "/switching"}
delivery: {certificate: "cert.pem", refreshInterval: "1s"}
inputs: API_TOKEN:   schema.#Required
inputs: DB_PASSWORD: schema.#Generated & {generate: {kind: "password"}}
secrets: app: {
	type: "example.com/app"
	labels: tier: "backend"
	keys: {
		token: input: "API_TOKEN"
		url: template: "pg://{{.DB_PASSWORD}}@db"
	}
}
` + more,
	}
}

func (s *switching) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// deliver builds the tree of a kind of delivery, brings it to the cluster and
// waits until it is healthy.
func (s *switching) deliver(t *testing.T, kind, more string, o order) {
	t.Helper()
	s.write(t, "kind.cue", "package app\n\ndelivery: kind: \""+kind+"\"\n"+more)
	if out, errs, code := victorgen(t, s.dir, nil, "build", "."); code != 0 {
		t.Fatalf("build: exit %d\n%s%s", code, out, errs)
	}
	old := s.tree
	s.tree = kustomized(t, filepath.Join(s.dir, "deploy", "test"))
	prune := func() {
		for _, o := range old {
			if !slices.ContainsFunc(s.tree, func(n *unstructured.Unstructured) bool {
				return n.GroupVersionKind() == o.GroupVersionKind() && n.GetName() == o.GetName()
			}) {
				if err := s.resource(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				// The other controller, and the garbage collector, have time to notice.
				await(t, "the end of "+o.GetKind(), func() error {
					if _, err := s.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
						return errors.New("it is still there")
					}
					return nil
				})
			}
		}
	}
	if o == pruneFirst {
		prune()
		time.Sleep(time.Second / 2)
	}
	s.apply(t, s.tree)
	if o == applyFirst {
		time.Sleep(time.Second / 2) // both are there
		prune()
	}
	for _, o := range s.tree {
		switch o.GetKind() {
		case "SealedSecret":
			s.condition(t, o, "Synced")
		case "ExternalSecret":
			s.condition(t, o, "Ready")
		}
	}
}

// owner waits until an object of that kind owns the Secret, or no one.
func (s *switching) owner(t *testing.T, kind string) {
	t.Helper()
	await(t, "the owner of the Secret", func() error {
		secret, err := s.core.CoreV1().Secrets(s.namespace).Get(t.Context(), "app", metav1.GetOptions{})
		if err != nil {
			return err
		}
		var owner string
		for _, o := range secret.OwnerReferences {
			owner += o.Kind
		}
		if owner != kind {
			return fmt.Errorf("it is %q, not %q", owner, kind)
		}
		return nil
	})
}

// watch returns a function that returns what has become of the Secret since.
func (s *switching) watch(t *testing.T) func() []watch.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w, err := s.core.CoreV1().Secrets(s.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=app"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []watch.Event
	go func() {
		for e := range w.ResultChan() {
			mu.Lock()
			events = append(events, e)
			mu.Unlock()
		}
	}()
	return func() []watch.Event {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(events)
	}
}
