// Package workload reads the manifests of what uses Secrets, and says where they ask
// for one that is not there, or not as they ask for it. It knows pods by their shape
// and not by the kinds of object that make them, so that a Rollout counts as a
// Deployment does.
package workload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/api/konfig"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/offline"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Use is how a Secret is used.
type Use string

// The uses.
const (
	Variable  Use = "variable"    // one environment variable
	Variables Use = "variables"   // envFrom: one for each key
	Volume    Use = "volume"      // files
	Pull      Use = "image pull"  // credentials of a registry
	TLS       Use = "certificate" // of an Ingress or a Gateway
	Other     Use = "other"
)

// Reference is one place in a manifest that asks for a Secret, or for a key of it.
type Reference struct {
	Object    string // its kind and name: "Deployment api"
	Namespace string // of the Secret; empty is the one that the object is deployed to
	Where     string // in the object: "container api, variable DB_PASSWORD"; may be empty
	Use       Use
	Secret    string
	Key       string // empty is all of it
	Optional  bool
	SubPath   bool // it is mounted by subPath, so that the files never change
	Pos       plan.Pos

	workload int // in Set.workloads; -1 is none
}

// Set is what was read.
type Set struct {
	References []Reference
	Objects    int // that were looked at
	Files      int // that were read
	made       []secret
	workloads  []plan.Consumer // but for their keys
}

// secret names a Secret that one of the manifests makes. An empty namespace is the
// one that the manifest is deployed to.
type secret struct{ namespace, name string }

// Stdin stands for rendered manifests on standard input.
const Stdin = "-"

// stdinName is the file of its positions.
const stdinName = "standard input"

// The bounds of what is read.
const (
	maxFiles = 20_000
	maxStdin = 256 << 20
	maxDepth = 200
)

// Read reads the manifests of p that the contract names, and those in paths: each a
// kustomization, a directory, a file of YAML or JSON, or [Stdin], which is what stdin
// returns. What cannot be read is an error, and the rest is read anyway. A
// path of the contract lies in the Git work tree, and none is that of a source.
func Read(ctx context.Context, p *plan.Plan, paths []string, stdin []byte) (*Set, plan.Diagnostics) {
	return (*Renderings)(nil).Read(ctx, p, paths, stdin)
}

// Renderings are what kustomize makes of kustomizations, each of which it renders once
// for all plans of a run: they are the same for all environments. The zero value is
// for use; a nil one keeps nothing.
type Renderings struct {
	byDir  sync.Map // [2]string, the directory and the root: func() offline.Rendering
	byFile sync.Map // the objects of the files that they are from: func() []*yaml.Node
}

// once returns what make returns for key, and calls it once.
func once[T any](all *sync.Map, key any, make func() T) T {
	f, _ := all.LoadOrStore(key, sync.OnceValue(make))
	return f.(func() T)()
}

// Read is the function of this name with kustomizations rendered once.
func (rs *Renderings) Read(ctx context.Context, p *plan.Plan, paths []string, stdin []byte) (*Set, plan.Diagnostics) {
	if rs == nil {
		rs = new(Renderings)
	}
	r := &reader{plan: p, set: &Set{}, seen: map[string]bool{}, renderings: rs}
	r.table = slices.Clone(builtin)
	if w := p.Workloads; w != nil {
		for _, ref := range w.References {
			r.table = append(r.table, place{ref.Kind, ref.Path, Other})
		}
		root := repository(p.Module)
		for _, path := range w.Paths {
			r.path(ctx, path, root, w.Pos, true)
		}
	}
	for _, path := range paths {
		if path == Stdin {
			if len(stdin) > maxStdin {
				r.ds.Errorf(plan.CodeWorkloadRead, nil, "split it", "standard input has more than %d MiB", maxStdin>>20)
				continue
			}
			r.set.Files++
			before := len(r.ds)
			if r.documents(stdinName, stdin); len(r.ds) == before && !slices.ContainsFunc(r.objects, func(o object) bool { return o.stdin }) {
				r.ds.Errorf(plan.CodeWorkloadRead, nil, "the command that writes it may have failed", "standard input has no Kubernetes object")
			}
			continue
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			r.ds.Errorf(plan.CodeWorkloadRead, nil, "", "%s: %v", path, err)
			continue
		}
		r.path(ctx, abs, repository(filepath.Dir(abs)), nil, false)
	}
	for _, o := range r.objects {
		r.object(o, 0)
	}
	if r.set.Objects == 0 && r.set.Files > 0 && !r.ds.HasErrors() {
		var pos []plan.Pos
		if len(paths) == 0 {
			pos = p.Workloads.Pos
		}
		r.ds.Errorf(plan.CodeWorkloadRead, pos, "name manifests", "there is no Kubernetes object in %s", count(r.set.Files, "file"))
	}
	r.ds.Sort()
	return r.set, r.ds
}

// repository is the Git work tree that dir is in, or else dir, links resolved.
func repository(dir string) string {
	root := git.WorkTree(dir)
	if real, err := filepath.EvalSymlinks(root); err == nil {
		return real
	}
	return root
}

type reader struct {
	plan    *plan.Plan
	set     *Set
	ds      plan.Diagnostics
	table   []place
	objects []object
	seen    map[string]bool // files

	renderings *Renderings
}

// object is one object of a manifest.
type object struct {
	root *yaml.Node
	at   func(path []string, n *yaml.Node) plan.Pos
	was  func() (name, namespace string) // before a kustomization changed them; nil if there is none

	stdin bool // it is from there
}

// path reads what a path names. Links are followed, but not out of root, nor to what
// a source keeps its values in.
func (r *reader) path(ctx context.Context, path, root string, pos []plan.Pos, fenced bool) {
	bad := func(hint, format string, args ...any) {
		r.ds.Errorf(plan.CodeWorkloadRead, pos, hint, format, args...)
	}
	fence := root
	if !fenced {
		fence = ""
	}
	real, ok := r.resolve(path, fence, pos)
	if !ok {
		return
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		bad("", "%s can't be read: %v", path, safefile.Reason(err))
	case !info.IsDir():
		r.file(real, fence, pos)
	case IsKustomization(real):
		r.kustomization(ctx, real, root, pos)
	default:
		found := 0
		err := filepath.WalkDir(real, func(file string, d fs.DirEntry, err error) error {
			name := filepath.Base(file)
			switch {
			case err != nil:
				bad("", "%s can't be read: %v", file, safefile.Reason(err))
			case d.IsDir() && file != real && strings.HasPrefix(name, "."):
				return fs.SkipDir
			case d.IsDir() || strings.HasPrefix(name, ".") || !isManifest(name) || slices.Contains(konfig.RecognizedKustomizationFileNames(), name):
			case ctx.Err() != nil:
				return ctx.Err()
			default:
				if found++; found > maxFiles {
					bad("name fewer of them", "%s has more than %d manifests", path, maxFiles)
					return fs.SkipAll
				}
				r.file(file, fence, pos)
			}
			return nil
		})
		if err != nil {
			bad("", "reading %s was interrupted: %v", path, context.Cause(ctx))
		} else if found == 0 {
			bad("name a kustomization, or a directory or a file of manifests", "%s has no manifests", path)
		}
	}
}

// resolve follows the links of a path, which must lead neither out of root, if that
// is not empty, nor to where a source keeps its values.
func (r *reader) resolve(path, root string, pos []plan.Pos) (string, bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		if _, stat := os.Stat(path); stat != nil {
			err = stat // it says more of links that go in a circle
		}
		why, hint := safefile.Explain(path, err)
		r.ds.Errorf(plan.CodeWorkloadRead, pos, hint, "%s can't be read: %s", path, why)
		return "", false
	}
	if rel, err := filepath.Rel(root, real); root != "" && (err != nil || !filepath.IsLocal(rel)) {
		r.ds.Errorf(plan.CodeWorkloadRead, pos, "name manifests of the repository; or give others with --workloads", "%s is outside of %s", path, root)
		return "", false
	}
	if r.isSource(real) {
		r.ds.Errorf(plan.CodeWorkloadRead, pos, "name manifests", "%s is where a source keeps its values", path)
		return "", false
	}
	return real, true
}

// isSource reports whether a source keeps its values there.
func (r *reader) isSource(file string) bool {
	for _, s := range r.plan.Sources {
		for _, place := range []string{s.File, s.Shared, s.Dir} {
			if place == "" {
				continue
			}
			if real, err := filepath.EvalSymlinks(place); err == nil {
				place = real
			}
			if rel, err := filepath.Rel(place, file); err == nil && filepath.IsLocal(rel) {
				return true
			}
		}
	}
	return false
}

func isManifest(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml" || ext == ".json"
}

// IsKustomization reports whether kustomize takes dir for a kustomization.
func IsKustomization(dir string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	})
}

func (r *reader) file(path, root string, pos []plan.Pos) {
	file, ok := r.resolve(path, root, pos)
	if !ok || r.seen[file] {
		return
	}
	r.seen[file] = true
	text, err := offline.ReadFile(file)
	if err != nil {
		hint := ""
		if errors.Is(err, offline.ErrSize) {
			hint = "split it; or give it on standard input: victorgen vet ENV --workloads - < FILE"
		}
		r.ds.Errorf(plan.CodeWorkloadRead, pos, hint, "%s can't be read: %v", file, safefile.Reason(err))
		return
	}
	r.set.Files++
	r.documents(file, text)
}

// kustomization reads what kustomize makes of the kustomization in dir.
func (r *reader) kustomization(ctx context.Context, dir, root string, pos []plan.Pos) {
	rendering := once(&r.renderings.byDir, [2]string{dir, root}, func() offline.Rendering {
		rendering := offline.Render(ctx, dir, offline.Options{Root: root, Origins: true, Skip: isOwn})
		rendering.Resources = slices.DeleteFunc(rendering.Resources, func(n *yaml.Node) bool {
			return shift(n, 0) && n.Decode(new(any)) != nil // kustomize writes aliases out
		})
		return rendering
	})
	if rendering.Failure != "" {
		r.ds.Errorf(plan.CodeWorkloadRead, pos, "`kustomize build` in it says more", "the kustomization in %s can't be rendered: %s", dir, rendering.Failure)
		return
	}
	if len(rendering.Left) > 0 {
		r.ds.Errorf(plan.CodeWorkloadRead, pos, "copy it into the repository; or give what it renders to: kustomize build ... | victorgen vet ENV --workloads -",
			"the kustomization in %s needs %s, but victorgen uses no network and runs no other program", dir, plan.And(rendering.Left))
	}
	r.set.Files++
	for _, n := range rendering.Resources {
		file, kind := originOf(n, dir), field(n, "kind").text()
		r.objects = append(r.objects, object{root: n, at: func(path []string, value *yaml.Node) plan.Pos {
			return r.inOrigin(file, kind, n, path, value.Value)
		}, was: func() (string, string) {
			return r.original(file, kind, field(field(n, "metadata").Node, "name").text())
		}})
	}
}

// originOf is the file that kustomize says an object to be from.
func originOf(n *yaml.Node, dir string) string {
	text := field(field(field(n, "metadata").Node, "annotations").Node, "config.kubernetes.io/origin").text()
	var origin struct {
		Path         string `yaml:"path"`
		ConfiguredIn string `yaml:"configuredIn"`
	}
	if yaml.Unmarshal([]byte(text), &origin) == nil {
		for _, path := range []string{origin.Path, origin.ConfiguredIn} {
			if path != "" {
				return filepath.Join(dir, filepath.FromSlash(path))
			}
		}
	}
	return filepath.Join(dir, konfig.DefaultKustomizationFileName())
}

// inOrigin returns where the file that an object is from has the value at a path. A
// kustomization may have changed it: then it is where the nearest of what is above
// stands.
func (r *reader) inOrigin(file, kind string, rendered *yaml.Node, path []string, value string) plan.Pos {
	best, depth := plan.Pos{File: file, Line: 1, Column: 1}, -1
	for _, d := range r.origin(file) {
		if field(d, "kind").text() != kind {
			continue
		}
		n, d := descend(d, rendered, path)
		if n.Value == value && d == len(path) {
			d++
		}
		if d > depth {
			best, depth = plan.Pos{File: file, Line: n.Line, Column: n.Column}, d
		}
	}
	return best
}

// original returns the name and the namespace that an object has in its file: those of
// that kind with the longest name of which a prefix and a suffix make name.
func (r *reader) original(file, kind, name string) (was, namespace string) {
	for _, d := range r.origin(file) {
		meta := field(d, "metadata").Node
		if n := field(meta, "name").text(); field(d, "kind").text() == kind && strings.Contains(name, n) && len(n) > len(was) {
			was, namespace = n, field(meta, "namespace").text()
		}
	}
	return cmp.Or(was, name), namespace
}

// isOwn reports whether a component is that of a tree, which a build writes: there it
// may not be yet.
func isOwn(path string) bool {
	if filepath.Base(path) != "restart" {
		return false
	}
	_, tree := os.Lstat(filepath.Join(filepath.Dir(path), "victorgen.lock"))
	_, err := os.Lstat(path)
	return tree == nil || errors.Is(err, fs.ErrNotExist)
}

// origin returns the objects of a file.
func (r *reader) origin(file string) []*yaml.Node {
	return once(&r.renderings.byFile, file, func() (docs []*yaml.Node) {
		if text, err := offline.ReadFile(file); err == nil {
			for _, d := range split(text) {
				var n yaml.Node
				if yaml.Unmarshal(d.text, &n) == nil && n.Kind == yaml.DocumentNode {
					shift(&n, d.line)
					docs = append(docs, n.Content[0])
				}
			}
		}
		return docs
	})
}

// descend follows a path of rendered in n as far as it goes, and says how far that
// is. The elements of a list are told by their names where they have any: a patch
// puts its own before those that were there.
func descend(n, rendered *yaml.Node, path []string) (*yaml.Node, int) {
	for i, step := range path {
		var next *yaml.Node
		if index, err := strconv.Atoi(step); err == nil && rendered.Kind == yaml.SequenceNode && index < len(rendered.Content) {
			rendered = real(rendered.Content[index])
			name := field(rendered, "name").text()
			for j, item := range (node{n}).items() {
				if name != "" && field(item, "name").text() == name || name == "" && j == index {
					next = item
				}
			}
		} else {
			rendered, next = field(rendered, step).Node, field(n, step).Node
		}
		if next == nil || rendered == nil {
			return n, i
		}
		n = next
	}
	return n, len(path)
}

// part is one document of a file.
type part struct {
	text []byte
	line int // before it
}

var separator = lazy.MustCompile(`(?m)^---([ \t].*)?\r?$`)

// split takes a file apart into its documents, so that one that is not YAML does not
// hide the others.
func split(text []byte) []part {
	var all []part
	start, line := 0, 0
	for _, at := range append(separator.FindAllIndex(text, -1), []int{len(text), len(text)}) {
		doc := text[start:at[0]]
		// What is before the first may be directives.
		if trimmed := bytes.TrimSpace(doc); len(trimmed) > 0 && trimmed[0] != '%' {
			all = append(all, part{doc, line})
		}
		line += bytes.Count(doc, []byte("\n"))
		start = at[0] // a document may begin in the line of its separator
	}
	return all
}

// shift moves the lines of what is below n, and reports whether there are aliases.
func shift(n *yaml.Node, lines int) (aliases bool) {
	n.Line += lines
	aliases = n.Kind == yaml.AliasNode
	for _, c := range n.Content {
		aliases = shift(c, lines) || aliases
	}
	return aliases
}

var yamlLine = lazy.MustCompile(`^yaml: line ([0-9]+):`)

// documents reads the objects of a file.
func (r *reader) documents(file string, text []byte) {
	for _, d := range split(text) {
		if json.Valid(d.text) {
			d.text = jsonString.ReplaceAllFunc(d.text, requoted)
		}
		r.document(file, d)
	}
}

var jsonString = lazy.MustCompile(`"(\\.|[^"\\])*"`)

// requoted writes a string of JSON so that YAML takes it for the same: that knows
// neither \/ nor a character as a pair of surrogates.
func requoted(quoted []byte) []byte {
	var s string
	if !bytes.Contains(quoted, []byte(`\`)) || json.Unmarshal(quoted, &s) != nil {
		return quoted
	}
	again, err := json.Marshal(s)
	if err != nil {
		return quoted
	}
	return again
}

// document reads a part of a file, in which there are more documents than one if they
// are separated by other means.
func (r *reader) document(file string, d part) {
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	for first := true; ; first = false {
		var n yaml.Node
		err := decoder.Decode(&n)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			at := plan.Pos{File: file, Line: d.line + 1, Column: 1}
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				line, _ := strconv.Atoi(m[1])
				at.Line += max(line-1, 0)
			}
			what, hint := "this is not valid YAML", ""
			switch {
			case bytes.Contains(d.text, []byte("{{")):
				what, hint = "this is a template of manifests, not YAML", notRendered
			case !first:
				what, hint = "there is more than one object here", "put a line with --- between them"
			case indentedByTab.Match(d.text):
				hint = "indent with spaces: YAML takes no tabs"
			}
			r.ds.Errorf(plan.CodeWorkloadRead, []plan.Pos{at}, hint, "%s", what)
			return
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) == 0 {
			continue
		}
		if shift(&n, d.line) {
			// Anyone who follows aliases of aliases goes on forever. The decoder knows how many
			// are too many.
			var v any
			if n.Decode(&v) != nil {
				r.ds.Errorf(plan.CodeWorkloadRead, []plan.Pos{{File: file, Line: d.line + 1, Column: 1}}, "write out the aliases", "this is not valid YAML: it has too many aliases, or one of itself, or a field twice")
				continue
			}
		}
		r.objects = append(r.objects, object{root: n.Content[0], at: func(_ []string, value *yaml.Node) plan.Pos {
			return plan.Pos{File: file, Line: value.Line, Column: value.Column}
		}, stdin: file == stdinName && field(n.Content[0], "kind").text() != ""})
	}
}

var indentedByTab = lazy.MustCompile(`(?m)^ *\t`)

// node is a value of a manifest, which may be missing: then Node is nil.
type node struct{ *yaml.Node }

// field returns a field of a mapping, aliases followed.
func field(n *yaml.Node, name string) node {
	if n = real(n); n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return node{real(n.Content[i+1])}
			}
		}
	}
	return node{}
}

// real is what an alias stands for.
func real(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

func (n node) text() string {
	if n.Node != nil && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return n.Value
	}
	return ""
}

// isTrue goes by what kubectl takes for true: the booleans of YAML 1.1 as well, and no
// text.
func (n node) isTrue() bool {
	if n.Node == nil || n.Kind != yaml.ScalarNode {
		return false
	}
	is := strings.ToLower(n.Value)
	return n.ShortTag() == "!!bool" && is == "true" || isPlain(n.Node) && (is == "y" || is == "yes" || is == "on")
}

// isText reports whether kubectl takes n for a text, which a name must be.
func isText(n *yaml.Node) bool {
	return n.ShortTag() == "!!str" && (!isPlain(n) || !slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(n.Value)))
}

// isPlain reports whether a scalar stands there without quotes or a tag.
func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
}

// items are the elements of a list.
func (n node) items() []*yaml.Node {
	if n.Node == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	var all []*yaml.Node
	for _, c := range n.Content {
		all = append(all, real(c))
	}
	return all
}

// shown is a name of a manifest as messages have it. What is no name of Kubernetes is
// not shown: someone may have put anything there.
func shown(name string) string {
	if len(validation.IsDNS1123Subdomain(strings.ToLower(name))) > 0 {
		return "[not shown]"
	}
	return name
}

// ReadStdin reads what [Read] takes for [Stdin].
func ReadStdin(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxStdin+1))
	if err != nil {
		return nil, fmt.Errorf("standard input can't be read: %w", err)
	}
	return text, nil
}
