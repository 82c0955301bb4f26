package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// pack writes a document as the page has it: each value once, however often it is there,
// for environments that share a contract say the same of nearly everything.
//
//	{"shapes": [["name", "class"]], "values": ["DB_PASSWORD", "generated", [0, 0, 1], [-1, 2]], "root": 3}
//
// A list among the values is a list, if it begins with -1, or an object whose names are
// those of the shape of that number; what follows are the numbers of values before it.
func pack(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	p := &packer{dec: json.NewDecoder(bytes.NewReader(text)), numbers: map[string]int{}, shapeNumbers: map[string]int{}}
	p.dec.UseNumber()
	root, err := p.value()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"shapes":[%s],"values":[%s],"root":%d}`, bytes.Join(p.shapes, []byte(",")), bytes.Join(p.values, []byte(",")), root), nil
}

type packer struct {
	dec                   *json.Decoder
	shapes, values        [][]byte
	numbers, shapeNumbers map[string]int // of what is there already, by its text
}

// value packs the next value, and returns its number.
func (p *packer) value() (int, error) {
	token, err := p.dec.Token()
	if err != nil {
		return 0, err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		text, err := json.Marshal(token)
		return p.number(text), err
	}
	var names []string
	parts := []byte("[-1")
	for p.dec.More() {
		if delim == '{' {
			name, err := p.dec.Token()
			if err != nil {
				return 0, err
			}
			names = append(names, name.(string))
		}
		n, err := p.value()
		if err != nil {
			return 0, err
		}
		parts = strconv.AppendInt(append(parts, ','), int64(n), 10)
	}
	if _, err := p.dec.Token(); err != nil { // which ends it
		return 0, err
	}
	if delim == '{' {
		shape, err := p.shape(names)
		if err != nil {
			return 0, err
		}
		parts = append(strconv.AppendInt([]byte("["), int64(shape), 10), parts[len("[-1"):]...)
	}
	return p.number(append(parts, ']')), nil
}

func (p *packer) number(text []byte) int {
	n, ok := p.numbers[string(text)]
	if !ok {
		n = len(p.values)
		p.numbers[string(text)] = n
		p.values = append(p.values, text)
	}
	return n
}

func (p *packer) shape(names []string) (int, error) {
	if names == nil {
		names = []string{}
	}
	text, err := json.Marshal(names)
	n, ok := p.shapeNumbers[string(text)]
	if !ok {
		n = len(p.shapes)
		p.shapeNumbers[string(text)] = n
		p.shapes = append(p.shapes, text)
	}
	return n, err
}
