package source

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/git"
)

// Exposed says how Git has, or would take, the values that src keeps in plain
// text in the file system: "is tracked by Git", or "is not ignored by Git". It is
// empty if Git does neither, if there is no Git, or if it can't tell.
func Exposed(ctx context.Context, src plan.Source) string {
	at := PlainPlace(src)
	if at == "" {
		return ""
	}
	if target, err := filepath.EvalSymlinks(at); err == nil {
		at = target
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(at))
	if err != nil {
		return ""
	}
	file := filepath.Join(dir, filepath.Base(at))
	if src.Kind == plan.Files {
		file = filepath.Join(file, "VALUE") // for a rule may be about what is in the directory
	}
	if ignored, known := git.Ignored(ctx, file); ignored || !known {
		return ""
	}
	if runGit(ctx, dir, "ls-files", "--error-unmatch", "--", filepath.Base(at)) == 0 {
		return "is tracked by Git"
	}
	return "is not ignored by Git, which would add it"
}

// PlainPlace returns the file or directory in which src keeps values in plain
// text; empty is none. Whatever file a kind has of which nothing is known, it is
// taken for one.
func PlainPlace(src plan.Source) string {
	if kind, ok := plan.KindOf(src.Kind); ok && !kind.Plain {
		return ""
	}
	return cmp.Or(src.At(), src.Dir)
}

// holdsPlain reports whether there is such a place, and something in it perhaps.
func holdsPlain(src plan.Source) bool {
	_, err := os.Lstat(PlainPlace(src))
	return err == nil
}

// runGit runs a command of Git that only looks, and returns its exit code, or -1.
func runGit(ctx context.Context, dir string, args ...string) int {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := git.Command(ctx, dir, args...).Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// gitHint says what to do about an exposed file.
const gitHint = "add it to .gitignore; if it was committed, replace what it holds, and `git rm --cached` it"

// Unignored warns of the sources of p whose values Git has or would take: those
// that hold any, and those into which values would be generated.
func Unignored(ctx context.Context, p *plan.Plan) plan.Diagnostics {
	var ds plan.Diagnostics
	for _, src := range p.Sources {
		generates := false
		for _, in := range p.Inputs {
			generates = generates || in.Source == src.Name && in.Class == plan.Generated
		}
		if !holdsPlain(src) && !generates {
			continue
		}
		if how := Exposed(ctx, src); how != "" {
			ds.Warnf(plan.CodeInGit, src.Pos, gitHint, "%s, where source %s keeps its values in plain text, %s", PlainPlace(src), src.Name, how)
		}
	}
	return ds
}
