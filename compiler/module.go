package compiler

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	cuemodule "cuelang.org/go/mod/module"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/schema"
)

// maxFile is the size of the largest .cue file that is read. A contract of ten
// thousand inputs has a tenth of it.
const maxFile = 16 << 20

// module is all that CUE sees of the disk: the .cue files of one module that
// an environment needs, as they are when they are read, once. Each is a
// regular file that lies in the module, or a link to such a one. The embedded
// schema stands in the place of any other. What messages quote is what was
// read.
//
// CUE gets the files as an overlay over a directory that does not exist, so it
// finds nothing but them, whatever it looks for.
type module struct {
	dir    string   // absolute, without links
	root   *os.Root // of dir: what leads out of it is not opened; nil if all is in memory
	path   string   // by which its packages are imported, or ""
	mount  string   // the directory that does not exist
	env    []string // the elements of the environment's path below dir
	as     []string // those by which CUE knows them: it allows few characters in a path
	files  map[string]*file
	seen   map[string]bool   // the directories whose files are loaded
	memory map[string][]byte // what there is, by rel, where no root is

	lists   map[string][]string // what list has returned
	modules map[string]bool     // what isModule has

	sources []string      // what CUE has parsed, in its order; see placeAttribute
	shared  *sharedModule // with other environments; nil if nothing is
}

// file is one .cue file of a module.
type file struct {
	content []byte
	syntax  *ast.File // nil if it does not parse
	err     error     // why it can't be read
	bad     error     // why it does not parse
	schema  bool      // embedded

	once   struct{ lines, checks, sum sync.Once } // for what follows, made when asked for
	text   []string                               // the lines of the content
	ds     plan.Diagnostics                       // what checkFile says
	digest string                                 // see sum
}

// lines are those of the content.
func (f *file) lines() []string {
	f.once.lines.Do(func() { f.text = strings.Split(string(f.content), "\n") })
	return f.text
}

// openModule reads what the environment in dir needs of the module in root;
// both are absolute and, unless the module is in memory, without links.
func openModule(root, dir string, o Options) (*module, error) {
	var m *module
	if o.Module != nil {
		m = emptyModule(root)
		m.memory = o.Module.Files
	} else {
		var err error
		if m, err = newModule(root); err != nil {
			return nil, err
		}
		defer m.root.Close()
		m.shared = o.Shared.module(root)
	}
	// No one can have made a directory of this name.
	m.mount = filepath.VolumeName(root) + string(filepath.Separator) + "victorgen-" + strings.ToLower(rand.Text())
	m.enter(dir)
	for i, elem := range m.env {
		if cuemodule.CheckImportPath("x.test/"+elem) != nil || strings.Contains(elem, ":") {
			elem = fmt.Sprintf("directory-%d-of-%s", i, filepath.Base(m.mount))
		}
		m.as = append(m.as, elem)
	}
	if f := m.load("cue.mod/module.cue"); f.syntax != nil {
		for _, d := range f.syntax.Decls {
			if field, ok := d.(*ast.Field); ok {
				if name, _, _ := ast.LabelName(field.Label); name == "module" {
					if lit, ok := field.Value.(*ast.BasicLit); ok {
						p, _ := strconv.Unquote(lit.Value)
						m.path = ast.ParseImportPath(p).Path
					}
				}
			}
		}
	}
	m.loadPackage(".", path.Join(append([]string{"."}, m.env...)...))
	return m, nil
}

// enter makes m the module of the environment in dir, with the schema.
func (m *module) enter(dir string) {
	if rel, err := filepath.Rel(m.dir, dir); err == nil && rel != "." {
		m.env = strings.Split(filepath.ToSlash(rel), "/")
	}
	for name, content := range schema.Files() {
		m.files[path.Join(schema.Dir, name)] = &file{content: content, schema: true, syntax: &ast.File{}} // only CUE looks into it
	}
}

// newModule is a module of which nothing is read yet.
func newModule(dir string) (*module, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	m := emptyModule(dir)
	m.root = r
	return m, nil
}

// emptyModule is a module that has nothing to read from yet.
func emptyModule(dir string) *module {
	return &module{dir: dir, files: map[string]*file{}, seen: map[string]bool{}, lists: map[string][]string{}, modules: map[string]bool{}}
}

// loadPackage loads the files in rel and above, up to base, for CUE makes a
// package from all of them, and then what they import.
func (m *module) loadPackage(base, rel string) {
	for {
		if !m.seen[rel] {
			m.seen[rel] = true
			for _, name := range m.list(rel) {
				if f := m.load(path.Join(rel, name)); f.syntax != nil {
					for spec := range f.syntax.ImportSpecs() {
						if p, err := strconv.Unquote(spec.Path.Value); err == nil {
							m.loadImport(ast.ParseImportPath(p).Path)
						}
					}
				}
			}
		}
		if rel == base || rel == "." {
			return
		}
		rel = path.Dir(rel)
	}
}

func (m *module) loadImport(p string) {
	if p == schema.ImportPath || !filepath.IsLocal(p) || path.Clean(p) != p {
		return
	}
	for _, dir := range dependencies {
		m.loadPackage(dir, path.Join(dir, p))
	}
	if below, ok := strings.CutPrefix(p, m.path+"/"); ok && m.path != "" {
		// A module in this one is another one.
		for d := below; d != "."; d = path.Dir(d) {
			if m.isModule(d) {
				return
			}
		}
		m.loadPackage(".", below)
	}
}

// isModule reports whether the directory at rel is a module of its own.
func (m *module) isModule(rel string) bool {
	file := path.Join(rel, "cue.mod", "module.cue")
	if m.root == nil {
		return m.memory[file] != nil
	}
	_, err := m.root.Lstat(filepath.FromSlash(file))
	m.modules[rel] = err == nil
	return m.modules[rel]
}

// list returns the names of the .cue files in the directory at rel.
func (m *module) list(rel string) (names []string) {
	if OfSchema(rel) {
		return nil
	}
	defer func() { m.lists[rel] = names }()
	if m.shared == nil || m.own(rel) {
		return m.readList(rel)
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	names, ok := m.shared.lists[rel]
	if !ok {
		names = m.readList(rel)
		m.shared.lists[rel] = names
	}
	return names
}

func (m *module) readList(rel string) (names []string) {
	if m.root == nil {
		for file := range m.memory {
			if path.Dir(file) == rel && isCUE(path.Base(file)) {
				names = append(names, path.Base(file))
			}
		}
		slices.Sort(names)
		return names
	}
	f, err := m.root.Open(filepath.FromSlash(rel))
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(-1)
	for _, e := range entries {
		if isCUE(e.Name()) {
			if info, err := m.root.Stat(filepath.FromSlash(path.Join(rel, e.Name()))); err != nil || !info.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	return names
}

// overlay is what CUE gets to see, with stubs in the place of the schema or without.
func (m *module) overlay(stubbed bool) map[string]load.Source {
	all := map[string]load.Source{}
	for rel, f := range m.files {
		if f.err == nil && !(stubbed && f.schema) {
			all[m.mounted(m.virtual(rel))] = load.FromBytes(f.content)
		}
	}
	if stubbed {
		for rel, content := range stubs() {
			all[m.mounted(rel)] = load.FromBytes(content)
		}
	}
	return all
}

// mounted is where CUE finds what it calls rel.
func (m *module) mounted(rel string) string { return filepath.Join(m.mount, filepath.FromSlash(rel)) }

// virtual is how CUE calls what is at rel.
func (m *module) virtual(rel string) string { return rename(rel, m.env, m.as) }

// rename replaces the leading elements of a path that are those of from.
func rename(rel string, from, to []string) string {
	elems := strings.Split(rel, "/")
	for i := 0; i < min(len(elems), len(from)) && elems[i] == from[i]; i++ {
		elems[i] = to[i]
	}
	return strings.Join(elems, "/")
}

// display is the absolute path of what CUE calls name. The schema may have been parsed
// for another environment.
func (m *module) display(name string) string {
	slashed := filepath.ToSlash(name)
	if i := strings.Index(slashed, "/"+schema.Dir+"/"); i >= 0 {
		return filepath.Join(m.dir, filepath.FromSlash(slashed[i+1:]))
	}
	if rel, ok := strings.CutPrefix(slashed, filepath.ToSlash(m.mount)+"/"); ok {
		return filepath.Join(m.dir, filepath.FromSlash(rename(rel, m.as, m.env)))
	}
	return name
}

// words puts real paths into what CUE says.
func (m *module) words(msg string) string {
	for i, elem := range m.as {
		if elem != m.env[i] {
			msg = strings.ReplaceAll(msg, elem, m.env[i])
		}
	}
	return strings.ReplaceAll(msg, m.mount, m.dir)
}

// position is where CUE says that something is, with the line if it may be quoted.
func (m *module) position(p token.Pos) plan.Pos {
	if !p.IsValid() {
		return plan.Pos{}
	}
	return m.at(m.display(p.Filename()), p.Line(), p.Column())
}

// at is a position with its line, if that may be quoted: only a file that was
// read here and is CUE is ever shown.
func (m *module) at(name string, line, column int) plan.Pos {
	p := plan.Pos{File: name, Line: line, Column: column}
	if rel, err := filepath.Rel(m.dir, name); err == nil {
		if f := m.files[filepath.ToSlash(rel)]; f != nil && f.syntax != nil {
			if lines := f.lines(); line >= 1 && line <= len(lines) {
				p.Text = strings.TrimSuffix(lines[line-1], "\r")
			}
		}
	}
	return p
}

// parsed reports whether the file at an absolute path was read and is CUE.
func (m *module) parsed(name string) bool {
	rel, err := filepath.Rel(m.dir, name)
	if err != nil {
		return false
	}
	f := m.files[filepath.ToSlash(rel)]
	return f != nil && f.syntax != nil
}

// load returns the .cue file at rel, read once.
func (m *module) load(rel string) *file {
	f, ok := m.files[rel]
	switch {
	case ok:
	case m.shared == nil || m.own(path.Dir(rel)):
		f = m.readFile(rel)
	default:
		m.shared.mu.Lock()
		defer m.shared.mu.Unlock()
		if f = m.shared.files[rel]; f == nil {
			f = m.readFile(rel)
			m.shared.files[rel] = f
		}
	}
	m.files[rel] = f
	return f
}

// reload returns the file at rel, which was CUE once: it is not parsed again.
func (m *module) reload(rel string) *file {
	f := &file{syntax: &ast.File{}}
	if m.shared != nil && !m.own(path.Dir(rel)) {
		m.shared.mu.Lock()
		defer m.shared.mu.Unlock()
		if again := m.shared.again[rel]; again != nil {
			m.files[rel] = again
			return again
		}
		m.shared.again[rel] = f
	}
	f.content, f.err = m.read(rel)
	m.files[rel] = f
	return f
}

func (m *module) readFile(rel string) *file {
	f := &file{}
	f.content, f.err = m.read(rel)
	if f.err == nil {
		syntax, err := parser.ParseFile(filepath.Join(m.dir, filepath.FromSlash(rel)), f.content, parser.ParseComments)
		if f.bad = err; err == nil {
			f.syntax = syntax
		}
	}
	return f
}

// refusal says why a file is not read.
type refusal string

func (r refusal) Error() string { return string(r) }

// read reads the file at rel as what it must be: a regular file of the module.
func (m *module) read(rel string) ([]byte, error) {
	if m.root == nil {
		if content, ok := m.memory[rel]; ok {
			return content, nil
		}
		return nil, fs.ErrNotExist
	}
	name := filepath.FromSlash(rel)
	info, err := m.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if err != nil {
		if target, err := filepath.EvalSymlinks(filepath.Join(m.dir, name)); err == nil && !inside(m.dir, target) {
			return nil, refusal("is behind a link that leads out of the module")
		}
	}
	link := err == nil && info.Mode()&fs.ModeSymlink != 0
	if link {
		target, err := filepath.EvalSymlinks(filepath.Join(m.dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, refusal("is a dangling link")
		case err != nil:
			return nil, refusal("is a link that leads nowhere")
		case !inside(m.dir, target):
			return nil, refusal("is a link that leads out of the module")
		case filepath.Ext(target) != ".cue":
			return nil, refusal("is a link to a file that is not called .cue")
		}
	}
	// Opening a FIFO or a device must not wait, and must not be followed by a read.
	f, err := m.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, refusal("can't be read: " + reason(err))
	}
	defer f.Close()
	info, err = f.Stat()
	switch {
	case err != nil:
		return nil, refusal("can't be read: " + reason(err))
	case !info.Mode().IsRegular() && link:
		return nil, refusal("is a link to something that is not a regular file")
	case !info.Mode().IsRegular():
		return nil, refusal("is not a regular file")
	case info.Size() > maxFile:
		return nil, refusal(fmt.Sprintf("is larger than %d MiB", maxFile>>20))
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, refusal("can't be read: " + reason(err))
	}
	if len(content) > maxFile {
		return nil, refusal(fmt.Sprintf("is larger than %d MiB", maxFile>>20))
	}
	return content, nil
}

// reason is what the system says, without the path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// inside reports whether the absolute path name is dir or below it.
func inside(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsLocal(rel)
}

// isCUE reports whether CUE takes a file of that name for a part of a package.
func isCUE(name string) bool {
	return strings.HasSuffix(name, ".cue") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_")
}

// dependencies are the directories in which CUE looks for what a module
// imports from others
// (https://cuelang.org/docs/reference/modules/#vendored-modules).
var dependencies = []string{"cue.mod/pkg", "cue.mod/gen", "cue.mod/usr"}

// OfSchema reports whether CUE takes the files in a directory of a module for a part
// of the schema or of a package below it.
func OfSchema(rel string) bool {
	return slices.ContainsFunc(dependencies, func(d string) bool {
		dir := path.Join(d, schema.ImportPath)
		return rel == dir || strings.HasPrefix(rel, dir+"/") || strings.HasPrefix(rel+"/", d+"/") && strings.HasPrefix(dir, rel+"/")
	})
}
