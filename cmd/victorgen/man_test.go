package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	vg "github.com/victor-ai/victorgen"
)

// completionFiles are the completions of each shell, by the name under which its loader
// looks for them.
var completionFiles = map[string]string{
	"bash": "victorgen", "zsh": "_victorgen", "fish": "victorgen.fish", "powershell": "victorgen.ps1",
}

// TestManPages makes the manual pages and the completions that a release has, by cobra's
// own generators. VICTORGEN_MAN is the directory that gets them, VICTORGEN_VERSION the
// version that they tell, and SOURCE_DATE_EPOCH the date.
func TestManPages(t *testing.T) {
	dir := cmp.Or(os.Getenv("VICTORGEN_MAN"), t.TempDir())
	seconds, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64)
	if err != nil {
		t.Fatalf("SOURCE_DATE_EPOCH: %v", err)
	}
	date := time.Unix(seconds, 0).UTC()

	man := filepath.Join(dir, "man")
	completions := filepath.Join(dir, "completions")
	if err := errors.Join(os.MkdirAll(man, 0o755), os.MkdirAll(completions, 0o755)); err != nil {
		t.Fatal(err)
	}
	root := newRoot(io.Discard, io.Discard)
	asMarkdown(root)
	header := &doc.GenManHeader{
		Section: "1",
		Date:    &date,
		Source:  "victorgen " + cmp.Or(os.Getenv("VICTORGEN_VERSION"), vg.Version().Version),
		Manual:  "victorgen",
	}
	if err := doc.GenManTree(root, header, man); err != nil {
		t.Fatal(err)
	}
	for shell, name := range completionFiles {
		file, err := os.Create(filepath.Join(completions, name))
		if err != nil {
			t.Fatal(err)
		}
		code := run(context.Background(), []string{"completion", shell}, file, io.Discard)
		if err := file.Close(); code != 0 || err != nil {
			t.Fatalf("victorgen completion %s: exit %d, %v", shell, code, err)
		}
	}
	holds(t, newRoot(io.Discard, io.Discard), man)
}

// asMarkdown writes the texts of commands, all of which the generator takes for Markdown,
// so that none of them is read as something else and left out.
func asMarkdown(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Short, cmd.Long = markdownOf(cmd.Short), markdownOf(cmd.Long)
	for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(f.Usage, `\`) { // of another set, it is done already
				f.Usage = markdownOf(f.Usage)
			}
		})
	}
	for _, c := range cmd.Commands() {
		asMarkdown(c)
	}
}

// markdownOf is Markdown that shows a text as it is: what is indented is a block of code,
// in which nothing is escaped.
func markdownOf(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, "<", `\<`, "*", `\*`, "_", `\_`, "`", "\\`").Replace
	var b strings.Builder
	before := "" // the line before
	for line := range strings.Lines(text) {
		switch code := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"); {
		case !code:
			b.WriteString(escape(line))
		case strings.TrimSpace(before) != "" && !strings.HasPrefix(before, " ") && !strings.HasPrefix(before, "\t"):
			b.WriteString("\n    " + line)
		default:
			b.WriteString("    " + line)
		}
		before = line
	}
	return b.String()
}

// holds fails for a command without a page, and for a word of its help that its page
// does not have.
func holds(t *testing.T, cmd *cobra.Command, man string) {
	t.Helper()
	if cmd.HasParent() && !cmd.IsAvailableCommand() {
		return
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	page := " " + strings.Join(strings.Fields(unroff(string(read(t, filepath.Join(man, name))))), " ") + " "
	texts := []string{cmd.Short, cmd.Long, cmd.Example}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			texts = append(texts, "--"+f.Name, f.Usage)
		}
	})
	for _, text := range texts {
		text = strings.ReplaceAll(text, "#### ", "") // a heading of cobra's own texts
		if text = strings.Join(strings.Fields(text), " "); !strings.Contains(page, text) {
			t.Errorf("%s does not have %q", name, text)
		}
	}
	for _, c := range cmd.Commands() {
		holds(t, c, man)
	}
}

// unroff is the text of a page, without requests and escapes: groff(7).
func unroff(page string) string {
	page = regexp.MustCompile(`(?m)^\.S[HS] `).ReplaceAllString(page, "")
	page = regexp.MustCompile(`(?m)^\.(nf|fi|RS|RE|PP|TP|EX|EE|in|br|sp)\b.*$`).ReplaceAllString(page, "")
	page = regexp.MustCompile(`\\f[BIRP]|\\f\[\w*\]|\\&`).ReplaceAllString(page, "")
	return strings.NewReplacer(`\-`, "-", `\e`, `\`, `\\`, `\`, `\(aq`, "'", `\(rs`, `\`).Replace(page)
}
