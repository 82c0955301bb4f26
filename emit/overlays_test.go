package emit

import (
	"crypto/rsa"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"

	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// builtTree writes a tree with a Role and alerts into a Git work tree, in which the
// module is a directory, and returns the work tree, the module and the tree.
func builtTree(t *testing.T) (p *plan.Plan, repo, module, dir string) {
	t.Helper()
	p = alerting(testPlan(t, emittest.CertFile(t, 0)))
	p.Readers = []plan.Reader{{Kind: "Group", Name: "sre"}}
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	repo, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	module = filepath.Join(repo, "secrets")
	dir = filepath.Join(module, "deploy", "production")
	for _, d := range []string{filepath.Join(repo, ".git"), filepath.Dir(dir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := built.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return p, repo, module, dir
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// transformer is a builtin one as a file or inline.
const transformer = "apiVersion: builtin\nkind: PrefixSuffixTransformer\nmetadata: {name: p}\nprefix: yy-\nfieldSpecs: [{path: metadata/name}]\n"

const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"

// TestOverlays has kustomize build overlays of a tree, unseals what comes out
// with the code of the controller, and expects a warning where that fails, at the
// line of the field that did it.
func TestOverlays(t *testing.T) {
	t.Parallel()
	p, repo, module, dir := builtTree(t)
	private, _ := emittest.Keys[0]()
	for name, c := range map[string]struct {
		text  string // after the resources
		line  int    // where the warning must be, if any
		files map[string]string
	}{
		"nothing":             {"", 0, nil},
		"namePrefix":          {"namePrefix: eu-", 2, nil},
		"nameSuffix":          {"nameSuffix: -v2", 2, nil},
		"namespace":           {"namespace: other", 2, nil},
		"the same namespace":  {"namespace: victor", 0, nil},
		"labels":              {"labels: [{pairs: {team: x}, includeSelectors: true}]", 0, nil},
		"commonAnnotations":   {"commonAnnotations: {sealedsecrets.bitnami.com/cluster-wide: \"true\"}", 2, nil},
		"harmless annotation": {"commonAnnotations: {docs: \"https://wiki.example/secrets\"}", 0, nil},
		"component":           {"components: [../comp]", 2, map[string]string{"../comp/kustomization.yaml": component + "nameSuffix: -c"}},
		"harmless component":  {"components: [../fine]", 0, map[string]string{"../fine/kustomization.yaml": component + "commonLabels: {a: b}"}},
		"JSON patch":          {`patches: [{target: {kind: SealedSecret, name: app}, patch: '[{"op": "replace", "path": "/metadata/name", "value": "zz"}]'}]`, 2, nil},
		"patch of namespace":  {`patches: [{target: {kind: SealedSecret, name: app}, patch: '[{"op": "replace", "path": "/metadata/namespace", "value": "zz"}]'}]`, 2, nil},
		"patch of scope":      {"patches: [{path: p.yaml}]", 2, map[string]string{"p.yaml": "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: wide, namespace: victor, annotations: {sealedsecrets.bitnami.com/namespace-wide: null}}\n"}},
		"patch of a label":    {`patches: [{target: {kind: SealedSecret}, patch: '[{"op": "add", "path": "/metadata/labels/x", "value": "y"}]'}]`, 0, nil},
		"old patches":         {`patchesJson6902: [{target: {group: bitnami.com, version: v1alpha1, kind: SealedSecret, name: app}, patch: '[{"op": "replace", "path": "/metadata/name", "value": "zz"}]'}]`, 2, nil},
		"transformer":         {"transformers: [t.yaml]", 2, map[string]string{"t.yaml": transformer}},
		"inline transformer":  {"transformers:\n- |\n  " + strings.ReplaceAll(strings.TrimSpace(transformer), "\n", "\n  "), 2, nil},
		"replacement": {"replacements: [{source: {kind: Role, fieldPath: metadata.name}, targets: [{select: {kind: SealedSecret, name: app}, fieldPaths: [metadata.name]}]}]",
			2, nil},
		"a patch that takes a secret out": {"patches: [{patch: '{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: app, namespace: victor}, $patch: delete}'}]", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			overlay := filepath.Join(repo, "overlays", strings.ReplaceAll(name, " ", "-"))
			file := filepath.Join(overlay, tree.KustomizationFile)
			writeFiles(t, overlay, c.files)
			writeFiles(t, overlay, map[string]string{tree.KustomizationFile: "resources: [../../secrets/deploy/production]\n" + c.text})
			options := krusty.MakeDefaultOptions()
			built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), overlay)
			if err != nil {
				t.Fatal(err)
			}
			var broken []string
			for _, resource := range built.Resources() {
				if resource.GetKind() != shape.SealedSecretKind {
					continue
				}
				var ss v1alpha1.SealedSecret
				if err := yaml.Unmarshal([]byte(resource.MustYaml()), &ss); err != nil {
					t.Fatal(err)
				}
				if _, err := ss.Unseal(serializer.CodecFactory{}, map[string]*rsa.PrivateKey{"": private}); err != nil {
					broken = append(broken, ss.Spec.Template.Name) // which kustomize leaves alone
				}
			}
			if (len(broken) > 0) != (c.line > 0) {
				t.Fatalf("%v do not unseal", broken)
			}
			told := map[string]bool{}
			for _, d := range FindOverlays(module).Check(t.Context(), p, dir) {
				if d.Pos[0].File != file || !strings.HasSuffix(d.Message, "does not unseal") {
					continue
				}
				if d.Code != plan.CodeOverlay || d.Pos[0].Line != c.line {
					t.Errorf("%v", d)
				}
				for _, name := range []string{"app", "cluster", "wide"} {
					if strings.Contains(d.Message, " "+name+" ") || strings.Contains(d.Message, " "+name+",") {
						told[name] = true
					}
				}
			}
			slices.Sort(broken)
			if diff := cmp.Diff(broken, slices.Sorted(maps.Keys(told))); diff != "" {
				t.Errorf("what does not unseal (-) is not what is told (+)\n%s", diff)
			}
		})
	}
}

// overlayMessages are what Check says, without the file that it says it of.
func overlayMessages(t *testing.T, p *plan.Plan, module, dir string) []string {
	t.Helper()
	var all []string
	for _, d := range FindOverlays(module).Check(t.Context(), p, dir) {
		rel, err := filepath.Rel(module, d.Pos[0].File)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s:%d: %s: %s", rel, d.Pos[0].Line, d.Code, d.Message))
	}
	return all
}

// TestOverlaysOfNames: the Role and the alerts must still name the Secrets, a base
// is not told of twice, and something else that makes a Secret is.
func TestOverlaysOfNames(t *testing.T) {
	t.Parallel()
	const include = "resources: [../secrets/deploy/production]\n"
	sealed := "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: app, namespace: victor}\nspec: {encryptedData: {a: AgB}}\n"
	for name, c := range map[string]struct {
		files map[string]string // in the work tree
		want  []string
	}{
		"the name of one that unseals under any": {
			map[string]string{"over/kustomization.yaml": include + `patches: [{target: {kind: SealedSecret, name: cluster}, patch: '[{"op": "replace", "path": "/metadata/name", "value": "zz"}]'}]`},
			[]string{
				`../over/kustomization.yaml:2: VG4007: what patches says leaves the Role of environment "production" without the Secret victor/zz, so its readers can't read it`,
				`../over/kustomization.yaml:2: VG4007: what patches says leaves the alerts of environment "production" without the Secret victor/zz: they watch another name, and fire`,
			},
		},
		"the Role": {
			map[string]string{"over/kustomization.yaml": include + `patches: [{target: {kind: Role}, patch: '[{"op": "replace", "path": "/rules/0/resourceNames", "value": ["app", "wide"]}]'}]`},
			[]string{`../over/kustomization.yaml:2: VG4007: what patches says leaves the Role of environment "production" without the Secret victor/cluster, so its readers can't read it`},
		},
		"the name of the Role": {
			map[string]string{"over/kustomization.yaml": include + `patches: [{target: {kind: RoleBinding}, patch: '[{"op": "replace", "path": "/roleRef/name", "value": "other"}]'}]`},
			[]string{`../over/kustomization.yaml:2: VG4007: what patches says leaves the RoleBinding of environment "production" without its Role, so its readers can read nothing`},
		},
		"who includes one that renames": {
			map[string]string{
				"over/kustomization.yaml":        "bases: [../secrets/deploy/production]\nnameSuffix: -v2\npatches: [{target: {kind: PrometheusRule}, patch: '{$patch: delete, apiVersion: v1, kind: x, metadata: {name: x}}'}, {target: {kind: Role}, patch: '{$patch: delete, apiVersion: v1, kind: x, metadata: {name: x}}'}]",
				"top/eu/kustomization.yaml":      "resources: [../../over]\nlabels: [{pairs: {a: b}}]",
				"unrelated/kustomization.yaml":   "resources: [../secrets/deploy/productions]\nnamePrefix: x-",
				"a/node_modules/x/Kustomization": "resources: [../../../secrets/deploy/production]\nnamePrefix: x-",
			},
			[]string{`../over/kustomization.yaml:2: VG4007: nameSuffix "-v2" renames app of environment "production": what is sealed for another name does not unseal`},
		},
		"what is remote is left out": {
			map[string]string{"over/kustomization.yaml": "namePrefix: x-\nresources:\n- ../secrets/deploy/production/secrets/app.yaml\n- https://user:Quartz7@example.com/base?ref=v1\n- github.com/org/repo\ntransformers: ['{apiVersion: builtin, kind: PatchTransformer, metadata: {name: x},\n path: \"https://example.com\"}']\nhelmCharts: [{name: x}]\nopenapi: {path: nowhere.json}\n"},
			[]string{
				`../over/kustomization.yaml:1: VG4007: namePrefix "x-" renames app of environment "production": what is sealed for another name does not unseal`,
				`../over/kustomization.yaml:2: VG4013: this kustomization includes environment "production", and vet does not check helmCharts, remote "https://example.com/base", remote "github.com/org/repo" and something remote in transformers: it uses no network and runs no other program`,
			},
		},
		"what can't be rendered does not stop the rest": {
			map[string]string{
				"a/kustomization.yaml": include + "namePrefix: [",
				"b/kustomization.yaml": "resources: [../secrets/deploy/production, gone.yaml]",
				"c/kustomization.yaml": include + "patches: [{path: ../../outside.yaml}]",
				"d/kustomization.yaml": include + "transformers: [t.yaml]",
				"d/t.yaml":             "apiVersion: \"b\\u0075iltin\"\nkind: PatchTransformer\nmetadata: {name: x}\npath: https://example.com/x\n",
				"e/kustomization.yaml": include + "secretGenerator: [{name: x, literals: [a=Quartz7-lantern-Brine], options: 3}]",
				"f/kustomization.yaml": include + "nameSuffix: -f\npatches: [{target: {kind: (, name: app}, patch: 'Quartz7-lantern-Brine'}]",
				"g/kustomization.yaml": include + "nameSuffix: -g\n",
				"h/kustomization.yaml": "resources: [../secrets/deploy/production, ../h]",
				"other/Kustomization":  "{{ .Values }}: x: y",
			},
			[]string{
				`../a/kustomization.yaml:1: VG4013: this kustomization can't be read, so whether it includes the tree of environment "production", and what it changes, is not known`,
				`../b/kustomization.yaml:1: VG4013: what this kustomization makes of environment "production" is not known: it needs gone.yaml, which does not exist`,
				`../c/kustomization.yaml:1: VG4013: what this kustomization makes of environment "production" is not known: it reads outside.yaml, which is outside of the repository`,
				`../d/kustomization.yaml:1: VG4013: what this kustomization makes of environment "production" is not known: t.yaml configures a transformer or generator that fetches something`,
				`../e/kustomization.yaml:1: VG4013: this kustomization can't be read, so whether it includes the tree of environment "production", and what it changes, is not known`,
				`../f/kustomization.yaml:1: VG4013: what this kustomization makes of environment "production" is not known: kustomize can't render it`,
				`../g/kustomization.yaml:2: VG4007: nameSuffix "-g" leaves the Role of environment "production" without the Secret victor/cluster-g and victor/wide-g, so its readers can't read it`,
				`../g/kustomization.yaml:2: VG4007: nameSuffix "-g" leaves the alerts of environment "production" without the Secret victor/cluster-g and victor/wide-g: they watch another name, and fire`,
				`../g/kustomization.yaml:2: VG4007: nameSuffix "-g" renames app of environment "production": what is sealed for another name does not unseal`,
				`../h/kustomization.yaml:1: VG4013: what this kustomization makes of environment "production" is not known: kustomize can't render it`,
			},
		},
		"an old one in the kustomization": {
			map[string]string{
				"over/kustomization.yaml": "resources: [../secrets/deploy/production, old.yaml]",
				"over/old.yaml":           sealed,
				"more/kustomization.yaml": include + "namespace: victor\nsecretGenerator: [{name: wide, literals: [a=Quartz7-lantern-Brine], options: {disableNameSuffixHash: true}}]",
			},
			[]string{
				`../more/kustomization.yaml:1: VG4012: this kustomization makes Secret victor/wide, and so does environment "production": each overwrites the other, or fails`,
				`../over/kustomization.yaml:1: VG4013: what this kustomization makes of environment "production" is not known: kustomize refuses two objects SealedSecret.v1alpha1.bitnami.com/app.victor`,
			},
		},
		"an old one beside the tree": {
			map[string]string{
				"secrets/k8s/all.yaml":                  "kind: ConfigMap\n---\n" + sealed,
				"secrets/deploy/production/mine.yaml":   "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: x}\nspec: {target: {name: wide}}\n",
				"secrets/k8s/staging/app.yaml":          sealed,
				"secrets/k8s/staging.yaml":              sealed,
				"secrets/k8s/elsewhere.yaml":            strings.Replace(sealed, "victor", "other", 1),
				"secrets/k8s/chart.yaml":                "{{ if }}\nkind: Secret",
				"secrets/deploy/staging/victorgen.lock": strings.Replace(string(mustLock(t)), `"production"`, `"staging"`, 1),
				"secrets/k8s/copy.yaml":                 tree.Header + sealed,
				"secrets/old/secrets/app.yaml":          tree.Header + sealed,
				"secrets/old/victorgen.lock":            string((&tree.Lock{Version: tree.LockVersion, Environment: "old", Files: []string{"secrets/app.yaml"}}).Marshal()),
				"k8s/app.yaml":                          sealed, // which is someone else's as far as we know
			},
			[]string{
				`deploy/production/mine.yaml:1: VG4012: this ExternalSecret makes Secret victor/wide, and so does environment "production": each overwrites the other, or fails`,
				`k8s/all.yaml:3: VG4012: this SealedSecret makes Secret victor/app, and so does environment "production": each overwrites the other, or fails`,
				`k8s/copy.yaml:2: VG4012: this SealedSecret makes Secret victor/app, and so does environment "production": each overwrites the other, or fails`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, repo, module, dir := builtTree(t)
			writeFiles(t, repo, c.files)
			writeFiles(t, filepath.Dir(repo), map[string]string{"outside.yaml": "x"})
			if diff := cmp.Diff(c.want, overlayMessages(t, p, module, dir)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// mustLock is the lock of a tree.
func mustLock(t *testing.T) []byte {
	t.Helper()
	built, _ := mustEmit(t, testPlan(t, emittest.CertFile(t, 0)), testValues(), nil, at(day))
	return built.Files[tree.LockFile]
}

// TestOverlayBounds: what would take forever does not, and what is outside of the
// work tree, or a pipe, is not read.
func TestOverlayBounds(t *testing.T) {
	t.Parallel()
	p, repo, module, dir := builtTree(t)
	files := map[string]string{"n0/kustomization.yaml": "resources: [../secrets/deploy/production]"}
	for i := 1; i < 30; i++ { // 2^30 inclusions
		files[fmt.Sprintf("n%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../n%d, ../m%d]", i-1, i-1)
		files[fmt.Sprintf("m%d/kustomization.yaml", i-1)] = fmt.Sprintf("resources: [../n%d]\nnameSuffix: -x", i-1)
	}
	writeFiles(t, repo, files)
	start := time.Now()
	if got := overlayMessages(t, p, module, dir); len(got) == 0 {
		t.Error("nothing is told")
	}
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}
