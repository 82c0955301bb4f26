// Package alerts is the alerting rules about the secrets of a tree, and the unit tests
// for promtool that show when each of them fires.
package alerts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// errorsWindow is how long an error of the controller is news.
const errorsWindow = 15 * time.Minute

// Set is the alerting rules of a tree.
type Set struct {
	groups   []alertGroup
	settings *plan.Alerts
	plan     *plan.Plan
	history  tree.History
	secrets  []Secret        // those of the tree
	sealed   []tree.SecretID // those of them that are SealedSecrets
	external []tree.SecretID // those of them that are ExternalSecrets
	stores   []StoreID       // that these refer to
}

// StoreID names a SecretStore, or a ClusterSecretStore, which has no namespace.
type StoreID struct{ Kind, Namespace, Name string }

func (s StoreID) String() string {
	if s.Namespace == "" {
		return s.Kind + " " + s.Name
	}
	return s.Kind + " " + tree.SecretID{Namespace: s.Namespace, Name: s.Name}.String()
}

type alertGroup struct {
	name   string
	alerts []alert
}

// alert is one alerting rule, and what its unit tests must know of it.
type alert struct {
	name                 string
	expr                 string
	labels               map[string]string // besides those that all alerts have
	summary, description string

	during []situation       // of the tests, in which it fires
	gives  map[string]string // the labels that expr gives then
	after  time.Time         // it fires after that, if the time alone decides

	rule shape.Rule    // made of the above
	hold time.Duration // rule.For
}

// Secret is a secret of the tree, as far as alerts go by it.
type Secret struct {
	ID        tree.SecretID
	SealedFor *sealing.Certificate // nil if it is not sealed
	Fetched   []plan.Input         // what the External Secrets Operator fetches for it, by name; none if it does not
}

// Of returns the alerting rules for the secrets of a tree, of which its lock
// knows that history, and for the stores that they refer to; nil if the contract asks
// for none.
func Of(p *plan.Plan, history tree.History, secrets []Secret, stores []StoreID) *Set {
	if p.Alerts == nil {
		return nil
	}
	a := &Set{settings: p.Alerts, plan: p, history: history, secrets: secrets, stores: stores}
	for _, s := range secrets {
		if s.SealedFor != nil {
			a.sealed = append(a.sealed, s.ID)
		}
		if len(s.Fetched) > 0 {
			a.external = append(a.external, s.ID)
		}
	}
	for _, g := range []alertGroup{
		{"secrets", a.aboutSecrets()},
		{"rotation", slices.Concat(a.aboutRotation(), a.aboutExternalRotation(), a.aboutExpiry(), a.aboutPrevious())},
		{"sealed-secrets", append(a.aboutController(), a.aboutCertificates()...)},
		{"external-secrets", a.aboutOperator()},
	} {
		g.name = ruleName(p) + "-" + g.name
		g.alerts = slices.DeleteFunc(g.alerts, func(r alert) bool {
			_, on := a.settings.Rules[r.name]
			return !on
		})
		for i := range g.alerts {
			g.alerts[i].finish(p)
		}
		if len(g.alerts) > 0 {
			a.groups = append(a.groups, g)
		}
	}
	if len(a.groups) == 0 {
		return nil
	}
	return a
}

// aboutSecrets are the rules about Secrets, however these are delivered.
func (a *Set) aboutSecrets() []alert {
	ksm := a.settings.KubeStateMetrics
	alerts := []alert{{
		name: "SecretMetricsMissing", expr: secretMetricsMissing(), during: []situation{nobodyReports},
		summary:     "Prometheus sees no Secrets",
		description: "kube-state-metrics is down, or does not report Secrets. It would go unnoticed if one were missing.",
	}}
	for _, secret := range a.secrets {
		s := secret.ID
		alerts = append(alerts, alert{
			name: "SecretMissing", expr: secretMissing(ksm, s), labels: labelsOf(s),
			during: []situation{secretsGone}, gives: map[string]string{ksm.NamespaceLabel: s.Namespace, "secret": s.Name},
			summary:     fmt.Sprintf("Secret %s is missing", s),
			description: fmt.Sprintf("Secret %s is declared, but is not in the cluster. What needs it does not start.", s),
		})
	}
	return alerts
}

// aboutRotation are the rules about inputs that have a maxAge.
func (a *Set) aboutRotation() []alert {
	var alerts []alert
	for _, in := range a.plan.Inputs {
		changed, secrets := a.history.LastChange(in)
		if in.MaxAge == 0 || len(secrets) == 0 {
			continue
		}
		due, is := changed.Add(in.MaxAge), "It is"
		if !slices.ContainsFunc(a.plan.Secrets, func(s plan.Secret) bool {
			return slices.ContainsFunc(s.Keys, func(k plan.Key) bool { return slices.Contains(k.Inputs(), in.Name) })
		}) {
			is = "What is made from it is"
		}
		alerts = append(alerts, alert{
			name: "SecretStale", expr: later(due.Add(a.plan.Alerts.RotationOverdue)), labels: map[string]string{"input": in.Name},
			after:   due.Add(a.plan.Alerts.RotationOverdue),
			summary: fmt.Sprintf("Input %s is due for rotation", in.Name),
			description: fmt.Sprintf("Input %s has not changed since %s, and its maxAge is %s. %s in %s. Give it a new value, build and deploy.",
				in.Name, changed.Format(time.DateOnly), plan.Age(in.MaxAge), is, plan.And(secrets)),
		})
	}
	return alerts
}

// aboutExternalRotation are the rules about inputs that have a maxAge and are in
// external secrets. Only the source knows when one changed. What Prometheus
// knows is when the Secret was created; that does not move with what is in it.
func (a *Set) aboutExternalRotation() []alert {
	var alerts []alert
	for _, s := range a.secrets {
		id := s.ID
		for _, in := range s.Fetched {
			if in.MaxAge == 0 {
				continue
			}
			labels, age := labelsOf(id), in.MaxAge+a.plan.Alerts.RotationOverdue
			labels["input"] = in.Name
			alerts = append(alerts, alert{
				name: "SecretStale", expr: createdBefore(a.plan.Alerts.KubeStateMetrics, id, age), labels: labels,
				after:   time.Unix(0, 0).Add(age), // in the tests, which create it in 1970
				summary: fmt.Sprintf("Input %s may be due for rotation", in.Name),
				description: fmt.Sprintf("Secret %s is older than the maxAge of input %s, %s. Only its source knows whether the input has changed since: check with victorgen verify --source, and give it a new value if it is due. Then delete the Secret; the operator recreates it.",
					id, in.Name, plan.Age(in.MaxAge)),
			})
		}
	}
	return alerts
}

// aboutExpiry are the rules about inputs that a Secret of the tree has, and that end
// on a day.
func (a *Set) aboutExpiry() []alert {
	var alerts []alert
	for _, in := range a.plan.Inputs {
		_, secrets := a.history.LastChange(in)
		fetched := slices.ContainsFunc(a.secrets, func(s Secret) bool {
			return slices.ContainsFunc(s.Fetched, func(f plan.Input) bool { return f.Name == in.Name })
		})
		if in.Expires.IsZero() || in.MayBeAbsent() && len(secrets) == 0 && !fetched {
			continue
		}
		at := in.Expires.Add(-a.plan.Alerts.ExpiryNotice)
		alerts = append(alerts, alert{
			name: "InputExpiring", expr: later(at), labels: map[string]string{"input": in.Name},
			after:   at,
			summary: fmt.Sprintf("Input %s expires on %s", in.Name, in.Expires.Format(time.DateOnly)),
			description: fmt.Sprintf("Input %s expires on %s, according to the contract. Get a new one from %s, replace it at its source, write the new date as expires, build and deploy.",
				in.Name, in.Expires.Format(time.DateOnly), in.Ask()),
		})
	}
	return alerts
}

// aboutPrevious are the rules about previous values that are in the tree: when
// their time is over a build is due.
func (a *Set) aboutPrevious() []alert {
	var alerts []alert
	for _, was := range a.plan.Previous() {
		end, known := a.history.PreviousEnd(was)
		if !known {
			continue
		}
		name, at := was.PreviousOf(), end.Add(a.plan.Alerts.RotationOverdue)
		var secrets []string
		for _, s := range a.plan.Secrets {
			if slices.ContainsFunc(s.Keys, func(k plan.Key) bool { return slices.Contains(k.Inputs(), was.Name) }) {
				secrets = append(secrets, tree.SecretID{Namespace: s.Namespace, Name: s.Name}.String())
			}
		}
		alerts = append(alerts, alert{
			name: "PreviousValueOverdue", expr: later(at), labels: map[string]string{"input": name}, after: at,
			summary: fmt.Sprintf("The previous value of input %s is still in use", name),
			description: fmt.Sprintf("The value that input %s had before its last rotation counted until %s, and is still in %s. Build and deploy to remove it.",
				name, end.UTC().Format(time.RFC3339), plan.And(secrets)),
		})
	}
	return alerts
}

// aboutOperator are the rules about ExternalSecrets, their stores, and the
// operator.
func (a *Set) aboutOperator() []alert {
	if len(a.external) == 0 {
		return nil
	}
	operator := a.settings.ExternalSecrets
	alerts := []alert{{
		name: "ExternalSecretMetricsMissing", expr: operatorMissing(), during: []situation{nobodyReports}, gives: map[string]string{"controller": "externalsecret"},
		summary:     "Prometheus sees no External Secrets Operator",
		description: "The External Secrets Operator is down, or is not scraped. It would go unnoticed if it failed to fetch.",
	}}
	for _, s := range a.stores {
		labels := map[string]string{"store": s.Name}
		if s.Namespace != "" {
			labels["namespace"] = s.Namespace
		}
		alerts = append(alerts, alert{
			name: "SecretStoreNotReady", expr: storeNotReady(operator, s), labels: labels,
			during:      []situation{fetchFails},
			summary:     fmt.Sprintf("%s is not ready", s),
			description: fmt.Sprintf("The External Secrets Operator cannot use %s, whose status says why. The Secrets that are fetched through it keep what they have.", s),
		})
	}
	for _, s := range a.external {
		alerts = append(alerts, alert{
			name: "ExternalSecretNotReconciled", expr: externalNotReconciled(operator, s), labels: labelsOf(s),
			during:      []situation{secretsGone},
			gives:       map[string]string{operator.NamespaceLabel: s.Namespace, "name": s.Name, "condition": "Ready", "status": "True"},
			summary:     fmt.Sprintf("ExternalSecret %s was never reconciled", s),
			description: fmt.Sprintf("ExternalSecret %s is declared, but the External Secrets Operator does not know it: it is not in the cluster, or not in a namespace that the operator watches.", s),
		}, alert{
			name: "ExternalSecretNotReady", expr: externalNotReady(operator, s), labels: labelsOf(s),
			during:      []situation{fetchFails},
			summary:     fmt.Sprintf("ExternalSecret %s is not ready", s),
			description: fmt.Sprintf("The External Secrets Operator could not make Secret %s of its ExternalSecret, whose status says why. What the Secret holds, if it is there, is out of date.", s),
		})
	}
	return alerts
}

// aboutController are the rules about SealedSecrets and their controller.
func (a *Set) aboutController() []alert {
	if len(a.sealed) == 0 {
		return nil
	}
	controller := a.settings.SealedSecrets
	alerts := []alert{{
		name: "SealedSecretMetricsMissing", expr: controllerMissing(), during: []situation{nobodyReports},
		summary:     "Prometheus sees no sealed-secrets controller",
		description: "The sealed-secrets controller is down, or is not scraped. It would go unnoticed if it failed to unseal.",
	}}
	var namespaces []string
	for _, s := range a.sealed {
		namespaces = append(namespaces, s.Namespace)
		if controller.OmitsSecretLabels {
			continue // the series that they look for is never there
		}
		alerts = append(alerts, alert{
			name: "SealedSecretNotReconciled", expr: notReconciled(controller, s), labels: labelsOf(s),
			during: []situation{secretsGone}, gives: map[string]string{controller.NamespaceLabel: s.Namespace, "name": s.Name, "condition": "Synced"},
			summary:     fmt.Sprintf("SealedSecret %s was never reconciled", s),
			description: fmt.Sprintf("SealedSecret %s is declared, but the sealed-secrets controller does not know it: it is not in the cluster, or not in a namespace that the controller watches.", s),
		}, alert{
			name: "SealedSecretNotSynced", expr: notSynced(controller, s), labels: labelsOf(s),
			during:      []situation{unsealFails},
			summary:     fmt.Sprintf("SealedSecret %s is not synced", s),
			description: fmt.Sprintf("The sealed-secrets controller could not make Secret %s of its SealedSecret, whose status says why. What the Secret holds, if it is there, is out of date.", s),
		})
	}
	slices.Sort(namespaces)
	for _, ns := range slices.Compact(namespaces) {
		alerts = append(alerts, alert{
			name: "SealedSecretUnsealErrors", labels: map[string]string{"namespace": ns},
			// An alert fires only if its cause outlasts `for`.
			expr:   unsealErrorsWithin(controller, ns, errorsWindow+a.settings.Rules["SealedSecretUnsealErrors"].For),
			during: []situation{unsealFails}, gives: map[string]string{"reason": "unseal"},
			summary:     fmt.Sprintf("The sealed-secrets controller has errors in namespace %s", ns),
			description: fmt.Sprintf("The sealed-secrets controller failed on a SealedSecret in namespace %s. Its events say on which one and why.", ns),
		})
	}
	return alerts
}

// aboutCertificates are the rules about the certificates that the secrets of
// the tree are sealed for.
func (a *Set) aboutCertificates() []alert {
	certificates, secrets := map[string]*sealing.Certificate{}, map[string][]string{}
	for _, s := range a.secrets {
		if c := s.SealedFor; c != nil {
			certificates[c.SHA256] = c
			secrets[c.SHA256] = append(secrets[c.SHA256], s.ID.String())
		}
	}
	var alerts []alert
	for _, sha := range slices.Sorted(maps.Keys(certificates)) {
		end := certificates[sha].NotAfter
		alerts = append(alerts, alert{
			name: "SealingCertificateExpiring", expr: later(end.Add(-a.plan.Alerts.CertificateEnds)), labels: map[string]string{"certificate": sha},
			after:   end.Add(-a.plan.Alerts.CertificateEnds),
			summary: fmt.Sprintf("A sealing certificate ends on %s", end.UTC().Format(time.DateOnly)),
			description: fmt.Sprintf("The sealing certificate of %s ends on %s. What is sealed can still be unsealed after that, but nothing new can be sealed. Fetch the new one, build and deploy.",
				plan.And(secrets[sha]), end.UTC().Format(time.DateOnly)),
		})
	}
	return alerts
}

func labelsOf(s tree.SecretID) map[string]string {
	return map[string]string{"namespace": s.Namespace, "secret": s.Name}
}

// finish makes the rule.
func (a *alert) finish(p *plan.Plan) {
	own := p.Alerts.Rules[a.name]
	labels := map[string]string{}
	maps.Copy(labels, p.Alerts.AlertLabels)
	labels["severity"], labels["environment"], labels["namespace"] = own.Severity, p.Environment, p.Namespace
	maps.Copy(labels, a.labels)
	if in, ok := p.Input(a.labels["input"]); ok && in.Owner != "" {
		labels["owner"] = in.Owner
	}
	a.hold = own.For
	a.rule = shape.Rule{
		Alert: a.name, Expr: a.expr, For: duration(a.hold), Labels: labels,
		Annotations: map[string]string{"summary": a.summary, "description": a.description},
	}
	if p.Alerts.Runbook != "" {
		a.rule.Annotations["runbook_url"] = strings.ReplaceAll(p.Alerts.Runbook, "{alert}", a.name)
	}
}

func (a *Set) spec() shape.PrometheusRuleSpec {
	var spec shape.PrometheusRuleSpec
	for _, g := range a.groups {
		group := shape.RuleGroup{Name: g.name}
		for _, r := range g.alerts {
			group.Rules = append(group.Rules, r.rule)
		}
		spec.Groups = append(spec.Groups, group)
	}
	return spec
}

// Manifest writes the manifest that gives the rules to the Prometheus Operator.
func (a *Set) Manifest() ([]byte, error) {
	p := a.plan
	labels := map[string]string{}
	maps.Copy(labels, p.Alerts.Labels)
	labels[tree.LabelManagedBy], labels[tree.LabelPartOf] = tree.ManagedBy, p.PartOf
	y, err := tree.MarshalYAML(shape.PrometheusRule{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.PrometheusRuleVersion, Kind: shape.PrometheusRuleKind},
		ObjectMeta: metav1.ObjectMeta{Name: ruleName(p), Namespace: p.Namespace, Labels: labels},
		Spec:       a.spec(),
	})
	return append([]byte(tree.Header), y...), err
}

// ruleName is a name for the rules that no other environment and application of
// the namespace has. partOf is a label value, which may have characters that a
// name may not.
func ruleName(p *plan.Plan) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(p.PartOf)) + "-" + p.Environment
}
