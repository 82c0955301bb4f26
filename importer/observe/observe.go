// Package observe reads what a team has, dotenv files, Compose files and
// Kubernetes manifests, into one model that knows nothing of where it came from.
// Plaintext is in [value.Value] alone, and no diagnostic holds a part of one: what
// a library says of a file is left out, because it may quote it.
package observe

import (
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// Observed is what was read. Nothing in it is changed afterwards.
type Observed struct {
	Variables []Variable // in the order of their files
	Secrets   []Secret   // in the order in which they were read
	Sources   []Source   // where external secrets live, by Name
	// PartOf is the label app.kubernetes.io/part-of if all Secrets have the same.
	PartOf string
}

// State says what is known of a value.
type State int

// The states of a value.
const (
	// Unknown means that no one has said what it is.
	Unknown State = iota
	// Empty means that it is there, and nothing is in it.
	Empty
	// Given means that Value holds it.
	Given
)

// Notes are what files say about a value next to it.
type Notes struct {
	Group       string // the heading that it stands under
	Description string
	Docs        string // a URL
	Sample      string // what a public example has in its place
	Required    *bool  // as a schema says; nil is not at all
	Sensitive   *bool  // likewise
	Optional    bool   // it is commented out, or may be absent to anyone who uses it
	Format      string // a format of the contract
	Pattern     string
	OneOf       []string
	MinLength   int
	MaxLength   int
}

// Variable is a name with its value.
type Variable struct {
	Name  string
	State State
	Value value.Value
	Notes
	Pos plan.Pos
}

// Kind says how a Secret comes to the cluster.
type Kind string

// The kinds of Secret.
const (
	Plain    Kind = ""         // it was a Secret, or what makes one
	Sealed   Kind = "sealed"   // a SealedSecret
	External Kind = "external" // an ExternalSecret, or a Secret that argocd-vault-plugin fills
)

// Secret is a Kubernetes Secret, or what one is made from.
type Secret struct {
	Namespace   string // empty is wherever it is applied to
	Name        string
	Type        string
	Labels      map[string]string
	Annotations map[string]string
	Immutable   bool
	Kind        Kind
	Scope       string            // of a sealed one
	Refresh     string            // of an external one: how often the operator reads
	Policies    map[string]string // of an external one: refreshPolicy, creationPolicy, deletionPolicy
	Keys        []Key             // in the order of their names
	Pos         plan.Pos
	// From says what it was, for people: "Secret", "secretGenerator".
	From string
}

// String names the Secret for people.
func (s Secret) String() string {
	if s.Namespace == "" {
		return s.Name
	}
	return s.Namespace + "/" + s.Name
}

// Key is one data key of a Secret.
type Key struct {
	Name  string
	State State
	Value value.Value
	Notes
	// Remote is where an external secret has the key from; nil is none.
	Remote *Remote
	// Template makes the key of parts of an external secret: {{.NAME}} is one of
	// Parts; empty is none.
	Template string
	Parts    map[string]Remote
	// Variable is the variable that the key takes its value from, if a file says so.
	Variable string
	// Refers are the variables that its value was made with.
	Refers []string
}

// Remote is one value at a Source.
type Remote struct {
	Source   string // the name of a Source
	Name     string
	Property string
	Version  string
	Base64   bool // the source holds base64 of it
}

// Source is where external secrets live.
type Source struct {
	Name     string            // a handle in the contract
	Store    string            // metadata.name of the store; empty if there is none
	Existing string            // SecretStore or ClusterSecretStore
	Kind     string            // a kind of source; empty if there is none for it
	Fields   map[string]string // of schema.#Source
}

// helmOwned and its like are what tools keep about an object in its labels and
// annotations, which is nothing that anyone who wrote it said.
var kept = lazy.MustCompile(`^(kubectl\.kubernetes\.io/last-applied-configuration|meta\.helm\.sh/.*|helm\.sh/(chart|resource-policy|hook.*)|` +
	`app\.kubernetes\.io/managed-by|(kustomize|helm)\.toolkit\.fluxcd\.io/.*|argocd\.argoproj\.io/(instance|tracking-id|compare-options|sync-options|sync-wave|hook.*)|` +
	`sealedsecrets\.bitnami\.com/(cluster-wide|namespace-wide|managed|patch|skip-set-owner-references)|kustomize\.config\.k8s\.io/.*|internal\.config\.kubernetes\.io/.*|` +
	`config\.kubernetes\.io/.*|avp\.kubernetes\.io/.*|reconcile\.external-secrets\.io/.*|external-secrets\.io/.*|controller-uid|victorgen/.*|objectset\.rio\.cattle\.io/.*|` +
	`chart|heritage|release)$`)

// Secretive reports whether text that is no value, such as a comment or a label,
// looks as if someone had put a secret into it.
func Secretive(text string) bool {
	if known.MatchString(text) || loginURL.MatchString(text) || random(text) {
		return true
	}
	for _, m := range says.FindAllStringSubmatch(text, -1) {
		if w := m[len(m)-1]; len(w) >= 6 && strings.ContainsAny(w, "0123456789!@#$%^&*") {
			return true
		}
	}
	return false
}

// Credential reports whether text has the form of a well-known credential, or a login
// in a URL.
func Credential(text string) bool { return known.MatchString(text) || loginURL.MatchString(text) }

// Leaks reports whether text, of which the secrets that are known have been taken,
// may hold another: whatever stands behind a name that promises one.
func Leaks(text string) bool { return Secretive(text) || says.MatchString(text) }

var (
	known = lazy.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY|\b(sk-[A-Za-z0-9_-]{16,}|[rs]k_(live|test)_[A-Za-z0-9]{8,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}` +
		`|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|(AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{30,}|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9+/=]{16,}|SG\.[\w-]{16,})` +
		`|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.|https://hooks\.slack\.com/services/\w|https?://[^\s/]*(discord(app)?\.com|webhook)[^\s]*/[\w-]{16,}|/(web)?hooks?/[^\s]*[\w-]{20,}`)
	loginURL = lazy.MustCompile(`\b[a-z][a-z0-9+.-]*://[^/\s:@{}]*:[^/\s@{}]+@`)
	says     = lazy.MustCompile(`(?i)(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?:api|access|private|encryption|signing)[-_ ]?key|credentials?|auth)["']?\s*(?:is|[:=])\s*["']?([^\s"',;(<{$*][^\s"',;]*)`)
	word     = lazy.MustCompile(`[A-Za-z0-9+/_=-]{16,}`)
)

// random reports whether a long word of text mixes letters and digits as no
// language does.
func random(text string) bool {
	for _, w := range word.FindAllString(text, -1) {
		changes, digits := 0, 0
		last := ' '
		for _, r := range w {
			class := 'a'
			switch {
			case r >= '0' && r <= '9':
				class = '0'
				digits++
			case r >= 'A' && r <= 'Z':
				class = 'A'
			case r < 'a' || r > 'z':
				class = '-'
			}
			if class != last && last != ' ' && class != '-' && last != '-' {
				changes++
			}
			last = class
		}
		if plain := !strings.ContainsAny(w, "+/_=-"); plain && len(w) >= 24 && digits > 0 && digits < len(w) {
			return true
		}
		if digits > 0 && changes*4 >= len(w) || changes*3 >= len(w) || digits > 2 && changes >= 4 {
			return true
		}
	}
	return false
}
