package tree

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
)

const historyLock = `version: 1
environment: production
files: [secrets/app.yaml, secrets/worker.yaml]
secrets:
  - namespace: victor
    name: app
    file: secrets/app.yaml
    keys:
      token: {changed: 2026-02-03T04:05:06Z}
      url: {changed: 2026-01-03T04:05:06Z}
      out: {omitted: true}
  - namespace: victor
    name: worker
    file: secrets/worker.yaml
    keys:
      token: {changed: 2026-03-03T04:05:06Z}
`

func TestHistory(t *testing.T) {
	t.Parallel()
	app := plan.Secret{Namespace: "victor", Name: "app", Keys: []plan.Key{
		{Name: "token", Input: "TOKEN"}, {Name: "url", Template: &plan.Template{Inputs: []string{"PASSWORD", "TOKEN"}}},
		{Name: "out", Input: "OUT"}, {Name: "new", Input: "NEW"},
	}}
	madeFrom := func(name, of string) plan.Input {
		return plan.Input{Name: name, Generate: &plan.Generate{Child: &plan.Child{Of: of}}}
	}
	p := &plan.Plan{Environment: "production", Inputs: []plan.Input{
		{Name: "SEED"}, madeFrom("HALF", "SEED"), madeFrom("TOKEN", "HALF"), madeFrom("OUT", "SEED"), {Name: "LONELY"}, madeFrom("NEW", "LONELY"),
	}, Secrets: []plan.Secret{
		app, {Namespace: "victor", Name: "worker", Keys: []plan.Key{{Name: "token", Input: "TOKEN"}}},
		{Namespace: "victor", Name: "external", Keys: []plan.Key{{Name: "token", Input: "TOKEN"}}},
	}}
	tree := &Tree{Files: map[string][]byte{LockFile: []byte(historyLock)}}
	history := func(tree *Tree) History {
		t.Helper()
		h, ds := tree.History(p)
		if ds != nil {
			t.Fatal(ds)
		}
		return h
	}
	h := history(tree)
	for name, want := range map[string]struct {
		changed time.Time
		secrets []string
	}{
		"TOKEN":    {time.Date(2026, 1, 3, 4, 5, 6, 0, time.UTC), []string{"victor/app", "victor/worker"}},
		"PASSWORD": {time.Date(2026, 1, 3, 4, 5, 6, 0, time.UTC), []string{"victor/app"}},
		"SEED":     {time.Date(2026, 1, 3, 4, 5, 6, 0, time.UTC), []string{"victor/app", "victor/worker"}}, // by way of TOKEN
		"LONELY":   {},
		"OUT":      {}, // it is left out
		"NEW":      {}, // the lock is older
	} {
		changed, secrets := h.LastChange(plan.Input{Name: name, Class: plan.Required})
		if !changed.Equal(want.changed) || !cmp.Equal(secrets, want.secrets) {
			t.Errorf("%s: %v %v", name, changed, secrets)
		}
	}
	if changed, secrets := h.LastChange(plan.Input{Name: "PASSWORD", Class: plan.Optional}); secrets != nil {
		t.Errorf("a template that may have had none: %v %v", changed, secrets)
	}
	for key, want := range map[string][2]bool{"token": {true, true}, "out": {false, true}, "new": {false, false}} {
		if _, sealed, known := h.Key(app, key); sealed != want[0] || known != want[1] {
			t.Errorf("%s: sealed %v, known %v", key, sealed, known)
		}
	}

	other := *p
	other.Environment = "staging"
	if h, _ := tree.History(&other); len(h.secrets) > 0 {
		t.Error("the lock of another environment counts")
	}
	if changed, secrets := history(nil).LastChange(plan.Input{Name: "TOKEN"}); !changed.IsZero() || secrets != nil {
		t.Error("something is known without a tree")
	}
	if _, ds := (&Tree{Files: map[string][]byte{LockFile: []byte("}")}}).History(p); !ds.HasErrors() {
		t.Error("a lock that is none is read")
	}
}
