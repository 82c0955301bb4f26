// Package victorgen builds, applies and verifies environments: it is the order in
// which a contract becomes a plan, a plan gets its values, and both become a tree or
// the Secrets of a cluster. The command is made of it, and so is who embeds it.
//
// Directories of environments come in, one result for each comes out, in the order of
// the directories and as they finish. A thousand environments take the memory of a
// few: nothing of one is held after its result was consumed, but for names and
// digests. No result, and nothing that it says, has a value in it.
package victorgen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
)

// Options are what [Build], [Apply], [Verify] and [Each] have in common. The zero
// value is for use.
type Options struct {
	Compile compiler.Options

	// Allow are the addresses that contracts may send credentials to, and the files
	// outside of the repository that they may name.
	Allow []string
	// Policies are .cue files, or directories of them, that each environment must
	// satisfy. One that cannot be read stops everything.
	Policies []string
	// Asks says that sources are about to be asked. Then it is an error if a contract
	// names an address that no one has allowed, and else a warning. Build, Apply and
	// Verify know it themselves.
	Asks bool

	// Timeout is how long the sources of an environment may take, and each request to
	// a cluster; zero is no limit.
	Timeout time.Duration
	// Output is the directory of the trees, each below it by the name of its
	// environment; empty is deploy in the module.
	Output string
	// All says that the directories are all that a pattern such as ./envs/... has
	// found. Then trees are told whose environment is gone.
	All bool

	// Sources opens the sources of a plan; nil is [OpenSources].
	Sources func(*plan.Plan) map[string]source.Source
	// LookupEnv is the process environment; nil is os.LookupEnv.
	LookupEnv func(string) (string, bool)

	// Watch is told when an environment is begun and when it has ended; nil is no one.
	// It is called by several goroutines.
	Watch func(name string, ended bool)
	// Late is told, after the last result, what there is to say besides of
	// environments whose results are out, such as that several have the same value;
	// nil is no one. [Environment.Final] knows of which nothing will be said.
	Late func(directory string, ds plan.Diagnostics)

	// What a verb of this package does at the end, with all environments. Their results
	// come when all are there, then, and without plans.
	end func([]*Environment)
	// What it does with the trees of environments that are gone; nil warns.
	orphans func([]*Environment, []orphan)
}

// Environment is one environment of a run.
type Environment struct {
	Directory   string      // absolute
	Name        string      // empty if it does not compile
	Plan        *plan.Plan  // nil if it does not compile
	Grant       trust.Grant // what its contract is allowed by name
	Diagnostics plan.Diagnostics

	run      *run
	number   int // in the directories
	compared bool
}

// Err returns the diagnostics, if there is an error among them.
func (e *Environment) Err() error { return e.Diagnostics.Err() }

// Final reports whether [Options.Late] has nothing to say of e.
func (e *Environment) Final() bool { return !e.compared }

// Sources opens the sources of e. In a dry run they keep nothing.
func (e *Environment) Sources(dryRun bool) map[string]source.Source {
	sources := e.run.open(e.Plan)
	if dryRun {
		for name, s := range sources {
			sources[name] = source.DryRun(s)
		}
	}
	return sources
}

// pending asks what is pending at sources, while others ask them for values but for
// those of the inputs in unread, and returns what waits for the answer.
func (e *Environment) pending(ctx context.Context, sources map[string]source.Source, unread map[string]bool, timeout time.Duration) (wait func() plan.Diagnostics) {
	var g crash.Group
	var ds plan.Diagnostics
	g.Go(func() { ds = source.WarnPending(ctx, e.Plan, sources, unread, source.Options{Timeout: timeout}) })
	return func() plan.Diagnostics {
		g.Wait()
		return ds
	}
}

// module is the root of the module that e is in.
func (e *Environment) module() string {
	module, _ := compiler.ModuleRoot(e.Directory)
	return module
}

// lookup is the process environment.
func (o *Options) lookup() func(string) (string, bool) {
	if o.LookupEnv != nil {
		return o.LookupEnv
	}
	return os.LookupEnv
}

// Compare compares values, which were read for e, with those of the other
// environments. It keeps digests of them.
func (e *Environment) Compare(values value.Set) {
	if len(values) > 0 && len(e.run.dirs) > 1 {
		e.run.values.Add(e.number, e.Plan, values)
		e.compared = true
	}
}

// Fail adds err, if there is one, to what there is to say of e: diagnostics as they
// are, and anything else as what is wrong with its tree.
func (e *Environment) Fail(err error) { e.Diagnostics = append(e.Diagnostics, TreeProblem(err)...) }

// TreeProblem is err, of what reads or writes a tree, as diagnostics; nil is none.
func TreeProblem(err error) plan.Diagnostics {
	var own plan.Diagnostics
	if err != nil && !errors.As(err, &own) {
		own.Errorf(plan.CodeTreeWrite, nil, "the old tree is unchanged", "%v", err)
	}
	return own
}

// Crashed says that a panic was caught. The place and the version find the fault; what
// the panic said may hold a value, and is gone.
func Crashed(err *crash.Error) plan.Diagnostic {
	return plan.Diagnostic{
		Code: plan.CodeCrash, Severity: plan.Error,
		Message: fmt.Sprintf("victorgen %s has a bug at %s, and has stopped there", Version().Version, err.Place),
		Hint:    "report it with this line, and with the parts of the contract that you may show; what was written before is kept",
	}
}

// Catch calls f. If it panics, that is among what there is to say of e.
func (e *Environment) Catch(f func()) {
	if err := crash.Catch(f); err != nil {
		e.Diagnostics = append(e.Diagnostics, Crashed(err))
	}
}
