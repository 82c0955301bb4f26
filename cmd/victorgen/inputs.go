package main

import (
	"fmt"
	"path/filepath"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// unstorable says why no one brings a value of in to its source, and what to do
// instead; why is empty if the source is there to have it.
func unstorable(in plan.Input) (why, hint string) {
	switch {
	case in.Default != nil:
		return "the contract has the value of setting " + in.Name, "change its default in the environment or the contract"
	case in.Present != nil && !*in.Present:
		return "the contract says that " + in.Name + " is absent", "remove present: false, if it should be there"
	case in.Generate != nil && in.Generate.InCluster:
		return in.Name + " is generated in the cluster alone", "remove generate.inCluster, if a source should have it"
	}
	return "", ""
}

// unwritable is unstorable of who writes to the source, which not all sources allow.
func unwritable(p *plan.Plan, in plan.Input) (why, hint string) {
	if why, hint = unstorable(in); why != "" {
		return why, hint
	}
	return partly(p, in)
}

// partly says that in is a part or a version of something, if that can't be written.
func partly(p *plan.Plan, in plan.Input) (why, hint string) {
	if src, _ := p.Source(in.Source); !src.Writes(in.Remote) {
		return fmt.Sprintf("%s is %s at its source, and a part or a version of something larger is not written", in.Name, in.Remote), "set it there yourself"
	}
	return "", ""
}

// isWritable is what set and copy take.
func isWritable(p *plan.Plan, in plan.Input) bool {
	why, _ := unwritable(p, in)
	return why == ""
}

// sourceNames are the sources that the environment in dir declares by names of their
// own, for the shell to complete; of one that is not there yet, those of another
// environment of its module.
func sourceNames(dir string) (names []string) {
	dirs := []string{dir}
	if others, err := compiler.Find(filepath.Join(filepath.Dir(dir), "...")); err == nil {
		dirs = append(dirs, others...)
	}
	for _, dir := range dirs {
		if p := planOf(dir); p != nil {
			for _, s := range p.Sources {
				if s.Name != defaultSource {
					names = append(names, s.Name+"\tsource "+s.String())
				}
			}
			return names
		}
	}
	return nil
}
