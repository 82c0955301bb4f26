package emit

import rbacv1 "k8s.io/api/rbac/v1"

// The labels that every object of a tree carries
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelPartOf    = "app.kubernetes.io/part-of"

	ManagedBy = "victorgen" // the value of LabelManagedBy

	// LabelEnvironment is on the Secrets that victorgen writes itself, and on
	// nothing else: who prunes must know which are whose.
	LabelEnvironment = "victorgen/environment"
)

// The files of a tree, slash-separated and relative to its directory.
const (
	LockFile          = "victorgen.lock"
	KustomizationFile = "kustomization.yaml"
	AccessFile        = "access/secret-reader.yaml"
	secretsDir        = "secrets"
	alertsFile        = "alerts/secrets.yaml"
	ApplicationFile   = "argocd/application.yaml" // not in the kustomization
	storesDir         = "stores"
	generatorsDir     = "generators"
)

// header is the first line of every file of a tree.
const header = "# Written by victorgen from the contract; edits will be overwritten.\n"

const (
	roleKind        = "Role"
	roleBindingKind = "RoleBinding"
)

var rbacVersion = rbacv1.SchemeGroupVersion.String()
