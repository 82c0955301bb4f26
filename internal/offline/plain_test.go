package offline

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// built is what kustomize makes of the files of a directory.
func built(t *testing.T, files map[string]string) (text string, err error) {
	t.Helper()
	fsys := filesys.MakeFsInMemory()
	for name, text := range files {
		if err := fsys.WriteFile(filepath.Join("/dir", name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "/dir")
	if err != nil {
		return "", err
	}
	y, err := m.AsYaml()
	return string(y), err
}

// plain is what Plain makes of them.
func plain(files map[string]string) (text string, ok bool) {
	kustomization, origins := strings.CutSuffix(files["kustomization.yaml"], "buildMetadata: [originAnnotations]\n")
	m, ok := Plain([]byte(kustomization), origins, func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	})
	if !ok {
		return "", false
	}
	y, err := m.AsYaml()
	return string(y), err == nil
}

const (
	aSecret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: apps\ndata: {key: dmFsdWU=} # as text\n"
	aDeploy = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n" +
		"      serviceAccountName: api\n      containers:\n        - name: api\n          image: api:1\n          envFrom: [{secretRef: {name: db}}]\n          args: [\"$(KEY)\", '007', 1e3, ~, on]\n"
	aBinding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: r, namespace: apps}\n" +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: api}, {kind: ServiceAccount, name: other, namespace: else}]\n"
	anAccount = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: api, namespace: apps}\n"
)

// TestPlain: what is plain is as kustomize builds it, to the byte, and what is not is
// left to it.
func TestPlain(t *testing.T) {
	t.Parallel()
	list := "resources: [a.yaml, b.yaml]\n"
	tests := map[string]struct {
		kustomization, a, b string
		plain               bool
	}{
		"two files":             {list, aSecret, aDeploy, true},
		"a kind and a version":  {"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + list, aSecret, aDeploy, true},
		"as bases":              {"bases: [a.yaml]\nresources: [b.yaml]\n", aSecret, aDeploy, true},
		"files of many objects": {list, aSecret + "---\n" + aDeploy + "---\n# nothing\n---\n", anAccount, true},
		"references":            {list, anAccount, aDeploy + "---\n" + aSecret, true},
		"origins":               {list + "buildMetadata: [originAnnotations]\n", aSecret, aDeploy, true},
		"origins of its own":    {list, strings.Replace(aSecret, "metadata:\n", "metadata:\n  annotations: {config.kubernetes.io/origin: 'path: x'}\n", 1), aDeploy, true},
		"a list":                {list, "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: y}}\n", aDeploy, true},
		"anchors":               {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &n x, labels: {app: *n}}\n", aDeploy, true},
		"a merge":               {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {<<: {app: x}, tier: web}}\n", aDeploy, true},
		"a merge by its tag":    {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {!!merge k: {app: x}, tier: web}}\n", aDeploy, true},
		"a hole in a list":      {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nbinaryData: [a, null]\n", aDeploy, true},
		"JSON":                  {list, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}`, aDeploy, true},
		"a generated name":      {list, "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: x-}\n", aDeploy, false},
		"a comment for tools":   {list, aSecret, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x} # {\"$openapi\":\"replicas\"}\n", true},

		"a binding":              {list, anAccount + "---\n" + aBinding, aDeploy + "---\n" + aSecret, false},
		"another kind of object": {list, aSecret, "apiVersion: x.example/v1\nkind: X\nmetadata: {name: x}\n", false},
		"an object twice":        {list, aSecret, aSecret, false},
		"twice in a file":        {list, aSecret + "---\n" + aSecret, aDeploy, false},
		"a namespace":            {list + "namespace: other\n", aSecret, aDeploy, false},
		"a prefix":               {list + "namePrefix: x-\n", aSecret, aDeploy, false},
		"a patch":                {list + "patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: apps}, type: x}'}]\n", aSecret, aDeploy, false},
		"labels":                 {list + "labels: [{pairs: {a: b}}]\n", aSecret, aDeploy, false},
		"a generator":            {list + "configMapGenerator: [{name: x, literals: [a=b]}]\n", aSecret, aDeploy, false},
		"an order":               {list + "sortOptions: {order: legacy}\n", aDeploy, aSecret, false},
		"more metadata":          {list + "buildMetadata: [managedByLabel]\n", aSecret, aDeploy, false},
		"an unknown field":       {list + "resource: []\n", aSecret, aDeploy, false},
		"a component":            {"apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" + list, aSecret, aDeploy, false},
		"another kind":           {"kind: Kustomize\n" + list, aSecret, aDeploy, false},
		"nothing":                {"resources: []\n", aSecret, aDeploy, false},
		"a file that is not":     {"resources: [a.yaml, c.yaml]\n", aSecret, aDeploy, false},
		"not YAML":               {list, "a: [", aDeploy, false},
		"not an object":          {list, "- a\n", aDeploy, false},
		"no name":                {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", aDeploy, false},
		"a local one":            {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {config.kubernetes.io/local-config: \"true\"}}\n", aDeploy, false},
		"a hash is asked for":    {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {internal.config.kubernetes.io/needsHashSuffix: enabled}}\n", aDeploy, false},
		"it merges":              {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {internal.config.kubernetes.io/generatorBehavior: merge}}\n", aDeploy, false},
		"a previous name":        {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {internal.config.kubernetes.io/previousNames: y, internal.config.kubernetes.io/previousKinds: ConfigMap, internal.config.kubernetes.io/previousNamespaces: default}}\n", aDeploy, false},
		"a name prefix before":   {list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {internal.config.kubernetes.io/prefixes: y}}\n", aDeploy, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"kustomization.yaml": test.kustomization, "a.yaml": test.a, "b.yaml": test.b}
			got, ok := plain(files)
			if ok != test.plain {
				t.Fatalf("plain is %v, want %v", ok, test.plain)
			}
			if want, err := built(t, files); ok && (err != nil || got != want) {
				t.Errorf("kustomize builds (%v):\n%s\nplain is:\n%s", err, want, got)
			}
		})
	}
}

// TestPlainOfExamples: the kustomizations that the examples and the gallery have are
// built the same way, and most are plain.
func TestPlainOfExamples(t *testing.T) {
	t.Parallel()
	some := 0
	for _, top := range []string{"../../examples", "../../fixtures"} {
		err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Base(file) != konfig.DefaultKustomizationFileName() {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			m, ok := Plain(text, false, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(filepath.Dir(file), name)) })
			if !ok {
				return nil
			}
			some++
			want, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Dir(file))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				return nil
			}
			a, errA := m.AsYaml()
			b, errB := want.AsYaml()
			if errA != nil || errB != nil || string(a) != string(b) {
				t.Errorf("%s is built otherwise: %v, %v", file, errA, errB)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if some < 9 {
		t.Errorf("%d are plain, want 9 at the least", some)
	}
}

// FuzzPlain compares what is plain of any two files with what kustomize builds.
func FuzzPlain(f *testing.F) {
	list := "resources: [a.yaml, b.yaml]\n"
	for _, b := range []string{aDeploy, aBinding, anAccount, aSecret, "a: [", "kind: List\nitems: [{kind: x}]\n", "<<: {apiVersion: v1}\nkind: Secret\nmetadata: {name: x}\n"} {
		f.Add(list, aSecret, b)
		f.Add(list+"buildMetadata: [originAnnotations]\n", b, aDeploy)
	}
	f.Fuzz(func(t *testing.T, kustomization, a, b string) {
		files := map[string]string{"kustomization.yaml": kustomization, "a.yaml": a, "b.yaml": b}
		if got, ok := plain(files); ok {
			want, err := built(t, files)
			if err != nil && strings.Contains(err.Error(), "updating name reference") {
				return // see Plain
			}
			if err != nil || got != want {
				t.Errorf("kustomize builds (%v):\n%s\nplain is:\n%s", err, want, got)
			}
		}
	})
}
