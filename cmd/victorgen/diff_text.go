package main

import (
	"fmt"
	"html"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/review"
)

// since names what was compared with.
func (d *diffStory) since() string {
	if d.Commit != "" && !strings.HasPrefix(d.Commit, d.From) {
		return d.From + " (" + d.Commit[:min(10, len(d.Commit))] + ")"
	}
	return d.From
}

// titles say what a section is about.
var titles = map[review.Section]string{review.Trust: "trust", review.Values: "values", review.Consumers: "consumers", review.Other: "other changes", review.Noise: "noise"}

// counted says how much differs, in a few words.
func (d *diffStory) counted() string {
	state := ""
	switch d.State {
	case "same":
		return "no change"
	case "new":
		state = "new; "
	case "gone":
		state = "gone; "
	case "moved":
		state = "moved from " + d.Before + "; "
	}
	var parts []string
	for _, s := range review.Sections {
		if n := len(d.Of(s)); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, map[review.Section]string{review.Trust: "of trust", review.Values: "of values", review.Consumers: "of consumers", review.Other: "other", review.Noise: "of noise"}[s]))
		}
	}
	if len(parts) == 0 {
		return strings.TrimSuffix(state, "; ")
	}
	what := "changes"
	if len(parts) == 1 && strings.HasPrefix(parts[0], "1 ") {
		what = "change"
	}
	return state + what + ": " + strings.Join(parts, ", ")
}

// diffText prints what differs of an environment.
func diffText(w io.Writer, _ *printer, r *result) {
	d := r.Diff
	if d == nil {
		return
	}
	fmt.Fprintf(w, "%s: %s since %s\n", r.name(), inLine(d.counted()), inLine(d.since()))
	for _, s := range review.Sections {
		if len(d.Of(s)) > 0 {
			fmt.Fprintf(w, "  %s\n", titles[s])
		}
		for _, c := range d.Of(s) {
			fmt.Fprintf(w, "    %s\n", inLine(c.Text()))
		}
	}
	if d.Any() {
		for _, n := range d.Notes {
			fmt.Fprintf(w, "  note: %s\n", inLine(n))
		}
	}
}

// diffFindings are the changes as annotations: those of trust are warnings.
func diffFindings(results []result) (fs []finding) {
	for _, r := range results {
		if r.Diff == nil {
			continue
		}
		for _, s := range review.Sections {
			severity := plan.Severity("notice")
			switch s {
			case review.Trust:
				severity = plan.Warning
			case review.Noise:
				continue
			}
			for _, c := range r.Diff.Of(s) {
				fs = append(fs, finding{
					Diagnostic:   plan.Diagnostic{Code: plan.Code("victorgen diff, " + titles[s]), Severity: severity, Message: inLine(c.Text()), Pos: c.Pos},
					environments: []string{r.name()}, directory: r.Directory,
				})
			}
		}
	}
	return fs
}

const (
	// maxComment is how long a comment may be on GitHub, in characters; GitLab lets
	// them be longer.
	maxComment = 65536
	// commentMark is by what a job finds its comment again.
	commentMark = "<!-- victorgen diff -->\n"
)

// block is a part of a comment of which rows can be left out.
type block struct {
	section          review.Section
	head, foot, more string
	rows             []string
	shown            int
}

// diffMarkdown writes what differs as a comment on a pull request. If it would be
// too long, what matters least is left out, and counted.
func diffMarkdown(results []result) string {
	var blocks []*block
	fixed := func(text string) { blocks = append(blocks, &block{head: text}) }
	fixed(commentMark + diffSummary(results))
	for i := range results {
		r := &results[i]
		title := "not compared"
		if r.Diff != nil {
			title = markdownCount(r.Diff)
		}
		if r.Diff == nil || r.Diff.any() || len(r.Diagnostics) > 0 {
			fixed(fmt.Sprintf("\n### %s: %s\n", code(r.name()), title))
		}
		for j, d := range r.Diagnostics {
			if j == 10 {
				fixed(fmt.Sprintf("\n%d more\n", len(r.Diagnostics)-j))
				break
			}
			fixed(fmt.Sprintf("\n%s %s\n", d.Severity, code(inRepository(d, r.Directory))))
		}
		if !r.Diff.any() {
			continue
		}
		for _, s := range review.Sections {
			if changes := r.Diff.Of(s); len(changes) > 0 {
				blocks = append(blocks, blockOf(s, changes))
			}
		}
		for _, n := range r.Diff.Notes {
			fixed("\n" + plainText(n) + "\n")
		}
	}
	return assemble(blocks, maxComment)
}

// blockOf is a section as a comment shows it: trust as a table, the rest folded.
func blockOf(s review.Section, changes []review.Change) *block {
	b := &block{section: s, more: "| %d more, which `victorgen diff` shows | | | |\n"}
	if s == review.Trust {
		b.head = "\n| trust | what | now | before |\n|---|---|---|---|\n"
		for _, c := range changes {
			b.rows = append(b.rows, row(c))
		}
		return b
	}
	b.head = fmt.Sprintf("\n<details><summary>%s: %d</summary>\n\n", titles[s], len(changes))
	b.foot, b.more = "\n</details>\n", "- %d more, which `victorgen diff` shows\n"
	for _, c := range changes {
		b.rows = append(b.rows, "- "+item(c)+"\n")
	}
	return b
}

// row is a change as a row of a table.
func row(c review.Change) string {
	now, before := code(c.New), code(c.Old)
	return fmt.Sprintf("| %s | %s | %s | %s |\n", code(c.Subject(6)), code(clipped(c.What, 1000)), now, before)
}

// item is a change as an item of a list.
func item(c review.Change) string {
	subject := code(c.Subject(12))
	if subject != "" {
		subject += ": "
	}
	return subject + code(clipped(c.Rest(), 1500))
}

// assemble puts the blocks together, in at most limit characters.
func assemble(blocks []*block, limit int) string {
	const reserve = 80 // of each block, to say how much is left out
	const end = "\n\nMore is left out, which `victorgen diff` shows.\n"
	size := func(b *block) int {
		n := utf8.RuneCountInString(b.head) + utf8.RuneCountInString(b.foot)
		if len(b.rows) > 0 {
			n += reserve
		}
		return n
	}
	left := limit - len(end)
	for _, b := range blocks {
		left -= size(b)
	}
	// With very many environments, not even the heads of all sections fit.
	cut := false
	for _, s := range slices.Backward(review.Sections) {
		if left >= 0 {
			break
		}
		cut = true
		blocks = slices.DeleteFunc(blocks, func(b *block) bool {
			if b.section == s {
				left += size(b)
			}
			return b.section == s
		})
	}
	for _, s := range review.Sections {
		for _, b := range blocks {
			if b.section != s {
				continue
			}
			for _, r := range b.rows {
				n := utf8.RuneCountInString(r)
				if n > left {
					left = 0 // what comes after is less important
					break
				}
				left -= n
				b.shown++
			}
		}
	}
	var out strings.Builder
	for _, b := range blocks {
		out.WriteString(b.head)
		for _, r := range b.rows[:b.shown] {
			out.WriteString(r)
		}
		if rest := len(b.rows) - b.shown; rest > 0 {
			fmt.Fprintf(&out, b.more, rest)
		}
		out.WriteString(b.foot)
	}
	text := out.String()
	if runes := []rune(text); len(runes) > limit-len(end) { // nor do their names
		text = string(runes[:limit-len(end)-1])
		text = text[:strings.LastIndexByte(text, '\n')+1]
	} else if !cut {
		return text
	}
	return text + end
}

// diffSummary says in a line what differs.
func diffSummary(results []result) string {
	counts := map[review.Section]int{}
	differ, failed, from := 0, 0, ""
	for _, r := range results {
		if r.Diff == nil {
			failed++
			continue
		}
		from = r.Diff.since()
		if r.Diff.any() {
			differ++
		}
		for _, s := range review.Sections {
			counts[s] += len(r.Diff.Of(s))
		}
	}
	text := "**Secrets: "
	switch {
	case differ == 0 && failed == 0:
		text += "no change"
	case counts[review.Trust] > 0:
		text += plural(counts[review.Trust], "change") + " of trust to review"
	case differ > 0:
		text += "nothing that others are trusted with changes"
	default:
		text += "not compared"
	}
	text += fmt.Sprintf("**; %d of %s", differ, plural(len(results), "environment"))
	if differ == 1 {
		text += " differs"
	} else {
		text += " differ"
	}
	if failed > 0 {
		text += fmt.Sprintf(", %d could not be compared", failed)
	}
	if from != "" {
		text += ", since " + code(from)
	}
	return text + ".\n"
}

// markdownCount is counted, where a directory may stand in it.
func markdownCount(d *diffStory) string {
	if d.State == "moved" {
		head, rest, _ := strings.Cut(d.counted(), d.Before)
		return head + code(d.Before) + rest
	}
	return d.counted()
}

// plainText is a text of this program, in which only what is in backquotes is
// code.
func plainText(s string) string { return inLine(s) }

// inRepository is what an error or a warning says, with its place, and with paths as
// the repository that dir is in has them.
func inRepository(d plan.Diagnostic, dir string) string {
	root := repositoryOf(dir)
	text := string(d.Code) + ": " + strings.ReplaceAll(d.Message, root, "")
	if len(d.Pos) > 0 && d.Pos[0].IsValid() {
		text = fmt.Sprintf("%s:%d: %s", strings.TrimPrefix(d.Pos[0].File, root), d.Pos[0].Line, text)
	}
	return clipped(text, 600)
}

// repositoryOf is how paths in the repository that dir is in begin.
func repositoryOf(dir string) string {
	root := dir
	if module, ok := compiler.ModuleRoot(dir); ok {
		root = module
	}
	return git.WorkTree(root) + string(filepath.Separator)
}

func clipped(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}

// code writes text of others so that Markdown, HTML and a forge take it for nothing
// but itself, in a table as well: in code no one is mentioned and nothing is linked.
func code(s string) string {
	if s == "" {
		return ""
	}
	s = inLine(s)
	if !strings.ContainsAny(s, "`|\\") && strings.TrimSpace(s) == s {
		return "`" + s + "`"
	}
	// Backquotes can't hold these in all places: write each mark as an entity.
	var out strings.Builder
	out.WriteString("<code>")
	for _, r := range s {
		if r < 0x80 && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(" ,-/=", r)) {
			fmt.Fprintf(&out, "&#%d;", r)
		} else {
			out.WriteString(html.EscapeString(string(r)))
		}
	}
	out.WriteString("</code>")
	return out.String()
}
