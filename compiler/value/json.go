package value

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may nest.
const maxDepth = 500

// Why [ParseJSON] fails. None of them says more of what it read.
var (
	ErrNotJSON    = errors.New("it is not JSON")
	ErrDuplicate  = errors.New("it is JSON with the same property twice")
	ErrNotText    = errors.New("it is JSON with text that is not Unicode")
	ErrTooNested  = errors.New("it is JSON that nests too deep")
	notWritten    = []byte(`\ufffd`)
	notWrittenRaw = []byte("\ufffd")
)

// Boolean is true or false of JSON. It is a string, so that it is not nothing
// when it is false: what is there is there.
type Boolean string

// MarshalJSON writes b as JSON has it.
func (b Boolean) MarshalJSON() ([]byte, error) { return []byte(b), nil }

// ParseJSON returns what JSON text means: map[string]any, []any, string, nil,
// [json.Number] with the number as it is written, and [Boolean]. Where readers of
// JSON differ, it fails: a property that is there twice, and text that is not Unicode.
func ParseJSON(text []byte) (any, error) {
	if !json.Valid(text) {
		return nil, ErrNotJSON
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	p := jsonParser{dec, bytes.Contains(text, notWrittenRaw) || bytes.Contains(bytes.ToLower(text), notWritten)}
	if !utf8.Valid(text) {
		return nil, ErrNotText
	}
	return p.value(0)
}

type jsonParser struct {
	*json.Decoder
	replacements bool // the text has U+FFFD itself
}

func (p jsonParser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, ErrTooNested
	}
	token, err := p.Token()
	if err != nil {
		return nil, ErrNotJSON
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			list := []any{}
			for p.More() {
				v, err := p.value(depth + 1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := p.Token()
			return list, err
		}
		object := map[string]any{}
		for p.More() {
			name, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			key, ok := name.(string)
			if !ok {
				return nil, ErrNotJSON
			}
			if _, twice := object[key]; twice {
				return nil, ErrDuplicate
			}
			if object[key], err = p.value(depth + 1); err != nil {
				return nil, err
			}
		}
		_, err := p.Token()
		return object, err
	case string:
		if strings.ContainsRune(t, utf8.RuneError) && !p.replacements {
			return nil, ErrNotText // package json puts U+FFFD in the place of what is none
		}
		return t, nil
	case bool:
		if t {
			return Boolean("true"), nil
		}
		return Boolean("false"), nil
	case json.Number:
		return t, nil
	}
	return nil, nil
}
