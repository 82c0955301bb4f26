package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/victor-ai/victorgen/schema"
)

// TestPlain compiles environments that are plain in all but one thing, put together
// where that is done and loaded by CUE's loader: it comes to the same.
func TestPlain(t *testing.T) {
	t.Parallel()
	const plainly = "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\n"
	for name, test := range map[string]struct {
		plain bool
		files map[string]string
	}{
		"nothing":                        {true, nil},
		"a version of the module":        {true, map[string]string{"cue.mod/module.cue": "// A module.\nmodule: \"test.example/app@v2\"\nlanguage: version: \"v0.13.0\"\n"}},
		"the version in braces":          {true, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: {\n\tversion: \"v0.9.2\"\n}\n"}},
		"the newest language":            {true, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.17.0\"\n"}},
		"a language to come":             {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.99.0\"\n"}},
		"an old language":                {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.8.0\"\n"}},
		"no language":                    {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\n"}},
		"no version of a language":       {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"new\"\n"}},
		"a source":                       {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\nsource: kind: \"git\"\n"}},
		"an unknown field":               {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\nx: 1\n"}},
		"a module twice":                 {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0\"\nmodule: \"test.example/other@v0\"\n"}},
		"an optional module":             {false, map[string]string{"cue.mod/module.cue": "module?: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\n"}},
		"a module with a minor version":  {false, map[string]string{"cue.mod/module.cue": "module: \"test.example/app@v0.1.0\"\nlanguage: version: \"v0.15.0\"\n"}},
		"a module without a dot":         {false, map[string]string{"cue.mod/module.cue": "module: \"app\"\nlanguage: version: \"v0.15.0\"\n"}},
		"the module of the schema":       {false, map[string]string{"cue.mod/module.cue": "module: \"github.com/victor-ai/victorgen@v0\"\nlanguage: version: \"v0.15.0\"\n"}},
		"a module that is no CUE":        {false, map[string]string{"cue.mod/module.cue": "module: {\n"}},
		"a byte order mark":              {false, map[string]string{"envs/test/env.cue": "\ufeff" + plainly}},
		"bytes that are no text":         {false, map[string]string{"envs/test/env.cue": plainly + "partOf: \"\xff\"\n"}},
		"a test":                         {false, map[string]string{"envs/test/env_test.cue": "package app\n\npartOf: \"x\"\n"}},
		"a tool":                         {false, map[string]string{"tool_tool.cue": "package app\n\npartOf: \"x\"\n"}},
		"a file without a package":       {false, map[string]string{"envs/test/more.cue": "partOf: \"x\"\n"}},
		"two packages":                   {false, map[string]string{"envs/test/more.cue": "package other\n\npartOf: \"x\"\n"}},
		"another package above":          {true, map[string]string{"envs/more.cue": "package other\n\npartOf: 3\n"}},
		"no package above":               {true, map[string]string{"envs/more.cue": "partOf: 3\n"}},
		"more above":                     {true, map[string]string{"envs/more.cue": "package app\n\npartOf: \"x\"\n"}},
		"a package of the contract":      {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"test.example/app/more\"\n\npartOf: more.x\n", "more/more.cue": "package more\n\nx: \"y\"\n"}},
		"a package that is not there":    {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"test.example/app/more\"\n\npartOf: more.x\n"}},
		"a package of others":            {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"other.example/more\"\n\npartOf: more.x\n"}},
		"a package of CUE":               {true, map[string]string{"envs/test/more.cue": "package app\n\nimport \"strings\"\n\npartOf: strings.ToLower(\"X\")\n"}},
		"a package of CUE by name":       {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"strings:strings\"\n\npartOf: strings.ToLower(\"X\")\n"}},
		"a package that CUE lacks":       {true, map[string]string{"envs/test/more.cue": "package app\n\nimport \"none/of\"\n\npartOf: of.x\n"}},
		"an import for nothing":          {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"strings\"\n\npartOf: \"x\"\n"}},
		"an import under another name":   {true, map[string]string{"envs/test/more.cue": "package app\n\nimport s \"" + schema.ImportPath + "\"\n\ninputs: X: s.#Required\n"}},
		"a version of the schema":        {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"" + schema.ImportPath + "@v0\"\n\ninputs: X: schema.#Required\n"}},
		"the schema by its name":         {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"" + schema.ImportPath + ":schema\"\n\ninputs: X: schema.#Required\n"}},
		"the plan of the schema":         {true, map[string]string{"envs/test/more.cue": "package app\n\nimport \"" + schema.ImportPath + "\"\n\n#P: schema.#Plan\n_v: #P.version\nif _v == 2 {partOf: \"x\"}\n"}},
		"a part of the plan":             {true, map[string]string{"envs/test/more.cue": "package app\n\nimport s \"" + schema.ImportPath + "\"\n\n_i: s.#InputPlan & {state: 3}\n"}},
		"a plan that the schema lacks":   {true, map[string]string{"envs/test/more.cue": "package app\n\nimport s \"" + schema.ImportPath + "\"\n\n_i: s.#OtherPlan\n"}},
		"the kit":                        {true, map[string]string{"envs/test/more.cue": "package app\n\nimport \"" + schema.ImportPath + "/kit\"\n\nsecrets: more: kit.#OpaqueFile\n"}},
		"what is not of the kit":         {false, map[string]string{"envs/test/more.cue": "package app\n\nimport \"" + schema.ImportPath + "/other\"\n\npartOf: other.x\n"}},
		"hidden fields":                  {true, map[string]string{"more.cue": "package app\n\n_x: \"y\"\n", "envs/test/more.cue": "package app\n\npartOf: _x\n"}},
		"a forbidden attribute":          {true, map[string]string{"envs/test/more.cue": "@if(prod)\n\npackage app\n\npartOf: \"x\" @tag(x)\n"}},
		"a conflict":                     {true, map[string]string{"envs/test/more.cue": "package app\n\npartOf: \"x\"\n", "more.cue": "package app\n\npartOf: \"y\"\n"}},
		"what is no CUE":                 {false, map[string]string{"envs/test/more.cue": "package app\n\npartOf: {\n"}},
		"what is no CUE in its language": {true, map[string]string{"cue.mod/module.cue": "module: \"test.example/app\"\nlanguage: version: \"v0.9.0\"\n", "envs/test/more.cue": "package app\n\nlet x = \"y\"\npartOf: x\n"}},
		"a word that nobody knows":       {true, map[string]string{"envs/test/more.cue": "package app\n\npartOf: nobody\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{
				"cue.mod/module.cue": "module: \"test.example/app\"\nlanguage: version: \"v0.15.0\"\n",
				"contract.cue":       "package app\n\nimport \"" + schema.ImportPath + "\"\n\nschema.#Environment\n\ninputs: TOKEN: schema.#Required\nsecrets: app: keys: token: input: \"TOKEN\"\ndelivery: certificate: \"cert.pem\"\n",
				"envs/test/env.cue":  plainly,
			}
			for file, text := range test.files {
				files[file] = text
			}
			for file, text := range files {
				err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755)
				if err == nil {
					err = os.WriteFile(filepath.Join(root, file), []byte(text), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(root, "envs/test")
			m, err := openModule(root, dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if plain := m.plainInstance() != nil; plain != test.plain {
				t.Errorf("plain: %v, want %v", plain, test.plain)
			}
			compile := func(o Options) string {
				o.Review = true
				p, ds := Compile(dir, o)
				return describe(p) + fmt.Sprintf("%+v", ds)
			}
			got, want := compile(Options{}), compile(Options{loader: true})
			if got != want {
				t.Errorf("put together it comes to\n%s\nand loaded by CUE to\n%s", got, want)
			}
		})
	}
}
