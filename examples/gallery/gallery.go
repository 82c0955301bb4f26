// Package gallery is the contracts of the gallery, for `victorgen init --from` to start
// from.
package gallery

import (
	"embed"
	"fmt"
	"strings"

	"github.com/victor-ai/victorgen/internal/lazy"
)

//go:embed envs/*/*.cue
var envs embed.FS

// Names are the applications of the gallery, sorted.
func Names() []string {
	dirs, err := envs.ReadDir("envs")
	if err != nil {
		panic(err) // it is embedded
	}
	var names []string
	for _, d := range dirs {
		names = append(names, d.Name())
	}
	return names
}

var (
	// Its name, and what stands aligned below it.
	name    = lazy.MustCompile(`(?m)^environment: .*\n`)
	aligned = lazy.MustCompile(`(?m)^partOf: +`)

	// The last field of each, which is about manifests that stay in the gallery.
	workloads = lazy.MustCompile(`(?ms)^\nworkloads: (\{.*?^\}|[^\n]*)\n`)
)

// Contract is the contract of an application, as the package pkg. What an environment has
// to say is not in it.
func Contract(application, pkg string) ([]byte, error) {
	text, err := envs.ReadFile("envs/" + application + "/" + application + ".cue")
	if err != nil {
		return nil, fmt.Errorf("the gallery has no %q: it has %s", application, strings.Join(Names(), ", "))
	}
	contract := workloads.ReplaceAllString(name.ReplaceAllString(string(text), "schema.#Environment\n"), "")
	contract = aligned.ReplaceAllString(contract, "\npartOf: ")
	return []byte(strings.Replace(contract, "\npackage gallery\n", "\npackage "+pkg+"\n", 1)), nil
}
