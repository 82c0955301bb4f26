// Package files is the source of kind "files": a directory in which each input
// is a file, as Docker and systemd hand secrets to a program.
package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Source is a directory. A value is what its file holds, but for one line break
// at the end; of one that is binary, all of it. A value that ends with a line
// break is written with another one.
//
// A file must be a regular one, or a link to one in the directory, that no one
// but its owner may open; and the directory one that no one but its owner may
// write to. A directory that does not exist has no values.
type Source struct {
	dir    string
	module string // where a hint may tell to change a file; empty is anywhere
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Keeper = (*Source)(nil)
	_ source.Lister = (*Source)(nil)
)

// New returns the source of the directory of s, which is absolute.
func New(s plan.Source) *Source { return &Source{dir: s.Dir} }

// Within has hints of s tell to change no file outside of a module.
func (s *Source) Within(module string) *Source {
	s.module = module
	return s
}

// maxValue is the size up to which a file is taken for a value, in bytes: no
// Secret holds more.
const maxValue = 1 << 20

// Read implements source.Source. A value has changed when its file has.
func (s *Source) Read(_ context.Context, refs []source.Ref) []source.Answer {
	s.sweep(refs)
	return s.each(refs, func(root *os.Root, ref source.Ref) source.Answer { return s.read(root, ref) })
}

// Prove implements source.Prover. It needs no right to read a file.
func (s *Source) Prove(_ context.Context, refs []source.Ref) []source.Answer {
	return s.each(refs, func(root *os.Root, ref source.Ref) source.Answer {
		info, err := root.Stat(name(ref))
		if err == nil {
			err = s.judge(ref, info)
		} else {
			err = s.reason(root, ref, err)
		}
		a := source.Answer{Origin: s.file(ref), Err: err}
		if err == nil {
			a.Changed = info.ModTime()
		}
		return a
	})
}

// List implements source.Lister.
func (s *Source) List(context.Context) ([]source.Listed, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []source.Listed
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, source.Listed{Name: e.Name(), Origin: filepath.Join(s.dir, e.Name())})
		}
	}
	return names, err
}

// Create implements source.Writer. It makes the directory, with mode 0700, if
// only that is missing, and the file with mode 0600. The directory is locked
// meanwhile.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.set(ctx, ref, v, false)
}

// Replace implements source.Writer, as Create does.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.set(ctx, ref, v, true)
}

func (s *Source) set(ctx context.Context, ref source.Ref, v value.Value, replace bool) (a source.Answer, err error) {
	err = s.locked(ctx, func() error {
		a = s.each([]source.Ref{ref}, s.read)[0]
		switch {
		case a.Err == nil && a.Value.Len() > 0 && !replace:
			return nil
		case a.Err != nil && !errors.Is(a.Err, source.ErrAbsent):
			return a.Err
		}
		a, err = s.write(ref, v)
		return err
	})
	if err != nil {
		a = source.Answer{}
	}
	return a, err
}

// locked does something to the directory while no one else does.
func (s *Source) locked(ctx context.Context, do func() error) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return s.unwritable(err)
	}
	unlock, err := dirlock.Lock(ctx, s.dir)
	if err != nil {
		if ctx.Err() != nil {
			return source.Network(ctx.Err())
		}
		return s.unwritable(err)
	}
	defer unlock()
	return do()
}

// write replaces the file of ref.
func (s *Source) write(ref source.Ref, v value.Value) (source.Answer, error) {
	if v.Len() > maxValue {
		return source.Answer{}, tooLarge
	}
	file := s.file(ref)
	target, err := safefile.Follow(file)
	if err != nil {
		return source.Answer{}, s.unwritable(err)
	}
	text := v.Reveal()
	if !ref.Binary && strings.HasSuffix(string(text), "\n") {
		text = append(text[:len(text):len(text)], '\n') // the one that is taken off
	}
	if err := safefile.Replace(target, text, 0o600); err != nil {
		return source.Answer{}, s.unwritable(err)
	}
	a := source.Answer{Value: v, Origin: file}
	if info, err := os.Stat(file); err == nil {
		a.Changed = info.ModTime()
	}
	return a, nil
}

// each answers for refs in the directory, out of which root does not lead.
func (s *Source) each(refs []source.Ref, ask func(*os.Root, source.Ref) source.Answer) []source.Answer {
	answers := make([]source.Answer, len(refs))
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		for i, ref := range refs {
			if answers[i] = (source.Answer{Origin: s.file(ref), Err: s.noDirectory(err)}); errors.Is(answers[i].Err, source.ErrAbsent) {
				answers[i].Origin += ", whose directory does not exist"
			}
		}
		return answers
	}
	defer root.Close()
	info, err := root.Stat(".")
	for i, ref := range refs {
		switch {
		case err != nil:
			answers[i].Err = &source.Failure{Reason: safefile.Reason(err).Error(), Remedy: "it must be a directory that you may read", Unreadable: true}
		case safefile.ForOthers(info, 0o022):
			answers[i].Err = &source.Failure{
				Code: plan.CodeFileMode, Remedy: safefile.HintClose("go-w", s.dir, s.module),
				Reason: fmt.Sprintf("%s has mode %04o, so users other than its owner may put files there", s.dir, info.Mode().Perm()),
			}
		default:
			answers[i] = ask(root, ref)
		}
	}
	return answers
}

// noDirectory is what is to be said of a directory that can't be opened.
func (s *Source) noDirectory(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		_, link := safefile.Follow(s.dir)
		if link == nil {
			return source.ErrAbsent
		}
		err = link
	}
	reason, hint := safefile.Explain(s.dir, err)
	return &source.Failure{Reason: "cannot open " + s.dir + ": " + reason, Remedy: cmp.Or(hint, "it must be a directory that you may read"), Unreadable: true}
}

// read reads one file.
func (s *Source) read(root *os.Root, ref source.Ref) source.Answer {
	a := source.Answer{Origin: s.file(ref)}
	// O_NONBLOCK: opening a named pipe must not wait for a writer.
	f, err := root.OpenFile(name(ref), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		a.Err = s.reason(root, ref, err)
		return a
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.Err = s.reason(root, ref, err)
		return a
	}
	if a.Err = s.judge(ref, info); a.Err != nil {
		return a
	}
	text, err := io.ReadAll(io.LimitReader(f, maxValue+2))
	if err != nil {
		a.Err = s.reason(root, ref, err)
		return a
	}
	if !ref.Binary {
		if line, ok := strings.CutSuffix(string(text), "\n"); ok {
			text = []byte(strings.TrimSuffix(line, "\r"))
		}
		if !utf8.Valid(text) {
			a.Err = &source.Failure{Code: plan.CodeValueEncoding, Reason: s.file(ref) + " is not text in UTF-8", Remedy: `write encoding: "binary" at the input, or save the file as UTF-8`}
			return a
		}
	}
	switch {
	case len(text) > maxValue:
		a.Err = tooLarge
	case len(text) == 0:
		a.Err = source.ErrAbsent
	default:
		a.Value, a.Changed = value.New(text), info.ModTime()
	}
	return a
}

var tooLarge = &source.Failure{Reason: "it has more than 1 MiB, and a Secret can't hold more", Remedy: "keep it elsewhere"}

// judge says what is wrong with a file, whatever it holds.
func (s *Source) judge(ref source.Ref, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return &source.Failure{Reason: s.file(ref) + " is not a regular file", Remedy: "it must be a regular file, or a link to one in the directory"}
	case safefile.ForOthers(info, 0o077):
		return &source.Failure{
			Code: plan.CodeFileMode, Remedy: safefile.HintClose("600", s.file(ref), s.module),
			Reason: fmt.Sprintf("%s has mode %04o, so users other than its owner may open it", s.file(ref), info.Mode().Perm()),
		}
	case info.Size() == 0:
		return source.ErrAbsent
	}
	return nil
}

// reason explains why a file can't be opened.
func (s *Source) reason(root *os.Root, ref source.Ref, err error) error {
	info, lstat := root.Lstat(name(ref))
	link := lstat == nil && info.Mode()&fs.ModeSymlink != 0
	if errors.Is(err, fs.ErrNotExist) && lstat != nil {
		return source.ErrAbsent
	}
	if link && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP) && !errors.Is(err, fs.ErrPermission) {
		return &source.Failure{
			Reason: s.file(ref) + " is a link that leads out of the directory",
			Remedy: "put the file itself there, or a link to one in the directory",
		}
	}
	reason, hint := safefile.Explain(s.file(ref), err)
	return &source.Failure{Reason: "cannot open " + s.file(ref) + ": " + reason, Remedy: cmp.Or(hint, "it must be a file that you may read"), Unreadable: true}
}

// sweep removes what killed processes have left of new contents, also of those
// in the directory that links lead to.
func (s *Source) sweep(refs []source.Ref) {
	dir, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return
	}
	var files []string
	for _, ref := range refs {
		files = append(files, s.file(ref))
		target, err := safefile.Follow(s.file(ref))
		if rel, apart := filepath.Rel(dir, target); err == nil && apart == nil && filepath.IsLocal(rel) {
			files = append(files, target)
		}
	}
	safefile.Sweep(files...)
}

// unwritable explains an error of the operating system.
func (s *Source) unwritable(err error) error {
	if errors.Is(err, safefile.ErrUnsure) {
		return &source.Failure{Reason: err.Error(), Remedy: "check the disk", Unsure: true}
	}
	reason, hint := safefile.Explain(s.dir, err)
	return &source.Failure{Reason: "it cannot be written: " + reason, Remedy: cmp.Or(hint, "the directory "+s.dir+" must be one that you may write to")}
}

func name(ref source.Ref) string { return cmp.Or(ref.Remote.Name, ref.Input) }

func (s *Source) file(ref source.Ref) string { return filepath.Join(s.dir, name(ref)) }
