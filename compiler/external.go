package compiler

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/shape"
)

// externalDelivery fills in what an external secret says of its delivery over
// what its environment says, over what the operator would do by itself
// (https://external-secrets.io/latest/api/externalsecret/).
func (c *compilation) externalDelivery(d *plan.Delivery, id string, env, own deliverySpec) {
	where := func(field, ownValue string) []plan.Pos {
		if ownValue != "" {
			return last(c.ix.set("secrets", id, "delivery", field))
		}
		return last(c.ix.set("delivery", field))
	}
	d.RefreshPolicy = cmp.Or(own.RefreshPolicy, env.RefreshPolicy, "Periodic")
	d.CreationPolicy = cmp.Or(own.CreationPolicy, env.CreationPolicy, "Owner")
	d.DeletionPolicy = cmp.Or(own.DeletionPolicy, env.DeletionPolicy, "Retain")
	interval := cmp.Or(own.RefreshInterval, env.RefreshInterval, "1h")
	var err error
	if d.RefreshInterval, err = parseDuration(interval); err != nil || d.RefreshInterval < 0 {
		c.ds.Errorf(plan.CodeConstraint, where("refreshInterval", own.RefreshInterval), durationHint,
			"refreshInterval %q is not a duration", interval)
	}
	if d.DeletionPolicy == "Delete" && d.CreationPolicy != "Owner" {
		c.ds.Errorf(plan.CodeExternal, where("deletionPolicy", own.DeletionPolicy), `write creationPolicy: "Owner", or deletionPolicy: "Retain"`,
			"secret %q has deletionPolicy Delete and creationPolicy %s: the operator only deletes Secrets of its own", id, d.CreationPolicy)
	}
	if own.ESOVersion != "" {
		c.ds.Errorf(plan.CodeMisplaced, where("esoVersion", own.ESOVersion), "write it in the delivery of the environment",
			"secret %q has an esoVersion: a cluster has one operator for all secrets", id)
	}
}

// esoVersion reads what the schema's pattern lets through. A version without a
// patch is the last one of its minor.
func esoVersion(s string) (v [3]int) {
	parts := strings.Split(strings.TrimPrefix(cmp.Or(s, "0.19.2"), "v"), ".")
	v[2] = 1 << 20
	for i, part := range parts {
		v[i], _ = strconv.Atoi(part)
	}
	return v
}

// esoMinors are the minor versions of the operator that there are, by their
// major: v0.19 is the first with all that is written
// (https://github.com/external-secrets/external-secrets/releases).
var esoMinors = map[int][2]int{0: {19, 20}, 1: {0, 3}, 2: {0, 9}}

// checkESOVersion checks for which version of the operator external secrets are.
func (c *compilation) checkESOVersion(p *plan.Plan, s *spec) {
	external := slices.ContainsFunc(p.Secrets, func(s plan.Secret) bool { return s.Delivery.Fetches() })
	at, v := last(c.ix.set("delivery", "esoVersion")), p.ESOVersion
	for _, s := range p.Secrets {
		// https://github.com/external-secrets/external-secrets/pull/6280
		if s.Delivery.Fetches() && s.Type == shape.SecretTypeBootstrapToken && slices.Compare(v[:], []int{2, 5, 0}) >= 0 {
			c.ds.Errorf(plan.CodeExternal, s.Pos[:min(1, len(s.Pos))], `write delivery: kind: "sealed" for it`,
				"external secret %s has type %s, which the operator refuses since v2.5: anyone who may write ExternalSecrets could join machines to the cluster", s.Name, s.Type)
		}
	}
	minors, known := esoMinors[v[0]]
	switch {
	case !external:
	case s.Delivery.ESOVersion == "" && s.ArgoCD != nil:
		c.ds.Warnf(plan.CodeESOVersion, last(c.ix.set("argocd")), `set in delivery the version that the cluster has, as in esoVersion: "v2.9"`,
			"external secrets are written for v0.19 of the operator: later ones fill in defaults, which Argo CD would show as OutOfSync")
	case v[0] == 0 && v[1] < 19:
		c.ds.Errorf(plan.CodeESOVersion, at, "update the operator, or let victorgen seal",
			"esoVersion %s is too old: external-secrets.io/v1, as it is written, needs v0.19", s.Delivery.ESOVersion)
	case !known || v[1] < minors[0] || v[1] > minors[1]:
		c.ds.Warnf(plan.CodeESOVersion, at, "check `kubectl get deployment external-secrets -o wide`; if it is right, compare what Argo CD shows",
			"esoVersion %s is not known to victorgen, so the defaults it fills in are a guess", s.Delivery.ESOVersion)
	}
}

// kebab makes a name that Kubernetes accepts of one in capitals or with
// underscores.
func kebab(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// store checks how the operator reaches a source.
func (c *compilation) store(src plan.Source, spec *storeSpec, kind plan.SourceKind) plan.Store {
	at := func(field ...string) []plan.Pos {
		return last(c.ix.set(append([]string{"sources", src.Name, "store"}, field...)...))
	}
	if spec == nil {
		spec = &storeSpec{}
	} else if !kind.Operator {
		c.ds.Errorf(plan.CodeMisplaced, at(), "remove it", "source %s has a store, which has no meaning for kind %s", src.Name, src.Kind)
	}
	s := plan.Store{
		Name: cmp.Or(spec.Name, kebab(c.partOf+"-"+src.Name)), Existing: spec.Existing, Role: spec.Role,
		MountPath: cmp.Or(spec.MountPath, "kubernetes"), ClusterProject: spec.ClusterProject,
		ClusterLocation: spec.ClusterLocation, ClusterName: spec.ClusterName,
	}
	if !kind.Operator {
		return s
	}
	set := map[string]bool{
		"serviceAccount": spec.ServiceAccount != nil, "role": spec.Role != "", "mountPath": spec.MountPath != "",
		"clusterProject": spec.ClusterProject != "", "clusterLocation": spec.ClusterLocation != "", "clusterName": spec.ClusterName != "",
	}
	for _, field := range sortedKeys(set) {
		switch {
		case !set[field]:
		case !slices.Contains(kind.StoreFields, field):
			c.ds.Errorf(plan.CodeMisplaced, at(field), "remove it",
				"the store of source %s has a %s, which has no meaning for kind %s", src.Name, field, src.Kind)
		case spec.Existing != "":
			c.ds.Errorf(plan.CodeMisplaced, at(field), "remove it, or remove existing",
				"the store of source %s has a %s, but it is made elsewhere", src.Name, field)
		case strings.HasPrefix(field, "cluster") && spec.ServiceAccount == nil:
			c.ds.Errorf(plan.CodeMisplaced, at(field), "name the serviceAccount",
				"the store of source %s has a %s, which has no meaning without a service account", src.Name, field)
		}
	}
	if spec.Name == "" && spec.Existing != "" {
		c.ds.Errorf(plan.CodeIncomplete, at("existing"), `write its name: "NAME"`, "the store of source %s exists, but has no name", src.Name)
	}
	if spec.ServiceAccount != nil {
		s.ServiceAccount = c.serviceAccount(src, *spec.ServiceAccount, s.Name, kind)
	}
	return s
}

func (c *compilation) serviceAccount(src plan.Source, spec serviceAccountSpec, store string, kind plan.SourceKind) *plan.ServiceAccount {
	path := []string{"sources", src.Name, "store", "serviceAccount"}
	at := func(field string) []plan.Pos { return last(c.ix.set(append(path[:4:4], field)...)) }
	sa := &plan.ServiceAccount{
		Name: cmp.Or(spec.Name, store), Existing: spec.Existing,
		AWSRole: spec.AWSRole, AzureClient: spec.AzureClient, AzureTenant: spec.AzureTenant, GCPAccount: spec.GCPAccount,
	}
	c.checkName("service account", sa.Name, dnsSubdomain, append(path[:4:4], "name")...)
	set := map[string]string{
		"awsRole": spec.AWSRole, "azureClient": spec.AzureClient, "azureTenant": spec.AzureTenant, "gcpAccount": spec.GCPAccount,
	}
	for _, field := range sortedKeys(set) {
		switch {
		case set[field] == "":
		case !slices.Contains(kind.StoreFields, field):
			c.ds.Errorf(plan.CodeMisplaced, at(field), "remove it",
				"the service account of source %s has %s, which has no meaning for kind %s", src.Name, field, src.Kind)
		case spec.Existing:
			c.ds.Errorf(plan.CodeMisplaced, at(field), "annotate the service account where it is made",
				"the service account of source %s has %s, but it is made elsewhere", src.Name, field)
		}
	}
	// Without them the operator does not even ask.
	for _, field := range []string{"awsRole", "azureClient"} {
		if slices.Contains(kind.StoreFields, field) && set[field] == "" && !spec.Existing {
			c.ds.Errorf(plan.CodeIncomplete, last(c.ix.set(path...)), "write "+field+", or existing: true if it is made elsewhere",
				"the service account of source %s has no %s", src.Name, field)
		}
	}
	return sa
}

// selectable are the properties that mean the same to us and to the operator,
// which takes other characters for its query language
// (https://github.com/tidwall/gjson/blob/master/SYNTAX.md).
var selectable = lazy.MustCompile(`^[A-Za-z0-9_./ -]*$`)

// checkExternal reports what external secrets can't be, and what concerns them
// alone and stands elsewhere.
func (c *compilation) checkExternal(p *plan.Plan) {
	unread := p.Unread()
	for i, in := range p.Inputs {
		if !c.options.Direct {
			c.checkUnread(in, unread[in.Name])
			continue
		}
		if in.Present != nil && *in.Present {
			p.Inputs[i].Present = nil // what is true of a source need not be asked; its value must be
		}
		if in.Generate != nil && in.Generate.InCluster {
			here := *in.Generate
			here.InCluster = false
			p.Inputs[i].Generate = &here
		}
	}
	if !p.Seals() && len(p.Secrets) > 0 {
		p.Inputs = slices.DeleteFunc(p.Inputs, func(in plan.Input) bool { return in.Name == plan.LockKey })
	}
	stores := map[string]string{}
	for _, s := range p.Secrets {
		if !s.Delivery.Fetches() {
			continue
		}
		referred := false
		for _, k := range s.Keys {
			for _, name := range k.Inputs() {
				in, ok := c.lookup(name)
				if !ok || in.Default != nil {
					continue
				}
				referred = true
				c.checkReferred(in, k)
				src := c.sources[in.Source]
				switch other, taken := stores[src.Store.Name]; {
				case taken && other != src.Name && src.Store.Existing == "":
					c.ds.Errorf(plan.CodeExternal, last(src.Pos), `give one of them a name: store: name: "..."`,
						"the stores of sources %s and %s are both called %q", other, src.Name, src.Store.Name)
				case !taken:
					stores[src.Store.Name] = src.Name
				}
			}
		}
		if !referred && len(s.Keys) > 0 {
			c.ds.Errorf(plan.CodeExternal, last(s.Pos), `write delivery: kind: "sealed" for it, or make it a ConfigMap`,
				"external secret %s takes nothing from a source, which the operator rejects", s.Name)
		}
	}
}

// checkUnread checks what only an input that is not read may say.
func (c *compilation) checkUnread(in plan.Input, unread bool) {
	field := func(f ...string) []plan.Pos { return last(c.ix.set(append([]string{"inputs", in.Name}, f...)...)) }
	inCluster := in.Generate != nil && in.Generate.InCluster
	switch {
	case in.Present == nil && unread && in.MayBeAbsent() && (in.Remote.Version != "" ||
		in.Remote.Property != "" && (c.sources[in.Source].Kind != plan.Vault || in.Remote.Property != vaultProperty)):
		what := "property " + in.Remote.Property
		if in.Remote.Version != "" {
			what = "version " + in.Remote.Version
		}
		c.ds.Errorf(plan.CodePresenceUnknown, field("remote"), "write present: true or present: false for it, or give it a remote of its own",
			"whether %s input %s exists can't be known without reading it, because it is the %s of a name", in.Class, in.Name, what)
	case in.Present == nil:
	case in.Default != nil || inCluster:
		c.ds.Errorf(plan.CodeMisplaced, field("present"), "remove it", "input %s has present, but no source is asked for it", in.Name)
	case !unread && *in.Present:
		c.ds.Errorf(plan.CodeMisplaced, field("present"), "remove it, or make it a schema.#Required",
			"input %s has present: true, which is for inputs of external secrets only: this one is read", in.Name)
	case !*in.Present && !in.MayBeAbsent():
		c.ds.Errorf(plan.CodeMisplaced, field("present"), "remove it, or make it a schema.#Optional",
			"input %s is %s and has present: false", in.Name, in.Class)
	}
	if !inCluster {
		return
	}
	at := field("generate", "inCluster")
	if !unread {
		c.ds.Errorf(plan.CodeMisplaced, at, "remove it",
			"input %s is generated in the cluster, which is for inputs of external secrets only", in.Name)
	}
	if src := c.sources[in.Source]; src.Kind == plan.Vault && in.Remote.Property != "value" {
		c.ds.Errorf(plan.CodeExternal, at, "give it a remote of its own, without #"+in.Remote.Property+"; or remove inCluster",
			"%s is one property of an object in Vault, and the operator only writes to objects of its own", in.Name)
	}
	switch g := *in.Generate; g.Kind {
	case plan.UUID:
	case plan.Password:
		if _, ok := g.OperatorPassword(); !ok {
			c.ds.Errorf(plan.CodeExternal, at, "use all or none of a-z, A-Z (with a-z alone) and 0-9, and any ASCII symbols; or remove inCluster",
				"the operator cannot make a password from the alphabet of %s", in.Name)
		}
		if len(g.Require) > 0 {
			c.ds.Errorf(plan.CodeExternal, field("generate", "require"), "remove require; or remove inCluster, so that a build generates it",
				"the operator does not ensure that a password has what %s requires", in.Name)
		}
	default:
		c.ds.Errorf(plan.CodeExternal, at, "make it a password or a uuid; or remove inCluster",
			"input %s is of kind %s, which the operator cannot generate", in.Name, g.Kind)
	}
}

// checkReferred checks that the operator can get in for k.
func (c *compilation) checkReferred(in plan.Input, k plan.Key) {
	src := c.sources[in.Source]
	kind, ok := plan.KindOf(src.Kind)
	if !ok {
		return // CUE has complained of it
	}
	if !kind.Operator {
		c.ds.Errorf(plan.CodeExternal, k.Pos[:min(1, len(k.Pos))],
			`put the input at a remote source, or write delivery: kind: "sealed" for the secret`,
			"key %q of an external secret is made from %s at source %s, which the operator cannot reach", k.Name, in.Name, src)
		return
	}
	if in.PreviousOf() != "" && kind.PreviousVersion == "" {
		c.ds.Errorf(plan.CodePrevious, k.Pos[:min(1, len(k.Pos))],
			`write delivery: kind: "sealed" for the secret, or put the input at a source of kind aws-secretsmanager`,
			"key %q of an external secret takes the previous value of %s, and the operator can't ask source %s for it: it numbers its versions", k.Name, in.PreviousOf(), src)
		return
	}
	if in.Trim && k.Input == "" {
		c.ds.Errorf(plan.CodeExternal, k.Pos[:min(1, len(k.Pos))], "write {{."+in.Name+" | trim}} in the template, and remove trim from the input",
			"key %q of an external secret is a template over %s, whose input has trim: the operator renders what the source holds", k.Name, in.Name)
	}
	if !selectable.MatchString(in.Remote.Property) {
		c.ds.Errorf(plan.CodeExternal, last(c.ix.set("inputs", in.Name, "remote")), "give it a name of letters, digits, spaces and any of _./-",
			"the operator treats property %q of input %s as a query", in.Remote.Property, in.Name)
	}
	if src.Store.Existing != "" {
		return
	}
	at := last(c.ix.set("sources", src.Name, "store", "name"))
	c.checkNameAt(at, "the store's name", src.Store.Name, dnsSubdomain)
	if said(sourceSpec{Source: src})[kind.OperatorNeeds] == "" {
		c.ds.Errorf(plan.CodeExternal, last(src.Pos), "write "+kind.OperatorNeeds+", or name a store that exists",
			"source %s has no %s, and external delivery has no variable to read it from", src, kind.OperatorNeeds)
	}
	if _, ok := src.AzureCloud(); src.Kind == plan.AzureKeyVault && !ok {
		c.ds.Errorf(plan.CodeExternal, last(c.ix.set("sources", src.Name, "vault")), "name a vault of Azure, or a store that exists",
			"vault of source %s is not in a cloud that the operator can log in to", src)
	}
	if src.Kind == plan.Vault && src.Store.Role == "" {
		c.ds.Errorf(plan.CodeExternal, last(src.Pos), `write store: role: "ROLE", or name a store that exists`,
			"source %s has no store.role, with which the operator could log in", src)
	}
}

// argocd fills in what the contract leaves out.
func (c *compilation) argocd(p *plan.Plan, s *argocdSpec) *plan.ArgoCD {
	if s == nil {
		return nil
	}
	a := &plan.ArgoCD{
		Name: cmp.Or(s.Name, kebab(p.PartOf)+"-"+p.Environment), Namespace: cmp.Or(s.Namespace, "argocd"),
		Project: cmp.Or(s.Project, "default"), RepoURL: s.RepoURL, Path: cmp.Or(s.Path, "deploy/"+p.Environment),
		Revision: cmp.Or(s.Revision, "HEAD"), Server: cmp.Or(s.Server, "https://kubernetes.default.svc"), Automated: s.Automated,
	}
	c.checkName("argocd.name", a.Name, dnsSubdomain, "argocd", "name")
	c.checkName("argocd.namespace", a.Namespace, dnsLabel, "argocd", "namespace")
	return a
}
