package emit

import (
	"path/filepath"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestConfirmer: a content is confirmed for its own key of its own Secret alone.
func TestConfirmer(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	dir := filepath.Join(t.TempDir(), "tree")
	if err := built.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	lockKey := testValues()[plan.LockKey].Value
	confirm, ds := tree.Confirmer(p, dir, lockKey)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	for _, c := range []struct {
		namespace, name, key, content string
		confirmed, differs            bool
	}{
		{"victor", "app", "password", "p@ss word", true, false},
		{"victor", "app", "password", "another", false, true},
		{"victor", "app", "region", "eu-west-1", true, false},
		{"other", "app", "password", "p@ss word", false, false},
		{"victor", "other", "password", "p@ss word", false, false},
		{"victor", "app", "none", "p@ss word", false, false},
		{"victor", "cluster", "key", "\x00\xff binary", true, false},
		{"victor", "cluster", "password", "p@ss word", false, false},
	} {
		confirmed, differs := confirm(c.namespace, c.name, c.key, value.New([]byte(c.content)))
		if confirmed != c.confirmed || differs != c.differs {
			t.Errorf("%s/%s %s: confirmed %v, differs %v", c.namespace, c.name, c.key, confirmed, differs)
		}
	}
	for name, other := range map[string]func() (func(string, string, string, value.Value) (bool, bool), plan.Diagnostics){
		"without a key": func() (func(string, string, string, value.Value) (bool, bool), plan.Diagnostics) {
			return tree.Confirmer(p, dir, value.Value{})
		},
		"with another key": func() (func(string, string, string, value.Value) (bool, bool), plan.Diagnostics) {
			return tree.Confirmer(p, dir, value.New([]byte("fedcba9876543210fedcba9876543210")))
		},
		"without a tree": func() (func(string, string, string, value.Value) (bool, bool), plan.Diagnostics) {
			return tree.Confirmer(p, dir+"-none", lockKey)
		},
		"of another environment": func() (func(string, string, string, value.Value) (bool, bool), plan.Diagnostics) {
			return tree.Confirmer(&plan.Plan{Environment: "other"}, dir, lockKey)
		},
	} {
		confirm, _ := other()
		if a, b := confirm("victor", "app", "password", value.New([]byte("p@ss word"))); a || b {
			t.Errorf("%s: confirmed %v, differs %v", name, a, b)
		}
	}
}
