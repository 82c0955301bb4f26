// Command release makes what a release holds next to the program: the licences of all
// that is linked into it, and the list of that, an SBOM. `make release-snapshot` calls it.
// It reads the module cache, and needs no network.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

const usage = `usage: release licenses FILE GOOS/GOARCH...   the licences of all that is linked, for these systems
       release sbom PROGRAM VERSION DATE FILE     what PROGRAM is made of, as SPDX
       release notes FILE CHANGELOG VERSION       what a changelog says of a version`

func run(args []string) error {
	var b bytes.Buffer
	var file string
	switch {
	case len(args) > 2 && args[0] == "licenses":
		file = args[1]
		modules, err := linked(args[2:])
		if err != nil {
			return err
		}
		writeLicenses(&b, modules)
	case len(args) == 5 && args[0] == "sbom":
		file = args[4]
		if err := writeSBOM(&b, args[1], args[2], args[3]); err != nil {
			return fmt.Errorf("%s: %w", args[1], err)
		}
	case len(args) == 4 && args[0] == "notes":
		file = args[1]
		text, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		notes, err := notesOf(string(text), args[3])
		if err != nil {
			return fmt.Errorf("%s: %w", args[2], err)
		}
		b.WriteString(notes)
	default:
		return fmt.Errorf("wrong arguments\n%s", usage)
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// notesOf are the lines of a changelog about a version, in the form of
// https://keepachangelog.com/en/1.1.0/.
func notesOf(changelog, version string) (string, error) {
	title := "## [" + strings.TrimPrefix(version, "v") + "]"
	_, rest, ok := strings.Cut("\n"+changelog, "\n"+title)
	if !ok {
		return "", fmt.Errorf("has no section %q: write it, and tag again", title)
	}
	_, rest, _ = strings.Cut(rest, "\n") // the date
	notes, _, _ := strings.Cut(rest, "\n## ")
	if notes = strings.TrimSpace(notes); notes == "" {
		return "", fmt.Errorf("says nothing in the section %q", title)
	}
	return notes + "\n", nil
}
