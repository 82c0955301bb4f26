package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The versions in the go.mod of these directories.
const (
	etcdVersion       = "3.7.3"
	kubernetesVersion = "1.36.3" // builds in some minutes
)

// TestCluster tells what becomes of the trees in a cluster. Its stories share
// one control plane, and each has a namespace of its own.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	c.definitions(t, "github.com/prometheus-operator/prometheus-operator", prometheusOperatorVersion,
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml")
	startSealedSecrets(t, c)
	moto(t)
	startExternalSecrets(t, c)
	startGarbageCollector(t, c)
	t.Run("sealed", func(t *testing.T) { testSealed(t, c) })
	t.Run("verify", func(t *testing.T) { testVerify(t, c) })
	t.Run("cert", func(t *testing.T) { testCert(t, c) })
	t.Run("external", func(t *testing.T) { testExternal(t, c) })
	t.Run("direct", func(t *testing.T) { testApply(t, c) })
	t.Run("drift", func(t *testing.T) { testDrift(t, c) })
	t.Run("switch", func(t *testing.T) { testSwitch(t, c) })
	t.Run("import", func(t *testing.T) { testImport(t, c) })
	t.Run("exec", func(t *testing.T) { testExecKubectl(t, c) })
	t.Run("restart", func(t *testing.T) { testRestart(t, c) })
	t.Run("overlap sealed", func(t *testing.T) { testOverlapSealed(t, c) })
	t.Run("overlap external", func(t *testing.T) { testOverlapExternal(t, c) })
	t.Run("rotated login", func(t *testing.T) { testRotatedLogin(t, c) })
	t.Run("broken", func(t *testing.T) { testBroken(t, c) })
}

// cluster is the control plane of Kubernetes: an API server and its etcd. There
// are no nodes, and of Kubernetes' own controllers the garbage collector alone:
// who deletes a namespace must not wait for what is in it to go.
type cluster struct {
	admin   *rest.Config // who may do all
	core    kubernetes.Interface
	dynamic dynamic.Interface
	kinds   *restmapper.DeferredDiscoveryRESTMapper

	sealedSecrets   controller
	certificate     []byte // of the sealed-secrets controller, when it started
	externalSecrets controller
}

// controller is one that runs.
type controller struct {
	server
	address string // of what it serves
	metrics string // address of its metrics
}

// startCluster starts a control plane until the end of the test.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	const token = "admin-token-of-the-test"
	dir := t.TempDir()
	etcd, apiserver := toolProgram(t, "etcd", etcdVersion, "server"), toolProgram(t, "kubernetes", kubernetesVersion, "kube-apiserver")
	clients, peers := freePort(t), "http://127.0.0.1:"+freePort(t)
	store := "http://127.0.0.1:" + clients
	start(t, nil, listening(clients), etcd, "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)

	key, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokens := filepath.Join(dir, "service-accounts.key"), filepath.Join(dir, "tokens.csv")
	if err := errors.Join(os.WriteFile(keyFile, key, 0o600), os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	c := &cluster{admin: &rest.Config{
		Host: "https://127.0.0.1:" + port, BearerToken: token, QPS: -1, // no limit
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "apiserver.crt")},
	}}
	ready := func() error {
		core, err := kubernetes.NewForConfig(c.admin) // the certificate is not there at once
		if err != nil {
			return err
		}
		c.core = core
		return core.RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error()
	}
	start(t, nil, ready, apiserver,
		"--etcd-servers="+store, "--bind-address=127.0.0.1", "--secure-port="+port, "--cert-dir="+dir,
		"--authorization-mode=RBAC", "--token-auth-file="+tokens, "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer="+c.admin.Host, "--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile)

	if c.dynamic, err = dynamic.NewForConfig(c.admin); err != nil {
		t.Fatal(err)
	}
	c.kinds = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.core.Discovery()))
	return c
}

// startGarbageCollector starts what deletes the dependents of what was deleted.
// The kinds that there are must be known by now: it looks for new ones every
// half minute.
func startGarbageCollector(t *testing.T, c *cluster) {
	t.Helper()
	program := toolProgram(t, "kubernetes", kubernetesVersion, "kube-controller-manager")
	ready := func() error {
		owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "owner-"}}
		configs := c.core.CoreV1().ConfigMaps("default")
		owner, err := configs.Create(t.Context(), owner, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: owner.Name + "-s", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID},
		}}}
		_, err = configs.Create(t.Context(), owned, metav1.CreateOptions{})
		if err := errors.Join(err, configs.Delete(t.Context(), owner.Name, metav1.DeleteOptions{})); err != nil {
			return err
		}
		for range 20 {
			if _, err = configs.Get(t.Context(), owned.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return errors.New("what an object owned outlives it")
	}
	start(t, nil, ready, program, "--kubeconfig="+c.kubeconfig(t, c.admin.BearerToken),
		"--controllers=garbage-collector-controller", "--leader-elect=false", "--secure-port=0")
}

// kubeconfig returns a file by which programs find the cluster, and log in with
// a token.
func (c *cluster) kubeconfig(t *testing.T, token string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["e2e"] = &clientcmdapi.Cluster{Server: c.admin.Host, CertificateAuthority: c.admin.CAFile}
	config.AuthInfos["e2e"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "e2e"}
	config.CurrentContext = "e2e"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// namespace makes a namespace.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.core.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// definitions installs the CustomResourceDefinitions in the files of a module.
func (c *cluster) definitions(t *testing.T, module, version, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(moduleDir(t, module, version), pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no %s: %v", module, pattern, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range c.apply(t, objects(t, string(b))) {
			c.condition(t, o, "Established")
		}
	}
	c.kinds.Reset()
}

// objects returns those in manifests.
func objects(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		o := new(unstructured.Unstructured)
		if err := d.Decode(o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// kustomized returns the objects that kustomize builds of a directory.
func kustomized(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(manifests))
}

// resource returns where objects like o are.
func (c *cluster) resource(t *testing.T, o *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	kind := o.GroupVersionKind()
	mapping, err := c.kinds.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		t.Fatal(err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource)
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace())
}

// apply applies objects as `kubectl apply --server-side` does, and returns
// what the server makes of them.
func (c *cluster) apply(t *testing.T, objects []*unstructured.Unstructured, dryRun ...string) []*unstructured.Unstructured {
	t.Helper()
	var applied []*unstructured.Unstructured
	for _, o := range objects {
		a, err := c.resource(t, o).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "e2e", DryRun: dryRun})
		if err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		applied = append(applied, a)
	}
	return applied
}

// unchanged checks that the objects are in the cluster as they are here: to
// apply them again changes nothing, and there is no default that they do not
// spell out, for which Argo CD would show them OutOfSync forever.
func (c *cluster) unchanged(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, o := range objects {
		name := o.GetKind() + " " + o.GetName()
		live, err := c.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		one := []*unstructured.Unstructured{o}
		// The operator writes a status each second, perhaps just in between: what an
		// apply itself changes, it changes each time.
		would, did := "", ""
		for range 5 {
			would, did = cmp.Diff(live.Object, c.apply(t, one, metav1.DryRunAll)[0].Object), ""
			if again := c.apply(t, one)[0]; again.GetResourceVersion() != live.GetResourceVersion() {
				did = fmt.Sprintf("a second time made version %s of %s", again.GetResourceVersion(), live.GetResourceVersion())
			}
			if would == "" && did == "" {
				break
			}
			if live, err = c.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if would != "" {
			t.Errorf("%s would change (-live +applied)\n%s", name, would)
		}
		if did != "" {
			t.Errorf("%s: %s", name, did)
		}
		delete(live.Object, "status")
		for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
			unstructured.RemoveNestedField(live.Object, "metadata", field)
		}
		if diff := cmp.Diff(o.Object, live.Object); diff != "" {
			t.Errorf("%s is another in the cluster (-tree +live)\n%s", name, diff)
		}
	}
}

// condition waits until a condition of an object is true.
func (c *cluster) condition(t *testing.T, o *unstructured.Unstructured, condition string) {
	t.Helper()
	await(t, o.GetKind()+" "+o.GetName(), func() error {
		live, err := c.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		for _, each := range conditions {
			if each := each.(map[string]any); each["type"] == condition && each["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("not %s: %v", condition, live.Object["status"])
	})
}

// secret waits for a Secret of which there is a version other than the given.
func (c *cluster) secret(t *testing.T, namespace, name, version string) *corev1.Secret {
	t.Helper()
	var secret *corev1.Secret
	await(t, "Secret "+name, func() (err error) {
		secret, err = c.core.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && secret.ResourceVersion == version {
			err = errors.New("nobody has changed it")
		}
		return err
	})
	return secret
}

// removeAnnotations removes annotations of a Secret, as `kubectl annotate` does.
func (c *cluster) removeAnnotations(t *testing.T, namespace, name string, annotations ...string) {
	t.Helper()
	args := []string{"--kubeconfig=" + c.kubeconfig(t, c.admin.BearerToken), "--namespace=" + namespace, "annotate", "secret", name}
	for _, a := range annotations {
		args = append(args, a+"-")
	}
	if err := command("", nil, toolProgram(t, "kubernetes", kubernetesVersion, "kubectl"), args...); err != nil {
		t.Fatal(err)
	}
}

// texts returns the data of a Secret.
func texts(secret *corev1.Secret) map[string]string {
	data := map[string]string{}
	for key, v := range secret.Data {
		data[key] = string(v)
	}
	return data
}

// as returns a client that has a token of a new service account.
func (c *cluster) as(t *testing.T, namespace, account string) kubernetes.Interface {
	t.Helper()
	config := rest.AnonymousClientConfig(c.admin)
	config.BearerToken = c.account(t, namespace, account)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
