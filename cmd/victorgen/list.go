package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/git"
)

func listCommand() *cobra.Command {
	var since, format string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "list ENV...",
		Short: "List environments, or those that a change affects",
		Long: `List prints environments, one per line: the name and the directory.

With --changed-since it prints only those that differ from what they were in a
revision: their contract as it compiles, certificate, tree, workloads, a policy that
they must satisfy, a file in Git that keeps their values. What is in the work tree
counts, committed or not. A build of all the others changes nothing, as long as
their sources hold what they held. When in doubt, it lists an
environment. Like diff it reads no values and uses no network.

The JSON is a list, as a matrix of GitHub Actions takes it (fromJSON) and
withParam of Argo Workflows, so that many machines can build a fleet:

  [{"environment": "production", "directory": "envs/production", "why": ["contract"]}]`,
		Example: `  victorgen list ./envs/...
  victorgen list ./envs/... --changed-since origin/main
  victorgen list ./envs/... --changed-since origin/main... -o json`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("changed-since") {
				dirs, err := compiler.Find(args...)
				if err != nil {
					return usageError{err}
				}
				return showList(cmd, collect(cmd, dirs, compiler.Options{Timeout: timeout, Review: true}, "listing", nil), nil, format)
			}
			l := listing{diffOptions: diffOptions{from: since, timeout: timeout}, changed: map[string]*changes{}}
			results, err := l.run(cmd, args)
			if err != nil {
				return err
			}
			return showList(cmd, results, l.why, format)
		},
	}
	asksNoSource(cmd)
	permitFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&since, "changed-since", "", "list what differs from this revision, or, if it ends in ..., from what it has in common with HEAD")
	f.DurationVar(&timeout, "timeout", compiler.DefaultTimeout, "how long compiling an environment may take")
	completes(cmd, "changed-since", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return git.Names(cmd.Context(), "."), cobra.ShellCompDirectiveNoFileComp
	})
	check(cmd, func() error {
		switch {
		case cmd.Flags().Changed("changed-since") && since == "":
			return errors.New("--changed-since takes a revision, such as origin/main")
		case timeout <= 0:
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	outputFlag(cmd, &format)
	return cmd
}

// listed is an environment in JSON.
type listed struct {
	Environment string   `json:"environment"`
	Directory   string   `json:"directory"` // slash-separated, from the working directory where that is above it
	Why         []string `json:"why,omitempty"`
}

// showList prints the environments for which why, if it is not nil, has a reason.
// One that does not compile is listed, next to the error: a build of it tells more.
func showList(cmd *cobra.Command, results []result, why func(*result) []string, format string) error {
	p, list := newPrinter(cmd.ErrOrStderr()), []listed{}
	unknown := slices.ContainsFunc(results, func(r result) bool {
		return slices.ContainsFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeRevision })
	})
	for i := range results {
		r := &results[i]
		r.OK = !r.Diagnostics.HasErrors()
		if r.Diff != nil && r.Diff.State == "gone" || r.Directory == "" || !isDirectory(r.Directory) {
			continue
		}
		l := listed{Environment: r.name(), Directory: filepath.ToSlash(p.rel(r.Directory))}
		if why != nil {
			if l.Why = why(r); len(l.Why) == 0 {
				continue
			}
		}
		list = append(list, l)
	}
	var err error
	if unknown {
		// Nothing would be read as that nothing is to be built.
	} else if format == "json" {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(list) // on one line, as files of CI take it
	} else {
		err = listText(cmd.OutOrStdout(), list)
	}
	// What else is wrong is an error's matter alone: vet and diff tell of warnings.
	for i := range results {
		r := &results[i]
		r.Diagnostics = slices.DeleteFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Severity != plan.Error })
	}
	p.print(findings(results), len(results))
	if err != nil {
		return err
	}
	return exitOf(results)
}

func listText(w io.Writer, list []listed) error {
	width := 0
	for _, l := range list {
		width = max(width, len(inLine(l.Environment)))
	}
	for _, l := range list {
		why := ""
		if len(l.Why) > 0 {
			why = "  (" + strings.Join(l.Why, ", ") + ")"
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s%s\n", width, inLine(l.Environment), inLine(l.Directory), why); err != nil {
			return err
		}
	}
	return nil
}

func isDirectory(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// listing finds out what a change can concern. What diff tells is the better part
// of it; the rest is files that a build reads, and diff does not.
type listing struct {
	diffOptions
	policies []string
	changed  map[string]*changes // by the root of a repository
}

// changes tells which files of a repository differ from a revision. It compares bytes:
// what Git knows of the work tree is no help, because it passes over files that someone has
// told it to, and runs the filters of the repository.
type changes struct {
	then  map[string]git.Entry // by absolute path
	shown map[string]bool      // files that are there, and that Git does not ignore
	files []string             // absolute and sorted: those of then, and all that are there
	trees map[string]bool      // directories of trees
	known map[string]bool      // what was compared

	manifests func() bool
}

func changesSince(ctx context.Context, r *git.Revision) (*changes, error) {
	c := &changes{then: map[string]git.Entry{}, shown: map[string]bool{}, trees: map[string]bool{}, known: map[string]bool{}}
	c.manifests = sync.OnceValue(c.anyManifest)
	absolute := func(file string) string { return filepath.Join(r.Root, filepath.FromSlash(file)) }
	entries, err := r.Files(ctx, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		c.then[absolute(e.Path)] = e
	}
	shown, err := r.Present(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, file := range shown {
		c.shown[absolute(file)] = true
	}
	all, err := r.Present(ctx, true)
	if err != nil {
		return nil, err
	}
	c.files = slices.Collect(maps.Keys(c.then))
	for _, file := range all {
		c.files = append(c.files, absolute(file))
	}
	slices.Sort(c.files)
	c.files = slices.Compact(c.files)
	return c, nil
}

// differs reports whether a file is not what it was.
func (c *changes) differs(file string) bool {
	if known, ok := c.known[file]; ok {
		return known
	}
	entry, was := c.then[file]
	info, err := os.Lstat(file)
	var data []byte
	switch {
	case err != nil:
	case info.Mode()&fs.ModeSymlink != 0:
		var target string
		target, err = os.Readlink(file)
		data = []byte(filepath.ToSlash(target))
	case info.Mode().IsRegular():
		data, err = os.ReadFile(file)
	default:
		err = fs.ErrInvalid
	}
	if !was {
		c.known[file] = info != nil
	} else {
		c.known[file] = err != nil || entry.Link != (info.Mode()&fs.ModeSymlink != 0) || !entry.Is(data)
	}
	return c.known[file]
}

func (l *listing) run(cmd *cobra.Command, patterns []string) ([]result, error) {
	for _, pattern := range patterns {
		module, _, err := locate(pattern)
		if err != nil {
			return nil, usageError{err}
		}
		revision, err := git.FindRevision(cmd.Context(), module, l.from)
		if err == nil && l.changed[git.WorkTree(module)] == nil {
			l.changed[git.WorkTree(module)], err = changesSince(cmd.Context(), revision)
		}
		if err != nil {
			r := result{Directory: module}
			r.Diagnostics = append(r.Diagnostics, revisionProblem(l.from, err))
			return []result{r}, nil
		}
	}
	l.policies = absolute(policiesOf(cmd))
	results, err := l.diffOptions.run(cmd, patterns)
	looked := map[string]bool{}
	for _, r := range results {
		if r.plan == nil {
			continue
		}
		c, own := l.changed[git.WorkTree(r.plan.Module)], vg.TreeOf(r.plan)
		if c == nil {
			continue
		}
		c.trees[own] = true
		if parent := filepath.Dir(own); !looked[parent] {
			looked[parent] = true
			for _, other := range tree.Trees(parent, func(string) bool { return false }) {
				c.trees[other] = true
			}
		}
	}
	return results, err
}

// why says what of an environment differs; nothing, if a build of it changes nothing.
func (l *listing) why(r *result) (why []string) {
	add := func(reason string, holds bool) {
		if holds {
			why = append(why, reason)
		}
	}
	if r.plan == nil {
		return []string{"it does not compile"}
	}
	c := l.changed[git.WorkTree(r.plan.Module)]
	touches := func(paths ...string) bool { return c.touches(paths) }
	own := vg.TreeOf(r.plan)
	var certificates, kept, manifests []string
	for _, s := range r.plan.Secrets {
		certificates = append(certificates, s.Delivery.Certificate)
	}
	for _, s := range r.plan.Sources {
		kept = append(kept, s.At(), s.Dir)
	}
	if r.plan.Workloads != nil {
		manifests = r.plan.Workloads.Paths
	}
	add("contract", r.Diff == nil || r.Diff.any())
	add("certificate", touches(certificates...))
	add("tree", touches(own))
	add("workloads", touches(manifests...) || slices.ContainsFunc(manifests, workload.IsKustomization) && c.manifests())
	add("policy", touches(l.policies...))
	add("source", c.kept(kept))
	if _, err := os.Lstat(filepath.Join(own, tree.LockFile)); err != nil {
		add("it is not built", true)
	}
	return why
}

// at returns the files at path, and below.
func (c *changes) at(path string) (files []string) {
	if i, ok := slices.BinarySearch(c.files, path); ok {
		files = append(files, c.files[i])
	}
	below := strings.TrimSuffix(path, string(filepath.Separator)) + string(filepath.Separator)
	i, _ := slices.BinarySearch(c.files, below)
	for ; i < len(c.files) && strings.HasPrefix(c.files[i], below); i++ {
		files = append(files, c.files[i])
	}
	return files
}

// touches reports whether a file differs that is at one of paths, or below.
func (c *changes) touches(paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		return slices.ContainsFunc(wherever(path), func(path string) bool { return slices.ContainsFunc(c.at(path), c.differs) })
	})
}

// kept reports whether a file differs that a source has in the revision, or that says
// whether Git ignores it. Others hold what no one commits.
func (c *changes) kept(paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		for _, path := range wherever(path) {
			for _, file := range c.at(path) {
				if _, was := c.then[file]; was && c.differs(file) {
					return true
				}
			}
			for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
				if c.differs(filepath.Join(dir, ".gitignore")) {
					return true
				}
				if _, err := os.Lstat(filepath.Join(dir, git.Dir)); err == nil {
					break
				}
			}
		}
		return false
	})
}

// wherever is path itself, and where it leads to.
func wherever(path string) []string {
	if path == "" {
		return nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		return []string{path, real}
	}
	return []string{path}
}

// anyManifest reports whether a manifest differs that is in no tree: a kustomization
// takes others from wherever it wants.
func (c *changes) anyManifest() bool {
	inTree := func(file string) bool {
		for dir := filepath.Dir(file); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if c.trees[dir] {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(c.files, func(file string) bool {
		isManifest := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) || filepath.Base(file) == "Kustomization"
		_, was := c.then[file]
		return isManifest && (was || c.shown[file]) && !inTree(file) && c.differs(file)
	})
}

// absolute makes paths absolute.
func absolute(paths []string) (all []string) {
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			all = append(all, abs)
		}
	}
	return all
}
