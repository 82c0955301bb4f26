package program

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scene is a working tree and directories next to it, of which some are in PATH.
type scene struct {
	root, tree string
	t          *testing.T
}

func newScene(t *testing.T) *scene {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{root, filepath.Join(root, "repo"), t}
	for _, dir := range []string{"repo/tools", "bin", "other"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// program puts one at a path.
func (s *scene) program(path string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.root, path), []byte("#!/bin/sh\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) link(target, path string) {
	s.t.Helper()
	if err := os.Symlink(target, filepath.Join(s.root, path)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) mode(path string, mode os.FileMode) {
	s.t.Helper()
	if err := os.Chmod(filepath.Join(s.root, path), mode); err != nil {
		s.t.Fatal(err)
	}
}

// TestFind: of all that PATH may lead to, that is found which no one proposes, and it is
// what is run, whatever else there is of the name.
func TestFind(t *testing.T) {
	const none = "/usr/bin:/bin" // an empty PATH would mean the working directory
	for name, c := range map[string]struct {
		make func(*scene)
		path string // with ROOT for the scene
		name string // tool, if it is empty
		want string // the path that is found
		why  string // or the reason why none is
		left string // the PATH that is left, if it differs
	}{
		"in PATH":               {make: func(s *scene) { s.program("bin/tool") }, path: "ROOT/bin", want: "ROOT/bin/tool"},
		"nowhere":               {path: "ROOT/bin", why: "executable file not found"},
		"not a program":         {make: func(s *scene) { s.program("bin/tool"); s.mode("bin/tool", 0o644) }, path: "ROOT/bin", why: "executable file not found"},
		"a directory":           {make: func(s *scene) { os.Mkdir(filepath.Join(s.root, "bin/tool"), 0o755) }, path: "ROOT/bin", why: "executable file not found"},
		"in the tree":           {make: func(s *scene) { s.program("repo/tools/tool") }, path: "ROOT/repo/tools:ROOT/bin", why: "working tree ROOT/repo", left: "ROOT/bin"},
		"in the tree first":     {make: func(s *scene) { s.program("repo/tools/tool"); s.program("bin/tool") }, path: "ROOT/repo/tools:ROOT/bin", want: "ROOT/bin/tool", left: "ROOT/bin"},
		"the tree itself":       {make: func(s *scene) { s.program("repo/tool") }, path: "ROOT/repo", why: "working tree ROOT/repo", left: none},
		"beside by dots":        {make: func(s *scene) { s.program("bin/tool") }, path: "ROOT/repo/../bin", want: "ROOT/bin/tool"},
		"into the tree by dots": {make: func(s *scene) { s.program("repo/tools/tool") }, path: "ROOT/bin/../repo/tools", why: "working tree", left: none},
		"a link to the tree":    {make: func(s *scene) { s.program("repo/tools/tool"); s.link("../repo/tools/tool", "bin/tool") }, path: "ROOT/bin", why: "working tree"},
		"a link in the tree":    {make: func(s *scene) { s.program("bin/tool"); s.link("../../bin/tool", "repo/tools/tool") }, path: "ROOT/repo/tools", why: "working tree", left: none},
		"by way of the tree": {make: func(s *scene) {
			s.program("bin/real")
			s.link("../bin/real", "repo/l")
			s.link("../repo/l", "bin/tool")
		}, path: "ROOT/bin", why: "working tree"},
		"a directory by a link":     {make: func(s *scene) { s.program("repo/tools/tool"); s.link("repo/tools", "l") }, path: "ROOT/l", why: "working tree", left: none},
		"a directory out of it":     {make: func(s *scene) { s.program("bin/tool"); s.link("../bin", "repo/l") }, path: "ROOT/repo/l", why: "working tree", left: none},
		"the tree by another name":  {make: func(s *scene) { s.program("repo/tools/tool"); s.link("repo", "alias") }, path: "ROOT/alias/tools", why: "working tree", left: none},
		"a link elsewhere":          {make: func(s *scene) { s.program("other/real"); s.link("../other/real", "bin/tool") }, path: "ROOT/bin", want: "ROOT/other/real"},
		"a link to itself":          {make: func(s *scene) { s.link("tool", "bin/tool") }, path: "ROOT/bin", why: "executable file not found"},
		"relative":                  {make: func(s *scene) { s.program("other/tool") }, path: "other:./other:ROOT/bin", why: "depends on the working directory", left: "ROOT/bin"},
		"empty":                     {make: func(s *scene) { s.program("tool") }, path: ":ROOT/bin:", why: "depends on the working directory", left: "ROOT/bin"},
		"a dot":                     {make: func(s *scene) { s.program("tool") }, path: ".", why: "depends on the working directory", left: none},
		"no PATH to speak of":       {make: func(s *scene) { s.program("tool") }, path: "-", why: "executable file not found", left: none},
		"a neighbour of its name":   {make: func(s *scene) { os.Mkdir(filepath.Join(s.root, "repository"), 0o755); s.program("repository/tool") }, path: "ROOT/repository", want: "ROOT/repository/tool"},
		"anybody may write it":      {make: func(s *scene) { s.program("bin/tool"); s.mode("bin/tool", 0o777) }, path: "ROOT/bin", why: "anyone on this machine may write ROOT/bin/tool"},
		"and the next one is ours":  {make: func(s *scene) { s.program("bin/tool"); s.mode("bin/tool", 0o777); s.program("other/tool") }, path: "ROOT/bin:ROOT/other", want: "ROOT/other/tool"},
		"ours where anybody writes": {make: func(s *scene) { s.program("bin/tool"); s.mode("bin", 0o777) }, path: "ROOT/bin", want: "ROOT/bin/tool"},
		"absolute":                  {make: func(s *scene) { s.program("other/tool") }, name: "ROOT/other/tool", want: "ROOT/other/tool"},
		"absolute in the tree":      {make: func(s *scene) { s.program("repo/tools/tool") }, name: "ROOT/repo/tools/tool", why: "working tree ROOT/repo"},
		"absolute and not there":    {name: "ROOT/none/tool", want: "ROOT/none/tool"},
		"a path in some directory":  {make: func(s *scene) { s.program("other/tool") }, name: "other/tool", why: "depends on the working directory"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			if c.make != nil {
				c.make(s)
			}
			at := func(text string) string { return strings.ReplaceAll(text, "ROOT", s.root) }
			t.Chdir(s.root)
			guarded.removed = nil
			if c.path == "" {
				c.path = "ROOT/bin"
			}
			t.Setenv("PATH", strings.TrimPrefix(at(c.path), "-"))
			if c.name == "" {
				c.name = "tool"
			}
			got, err := Find(at(c.name), s.tree)
			if got != at(c.want) || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), at(c.why)) {
				t.Errorf("%q, %v; want %q, %q", got, err, at(c.want), at(c.why))
			}
			if _, refused := errors.AsType[*Refused](err); err != nil && refused == errors.Is(err, exec.ErrNotFound) {
				t.Errorf("%v is not one of the two errors", err)
			}
			want := at(c.path)
			if c.left != "" {
				want = at(c.left)
			}
			if got := os.Getenv("PATH"); got != want {
				t.Errorf("PATH is %q then, want %q", got, want)
			}
		})
	}
}

// TestOthers: what someone else put where anyone may write is refused, and so is all
// that lies in it.
func TestOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	s := newScene(t)
	s.program("bin/tool")
	s.program("other/tool")
	t.Setenv("PATH", filepath.Join(s.root, "bin"))
	s.mode("bin", 0o777)
	if err := os.Lchown(filepath.Join(s.root, "bin/tool"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got, err := Find("tool", s.tree); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("%q, %v", got, err)
	}
	s.mode("bin", 0o755) // now it is there because root wants it
	if got, err := Find("tool", s.tree); err != nil {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("PATH", filepath.Join(s.root, "other"))
	s.mode(".", 0o777|os.ModeSticky)
	if err := os.Lchown(filepath.Join(s.root, "other"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got, err := Find("tool", s.tree); err == nil || strings.Contains(os.Getenv("PATH"), s.root) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWithoutTree: where the tree is the root of all, or there is none, only what depends
// on the working directory is refused.
func TestWithoutTree(t *testing.T) {
	s := newScene(t)
	s.program("bin/tool")
	for _, tree := range []string{"", "/", "/nonesuch"} {
		t.Setenv("PATH", "bin:"+filepath.Join(s.root, "bin"))
		if got, err := Find("tool", tree); err != nil || got != filepath.Join(s.root, "bin/tool") {
			t.Errorf("%q: %q, %v", tree, got, err)
		}
	}
}
