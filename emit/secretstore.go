package emit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// The annotations by which clouds know a service account:
// https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html,
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html and
// https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#kubernetes-sa-to-iam.
const (
	awsRoleAnnotation     = "eks.amazonaws.com/role-arn"
	azureClientAnnotation = "azure.workload.identity/client-id"
	azureTenantAnnotation = "azure.workload.identity/tenant-id"
	gcpAccountAnnotation  = "iam.gke.io/gcp-service-account"
)

// storeRef names a store for an ExternalSecret.
func storeRef(s plan.Store) shape.Reference {
	return shape.Reference{Name: s.Name, Kind: cmp.Or(s.Existing, shape.SecretStoreKind)}
}

// secretStores returns the SecretStore of src for each of the namespaces, each
// behind its ServiceAccount if that is ours.
func secretStores(src plan.Source, p *plan.Plan, namespaces []string) ([]tree.Document, error) {
	var documents []tree.Document
	for _, namespace := range namespaces {
		store, err := secretStore(src, p, namespace)
		if err != nil {
			return nil, err
		}
		objects := []any{store}
		if sa := src.Store.ServiceAccount; sa != nil && !sa.Existing {
			objects = slices.Insert(objects, 0, any(serviceAccount(*sa, p, namespace)))
		}
		for _, object := range objects {
			d, err := tree.NewDocument(object)
			if err != nil {
				return nil, err
			}
			addDefaults(d, p.ESOVersion)
			documents = append(documents, d)
		}
	}
	return documents, nil
}

func serviceAccount(sa plan.ServiceAccount, p *plan.Plan, namespace string) shape.ServiceAccount {
	annotations := tree.Wave(tree.WaveStores)
	for name, v := range map[string]string{
		awsRoleAnnotation: sa.AWSRole, azureClientAnnotation: sa.AzureClient, azureTenantAnnotation: sa.AzureTenant, gcpAccountAnnotation: sa.GCPAccount,
	} {
		if v != "" {
			annotations[name] = v
		}
	}
	return shape.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.CoreVersion, Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Name: sa.Name, Namespace: namespace, Labels: tree.Labels(p, nil), Annotations: annotations},
	}
}

// secretStore returns the SecretStore of a source
// (https://external-secrets.io/latest/api/secretstore/).
func secretStore(src plan.Source, p *plan.Plan, namespace string) (shape.SecretStore, error) {
	provider := &shape.Provider{}
	var account *shape.ServiceAccountRef
	if sa := src.Store.ServiceAccount; sa != nil {
		account = &shape.ServiceAccountRef{Name: sa.Name}
	}
	switch src.Kind {
	case plan.AWSSSM, plan.AWSSecretsManager:
		provider.AWS = &shape.AWSProvider{Service: "ParameterStore", Region: src.Region}
		if src.Kind == plan.AWSSecretsManager {
			provider.AWS.Service = "SecretsManager"
		}
		if account != nil {
			provider.AWS.Auth.JWT = &shape.AWSJWTAuth{ServiceAccountRef: account}
		}
	case plan.AzureKeyVault:
		url := src.Vault
		if !strings.Contains(url, "://") {
			url = "https://" + strings.ToLower(url) + ".vault.azure.net"
		}
		provider.AzureKV = &shape.AzureProvider{
			AuthType: "WorkloadIdentity", VaultURL: url, EnvironmentType: azureCloud(src), ServiceAccountRef: account,
		}
	case plan.GCPSecretManager:
		provider.GCPSM = &shape.GCPProvider{ProjectID: src.Project, Location: src.Location}
		if account != nil {
			provider.GCPSM.Auth.WorkloadIdentity = &shape.GCPWorkloadIdentity{
				ServiceAccountRef: *account, ClusterProjectID: src.Store.ClusterProject,
				ClusterLocation: src.Store.ClusterLocation, ClusterName: src.Store.ClusterName,
			}
		}
	case plan.Vault:
		provider.Vault = &shape.VaultProvider{
			Server: src.Address, Path: src.Mount, Version: src.Version, Namespace: src.Namespace, CABundle: []byte(src.CABundle),
			Auth: shape.VaultAuth{Kubernetes: shape.VaultKubernetesAuth{
				Path: src.Store.MountPath, Role: src.Store.Role, ServiceAccountRef: account,
			}},
		}
	default: // the compiler has seen to it that the operator knows it
		return shape.SecretStore{}, fmt.Errorf("the operator has no provider for a source of kind %q", src.Kind)
	}
	return shape.SecretStore{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.ExternalSecretVersion, Kind: shape.SecretStoreKind},
		ObjectMeta: metav1.ObjectMeta{Name: src.Store.Name, Namespace: namespace, Labels: tree.Labels(p, nil), Annotations: tree.Wave(tree.WaveStores)},
		Spec:       shape.SecretStoreSpec{Provider: provider},
	}, nil
}

// azureCloud is the cloud that a vault is in, by which the operator finds where
// to log in. The compiler has seen to it that it is one.
func azureCloud(src plan.Source) string {
	cloud, _ := src.AzureCloud()
	return string(cloud)
}

// operatorDefault is a default that later versions of the operator's CRDs fill
// in, and that the types here do not know.
type operatorDefault struct {
	since, before [3]int // versions; a zero before is none
	kind          string
	path          []string
	field         string
	value         any
}

// operatorDefaults are what the CRDs of each release say
// (https://github.com/external-secrets/external-secrets/tree/main/config/crds/bases).
var operatorDefaults = []operatorDefault{
	{[3]int{0, 20, 0}, [3]int{}, shape.SecretStoreKind, []string{"spec", "provider", "azurekv"}, "useAzureSDK", false},
	{[3]int{0, 20, 2}, [3]int{}, shape.SecretStoreKind, []string{"spec", "provider", "gcpsm"}, "secretVersionSelectionPolicy", "LatestOrFail"},
	{[3]int{0, 20, 4}, [3]int{}, shape.PasswordKind, []string{"spec"}, "encoding", "raw"},
	{[3]int{2, 3, 0}, [3]int{2, 7, 0}, shape.ExternalSecretKind, []string{"spec", "data", "remoteRef"}, "nullBytePolicy", "Ignore"},
	{[3]int{2, 5, 0}, [3]int{}, shape.SecretStoreKind, []string{"spec", "provider", "aws"}, "sessionTagsPolicy", "None"},
}

// addDefaults spells out what that version of the operator would fill in.
func addDefaults(d tree.Document, version [3]int) {
	for _, def := range operatorDefaults {
		if d["kind"] != def.kind || slices.Compare(version[:], def.since[:]) < 0 ||
			def.before != [3]int{} && slices.Compare(version[:], def.before[:]) >= 0 {
			continue
		}
		for _, o := range d.At(def.path...) {
			o[def.field] = def.value
		}
	}
}
