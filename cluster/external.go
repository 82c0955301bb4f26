package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/shape"
)

// externalSecret is the kind of the objects of external delivery.
const externalSecret = shape.ExternalSecretKind

// externalDelivery is by ExternalSecrets.
type externalDelivery struct{}

func (externalDelivery) object() string { return externalSecret }

func (externalDelivery) controller() (who, condition, done string) {
	return "the External Secrets Operator", "Ready", "ready"
}

func (externalDelivery) read(ctx context.Context, r *reading, s plan.Secret, into *Delivery) {
	var external shape.ExternalSecret
	into.State = r.get(ctx, externalSecrets, s.Namespace, s.Name, &external)
	into.Refreshed = external.Status.RefreshTime.Time
	// It is GENERATION-DIGEST of what was last made a Secret.
	if seen, _, ok := strings.Cut(external.Status.SyncedResourceVersion, "-"); ok {
		into.Behind = seen != fmt.Sprint(external.Generation)
	}
	for _, c := range external.Status.Conditions {
		into.Conditions = append(into.Conditions, Condition(c))
	}
	refs := []shape.Reference{external.Spec.SecretStoreRef}
	for _, d := range external.Spec.Data {
		if d.SourceRef != nil {
			refs = append(refs, d.SourceRef.SecretStoreRef)
		}
	}
	for _, ref := range refs {
		store := storeRef{shape.SecretStoreKind, s.Namespace, ref.Name}
		if ref.Kind == shape.ClusterSecretStoreKind {
			store.kind, store.namespace = shape.ClusterSecretStoreKind, ""
		}
		if store.name != "" {
			into.stores = append(into.stores, store)
		}
	}
}

func (externalDelivery) behind(*judgement) string { return "" }

func (externalDelivery) late(j *judgement) string {
	d, interval := j.live.Delivery, j.Delivery.RefreshInterval
	switch {
	case j.Delivery.RefreshPolicy == createdOnce:
		return ""
	case d.Behind:
		return notSince
	case j.Delivery.RefreshPolicy == periodic && interval > 0 && j.now.Sub(d.Refreshed) > 2*interval+refreshSlack:
		return fmt.Sprintf("was refreshed %s ago, and is to be every %s", plan.Age(j.now.Sub(d.Refreshed)), plan.Age(interval))
	}
	return ""
}

func (externalDelivery) differs(*judgement) {}

// The policies of an ExternalSecret by which it is refreshed, but for OnChange.
const (
	periodic    = "Periodic"
	createdOnce = "CreatedOnce"
)

// refreshSlack is how much longer than two intervals a refresh may take: the
// operator has others to do, and clocks differ.
const refreshSlack = time.Minute
