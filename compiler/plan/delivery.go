package plan

import (
	"slices"
	"time"
)

// The kinds of delivery.
const (
	Sealed   = "sealed"   // SealedSecrets
	External = "external" // ExternalSecrets
	// Direct is what no contract says: victorgen itself writes the Secrets, and
	// there is no tree.
	Direct = "direct"
)

// DeliveryKind is what is known of one kind of delivery, next to how its objects are
// made and judged: that is a file of its own in packages emit and cluster. Anyone who
// needs to know something of a delivery asks for a property, and not which it is.
type DeliveryKind struct {
	Name string
	// Seals says that a build reads the values and encrypts them for the certificate
	// of a controller, and that the lock keeps book of what was sealed.
	Seals bool
	// Fetches says that an operator in the cluster reads the inputs at their sources,
	// and that a build reads no value of them.
	Fetches bool
}

// Deliveries has a row for each kind of delivery that a contract can ask for. [Direct]
// has none: no property is its.
var Deliveries = []DeliveryKind{
	{Name: Sealed, Seals: true},
	{Name: External, Fetches: true},
}

// DeliveryKinds are the names of all kinds of delivery that a contract can ask for.
var DeliveryKinds = func() (names []string) {
	for _, k := range Deliveries {
		names = append(names, k.Name)
	}
	return names
}()

// Delivery is how a secret reaches the cluster.
type Delivery struct {
	Kind            string
	Certificate     string        // sealed: absolute path of the PEM sealing certificate
	Scope           string        // sealed
	Controller      Controller    // sealed: who unseals
	RefreshInterval time.Duration // external, as all that follow
	RefreshPolicy   string
	CreationPolicy  string
	DeletionPolicy  string
	Pos             []Pos
}

// kind is the row of d; an empty one if there is none.
func (d Delivery) kind() DeliveryKind {
	i := slices.IndexFunc(Deliveries, func(k DeliveryKind) bool { return k.Name == d.Kind })
	if i < 0 {
		return DeliveryKind{Name: d.Kind}
	}
	return Deliveries[i]
}

// Seals is [DeliveryKind.Seals].
func (d Delivery) Seals() bool { return d.kind().Seals }

// Fetches is [DeliveryKind.Fetches].
func (d Delivery) Fetches() bool { return d.kind().Fetches }
