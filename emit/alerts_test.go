package emit

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// alerting adds alerts to p, all of them.
func alerting(p *plan.Plan) *plan.Plan {
	p.Alerts = &plan.Alerts{
		CertificateEnds: 30 * 24 * time.Hour, ExpiryNotice: 32 * 24 * time.Hour, KubeStateMetrics: plan.Exporter{NamespaceLabel: "namespace"},
		SealedSecrets: plan.Exporter{NamespaceLabel: "exported_namespace"}, Rules: map[string]plan.Alert{},
	}
	for _, name := range []string{
		"SecretMissing", "SecretMetricsMissing", "SecretStale", "SealedSecretNotSynced", "SealedSecretNotReconciled",
		"SealedSecretUnsealErrors", "SealedSecretMetricsMissing", "SealingCertificateExpiring", "InputExpiring",
	} {
		p.Alerts.Rules[name] = plan.Alert{For: 15 * time.Minute, Severity: "warning"}
	}
	for i := range p.Inputs {
		switch p.Inputs[i].Name {
		case "DB_PASSWORD":
			p.Inputs[i].MaxAge = 90 * 24 * time.Hour
		case "DB_USER":
			p.Inputs[i].Expires, p.Inputs[i].Owner = time.Date(2031, 3, 31, 0, 0, 0, 0, time.UTC), "team storage"
		case "API_KEY":
			p.Inputs[i].Expires = time.Date(2031, 3, 31, 0, 0, 0, 0, time.UTC) // it may be absent
		}
	}
	return p
}

// rulesOf returns the rules of the PrometheusRule in a tree, which it reads as
// the API server does, by the name of the alert.
func rulesOf(t *testing.T, built *tree.Tree) map[string][]monitoringv1.Rule {
	t.Helper()
	var pr monitoringv1.PrometheusRule
	if err := yaml.UnmarshalStrict(built.Files[tree.AlertsFile], &pr); err != nil {
		t.Fatal(err)
	}
	if pr.APIVersion != "monitoring.coreos.com/v1" || pr.Kind != "PrometheusRule" || pr.Name == "" || pr.Namespace != "victor" {
		t.Errorf("%s %s %s/%s", pr.APIVersion, pr.Kind, pr.Namespace, pr.Name)
	}
	rules := map[string][]monitoringv1.Rule{}
	for _, g := range pr.Spec.Groups {
		for _, r := range g.Rules {
			rules[r.Alert] = append(rules[r.Alert], r)
		}
	}
	return rules
}

// TestRuleTests: the unit tests for promtool, and that the rule file that they
// read has the rules of the manifest. VICTORGEN_UPDATE=1 rewrites the golden.
func TestRuleTests(t *testing.T) {
	t.Parallel()
	o := at(day)
	o.Sealer = emittest.Sealer{}
	built, report := mustEmit(t, alerting(testPlan(t, "testdata/cert.pem")), testValues(), nil, o)
	got, err := report.Alerts.Tests("x.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/rule-tests.yaml"
	if os.Getenv("VICTORGEN_UPDATE") != "" {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	rules, err := report.Alerts.Rules()
	if err != nil {
		t.Fatal(err)
	}
	var manifest monitoringv1.PrometheusRule
	var plain monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(built.Files[tree.AlertsFile], &manifest); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(rules, &plain); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(manifest.Spec, plain); diff != "" {
		t.Errorf("(-manifest +rule file)\n%s", diff)
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	p := alerting(testPlan(t, emittest.CertFile(t, 0)))
	p.Secrets = append(p.Secrets, secret(t, p.Secrets[0].Delivery.Certificate, plan.Strict, "xtra", "api-key", "API_KEY"))
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	rules := rulesOf(t, built)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(p.Alerts.Rules)), slices.Sorted(maps.Keys(rules))); diff != "" {
		t.Errorf("alerts (-asked +given):\n%s", diff)
	}
	for name, n := range map[string]int{"SecretMissing": 3, "SealedSecretNotSynced": 3, "SealedSecretUnsealErrors": 1} {
		if len(rules[name]) != n { // but for xtra, which is left out
			t.Errorf("%d rules %s, not %d", len(rules[name]), name, n)
		}
	}
	// A series is mostly born with its first error, which increase() does not see.
	if expr := rules["SealedSecretUnsealErrors"][0].Expr.String(); !regexp.MustCompile(`increase\((.*?)\[\w+\]\) > 0 or \((.*?) unless last_over_time\(.*?\[1d\] offset \w+\)\) > 0`).MatchString(expr) {
		t.Errorf("the first error of a series is not seen by %s", expr)
	}
	for name, rs := range rules {
		for _, r := range rs {
			for label := range r.Labels {
				if !slices.Contains(plan.OwnAlertLabels, label) && label != "owner" { // a contract may set one for alerts about what has none
					t.Errorf("%s has label %s, which a contract may set", name, label)
				}
			}
		}
	}

	expiring := rules["InputExpiring"]
	if len(expiring) != 1 || expiring[0].Labels["input"] != "DB_USER" || expiring[0].Labels["owner"] != "team storage" ||
		expiring[0].Expr.StrVal != "vector(time() - 1929916800) > 0" || !strings.Contains(expiring[0].Annotations["description"], "Get a new one from team storage") { // 2031-02-27
		t.Errorf("%+v", expiring)
	}

	if again, _ := mustEmit(t, p, testValues(), built, at(day.AddDate(0, 0, 5))); !cmp.Equal(built, again) {
		t.Errorf("the second build differs:\n%s", cmp.Diff(built, again))
	}

	// One alert that is off, then all.
	delete(p.Alerts.Rules, "SecretStale")
	built, _ = mustEmit(t, p, testValues(), nil, at(day))
	if _, ok := rulesOf(t, built)["SecretStale"]; ok {
		t.Error("an alert that is off is there")
	}
	clear(p.Alerts.Rules)
	if built, report := mustEmit(t, p, testValues(), nil, at(day)); built.Files[tree.AlertsFile] != nil || report.Alerts != nil {
		t.Error("there are rules though all are off")
	}
}

// TestStale: an input is as old as the oldest key made from it, and the rule
// moves with its value, not with other inputs of the same keys.
func TestStale(t *testing.T) {
	t.Parallel()
	p, values := alerting(testPlan(t, emittest.CertFile(t, 0))), testValues()
	stale := func(built *tree.Tree) string {
		t.Helper()
		rs := rulesOf(t, built)["SecretStale"]
		if len(rs) != 1 || rs[0].Labels["input"] != "DB_PASSWORD" || !strings.Contains(rs[0].Annotations["description"], "in victor/app.") {
			t.Fatalf("%+v", rs)
		}
		return rs[0].Expr.StrVal
	}
	built, _ := mustEmit(t, p, values, nil, at(day))
	const first = "vector(time() - 1777867506) > 0" // 2026-05-04T04:05:06Z
	if got := stale(built); got != first {
		t.Error(got)
	}
	values["DB_USER"] = present("another") // database-url changes, password does not
	built, _ = mustEmit(t, p, values, built, at(day.AddDate(0, 0, 10)))
	if got := stale(built); got != first {
		t.Error(got)
	}
	p.Alerts.RotationOverdue = 24 * time.Hour
	values["DB_PASSWORD"] = present("changed-kd83hd02")
	built, _ = mustEmit(t, p, values, built, at(day.AddDate(0, 0, 10)))
	if got := stale(built); got != "vector(time() - 1778817906) > 0" { // 11 days later
		t.Error(got)
	}

	// One that may be absent counts only where the lock tells that it is there.
	for i := range p.Inputs {
		if p.Inputs[i].Name == "DB_PASSWORD" {
			p.Inputs[i].Class = plan.Optional
		}
	}
	app := &p.Secrets[0]
	built, _ = mustEmit(t, p, values, built, at(day.AddDate(0, 0, 10)))
	if got := stale(built); got != "vector(time() - 1778817906) > 0" {
		t.Error(got)
	}
	app.Keys = slices.DeleteFunc(app.Keys, func(k plan.Key) bool { return k.Name == "password" })
	built, _ = mustEmit(t, p, values, built, at(day.AddDate(0, 0, 10)))
	if rs := rulesOf(t, built)["SecretStale"]; len(rs) > 0 {
		t.Errorf("%+v", rs)
	}
}
