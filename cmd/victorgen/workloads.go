package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
)

// workloadOptions say which workloads a verb looks at.
type workloadOptions struct {
	paths []string
	stdin func() ([]byte, error)
}

func (o *workloadOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.paths, "workloads", nil,
		"manifests of what uses the secrets, beside those that the contract names: a kustomization, a directory, a file, or - for standard input; may be repeated")
	o.stdin = sync.OnceValues(func() ([]byte, error) { return workload.ReadStdin(cmd.InOrStdin()) })
	check(cmd, func() error {
		n := 0
		for _, path := range o.paths {
			switch path {
			case workload.Stdin:
				n++
			case "":
				return errors.New("--workloads names nothing")
			}
		}
		if n > 1 {
			return errors.New("--workloads - can be given once")
		}
		return nil
	})
}

// read returns the workloads of an environment; nil if none are named.
func (o *workloadOptions) read(ctx context.Context, p *plan.Plan) (*workload.Set, plan.Diagnostics) {
	if len(o.paths) == 0 && (p.Workloads == nil || len(p.Workloads.Paths) == 0) {
		return nil, nil
	}
	var stdin []byte
	for _, path := range o.paths {
		if path == workload.Stdin {
			var err error
			if stdin, err = o.stdin(); err != nil {
				var ds plan.Diagnostics
				ds.Errorf(plan.CodeWorkloadRead, nil, "", "%v", err)
				return nil, ds
			}
		}
	}
	return workload.Read(ctx, p, o.paths, stdin)
}

// check judges the workloads of an environment, and returns those that its tree is to
// restart: of those that the contract names, for a tree goes by that alone.
func (o *workloadOptions) check(ctx context.Context, r *result) []plan.Consumer {
	set, ds := o.read(ctx, r.plan)
	r.Diagnostics = append(r.Diagnostics, ds...)
	if set == nil {
		return nil
	}
	r.Diagnostics = append(r.Diagnostics, workload.Judge(r.plan, set)...)
	if r.plan.Workloads == nil || r.plan.Workloads.Restart == "" {
		return nil
	}
	if len(o.paths) > 0 {
		set, _ = workload.Read(ctx, r.plan, nil, nil)
	}
	return workload.Restarts(r.plan, set)
}

// consumerStory is a place that asks for a key.
type consumerStory struct {
	Namespace string   `json:"namespace"`
	Object    string   `json:"object"`
	Where     string   `json:"where,omitempty"` // container and variable, or volume
	Optional  bool     `json:"optional,omitempty"`
	Position  plan.Pos `json:"position"`
}

func (c consumerStory) String() string {
	s := c.Object
	if c.Where != "" {
		s += ", " + c.Where
	}
	return s
}

// tellConsumers returns the places that ask for a key.
func tellConsumers(p *plan.Plan, refs []workload.Reference) []consumerStory {
	var all []consumerStory
	for _, ref := range refs {
		c := consumerStory{Namespace: ref.Namespace, Object: ref.Object, Where: ref.Where, Optional: ref.Optional, Position: ref.Pos}
		if c.Namespace == "" {
			c.Namespace = p.Namespace
		}
		all = append(all, c)
	}
	return all
}

// consumers writes the places that ask for a key, with where they stand.
func consumers(pr *printer, cs []consumerStory) []string {
	var all []string
	for _, c := range cs {
		all = append(all, fmt.Sprintf("%s (%s)", c, pr.place(c.Position)))
	}
	return all
}
