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

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Source reads inputs from the environment of the process, and what is not
// there from a dotenv file, which it also writes. It knows inputs by their
// names, and does not look at their remote ones.
//
// What the file says is what POSIX sh, Docker Compose, Node's dotenv and
// python-dotenv agree on; see parse. A file that does not exist has no values.
// One that others than its owner may open, that is not a regular file or has a
// line on which they do not agree is an error for all inputs, also for those in
// the environment.
//
// Names that every shell sets ([everyShell]) are not looked up in the environment
// of the process, unless the contract says so.
type Source struct {
	file   string
	module string // where a hint may tell to change a file; empty is anywhere
	shared string // another that counted before file did: what it alone has is told
	always *bool  // what the contract says of the process environment
	lookup func(name string) (string, bool)
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Keeper = (*Source)(nil)
	_ source.Lister = (*Source)(nil)
)

// New returns the source of the dotenv file of s, whose name is absolute, under
// the environment that lookup knows, which is [os.LookupEnv] but in tests.
func New(s plan.Source, lookup func(string) (string, bool)) *Source {
	shared := s.Shared
	if s.FromShared {
		shared = ""
	}
	return &Source{file: s.At(), shared: shared, always: s.ProcessEnv, lookup: lookup}
}

// Within has hints of s tell to change no file outside of a module.
func (s *Source) Within(module string) *Source {
	s.module = module
	return s
}

// everyShell are the names that a login shell, POSIX
// (https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html), a
// desktop session or a container sets for purposes of its own.
var everyShell = map[string]bool{
	"USER": true, "LOGNAME": true, "USERNAME": true, "HOME": true, "PATH": true, "PWD": true, "OLDPWD": true, "SHELL": true,
	"SHLVL": true, "TERM": true, "COLORTERM": true, "LANG": true, "LANGUAGE": true, "LC_ALL": true, "LC_CTYPE": true,
	"HOST": true, "HOSTNAME": true, "HOSTTYPE": true, "MACHTYPE": true, "OSTYPE": true, "UID": true, "EUID": true, "GID": true,
	"GROUPS": true, "MAIL": true, "EDITOR": true, "VISUAL": true, "PAGER": true, "DISPLAY": true, "TZ": true, "TMPDIR": true,
	"TMP": true, "TEMP": true, "IFS": true, "PS1": true, "COLUMNS": true, "LINES": true, "SSH_AUTH_SOCK": true, "_": true,
}

// process returns the value of name in the environment of the process, as far as
// it counts.
func (s *Source) process(name string) string {
	if s.always != nil && !*s.always || s.always == nil && everyShell[name] {
		return ""
	}
	val, _ := s.lookup(name)
	return val
}

// Read implements source.Source. An answer's Changed is always zero: the time
// of a file says nothing about one of its values.
func (s *Source) Read(_ context.Context, refs []source.Ref) []source.Answer {
	answers := make([]source.Answer, len(refs))
	s.sweep()
	d, err := s.read()
	left := s.left()
	for i, ref := range refs {
		if err != nil {
			answers[i] = source.Answer{Err: err}
			continue
		}
		answers[i] = s.find(d, ref.Input)
		answers[i].Warnings = append(answers[i].Warnings, d.differ...)
		if a := left[ref.Input]; a.value != "" && errors.Is(answers[i].Err, source.ErrAbsent) {
			answers[i].Known = filepath.Base(s.shared)
		}
	}
	return answers
}

// left returns what the file has that counted before. One that can't be read has
// nothing: it counts for nothing here, but for what it may remind of.
func (s *Source) left() map[string]assignment {
	if s.shared == "" {
		return nil
	}
	d, err := (&Source{file: s.shared}).read()
	if err != nil {
		return nil
	}
	return d.values
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
	if err := s.overruled(ref); err != nil {
		return source.Answer{}, err
	}
	return s.set(ctx, ref, v, true)
}

// overruled says that what would be written to the file would not count.
func (s *Source) overruled(ref source.Ref) error {
	if s.process(ref.Input) == "" {
		return nil
	}
	return &source.Failure{
		Reason: "the process environment sets it, over the file",
		Remedy: "unset " + ref.Input + " in the environment",
	}
}

func (s *Source) set(ctx context.Context, ref source.Ref, v value.Value, replace bool) (source.Answer, error) {
	return s.edit(ctx, func(d *dotenv) (*dotenv, source.Answer, error) {
		if a := s.find(d, ref.Input); a.Err == nil && !replace {
			return nil, a, nil
		}
		return s.assign(d, ref.Input, v)
	})
}

// assign sets a name in d.
func (s *Source) assign(d *dotenv, name string, v value.Value) (*dotenv, source.Answer, error) {
	d, line, ok := d.set(name, string(v.Reveal()))
	if !ok {
		return nil, source.Answer{}, &source.Failure{
			Reason: "there is no way to write it that all readers of dotenv files read the same",
			Remedy: "leave out ', \", \\, $ and ` from what it is made from; or keep it at another source, such as one of kind files",
		}
	}
	return d, source.Answer{Value: v, Origin: s.origin(line)}, nil
}

// edit puts what change makes of the file in its place. It leaves the file alone
// if that is nothing.
func (s *Source) edit(ctx context.Context, change func(*dotenv) (*dotenv, source.Answer, error)) (source.Answer, error) {
	file, err := safefile.Follow(s.file)
	if err != nil {
		return source.Answer{}, s.trouble("open", err)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o600) // there must be one to lock
	if err != nil {
		return source.Answer{}, s.trouble("write", err)
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
	d, a, err := change(d)
	if d == nil || err != nil {
		return a, err
	}
	if err := safefile.Replace(file, []byte(d.text), 0o600); errors.Is(err, safefile.ErrUnsure) {
		return source.Answer{}, &source.Failure{Reason: err.Error(), Remedy: "check the disk", Unsure: true}
	} else if err != nil {
		return source.Answer{}, s.trouble("write", err)
	}
	return a, nil
}

// trouble explains an error of the operating system, of an attempt to do something
// with the file.
func (s *Source) trouble(do string, err error) *source.Failure {
	reason, hint := safefile.Explain(s.file, err)
	return &source.Failure{Reason: "cannot " + do + " " + s.file + ": " + reason, Remedy: hint}
}

// find answers for the input called name.
func (s *Source) find(d *dotenv, name string) source.Answer {
	a, val := d.values[name], s.process(name)
	switch {
	case val != "":
		answer := source.Answer{Value: value.New([]byte(val)), Origin: processEnvironment}
		if a.value != "" && a.value != val {
			answer.Warnings.Warnf(plan.CodeTwoPlaces, []plan.Pos{{File: s.file, Line: a.line, Column: 1}},
				"unset "+name+" in the process environment, or remove the line; `environment: false` at the source uses only the file",
				"%s is taken from the process environment, and %s has another value", name, s.origin(a.line))
			answer.Warnings[0].Mask = true
		}
		return answer
	case a.value != "":
		return source.Answer{Value: value.New([]byte(a.value)), Origin: s.origin(a.line)}
	}
	return source.Answer{Err: source.ErrAbsent, Origin: s.place(d, name)}
}

const processEnvironment = "the process environment"

// place says where to put an input that is absent.
func (s *Source) place(d *dotenv, name string) string {
	place := filepath.Base(s.file)
	if a, ok := d.values[name]; ok {
		place = s.origin(a.line) + ", where it is empty,"
	}
	if d.missing {
		place = s.file + ", which does not exist,"
	}
	if set, _ := s.lookup(name); s.always == nil && everyShell[name] && set != "" {
		return place + " (the process environment has one, as every shell does; it is used with `environment: true` at the source)"
	}
	if s.always != nil && !*s.always {
		return place
	}
	return place + " or " + processEnvironment
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
		_, link := safefile.Follow(s.file)
		if link == nil {
			return &dotenv{values: map[string]assignment{}, missing: true}, nil
		}
		err = link
	}
	if err != nil {
		f := s.trouble("open", err)
		ds.Errorf(plan.CodeSourceRead, nil, cmp.Or(f.Remedy, "it must be a file that you may read"), "%s", f.Reason)
		return nil, ds
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		ds.Errorf(plan.CodeSourceRead, nil, "", "cannot read %s: %v", s.file, safefile.Reason(err))
		return nil, ds
	case !info.Mode().IsRegular():
		ds.Errorf(plan.CodeSourceRead, nil, "a dotenv file must be a regular one, or a link to one", "%s is not a regular file", s.file)
		return nil, ds
	case safefile.ForOthers(info, 0o077):
		ds.Errorf(plan.CodeFileMode, nil, safefile.HintClose("600", s.file, s.module),
			"%s has mode %04o, so users other than its owner may open it", s.file, info.Mode().Perm())
		return nil, ds
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(text) > maxFile {
		ds.Errorf(plan.CodeSourceRead, nil, "name a file of NAME=value lines", "%s is larger than %d MiB", s.file, maxFile>>20)
		return nil, ds
	}
	if err != nil {
		ds.Errorf(plan.CodeSourceRead, nil, "", "cannot read %s: %v", s.file, safefile.Reason(err))
		return nil, ds
	}
	d, ds := parse(s.file, string(text))
	return d, ds.Err()
}

// sweep removes what a killed process has left of a new content of the file.
func (s *Source) sweep() {
	if file, err := safefile.Follow(s.file); err == nil {
		safefile.Sweep(file)
	}
}
