package offline

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
)

// originAnnotation is what kustomize calls it, in a package of its own.
const originAnnotation = "config.kubernetes.io/origin"

// Plain returns what kustomize builds of a kustomization that lists manifests and says
// nothing else, as most do: the same objects, by kustomize's own readers. It does not
// read the defaults of transformers, and it looks for no references to names that have
// changed, which is most of what a build of a few objects takes. The text is that of
// the kustomization, and read returns a file that it names. With origins, each object
// says which, as [Options] has it.
//
// Ok is false if the kustomization says more, if there are objects in which kustomize may
// change a reference though no name has changed, or if something is wrong: then
// kustomize itself is to be asked. (What no API server would take, such as a
// serviceAccountName that is a map, kustomize refuses only while it looks for references.)
func Plain(text []byte, origins bool, read func(name string) ([]byte, error)) (m resmap.ResMap, ok bool) {
	var k types.Kustomization
	if k.Unmarshal(text) != nil {
		return nil, false
	}
	k.FixKustomization()
	resources := k.Resources
	k.Resources = nil
	if len(resources) == 0 || !reflect.DeepEqual(k, types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}}) {
		return nil, false
	}
	factory := resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())
	m = resmap.New()
	for _, name := range resources {
		text, err := read(name)
		if err != nil {
			return nil, false
		}
		objects, err := objectsOf(factory, text)
		if err != nil {
			return nil, false
		}
		if origins {
			origin, err := (&resource.Origin{}).Append(name).String()
			if err != nil || objects.AnnotateAll(originAnnotation, origin) != nil {
				return nil, false
			}
		}
		if m.AppendAll(objects) != nil {
			return nil, false
		}
	}
	for _, r := range m.Resources() {
		if !slices.Contains(plainKinds[r.GetApiVersion()], r.GetKind()) {
			return nil, false
		}
		for name := range r.GetAnnotations() { // in which an object may ask for more
			if name == konfig.IgnoredByKustomizeAnnotation || strings.HasPrefix(name, konfig.ConfigAnnoDomain+"/") {
				return nil, false
			}
		}
	}
	m.RemoveBuildAnnotations()
	if m.RemoveTransformerAnnotations() != nil || !origins && m.RemoveOriginAnnotations() != nil {
		return nil, false
	}
	return m, true
}

// objectsOf reads a manifest. Kustomize copies each map of it, to see whether others are
// to be merged into it; where there is no anchor, alias, merge or tag in the text, there
// are none.
func objectsOf(factory *resmap.Factory, text []byte) (resmap.ResMap, error) {
	if bytes.ContainsAny(text, "&*!") || bytes.Contains(text, []byte("<<")) {
		return factory.NewResMapFromBytes(text)
	}
	nodes, err := (&kio.ByteReader{Reader: bytes.NewReader(text), OmitReaderAnnotations: true}).Read()
	if err != nil {
		return nil, err
	}
	for _, n := range nodes { // by which the two readers of resources differ
		meta, err := n.GetValidatedMetadata()
		if _, local := meta.Annotations[konfig.IgnoredByKustomizeAnnotation]; err != nil || local {
			return factory.NewResMapFromBytes(text)
		}
	}
	return factory.NewResMapFromRNodeSlice(nodes)
}

// plainKinds are the kinds of objects, by their apiVersions, in which a reference is a
// name, or there is none. In a RoleBinding, for one, it is a name and a namespace, and
// kustomize may add the namespace:
// https://github.com/kubernetes-sigs/kustomize/blob/api/v0.21.2/api/internal/konfig/builtinpluginconsts/namereference.go
var plainKinds = map[string][]string{
	"v1":                       {"ConfigMap", "Namespace", "Pod", "Secret", "Service", "ServiceAccount"},
	"apps/v1":                  {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"},
	"batch/v1":                 {"CronJob", "Job"},
	"bitnami.com/v1alpha1":     {"SealedSecret"},
	"external-secrets.io/v1":   {"ClusterSecretStore", "ExternalSecret", "SecretStore"},
	"monitoring.coreos.com/v1": {"PrometheusRule"},
}

// plain is Plain for the kustomization in dir.
func (f *fence) plain(dir string) (resmap.ResMap, bool) {
	var text []byte
	found := 0
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if t, err := f.read(filepath.Join(dir, name)); err == nil {
			text, found = t, found+1
		}
	}
	if found != 1 {
		return nil, false
	}
	return Plain(text, f.options.Origins, func(name string) ([]byte, error) {
		if filepath.IsAbs(name) {
			return nil, errFence
		}
		return f.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	})
}
