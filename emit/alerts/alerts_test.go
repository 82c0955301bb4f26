package alerts

import (
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// names are the alerts that there are.
var names = []string{
	"SecretMissing", "SecretMetricsMissing", "SecretStale", "InputExpiring", "SealedSecretNotSynced", "SealedSecretNotReconciled", "SealedSecretUnsealErrors",
	"SealedSecretMetricsMissing", "SealingCertificateExpiring", "ExternalSecretMetricsMissing", "SecretStoreNotReady", "ExternalSecretNotReconciled", "ExternalSecretNotReady",
}

// TestTried: each alert fires in some situation of the tests for promtool, or at some
// time.
func TestTried(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 3, 31, 0, 0, 0, 0, time.UTC)
	token := plan.Input{Name: "TOKEN", MaxAge: 24 * time.Hour, Expires: at}
	p := &plan.Plan{Environment: "production", PartOf: "app", Namespace: "apps", Inputs: []plan.Input{token}, Alerts: &plan.Alerts{Rules: map[string]plan.Alert{}}}
	for _, name := range names {
		p.Alerts.Rules[name] = plan.Alert{Severity: "warning"}
	}
	all := Of(p, tree.History{}, []Secret{
		{ID: tree.SecretID{Namespace: "apps", Name: "sealed"}, SealedFor: &sealing.Certificate{SHA256: "ab", NotAfter: at}},
		{ID: tree.SecretID{Namespace: "apps", Name: "fetched"}, Fetched: []plan.Input{token}},
	}, []StoreID{{Kind: "SecretStore", Namespace: "apps", Name: "s"}})
	seen := map[string]bool{}
	for _, r := range all.all() {
		seen[r.name] = true
		if len(r.during) == 0 && r.after.IsZero() {
			t.Errorf("no test has %s fire", r.name)
		}
	}
	for _, name := range names {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}
