package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/shape"
)

// errNoAnswer stands for every answer that no API server gives.
var errNoAnswer = errors.New("the response is not from an API server")

// request is one thing that was asked of the API server.
type request struct {
	code            plan.Code // of what may come of it: CodeClusterRead or CodeClusterWrite
	verb            string    // of the permission it takes
	kind            string    // Secret
	namespace, name string
	pos             []plan.Pos
}

// String names what it is about: "Secret victor-ai/app".
func (r request) String() string {
	switch {
	case r.namespace == "":
		return r.kind + " " + r.name
	case r.name == "":
		return r.kind + "s in namespace " + r.namespace
	}
	return r.kind + " " + r.namespace + "/" + r.name
}

// forbidden is how the API server says that a permission is missing
// (https://github.com/kubernetes/kubernetes/blob/v1.35.1/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go).
var forbidden = lazy.MustCompile(`^[^{}]*User "[^"]*" cannot ([a-z]+) resource "([a-z/]+)" in API group "([a-z0-9.-]*)"`)

// known reports whether all of that is something that this package asks for. A
// webhook can say whatever it likes in the same words.
func known(verb, resource, group string) bool {
	if group == "" && (resource == "services" || resource == "services/proxy") {
		return verb == "get" || verb == "create" && resource == "services/proxy" // to ask whether it unseals
	}
	return slices.Contains([]string{"get", "list", "create", "patch", "delete"}, verb) &&
		slices.ContainsFunc([]schema.GroupVersionResource{
			secrets, namespaces, sealedSecrets, externalSecrets, secretStores, clusterSecretStores,
			deployments, statefulSets, daemonSets, jobs, cronJobs, pods,
		}, func(r schema.GroupVersionResource) bool { return r.Resource == resource && r.Group == group })
}

// managers are the field managers that are named: what others are called could
// be anything.
var managers = []string{
	"kubectl", "kubectl-client-side-apply", "kubectl-create", "kubectl-edit", "kubectl-patch", "kubectl-annotate", "kubectl-label",
	"helm", "Helm", "argocd-controller", "argocd-application-controller", "kustomize-controller", "flux-client-side-apply", "helm-controller",
	"controller", "external-secrets", "terraform-provider-kubernetes", "Terraform", "pulumi-kubernetes", tree.ManagedBy,
}

// fields are those of a Secret that are named, by how their paths begin.
var fields = []string{"data", "stringData", "type", "immutable", "metadata.labels", "metadata.annotations", "metadata.name", "metadata.namespace", "metadata.ownerReferences", "metadata"}

// field returns the part of a path that is one of fields: the rest could be
// anything.
func field(path string) string {
	path = strings.TrimPrefix(path, ".")
	for _, f := range fields {
		if rest, ok := strings.CutPrefix(path, f); ok && (rest == "" || strings.ContainsRune(".[", rune(rest[0]))) {
			return f
		}
	}
	return "a field"
}

// manager is how it names who owns a field.
var manager = lazy.MustCompile(`^conflict with "([^"]+)"`)

// fail says what came of a request. What an API server, or a webhook behind it,
// says of a request to write may quote what was sent. So only what is known to
// hold no value is taken from an answer: its reason, and names.
func (c *Client) fail(ds *plan.Diagnostics, r request, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		c.unreachable(ds, r, err)
		return
	}
	s := status.Status()
	var causes []metav1.StatusCause
	if s.Details != nil {
		causes = s.Details.Causes
	}
	denied := forbidden.FindStringSubmatch(s.Message)
	switch {
	case apierrors.IsUnauthorized(err):
		ds.Errorf(r.code, nil, "log in, or name another context with --context", "not authenticated at cluster %s (401 Unauthorized)", c.Name)
	case apierrors.IsForbidden(err) && denied != nil && known(denied[1], denied[2], denied[3]):
		c.denied(ds, r, denied[1], denied[2], denied[3])
	case apierrors.HasStatusCause(err, shape.NamespaceTerminatingCause):
		ds.Errorf(plan.CodeNoNamespace, r.pos, "wait until it is gone; --create-namespace recreates it", "%s: the namespace is being deleted", r)
	case apierrors.IsNotFound(err) && s.Details != nil && s.Details.Kind == "namespaces":
		ds.Errorf(plan.CodeNoNamespace, nil, "--create-namespace creates it", "there is no namespace %s in cluster %s", r.namespace, c.Name)
	case slices.ContainsFunc(causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeFieldManagerConflict }):
		conflict(ds, r, causes)
	case apierrors.IsInvalid(err):
		ds.Errorf(r.code, r.pos, "check what the contract says there", "the API server does not accept %s: %s", r, invalid(causes))
	default:
		ds.Errorf(r.code, r.pos, hints[s.Reason], "the API server does not %s %s: %s (%d)", r.verb, r, reasons(s.Reason), s.Code)
	}
}

// unreachable says that no answer came, in words that are the same for all
// requests, so that a network that is dead is one error.
func (c *Client) unreachable(ds *plan.Diagnostics, r request, err error) {
	if errors.Is(err, context.Canceled) {
		ds.Errorf(r.code, nil, "", "interrupted before anything was written")
		return
	}
	ds.Errorf(r.code, nil, "check the network, a proxy or a VPN, or name another context with --context",
		"cluster %s cannot be asked: %s", c.Name, network(err))
}

func network(err error) string {
	var (
		dns       *net.DNSError
		op        *net.OpError
		untrusted *tls.CertificateVerificationError
		link      *url.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time"
	case errors.As(err, &dns):
		return "the name " + dns.Name + " cannot be resolved"
	case errors.As(err, &untrusted):
		return "its TLS certificate is not trusted: " + mistrust(untrusted.Err)
	case errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &op):
		return fmt.Sprintf("connection refused by %s", op.Addr)
	case errors.As(err, &op):
		return "the network failed: " + op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case errors.As(err, &link) && strings.HasPrefix(link.Err.Error(), "getting credentials: "):
		return link.Err.Error() // of a program that the kubeconfig names
	}
	return errNoAnswer.Error()
}

// mistrust says why a TLS certificate is not trusted, and quotes nothing of it.
func mistrust(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "x509: certificate signed by unknown authority"
	case errors.As(err, new(x509.HostnameError)):
		return "x509: certificate is valid for other names"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "x509: certificate has expired or is not yet valid"
	}
	return "x509: certificate is not valid"
}

// answered reports whether an answer came that is about one object, so that to
// ask for another one makes sense.
func answered(err error) bool {
	var status apierrors.APIStatus
	return err == nil || errors.As(err, &status) && !apierrors.IsUnauthorized(err)
}

// denied names a permission that is missing, and a rule that gives it.
func (c *Client) denied(ds *plan.Diagnostics, r request, verb, resource, group string) {
	rule := fmt.Sprintf(`{apiGroups: [%q], resources: [%q], verbs: [%q]`, group, resource, verb)
	what, role := resource, "ClusterRole"
	if r.name != "" {
		what = strings.TrimSuffix(resource, "s") + " " + r.name
	}
	if r.name != "" && verb != "create" { // whose name is not known then
		rule += fmt.Sprintf(`, resourceNames: [%q]`, r.name)
	}
	if r.namespace != "" {
		what, role = what+" in namespace "+r.namespace, "Role in "+r.namespace
	}
	ds.Errorf(r.code, r.pos, "a "+role+" with the rule "+rule+"} allows it", "you may not %s %s (cluster %s)", verb, what, c.Name)
}

// conflict says which fields of r others own.
func conflict(ds *plan.Diagnostics, r request, causes []metav1.StatusCause) {
	var who, what []string
	for _, c := range causes {
		m := manager.FindStringSubmatch(c.Message)
		if m == nil || !slices.Contains(managers, m[1]) {
			m = []string{"", "another field manager"}
		}
		who, what = append(who, m[1]), append(what, field(c.Field))
	}
	slices.Sort(who)
	slices.Sort(what)
	ds.Errorf(plan.CodeFieldConflict, r.pos, "`kubectl get --show-managed-fields -o yaml` shows which one, and which keys; --force-conflicts takes the fields over",
		"%s: %s has set %s", r, plan.And(slices.Compact(who)), plan.And(slices.Compact(what)))
}

// invalid names the fields that are not accepted, and none of the values.
func invalid(causes []metav1.StatusCause) string {
	var fields []string
	for _, c := range causes {
		fields = append(fields, strings.TrimSpace(field(c.Field)+" "+invalidity[c.Type]))
	}
	slices.Sort(fields)
	if len(fields) == 0 {
		return "it is invalid"
	}
	return plan.And(slices.Compact(fields))
}

var invalidity = map[metav1.CauseType]string{
	metav1.CauseTypeFieldValueNotFound: "refers to something that does not exist", metav1.CauseTypeFieldValueRequired: "is missing",
	metav1.CauseTypeFieldValueDuplicate: "is there twice", metav1.CauseTypeFieldValueInvalid: "is invalid",
	metav1.CauseTypeFieldValueNotSupported: "is not supported", metav1.CauseTypeForbidden: "is not allowed",
	metav1.CauseTypeTooLong: "is too long", metav1.CauseTypeTooMany: "are too many",
}

// reasons says a reason in words, where the API server's own would not do.
func reasons(r metav1.StatusReason) string {
	switch r {
	case metav1.StatusReasonForbidden:
		return "a quota, a policy or an admission webhook forbids it"
	case metav1.StatusReasonBadRequest:
		return "the request was refused"
	case metav1.StatusReasonUnknown:
		return "it gave no reason"
	}
	if _, known := hints[r]; known || slices.Contains(statusReasons, r) {
		return string(r)
	}
	return "it gave a reason that is not one of Kubernetes"
}

// statusReasons are those of Kubernetes, next to those that have a hint.
var statusReasons = []metav1.StatusReason{
	metav1.StatusReasonUnauthorized, metav1.StatusReasonNotFound, metav1.StatusReasonAlreadyExists, metav1.StatusReasonGone, metav1.StatusReasonInvalid,
	metav1.StatusReasonStoreReadError, metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonNotAcceptable, metav1.StatusReasonRequestEntityTooLarge,
	metav1.StatusReasonUnsupportedMediaType, metav1.StatusReasonExpired, metav1.StatusReasonServiceUnavailable,
}

var hints = map[metav1.StatusReason]string{
	metav1.StatusReasonForbidden:       "its events and log say which; they are not shown here, because they may quote values",
	metav1.StatusReasonBadRequest:      "the log of the API server or of a webhook says why; it is not shown here, because it may quote values",
	metav1.StatusReasonInternalError:   "the log of the API server or of a webhook says why; it is not shown here, because it may quote values",
	metav1.StatusReasonUnknown:         "the log of the API server or of a proxy says why; it is not shown here, because it may quote values",
	metav1.StatusReasonTooManyRequests: "try again later",
	metav1.StatusReasonTimeout:         "try again",
	metav1.StatusReasonServerTimeout:   "try again",
	metav1.StatusReasonConflict:        "it was changed concurrently: try again",
}
