package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/victor-ai/victorgen/fixtures"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"victorgen": main})
}

// apiServer starts an API server with a sealed-secrets controller, which hands
// out what is in the file certificate while that is there.
func apiServer(t testing.TB, certificate string) *kubetest.Server {
	s := kubetest.New(t)
	s.Put(t, "{apiVersion: v1, kind: Service, metadata: {name: sealed-secrets-controller, namespace: kube-system}, spec: {ports: [{port: 8080}]}}")
	s.Handle("GET /api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:/proxy/v1/cert.pem", func(w http.ResponseWriter, _ *http.Request) {
		b, err := os.ReadFile(certificate)
		if err != nil {
			kubetest.Refuse(w, apierrors.NewServiceUnavailable("no endpoints available"))
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Write(b)
	})
	return s
}

// TestScripts runs testdata, one file a verb. Each script starts with the
// certificates of the fixtures in its directory, and has a cluster whose
// controller hands out controller.pem.
func TestScripts(t *testing.T) {
	certificates, err := filepath.Glob("../../fixtures/certificates/*.pem")
	if err != nil || len(certificates) == 0 {
		t.Fatal("no certificates")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       os.Getenv("VICTORGEN_UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("KUBECONFIG", apiServer(t, filepath.Join(e.WorkDir, "controller.pem")).Kubeconfig(t))
			for _, c := range certificates {
				b, err := os.ReadFile(c)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, filepath.Base(c)), b, 0o644); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "key.pem"), fixtures.Key, 0o600)
		},
	})
}
