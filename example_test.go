package victorgen_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
)

// Build without values, as a job for CI does that may not read them: is what is
// committed what the contract says?
func ExampleBuild() {
	dirs, err := compiler.Find("examples/victor/envs/...")
	if err != nil {
		fmt.Println(err)
		return
	}
	for b := range victorgen.Build(context.Background(), dirs, victorgen.BuildOptions{Offline: true, Check: true}) {
		if err := b.Err(); err != nil {
			fmt.Println(b.Name, err)
			continue
		}
		fmt.Printf("%s: %d secrets, %d changes\n", b.Name, len(b.Report.Secrets), len(b.Changes))
	}
	// Output:
	// dev: 4 secrets, 0 changes
	// production: 4 secrets, 0 changes
	// production-aws: 4 secrets, 0 changes
	// production-azure: 4 secrets, 0 changes
	// production-external: 4 secrets, 0 changes
	// staging: 4 secrets, 0 changes
}

// Verify what the sources hold, with metadata alone.
func ExampleVerify() {
	os.Setenv("SENTRY_DSN", "https://public@sentry.example/1")
	defer os.Unsetenv("SENTRY_DSN")
	dir, _ := filepath.Abs("examples/victor/envs/dev")
	o := victorgen.VerifyOptions{FromSources: true}
	for v := range victorgen.Verify(context.Background(), []string{dir}, o) {
		for _, in := range v.Inputs {
			if in.Name == "SENTRY_DSN" {
				fmt.Println(in.Name, in.State, "in", in.Origin)
			}
		}
	}
	// Output: SENTRY_DSN present in the process environment
}
