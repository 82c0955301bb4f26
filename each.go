package victorgen

import (
	"context"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/git"
)

// Each compiles the environments in dirs, the directories that [compiler.Find] has
// found, sees what their contracts may do, and calls do for those that may go on. It
// yields each environment with what do has returned for it, which is the zero value
// if it was not called.
//
// It works on all cores, and no further ahead of who consumes the results than a few
// environments. It begins no other one once ctx is done, or once compiling one has
// reached a limit, for what has still goes on: then fewer results come than there are
// directories. What was begun always comes.
func Each[T any](ctx context.Context, dirs []string, o Options, do func(context.Context, *Environment) T) iter.Seq2[*Environment, T] {
	return func(yield func(*Environment, T) bool) {
		ctx, end := git.Together(ctx)
		defer end()
		r := newRun(dirs, o)
		r.prepare()
		type result struct {
			e *Environment
			t T
		}
		all := inOrder(ctx, len(dirs), func(ctx context.Context, i int) (x result, more bool) {
			x.e = &Environment{Directory: dirs[i], run: r, number: i}
			r.watch(i, false)
			defer r.watch(i, true)
			x.e.Catch(func() {
				if r.begin(x.e) {
					x.t = do(ctx, x.e)
				}
			})
			return x, !r.limit.Load()
		})
		if o.end == nil && !r.mayHaveOrphans() {
			for x := range all {
				if !yield(x.e, x.t) {
					return
				}
			}
			for i, ds := range r.values.Diagnostics() {
				if o.Late != nil {
					o.Late(dirs[i], ds)
				}
			}
			return
		}
		var held []result
		var es []*Environment
		for x := range all {
			x.e.Plan = nil
			held, es = append(held, x), append(es, x.e)
		}
		for i, ds := range r.values.Diagnostics() {
			es[i].Diagnostics, es[i].compared = append(es[i].Diagnostics, ds...), false
		}
		if o.end != nil {
			o.end(es)
		}
		r.tellOrphans(es)
		for _, x := range held {
			if !yield(x.e, x.t) {
				return
			}
		}
	}
}

// inOrder calls f with the numbers up to n, on all cores, and yields what it returns,
// in their order. It is never further ahead of who consumes that than two for each
// core. It begins nothing more once ctx is done, or f has said that there is to be no
// more; what is begun comes.
func inOrder[T any](ctx context.Context, n int, f func(context.Context, int) (T, bool)) iter.Seq[T] {
	return func(yield func(T) bool) {
		ctx, stop := context.WithCancel(ctx)
		workers := runtime.GOMAXPROCS(0)
		ahead := 2 * workers
		slots := make(chan struct{}, ahead) // one is taken for each that is begun and not consumed
		ready := make([]chan T, ahead)
		for i := range ready {
			ready[i] = make(chan T, 1)
		}
		var begun atomic.Int64
		var last atomic.Bool
		ended := make(chan struct{}) // no other one will begin
		var dispatcher crash.Group
		dispatcher.Go(func() {
			var g crash.Group
			g.SetLimit(workers)
			for i := range n {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
				}
				if ctx.Err() != nil || last.Load() {
					break
				}
				begun.Add(1)
				g.Go(func() {
					var x T
					defer func() { ready[i%ahead] <- x }() // in a panic, too: someone waits for it
					var more bool
					if x, more = f(ctx, i); !more {
						last.Store(true)
					}
				})
			}
			close(ended)
			g.Wait()
		})
		defer dispatcher.Wait()
		defer stop()
		for i := range n {
			var x T
			select {
			case x = <-ready[i%ahead]:
			case <-ended:
				if i >= int(begun.Load()) {
					return
				}
				x = <-ready[i%ahead]
			}
			if !yield(x) {
				return
			}
			<-slots
		}
	}
}

// run is what the environments of one call have in common.
type run struct {
	options Options
	dirs    []string
	permit  *Permission
	values  source.Comparison
	limit   atomic.Bool // compiling one has reached a limit
	locks   tree.Locks  // of trees that others are asked about

	sameName   map[int][]string    // the directories of others that would write the same tree
	sameSecret map[string][]string // names of environments, by namespace and name of a Secret

	mu       sync.Mutex
	named    map[string]string              // the names of environments by directory, as they were compiled; empty of one that does not compile
	plain    map[string]string              // the names by directory as their files say plainly; empty if they do not
	siblings map[string][]string            // the directories of environments by module, where someone has asked
	called   map[string]map[string][]string // see mayBeCalled
	early    map[string]compiled            // what was compiled before its turn
}

// compiled is what Compile returns.
type compiled struct {
	plan        *plan.Plan
	diagnostics plan.Diagnostics
}

// maxEarly is how many environments are kept that were compiled before their turn: to
// compile others again is better than to keep a thousand.
const maxEarly = 32

func newRun(dirs []string, o Options) *run {
	if o.Compile.Shared == nil {
		o.Compile.Shared = compiler.NewShared()
	}
	return &run{
		options: o, dirs: dirs, permit: PermissionOf(o), named: map[string]string{}, plain: map[string]string{},
		siblings: map[string][]string{}, called: map[string]map[string][]string{}, early: map[string]compiled{}, sameName: map[int][]string{},
	}
}

// open opens the sources of a plan.
func (r *run) open(p *plan.Plan) map[string]source.Source {
	if r.options.Sources != nil {
		return r.options.Sources(p)
	}
	return OpenSources(p)
}

func (r *run) watch(i int, ended bool) {
	if r.options.Watch != nil {
		r.options.Watch(filepath.Base(r.dirs[i]), ended)
	}
}

// begin compiles e and sees what its contract may do. It reports whether e may go on.
func (r *run) begin(e *Environment) bool {
	if r.permit.Unread.HasErrors() {
		e.Diagnostics = slices.Clone(r.permit.Unread)
		return false
	}
	c := r.compile(e.Directory, false)
	e.Plan, e.Diagnostics = c.plan, c.diagnostics
	if e.Plan != nil {
		e.Name = e.Plan.Environment
		e.Diagnostics = append(e.Diagnostics, r.permit.Check(e)...)
	}
	if slices.ContainsFunc(e.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeLimit }) {
		r.limit.Store(true)
	}
	if e.Plan == nil {
		return false
	}
	for _, other := range r.sameName[e.number] {
		e.Diagnostics.Errorf(plan.CodeTreeForeign, nil, "give one of them another name",
			"environment %q is also the name of %s, and both would write the same tree", e.Name, other)
	}
	for _, s := range e.Plan.Secrets {
		if names := r.sameSecret[s.Namespace+"/"+s.Name]; len(names) > 1 {
			e.Diagnostics.Errorf(plan.CodeSameSecret, s.Pos, "apply them one at a time, to a namespace or a cluster each",
				"Secret %s/%s is that of %s", s.Namespace, s.Name, plan.And(names))
		}
	}
	return !e.Diagnostics.HasErrors() && !r.limit.Load()
}

// compile compiles the environment in dir, and notes its name. Before its turn, what
// comes out may be kept for that.
func (r *run) compile(dir string, early bool) compiled {
	r.mu.Lock()
	c, ok := r.early[dir]
	if !early {
		delete(r.early, dir)
	}
	r.mu.Unlock()
	switch {
	case ok:
	case early:
		// If it panics, it will when its turn comes.
		crash.Catch(func() { c.plan, c.diagnostics = compiler.Compile(dir, r.options.Compile) })
	default:
		c.plan, c.diagnostics = compiler.Compile(dir, r.options.Compile)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named[dir] = ""
	if c.plan != nil {
		r.named[dir] = c.plan.Environment
	}
	if early && c.plan != nil && len(r.early) < maxEarly && slices.Contains(r.dirs, dir) { // its turn will come
		r.early[dir] = c
	}
	return c
}

// prepare finds out what must be known of all environments before one is begun:
// which would write the same tree, or the same Secret. Names stand plainly in almost
// all files, so of almost none of a thousand environments more is needed.
func (r *run) prepare() {
	if len(r.dirs) < 2 {
		return
	}
	trees := map[string][]int{} // by where they are
	for i, dir := range r.dirs {
		name := r.plainName(dir)
		if name == "" {
			name = r.compiledName(dir)
		}
		if name != "" {
			tree := filepath.Join(r.trees(dir), name)
			trees[tree] = append(trees[tree], i)
		}
	}
	for _, same := range trees {
		if len(same) > 1 {
			same = slices.DeleteFunc(same, func(i int) bool { return r.compile(r.dirs[i], true).plan == nil })
		}
		for _, i := range same {
			for _, j := range same {
				if j != i {
					r.sameName[i] = append(r.sameName[i], r.dirs[j])
				}
			}
		}
	}
	if !r.options.Compile.Direct {
		return
	}
	r.sameSecret = map[string][]string{}
	for secrets := range inOrder(context.Background(), len(r.dirs), func(_ context.Context, i int) (secrets [][2]string, more bool) {
		if p := r.compile(r.dirs[i], true).plan; p != nil {
			for _, s := range p.Secrets {
				secrets = append(secrets, [2]string{s.Namespace + "/" + s.Name, p.Environment})
			}
		}
		return secrets, true
	}) {
		for _, s := range secrets {
			r.sameSecret[s[0]] = append(r.sameSecret[s[0]], s[1])
		}
	}
}

// trees is the directory of the tree of the environment in dir.
func (r *run) trees(dir string) string {
	module, _ := compiler.ModuleRoot(dir)
	return treesOf(module, r.options.Output)
}
