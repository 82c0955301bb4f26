package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-envparse"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"
)

// The version in argocd/go.mod, which builds in some minutes, and that of kustomize
// which its makers put next to it.
const (
	argocdVersion    = "3.1.9"
	kustomizeVersion = "v5.7.0"
)

// TestArgoCD tells what Argo CD makes of the trees: its own repo server and
// application controller sync what is committed to a repository. Its stories share one
// control plane.
func TestArgoCD(t *testing.T) {
	c := startCluster(t)
	c.definitions(t, "github.com/prometheus-operator/prometheus-operator", prometheusOperatorVersion,
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml")
	startSealedSecrets(t, c)
	moto(t)
	startExternalSecrets(t, c)
	startArgoCD(t, c)
	startGarbageCollector(t, c)
	startWorkloadControllers(t, c)
	t.Run("sealed", func(t *testing.T) { testArgoSealed(t, c) })
	t.Run("external", func(t *testing.T) { testArgoExternal(t, c) })
	t.Run("switch", func(t *testing.T) { testArgoSwitch(t, c) })
}

// startArgoCD starts the parts of Argo CD that render and apply, in a namespace of
// their own, with an AppProject that allows all.
func startArgoCD(t *testing.T, c *cluster) {
	t.Helper()
	const namespace = "argocd"
	c.definitions(t, "github.com/argoproj/argo-cd/v3", "v"+argocdVersion, "manifests/crds/*-crd.yaml")
	c.namespace(t, namespace)
	// https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/
	part := map[string]string{"app.kubernetes.io/part-of": "argocd"}
	for _, name := range []string{"argocd-cm", "argocd-rbac-cm", "argocd-cmd-params-cm", "argocd-gpg-keys-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"} {
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: part}}
		if _, err := c.core.CoreV1().ConfigMaps(namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// The cluster is not the one that Argo CD runs in, because it runs in none.
	for name, s := range map[string]struct {
		labels map[string]string
		data   map[string]string
	}{
		"argocd-secret": {part, map[string]string{"server.secretkey": "key-of-the-test"}},
		"e2e": {map[string]string{"argocd.argoproj.io/secret-type": "cluster"}, map[string]string{
			"name": "e2e", "server": c.admin.Host, "config": `{"bearerToken":` + strconv.Quote(c.admin.BearerToken) + `,"tlsClientConfig":{"insecure":true}}`,
		}},
	} {
		o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: s.labels}, StringData: s.data}
		if _, err := c.core.CoreV1().Secrets(namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.apply(t, objects(t, `{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: default, namespace: argocd}, spec: {
  sourceRepos: ["*"], destinations: [{namespace: "*", server: "*"}], clusterResourceWhitelist: [{group: "*", kind: "*"}]}}`))

	redis, repo := freePort(t), freePort(t)
	start(t, nil, listening(redis), "redis-server", "--bind", "127.0.0.1", "--port", redis, "--save", "", "--appendonly", "no")
	program := toolProgram(t, "argocd", argocdVersion, "cmd")
	kustomize := filepath.Dir(goProgram(t, "sigs.k8s.io/kustomize/kustomize/v5", kustomizeVersion))
	env := func(part string) []string {
		return []string{
			"ARGOCD_BINARY_NAME=" + part, "ARGOCD_GPG_ENABLED=false", "TMPDIR=" + t.TempDir(), "KUBECONFIG=" + c.kubeconfig(t, c.admin.BearerToken),
			"PATH=" + kustomize + string(os.PathListSeparator) + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1",
		}
	}
	start(t, env("argocd-repo-server"), listening(repo), program, "--redis=127.0.0.1:"+redis, "--address=127.0.0.1", "--port="+repo,
		"--metrics-address=127.0.0.1", "--metrics-port="+freePort(t), "--disable-tls", "--loglevel=warn")
	metrics := freePort(t)
	start(t, env("argocd-application-controller"), listening(metrics), program, "--redis=127.0.0.1:"+redis, "--repo-server=127.0.0.1:"+repo, "--repo-server-plaintext",
		"--metrics-port="+metrics, "--kubeconfig="+c.kubeconfig(t, c.admin.BearerToken), "--namespace="+namespace, "--loglevel=warn")
}

// startWorkloadControllers starts what Argo CD waits for until a workload is healthy.
// There are no nodes: a workload without replicas is.
func startWorkloadControllers(t *testing.T, c *cluster) {
	t.Helper()
	program := toolProgram(t, "kubernetes", kubernetesVersion, "kube-controller-manager")
	ready := func() error { return nil } // Argo CD waits for what they do
	start(t, nil, ready, program, "--kubeconfig="+c.kubeconfig(t, c.admin.BearerToken),
		"--controllers=deployment-controller,replicaset-controller,statefulset-controller", "--leader-elect=false", "--secure-port=0")
}

// repository is a Git repository with a module, and the Application of one of its
// environments.
type repository struct {
	*cluster
	dir  string // its root, which is that of the module
	env  string // directory of the environment
	name string // of the Application
}

// git runs Git in the repository.
func (r *repository) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=e2e", "-c", "user.email=e2e@victor.example"}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits all that there is, and returns the commit.
func (r *repository) commit(t *testing.T, message string) string {
	t.Helper()
	r.git(t, "add", "-A")
	r.git(t, "commit", "-q", "-m", message)
	return r.git(t, "rev-parse", "HEAD")
}

func (r *repository) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// run runs victorgen.
func (r *repository) run(t *testing.T, args ...string) {
	t.Helper()
	if out, errs, code := victorgen(t, r.dir, nil, args...); code != 0 {
		t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
	}
}

var applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// application returns the Application.
func (r *repository) application(ctx context.Context) (*unstructured.Unstructured, error) {
	return r.dynamic.Resource(applications).Namespace("argocd").Get(ctx, r.name, metav1.GetOptions{})
}

// refresh has Argo CD look at the repository again, normal or hard, and waits until it
// has (https://argo-cd.readthedocs.io/en/stable/user-guide/annotations-and-labels/).
func (r *repository) refresh(t *testing.T, kind string) {
	t.Helper()
	const annotation = "argocd.argoproj.io/refresh"
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotation, kind)
	if _, err := r.dynamic.Resource(applications).Namespace("argocd").Patch(t.Context(), r.name, "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "a "+kind+" refresh of "+r.name, func() error {
		app, err := r.application(t.Context())
		if err != nil {
			return err
		}
		if app.GetAnnotations()[annotation] != "" { // which anyone who does it takes away
			return errors.New("it has not been done")
		}
		return nil
	})
}

// state is what Argo CD says of an Application, as its page has it.
func state(app *unstructured.Unstructured) string {
	get := func(fields ...string) string { s, _, _ := unstructured.NestedString(app.Object, fields...); return s }
	s := fmt.Sprintf("%s, %s", get("status", "sync", "status"), get("status", "health", "status"))
	if phase := get("status", "operationState", "phase"); phase != "" && phase != "Succeeded" {
		s += ", " + phase + ": " + get("status", "operationState", "message")
	}
	for _, path := range [][]string{{"status", "conditions"}, {"status", "resources"}} {
		all, _, _ := unstructured.NestedSlice(app.Object, path...)
		for _, each := range all {
			each := each.(map[string]any)
			health, _, _ := unstructured.NestedString(each, "health", "status")
			switch {
			case path[1] == "conditions":
				s += fmt.Sprintf("\n%v: %v", each["type"], each["message"])
			case each["status"] != "Synced" || health != "" && health != "Healthy":
				s += fmt.Sprintf("\n%v %v is %v, %v", each["kind"], each["name"], each["status"], each["health"])
			}
		}
	}
	return s
}

const fine = "Synced, Healthy"

// deployed has Argo CD deploy a commit, and waits until all of it is there and healthy.
func (r *repository) deployed(t *testing.T, commit string) {
	t.Helper()
	r.refresh(t, "normal")
	await(t, "Application "+r.name, func() error {
		app, err := r.application(t.Context())
		if err != nil {
			return err
		}
		if revision, _, _ := unstructured.NestedString(app.Object, "status", "sync", "revision"); revision != commit {
			return fmt.Errorf("it is at %s, not at %s", revision, commit)
		}
		// Nothing of the past counts: that commit is what was synced last, if anything of it
		// was to be.
		if s := state(app); s != fine {
			return errors.New(s)
		}
		return nil
	})
}

// history returns how often Argo CD has synced.
func (r *repository) history(t *testing.T) int {
	t.Helper()
	app, err := r.application(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, _, _ := unstructured.NestedSlice(app.Object, "status", "history")
	return len(all)
}

// quiet checks that nothing of the Application moves while it is refreshed three times,
// and the operators go on: it is Synced and Healthy all the time, Argo CD applies
// nothing, and no object has another content.
func (r *repository) quiet(t *testing.T, tree []*unstructured.Unstructured) {
	t.Helper()
	versions := func() map[string]string {
		all := map[string]string{}
		for _, o := range tree {
			live, err := r.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			delete(live.Object, "status")
			live.SetResourceVersion("")
			live.SetManagedFields(nil) // in which the time of a status is
			b, err := yaml.Marshal(live.Object)
			if err != nil {
				t.Fatal(err)
			}
			all[o.GetKind()+" "+o.GetName()] = string(b)
		}
		return all
	}
	before, synced := versions(), r.history(t)
	seen := r.record(t, applications, "argocd", "metadata.name="+r.name)
	for range 3 {
		before := r.refreshed(t, tree)
		r.refresh(t, "hard")
		await(t, "the operator", func() error {
			for name, at := range r.refreshed(t, tree) {
				if at == before[name] {
					return fmt.Errorf("it has not looked at %s since", name)
				}
			}
			return nil
		})
	}
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("what nobody has changed is another now (-before +now)\n%s", diff)
	}
	if n := r.history(t); n != synced {
		t.Errorf("it has synced %d times more", n-synced)
	}
	events := seen()
	if len(events) < 3 {
		t.Errorf("it has changed %d times in three refreshes", len(events))
	}
	for _, e := range events {
		if s := state(e.Object.(*unstructured.Unstructured)); s != fine {
			t.Errorf("in between it was %s", s)
		}
	}
}

// refreshed returns when the operator has last fetched the values of each
// ExternalSecret.
func (r *repository) refreshed(t *testing.T, tree []*unstructured.Unstructured) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, o := range tree {
		if o.GetKind() == "ExternalSecret" {
			live, err := r.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all[o.GetName()], _, _ = unstructured.NestedString(live.Object, "status", "refreshTime")
		}
	}
	return all
}

// record returns a function that returns what has become of objects since.
func (c *cluster) record(t *testing.T, of schema.GroupVersionResource, namespace, selector string) func() []watch.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	in := c.dynamic.Resource(of).Namespace(namespace)
	list, err := in.List(t.Context(), metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	w, err := in.Watch(ctx, metav1.ListOptions{FieldSelector: selector, ResourceVersion: list.GetResourceVersion()})
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
		time.Sleep(time.Second / 2) // for those that are on their way
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(events)
	}
}

// waves returns a function that checks that the objects of a tree came in the order of
// their waves: each was created after all of earlier waves, and after these were ready,
// as far as they say so. The versions of all objects in etcd are one sequence
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
func (r *repository) waves(t *testing.T, tree []*unstructured.Unstructured) func() {
	t.Helper()
	seen := map[string]func() []watch.Event{} // by kind
	for _, o := range tree {
		kind := o.GroupVersionKind()
		mapping, err := r.kinds.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			t.Fatal(err)
		}
		if seen[kind.Kind] == nil {
			seen[kind.Kind] = r.record(t, mapping.Resource, o.GetNamespace(), "")
		}
	}
	return func() {
		t.Helper()
		type span struct {
			wave           int
			what           string
			created, ready int64
		}
		var all []span
		events := map[string][]watch.Event{}
		for kind, of := range seen {
			events[kind] = of()
		}
		for _, o := range tree {
			wave, _ := strconv.Atoi(o.GetAnnotations()["argocd.argoproj.io/sync-wave"])
			s := span{wave: wave, what: o.GetKind() + " " + o.GetName()}
			for _, e := range events[o.GetKind()] {
				live := e.Object.(*unstructured.Unstructured)
				if live.GetName() != o.GetName() {
					continue
				}
				version, err := strconv.ParseInt(live.GetResourceVersion(), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if s.created == 0 {
					s.created = version
				}
				condition := map[string]string{"SealedSecret": "Synced", "ExternalSecret": "Ready", "SecretStore": "Ready", "PushSecret": "Ready"}[o.GetKind()]
				if s.ready == 0 && (condition == "" || has(live, condition)) {
					s.ready = version
				}
			}
			if s.created == 0 || s.ready == 0 {
				t.Errorf("%s never came, or never got ready", s.what)
			}
			all = append(all, s)
		}
		ordered := map[int]int{}
		for _, a := range all {
			for _, b := range all {
				if a.wave < b.wave && a.ready >= b.created {
					t.Errorf("%s, of wave %d, came before %s, of wave %d, was ready", b.what, b.wave, a.what, a.wave)
				}
			}
			ordered[a.wave]++
		}
		t.Logf("objects by wave: %v", ordered)
		if len(ordered) < 2 {
			t.Error("there is but one wave")
		}
	}
}

// has reports whether a condition of an object is true.
func has(o *unstructured.Unstructured, condition string) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(each any) bool {
		c, _ := each.(map[string]any)
		return c["type"] == condition && c["status"] == "True"
	})
}

// victorRepository makes a repository of the example, whose environment is in another
// namespace, is deployed by Argo CD together with its workloads, and is as more says.
func victorRepository(t *testing.T, c *cluster, environment, namespace, more string) *repository {
	t.Helper()
	dir := t.TempDir()
	r := &repository{cluster: c, dir: dir, env: filepath.Join("envs", environment), name: "victor-" + environment}
	c.namespace(t, namespace)
	if err := errors.Join(os.CopyFS(dir, os.DirFS("../examples/victor")), os.RemoveAll(filepath.Join(dir, "deploy"))); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(filepath.Join(dir, r.env, "env.cue"))
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, filepath.Join(r.env, "env.cue"), strings.Replace(string(env), `"victor-ai"`, strconv.Quote(namespace), 1))
	r.write(t, filepath.Join(r.env, "argocd.cue"), fmt.Sprintf("package victor\n\nargocd: {repoURL: %q, path: \"apps\", server: %q, automated: true}\n%s", "file://"+dir, c.admin.Host, more))
	r.write(t, "demo-sealing-cert.pem", string(c.certificate))
	r.write(t, ".gitignore", ".secrets*\n")
	// There are no nodes.
	r.write(t, "apps/kustomization.yaml", "resources: [../k8s, ../deploy/"+environment+"]\nnamespace: "+namespace+`
replicas: [{name: api, count: 0}, {name: worker, count: 0}, {name: grafana, count: 0}, {name: alertmanager, count: 0}]
`)
	r.git(t, "init", "-q", "-b", "main")
	return r
}

// begin commits, hands Argo CD the Application that victorgen has written, and checks
// the order in which its objects come.
func (r *repository) begin(t *testing.T) (tree []*unstructured.Unstructured) {
	t.Helper()
	tree = kustomized(t, filepath.Join(r.dir, "apps"))
	inOrder := r.waves(t, tree)
	commit := r.commit(t, "all of it")
	r.handOver(t, filepath.Base(r.env))
	r.deployed(t, commit)
	inOrder()
	return tree
}

// handOver gives Argo CD the Application that is next to a tree.
func (r *repository) handOver(t *testing.T, environment string) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(r.dir, "deploy", environment, "argocd", "application.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.apply(t, objects(t, string(file)))
}

// untracked checks that nothing on the Secrets tells Argo CD that they are its own.
func (r *repository) untracked(t *testing.T, namespace string) {
	t.Helper()
	secrets, err := r.core.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets.Items {
		for _, name := range slices.Concat(slices.Collect(maps.Keys(s.Labels)), slices.Collect(maps.Keys(s.Annotations))) {
			if strings.Contains(name, "argocd") || name == "app.kubernetes.io/instance" {
				t.Errorf("Secret %s has %s", s.Name, name)
			}
		}
	}
}

// replicaSets returns how many templates of pods each Deployment has had.
func (r *repository) replicaSets(t *testing.T, namespace string) map[string]int {
	t.Helper()
	all, err := r.core.AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, rs := range all.Items {
		count[rs.OwnerReferences[0].Name]++
	}
	return count
}

// testArgoSealed: production of the example, and what uses it, is deployed by Argo CD.
func testArgoSealed(t *testing.T, c *cluster) {
	const namespace, extra = "victor-ai", "victor-extra"
	r := victorRepository(t, c, "production", namespace, "workloads: restart: \"annotation\"\n")
	source, err := os.ReadFile("../fixtures/victor/production.env")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, ".secrets.production"), source, 0o600); err != nil {
		t.Fatal(err)
	}
	kustomization, err := os.ReadFile(filepath.Join(r.dir, "apps/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "apps/kustomization.yaml", string(kustomization)+"components: [../deploy/production/restart]\n")
	r.write(t, filepath.Join(r.env, "extra.cue"), "package victor\n\nsecrets: \""+extra+"\": keys: password: input: \"DB_PASSWORD\"\n")
	r.run(t, "build", r.env)
	tree := r.begin(t)
	v, err := envparse.Parse(strings.NewReader(string(source)))
	if err != nil {
		t.Fatal(err)
	}
	want := victorSecrets(v)
	delete(want, "victor-postgres")
	want[extra] = map[string]string{"password": v["DB_PASSWORD"]}
	for name, data := range want {
		if diff := cmp.Diff(data, texts(c.secret(t, namespace, name, ""))); diff != "" {
			t.Errorf("%s (-source +cluster)\n%s", name, diff)
		}
	}
	r.untracked(t, namespace)
	r.quiet(t, tree)
	if diff := cmp.Diff(map[string]int{"api": 1, "grafana": 1, "worker": 1}, r.replicaSets(t, namespace)); diff != "" {
		t.Errorf("at first (-want +got)\n%s", diff)
	}

	// A rotation arrives, and rolls the workload that uses the value.
	r.run(t, "rotate", r.env, "GRAFANA_ADMIN_PASSWORD")
	r.run(t, "build", r.env)
	r.deployed(t, r.commit(t, "rotate"))
	if data := texts(c.secret(t, namespace, "grafana-credentials", "")); data["admin-password"] == v["GRAFANA_ADMIN_PASSWORD"] {
		t.Error("the rotated password is not there")
	}
	if diff := cmp.Diff(map[string]int{"api": 1, "grafana": 2, "worker": 1}, r.replicaSets(t, namespace)); diff != "" {
		t.Errorf("after Grafana's password is rotated (-want +got)\n%s", diff)
	}

	// A secret that the contract no longer has is pruned, with its Secret.
	if err := os.Remove(filepath.Join(r.dir, r.env, "extra.cue")); err != nil {
		t.Fatal(err)
	}
	r.run(t, "build", r.env)
	r.deployed(t, r.commit(t, "no extra"))
	await(t, "the end of "+extra, func() error {
		for _, o := range tree {
			if o.GetName() == extra {
				if _, err := c.resource(t, o).Get(t.Context(), extra, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return fmt.Errorf("the %s is still there: %v", o.GetKind(), err)
				}
			}
		}
		if _, err := c.core.CoreV1().Secrets(namespace).Get(t.Context(), extra, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Secret is still there: %v", err)
		}
		return nil
	})
	r.quiet(t, kustomized(t, filepath.Join(r.dir, "apps")))
}

// testArgoExternal: the same by the operator, with a password that is born in the
// cluster.
func testArgoExternal(t *testing.T, c *cluster) {
	const namespace = "victor-external"
	client := ssm.NewFromConfig(awsConfig(t))
	r := victorRepository(t, c, "production-external", namespace, `
delivery: refreshInterval: "1s"
inputs: BORN_HERE: {class: "generated", generate: {kind: "password", length: 48, inCluster: true}}
secrets: "victor-ai-secrets": keys: "born-here": input: "BORN_HERE"
secrets: "victor-extra": keys: password: input: "DB_PASSWORD"
`)
	env := filepath.Join(r.env, "env.cue")
	text, err := os.ReadFile(filepath.Join(r.dir, env))
	if err != nil {
		t.Fatal(err)
	}
	// There is no role to assume here.
	plain := strings.Replace(string(text), "\tstore: serviceAccount: awsRole: \"arn:aws:iam::111122223333:role/victor-ai-secrets\"\n", "", 1)
	plain = strings.Replace(plain, "\trefreshInterval: \"1h\"\n", "", 1)
	r.write(t, env, strings.Replace(plain, `"/victor-ai"`, `"/victor-argocd"`, 1))
	file, err := os.Open("../fixtures/victor/production.env")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	v, err := envparse.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, value string) {
		t.Helper()
		if name == "DB_PASSWORD" {
			name = "DATABASE_PASSWORD"
		}
		_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/victor-argocd/" + kebab(name)), Value: aws.String(value), Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range v {
		put(name, value)
	}
	r.run(t, "build", r.env)
	tree := r.begin(t)
	waves := map[string]bool{}
	for _, o := range tree {
		waves[o.GetAnnotations()["argocd.argoproj.io/sync-wave"]] = true
	}
	if diff := cmp.Diff(map[string]bool{"-3": true, "-2": true, "-1": true, "": true}, waves); diff != "" {
		t.Errorf("waves (-want +tree)\n%s", diff)
	}
	if data := texts(c.secret(t, namespace, "grafana-credentials", "")); data["admin-password"] != v["GRAFANA_ADMIN_PASSWORD"] {
		t.Error("grafana-credentials is not that of the store")
	}
	if n := len(c.secret(t, namespace, "victor-ai-secrets", "").Data["born-here"]); n != 48 {
		t.Errorf("born-here has %d characters", n)
	}
	r.untracked(t, namespace)
	r.quiet(t, tree)

	// A rotation is no commit, and Argo CD has nothing to do.
	const rotated = "kT4vR8wZ2pXq6LmN9sJc"
	synced := r.history(t)
	put("GRAFANA_ADMIN_PASSWORD", rotated)
	await(t, "the rotated password", func() error {
		if data := texts(c.secret(t, namespace, "grafana-credentials", "")); data["admin-password"] != rotated {
			return errors.New("it is not there")
		}
		return nil
	})
	r.quiet(t, tree)
	if n := r.history(t); n != synced {
		t.Errorf("a rotation at the source was synced %d times", n-synced)
	}

	// A key more is a commit, and so is a secret less.
	config := filepath.Join(r.env, "argocd.cue")
	old, err := os.ReadFile(filepath.Join(r.dir, config))
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, config, strings.Replace(string(old), `"victor-extra": keys`, `"grafana-credentials": keys`, 1))
	r.run(t, "build", r.env)
	r.deployed(t, r.commit(t, "a key more, a secret less"))
	await(t, "the end of victor-extra, and a key more", func() error {
		if _, err := c.core.CoreV1().Secrets(namespace).Get(t.Context(), "victor-extra", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("victor-extra is still there: %v", err)
		}
		if data := texts(c.secret(t, namespace, "grafana-credentials", "")); data["password"] != v["DB_PASSWORD"] {
			return errors.New("the key is not there")
		}
		return nil
	})
	r.quiet(t, kustomized(t, filepath.Join(r.dir, "apps")))
}

// testArgoSwitch: Argo CD moves a secret from sealed to external delivery, and back, by
// the steps of docs/switching.md. The Secret is there all the time, with all its keys.
func testArgoSwitch(t *testing.T, c *cluster) {
	const namespace = "switching"
	c.namespace(t, namespace)
	client := ssm.NewFromConfig(awsConfig(t))
	_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/switching/api-token"), Value: aws.String("tok-7f3k29dk20sk3"), Type: types.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &repository{cluster: c, dir: dir, env: ".", name: "switching-test"}
	s := &switching{cluster: c, dir: dir, namespace: namespace}
	for name, text := range s.module(c.certificate, fmt.Sprintf("argocd: {repoURL: %q, server: %q, name: %q, automated: true}\n", "file://"+dir, c.admin.Host, r.name)) {
		r.write(t, name, text)
	}
	r.write(t, ".gitignore", ".secrets*\n")
	r.git(t, "init", "-q", "-b", "main")
	// step is one of the page: a build, a commit and a sync.
	step := func(kind, more string) string {
		t.Helper()
		r.write(t, "kind.cue", "package app\n\ndelivery: kind: \""+kind+"\"\n"+more)
		r.run(t, "build", ".")
		return r.commit(t, "deliver "+kind)
	}
	commit := step("sealed", "")
	seen := c.record(t, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, namespace, "metadata.name=app")
	r.handOver(t, "test")
	r.deployed(t, commit)
	before := c.secret(t, namespace, "app", "")
	for _, kinds := range [][2]string{{"sealed", "external"}, {"external", "sealed"}} {
		from, to := kinds[0], kinds[1]
		r.deployed(t, step(from, nobodys))
		s.owner(t, "")
		r.deployed(t, step(to, nobodys))
		s.owner(t, "")
		r.deployed(t, step(to, ""))
		s.owner(t, map[string]string{"sealed": "SealedSecret", "external": "ExternalSecret"}[to])
		c.removeAnnotations(t, namespace, "app", "sealedsecrets.bitnami.com/managed", "sealedsecrets.bitnami.com/skip-set-owner-references")
	}
	r.quiet(t, kustomized(t, filepath.Join(dir, "deploy/test")))
	events := seen()
	if len(events) < 5 { // it was made, and found and lost an owner twice
		t.Errorf("the Secret changed %d times", len(events))
	}
	for _, e := range events {
		o := e.Object.(*unstructured.Unstructured)
		data, _, _ := unstructured.NestedStringMap(o.Object, "data")
		want := map[string]string{}
		for key, b := range before.Data {
			want[key] = base64.StdEncoding.EncodeToString(b)
		}
		if e.Type == watch.Deleted {
			t.Error("the Secret was deleted")
		} else if diff := cmp.Diff(want, data); diff != "" {
			t.Errorf("keys or values were others (-before +then)\n%s", diff)
		}
	}
	if after := c.secret(t, namespace, "app", ""); after.UID != before.UID {
		t.Error("it is another Secret now")
	}

	// Who takes one step instead of three loses it.
	step("external", "")
	r.refresh(t, "normal")
	await(t, "the loss", func() error {
		if !slices.ContainsFunc(seen(), func(e watch.Event) bool { return e.Type == watch.Deleted }) {
			return errors.New("nobody has deleted the Secret of the SealedSecret")
		}
		return nil
	})
}
