package tree

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/victor-ai/victorgen/compiler/plan"
)

const goodLock = `version: 1
environment: production
files: [kustomization.yaml, secrets/app.yaml]
secrets:
  - namespace: victor
    name: app
    scope: strict
    certificate: abc
    file: secrets/app.yaml
    keys:
      key: {definition: "1", ciphertext: "2", tag: "3", sealed: 2026-02-03T04:05:06Z, changed: 2026-02-03T04:05:06Z}
      out: {definition: "1", omitted: true}
`

func TestParseLock(t *testing.T) {
	t.Parallel()
	replace := func(old, new string) string {
		if !strings.Contains(goodLock, old) {
			t.Fatalf("no %q in the lock", old)
		}
		return strings.Replace(goodLock, old, new, 1)
	}
	tests := []struct{ name, data, want string }{
		{"good", goodLock, ""},
		{"empty", "", "/lock:1:1: error VG4001: victorgen.lock: it is empty"},
		{"version", replace("version: 1", "version: 3"), "/lock:1:1: error VG4001: victorgen.lock: it has version 3, and this victorgen reads versions 1 to 2"},
		{"not YAML", "}", "/lock:1:1: error VG4001: victorgen.lock: it is not what victorgen writes"},
		{"a list", "[1]", "/lock:1:1: error VG4001: victorgen.lock: it is not what victorgen writes"},
		{"merge conflict", replace("environment: production\n", "<<<<<<< HEAD\nenvironment: production\n=======\n"), "/lock:2:1: error VG4001: victorgen.lock: it is not what victorgen writes"},
		{"unknown fields", replace("name: app", "nome: app") + "more: 1\n",
			"/lock:6:1: error VG4001: victorgen.lock: unknown field \"nome\"\n/lock:13:1: error VG4001: victorgen.lock: unknown field \"more\""},
		{"duplicate key", replace("      out:", "      key:"), "/lock:12:1: error VG4001: victorgen.lock: duplicate key \"key\""},
		{"duplicate field", replace("environment:", "environment: staging\nenvironment:"), "/lock:3:1: error VG4001: victorgen.lock: duplicate key \"environment\""},
		{"wrong type", replace("omitted: true", "omitted: hidden"), "/lock:12:1: error VG4001: victorgen.lock: it is not what victorgen writes"},
		{"bad time", replace("sealed: 2026-02-03T04:05:06Z", "sealed: today"), "/lock:1:1: error VG4001: victorgen.lock: it is not what victorgen writes"},
		{"two documents", goodLock + "---\na: 1\n", "/lock:1:1: error VG4001: victorgen.lock: there is content after its end"},
		{"no environment", replace("environment: production\n", ""), "/lock:1:1: error VG4001: victorgen.lock: it names no environment"},
		{"file above", replace("[kust", "[../x, kust"), `/lock:1:1: error VG4001: victorgen.lock: it lists "../x", which is not a file of a tree`},
		{"file in root", replace("[kust", "[/etc/passwd, kust"), `/lock:1:1: error VG4001: victorgen.lock: it lists "/etc/passwd", which is not a file of a tree`},
		{"the directory", replace("[kust", "[., kust"), `/lock:1:1: error VG4001: victorgen.lock: it lists ".", which is not a file of a tree`},
		{"itself", replace("[kust", "[victorgen.lock, kust"), `/lock:1:1: error VG4001: victorgen.lock: it lists "victorgen.lock", which is not a file of a tree`},
		{"another file", replace("    file: secrets/app.yaml", "    file: secrets/b.yaml"), `/lock:1:1: error VG4001: victorgen.lock: the file of secret "app" is not among its files`},
		{"secret twice", goodLock + "  - {namespace: victor, name: app}\n", `/lock:1:1: error VG4001: victorgen.lock: it has secret "app" of namespace "victor" twice`},
		{"huge", goodLock + strings.Repeat("#", maxLockFile), "/lock:1:1: error VG4001: victorgen.lock: it is larger than 16 MiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, ds := parseLock([]byte(test.data), "/lock")
			if diff := cmp.Diff(test.want, ds.Error()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (l == nil) != ds.HasErrors() {
				t.Errorf("lock %v with %v", l, ds)
			}
		})
	}
}

// TestMarshalLock reads back what the lock writes by hand.
func TestMarshalLock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	want := &Lock{
		Version: LockVersion, Environment: "a \"b\"\n: # é\u2028\x01", Files: []string{"a", "secrets/true.yaml"},
		Inputs:       map[string]LockedInput{"TRUE": {Place: "0x1f", Present: true}, "null": {Place: "no"}},
		Certificates: map[string]LockedCertificate{"1e1": {Subject: "CN=\"a\",O=\n#", NotBefore: now, NotAfter: now.AddDate(10, 0, 0)}, "c": {NotBefore: now, NotAfter: now}},
		Secrets: []LockedSecret{
			{Namespace: "null", Name: "true", Scope: plan.Strict, Certificate: strings.Repeat("1e", 32), File: "secrets/true.yaml", Keys: map[string]LockedKey{
				"1":    {Definition: strings.Repeat("0", 64), Ciphertext: "2", Tag: "3", Stamp: "4", Sealed: now, Changed: now.AddDate(0, 0, -1)},
				"null": {Definition: "x", Ciphertext: "2", Sealed: now, Changed: now},
				"~":    {Definition: "0x1f", Omitted: true},
			}},
			{Namespace: "n", Name: "left-out", Scope: plan.ClusterWide, Certificate: "c", Keys: map[string]LockedKey{"k": {Definition: "d", Omitted: true}}},
		},
	}
	text := want.Marshal()
	got, ds := parseLock(text, "")
	if len(ds) > 0 {
		t.Fatalf("%v\n%s", ds, text)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(LockedSecret{}, "About")); diff != "" || got.Secrets[1].About != want.Certificates["c"] {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if again := got.Marshal(); !bytes.Equal(text, again) {
		t.Errorf("written again:\n%s", cmp.Diff(string(text), string(again)))
	}
}

// TestTag changes each part of what a tag covers.
func TestTag(t *testing.T) {
	t.Parallel()
	s := LockedSecret{Namespace: "victor", Name: "app", Scope: plan.Strict, Certificate: "c"}
	k := LockedKey{Definition: "d", Ciphertext: "x"}
	base := TagOf([]byte("lock key"), s, "key", k, []byte("value"))
	tags := map[string]string{base: "nothing"}
	try := func(what, tag string) {
		if other, ok := tags[tag]; ok {
			t.Errorf("the tag is the same for %s and %s", other, what)
		}
		tags[tag] = what
	}
	try("lock key", TagOf([]byte("lock kez"), s, "key", k, []byte("value")))
	try("key", TagOf([]byte("lock key"), s, "kez", k, []byte("value")))
	try("value", TagOf([]byte("lock key"), s, "key", k, []byte("valuf")))
	for _, field := range []string{"Namespace", "Name", "Scope", "Certificate"} {
		changed := s
		reflect.ValueOf(&changed).Elem().FieldByName(field).SetString("other")
		try(field, TagOf([]byte("lock key"), changed, "key", k, []byte("value")))
	}
	for _, field := range []string{"Definition", "Ciphertext"} {
		changed := k
		reflect.ValueOf(&changed).Elem().FieldByName(field).SetString("other")
		try(field, TagOf([]byte("lock key"), s, "key", changed, []byte("value")))
	}
	moved := s
	moved.Namespace, moved.Name = "victora", "pp"
	try("where the name starts", TagOf([]byte("lock key"), moved, "key", k, []byte("value")))
}

func FuzzLock(f *testing.F) {
	f.Add([]byte(goodLock))
	f.Add([]byte("version: 1\nenvironment: &a [*a]\n"))
	f.Add([]byte("version: 1\nversion: 1\n"))
	f.Add([]byte("%YAML 1.1\n--- !!binary x\n"))
	f.Add([]byte("version: 1\nenvironment: e\nsecrets:\n- keys: {? [a] : {}}\n"))
	f.Add([]byte("version: 1\nenvironment: !!binary /w==\n"))
	golden, err := os.ReadFile("../testdata/tree.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range txtar.Parse(golden).Files {
		if file.Name == LockFile {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, ds := parseLock(data, "")
		if (l == nil) != ds.HasErrors() {
			t.Fatalf("lock %v with %v", l, ds)
		}
		if l == nil {
			return
		}
		for _, file := range l.Files {
			if strings.HasPrefix(file, "/") || strings.Contains("/"+file+"/", "/../") {
				t.Errorf("lists %q", file)
			}
		}
		if bytes.Contains(data, []byte("!")) {
			return // a !!binary string can hold what is no text; no entry that we would keep has one
		}
		text := l.Marshal()
		asYAML(t, data)
		asYAML(t, text)
		again, ds := parseLock(text, "")
		if len(ds) > 0 {
			t.Fatalf("does not read its own: %v\n%s", ds, text)
		}
		if got := again.Marshal(); !bytes.Equal(text, got) {
			t.Errorf("not the same:\n%s", cmp.Diff(string(text), string(got)))
		}
	})
}

// asYAML fails if readWritten reads a lock otherwise than the decoder does, and
// reports whether it reads it.
func asYAML(t *testing.T, data []byte) bool {
	t.Helper()
	l := readWritten(data)
	if l == nil {
		return false
	}
	want := new(Lock)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(want); err != nil {
		t.Errorf("reads what the decoder refuses: %v\n%s", err, data)
	} else if diff := cmp.Diff(want, l, cmpopts.IgnoreFields(LockedSecret{}, "About")); diff != "" {
		t.Errorf("reads it otherwise (-want +got)\n%s", diff)
	}
	return true
}

// TestReadWritten: the locks that are committed are read as they are written, and one
// that differs from that in a line is left to the decoder.
func TestReadWritten(t *testing.T) {
	t.Parallel()
	locks, err := filepath.Glob("../../examples/victor/deploy/*/" + LockFile)
	if err != nil || len(locks) < 3 {
		t.Fatalf("%d locks, %v", len(locks), err)
	}
	for _, name := range locks {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !asYAML(t, data) {
			t.Errorf("%s is left to the decoder", name)
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		for i := range lines {
			for what, other := range map[string][]byte{
				"twice": slices.Concat(lines[i], lines[i]), "gone": nil, "indented": append([]byte(" "), lines[i]...), "with a comment": append([]byte("# x\n"), lines[i]...),
			} {
				asYAML(t, slices.Concat(slices.Concat(lines[:i]...), other, slices.Concat(lines[i+1:]...)))
				if what == "with a comment" && readWritten(slices.Concat(slices.Concat(lines[:i]...), other, slices.Concat(lines[i+1:]...))) != nil {
					t.Errorf("%s: line %d %s is read as written", name, i+1, what)
				}
			}
		}
	}
}

// TestUnsplice: the ciphertexts of a manifest are those that a decoder of YAML reads,
// whatever line of it someone has edited.
func TestUnsplice(t *testing.T) {
	t.Parallel()
	manifests, err := filepath.Glob("../../examples/victor/deploy/production/secrets/*")
	if err != nil || len(manifests) < 3 {
		t.Fatalf("%d manifests, %v", len(manifests), err)
	}
	for _, name := range manifests {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, taken := unsplice(data); len(taken) == 0 || len(taken) != len(readCiphertexts(data)) {
			t.Errorf("%s: %d ciphertexts are taken out", name, len(taken))
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		for i, line := range lines {
			for _, other := range [][]byte{
				nil, slices.Concat(line, line), append([]byte(" "), line...), append([]byte("# x\n"), line...), append([]byte("      AgA\n"), line...),
				bytes.Replace(line, []byte(": "), []byte(": |\n      "), 1), bytes.Replace(line, []byte(": "), []byte(": &a "), 1), bytes.Replace(line, []byte(": "), []byte(" # : "), 1),
				bytes.Replace(line, []byte("A"), []byte("!"), 1), bytes.TrimSuffix(line, []byte("\n")), bytes.TrimLeft(line, " "),
				append([]byte("  encryptedData:\n"), line...), append([]byte("---\n"), line...), append([]byte("  template:\n"), line...),
			} {
				edited := slices.Concat(slices.Concat(lines[:i]...), other, slices.Concat(lines[i+1:]...))
				if diff := cmp.Diff(readCiphertexts(edited), Ciphertexts(edited), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s, line %d as %q (-want +got)\n%s", name, i+1, other, diff)
				}
			}
		}
	}
}

// TestReadLocked: the lock tells for which certificate each secret is sealed.
func TestReadLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if all, ds := ReadLocked(filepath.Join(dir, "none")); len(all)+len(ds) > 0 {
		t.Error(all, ds)
	}
	l := &Lock{Version: LockVersion, Environment: "test", Secrets: []LockedSecret{
		{Namespace: "apps", Name: "a", Certificate: "11", Keys: map[string]LockedKey{"y": {}, "x": {}, "z": {Omitted: true}}},
		{Namespace: "apps", Name: "b", Certificate: "22", Keys: map[string]LockedKey{"z": {Omitted: true}}},
	}}
	if err := os.WriteFile(filepath.Join(dir, LockFile), l.Marshal(), 0o644); err != nil {
		t.Fatal(err)
	}
	all, ds := ReadLocked(dir)
	if diff := cmp.Diff([]Locked{{Namespace: "apps", Name: "a", Certificate: "11", Keys: []string{"x", "y"}}}, all); diff != "" || len(ds) > 0 {
		t.Errorf("%v (-want +got)\n%s", ds, diff)
	}
	if err := os.WriteFile(filepath.Join(dir, LockFile), []byte("version: 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if all, ds := ReadLocked(dir); len(all) > 0 || len(ds) != 1 || ds[0].Code != plan.CodeLockRead {
		t.Error(all, ds)
	}
}
