package env

import (
	"cmp"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Assignment is one line of a dotenv file, or as many as its value has.
type Assignment struct {
	Name      string
	Value     value.Value // empty where nothing stands behind the =, or what is there is wrong
	Comment   string      // behind it on its last line, without the #
	Line, End int         // the first and the last line; they start at 1
}

// Parse reads text, the content of the dotenv file called name, as [Source] does,
// and returns what it assigns in the order of the lines. What is wrong is said by
// name and line, and the rest is read anyway.
func Parse(name string, text []byte) ([]Assignment, plan.Diagnostics) {
	d, ds := parse(name, string(text))
	var all []Assignment
	for n, a := range d.values {
		end := min(a.end, len(d.text))
		rest, _, _ := strings.Cut(d.text[end:], "\n")
		comment, _ := strings.CutPrefix(strings.TrimSpace(rest), "#")
		if comment == strings.TrimSpace(rest) {
			comment = ""
		}
		all = append(all, Assignment{
			Name: n, Value: value.New([]byte(a.value)), Comment: strings.TrimSpace(comment), Line: a.line, End: 1 + strings.Count(d.text[:end], "\n"),
		})
	}
	slices.SortFunc(all, func(a, b Assignment) int { return cmp.Compare(a.Line, b.Line) })
	return all, append(ds, d.differ...)
}

// Holds reports whether a dotenv file can hold v, so that all readers of such files
// read it alike.
func Holds(v value.Value) bool {
	_, _, ok := (&dotenv{values: map[string]assignment{}}).set("V", string(v.Reveal()))
	return ok
}
