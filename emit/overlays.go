package emit

//lint:file-ignore SA1019 Kustomizations that people have use what is deprecated.

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/offline"
)

// Overlays are the kustomizations that someone has written to include trees,
// and the manifests that stand next to these.
type Overlays struct {
	root      string // links resolved: the Git work tree of the module, or else the module
	module    string // links resolved
	byDir     map[string]*overlay
	includers []includer // sorted by entry
	manifests []manifest // of the module: files that may be a Kubernetes object
	cut       bool       // there are more files than are looked at

	// What the environments of a run, of which there may be thousands, ask alike.
	beside map[string]*candidates // by the directory of the trees
	listed map[string][]string    // what the locks in the module list, by directory
	left   int                    // bytes of manifests of all of them that may still be read
}

// includer says that the kustomization in dir includes what is at entry, a path with
// its links resolved.
type includer struct{ entry, dir string }

// manifest is a file that may have Kubernetes objects in it.
type manifest struct {
	file string
	read bool // what follows is known
	ours bool // victorgen has written it
	made []made
}

// made is a Secret that an object makes.
type made struct {
	kind string
	id   tree.SecretID
	line int
}

// candidates are manifests in which a Secret may be made a second time, by their
// number: of all environments, and of those that a directory or a file is named after.
type candidates struct {
	all   []int
	named map[string][]int
}

// overlay is one kustomization.
type overlay struct {
	types.Kustomization
	file string
	text []byte
	bad  bool // it is none that could be read

	done     bool
	rendered []object
	failure  string   // why nothing is rendered
	left     []string // what was left out of it
}

// The bounds of what is looked at. A repository that has more is part of something
// else, and to walk all of that takes too long.
const (
	maxEntries   = 100_000
	maxWalk      = 3 * time.Second
	maxManifests = 64 << 20 // bytes
)

// FindOverlays reads the kustomizations in the Git work tree of a module, an
// absolute path, or of the module where there is no Git. It passes by what is
// hidden and what package managers have put there.
func FindOverlays(module string) *Overlays {
	o := &Overlays{
		module: real(module), byDir: map[string]*overlay{}, left: maxManifests,
		beside: map[string]*candidates{}, listed: map[string][]string{},
	}
	o.root = git.WorkTree(o.module)
	left, start := maxEntries, time.Now()
	walk := func(top string, take func(file, name string), skip string) {
		filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
			name := filepath.Base(file)
			switch left--; {
			case left < 0 || left%1000 == 0 && time.Since(start) > maxWalk:
				o.cut = true
				return fs.SkipAll
			case err != nil:
				return nil
			case d.IsDir() && (file == skip || file != top && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "cue.mod")):
				return fs.SkipDir
			case !d.Type().IsRegular():
			case slices.Contains(konfig.RecognizedKustomizationFileNames(), name):
				o.read(file)
			default:
				take(file, name)
			}
			return nil
		})
	}
	walk(o.module, func(file, name string) {
		if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" || ext == ".json" {
			o.manifests = append(o.manifests, manifest{file: file})
		}
	}, "")
	if o.root != o.module {
		walk(o.root, func(string, string) {}, o.module)
	}
	for dir, k := range o.byDir {
		for _, entry := range slices.Concat(k.Resources, k.Components) {
			o.includers = append(o.includers, includer{real(filepath.Join(dir, filepath.FromSlash(entry))), dir}) // that of a URL is nowhere
		}
	}
	slices.SortFunc(o.includers, func(a, b includer) int {
		return cmp.Or(comparePaths(a.entry, b.entry), cmp.Compare(a.dir, b.dir))
	})
	return o
}

// comparePaths orders paths so that what is below a directory follows it at once.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, string(filepath.Separator)), strings.Split(b, string(filepath.Separator)))
}

func (o *Overlays) read(file string) {
	text, err := offline.ReadFile(file)
	if err != nil {
		return
	}
	k := &overlay{file: file, text: text}
	if k.bad = k.Unmarshal(text) != nil; !k.bad {
		k.FixKustomization() // bases are resources
	}
	o.byDir[filepath.Dir(file)] = k
}

// real resolves the links of a path, as far as it can.
func real(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}

// Check warns of what happens to the tree of p, in the directory tree, where it
// is applied by way of kustomizations that include it, directly or by way of
// others: it has kustomize render them, and compares the objects of the tree with
// what comes out. It also warns of a Secret that something else makes, too.
func (o *Overlays) Check(ctx context.Context, p *plan.Plan, at string) plan.Diagnostics {
	var ds plan.Diagnostics
	at = real(at)
	if o.cut {
		ds.Warnf(plan.CodeNotRendered, nil, "keep the module in a repository of its own, or check `kustomize build` yourself",
			"only %d files and directories of %s are searched for kustomizations that include trees, and it has more", maxEntries, o.root)
	}
	own := sync.OnceValue(func() []object { return treeObjects(at) }) // for most modules have nothing to compare them with
	includes := o.including(at)
	var dirs []string
	for dir, k := range o.byDir {
		switch {
		case within(dir, at):
		case k.bad:
			if within(dir, o.module) || bytes.Contains(k.text, []byte(filepath.Base(at))) {
				ds.Warnf(plan.CodeNotRendered, []plan.Pos{{File: k.file, Line: 1, Column: 1}}, "`kustomize build` in its directory says what is wrong",
					"this kustomization can't be read, so whether it includes the tree of environment %q, and what it changes, is not known", p.Environment)
			}
		case k.Kind != types.ComponentKind && includes[dir]:
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	told := map[string]bool{} // the Secrets that are made twice
	for _, dir := range dirs {
		if len(own()) > 0 { // else nothing is built yet
			ds = append(ds, o.compare(ctx, p, dir, own(), told)...)
		}
	}
	if _, err := os.Lstat(filepath.Join(at, tree.LockFile)); err == nil {
		ds = append(ds, o.twice(p, at, own, told)...)
	}
	ds.Sort()
	return ds
}

// compare renders the kustomization in dir and reports what it changes of the
// objects of a tree, but for what those that it includes change as well.
func (o *Overlays) compare(ctx context.Context, p *plan.Plan, dir string, own []object, told map[string]bool) plan.Diagnostics {
	var ds plan.Diagnostics
	k := o.byDir[dir]
	o.render(ctx, dir)
	left := slices.Clone(k.left)
	inherited := map[change]bool{}
	failed := false
	for _, entry := range k.Resources {
		below, ok := o.byDir[real(filepath.Join(dir, filepath.FromSlash(entry)))]
		if !ok || below == k || below.bad {
			continue
		}
		o.render(ctx, filepath.Dir(below.file))
		failed = failed || below.failure != ""
		left = slices.DeleteFunc(left, func(what string) bool { return slices.Contains(below.left, what) })
		for _, c := range changes(own, below.rendered) {
			inherited[c] = true
		}
	}
	if k.failure != "" && !failed {
		ds.Warnf(plan.CodeNotRendered, []plan.Pos{k.position("resources")}, "`kustomize build` in its directory says more",
			"what this kustomization makes of environment %q is not known: %s", p.Environment, k.failure)
	}
	if len(left) > 0 {
		ds.Warnf(plan.CodeNotRendered, []plan.Pos{k.position("resources")}, "copy it into the repository if it changes names, namespaces or annotations",
			"this kustomization includes environment %q, and vet does not check %s: it uses no network and runs no other program", p.Environment, plan.And(left))
	}
	var news []change
	for _, c := range changes(own, k.rendered) {
		if !inherited[c] {
			news = append(news, c)
		}
	}
	k.report(p, news, &ds, told)
	return ds
}

// report words changes, those of one kind and cause together.
func (k *overlay) report(p *plan.Plan, news []change, ds *plan.Diagnostics, told map[string]bool) {
	type group struct {
		aspect aspect
		cause  string
	}
	groups := map[group][]string{}
	var order []group
	at := map[group]plan.Pos{}
	for _, c := range news {
		if c.aspect == twice && told[c.of.String()] {
			continue
		}
		fields := k.causes(c)
		g := group{aspect: c.aspect, cause: "this kustomization"}
		pos := plan.Pos{File: k.file, Line: 1, Column: 1}
		if len(fields) > 0 {
			pos = k.position(fields[0])
			if c.aspect != twice {
				g.cause = "what " + plan.And(fields) + " says"
			}
		}
		what := c.of.name
		if len(fields) == 1 && k.scalar(fields[0]) != "" {
			g.cause = fields[0] + " " + strconv.Quote(k.scalar(fields[0]))
		} else if c.aspect == renamed || c.aspect == moved {
			what += " to " + c.to
		}
		if c.aspect == twice {
			told[c.of.String()] = true
		}
		if c.aspect == twice || c.aspect == unread || c.aspect == unwatched {
			what = c.to
		}
		if groups[g] == nil {
			order, at[g] = append(order, g), pos
		}
		if !slices.Contains(groups[g], what) {
			groups[g] = append(groups[g], what)
		}
	}
	for _, g := range order {
		names := groups[g]
		slices.Sort(names)
		code, hint, format := plan.CodeOverlay, "", ""
		switch g.aspect {
		case renamed:
			hint = `remove it, or write scope: "namespace-wide" under delivery`
			format = "%s renames %s of environment %q: what is sealed for another name does not unseal"
		case moved:
			hint = `set the namespace in the contract, or write scope: "cluster-wide" under delivery`
			format = "%s moves %s of environment %q: what is sealed for another namespace does not unseal"
		case rescoped:
			hint = "set the scope in the contract, under delivery"
			format = "%s changes the scope of %s of environment %q: what is sealed for another scope does not unseal"
		case storeless:
			hint = "remove it"
			format = "%s renames the stores of environment %[3]q, but its external secrets still refer to them by their old names"
		case unread:
			hint = "remove it, or patch the Role as well"
			format = "%s leaves the Role of environment %[3]q without the Secret %[2]s, so its readers can't read it"
		case unbound:
			hint = "remove it, or patch the RoleBinding as well"
			format = "%s leaves the RoleBinding of environment %[3]q without its Role, so its readers can read nothing"
		case unwatched:
			hint = "remove it, or patch the PrometheusRule as well"
			format = "%s leaves the alerts of environment %[3]q without the Secret %[2]s: they watch another name, and fire"
		case twice:
			code, hint = plan.CodeMadeTwice, hintTwice
			format = "%s makes Secret %s, and so does environment %q: each overwrites the other, or fails"
		}
		ds.Warnf(code, []plan.Pos{at[g]}, hint, format, g.cause, plan.And(names), p.Environment)
	}
}

const hintTwice = "remove the old one; its values are in `kubectl get secret`, and `victorgen recover ENV` reads them"

// causes are the fields of k that may have done c: those alone that explain it, or
// else all that can.
func (k *overlay) causes(c change) []string {
	var some []string
	add := func(field string, is bool) {
		if is {
			some = append(some, field)
		}
	}
	switch c.aspect {
	case moved:
		add("namespace", k.Namespace != "" && k.Namespace == c.to)
	case rescoped:
		add("commonAnnotations", len(k.CommonAnnotations) > 0)
	case twice:
	default:
		add("namePrefix", k.NamePrefix != "")
		add("nameSuffix", k.NameSuffix != "")
		add("namespace", len(some) == 0 && k.Namespace != "" && c.aspect != renamed && c.aspect != storeless)
	}
	if len(some) > 0 {
		return some[:1]
	}
	add("components", len(k.Components) > 0)
	if c.aspect == twice {
		add("resources", len(k.Resources) > 0)
		add("secretGenerator", len(k.SecretGenerator) > 0)
		return some
	}
	add("patches", len(k.Patches) > 0)
	add("patchesStrategicMerge", len(k.PatchesStrategicMerge) > 0)
	add("patchesJson6902", len(k.PatchesJson6902) > 0)
	add("replacements", len(k.Replacements) > 0)
	add("transformers", len(k.Transformers) > 0)
	return some
}

// scalar is the value of a field of k that explains a change by itself.
func (k *overlay) scalar(field string) string {
	switch field {
	case "namePrefix":
		return k.NamePrefix
	case "nameSuffix":
		return k.NameSuffix
	case "namespace":
		return k.Namespace
	}
	return ""
}

// twice reports the manifests in the module, but for those of trees, that make a
// Secret that the tree makes, too. Those in a directory or a file that is named
// after another environment are for that one.
func (o *Overlays) twice(p *plan.Plan, dir string, own func() []object, told map[string]bool) plan.Diagnostics {
	var ds plan.Diagnostics
	ids := sync.OnceValue(func() map[tree.SecretID]bool {
		ids := map[tree.SecretID]bool{}
		for _, x := range own() {
			if id, ok := x.secret(); ok {
				ids[id] = true
			}
		}
		return ids
	})
	c := o.candidates(filepath.Dir(dir))
	left := maxManifests // of those of this environment
	for n, i := range slices.Concat(c.all, c.named[p.Environment]) {
		m := &o.manifests[i]
		if n < len(c.all) {
			o.look(m, &o.left)
		} else {
			o.look(m, &left)
		}
		if len(m.made) == 0 || m.ours && within(m.file, dir) {
			continue
		}
		for _, x := range m.made {
			for id := range ids() {
				if x.id.Name == id.Name && (x.id.Namespace == "" || x.id.Namespace == id.Namespace) && !told[id.String()] {
					ds.Warnf(plan.CodeMadeTwice, []plan.Pos{{File: m.file, Line: x.line, Column: 1}}, hintTwice,
						"this %s makes Secret %s, and so does environment %q: each overwrites the other, or fails", x.kind, id, p.Environment)
				}
			}
		}
	}
	return ds
}

// candidates sorts the manifests by the environments, with trees in the directory
// trees, that a directory or a file is named after. One that two are named after is
// neither's.
func (o *Overlays) candidates(trees string) *candidates {
	if c := o.beside[trees]; c != nil {
		return c
	}
	c := &candidates{named: map[string][]int{}}
	o.beside[trees] = c
	environments := tree.Trees(trees, func(string) bool { return false })
	for i, m := range o.manifests {
		rel, err := filepath.Rel(o.module, strings.TrimSuffix(m.file, filepath.Ext(m.file)))
		if err != nil {
			continue
		}
		parts := slices.DeleteFunc(strings.Split(rel, string(filepath.Separator)), func(part string) bool { return environments[part] == "" })
		slices.Sort(parts)
		switch parts = slices.Compact(parts); len(parts) {
		case 0:
			c.all = append(c.all, i)
		case 1:
			c.named[parts[0]] = append(c.named[parts[0]], i)
		}
	}
	return c
}

// look reads which Secrets a manifest makes, once, and so many bytes and no more. One of
// a tree makes none beside that tree.
func (o *Overlays) look(m *manifest, left *int) {
	if m.read || *left < 0 {
		return
	}
	m.read = true
	text, err := offline.ReadFile(m.file)
	if *left -= len(text); err != nil || *left < 0 || !bytes.Contains(text, []byte("Secret")) {
		return
	}
	if m.ours = tree.IsOurs(text); m.ours && o.inTree(m.file) {
		return
	}
	for _, x := range objectsOf(text) {
		if id, ok := x.secret(); ok {
			m.made = append(m.made, made{x.kind, id, x.line})
		}
	}
}

// inTree reports whether a lock above file lists it: it is of a tree, and no copy of
// one that someone has left.
func (o *Overlays) inTree(file string) bool {
	for dir := filepath.Dir(file); within(dir, o.module); dir = filepath.Dir(dir) {
		files, known := o.listed[dir]
		if !known {
			if root, err := os.OpenRoot(dir); err == nil {
				if l, _ := tree.ReadLock(root); l != nil {
					files = l.Files
				}
				root.Close()
			}
			o.listed[dir] = files
		}
		if rel, err := filepath.Rel(dir, file); err == nil && slices.Contains(files, filepath.ToSlash(rel)) {
			return true
		}
	}
	return false
}

// including are the directories of the kustomizations that include the tree at a path
// or a file of it, directly or by way of others.
func (o *Overlays) including(at string) map[string]bool {
	found := map[string]bool{}
	add := func(entry string, below bool) (news []string) {
		i, _ := slices.BinarySearchFunc(o.includers, entry, func(x includer, entry string) int { return comparePaths(x.entry, entry) })
		for ; i < len(o.includers) && (o.includers[i].entry == entry || below && within(o.includers[i].entry, entry)); i++ {
			if dir := o.includers[i].dir; !found[dir] {
				found[dir] = true
				news = append(news, dir)
			}
		}
		return news
	}
	for todo := add(at, true); len(todo) > 0; todo = todo[1:] {
		todo = append(todo, add(todo[0], false)...)
	}
	return found
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// position is where k sets a field. Kustomize takes capitals for small letters.
func (k *overlay) position(field string) plan.Pos {
	at := plan.Pos{File: k.file, Line: 1, Column: 1}
	var document yaml.Node
	if yaml.Unmarshal(k.text, &document) != nil || len(document.Content) == 0 {
		return at
	}
	fields := document.Content[0].Content // name, value, name, value
	for i := 0; i < len(fields); i += 2 {
		if strings.EqualFold(fields[i].Value, field) || field == "resources" && strings.EqualFold(fields[i].Value, "bases") {
			at.Line, at.Column = fields[i].Line, fields[i].Column
		}
	}
	return at
}
