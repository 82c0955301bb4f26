// Package sops is the source of kind "sops": a dotenv, YAML or JSON file that
// SOPS (https://getsops.io) has encrypted. The user's own program sops decrypts
// and encrypts it, with the keys that it finds where it always does. What it
// decrypts stays in memory; what it says of an error is never shown, for it
// quotes what it could not decrypt, and a digest of all values.
package sops

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Source is an encrypted file. In a .env file an input has its own name; in a
// .yaml, .yml or .json file its Remote names a key of the root. A value that is
// no string is its JSON. A file that does not exist has no values.
//
// No answer has a Changed: the file knows when it was last written, but not
// what.
type Source struct {
	file string
	tree string // in which no sops is run
	// sops runs it; nil is the program.
	sops func(ctx context.Context, stdin []byte, args ...string) ([]byte, error)
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Keeper = (*Source)(nil)
)

// New returns the source of the file of s, which is absolute. No sops is run that lies in
// tree, the working tree that the file is in.
func New(s plan.Source, tree string) *Source { return &Source{file: s.File, tree: tree} }

// Read implements source.Source. One run of sops reads all refs.
func (s *Source) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	if file, err := safefile.Follow(s.file); err == nil {
		safefile.Sweep(file) // what a killed process has left of a new content
	}
	f, values, err := s.decrypt(ctx)
	return s.answers(refs, f, err, func(key string) (value.Value, error) { return text(values[key]) })
}

// Prove implements source.Prover. It needs no key: SOPS encrypts no names, and
// no value that is empty. Nor does it run sops.
func (s *Source) Prove(_ context.Context, refs []source.Ref) []source.Answer {
	f, err := s.load()
	return s.answers(refs, f, err, func(key string) (value.Value, error) {
		if empty(f.values[key]) {
			return value.Value{}, source.ErrAbsent
		}
		return value.Value{}, nil
	})
}

// Create implements source.Writer. It writes to a copy, by `sops set` with the
// value on its standard input, and puts the copy in the place of the file: so
// there is always either the old file or the new one. The file is locked
// meanwhile. Comments and all else that stands in it stay.
//
// The file must exist: only who makes it can say which keys open it.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.set(ctx, ref, v, false)
}

// Replace implements source.Writer, as Create does.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.set(ctx, ref, v, true)
}

func (s *Source) set(ctx context.Context, ref source.Ref, v value.Value, replace bool) (a source.Answer, err error) {
	err = s.locked(ctx, func(file string, f encrypted) error {
		if !replace && !empty(f.values[key(ref)]) {
			a = source.Read(ctx, s, []source.Ref{ref})[0]
			if a.Value.Len() > 0 || a.Err != nil && !errors.Is(a.Err, source.ErrAbsent) {
				return a.Err
			}
		}
		path, err := f.path(ref)
		if err != nil {
			return err
		}
		a = source.Answer{Value: v, Origin: s.origin(ref)}
		return s.write(ctx, file, f, change{path, v})
	})
	if err != nil {
		a = source.Answer{}
	}
	return a, err
}

// locked does something to the file, which is there, while no one else does.
func (s *Source) locked(ctx context.Context, do func(file string, f encrypted) error) error {
	file, err := safefile.Follow(s.file)
	if err != nil {
		return s.trouble("open", err)
	}
	if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) {
		return &source.Failure{
			Reason: s.file + " does not exist, and victorgen does not choose the keys that can open it",
			Remedy: "name the keys in .sops.yaml, then create it: sops edit " + s.file,
		}
	}
	unlock, err := dirlock.Lock(ctx, file)
	if err != nil {
		if ctx.Err() != nil {
			return source.Network(ctx.Err())
		}
		return unwritable(err)
	}
	defer unlock()
	f, err := s.load()
	if err != nil {
		return err
	}
	return do(file, f)
}

// change is what is to become of the value at a path: nothing, if it is empty.
type change struct {
	path  []string
	value value.Value
}

// write makes changes in a copy of f, and replaces file with it.
func (s *Source) write(ctx context.Context, file string, f encrypted, changes ...change) error {
	for _, c := range changes {
		if !utf8.Valid(c.value.Reveal()) {
			return &source.Failure{Code: plan.CodeValueEncoding, Reason: "the value is not UTF-8 text", Remedy: "store its base64"}
		}
	}
	// A file that may not be written is not replaced either.
	if w, err := os.OpenFile(file, os.O_WRONLY, 0); err != nil {
		return unwritable(err)
	} else {
		w.Close()
	}
	pending, err := safefile.Create(file, 0o600)
	if err != nil {
		return unwritable(err)
	}
	defer pending.Cleanup()
	if _, err := pending.Write(f.text); err != nil {
		return unwritable(err)
	}
	formats := []string{"--input-type", f.format.name, "--output-type", f.format.name}
	for _, c := range changes {
		if c.value.Len() == 0 {
			args := append(append([]string{"unset"}, formats...), pending.Name(), index(c.path))
			if _, err = s.run(ctx, f, nil, args...); err != nil {
				return err
			}
			continue
		}
		// What a file's rules leave out, sops writes in plain text. So the first
		// thing that it is given is no secret.
		for _, text := range []string{"is this encrypted?", string(c.value.Reveal())} {
			quoted, err := json.Marshal(text)
			if err != nil {
				return err
			}
			args := append(append([]string{"set"}, formats...), "--value-stdin", pending.Name(), index(c.path))
			if _, err = s.run(ctx, f, quoted, args...); err != nil {
				return err
			}
			written, err := os.ReadFile(pending.Name())
			if err != nil {
				return unwritable(err)
			}
			if !f.format.encrypts(written, c.path) {
				return &source.Failure{
					Reason: "sops would leave it in plain text, by the rules that " + s.file + " was encrypted with",
					Remedy: "check unencrypted_suffix, encrypted_regex and the like at its end, and in .sops.yaml; or give the input another remote",
				}
			}
		}
	}
	if err := pending.Commit(file); errors.Is(err, safefile.ErrUnsure) {
		return &source.Failure{Reason: err.Error(), Remedy: "check the disk", Unsure: true}
	} else if err != nil {
		return unwritable(err)
	}
	return nil
}

// unwritable explains an error of the operating system.
func unwritable(err error) error {
	return &source.Failure{
		Reason: "it cannot be written: " + err.Error(),
		Remedy: "the file, and the directory that it is in, must be writable",
	}
}

// answers answers for refs, with err or what find says of their keys.
func (s *Source) answers(refs []source.Ref, f encrypted, err error, find func(key string) (value.Value, error)) []source.Answer {
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		answers[i] = source.Answer{Origin: s.origin(ref), Err: err}
		if err == nil && f.text == nil {
			answers[i].Origin = "key " + key(ref) + " of " + s.file + ", which does not exist"
		}
		if err == nil {
			answers[i].Value, answers[i].Err = find(key(ref))
			if answers[i].Err == nil && plain(f.values[key(ref)]) {
				answers[i].Plain = "unencrypted in " + filepath.Base(s.file)
			}
		}
	}
	return answers
}

// key returns the key of the root that ref is about.
func key(ref source.Ref) string { return cmp.Or(ref.Remote.Name, ref.Input) }

func (s *Source) origin(ref source.Ref) string {
	return "key " + key(ref) + " of " + filepath.Base(s.file)
}

// decrypt returns the JSON of each key's value.
func (s *Source) decrypt(ctx context.Context) (encrypted, map[string]json.RawMessage, error) {
	f, err := s.load()
	if err != nil || f.text == nil {
		return f, nil, err
	}
	out, err := s.run(ctx, f, nil, "decrypt", "--output-type", "json", s.file)
	if err != nil {
		return f, nil, err
	}
	var values map[string]json.RawMessage
	ours := json.Unmarshal(out, &values) == nil
	// A key that stands in the file and is not printed is not absent.
	for key, encrypted := range f.values {
		_, printed := values[key]
		ours = ours && (printed || empty(encrypted))
	}
	if !ours {
		return f, nil, &source.Failure{
			Reason: "sops did not print a JSON object", Unreadable: true,
			Remedy: "check which sops is in PATH, and: " + s.byHand(),
		}
	}
	return f, values, nil
}

// text returns the value of which raw is the JSON.
func text(raw json.RawMessage) (value.Value, error) {
	// sops prints U+FFFD in the place of what is not UTF-8.
	if bytes.Contains(raw, []byte(`\ufffd`)) || bytes.ContainsRune(raw, utf8.RuneError) {
		return value.Value{}, &source.Failure{
			Code: plan.CodeValueEncoding, Reason: "the value there is not UTF-8 text, which sops cannot print",
			Remedy: `store its base64 there and write encoding: "base64"`,
		}
	}
	switch {
	case raw == nil, string(raw) == "null", string(raw) == `""`:
		return value.Value{}, source.ErrAbsent
	case raw[0] == '"':
		var s string
		json.Unmarshal(raw, &s) // which decrypt has found valid
		return value.New([]byte(s)), nil
	default:
		var b bytes.Buffer
		json.Compact(&b, raw) // for .sops.yaml may say how it is indented
		return value.New(b.Bytes()), nil
	}
}

// index writes a path as sops reads it: without any escapes. See parseTreePath
// in https://github.com/getsops/sops/blob/v3.13.3/cmd/sops/main.go.
func index(path []string) string { return `["` + strings.Join(path, `"]["`) + `"]` }
