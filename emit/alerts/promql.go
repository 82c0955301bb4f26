package alerts

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// This file has all PromQL. Each function returns an expression that gives
// something when an alert should fire, and nothing otherwise.
//
// A gauge of something that exists goes away with it. So `m == 0` never gives
// anything, absent(m) does; but that does so too when no one is there to report
// m. Hence the right side of `and on()`: a metric that stands for the exporter
// itself.

// selector writes a metric with labels, given by name and value: the series that
// have them, and in a unit test the series itself.
func selector(metric string, labels ...string) string {
	var pairs []string
	for i := 0; i < len(labels); i += 2 {
		pairs = append(pairs, fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
	}
	return metric + "{" + strings.Join(pairs, ", ") + "}"
}

// duration writes d as Prometheus does, to the millisecond: 90s as 1m30s, and 90d not as
// 12w6d (https://github.com/prometheus/common/blob/v0.73.1/model/time.go).
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	rest, sign, text := d.Truncate(time.Millisecond), "", ""
	if rest < 0 {
		rest, sign = -rest, "-"
	}
	for _, unit := range []struct {
		name  string
		of    time.Duration
		whole bool // if there is nothing else
	}{
		{"y", 365 * day, true}, {"w", 7 * day, true}, {"d", day, false}, {"h", time.Hour, false},
		{"m", time.Minute, false}, {"s", time.Second, false}, {"ms", time.Millisecond, false},
	} {
		if n := rest / unit.of; n > 0 && (!unit.whole || rest%unit.of == 0) {
			text += fmt.Sprintf("%d%s", n, unit.name)
			rest %= unit.of
		}
	}
	return sign + cmp.Or(text, "0s")
}

// secretInfoMetric is 1 for each Secret that there is
// (https://github.com/kubernetes/kube-state-metrics/blob/v2.15.0/docs/metrics/storage/secret-metrics.md).
const secretInfoMetric = "kube_secret_info"

// secretInfo is the series of one Secret.
func secretInfo(ksm plan.Exporter, s tree.SecretID) string {
	return selector(secretInfoMetric, ksm.NamespaceLabel, s.Namespace, "secret", s.Name)
}

// secretMissing: the Secret is gone, and others are there.
func secretMissing(ksm plan.Exporter, s tree.SecretID) string {
	return fmt.Sprintf("absent(%s) and on() count(%s)", secretInfo(ksm, s), secretInfoMetric)
}

// secretMetricsMissing: there is no Secret at all. Every cluster has some.
func secretMetricsMissing() string { return fmt.Sprintf("absent(%s)", secretInfoMetric) }

// later: it is later than t, which stands in the rule, for no metric has it. The
// value is by how many seconds.
func later(t time.Time) string { return fmt.Sprintf("vector(time() - %d) > 0", t.Unix()) }

// The metrics of the sealed-secrets controller
// (https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/controller/metrics.go).
const (
	// conditionMetric is -1, 0 or 1 for a condition that is false, unknown or
	// true. The controller has it of each SealedSecret that it has looked at
	// since it started.
	conditionMetric = "sealed_secrets_controller_condition_info"
	// unsealErrorsMetric counts by namespace and reason. A series is born with
	// its first error.
	unsealErrorsMetric = "sealed_secrets_controller_unseal_errors_total"
	// controllerMetric is there while the controller runs. Its value is 0.
	controllerMetric = "sealed_secrets_controller_build_info"
)

// synced is the series that says whether a SealedSecret is unsealed.
func synced(controller plan.Exporter, s tree.SecretID) string {
	return selector(conditionMetric, controller.NamespaceLabel, s.Namespace, "name", s.Name, "condition", "Synced")
}

// unsealErrors are the series of the errors in a namespace.
func unsealErrors(controller plan.Exporter, namespace string) string {
	return selector(unsealErrorsMetric, controller.NamespaceLabel, namespace)
}

// notSynced: the controller does not say that it unsealed it.
func notSynced(controller plan.Exporter, s tree.SecretID) string {
	return fmt.Sprintf("min(%s) < 1", synced(controller, s))
}

// notReconciled: the controller runs, and has nothing to say of it.
func notReconciled(controller plan.Exporter, s tree.SecretID) string {
	return fmt.Sprintf("absent(%s) and on() count(%s)", synced(controller, s), controllerMetric)
}

// unsealErrorsWithin: errors were counted within the window. The controller
// gives up after a few retries within a second, so that mostly a series is born
// with its last value, which increase() does not see: one that was not there in
// the day before the window counts, too.
func unsealErrorsWithin(controller plan.Exporter, namespace string, window time.Duration) string {
	errors, w := unsealErrors(controller, namespace), duration(window)
	return fmt.Sprintf("sum by (reason) (increase(%s[%s]) > 0 or (%s unless last_over_time(%s[1d] offset %s)) > 0)",
		errors, w, errors, errors, w)
}

// controllerMissing: no controller is there.
func controllerMissing() string { return fmt.Sprintf("absent(%s)", controllerMetric) }

// secretCreated is when a Secret was created, in seconds of Unix time
// (https://github.com/kubernetes/kube-state-metrics/blob/v2.15.0/docs/metrics/storage/secret-metrics.md).
func secretCreated(ksm plan.Exporter, s tree.SecretID) string {
	return selector("kube_secret_created", ksm.NamespaceLabel, s.Namespace, "secret", s.Name)
}

// createdBefore: the Secret was created longer ago than age. The value is how
// long ago, in seconds.
func createdBefore(ksm plan.Exporter, s tree.SecretID, age time.Duration) string {
	return fmt.Sprintf("time() - max(%s) > %d", secretCreated(ksm, s), int64(age.Seconds()))
}

// The metrics of the External Secrets Operator
// (https://external-secrets.io/latest/api/metrics/). A condition has a series
// for each status that it ever had; that of the status that it has is 1, and
// that of its opposite 0.
const (
	externalSecretMetric     = "externalsecret_status_condition"
	secretStoreMetric        = "secretstore_status_condition"
	clusterSecretStoreMetric = "clustersecretstore_status_condition"
	// operatorMetric is there while the operator is at work: of two that run, the
	// one that leads (https://book.kubebuilder.io/reference/metrics-reference).
	operatorMetric = `controller_runtime_max_concurrent_reconciles{controller="externalsecret"}`
)

// externalReady is the series that says whether (status True or False) an
// ExternalSecret is ready.
func externalReady(operator plan.Exporter, s tree.SecretID, status string) string {
	return selector(externalSecretMetric, operator.NamespaceLabel, s.Namespace, "name", s.Name, "condition", "Ready", "status", status)
}

// storeReady is the series that says whether (status True or False) a store is
// ready.
func storeReady(operator plan.Exporter, s StoreID, status string) string {
	if s.Kind == shape.ClusterSecretStoreKind {
		return selector(clusterSecretStoreMetric, "name", s.Name, "condition", "Ready", "status", status)
	}
	return selector(secretStoreMetric, operator.NamespaceLabel, s.Namespace, "name", s.Name, "condition", "Ready", "status", status)
}

// externalNotReady: the operator says that it is not ready.
func externalNotReady(operator plan.Exporter, s tree.SecretID) string {
	return fmt.Sprintf("max(%s) == 1", externalReady(operator, s, "False"))
}

// storeNotReady: the operator says that it is not ready.
func storeNotReady(operator plan.Exporter, s StoreID) string {
	return fmt.Sprintf("max(%s) == 1", storeReady(operator, s, "False"))
}

// externalNotReconciled: the operator is at work, and has nothing to say of it.
func externalNotReconciled(operator plan.Exporter, s tree.SecretID) string {
	return fmt.Sprintf("absent(%s) and on() count(%s)", externalReady(operator, s, "True"), operatorMetric)
}

// operatorMissing: no operator is at work.
func operatorMissing() string { return fmt.Sprintf("absent(%s)", operatorMetric) }
