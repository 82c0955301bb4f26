package victorgen_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreats: each row of the threat model names a test, and each of those is
// there.
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
	rows := 0
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
		for _, name := range names {
			dir, file, ok := strings.Cut(name[1], "/")
			switch {
			case !ok && !strings.Contains(code.String(), "\nfunc "+name[1]+"("):
				t.Errorf("there is no test %s", name[1])
			case ok && dirs[dir] == "":
				t.Errorf("%s is no test", name[1])
			case ok:
				if _, err := os.Stat(filepath.Join(dirs[dir], file+".txtar")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("there are but %d rows", rows)
	}
}
