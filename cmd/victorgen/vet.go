package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/sealing"
)

func vetCommand() *cobra.Command {
	var format string
	var timeout time.Duration
	var v vetting
	cmd := &cobra.Command{
		Use:   "vet ENV...",
		Short: "Check contracts, without values or network",
		Long: `Vet compiles environments and reports everything that is wrong with them. It also
renders the kustomizations of the Git work tree that include a tree, and warns of
changes after which it does not unseal, or is not found; of manifests that make a
Secret of the tree a second time; of a file for values that Git tracks or would
add; and, for a pattern, of a tree whose environment is gone.

Of the workloads that the contract names, or --workloads, it reports each place
that refers to a Secret or a key that does not exist, or may be absent, or has
another type, and the secrets and keys that are not used.

It reads no values and uses no network, so it can run anywhere: before a commit,
or on a pull request from a fork. Compiling is bounded in time (--timeout) and in
memory (4 GiB).`,
		Example: `  victorgen vet envs/production
  victorgen vet ./envs/...
  victorgen vet ./envs/... -o json

  # do the workloads find what they need?
  victorgen vet envs/production --workloads k8s/production
  helm template shop charts/shop | victorgen vet envs/production --workloads -`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := compiler.Find(args...)
			if err != nil {
				return usageError{err}
			}
			options := optionsOf(cmd, compiler.Options{Timeout: timeout, Review: true})
			options.All = isPattern(args)
			return each(cmd, dirs, options, format, "checking", v.check, func(w io.Writer, _ *printer, r *result) {
				if r.OK {
					fmt.Fprintf(w, "%s: ok (%s, %s)\n", r.name(), plural(r.inputs, "input"), plural(r.secrets, "secret"))
				}
			})
		},
	}
	permitFlags(cmd)
	asksNoSource(cmd)
	v.workloads.flags(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", compiler.DefaultTimeout, "how long compiling an environment may take")
	check(cmd, func() error {
		if timeout <= 0 {
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	outputFlag(cmd, &format, ciFormats...)
	return cmd
}

// vetting is what vet looks at besides the contract itself.
type vetting struct {
	workloads workloadOptions

	mu       sync.Mutex
	overlays map[string]*emit.Overlays // by module, because its environments share them
}

// check adds what is wrong with an environment that compiles.
func (v *vetting) check(ctx context.Context, r *result) {
	r.Diagnostics = append(r.Diagnostics, source.Unignored(ctx, r.plan)...)
	_, ds := v.workloads.Judge(ctx, r.plan)
	r.Diagnostics = append(r.Diagnostics, ds...)
	r.Diagnostics = append(r.Diagnostics, v.checkOverlays(ctx, r.plan)...)
	r.Diagnostics = append(r.Diagnostics, emit.CheckLock(r.plan, vg.TreeOf(r.plan), r.grant.Certificates)...)
	r.Diagnostics = append(r.Diagnostics, sealing.Vet(r.plan, time.Now())...)
}

func (v *vetting) checkOverlays(ctx context.Context, p *plan.Plan) plan.Diagnostics {
	v.mu.Lock()
	defer v.mu.Unlock()
	o, ok := v.overlays[p.Module]
	if !ok {
		o = emit.FindOverlays(p.Module)
		if v.overlays == nil {
			v.overlays = map[string]*emit.Overlays{}
		}
		v.overlays[p.Module] = o
	}
	return o.Check(ctx, p, vg.TreeOf(p))
}
