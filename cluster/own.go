package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/crash"
)

// verifyPath is where the controller says whether it can unseal something, which
// is what `kubeseal --validate` asks; it keeps nothing
// (https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/controller/server.go).
const verifyPath = "/v1/verify"

// Certificate is one that secrets are sealed for, and what its controller says of it.
type Certificate struct {
	Controller plan.Controller
	Path       string // of the environment's; empty if only the lock has it
	Secret     string // NAMESPACE/NAME that is sealed for it, if only the lock has it
	Subject    string
	Pos        []plan.Pos // where the contract names it
	SHA256     string     // empty if it cannot be read
	Newest     string     // SHA-256 of the controller's newest; empty if it is not known
	Unknown    error      // why it is not
	Own        Ownership  // whether the controller has the key
	OwnUnknown error      // why that is not known

	probe func() ([]byte, error)
}

// Ownership says whether a controller has the key of a certificate.
type Ownership string

// The ownerships.
const (
	OwnNewest  Ownership = "the controller's newest"
	OwnOlder   Ownership = "an older one of the controller"
	OwnForeign Ownership = "not the controller's"
	OwnUnknown Ownership = "not known"
)

// Certificates asks the controllers of p of the certificates that p seals for and
// of those that a lock pins, whether they are their own. It writes nothing.
func (c *Client) Certificates(ctx context.Context, p *plan.Plan, now time.Time, pinned ...tree.Pinned) []Certificate {
	all, _ := certificatesIn(p, pinned, now)
	var g crash.Group
	g.SetLimit(parallel)
	for controller, certificates := range byController(all) {
		g.Go(func() { c.ask(ctx, controller, certificates) })
	}
	g.Wait()
	return all
}

func byController(all []Certificate) map[plan.Controller][]*Certificate {
	controllers := map[plan.Controller][]*Certificate{}
	for i := range all {
		controllers[all[i].Controller] = append(controllers[all[i].Controller], &all[i])
	}
	return controllers
}

// certificatesIn returns the certificates of p and those pinned, each once for
// each controller, with what is wrong with them.
func certificatesIn(p *plan.Plan, pinned []tree.Pinned, now time.Time) ([]Certificate, plan.Diagnostics) {
	var all []Certificate
	var ds plan.Diagnostics
	for _, s := range p.Secrets {
		d := s.Delivery
		known := slices.ContainsFunc(all, func(c Certificate) bool { return c.Controller == d.Controller && c.Path == d.Certificate })
		if !d.Seals() || known {
			continue
		}
		c := Certificate{Controller: d.Controller, Path: d.Certificate, Pos: d.Pos, Own: OwnUnknown}
		own, problems := sealing.Read(d.Certificate, d.Pos, now)
		if ds = append(ds, problems...); own != nil {
			c.SHA256, c.Subject, c.probe = own.SHA256, own.Subject, own.Probe
		}
		all = append(all, c)
	}
	for _, pin := range pinned {
		if !slices.ContainsFunc(all, func(c Certificate) bool { return c.Controller == pin.Controller && c.SHA256 == pin.SHA256 }) {
			all = append(all, Certificate{Controller: pin.Controller, Secret: pin.Secret, Subject: pin.Subject, SHA256: pin.SHA256, Own: OwnUnknown,
				probe: func() ([]byte, error) { return pin.Manifest, nil }})
		}
	}
	return all, ds
}

// ask asks a controller for its newest certificate, and whether it has the keys of
// others.
func (c *Client) ask(ctx context.Context, controller plan.Controller, certificates []*Certificate) {
	text, err := c.SealingCertificate(ctx, controller)
	block, _ := pem.Decode(text)
	if err == nil && block == nil {
		err = errors.New("its answer is not a certificate")
	}
	for _, cert := range certificates {
		if cert.Unknown, cert.OwnUnknown = err, err; err != nil {
			continue
		}
		sum := sha256.Sum256(block.Bytes)
		cert.Newest = hex.EncodeToString(sum[:])
		switch {
		case cert.SHA256 == cert.Newest:
			cert.Own = OwnNewest
		case cert.probe != nil:
			cert.Own, cert.OwnUnknown = c.unseals(ctx, controller, cert.probe)
		}
	}
}

// unseals asks a controller whether it has the key that a SealedSecret is sealed for.
func (c *Client) unseals(ctx context.Context, controller plan.Controller, probe func() ([]byte, error)) (Ownership, error) {
	manifest, err := probe()
	if err != nil {
		return OwnUnknown, errors.New("nothing can be sealed for it")
	}
	proxy, port, err := c.controller(ctx, controller)
	if err != nil {
		return OwnUnknown, err
	}
	err = proxy(http.MethodPost, verifyPath).SetHeader("Content-Type", "application/json").Body(manifest).Do(ctx).Error()
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return OwnOlder, nil
	case errors.As(err, &status) && status.Status().Code == http.StatusConflict:
		return OwnForeign, nil
	}
	return OwnUnknown, c.noAnswer(controller, "create", port, err)
}

// Judge says what is wrong with c, as far as its controller in a cluster knows.
func (c Certificate) Judge(cluster string) plan.Diagnostics {
	var ds plan.Diagnostics
	controller := c.Controller.Namespace + "/" + c.Controller.Name
	what := "the certificate"
	if c.Secret != "" {
		what = "the certificate that secret " + c.Secret + " of the tree is sealed for (SHA-256 " + c.SHA256 + ")"
	}
	switch {
	case c.Unknown != nil:
		reason, hint := why(c.Unknown)
		if c.Secret == "" { // of the others no one asks which is the newest
			ds.Warnf(plan.CodeNewestUnknown, c.Pos, hint, "whether %s is the newest of controller %s in %s is not known: %s", what, controller, cluster, reason)
		}
	case c.Newest == "" || c.SHA256 == "" || c.Newest == c.SHA256:
	case c.Own == OwnForeign:
		hint := "`victorgen cert fetch` gets the controller's; then build and deploy. Find out how this one got there: rotate what was sealed for it, unless its key is known to be gone"
		ds.Errorf(plan.CodeForeignKey, c.Pos, hint, "%s is not one of controller %s in %s: it does not have the key, so it could not unseal anything sealed for it", what, controller, cluster)
	case c.Own == OwnUnknown && c.OwnUnknown != nil:
		reason, hint := why(c.OwnUnknown)
		ds.Warnf(plan.CodeNotNewest, c.Pos, hint, "%s is not the newest of controller %s in %s, and whether it is an older one of it is not known: %s", what, controller, cluster, reason)
	case c.Secret == "":
		ds.Warnf(plan.CodeNotNewest, c.Pos, "`victorgen cert fetch` gets the newest; then build and deploy",
			"%s is not the newest of controller %s in %s", what, controller, cluster)
	}
	return ds
}

// why says why a controller could not be asked, and what to do.
func why(err error) (reason, hint string) {
	var own plan.Diagnostics
	if errors.As(err, &own) && len(own) > 0 {
		return own[0].Message, own[0].Hint
	}
	return err.Error(), "check the controller"
}
