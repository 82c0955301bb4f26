// Package env is the source that every machine has: the process environment,
// laid over a dotenv file that only its owner may read.
package env

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
)

// Source reads inputs from the environment variable of the same name, or else
// from a dotenv file. An empty value is absent in either. The file need not
// exist; if it does, it must be a regular file with mode 0600 or stricter.
type Source struct {
	file   string
	lookup func(string) (string, bool)
}

// New returns the source over the dotenv file and lookup, which is os.LookupEnv
// outside of tests.
func New(file string, lookup func(string) (string, bool)) *Source {
	return &Source{file: file, lookup: lookup}
}

// Read implements source.Source.
func (s *Source) Read(_ context.Context, refs []source.Ref) []source.Answer {
	answers := make([]source.Answer, len(refs))
	d, err := s.load()
	for i, ref := range refs {
		answers[i] = s.answer(d, err, ref)
	}
	return answers
}

func (s *Source) answer(d *dotenv, fileErr error, ref source.Ref) source.Answer {
	if v, ok := s.lookup(ref.Input); ok && v != "" {
		return source.Answer{Value: value.New([]byte(v)), Origin: "the process environment"}
	}
	if fileErr != nil {
		return source.Answer{Err: fileErr}
	}
	if a, ok := d.get(ref.Input); ok && a.value.Len() > 0 {
		return source.Answer{Value: a.value, Origin: s.origin(a.line)}
	}
	return source.Answer{Origin: s.base() + " or the process environment", Err: source.ErrAbsent}
}

func (s *Source) base() string           { return filepath.Base(s.file) }
func (s *Source) origin(line int) string { return fmt.Sprintf("%s:%d", s.base(), line) }

// List implements source.Lister. It lists the file: the process environment is
// full of names that are none of ours.
func (s *Source) List(context.Context) ([]source.Listed, error) {
	d, err := s.load()
	if err != nil {
		return nil, err
	}
	var names []source.Listed
	for _, a := range d.assignments {
		names = append(names, source.Listed{Name: a.name, Origin: s.origin(a.line)})
	}
	return names, nil
}

// Create implements source.Writer. It writes the file anew beside the old one
// and renames it into place, under a lock on the directory; all lines but the
// one concerned stay as they are.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	file := s.file
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // the link stays a link
	}
	unlock, err := dirlock.Lock(ctx, filepath.Dir(file), nil)
	if err != nil {
		return source.Answer{}, err
	}
	defer unlock()

	d, err := s.load()
	if a := s.answer(d, err, ref); !errors.Is(a.Err, source.ErrAbsent) {
		return a, a.Err
	}
	line, err := d.set(ref.Input, v)
	if err != nil {
		return source.Answer{}, err
	}
	// The temporary file holds secrets too: it stands in the same directory,
	// which .gitignore covers, and is 0600 from the first byte.
	err = renameio.WriteFile(file, d.bytes(), 0o600, renameio.WithTempDir(filepath.Dir(file)), renameio.IgnoreUmask())
	if err != nil {
		return source.Answer{}, fmt.Errorf("%s can't be written: %w", s.file, pathless(err))
	}
	// The new name must survive a crash as well as the bytes.
	if dir, err := os.Open(filepath.Dir(file)); err == nil {
		dir.Sync()
		dir.Close()
	}
	return source.Answer{Value: v, Origin: s.origin(line)}, nil
}

// pathless drops the name of the temporary file from err.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}

// maxFile is the size up to which a file is taken for a dotenv file.
const maxFile = 16 << 20

// load reads the file. Its errors are diagnostics, or wrap
// source.ErrUnreadable.
func (s *Source) load() (*dotenv, error) {
	info, err := os.Stat(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &dotenv{}, nil
	case err != nil:
		return nil, fmt.Errorf("%s can't be read: %w: %w", s.file, pathless(err), source.ErrUnreadable)
	}
	var ds plan.Diagnostics
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		ds.Errorf(plan.CodeSourceRead, nil, "name a file of NAME=value lines", "%s is not a regular file", s.file)
		return nil, ds
	case mode.Perm()&0o077 != 0:
		ds.Errorf(plan.CodeFileMode, nil, "chmod 600 "+s.file,
			"%s has mode %04o: others than its owner can get at the secrets in it", s.file, mode.Perm())
		return nil, ds
	case info.Size() > maxFile:
		ds.Errorf(plan.CodeSourceRead, nil, "name a file of NAME=value lines", "%s is larger than %d MiB", s.file, maxFile>>20)
		return nil, ds
	}
	b, err := os.ReadFile(s.file)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w: %w", s.file, pathless(err), source.ErrUnreadable)
	}
	d, ds := parse(b, s.file)
	if ds.HasErrors() {
		return nil, ds
	}
	return d, nil
}
