package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
)

// A panic, wherever it is, tells its place and the version, and not what it says.
func TestCrash(t *testing.T) {
	const canary = "c4nary-of-a-panic"
	dir := "../../examples/victor/envs/dev"
	for name, f := range map[string]func(*cobra.Command) error{
		"in a verb":     func(*cobra.Command) error { panic(canary) },
		"with an error": func(*cobra.Command) error { panic(errors.New(canary)) },
		"in a goroutine": func(cmd *cobra.Command) error {
			return forEach(cmd, []string{dir}, compiler.Options{}, "text", "", func(context.Context, *result) { panic(canary) }, nil)
		},
		"in an output": func(cmd *cobra.Command) error {
			return forEach(cmd, []string{dir}, compiler.Options{}, "text", "", nil, func(io.Writer, *printer, *result) { panic(canary) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			root := newRoot(&out, &out)
			root.AddCommand(&cobra.Command{Use: "fault", RunE: func(cmd *cobra.Command, _ []string) error { return f(cmd) }})
			root.SetArgs([]string{"fault"})
			if code := execute(t.Context(), root, &out); code != exitSource {
				t.Errorf("exit %d", code)
			}
			want := regexp.MustCompile(`^error VG1430: victorgen \S+ has a bug at cmd/victorgen/crash_test\.go:\d+, and has stopped there\n`)
			if !want.MatchString(out.String()) || strings.Contains(out.String(), canary) || strings.Contains(out.String(), "goroutine") {
				t.Errorf("it says:\n%s", &out)
			}
		})
	}
}
