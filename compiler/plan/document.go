package plan

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Document is a plan as JSON has it: schema.#Plan, which `victorgen explain -o
// json` prints, and which policies are about. Like a plan it has no values. What
// a contract leaves out is there too, as "", null, 0 or false: so a policy that
// requires something is not satisfied by an empty field.
type Document struct {
	Version     int                       `json:"version"`
	Environment string                    `json:"environment"`
	PartOf      string                    `json:"partOf"`
	Namespace   string                    `json:"namespace"`
	Directory   string                    `json:"directory"` // of the environment, in its module
	Sources     map[string]SourceDocument `json:"sources"`
	Inputs      map[string]InputDocument  `json:"inputs"`
	Rules       map[string]RuleDocument   `json:"rules"`
	Secrets     map[string]SecretDocument `json:"secrets"` // by NAMESPACE/NAME
	Readers     []ReaderDocument          `json:"readers"`
	Alerts      map[string]AlertDocument  `json:"alerts"` // those that are on
	ArgoCD      *ArgoCDDocument           `json:"argocd"`
	Workloads   *WorkloadsDocument        `json:"workloads"`
}

// StoreDocument is how external delivery reaches a source in a [Document].
type StoreDocument struct {
	Name           string                  `json:"name"`
	Existing       string                  `json:"existing"`
	Role           string                  `json:"role"`
	MountPath      string                  `json:"mountPath"`
	ServiceAccount *ServiceAccountDocument `json:"serviceAccount"`
}

// ServiceAccountDocument is who a store asks as in a [Document].
type ServiceAccountDocument struct {
	Name        string `json:"name"`
	Existing    bool   `json:"existing"`
	AWSRole     string `json:"awsRole"`
	AzureClient string `json:"azureClient"`
	AzureTenant string `json:"azureTenant"`
	GCPAccount  string `json:"gcpAccount"`
}

// InputDocument is an input in a [Document].
type InputDocument struct {
	Class       Class             `json:"class"`
	Description string            `json:"description"`
	Docs        string            `json:"docs"`
	Deprecated  string            `json:"deprecated"`
	Source      string            `json:"source"` // empty for a setting that has a default
	Remote      string            `json:"remote"` // empty where the source has no names of its own
	Encoding    string            `json:"encoding"`
	Present     *bool             `json:"present"`
	Generate    *GenerateDocument `json:"generate"`
	Pattern     string            `json:"pattern"`
	Format      string            `json:"format"`
	MinLength   int               `json:"minLength"`
	MaxLength   int               `json:"maxLength"`
	MinStrength float64           `json:"minStrength"`
	OneOf       []string          `json:"oneOf"`
	MaxAge      string            `json:"maxAge"`
	RotateAfter string            `json:"rotateAfter"`
	Expires     string            `json:"expires"` // a day, or empty
	Owner       string            `json:"owner"`
	Rotate      string            `json:"rotate"` // "never", or empty
	Keys        []KeyPlace        `json:"keys"`   // that are made from it
}

// KeyPlace is a key of a secret.
type KeyPlace struct {
	Secret string `json:"secret"` // NAMESPACE/NAME
	Key    string `json:"key"`
}

// GenerateDocument is how an input is generated in a [Document].
type GenerateDocument struct {
	Kind      string `json:"kind"`
	Length    int    `json:"length"`
	Bits      int    `json:"bits"`
	Encoding  string `json:"encoding"`
	InCluster bool   `json:"inCluster"`
	// Of what is made from other inputs.
	Parents     []string `json:"parents"`
	Cost        int      `json:"cost"`
	Algorithm   string   `json:"algorithm"`
	Lifetime    string   `json:"lifetime"`
	RenewBefore string   `json:"renewBefore"`
	// KeepPrevious is how long the value that a rotation replaced counts.
	KeepPrevious string `json:"keepPrevious"`
}

// RuleDocument is a rule in a [Document].
type RuleDocument struct {
	Kind   RuleKind `json:"kind"`
	Inputs []string `json:"inputs"`
}

// SecretDocument is a secret in a [Document].
type SecretDocument struct {
	Name        string                 `json:"name"`
	Namespace   string                 `json:"namespace"`
	Type        string                 `json:"type"`
	Labels      map[string]string      `json:"labels"`
	Annotations map[string]string      `json:"annotations"`
	Immutable   bool                   `json:"immutable"`
	Delivery    DeliveryDocument       `json:"delivery"`
	Keys        map[string]KeyDocument `json:"keys"`
}

// DeliveryDocument is how a secret reaches the cluster in a [Document].
type DeliveryDocument struct {
	Kind            string             `json:"kind"`
	Scope           string             `json:"scope"`
	Certificate     string             `json:"certificate"` // in the module, or absolute
	SHA256          string             `json:"sha256"`      // of the certificate, empty if it cannot be read
	Controller      ControllerDocument `json:"controller"`
	RefreshInterval string             `json:"refreshInterval"`
	RefreshPolicy   string             `json:"refreshPolicy"`
	CreationPolicy  string             `json:"creationPolicy"`
	DeletionPolicy  string             `json:"deletionPolicy"`
}

// ControllerDocument is a sealed-secrets controller in a [Document].
type ControllerDocument struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// KeyDocument is what a key is made from in a [Document].
type KeyDocument struct {
	By     string   `json:"by"` // input, template or value
	Inputs []string `json:"inputs"`
}

// ReaderDocument is a reader in a [Document].
type ReaderDocument struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// AlertDocument is an alert in a [Document].
type AlertDocument struct {
	For      string `json:"for"`
	Severity string `json:"severity"`
}

// ArgoCDDocument is the Application of an environment in a [Document].
type ArgoCDDocument struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Project   string `json:"project"`
	RepoURL   string `json:"repoURL"`
	Path      string `json:"path"`
	Revision  string `json:"revision"`
	Server    string `json:"server"`
	Automated bool   `json:"automated"`
}

// WorkloadsDocument is what uses the secrets in a [Document].
type WorkloadsDocument struct {
	Paths        []string            `json:"paths"` // in the module, or absolute
	OtherSecrets []string            `json:"otherSecrets"`
	References   []ReferenceDocument `json:"references"`
	Restart      string              `json:"restart"`
	Watched      []string            `json:"watched"`
}

// ReferenceDocument is a field of a kind of object that names a Secret.
type ReferenceDocument struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
}

// DocumentVersion is that of the form of a [Document].
const DocumentVersion = 2

// Document returns the plan as JSON has it. fingerprint returns the SHA-256 of
// the certificate in a file, or nothing.
func (p *Plan) Document(fingerprint func(file string) string) Document {
	d := Document{
		Version: DocumentVersion, Environment: p.Environment, PartOf: p.PartOf, Namespace: p.Namespace, Directory: p.inModule(p.Dir),
		Sources: map[string]SourceDocument{}, Inputs: map[string]InputDocument{}, Rules: map[string]RuleDocument{}, Secrets: map[string]SecretDocument{},
		Readers: []ReaderDocument{}, Alerts: map[string]AlertDocument{},
	}
	for _, s := range p.Sources {
		d.Sources[s.Name] = p.sourceDocument(s)
	}
	for _, in := range p.Inputs {
		d.Inputs[in.Name] = p.inputDocument(in)
	}
	for _, r := range p.Rules {
		d.Rules[r.Name] = RuleDocument{Kind: r.Kind, Inputs: list(r.Inputs)}
	}
	for _, s := range p.Secrets {
		d.Secrets[s.ID()] = p.secretDocument(s, fingerprint)
	}
	for _, r := range p.Readers {
		d.Readers = append(d.Readers, ReaderDocument(r))
	}
	if p.Alerts != nil {
		for name, a := range p.Alerts.Rules {
			d.Alerts[name] = AlertDocument{For: a.For.String(), Severity: a.Severity}
		}
	}
	if a := p.ArgoCD; a != nil {
		argocd := ArgoCDDocument(*a)
		d.ArgoCD = &argocd
	}
	if w := p.Workloads; w != nil {
		d.Workloads = &WorkloadsDocument{Paths: []string{}, OtherSecrets: list(w.Other), References: []ReferenceDocument{}, Restart: w.Restart, Watched: list(w.Watched)}
		for _, path := range w.Paths {
			d.Workloads.Paths = append(d.Workloads.Paths, p.inModule(path))
		}
		for _, r := range w.References {
			d.Workloads.References = append(d.Workloads.References, ReferenceDocument(r))
		}
	}
	return d
}

func (p *Plan) inputDocument(in Input) InputDocument {
	d := InputDocument{
		Class: in.Class, Description: in.Description, Docs: in.Docs, Deprecated: in.Deprecated, Source: in.Source, Remote: in.Remote.String(),
		Encoding: in.Encoding, Present: in.Present, Format: in.Constraints.Format, MinLength: in.Constraints.MinLength,
		MaxLength: in.Constraints.MaxLength, MinStrength: in.Constraints.MinStrength, OneOf: list(in.Constraints.OneOf),
		MaxAge: duration(in.MaxAge), RotateAfter: duration(in.RotateAfter), Expires: Day(in.Expires), Owner: in.Owner, Rotate: rotate(in), Keys: []KeyPlace{},
	}
	if in.Default != nil {
		d.Source, d.Remote = "", ""
	}
	if in.Constraints.Pattern != nil {
		d.Pattern = in.Constraints.Pattern.String()
	}
	if g := in.Generate; g != nil {
		d.Generate = &GenerateDocument{Kind: g.Kind, Length: g.Length, Bits: g.Bits, Encoding: g.Encoding, InCluster: g.InCluster, Parents: list(in.Parents()), KeepPrevious: duration(g.KeepPrevious)}
		if c := g.Child; c != nil {
			d.Generate.Cost, d.Generate.Algorithm, d.Generate.Lifetime, d.Generate.RenewBefore = c.Cost, c.Algorithm, duration(c.Lifetime), duration(c.RenewBefore)
		}
	}
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			if slices.Contains(k.Inputs(), in.Name) || slices.Contains(k.Inputs(), in.Name+PreviousSuffix) {
				d.Keys = append(d.Keys, KeyPlace{Secret: s.ID(), Key: k.Name})
			}
		}
	}
	return d
}

func (p *Plan) secretDocument(s Secret, fingerprint func(string) string) SecretDocument {
	d := SecretDocument{
		Name: s.Name, Namespace: s.Namespace, Type: s.Type, Labels: table(s.Labels), Annotations: table(s.Annotations), Immutable: s.Immutable,
		Delivery: DeliveryDocument{
			Kind: s.Delivery.Kind, Scope: s.Delivery.Scope, Certificate: p.inModule(s.Delivery.Certificate), Controller: ControllerDocument(s.Delivery.Controller),
			RefreshInterval: duration(s.Delivery.RefreshInterval), RefreshPolicy: s.Delivery.RefreshPolicy,
			CreationPolicy: s.Delivery.CreationPolicy, DeletionPolicy: s.Delivery.DeletionPolicy,
		},
		Keys: map[string]KeyDocument{},
	}
	if s.Delivery.Certificate != "" {
		d.Delivery.SHA256 = fingerprint(s.Delivery.Certificate)
	}
	for _, k := range s.Keys {
		d.Keys[k.Name] = KeyDocument{By: k.By(), Inputs: list(k.Inputs())}
	}
	return d
}

// ID names a secret in its cluster: NAMESPACE/NAME.
func (s Secret) ID() string { return s.Namespace + "/" + s.Name }

// By says what a key is made from: an input, a template or a value.
func (k Key) By() string {
	switch {
	case k.Template != nil:
		return "template"
	case k.Value != nil:
		return "value"
	}
	return "input"
}

// inModule writes a path as the module has it, if it is there.
func (p *Plan) inModule(path string) string {
	rel, err := filepath.Rel(p.Module, path)
	if path == "" || err != nil || !filepath.IsLocal(rel) {
		return path
	}
	return filepath.ToSlash(rel)
}

// Place returns where the contract says the value at a path of the plan's
// [Document], such as secrets, shop/db, namespace: the nearest that is known of.
func (p *Plan) Place(path []string) []Pos {
	for i, element := range path {
		for _, s := range p.Secrets {
			if s.ID() != element {
				continue
			}
			for _, k := range s.Keys {
				if slices.Contains(path[i+1:], k.Name) && len(k.Pos) > 0 {
					return k.Pos[len(k.Pos)-1:]
				}
			}
			if slices.Contains(path[i+1:], "delivery") && len(s.Delivery.Pos) > 0 {
				return s.Delivery.Pos
			}
			return last(s.Pos)
		}
		if in, ok := p.Input(element); ok && len(in.Pos) > 0 { // that of the lock is in no contract
			return last(in.Pos)
		}
		if s, ok := p.Source(element); ok && i > 0 {
			return last(s.Pos)
		}
		for _, r := range p.Rules {
			if r.Name == element && i > 0 {
				return last(r.Pos)
			}
		}
	}
	return last(p.Pos)
}

func last(ps []Pos) []Pos { return ps[max(0, len(ps)-1):] }

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func table(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

// Period writes d as contracts do, as in 36h or 1h30m.
func Period(d time.Duration) string {
	s := d.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, none) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// duration is Period, or nothing for none.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return Period(d)
}

// Day writes the day of t in UTC, as in 2027-03-31; the zero time is empty.
func Day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func rotate(in Input) string {
	if in.NeverRotate {
		return "never"
	}
	return ""
}
