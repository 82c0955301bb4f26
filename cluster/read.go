package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/shape"
)

// State is what a cluster holds of a plan. What could not be read is
// Unreadable in it, and judged by no one.
type State struct {
	Cluster      string        // its name, for people
	Secrets      []Live        // in the order of the plan
	Stores       []Store       // that the ExternalSecrets refer to, sorted
	Certificates []Certificate // that something is sealed for
}

// Live is one Secret, and the object that delivers it.
type Live struct {
	State       value.State
	Type        string
	Labels      map[string]string
	Annotations map[string]string
	Immutable   bool
	Owners      []string  // KIND/NAME, as far as they are shown
	Created     time.Time // of the Secret
	Changed     time.Time // when its data last changed; see dataChanged
	Data        map[string]value.Value
	Delivery    Delivery
}

// Delivery is the SealedSecret or the ExternalSecret of a Secret; the zero
// Delivery is that of one which has none.
type Delivery struct {
	Kind       string // empty if there is none
	State      value.State
	Behind     bool        // its controller has not seen its last change
	Conditions []Condition // none if no controller has looked at it
	Scope      string      // of a SealedSecret
	Refreshed  time.Time   // an ExternalSecret
	stores     []storeRef
}

// Condition is what a controller says of an object. Its message and its reason may
// quote what it failed on: see spoken.
type Condition struct {
	Type, Status, Reason, Message string
}

// condition returns the one of that type.
func condition(all []Condition, of string) (Condition, bool) {
	i := slices.IndexFunc(all, func(c Condition) bool { return c.Type == of })
	if i < 0 {
		return Condition{}, false
	}
	return all[i], true
}

// Store is a SecretStore, or a ClusterSecretStore, which has no namespace.
type Store struct {
	Kind, Namespace, Name string
	State                 value.State
	Conditions            []Condition
}

// storeRef names a store; the namespace is that of who refers to it.
type storeRef struct{ kind, namespace, name string }

// parallel is how many requests that keep nothing are under way at a time:
// enough to hide their latency, and few for an API server.
const parallel = 10

// Read gets what Verify judges of p: each Secret by its name, the object that
// delivers it, the stores that this refers to, and the newest certificate of each
// controller; and of the certificates of p and the pinned ones, whether their
// controller has the key. It writes nothing, and lists nothing.
//
// A right that is missing is an error only if it is that to get a Secret: all
// the rest can be judged without. That the cluster does not answer at all is
// said once.
func (c *Client) Read(ctx context.Context, p *plan.Plan, now time.Time, pinned ...tree.Pinned) (*State, plan.Diagnostics) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &reading{Client: c, cancel: cancel, troubles: map[trouble][]string{}}
	s := &State{Cluster: c.Name, Secrets: make([]Live, len(p.Secrets))}
	s.Certificates, r.ds = certificatesIn(p, pinned, now)

	var first crash.Group
	first.SetLimit(parallel)
	for i, secret := range p.Secrets {
		live := &s.Secrets[i]
		first.Go(func() { r.secret(ctx, secret, live) })
		first.Go(func() { r.delivery(ctx, secret, &live.Delivery) })
	}
	for controller, certificates := range byController(s.Certificates) {
		first.Go(func() { r.ask(ctx, controller, certificates) })
	}
	first.Wait()

	var second crash.Group
	second.SetLimit(parallel)
	s.Stores = storesOf(s.Secrets)
	for i := range s.Stores {
		second.Go(func() { r.store(ctx, p, &s.Stores[i]) })
	}
	second.Wait()
	if ctx.Err() != nil { // which is told once
		for i := range s.Certificates {
			s.Certificates[i].Unknown = nil
		}
	}
	return s, r.diagnostics(ctx)
}

// storesOf returns the stores that ExternalSecrets refer to, each once.
func storesOf(secrets []Live) []Store {
	refs := map[storeRef]bool{}
	for _, s := range secrets {
		for _, ref := range s.Delivery.stores {
			refs[ref] = true
		}
	}
	var stores []Store
	for _, ref := range slices.SortedFunc(maps.Keys(refs), func(a, b storeRef) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	}) {
		stores = append(stores, Store{Kind: ref.kind, Namespace: ref.namespace, Name: ref.name})
	}
	return stores
}

// reading is one call of Read.
type reading struct {
	*Client
	cancel   context.CancelCauseFunc
	mu       sync.Mutex
	troubles map[trouble][]string // the names of what could not be read
	ds       plan.Diagnostics
}

// trouble is why objects could not be read.
type trouble struct {
	resource  schema.GroupVersionResource
	namespace string
	forbidden bool
	unknown   bool   // the cluster does not know such objects
	reason    string // if it is neither
}

// unreachable is why nothing can be read at all.
type unreachable struct{ reason, remedy string }

func (u *unreachable) Error() string { return u.reason }

// get fills in an object of which the contract has the name.
func (r *reading) get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, object any) value.State {
	return r.getAs(ctx, resource, namespace, name, name, object)
}

// getAs fills in an object that is called shown in messages.
func (r *reading) getAs(ctx context.Context, resource schema.GroupVersionResource, namespace, name, shown string, object any) value.State {
	got, err := r.collection(resource, namespace).get(ctx, name)
	var t trouble
	var said apierrors.APIStatus
	switch ok := errors.As(err, &said); {
	case err == nil:
		if runtime.DefaultUnstructuredConverter.FromUnstructured(got.Object, object) == nil {
			return value.Present
		}
		t.reason = "the response does not match the API of this kind" // the error could quote it
	case !ok:
		r.cancel(noAnswer(err))
		return value.Unreadable
	case apierrors.IsUnauthorized(err):
		r.cancel(&unreachable{"not authenticated (401 Unauthorized)", "log in, or check the kubeconfig"})
		return value.Unreadable
	case apierrors.IsForbidden(err):
		t.forbidden = true
	case unexpected(said):
		if resource == secrets { // which every cluster knows
			r.cancel(&unreachable{"what answers there is not a Kubernetes API server", "check the kubeconfig"})
			return value.Unreadable
		}
		t.unknown, namespace = true, ""
	case apierrors.IsNotFound(err):
		return value.Absent
	default:
		t.reason = fmt.Sprintf("%s (%d)", reasons(said.Status().Reason), said.Status().Code)
	}
	t.resource, t.namespace = resource, namespace
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles[t] = append(r.troubles[t], shown)
	return value.Unreadable
}

// unexpected reports whether it was not the API of that kind which answered
// "not found", but something that knows no such path.
func unexpected(said apierrors.APIStatus) bool {
	details := said.Status().Details
	return said.Status().Reason == metav1.StatusReasonNotFound && details != nil && slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool {
		return c.Type == metav1.CauseTypeUnexpectedServerResponse
	})
}

// noAnswer explains a request that no API server has answered.
func noAnswer(err error) *unreachable {
	switch {
	case errors.Is(err, context.Canceled):
		return &unreachable{"it was interrupted", ""}
	case errors.Is(err, context.DeadlineExceeded):
		return &unreachable{network(err), "check the network, or the address in the kubeconfig; raise --timeout"}
	}
	return &unreachable{network(err), "check the network, a proxy or a VPN, or name another context with --context"}
}

func (r *reading) secret(ctx context.Context, s plan.Secret, into *Live) {
	var secret shape.Secret
	if into.State = r.get(ctx, secrets, s.Namespace, s.Name, &secret); into.State != value.Present {
		return
	}
	into.Type, into.Labels, into.Annotations = secret.Type, secret.Labels, secret.Annotations
	into.Immutable = secret.Immutable != nil && *secret.Immutable
	for _, o := range secret.OwnerReferences {
		into.Owners = append(into.Owners, ownerOf(o.Kind, "/", o.Name, s.Name))
	}
	into.Created, into.Changed = secret.CreationTimestamp.UTC(), dataChanged(secret.ObjectMeta)
	into.Data = map[string]value.Value{}
	for key, b := range secret.Data {
		into.Data[key] = value.New(b)
	}
}

// dataChanged returns when the data of a Secret last changed, as far as the
// API server has kept a record: of who owns which field, with one time for
// each manager. A manager that changes a label of a Secret whose data it has
// written moves that time, too; so the data may be older, and is never newer
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
func dataChanged(meta metav1.ObjectMeta) time.Time {
	changed := meta.CreationTimestamp.UTC()
	for _, m := range meta.ManagedFields {
		var owned map[string]json.RawMessage
		if m.Time == nil || m.FieldsV1 == nil || json.Unmarshal(m.FieldsV1.Raw, &owned) != nil {
			continue
		}
		if _, ok := owned["f:data"]; ok && m.Time.After(changed) {
			changed = m.Time.UTC()
		}
	}
	return changed
}

func (r *reading) delivery(ctx context.Context, s plan.Secret, into *Delivery) {
	if how, known := deliveries[s.Delivery.Kind]; !known {
		into.State = value.Unreadable
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ds.Errorf(plan.CodeClusterRead, s.Pos[:min(1, len(s.Pos))], "use a kind of delivery that this victorgen knows",
			"what delivers secret %s is not known: its delivery is of kind %q", s.Name, s.Delivery.Kind)
	} else if how != nil {
		into.Kind = how.object()
		how.read(ctx, r, s, into)
	}
}

func (r *reading) store(ctx context.Context, p *plan.Plan, into *Store) {
	resource := secretStores
	if into.Kind == shape.ClusterSecretStoreKind {
		resource = clusterSecretStores
	}
	var store shape.SecretStore // of the same form as the other kind
	into.State = r.getAs(ctx, resource, into.Namespace, into.Name, into.shown(p), &store)
	for _, c := range store.Status.Conditions {
		into.Conditions = append(into.Conditions, Condition(c))
	}
}

// diagnostics tells what could not be read. Objects of one kind and namespace
// that have the same trouble share a diagnostic.
func (r *reading) diagnostics(ctx context.Context) plan.Diagnostics {
	if cause := context.Cause(ctx); cause != nil {
		u, ok := errors.AsType[*unreachable](cause)
		if !ok {
			u = noAnswer(cause)
		}
		r.ds.Errorf(plan.CodeClusterRead, nil, u.remedy, "cannot read cluster %s: %s", r.Name, u.reason)
		return r.ds
	}
	for t, names := range r.troubles {
		slices.Sort(names)
		what, in, tell := t.resource.GroupResource().String(), "", r.ds.Errorf
		if t.namespace != "" {
			in = " in namespace " + t.namespace
		}
		switch {
		case t.unknown:
			r.ds.Errorf(plan.CodeKindUnknown, nil, "install the controller, with its CustomResourceDefinitions",
				"cluster %s does not know %s of version %s, so no controller makes a Secret of %s", r.Name, what, t.resource.Version, plan.And(names))
		case t.forbidden:
			hint := "`access: readers` in the contract makes a Role that allows it, and binds it"
			if t.resource != secrets {
				tell = r.ds.Warnf
				hint = "a Role that allows it by resourceNames is enough; everything else is checked without it"
			}
			tell(plan.CodeClusterRead, nil, hint, "not allowed in cluster %s: to get %s %s%s", r.Name, what, plan.And(names), in)
		default:
			tell(plan.CodeClusterRead, nil, "", "cannot get %s %s%s from cluster %s: %s", what, plan.And(names), in, r.Name, t.reason)
		}
	}
	r.ds.Sort()
	return r.ds
}
