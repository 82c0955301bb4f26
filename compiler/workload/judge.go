package workload

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/shape"
)

// argoCDLabel is on Secrets that Argo CD finds by it
// (https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/).
const argoCDLabel = "argocd.argoproj.io/secret-type"

// variableName is what a container runtime takes for the name of a variable on every
// version of Kubernetes; newer ones take nearly all that is printable
// (https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/).
var variableName = lazy.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

// Judge says what is wrong between the references of s and the secrets of p, and
// which of these no one asks for.
func Judge(p *plan.Plan, s *Set) plan.Diagnostics {
	j := &judgement{plan: p, set: s, used: map[string]map[string]bool{}, told: map[string]bool{}}
	for _, ref := range s.References {
		j.reference(ref)
	}
	if s.Objects > 0 {
		j.unused()
	}
	j.ds.Sort()
	return j.ds
}

// Consumers returns the references to each key of the secrets of p, by the ID of the
// secret and the key. All of a secret is each of its keys.
func Consumers(p *plan.Plan, s *Set) map[string]map[string][]Reference {
	all := map[string]map[string][]Reference{}
	for _, ref := range s.References {
		made, ok := find(p, ref)
		if !ok {
			continue
		}
		keys := all[made.ID()]
		if keys == nil {
			keys = map[string][]Reference{}
			all[made.ID()] = keys
		}
		for _, k := range made.Keys {
			if ref.Key == "" || ref.Key == k.Name {
				keys[k.Name] = append(keys[k.Name], ref)
			}
		}
	}
	return all
}

// Restarts returns the workloads that can be restarted and use a secret of p at their
// start, sorted, with the keys that they use. Secrets that the application watches do
// not count.
func Restarts(p *plan.Plan, s *Set) []plan.Consumer {
	all := slices.Clone(s.workloads)
	for _, ref := range s.References {
		made, ok := find(p, ref)
		if !ok || ref.workload < 0 || ref.Use == Pull || p.Workloads != nil && slices.Contains(p.Workloads.Watched, made.Name) {
			continue
		}
		c := &all[ref.workload]
		for _, k := range made.Keys {
			if place := (plan.KeyPlace{Secret: made.ID(), Key: k.Name}); (ref.Key == "" || ref.Key == k.Name) && !slices.Contains(c.Keys, place) {
				c.Keys = append(c.Keys, place)
			}
		}
	}
	all = slices.DeleteFunc(all, func(c plan.Consumer) bool { return len(c.Keys) == 0 })
	for _, c := range all {
		slices.SortFunc(c.Keys, func(a, b plan.KeyPlace) int {
			return cmp.Or(cmp.Compare(a.Secret, b.Secret), cmp.Compare(a.Key, b.Key))
		})
	}
	slices.SortStableFunc(all, func(a, b plan.Consumer) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.APIVersion, b.APIVersion))
	})
	return all
}

// find returns the secret of p that a reference asks for.
func find(p *plan.Plan, ref Reference) (plan.Secret, bool) {
	for _, s := range p.Secrets {
		if s.Name == ref.Secret && s.Namespace == namespaceOf(p, ref.Namespace) {
			return s, true
		}
	}
	return plan.Secret{}, false
}

// namespaceOf is where an object is deployed that does not say it.
func namespaceOf(p *plan.Plan, namespace string) string {
	if namespace == "" {
		return p.Namespace
	}
	return namespace
}

type judgement struct {
	plan *plan.Plan
	set  *Set
	ds   plan.Diagnostics
	used map[string]map[string]bool // keys, by the ID of the secret
	told map[string]bool
}

// String names a reference: Deployment api, container api, variable DB_PASSWORD.
func (r Reference) String() string {
	if r.Where == "" {
		return r.Object
	}
	return r.Object + ", " + r.Where
}

func (j *judgement) reference(ref Reference) {
	made, ok := find(j.plan, ref)
	if !ok {
		j.missing(ref)
		return
	}
	at := append([]plan.Pos{ref.Pos}, last(made.Pos)...)
	id := made.ID()
	var keys []plan.Key
	for _, k := range made.Keys {
		if ref.Key == "" || ref.Key == k.Name {
			keys = append(keys, k)
		}
	}
	j.use(made, keys...)
	if ref.Key != "" && len(keys) == 0 {
		if ref.Optional {
			return
		}
		j.use(made)
		has := "has no such key"
		if plan.Nearest(ref.Key, names(made.Keys)) == "" {
			has = "has " + plan.And(quoted(names(made.Keys)))
		}
		j.ds.Errorf(plan.CodeNoKey, at, plan.DidYouMean(ref.Key, names(made.Keys), "name one of its keys; or add it to the contract"),
			"%s refers to key %q of secret %s, which %s", ref, shownKey(ref.Key), id, has)
		return
	}
	j.absence(ref, made, keys, at)
	j.types(ref, made, at)
	if ref.Use == Variables {
		for _, k := range keys {
			if !variableName.MatchString(k.Name) {
				j.ds.Warnf(plan.CodeVariableName, at, "rename the key, or take keys one by one with valueFrom",
					"%s takes all keys of secret %s as variables, but %q is not a valid variable name: it is left out", ref, id, k.Name)
			}
		}
	}
	if ref.SubPath {
		j.ds.Warnf(plan.CodeSubPath, at, "mount the directory; or restart the workload after each change",
			"%s mounts secret %s by subPath: its files never get a new value while the pod lives", ref, id)
	}
	if made.Immutable && !j.told[id] {
		j.told[id] = true
		j.ds.Warnf(plan.CodeImmutableUsed, at, "leave out immutable; or give the secret another name with each rotation",
			"secret %s is immutable and %s uses it by its name: no rotation reaches it", id, ref)
	}
}

// use takes down that keys of a secret are asked for. None stands for all: someone
// asks for what is not there, and to say that no one does would be no help.
func (j *judgement) use(s plan.Secret, keys ...plan.Key) {
	if len(keys) == 0 {
		keys = s.Keys
	}
	if j.used[s.ID()] == nil {
		j.used[s.ID()] = map[string]bool{}
	}
	for _, k := range keys {
		j.used[s.ID()][k.Name] = true
	}
}

// missing reports a reference to a Secret that the contract does not make.
func (j *judgement) missing(ref Reference) {
	namespace := namespaceOf(j.plan, ref.Namespace)
	for _, m := range j.set.made {
		if m.name == ref.Secret && namespaceOf(j.plan, m.namespace) == namespace {
			return
		}
	}
	if w := j.plan.Workloads; w != nil && slices.ContainsFunc(w.Other, func(pattern string) bool { ok, _ := path.Match(pattern, ref.Secret); return ok }) {
		return
	}
	var near []string
	for _, s := range j.plan.Secrets {
		if s.Name == ref.Secret {
			j.use(s)
			say := j.ds.Errorf
			if ref.Optional {
				say = j.ds.Warnf
			}
			say(plan.CodeOtherNamespace, append([]plan.Pos{ref.Pos}, last(s.Pos)...), "a pod only gets Secrets of its own namespace",
				"%s refers to secret %s in namespace %s, but the contract makes it in %s", ref, shown(ref.Secret), shown(namespace), s.Namespace)
			return
		}
		near = append(near, s.Name)
	}
	if ref.Optional {
		return
	}
	for _, s := range j.plan.Secrets {
		if s.Name == plan.Nearest(ref.Secret, near) {
			j.use(s)
		}
	}
	hint := plan.DidYouMean(ref.Secret, near, "add it to the contract; or name it in workloads.otherSecrets if it is made elsewhere")
	j.ds.Errorf(plan.CodeNoSecret, []plan.Pos{ref.Pos}, hint, "%s refers to secret %s/%s, which nothing creates", ref, shown(namespace), shown(ref.Secret))
}

// absence reports a reference to what may not be there.
func (j *judgement) absence(ref Reference, made plan.Secret, keys []plan.Key, at []plan.Pos) {
	if ref.Optional || len(keys) == 0 {
		return
	}
	var inputs []string
	for _, k := range keys {
		missing := j.mayBeAbsent(k)
		if len(missing) == 0 {
			return // of several keys one is enough
		}
		for _, name := range missing {
			if !slices.Contains(inputs, name) {
				inputs = append(inputs, name)
			}
		}
	}
	slices.Sort(inputs)
	what := fmt.Sprintf("key %q of secret %s", ref.Key, made.ID())
	if ref.Key == "" {
		what = "secret " + made.ID()
	}
	j.ds.Warnf(plan.CodeMayBeAbsent, at, "write optional: true there; or make the input required",
		"%s needs %s, which is left out while %s is absent: the pod then does not start", ref, what, plan.And(inputs))
}

// mayBeAbsent are the inputs of a key without which it is left out.
func (j *judgement) mayBeAbsent(k plan.Key) []string {
	if k.Value != nil || k.Template != nil && !k.Template.MayBeEmpty {
		return nil
	}
	var all []string
	for _, name := range k.Inputs() {
		if in, ok := j.plan.Input(name); ok && in.MayBeAbsent() {
			all = append(all, name)
		}
	}
	return all
}

// types reports a secret that is not of the type that a reference needs.
func (j *judgement) types(ref Reference, made plan.Secret, at []plan.Pos) {
	switch ref.Use {
	case Pull:
		if t := made.Type; t != shape.SecretTypeDockerConfigJSON && t != shape.SecretTypeDockercfg {
			j.ds.Errorf(plan.CodeWrongType, at, `write type: "kubernetes.io/dockerconfigjson" in the contract; the kit has a definition for it`,
				"%s uses secret %s as the login of a registry, but its type is %s", ref, made.ID(), made.Type)
		}
	case TLS:
		var without []string
		for _, key := range []string{shape.TLSCertKey, shape.TLSPrivateKeyKey} {
			if !slices.Contains(names(made.Keys), key) {
				without = append(without, key)
			}
		}
		if len(without) > 0 {
			j.ds.Errorf(plan.CodeWrongType, at, `write type: "kubernetes.io/tls" in the contract, with the keys tls.crt and tls.key`,
				"%s uses secret %s as a certificate with its key, but it has no %s", ref, made.ID(), plan.And(without))
		}
	}
}

// unused reports the secrets and keys that no one asks for, with the inputs that are
// for nothing then.
func (j *judgement) unused() {
	read := count(j.set.Objects, "object") + " of " + count(j.set.Files, "file")
	// Who asks the API server for a Secret has no manifest that says so.
	asked := func(s plan.Secret) bool {
		return s.Labels[argoCDLabel] != "" || j.plan.Workloads != nil && slices.Contains(j.plan.Workloads.Watched, s.Name)
	}
	needed := map[string]bool{}
	for _, s := range j.plan.Secrets {
		for _, k := range s.Keys {
			if j.used[s.ID()][k.Name] || asked(s) {
				for _, in := range k.Inputs() {
					needed[in] = true
				}
			}
		}
	}
	for _, s := range j.plan.Secrets {
		if asked(s) {
			continue
		}
		var unused []string
		idle := map[string]bool{}
		for _, k := range s.Keys {
			if j.used[s.ID()][k.Name] {
				continue
			}
			unused = append(unused, k.Name)
			for _, in := range k.Inputs() {
				if !needed[in] {
					idle[in] = true
				}
			}
		}
		if len(unused) == 0 {
			continue
		}
		what := "secret " + s.ID()
		if len(unused) < len(s.Keys) {
			what = fmt.Sprintf("%s of secret %s", plan.And(quoted(unused)), s.ID())
			if len(unused) == 1 {
				what = "key " + what
			} else {
				what = "keys " + what
			}
		}
		inputs := ""
		if len(idle) > 0 {
			inputs = ", so " + plan.And(slices.Sorted(maps.Keys(idle))) + " is not used"
			if len(idle) > 1 {
				inputs = strings.Replace(inputs, " is for", " are for", 1)
			}
		}
		j.ds.Warnf(plan.CodeNotConsumed, last(s.Pos), "remove it from the contract; or name the manifests that use it under workloads.paths, or the secret under workloads.watched if the application asks the API server for it",
			"no workload refers to %s%s (in %s)", what, inputs, read)
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func names(keys []plan.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Name)
	}
	return all
}

func quoted(texts []string) []string {
	var all []string
	for _, t := range texts {
		all = append(all, fmt.Sprintf("%q", t))
	}
	return all
}

// keyName is what Kubernetes takes for the name of a key.
var keyName = lazy.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

// shownKey is the name of a key as messages have it.
func shownKey(name string) string {
	if keyName.MatchString(name) {
		return name
	}
	return "[not shown]"
}

func last(ps []plan.Pos) []plan.Pos { return ps[max(0, len(ps)-1):] }
