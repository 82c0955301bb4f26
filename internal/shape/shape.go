// Package shape has the shape of the objects of Kubernetes and of operators that a tree is made of
// and that a cluster is asked for: the fields that are written or read here, under
// the names that these give them. Their own modules bring their clients and
// controllers along, so these are for the tests, which hold each object of each tree
// to their types and CustomResourceDefinitions.
package shape

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition is what a controller says of an object.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Reference names an object of a kind in the namespace of who refers to it.
type Reference struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Name       string `json:"name,omitempty"`
}

// The PrometheusRule of the Prometheus Operator
// (https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule).
const (
	PrometheusRuleKind    = "PrometheusRule"
	PrometheusRuleVersion = "monitoring.coreos.com/v1"
)

// PrometheusRule is rules for Prometheus.
type PrometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              PrometheusRuleSpec `json:"spec"`
}

// PrometheusRuleSpec is the spec of a [PrometheusRule], and what a file of rules is to
// Prometheus.
type PrometheusRuleSpec struct {
	Groups []RuleGroup `json:"groups,omitempty"`
}

// RuleGroup is rules that are evaluated together.
type RuleGroup struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is one alert.
type Rule struct {
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"` // as Prometheus writes durations
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}
