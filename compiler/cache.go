package compiler

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Cache keeps plans on disk, so that a contract is not compiled again which has not
// changed: most of the time that a build takes which changes nothing is CUE's.
//
// It never changes a result. A plan is kept with all that the compiler has looked at
// to make it: the files by their SHA-256, the names in the directories, what was not
// there. It counts for the same build of victorgen with the same options, in the same
// directory, once all of that is seen to be the same again. Only plans without errors
// are kept, from the second time on that they come out, and none of a contract with a
// line that looks like a secret. A plan has no value of an input in it.
//
// A cache that can't be read or written is an empty one. A nil Cache is one, too. It
// may be used concurrently, by several processes.
type Cache struct {
	dir   string
	build string
}

// NewCache returns the cache in dir, which is made when something is kept. It must
// belong to the user alone, or else it is not used. build tells the build of victorgen
// from each other one; nothing is kept if it is empty.
func NewCache(dir, build string) *Cache {
	if build == "" || !filepath.IsAbs(dir) {
		return nil
	}
	return &Cache{dir, build}
}

// How long a plan is kept that is not used, and how often that is looked at.
const (
	keptUnused = 30 * 24 * time.Hour
	trimEvery  = 24 * time.Hour
)

// trimmed is the file whose time tells when the cache was last looked through.
const trimmed = "trimmed"

// kept is what an entry of the cache holds: a line of JSON, and in another one the result.
type kept struct {
	Build       string
	Of          string   // which plan it is
	Environment []string // the variables that CUE reads
	Sights      []sight
	Result      []byte `json:"-"` // a [result]; empty if it was compiled once
}

// result is a plan and what there is to say of it.
type result struct {
	Plan        *plan.Plan
	Sources     []keptSource // in the place of those of the plan
	Diagnostics plan.Diagnostics
}

// keptSource is a [plan.Source] with all of its fields, of which its own JSON, that
// locks have digests of, leaves some out.
type keptSource struct {
	Name, Kind, Prefix, File, Shared string
	FromShared                       bool
	Dir                              string
	Command                          []string
	ProcessEnv                       *bool
	Region, KMSKey, Vault, Project   string
	Location, Address, Namespace     string
	CABundle, Mount, Version         string
	Store                            plan.Store
	Pending, PendingValues           plan.Remote
	Pos                              []plan.Pos
}

// sight is one thing that the compiler has looked at, and what it has seen.
type sight struct {
	What seen
	Path string // in the module, slash-separated; of a path, absolute
	Saw  string
}

// seen is a way of looking at something.
type seen string

const (
	seenFile   seen = "file"   // the SHA-256 of its content, or why it can't be read
	seenList   seen = "list"   // the names of the .cue files in a directory
	seenModule seen = "module" // whether a directory is a module of its own
	seenPath   seen = "path"   // what is there, links followed: see [look]
	seenLink   seen = "link"   // the same, no link followed
)

// sum is what [seenFile] sees of f.
func (f *file) sum() string {
	f.once.sum.Do(func() {
		if f.err != nil {
			f.digest = "! " + f.err.Error()
			return
		}
		s := sha256.Sum256(f.content)
		f.digest = hex.EncodeToString(s[:])
	})
	return f.digest
}

// look tells what stat sees at an absolute path.
func look(name string, stat func(string) (fs.FileInfo, error)) string {
	switch info, err := stat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return lookAbsent
	case err != nil:
		return "unreadable"
	case info.IsDir():
		return "directory"
	}
	return lookFile
}

// What [look] tells, among others.
const (
	lookAbsent = "absent"
	lookFile   = "file"
)

// look sees what is at an absolute path, as [seenPath] or [seenLink].
func (c *compilation) look(what seen, name string) string {
	s := sight{What: what, Path: name}
	s.Saw, _ = c.module.see(s)
	c.looked = append(c.looked, s)
	return s.Saw
}

// sights are all that the compilation has seen of the disk, sorted.
func (c *compilation) sights() []sight {
	m, all := c.module, slices.Clone(c.looked)
	for rel, f := range m.files {
		if !f.schema {
			all = append(all, sight{seenFile, rel, f.sum()})
		}
	}
	for rel, names := range m.lists {
		all = append(all, sight{seenList, rel, strings.Join(names, "\x00")})
	}
	for rel, is := range m.modules {
		all = append(all, sight{seenModule, rel, fmt.Sprint(is)})
	}
	slices.SortFunc(all, func(a, b sight) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Path, b.Path))
	})
	return all
}

// see looks again at what s has seen, and reports whether it knows how to.
func (m *module) see(s sight) (saw string, ok bool) {
	switch s.What {
	case seenFile:
		return m.reload(s.Path).sum(), true
	case seenList:
		return strings.Join(m.list(s.Path), "\x00"), true
	case seenModule:
		return fmt.Sprint(m.isModule(s.Path)), true
	case seenPath:
		return look(s.Path, os.Stat), true
	case seenLink:
		return look(s.Path, os.Lstat), true
	}
	return "", false
}

// entry is where the plan of an environment is kept, with all by which it is found.
type entry struct {
	file        string
	of          string // which plan it is: of which environment, with which options
	root, dir   string // absolute, without links
	environment []string
	kept        *kept // what is there; nil is nothing that counts
}

// entry says where the plan of the environment in dir is kept; ok is false if it is not.
func (c *Cache) entry(dir string, o Options) (e entry, ok bool) {
	if c == nil || o.Module != nil || o.Source != "" || o.loader {
		return e, false
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		e.dir, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return e, false
	}
	if e.root, ok = ModuleRoot(e.dir); !ok {
		return e, false
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "CUE_") {
			e.environment = append(e.environment, v)
		}
	}
	slices.Sort(e.environment)
	e.of = fmt.Sprintf("%q %q direct=%v review=%v namespace=%q", e.root, e.dir, o.Direct, o.Review, o.Namespace)
	e.file = filepath.Join(c.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(e.of))))
	e.kept = c.read(e)
	return e, true
}

// read returns what is kept, of this build and for this environment of the process.
func (c *Cache) read(e entry) *kept {
	if !safefile.Private(c.dir) {
		return nil
	}
	content, err := os.ReadFile(e.file)
	if err != nil {
		return nil
	}
	sum, body, _ := bytes.Cut(content, []byte("\n"))
	if string(sum) != fmt.Sprintf("%x", sha256.Sum256(body)) { // it was cut off, say
		return nil
	}
	var k kept
	head, rest, _ := bytes.Cut(body, []byte("\n"))
	k.Result = rest
	if json.Unmarshal(head, &k) != nil || k.Build != c.build || k.Of != e.of || !slices.Equal(k.Environment, e.environment) {
		return nil
	}
	return &k
}

// load returns the plan that is kept, and its warnings, if it is the one that
// compiling would make.
func (c *Cache) load(e entry, o Options) (*plan.Plan, plan.Diagnostics, bool) {
	k := e.kept
	if k == nil || len(k.Result) == 0 {
		return nil, nil, false
	}
	m, err := newModule(e.root)
	if err != nil {
		return nil, nil, false
	}
	defer m.root.Close()
	m.shared = o.Shared.module(e.root)
	m.enter(e.dir)
	for _, s := range k.Sights {
		if saw, ok := m.see(s); !ok || saw != s.Saw {
			return nil, nil, false
		}
	}
	if len(m.strange()) > 0 {
		return nil, nil, false
	}
	var r result
	if json.Unmarshal(k.Result, &r) != nil || r.Plan == nil {
		return nil, nil, false
	}
	for _, s := range r.Sources {
		r.Plan.Sources = append(r.Plan.Sources, plan.Source(s))
	}
	quote := func(p *plan.Pos) { *p = m.at(p.File, p.Line, p.Column) }
	eachPos(reflect.ValueOf(r.Plan), quote)
	eachPos(reflect.ValueOf(r.Diagnostics), quote)
	if info, err := os.Stat(e.file); err == nil && time.Since(info.ModTime()) > trimEvery {
		now := time.Now()
		os.Chtimes(e.file, now, now) // it is in use
	}
	return r.Plan, r.Diagnostics, true
}

// store keeps a plan, and what there is to say of it, if they are to be kept. The first
// time it keeps only what was seen: much that is compiled once changes before it is
// compiled again, as in a job that begins with nothing.
func (c *Cache) store(e entry, sights []sight, p *plan.Plan, ds plan.Diagnostics) {
	if p == nil || ds.HasErrors() || slices.ContainsFunc(ds, func(d plan.Diagnostic) bool { return d.Mask }) {
		return
	}
	k := kept{Build: c.build, Of: e.of, Environment: e.environment, Sights: sights}
	if e.kept != nil && slices.Equal(e.kept.Sights, sights) {
		r := result{Plan: new(*p), Diagnostics: ds}
		r.Plan.Sources = nil
		for _, s := range p.Sources {
			r.Sources = append(r.Sources, keptSource(s))
		}
		var err error
		if k.Result, err = json.Marshal(r); err != nil {
			return
		}
	}
	head, err := json.Marshal(k)
	body := slices.Concat(head, []byte("\n"), k.Result)
	if err != nil || bytes.Contains(body, []byte(`\ufffd`)) { // JSON has no bytes that are not text
		return
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil || !safefile.Private(c.dir) {
		return
	}
	c.trim()
	// The sum tells what was cut off: nothing needs to be durable here.
	f, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintf(f, "%x\n%s", sha256.Sum256(body), body)
	if errors.Join(err, f.Close()) == nil {
		os.Rename(f.Name(), e.file)
	}
}

// trim removes what has not been used for long.
func (c *Cache) trim() {
	mark := filepath.Join(c.dir, trimmed)
	now := time.Now()
	if info, err := os.Stat(mark); err == nil && now.Sub(info.ModTime()) < trimEvery {
		return
	}
	if os.WriteFile(mark, nil, 0o600) != nil || os.Chtimes(mark, now, now) != nil {
		return
	}
	entries, _ := os.ReadDir(c.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > keptUnused {
			os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
}

// eachPos calls do for each position that v leads to.
func eachPos(v reflect.Value, do func(*plan.Pos)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachPos(v.Elem(), do)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachPos(v.Index(i), do)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[plan.Pos]() {
			do(v.Addr().Interface().(*plan.Pos))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachPos(v.Field(i), do)
			}
		}
	}
}
