package main

import (
	"path/filepath"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestNeighbours: those that a run has compiled are known, and the others of a module
// are found when somebody asks.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	module, err := filepath.Abs(example)
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbours{here: map[[2]string]bool{{module, "mine"}: true}, all: map[string]map[string]bool{}, compiled: map[string]*plan.Plan{
		filepath.Join(module, "envs", "dev"): {Environment: "renamed"},
	}}
	if !n.has(module, "mine") || len(n.all) > 0 {
		t.Error("what the run has compiled is compiled again")
	}
	for name, want := range map[string]bool{"production": true, "staging": true, "renamed": true, "dev": false, "gone": false} {
		if n.has(module, name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if n.has(t.TempDir(), "mine") {
		t.Error("an environment of one module is taken for one of another")
	}
}
