package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/konfig"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/internal/git"
)

func listCommand() *cobra.Command {
	var since, format string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "list ENV...",
		Short: "List environments, or those that a change can concern",
		Long: `List prints environments, a line each: the name and the directory.

With --changed-since it prints those alone that differ from what they were in a
revision: their contract as it compiles, certificate, tree, workloads, a policy that
they must satisfy, a file in Git that keeps their values. What is in the work tree
counts, committed or not. A build of all the others changes nothing, as long as
their sources hold what they held. Where it can't tell, it lists an environment
rather than leave it out. Like diff it reads no values and no network.

The JSON is a list, as a matrix of GitHub Actions takes it (fromJSON) and withParam of
Argo Workflows, so that many machines can build a fleet:

  [{"environment": "production", "directory": "envs/production", "why": ["contract"]}]`,
		Example: `  victorgen list ./envs/...
  victorgen list ./envs/... --changed-since origin/main
  victorgen list ./envs/... --changed-since origin/main... -o json`,
		Args:              environments,
		ValidArgsFunction: completeDirs,
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
	cmd.RegisterFlagCompletionFunc("changed-since", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return git.Names(cmd.Context(), "."), cobra.ShellCompDirectiveNoFileComp
	})
	check(cmd, func() error {
		switch {
		case cmd.Flags().Changed("changed-since") && since == "":
			return errors.New("--changed-since takes a revision, such as origin/main")
		case timeout <= 0:
			return errors.New("--timeout must be more than nothing, as in 30s")
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
// One that does not compile is listed, beside the error: a build of it tells more.
func showList(cmd *cobra.Command, results []result, why func(*result) []string, format string) error {
	list := []listed{}
	unknown := slices.ContainsFunc(results, func(r result) bool {
		return slices.ContainsFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == plan.CodeRevision })
	})
	for i := range results {
		r := &results[i]
		r.OK = !r.Diagnostics.HasErrors()
		if r.Diff != nil && r.Diff.State == "gone" || r.Directory == "" || !isDirectory(r.Directory) {
			continue
		}
		l := listed{Environment: r.name(), Directory: filepath.ToSlash(fromHere(r.Directory))}
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
	// What is wrong beside is an error's matter alone: vet and diff tell of warnings.
	for i := range results {
		r := &results[i]
		r.Diagnostics = slices.DeleteFunc(r.Diagnostics, func(d plan.Diagnostic) bool { return d.Severity != plan.Error })
	}
	newPrinter(cmd.ErrOrStderr()).print(findings(results), len(results))
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

// fromHere is dir from the working directory, if it is below that.
func fromHere(dir string) string {
	here, err := os.Getwd()
	if err != nil {
		return dir
	}
	if rel, err := filepath.Rel(here, dir); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	if real, err := filepath.EvalSymlinks(here); err == nil {
		if rel, err := filepath.Rel(real, dir); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return dir
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
// what Git knows of the work tree is no help, for it passes over files that somebody has
// told it to, and runs the filters of the repository.
type changes struct {
	then    map[string]git.Entry // by absolute path
	now     []string             // absolute; ignored ones, too
	shown   map[string]bool      // those of now that Git does not ignore
	trees   []string             // directories of trees
	compare map[string]bool      // what was compared
}

func changesSince(ctx context.Context, r *git.Revision) (*changes, error) {
	c := &changes{then: map[string]git.Entry{}, shown: map[string]bool{}, compare: map[string]bool{}}
	entries, err := r.Files(ctx, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		c.then[filepath.Join(r.Root, filepath.FromSlash(e.Path))] = e
	}
	for _, ignored := range []bool{false, true} {
		files, err := r.Present(ctx, ignored)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			file = filepath.Join(r.Root, filepath.FromSlash(file))
			if c.now = append(c.now, file); !ignored {
				c.shown[file] = true
			}
		}
	}
	return c, nil
}

// differs reports whether a file is not what it was.
func (c *changes) differs(file string) bool {
	if known, ok := c.compare[file]; ok {
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
		c.compare[file] = info != nil
	} else {
		c.compare[file] = err != nil || entry.Link != (info.Mode()&fs.ModeSymlink != 0) || !entry.Is(data)
	}
	return c.compare[file]
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
	for _, r := range results {
		if r.plan == nil {
			continue
		}
		if c := l.changed[git.WorkTree(r.plan.Module)]; c != nil {
			tree := vg.TreeOf(r.plan)
			c.trees = append(slices.AppendSeq(c.trees, maps.Values(emit.Trees(filepath.Dir(tree), func(string) bool { return false }))), tree)
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
	tree := vg.TreeOf(r.plan)
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
	add("tree", touches(tree))
	add("workloads", touches(manifests...) || slices.ContainsFunc(manifests, isKustomization) && c.manifests())
	add("policy", touches(l.policies...))
	add("source", c.kept(kept))
	if _, err := os.Lstat(filepath.Join(tree, emit.LockFile)); err != nil {
		add("it is not built", true)
	}
	return why
}

// touches reports whether a file differs that is at one of paths, or below.
func (c *changes) touches(paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		for _, path := range wherever(path) {
			for file := range c.then {
				if at(file, path) && c.differs(file) {
					return true
				}
			}
			if slices.ContainsFunc(c.now, func(file string) bool { return at(file, path) && c.differs(file) }) {
				return true
			}
		}
		return false
	})
}

// kept reports whether a file differs that a source has in the revision, or that says
// whether Git ignores it. Others hold what nobody commits.
func (c *changes) kept(paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		for _, path := range wherever(path) {
			for file := range c.then {
				if at(file, path) && c.differs(file) {
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

// wherever is where path leads to, beside itself.
func wherever(path string) []string {
	if path == "" {
		return nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		return []string{path, real}
	}
	return []string{path}
}

// isKustomization reports whether dir is one.
func isKustomization(dir string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	})
}

// manifests reports whether a manifest differs that is in no tree: a kustomization
// takes others from wherever it wants.
func (c *changes) manifests() bool {
	differs := func(file string) bool {
		isManifest := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) || filepath.Base(file) == "Kustomization"
		return isManifest && !slices.ContainsFunc(c.trees, func(tree string) bool { return at(file, tree) }) && c.differs(file)
	}
	for _, files := range []iter.Seq[string]{maps.Keys(c.then), maps.Keys(c.shown)} {
		for file := range files {
			if differs(file) {
				return true
			}
		}
	}
	return false
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

// at reports whether file is path, or below it.
func at(file, path string) bool {
	_, ok := within(path, file)
	return ok
}
