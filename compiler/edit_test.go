package compiler

import "testing"

// TestTake takes fields out of the text of a file, and puts them into another.
func TestTake(t *testing.T) {
	t.Parallel()
	const file = `package shop

import (
	"github.com/victor-ai/victorgen/schema"
	"github.com/victor-ai/victorgen/schema/kit"
)

schema.#Environment

inputs: {
	// What it is.
	A: schema.#Required & {pattern: "^a", docs: "https://a.test"} // beside
	B: schema.#Required
}
inputs: C: schema.#Optional

secrets: {
	shop: {
		labels: app: "shop"
		keys: {
			a: input: "A"
			u: kit.#URL & {#host: "A"}
		}
	}
	other: keys: b: input: "B"
}
`
	const to = `package shop

environment: "dev"

inputs: A: docs: "https://a.test"
`
	for name, test := range map[string]struct {
		path       []string
		rest, with string
	}{
		"an input": {[]string{"inputs", "A"}, `package shop

import (
	"github.com/victor-ai/victorgen/schema"
	"github.com/victor-ai/victorgen/schema/kit"
)

schema.#Environment

inputs: {
	B: schema.#Required
}
inputs: C: schema.#Optional

secrets: {
	shop: {
		labels: app: "shop"
		keys: {
			a: input: "A"
			u: kit.#URL & {#host: "A"}
		}
	}
	other: keys: b: input: "B"
}
`, `package shop

import "github.com/victor-ai/victorgen/schema"

environment: "dev"

inputs: {
	A: docs: "https://a.test"
	// What it is.
	A: schema.#Required & {pattern: "^a", docs: "https://a.test"} // beside
}
`},
		"a chain": {[]string{"inputs", "C"}, "", `package shop

import "github.com/victor-ai/victorgen/schema"

environment: "dev"

inputs: {
	A: docs: "https://a.test"
	C: schema.#Optional
}
`},
		"a constraint": {[]string{"inputs", "A", "pattern"}, "", `package shop

environment: "dev"

inputs: A: {
	docs:    "https://a.test"
	pattern: "^a"
}
`},
		"the last use of an import": {[]string{"secrets", "shop", "keys", "u"}, "", `package shop

import "github.com/victor-ai/victorgen/schema/kit"

environment: "dev"

inputs: A: docs: "https://a.test"

secrets: shop: keys: u: kit.#URL & {#host: "A"}
`},
		"all of a chain": {[]string{"secrets", "other", "keys", "b"}, "", `package shop

environment: "dev"

inputs: A: docs: "https://a.test"

secrets: other: keys: b: input: "B"
`},
	} {
		rest, taken := Take([]byte(file), test.path...)
		if len(taken) != 1 {
			t.Errorf("%s: %q", name, taken)
			continue
		}
		if again, more := Take(rest, test.path...); len(more) > 0 || string(again) != string(rest) {
			t.Errorf("%s: it is there once more", name)
		}
		with, err := Put([]byte(to), taken[0], test.path...)
		if err != nil || string(with) != test.with {
			t.Errorf("%s: %v\n%s", name, err, with)
		}
		if test.rest != "" && string(rest) != test.rest {
			t.Errorf("%s: the rest is\n%s", name, rest)
		}
		back, err := Put(rest, taken[0], test.path...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, taken := Take(back, test.path...); len(taken) != 1 {
			t.Errorf("%s: back is\n%s", name, back)
		}
	}
	for _, path := range [][]string{{"inputs", "X"}, {"secrets", "shop", "keys", "a", "input", "deeper"}, {"nothing"}} {
		if rest, taken := Take([]byte(file), path...); len(taken) > 0 || string(rest) != file {
			t.Errorf("%v: %q", path, taken)
		}
	}
}
