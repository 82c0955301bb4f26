package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/jsonpath"

	"github.com/victor-ai/victorgen/fixtures"
	"github.com/victor-ai/victorgen/internal/heap"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"victorgen": victorgenOfScripts, "kubectl-victorgen": victorgenOfScripts, "kubectl_complete-victorgen": victorgenOfScripts, "kubectl": kubectl})
}

// tests are those of this process; it is another one that runs a command of its own.
type tests struct{ *testing.M }

func (t tests) Run() int {
	heap.Use(1 << 30) // they run thousands of commands
	cache, err := os.MkdirTemp("", "victorgen-cache-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(cache)
	os.Setenv(cacheVariable, cache) // in this process and in those that it starts
	return t.M.Run()
}

// kubectl stands in for it, as far as the pages need it: it gets a field of a
// Secret, or removes annotations.
func kubectl() {
	var namespace, output string
	cmd := &cobra.Command{Use: "kubectl", Args: cobra.MinimumNArgs(3), SilenceUsage: true, RunE: func(cmd *cobra.Command, args []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
		if err != nil {
			return err
		}
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return err
		}
		secrets := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(namespace)
		switch what := strings.Join(args[:2], " "); {
		case what == "get secret" && len(args) == 3:
			secret, err := secrets.Get(cmd.Context(), args[2], metav1.GetOptions{})
			if err != nil {
				return err
			}
			path := jsonpath.New("output").AllowMissingKeys(true) // as kubectl does
			return errors.Join(path.Parse(strings.TrimPrefix(output, "jsonpath=")), path.Execute(os.Stdout, secret.Object))
		case what == "annotate secret" && len(args) > 3 && !slices.ContainsFunc(args[3:], func(a string) bool { return !strings.HasSuffix(a, "-") }):
			for _, annotation := range args[3:] {
				patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, strings.TrimSuffix(annotation, "-"))
				if _, err := secrets.Patch(cmd.Context(), args[2], types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
					return err
				}
			}
			return nil
		}
		return fmt.Errorf("what is kubectl %q?", args)
	}}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "default", "")
	cmd.Flags().StringVarP(&output, "output", "o", "", "")
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		os.Exit(1)
	}
}

// certificate writes a certificate for the key of the fixtures: certificate FILE
// DURATION, from now on.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate FILE DURATION")
	}
	lifetime, err := time.ParseDuration(args[1])
	ts.Check(err)
	text, err := sealingCertificate(lifetime)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}

// sealingCertificate makes one of the fixtures' key that is like no other.
func sealingCertificate(lifetime time.Duration) ([]byte, error) {
	block, _ := pem.Decode(fixtures.Key)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(*rsa.PrivateKey).Public(), key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// ends waits until the certificate in a file is not valid any more: ends FILE.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ends FILE")
	}
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	c, err := x509.ParseCertificate(block.Bytes)
	ts.Check(err)
	time.Sleep(time.Until(c.NotAfter.Add(time.Second)))
}

// apiServer starts an API server with a sealed-secrets controller, which provides what is in the file certificate while that is there.
func apiServer(t testing.TB, certificate string) *kubetest.Server {
	s := kubetest.New(t)
	s.Put(t, "namespaces", "kubelet", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}})
	s.Put(t, "services", "helm", &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "sealed-secrets-controller", Namespace: "kube-system"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}})
	s.Handle("GET /api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:/proxy/v1/cert.pem", func(w http.ResponseWriter, _ *http.Request) {
		b, err := os.ReadFile(certificate)
		if err != nil {
			kubetest.Error(w, apierrors.NewServiceUnavailable("no endpoints available"))
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Write(b)
	})
	return s
}

// TestScripts runs testdata, one file a verb. Each script starts with the
// certificates of the fixtures in its directory, and has a cluster whose
// controller provides controller.pem.
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
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"certificate": certificate, "ends": ends},
		Setup: func(e *testscript.Env) error {
			e.Setenv(cacheVariable, os.Getenv(cacheVariable))
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
