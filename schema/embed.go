// Package schema is the language in which contracts are written: the CUE
// definitions of this directory, embedded. The .cue files are the manual of
// the language and its only definition; the compiler overlays them when it
// loads a contract, and `victorgen init` writes the same files into a new
// module so that `cue vet` and editors find them.
package schema

import (
	"embed"
	"io/fs"
	"path/filepath"
	"strings"
)

// ImportPath is how a contract imports the schema.
const ImportPath = "github.com/victor-ai/victorgen/schema"

// Language is the version of the language: of contracts that every victorgen of this
// version, and later ones, understands. A contract that needs a later one says so in its
// cue.mod/module.cue, where tools may keep what they like, as
//
//	custom: "github.com/victor-ai/victorgen": language: 2
//
// What is said there of version 1 is nothing. See docs/compatibility.md.
const Language = 1

// Module is how that file names victorgen.
const Module = "github.com/victor-ai/victorgen"

//go:embed *.cue kit/*.cue
var files embed.FS

// Files returns the schema and its kit: by slash-separated name, the content.
func Files() map[string][]byte {
	m := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		m[name], err = files.ReadFile(name)
		return err
	})
	if err != nil {
		panic(err) // the directory is part of the binary
	}
	return m
}

// Dir is where a CUE module keeps the schema, relative to its root and
// slash-separated: CUE looks for packages that no registry serves under
// cue.mod/pkg.
const Dir = "cue.mod/pkg/" + ImportPath

// Contains reports whether file, an absolute path, is one of a module's copy
// of the schema.
func Contains(file string) bool {
	return strings.Contains(filepath.ToSlash(file), "/"+Dir+"/")
}
