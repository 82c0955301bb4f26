package cluster

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// KnownInputs tells of which of inputs the Secrets of p in the cluster hold a
// value already, in a key that is made from it, and which Secret that is. The
// values do not leave it. A Secret that cannot be read is an error, for it may
// hold one, and Apply would not go on without it either; timeout bounds each request.
func (c *Client) KnownInputs(ctx context.Context, p *plan.Plan, inputs []plan.Input, timeout time.Duration) (map[string]string, plan.Diagnostics) {
	known := map[string]string{}
	made := func(k plan.Key) (names []string) {
		for _, in := range inputs {
			if slices.Contains(k.Inputs(), in.Name) {
				names = append(names, in.Name)
			}
		}
		return names
	}
	held := make([]secret, len(p.Secrets))
	indices := make([]int, len(p.Secrets))
	for i := range indices {
		indices[i] = i
	}
	errs := each(indices, func(i int) error {
		ctx := ctx
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		u, err := c.dynamic.Resource(secrets).Namespace(p.Secrets[i].Namespace).Get(ctx, p.Secrets[i].Name, metav1.GetOptions{})
		if err == nil {
			held[i], err = parse(u)
		}
		return err
	})
	var ds plan.Diagnostics
	for i, s := range p.Secrets {
		if errs[i] != nil && !apierrors.IsNotFound(errs[i]) {
			c.fail(&ds, request{plan.CodeClusterRead, "get", "Secret", s.Namespace, s.Name, s.Pos}, errs[i])
			continue
		}
		for _, k := range s.Keys {
			for _, name := range made(k) {
				if held[i].data[k.Name].Len() > 0 && known[name] == "" {
					known[name] = "Secret " + s.Namespace + "/" + s.Name + " of cluster " + c.Name
				}
			}
		}
	}
	return known, ds
}
