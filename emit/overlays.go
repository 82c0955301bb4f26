package emit

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// Overlays are the kustomizations that somebody has written to include trees.
type Overlays struct {
	byDir map[string]overlay
}

// overlay is one kustomization.
type overlay struct {
	types.Kustomization
	file string
	text []byte
}

// maxEntries is how many files and directories are looked at. A module that has
// more is part of something else, and to walk all of that takes too long.
const maxEntries = 20_000

// FindOverlays reads the kustomizations below the directory root, an absolute
// path. It passes by what is hidden, what package managers have put there, and
// what kustomize could not read either.
func FindOverlays(root string) *Overlays {
	o := &Overlays{byDir: map[string]overlay{}}
	left := maxEntries
	filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		name := filepath.Base(file)
		switch left--; {
		case left < 0:
			return fs.SkipAll
		case err != nil:
			return nil
		case d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "cue.mod"):
			return fs.SkipDir
		case d.Type().IsRegular() && slices.Contains(konfig.RecognizedKustomizationFileNames(), name):
			k := overlay{file: file}
			if k.text, err = os.ReadFile(file); err == nil && k.Unmarshal(k.text) == nil {
				k.FixKustomization() // bases are resources
				o.byDir[filepath.Dir(file)] = k
			}
		}
		return nil
	})
	return o
}

// Check warns of each kustomization that includes the tree of p, in the
// directory tree, directly or by way of another one, and by its namePrefix,
// nameSuffix or namespace gives secrets a name for which they were not sealed.
// It does not look at patches, transformers, and fields of components.
func (o *Overlays) Check(p *plan.Plan, tree string) plan.Diagnostics {
	var ds plan.Diagnostics
	warn := func(k overlay, field, value, does, what, hint string, breaks func(plan.Secret) bool) {
		var names []string
		for _, s := range p.Secrets {
			if value != "" && s.Delivery.Kind == plan.Sealed && breaks(s) {
				names = append(names, s.Name)
			}
		}
		if len(names) > 0 {
			names = slices.Compact(slices.Sorted(slices.Values(names)))
			ds.Warnf(plan.CodeOverlay, []plan.Pos{k.position(field)}, hint, "%s %q %s %s of environment %q: what is sealed for another %s does not unseal",
				field, value, does, plan.And(names), p.Environment, what)
		}
	}
	renamesStores := func(k overlay, field, value string) {
		external := func(s plan.Secret) bool { return s.Delivery.Kind == plan.External }
		if value != "" && slices.ContainsFunc(p.Secrets, external) {
			ds.Warnf(plan.CodeOverlay, []plan.Pos{k.position(field)}, "take it away",
				"%s %q renames the stores of environment %q, and its external secrets still look for them by their names", field, value, p.Environment)
		}
	}
	strict := func(s plan.Secret) bool { return s.Delivery.Scope == plan.Strict }
	for dir, k := range o.byDir {
		if within(dir, tree) || !o.includes(dir, tree, map[string]bool{}) {
			continue
		}
		const rename = `take it away, or write scope: "namespace-wide" under delivery`
		warn(k, "namePrefix", k.NamePrefix, "renames", "name", rename, strict)
		warn(k, "nameSuffix", k.NameSuffix, "renames", "name", rename, strict)
		renamesStores(k, "namePrefix", k.NamePrefix)
		renamesStores(k, "nameSuffix", k.NameSuffix)
		warn(k, "namespace", k.Namespace, "moves", "namespace", `let the contract say the namespace, or write scope: "cluster-wide" under delivery`,
			func(s plan.Secret) bool { return s.Delivery.Scope != plan.ClusterWide && s.Namespace != k.Namespace })
	}
	ds.Sort()
	return ds
}

// includes reports whether the kustomization in dir includes the tree or a file
// of it.
func (o *Overlays) includes(dir, tree string, seen map[string]bool) bool {
	k, ok := o.byDir[dir]
	if !ok || seen[dir] {
		return false
	}
	seen[dir] = true
	return slices.ContainsFunc(slices.Concat(k.Resources, k.Components), func(entry string) bool {
		path := filepath.Join(dir, filepath.FromSlash(entry)) // that of a URL is nowhere
		return within(path, tree) || o.includes(path, tree, seen)
	})
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// position is where k sets a field. Kustomize takes capitals for small letters.
func (k overlay) position(field string) plan.Pos {
	at := plan.Pos{File: k.file, Line: 1, Column: 1}
	var document yaml.Node
	if yaml.Unmarshal(k.text, &document) != nil || len(document.Content) == 0 {
		return at
	}
	fields := document.Content[0].Content // name, value, name, value
	for i := 0; i < len(fields); i += 2 {
		if strings.EqualFold(fields[i].Value, field) {
			at.Line, at.Column = fields[i].Line, fields[i].Column
		}
	}
	return at
}
