package sops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
)

// What sops leaves in plain text is told by name, of keys and of whole objects.
func TestPlainLeaf(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.yaml")
	text := "token_unencrypted: c4nary\nsealed: ENC[AES256_GCM,data:x,type:str]\nport: 5432\nobject:\n  a: c4nary\n  b: c4nary\nmixed:\n  a: c4nary\n  b: ENC[x]\n" +
		"empty: \"\"\nsops:\n  age:\n    - recipient: age1x\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"token_unencrypted": true, "sealed": false, "port": true, "object": true, "mixed": false, "empty": false, "none": false} {
		a := New(plan.Source{File: file}, "").Prove(t.Context(), []source.Ref{{Input: key, Remote: plan.Remote{Name: key}}})[0]
		if got := a.Plain != ""; got != want || strings.Contains(a.Plain, "c4nary") {
			t.Errorf("%s: %q", key, a.Plain)
		}
	}
}

// What a killed process has left of a new content is removed by the next that reads.
func TestStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"s.yaml", ".s.yaml1234", ".s.yaml.bak"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a: ENC[x]\nsops: {}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	New(plan.Source{File: filepath.Join(dir, "s.yaml")}, "").Read(t.Context(), []source.Ref{{Input: "A", Remote: plan.Remote{Name: "a"}}})
	for name, stays := range map[string]bool{"s.yaml": true, ".s.yaml1234": false, ".s.yaml.bak": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that is locked, and groups of which several are needed, are told as such.
func TestKeysOfWhich(t *testing.T) {
	dir := t.TempDir()
	program := "#!/bin/sh\nexit 128\n"
	if err := os.WriteFile(filepath.Join(dir, "sops"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	key := filepath.Join(dir, "k.enc")
	t.Setenv("SOPS_AGE_KEY_FILE", key)
	failure := func(metadata, k string) string {
		file := filepath.Join(dir, "s.yaml")
		if err := os.WriteFile(file, []byte("a: ENC[x]\nsops:\n"+metadata), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(key, []byte(k), 0o600); err != nil {
			t.Fatal(err)
		}
		a := New(plan.Source{File: file}, "").Read(t.Context(), []source.Ref{{Input: "A", Remote: plan.Remote{Name: "a"}}})[0]
		f, ok := a.Err.(*source.Failure)
		if !ok {
			t.Fatalf("%v", a.Err)
		}
		return strings.ReplaceAll(f.Reason+"; "+f.Remedy, dir+"/", "")
	}
	const one = "  age:\n    - recipient: age1x\n"
	const groups = "  shamir_threshold: 2\n  key_groups:\n    - age:\n        - recipient: age1x\n        - recipient: age1y\n    - age:\n        - recipient: age1z\n"
	for _, test := range [][3]string{
		{one, "AGE-SECRET-KEY-1CANARY", "sops has no key that opens s.yaml; provide age1x"},
		{one, "age-encryption.org/v1\n-> scrypt", `sops can't ask here for the passphrase of k.enc; decrypt it for the one run: SOPS_AGE_KEY="$(age -d k.enc)" victorgen ...`},
		{one, "-----BEGIN AGE ENCRYPTED FILE-----\n", "sops can't ask here for the passphrase of k.enc"},
		{groups, "", "it takes those of 2 of its 2 key groups together; provide one key of 2 of these: age1x or age1y; and age1z; to see"},
	} {
		if got := failure(test[0], test[1]); !strings.Contains(got, test[2]) || strings.Contains(got, "CANARY") {
			t.Errorf("%s", got)
		}
	}
}
