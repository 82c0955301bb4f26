// Package scan finds values in files and in what is committed.
//
// [New] takes values, and [Scanner.Stream] what is searched, in pieces of any size;
// out come the places of all values, in each form that [Forms] names. One automaton
// looks for all of them in one pass (Aho and Corasick, "Efficient string matching",
// 1975), in memory that does not grow with what is searched.
//
// White space and NUL are ignored on both sides: so a key is found that is
// indented in YAML, base64 that is broken into lines, and text in UTF-16. All else
// must be there byte for byte: what is found is there.
//
// Nothing here prints, logs, or puts a value into an error.
package scan

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"sync"

	"github.com/coregx/ahocorasick"

	"github.com/victor-ai/victorgen/compiler/value"
)

// Place is a place in what was searched. Both numbers count from 1; a column counts
// bytes.
type Place struct{ Line, Column int }

// Match is a value that was found.
type Match struct {
	Value      int // which of the values
	Form       string
	Start, End Place // of its first and its last byte
}

// Scanner searches for some values. It may be used concurrently. It holds its values
// in a closure, as a [value.Value] does.
type Scanner struct {
	find    func(text []byte) []candidate
	longest int // pattern
	window  int // how many bytes are searched at once, at least
	scratch sync.Pool
}

// candidate is a pattern that was found, by where it is in the text.
type candidate struct {
	start, end int
	value      int
	form       string
}

// anchor is how much of a pattern the automaton knows: enough to make it rare, and
// its table small. The rest is compared.
const anchor = 8

// New returns a scanner for values. Empty ones are never found.
func New(values []value.Value) (*Scanner, error) {
	type pattern struct {
		form
		value int
	}
	patterns := map[string][]pattern{} // by anchor
	longest := 0
	for i, v := range values {
		for _, f := range formsOf(v.Reveal()) {
			begin := string(f.text[:min(len(f.text), anchor)])
			patterns[begin] = append(patterns[begin], pattern{f, i})
			longest = max(longest, len(f.text))
		}
	}
	if longest == 0 {
		return &Scanner{find: func([]byte) []candidate { return nil }, window: window}, nil
	}
	anchors := make([]string, 0, len(patterns))
	for a := range patterns {
		anchors = append(anchors, a)
	}
	slices.Sort(anchors)
	automaton, err := ahocorasick.NewBuilder().AddStrings(anchors).Build()
	if err != nil {
		return nil, err
	}
	find := func(text []byte) (all []candidate) {
		for _, m := range automaton.FindAllOverlapping(text) {
			for _, p := range patterns[anchors[m.PatternID]] {
				if bytes.HasPrefix(text[m.Start:], p.text) {
					all = append(all, candidate{m.Start, m.Start + len(p.text), p.value, p.name})
				}
			}
		}
		return all
	}
	return &Scanner{find: find, longest: longest, window: window}, nil
}

// passed are the bytes that are ignored: white space and NUL.
var passed = [256]bool{0: true, '\t': true, '\n': true, '\v': true, '\f': true, '\r': true, ' ': true}

// strip returns text without what is ignored.
func strip(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, b := range text {
		if !passed[b] {
			out = append(out, b)
		}
	}
	return out
}

// window is that of each scanner, but in tests.
const window = 64 << 10

// Stream is something that is searched, in pieces.
type Stream struct {
	scanner *Scanner
	found   func(Match)
	text    []byte // what counts of it, and was not searched yet to the end
	marks   []mark // where it was, at its begin and after each gap; sorted
	at      Place  // of the next byte
	gap     bool   // before the next byte
}

// mark says where a byte of a text was.
type mark struct {
	at int
	Place
}

// Stream begins to search something: what is found is told in the order in which it
// begins. All of it is told only after [Stream.Close].
func (s *Scanner) Stream(found func(Match)) *Stream {
	return &Stream{scanner: s, found: found, at: Place{1, 1}, gap: true}
}

// Write implements io.Writer. It never fails.
func (s *Stream) Write(b []byte) (int, error) {
	n := len(b)
	if s.scanner.longest == 0 {
		return n, nil
	}
	for len(b) > 0 {
		piece := b[:min(len(b), s.scanner.window)]
		b = b[len(piece):]
		s.add(piece)
		if len(s.text) >= s.scanner.window+4*s.scanner.longest {
			s.search(s.scanner.longest - 1)
		}
	}
	return n, nil
}

// add appends what counts of b.
func (s *Stream) add(b []byte) {
	for len(b) > 0 {
		n := 0
		for n < len(b) && !passed[b[n]] {
			n++
		}
		if n > 0 {
			if s.gap {
				s.marks = append(s.marks, mark{len(s.text), s.at})
				s.gap = false
			}
			s.text = append(s.text, b[:n]...)
			s.at.Column += n
			b = b[n:]
		}
		for len(b) > 0 && passed[b[0]] {
			s.gap = true
			s.at.Column++
			if b[0] == '\n' {
				s.at = Place{s.at.Line + 1, 1}
			}
			b = b[1:]
		}
	}
}

// Jump says that what follows begins at another line, and that nothing goes on there
// which was before.
func (s *Stream) Jump(line int) {
	s.Close()
	s.at, s.gap = Place{line, 1}, true
}

// Close searches what was not searched yet.
func (s *Stream) Close() { s.search(0) }

// search searches the text, and keeps so many bytes of its end for what may begin
// there.
func (s *Stream) search(keep int) {
	from := len(s.text) - keep
	if from <= 0 {
		return
	}
	all := s.scanner.find(s.text)
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.value, b.value))
	})
	for _, c := range all {
		if c.start < from {
			s.found(Match{c.value, c.form, s.place(c.start), s.place(c.end - 1)})
		}
	}
	first := s.place(from)
	s.text = append(s.text[:0], s.text[from:]...)
	marks := s.marks[:0]
	if keep > 0 {
		marks = append(marks, mark{0, first})
		for _, m := range s.marks {
			if m.at > from {
				marks = append(marks, mark{m.at - from, m.Place})
			}
		}
	} else {
		s.gap = true
	}
	s.marks = marks
}

// place returns where a byte of the text was.
func (s *Stream) place(at int) Place {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].at > at }) - 1
	if i < 0 {
		return s.at
	}
	m := s.marks[i]
	return Place{m.Line, m.Column + at - m.at}
}
