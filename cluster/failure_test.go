package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

// TestWarningsAreNotPrinted: an API server may say more next to an answer, and quote
// what was sent; client-go would print it.
func TestWarningsAreNotPrinted(t *testing.T) {
	c, err := Connect(Target{Kubeconfig: kubetest.New(t).Kubeconfig(t)})
	if err != nil {
		t.Fatal(err)
	}
	if c.config.WarningHandler != (rest.NoWarnings{}) || c.config.WarningHandlerWithContext != nil {
		t.Error("warnings are handed on")
	}
}

// TestFailureQuotesNothing: whatever an API server or a webhook puts into an
// answer, and in whichever field, is not shown.
func TestFailureQuotesNothing(t *testing.T) {
	const canary = "c4naryvalue"
	forged := []string{
		canary,
		fmt.Sprintf(`secrets "x" is forbidden: User "%s" cannot get resource "secrets" in API group "" in the namespace "%[1]s"`, canary),
		fmt.Sprintf(`x is forbidden: User "x" cannot %s resource "secrets" in API group ""`, canary),
		fmt.Sprintf(`x is forbidden: User "x" cannot get resource "%s" in API group ""`, canary),
		fmt.Sprintf(`x is forbidden: User "x" cannot get resource "services/%s" in API group ""`, canary),
		fmt.Sprintf(`x is forbidden: User "x" cannot get resource "secrets" in API group "%s"`, canary),
		fmt.Sprintf(`conflict with "%s" using v1`, canary),
	}
	causeTypes := []metav1.CauseType{
		metav1.CauseType(canary), metav1.CauseTypeFieldManagerConflict, metav1.CauseTypeFieldValueInvalid, metav1.CauseTypeUnexpectedServerResponse,
		corev1.NamespaceTerminatingCause,
	}
	reasons := []metav1.StatusReason{canary, ""}
	for r := range hints {
		reasons = append(reasons, r)
	}
	reasons = append(reasons, statusReasons...)
	client := &Client{Name: "test"}
	tried := 0
	for _, message := range forged {
		for _, cause := range causeTypes {
			for _, reason := range reasons {
				for _, code := range []int32{http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusNotFound} {
					err := &apierrors.StatusError{ErrStatus: metav1.Status{
						Status: canary, Message: message, Reason: reason, Code: code,
						Details: &metav1.StatusDetails{Name: canary, Group: canary, Kind: canary, UID: canary, Causes: []metav1.StatusCause{
							{Type: cause, Message: message, Field: "data." + canary}, {Type: cause, Message: message, Field: ".metadata.labels." + canary},
							{Type: cause, Message: message, Field: canary},
						}},
					}}
					var ds plan.Diagnostics
					client.fail(&ds, request{plan.CodeClusterWrite, "patch", "Secret", "apps", "app", nil}, err)
					tried++
					for _, d := range ds {
						if strings.Contains(d.Message+d.Hint, canary) {
							t.Fatalf("%+v shows as %s; %s", err.ErrStatus, d.Message, d.Hint)
						}
					}
					if len(ds) == 0 {
						t.Errorf("%+v is no error", err.ErrStatus)
					}
				}
			}
		}
	}
	t.Logf("%d answers", tried)
	for _, c := range []Condition{
		{Type: canary, Status: canary, Reason: canary, Message: canary},
		{Reason: "SecretSyncedError", Message: canary + " no key could decrypt secret " + canary},
	} {
		if s := spoken(c); strings.Contains(s, canary) {
			t.Errorf("%+v shows as %s", c, s)
		}
	}
}

// TestNotFound: that a namespace is not there is said of a namespace alone.
func TestNotFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason  metav1.StatusReason
		details *metav1.StatusDetails
		want    plan.Code
	}{
		{metav1.StatusReasonNotFound, &metav1.StatusDetails{Kind: "namespaces"}, plan.CodeNoNamespace},
		{metav1.StatusReasonNotFound, &metav1.StatusDetails{Kind: "secrets"}, plan.CodeClusterWrite},
		{metav1.StatusReasonNotFound, nil, plan.CodeClusterWrite},
		{metav1.StatusReasonAlreadyExists, &metav1.StatusDetails{Kind: "namespaces"}, plan.CodeClusterWrite},
		{metav1.StatusReasonInternalError, nil, plan.CodeClusterWrite},
	} {
		var ds plan.Diagnostics
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Reason: c.reason, Details: c.details}}
		(&Client{Name: "test"}).fail(&ds, request{plan.CodeClusterWrite, "patch", "Secret", "apps", "app", nil}, err)
		if len(ds) != 1 || ds[0].Code != c.want {
			t.Errorf("%s of %v: %v", c.reason, c.details, ds)
		}
	}
}
