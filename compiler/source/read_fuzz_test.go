package source_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// FuzzSelect selects any property of any value: the answer is what package json
// makes of it, and an error tells the property and nothing of the value.
func FuzzSelect(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a": "x"}`, "a"}, {`{"a":{"b":1.50}}`, "a.b"}, {`{"a.b":[null, "x"], "a":{"b":2}}`, "a.b"}, {` {"a" : null } `, "a"},
		{`{"a":{"b":{"c":true}}}`, "a.b.c"}, {`{"a":"\ud800\u0000","a":-1e400}`, "a"}, {"{\"\xff\": \"\xff\"}", "\xff"}, {`{"":{"":1}}`, "."},
		{"null", "a"}, {`[{"a":1}]`, "a"}, {`{"a":1} {`, "a"}, {"c4nary", "c4nary"}, {"", "a"}, {`{"a":1}`, ""},
	} {
		f.Add([]byte(seed[0]), seed[1])
	}
	f.Fuzz(func(t *testing.T, data []byte, property string) {
		ask := func(data []byte) source.Answer {
			return source.Select(source.Answer{Value: value.New(data), Origin: "there"}, property)
		}
		a, again := ask(data), ask(data)
		got := a.Value.Reveal()
		if !a.Value.Equal(again.Value) || answered(a) != answered(again) || a.Origin != "there" {
			t.Fatalf("%q, then %q", answered(a), answered(again))
		}
		if a.Err != nil && len(got) > 0 {
			t.Fatal("a value comes with the error")
		}
		if property == "" || len(data) == 0 {
			if a.Err != nil || !bytes.Equal(got, data) {
				t.Fatalf("all of it is %q, %v", got, a.Err)
			}
			return
		}
		object, ok := decode(data).(map[string]any)
		if !ok {
			var is, other *source.Failure
			if !errors.As(a.Err, &is) || !errors.As(ask([]byte("[]")).Err, &other) || *is != *other || is.Unreadable {
				t.Fatalf("of what is no object: %q, %#v", got, a.Err)
			}
			return
		}
		if _, err := value.ParseJSON(data); errors.Is(err, value.ErrDuplicate) {
			if a.Err == nil || a.Err == source.ErrAbsent {
				t.Fatalf("of what is there twice: %q, %v", got, a.Err)
			}
			return
		}
		want, nested := member(object, strings.Split(property, "."))
		if whole, ok := object[property]; ok && strings.Contains(property, ".") {
			if nested {
				if a.Err == nil || a.Err == source.ErrAbsent {
					t.Fatalf("of one that is there in two ways: %q, %v", got, a.Err)
				}
				return
			}
			want = whole
		}
		switch want := want.(type) {
		case json.Number:
			if exact := !strings.ContainsAny(string(want), ".eE"); exact != (a.Err == nil) || exact && string(got) != string(want) {
				t.Fatalf("%s is %q, %v", want, got, a.Err)
			}
		case nil:
			if a.Err != source.ErrAbsent {
				t.Fatalf("of null or none: %q, %#v", got, a.Err)
			}
		case string:
			var f *source.Failure
			if errors.As(a.Err, &f) && strings.ContainsRune(want, '\ufffd') {
				return // package json has put it there
			}
			if a.Err != nil || string(got) != want {
				t.Fatalf("%q is %q, %v", want, got, a.Err)
			}
		default:
			if a.Err != nil || !bytes.Contains(data, got) || !bytes.Equal(got, bytes.TrimSpace(got)) || !cmp.Equal(decode(got), want) {
				t.Fatalf("%v is %q, %v", want, got, a.Err)
			}
		}
	})
}

// decode returns what the JSON of all of data says, nil if it is none.
func decode(data []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if !json.Valid(data) || d.Decode(&v) != nil {
		return nil
	}
	return v
}

// member is Select on decoded JSON, but for names with dots.
func member(v any, path []string) (_ any, ok bool) {
	if len(path) == 0 {
		return v, true
	}
	switch v := v.(type) {
	case map[string]any:
		if inner, ok := v[path[0]]; ok {
			return member(inner, path[1:])
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(v) && strconv.Itoa(i) == path[0] {
			return member(v[i], path[1:])
		}
	}
	return nil, false
}
