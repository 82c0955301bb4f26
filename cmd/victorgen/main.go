// Command victorgen compiles a CUE contract of an application's secrets into a
// kustomize tree of manifests. This package parses flags, wires the parts
// together and renders what they return; it decides nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/git"
	_ "github.com/victor-ai/victorgen/internal/heap"
	"github.com/victor-ai/victorgen/internal/program"
)

func main() {
	program.Guard(workTree()) // also for verbs without an environment, and libraries that log in to clouds
	os.Exit(interruptible(func(ctx context.Context) int { return run(ctx, commandLine(os.Args), os.Stdout, os.Stderr) }))
}

// commandLine is what follows the name of the program in args, which may be the one that
// kubectl runs to complete the arguments of its plugin:
// https://github.com/kubernetes/sample-cli-plugin#shell-completion
func commandLine(args []string) []string {
	if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == "kubectl_complete-victorgen" {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}

// workTree is the work tree that the working directory is in; empty is none, so that no
// home directory is one, say.
func workTree() string {
	wd, err := os.Getwd()
	if err != nil {
		return ""
	}
	tree, _ := git.Find(wd)
	return tree
}

// grace is how long a verb may take to end by itself after a signal: it waits
// for answers with its context, but for CUE and for the disk it can't. Every
// write of victorgen is whole or not there, whenever the process ends.
const grace = 1500 * time.Millisecond

// sameSignal is how soon after a signal another one is the same: timeout(1) sends one to the
// process, and one to its group.
const sameSignal = 100 * time.Millisecond

// interruptible runs a verb, whose context ends with the first signal, and
// returns its exit code, or that of the signal. The second one ends the process
// at once.
func interruptible(verb func(context.Context) int) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan int, 1)
	go func() { done <- verb(ctx) }()
	select {
	case code := <-done:
		return code
	case s := <-signals:
		time.AfterFunc(sameSignal, func() { signal.Stop(signals) })
		cancel(signalled{s})
		code := exitInterrupted
		if s == syscall.SIGTERM {
			code = exitTerminated
		}
		select {
		case c := <-done:
			if c == 0 {
				return 0 // it was done
			}
		case <-time.After(grace):
			fmt.Fprintf(os.Stderr, "error: %v\n", signalled{s})
		}
		return code
	}
}

// signalled is why the context of a verb ended. Anyone who passes it on as an error
// of the network, as net/http does, passes on that someone interrupted it.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return "ended by a signal: " + s.String() }
func (signalled) Unwrap() error   { return context.Canceled }

// The exit codes.
const (
	exitFindings = 1 // something is wrong with a contract, a value or a tree
	exitUsage    = 2
	exitSource   = 3 // a source or a cluster failed

	// Ended by a signal, as shells count it: 128 and its number.
	exitInterrupted = 130
	exitTerminated  = 143
)

// failure ends a command that has told already what is wrong.
type failure int

func (f failure) Error() string { return fmt.Sprintf("exit %d", int(f)) }

// usageError is a mistake on the command line.
type usageError struct{ error }

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out, errs := newScreen(stdout), newScreen(stderr)
	if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, cobra.ShellCompRequestCmd) }) {
		completing.Add(1)
		defer completing.Add(-1)
	}
	root := newRoot(out, errs)
	root.SetArgs(args)
	mode := root.PersistentFlags().Lookup("color").Value.(*colorMode)
	out.color, errs.color = mode, mode
	code := execute(ctx, root, errs)
	if err := out.close(); err != nil {
		// Who closes a pipe, as head does, has seen enough and need not be told.
		if !errors.Is(err, syscall.EPIPE) {
			var path *fs.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			fmt.Fprintf(errs, "error: cannot write to standard output: %v\n", err)
		}
		code = max(code, exitFindings)
	}
	errs.close()
	return code
}

// execute runs the verb that root has been given.
func execute(ctx context.Context, root *cobra.Command, stderr io.Writer) int {
	var cmd *cobra.Command
	var err error
	if crash := crash.Catch(func() { cmd, err = root.ExecuteContextC(ctx) }); crash != nil {
		newPrinter(stderr).print(findings([]result{{Diagnostics: plan.Diagnostics{vg.Crashed(crash)}}}), 1)
		return exitSource
	}
	var f failure
	var u usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f):
		return int(f)
	case failed(root.OutOrStdout()): // which run tells
		return exitFindings
	case errors.As(err, &u):
		fmt.Fprintf(stderr, "error: %v\nRun '%s --help' for usage.\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	return exitFindings
}

// newRoot returns the command, which prints its results to out and all else to errs.
func newRoot(out, errs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "victorgen",
		Short: "Compile a contract of secrets into a kustomize tree",
		Long: `victorgen compiles a contract, written in CUE, that says which secrets an
application needs in each environment. It validates the contract, resolves each
value from the place where it lives, and writes a kustomize tree of SealedSecrets
or ExternalSecrets that Argo CD or kubectl can apply, or the Secrets themselves
to a cluster. It checks what the sources and the cluster hold.

An environment (ENV) is a directory such as envs/production, or a pattern such
as ./envs/... for all environments below a directory.

Exit codes: 0 fine, 1 findings, 2 wrong usage, 3 a source or a cluster failed,
130 and 143 ended by SIGINT or SIGTERM.`,
		Example: `  victorgen init
  victorgen vet ./envs/...
  victorgen build envs/production
  victorgen verify envs/production`,
		Version:       vg.Version().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          verbsAlone,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(noFlag)
	root.SetHelpCommand(helpCommand())
	root.PersistentFlags().Var(&colorMode{"auto"}, "color", "color of messages: auto, always or never; auto is on a terminal where NO_COLOR is not set")
	completes(root, "color", cobra.FixedCompletions(colorModes, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(applyCommand(), buildCommand(), certCommand(), copyCommand(), diffCommand(), docsCommand(), explainCommand(), generateCommand(), importCommand(), initCommand(), listCommand(), recoverCommand(), reportCommand(), rotateCommand(), scanCommand(), setCommand(), sourceCommand(), templateCommand(),
		verifyCommand(), versionCommand(), vetCommand())
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "kubectl-victorgen" { // as a plugin of kubectl
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl victorgen"}
	}
	root.SetOut(out)
	root.SetErr(errs)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.InitDefaultCompletionCmd() // which keeps out
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = verbsAlone, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	groupVerbs(root)
	return root
}

// argsOf makes a cobra argument check whose errors count as wrong usage.
func argsOf(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// environments is the argument check of the verbs that take environments.
func environments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("name an environment, such as envs/production, or ./envs/... for all")}
	}
	return nil
}

// outputFlag adds -o to a verb that has a result. more are formats that not
// every verb has.
func outputFlag(cmd *cobra.Command, format *string, more ...string) {
	formats := append([]string{"text", "json"}, more...)
	list := plan.Or(formats)
	cmd.Flags().StringVarP(format, "format", "o", "text", "how to print the result: "+list)
	completes(cmd, "format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	check(cmd, func() error {
		if !slices.Contains(formats, *format) {
			return notOne("-o", list, formats, *format)
		}
		return nil
	})
}

// noFormat makes it wrong usage to give the flag called name, which takes a file
// or a directory, what -o takes.
func noFormat(cmd *cobra.Command, name string, value *string) {
	check(cmd, func() error {
		if slices.Contains([]string{"text", "json", "yaml", "sarif", "github", "gitlab"}, *value) {
			format := ""
			if cmd.Flags().Lookup("format") != nil {
				format = "; the format of the result is -o " + *value
			}
			return fmt.Errorf("--%s %s names a file or a directory%s. Write --%s ./%[2]s if that is its name", name, *value, format, name)
		}
		return nil
	})
}

// ciFormats are those that a service for CI shows next to the lines of a contract.
var ciFormats = []string{"sarif", "github", "gitlab"}

// completing is how many runs are the shell's, which asks what could stand in a line.
var completing atomic.Int32

// completes has the shell complete what a flag of cmd takes. cobra keeps that forever,
// and all that it refers to: ten thousand runs in one process, as tests have them, would
// keep the flags of each.
func completes(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if completing.Load() > 0 {
		cmd.RegisterFlagCompletionFunc(flag, f)
	}
}

// completeDirs completes directories.
func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
