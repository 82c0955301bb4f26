package compiler

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/limit"
)

// moduleWith is a module with one environment, to which files add.
func moduleWith(files map[string]string) map[string]string {
	all := map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\ninputs: TOKEN: schema.#Required\nsecrets: app: keys: token: input: \"TOKEN\"\n",
		"envs/dev/env.cue":   "package app\n\nenvironment: \"dev\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../c.pem\"\n",
	}
	for name, content := range files {
		all[name] = content
	}
	return all
}

func only(t *testing.T, ds plan.Diagnostics, code plan.Code, text string) {
	t.Helper()
	for _, d := range ds {
		if d.Code == code && strings.Contains(d.Message, text) {
			return
		}
	}
	t.Errorf("got %v, want %s with %q", ds, code, text)
}

// TestLimits: what goes on forever, or takes all memory, ends with an error.
func TestLimits(t *testing.T) {
	t.Run("time", func(t *testing.T) {
		root := write(t, moduleWith(map[string]string{
			"envs/dev/x.cue": "package app\n\nimport \"list\"\n\n_x: [for a in list.Range(0, 300, 1) for b in list.Range(0, 300, 1) {a * b}]\n",
		}))
		start := time.Now()
		p, ds := Compile(filepath.Join(root, "envs", "dev"), Options{Timeout: time.Millisecond})
		if p != nil || time.Since(start) > 5*time.Second {
			t.Errorf("it took %v", time.Since(start))
		}
		only(t, ds, plan.CodeLimit, "takes more than 1ms")
	})
	t.Run("memory", func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		p, ds := within(time.Minute, 1, "dir", func() (*plan.Plan, plan.Diagnostics) { <-stop; return nil, nil })
		if p != nil {
			t.Error("there is a plan")
		}
		only(t, ds, plan.CodeLimit, "of memory")
	})
	t.Run("panic", func(t *testing.T) {
		err := crash.Catch(func() {
			within(time.Minute, limit.Memory, "dir", func() (*plan.Plan, plan.Diagnostics) { panic("oh") })
		})
		if err == nil || !strings.HasPrefix(err.Place, "compiler/limit_test.go:") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("rules", func(t *testing.T) {
		// The pigeonhole principle, which takes resolution exponentially many steps
		// (Haken 1985, https://doi.org/10.1016/0304-3975(85)90144-6).
		const n = 9
		var b strings.Builder
		b.WriteString("package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\n")
		pigeons, holes := make([]string, n+1), make([]string, n)
		for i := range n + 1 {
			for j := range n {
				name := fmt.Sprintf("P%dH%d", i, j)
				fmt.Fprintf(&b, "inputs: %s: schema.#Optional\n", name)
				pigeons[i] += fmt.Sprintf("%q, ", name)
				holes[j] += fmt.Sprintf("%q, ", name)
			}
		}
		for i, p := range pigeons {
			fmt.Fprintf(&b, "rules: a%d: {kind: \"atLeastOne\", inputs: [%s]}\n", i, p)
		}
		for j, h := range holes {
			fmt.Fprintf(&b, "rules: z%d: {kind: \"exactlyOne\", inputs: [%s]}\n", j, h)
		}
		root := write(t, moduleWith(map[string]string{"envs/dev/x.cue": b.String()}))
		_, ds := Compile(filepath.Join(root, "envs", "dev"), Options{})
		only(t, ds, plan.CodeLimit, "could not be determined in")
	})
}

// TestUnbounded: what makes a value of any size at once is refused, whatever it
// is called by; a process that allocates a terabyte would die (issue 18).
func TestUnbounded(t *testing.T) {
	t.Parallel()
	const imports = "package app\n\nimport (\n\t\"strings\"\n\ts \"strings\"\n\t\"list\"\n\t\"math/bits\"\n\t\"path\"\n)\n\n_u: [path.Base(\"a\", path.Unix), strings.ToUpper(\"a\"), s.ToLower(\"a\"), list.Range(0, 3, 1), bits.Len(3)]\n_k: 1000000\n"
	for text, code := range map[string]plan.Code{
		`inputs: TOKEN: minLength: 4 * len("12345678") * 2`: "",
		`_x: strings.Repeat("x", 2)`:                        plan.CodeUnbounded,
		`_x: s.Repeat("x", 2)`:                              plan.CodeUnbounded,
		`_x: s."Repeat"("x", 2)`:                            plan.CodeUnbounded,
		`_x: strings["Repeat"]`:                             plan.CodeUnbounded,
		`_x: (strings).Repeat("x", 2)`:                      plan.CodeUnbounded,
		`_x: {s}`:                                           plan.CodeUnbounded,
		"let S = strings\n_x: S.Repeat(\"x\", 2)":           plan.CodeUnbounded,
		`_r: strings.Repeat`:                                plan.CodeUnbounded,
		`_x: list.Repeat([1], 2)`:                           plan.CodeUnbounded,
		`_x: bits.Lsh(1, 100000000000)`:                     plan.CodeUnbounded,
		`_x: bits.SetBit(1, 100000000000, 1)`:               plan.CodeUnbounded,
		`_x: strings.Join([for i in [1, 2] {strings.Replace("a-\(i)", "-", "+", -1)}], path.Join(["a", "b"], path.Unix))`: "",
		"_x: strings.Replace(_long, \"a\", _long, -1)":                                                                    plan.CodeUnbounded,
		"_x: s.Join([_long, _long], _long)":                                                                               plan.CodeUnbounded,
		"_x: strings.Join([for _ in _many {_long}], \"\")":                                                                plan.CodeUnbounded,
		"_x: strings.Join(_many, \"\")":                                                                                   plan.CodeUnbounded,
		"_x: path.Join(_many, path.Unix)":                                                                                 plan.CodeUnbounded,
		`_r: strings.Replace`:                                                                                             plan.CodeUnbounded,
		"let R = s.Join\n_x: R([\"a\"], \"\")":                                                                            plan.CodeUnbounded,
		`_x: _k * (_k * "x")`:                                                                                             plan.CodeConflict,
		`_x: "\(_k * 'x')"`:                                                                                               plan.CodeConflict,
		"number: _\n_x: \"x\" * 2":                                                                                        plan.CodeConflict,
	} {
		// What the program adds to a contract is of every version of the language.
		root := write(t, moduleWith(map[string]string{"cue.mod/module.cue": "module: \"app.example\"\nlanguage: version: \"v0.9.0\"\n", "envs/dev/x.cue": imports + text + "\n_long: \"" + strings.Repeat("a", 900_000) + "\"\n_many: [" + strings.Repeat("\"a\",", 20_000) + "]\n"}))
		p, ds := Compile(filepath.Join(root, "envs", "dev"), Options{})
		switch {
		case code == "":
			if p == nil {
				t.Errorf("%s: %v", text, ds)
			}
		case p != nil:
			t.Errorf("%s: is fine", text)
		default:
			only(t, ds, code, "")
		}
	}
}

// TestPatternSize: a pattern is bounded by its length, and by what it becomes.
func TestPatternSize(t *testing.T) {
	t.Parallel()
	for pattern, text := range map[string]string{
		"^[A-Za-z0-9]{1000}$":                  "",
		strings.Repeat("a", maxPattern+1):      "has 1001 bytes",
		strings.Repeat("[a-z]{999}[0-9]", 100): "has 1500 bytes",
		strings.Repeat("[a-z]{999}[0-9]", 11):  "compiles to a program of 1",
	} {
		root := write(t, moduleWith(map[string]string{"envs/dev/x.cue": fmt.Sprintf("package app\n\ninputs: TOKEN: pattern: %q\n", pattern)}))
		p, ds := Compile(filepath.Join(root, "envs", "dev"), Options{})
		if text == "" && p == nil {
			t.Error(ds)
		} else if text != "" {
			only(t, ds, plan.CodeConstraint, text)
		}
	}
}

// FuzzNotCUE: whatever stands in a file that is not CUE, no message shows a line
// of it, or a word.
func FuzzNotCUE(f *testing.F) {
	for _, seed := range []string{
		"A=%s\n", "# c\nA='%s'\nB=\"%s", "%s: %s: }", "a: %s b", "a: \"%s\" \"%s\"", "package %s {", "import \"%s\"\nimport", "a: '%s\n", "a: 0x%s",
		"a: \"\\(%s\"", "@embed(%s", "%s-%s", "package app\n%s %s\n", "-----BEGIN %s-----\n", "{\"a\": \"%s\" 1}", "package app\nimport %s \"%s\" 1\n", "`%s`", "a: #\"%s", "postgres://%s:%s@h/d",
	} {
		f.Add(seed)
	}
	const canary = "c4naryValue"
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "%s", canary)
		if len(text) > 4096 || strings.ContainsRune(text, 0) {
			t.Skip()
		}
		root := write(t, moduleWith(map[string]string{"envs/dev/x.cue": text}))
		p, ds := Compile(filepath.Join(root, "envs", "dev"), Options{})
		m, err := newModule(root)
		if err != nil {
			t.Fatal(err)
		}
		if p != nil || m.load("envs/dev/x.cue").syntax != nil {
			return // it is CUE, and a part of the contract
		}
		for _, d := range ds {
			said := d.Message + d.Hint
			for _, at := range d.Pos {
				said += at.Text
			}
			if strings.Contains(said, canary) {
				t.Errorf("%q shows in %+v", text, d)
			}
			if len(d.Pos) == 0 && d.Code == plan.CodeSyntax {
				t.Errorf("%q is wrong nowhere: %+v", text, d)
			}
		}
	})
}
