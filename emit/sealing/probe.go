package sealing

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"

	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Probe returns a SealedSecret, in JSON, of random bytes that are sealed for c.
// Who can unseal it has the key of c; nothing is learnt from it.
func (c *Certificate) Probe() ([]byte, error) {
	random := make([]byte, 16)
	rand.Read(random)
	s := plan.Secret{Namespace: "victorgen", Name: "probe-" + hex.EncodeToString(random[:4]), Type: "Opaque", Delivery: plan.Delivery{Kind: plan.Sealed, Scope: plan.Strict}}
	sealed, err := Kubeseal{}.Seal(c.Public, random, Label(s))
	if err != nil {
		return nil, err
	}
	manifest, err := Manifest(s, &plan.Plan{}, map[string]string{"probe": base64.StdEncoding.EncodeToString(sealed)})
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSON(manifest)
}
