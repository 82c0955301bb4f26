package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/policy"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/snapshot"
	"github.com/victor-ai/victorgen/review"
)

func diffCommand() *cobra.Command {
	var o diffOptions
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff ENV...",
		Short: "Describe what a change does",
		Long: `Diff compares the contract and the tree of environments with those of a Git
revision: what is committed in HEAD, or --from. A revision that ends in ... is the
last commit that it has in common with HEAD. --from takes a directory, too, such as
another work tree.

It says, most important first,
  trust      who gets a secret and where values and credentials go: certificate,
             scope, namespace, delivery, sources, what keys are made from, readers,
             stores, annotations; what is no longer demanded: constraints, rules,
             alerts; and the warnings of vet for reviewers that are new
  values     what was created, changed, rotated or is gone, by input and key
  consumers  which workloads restart, where the tree has a component for that
  other      what else the contract says
  noise      what was sealed again with the same value, descriptions

What happened to values is read from victorgen.lock alone. Diff reads no values,
uses no network, and changes no work tree, index or branch. Like vet it can run on
a pull request from a fork. Of a certificate it shows the fingerprint, the subject
and the validity, on both sides; whether it is the cluster's own, ` + "`victorgen cert inspect ENV --context NAME`" + `
asks.

-o markdown is made for a comment on a pull request: it is never longer than 65,536
characters, and begins with the line <!-- victorgen diff -->, by which a job finds
the comment that it wrote before. -o github prints annotations.`,
		Example: `  victorgen diff envs/production
  victorgen diff ./envs/... --from origin/main
  victorgen diff ./envs/... --from origin/main... -o markdown   # for a comment on a pull request
  victorgen diff envs/production --from v1.4.0 --exit-code && echo 'nothing differs'
  victorgen diff envs/production --from ./before                # a directory`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := o.run(cmd, args)
			if err != nil {
				return err
			}
			err = o.show(cmd, results)
			var f failure
			switch {
			case !exitCode:
			case errors.As(err, &f) && f == exitFindings:
				return failure(exitUsage)
			case err == nil && slices.ContainsFunc(results, func(r result) bool { return r.Diff.any() }):
				return failure(exitFindings)
			}
			return err
		},
	}
	asksNoSource(cmd)
	permitFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "HEAD", "the revision, or the directory, to compare with")
	f.BoolVar(&exitCode, "exit-code", false, "exit 1 if something differs, 0 if nothing does; errors in a contract are then 2")
	f.DurationVar(&o.timeout, "timeout", compiler.DefaultTimeout, "how long compiling an environment may take")
	completes(cmd, "from", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return git.Names(cmd.Context(), "."), cobra.ShellCompDirectiveDefault
	})
	check(cmd, func() error {
		switch {
		case o.from == "":
			return errors.New("--from takes a revision, such as origin/main, or a directory, such as ./before")
		case o.timeout <= 0:
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	outputDirFlag(cmd, &o.output)
	outputFlag(cmd, &o.format, "markdown", "github")
	return cmd
}

// diffOptions are the flags of diff.
type diffOptions struct {
	from, output, format string
	timeout              time.Duration
	policies             []string // paths
}

// diffStory is what differs of an environment.
type diffStory struct {
	From   string `json:"from"`             // as it was asked for
	Commit string `json:"commit,omitempty"` // none of a directory
	State  string `json:"state"`            // of the environment: changed, same, new, gone, moved
	Before string `json:"before,omitempty"` // its directory then, in the module, if that was another one
	review.Changes
}

func (d *diffStory) any() bool { return d != nil && d.State != "same" }

// run compares the environments that patterns name.
func (o *diffOptions) run(cmd *cobra.Command, patterns []string) ([]result, error) {
	allowed := vg.PermissionOf(optionsOf(cmd, compiler.Options{Timeout: o.timeout}))
	if allowed.Unread.HasErrors() {
		return []result{{Directory: strings.TrimSuffix(patterns[0], "..."), Diagnostics: allowed.Unread}}, nil
	}
	o.policies = policiesOf(cmd)
	modules := map[string]*before{}
	defer func() {
		for _, b := range modules {
			b.close()
		}
	}()
	var dirs []string                 // of environments that are there
	olds := map[string]*environment{} // by directory now
	var ended []*environment          // that are not
	failed := map[string]result{}     // by module
	add := func(b *before, e environment) {
		switch {
		case e.now == "":
			if !slices.ContainsFunc(ended, func(o *environment) bool { return o.module == b && o.then == e.then }) {
				ended = append(ended, &e)
			}
		case olds[e.now] == nil:
			olds[e.now] = &e
			dirs = append(dirs, e.now)
		}
	}
	for _, pattern := range patterns {
		module, at, err := locate(pattern)
		if err != nil {
			return nil, usageError{err}
		}
		b, ok := modules[module]
		if !ok && failed[module].Directory == "" {
			if b, err = o.before(cmd.Context(), module); err != nil {
				r := result{Directory: module}
				r.Diagnostics = append(r.Diagnostics, revisionProblem(o.from, err))
				failed[module] = r
				continue
			}
			modules[module] = b
			if err := b.policies(cmd.Context(), o.policies); err != nil {
				return nil, err
			}
		}
		if b == nil {
			continue
		}
		es, err := b.environments(pattern, at)
		if err != nil {
			return nil, usageError{err}
		}
		for _, e := range es {
			add(b, e)
		}
	}
	slices.Sort(dirs)
	results := collect(cmd, dirs, compiler.Options{Timeout: o.timeout, Review: true}, "comparing", func(ctx context.Context, r *result) {
		olds[r.Directory].compared = true
		o.compare(ctx, r, olds[r.Directory])
	})
	for i := range results {
		r := &results[i]
		if r.plan != nil && !olds[r.Directory].compared {
			// It does what it may not, which is what a reviewer is to see.
			o.compare(cmd.Context(), r, olds[r.Directory])
		}
		if ds := unmergedFiles(olds[r.Directory].module.module, r.Directory); len(ds) > 0 && r.Diagnostics.HasErrors() {
			r.Diagnostics = ds // what a compiler says of the marks is of no use
		}
	}
	for _, e := range ended {
		r := result{Directory: filepath.Join(e.module.module, filepath.FromSlash(e.then))}
		o.compare(cmd.Context(), &r, e)
		results = append(results, r)
	}
	for _, r := range failed {
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.Directory, b.Directory) })
	return results, nil
}

// revisionProblem says why nothing can be compared.
func revisionProblem(from string, err error) plan.Diagnostic {
	d := plan.Diagnostic{Code: plan.CodeRevision, Severity: plan.Error, Message: fmt.Sprintf("cannot compare with %s: %v", from, err)}
	if p, ok := errors.AsType[*git.Problem](err); ok {
		d.Hint = p.Hint
	}
	return d
}

// locate returns the module that a pattern is about, and the directory that it
// names, which need not be there any more.
func locate(pattern string) (module, at string, err error) {
	at, _ = strings.CutSuffix(filepath.ToSlash(pattern), "...")
	if at, err = filepath.Abs(at); err != nil {
		return "", "", err
	}
	rest := ""
	for dir := at; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			at = filepath.Join(real, rest)
			break
		} else if dir == filepath.Dir(dir) {
			return "", "", err
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
	module, ok := compiler.ModuleRoot(at)
	if !ok {
		return "", "", fmt.Errorf("%s is not in a CUE module: there is no cue.mod/module.cue in it or above it", pattern)
	}
	return module, at, nil
}

// before is a module as it was.
type before struct {
	*snapshot.Snapshot
	module string // absolute; where it is now
	root   string // of the repository that it is in, or the module
	at     string // absolute; where it is in the snapshot
	commit string
	// policiesNow and policiesThen are the files of the policies in the repository, with
	// their digests, by name.
	policiesNow, policiesThen map[string]string
}

func (b *before) close() { b.Snapshot.Close() }

// before has the module as it was in the revision, or is in the directory, that
// --from names.
func (o *diffOptions) before(ctx context.Context, module string) (*before, error) {
	b := &before{module: module, root: git.WorkTree(module)}
	info, err := os.Stat(o.from)
	isDir := err == nil && info.IsDir()
	plainly := strings.HasPrefix(o.from, ".") && (o.from == "." || o.from == ".." || strings.HasPrefix(o.from, "./") || strings.HasPrefix(o.from, "../")) ||
		filepath.IsAbs(o.from) || strings.HasSuffix(o.from, "/")
	var revision *git.Revision
	if !plainly {
		revision, err = git.FindRevision(ctx, module, o.from)
		switch {
		case err == nil && isDir && o.from != "HEAD":
			return nil, &git.Problem{What: fmt.Sprintf("%s is both a revision and a directory", o.from), Hint: "write --from ./" + o.from + " for the directory, --from refs/heads/" + o.from + " for a branch"}
		case err != nil && !isDir:
			return nil, err
		}
	} else if !isDir {
		return nil, &git.Problem{What: "there is no such directory", Hint: "name a directory that has the module, or a revision such as origin/main"}
	}
	below := "."
	switch {
	case revision != nil:
		b.root, b.commit = revision.Root, revision.Commit
		b.Snapshot, err = snapshot.OfRevision(ctx, revision)
	default:
		rel, _ := filepath.Rel(b.root, module)
		if isModule(o.from) && !isModule(filepath.Join(o.from, rel)) || rel == "." {
			below = filepath.ToSlash(rel)
		}
		b.Snapshot, err = snapshot.OfDirectory(ctx, o.from, below)
	}
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(b.root, module)
	if err == nil {
		b.at = filepath.Join(b.Root, rel)
		rel = filepath.ToSlash(rel)
		err = b.Add(ctx, rel, func(name string) bool {
			inModule := strings.TrimPrefix(name, strings.TrimPrefix(rel+"/", "./"))
			return strings.HasSuffix(name, ".cue") && !compiler.OfSchema(path.Dir(inModule)) // that of this victorgen is the only one that counts
		})
	}
	if err == nil && !isModule(b.at) && revision == nil {
		err = &git.Problem{What: "the directory does not have the module", Hint: "name the root of another work tree, or a copy of the module"}
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// policies reads the files of the policies that are in the repository, now and then. Of
// a link counts what it leads to.
func (b *before) policies(ctx context.Context, paths []string) error {
	b.policiesNow, b.policiesThen = map[string]string{}, map[string]string{}
	digest := digestIn(func(string) bool { return true })
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(real, filepath.Base(path)) // for b.root has no link
		}
		rel, err := filepath.Rel(b.root, path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		for _, file := range policy.Files(path) {
			b.policiesNow[shownPath(file, b.module, b.root)] = digest(file)
		}
		if err := b.follow(ctx, rel); err != nil {
			return err
		}
		then := filepath.Join(b.Root, rel)
		for _, file := range policy.Files(then) {
			in, _ := filepath.Rel(b.Root, file)
			if err := b.follow(ctx, in); err != nil {
				return err
			}
			if real, err := filepath.EvalSymlinks(file); err == nil && b.Has(real) {
				b.policiesThen[shownPath(filepath.Join(b.root, in), b.module, b.root)] = digest(file)
			}
		}
	}
	return nil
}

// follow adds what is at a path of the repository to the copy, also where that is a
// link.
func (b *before) follow(ctx context.Context, rel string) error {
	for range 40 {
		if err := b.Add(ctx, filepath.ToSlash(rel), func(name string) bool { return strings.HasSuffix(name, ".cue") }); err != nil {
			return err
		}
		target, err := os.Readlink(filepath.Join(b.Root, rel))
		if err != nil {
			return nil
		}
		if rel = filepath.Join(filepath.Dir(rel), target); filepath.IsAbs(target) || !filepath.IsLocal(rel) {
			return nil
		}
	}
	return nil
}

func isModule(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "cue.mod", "module.cue"))
	return err == nil
}

// environment is one that is compared.
type environment struct {
	module *before
	now    string // absolute directory; empty if it is not there any more
	then   string // slash-separated, in the module; empty if it was not there

	compared bool
}

// environments returns those that a pattern names, now or then, each with what it
// was.
func (b *before) environments(pattern, at string) ([]environment, error) {
	rel, err := filepath.Rel(b.module, at)
	if err != nil {
		return nil, err
	}
	deep := ""
	if strings.HasSuffix(pattern, "...") {
		deep = "/..."
	}
	now, absent := find(b.module, filepath.Join(b.module, rel)+deep)
	if absent != nil && !errors.Is(absent, compiler.ErrAbsent) {
		return nil, absent
	}
	then, err := find(b.at, filepath.Join(b.at, rel)+deep)
	if err != nil && absent != nil {
		return nil, fmt.Errorf("%s: no such environment, neither now nor in %s", pattern, b.Name)
	}
	var es []environment
	var begun, ended []string
	for _, dir := range now {
		if slices.Contains(then, dir) {
			es = append(es, environment{module: b, now: filepath.Join(b.module, dir), then: filepath.ToSlash(dir)})
		} else {
			begun = append(begun, dir)
		}
	}
	for _, dir := range then {
		if !slices.Contains(now, dir) {
			ended = append(ended, dir)
		}
	}
	if len(begun)+len(ended) > 0 {
		es = append(es, b.moved(begun, ended)...)
	}
	return es, nil
}

// find is compiler.Find with paths relative to a module. A directory without a
// .cue file is no environment: Git leaves none behind, and people do.
func find(module, pattern string) (dirs []string, err error) {
	found, err := compiler.Find(pattern)
	for _, dir := range found {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.cue")); len(files) == 0 {
			continue
		}
		if rel, err := filepath.Rel(module, dir); err == nil && filepath.IsLocal(rel) {
			dirs = append(dirs, rel)
		}
	}
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("%s: %w", pattern, compiler.ErrAbsent)
	}
	return dirs, err
}

// moved pairs environments that are new with those that are gone: they have one
// name, or else the same secrets, and no other one is like them.
func (b *before) moved(begun, ended []string) (es []environment) {
	all := func(module string, but string) (plans map[string]*plan.Plan) {
		plans = map[string]*plan.Plan{}
		dirs, _ := find(module, module+"/...")
		others, _ := find(but, but+"/...")
		for _, dir := range dirs {
			if !slices.Contains(others, dir) {
				plans[dir], _ = compiler.Compile(filepath.Join(module, dir), compiler.Options{})
			}
		}
		return plans
	}
	news, olds := all(b.module, b.at), all(b.at, b.module)
	same := func(a, b *plan.Plan) bool { return a != nil && b != nil && a.Environment == b.Environment }
	alike := func(a, b *plan.Plan) bool {
		return a != nil && b != nil && len(a.Secrets) > 0 && slices.EqualFunc(a.Secrets, b.Secrets, func(x, y plan.Secret) bool {
			return x.Name == y.Name && slices.EqualFunc(x.Keys, y.Keys, func(k, l plan.Key) bool { return k.Name == l.Name })
		})
	}
	pairs := map[string]string{} // by directory now
	for _, fits := range []func(a, b *plan.Plan) bool{same, alike} {
		for now, n := range news {
			var like []string
			for then, o := range olds {
				if fits(n, o) {
					like = append(like, then)
				}
			}
			rivals := 0
			for _, m := range news {
				if len(like) == 1 && fits(m, olds[like[0]]) {
					rivals++
				}
			}
			if len(like) == 1 && rivals == 1 && pairs[now] == "" {
				pairs[now] = like[0]
			}
		}
		for now, then := range pairs {
			delete(news, now)
			delete(olds, then)
		}
	}
	for now, then := range pairs {
		if slices.Contains(begun, now) || slices.Contains(ended, then) {
			es = append(es, environment{module: b, now: filepath.Join(b.module, now), then: filepath.ToSlash(then)})
		}
	}
	for _, now := range begun {
		if pairs[now] == "" {
			es = append(es, environment{module: b, now: filepath.Join(b.module, now)})
		}
	}
	for _, then := range ended {
		taken := false
		for _, other := range pairs {
			taken = taken || other == then
		}
		if !taken {
			es = append(es, environment{module: b, then: filepath.ToSlash(then)})
		}
	}
	return es
}

// compare compares what r is with what it was.
func (o *diffOptions) compare(ctx context.Context, r *result, e *environment) {
	b := e.module
	story := &diffStory{From: o.from, Commit: b.commit, State: "changed"}
	var now, then review.Side
	now.Policies, then.Policies = b.policiesNow, b.policiesThen
	if r.plan != nil {
		now.Plan, now.Warnings = r.plan, r.Diagnostics
		now.Path = func(file string) string { return shownPath(file, b.module, b.root) }
		now.Certificate = certificatesIn(func(file string) bool { return trust.MayRead(r.plan, file, r.grant) })
		now.Digest = digestIn(func(file string) bool { return trust.MayRead(r.plan, file, r.grant) })
		dir, err := vg.TreeIn(r.plan, o.output)
		if err != nil {
			r.fail(err)
			return
		}
		var ds plan.Diagnostics
		if now.Record, ds = tree.ReadRecord(dir); ds.HasErrors() {
			r.Diagnostics = append(r.Diagnostics, ds...)
			return
		}
		if now.Record != nil && now.Record.Environment != r.plan.Environment {
			r.Diagnostics.Errorf(plan.CodeTreeForeign, nil, "give one of them another name, or build into another directory", "the tree in %s is that of environment %q", dir, now.Record.Environment)
			return
		}
	}
	unknown := false
	if e.then != "" {
		unknown = !b.side(ctx, o, r, e, &then)
	}
	if then.Plan != nil && r.plan == nil {
		r.Environment = then.Plan.Environment
	}
	if ctx.Err() != nil {
		r.Diagnostics.Errorf(plan.CodeRevision, nil, "run it again", "stopped before the end: %v", context.Cause(ctx))
		return
	}
	story.Changes = review.Compare(then, now)
	switch {
	case unknown:
	case e.then == "":
		story.State = "new"
	case e.now == "":
		story.State = "gone"
	case filepath.Join(b.module, filepath.FromSlash(e.then)) != e.now:
		story.State, story.Before = "moved", e.then
	case !story.Any():
		story.State = "same"
	}
	r.Diff = story
}

// side reads an environment as it was. It reports whether all of it is known; what
// is wrong is a warning of r, because no one can change it any more.
func (b *before) side(ctx context.Context, o *diffOptions, r *result, e *environment, s *review.Side) bool {
	known := true
	warn := func(hint, format string, args ...any) {
		known = false
		r.Diagnostics.Warnf(plan.CodeRevisionBroken, nil, hint, "%s: "+format, append([]any{b.Name}, args...)...)
	}
	var ds plan.Diagnostics
	s.Plan, ds = compiler.Compile(filepath.Join(b.at, filepath.FromSlash(e.then)), compiler.Options{Timeout: o.timeout, Review: true})
	for _, d := range ds {
		d.Message = b.Say(d.Message)
		s.Warnings = append(s.Warnings, d)
	}
	if s.Plan == nil {
		first := s.Warnings[slices.IndexFunc(s.Warnings, func(d plan.Diagnostic) bool { return d.Severity == plan.Error })]
		where := ""
		if len(first.Pos) > 0 && first.Pos[0].IsValid() {
			where = fmt.Sprintf(" (%s:%d)", b.Say(first.Pos[0].File), first.Pos[0].Line)
		}
		warn("everything in the contract counts as new", "the contract of %s does not compile with this victorgen, first for %s: %s%s", e.then, first.Code, first.Message, where)
	}
	s.Path = func(file string) string {
		if place, ok := b.Place(file, b.root); ok {
			file = place
		}
		return shownPath(file, b.module, b.root)
	}
	need := func(file string, wanted bool) {
		rel, err := filepath.Rel(b.Root, file)
		if err != nil || !filepath.IsLocal(rel) || !wanted {
			return
		}
		if err := b.Add(ctx, filepath.ToSlash(rel), func(string) bool { return true }); err != nil && ctx.Err() == nil {
			warn("", "cannot read %s: %v", b.Say(file), err)
		}
	}
	name := "" // of the environment
	if s.Plan != nil {
		name = s.Plan.Environment
		for _, src := range s.Plan.Sources {
			need(src.File, src.Kind == plan.SOPS)
		}
		for _, secret := range s.Plan.Secrets {
			need(secret.Delivery.Certificate, secret.Delivery.Certificate != "")
		}
	} else if r.plan != nil {
		name = r.plan.Environment
	} else {
		return known
	}
	inside := func(file string) bool {
		real, err := filepath.EvalSymlinks(file)
		return err == nil && b.Has(real)
	}
	s.Certificate, s.Digest = certificatesIn(inside), digestIn(inside)

	trees := filepath.Join(b.module, "deploy")
	if o.output != "" {
		trees, _ = filepath.Abs(o.output)
	}
	rel, err := filepath.Rel(b.root, filepath.Join(trees, name))
	if err != nil || !filepath.IsLocal(rel) {
		return known // of a tree that is not in the repository, no one knows what it was
	}
	dir := filepath.Join(b.Root, rel)
	need(dir, true)
	record, ds := tree.ReadRecord(dir)
	if ds.HasErrors() {
		warn("everything that is sealed now counts as created", "the tree of %s cannot be read: %s", e.then, b.Say(ds[0].Message))
		return known
	}
	if record != nil && record.Environment == name {
		s.Record = record
	}
	return known
}

// shownPath writes a path as the module has it, or else as the repository has it
// from there.
func shownPath(file, module, root string) string {
	if file == "" {
		return ""
	}
	in, err := filepath.Rel(root, file)
	if err != nil || !filepath.IsLocal(in) {
		return file
	}
	rel, err := filepath.Rel(module, file)
	if err != nil {
		return file
	}
	return filepath.ToSlash(rel)
}

// certificatesIn returns what reads certificates, once each, of the files that may
// be read.
func certificatesIn(may func(file string) bool) func(string) *sealing.Certificate {
	known := map[string]*sealing.Certificate{}
	return func(file string) *sealing.Certificate {
		c, ok := known[file]
		if !ok && may(file) {
			c, _ = sealing.Inspect(file, nil, time.Now())
		}
		known[file] = c
		return c
	}
}

// digestIn returns what tells the SHA-256 of the files that may be read.
func digestIn(may func(file string) bool) func(string) string {
	return func(file string) string {
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 16<<20 || !may(file) {
			return ""
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return ""
		}
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	}
}

// unmergedFiles reports the .cue files of an environment, and above, that have conflict
// markers.
func unmergedFiles(module, dir string) (ds plan.Diagnostics) {
	for {
		files, _ := filepath.Glob(filepath.Join(dir, "*.cue"))
		for _, file := range files {
			if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() || info.Size() > 16<<20 {
				continue
			}
			if data, err := os.ReadFile(file); err == nil && tree.Unmerged(data) {
				ds.Errorf(plan.CodeMerge, []plan.Pos{{File: file, Line: 1, Column: 1}}, "merge the contract by hand; of the tree take either side, and `victorgen build ENV`",
					"%s has conflict markers of an unfinished merge", filepath.Base(file))
			}
		}
		if dir == module || dir == filepath.Dir(dir) {
			return ds
		}
		dir = filepath.Dir(dir)
	}
}

// show prints what differs.
func (o *diffOptions) show(cmd *cobra.Command, results []result) error {
	for i := range results {
		results[i].OK = !results[i].Diagnostics.HasErrors()
		// What is for a reviewer is among the changes, if it is new.
		results[i].Diagnostics = slices.DeleteFunc(results[i].Diagnostics, func(d plan.Diagnostic) bool {
			return plan.ForReview[d.Code] || d.Severity == plan.Warning && d.Code != plan.CodeRevisionBroken
		})
	}
	switch o.format {
	case "markdown":
		p := newPrinter(cmd.ErrOrStderr())
		if _, err := io.WriteString(cmd.OutOrStdout(), diffMarkdown(results)); err != nil {
			return err
		}
		p.print(findings(results), len(results))
		return exitOf(results)
	case "github":
		if err := annotate(cmd.OutOrStdout(), append(diffFindings(results), findings(results)...)); err != nil {
			return err
		}
		return exitOf(results)
	}
	return show(cmd, results, o.format, diffText)
}
