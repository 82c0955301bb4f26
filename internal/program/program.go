// Package program finds the programs that are started by name. PATH may lead into a
// working tree, as with PATH=$PWD/tools:$PATH, and what is in there is someone's
// proposal; so entries of PATH that do are no part of it, for this process and for all
// that it starts, and neither are those that depend on the working directory.
//
// A name and a working tree come in, an absolute path goes out. [Run] runs what someone
// has made of it, as a program that can be ended with all that it has started.
package program

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Refused is a program that is there, and is not run.
type Refused struct {
	Path string // where it was found
	Why  string
}

// Remedy is what to do about a program that is refused.
const Remedy = "install it in a directory of PATH that is not in a working tree, and that others can't write"

func (r *Refused) Error() string { return r.Path + " is not run: " + r.Why }

// guarded is what was done to PATH.
var guarded struct {
	sync.Mutex
	seen    [2]string  // the last PATH, and the last tree
	removed []*Refused // the entries that are gone, each once
}

// Guard takes those entries out of the PATH of this process that are relative or lie in
// tree, also by way of links, or that others may exchange. For libraries start programs,
// too, such as those of clouds to log in, and programs start others.
func Guard(tree string) {
	guarded.Lock()
	defer guarded.Unlock()
	path, ok := os.LookupEnv("PATH")
	if !ok || guarded.seen == [2]string{path, tree} {
		return
	}
	root := identity(tree)
	var stays []string
	seen := seeing()
	for _, dir := range filepath.SplitList(path) {
		if _, refused := follow(dir, root, seen); refused == nil {
			stays = append(stays, dir)
		} else if refused.Path = dir; !slices.ContainsFunc(guarded.removed, func(r *Refused) bool { return *r == *refused }) {
			guarded.removed = append(guarded.removed, refused)
		}
	}
	if len(stays) == 0 { // for to be empty means the working directory
		stays = systemPath()
	}
	if kept := strings.Join(stays, string(os.PathListSeparator)); kept != path {
		os.Setenv("PATH", kept)
		path = kept
	}
	guarded.seen = [2]string{path, tree}
}

// Find returns the path, without links, of the program that a name means in PATH, or
// that an absolute path is. The error is exec.ErrNotFound, or a [*Refused] where the only
// ones there are lie in tree, or are such that others may write them. Calls [Guard].
func Find(name, tree string) (string, error) {
	Guard(tree)
	root := identity(tree)
	if filepath.Base(name) != name {
		real, refused := judge(name, root)
		if refused != nil {
			return "", refused
		}
		return real, nil
	}
	var first *Refused
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		for _, file := range files(name) {
			at := filepath.Join(dir, file)
			if !executable(at) {
				continue
			}
			real, refused := judge(at, root)
			if refused == nil {
				return real, nil
			}
			if first == nil {
				first = refused
			}
		}
	}
	guarded.Lock()
	defer guarded.Unlock()
	for _, r := range guarded.removed {
		for _, file := range files(name) {
			if at := filepath.Join(r.Path, file); first == nil && executable(at) {
				first = &Refused{at, r.Why}
			}
		}
	}
	if first != nil {
		return "", first
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// judge follows the path of a program, and refuses one that anyone may write.
func judge(path string, tree fs.FileInfo) (real string, refused *Refused) {
	if real, refused = follow(path, tree, seeing()); refused != nil {
		return "", refused
	}
	if info, err := os.Lstat(real); err == nil && anyone(info) {
		return "", &Refused{path, "anyone on this machine may write " + real}
	}
	return real, nil
}

// identity is what tells a tree, whatever it is called; nil is none. The root of the file
// system holds the system itself.
func identity(tree string) fs.FileInfo {
	if tree == "" || filepath.Clean(tree) == filepath.Dir(tree) {
		return nil
	}
	info, _ := os.Stat(tree)
	return info
}

// seeing returns an os.Lstat that sees a path once: those of PATH have most of their
// steps in common.
func seeing() func(path string) (fs.FileInfo, error) {
	type seen struct {
		info fs.FileInfo
		err  error
	}
	all := map[string]seen{}
	return func(path string) (fs.FileInfo, error) {
		s, ok := all[path]
		if !ok {
			s.info, s.err = os.Lstat(path)
			all[path] = s
		}
		return s.info, s.err
	}
}

// follow takes a path a step at a time, through all links, and returns where it ends. It
// is refused if a step lies in the tree, be it only a link there that leads out again;
// and if one is in a directory that anyone may write, and is neither root's nor ours.
// (A group that may write is the business of who made it; and there are machines on which
// anyone may write /usr/local/bin: https://github.com/rui314/setup-mold/issues/10.)
// What is not there, or can't be seen, is for anyone who uses it to complain of.
func follow(path string, tree fs.FileInfo, lstat func(string) (fs.FileInfo, error)) (real string, refused *Refused) {
	if !filepath.IsAbs(path) {
		return "", &Refused{path, "it depends on the working directory, where anyone could have put something"}
	}
	at, todo := steps(path)
	for links := 0; len(todo) > 0; {
		parent, err := lstat(at)
		if err != nil {
			return filepath.Join(at, filepath.Join(todo...)), nil
		}
		step := todo[0]
		todo = todo[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		if within(parent, tree) {
			return "", inTree(path, at)
		}
		next := filepath.Join(at, step)
		info, err := lstat(next)
		if err != nil {
			return filepath.Join(next, filepath.Join(todo...)), nil
		}
		if anyone(parent) && !trusted(info) {
			return "", &Refused{path, fmt.Sprintf("anyone on this machine may write %s, and %s belongs to another user", at, next)}
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > 40 { // as many as Linux follows: path_resolution(7)
			return filepath.Join(next, filepath.Join(todo...)), nil
		}
		more := strings.Split(filepath.ToSlash(target), "/")
		if filepath.IsAbs(target) {
			at, more = steps(target)
		}
		todo = append(more, todo...)
	}
	if info, err := lstat(at); err == nil && within(info, tree) {
		return "", inTree(path, at)
	}
	return at, nil
}

// steps returns where an absolute path begins, and what leads on from there.
func steps(path string) (root string, rest []string) {
	volume := filepath.VolumeName(path)
	return volume + string(filepath.Separator), strings.Split(filepath.ToSlash(path[len(volume):]), "/")
}

func within(dir, tree fs.FileInfo) bool { return tree != nil && os.SameFile(dir, tree) }

func inTree(path, tree string) *Refused {
	return &Refused{path, "it is in the working tree " + tree + ", where anyone who proposes a change can replace it"}
}
