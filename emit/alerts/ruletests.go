package alerts

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/victor-ai/victorgen/emit/tree"
)

// situation is a state of the cluster in the unit tests.
type situation string

// The situations. The text of each is the name of its test.
const (
	allIsWell     situation = "all secrets are there and synced: nothing fires"
	secretsGone   situation = "these secrets are gone, and others are there"
	unsealFails   situation = "the controller fails to unseal"
	fetchFails    situation = "the operator fails to fetch"
	nobodyReports situation = "kube-state-metrics, the controller and the operator are down"
)

// promtool evaluates rules from 1970 on, so the tests look every 120 days: a rule
// may name a time decades later. It takes a second.
const testStep = 120 * 24 * time.Hour

// testHorizon is where the tests end. A certificate may be good until 9999, and
// promtool would not get there soon.
var testHorizon = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// The format of promtool
// (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/).
type (
	ruleTests struct {
		RuleFiles          []string   `yaml:"rule_files"`
		EvaluationInterval string     `yaml:"evaluation_interval"`
		Tests              []ruleTest `yaml:"tests"`
	}
	ruleTest struct {
		Name           string       `yaml:"name"`
		Interval       string       `yaml:"interval"`
		InputSeries    []testSeries `yaml:"input_series"`
		AlertRuleTests []alertTest  `yaml:"alert_rule_test"`
	}
	testSeries struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	alertTest struct {
		EvalTime  string        `yaml:"eval_time"`
		Alertname string        `yaml:"alertname"`
		ExpAlerts []firingAlert `yaml:"exp_alerts"`
	}
	firingAlert struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	}
)

// Rules returns the rules as Prometheus' own rule file, which promtool reads.
func (a *Set) Rules() ([]byte, error) {
	y, err := tree.MarshalYAML(a.spec())
	return append([]byte(tree.Header), y...), err
}

// Tests returns unit tests for promtool: each alert fires when it should, and
// not when all is well or when no one reports. rules is the path of the rule
// file, relative to where the tests will lie.
func (a *Set) Tests(rules string) ([]byte, error) {
	t := ruleTests{RuleFiles: []string{rules}, EvaluationInterval: duration(testStep)}
	for _, s := range []situation{allIsWell, secretsGone, unsealFails, fetchFails, nobodyReports} {
		if s == unsealFails && len(a.sealed) == 0 || s == fetchFails && len(a.external) == 0 {
			continue
		}
		t.Tests = append(t.Tests, a.testOf(s))
	}
	t.Tests = append(t.Tests, a.testOfTime())
	b := bytes.NewBufferString(tree.Header)
	enc := yamlv3.NewEncoder(b)
	enc.SetIndent(2)
	err := enc.Encode(t)
	return b.Bytes(), err
}

// testOf looks at all alerts at the end of a situation that lasts for as long as
// each of them needs.
func (a *Set) testOf(s situation) ruleTest {
	end := testStep
	for _, r := range a.all() {
		end = max(end, roundUp(r.hold))
	}
	t := ruleTest{Name: string(s), Interval: "1m", InputSeries: a.series(s, int(end/testStep))}
	for _, name := range a.names() {
		t.AlertRuleTests = append(t.AlertRuleTests, a.lookAt(name, end, func(r alert) bool { return slices.Contains(r.during, s) }))
	}
	return t
}

// series are the metrics of a situation that lasts for so many steps: a sample a
// step, and for increase() one a minute.
func (a *Set) series(s situation, steps int) []testSeries {
	if s == nobodyReports {
		return nil
	}
	const minutes = int(testStep / time.Minute)
	still := func(v string) string { return v + strings.Repeat(fmt.Sprintf(" _x%d %s", minutes-1, v), steps) }
	ksm, controller, operator := a.settings.KubeStateMetrics, a.settings.SealedSecrets, a.settings.ExternalSecrets
	all := []testSeries{{secretInfo(ksm, tree.SecretID{Namespace: "elsewhere", Name: "another"}), still("1")}}
	if len(a.sealed) > 0 {
		all = append(all, testSeries{controllerMetric, still("0")})
	}
	if len(a.external) > 0 {
		all = append(all, testSeries{operatorMetric, still("1")})
	}
	condition, errors := "1", "6+0x%d" // errors of long ago are no news
	if s == unsealFails {
		condition, errors = "-1", "1+1x%d"
	}
	ready, notReady := "1", "0"
	if s == fetchFails {
		ready, notReady = "0", "1"
	}
	for _, id := range a.stores {
		all = append(all, testSeries{storeReady(operator, id, "True"), still(ready)}, testSeries{storeReady(operator, id, "False"), still(notReady)})
	}
	var namespaces []string
	for _, secret := range a.secrets {
		id := secret.ID
		if slices.Contains(a.sealed, id) {
			namespaces = append(namespaces, id.Namespace)
		}
		if s == secretsGone {
			continue
		}
		all = append(all, testSeries{secretInfo(ksm, id), still("1")})
		if slices.Contains(a.sealed, id) {
			all = append(all, testSeries{synced(controller, id), still(condition)})
		}
		if slices.Contains(a.external, id) {
			created := strconv.Itoa(steps * int(testStep/time.Second)) // just now
			all = append(all, testSeries{secretCreated(ksm, id), still(created)},
				testSeries{externalReady(operator, id, "True"), still(ready)}, testSeries{externalReady(operator, id, "False"), still(notReady)})
		}
	}
	slices.Sort(namespaces)
	for _, ns := range slices.Compact(namespaces) {
		series := selector(unsealErrorsMetric, controller.NamespaceLabel, ns, "reason", "unseal")
		all = append(all, testSeries{series, fmt.Sprintf(errors, steps*minutes)})
	}
	return all
}

// testOfTime looks at the alerts that time alone decides, before and after their
// times. The Secrets were created in 1970.
func (a *Set) testOfTime() ruleTest {
	t := ruleTest{Name: "time passes", Interval: duration(testStep)}
	var end time.Duration
	for _, r := range a.all() {
		if at, ok := r.firesAt(); ok {
			end = max(end, at)
		}
	}
	for _, id := range a.external {
		t.InputSeries = append(t.InputSeries, testSeries{secretCreated(a.settings.KubeStateMetrics, id), fmt.Sprintf("0x%d", end/testStep)})
	}
	for _, name := range a.names() {
		looks := map[time.Duration]bool{}
		for _, r := range a.all() {
			if at, ok := r.firesAt(); ok && r.name == name {
				looks[at-testStep], looks[at] = true, true
			}
		}
		for _, now := range slices.Sorted(maps.Keys(looks)) {
			t.AlertRuleTests = append(t.AlertRuleTests, a.lookAt(name, now, func(r alert) bool {
				at, ok := r.firesAt()
				return ok && at <= now
			}))
		}
	}
	return t
}

// firesAt returns how long after 1970 the tests see an alert fire that time
// alone decides.
func (a *alert) firesAt() (time.Duration, bool) {
	if a.after.IsZero() || a.after.After(testHorizon) {
		return 0, false
	}
	return roundUp(a.after.Sub(time.Unix(0, 0))+1) + roundUp(a.hold), true
}

// lookAt expects those of the alerts of a name that fire then.
func (a *Set) lookAt(name string, at time.Duration, fires func(alert) bool) alertTest {
	t := alertTest{EvalTime: duration(at), Alertname: name, ExpAlerts: []firingAlert{}}
	for _, r := range a.all() {
		if r.name == name && fires(r) {
			labels := maps.Clone(r.gives)
			if labels == nil {
				labels = map[string]string{}
			}
			maps.Copy(labels, r.rule.Labels)
			t.ExpAlerts = append(t.ExpAlerts, firingAlert{labels, r.rule.Annotations})
		}
	}
	return t
}

// all are the alerts of all groups.
func (a *Set) all() []alert {
	var all []alert
	for _, g := range a.groups {
		all = append(all, g.alerts...)
	}
	return all
}

// names are those of the alerts, sorted.
func (a *Set) names() []string {
	names := map[string]bool{}
	for _, r := range a.all() {
		names[r.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// roundUp rounds up to whole steps.
func roundUp(d time.Duration) time.Duration {
	return (d + testStep - 1) / testStep * testStep
}
