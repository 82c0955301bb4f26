package emit

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// restarts has kustomize put the component of a tree over workloads, as a
// kustomization that renames them does, and returns the annotations that come out, by
// the name of the workload.
func restarts(t *testing.T, built *tree.Tree) map[string]string {
	t.Helper()
	fsys := filesys.MakeFsInMemory()
	for name, text := range map[string]string{
		"/tree/restart/kustomization.yaml": string(built.Files[tree.RestartFile]),
		"/k8s/kustomization.yaml":          "resources: [all.yaml]\nnamePrefix: blue-\nnamespace: victor\ncomponents: [../tree/restart]\n",
		"/k8s/all.yaml": `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {template: {spec: {containers: [{name: c, image: x}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: api2}, spec: {template: {metadata: {annotations: {own: kept}}, spec: {containers: [{name: c}]}}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: canary, annotations: {own: kept}}, spec: {template: {spec: {containers: [{name: c}, {name: d}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: api}, spec: {template: {spec: {containers: [{name: c}]}}}}
`,
	} {
		if err := fsys.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "/k8s")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range rendered.Resources() {
		y, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			Metadata struct{ Annotations map[string]string }
			Spec     struct {
				Template struct {
					Metadata struct{ Annotations map[string]string }
					Spec     struct{ Containers []any }
				}
			}
		}
		if err := yaml.Unmarshal(y, &o); err != nil {
			t.Fatal(err)
		}
		if len(o.Spec.Template.Spec.Containers) == 0 {
			t.Errorf("%s has lost its containers", r.GetName())
		}
		name := r.GetKind() + " " + r.GetName()
		got[name] = o.Spec.Template.Metadata.Annotations["victorgen/secrets"] + o.Metadata.Annotations["secret.reloader.stakater.com/reload"]
		if own := o.Spec.Template.Metadata.Annotations["own"] + o.Metadata.Annotations["own"]; (own == "kept") != (name != "Deployment blue-api" && name != "Job blue-api") {
			t.Errorf("%s: annotation %q", name, own)
		}
	}
	return got
}

// TestRestart: the annotation of a workload is another one if and only if a value that
// it uses is: not with a new certificate, nor with a new value that others use.
func TestRestart(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Workloads = &plan.Workloads{Restart: plan.RestartAnnotation}
	var keys []plan.KeyPlace
	byInput := map[string]plan.KeyPlace{}
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			keys = append(keys, plan.KeyPlace{Secret: s.ID(), Key: k.Name})
			if k.Input != "" {
				byInput[k.Input] = keys[len(keys)-1]
			}
		}
	}
	o := func(now time.Time) Options {
		o := at(now)
		o.Consumers = []plan.Consumer{
			{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", Keys: []plan.KeyPlace{byInput["DB_PASSWORD"]}},
			{APIVersion: "apps/v1", Kind: "Deployment", Name: "api2", Keys: []plan.KeyPlace{byInput["KEY"]}},
			{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: "canary", Keys: keys},
			{APIVersion: "apps/v1", Kind: "Deployment", Name: "none", Keys: []plan.KeyPlace{{Secret: "victor/other", Key: "k"}}},
		}
		return o
	}
	first, _ := mustEmit(t, p, testValues(), nil, o(day))
	was := restarts(t, first)
	for name, annotation := range was {
		if (len(annotation) == 32) != (name != "Job blue-api") {
			t.Errorf("%s: %q", name, annotation)
		}
	}
	if strings.Contains(string(first.Files[tree.KustomizationFile]), "restart") || strings.Contains(string(first.Files[tree.RestartFile]), "none") {
		t.Errorf("the component is in the tree's own kustomization, or about what uses nothing of it:\n%s", first.Files[tree.RestartFile])
	}
	again, _ := mustEmit(t, p, testValues(), first, o(day.Add(time.Hour)))
	if changes := tree.Diff(first, again); len(changes) > 0 {
		t.Errorf("a second build changes %v", changes)
	}

	renewed := testPlan(t, emittest.CertFile(t, 1))
	renewed.Workloads = p.Workloads
	sealed, _, ds := Emit(t.Context(), renewed, testValues(), first, o(day.Add(2*time.Hour)))
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	if len(tree.Diff(first, sealed)) == 0 {
		t.Error("nothing is sealed anew")
	}
	if diff := cmp.Diff(was, restarts(t, sealed)); diff != "" {
		t.Errorf("a new certificate restarts (-was +is)\n%s", diff)
	}

	values := testValues()
	values["DB_PASSWORD"] = present("Quartz7-lantern-Brine")
	rotated, _ := mustEmit(t, p, values, first, o(day)) // in the very second
	is := restarts(t, rotated)
	for name, restarted := range map[string]bool{"Deployment blue-api": true, "Deployment blue-api2": false, "Rollout blue-canary": true, "Job blue-api": false} {
		if (was[name] != is[name]) != restarted {
			t.Errorf("%s: restarted is %v", name, !restarted)
		}
	}
}

// TestReloader: the Secrets that a workload uses are named to Reloader.
func TestReloader(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Workloads = &plan.Workloads{Restart: plan.RestartReloader}
	o := at(day)
	o.Consumers = []plan.Consumer{
		{APIVersion: "apps/v1", Kind: "Deployment", Name: "api2", Keys: []plan.KeyPlace{{Secret: "victor/a", Key: "x"}, {Secret: "victor/a", Key: "y"}, {Secret: "victor/b", Key: "x"}}},
	}
	built, _ := mustEmit(t, p, testValues(), nil, o)
	want := map[string]string{"Deployment blue-api": "", "Deployment blue-api2": "a,b", "Rollout blue-canary": "", "Job blue-api": ""}
	if diff := cmp.Diff(want, restarts(t, built)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
