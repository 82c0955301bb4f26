package emit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestOperatorFunctions: the operator has all functions that a template may
// use. It has those of text/template and of sprig but for two
// (https://github.com/external-secrets/external-secrets/blob/v0.19.2/pkg/template/v2/template.go).
func TestOperatorFunctions(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	for name := range sprig.TxtFuncMap() {
		has[name] = true
	}
	for _, name := range []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice",
		"print", "printf", "println", "html", "js", "urlquery"} { // https://pkg.go.dev/text/template#hdr-Functions
		has[name] = true
	}
	delete(has, "env")
	delete(has, "expandenv")
	delete(has, "getHostByName")
	for name := range plan.Functions {
		if !has[name] {
			t.Errorf("the operator has no function %s", name)
		}
	}
}

// TestPlainTextOfExternal: the operator renders all that stands in the template of an
// ExternalSecret, and what a contract says in plain text comes out as it stands there.
func TestPlainTextOfExternal(t *testing.T) {
	t.Parallel()
	const text = `{{ .A }} }} {{"x"}} "quoted"` + "`{{`"
	literal := text
	p := &plan.Plan{
		Environment: "production", PartOf: "app", Namespace: "apps",
		Inputs:  []plan.Input{{Name: "A", Class: plan.Required, Source: "default", Remote: plan.Remote{Name: "/a"}}},
		Sources: []plan.Source{{Name: "default", Kind: plan.AWSSSM, Region: "eu-west-1", Store: plan.Store{Name: "app-default"}}},
		Secrets: []plan.Secret{{
			Name: "app", Namespace: "apps", Type: "Opaque", Keys: []plan.Key{{Name: "a", Input: "A"}, {Name: "literal", Value: &literal}},
			Annotations: map[string]string{"note": text},
			Delivery:    plan.Delivery{Kind: plan.External, CreationPolicy: "Owner", DeletionPolicy: "Retain", RefreshPolicy: "Periodic"},
		}},
	}
	built, _ := mustEmit(t, p, value.Set{"A": {State: value.Present}}, nil, at(day))
	var es esv1.ExternalSecret
	if err := yaml.UnmarshalStrict(built.Files["secrets/app.yaml"], &es); err != nil {
		t.Fatal(err)
	}
	target := es.Spec.Target.Template
	for what, got := range map[string]string{"annotation": target.Metadata.Annotations["note"], "literal": target.Data["literal"]} {
		var b strings.Builder
		tmpl, err := template.New(what).Funcs(sprig.TxtFuncMap()).Parse(got)
		if err == nil {
			err = tmpl.Execute(&b, map[string]string{"A": "Quartz7-lantern-Brine"})
		}
		if err != nil || b.String() != text {
			t.Errorf("%s: the operator makes %q of %q: %v", what, b.String(), got, err)
		}
	}
}

// TestOverlayOfExternal: an overlay that renames lets an ExternalSecret look for
// a store that is not there, and vet warns of that; one that moves does not.
func TestOverlayOfExternal(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{
		Environment: "production", PartOf: "app", Namespace: "apps",
		Inputs:  []plan.Input{{Name: "A", Class: plan.Required, Source: "default", Remote: plan.Remote{Name: "/a"}}},
		Sources: []plan.Source{{Name: "default", Kind: plan.AWSSSM, Region: "eu-west-1", Store: plan.Store{Name: "app-default"}}},
		Secrets: []plan.Secret{{
			Name: "app", Namespace: "apps", Type: "Opaque", Keys: []plan.Key{{Name: "a", Input: "A"}},
			Delivery: plan.Delivery{Kind: plan.External, Scope: plan.Strict, CreationPolicy: "Owner", DeletionPolicy: "Retain", RefreshPolicy: "Periodic"},
		}},
	}
	built, _ := mustEmit(t, p, value.Set{"A": {State: value.Present}}, nil, at(day))
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "deploy")
	if err := built.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"", "namePrefix: eu-", "nameSuffix: -v2", "namespace: other"} {
		if err := os.WriteFile(filepath.Join(root, tree.KustomizationFile), []byte("resources: [deploy]\n"+field), 0o644); err != nil {
			t.Fatal(err)
		}
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), root)
		if err != nil {
			t.Fatal(err)
		}
		stores := map[string]bool{}
		for _, r := range built.Resources() {
			if r.GetKind() == "SecretStore" {
				stores[r.GetNamespace()+"/"+r.GetName()] = true
			}
		}
		found := false
		for _, r := range built.Resources() {
			if r.GetKind() == "ExternalSecret" {
				name, err := r.GetFieldValue("spec.secretStoreRef.name")
				if err != nil {
					t.Fatal(err)
				}
				found = stores[r.GetNamespace()+"/"+fmt.Sprint(name)]
			}
		}
		if warned := len(FindOverlays(root).Check(t.Context(), p, dir)) > 0; warned == found {
			t.Errorf("%q: the store is found: %v; vet warns: %v", field, found, warned)
		}
	}
}

// TestOperatorDefaults: what is spelled out for each version of the operator.
func TestOperatorDefaults(t *testing.T) {
	t.Parallel()
	in := plan.Input{Name: "A", Class: plan.Generated, Source: "default", Remote: plan.Remote{Name: "a"},
		Generate: &plan.Generate{Kind: plan.Password, Length: 8, Alphabet: "0123456789", InCluster: true}}
	fields := func(version [3]int) (found []string) {
		p := &plan.Plan{ESOVersion: version, Inputs: []plan.Input{in}}
		look := func(documents []tree.Document, err error, path []string, field string) {
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range documents[0].At(path...) {
				if v, ok := o[field]; ok {
					found = append(found, fmt.Sprintf("%s=%v", field, v))
				}
			}
		}
		for kind, field := range map[string]string{"aws": "sessionTagsPolicy", "azurekv": "useAzureSDK", "gcpsm": "secretVersionSelectionPolicy"} {
			src := plan.Source{Name: "default", Kind: map[string]string{"aws": plan.AWSSSM, "azurekv": plan.AzureKeyVault, "gcpsm": plan.GCPSecretManager}[kind], Project: "p"}
			p.Sources = []plan.Source{src}
			documents, err := secretStores(src, p, []string{"n"})
			look(documents, err, []string{"spec", "provider", kind}, field)
		}
		documents, err := generator(in, p, "n")
		look(documents, err, []string{"spec"}, "encoding")
		es, err := externalSecret(&work{references: references{plain: map[string]plan.Input{"k": in}}}, p)
		look([]tree.Document{es}, err, []string{"spec", "data", "remoteRef"}, "nullBytePolicy")
		return found
	}
	sorted := cmp.Transformer("sorted", func(s []string) map[string]bool {
		m := map[string]bool{}
		for _, v := range s {
			m[v] = true
		}
		return m
	})
	azure, gcp, raw, null, tags := "useAzureSDK=false", "secretVersionSelectionPolicy=LatestOrFail", "encoding=raw", "nullBytePolicy=Ignore", "sessionTagsPolicy=None"
	for version, want := range map[[3]int][]string{
		{0, 19, 2}:       {},
		{0, 20, 0}:       {azure},
		{0, 20, 3}:       {azure, gcp},
		{0, 20, 1 << 20}: {azure, gcp, raw},
		{2, 2, 1 << 20}:  {azure, gcp, raw},
		{2, 3, 0}:        {azure, gcp, raw, null},
		{2, 6, 1 << 20}:  {azure, gcp, raw, null, tags},
		{2, 7, 0}:        {azure, gcp, raw, tags},
	} {
		if diff := cmp.Diff(want, fields(version), sorted); diff != "" {
			t.Errorf("%v (-want +got):\n%s", version, diff)
		}
	}
}
