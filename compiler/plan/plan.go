// Package plan holds a compiled environment: everything that the compiler
// knows before any value is read. The compiler makes a [Plan]; resolution, the
// emitters and the command line read it. A plan is not changed once it is
// made, its slices are sorted by name, and it keeps the position of everything
// that a message may have to point at.
//
// A plan never holds the value of a secret input. It imports the standard
// library alone, so that anyone may import it.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LockKey is the name of the generated input that authenticates the entries
// of victorgen.lock. The schema declares it for every environment.
const LockKey = "VICTORGEN_LOCK_KEY"

// Plan is one environment, compiled.
type Plan struct {
	Environment string     // its name: "production"
	PartOf      string     // the app.kubernetes.io/part-of label
	Namespace   string     // where its secrets live unless they say otherwise
	Module      string     // absolute directory of the CUE module
	Dir         string     // absolute directory of the environment's package
	Inputs      []Input    // sorted by name
	Secrets     []Secret   // sorted by namespace, then name
	Rules       []Rule     // sorted by name
	Sources     []Source   // sorted by name
	Readers     []Reader   // who may get the secrets from the cluster, in the order of the contract
	Alerts      *Alerts    // nil if there are to be no alerting rules
	ESOVersion  [3]int     // of the External Secrets Operator in the cluster
	ArgoCD      *ArgoCD    // nil if the contract says nothing of it
	Workloads   *Workloads // nil if the contract says nothing of them
	Pos         []Pos      // where its name is
	// Own is the plan with the default source that the contract has, if another
	// stands in for that one in this run.
	Own *Plan
}

// Input returns the input called name, or the previous value of one that is kept.
func (p *Plan) Input(name string) (Input, bool) {
	if of, ok := strings.CutSuffix(name, PreviousSuffix); ok {
		in, _ := p.Input(of)
		src, _ := p.Source(in.Source)
		if in.KeepsPrevious() == 0 {
			return Input{}, false
		}
		return in.previous(src), true
	}
	i, ok := slices.BinarySearchFunc(p.Inputs, name, func(in Input, name string) int {
		return strings.Compare(in.Name, name)
	})
	if !ok {
		return Input{}, false
	}
	return p.Inputs[i], true
}

// Source returns the source called name.
func (p *Plan) Source(name string) (Source, bool) {
	for _, s := range p.Sources {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

// Seals reports whether some secret is sealed. A plan whose secrets are all
// external has no input [LockKey].
func (p *Plan) Seals() bool {
	return slices.ContainsFunc(p.Secrets, func(s Secret) bool { return s.Delivery.Seals() })
}

// Unread returns the inputs whose values a build does not read, because nothing is
// made from them but external secrets: it is enough to know that
// they are there.
func (p *Plan) Unread() map[string]bool {
	unread, read := map[string]bool{}, map[string]bool{}
	for _, s := range p.Secrets {
		by := read
		if s.Delivery.Fetches() {
			by = unread
		}
		for _, k := range s.Keys {
			for _, in := range k.Inputs() {
				by[in] = true
			}
		}
	}
	// What is read is checked against what it is made from, and the other way about.
	for _, by := range []map[string]bool{read, unread} {
		for names := slices.Collect(maps.Keys(by)); len(names) > 0; names = names[1:] {
			in, _ := p.Input(names[0])
			for _, parent := range in.Parents() {
				if !by[parent] {
					by[parent] = true
					names = append(names, parent)
				}
			}
		}
	}
	maps.DeleteFunc(unread, func(in string, _ bool) bool { return read[in] })
	return unread
}

// Class says whether an input must be there, and who makes it.
type Class string

// The classes of an input.
const (
	Required  Class = "required"  // a secret that must be provided
	Optional  Class = "optional"  // a secret that may be absent
	Generated Class = "generated" // a secret that victorgen generates when it is absent
	Setting   Class = "setting"   // not a secret: its default may stand in Git
)

// Input is one named value that the application needs.
type Input struct {
	Name        string
	Class       Class
	Description string
	Docs        string  // URL of a page that tells how to get one
	Example     string  // a value of the right shape, never a real one
	Deprecated  string  // why not to use it any longer; empty if it is not deprecated
	Source      string  // the name of its source in Plan.Sources
	Remote      Remote  // where it is there, if the source has names of its own
	Encoding    string  // how the source holds it: Base64, Binary, or empty for text
	Trim        bool    // white space at the ends of what the source holds is no part of it
	Present     *bool   // what the contract says of whether it is at its source; nil is nothing
	Default     *string // of a setting: its value, which no source is asked for
	Generate    *Generate
	Constraints Constraints
	MaxAge      time.Duration // rotation is due after this; 0 is never
	RotateAfter time.Duration // rotate --due makes a new value after this; 0 waits for MaxAge
	Expires     time.Time     // when the value that someone provided ends; zero is never, or not known
	Owner       string        // who renews it; empty if no one is named
	NeverRotate bool          // another value makes what it encrypts unreadable, so that victorgen refuses to make one
	Pos         []Pos         // where it is declared: the contract first, then the environment
}

// Secret reports whether the value of the input must stay hidden.
func (in Input) Secret() bool { return in.Class != Setting }

// MayBeAbsent reports whether the application works without the input: an
// optional input, or a setting that has no default.
func (in Input) MayBeAbsent() bool {
	return in.Class == Optional || in.Class == Setting && in.Default == nil
}

// Remote is a value at a source that has names of its own. The zero Remote is
// that of an input which its source knows by the input's name.
type Remote struct {
	Name     string // all of it, with the prefix of the source: "/victor-ai/db"
	Version  string // empty is the current one
	Property string // of the JSON object that the name holds; empty is all of it
}

// String writes r as a contract does: NAME?version=VERSION#PROPERTY.
func (r Remote) String() string {
	s := r.Name
	if r.Version != "" {
		s += "?version=" + r.Version
	}
	if r.Property != "" {
		s += "#" + r.Property
	}
	return s
}

// Age writes a duration as people say how old something is: in days, or in
// hours and minutes if it is less than two.
func Age(d time.Duration) string {
	if d < 48*time.Hour {
		s := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
		if hours, ok := strings.CutSuffix(s, "h0m"); ok {
			s = hours + "h"
		}
		return cmp.Or(s, "0m")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// The encodings of an input at its source. Without one it is text.
const (
	Base64 = "base64" // the source holds the base64 of it
	Binary = "binary" // the source holds its bytes as they are
)

// Constraints say what values an input may have. The zero value allows all.
// Lengths count Unicode characters.
type Constraints struct {
	Pattern     *regexp.Regexp
	Format      string // url, hostname, port, email, uuid, json, pem, base64; empty is any
	MinLength   int
	MaxLength   int     // 0 is no limit
	MinStrength float64 // bits of entropy, as estimated from the characters in use; 0 is not judged
	OneOf       []string
}

// The kinds of generated input.
const (
	Password = "password" // Length characters of Alphabet
	Bytes    = "bytes"    // Bits random bits in Encoding
	UUID     = "uuid"     // a random UUID (RFC 9562, version 4)
	RSA      = "rsa"      // an RSA private key of Bits bits, PEM
	Ed25519  = "ed25519"  // an Ed25519 private key, PEM
	ECDSA    = "ecdsa"    // an ECDSA private key on Curve, PEM or raw
)

// Generate says how a missing input is generated.
type Generate struct {
	Kind     string
	Length   int      // of a password, in characters
	Alphabet string   // of a password: the characters to draw from, each equally likely
	Require  []string // of a password: lower, upper, digit, symbol; of each at least one character
	Bits     int      // of bytes (a multiple of 8) and rsa
	Curve    string   // of ecdsa: P-256, P-384, P-521
	Encoding string   // of bytes: base64, base64url, hex; of a key: pkcs8, openssh, raw; of a public key: pem, openssh, jwk, raw
	Padding  bool     // of base64url: it ends with =, as Python and Fernet want it
	Child    *Child   // what it is made from, if that is other inputs
	// InCluster says that the External Secrets Operator does it, and no one else.
	InCluster bool
	// KeepPrevious is how long the value that a rotation replaced still counts.
	KeepPrevious time.Duration `json:",omitzero"` // locks have digests of its JSON
}

// Secret is one Kubernetes Secret.
type Secret struct {
	Name        string
	Namespace   string
	Type        string
	Labels      map[string]string
	Annotations map[string]string
	Immutable   bool
	Delivery    Delivery
	Keys        []Key // sorted by name
	Pos         []Pos
}

// Key is one data key of a secret. Exactly one of Input, Template and Value is
// set.
type Key struct {
	Name     string
	Input    string    // the key is the value of this input
	Template *Template // the key is rendered from this template
	Value    *string   // the key is this literal
	Pos      []Pos     // of what the key is made from
}

// Inputs returns the names of the inputs that the key is made from, sorted.
func (k Key) Inputs() []string {
	switch {
	case k.Input != "":
		return []string{k.Input}
	case k.Template != nil:
		return k.Template.Inputs
	}
	return nil
}

// RuleKind says what a rule demands of its inputs.
type RuleKind string

// The kinds of rule.
const (
	AtLeastOne RuleKind = "atLeastOne"
	ExactlyOne RuleKind = "exactlyOne"
	AllOrNone  RuleKind = "allOrNone"
)

// Rule is a demand on several inputs together.
type Rule struct {
	Name        string
	Description string
	Kind        RuleKind
	Inputs      []string // in the order of the contract
	Pos         []Pos
}

// Store is how the External Secrets Operator reaches a source.
type Store struct {
	Name            string
	Existing        string          // SecretStore or ClusterSecretStore if it is not ours; only Name counts then
	ServiceAccount  *ServiceAccount // nil is the operator's own
	Role            string          // vault: of the Kubernetes login
	MountPath       string          // vault: of the Kubernetes login
	ClusterProject  string          // gcp-secretmanager, as the next two: the cluster's own, or empty
	ClusterLocation string
	ClusterName     string
}

// ServiceAccount is a Kubernetes service account that a cloud lets in.
type ServiceAccount struct {
	Name        string
	Existing    bool   // it is not ours
	AWSRole     string // ARN of an IAM role
	AzureClient string // ID of a client, with
	AzureTenant string // that of its tenant; it may be empty
	GCPAccount  string // e-mail address of a Google service account
}

// The scopes of a sealed secret, as kubeseal names them.
const (
	Strict        = "strict"         // unseals under its own name and namespace alone
	NamespaceWide = "namespace-wide" // unseals under any name in its namespace
	ClusterWide   = "cluster-wide"   // unseals anywhere
)

// Controller is the sealed-secrets controller of a cluster, by its Service.
type Controller struct {
	Name      string
	Namespace string
}

// ArgoCD describes the Argo CD Application of an environment.
type ArgoCD struct {
	Name      string
	Namespace string // where Argo CD looks for it
	Project   string
	RepoURL   string
	Path      string // of the tree, in the repository
	Revision  string
	Server    string // URL of the cluster
	Automated bool   // Argo CD syncs, prunes and heals by itself
}

// MaxAnnotations is how many bytes the annotations of an object have together, names
// and texts (https://github.com/kubernetes/apimachinery/blob/v0.35.1/pkg/api/validation/objectmeta.go).
const MaxAnnotations = 256 << 10

// Workloads are what uses the secrets.
type Workloads struct {
	Paths      []string     // absolute: kustomizations, directories, files of manifests
	Other      []string     // names, or patterns of path.Match, of Secrets that someone else makes
	References []SecretPath // sorted by kind and path
	Restart    string       // by which component of the tree; empty is none
	Watched    []string     // names of secrets that restart nothing
	Pos        []Pos
}

// How workloads are restarted.
const (
	RestartAnnotation = "annotation" // an annotation that goes by what the lock says
	RestartReloader   = "reloader"   // the annotation of Stakater Reloader
)

// Consumer is a workload that can be restarted, and what it uses.
type Consumer struct {
	APIVersion string
	Kind       string
	Namespace  string // empty if its manifest says none
	Name       string // as its manifest has it, before a kustomization changes it
	Keys       []KeyPlace
}

// SecretPath is a field of a kind of object in which it asks for a Secret.
type SecretPath struct {
	Kind string
	Path string // names of fields with dots between them; lists are gone through
}

// Reader is someone who may get the secrets of an environment from the
// cluster: a subject of Kubernetes RBAC.
type Reader struct {
	Kind      string // ServiceAccount, Group or User
	Name      string
	Namespace string // of a ServiceAccount; empty is that of the secret
}

// Alerts says which alerting rules there are to be.
type Alerts struct {
	Labels           map[string]string // of the PrometheusRule
	AlertLabels      map[string]string // of each alert, besides OwnAlertLabels
	Runbook          string            // URL, in which {alert} stands for the name of the alert; empty is none
	CertificateEnds  time.Duration     // before the end of a sealing certificate
	RotationOverdue  time.Duration     // after rotation is due
	ExpiryNotice     time.Duration     // before an input expires
	KubeStateMetrics Exporter
	SealedSecrets    Exporter
	ExternalSecrets  Exporter
	Rules            map[string]Alert // by name of the alert; one that is not here is off
}

// Alert is what there is to say of one alert.
type Alert struct {
	For      time.Duration
	Severity string
}

// Exporter is something that Prometheus scrapes.
type Exporter struct {
	NamespaceLabel    string // the label in which the namespace of an object arrives
	OmitsSecretLabels bool   // sealedSecrets: that the controller does not tell of which SealedSecret it speaks
}

// OwnAlertLabels are the labels of alerts that a contract cannot set.
var OwnAlertLabels = []string{"alertname", "severity", "environment", "namespace", "secret", "input", "certificate", "reason", "store"}

// Pos is a place in a file. Lines and columns start at 1; a column counts
// bytes, as CUE does. The zero Pos is no place.
type Pos struct {
	File   string `json:"file"` // absolute
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Text is the line, if a message may show it: the compiler sets it, and only
	// of files that it has read and that are CUE. No one opens File to show it.
	Text string `json:"-"`
}

// IsValid reports whether the position names a line of a file.
func (p Pos) IsValid() bool { return p.File != "" && p.Line > 0 }
