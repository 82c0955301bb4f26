// Package sealing is what SealedSecrets take: the certificates of their controllers,
// which are read, judged, and held to those that a tree is sealed for, the sealer,
// and the manifest around ciphertexts.
package sealing

import (
	"crypto/rand"
	"crypto/rsa"

	"github.com/bitnami-labs/sealed-secrets/pkg/crypto"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/shape"
)

// Sealer encrypts values so that only the holder of the private key reads
// them, and only for the same label. Seal is called from many goroutines at
// once; its errors hold nothing of the plaintext. The other implementation is
// that of package emittest.
type Sealer interface {
	Seal(public *rsa.PublicKey, plaintext, label []byte) ([]byte, error)
}

// Kubeseal seals as the kubeseal program does, with its own code.
type Kubeseal struct{}

// Seal implements [Sealer].
func (Kubeseal) Seal(public *rsa.PublicKey, plaintext, label []byte) ([]byte, error) {
	return crypto.HybridEncrypt(rand.Reader, public, plaintext, label)
}

// Scopes are upstream's names of the scopes of a plan.
var Scopes = map[string]shape.SealingScope{
	plan.Strict:        shape.StrictScope,
	plan.NamespaceWide: shape.NamespaceWideScope,
	plan.ClusterWide:   shape.ClusterWideScope,
}
