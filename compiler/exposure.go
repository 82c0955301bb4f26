package compiler

import (
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/shape"
)

// What follows is allowed, and read over easily in a review: it gives a secret
// to more than the environment that it is for, or makes more of it than a value.

// everyone are the subjects of RBAC that are many at once
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings and
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests).
var everyone = map[string]string{
	"system:anonymous":       "means everyone who is not logged in",
	"system:unauthenticated": "means everyone who is not logged in",
	"system:authenticated":   "means everyone who is logged in, including every Pod",
	"system:serviceaccounts": "means every service account of the cluster",
}

// copiers are prefixes of labels and annotations by which programs copy a Secret
// to other namespaces:
// https://github.com/emberstack/kubernetes-reflector, https://github.com/mittwald/kubernetes-replicator,
// https://github.com/config-syncer/config-syncer, https://github.com/zakkg3/ClusterSecret and
// https://github.com/carvel-dev/secretgen-controller.
var copiers = []string{
	"reflector.v1.k8s.emberstack.com/", "replicator.v1.mittwald.de/", "kubed.appscode.com/", "config-syncer.appscode.com/",
	"clustersecret.io/", "secretgen.carvel.dev/",
}

// takers are labels and annotations by which programs take a Secret for more than
// a value.
var takers = map[string]string{
	// https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/
	"argocd.argoproj.io/secret-type": "Argo CD treats it as a repository or a cluster to deploy to",
	// https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/controller/keyregistry.go
	"sealedsecrets.bitnami.com/sealed-secrets-key": "the sealed-secrets controller treats it as a sealing key",
	// https://github.com/bitnami-labs/sealed-secrets#managing-existing-secrets
	"sealedsecrets.bitnami.com/managed": "it lets the sealed-secrets controller overwrite a Secret of that name",
	"sealedsecrets.bitnami.com/patch":   "it lets the sealed-secrets controller overwrite a Secret of that name",
	// https://cluster-api.sigs.k8s.io/developer/providers/contracts/infra-cluster
	"cluster.x-k8s.io/cluster-name": "Cluster API treats it as part of a cluster",
}

// takenTypes are types of Secret of which the cluster makes more than a value.
var takenTypes = map[string]string{
	// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
	shape.SecretTypeBootstrapToken: "in kube-system, it lets anyone who has it join nodes to the cluster",
	// https://helm.sh/docs/topics/advanced/#storage-backends
	"helm.sh/release.v1":      "Helm treats it as an installed release",
	"cluster.x-k8s.io/secret": "Cluster API treats it as part of a cluster",
}

// exposedReader warns of the ith reader if it is many, or from elsewhere.
func (c *compilation) exposedReader(i int, r readerSpec, namespaces map[string]bool) {
	at := last(c.ix.set("access", "readers", strconv.Itoa(i), "name"))
	const hint = "name a service account, or a group of your own"
	what, many := everyone[r.Name]
	if of, ok := strings.CutPrefix(r.Name, "system:serviceaccounts:"); ok && r.Kind == shape.GroupKind {
		what, many = "means every service account of namespace "+of, true
	}
	switch {
	case r.Kind != shape.ServiceAccountKind && many:
		c.ds.Warnf(plan.CodeEverybody, at, hint, "a reader of the secrets, %s %q, %s", r.Kind, r.Name, what)
	case r.Kind == shape.ServiceAccountKind && !namespaces[r.Namespace] && r.Namespace != "" && len(dnsLabel(r.Namespace)) == 0:
		c.ds.Warnf(plan.CodeForeignReader, at, "is that namespace yours? anyone who may create Pods there can read the secrets",
			"a reader of the secrets is of another namespace, %s", r.Namespace)
	}
}

// exposedSecret warns of what gives the secret called id to others.
func (c *compilation) exposedSecret(id string, s plan.Secret) {
	for field, table := range map[string]map[string]string{"labels": s.Labels, "annotations": s.Annotations} {
		for _, name := range sortedKeys(table) {
			at := last(c.ix.declared("secrets", id, field, name))
			for _, prefix := range copiers {
				if strings.HasPrefix(strings.ToLower(name), prefix) {
					c.ds.Warnf(plan.CodeCopied, at, "anyone who can read secrets there can read this one: declare it in each namespace that needs it",
						"%[2]s lets secret %[1]q be copied to other namespaces", id, name)
				}
			}
			if why, ok := takers[name]; ok {
				c.ds.Warnf(plan.CodeTaken, at, "is that intended?", "secret %q has %s: %s", id, name, why)
			}
		}
	}
	if why, ok := takenTypes[s.Type]; ok {
		c.ds.Warnf(plan.CodeTaken, last(c.ix.set("secrets", id, "type")), "is that intended?", "secret %q has type %s: %s", id, s.Type, why)
	}
	if s.Delivery.Scope == plan.ClusterWide {
		at := last(c.ix.set("secrets", id, "delivery", "scope"))
		if len(at) == 0 {
			at = last(c.ix.set("delivery", "scope"))
		}
		c.ds.Warnf(plan.CodeClusterWide, at, "write scope: \"strict\" or \"namespace-wide\"",
			"secret %q is sealed cluster-wide: anyone who may create a SealedSecret anywhere in the cluster can open it there", id)
	}
	if strings.HasPrefix(s.Namespace, "kube-") || strings.HasPrefix(s.Namespace, "openshift-") {
		at := last(c.ix.set("secrets", id, "namespace"))
		if len(at) == 0 {
			at = last(c.ix.set("namespace"))
		}
		c.ds.Warnf(plan.CodeSystemNamespace, at, "use a namespace of the application",
			"secret %q is in namespace %s, which is the cluster's own", id, s.Namespace)
	}
}

// runners are the variables by which what runs victorgen has credentials of its
// own: the tokens of GitHub Actions and GitLab CI, of Vault, and keys of sops.
var runners = map[string]bool{
	"GITHUB_TOKEN": true, "GH_TOKEN": true, "ACTIONS_RUNTIME_TOKEN": true, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": true,
	"CI_JOB_TOKEN": true, "CI_REGISTRY_PASSWORD": true, "VAULT_TOKEN": true, "SOPS_AGE_KEY": true,
}

// exposedInput warns of an input that would take a credential of anyone who runs
// victorgen for a value of the application.
func (c *compilation) exposedInput(in plan.Input, src plan.Source) {
	if src.Kind == plan.Env && in.Default == nil && runners[in.Name] && (src.ProcessEnv == nil || *src.ProcessEnv) {
		c.ds.Warnf(plan.CodeRunner, last(in.Pos), "give the input another name; or write processEnv: false in its source",
			"input %s has the name of a CI job's own credential, whose value would go into the secrets", in.Name)
	}
}
