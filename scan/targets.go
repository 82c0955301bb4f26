package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/git"
)

// Found is a value in a file, or in what a commit adds.
type Found struct {
	Match
	File   string // absolute; empty is the message of the commit
	Commit string // that adds it, of a history
	More   int    // how often the file has it in other places that are not told
}

// Result is what came of a search.
type Result struct {
	Found   []Found
	Files   int // that were searched; of a history, those of each commit
	Commits int
	LeftOut []string          // absolute; the files in which values belong
	Unread  map[string]string // files that could not be read: why
}

const (
	maxTold  = 10   // places of a value in one file that are told
	maxAdded = 1000 // those that are kept of what is added, until it is known whether a commit adds them
)

// places takes what is found in one file, or in what is added to it.
type places struct {
	Found // where it is looked for
	max   int
	last  map[int]*Found // of each value
	told  map[int][]*Found
}

func newPlaces(file, commit string, most int) *places {
	return &places{Found: Found{File: file, Commit: commit}, max: most, last: map[int]*Found{}, told: map[int][]*Found{}}
}

// add takes a match. Matches come in the order in which they begin. What is a part of
// the one before is no other, nor are lines of a key that follow each other.
func (p *places) add(m Match) {
	last := p.last[m.Value]
	if last != nil {
		within := m.Start.Line < last.End.Line || m.Start.Line == last.End.Line && m.Start.Column <= last.End.Column
		if within || m.Form == Partly && m.Start.Line <= last.End.Line+1 {
			if last.End.Line < m.End.Line || last.End.Line == m.End.Line && last.End.Column < m.End.Column {
				last.End = m.End
			}
			return
		}
	}
	next := p.Found
	next.Match = m
	p.last[m.Value] = &next
	if told := p.told[m.Value]; len(told) == p.max {
		told[p.max-1].More++
	} else {
		p.told[m.Value] = append(told, &next)
	}
}

// all returns what is told.
func (p *places) all() (found []Found) {
	for _, told := range p.told {
		for _, f := range told {
			found = append(found, *f)
		}
	}
	return found
}

// sort orders what was found, and what could not be read, as people look for it.
func (r *Result) sort(byFile bool) {
	slices.SortStableFunc(r.Found, func(a, b Found) int {
		file := 0
		if byFile {
			file = cmp.Compare(a.File, b.File)
		}
		return cmp.Or(file, cmp.Compare(a.Start.Line, b.Start.Line), cmp.Compare(a.Start.Column, b.Start.Column), cmp.Compare(a.Value, b.Value))
	})
	slices.Sort(r.LeftOut)
}

// WorkTree searches the files of a Git work tree: those that are tracked, and those
// that Git would add. The files and directories of own, which are absolute, are left
// out as far as Git does not track them.
func (s *Scanner) WorkTree(ctx context.Context, root string, own []string) (*Result, error) {
	tracked, others, err := git.WorkFiles(ctx, root)
	if err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	r := &Result{Unread: map[string]string{}}
	belongs := belongsTo(own)
	others = slices.DeleteFunc(others, func(name string) bool {
		file := filepath.Join(root, filepath.FromSlash(name))
		left := belongs(file)
		if left {
			r.LeftOut = append(r.LeftOut, file)
		}
		return left
	})
	s.files(ctx, r, append(tracked, others...), func(name string) (string, fs.File, error) {
		name = filepath.FromSlash(name)
		// A link is not followed, nor does a file exist that was replaced by one that leads
		// out of the work tree.
		info, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.Mode().IsRegular() || err != nil && strings.Contains(err.Error(), "escapes from parent") {
			return "", nil, nil
		}
		f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		return filepath.Join(root, name), f, err
	})
	return r, context.Cause(ctx)
}

// Stdin is the path that stands for the standard input.
const Stdin = "-"

// Paths searches files, all files of directories, whatever Git says of them, and for
// [Stdin] in. What belongs to own is left out as in [Scanner.WorkTree].
func (s *Scanner) Paths(ctx context.Context, paths, own []string, in io.Reader) (*Result, error) {
	r := &Result{Unread: map[string]string{}}
	belongs := belongsTo(own)
	var files []string
	for _, path := range paths {
		if path == Stdin {
			files = append(files, Stdin)
			continue
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real // which was named
		}
		err = filepath.WalkDir(abs, func(file string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil && file == abs:
				return fmt.Errorf("%s: %w", path, bare(err))
			case err != nil:
				r.Unread[file] = bare(err).Error()
				return nil
			case d.IsDir() && d.Name() == git.Dir:
				return fs.SkipDir
			case d.Type().IsRegular() && belongs(file) && !git.Tracks(ctx, file):
				r.LeftOut = append(r.LeftOut, file)
			case d.Type().IsRegular() || file == abs && !d.IsDir():
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	s.files(ctx, r, slices.Compact(files), func(file string) (string, fs.File, error) {
		if file == Stdin {
			return "<stdin>", stdin{in}, nil
		}
		f, err := os.Open(file)
		return file, f, err
	})
	return r, context.Cause(ctx)
}

// stdin is the standard input as a file.
type stdin struct{ io.Reader }

func (stdin) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
func (stdin) Close() error               { return nil }

// bare is what the system says of a path, without the path.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// belongsTo returns what tells whether a file is one of own, or in one of them.
func belongsTo(own []string) func(string) bool {
	var all []string
	for _, path := range own {
		all = append(all, path)
		if real, err := filepath.EvalSymlinks(path); err == nil {
			all = append(all, real)
		}
	}
	return func(file string) bool {
		return slices.ContainsFunc(all, func(path string) bool {
			rel, err := filepath.Rel(path, file)
			return err == nil && filepath.IsLocal(rel)
		})
	}
}

// files searches files, several at once. What open returns no file for is left out.
func (s *Scanner) files(ctx context.Context, r *Result, names []string, open func(name string) (file string, f fs.File, err error)) {
	var mu sync.Mutex
	var g crash.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() {
			file, f, err := open(name)
			var p *places
			if f != nil && err == nil {
				defer f.Close()
				p = newPlaces(file, "", maxTold)
				err = s.read(ctx, f, p.add)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				r.Unread[cmp.Or(file, name)] = bare(err).Error()
			case p != nil:
				r.Files++
				r.Found = append(r.Found, p.all()...)
			}
		})
	}
	g.Wait()
	r.sort(true)
}

// scratch is the memory of a search, for the next one.
type scratch struct {
	buf, text []byte
	marks     []mark
}

// read searches what a file has.
func (s *Scanner) read(ctx context.Context, in io.Reader, found func(Match)) error {
	had, _ := s.scratch.Get().(*scratch)
	if had == nil {
		had = &scratch{buf: make([]byte, window)}
	}
	stream, buf := s.Stream(found), had.buf
	stream.text, stream.marks = had.text[:0], had.marks[:0]
	defer func() {
		had.text, had.marks = stream.text, stream.marks
		s.scratch.Put(had)
	}()
	for {
		n, err := in.Read(buf)
		stream.Write(buf[:n])
		switch {
		case err == io.EOF:
			stream.Close()
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return nil // which is told once
		}
	}
}

// Staged searches what would be committed: the lines that the index has, and HEAD has
// not.
func (s *Scanner) Staged(ctx context.Context, root string) (*Result, error) {
	return s.patch(root, func(p git.Patch) error { return git.Staged(ctx, root, p) })
}

// History searches what each commit of a range adds, and its message.
func (s *Scanner) History(ctx context.Context, root, commits string) (*Result, error) {
	return s.patch(root, func(p git.Patch) error { return git.History(ctx, root, commits, p) })
}

// patch searches what is added. A value counts if a part of it is; the lines about it
// may have the rest. What a merge adds is in none of its parents.
func (s *Scanner) patch(root string, read func(git.Patch) error) (*Result, error) {
	r := &Result{}
	var here *places
	var adds []Found // of the commit, to each parent
	var added []int  // lines of the hunk
	line, commit, parents, files := 0, "", 1, map[string]bool{}
	stream := s.Stream(func(m Match) {
		if i, _ := slices.BinarySearch(added, m.Start.Line); i < len(added) && added[i] <= m.End.Line {
			here.add(m)
		}
	})
	endFile := func() {
		stream.Jump(1)
		if here != nil {
			adds = append(adds, here.sorted()...)
		}
		here = nil
	}
	endCommit := func() {
		endFile()
		r.Found = append(r.Found, most(inAll(adds, parents))...)
		r.Files += len(files)
		adds = nil
		clear(files)
	}
	err := read(git.Patch{
		Commit: func(hash string, of int, message []byte) {
			if hash == commit {
				endFile() // of the same commit and another parent
				return
			}
			endCommit()
			r.Commits++
			commit, parents = hash, of
			p := newPlaces("", commit, maxTold)
			s := s.Stream(p.add)
			s.Write(message)
			s.Close()
			r.Found = append(r.Found, p.sorted()...)
		},
		File: func(path string) {
			endFile()
			files[path] = true
			here = newPlaces(filepath.Join(root, filepath.FromSlash(path)), commit, maxAdded)
		},
		Hunk: func(at int) {
			stream.Jump(at)
			line, added = at, added[:0]
		},
		Text: func(b []byte, isAdded bool) {
			if isAdded && (len(added) == 0 || added[len(added)-1] != line) {
				added = append(added, line)
			}
			stream.Write(b)
			if len(b) > 0 && b[len(b)-1] == '\n' {
				line++
			}
		},
	})
	endCommit()
	return r, err
}

// inAll returns what is found in the difference to each of so many parents.
func inAll(found []Found, parents int) (all []Found) {
	type key struct {
		file  string
		value int
		Place
	}
	times := map[key]int{}
	for _, f := range found {
		k := key{f.File, f.Value, f.Start}
		if times[k]++; times[k] == max(parents, 1) {
			all = append(all, f)
		}
	}
	return all
}

// most returns no more than are told of each value in each file.
func most(found []Found) (told []Found) {
	type key struct {
		file  string
		value int
	}
	places := map[key][]int{}
	for _, f := range found {
		k := key{f.File, f.Value}
		if at := places[k]; len(at) == maxTold {
			told[at[maxTold-1]].More += 1 + f.More
			continue
		}
		places[k] = append(places[k], len(told))
		told = append(told, f)
	}
	return told
}

// sorted is all in the order of the file.
func (p *places) sorted() []Found {
	r := Result{Found: p.all()}
	r.sort(false)
	return r.Found
}
