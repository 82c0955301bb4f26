package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// externalSecretsVersion is that in external-secrets/go.mod, which builds in
// some minutes.
const externalSecretsVersion = "0.19.2"

// startExternalSecrets starts the External Secrets Operator, with what leads it
// to the AWS of moto.
func startExternalSecrets(t *testing.T, c *cluster) {
	t.Helper()
	env := moto(t)
	for _, service := range []string{"SSM", "SECRETSMANAGER", "STS"} { // it does not heed AWS_ENDPOINT_URL
		env = append(env, "AWS_"+service+"_ENDPOINT="+os.Getenv("AWS_ENDPOINT_URL"))
	}
	c.definitions(t, "github.com/external-secrets/external-secrets", "v"+externalSecretsVersion, "config/crds/bases/*_*.yaml")
	config := clientcmdapi.NewConfig()
	config.Clusters["e2e"] = &clientcmdapi.Cluster{Server: c.admin.Host, CertificateAuthority: c.admin.CAFile}
	config.AuthInfos["e2e"] = &clientcmdapi.AuthInfo{Token: c.admin.BearerToken}
	config.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "e2e"}
	config.CurrentContext = "e2e"
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	program := toolProgram(t, "external-secrets", externalSecretsVersion)
	metrics := freePort(t)
	start(t, append(env, "KUBECONFIG="+kubeconfig), listening(metrics), program,
		"--metrics-addr=127.0.0.1:"+metrics, "--enable-leader-election=false")
}

// testExternal: the operator makes a Secret of a parameter, and of its next
// value. All defaults are spelled out.
func testExternal(t *testing.T, c *cluster) {
	const namespace = "external"
	c.namespace(t, namespace)
	startExternalSecrets(t, c)
	client := ssm.NewFromConfig(awsConfig(t))
	put := func(v string) {
		t.Helper()
		_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/victor-ai/database-password"), Value: aws.String(v), Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("fake-e2e-3f9c1e7a2b")
	tree := objects(t, `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: aws-ssm, namespace: external}
spec:
  provider: {aws: {service: ParameterStore, region: us-east-1}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: database, namespace: external}
spec:
  refreshInterval: 1s
  secretStoreRef: {kind: SecretStore, name: aws-ssm}
  target:
    creationPolicy: Owner
    deletionPolicy: Retain
    template:
      engineVersion: v2
      mergePolicy: Replace
      type: Opaque
      data: {url: "postgresql://victor:{{ .DB_PASSWORD | urlquery }}@victor-postgres"}
  data:
  - secretKey: DB_PASSWORD
    remoteRef:
      key: /victor-ai/database-password
      conversionStrategy: Default
      decodingStrategy: None
      metadataPolicy: None
`)
	c.apply(t, tree)
	for _, o := range tree {
		c.condition(t, o, "Ready")
	}
	secret := c.secret(t, namespace, "database", "")
	if diff := cmp.Diff(map[string]string{"url": "postgresql://victor:fake-e2e-3f9c1e7a2b@victor-postgres"}, texts(secret)); diff != "" {
		t.Errorf("(-want +cluster)\n%s", diff)
	}
	put("fake e2e")
	secret = c.secret(t, namespace, "database", secret.ResourceVersion)
	if url := string(secret.Data["url"]); url != "postgresql://victor:fake+e2e@victor-postgres" {
		t.Error(url)
	}
}
