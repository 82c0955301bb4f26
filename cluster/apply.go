package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/crash"
)

// The dry runs of kubectl.
const (
	DryRunClient = "client" // compare, and ask the API server for nothing but what is there
	DryRunServer = "server" // let the API server do all but keep it
)

// ApplyOptions say how to apply.
type ApplyOptions struct {
	DryRun          string           // DryRunClient, DryRunServer, or empty to write
	ForceConflicts  bool             // write what belongs to others, too
	CreateNamespace bool             // create the namespaces that are missing
	Prune           bool             // delete the Secrets of the environment that the contract no longer has
	Restart         bool             // restart the workloads that consume a Secret whose data has changed
	Timeout         time.Duration    // for each request; 0 is no limit
	Now             func() time.Time // nil is time.Now
}

// ApplyReport says what was written, or would be in a dry run. It holds no
// values. It has no Secrets if nothing was written because of an error.
type ApplyReport struct {
	Cluster    string          `json:"cluster"`
	DryRun     string          `json:"dryRun,omitempty"`
	Namespaces []string        `json:"createdNamespaces,omitempty"`
	Secrets    []AppliedSecret `json:"secrets,omitempty"` // in the order of the plan, then those that were pruned
	Restarted  []Workload      `json:"restarted,omitempty"`
}

// AppliedSecret is one Secret of an [ApplyReport].
type AppliedSecret struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	State     Outcome      `json:"state"`
	Why       string       `json:"why,omitempty"`
	Labels    []string     `json:"addedLabels,omitempty"` // victorgen's own, where nothing else changes: of a Secret that others have made
	Keys      []AppliedKey `json:"keys,omitempty"`
}

// Apply writes the Secrets of a plan, as [emit.Render] makes them, by
// server-side apply: fields set by others are kept.
//
// It reads all that it needs, decides, and has the API server try all of it in
// a dry run before the first write: what would be refused is known then, and
// nothing is written. A Secret that holds already what it is to hold is not
// written. What was written when something fails after all, or ctx is done,
// stays, and the report tells of it. Pruning comes after everything is written,
// and not at all if something failed. The diagnostics are sorted.
func (c *Client) Apply(ctx context.Context, p *plan.Plan, secrets []emit.Rendered, o ApplyOptions) (ApplyReport, plan.Diagnostics) {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &application{Client: c, plan: p, options: o}
	for _, r := range secrets {
		a.jobs = append(a.jobs, &job{Rendered: r, want: wanted(p, r)})
	}
	a.run(ctx)
	a.ds.Sort()
	return a.report(), a.ds
}

// application is one call of Apply.
type application struct {
	*Client
	plan    *plan.Plan
	options ApplyOptions
	jobs    []*job
	begun   bool // nothing stood against writing
	ds      plan.Diagnostics

	// The requests to write, in their order.
	creations, applies, prunings []*step
	rollouts                     []*rollout
}

// job is one Secret of the contract.
type job struct {
	emit.Rendered
	want, before, after secret
	step                *step // nil if there is nothing to write
}

// kept reports whether there is to be such a Secret: not all keys are left out.
func (j *job) kept() bool { return len(j.Data) > 0 }

// changes reports whether the data of the Secret will change.
func (j *job) changes() bool { return j.step != nil && j.before.changes(j.want) }

// step is one request to write.
type step struct {
	request
	do      func(ctx context.Context, dryRun []string) error
	untried bool // for what it needs is not there yet
	done    bool
}

// rollout is the restart of one workload.
type rollout struct {
	*step
	Workload
}

func (a *application) run(ctx context.Context) {
	for _, stage := range []func(context.Context){a.read, a.decide, a.readWorkloads, a.try} {
		if stage(ctx); a.ds.HasErrors() {
			return
		}
	}
	a.begun = true
	if a.options.DryRun == "" {
		a.write(ctx)
		return
	}
	for _, s := range a.steps() {
		s.done = true // or would be
	}
}

func (a *application) steps() []*step {
	steps := slices.Concat(a.creations, a.applies, a.prunings)
	for _, r := range a.rollouts {
		steps = append(steps, r.step)
	}
	return steps
}

// each does something with all of some things, several at once, and says what
// came of it.
func each[T any](things []T, do func(T) error) []error {
	errs := make([]error, len(things))
	var g crash.Group
	g.SetLimit(parallel)
	for i, t := range things {
		g.Go(func() { errs[i] = do(t) })
	}
	g.Wait()
	return errs
}

// ask makes one request about the objects of a namespace, or of none.
func (a *application) ask(ctx context.Context, r schema.GroupVersionResource, namespace string, do func(context.Context, collection) error) error {
	if a.options.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.options.Timeout)
		defer cancel()
	}
	return do(ctx, a.collection(r, namespace))
}

func (a *application) list(ctx context.Context, r schema.GroupVersionResource, namespace, selector string) (items []unstructured.Unstructured, err error) {
	err = a.ask(ctx, r, namespace, func(ctx context.Context, c collection) error {
		list, err := c.list(ctx, metav1.ListOptions{LabelSelector: selector})
		if err == nil {
			items = list.Items
		}
		return err
	})
	return items, err
}

// namespaces are those of some of the Secrets, sorted.
func (a *application) namespaces(of func(*job) bool) []string {
	names := map[string]bool{}
	for _, j := range a.jobs {
		if of(j) {
			names[j.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// read finds out what is there.
func (a *application) read(ctx context.Context) {
	get := func(j *job) error {
		return a.ask(ctx, secrets, j.Namespace, func(ctx context.Context, c collection) error {
			u, err := c.get(ctx, j.Name)
			if err == nil {
				j.before, err = parse(u)
			}
			return err
		})
	}
	for i, err := range each(a.jobs, get) {
		if j := a.jobs[i]; err != nil && !apierrors.IsNotFound(err) {
			a.fail(&a.ds, request{plan.CodeClusterRead, "get", "Secret", j.Namespace, j.Name, j.Pos}, err)
		}
	}
	if a.options.CreateNamespace {
		a.readNamespaces(ctx)
	}
	if a.options.Prune {
		a.readPruned(ctx)
	}
}

func (a *application) readNamespaces(ctx context.Context) {
	names := a.namespaces((*job).kept)
	get := func(name string) error {
		return a.ask(ctx, namespaces, "", func(ctx context.Context, c collection) error {
			_, err := c.get(ctx, name)
			return err
		})
	}
	for i, err := range each(names, get) {
		if apierrors.IsNotFound(err) {
			a.creations = append(a.creations, a.creation(names[i]))
		} else if err != nil {
			a.fail(&a.ds, request{plan.CodeClusterRead, "get", "Namespace", "", names[i], nil}, err)
		}
	}
}

// readPruned finds the Secrets of the environment that the contract no longer
// has, in the namespaces that it still has.
func (a *application) readPruned(ctx context.Context) {
	kept := map[string]bool{}
	for _, j := range a.jobs {
		kept[j.String()] = j.kept()
	}
	selector := labels.Set{
		tree.LabelManagedBy: tree.ManagedBy, tree.LabelPartOf: a.plan.PartOf, tree.LabelEnvironment: a.plan.Environment,
	}.String()
	for _, namespace := range a.namespaces(func(*job) bool { return true }) {
		r := request{plan.CodeClusterRead, "list", "Secret", namespace, "", nil}
		items, err := a.list(ctx, secrets, namespace, selector)
		if err != nil {
			a.fail(&a.ds, r, err)
		}
		for _, u := range items {
			s, err := parse(&u)
			owner, owned := s.owner()
			switch {
			case err != nil:
				a.fail(&a.ds, r, err)
			case kept[namespace+"/"+u.GetName()]:
			case owned && !a.options.ForceConflicts:
				r.name = objectName(u.GetName(), a.values(s))
				a.ds.Warnf(plan.CodeOwned, nil, "delete what it belongs to", "%s is no longer in the contract, and is not pruned: it belongs to %s", r, ownerOf(owner.Kind, " ", owner.Name, u.GetName()))
			default:
				a.prunings = append(a.prunings, a.pruning(namespace, u.GetName(), s))
			}
		}
	}
}

// values are those that no name may hold: of what is to be, of what is there, and of s.
func (a *application) values(s secret) []value.Value {
	all := slices.Collect(maps.Values(s.data))
	for _, j := range a.jobs {
		all = append(all, slices.Concat(slices.Collect(maps.Values(j.want.data)), slices.Collect(maps.Values(j.before.data)))...)
	}
	return all
}

// decide looks at what is to be written, and what stands against it.
func (a *application) decide(context.Context) {
	for _, j := range a.jobs {
		if j.after = j.before; !j.kept() || j.before.has(j.want) {
			continue
		}
		j.after = j.before.with(j.want)
		j.step = a.apply(j)
		a.applies = append(a.applies, j.step)
		if j.before.there() {
			a.refuse(j)
		}
	}
}

// refuse reports why j is not to be written, or can't be: an immutable Secret
// keeps its data, and each its type
// (https://kubernetes.io/docs/concepts/configuration/secret/#secret-immutable).
func (a *application) refuse(j *job) {
	report, hint := a.ds.Errorf, "--force-conflicts writes it anyway"
	if a.options.ForceConflicts {
		report, hint = a.ds.Warnf, "it is written anyway"
	}
	if o, ok := j.before.owner(); ok {
		report(plan.CodeOwned, j.Pos, hint+", and the controller may put its own values back", "Secret %s belongs to %s", j, ownerOf(o.Kind, " ", o.Name, j.Name))
	} else if who := j.before.elsewhere(a.plan); who != "" {
		report(plan.CodeOwned, j.Pos, hint+"; -n applies to another namespace", "Secret %s belongs to %s", j, who)
	}
	hint = fmt.Sprintf("delete it first: kubectl delete secret -n %s %s", j.Namespace, j.Name)
	switch {
	case j.before.kind != j.want.kind:
		a.ds.Errorf(plan.CodeUnchangeable, j.Pos, hint, "Secret %s is of %s, which can't be changed to %s", j, typed(j.before.kind, j.want.kind), j.want.kind)
	case j.before.immutable && !j.want.immutable:
		a.ds.Errorf(plan.CodeUnchangeable, j.Pos, hint, "Secret %s is immutable, which can't be taken back", j)
	case j.before.immutable && j.before.changes(j.want):
		a.ds.Errorf(plan.CodeUnchangeable, j.Pos, hint, "Secret %s is immutable, and its data would change", j)
	}
}

// readWorkloads finds those that consume a Secret whose data will change.
func (a *application) readWorkloads(ctx context.Context) {
	if !a.options.Restart {
		return
	}
	for _, namespace := range a.namespaces((*job).changes) {
		names := map[string]bool{}
		for _, j := range a.jobs {
			if j.Namespace == namespace && j.changes() {
				names[j.Name] = true
			}
		}
		for _, r := range rollable {
			asked := request{plan.CodeClusterRead, "list", r.kind, namespace, "", nil}
			items, err := a.list(ctx, r.resource, namespace, "")
			if err != nil {
				a.fail(&a.ds, asked, err)
			}
			for _, u := range items {
				switch w, err := consumer(u, r.kind, r.resource, namespace, names, a.values(secret{})); {
				case err != nil:
					a.fail(&a.ds, asked, err)
				case len(w.Secrets) == 0:
				case w.paused:
					a.ds.Warnf(plan.CodeNotRestarted, nil, "resume it and restart it: "+w.command(),
						"%s in namespace %s is paused, so it is not restarted; it consumes Secret %s", w, namespace, plan.And(w.Secrets))
				default:
					a.rollouts = append(a.rollouts, a.rollout(w))
				}
			}
		}
	}
}

// try has the API server do all that is to be done, without keeping it. What
// can't be tried, for a namespace is not there yet or a webhook takes no dry
// run, will be as foreseen.
func (a *application) try(ctx context.Context) {
	if a.options.DryRun == DryRunClient {
		return
	}
	steps := slices.DeleteFunc(a.steps(), func(s *step) bool { return s.untried })
	for i, err := range each(steps, func(s *step) error { return s.do(ctx, []string{metav1.DryRunAll}) }) {
		if err != nil && (a.options.DryRun == DryRunServer || !apierrors.IsBadRequest(err)) {
			a.fail(&a.ds, steps[i].request, err)
		}
	}
}

// write does all that is to be done, one step after the other.
func (a *application) write(ctx context.Context) {
	steps := slices.Concat(a.creations, a.applies)
	on := a.all(ctx, steps)
	a.rollouts = slices.DeleteFunc(a.rollouts, func(r *rollout) bool {
		r.Secrets = slices.DeleteFunc(r.Secrets, func(name string) bool { return !a.changed(r.Namespace, name) })
		return len(r.Secrets) == 0
	})
	for _, r := range a.rollouts {
		steps = append(steps, r.step)
		if on = on && a.all(ctx, []*step{r.step}); !r.done { // the next apply would not know
			a.ds.Errorf(plan.CodeNotRestarted, nil, "restart it: "+r.command(),
				"%s in namespace %s is not restarted; it consumes Secret %s, which has changed", r, r.Namespace, plan.And(r.Secrets))
		}
	}
	steps = append(steps, a.prunings...)
	if on && !a.ds.HasErrors() {
		a.all(ctx, a.prunings)
	}
	if done := len(slices.DeleteFunc(slices.Clone(steps), func(s *step) bool { return !s.done })); ctx.Err() != nil && done < len(steps) {
		a.ds.Errorf(plan.CodeClusterWrite, nil, "apply again: what is written stays, and the rest follows", "interrupted after %d of %d writes", done, len(steps))
	}
}

// all does steps, and reports whether to go on: whether no one has interrupted
// it and the API server answers. A request that is under way comes to its end
// when ctx is done, so that it is known what it did.
func (a *application) all(ctx context.Context, steps []*step) bool {
	for _, s := range steps {
		if ctx.Err() != nil {
			return false
		}
		err := s.do(context.WithoutCancel(ctx), nil)
		if err == nil {
			s.done = true
			continue
		}
		if a.fail(&a.ds, s.request, err); !answered(err) {
			a.ds.Errorf(plan.CodeClusterWrite, s.pos, "apply again: what is written stays", "whether the cluster did %s %s is not known", s.verb, s.request)
			return false
		}
	}
	return true
}

// changed reports whether the data of a Secret was changed.
func (a *application) changed(namespace, name string) bool {
	return slices.ContainsFunc(a.jobs, func(j *job) bool {
		return j.Namespace == namespace && j.Name == name && j.changes() && j.step.done
	})
}

// The requests that are steps.

func (a *application) creation(name string) *step {
	do := func(ctx context.Context, dryRun []string) error {
		return a.ask(ctx, namespaces, "", func(ctx context.Context, c collection) error {
			o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
			err := c.create(ctx, o, metav1.CreateOptions{FieldManager: tree.ManagedBy, DryRun: dryRun})
			if apierrors.IsAlreadyExists(err) {
				return nil
			}
			return err
		})
	}
	return &step{request: request{plan.CodeClusterWrite, "create", "Namespace", "", name, nil}, do: do}
}

func (a *application) apply(j *job) *step {
	do := func(ctx context.Context, dryRun []string) error {
		return a.ask(ctx, secrets, j.Namespace, func(ctx context.Context, c collection) error {
			o := metav1.ApplyOptions{FieldManager: tree.ManagedBy, Force: a.options.ForceConflicts, DryRun: dryRun}
			u, err := c.apply(ctx, j.want.object(j.Namespace, j.Name), o)
			if err == nil {
				j.after, err = parse(u)
			}
			return err
		})
	}
	return &step{
		request: request{plan.CodeClusterWrite, "apply", "Secret", j.Namespace, j.Name, j.Pos}, do: do,
		untried: slices.ContainsFunc(a.creations, func(s *step) bool { return s.name == j.Namespace }),
	}
}

// pruning deletes that one Secret, and not one that someone has put in its
// place meanwhile.
func (a *application) pruning(namespace, name string, s secret) *step {
	do := func(ctx context.Context, dryRun []string) error {
		return a.ask(ctx, secrets, namespace, func(ctx context.Context, c collection) error {
			err := c.delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.uid}, DryRun: dryRun})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	return &step{request: request{plan.CodeClusterWrite, "delete", "Secret", namespace, objectName(name, a.values(s)), nil}, do: do}
}

// rollout restarts a workload as `kubectl rollout restart` does.
func (a *application) rollout(w Workload) *rollout {
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{%q:%q}}}}}`, restartedAt, a.options.Now().Format(time.RFC3339))
	do := func(ctx context.Context, dryRun []string) error {
		return a.ask(ctx, w.resource, w.Namespace, func(ctx context.Context, c collection) error {
			_, err := c.patch(ctx, w.name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: tree.ManagedBy, DryRun: dryRun})
			return err
		})
	}
	return &rollout{&step{request: request{plan.CodeClusterWrite, "restart", w.Kind, w.Namespace, w.Name, nil}, do: do}, w}
}

func (a *application) report() ApplyReport {
	r := ApplyReport{Cluster: a.Name, DryRun: a.options.DryRun}
	if !a.begun {
		return r
	}
	for _, s := range a.creations {
		if s.done {
			r.Namespaces = append(r.Namespaces, s.name)
		}
	}
	pruned := map[string]bool{}
	for _, s := range a.prunings {
		pruned[s.namespace+"/"+s.name] = true
	}
	for _, j := range a.jobs {
		if !pruned[j.String()] { // of which there is more to say below
			r.Secrets = append(r.Secrets, j.report())
		}
	}
	for _, s := range a.prunings {
		pruned := AppliedSecret{Namespace: s.namespace, Name: s.name, State: Pruned}
		if !s.done {
			pruned.State, pruned.Why = NotApplied, "it is not pruned, for something failed"
		}
		r.Secrets = append(r.Secrets, pruned)
	}
	for _, w := range a.rollouts {
		if w.done {
			r.Restarted = append(r.Restarted, w.Workload)
		}
	}
	return r
}

func (j *job) report() AppliedSecret {
	s := AppliedSecret{Namespace: j.Namespace, Name: j.Name, State: Changed}
	switch {
	case !j.kept():
		s.State = LeftOut
		if j.before.labels[tree.LabelEnvironment] != "" {
			s.Why = "it is in the cluster still: --prune deletes it"
		}
	case j.step != nil && !j.step.done:
		s.State = NotApplied
		return s
	case j.step == nil:
		s.State = Unchanged
	case !j.before.there():
		s.State = Created
	}
	s.Keys = keys(j.Rendered, j.before, j.after)
	if s.State == Changed && !slices.ContainsFunc(s.Keys, func(k AppliedKey) bool { return k.State != Unchanged && k.State != LeftOut }) {
		changed, labels := j.beside()
		switch {
		case len(changed) > 0:
			s.Why = "no key, but " + plan.And(changed)
		case len(labels) > 0:
			s.State, s.Labels = Unchanged, labels
			s.Why = "it becomes the contract's, by " + plan.And(labels)
		default:
			s.State, s.Why = Unchanged, "it becomes the contract's, which has set the same as others"
		}
	}
	return s
}

// beside names what changes next to the data, and the labels of victorgen's own that
// are added: those by which a Secret that others have made is known to be of the
// contract now.
func (j *job) beside() (changed, labels []string) {
	marks := []string{tree.LabelManagedBy, tree.LabelPartOf, tree.LabelEnvironment}
	for _, of := range []struct {
		article, kind  string
		before, wanted map[string]string
	}{{"a", "label", j.before.labels, j.want.labels}, {"an", "annotation", j.before.annotations, j.want.annotations}} {
		for _, name := range slices.Sorted(maps.Keys(of.wanted)) {
			v, ok := of.before[name]
			switch {
			case !ok && of.kind == "label" && slices.Contains(marks, name):
				labels = append(labels, name)
			case v != of.wanted[name] || !ok:
				changed = append(changed, of.kind+" "+name)
			}
		}
		for name := range of.before {
			if field := of.kind + " " + name; j.before.ours[field] && !j.before.others[field] && !j.want.ours[field] {
				changed = append(changed, of.article+" "+of.kind+" that the contract no longer has")
				break
			}
		}
	}
	if j.before.immutable != j.want.immutable {
		changed = append(changed, "immutable")
	}
	return changed, labels
}
