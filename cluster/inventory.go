package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/shape"
)

// Inventory is what a namespace has of Secrets, and of what makes and uses them.
type Inventory struct {
	// Objects are the Secrets, SealedSecrets, ExternalSecrets, stores and workloads, as
	// JSON. A Secret that one of the others makes is not among them.
	Objects [][]byte
	made    map[string]map[string]value.Value // by the name of a SealedSecret, what its Secret holds
	keys    map[string][]string               // by the name of a Secret that an ExternalSecret makes
}

// Values returns what the Secret of a SealedSecret holds; ok is false if there is no
// such Secret.
func (i *Inventory) Values(_ context.Context, _, name string) (data map[string]value.Value, ok bool) {
	data, ok = i.made[name]
	return data, ok
}

// Keys returns the keys of a Secret that an ExternalSecret has made.
func (i *Inventory) Keys(_, name string) []string { return i.keys[name] }

// Of what workloads are read, that they tell which Secret they can do without.
var (
	jobs     = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	cronJobs = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}
	pods     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

	// What the operator served before v1 (https://external-secrets.io/v0.17.0/).
	externalSecretsBeta     = externalSecrets.GroupResource().WithVersion("v1beta1")
	secretStoresBeta        = secretStores.GroupResource().WithVersion("v1beta1")
	clusterSecretStoresBeta = clusterSecretStores.GroupResource().WithVersion("v1beta1")
)

// Inventory reads a namespace, or of its Secrets those that are named. It writes
// nothing. Without the right to list what makes Secrets, or what uses them, the rest is
// read, with a warning. timeout bounds it all; 0 is no bound.
func (c *Client) Inventory(ctx context.Context, namespace string, names []string, timeout time.Duration) (*Inventory, plan.Diagnostics) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	i := &inventory{Client: c, namespace: namespace, names: names}
	i.read(ctx)
	i.ds.Sort()
	return &Inventory{i.objects(), i.made, i.keys}, i.ds
}

// inventory is one call of Inventory.
type inventory struct {
	*Client
	namespace string
	names     []string

	mu      sync.Mutex
	ds      plan.Diagnostics
	secrets []*unstructured.Unstructured
	makers  []*unstructured.Unstructured // SealedSecrets and ExternalSecrets
	stores  []*unstructured.Unstructured
	users   []*unstructured.Unstructured
	made    map[string]map[string]value.Value
	keys    map[string][]string
}

func (i *inventory) read(ctx context.Context) {
	if !i.readSecrets(ctx) {
		return
	}
	var g crash.Group
	g.SetLimit(parallel)
	for _, kinds := range [][]schema.GroupVersionResource{{sealedSecrets}, {externalSecrets, externalSecretsBeta}} {
		g.Go(func() { i.list(ctx, &i.makers, "what Secrets are made from", kinds...) })
	}
	g.Go(func() {
		i.list(ctx, &i.stores, "where ExternalSecrets take values from", secretStores, secretStoresBeta)
	})
	for _, kind := range []schema.GroupVersionResource{deployments, statefulSets, daemonSets, jobs, cronJobs, pods} {
		g.Go(func() { i.list(ctx, &i.users, "which Secrets a workload can do without", kind) })
	}
	g.Wait()
	i.pick()
	i.clusterStores(ctx)
}

// readSecrets reads the Secrets, and reports whether it is of use to read on.
func (i *inventory) readSecrets(ctx context.Context) bool {
	if len(i.names) > 0 {
		found := make([]*unstructured.Unstructured, len(i.names))
		indices := make([]int, len(i.names))
		for n := range indices {
			indices[n] = n
		}
		errs := each(indices, func(n int) (err error) {
			found[n], err = i.collection(secrets, i.namespace).get(ctx, i.names[n])
			return err
		})
		for n, err := range errs {
			switch {
			case err == nil:
				i.secrets = append(i.secrets, found[n])
			case apierrors.IsNotFound(err) && !isUnexpected(err):
				i.ds.Errorf(plan.CodeImportRead, nil, fmt.Sprintf("`kubectl get secrets --namespace %s` lists them", i.namespace), "there is no Secret %s/%s in cluster %s", i.namespace, i.names[n], i.Name)
			default:
				i.fail(&i.ds, request{plan.CodeClusterRead, "get", "Secret", i.namespace, i.names[n], nil}, err)
			}
		}
		return !i.ds.HasErrors()
	}
	var err error
	if i.secrets, err = i.collection(secrets, i.namespace).all(ctx); err != nil {
		i.fail(&i.ds, request{plan.CodeClusterRead, "list", "Secret", i.namespace, "", nil}, err)
		return false
	}
	if len(i.secrets) > 0 {
		return true
	}
	// The API server lists what is in a namespace that there is not, too.
	if _, err := i.collection(namespaces, "").get(ctx, i.namespace); apierrors.IsNotFound(err) && !isUnexpected(err) {
		i.ds.Errorf(plan.CodeImportRead, nil, "`kubectl get namespaces` lists them", "there is no namespace %s in cluster %s", i.namespace, i.Name)
		return false
	}
	return true // there may be ExternalSecrets that have not made theirs yet
}

// list adds the objects of a kind, which has several versions perhaps, of which the
// first is taken that the cluster knows. What can't be read is a warning: it is needed
// to know what it is for.
func (i *inventory) list(ctx context.Context, into *[]*unstructured.Unstructured, what string, versions ...schema.GroupVersionResource) {
	for _, kind := range versions {
		all, err := i.collection(kind, i.namespace).all(ctx)
		if isUnexpected(err) || apierrors.IsNotFound(err) {
			continue // the cluster has no such kind
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if err == nil {
			*into = append(*into, all...)
			return
		}
		r := request{plan.CodeClusterRead, "list", kind.Resource, i.namespace, "", nil}
		if !apierrors.IsForbidden(err) {
			i.fail(&i.ds, r, err)
			return
		}
		i.ds.Warnf(plan.CodeImportLeft, nil, fmt.Sprintf("allow list on %s, and import again", kind.GroupResource()),
			"%s in namespace %s can't be listed: %s is not known", kind.Resource, i.namespace, what)
		return
	}
}

// isUnexpected reports whether something answered "not found" that knows no such path.
func isUnexpected(err error) bool {
	var said apierrors.APIStatus
	return errors.As(err, &said) && unexpected(said)
}

// ownerIn returns the object that makes a Secret, if that is among those that were read.
func (i *inventory) ownerIn(s *unstructured.Unstructured) *unstructured.Unstructured {
	for _, o := range s.GetOwnerReferences() {
		for _, m := range i.makers {
			if m.GetKind() == o.Kind && m.GetUID() == o.UID {
				return m
			}
		}
	}
	return nil
}

// pick leaves out the Secrets that others make, and where names are given what is
// not about these.
func (i *inventory) pick() {
	i.made, i.keys = map[string]map[string]value.Value{}, map[string][]string{}
	wanted := map[*unstructured.Unstructured]bool{}
	var own []*unstructured.Unstructured
	for _, s := range i.secrets {
		maker := i.ownerIn(s)
		switch {
		case maker == nil:
			own = append(own, s)
			continue
		case maker.GetKind() == sealedSecret:
			i.made[maker.GetName()] = dataOf(s)
		default:
			i.keys[s.GetName()] = slices.Sorted(maps.Keys(dataOf(s)))
		}
		wanted[maker] = true
	}
	i.secrets = own
	if len(i.names) > 0 {
		i.makers = slices.DeleteFunc(i.makers, func(m *unstructured.Unstructured) bool { return !wanted[m] })
	}
	// What belongs to another workload says nothing that this does not.
	i.users = slices.DeleteFunc(i.users, func(u *unstructured.Unstructured) bool {
		return slices.ContainsFunc(u.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.Controller != nil && *o.Controller })
	})
}

// dataOf is what a Secret holds.
func dataOf(u *unstructured.Unstructured) map[string]value.Value {
	s, err := parse(u)
	if err != nil {
		return nil
	}
	return s.data
}

// clusterStores reads the ClusterSecretStores that are referred to: one needs no right
// to list them.
func (i *inventory) clusterStores(ctx context.Context) {
	refs := map[string]bool{}
	for _, m := range i.makers {
		storesIn(m.Object, refs)
	}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		var store *unstructured.Unstructured
		var err error
		for _, kind := range []schema.GroupVersionResource{clusterSecretStores, clusterSecretStoresBeta} {
			if store, err = i.collection(kind, "").get(ctx, name); !isUnexpected(err) {
				break
			}
		}
		if err == nil {
			i.stores = append(i.stores, store)
		} else if !apierrors.IsNotFound(err) { // its ExternalSecrets tell that there is none
			i.fail(&i.ds, request{plan.CodeClusterRead, "get", shape.ClusterSecretStoreKind, "", name, nil}, err)
		}
	}
}

// storesIn adds to names those of the ClusterSecretStores that v refers to: in the spec of
// an ExternalSecret, its data and its dataFrom.
func storesIn(v any, names map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			storesIn(element, names)
		}
	case map[string]any:
		for field, element := range v {
			ref, _ := element.(map[string]any)
			if name, ok := ref["name"].(string); ok && ref["kind"] == shape.ClusterSecretStoreKind && (field == "secretStoreRef" || field == "storeRef") {
				names[name] = true
			}
			storesIn(element, names)
		}
	}
}

// objects are all that was read, in an order that does not depend on who answered first.
func (i *inventory) objects() [][]byte {
	var all [][]byte
	for _, list := range [][]*unstructured.Unstructured{i.stores, i.secrets, i.makers, i.users} {
		slices.SortStableFunc(list, func(a, b *unstructured.Unstructured) int {
			return strings.Compare(a.GetKind()+"/"+a.GetName(), b.GetKind()+"/"+b.GetName())
		})
		for _, u := range list {
			u.SetManagedFields(nil)
			if js, err := json.Marshal(u.Object); err == nil {
				all = append(all, js)
			}
		}
	}
	return all
}

// Made returns what the Secret of a SealedSecret holds. It is an error if there is none,
// or if it is not of that SealedSecret.
func (c *Client) Made(ctx context.Context, namespace, name string, timeout time.Duration) (map[string]value.Value, plan.Diagnostics) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var ds plan.Diagnostics
	u, err := c.collection(secrets, namespace).get(ctx, name)
	switch {
	case apierrors.IsNotFound(err) && !isUnexpected(err):
		ds.Errorf(plan.CodeImportRead, nil, "see whether the controller has unsealed it: kubectl describe sealedsecret "+name+" --namespace "+namespace,
			"there is no Secret %s/%s in cluster %s", namespace, name, c.Name)
		return nil, ds
	case err != nil:
		c.fail(&ds, request{plan.CodeClusterRead, "get", "Secret", namespace, name, nil}, err)
		return nil, ds
	}
	if !slices.ContainsFunc(u.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.Kind == sealedSecret && o.Name == name }) {
		ds.Errorf(plan.CodeImportRead, nil, "import the Secret itself: victorgen import cluster -n "+namespace+" "+name,
			"Secret %s/%s in cluster %s is not made by the SealedSecret: its values may differ", namespace, name, c.Name)
		return nil, ds
	}
	return dataOf(u), ds
}

// SecretNames returns the names of the Secrets in a namespace that a person may have
// made, sorted, by their metadata alone; none if they can't be listed.
func (c *Client) SecretNames(ctx context.Context, namespace string) []string {
	return c.metadataNames(ctx, secrets, namespace)
}

// Namespaces returns the names of the namespaces, sorted; none if they can't be listed.
func (c *Client) Namespaces(ctx context.Context) []string {
	return c.metadataNames(ctx, namespaces, "")
}

// metadataNames lists objects without what is in them
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables).
func (c *Client) metadataNames(ctx context.Context, kind schema.GroupVersionResource, namespace string) []string {
	r := c.api.Get().SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	list := &unstructured.UnstructuredList{}
	if err := c.collection(kind, namespace).ask(ctx, r, nil, list); err != nil {
		return nil
	}
	var names []string
	for _, item := range list.Items {
		if len(item.GetOwnerReferences()) == 0 {
			names = append(names, item.GetName())
		}
	}
	slices.Sort(names)
	return names
}
