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

// BenchmarkRaw is what the sealing alone costs, on all cores.
func BenchmarkRaw(b *testing.B) {
	for _, keys := range benchSizes {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			_, _, public := benchPlan(b, keys)
			for b.Loop() {
				rawSeal(public, keys)
			}
		})
	}
}

func rawSeal(public *rsa.PublicKey, keys int) {
	plaintext, label := make([]byte, 32), []byte("bench/secret-00000")
	parallel(context.Background(), make([]struct{}, keys), func(struct{}) {
		if _, err := crypto.HybridEncrypt(rand.Reader, public, plaintext, label); err != nil {
			panic(err)
		}
	})
}

// BenchmarkEmit is the first build of a tree, everything but writing it. It
// reports its time as a multiple of that of the raw sealing, which it measures
// in turn with it: with the kustomize build of the result, and without.
func BenchmarkEmit(b *testing.B) {
	for _, keys := range benchSizes {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			p, values, public := benchPlan(b, keys)
			var raw, check time.Duration
			for b.Loop() {
				tree, _, ds := Emit(context.Background(), p, values, nil, Options{})
				if ds.HasErrors() {
					b.Fatal(ds)
				}
				b.StopTimer()
				start := time.Now()
				tree.kustomize(len(p.Secrets))
				check += time.Since(start)
				start = time.Now()
				rawSeal(public, keys)
				raw += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(raw), "x-raw")
			b.ReportMetric(float64(b.Elapsed()-check)/float64(raw), "x-raw-without-kustomize")
		})
	}
}

// BenchmarkRebuild is a build in which nothing has changed.
func BenchmarkRebuild(b *testing.B) {
	for _, keys := range benchSizes {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			p, values, _ := benchPlan(b, keys)
			tree, _, ds := Emit(context.Background(), p, values, nil, Options{})
			if ds.HasErrors() {
				b.Fatal(ds)
			}
			for b.Loop() {
				if _, _, ds := Emit(context.Background(), p, values, tree, Options{}); ds.HasErrors() {
					b.Fatal(ds)
				}
			}
		})
	}
}
