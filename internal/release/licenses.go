package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// command is the package of the program.
const command = "github.com/victor-ai/victorgen/cmd/victorgen"

// A module is one that is linked into the program. The standard library is one, too.
type module struct {
	Path, Version string
	// Texts are its licences and notices, by their paths in the module: of the module
	// itself, and of directories of packages that are linked.
	Texts map[string]string
	// Licenses are those that the texts are, as SPDX calls them.
	Licenses []string
}

// standard is how the standard library is called in lists of modules.
const standard = "stdlib"

// A listed package is what `go list` tells of one.
type listed struct {
	ImportPath, Dir string
	Standard        bool
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// linked returns the modules whose packages are linked into the program for any of the
// targets, by path, without the module of the program itself. A package that no known
// licence covers is an error, and so is one of a licence that asks for more than to be
// told of, and for the source of the changes to it.
func linked(targets []string) ([]*module, error) {
	out, err := exec.Command("go", "env", "GOVERSION", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	goVersion, goRoot, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	all := map[string]*module{}
	var errs []error
	for _, target := range targets {
		goos, goarch, ok := strings.Cut(target, "/")
		if !ok {
			return nil, fmt.Errorf("%q is not GOOS/GOARCH", target)
		}
		packages, err := packagesOf(goos, goarch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", target, err)
		}
		for _, p := range packages {
			m, root := &module{Path: standard, Version: goVersion}, goRoot
			if !p.Standard {
				if p.Module == nil {
					return nil, fmt.Errorf("package %s is of no module", p.ImportPath)
				}
				if p.Module.Main {
					continue
				}
				m, root = &module{Path: p.Module.Path, Version: p.Module.Version}, p.Module.Dir
				if r := p.Module.Replace; r != nil {
					m.Path, m.Version, root = r.Path, r.Version, r.Dir
				}
			}
			if all[m.Path] == nil {
				m.Texts = map[string]string{}
				all[m.Path] = m
			}
			dir := p.Dir
			if p.Standard {
				dir = root // one licence for all of it
			}
			if err := collect(all[m.Path].Texts, root, dir); err != nil {
				errs = append(errs, fmt.Errorf("package %s: %w", p.ImportPath, err))
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no package is linked")
	}
	sorted := slices.SortedFunc(maps.Values(all), func(a, b *module) int { return cmp.Compare(a.Path, b.Path) })
	for _, m := range sorted {
		for _, name := range slices.Sorted(maps.Keys(m.Texts)) {
			if !licenseName.MatchString(path.Base(name)) {
				continue
			}
			ids, err := identify(m.Texts[name])
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %s %w", m.Path, m.Version, name, err))
			}
			m.Licenses = append(m.Licenses, ids...)
		}
		slices.Sort(m.Licenses)
		m.Licenses = slices.Compact(m.Licenses)
	}
	return sorted, errors.Join(errs...)
}

// packagesOf are the packages that the program is made of on a system.
func packagesOf(goos, goarch string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,Module", command)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.ImportPath != "unsafe" {
			all = append(all, p)
		}
	}
}

var (
	licenseName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|copyright|patents)([-._].*)?$`)
	// otherName is none of the two: sources, and what is said of documentation, which is not linked.
	otherName = regexp.MustCompile(`(?i)\.(go|s|json|ya?ml|tmpl|sh|docs)$`)
)

// accepted are the licences that a program under Apache-2.0 may be linked with, if their
// texts come with it, and one can have the source of the modules: https://www.apache.org/legal/resolved.html.
var accepted = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unlicense"}

// enough is how many percent of the words of a file must be those of a known licence, so
// that it is one. It is what pkg.go.dev asks for:
// https://pkg.go.dev/license-policy.
const enough = 75

// collect puts the licences and notices of a directory, and of those above it as far as
// root, into texts. The nearest licence is the one that covers the directory.
func collect(texts map[string]string, root, dir string) error {
	covered := false
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			license := licenseName.MatchString(e.Name())
			if e.IsDir() || otherName.MatchString(e.Name()) || !license && !noticeName.MatchString(e.Name()) {
				continue
			}
			file := filepath.Join(dir, e.Name())
			name, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			if name = filepath.ToSlash(name); texts[name] == "" {
				b, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				texts[name] = string(b)
			}
			covered = covered || license
		}
		if dir == root {
			break
		}
		if len(dir) <= len(root) {
			return fmt.Errorf("%s is not below %s", dir, root)
		}
		dir = filepath.Dir(dir)
	}
	if !covered {
		return fmt.Errorf("there is no licence in %s, nor between it and the package", root)
	}
	return nil
}

// identify returns the licences that a text is, as SPDX calls them.
func identify(text string) ([]string, error) {
	coverage := licensecheck.Scan([]byte(text))
	if coverage.Percent < enough {
		return nil, fmt.Errorf("is not a known licence: %.0f %% of it is", coverage.Percent)
	}
	var ids []string
	for _, m := range coverage.Match {
		if !slices.Contains(accepted, m.ID) {
			return nil, fmt.Errorf("is %s, which is not among those that a release may come with (internal/release)", m.ID)
		}
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// writeLicenses writes what is linked, of which licence it is, and each text once, after
// the names of the files that it stands in.
func writeLicenses(w io.Writer, modules []*module) {
	fmt.Fprint(w, `victorgen is linked with the modules below, which others have written. Behind each stand
its licences, and then follow their texts, and those of the notices that come with them.
The source of a module, as it was linked, is what this command downloads:

    go mod download MODULE@VERSION

`)
	files := map[string][]string{} // by text
	var texts []string             // in order
	for _, m := range modules {
		fmt.Fprintf(w, "%s %s: %s\n", m.Path, m.Version, strings.Join(m.Licenses, ", "))
		for _, name := range slices.Sorted(maps.Keys(m.Texts)) {
			text := m.Texts[name]
			if files[text] == nil {
				texts = append(texts, text)
			}
			files[text] = append(files[text], m.Path+" "+name)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(w, "\n%s\n", strings.Repeat("=", 80))
		for _, file := range files[text] {
			fmt.Fprintln(w, file)
		}
		fmt.Fprintf(w, "%s\n\n%s\n", strings.Repeat("-", 80), strings.TrimRight(text, "\n"))
	}
}
