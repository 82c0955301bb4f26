package main

import (
	"crypto/rsa"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/fixtures"
	"github.com/victor-ai/victorgen/review"
)

// When the trees of the pairs are built.
var (
	diffThen = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	diffNow  = time.Date(2026, 11, 25, 5, 6, 7, 0, time.UTC)
)

// TestDiffs: what diff says of each pair of revisions, for people and as a comment.
// VICTORGEN_UPDATE=1 rewrites what is expected.
func TestDiffs(t *testing.T) {
	t.Setenv("VAULT_ADDR", "")
	cases, err := fixtures.LoadDiffs()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Errorf("there are but %d pairs", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			old, new := writeDiff(t, c)
			args := []string{"diff", "--from", old}
			if c.Args == "" {
				args = append(args, filepath.Join(new, "envs")+"/...")
			}
			for _, arg := range strings.Fields(c.Args) {
				if strings.HasPrefix(arg, "envs/") || strings.HasPrefix(arg, "policy") {
					arg = new + "/" + arg
				}
				args = append(args, arg)
			}
			names := strings.NewReplacer(old, "OLD", new, "NEW")
			for _, format := range []string{"text", "markdown"} {
				code, stdout, stderr := victorgen(t, append(args, "-o", format)...)
				if code != c.Exit {
					t.Errorf("-o %s: exit %d, not %d", format, code, c.Exit)
				}
				checkHarmless(t, "diff", stdout+stderr)
				got := names.Replace(stdout)
				if format == "text" && stderr != "" {
					got += "--\n" + names.Replace(stderr)
				}
				if os.Getenv("VICTORGEN_UPDATE") != "" {
					writeFile(t, filepath.Join("../../fixtures/diffs", c.Name+".txtar"), string(c.With(format, got)))
				} else if d := cmp.Diff(c.Want(format), got); d != "" {
					t.Errorf("-o %s (-want +got):\n%s", format, d)
				}
			}
		})
	}
}

// writeDiff writes both sides of a pair, and builds their trees.
func writeDiff(t *testing.T, c fixtures.Diff) (old, new string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	old, new = filepath.Join(root, "before"), filepath.Join(root, "now")
	for dir, files := range map[string]map[string][]byte{old: c.Old, new: c.New} {
		for _, pem := range []string{"good.pem", "ends-soon.pem", "expired.pem"} {
			writeFile(t, filepath.Join(dir, pem), string(read(t, "../../fixtures/certificates/"+pem)))
		}
		writeFile(t, filepath.Join(dir, "demo.pem"), string(read(t, filepath.Join(example, "demo-sealing-cert.pem"))))
		for name, content := range files {
			writeFile(t, filepath.Join(dir, name), string(content))
			if strings.HasPrefix(name, ".secrets") {
				if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if c.BuildOld {
		buildFor(t, old, diffThen)
		if err := os.CopyFS(filepath.Join(new, "deploy"), os.DirFS(filepath.Join(old, "deploy"))); err != nil {
			t.Fatal(err)
		}
	}
	if c.BuildNew {
		buildFor(t, new, diffNow)
	}
	for _, e := range c.After {
		file := filepath.Join(new, e.File)
		if e.Old == nil {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		content, err := e.Apply(read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, string(content))
	}
	return old, new
}

// buildFor builds the environments of a module, with a sealer, a clock and random
// numbers that stand still, for whatever certificates it has. Trees of environments
// that are gone go.
func buildFor(t *testing.T, module string, now time.Time) {
	t.Helper()
	dirs, err := compiler.Find(filepath.Join(module, "envs") + "/...")
	if err != nil {
		t.Fatal(err)
	}
	o := vg.BuildOptions{Sealer: sealerAt(now.Format(time.RFC3339)), Now: func() time.Time { return now }}
	o.Sources = func(p *plan.Plan) map[string]source.Source {
		sources := map[string]source.Source{}
		for _, s := range p.Sources {
			sources[s.Name] = env.New(s, func(string) (string, bool) { return "", false })
		}
		return sources
	}
	err = filepath.WalkDir(module, func(file string, _ fs.DirEntry, err error) error {
		if c, _ := sealing.Inspect(file, nil, now); filepath.Ext(file) == ".pem" && c != nil {
			o.AcceptCertificates = append(o.AcceptCertificates, c.SHA256)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for _, dir := range dirs { // each is given the same numbers
		o.Rand = rand.NewChaCha8([32]byte{1})
		for b := range vg.Build(t.Context(), []string{dir}, o) {
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
			kept[b.Name] = true
		}
	}
	trees, _ := os.ReadDir(filepath.Join(module, "deploy"))
	for _, tree := range trees {
		if !kept[tree.Name()] {
			if err := os.RemoveAll(filepath.Join(module, "deploy", tree.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// sealerAt seals to other bytes at another time, and to the same ones at the same.
type sealerAt string

func (at sealerAt) Seal(public *rsa.PublicKey, plaintext, label []byte) ([]byte, error) {
	return emittest.Sealer{}.Seal(public, append([]byte(at), plaintext...), label)
}

// TestComment: a comment is never longer than one may be, has the most important of
// what differs, and nothing that others wrote stands outside of code.
func TestComment(t *testing.T) {
	t.Parallel()
	for _, texts := range []int{1, 10, 3000} {
		for _, environments := range []int{1, 30, 2000} {
			if texts*environments > 30_000 {
				continue
			}
			var results []result
			for e := range environments {
				d := &diffStory{From: "main", State: "changed"}
				for i := range texts {
					c := review.Change{Kind: "address", Of: "source", Subjects: []string{fmt.Sprint("s", i)}, What: "address", Old: strings.Repeat("é|`\\", 20), New: fmt.Sprintf("https://new-%d.example", i)}
					d.Trust, d.Values = append(d.Trust, c), append(d.Values, c)
					d.Other, d.Noise = append(d.Other, c), append(d.Noise, c)
				}
				results = append(results, result{Directory: "/repo/envs/e", Environment: fmt.Sprint("e", e), Diff: d})
			}
			text := diffMarkdown(results)
			if n := utf8.RuneCountInString(text); n > 65536 {
				t.Errorf("%d texts of %d environments are %d characters", texts, environments, n)
			}
			if !strings.HasPrefix(text, "<!-- victorgen diff -->\n") || !strings.Contains(text, fmt.Sprint(texts*environments)) {
				t.Errorf("%d texts of %d environments: %.300s", texts, environments, text)
			}
			if strings.Count(text, "<details>") != strings.Count(text, "</details>") {
				t.Errorf("%d texts of %d environments: what is folded does not end", texts, environments)
			}
			rows := strings.Count(text, "| `source s")
			folded := strings.Count(text, "- `source s")
			if texts*environments > 1000 && (rows == 0 && environments < 100 || folded > 0 && rows < texts*environments) {
				t.Errorf("%d texts of %d environments: %d rows of trust, and %d of what matters less", texts, environments, rows, folded)
			}
		}
	}
	for _, s := range []string{"@team", "a|b", "a\\|b", "`", "``", "` `", " x ", "x`y", "<b>", "a\nb", "\r\n| x", "\x1b[31m", "\u202e", "::error::x", "&lt;", "</code>", "-->", "", "#1", "~~x~~", "$x$", "\\", "www.x.test|", "_a_|", "*a*|"} {
		got := code(s)
		inner, plain := strings.CutPrefix(got, "`")
		inner, _ = strings.CutSuffix(inner, "`")
		switch {
		case s == "":
			if got != "" {
				t.Errorf("code(%q) = %q", s, got)
			}
		case plain && (strings.ContainsAny(inner, "`|\\\n\r") || inner == ""):
			t.Errorf("code(%q) = %q ends early", s, got)
		case !plain:
			inner = strings.TrimSuffix(strings.TrimPrefix(got, "<code>"), "</code>")
			if strings.ContainsAny(inner, "`|\\\n\r<>@_*~:.[]()!$") || got == inner {
				t.Errorf("code(%q) = %q has a mark", s, got)
			}
		}
	}
}
