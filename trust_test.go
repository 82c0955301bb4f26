package victorgen_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notInGit are the rows that no change of a repository is, by how they begin, and what
// they are.
var notInGit = map[string]string{
	"a part that is missing in JSON":    "what a source answers",
	"a build that waits forever":        "two that run at once",
	"a field that was overlooked":       "a change of victorgen",
	"a revision of the past":            "of the past",
	"a policy that is a link to a file": "a policy that can't be read",
	"`template` over a file":            "a command line",
	"a plan from the cache":             "a directory of the user",
	"`--rule-tests` over another file":  "a command line",
	"a value in any output":             "what sources hold",
	"a value in what an API server":     "what a cluster answers",
	"guesses of a value":                "read from Git",
	"a file with guesses of a value":    "a file that is no part of a module",
	"settings of a repository by which": "what is no part of a module",
}

// TestThreats: each row of the threat model names a test, and each of those is there.
// What someone could change in a repository, diff shows: TestHostile sees to that of
// its cases, TestDiffs of its pairs.
func TestThreats(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, "_test.go") {
			var b []byte
			b, err = os.ReadFile(file)
			code.Write(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"hostile": "fixtures/hostile", "cases": "fixtures/cases", "diffs": "fixtures/diffs", "scripts": "cmd/victorgen/testdata"}
	_, tables, _ := strings.Cut(string(page), "\n## ")
	rows, excepted := 0, map[string]bool{}
	for line := range strings.Lines(tables) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| attack") {
			continue
		}
		rows++
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(names) == 0 {
			t.Errorf("no test is named: %s", line)
		}
		reviewed := false
		for _, name := range names {
			dir, file, ok := strings.Cut(name[1], "/")
			switch {
			case !ok && !strings.Contains(code.String(), "\nfunc "+name[1]+"("):
				t.Errorf("there is no test %s", name[1])
			case ok && dirs[dir] == "":
				t.Errorf("%s is no test", name[1])
			case ok:
				b, err := os.ReadFile(filepath.Join(dirs[dir], file+".txtar"))
				if err != nil {
					t.Error(err)
				}
				reviewed = reviewed || dir == "hostile" || dir == "diffs" && (strings.Contains(string(b), "\n  trust\n") || strings.Contains(string(b), "\nexit: 1\n"))
			}
		}
		except := ""
		for begin := range notInGit {
			if strings.HasPrefix(cells[0], " "+begin) || strings.HasPrefix(cells[0], begin) {
				except, excepted[begin] = begin, true
			}
		}
		if reviewed == (except != "") {
			t.Errorf("diff shows it: %v, and it is no change of a repository: %q: %s", reviewed, notInGit[except], line)
		}
	}
	for begin := range notInGit {
		if !excepted[begin] {
			t.Errorf("no row begins with %q", begin)
		}
	}
	if rows < 20 {
		t.Errorf("there are but %d rows", rows)
	}
}
