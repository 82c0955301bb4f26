package cluster

import (
	"context"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// delivery is how the objects are read and judged by which secrets of one kind of
// delivery get into a cluster. What else there is to know of a kind is its row in
// [plan.Deliveries].
type delivery interface {
	// object is the kind of the objects.
	object() string
	// controller is who makes Secrets of them, in words; condition is the one of their
	// status that says so, and done what they are then.
	controller() (who, condition, done string)
	// read reads the object of s.
	read(ctx context.Context, r *reading, s plan.Secret, into *Delivery)
	// behind says in words that the controller has not caught up with the object,
	// whatever its condition says; late that it has not though the condition is met.
	// They are empty if it has.
	behind(j *judgement) string
	late(j *judgement) string
	// differs reports what else of an object that is there is not as the contract has it.
	differs(j *judgement)
}

// deliveries are those that there are; nil stands for one without objects.
var deliveries = map[string]delivery{
	plan.Sealed:   sealedDelivery{},
	plan.External: externalDelivery{},
	plan.Direct:   nil,
}

// deliveredBy returns the delivery with objects of a kind, and nil if it is none.
func deliveredBy(kind string) delivery {
	for _, how := range deliveries {
		if how != nil && how.object() == kind {
			return how
		}
	}
	return nil
}

const notSince = "was not reconciled since its last change"
