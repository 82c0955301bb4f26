package cluster

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// KnownInputs tells of which of inputs the Secrets of p in the cluster hold a
// value already, in a key that is made from it, and which Secret that is. The
// values do not leave it. A Secret that cannot be read is an error, because it may
// hold one, and Apply would not go on without it either; timeout bounds each request.
func (c *Client) KnownInputs(ctx context.Context, p *plan.Plan, inputs []plan.Input, timeout time.Duration) (map[string]string, plan.Diagnostics) {
	held, ds := c.held(ctx, p, timeout)
	known := map[string]string{}
	for i, s := range p.Secrets {
		for _, k := range s.Keys {
			for _, in := range inputs {
				made := slices.Contains(k.Inputs(), in.Name)
				if _, whole := original(k, in, held[i].data[k.Name].Reveal()); in.MayBeAbsent() {
					made = whole // what a template makes of it may have been made without it
				}
				if made && held[i].data[k.Name].Len() > 0 && known[in.Name] == "" {
					known[in.Name] = "Secret " + s.Namespace + "/" + s.Name + " of cluster " + c.Name
				}
			}
		}
	}
	return known, ds
}

// Found is a value of an input that a Secret in the cluster holds.
type Found struct {
	Namespace, Name, Key string
	Content              value.Value // of the key
	Value                value.Value // of the input
}

// String names the place: NAMESPACE/NAME KEY.
func (f Found) String() string { return f.Namespace + "/" + f.Name + " " + f.Key }

// Find returns the values of inputs that the Secrets of p in the cluster hold, by
// the name of the input: those of the keys that are the input as it is, or encoded
// in a way that can be taken back. timeout bounds each request.
func (c *Client) Find(ctx context.Context, p *plan.Plan, inputs []plan.Input, timeout time.Duration) (map[string][]Found, plan.Diagnostics) {
	held, ds := c.held(ctx, p, timeout)
	found := map[string][]Found{}
	for i, s := range p.Secrets {
		for _, k := range s.Keys {
			content := held[i].data[k.Name]
			for _, in := range inputs {
				if v, ok := original(k, in, content.Reveal()); ok && content.Len() > 0 {
					found[in.Name] = append(found[in.Name], Found{s.Namespace, s.Name, k.Name, content, value.New(v)})
				}
			}
		}
	}
	return found, ds
}

// original takes back what a key makes of an input, if that can be done.
func original(k plan.Key, in plan.Input, content []byte) ([]byte, bool) {
	switch {
	case k.Input == in.Name:
		return content, true
	case k.Template == nil:
		return nil, false
	}
	action := strings.Join(strings.Fields(strings.Trim(strings.TrimSuffix(strings.TrimPrefix(k.Template.Text, "{{"), "}}"), "-")), "")
	if !strings.HasPrefix(k.Template.Text, "{{") || !strings.HasSuffix(k.Template.Text, "}}") {
		return nil, false
	}
	switch action {
	case "." + in.Name:
		return content, true
	case "." + in.Name + "|b64enc", "b64enc." + in.Name:
		b, err := base64.StdEncoding.DecodeString(string(content))
		return b, err == nil
	}
	return nil, false
}

// held reads the Secrets of p. One that is not there holds nothing.
func (c *Client) held(ctx context.Context, p *plan.Plan, timeout time.Duration) ([]secret, plan.Diagnostics) {
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
		u, err := c.collection(secrets, p.Secrets[i].Namespace).get(ctx, p.Secrets[i].Name)
		if err == nil {
			held[i], err = parse(u)
		}
		return err
	})
	var ds plan.Diagnostics
	for i, s := range p.Secrets {
		if errs[i] != nil && !apierrors.IsNotFound(errs[i]) {
			c.fail(&ds, request{plan.CodeClusterRead, "get", "Secret", s.Namespace, s.Name, s.Pos}, errs[i])
		}
	}
	return held, ds
}
