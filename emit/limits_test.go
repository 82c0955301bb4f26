package emit

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestLargeObjects: one that client-side apply cannot store is told of, and Argo CD
// is told to apply on the server; one that etcd does not take is an error.
func TestLargeObjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size       int // of the value
		argo       bool
		warned     bool
		serverSide bool
		refused    bool
	}{
		{size: 150 << 10},
		{size: 150 << 10, argo: true},
		{size: 200 << 10, warned: true}, // 4/3 of it in base64
		{size: 200 << 10, argo: true, warned: true, serverSide: true},
		{size: 1 << 20, argo: true, warned: true, serverSide: true},
		{size: 1<<20 + 1, refused: true},
	} {
		p := testPlan(t, emittest.CertFile(t, 0))
		p.Secrets = p.Secrets[:1]
		p.Secrets[0].Keys = p.Secrets[0].Keys[3:4] // password
		if c.argo {
			p.ArgoCD = &plan.ArgoCD{Name: "a", Namespace: "argocd", Automated: true}
		}
		values := testValues()
		values["DB_PASSWORD"] = value.Resolved{State: value.Present, Value: value.New([]byte(strings.Repeat("x", c.size)))}
		built, _, ds := Emit(context.Background(), p, values, nil, at(day))
		codes := map[plan.Code]bool{}
		for _, d := range ds {
			codes[d.Code] = true
		}
		if codes[plan.CodeLargeObject] != c.warned || codes[plan.CodeSecretTooBig] != c.refused || (built == nil) != c.refused {
			t.Errorf("%d bytes: %v", c.size, ds)
		}
		if built != nil && strings.Contains(string(built.Files[tree.ApplicationFile]), "  syncPolicy:\n    automated:\n      prune: true\n      selfHeal: true\n    syncOptions:\n    - ServerSideApply=true\n") != c.serverSide {
			t.Errorf("%d bytes:\n%s", c.size, built.Files[tree.ApplicationFile])
		}
	}
}

// TestObjectForEtcd: many keys make a SealedSecret that etcd does not take of a
// Secret that it would.
func TestObjectForEtcd(t *testing.T) {
	t.Parallel()
	e := &emission{plan: &plan.Plan{}, secrets: []*work{{file: "secrets/a.yaml", Secret: plan.Secret{Pos: []plan.Pos{{File: "/c.cue", Line: 3, Column: 1}}}}}}
	built := func(size int) *tree.Tree {
		return &tree.Tree{Files: map[string][]byte{"secrets/a.yaml": []byte(tree.Header + "kind: A\n---\nkind: B\ntext: " + strings.Repeat("x", size) + "\n"), "alerts/secrets.yaml": []byte("a: b\n")}}
	}
	overhead := len(`{"kind":"B","text":""}`)
	for _, c := range []struct {
		size  int
		large bool
		code  plan.Code
	}{
		{maxLastApplied - overhead, false, ""},
		{maxLastApplied - overhead + 1, true, plan.CodeLargeObject},
		{maxRequest - overhead, true, plan.CodeLargeObject},
		{maxRequest - overhead + 1, false, plan.CodeSecretTooBig},
	} {
		large, ds := e.checkObjects(built(c.size))
		var code plan.Code
		if len(ds) == 1 {
			code = ds[0].Code
			if ds[0].Pos[0].Line != 3 {
				t.Errorf("%v", ds)
			}
		}
		if large != c.large || code != c.code || len(ds) > 1 {
			t.Errorf("%d: %v %v", c.size, large, ds)
		}
	}
}

// TestLongNames: what Kubernetes takes for a name, a file system holds.
func TestLongNames(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	var names []string
	s := p.Secrets[1]
	p.Secrets = nil
	for _, n := range []int{249, 250, 251, 252, 253} {
		for _, last := range []string{"a", "b"} {
			s.Name = strings.Repeat("n", n-1) + last
			p.Secrets = append(p.Secrets, s)
			names = append(names, s.Name)
		}
	}
	slices.SortFunc(p.Secrets, func(a, b plan.Secret) int { return strings.Compare(a.Name, b.Name) })
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	seen := map[string]bool{}
	for name := range built.Files {
		if base := path.Base(name); len(base) > 255 {
			t.Errorf("%d bytes: %s", len(base), base)
		}
		seen[name] = true
	}
	for i, name := range names {
		if i < 4 && !seen["secrets/"+name+".yaml"] {
			t.Errorf("a name that fits is not that of the file: %s", name)
		}
	}
	dir := filepath.Join(t.TempDir(), "tree")
	for range 2 { // at first, and over what is there
		if err := built.Write(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		read, ds := tree.Read(dir)
		if len(ds) > 0 {
			t.Fatal(ds)
		}
		if diff := cmp.Diff(built.Files, read.Files); diff != "" {
			t.Error(diff)
		}
	}
	again, _ := mustEmit(t, p, testValues(), built, at(day))
	if changes := tree.Diff(built, again); len(changes) > 0 {
		t.Errorf("a second build changes %v", changes)
	}
}
