package cluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/kubetest"
	"github.com/victor-ai/victorgen/internal/shape"
)

var applied = &plan.Plan{Environment: "test", PartOf: "shop", Namespace: "apps"}

// rendered makes a Secret in namespace apps. An empty value is left out.
func rendered(name string, data map[string]string, change ...func(*emit.Rendered)) emit.Rendered {
	r := emit.Rendered{
		Secret: plan.Secret{Name: name, Namespace: "apps", Type: "Opaque", Pos: []plan.Pos{{File: "/c.cue", Line: 1, Column: 1}}},
		Labels: map[string]string{tree.LabelManagedBy: tree.ManagedBy, tree.LabelPartOf: "shop"},
		Data:   map[string]value.Value{}, LeftOut: map[string]string{},
	}
	for k, v := range data {
		if v == "" {
			r.LeftOut[k] = strings.ToUpper(k) + " is absent"
			continue
		}
		r.Data[k] = value.New([]byte(v))
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// applyServer is an API server with a namespace, and a client of it.
func applyServer(t *testing.T) (*kubetest.Server, *Client) {
	t.Helper()
	s := kubetest.New(t)
	s.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}})
	c, err := Connect(Target{Kubeconfig: s.Kubeconfig(t)})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// told is a report in short, a line for all that happened.
func told(r ApplyReport) (lines []string) {
	for _, name := range r.Namespaces {
		lines = append(lines, "created namespace "+name)
	}
	for _, s := range r.Secrets {
		var ks []string
		for _, k := range s.Keys {
			ks = append(ks, k.Name+" "+string(k.State))
		}
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("%s %s/%s: %s", s.State, s.Namespace, s.Name, strings.Join(ks, ", ")), ": "))
	}
	for _, w := range r.Restarted {
		lines = append(lines, fmt.Sprintf("restarted %s in %s for %s", w, w.Namespace, strings.Join(w.Secrets, ", ")))
	}
	return lines
}

// said is what diagnostics say, in short.
func said(ds plan.Diagnostics) (lines []string) {
	for _, d := range ds {
		lines = append(lines, fmt.Sprintf("%s %s: %s; %s", d.Severity, d.Code, d.Message, d.Hint))
	}
	return lines
}

func expect(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func content(s *corev1.Secret) map[string]string {
	if s == nil {
		return nil
	}
	m := map[string]string{}
	for k, v := range s.Data {
		m[k] = string(v)
	}
	return m
}

// TestApply: a Secret is created, stays as it is, and follows its source.
func TestApply(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	annotate := func(r *emit.Rendered) {
		r.Annotations = map[string]string{"example.com/a": "b"}
		r.Labels["tier"] = "web"
	}
	binary := "\x00\xff\xfe"
	for _, step := range []struct {
		data     map[string]string
		change   func(*emit.Rendered)
		want     []string
		writes   int
		inside   map[string]string
		labels   int
		annotate int
	}{
		{map[string]string{"a": "1", "b": binary, "c": ""}, annotate,
			[]string{"created apps/app: a created, b created, c left out"}, 2, map[string]string{"a": "1", "b": binary}, 4, 1},
		{map[string]string{"a": "1", "b": binary, "c": ""}, annotate,
			[]string{"unchanged apps/app: a unchanged, b unchanged, c left out"}, 0, map[string]string{"a": "1", "b": binary}, 4, 1},
		{map[string]string{"a": "2", "b": binary, "c": "3"}, annotate,
			[]string{"changed apps/app: a changed, b unchanged, c created"}, 2, map[string]string{"a": "2", "b": binary, "c": "3"}, 4, 1},
		{map[string]string{"a": "2", "c": ""}, annotate,
			[]string{"changed apps/app: [not shown] removed, a unchanged, c removed"}, 2, map[string]string{"a": "2"}, 4, 1},
		{map[string]string{"a": "2"}, func(*emit.Rendered) {},
			[]string{"changed apps/app: a unchanged"}, 2, map[string]string{"a": "2"}, 3, 0},
		{map[string]string{"a": "2"}, func(*emit.Rendered) {},
			[]string{"unchanged apps/app: a unchanged"}, 0, map[string]string{"a": "2"}, 3, 0},
	} {
		version := ""
		if before := s.Secret("apps", "app"); before != nil {
			version = before.ResourceVersion
		}
		s.Requests()
		report, ds := c.Apply(t.Context(), applied, []emit.Rendered{rendered("app", step.data, step.change)}, ApplyOptions{})
		expect(t, "diagnostics", nil, said(ds))
		expect(t, "report", step.want, told(report))
		if requests := s.Requests(); len(requests) != 1+step.writes {
			t.Errorf("requests: %q", requests)
		}
		live := s.Secret("apps", "app")
		if diff := cmp.Diff(step.inside, content(live)); diff != "" {
			t.Errorf("data (-want +got)\n%s", diff)
		}
		if (live.ResourceVersion != version) != (step.writes > 0) {
			t.Errorf("%s: version %s follows %s", step.want, live.ResourceVersion, version)
		}
		if len(live.Labels) != step.labels || len(live.Annotations) != step.annotate || live.Labels[tree.LabelEnvironment] != "test" {
			t.Errorf("labels %v, annotations %v", live.Labels, live.Annotations)
		}
	}
}

// TestApplyBeside: what others have set stays, in data too, and what they have
// set alike is shared.
func TestApplyBeside(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	s.Put(t, "secrets", "kubectl-create", &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "app", Labels: map[string]string{"theirs": "x"}},
		Data:       map[string][]byte{"a": []byte("1"), "theirs": []byte("2")},
	})
	report, ds := c.Apply(t.Context(), applied, []emit.Rendered{rendered("app", map[string]string{"a": "1"})}, ApplyOptions{})
	expect(t, "diagnostics", nil, said(ds))
	expect(t, "report", []string{"unchanged apps/app: a unchanged"}, told(report)) // but for its labels, and that it is ours
	live := s.Secret("apps", "app")
	if diff := cmp.Diff(map[string]string{"a": "1", "theirs": "2"}, content(live)); diff != "" || live.Labels["theirs"] != "x" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What both have set is there still when we have it no more.
	for _, dryRun := range []string{DryRunClient, ""} {
		report, ds = c.Apply(t.Context(), applied, []emit.Rendered{rendered("app", map[string]string{"b": "1"})}, ApplyOptions{DryRun: dryRun})
		expect(t, "diagnostics", nil, said(ds))
		expect(t, "report", []string{"changed apps/app: b created"}, told(report))
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "1", "theirs": "2"}, content(s.Secret("apps", "app"))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestApplyTakesOver: a Secret that others have made and that is what the contract wants
// is unchanged, and the report says which labels tell from now on whose it is. What
// was on it and is another now is a change.
func TestApplyTakesOver(t *testing.T) {
	t.Parallel()
	marks := []string{tree.LabelManagedBy, tree.LabelPartOf, tree.LabelEnvironment}
	tier := func(r *emit.Rendered) { r.Labels["tier"] = "web" }
	for name, test := range map[string]struct {
		labels map[string]string
		wanted func(*emit.Rendered)
		state  Outcome
		why    string
		added  []string
	}{
		"no label of ours": {map[string]string{"theirs": "x"}, nil, Unchanged,
			"it becomes the contract's, by app.kubernetes.io/managed-by, app.kubernetes.io/part-of and victorgen/environment", marks},
		"a part of the same": {map[string]string{tree.LabelPartOf: "shop"}, nil, Unchanged,
			"it becomes the contract's, by app.kubernetes.io/managed-by and victorgen/environment", []string{tree.LabelManagedBy, tree.LabelEnvironment}},
		"all labels": {map[string]string{tree.LabelManagedBy: tree.ManagedBy, tree.LabelPartOf: "shop", tree.LabelEnvironment: "test"}, nil, Unchanged,
			"it becomes the contract's, which has set the same as others", nil},
		"of Helm":                 {map[string]string{tree.LabelManagedBy: "Helm"}, nil, Changed, "no key, but label app.kubernetes.io/managed-by", nil},
		"a label of the contract": {nil, tier, Changed, "no key, but label tier", nil},
		"another label":           {map[string]string{"tier": "back"}, tier, Changed, "no key, but label tier", nil},
		"an annotation":           {nil, func(r *emit.Rendered) { r.Annotations = map[string]string{"a": ""} }, Changed, "no key, but annotation a", nil},
		"immutable":               {nil, func(r *emit.Rendered) { r.Immutable = true }, Changed, "no key, but immutable", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := applyServer(t)
			s.Put(t, "secrets", "kubectl-create", &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "app", Labels: test.labels}, Data: map[string][]byte{"a": []byte("1")},
			})
			want := rendered("app", map[string]string{"a": "1"})
			if test.wanted != nil {
				test.wanted(&want)
			}
			for _, dryRun := range []string{DryRunClient, DryRunServer, ""} {
				report, ds := c.Apply(t.Context(), applied, []emit.Rendered{want}, ApplyOptions{DryRun: dryRun, ForceConflicts: true})
				expect(t, "diagnostics", nil, said(ds))
				got := report.Secrets[0]
				if got.State != test.state || got.Why != test.why || !slices.Equal(got.Labels, test.added) {
					t.Errorf("dry run %q: %s (%s) %v", dryRun, got.State, got.Why, got.Labels)
				}
			}
			report, ds := c.Apply(t.Context(), applied, []emit.Rendered{want}, ApplyOptions{})
			expect(t, "diagnostics", nil, said(ds))
			if got := report.Secrets[0]; got.State != Unchanged || got.Why != "" || got.Labels != nil {
				t.Errorf("once more: %s (%s) %v", got.State, got.Why, got.Labels)
			}
			// What the contract says no more is taken away, and that is a change.
			if test.wanted != nil && len(want.Labels)+len(want.Annotations) > 2 {
				report, ds = c.Apply(t.Context(), applied, []emit.Rendered{rendered("app", map[string]string{"a": "1"})}, ApplyOptions{DryRun: DryRunClient})
				expect(t, "diagnostics", nil, said(ds))
				if got := report.Secrets[0]; got.State != Changed || !strings.HasSuffix(got.Why, " that the contract no longer has") {
					t.Errorf("without it: %s (%s)", got.State, got.Why)
				}
			}
		})
	}
}

func owned(kind string, controller *bool) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: kind, Name: "them", UID: "1", Controller: controller}}
	}
}

func labelled(part, environment string) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		s.Labels = map[string]string{tree.LabelManagedBy: tree.ManagedBy, tree.LabelPartOf: part, tree.LabelEnvironment: environment}
	}
}

// TestApplyRefuses: what belongs to others, or cannot be changed, is refused,
// and then nothing at all is written. --force-conflicts takes what can be taken.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	immutable := func(s *corev1.Secret) { s.Immutable = &yes }
	for name, test := range map[string]struct {
		there   func(*corev1.Secret)
		wanted  func(*emit.Rendered)
		refused []string
		forced  []string
	}{
		"SealedSecret": {
			there:   owned("SealedSecret", &no),
			refused: []string{"error VG5003: Secret apps/app belongs to SealedSecret of another name; --force-conflicts writes it anyway, and the controller may put its own values back"},
			forced:  []string{"warning VG5003: Secret apps/app belongs to SealedSecret of another name; it is written anyway, and the controller may put its own values back"},
		},
		"another controller": {
			there:   owned("Certificate", &yes),
			refused: []string{"error VG5003: Secret apps/app belongs to Certificate of another name; --force-conflicts writes it anyway, and the controller may put its own values back"},
			forced:  []string{"warning VG5003: Secret apps/app belongs to Certificate of another name; it is written anyway, and the controller may put its own values back"},
		},
		"an owner that is no controller": {there: func(s *corev1.Secret) { owned("Release", nil)(s); s.Data = map[string][]byte{"a": []byte("new")} }},
		"another environment": {
			there:   labelled("shop", "other"),
			refused: []string{"error VG5003: Secret apps/app belongs to another environment of shop; --force-conflicts writes it anyway; -n applies to another namespace"},
			forced:  []string{"warning VG5003: Secret apps/app belongs to another environment of shop; it is written anyway; -n applies to another namespace"},
		},
		"another application": {
			there:   labelled("bank", ""),
			refused: []string{"error VG5003: Secret apps/app belongs to another contract; --force-conflicts writes it anyway; -n applies to another namespace"},
			forced:  []string{"warning VG5003: Secret apps/app belongs to another contract; it is written anyway; -n applies to another namespace"},
		},
		"another manager": {
			refused: []string{"error VG5004: Secret apps/app: kubectl-create has set data; `kubectl get --show-managed-fields -o yaml` shows which one, and which keys; --force-conflicts takes the fields over"},
		},
		"type": {
			there:   func(s *corev1.Secret) { s.Type = "example.com/mine" },
			refused: []string{"error VG5005: Secret apps/app is of a type that is not Kubernetes' own, which can't be changed to Opaque; delete it first: kubectl delete secret -n apps app"},
			forced:  []string{"error VG5005: Secret apps/app is of a type that is not Kubernetes' own, which can't be changed to Opaque; delete it first: kubectl delete secret -n apps app"},
		},
		"immutable": {
			there: immutable, wanted: func(r *emit.Rendered) { r.Immutable = true },
			refused: []string{"error VG5005: Secret apps/app is immutable, and its data would change; delete it first: kubectl delete secret -n apps app"},
			forced:  []string{"error VG5005: Secret apps/app is immutable, and its data would change; delete it first: kubectl delete secret -n apps app"},
		},
		"immutable no more": {
			there:   immutable,
			refused: []string{"error VG5005: Secret apps/app is immutable, which can't be taken back; delete it first: kubectl delete secret -n apps app"},
			forced:  []string{"error VG5005: Secret apps/app is immutable, which can't be taken back; delete it first: kubectl delete secret -n apps app"},
		},
		"immutable with the same data": {
			there:  func(s *corev1.Secret) { immutable(s); s.Data = map[string][]byte{"a": []byte("new")} },
			wanted: func(r *emit.Rendered) { r.Immutable = true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := applyServer(t)
			o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "app"}, Type: "Opaque", Data: map[string][]byte{"a": []byte("old")}}
			if test.there != nil {
				test.there(o)
			}
			s.Put(t, "secrets", "kubectl-create", o)
			if test.wanted == nil {
				test.wanted = func(*emit.Rendered) {}
			}
			secrets := []emit.Rendered{rendered("app", map[string]string{"a": "new"}, test.wanted), rendered("other", map[string]string{"a": "1"})}
			for _, force := range []bool{false, true} {
				report, ds := c.Apply(t.Context(), applied, secrets, ApplyOptions{ForceConflicts: force})
				want := test.refused
				if force {
					want = test.forced
				}
				expect(t, "diagnostics", want, said(ds))
				written := content(s.Secret("apps", "app"))["a"] == "new"
				if refused := ds.HasErrors(); refused == (written && s.Secret("apps", "other") != nil) || refused != (len(report.Secrets) == 0) {
					t.Errorf("force %v: refused %v, written %v, and the other %v; %v", force, refused, written, s.Secret("apps", "other") != nil, told(report))
				}
			}
		})
	}
}

// TestApplyNamespaces: a namespace that is missing is an error, or is created.
func TestApplyNamespaces(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	elsewhere := func(r *emit.Rendered) { r.Namespace = "new" }
	secrets := []emit.Rendered{rendered("here", map[string]string{"a": "1"}), rendered("app", map[string]string{"a": "1"}, elsewhere), rendered("too", map[string]string{"a": "1"}, elsewhere)}
	report, ds := c.Apply(t.Context(), applied, secrets, ApplyOptions{})
	expect(t, "diagnostics", []string{"error VG5006: there is no namespace new in cluster test; --create-namespace creates it"}, said(ds))
	if told(report) != nil || s.Secret("apps", "here") != nil {
		t.Errorf("something was written: %v", told(report))
	}
	want := []string{"created namespace new", "created apps/here: a created", "created new/app: a created", "created new/too: a created"}
	for _, dryRun := range []string{DryRunClient, DryRunServer, ""} {
		s.Requests()
		report, ds = c.Apply(t.Context(), applied, secrets, ApplyOptions{CreateNamespace: true, DryRun: dryRun})
		expect(t, "diagnostics", nil, said(ds))
		expect(t, "report", want, told(report))
		if there := s.Secret("new", "app") != nil; there != (dryRun == "") {
			t.Errorf("dry run %q: written %v", dryRun, there)
		}
		for _, r := range s.Requests() {
			if read := strings.HasPrefix(r, "get "); dryRun == DryRunClient && !read || dryRun == DryRunServer && !read && !strings.HasSuffix(r, "(dry run)") {
				t.Errorf("dry run %q: %s", dryRun, r)
			}
		}
	}
	report, ds = c.Apply(t.Context(), applied, secrets, ApplyOptions{CreateNamespace: true})
	expect(t, "diagnostics", nil, said(ds))
	if len(report.Namespaces) > 0 {
		t.Error("the namespace was created twice")
	}
}

// TestApplyPrunes: what the contract has no more goes, and nothing else.
func TestApplyPrunes(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	s.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "far"}})
	yes := true
	for name, change := range map[string]func(*corev1.Secret){
		"unlabelled":    func(s *corev1.Secret) { s.Labels = nil },
		"other-env":     labelled("shop", "other"),
		"other-app":     labelled("bank", "test"),
		"no-env":        func(s *corev1.Secret) { delete(s.Labels, tree.LabelEnvironment) },
		"owned":         owned("SealedSecret", &yes),
		"far":           func(s *corev1.Secret) { s.Namespace = "far" },
		"by-other-tool": func(s *corev1.Secret) { s.Labels[tree.LabelManagedBy] = "helm" },
	} {
		o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: name}}
		labelled("shop", "test")(o)
		change(o)
		s.Put(t, "secrets", "them", o)
	}
	first := []emit.Rendered{rendered("app", map[string]string{"a": "1"}), rendered("gone", map[string]string{"a": "1"}), rendered("empty", map[string]string{"a": "1"})}
	if _, ds := c.Apply(t.Context(), applied, first, ApplyOptions{}); ds.HasErrors() {
		t.Fatal(ds)
	}
	then := []emit.Rendered{rendered("app", map[string]string{"a": "1"}), rendered("empty", map[string]string{"a": ""})}
	report, ds := c.Apply(t.Context(), applied, then, ApplyOptions{})
	expect(t, "diagnostics", nil, said(ds))
	expect(t, "report without --prune", []string{"unchanged apps/app: a unchanged", "left out apps/empty: a left out"}, told(report))
	if report.Secrets[1].Why != "it is in the cluster still: --prune deletes it" {
		t.Error(report.Secrets[1].Why)
	}
	names := []string{"app", "unlabelled", "other-env", "other-app", "no-env", "owned", "by-other-tool"}
	for _, dryRun := range []string{DryRunClient, DryRunServer, ""} {
		report, ds = c.Apply(t.Context(), applied, then, ApplyOptions{Prune: true, DryRun: dryRun})
		expect(t, "diagnostics", []string{"warning VG5003: Secret apps/owned is no longer in the contract, and is not pruned: it belongs to SealedSecret of another name; delete what it belongs to"}, said(ds))
		expect(t, "report", []string{"unchanged apps/app: a unchanged", "pruned apps/empty", "pruned apps/gone"}, told(report))
		for _, name := range []string{"gone", "empty"} {
			if there := s.Secret("apps", name) != nil; there != (dryRun != "") {
				t.Errorf("dry run %q: %s is there: %v", dryRun, name, there)
			}
		}
		for _, name := range names {
			if s.Secret("apps", name) == nil {
				t.Errorf("%s was pruned", name)
			}
		}
	}
	if s.Secret("far", "far") == nil {
		t.Error("a Secret in another namespace was pruned")
	}
	// --force-conflicts deletes what a controller owns, too.
	report, ds = c.Apply(t.Context(), applied, then, ApplyOptions{Prune: true, ForceConflicts: true})
	expect(t, "diagnostics", nil, said(ds))
	expect(t, "report", []string{"unchanged apps/app: a unchanged", "left out apps/empty: a left out", "pruned apps/owned"}, told(report))
}

// TestApplyPrunesLast: nothing is pruned when anything failed, nor is what
// someone has put in the place of what was to be pruned.
func TestApplyPrunesLast(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	if _, ds := c.Apply(t.Context(), applied, []emit.Rendered{rendered("gone", map[string]string{"a": "1"})}, ApplyOptions{}); ds.HasErrors() {
		t.Fatal(ds)
	}
	var failing atomic.Bool
	failing.Store(true)
	s.Refuse = func(r kubetest.Request) error {
		switch {
		case failing.Load() && r.Verb == "patch" && r.Name == "app" && !r.DryRun:
			return apierrors.NewServiceUnavailable("later")
		case !failing.Load() && r.Verb == "patch" && r.Name == "late" && !r.DryRun:
			o := s.Secret("apps", "gone")
			o.UID = "another"
			s.Replace("secrets", o)
		}
		return nil
	}
	now := []emit.Rendered{rendered("app", map[string]string{"a": "1"}), rendered("late", map[string]string{"a": "1"})}
	report, ds := c.Apply(t.Context(), applied, now, ApplyOptions{Prune: true})
	expect(t, "diagnostics", []string{"error VG5002: the API server does not apply Secret apps/app: ServiceUnavailable (503); "}, said(ds))
	expect(t, "report", []string{"not applied apps/app", "created apps/late: a created", "not applied apps/gone"}, told(report))
	if s.Secret("apps", "gone") == nil {
		t.Error("pruned after a failure")
	}
	failing.Store(false)
	now = append(now[:1:1], rendered("late", map[string]string{"a": "2"}))
	report, ds = c.Apply(t.Context(), applied, now, ApplyOptions{Prune: true})
	expect(t, "diagnostics", []string{"error VG5002: the API server does not delete Secret apps/gone: Conflict (409); it was changed concurrently: try again"}, said(ds))
	expect(t, "report", []string{"created apps/app: a created", "changed apps/late: a changed", "not applied apps/gone"}, told(report))
	if s.Secret("apps", "gone") == nil {
		t.Error("pruned what somebody else has put there")
	}
}

// fromEnv is a Pod template that takes a Secret into its environment.
func fromEnv(name string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Image: "i", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}},
	}}}}
}

// TestApplyRestarts: those workloads that consume what has changed, and only
// those, are restarted.
func TestApplyRestarts(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	s.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "far"}})
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "apps", Name: name} }
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: meta("api"), Spec: appsv1.DeploymentSpec{Template: fromEnv("app")}})
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{Template: fromEnv("other")}})
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: meta("none")})
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: meta("paused"), Spec: appsv1.DeploymentSpec{Paused: true, Template: fromEnv("app")}})
	s.Put(t, "statefulsets", "test", &appsv1.StatefulSet{ObjectMeta: meta("db"), Spec: appsv1.StatefulSetSpec{Template: fromEnv("app")}})
	s.Put(t, "daemonsets", "test", &appsv1.DaemonSet{ObjectMeta: meta("agent"), Spec: appsv1.DaemonSetSpec{Template: fromEnv("app")}})
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "far", Name: "api"}, Spec: appsv1.DeploymentSpec{Template: fromEnv("app")}})
	restarted := func() (names []string) {
		for _, w := range []string{"deployments/apps/api", "deployments/apps/web", "deployments/apps/none", "deployments/apps/paused", "statefulsets/apps/db", "daemonsets/apps/agent", "deployments/far/api"} {
			parts := strings.Split(w, "/")
			var template corev1.PodTemplateSpec
			switch o := s.Get(parts[0], parts[1], parts[2]).(type) {
			case *appsv1.Deployment:
				template = o.Spec.Template
			case *appsv1.StatefulSet:
				template = o.Spec.Template
			case *appsv1.DaemonSet:
				template = o.Spec.Template
			}
			if at := template.Annotations["kubectl.kubernetes.io/restartedAt"]; at != "" {
				names = append(names, w+" "+at)
			}
		}
		return names
	}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	options := ApplyOptions{Restart: true, Now: func() time.Time { return now }}
	both := func(a, b string, change ...func(*emit.Rendered)) []emit.Rendered {
		return []emit.Rendered{rendered("app", map[string]string{"k": a}, change...), rendered("other", map[string]string{"k": b})}
	}
	if _, ds := c.Apply(t.Context(), applied, both("1", "1"), ApplyOptions{}); ds.HasErrors() {
		t.Fatal(ds)
	}
	expect(t, "without --restart", nil, restarted())
	report, ds := c.Apply(t.Context(), applied, both("1", "1", func(r *emit.Rendered) { r.Labels["x"] = "y" }), options)
	expect(t, "diagnostics", nil, said(ds))
	expect(t, "a label changes nothing for a Pod", nil, append(restarted(), told(report)[2:]...))

	paused := "warning VG5007: deployment/paused in namespace apps is paused, so it is not restarted; it consumes Secret app; resume it and restart it: kubectl rollout restart -n apps deployment/paused"
	want := []string{"changed apps/app: k changed", "unchanged apps/other: k unchanged",
		"restarted deployment/api in apps for app", "restarted statefulset/db in apps for app", "restarted daemonset/agent in apps for app"}
	for _, dryRun := range []string{DryRunClient, DryRunServer} {
		options := options
		options.DryRun = dryRun
		report, ds = c.Apply(t.Context(), applied, both("2", "1"), options)
		expect(t, "diagnostics", []string{paused}, said(ds))
		expect(t, "dry run", want, told(report))
		expect(t, "dry run", nil, restarted())
	}
	report, ds = c.Apply(t.Context(), applied, both("2", "1"), options)
	expect(t, "diagnostics", []string{paused}, said(ds))
	expect(t, "report", want, told(report))
	const at = " 2030-01-02T03:04:05Z"
	all := []string{"deployments/apps/api" + at, "statefulsets/apps/db" + at, "daemonsets/apps/agent" + at}
	expect(t, "restarted", all, restarted())

	// One that fails is named, for a second time would not know of it.
	now = now.Add(time.Hour)
	s.Refuse = func(r kubetest.Request) error {
		if r.Resource == "statefulsets" && r.Verb == "patch" && !r.DryRun {
			return r.Forbidden("me")
		}
		return nil
	}
	report, ds = c.Apply(t.Context(), applied, both("3", "1"), options)
	expect(t, "diagnostics", []string{
		`error VG5002: you may not patch statefulset db in namespace apps (cluster test); a Role in apps with the rule {apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["patch"], resourceNames: ["db"]} allows it`,
		paused, "error VG5007: statefulset/db in namespace apps is not restarted; it consumes Secret app, which has changed; restart it: kubectl rollout restart -n apps statefulset/db",
	}, said(ds))
	expect(t, "report", slices.Delete(slices.Clone(want), 3, 4), told(report))
}

// TestConsumed: all ways in which a Secret reaches a container.
func TestConsumed(t *testing.T) {
	t.Parallel()
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	env := func(name string) corev1.Container {
		return corev1.Container{Env: []corev1.EnvVar{{Name: "PLAIN", Value: "x"}, {Name: "FIELD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{}}},
			{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref(name)}}}}}
	}
	// As the API server has it, of which there is less here.
	pod, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.PodSpec{
		InitContainers: []corev1.Container{env("init")},
		Containers: []corev1.Container{env("env"), {EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("no-config")}}, {SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("env-from")}},
		}}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(env("ephemeral"))}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ref("no-projected")}}, {Secret: &corev1.SecretProjection{LocalObjectReference: ref("projected")}},
			}}}},
		},
		ImagePullSecrets: []corev1.LocalObjectReference{ref("no-pull")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var spec shape.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(pod, &spec); err != nil {
		t.Fatal(err)
	}
	got := consumed(spec)
	want := map[string]bool{"init": true, "env": true, "env-from": true, "ephemeral": true, "volume": true, "projected": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

const appliedCanary = "c4nary-of-apply/9d8f7g6h"

// TestApplyFaults: what an API server says, or fails to say, is told in words
// that help, once, and never with a value.
func TestApplyFaults(t *testing.T) {
	t.Parallel()
	group := schema.GroupResource{Resource: "secrets"}
	echo := func(r kubetest.Request) string { return "refused: " + string(r.Body) + " " + appliedCanary }
	terminating := apierrors.NewForbidden(group, "app", errors.New("unable to create new content in namespace apps because it is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	const mayNot = `; a Role in apps with the rule {apiGroups: [""], resources: ["secrets"], verbs: [%q], resourceNames: [%q]} allows it`
	for name, test := range map[string]struct {
		refuse  func(r kubetest.Request) error
		options ApplyOptions
		want    []string
	}{
		"no right to get": {
			refuse: func(r kubetest.Request) error { return r.Forbidden("system:serviceaccount:ci:deployer") },
			want: []string{
				"error VG5001: you may not get secret app in namespace apps (cluster test)" + fmt.Sprintf(mayNot, "get", "app"),
				"error VG5001: you may not get secret other in namespace apps (cluster test)" + fmt.Sprintf(mayNot, "get", "other"),
			},
		},
		"no right to patch": {
			refuse: func(r kubetest.Request) error {
				if r.Verb == "patch" && r.Name == "app" {
					return r.Forbidden("me")
				}
				return nil
			},
			want: []string{"error VG5002: you may not patch secret app in namespace apps (cluster test)" + fmt.Sprintf(mayNot, "patch", "app")},
		},
		"no right to create": {
			refuse: func(r kubetest.Request) error {
				if r.Verb == "patch" && r.Name == "app" {
					r.Verb = "create"
					return r.Forbidden("me")
				}
				return nil
			},
			want: []string{`error VG5002: you may not create secret app in namespace apps (cluster test); a Role in apps with the rule {apiGroups: [""], resources: ["secrets"], verbs: ["create"]} allows it`},
		},
		"no right to list": {
			options: ApplyOptions{Prune: true},
			refuse: func(r kubetest.Request) error {
				if r.Verb == "list" {
					return r.Forbidden("me")
				}
				return nil
			},
			want: []string{`error VG5001: you may not list secrets in namespace apps (cluster test); a Role in apps with the rule {apiGroups: [""], resources: ["secrets"], verbs: ["list"]} allows it`},
		},
		"no right to list workloads": {
			options: ApplyOptions{Restart: true, DryRun: DryRunClient},
			refuse: func(r kubetest.Request) error {
				if r.Resource == "daemonsets" {
					return r.Forbidden("me")
				}
				return nil
			},
			want: []string{`error VG5001: you may not list daemonsets in namespace apps (cluster test); a Role in apps with the rule {apiGroups: ["apps"], resources: ["daemonsets"], verbs: ["list"]} allows it`},
		},
		"no right to get a namespace": {
			options: ApplyOptions{CreateNamespace: true},
			refuse: func(r kubetest.Request) error {
				if r.Resource == "namespaces" {
					return r.Forbidden("me")
				}
				return nil
			},
			want: []string{`error VG5001: you may not get namespace apps (cluster test); a ClusterRole with the rule {apiGroups: [""], resources: ["namespaces"], verbs: ["get"], resourceNames: ["apps"]} allows it`},
		},
		"not logged in": {
			refuse: func(kubetest.Request) error { return apierrors.NewUnauthorized("no: " + appliedCanary) },
			want:   []string{"error VG5001: not authenticated at cluster test (401 Unauthorized); log in, or name another context with --context"},
		},
		"namespace goes": {
			refuse: onPatch(func(kubetest.Request) error { return terminating }),
			want:   []string{"error VG5006: Secret apps/app: the namespace is being deleted; wait until it is gone; --create-namespace recreates it"},
		},
		"quota": {
			refuse: onPatch(func(r kubetest.Request) error { return apierrors.NewForbidden(group, r.Name, errors.New(echo(r))) }),
			want:   []string{"error VG5002: the API server does not apply Secret apps/app: a quota, a policy or an admission webhook forbids it (403); its events and log say which; they are not shown here, because they may quote values"},
		},
		"invalid, with the body": {
			refuse: onPatch(func(r kubetest.Request) error {
				err := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, r.Name, nil)
				err.ErrStatus.Message = echo(r)
				err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeFieldValueInvalid, Field: "data[a]", Message: echo(r)}}
				return err
			}),
			want: []string{"error VG5002: the API server does not accept Secret apps/app: data is invalid; check what the contract says there"},
		},
		"internal error, with the body": {
			refuse: onPatch(func(r kubetest.Request) error { return apierrors.NewInternalError(errors.New(echo(r))) }),
			want:   []string{"error VG5002: the API server does not apply Secret apps/app: InternalError (500); the log of the API server or of a webhook says why; it is not shown here, because it may quote values"},
		},
		"a webhook that takes no dry run": {
			refuse: func(r kubetest.Request) error {
				if r.DryRun {
					return apierrors.NewBadRequest("admission webhook does not support dry run: " + echo(r))
				}
				return nil
			},
		},
		"a webhook that takes no dry run, and one is wanted": {
			options: ApplyOptions{DryRun: DryRunServer},
			refuse: func(r kubetest.Request) error {
				if r.DryRun && r.Name == "app" {
					return apierrors.NewBadRequest("admission webhook does not support dry run: " + echo(r))
				}
				return nil
			},
			want: []string{"error VG5002: the API server does not apply Secret apps/app: the request was refused (400); the log of the API server or of a webhook says why; it is not shown here, because it may quote values"},
		},
		"no answer in time": {
			options: ApplyOptions{Timeout: 50 * time.Millisecond},
			refuse:  func(kubetest.Request) error { time.Sleep(200 * time.Millisecond); return nil },
			want:    []string{"error VG5001: cluster test cannot be asked: there was no answer in time; check the network, a proxy or a VPN, or name another context with --context"},
		},
		"the connection breaks during a write": {
			refuse: func(r kubetest.Request) error {
				if r.Verb == "patch" && !r.DryRun {
					panic(http.ErrAbortHandler)
				}
				return nil
			},
			want: []string{
				"error VG5002: whether the cluster did apply Secret apps/app is not known; apply again: what is written stays",
				"error VG5002: cluster test cannot be asked: the connection was closed; check the network, a proxy or a VPN, or name another context with --context",
			},
		},
		"no answer to a write": {
			options: ApplyOptions{Timeout: 2 * time.Second}, // in which all else has to be answered
			refuse: func(r kubetest.Request) error {
				if r.Verb == "patch" && !r.DryRun {
					time.Sleep(4 * time.Second)
				}
				return nil
			},
			want: []string{
				"error VG5002: whether the cluster did apply Secret apps/app is not known; apply again: what is written stays",
				"error VG5002: cluster test cannot be asked: there was no answer in time; check the network, a proxy or a VPN, or name another context with --context",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := applyServer(t)
			s.Refuse = test.refuse
			report, ds := c.Apply(t.Context(), applied, []emit.Rendered{rendered("app", map[string]string{"a": appliedCanary}), rendered("other", map[string]string{"a": "1"})}, test.options)
			expect(t, "diagnostics", test.want, said(ds))
			for _, v := range []string{appliedCanary, base64.StdEncoding.EncodeToString([]byte(appliedCanary))} {
				if strings.Contains(fmt.Sprintf("%+v %+v", ds, report), v) {
					t.Error("a value shows")
				}
			}
			if name != "no answer to a write" && ds.HasErrors() != (s.Secret("apps", "other") == nil) {
				t.Error("something was written beside an error, or nothing without one")
			}
		})
	}
}

// onPatch refuses to write the Secret app.
func onPatch(refuse func(kubetest.Request) error) func(kubetest.Request) error {
	return func(r kubetest.Request) error {
		if r.Verb == "patch" && r.Name == "app" {
			return refuse(r)
		}
		return nil
	}
}

// TestApplyToNobody: a cluster that is not there is one error, whatever there is
// instead of it.
func TestApplyToNobody(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	s.Close()
	secrets := []emit.Rendered{rendered("app", map[string]string{"a": "1"}), rendered("other", map[string]string{"a": "1"})}
	_, ds := c.Apply(t.Context(), applied, secrets, ApplyOptions{Prune: true, CreateNamespace: true})
	if len(ds) != 1 || ds[0].Code != plan.CodeClusterRead || !strings.HasPrefix(ds[0].Message, "cluster test cannot be asked: connection refused by 127.0.0.1:") {
		t.Error(said(ds))
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a web site": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>"+appliedCanary)
		}, "error VG5001: cluster web cannot be asked: the response is not from an API server; check the network, a proxy or a VPN, or name another context with --context"},
		"JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Secret","data":{"a":%q}}`, appliedCanary)
		}, "error VG5001: cluster web cannot be asked: the response is not from an API server; check the network, a proxy or a VPN, or name another context with --context"},
		"a proxy": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, appliedCanary, http.StatusBadGateway)
		}, "error VG5001: the API server does not get Secret apps/app: InternalError (502); the log of the API server or of a webhook says why; it is not shown here, because it may quote values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(test.answer)
			defer web.Close()
			api, err := rest.UnversionedRESTClientFor(inJSON(&rest.Config{Host: web.URL}))
			if err != nil {
				t.Fatal(err)
			}
			c := &Client{Name: "web", api: api}
			_, ds := c.Apply(t.Context(), applied, secrets[:1], ApplyOptions{})
			expect(t, "diagnostics", []string{test.want}, said(ds))
		})
	}
}

// TestApplyInterrupted: the write that is under way comes to its end, no other
// one begins, and the report tells which were done.
func TestApplyInterrupted(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "api"}, Spec: appsv1.DeploymentSpec{Template: fromEnv("b")}})
	s.Put(t, "deployments", "test", &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "late"}, Spec: appsv1.DeploymentSpec{Template: fromEnv("c")}})
	ctx, cancel := context.WithCancel(t.Context())
	s.Refuse = func(r kubetest.Request) error {
		if r.Verb == "patch" && r.Name == "b" && !r.DryRun {
			cancel()
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	}
	var secrets []emit.Rendered
	for _, name := range []string{"a", "b", "c"} {
		secrets = append(secrets, rendered(name, map[string]string{"k": "1"}))
	}
	report, ds := c.Apply(ctx, applied, secrets, ApplyOptions{Restart: true, Prune: true})
	expect(t, "diagnostics", []string{
		"error VG5002: interrupted after 2 of 4 writes; apply again: what is written stays, and the rest follows",
		"error VG5007: deployment/api in namespace apps is not restarted; it consumes Secret b, which has changed; restart it: kubectl rollout restart -n apps deployment/api",
	}, said(ds))
	expect(t, "report", []string{"created apps/a: k created", "created apps/b: k created", "not applied apps/c"}, told(report))
	if s.Secret("apps", "b") == nil || s.Secret("apps", "c") != nil {
		t.Error("the report is not what is there")
	}

	report, ds = c.Apply(ctx, applied, secrets, ApplyOptions{}) // interrupted before
	expect(t, "diagnostics", []string{"error VG5001: interrupted before anything was written; "}, said(ds))
	expect(t, "report", nil, told(report))
}
