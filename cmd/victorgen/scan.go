package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/scan"
)

func scanCommand() *cobra.Command {
	o := &scanOptions{}
	cmd := &cobra.Command{
		Use:   "scan ENV... [-- PATH...]",
		Short: "Find real values in files and commits",
		Long: `Scan reads the values of the secret inputs from the sources of the environments,
and looks for them in files: as plain text, base64 (wherever in it they begin, with
or without padding, in both alphabets), hex, URL-escaped and JSON-escaped, and the
lines of private keys. White space and NUL are ignored: a key may be indented,
base64 broken into lines, text be UTF-16. Compressed or encrypted files are not
opened.

It reports the input, the file, the line and the form, never the value. It only
reports exact matches, so values that could occur by chance are not searched for:
it says which, and why.

Without PATH, it searches the files of the Git work tree: those that are tracked, and
those that are neither tracked nor ignored. PATHs come after --; they are files,
directories with all that is in them, ignored or not, or - for the standard input.
The files in which a source keeps its values are left out, unless Git tracks them.

--staged searches what would be committed: the lines that are added, to whatever
file. --history searches the lines and messages that each commit of a range adds.`,
		Example: `  victorgen scan ./envs/...                               # the work tree
  victorgen scan ./envs/... --staged                      # before a commit
  victorgen scan envs/production --history origin/main..HEAD
  victorgen scan envs/production --history HEAD           # all commits so far
  victorgen scan envs/production -- dist ../charts/shop   # files and directories
  kubectl logs deployment/shop | victorgen scan envs/production -- -
  victorgen scan ./envs/... -o sarif > scan.sarif`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.split(cmd, args); len(o.patterns) > 0 {
				return nil
			}
			return environments(cmd, nil)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if n := cmd.ArgsLenAtDash(); n >= 0 && n < len(args) { // cobra adds one dash at the end
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeEnvironments(cmd, args, toComplete)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.sourceOptions.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.staged, "staged", false, "search what would be committed")
	f.StringVar(&o.history, "history", "", "search what each commit of a `RANGE` adds, as git log takes it: origin/main..HEAD")
	f.BoolVar(&o.ignoreUnreadable, "ignore-unreadable", false, "a source that cannot be read is a warning: its values are not searched for")
	completes(cmd, "history", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return git.Names(cmd.Context(), "."), cobra.ShellCompDirectiveNoFileComp
	})
	outputFlag(cmd, &o.format, ciFormats...)
	check(cmd, func() error {
		switch {
		case o.staged && f.Changed("history"):
			return errors.New("--staged and --history are two searches: run one after the other")
		case len(o.paths) > 0 && o.staged:
			return errors.New("--staged searches all that would be committed: leave the paths out")
		case len(o.paths) > 0 && f.Changed("history"):
			return errors.New("--history searches all that the commits add: leave the paths out")
		case f.Changed("history") && o.history == "":
			return errors.New("--history takes a range of commits, such as origin/main..HEAD")
		}
		return nil
	})
	return cmd
}

type scanOptions struct {
	sourceOptions
	patterns         []string
	paths            []string
	staged           bool
	history          string
	ignoreUnreadable bool
	format           string
}

// split parts the environments from the paths.
func (o *scanOptions) split(cmd *cobra.Command, args []string) {
	o.patterns = args
	if n := cmd.ArgsLenAtDash(); n >= 0 {
		o.patterns, o.paths = args[:n], args[n:]
	}
}

// scanStory is what scan tells of one environment.
type scanStory struct {
	Files       int           `json:"files"` // that were searched
	Commits     int           `json:"commits,omitempty"`
	Searched    []string      `json:"searched"` // the inputs that were searched for
	NotSearched []notSearched `json:"notSearched,omitempty"`
	Found       []foundValue  `json:"found,omitempty"`
	LeftOut     []string      `json:"leftOut,omitempty"` // files in which values belong
}

type notSearched struct {
	Input string      `json:"input"`
	Why   scan.Reason `json:"why"`
}

// foundValue is a value that is where it does not belong.
type foundValue struct {
	Input  string `json:"input"`
	Form   string `json:"form"`
	File   string `json:"file,omitempty"` // none is the message of the commit
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Commit string `json:"commit,omitempty"`
	More   int    `json:"more,omitempty"` // other places of it in the file, which are not told
}

func (o *scanOptions) run(cmd *cobra.Command) error {
	for _, pattern := range o.patterns {
		if err := o.misplaced(pattern); err != nil {
			return usageError{err}
		}
	}
	root := ""
	if len(o.paths) == 0 {
		var err error
		root, err = git.TopLevel(cmd.Context(), ".")
		if p, ok := errors.AsType[*git.Problem](err); ok {
			return usageError{fmt.Errorf("%s: run it in a Git work tree, or name what to search after --, as in victorgen scan %s -- PATH", p.What, strings.Join(o.patterns, " "))}
		} else if err != nil {
			return err
		}
	}
	for _, path := range o.paths {
		if _, err := os.Stat(path); path != scan.Stdin && err != nil {
			return usageError{fmt.Errorf("%s: no such file or directory to search", path)}
		}
	}
	values := map[string]value.Set{} // by the directory of the environment
	var mu sync.Mutex
	dirs, err := compiler.Find(o.patterns...)
	if err != nil {
		return usageError{err}
	}
	results := collect(cmd, dirs, compiler.Options{Source: o.kind}, "reading", func(ctx context.Context, r *result) {
		set, ds := source.Peek(ctx, r.plan, r.env.Sources(false), slices.Concat(r.plan.Inputs, r.plan.Previous()), source.Options{Timeout: o.timeout})
		for i, d := range ds {
			if o.ignoreUnreadable && d.Code == plan.CodeSourceRead && ctx.Err() == nil {
				ds[i].Severity = plan.Warning
			}
		}
		r.Diagnostics = append(r.Diagnostics, ds...)
		mu.Lock()
		defer mu.Unlock()
		values[r.Directory] = set
	})
	o.scan(cmd, results, values, root)
	return show(cmd, results, o.format, scanText)
}

// misplaced says of a path that stands where environments do how to write it.
func (o *scanOptions) misplaced(pattern string) error {
	info, err := os.Stat(pattern)
	if err != nil || strings.HasSuffix(pattern, "...") {
		return nil
	}
	cue, _ := filepath.Glob(filepath.Join(pattern, "*.cue"))
	if info.IsDir() && len(cue) > 0 {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(o.patterns), func(p string) bool { return p == pattern })
	if len(others) == 0 {
		others = []string{"ENV"}
	}
	return fmt.Errorf("%s is not an environment. To search it, write it after --, as in victorgen scan %s -- %s", pattern, strings.Join(others, " "), pattern)
}

// holder is an input whose value is searched for.
type holder struct {
	result *result
	input  plan.Input
}

// scan searches for all values at once, and adds to each result what concerns it.
func (o *scanOptions) scan(cmd *cobra.Command, results []result, sets map[string]value.Set, root string) {
	var holders []holder
	var values []value.Value
	var own []string
	for i := range results {
		r := &results[i]
		set, ok := sets[r.Directory]
		if !ok {
			continue // it does not compile, or may not be read
		}
		for _, src := range r.plan.Sources {
			if at := source.PlainPlace(src); at != "" {
				own = append(own, at)
			}
		}
		r.Scan = &scanStory{Searched: []string{}}
		for _, in := range slices.Concat(r.plan.Inputs, r.plan.Previous()) {
			of := in
			if name := in.PreviousOf(); name != "" { // it is public if that is
				of, _ = r.plan.Input(name)
				if set[in.Name].State == value.Absent {
					continue
				}
			}
			if why := scan.Why(r.plan, of, set[in.Name]); why != "" {
				r.Scan.NotSearched = append(r.Scan.NotSearched, notSearched{in.Name, why})
				continue
			}
			r.Scan.Searched = append(r.Scan.Searched, in.Name)
			holders, values = append(holders, holder{r, in}), append(values, set[in.Name].Value)
		}
	}
	tell := func(code plan.Code, pos []plan.Pos, hint, format string, args ...any) {
		for i := range results {
			if r := &results[i]; r.Scan != nil {
				r.Diagnostics.Errorf(code, pos, hint, format, args...)
			}
		}
	}
	scanner, err := scan.New(values)
	var found *scan.Result
	switch ctx := cmd.Context(); {
	case err != nil:
	case o.staged:
		found, err = scanner.Staged(ctx, root)
	case o.history != "":
		found, err = scanner.History(ctx, root, o.history)
	case len(o.paths) > 0:
		found, err = scanner.Paths(ctx, o.paths, own, cmd.InOrStdin())
	default:
		found, err = scanner.WorkTree(ctx, root, own)
	}
	if p, ok := errors.AsType[*git.Problem](err); ok {
		tell(plan.CodeRevision, nil, p.Hint, "%s", p.What)
	} else if err != nil {
		tell(plan.CodeNotScanned, nil, "run it again", "stopped before the end: %v", err)
	}
	if err != nil {
		for i := range results {
			results[i].Scan = nil // no one knows what there is
		}
		return
	}
	for i := range results {
		if r := &results[i]; r.Scan != nil {
			r.Scan.Files, r.Scan.Commits, r.Scan.LeftOut = found.Files, found.Commits, found.LeftOut
		}
	}
	for file, why := range found.Unread {
		tell(plan.CodeNotScanned, []plan.Pos{{File: file, Line: 1, Column: 1}}, "make it readable, or name what to search after --", "%s was not searched: %s", filepath.Base(file), why)
	}
	for _, f := range found.Found {
		holders[f.Value].tell(f)
	}
	for i := range results {
		results[i].Diagnostics.Sort()
	}
}

// tell adds a value that was found to the result of its environment.
func (h holder) tell(f scan.Found) {
	h.result.Scan.Found = append(h.result.Scan.Found, foundValue{h.input.Name, f.Form, f.File, f.Start.Line, f.Start.Column, f.Commit, f.More})
	where, more := "is here", ""
	pos := []plan.Pos{{File: f.File, Line: f.Start.Line, Column: f.Start.Column}}
	if f.Commit != "" {
		where = "is added here by commit " + f.Commit[:min(len(f.Commit), 12)]
		if f.File == "" {
			where, pos = fmt.Sprintf("is in the message of commit %s, line %d", f.Commit[:min(len(f.Commit), 12)], f.Start.Line), nil
		}
	}
	if f.More > 0 {
		more = fmt.Sprintf(", and in %d more places of the file", f.More)
	}
	form := "as " + f.Form
	switch f.Form {
	case scan.Base64, scan.Hex:
		form = "in " + f.Form
	case scan.URL, scan.JSON, scan.Partly:
		form = f.Form
	}
	anew := "ask the owner for a new one"
	if h.input.Class == plan.Generated {
		anew = fmt.Sprintf("`victorgen rotate ENV %s` makes a new one", h.input.Name)
	}
	if of := h.input.PreviousOf(); of != "" {
		anew = fmt.Sprintf("`victorgen rotate ENV %s` generates a new one, and drops this one", of)
	}
	hint := "remove it; and if others may have read it, replace it: " + anew
	if f.Commit != "" {
		hint = "anyone with the repository can read it, even if a later commit removes it: replace it; " + anew
	}
	h.result.Diagnostics = append(h.result.Diagnostics, plan.Diagnostic{
		Code: plan.CodeFound, Severity: plan.Error, Pos: pos, Hint: hint, Mask: true,
		Message: fmt.Sprintf("the value of %s %s, %s%s", h.input.Name, where, form, more),
	})
}

func scanText(w io.Writer, _ *printer, r *result) {
	if r.Scan == nil {
		return
	}
	s := r.Scan
	in := plural(s.Files, "file")
	if s.Commits > 0 {
		in += " of " + plural(s.Commits, "commit")
	}
	what := "nothing found"
	if n := len(s.Found); n > 0 {
		what = plural(n, "place") + " found"
	}
	fmt.Fprintf(w, "%s: %s (%s searched for in %s)\n", r.name(), what, plural(len(s.Searched), "input"), in)
	var reasons []scan.Reason
	by := map[scan.Reason][]string{}
	for _, n := range s.NotSearched {
		if by[n.Why] == nil {
			reasons = append(reasons, n.Why)
		}
		by[n.Why] = append(by[n.Why], n.Input)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		fmt.Fprintf(w, "  not searched for, %s: %s\n", why, strings.Join(by[why], ", "))
	}
	p := newPrinter(io.Discard)
	for _, file := range s.LeftOut {
		fmt.Fprintf(w, "  not searched, values belong there: %s\n", inLine(p.rel(file)))
	}
}
