// Package cluster is all that talks to a Kubernetes API server: it writes the
// Secrets of an environment, judges those that are there, and fetches the
// certificate that they are sealed for.
//
// It asks for objects by name wherever it can, so that a right to get named
// Secrets is enough, and knows the kinds that it asks for, so that it need not
// discover them. No value ever is in what it returns to be printed.
package cluster

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // how kubectl logs in, next to exec, which package rest has
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/victor-ai/victorgen/internal/safefile"
)

// Target names a cluster as kubectl does.
type Target struct {
	Kubeconfig string // file; empty is that of KUBECONFIG, or ~/.kube/config, or the Pod that this runs in
	Context    string // of the kubeconfig; empty is the current one
}

// Client asks one cluster.
type Client struct {
	Name      string // for people: the context, or the address of the API server
	Namespace string // of the context: that of a command which names none
	config    *rest.Config
	api       rest.Interface
}

// quiet silences client-go: what it would log its errors tell, too, and they are
// told in our words.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// removed are the auth providers that clients of Kubernetes had before v1.26, and that old
// kubeconfigs still name, each with what to do about it
// (https://github.com/kubernetes/client-go/tree/v0.35.1/plugin/pkg/client/auth).
var removed = map[string]string{
	"azure": "install kubelogin, and run `kubelogin convert-kubeconfig` (https://github.com/Azure/kubelogin)",
	"gcp": "install gke-gcloud-auth-plugin, and run `gcloud container clusters get-credentials` " +
		"(https://cloud.google.com/blog/products/containers-kubernetes/kubectl-auth-changes-in-gke)",
}

// Connect finds a cluster. It does not talk to it yet.
func Connect(t Target) (*Client, error) {
	quiet()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if rules.ExplicitPath = t.Kubeconfig; t.Kubeconfig != "" {
		file, err := filepath.Abs(t.Kubeconfig)
		if info, failed := os.Stat(file); err == nil { // not read, because it may be a pipe
			if err = failed; err == nil && info.IsDir() {
				err = syscall.EISDIR
			}
		}
		if err != nil {
			reason, _ := safefile.Explain(file, err)
			return nil, fmt.Errorf("no cluster: the kubeconfig %s can't be read: %s", file, reason)
		}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: t.Context})
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no cluster: no kubeconfig names one, and this is not a Pod of one")
	}
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w", err)
	}
	if p := config.AuthProvider; p != nil && removed[p.Name] != "" {
		return nil, fmt.Errorf("no cluster: the kubeconfig logs in with the auth provider %s, which clients of Kubernetes no longer have: %s", p.Name, removed[p.Name])
	}
	config.UserAgent = "victorgen"
	config.WarningHandler = rest.NoWarnings{} // a webhook's may quote what was sent
	config.QPS = -1                           // there are few requests, and the server says when they are too many
	api, err := rest.UnversionedRESTClientFor(inJSON(config))
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w", err)
	}
	name := t.Context
	if raw, err := loader.RawConfig(); err == nil && name == "" {
		name = raw.CurrentContext
	}
	if name == "" {
		name = config.Host
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w", err)
	}
	return &Client{Name: name, Namespace: namespace, config: config, api: api}, nil
}

// Contexts returns the names of the contexts of the kubeconfig, sorted; none if
// it cannot be read.
func Contexts(t Target) []string {
	quiet()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = t.Kubeconfig
	config, err := rules.Load()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(config.Contexts))
}

// The kinds of object that are asked for, as the API server names them.
var (
	secrets             = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	services            = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	namespaces          = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	deployments         = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	statefulSets        = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	daemonSets          = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	sealedSecrets       = schema.GroupVersionResource{Group: "bitnami.com", Version: "v1alpha1", Resource: "sealedsecrets"}
	externalSecrets     = schema.GroupVersionResource{Group: "external-secrets.io", Version: "v1", Resource: "externalsecrets"}
	secretStores        = schema.GroupVersionResource{Group: "external-secrets.io", Version: "v1", Resource: "secretstores"}
	clusterSecretStores = schema.GroupVersionResource{Group: "external-secrets.io", Version: "v1", Resource: "clustersecretstores"}
)
