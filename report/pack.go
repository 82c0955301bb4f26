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
// those of the shape of that number. What follows are the numbers of values before it,
// where -2 is the one but last before it: such numbers are the shorter ones, mostly.
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
	numbers, shapeNumbers map[string]int // of what is there already
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
	var elements []int
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
		elements = append(elements, n)
	}
	if _, err := p.dec.Token(); err != nil { // which ends it
		return 0, err
	}
	shape := -1
	if delim == '{' {
		if shape, err = p.shape(names); err != nil {
			return 0, err
		}
	}
	of := strconv.AppendInt([]byte("["), int64(shape), 10)
	for _, n := range elements {
		of = strconv.AppendInt(append(of, ' '), int64(n), 10)
	}
	key := string(of) // which is no JSON
	if n, ok := p.numbers[key]; ok {
		return n, nil
	}
	text := strconv.AppendInt([]byte("["), int64(shape), 10)
	for _, n := range elements {
		number := strconv.Itoa(n)
		if back := strconv.Itoa(n - len(p.values)); len(back) < len(number) {
			number = back
		}
		text = append(append(text, ','), number...)
	}
	return p.add(key, append(text, ']')), nil
}

// number returns the number of a value that has no others in it.
func (p *packer) number(text []byte) int {
	if n, ok := p.numbers[string(text)]; ok {
		return n
	}
	return p.add(string(text), text)
}

func (p *packer) add(key string, text []byte) int {
	n := len(p.values)
	p.numbers[key] = n
	p.values = append(p.values, text)
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
