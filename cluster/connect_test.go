package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestConnectAuthProvider: one that there is no longer is named with what has taken its
// place; one that there is logs in.
func TestConnectAuthProvider(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"oidc": "",
		"azure": "no cluster: the kubeconfig logs in with the auth provider azure, which clients of Kubernetes no longer have: " +
			"install kubelogin, and run `kubelogin convert-kubeconfig` (https://github.com/Azure/kubelogin)",
		"gcp": "no cluster: the kubeconfig logs in with the auth provider gcp, which clients of Kubernetes no longer have: " +
			"install gke-gcloud-auth-plugin, and run `gcloud container clusters get-credentials` " +
			"(https://cloud.google.com/blog/products/containers-kubernetes/kubectl-auth-changes-in-gke)",
		"other": `no cluster: no Auth Provider found for name "other"`,
	} {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "kind",
			"contexts": [{"name": "kind", "context": {"cluster": "kind", "user": "me"}}],
			"clusters": [{"name": "kind", "cluster": {"server": "https://cluster.example"}}],
			"users": [{"name": "me", "user": {"auth-provider": {"name": %q, "config": {"idp-issuer-url": "https://issuer.example", "client-id": "c"}}}}]}`, name)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Connect(Target{Kubeconfig: file})
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
