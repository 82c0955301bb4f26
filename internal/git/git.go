// Package git asks Git about a repository that may be anyone's: nothing that its
// configuration names is run, and nothing of it is changed.
package git

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/victor-ai/victorgen/internal/program"
)

// Dir is the name of the directory, or the file, that makes a work tree of the one
// that it is in.
const Dir = ".git"

// Find returns the work tree that dir is in, if it is in one. It runs no Git.
func Find(dir string) (tree string, ok bool) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, Dir)); err == nil {
			return at, true
		}
		if at == filepath.Dir(at) {
			return "", false
		}
	}
}

// WorkTree returns the work tree that dir is in, or else dir. It runs no Git.
func WorkTree(dir string) string {
	if tree, ok := Find(dir); ok {
		return tree
	}
	return dir
}

// Command returns a command of Git that only looks, in dir: it takes no lock,
// fetches nothing, asks no one, and passes over the variables that a hook has for
// another directory perhaps. The Git that it runs does not lie in the work tree.
func Command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	tree, _ := filepath.Abs(dir)
	path, err := program.Find("git", WorkTree(tree))
	cmd := exec.CommandContext(ctx, path, append([]string{
		"-C", dir, "-c", "core.fsmonitor=false", "-c", "safe.bareRepository=explicit", "-c", "protocol.allow=never",
	}, args...)...)
	cmd.Args[0], cmd.Err = "git", err
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX":
		default:
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0")
	return cmd
}
