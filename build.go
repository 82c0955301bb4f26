package victorgen

import (
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/dirlock"
)

// BuildOptions say how to build. The zero value is for use.
type BuildOptions struct {
	Options
	Check      bool // write nothing; it is an error if the tree is another
	DryRun     bool // write nothing
	Offline    bool // read no values: what is sealed stays, and what would need one is an error
	NoGenerate bool // a generated input that is missing is an error
	Prune      bool // with All: remove the trees of environments that are gone
	// AcceptCertificates are the SHA-256, in hex, of those that may be sealed for though
	// a tree was sealed for others.
	AcceptCertificates []string
	Workloads          Workloads
	// Waiting is told of an environment that someone else builds, for which Build
	// waits; nil is no one.
	Waiting func(environment string)

	// What a test may want to hold still.
	Sealer sealing.Sealer   // nil seals as kubeseal does
	Now    func() time.Time // nil is time.Now
	Rand   io.Reader        // nil is crypto/rand.Reader
}

// Built is what became of one environment.
type Built struct {
	*Environment
	Tree      string        // the directory
	Report    *emit.Report  // nil if there was an error before it
	Changes   []tree.Change // of the tree
	Generated []string      // what was generated, and where it is now
	Pruned    []string      // files of trees whose environments are gone
}

// Build makes the trees of environments: it resolves their inputs, generates those that
// are missing, seals what has changed, and writes. A build that fails leaves
// the old tree unchanged. One at a time builds an environment; others wait.
func Build(ctx context.Context, dirs []string, o BuildOptions) iter.Seq[*Built] {
	o.Asks = !o.Offline
	results := map[*Environment]*Built{} // of those who tell of orphans
	o.orphans = func(es []*Environment, found []orphan) {
		for _, f := range found {
			e := es[f.first]
			if results[e] == nil {
				results[e] = &Built{}
			}
			o.orphan(es, f, results[e])
		}
	}
	return func(yield func(*Built) bool) {
		for e, b := range Each(ctx, dirs, o.Options, o.build) {
			if b == nil {
				b = &Built{Environment: e}
			}
			if told := results[e]; told != nil {
				b.Pruned = told.Pruned
			}
			if !yield(b) {
				return
			}
		}
	}
}

// build builds one environment.
func (o *BuildOptions) build(ctx context.Context, e *Environment) *Built {
	b := &Built{Environment: e}
	e.Catch(func() { o.into(ctx, b) })
	return b
}

func (o *BuildOptions) into(ctx context.Context, b *Built) {
	p := b.Plan
	var err error
	if b.Tree, err = TreeIn(p, o.Output); err != nil {
		b.Fail(err)
		return
	}
	consumers, ds := o.Workloads.Judge(ctx, p)
	b.Diagnostics = append(b.Diagnostics, ds...)
	if b.Diagnostics.HasErrors() {
		return
	}
	if !(o.Offline && (o.Check || o.DryRun)) { // which writes nothing, neither to the tree nor to a source
		unlock, err := o.lock(ctx, p)
		if err != nil {
			b.Fail(err)
			return
		}
		defer unlock()
	}

	old, ds := tree.Read(b.Tree)
	b.Diagnostics = append(b.Diagnostics, ds...)
	if ds.HasErrors() {
		return
	}
	options := emit.Options{Accept: slices.Concat(o.AcceptCertificates, b.Grant.Certificates), Consumers: consumers, Sealer: o.Sealer, Now: o.Now}
	ds, expired := emit.CheckCertificates(p, old, options)
	var sources map[string]source.Source // none: no one is asked
	if !o.Offline {
		sources = b.Sources(o.Check || o.DryRun || expired || ds.HasErrors()) // a build that fails anyway generates nothing
	}
	b.Diagnostics = append(b.Diagnostics, source.Elsewhere(p, o.lookup())...)
	ask := source.Options{NoGenerate: o.NoGenerate, Timeout: o.Timeout, Known: b.Known(b.Tree), Belongs: tree.Belonging(old), Rand: o.Rand}
	if o.Now != nil {
		ask.Now = o.Now()
	}
	pending := b.pending(ctx, sources, b.Plan.Unread(), o.Timeout)
	values, more := source.Resolve(ctx, p, sources, ask)
	b.Diagnostics = append(b.Diagnostics, pending()...)
	if ds.HasErrors() || more.HasErrors() {
		b.Diagnostics = append(append(b.Diagnostics, ds...), more...)
		return
	}
	b.Diagnostics = append(b.Diagnostics, more...)
	b.Compare(values)
	b.Generated = Generated(p, values)
	built, report, ds := emit.Emit(ctx, p, values, old, options)
	b.Diagnostics = append(b.Diagnostics, ds...)
	if expired && len(b.Generated) > 0 { // it was not: no secret has it yet, but one would
		b.Diagnostics.Errorf(plan.CodeCertificateExpired, nil, "fetch the controller's certificate: victorgen cert fetch ENV", "nothing is generated while the sealing certificate is not valid")
		b.Generated = nil
		return
	}
	if ds.HasErrors() {
		return
	}
	b.Report = &report
	b.Changes = tree.Diff(old, built)
	switch {
	case o.DryRun:
	case o.Check:
		if tree.OnlyRenews(old, built) {
			b.Diagnostics.Warnf(plan.CodeLockOld, nil, "build once where the values can be read, and commit the result",
				"the tree in %s is what a build would write, but its lock has an earlier version", b.Tree)
		} else if len(b.Changes) > 0 {
			why := ""
			if len(report.Dropped) > 0 {
				why = ": a build drops the previous value of " + plan.And(report.Dropped) + ", which has expired"
			}
			b.Diagnostics.Errorf(plan.CodeTreeDiffers, nil, "run `victorgen build` and commit the result",
				"the tree in %s is not what a build would write%s", b.Tree, why)
		}
	default:
		b.Fail(writeTree(ctx, built, b.Tree))
	}
}

// lock keeps other builds of an environment away. It waits for one that is under
// way, but no longer than the sources may take.
func (o *BuildOptions) lock(ctx context.Context, p *plan.Plan) (unlock func(), err error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if o.Timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, o.Timeout)
	}
	defer cancel()
	unlock, err = dirlock.Lock(limited, p.Dir, func() {
		if o.Waiting != nil {
			o.Waiting(p.Environment)
		}
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		var late plan.Diagnostics
		late.Errorf(plan.CodeTreeWrite, nil, "wait until it has ended, or raise --timeout; the old tree is unchanged",
			"another build of %s has not ended within %v", p.Environment, o.Timeout)
		return nil, late
	}
	return unlock, err
}

// orphan tells e of a tree whose environment is gone, or removes it with Prune.
func (o *BuildOptions) orphan(es []*Environment, found orphan, b *Built) {
	e := es[found.first]
	// An environment of the module lacks values that something else has.
	lost := slices.ContainsFunc(es, func(other *Environment) bool {
		return other.module() == found.module && slices.ContainsFunc(other.Diagnostics, func(d plan.Diagnostic) bool {
			return d.Code == plan.CodeLost && d.Severity == plan.Error
		})
	})
	switch {
	case o.Check:
		found.tell(es, plan.Error)
	case !o.Prune:
		found.tell(es, plan.Warning)
	case lost:
		e.Diagnostics.Warnf(plan.CodeOrphan, nil, "bring the values along first; if environment "+found.environment+" is gone for good, git rm -r its tree",
			"%s is not removed, because an environment lacks values that it may have", found.tree)
	default:
		removed, kept, ds := tree.Remove(found.tree, o.DryRun)
		e.Diagnostics = append(e.Diagnostics, ds...)
		for _, file := range removed {
			b.Pruned = append(b.Pruned, filepath.Join(found.tree, file))
		}
		if len(kept) > 0 {
			e.Diagnostics.Warnf(plan.CodeOrphan, nil, "look at it, and remove it yourself", "%s in %s is not removed, because victorgen has not written it", plan.And(kept), found.tree)
		}
	}
}

// Generated names what was generated, and where it is now.
func Generated(p *plan.Plan, values value.Set) []string {
	var names []string
	for _, in := range p.Inputs {
		if v := values[in.Name]; v.Generated {
			name := in.Name + " in " + v.Origin
			if v.Why != "" {
				name += ", regenerated: the old one " + v.Why
			}
			names = append(names, name)
		}
	}
	return names
}

// TreeOf is where the tree of an environment is by default.
func TreeOf(p *plan.Plan) string { return filepath.Join(treesOf(p.Module, ""), p.Environment) }

// TreeIn is where the tree of an environment is below dir, or by default if that is
// empty. It is an error if the tree may not be there.
func TreeIn(p *plan.Plan, dir string) (string, error) {
	at := filepath.Join(treesOf(p.Module, dir), p.Environment)
	return at, trust.Tree(p, at, dir != "").Err()
}

// treesOf is the directory of the trees of a module: that of the options, or deploy.
func treesOf(module, output string) string {
	if abs, err := filepath.Abs(output); output != "" && err == nil {
		return abs
	}
	return filepath.Join(module, "deploy")
}

func writeTree(ctx context.Context, t *tree.Tree, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return t.Write(ctx, dir)
}
