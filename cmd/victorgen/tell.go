package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/program"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// teller runs the command that tells whatever else knows a value of the new one. The
// values reach it in files: they can be read more than once, in any language, and by
// whatever the command itself starts, which none of file descriptors is true of.
type teller struct {
	command     []string
	environment string
	variables   bool          // the values are in its environment, too
	timeout     time.Duration // for the command
	stderr      io.Writer
}

// Tell implements source.Tell.
func (t *teller) Tell(ctx context.Context, changed []source.Changed) error {
	dir, release, err := privateDir(ctx)
	if err != nil {
		return fmt.Errorf("a directory for the values can't be made: %v: %w", err, source.ErrNotBegun)
	}
	defer release()
	var names []string
	out := &redacting{w: t.stderr}
	env := append(os.Environ(), "VICTORGEN_ENVIRONMENT="+t.environment, "VICTORGEN_VALUES="+dir)
	for _, c := range changed {
		names = append(names, c.Input.Name)
		for _, which := range []struct {
			name string
			v    []byte
		}{{"old", c.Old.Reveal()}, {"new", c.New.Reveal()}} {
			if len(which.v) == 0 {
				continue
			}
			out.hide(which.v)
			if err := writeNew(filepath.Join(dir, c.Input.Name+"."+which.name), which.v); err != nil {
				return fmt.Errorf("a value can't be written for the command: %v: %w", err, source.ErrNotBegun)
			}
			if !t.variables {
				continue
			}
			if bytes.IndexByte(which.v, 0) >= 0 {
				return fmt.Errorf("a value of %s has a zero byte, which no variable can hold; leave out --values-in-env: %w", c.Input.Name, source.ErrNotBegun)
			}
			env = append(env, "VICTORGEN_"+strings.ToUpper(which.name)+"_"+c.Input.Name+"="+string(which.v))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.command[0], t.command[1:]...)
	cmd.Env = append(env, "VICTORGEN_INPUTS="+strings.Join(names, " "))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = grace / 2 // before main gives up
	err = program.Run(cmd)
	if err != nil && cmd.Process == nil {
		return fmt.Errorf("%s can't be started: %v: %w", t.command[0], safefile.Reason(err), source.ErrNotBegun)
	}
	out.flush()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s has not ended within %v, and was killed", t.command[0], t.timeout)
	case ctx.Err() != nil:
		return fmt.Errorf("%s was interrupted", t.command[0])
	}
	return fmt.Errorf("%s has failed (%v)", t.command[0], err)
}

func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return safefile.Reason(err)
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// privatePrefix begins the names of the directories that values stand in for a command.
const privatePrefix = "victorgen-values-"

// privateBases are where [privateDir] makes a directory: in memory, if the system has a
// place for that.
func privateBases() []string {
	return slices.DeleteFunc([]string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm", os.TempDir()}, func(base string) bool { return !filepath.IsAbs(base) })
}

// privateDir makes a directory that no one else can open, and locks it, until release
// removes it.
func privateDir(ctx context.Context) (dir string, release func(), err error) {
	for _, base := range privateBases() {
		if dir, err = os.MkdirTemp(base, privatePrefix); err != nil {
			continue
		}
		unlock, err := dirlock.Lock(ctx, dir)
		if err != nil {
			os.RemoveAll(dir)
			return "", nil, err
		}
		return dir, func() { os.RemoveAll(dir); unlock() }, nil
	}
	return "", nil, safefile.Reason(err)
}

// sweepPrivate removes the private directories of processes that were killed: no one has
// a lock on them. One that was made a moment ago may be locked the next.
func sweepPrivate() {
	once, cancel := context.WithCancel(context.Background())
	cancel() // who has a lock is not waited for
	var left []string
	for _, base := range privateBases() {
		dirs, _ := filepath.Glob(filepath.Join(base, privatePrefix+"*"))
		left = append(left, dirs...)
	}
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if unlock, err := dirlock.Lock(once, dir); err == nil {
			os.RemoveAll(dir)
			unlock()
		}
	}
}

// redacting passes on what a command prints, line by line, without the values that it
// was given. It may be used concurrently.
type redacting struct {
	mu      sync.Mutex
	w       io.Writer
	hidden  [][]byte
	longest int
	buf     []byte
}

// shownUpTo is the length of what is too short to be told from other text.
const shownUpTo = 5

// hide lets no value through, nor the forms in which programs print one.
func (r *redacting) hide(v []byte) {
	forms := [][]byte{
		v, []byte(base64.StdEncoding.EncodeToString(v)), []byte(base64.RawStdEncoding.EncodeToString(v)), []byte(base64.URLEncoding.EncodeToString(v)), []byte(base64.RawURLEncoding.EncodeToString(v)),
		[]byte(hex.EncodeToString(v)), []byte(strings.ToUpper(hex.EncodeToString(v))), []byte(url.QueryEscape(string(v))), []byte(url.PathEscape(string(v))),
		bytes.ReplaceAll(v, []byte("'"), []byte("''")), bytes.ReplaceAll(bytes.ReplaceAll(v, []byte(`\`), []byte(`\\`)), []byte(`"`), []byte(`\"`)),
	}
	for _, form := range forms {
		for line := range bytes.Lines(form) {
			if line = bytes.TrimRight(line, "\r\n"); len(line) > shownUpTo && !slices.ContainsFunc(r.hidden, func(h []byte) bool { return bytes.Equal(h, line) }) {
				r.hidden = append(r.hidden, line)
				r.longest = max(r.longest, len(line))
			}
		}
	}
	slices.SortFunc(r.hidden, func(a, b []byte) int { return len(b) - len(a) })
}

// Write implements io.Writer.
func (r *redacting) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf = append(r.buf, b...)
	if end := bytes.LastIndexByte(r.buf, '\n') + 1; end > 0 {
		r.pass(end)
	}
	if len(r.buf) > 64<<10+r.longest { // of a line without an end, what can't be in a value that has begun
		r.buf = r.redacted(r.buf)
		r.pass(max(0, len(r.buf)-r.longest))
	}
	return len(b), nil // a command does not fail for what no one reads
}

func (r *redacting) pass(end int) {
	r.w.Write(r.redacted(r.buf[:end]))
	r.buf = slices.Clone(r.buf[end:])
}

func (r *redacting) redacted(b []byte) []byte {
	for _, h := range r.hidden {
		b = bytes.ReplaceAll(b, h, []byte("[redacted]"))
	}
	return b
}

// flush passes on what has no end.
func (r *redacting) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buf) > 0 {
		r.buf = append(r.buf, '\n')
		r.pass(len(r.buf))
	}
}
