package compiler

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/schema"
)

// Find returns the absolute directories of the environments that patterns
// name, sorted and without duplicates. A pattern is a directory, or a
// directory followed by "/...", which stands for every environment in it and
// below: every directory with a CUE file that sets the field environment.
func Find(patterns ...string) ([]string, error) {
	var dirs []string
	for _, pattern := range patterns {
		root, deep := strings.CutSuffix(filepath.ToSlash(pattern), "...")
		if root == "" {
			root = "."
		}
		root, err := filepath.Abs(root)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(root)
		if err != nil {
			return nil, fmt.Errorf("%s: no such environment", pattern)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is a file; name the directory of an environment, such as envs/production", pattern)
		}
		if resolved, err := filepath.EvalSymlinks(root); err == nil {
			root = resolved // a link is walked into, and one directory counts once
		}
		if !deep {
			dirs = append(dirs, root)
			continue
		}
		before := len(dirs)
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !d.IsDir():
				return nil
			case path != root && (d.Name() == "cue.mod" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")):
				return fs.SkipDir // as CUE's own patterns do
			case isEnvironment(path):
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(dirs) == before {
			return nil, fmt.Errorf("%s matches no environment: no CUE file there sets the field environment", pattern)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// isEnvironment reports whether a CUE file in dir sets the field environment.
// A file that does not parse counts, so that its errors are seen.
func isEnvironment(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*.cue"))
	for _, file := range files {
		f, err := parser.ParseFile(file, nil)
		if err != nil {
			return true
		}
		for _, d := range f.Decls {
			if field, ok := d.(*ast.Field); ok {
				if name, _, _ := ast.LabelName(field.Label); name == "environment" {
					return true
				}
			}
		}
	}
	return false
}

// moduleRoot returns the nearest directory at or above dir that holds
// cue.mod/module.cue.
func moduleRoot(dir string) (string, bool) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "cue.mod", "module.cue")); err == nil {
			return d, true
		}
		if d == filepath.Dir(d) {
			return "", false
		}
	}
}

// loadInstance loads the CUE package in dir with the embedded schema laid over
// the module's own copy, and no registry: a compilation never touches the
// network.
func loadInstance(root, dir string, ds *plan.Diagnostics) *build.Instance {
	overlay := map[string]load.Source{}
	for name, content := range schema.Files() {
		path := filepath.Join(root, filepath.FromSlash(schema.Dir), name)
		overlay[path] = load.FromBytes(content)
		vendored, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(vendored, content) {
			ds.Warnf(plan.CodeSchemaStale, []plan.Pos{{File: path, Line: 1, Column: 1}},
				"run `victorgen init` in the module to renew it",
				"the module's copy of the schema is not the one of this victorgen; it is not used")
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			ds.Warnf(plan.CodeSchemaStale, nil, "", "the module's copy of the schema can't be read: %v", err)
		}
	}
	return load.Instances([]string{"."}, &load.Config{
		Dir:        dir,
		ModuleRoot: root,
		Overlay:    overlay,
		Env:        append(os.Environ(), "CUE_REGISTRY=none"),
	})[0]
}
