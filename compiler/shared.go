package compiler

import (
	"path"
	"regexp"
	"strings"
	"sync"

	"cuelang.org/go/cue/build"

	"github.com/victor-ai/victorgen/schema"
)

// Shared is what the compilations of a run have in common, as far as it does not
// depend on the environment: the files of contracts as they were when they were first
// read, and what has been tried of them. It grows with
// the contracts and not with the environments. A nil one shares nothing.
type Shared struct {
	mu       sync.Mutex
	modules  map[string]*sharedModule
	patterns sync.Map // compiled, by their text
	good     sync.Map // what [compilation.checkGenerate] has found to be so
}

// NewShared returns what a run has in common before it has compiled anything.
func NewShared() *Shared {
	return &Shared{modules: map[string]*sharedModule{}}
}

// sharedModule is what is shared of one module.
type sharedModule struct {
	mu      sync.Mutex
	files   map[string]*file
	again   map[string]*file    // what reload has read
	lists   map[string][]string // the names of the .cue files, by directory
	strange func() []Strange
}

// compiled is a pattern.
type compiled struct {
	pattern *regexp.Regexp
	size    int // programSize
	err     error
}

// pattern compiles a pattern.
func (s *Shared) pattern(text string) (*regexp.Regexp, int, error) {
	if s != nil {
		if c, ok := s.patterns.Load(text); ok {
			c := c.(compiled)
			return c.pattern, c.size, c.err
		}
	}
	c := compiled{size: programSize(text)}
	c.pattern, c.err = regexp.Compile(text)
	if s != nil {
		s.patterns.Store(text, c)
	}
	return c.pattern, c.size, c.err
}

func (s *Shared) module(dir string) *sharedModule {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.modules[dir] == nil {
		s.modules[dir] = &sharedModule{files: map[string]*file{}, again: map[string]*file{}, lists: map[string][]string{}, strange: sync.OnceValue(func() []Strange { return StrangeSchema(dir) })}
	}
	return s.modules[dir]
}

// ofSchema reports whether all of a package is in the directory of the schema.
func ofSchema(inst *build.Instance) bool {
	for _, f := range inst.Files {
		if !schema.Contains(f.Filename) {
			return false
		}
	}
	return len(inst.Files) > 0
}

// stubs are the files of the schema as CUE gets them where known takes their place:
// one for each package, with nothing but its name.
func stubs() map[string][]byte {
	all := map[string][]byte{}
	for name := range schema.Files() {
		dir := path.Dir(path.Join(schema.Dir, name))
		all[path.Join(dir, "stub.cue")] = []byte("package " + path.Base(dir) + "\n")
	}
	return all
}

// replaceStubs puts known in the place of the stubs that inst imports, and reports
// whether it has all of them.
func replaceStubs(inst *build.Instance, known map[string]func() *build.Instance, seen map[*build.Instance]bool) bool {
	if seen[inst] {
		return true
	}
	seen[inst] = true
	for i, in := range inst.Imports {
		if !ofSchema(in) {
			if !replaceStubs(in, known, seen) {
				return false
			}
			continue
		}
		if known[in.ImportPath] == nil {
			return false
		}
		inst.Imports[i] = known[in.ImportPath]()
	}
	return true
}

// own reports whether what is at rel is the environment's: there, or below.
func (m *module) own(rel string) bool {
	env := path.Join(append([]string{"."}, m.env...)...)
	return env == "." || rel == env || strings.HasPrefix(rel, env+"/")
}
