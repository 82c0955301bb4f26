package workload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/victor-ai/victorgen/compiler/workload"
	"github.com/victor-ai/victorgen/internal/bench"
)

// BenchmarkManifests reads and judges 2,000 manifests with 10,000 references, as
// directories and as kustomizations of twenty, in turns with kustomize, which builds
// them. (Of one with them all it makes a minute's work.)
func BenchmarkManifests(b *testing.B) {
	const apps, each, references = 100, 20, 10_000
	for _, form := range []string{"directories", "kustomizations"} {
		b.Run(form, func(b *testing.B) {
			dir, err := filepath.EvalSymlinks(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			p := contract(dir)
			p.Workloads.Paths = nil
			var kustomizations []string
			for app := range apps {
				k := filepath.Join(dir, fmt.Sprint("app-", app))
				resources := filepath.Join(k, "resources")
				if err := os.MkdirAll(resources, 0o755); err != nil {
					b.Fatal(err)
				}
				list := "resources:\n"
				for i := range each {
					name := fmt.Sprintf("app-%d-%d", app, i)
					if err := os.WriteFile(filepath.Join(resources, name+".yaml"), []byte(strings.ReplaceAll(manifest, "NAME", name)), 0o644); err != nil {
						b.Fatal(err)
					}
					list += "  - resources/" + name + ".yaml\n"
				}
				if err := os.WriteFile(filepath.Join(k, "kustomization.yaml"), []byte(list), 0o644); err != nil {
					b.Fatal(err)
				}
				kustomizations = append(kustomizations, k)
				if form == "directories" {
					k = resources
				}
				p.Workloads.Paths = append(p.Workloads.Paths, k)
			}
			bench.Turns(b, bench.Row{What: "workloads: 2000 manifests as " + form + ", by the clock", Peer: "kustomize", Most: 2}, func() time.Duration {
				return bench.Clock(func() {
					set, ds := workload.Read(b.Context(), p, nil, nil)
					ds = append(ds, workload.Judge(p, set)...)
					if len(set.References) != references || ds.HasErrors() {
						b.Fatalf("%d references, %v", len(set.References), ds)
					}
				})
			}, func() time.Duration {
				return bench.Clock(func() {
					for _, k := range kustomizations {
						built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), k)
						if err != nil || built.Size() != each {
							b.Fatal(err)
						}
					}
				})
			})
		})
	}
}

// manifest is a Deployment with five references.
const manifest = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME, app.kubernetes.io/part-of: shop}
spec:
  replicas: 2
  selector:
    matchLabels: {app.kubernetes.io/name: NAME}
  template:
    metadata:
      labels: {app.kubernetes.io/name: NAME}
    spec:
      imagePullSecrets:
        - name: pull
      containers:
        - name: app
          image: registry.example/NAME:1.0.0
          ports:
            - {name: http, containerPort: 8080}
          env:
            - name: MODE
              value: production
            - name: DB_PASSWORD
              valueFrom:
                secretKeyRef: {name: app, key: DB_PASSWORD}
            - name: API_KEY
              valueFrom:
                secretKeyRef: {name: app, key: API_KEY, optional: true}
          envFrom:
            - secretRef: {name: app}
          volumeMounts:
            - {name: web, mountPath: /etc/web}
      volumes:
        - name: web
          secret: {secretName: web}
`
