package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLinked: each module of the program, on each system, comes with its licence, and so
// does the standard library.
func TestLinked(t *testing.T) {
	t.Parallel()
	targets := []string{"linux/amd64", "windows/amd64"}
	modules, err := linked(targets)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	writeLicenses(&b, modules)
	text := b.String()
	for _, want := range []string{
		"\ncuelang.org/go v", "\nstdlib go1.", "\ngithub.com/spf13/cobra v",
		"\ngithub.com/inconshreveable/mousetrap v", // on Windows alone
		"\nk8s.io/utils internal/third_party/forked/golang/LICENSE\n", "\ngithub.com/aws/smithy-go NOTICE\n",
		"Mozilla Public License, version 2.0", "Copyright 2009 The Go Authors.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the licences do not have %q", want)
		}
	}
	for _, m := range modules {
		if len(m.Licenses) == 0 || m.Version == "" || strings.Contains(m.Path, "victor-ai") {
			t.Errorf("%+v", m)
		}
	}
	if root, _ := filepath.Abs("../.."); strings.Contains(text, root) {
		t.Error("the licences name a directory of this machine")
	}
}

// mit is a licence; refused is one that is known and not accepted, and unknown is none.
const (
	mit = `MIT License

Copyright (c) 2026 The authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`
	refused = `DO WHAT THE FUCK YOU WANT TO PUBLIC LICENSE
TERMS AND CONDITIONS FOR COPYING, DISTRIBUTION AND MODIFICATION
0. You just DO WHAT THE FUCK YOU WANT TO.
`
	unknown = "All of this is ours, and you may look at it on Tuesdays.\n"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	if ids, err := identify(mit); err != nil || !slices.Equal(ids, []string{"MIT"}) {
		t.Errorf("got %v, %v", ids, err)
	}
	for text, want := range map[string]string{refused: "is WTFPL, which is not among", unknown: "is not a known licence"} {
		if ids, err := identify(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, and want %q", ids, err, want)
		}
	}
}

// TestCollect: the licences between a package and the root of its module, and no others.
func TestCollect(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"COPYING": mit, "notice.txt": "made by us", "license.go": "package m", "LICENSES/MIT.txt": mit,
		"forked/LICENSE-MIT": mit, "forked/p/p.go": "package p", "other/LICENSE": unknown, "NOTICE.docs": "of the documentation",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]string{}
	if err := collect(texts, root, filepath.Join(root, "forked", "p")); err != nil {
		t.Fatal(err)
	}
	if len(texts) != 3 || texts["COPYING"] == "" || texts["notice.txt"] == "" || texts["forked/LICENSE-MIT"] == "" {
		t.Errorf("got %q", texts)
	}
	bare := t.TempDir()
	if err := os.WriteFile(filepath.Join(bare, "NOTICE"), []byte("made by us"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := collect(map[string]string{}, bare, bare); err == nil {
		t.Error("a module with a notice alone has a licence")
	}
}

// TestForeignProgram: of a program that is not made of what this module is made of there
// is nothing to tell but that.
func TestForeignProgram(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = writeSBOM(&bytes.Buffer{}, self, "v1.2.3", "2026-01-02T03:04:05Z") // this test has more
	if err == nil || !strings.Contains(err.Error(), "is linked into it") {
		t.Errorf("got %v", err)
	}
}

func TestPURL(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"github.com/Masterminds/sprig/v3", "v3.3.0", "pkg:golang/github.com/masterminds/sprig/v3@v3.3.0"},
		{"example.com/m", "v2.0.0+incompatible", "pkg:golang/example.com/m@v2.0.0%2Bincompatible"},
		{standard, "go1.26.0", "pkg:golang/stdlib@1.26.0"},
	} {
		if got := purl(c[0], c[1]); got != c[2] {
			t.Errorf("got %s, want %s", got, c[2])
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	const changelog = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.0] - 2026-01-02\n\n### Added\n\n- a [link]\n\n## [1.1.0] - 2026-01-01\n\n- old\n\n## [1.0.0] - 2025-01-01\n"
	for version, want := range map[string]string{"v1.2.0": "### Added\n\n- a [link]\n", "1.1.0": "- old\n", "v1.0.0": "", "v1.3.0": "", "v1.2": ""} {
		got, err := notesOf(changelog, version)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
}
