package review

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// field is something that a plan says of a thing. Each field of a plan has one,
// which a test sees to.
type field[T any] struct {
	kind  string
	what  string
	get   func(s *Side, t T) string
	weigh func(old, new T) Section
}

// always is the weight of a field that does not depend on how it changed.
func always[T any](s Section) func(old, new T) Section { return func(T, T) Section { return s } }

// text is a field that is a string.
func text[T any](kind, what string, s Section, get func(T) string) field[T] {
	return field[T]{kind, what, func(_ *Side, t T) string { return get(t) }, always[T](s)}
}

// number is a field that is a number, of which nothing is none.
func number[T any](kind, what string, get func(T) int, weigh func(old, new int) Section) field[T] {
	return field[T]{kind, what, func(_ *Side, t T) string {
		if n := get(t); n != 0 {
			return strconv.Itoa(n)
		}
		return ""
	}, func(old, new T) Section { return weigh(get(old), get(new)) }}
}

// span is a field that is a duration.
func span[T any](kind, what string, get func(T) time.Duration, weigh func(old, new int) Section) field[T] {
	return field[T]{kind, what, func(_ *Side, t T) string {
		if d := get(t); d != 0 {
			return exactly(d)
		}
		return ""
	}, func(old, new T) Section { return weigh(int(get(old)), int(get(new))) }}
}

// exactly writes a duration as [plan.Age] does where nothing is rounded: two that
// differ must not read the same.
func exactly(d time.Duration) string {
	unit := time.Minute
	if d >= 48*time.Hour {
		unit = 24 * time.Hour
	}
	if d%unit == 0 {
		return plan.Age(d)
	}
	return plan.Period(d)
}

// yes is a field that is so or not.
func yes[T any](kind, what string, s Section, get func(T) bool) field[T] {
	return text(kind, what, s, func(t T) string { return yesNo(get(t)) })
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func yesNoOpen(b *bool) string {
	if b == nil {
		return ""
	}
	return yesNo(*b)
}

// Which way a demand has changed.

func lessIsWorse(old, new int) Section {
	if new < old {
		return Trust
	}
	return Other
}

func moreIsWorse(old, new int) Section {
	if new > old {
		return Trust
	}
	return Other
}

// longerIsWorse is for limits, of which none is no limit.
func longerIsWorse(old, new int) Section {
	if old != 0 && (new == 0 || new > old) {
		return Trust
	}
	return Other
}

// goneIsWorse is for demands of which one can't tell whether another one is less.
func goneIsWorse[T any](get func(T) string) func(old, new T) Section {
	return func(old, new T) Section {
		if get(old) == "" {
			return Other
		}
		return Trust
	}
}

func joined(list []string) string { return strings.Join(list, ", ") }

// fewer reports whether old has something that new lacks.
func fewer(old, new []string) bool {
	return slices.ContainsFunc(old, func(s string) bool { return !slices.Contains(new, s) })
}

var environmentFields = []field[*plan.Plan]{
	text("environment", "name", Trust, func(p *plan.Plan) string { return p.Environment }),
	text("namespace", "namespace", Trust, func(p *plan.Plan) string { return p.Namespace }),
	text("label", "app.kubernetes.io/part-of", Other, func(p *plan.Plan) string { return p.PartOf }),
	text("operator", "version of the External Secrets Operator", Other, func(p *plan.Plan) string {
		if p.ESOVersion == [3]int{} {
			return ""
		}
		return fmt.Sprintf("v%d.%d.%d", p.ESOVersion[0], p.ESOVersion[1], p.ESOVersion[2])
	}),
}

var sourceFields = []field[plan.Source]{
	text("kind", "kind", Trust, func(s plan.Source) string { return s.Kind }),
	text("address", "address", Trust, func(s plan.Source) string { return s.Address }),
	text("vault", "vault", Trust, func(s plan.Source) string { return s.Vault }),
	text("project", "project", Trust, func(s plan.Source) string { return s.Project }),
	text("region", "region", Trust, func(s plan.Source) string { return s.Region }),
	text("location", "location", Trust, func(s plan.Source) string { return s.Location }),
	text("source-namespace", "namespace", Trust, func(s plan.Source) string { return s.Namespace }),
	text("mount", "mount", Trust, func(s plan.Source) string { return s.Mount }),
	text("version", "version of the engine", Trust, func(s plan.Source) string { return s.Version }),
	text("prefix", "prefix", Trust, func(s plan.Source) string { return s.Prefix }),
	{"file", "file", func(s *Side, t plan.Source) string { return s.Path(t.File) }, always[plan.Source](Trust)},
	{"dir", "directory", func(s *Side, t plan.Source) string { return s.Path(t.Dir) }, always[plan.Source](Trust)},
	text("process-environment", "use of the process environment", Trust, func(s plan.Source) string { return yesNoOpen(s.ProcessEnv) }),
	text("command", "command", Trust, func(s plan.Source) string { return joined(s.Command) }),
	text("kms-key", "key that encrypts what is written", Trust, func(s plan.Source) string { return s.KMSKey }),
	text("authorities", "authorities", Trust, func(s plan.Source) string { return digestOf(s.CABundle) }),
}

// storeFields are what counts where the operator asks the source.
var storeFields = []field[plan.Source]{
	text("store", "store", Trust, func(s plan.Source) string { return s.Store.Name }),
	text("store", "kind of the store, which exists already,", Trust, func(s plan.Source) string { return s.Store.Existing }),
	text("role", "role of the store", Trust, func(s plan.Source) string { return s.Store.Role }),
	text("role", "mount path of the store's login", Trust, func(s plan.Source) string { return s.Store.MountPath }),
	text("role", "project of the store's cluster", Trust, func(s plan.Source) string { return s.Store.ClusterProject }),
	text("role", "location of the store's cluster", Trust, func(s plan.Source) string { return s.Store.ClusterLocation }),
	text("role", "name of the store's cluster", Trust, func(s plan.Source) string { return s.Store.ClusterName }),
	text("service-account", "service account of the store", Trust, account(func(a plan.ServiceAccount) string { return a.Name })),
	text("service-account", "service account of the store, which exists already,", Trust, account(func(a plan.ServiceAccount) string {
		if a.Existing {
			return a.Name
		}
		return ""
	})),
	text("role", "IAM role of the store's service account", Trust, account(func(a plan.ServiceAccount) string { return a.AWSRole })),
	text("role", "client of the store's service account", Trust, account(func(a plan.ServiceAccount) string { return a.AzureClient })),
	text("role", "tenant of the store's service account", Trust, account(func(a plan.ServiceAccount) string { return a.AzureTenant })),
	text("role", "Google account of the store's service account", Trust, account(func(a plan.ServiceAccount) string { return a.GCPAccount })),
}

func account(get func(plan.ServiceAccount) string) func(plan.Source) string {
	return func(s plan.Source) string {
		if s.Store.ServiceAccount == nil {
			return ""
		}
		return get(*s.Store.ServiceAccount)
	}
}

// digestOf stands for a text that is too long to compare by eye.
func digestOf(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return "SHA-256 " + hex.EncodeToString(sum[:])
}

var inputFields = []field[plan.Input]{
	{"class", "class", func(_ *Side, in plan.Input) string { return string(in.Class) }, func(old, new plan.Input) Section {
		if new.Class == plan.Required && old.Secret() {
			return Other
		}
		return Trust
	}},
	text("input-source", "source", Trust, func(in plan.Input) string { return in.Source }),
	text("remote", "name at the source", Trust, func(in plan.Input) string { return in.Remote.String() }),
	text("encoding", "encoding at the source", Other, func(in plan.Input) string { return in.Encoding }),
	yes("encoding", "trim", Other, func(in plan.Input) bool { return in.Trim }),
	text("present", "presence that the contract states", Other, func(in plan.Input) string { return yesNoOpen(in.Present) }),
	{"pattern", "pattern", func(_ *Side, in plan.Input) string { return pattern(in) }, goneIsWorse(pattern)},
	{"format", "format", func(_ *Side, in plan.Input) string { return in.Constraints.Format }, goneIsWorse(func(in plan.Input) string { return in.Constraints.Format })},
	number("length", "minLength", func(in plan.Input) int { return in.Constraints.MinLength }, lessIsWorse),
	number("length", "maxLength", func(in plan.Input) int { return in.Constraints.MaxLength }, longerIsWorse),
	{"strength", "minStrength", func(_ *Side, in plan.Input) string {
		if s := in.Constraints.MinStrength; s != 0 {
			return strconv.FormatFloat(s, 'f', -1, 64)
		}
		return ""
	}, func(old, new plan.Input) Section {
		if new.Constraints.MinStrength < old.Constraints.MinStrength {
			return Trust
		}
		return Other
	}},
	{"one-of", "list of values", func(_ *Side, in plan.Input) string { return joined(in.Constraints.OneOf) }, func(old, new plan.Input) Section {
		if was, is := old.Constraints.OneOf, new.Constraints.OneOf; len(was) > 0 && (len(is) == 0 || fewer(is, was)) {
			return Trust
		}
		return Other
	}},
	span("max-age", "maxAge", func(in plan.Input) time.Duration { return in.MaxAge }, longerIsWorse),
	span("max-age", "rotateAfter", func(in plan.Input) time.Duration { return in.RotateAfter }, longerIsWorse),
	{"expires", "last day", func(_ *Side, in plan.Input) string { return plan.Day(in.Expires) }, func(old, new plan.Input) Section {
		if new.Expires.IsZero() {
			return Trust
		}
		return Other
	}},
	text("owner", "owner", Other, func(in plan.Input) string { return in.Owner }),
	yes("rotate", "that it is never rotated", Other, func(in plan.Input) bool { return in.NeverRotate }),
	text("deprecated", "reason not to use it", Other, func(in plan.Input) string { return in.Deprecated }),
	text("description", "description", Noise, func(in plan.Input) string { return in.Description }),
	text("description", "page", Noise, func(in plan.Input) string { return in.Docs }),
	text("description", "example", Noise, func(in plan.Input) string { return in.Example }),
}

func pattern(in plan.Input) string {
	if in.Constraints.Pattern == nil {
		return ""
	}
	return in.Constraints.Pattern.String()
}

var generateFields = []field[plan.Generate]{
	text("generate", "kind of what is generated", Trust, func(g plan.Generate) string { return g.Kind }),
	number("generate", "length of what is generated", func(g plan.Generate) int { return g.Length }, lessIsWorse),
	number("generate", "bits of what is generated", func(g plan.Generate) int { return g.Bits }, lessIsWorse),
	{"generate", "alphabet", func(_ *Side, g plan.Generate) string { return g.Alphabet }, func(old, new plan.Generate) Section {
		return lessIsWorse(len(old.Alphabet), len(new.Alphabet))
	}},
	{"generate", "classes of characters that must be there", func(_ *Side, g plan.Generate) string { return joined(g.Require) }, func(old, new plan.Generate) Section {
		if fewer(old.Require, new.Require) {
			return Trust
		}
		return Other
	}},
	text("generate", "curve", Trust, func(g plan.Generate) string { return g.Curve }),
	text("generate", "encoding of what is generated", Other, func(g plan.Generate) string { return g.Encoding }),
	yes("generate", "padding", Other, func(g plan.Generate) bool { return g.Padding }),
	span("keep-previous", "keepPrevious", func(g plan.Generate) time.Duration { return g.KeepPrevious }, moreIsWorse),
	yes("generate", "generating in the cluster", Trust, func(g plan.Generate) bool { return g.InCluster }),
}

var childFields = []field[plan.Child]{
	text("made-from", "input that it is made from", Trust, func(c plan.Child) string { return c.Of }),
	number("generate", "cost", func(c plan.Child) int { return c.Cost }, lessIsWorse),
	text("generate", "user", Trust, func(c plan.Child) string { return c.User }),
	text("generate", "algorithm", Trust, func(c plan.Child) string { return c.Algorithm }),
	text("generate", "claims", Trust, func(c plan.Child) string { return c.Claims }),
	span("generate", "lifetime", func(c plan.Child) time.Duration { return c.Lifetime }, longerIsWorse),
	span("generate", "renewBefore", func(c plan.Child) time.Duration { return c.RenewBefore }, lessIsWorse),
	text("generate", "subject", Trust, func(c plan.Child) string { return c.Subject }),
	text("generate", "names", Trust, func(c plan.Child) string { return joined(c.Names) }),
	text("generate", "usages", Trust, func(c plan.Child) string { return joined(c.Usages) }),
	yes("generate", "signing others", Trust, func(c plan.Child) bool { return c.CA }),
	yes("generate", "chain of the issuer", Other, func(c plan.Child) bool { return c.Chain }),
	text("made-from", "issuer's certificate", Trust, func(c plan.Child) string { return c.Issuer.Certificate }),
	text("made-from", "issuer's key", Trust, func(c plan.Child) string { return c.Issuer.Key }),
	text("made-from", "entries of the keystore", Trust, func(c plan.Child) string {
		var all []string
		for _, e := range c.Entries {
			all = append(all, fmt.Sprintf("%s (key %s, certificate %s)", e.Alias, cmp.Or(e.Key, "none"), cmp.Or(e.Certificate, "none")))
		}
		return joined(all)
	}),
}

var ruleFields = []field[plan.Rule]{
	text("rule", "kind", Trust, func(r plan.Rule) string { return string(r.Kind) }),
	text("rule", "inputs", Trust, func(r plan.Rule) string { return joined(r.Inputs) }),
	text("description", "description", Noise, func(r plan.Rule) string { return r.Description }),
}

var secretFields = []field[plan.Secret]{
	text("namespace", "namespace", Trust, func(s plan.Secret) string { return s.Namespace }),
	text("name", "name", Trust, func(s plan.Secret) string { return s.Name }),
	text("type", "type", Trust, func(s plan.Secret) string { return s.Type }),
	yes("immutable", "immutable", Other, func(s plan.Secret) bool { return s.Immutable }),
	text("delivery", "delivery", Trust, func(s plan.Secret) string { return s.Delivery.Kind }),
	{"certificate", "certificate", func(s *Side, t plan.Secret) string { return s.aboutCertificate(t) }, always[plan.Secret](Trust)},
	{"certificate-file", "file of the certificate", func(s *Side, t plan.Secret) string { return s.Path(t.Delivery.Certificate) }, always[plan.Secret](Trust)},
	text("scope", "scope", Trust, func(s plan.Secret) string { return s.Delivery.Scope }),
	text("controller", "name of the controller", Trust, func(s plan.Secret) string { return s.Delivery.Controller.Name }),
	text("controller", "namespace of the controller", Trust, func(s plan.Secret) string { return s.Delivery.Controller.Namespace }),
	span("refresh", "refreshInterval", func(s plan.Secret) time.Duration { return s.Delivery.RefreshInterval }, func(int, int) Section { return Other }),
	text("refresh", "refreshPolicy", Other, func(s plan.Secret) string { return s.Delivery.RefreshPolicy }),
	text("refresh", "creationPolicy", Other, func(s plan.Secret) string { return s.Delivery.CreationPolicy }),
	text("refresh", "deletionPolicy", Other, func(s plan.Secret) string { return s.Delivery.DeletionPolicy }),
}

const notThere = "none that can be read"

// aboutCertificate says which certificate a secret is sealed for, and whose it is.
func (s *Side) aboutCertificate(secret plan.Secret) string {
	file := secret.Delivery.Certificate
	if file == "" {
		return ""
	}
	c := s.Certificate(file)
	if c == nil {
		return notThere
	}
	return fmt.Sprintf("SHA-256 %s (%s, valid from %s to %s)", c.SHA256, cmp.Or(c.Subject, "no subject"), c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
}

var alertsFields = []field[plan.Alerts]{
	span("alerts", "certificateEnds", func(a plan.Alerts) time.Duration { return a.CertificateEnds }, lessIsWorse),
	span("alerts", "rotationOverdue", func(a plan.Alerts) time.Duration { return a.RotationOverdue }, moreIsWorse),
	span("alerts", "expiryNotice", func(a plan.Alerts) time.Duration { return a.ExpiryNotice }, lessIsWorse),
	text("alerts", "runbook", Other, func(a plan.Alerts) string { return a.Runbook }),
	text("alerts", "namespace label of kube-state-metrics", Other, func(a plan.Alerts) string { return a.KubeStateMetrics.NamespaceLabel }),
	text("alerts", "namespace label of the sealed-secrets controller", Other, func(a plan.Alerts) string { return a.SealedSecrets.NamespaceLabel }),
	text("alerts", "namespace label of the External Secrets Operator", Other, func(a plan.Alerts) string { return a.ExternalSecrets.NamespaceLabel }),
	yes("alerts", "omission of labels by kube-state-metrics", Other, func(a plan.Alerts) bool { return a.KubeStateMetrics.OmitsSecretLabels }),
	yes("alerts", "omission of labels by the sealed-secrets controller", Other, func(a plan.Alerts) bool { return a.SealedSecrets.OmitsSecretLabels }),
	yes("alerts", "omission of labels by the External Secrets Operator", Other, func(a plan.Alerts) bool { return a.ExternalSecrets.OmitsSecretLabels }),
}

var alertFields = []field[plan.Alert]{
	span("alerts", "for", func(a plan.Alert) time.Duration { return a.For }, moreIsWorse),
	text("alerts", "severity", Trust, func(a plan.Alert) string { return a.Severity }),
}

var argocdFields = []field[plan.ArgoCD]{
	text("argocd", "name", Other, func(a plan.ArgoCD) string { return a.Name }),
	text("argocd", "namespace", Trust, func(a plan.ArgoCD) string { return a.Namespace }),
	text("argocd", "project", Trust, func(a plan.ArgoCD) string { return a.Project }),
	text("argocd", "repository", Trust, func(a plan.ArgoCD) string { return a.RepoURL }),
	text("argocd", "path", Trust, func(a plan.ArgoCD) string { return a.Path }),
	text("argocd", "revision", Trust, func(a plan.ArgoCD) string { return a.Revision }),
	text("argocd", "cluster", Trust, func(a plan.ArgoCD) string { return a.Server }),
	yes("argocd", "automated sync", Trust, func(a plan.ArgoCD) bool { return a.Automated }),
}

// fields compares what two plans say of a thing.
func fields[T any](c *comparison, all []field[T], of, subject string, old, new T, pos []plan.Pos) {
	for _, f := range all {
		was, is := f.get(&c.old, old), f.get(&c.new, new)
		if was != is {
			c.add(f.weigh(old, new), Change{Kind: f.kind, Of: of, Subjects: []string{subject}, What: f.what, Old: was, New: is, Pos: last(pos)})
		}
	}
}

// told lists what a plan says of a thing that is new.
func told[T any](s *Side, all []field[T], t T, leaveOut ...string) string {
	var parts []string
	for _, f := range all {
		if v := f.get(s, t); v != "" && v != "no" && !slices.Contains(leaveOut, f.kind) {
			parts = append(parts, f.what+" "+quote(v))
		}
	}
	return strings.Join(parts, ", ")
}

// tables compares labels or annotations.
func (c *comparison) tables(s Section, kind, of, subject string, old, new map[string]string, pos []plan.Pos) {
	for _, name := range slices.Sorted(maps.Keys(union(old, new))) {
		was, had := old[name]
		is, has := new[name]
		change := Change{Kind: kind, Of: of, Subjects: []string{subject}, What: kind + " " + name, Old: was, New: is, Pos: last(pos)}
		switch {
		case was == is && had == has:
			continue
		case was == "" && is == "": // one that says nothing has come or gone
			change.event, change.What = true, change.What+map[bool]string{true: " is new", false: " is gone"}[has]
		}
		c.add(s, change)
	}
}

// union has the keys of both.
func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

var workloadsFields = []field[plan.Workloads]{
	{"workloads", "manifests", func(s *Side, w plan.Workloads) string {
		var all []string
		for _, path := range w.Paths {
			all = append(all, s.Path(path))
		}
		return joined(all)
	}, always[plan.Workloads](Other)},
	text("workloads", "secrets of others", Other, func(w plan.Workloads) string { return joined(w.Other) }),
	text("workloads", "references", Other, func(w plan.Workloads) string {
		var all []string
		for _, r := range w.References {
			all = append(all, r.Kind+" "+r.Path)
		}
		return joined(all)
	}),
	text("workloads", "restart", Other, func(w plan.Workloads) string { return w.Restart }),
	text("workloads", "watched secrets", Other, func(w plan.Workloads) string { return joined(w.Watched) }),
}
