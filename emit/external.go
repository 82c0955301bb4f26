package emit

import (
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// references are what an external secret is made of.
type references struct {
	plain     map[string]plan.Input // keys that are an input as it is
	templates map[string]string     // keys that the operator renders
	inputs    map[string]plan.Input // all inputs that the operator reads, by name
	replaced  time.Time             // when the last was of the previous values among them; zero if there is none
}

// externalDelivery is by an ExternalSecret: the tree says where the values are, and the
// External Secrets Operator fetches them.
type externalDelivery struct{}

func (externalDelivery) knows(plan.Delivery) bool { return true }

func (externalDelivery) manifest(e *emission, w *work) ([]byte, error) {
	if len(w.references.inputs) == 0 {
		return nil, nil
	}
	return tree.ManifestOf(externalSecret(w, e.plan))
}

// decide says of each key whether the operator reads it, renders it, or finds it in the
// manifest. An input whose presence is not known is an error.
func (externalDelivery) decide(e *emission, w *work) {
	w.references = references{plain: map[string]plan.Input{}, templates: map[string]string{}, inputs: map[string]plan.Input{}}
	for _, k := range w.Keys {
		report := func(s State, why string) {
			w.keys = append(w.keys, KeyReport{Name: k.Name, State: s, Why: why, Inputs: k.Inputs()})
		}
		known := map[string]string{} // of the inputs, the values that stand in the contract, or that are none
		var read []plan.Input
		for _, name := range k.Inputs() {
			in, _ := e.plan.Input(name)
			if in.Default != nil {
				known[name] = *in.Default
			} else if e.present(w, k, in) {
				read = append(read, in)
			} else {
				known[name] = ""
			}
		}
		switch {
		case len(read) > 0 && k.Input != "" && read[0].Trim:
			w.references.templates[k.Name] = "{{ ." + read[0].Name + " | trim }}"
			report(Referenced, "the operator renders it")
		case len(read) > 0 && k.Input != "":
			w.references.plain[k.Name] = read[0]
			report(Referenced, "the operator reads it")
		case len(read) > 0:
			w.references.templates[k.Name] = k.Template.Inline(known)
			report(Referenced, "the operator renders it")
		default: // all of it is known, so that a template can be left out if it renders to nothing
			values := value.Set{}
			for name, text := range known {
				values[name] = value.Resolved{State: value.Absent}
				if text != "" {
					values[name] = value.Resolved{State: value.Present, Value: value.New([]byte(text))}
				}
			}
			c, ok := contentOf(k, w.id(), e.plan, values, &w.diagnostics)
			switch {
			case !ok:
			case c.leftOut != "":
				report(LeftOut, c.leftOut)
			default:
				w.references.templates[k.Name] = plan.Verbatim(string(c.bytes))
				report(Referenced, "it is in the manifest")
			}
		}
		for _, in := range read {
			w.references.inputs[in.Name] = in
		}
	}
	w.references.replaced = e.replaced(w)
	if len(w.references.inputs) == 0 && len(w.references.templates) > 0 && !w.diagnostics.HasErrors() {
		w.diagnostics.Errorf(plan.CodeExternal, w.Pos, `write delivery: kind: "sealed" for it, or make it a ConfigMap`,
			"everything that external secret %s takes from a source is absent, and the operator rejects one that takes nothing", w.id())
	}
}

// present reports whether in is at its source. The source says so, or else the
// lock, which knows what it said before.
func (e *emission) present(w *work, k plan.Key, in plan.Input) bool {
	r := e.values[in.Name]
	locked, known := e.oldLock.Inputs[in.Name]
	switch {
	case r.State == value.Absent && !in.MayBeAbsent():
		// As in contentOf: a caller that went on after resolution failed gets no tree.
		w.diagnostics.Errorf(plan.CodeMissing, k.Pos, "give it a value", "key %q of secret %s: its %s input %s is absent", k.Name, w.id(), in.Class, in.Name)
	case r.State != value.Unreadable:
		return r.State == value.Present
	case r.Remedy != "" && known && locked.Place != "" && !tree.SamePlace(locked.Place, in, e.plan):
		w.diagnostics.Errorf(plan.CodeCannotSeal, k.Pos, r.Remedy, "key %q of secret %s: %s (%s), and the operator would look for it in a different place than before",
			k.Name, w.id(), in.Name, r.Reason)
	case !in.MayBeAbsent():
	case known && tree.SamePlace(locked.Place, in, e.plan):
		return locked.Present
	default:
		why := ""
		if r.Reason != "" {
			why = " (" + r.Reason + ")"
		}
		w.diagnostics.Errorf(plan.CodePresence, in.Pos, "build once where its source can be read, or write present: true or present: false for it",
			"whether %s input %s is at its source is not known%s, and %s does not know it either", in.Class, in.Name, why, tree.LockFile)
	}
	return true
}

// presence is what the next build may have to know: of the inputs that external
// secrets alone are made from, whether those are there that need not be.
func (e *emission) presence() map[string]tree.LockedInput {
	known := map[string]tree.LockedInput{}
	for name := range e.plan.Unread() {
		in, _ := e.plan.Input(name)
		if in.Default != nil || !in.MayBeAbsent() || in.Present != nil || in.PreviousOf() != "" {
			continue
		}
		entry := tree.LockedInput{Place: tree.PlaceOf(in, e.plan), Present: e.values[name].State == value.Present}
		if e.values[name].State == value.Unreadable {
			entry = e.oldLock.Inputs[name]
		}
		known[name] = entry
	}
	return known
}

// externalSecret returns the ExternalSecret that makes the Secret of w. Every
// default that the API server or the operator would fill in is spelled out, for
// Argo CD takes what it did not write to be a change.
//
// Without a key that is rendered, keys are data as they are. With one, the
// operator takes all keys from the template, and data are the inputs alone: so
// the parts of a template never stand in the Secret.
func externalSecret(w *work, p *plan.Plan) (tree.Document, error) {
	s, refs := w.Secret, w.references
	data, templates := refs.plain, maps.Clone(refs.templates)
	if len(templates) > 0 {
		data = refs.inputs
		for key, in := range refs.plain {
			templates[key] = plan.Reference(in.Name)
		}
	}
	es := shape.ExternalSecret{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.ExternalSecretVersion, Kind: shape.ExternalSecretKind},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: tree.Labels(p, s.Labels), Annotations: tree.Wave(tree.WaveSecrets)},
		Spec: shape.ExternalSecretSpec{
			RefreshPolicy:   s.Delivery.RefreshPolicy,
			RefreshInterval: &metav1.Duration{Duration: s.Delivery.RefreshInterval},
			Target: shape.ExternalSecretTarget{
				CreationPolicy: s.Delivery.CreationPolicy,
				DeletionPolicy: s.Delivery.DeletionPolicy,
				Immutable:      s.Immutable,
				Template: &shape.ExternalSecretTemplate{
					Type: s.Type, EngineVersion: "v2", MergePolicy: "Replace",
					Metadata: shape.TemplateMetadata{Labels: tree.Labels(p, s.Labels), Annotations: map[string]string{}},
					Data:     templates,
				},
			},
		},
	}
	if !refs.replaced.IsZero() {
		if es.Annotations == nil {
			es.Annotations = map[string]string{}
		}
		es.Annotations[replacedAnnotation] = refs.replaced.Format(time.RFC3339)
	}
	for name, text := range s.Annotations {
		es.Spec.Target.Template.Metadata.Annotations[name] = plan.Verbatim(text) // the operator renders them, too
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		in := data[key]
		src, _ := p.Source(in.Source)
		d := shape.ExternalSecretData{SecretKey: key, RemoteRef: remoteRef(in, src)}
		if store := storeRef(src.Store); es.Spec.SecretStoreRef.Name == "" {
			es.Spec.SecretStoreRef = store
		} else if store != es.Spec.SecretStoreRef {
			d.SourceRef = &shape.StoreRef{SecretStoreRef: store}
		}
		es.Spec.Data = append(es.Spec.Data, d)
	}
	d, err := tree.NewDocument(es)
	addDefaults(d, p.ESOVersion)
	return d, err
}

// remoteKey is how the operator is told of a remote. At Vault it takes the mount
// off the front of a name, and data/ behind it, so where the name itself begins
// so it must have the mount before it
// (buildPath in https://github.com/external-secrets/external-secrets/blob/v0.19.2/pkg/provider/vault/client_get.go).
func remoteKey(in plan.Input, src plan.Source) string {
	if src.Kind == plan.Vault && strings.HasPrefix(in.Remote.Name, src.Mount+"/") {
		return src.Mount + "/" + in.Remote.Name
	}
	return in.Remote.Name
}

func remoteRef(in plan.Input, src plan.Source) shape.RemoteRef {
	ref := shape.RemoteRef{
		Key: remoteKey(in, src), Property: in.Remote.Property, Version: in.Remote.Version,
		ConversionStrategy: "Default",
		DecodingStrategy:   "None",
		MetadataPolicy:     "None",
	}
	if in.Encoding == plan.Base64 {
		ref.DecodingStrategy = "Base64"
	}
	if src.Kind == plan.AWSSecretsManager && len(ref.Version) >= 32 && !strings.HasPrefix(ref.Version, "AWS") {
		// The operator takes a version for a staging label unless told that it is an ID
		// (https://external-secrets.io/latest/provider/aws-secrets-manager/#secret-versions).
		ref.Version = "uuid/" + ref.Version
	}
	return ref
}
