package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// TopLevel returns the root of the work tree that dir is in, as Git sees it.
func TopLevel(ctx context.Context, dir string) (string, error) {
	top, err := look(ctx, dir, "rev-parse", "--show-toplevel")
	return filepath.FromSlash(top), err
}

// WorkFiles returns the files of the work tree root that Git tracks, and those that
// it would add: it has neither seen nor was told to ignore them. Both are
// slash-separated, relative to root, and sorted.
func WorkFiles(ctx context.Context, root string) (tracked, others []string, err error) {
	for _, l := range []struct {
		into  *[]string
		flags []string
	}{{&tracked, []string{"--cached"}}, {&others, []string{"--others", "--exclude-standard"}}} {
		text, err := look(ctx, root, append([]string{"ls-files", "-z", "--full-name"}, l.flags...)...)
		if err != nil {
			return nil, nil, err
		}
		files := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
		slices.Sort(files)
		*l.into = slices.DeleteFunc(slices.Compact(files), func(f string) bool { return f == "" }) // a conflict has a file thrice
	}
	return tracked, others, nil
}

// Tracks reports whether Git tracks a file.
func Tracks(ctx context.Context, file string) bool {
	return Command(ctx, filepath.Dir(file), "--literal-pathspecs", "ls-files", "--error-unmatch", "--", filepath.Base(file)).Run() == nil
}

// Patch is what of a patch is told, in its order.
type Patch struct {
	// Commit begins what a commit adds to one of its parents, of which there are so
	// many; a merge comes once for each that it differs from.
	Commit func(hash string, parents int, message []byte)
	// File begins a file, slash-separated from the root of the repository.
	File func(path string)
	// Hunk begins lines that follow each other, at a line of the file as it is
	// afterwards.
	Hunk func(line int)
	// Text is the next piece of what is there afterwards, as a whole line or a part of
	// one with its line break; added tells whether it was not there before.
	Text func(b []byte, added bool)
}

// patchSettings are in the place of those of anyone who runs it that would change the
// form of a patch, or run a program.
var patchSettings = []string{"--no-replace-objects", "-c", "core.quotePath=true", "-c", "diff.suppressBlankEmpty=false", "-c", "diff.interHunkContext=0",
	"-c", "log.showSignature=false", "-c", "log.showRoot=true", "-c", "i18n.logOutputEncoding=UTF-8"}

// patchFlags make a patch that says all of what is added, to whatever file, and run
// nothing that the repository names. What is renamed counts as added.
var patchFlags = []string{"--patch", "--text", "--unified=3", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
	"--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none", "--no-relative"}

// Staged tells what would be committed: how the index differs from HEAD, or from
// nothing before the first commit. It is the index that Git has made for a commit of
// some files alone, if a hook of that commit asks.
func Staged(ctx context.Context, root string, p Patch) error {
	cmd := Command(ctx, root, slices.Concat(patchSettings, []string{"diff", "--cached"}, patchFlags)...)
	if index := os.Getenv("GIT_INDEX_FILE"); index != "" {
		if abs, err := filepath.Abs(index); err == nil {
			cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+abs)
		}
	}
	return p.read(ctx, cmd)
}

// History tells what each commit of a range adds, as git log takes it, and its
// message.
func History(ctx context.Context, root, commits string, p Patch) error {
	if commits == "" || strings.HasPrefix(commits, "-") {
		return &Problem{fmt.Sprintf("%q is not a range of commits", commits), "write one as git log takes it, such as origin/main..HEAD, or HEAD for all before it"}
	}
	if _, err := look(ctx, root, "rev-list", "--max-count=1", "--end-of-options", commits, "--"); err != nil {
		if _, ok := errors.AsType[*Problem](err); ok || ctx.Err() != nil {
			return err
		}
		hint := "write one as git log takes it, such as origin/main..HEAD; `git branch --all` lists names"
		if shallow, _ := look(ctx, root, "rev-parse", "--is-shallow-repository"); shallow == "true" {
			hint = hintShallow
		}
		return &Problem{fmt.Sprintf("the repository has no commits %s", commits), hint}
	}
	return p.read(ctx, Command(ctx, root, slices.Concat(patchSettings, []string{"log", "--format=%x00%H %P%n%B%x00",
		"--diff-merges=separate", "--no-notes", "--no-decorate"}, patchFlags, []string{"--end-of-options", commits, "--"})...))
}

// read runs a command that prints a patch.
func (p Patch) read(ctx context.Context, cmd *exec.Cmd) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return problem(err, "")
	}
	err = p.parse(bufio.NewReaderSize(out, 64<<10))
	if err != nil {
		cmd.Process.Kill()
	}
	if failed := cmd.Wait(); failed != nil {
		err = problem(ended(ctx, failed), errs.String())
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = &Problem{"Git could not show what was changed", "a partial clone leaves files out, and nothing is fetched here: clone without --filter; or see what `git fsck` says"}
		}
	}
	return err
}

// errPatch is what a patch that Git would not print comes to.
var errPatch = &Problem{"what Git says was changed cannot be read", "see what `git fsck` says"}

// parse reads a patch. Lines outside of hunks that are none of these are of no
// interest.
func (p Patch) parse(in *bufio.Reader) error {
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case line[0] == 0:
			message, err := in.ReadBytes(0)
			if err != nil {
				return errPatch
			}
			hashes := strings.Fields(text[1:])
			if len(hashes) == 0 {
				return errPatch
			}
			p.Commit(hashes[0], len(hashes)-1, message[:len(message)-1])
		case strings.HasPrefix(text, "+++ "):
			name := strings.TrimSuffix(text[4:], "\t")
			if strings.HasPrefix(name, `"`) {
				if name, err = strconv.Unquote(name); err != nil { // Git quotes as C does, with octal digits
					return errPatch
				}
			}
			if name != "/dev/null" {
				p.File(strings.TrimPrefix(name, "b/"))
			}
		case strings.HasPrefix(text, "@@"):
			if err := p.hunk(in, text); err != nil {
				return err
			}
		}
	}
}

// hunk reads the lines below a header, @@ -FROM,COUNT +TO,COUNT @@.
func (p Patch) hunk(in *bufio.Reader, header string) error {
	fields := strings.Fields(header)
	if len(fields) < 4 {
		return errPatch
	}
	before, after, begin := 0, 0, 0
	for i, count := range []*int{&before, &after} {
		from, n, more := strings.Cut(fields[1+i][1:], ",")
		if !more {
			n = "1"
		}
		var err, wrong error
		begin, err = strconv.Atoi(from)
		if *count, wrong = strconv.Atoi(n); err != nil || wrong != nil {
			return errPatch
		}
	}
	p.Hunk(max(begin, 1))
	for before > 0 || after > 0 {
		sign, err := in.ReadByte()
		if err != nil {
			return errPatch
		}
		switch sign {
		case '+':
			after--
		case '-':
			before--
		case ' ':
			before, after = before-1, after-1
		case '\\': // No newline at end of file
		default:
			return errPatch
		}
		for {
			piece, err := in.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
				return err
			}
			if sign == '+' || sign == ' ' {
				p.Text(piece, sign == '+')
			}
			if err != bufio.ErrBufferFull {
				break
			}
		}
	}
	return nil
}
