package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
	"unicode"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// The labels that every object of a tree carries
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelPartOf    = "app.kubernetes.io/part-of"

	ManagedBy = "victorgen" // the value of LabelManagedBy

	// LabelEnvironment is on the Secrets that victorgen writes itself, and on
	// nothing else: who prunes must know which are whose.
	LabelEnvironment = "victorgen/environment"
)

// The files of a tree, slash-separated and relative to its directory.
const (
	LockFile          = "victorgen.lock"
	KustomizationFile = "kustomization.yaml"
	AccessFile        = "access/secret-reader.yaml"
	secretsDir        = "secrets"
	AlertsFile        = "alerts/secrets.yaml"
	ApplicationFile   = "argocd/application.yaml" // not in the kustomization
	StoresDir         = "stores"
	GeneratorsDir     = "generators"
)

// Header is the first line of every file of a tree.
const Header = "# Written by victorgen from the contract; edits will be overwritten.\n"

// FileNames returns the file of each secret of p. It is named after the
// secret; where several namespaces have one of that name, those outside the
// namespace of the plan stand in a directory of their namespace.
func FileNames(p *plan.Plan) []string {
	count := map[string]int{}
	for _, s := range p.Secrets {
		count[s.Name]++
	}
	var files []string
	for _, s := range p.Secrets {
		dir := secretsDir
		if count[s.Name] > 1 && s.Namespace != p.Namespace {
			dir = path.Join(secretsDir, s.Namespace)
		}
		files = append(files, path.Join(dir, FileName(s.Name)))
	}
	return files
}

// maxFileName is how long the name of a file may be, in bytes: NAME_MAX of Linux and
// macOS. The name of an object may have 253 characters.
const maxFileName = 255

// FileName returns the name of the file for an object: its own, or where that is too
// long the first of it and of its SHA-256.
func FileName(object string) string {
	const ext = ".yaml"
	if len(object)+len(ext) <= maxFileName {
		return object + ext
	}
	sum := sha256.Sum256([]byte(object))
	return object[:200] + "-" + hex.EncodeToString(sum[:8]) + ext
}

// Printable replaces what a terminal would take for a command.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
