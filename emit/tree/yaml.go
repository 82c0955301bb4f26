package tree

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"

	"github.com/victor-ai/victorgen/internal/lazy"
)

// MarshalYAML writes an object as Kubernetes does, but so that all readers of YAML
// read its very strings: those of Kubernetes and kustomize, and those for YAML 1.1
// as PyYAML and libyaml. A text that kustomize does not carry is an error, for trees are
// applied by way of it. What the encoder writes right stays as it writes it. The
// rest it gets as a word of letters, in the place of which double quotes come
// afterwards. And an object has one order: that of the encoder goes by chance for
// some names, such as 017, 0x1f and 1_000.
func MarshalYAML(object any) ([]byte, error) {
	js, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(js))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if i := bytes.IndexFunc(js, uncarried); i >= 0 {
		r, _ := utf8.DecodeRune(js[i:])
		return nil, fmt.Errorf("%w %U", ErrCharacter, r)
	}
	q := quoting{prefix: "vgq"}
	for bytes.Contains(js, []byte(q.prefix)) {
		q.prefix += "q"
	}
	y, err := yaml.Marshal(q.replace(v))
	if err != nil {
		return nil, err
	}
	// Backwards, for the word for 1 begins that for 10.
	for i := len(q.strings) - 1; i >= 0; i-- {
		y = bytes.ReplaceAll(y, []byte(q.word(i)), quoted(q.strings[i]))
	}
	return y, nil
}

// ErrCharacter is for text that does not arrive as it is, however it is written.
var ErrCharacter = errors.New("it has a text with a character that kustomize changes or refuses,")

// uncarried are the characters that JSON does not escape, so that kustomize, which
// takes JSON for YAML, reads a line break or refuses all of it.
func uncarried(r rune) bool { return r >= 0x7f && r <= 0x9f || r == 0xfffe || r == 0xffff }

// quoting are the strings that MarshalYAML quotes itself.
type quoting struct {
	prefix  string
	strings []string
}

func (q *quoting) word(i int) string { return fmt.Sprintf("%s%dx", q.prefix, i) }

// replace returns what the encoder gets for v.
func (q *quoting) replace(v any) any {
	switch v := v.(type) {
	case string:
		return q.text(v)
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = q.replace(v[i])
		}
	case map[string]any:
		items := yaml.MapSlice{}
		for _, name := range slices.SortedStableFunc(slices.Values(slices.Sorted(maps.Keys(v))), byEncoder) {
			items = append(items, yaml.MapItem{Key: q.text(name), Value: q.replace(v[name])})
		}
		return items
	}
	return v
}

func (q *quoting) text(s string) string {
	if misread(s) {
		return q.add(s)
	}
	return s
}

// byEncoder compares two names as the encoder does
// (https://github.com/yaml/go-yaml/blob/v2.4.4/sorter.go), which is no order: there are
// names of which each is less than the next, and the last is less than the first.
func byEncoder(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i < len(a) && i < len(b) && asciiLetter(a[i]) && asciiLetter(b[i]) { // as below, and most names are that
		return cmp.Compare(a[i], b[i])
	}
	ar, br := []rune(a), []rune(b)
	for i := 0; i < len(ar) && i < len(br); i++ {
		if ar[i] == br[i] {
			continue
		}
		al, bl := unicode.IsLetter(ar[i]), unicode.IsLetter(br[i])
		if al && bl {
			return cmp.Compare(ar[i], br[i])
		}
		if bl {
			return -1
		} else if al {
			return 1
		}
		var an, bn int64
		if ar[i] == '0' || br[i] == '0' {
			for j := i - 1; j >= 0 && unicode.IsDigit(ar[j]); j-- {
				if ar[j] != '0' {
					an, bn = 1, 1
					break
				}
			}
		}
		ai, bi := i, i
		for ; ai < len(ar) && unicode.IsDigit(ar[ai]); ai++ {
			an = an*10 + int64(ar[ai]-'0')
		}
		for ; bi < len(br) && unicode.IsDigit(br[bi]); bi++ {
			bn = bn*10 + int64(br[bi]-'0')
		}
		return cmp.Or(cmp.Compare(an, bn), cmp.Compare(ai, bi), cmp.Compare(ar[i], br[i]))
	}
	return cmp.Compare(len(ar), len(br))
}

func (q *quoting) add(s string) string {
	i := slices.Index(q.strings, s)
	if i < 0 {
		i = len(q.strings)
		q.strings = append(q.strings, s)
	}
	return q.word(i)
}

func asciiLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// plainly is what some reader takes for something else than a string where it
// stands without quotes: the types of YAML 1.1 (https://yaml.org/type/) and of the
// core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).
var plainly = lazy.MustCompileIf(mayBePlain, `^(|=|<<|~|null|Null|NULL|y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE`+
	`|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)`+
	`|[-+]?(0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?|\.[0-9_]+([eE][-+]?[0-9_]+)?)`+
	`|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?([ \t]*(Z|[-+][0-9]{1,2}(:?[0-9]{2})?))?)?)$`)

// mayBePlain reports whether s may be one of plainly, by its bytes and how long it is.
// Most texts are none, such as 5m, and need not be shown to the expression.
func mayBePlain(s string) bool {
	switch {
	case s == "":
		return true
	case asciiLetter(s[0]):
		return len(s) <= len("false") && slices.Contains([]string{"null", "y", "n", "yes", "no", "on", "off", "true", "false"}, strings.ToLower(s))
	}
	return strings.IndexByte("=<~+-.0123456789", s[0]) >= 0 && strings.Trim(s, "=<~+-.:_ \t0123456789abcdefABCDEFiInNoOtTxXZ") == ""
}

// misread reports whether the encoder writes s so that some reader reads something
// else, or refuses all of it.
func misread(s string) bool {
	if strings.ContainsAny(s, "\u2028\u2029") { // which end a line for YAML 1.1, and not for 1.2
		return true
	}
	if len(s) > 64 || !plainly.MatchString(s) {
		return false
	}
	y, err := yaml.Marshal([]string{s})
	return err != nil || !bytes.HasPrefix(y, []byte(`- "`)) && !bytes.HasPrefix(y, []byte(`- '`))
}

// quoted writes s in double quotes, on one line.
func quoted(s string) []byte {
	var b bytes.Buffer
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x20 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.Bytes()
}
