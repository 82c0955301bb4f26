package git

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // by which Git tells what a file is
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/internal/program"
)

// Revision is a commit, of which files are read from Git's own store: no index,
// branch or file of the work tree is touched, and no filter or program that the
// repository names runs.
type Revision struct {
	Name   string // as it was asked for
	Commit string // its hash
	Root   string // absolute directory of the work tree
}

// Entry is a file of a revision, or a link.
type Entry struct {
	Path string // slash-separated, from the root of the repository
	Link bool   // what it holds is where it leads
	hash string
}

// Problem is why a revision cannot be read, and what to do about it. It quotes
// nothing of what Git says, which may be a part of a file.
type Problem struct {
	What string
	Hint string
}

func (p *Problem) Error() string { return p.What }

// sinceBase is what a revision ends in that stands for the commit in which a branch
// left it, as git diff writes it.
const sinceBase = "..."

// FindRevision finds the commit called name of the repository that dir is in. A
// name that ends in ... is the last commit that it has in common with HEAD.
func FindRevision(ctx context.Context, dir, name string) (*Revision, error) {
	text, err := look(ctx, dir, "rev-parse", "--show-toplevel", "--is-shallow-repository")
	if err != nil {
		return nil, err
	}
	top, more, _ := strings.Cut(text, "\n")
	shallow := strings.TrimSpace(more) == "true"
	r := &Revision{Name: name, Root: filepath.FromSlash(top)}
	base, since := strings.CutSuffix(name, sinceBase)
	if r.Commit, err = r.commit(ctx, base, shallow); err != nil || !since {
		return r, err
	}
	if r.Commit, err = look(ctx, top, "merge-base", "HEAD", r.Commit); err != nil {
		if _, ok := errors.AsType[*Problem](err); ok {
			return nil, err
		}
		p := &Problem{fmt.Sprintf("HEAD and %s have no commit in common here", base), "name a revision that the branch was made from"}
		if shallow {
			p.Hint = hintShallow
		}
		return nil, p
	}
	return r, nil
}

const hintShallow = "this clone is shallow: `git fetch --unshallow`, or `fetch-depth: 0` for actions/checkout and `GIT_DEPTH: 0` at GitLab"

// commit returns the hash of a commit by its name.
func (r *Revision) commit(ctx context.Context, name string, shallow bool) (string, error) {
	if name == "" || strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return "", &Problem{fmt.Sprintf("%q is not a revision", name), "write HEAD, a branch such as origin/main, a tag or a commit"}
	}
	commit, err := look(ctx, r.Root, "rev-parse", "--verify", "--quiet", name+"^{commit}")
	if err == nil {
		return commit, nil
	}
	if _, ok := errors.AsType[*Problem](err); ok {
		return "", err
	}
	p := &Problem{fmt.Sprintf("the repository has no revision %s", name), "`git branch --all` and `git tag` list names"}
	remote, branch, isRemote := strings.Cut(name, "/")
	switch {
	case name == "HEAD":
		p.What, p.Hint = "the repository has no commit yet", "commit first; or compare with a directory: --from ./DIR"
	case shallow:
		p.Hint = hintShallow
	case isRemote:
		p.Hint = fmt.Sprintf("`git fetch %s %s`; or %s", remote, branch, p.Hint)
	}
	return "", p
}

// Files returns the files of r at a path and below; none if there is nothing. Paths
// are slash-separated, from the root of the repository, which is ".". Submodules are
// no files.
func (r *Revision) Files(ctx context.Context, path string) ([]Entry, error) {
	args := []string{"--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", r.Commit}
	if path != "." {
		args = append(args, "--", path)
	}
	text, err := look(ctx, r.Root, args...)
	if err != nil {
		return nil, incomplete(r, err)
	}
	var all []Entry
	for line := range strings.SplitSeq(text, "\x00") {
		about, path, ok := strings.Cut(line, "\t")
		fields := strings.Fields(about)
		if ok && len(fields) == 3 && fields[1] == "blob" {
			all = append(all, Entry{Path: path, Link: fields[0] == "120000", hash: fields[2]})
		}
	}
	return all, nil
}

// Read calls got with what each entry holds, in their order. What is larger than
// limit is nil.
func (r *Revision) Read(ctx context.Context, entries []Entry, limit int64, got func(Entry, []byte) error) error {
	if len(entries) == 0 {
		return nil
	}
	var asked bytes.Buffer
	for _, e := range entries {
		fmt.Fprintln(&asked, e.hash)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := Command(ctx, r.Root, "--no-replace-objects", "cat-file", "--batch")
	cmd.Stdin = &asked
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return problem(err, "")
	}
	defer cmd.Wait()
	defer cancel()
	in := bufio.NewReader(out)
	for _, e := range entries {
		head, err := in.ReadString('\n')
		fields := strings.Fields(head)
		if err != nil || len(fields) != 3 {
			return incomplete(r, ended(ctx, err))
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || size < 0 {
			return incomplete(r, err)
		}
		var data []byte
		if size > limit {
			_, err = io.CopyN(io.Discard, in, size)
		} else {
			data = make([]byte, size)
			_, err = io.ReadFull(in, data)
		}
		if err == nil {
			_, err = in.Discard(1)
		}
		if err != nil {
			return incomplete(r, ended(ctx, err))
		}
		if err := got(e, data); err != nil {
			return err
		}
	}
	return nil
}

// ended is why a command ended, if that was not its own doing.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// incomplete says that something of a revision is not there, which is so in a clone
// that has left it out.
func incomplete(r *Revision, err error) error {
	if _, ok := errors.AsType[*Problem](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &Problem{fmt.Sprintf("the repository has not all files of %s", r.Name),
		"a partial clone leaves them out, and nothing is fetched here: clone without --filter, or `git fetch --refetch --no-filter`"}
}

// look runs a command of Git that only looks, and returns what it prints, without
// the line break at its end. An error that is no [Problem] is that of the command.
func look(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := Command(ctx, dir, append([]string{"--no-replace-objects"}, args...)...)
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", problem(ended(ctx, err), errs.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// problem says in words of its own why Git could do nothing at all.
func problem(err error, said string) error {
	refused, isRefused := errors.AsType[*program.Refused](err)
	switch {
	case isRefused:
		return &Problem{refused.Error(), program.Remedy}
	case errors.Is(err, exec.ErrNotFound):
		return &Problem{"the program git is not installed", "install it; or compare with a directory: --from ./DIR"}
	case strings.Contains(said, "not a git repository"):
		return &Problem{"this is not a Git repository", "run it in one; or compare with a directory: --from ./DIR"}
	case strings.Contains(said, "must be run in a work tree"):
		return &Problem{"the repository has no work tree here", "run it in a work tree; or compare with a directory: --from ./DIR"}
	case strings.Contains(said, "dubious ownership"):
		return &Problem{"the repository belongs to another user, and Git refuses to read it",
			"if it is yours: `git config --global --add safe.directory DIR`, with its directory"}
	}
	return err
}

// Names returns the branches and tags of the repository that dir is in, for
// completion.
func Names(ctx context.Context, dir string) []string {
	text, _ := look(ctx, dir, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
	return append([]string{"HEAD"}, strings.Fields(text)...)
}

// Is reports whether the file is what data is, or the link leads to what data says:
// byte for byte, whatever filters the repository names.
func (e Entry) Is(data []byte) bool {
	var h hash.Hash = sha1.New()
	if len(e.hash) == hex.EncodedLen(sha256.Size) {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)) == e.hash
}

// Present returns the files of the work tree by their paths, slash-separated from
// its root: those that Git knows, and those that it does not but would add; with
// ignored, those that it would not, too.
func (r *Revision) Present(ctx context.Context, ignored bool) ([]string, error) {
	args := []string{"ls-files", "--cached", "--others", "-z", "--full-name"}
	if !ignored {
		args = append(args, "--exclude-standard")
	}
	text, err := look(ctx, r.Root, args...)
	if err != nil {
		return nil, incomplete(r, err)
	}
	return slices.DeleteFunc(strings.Split(text, "\x00"), func(file string) bool { return file == "" }), nil
}
