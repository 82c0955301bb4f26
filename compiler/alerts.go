package compiler

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// labelName is what Prometheus accepts as the name of a label, whichever version it is of
// (https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels).
var labelName = lazy.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// alerts checks what the contract says of alerting rules; nil is nothing.
func (c *compilation) alerts(s *alertsSpec) *plan.Alerts {
	if s == nil {
		return nil
	}
	a := &plan.Alerts{
		Labels:           s.Labels,
		AlertLabels:      s.AlertLabels,
		Runbook:          s.Runbook,
		CertificateEnds:  c.duration(s.CertificateEnds, "alerts", "certificateEnds"),
		RotationOverdue:  c.duration(s.RotationOverdue, "alerts", "rotationOverdue"),
		ExpiryNotice:     c.duration(s.ExpiryNotice, "alerts", "expiryNotice"),
		KubeStateMetrics: plan.Exporter(s.KubeStateMetrics),
		SealedSecrets:    plan.Exporter(s.SealedSecrets),
		ExternalSecrets:  plan.Exporter(s.ExternalSecrets),
		Rules:            map[string]plan.Alert{},
	}
	usual := c.duration(s.For, "alerts", "for")
	for name, r := range s.Rules {
		rule := plan.Alert{For: usual, Severity: cmp.Or(r.Severity, s.Severity)}
		if r.For != "" {
			rule.For = c.duration(r.For, "alerts", "rules", name, "for")
		}
		if r.Enabled {
			a.Rules[name] = rule
		}
	}
	c.checkLabels("the PrometheusRule", s.Labels, "alerts", "labels")
	for _, k := range sortedKeys(s.AlertLabels) {
		at := last(c.ix.declared("alerts", "alertLabels", k))
		if !labelName.MatchString(k) || strings.HasPrefix(k, "__") {
			c.ds.Errorf(plan.CodeName, at, "use letters, digits and underscores, as in cost_center; two underscores at the start are Prometheus' own",
				"alert label %q is not a name that Prometheus accepts", k)
		} else if slices.Contains(plan.OwnAlertLabels, k) {
			c.ds.Errorf(plan.CodeMisplaced, at, "remove it; severity is a field of alerts", "alert label %s is victorgen's own", k)
		}
	}
	if s.Runbook != "" {
		if u, err := url.Parse(s.Runbook); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			c.ds.Errorf(plan.CodeConstraint, last(c.ix.set("alerts", "runbook")), "write https://HOST/PATH#{alert}",
				"alerts.runbook is not a valid URL")
		}
	}
	return a
}

// duration reads a duration from the field at path. An empty one is one that CUE
// has complained of.
func (c *compilation) duration(text string, path ...string) time.Duration {
	d, err := parseDuration(text)
	if (err != nil || d < 0) && text != "" {
		c.ds.Errorf(plan.CodeConstraint, last(c.ix.set(path...)), durationHint, "%s is %q, which is not a duration", dotted(path), text)
	}
	return d
}
