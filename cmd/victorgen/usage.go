package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// verbGroups are the verbs by what one is doing, in the order of the help.
var verbGroups = []struct {
	title string
	verbs []string
}{
	{"Start", []string{"init", "import"}},
	{"Values", []string{"template", "set", "copy", "generate", "rotate", "recover", "source"}},
	{"Build and review", []string{"vet", "build", "diff", "scan", "list"}},
	{"Cluster", []string{"cert", "apply", "verify"}},
	{"Look", []string{"explain", "report", "docs", "version", "completion", "help"}},
}

// groupVerbs puts the verbs of root into their groups.
func groupVerbs(root *cobra.Command) {
	of := map[string]string{}
	for _, g := range verbGroups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, verb := range g.verbs {
			of[verb] = g.title
		}
	}
	for _, verb := range root.Commands() {
		verb.GroupID = of[verb.Name()]
	}
	root.SetHelpCommandGroupID(of["help"])
	root.SetCompletionCommandGroupID(of["completion"])
}

// verbsAlone is the argument check of a command whose arguments are verbs.
func verbsAlone(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var verbs []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			verbs = append(verbs, c.Name())
		}
	}
	otherwise := ""
	if cmd.HasParent() {
		otherwise = cmd.Name() + " takes " + plan.Or(verbs)
	}
	return usageError{errors.New(with(fmt.Sprintf("unknown verb %q", args[0]), plan.DidYouMean(args[0], verbs, otherwise)))}
}

// with adds a hint to what is wrong.
func with(text, hint string) string {
	if hint == "" {
		return text
	}
	return text + "; " + hint
}

// noFlag is what there is to say of flags that cmd can't parse.
func noFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return usageError{err}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return usageError{errors.New(with(err.Error(), plan.DidYouMean("--"+unknown.GetSpecifiedName(), names, "")))}
}

// notOne says that a flag takes one of words, which list lists, and has got another.
func notOne(flag, list string, words []string, got string) error {
	return errors.New(with(fmt.Sprintf("%s takes %s, not %q", flag, list, got), plan.DidYouMean(got, words, "")))
}

// helpCommand is cobra's own, but that help of what there is not is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB]",
		Short:   "Help about a verb",
		Long:    "Help prints what a verb does, with its flags and examples, as VERB --help does.",
		Example: "  victorgen help build\n  victorgen help cert fetch",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			at, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range at.Commands() {
				if c.IsAvailableCommand() && strings.HasPrefix(c.Name(), word) {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.Root()
			for _, arg := range args {
				next, rest, err := at.Find([]string{arg})
				if err != nil || len(rest) > 0 || next == at {
					return verbsAlone(at, []string{arg})
				}
				at = next
			}
			at.InitDefaultHelpFlag()
			at.InitDefaultVersionFlag()
			return at.Help()
		},
	}
}

// colorModes are what --color takes.
var colorModes = []string{"auto", "always", "never"}

// colorMode is when messages have colours: the value of --color.
type colorMode struct{ mode string }

func (m *colorMode) String() string { return m.mode }
func (m *colorMode) Type() string   { return "WHEN" }

func (m *colorMode) Set(mode string) error {
	if !slices.Contains(colorModes, mode) {
		return errors.New(with("it takes "+plan.Or(colorModes), plan.DidYouMean(mode, colorModes, "")))
	}
	m.mode = mode
	return nil
}
