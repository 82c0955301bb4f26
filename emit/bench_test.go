package emit

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bitnami-labs/sealed-secrets/pkg/crypto"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/bench"
)

// benchKey is of the size that the controller makes by default.
var benchKey = sync.OnceValues(func() (*rsa.PublicKey, []byte) {
	key, cert, err := crypto.GeneratePrivateKeyAndCert(4096, 365*24*time.Hour, "bench")
	if err != nil {
		panic(err)
	}
	return &key.PublicKey, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
})

// benchPlan has so many keys in secrets of at most a hundred, and their values.
func benchPlan(b *testing.B, keys int) (*plan.Plan, value.Set, *rsa.PublicKey) {
	public, cert := benchKey()
	file := filepath.Join(b.TempDir(), "cert.pem")
	if err := os.WriteFile(file, cert, 0o644); err != nil {
		b.Fatal(err)
	}
	p := &plan.Plan{Environment: "bench", PartOf: "bench", Namespace: "bench"}
	values := value.Set{plan.LockKey: {State: value.Present, Value: value.New(make([]byte, 32))}}
	for i := range keys {
		if i%100 == 0 {
			p.Secrets = append(p.Secrets, plan.Secret{
				Name: fmt.Sprintf("secret-%05d", i/100), Namespace: "bench", Type: "Opaque",
				Delivery: plan.Delivery{Kind: plan.Sealed, Certificate: file, Scope: plan.Strict},
			})
		}
		name := fmt.Sprintf("INPUT_%05d", i)
		p.Inputs = append(p.Inputs, plan.Input{Name: name, Class: plan.Required})
		values[name] = value.Resolved{State: value.Present, Value: value.New(fmt.Appendf(nil, "%032d", i))}
		s := &p.Secrets[len(p.Secrets)-1]
		s.Keys = append(s.Keys, plan.Key{Name: fmt.Sprintf("key-%05d", i), Input: name})
	}
	return p, values, public
}

var benchSizes = []int{10, 1000, 10000}

func rawSeal(public *rsa.PublicKey, keys int) {
	plaintext, label := make([]byte, 32), []byte("bench/secret-00000")
	parallel(context.Background(), make([]struct{}, keys), func(struct{}) {
		if _, err := crypto.HybridEncrypt(rand.Reader, public, plaintext, label); err != nil {
			panic(err)
		}
	})
}

// BenchmarkEmit is the first build of a tree, everything but writing it, in turns with
// the sealing alone.
func BenchmarkEmit(b *testing.B) {
	for _, keys := range benchSizes {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			p, values, public := benchPlan(b, keys)
			bench.Turns(b, bench.Row{What: fmt.Sprintf("emit: the first tree of %d keys", keys), Peer: "sealing alone"},
				func() time.Duration { return emitOnce(b, p, values, nil) },
				func() time.Duration { return bench.CPU(b, func() { rawSeal(public, keys) }) })
		})
	}
}

// BenchmarkRebuild is a build in which nothing has changed, in turns with the same.
func BenchmarkRebuild(b *testing.B) {
	for _, keys := range benchSizes {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			p, values, public := benchPlan(b, keys)
			built, _, ds := Emit(context.Background(), p, values, nil, Options{})
			if ds.HasErrors() {
				b.Fatal(ds)
			}
			r := bench.Row{What: fmt.Sprintf("emit: the same tree of %d keys again", keys), Peer: "sealing alone"}
			if keys == 10_000 {
				r.Most = mostRebuild
			}
			bench.Turns(b, r,
				func() time.Duration { return emitOnce(b, p, values, built) },
				func() time.Duration { return bench.CPU(b, func() { rawSeal(public, keys) }) })
		})
	}
}

// mostRebuild is half of what it took when the limit was set.
const mostRebuild = 0.17

func emitOnce(b *testing.B, p *plan.Plan, values value.Set, old *tree.Tree) time.Duration {
	return bench.CPU(b, func() {
		if _, _, ds := Emit(context.Background(), p, values, old, Options{}); ds.HasErrors() {
			b.Fatal(ds)
		}
	})
}
