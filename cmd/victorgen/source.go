package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler/source/exec"
)

func sourceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "source",
		Short: "Check a program that is a source",
		Long: `A source of kind exec is a program that speaks JSON lines: docs/exec.md describes
the protocol. Source helps to write one.`,
		Args: verbsAlone,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(sourceTestCommand())
	return cmd
}

// sourceReport is what source test prints with -o json.
type sourceReport struct {
	Version int          `json:"version"`
	OK      bool         `json:"ok"`
	Checks  []exec.Check `json:"checks"`
	Left    []string     `json:"left,omitempty"`
}

func sourceTestCommand() *cobra.Command {
	var o exec.CheckOptions
	var format string
	cmd := &cobra.Command{
		Use:   "test [flags] -- PROGRAM [ARG...]",
		Short: "Check whether a program follows the protocol",
		Long: `Test runs a program as a source of kind exec would be run, and checks everything
that docs/exec.md demands: that it greets and exits, what it answers for values
that exist and for those that do not, that create overwrites nothing, that values
come back byte for byte, and that it prints none.

What it does not claim to support is not an error. A program that only
reads needs --present, the name of something that has a value.

To test writing, it stores values of its own under names that begin with --prefix
and end with a random part; they are left there, and listed at the end. Run it
where that does no harm.`,
		Example: `  victorgen source test -- ./victorgen-source-pass
  victorgen source test --present shop/db-password -- victorgen-source-op --vault shop
  victorgen source test --prefix sandbox/ -o json -- ./mine`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || cmd.ArgsLenAtDash() != 0 {
				return usageError{errors.New("name the program after --, as in victorgen source test -- ./mine")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if format == "text" {
				o.Tell = func(c exec.Check) {
					fmt.Fprintf(cmd.OutOrStdout(), "%-13s  %s\n", c.Verdict, c.Name)
					if c.Why != "" {
						fmt.Fprintf(cmd.OutOrStdout(), "%13s    %s\n", "", inLine(c.Why))
					}
					if c.Remedy != "" {
						fmt.Fprintf(cmd.OutOrStdout(), "%13s    hint: %s\n", "", inLine(c.Remedy))
					}
				}
			}
			o.Tree = workTree()
			if strings.ContainsRune(args[0], filepath.Separator) { // it is not run in this directory
				program, err := filepath.Abs(args[0])
				if err != nil {
					return err
				}
				args[0], o.Tree = program, "" // anyone who names it here means it, wherever it is
			}
			report := sourceReport{Version: 1, OK: true}
			report.Checks, report.Left = exec.Conform(cmd.Context(), args, o)
			counts := map[exec.Verdict]int{}
			for _, c := range report.Checks {
				counts[c.Verdict]++
			}
			report.OK = counts[exec.Wrong] == 0 && cmd.Context().Err() == nil
			if format == "json" {
				if err := encode(cmd.OutOrStdout(), report); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%d ok, %d failed, %d not supported\n", counts[exec.Passed], counts[exec.Wrong], counts[exec.Skipped])
				if len(report.Left) > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "left behind: %s\n", inLine(strings.Join(report.Left, ", ")))
				}
			}
			if !report.OK {
				return failure(exitFindings)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Prefix, "prefix", "victorgen-test-", "prefix of the names that are made up")
	f.StringVar(&o.Present, "present", "", "a name that has a value, to be read")
	f.DurationVar(&o.Timeout, "timeout", 30*time.Second, "how long each run may take")
	outputFlag(cmd, &format)
	check(cmd, func() error {
		if o.Timeout <= 0 {
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	return cmd
}
