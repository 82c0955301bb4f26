package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// notContracts are the codes whose examples are not compiled, and why. One of three
// characters is for all codes that begin so.
var notContracts = map[string]string{
	"VG2": "values at a source",
	"VG3": "certificates and what is sealed",
	"VG4": "trees, locks and Git",
	"VG5": "a cluster",
	"VG6": "what is imported",

	"VG1002": "a directory without a module",
	"VG1010": "the schema's copy in a module",
	"VG1011": "a link",
	"VG1013": "a contract that takes minutes",
	"VG1207": "values at a source",
	"VG1210": "a template of 2 MiB",
	"VG1405": "a link",
	"VG1408": "a certificate of your own",
	"VG1430": "a bug",
	"VG1433": "variables of a build",
}

// exampleFile is the line before each file of an example that has several.
var exampleFile = regexp.MustCompile(`(?m)^(?://|#) (\S+\.(?:cue|yaml))\n`)

// TestExplainExamples compiles the example of each code that is about contracts: what is
// shown before has the code, and what is shown after has no error, and not the code.
func TestExplainExamples(t *testing.T) {
	used, n := map[string]bool{}, 0
	for _, code := range plan.Codes() {
		e, ok := plan.ExampleOf(code)
		if !ok {
			t.Errorf("%s has no example", code)
			continue
		}
		if except := string(code); notContracts[except] != "" || notContracts[except[:3]] != "" {
			used[except], used[except[:3]] = true, true
			continue
		}
		n++
		t.Run(string(code), func(t *testing.T) {
			if found, errs := vetExample(t, e.Before); !slices.Contains(found, string(code)) {
				t.Errorf("before has %v\n%s\n%s", found, e.Before, errs)
			}
			exit, found, errs := vetExampleExit(t, e.After)
			if exit != 0 || slices.Contains(found, string(code)) {
				t.Errorf("after has %v, exit %d\n%s\n%s", found, exit, e.After, errs)
			}
		})
	}
	for code := range notContracts {
		if !used[code] {
			t.Errorf("%s is no code", code)
		}
	}
	if n < 60 {
		t.Errorf("%d examples are compiled", n)
	}
}

func vetExample(t *testing.T, text string) (codes []string, errs string) {
	t.Helper()
	_, codes, errs = vetExampleExit(t, text)
	return codes, errs
}

// vetExampleExit runs vet over a module that has the files of an example, or the command
// in its last line.
func vetExampleExit(t *testing.T, text string) (exit int, codes []string, errs string) {
	t.Helper()
	dir := t.TempDir()
	text, command, _ := strings.Cut(text+"\n", "\n$ ")
	for file, content := range exampleFiles(t, strings.TrimSuffix(text, "\n")+"\n") {
		if err := write(dir, file, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"victorgen", "vet", "envs/dev"}
	if command != "" {
		args = strings.Fields(command)
	}
	for args[0] != "victorgen" {
		name, value, ok := strings.Cut(args[0], "=")
		if !ok {
			t.Fatalf("what is %q?", command)
		}
		old, was := os.LookupEnv(name)
		if os.Setenv(name, value); was {
			defer os.Setenv(name, old)
		} else {
			defer os.Unsetenv(name)
		}
		args = args[1:]
	}
	t.Chdir(dir)
	exit, stdout, stderr := victorgen(t, append(args[1:], "-o", "json")...)
	var result struct {
		Environments []struct {
			Diagnostics []struct{ Code, Message string }
		}
		Diagnostics []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		return exit, regexp.MustCompile(`VG\d{4}`).FindAllString(stderr, -1), stderr
	}
	for _, e := range result.Environments {
		for _, d := range e.Diagnostics {
			codes = append(codes, d.Code)
		}
	}
	for _, d := range result.Diagnostics {
		codes = append(codes, d.Code)
	}
	return exit, codes, stdout + stderr
}

// exampleFiles are the files of an example, and what else a module needs: a file that
// has no package clause is given one, and the environment what the example does not say.
func exampleFiles(t *testing.T, text string) map[string]string {
	t.Helper()
	files := map[string]string{}
	marks := exampleFile.FindAllStringSubmatchIndex(text, -1)
	if len(marks) == 0 || marks[0][0] > 0 {
		marks = append([][]int{{0, 0, 0, 0}}, marks...)
	}
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		name := "contract.cue"
		if m[3] > m[2] {
			name = text[m[2]:m[3]]
		}
		files[name] = text[m[1]:end]
	}
	if !strings.HasPrefix(files["contract.cue"], "package ") {
		head := "package shop\n\n"
		for name, path := range map[string]string{"schema.": "github.com/victor-ai/victorgen/schema", "strings.": "strings"} {
			if name == "schema." || strings.Contains(files["contract.cue"], name) {
				head += "import \"" + path + "\"\n"
			}
		}
		files["contract.cue"] = head + "\nschema.#Environment\n\n" + files["contract.cue"]
	}
	if env := files["envs/dev/env.cue"]; !strings.HasPrefix(env, "package ") {
		head := "package shop\n\nenvironment: \"dev\"\n"
		if !regexp.MustCompile(`(?m)^namespace:`).MatchString(text) {
			head += "namespace: \"shop\"\n"
		}
		files["envs/dev/env.cue"] = head + "delivery: certificate: \"sealing-cert.pem\"\n" + env
	}
	certificate, err := sealingCertificate(time.Hour * 24 * 365)
	if err != nil {
		t.Fatal(err)
	}
	files[filepath.Join("envs", "dev", "sealing-cert.pem")] = string(certificate)
	files["cue.mod/module.cue"] = "module: \"shop.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n"
	return files
}
