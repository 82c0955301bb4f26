package victorgen_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// notPlain are words and constructions that kubectl, cue and age would not write, and
// what they would.
var notPlain = map[string]string{
	`\b(nobody|somebody|whoever|whosever|anybody|everybody)('s)?\b`: "no one, someone, anyone who, everyone; or say it without",
	`\b(mint|mints|minted|minting)\b`:                               "generate",
	`\banew\b`:                                                      "again, regenerate, recreate",
	`\ball the same\b`:                                              "anyway",
	`\bfor ever\b`:                                                  "forever, never ends",
	`\bin silence\b`:                                                "silently",
	`\bin vain\b`:                                                   "without success",
	`\bbeside\b`:                                                    "next to, in addition to",
	`\b(it|that|this|which|what|who|%[sqd]) (is|are) no ([a-km-z]|l[a-np-z])`: "is not a, is not",
	`\bhas not (the|a|an|what)\b`: "does not have, lacks",
	`\bhas no more[.,;]`:          "no longer has",
	`\b(stands (in|on|at|here|there|under)|stands? behind|stands? beside|stand there)\b`: "is in, is here",
	`\bis told\b`:                  "is reported",
	`\bhands out\b`:                "provides",
	`\bhas (to be|had its time)\b`: "must be, has expired",
	`\b(is|are) (taken over|taken up|passed over|at hand)\b`: "is imported, is resumed, is ignored, is available",
	`\blooks? whether\b`:                                     "checks whether",
	`\btake [a-zA-Z:." ]{1,40} away\b`:                       "remove",
	`, for (it|they|there|this|that|its|nothing|nobody|no) `: ", because",
	`\bmend\b`:     "fix",
	`\bmisspelt\b`: "misspelled",
}

// TestPlainEnglish: texts that people read, which are strings of the program, pages,
// comments of the schema and of what init writes, and the actions, have none of the
// words of notPlain.
func TestPlainEnglish(t *testing.T) {
	rules := map[*regexp.Regexp]string{}
	for text, instead := range notPlain {
		rules[regexp.MustCompile("(?i)"+text)] = instead
	}
	n := 0
	read := func(place, text string) {
		n++
		for rule, instead := range rules {
			if m := rule.FindString(text); m != "" {
				t.Errorf("%s: %q: write %s\n%s", place, m, instead, text)
			}
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		switch base := d.Name(); {
		case d.IsDir():
			if path == "e2e" || path == "bin" || path == "dist" || base == "testdata" || base == "fixtures" || base == "sourcetest" || strings.HasPrefix(base, ".") && path != "." {
				return filepath.SkipDir
			}
		case path == "compiler/value/words.go":
		case strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go"):
			readStrings(t, path, read)
		case strings.HasSuffix(base, ".md"), base == "action.yml", strings.HasPrefix(path, "report/page/"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, paragraph := range strings.Split(string(b), "\n\n") {
				// Names in code are what they are.
				paragraph = regexp.MustCompile("`[^`]*`|(?m)^\\s*//.*$").ReplaceAllString(paragraph, "`code`")
				read(path+" paragraph "+strconv.Itoa(i+1), strings.Join(strings.Fields(paragraph), " "))
			}
		case strings.HasSuffix(base, ".cue"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			comments := strings.Join(regexp.MustCompile(`(?m)^\s*//( .*)?$`).FindAllString(string(b), -1), "\n")
			read(path, strings.Join(strings.Fields(strings.ReplaceAll(comments, "//", "")), " "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 4000 {
		t.Errorf("there are but %d texts", n)
	}
}

// readStrings reads the texts among the strings of a Go file.
func readStrings(t *testing.T, path string, read func(place, text string)) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok && field.Tag != nil {
			field.Tag = nil
		}
		if _, ok := n.(*ast.ImportSpec); ok {
			return false
		}
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, " ") {
			read(files.Position(lit.Pos()).String(), strings.Join(strings.Fields(text), " "))
		}
		return true
	})
}
