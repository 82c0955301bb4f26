// Package env is the source of kind "env": the environment of the process,
// over a dotenv file.
package env

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
)

// Source reads inputs from the environment of the process, and what is not
// there from a dotenv file, which it also writes. It knows inputs by their
// names, and does not look at their remote ones.
//
// The file is read by go-envparse, but for one thing: a # that follows an
// unquoted value without a space is refused, for a shell takes it as a part of
// the value. A file that does not exist has no values. One that others than
// its owner may open, that is no regular file or has a line that cannot be
// understood is an error for all inputs, also for those in the environment.
type Source struct {
	file   string
	lookup func(name string) (string, bool)
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Writer = (*Source)(nil)
	_ source.Lister = (*Source)(nil)
)

// New returns the source of the dotenv file under the environment that lookup
// knows, which is [os.LookupEnv] but in tests. The file's name is absolute.
func New(file string, lookup func(string) (string, bool)) *Source {
	return &Source{file: file, lookup: lookup}
}

// Read implements source.Source. An answer's Changed is always zero: the time
// of a file says nothing about one of its values.
func (s *Source) Read(_ context.Context, refs []source.Ref) []source.Answer {
	answers := make([]source.Answer, len(refs))
	d, err := s.read()
	for i, ref := range refs {
		if err != nil {
			answers[i] = source.Answer{Err: err}
			continue
		}
		answers[i] = s.find(d, ref.Input)
	}
	return answers
}

// Prove implements source.Prover. There is nothing else to ask than the values.
func (s *Source) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	answers := s.Read(ctx, refs)
	for i := range answers {
		answers[i].Value = value.Value{}
	}
	return answers
}

// List implements source.Lister. It lists the names in the file alone, since
// the environment is full of names that concern others.
func (s *Source) List(context.Context) ([]source.Listed, error) {
	d, err := s.read()
	if err != nil {
		return nil, err
	}
	var names []source.Listed
	for name, a := range d.values {
		names = append(names, source.Listed{Name: name, Origin: s.origin(a.line)})
	}
	slices.SortFunc(names, func(a, b source.Listed) int { return cmp.Compare(d.values[a.Name].line, d.values[b.Name].line) })
	return names, nil
}

// Create implements source.Writer: it writes to the file, which it makes with
// mode 0600 if there is none, and keeps all else that stands in it. The file
// is locked meanwhile, not its directory, which a build may have locked; see
// package dirlock. A file that is a symbolic link stays one.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.set(ctx, ref, v, false)
}

// Replace implements source.Writer, as Create does. A value in the environment
// of the process cannot be replaced: it would still win over the file.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	if val, _ := s.lookup(ref.Input); val != "" {
		return source.Answer{}, &source.Failure{
			Reason: "the process environment sets it, over the file",
			Remedy: "unset " + ref.Input + " in the environment",
		}
	}
	return s.set(ctx, ref, v, true)
}

func (s *Source) set(ctx context.Context, ref source.Ref, v value.Value, replace bool) (source.Answer, error) {
	file, err := s.target()
	if err != nil {
		return source.Answer{}, err
	}
	f, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o600) // there must be one to lock
	if err != nil {
		return source.Answer{}, fmt.Errorf("cannot write %s: %w", s.file, reason(err))
	}
	f.Close()
	unlock, err := dirlock.Lock(ctx, file)
	if err != nil {
		return source.Answer{}, err
	}
	defer unlock()
	d, err := s.read()
	if err != nil {
		return source.Answer{}, err
	}
	if a := s.find(d, ref.Input); a.Err == nil && !replace {
		return a, nil
	}
	line, err := d.set(ref.Input, string(v.Reveal()))
	if err != nil {
		return source.Answer{}, err
	}
	if err := write(file, d.text()); err != nil {
		return source.Answer{}, fmt.Errorf("cannot write %s: %w", s.file, reason(err))
	}
	return source.Answer{Value: v, Origin: s.origin(line)}, nil
}

// find answers for the input called name.
func (s *Source) find(d *dotenv, name string) source.Answer {
	if val, _ := s.lookup(name); val != "" {
		return source.Answer{Value: value.New([]byte(val)), Origin: "the process environment"}
	}
	if a := d.values[name]; a.value != "" {
		return source.Answer{Value: value.New([]byte(a.value)), Origin: s.origin(a.line)}
	}
	return source.Answer{Err: source.ErrAbsent, Origin: filepath.Base(s.file) + " or the process environment"}
}

func (s *Source) origin(line int) string { return fmt.Sprintf("%s:%d", filepath.Base(s.file), line) }

// maxFile is the size up to which a file is taken for a dotenv file.
const maxFile = 16 << 20

// read reads the file. Its error is a plan.Diagnostics.
func (s *Source) read() (*dotenv, error) {
	var ds plan.Diagnostics
	// O_NONBLOCK: opening a named pipe must not wait for a writer.
	f, err := os.OpenFile(s.file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return &dotenv{values: map[string]assignment{}}, nil
	}
	if err != nil {
		ds.Errorf(plan.CodeSourceRead, nil, "it must be a file that you may read", "cannot open %s: %v", s.file, reason(err))
		return nil, ds
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		ds.Errorf(plan.CodeSourceRead, nil, "", "cannot read %s: %v", s.file, reason(err))
		return nil, ds
	case !info.Mode().IsRegular():
		ds.Errorf(plan.CodeSourceRead, nil, "a dotenv file must be a regular one, or a link to one", "%s is not a regular file", s.file)
		return nil, ds
	case info.Mode().Perm()&0o077 != 0:
		ds.Errorf(plan.CodeFileMode, nil, "chmod 600 "+s.file,
			"%s has mode %04o, so others than its owner may open it", s.file, info.Mode().Perm())
		return nil, ds
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(text) > maxFile {
		ds.Errorf(plan.CodeSourceRead, nil, "name a file of NAME=value lines", "%s is larger than %d MiB", s.file, maxFile>>20)
		return nil, ds
	}
	if err != nil {
		ds.Errorf(plan.CodeSourceRead, nil, "", "cannot read %s: %v", s.file, reason(err))
		return nil, ds
	}
	d, ds := parse(s.file, string(text))
	return d, ds.Err()
}

// target returns the file itself where s.file is a symbolic link.
func (s *Source) target() (string, error) {
	file, err := filepath.EvalSymlinks(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.file); err == nil {
			return "", fmt.Errorf("%s is a symbolic link to a file that does not exist", s.file)
		}
		return s.file, nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot open %s: %w", s.file, reason(err))
	}
	return file, nil
}

// write puts text in the place of file, so that after a crash there is either
// the old content or all of the new, and when it returns, the new.
func write(file, text string) error {
	dir := filepath.Dir(file)
	// In the same directory: not in the temporary one, which others can see.
	if err := renameio.WriteFile(file, []byte(text), 0o600, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	d, err := os.Open(dir) // renameio leaves it to the caller to make the rename last
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// reason is what err says but for the name of the file.
func reason(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
