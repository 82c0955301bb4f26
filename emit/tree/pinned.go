package tree

import (
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Pinned is a certificate that the lock of a tree has something sealed for, with
// a SealedSecret of the tree by which a controller can tell whether it has the key.
type Pinned struct {
	SHA256     string
	Subject    string // empty if the lock does not note it
	Secret     string // NAMESPACE/NAME of the SealedSecret
	Controller plan.Controller
	Manifest   []byte // the SealedSecret in JSON
}

// Pinned returns the certificates that the lock of t pins, each once for each
// controller of p that is to unseal it. What p does not seal any more is left out.
func (t *Tree) Pinned(p *plan.Plan) []Pinned {
	l, _ := t.Lock()
	if l == nil || l.Environment != p.Environment {
		return nil
	}
	var all []Pinned
	for _, s := range p.Secrets {
		i := slices.IndexFunc(l.Secrets, func(o LockedSecret) bool { return o.Namespace == s.Namespace && o.Name == s.Name })
		if i < 0 || !s.Delivery.Seals() || l.Secrets[i].File == "" {
			continue
		}
		o := l.Secrets[i]
		known := slices.ContainsFunc(all, func(p Pinned) bool { return p.SHA256 == o.Certificate && p.Controller == s.Delivery.Controller })
		if manifest, err := yaml.YAMLToJSON(t.Files[o.File]); err == nil && !known {
			all = append(all, Pinned{o.Certificate, Printable(o.About.Subject), SecretID{s.Namespace, s.Name}.String(), s.Delivery.Controller, manifest})
		}
	}
	return all
}
