package trust

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/git"
)

const (
	lockFile  = "victorgen.lock" // of a tree
	treesDir  = "deploy"         // of a module, where its trees are
	cueModDir = "cue.mod"
)

// Files reports the files that a contract names and may not: a file of a source
// or a certificate outside the Git work tree, or outside the module where there
// is no Git, also by way of links; and a source's file in a tree, where what is
// generated would be committed. They are warnings where reads says that no one
// reads the files of sources. Certificates are read by every verb.
func Files(p *plan.Plan, g Grant, reads bool) plan.Diagnostics {
	var ds plan.Diagnostics
	root := git.WorkTree(p.Module)
	for _, s := range used(p) {
		s.File = cmp.Or(s.At(), s.Dir) // of whatever kind
		if s.File == "" {
			continue
		}
		report := ds.Errorf
		if !reads {
			report = ds.Warnf
		}
		if real := resolve(s.File); !MayRead(p, s.File, g) {
			report(plan.CodeOutside, s.Pos, "keep it in the repository; or, if it is yours: --allow "+s.File,
				"the file of source %s, %s, is outside of %s%s", s.Name, s.File, root, by(s.File, real))
		} else if inTree(real, p.Module) {
			ds.Errorf(plan.CodeInTree, s.Pos, `keep it elsewhere: by default it is .secrets.ENVIRONMENT at the root of the module`,
				"the file of source %s, %s, is in a tree, in .git or in cue.mod, or ends in .cue: values would be written there", s.Name, s.File)
		}
	}
	for _, in := range p.Inputs {
		for _, s := range used(p) {
			// The directory may be that of an environment.
			if s.Kind == plan.Files && in.Source == s.Name && in.Default == nil && isCUE(resolve(filepath.Join(s.Dir, filepath.FromSlash(in.Remote.Name)))) {
				ds.Errorf(plan.CodeInTree, in.Pos, "use a remote whose name does not end in .cue", "the file of input %s ends in .cue: a value there would be compiled", in.Name)
			}
		}
	}
	for _, d := range certificates(p) {
		if real := resolve(d.Certificate); !MayRead(p, d.Certificate, g) {
			ds.Errorf(plan.CodeOutside, d.Pos, "keep it in the repository; or, if it is yours: --allow "+d.Certificate,
				"the certificate %s is outside of %s%s", d.Certificate, root, by(d.Certificate, real))
		}
	}
	ds.Sort()
	return ds
}

// Writes reports the certificates that may not be written, as `victorgen cert
// fetch` does: those outside the module, and in its trees.
func Writes(p *plan.Plan, g Grant) plan.Diagnostics {
	var ds plan.Diagnostics
	for _, d := range certificates(p) {
		real := resolve(d.Certificate)
		switch {
		case !inside(real, p.Module) && !g.has(d.Certificate, real):
			ds.Errorf(plan.CodeOutside, d.Pos, "keep it in the module; or, if it is yours: --allow "+d.Certificate,
				"the certificate %s is outside of the module %s%s: it is not written", d.Certificate, p.Module, by(d.Certificate, real))
		case inTree(real, p.Module):
			ds.Errorf(plan.CodeInTree, d.Pos, "keep it next to the environment",
				"the certificate %s is in a tree, in .git or in cue.mod, or ends in .cue: it is not written", d.Certificate)
		}
	}
	ds.Sort()
	return ds
}

// Tree reports a directory for a tree that is a link: what it leads to is not
// victorgen's. dir is that of the environment; output says that the command line
// names the one above.
func Tree(p *plan.Plan, dir string, output bool) plan.Diagnostics {
	var ds plan.Diagnostics
	dirs := []string{dir}
	if !output {
		dirs = []string{filepath.Dir(dir), dir}
	}
	for _, d := range dirs {
		if info, err := os.Lstat(d); err == nil && info.Mode()&os.ModeSymlink != 0 {
			ds.Errorf(plan.CodeTreeLink, nil, "remove the link; or name a directory with --output",
				"%s is a symbolic link: a tree is neither read nor written through one", d)
		}
	}
	return ds
}

// MayRead reports whether the contract of p may name a file that is read.
func MayRead(p *plan.Plan, file string, g Grant) bool {
	real := resolve(file)
	return inside(real, git.WorkTree(p.Module)) || g.has(file, real)
}

// has reports whether g has a file by one of its names.
func (g Grant) has(names ...string) bool {
	return slices.ContainsFunc(g.Files, func(file string) bool {
		return slices.Contains(names, filepath.Clean(file)) || slices.Contains(names, resolve(file))
	})
}

// certificates returns a delivery of each certificate file.
func certificates(p *plan.Plan) (ds []plan.Delivery) {
	for _, s := range p.Secrets {
		d := s.Delivery
		if d.Certificate != "" && !slices.ContainsFunc(ds, func(o plan.Delivery) bool { return o.Certificate == d.Certificate }) {
			ds = append(ds, d)
		}
	}
	return ds
}

// resolve follows the links in the name of a file, as far as there are any: the
// file need not exist.
func resolve(file string) string {
	file = filepath.Clean(file)
	for range 40 { // as many links as Linux follows: path_resolution(7)
		if real, err := filepath.EvalSymlinks(file); err == nil {
			return real
		}
		target, err := os.Readlink(file)
		if err != nil {
			if parent := filepath.Dir(file); parent != file {
				return filepath.Join(resolve(parent), filepath.Base(file))
			}
			return file
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(file), target)
		}
		file = target
	}
	return file
}

// inside reports whether a file is in a directory, or below.
func inside(file, dir string) bool {
	rel, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(rel)
}

// isCUE reports whether CUE would read a file: it would be compiled, and errors
// would show lines of it.
func isCUE(file string) bool { return strings.EqualFold(filepath.Ext(file), ".cue") }

// inTree reports whether a file is in a tree, or in a directory of Git or CUE, or
// is one that CUE reads.
func inTree(file, module string) bool {
	if isCUE(file) || inside(file, filepath.Join(module, treesDir)) {
		return true
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, lockFile)); err == nil || slices.Contains([]string{git.Dir, cueModDir}, strings.ToLower(filepath.Base(dir))) {
			return true
		}
		if dir == module || dir == filepath.Dir(dir) {
			return false
		}
	}
}

// by tells where links lead.
func by(file, real string) string {
	if file == real {
		return ""
	}
	return ", because links lead to " + real
}
