package emit

import (
	"crypto/rsa"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestOverlays has kustomize build overlays of a tree, unseals what comes out
// with the code of the controller, and expects a warning where that fails.
func TestOverlays(t *testing.T) {
	t.Parallel()
	p := testPlan(t, certFile(t, 0))
	tree, _ := mustEmit(t, p, testValues(), nil, at(day))
	private, _ := testKeys[0]()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "deploy", "production")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tree.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for i, field := range []string{"", "namePrefix: eu-", "nameSuffix: -v2", "namespace: victor", "namespace: other"} {
		overlay := filepath.Join(root, "overlays", fmt.Sprint(i))
		if err := os.MkdirAll(overlay, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(overlay, KustomizationFile)
		if err := os.WriteFile(file, []byte("resources: [../../deploy/production]\n"+field), 0o644); err != nil {
			t.Fatal(err)
		}
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
		if err != nil {
			t.Fatal(err)
		}
		var broken []string
		for _, resource := range built.Resources() {
			var ss v1alpha1.SealedSecret
			if err := yaml.Unmarshal([]byte(resource.MustYaml()), &ss); err != nil {
				t.Fatal(err)
			}
			if _, err := ss.Unseal(serializer.CodecFactory{}, map[string]*rsa.PrivateKey{"": private}); err != nil {
				broken = append(broken, ss.Spec.Template.Name) // which kustomize leaves alone
			}
		}
		var want []plan.Pos
		if len(broken) > 0 {
			want = []plan.Pos{{File: file, Line: 2, Column: 1}}
		}
		var got []plan.Pos
		for _, d := range FindOverlays(root).Check(p, dir) {
			if d.Pos[0].File == file {
				got = append(got, d.Pos...)
				if !strings.Contains(d.Message, "s "+plan.And(broken)+" of ") {
					t.Errorf("%s: %s do not unseal: %s", field, plan.And(broken), d.Message)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q, with which %v do not unseal (-want +got)\n%s", field, broken, diff)
		}
	}
}
