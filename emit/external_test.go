package emit

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestOperatorDefaults: what is spelled out for each version of the operator.
func TestOperatorDefaults(t *testing.T) {
	t.Parallel()
	in := plan.Input{Name: "A", Class: plan.Generated, Source: "default", Remote: plan.Remote{Name: "a"},
		Generate: &plan.Generate{Kind: plan.Password, Length: 8, Alphabet: "0123456789", InCluster: true}}
	fields := func(version [3]int) (found []string) {
		p := &plan.Plan{ESOVersion: version, Inputs: []plan.Input{in}}
		look := func(documents []document, err error, path []string, field string) {
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range documents[0].at(path...) {
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
		look([]document{es}, err, []string{"spec", "data", "remoteRef"}, "nullBytePolicy")
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
