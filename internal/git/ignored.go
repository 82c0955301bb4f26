package git

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// answerTime is how long one question may take, of a repository on a slow disk.
const answerTime = 10 * time.Second

// Together returns a context in which all calls of [Ignored] about a work tree are
// answered by one Git, which reads the repository once. End ends it.
func Together(ctx context.Context) (_ context.Context, end func()) {
	s := &session{ctx: ctx, trees: map[string]*ignores{}}
	return context.WithValue(ctx, sessionKey{}, s), s.end
}

type sessionKey struct{}

type session struct {
	sync.Mutex
	ctx   context.Context // of all questions: one that is no longer waited for must not end the others' Git
	trees map[string]*ignores
}

func (s *session) end() {
	s.Lock()
	defer s.Unlock()
	for _, i := range s.trees {
		i.Lock()
		i.end()
		i.Unlock()
	}
}

// Ignored reports whether Git passes over file, a path without links: it is ignored,
// and not tracked. Known is false if Git can't tell, if there is none, or no work tree.
func Ignored(ctx context.Context, file string) (ignored, known bool) {
	top, ok := Find(filepath.Dir(file))
	if !ok {
		return false, false
	}
	s, together := ctx.Value(sessionKey{}).(*session)
	if !together {
		ctx, end := Together(ctx)
		defer end()
		return Ignored(ctx, file)
	}
	s.Lock()
	i := s.trees[top]
	if i == nil {
		i = &ignores{ctx: s.ctx, top: top}
		s.trees[top] = i
	}
	s.Unlock()
	return i.ask(file)
}

// ignores is a `git check-ignore` that answers one question after the other:
// https://git-scm.com/docs/git-check-ignore#Documentation/git-check-ignore.txt---stdin
type ignores struct {
	sync.Mutex
	ctx context.Context
	top string // its work tree
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (i *ignores) ask(file string) (ignored, known bool) {
	i.Lock()
	defer i.Unlock()
	if i.cmd == nil && i.start() != nil {
		return false, false
	}
	defer i.bound()()
	ignored, err := i.answer(file)
	if err != nil { // it has ended, for it does so at what it can't answer
		i.end()
	}
	return ignored, err == nil
}

func (i *ignores) start() error {
	cmd := Command(i.ctx, i.top, "check-ignore", "--stdin", "-z", "--verbose", "--non-matching")
	cmd.Env = append(cmd.Env, "GIT_FLUSH=1") // after each answer
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	i.cmd, i.in, i.out = cmd, in, bufio.NewReader(out)
	return nil
}

// answer asks and reads the four fields of an answer: the file, the line and the
// pattern that decide, which are empty if none does, and the path. A pattern that says
// not to ignore begins with an exclamation mark.
func (i *ignores) answer(file string) (ignored bool, err error) {
	if _, err := io.WriteString(i.in, file+"\x00"); err != nil {
		return false, err
	}
	var fields [4]string
	for n := range fields {
		if fields[n], err = i.out.ReadString(0); err != nil {
			return false, err
		}
	}
	if fields[3] != file+"\x00" {
		return false, errors.New("the answer to another question")
	}
	pattern := strings.TrimSuffix(fields[2], "\x00")
	return pattern != "" && pattern[0] != '!', nil
}

// bound kills Git where it takes too long, until stop is called.
func (i *ignores) bound() (stop func() bool) {
	git := i.cmd.Process
	return time.AfterFunc(answerTime, func() { git.Kill() }).Stop
}

// end ends Git, if it runs, and waits for it.
func (i *ignores) end() {
	if i.cmd == nil {
		return
	}
	defer i.bound()()
	i.in.Close()
	io.Copy(io.Discard, i.out)
	i.cmd.Wait()
	i.cmd = nil
}
