package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/compiler/value"
)

const (
	composeGoVersion    = "v2.16.2"
	nodeDotenvVersion   = "17.4.2"
	pythonDotenvVersion = "1.2.4"
)

// TestDotenv holds the reader of dotenv files to the four programs that it
// claims to agree with: over the corpus, over files that are like real ones, and
// over random changes of both. What it accepts without a warning, all read alike.
// And so do they what it writes.
//
// Which byte order mark and which line ends a file has is no matter of its
// values: a shell and Node's dotenv get it without a mark, a shell with LF.
func TestDotenv(t *testing.T) {
	t.Parallel()
	readers := dotenvReaders(t)
	var files []string
	for _, f := range dotenvFiles(t) {
		files = append(files, f, strings.ReplaceAll(f, "\n", "\r\n"), "\ufeff"+f, "export "+f, strings.TrimSuffix(f, "\n"))
	}
	seeds := len(files)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		files = append(files, mutated(rnd, files[rnd.IntN(seeds)], files[rnd.IntN(seeds)]))
	}
	compareDotenv(t, readers, files, true)
}

// TestDotenvWritten holds what is written to the same.
func TestDotenvWritten(t *testing.T) {
	t.Parallel()
	readers := dotenvReaders(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	values := []string{
		"plain", " spaces ", "tab\t", "it's", `"q"`, "a\nb\n\nc\n", "#", "a #b", "$x $(id) `id`", `\n \d \`, `{"a": "b\nc"}`, "grün \u00a0\u2028\ufeff ☃",
		"-----BEGIN X-----\nAAAA==\n-----END X-----\n", "a=b", "~/x", "\x01\x7f\v\f", strings.Repeat("0123456789abcdef", 1<<16),
	}
	for range 500 {
		values = append(values, random(rnd, "a1 \t\n'\"\\$`{}()#=;&|<>~*?![]:%-ü\u2028\u00a0\x01"))
	}
	file := filepath.Join(t.TempDir(), ".secrets")
	var files []string
	refused := 0
	for _, v := range values {
		os.Remove(file)
		s := env.New(plan.Source{File: file}, nothing)
		ref := source.Ref{Input: "V"}
		if _, err := s.Create(t.Context(), source.Ref{Input: "W"}, value.New([]byte("before"))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(t.Context(), ref, value.New([]byte(v))); err != nil {
			refused++
			continue
		}
		if _, err := s.Create(t.Context(), source.Ref{Input: "X"}, value.New([]byte("after"))); err != nil {
			t.Fatal(err)
		}
		if a := s.Read(t.Context(), []source.Ref{ref})[0]; a.Err != nil || string(a.Value.Reveal()) != v || len(a.Warnings) > 0 {
			t.Errorf("%.80q reads back as %.80q, %v, %v", v, a.Value.Reveal(), a.Err, a.Warnings)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(text))
	}
	t.Logf("%d values were written, %d refused", len(files), refused)
	if refused > len(values)/2 {
		t.Error("more than half of the values cannot be written")
	}
	compareDotenv(t, readers, files, false)
}

func nothing(string) (string, bool) { return "", false }

// dotenvFiles are the files of the corpus, and some like those that people have.
func dotenvFiles(t *testing.T) []string {
	t.Helper()
	js, err := os.ReadFile("../compiler/source/env/testdata/dotenv.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ File string }
	if err := json.Unmarshal(js, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	var files []string
	for _, c := range cases {
		files = append(files, c.File)
	}
	return append(files,
		"# first\nV=one\n\n  W=two # note\nexport X='three' # it's\nY=\nZ=\"\"\n",
		"V='{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\"\n}'\nW=after\n",
		"V=\"-----BEGIN CERTIFICATE-----\nMIIB==\n\n# no comment\n-----END CERTIFICATE-----\n\"\nW=x\n",
		"V=postgres://u:p@h:5432/db?sslmode=disable\nW=http://[::1]/x%20y!z\n",
		"V=\"it's \\d and \\w+\"\nW='say \"hi\" \\d'\nX=a:b,c@d/e+f-g_h^i?j*k\n",
		"V=a=b=c\nW=[1,2]\nX={a,b}\nY=100%\nZ=-n\n",
		"V='multi\nW=inside\n'\nW='real'\n", "V= spaced\nW = x\n", "V=a b\nW=x;y\n", "V=$'a'\nW=a\\\nX=c\n", "V=~/x\nW=a:~/b\nX=a=~b\n",
		"export export=1\nexport V=a=~x:y\n", "#V=1\n # W=2\nV=x\n", "V=\u00a0x\nW=x\u2028y\n", "V='a\\b'\nW=\"a\\b\"\n", "V=`id`\n",
	)
}

// mutated changes a here and there, also by parts of b.
func mutated(rnd *rand.Rand, a, b string) string {
	const alphabet = "a1V= \t\n\r'\"\\$`{}()#;&|<>~*?![]:%-ü\u2028\u0085\u00a0\ufeff\x01\f"
	for range 1 + rnd.IntN(4) {
		i := rnd.IntN(len(a) + 1)
		j := min(len(a), i+rnd.IntN(4))
		switch rnd.IntN(5) {
		case 0:
			a = a[:i] + a[j:]
		case 1:
			a = a[:i] + random(rnd, alphabet) + a[j:]
		case 2:
			r := []rune(alphabet)
			a = a[:i] + string(r[rnd.IntN(len(r))]) + a[i:]
		case 3:
			r := []rune(alphabet)
			a = a[:i] + string(r[rnd.IntN(len(r))]) + a[j:]
		default:
			k := rnd.IntN(len(b) + 1)
			a = a[:i] + b[k:min(len(b), k+rnd.IntN(12))] + a[i:]
		}
	}
	return a
}

func random(rnd *rand.Rand, alphabet string) string {
	r := []rune(alphabet)
	s := make([]rune, 1+rnd.IntN(10))
	for i := range s {
		s[i] = r[rnd.IntN(len(r))]
	}
	return string(s)
}

// reader reads files, and returns what each assigns; nil if it cannot.
type reader func(t *testing.T, files []string) []map[string][]byte

func dotenvReaders(t *testing.T) map[string]reader {
	t.Helper()
	compose := ownProgram(t, "compose", composeGoVersion)
	python := filepath.Join(pythonPrograms(t, "python-dotenv", pythonDotenvVersion), "python3")
	npm := made(t, cache(t, "node-dotenv-"+nodeDotenvVersion), func(into string) error {
		return command("", nil, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", into, "dotenv@"+nodeDotenvVersion)
	})
	script := func(name string) string {
		path, err := filepath.Abs(filepath.Join("testdata", "dotenv", name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	readers := map[string]reader{
		"Docker Compose": byProgram(compose),
		"python-dotenv":  byProgram(python, script("read.py")),
		"dotenv of npm":  byProgram("node", script("read.js"), npm),
	}
	for _, sh := range []string{"bash", "dash"} {
		path, err := exec.LookPath(sh)
		if err != nil {
			t.Fatal(err)
		}
		readers[sh] = byShell(path)
	}
	return readers
}

// byProgram reads by a program that reads many.
func byProgram(name string, args ...string) reader {
	return func(t *testing.T, files []string) []map[string][]byte {
		t.Helper()
		var in, stderr bytes.Buffer
		for _, f := range files {
			json.NewEncoder(&in).Encode([]byte(f))
		}
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Stdin, cmd.Stderr = t.TempDir(), &in, &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, stderr.Bytes()[:min(stderr.Len(), 2000)])
		}
		var answers []map[string][]byte
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var answer map[string][]byte
			if err := d.Decode(&answer); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		if len(answers) != len(files) {
			t.Fatalf("%s: %d answers for %d files", name, len(answers), len(files))
		}
		return answers
	}
}

// byShell sources files, in a shell that finds no other program, and prints the
// names that names assigns. All files go through one process, each in a subshell.
func byShell(sh string) reader {
	return func(t *testing.T, files []string) []map[string][]byte {
		t.Helper()
		dir := t.TempDir()
		var script strings.Builder
		for i, f := range files {
			f = strings.ReplaceAll(strings.TrimPrefix(f, "\ufeff"), "\r\n", "\n")
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(path, []byte(f), 0o600); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&script, "(. %s; ", path)
			for _, name := range dotenvNames {
				fmt.Fprintf(&script, `printf '%%s\000' "${%s-}"; `, name)
			}
			fmt.Fprintf(&script, "printf '%%s\\000' end) 2>%s.err || printf 'failed\\000'\n", path)
		}
		all := filepath.Join(dir, "script")
		if err := os.WriteFile(all, []byte(script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(sh, all)
		cmd.Dir, cmd.Env = dir, []string{"PATH=/nowhere", "HOME=/home/nobody", "LC_ALL=C.UTF-8"}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Split(string(out), "\x00")
		answers := make([]map[string][]byte, len(files))
		for i := range files {
			if len(fields) <= len(dotenvNames) || fields[len(dotenvNames)] != "end" {
				n := slices.Index(fields, "failed")
				if n < 0 {
					t.Fatalf("%s: no answer for file %d", sh, i)
				}
				fields = fields[n+1:]
				continue
			}
			answers[i] = map[string][]byte{}
			for j, name := range dotenvNames {
				answers[i][name] = []byte(fields[j])
			}
			fields = fields[len(dotenvNames)+1:]
			if said, _ := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)+".err")); len(said) > 0 {
				answers[i]["error"] = said
			}
		}
		return answers
	}
}

// dotenvNames are the names that are compared.
var dotenvNames = []string{"V", "W", "X", "Y", "Z", "a", "a1", "V1", "VV", "aV", "Va"}

// compareDotenv compares all that is accepted.
func compareDotenv(t *testing.T, readers map[string]reader, files []string, some bool) {
	t.Helper()
	var accepted []string
	var ours []map[string][]byte
	file := filepath.Join(t.TempDir(), ".secrets")
	var refs []source.Ref
	for _, name := range dotenvNames {
		refs = append(refs, source.Ref{Input: name})
	}
	for _, f := range files {
		if err := os.WriteFile(file, []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
		values := map[string][]byte{}
		silent := true
		for i, a := range env.New(plan.Source{File: file}, nothing).Read(t.Context(), refs) {
			values[refs[i].Input] = a.Value.Reveal()
			silent = silent && len(a.Warnings) == 0 && (a.Err == nil || a.Err == source.ErrAbsent)
		}
		if silent {
			accepted, ours = append(accepted, f), append(ours, values)
		}
	}
	t.Logf("%d of %d files are accepted without a warning", len(accepted), len(files))
	if some && len(accepted) < len(files)/20 || !some && len(accepted) < len(files) {
		t.Error("too few")
	}
	failures := 0
	for _, reader := range slices.Sorted(maps.Keys(readers)) {
		for i, theirs := range readers[reader](t, accepted) {
			for _, name := range dotenvNames {
				if bytes.Equal(theirs[name], ours[i][name]) && theirs != nil && theirs["error"] == nil {
					continue
				}
				if failures++; failures < 40 {
					t.Errorf("%s: %s of %.300q is %.100q, victorgen reads %.100q (%s)", reader, name, accepted[i], theirs[name], ours[i][name], theirs["error"])
				}
				break
			}
		}
	}
}
