// Package emit turns a plan and its values into the tree of files that is
// deployed. A [plan.Plan], a [value.Set] and the tree that is there already
// flow in, a [tree.Tree] flows out; its Write puts it in place of the old one.
//
// A plaintext leaves this package only through a [sealing.Sealer]: no file, report,
// diagnostic or temporary file ever holds one. There is no clock, version or
// host name in a tree but for the times at which something was sealed, and
// what need not be sealed again stays as it is, byte for byte.
package emit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"path"
	"runtime"
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/alerts"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/shape"
)

// Options are what a test may want to hold still. The zero value is for use.
type Options struct {
	Sealer sealing.Sealer   // nil is Kubeseal
	Now    func() time.Time // nil is time.Now
	// Accept are fingerprints of certificates, SHA-256 in hex, that may be sealed
	// for though the tree was sealed for others: what the command line says, or a
	// policy.
	Accept []string
	// Consumers are the workloads that the tree's component restarts, if the plan says
	// how.
	Consumers []plan.Consumer
}

// Report says what was done for each key. It holds no values.
type Report struct {
	Secrets []SecretReport `json:"secrets"` // in the order of the plan
	Alerts  *alerts.Set    `json:"-"`       // the alerting rules of the tree; nil is none
	// Certificates are those that the tree is sealed for.
	Certificates []CertificateUse `json:"certificates,omitempty"`
	// Dropped are the inputs whose previous values were in the tree before, and have
	// had their time.
	Dropped []string `json:"dropped,omitempty"`
}

// SecretReport is one secret of a [Report].
type SecretReport struct {
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	File      string      `json:"file,omitempty"` // in the tree
	LeftOut   bool        `json:"leftOut,omitempty"`
	Keys      []KeyReport `json:"keys"`
}

// KeyReport is one key of a [SecretReport].
type KeyReport struct {
	Name   string   `json:"name"`
	State  State    `json:"state"`
	Why    string   `json:"why"` // in words
	Inputs []string `json:"inputs,omitempty"`
}

// State is what became of a key.
type State string

// The states of a key. One that has none is the subject of an error.
const (
	Sealed  State = "sealed"   // it has a new ciphertext
	Kept    State = "kept"     // it has the ciphertext that it had
	LeftOut State = "left out" // it is not in the tree
	// It is in the tree by reference: the secret is external.
	Referenced State = "referenced"
)

// Emit makes the tree of a plan. It writes nothing. old is the tree that is
// there now, as [tree.Read] returns it; nil is none.
//
// A key whose value, definition, certificate and scope are those of its entry
// in the old lock keeps its ciphertext. If its value cannot be compared, for
// it or the lock key cannot be read, the ciphertext is kept if all the rest is
// as it was, else that is an error. Diagnostics come all at once; with an
// error among them the tree is nil.
func Emit(ctx context.Context, p *plan.Plan, values value.Set, old *tree.Tree, o Options) (*tree.Tree, Report, plan.Diagnostics) {
	if o.Sealer == nil {
		o.Sealer = sealing.Kubeseal{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if old == nil {
		old = &tree.Tree{}
	}
	e := &emission{plan: p, values: values, old: old, sealer: o.Sealer, now: o.Now().UTC().Truncate(time.Second), oldLock: &tree.Lock{}, accept: o.Accept, consumers: o.Consumers}
	t, ds := e.run(ctx)
	ds.Sort()
	if ds.HasErrors() {
		t = nil
	}
	return t, e.report(), ds
}

// emission is one run of Emit.
type emission struct {
	plan      *plan.Plan
	values    value.Set
	old       *tree.Tree
	sealer    sealing.Sealer
	now       time.Time
	oldLock   *tree.Lock // an empty one if there is none
	accept    []string
	consumers []plan.Consumer
	expired   map[string]plan.Diagnostics // what is wrong with certificates that have ended, by path
	rekeyed   bool                        // the old lock was made with another lock key
	secrets   []*work
	alerts    *alerts.Set
}

// work is one secret on its way into the tree. Each of the parallel steps has
// one at a time to itself.
type work struct {
	plan.Secret
	how      delivery
	cert     *sealing.Certificate // nil if it cannot be used, which is an error
	file     string               // in the tree
	previous tree.LockedSecret    // of the old lock
	inFile   map[string]string    // the ciphertexts of the old tree

	entry       tree.LockedSecret // for the new lock
	keys        []KeyReport
	pending     []*pendingKey
	rekeyed     bool         // the old lock was made with another lock key
	edited      []string     // the keys whose ciphertext is not what the old lock says
	unread      []string     // the keys that were kept unread, and not just for being offline
	unreadFor   []unreadable // why
	diagnostics plan.Diagnostics

	references  references        // if it is external
	ciphertexts map[string]string // for the new tree
	manifest    []byte            // the SealedSecret or ExternalSecret
	err         error
}

// pendingKey is a key that must be sealed.
type pendingKey struct {
	name       string
	content    []byte
	entry      tree.LockedKey // but for Ciphertext and Tag
	ciphertext string         // in base64
}

// id names the secret in messages.
func (w *work) id() string { return w.Namespace + "/" + w.Name }

func (e *emission) run(ctx context.Context) (*tree.Tree, plan.Diagnostics) {
	previous, ds := e.previous()
	if ds.HasErrors() {
		return nil, ds // all that follows would but say that it misses the lock
	}
	e.settle()
	ds = append(e.prepare(previous), e.oldLock.CheckPlace(e.plan)...)
	parallel(ctx, e.secrets, func(w *work) {
		w.how.decide(e, w)
	})
	for _, w := range e.secrets {
		ds = append(ds, w.diagnostics...)
	}
	e.warnUnread(&ds)
	ds = append(ds, e.checkExpired()...)
	if ds.HasErrors() {
		return nil, ds
	}
	ds = append(ds, e.seal(ctx)...)
	if ds.HasErrors() {
		return nil, ds
	}
	t, problems := e.tree(ctx)
	return t, append(ds, problems...)
}

// parallel calls do for each item, on all cores, until ctx is done.
func parallel[T any](ctx context.Context, items []T, do func(T)) {
	var g crash.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, item := range items {
		g.Go(func() {
			if ctx.Err() == nil {
				do(item)
			}
		})
	}
	g.Wait()
}

// previous returns what the old lock says of each secret, and keeps what it says
// of inputs.
func (e *emission) previous() (map[tree.SecretID]tree.LockedSecret, plan.Diagnostics) {
	secrets := map[tree.SecretID]tree.LockedSecret{}
	l, ds := e.old.Lock()
	if l != nil {
		for _, s := range l.Secrets {
			secrets[tree.SecretID{Namespace: s.Namespace, Name: s.Name}] = s
		}
		ds = append(ds, l.CheckTimes(e.now)...)
		e.oldLock = l
		if key, known := e.lockKey(); known && key != nil {
			e.rekeyed = l.StampsFail(key)
		}
	}
	return secrets, ds
}

// prepare lays out the work on each secret, and reads the certificates.
func (e *emission) prepare(previous map[tree.SecretID]tree.LockedSecret) plan.Diagnostics {
	var ds plan.Diagnostics
	certificates, problems, expired := sealing.Certificates(e.plan, e.now)
	e.expired = expired
	ds = append(append(ds, problems...), sealing.CheckPins(e.oldLock, e.plan, certificates, e.accept)...)
	files := tree.FileNames(e.plan)
	for i, s := range e.plan.Secrets {
		how := deliveries[s.Delivery.Kind]
		if how == nil || !how.knows(s.Delivery) {
			ds.Errorf(plan.CodeCannotSeal, s.Pos, "", "secret %s has delivery %q of scope %q, which this victorgen can't make", tree.SecretID{Namespace: s.Namespace, Name: s.Name}, s.Delivery.Kind, s.Delivery.Scope)
			continue
		}
		cert := certificates[s.Delivery.Certificate]
		w := &work{
			Secret:      s,
			how:         how,
			cert:        cert,
			file:        files[i],
			previous:    previous[tree.SecretID{Namespace: s.Namespace, Name: s.Name}],
			entry:       tree.LockedSecret{Namespace: s.Namespace, Name: s.Name, Scope: s.Delivery.Scope, Keys: map[string]tree.LockedKey{}},
			ciphertexts: map[string]string{},
			rekeyed:     e.rekeyed,
		}
		if cert != nil {
			w.entry.Certificate = cert.SHA256
		}
		e.secrets = append(e.secrets, w)
	}
	return ds
}

// seal seals all that is pending, across secrets, for a plan may well have
// just one.
func (e *emission) seal(ctx context.Context) plan.Diagnostics {
	type job struct {
		*pendingKey
		w   *work
		err error
	}
	var jobs []*job
	for _, w := range e.secrets {
		for _, k := range w.pending {
			jobs = append(jobs, &job{pendingKey: k, w: w})
		}
	}
	parallel(ctx, jobs, func(j *job) {
		sealed, err := e.sealer.Seal(j.w.cert.Public, j.content, sealing.Label(j.w.Secret))
		j.ciphertext, j.err = base64.StdEncoding.EncodeToString(sealed), err
	})
	var ds plan.Diagnostics
	for _, j := range jobs {
		if j.err != nil {
			ds.Errorf(plan.CodeCannotSeal, j.w.Pos, "", "key %q of secret %s cannot be sealed: %v", j.name, j.w.id(), j.err)
		}
	}
	return ds
}

// tree makes the files, and has kustomize build them.
func (e *emission) tree(ctx context.Context) (*tree.Tree, plan.Diagnostics) {
	lockKey, _ := e.lockKey()
	parallel(ctx, e.secrets, func(w *work) {
		w.manifest, w.err = w.how.manifest(e, w)
	})
	var ds plan.Diagnostics
	t := &tree.Tree{Files: map[string][]byte{}}
	var secrets []tree.SecretID // in the tree
	version := e.version()
	l := &tree.Lock{Version: version, Environment: e.plan.Environment, Inputs: e.registry(version), Certificates: e.noted(lockKey)}
	for _, w := range e.secrets {
		w.entry.About = l.Certificates[w.entry.Certificate]
		w.stamp(lockKey)
		if w.err != nil {
			hint := ""
			if errors.Is(w.err, tree.ErrCharacter) {
				hint = "remove it from annotations and from what an external secret has in plain text; sealed values may have any character"
			}
			ds.Errorf(plan.CodeCannotSeal, w.Pos, hint, "secret %s cannot be written: %v", w.id(), w.err)
		}
		if w.manifest != nil {
			t.Files[w.file], w.entry.File = w.manifest, w.file
			secrets = append(secrets, tree.SecretID{Namespace: w.Namespace, Name: w.Name})
		}
		if w.Delivery.Seals() {
			l.Secrets = append(l.Secrets, w.entry)
		}
	}
	if ctx.Err() != nil { // some of the work was not done
		ds.Errorf(plan.CodeCannotSeal, nil, "build again", "stopped before the end: %v", context.Cause(ctx))
		return nil, ds
	}
	if ds.HasErrors() {
		return nil, ds
	}
	if len(t.Files) == 0 {
		ds.Errorf(plan.CodeLeftOut, nil, "give a value to an input of a secret", "environment %q has no secret left: all keys of all secrets are left out", e.plan.Environment)
		return nil, ds
	}
	stores, err := e.addStores(t)
	if err != nil {
		ds.Errorf(plan.CodeKustomize, nil, "", "the stores cannot be written: %v", err)
	}
	objects := len(secrets) + stores
	access, rights, err := accessManifest(e.plan, secrets)
	if err != nil {
		ds.Errorf(plan.CodeKustomize, nil, "", "%s cannot be written: %v", tree.AccessFile, err)
	} else if rights > 0 {
		t.Files[tree.AccessFile] = access
		objects += rights
	}
	if e.alerts = alerts.Of(e.plan, tree.HistoryOf(e.plan, l), e.alertSecrets(), e.stores()); e.alerts != nil {
		if t.Files[tree.AlertsFile], err = e.alerts.Manifest(); err != nil {
			ds.Errorf(plan.CodeKustomize, nil, "", "%s cannot be written: %v", tree.AlertsFile, err)
		}
		objects++
	}
	if t.Files[tree.KustomizationFile], err = tree.Kustomization(slices.Sorted(maps.Keys(t.Files))); err != nil {
		ds.Errorf(plan.CodeKustomize, nil, "", "%s cannot be written: %v", tree.KustomizationFile, err)
	}
	large, problems := e.checkObjects(t)
	ds = append(ds, problems...)
	if e.plan.ArgoCD != nil {
		if t.Files[tree.ApplicationFile], err = tree.Manifest(application(e.plan, large)); err != nil {
			ds.Errorf(plan.CodeKustomize, nil, "", "%s cannot be written: %v", tree.ApplicationFile, err)
		}
	}
	if w := e.plan.Workloads; w != nil && w.Restart != "" {
		if component, err := tree.RestartComponent(e.plan, e.consumers, l); err != nil {
			ds.Errorf(plan.CodeKustomize, w.Pos, "", "%s cannot be written: %v", tree.RestartFile, err)
		} else if component != nil {
			t.Files[tree.RestartFile] = component
		}
	}
	l.Files = slices.Sorted(maps.Keys(t.Files))
	// The lock is no part of what kustomize builds, so make it meanwhile.
	var lockText []byte
	var wg crash.Group
	wg.Go(func() { lockText = l.Marshal() })
	if !e.unchanged(t) { // which was built before it was written
		ds = append(ds, t.Kustomize(objects)...)
	}
	wg.Wait()
	t.Files[tree.LockFile] = lockText
	return t, ds
}

// unchanged reports whether all files of t, which has no lock yet, are there already.
func (e *emission) unchanged(t *tree.Tree) bool {
	for name, data := range t.Files {
		if was, ok := e.old.Files[name]; !ok || !bytes.Equal(was, data) {
			return false
		}
	}
	return true
}

// alertSecrets are the secrets of the tree, as far as alerts go by them.
func (e *emission) alertSecrets() (all []alerts.Secret) {
	for _, w := range e.secrets {
		if w.manifest == nil {
			continue
		}
		s := alerts.Secret{ID: tree.SecretID{Namespace: w.Namespace, Name: w.Name}, SealedFor: w.cert}
		for _, name := range slices.Sorted(maps.Keys(w.references.inputs)) {
			s.Fetched = append(s.Fetched, w.references.inputs[name])
		}
		all = append(all, s)
	}
	return all
}

// storeNamespaces returns the namespaces in which external secrets refer to the
// store of a source, by the name of the source and in the order of the secrets.
func (e *emission) storeNamespaces() map[string][]string {
	namespaces := map[string][]string{}
	for _, w := range e.secrets {
		for _, in := range w.references.inputs {
			if !slices.Contains(namespaces[in.Source], w.Namespace) {
				namespaces[in.Source] = append(namespaces[in.Source], w.Namespace)
			}
		}
	}
	return namespaces
}

// stores returns the stores that external secrets refer to.
func (e *emission) stores() []alerts.StoreID {
	var stores []alerts.StoreID
	namespaces := e.storeNamespaces()
	for _, src := range e.plan.Sources {
		for _, namespace := range namespaces[src.Name] {
			ref := storeRef(src.Store)
			if ref.Kind == shape.ClusterSecretStoreKind {
				namespace = ""
			}
			if id := (alerts.StoreID{Kind: ref.Kind, Namespace: namespace, Name: ref.Name}); !slices.Contains(stores, id) {
				stores = append(stores, id)
			}
		}
	}
	return stores
}

// addStores adds what the external secrets refer to: the stores, and what generates
// in the cluster. It returns how many objects that is.
func (e *emission) addStores(t *tree.Tree) (objects int, err error) {
	namespaces := e.storeNamespaces()
	generated := map[string]string{} // by input: the first namespace that uses it, which is enough
	for _, w := range e.secrets {
		for _, in := range w.references.inputs {
			if g := in.Generate; g != nil && g.InCluster && generated[in.Name] == "" {
				generated[in.Name] = w.Namespace
			}
		}
	}
	add := func(file string, documents []tree.Document, failed error) {
		if failed == nil {
			objects += len(documents)
			t.Files[file], failed = tree.Manifest(documents...)
		}
		err = cmp.Or(err, failed)
	}
	for _, src := range e.plan.Sources {
		if len(namespaces[src.Name]) > 0 && src.Store.Existing == "" {
			documents, err := secretStores(src, e.plan, namespaces[src.Name])
			add(path.Join(tree.StoresDir, tree.FileName(src.Store.Name)), documents, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(generated)) {
		in, _ := e.plan.Input(name)
		documents, err := generator(in, e.plan, generated[name])
		add(path.Join(tree.GeneratorsDir, tree.FileName(generatorName(in, e.plan))), documents, err)
	}
	return objects, err
}

func (e *emission) report() Report {
	r := Report{Secrets: []SecretReport{}, Alerts: e.alerts, Certificates: e.uses(), Dropped: e.dropped()}
	for _, w := range e.secrets {
		r.Secrets = append(r.Secrets, SecretReport{
			Namespace: w.Namespace, Name: w.Name, File: w.entry.File,
			LeftOut: len(w.keys) > 0 && !slices.ContainsFunc(w.keys, func(k KeyReport) bool { return k.State != LeftOut }),
			Keys:    w.keys,
		})
	}
	return r
}
