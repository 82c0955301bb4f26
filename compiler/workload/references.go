package workload

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// place is a field of a kind of object in which a Secret is asked for.
type place struct {
	kind string
	path string // names of fields with dots between them; lists are gone through
	use  Use
}

// builtin are the places of kinds without pods of their own in which a Secret is
// asked for: those of Kubernetes, and of operators that many have.
var builtin = []place{
	{"ServiceAccount", "imagePullSecrets.name", Pull},
	{"ServiceAccount", "secrets.name", Other},
	{"Ingress", "spec.tls.secretName", TLS},
	{"Gateway", "spec.listeners.tls.certificateRefs.name", TLS},

	// https://cert-manager.io/docs/reference/api-docs/
	{"Issuer", "spec.ca.secretName", Other},
	{"ClusterIssuer", "spec.ca.secretName", Other},
	{"Issuer", "spec.acme.externalAccountBinding.keySecretRef.name", Other},
	{"ClusterIssuer", "spec.acme.externalAccountBinding.keySecretRef.name", Other},
	{"Issuer", "spec.acme.solvers.dns01.cloudflare.apiTokenSecretRef.name", Other},
	{"ClusterIssuer", "spec.acme.solvers.dns01.cloudflare.apiTokenSecretRef.name", Other},
	{"Issuer", "spec.acme.solvers.dns01.route53.secretAccessKeySecretRef.name", Other},
	{"ClusterIssuer", "spec.acme.solvers.dns01.route53.secretAccessKeySecretRef.name", Other},
	{"Certificate", "spec.keystores.jks.passwordSecretRef.name", Other},
	{"Certificate", "spec.keystores.pkcs12.passwordSecretRef.name", Other},

	// https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/
	{"Cluster", "spec.superuserSecret.name", Other},
	{"Cluster", "spec.bootstrap.initdb.secret.name", Other},
	{"Cluster", "spec.bootstrap.recovery.secret.name", Other},
	{"Cluster", "spec.managed.roles.passwordSecret.name", Other},
	{"Cluster", "spec.imagePullSecrets.name", Pull},
	{"Cluster", "spec.backup.barmanObjectStore.s3Credentials.accessKeyId.name", Other},
	{"Cluster", "spec.backup.barmanObjectStore.s3Credentials.secretAccessKey.name", Other},

	// https://fluxcd.io/flux/components/
	{"HelmRelease", "spec.valuesFrom.name", Other},
	{"HelmRelease", "spec.kubeConfig.secretRef.name", Other},
	{"Kustomization", "spec.decryption.secretRef.name", Other},
	{"GitRepository", "spec.secretRef.name", Other},
	{"HelmRepository", "spec.secretRef.name", Other},
	{"OCIRepository", "spec.secretRef.name", Other},
	{"Bucket", "spec.secretRef.name", Other},
}

// selectorGroups are the groups of API in which every {name, key} that is not that of
// a ConfigMap asks for a key of a Secret
// (https://prometheus-operator.dev/docs/api-reference/api/).
var selectorGroups = []string{"monitoring.coreos.com"}

// makers are the kinds that make a Secret, and the field of its name; metadata.name
// where that is empty.
var makers = map[string]string{
	"Secret": "", "SealedSecret": "", "ExternalSecret": "spec.target.name", "Certificate": "spec.secretName", "VaultStaticSecret": "spec.destination.name",
}

// object finds the references of an object, which stands in depth lists.
func (r *reader) object(o object, depth int) {
	root := real(o.root)
	if root == nil || root.Kind != yaml.MappingNode || depth > maxDepth {
		return
	}
	if kind := field(root, "kind").text(); strings.HasSuffix(kind, "List") && field(root, "items").Node != nil {
		for i, item := range field(root, "items").items() {
			r.object(object{root: item, at: func(path []string, n *yaml.Node) plan.Pos {
				return o.at(append([]string{"items", strconv.Itoa(i)}, path...), n)
			}}, depth+1)
		}
		return
	}
	kind, meta := field(root, "kind").text(), field(root, "metadata").Node
	if kind == "" {
		return
	}
	r.set.Objects++
	name, namespace := field(meta, "name").text(), field(meta, "namespace").text()
	f := &finder{reader: r, o: o, kind: kind, what: shown(kind) + " " + shown(name), namespace: namespace, workload: -1}
	if path, makes := makers[kind]; makes {
		made := name
		if path != "" {
			for _, n := range values(root, strings.Split(path, "."), nil) {
				made = n.node.Value
			}
		}
		r.set.made = append(r.set.made, secret{namespace, made})
	}
	if kind == "Secret" || kind == "ConfigMap" || kind == "CustomResourceDefinition" {
		return
	}
	for _, p := range r.table {
		if p.kind == kind {
			f.path(p)
		}
	}
	group, _, _ := strings.Cut(field(root, "apiVersion").text(), "/")
	f.selectors = slices.Contains(selectorGroups, group)
	f.walk(root, nil, "")
}

const notRendered = "render it first: helm template ... | victorgen vet ENV --workloads -"

// finder looks through one object.
type finder struct {
	*reader
	o         object
	kind      string
	what      string
	namespace string
	selectors bool
	workload  int // in Set.workloads, while its template of a pod is looked at; -1 is none
}

func (f *finder) add(ref Reference, n *yaml.Node, path []string) {
	if n == nil || n.Kind != yaml.ScalarNode || ref.Secret == "" {
		return
	}
	ref.Object, ref.Pos, ref.workload = f.what, f.o.at(path, n), f.workload
	switch name := ref.Secret + ref.Key; {
	case strings.Contains(name, "{{"):
		f.ds.Errorf(plan.CodeWorkloadRead, []plan.Pos{ref.Pos}, notRendered, "a Helm template is used as a name")
		return
	case strings.Contains(name, "${"), strings.Contains(name, "$("):
		f.ds.Errorf(plan.CodeWorkloadRead, []plan.Pos{ref.Pos}, "substitute it first: envsubst < FILE | victorgen vet ENV --workloads -", "a variable is used as a name")
		return
	case !isText(n):
		f.ds.Errorf(plan.CodeWorkloadRead, []plan.Pos{ref.Pos}, "put it in quotes", "a boolean or a number is used as a name")
		return
	}
	if ref.Namespace == "" {
		ref.Namespace = f.namespace
	}
	f.set.References = append(f.set.References, ref)
}

// found is a value and the path to it.
type found struct {
	node, parent *yaml.Node
	path         []string
}

// values returns the values at a path of fields below n, through lists.
func values(n *yaml.Node, fields, path []string) []found {
	if len(path) > maxDepth {
		return nil
	}
	if n = real(n); n == nil {
		return nil
	}
	if n.Kind == yaml.SequenceNode {
		var all []found
		for i, item := range n.Content {
			all = append(all, values(item, fields, join(path, strconv.Itoa(i)))...)
		}
		return all
	}
	v := field(n, fields[0])
	switch {
	case v.Node == nil:
		return nil
	case len(fields) > 1:
		return values(v.Node, fields[1:], join(path, fields[0]))
	case v.Kind == yaml.SequenceNode:
		var all []found
		for i, item := range v.items() {
			all = append(all, found{item, n, join(path, fields[0], strconv.Itoa(i))})
		}
		return all
	}
	return []found{{v.Node, n, join(path, fields[0])}}
}

func join(path []string, more ...string) []string {
	return append(path[:len(path):len(path)], more...)
}

// path finds what the table says of a kind.
func (f *finder) path(p place) {
	for _, v := range values(f.o.root, strings.Split(p.path, "."), nil) {
		// A reference that says what kind of object it is to may be to another.
		if kind := field(v.parent, "kind").text(); kind != "" && kind != "Secret" {
			continue
		}
		ref := Reference{Where: p.path, Use: p.use, Secret: v.node.Value, Namespace: field(v.parent, "namespace").text(), Optional: field(v.parent, "optional").isTrue()}
		for _, name := range []string{"key", "valuesKey"} {
			if key := field(v.parent, name); key.text() != "" {
				ref.Key = key.text()
			}
		}
		f.add(ref, v.node, v.path)
	}
}

// walk looks for what has the shape of a pod's specification, and for selectors of
// keys where the group of the object has them.
func (f *finder) walk(n *yaml.Node, path []string, name string) {
	if len(path) > maxDepth {
		return
	}
	switch n = real(n); {
	case n == nil:
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			f.walk(item, join(path, strconv.Itoa(i)), name)
		}
	case n.Kind == yaml.MappingNode:
		if i := slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c.Kind == yaml.MappingNode && c.Style&yaml.FlowStyle != 0 }); i >= 0 && i%2 == 0 {
			f.ds.Errorf(plan.CodeWorkloadRead, []plan.Pos{f.o.at(path, n)}, notRendered, "a Helm template is used as a value") // {{ x }} is a map whose name is one
			return
		}
		if isPod(n) {
			if slices.Equal(path, templatePath) && f.kind != "Job" {
				f.workload = len(f.set.workloads)
				f.set.workloads = append(f.set.workloads, f.consumer())
			}
			f.pod(n, path)
			f.workload = -1
		}
		if f.selectors && name != "configMap" && name != "configMapKeyRef" && name != "secretKeyRef" {
			if secret, key := field(n, "name"), field(n, "key"); secret.text() != "" && key.text() != "" {
				f.add(Reference{Where: strings.Join(fieldsOf(path), "."), Use: Other, Secret: secret.text(), Key: key.text(), Optional: field(n, "optional").isTrue()}, key.Node, join(path, "key"))
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.walk(n.Content[i+1], join(path, n.Content[i].Value), n.Content[i].Value)
		}
	}
}

// templatePath is where what can be restarted has its pod: a new template makes new
// pods. A Job and a CronJob have new pods with each run.
var templatePath = []string{"spec", "template", "spec"}

// consumer is the object as a workload that can be restarted.
func (f *finder) consumer() plan.Consumer {
	root := real(f.o.root)
	c := plan.Consumer{APIVersion: field(root, "apiVersion").text(), Kind: f.kind, Namespace: f.namespace, Name: field(field(root, "metadata").Node, "name").text()}
	if f.o.was != nil {
		c.Name, c.Namespace = f.o.was()
	}
	return c
}

// fieldsOf is a path without the indices of lists.
func fieldsOf(path []string) []string {
	return slices.DeleteFunc(slices.Clone(path), func(step string) bool {
		_, err := strconv.Atoi(step)
		return err == nil
	})
}

// isPod reports whether n has the shape of a pod's specification: a list of
// containers, each with a name.
func isPod(n *yaml.Node) bool {
	items := field(n, "containers").items()
	return len(items) > 0 && !slices.ContainsFunc(items, func(c *yaml.Node) bool { return field(c, "name").text() == "" })
}

// pod finds the references of a pod's specification.
func (f *finder) pod(n *yaml.Node, path []string) {
	bySubPath := map[string]bool{} // volumes
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for i, c := range field(n, list).items() {
			at := join(path, list, strconv.Itoa(i))
			container := "container " + shown(field(c, "name").text())
			for j, v := range field(c, "env").items() {
				ref := field(field(v, "valueFrom").Node, "secretKeyRef").Node
				key := field(ref, "key")
				f.add(Reference{Where: container + ", variable " + variable(field(v, "name").text()), Use: Variable, Secret: field(ref, "name").text(), Key: key.text(), Optional: field(ref, "optional").isTrue()},
					key.Node, join(at, "env", strconv.Itoa(j), "valueFrom", "secretKeyRef", "key"))
			}
			for j, v := range field(c, "envFrom").items() {
				ref := field(v, "secretRef").Node
				name := field(ref, "name")
				f.add(Reference{Where: container + ", envFrom", Use: Variables, Secret: name.text(), Optional: field(ref, "optional").isTrue()},
					name.Node, join(at, "envFrom", strconv.Itoa(j), "secretRef", "name"))
			}
			for _, m := range field(c, "volumeMounts").items() {
				if field(m, "subPath").text() != "" || field(m, "subPathExpr").text() != "" {
					bySubPath[field(m, "name").text()] = true
				}
			}
		}
	}
	for i, v := range field(n, "volumes").items() {
		at := join(path, "volumes", strconv.Itoa(i))
		volume := field(v, "name").text()
		where := "volume " + shown(volume)
		if s := field(v, "secret").Node; s != nil {
			f.files(s, "secretName", where, bySubPath[volume], join(at, "secret"))
		}
		for j, source := range field(field(v, "projected").Node, "sources").items() {
			if s := field(source, "secret").Node; s != nil {
				f.files(s, "name", where, bySubPath[volume], join(at, "projected", "sources", strconv.Itoa(j), "secret"))
			}
		}
		// The drivers of volumes have the name of theirs in one of these.
		for _, kind := range []string{"csi", "azureFile", "cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"} {
			driver := field(v, kind).Node
			for _, ref := range []string{"nodePublishSecretRef", "secretRef"} {
				name := field(field(driver, ref).Node, "name")
				f.add(Reference{Where: where, Use: Other, Secret: name.text()}, name.Node, join(at, kind, ref, "name"))
			}
			name := field(driver, "secretName")
			f.add(Reference{Where: where, Use: Other, Secret: name.text()}, name.Node, join(at, kind, "secretName"))
		}
	}
	for i, s := range field(n, "imagePullSecrets").items() {
		name := field(s, "name")
		f.add(Reference{Where: "imagePullSecrets", Use: Pull, Secret: name.text()}, name.Node, join(path, "imagePullSecrets", strconv.Itoa(i), "name"))
	}
}

// files finds the references of a volume of a Secret.
func (f *finder) files(s *yaml.Node, nameField, where string, subPath bool, path []string) {
	name := field(s, nameField)
	ref := Reference{Where: where, Use: Volume, Secret: name.text(), Optional: field(s, "optional").isTrue(), SubPath: subPath}
	items := field(s, "items").items()
	if len(items) == 0 {
		f.add(ref, name.Node, join(path, nameField))
	}
	for i, item := range items {
		key := field(item, "key")
		ref.Key = key.text()
		f.add(ref, key.Node, join(path, "items", strconv.Itoa(i), "key"))
	}
}

// variable is the name of an environment variable as messages have it.
func variable(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) || len(name) > 128 {
		return "[not shown]"
	}
	return name
}
