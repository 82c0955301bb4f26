package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/internal/shape"
)

const (
	// certificatePath is where the controller has its newest certificate
	// (https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/controller/server.go).
	certificatePath = "/v1/cert.pem"
	// maxCertificate is far more than a chain of certificates needs.
	maxCertificate = 1 << 20
)

// SealingCertificate returns the newest certificate of a controller, in PEM, as
// it comes: no one has looked at it yet. It is asked for through the API server,
// as kubeseal does, so it is as trustworthy as what kubectl shows. The error is
// [plan.Diagnostics] of the codes [plan.CodeClusterRead], [plan.CodeNoController]
// and [plan.CodeCertificateUseless].
func (c *Client) SealingCertificate(ctx context.Context, controller plan.Controller) ([]byte, error) {
	proxy, port, err := c.controller(ctx, controller)
	if err != nil {
		return nil, err
	}
	body, err := proxy(http.MethodGet, certificatePath).Stream(ctx)
	if err != nil {
		return nil, c.noAnswer(controller, "get", port, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxCertificate+1))
	switch {
	case err != nil:
		return nil, c.failure(request{code: plan.CodeClusterRead}, err)
	case len(data) > maxCertificate:
		return nil, useless(controller, "%s is larger than %d MiB", certificatePath, maxCertificate>>20)
	}
	return data, nil
}

// controller returns what makes a request of a controller that goes through the API
// server, and the port of its Service.
func (c *Client) controller(ctx context.Context, controller plan.Controller) (proxy func(method, path string) *rest.Request, port string, err error) {
	config := inJSON(c.config)
	config.APIPath, config.GroupVersion = "/api", &schema.GroupVersion{Version: services.Version}
	config.AcceptContentTypes = "" // behind the proxy, all is welcome
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, "", c.failure(request{code: plan.CodeClusterRead}, err)
	}
	// Anyone who stands behind the proxy must not lead us, and our token, elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	api, err := rest.RESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, "", c.failure(request{code: plan.CodeClusterRead}, err)
	}
	got, err := collection{api, services, controller.Namespace}.get(ctx, controller.Name)
	if err != nil {
		return nil, "", c.noService(controller, err)
	}
	var service shape.Service
	if runtime.DefaultUnstructuredConverter.FromUnstructured(got.Object, &service) != nil || len(service.Spec.Ports) == 0 {
		return nil, "", noController("%s has no port", serviceOf(controller))
	}
	port = service.Spec.Ports[0].Name
	return func(method, path string) *rest.Request {
		return api.Verb(method).Namespace(controller.Namespace).Resource(services.Resource).SubResource("proxy").
			Name(net.JoinSchemeNamePort("http", controller.Name, port)).Suffix(path)
	}, port, nil
}

// serviceOf names a controller in messages.
func serviceOf(c plan.Controller) string { return "Service " + c.Name + " in " + c.Namespace }

// noService says why the Service of a controller cannot be read.
func (c *Client) noService(controller plan.Controller, err error) error {
	if apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err) {
		return noController("cluster %s has no %s", c.Name, serviceOf(controller))
	}
	return c.failure(request{plan.CodeClusterRead, "get", "Service", controller.Namespace, controller.Name, nil}, err)
}

// noAnswer says why there is no answer from behind a Service.
func (c *Client) noAnswer(controller plan.Controller, verb, port string, err error) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	switch {
	case !ok:
	case apierrors.IsUnexpectedServerError(err) && apierrors.IsNotFound(err): // the answer is not one of the API server's
		return noController("%s is not a sealed-secrets controller: it has no %s", serviceOf(controller), certificatePath)
	case apierrors.IsUnexpectedServerError(err):
		return noController("%s answers with status %d", serviceOf(controller), status.ErrStatus.Code)
	case apierrors.IsServiceUnavailable(err):
		return noController("%s does not answer, is a Pod of the controller ready?", serviceOf(controller))
	case apierrors.IsNotFound(err):
		return noController("%s has no endpoints, is there a Pod of the controller?", serviceOf(controller))
	}
	// The name that a rule must allow is that in the path:
	// https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
	return c.failure(request{plan.CodeClusterRead, verb, "Service", controller.Namespace, "http:" + controller.Name + ":" + portName(port), nil}, err)
}

// failure is fail for one request.
func (c *Client) failure(r request, err error) error {
	var ds plan.Diagnostics
	c.fail(&ds, r, err)
	return ds
}

func noController(format string, args ...any) error {
	var ds plan.Diagnostics
	ds.Errorf(plan.CodeNoController, nil,
		"name the Service of the controller with `delivery: controller: {name: \"...\", namespace: \"...\"}`, or another cluster with --context",
		format, args...)
	return ds
}

func useless(controller plan.Controller, format string, args ...any) error {
	var ds plan.Diagnostics
	ds.Errorf(plan.CodeCertificateUseless, nil, "nothing is written; check the controller, or what delivery.controller names",
		"the certificate from %s cannot be used for sealing: %s", serviceOf(controller), fmt.Sprintf(format, args...))
	return ds
}

// CertificateFetch puts the certificates of controllers into the files of
// environments. It serves several environments at once: each controller is asked
// once, and a file that they share is written once.
type CertificateFetch struct {
	Client *Client
	DryRun bool // write nothing
	Now    time.Time

	mu      sync.Mutex
	answers map[plan.Controller]func() ([]byte, error)
	files   map[string]FetchedCertificate // what is done, by file
}

// FetchedCertificate is what became of one file.
type FetchedCertificate struct {
	File       string
	Controller plan.Controller
	Old        *sealing.Certificate // nil if there was none that could be read
	New        *sealing.Certificate
}

// Changed reports whether the file has another certificate now.
func (f FetchedCertificate) Changed() bool { return f.Old == nil || f.Old.SHA256 != f.New.SHA256 }

// Fetch fetches the certificates of p into the files that its secrets name, and
// returns what is done, in the order of the secrets. It looks at all of them
// before it writes one. A file with the right certificate stays as it is. The
// codes are those of [Client.SealingCertificate], [plan.CodeCertificateWrite]
// and [plan.CodeTwoControllers], and as a warning [plan.CodeCertificateEnds].
func (f *CertificateFetch) Fetch(ctx context.Context, p *plan.Plan) ([]FetchedCertificate, plan.Diagnostics) {
	deliveries, ds := certificatesOf(p)
	certificates := map[plan.Controller]*sealing.Certificate{}
	for _, d := range deliveries {
		if _, ok := certificates[d.Controller]; !ok {
			cert, problems := f.certificate(ctx, d.Controller)
			certificates[d.Controller] = cert
			ds = append(ds, problems...)
		}
	}
	if ds.HasErrors() {
		return nil, ds
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range deliveries {
		ds = append(ds, f.check(d)...)
	}
	if ds.HasErrors() {
		return nil, ds
	}
	var done []FetchedCertificate
	for _, d := range deliveries {
		fetched, problems := f.write(FetchedCertificate{File: d.Certificate, Controller: d.Controller, New: certificates[d.Controller]}, d.Pos)
		ds = append(ds, problems...)
		if !problems.HasErrors() {
			done = append(done, fetched)
		}
	}
	return done, ds
}

// certificatesOf returns a delivery for each file that p seals for.
func certificatesOf(p *plan.Plan) ([]plan.Delivery, plan.Diagnostics) {
	var ds plan.Diagnostics
	var deliveries []plan.Delivery
	at := map[string]int{}
	for _, s := range p.Secrets {
		if !s.Delivery.Seals() {
			continue
		}
		file := sealing.SameFile(s.Delivery.Certificate)
		i, ok := at[file]
		switch {
		case !ok:
			at[file] = len(deliveries)
			deliveries = append(deliveries, s.Delivery)
		case deliveries[i].Controller != s.Delivery.Controller:
			twoControllers(&ds, s.Delivery, deliveries[i].Controller)
		}
	}
	return deliveries, ds
}

func twoControllers(ds *plan.Diagnostics, d plan.Delivery, other plan.Controller) {
	ds.Errorf(plan.CodeTwoControllers, d.Pos, "name a file for each controller",
		"%s would have to hold the certificate of %s and that of %s", d.Certificate, serviceOf(d.Controller), serviceOf(other))
}

// certificate returns the certificate of a controller, unless no one should
// seal with it.
func (f *CertificateFetch) certificate(ctx context.Context, controller plan.Controller) (*sealing.Certificate, plan.Diagnostics) {
	f.mu.Lock()
	ask, ok := f.answers[controller]
	if !ok {
		if f.answers == nil {
			f.answers, f.files = map[plan.Controller]func() ([]byte, error){}, map[string]FetchedCertificate{}
		}
		ask = sync.OnceValues(func() ([]byte, error) { return f.Client.SealingCertificate(ctx, controller) })
		f.answers[controller] = ask
	}
	f.mu.Unlock()
	data, err := ask()
	var ds plan.Diagnostics
	if err != nil {
		errors.As(err, &ds)
		return nil, ds
	}
	cert, problems := sealing.Parse(data, certificatePath, nil, f.Now)
	for _, problem := range problems {
		if problem.Severity == plan.Warning {
			ds.Warnf(problem.Code, nil, "let the controller renew its key: https://github.com/bitnami-labs/sealed-secrets#sealing-key-renewal",
				"%s: %s", serviceOf(controller), problem.Message)
			continue
		}
		var why plan.Diagnostics
		errors.As(useless(controller, "%s", problem.Message), &why)
		ds = append(ds, why...)
	}
	return cert, ds
}

// check reports what forbids to write the file of d.
func (f *CertificateFetch) check(d plan.Delivery) plan.Diagnostics {
	var ds plan.Diagnostics
	if done, ok := f.files[sealing.SameFile(d.Certificate)]; ok {
		if done.Controller != d.Controller {
			twoControllers(&ds, d, done.Controller)
		}
		return ds
	}
	return sealing.CheckReplaceable(d.Certificate, d.Pos)
}

// write writes a file, unless that is done.
func (f *CertificateFetch) write(fetched FetchedCertificate, pos []plan.Pos) (FetchedCertificate, plan.Diagnostics) {
	file := sealing.SameFile(fetched.File)
	if done, ok := f.files[file]; ok {
		fetched.Old = done.Old
		return fetched, nil
	}
	fetched.Old, _ = sealing.Inspect(fetched.File, nil, f.Now) // one that is not there, or no good, is replaced
	if fetched.Changed() && !f.DryRun {
		if ds := fetched.New.Write(fetched.File, pos); ds.HasErrors() {
			return fetched, ds
		}
	}
	f.files[file] = fetched
	return fetched, nil
}
