package report

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// unpack is what the page does with what pack returns.
func unpack(t *testing.T, text []byte) any {
	t.Helper()
	var p struct {
		Shapes [][]string
		Values []any
		Root   int
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var all []any
	for _, v := range p.Values {
		list, ok := v.([]any)
		if !ok {
			all = append(all, v)
			continue
		}
		at := func(i int) any {
			if n := int(list[i].(float64)); n >= 0 {
				return all[n]
			} else {
				return all[len(all)+n]
			}
		}
		if shape := int(list[0].(float64)); shape >= 0 {
			object := map[string]any{}
			for i, name := range p.Shapes[shape] {
				object[name] = at(i + 1)
			}
			all = append(all, object)
		} else {
			elements := []any{}
			for i := range list[1:] {
				elements = append(elements, at(i+1))
			}
			all = append(all, elements)
		}
	}
	return all[p.Root]
}

// TestPack: what is packed is what comes out, and what is there twice is packed once.
func TestPack(t *testing.T) {
	for _, text := range []string{
		`null`, `-1`, `"</script><!--"`, `[]`, `{}`, `[[],{},[[]]]`, `{"a":[1,1.5,1e3,-1],"b":{"a":[1,1.5,1e3,-1]}}`, `[true,"true",1,"1",null,"null"]`, `[{"a":1,"b":2},{"b":2,"a":1},{"a":1}]`, `["\u2028<&>é"]`,
	} {
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		packed, err := pack(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := unpack(t, packed); !reflect.DeepEqual(got, want) {
			t.Errorf("%s becomes %v by %s", text, got, packed)
		}
		if strings.ContainsAny(string(packed), "<>&\u2028") {
			t.Errorf("%s could end the element that it is in", packed)
		}
	}
	packed, _ := pack([]any{map[string]any{"a": "x"}, map[string]any{"a": "x"}})
	if want := `{"shapes":[["a"]],"values":["x",[0,0],[-1,1,1]],"root":2}`; string(packed) != want {
		t.Errorf("%s, not %s", packed, want)
	}
}
