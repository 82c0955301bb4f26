// Package offline renders kustomizations that may be anyone's: within a directory,
// without a network or another program, and within bounds.
package offline

//lint:file-ignore SA1019 Kustomizations that people have use what is deprecated.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// The bounds of one rendering.
const (
	maxTime  = 20 * time.Second
	maxReads = 5_000
	maxBytes = 64 << 20
)

// MaxFile is how large a file may be that [ReadFile] reads: no object may be larger
// in a cluster.
const MaxFile = 2 << 20

// ErrSize is what [ReadFile] says of a larger one.
var ErrSize = fmt.Errorf("it has more than %d MiB", MaxFile>>20)

// Options are what a rendering may see and what is done to it.
type Options struct {
	// Root is the directory outside of which nothing is read, links resolved.
	Root string
	// Edit, if it is not nil, changes what kustomize gets to see of a file that is
	// no kustomization.
	Edit func(text []byte) ([]byte, error)
	// Skip, if it is not nil, reports components that are left out without a word.
	Skip func(path string) bool
	// Origins has each object say in an annotation which file it is from
	// (https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/buildmetadata/).
	Origins bool
}

// Rendering is what kustomize makes of a kustomization.
type Rendering struct {
	Resources []*yaml.Node
	Left      []string // what was left out, because it is not in the root, or a program would run
	Failure   string   // why nothing is rendered, in words that quote no file; empty if it is
}

// Render has kustomize render the kustomization in dir, an absolute path, without
// network, plugins, functions or helm.
func Render(ctx context.Context, dir string, o Options) Rendering {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	fenced := func() *fence {
		return &fence{FileSystem: filesys.MakeFsOnDisk(), ctx: ctx, options: o, reads: maxReads, bytes: maxBytes}
	}
	options := krusty.MakeDefaultOptions()                // which run no plugin, no function and no helm
	options.LoadRestrictions = types.LoadRestrictionsNone // the fence restricts, as far as is needed
	type outcome struct {
		fence     *fence
		resources []*yaml.Node
		err       error
	}
	finished := make(chan outcome, 1)
	var g crash.Group // no one waits for it after the deadline: kustomize takes no context, and ends at its next file
	g.Go(func() {
		var out outcome
		if crashed := crash.Catch(func() {
			out.fence = fenced()
			built, ok := out.fence.plain(dir)
			if !ok {
				out.fence = fenced() // as what it has said so far is said again
				if built, out.err = krusty.MakeKustomizer(options).Run(out.fence, dir); out.err != nil {
					return
				}
			}
			for _, r := range built.Resources() {
				out.resources = append(out.resources, r.YNode())
			}
		}); crashed != nil {
			out.err = crashed
		}
		finished <- out
	})
	select {
	case <-ctx.Done():
		return Rendering{Failure: "rendering it takes longer than " + maxTime.String()}
	case out := <-finished:
		return Rendering{Resources: out.resources, Left: out.fence.left, Failure: why(out.err, out.fence)}
	}
}

// registered is what kustomize says of two objects of one name.
var registered = lazy.MustCompile(`may not add resource with an already registered id: [A-Za-z0-9.-]+/[a-zA-Z0-9.\[\]-]+`)

// why words an error of kustomize, which may quote files, patches and so values.
func why(err error, f *fence) string {
	switch {
	case err == nil:
		return ""
	case f.denied != "":
		return f.denied
	}
	if m := registered.FindString(err.Error()); m != "" {
		return "kustomize refuses two objects " + m[strings.LastIndex(m, " ")+1:]
	}
	if f.missing != "" && strings.Contains(err.Error(), f.missing) {
		return fmt.Sprintf("it needs %s, which does not exist", f.missing)
	}
	return "kustomize can't render it"
}

// fence is the file system that kustomize gets to see: what is below root, links
// followed, to read, and so much of it. It takes from kustomizations what
// kustomize would fetch or run something for.
type fence struct {
	filesys.FileSystem
	ctx     context.Context
	options Options
	reads   int
	bytes   int
	denied  string   // the first that was
	missing string   // the last that was not there
	left    []string // what was taken out of kustomizations
}

var errFence = errors.New("not here")

func (f *fence) deny(format string, args ...any) error {
	if f.denied == "" {
		f.denied = fmt.Sprintf(format, args...)
	}
	return errFence
}

// at resolves a path, which must be within the root.
func (f *fence) at(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		if name := filepath.Base(path); !slices.Contains(konfig.RecognizedKustomizationFileNames(), name) {
			f.missing = name
		}
		return "", err
	}
	if rel, err := filepath.Rel(f.options.Root, resolved); err != nil || !filepath.IsLocal(rel) || rel == git.Dir || strings.HasPrefix(rel, git.Dir+string(filepath.Separator)) {
		return "", f.deny("it reads %s, which is outside of the repository", filepath.Base(path))
	}
	return resolved, nil
}

func (f *fence) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	if _, err := f.at(path); err != nil {
		return "", "", err
	}
	return f.FileSystem.CleanedAbs(path)
}

func (f *fence) IsDir(path string) bool {
	resolved, err := f.at(path)
	return err == nil && f.FileSystem.IsDir(resolved)
}

func (f *fence) Exists(path string) bool {
	_, err := f.at(path)
	return err == nil
}

func (f *fence) ReadFile(path string) ([]byte, error) {
	text, err := f.read(path)
	if err != nil {
		return nil, err
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		dir, err := f.at(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		return f.withoutRemotes(text, dir)
	}
	if fetches(text) {
		return nil, f.deny("%s configures a transformer or generator that fetches something", filepath.Base(path))
	}
	if f.options.Edit != nil {
		return f.options.Edit(text)
	}
	return text, nil
}

// read reads a file as it is.
func (f *fence) read(path string) ([]byte, error) {
	if f.ctx.Err() != nil {
		return nil, f.deny("rendering it takes longer than %s", maxTime)
	}
	resolved, err := f.at(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(resolved)
	if err != nil || info.IsDir() {
		return nil, errFence // kustomize asks, and takes it for a directory then
	}
	text, err := ReadFile(resolved)
	if err != nil {
		return nil, f.deny("%s can't be read, or has more than %d MiB", filepath.Base(path), MaxFile>>20)
	}
	if f.reads, f.bytes = f.reads-1, f.bytes-len(text); f.reads < 0 || f.bytes < 0 {
		return nil, f.deny("it has more than %d files or %d MiB", maxReads, maxBytes>>20)
	}
	return text, nil
}

func (f *fence) refuse() error { return f.deny("it writes files, or lists directories") }

// None of these is needed to render.
func (f *fence) Open(string) (filesys.File, error)    { return nil, f.refuse() }
func (f *fence) Create(string) (filesys.File, error)  { return nil, f.refuse() }
func (f *fence) Mkdir(string) error                   { return f.refuse() }
func (f *fence) MkdirAll(string) error                { return f.refuse() }
func (f *fence) RemoveAll(string) error               { return f.refuse() }
func (f *fence) WriteFile(string, []byte) error       { return f.refuse() }
func (f *fence) ReadDir(string) ([]string, error)     { return nil, f.refuse() }
func (f *fence) Glob(string) ([]string, error)        { return nil, f.refuse() }
func (f *fence) Walk(string, filepath.WalkFunc) error { return f.refuse() }

var remotePath = lazy.MustCompile(`(?i)^\s*(https?:|git::|github\.com[/:]|[a-z][a-z0-9-]*@)|://`)

// plainFields are those of a kustomization in which nothing is a path, whatever it
// looks like.
var plainFields = []string{"commonannotations", "commonlabels", "labels", "annotations", "images", "metadata", "patch", "literals", "options", "target", "targets", "vars", "replicas", "nameprefix", "namesuffix", "namespace", "inline"}

// programs are the fields for which kustomize would run one, and openapi, which is
// kept for the process as a whole. crds and configurations stay.
var programs = []string{"helmcharts", "helmchartinflationgenerator", "helmglobals"}

// withoutRemotes takes out of a kustomization what is not in the repository, and
// directories of transformers, which could make of anything something that fetches.
func (f *fence) withoutRemotes(text []byte, dir string) ([]byte, error) {
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return text, nil // kustomize says so, too
	}
	drop := func(what string) {
		if !slices.Contains(f.left, what) {
			f.left = append(f.left, what)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		v := fields[name]
		lower := strings.ToLower(name)
		switch {
		case lower == "openapi":
			delete(fields, name)
		case slices.Contains(programs, lower):
			delete(fields, name)
			drop(name)
		case slices.Contains(plainFields, lower):
		default:
			list, ok := v.([]any)
			if !ok {
				if isRemote(v) {
					delete(fields, name)
					drop("something remote in " + name)
				}
				continue
			}
			fields[name] = slices.DeleteFunc(list, func(item any) bool {
				s, isText := item.(string)
				if lower == "components" && isText && f.options.Skip != nil && f.options.Skip(filepath.Join(dir, filepath.FromSlash(s))) {
					return true
				}
				switch plugin := lower == "transformers" || lower == "generators" || lower == "validators"; {
				case plugin && isText && strings.ContainsAny(s, "\n{"):
					if fetches([]byte(s)) {
						drop("something remote in " + name)
						return true
					}
					return false
				case isRemote(item):
					if isText {
						drop("remote " + strconv.Quote(withoutUser(s)))
					} else {
						drop("something remote in " + name)
					}
					return true
				case plugin && isText:
					info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(s)))
					if err == nil && info.IsDir() {
						drop("the directory " + strconv.Quote(s) + " in " + name)
						return true
					}
				}
				return false
			})
		}
	}
	rest, err := yaml.Marshal(fields)
	if err != nil {
		return text, nil
	}
	var k types.Kustomization
	if k.Unmarshal(rest) != nil {
		return text, nil
	}
	k.FixKustomization()
	// Kustomize prints a warning of each field that is out of date.
	var patches []types.Patch
	for _, p := range k.PatchesStrategicMerge {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(string(p)))); err == nil {
			patches = append(patches, types.Patch{Path: string(p)})
		} else {
			patches = append(patches, types.Patch{Patch: string(p)})
		}
	}
	k.Patches = slices.Concat(patches, k.Patches, k.PatchesJson6902)
	k.PatchesStrategicMerge, k.PatchesJson6902 = nil, nil
	k.CommonLabels, k.Vars = nil, nil // which change no name
	if f.options.Origins {
		k.BuildMetadata = []string{types.OriginAnnotations}
	}
	return sigsyaml.Marshal(k)
}

// withoutUser is a URL without what may be a password in it.
func withoutUser(s string) string {
	if before, rest, ok := strings.Cut(s, "://"); ok {
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			rest = rest[at+1:]
		}
		s = before + "://" + rest
	}
	s, _, _ = strings.Cut(s, "?")
	return s
}

// isRemote reports whether kustomize might take something in v for a place that is
// not a file.
func isRemote(v any) bool {
	switch v := v.(type) {
	case string:
		return !strings.Contains(v, "\n") && remotePath.MatchString(v)
	case []any:
		return slices.ContainsFunc(v, isRemote)
	case map[string]any:
		for name, item := range v {
			if !slices.Contains(plainFields, strings.ToLower(name)) && isRemote(item) {
				return true
			}
		}
	}
	return false
}

// fetches reports whether a file might configure one of kustomize's own plugins
// with something that is not in the repository.
func fetches(text []byte) bool {
	if !bytes.Contains(text, []byte("builtin")) && !bytes.ContainsAny(text, `\*`) { // it may be written with escapes
		return false
	}
	builtin, remote := false, false
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case string:
			builtin = builtin || v == konfig.BuiltinPluginApiVersion
			remote = remote || remotePath.MatchString(v)
		case []any:
			for _, item := range v {
				look(item)
			}
		case map[string]any:
			for _, item := range v {
				look(item)
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var v any
		if err := decoder.Decode(&v); err != nil {
			break // at the end, or kustomize does not read it either
		}
		look(v)
	}
	return builtin && remote
}

// ReadFile reads a regular file that is not larger than a manifest may be.
func ReadFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() > MaxFile:
		return nil, ErrSize
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile))
}
