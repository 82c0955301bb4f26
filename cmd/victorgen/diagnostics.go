package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// printer writes diagnostics for people.
type printer struct {
	w     *screen
	color bool
	width int // of the terminal; 0 if it is none
	wd    string
}

func newPrinter(w io.Writer) *printer {
	wd, _ := os.Getwd()
	if resolved, err := filepath.EvalSymlinks(wd); err == nil {
		wd = resolved
	}
	s, ok := w.(*screen)
	if !ok {
		s = newScreen(w)
	}
	return &printer{w: s, color: s.colored(), width: widthOf(s), wd: wd}
}

// finding is a diagnostic and the environments that have it. Environments
// share a contract, and so they share its mistakes.
type finding struct {
	plan.Diagnostic
	environments []string
	directory    string // of the first of them
}

// found are findings, of environments that come one after the other.
type found struct {
	by    map[string]*ordered
	names map[int]string // of the environments that have one, by their number
}

// ordered is a finding with the numbers of its environments.
type ordered struct {
	finding
	numbers []int
	nth     int // of the first
}

// add merges what the environment of number i has to say.
func (f *found) add(i int, r *result) {
	if f.by == nil {
		f.by, f.names = map[string]*ordered{}, map[int]string{}
	}
	if f.names[i] == "" {
		f.names[i] = r.name()
	}
	for _, d := range r.Diagnostics {
		key := fmt.Sprintf("%s\x00%s\x00%v", d.Code, d.Message, d.Pos)
		o := f.by[key]
		if o == nil {
			o = &ordered{finding: finding{Diagnostic: d, directory: r.Directory}, nth: len(f.by)}
			f.by[key] = o
		}
		o.numbers = append(o.numbers, i)
	}
}

// name is how the environment of number i is called, if it is known.
func (f *found) name(i int) string { return f.names[i] }

// all returns the findings, in the order of their first environments.
func (f *found) all() (fs []finding) {
	sorted := slices.Collect(maps.Values(f.by))
	for _, o := range sorted {
		slices.Sort(o.numbers)
	}
	slices.SortFunc(sorted, func(a, b *ordered) int { return cmp.Or(a.numbers[0]-b.numbers[0], a.nth-b.nth) })
	for _, o := range sorted {
		for _, i := range o.numbers {
			o.environments = append(o.environments, f.names[i])
		}
		fs = append(fs, o.finding)
	}
	return fs
}

// findings merges what several environments have to say.
func findings(results []result) []finding {
	var f found
	for i := range results {
		f.add(i, &results[i])
	}
	return f.all()
}

// print writes all findings, then a line that counts them.
func (p *printer) print(fs []finding, environments int) {
	counts := map[plan.Severity]int{}
	for _, f := range fs {
		counts[f.Severity]++
		p.one(f, environments > 1)
	}
	var parts []string
	for _, s := range []plan.Severity{plan.Error, plan.Warning} {
		if n := counts[s]; n > 0 {
			parts = append(parts, plural(n, string(s)))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintln(p.w, strings.Join(parts, ", "))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (p *printer) one(f finding, several bool) {
	where := ""
	if len(f.Pos) > 0 && f.Pos[0].IsValid() {
		where = p.place(f.Pos[0]) + ": "
	}
	tone := "1;31"
	if f.Severity == plan.Warning {
		tone = "1;33"
	}
	in := ""
	if several {
		in = " [" + strings.Join(f.environments, ", ") + "]"
	}
	p.paint("1", where)
	p.paint(tone, string(f.Severity)+" "+string(f.Code))
	begun := utf8.RuneCountInString(where + string(f.Severity) + " " + string(f.Code))
	fmt.Fprintln(p.w, fold(": "+inLine(f.Message+in), begun, 4, p.width))
	if len(f.Pos) > 0 && !f.Mask {
		p.source(f.Pos[0], tone)
	}
	for _, pos := range f.Pos[min(1, len(f.Pos)):] {
		if pos.IsValid() {
			fmt.Fprintf(p.w, "    see %s\n", p.place(pos))
		}
	}
	if f.Hint != "" {
		fmt.Fprint(p.w, "    ")
		p.paint("36", "hint:")
		fmt.Fprintln(p.w, fold(" "+inLine(f.Hint), len("    hint:"), len("    hint: "), p.width))
	}
}

// maxLine is how much of a source line is shown, in bytes.
const maxLine = 160

// source shows the line at pos with a caret below.
func (p *printer) source(pos plan.Pos, tone string) {
	line := pos.Text
	if line == "" || !utf8.ValidString(line) || pos.Column < 1 || pos.Column > len(line)+1 {
		return
	}
	before, after := line[:pos.Column-1], line[pos.Column-1:]
	if len(before) > maxLine {
		return
	}
	if len(after) > maxLine {
		after = strings.ToValidUTF8(after[:maxLine], "") + "..."
	}
	// Keep the tabs, so that the caret stands where the terminal puts the rest.
	before, after = betweenTabs(before), betweenTabs(after)
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, before)
	fmt.Fprintf(p.w, "    %s%s\n    %s", before, after, indent)
	p.paint(tone, "^")
	fmt.Fprintln(p.w)
}

// betweenTabs is inLine but for tabs.
func betweenTabs(text string) string {
	parts := strings.Split(text, "\t")
	for i := range parts {
		parts[i] = inLine(parts[i])
	}
	return strings.Join(parts, "\t")
}

func (p *printer) place(pos plan.Pos) string {
	return fmt.Sprintf("%s:%d:%d", inLine(p.rel(pos.File)), pos.Line, pos.Column)
}

// rel writes a path as the reader would: relative, if it is below.
func (p *printer) rel(path string) string {
	if r, err := filepath.Rel(p.wd, path); err == nil && filepath.IsLocal(r) {
		return r
	}
	return path
}

// paint writes s in a color, where there are colors.
func (p *printer) paint(code, s string) {
	color := p.color && s != ""
	if color {
		p.w.raw("\x1b[" + code + "m")
	}
	io.WriteString(p.w, s)
	if color {
		p.w.raw("\x1b[0m")
	}
}
