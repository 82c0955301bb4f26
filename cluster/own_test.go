package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/bitnami-labs/sealed-secrets/pkg/crypto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

const verifyURL = "/api/v1/namespaces/security/services/http:sealed-secrets:web/proxy/v1/verify"

// unsealing answers as the controller does that has a key.
func unsealing(t *testing.T, key *rsa.PrivateKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var s v1alpha1.SealedSecret
		if err := yaml.UnmarshalStrict(body, &s); err != nil || s.Kind != "SealedSecret" {
			t.Errorf("it is asked %s: %v", body, err)
		}
		fingerprint, err := crypto.PublicKeyFingerprint(&key.PublicKey)
		if err != nil {
			t.Error(err)
		}
		if _, err := s.Unseal(serializer.NewCodecFactory(scheme.Scheme), map[string]*rsa.PrivateKey{fingerprint: key}); err != nil {
			w.WriteHeader(http.StatusConflict)
		}
	}
}

// TestOwnCertificates (issue 18, 5): a certificate is the controller's newest, an
// older one, or not its own; so is one that only the lock has.
func TestOwnCertificates(t *testing.T) {
	t.Parallel()
	key, own := newKey(t, "own")
	_, stranger := newKey(t, "somebody else's")
	_, another := newKey(t, "newer")
	manifest := func(pem []byte) []byte {
		file := filepath.Join(t.TempDir(), "cert.pem")
		if err := os.WriteFile(file, pem, 0o644); err != nil {
			t.Fatal(err)
		}
		c, ds := sealing.Inspect(file, nil, day)
		if c == nil {
			t.Fatal(ds)
		}
		probe, err := c.Probe()
		if err != nil {
			t.Fatal(err)
		}
		return probe
	}
	forbid := kubetest.Request{Verb: "create", Resource: "services/proxy", Namespace: "security", Name: "http:sealed-secrets:web"}.Forbidden("ci")
	for name, test := range map[string]struct {
		mine, newest []byte
		verify       http.HandlerFunc
		pinned       []byte // what a SealedSecret of the tree is sealed for
		own          Ownership
		want         string
	}{
		"newest":  {mine: own, newest: own, own: OwnNewest},
		"older":   {mine: own, newest: another, verify: unsealing(t, key), own: OwnOlder, want: "warning VG5111: the certificate is not the newest of controller security/sealed-secrets in test"},
		"foreign": {mine: stranger, newest: own, verify: unsealing(t, key), own: OwnForeign, want: "error VG5115: the certificate is not one of controller security/sealed-secrets in test"},
		"may not ask": {mine: stranger, newest: own, verify: refuse(forbid), own: OwnUnknown,
			want: "whether it is an older one of it is not known: you may not create services/proxy http:sealed-secrets:web in namespace security"},
		"a broken controller": {mine: stranger, newest: own, verify: respond(500, "c4nary"), own: OwnUnknown, want: "is not known: Service sealed-secrets in security answers with status 500"},
		"no Pod":              {mine: stranger, newest: own, verify: refuse(apierrors.NewServiceUnavailable("c4nary")), own: OwnUnknown, want: "does not answer"},
		"the lock's, older":   {mine: own, newest: own, pinned: own, verify: unsealing(t, key), own: OwnOlder},
		"the lock's, foreign": {mine: own, newest: own, pinned: stranger, verify: unsealing(t, key), own: OwnForeign,
			want: "error VG5115: the certificate that secret apps/app of the tree is sealed for (SHA-256 11) is not one of controller"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withController(t)
			s.Handle("GET "+proxyPath, respond(200, string(test.newest)))
			if test.verify != nil {
				s.Handle("POST "+verifyURL, test.verify)
			}
			file := filepath.Join(t.TempDir(), "cert.pem")
			if err := os.WriteFile(file, test.mine, 0o644); err != nil {
				t.Fatal(err)
			}
			var pinned []tree.Pinned
			if test.pinned != nil {
				pinned = append(pinned, tree.Pinned{SHA256: "11", Secret: "apps/app", Controller: controller, Manifest: manifest(test.pinned)})
			}
			all := connect(t, s).Certificates(t.Context(), sealingPlan("test", sealed(file, controller)), day, pinned...)
			var ds plan.Diagnostics
			for _, c := range all {
				ds = append(ds, c.Judge("test")...)
			}
			if len(all) != 1+len(pinned) || all[len(all)-1].Own != test.own {
				t.Errorf("%+v, not %s", all, test.own)
			}
			if got := ds.Error(); !strings.Contains(got, test.want) || (test.want == "") != (len(ds) == 0) || strings.Contains(got, "c4nary") {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

func newKey(t *testing.T, name string) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: day.AddDate(0, -1, 0), NotAfter: day.AddDate(10, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
