package emit

import "github.com/victor-ai/victorgen/compiler/plan"

// delivery is how the secrets of one kind stand in a tree. What else there is to know
// of a kind is its row in [plan.Deliveries].
type delivery interface {
	// knows reports whether d can be made. The schema lets no other through, unless
	// this is behind it.
	knows(d plan.Delivery) bool
	// decide judges each key of a secret: left out, kept, to be sealed, referred to.
	decide(e *emission, w *work)
	// manifest returns the object that becomes the Secret, when all is sealed, and says
	// in the entry of w what the lock is to know; nil if all keys are left out.
	manifest(e *emission, w *work) ([]byte, error)
}

// deliveries are those that a tree is for.
var deliveries = map[string]delivery{
	plan.Sealed:   sealedDelivery{},
	plan.External: externalDelivery{},
}
