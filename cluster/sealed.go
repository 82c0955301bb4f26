package cluster

import (
	"context"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/shape"
)

// sealedSecret is the kind of the objects of sealed delivery.
const sealedSecret = shape.SealedSecretKind

// sealedDelivery is by SealedSecrets.
type sealedDelivery struct{}

func (sealedDelivery) object() string { return sealedSecret }

func (sealedDelivery) controller() (who, condition, done string) {
	return "the sealed-secrets controller", "Synced", "synced"
}

func (sealedDelivery) read(ctx context.Context, r *reading, s plan.Secret, into *Delivery) {
	var sealed shape.SealedSecret
	into.State = r.get(ctx, sealedSecrets, s.Namespace, s.Name, &sealed)
	into.Scope = shape.ScopeOf(sealed.Annotations).String()
	if sealed.Status == nil {
		return
	}
	into.Behind = sealed.Status.ObservedGeneration != sealed.Generation
	for _, c := range sealed.Status.Conditions {
		into.Conditions = append(into.Conditions, Condition(c))
	}
}

func (sealedDelivery) behind(j *judgement) string {
	if j.live.Delivery.Behind {
		return notSince
	}
	return ""
}

func (sealedDelivery) late(*judgement) string { return "" }

// differs reports another scope: it is sealed for it, and nothing unseals it otherwise.
func (sealedDelivery) differs(j *judgement) {
	if d := j.live.Delivery; d.State == value.Present && d.Scope != j.Delivery.Scope {
		j.ds.Errorf(plan.CodeScopeDiffers, j.Pos, "apply the tree that is built for the contract's scope", "SealedSecret %s/%s in %s is of scope %s, not %s",
			j.Namespace, j.Name, j.state.Cluster, d.Scope, j.Delivery.Scope)
	}
}
