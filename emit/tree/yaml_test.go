package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	yamlv2 "go.yaml.in/yaml/v2"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// awkwardStrings are those that some reader of YAML reads otherwise without quotes,
// or that stand in a place where the encoder must take care. The tests of e2e have
// PyYAML read them.
var awkwardStrings = append(strings.Fields(`= << ~ y Y n N yes No ON off true False null 0x1f 0x_ 0b1 0b_ 0o17 017 08 0_ 1_000 1e3 1E-3 1.e3 12e03 685_230.15 +1 -1
	1. .5 ._ _ 12:30:00 1:30 190:20:30.15 2026-01-01 2026-1-1 2001-12-14t21:59:43.10-05:00 .inf -.inf .nan - -- --- ... ? ?a :a a: a:b !a &a *a |a >a %a @a `+"`a"+` 'a
	"a #a 12.30.45 infinity vgq0x vgqq1x`),
	"", " ", "2001-12-14 21:59:43.10 -5", "a\u2028b", "a\n\u2029b", "a\rb", "a\r\nb", "\r", "\ufeff", "a\ufeffb", "a\u00a0b", "\x00", "\x1b[31m", "a\tb", "\ta\nb",
	"a ", " a", "a\n", "\na", "a\n\n", " a\nb", "a\n b\n", "--- a", "a\n--- b\n", "a\n...\n", "a # b", "a: b\nc", strings.Repeat("word ", 40),
	strings.Repeat("word ", 40)+"\u2028", strings.Repeat("k", 129), `a\b"c`+"\u2028", "{{ .A }}\n", "\U0001f600\u2028")

// plainlyAlone is plainly that is shown every text.
var plainlyAlone = regexp.MustCompile(plainly.String())

// roundTrip has each reader read s back, as a value and as a key.
func roundTrip(t *testing.T, s string) {
	t.Helper()
	if !plainly.May(s) && plainlyAlone.MatchString(s) {
		t.Errorf("%q is passed by, and some reader takes it for something else", s)
	}
	y, err := MarshalYAML(map[string]any{"value": s, "key": map[string]any{s: "x", "other": s}, "list": []string{s}, "last": 1})
	if strings.ContainsFunc(s, uncarried) {
		if !errors.Is(err, ErrCharacter) {
			t.Errorf("%q is written, and kustomize does not carry it: %v", s, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	type doc struct {
		Value string
		Key   map[string]string
		List  []string
		Last  int
	}
	check := func(reader string, err error, got doc) {
		if err != nil || got.Value != s || got.Key[s] != "x" && s != "other" || got.Key["other"] != s || len(got.List) != 1 || got.List[0] != s || got.Last != 1 {
			t.Errorf("%s: %q is read as %+v (%v) in\n%s", reader, s, got, err, y)
		}
	}
	var a, b, c doc
	check("sigs.k8s.io/yaml", yaml.Unmarshal(y, &a), a)
	check("yaml v2", yamlv2.Unmarshal(y, &b), b)
	check("yaml v3", yamlv3.Unmarshal(y, &c), c)
	// And without being told that they are strings.
	var untyped map[string]any
	if err := yamlv3.Unmarshal(y, &untyped); err != nil || untyped["value"] != s {
		t.Errorf("yaml v3: %q is read as %v (%v) in\n%s", s, untyped["value"], err, y)
	}
	var old map[string]any
	if err := yamlv2.Unmarshal(y, &old); err != nil || old["value"] != s {
		t.Errorf("yaml v2: %q is read as %v (%v) in\n%s", s, old["value"], err, y)
	}
}

// FuzzYAMLRoundTrip: whatever text a contract has, all readers read it.
func FuzzYAMLRoundTrip(f *testing.F) {
	for _, s := range awkwardStrings {
		f.Add(s)
	}
	for _, s := range []string{"a\u0085b", "\x7f", "a\u009f", "\ufffe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			roundTrip(t, s)
		}
	})
}

// TestYAMLUnchanged: the encoder's own writing stays wherever all read it alike, and
// numbers stay numbers.
func TestYAMLUnchanged(t *testing.T) {
	t.Parallel()
	object := map[string]any{"true": "true", "1e3": "1e3", "a10": "x", "a9": "- x", "n": json.Number("12345678901234567890"), "f": 0.1, "l": []any{"a\nb\n", nil, false, map[string]any{}}}
	want, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	got, err := MarshalYAML(object)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s\nis not\n%s (%v)", got, want, err)
	}
	names := map[string]any{}
	for _, name := range strings.Fields("1_000 1e3 017 0x1f 2026-01-01 a.b/c no y 0x_ 0b_ ._ .5 - _ null on") {
		names[name] = ""
	}
	first, _ := MarshalYAML(names)
	for range 200 {
		if again, _ := MarshalYAML(names); string(again) != string(first) {
			t.Fatalf("one object is written in two orders:\n%s\n%s", first, again)
		}
	}
	object["z"] = "a\u2028b"
	if got, err = MarshalYAML(object); err != nil || string(got) != string(want)+"z: \"a\\u2028b\"\n" {
		t.Errorf("%s\nis not\n%sz: ... (%v)", got, want, err)
	}
}

// TestYAMLThroughKustomize: what kustomize writes again is the same text, and what it
// would not carry is just what is refused.
func TestYAMLThroughKustomize(t *testing.T) {
	t.Parallel()
	data := map[string]string{}
	for i, s := range awkwardStrings {
		data[fmt.Sprintf("k%d", i)] = s
	}
	for r := rune(0); r < 0x100; r++ {
		if !uncarried(r) {
			data[fmt.Sprintf("r%d", r)] = "a" + string(r) + "b"
		}
	}
	y, err := MarshalYAML(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	fsys := filesys.MakeFsInMemory()
	fsys.WriteFile("tree/cm.yaml", y)
	fsys.WriteFile("tree/kustomization.yaml", []byte("resources: [cm.yaml]"))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "tree")
	if err != nil {
		t.Fatal(err)
	}
	out, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Data map[string]string }
	if err := yaml.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(data, got.Data); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
