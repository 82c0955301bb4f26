// Package snapshot has a part of a revision of Git, or of a directory, in a place
// of its own, so that it can be compiled next to the work tree.
package snapshot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/victor-ai/victorgen/internal/git"
)

const (
	maxFile  = 16 << 20  // of one file; larger ones are left out, as nothing here reads them
	maxAll   = 512 << 20 // of all files
	maxFiles = 200_000
)

// depth is how many directories the copy lies in that nothing else is in. So a path
// that climbs out of it, as a contract may have, leads to nothing, and can be told
// from an absolute one.
const depth = 32

// Snapshot is a copy of some files, in a directory that no one else can read. It
// must be closed. It may be used concurrently.
type Snapshot struct {
	Name string // of the revision, or the directory, as it was asked for
	Root string // absolute; where the root of the repository is in the copy

	from  files
	top   string // what is removed in the end
	root  *os.Root
	mu    sync.Mutex
	done  map[string]bool
	bytes int64
	gone  bool
	stop  func() bool
}

// files is where a copy is made from. Paths are slash-separated, and relative to
// the root of the repository.
type files interface {
	list(ctx context.Context, dir string) ([]entry, error)
	read(ctx context.Context, entries []entry, got func(e entry, data []byte) error) error
}

type entry struct {
	path string
	link bool
	git  git.Entry
}

// OfRevision is a copy of parts of a revision. It goes when ctx ends, too: the
// process may end soon after.
func OfRevision(ctx context.Context, r *git.Revision) (*Snapshot, error) {
	return open(ctx, r.Name, revision{r})
}

// OfDirectory is a copy of parts of a directory, which stands for the root of the
// repository, or for what is at below there.
func OfDirectory(ctx context.Context, dir, below string) (*Snapshot, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return open(ctx, dir, directory{r, below})
}

func open(ctx context.Context, name string, from files) (*Snapshot, error) {
	top, err := os.MkdirTemp("", "victorgen-diff-") // mode 0700
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Name: name, from: from, top: top, done: map[string]bool{}}
	s.stop = context.AfterFunc(ctx, s.remove)
	if s.top, err = filepath.EvalSymlinks(top); err == nil {
		s.Root = filepath.Join(s.top, strings.Repeat(strings.ToLower(rand.Text()[:4])+"/", depth)) // no path names it; and macOS allows 1,024 bytes
		err = os.MkdirAll(s.Root, 0o700)
	}
	if err == nil {
		s.root, err = os.OpenRoot(s.Root)
	}
	if err != nil {
		os.RemoveAll(top)
		return nil, err
	}
	return s, nil
}

// Close removes the copy.
func (s *Snapshot) Close() {
	s.stop()
	s.remove()
}

func (s *Snapshot) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.gone = true
		if s.root != nil {
			s.root.Close()
		}
		os.RemoveAll(s.top)
		if d, ok := s.from.(directory); ok {
			d.root.Close()
		}
	}
}

// Add copies the files at a path and below that are wanted, and all links. Paths
// are slash-separated, and relative to the root of the repository.
func (s *Snapshot) Add(ctx context.Context, dir string, wanted func(path string) bool) error {
	all, err := s.from.list(ctx, dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var todo []entry
	for _, e := range all {
		if fs.ValidPath(e.path) && !s.done[e.path] && (e.link || wanted(e.path)) {
			s.done[e.path] = true
			todo = append(todo, e)
		}
	}
	if len(s.done) > maxFiles {
		return fmt.Errorf("%s has more than %d files that count", s.Name, maxFiles)
	}
	links := map[string]string{}
	err = s.from.read(ctx, todo, func(e entry, data []byte) error {
		switch s.bytes += int64(len(data)); {
		case s.gone:
			return context.Cause(ctx)
		case s.bytes > maxAll:
			return fmt.Errorf("the files of %s that count are larger than %d MiB together", s.Name, maxAll>>20)
		case data == nil:
			return nil
		case e.link:
			links[e.path] = string(data)
			return nil
		}
		return s.write(e.path, data)
	})
	if err != nil {
		return err
	}
	s.link(links)
	return nil
}

// write writes a file of the copy. What the name of another one is in the way of,
// as on a file system that knows no capitals, is left out.
func (s *Snapshot) write(name string, data []byte) error {
	if err := s.root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o700); err != nil {
		return leftOut(err)
	}
	f, err := s.root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return leftOut(err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func leftOut(err error) error {
	for _, harmless := range []error{fs.ErrExist, syscall.ENOTDIR, syscall.EISDIR, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ} {
		if errors.Is(err, harmless) {
			return nil
		}
	}
	if strings.Contains(err.Error(), "escapes from parent") { // by a link that was written before
		return nil
	}
	return err
}

// link makes the links, and takes away those that lead out of the copy.
func (s *Snapshot) link(links map[string]string) {
	for name, target := range links {
		name = filepath.FromSlash(name)
		if filepath.IsAbs(target) || s.root.MkdirAll(filepath.Dir(name), 0o700) != nil {
			continue
		}
		s.root.Symlink(target, name)
	}
	for name := range links {
		at := filepath.Join(s.Root, filepath.FromSlash(name))
		if real, err := filepath.EvalSymlinks(at); err == nil && !s.Has(real) {
			s.root.Remove(filepath.FromSlash(name))
		}
	}
}

// Has reports whether an absolute path is in the copy.
func (s *Snapshot) Has(name string) bool {
	rel, err := filepath.Rel(s.Root, name)
	return err == nil && filepath.IsLocal(rel)
}

// Place returns where an absolute path of the copy would be in the repository at
// root: one that climbs out of the copy, out of root. It reports false of a path
// that has nothing to do with the copy.
func (s *Snapshot) Place(name, root string) (string, bool) {
	rel, err := filepath.Rel(s.top, name)
	if err != nil || !filepath.IsLocal(rel) {
		return name, false
	}
	rel, err = filepath.Rel(s.Root, name)
	return filepath.Join(root, rel), err == nil
}

// Say replaces the places of the copy in a message by NAME:PATH.
func (s *Snapshot) Say(text string) string {
	text = strings.ReplaceAll(text, s.Root+string(filepath.Separator), s.Name+":")
	return strings.ReplaceAll(strings.ReplaceAll(text, s.Root, s.Name), s.top, s.Name)
}

// revision is the files of a revision of Git.
type revision struct{ *git.Revision }

func (r revision) list(ctx context.Context, dir string) ([]entry, error) {
	all, err := r.Files(ctx, dir)
	entries := make([]entry, len(all))
	for i, e := range all {
		entries[i] = entry{e.Path, e.Link, e}
	}
	return entries, err
}

func (r revision) read(ctx context.Context, entries []entry, got func(entry, []byte) error) error {
	asked := make([]git.Entry, len(entries))
	for i, e := range entries {
		asked[i] = e.git
	}
	i := 0
	return r.Read(ctx, asked, maxFile, func(_ git.Entry, data []byte) error {
		i++
		return got(entries[i-1], data)
	})
}

// directory is the files of a directory.
type directory struct {
	root  *os.Root
	below string // where it is in the repository
}

func (d directory) list(ctx context.Context, dir string) (all []entry, err error) {
	rel, err := filepath.Rel(filepath.FromSlash(d.below), filepath.FromSlash(dir))
	if err != nil || !filepath.IsLocal(rel) {
		return nil, nil // it is not in there
	}
	err = fs.WalkDir(d.root.FS(), filepath.ToSlash(rel), func(name string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && name == filepath.ToSlash(rel) && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && e.Name() == git.Dir:
			return fs.SkipDir
		case e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0:
			all = append(all, entry{path: path.Join(d.below, name), link: !e.Type().IsRegular()})
		}
		return nil
	})
	return all, err
}

func (d directory) read(ctx context.Context, entries []entry, got func(entry, []byte) error) error {
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name, err := filepath.Rel(filepath.FromSlash(d.below), filepath.FromSlash(e.path))
		var data []byte
		if err == nil && e.link {
			var target string
			target, err = d.root.Readlink(name)
			data = []byte(target)
		} else if err == nil {
			data, err = d.file(name)
		}
		if err == nil {
			err = got(e, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file reads a regular file; nil if it is too large, or none any more.
func (d directory) file(name string) ([]byte, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(data) > maxFile {
		return nil, err
	}
	return data, err
}
