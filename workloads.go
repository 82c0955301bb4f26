package victorgen

import (
	"context"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
)

// Workloads are the manifests of what uses the secrets, in addition to those that
// the contract names.
type Workloads struct {
	Paths []string               // kustomizations, directories, files, or [workload.Stdin]
	Stdin func() ([]byte, error) // what stands for that
	// Renderings are what the environments of a run share; nil renders what they name for
	// each of them.
	Renderings *workload.Renderings
}

// Read returns the workloads of an environment; nil if none are named.
func (w Workloads) Read(ctx context.Context, p *plan.Plan) (*workload.Set, plan.Diagnostics) {
	if len(w.Paths) == 0 && (p.Workloads == nil || len(p.Workloads.Paths) == 0) {
		return nil, nil
	}
	var stdin []byte
	for _, path := range w.Paths {
		if path == workload.Stdin {
			var err error
			if stdin, err = w.Stdin(); err != nil {
				var ds plan.Diagnostics
				ds.Errorf(plan.CodeWorkloadRead, nil, "", "%v", err)
				return nil, ds
			}
		}
	}
	return w.Renderings.Read(ctx, p, w.Paths, stdin)
}

// Judge judges the workloads of an environment, and returns those that its tree is to
// restart: of those that the contract names, for a tree goes by that alone.
func (w Workloads) Judge(ctx context.Context, p *plan.Plan) ([]plan.Consumer, plan.Diagnostics) {
	set, ds := w.Read(ctx, p)
	if set == nil {
		return nil, ds
	}
	ds = append(ds, workload.Judge(p, set)...)
	if p.Workloads == nil || p.Workloads.Restart == "" {
		return nil, ds
	}
	if len(w.Paths) > 0 {
		set, _ = w.Renderings.Read(ctx, p, nil, nil)
	}
	return workload.Restarts(p, set), ds
}
