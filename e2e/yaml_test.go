package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const pyYAMLVersion = "6.0.3"

// TestYAML has PyYAML read all trees of the corpus, in Python and by way of
// libyaml, and compares that with what Kubernetes reads.
func TestYAML(t *testing.T) {
	t.Parallel()
	type file struct{ Name, Text string }
	var files []file
	cases, err := filepath.Glob("../fixtures/cases/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	marker := regexp.MustCompile(`(?m)^-- (.+) --\n`)
	for _, c := range cases {
		text, err := os.ReadFile(c)
		if err != nil {
			t.Fatal(err)
		}
		ends := append(marker.FindAllSubmatchIndex(text, -1), []int{len(text)})
		for i, at := range ends[:len(ends)-1] {
			name := string(text[at[2]:at[3]])
			if ext := path.Ext(name); strings.HasPrefix(name, "tree/") && (ext == ".yaml" || ext == ".lock") {
				files = append(files, file{filepath.Base(c) + " " + name, string(text[at[1]:ends[i+1][0]])})
			}
		}
	}
	if len(files) < 20 {
		t.Fatalf("there are only %d files", len(files))
	}
	input, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	const program = `
import json, sys, yaml
if not yaml.__with_libyaml__: sys.exit("PyYAML has no libyaml")
answers = []
for f in json.load(sys.stdin):
    both = []
    for loader in yaml.SafeLoader, yaml.CSafeLoader:
        class Plain(loader): pass # a time is a text to whoever applies it
        try: both.append(json.dumps(list(yaml.load_all(f["Text"], Loader=Plain)), default=lambda o: o.strftime("%Y-%m-%dT%H:%M:%SZ")))
        except Exception as e: both.append(json.dumps("refused: " + str(e)))
    answers.append(both)
json.dump(answers, sys.stdout)
`
	cmd := exec.Command(filepath.Join(pythonPrograms(t, "PyYAML", pyYAMLVersion), "python3"), "-c", program)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var answers [][]string
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(files) {
		t.Fatalf("%d answers for %d files: %v", len(answers), len(files), err)
	}
	for i, f := range files {
		var want []any
		for _, document := range strings.Split(f.Text, "\n---\n") {
			var v any
			if err := yaml.Unmarshal([]byte(document), &v); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			want = append(want, v)
		}
		for j, loader := range []string{"PyYAML", "libyaml"} {
			var got any
			if err := json.Unmarshal([]byte(answers[i][j]), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(any(want), got); diff != "" {
				t.Errorf("%s: what Kubernetes (-) and %s (+) read\n%s", f.Name, loader, diff)
			}
		}
	}
}
