// Command victorgen compiles a CUE contract of an application's secrets into a
// kustomize tree of manifests. This package parses flags, wires the parts
// together and renders what they return; it decides nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/crash"
)

func main() {
	// A command lives for a moment: let it use memory rather than collect
	// garbage. The limit brings the collector back for a contract of a size
	// that nobody has. GOGC and GOMEMLIMIT still say otherwise.
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(800)
		debug.SetMemoryLimit(1 << 30)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitFindings = 1 // something is wrong with a contract, a value or a tree
	exitUsage    = 2
	exitSource   = 3 // a source or a cluster failed
)

// failure ends a command that has told already what is wrong.
type failure int

func (f failure) Error() string { return fmt.Sprintf("exit %d", int(f)) }

// usageError is a mistake on the command line.
type usageError struct{ error }

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return execute(ctx, root, stderr)
}

// execute runs the verb that root has been given.
func execute(ctx context.Context, root *cobra.Command, stderr io.Writer) int {
	var cmd *cobra.Command
	var err error
	if crash := crash.Catch(func() { cmd, err = root.ExecuteContextC(ctx) }); crash != nil {
		newPrinter(stderr).print(findings([]result{{Diagnostics: plan.Diagnostics{crashed(crash)}}}), 1)
		return exitSource
	}
	var f failure
	var u usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f):
		return int(f)
	case errors.As(err, &u):
		fmt.Fprintf(stderr, "error: %v\nRun '%s --help' for usage.\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	return exitFindings
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "victorgen",
		Short: "Compile a contract of secrets into a kustomize tree",
		Long: `victorgen compiles a contract, written in CUE, that says which secrets an
application needs in each environment. It validates the contract, resolves each
value from the place where it lives, and writes a kustomize tree of SealedSecrets
or ExternalSecrets that Argo CD or kubectl can apply, or the Secrets themselves
to a cluster. It judges what the sources and the cluster hold.

An environment (ENV) is a directory such as envs/production, or a pattern such
as ./envs/... for all environments below a directory.

Exit codes: 0 fine, 1 findings, 2 wrong usage, 3 a source or a cluster failed.`,
		Example: `  victorgen init
  victorgen vet ./envs/...
  victorgen build envs/production
  victorgen verify envs/production`,
		Version:       thisVersion().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown verb %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(applyCommand(), buildCommand(), certCommand(), explainCommand(), generateCommand(), initCommand(), rotateCommand(), templateCommand(),
		verifyCommand(), versionCommand(), vetCommand())
	root.CompletionOptions.HiddenDefaultCmd = false
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
	last := len(formats) - 1
	list := strings.Join(formats[:last], ", ") + " or " + formats[last]
	cmd.Flags().StringVarP(format, "format", "o", "text", "how to print the result: "+list)
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	check(cmd, func() error {
		if !slices.Contains(formats, *format) {
			return fmt.Errorf("-o takes %s, not %q", list, *format)
		}
		return nil
	})
}

// ciFormats are those that a service for CI shows beside the lines of a contract.
var ciFormats = []string{"sarif", "github"}

// completeDirs completes the names of environments.
func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// crashed says that victorgen has panicked. The place and the version find the
// fault; what the panic said may hold a value, and is gone.
func crashed(err *crash.Error) plan.Diagnostic {
	return plan.Diagnostic{
		Code: plan.CodeCrash, Severity: plan.Error,
		Message: fmt.Sprintf("victorgen %s has a fault at %s, and has stopped there", thisVersion().Version, err.Place),
		Hint:    "report it with this line, and with what of the contract you may show; what was written before it stays",
	}
}
