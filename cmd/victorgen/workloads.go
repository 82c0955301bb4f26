package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
)

// workloadOptions say which workloads a verb looks at.
type workloadOptions struct{ vg.Workloads }

func (o *workloadOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.Paths, "workloads", nil,
		"manifests of what uses the secrets, in addition to those that the contract names: a kustomization, a directory, a file, or - for standard input; may be repeated")
	o.Renderings = new(workload.Renderings)
	o.Stdin = sync.OnceValues(func() ([]byte, error) { return workload.ReadStdin(cmd.InOrStdin()) })
	check(cmd, func() error {
		n := 0
		for _, path := range o.Paths {
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
