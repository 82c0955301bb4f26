package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// Parallel is how many calls a source has under way at a time. It is far below
// what any of the services refuses, and enough to hide their latency.
const Parallel = 10

// Read reads refs from s: each name and version once, whatever the refs select
// of it.
func Read(ctx context.Context, s Source, refs []Ref) []Answer {
	return distinct(refs, func(refs []Ref) []Answer { return s.Read(ctx, refs) })
}

// Prove asks s whether it has refs, each name and version once.
func Prove(ctx context.Context, s Prover, refs []Ref) []Answer {
	return distinct(refs, func(refs []Ref) []Answer { return s.Prove(ctx, refs) })
}

// distinct asks for each name and version once and selects the properties.
func distinct(refs []Ref, ask func([]Ref) []Answer) []Answer {
	type key struct {
		input, name, version string
		binary               bool
	}
	index := map[key]int{}
	var asked []Ref
	which := make([]int, len(refs))
	for i, ref := range refs {
		k := key{ref.Input, ref.Remote.Name, ref.Remote.Version, ref.Binary}
		if k.name != "" {
			k.input = "" // inputs that share a name
		}
		j, ok := index[k]
		if !ok {
			j = len(asked)
			index[k] = j
			ref.Remote.Property = ""
			asked = append(asked, ref)
		}
		which[i] = j
	}
	if len(asked) == 0 {
		return nil
	}
	got := ask(asked)
	answers := make([]Answer, len(refs))
	for i, ref := range refs {
		answers[i] = Select(got[which[i]], ref.Remote.Property)
	}
	return answers
}

// Select returns the answer for one property of the JSON object that a holds.
// A property a.b is that of that name, or else b in a; in a list, the parts count
// from 0. A string is the text in it; anything else is its JSON; null, and a
// property that is not there, is absent. Without a property Select returns a.
//
// Where the External Secrets Operator would take something else
// (https://github.com/tidwall/gjson), Select fails: an object that has a property
// twice, both an a.b and a b in a, and a number that is not an integer in digits.
func Select(a Answer, property string) Answer {
	if a.Err != nil || property == "" || a.Value.Len() == 0 {
		return a
	}
	raw, err := lookup(a.Value.Reveal(), property)
	a.Value = value.Value{}
	switch {
	case err != nil:
		a.Err = err
	case raw == nil || string(raw) == "null":
		a.Err = ErrAbsent
	case raw[0] == '"':
		var s string
		json.Unmarshal(raw, &s) // which lookup has found valid
		written := bytes.Contains(raw, []byte("\ufffd")) || bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
		if !utf8.Valid(raw) || strings.ContainsRune(s, utf8.RuneError) && !written {
			// Package json puts U+FFFD in the place of what is no text.
			a.Err = &Failure{
				Code: plan.CodeValueEncoding, Reason: "its property " + property + " is not text in UTF-8", Remedy: "store its base64 there",
			}
			return a
		}
		a.Value = value.New([]byte(s))
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		if !integer.Match(raw) {
			a.Err = &Failure{
				Code:   plan.CodeValueEncoding,
				Reason: "its property " + property + " is a number that is not a plain integer, which JSON readers print in different ways",
				Remedy: "store it as a string there",
			}
			return a
		}
		a.Value = value.New(raw)
	default:
		a.Value = value.New(raw)
	}
	return a
}

var integer = lazy.MustCompile(`^-?[0-9]+$`)

// lookup finds a property. Its errors never wrap those of package json, which
// quote what they read.
func lookup(object []byte, property string) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil || fields == nil {
		return nil, &Failure{
			Code: plan.CodeValueEncoding, Reason: "what is stored there is not a JSON object, so it has no property " + property,
			Remedy: "take #" + property + " from its remote, or store a JSON object",
		}
	}
	if _, err := value.ParseJSON(object); errors.Is(err, value.ErrDuplicate) {
		return nil, &Failure{
			Code: plan.CodeValueEncoding, Reason: "the value there is JSON with a duplicate property, so it is not clear what its property " + property + " is",
			Remedy: "remove one of them",
		}
	}
	whole, named := fields[property]
	inner := nested(object, strings.Split(property, "."))
	switch {
	case !named:
		return inner, nil
	case inner != nil && strings.Contains(property, "."):
		return nil, &Failure{
			Code: plan.CodeValueEncoding, Reason: "the value there has a property " + property + " and one of that name inside another, and readers differ in which one they take",
			Remedy: "remove one of them",
		}
	}
	return whole, nil
}

// nested returns what lies at path in v, nil if nothing does.
func nested(v json.RawMessage, path []string) json.RawMessage {
	for _, name := range path {
		var fields map[string]json.RawMessage
		var list []json.RawMessage
		switch i, err := strconv.Atoi(name); {
		case json.Unmarshal(v, &fields) == nil && fields != nil:
			v = fields[name]
		case err == nil && i >= 0 && strconv.Itoa(i) == name && json.Unmarshal(v, &list) == nil && i < len(list):
			v = list[i]
		default:
			return nil
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// Batches asks for refs in batches of size, Parallel of them at a time, and
// returns the answers in order. Batches that have not begun when ctx ends are
// answered for by what [Network] says of that, or by what has delayed the others.
func Batches(ctx context.Context, refs []Ref, size int, ask func(context.Context, []Ref) []Answer) []Answer {
	answers := make([]Answer, len(refs))
	explain := patiently(ctx, func(ctx context.Context) {
		var g crash.Group
		g.SetLimit(Parallel)
		at := 0
		for batch := range slices.Chunk(refs, size) {
			into := answers[at : at+len(batch)]
			at += len(batch)
			g.Go(func() {
				if err := ctx.Err(); err != nil {
					copy(into, Failed(batch, Network(err)))
					return
				}
				copy(into, ask(ctx, batch))
			})
		}
		g.Wait()
	})
	for i := range answers {
		answers[i].Err = explain(answers[i].Err)
	}
	return answers
}

// Failed answers all refs with err.
func Failed(refs []Ref, err error) []Answer {
	answers := make([]Answer, len(refs))
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}
